"""The second stage: a genetic algorithm that starts from episode logs and searches around them.

ConfuciuX (Kao, Jeong and Krishna, MICRO 2020, section 4.3) refines what REINFORCE found with a
genetic algorithm. This one reads the logs of any agent, seeds its population with their best
distinct assignments, and uses what logs hold beyond that: what each layer cost under every choice
ever tried.

- *Crossover by layer.* A child takes each layer from the parent that is charged less for it (cost
  + price x usage, at the price where the choices seen so far fill the budget), or now and then from
  the other.
- *Mutation.* A few layers move to a neighbouring level, to another choice seen, or to one never
  seen.
- *Repair.* A child over budget gives up, layer by layer, what saves most budget per cost lost; a
  child with budget left takes what saves most cost per budget spent. Both among choices seen.

Of the problem itself it knows no more than the logs and its own samples tell: what a choice takes
that was never seen is guessed from those that were.

On its own it runs as ``hwgym refine LOG [LOG ...]``, on the levels of the logged problem, or with
``--fine`` with any PE count from 1 to 128.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from hwgym._arrays import Bools, Floats, Ints
from hwgym.bounds import knapsack
from hwgym.core import (
    Evaluator,
    LogError,
    Scores,
    Sees,
    Space,
    Statement,
    read_settings,
    read_solutions,
)

from .common import separable
from .tables import SeenTables

__all__ = ["GARefiner", "read_logs"]


@dataclass
class GARefiner:
    """A genetic algorithm (ConfuciuX's second stage) that starts from episode logs."""

    logs: Sequence[str] = field(default_factory=tuple)
    """Episode logs to start from, of the problem that is refined (or of its levels, if fine)."""
    population: int = 48
    """Solutions kept from one generation to the next, and children made in each."""
    mutations: float = 3.0
    """Steps that mutate in a child, on average."""
    unseen: float = 0.25
    """Share of mutations that try a choice never seen."""
    stray: float = 0.1
    """Probability that a child takes a step from the parent that is charged more for it."""

    sees: ClassVar[Sees] = "layers"
    needs_logs: ClassVar[bool] = True

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Refine what the logs hold until the budget is spent.

        Raises:
            ValueError: If no log is given, or costs are not separable.
            LogError: If a log cannot be read or is of another problem, or none has a feasible
                episode.
        """
        if not self.logs:
            raise ValueError("the refiner starts from episode logs: set logs=[...]")
        genes, scores, damaged = read_logs(self.logs, evaluator.statement)
        if damaged:
            print(f"left out {damaged} broken-off or damaged episodes", file=sys.stderr)
        self.refine(evaluator, [(genes, scores)], seed)

    def refine(self, evaluator: Evaluator, found: Iterable[tuple[Ints, Scores]], seed: int) -> None:
        """Refine solutions that were paid for.

        Args:
            evaluator: That sells further samples.
            found: Batches of genes (N, steps, axes) and their scores, with parts.
            seed: Of this search.

        Raises:
            LogError: If none of them is feasible.
            ValueError: If costs are not separable.
        """
        separable(evaluator.statement, "ga-refiner")
        space, rng = evaluator.space, np.random.default_rng(seed)
        known, batches = _Known(evaluator.statement), list(found)
        for genes, scores in batches:
            known.note(genes, scores)
        population, fitness = self._seeds(space, batches)
        known.relax()
        start = known.polish(population[:1])
        children = np.concatenate([start, population[: self.population // 4]])
        while True:
            genes = space.decode(children)
            scores = evaluator.evaluate(genes)
            children = children[: len(scores)]
            known.note(genes[: len(scores)], scores)
            known.relax()
            objective = np.where(scores.feasible, scores.objective, np.inf)
            population = np.concatenate([population, children])
            fitness = np.concatenate([fitness, objective])
            population, fitness = _best_distinct(population, fitness, self.population)
            children = self._children(population, known, rng)

    def _seeds(self, space: Space, batches: Sequence[tuple[Ints, Scores]]) -> tuple[Ints, Floats]:
        """Action numbers (n, steps) of the best distinct solutions, and their objectives."""
        complete = sum(int((genes >= 0).all(axis=(1, 2)).sum()) for genes, _ in batches)
        numbers = [space.encode(genes[scores.feasible]) for genes, scores in batches]
        objectives = [scores.objective[scores.feasible] for _, scores in batches]
        if not sum(map(len, numbers)):
            raise LogError(
                f"none of the {complete} complete episodes is feasible: nothing to refine"
            )
        return _best_distinct(np.concatenate(numbers), np.concatenate(objectives), self.population)

    def _children(self, population: Ints, known: _Known, rng: np.random.Generator) -> Ints:
        count, steps = self.population, population.shape[1]
        # Fitter parents come first; squaring a uniform number prefers them.
        picks = (rng.random((2, count)) ** 2 * len(population)).astype(int)
        first, second = population[picks[0]], population[picks[1]]
        charge = known.charge()
        index = np.arange(steps)
        better = np.where(charge[index, first] <= charge[index, second], first, second)
        other = np.where(better == first, second, first)
        children = np.where(rng.random((count, steps)) < self.stray, other, better)
        mutate = rng.random((count, steps)) < min(1.0, self.mutations / steps)
        children = np.where(mutate, known.mutations(children, self.unseen, rng), children)
        # What was just tried for the first time must survive the repair, so it is held.
        return known.polish(children, hold=mutate)


class _Known:
    """What is known of a problem: the cost and usage of every choice seen.

    Attributes:
        cost, usage: (steps, actions): of what was seen and is valid; elsewhere costs are infinite,
            and the usage is a guess.
        price: Cost that one more unit of the limit would save.
    """

    def __init__(self, statement: Statement) -> None:
        self.statement, self.space = statement, statement.space
        self.tables = SeenTables(statement)
        self.index = np.arange(statement.space.num_steps)

    def note(self, genes: Ints, scores: Scores) -> None:
        """Take in solutions (N, steps, axes) that were paid for."""
        assert scores.parts is not None  # of a separable problem, for an agent that sees layers
        self.tables.note(genes, scores.parts)

    def relax(self) -> None:
        """Find the price, and what is worth moving to, from all that was noted."""
        tables, limit = self.tables, self.statement.limit
        self.cost, self.usage = tables.summable(), tables.guess()
        fronts = knapsack.fronts_of(self.cost, self.usage, tables.valid)
        self.price = knapsack.relax(fronts, limit).price
        # Only undominated choices are worth moving to: (steps, most of any), the rest padded.
        self.sizes = np.array([len(f.actions) for f in fronts])
        shape = (len(fronts), self.sizes.max())
        self.choices = np.zeros(shape, np.int64)
        self.taking, self.saving = np.full(shape, np.nan), np.full(shape, np.nan)
        for step, front in enumerate(fronts):
            self.choices[step, : self.sizes[step]] = front.actions
            self.taking[step, : self.sizes[step]] = front.usage
            self.saving[step, : self.sizes[step]] = -front.cost

    def charge(self) -> Floats:
        """(steps, actions): cost + price x usage; infinite where not seen or invalid."""
        return self.cost + self.price * self.usage

    def mutations(self, numbers: Ints, unseen: float, rng: np.random.Generator) -> Ints:
        """Another choice for every step: near by, seen and worth it, or never seen."""
        space = self.space
        shape = np.array(space.shape)
        reach = np.maximum(1, shape // 12)
        move = rng.integers(-reach, reach + 1, (*numbers.shape, len(shape)))
        near = space.encode(np.clip(space.decode(numbers) + move, 0, shape - 1))
        pick = (rng.random(numbers.shape) * self.sizes).astype(np.int64)
        known = self.choices[self.index, pick]
        anything = rng.integers(0, space.num_actions, numbers.shape)
        fresh = np.where(self.tables.seen[self.index, anything], near, anything)
        kind = rng.random(numbers.shape)
        return np.where(kind < unseen, fresh, np.where(kind < (1 + unseen) / 2, near, known))

    def polish(self, numbers: Ints, hold: Bools | None = None) -> Ints:
        """Bring solutions within the limit, then spend what is left, by gain per unit of the limit.

        Args:
            numbers: (N, steps) action numbers.
            hold: (N, steps) steps to leave alone, as long as that is possible.
        """
        numbers = numbers.copy()
        free = np.ones(numbers.shape, bool) if hold is None else ~hold
        while len(rows := np.flatnonzero(self._room(numbers) < 0)):
            stuck = rows[~self._trade(numbers, rows, free, spend=False)]
            if free[stuck].all() and len(stuck) == len(rows):
                break  # every choice known is as cheap as it gets
            free[stuck] = True
        rows = np.arange(len(numbers))
        while len(rows):
            rows = rows[self._trade(numbers, rows, free, spend=True)]
        return numbers

    def _room(self, numbers: Ints) -> Floats:
        used = np.add.accumulate(self.usage[self.index, numbers], axis=1)[:, -1]
        return self.statement.limit - used

    def _trade(self, numbers: Ints, rows: Ints, free: Bools, *, spend: bool) -> Bools:
        """Change, in each row, the one step that trades best; which rows found a trade."""
        chosen = numbers[rows]
        use = self.taking - self.usage[self.index, chosen][..., None]
        gain = self.saving + self.cost[self.index, chosen][..., None]
        able = free[rows][..., None]
        with np.errstate(divide="ignore", invalid="ignore"):
            if spend:
                able = able & (gain > 0) & (use <= self._room(chosen)[:, None, None])
                worth = np.where(use > 0, gain / use, np.inf)
            else:
                able = able & (use < 0)
                worth = np.where(gain < 0, -gain / use, np.inf)  # the loss per unit, negative
        worth = np.where(able, worth, -np.inf).reshape(len(rows), -1)
        best = worth.argmax(axis=1)
        found: Bools = worth[np.arange(len(rows)), best] > -np.inf
        step, place = np.divmod(best, self.choices.shape[1])
        numbers[rows[found], step[found]] = self.choices[step, place][found]
        return found


def _best_distinct(numbers: Ints, fitness: Floats, count: int) -> tuple[Ints, Floats]:
    order = np.argsort(fitness, kind="stable")
    _, first = np.unique(numbers[order], axis=0, return_index=True)
    keep = order[np.sort(first)][:count]
    return numbers[keep], fitness[keep]


def read_logs(logs: Sequence[str], statement: Statement) -> tuple[Ints, Scores, int]:
    """Solutions in logs of a problem, or of one with fewer choices that it refines.

    Returns:
        Genes (N, steps, axes) in the problem, what they are worth, with parts, and how many rows
        were left out.

    Raises:
        LogError: If a log cannot be read or is of another problem.
    """
    coarse = coarser(statement, read_settings(logs[0])["problem"])
    genes, scores, damaged = read_solutions(logs, coarse)
    fine = []
    for axis, few, many in zip(
        range(genes.shape[2]), coarse.space.axes, statement.space.axes, strict=True
    ):
        places = {label: place for place, label in enumerate(many.labels)}
        fine.append(np.array([places[label] for label in few.labels])[genes[..., axis]])
    return np.stack(fine, axis=-1), scores, damaged


def coarser(statement: Statement, key: Mapping[str, Any]) -> Statement:
    """The statement that a key identifies, if it is this one with fewer choices on some axes; else
    this one.

    An axis is found in a key by its labels, such as the levels of PEs.
    """
    axes, found = list(statement.space.axes), dict(statement.key)
    for name, value in statement.key.items():
        labels = key.get(name)
        if labels == value or not isinstance(value, list) or not isinstance(labels, list):
            continue
        for i, axis in enumerate(axes):
            if list(axis.labels) == value and set(labels) <= set(value):
                axes[i], found[name] = replace(axis, labels=tuple(labels)), labels
                break
    if found == statement.key:
        return statement
    return replace(statement, key=found, space=Space(statement.space.num_steps, tuple(axes)))
