"""What can be said of a layer on a piece of hardware without costing it: loops, tiles, traffic.

A dataflow's directives say in which order a layer's dimensions are walked and which of them are
spread over PEs. With the layer's sizes, a number of PEs and a tile they tell how many tiles each
dimension makes at each level and in how many rounds the units get through them, which is where
costs jump. What agents learn costs from (:mod:`.predictor`) are logarithms of these numbers, of
their products, and of a roofline made of them. Nothing is taken from a cost model, and any
dataflow can be asked, whoever wrote it.

Everything follows from what an assignment problem's statement tells (``statement.known``):
``workload``, ``dataflows``, ``pe_levels``, ``tile_levels`` and ``hardware``. numpy only.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym.costs.maestro import Dataflow, Hardware, SpatialMap, TemporalMap
from hwgym.workloads import Layer

__all__ = [
    "DIMS",
    "NAMES",
    "Features",
    "Known",
    "features_of",
    "known_of",
    "place_features",
    "warn_unlike",
]

DIMS = "KCYXRS"
"""Of a layer: filters, channels, rows and columns of the input, those of a filter."""

TENSORS = ("input", "weight", "output")
ADDRESSED = {
    False: {"input": "CYX", "weight": "KCRS", "output": "KYX"},
    True: {"input": "CYX", "weight": "CRS", "output": "CYX"},
}
SLIDES = {"Y": "R", "X": "S"}
LEVELS = ("array", "cluster")
SPREAD = 8.0
"""Powers of two that a feature of 1 stands for."""

NAMES = (
    *(
        f"{what} {dim} in the {level}"
        for level in LEVELS
        for dim in DIMS
        for what in (
            "tiles",
            "rounds",
            "size of a tile",
            "filled of the last",
            "spread",
            "asked for more than there is",
            "with its window more than there is",
        )
    ),
    *(
        f"{what} of the {level}"
        for level in LEVELS
        for what in ("units", "filled units", "rounds", "work in a round")
    ),
    *(
        f"{what} of the {tensor} in the {level}"
        for level in LEVELS
        for tensor in TENSORS
        for what in ("tile", "fetches", "words", "new words in a round")
    ),
    *(
        f"{what} over compute in the {level}"
        for level in LEVELS
        for what in (
            "time to bring in",
            "time to send up",
            "time to bring in the next of the innermost loop",
            "time to bring in all anew",
            "time to send all up",
            "rounds of the innermost loop",
        )
    ),
    "bandwidth",
    "MACs",
    "PEs",
    "tile",
    "depthwise",
    "clusters there is no room for",
    "roofline's idle share",
    "room in a PE over its weights",
    "room in the array over its weights",
)
"""Of each feature; all are logarithms to base 2, over 8, but for shares and flags."""

MOST_LOG = 4.0
"""Features beyond it, or below minus it, are cut: no ratio of 2^32 says more than one of 2^31."""


class Known(NamedTuple):
    """What a statement tells of an assignment problem, as features need it.

    Attributes:
        layers: One a row of its tables.
        dataflows: Of which each layer gets one; the last axis of a choice, if several.
        pes, tiles: (pes x tiles,) of each choice of a single dataflow.
        hardware: Interconnect and technology.
    """

    layers: tuple[Layer, ...]
    dataflows: tuple[Dataflow, ...]
    pes: Ints
    tiles: Ints
    hardware: Hardware


def known_of(known: Mapping[str, Any]) -> Known:
    """Of ``statement.known``.

    Raises:
        ValueError: If it does not tell what an assignment problem's does.
    """
    missing = [name for name in ("workload", "dataflows", "pe_levels") if name not in known]
    if missing:
        raise ValueError(
            f"the statement does not tell {' and '.join(missing)}, as those of HWAssign and "
            "HWAssignMulti do"
        )
    pes, tiles = np.array(known["pe_levels"]), np.array(known["tile_levels"])
    return Known(
        tuple(known["workload"]),
        tuple(known["dataflows"]),
        np.repeat(pes, len(tiles)),
        np.tile(tiles, len(pes)),
        known["hardware"],
    )


def warn_unlike(
    agent: str, known: Mapping[str, Any], learnt: Mapping[str, Sequence[int]] | None = None
) -> None:
    """Warn where a machine differs from all of an agent's training in what it has not learnt.

    Args:
        agent: How the warning calls it.
        known: Of a statement.
        learnt: Least and greatest of each number of :class:`~hwgym.costs.maestro.Hardware` that
            machines of the training had; without, all had the defaults but for bandwidths of the
            interconnect.
    """
    own, usual = known["hardware"].arrays(), Hardware().arrays()
    if not learnt:
        learnt = {n: (int(v), int(v)) for n, v in usual.items() if n != "noc_bandwidth"}
    other = {n: each for n, each in learnt.items() if not each[0] <= own[n] <= each[1]}
    if other:
        had = "the defaults"
        if any(least < most for least, most in other.values()):
            had = ", ".join(f"{n} from {least:,} to {most:,}" for n, (least, most) in other.items())
        warnings.warn(
            f"{agent} has not learnt what {', '.join(f'{n}={own[n]:g}' for n in other)} means: all "
            f"machines of its training had {had}; compare with the optimum, or give it samples",
            stacklevel=3,
        )


@dataclass(frozen=True)
class Features:
    """Of layers under a dataflow, and what an ideal machine would take.

    Attributes:
        values: (layers, choices, ``len(NAMES)``) float32.
        cycles: (layers, choices) log2 of the roofline: no round takes less than its MACs, or than
            its words on the interconnect.
        macs: (layers, 1) log2 of the layer's MACs, of one run.
        l2_words: (layers, choices) log2 of the words that the shared buffer sees.
        l1_bytes, l2_bytes: (layers, choices) log2 of what tiles take, in a PE and in the array.
    """

    values: Array
    cycles: Floats
    macs: Floats
    l2_words: Floats
    l1_bytes: Floats
    l2_bytes: Floats


def features_of(
    layers: Sequence[Layer],
    dataflow: Dataflow,
    hardware: Hardware,
    pes: Ints,
    tiles: Ints,
    bandwidth: Ints | None = None,
) -> Features:
    """Features of layers under one dataflow.

    Args:
        layers: Any number, also none.
        dataflow: Of one level or two; of more, the outermost and the innermost count.
        hardware: Of which bandwidth and lanes matter.
        pes, tiles: (choices,) of each choice; or (layers, choices), each layer's own.
        bandwidth: (layers, 1) instead of the hardware's, each layer's own.
    """
    numbers = hardware.arrays()
    shape = (len(layers), np.atleast_2d(pes).shape[1])
    parts: dict[str, Array] = {
        "values": np.zeros((*shape, len(NAMES)), np.float32),
        **{n: np.zeros(shape) for n in ("cycles", "macs", "l2_words", "l1_bytes", "l2_bytes")},
    }
    words = numbers["noc_bandwidth"] if bandwidth is None else bandwidth
    for rows, case in cases_of(layers, dataflow, pes, tiles, words, numbers["simd_lanes"]):
        some = case.features()
        for name, into in parts.items():
            into[rows] = getattr(some, name)
    return Features(**parts)


def cases_of(
    layers: Sequence[Layer],
    dataflow: Dataflow,
    pes: Ints,
    tiles: Ints,
    bandwidth: ArrayLike,
    lanes: ArrayLike,
) -> Iterator[tuple[Ints, Case]]:
    """Those of layers that are not depthwise, and those of layers that are, with their places.

    Args:
        layers, dataflow, pes, tiles: As :func:`features_of` takes them.
        bandwidth, lanes: A number, or (layers, 1) each layer's own.
    """
    which: Bools = np.array([layer.is_depthwise for layer in layers], bool)
    columns = [np.atleast_2d(np.asarray(v, np.float64)) for v in (pes, tiles, bandwidth, lanes)]
    for depthwise in (False, True):
        rows = np.flatnonzero(which == depthwise)
        if len(rows):
            own = [v[rows] if len(v) > 1 else v for v in columns]
            yield rows, Case([layers[i] for i in rows.tolist()], dataflow, depthwise, *own)


def place_features(known: Known) -> Floats:
    """(choices of all dataflows, 2 + dataflows): where choices lie, for distances between them:
    PEs and tile on log scales of about equal spread, and which dataflow, one of several."""
    pes, tiles = np.log2(known.pes), np.log2(known.tiles)
    count = len(known.dataflows)
    columns = np.column_stack([np.repeat(pes, count), np.repeat(tiles, count)])
    which = np.tile(np.eye(count), (len(pes), 1))
    found: Floats = np.concatenate([columns, which], axis=1)
    return found


class _Map(NamedTuple):
    """A dimension's directive at a level: arrays (layers, choices), or what broadcasts to them."""

    dim: str
    spatial: bool
    size: Floats
    offset: Floats
    asked: Floats
    """The size as the directive has it: in output rows or columns without the window."""


