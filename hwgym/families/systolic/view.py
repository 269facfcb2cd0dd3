"""What to say and show of systolic arrays: rows, columns, SRAM."""

from __future__ import annotations

from collections.abc import Sequence

from hwgym.core.design import BudgetedProblem
from hwgym.core.view import Column, Row
from hwgym.families.layered import LayerView
from hwgym.families.layered.view import bytes_text, cell, levels_text, period_text
from hwgym.families.systolic.design_space import SRAMS, SystolicSpace
from hwgym.families.systolic.problem import KINDS

__all__ = ["VIEW", "SystolicView"]


class SystolicView(LayerView):
    """Arrays, SRAMs and dataflows of layers."""

    kinds = KINDS

    def gets(self, problem: BudgetedProblem) -> str:
        design = _design(problem)
        srams = ", ".join(bytes_text(SRAMS * each) for each in design.sram_levels)
        return (
            f"rows: {levels_text(design.row_levels)}; columns: "
            f"{levels_text(design.column_levels)}; SRAM: {srams}, a third each for inputs, "
            f"filters and results; dataflow: " + " or ".join(design.dataflows)
        )

    def costs(self, problem: BudgetedProblem) -> str:
        machine = _design(problem).machine
        return (
            f"SCALE-Sim's cycles with stalls; {machine.process.name} at {machine.clock_ghz:g} GHz, "
            f"{machine.dram} at {machine.dram_bandwidth:g} bytes a cycle"
        )

    def given(self, problem: BudgetedProblem) -> Sequence[Column]:
        columns = [
            Column("array", lambda row: _array(row)),
            Column(
                "SRAM", lambda row: "-" if row["pes"] is None else bytes_text(row["sram_bytes"])
            ),
        ]
        if len(_design(problem).dataflows) > 1:
            columns.append(Column("dataflow", cell("dataflow"), text=True))
        return columns

    def period(self, found: Row) -> str:
        return period_text(found)


def _array(row: Row) -> str:
    return "-" if row["pes"] is None else f"{row['rows']}x{row['columns']}"


def _design(problem: BudgetedProblem) -> SystolicSpace:
    assert isinstance(problem.design, SystolicSpace)  # the family makes no other
    return problem.design


VIEW = SystolicView()
