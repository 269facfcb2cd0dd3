"""Rewards: small objects made for one problem. A reward is a table and what it says of the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hwgym._names import nearest
from hwgym.families.assignment.problem import AssignmentProblem

__all__ = [
    "REWARDS",
    "ConfuciuXReward",
    "Reward",
    "ShapedReward",
    "TerminalReward",
    "make_reward",
]

Floats = NDArray[np.float64]
Number = TypeVar("Number", float, Floats)
"""One number, or (N,) of a batch."""


class Reward(Protocol):
    """What a reward is. Its methods take one number or (N,) of a batch, and give the same.

    Attributes:
        table: (steps, actions): of a step that is neither the last nor fails.
        ends: Whether the last step has a reward of its own, :meth:`finished`, instead of the
            table's.
    """

    table: Floats
    ends: bool

    def failed(self, earned: Number) -> Number:
        """Of a step that broke the budget or chose an invalid point, after ``earned`` so far."""
        ...

    def finished(self, objective: Number) -> Number:
        """Of the last step, if nothing failed, given the episode's objective."""
        ...


class ShapedReward:
    """``(worst - cost) / sum(worst - best)``, over a step's valid points.

    The undiscounted return of a feasible episode lies in [0, 1] and is linear in the objective; a
    failed episode returns exactly -1.
    """

    ends = False

    def __init__(self, problem: AssignmentProblem) -> None:
        span = float((problem.worst_cost - problem.best_cost).sum())
        # If every choice costs the same, there is nothing to earn and nothing to divide.
        self.table = (problem.worst_cost[:, None] - problem.cost) / (span or 1.0)

    def failed(self, earned: Number) -> Number:
        return -1.0 - earned

    def finished(self, objective: Number) -> Number:
        raise NotImplementedError("the last step is rewarded like the others")


class ConfuciuXReward(ShapedReward):
    """The paper's ``P - P_min``: performance (minus cost) above the worst of any layer's points;
    on failure, minus the rewards so far (Kao et al., MICRO 2020, section 4).

    The paper tracks ``P_min`` as it goes, which makes rewards depend on earlier episodes; here it
    is the value that this converges to, known from the tables.
    """

    def __init__(self, problem: AssignmentProblem) -> None:
        self.table = problem.worst_cost.max() - problem.cost

    def failed(self, earned: Number) -> Number:
        return -earned


class TerminalReward:
    """Nothing until the end, then ``-objective / optimum``; on failure that of the worst valid
    choice at every step, which no feasible episode falls below."""

    ends = True

    def __init__(self, problem: AssignmentProblem) -> None:
        self.problem = problem
        self.table = np.zeros((problem.num_steps, problem.num_actions))
        worst = problem.worst_cost
        self.worst = float(worst.max() if problem.objective == "throughput" else worst.sum())

    def failed(self, earned: Number) -> Number:
        return self.finished(0.0 * earned + self.worst)

    def finished(self, objective: Number) -> Number:
        return -objective / self.problem.optimum().objective


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
