"""Blind search: random solutions, uniform ones, a grid. Nothing that was seen steers them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hwgym._arrays import Ints
from hwgym.core import Evaluator, Sees

from .common import positive, spread_uniform

__all__ = ["BestUniform", "GridSearch", "RandomSearch"]


@dataclass
class RandomSearch:
    """Uniform random solutions, of those that may be valid where the problem's statement says which
    (its masks). Under a tight limit none of them may be feasible."""

    batch: int = 256
    """Solutions evaluated at once; the result does not depend on it."""

    sees: ClassVar[Sees] = "totals"

    def __post_init__(self) -> None:
        positive(self, "batch")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Draw until the budget is spent."""
        rng = np.random.default_rng(seed)
        while True:
            evaluator.evaluate(evaluator.statement.draw(rng, self.batch))


@dataclass
class BestUniform:
    """Every solution that makes the same choice at all steps, once."""

    sees: ClassVar[Sees] = "totals"
    deterministic: ClassVar[bool] = True

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Evaluate them; if they exceed the budget, those that cover the space best."""
        evaluator.evaluate(spread_uniform(evaluator.space, evaluator.remaining))


@dataclass
class GridSearch:
    """A grid over groups of steps: steps with a similar amount of work get the same choice.

    The steps, sorted by work (layers: by MACs), are cut into groups of equal size. The choices are
    ranked as :func:`~hwgym_agents.common.spread_choices` ranks them, and the grid grows with the
    samples: all combinations of the first choice, then of the first two, the first three, and so
    on. 5,000 samples cover eight choices of four groups. With one step (LS) this visits every
    choice.
    """

    groups: int = 4
    """How many groups, 1 to 16; with fewer, more choices of each are tried."""

    sees: ClassVar[Sees] = "totals"
    deterministic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        positive(self, "groups")
        if self.groups > 16:
            raise ValueError(f"groups must lie in 1..16, got {self.groups}")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Evaluate the grid, until it is complete or the budget is spent."""
        steps, work = evaluator.space.num_steps, evaluator.statement.work
        groups = min(self.groups, steps)
        owner = np.zeros(steps, np.int64)
        for group, members in enumerate(np.array_split(work.argsort(kind="stable"), groups)):
            owner[members] = group
        # Every further choice of the first group alone takes a sample.
        choices = spread_uniform(evaluator.space, evaluator.remaining)
        for rank in range(len(choices)):
            for combinations in _combinations(rank, groups, evaluator):
                evaluator.evaluate(choices[combinations[:, owner], np.arange(steps)])


def _combinations(rank: int, groups: int, evaluator: Evaluator) -> Iterator[Ints]:
    """Combinations (N, groups) of ranks up to ``rank`` that contain it, as far as affordable."""
    for place in range(groups):  # where it stands first
        shape = (rank,) * place + (1,) + (rank + 1,) * (groups - place - 1)
        count = min(math.prod(shape), max(evaluator.remaining, 1))
        if count:
            combinations = np.stack(np.unravel_index(np.arange(count), shape), axis=-1)
            combinations[:, place] = rank
            yield combinations
