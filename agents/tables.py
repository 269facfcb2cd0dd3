"""Tables of what was seen, and the agents that solve them: exactly, greedily, by relaxation.

Since each step's costs are its own, one uniform solution shows one choice's cost at every step, and
as many samples as there are choices show everything. :class:`TabulateAndSolve` does just that and
then solves the knapsack: the yardstick for every agent that sees layers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hwgym._arrays import Bools, Floats, Ints
from hwgym.bounds import knapsack
from hwgym.bounds.optimum import cheapest_choice
from hwgym.core import Evaluator, Parts, Scores, Sees, Statement

from .common import positive, separable, shares, spread_uniform

__all__ = ["Greedy", "LagrangianRelaxation", "SeenTables", "TabulateAndSolve", "tabulate"]


class SeenTables:
    """What each step's choices cost and took, of those that were paid for; nothing else.

    The statement says which steps are alike; what one of them tells, all of them know.

    Attributes:
        statement: Of the problem.
        seen: (steps, actions): was in a solution that was noted.
        cost, usage: (steps, actions), as paid parts told, infinite where not seen.
        valid: (steps, actions): seen and valid.
    """

    def __init__(self, statement: Statement) -> None:
        self.statement, self.space = statement, statement.space
        shape = (self.space.num_steps, self.space.num_actions)
        self.seen: Bools = np.zeros(shape, bool)
        self.cost: Floats = np.full(shape, np.inf)
        self.usage: Floats = np.full(shape, np.inf)
        self.valid: Bools = np.zeros(shape, bool)
        self._rows = np.arange(shape[0])
        groups = statement.groups
        self._first = np.array([members[0] for members in groups])
        self._group = np.empty(shape[0], np.int64)
        for index, members in enumerate(groups):
            self._group[members] = index

    def note(self, genes: Ints, parts: Parts) -> None:
        """Take in what solutions (N, steps, axes) that were paid for told, as far as each went."""
        numbers = self.space.encode(genes)
        rows, steps = np.nonzero(numbers >= 0)
        at = self._first[self._group[steps]], numbers[rows, steps]
        self.seen[at] = True
        self.cost[at] = parts.cost[rows, steps]
        self.usage[at] = parts.used[rows, steps]
        self.valid[at] = parts.valid[rows, steps]
        for table in (self.seen, self.cost, self.usage, self.valid):
            table[:] = table[self._first][self._group]

    def evaluate(self, evaluator: Evaluator, genes: Ints) -> Scores:
        """Pay for solutions (N, steps, axes) and note what their steps cost and took.

        Raises:
            BudgetSpent: If no sample is left.
        """
        scores = evaluator.evaluate(genes)
        assert scores.parts is not None  # of a separable problem, for an agent that sees layers
        self.note(genes[: len(scores)], scores.parts)
        return scores

    def used(self, numbers: Ints) -> float:
        """What seen choices (steps,) take of the limit, added up as an evaluation does."""
        return float(np.add.accumulate(self.usage[self._rows, numbers])[-1])

    @property
    def least(self) -> Ints | None:
        """(steps,): each step's seen valid choice of least usage, then cost; None if together they
        exceed the limit, or a step has none."""
        if not self.valid.any(axis=1).all():
            return None
        usage = np.where(self.valid, self.usage, np.inf)
        cheapest = usage == usage.min(axis=1, keepdims=True)
        numbers = np.where(cheapest, self.cost, np.inf).argmin(axis=1)
        return numbers if self.used(numbers) <= self.statement.limit else None

    def best(self) -> Ints | None:
        """The best of the seen choices, (steps,) action numbers; None if none is feasible."""
        if self.least is None:
            return None
        limit, join = self.statement.limit, self.statement.objective.join
        return cheapest_choice(self.cost, self.usage, self.valid, limit, join=join).actions

    def guess(self) -> Floats:
        """(steps, actions): usage where seen, elsewhere a guess from what was.

        A factor a step and a factor a choice are fitted to the logarithms; a choice that no step
        was seen with has a factor for what it is on every axis, along which it is interpolated.
        """
        known = self.valid & (self.usage > 0)
        if not known.any():
            return np.where(self.valid, self.usage, 0.0)
        logs = np.where(known, np.log(np.where(known, self.usage, 1.0)), 0.0)
        per_step, per_choice = np.maximum(known.sum(axis=1), 1), known.sum(axis=0)
        step, choice = np.full(len(logs), logs.sum() / known.sum()), np.zeros(logs.shape[1])
        for _ in range(4):
            residual = np.where(known, logs - step[:, None], 0.0).sum(axis=0)
            choice = residual / np.maximum(per_choice, 1)
            if not per_choice.all():
                choice = np.where(per_choice > 0, choice, self._by_axis(choice, per_choice > 0))
            step = step + np.where(known, logs - step[:, None] - choice, 0.0).sum(axis=1) / per_step
        guess: Floats = np.exp(step[:, None] + choice)
        return np.where(self.valid, self.usage, guess)

    def _by_axis(self, values: Floats, known: Bools) -> Floats:
        """(actions,) the sum of an effect on every axis, fitted to the values that are known."""
        genes = self.space.decode(np.arange(len(values)))
        effects = [np.zeros(size) for size in self.space.shape]
        fitted = np.full(len(values), values[known].mean())
        for _ in range(4):
            for axis, size in enumerate(self.space.shape):
                at = genes[:, axis]
                count = np.bincount(at[known], minlength=size)
                missing = np.bincount(at[known], (values - fitted)[known], minlength=size)
                change = missing / np.maximum(count, 1)
                if self.space.ordered[axis]:
                    levels = np.flatnonzero(count)
                    effect = np.interp(np.arange(size), levels, (effects[axis] + change)[levels])
                else:
                    effect = effects[axis] + change
                fitted = fitted + (effect - effects[axis])[at]
                effects[axis] = effect
        return fitted

    def summable(self, power: float = 8.0) -> Floats:
        """(steps, actions): costs to be added up, infinite where not seen or not valid.

        Where the greatest cost counts, a power of them stands in for it, in units of the least
        objective that there can be.
        """
        cost = np.where(self.valid, self.cost, np.inf)
        if self.statement.objective.adds_up:
            return cost
        least = cost.min(axis=1)
        finite = least[np.isfinite(least)]
        bound = float(finite.max(initial=0.0)) or 1.0
        powered: Floats = (cost / bound) ** power
        return powered


def tabulate(evaluator: Evaluator, keep: int) -> SeenTables:
    """Pay for every uniform solution, or those that leave ``keep`` samples, but for at least one.

    Raises:
        BudgetSpent: If no sample is left.
    """
    tables = SeenTables(evaluator.statement)
    most = max(evaluator.remaining - keep, 1)
    tables.evaluate(evaluator, spread_uniform(evaluator.space, most))
    return tables


@dataclass
class TabulateAndSolve:
    """Sees every choice once through uniform solutions, then solves the knapsack exactly.

    The yardstick for agents that see layers: on a space of 144 choices it needs 145 samples. With
    fewer samples it sees the choices that cover the space best, and its answer is optimal among
    those.
    """

    sees: ClassVar[Sees] = "layers"
    deterministic: ClassVar[bool] = True

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Tabulate, then evaluate the answer.

        Raises:
            ValueError: If costs are not separable.
        """
        separable(evaluator.statement, "tabulate")
        answer = tabulate(evaluator, keep=1).best()
        if answer is not None:
            evaluator.evaluate(evaluator.space.decode(answer[None]))


