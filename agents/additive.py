"""The additive optimum: what each choice of each step does alone, and the knapsack that makes.

A yardstick for problems whose objective is of whole solutions while what they use of the limit is
known, as with bits per layer. Each choice is tried in one step, all others at what takes most, and
what it adds there is taken to add anywhere. The optimum of that sum within the limit is found
exactly (:mod:`hwgym.bounds`), and bought. So mixed precision is often chosen, layer by layer
sensitivity and all (Dong et al., HAWQ, ICCV 2019, have another measure of it).

That is the yardstick, and after it as many samples as it took are the next best solutions of the
sum, in order (Lawler, Management Science 18(7), 1972). Then the sum is fitted to all that was
bought, and so on, each time twice as many being bought.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import ClassVar

import numpy as np

from hwgym._arrays import Bools, Floats, Ints
from hwgym.bounds.optimum import cheapest_choice
from hwgym.core import Evaluator, Sees

from .common import above_zero, shares, spread_choices
from .precision import known_usage, summed

__all__ = ["Additive", "fit_additive", "next_best"]

EXACT = 1e-9
"""A solution that is worth what was promised to so much of it shows that the sum is exact."""


@dataclass
class Additive:
    """What each choice of each step adds alone; the optimum of the sum; the next best, refitted."""

    alone: float = 0.8
    """Most samples for choices alone, as a share; what was not measured is not chosen."""
    ridge: float = 1.0
    """How little the sum gives way to what was bought, when it is fitted again."""

    sees: ClassVar[Sees] = "totals"
    deterministic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        shares(self, "alone")
        above_zero(self, "ridge")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Measure, solve, go on; ends early where the sum is exact, or nothing is left.

        Raises:
            ValueError: If what choices take of the limit is not known.
        """
        statement = evaluator.statement
        known = _Alone(evaluator, known_usage(statement, "additive"))
        known.begin()
        steps = statement.space.num_steps
        known.measure(max(int(self.alone * evaluator.samples) - 1, steps))
        while True:
            adds = known.fitted(self.ridge)
            more = 2 * len(known.told)
            for numbers in next_best(adds, known.usage, known.seen, statement.limit):
                if numbers.tobytes() in known.tried:
                    continue
                if known.buy(numbers, adds):
                    if known.measured:
                        return
                    known.measure(steps)
                    break
                if len(known.told) >= more:
                    break
            else:
                return


