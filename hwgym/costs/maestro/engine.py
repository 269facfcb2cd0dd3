"""The analysis: what a mapping costs, level by level and case by case.

MAESTRO (Kwon et al., MICRO 2019) walks a mapping's loops not one iteration at a time but one *case*
at a time. Along each dimension an iteration is the first (``INIT``), one of the full ones that
follow (``STEADY``) or the clipped last (``EDGE``); a case is one combination over all dimensions,
with the number of iterations it stands for. Each case has its traffic, its delay and, below it, one
or two sub-problems for the next level, of the tile that the case hands down.

Here every quantity is an int64 array over the rows of a query. Rows whose dimensions have the same
states share a list of cases, so they are grouped by that, and a case is straight-line arithmetic on
arrays. Divisions truncate towards zero, as they do in the reference.

Names: a *map* is one directive of a level; ``mapped`` is the indices a unit holds along a
dimension, ``mapped_edge`` what is left of that at the edge, ``fresh`` those that it does not
already hold from the iteration (or the unit) before, ``fresh_edge`` the same at the edge. ``OY``
and ``OX`` are the output's rows and columns, derived from Y and R, X and S.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from hwgym.costs.maestro.directives import Size, SpatialMap, TemporalMap

__all__ = ["Interconnect", "Level", "Totals", "analyse", "build_levels", "quotient"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_Rows = Ints | slice

INIT, STEADY, EDGE = 0, 1, 2

# Which dimensions address each tensor. Output rows and columns are reached through Y and X.
TENSORS = {
    False: {"input": "CYX", "weight": "KCRS", "output": "KYX"},
    True: {"input": "CYX", "weight": "CRS", "output": "CYX"},
}
INPUTS = ("input", "weight")
_SLIDES_OVER = {"Y": "R", "X": "S"}
_OUTPUT_OF = {"Y": "OY", "X": "OX"}


def quotient(a: Ints, b: Ints | int) -> Ints:
    """Integer division that truncates towards zero (C's), for ``b`` > 0."""
    q: Ints = a // b
    if a.min(initial=0) < 0:
        q += (a < 0) & (q * b != a)
    return q


def _ceil_quotient(a: Ints, b: Ints) -> Ints:
    """``quotient`` plus one where a remainder is left, whatever its sign (the NoC's send count)."""
    q = quotient(a, b)
    q += q * b != a
    return q


def _product(factors: Iterable[Ints], one: Ints) -> Ints:
    product = one
    for factor in factors:
        product = product * factor
    return product


@dataclass(frozen=True)
class Interconnect:
    """NoC bandwidth, zero-load latency, SIMD lanes, off-chip bandwidth: one for all rows (0-d
    arrays) or one for each."""

    bandwidth: Ints
    latency: Ints
    lanes: Ints
    offchip: Ints

    def take(self, rows: _Rows) -> Interconnect:
        return Interconnect(*(v if v.ndim == 0 else v[rows] for v in vars(self).values()))

    def delay(self, traffic: Ints) -> Ints:
        """Cycles to send ``traffic`` elements: head latency, then one flit a cycle."""
        if self.bandwidth.ndim == 0 and traffic.min() >= 0 and traffic.max() <= self.bandwidth:
            flits: Ints = (traffic > 0).astype(np.int64)  # it all goes in one
        else:
            flits = _ceil_quotient(traffic, self.bandwidth)
        return self.latency - 1 + flits


@dataclass(frozen=True)
class _Map:
    """One directive of a level, sizes resolved per row."""

    dim: str
    spatial: bool
    size: Ints
    offset: Ints
    mapped_edge: Ints
    fresh: Ints
    fresh_edge: Ints

    @property
    def mapped(self) -> Ints:
        return self.size

    def take(self, rows: _Rows) -> _Map:
        arrays = (self.size, self.offset, self.mapped_edge, self.fresh, self.fresh_edge)
        return _Map(self.dim, self.spatial, *(a[rows] for a in arrays))


@dataclass(frozen=True)
class Level:
    """A level of a mapping, resolved: its maps in order, its tile, its units.

    Attributes:
        maps: The directives, outermost first, one for every dimension.
        outputs: The same quantities for output rows (``OY``) and columns (``OX``).
        dims: The size of each dimension in the level's (unclipped) tile.
        units: How many sub-clusters (or PEs) the level has.
        edge_units: How many of them are busy in a spatial edge iteration.
    """

    maps: tuple[_Map, ...]
    outputs: dict[str, _Map]
    dims: dict[str, Ints]
    units: Ints
    edge_units: Ints

    def take(self, rows: _Rows) -> Level:
        return Level(
            tuple(m.take(rows) for m in self.maps),
            {k: m.take(rows) for k, m in self.outputs.items()},
            {k: v[rows] for k, v in self.dims.items()},
            self.units[rows],
            self.edge_units[rows],
        )


def _edge_units(m: _Map, dim: Ints, units: Ints) -> Ints:
    """How many units work in the last spatial iteration of a level's first spatial map."""
    size, offset = m.size, m.offset
    covered = offset * (units - 1) + size
    steady = quotient(quotient(dim - size, offset) + 1, units) - 1
    left = dim - (steady + 1) * offset * units
    later = np.where(left < size, 1, quotient(left - size, offset) + 1)
    first = quotient(dim - size, offset) + 1
    first = first + (offset * (first - 1) + size < dim)
    return np.where(dim <= size, 1, np.where(dim > covered, later, first))


def _resolve_map(dim: str, spatial: bool, size: Ints, offset: Ints, extent: Ints) -> _Map:
    steady = np.maximum(quotient(extent - size, offset), 0)
    has_edge = (steady * offset + size < extent) | (size > extent)
    left = extent - (steady + 1) * offset
    left = np.where(left < 0, extent, left)
    fresh = np.minimum(size, offset)
    if not spatial:  # a dimension held whole never brings anything new
        fresh = np.where(extent <= size, 0, fresh)
    return _Map(
        dim,
        spatial,
        size,
        offset,
        mapped_edge=np.where(has_edge, left, size),
        fresh=fresh,
        fresh_edge=np.maximum(offset - (size - left), 0),
    )


def _resolve_output(m: _Map, filter_: _Map) -> _Map:
    mapped_edge = m.mapped_edge - filter_.mapped_edge + 1
    return _Map(
        _OUTPUT_OF[m.dim],
        m.spatial,
        size=m.size - filter_.size + 1,
        offset=m.offset,
        mapped_edge=mapped_edge,
        fresh=np.minimum(m.offset, m.size),
        fresh_edge=np.minimum(m.offset, mapped_edge),
    )


def build_levels(
    maps: Sequence[Sequence[SpatialMap | TemporalMap]],
    cluster_sizes: Sequence[Size],
    dims: dict[str, Ints],
    stride: Ints,
    parameters: dict[str, Ints],
    *,
    depthwise: bool,
) -> tuple[list[Level], Bools]:
    """Resolve a mapping for every row.

    Args:
        maps: The directives of each level, outermost level first.
        cluster_sizes: Size of each ``Cluster`` directive.
        dims: K, C, Y, X, R, S of each row's layer.
        stride: Of each row's layer, the same along both axes.
        parameters: ``num_pes``, ``tile_k`` and ``cluster_size`` of each row.
        depthwise: Whether these are depthwise layers.

    Returns:
        The levels, and where the array is too small to hold one cluster (those rows are resolved as
        if it could, and mean nothing).
    """
    names = {**dims, **parameters}
    one = np.ones_like(stride)

    def value(size: Size) -> Ints:
        return names[size] if isinstance(size, str) else one * size

    clusters = [value(c) for c in cluster_sizes]
    units = parameters["num_pes"] // _product(clusters, one)
    too_small = units < 1
    units = np.maximum(units, 1)

    addressed = sorted(set("".join(TENSORS[depthwise][t] for t in INPUTS)))
    levels: list[Level] = []
    tile = dims
    above: list[tuple[str, bool, Ints, Ints]] = []
    for depth, level in enumerate(maps):
        directives = _input_centric(
            [(m.dim, isinstance(m, SpatialMap), value(m.size), value(m.offset)) for m in level]
        )
        given = {d[0] for d in directives}
        # A dimension not mentioned is inherited from the level above, else held whole.
        inherited = [(dim, False, s, o) for dim, _, s, o in above if dim not in given]
        directives = inherited[::-1] + directives
        given |= {d[0] for d in inherited}
        directives += [(d, False, tile[d], tile[d]) for d in addressed if d not in given]
        directives = [_strided(d, dims, stride, top=depth == 0) for d in directives]

        resolved = tuple(_resolve_map(*d, tile[d[0]]) for d in directives)
        by_dim = {m.dim: m for m in resolved}
        outputs = {
            _OUTPUT_OF[d]: _resolve_output(by_dim[d], by_dim[f]) for d, f in _SLIDES_OVER.items()
        }
        first_spatial = next(m for m in resolved if m.spatial)
        levels.append(
            Level(
                resolved,
                outputs,
                tile,
                units,
                _edge_units(first_spatial, tile[first_spatial.dim], units),
            )
        )
        above = directives
        tile = {d: np.minimum(by_dim[d].size, tile[d]) for d in addressed}
        if depth < len(clusters):
            units = clusters[depth]
    return levels, too_small


_Resolved = tuple[str, bool, Ints, Ints]


def _input_centric(directives: list[_Resolved]) -> list[_Resolved]:
    """Rewrite maps over output rows and columns as maps over the inputs that they need."""
    size_of = {d[0]: d[2] for d in directives}

    def rewrite(d: _Resolved) -> _Resolved:
        dim, spatial, size, offset = d
        if dim.endswith("'"):
            dim = dim[0]
            size = size + size_of[_SLIDES_OVER[dim]] - 1
        return dim, spatial, size, offset

    return [rewrite(d) for d in directives]


def _strided(d: _Resolved, layer: dict[str, Ints], stride: Ints, *, top: bool) -> _Resolved:
    """Widen a map over input rows or columns so that its windows step by the layer's stride."""
    dim, spatial, size, offset = d
    if dim not in _SLIDES_OVER or (stride == 1).all():
        return d
    filter_ = layer[_SLIDES_OVER[dim]]
    applies = (stride != 1) & (size >= filter_)
    windows = quotient(size + stride - filter_, stride)
    new_size = windows * np.minimum(stride, filter_) + np.maximum(filter_ - stride, 0)
    step = stride if top else np.minimum(stride, filter_)
    return (
        dim,
        spatial,
        np.where(applies, new_size, size),
        np.where(applies, windows * step, offset),
    )


@dataclass(frozen=True)
class _States:
    """The states that one map's iterations go through, per row.

    ``steady`` counts the steady iterations. ``init_whole``: the first iteration covers the
    dimension; ``init_edge``: it reaches past its end (then it is the only one). ``clipped_edge``,
    for spatial maps: the last busy unit of an edge iteration gets less than a full share.
    """

    steady: Ints
    has_steady: Bools
    has_edge: Bools
    init_whole: Bools
    init_edge: Bools
    clipped_edge: Bools

    def take(self, rows: _Rows) -> _States:
        return _States(*(getattr(self, f)[rows] for f in self.__dataclass_fields__))


def _states(m: _Map, dim: Ints, units: Ints) -> _States:
    size, offset = m.size, m.offset
    if not m.spatial:
        steady = quotient(dim - size, offset)
        return _States(
            steady=steady,
            has_steady=(size < dim) & (steady > 0),
            has_edge=(dim >= size) & (steady * offset + size < dim),
            init_whole=dim <= size,
            init_edge=dim < size,
            clipped_edge=np.zeros(dim.shape, bool),
        )
    covered = size + offset * (units - 1)
    stride = offset * units
    steady = quotient(quotient(dim - size, offset) + 1, units) - 1
    left = dim - (steady + 1) * stride
    busy = np.where(left < size, 1, quotient(left - size, offset) + 1)
    return _States(
        steady=steady,
        has_steady=(covered < dim) & (steady > 0),
        has_edge=(dim > covered)
        & ((steady + 1) * stride + covered > dim)
        & (steady * stride + covered != dim),
        init_whole=dim <= covered,
        init_edge=dim < covered,
        clipped_edge=(busy - 1) * offset + size < left,
    )


_Grid = tuple[tuple[int, ...], ...]
"""The positions that each map goes through; a case is one of each."""


@lru_cache(maxsize=8192)
def _grid(code: int, maps: int) -> _Grid:
    """The grid of rows whose maps have these states: two bits a map, has a steady state, has an
    edge state."""
    states = (code >> (2 * i) & 3 for i in range(maps))
    return tuple((INIT, *[STEADY] * (s & 1), *[EDGE] * (s >> 1)) for s in states)


@lru_cache(maxsize=8192)
def _cases(grid: _Grid) -> Ints:
    """(maps, cases): along which positions each case lies, in the reference's order of cases.

    The order matters where the reference lets a later case overwrite an earlier one.
    """
    sizes = [len(positions) for positions in grid]
    steps = [int(np.prod(sizes[i + 1 :])) for i in range(len(sizes))]
    number = np.arange(int(np.prod(sizes)))
    return np.array([-(-number // step) % size for step, size in zip(steps, sizes, strict=True)])


@lru_cache(maxsize=8192)
def _rows_of(grid: _Grid, shape: tuple[int, ...]) -> Ints:
    """For each case, where it is in an array over the grid that has been flattened; of length one
    along the maps that it does not depend on."""
    steps = np.append(np.cumprod(shape[:0:-1])[::-1], 1)
    rows: Ints = (_cases(grid) * ((np.array(shape) > 1) * steps)[:, None]).sum(axis=0)
    return rows


@dataclass
class Work:
    """What a level's work costs, per row.

    ``l1_bytes`` are elements (one byte each). ``aborted``: the reference stops with an error or a
    division by zero.
    """

    runtime: Ints
    active_units: Floats
    l1_bytes: Ints
    aborted: Bools


@dataclass
class Totals(Work):
    """What the outermost level costs, per row: sums and extremes over its cases.

    Counts are accesses; buffer requirements are elements. ``is_leaf``: no level below was ever
    asked.
    """

    is_leaf: Bools
    macs: Ints
    l2_request: dict[str, Ints]
    l2_read: dict[str, Ints]
    l1_write_output: Ints
    l2_write_output: Ints
    cases: Ints
    peak_bandwidth: Ints
    bandwidth_sum: Ints
    offchip_bandwidth: Ints
    delay_sum: dict[str, Ints]
    delay_min: dict[str, Ints]
    delay_max: dict[str, Ints]
    intensity: Floats


DELAYS = ("ingress", "egress", "compute")
NEVER, FOREVER = np.iinfo(np.int64).min, np.iinfo(np.int64).max
"""Untouched, the reference's least delay is the greatest 80-bit float; as an integer, this."""

BLOCK = 1 << 15
"""Cases x rows analysed at once: what they touch stays in cache."""

_W = TypeVar("_W", bound=Work)


def analyse(
    levels: Sequence[Level], dims: dict[str, Ints], noc: Interconnect, *, depthwise: bool
) -> Totals:
    """Cost of the outermost level (and, through it, of all below) for every row."""
    rows = np.arange(len(levels[0].units))
    return _analyse(levels, 0, dims, rows, noc, TENSORS[depthwise], _Block.totals)


def _analyse(
    levels: Sequence[Level],
    depth: int,
    dims: dict[str, Ints],
    points: Ints,
    noc: Interconnect,
    tensors: dict[str, str],
    run: Callable[[_Block, _Below | None], _W],
) -> _W:
    """Analyse level ``depth`` on tiles ``dims``; row i belongs to design point ``points[i]``."""
    level = levels[0] if depth == 0 else levels[depth].take(points)
    states = [_states(m, dims[m.dim], level.units) for m in level.maps]
    code = np.zeros(len(points), np.int64)
    for i, s in enumerate(states):
        code |= (s.has_steady.astype(np.int64) | s.has_edge.astype(np.int64) << 1) << (2 * i)

    # Rows side by side whose maps go through the same states: a block of them shares its cases.
    order = np.argsort(code.astype(np.uint16), kind="stable")  # 2 bits for each of 6 dimensions
    code, points = code[order], points[order]
    level, noc_here = level.take(order), noc.take(points)
    states = [s.take(order) for s in states]
    starts = np.flatnonzero(np.diff(code, prepend=-1)).tolist()
    blocks = []
    for start, end in zip(starts, [*starts[1:], len(code)], strict=True):
        grid = _grid(int(code[start]), len(states))
        step = max(BLOCK // int(np.prod([len(positions) for positions in grid])), 1)
        for begin in range(start, end, step):
            rows = slice(begin, min(begin + step, end))
            blocks.append(
                _Block(
                    level.take(rows),
                    [s.take(rows) for s in states],
                    grid,
                    noc_here.take(rows),
                    tensors,
                    points[rows],
                )
            )
    below: Sequence[_Below | None] = [None] * len(blocks)
    if depth + 1 < len(levels):
        below = _analyse_below(levels, depth + 1, blocks, noc, tensors)
    parts = [run(block, sub) for block, sub in zip(blocks, below, strict=True)]
    return _gather(parts, order)


def _gather(parts: list[_W], order: Ints) -> _W:
    """One struct of arrays from those of blocks; ``order`` says which rows theirs are."""

    def gather(arrays: list[NDArray[Any]]) -> NDArray[Any]:
        whole = np.empty(len(order), arrays[0].dtype)
        whole[order] = np.concatenate(arrays)
        return whole

    values: dict[str, Any] = {}
    for name, first in vars(parts[0]).items():
        if isinstance(first, dict):
            values[name] = {k: gather([getattr(p, name)[k] for p in parts]) for k in first}
        else:
            values[name] = gather([getattr(p, name) for p in parts])
    return type(parts[0])(**values)


@dataclass(frozen=True)
class _Tiles:
    """The different tiles that the cases of a block hand down: sizes (tiles, rows) by dimension,
    and which of them each case has, in the reference's order of cases."""

    dims: dict[str, Ints]
    of_case: Ints


class _Below(NamedTuple):
    """What a block's cases find below, (cases, rows): the work of a full sub-cluster and, where the
    last busy one may be clipped at a spatial edge, of that."""

    full: Work
    clipped: Work | None
    aborts: bool  # somewhere, so that it is worth a look


def _analyse_below(
    levels: Sequence[Level],
    depth: int,
    blocks: Sequence[_Block],
    noc: Interconnect,
    tensors: dict[str, str],
) -> list[_Below]:
    """Analyse every sub-problem that any case of any block hands down: all in one call, and those
    that are the same only once."""
    tiles = [[b.tiles_below(clipped=c) for c in (False, True)[: 1 + b.clips]] for b in blocks]
    flat = [(b, t) for b, ts in zip(blocks, tiles, strict=True) for t in ts]
    dims = {d: np.concatenate([t.dims[d].ravel() for _, t in flat]) for d in flat[0][1].dims}
    points = np.concatenate([np.tile(b.points, len(t.dims["C"])) for b, t in flat])
    first, same = distinct([_kinds(levels[depth:], noc)[points], *dims.values()])
    result = _analyse(
        levels,
        depth,
        {d: sizes[first] for d, sizes in dims.items()},
        points[first],
        noc,
        tensors,
        _Block.work,
    )
    answers = []
    start = 0
    for block, t in flat:
        shape = (len(t.dims["C"]), len(block.points))
        rows = same[start : start + shape[0] * shape[1]].reshape(shape)
        start += rows.size
        answers.append(Work(**{n: v[rows][t.of_case] for n, v in vars(result).items()}))
    remaining, aborts = iter(answers), bool(result.aborted.any())
    return [_Below(next(remaining), next(remaining) if b.clips else None, aborts) for b in blocks]


def _kinds(levels: Sequence[Level], noc: Interconnect) -> Ints:
    """A number for each design point, equal where these levels are."""
    columns = [np.asarray(getattr(noc, f)) for f in noc.__dataclass_fields__]
    for level in levels:
        columns += [level.units, *level.dims.values()]
        for m in level.maps:
            columns += [m.size, m.offset]
    rows = len(levels[0].units)
    return distinct([np.broadcast_to(c, rows) for c in columns])[1]


def distinct(columns: Sequence[Ints]) -> tuple[Ints, Ints]:
    """Which rows differ: the indices of one of each kind, and the kind of every row."""
    rows = len(columns[0])
    code, span = np.zeros(rows, np.int64), 1
    for column in columns:
        least = int(column.min())
        width = int(column.max()) - least + 1
        if width == 1:
            continue
        if least:
            column = column - least
        if span * width > 8 * rows:
            (code, span), (column, width) = _ranks(code, span), _ranks(column, width)
        code = code * width + column
        span *= width
    code, span = _ranks(code, span)
    first = np.empty(span, np.int64)
    first[code] = np.arange(rows)
    return first, code


def _ranks(values: Ints, span: int) -> tuple[Ints, int]:
    """The place of each value, in 0..span - 1, among those that occur, and how many do."""
    if span > 8 * len(values):
        found, ranks = np.unique(values, return_inverse=True)
        return ranks, len(found)
    occurs = np.zeros(span, bool)
    occurs[values] = True
    place = np.cumsum(occurs) - 1
    return place[values], int(place[-1]) + 1


class _Block:
    """Rows of one level whose maps go through the same states.

    Their cases form a grid with an axis a map, along it the map's positions. A quantity is an array
    of shape (positions of the first map, ..., positions of the last, rows), of length one, or
    lacking leading axes, where it does not depend on a map. ``ordered`` makes it (cases, rows).
    """

    def __init__(
        self,
        level: Level,
        states: list[_States],
        grid: _Grid,
        noc: Interconnect,
        tensors: dict[str, str],
        points: Ints,
    ) -> None:
        self.level, self.states, self.grid = level, states, grid
        self.noc, self.points = noc, points
        self.shape = (*(len(positions) for positions in grid), len(points))
        self.maps = level.maps
        of_dim = {m.dim: i for i, m in enumerate(self.maps)}
        self.coupled = {t: [of_dim[d] for d in dims] for t, dims in tensors.items()}
        self.spatial = [i for i, m in enumerate(self.maps) if m.spatial]
        self.one = np.ones(len(points), np.int64)
        self.no, self.yes = np.zeros(len(points), bool), np.ones(len(points), bool)
        self.single_edge = level.edge_units == 1
        self.many_edge = level.edge_units > 1
        # What the output sees of each map: output rows and columns for Y and X.
        self.seen = [
            level.outputs[_OUTPUT_OF[m.dim]] if m.dim in _OUTPUT_OF else m for m in self.maps
        ]
        # A first iteration that is an edge is the only one.
        self.edge_first = [
            len(positions) == 1 and bool(s.init_edge.any())
            for positions, s in zip(grid, states, strict=True)
        ]
        # Where the first spatial map is at its edge and its last busy unit is clipped.
        i = self.spatial[0]
        self.clipped_here = self.at_edge(i, grid) & self.clipped(i, grid)
        self.clips = bool(self.clipped_here.any())

    def along(self, i: int, by_position: Sequence[NDArray[Any]], grid: _Grid) -> NDArray[Any]:
        """What a map's positions give, an array for each of INIT, STEADY and EDGE, on a grid."""
        positions = grid[i]
        if len(positions) == 1:
            return by_position[positions[0]]
        chosen = [by_position[p] for p in positions]
        if all(c is chosen[0] for c in chosen):
            return chosen[0]
        return np.array(chosen).reshape(len(positions), *[1] * (len(grid) - 1 - i), -1)

    def ordered(self, values: NDArray[Any]) -> NDArray[Any]:
        """(cases, rows), in the reference's order of cases."""
        shape = (1,) * (len(self.shape) - values.ndim) + values.shape[:-1]
        return values.reshape(-1, len(self.points)).take(_rows_of(self.grid, shape), axis=0)

    def at_edge(self, i: int, grid: _Grid) -> Bools:
        return self.along(i, (self.states[i].init_edge, self.no, self.yes), grid)

    def clipped(self, i: int, grid: _Grid) -> Bools:
        s = self.states[i]
        return self.along(i, (s.init_edge, self.no, s.clipped_edge), grid)

    def any_at_edge(self, maps: Sequence[int], grid: _Grid) -> Bools:
        edges = [self.at_edge(i, grid) for i in maps]
        return edges[0] if len(edges) == 1 else edges[0] | edges[1]

    def first_held(self, i: int, m: _Map) -> Ints:
        """Indices held in the first iteration."""
        if not self.edge_first[i]:
            return m.mapped
        return np.where(self.states[i].init_edge, m.mapped_edge, m.mapped)

    # --- the tile a case hands down -------------------------------------------------------------

    def tiles_below(self, *, clipped: bool) -> _Tiles:
        """Tiles of the full sub-clusters, or of the one that is clipped at a spatial edge."""
        sizes, which = {}, []
        for i, (m, positions) in enumerate(zip(self.maps, self.grid, strict=True)):
            edge = m.mapped_edge
            if m.spatial and not clipped:  # at the edge only where a single unit is busy
                edge = np.where(self.single_edge, edge, m.mapped)
            first = np.where(self.states[i].init_edge, edge, m.mapped)
            if EDGE not in positions:
                sizes[m.dim] = [first]
            elif clipped and i == self.spatial[0]:
                sizes[m.dim] = [edge]
            else:
                sizes[m.dim] = [m.mapped, edge]
            last = len(sizes[m.dim]) - 1
            which.append([last if p == EDGE else 0 for p in positions])
        axes = [len(s) for s in sizes.values()]
        tiles = np.indices(axes).reshape(len(axes), -1)
        dims = {d: np.array(v)[tiles[i]] for i, (d, v) in enumerate(sizes.items())}
        places = [np.array(w)[c] for w, c in zip(which, _cases(self.grid), strict=True)]
        return _Tiles(dims, np.asarray(np.ravel_multi_index(tuple(places), axes)))

    # --- traffic and work of the cases ----------------------------------------------------------

    def ingress(self, tensor: str) -> tuple[Ints, Bools | None]:
        """Elements of an input tensor that each case brings in, and where the reference gives up.

        It depends on the innermost map that is not at its first iteration: that one changes, and
        everything further in starts anew.
        """
        coupled = self.coupled[tensor]
        spatial = [i for i in coupled if self.maps[i].spatial]
        outer = [i for i in coupled if i not in spatial]
        volume = np.zeros(self.shape, np.int64)
        gives_up = None

        start: _Grid = tuple((INIT,) for _ in self.grid)
        first = _product((self.first_held(i, self.maps[i]) for i in outer), self.one)
        if spatial:
            first = first * self._over_units(spatial, start, *self._first_volumes(spatial))
        volume[(slice(0, 1),) * len(self.grid)] = first

        mapped = _product((self.maps[i].mapped for i in spatial), self.one)
        mapped_edge = _product((self.maps[i].mapped_edge for i in spatial), self.one)
        for changing in coupled:
            if len(self.grid[changing]) == 1:
                continue
            m = self.maps[changing]
            # What is further in starts anew unless the tensor has nothing to go through there.
            restarts = self.no
            for i in coupled:
                if i > changing:
                    restarts = restarts | ~self.states[i].init_whole
            grid = (*self.grid[:changing], self.grid[changing][1:], *start[changing + 1 :])
            where = (
                *[slice(None)] * changing,
                slice(1, None),
                *[slice(0, 1)] * (len(grid) - 1 - changing),
            )
            value = self.one
            for i in outer:
                held = self.first_held(i, self.maps[i])
                if i == changing:
                    held = np.where(restarts, m.mapped, np.maximum(m.fresh, 1))
                    stuck = ~restarts & (m.fresh == 0)
                    if stuck.any():
                        gives_up = np.zeros(self.shape, bool) if gives_up is None else gives_up
                        gives_up[where] = stuck
                value = value * held
            if spatial:
                rest, rest_clipped = self.one, self.one
                for i in spatial:
                    n = self.maps[i]
                    fresh, fresh_edge = n.fresh, n.fresh_edge
                    if i == changing:
                        fresh = np.where(restarts, n.mapped, fresh)
                        fresh_edge = np.where(restarts, n.mapped_edge, fresh_edge)
                    elif i < changing:
                        fresh, fresh_edge = n.mapped, n.mapped_edge
                    rest, rest_clipped = rest * fresh, rest_clipped * fresh_edge
                value = value * self._over_units(
                    spatial, grid, mapped, mapped_edge, rest, rest_clipped
                )
            volume[where] = value
        return volume, gives_up

    def _first_volumes(self, spatial: list[int]) -> tuple[Ints, Ints, Ints, Ints]:
        """Spatial factors of the very first case, where no unit holds anything yet: of the first
        unit, that unit clipped, one of the others, that other clipped."""
        volumes = [self.one] * 4
        for i in spatial:
            m = self.maps[i]
            clipped = self.first_held(i, m)
            first = np.where(self.single_edge, clipped, m.mapped)
            factors = (first, clipped, m.mapped, clipped)
            volumes = [v * f for v, f in zip(volumes, factors, strict=True)]
        return volumes[0], volumes[1], volumes[2], volumes[3]

    def _over_units(
        self,
        spatial: list[int],
        grid: _Grid,
        first: Ints,
        first_clipped: Ints,
        rest: Ints,
        rest_clipped: Ints,
        *,
        last: int | None = None,
        first_counts: bool = False,
    ) -> Ints:
        """Add a quantity up over the units of a level.

        Away from the edge all units work. At the edge, ``edge_units`` do; the last of them may be
        clipped. ``first_counts``: every full unit counts as the first does (work, not traffic).
        """
        units, busy = self.level.units, self.level.edge_units
        full = first if first_counts else rest
        everywhere = units * first if first_counts else first + (units - 1) * rest
        edge = self.any_at_edge(spatial, grid)
        if not edge.any():
            return everywhere
        clipped = self.clipped(spatial[-1] if last is None else last, grid)
        at_edge = np.where(self.single_edge & clipped, first_clipped, first)
        others = np.maximum(busy - clipped - 1, 0) * full + clipped * rest_clipped
        at_edge = at_edge + np.where(self.many_edge, others, 0)
        return np.where(edge, at_edge, everywhere)

    def outgoing(self) -> tuple[Ints, Ints, Ints]:
        """What each case produces: outputs sent up, multiply-accumulates over all units, and those
        of the busiest unit."""
        coupled = self.coupled["output"]
        outputs, others = self.one, self.one
        for i, m in enumerate(self.maps):
            if m.spatial:
                continue
            if i in coupled:
                m = self.seen[i]
            held = self.along(i, (self.first_held(i, m), m.mapped, m.mapped_edge), self.grid)
            if i in coupled:
                outputs = outputs * held
            else:
                others = others * held

        of_output = [i for i in self.spatial if i in coupled]
        # The reference takes the last spatial map as it comes in the output's dimensions.
        of_output.sort(key=coupled.index)
        not_output = [i for i in self.spatial if i not in coupled]

        sent = outputs
        if of_output:
            sent = outputs * self._over_units(of_output, self.grid, *self._unit_outputs(of_output))

        first, first_clipped, _, rest_clipped = self._unit_outputs(of_output, not_output, work=True)
        psums = outputs * others
        macs = psums * self._over_units(
            self.spatial,
            self.grid,
            first,
            first_clipped,
            first,
            rest_clipped,
            last=self.spatial[-1],
            first_counts=True,
        )
        busiest = first
        if of_output:
            edge = self.any_at_edge(of_output, self.grid)
            clipped = self.clipped(of_output[-1], self.grid)
            busiest = np.where(edge & self.single_edge & clipped, first_clipped, first)
        return sent, macs, psums * busiest

    def _unit_outputs(
        self, of_output: list[int], not_output: Sequence[int] = (), *, work: bool = False
    ) -> tuple[Ints, Ints, Ints, Ints]:
        """Spatial factors of what a unit produces: the first unit, that unit clipped, one of the
        others, that other clipped. ``work`` counts multiply-accumulates, not outputs."""
        volumes = [self.one] * 4
        for i in (*of_output, *not_output):
            m = self.seen[i] if i in of_output else self.maps[i]
            edge = self.states[i].init_edge
            fresh = np.where(m.fresh == 0, 1, m.fresh)
            shared = m.fresh_edge if i in of_output and not work else m.mapped_edge
            # With one unit busy the reference counts input rows (columns), not output ones.
            alone = self.maps[i].mapped_edge
            by_position = (
                (m.mapped, m.mapped, np.where(self.single_edge, alone, m.mapped)),
                (np.where(edge, m.mapped_edge, m.mapped), m.mapped, alone),
                (fresh, fresh, fresh),
                (np.where(edge, shared, fresh), fresh, m.fresh_edge),
            )
            volumes = [
                v * self.along(i, f, self.grid) for v, f in zip(volumes, by_position, strict=True)
            ]
        return volumes[0], volumes[1], volumes[2], volumes[3]

    # --- all cases ------------------------------------------------------------------------------

    def work(self, below: _Below | None) -> Work:
        """Add up the cases; ``below`` is None at the PEs."""
        cases = _Cases.of(self, below)
        return cases.work(cases.outstanding())

    def totals(self, below: _Below | None) -> Totals:
        """Add up the cases of the outermost level."""
        return _Cases.of(self, below).totals()

    def times(self) -> Ints:
        """How many iterations each case stands for."""
        times = self.one
        for i, s in enumerate(self.states):
            if STEADY in self.grid[i]:
                times = times * self.along(i, (self.one, s.steady, self.one), self.grid)
        return times

    def busy_units(self) -> Ints:
        i = self.spatial[0]
        units, edge = self.level.units, self.level.edge_units
        return self.along(
            i, (np.where(self.states[i].init_edge, edge, units), units, edge), self.grid
        )

    def descend(self, below: _Below) -> Work:
        """What each case finds below, (cases, rows): the cycles of the slower of the full
        sub-clusters and the clipped one, and the busy PEs of all."""
        work, last, aborts = below
        busy = self.ordered(self.busy_units())
        runtime, l1_bytes, aborted = np.maximum(work.runtime, 0), work.l1_bytes, work.aborted
        if last is None:
            units = work.active_units * busy
        else:
            clipped = self.ordered(self.clipped_here)
            full = busy - clipped
            some_full = full > 0
            runtime = np.where(some_full, runtime, 0)
            runtime = np.where(clipped, np.maximum(runtime, last.runtime), runtime)
            units = np.where(some_full, work.active_units * full, 0.0)
            units = np.where(clipped, units + last.active_units, units)
            l1_bytes = np.where(clipped, last.l1_bytes, l1_bytes)
            if aborts:
                aborted = (aborted & some_full) | (clipped & last.aborted)
        return Work(runtime, np.where(units == 0, busy, units), l1_bytes, aborted)


@dataclass(frozen=True)
class _Cases:
    """The cases of a block in the reference's order; arrays (cases, rows), or (rows,) by name.

    Attributes:
        sent, macs, brought, ingress: Traffic and work; what is brought, and that of all tensors.
        works: Whether anything is computed.
        always: All of them work.
        sized_by: (rows,) the case up to which buffers are sized. It is the first one that works;
            the reference knows the first case by a counter that cases without work do not move.
        done: Iterations, none for a case without work; ``times``, for any.
        below: Of what is computed in the case.
        aborted: (rows,).
    """

    block: _Block
    sent: Ints
    macs: Ints
    brought: dict[str, Ints]
    ingress: Ints
    works: Bools
    always: bool
    sized_by: Ints
    times: Ints
    done: Ints
    delay: dict[str, Ints]
    below: Work
    aborted: Bools
    innermost: bool

    @classmethod
    def of(cls, block: _Block, below: _Below | None) -> _Cases:
        sent, macs, busiest = (block.ordered(v) for v in block.outgoing())
        works = busiest > 0
        sized_by = np.zeros(works.shape[1], np.int64)
        if not works[0].all():
            sized_by = np.where(works.any(axis=0), works.argmax(axis=0), len(works) - 1)

        brought, aborted = {}, block.no
        for t in INPUTS:
            volume, gives_up = block.ingress(t)
            brought[t] = block.ordered(volume)
            if gives_up is not None:
                counts = works | (np.arange(len(works))[:, None] <= sized_by)
                aborted = aborted | (block.ordered(gives_up) & counts).any(axis=0)

        if below is None:
            found = Work(
                runtime=_ceil_quotient(busiest, block.noc.lanes),
                active_units=block.ordered(block.busy_units()).astype(np.float64),
                l1_bytes=np.zeros_like(busiest),
                aborted=np.zeros_like(works),
            )
        else:
            found = block.descend(below)
            if below.aborts:
                aborted = aborted | (works & found.aborted).any(axis=0)
        times = block.ordered(block.times())
        ingress = brought["input"] + brought["weight"]
        always = bool(works.all())
        delay = {
            "ingress": block.noc.delay(ingress),
            "egress": block.noc.delay(sent),
            "compute": found.runtime,
        }
        return cls(
            block=block,
            sent=sent,
            macs=macs,
            brought=brought,
            ingress=ingress,
            works=works,
            always=always,
            sized_by=sized_by,
            times=times,
            done=times if always else times * works,
            delay=delay,
            below=found,
            aborted=aborted,
            innermost=below is None,
        )

    def where_works(self, values: Ints, otherwise: int) -> Ints:
        """Values of the cases that work, and something else for the others."""
        return values if self.always else np.where(self.works, values, otherwise)

    def outstanding(self) -> Ints:
        """Cycles that an iteration of each case adds: what takes longest, once it overlaps."""
        compute, ingress = self.delay["compute"], self.delay["ingress"]
        cycles = np.maximum(self.delay["egress"], np.maximum(compute, ingress))
        cycles[0] = compute[0] + ingress[0]  # nothing to overlap with yet
        return cycles

    def work(self, outstanding: Ints) -> Work:
        """The sums that every level needs."""
        units = _weighted_sum(self.below.active_units, self.done)
        cases = self.done.sum(axis=0)
        np.divide(units, cases, out=units, where=cases != 0)
        columns = np.arange(len(self.sized_by))
        l1_bytes = self.below.l1_bytes[self.sized_by, columns]
        return Work(
            runtime=(self.done * outstanding).sum(axis=0),
            active_units=units,
            l1_bytes=np.where(self.is_leaf, self._own_bytes(), l1_bytes),
            aborted=self.aborted,
        )

    @property
    def is_leaf(self) -> Bools:
        """(rows,): no level below is ever asked."""
        if self.innermost:
            return self.block.yes
        leaf: Bools = ~self.works[self.sized_by, np.arange(len(self.sized_by))]
        return leaf

    def _own_bytes(self) -> Ints:
        """What a unit of this level buffers, doubled."""
        maps = self.block.maps
        held = {
            t: _product((maps[i].mapped for i in coupled), self.block.one)
            for t, coupled in self.block.coupled.items()
        }
        return 2 * ((self.sized_by + 1) * (held["input"] + held["weight"]) + held["output"])

    def _sized(self, values: Ints, *, add: bool) -> Ints:
        """Values (cases or 1, rows) as the buffers see them in each case: up to ``sized_by``, added
        up or each replacing the one before, and from then on unchanged."""
        if not self.sized_by.any():
            return values[:1]
        if add:
            values = np.cumsum(values, axis=0)
        seen = np.minimum(np.arange(len(values))[:, None], self.sized_by)
        return np.take_along_axis(values, seen, axis=0)

    def totals(self) -> Totals:
        """The sums that the outermost level reports."""
        works, done, noc = self.works, self.done, self.block.noc
        request = {t: 2 * self._sized(v, add=True) for t, v in self.brought.items()}
        request["output"] = 2 * self._sized(self.sent, add=False)
        inputs = request["input"] + request["weight"]
        # Cycles to fill or to drain one half of the double-buffered L2 from off-chip memory.
        filled, drained = quotient(inputs, noc.offchip), quotient(request["output"], noc.offchip)
        offchip = quotient(np.maximum(filled, drained), 2)
        work = self.work(np.maximum(self.outstanding(), offchip))

        # The reference divides by the cycles of the level below.
        delay, aborted = self.delay, work.aborted
        if delay["compute"].min() < 1:
            aborted = aborted | (works & (delay["compute"] == 0)).any(axis=0)
            delay = {**delay, "compute": np.maximum(delay["compute"], 1)}
        traffic = np.maximum(self.ingress, self.sent)
        peak = self.where_works(quotient(traffic, delay["compute"]), 0).max(axis=0)
        need = quotient(np.maximum(request["output"], inputs), delay["compute"])
        some = works.any(axis=0)
        last = len(works) - 1 - works[::-1].argmax(axis=0)
        columns = np.arange(len(last))
        intensity = np.zeros(len(last))
        with np.errstate(divide="ignore", invalid="ignore"):  # a case may bring nothing in
            np.divide(
                self.macs[last, columns], self.ingress[last, columns], out=intensity, where=some
            )
        macs = (done * self.macs).sum(axis=0)
        return Totals(
            runtime=work.runtime,
            active_units=work.active_units,
            l1_bytes=work.l1_bytes,
            aborted=aborted,
            is_leaf=self.is_leaf,
            macs=macs,
            l2_request={t: v[-1] for t, v in request.items()},
            l2_read={t: (done * v).sum(axis=0) for t, v in self.brought.items()},
            l1_write_output=macs if self.always else (self.times * self.macs).sum(axis=0),
            l2_write_output=(self.times * self.sent).sum(axis=0),
            cases=done.sum(axis=0),
            peak_bandwidth=np.maximum(peak, 0),
            bandwidth_sum=quotient(done * traffic, delay["compute"]).sum(axis=0),
            offchip_bandwidth=self._halved(need),
            delay_sum={d: (done * v).sum(axis=0) for d, v in delay.items()},
            delay_min={
                d: np.where(some, self.where_works(v, FOREVER).min(axis=0), NEVER)
                for d, v in delay.items()
            },
            delay_max={
                d: np.maximum(self.where_works(v, 0).max(axis=0), 0) for d, v in delay.items()
            },
            intensity=intensity,
        )

    def _halved(self, need: Ints) -> Ints:
        """The greatest need of the cases that work; halved for double buffering and so, by a slip
        of the reference, again with each case that follows."""
        halvings: Ints = np.arange(len(need), 0, -1)[:, None]
        if not self.always:
            halvings = np.cumsum(self.works[::-1], axis=0, dtype=np.int64)[::-1]
        need = self.where_works(np.maximum(need, 0), 0)
        most: Ints = (need >> np.minimum(halvings, 63)).max(axis=0)
        return most


def _weighted_sum(values: Floats, times: Ints) -> Floats:
    """The sum of ``values * times`` over the first axis, each product and addition in extended
    precision and rounded to a float, as the reference stores it."""
    most = float(values.max()) * float(times.sum(axis=0).max())
    if most < 2**53 and (values == np.floor(values)).all():  # nothing to round
        exact: Floats = np.einsum("ij,ij->j", values, times.astype(np.float64))
        return exact
    total = np.zeros(times.shape[1])
    for value, count in zip(values, times, strict=True):
        total = (value.astype(np.longdouble) * count + total).astype(np.float64)
    return total
