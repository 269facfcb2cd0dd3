"""Dataflows, layers and machines that are made up, so that agents learn to read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwgym._names import nearest
from hwgym.costs.maestro import (
    CLUSTERED,
    Cluster,
    Dataflow,
    Hardware,
    SpatialMap,
    TemporalMap,
    dataflow,
)
from hwgym.families.assignment import MIX
from hwgym.families.assignment.multi.splits import SPLITS, Source
from hwgym.workloads import Layer

__all__ = ["MACHINES", "any_layers", "any_machines", "generated", "spread_dims"]

CLUSTER_SIZES = (1, 2, 4, 8, 32, 64)
"""Of dataflows that are made up: all that a design space offers but those that OOD has, and the
largest."""

_DRAWN = {
    "noc_bandwidth": (4, 16_384),
    "noc_hops": (0, 16),
    "noc_hop_latency": (1, 4),
    "simd_lanes": (1, 16),
    "offchip_bandwidth": (4, 16_384),
}

_DEFAULT = {name: int(number) for name, number in Hardware().arrays().items()}

MACHINES = {
    name: (min(least, _DEFAULT[name]), max(most, _DEFAULT[name]))
    for name, (least, most) in _DRAWN.items()
}
"""Least and greatest of machines that are made up, some of whose numbers are the defaults'."""

_FILTERS = {1: 0.3, 3: 0.3, 5: 0.12, 7: 0.1, 11: 0.06, 2: 0.04, 4: 0.04, 9: 0.04}
"""Shares of the sizes of filters."""
_Maps = list[SpatialMap | TemporalMap]


def generated(count: int, rng: np.random.Generator, hold_out: str | None = None) -> list[Dataflow]:
    """Dataflows that are made up, no two alike: half of them are kin of Train's, half are any.

    Args:
        count: How many.
        rng: Where they come from.
        hold_out: One of Train's. Then none is of its kin, and none spreads what it spreads: the
            same dimensions at each level.

    Raises:
        ValueError: If the dataflow that is left out is none of Train's.
    """
    if hold_out is not None and hold_out not in MIX:
        raise ValueError(nearest("dataflow", hold_out, MIX))
    bases = [dataflow(name) for name in MIX]
    bases += [
        CLUSTERED[name].with_cluster_size(size) for name in CLUSTERED for size in CLUSTER_SIZES
    ]
    without = None
    if hold_out is not None:
        without = spread_dims(dataflow(hold_out))
        bases = [base for base in bases if not base.name.startswith(hold_out)]
    found: dict[Any, Dataflow] = {}
    while len(found) < count:
        directives: Sequence[Any]
        if rng.random() < 0.5:
            base = bases[rng.integers(len(bases))]
            directives, depthwise = _kin(base, rng), base.depthwise
        else:
            directives, depthwise = _any_directives(rng), ()
        try:
            made = Dataflow(f"made-up-{len(found)}", tuple(directives), depthwise)
        except ValueError:
            continue  # two maps that exclude each other, or nothing to spread
        if spread_dims(made) != without:
            found.setdefault(made.directives, made)
    return list(found.values())


def spread_dims(of: Dataflow) -> tuple[str, ...]:
    """The dimensions that a dataflow spreads, of each level."""
    return tuple(
        "".join(sorted({m.dim[0] for m in level if isinstance(m, SpatialMap)}))
        for level in of.levels()
    )


def _kin(base: Dataflow, rng: np.random.Generator) -> list[Any]:
    """A dataflow's loops of each level in another order, and perhaps another dimension spread."""
    directives: list[Any] = []
    for number, level in enumerate(base.levels()):
        maps = [level[i] for i in rng.permutation(len(level))]
        if rng.random() < 0.3:
            maps = _spread_another(maps, rng)
        if number:
            directives.append(Cluster(base.cluster_sizes()[number - 1]))
        directives += maps
    return directives


def _spread_another(maps: _Maps, rng: np.random.Generator) -> _Maps:
    """Another of a level's dimensions is spread instead of what is."""
    if sum(isinstance(m, SpatialMap) for m in maps) != 1:
        return list(maps)
    chosen = rng.choice([i for i, m in enumerate(maps) if m.dim not in "RS"])
    return [
        (SpatialMap if i == chosen else TemporalMap)(m.size, m.offset, m.dim)
        for i, m in enumerate(maps)
    ]


def _any_directives(rng: np.random.Generator) -> list[Any]:
    """One level or two, each with any loops of the kinds that the templates have."""
    directives: list[Any] = _any_level(rng, inner=False)
    if rng.random() < 0.9:
        number = int(rng.choice(CLUSTER_SIZES))
        sizes: tuple[int | str, ...] = ("cluster_size", number, "R", "S")
        directives.append(Cluster(sizes[rng.choice(4, p=[0.45, 0.4, 0.1, 0.05])]))
        directives += _any_level(rng, inner=True)
    return directives