class _Alone:
    """What choices add alone, and all that was bought.

    Attributes:
        usage: (steps, actions).
        seen: (steps, actions): it is known what a choice adds.
        adds: (steps, actions): that, to the objective of the base.
        base: (steps,) action numbers, of what takes most; of equals the last.
        told: Objectives of what was bought and valid.
        tried: All that was bought.
    """

    def __init__(self, evaluator: Evaluator, usage: Floats) -> None:
        self.evaluator, self.space, self.usage = evaluator, evaluator.space, usage
        self.base: Ints = usage.shape[1] - 1 - usage[:, ::-1].argmax(axis=1)
        self.seen, self.adds = np.zeros(usage.shape, bool), np.zeros(usage.shape)
        self.tried: set[bytes] = set()
        self.told: list[float] = []
        self.rows: list[Ints] = []
        self.left = self._order()

    def _order(self) -> list[tuple[int, int]]:
        """Steps and their choices, last first: what takes least, then what covers the space."""
        spread = self.space.encode(spread_choices(self.space, self.space.num_actions))
        least = self.usage.argmin(axis=1)
        order = [(step, int(number)) for step, number in enumerate(least)]
        order += [(step, int(n)) for n in spread for step in range(len(least)) if n != least[step]]
        return [(step, n) for step, n in reversed(order) if n != self.base[step]]

    @property
    def measured(self) -> bool:
        """Nothing is left to measure."""
        return not self.left

    def begin(self) -> None:
        """Pay for the base.

        Raises:
            ValueError: If it is not valid.
        """
        self._evaluate(self.base[None])
        if not self.told:
            raise ValueError(
                f"additive changes what takes most, which is not valid in "
                f"{self.evaluator.statement.title}; other agents that see totals work on any "
                "problem"
            )
        self.seen[np.arange(len(self.base)), self.base] = True

    def measure(self, samples: int) -> None:
        """Pay for choices alone."""
        asked = [self.left.pop() for _ in range(min(samples, len(self.left)))]
        rows = np.repeat(self.base[None], len(asked), axis=0)
        for row, (step, number) in zip(rows, asked, strict=True):
            row[step] = number
        objective = self._evaluate(rows)
        for (step, number), value in zip(asked, objective, strict=False):
            self.seen[step, number] = np.isfinite(value)
            self.adds[step, number] = value - self.told[0] if np.isfinite(value) else 0.0

    def buy(self, numbers: Ints, adds: Floats) -> bool:
        """Pay for a solution; whether it is worth just what the sum says."""
        promised = self.told[0] + summed(adds, numbers) - summed(adds, self.base)
        [objective] = self._evaluate(numbers[None])
        return bool(abs(promised - objective) <= EXACT * abs(objective))

    def _evaluate(self, rows: Ints) -> Floats:
        scores = self.evaluator.evaluate(self.space.decode(rows))
        for row, objective in zip(rows, scores.objective, strict=False):
            self.tried.add(row.tobytes())
            if np.isfinite(objective):
                self.rows.append(row)
                self.told.append(float(objective))
        return scores.objective

    def fitted(self, ridge: float) -> Floats:
        """(steps, actions): what choices add, of all that was bought."""
        rows = np.array(self.rows)
        off = np.array(self.told) - self.told[0] - summed(self.adds, rows)
        if np.abs(off).max() <= EXACT * np.abs(self.told).max():
            return self.adds
        return self.adds + fit_additive(rows, off, self.usage.shape[1], ridge)


def fit_additive(rows: Ints, values: Floats, actions: int, ridge: float) -> Floats:
    """What choices add to values, by ridge regression; 0 where one was in no row.

    Args:
        rows: (n, steps) action numbers.
        values: (n,).
        actions: Of a step.
        ridge: Weight of the squares of what is fitted.

    Returns:
        (steps, actions).
    """
    shared = np.zeros((len(rows), len(rows)))  # products of the rows' one-hot codes
    for column in rows.T:
        shared += column[:, None] == column
    weights = np.linalg.solve(shared + ridge * np.eye(len(rows)), values)
    steps = np.arange(rows.shape[1])
    found = np.zeros((len(steps), actions))
    np.add.at(found, (np.broadcast_to(steps, rows.shape), rows), weights[:, None])
    return found


def next_best(cost: Floats, usage: Floats, allowed: Bools, limit: float) -> Iterator[Ints]:
    """Solutions (steps,) within the limit whose choices are allowed, by the sum of their costs, the
    least first, until there are no more.

    Args:
        cost, usage, allowed: (steps, actions); costs may be below 0.
        limit: On the sum of usage.
    """
    cost = cost - np.where(allowed, cost, np.inf).min(axis=1, keepdims=True)
    turn = count()

    def solve(allowed: Bools, first: int) -> list[tuple[float, int, Ints, Bools, int]]:
        least = np.where(allowed, usage, np.inf).min(axis=1)
        if not np.add.accumulate(least)[-1] <= limit:
            return []
        actions = cheapest_choice(np.where(allowed, cost, 0.0), usage, allowed, limit).actions
        return [(float(summed(cost, actions)), next(turn), actions, allowed, first)]

    waiting = solve(allowed, 0)
    while waiting:
        _, _, actions, among, first = heapq.heappop(waiting)
        yield actions
        # All others of these differ from it in some step, and are as it before that one.
        rest = among.copy()
        for step in range(first, len(cost)):
            without = rest.copy()
            without[step, actions[step]] = False
            for found in solve(without, step):
                heapq.heappush(waiting, found)
            rest[step] = False
            rest[step, actions[step]] = True
