"""Rewards: small objects, made for one problem, called with a batch of steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hwgym._names import nearest
from hwgym.problem import AssignmentProblem

__all__ = [
    "REWARDS",
    "ConfuciuXReward",
    "Reward",
    "ShapedReward",
    "Steps",
    "TerminalReward",
    "make_reward",
]

Floats = NDArray[np.float64]


class Steps(NamedTuple):
    """One step of each of N episodes; arrays of shape (N,).

    Attributes:
        step: Which step was taken, from 0.
        action: Its action number.
        earned: The rewards before it, added up.
        failed: It broke the budget or chose an invalid point; the episode is over.
        finished: It was the last one and nothing failed.
        objective: Of the steps up to and including it.
    """

    step: NDArray[np.int64]
    action: NDArray[np.int64]
    earned: Floats
    failed: NDArray[np.bool_]
    finished: NDArray[np.bool_]
    objective: Floats


class Reward(Protocol):
    """What a reward does: a :class:`Steps` in, an array (N,) out."""

    def __call__(self, steps: Steps) -> Floats: ...


class ShapedReward:
    """``(worst - cost) / sum(worst - best)``, over a step's valid points.

    The undiscounted return of a feasible episode lies in [0, 1] and is linear in the objective; a
    failed episode returns exactly -1.
    """

    def __init__(self, problem: AssignmentProblem) -> None:
        span = float((problem.worst_cost - problem.best_cost).sum())
        # If every choice costs the same, there is nothing to earn and nothing to divide.
        self.table = (problem.worst_cost[:, None] - problem.cost) / (span or 1.0)

    def __call__(self, steps: Steps) -> Floats:
        return np.where(steps.failed, -1.0 - steps.earned, self.table[steps.step, steps.action])


class ConfuciuXReward:
    """The paper's ``P - P_min``: performance (minus cost) above the worst of any layer's points;
    on failure, minus the rewards so far (Kao et al., MICRO 2020, section 4).

    The paper tracks ``P_min`` as it goes, which makes rewards depend on earlier episodes; here it
    is the value that this converges to, known from the tables.
    """

    def __init__(self, problem: AssignmentProblem) -> None:
        self.table = problem.worst_cost.max() - problem.cost

    def __call__(self, steps: Steps) -> Floats:
        return np.where(steps.failed, -steps.earned, self.table[steps.step, steps.action])


class TerminalReward:
    """Nothing until the end, then ``-objective / optimum``; on failure that of the worst valid
    choice at every step, which no feasible episode falls below."""

    def __init__(self, problem: AssignmentProblem) -> None:
        self.problem = problem
        worst = problem.worst_cost
        self.worst = float(worst.max() if problem.objective == "throughput" else worst.sum())

    def __call__(self, steps: Steps) -> Floats:
        reward = np.zeros(len(steps.step))
        ends = steps.failed | steps.finished
        if ends.any():
            best = self.problem.optimum().objective
            reward[ends] = -np.where(steps.failed, self.worst, steps.objective)[ends] / best
        return reward


REWARDS: Mapping[str, type[ShapedReward | ConfuciuXReward | TerminalReward]] = {
    "shaped": ShapedReward,
    "confuciux": ConfuciuXReward,
    "terminal": TerminalReward,
}


def make_reward(name: str | None, problem: AssignmentProblem) -> Reward:
    """The reward of that name; by default ``shaped``, or ``terminal`` for throughput.

    Raises:
        ValueError: If the name is unknown, or steps cannot be rewarded because the objective does
            not add up over them (throughput).
    """
    if name is None:
        name = "terminal" if problem.objective == "throughput" else "shaped"
    if name not in REWARDS:
        raise ValueError(nearest("reward", name, REWARDS))
    if problem.objective == "throughput" and name != "terminal":
        raise ValueError(
            f"reward {name!r} needs an objective that adds up over layers; for throughput use "
            "'terminal'"
        )
    return REWARDS[name](problem)
