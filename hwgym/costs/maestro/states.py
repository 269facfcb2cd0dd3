"""The states that a level's iterations go through, and the grid of cases that they make.

Along each map an iteration is the first (``INIT``), one of the full ones that follow (``STEADY``)
or the clipped last (``EDGE``). A case is one combination over all maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hwgym._arrays import Array, Bools, Ints
from hwgym.costs.maestro.arithmetic import quotient
from hwgym.costs.maestro.levels import OUTPUT_OF, Level, Map, Rows

__all__ = ["EDGE", "INIT", "STEADY", "Block", "Grid", "States", "Tiles", "grid_of", "states_of"]

INIT, STEADY, EDGE = 0, 1, 2


@dataclass(frozen=True)
class States:
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

    def take(self, rows: Rows) -> States:
        return States(*(getattr(self, f)[rows] for f in self.__dataclass_fields__))


def states_of(m: Map, dim: Ints, units: Ints) -> States:
    size, offset = m.size, m.offset
    if not m.spatial:
        steady = quotient(dim - size, offset)
        return States(
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
    return States(
        steady=steady,
        has_steady=(covered < dim) & (steady > 0),
        has_edge=(dim > covered) & (steady * stride + covered != dim),
        init_whole=dim <= covered,
        init_edge=dim < covered,
        clipped_edge=(busy - 1) * offset + size < left,
    )


Grid = tuple[tuple[int, ...], ...]
"""The positions that each map goes through; a case is one of each."""


@lru_cache(maxsize=8192)
def grid_of(code: int, maps: int) -> Grid:
    """The grid of rows whose maps have these states: two bits a map, has a steady state, has an
    edge state."""
    states = (code >> (2 * i) & 3 for i in range(maps))
    return tuple((INIT, *[STEADY] * (s & 1), *[EDGE] * (s >> 1)) for s in states)


@lru_cache(maxsize=8192)
def cases_of(grid: Grid) -> Ints:
    """(maps, cases): along which positions each case lies, in the reference's order of cases.

    The order matters where the reference lets a later case overwrite an earlier one.
    """
    sizes = [len(positions) for positions in grid]
    steps = [int(np.prod(sizes[i + 1 :])) for i in range(len(sizes))]
    number = np.arange(int(np.prod(sizes)))
    return np.array([-(-number // step) % size for step, size in zip(steps, sizes, strict=True)])


@lru_cache(maxsize=8192)
def rows_of(grid: Grid, shape: tuple[int, ...]) -> Ints:
    """For each case, where it is in an array over the grid that has been flattened; of length one
    along the maps that it does not depend on."""
    steps = np.append(np.cumprod(shape[:0:-1])[::-1], 1)
    rows: Ints = (cases_of(grid) * ((np.array(shape) > 1) * steps)[:, None]).sum(axis=0)
    return rows


@dataclass(frozen=True)
class Tiles:
    """The different tiles that the cases of a block hand down: sizes (tiles, rows) by dimension,
    and which of them each case has, in the reference's order of cases."""

    dims: dict[str, Ints]
    of_case: Ints


class Block:
    """Rows of one level whose maps go through the same states.

    Their cases form a grid with an axis a map, along it the map's positions. A quantity is an array
    of shape (positions of the first map, ..., positions of the last, rows), of length one, or
    lacking leading axes, where it does not depend on a map. ``ordered`` makes it (cases, rows).
    """

    def __init__(
        self,
        level: Level,
        states: list[States],
        grid: Grid,
        tensors: dict[str, str],
        points: Ints,
    ) -> None:
        self.level, self.states, self.grid = level, states, grid
        self.points = points
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
            level.outputs[OUTPUT_OF[m.dim]] if m.dim in OUTPUT_OF else m for m in self.maps
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

    def along(self, i: int, by_position: Sequence[Array], grid: Grid) -> Array:
        """What a map's positions give, an array for each of INIT, STEADY and EDGE, on a grid."""
        positions = grid[i]
        if len(positions) == 1:
            return by_position[positions[0]]
        chosen = [by_position[p] for p in positions]
        if all(c is chosen[0] for c in chosen):
            return chosen[0]
        return np.array(chosen).reshape(len(positions), *[1] * (len(grid) - 1 - i), -1)

    def ordered(self, values: Array) -> Array:
        """(cases, rows), in the reference's order of cases."""
        shape = (1,) * (len(self.shape) - values.ndim) + values.shape[:-1]
        return values.reshape(-1, len(self.points)).take(rows_of(self.grid, shape), axis=0)

    def at_edge(self, i: int, grid: Grid) -> Bools:
        return self.along(i, (self.states[i].init_edge, self.no, self.yes), grid)

    def clipped(self, i: int, grid: Grid) -> Bools:
        s = self.states[i]
        return self.along(i, (s.init_edge, self.no, s.clipped_edge), grid)

    def any_at_edge(self, maps: Sequence[int], grid: Grid) -> Bools:
        edges = [self.at_edge(i, grid) for i in maps]
        return edges[0] if len(edges) == 1 else edges[0] | edges[1]

    def first_held(self, i: int, m: Map) -> Ints:
        """Indices held in the first iteration."""
        if not self.edge_first[i]:
            return m.mapped
        return np.where(self.states[i].init_edge, m.mapped_edge, m.mapped)

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

    def tiles_below(self, *, clipped: bool) -> Tiles:
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
        places = [np.array(w)[c] for w, c in zip(which, cases_of(self.grid), strict=True)]
        return Tiles(dims, np.asarray(np.ravel_multi_index(tuple(places), axes)))
