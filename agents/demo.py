"""The whole story in a few minutes: search, refine, and compare with the proven optimum.

    python -m hwgym_agents.demo
    python -m hwgym_agents.demo --env HWAssign-ResNet50-Eyeriss-v0 --seed 1
    python -m hwgym_agents.demo --samples 500       # a shorter story

1. REINFORCE, with a memory of what every choice cost and a price for the budget
   (`reinforce-priced`), searches, and logs every episode.
2. The genetic refiner reads that log and searches around the best of it.
3. MaskablePPO of sb3-contrib, a general-purpose agent, searches with as many samples as both.

A *sample* is one complete solution evaluated. No agent can see the optimum; it is solved for the
table at the end. The first two agents need costs that every step adds on its own, and choices that
can be enumerated; any family of problems that has them will do.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from hwgym._arrays import Floats
from hwgym.core import Agent, Evaluator, Problem, Result, family_of, problem_of, solve
from hwgym.core.curves import learning_curves
from hwgym.core.metric import thousands
from hwgym.plotting import save_figure

from .common import separable
from .ga_refiner import GARefiner
from .reinforce_priced import PricedReinforce
from .sb3 import MaskablePPO

FIRST = "priced REINFORCE"
FIRST_SHARE = 0.8  # of the samples; the refiner has the rest


@dataclass(frozen=True)
class Arguments:
    """What the command line says."""

    env: str
    samples: int
    seed: int
    out: Path


class Story:
    """Runs the agents one after the other and shows how far they are."""

    def __init__(self, args: Arguments, problem: Problem, console: Console) -> None:
        self.args, self.problem, self.console = args, problem, console
        columns = TextColumn("{task.description}"), BarColumn(24), TimeRemainingColumn()
        best = TextColumn("{task.fields[best]}")
        self.progress = Progress(*columns, best, console=console, disable=not console.is_terminal)

    def run(self, name: str, agent: Agent, samples: int, log: Path | None = None) -> Result:
        """One agent, with a line of progress."""
        unit = self.problem.statement.objective.unit
        task = self.progress.add_task(f"{name:<16}", total=samples, best="")

        def show(evaluator: Evaluator, task: TaskID = task) -> None:
            best = evaluator.best_objective
            text = f"best {thousands(best)} {unit}" if np.isfinite(best) else "none feasible yet"
            self.progress.update(task, completed=evaluator.spent, best=text)

        result = solve(
            agent, self.args.env, samples=samples, seed=self.args.seed, log=log, progress=show
        )
        if not self.console.is_terminal:
            found = f"{thousands(result.objective)} {unit}"
            self.console.print(f"{name}: {samples:,} samples in {result.seconds:.0f} s, {found}")
        return result

    def tell(self) -> dict[str, Floats]:
        """Run everything; the history of each search by name."""
        first = max(1, round(FIRST_SHARE * self.args.samples))
        log = self.args.out / "reinforce"
        for old in (log, self.args.out / "refined"):
            shutil.rmtree(old, ignore_errors=True)
        with self.progress:
            search = self.run(FIRST, PricedReinforce(), first, log)
            histories = {FIRST: search.history}
            self.results = {FIRST: search}
            if self.args.samples > first and search.assignment is not None:
                refiner = GARefiner(logs=[str(log)])
                refined = self.run(
                    "GA refiner", refiner, self.args.samples - first, self.args.out / "refined"
                )
                both = np.minimum(refined.history, search.objective)
                histories[f"{FIRST}, then GA"] = np.append(search.history, both)
                self.results[f"{FIRST}, then GA"] = refined
            ppo = self.run("MaskablePPO", MaskablePPO(), self.args.samples)
            histories["MaskablePPO"] = ppo.history
            self.results["MaskablePPO"] = ppo
        return histories


def rows(story: Story, histories: dict[str, Floats]) -> Iterator[tuple[str, int, float, float]]:
    """Who searched, with how many samples, for how long, and the best objective."""
    problem, args = story.problem, story.args
    for name, history in histories.items():
        yield name, len(history), story.results[name].seconds, float(history[-1])
    yield "best uniform", problem.space.num_actions, 0.0, problem.best_uniform()
    random = problem.space.draw(np.random.default_rng(args.seed), args.samples)
    yield "random search", args.samples, 0.0, problem.evaluate(random).best
    known = problem.certificate()
    yield "proven optimum" if known.exact else "best known", 0, known.seconds, known.objective


def result_table(story: Story, histories: dict[str, Floats]) -> Table:
    """The comparison, ready to print."""
    problem, statement = story.problem, story.problem.statement
    what, unit = statement.objective.label, statement.objective.unit
    within = (
        "" if statement.constraint is None else f" within the {statement.constraint.label} budget"
    )
    table = Table(title=f"Best {what} found{within}")
    table.add_column("found by", no_wrap=True)
    known = problem.certificate()
    for heading in ("samples", unit, known.name, "seconds"):
        table.add_column(heading, justify="right")
    for name, samples, seconds, objective in rows(story, histories):
        found = np.isfinite(objective)
        table.add_row(
            name,
            f"{samples:,}" if samples else "-",
            thousands(objective) if found else "none feasible",
            f"{known.above(objective):.2%}" if found else "-",
            f"{seconds:.1f}" if seconds >= 0.05 else "-",
        )
    above = "optimum" if known.exact else "proven lower bound"
    table.caption = (
        f"{known.name}: how far above the {above}; sample: a complete solution evaluated"
    )
    return table


def parse(argv: Sequence[str] | None) -> tuple[Arguments, Problem]:
    """Read the command line; ends the program with 2 and a message where it makes no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m hwgym_agents.demo",
        description="Search an environment of hwgym with REINFORCE, refine what it found, compare "
        "both with MaskablePPO, uniform solutions, random search and the proven optimum, and draw "
        "the learning curves and the best solution.",
    )
    add = parser.add_argument
    add("--env", default="HWAssign-MobileNetV2-NVDLA-v0", help="id (default: %(default)s)")
    add("--samples", type=int, default=5000, help="of each search (default: %(default)s)")
    add("--seed", type=int, default=0, help="of all agents (default: %(default)s)")
    add("--out", type=Path, default=Path("runs/demo"), help="folder (default: %(default)s)")
    given = parser.parse_args(argv)
    if given.samples < 1:
        parser.error(f"--samples must be at least 1, got {given.samples}")
    if given.seed < 0:
        parser.error(f"--seed must be at least 0, got {given.seed}")
    try:
        problem = problem_of(given.env)
        separable(problem.statement, FIRST)
        given.out.mkdir(parents=True, exist_ok=True)
    except (TypeError, ValueError, OSError) as error:
        parser.error(str(error))
    return Arguments(**vars(given)), problem


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration."""
    args, problem = parse(argv)
    console = Console()
    console.print(
        f"{args.env}: {problem.num_steps} decisions of {problem.space.num_actions} choices each.",
        soft_wrap=True,
    )
    story = Story(args, problem, console)
    try:
        histories = story.tell()
    except KeyboardInterrupt:
        console.print("stopped")
        return 130
    console.print(result_table(story, histories))
    curves = save_figure(learning_curves(problem, histories), args.out / "learning_curves.png")
    console.print(f"Learning curves: {curves}", soft_wrap=True)
    best = min(story.results.values(), key=lambda result: result.objective)
    if best.assignment is not None:
        figure = family_of(args.env).view.figure(problem, best.assignment)
        picture = save_figure(figure, args.out / "assignment.png")
        console.print(f"The best solution found: {picture}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
