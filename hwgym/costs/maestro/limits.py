"""How large a query's counts may become, so that whatever is answered is exact.

Counts are 64-bit integers. What bounds them here, in floats, follows from the levels alone and
costs next to nothing; a query beyond the limit is an error. The bound is not tight: a mapping
whose loops run evenly reaches the limit with about a (12 R S)-th of it in multiply-accumulates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np

from hwgym._arrays import Array, Floats, Ints
from hwgym.costs.maestro.levels import SLIDES_OVER, Interconnect, Level, Map

__all__ = ["LIMIT", "greatest_count"]

LIMIT = 2**62
"""No count may be beyond it: half of what 64 bits hold, which leaves room for rounding."""


def greatest_count(levels: Sequence[Level], dims: dict[str, Ints], noc: Interconnect) -> Floats:
    """(rows,): what no count of the analysis exceeds, nor any product or sum on the way to it."""
    held = [_held(level) for level in levels]
    extents: list[Mapping[str, Array]] = [dims, *held[:-1]]
    tensors: Floats = np.prod(list(dims.values()), axis=0, dtype=np.float64)
    bound = tensors
    runtime: Floats | None = None
    for level, most, extent in zip(levels[::-1], held[::-1], extents[::-1], strict=True):
        iterations = reduce(
            np.multiply, (_iterations(m, extent[m.dim], level.units) for m in level.maps)
        )
        # Of anything, what one unit holds or does, and what all of them do.
        unit = reduce(np.multiply, most.values())
        moved = unit * (np.maximum(level.units, np.abs(level.edge_units)) + 1)
        computed = unit / noc.lanes + 1 if runtime is None else runtime
        # Buffers may add up over the cases, and the outermost is filled from off-chip memory.
        filled = 2 * np.minimum(iterations, 3.0 ** len(level.maps)) * moved / noc.offchip
        runtime = iterations * (noc.latency + 2 * moved / noc.bandwidth + 2 + computed + filled)
        bound = np.maximum(bound, runtime + 12 * iterations * moved + 3 * tensors)
    return bound


def _held(level: Level) -> dict[str, Floats]:
    """By dimension the most indices that a unit holds or gets, output rows and columns included."""
    held: dict[str, Floats] = {}
    for m in level.maps:
        most = np.maximum(np.maximum(m.size, m.offset), np.maximum(m.mapped_edge, m.fresh_edge))
        held[m.dim] = most.astype(np.float64)
    for image, filter_ in SLIDES_OVER.items():
        held[image] = np.maximum(held[image], held[filter_])
    return held


def _iterations(m: Map, extent: Array, units: Ints) -> Floats:
    """How many iterations a map makes, at most."""
    steps = np.maximum(extent - m.size, 0) / m.offset
    if not m.spatial:
        return 1 + np.ceil(steps)
    covered = extent <= m.size + m.offset * (units - 1.0)
    return 1 + np.where(covered, 0, (steps + 1) / units)
