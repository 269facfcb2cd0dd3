"""Deals: what episodes look up of the problems they are about, made in bulk from a pool."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hwgym._arrays import Array, Floats, Ints, Observations
from hwgym.core.design import BUDGET_RTOL
from hwgym.core.rewards import CappedReward
from hwgym.families.assignment.multi.features import (
    STATIC,
    constants,
    context_features,
    hardware_features,
    layer_features,
    static_rows,
    style_features,
    technology_features,
)
from hwgym.families.assignment.multi.pool import LayerPool, Prices
from hwgym.families.assignment.multi.splits import OBJECTIVES, Recipes, Source
from hwgym.hardware import MAESTRO_2019, Hardware

__all__ = ["CELL", "Cells", "Deals", "Facts"]

LATENCY, ENERGY, _EDP = range(len(OBJECTIVES))

AT_ONCE = 1 << 10
"""Layers whose tables are made together, about: they stay near the cache."""


class _Columns(NamedTuple):
    """Where a cell's numbers stand."""

    macs: int = 3
    l1_accesses: int = 4
    l2_accesses: int = 5
    l1_units: int = 6
    l2_units: int = 7
    size: int = 8


CELL = _Columns()
"""Before the others stand the cycles, by bandwidth."""


class Cells:
    """A pool's counts as episodes look them up.

    Attributes:
        pool: Whose they are.
        numbers: (cells x 8,) those of a cell side by side, in one line of the cache: cycles by
            bandwidth, then those of :data:`CELL`. Cycles and MACs are infinite where the choice is
            not valid, L2 units minus infinity where there is no answer, which takes nothing.
        latency: (bandwidths, blocks, actions), and the others (blocks, actions): NaN where a choice
            is not valid.
    """

    def __init__(self, pool: LayerPool) -> None:
        self.pool = pool
        counts = pool.counts
        if len(pool.bandwidths) > CELL.macs:
            raise ValueError(f"a pool has at most {CELL.macs} bandwidths")
        numbers = np.zeros((*counts.valid.shape, CELL.size))
        for i, cycles in enumerate(counts.latency):
            numbers[..., i] = np.where(counts.valid, cycles, np.inf)
        numbers[..., CELL.macs] = np.where(counts.valid, counts.macs, np.inf)
        numbers[..., CELL.l1_accesses] = counts.l1_accesses
        numbers[..., CELL.l2_accesses] = counts.l2_accesses
        numbers[..., CELL.l1_units] = pool.l1_units
        numbers[..., CELL.l2_units] = np.where(counts.mappable, pool.l2_units, -np.inf)
        self.numbers = numbers.ravel()
        valid = counts.valid
        self.latency = np.where(valid, counts.latency, np.nan)
        self.macs = np.where(valid, counts.macs, np.nan)
        self.l1_accesses = counts.l1_accesses.astype(np.float64)
        self.l2_accesses = counts.l2_accesses.astype(np.float64)
        self.l1_units = np.where(valid, pool.l1_units, np.nan)
        self.l2_units = pool.l2_units
        self.pes = pool.pes.astype(np.float64)
        self.repeat = pool.repeat.astype(np.float64)

    def cost(self, blocks: Ints, objective: int, bandwidth: Ints, prices: Prices) -> Floats:
        """(n, actions) of an objective; bandwidths (n,), prices of each (n, 1)."""
        repeat = self.repeat[blocks % len(self.repeat)][:, None]
        if objective == LATENCY:
            cycles: Floats = self.latency[bandwidth, blocks] * repeat
            return cycles
        energy: Floats = prices.mac_nj * (
            self.macs[blocks]
            + prices.l1_macs * self.l1_accesses[blocks]
            + prices.l2_macs * self.l2_accesses[blocks]
        )
        energy *= repeat
        return energy if objective == ENERGY else energy * (self.latency[bandwidth, blocks] * repeat)

    def usage(self, blocks: Ints, prices: Prices) -> Floats:
        """(n, actions) of a constraint; prices of each (n, 1)."""
        usage: Floats = self.l1_units[blocks]
        usage *= prices.l1
        usage += prices.pe
        usage *= self.pes
        usage += prices.l2 * self.l2_units[blocks]
        return usage


class Facts(NamedTuple):
    """What follows from tables.

    Attributes:
        least: (layers,) that a choice takes.
        limit: (N,) the budget with its slack.
        top: (layers,) the cost above which the reward does not look.
        cap: (N,) four times the mean cost of a layer in a typical solution.
        span: (N,) the cost that makes a return of 1.
    """

    least: Floats
    limit: Floats
    top: Floats
    cap: Floats
    span: Floats


