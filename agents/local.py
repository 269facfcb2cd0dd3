"""Local and population search: annealing and a genetic algorithm, over the same moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hwgym._arrays import Bools, Ints
from hwgym.core import Evaluator, Scores, Sees, Statement

from .common import Judge, best_first, first_solutions, positive, shares

__all__ = ["Genetic", "Moves", "SimulatedAnnealing"]


class Moves:
    """Random changes of solutions, genes (N, steps, axes)."""

    def __init__(self, statement: Statement, rng: np.random.Generator, reset: float) -> None:
        self.rng, self.reset, self.statement = rng, reset, statement
        space = statement.space
        self.sizes, self.ordered = space.sizes, space.ordered_at
        self.sloped = np.flatnonzero(space.ordered)
        self.alike = not space.own
        # Without a limit, or without an order, no step takes from another: they can swap.
        self.swaps = statement.constraint is None or not len(self.sloped)
        self.twins = np.zeros((space.num_steps, space.num_steps), bool)
        for members in statement.groups:
            self.twins[np.ix_(members, members)] = True

    def shift(self, level: Ints, at: tuple[Ints, Ints], sign: Ints | int = 0) -> Ints:
        """New indices (N,) at given steps and axes: some up or down (``sign`` 0: either), most
        often few, or with probability ``reset`` any; categories have no order, so any."""
        rng, size = self.rng, self.sizes[at]
        reach = np.maximum(size / 2, 1)
        step = np.floor(reach ** rng.random(len(level))).astype(np.int64)
        either = np.where(rng.random(len(level)) < 0.5, 1, -1)
        direction = np.where(np.asarray(sign) == 0, either, sign)
        moved = level + direction * step
        out = (moved < 0) | (moved >= size)
        moved = np.where(out & (np.asarray(sign) == 0), level - direction * step, moved)
        moved = np.clip(moved, 0, size - 1)
        anywhere = rng.integers(size)
        jump = (rng.random(len(level)) < self.reset) & (np.asarray(sign) == 0)
        return np.where(jump | ~self.ordered[at], anywhere, moved)

    def change(self, genes: Ints, together: float) -> Ints:
        """Change one step of each, or with probability ``together`` all steps alike."""
        rng, count = self.rng, len(genes)
        rows = np.arange(count)
        step = rng.integers(genes.shape[1], size=count)
        axis = rng.integers(genes.shape[2], size=count)
        new = self.shift(genes[rows, step, axis], (step, axis))
        return self._write(genes, step, axis, new, rng.random(count) < together)

    def exchange(self, genes: Ints, together: float) -> Ints:
        """Less of something for one step of each, more for another; or, where no step takes from
        another, two steps swap their choices on an axis. Where steps differ in what they choose,
        one of them changes."""
        rng, count = self.rng, len(genes)
        rows = np.arange(count)
        if not self.alike:
            return self.change(genes, 0.0)
        if self.swaps:
            return self._swap(genes)
        for sign in (-1, 1):
            step = rng.integers(genes.shape[1], size=count)
            axis = self.sloped[rng.integers(len(self.sloped), size=count)]
            new = self.shift(genes[rows, step, axis], (step, axis), sign)
            genes = self._write(genes, step, axis, new, rng.random(count) < together)
        return genes

    def _swap(self, genes: Ints) -> Ints:
        rng, count = self.rng, len(genes)
        if genes.shape[1] == 1:
            return self.change(genes, 0.0)
        rows = np.arange(count)
        first = rng.integers(genes.shape[1], size=count)
        second = (first + rng.integers(1, genes.shape[1], size=count)) % genes.shape[1]
        axis = rng.integers(genes.shape[2], size=count)
        swapped = genes.copy()
        swapped[rows, first, axis] = genes[rows, second, axis]
        swapped[rows, second, axis] = genes[rows, first, axis]
        return swapped

    def _write(self, genes: Ints, step: Ints, axis: Ints, new: Ints, together: Bools) -> Ints:
        alone = np.arange(genes.shape[1]) == step[:, None]
        row, column = np.nonzero(np.where(together[:, None], self.twins[step], alone))
        genes = genes.copy()
        genes[row, column, axis[row]] = new[row]
        return self.statement.repair(genes, self.rng)


@dataclass
class SimulatedAnnealing:
    """Simulated annealing from the best uniform solution, one chain or several side by side.

    A move changes one axis of one step (layer), or takes from one step what it gives another; some
    moves do so for all steps that are alike. Exceeding the limit is charged, not forbidden, so that
    chains can pass through; the charge rises while a chain is over it, and falls otherwise. Where
    there is no limit, two steps swap a choice instead.
    (Kirkpatrick, Gelatt and Vecchi, Science 220, 1983.)
    """

    chains: int = 1
    """How many; each gets its share of the samples, and more gain little by 5,000."""
    start_share: float = 0.05
    """Share of the samples for uniform solutions to begin with."""
    hot: float = 5e-3
    """First temperature, as a share of the objective of the best uniform solution."""
    cold: float = 1e-5
    """Last temperature; it falls geometrically."""
    penalty: float = 1.0
    """First charge for exceeding the limit: this many times the share exceeded, in the same
    unit."""
    adapt: float = 0.003
    """The charge rises and falls by this share of itself with each sample."""
    exchange: float = 0.5
    """Share of the moves that take from one step and give another."""
    together: float = 0.4
    """Share of the moves that do the same to all steps that are alike."""
    reset: float = 0.1
    """Share of the changes to a level drawn from all, not from those nearby."""

    sees: ClassVar[Sees] = "totals"
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "hot": (1e-3, 5e-3, 2e-2),
        "cold": (1e-6, 1e-5, 1e-4),
        "penalty": (0.3, 1.0, 3.0),
        "exchange": (0.2, 0.5, 0.8),
        "together": (0.0, 0.4, 0.8),
        "reset": (0.03, 0.1, 0.3),
    }

    def __post_init__(self) -> None:
        positive(self, "chains")
        shares(self, "start_share", "exchange", "together", "reset")
        if not 0 < self.cold <= self.hot:
            raise ValueError(f"wanted 0 < cold <= hot, got cold={self.cold!r}, hot={self.hot!r}")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Anneal until the budget is spent."""
        statement, rng = evaluator.statement, np.random.default_rng(seed)
        moves = Moves(statement, rng, self.reset)
        starts, scores = first_solutions(evaluator, self.start_share, rng)
        judge = Judge(statement)
        genes = np.repeat(starts[:1], self.chains, axis=0)
        value, over = (np.repeat(numbers[0], self.chains) for numbers in judge(scores))
        penalty = np.full(self.chains, self.penalty)
        begun, span = evaluator.spent, max(evaluator.remaining, 1)
        while True:
            swap = rng.random(self.chains) < self.exchange
            trial = np.where(
                swap[:, None, None],
                moves.exchange(genes, self.together),
                moves.change(genes, self.together),
            )
            temperature = self.hot * (self.cold / self.hot) ** ((evaluator.spent - begun) / span)
            scores = evaluator.evaluate(trial)
            n = len(scores)
            new_value, new_over = judge(scores)
            # An invalid start may move to anything; after that, invalid is out.
            lost = np.isinf(over[:n])
            change = new_over - np.where(lost, 0.0, over[:n])
            rise = np.where(lost, 0.0, new_value - value[:n] + penalty[:n] * change)
            chance = np.exp(-np.maximum(rise, 0.0) / temperature)
            taken = np.flatnonzero(rng.random(n) < chance)
            genes[taken] = trial[taken]
            value[taken], over[taken] = new_value[taken], new_over[taken]
            penalty *= np.where(over > 0, 1 + self.adapt, 1 / (1 + self.adapt))


