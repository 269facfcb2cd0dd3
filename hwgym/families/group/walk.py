"""The walk of groups: an episode gives one job after the other its core and its turn."""

from __future__ import annotations

import numpy as np

from hwgym._arrays import Bools, Floats
from hwgym.core.walk import Walk, WalkState
from hwgym.families.group.orders import WINDOW, send
from hwgym.families.group.problem import GroupProblem

__all__ = ["GroupWalk"]


class GroupWalk(Walk):
    """An observation has, each mapped from [0, 1] to [-1, 1]: the features of the job to be given
    (zeros when none is left), or those of all in the window, one after the other; of each core,
    what it has so far; what all cores together must move; the greatest of these; and steps done /
    steps. Times are x / (x + a bound in closed form). Every episode goes on to its end; masks keep
    to cores on which a job can run."""

    @property
    def _first(self) -> GroupProblem:
        problem = self.problems[0]
        assert isinstance(problem, GroupProblem)
        return problem

    @property
    def seen_size(self) -> int:
        width = self._first.width
        return width + 2 + (WINDOW * (1 + 2 * width) if self._first.windowed else 0)

    def seen(self, state: WalkState) -> Floats:
        count, width = len(state.step), self._first.width
        about = np.zeros((count, width + 2))
        jobs = np.zeros((count, WINDOW, 1 + 2 * width))
        for problem, rows in self.posed(state):
            genes = state.genes[rows, : problem.num_steps]
            row, at = np.nonzero(problem.runs(genes))
            core, job = problem.cores_at(genes)[row, at], problem.decided(genes)[row, at]
            costs = problem.costs
            loads = np.bincount(row * width + core, costs.latency[job, core], len(rows) * width)
            moved = np.bincount(row, costs.traffic[job, core], len(rows)) / problem.bandwidth
            about[rows, :width] = loads.reshape(len(rows), width)
            about[rows, width] = moved
            about[rows, width + 1] = about[rows, : width + 1].max(axis=1)
            about[rows] /= about[rows] + problem.unit
            if problem.windowed:
                window = send(genes[..., 0], problem.num_steps).window
                waits = (window >= 0)[..., None]
                jobs[rows] = np.where(waits, problem.job_features[window], 0.0)
        if not self._first.windowed:
            return about
        return np.concatenate([jobs.reshape(count, -1), about], axis=1)

    def masks(self, state: WalkState, mode: str) -> Bools | None:
        """In a window, exact where choices are joint: job and core go together."""
        if not self._first.windowed:
            return super().masks(state, mode)
        joint = np.zeros((len(state.step), WINDOW, self._first.width), bool)
        for problem, rows in self.posed(state):
            can = problem.sendable(state.genes[rows, : problem.num_steps, 0])
            joint[rows, :, : can.shape[2]] = can
        joint[state.step >= self.num_steps[state.which]] = True  # over: nothing is asked
        flat = joint.reshape(len(joint), -1)
        return flat if mode == "discrete" else self.levels(flat)
