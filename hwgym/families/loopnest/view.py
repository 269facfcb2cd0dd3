"""What to say and show of loop nests: arrays, buffers, templates."""

from __future__ import annotations

from collections.abc import Sequence

from hwgym.core.design import BudgetedProblem
from hwgym.core.view import Column, Row
from hwgym.families.layered import LayerView
from hwgym.families.layered.view import bytes_text, cell, period_text
from hwgym.families.loopnest.design_space import LoopnestDesign
from hwgym.families.loopnest.problem import KINDS

__all__ = ["VIEW", "LoopnestView"]


class LoopnestView(LayerView):
    """Arrays, buffers and templates of layers."""

    kinds = KINDS

    def label(self, env_id: str) -> str:
        return env_id.removeprefix("HWAssign-")

    def gets(self, problem: BudgetedProblem) -> str:
        design = _design(problem)
        arrays = ", ".join(f"{rows}x{columns}" for rows, columns in design.shapes)
        l1, l2 = (
            ", ".join(bytes_text(each) for each in levels)
            for levels in (design.l1_levels, design.l2_levels)
        )
        names = " or ".join(each.name for each in design.templates)
        return f"PEs: {arrays}; L1 of a PE: {l1}; L2: {l2}; template: {names}"

    def costs(self, problem: BudgetedProblem) -> str:
        machine = _design(problem).machine
        return (
            f"loop nests, the best mapping of each point; {machine.process.name} at "
            f"{machine.clock_ghz:g} GHz, L2 {machine.l2_bandwidth:g} and {machine.dram} "
            f"{machine.dram_bandwidth:g} bytes a cycle"
        )

    def given(self, problem: BudgetedProblem) -> Sequence[Column]:
        columns = [
            Column("array", lambda row: _shown(row, f"{row['rows']}x{row['columns']}")),
            Column("L1", lambda row: _shown(row, bytes_text(row["l1_bytes"] or 0))),
            Column("L2", lambda row: _shown(row, bytes_text(row["l2_bytes"] or 0))),
        ]
        if len(_design(problem).templates) > 1:
            columns.append(Column("template", cell("template"), text=True))
        return columns

    def period(self, found: Row) -> str:
        return period_text(found)


def _shown(row: Row, text: str) -> str:
    return "-" if row["pes"] is None else text


def _design(problem: BudgetedProblem) -> LoopnestDesign:
    assert isinstance(problem.design, LoopnestDesign)  # the family makes no other
    return problem.design


VIEW = LoopnestView()
