"""The walk of groups: an episode gives one job after the other its core and its priority."""

from __future__ import annotations

import numpy as np

from hwgym._arrays import Floats
from hwgym.core.walk import Walk, WalkState
from hwgym.families.group.problem import GroupProblem

__all__ = ["GroupWalk"]


class GroupWalk(Walk):
    """An observation has, each mapped from [0, 1] to [-1, 1]: the features of the job to be given
    (zeros when none is left); of each core, what it has so far; what all cores together must move;
    the greatest of these; and steps done / steps. Times are x / (x + a bound in closed form).
    Every episode goes on to its end; masks keep to cores on which a job can run."""

    @property
    def seen_size(self) -> int:
        return int(self.shape[0]) + 2

    def seen(self, state: WalkState) -> Floats:
        count, width = len(state.step), int(self.shape[0])
        about = np.zeros((count, width + 2))
        for which in np.unique(state.which):
            problem = self.problems[which]
            assert isinstance(problem, GroupProblem)  # the family makes no other
            rows = np.flatnonzero(state.which == which)
            genes = state.genes[rows, : problem.num_steps]
            row, job = np.nonzero(problem.runs(genes))
            core = genes[row, job, 0]
            costs = problem.costs
            loads = np.bincount(row * width + core, costs.latency[job, core], len(rows) * width)
            moved = np.bincount(row, costs.traffic[job, core], len(rows)) / problem.bandwidth
            about[rows, :width] = loads.reshape(len(rows), width)
            about[rows, width] = moved
            about[rows, width + 1] = about[rows, : width + 1].max(axis=1)
            about[rows] /= about[rows] + problem.unit
        return about
