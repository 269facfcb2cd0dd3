"""An assignment, layer by layer, as text, figure or moving picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwgym._extras import naming
from hwgym.families.assignment.problem import AssignmentProblem
from hwgym.plotting.style import (
    BLUE,
    DATAFLOW_COLOURS,
    GREY,
    OBJECTIVE_LABELS,
    SKY,
    STYLE,
    VERMILLION,
    layer_ticks,
    problem_title,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["AssignmentViewer", "assignment_figure", "assignment_text"]


def assignment_text(problem: AssignmentProblem, actions: ArrayLike) -> str:
    """The assignment so far as a table: a line a layer, then the totals.

    Args:
        problem: What is being assigned.
        actions: Action numbers (steps,); -1 where nothing is assigned yet.
    """
    chosen = _actions(problem, actions)
    done = np.flatnonzero(chosen >= 0)
    names = _step_names(problem)
    wide = max(len(n) for n in names)
    what, unit = OBJECTIVE_LABELS[problem.objective]
    lines = [
        problem_title(problem),
        f"{'layer':<{wide}} {'PEs':>4} {'tile':>4} {'dataflow':<18} {what + ' (' + unit + ')':>24}"
        f" {problem.constraint + ' (' + problem.unit + ')':>16}",
    ]
    for step in range(problem.num_steps):
        action = int(chosen[step])
        if action < 0:
            lines.append(f"{names[step]:<{wide}} {'-':>4} {'-':>4}")
            continue
        pes, tile, style = problem.space.describe(action)
        flag = "" if problem.valid[step, action] else "  invalid"
        lines.append(
            f"{names[step]:<{wide}} {pes:>4} {tile:>4} {style:<18}"
            f" {problem.cost[step, action]:>24,.0f} {problem.usage[step, action]:>16,.0f}{flag}"
        )
    lines.append(_summary(problem, done, chosen))
    return "\n".join(lines)


def assignment_figure(
    problem: AssignmentProblem, assignment: ArrayLike, title: str | None = None
) -> Figure:
    """Draw an assignment: per layer what it got, what it costs, and what is left of the budget.

    Args:
        problem: What is being assigned.
        assignment: Level indices (steps, 2 or 3), or action numbers (steps,) with -1 where nothing
            is assigned yet.
        title: Instead of the problem's own.

    Raises:
        ValueError: If the assignment has another shape, or an index out of range.
        ImportError: If matplotlib is not installed (``pip install 'hwgym[plot]'``).
    """
    from hwgym.plotting.picture import Picture

    actions = _actions(problem, assignment)
    figure = Picture(9.6, 6.4)
    _draw(figure, problem, actions, title)
    return figure


def _actions(problem: AssignmentProblem, assignment: ArrayLike) -> NDArray[np.int64]:
    """Action numbers (steps,), -1 where nothing is assigned, of either form of an assignment."""
    given = np.asarray(assignment)
    steps, levels = problem.num_steps, len(problem.space.shape)
    if given.dtype.kind not in "iu" or given.shape not in ((steps,), (steps, levels)):
        raise ValueError(
            f"an assignment is integers of shape ({steps},) or ({steps}, {levels}), "
            f"got {given.dtype} of shape {given.shape}"
        )
    if given.ndim == 2:
        done = (given >= 0).all(axis=1)
        actions = np.full(steps, -1, np.int64)
        actions[done] = problem.space.encode(given[done])
        return actions
    if given.max() >= problem.num_actions:
        raise ValueError(f"action numbers lie in 0..{problem.num_actions - 1}, got {given.max()}")
    return given.astype(np.int64)


class AssignmentViewer:
    """Draws the same problem again and again, into an image or a window."""

    def __init__(self, problem: AssignmentProblem, *, window: bool = False) -> None:
        with naming():
            import matplotlib
            from matplotlib.backends.backend_agg import FigureCanvasAgg

        from hwgym.plotting.picture import Picture

        self.problem = problem
        # Without a display pyplot falls back to a canvas that cannot show; draw, but do not wait.
        self.show = window
        self.window = window and matplotlib.get_backend().lower() not in ("agg", "template")
        self.figure: Figure
        if self.window:
            import matplotlib.pyplot as plt

            self.figure = plt.figure(figsize=(9.6, 6.4), layout="constrained")
            plt.show(block=False)
        else:
            self.figure = Picture(9.6, 6.4)
            FigureCanvasAgg(self.figure)

    def draw(self, actions: NDArray[np.int64]) -> NDArray[np.uint8] | None:
        """Draw an episode's actions; an RGB image (height, width, 3), or None for a window."""
        self.figure.clear()
        _draw(self.figure, self.problem, actions, None)
        canvas: Any = self.figure.canvas
        canvas.draw()
        if self.window:
            canvas.flush_events()
        if self.show:
            return None
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()

    def close(self) -> None:
        """Close the window, if there is one."""
        if self.window:
            import matplotlib.pyplot as plt

            plt.close(self.figure)


