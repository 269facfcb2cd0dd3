"""What to say and show of hardware assignment: its layers, PEs, filters and budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from hwgym._arrays import Ints
from hwgym.core.metric import Metric
from hwgym.core.problem import Problem
from hwgym.core.view import Column, References, Row, View
from hwgym.families.assignment import pictures
from hwgym.families.assignment.accounting import MAESTRO
from hwgym.families.assignment.confuciux import CONFUCIUX
from hwgym.families.assignment.problem import AssignmentProblem
from hwgym.families.assignment.reports import describe_assignment, describe_problem, layer_rows
from hwgym.families.assignment.text import assignment_text, summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["VIEW", "AssignmentView"]

FORMATS = {"latency": ",.0f", "energy": ",.0f", "area": ",.4f", "power": ",.4g"}
"""How a layer's share of each metric is written, in the unit that is shown."""


class AssignmentView(View):
    """Layers, PEs and filters, dataflows, and where the budget comes from."""

    rows_name = "layers"

    # --- a problem ------------------------------------------------------------------------------

    def label(self, env_id: str) -> str:
        return env_id.removeprefix("HWAssign-").removesuffix("-v0")

    def references(self) -> Sequence[References]:
        return (CONFUCIUX,)

    def describe(self, problem: Problem) -> dict[str, Any]:
        return describe_problem(_assignment(problem))

    def facts(self, problem: Problem) -> dict[str, str]:
        asked = _assignment(problem)
        design, layers = asked.design, asked.design.workload
        released = design.accounting == MAESTRO
        return {
            "network": f"{layers.name}, {len(layers)} layer{'s' * (len(layers) > 1)}, "
            f"{layers.macs / 1e9:.3g} GMACs"
            + (" (ConfuciuX's released table)" if released else ""),
            "each layer gets": f"PEs: {_levels(design.pe_levels)}; filters per PE: "
            f"{_levels(design.tile_levels)}; dataflow: "
            + " or ".join(d.name for d in design.dataflows)
            + (" (all layers the same)" if asked.deployment.shared else ""),
            "to minimise": self.metric_text(asked.objective),
            f"{asked.constraint.name} budget": _budget(asked),
            "costs": f"{design.hardware.tech.name}, "
            + ("as MAESTRO prints them" if released else "PEs and buffers, all accesses and MACs"),
        }

    def budget(self, problem: Problem) -> float:
        return _assignment(problem).budget or 0.0

    # --- an assignment --------------------------------------------------------------------------

    def rows(self, problem: Problem, genes: ArrayLike) -> list[dict[str, Any]]:
        return layer_rows(_assignment(problem), genes)

    def columns(self, problem: Problem) -> Sequence[Column]:
        asked = _assignment(problem)
        costs = asked.statement.metrics[:2], asked.statement.metrics[2:]
        columns = [
            Column("layer", lambda row: str(row["layer"]), text=True),
            Column("PEs", lambda row: str(row["pes"])),
            Column("filters", lambda row: str(row["tile"])),
        ]
        if len(asked.design.dataflows) > 1:
            columns.append(Column("dataflow", lambda row: str(row["dataflow"]), text=True))
        for group, wanted in zip(costs, (asked.objective, asked.constraint), strict=True):
            kept = wanted if wanted in group else group[0]  # what was not asked for goes first
            columns += [
                Column(m.shown_unit, _number(m, FORMATS[m.name]), wide=m != kept) for m in group
            ]
        return [
            *columns,
            Column(asked.objective.name, lambda row: f"{row['cost_share']:.1%}"),
            Column("budget", lambda row: f"{row['usage_share']:.1%}"),
        ]

    def describe_solution(self, problem: Problem, genes: ArrayLike) -> dict[str, Any]:
        return describe_assignment(_assignment(problem), genes)

    def text(self, problem: Problem, genes: Ints) -> str:
        return assignment_text(_assignment(problem), genes)

    def summary(self, problem: Problem, genes: Ints) -> str:
        return summary(_assignment(problem), genes)

    def draw(self, figure: Figure, problem: Problem, genes: Ints, title: str | None = None) -> None:
        pictures.draw_assignment(figure, _assignment(problem), genes, title)


def _assignment(problem: Problem) -> AssignmentProblem:
    if not isinstance(problem, AssignmentProblem):
        raise ValueError(f"an AssignmentProblem is needed, got {problem!r}")
    return problem


def _number(metric: Metric, form: str) -> Callable[[Row], str]:
    return lambda row: format(float(metric.shown(row[metric.column])), form)


def _levels(levels: Sequence[int]) -> str:
    if len(levels) > 2 and levels[-1] - levels[0] == len(levels) - 1:
        return f"{levels[0]} to {levels[-1]}"
    return ", ".join(map(str, levels))


def _budget(problem: AssignmentProblem) -> str:
    """The budget, where it comes from, and between what it lies."""
    constraint = problem.constraint
    least, greatest = problem.budget_range
    text = constraint.text(VIEW.budget(problem))
    if problem.ratio is not None:
        platform = f"{problem.platform}: " if problem.platform else ""
        text += f" ({platform}{problem.ratio:.4g} of the range "
    else:
        text += " (given; the range is "
    return text + f"{constraint.text(least)} to {constraint.text(greatest)})"


VIEW = AssignmentView()
