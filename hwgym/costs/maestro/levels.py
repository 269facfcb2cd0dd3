"""The levels of a mapping: a dataflow's directives with their sizes resolved for every row.

Names: a *map* is one directive of a level; ``mapped`` is the indices a unit holds along a
dimension, ``mapped_edge`` what is left of that at the edge, ``fresh`` those that it does not
already hold from the iteration (or the unit) before, ``fresh_edge`` the same at the edge. ``OY``
and ``OX`` are the output's rows and columns, derived from Y and R, X and S.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwgym._arrays import Bools, Ints
from hwgym.costs.maestro.arithmetic import ceil_quotient, quotient
from hwgym.costs.maestro.directives import Size, SpatialMap, TemporalMap

__all__ = [
    "INPUTS",
    "OUTPUT_OF",
    "SLIDES_OVER",
    "TENSORS",
    "Interconnect",
    "Level",
    "Map",
    "Rows",
    "build_levels",
]

Rows = Ints | slice

# Which dimensions address each tensor. Output rows and columns are reached through Y and X.
TENSORS = {
    False: {"input": "CYX", "weight": "KCRS", "output": "KYX"},
    True: {"input": "CYX", "weight": "CRS", "output": "CYX"},
}
INPUTS = ("input", "weight")
SLIDES_OVER = {"Y": "R", "X": "S"}
OUTPUT_OF = {"Y": "OY", "X": "OX"}


@dataclass(frozen=True)
class Interconnect:
    """NoC bandwidth, zero-load latency, SIMD lanes, off-chip bandwidth: one for all rows (0-d
    arrays) or one for each."""

    bandwidth: Ints
    latency: Ints
    lanes: Ints
    offchip: Ints

    @classmethod
    def of(cls, numbers: Mapping[str, Ints]) -> Interconnect:
        """From columns of :class:`~hwgym.hardware.Hardware`."""
        return cls(
            numbers["noc_bandwidth"],
            np.asarray(numbers["noc_hops"] * numbers["noc_hop_latency"]),
            numbers["simd_lanes"],
            numbers["offchip_bandwidth"],
        )

    def take(self, rows: Rows) -> Interconnect:
        return Interconnect(*(v if v.ndim == 0 else v[rows] for v in vars(self).values()))

    def delay(self, traffic: Ints) -> Ints:
        """Cycles to send ``traffic`` elements: head latency, then one flit a cycle."""
        if self.bandwidth.ndim == 0 and traffic.min() >= 0 and traffic.max() <= self.bandwidth:
            flits: Ints = (traffic > 0).astype(np.int64)  # it all goes in one
        else:
            flits = ceil_quotient(traffic, self.bandwidth)
        return self.latency - 1 + flits


@dataclass(frozen=True)
class Map:
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

    def take(self, rows: Rows) -> Map:
        arrays = (self.size, self.offset, self.mapped_edge, self.fresh, self.fresh_edge)
        return Map(self.dim, self.spatial, *(a[rows] for a in arrays))


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

    maps: tuple[Map, ...]
    outputs: dict[str, Map]
    dims: dict[str, Ints]
    units: Ints
    edge_units: Ints

    def take(self, rows: Rows) -> Level:
        return Level(
            tuple(m.take(rows) for m in self.maps),
            {k: m.take(rows) for k, m in self.outputs.items()},
            {k: v[rows] for k, v in self.dims.items()},
            self.units[rows],
            self.edge_units[rows],
        )


def _edge_units(m: Map, dim: Ints, units: Ints) -> Ints:
    """How many units work in the last spatial iteration of a level's first spatial map."""
    size, offset = m.size, m.offset
    covered = offset * (units - 1) + size
    steady = quotient(quotient(dim - size, offset) + 1, units) - 1
    left = dim - (steady + 1) * offset * units
    later = np.where(left < size, 1, quotient(left - size, offset) + 1)
    first = quotient(dim - size, offset) + 1
    first = first + (offset * (first - 1) + size < dim)
    return np.where(dim <= size, 1, np.where(dim > covered, later, first))


def _resolve_map(dim: str, spatial: bool, size: Ints, offset: Ints, extent: Ints) -> Map:
    steady = np.maximum(quotient(extent - size, offset), 0)
    has_edge = (steady * offset + size < extent) | (size > extent)
    left = extent - (steady + 1) * offset
    left = np.where(left < 0, extent, left)
    fresh = np.minimum(size, offset)
    if not spatial:  # a dimension held whole never brings anything new
        fresh = np.where(extent <= size, 0, fresh)
    return Map(
        dim,
        spatial,
        size,
        offset,
        mapped_edge=np.where(has_edge, left, size),
        fresh=fresh,
        fresh_edge=np.maximum(offset - (size - left), 0),
    )


def _resolve_output(m: Map, filter_: Map) -> Map:
    mapped_edge = m.mapped_edge - filter_.mapped_edge + 1
    return Map(
        OUTPUT_OF[m.dim],
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
    units = parameters["num_pes"]
    for size in clusters:
        units = units // size
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
            OUTPUT_OF[d]: _resolve_output(by_dim[d], by_dim[f]) for d, f in SLIDES_OVER.items()
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
            size = size + size_of[SLIDES_OVER[dim]] - 1
        return dim, spatial, size, offset

    return [rewrite(d) for d in directives]


def _strided(d: _Resolved, layer: dict[str, Ints], stride: Ints, *, top: bool) -> _Resolved:
    """Widen a map over input rows or columns so that its windows step by the layer's stride."""
    dim, spatial, size, offset = d
    if dim not in SLIDES_OVER or (stride == 1).all():
        return d
    filter_ = layer[SLIDES_OVER[dim]]
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
