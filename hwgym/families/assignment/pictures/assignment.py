"""An assignment, whole or begun, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Ints
from hwgym._extras import naming
from hwgym.families.assignment.problem import AssignmentProblem
from hwgym.families.assignment.text import summary
from hwgym.plotting.style import (
    BLUE,
    COLOURS,
    GREY,
    SKY,
    STYLE,
    VERMILLION,
    entitle,
    name_ticks,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["assignment_figure", "draw_assignment"]


def assignment_figure(
    problem: AssignmentProblem, assignment: ArrayLike, title: str | None = None
) -> Figure:
    """Draw an assignment: per layer what it got, what it costs, and what is left of the budget.

    Args:
        problem: Whose it is.
        assignment: Level indices (steps, 2 or 3), -1 where nothing is assigned yet.
        title: Instead of the problem's own.

    Raises:
        ValueError: If the assignment has another shape, or an index out of range.
        ImportError: If matplotlib is not installed (``pip install 'hwgym[plot]'``).
    """
    from hwgym.plotting.picture import Picture

    [genes] = problem.space.check(assignment)
    figure = Picture(9.6, 6.4)
    draw_assignment(figure, problem, genes, title)
    return figure


def draw_assignment(
    figure: Figure, problem: AssignmentProblem, genes: Ints, title: str | None = None
) -> None:
    """Draw an assignment, level indices (steps, 2 or 3), on a figure that is empty."""
    with naming():
        import matplotlib as mpl
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

    design, statement = problem.design, problem.statement
    numbers = problem.space.encode(genes)
    parts = problem.part(genes[None])
    done = np.flatnonzero(numbers >= 0)
    pes = np.array(design.pe_levels)[genes[:, 0]]
    tiles = np.array(design.tile_levels)[genes[:, 1]]
    style = genes[:, 2] if genes.shape[1] > 2 else np.zeros(len(genes), int)
    colours = np.array([COLOURS[i % len(COLOURS)] for i in style])
    cost, used = parts.cost[0], parts.used[0]
    invalid = done[~parts.valid[0, done]]
    x = np.arange(problem.num_steps)

    with mpl.rc_context(STYLE):
        axes = figure.subplots(4, 1, sharex=False, height_ratios=[3, 2, 3, 0.7])
        top, middle, bottom, budget = axes
        top.bar(x[done], pes[done], color=colours[done], width=0.8)
        top.set_yscale("log", base=2)
        top.set_ylim(0.7, max(design.pe_levels) * 1.5)
        ticks = [p for p in design.pe_levels if p & (p - 1) == 0]
        top.set_yticks(ticks, [str(p) for p in ticks])
        top.minorticks_off()
        top.set_ylabel("PEs")
        top.plot(x[invalid], pes[invalid], "x", color=VERMILLION, markersize=8, markeredgewidth=2)

        middle.bar(x[done], tiles[done], color=colours[done], width=0.8)
        middle.set_ylim(0, max(design.tile_levels) * 1.08)
        middle.set_ylabel("filters\nper PE")

        bottom.bar(
            x[done] - 0.2, 100 * cost[done] / (cost[done].sum() or 1.0), color=GREY, width=0.4
        )
        bottom.bar(
            x[done] + 0.2,
            100 * used[done] / problem.limit,
            color=SKY,
            width=0.4,
            hatch="///",
            edgecolor="white",
            linewidth=0,
        )
        bottom.set_ylabel("%")
        keys: list[Any] = [
            Patch(color=GREY, label=f"share of {problem.objective.label}"),
            Patch(
                facecolor=SKY,
                hatch="///",
                edgecolor="white",
                label=f"share of {problem.constraint.label} budget",
            ),
        ]
        if len(design.dataflows) > 1:
            top.set_ylim(0.7, max(design.pe_levels) * 4)
            top.legend(
                handles=[
                    Patch(color=COLOURS[i % len(COLOURS)], label=d.name)
                    for i, d in enumerate(design.dataflows)
                ],
                ncols=4,
                loc="upper right",
                frameon=False,
            )
        if len(invalid):
            keys.append(
                Line2D([], [], color=VERMILLION, marker="x", linestyle="", label="invalid point")
            )
        bottom.legend(
            handles=keys, ncols=3, loc="lower right", bbox_to_anchor=(1.0, 0.97), frameon=False
        )
        for axis in (top, middle, bottom):
            axis.set_xlim(min(-0.8, problem.num_steps / 2 - 4), max(problem.num_steps - 0.2, 4))
            name_ticks(axis, statement.names, "layer")
        for axis in (top, middle):
            axis.tick_params(labelbottom=False)
            axis.set_xlabel("")

        share = float(used[done].sum() / problem.limit)
        colour = BLUE if share <= 1 else VERMILLION
        budget.barh([0], [100 * share], color=colour, height=0.8)
        budget.axvline(100, color="black", linewidth=1.2)
        budget.set_xlim(0, max(108, 104 * share))
        budget.set_yticks([])
        budget.grid(visible=False)
        budget.set_xlabel(
            f"{100 * share:.1f} % of the {problem.constraint.label} budget of "
            f"{problem.constraint.text(problem.budget or 0.0)} used"
        )
        entitle(figure, title or statement.title)
        top.set_title(summary(problem, genes), loc="left")
