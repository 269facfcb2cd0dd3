"""One price for all layers, with costs regressed from features: a yardstick.

What each layer costs and takes under a choice is regressed, on a logarithmic scale, from what is
known of the layer (the statement's features and its work) and of the choice (where it lies on every
axis), by ridge regression on what the samples so far have shown. Then a single price is put on what
is limited, every layer takes what is cheapest for it at that price, and the price is the one at
which the limit is just kept (Lagrangian relaxation, as in :mod:`hwgym.bounds.knapsack`).

It sees what each layer costs; the first sample, which is chosen without having seen any, is the
same choice for all, a quarter of the way up every axis. It plans with what it regressed even where
it has paid for the truth: what is left to gain is what features do not tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hwgym._arrays import Bools, Floats, Ints
from hwgym.bounds import knapsack
from hwgym.core import Evaluator, Sees, Space, Statement

from .common import above_zero, positive, separable, spread_uniform

__all__ = [
    "PricedRegression",
    "choice_features",
    "guessed_valid",
    "levels_apart",
    "quarter_uniform",
]

FAR = 20.0
"""How many levels two categories are apart."""


def quarter_uniform(space: Space) -> Ints:
    """Genes (1, steps, axes) of a solution to begin with, when nothing is known: a quarter of the
    way up every ordered axis, the first of categories.

    Of all uniform assignments of the problems of HWAssignMulti's Val split, this one scores best on
    average; nine in ten times it is feasible, where the least of everything mostly is too little
    for some dataflow.
    """
    quarter = np.where(space.ordered_at, np.round((space.sizes - 1) / 4), 0)
    return quarter.astype(np.int64)[None]


def choice_features(space: Space) -> Floats:
    """(actions, n): what is known of a step's choices: one, places on ordered axes from -1 to 1,
    their squares and products; which of the categories."""
    genes = space.decode(np.arange(space.num_actions))
    places, kinds = [], []
    for axis, size in enumerate(space.shape):
        if space.ordered[axis]:
            places.append(2 * genes[:, axis] / max(size - 1, 1) - 1)
        else:
            kinds.append(np.eye(size)[genes[:, axis]])
    products = [p * q for i, p in enumerate(places) for q in places[i:]]
    columns = [np.ones(len(genes)), *places, *products]
    return np.column_stack([*columns, *kinds])


def levels_apart(space: Space) -> Floats:
    """(actions, actions): how many levels lie between a step's choices."""
    genes = space.decode(np.arange(space.num_actions))
    apart = (genes[:, None] - genes[None]) * np.where(space.ordered, 1.0, FAR)
    found: Floats = np.sqrt((apart**2).sum(axis=2))
    return found


def guessed_valid(apart: Floats, known: Bools, valid: Bools) -> Bools:
    """(kinds, actions): which choices can be built, guessed by the nearest that is known; all, of
    kinds of which nothing is.

    Args:
        apart: (actions, actions), as :func:`levels_apart` gives it.
        known: (kinds, actions).
        valid: (kinds, actions), where known.
    """
    found = np.ones(known.shape, bool)
    for kind in np.flatnonzero(known.any(axis=1)):
        those = np.flatnonzero(known[kind])
        found[kind] = valid[kind, those[apart[:, those].argmin(axis=1)]]
    return found


