"""How fast the cost model is: points per second, and as a ratio to a compiled MAESTRO.

    python -m benchmarks.cost_model                          # ours alone
    python -m benchmarks.cost_model --maestro PATH/maestro   # beside the reference, same run

The reference is asked in the two ways it can be: a process a point, as ConfuciuX calls it, and many
layers in one file. Its answers are compared with ours while it is timed. Build it optimised (its
default build is not). One core is used.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.reference import Maestro
from hwgym import Shapes, evaluate, workload
from hwgym.cost import DATAFLOWS
from hwgym.design_space import PE_LEVELS, TILE_LEVELS

NAMES = ("NVDLA", "Eyeriss", "ShiDianNao")


def median_seconds(call: Callable[[], Any], repeats: int) -> float:
    """Median wall time of a call, after one to warm up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def reference_rates(maestro: Maestro, model: str, name: str, samples: int) -> dict[str, float]:
    """Points per second of both ways to ask, answers held against ours."""
    style, layers = DATAFLOWS[name], workload(model)
    rng = np.random.default_rng(0)
    picks = [
        (layers[int(rng.integers(len(layers)))], int(rng.choice(TILE_LEVELS)))
        for _ in range(samples)
    ]
    num_pes = 16  # a PE count holds for a whole file
    shapes = Shapes.of([layer for layer, _ in picks])
    ours = evaluate(shapes, style, num_pes, np.array([t for _, t in picks])).as_dict()

    def check(answer: dict[str, Any], index: slice) -> None:
        for column, values in answer.items():
            if not np.array_equal(values, ours[column][index]):
                raise SystemExit(f"{column} differs from the reference: benchmark void")

    start = time.perf_counter()
    check(maestro.run(picks, style, num_pes), slice(None))
    many = samples / (time.perf_counter() - start)
    single = min(samples, 60)
    start = time.perf_counter()
    for i in range(single):
        check(maestro.run(picks[i : i + 1], style, num_pes), slice(i, i + 1))
    return {"many": many, "process": single / (time.perf_counter() - start)}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--maestro", type=Path, help="a compiled MAESTRO to compare with")
    parser.add_argument("--model", default="MobileNetV2")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--samples", type=int, default=600, help="points asked of the reference")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()

    layers = workload(args.model)
    shapes = Shapes.of(layers).reshape(-1, 1, 1)
    pes, tiles = np.array(PE_LEVELS)[:, None], np.array(TILE_LEVELS)
    points = len(layers) * len(PE_LEVELS) * len(TILE_LEVELS)
    maestro = Maestro(args.maestro) if args.maestro else None

    table = Table(title=f"{args.model}: {len(layers)} layers x {points // len(layers)} points")
    for heading in (
        "dataflow",
        "seconds",
        "points/s",
        "vs many layers a file",
        "vs process a point",
    ):
        table.add_column(heading, justify="left" if heading == "dataflow" else "right")
    rows = []
    for name in NAMES:

        def call(style: str = name) -> object:
            return evaluate(shapes, style, pes, tiles)

        seconds = median_seconds(call, args.repeats)
        row: dict[str, Any] = {"dataflow": name, "seconds": seconds, "rate": points / seconds}
        if maestro:
            row |= reference_rates(maestro, args.model, name, args.samples)
        rows.append(row)
        table.add_row(
            name,
            f"{seconds:.3f}",
            f"{row['rate']:,.0f}",
            *(
                f"{row['rate'] / row[way]:,.0f} x ({row[way]:,.0f}/s)" if way in row else "-"
                for way in ("many", "process")
            ),
        )
    Console().print(table)
    if args.json:
        machine = {"python": platform.python_version(), "numpy": np.__version__}
        args.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
