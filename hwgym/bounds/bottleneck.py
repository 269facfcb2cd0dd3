"""The least greatest cost: every step has its cost, the greatest counts, and usage adds up.

No step need be faster than the slowest. So for a bound on the cost every step takes its least usage
under it, and the least bound at which these fit is found by bisection over the costs that occur.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hwgym._arrays import Bools, Floats, Ints
from hwgym.bounds._tables import check_tables

__all__ = ["least_greatest"]


def least_greatest(
    cost: Floats,
    usage: Floats,
    allowed: Bools,
    limit: float,
    accept: Callable[[Ints], bool] | None = None,
) -> tuple[Ints, float]:
    """The actions (steps,) whose greatest cost is least within a limit, and that cost.

    Args:
        cost, usage: (steps, choices), >= 0 where allowed; elsewhere anything.
        allowed: (steps, choices).
        limit: On the total usage, added up step by step.
        accept: Instead of that sum, whether actions (steps,) are within the limit.

    Raises:
        ValueError: If the tables are not as above, a step allows no choice, or nothing is within
            the limit.
    """
    check_tables(allowed, cost=cost, usage=usage)

    def least(bound: float) -> tuple[Ints, bool]:
        taken = np.where(allowed & (cost <= bound), usage, np.inf)
        actions: Ints = taken.argmin(axis=1)
        each = taken.min(axis=1)
        if not np.isfinite(each).all():
            return actions, False
        if accept is not None:
            return actions, accept(actions)
        return actions, bool(np.add.accumulate(each)[-1] <= limit)

    bounds = np.unique(cost[allowed])
    low, high = 0, len(bounds) - 1
    while low < high:
        middle = (low + high) // 2
        if least(bounds[middle])[1]:
            high = middle
        else:
            low = middle + 1
    bound = float(bounds[low])
    actions, fits = least(bound)
    if not fits:
        used = np.add.accumulate(np.where(allowed, usage, np.inf).min(axis=1))[-1]
        raise ValueError(f"nothing within {limit:.6g}: the least usage is {used:.6g}")
    return actions, bound
