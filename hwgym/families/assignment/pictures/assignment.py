"""An assignment, whole or begun, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Ints
from hwgym._extras import naming
from hwgym.families.assignment.design_space import DesignSpace
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
    hatches,
    name_ticks,
    room,
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
    # Of a pipeline's period, the layers' latencies are no parts: they say how busy each is.
    whole = float(problem.objective.ufunc.reduce(cost[done])) if len(done) else 0.0
    hatch = hatches(problem.num_steps)[1]
    striped: dict[str, Any] = {"hatch": hatch, "edgecolor": "white", "linewidth": 0}

    with mpl.rc_context(STYLE):
        axes = figure.subplots(4, 1, sharex=False, height_ratios=[3, 2, 3, 0.7])
        top, middle, bottom, budget = axes
        top.bar(x[done], pes[done], color=colours[done], width=0.8)
        top.set_yscale("log", base=2)
        top.set_ylim(0.7, max(design.pe_levels) * 1.5)
        ticks = [p for p in design.pe_levels if p & (p - 1) == 0] or list(design.pe_levels)
        top.set_yticks(ticks, [str(p) for p in ticks])
        top.minorticks_off()
        top.set_ylabel("PEs")
        top.plot(x[invalid], pes[invalid], "x", color=VERMILLION, markersize=8, markeredgewidth=2)

        middle.bar(x[done], tiles[done], color=colours[done], width=0.8)
        middle.set_ylim(0, max(design.tile_levels) * 1.08)
        middle.set_ylabel("filters\nper PE")

        bottom.bar(x[done] - 0.2, 100 * cost[done] / (whole or 1.0), color=GREY, width=0.4)
        bottom.bar(x[done] + 0.2, 100 * used[done] / problem.limit, color=SKY, width=0.4, **striped)
        bottom.set_ylabel("share (%)")
        if not (cost[done].any() or used[done].any()):
            bottom.set_ylim(0, 100)
        what, shares = _keys(design, style[done]), []
        if cost[done].any():
            shares.append(Patch(color=GREY, label=f"share of {problem.objective.label}"))
        if used[done].any():
            label = f"share of {problem.constraint.label} budget"
            shares.append(Patch(facecolor=SKY, label=label, **striped))
        if len(invalid):
            what.append(
                Line2D([], [], color=VERMILLION, marker="x", linestyle="", label="invalid point")
            )
        for axis, keys in ((middle, what), (bottom, shares)):
            if keys:  # between the panels
                axis.legend(
                    handles=keys, ncols=6, loc="lower right", bbox_to_anchor=(1, 0.97),
                    frameon=False,
                )  # fmt: skip
        for axis in (top, middle, bottom):
            room(axis, problem.num_steps)
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
        top.set_title(summary(problem, genes), loc="left", wrap=True)


def _keys(design: DesignSpace, styles: Ints) -> list[Any]:
    """Of the dataflows that are drawn, where there are several to choose from."""
    from matplotlib.patches import Patch

    if len(design.dataflows) < 2:
        return []
    return [
        Patch(color=COLOURS[i % len(COLOURS)], label=design.dataflows[i].name)
        for i in np.unique(styles)
    ]
