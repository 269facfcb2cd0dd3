"""What to say and show: sub-accelerators, what runs where, and a Gantt chart."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Ints
from hwgym.core.problem import Problem
from hwgym.core.view import Row, View
from hwgym.families.hetero.problem import HeteroProblem

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["VIEW", "HeteroView"]


class HeteroView(View):
    """Sub-accelerators and schedules."""

    rows_name = "decisions"

    def label(self, env_id: str) -> str:
        return env_id.removeprefix("HWHetero-").removesuffix("-v0")

    def facts(self, problem: Problem) -> dict[str, str]:
        posed = _posed(problem)
        counts = Counter(network.name for network in posed.instances)
        of = posed.decisions
        limit = "no limit" if posed.bandwidth is None else f"{posed.bandwidth:,} elements a cycle"
        return {
            "problem": self.title(problem),
            "networks": ", ".join(f"{count} x {name}" for name, count in counts.items()),
            "PEs": f"{posed.pes:,}, in {posed.num_parts} parts",
            "bandwidth": limit + (", of DRAM" if posed.model == "loopnest" else ""),
            "cycles": {"maestro": "MAESTRO's", "loopnest": "of loop nests"}[posed.model],
            "sub-accelerators": f"up to {posed.subs} of {', '.join(posed.kinds)}: "
            f"{len(of.designs.kind):,} partitions",
            "steps": f"{len(of.decisions)} for the partition, {of.layers:,} layers",
            "to minimise": self.metric_text(posed.statement.objective),
        }

    def describe_solution(self, problem: Problem, genes: ArrayLike) -> dict[str, Any]:
        """Also the sub-accelerators, and when each layer runs where, once they all are sent.

        Raises:
            ValueError: If the solution does not fit the problem.
        """
        found = super().describe_solution(problem, genes)
        posed, checked = _posed(problem), problem.space.check(genes)
        if posed.decisions.valid(checked)[0]:
            found["sub_accelerators"] = posed.built(checked[0])
        return found

    def solution_facts(self, problem: Problem, found: Row) -> dict[str, str]:
        shown = super().solution_facts(problem, found)
        if "sub_accelerators" in found:
            shown["built"] = "; ".join(map(_line, found["sub_accelerators"]))
        return shown

    def text(self, problem: Problem, genes: Ints) -> str:
        """The decisions taken, and once they all are what is built and when each network ends."""
        posed, (checked,) = _posed(problem), problem.space.check(genes)
        lines = [self.title(problem), *self.choices(problem, checked)]
        if posed.decisions.valid(checked[None])[0]:
            lines += map(_line, posed.built(checked))
            ends = posed.schedule(checked[None]).end[0][np.cumsum(posed.lengths) - 1]
            width = max(map(len, posed.instance_names))
            for name, end in zip(posed.instance_names, ends, strict=True):
                lines.append(f"{name:<{width}}  ends at {end:,.0f} cycles")
        lines.append(self.summary(problem, checked))
        return "\n".join(lines)

    def draw(self, figure: Figure, problem: Problem, genes: Ints, title: str | None = None) -> None:
        """Draw a schedule, or what was sent so far, as a Gantt chart; the choices, while nothing is
        sent or where they are not valid."""
        posed = _posed(problem)
        sent = int((genes >= 0).all(axis=1).sum()) - len(posed.decisions.decisions)
        whole = _completed(posed, genes, sent) if sent > 0 else genes
        if not posed.decisions.valid(whole[None])[0]:
            super().draw(figure, problem, genes, title)
            return
        from hwgym.families.hetero.pictures import draw_schedule  # needs matplotlib

        draw_schedule(figure, posed, whole, sent, title or self.title(problem))


def _completed(posed: HeteroProblem, genes: Ints, sent: int) -> Ints:
    """Genes (steps, 2) whose layers that were not sent come last, anywhere: those that were sent
    run when they would have."""
    first = len(posed.decisions.decisions)
    chain = np.clip(genes[first : first + sent, 0], 0, len(posed.lengths) - 1)
    left = np.maximum(posed.lengths - np.bincount(chain, minlength=len(posed.lengths)), 0)
    others = np.repeat(np.arange(len(left)), left)[: len(genes) - first - sent]
    whole = genes.copy()
    whole[first + sent :] = 0  # the first is built
    whole[first + sent :][: len(others), 0] = others
    return whole


def _line(sub: Row) -> str:
    bandwidth = sub["bandwidth"]
    through = "" if bandwidth is None else f", {bandwidth:,} elements a cycle"
    return (
        f"{sub['number']}: {sub['kind']}, {sub['pes']:,} PEs{through}, {sub['layers']} layers, "
        f"busy {sub['busy']:.0%}"
    )


def _posed(problem: Problem) -> HeteroProblem:
    assert isinstance(problem, HeteroProblem)  # the family makes no other
    return problem


VIEW = HeteroView()
"""What the family says and shows."""
