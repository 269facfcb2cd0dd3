"""The analysis of mappings whose every row has loops of its own.

:mod:`hwgym.costs.maestro.analysis` takes many rows of one dataflow: its axes are the dataflow's
maps, in their order. Here order and spread dimension are data, so the axes are the dimensions, and
what the reference decides by order becomes a comparison of ranks. What makes it fast:

- A case brings in what its innermost loop that has moved on changes, and that loop's value is the
  same at all positions of the others: values stand in tables over *which* loops have moved on (two
  states a dimension), not over all cases (three).
- Traffic and work of whole levels are products of sums over each dimension, never sums over cases.
- Only delays are compared case by case.

It says what the reference says where a level spreads one dimension and every case computes
something. Rows that are not so are told (``irregular``) and left to the other analysis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym.costs.maestro.arithmetic import ceil_quotient, quotient
from hwgym.costs.maestro.cases import Totals
from hwgym.costs.maestro.levels import INPUTS, TENSORS, Interconnect

__all__ = ["DIMS", "Answer", "Nest", "Outermost", "analyse", "outermost"]

DIMS = "KCYXRS"
ROWS, COLUMNS = 2, 3  # of the input, among DIMS; their filters are two further on
CELLS = 1 << 16
"""Cases x rows analysed at once: what they touch stays in cache."""

TOGETHER = 1 << 12
"""Rows whose levels below are asked for in one call."""

INIT, STEADY, EDGE = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Nest:
    """A level, per row: arrays (dimensions, rows) in the order of :data:`DIMS`, or (rows,).

    Where filters are held whole, as most mappings have it, the dimensions are the first four: no
    loop runs over the filter's.

    Attributes:
        filters: (2, rows) filter rows and columns that a unit holds.
        size, offset: Of each dimension's map, in input rows and columns.
        rank: Its place among the loops, outermost first.
        spread: (rows,) the dimension spread over the units.
        units: (rows,).
        edge, fresh, fresh_edge: What a unit holds at the edge; what of it is new to it, and new at
            the edge.
        outputs, outputs_edge: (2, rows) rows and columns of output that a unit's tile makes.
        edge_units: (rows,) units at work in the last, partial iteration of the spread dimension.
        irregular: (rows,) some case may compute nothing.
        fixed: Resolved as it should be, not as the reference has it.
    """

    filters: Ints
    size: Ints
    offset: Ints
    rank: Ints
    spread: Ints
    units: Ints
    edge: Ints
    fresh: Ints
    fresh_edge: Ints
    outputs: Ints
    outputs_edge: Ints
    edge_units: Ints
    irregular: Bools
    fixed: bool

    @classmethod
    def of(
        cls, filters: Ints, size: Ints, offset: Ints, rank: Ints, spread: Ints, units: Ints,
        extent: Ints, *, fixed: bool = False,
    ) -> Nest:  # fmt: skip
        """Resolve a level on a tile of ``extent`` (dimensions, rows).

        ``fixed``: where a dimension has no edge, what is new at the edge is what is new anywhere.
        The reference takes it for nothing, so that the last of several units that fit exactly
        brings nothing in. A unit with a clipped tile is at work beside the full ones of the last
        iteration, where the reference forgets it; a unit that works alone there makes as many
        outputs as it has, not as it has inputs. And a tile is no larger than what is tiled.
        """
        if fixed:  # a tile is at most the whole
            size = np.minimum(size, extent)
            offset = np.minimum(offset, size)
        count = (extent - size) // offset  # of iterations after the first
        steady = np.maximum(count, 0)
        has_edge = (steady * offset + size < extent) | (size > extent)
        left = extent - (steady + 1) * offset
        left = np.where(left < 0, extent, left)
        edge = np.where(has_edge, left, size)
        new = np.minimum(size, offset)
        fresh_edge = np.maximum(offset - size + left, 0)
        if fixed:
            fresh_edge = np.where(has_edge, fresh_edge, new)
        columns = np.arange(len(spread))
        fresh = np.where(extent <= size, 0, new)
        fresh[spread, columns] = new[spread, columns]
        outputs = size[ROWS : COLUMNS + 1] - filters + 1
        outputs_edge = edge[ROWS : COLUMNS + 1] - (edge[4:] if len(edge) > 4 else filters) + 1
        return cls(
            filters, size, offset, rank, spread, units, edge, fresh, fresh_edge, outputs,
            outputs_edge,
            _edge_units(
                size[spread, columns], offset[spread, columns], extent[spread, columns], units,
                count[spread, columns], fixed=fixed,
            ),
            np.minimum(np.minimum(edge.min(axis=0), outputs.min(axis=0)), outputs_edge.min(axis=0))
            <= 0,
            fixed,
        )  # fmt: skip

    def take(self, rows: Ints) -> Nest:
        return self._each(lambda v: v.take(rows, axis=-1))

    def part(self, rows: slice) -> Nest:
        return self._each(lambda v: v[..., rows])

    def _each(self, change: Callable[[Array], Array]) -> Nest:
        arrays = {n: change(v) for n, v in vars(self).items() if n != "fixed"}
        return Nest(**arrays, fixed=self.fixed)

    def held(self, coupled: Sequence[int]) -> Ints:
        """(rows,) elements that a unit holds of a tensor with these dimensions."""
        volume = _product([self.size[j] for j in coupled if j < len(self.size)], self.spread)
        if len(self.size) == 4 and not {4, 5}.isdisjoint(coupled):
            volume = volume * self.filters[0] * self.filters[1]
        return volume

    def on(self, extent: Ints) -> Nest:
        """The same loops on another tile, as they should be (``fixed``)."""
        return Nest.of(
            self.filters, self.size, self.offset, self.rank, self.spread, self.units, extent,
            fixed=True,
        )  # fmt: skip


def _edge_units(
    size: Ints, offset: Ints, extent: Ints, units: Ints, count: Ints, *, fixed: bool
) -> Ints:
    covered = offset * (units - 1) + size
    left = extent - ((count + 1) // units) * offset * units
    busy = -(-(left - size) // offset) if fixed else (left - size) // offset
    later = np.where(left < size, 1, busy + 1)
    first = count + 1 + (offset * count + size < extent)
    return np.where(extent <= size, 1, np.where(extent > covered, later, first))


@dataclass(frozen=True, eq=False)
class Answer:
    """What levels below the outermost say, (rows,) each."""

    runtime: Ints
    active_units: Floats
    irregular: Bools


@dataclass(frozen=True, eq=False)
class Outermost:
    """What the level over the array says by itself, (rows,) each: elements read, written, needed
    at first (the buffer's two halves each hold so much), and cycles on the interconnect."""

    read: dict[str, Ints]
    written: Ints
    first: dict[str, Ints]
    ingress_cycles: Ints
    egress_cycles: Ints
    irregular: Bools


def analyse(
    levels: Sequence[Nest],
    dims: Ints,
    noc: Interconnect,
    *,
    depthwise: bool,
    fixed: bool = False,
    statistics: bool = True,
) -> tuple[Totals, Bools]:
    """Cost of mappings, and which rows the answer does not hold for.

    Args:
        levels: Outermost first, resolved.
        dims: (dimensions, rows) of the layers.
        noc: Of all rows, or each.
        depthwise: Whether these are depthwise layers.
        fixed: Resolve the levels below on the tiles that they get, not on the unclipped one.
        statistics: All of them; else only what the other fields do not need cases for: runtime,
            macs, buffers, reads and writes, and zeros for the rest.
    """
    parts, rows = [], []
    for cells, below in _with_below(levels, dims, noc, depthwise, fixed, statistics):
        parts.append(cells.totals(below, levels[-1].take(cells.rows), statistics))
        rows.append(cells.rows)
    gather = _gathering(rows)
    answers = [p[0] for p in parts]
    values: dict[str, Any] = {
        name: {k: gather([vars(a)[name][k] for a in answers]) for k in first}
        if isinstance(first, dict)
        else gather([vars(a)[name] for a in answers])
        for name, first in vars(answers[0]).items()
    }
    return Totals(**values), gather([p[1] for p in parts])


def outermost(nest: Nest, dims: Ints, noc: Interconnect, *, depthwise: bool) -> Outermost:
    """What a single level says; ``dims`` (dimensions, rows)."""
    found, rows = [], []
    for cells in _cells(nest, dims, noc, depthwise):
        found.append(cells.alone())
        rows.append(cells.rows)
    gather = _gathering(rows)
    return Outermost(
        {t: gather([f.read[t] for f in found]) for t in INPUTS},
        gather([f.written for f in found]),
        {t: gather([f.first[t] for f in found]) for t in TENSORS[False]},
        gather([f.ingress_cycles for f in found]),
        gather([f.egress_cycles for f in found]),
        gather([f.irregular for f in found]),
    )


def _gathering(rows: Sequence[Ints]) -> Callable[[Sequence[Array]], Array]:
    """What puts values of parts, which hold these rows, where they belong."""
    order = np.concatenate(rows)

    def gather(parts: Sequence[Array]) -> Array:
        found = np.empty(len(order), parts[0].dtype)
        found[order] = np.concatenate(parts)
        return found

    return gather


def _with_below(
    levels: Sequence[Nest],
    dims: Ints,
    noc: Interconnect,
    depthwise: bool,
    fixed: bool,
    statistics: bool,
) -> Iterator[tuple[_Cells, _Below | None]]:
    """The cases of the outermost of these levels, and what their units find below: asked together
    for as many rows as are worth a call."""
    waiting: list[_Cells] = []

    def answered() -> Iterator[tuple[_Cells, _Below]]:
        asked = [cells.asked() for cells in waiting]
        rows = np.concatenate([a.rows for a in asked])
        tiles = np.concatenate([a.dims for a in asked], axis=1)
        deeper = [level.take(rows) for level in levels[1:]]
        if fixed:
            deeper[0] = deeper[0].on(tiles)
        found = Answer(
            np.empty(len(rows), np.int64), np.empty(len(rows)), np.empty(len(rows), bool)
        )
        parts = _with_below(deeper, tiles, noc.take(rows), depthwise, fixed, statistics)
        for cells, below in parts:
            for name, values in vars(cells.answer(below, statistics)).items():
                vars(found)[name][cells.rows] = values
        start = 0
        for cells, a in zip(waiting, asked, strict=True):
            some = slice(start, start + len(a.rows))
            start = some.stop
            part = Answer(*(v[some] for v in vars(found).values()))
            yield cells, cells.spread_out(a, part, statistics)

    for cells in _cells(levels[0], dims, noc, depthwise):
        if not levels[1:]:
            yield cells, None
            continue
        waiting.append(cells)
        if sum(len(each.rows) for each in waiting) >= TOGETHER:
            yield from answered()
            waiting = []
    if waiting:
        yield from answered()


@dataclass(frozen=True, eq=False)
class _States:
    """What the iterations of a level go through, (dimensions, rows) or (rows,).

    Attributes:
        steady: Full iterations after the first.
        moves, edge: There are some; there is a clipped last one.
        whole, init_edge: The first covers the dimension; it reaches beyond its end.
        clipped: (rows,) at the spread dimension's edge the last busy unit gets less than a share.
        first: What is held in the first.
        later: Iterations after the first.
    """

    steady: Ints
    moves: Bools
    edge: Bools
    whole: Bools
    init_edge: Bools
    clipped: Bools
    first: Ints
    later: Ints

    @classmethod
    def of(cls, nest: Nest, dims: Ints) -> _States:
        size, offset = nest.size, nest.offset
        steady = (dims - size) // offset
        moves = (size < dims) & (steady > 0)
        edge = (dims >= size) & (steady * offset + size < dims)
        whole, init_edge = dims <= size, dims < size

        # The spread dimension, over all units at once.
        at = (nest.spread, np.arange(len(nest.spread)))
        tile, step, length, units = size[at], offset[at], dims[at], nest.units
        covered = tile + step * (units - 1)
        over_all = (steady[at] + 1) // units - 1
        left = length - (over_all + 1) * step * units
        busy = np.where(left < tile, 1, (left - tile) // step + 1)
        steady[at] = over_all
        moves[at] = (covered < length) & (over_all > 0)
        edge[at] = (length > covered) & (over_all * step * units + covered != length)
        whole[at], init_edge[at] = length <= covered, length < covered
        return cls(
            steady=steady,
            moves=moves,
            edge=edge,
            whole=whole,
            init_edge=init_edge,
            clipped=(busy - 1) * step + tile < left,
            first=np.where(init_edge, nest.edge, size),
            later=np.where(moves, steady, 0) + edge,
        )

    def take(self, rows: Ints) -> _States:
        return _States(*(v.take(rows, axis=-1) for v in vars(self).values()))

    def part(self, rows: slice) -> _States:
        return _States(*(v[..., rows] for v in vars(self).values()))


def _cells(nest: Nest, dims: Ints, noc: Interconnect, depthwise: bool) -> Iterator[_Cells]:
    """Rows that spread the same dimension, those that go through the same states side by side, a
    number that the cache holds at a time."""
    states = _States.of(nest, dims)
    number = len(dims)
    weights = 1 << np.arange(2 * number)
    code = weights[:number] @ states.moves + weights[number:] @ states.edge
    code = code + (nest.spread << 2 * number)
    order = np.argsort(code.astype(np.uint16), kind="stable")
    nest, states, noc, code = nest.take(order), states.take(order), noc.take(order), code[order]
    starts = np.flatnonzero(np.diff(code >> 2 * number, prepend=-1)).tolist()
    for start, end in zip(starts, [*starts[1:], len(code)], strict=True):
        s = int(nest.spread[start])
        begin = start
        while begin < end:
            stop = min(begin + CELLS // 8, end)
            some = slice(begin, stop)
            cases = np.prod(
                1 + states.moves[:, some].any(axis=1) + states.edge[:, some].any(axis=1)
            )
            stop = min(begin + max(CELLS // int(cases), 1), stop)
            some = slice(begin, stop)
            yield _Cells(
                nest.part(some), states.part(some), s, noc.take(some), order[some], depthwise
            )
            begin = stop


class _Cells:
    """The cases of rows of a level that spread the same dimension.

    The first axis of an array over cases is the spread dimension's, then come those dimensions
    along which some row moves (``axes``), then the rows. Along each are the positions that some row
    has: ``INIT``, and ``STEADY`` and ``EDGE``; in a row that has not, they count for no
    iteration.
    """

    def __init__(
        self,
        nest: Nest,
        states: _States,
        spread: int,
        noc: Interconnect,
        rows: Ints,
        depthwise: bool,
    ) -> None:
        self.nest, self.s, self.noc, self.rows = nest, spread, noc, rows
        self.depthwise = depthwise
        self.number = len(nest.size)  # of dimensions
        self.coupled = {
            t: frozenset(j for j in map(DIMS.index, names) if j < self.number)
            for t, names in TENSORS[depthwise].items()
        }
        self.steady, self.moves, self.edge = states.steady, states.moves, states.edge
        self.whole, self.init_edge = states.whole, states.init_edge
        self.clipped, self.first, self.later = states.clipped, states.first, states.later
        self.single, self.many = nest.edge_units == 1, nest.edge_units > 1
        self.any_init_edge = np.any(self.init_edge, axis=1).tolist()
        self.positions = [
            [INIT, *[STEADY] * int(m), *[EDGE] * int(e)]
            for m, e in zip(
                np.any(self.moves, axis=1).tolist(), np.any(self.edge, axis=1).tolist(), strict=True
            )
        ]
        self.axes = [j for j in range(self.number) if j != spread and len(self.positions[j]) > 1]
        self.irregular = nest.irregular
        # Elements of a filter where no dimension stands for them.
        self.filter = nest.filters[0] * nest.filters[1] if self.number == 4 else None
        self._tables()

    # --- arrays over cases ----------------------------------------------------------------------

    def _along(self, j: int, values: Array) -> Array:
        """(positions or 1, rows) as an array over cases along dimension j."""
        shape = [1] * (len(self.axes) + 2)
        shape[0 if j == self.s else 1 + self.axes.index(j)] = len(values)
        shape[-1] = values.shape[-1]
        return values.reshape(shape)

    def _held(self, j: int, first: Ints, size: Ints, edge: Ints) -> Ints:
        """What is held along dimension j at its positions, (positions or 1, rows)."""
        if EDGE not in self.positions[j]:  # where it moves on, the first is a full one
            return first[None]
        chosen = {INIT: first, STEADY: size, EDGE: edge}
        return np.stack([chosen[p] for p in self.positions[j]])

    def _counts(self, j: int) -> Ints:
        """(positions, rows) iterations."""
        chosen = {
            INIT: np.ones_like(self.steady[j]),
            STEADY: np.where(self.moves[j], self.steady[j], 0),
            EDGE: self.edge[j].astype(np.int64),
        }
        return np.stack([chosen[p] for p in self.positions[j]])

    def _sum(self, values: Ints) -> Ints:
        """(rows,) the sum over all iterations of what each case has."""
        for j in self.axes[::-1]:
            counts = self._counts(j)
            if values.shape[-2] == 1 and len(counts) > 1:
                values = values[..., 0, :] * (1 + self.later[j])
            else:
                values = (values * counts).sum(axis=-2)
        counts = self._counts(self.s)
        if values.shape[0] == 1:
            total: Ints = values[0] * (1 + self.later[self.s])
            return total
        return np.asarray((values * counts).sum(axis=0))

    # --- over the units -------------------------------------------------------------------------

    def _over_units(
        self, p: int, first: Ints, first_clipped: Ints, rest: Ints, rest_clipped: Ints
    ) -> Ints:
        """Add something up over the units, at a position of the spread dimension."""
        everywhere = first + (self.nest.units - 1) * rest
        if p == STEADY or (p == INIT and not self.any_init_edge[self.s]):
            return everywhere
        init_edge = self.init_edge[self.s]
        clipped = init_edge if p == INIT else self.clipped
        others = np.maximum(self.nest.edge_units - clipped - 1, 0) * rest + clipped * rest_clipped
        at_edge = np.where(self.single & clipped, first_clipped, first)
        at_edge = at_edge + np.where(self.many, others, 0)
        return at_edge if p == EDGE else np.where(init_edge, at_edge, everywhere)

    # --- what is brought in ---------------------------------------------------------------------

    def _tables(self) -> None:
        """``first``: what the first case brings in, by tensor. ``table``: (spread positions, states
        of each axis (at its first iteration, later), [delay, input, weight], rows)."""
        s, positions = self.s, self.positions[self.s]
        rank = self.nest.rank
        self.start = {t: self._first_volume(t) for t in INPUTS}
        zero = np.zeros_like(rank[0])
        changes = [s, *self.axes] if len(positions) > 1 else self.axes
        values = {}
        for i in changes:
            volumes = [self._volumes(t, i) for t in INPUTS]
            stacked = np.empty((len(positions), 3, len(zero)), np.int64)
            for n, p in enumerate(positions):
                if i == s and p == INIT:
                    volume = [self.start[t] for t in INPUTS]
                else:
                    volume = [zero if v is None else v(p) for v in volumes]
                stacked[n, 1:] = volume
            values[i] = stacked
        if len(positions) == 1:
            values[s] = np.empty((1, 3, len(zero)), np.int64)
            values[s][0, 1:] = [self.start[t] for t in INPUTS]
        for stacked in values.values():
            stacked[:, 0] = self._delay(stacked[:, 1] + stacked[:, 2])
        table = values[s]
        highest = np.broadcast_to(rank[s], (len(positions), len(zero))).copy()
        highest[0] = -1
        for j in self.axes:
            inner = rank[j] > highest
            shape = (-1, *[1] * (table.ndim - 3), 3, len(zero))
            moved = np.where(inner[..., None, :], values[j].reshape(shape), table)
            table = np.stack([table, moved], axis=-3)
            highest = np.stack([highest, np.maximum(highest, rank[j])], axis=-2)
        self.table = table

    def _delay(self, traffic: Ints) -> Ints:
        return self.noc.delay(traffic)

    def _first_volume(self, tensor: str) -> Ints:
        coupled, s = self.coupled[tensor], self.s
        volume = _product([self.first[j] for j in coupled if j != s], self.first[0])
        if tensor == "weight" and self.filter is not None:
            volume = volume * self.filter
        if s in coupled:
            size, clipped = self.nest.size[s], self.first[s]
            first = np.where(self.single, clipped, size)
            volume = volume * self._over_units(INIT, first, clipped, size, clipped)
        return volume

    def _volumes(self, tensor: str, i: int) -> Callable[[int], Ints] | None:
        """What is brought in at a position of the spread dimension, where the innermost loop that
        has moved on is i's; None if nothing is."""
        coupled, s, nest = self.coupled[tensor], self.s, self.nest
        if i not in coupled:
            return None
        rank = nest.rank
        restarts = np.zeros(rank.shape[1], bool)
        for j in coupled:
            if j != i:
                restarts |= (rank[j] > rank[i]) & ~self.whole[j]
        factors = [self.first[j] for j in coupled if j not in (s, i)]
        if i != s:
            fresh = nest.fresh[i]
            factors.append(np.where(restarts, nest.size[i], np.maximum(fresh, 1)))
            stuck = ~restarts & (fresh == 0) & (self.later[i] > 0)
            if stuck.any():
                self.irregular = self.irregular | stuck
        if tensor == "weight" and self.filter is not None:
            factors.append(self.filter)
        volume = _product(factors, self.first[0])
        if s not in coupled:
            return lambda p: volume
        anew = restarts if i == s else rank[s] < rank[i]
        size, edge = nest.size[s], nest.edge[s]
        rest = np.where(anew, size, nest.fresh[s])
        rest_clipped = np.where(anew, edge, nest.fresh_edge[s])
        return lambda p: volume * self._over_units(p, size, edge, rest, rest_clipped)

    def _read(self) -> Ints:
        """([delay, input, weight], rows) of all iterations."""
        values = self.table
        for j in self.axes[::-1]:
            values = values[..., 0, :, :] + values[..., 1, :, :] * self.later[j]
        counts = self._counts(self.s)
        total: Ints = (values * counts[:, None, :]).sum(axis=0)
        return total

    # --- what is sent up, and computed ----------------------------------------------------------

    def _seen(self, j: int) -> tuple[Ints, Ints, Ints]:
        """Of dimension j as the output has it: first, full, at the edge."""
        nest = self.nest
        if j in (ROWS, COLUMNS):
            size, edge = nest.outputs[j - ROWS], nest.outputs_edge[j - ROWS]
            first = np.where(self.init_edge[j], edge, size) if self.any_init_edge[j] else size
            return first, size, edge
        return self.first[j], nest.size[j], nest.edge[j]

    def _factors(self, outputs: bool) -> list[tuple[int, Ints]]:
        """Along each dimension but the spread one, what of it outputs (or, else, what is added up
        for them) is held, (positions or 1, rows)."""
        coupled = self.coupled["output"]
        found = []
        for j in range(self.number):
            if j == self.s or (j in coupled) != outputs:
                continue
            held = (
                self._held(j, *self._seen(j))
                if outputs
                else self._held(j, self.first[j], self.nest.size[j], self.nest.edge[j])
            )
            found.append((j, held))
        return found

    def _unit_outputs(self, p: int, *, work: bool) -> tuple[Ints, Ints, Ints, Ints]:
        """Along the spread dimension: the first unit's, that clipped, another's, that clipped."""
        s, nest = self.s, self.nest
        of_output = s in self.coupled["output"]
        size, edge, alone = nest.size[s], nest.edge[s], nest.edge[s]
        fresh, fresh_edge = nest.fresh[s], nest.fresh_edge[s]
        if of_output and s in (ROWS, COLUMNS):
            fresh = np.minimum(nest.offset[s], nest.size[s])
            size, edge = nest.outputs[s - ROWS], nest.outputs_edge[s - ROWS]
            fresh_edge = np.minimum(nest.offset[s], edge)
            if nest.fixed:  # the reference counts the input's rows (columns) for the output's
                alone = edge
        if p == STEADY:
            return size, size, fresh, fresh
        if p == EDGE:
            return np.where(self.single, alone, size), alone, fresh, fresh_edge
        at = self.init_edge[s]
        shared = fresh_edge if of_output and not work else edge
        return size, np.where(at, edge, size), fresh, np.where(at, shared, fresh)

    def _sent_over_units(self) -> Ints:
        """(positions or 1, rows)."""
        if self.s not in self.coupled["output"]:
            return np.ones((1, len(self.rows)), np.int64)
        found = [
            self._over_units(p, *self._unit_outputs(p, work=False)) for p in self.positions[self.s]
        ]
        return np.stack(found)

    def _work_over_units(self) -> tuple[Ints, Ints]:
        """(positions, rows): of all units, and of the busiest."""
        s = self.s
        total, busiest = [], []
        for p in self.positions[s]:
            first, first_clipped, _, rest_clipped = self._unit_outputs(p, work=True)
            total.append(self._over_units(p, first, first_clipped, first, rest_clipped))
            if s in self.coupled["output"] and p != STEADY:
                at = self.init_edge[s] if p == INIT else self.clipped
                first = np.where(self.single & at, first_clipped, first)
            busiest.append(first)
        found = np.stack(total), np.stack(busiest)
        if self.filter is None:
            return found
        return found[0] * self.filter, found[1] * self.filter

    def _cased(self, factors: Sequence[tuple[int, Ints]], spread: Ints) -> Ints:
        """An array over cases: the product of what each dimension holds."""
        value = self._along(self.s, spread)
        for j, held in factors:
            value = value * (self._along(j, held) if j in self.axes else held[0])
        return value

    def _added(self, factors: Sequence[tuple[int, Ints]], spread: Ints) -> Ints:
        """(rows,) the sum over all iterations of such a product, which other dimensions repeat."""
        total = self._over(self.s, spread)
        given = {self.s}
        for j, held in factors:
            total = total * self._over(j, held)
            given.add(j)
        for j in self.axes:
            if j not in given:
                total = total * (1 + self.later[j])
        return total

    def _over(self, j: int, held: Ints) -> Ints:
        if len(held) == 1:
            once: Ints = held[0] * (1 + self.later[j])
            return once
        total: Ints = (held * self._counts(j)).sum(axis=0)
        return total

    # --- below ----------------------------------------------------------------------------------

    def asked(self) -> _Asked:
        """The tiles that sub-clusters get, full ones and clipped ones."""
        s, nest = self.s, self.nest
        split = [j for j in self.axes if EDGE in self.positions[j]]
        axes = [s, *split]
        bits = np.indices([2] * len(axes)).reshape(len(axes), -1)  # (axes, tiles)
        init_edge, edge = self.init_edge[s], self.edge[s]
        full = ~(init_edge & self.single)
        same = (nest.edge[s] == nest.size[s]) & full
        clipped = (init_edge | (edge & (self.single | self.clipped))) & ~same
        needed = np.ones((bits.shape[1], len(self.rows)), bool)
        for axis, j in enumerate(axes):
            at = bits[axis].astype(bool)
            needed[at] &= clipped if j == s else self.edge[j]
            if j == s:
                needed[~at] &= full
        tile, row = np.nonzero(needed)
        dims = self.first.copy()
        dims[s] = nest.size[s]
        dims = dims[:, row]
        for axis, j in enumerate(axes):
            at = bits[axis][tile].astype(bool)
            dims[j] = np.where(at, nest.edge[j][row], dims[j])
        return _Asked(self.rows[row], dims, split, tile, row, same)

    def spread_out(self, asked: _Asked, found: Answer, statistics: bool) -> _Below:
        """What the tiles cost, over the cases that have them."""
        if found.irregular.any():
            self.irregular = self.irregular.copy()
            self.irregular[asked.row[found.irregular]] = True
        axes = [self.s, *asked.split]

        def over_cases(values: Array) -> Array:
            table = np.zeros((2 ** len(axes), len(self.rows)), values.dtype)
            table[asked.tile, asked.row] = values
            table = table.reshape(*[2] * len(axes), len(self.rows))
            table[1] = np.where(asked.same, table[0], table[1])
            for axis, j in enumerate(self.axes, start=1):
                if j in asked.split:
                    places = [int(p == EDGE) for p in self.positions[j]]
                    table = table.take(places, axis=axis)
                else:
                    table = np.expand_dims(table, axis)
            return table

        active = over_cases(found.active_units) if statistics else None
        return _Below(over_cases(found.runtime), active)

    def _busy(self, p: int) -> tuple[Ints, Bools, Bools]:
        """At a position of the spread dimension: units at work, whether the last is clipped, and
        whether they are at the edge."""
        init_edge = self.init_edge[self.s]
        if p == STEADY:
            return self.nest.units, np.zeros_like(init_edge), np.zeros_like(init_edge)
        if p == EDGE:
            return self.nest.edge_units, self.clipped, np.ones_like(init_edge)
        return np.where(init_edge, self.nest.edge_units, self.nest.units), init_edge, init_edge

    def _computing(self, below: _Below | None) -> Ints:
        """An array over cases: cycles to compute."""
        if below is None:
            _, busiest = self._work_over_units()
            work = self._cased([*self._factors(True), *self._factors(False)], busiest)
            lanes = self.noc.lanes
            return work if lanes.ndim == 0 and lanes == 1 else ceil_quotient(work, lanes)
        runtime = []
        for p in self.positions[self.s]:
            busy, clipped, at_edge = self._busy(p)
            if p == STEADY or (p == INIT and not self.any_init_edge[self.s]):
                runtime.append(below.runtime[0])
                continue
            full = np.where(at_edge & self.single, below.runtime[1], below.runtime[0])
            full = np.where(busy - clipped > 0, full, 0)
            runtime.append(np.where(clipped, np.maximum(full, below.runtime[1]), full))
        return np.stack(runtime)

    def _active(self, below: _Below | None) -> Floats:
        """An array over cases: PEs at work."""
        found = []
        for p in self.positions[self.s]:
            busy, clipped, at_edge = self._busy(p)
            if below is None:
                found.append(busy.astype(np.float64))
                continue
            assert below.active is not None
            full = np.where(at_edge & self.single, below.active[1], below.active[0])
            some = busy - clipped
            units = np.where(some > 0, full * some, 0.0)
            units = np.where(clipped, units + below.active[1], units)
            found.append(np.where(units == 0, busy, units))
        active = np.stack(found)
        return active if below is not None else self._along(self.s, active)

    # --- together -------------------------------------------------------------------------------

    def _ingress(self, what: int | slice) -> Ints:
        """An array over cases of the table's delay, or what is brought in."""
        table = self.table[..., what, :]
        for axis, j in enumerate(self.axes, start=1):
            if len(self.positions[j]) == 3:
                table = table.take([0, 1, 1], axis=axis)
        return table

    def _delays(self, below: _Below | None) -> tuple[Ints, Ints, Ints, Ints]:
        sent = self._cased(self._factors(True), self._sent_over_units())
        return self._ingress(0), self._delay(sent), self._computing(below), sent

    def _cycles(self, ingress: Ints, egress: Ints, computing: Ints) -> Ints:
        cycles = np.maximum(np.maximum(egress, computing), ingress)
        start = (0,) * (cycles.ndim - 1)
        cycles[start] = computing[start] + ingress[start]  # nothing to overlap with yet
        return cycles

    def answer(self, below: _Below | None, statistics: bool) -> Answer:
        ingress, egress, computing, _ = self._delays(below)
        runtime = self._sum(self._cycles(ingress, egress, computing))
        active = np.zeros(len(self.rows))
        if statistics:
            active = self._mean(self._active(below))
        return Answer(runtime, active, self.irregular)

    def alone(self) -> Outermost:
        read = self._read()
        factors, spread = self._factors(True), self._sent_over_units()
        sent = self._cased(factors, spread)
        start = (0,) * (sent.ndim - 1)
        return Outermost(
            read={"input": read[1], "weight": read[2]},
            written=self._added(factors, spread),
            first={**self.start, "output": sent[start]},
            ingress_cycles=read[0],
            egress_cycles=self._sum(self._delay(sent)),
            irregular=self.irregular,
        )

    def totals(
        self, below: _Below | None, innermost: Nest, statistics: bool
    ) -> tuple[Totals, Bools]:
        ingress, egress, computing, sent = self._delays(below)
        start = (0,) * (sent.ndim - 1)
        request = {t: 2 * self.start[t] for t in INPUTS} | {"output": 2 * sent[start]}
        inputs = request["input"] + request["weight"]
        offchip = self.noc.offchip
        filled, drained = quotient(inputs, offchip), quotient(request["output"], offchip)
        cycles = self._cycles(ingress, egress, computing)
        runtime = self._sum(np.maximum(cycles, quotient(np.maximum(filled, drained), 2)))
        read = self._read()
        work, _ = self._work_over_units()
        factors = self._factors(True)
        everything = [*factors, *self._factors(False)]
        macs = self._added(everything, work)
        zero = np.zeros_like(runtime)
        delays = {"ingress": ingress, "egress": egress, "compute": computing}
        rest: dict[str, Any] = (
            self._statistics(delays, sent, self._cased(everything, work), request)
            if statistics
            else {
                "cases": zero, "peak_bandwidth": zero, "bandwidth_sum": zero,
                "offchip_bandwidth": zero, "intensity": zero.astype(np.float64),
                **{f"delay_{k}": dict.fromkeys(delays, zero) for k in ("sum", "min", "max")},
            }
        )  # fmt: skip
        held = {
            t: innermost.held([DIMS.index(d) for d in names])
            for t, names in TENSORS[self.depthwise].items()
        }
        return (
            Totals(
                runtime=runtime,
                active_units=self._mean(self._active(below))
                if statistics
                else zero.astype(np.float64),
                l1_bytes=2 * (held["input"] + held["weight"] + held["output"]),
                aborted=np.zeros(len(runtime), bool),
                is_leaf=np.full(len(runtime), below is None),
                macs=macs,
                l2_request=request,
                l2_read={"input": read[1], "weight": read[2]},
                l1_write_output=macs,
                l2_write_output=self._added(factors, self._sent_over_units()),
                **rest,
            ),
            self.irregular,
        )

    # --- all statistics, case by case -----------------------------------------------------------

    def _flat(self, values: Array) -> Array:
        """(cases, rows)."""
        shape = [len(self.positions[j]) for j in (self.s, *self.axes)]
        return np.broadcast_to(values, (*shape, len(self.rows))).reshape(-1, len(self.rows))

    def _times(self) -> Ints:
        """(cases, rows) iterations."""
        times = self._along(self.s, self._counts(self.s))
        for j in self.axes:
            times = times * self._along(j, self._counts(j))
        return self._flat(times)

    def _numbers(self) -> tuple[Ints, Ints]:
        """(cases, rows) each case's number in the reference's order; (rows,) how many there are."""
        sizes = 1 + self.moves.astype(np.int64) + self.edge
        loops = [self.s, *self.axes]
        rank = self.nest.rank
        total = _product([sizes[j] for j in loops], sizes[0])
        number = total[None]
        for j in loops:
            inner = _product(
                [np.where(rank[i] > rank[j], sizes[i], 1) for i in loops if i != j], sizes[0]
            )
            place = {
                INIT: np.zeros_like(inner),
                STEADY: np.ones_like(inner),
                EDGE: 1 + self.moves[j].astype(np.int64),
            }
            at = np.stack([-place[p] % sizes[j] * inner for p in self.positions[j]])
            number = number - self._along(j, at)
        return self._flat(number) % total, total

    def _mean(self, values: Floats) -> Floats:
        """(rows,) the mean over iterations, added up as the reference does: in its order of cases,
        each time rounded."""
        flat, times = self._flat(values), self._times()
        cases = times.sum(axis=0)
        total: Floats = np.einsum("ij,ij->j", flat, times.astype(np.float64))
        broken = np.flatnonzero((flat != np.floor(flat)).any(axis=0))
        if len(broken):
            number, _ = self._numbers()
            number = np.where(times > 0, number, np.iinfo(np.int64).max)[:, broken]
            order = np.argsort(number, axis=0)
            values = np.take_along_axis(flat[:, broken], order, axis=0)
            often = np.take_along_axis(times[:, broken], order, axis=0)
            added = np.zeros(len(broken))
            for value, n in zip(values, often, strict=True):
                added = (value.astype(np.longdouble) * n + added).astype(np.float64)
            total[broken] = added
        mean: Floats = total / cases
        return mean

    def _statistics(
        self, delays: dict[str, Ints], sent: Ints, macs: Ints, request: dict[str, Ints]
    ) -> dict[str, Any]:
        times = self._times()
        occurs = times > 0
        number, count = self._numbers()
        flat = {name: self._flat(values) for name, values in delays.items()}
        brought = self._ingress(slice(1, 3)).sum(axis=-2)
        brought, sent, macs = (self._flat(v) for v in (brought, sent, macs))
        computing = np.maximum(flat["compute"], 1)
        flat["compute"] = computing
        traffic = np.maximum(brought, sent)
        peak = np.where(occurs, quotient(traffic, computing), 0).max(axis=0)
        inputs = request["input"] + request["weight"]
        need = quotient(np.maximum(request["output"], inputs), computing)
        halvings = np.where(occurs, np.minimum(count - number, 63), 63)
        last = occurs & (number == count - 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            intensity = (np.where(last, macs, 0).sum(axis=0)) / np.where(last, brought, 0).sum(
                axis=0
            )
        most = np.iinfo(np.int64).max
        return {
            "cases": times.sum(axis=0),
            "peak_bandwidth": np.maximum(peak, 0),
            "bandwidth_sum": quotient(times * traffic, computing).sum(axis=0),
            "offchip_bandwidth": np.where(occurs, need >> halvings, 0).max(axis=0),
            "delay_sum": {n: (times * v).sum(axis=0) for n, v in flat.items()},
            "delay_min": {n: np.where(occurs, v, most).min(axis=0) for n, v in flat.items()},
            "delay_max": {n: np.where(occurs, v, 0).max(axis=0) for n, v in flat.items()},
            "intensity": intensity,
        }


@dataclass(frozen=True, eq=False)
class _Asked:
    """Tiles that the level below is asked for.

    Attributes:
        rows: Of all mappings, whose each is.
        dims: (dimensions, tiles).
        split: Dimensions that have a clipped tile beside the full one.
        tile: Which combination of full and clipped each is.
        row: Of these cells, whose each is.
        same: (rows of these cells,) the clipped tile of the spread dimension is the full one.
    """

    rows: Ints
    dims: Ints
    split: list[int]
    tile: Ints
    row: Ints
    same: Bools


@dataclass(frozen=True, eq=False)
class _Below:
    """What units find below, over [full, clipped], then cases: cycles, and PEs at work."""

    runtime: Ints
    active: Floats | None


def _product(factors: Sequence[Ints], like: Ints) -> Ints:
    if not factors:
        return np.ones_like(like)
    found = factors[0]
    for factor in factors[1:]:
        found = found * factor
    return found