@dataclass
class PricedRegression:
    """One price for all layers, with costs regressed from features of layers and choices.

    It tries choices that cover the space, the same for all layers, and what it plans, by turns. A
    plan that exceeds the limit makes it more careful, one that keeps it less.
    """

    first: int = 6
    """Samples before the first plan, the same choice for all layers each."""
    ridge: float = 1e-3
    """Weight of the penalty on coefficients, per observation."""
    care: float = 0.1
    """By which share more or less of the limit is planned with, after a plan that keeps it or does
    not; half of it at each turn."""

    sees: ClassVar[Sees] = "layers"
    deterministic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        positive(self, "first")
        above_zero(self, "ridge", "care")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Try, plan, and so on, until nothing new is planned or left to try.

        Raises:
            ValueError: If costs are not separable.
        """
        statement, space = evaluator.statement, evaluator.space
        separable(statement, "regression")
        model = _Regression(statement, self.ridge)
        tried = np.concatenate([quarter_uniform(space), spread_uniform(space, space.num_actions)])
        known: set[bytes] = set()
        grant, change, kept = 1.0, self.care, None
        turn, at = 0, 0
        while at < len(tried):
            planned = turn >= self.first and turn % 2 == self.first % 2
            genes = model.plan(grant) if planned else None
            if genes is None or genes.tobytes() in known:
                genes, planned, at = tried[at : at + 1], False, at + 1
            turn += 1
            if genes.tobytes() in known:
                continue
            known.add(genes.tobytes())
            scores = evaluator.evaluate(genes)
            assert scores.parts is not None  # of a separable problem, for an agent that sees layers
            model.note(genes[0], scores.parts.cost[0], scores.parts.used[0], scores.parts.valid[0])
            if planned:
                fits = bool(scores.feasible[0])
                if kept is not None and fits != kept:
                    change /= 2
                grant, kept = grant * (1 + change if fits else 1 / (1 + change)), fits


class _Regression:
    """Costs and usage of every choice of every step, regressed from those that were paid for."""

    def __init__(self, statement: Statement, ridge: float) -> None:
        self.statement, self.space, self.ridge = statement, statement.space, ridge
        work = np.log(np.maximum(statement.work, 1.0))
        known = np.column_stack([statement.features, work])
        spread = known.std(axis=0)
        self.of_steps = (known - known.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        self.of_choices = choice_features(self.space)
        self.rows: list[Floats] = []
        self.logs: list[Floats] = []
        self.kinds, self.kind_of = np.unique(statement.alike, return_inverse=True)
        shape = (len(self.kinds), self.space.num_actions)
        self.apart = levels_apart(self.space)
        self.known: Bools = np.zeros(shape, bool)
        self.valid: Bools = np.zeros(shape, bool)

    def _inputs(self, steps: Ints, numbers: Ints) -> Floats:
        """(n, features): of choices, of steps, and the products of those that are not squares."""
        choice, step = self.of_choices[numbers], self.of_steps[steps]
        linear = choice[:, 1 : 1 + sum(self.space.ordered)]
        both = (linear[:, :, None] * step[:, None, :]).reshape(
            len(step), linear.shape[1] * step.shape[1]
        )
        return np.concatenate([choice, step, step**2, both], axis=1)

    def note(self, genes: Ints, cost: Floats, used: Floats, valid: Bools) -> None:
        """Take in what the steps of a solution (steps, axes) cost and took."""
        numbers = self.space.encode(genes[None])[0]
        steps = np.arange(len(numbers))
        self.known[self.kind_of, numbers] = True
        self.valid[self.kind_of, numbers] = valid
        steps = steps[valid & (cost > 0)]
        self.rows.append(self._inputs(steps, numbers[steps]))
        least = np.finfo(float).tiny
        self.logs.append(np.log(np.column_stack([cost, np.maximum(used, least)])[steps]))

    def plan(self, grant: float) -> Ints | None:
        """Genes (1, steps, axes) at one price, by what is regressed; None if nothing is known.

        Args:
            grant: Share of the limit that is planned with.
        """
        x, y = np.concatenate(self.rows), np.concatenate(self.logs)
        if not len(x):
            return None
        middle = y.mean(axis=0)
        gram = x.T @ x + self.ridge * len(x) * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, x.T @ (y - middle))
        shape = (self.space.num_steps, self.space.num_actions)
        steps, numbers = (index.ravel() for index in np.indices(shape))
        # No farther out than anything that was seen: a regression says little there.
        logs = np.clip(
            self._inputs(steps, numbers) @ weights + middle, y.min(axis=0), y.max(axis=0)
        )
        cost, usage = (np.exp(column).reshape(shape) for column in logs.T)
        allowed = guessed_valid(self.apart, self.known, self.valid)[self.kind_of]
        if not allowed.any(axis=1).all():
            return None
        fronts = knapsack.fronts_of(cost, usage, allowed)
        # If nothing seems to fit, what takes least may, for all that is known.
        limit = max(self.statement.limit * grant, knapsack.least_usage(fronts))
        return self.space.decode(knapsack.relax(fronts, limit).actions[None])