@dataclass
class Greedy:
    """From the cheapest solution upwards, always the upgrade that saves most per unit of budget.

    It first pays for uniform solutions, then evaluates the solutions on its way up. Where the
    greatest cost counts (throughput), only the slowest step is upgraded, as little as makes it
    faster.
    """

    tabulate_share: float = 0.5
    """Share of the samples for uniform solutions, as far as there are choices."""

    sees: ClassVar[Sees] = "layers"
    deterministic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        shares(self, "tabulate_share")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Tabulate, climb, evaluate the way.

        Raises:
            ValueError: If costs are not separable.
        """
        separable(evaluator.statement, "greedy")
        keep = evaluator.samples - int(self.tabulate_share * evaluator.samples)
        way = self._climb(tabulate(evaluator, keep))
        if len(way) and evaluator.remaining:
            picks = np.linspace(len(way) - 1, 0, min(len(way), evaluator.remaining))
            chosen = way[np.sort(picks.round().astype(np.int64))]
            evaluator.evaluate(evaluator.space.decode(chosen))

    @staticmethod
    def _climb(tables: SeenTables) -> Ints:
        """The solutions (N, steps) from the cheapest up to where no upgrade fits."""
        statement = tables.statement
        chosen = tables.least
        if chosen is None:
            return np.zeros((0, statement.space.num_steps), np.int64)
        rows = np.arange(len(chosen))
        way = [chosen]
        cost, usage = (np.where(tables.valid, t, np.inf) for t in (tables.cost, tables.usage))
        while True:
            now, took = cost[rows, chosen], usage[rows, chosen]
            open_ = tables.valid & (cost < now[:, None])
            room = statement.limit - tables.used(chosen)
            extra = np.where(open_, usage - took[:, None], np.inf)
            gain = np.where(open_, now[:, None] - cost, 0.0)
            if statement.objective.adds_up:
                rate = gain / np.maximum(extra, np.finfo(float).tiny)
            else:
                slowest = (now == now.max())[:, None]
                # Among the cheapest ways to make it faster, the fastest.
                rate = np.where(slowest & (gain > 0), -extra, -np.inf)
            rate = np.where(open_ & (extra <= room), rate, -np.inf)
            best = int(rate.argmax())
            if rate.flat[best] == -np.inf:
                return np.array(way)
            step, action = divmod(best, cost.shape[1])
            chosen = chosen.copy()
            chosen[step] = action
            way.append(chosen)


@dataclass
class LagrangianRelaxation:
    """Bisects the price of budget at which the steps, choosing each for itself, just fill it.

    It first pays for uniform solutions; then, at each price, every step takes its least cost plus
    price times usage among what was seen, and that solution is evaluated. The last sample is the
    best solution that the relaxation yields (:func:`hwgym.bounds.knapsack.relax`), which also fills
    what the best price leaves. Where the greatest cost counts (throughput), a high power of the
    costs stands in for it.
    """

    bisections: int = 40
    """Prices tried at most; fewer if no budget is left for as many uniform solutions."""
    power: float = 8.0
    """Of the costs, where the greatest counts."""

    sees: ClassVar[Sees] = "layers"
    deterministic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        positive(self, "bisections")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Tabulate, bisect, evaluate the relaxation's solution.

        Raises:
            ValueError: If costs are not separable.
        """
        separable(evaluator.statement, "lagrangian")
        space, limit = evaluator.space, evaluator.statement.limit
        tables = tabulate(evaluator, keep=min(self.bisections, evaluator.samples // 4) + 1)
        if tables.least is None:
            return
        cost = tables.summable(self.power)
        taken = np.where(tables.valid, tables.usage, 0.0)
        price, low, high = 0.0, 0.0, np.inf
        for _ in range(self.bisections):
            if evaluator.remaining <= 1:
                break
            numbers = (cost + price * taken).argmin(axis=1)
            if evaluator.evaluate(space.decode(numbers[None])).feasible[0]:
                high = price
                if price == 0:
                    return  # every step has its best
            else:
                low = price
            if high == np.inf:
                price = 8 * low or float(cost.min(axis=1).sum()) / limit
            else:
                price = math.sqrt(low * high) if low else high / 8
        fronts = knapsack.fronts_of(cost, taken, tables.valid)
        if knapsack.least_usage(fronts) <= limit:
            evaluator.evaluate(space.decode(knapsack.relax(fronts, limit).actions[None]))
