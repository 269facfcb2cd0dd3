"""The proven optimum of an assignment problem.

With costs that add up, the problem is a multiple-choice knapsack, solved exactly in
:mod:`hwgym.bounds.knapsack`. A pipeline's period (objective ``throughput``) is solved by bisection, one
configuration for all layers (LS) by looking at every configuration. ``method="milp"`` asks HiGHS
instead, and reports the Lagrangian relaxation as its bound: HiGHS has been seen to claim a gap of 0
on solutions that were not optimal.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hwgym._names import nearest
from hwgym.bounds import knapsack
from hwgym.families.assignment.problem import AssignmentProblem

__all__ = ["Certificate", "optimum"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

METHODS = ("exact", "milp")


@dataclass(frozen=True, eq=False)
class Certificate:
    """The best assignment, and how far it can be from the best there is.

    Attributes:
        assignment: Level indices (steps, 2), with a third where dataflows mix.
        objective: Its objective, as ``AssignmentProblem.evaluate`` gives it.
        lower_bound: No feasible assignment has a lower objective (up to rounding, 1e-12 relative).
        gap: ``objective / lower_bound - 1``; 0 for an exact method.
        method: How it was found and proven.
        seconds: What that took.
        relaxation: The Lagrangian bound, for comparison; equals ``lower_bound`` where no
            relaxation was needed.
    """

    assignment: Ints = field(repr=False)
    objective: float
    lower_bound: float
    gap: float
    method: str
    seconds: float
    relaxation: float


def optimum(problem: AssignmentProblem, method: str = "exact") -> Certificate:
    """Solve a problem to proven optimality.

    Args:
        problem: Any objective, constraint, budget and deployment.
        method: ``"exact"``, or ``"milp"`` for HiGHS (``scipy.optimize.milp``) with the Lagrangian
            bound.

    Raises:
        ValueError: If the method is unknown, or it is no problem that is given. (One without a
            feasible assignment cannot be constructed.)
        RuntimeError: If HiGHS fails.
    """
    if method not in METHODS:
        raise ValueError(nearest("method", method, METHODS))
    if not isinstance(problem, AssignmentProblem):
        raise ValueError(f"an AssignmentProblem is needed, got {problem!r}")
    start = time.perf_counter()
    if problem.objective == "throughput":
        actions, bound, relaxation, how = _bottleneck(problem)
    elif problem.num_steps == 1:
        actions, bound, relaxation, how = _enumerate(problem)
    else:
        actions, bound, relaxation, how = _knapsack(problem, method)
    scores = problem.evaluate_actions(actions[None])
    if not scores.feasible[0]:
        raise RuntimeError(f"{how}: the assignment found is not feasible for {problem!r}")
    objective = float(scores.objective[0])
    for claim in (bound, relaxation):
        if claim > objective * (1 + 1e-9):
            raise RuntimeError(
                f"internal error: the bound {claim} exceeds {objective}: {problem!r}"
            )
    bound = min(bound, objective)
    assignment = problem.space.decode(actions)
    assignment.setflags(write=False)
    return Certificate(
        assignment=assignment,
        objective=objective,
        lower_bound=bound,
        gap=objective / bound - 1,
        method=how,
        seconds=time.perf_counter() - start,
        relaxation=min(relaxation, objective),
    )


_Solution = tuple[Ints, float, float, str]


def _enumerate(problem: AssignmentProblem) -> _Solution:
    """One step: look at every choice."""
    allowed = problem.valid[0] & (problem.usage[0] <= problem.limit)
    best = int(np.where(allowed, problem.cost[0], np.inf).argmin())
    cost = float(problem.cost[0, best])
    return np.array([best]), cost, cost, "enumeration of all configurations"


def _bottleneck(problem: AssignmentProblem) -> _Solution:
    """Least greatest cost: bisect over the costs that occur; for each bound on the cost, every
    step takes its least usage under it."""
    levels = np.unique(problem.cost[problem.valid])

    def cheapest(bound: float) -> tuple[Ints, float]:
        usage = np.where(problem.valid & (problem.cost <= bound), problem.usage, np.inf)
        actions = usage.argmin(axis=1)
        return actions, float(np.add.accumulate(usage.min(axis=1))[-1])

    low, high = 0, len(levels) - 1
    while low < high:
        middle = (low + high) // 2
        if cheapest(levels[middle])[1] <= problem.limit:
            high = middle
        else:
            low = middle + 1
    bound = float(levels[low])
    return cheapest(bound)[0], bound, bound, "bisection over the occurring costs"


def _knapsack(problem: AssignmentProblem, method: str) -> _Solution:
    fronts = knapsack.fronts_of(problem.cost, problem.usage, problem.valid)
    relaxation = knapsack.relax(fronts, problem.limit)
    bound = relaxation.bound
    if method == "milp":
        actions = _milp(fronts, problem.limit, relaxation)
        return actions, bound, bound, "HiGHS, bounded by Lagrangian relaxation"

    def accept(actions: Ints) -> bool:
        return bool(problem.evaluate_actions(actions[None]).feasible[0])

    actions = knapsack.solve(fronts, problem.limit, relaxation, accept)
    cost = float(problem.evaluate_actions(actions[None]).objective[0])
    if relaxation.price == 0.0:
        return actions, cost, bound, "exact: every step's best choice fits the budget"
    return actions, cost, bound, "exact: undominated partial assignments, Lagrangian bounds"


def _milp(fronts: list[knapsack.Front], limit: float, relaxation: knapsack.Relaxation) -> Ints:
    """HiGHS on the reduced problem, scaled: its tolerances are absolute."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    sizes = [len(f.actions) for f in fronts]
    cost = np.concatenate([f.cost for f in fronts])
    usage = np.concatenate([f.usage for f in fronts])
    columns = np.arange(len(cost))
    owner = np.repeat(np.arange(len(fronts)), sizes)
    one_each = csr_array((np.ones(len(cost)), (owner, columns)), shape=(len(fronts), len(cost)))
    result = milp(
        cost / relaxation.cost * 1e4,
        constraints=[
            LinearConstraint(one_each, 1, 1),
            LinearConstraint(usage[None] / limit * len(fronts), -np.inf, len(fronts)),
        ],
        integrality=np.ones(len(cost)),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 0},
    )
    if result.x is None:
        raise RuntimeError(f"HiGHS failed: {result.message}")
    starts = np.cumsum([0, *sizes[:-1]])
    picks = [
        f.actions[int(np.argmax(result.x[s : s + n]))]
        for f, s, n in zip(fronts, starts, sizes, strict=True)
    ]
    return np.array(picks)
