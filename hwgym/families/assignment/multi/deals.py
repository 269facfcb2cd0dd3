"""Deals: what episodes look up of the problems they are about, made in bulk from a pool."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hwgym._arrays import Floats, Ints, Observations, rows_by
from hwgym.core.design import BUDGET_RTOL
from hwgym.core.rewards import CappedReward
from hwgym.families.assignment.multi.cells import ENERGY, LATENCY, Cells
from hwgym.families.assignment.multi.features import (
    AHEAD,
    CONTEXT,
    REMAINING,
    LayerRows,
    constants,
    context_features,
    hardware_features,
    ranges,
    shown,
    style_features,
    technology_features,
)
from hwgym.families.assignment.multi.pool import Prices
from hwgym.families.assignment.multi.splits import Recipes
from hwgym.hardware import Hardware

__all__ = ["LAYER", "SLOT", "Dealer", "Deals"]


class Dealer:
    """Makes what is looked up of problems; knows what does not depend on them.

    Args:
        cells: Of the source of the problems.
    """

    def __init__(self, cells: Cells) -> None:
        self.cells, self.source = cells, cells.source
        source, pool = self.source, self.source.pool
        self.layers = LayerRows(pool.layers)
        self._styles = np.stack([style_features(style) for style in source.styles])
        self._hardware = np.stack(
            [hardware_features(Hardware(noc_bandwidth=b)) for b in pool.bandwidths]
        )
        technologies = [source.technology(i) for i in range(len(source.machines))]
        self._machines = np.concatenate([technology_features(constants(t)) for t in technologies])

    def prices(self, recipes: Recipes) -> Prices:
        """(n,) each: what the machine of each problem asks, of area or of power as it is
        constrained."""
        pairs = zip(*self.source.prices, strict=True)
        by_area, machine = recipes.constraint == 0, recipes.machine
        return Prices(*(np.where(by_area, area[machine], power[machine]) for area, power in pairs))

    def budgets(self, recipes: Recipes, blocks: Ints, lengths: Ints) -> tuple[Floats, Floats]:
        """(layers,) the least that each can take, and (n,) budgets."""
        self.cells.know(recipes.machine)
        constraint, machine = (
            np.repeat(each, lengths) for each in (recipes.constraint, recipes.machine)
        )
        takes = _ranges_of(self.cells.takes, constraint, machine, blocks)
        least, most = np.add.reduceat(takes, np.cumsum(lengths) - lengths, axis=0).T
        return takes[:, 0], least + (most - least) * recipes.share

    def contexts(self, recipes: Recipes, lengths: Ints, limit: Floats) -> Observations:
        """(n, entries)"""
        return shown(
            context_features(
                recipes.objective,
                recipes.constraint,
                self._styles[recipes.style],
                self._machines[recipes.machine],
                self._hardware[recipes.bandwidth],
                limit,
                lengths,
            )
        )

    def equal_shares(
        self, recipes: Recipes, prices: Prices, blocks: Ints, lengths: Ints, limit: Floats
    ) -> Floats:
        """(n,): what the layers of problems cost if each takes an equal share of the limit, or its
        least."""
        each = np.repeat(np.arange(len(lengths)), lengths)
        own = Prices(*(value[each][:, None] for value in prices))
        usage = self.cells.usage(blocks, own)
        share = np.maximum((limit / lengths)[each], np.fmin.reduce(usage, axis=1))
        cost = np.empty_like(usage)
        for objective, asked in rows_by(recipes.objective[each]):
            some = Prices(*(value[asked] for value in own))
            bandwidth = recipes.bandwidth[each[asked]]
            cost[asked] = self.cells.cost(blocks[asked], objective, bandwidth, some)
        within = np.where(usage <= share[:, None], cost, np.inf).min(axis=1)
        found: Floats = np.add.reduceat(within, np.cumsum(lengths) - lengths)
        return found


class _SlotColumns(NamedTuple):
    """Where what is looked up of a problem stands. Its costs are products of two numbers, either of
    which may be 1: a layer's cycles, and its energy."""

    limit: int = 0
    span: int = 1
    untimed: int = 2  # 1 where cycles do not count
    unpowered: int = 3  # 1 where energy does not
    mac_nj: int = 4
    l1_macs: int = 5
    l2_macs: int = 6
    pe: int = 7
    l1: int = 8
    l2: int = 9
    size: int = 10


class _LayerColumns(NamedTuple):
    """And what is of a layer: how often its cycles and its energy count, the cost above which the
    reward does not look, the least that it can take, and the least that the layers after it can."""

    timed: int = 0
    powered: int = 1
    top: int = 2
    least: int = 3
    after: int = 4
    size: int = 5


SLOT, LAYER = _SlotColumns(), _LayerColumns()


