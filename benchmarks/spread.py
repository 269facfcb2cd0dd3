"""What each axis of a design point is worth: how much worse the optimum is with it fixed.

    python -m benchmarks.spread                   # the tasks of the documentation's table
    python -m benchmarks.spread ID [ID ...]       # any ids over loop nests

For each axis the best single level for all layers is taken, with the other axes free: regret of
that over the task's optimum. Where every column is well above zero, no axis can be left alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import numpy as np

import hwgym  # noqa: F401  (registers the ids)
from hwgym.bounds.optimum import cheapest_choice
from hwgym.core import DesignProblem, problem_of

TASKS = tuple(
    f"HWAssign-{model}-{template}-v1"
    for model in ("MobileNetV2", "ResNet50", "BERT")
    for template in ("NVDLA", "Eyeriss", "ShiDianNao", "TPU", "MIX")
)


def fixed(problem: DesignProblem) -> Iterator[tuple[str, float, int]]:
    """Of each axis its name, the regret of its best single level, and how many levels the optimum
    uses."""
    tables, best = problem.tables, problem.optimum()
    genes = problem.space.decode(np.arange(problem.num_actions))
    for number, axis in enumerate(problem.space.axes):
        least = np.inf
        for level in range(axis.size):
            valid = tables.valid & (genes[:, number] == level)
            usage = np.where(valid, tables.usage, np.inf).min(axis=1)
            if not valid.any(axis=1).all() or usage.sum() > problem.limit:
                continue
            found = cheapest_choice(tables.cost, tables.usage, valid, problem.limit)
            steps = np.arange(problem.num_steps)
            least = min(least, float(tables.cost[steps, found.actions].sum()))
        used = len(set(best.assignment[:, number].tolist()))
        yield axis.name, least / best.objective - 1, used


def main(ids: Sequence[str]) -> int:
    """Print a table in Markdown."""
    print("| task | " + " | ".join(("array", "L1", "L2", "template", "all")) + " |")
    print("| --- |" + " --- |" * 5)
    for env_id in ids or TASKS:
        problem = problem_of(env_id)
        if not isinstance(problem, DesignProblem):
            raise SystemExit(f"{env_id} has no tables")
        cells = [f"{regret:.0%} ({used})" for _, regret, used in fixed(problem)]
        cells += ["-"] * (4 - len(cells))
        cells.append(f"{problem.best_uniform() / problem.optimum().objective - 1:.0%}")
        print(f"| `{env_id}` | " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
