"""What to say and show of groups: jobs, cores, and a Gantt chart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Ints
from hwgym.core.problem import Problem
from hwgym.core.view import Column, View, brief
from hwgym.families.group.orders import WINDOW
from hwgym.families.group.problem import GroupProblem

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["VIEW", "GroupView"]

COSTS = {
    "maestro": "MAESTRO's cycles, and all that mappings write to L2",
    "magma": "MAESTRO's cycles, and of what is moved what MAGMA counts",
    "loopnest": "loop nests' cycles and DRAM traffic",
}


class GroupView(View):
    """Jobs on cores."""

    rows_name = "jobs"

    def label(self, env_id: str) -> str:
        return env_id.removeprefix("HWGroup-").removesuffix("-v0")

    def facts(self, problem: Problem) -> dict[str, str]:
        posed = _posed(problem)
        cores = Counter(map(str, posed.cores))
        count = len(posed.cores)
        shared = "no limit"
        if np.isfinite(posed.bandwidth):
            shared = f"{posed.bandwidth:,g} elements a cycle, shared"
        a_step = f"gives the next job one of {count} cores, a priority of {posed.priorities}"
        if posed.windowed:
            a_step = f"sends one of the first {WINDOW} jobs that wait to one of {count} cores"
        return {
            "problem": self.title(problem),
            "cores": ", ".join(f"{many} x {core} PEs" for core, many in cores.items()),
            "bandwidth": shared,
            "costs": COSTS[posed.model],
            "a step": a_step,
            "jobs": f"{posed.num_steps:,}",
            "to minimise": self.metric_text(posed.statement.objective),
        }

    def rows(self, problem: Problem, genes: ArrayLike) -> list[dict[str, Any]]:
        """Also the job that a step is about, and when it runs, once all are chosen and can run.

        Raises:
            ValueError: If the solution does not fit the problem.
        """
        rows = super().rows(problem, genes)
        posed, checked = _posed(problem), problem.space.check(genes)
        decided, names = posed.decided(checked)[0].tolist(), [job.name for job in posed.jobs]
        found = posed.schedule(checked) if posed.runs(checked).all() else None
        for row, job, chosen in zip(rows, decided, (checked[0] >= 0).all(axis=1), strict=True):
            if posed.windowed:
                row["job"] = names[job] if chosen else None
            row["start"] = None if found is None else float(found.start[0, job])
            row["end"] = None if found is None else float(found.end[0, job])
        return rows

    def columns(self, problem: Problem) -> Sequence[Column]:
        def time(key: str) -> Column:
            return Column(key, lambda row: "-" if row[key] is None else brief(row[key]))

        job = Column("job", lambda row: row["job"] or "-", text=True)
        named = [job] if _posed(problem).windowed else []
        return [*super().columns(problem), *named, time("start"), time("end")]

    def draw(self, figure: Figure, problem: Problem, genes: Ints, title: str | None = None) -> None:
        """Draw a schedule as a Gantt chart, and the bandwidth that its jobs want; the choices,
        while some are open or not valid."""
        posed = _posed(problem)
        if not posed.runs(genes[None]).all():
            super().draw(figure, problem, genes, title)
            return
        from hwgym.families.scheduled.gantt import LAYER_COLOURS, Gantt, draw_gantt

        found, costs, best = posed.schedule(genes[None]), posed.costs, posed.certificate()
        core, jobs = posed.placed(genes[None])[0][0], np.arange(len(genes))
        kinds = [layer.kind for layer in posed.jobs]
        wanted = costs.traffic[jobs, core] / costs.latency[jobs, core] / posed.bandwidth
        chart = Gantt(
            core,
            found.start[0],
            found.end[0],
            [LAYER_COLOURS[kind][1] for kind in kinds],
            [str(each) for each in posed.cores],
            [LAYER_COLOURS[kind] for kind in dict.fromkeys(kinds)],
            best.lower_bound,
            wanted if np.isfinite(posed.bandwidth) else None,
        )
        makespan = float(found.makespan[0])
        heading = (
            f"{problem.statement.objective.text(makespan)}, "
            f"{makespan / best.lower_bound - 1:,.1%} above the lower bound"
        )
        draw_gantt(figure, chart, heading, title or self.title(problem))


def _posed(problem: Problem) -> GroupProblem:
    assert isinstance(problem, GroupProblem)  # the family makes no other
    return problem


VIEW = GroupView()
