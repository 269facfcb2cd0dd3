"""DCP's claim on honest masks: codes updated by gradients, against GAMMA's thousands of samples.

    python -m benchmarks.dcp                     # the table of what was measured
    python -m benchmarks.dcp --write             # measure, and write dcp.json
    python -m benchmarks.dcp --write --runs DIR  # and keep the runs there, to go on with

The tasks are those of suite ``map``; every third of the ids of ``HWMap`` that it leaves out, in
their order; and four layers on an array that is no preset. The optimum of each is proven, so all is
told as regret. ``dcp`` has trained on none of these layers; its first sample has seen no cost.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from hwgym._arrays import Floats
from hwgym._files import replacing, write_text
from hwgym.core import Problem, problem_of, solve
from hwgym.core.agents import Agent
from hwgym.core.family import ranked_ids
from hwgym.families.mapping import FAMILY, mapping_problem
from hwgym.leaderboard import SUITES
from hwgym.leaderboard.runner import FIRST_SEED
from hwgym_agents.dcp import DCP
from hwgym_agents.gamma import Gamma

FILE = Path(__file__).with_suffix(".json")
OTHER = {"num_pes": 512, "l1_bytes": 2048, "l2_bytes": 256 * 1024, "noc_bandwidth": 32}
OTHER_LAYERS = ("VGG16:6", "ResNet50:12", "MobileNetV2:22", "BERT:4")
"""What is asked of an array that is no preset."""


@dataclass(frozen=True)
class Way:
    """How tasks are searched.

    Attributes:
        name: For the table.
        agent: Makes it.
        seeds: Runs of each task.
        at: Samples at which the regret is told.
    """

    name: str
    agent: Callable[[], Agent]
    seeds: int
    at: tuple[int, ...]


FIRST = Way("dcp", DCP, 3, (1, 10, 100))
OTHERS = (
    Way("dcp, samples teach nothing", lambda: DCP(correct=False), 1, (10, 100)),
    Way("dcp, no gradients", lambda: DCP(updates=False), 1, (1, 100)),
)
GAMMA = Way("gamma", Gamma, 10, (100, 1_000, 2_000))
WAYS = (FIRST, *OTHERS, GAMMA)
OBJECTIVES = {"edp": "energy x latency", "latency": "latency", "energy": "energy under a cap"}
CLAIM = (100, 1_000, 2_000)
"""Samples of GAMMA's that the first guess is held against."""


@dataclass(frozen=True)
class Found:
    """What a task's runs found.

    Attributes:
        task: Its name.
        objective: A key of :data:`OBJECTIVES`.
        optimum: Proven.
        regret: By way, at each of its samples, of every seed; None where nothing feasible was.
        reached: The sample at which each seed of GAMMA was as good as the first guess of ``dcp``,
            the median of its seeds; None where it never was.
    """

    task: str
    objective: str
    optimum: float
    regret: Mapping[str, list[list[float | None]]]
    reached: list[int | None]

    def median(self, way: Way, samples: int) -> float:
        """Of the seeds, at so many samples."""
        values = self.regret[way.name][way.at.index(samples)]
        return _median([np.inf if value is None else value for value in values])


def tasks() -> dict[str, Problem]:
    """All of them by name."""
    suite = [task.env_id for task in SUITES["map"].tasks]
    others = [env_id for env_id in ranked_ids(FAMILY) if env_id not in suite]
    found: dict[str, Problem] = {name: problem_of(name) for name in (*suite, *others[::3])}
    for layer in OTHER_LAYERS:
        found[f"{layer} on {OTHER['num_pes']} PEs"] = mapping_problem(layer, OTHER)
    return found


