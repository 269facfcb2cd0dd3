"""What to say and show of precision: bits, what they cost, what is still answered right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Ints
from hwgym.core.problem import Problem
from hwgym.core.view import Column, Row, View, brief
from hwgym.costs.precision import UNITS
from hwgym.families.quant.problem import AccuracyProblem, NoiseProblem

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["VIEW", "QuantView"]

_COSTS = {
    "maestro": "MAESTRO's, dataflow NVDLA-CxK, on units of Bit Fusion's",
    "loopnest": "loop nests', template NVDLA, on units of Bit Fusion's",
    "haq": "HAQ's published cycles",
}


class QuantView(View):
    """Bits of layers."""

    rows_name = "layers"

    def label(self, env_id: str) -> str:
        return env_id.removeprefix("HWQuant-").removesuffix("-v0")

    def facts(self, problem: Problem) -> dict[str, str]:
        posed = _posed(problem)
        widths = posed.widths
        bits = ", ".join(map(str, widths.bits))
        shown = {
            "problem": self.title(problem),
            "each layer gets": f"bits of weights: {bits}; bits of activations: {bits}",
            "layers": f"{posed.num_steps:,}",
            "costs": _COSTS[widths.model],
        }
        if widths.unit:
            shown["array"] = f"{widths.pes:,} units, {widths.unit}: {UNITS[widths.unit]}"
        shown["to minimise"] = self.metric_text(posed.statement.objective)
        limit = widths.constraint.text(widths.budget.limit)
        shown[f"{widths.constraint.label} limit"] = (
            f"{limit}, {widths.share:.4g} of {widths.bits[-1]} bits"
        )
        if isinstance(posed, AccuracyProblem):
            searched, held = posed.table.images
            shown["images"] = f"{searched} to search on, {held} others to report"
        return shown

    def rows(self, problem: Problem, genes: ArrayLike) -> list[dict[str, Any]]:
        """Also what each layer costs, whole and as a share of the most bits.

        Raises:
            ValueError: If the solution does not fit the problem.
        """
        rows = super().rows(problem, genes)
        widths, [checked] = _posed(problem).widths, problem.space.check(genes)
        for i, (row, (w, a)) in enumerate(zip(rows, checked.tolist(), strict=True)):
            row["layer"] = row.pop("step")
            for metric in widths.metrics:
                cost = widths.costs[metric.name][i]
                chosen = min(w, a) >= 0
                row[metric.column] = float(cost[w, a]) if chosen else None
            limited = widths.costs[widths.constraint.name][i]
            row["share"] = float(limited[w, a] / limited[-1, -1]) if min(w, a) >= 0 else None
        return rows

    def columns(self, problem: Problem) -> Sequence[Column]:
        widths = _posed(problem).widths
        limited = widths.constraint

        def number(row: Row) -> str:
            cost = row[limited.column]
            return "-" if cost is None else brief(float(limited.shown(cost)))

        def bits(name: str) -> Column:
            return Column(name, lambda row: "-" if row[name] is None else str(row[name]))

        columns = [
            Column("layer", lambda row: row["layer"], text=True),
            bits("weight bits"),
            bits("activation bits"),
            Column(limited.axis, number),
            Column(f"of {widths.bits[-1]} bits", lambda row: _percent(row["share"])),
        ]
        if isinstance(problem, NoiseProblem):
            columns.append(Column("noise", lambda row: _small(row["cost"])))
        return columns

    def solution_facts(self, problem: Problem, found: Row) -> dict[str, str]:
        shown = super().solution_facts(problem, found)
        if isinstance(problem, AccuracyProblem):
            searched, held = found["search_accuracy"], found["held_accuracy"]
            shown["accuracy"] = f"{searched:.1%} on the images searched on, {held:.1%} on others"
        return shown

    def describe_solution(self, problem: Problem, genes: ArrayLike) -> dict[str, Any]:
        """Also accuracies, where they are tabulated and the solution is complete.

        Raises:
            ValueError: If the solution does not fit the problem.
        """
        found = super().describe_solution(problem, genes)
        if isinstance(problem, AccuracyProblem):
            checked = problem.space.check(genes)
            for half in ("search", "held"):
                whole = bool((checked >= 0).all())
                right = float(problem.accuracy(checked, half)[0]) if whole else float("nan")
                found[f"{half}_accuracy"] = right
        return found

    def summary(self, problem: Problem, genes: Ints) -> str:
        """Also the accuracy of a complete solution on the images searched on."""
        text = super().summary(problem, genes)
        if isinstance(problem, AccuracyProblem) and (genes >= 0).all():
            right = float(problem.accuracy(genes, "search")[0])
            text += f", {right:.1%} right"
        return text

    def draw(self, figure: Figure, problem: Problem, genes: Ints, title: str | None = None) -> None:
        """Draw a solution, or the part of it that is there: bits of each layer, and below what they
        cost beside what the most bits cost."""
        import matplotlib as mpl

        from hwgym.plotting.style import BLUE, GREY, ORANGE, STYLE, entitle, name_ticks

        widths, names = _posed(problem).widths, problem.statement.names
        bits, chosen = np.array(widths.bits), (genes >= 0).all(axis=1)
        at, limited = np.arange(len(genes)), widths.costs[widths.constraint.name]
        taken = limited[at, np.maximum(genes[:, 0], 0), np.maximum(genes[:, 1], 0)]
        unit = widths.constraint
        with mpl.rc_context({**STYLE, "axes.grid.axis": "y"}):
            above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
            for axis, (colour, side) in enumerate(((BLUE, -0.2), (ORANGE, 0.2))):
                height = np.where(genes[:, axis] >= 0, bits[np.maximum(genes[:, axis], 0)], 0)
                label = problem.space.axes[axis].name
                above.bar(at + side, height, 0.4, color=colour, label=label)
            above.set_ylabel("bits")
            above.set_yticks(bits if len(bits) <= 4 else bits[-1::-2])
            above.set_ylim(0, 1.05 * bits[-1])
            above.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
            above.set_title(self.summary(problem, genes), loc="left")
            below.bar(
                at, unit.shown(limited[:, -1, -1]), 0.8, color=GREY, label=f"at {bits[-1]} bits"
            )
            below.bar(
                at, np.where(chosen, unit.shown(taken), 0), 0.8, color=BLUE, label="with these"
            )
            below.set_ylabel(unit.axis)
            below.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
            name_ticks(below, names, "layer")
            entitle(figure, title or self.title(problem))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _small(noise: float | None) -> str:
    return "-" if noise is None else f"{noise:.3g}"


def _posed(problem: Problem) -> AccuracyProblem | NoiseProblem:
    assert isinstance(problem, AccuracyProblem | NoiseProblem)  # the family makes no other
    return problem


VIEW = QuantView()
