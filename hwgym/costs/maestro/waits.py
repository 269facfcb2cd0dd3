"""Where the cycles of a mapping go: computing, and waiting for data at each level.

The reference says how long a layer takes, not why. Every iteration of a level takes as long as the
slowest of bringing data in, computing (which is the level below) and sending results up. Here each
iteration's time is that of computing and, where something else takes longer, a wait for it; so all
of them add up to the runtime.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwgym._arrays import Ints
from hwgym.costs.maestro.analysis import analyse_level
from hwgym.costs.maestro.cases import Cases, Work
from hwgym.costs.maestro.dataflow import Dataflow
from hwgym.costs.maestro.levels import TENSORS, Interconnect, Level, build_levels
from hwgym.hardware import Hardware
from hwgym.workloads import Layer

__all__ = ["Wait", "time_split"]


@dataclass(frozen=True)
class Wait:
    """Cycles of one kind.

    Attributes:
        level: 0 for the array, 1 for a cluster, and so on; of steps the innermost.
        kind: ``steps``: a PE computes; ``first``: data is brought in and nothing goes on beside it;
            ``in``, ``out``: the PEs below wait for data, or to be rid of results; ``offchip``: for
            the memory behind the shared buffer.
        cycles: How many.
    """

    level: int
    kind: str
    cycles: int


KINDS = ("first", "in", "out", "offchip")


@dataclass
class _Split(Work):
    """Work whose cycles are told apart: arrays (rows,) by level and kind."""

    parts: dict[tuple[int, str], Ints]


def time_split(
    layer: Layer, dataflow: Dataflow, num_pes: int, hardware: Hardware | None = None
) -> tuple[Wait, ...]:
    """Where the runtime of a layer under a dataflow of numbers goes; the cycles add up to it.

    Args:
        layer: A layer.
        dataflow: Sizes are numbers, or names of the layer's dimensions.
        num_pes: PEs of the array.
        hardware: By default ConfuciuX's flags.

    Returns:
        Every kind at every level, from the PEs' steps to the array; cycles may be 0.

    Raises:
        ValueError: If the array is too small for a cluster.
    """
    depthwise = bool(layer.shape[-1])
    numbers = {d: np.array([size]) for d, size in zip("KCYXRS", layer.shape, strict=False)}
    one = np.ones(1, np.int64)
    pes = one * num_pes
    levels, too_small = build_levels(
        dataflow.levels(depthwise=depthwise),
        dataflow.cluster_sizes(depthwise=depthwise),
        numbers,
        one,
        {"num_pes": pes, "tile_k": one, "cluster_size": pes},
        depthwise=depthwise,
    )
    if too_small[0]:
        raise ValueError(f"an array of {num_pes} PEs is too small for a cluster of {dataflow.name}")
    noc = Interconnect.of((hardware or Hardware()).arrays())
    found = _Splitter(levels, noc, TENSORS[depthwise]).split(0, numbers)
    innermost = len(levels) - 1
    keys = [(innermost, "steps")]
    keys += [(level, kind) for level in range(innermost, -1, -1) for kind in KINDS]
    return tuple(
        Wait(level, kind, int(found.parts[level, kind][0]))
        for level, kind in keys
        if (level, kind) in found.parts
    )


@dataclass(frozen=True)
class _Splitter:
    levels: Sequence[Level]
    noc: Interconnect
    tensors: dict[str, str]

    def split(self, depth: int, dims: dict[str, Ints]) -> _Split:
        """The work of tiles (rows,) of a level, all of one design point."""
        points = np.zeros(len(dims["C"]), np.int64)
        return analyse_level(
            self.levels, depth, dims, points, self.noc, self.tensors,
            lambda cases: self._add_up(depth, cases),
        )  # fmt: skip

    def _add_up(self, depth: int, cases: Cases) -> _Split:
        work, done = cases.work(), cases.done
        compute, ingress = cases.delay["compute"], cases.delay["ingress"]
        egress = cases.delay["egress"]
        wait = np.maximum(np.maximum(ingress, egress) - compute, 0)
        wait[0] = 0  # the first loads, then computes, and its results leave meanwhile
        by_input = ingress >= egress
        parts = {
            (depth, "first"): done[0] * ingress[0],
            (depth, "in"): (done * wait * by_input).sum(axis=0),
            (depth, "out"): (done * wait * ~by_input).sum(axis=0),
        }
        if depth == 0:
            spent = cases.outstanding()
            longest = np.maximum(spent, cases.offchip(cases.requests()))
            parts[0, "offchip"] = (done * (longest - spent)).sum(axis=0)
        for key, cycles in self._below(depth, cases).items():
            parts[key] = (done * cycles).sum(axis=0)
        return _Split(**vars(work), parts=parts)

    def _below(self, depth: int, cases: Cases) -> dict[tuple[int, str], Ints]:
        """What the computing of each case (cases, rows) consists of."""
        if depth + 1 == len(self.levels):
            return {(depth, "steps"): cases.delay["compute"]}
        block = cases.block
        found = []
        for clipped in (False, True)[: 1 + block.clips]:
            tiles = block.tiles_below(clipped=clipped)
            rows = len(block.points)
            work = self.split(depth + 1, {d: sizes.ravel() for d, sizes in tiles.dims.items()})
            runtime = work.runtime.reshape(-1, rows)[tiles.of_case]
            parts = {k: v.reshape(-1, rows)[tiles.of_case] for k, v in work.parts.items()}
            found.append((runtime, parts))
        runtime, full = found[0]
        if not block.clips:
            return full
        clipped_runtime, last = found[1]
        busy, clipped_here = block.ordered(block.busy_units()), block.ordered(block.clipped_here)
        some_full = busy > clipped_here
        slower = clipped_here & (~some_full | (clipped_runtime > runtime))
        return {
            key: np.where(slower, last[key], np.where(some_full, cycles, 0))
            for key, cycles in full.items()
        }
