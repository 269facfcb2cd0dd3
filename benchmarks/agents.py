"""How good the agents are: regret after 5,000 samples, median over seeds, on many tasks.

    python -m benchmarks.agents --agents ppo reinforce reinforce-priced --seeds 10 --out runs/agents
    python -m benchmarks.agents --ablation --out runs/ablation

Each finished run is a small file in the folder, so an interrupted benchmark goes on where it was
and a second call only prints the table.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from hwgym._files import write_text
from hwgym.core import solve
from hwgym.families.assignment import AssignmentProblem

MODELS = ("MobileNetV2", "ResNet50", "MnasNet", "VGG16")
DATAFLOWS = ("NVDLA", "Eyeriss", "ShiDianNao")
PLATFORMS = ("iot", "iotx")
MARKS = (250, 1000, 2500)

# What REINFORCE with memory and price loses if one of its parts is taken away; the
# paper's settings, which are an agent of their own, last. What learns from returns alone is the
# agent reinforce.
PAPER = "paper"
ABLATION: dict[str, dict[str, Any]] = {
    "all": {},
    "no curiosity": {"curiosity": 0.0},
    "no pacing": {"pace": 0.0},
    "no tilt": {"tilt": 0.0},
    "no memory": {"memory": False, "epochs": 1},
    "no price": {"memory": False, "epochs": 1, "credit": "return"},
    "no layer bias": {"layer_bias": False},
    "no annealing": {"anneal": 0.0},
    "one temperature": {"coldest": 1.0},
    "mlp": {"policy": "mlp"},
    "no masks": {"masks": False, "memory": False, "epochs": 1, "credit": "return"},
    PAPER: {},
}  # fmt: skip


class Run(NamedTuple):
    """One run: what it is, and the file of its result."""

    agent: str
    variant: str
    model: str
    dataflow: str
    platform: str
    released: bool
    seed: int
    samples: int

    @property
    def file(self) -> str:
        return "_".join(str(f).replace(" ", "-") for f in self) + ".json"

    @property
    def task(self) -> str:
        problem = "released" if self.released else "intended"
        return f"{self.model} {self.dataflow} {self.platform} {problem}"


def perform(run: Run) -> dict[str, Any]:
    """Do one run; its figures."""
    import torch

    torch.set_num_threads(1)
    problem = AssignmentProblem.of(
        run.model, run.dataflow, platform=run.platform, released=run.released
    )
    result = solve(
        run.agent,
        problem,
        samples=run.samples,
        seed=run.seed,
        settings=ABLATION.get(run.variant, {}),
    )
    regret = problem.optimum().above(result.history)
    return {
        **run._asdict(),
        "regret": float(regret[-1]),
        "at": {str(m): float(regret[m - 1]) for m in MARKS if m <= len(regret)},
        "seconds": result.seconds,
    }


def planned(args: argparse.Namespace) -> Iterator[Run]:
    if args.ablation:
        for variant in ABLATION:
            for seed in range(args.seeds):
                for released in (False, True):
                    agent = "confuciux" if variant == PAPER else "reinforce-priced"
                    yield Run(
                        agent, variant, "MobileNetV2", "NVDLA", "iot", released, seed,
                        args.samples,
                    )  # fmt: skip
        return
    for model in args.models:
        for dataflow in args.dataflows:
            for platform in args.platforms:
                for released in (False, True):
                    for agent in args.agents:
                        for seed in range(args.seeds):
                            yield Run(
                                agent, "all", model, dataflow, platform, released, seed,
                                args.samples,
                            )  # fmt: skip


def table(results: list[dict[str, Any]], by: tuple[str, ...]) -> Table:
    """Median over seeds for every group."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for r in results:
        groups.setdefault(tuple(str(r[k]) for k in by), []).append(r)
    out = Table(title="Regret, median over seeds")
    for heading in (*by, "seeds", *(f"at {m:,}" for m in MARKS), "end", "worst", "seconds"):
        out.add_column(heading, justify="left" if heading in by else "right")
    for key, rows in groups.items():
        marks = [np.median([r["at"].get(str(m), np.nan) for r in rows]) for m in MARKS]
        out.add_row(
            *key,
            str(len(rows)),
            *(f"{100 * m:.1f} %" for m in marks),
            f"{100 * np.median([r['regret'] for r in rows]):.2f} %",
            f"{100 * max(r['regret'] for r in rows):.2f} %",
            f"{np.median([r['seconds'] for r in rows]):.0f}",
        )
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--agents", nargs="+", default=["ppo", "reinforce", "reinforce-priced"])
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--dataflows", nargs="+", default=DATAFLOWS)
    parser.add_argument("--platforms", nargs="+", default=PLATFORMS)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument(
        "--ablation", action="store_true", help="reinforce-priced, a part at a time"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=Path("runs/agents"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    runs = list(planned(args))
    results = []
    missing = []
    for run in runs:
        path = args.out / run.file
        if path.exists():
            results.append(json.loads(path.read_text()))
        else:
            missing.append(run)
    console = Console()
    with (
        ProcessPoolExecutor(args.workers, mp_context=get_context("spawn")) as pool,
        Progress(console=console, transient=True) as progress,
    ):
        bar = progress.add_task("runs", total=len(missing))
        waiting = {pool.submit(perform, run): run for run in missing}
        for done in as_completed(waiting):
            path = args.out / waiting[done].file
            write_text(path, json.dumps(done.result()))
            results.append(done.result())
            progress.advance(bar)
    for r in results:
        r["problem"] = "released" if r["released"] else "intended"
    by: tuple[str, ...] = ("variant", "problem")
    if not args.ablation:
        by = ("agent", "model", "dataflow", "platform", "problem")
    console.print(table(sorted(results, key=lambda r: [str(r[k]) for k in by]), by))
    return 0


if __name__ == "__main__":
    sys.exit(main())
