"""Best-first search of mappings: neighbours of the best, those first that promise most.

Steps and data movement of a mapping are known for nothing (:mod:`hwgym_agents.mappings`), and so is
about what it will cost. How far off that is, a sample tells; the neighbours of what was bought are
off about as far. So the search keeps a pool of mappings that were thought of and not bought:
neighbours of the best solutions, and random ones. Each round buys those of the pool that promise
most, half of them with new outer decisions, which determine the energy, half that differ in the
inner ones alone, which are a matter of cycles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hwgym._arrays import Floats, Ints
from hwgym.core import Evaluator, Scores, Sees

from .common import best_first, positive, shares
from .gamma import swap_parallel
from .mappings import Decisions, MappingView, decisions
from .marvel import off_chip, on_chip

__all__ = ["LocalMapping"]

_POOL = 20_000
"""Of mappings that were thought of, so many are remembered."""
_WAYS = 64
"""A decision is changed in at most so many ways at once."""


@dataclass
class LocalMapping:
    """Best-first search of mappings, guided by steps and data movement, which are free."""

    start_share: float = 0.05
    """Share of the samples for random mappings to begin with."""
    batch: int = 64
    """Samples bought at a time."""
    expand: int = 2
    """Solutions whose neighbours are looked at before each."""
    together: int = 64
    """Neighbours of each that differ in several decisions."""
    plans: int = 64
    """Off-chip plans (see ``marvel``) that are in the pool from the beginning."""
    phases: int = 4
    """How often mappings are thought of by annealing."""
    chains: int = 256
    """Chains of each annealing; half of them begin with the best bought, half with random ones."""
    moves: int = 100
    """Of each chain."""
    hot: float = 0.3
    """First temperature, in logarithms of the free estimate."""
    cold: float = 0.005
    """Last temperature; it falls geometrically."""
    blind: float = 0.05
    """Share of a batch that is taken from the pool whatever it promises."""

    sees: ClassVar[Sees] = "totals"
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "batch": (32, 64, 128),
        "expand": (1, 2, 4),
        "together": (32, 64, 128),
        "plans": (16, 64, 256),
        "phases": (4, 8, 16),
        "moves": (50, 100, 200),
        "hot": (0.1, 0.3, 1.0),
        "cold": (0.001, 0.005, 0.02),
        "blind": (0.0, 0.05, 0.2),
    }

    def __post_init__(self) -> None:
        positive(self, "batch", "expand", "together", "plans", "phases", "chains", "moves")
        shares(self, "start_share", "blind")
        if not 0 < self.cold <= self.hot:
            raise ValueError(f"wanted 0 < cold <= hot, got cold={self.cold!r}, hot={self.hot!r}")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Buy what promises most until the budget is spent.

        Raises:
            ValueError: If it is not a mapping problem.
        """
        view, rng = decisions(evaluator.statement, "map-local"), np.random.default_rng(seed)
        known = _Known(evaluator, view)
        first = max(int(self.start_share * evaluator.samples), 1)
        known.think(view.draw(rng, first))
        known.buy(np.arange(len(known.pool)))
        if isinstance(view, MappingView):
            plans = [on_chip(view, *plan, 0.1) for plan in off_chip(view, self.plans)]
            known.think(view.repair(np.concatenate(plans), rng))
        begun, span = evaluator.spent, evaluator.remaining
        phase = 0
        while True:
            if (evaluator.spent - begun) * self.phases >= phase * span:
                thoughts = self._anneal if view.knows else self._random
                known.think(thoughts(view, known, rng))
                phase += 1
            for parent in known.expand(self.expand):
                near = view.repair(self._neighbours(view, known.genes[parent], rng), rng)
                known.think(near, known.off[parent])
            if not len(known.pool):
                known.think(view.draw(rng, _POOL // 10))
                if not len(known.pool):
                    return  # as good as all that there are
            blind = rng.binomial(self.batch, self.blind)
            chosen = known.promising(self.batch - blind)
            known.buy(np.unique(np.concatenate([chosen, known.some(blind, rng)])))

    def _random(self, view: Decisions, known: _Known, rng: np.random.Generator) -> Ints:
        """Random ones, where nothing is known to anneal on."""
        return view.draw(rng, self.chains)

    def _anneal(self, view: Decisions, known: _Known, rng: np.random.Generator) -> Ints:
        """Anneal on the free estimate; where the chains ended, and the best that they met."""
        random = view.draw(rng, self.chains)
        best = known.best(self.chains // 2)
        genes = np.concatenate([best, random[len(best) :]])
        height = _height(view, genes)
        top, least = genes.copy(), height.copy()
        for temperature in np.geomspace(self.hot, self.cold, self.moves):
            most = height - temperature * np.log1p(-rng.random(len(height)))
            trial = _changed(view, genes, rng)
            # What is too high as it is would hardly be less when it is valid.
            rows = np.flatnonzero(_height(view, trial) <= most)
            trial = view.repair(trial[rows], rng)
            new = _height(view, trial)
            taken = new <= most[rows]
            genes[rows[taken]], height[rows[taken]] = trial[taken], new[taken]
            better = height < least
            top[better], least[better] = genes[better], height[better]
        return np.concatenate([top, genes])

    def _neighbours(self, view: Decisions, genes: Ints, rng: np.random.Generator) -> Ints:
        """Genes (n, decisions) that differ from some in one, in all or many ways; and in
        several."""
        found = []
        for step, size in enumerate(view.sizes):
            choices = np.delete(np.arange(size), genes[step])
            if len(choices) > _WAYS:
                choices = rng.choice(choices, _WAYS, replace=False)
            other = np.repeat(genes[None], len(choices), axis=0)
            other[:, step] = choices
            found.append(other)
        swapped = genes[None].copy()
        swap_parallel(view, swapped, 0)
        found.append(swapped)
        return np.concatenate([*found, _changed(view, np.tile(genes, (self.together, 1)), rng)])


def _height(view: Decisions, genes: Ints) -> Floats:
    """(N,) the logarithm of the free estimate, with what exceeding a limit is charged."""
    height: Floats = np.log(view.estimate(genes) * view.charge(genes))
    return height


def _changed(view: Decisions, genes: Ints, rng: np.random.Generator) -> Ints:
    """Genes (N, decisions) with one to three decisions changed in each, not repaired.

    Numbers move by a few choices, or to any; half of the rows get more of one dimension and less of
    another, at two levels.
    """
    count, (dims, levels) = len(genes), view.tiles.shape
    rows = np.arange(count)
    trial = genes.copy()
    trade = rng.random(count) < 0.5
    one = rng.integers(dims, size=count)
    other = (one + rng.integers(1, max(dims, 2), size=count)) % dims
    first = rng.integers(levels, size=count)
    for level in (first, (first + 1) % levels):
        trial[rows, view.tiles[one, level]] += trade * rng.integers(0, 3, size=count)
        trial[rows, view.tiles[other, level]] -= trade * rng.integers(0, 3, size=count)
    for turn in range(3):
        step = rng.integers(len(view.sizes), size=count)
        size = view.sizes[step]
        near = trial[rows, step] + rng.choice((-2, -1, 1, 2), size=count)
        any_ = rng.integers(size)
        new = np.where(view.ordered[step] & (rng.random(count) < 0.7), near, any_)
        change = rng.random(count) < 0.5 if turn else ~trade
        trial[rows, step] = np.where(change, new, trial[rows, step])
    return np.clip(trial, 0, view.sizes - 1)


class _Known:
    """What was thought of, and what was bought.

    Attributes:
        genes, scores, off: Bought: (n, decisions), what they are worth, and how many times the
            free estimate that is.
        pool, promise, base: Thought of: (n, decisions), what they promise, and the free estimate.
    """

    scores: Scores | None = None

    def __init__(self, evaluator: Evaluator, view: Decisions) -> None:
        self.evaluator, self.view = evaluator, view
        self.genes = np.zeros((0, len(view.sizes)), np.int64)
        self.off = np.zeros(0)
        self.expanded = np.zeros(0, bool)
        self.pool = np.zeros((0, len(view.sizes)), np.int64)
        self.promise, self.base = np.zeros(0), np.zeros(0)
        self._met: set[bytes] = set()
        self._keys = list(view.outer)
        self._outer: set[bytes] = set()

    def think(self, genes: Ints, off: float | None = None) -> None:
        """Take mappings into the pool that are new.

        Args:
            genes: (N, decisions), valid.
            off: By which factor the estimate of one like them was off; by default the usual one.
        """
        new = np.array([self._is_new(row) for row in genes], bool)
        genes = genes[new]
        base = self.view.estimate(genes)
        promise = base * self.view.charge(genes) * (self.usual if off is None else off)
        self.pool = np.concatenate([self.pool, genes])
        self.base = np.concatenate([self.base, base])
        self.promise = np.concatenate([self.promise, promise])

    def _is_new(self, row: Ints) -> bool:
        key = row.tobytes()
        if key in self._met:
            return False
        self._met.add(key)
        return True

    def promising(self, count: int) -> Ints:
        """Indices in the pool of the best promises: half with outer decisions that were never
        bought, each other ones, and half with such as were."""
        left = {False: count // 2, True: count - count // 2}
        chosen: list[int] = []
        here: set[bytes] = set()
        for i in self.promise.argsort(kind="stable"):
            key = self.pool[i, self._keys].tobytes()
            new = key not in self._outer
            if key in here or not left[new]:
                continue
            if new:
                here.add(key)
            left[new] -= 1
            chosen.append(int(i))
            if len(chosen) == count:
                break
        if not chosen:  # a batch of one has no half for what was bought
            chosen = [int(self.promise.argmin())]
        return np.array(chosen, np.int64)

    @property
    def usual(self) -> float:
        """The factor by which the estimate is off in most cases."""
        valid = np.isfinite(self.off)
        return float(np.median(self.off[valid])) if valid.any() else 1.0

    def best(self, count: int) -> Ints:
        """The genes of the best bought."""
        assert self.scores is not None  # random ones were bought first
        return self.genes[best_first(self.evaluator.statement, self.scores)[:count]]

    def some(self, count: int, rng: np.random.Generator) -> Ints:
        """Indices of any in the pool."""
        return rng.integers(len(self.pool), size=count if len(self.pool) else 0)

    def buy(self, rows: Ints) -> None:
        """Buy samples of the pool, by index.

        Raises:
            BudgetSpent: If no sample is left.
        """
        genes, base = self.pool[rows], self.base[rows]
        scores = self.evaluator.evaluate(genes[..., None])
        keep = np.ones(len(self.pool), bool)
        keep[rows] = False
        if keep.sum() > _POOL:
            keep &= self.promise <= np.partition(self.promise[keep], _POOL)[_POOL]
        self.pool, self.promise, self.base = self.pool[keep], self.promise[keep], self.base[keep]
        bought = len(scores)
        self._outer.update(row[self._keys].tobytes() for row in genes[:bought])
        self.genes = np.concatenate([self.genes, genes[:bought]])
        self.scores = Scores.join([self.scores, scores]) if self.scores else scores
        off = np.where(scores.valid, scores.objective / base[:bought], np.inf)
        self.off = np.concatenate([self.off, off])
        self.expanded = np.concatenate([self.expanded, ~scores.valid])

    def expand(self, count: int) -> Ints:
        """Indices of the best bought whose neighbours were not thought of yet."""
        assert self.scores is not None  # random ones were bought first
        order = best_first(self.evaluator.statement, self.scores)
        chosen = order[~self.expanded[order]][:count]
        self.expanded[chosen] = True
        return chosen
