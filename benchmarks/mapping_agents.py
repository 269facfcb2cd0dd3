"""How good the agents of mapping search are, beside GAMMA's operators and the best that was seen.

    python -m benchmarks.mapping_agents gamma                # equal samples, latency and EDP
    python -m benchmarks.mapping_agents map-local            # 15,000 samples, EDP
    python -m benchmarks.mapping_agents marvel --samples 500 --layers BERT-1

The eight layers, on the array of GAMMA's script. Things to compare with: three runs of GAMMA's
operators under masks (``tests/golden/gamma.csv``), their median and their best, of whose samples
``gamma`` gets the fewest; and the least EDP that any search had seen in 15,000 evaluations when the
family was planned. A ratio is the median over seeds to those, at most 1 where the agent is as good.
Exits with 1 where ``gamma`` does not reach the median of the three, or another agent the least EDP
seen, to the three digits in which that is known.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.gamma import EDGE, Winner, winners
from hwgym.core import solve
from hwgym.families.mapping.problem import mapping_problem
from hwgym.workloads import Layer

SEEN = {
    "VGG16-2": 5.15e11,
    "VGG16-9": 4.08e11,
    "ResNet50-1": 3.93e10,
    "ResNet50-20": 2.04e9,
    "ResNet50-45": 4.63e10,
    "MobileNetV2-4": 7.90e8,
    "MobileNetV2-20": 1.39e7,
    "BERT-1": 3.19e10,
}
"""The least EDP seen, nJ x cycles."""
SAMPLES = 15_000


@dataclass(frozen=True)
class Task:
    """A layer and an objective, and what is known of it.

    Attributes:
        name: Of the layer.
        layer: Its shape.
        objective: ``edp`` or ``latency``.
        samples: The fewest of three runs of GAMMA's operators.
        masked: What these found.
    """

    name: str
    layer: Layer
    objective: str
    samples: int
    masked: tuple[float, ...]

    @property
    def seen(self) -> float | None:
        """The least EDP seen."""
        return SEEN[self.name] if self.objective == "edp" else None


def tasks() -> Iterator[Task]:
    """The sixteen."""
    found: dict[tuple[str, str], list[Winner]] = {}
    for winner in winners():
        if winner.source == "masked":
            found.setdefault((winner.objective.lower(), winner.name), []).append(winner)
    for (objective, name), three in found.items():
        values = tuple(_value(winner, objective) for winner in three)
        samples = min(winner.samples for winner in three)
        yield Task(name, three[0].layer, objective, samples, values)


def _value(winner: Winner, objective: str) -> float:
    cycles = winner.said["runtime_cycles"]
    return cycles if objective == "latency" else cycles * winner.said["energy_nj"]


def run(task: Task, agent: str, samples: int, seeds: int) -> list[float]:
    """What each seed found."""
    problem = mapping_problem(task.layer, EDGE, objective=task.objective)
    return [solve(agent, problem, samples=samples, seed=s).objective for s in range(seeds)]


def reached(found: float, known: float) -> bool:
    """Whether a value is no more than another, to three digits."""
    return found <= known or float(f"{found:.2e}") <= known


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("agent")
    parser.add_argument("--samples", type=int, help="of every run")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--layers", nargs="*", choices=SEEN, default=list(SEEN))
    parser.add_argument("--objectives", nargs="*", choices=("edp", "latency"))
    given = parser.parse_args(arguments)
    against_gamma = given.agent == "gamma"
    objectives = given.objectives or (["latency", "edp"] if against_gamma else ["edp"])
    head = ("layer", "objective", "samples", "median", "least", "most")
    table = Table(*head, "to GAMMA's", "its best", "seen")
    console, missed = Console(width=130), 0
    for task in tasks():
        if task.name not in given.layers or task.objective not in objectives:
            continue
        samples = given.samples or (task.samples if against_gamma else SAMPLES)
        found = run(task, given.agent, samples, given.seeds)
        median = float(np.median(found))
        usual = float(np.median(task.masked))
        goal = usual if against_gamma else task.seen
        missed += goal is not None and not reached(median, goal)
        table.add_row(
            task.name,
            task.objective,
            f"{samples:,}",
            *(f"{value:.5g}" for value in (median, min(found), max(found))),
            f"{median / usual:.4f}",
            f"{median / min(task.masked):.4f}",
            "" if task.seen is None else f"{median / task.seen:.4f}",
        )
        print(task.name, task.objective, median, file=sys.stderr, flush=True)
    console.print(table)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
