"""The multiple-choice knapsack: what is left of a problem whose costs and usage add up.

One choice a step, least total cost, total usage within a limit; no cost and no usage is negative.
It is solved exactly, in three moves:

1. *Relax.* For a price per unit of usage, every step can choose on its own; the total, less the
   price of the limit, bounds every assignment's cost from below (Lagrangian relaxation). The best
   price is found by walking the steps' convex hulls, which also gives a good assignment (Sinha
   and Zoltners, Operations Research 27(3), 1979).
2. *Reduce.* A choice whose bound exceeds the cost of a known assignment is in no better one.
3. *Enumerate.* Steps are added one by one; of the partial assignments only those stay that no other
   beats in both cost and usage, that can still be completed within the limit, and whose bound does
   not exceed the best known cost (Nemhauser and Ullmann, Management Science 15(9), 1969).

The third move visits every assignment that could be better, so its result is optimal; it takes no
solver's word. Sums round, though: of assignments whose usage is the limit to 1e-12, some are within
it or not by the order of adding alone, and the best of these may be missed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hwgym._arrays import Bools, Floats, Ints
from hwgym.bounds._tables import ROUNDING, check_tables, in_order

__all__ = ["Front", "Relaxation", "cheapest", "fronts_of", "least_usage", "relax"]


@dataclass(frozen=True)
class Front:
    """A step's choices that no other beats in both cost and usage: usage up, cost down.

    Attributes:
        actions, usage, cost: 1-D arrays of equal length.
    """

    actions: Ints
    usage: Floats
    cost: Floats

    def keep(self, mask: Bools) -> Front:
        """Those of a mask."""
        return Front(self.actions[mask], self.usage[mask], self.cost[mask])


@dataclass(frozen=True)
class Relaxation:
    """What the Lagrangian relaxation tells.

    Attributes:
        price: Cost that one more unit of the limit would save; 0 if every step can have its best.
        bound: No assignment within the limit costs less.
        actions: (steps,) an assignment within the limit.
        cost: What that one costs.
    """

    price: float
    bound: float
    actions: Ints
    cost: float


def fronts_of(cost: Floats, usage: Floats, allowed: Bools) -> list[Front]:
    """The front of every step, from tables (steps, choices), >= 0 where allowed; steps whose rows
    are equal share one.

    Raises:
        ValueError: If the tables are not so, or a step allows no choice.
    """
    check_tables(allowed, cost=cost, usage=usage)
    made: dict[bytes, Front] = {}
    fronts = []
    for rows in zip(cost, usage, allowed, strict=True):
        key = b"".join(row.tobytes() for row in rows)
        if key not in made:
            actions = np.flatnonzero(rows[2])
            c, u = rows[0][actions], rows[1][actions]
            keep = _undominated(u, c)
            made[key] = Front(actions[keep], u[keep], c[keep])
        fronts.append(made[key])
    return fronts


def least_usage(fronts: Sequence[Front]) -> float:
    """The least that any assignment uses."""
    return in_order([f.usage[0] for f in fronts])


def relax(fronts: Sequence[Front], limit: float) -> Relaxation:
    """Solve the Lagrangian relaxation.

    Raises:
        ValueError: If no assignment is within the limit.
    """
    used = least_usage(fronts)
    if used > limit:
        raise ValueError(f"nothing within {limit:.6g}: the least usage is {used:.6g}")
    chosen = np.zeros(len(fronts), np.int64)
    if in_order([f.usage[-1] for f in fronts]) <= limit:
        cost = in_order([f.cost[-1] for f in fronts])
        return Relaxation(0.0, cost, np.array([f.actions[-1] for f in fronts]), cost)

    distinct = {id(f): f for f in fronts}
    hull_of = {key: _hull(f) for key, f in distinct.items()}
    hulls = [hull_of[id(f)] for f in fronts]
    owner = np.repeat(np.arange(len(fronts)), [len(h) - 1 for h in hulls])
    target = np.concatenate([h[1:] for h in hulls])
    gain = np.concatenate([-np.diff(f.cost[h]) for f, h in zip(fronts, hulls, strict=True)])
    use = np.concatenate([np.diff(f.usage[h]) for f, h in zip(fronts, hulls, strict=True)])
    rate = gain / use
    order = np.argsort(-rate, kind="stable")  # along a hull rates fall, so steps stay in order
    # The first upgrade that goes beyond the limit; by a rounding, none does but all together.
    breaks = int(np.searchsorted(used + np.cumsum(use[order]), limit, side="right"))
    price = float(rate[order[min(breaks, len(order) - 1)]])
    bound = in_order([(f.cost + price * f.usage).min() for f in fronts]) - price * limit

    # Take every upgrade that fits, best rate first, each only after those before it on its hull.
    room = limit * (1 - ROUNDING)
    blocked = np.zeros(len(fronts), bool)
    for i in order:
        step = owner[i]
        if blocked[step]:
            continue
        if used + use[i] <= room:
            used += float(use[i])
            chosen[step] = target[i]
        else:
            blocked[step] = True
    pairs = list(zip(fronts, chosen, strict=True))
    cost = in_order([f.cost[c] for f, c in pairs])
    return Relaxation(price, bound, np.array([f.actions[c] for f, c in pairs]), cost)


def cheapest(
    fronts: Sequence[Front],
    limit: float,
    relaxation: Relaxation,
    accept: Callable[[Ints], bool],
) -> Ints:
    """An optimal assignment's actions (steps,).

    Args:
        fronts: As :func:`fronts_of` gives them.
        limit: On the total usage.
        relaxation: As :func:`relax` gives it.
        accept: Last word on whether an assignment is within the limit, since a sum in another order
            may be a hair off.

    Raises:
        ValueError: If it accepts none.
    """
    price, known = relaxation.price, relaxation.cost
    if not accept(relaxation.actions):
        known = np.inf
    elif price == 0.0:
        return relaxation.actions
    paid = price * limit if price else 0.0
    # With slack, or rounding would discard the optimum itself; it comes from terms of this size.
    ceiling = known + (known + paid) * ROUNDING
    least = np.array([float((f.cost + price * f.usage).min()) for f in fronts])
    bound = least.sum() - paid
    reduced = [
        f.keep(bound + (f.cost + price * f.usage - low) <= ceiling)
        for f, low in zip(fronts, least, strict=True)
    ]
    # Steps with few choices left first: the list stays short for longer.
    order = sorted(range(len(reduced)), key=lambda i: len(reduced[i].actions))
    least_cost_after = _sum_after(least[order])
    least_use_after = _sum_after(np.array([reduced[i].usage[0] for i in order]))
    room = limit * (1 + ROUNDING)

    usage, cost = np.zeros(1), np.zeros(1)
    trail: list[tuple[Ints, Ints]] = []
    for position, i in enumerate(order, start=1):
        front = reduced[i]
        u = np.add.outer(usage, front.usage).ravel()
        c = np.add.outer(cost, front.cost).ravel()
        fits = u + least_use_after[position] <= room
        lowest = c + price * u + least_cost_after[position] - paid
        candidates = np.flatnonzero(fits & (lowest <= ceiling))
        keep = candidates[_undominated(u[candidates], c[candidates])]
        usage, cost = u[keep], c[keep]
        choices = len(front.actions)
        trail.append((keep // choices, front.actions[keep % choices]))

    for last in np.argsort(cost, kind="stable"):
        actions = np.empty(len(order), np.int64)
        state = int(last)
        for i, (parent, chosen) in zip(reversed(order), reversed(trail), strict=True):
            actions[i] = chosen[state]
            state = int(parent[state])
        if accept(actions):
            return actions
    raise ValueError(f"nothing within {limit:.6g} was accepted")


def _undominated(usage: Floats, cost: Floats) -> Ints:
    """Indices of the undominated points, by increasing usage."""
    order = np.lexsort((cost, usage))
    best = np.minimum.accumulate(cost[order])
    keep = np.ones(len(order), bool)
    keep[1:] = best[1:] < best[:-1]
    return order[keep]


def _hull(front: Front) -> Ints:
    """Indices of the lower convex hull of a front."""
    usage, cost = front.usage.tolist(), front.cost.tolist()  # numbers, faster than numpy's
    hull: list[int] = []
    for i in range(len(usage)):
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            first = (cost[b] - cost[a]) * (usage[i] - usage[a])
            if first < (cost[i] - cost[a]) * (usage[b] - usage[a]):
                break
            hull.pop()
        hull.append(i)
    return np.array(hull)


def _sum_after(values: Floats) -> Floats:
    """(n + 1,): the sum of those from each index on."""
    return np.append(np.cumsum(values[::-1])[::-1], 0.0)
