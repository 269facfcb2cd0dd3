"""TableProblem: a problem whose costs are separable and whose steps can be enumerated.

Every choice of every step has its own cost and takes its own share of the limit, so tables
(steps, actions) say everything, and the optimum is a multiple-choice knapsack
(:mod:`hwgym.bounds`).
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Bools, Floats, Ints
from hwgym.bounds.optimum import cheapest_choice
from hwgym.core.certificate import Certificate
from hwgym.core.problem import InfeasibleError, Parts, Problem, Scores
from hwgym.core.veil import check_lifted

__all__ = ["TableProblem", "Tables"]

_BATCH = 512  # solutions scored at once: what they gather stays in cache


@dataclass(frozen=True, eq=False)
class Tables:
    """What every choice of every step does: arrays (steps, actions), made read-only.

    Attributes:
        cost: It adds to the objective.
        usage: It takes of the constraint; zeros without one.
        valid: It can be built.
        metrics: It adds to each metric, by name.
    """

    cost: Floats
    usage: Floats
    valid: Bools
    metrics: Mapping[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for table in (self.cost, self.usage, self.valid, *self.metrics.values()):
            table.setflags(write=False)


class TableProblem(Problem):
    """A problem given by its tables: a subclass says its statement and makes its tables."""

    @abstractmethod
    def make_tables(self) -> Tables:
        """The tables; asked for once."""

    # --- tables ---------------------------------------------------------------------------------

    @cached_property
    def _tables(self) -> Tables:
        return self.make_tables()

    @property
    def tables(self) -> Tables:
        """What every choice of every step does.

        Raises:
            Withheld: While an agent searches.
        """
        check_lifted("what each choice costs")
        return self._tables

    @property
    def cost(self) -> Floats:
        """(steps, actions): each choice's part of the objective."""
        table: Floats = self.tables.cost
        return table

    @property
    def usage(self) -> Floats:
        """(steps, actions): each choice's part of the constraint."""
        table: Floats = self.tables.usage
        return table

    @property
    def valid(self) -> Bools:
        """(steps, actions): which choices count."""
        table: Bools = self.tables.valid
        return table

    @property
    def num_actions(self) -> int:
        """Choices at each step."""
        return self.space.num_actions

    @property
    def limit(self) -> float:
        """Of the constraint's total, with the slack for rounding."""
        return self.statement.limit

    @property
    def least_used(self) -> Floats:
        """(steps,): the least that a valid choice takes of the constraint."""
        check_lifted("what each choice takes")
        return self._least_used

    @cached_property
    def _least_used(self) -> Floats:
        t = self._tables
        return _read_only(np.where(t.valid, t.usage, np.inf).min(axis=1))

    @property
    def least_used_after(self) -> Floats:
        """(steps + 1,): the least that the steps from each on can take together."""
        return _read_only(np.append(np.cumsum(self.least_used[::-1])[::-1], 0.0))

    @property
    def best_cost(self) -> Floats:
        """(steps,): the least cost of a valid choice."""
        return _read_only(np.where(self.valid, self.cost, np.inf).min(axis=1))

    @property
    def worst_cost(self) -> Floats:
        """(steps,): the greatest cost of a valid choice."""
        return _read_only(np.where(self.valid, self.cost, -np.inf).max(axis=1))

    def check_feasible(self) -> None:
        """See that there is a solution.

        Raises:
            ValueError: If a step has no valid choice.
            InfeasibleError: If the least that the steps take exceeds the limit.
        """
        for step in np.flatnonzero(~self._tables.valid.any(axis=1)):
            raise ValueError(f"{self.statement.names[int(step)]} has no valid choice")
        needed = float(self._least_used.sum())
        if needed > self.limit:
            raise InfeasibleError(f"the least that any solution takes, {needed:.6g}, is too much")

    @property
    def binds(self) -> bool:
        """Whether the limit matters: the best choice of every step, taken together, exceeds it."""
        best = self.valid & (self.cost <= self.best_cost[:, None])
        least = np.where(best, self.usage, np.inf).min(axis=1)
        return bool(np.add.accumulate(least)[-1] > self.limit)

    # --- solutions ------------------------------------------------------------------------------

    def evaluate(self, genes: ArrayLike) -> Scores:
        """As :meth:`Problem.evaluate`; the range of genes is looked at once."""
        return self.score(self.space.shaped(genes))

    def score(self, genes: Ints) -> Scores:
        return self._score_numbers(self.space.encode(genes))

    def evaluate_actions(self, actions: Ints) -> Scores:
        """Score solutions given as action numbers (N, steps); -1 where an episode broke off.

        Raises:
            ValueError: If the shape is another one, or a number is out of range.
            Withheld: While an agent searches.
        """
        check_lifted("an evaluation past the evaluator")
        if actions.ndim != 2 or actions.shape[1] != self.num_steps:
            raise ValueError(f"actions must have shape (N, {self.num_steps}), got {actions.shape}")
        if actions.size and (actions.min() < -1 or actions.max() >= self.num_actions):
            raise ValueError(f"action numbers must lie in 0..{self.num_actions - 1}, or be -1")
        return self._score_numbers(actions)

    def _score_numbers(self, numbers: Ints) -> Scores:
        totals = self.totals(numbers)
        objective, used = totals["objective"], totals["used"]
        if numbers.min(initial=0) < 0:
            complete: Bools = np.logical_and.reduce(numbers >= 0, axis=1)
            objective = np.where(complete, objective, np.inf)
        valid = np.isfinite(objective)
        return Scores(
            objective=objective,
            used=used,
            valid=valid,
            feasible=valid & (used <= self.limit),
            metrics={name: totals[name] for name in self._tables.metrics},
        )

    def totals(self, numbers: Ints) -> dict[str, Floats]:
        """What solutions come to, by name, (N,) each: ``objective``, ``used`` and the metrics.

        Args:
            numbers: Action numbers (N, steps), not checked; below 0 where an episode did not get
                to, which adds nothing. The objective is infinite where a choice is invalid.

        Raises:
            Withheld: While an agent searches.
        """
        check_lifted("an evaluation past the evaluator")
        names, columns = self._columns
        totals = np.empty((len(numbers), columns.shape[1]))
        first = np.arange(self.num_steps)[:, None] * self.num_actions
        for start in range(0, len(numbers), _BATCH):
            chosen = numbers[start : start + _BATCH].T
            rows = np.where(chosen >= 0, chosen + first, -1)
            values = columns.take(rows, axis=0)
            # Along this axis numpy adds step by step, in order, as an episode does.
            part = totals[start : start + _BATCH]
            np.add.reduce(values, axis=0, out=part)
            if not self.statement.objective.adds_up:
                self.statement.objective.ufunc.reduce(values[..., 0], axis=0, out=part[:, 0])
        found = dict(zip(names, totals.T, strict=True))
        constraint = self.statement.constraint
        if "used" not in found:
            found["used"] = np.zeros(len(numbers)) if constraint is None else found[constraint.name]
        return found

    @cached_property
    def _columns(self) -> tuple[tuple[str, ...], Floats]:
        """Names, and (steps x actions + 1, names): what one choice adds, side by side in memory;
        last, nothing."""
        t, constraint = self._tables, self.statement.constraint
        tables = {"objective": np.where(t.valid, t.cost, np.inf), **t.metrics}
        if constraint is not None and constraint.name not in t.metrics:
            tables["used"] = t.usage
        columns = np.stack([table.ravel().astype(np.float64) for table in tables.values()], axis=1)
        return tuple(tables), _read_only(np.vstack([columns, np.zeros(len(tables))]))

    def part(self, genes: Ints) -> Parts:
        return self.parts_of(self.space.encode(genes))

    def parts_of(self, numbers: Ints) -> Parts:
        """What each step of solutions (N, steps), given as action numbers, adds.

        Raises:
            Withheld: While an agent searches.
        """
        check_lifted("what each step costs")
        t, done = self._tables, numbers >= 0
        at = np.arange(self.num_steps), np.maximum(numbers, 0)

        def looked_up(table: Floats) -> Floats:
            return np.where(done, table[at], 0.0)

        return Parts(
            cost=looked_up(t.cost),
            used=looked_up(t.usage),
            valid=done & t.valid[at],
            metrics={name: looked_up(table) for name, table in t.metrics.items()},
        )

    def certify(self, method: str = "exact") -> Certificate:
        """Solve it to proven optimality.

        Args:
            method: ``exact``, or ``milp`` for HiGHS with the Lagrangian bound.

        Raises:
            ValueError: As :meth:`check_feasible`.
            RuntimeError: If HiGHS fails.
        """
        start = time.perf_counter()
        self.check_feasible()
        t = self._tables

        def accept(actions: Ints) -> bool:
            return bool(self._score_numbers(actions[None]).feasible[0])

        def value(actions: Ints) -> float:
            return float(self._score_numbers(actions[None]).objective[0])

        found = cheapest_choice(
            t.cost,
            t.usage,
            t.valid,
            self.limit,
            join=self.statement.objective.join,
            method=method,
            accept=accept,
            value=value,
        )
        objective = value(found.actions)
        if not accept(found.actions):
            raise RuntimeError(f"{found.method}: the solution found is not feasible for {self!r}")
        for claim in (found.bound, found.relaxation):
            if claim > objective * (1 + 1e-9):
                raise RuntimeError(f"the bound {claim} exceeds {objective}: {self!r}")
        return Certificate(
            assignment=self.space.decode(found.actions),
            objective=objective,
            lower_bound=float(min(found.bound, objective)),
            method=found.method,
            seconds=time.perf_counter() - start,
            relaxation=float(min(found.relaxation, objective)),
        )


def _read_only(array: Floats) -> Floats:
    array.setflags(write=False)
    return array
