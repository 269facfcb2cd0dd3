"""What to say and show of groups: jobs, cores, and a Gantt chart."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from hwgym._arrays import Ints
from hwgym.core.problem import Problem
from hwgym.core.view import View
from hwgym.families.group.problem import GroupProblem

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["VIEW", "GroupView"]


class GroupView(View):
    """Jobs on cores."""

    rows_name = "jobs"

    def label(self, env_id: str) -> str:
        return env_id.removeprefix("HWGroup-").removesuffix("-v0")

    def facts(self, problem: Problem) -> dict[str, str]:
        posed = _posed(problem)
        cores = Counter(map(str, posed.cores))
        return {
            "problem": self.title(problem),
            "cores": ", ".join(f"{count} x {core} PEs" for core, count in cores.items()),
            "bandwidth": f"{posed.bandwidth:,g} elements a cycle, shared",
            "each job gets": f"one of {len(posed.cores)} cores, a priority of {posed.priorities}",
            "jobs": f"{posed.num_steps:,}",
            "to minimise": self.metric_text(posed.statement.objective),
        }

    def draw(self, figure: Figure, problem: Problem, genes: Ints, title: str | None = None) -> None:
        """Draw a schedule as a Gantt chart, and the bandwidth that its jobs want; the choices,
        while some are open or not valid."""
        posed = _posed(problem)
        if not posed.runs(genes[None]).all():
            super().draw(figure, problem, genes, title)
            return
        from hwgym.families.scheduled.gantt import LAYER_COLOURS, Gantt, draw_gantt

        found, costs, best = posed.schedule(genes[None]), posed.costs, posed.certificate()
        core, jobs = genes[:, 0], np.arange(len(genes))
        kinds = [layer.kind for layer in posed.jobs]
        chart = Gantt(
            core,
            found.start[0],
            found.end[0],
            [LAYER_COLOURS[kind][1] for kind in kinds],
            [str(each) for each in posed.cores],
            [LAYER_COLOURS[kind] for kind in dict.fromkeys(kinds)],
            best.lower_bound,
            costs.traffic[jobs, core] / costs.latency[jobs, core] / posed.bandwidth,
        )
        makespan = float(found.makespan[0])
        heading = (
            f"{problem.statement.objective.text(makespan)}, "
            f"{makespan / best.lower_bound - 1:.1%} above the lower bound"
        )
        draw_gantt(figure, chart, heading, title or self.title(problem))


def _posed(problem: Problem) -> GroupProblem:
    assert isinstance(problem, GroupProblem)  # the family makes no other
    return problem


VIEW = GroupView()