def _any_level(rng: np.random.Generator, *, inner: bool) -> _Maps:
    """Filters and channels in tiles; a filter's rows and columns whole; rows and columns of the
    output in tiles, or of the input in windows that slide. One dimension is spread, seldom two."""

    def one_of(*sizes: int | str) -> Any:
        return sizes[rng.integers(len(sizes))]

    def is_there(in_array: float, in_cluster: float) -> bool:
        return bool(rng.random() < (in_cluster if inner else in_array))

    loops: list[tuple[str, Any, Any]] = []
    if is_there(1.0, 0.3):
        size = one_of(1, 1, 1, "tile_k") if inner else one_of("tile_k", "tile_k", "tile_k", 1, 4)
        loops.append(("K", size, size))
    if is_there(0.9, 0.6):
        size = one_of(1, 1, 1, 2) if inner else one_of(1, 1, "cluster_size", "tile_k", 4)
        loops.append(("C", size, size))
    of_output = is_there(0.5, 0.4)
    if of_output or is_there(0.85, 0.6):
        loops += [("R", "R", "R"), ("S", "S", "S")]
    if of_output:
        for dim, whole in (("Y'", "R"), ("X'", "S")):
            if is_there(0.95, 0.85):
                size = one_of(1, 1, 1, 2) if inner else one_of(1, 1, whole, "cluster_size", 2, 8)
                loops.append((dim, size, size))
    elif is_there(0.9, 0.8):
        loops += [("Y", "R", 1), ("X", "S", 1)]
    free = [i for i, (dim, *_) in enumerate(loops) if dim not in "RS"]
    spread = rng.permutation(free)[: 1 + (rng.random() < 0.05)].tolist()
    maps: _Maps = [
        (SpatialMap if i in spread else TemporalMap)(size, offset, dim)
        for i, (dim, size, offset) in enumerate(loops)
    ]
    return [maps[i] for i in rng.permutation(len(maps))]


def any_machines(
    count: int, rng: np.random.Generator, share: float, usual: Sequence[int]
) -> Hardware:
    """Machines (count, 1), of which a share is made up: each number is the default's or, as often,
    any, log-uniform; the others have the default's numbers and one of the usual bandwidths.

    Args:
        count: How many.
        rng: Where they come from.
        share: Of those that are made up.
        usual: Bandwidths of the interconnect.
    """
    other = rng.random((count, 1)) < share
    numbers: dict[str, Any] = {}
    for name, (least, most) in _DRAWN.items():
        base = rng.choice(usual, (count, 1)) if name == "noc_bandwidth" else _DEFAULT[name]
        low, high = np.log(max(least, 0.5)), np.log(most + 0.5)
        drawn = np.exp(rng.uniform(low, high, (count, 1)))
        if name == "simd_lanes":
            drawn = np.exp2(np.round(np.log2(drawn)))
        drawn = np.clip(np.rint(drawn), least, most).astype(np.int64)
        numbers[name] = np.where(other & (rng.random((count, 1)) < 0.5), drawn, base)
    return Hardware(**numbers)


def any_layers(count: int, rng: np.random.Generator) -> list[Layer]:
    """Layers that are made up: convolutions, depthwise ones and matrix products of any sizes,
    distinct, of which no split but Train has one."""
    taken = {
        layer.shape for split in SPLITS if split != "train" for layer in Source(split).parts.layers
    }

    def size(most: int) -> int:
        drawn = float(np.exp(rng.uniform(0.0, np.log(most + 0.5))))
        if drawn > 16 and rng.random() < 0.7:  # most widths are multiples of something
            return max(8 * round(drawn / 8), 8)
        return max(round(drawn), 1)

    found: dict[Any, Layer] = {}
    while len(found) < count:
        kind, name = rng.random(), f"made-up-{len(found)}"
        if kind < 0.35:
            rows = 1 if rng.random() < 0.25 else size(4096)
            layer = Layer.gemm(name, M=rows, N=size(32768), K=size(8192))
        else:
            rows = size(256)
            columns = rows if rng.random() < 0.8 else size(256)
            filter_ = int(rng.choice(list(_FILTERS), p=list(_FILTERS.values())))
            other = filter_ if rng.random() < 0.85 else 1
            channels = 3 if rng.random() < 0.1 else size(2048)
            sizes = {"C": channels, "OY": rows, "OX": columns, "R": filter_, "S": other}
            if kind < 0.85:
                layer = Layer(name, "CONV", K=size(2048), **sizes)
            else:
                layer = Layer(name, "DSCONV", K=1, **sizes)
        if layer.shape not in taken:
            found.setdefault(layer.shape, layer)
    return list(found.values())