class Level(NamedTuple):
    """What a level makes of the tile that it is given.

    Attributes:
        order: Dimensions, outermost first.
        spatial: Those that are spread.
        asked_more, reaches_more: By dimension: 1 where the directive asks for more than there is;
            where it does together with its window.
        units: How many units there are; ``filled``, the share of them that has work.
        tiles, rounds: By dimension: how many tiles there are; in how many rounds units do them.
        size, offset: By dimension: rows, columns or channels of a tile, and from one to the next.
        edge: By dimension: what the last tile has of a whole one, as a share.
        times: How often it goes round, all in all.
    """

    order: list[str]
    spatial: list[str]
    units: Floats
    filled: Floats
    tiles: dict[str, Floats]
    rounds: dict[str, Floats]
    size: dict[str, Floats]
    offset: dict[str, Floats]
    edge: dict[str, Floats]
    asked_more: dict[str, Floats]
    reaches_more: dict[str, Floats]
    times: Floats


class _Moved(NamedTuple):
    """Words that a round moves, (layers, choices).

    Attributes:
        brought, sent: On average.
        next_in: In a round of the innermost loop that moves.
        all_in, all_up: Where nothing is there yet.
        inner: log2 of the rounds of that loop.
    """

    brought: Floats
    sent: Floats
    next_in: Floats
    all_in: Floats
    all_up: Floats
    inner: Floats


