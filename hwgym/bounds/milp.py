"""The knapsack of :mod:`.knapsack` as a mixed-integer linear programme, for HiGHS.

A second opinion, not a proof: HiGHS has been seen to claim a gap of 0 on solutions that were not
optimal.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwgym._arrays import Ints
from hwgym._extras import naming
from hwgym.bounds.knapsack import Front, Relaxation

__all__ = ["cheapest"]


def cheapest(fronts: Sequence[Front], limit: float, relaxation: Relaxation) -> Ints:
    """The actions (steps,) that HiGHS finds (``scipy.optimize.milp``).

    Args:
        fronts: As :func:`.knapsack.fronts_of` gives them.
        limit: On the total usage.
        relaxation: As :func:`.knapsack.relax` gives it; only its cost is used, for scale, since
            HiGHS's tolerances are absolute.

    Raises:
        RuntimeError: If HiGHS fails.
    """
    with naming():
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import csr_array

    fronts = [f.keep(f.usage <= limit) for f in fronts]
    sizes = [len(f.actions) for f in fronts]
    cost = np.concatenate([f.cost for f in fronts])
    usage = np.concatenate([f.usage for f in fronts])
    columns = np.arange(len(cost))
    owner = np.repeat(np.arange(len(fronts)), sizes)
    one_each = csr_array((np.ones(len(cost)), (owner, columns)), shape=(len(fronts), len(cost)))
    result = milp(
        cost / (relaxation.cost or 1.0) * 1e4,
        constraints=[
            LinearConstraint(one_each, 1, 1),
            LinearConstraint(usage[None] / (limit or 1.0) * len(fronts), -np.inf, len(fronts)),
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
