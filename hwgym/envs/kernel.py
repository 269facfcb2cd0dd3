"""The episode: one kernel over a batch, so that one environment is a batch of one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwgym.envs.rewards import Reward, Steps
from hwgym.problem import AssignmentProblem
from hwgym.workloads import LAYER_KINDS

__all__ = ["EpisodeKernel", "StepResult"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class StepResult(NamedTuple):
    """Arrays of shape (N,)."""

    reward: Floats
    failed: Bools
    finished: Bools


class EpisodeKernel:
    """N episodes of one problem, stepped together.

    Attributes:
        step_index: (N,) the step to be taken next.
        used: (N,) of the constraint.
        over: (N,) whether the episode has ended.
        actions: (N, steps) chosen so far; -1 where nothing is yet.
    """

    def __init__(self, problem: AssignmentProblem, reward: Reward, num_envs: int = 1) -> None:
        self.problem, self.reward, self.num_envs = problem, reward, num_envs
        self.features = _features(problem)
        self.levels = (
            np.array(problem.space.shape),
            problem.space.decode(range(problem.num_actions)),
        )
        self.step_index = np.zeros(num_envs, np.int64)
        self.used = np.zeros(num_envs)
        self.earned = np.zeros(num_envs)
        self.objective = np.zeros(num_envs)
        self.actions = np.full((num_envs, problem.num_steps), -1, np.int64)
        self.over = np.zeros(num_envs, bool)
        self._is_period = problem.objective == "throughput"
        self._rows = np.arange(num_envs)
        # Invalid choices fit no budget, so one comparison decides.
        self._cost = np.where(problem.valid, problem.cost, np.inf)
        self._needs = np.where(problem.valid, problem.usage, np.inf)
        previous = np.vstack([self.levels[1] + 1.0, np.zeros(len(self.levels[0]))])
        previous /= self.levels[0]  # the last row (index -1): no action yet
        progress = np.arange(problem.num_steps + 1) / problem.num_steps
        self._seen_layer, self._seen_action, self._seen_progress = (
            (share * 2.0 - 1.0).astype(np.float32) for share in (self.features, previous, progress)
        )

    @property
    def observation_size(self) -> int:
        """Layer (7), previous action (2 or 3), progress, budget left."""
        return int(self.features.shape[1] + self._seen_action.shape[1] + 2)

    def reset(self, where: Bools | None = None) -> None:
        """Begin anew, all episodes or those of a mask (N,)."""
        rows = slice(None) if where is None else where
        self.step_index[rows] = 0
        for array in (self.used, self.earned, self.objective):
            array[rows] = 0.0
        self.actions[rows] = -1
        self.over[rows] = False

    def step(self, actions: Ints) -> StepResult:
        """Give the next step of every episode its choice, by action number (N,).

        Episodes that are over stay as they are and earn nothing, whatever their action.
        """
        p = self.problem
        rows = np.flatnonzero(~self.over) if self.over.any() else self._rows
        t, chosen = self.step_index[rows], actions[rows]
        self.actions[rows, t] = chosen
        used = self.used[rows] + p.usage[t, chosen]
        cost = self._cost[t, chosen]
        objective = self.objective[rows]
        objective = np.maximum(objective, cost) if self._is_period else objective + cost
        failed = ~p.valid[t, chosen] | (used > p.limit)
        finished = (t + 1 == p.num_steps) & ~failed
        earned = self.earned[rows]
        reward = self.reward(Steps(t, chosen, earned, failed, finished, objective))
        self.used[rows], self.objective[rows] = used, objective
        self.earned[rows] = earned + reward
        self.step_index[rows] = t + 1
        self.over[rows] = failed | finished
        if len(rows) == self.num_envs:
            return StepResult(reward, failed, finished)
        result = StepResult(
            np.zeros(self.num_envs), np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        )
        for whole, part in zip(result, (reward, failed, finished), strict=True):
            whole[rows] = part
        return result

    def observe(self) -> NDArray[np.float32]:
        """(N, observation_size) float32 in [-1, 1]; always a new array."""
        p, t = self.problem, self.step_index
        before = np.where(t > 0, self.actions[self._rows, t - 1], -1)
        layer = self.features.shape[1]
        out = np.empty((self.num_envs, self.observation_size), np.float32)
        out[:, :layer] = self._seen_layer[t]
        out[:, layer:-2] = self._seen_action[before]
        out[:, -2] = self._seen_progress[t]
        out[:, -1] = np.clip(1.0 - self.used / p.limit, 0.0, 1.0) * 2.0 - 1.0
        return out

    def masks(self) -> Bools:
        """(N, actions): the choices after which an episode can still end feasibly.

        An episode that cannot any more gets the choice that needs least; what is said of one that
        is over means nothing.
        """
        p = self.problem
        t = np.minimum(self.step_index, p.num_steps - 1)
        room = p.limit - self.used - p.least_used_after[t + 1]
        needs = self._needs[t]
        mask: Bools = needs <= room[:, None]
        lost = ~mask.any(axis=1)
        if lost.any():
            mask[lost, needs[lost].argmin(axis=1)] = True
        return mask


def _features(problem: AssignmentProblem) -> Floats:
    """(steps + 1, 7) in [0, 1]: K, C, Y, X, R, S on a log scale, relative to the workload's
    greatest, and the kind; zeros once nothing is left to assign. Under LS the layers' mean."""
    layers = problem.space.workload
    sizes = np.log2(1.0 + np.array([layer.shape[:6] for layer in layers], dtype=np.float64))
    kind = [LAYER_KINDS.index(layer.kind) / (len(LAYER_KINDS) - 1) for layer in layers]
    features = np.column_stack([sizes / sizes.max(axis=0), kind])
    if problem.deployment == "LS":
        features = features.mean(axis=0, keepdims=True)
    return np.vstack([features, np.zeros(features.shape[1])])
