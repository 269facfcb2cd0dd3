"""Marvel's way: first what moves on and off the chip, for nothing, then the chip, by samples.

Marvel (Chatarasi et al., ACM TACO 19(1), 2021; arXiv 2002.07752) takes the space of mappings apart.
What moves in and out of the shared buffer weighs most, and depends on little: the tiles that the
buffer holds, and the order in which they come. So these are chosen first, by a model that counts
the distinct blocks of each tile. The rest, what happens on the chip, is searched with the cost
model: how the elements form clusters, what is spread over them, their tiles and loops. Mappings
that leave many elements idle are not tried.

Here the first half is free, as layer and buffers are known, and the second is bought. Marvel keeps
the one best plan of the first half; here several race, and the poorer half drops out each round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

import numpy as np

from hwgym._arrays import Ints
from hwgym.core import Evaluator, Sees
from hwgym.costs.maestro import Mappings

from .common import best_first, positive
from .mappings import (
    CLUSTER,
    DECISIONS,
    INNER_TILES,
    ORDERS,
    OUTER_TILES,
    PARALLEL,
    MappingView,
)

__all__ = ["Marvel"]

_TILES = 16
"""Of a dimension with more tiles than that, so many are looked at off the chip."""
_BATCH = 32


@dataclass
class Marvel:
    """Marvel's search: off-chip tiles and order by data movement, free; then the chip, bought."""

    plans: int = 32
    """Off-chip plans that are followed; Marvel follows one."""
    idle: float = 0.1
    """Mappings that take this share more steps than the fastest of a plan are not tried."""

    sees: ClassVar[Sees] = "totals"
    deterministic: ClassVar[bool] = True
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "plans": (1, 8, 32, 128),
        "idle": (0.0, 0.1, 0.5),
    }

    def __post_init__(self) -> None:
        positive(self, "plans")
        if self.idle < 0:
            raise ValueError(f"idle must not be negative, got {self.idle!r}")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Follow the plans that move least until the budget is spent; whatever the seed, which
        changed nothing but what it tries last.

        Raises:
            ValueError: If it is not a mapping problem.
        """
        view, rng = MappingView(evaluator.statement, "marvel"), np.random.default_rng(0)
        racing = [
            _Plan(view, on_chip(view, tile, order, self.idle))
            for tile, order in off_chip(view, self.plans)
        ]
        while True:
            left = int(np.log2(len(racing))) + 1  # rounds to come, this one included
            share = max(evaluator.remaining // (left * len(racing)), 1)
            for plan in racing:
                plan.follow(evaluator, share, rng)
            racing = sorted(racing, key=lambda plan: plan.worth)[: -(-len(racing) // 2)]


def off_chip(view: MappingView, count: int) -> list[tuple[Ints, int]]:
    """The plans that move least: tiles (4,) that the shared buffer holds, and the order of loops.

    Each of the tiles with the order that is best for it.
    """
    choices = [_some(view.values[step]) for step in OUTER_TILES]
    tiles = np.stack(np.meshgrid(*choices, indexing="ij"), axis=-1).reshape(-1, 4)
    tiles = tiles[2 * view.elements(tiles) <= view.l2_bytes]
    if not len(tiles):
        tiles = np.ones((1, 4), np.int64)
    orders = view.values[ORDERS[0]]
    moved = np.empty((len(orders), len(tiles)))
    for choice, order in enumerate(orders):
        both = np.repeat(tiles[:, None], 2, axis=1)
        loops = np.broadcast_to(order, both.shape)
        cluster = np.full(len(tiles), view.num_pes)  # one, which holds what all hold
        parallel = np.full((len(tiles), 2), view.values[PARALLEL[0]][0])
        moved[choice] = view.movement(Mappings(cluster, parallel, both, loops)).sum(axis=1)
    # Of equal movement, larger tiles leave more to be spread.
    first = np.lexsort((-tiles.prod(axis=1), moved.min(axis=0)))[:count]
    return [(tiles[i], int(moved[:, i].argmin())) for i in first]


def _some(values: Ints) -> Ints:
    if len(values) <= _TILES:
        return values
    spread = np.geomspace(1, len(values), _TILES).round().astype(np.int64) - 1
    return np.unique(values[spread])


def on_chip(view: MappingView, tile: Ints, order: int, idle: float) -> Ints:
    """Genes (n, 13) of the ways to spread a plan's tile over the elements, the fastest first.

    Elements hold one of everything. Ways that take more steps than the fastest by more than a share
    ``idle`` are left out.
    """
    sizes = view.sizes[[CLUSTER, *PARALLEL]].tolist()
    choices = np.array(list(product(*map(range, sizes)))).T
    genes = np.zeros((choices.shape[1], DECISIONS), np.int64)
    genes[:, [CLUSTER, *PARALLEL]] = choices.T
    genes[:, ORDERS] = order
    units = view.num_pes // view.values[CLUSTER][choices[0]]
    spread = view.values[PARALLEL[0]][choices[1]]
    for dim, step in enumerate(OUTER_TILES):
        share = np.where(spread == dim, tile[dim] // units, tile[dim])
        genes[:, step] = view.choice_of(step, np.maximum(share, 1))
    # More clusters than the tile can feed would hold more than was planned.
    genes = genes[(units <= tile[spread]) | (tile[spread] == view.whole[spread])]
    steps = view.steps(view.mappings(genes))
    keep = np.flatnonzero(steps <= (1 + idle) * steps.min())
    found: Ints = genes[keep[steps[keep].argsort(kind="stable")]]
    return found


@dataclass
class _Plan:
    """An off-chip plan, and what was tried on the chip.

    Attributes:
        ways: Its genes (n, 13), as :func:`on_chip` has them.
        worth, best: The best feasible objective so far, and its genes.
    """

    view: MappingView
    ways: Ints
    tried: int = 0
    worth: float = np.inf
    best: Ints | None = None

    def follow(self, evaluator: Evaluator, count: int, rng: np.random.Generator) -> None:
        """Buy so many mappings of the plan: every way to spread it, then other inner tiles and
        orders for the best of them."""
        while count > 0:
            genes = self.ways[self.tried : self.tried + count]
            if not len(genes):
                start = self.ways[0] if self.best is None else self.best
                genes = np.tile(start, (min(count, _BATCH), 1))
                for step in (*INNER_TILES, ORDERS[1]):
                    other = rng.integers(self.view.sizes[step], size=len(genes))
                    redraw = rng.random(len(genes)) < 0.5
                    genes[:, step] = np.where(redraw, other, genes[:, step])
            genes = self.view.repair(genes, rng)
            scores = evaluator.evaluate(genes[..., None])
            self.tried += len(genes)
            count -= len(genes)
            first = best_first(evaluator.statement, scores)[0]
            if scores.feasible[first] and scores.objective[first] < self.worth:
                self.worth, self.best = float(scores.objective[first]), genes[first]
