"""GAMMA's genetic operators for mappings, on masks.

GAMMA (Kao and Krishna, ICCAD 2020) breeds mappings: a child takes the tiles of one dimension from
another parent, swaps two loops of an order, draws tiles, parallel dimensions and a cluster size
anew. Of the operators of the paper the released program never runs three, as the constraints that
it loads by default switch them off: the swap of the two parallel dimensions, growth (a level of
clusters is added) and aging (one is removed). Here they are settings like the others.

A child of the release may be impossible, and dies. Here it is repaired, decision by decision, to
the nearest choice after which a valid mapping can still follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hwgym._arrays import Ints
from hwgym.core import Evaluator, Scores, Sees

from .common import best_first, positive, shares
from .mappings import Decisions, decisions

__all__ = ["Gamma"]

_TRIES = 4
"""So often a child that was bought before is changed; then it is bought again."""


@dataclass
class Gamma:
    """GAMMA's genetic algorithm for mappings (Kao and Krishna, ICCAD 2020), on masks.

    Rates of operators that run in the release are its own; ``Gamma.released()`` has them alone, and
    its elite. Mappings that were bought are not bought again.
    """

    population: int = 20
    """Children of a generation."""
    parents: float = 0.4
    """Share of a generation that has children."""
    elite: float = 0.25
    """Share of a generation that lives on; at least one."""
    crossover: float = 0.57
    """Probability that two children exchange their tiles of one dimension."""
    order: float = 0.47
    """Probability that two loops of one of a child's orders swap."""
    draws: int = 3
    """How many times a child's tile, cluster or parallel dimension may be drawn anew."""
    tile: float = 0.53
    """Probability of each."""
    parallel: float = 0.1
    """Probability that a child's two parallel dimensions swap."""
    growth: float = 0.1
    """Probability that a child whose clusters are single elements gets real ones."""
    aging: float = 0.05
    """Probability that a child's clusters become single elements."""

    sees: ClassVar[Sees] = "totals"
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "population": (10, 20, 40, 80),
        "parents": (0.2, 0.4, 0.8),
        "elite": (0.05, 0.25, 0.4),
        "crossover": (0.3, 0.57, 0.9),
        "order": (0.2, 0.47, 0.8),
        "draws": (1, 2, 3),
        "tile": (0.3, 0.53, 0.8),
        "parallel": (0.0, 0.1, 0.3),
        "growth": (0.0, 0.1, 0.3),
        "aging": (0.0, 0.05, 0.2),
    }

    def __post_init__(self) -> None:
        positive(self, "population", "draws")
        rates = ("crossover", "order", "tile", "parallel", "growth", "aging")
        shares(self, "parents", "elite", *rates)

    @classmethod
    def released(cls, **settings: Any) -> Gamma:
        """With the operators that run in the released program alone, and its elite."""
        plain = {"elite": 0.05, "parallel": 0.0, "growth": 0.0, "aging": 0.0}
        return cls(**(plain | settings))

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Breed until the budget is spent.

        Raises:
            ValueError: If it is not a mapping problem.
        """
        view, rng = decisions(evaluator.statement, "gamma"), np.random.default_rng(seed)
        statement = evaluator.statement
        genes = self._first(view, rng)
        scores = evaluator.evaluate(genes[..., None])
        bought = {row.tobytes() for row in genes}
        parents = max(round(self.parents * self.population), 2)
        elite = max(round(self.elite * self.population), 1)
        while True:
            keep = best_first(statement, scores)
            _, first = np.unique(genes[keep], axis=0, return_index=True)
            keep = keep[np.sort(first)]
            keep = keep[: max(parents, elite)]
            genes, scores = genes[keep], scores.take(keep)
            children = self._children(view, genes[:parents], rng)
            for _ in range(_TRIES):  # what is known would only cost samples
                known = [row for row in range(len(children)) if children[row].tobytes() in bought]
                for row in known:
                    draw_anew(view, children, row, rng)
                children[known] = view.repair(children[known], rng)
            bought.update(row.tobytes() for row in children)
            born = evaluator.evaluate(children[..., None])
            genes = np.concatenate([genes[:elite], children[: len(born)]])
            scores = Scores.join([scores.take(slice(elite)), born])

    def _first(self, view: Decisions, rng: np.random.Generator) -> Ints:
        """Random mappings whose elements hold one of everything; of two, so do all levels."""
        genes = view.draw(rng, self.population)
        genes[:, view.tiles[:, -1]] = 0
        genes[:2, view.tiles] = 0
        return view.repair(genes, rng)

    def _children(self, view: Decisions, parents: Ints, rng: np.random.Generator) -> Ints:
        children = self.cross(view, parents, rng)
        count = len(children)
        swapped = rng.integers(count, size=rng.binomial(count, self.order))
        for row in swapped:  # one may be drawn twice
            reorder(view, children, row, rng)
        for _ in range(self.draws):
            for row in _some(rng, count, self.tile):
                draw_anew(view, children, row, rng)
        for row in _some(rng, count, self.parallel):
            swap_parallel(view, children, row)
        for row in _some(rng, count, self.growth):
            grow(view, children, row, rng)
        for row in _some(rng, count, self.aging):
            age(view, children, row)
        return view.repair(children, rng)

    def cross(self, view: Decisions, parents: Ints, rng: np.random.Generator) -> Ints:
        """Children (N, decisions), two of each pair of parents, that may have exchanged the tiles
        of one dimension."""
        children = []
        for _ in range(0, self.population, 2):
            picks = np.resize(rng.permutation(len(parents)), max(len(parents), 2))[:2]
            pair = parents[picks]
            if rng.random() < self.crossover:
                columns = view.tiles[rng.integers(len(view.tiles))]
                pair[:, columns] = pair[::-1, columns]
            children.append(pair)
        return np.concatenate(children)[: self.population]


# --- operators: each changes a row of genes (N, decisions) in place -------------------------------


def reorder(view: Decisions, genes: Ints, row: int, rng: np.random.Generator) -> None:
    """Swap two loops of one of the orders; at times the same one twice, as in the release."""
    step = rng.choice(view.orders)
    loops = view.loops[genes[row, step]].copy()
    one, other = rng.integers(len(loops), size=2)
    loops[[one, other]] = loops[[other, one]]
    genes[row, step] = view.order_of(loops[None])[0]


def draw_anew(view: Decisions, genes: Ints, row: int, rng: np.random.Generator) -> None:
    """Draw a tile or what is spread, the latter at the inner level with the cluster size."""
    steps = sorted({*view.spread[0], *view.spread[1], *view.tiles.ravel().tolist()})
    view.draw_step(genes[row], int(rng.choice(steps)), rng)


def swap_parallel(view: Decisions, genes: Ints, row: int) -> None:
    """What is spread at the outer level is spread at the inner one, and the other way round."""
    one, other = (list(steps) for steps in view.spread)
    genes[row, one + other] = genes[row, other + one]
    np.minimum(genes[row], view.sizes - 1, out=genes[row])


def grow(view: Decisions, genes: Ints, row: int, rng: np.random.Generator) -> None:
    """Where nothing is spread at the inner level, something is."""
    if not view.has_two(genes[row]):
        view.add_level(genes[row], rng)


def age(view: Decisions, genes: Ints, row: int) -> None:
    """Nothing is spread at the inner level."""
    view.drop_level(genes[row])


def _some(rng: np.random.Generator, count: int, probability: float) -> Ints:
    return np.flatnonzero(rng.random(count) < probability)
