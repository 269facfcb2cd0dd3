"""MAGMA's genetic algorithm for groups of jobs.

MAGMA (Kao and Krishna, HPCA 2022) breeds schedules of two parts: each job's core, and each job's
priority. Its crossovers know that: one exchanges a piece of one part only, one a range of jobs with
both of their genes, and one hands down all that a core runs. Rates, elites and population are those
of the released program, whose priorities are real numbers; here they are the classes of the
problem.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hwgym._arrays import Floats, Ints
from hwgym.core import Evaluator, Sees

from .common import shares
from .scheduling import GroupView

__all__ = ["Magma"]


@dataclass
class Magma:
    """MAGMA's genetic algorithm for groups of jobs (Kao and Krishna, HPCA 2022)."""

    population: int | None = None
    """Children of a generation; None: as many as there are jobs."""
    elite: float = 0.05
    """Share of a generation that lives on; at least one."""
    parents: float = 0.1
    """Share of a generation that has children; at least two. All of the first have."""
    crossover: float = 0.9
    """Probability that two children exchange a piece, up to an end, of their cores or of their
    priorities."""
    ranges: float = 0.1
    """Probability that two children are made anew, each of the first jobs of one parent and the
    rest of the other, cores and priorities."""
    by_core: float = 0.1
    """Probability that a child is made anew: of one core it has the jobs of one parent, with their
    priorities, and all else of the other."""
    mutation: float = 0.05
    """Probability that a gene is drawn anew."""

    sees: ClassVar[Sees] = "totals"
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "population": (None, 20, 50),
        "elite": (0.02, 0.05, 0.2),
        "parents": (0.1, 0.2, 0.5),
        "crossover": (0.5, 0.9),
        "ranges": (0.0, 0.1, 0.3),
        "by_core": (0.0, 0.1, 0.3),
        "mutation": (0.01, 0.02, 0.05),
    }

    def __post_init__(self) -> None:
        given = self.population
        if given is not None and (
            isinstance(given, bool) or not isinstance(given, int) or given < 2
        ):
            raise ValueError(f"population must be an integer of 2 or more, or None, got {given!r}")
        shares(self, "elite", "parents", "crossover", "ranges", "by_core", "mutation")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Breed until the budget is spent.

        Raises:
            ValueError: If the problem is not a group of jobs.
        """
        view, rng = GroupView(evaluator.statement, "magma"), np.random.default_rng(seed)
        size = self._size(view)
        elite, some = max(int(self.elite * size), 1), max(int(self.parents * size), 2)
        core, priority = _drawn(view, (size, view.shape[0]), rng)
        worth = evaluator.evaluate(view.genes(core, priority)).objective
        parents = len(worth)
        while True:
            order = worth.argsort(kind="stable")[:size]
            core, priority, worth = core[order], priority[order], worth[order]
            made = self._children(view, core[:parents], priority[:parents], worth[:parents], rng)
            born = evaluator.evaluate(view.genes(*made)).objective
            n, parents = len(born), some
            core = np.concatenate([core[:elite], made[0][:n]])
            priority = np.concatenate([priority[:elite], made[1][:n]])
            worth = np.concatenate([worth[:elite], born])

    def _size(self, view: GroupView) -> int:
        return self.population or max(view.shape[0], 2)

    def _children(
        self, view: GroupView, core: Ints, priority: Ints, worth: Floats, rng: np.random.Generator
    ) -> tuple[Ints, Ints]:
        """Cores and priorities (population, jobs) of children of parents (n, jobs)."""
        jobs, size = view.shape[0], self._size(view)
        pairs = -(-size // 2)
        both = np.stack([core, priority], axis=1)

        # Two children of each pair of parents, which exchange a piece of one part.
        first, second = _pairs(worth, pairs, rng)
        one, two = both[first], both[second]
        points = rng.integers(jobs, size=pairs)
        place = np.arange(jobs)
        before = points < jobs // 2  # the shorter piece
        piece = np.where(before[:, None], place < points[:, None], place >= points[:, None])
        part = np.arange(2) == rng.integers(2, size=(pairs, 1))
        some = rng.random(pairs) < self.crossover
        one, two = _exchanged(one, two, piece[:, None] & part[..., None] & some[:, None, None])

        # Some pairs are made anew: a range of jobs of each parent.
        first, second = _pairs(worth, pairs, rng)
        here = (place < rng.integers(jobs, size=(pairs, 1)))[:, None]
        others = _exchanged(both[first], both[second], np.repeat(here, 2, axis=1))
        some = (rng.random(pairs) < self.ranges)[:, None, None]
        one, two = np.where(some, others[0], one), np.where(some, others[1], two)
        children = np.stack([one, two], axis=1).reshape(-1, 2, jobs)[:size]

        # Some children are made anew: what one core runs is that of one parent.
        first, second = _pairs(worth, size, rng)
        other, giver = both[first], both[second]
        which = rng.integers(view.shape[1], size=(size, 1))
        given = giver[:, 0] == which
        homeless = (other[:, 0] == which) & ~given
        other = np.where(given[:, None], giver, other)
        row, job = np.nonzero(homeless)
        other[row, 0, job] = view.draw_core(job, rng)
        some = (rng.random(size) < self.by_core)[:, None, None]
        children = np.where(some, other, children)

        anew = np.stack(_drawn(view, (size, jobs), rng), axis=1)
        children = np.where(rng.random(children.shape) < self.mutation, anew, children)
        return children[:, 0], children[:, 1]


def _drawn(view: GroupView, shape: tuple[int, int], rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Random cores on which jobs can run, and priorities, (N, jobs) each."""
    core = view.draw_core(np.broadcast_to(np.arange(shape[1]), shape), rng)
    return core, rng.integers(view.priorities, size=shape)


def _pairs(worth: Floats, count: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Two different parents each, drawn by how much better they are than the worst."""
    weight = worth.max() - worth + 1.0
    rank = np.log(weight / weight.sum()) + rng.gumbel(size=(count, len(worth)))
    chosen = np.argsort(-rank, axis=1)
    return chosen[:, 0], chosen[:, min(1, len(worth) - 1)]


def _exchanged(one: Ints, two: Ints, piece: Any) -> tuple[Ints, Ints]:
    return np.where(piece, two, one), np.where(piece, one, two)
