"""What to say and show of hardware assignment: its layers, PEs, filters and budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from hwgym._arrays import Ints
from hwgym.core.design import BudgetedProblem
from hwgym.core.problem import Problem
from hwgym.core.view import Column, References
from hwgym.families.assignment import pictures
from hwgym.families.assignment.accounting import MAESTRO
from hwgym.families.assignment.confuciux import CONFUCIUX
from hwgym.families.assignment.problem import AssignmentProblem
from hwgym.families.assignment.reports import describe_problem, layer_rows
from hwgym.families.assignment.text import assignment_text, summary
from hwgym.families.layered import LayerView
from hwgym.families.layered.view import cell, levels_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["VIEW", "AssignmentView"]


class AssignmentView(LayerView):
    """Layers, PEs and filters, dataflows, and where the budget comes from."""

    kinds = (AssignmentProblem,)

    # --- a problem ------------------------------------------------------------------------------

    def references(self) -> Sequence[References]:
        return (CONFUCIUX,)

    def describe(self, problem: Problem) -> dict[str, Any]:
        return describe_problem(_assignment(problem))

    def network(self, problem: BudgetedProblem) -> str:
        released = _assignment(problem).design.accounting == MAESTRO
        return super().network(problem) + " (ConfuciuX's released table)" * released

    def gets(self, problem: BudgetedProblem) -> str:
        design = _assignment(problem).design
        return (
            f"PEs: {levels_text(design.pe_levels)}; filters per PE: "
            f"{levels_text(design.tile_levels)}; dataflow: " + " or ".join(design.styles.split("+"))
        )

    def costs(self, problem: BudgetedProblem) -> str:
        design = _assignment(problem).design
        counted = "PEs and buffers, all accesses and MACs"
        if design.accounting == MAESTRO:
            counted = "as MAESTRO prints them"
        return f"{design.hardware.tech.name}, {counted}"

    # --- an assignment --------------------------------------------------------------------------

    def rows(self, problem: Problem, genes: ArrayLike) -> list[dict[str, Any]]:
        return layer_rows(_assignment(problem), genes)

    def given(self, problem: BudgetedProblem) -> Sequence[Column]:
        columns = [Column("PEs", cell("pes")), Column("filters", cell("tile"))]
        if len(_assignment(problem).design.dataflows) > 1:
            columns.append(Column("dataflow", cell("dataflow"), text=True))
        return columns

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


VIEW = AssignmentView()
