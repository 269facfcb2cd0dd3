"""Differences between totals, and the knapsack that they make: a yardstick that sees totals only.

An agent that sees only what whole assignments cost can still learn what each layer does: change one
layer of some assignment and take the difference. Layers that are alike (the statement says which)
are changed together and share what was learnt, so that a network of 33 kinds of layers under 144
choices is known after 33 x 143 + 1 = 4,720 samples, and what the knapsack solver makes of it is the
optimum.

Most of that is never needed. What is not known yet is guessed: from the totals of uniform
assignments, a layer's share in them, and its own differences nearby. The guess is solved, what it
picks is asked for, and so on; the better the guesses, the fewer are asked. Guesses become more and
more favourable to what is not known as nothing unknown is picked any more, so that with samples
enough nothing is left out. Differences need no feasible assignment, only a valid one.

It sees totals: the objective, and what is used of the limit, also of assignments that exceed it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from hwgym._arrays import Bools, Floats, Ints
from hwgym.bounds import knapsack
from hwgym.bounds.optimum import cheapest_choice
from hwgym.core import Evaluator, Sees

from .common import positive, spread_uniform
from .regression import choice_features, guessed_valid, levels_apart, quarter_uniform

__all__ = ["Difference"]

REACH = 2.0
"""Levels over which what one difference tells of its neighbours fades."""
MOST_OPTIMISM = 100.0
ROOM = 1 - 1e-12
"""Share of the limit that is planned with: totals of differences round."""


@dataclass
class Difference:
    """Changes one layer at a time, takes differences of totals, solves the knapsack they make."""

    uniform: int = 12
    """Uniform solutions to begin with, which cover the space."""
    ask: int = 16
    """Differences asked for between two solutions of the knapsack."""

    sees: ClassVar[Sees] = "totals"
    deterministic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        positive(self, "uniform", "ask")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Ask and solve until everything is known.

        Raises:
            ValueError: If costs are not separable, or do not add up.
        """
        statement = evaluator.statement
        if not statement.objective.adds_up or statement.space.joint is None:
            raise ValueError(
                "difference needs costs that add up, of choices that can be numbered; those of "
                f"{statement.title} are not so; other agents that see totals work on any problem"
            )
        known = _Differences(evaluator)
        if not known.begin(self.uniform):
            return
        optimism = 0.0
        while True:
            known.try_best()
            guess = known.guess(optimism)
            if not len(guess.unknown):
                if known.complete:
                    return
                optimism = 2 * optimism or 0.05
                if optimism < MOST_OPTIMISM:
                    continue
                guess = known.rest()
            known.try_guess(guess)
            for kind, number in guess.unknown[: self.ask]:
                known.ask(int(kind), int(number))


class _Guess(NamedTuple):
    """What may be better than what is known.

    Attributes:
        numbers: (steps,) action numbers.
        unknown: (n, 2) kinds of layers and their choices in it that are not known, what promises
            most first.
    """

    numbers: Ints
    unknown: Ints


