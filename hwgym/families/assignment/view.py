"""What to say and show of hardware assignment: its layers, PEs, filters and budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from hwgym._arrays import Ints
from hwgym.core.metric import Metric
from hwgym.core.problem import Problem
from hwgym.core.view import Column, References, Row, View, brief
from hwgym.families.assignment import pictures
from hwgym.families.assignment.accounting import MAESTRO
from hwgym.families.assignment.confuciux import CONFUCIUX
from hwgym.families.assignment.problem import AssignmentProblem, Deployment
from hwgym.families.assignment.reports import describe_assignment, describe_problem, layer_rows
from hwgym.families.assignment.text import assignment_text, summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["VIEW", "AssignmentView"]

FORMATS = {"latency": ",.0f", "energy": ",.0f", "area": ",.4f", "power": ",.4g"}
"""How a layer's share of each metric is written, in the unit that is shown."""

DEPLOYMENTS = {
    Deployment.LP: "LP, layer-pipelined: each layer has a partition of its own; latency is that "
    "of one input, which goes through them one after the other",
    Deployment.LS: "LS, layer-sequential: one array, configured once, runs all layers",
}


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
            f"{_levels(design.tile_levels)}; dataflow: " + " or ".join(design.styles.split("+")),
            "deployment": DEPLOYMENTS[asked.deployment],
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
            Column(asked.objective.name, lambda row: f"{row['cost_share']:.1%}", wide=True),
            Column("budget", lambda row: f"{row['usage_share']:.1%}"),
            Column("utilised", lambda row: f"{row['utilization']:.1%}"),
        ]

    def describe_solution(self, problem: Problem, genes: ArrayLike) -> dict[str, Any]:
        return describe_assignment(_assignment(problem), genes)

    def solution_facts(self, problem: Problem, found: Row) -> dict[str, str]:
        share, pes = found["utilization"], found["pes"]
        used = f"{share:.2%} of what {pes:,} PEs could do (MACs / cycles / PEs)"
        if not _assignment(problem).deployment.shared:
            used += (
                f"; {found['utilization_pipelined']:.2%} where a new input comes every "
                f"{found['period_cycles']:,.0f} cycles, the slowest layer's latency"
            )
        return super().solution_facts(problem, found) | {"utilised": used}

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
    return lambda row: brief(float(metric.shown(row[metric.column])), form)


def _levels(levels: Sequence[int]) -> str:
    first, step = levels[0], levels[-1] - levels[-2] if len(levels) > 1 else 1
    if len(levels) > 2 and tuple(levels) == tuple(range(first, levels[-1] + 1, step)):
        return f"{first} to {levels[-1]}" + (f" in steps of {step}" if step > 1 else "")
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
