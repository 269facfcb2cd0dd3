"""What a layer should take on a machine, by arithmetic: rounds, words that are moved, a pipeline.

No cost model is asked: it is what one works out on paper from a dataflow's directives. At each
level a tile is brought in, worked on by the level below, and its results are sent up, while the
next is on its way; so the first round takes both after one another and every other one what is
slowest of the two, of sending up, and of memory behind the array. What is brought in follows from
which loops go on: of a tensor that a loop does not address nothing is new. Tiles at an edge count
with what is left of them. All units of a level are taken to be equally busy, and all rounds of a
loop to be alike. Where they are, cost models say the same (MAESTRO of cycles under NVDLA, say);
where they are not, it is some percent off, or twofold. Agents learn from costs by how much
(:mod:`.predictor`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym.costs.maestro import Dataflow, Hardware
from hwgym.workloads import Layer

from . import assignment_features as base
from .assignment_features import (
    ADDRESSED,
    DIMS,
    LEVELS,
    MOST_LOG,
    SLIDES,
    SPREAD,
    Case,
    Level,
    cases_of,
)

__all__ = ["COUNTS", "NAMES", "Estimated", "Machines", "estimated"]

COUNTS = ("cycles", "macs", "l1_accesses", "l2_accesses", "l1_bytes", "l2_bytes")
"""What is estimated: cycles; MACs; reads and writes of the PEs' own buffers and of the shared one;
bytes that a PE's takes, and the shared one, with room for the next tile."""

_INPUTS = ("input", "weight")

NAMES = (
    *base.NAMES,
    *(
        f"{what} in the {level}"
        for level in LEVELS
        for what in (
            "time of the first round over all",
            "time to bring in the next of the innermost loop over compute",
            "time to bring in after another loop over compute",
            "time to send up over compute",
            "compute of an average tile over that of a whole one",
        )
    ),
    "time of memory over compute",
    "input words brought in over its size",
    "weight words brought in over its size",
    "output words sent up over its size",
    "lanes",
    "latency of the interconnect",
    "bandwidth of memory",
    "levels",
)
"""Of each feature: those of :mod:`.assignment_features`, and what the estimate is made of."""

_LEAST = 1e-3


class Machines(NamedTuple):
    """Of each layer's own machine (layers, 1), or of one for all (1, 1).

    Attributes:
        bandwidth: Words a cycle on the interconnect.
        lanes: MACs a cycle in a PE.
        latency: Cycles to the first word: hops times cycles of a hop.
        memory: Words a cycle from memory behind the array.
    """

    bandwidth: Floats
    lanes: Floats
    latency: Floats
    memory: Floats

    @classmethod
    def of(cls, hardware: Hardware) -> Machines:
        """From hardware of numbers, or of arrays (layers, 1)."""
        n = {name: np.atleast_2d(v.astype(np.float64)) for name, v in hardware.arrays().items()}
        return cls(
            n["noc_bandwidth"],
            n["simd_lanes"],
            n["noc_hops"] * n["noc_hop_latency"],
            n["offchip_bandwidth"],
        )

    def some(self, rows: Ints) -> Machines:
        """Those of some layers."""
        return Machines(*(v[rows] if len(v) > 1 else v for v in self))

    def delay(self, words: Floats, whole: Floats | None = None) -> Floats:
        """Cycles until so many words have come; on average, of whole tiles of ``whole`` words and
        of others that take as much less as they have less."""
        whole = words if whole is None else whole
        # A sum of averages may be a little over a whole number that it stands for.
        cycles = np.ceil(whole / self.bandwidth - 1e-9) * words / np.maximum(whole, 1e-9)
        found: Floats = np.maximum(self.latency - 1 + cycles, 0.0)
        return found


class Estimated(NamedTuple):
    """Of layers under a dataflow.

    Attributes:
        values: (layers, choices, ``len(NAMES)``) float32, features.
        counts: (layers, choices, ``len(COUNTS)``) log2 of what is expected.
        fits: (layers, choices) whether the array has room for a cluster.
    """

    values: Array
    counts: Floats
    fits: Bools