def _draw(
    figure: Figure, problem: AssignmentProblem, actions: NDArray[np.int64], title: str | None
) -> None:
    with naming():
        import matplotlib as mpl
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

    chosen = np.asarray(actions)
    done = np.flatnonzero(chosen >= 0)
    levels = problem.space.decode(np.maximum(chosen, 0))
    pes = np.array(problem.space.pe_levels)[levels[:, 0]]
    tiles = np.array(problem.space.tile_levels)[levels[:, 1]]
    style = levels[:, 2] if levels.shape[1] > 2 else np.zeros(len(levels), int)
    colours = np.array([DATAFLOW_COLOURS[i % len(DATAFLOW_COLOURS)] for i in style])
    invalid = done[~problem.valid[done, chosen[done]]]
    x = np.arange(problem.num_steps)

    with mpl.rc_context(STYLE):
        axes = figure.subplots(4, 1, sharex=False, height_ratios=[3, 2, 3, 0.7])
        top, middle, bottom, budget = axes
        top.bar(x[done], pes[done], color=colours[done], width=0.8)
        top.set_yscale("log", base=2)
        top.set_ylim(0.7, max(problem.space.pe_levels) * 1.5)
        ticks = [p for p in problem.space.pe_levels if p & (p - 1) == 0]
        top.set_yticks(ticks, [str(p) for p in ticks])
        top.minorticks_off()
        top.set_ylabel("PEs")
        top.plot(x[invalid], pes[invalid], "x", color=VERMILLION, markersize=8, markeredgewidth=2)

        middle.bar(x[done], tiles[done], color=colours[done], width=0.8)
        middle.set_ylim(0, max(problem.space.tile_levels) * 1.08)
        middle.set_ylabel("filters\nper PE")

        what = OBJECTIVE_LABELS[problem.objective][0]
        cost, usage = problem.cost[x, chosen], problem.usage[x, chosen]
        bottom.bar(
            x[done] - 0.2, 100 * cost[done] / (cost[done].sum() or 1.0), color=GREY, width=0.4
        )
        bottom.bar(
            x[done] + 0.2,
            100 * usage[done] / problem.limit,
            color=SKY,
            width=0.4,
            hatch="///",
            edgecolor="white",
            linewidth=0,
        )
        bottom.set_ylabel("%")
        keys: list[Any] = [
            Patch(color=GREY, label=f"share of {what}"),
            Patch(
                facecolor=SKY,
                hatch="///",
                edgecolor="white",
                label=f"share of {problem.constraint} budget",
            ),
        ]
        if len(problem.space.dataflows) > 1:
            top.set_ylim(0.7, max(problem.space.pe_levels) * 4)
            top.legend(
                handles=[
                    Patch(color=DATAFLOW_COLOURS[i % 4], label=d.name)
                    for i, d in enumerate(problem.space.dataflows)
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
            layer_ticks(axis, _step_names(problem))
        for axis in (top, middle):
            axis.tick_params(labelbottom=False)
            axis.set_xlabel("")

        share = float(usage[done].sum() / problem.limit)
        colour = BLUE if share <= 1 else VERMILLION
        budget.barh([0], [100 * share], color=colour, height=0.8)
        budget.axvline(100, color="black", linewidth=1.2)
        budget.set_xlim(0, max(108, 104 * share))
        budget.set_yticks([])
        budget.grid(visible=False)
        budget.set_xlabel(
            f"{100 * share:.1f} % of the {problem.constraint} budget of "
            f"{problem.budget:,.0f} {problem.unit.replace('um^2', 'µm²')} used"
        )
        figure.suptitle(title or problem_title(problem), fontsize=11, fontweight="bold")
        top.set_title(_summary(problem, done, chosen), loc="left")


def _step_names(problem: AssignmentProblem) -> list[str]:
    if problem.deployment == "LS":
        return ["all layers"]
    return [layer.name for layer in problem.space.workload]


def _summary(problem: AssignmentProblem, done: NDArray[np.int64], chosen: NDArray[np.int64]) -> str:
    what, unit = OBJECTIVE_LABELS[problem.objective]
    if not len(done):
        return f"0 of {problem.num_steps} assigned"
    cost = problem.cost[done, chosen[done]]
    total = float(cost.max() if problem.objective == "throughput" else cost.sum())
    used = float(problem.usage[done, chosen[done]].sum())
    text = (
        f"{len(done)} of {problem.num_steps} assigned: {what} {total:,.0f} {unit}, "
        f"{100 * used / problem.limit:.1f} % of the {problem.constraint} budget"
    )
    if not problem.valid[done, chosen[done]].all():
        return text + ": invalid design point"
    if used > problem.limit:
        return text + ": over budget"
    if len(done) == problem.num_steps:
        best = problem.optimum().objective
        text += f"; optimum {best:,.0f}, regret {100 * (total / best - 1):.2f} %"
    return text