class _Differences:
    """What the choices of a layer of each kind add to a base and what they take: (kinds, actions),
    in units of the base's objective and of the limit."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator, self.statement, self.space = evaluator, evaluator.statement, evaluator.space
        _, self.kind_of, self.count = np.unique(
            self.statement.alike, return_inverse=True, return_counts=True
        )
        shape = (len(self.count), self.space.num_actions)
        self.cost, self.usage = np.zeros(shape), np.zeros(shape)
        self.seen, self.valid = np.zeros(shape, bool), np.ones(shape, bool)
        self.tried: set[bytes] = set()
        # A layer's shares in the base before anything is known of it: by work, and all alike.
        work = np.bincount(self.kind_of, self.statement.work) / self.count
        steps = self.space.num_steps
        self.shares = (work / (work @ self.count), np.full(len(self.count), 1 / steps))
        features = choice_features(self.space)
        self.features = features
        self.apart = levels_apart(self.space)
        self.near: Floats = np.exp(-0.5 * (self.apart / REACH) ** 2)

    # --- asking -----------------------------------------------------------------------------------

    def begin(self, count: int) -> bool:
        """Pay for uniform solutions; the best valid one is the base. Whether there is one."""
        evaluator, space = self.evaluator, self.space
        order = np.concatenate([quarter_uniform(space), spread_uniform(space, space.num_actions)])
        numbers = space.encode(order)[:, 0]
        _, first = np.unique(numbers, return_index=True)
        numbers = numbers[np.sort(first)]
        totals, at = np.full((2, space.num_actions), np.nan), 0
        feasible = np.zeros(space.num_actions, bool)
        while at < len(numbers) and (at < count or np.isnan(totals[0]).all()):
            tried = numbers[at : max(count, at + 1)] if at else numbers[:1]
            uniform = np.repeat(tried[:, None], space.num_steps, axis=1)
            scores = evaluator.evaluate(space.decode(uniform))
            tried = tried[: len(scores)]
            self.tried.update(row.tobytes() for row in uniform)
            totals[:, tried[scores.valid]] = (
                scores.objective[scores.valid],
                scores.used[scores.valid],
            )
            feasible[tried] = scores.feasible
            at += len(tried)
        if np.isnan(totals[0]).all():
            return False
        over = np.where(feasible, 0.0, np.nan_to_num(totals[1], nan=np.inf))
        self.base = int(np.lexsort((np.nan_to_num(totals[0], nan=np.inf), over))[0])
        limit = self.statement.limit
        self.unit = np.array([totals[0, self.base], limit if np.isfinite(limit) else 1.0])
        self.of_base = totals[:, self.base] / self.unit
        self.room = limit / self.unit[1] * ROOM - self.of_base[1]
        self.seen[:, self.base] = True
        # A uniform solution that can be built says so of all kinds; one that cannot, of some kind.
        self.built = np.isfinite(totals[0])
        self.together = np.isin(np.arange(space.num_actions), numbers[:at])
        self.uniform = [
            self._smooth(row / unit) for row, unit in zip(totals, self.unit, strict=True)
        ]
        return True

    def evaluate(self, numbers: Ints) -> None:
        """Pay for what layers choose (steps,), and learn of the one choice of a kind of layer that
        is not known, if it is one."""
        self.tried.add(numbers.tobytes())
        scores = self.evaluator.evaluate(self.space.decode(numbers[None]))
        unknown = self._unknown(numbers)
        if len(unknown) != 1:
            return
        at = kind, number = tuple(unknown[0])
        if scores.valid[0]:
            times = int(((self.kind_of == kind) & (numbers == number)).sum())
            totals = np.array([scores.objective[0], scores.used[0]]) / self.unit - self.of_base
            for table, total in zip((self.cost, self.usage), totals, strict=True):
                # Its own entry is still 0.
                table[at] = (total - table[self.kind_of, numbers].sum()) / times
        else:
            self.valid[at] = False
        self.seen[at] = True

    def _unknown(self, numbers: Ints) -> Ints:
        """(n, 2): the kinds of layers and their choices that are not known."""
        missing = ~self.seen[self.kind_of, numbers]
        return np.unique(np.column_stack([self.kind_of, numbers])[missing], axis=0)

    def ask(self, kind: int, number: int) -> None:
        """Pay for the base with another choice for all layers of a kind."""
        self.evaluate(np.where(self.kind_of == kind, number, self.base))

    @property
    def complete(self) -> bool:
        """Nothing is left to ask."""
        return bool(self.seen.all())

    # --- guessing ---------------------------------------------------------------------------------

    def _smooth(self, totals: Floats) -> Floats:
        """(actions,) totals of uniform solutions, guessed where they are not known (NaN): a square
        function of the axes, on a logarithmic scale, and what is missing to those nearby."""
        known = np.flatnonzero(totals > 0)
        if not len(known):
            return np.zeros(len(totals))
        x, y = self.features[known], np.log(totals[known])
        middle = y.mean()
        gram = x.T @ x + 1e-3 * len(x) * np.eye(x.shape[1])
        fitted = self.features @ np.linalg.solve(gram, x.T @ (y - middle)) + middle
        near = self.near[:, known]
        fitted += near @ (y - fitted[known]) / (near.sum(axis=1) + 0.1)
        fitted = np.clip(fitted, y.min() - 1, y.max() + 1)
        fitted[known] = y
        found: Floats = np.exp(fitted)
        return found

    def _guessed(self, table: Floats, uniform: Floats, share: Floats) -> Floats:
        """A table, guessed where it is not known: as its kind's share in uniform solutions, and by
        what is known of it nearby."""
        known = self.seen & self.valid
        slope = uniform - uniform[self.base]
        weight = 0.1 * (slope**2).mean() + 1e-12
        fit = (known * table) @ slope + weight * share
        self_share = np.maximum(fit / (known @ slope**2 + weight), 0.0)
        guess = self_share[:, None] * slope
        missing = np.where(known, table - guess, 0.0) @ self.near
        guess = guess + missing / (known @ self.near + 0.1)
        return np.where(known, table, guess)

    def _plausible(self) -> Bools:
        """(kinds, actions): which choices can be built, guessed where that is not known."""
        valid = np.where(self.seen, self.valid, self.built)
        return guessed_valid(self.apart, self.seen | self.together, valid) | (
            self.seen & self.valid
        )

    def guess(self, optimism: float) -> _Guess:
        """The knapsack's solution if what is not known were so much better than it seems.

        Args:
            optimism: By how much, as a share of what a layer costs in the base.
        """
        cost, usage = self._tables()
        better = np.where(self.seen, cost, cost - optimism * self.shares[0][:, None])
        numbers, price = self._relaxed(better, usage, self._plausible())
        return self._ordered(numbers, cost + price * usage)

    def rest(self) -> _Guess:
        """Of each kind the choice that seems best among those not known."""
        cost, usage = self._tables()
        _, price = self._relaxed(cost, usage, self.valid)
        value = cost + price * usage
        left = ~self.seen
        numbers = np.where(left, value, np.inf).argmin(axis=1)
        return self._ordered(np.where(left.any(axis=1), numbers, self.base)[self.kind_of], value)

    def _tables(self) -> tuple[Floats, Floats]:
        cost, usage = (
            self._guessed(table, uniform, share)
            for table, uniform, share in zip(
                (self.cost, self.usage), self.uniform, self.shares, strict=True
            )
        )
        return cost, usage

    def _ordered(self, numbers: Ints, value: Floats) -> _Guess:
        best = np.where(self.seen & self.valid, value, np.inf).min(axis=1)
        unknown = self._unknown(numbers)
        kind, number = unknown.T
        gain = self.count[kind] * (best[kind] - value[kind, number])
        return _Guess(numbers, unknown[np.argsort(-gain, kind="stable")])

    def _shifted(self, cost: Floats, usage: Floats, allowed: Bools) -> tuple[Floats, Floats, float]:
        """Tables (steps, actions) of nothing below 0, and the limit that they have then."""
        least = [np.where(allowed, t, np.inf).min(axis=1, keepdims=True) for t in (cost, usage)]
        room = self.room - float(self.count @ least[1][:, 0])
        return (cost - least[0])[self.kind_of], (usage - least[1])[self.kind_of], room

    def _relaxed(self, cost: Floats, usage: Floats, allowed: Bools) -> tuple[Ints, float]:
        """Choices (steps,) at one price, and the price; those that take least, if nothing fits."""
        cost, usage, room = self._shifted(cost, usage, allowed)
        allowed = allowed[self.kind_of]
        if room < 0:
            return np.where(allowed, usage, np.inf).argmin(axis=1), 0.0
        found = knapsack.relax(knapsack.fronts_of(cost, usage, allowed), room)
        return found.actions, found.price

    # --- trying -----------------------------------------------------------------------------------

    def _promises(self, numbers: Ints, cost: Floats) -> bool:
        """Whether a solution that was not tried is said to be better than the best so far."""
        if numbers.tobytes() in self.tried:
            return False
        promised = self.of_base[0] + float(cost[self.kind_of, numbers].sum())
        return bool(promised < self.evaluator.best_objective / self.unit[0] * ROOM)

    def try_best(self) -> None:
        """Pay for the best of what is known, if it is better than what was found."""
        allowed = self.seen & self.valid
        cost, usage, room = self._shifted(self.cost, self.usage, allowed)
        if room < 0:
            return
        numbers = cheapest_choice(cost, usage, allowed[self.kind_of], room).actions
        if self._promises(numbers, self.cost):
            self.evaluate(numbers)

    def try_guess(self, guess: _Guess) -> None:
        """Pay for what is guessed to be better than what was found."""
        cost, usage = self._tables()
        fits = usage[self.kind_of, guess.numbers].sum() <= self.room
        if fits and self._promises(guess.numbers, cost):
            self.evaluate(guess.numbers)