def estimated(
    layers: Sequence[Layer], dataflow: Dataflow, hardware: Hardware, pes: Ints, tiles: Ints
) -> Estimated:
    """What layers should take under a dataflow, and features of them.

    Args:
        layers: Any number, also none.
        dataflow: Of one level or two; of more, the outermost and the innermost count.
        hardware: Of numbers, or of arrays (layers, 1), each layer's own.
        pes, tiles: (choices,) of each choice; or (layers, choices), each layer's own.
    """
    machines = Machines.of(hardware)
    shape = (len(layers), np.atleast_2d(pes).shape[1])
    values = np.zeros((*shape, len(NAMES)), np.float32)
    counts = np.zeros((*shape, len(COUNTS)))
    fits = np.ones(shape, bool)
    known = len(base.NAMES)
    for rows, case in cases_of(layers, dataflow, pes, tiles, machines.bandwidth, machines.lanes):
        values[rows, :, :known] = case.features().values
        _, too_small = case.levels
        fits[rows] = too_small == 0
        found, columns = _estimate(case, machines.some(rows))
        counts[rows] = np.stack(np.broadcast_arrays(*found), axis=-1)
        for i, column in enumerate(columns, known):
            values[rows, :, i] = np.clip(column / SPREAD, -MOST_LOG, MOST_LOG)
    return Estimated(values, np.log2(counts, out=counts), fits)


class _Words(NamedTuple):
    """On average, and of whole tiles."""

    average: Floats
    whole: Floats


class _Moved(NamedTuple):
    """Words that a level moves, (layers, choices).

    Attributes:
        brought: Of each input tensor, all in all.
        first: In the first round.
        following: On average in a round of the innermost loop.
        sent: On average; ``sent_first`` in the first round.
        inner: Rounds of the innermost loop that has several.
        kinds: Rounds in which all units are busy, and those in which what is left keeps busy: their
            share, what they bring in of the innermost loop, and what they send, each with what it
            would be were tiles whole.
    """

    brought: dict[str, Floats]
    first: Floats
    following: Floats
    sent: Floats
    sent_first: Floats
    inner: Floats
    kinds: list[tuple[Floats, _Words, _Words]]


def _moved(case: Case, level: Level) -> _Moved:
    order, spatial = level.order, level.spatial
    ones = np.ones(case.shape)
    at_first, on_average, at_last, share_of_last = ones, ones, ones, ones
    if spatial:
        dim = spatial[0]
        count, rounds = level.tiles[dim], level.rounds[dim]
        at_first = np.minimum(count, level.units)
        on_average = (count - 1 + level.edge[dim]) / rounds
        at_last = count - 1 + level.edge[dim] - (rounds - 1) * level.units
        share_of_last = 1 / rounds
    innermost, inner = np.full(case.shape, -1), ones
    for i, dim in enumerate(order):
        innermost = np.where(level.rounds[dim] > 1, i, innermost)
        inner = np.where(level.rounds[dim] > 1, level.rounds[dim], inner)

    def filled(addressed: str) -> Floats:
        """What an average tile has of a whole one, along loops in time."""
        share = ones
        for dim in addressed:
            if dim not in spatial:
                share = share * (level.tiles[dim] - 1 + level.edge[dim]) / level.tiles[dim]
        return share

    def together(tensor: str, units: Floats) -> Floats:
        """What so many units hold together of what one holds."""
        along = [dim for dim in spatial if dim in ADDRESSED[case.depthwise][tensor]]
        if not along:
            return ones
        share = ones
        for dim in along:
            extent = case.extent(tensor, dim, level.size)
            share = share * np.minimum(level.offset[dim] / extent, 1)
        return np.maximum(1 + (units - 1) * share, np.minimum(units, 1))

    brought: dict[str, Floats] = {}
    first, following, in_full, in_last = np.zeros((4, *case.shape))
    in_whole = np.zeros((2, *case.shape))
    for tensor in _INPUTS:
        addressed = ADDRESSED[case.depthwise][tensor]
        tile = case.volume(tensor, level.size)
        full, last = tile * together(tensor, at_first), tile * together(tensor, at_last)
        share = filled(addressed)
        average = tile * together(tensor, on_average) * share
        own = tile * (at_first if any(dim in addressed for dim in spatial) else 1)
        total, before = own, ones
        for i, dim in enumerate(order):
            rounds = level.rounds[dim]
            if dim in addressed:
                anew = np.zeros(case.shape, bool)  # loops further in begin again
                for other in order[i + 1 :]:
                    if other in addressed:
                        anew = anew | (level.rounds[other] > 1)
                slid = np.minimum(level.offset[dim] / level.size[dim], 1)
                new = np.where(anew | (dim in spatial), 1.0, slid)
                total = total + before * (rounds - 1) * new * average
                new = np.where(innermost == i, new, 0.0)
                following = following + new * average
                in_full, in_last = in_full + new * full * share, in_last + new * last * share
                in_whole = in_whole + new * np.stack([full, last])
            before = before * rounds
        brought[tensor] = total
        first = first + own
    tile = case.volume("output", level.size)
    share = filled(ADDRESSED[case.depthwise]["output"])
    out_full, out_last = tile * together("output", at_first), tile * together("output", at_last)
    sent = tile * together("output", on_average) * share
    kinds = [
        (1 - share_of_last, _Words(in_full, in_whole[0]), _Words(out_full * share, out_full)),
        (share_of_last, _Words(in_last, in_whole[1]), _Words(out_last * share, out_last)),
    ]
    return _Moved(brought, first, following, sent, out_full, inner, kinds)


