"""Mappings as data: loop nests of two levels, one a row, with every size a number.

A :class:`~hwgym.costs.maestro.Dataflow` is a template for many layers. A mapping is concrete: how
many PEs make a cluster, which dimension is spread over the clusters and which inside one, how much
of each dimension a cluster and a PE hold, and in which order the loops run. Filters are held whole.
That is what mappers of convolutions and matrix products search (GAMMA: Kao, Krishna, ICCAD 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Array, Bools, Ints
from hwgym.costs.maestro.dataflow import Dataflow
from hwgym.costs.maestro.directives import (
    LARGEST_SIZE,
    Cluster,
    Directive,
    SpatialMap,
    TemporalMap,
)
from hwgym.hardware import integers
from hwgym.workloads import Layer

__all__ = ["MAPPED", "Mappings", "extents"]

MAPPED = "KCYX"
"""The dimensions that a mapping tiles: filters, channels, output rows and output columns."""

_DIRECTIVE = ("K", "C", "Y'", "X'")
_FILTERS = ("R", "S")


def extents(layer: Layer) -> tuple[int, int, int, int]:
    """K, C, output rows and output columns of a layer, as MAESTRO has them: at stride 1."""
    k, c, y, x, r, s, _ = layer.shape
    return k, c, y - r + 1, x - s + 1


@dataclass(frozen=True, eq=False)
class Mappings:
    """N mappings, integers all. Dimensions are numbered as in :data:`MAPPED`.

    Attributes:
        cluster: (N,) PEs of a cluster; an array of P PEs has P // cluster of them.
        parallel: (N, 2) the dimension spread over the clusters, and that over a cluster's PEs.
        tiles: (N, 2, 4) how much of each dimension a cluster holds at a time, and a PE; of rows and
            columns as many outputs.
        orders: (N, 2, 4) the dimensions, outermost loop first: over the array, and in a cluster.

    Of depthwise layers K is 1, is not spread, and its place in an order means nothing.

    Raises:
        ValueError: If shapes do not agree, a size is not a positive integer of 32 bits, or an order
            is not one of all dimensions.
    """

    cluster: Ints
    parallel: Ints
    tiles: Ints
    orders: Ints

    def __post_init__(self) -> None:
        cluster = integers("cluster", self.cluster, 1, LARGEST_SIZE)
        tiles = integers("tiles", self.tiles, 1, LARGEST_SIZE)
        parallel, orders = (np.asarray(given, np.int64) for given in (self.parallel, self.orders))
        rows = cluster.size
        for name, array, shape in (
            ("cluster", cluster, (rows,)),
            ("parallel", parallel, (rows, 2)),
            ("tiles", tiles, (rows, 2, 4)),
            ("orders", orders, (rows, 2, 4)),
        ):
            if array.shape != shape:
                raise ValueError(f"{name} of {rows} mappings must be {shape}, got {array.shape}")
            object.__setattr__(self, name, array)
        if ((parallel < 0) | (parallel > 3)).any():
            raise ValueError(f"parallel must be indices of {MAPPED}, 0..3")
        if (np.sort(orders, axis=2) != np.arange(4)).any():
            raise ValueError(f"orders must be permutations of 0..3, the indices of {MAPPED}")

    def __len__(self) -> int:
        return len(self.cluster)

    def take(self, rows: Array | slice) -> Mappings:
        """Some of them."""
        return Mappings(*(getattr(self, f.name)[rows] for f in fields(self)))

    @staticmethod
    def join(several: Sequence[Mappings]) -> Mappings:
        """One after the other."""
        return Mappings(
            *(np.concatenate([getattr(m, f.name) for m in several]) for f in fields(Mappings))
        )

    def dataflow(self, row: int, layer: Layer, name: str = "mapping") -> Dataflow:
        """One of them as MAESTRO's directives, with the filters of a layer.

        Raises:
            ValueError: If a depthwise layer's K is spread.
        """
        return self._dataflow(row, layer.shape[4:6], bool(layer.shape[-1]), name)

    def _dataflow(
        self, row: int, filters: Sequence[int], depthwise: bool, name: str = "mapping"
    ) -> Dataflow:
        sizes = dict(zip(_FILTERS, map(int, filters), strict=True))
        directives: list[Directive] = []
        for level in range(2):
            if level:
                directives.append(Cluster(int(self.cluster[row])))
            spread = int(self.parallel[row, level])
            if depthwise and spread == 0:
                raise ValueError("a depthwise layer has no filters (K) to spread")
            for dim in self.orders[row, level].tolist():
                if depthwise and dim == 0:
                    continue
                size = int(self.tiles[row, level, dim])
                kind = SpatialMap if dim == spread else TemporalMap
                directives.append(kind(size, size, _DIRECTIVE[dim]))
            directives += [TemporalMap(sizes[f], sizes[f], f) for f in _FILTERS]
        plain = tuple(directives)
        return (
            Dataflow(name, (SpatialMap(1, 1, "K"),), plain) if depthwise else Dataflow(name, plain)
        )

    def text(self, row: int, layer: Layer) -> str:
        """One of them as a mapping file of MAESTRO, with its layer."""
        k, c, y, x, r, s, depthwise = layer.shape
        levels = self.dataflow(row, layer)
        directives = levels.depthwise if depthwise else levels.directives
        body = "\n".join(f"      {each};" for each in directives)
        return (
            "Network mapping {\n"
            f"  Layer {_identifier(layer.name)} {{\n"
            f"    Type: {'DSCONV' if depthwise else 'CONV'}\n"
            f"    Dimensions {{ K: {k}, C: {c}, Y: {y}, X: {x}, R: {r}, S: {s} }}\n"
            f"    Dataflow {{\n{body}\n    }}\n  }}\n}}\n"
        )

    @staticmethod
    def of(dataflow: Dataflow, layer: Layer) -> Mappings:
        """The mapping that a dataflow with numbers for sizes is, of a layer.

        Filters may stand anywhere; that is lost, and means nothing.

        Raises:
            ValueError: If it is no mapping of this form: two levels, each with all dimensions, one
                of them spread, tiles that do not overlap, whole filters.
        """
        depthwise = bool(layer.shape[-1])
        levels = dataflow.levels(depthwise=depthwise)
        if len(levels) != 2:
            raise ValueError(f"{dataflow.name!r}: a mapping has two levels, found {len(levels)}")
        dims = dict(zip("KCYXRS", layer.shape[:6], strict=True))
        [cluster] = dataflow.cluster_sizes(depthwise=depthwise)
        given = {**dims, "num_pes": 0, "tile_k": 0, "cluster_size": 0}
        tiles = np.ones((1, 2, 4), np.int64)
        parallel, orders = np.zeros((1, 2), np.int64), np.zeros((1, 2, 4), np.int64)
        whole = extents(layer)
        wanted = set(_DIRECTIVE[depthwise:])
        for number, level in enumerate(levels):
            where = f"{dataflow.name!r}, level {number}"
            order = [0] if depthwise else []
            seen = set()
            for m in level:
                size, offset = (given[v] if isinstance(v, str) else v for v in (m.size, m.offset))
                if not size:
                    raise ValueError(f"{where}: {m} leaves a size open")
                name, length = m.dim, size
                if name in ("Y", "X"):  # input rows that make outputs
                    filter_ = dims[_FILTERS["YX".index(name)]]
                    name, length = f"{name}'", size - filter_ + 1
                if name in _FILTERS:
                    if size < dims[name]:
                        raise ValueError(f"{where}: {m} splits a filter of {dims[name]}")
                    continue
                if offset != length and length < whole[_DIRECTIVE.index(name)]:
                    raise ValueError(f"{where}: tiles of {m} overlap, or leave something out")
                dim = _DIRECTIVE.index(name)
                seen.add(name)
                order.append(dim)
                tiles[0, number, dim] = length
                if isinstance(m, SpatialMap):
                    parallel[0, number] = dim
            if sum(isinstance(m, SpatialMap) for m in level) != 1:
                raise ValueError(f"{where}: one dimension is spread in a mapping")
            if missing := wanted - seen:
                raise ValueError(f"{where}: {', '.join(sorted(missing))} not mapped")
            orders[0, number] = order
        size = given[cluster] if isinstance(cluster, str) else cluster
        return Mappings(np.array([size]), parallel, tiles, orders)

    def spread(self, num_pes: ArrayLike) -> Ints:
        """(N,) how many clusters an array of so many PEs has; 0 where a cluster is larger."""
        clusters: Ints = np.asarray(num_pes, np.int64) // self.cluster
        return clusters

    def divides(self, layer: Layer) -> Bools:
        """(N,) where every PE tile divides its cluster's and that the dimension."""
        whole = np.array(extents(layer))
        even: Bools = (self.tiles[:, 0] % self.tiles[:, 1] == 0).all(axis=1) & (
            whole % self.tiles[:, 0] == 0
        ).all(axis=1)
        return even


def _identifier(name: str) -> str:
    """A layer's name as MAESTRO's parser takes it."""
    return "".join(c if c.isalnum() else "_" for c in name) or "layer"
