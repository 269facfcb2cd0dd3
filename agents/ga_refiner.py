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

On its own it runs as ``hwgym refine LOG [LOG ...]``, on the levels of the logged problem, or with
``--fine`` with any PE count from 1 to 128.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hwgym.agent import Evaluator, Sees
from hwgym.bounds import knapsack
from hwgym.episodes import LogError, read_assignments, read_settings
from hwgym.families.assignment.problem import AssignmentProblem

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass
class GARefiner:
    """A genetic algorithm (ConfuciuX's second stage) that starts from episode logs."""

    logs: Sequence[str] = field(default_factory=tuple)
    """Episode logs to start from, of the problem that is refined (or of its levels, if fine)."""
    population: int = 48
    """Assignments kept from one generation to the next, and children made in each."""
    mutations: float = 3.0
    """Layers that mutate in a child, on average."""
    unseen: float = 0.25
    """Share of mutations that try a choice never seen."""
    stray: float = 0.1
    """Probability that a child takes a layer from the parent that is charged more for it."""

    sees: ClassVar[Sees] = "layers"
    needs_logs: ClassVar[bool] = True

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Refine what the logs hold until the budget is spent.

        Raises:
            ValueError: If no log is given.
            LogError: If a log cannot be read or is of another problem, or none has a feasible
                episode.
        """
        if not self.logs:
            raise ValueError("the refiner starts from episode logs: set logs=[...]")
        actions, damaged = read_logs(self.logs, evaluator.problem)
        if damaged:
            print(f"left out {damaged} broken-off or damaged episodes", file=sys.stderr)
        self.refine(evaluator, actions, seed)

    def refine(self, evaluator: Evaluator, actions: Ints, seed: int) -> None:
        """Refine assignments (N, steps) at hand, given as action numbers.

        Raises:
            LogError: If none of them is feasible.
        """
        problem, rng = evaluator.problem, np.random.default_rng(seed)
        population, fitness = self._seeds(problem, actions)
        known = _Known(problem, actions)
        start = known.polish(population[:1])
        children = np.concatenate([start, population[: self.population // 4]])
        while True:
            scores = evaluator.evaluate(children)
            children = children[: len(scores.objective)]
            known.add(children)
            found = np.where(scores.feasible, scores.objective, np.inf)
            population = np.concatenate([population, children])
            fitness = np.concatenate([fitness, found])
            population, fitness = _best_distinct(population, fitness, self.population)
            children = self._children(population, known, rng)

    def _seeds(self, problem: AssignmentProblem, actions: Ints) -> tuple[Ints, Floats]:
        scores = problem.evaluate_actions(actions)
        feasible = np.flatnonzero(scores.feasible)
        if not len(feasible):
            raise LogError(
                f"none of the {len(actions)} complete episodes is feasible: nothing to refine"
            )
        return _best_distinct(actions[feasible], scores.objective[feasible], self.population)

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
    """What is known of a problem: the cost and usage of every choice seen."""

    def __init__(self, problem: AssignmentProblem, actions: Ints) -> None:
        self.problem = problem
        self.seen = np.zeros((problem.num_steps, problem.num_actions), bool)
        self.index = np.arange(problem.num_steps)
        self.cost = problem.cost
        if problem.objective == "throughput":  # a high power stands in for the maximum
            self.cost = problem.cost**8
        self.add(actions)

    def add(self, actions: Ints) -> None:
        """Take in assignments (N, steps) that were evaluated."""
        self.seen[np.broadcast_to(self.index, actions.shape), actions] = True
        fronts = knapsack.fronts_of(self.cost, self.problem.usage, self.seen & self.problem.valid)
        self.price = knapsack.relax(fronts, self.problem.limit).price
        # Only undominated choices are worth moving to: (steps, most of any), the rest padded.
        self.sizes = np.array([len(f.actions) for f in fronts])
        shape = (len(fronts), self.sizes.max())
        self.actions = np.zeros(shape, np.int64)
        self.usage, self.saving = np.full(shape, np.nan), np.full(shape, np.nan)
        for step, front in enumerate(fronts):
            self.actions[step, : self.sizes[step]] = front.actions
            self.usage[step, : self.sizes[step]] = front.usage
            self.saving[step, : self.sizes[step]] = -front.cost

    def charge(self) -> Floats:
        """(steps, actions): cost + price x usage; infinite where not seen or invalid."""
        charge = self.cost + self.price * self.problem.usage
        return np.where(self.seen & self.problem.valid, charge, np.inf)

    def mutations(self, actions: Ints, unseen: float, rng: np.random.Generator) -> Ints:
        """Another choice for every layer: near by, seen and worth it, or never seen."""
        space = self.problem.space
        shape = np.array(space.shape)
        reach = np.maximum(1, shape // 12)
        move = rng.integers(-reach, reach + 1, (*actions.shape, len(shape)))
        near = space.encode(np.clip(space.decode(actions) + move, 0, shape - 1))
        pick = (rng.random(actions.shape) * self.sizes).astype(np.int64)
        known = self.actions[self.index, pick]
        anything = rng.integers(0, self.problem.num_actions, actions.shape)
        fresh = np.where(self.seen[self.index, anything], near, anything)
        kind = rng.random(actions.shape)
        return np.where(kind < unseen, fresh, np.where(kind < (1 + unseen) / 2, near, known))

    def polish(self, actions: Ints, hold: NDArray[np.bool_] | None = None) -> Ints:
        """Bring assignments within budget, then spend what is left, by gain per unit of budget.

        Args:
            actions: (N, steps).
            hold: (N, steps) layers to leave alone, as long as that is possible.
        """
        actions = actions.copy()
        free = np.ones(actions.shape, bool) if hold is None else ~hold
        while len(rows := np.flatnonzero(self._room(actions) < 0)):
            stuck = rows[~self._trade(actions, rows, free, spend=False)]
            if free[stuck].all() and len(stuck) == len(rows):
                break  # every choice known is as cheap as it gets
            free[stuck] = True
        rows = np.arange(len(actions))
        while len(rows):
            rows = rows[self._trade(actions, rows, free, spend=True)]
        return actions

    def _room(self, actions: Ints) -> Floats:
        used = np.add.accumulate(self.problem.usage[self.index, actions], axis=1)[:, -1]
        return self.problem.limit - used

    def _trade(
        self, actions: Ints, rows: Ints, free: NDArray[np.bool_], *, spend: bool
    ) -> NDArray[np.bool_]:
        """Change, in each row, the one layer that trades best; which rows found a trade."""
        chosen = actions[rows]
        use = self.usage - self.problem.usage[self.index, chosen][..., None]
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
        found: NDArray[np.bool_] = worth[np.arange(len(rows)), best] > -np.inf
        step, place = np.divmod(best, self.actions.shape[1])
        actions[rows[found], step[found]] = self.actions[step, place][found]
        return found


def _best_distinct(actions: Ints, fitness: Floats, count: int) -> tuple[Ints, Floats]:
    order = np.argsort(fitness, kind="stable")
    _, first = np.unique(actions[order], axis=0, return_index=True)
    keep = order[np.sort(first)][:count]
    return actions[keep], fitness[keep]


def read_logs(logs: Sequence[str], problem: AssignmentProblem) -> tuple[Ints, int]:
    """Assignments in logs of a problem, or of the levels that a fine problem refines.

    Returns:
        Action numbers (N, steps) in the problem, and how many rows were left out.

    Raises:
        LogError: If a log cannot be read or is of another problem.
    """
    coarse = problem
    levels = read_settings(logs[0])["problem"]["pe_levels"]
    if tuple(levels) != problem.space.pe_levels and set(levels) <= set(problem.space.pe_levels):
        coarse = problem.with_levels(levels, problem.space.tile_levels)
    actions, damaged = read_assignments(logs, coarse)
    if coarse is not problem:
        chosen = coarse.space.decode(actions)
        pes = np.array(coarse.space.pe_levels)[chosen[..., 0]]
        chosen[..., 0] = np.searchsorted(problem.space.pe_levels, pes)
        actions = problem.space.encode(chosen)
    return actions, damaged
