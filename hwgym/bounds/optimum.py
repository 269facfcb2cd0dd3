"""The cheapest choice of every step within a limit, proven.

Costs that add up make a multiple-choice knapsack, solved exactly in :mod:`.knapsack`; where the
greatest cost counts, :mod:`.bottleneck` bisects; of a single step every choice is looked at.
``method="milp"`` asks HiGHS instead (:mod:`.milp`), and reports the Lagrangian relaxation as its
bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from hwgym._arrays import Bools, Floats, Ints
from hwgym._names import nearest
from hwgym.bounds import bottleneck, knapsack, milp
from hwgym.bounds._tables import ROUNDING, check_tables

__all__ = ["JOINS", "METHODS", "Solution", "cheapest_choice"]

JOINS = ("add", "maximum")
METHODS = ("exact", "milp")


@dataclass(frozen=True, eq=False)
class Solution:
    """The best choice of every step, and what is proven of it.

    Attributes:
        actions: (steps,) the choice of every step.
        bound: None within the limit costs less; the cost of ``actions`` for an exact method.
        relaxation: The Lagrangian bound, for comparison; equals ``bound`` where no relaxation was
            needed.
        method: How it was found and proven.
    """

    actions: Ints = field(repr=False)
    bound: float
    relaxation: float
    method: str


def cheapest_choice(
    cost: Floats,
    usage: Floats,
    allowed: Bools,
    limit: float,
    *,
    join: str = "add",
    method: str = "exact",
    accept: Callable[[Ints], bool] | None = None,
    value: Callable[[Ints], float] | None = None,
) -> Solution:
    """Choose for every step so that the cost is least and the usage within a limit.

    Args:
        cost, usage: (steps, choices), >= 0 where allowed; elsewhere anything.
        allowed: (steps, choices).
        limit: On the total usage; infinite for none.
        join: How the steps' costs join: ``"add"`` or ``"maximum"``.
        method: ``"exact"``, or ``"milp"`` for HiGHS where costs add up over several steps.
        accept: Last word on whether actions (steps,) are within the limit, since a sum in another
            order may be a hair off. Without it usage is added up step by step.
        value: The exact cost of actions (steps,), for the same reason, where costs add up. Without
            it they are added up step by step.

    Raises:
        ValueError: If a name is unknown, the tables are not as above, a step allows no choice, or
            nothing is within the limit.
        RuntimeError: If HiGHS fails. What it finds may be over the limit by its tolerance.
    """
    if join not in JOINS:
        raise ValueError(nearest("join", join, JOINS))
    if method not in METHODS:
        raise ValueError(nearest("method", method, METHODS))
    rows = np.arange(len(cost))
    if accept is None:

        def accept(actions: Ints) -> bool:
            return bool(np.add.accumulate(usage[rows, actions])[-1] <= limit)

    if value is None:

        def value(actions: Ints) -> float:
            return float(np.add.accumulate(cost[rows, actions])[-1])

    if join == "maximum":
        actions, bound = bottleneck.least_greatest(cost, usage, allowed, limit, accept)
        return Solution(actions, bound, bound, "bisection over the occurring costs")
    if len(cost) == 1:
        check_tables(allowed, cost=cost, usage=usage)
        actions = _enumerate(cost[0], usage[0], allowed[0], limit, accept)
        bound = value(actions)
        return Solution(actions, bound, bound, "enumeration of all configurations")
    fronts = knapsack.fronts_of(cost, usage, allowed)
    relaxation = knapsack.relax(fronts, limit)
    if method == "milp":
        actions = milp.cheapest(fronts, limit, relaxation)
        how = "HiGHS, bounded by Lagrangian relaxation"
        return Solution(actions, relaxation.bound, relaxation.bound, how)
    actions = knapsack.cheapest(fronts, limit, relaxation, accept)
    how = "exact: undominated partial assignments, Lagrangian bounds"
    if actions is relaxation.actions:  # accepted as they are
        how = "exact: every step's best choice fits the budget"
    return Solution(actions, value(actions), relaxation.bound, how)


def _enumerate(
    cost: Floats, usage: Floats, allowed: Bools, limit: float, accept: Callable[[Ints], bool]
) -> Ints:
    """One step: its choices by cost, until one is accepted."""
    choices = np.flatnonzero(allowed & (usage <= limit * (1 + ROUNDING)))
    for choice in choices[np.argsort(cost[choices], kind="stable")]:
        actions = np.array([choice])
        if accept(actions):
            return actions
    raise ValueError(f"nothing within {limit:.6g}: the least usage is {usage[allowed].min():.6g}")