@dataclass
class Genetic:
    """A genetic algorithm that begins with uniform solutions.

    Binary tournaments, uniform crossover by step, mutation by moves as in annealing; the best of
    parents and children survive. Infeasible ones rank behind all feasible ones, by how much they
    exceed the limit (Deb's rules).
    """

    population: int = 10
    """Survivors of a generation, and its children."""
    start_share: float = 0.05
    """Share of the samples for uniform solutions to begin with."""
    crossover: float = 0.9
    """Share of the children that have two parents."""
    mutations: float = 1.0
    """Mean of the Poisson number of mutations of a child; at least one."""
    exchange: float = 0.5
    """Share of the mutations that take from one step and give another."""
    together: float = 0.6
    """Share of the mutations that do the same to all steps that are alike."""
    reset: float = 0.3
    """Share of the changes to a level drawn from all, not from those nearby."""

    sees: ClassVar[Sees] = "totals"
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "population": (5, 10, 20, 50),
        "crossover": (0.5, 0.9),
        "mutations": (0.5, 1.0, 3.0),
        "exchange": (0.2, 0.5, 0.8),
        "together": (0.0, 0.6, 0.9),
        "reset": (0.1, 0.3, 0.9),
    }

    def __post_init__(self) -> None:
        positive(self, "population")
        shares(self, "start_share", "crossover", "exchange", "together", "reset")
        if self.mutations < 0:
            raise ValueError(f"mutations must not be negative, got {self.mutations!r}")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Breed until the budget is spent."""
        statement, rng = evaluator.statement, np.random.default_rng(seed)
        moves = Moves(statement, rng, self.reset)
        genes, scores = first_solutions(evaluator, self.start_share, rng)
        while True:
            keep = best_first(statement, scores)
            # Of equal ones only one: clones would take over.
            _, first = np.unique(genes[keep], axis=0, return_index=True)
            keep = keep[np.sort(first)][: self.population]
            genes, scores = genes[keep], scores.take(keep)
            children = self._breed(genes, rng, moves)
            born = evaluator.evaluate(children)
            genes = np.concatenate([genes, children[: len(born)]])
            scores = Scores.join([scores, born])

    def _breed(self, parents: Ints, rng: np.random.Generator, moves: Moves) -> Ints:
        """Children of parents that are sorted, best first."""
        count, steps = self.population, parents.shape[1]
        # Of two drawn at random, the better one comes first.
        mother, father = rng.integers(len(parents), size=(2, count, 2)).min(axis=2)
        mixed = (rng.random(count) < self.crossover)[:, None] & (rng.random((count, steps)) < 0.5)
        children: Ints = np.where(mixed[..., None], parents[father], parents[mother])
        left = np.maximum(rng.poisson(self.mutations, count), 1)
        while left.any():
            rows = np.flatnonzero(left)
            swap = rng.random(len(rows)) < self.exchange
            for chosen, move in ((rows[swap], moves.exchange), (rows[~swap], moves.change)):
                if len(chosen):
                    children[chosen] = move(children[chosen], self.together)
            left[rows] -= 1
        return children
