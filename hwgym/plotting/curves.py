"""Regret against samples: of single runs, and of many seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwgym._extras import naming
from hwgym.agent import Result
from hwgym.families.assignment.problem import AssignmentProblem
from hwgym.families.assignment.reports import best_uniform
from hwgym.plotting.style import GREY, LINES, STYLE, problem_title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["learning_curves", "regret_curves"]

FLOOR = 1e-4  # of the logarithmic axis: below it, the optimum


def learning_curves(
    problem: AssignmentProblem,
    histories: Mapping[str, ArrayLike | Result],
    *,
    title: str | None = None,
) -> Figure:
    """Draw regret against samples, one line an agent, beside the best uniform assignment.

    Args:
        problem: What was searched.
        histories: By name, what :func:`hwgym.agent.solve` gave; or the best feasible objective
            after each sample, infinite before the first.
        title: Instead of the problem's own.

    Raises:
        ImportError: If matplotlib is not installed (``pip install 'hwgym[plot]'``).
    """
    return regret_curves(problem, {n: [h] for n, h in histories.items()}, title=title)


def regret_curves(
    problem: AssignmentProblem,
    histories: Mapping[str, Sequence[ArrayLike | Result]],
    *,
    title: str | None = None,
    interval: float = 0.5,
) -> Figure:
    """Draw regret against samples, for each agent the median over its seeds with a band.

    Args:
        problem: What was searched.
        histories: By name, one history a seed, as :func:`learning_curves` takes them. A shorter one
            goes on with its last value.
        title: Instead of the problem's own.
        interval: The share of the seeds that the band holds, the middle ones.

    Raises:
        ValueError: If an agent has no history, or the interval does not lie in 0 to 1.
        ImportError: If matplotlib is not installed (``pip install 'hwgym[plot]'``).
    """
    if not 0 <= interval <= 1:
        raise ValueError(f"interval must lie in 0..1, got {interval!r}")
    with naming():
        import matplotlib as mpl

    from hwgym.plotting.picture import Picture

    best = problem.optimum().objective
    with mpl.rc_context(STYLE):
        figure = Picture(8.0, 4.8)
        axis = figure.subplots()
        seeds = 0
        for i, (name, runs) in enumerate(histories.items()):
            regret = np.maximum(_together(name, runs) / best - 1, FLOOR)
            seeds = max(seeds, len(regret))
            colour, style = LINES[i % len(LINES)]
            samples = np.arange(1, regret.shape[1] + 1)
            middle = np.quantile(regret, 0.5, axis=0, method="inverted_cdf")
            if len(regret) > 1:
                edges = (0.5 - interval / 2, 0.5 + interval / 2)
                low, high = np.quantile(regret, edges, axis=0, method="inverted_cdf")
                axis.fill_between(
                    samples, low, _finite(high), color=colour, alpha=0.18, linewidth=0
                )
                name = f"{name} ({len(regret)} seeds)"
            axis.plot(samples, middle, style, color=colour, label=name, linewidth=1.8)
        uniform = best_uniform(problem)
        if np.isfinite(uniform):
            over = uniform / best - 1
            axis.axhline(
                max(over, FLOOR),
                color=GREY,
                linewidth=1.2,
                label=f"best uniform assignment ({over:.0%})",
            )
        _regret_axis(axis)
        axis.legend(frameon=False)
        what = f"; median, band: middle {interval:.0%} of seeds" if seeds > 1 else ""
        axis.set_title((title or problem_title(problem)) + what, loc="left", fontweight="bold")
    return figure


def _together(name: str, runs: Sequence[ArrayLike | Result]) -> NDArray[np.float64]:
    """(seeds, samples), shorter runs going on with their last value."""
    given = [run.history if isinstance(run, Result) else run for run in runs]
    histories = [np.asarray(history, dtype=np.float64) for history in given]
    if not histories or not all(len(h) for h in histories):
        raise ValueError(f"{name}: no samples to draw")
    most = max(map(len, histories))
    return np.stack([np.append(h, np.full(most - len(h), h[-1])) for h in histories])


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where nothing feasible was found yet, the band reaches out of the picture."""
    return np.where(np.isfinite(values), values, 1e12)


def _regret_axis(axis: Any) -> None:
    axis.set_yscale("log")
    tops = [np.asarray(line.get_ydata(), float) for line in axis.get_lines()]
    finite = np.concatenate([t[np.isfinite(t)] for t in tops] or [np.zeros(0)])
    axis.set_ylim(FLOOR * 0.8, max(2 * finite.max(initial=FLOOR), 1e-2))
    ticks = {1e-4: "0.01 % or less", 1e-3: "0.1 %", 1e-2: "1 %", 1e-1: "10 %", 1.0: "100 %",
             10.0: "1000 %"}  # fmt: skip
    shown = {t: label for t, label in ticks.items() if t <= axis.get_ylim()[1]}
    axis.set_yticks(list(shown), list(shown.values()))
    axis.minorticks_off()
    axis.set_xlim(0, None)
    axis.set_xlabel("samples (complete assignments evaluated)")
    axis.set_ylabel("regret: above the proven optimum")
