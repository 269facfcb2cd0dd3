"""What to say and show of mappings: the decisions, the loop nest, what it takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Ints
from hwgym.core.problem import Problem
from hwgym.core.view import Row, View
from hwgym.costs.loopnest import DIMS, energy
from hwgym.families.mapping_loopnest.problem import MappingProblem
from hwgym.families.mapping_loopnest.text import nest_text, timeloop_text

__all__ = ["VIEW", "LoopnestMappingView"]


class LoopnestMappingView(View):
    """Mappings of a layer as loop nests."""

    rows_name = "decisions"

    def label(self, env_id: str) -> str:
        return env_id.removeprefix("HWMap-")

    def facts(self, problem: Problem) -> dict[str, str]:
        posed = _posed(problem)
        mappings, layer = posed.mappings, posed.layer
        sizes = ", ".join(f"{DIMS[d]} {mappings.extent[d]:,}" for d in mappings.dims)
        strides = "" if layer.strides == (1, 1) else ", stride " + "x".join(map(str, layer.strides))
        chosen = float(np.log10(problem.space.sizes.astype(float)).sum())
        return {
            "problem": self.title(problem),
            "layer": f"{layer.kind}: {sizes}{strides}",
            "hardware": posed.hardware.title,
            "a mapping": f"{problem.num_steps} decisions, 10^{chosen:.1f} in all; sizes divide",
            "to minimise": self.metric_text(posed.objective),
            "costs": "loop nests, every access counted; DRAM is part of it",
        }

    def describe_solution(self, problem: Problem, genes: ArrayLike) -> dict[str, Any]:
        """Also what it takes of the buffers, what bounds it, its energy by level, and the mapping
        as a loop nest and as Timeloop's, once it is complete.

        Raises:
            ValueError: If the solution does not fit the problem.
        """
        found = super().describe_solution(problem, genes)
        posed, [checked] = _posed(problem), problem.space.check(genes)
        return found | _told(posed, checked[:, 0])

    def solution_facts(self, problem: Problem, found: Row) -> dict[str, str]:
        shown = super().solution_facts(problem, found)
        if "nest" in found:
            shown["buffers"] = _buffers(_posed(problem), found)
            shown["bound by"] = found["bound"]
            shown["energy"] = _shares(found)
        return shown

    def text(self, problem: Problem, genes: Ints) -> str:
        """The decisions taken, and the loop nest and what it takes once they all are."""
        posed, [checked] = _posed(problem), problem.space.check(genes)
        lines = [self.title(problem), *self.choices(problem, checked)]
        found = _told(posed, checked[:, 0])
        if found:
            lines += found["nest"]
            lines.append(f"{_buffers(posed, found)}; bound by {found['bound']}")
            lines.append(f"energy: {_shares(found)}")
        lines.append(self.summary(problem, genes))
        return "\n".join(lines)


def _told(posed: MappingProblem, genes: Ints) -> dict[str, Any]:
    """What there is to say of a mapping, genes (steps,): nothing if its sizes do not divide, or it
    is not complete."""
    mappings, hardware = posed.mappings, posed.hardware
    if not posed.space.within(genes[:, None]):
        return {}
    chosen = mappings.chosen(genes[None])
    if not mappings.divides(chosen.sizes)[0]:
        return {}
    profile = posed.costs.profile(mappings.nests(chosen.sizes, chosen.orders))
    spent = energy(profile, hardware.machine, hardware.l1_bytes, hardware.l2_bytes)
    return {
        "l1_bytes": int(profile.l1_bytes[0]),
        "l2_bytes": int(profile.l2_bytes[0]),
        "pes": int(chosen.spread[0].prod()),
        "bound": profile.bound[0],
        "energy_nj_by_level": {
            level: float(getattr(spent, level)[0]) for level in ("mac", "l1", "l2", "dram")
        },
        "nest": nest_text(mappings, genes),
        "timeloop": timeloop_text(mappings, genes),
    }


def _buffers(posed: MappingProblem, found: Row) -> str:
    hardware = posed.hardware
    return (
        f"{found['pes']:,} of {hardware.pes:,} PEs, L1 {found['l1_bytes']:,} of "
        f"{hardware.l1_bytes:,} B, L2 {found['l2_bytes']:,} of {hardware.l2_bytes:,} B"
    )


def _shares(found: Row) -> str:
    levels = found["energy_nj_by_level"]
    total = sum(levels.values())
    names = {"mac": "MACs", "l1": "L1", "l2": "L2", "dram": "DRAM"}
    return ", ".join(f"{names[level]} {spent / total:.0%}" for level, spent in levels.items())


def _posed(problem: Problem) -> MappingProblem:
    assert isinstance(problem, MappingProblem)  # the family makes no other
    return problem


VIEW = LoopnestMappingView()
