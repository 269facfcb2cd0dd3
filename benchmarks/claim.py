"""How many samples each method takes to 10, 5 and 1 % above the optimum: ConfuciuX's claim again.

    python -m benchmarks.claim            # a table, of the submissions in leaderboard/confuciux
    python -m benchmarks.claim --draw     # the documentation's picture as well
    python -m benchmarks.claim runs/mine  # of other runs or submissions to the suite confuciux

ConfuciuX (MICRO 2020) says that its REINFORCE converges 4.7 to 24 times sooner than other methods.
Here everybody is asked for the same: samples, complete assignments evaluated, until the regret is
at most so much. On the problem as its released code poses it, and on the one that its paper
describes.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from hwgym.leaderboard.board import Board, load
from hwgym.leaderboard.tracks import quantile_of

HERE = Path(__file__).parent
SUBMISSIONS = HERE.parent / "leaderboard" / "confuciux"
PICTURE = HERE.parent / "docs" / "claim.png"
SUITE = "confuciux"
MARKS = (0.1, 0.05, 0.01)
METHODS = {
    "confuciux": "REINFORCE as ConfuciuX has it",
    "reinforce": "REINFORCE",
    "ppo": "PPO",
    "sb3-ppo": "PPO of stable-baselines3",
    "a2c": "A2C of stable-baselines3",
    "annealing": "simulated annealing",
    "genetic": "genetic algorithm",
    "optuna": "Bayesian optimisation",
    "random": "random search",
    "reinforce-priced": "REINFORCE with memory and price",
    "difference": "differences of totals, solved",
    "tabulate": "costs of layers tabulated, solved",
}
"""By agent, in the order of tables: those that the claim is about, then what else there is."""
CLAIMED = tuple(METHODS)[:9]


@dataclass(frozen=True)
class Reached:
    """How soon a method gets to a regret on a task.

    Attributes:
        samples: Median over seeds; infinite if fewer than half get there.
        there: How many seeds get there.
        seeds: Of how many.
    """

    samples: float
    there: int
    seeds: int

    def __str__(self) -> str:
        if math.isfinite(self.samples):
            return f"{self.samples:,.0f}"
        return f"{self.there} of {self.seeds}" if self.there else "never"


def reached(board: Board) -> dict[str, list[list[Reached]]]:
    """By method: a list for each task, with what it takes to each of :data:`MARKS`."""
    entries = {entry.agent: entry for entry in board.entries}
    found = {}
    for agent in METHODS:
        runs = [entries[agent].on(task) for task in range(len(board.tasks)) if agent in entries]
        if runs and all(runs):
            found[agent] = [
                [_reached([run.samples_to(mark) for run in of_task]) for mark in MARKS]
                for of_task in runs
            ]
    return found


def _reached(samples: Sequence[float]) -> Reached:
    middle = quantile_of(np.array(samples), 0.5)
    return Reached(middle, int(np.isfinite(samples).sum()), len(samples))


def _percent(mark: float) -> str:
    return f"{mark:.0%}".replace("%", " %")


def rows(board: Board) -> Iterator[list[str]]:
    """Heads, then a row for each method."""
    yield ["method"] + [
        f"{task.label}: {_percent(mark)}" if mark == MARKS[0] else _percent(mark)
        for task in board.tasks
        for mark in MARKS
    ]
    for agent, found in reached(board).items():
        yield [f"{METHODS[agent]} (`{agent}`)", *(str(r) for task in found for r in task)]


def markdown(board: Board | None = None) -> str:
    """The table of the repository's submissions."""
    head, *rest = rows(board or load([SUBMISSIONS], SUITE))
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rest]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def draw(board: Board, path: Path) -> None:
    """A row for each method: its samples to each mark, or how many seeds get there."""
    import matplotlib as mpl

    from hwgym.plotting import save_figure
    from hwgym.plotting.picture import Picture
    from hwgym.plotting.style import GREY, STYLE

    shades = ("#9CC7E2", "#3E93C4", "#004C7A")
    found = reached(board)
    names = [METHODS[agent] for agent in found]
    about = sum(agent in CLAIMED for agent in found)
    budget = max(task.samples for task in board.tasks)
    figure = Picture(9.2, 0.8 + 0.3 * len(names))
    with mpl.rc_context({**STYLE, "axes.grid.axis": "x"}):
        axes = figure.subplots(1, len(board.tasks), sharey=True)
        for number, (task, axis) in enumerate(zip(board.tasks, axes, strict=True)):
            for row, methods in enumerate(found.values()):
                marks = methods[number]
                there = [mark for mark in marks if math.isfinite(mark.samples)]
                at = [mark.samples for mark in there]
                axis.plot(at, [row] * len(at), color=GREY, linewidth=1, zorder=1)
                for mark, shade in zip(marks, shades, strict=True):
                    axis.plot(mark.samples, row, "o", color=shade, markersize=6, zorder=2)
                missing = marks[len(there) :]
                if missing:
                    goal = _percent(MARKS[len(there)])
                    axis.annotate(
                        f"{goal}: {missing[0]}", (1.01, row), xycoords=("axes fraction", "data"),
                        va="center", fontsize=7.5, color="#555555",
                    )  # fmt: skip
            axis.axhline(about - 0.5, color=GREY, linewidth=0.6)
            axis.set_xscale("log")
            axis.set_xlim(60, 1.15 * budget)
            axis.set_xticks([100, 300, 1000, budget], ["100", "300", "1,000", f"{budget:,}"])
            axis.minorticks_off()
            axis.set_title(task.env_id, loc="left")
            axis.set_xlabel("samples, median of seeds")
        axes[0].set_yticks(range(len(names)), names)
        axes[0].set_ylim(len(names) - 0.5, -0.5)
        figure.legend(
            handles=[
                mpl.lines.Line2D(
                    [], [], marker="o", linestyle="", color=shade,
                    label=f"{_percent(mark)} above the optimum",
                )
                for shade, mark in zip(shades, MARKS, strict=True)
            ],
            loc="outside upper center", ncols=len(MARKS), frameon=False,
        )  # fmt: skip
    save_figure(figure, path)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("paths", nargs="*", type=Path, help="runs or submissions")
    parser.add_argument("--draw", action="store_true", help="the documentation's picture as well")
    given = parser.parse_args(arguments)
    board = load(given.paths or [SUBMISSIONS], SUITE)
    head, *rest = rows(board)
    table = Table(*head)
    for line in rest:
        table.add_row(*line)
    Console().print(table)
    if given.draw:
        draw(board, PICTURE)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