def histories(way: Way, name: str, problem: Problem, runs: Path | None) -> Floats:
    """(seeds, samples) the best objective after each sample; infinite until something feasible was.

    A file of this way and task in ``runs`` is taken as it is, with whatever settings it was made.
    """
    file = None
    if runs is not None:
        runs.mkdir(parents=True, exist_ok=True)
        file = runs / (re.sub(r"\W+", "-", f"{way.name} {name}") + ".npy")
        if file.exists():
            kept: Floats = np.load(file)
            return kept
    most = max(way.at)
    found = np.empty((way.seeds, most))
    for seed in range(way.seeds):
        history = solve(way.agent(), problem, samples=most, seed=FIRST_SEED + seed).history
        found[seed] = np.pad(history, (0, most - len(history)), mode="edge")
    if file is not None:
        with replacing(file) as partial, partial.open("wb") as stream:
            np.save(stream, found)
    return found


def measure(name: str, problem: Problem, runs: Path | None = None) -> Found:
    """Search one task in all ways."""
    optimum = problem.optimum().objective
    all_ = {way: histories(way, name, problem, runs) for way in WAYS}
    regret = {
        way.name: [[_told(problem, value) for value in found[:, n - 1]] for n in way.at]
        for way, found in all_.items()
    }
    goal = _median(all_[FIRST][:, 0])
    reached = [
        int(good.argmax()) + 1 if good.any() and np.isfinite(goal) else None
        for good in all_[GAMMA] <= goal
    ]
    return Found(name, problem.statement.objective.name, optimum, regret, reached)


def _told(problem: Problem, objective: float) -> float | None:
    return problem.regret(objective) if np.isfinite(objective) else None


def _median(values: Sequence[float] | Floats) -> float:
    return float(np.median(values))


# --- the record -----------------------------------------------------------------------------------


def load() -> list[Found]:
    """What was measured."""
    return [Found(**row) for row in json.loads(FILE.read_text(encoding="utf-8"))]


def save(found: Iterable[Found]) -> None:
    """Write :data:`FILE`."""
    lines = ",\n".join(json.dumps(asdict(each)) for each in found)
    write_text(FILE, f"[\n{lines}\n]\n")


COLUMNS = ("", *(name for name in OBJECTIVES.values()), "all")


def rows(found: Sequence[Found]) -> Iterator[list[str]]:
    """Of a table: regrets, the median over tasks and the 90 % quantile, by objective."""
    groups = [[each for each in found if each.objective == name] for name in OBJECTIVES]
    groups.append(list(found))
    yield ["tasks", *(str(len(group)) for group in groups)]
    for way in WAYS:
        for n in way.at:
            cells = [_cell([each.median(way, n) for each in group]) for group in groups]
            yield [f"`{way.name}`, {n:,} sample{'s' * (n > 1)}", *cells]
    for n in CLAIM:
        cells = []
        for group in groups:
            good = sum(each.median(FIRST, 1) <= each.median(GAMMA, n) for each in group)
            cells.append(f"{good} of {len(group)}")
        yield [f"first guess of `dcp` at least as good as `gamma` at {n:,}", *cells]
    cells = []
    for group in groups:
        samples = [_median([r or np.inf for r in each.reached]) for each in group]
        middle = _median(samples) if samples else np.inf
        cells.append(f"{middle:,.0f}" if np.isfinite(middle) else f"over {max(GAMMA.at):,}")
    yield ["samples until `gamma` is as good as it, median", *cells]


def _cell(regrets: Sequence[float]) -> str:
    if not regrets:
        return ""
    most = float(np.quantile(regrets, 0.9, method="higher"))
    return f"{_percent(_median(regrets))} ({_percent(most)})"


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %" if np.isfinite(value) else "none"


def markdown() -> str:
    """The record as a table."""
    whole = [COLUMNS, ["---", *["--:"] * (len(COLUMNS) - 1)], *rows(load())]
    return "".join("| " + " | ".join(line) + " |\n" for line in whole)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--write", action="store_true", help="measure, and write dcp.json")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="where runs are kept")
    given = parser.parse_args(arguments)
    if given.write:
        every = track(tasks().items(), "tasks", console=Console(stderr=True), transient=True)
        save([measure(name, problem, given.runs) for name, problem in every])
    table = Table(*COLUMNS, title="regret, median over tasks (90 % quantile)")
    for row in rows(load()):
        table.add_row(*(cell.replace("`", "") for cell in row))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
