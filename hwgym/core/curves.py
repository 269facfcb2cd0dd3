"""Regret against samples of searches, of any family's problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from hwgym.core.problem import Problem
from hwgym.core.search import Result
from hwgym.plotting.curves import curves_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["learning_curves", "regret_curves"]


def learning_curves(
    problem: Problem, histories: Mapping[str, ArrayLike | Result], *, title: str | None = None
) -> Figure:
    """Draw regret against samples, one line an agent, beside the best uniform solution.

    Args:
        problem: What was searched.
        histories: By name, what :func:`hwgym.core.solve` gave; or the best feasible objective
            after each sample, infinite before the first.
        title: Instead of the problem's own.

    Raises:
        ImportError: If matplotlib is not installed (``pip install 'hwgym[plot]'``).
    """
    return regret_curves(problem, {n: [h] for n, h in histories.items()}, title=title)


def regret_curves(
    problem: Problem,
    histories: Mapping[str, Sequence[ArrayLike | Result]],
    *,
    title: str | None = None,
    interval: float = 0.5,
) -> Figure:
    """Draw regret against samples, for each agent the median over its seeds with a band.

    Where no optimum is proven, the gap to the lower bound takes the place of regret.

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
    best, uniform = problem.certificate(), problem.best_uniform()
    return curves_figure(
        {
            name: [best.above(run.history if isinstance(run, Result) else run) for run in runs]
            for name, runs in histories.items()
        },
        title=title or problem.statement.title,
        marks={"best uniform solution": best.above(uniform)} if np.isfinite(uniform) else None,
        interval=interval,
        what=f"{best.name}: above the proven {'optimum' if best.exact else 'lower bound'}",
    )
