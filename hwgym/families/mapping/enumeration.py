"""The best of all mappings whose tiles divide, by enumeration that proves it.

With such tiles a problem falls apart. Energy and the shared buffer depend on the level over the
array alone: its clusters, spread dimension, tiles and order. The cycles of an iteration of it
depend on its tile and on the cluster alone, and the fewer they are the less is the latency. So all
that the level over the array needs to know of what is inside a cluster is the fastest way to do its
tile: a small search for each tile and number of clusters, and only where a bound leaves the level a
chance. That level's points are looked at best bound first, until the bound reaches the best found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from hwgym._arrays import Array, Floats, Ints, rows_by
from hwgym.costs.maestro import Mappings
from hwgym.costs.maestro.even import EvenLevel, Known
from hwgym.costs.maestro.levels import Interconnect
from hwgym.families.mapping.space import MappingSpace, divisors

__all__ = ["Best", "Search", "elements_of", "interconnect"]

MOST_POINTS = 40_000_000
"""Points of the level over the array, whatever their order, that are bounded."""
MOST_INNER = 4_000
"""Tiles whose fastest way inside a cluster is searched, a hundredth of a second each."""
FIRST, CHUNK = 1 << 9, 1 << 15
"""Points whose orders are looked at together: at first, and then."""
EAGER, BATCH = 8, 64
"""Of a tile in a cluster, what is tried before all else; tiles searched together."""
MESH = 1 << 18
"""Points asked at once whether the shared buffer holds them."""
NEVER = np.iinfo(np.int64).max

Worth = Callable[[Array, Array], Floats]
"""An objective of elements and cycles, no less with more of either."""


def interconnect(space: MappingSpace) -> Interconnect:
    """The hardware's network, lanes and off-chip bandwidth."""
    return Interconnect.of(space.hardware.interconnect.arrays())


def elements_of(space: MappingSpace) -> tuple[int, int, int]:
    """Elements of the layer's inputs, weights and outputs."""
    k, c, y, x, r, s, depthwise = space.layer.shape
    return c * y * x, k * c * r * s, (c if depthwise else k) * (y - r + 1) * (x - s + 1)


@dataclass(frozen=True)
class Best:
    """The best mapping found.

    Attributes:
        mapping: One row.
        elements: Of its energy: read from the shared buffer and written to it.
        cycles: Of its latency.
        value: Of the objective, in elements and cycles.
        lower_bound: No mapping of tiles that divide is below it; ``value`` if that is proven to be
            the least, 0 if not all were looked at.
    """

    mapping: Mappings
    elements: int
    cycles: int
    value: float
    lower_bound: float

    @property
    def proven(self) -> bool:
        """Whether it is the best there is."""
        return self.value == self.lower_bound


class _Inner(NamedTuple):
    """The fastest way to do a tile in a cluster."""

    cycles: int
    cluster: int
    spread: int
    tile: tuple[int, ...]
    order: tuple[int, ...]


class _Points(NamedTuple):
    """Points of the level over the array, but for their order: (N,) each, ``tile`` (N, 4)."""

    spread: Ints
    units: Ints
    tile: Ints


_Key = tuple[int, ...]
"""Clusters of an array, and the tile of each."""


class _Chances(NamedTuple):
    """Points in an order that may be better than the best found, (N,) each.

    ``worth`` is what they are worth at least, ``row`` which points, ``order`` which of ``orders``,
    ``elements`` what they move.
    """

    orders: tuple[tuple[int, ...], ...]
    worth: Floats
    row: Ints
    order: Ints
    elements: Ints

    def take(self, rows: Any) -> _Chances:
        return _Chances(self.orders, *(v[rows] for v in self[1:]))


class _Timed(NamedTuple):
    """A point in an order with the best inside its clusters."""

    value: float
    spread: int
    tile: tuple[int, ...]
    order: tuple[int, ...]
    inner: _Inner
    elements: int
    cycles: int


