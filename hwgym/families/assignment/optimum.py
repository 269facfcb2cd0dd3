"""``optimum``: the proven optimum of an assignment problem, by the method of one's choice."""

from __future__ import annotations

from hwgym._names import nearest
from hwgym.bounds.optimum import METHODS
from hwgym.core.certificate import Certificate
from hwgym.core.veil import check_lifted
from hwgym.families.assignment.problem import AssignmentProblem

__all__ = ["optimum"]


def optimum(problem: AssignmentProblem, method: str = "exact") -> Certificate:
    """Solve a problem to proven optimality, anew; ``problem.optimum()`` does it once.

    Args:
        problem: Any objective, constraint, budget and deployment.
        method: ``"exact"``, or ``"milp"`` for HiGHS (``scipy.optimize.milp``) with the Lagrangian
            bound.

    Raises:
        ValueError: If the method is unknown, or it is no problem that is given. (One without a
            feasible assignment cannot be constructed.)
        RuntimeError: If HiGHS fails.
        Withheld: While an agent searches.
    """
    check_lifted("the optimum")
    if method not in METHODS:
        raise ValueError(nearest("method", method, METHODS))
    if not isinstance(problem, AssignmentProblem):
        raise ValueError(f"an AssignmentProblem is needed, got {problem!r}")
    return problem.certify(method)