def _work_along(level: Level, dim: str, size: Floats) -> Floats:
    """MACs of a tile of that size along a dimension, but for a factor."""
    if dim in SLIDES:
        return np.maximum(size - level.size[SLIDES[dim]] + 1, 1)
    return size


def _time_along(levels: Sequence[Level], dim: str, size: Floats) -> Floats:
    """Time of a tile of that size along a dimension, on levels (from the outermost), but for a
    factor."""
    level, *rest = levels

    def below(tile: Floats) -> Floats:
        return _time_along(rest, dim, tile) if rest else _work_along(level, dim, tile)

    tile = np.minimum(level.size[dim], size)
    offset = np.maximum(np.minimum(level.offset[dim], size), 1)
    count = 1 + np.ceil((size - tile) / offset)
    if dim in level.spatial:
        return np.ceil(count / level.units) * below(tile)
    return (count - 1) * below(tile) + below(size - (count - 1) * offset)


def _estimate(case: Case, machines: Machines) -> tuple[tuple[Floats, ...], list[Floats]]:
    """Counts, and features."""
    levels, _ = case.levels
    if len(case.dataflow.levels(depthwise=case.depthwise)) == 1:
        levels = levels[:1]
    columns: list[Floats] = []
    time = np.ceil(case.work(levels[-1].size) / case.lanes)
    memory = np.zeros(case.shape)
    for number, level in reversed(list(enumerate(levels))):
        moved = _moved(case, level)
        if number == 0:
            memory = np.floor(np.maximum(moved.first, moved.sent_first) / machines.memory)
        average = time
        for dim in DIMS:
            if dim in level.spatial:
                continue
            tile, rest = level.size[dim], levels[number + 1 :]
            whole, last = (
                _time_along(rest, dim, size) if rest else _work_along(level, dim, size)
                for size in (tile, level.edge[dim] * tile)
            )
            average = average * (level.tiles[dim] - 1 + last / whole) / level.tiles[dim]
        # Rounds in which the innermost loop goes on, and those in which another does.
        following = level.times * (moved.inner - 1) / moved.inner
        other = np.maximum(level.times - following - 1, 0)
        brought = sum(moved.brought.values())
        anew = np.maximum(brought - moved.first - following * moved.following, 0)
        bring = machines.delay(moved.following)
        bring_anew = machines.delay(anew / np.maximum(other, 1))
        send = machines.delay(moved.sent)
        begin = time + machines.delay(moved.first)
        least = average
        if number == 0:
            begin, least = np.maximum(begin, memory), np.maximum(average, memory)
        busy = begin
        for share, new, out in moved.kinds:
            slowest = np.maximum(least, machines.delay(*out))
            busy = busy + share * following * np.maximum(slowest, machines.delay(*new))
            busy = busy + share * other * np.maximum(slowest, bring_anew)
        columns = [
            np.log2(begin / busy),
            *(np.log2(each / average + _LEAST) for each in (bring, bring_anew, send)),
            np.log2(average / time),
            *columns,
        ]
        time = busy
    if len(levels) == 1:
        columns += [np.zeros(1)] * 5
    sizes = {}
    for tensor in ("input", "weight", "output"):
        size = np.ones(case.shape)
        for dim in ADDRESSED[case.depthwise][tensor]:
            size = size * case.extent(tensor, dim, case.dims)
        sizes[tensor] = size
    # What is left of the loop is the array's, the last that was gone through.
    in_, weight = moved.brought["input"], moved.brought["weight"]
    sent = moved.sent * levels[0].times
    passed = in_ + weight
    own, _ = case.room(levels)
    columns += [
        np.log2(memory / average + _LEAST),
        np.log2(in_ / sizes["input"]),
        np.log2(weight / sizes["weight"]),
        np.log2(sent / sizes["output"]),
        np.log2(machines.lanes),
        np.log2(machines.latency + 1),
        np.log2(machines.memory),
        np.array(SPREAD * (len(levels) - 1)),
    ]
    counts = (
        time,
        case.macs,
        4 * case.macs + passed,
        passed + sent + sizes["input"] + sizes["weight"] + sizes["output"],
        2 * own,
        2 * (moved.first + moved.sent_first),
    )
    return counts, columns
