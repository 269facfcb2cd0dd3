"""Points per second of the cost model, against a compiled MAESTRO and against ZigZag.

MAESTRO is asked in the two ways it can be: a process a point, as ConfuciuX calls it, and many
layers in one file. Its processes alone are timed, not what we do to write their input and to read
their answers; those are compared with ours in every round. Build it optimised (its default build
is not). Of ZigZag its ``CostModelEvaluation`` alone is timed, on the same layers, with one mapping
each; neither its search for mappings nor the start of its process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.measure import Row, Settings, Void, alternate, busiest, rating
from benchmarks.reference import Maestro
from hwgym import Shapes, evaluate, workload
from hwgym.costs.maestro import DATAFLOWS
from hwgym.families.assignment import FINE_PE_LEVELS, PE_LEVELS, TILE_LEVELS
from hwgym.families.assignment.ids import MODELS
from hwgym.workloads import Workload

PART = "cost"
WORKER = Path(__file__).with_name("zigzag_worker.py")
MANY, PROCESS = "MAESTRO, many layers in a file", "MAESTRO, a process a point"

Query = tuple[Shapes, ArrayLike, ArrayLike]


def network_query(layers: Workload) -> Query:
    """Every layer with the 144 choices of an environment."""
    return (
        Shapes.of(layers).reshape(-1, 1, 1),
        np.array(PE_LEVELS)[:, None],
        np.array(TILE_LEVELS),
    )


def distinct_layers(count: int) -> Shapes:
    """So many convolutions, no two alike: those of all networks, then ones with other channels."""
    known = dict.fromkeys(layer.shape for name in MODELS for layer in workload(name))
    base = [shape for shape in known if not shape[6]]
    shapes = list(known)[:count]
    rng = np.random.default_rng(0)
    while len(shapes) < count:
        k, c = (int(v) for v in rng.integers(1, 2048, 2))
        other = (k, c, *base[int(rng.integers(len(base)))][2:])
        if other not in known:
            known[other] = None
            shapes.append(other)
    ks, cs, ys, xs, rs, ss, depthwise = map(np.array, zip(*shapes, strict=True))
    return Shapes(ks, cs, ys, xs, rs, ss, depthwise=depthwise)


def distinct_query(points: int) -> Query:
    """So many points, or somewhat fewer, no two alike; at least 12. Layers x PE counts x tiles."""
    pes, tiles = np.array(FINE_PE_LEVELS), np.array(TILE_LEVELS)
    layers = points // (len(pes) * len(tiles))
    if not layers:
        return distinct_layers(1).reshape(-1, 1, 1), pes[: max(points // 12, 1), None], tiles
    return distinct_layers(layers).reshape(-1, 1, 1), pes[:, None], tiles


def size(query: Query) -> int:
    """Points of a query."""
    return int(np.broadcast(query[0].K, query[1], query[2]).size)


class Asked:
    """MAESTRO with points of a network under one dataflow, its answers held against ours."""

    def __init__(self, maestro: Maestro, layers: Workload, style: str, samples: int) -> None:
        self.maestro, self.style, self.num_pes = maestro, DATAFLOWS[style], 16
        rng = np.random.default_rng(0)
        self.picks = [
            (layers[int(rng.integers(len(layers)))], int(rng.choice(TILE_LEVELS)))
            for _ in range(samples)
        ]
        shapes = Shapes.of([layer for layer, _ in self.picks])
        tiles = np.array([tile for _, tile in self.picks])
        self.ours = evaluate(shapes, style, self.num_pes, tiles).as_dict()

    def many(self) -> float:
        """Points per second, all in one file."""
        return len(self.picks) / self._ask(slice(None))

    def single(self, points: int) -> float:
        """Points per second, a process each."""
        points = min(points, len(self.picks))
        return points / sum(self._ask(slice(i, i + 1)) for i in range(points))

    def _ask(self, which: slice) -> float:
        answer = self.maestro.run(self.picks[which], self.style, self.num_pes)
        for column, values in answer.items():
            if not np.array_equal(values, self.ours[column][which]):
                raise Void(f"{column} differs from MAESTRO's: no speed to speak of")
        return self.maestro.seconds


class ZigZag:
    """ZigZag's cost model in a process of its own, which waits between the rounds."""

    def __init__(self, python: Path, layers: Workload) -> None:
        shapes = [(n.K, n.C, n.OY, n.OX, n.R, n.S, n.is_depthwise) for n in layers]
        self.python = python
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - close() does
        self.process = subprocess.Popen(
            [str(python), str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        about = self._ask(json.dumps(shapes))
        self.version = str(about["version"])
        # Runs of a layer (repeat) are the same layer to both.
        if about["macs"] != [n.macs // n.repeat for n in layers]:
            self.close()
            raise Void("ZigZag was given other layers: the multiply-accumulates differ")

    def __call__(self, seconds: float) -> float:
        """Evaluations per second."""
        answer = self._ask(str(seconds))
        return float(answer["evaluations"] / answer["seconds"])

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def _ask(self, line: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self.process.wait()
            self.errors.seek(0)
            why = self.errors.read().strip().splitlines()[-1:] or ["it said nothing"]
            self.close()
            raise RuntimeError(
                f"{self.python} could not run ZigZag's cost model ({why[0]}); "
                "it needs `pip install zigzag-dse six`"
            )
        return dict(json.loads(answer))


def measure(settings: Settings) -> Iterator[Row]:
    """Rows: a dataflow x a size of query x a peer."""
    layers = workload(settings.model)
    queries = [network_query(layers), *map(distinct_query, settings.points)]
    distinct = len({layer.shape for layer in layers})
    notes = [
        f"{settings.model} has {len(layers)} layers ({distinct} of them distinct); with "
        f"{len(PE_LEVELS) * len(TILE_LEVELS)} choices each they make {size(queries[0]):,} points."
    ] + ["In the larger queries no two points are alike."] * len(settings.points)
    with ExitStack() as stack:
        maestro = stack.enter_context(Maestro(settings.maestro)) if settings.maestro else None
        zigzag = None
        if settings.zigzag:
            zigzag = stack.enter_context(closing(ZigZag(settings.zigzag, layers)))
        for style in settings.dataflows:
            calls: dict[str, Callable[[], float]] = {}
            for number, query in enumerate(queries):
                call = _call(query, style)
                calls[f"ours {number}"] = rating(call, size(query), settings.seconds)
            if maestro:
                asked = Asked(maestro, layers, style, settings.maestro_points)
                calls[MANY] = asked.many
                calls[PROCESS] = partial(asked.single, settings.process_points)
            if zigzag:
                calls[f"ZigZag {zigzag.version}"] = partial(zigzag, settings.seconds)
            figures = alternate(calls, settings.rounds)
            peers = [name for name in calls if not name.startswith("ours")]
            where = busiest(_call(queries[0], style))
            for number, query in enumerate(queries):
                case: dict[str, int | str] = {"dataflow": style, "points": size(query)}
                ours = figures[f"ours {number}"]
                for peer in peers or [""]:
                    yield Row.of(
                        PART, "evaluate", case, "points/s", ours, peer,
                        figures[peer] if peer else None,
                        where={} if number else where, note=notes[number],
                    )  # fmt: skip


def measure_memory(settings: Settings) -> Iterator[Row]:
    """Rows: a size of query, the memory that it took beside its result."""
    for points in settings.memory_points:
        run = subprocess.run(
            [sys.executable, "-m", "benchmarks.peak", str(points), settings.dataflows[0]],
            capture_output=True,
            text=True,
            check=False,
            cwd=WORKER.parents[1],  # where this package is found
        )
        if run.returncode:
            why = run.stderr.strip().splitlines()[-1:] or ["killed, out of memory?"]
            raise RuntimeError(f"a query of {points:,} points ended with {why[0]}")
        got = json.loads(run.stdout)
        yield Row.of(
            "memory", "evaluate", {"dataflow": settings.dataflows[0], "points": got["points"]},
            "MiB beside the result",
            [(got["peak"] - got["before"] - got["result"]) / 2**20],
            "the result", [got["result"] / 2**20],
            extra={"points_per_second": got["points"] / got["seconds"], "peak_bytes": got["peak"]},
            note="Peak resident memory of a fresh process, less what it had before and the result.",
        )  # fmt: skip


def _call(query: Query, style: str) -> Callable[[], object]:
    return lambda: evaluate(query[0], style, query[1], query[2])
