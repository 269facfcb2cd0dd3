"""How large a query's counts may become, so that whatever is answered is exact.

Counts are 64-bit integers. What bounds them here, in floats, follows from the levels alone and
costs next to nothing; a query beyond the limit is an error. The bound is not tight: a mapping
whose loops run evenly reaches the limit with about a (12 R S)-th of it in multiply-accumulates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hwgym._arrays import Array, Floats, Ints
from hwgym.costs.maestro.levels import SLIDES_OVER, Interconnect, Level, Map

__all__ = ["LIMIT", "greatest_count"]

LIMIT = 2**62
"""No count may be beyond it: half of what 64 bits hold, which leaves room for rounding."""


def greatest_count(levels: Sequence[Level], dims: dict[str, Ints], noc: Interconnect) -> Floats:
    """(rows,): what no count of the analysis exceeds, nor any product or sum on the way to it."""
    one = np.ones(len(levels[0].units))
    extents: list[Mapping[str, Array]] = [dims, *map(_held, levels[:-1])]
    tensors = np.prod([size.astype(np.float64) for size in dims.values()], axis=0)
    bound: Floats = one
    runtime: Floats | None = None
    for level, extent in zip(levels[::-1], extents[::-1], strict=True):
        iterations = one
        for m in level.maps:
            iterations = iterations * _iterations(m, extent[m.dim].astype(np.float64), level.units)
        # Of anything, what one unit holds or does, and what all of them do.
        unit = np.prod(list(_held(level).values()), axis=0)
        moved = unit * (np.maximum(level.units, np.abs(level.edge_units)) + 1)
        computed = unit / noc.lanes + 1 if runtime is None else runtime
        # Buffers may add up over the cases, and the outermost is filled from off-chip memory.
        filled = 2 * np.minimum(iterations, 3.0 ** len(level.maps)) * moved / noc.offchip
        runtime = iterations * (noc.latency + 2 * moved / noc.bandwidth + 2 + computed + filled)
        bound = np.maximum(bound, runtime + 12 * iterations * moved + 3 * tensors)
    return bound


def _held(level: Level) -> dict[str, Floats]:
    """By dimension the most indices that a unit holds or gets, output rows and columns included."""
    held = {
        m.dim: np.maximum.reduce([m.size, m.offset, m.mapped_edge, m.fresh_edge]).astype(np.float64)
        for m in level.maps
    }
    for image, filter_ in SLIDES_OVER.items():
        held[image] = np.maximum(held[image], held[filter_])
    return held


def _iterations(m: Map, extent: Floats, units: Ints) -> Floats:
    """How many iterations a map makes, at most."""
    steps = np.maximum(extent - m.size, 0) / m.offset
    if not m.spatial:
        return 1 + np.ceil(steps)
    covered = extent <= m.size + m.offset * (units - 1.0)
    return 1 + np.where(covered, 0, (steps + 1) / units)
