"""View: what to say and show of a family's problems and solutions.

The base class says what can be said of any problem; a family's own subclass says more. Command
line, leaderboard and documentation ask it, and know no family themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Ints
from hwgym.core.metric import Metric, thousands
from hwgym.core.problem import Problem

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Column", "Reference", "References", "Row", "View", "brief"]

Row = Mapping[str, Any]
FEW = 120  # choices of a solution that are written into its picture
HUGE = 1e12  # from here on tables give six digits


def brief(number: float, form: str = "") -> str:
    """A number for a table's cell: ``1,681,464``, and ``1.68146e15`` where it is huge.

    Args:
        number: Any.
        form: How to write it where it is not; by default as :func:`~hwgym.core.metric.thousands`.
    """
    if np.isfinite(number) and abs(number) >= HUGE:
        return f"{number:.6g}".replace("e+", "e")
    return format(number, form) if form else thousands(number)


class Column(NamedTuple):
    """A column of the table that shows a solution.

    Attributes:
        heading: Above it.
        cell: What it shows of a row.
        text: It holds words, and is aligned left.
        wide: It is left out where there is no room; the first of several first.
    """

    heading: str
    cell: Callable[[Row], str]
    text: bool = False
    wide: bool = False


class Reference(NamedTuple):
    """A result that somebody else reached.

    Attributes:
        what: By which method.
        samples: How many samples it took, as they count them.
        objective: What they reached, in the unit of the problem's objective.
        minutes: Wall time, where it was taken.
    """

    what: str
    samples: str
    objective: float
    minutes: float | None = None


class References(NamedTuple):
    """What somebody else reached on a problem of the family, to stand beside a ranking.

    Attributes:
        title: Whose results they are.
        about: How they came about, and why they do not rank.
        env_id: The problem.
        unit: In which objectives are shown.
        scale: How many of the objective's own units that is.
        results: What was reached.
    """

    title: str
    about: str
    env_id: str
    unit: str
    scale: float
    results: Sequence[Reference]


class View:
    """What to say and show of problems and solutions. Genes are (steps, axes), -1 where nothing is
    chosen yet."""

    rows_name = "steps"
    """What :meth:`rows` are, as a key of JSON."""

    # --- a problem ------------------------------------------------------------------------------

    def label(self, env_id: str) -> str:
        """An environment id without what all of the family's have in common."""
        return env_id

    def references(self) -> Sequence[References]:
        """What others reached on problems of the family; by default nothing is known."""
        return ()

    def title(self, problem: Problem) -> str:
        """A problem in one line."""
        return problem.statement.title

    def describe(self, problem: Problem) -> dict[str, Any]:
        """What is asked, as JSON values."""
        statement = problem.statement
        space, limit = statement.space, statement.limit
        axes: dict[str, Any] = {axis.name: axis.size for axis in space.axes}
        if space.own:  # a step's, by its name; one number where it has one axis
            sizes = [own[0] if len(own) == 1 else own for own in space.sizes.tolist()]
            axes = dict(zip(statement.names, sizes, strict=True))
        return {
            **statement.key,
            "steps": space.num_steps,
            "axes": axes,
            "objective": statement.objective.name,
            "objective_unit": statement.objective.unit,
            "constraint": None if statement.constraint is None else statement.constraint.name,
            "limit": limit if np.isfinite(limit) else None,
        }

    def facts(self, problem: Problem) -> dict[str, str]:
        """What is asked, for people."""
        statement = problem.statement
        space = statement.space
        axes = "; ".join(f"{axis.name} ({axis.size})" for axis in space.axes[:8])
        more = f"; and {len(space.axes) - 8} more" if len(space.axes) > 8 else ""
        shown = {
            "problem": statement.title,
            "each step gets": axes + more,
            "steps": f"{space.num_steps:,}",
            "to minimise": self.metric_text(statement.objective),
        }
        budget = self.budget(problem)
        if statement.constraint is not None and budget is not None:
            shown[f"{statement.constraint.label} limit"] = statement.constraint.text(budget)
        return shown

    def metric_text(self, metric: Metric) -> str:
        """A metric with its unit, in words."""
        unit = f" ({metric.unit})" if metric.unit else ""
        return f"{metric.about or metric.label}{unit}"

    def budget(self, problem: Problem) -> float | None:
        """What of the constraint may be used, without slack for rounding; None if all may."""
        statement = problem.statement
        limited = statement.constraint is not None and np.isfinite(statement.limit)
        return statement.limit if limited else None

    # --- a solution -----------------------------------------------------------------------------

    def rows(self, problem: Problem, genes: ArrayLike) -> list[dict[str, Any]]:
        """A row a step: what it gets, and what that costs where costs are separable.

        Raises:
            ValueError: If the solution does not fit the problem.
        """
        statement = problem.statement
        space = statement.space
        [checked] = space.check(genes)
        parts = problem.parts(checked)
        rows = []
        for i, name in enumerate(statement.names):
            row: dict[str, Any] = {"step": name}
            for axis, label in zip(space.axes, space.describe(checked[i], i), strict=True):
                row[axis.name] = label
            if parts is not None:
                chosen = bool((checked[i] >= 0).all())
                row["cost"] = float(parts.cost[0, i]) if chosen else None
                if statement.constraint is not None:
                    row["used"] = float(parts.used[0, i]) if chosen else None
                row["valid"] = bool(parts.valid[0, i])
            rows.append(row)
        return rows

    def columns(self, problem: Problem) -> Sequence[Column]:
        """Of the table that shows :meth:`rows`."""
        statement = problem.statement

        def text(key: str) -> Callable[[Row], str]:
            return lambda row: "-" if row[key] is None else str(row[key])

        def number(key: str, metric: Metric) -> Callable[[Row], str]:
            return lambda row: "-" if row[key] is None else brief(float(metric.shown(row[key])))

        columns = [Column("step", text("step"), text=True)]
        columns += [Column(axis.name, text(axis.name)) for axis in statement.space.axes[:8]]
        if problem.separable:
            columns.append(Column(statement.objective.axis, number("cost", statement.objective)))
            if statement.constraint is not None:
                columns.append(
                    Column(statement.constraint.axis, number("used", statement.constraint))
                )
        return columns

    def describe_solution(self, problem: Problem, genes: ArrayLike) -> dict[str, Any]:
        """What a solution is worth, and its rows, as JSON values.

        Raises:
            ValueError: If the solution does not fit the problem.
        """
        statement, scores = problem.statement, problem.evaluate(genes)
        found: dict[str, Any] = {"objective": float(scores.objective[0])}
        for metric in statement.metrics:
            found[metric.column] = float(scores[metric.name][0])
        budget = self.budget(problem)
        if budget is not None:
            found["budget_used"] = float(scores.used[0]) / budget if budget else 1.0
        found["feasible"] = bool(scores.feasible[0])
        found["assignment"] = np.asarray(genes).tolist()
        found[self.rows_name] = self.rows(problem, genes)
        return found

    def solution_facts(self, problem: Problem, found: Row) -> dict[str, str]:
        """What a solution is worth, for people; ``found`` is :meth:`describe_solution`'s."""
        metrics = problem.statement.metrics
        shown = {}
        if metrics:
            shown["with it"] = ", ".join(f"{m.label} {m.text(found[m.column])}" for m in metrics)
        if "budget_used" in found:
            shown["budget used"] = f"{found['budget_used']:.2%}"
        return shown

    def text(self, problem: Problem, genes: Ints) -> str:
        """A solution, or the part of it that is there, as a table in plain text."""
        columns = self.columns(problem)
        rows = self.rows(problem, genes)
        cells = [[c.heading for c in columns], *([c.cell(row) for c in columns] for row in rows)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
        lines = [self.title(problem)]
        for line in cells:
            padded = [
                cell.ljust(width) if column.text else cell.rjust(width)
                for cell, width, column in zip(line, widths, columns, strict=True)
            ]
            lines.append("  ".join(padded).rstrip())
        lines.append(self.summary(problem, genes))
        return "\n".join(lines)

    def choices(self, problem: Problem, genes: Ints) -> list[str]:
        """A line a step of a solution (steps, axes): its name, and what was chosen so far."""
        names, lines = problem.statement.names, []
        width = max(map(len, names))
        for step, name in enumerate(names):
            labels = problem.space.describe(genes[step], step)
            chosen = "  ".join("-" if label is None else str(label) for label in labels)
            lines.append(f"{name:<{width}}  {chosen}")
        return lines

    def summary(self, problem: Problem, genes: Ints) -> str:
        """How far a solution is, and what it is worth, in one line."""
        done = int((np.asarray(genes) >= 0).all(axis=1).sum())
        text = f"{done} of {problem.num_steps} chosen"
        if done < problem.num_steps:
            return text
        scores = problem.evaluate(genes)
        if not scores.feasible[0]:
            return text + (": over the limit" if scores.valid[0] else ": invalid")
        objective, best = float(scores.objective[0]), problem.certificate()
        metric = problem.statement.objective
        return (
            f"{text}: {metric.label} {metric.text(objective)}, {best.name} "
            f"{best.above(objective):.2%}"
        )

    # --- pictures -------------------------------------------------------------------------------

    def figure(self, problem: Problem, genes: ArrayLike, title: str | None = None) -> Figure:
        """A picture of a solution.

        Raises:
            ValueError: If the solution does not fit the problem.
            ImportError: If matplotlib is not installed.
        """
        from hwgym.plotting.picture import Picture  # needs matplotlib

        [checked] = problem.space.check(genes)
        figure = Picture(9.6, 6.4)
        self.draw(figure, problem, checked, title)
        return figure

    def draw(self, figure: Figure, problem: Problem, genes: Ints, title: str | None = None) -> None:
        """Draw a solution, or the part of it that is there: a cell a choice, an axis a row."""
        import matplotlib as mpl

        from hwgym.plotting.style import MAP, STYLE, entitle, name_ticks

        space = problem.space
        shares = np.where(genes < 0, np.nan, genes / np.maximum(space.sizes - 1, 1))
        steps, axes = problem.statement.names, [axis.name for axis in space.axes]
        across, down, what, grid = steps, axes, "step", shares.T
        if len(axes) > 4 * len(steps):  # one step of many axes, rather
            across, down, what, grid = tuple(axes), list(steps), "axis", shares
        with mpl.rc_context({**STYLE, "axes.grid": False}):
            picture_axis = figure.subplots()
            picture = picture_axis.imshow(grid, aspect="auto", cmap=MAP, vmin=0, vmax=1)
            name_ticks(picture_axis, across, what)
            picture_axis.set_yticks(range(len(down)), down)
            if grid.size <= FEW:
                for step, axis in np.argwhere(genes >= 0):
                    x, y = (step, axis) if what == "step" else (axis, step)
                    label = space.describe(genes[step], step)[axis]
                    colour = "white" if shares[step, axis] < 0.5 else "black"
                    picture_axis.text(x, y, str(label), color=colour, ha="center", va="center")
            bar = figure.colorbar(picture, ax=picture_axis, fraction=0.04)
            bar.set_ticks([0, 1], labels=["first", "last choice"])
            picture_axis.set_title(self.summary(problem, genes), loc="left")
            entitle(figure, title or self.title(problem))