class Deals:
    """Problems of a source, in slots.

    Attributes:
        dealer: Where they come from.
        room: Rows of a slot: those of the longest problem's layers, and :data:`AHEAD` of none.
        number: (slots,) of the problem; -1 where there is none.
        steps, bandwidth, objective: (slots,)
        constants: (columns, slots) see :data:`SLOT`.
        others: (slots, 3) the prices of what is not constrained.
        by_area: (slots,) whether area is what is constrained.
        contexts: (slots, entries) what is observed at all steps.
        block, row: (slots x room,) of each layer, in the pool; its last row is of none.
        layer: (columns, slots x room) see :data:`LAYER`.
        remaining: (slots x room, entries) what is observed of the layers from each on.

    Args:
        dealer: Where they come from.
        most: Layers of the longest problem.
        slots: How many.
        width: Entries of an observation, where what is observed is kept for all steps; else 0.
    """

    def __init__(self, dealer: Dealer, most: int, slots: int, width: int = 0) -> None:
        self.dealer, self.room = dealer, most + AHEAD
        rows = slots * self.room
        self.number = np.full(slots, -1)
        self.steps, self.bandwidth, self.objective = np.zeros((3, slots), np.int64)
        self.constants = np.ones((SLOT.size, slots))
        self.others = np.ones((slots, 3))
        self.by_area = np.zeros(slots, bool)
        self.contexts: Observations = np.zeros((slots, len(CONTEXT)), np.float32)
        self.block = np.zeros(rows, np.int64)
        self.row = np.full(rows, len(dealer.layers.shown) - 1, np.int64)
        self.layer = np.zeros((LAYER.size, rows))
        self.remaining: Observations = np.full((rows, len(REMAINING)), -1.0, np.float32)
        self._kept: Observations | None = np.zeros((rows, width), np.float32) if width else None

    def seen(self, at: Ints, slot: Ints, width: int) -> Observations:
        """(n, width) what is observed at rows (n,), whatever was chosen; what follows upon that is
        left to the caller."""
        if self._kept is not None and width == self._kept.shape[1]:
            return self._kept.take(at, axis=0)
        return self._seen(at, slot, width)

    def _seen(self, at: Ints, slot: Ints, width: int) -> Observations:
        out: Observations = np.empty((len(at), width), np.float32)
        layers, begin = self.dealer.layers.shown, 0
        ahead = layers.take(self.row.take(at[:, None] + np.arange(AHEAD)), axis=0)
        for part in (
            ahead.reshape(len(at), -1),
            self.remaining.take(at, axis=0),
            self.contexts.take(slot, axis=0),
        ):
            out[:, begin : begin + part.shape[1]] = part
            begin += part.shape[1]
        return out

    def put(self, numbers: Ints, slots: Ints) -> None:
        """Put problems (n,) into slots (n,)."""
        dealer, cells, source = self.dealer, self.dealer.cells, self.dealer.source
        recipes = source.recipes(numbers)
        rows, lengths = source.rows(recipes)
        blocks = np.repeat(recipes.style, lengths) * len(source.pool.layers) + rows
        least, budget = dealer.budgets(recipes, blocks, lengths)
        limit = budget * (1 + BUDGET_RTOL)
        prices = dealer.prices(recipes)
        typical = cells.uniform(recipes, prices, lengths, limit)
        none = np.flatnonzero(np.isinf(typical))
        if len(none):
            typical[none] = dealer.equal_shares(
                recipes.some(none),
                Prices(*(value[none] for value in prices)),
                blocks[ranges((np.cumsum(lengths) - lengths)[none], lengths[none])],
                lengths[none],
                limit[none],
            )
        cap = CappedReward.CAP * (typical / lengths)
        objective, machine, bandwidth = (
            np.repeat(each, lengths)
            for each in (recipes.objective, recipes.machine, recipes.bandwidth)
        )
        best, worst = _ranges_of(cells.costs, objective, machine, bandwidth, blocks).T
        top = np.minimum(worst, np.maximum(np.repeat(cap, lengths), CappedReward.CAP * best))
        span = np.add.reduceat(top - best, np.cumsum(lengths) - lengths)
        span[span <= 0] = 1.0

        self.steps[slots] = lengths
        self.bandwidth[slots], self.objective[slots] = recipes.bandwidth, recipes.objective
        untimed, unpowered = recipes.objective == ENERGY, recipes.objective == LATENCY
        self.constants[:, slots] = limit, span, untimed, unpowered, *prices
        self.by_area[slots] = recipes.constraint == 0
        other = dealer.prices(recipes._replace(constraint=1 - recipes.constraint))
        self.others[slots] = np.stack([other.pe, other.l1, other.l2], axis=1)
        self.contexts[slots] = dealer.contexts(recipes, lengths, limit)
        at = ranges(slots * self.room, lengths)
        self.block[at], self.row[at] = blocks, rows
        repeat = cells.repeat[rows]
        timed = np.where(objective == ENERGY, 0.0, repeat)
        powered = np.where(objective == LATENCY, 0.0, repeat)
        self.layer[:, at] = timed, powered, top, least, _after(least, lengths)
        self.remaining[at] = dealer.layers.remaining(rows, lengths)
        none = ((slots * self.room + lengths)[:, None] + np.arange(AHEAD)).ravel()
        self.row[none], self.remaining[none] = len(dealer.layers.shown) - 1, -1.0
        if self._kept is not None:
            at, slot = ranges(slots * self.room, lengths + 1), np.repeat(slots, lengths + 1)
            self._kept[at] = self._seen(at, slot, self._kept.shape[1])
        self.number[slots] = numbers  # last: others may be looking


def _ranges_of(table: Floats, *which: Ints) -> Floats:
    """(n, 2): entries of a table (..., 2), in a third of the time that indexing takes."""
    at = np.ravel_multi_index(which, table.shape[:-1])
    return table.reshape(-1, 2).take(at, axis=0)


def _after(least: Floats, lengths: Ints) -> Floats:
    """(layers,): what those after each, of the same problem, take at least; added up from the last
    on, as a problem given by tables does."""
    done = np.arange(int(lengths.max())) < lengths[:, None]
    padded = np.zeros(done.shape)
    padded[done] = least
    after = np.zeros(done.shape)
    after[:, :-1] = np.cumsum(padded[:, :0:-1], axis=1)[:, ::-1]
    found: Floats = after[done]
    return found
