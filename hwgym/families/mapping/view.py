"""What to say and show of mappings: the decisions, the loop nest, what it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Ints
from hwgym.core.problem import Problem
from hwgym.core.view import Row, View
from hwgym.families.mapping.problem import MappingProblem
from hwgym.families.mapping.report import Explanation, explain, loops_of
from hwgym.families.mapping.space import DIMS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["VIEW", "MappingView"]


class MappingView(View):
    """Mappings of a layer."""

    rows_name = "decisions"

    def label(self, env_id: str) -> str:
        return env_id.removeprefix("HWMap-").removesuffix("-v0")

    def facts(self, problem: Problem) -> dict[str, str]:
        posed = _posed(problem)
        mappings, layer, hardware = posed.mappings, posed.layer, posed.hardware
        sizes = ", ".join(
            f"{d} {size:,}" for d, size in zip(DIMS, mappings.sizes.tolist(), strict=True)
        )
        chosen = float(np.log10(problem.space.sizes.astype(float)).sum())
        tiles = "that divide" if mappings.tiles == "divisors" else "of any size"
        shown = {
            "problem": self.title(problem),
            "layer": f"{layer.kind}: {sizes}, {layer.R}x{layer.S} filters",
            "hardware": hardware.title,
            "a mapping": f"{len(posed.statement.names)} decisions, 10^{chosen:.1f} in all; "
            f"tiles {tiles}",
            "to minimise": self.metric_text(posed.objective),
            "costs": "MAESTRO" + ("'s, its defects mended" if mappings.fixed else ""),
        }
        if posed.latency_cap is not None:
            shown["latency limit"] = f"{posed.latency_cap:,} cycles"
        return shown

    def describe_solution(self, problem: Problem, genes: ArrayLike) -> dict[str, Any]:
        """Also what it takes of the buffers, and MAESTRO's file of it, once it is complete.

        Raises:
            ValueError: If the solution does not fit the problem.
        """
        found = super().describe_solution(problem, genes)
        posed, checked = _posed(problem), problem.space.check(genes)
        if problem.space.within(checked)[0]:
            costs = posed.costs(checked)
            found["l1_bytes"], found["l2_bytes"] = int(costs.l1_bytes[0]), int(costs.l2_bytes[0])
            found["maestro"] = posed.mappings.mappings(checked).text(0, posed.layer)
        return found

    def solution_facts(self, problem: Problem, found: Row) -> dict[str, str]:
        shown = super().solution_facts(problem, found)
        if "l1_bytes" in found:
            shown["buffers"] = _buffers(_posed(problem), found["l1_bytes"], found["l2_bytes"])
        return shown

    def draw(self, figure: Figure, problem: Problem, genes: Ints, title: str | None = None) -> None:
        """Draw a mapping as a loop nest, with its cycles and buffers; decisions while some are
        open."""
        told = self._told(_posed(problem), genes) if problem.space.within(genes) else None
        if told is None or not told.time:  # it is open, or does not run
            super().draw(figure, problem, genes, title)
            return
        from hwgym.families.mapping.pictures import draw_mapping  # needs matplotlib

        draw_mapping(figure, told, title)

    def _told(self, posed: MappingProblem, genes: Ints) -> Explanation:
        return explain(
            posed.layer,
            posed.mappings.mappings(genes[None]),
            posed.hardware,
            latency_cap=posed.latency_cap,
            fixed=posed.mappings.fixed,
        )

    def text(self, problem: Problem, genes: Ints) -> str:
        """The decisions taken, and the loop nest and what it takes once they all are."""
        posed, (checked,) = _posed(problem), problem.space.check(genes)
        lines = [self.title(problem), *self.choices(problem, checked)]
        if problem.space.within(checked):
            mapping = posed.mappings.mappings(checked[None])
            level = ""
            for depth, loop in enumerate(loops_of(posed.layer, mapping, posed.hardware.num_pes)):
                if loop.level != level:
                    level = loop.level
                    lines.append("  " * depth + f"{level}:")
                lines.append("  " * (depth + 1) + loop.text)
            costs = posed.costs(checked[None])
            lines.append(_buffers(posed, int(costs.l1_bytes[0]), int(costs.l2_bytes[0])))
            lines.append(
                f"{int(costs.runtime_cycles[0]):,} cycles, {float(costs.energy_nj[0]):,.6g} nJ"
            )
        lines.append(self.summary(problem, genes))
        return "\n".join(lines)


def _buffers(posed: MappingProblem, l1: int, l2: int) -> str:
    hardware = posed.hardware
    return f"L1 {l1:,} of {hardware.l1_bytes:,} B, L2 {l2:,} of {hardware.l2_bytes:,} B"


def _posed(problem: Problem) -> MappingProblem:
    assert isinstance(problem, MappingProblem)  # the family makes no other
    return problem


VIEW = MappingView()
