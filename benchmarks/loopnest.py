"""Loop nests analysed per second, on one core, against ``timeloop-model`` and ZigZag.

Ours is `analyse`: all counts, cycles and MACs of mappings of a network's layers, drawn at random
with clipped edges and any order of loops; and of the points that Timeloop is asked for. Timeloop is
asked a process a point, as it can be, with nothing extrapolated; its processes alone are timed, and
every count must equal ours. Of ZigZag its `CostModelEvaluation` alone is timed, on the same layers,
with one mapping each; it prices energy and latency as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial

import numpy as np

from benchmarks.cost import ZigZag
from benchmarks.measure import Row, Settings, Void, alternate, busiest, rating
from benchmarks.parity import TIMELOOP
from benchmarks.timeloop import Timeloop
from hwgym import workload
from hwgym.costs.loopnest import DIMS, Nests, analyse
from hwgym.workloads import Workload

PART = "loopnest"
PROCESS = "timeloop-model, a process a point"
LAYERS, POINTS = "layers", "Timeloop's points"
MOST_PES = 1024


def drawn(layers: Workload, count: int) -> Nests:
    """So many mappings of the layers of a network, drawn at random; edges are clipped."""
    rng = np.random.default_rng(0)
    picks = rng.integers(len(layers), size=count)
    sizes = [
        [1, n.C if n.is_depthwise else 1, n.K, 1 if n.is_depthwise else n.C, n.OY, n.OX, n.R, n.S]
        for n in layers
    ]
    extent = np.array(sizes)[picks]
    stride = np.array([n.strides for n in layers])[picks]
    tile, spread, steps = (np.ones_like(extent) for _ in range(3))
    left = extent.copy()
    for factor in (tile, spread, steps):
        factor[:] = np.exp2(rng.uniform(0, np.log2(left))).astype(np.int64)
        if factor is spread:
            while (large := spread.prod(axis=1) > MOST_PES).any():
                spread[large] = -(-spread[large] // 2)
        left = -(-left // factor)
    outer, inner = (
        rng.permuted(np.tile(np.arange(len(DIMS)), (count, 1)), axis=1) for _ in range(2)
    )
    return Nests(extent, tile, spread, steps, outer, inner, stride=stride)


def golden() -> Nests:
    """The points that Timeloop is asked for."""
    points = [entry["point"] for entry in json.loads(TIMELOOP.read_text())]
    *nest, stride, dilation = (np.array(column) for column in zip(*points, strict=True))
    extent, tile, spread, steps, outer, inner = nest
    return Nests(extent, tile, spread, steps, outer, inner, stride=stride, dilation=dilation)


def ask(timeloop: Timeloop, nests: Nests) -> float:
    """Points per second of Timeloop, its answers held against ours.

    Raises:
        Void: If one differs.
    """
    ours = analyse(nests, boxes=True)
    before = timeloop.seconds
    for i in range(len(nests)):
        for name, value in timeloop.run(nests[i : i + 1]).items():
            if value != getattr(ours, name)[i]:
                raise Void(f"{name} differs from Timeloop's: no speed to speak of")
    return len(nests) / (timeloop.seconds - before)


def measure(settings: Settings) -> Iterator[Row]:
    """Rows: a set of points x a peer."""
    layers = workload(settings.model)
    asked = golden()[: settings.timeloop_points]
    most = min(settings.points)  # larger sets are analysed in chunks anyway
    sets = {
        LAYERS: drawn(layers, most),
        POINTS: Nests.joined([asked] * (most // len(asked) or 1)),
    }
    notes = {
        LAYERS: f"The layers are those of {settings.model}.",
        POINTS: f"Timeloop's points are {len(asked)} small problems, as often as needed.",
    }
    calls: dict[str, Callable[[], float]] = {
        name: rating(partial(analyse, nests, boxes=name == POINTS), len(nests), settings.seconds)
        for name, nests in sets.items()
    }
    with ExitStack() as stack:
        peers = []
        if settings.timeloop:
            timeloop = stack.enter_context(Timeloop(settings.timeloop))
            calls[PROCESS] = partial(ask, timeloop, asked)
            peers.append(PROCESS)
        if settings.zigzag:
            zigzag = stack.enter_context(closing(ZigZag(settings.zigzag, layers)))
            peers.append(f"ZigZag {zigzag.version}")
            calls[peers[-1]] = partial(zigzag, settings.seconds)
        figures = alternate(calls, settings.rounds)
    for name, nests in sets.items():
        where = busiest(partial(analyse, nests[:20_000]))
        for peer in peers or [""]:
            yield Row.of(
                PART, "analyse", {"of": name, "points": len(nests)}, "points/s", figures[name],
                peer, figures[peer] if peer else None, where=where, note=notes[name],
            )  # fmt: skip