class Deals:
    """Problems of a source, in slots.

    Attributes:
        source, cells: Where they come from.
        room: Rows of a slot: one more than the layers of the longest problem.
        number: (slots,) of the problem; -1 where there is none.
        steps, bandwidth, objective: (slots,)
        constants: (slots, 8) limit, span, and the prices that apply.
        block, repeat, top, after: (slots x room,) of each layer: its block of the pool, how often
            it runs, the cost above which the reward does not look, and the least that those after
            it take.
        rows: (slots x room, entries) float32 in [-1, 1], what is observed whatever is chosen.
    """

    def __init__(self, source: Source, cells: Cells, most: int, slots: int) -> None:
        self.source, self.cells, self.room = source, cells, most + 1
        pool = source.pool
        self._layer_features = layer_features(pool.layers)
        self._style_features = np.stack([style_features(s) for s in source.styles])
        self._hardware_features = np.stack(
            [hardware_features(Hardware(noc_bandwidth=b)) for b in pool.bandwidths]
        )
        rows = slots * self.room
        self.number = np.full(slots, -1)
        self.steps, self.bandwidth, self.objective = np.zeros((3, slots), np.int64)
        self.constants = np.ones((slots, 8))
        self.block = np.zeros(rows, np.int64)
        self.repeat, self.top, self.after = np.zeros((3, rows))
        self.rows: Observations = np.zeros((rows, STATIC), np.float32)

    def put(self, numbers: Ints, slots: Ints) -> None:
        """Put problems (n,) into slots (n,)."""
        source = self.source
        recipes = source.recipes(numbers)
        rows, lengths = source.rows(recipes)
        blocks = np.repeat(recipes.style, lengths) * len(source.pool.layers) + rows
        facts = self._facts(recipes, blocks, lengths)
        prices = _applied(source.prices(recipes), recipes.constraint)
        self.number[slots], self.steps[slots] = numbers, lengths
        self.bandwidth[slots], self.objective[slots] = recipes.bandwidth, recipes.objective
        columns = (prices.mac_nj, prices.l1_macs, prices.l2_macs, prices.pe, prices.l1, prices.l2)
        self.constants[slots] = np.stack([facts.limit, facts.span, *columns], axis=1)
        first = np.repeat(slots * self.room, lengths)
        begin = np.cumsum(lengths) - lengths
        at = first + np.arange(len(rows)) - np.repeat(begin, lengths)
        self.block[at], self.top[at] = blocks, facts.top
        self.repeat[at] = self.cells.repeat[rows]
        self.after[at] = _after(facts.least, lengths)
        seen = self._rows(recipes, rows, lengths, facts.limit, facts.cap, facts.span)
        first = np.repeat(slots * self.room, lengths + 1)
        begin = np.cumsum(lengths + 1) - lengths - 1
        at = first + np.arange(len(seen)) - np.repeat(begin, lengths + 1)
        self.rows[at] = seen * 2.0 - 1.0

    def limit(self, number: int) -> float:
        """The budget of a problem, without its slack."""
        source = self.source
        recipes = source.recipes(np.array([number]))
        rows, lengths = source.rows(recipes)
        blocks = recipes.style[0] * len(source.pool.layers) + rows
        _, budget = self._budget(recipes, np.arange(1), blocks, lengths)
        return float(budget[0])

    def _rows(
        self, recipes: Recipes, rows: Ints, lengths: Ints, limit: Floats, cap: Floats, span: Floats
    ) -> Floats:
        known = constants(MAESTRO_2019)
        area, power = self.source.prices(recipes)
        ones = np.ones(len(lengths))
        technology = technology_features(
            {name: value * ones for name, value in known.items()}
            | {"mac_area_um2": area.pe, "l1_area_um2": area.l1, "l2_area_um2": area.l2}
            | {"mac_power_mw": power.pe, "l1_power_mw": power.l1, "l2_power_mw": power.l2}
            | {"mac_energy_nj": area.mac_nj}
            | {"l1_energy_macs": area.l1_macs, "l2_energy_macs": area.l2_macs}
        )
        contexts = context_features(
            recipes.objective,
            recipes.constraint,
            self._style_features[recipes.style],
            technology,
            self._hardware_features[recipes.bandwidth],
            limit,
            lengths,
            cap,
            span,
        )
        return static_rows(self._layer_features[rows], lengths, contexts)

    # --- what follows from tables -----------------------------------------------------------------

    def _facts(self, recipes: Recipes, blocks: Ints, lengths: Ints) -> Facts:
        count, ends = len(lengths), np.cumsum(lengths)
        facts = Facts(
            np.empty(len(blocks)), np.empty(count), np.empty(len(blocks)), *np.empty((2, count))
        )
        for objective in range(len(OBJECTIVES)):
            asked = np.flatnonzero(recipes.objective == objective)
            each = max(AT_ONCE // max(int(lengths.max()), 1), 1)
            for start in range(0, len(asked), each):
                those = asked[start : start + each]
                at = _ranges(ends[those] - lengths[those], lengths[those])
                part = self._some(recipes, objective, those, blocks[at], lengths[those])
                facts.least[at], facts.top[at] = part.least, part.top
                facts.limit[those], facts.cap[those] = part.limit, part.cap
                facts.span[those] = part.span
        return facts

    def _budget(
        self, recipes: Recipes, those: Ints, blocks: Ints, lengths: Ints
    ) -> tuple[Floats, Floats]:
        """(layers, actions) what choices take, and (n,) budgets."""
        chosen = _applied(self.source.prices(recipes), recipes.constraint)
        usage = self.cells.usage(blocks, _of_rows(chosen, those, lengths))
        starts = np.cumsum(lengths) - lengths
        least = np.add.reduceat(np.fmin.reduce(usage, axis=1), starts)
        most = np.add.reduceat(np.fmax.reduce(usage, axis=1), starts)
        budget: Floats = least + (most - least) * recipes.share[those]
        return usage, budget

    def _some(
        self, recipes: Recipes, objective: int, those: Ints, blocks: Ints, lengths: Ints
    ) -> Facts:
        usage, budget = self._budget(recipes, those, blocks, lengths)
        limit = budget * (1 + BUDGET_RTOL)
        prices = _applied(self.source.prices(recipes), recipes.constraint)
        cost = self.cells.cost(
            blocks,
            objective,
            np.repeat(recipes.bandwidth[those], lengths),
            _of_rows(prices, those, lengths),
        )
        starts = np.cumsum(lengths) - lengths
        least = np.fmin.reduce(usage, axis=1)
        best, worst = np.fmin.reduce(cost, axis=1), np.fmax.reduce(cost, axis=1)
        # Of solutions that give every layer the same; NaN, where one cannot be built, fits nothing.
        fits = np.add.reduceat(usage, starts) <= limit[:, None]
        typical = np.where(fits, np.add.reduceat(cost, starts), np.inf).min(axis=1)
        if np.isinf(typical).any():
            share = np.maximum(np.repeat(limit / lengths, lengths), least)[:, None]
            within = np.where(usage <= share, cost, np.inf).min(axis=1)
            typical = np.where(np.isinf(typical), np.add.reduceat(within, starts), typical)
        cap = CappedReward.CAP * (typical / lengths)
        top = np.minimum(worst, np.maximum(np.repeat(cap, lengths), CappedReward.CAP * best))
        span = np.add.reduceat(top - best, starts)
        return Facts(least, limit, top, cap, np.where(span > 0, span, 1.0))


def _applied(prices: tuple[Prices, Prices], constraint: Ints) -> Prices:
    """Of area or of power, as each problem is constrained."""
    pairs = zip(*prices, strict=True)
    return Prices(*(np.where(constraint == 0, area, power) for area, power in pairs))


def _of_rows(prices: Prices, those: Ints, lengths: Ints) -> Prices:
    """Columns (layers, 1) of those problems' prices."""
    each = np.repeat(those, lengths)
    return Prices(*(value[each][:, None] for value in prices))


def _ranges(starts: Ints, lengths: Ints) -> Ints:
    """The numbers of several ranges, one after the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1]) + np.repeat(starts - (ends - lengths), lengths)


def _after(least: Floats, lengths: Ints) -> Floats:
    """(layers,): what those after each, of the same problem, take at least; added up from the last
    on, as a problem given by tables does."""
    done = np.arange(int(lengths.max())) < lengths[:, None]
    padded: Array = np.zeros(done.shape)
    padded[done] = least
    summed = np.cumsum(padded[:, ::-1], axis=1)[:, ::-1]
    after = np.zeros_like(padded)
    after[:, :-1] = summed[:, 1:]
    return after[done]
