"""The proven optimum of an assignment problem.

Found by :func:`hwgym.bounds.optimum.cheapest_choice` over the problem's tables.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from hwgym._arrays import Ints
from hwgym._names import nearest
from hwgym.bounds.optimum import METHODS, cheapest_choice
from hwgym.families.assignment.problem import AssignmentProblem

__all__ = ["Certificate", "optimum"]


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

    def accept(actions: Ints) -> bool:
        return bool(problem.evaluate_actions(actions[None]).feasible[0])

    def value(actions: Ints) -> float:
        return float(problem.evaluate_actions(actions[None]).objective[0])

    solution = cheapest_choice(
        problem.cost,
        problem.usage,
        problem.valid,
        problem.limit,
        join="maximum" if problem.objective == "throughput" else "add",
        method=method,
        accept=accept,
        value=value,
    )
    actions, bound, relaxation = solution.actions, solution.bound, solution.relaxation
    scores = problem.evaluate_actions(actions[None])
    if not scores.feasible[0]:
        raise RuntimeError(
            f"{solution.method}: the assignment found is not feasible for {problem!r}"
        )
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
        method=solution.method,
        seconds=time.perf_counter() - start,
        relaxation=min(relaxation, objective),
    )