class Search:
    """All mappings of a space whose tiles divide.

    Args:
        space: The layer, the hardware, and whether MAESTRO's defects are mended.
        clusters: PEs of a cluster; by default all that the space has.
        orders: The loops over the array and in a cluster, outermost first; by default any.
    """

    def __init__(
        self,
        space: MappingSpace,
        clusters: Sequence[int] | None = None,
        orders: tuple[Sequence[int], Sequence[int]] | None = None,
    ) -> None:
        self.space, self.orders = space, orders
        self.noc = interconnect(space)
        self.dims: list[int] = space.parallels.tolist()
        self.tiles = [np.array(divisors(size)) for size in space.sizes.tolist()]
        self.inputs, self.weights, self.outputs = elements_of(space)
        self._clusters: dict[int, list[int]] = {}
        for size in (space.clusters if clusters is None else np.array(clusters)).tolist():
            self._clusters.setdefault(space.hardware.num_pes // size, []).append(size)
        self._units = np.array(sorted(self._clusters))
        most = max(MOST_POINTS // (len(self.dims) * int(np.prod([len(t) for t in self.tiles]))), 1)
        self.complete = len(self._units) <= most
        if not self.complete:  # some of them, from few clusters to many
            some = np.linspace(0, len(self._units) - 1, most).astype(np.int64)
            self._units = self._units[some]
        self._shape = (4, len(self._units), *(len(t) for t in self.tiles))
        self._fastest: dict[_Key, _Inner] = {}

    def best(self, objective: str | Worth, cap: float = np.inf) -> Best | None:
        """The mapping of least ``energy``, ``latency``, ``edp``, or whatever else grows with
        elements and cycles, that takes at most ``cap`` cycles; None if none was found."""

        def worth(elements: Array, cycles: Array) -> Floats:
            if callable(objective):
                value = objective(elements, cycles)
            else:
                value = np.asarray(cycles if objective == "latency" else elements, np.float64)
                if objective == "edp":
                    value = value * cycles
            return np.where(cycles <= cap, value, np.inf)

        timed = objective != "energy" or bool(np.isfinite(cap))
        codes, bounds = self._bounded(worth)
        best: _Timed | None = None
        limit, start, step, ends = np.inf, 0, FIRST, len(self._fastest) + MOST_INNER
        while start < len(codes) and bounds[start] < limit:
            stop = min(start + step, int(np.searchsorted(bounds, limit)))
            points = self._points(codes[start:stop])
            chances = self._chances(points, worth, limit, timed=timed)
            done, few = 0, 1
            while done < len(chances.worth) and chances.worth[done] < limit:
                if len(self._fastest) >= ends:
                    break
                some = chances.take(slice(done, done + few))
                found = self._timed(points, some.take(some.worth < limit), worth)
                if found.value < limit:
                    limit, best = found.value, found
                done, few = done + few, BATCH
            else:
                start, step = stop, CHUNK
                continue
            break
        if best is None:
            return None
        inner = best.inner
        mapping = Mappings(
            np.array([inner.cluster]),
            np.array([[best.spread, inner.spread]]),
            np.array([[best.tile, inner.tile]]),
            np.array([self.orders or [self._whole(best.order), self._whole(inner.order)]]),
        )
        lower = min(limit, float(bounds[start])) if start < len(bounds) else limit
        return Best(mapping, best.elements, best.cycles, limit, lower if self.complete else 0.0)

    def _turning(self, level: int, dims: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """The orders of the loops of a level that turn."""
        if self.orders is None:
            yield from permutations(dims)
        else:
            yield tuple(d for d in self.orders[level] if d in dims)

    def _whole(self, order: Sequence[int]) -> list[int]:
        """An order with the dimensions that it leaves out, whose place means nothing."""
        rest = [d for d in self.dims if d not in order]
        return [*(d for d in range(4) if d not in self.dims), *order, *rest]

    # --- the level over the array ---------------------------------------------------------------

    def _level(
        self, spread: int, units: Any, tile: Sequence[Any], order: Sequence[int]
    ) -> EvenLevel:
        space = self.space
        sizes = space.sizes.tolist()
        return EvenLevel(
            sizes, tile, space.filters, units, spread, order, space.depthwise, space.fixed
        )

    def _offchip(self, level: EvenLevel) -> Ints:
        """Cycles that an iteration takes at least: to fill or drain half of the shared buffer."""
        first = level.first
        filled = 2 * (first.inputs + first.weights) // self.noc.offchip
        least: Ints = np.maximum(filled, 2 * first.outputs // self.noc.offchip) // 2
        return least

    def _points(self, codes: Ints) -> _Points:
        spread, units, *tile = np.unravel_index(codes, self._shape)
        tiles = [t[i] for t, i in zip(self.tiles, tile, strict=True)]
        return _Points(spread, self._units[units], np.stack(tiles, axis=1))

    def _bounded(self, worth: Worth) -> tuple[Ints, Floats]:
        """All points that the shared buffer holds and that may be worth something: their codes, and
        what they are worth at least, whatever their order; least first."""
        shape = self._shape[2:]
        mesh = [
            t.reshape([-1 if axis == d else 1 for axis in range(-1, 4)])
            for d, t in enumerate(self.tiles)
        ]
        step = max(MESH // int(np.prod(shape)), 1)
        codes, bounds = [], []
        for spread in self.dims:
            for start in range(0, len(self._units), step):
                units = self._units[start : start + step]
                level = self._level(spread, units.reshape(-1, 1, 1, 1, 1), mesh, self.dims)
                fits = (level.request <= self.space.hardware.l2_bytes) & ~level.forgets
                which, *tile = np.nonzero(np.broadcast_to(fits, (len(units), *shape)))
                at = (np.full(len(which), spread), which + start, *tile)
                code = np.ravel_multi_index(at, self._shape)
                bound = worth(*self._least(spread, self._points(code)))
                some = np.isfinite(bound)
                codes.append(code[some])
                bounds.append(bound[some])
        bound = np.concatenate(bounds)
        order = np.argsort(bound, kind="stable")
        return np.concatenate(codes)[order], bound[order]

    def _least(self, spread: int, points: _Points) -> tuple[Ints, Ints]:
        """Elements and cycles of points of the same spread dimension, at least, whatever the order.

        A tensor is read least where the loops that it does not go through are the innermost ones.
        """
        tile, units = list(points.tile.T), points.units
        turning = [d for d in self.dims if len(self.tiles[d]) > 1 or d == spread]
        level = self._level(spread, units, tile, self.dims)
        reads: Ints = np.zeros(1, np.int64)
        for tensor, dims in (("input", (1, 2, 3)), ("weight", (0, 1))):
            through = [d for d in turning if d in dims]
            past = [d for d in turning if d not in dims]
            each = [
                level.in_order((*order, *past)).moved([tensor])[0]
                for order in permutations(through)
            ]
            reads = reads + np.min(each, axis=0)
        reads = np.maximum(reads, self.inputs + self.weights)
        (sent,) = level.moved(["output"])
        sent = np.maximum(sent, self.outputs)
        elements = self.inputs + self.weights + reads + sent

        compute, first, turns = self._compute(points), level.first, level.iterations
        bandwidth, idle = self.noc.bandwidth, self.noc.latency - 1
        busy = turns * np.maximum(compute, self._offchip(level))
        busy = busy + self.noc.delay(first.inputs + first.weights)
        brought = -(-reads // bandwidth) + idle * turns
        drained = -(-(sent - first.outputs) // bandwidth) + idle * (turns - 1) + compute
        return elements, np.maximum(busy, np.maximum(brought, drained))

    def _compute(self, points: _Points) -> Ints:
        """Cycles of an iteration, at least: steps of the busiest PE of the widest cluster, and its
        first ingress."""
        widest = np.array([max(self._clusters[units]) for units in self._units.tolist()])
        pes = widest[np.searchsorted(self._units, points.units)]
        steps = []
        for spread in self.dims:
            share = [-(-t // pes) if d == spread else t for d, t in enumerate(points.tile.T)]
            steps.append(np.prod([*share], axis=0) * int(np.prod(self.space.filters)))
        least: Ints = -(-np.min(steps, axis=0) // self.noc.lanes) + self.noc.latency
        return least

    def _chances(self, points: _Points, worth: Worth, limit: float, *, timed: bool) -> _Chances:
        """Points in every order that differs, where they may be worth less than a limit; least
        first."""
        turns = self.space.sizes // points.tile
        compute = self._compute(points)
        moves = (turns > 1) << np.arange(4)
        kind = 4 * (moves.sum(axis=1) | 1 << points.spread) + points.spread
        orders: list[tuple[int, ...]] = []
        found: list[tuple[Array, ...]] = []
        for each, rows in rows_by(kind):
            tile, units = list(points.tile[rows].T), points.units[rows]
            dims = [d for d in self.dims if each // 4 >> d & 1]
            known: Known = {}
            first = self._level(each % 4, units, tile, dims)
            offchip = self._offchip(first)
            for order in self._turning(0, dims):
                level = first.in_order(order)
                inputs, weights, outputs = level.moved()
                elements = inputs + weights + outputs + self.inputs + self.weights
                cycles = compute[rows]
                if timed:
                    cycles = level.runtime(self.noc, cycles, offchip, known)
                value = worth(elements, cycles)
                good = np.flatnonzero(value < limit)
                same = np.full(len(good), len(orders))
                found.append((value[good], rows[good], same, elements[good]))
                orders.append(order)
        chances = _Chances(tuple(orders), *map(np.concatenate, zip(*found, strict=True)))
        return chances.take(np.argsort(chances.worth, kind="stable"))

    def _timed(self, points: _Points, chances: _Chances, worth: Worth) -> _Timed:
        """The first of the chances that are worth least with the best inside their clusters."""
        rows = chances.row
        tiles, units, spread = points.tile[rows], points.units[rows], points.spread[rows]
        keys = list(map(tuple, np.column_stack([units, tiles]).tolist()))
        self._search_inner([key for key in dict.fromkeys(keys) if key not in self._fastest])
        inner = [self._fastest[key] for key in keys]
        below = np.array([each.cycles for each in inner])
        cycles = np.zeros(len(rows), np.int64)
        alike = 4 * chances.order + spread
        for each, some in rows_by(alike):
            order, tile = chances.orders[each // 4], list(tiles[some].T)
            level = self._level(each % 4, units[some], tile, order)
            cycles[some] = level.runtime(self.noc, below[some], self._offchip(level))
        value = worth(chances.elements, cycles)
        i = int(value.argmin())
        return _Timed(
            float(value[i]), int(spread[i]), keys[i][1:], chances.orders[chances.order[i]],
            inner[i], int(chances.elements[i]), int(cycles[i]),
        )  # fmt: skip

    # --- inside a cluster -----------------------------------------------------------------------

    def _search_inner(self, keys: Sequence[_Key]) -> None:
        """Find the fastest way to do tiles in a cluster, of arrays of so many each."""
        if not keys:
            return
        parts = []
        for i, (units, *whole) in enumerate(keys):
            mesh = [t.ravel() for t in np.meshgrid(*map(divisors, whole), indexing="ij")]
            fits = self.space.l1_bytes(mesh) <= self.space.hardware.l1_bytes
            tiles = np.stack([t[fits] for t in mesh])
            for cluster in self._clusters[units]:
                for spread in self.dims:
                    fixed = np.array([i, cluster, spread, *whole])[:, None]
                    parts.append(np.vstack([np.repeat(fixed, tiles.shape[1], axis=1), tiles]))
        rows = np.concatenate(parts, axis=1)
        least = self._least_inner(rows)
        order = np.lexsort((least, rows[0]))
        rows, least = rows[:, order], least[order]
        place = np.arange(len(least)) - np.searchsorted(rows[0], rows[0])  # by bound, of its key
        best = [_Inner(NEVER, 0, 0, (), ())] * len(keys)
        for some in (place < EAGER, place >= EAGER):
            cycles = np.array([b.cycles for b in best])
            some = np.flatnonzero(some & (least < cycles[rows[0]]))
            self._time_inner(rows[:, some], best)
        self._fastest |= dict(zip(keys, best, strict=True))

    def _inner_level(self, rows: Ints, spread: int, order: Sequence[int]) -> EvenLevel:
        space = self.space
        return EvenLevel(
            list(rows[3:7]), list(rows[7:]), space.filters, rows[1], spread, order,
            space.depthwise, space.fixed,
        )  # fmt: skip

    def _least_inner(self, rows: Ints) -> Ints:
        """Cycles at least, whatever the order: steps of the busiest PE, and the first ingress."""
        least = np.zeros(rows.shape[1], np.int64)
        for spread in self.dims:
            some = np.flatnonzero(rows[2] == spread)
            level = self._inner_level(rows[:, some], spread, self.dims)
            steps = level.iterations * -(-level.first.work // self.noc.lanes)
            least[some] = steps + self.noc.delay(level.first.inputs + level.first.weights)
        return least

    def _time_inner(self, rows: Ints, best: list[_Inner]) -> None:
        """Replace the best of every key by what is faster among rows, in any order."""
        turns = (rows[3:7] > 1) * (1 << np.arange(4))[:, None]
        kind = 4 * (turns.sum(axis=0) | 1 << rows[2]) + rows[2]
        for each, own in rows_by(kind):
            some = rows[:, own]
            first = np.flatnonzero(np.diff(some[0], prepend=-1))
            dims = [d for d in self.dims if each // 4 >> d & 1]
            known: Known = {}
            level = self._inner_level(some, each % 4, dims)
            for order in self._turning(1, dims):
                cycles = level.in_order(order).runtime(self.noc, known=known)
                cycles = np.broadcast_to(cycles, some.shape[1])
                for start, least in zip(first, np.minimum.reduceat(cycles, first), strict=True):
                    key = int(some[0, start])
                    if least < best[key].cycles:
                        i = start + int((cycles[start:] == least).argmax())
                        tile = tuple(some[7:, i].tolist())
                        best[key] = _Inner(int(least), int(some[1, i]), each % 4, tile, order)
