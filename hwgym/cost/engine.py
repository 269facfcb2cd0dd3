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

import numpy as np
from numpy.typing import NDArray

from hwgym.cost.dataflow import Size, SpatialMap, TemporalMap

__all__ = ["Interconnect", "Level", "Totals", "analyse", "build_levels", "quotient"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

INIT, STEADY, EDGE = 0, 1, 2

# Which dimensions address each tensor. Output rows and columns are reached through Y and X.
TENSORS = {
    False: {"input": "CYX", "weight": "KCRS", "output": "KYX"},
    True: {"input": "CYX", "weight": "CRS", "output": "CYX"},
}
INPUTS = ("input", "weight")
_SLIDES_OVER = {"Y": "R", "X": "S"}
_OUTPUT_OF = {"Y": "OY", "X": "OX"}


def quotient(a: Ints, b: Ints) -> Ints:
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
    """Per row: NoC bandwidth, zero-load latency, SIMD lanes, off-chip bandwidth."""

    bandwidth: Ints
    latency: Ints
    lanes: Ints
    offchip: Ints

    def take(self, rows: Ints) -> Interconnect:
        return Interconnect(*(getattr(self, f)[rows] for f in self.__dataclass_fields__))

    def delay(self, traffic: Ints) -> Ints:
        """Cycles to send ``traffic`` elements: head latency, then one flit a cycle."""
        return self.latency + _ceil_quotient(traffic, self.bandwidth) - 1


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

    def take(self, rows: Ints) -> _Map:
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

    def take(self, rows: Ints) -> Level:
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
    dimension; ``init_edge``: it reaches past its end. ``clipped[pos]``, for spatial maps: the last
    busy unit gets less than a full share.
    """

    steady: Ints
    has_steady: Bools
    has_edge: Bools
    init_whole: Bools
    init_edge: Bools
    clipped_edge: Bools

    def take(self, rows: Ints) -> _States:
        return _States(*(getattr(self, f)[rows] for f in self.__dataclass_fields__))

    def at_edge(self, pos: int) -> Bools:
        if pos == INIT:
            return self.init_edge
        return np.full(self.init_edge.shape, pos == EDGE)

    def clipped(self, pos: int) -> Bools:
        if pos == INIT:
            return self.init_edge
        return self.clipped_edge & (pos == EDGE)


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


@lru_cache(maxsize=8192)
def _cases(code: int, maps: int) -> tuple[tuple[int, ...], ...]:
    """The cases of a group as positions per map, in the reference's order.

    ``code`` has two bits a map: has a steady state, has an edge state. The order matters where the
    reference lets a later case overwrite an earlier one.
    """
    states = []
    for i in range(maps):
        bits = code >> (2 * i) & 3
        states.append((INIT, *([STEADY] if bits & 1 else []), *([EDGE] if bits & 2 else [])))
    inner = [1] * maps
    for i in range(maps - 2, -1, -1):
        inner[i] = inner[i + 1] * len(states[i + 1])
    count = inner[0] * len(states[0])
    return tuple(
        tuple(s[-(-case // step) % len(s)] for s, step in zip(states, inner, strict=True))
        for case in range(count)
    )


@dataclass
class Totals:
    """What one level costs, per row: sums and extremes over its cases.

    Counts are accesses; buffer requirements are elements (one byte each). ``is_leaf``: no level
    below was ever asked; ``aborted``: the reference stops with an error or a division by zero.
    """

    runtime: Ints
    macs: Ints
    active_units: NDArray[np.float64]
    l1_bytes: Ints
    is_leaf: Bools
    aborted: Bools
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
    intensity: NDArray[np.float64]

    @classmethod
    def zeros(cls, rows: int) -> Totals:
        def ints() -> Ints:
            return np.zeros(rows, np.int64)

        return cls(
            runtime=ints(),
            macs=ints(),
            active_units=np.zeros(rows),
            l1_bytes=ints(),
            is_leaf=np.ones(rows, bool),
            aborted=np.zeros(rows, bool),
            l2_request={t: ints() for t in TENSORS[False]},
            l2_read={t: ints() for t in INPUTS},
            l1_write_output=ints(),
            l2_write_output=ints(),
            cases=ints(),
            peak_bandwidth=ints(),
            bandwidth_sum=ints(),
            offchip_bandwidth=ints(),
            delay_sum={d: ints() for d in DELAYS},
            # Untouched, the reference's extremes are the greatest and the least positive number of
            # an 80-bit float; as integers, the "indefinite" one and zero.
            delay_min={d: np.full(rows, NEVER) for d in DELAYS},
            delay_max={d: ints() for d in DELAYS},
            intensity=np.zeros(rows),
        )

    def put(self, rows: Ints, other: Totals) -> None:
        """Scatter ``other`` (one entry per entry of ``rows``) into these arrays."""
        for name in self.__dataclass_fields__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, dict):
                for key in mine:
                    mine[key][rows] = theirs[key]
            else:
                mine[rows] = theirs


DELAYS = ("ingress", "egress", "compute")
NEVER = np.iinfo(np.int64).min


def analyse(
    levels: Sequence[Level], dims: dict[str, Ints], noc: Interconnect, *, depthwise: bool
) -> Totals:
    """Cost of the outermost level (and, through it, of all below) for every row."""
    rows = np.arange(len(noc.latency))
    return _analyse(levels, 0, dims, rows, noc, depthwise)


def _analyse(
    levels: Sequence[Level],
    depth: int,
    dims: dict[str, Ints],
    points: Ints,
    noc: Interconnect,
    depthwise: bool,
) -> Totals:
    """Analyse level ``depth`` on tiles ``dims``; row i belongs to design point ``points[i]``."""
    level = levels[depth]
    whole = level if depth == 0 else level.take(points)
    states = [_states(m, dims[m.dim], whole.units) for m in whole.maps]
    code = np.zeros(len(points), np.int64)
    for i, s in enumerate(states):
        code |= (s.has_steady.astype(np.int64) | s.has_edge.astype(np.int64) << 1) << (2 * i)

    order = np.argsort(code, kind="stable")
    bounds = np.flatnonzero(np.diff(code[order], prepend=-1))
    groups = []
    for rows in np.split(order, bounds[1:]) if len(order) else []:
        groups.append(
            _Group(
                whole.take(rows),
                [s.take(rows) for s in states],
                _cases(int(code[rows[0]]), len(states)),
                noc.take(points[rows]),
                TENSORS[depthwise],
                rows,
            )
        )

    totals = Totals.zeros(len(points))
    below: Sequence[Below | None] = [None] * len(groups)
    if depth + 1 < len(levels):
        below = _analyse_below(levels, depth + 1, groups, points, noc, depthwise)
    for group, sub in zip(groups, below, strict=True):
        totals.put(group.rows, group.run(sub, top=depth == 0))
    return totals


_Key = tuple[int, ...]
# Runtime, busy units, L1 bytes and "the reference gives up" of a tile, by its key.
Below = Callable[[_Key], tuple[Ints, NDArray[np.float64], Ints, Bools]]


def _analyse_below(
    levels: Sequence[Level],
    depth: int,
    groups: Sequence[_Group],
    points: Ints,
    noc: Interconnect,
    depthwise: bool,
) -> list[Below]:
    """Analyse, in one call, every sub-problem that any case of any group hands down."""
    requests = [(g, key, g.tile_below(key)) for g in groups for key in g.keys_below()]
    dims = {d: np.concatenate([tile[d] for _, _, tile in requests]) for d in requests[0][2]}
    owners = np.concatenate([points[g.rows] for g, _, _ in requests])
    result = _analyse(levels, depth, dims, owners, noc, depthwise)
    slices: dict[tuple[int, _Key], slice] = {}
    start = 0
    for g, key, _ in requests:
        slices[id(g), key] = slice(start, start + len(g.rows))
        start += len(g.rows)

    def reader(g: _Group) -> Below:
        def read(key: _Key) -> tuple[Ints, NDArray[np.float64], Ints, Bools]:
            s = slices[id(g), key]
            return result.runtime[s], result.active_units[s], result.l1_bytes[s], result.aborted[s]

        return read

    return [reader(g) for g in groups]


class _Group:
    """Rows of one level whose dimensions go through the same states."""

    def __init__(
        self,
        level: Level,
        states: list[_States],
        cases: tuple[tuple[int, ...], ...],
        noc: Interconnect,
        tensors: dict[str, str],
        rows: Ints,
    ) -> None:
        self.level, self.states, self.cases, self.noc, self.rows = level, states, cases, noc, rows
        self.maps = level.maps
        self.index = {m.dim: i for i, m in enumerate(self.maps)}
        self.coupled = {t: [self.index[d] for d in dims] for t, dims in tensors.items()}
        self.spatial = [i for i, m in enumerate(self.maps) if m.spatial]
        self.one = np.ones_like(level.units)
        self.two = 2 * self.one
        self.single_edge = level.edge_units == 1
        self.many_edge = level.edge_units > 1
        # What the output sees of each map: output rows and columns for Y and X.
        self.seen = [
            level.outputs[_OUTPUT_OF[m.dim]] if m.dim in _OUTPUT_OF else m for m in self.maps
        ]

    # --- the tile a case hands down -------------------------------------------------------------

    def key_below(self, case: tuple[int, ...], *, clipped: bool) -> _Key:
        """Names the tile below a case: per map whether it is whole (0), at the edge (1), or at the
        edge only where a single unit is busy (2)."""

        def one(i: int) -> int:
            if case[i] == STEADY or (case[i] == INIT and not self.states[i].init_edge.any()):
                return 0
            at_edge = 1 if case[i] == EDGE else 3  # 3: where the first iteration is an edge
            return at_edge if not self.maps[i].spatial or clipped else at_edge + 1

        return tuple(one(i) for i in range(len(case)))

    def keys_below(self) -> list[_Key]:
        keys = dict.fromkeys(self.key_below(c, clipped=False) for c in self.cases)
        for case in self.cases:
            if self.spatially_clipped(case).any():
                keys[self.key_below(case, clipped=True)] = None
        return list(keys)

    def tile_below(self, key: _Key) -> dict[str, Ints]:
        tile = {}
        for i, (kind, m) in enumerate(zip(key, self.maps, strict=True)):
            size = m.mapped
            if kind:
                at_edge = self.states[i].init_edge if kind >= 3 else self.one > 0
                if kind in (2, 4):
                    at_edge = at_edge & self.single_edge
                size = np.where(at_edge, m.mapped_edge, size)
            tile[m.dim] = size
        return tile

    def spatially_clipped(self, case: tuple[int, ...]) -> Bools:
        """Where the first spatial map is at its edge and its last busy unit is clipped."""
        i = self.spatial[0]
        return self.states[i].at_edge(case[i]) & self.states[i].clipped(case[i])

    # --- traffic and work of one case -----------------------------------------------------------

    def ingress(self, tensor: str, case: tuple[int, ...]) -> tuple[Ints, Bools]:
        """Elements of an input tensor that a case brings in, and where the reference gives up."""
        none = self.one < 0
        changing = max((i for i, pos in enumerate(case) if pos != INIT), default=-1)
        coupled = self.coupled[tensor]
        if changing >= 0 and changing not in coupled:
            return np.zeros_like(self.one), none

        # Everything further in starts anew unless the tensor has nothing to go through there.
        restarts = none
        for i in coupled:
            if i > changing >= 0:
                restarts = restarts | ~self.states[i].init_whole

        gives_up = none
        volume = self.one
        for i in coupled:
            if self.maps[i].spatial:
                continue
            m = self.maps[i]
            if case[i] == INIT:
                factor = np.where(self.states[i].init_edge, m.mapped_edge, m.mapped)
            elif i == changing:
                gives_up = ~restarts & (m.fresh == 0)
                factor = np.where(restarts, m.mapped, np.maximum(m.fresh, 1))
            else:
                factor = m.mapped
            volume = volume * factor

        spatial = [i for i in coupled if self.maps[i].spatial]
        if not spatial:
            return volume, gives_up
        if changing < 0:
            first, first_clipped, rest, rest_clipped = self._first_volumes(spatial)
        else:
            first = _product((self.maps[i].mapped for i in spatial), self.one)
            first_clipped = _product((self.maps[i].mapped_edge for i in spatial), self.one)
            rest, rest_clipped = self.one, self.one
            for i in spatial:
                m = self.maps[i]
                if i > changing:
                    rest, rest_clipped = rest * m.fresh, rest_clipped * m.fresh_edge
                elif i == changing:
                    rest = rest * np.where(restarts, m.mapped, m.fresh)
                    rest_clipped = rest_clipped * np.where(restarts, m.mapped_edge, m.fresh_edge)
                else:
                    rest, rest_clipped = rest * m.mapped, rest_clipped * m.mapped_edge
        return volume * self._over_units(
            spatial, case, first, first_clipped, rest, rest_clipped
        ), gives_up

    def _first_volumes(self, spatial: list[int]) -> tuple[Ints, Ints, Ints, Ints]:
        """Spatial factors of the very first case, where no unit holds anything yet: of the first
        unit, that unit clipped, one of the others, that other clipped."""
        volumes = [self.one] * 4
        for i in spatial:
            m, edge = self.maps[i], self.states[i].init_edge
            clipped = np.where(edge, m.mapped_edge, m.mapped)
            first = np.where(edge & self.single_edge, m.mapped_edge, m.mapped)
            factors = (first, clipped, m.mapped, clipped)
            volumes = [v * f for v, f in zip(volumes, factors, strict=True)]
        return volumes[0], volumes[1], volumes[2], volumes[3]

    def _over_units(
        self,
        spatial: list[int],
        case: tuple[int, ...],
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
        edge = self._any_at_edge(spatial, case)
        if not edge.any():
            return everywhere
        i = spatial[-1] if last is None else last
        clipped = self.states[i].clipped(case[i])
        at_edge = np.where(self.single_edge & clipped, first_clipped, first)
        others = np.maximum(busy - clipped - 1, 0) * full + clipped * rest_clipped
        at_edge = at_edge + np.where(self.many_edge, others, 0)
        return np.where(edge, at_edge, everywhere)

    def _any_at_edge(self, maps: Sequence[int], case: tuple[int, ...]) -> Bools:
        edge: Bools = np.logical_or.reduce([self.states[i].at_edge(case[i]) for i in maps])
        return edge

    def outgoing(self, case: tuple[int, ...]) -> tuple[Ints, Ints, Ints]:
        """What a case produces: outputs sent up, multiply-accumulates over all units, and those of
        the busiest unit."""
        coupled = self.coupled["output"]
        outputs = self.one
        others = self.one
        for i, pos in enumerate(case):
            if self.maps[i].spatial:
                continue
            m = self.seen[i] if i in coupled else self.maps[i]
            if pos == STEADY:
                factor = m.mapped
            elif pos == EDGE:
                factor = m.mapped_edge
            else:
                factor = np.where(self.states[i].init_edge, m.mapped_edge, m.mapped)
            if i in coupled:
                outputs = outputs * factor
            else:
                others = others * factor

        of_output = [i for i in self.spatial if i in coupled]
        # The reference takes the last spatial map as it comes in the output's dimensions.
        of_output.sort(key=coupled.index)
        not_output = [i for i in self.spatial if i not in coupled]

        sent = outputs
        if of_output:
            first, first_clipped, rest, rest_clipped = self._unit_outputs(of_output, case)
            sent = outputs * self._over_units(
                of_output, case, first, first_clipped, rest, rest_clipped
            )

        first, first_clipped, _, rest_clipped = self._unit_outputs(
            of_output, case, not_output, work=True
        )
        psums = outputs * others
        macs = psums * self._over_units(
            self.spatial,
            case,
            first,
            first_clipped,
            first,
            rest_clipped,
            last=self.spatial[-1],
            first_counts=True,
        )
        busiest = first
        if of_output:
            edge = self._any_at_edge(of_output, case)
            clipped = self.states[of_output[-1]].clipped(case[of_output[-1]])
            busiest = np.where(edge & self.single_edge & clipped, first_clipped, first)
        return sent, macs, psums * busiest

    def _unit_outputs(
        self,
        of_output: list[int],
        case: tuple[int, ...],
        not_output: Sequence[int] = (),
        *,
        work: bool = False,
    ) -> tuple[Ints, Ints, Ints, Ints]:
        """Spatial factors of what a unit produces: the first unit, that unit clipped, one of the
        others, that other clipped. ``work`` counts multiply-accumulates, not outputs."""
        volumes = [self.one] * 4
        for i in (*of_output, *not_output):
            m = self.seen[i] if i in of_output else self.maps[i]
            fresh = np.where(m.fresh == 0, 1, m.fresh)
            if case[i] == STEADY:
                factors = (m.mapped, m.mapped, fresh, fresh)
            elif case[i] == INIT:
                edge = self.states[i].init_edge
                shared = m.fresh_edge if i in of_output and not work else m.mapped_edge
                clipped = np.where(edge, m.mapped_edge, m.mapped)
                factors = (m.mapped, clipped, fresh, np.where(edge, shared, fresh))
            else:
                # With one unit busy the reference counts input rows (columns), not output ones.
                alone = self.maps[i].mapped_edge
                factors = (np.where(self.single_edge, alone, m.mapped), alone, fresh, m.fresh_edge)
            volumes = [v * f for v, f in zip(volumes, factors, strict=True)]
        return volumes[0], volumes[1], volumes[2], volumes[3]

    # --- all cases ------------------------------------------------------------------------------

    def run(self, below: Below | None, *, top: bool) -> Totals:
        """Add up the cases. ``below`` gives the cost of a tile by its key; None at the PEs."""
        total = Totals.zeros(len(self.rows))
        requests = np.zeros_like(self.one)
        begun = self.one < 0
        for number, case in enumerate(self.cases):
            sent, macs, busiest = self.outgoing(case)
            works = busiest > 0
            brought = {}
            for t in INPUTS:
                brought[t], gives_up = self.ingress(t, case)
                total.aborted |= gives_up & (works | ~begun)

            # Buffers are sized by the first case. The reference knows it by a counter that cases
            # without work do not move, so after those it sizes them again, and inputs add up.
            if not begun.all():
                requests += ~begun
                for t in INPUTS:
                    total.l2_request[t] += np.where(begun, 0, 2 * brought[t])
                np.copyto(total.l2_request["output"], 2 * sent, where=~begun)

            times = self._times(case)
            done = times if works.all() else np.where(works, times, 0)
            total.l2_write_output += times * sent
            total.l1_write_output += times * macs
            total.macs += done * macs
            for t in INPUTS:
                total.l2_read[t] += done * brought[t]

            ingress = brought["input"] + brought["weight"]
            if below is None:
                compute = _ceil_quotient(busiest, self.noc.lanes)
                active = self._busy_units(case).astype(np.float64)
            else:
                compute, active = self._descend(total, below, case, works, works & ~begun)
            begun = begun | works
            delay = {
                "ingress": self.noc.delay(ingress),
                "egress": self.noc.delay(sent),
                "compute": compute,
            }
            if number == 0:  # nothing to overlap with yet
                outstanding = compute + delay["ingress"]
            else:
                outstanding = np.maximum(delay["egress"], np.maximum(compute, delay["ingress"]))
            if top:
                outstanding = np.maximum(outstanding, self._offchip_delay(total))
                self._bandwidths(total, delay, ingress, sent, done, works)
                with np.errstate(divide="ignore", invalid="ignore"):
                    np.divide(macs, ingress, out=total.intensity, where=works)
            total.runtime += done * outstanding
            total.active_units = _accumulate(total.active_units, active, done)
            total.cases += done

        np.divide(total.active_units, total.cases, out=total.active_units, where=total.cases != 0)
        total.is_leaf = ~begun if below is not None else np.ones_like(begun)
        held = {
            t: _product((self.maps[i].mapped for i in c), self.one) for t, c in self.coupled.items()
        }
        own = 2 * (requests * (held["input"] + held["weight"]) + held["output"])
        total.l1_bytes = np.where(total.is_leaf, own, total.l1_bytes)
        return total

    def _times(self, case: tuple[int, ...]) -> Ints:
        """How many iterations a case stands for."""
        steady = (s.steady for s, pos in zip(self.states, case, strict=True) if pos == STEADY)
        return _product(steady, self.one)

    def _busy_units(self, case: tuple[int, ...]) -> Ints:
        i = self.spatial[0]
        return np.where(self.states[i].at_edge(case[i]), self.level.edge_units, self.level.units)

    def _descend(
        self, total: Totals, below: Below, case: tuple[int, ...], works: Bools, first: Bools
    ) -> tuple[Ints, NDArray[np.float64]]:
        """Cycles and busy PEs of the level below under a case: the slower of the full sub-clusters
        and, at a spatial edge, the clipped one."""
        runtime, active, l1_bytes, aborted = below(self.key_below(case, clipped=False))
        clipped = self.spatially_clipped(case)
        full = self._busy_units(case) - clipped
        some_full = full > 0
        compute = np.where(some_full, np.maximum(runtime, 0), 0)
        aborted = aborted & some_full
        units = np.where(some_full, active * full, 0.0)
        if clipped.any():
            last = below(self.key_below(case, clipped=True))
            compute = np.where(clipped, np.maximum(compute, last[0]), compute)
            units = np.where(clipped, units + last[1], units)
            l1_bytes = np.where(clipped, last[2], l1_bytes)
            aborted = aborted | (clipped & last[3])
        np.copyto(total.l1_bytes, l1_bytes, where=first)
        total.aborted |= works & aborted
        return compute, np.where(units == 0, self._busy_units(case), units)

    def _offchip_delay(self, total: Totals) -> Ints:
        """Cycles to fill or to drain one half of the double-buffered L2 from off-chip memory."""
        request, bandwidth = total.l2_request, self.noc.offchip
        filled = quotient(request["input"] + request["weight"], bandwidth)
        drained = quotient(request["output"], bandwidth)
        return np.maximum(quotient(filled, self.two), quotient(drained, self.two))

    def _bandwidths(
        self,
        total: Totals,
        delay: dict[str, Ints],
        ingress: Ints,
        sent: Ints,
        done: Ints,
        works: Bools,
    ) -> None:
        """Statistics of one case that only the top level reports."""
        total.aborted |= works & (delay["compute"] == 0)  # the reference divides by it
        compute = np.maximum(delay["compute"], 1)
        delay = {**delay, "compute": compute}
        request = total.l2_request
        need = np.maximum(
            quotient(request["output"], compute),
            quotient(request["input"] + request["weight"], compute),
        )
        # Halved for double buffering, and so are, by a slip of the reference, all cases before.
        need = quotient(np.maximum(total.offchip_bandwidth, need), self.two)
        np.copyto(total.offchip_bandwidth, need, where=works)

        traffic = np.maximum(ingress, sent)
        peak = np.maximum(total.peak_bandwidth, quotient(traffic, compute))
        np.copyto(total.peak_bandwidth, peak, where=works)
        total.bandwidth_sum += quotient(done * traffic, compute)
        for name, cycles in delay.items():
            total.delay_sum[name] += done * cycles
            least, most = total.delay_min[name], total.delay_max[name]
            np.copyto(least, cycles, where=works & ((least == NEVER) | (cycles < least)))
            np.copyto(most, np.maximum(most, cycles), where=works)


def _accumulate(
    total: NDArray[np.float64], units: NDArray[np.float64], times: Ints
) -> NDArray[np.float64]:
    """``total + units * times`` in extended precision, rounded once, as the reference stores it."""
    extended = units.astype(np.longdouble) * times + total
    return extended.astype(np.float64)