class Case:
    """Layers of which all are depthwise or none is."""

    def __init__(
        self,
        layers: Sequence[Layer],
        dataflow: Dataflow,
        depthwise: bool,
        pes: Floats,
        tiles: Floats,
        bandwidth: Floats,
        lanes: Floats,
    ) -> None:
        columns = np.array(
            [(y.K, y.C, y.OY + y.R - 1, y.OX + y.S - 1, y.R, y.S) for y in layers], np.float64
        )
        self.dims: dict[str, Floats] = dict(zip(DIMS, columns.T[..., None], strict=True))
        self.dataflow, self.depthwise = dataflow, depthwise
        self.shape = (len(layers), pes.shape[1])
        self.pes, self.tiles = (np.broadcast_to(v, self.shape) for v in (pes, tiles))
        self.bandwidth, self.lanes = bandwidth, lanes
        self.macs = np.array([[float(layer.macs // layer.repeat)] for layer in layers])

    def features(self) -> Features:
        """Of these layers, all choices."""
        levels, too_small = self.levels
        columns: list[Floats] = []
        for level in levels:
            for dim in DIMS:
                columns += [
                    np.log2(level.tiles[dim]),
                    np.log2(level.rounds[dim]),
                    np.log2(level.size[dim]),
                    np.log2(level.edge[dim]),
                    np.array(SPREAD * (dim in level.spatial)),
                    SPREAD * level.asked_more[dim],
                    SPREAD * level.reaches_more[dim],
                ]
        inner_size = levels[-1].size
        work = np.ceil(self.work(inner_size) / self.lanes)
        units = [
            [np.log2(lv.units), np.log2(lv.filled), np.log2(lv.times), np.zeros(1)] for lv in levels
        ]
        # From the inside out: a round takes what is slowest of computing and moving words.
        tensors: list[list[Floats]] = []
        waits: list[Floats] = []
        busy = work
        for number, level in reversed(list(enumerate(levels))):
            units[number][3] = np.log2(busy)
            told, moved = self._traffic(level)
            tensors.insert(0, told)
            bring, send = moved.brought / self.bandwidth, moved.sent / self.bandwidth
            times = [bring, send]
            for words in (moved.next_in, moved.all_in, moved.all_up):
                times.append(np.ceil(words / self.bandwidth))
            waits = [*(np.log2(each / busy + 1e-9) for each in times), moved.inner, *waits]
            busy = level.times * np.maximum(busy, np.maximum(bring, send))
        l1, l2 = self.room(levels)
        ideal = self.macs / (self.pes * self.lanes)
        columns += [value for each in units for value in each]
        columns += [value for each in tensors for value in each]
        columns += waits
        columns += [
            np.log2(self.bandwidth),
            np.log2(self.macs),
            np.log2(self.pes),
            np.log2(self.tiles),
            np.array(SPREAD * self.depthwise),
            SPREAD * too_small,
            np.log2(busy / ideal),
            np.log2(l1 / self.volume("weight", inner_size)),
            np.log2(l2 / self.volume("weight", levels[0].size)),
        ]
        values = np.empty((*self.shape, len(columns)), np.float32)
        for i, column in enumerate(columns):
            values[..., i] = column
        values /= SPREAD
        np.clip(values, -MOST_LOG, MOST_LOG, out=values)
        words = np.exp2(tensors[0][2]) + np.exp2(tensors[0][6]) + np.exp2(tensors[0][10])
        return Features(
            values, np.log2(busy), np.log2(self.macs), np.log2(words), np.log2(l1), np.log2(l2)
        )

    # --- levels -----------------------------------------------------------------------------------

    @cached_property
    def levels(self) -> tuple[list[Level], Floats]:
        """Array and cluster, and where there is no room for one cluster."""
        maps = self.dataflow.levels(depthwise=self.depthwise)
        clusters = [
            self._value(size) for size in self.dataflow.cluster_sizes(depthwise=self.depthwise)
        ]
        whole = np.ones(self.shape)
        for size in clusters:
            whole = whole * size
        units = np.floor(self.pes / whole)
        too_small = (units < 1).astype(np.float64)
        outer, tile = self._level(maps[0], self.dims, [], np.maximum(units, 1))
        if len(maps) > 1:
            inner, _ = self._level(maps[-1], tile, outer, whole)
        else:
            inner, _ = self._level((), tile, outer, np.ones(self.shape))
        return [
            self._resolved(outer, self.dims, np.maximum(units, 1)),
            self._resolved(inner, tile, whole),
        ], too_small

    def _value(self, size: int | str) -> Floats:
        if isinstance(size, int):
            return np.array(float(size))
        named = {"tile_k": self.tiles, "num_pes": self.pes, "cluster_size": self.pes}
        return named[size] if size in named else self.dims[size]

    def _level(
        self,
        directives: Sequence[SpatialMap | TemporalMap],
        extents: dict[str, Floats],
        above: list[_Map],
        units: Floats,
    ) -> tuple[list[_Map], dict[str, Floats]]:
        """A level's maps in input rows and columns, one a dimension, and the tile they leave."""
        sizes = {m.dim: self._value(m.size) for m in directives}
        maps = []
        for m in directives:
            dim, asked = m.dim[0], self._value(m.size)
            size = asked
            if m.dim != dim:  # of output rows: the input rows that they need
                size = size + sizes.get(SLIDES[dim], self.dims[SLIDES[dim]]) - 1
            maps.append(_Map(dim, isinstance(m, SpatialMap), size, self._value(m.offset), asked))
        given = {m.dim for m in maps}
        kept = [m._replace(spatial=False) for m in above if m.dim not in given]
        given |= {m.dim for m in kept}
        rest = [_Map(d, False, *3 * (extents[d],)) for d in DIMS if d not in given]
        maps = [*kept[::-1], *maps, *rest]
        return maps, {m.dim: np.minimum(m.size, extents[m.dim]) for m in maps}

    def _resolved(self, maps: list[_Map], extents: dict[str, Floats], units: Floats) -> Level:
        tiles, rounds, sizes, offsets, edges, asked, reaches = ({} for _ in range(7))
        together = np.ones(self.shape)
        times = np.ones(self.shape)
        filled = np.ones(self.shape)
        for m in maps:
            extent = np.broadcast_to(extents[m.dim], self.shape)
            size, offset = np.minimum(m.size, extent), np.maximum(np.minimum(m.offset, extent), 1)
            count = 1 + np.ceil((extent - size) / offset)
            tiles[m.dim], sizes[m.dim], offsets[m.dim] = count, size, offset
            asked[m.dim] = (m.asked > extent).astype(np.float64)
            reaches[m.dim] = (m.size > extent).astype(np.float64)
            edges[m.dim] = (extent - (count - 1) * offset) / size
            rounds[m.dim] = np.ceil(count / units) if m.spatial else count
            if m.spatial:
                together = np.maximum(together, rounds[m.dim])
                filled = np.minimum(filled, count / (rounds[m.dim] * units))
            else:
                times = times * count
        spatial = [m.dim for m in maps if m.spatial]
        order = [m.dim for m in maps]
        return Level(
            order, spatial, units, filled, tiles, rounds, sizes, offsets, edges, asked, reaches,
            times * together,
        )  # fmt: skip

    # --- what tiles hold and loops move -----------------------------------------------------------

    def volume(self, tensor: str, size: Mapping[str, Floats]) -> Floats:
        """Words of a tensor's part that a tile needs."""
        found = np.ones(self.shape)
        for dim in ADDRESSED[self.depthwise][tensor]:
            found = found * self.extent(tensor, dim, size)
        return found

    def work(self, size: Mapping[str, Floats]) -> Floats:
        """MACs of a tile."""
        found = self.volume("output", size)
        for dim in "RS" if self.depthwise else "CRS":
            found = found * size[dim]
        return found

    @staticmethod
    def extent(tensor: str, dim: str, size: Mapping[str, Floats]) -> Floats:
        """Of a tensor's part that a tile needs, along a dimension."""
        if tensor == "output" and dim in SLIDES:
            return np.maximum(size[dim] - size[SLIDES[dim]] + 1, 1)
        return size[dim]

    def room(self, levels: Sequence[Level]) -> tuple[Floats, Floats]:
        """Words of the tiles of all tensors: in a PE, where outputs have room for the window of
        rows and columns that they slide over, and in the array."""
        inner, outer = levels[-1], levels[0]
        one, all_ = np.zeros(self.shape), np.zeros(self.shape)
        for tensor in TENSORS:
            addressed = ADDRESSED[self.depthwise][tensor]
            window = np.ones(self.shape)
            for dim in addressed:
                window = window * inner.size[dim]
            one = one + window
            apart = any(dim in addressed for dim in outer.spatial)
            all_ = all_ + self.volume(tensor, outer.size) * (self._active(outer) if apart else 1)
        return one, all_

    @staticmethod
    def _active(level: Level) -> Floats:
        """Units that have work."""
        return np.maximum(level.units * level.filled, 1)

    def _traffic(self, level: Level) -> tuple[list[Floats], _Moved]:
        """Of the tensors, four columns each, and the words that rounds move."""
        told: list[Floats] = []
        brought, sent, next_in, all_in, all_up = np.zeros((5, *self.shape))
        inner = np.ones(self.shape)
        for dim in level.order:
            inner = np.where(level.rounds[dim] > 1, level.rounds[dim], inner)
        for tensor in TENSORS:
            addressed = ADDRESSED[self.depthwise][tensor]
            one = self.volume(tensor, level.size)
            apart = any(dim in addressed for dim in level.spatial)
            volume = one * self._active(level) if apart else one
            # It is fetched anew in each round up to its innermost loop; what lies inside of that
            # finds it there.
            fetches, seen = np.ones(self.shape), np.ones(self.shape)
            fresh, coming = np.ones(self.shape), np.zeros(self.shape)
            for dim in level.order:
                rounds = level.rounds[dim]
                seen = seen * rounds
                moves = rounds > 1
                if dim not in addressed:
                    coming = np.where(moves, 0.0, coming)
                else:
                    fetches = np.where(moves, seen, fetches)
                    share = np.minimum(level.offset[dim] / self.extent(tensor, dim, level.size), 1)
                    slid = (1 + (rounds - 1) * share) / rounds
                    fresh = np.where(moves, slid, fresh)
                    coming = np.where(moves, share, coming)
            words = volume * fetches * fresh
            new = words / level.times
            told += [np.log2(one), np.log2(fetches), np.log2(words), np.log2(new)]
            if tensor == "output":
                sent, all_up = sent + new, all_up + volume
            else:
                brought, all_in = brought + new, all_in + volume
                next_in = next_in + volume * coming
        return told, _Moved(brought, sent, next_in, all_in, all_up, np.log2(inner))
