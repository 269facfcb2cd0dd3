"""Classical search: random, uniform and grid; annealing and genetic; greedy, Lagrangian and exact.

What an agent may know without paying for it is the problem's shape: how many steps and levels there
are, the levels themselves, the layers' shapes, the budget. Everything else costs samples. An agent
that sees ``"totals"`` reads the :class:`~hwgym.families.assignment.problem.Scores` of the assignments it asked for. An
agent that sees ``"layers"`` also reads what each layer cost and took there, and it does so through
:class:`SeenTables`, which holds nothing else.

Since costs are per layer, one uniform assignment shows one choice's cost to every layer, and as
many samples as there are choices show everything. :class:`TabulateAndSolve` does just that and then
solves the knapsack: the yardstick for every agent that sees layers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwgym.agent import Evaluator, Sees
from hwgym.bounds import knapsack
from hwgym.bounds.bottleneck import least_greatest
from hwgym.families.assignment.problem import AssignmentProblem, Scores

__all__ = [
    "BestUniform",
    "Genetic",
    "Greedy",
    "GridSearch",
    "Judge",
    "LagrangianRelaxation",
    "RandomSearch",
    "SeenTables",
    "SimulatedAnnealing",
    "TabulateAndSolve",
    "spread_actions",
    "spread_uniform",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


# --- what several of them share -----------------------------------------------------------------


@cache
def spread_actions(shape: tuple[int, ...]) -> Ints:
    """All action numbers of a space of that shape, each the farthest from those before it.

    The first is 0: fewest PEs, smallest buffer. However few of the first ones are taken, they cover
    the space evenly. Two dataflows are as far apart as the ends of an axis.
    """
    levels = np.stack(np.unravel_index(np.arange(math.prod(shape)), shape), axis=-1)
    places = levels[:, :2] / np.maximum(np.array(shape[:2]) - 1, 1)
    if len(shape) > 2:
        places = np.hstack([places, np.eye(shape[2])[levels[:, 2]] / math.sqrt(2)])
    order = np.zeros(len(levels), np.int64)
    distance = np.full(len(levels), np.inf)
    for i in range(1, len(order)):
        distance = np.minimum(distance, ((places - places[order[i - 1]]) ** 2).sum(axis=1))
        order[i] = distance.argmax()
    order.setflags(write=False)
    return order


def spread_uniform(problem: AssignmentProblem, most: int) -> Ints:
    """Up to ``most`` uniform assignments (N, steps), in the order of :func:`spread_actions`."""
    order = spread_actions(problem.space.shape)[:most]
    return np.repeat(order[:, None], problem.num_steps, axis=1)


def excess(problem: AssignmentProblem, scores: Scores) -> Floats:
    """(N,): by how much of the budget each assignment exceeds it; infinite where invalid."""
    over = np.maximum(scores.used / problem.limit - 1, 0)
    return np.where(scores.valid, over, np.inf)


def best_first(problem: AssignmentProblem, scores: Scores) -> Ints:
    """Order of assignments by Deb's rules: feasible by objective, then the rest by excess.

    (Deb, Computer Methods in Applied Mechanics and Engineering 186, 2000.)
    """
    value = np.where(scores.feasible, scores.objective, excess(problem, scores))
    return np.lexsort((value, ~scores.feasible))


class Judge:
    """Scores as two numbers an assignment: how good, and by how much over budget.

    Attributes:
        scale: Unit of the first, the best valid objective of the first scores that had one; 0 until
            then.
    """

    def __init__(self, problem: AssignmentProblem) -> None:
        self.problem, self.scale = problem, 0.0

    def __call__(self, scores: Scores) -> tuple[Floats, Floats]:
        """(N,) objective, 1 where invalid; (N,) share of the budget exceeded, infinite there."""
        if not self.scale and scores.valid.any():
            self.scale = abs(float(scores.objective[scores.valid].min())) or 1.0
        value = np.ones(len(scores.objective))
        value[scores.valid] = scores.objective[scores.valid] / (self.scale or 1.0)
        return value, excess(self.problem, scores)


def alike(problem: AssignmentProblem) -> list[Ints]:
    """The steps of each distinct layer shape."""
    if problem.num_steps == 1:
        return [np.zeros(1, np.int64)]
    distinct, index = problem.space.workload.unique()
    return [np.flatnonzero(index == i) for i in range(len(distinct))]


class SeenTables:
    """What each layer cost and took under the choices that were paid for; nothing else.

    Attributes:
        problem: Whose tables they are.
        seen: (steps, actions): was in an assignment evaluated through :meth:`evaluate`.
        cost, usage: (steps, actions), as the problem's where seen, infinite elsewhere.
        valid: (steps, actions): seen and valid.
    """

    def __init__(self, problem: AssignmentProblem) -> None:
        self.problem = problem
        shape = (problem.num_steps, problem.num_actions)
        self.seen: Bools = np.zeros(shape, bool)
        self.cost: Floats = np.full(shape, np.inf)
        self.usage: Floats = np.full(shape, np.inf)
        self.valid: Bools = np.zeros(shape, bool)

    def evaluate(self, evaluator: Evaluator, actions: Ints) -> Scores:
        """Pay for assignments (N, steps) and note what their layers cost and took.

        Raises:
            BudgetSpent: If no sample is left.
        """
        scores = evaluator.evaluate(actions)
        paid = actions[: len(scores.objective)]
        pairs = np.broadcast_to(np.arange(paid.shape[1]), paid.shape), paid
        self.seen[pairs] = True
        self.cost[pairs] = self.problem.cost[pairs]
        self.usage[pairs] = self.problem.usage[pairs]
        self.valid[pairs] = self.problem.valid[pairs]
        return scores

    @property
    def least(self) -> Ints | None:
        """(steps,): each step's seen valid choice of least usage, then cost; None if together they
        exceed the budget, or a step has none."""
        if not self.valid.any(axis=1).all():
            return None
        usage = np.where(self.valid, self.usage, np.inf)
        cheapest = usage == usage.min(axis=1, keepdims=True)
        actions = np.where(cheapest, self.cost, np.inf).argmin(axis=1)
        return actions if self.used(actions) <= self.problem.limit else None

    def used(self, actions: Ints) -> float:
        """The budget that seen choices (steps,) take, added up as an evaluation does."""
        return float(np.add.accumulate(self.usage[np.arange(len(actions)), actions])[-1])

    def best(self) -> Ints | None:
        """An optimal assignment (steps,) of the seen choices; None if none is feasible."""
        least = self.least
        if least is None:
            return None
        limit = self.problem.limit
        if self.problem.objective == "throughput":
            return least_greatest(self.cost, self.usage, self.valid, limit)[0]
        fronts = knapsack.fronts_of(self.cost, self.usage, self.valid)
        return knapsack.cheapest(
            fronts, limit, knapsack.relax(fronts, limit), lambda a: self.used(a) <= limit
        )


def tabulate(evaluator: Evaluator, keep: int) -> SeenTables:
    """Pay for every uniform assignment, or those that leave ``keep`` samples, but for at least one.

    Raises:
        BudgetSpent: If no sample is left.
    """
    problem = evaluator.problem
    tables = SeenTables(problem)
    tables.evaluate(evaluator, spread_uniform(problem, max(evaluator.remaining - keep, 1)))
    return tables


def _positive(agent: object, *names: str) -> None:
    for name in names:
        value = getattr(agent, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}")


def _shares(agent: object, *names: str) -> None:
    for name in names:
        value = getattr(agent, name)
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must lie in [0, 1], got {value!r}")


# --- blind --------------------------------------------------------------------------------------


@dataclass
class RandomSearch:
    """Uniform random assignments. Under a tight budget none of them may be feasible."""

    batch: int = 256
    """Assignments evaluated at once; the result does not depend on it."""

    sees: ClassVar[Sees] = "totals"

    def __post_init__(self) -> None:
        _positive(self, "batch")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Draw until the budget is spent."""
        problem, rng = evaluator.problem, np.random.default_rng(seed)
        while True:
            evaluator.evaluate(
                rng.integers(problem.num_actions, size=(self.batch, problem.num_steps))
            )


@dataclass
class BestUniform:
    """Every assignment that gives all layers the same choice, once."""

    sees: ClassVar[Sees] = "totals"
    deterministic: ClassVar[bool] = True

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Evaluate them; if they exceed the budget, those that cover the space best."""
        evaluator.evaluate(spread_uniform(evaluator.problem, evaluator.remaining))


@dataclass
class GridSearch:
    """A grid over groups of layers: layers of similar MACs get the same choice.

    The layers, sorted by MACs, are cut into groups of equal size. The choices are ranked as
    :func:`spread_actions` ranks them, and the grid grows with the samples: all combinations of the
    first choice, then of the first two, the first three, and so on. 5,000 samples cover eight
    choices of four groups. With one step (LS) this visits every choice.
    """

    groups: int = 4
    """How many groups, 1 to 16; with fewer, more choices of each are tried."""

    sees: ClassVar[Sees] = "totals"
    deterministic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _positive(self, "groups")
        if self.groups > 16:
            raise ValueError(f"groups must lie in 1..16, got {self.groups}")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Evaluate the grid, until it is complete or the budget is spent."""
        problem = evaluator.problem
        groups = min(self.groups, problem.num_steps)
        owner = np.zeros(problem.num_steps, np.int64)
        if groups > 1:
            macs = np.array([layer.macs for layer in problem.space.workload])
            for group, members in enumerate(np.array_split(macs.argsort(kind="stable"), groups)):
                owner[members] = group
        choices = spread_actions(problem.space.shape)
        for rank in range(len(choices)):
            for combinations in _combinations(rank, groups, evaluator):
                evaluator.evaluate(choices[combinations][:, owner])


def _combinations(rank: int, groups: int, evaluator: Evaluator) -> Iterator[Ints]:
    """Combinations (N, groups) of ranks up to ``rank`` that contain it, as far as affordable."""
    for place in range(groups):  # where it stands first
        shape = (rank,) * place + (1,) + (rank + 1,) * (groups - place - 1)
        count = min(math.prod(shape), max(evaluator.remaining, 1))
        if count:
            combinations = np.stack(np.unravel_index(np.arange(count), shape), axis=-1)
            combinations[:, place] = rank
            yield combinations


# --- local and population search ----------------------------------------------------------------


class _Moves:
    """Random changes of assignments held as level indices (N, steps, 2 or 3)."""

    def __init__(self, problem: AssignmentProblem, rng: np.random.Generator, reset: float) -> None:
        self.rng, self.reset = rng, reset
        self.shape = np.array(problem.space.shape)
        self.groups = alike(problem)
        self.twins = np.zeros((problem.num_steps, problem.num_steps), bool)
        for members in self.groups:
            self.twins[np.ix_(members, members)] = True

    def shift(self, level: Ints, axis: Ints, sign: Ints | int = 0) -> Ints:
        """New indices (N,) on given axes: a step up or down (``sign`` 0: either), most often a
        small one, or with probability ``reset`` any; dataflows have no order, so any."""
        rng, size = self.rng, self.shape[axis]
        reach = np.maximum(size / 2, 1)
        step = np.floor(reach ** rng.random(len(level))).astype(np.int64)
        either = np.where(rng.random(len(level)) < 0.5, 1, -1)
        direction = np.where(np.asarray(sign) == 0, either, sign)
        moved = level + direction * step
        out = (moved < 0) | (moved >= size)
        moved = np.where(out & (np.asarray(sign) == 0), level - direction * step, moved)
        moved = np.clip(moved, 0, size - 1)
        anywhere = rng.integers(size)
        jump = ((rng.random(len(level)) < self.reset) & (np.asarray(sign) == 0)) | (axis == 2)
        return np.where(jump, anywhere, moved)

    def change(self, levels: Ints, together: float) -> Ints:
        """Change one step of each, or with probability ``together`` all steps of its shape."""
        rng, count = self.rng, len(levels)
        rows = np.arange(count)
        step = rng.integers(levels.shape[1], size=count)
        axis = rng.integers(levels.shape[2], size=count)
        new = self.shift(levels[rows, step, axis], axis)
        return self._write(levels, step, axis, new, rng.random(count) < together)

    def exchange(self, levels: Ints, together: float) -> Ints:
        """Fewer PEs (or filters per PE) for one step of each, more for another."""
        rng, count = self.rng, len(levels)
        rows = np.arange(count)
        for sign in (-1, 1):
            step = rng.integers(levels.shape[1], size=count)
            axis = rng.integers(2, size=count)
            new = self.shift(levels[rows, step, axis], axis, sign)
            levels = self._write(levels, step, axis, new, rng.random(count) < together)
        return levels

    def _write(self, levels: Ints, step: Ints, axis: Ints, new: Ints, together: Bools) -> Ints:
        alone = np.arange(levels.shape[1]) == step[:, None]
        row, column = np.nonzero(np.where(together[:, None], self.twins[step], alone))
        levels = levels.copy()
        levels[row, column, axis[row]] = new[row]
        return levels


@dataclass
class SimulatedAnnealing:
    """Simulated annealing from the best uniform assignment, one chain or several side by side.

    A move changes one axis of one layer, or takes from one layer what it gives another; some moves
    do so for all layers of the same shape. Exceeding the budget is charged, not forbidden, so that
    chains can pass through; the charge rises while a chain is over budget, and falls otherwise.
    (Kirkpatrick, Gelatt and Vecchi, Science 220, 1983.)
    """

    chains: int = 1
    """How many; each gets its share of the samples, and more gain little by 5,000."""
    start_share: float = 0.05
    """Share of the samples for uniform assignments to begin with."""
    hot: float = 5e-3
    """First temperature, as a share of the objective of the best uniform assignment."""
    cold: float = 1e-5
    """Last temperature; it falls geometrically."""
    penalty: float = 1.0
    """First charge for exceeding the budget: this many times the share exceeded, in the same
    unit."""
    adapt: float = 0.003
    """The charge rises and falls by this share of itself with each sample."""
    exchange: float = 0.5
    """Share of the moves that take from one layer and give another."""
    together: float = 0.4
    """Share of the moves that treat all layers of the same shape alike."""
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
        _positive(self, "chains")
        _shares(self, "start_share", "exchange", "together", "reset")
        if not 0 < self.cold <= self.hot:
            raise ValueError(f"wanted 0 < cold <= hot, got cold={self.cold!r}, hot={self.hot!r}")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Anneal until the budget is spent."""
        problem, rng = evaluator.problem, np.random.default_rng(seed)
        moves = _Moves(problem, rng, self.reset)
        starts = spread_uniform(problem, max(int(self.start_share * evaluator.samples), 1))
        scores = evaluator.evaluate(starts)
        first = int(best_first(problem, scores)[0])
        judge = Judge(problem)
        levels = np.repeat(problem.space.decode(starts[[first]]), self.chains, axis=0)
        value, over = (np.repeat(numbers[first], self.chains) for numbers in judge(scores))
        penalty = np.full(self.chains, self.penalty)
        begun, span = evaluator.spent, max(evaluator.remaining, 1)
        while True:
            swap = rng.random(self.chains) < self.exchange
            trial = np.where(
                swap[:, None, None],
                moves.exchange(levels, self.together),
                moves.change(levels, self.together),
            )
            temperature = self.hot * (self.cold / self.hot) ** ((evaluator.spent - begun) / span)
            scores = evaluator.evaluate(problem.space.encode(trial))
            n = len(scores.objective)
            new_value, new_over = judge(scores)
            # An invalid start may move to anything; after that, invalid is out.
            lost = np.isinf(over[:n])
            change = new_over - np.where(lost, 0.0, over[:n])
            rise = np.where(lost, 0.0, new_value - value[:n] + penalty[:n] * change)
            chance = np.exp(-np.maximum(rise, 0.0) / temperature)
            taken = np.flatnonzero(rng.random(n) < chance)
            levels[taken] = trial[taken]
            value[taken], over[taken] = new_value[taken], new_over[taken]
            penalty *= np.where(over > 0, 1 + self.adapt, 1 / (1 + self.adapt))


@dataclass
class Genetic:
    """A genetic algorithm that begins with uniform assignments.

    Binary tournaments, uniform crossover by layer, mutation by moves as in annealing; the best of
    parents and children survive. Infeasible ones rank behind all feasible ones, by how much they
    exceed the budget (Deb's rules).
    """

    population: int = 10
    """Survivors of a generation, and its children."""
    start_share: float = 0.05
    """Share of the samples for uniform assignments to begin with."""
    crossover: float = 0.9
    """Share of the children that have two parents."""
    mutations: float = 1.0
    """Mean of the Poisson number of mutations of a child; at least one."""
    exchange: float = 0.5
    """Share of the mutations that take from one layer and give another."""
    together: float = 0.6
    """Share of the mutations that treat all layers of the same shape alike."""
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
        _positive(self, "population")
        _shares(self, "start_share", "crossover", "exchange", "together", "reset")
        if self.mutations < 0:
            raise ValueError(f"mutations must not be negative, got {self.mutations!r}")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Breed until the budget is spent."""
        problem, rng = evaluator.problem, np.random.default_rng(seed)
        moves = _Moves(problem, rng, self.reset)
        few = max(int(self.start_share * evaluator.samples), 1)
        actions = spread_uniform(problem, few)
        scores = evaluator.evaluate(actions)
        levels = problem.space.decode(actions)
        while True:
            keep = best_first(problem, scores)
            # Of equal ones only one: clones would take over.
            _, first = np.unique(levels[keep], axis=0, return_index=True)
            keep = keep[np.sort(first)][: self.population]
            levels, scores = levels[keep], Scores(**{k: v[keep] for k, v in vars(scores).items()})
            children = self._breed(levels, rng, moves)
            born = evaluator.evaluate(problem.space.encode(children))
            levels = np.concatenate([levels, children[: len(born.objective)]])
            both = zip(vars(scores).items(), vars(born).values(), strict=True)
            scores = Scores(**{k: np.concatenate([old, new]) for (k, old), new in both})

    def _breed(self, parents: Ints, rng: np.random.Generator, moves: _Moves) -> Ints:
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


# --- those that see layers ----------------------------------------------------------------------


@dataclass
class TabulateAndSolve:
    """Sees every choice once through uniform assignments, then solves the knapsack exactly.

    The yardstick for agents that see layers: on a space of 144 choices it needs 145 samples. With
    fewer samples it sees the choices that cover the space best, and its answer is optimal among
    those.
    """

    sees: ClassVar[Sees] = "layers"
    deterministic: ClassVar[bool] = True

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Tabulate, then evaluate the answer."""
        answer = tabulate(evaluator, keep=1).best()
        if answer is not None:
            evaluator.evaluate(answer[None])


@dataclass
class Greedy:
    """From the cheapest assignment upwards, always the upgrade that saves most per unit of budget.

    It first pays for uniform assignments, then evaluates the assignments on its way up. For
    throughput only the slowest layer is upgraded, as little as makes it faster.
    """

    tabulate_share: float = 0.5
    """Share of the samples for uniform assignments, as far as there are choices."""

    sees: ClassVar[Sees] = "layers"
    deterministic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _shares(self, "tabulate_share")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Tabulate, climb, evaluate the way."""
        keep = evaluator.samples - int(self.tabulate_share * evaluator.samples)
        way = self._climb(tabulate(evaluator, keep))
        if len(way) and evaluator.remaining:
            picks = np.linspace(len(way) - 1, 0, min(len(way), evaluator.remaining))
            evaluator.evaluate(way[np.sort(picks.round().astype(np.int64))])

    @staticmethod
    def _climb(tables: SeenTables) -> Ints:
        """The assignments (N, steps) from the cheapest up to where no upgrade fits."""
        problem = tables.problem
        chosen = tables.least
        if chosen is None:
            return np.zeros((0, problem.num_steps), np.int64)
        rows = np.arange(problem.num_steps)
        way = [chosen]
        cost, usage = (np.where(tables.valid, t, np.inf) for t in (tables.cost, tables.usage))
        while True:
            now, took = cost[rows, chosen], usage[rows, chosen]
            open_ = tables.valid & (cost < now[:, None])
            room = problem.limit - tables.used(chosen)
            extra = np.where(open_, usage - took[:, None], np.inf)
            gain = np.where(open_, now[:, None] - cost, 0.0)
            if problem.objective == "throughput":
                slowest = (now == now.max())[:, None]
                # Among the cheapest ways to make it faster, the fastest.
                rate = np.where(slowest & (gain > 0), -extra, -np.inf)
            else:
                rate = gain / np.maximum(extra, np.finfo(float).tiny)
            rate = np.where(open_ & (extra <= room), rate, -np.inf)
            best = int(rate.argmax())
            if rate.flat[best] == -np.inf:
                return np.array(way)
            step, action = divmod(best, problem.num_actions)
            chosen = chosen.copy()
            chosen[step] = action
            way.append(chosen)


@dataclass
class LagrangianRelaxation:
    """Bisects the price of budget at which the layers, choosing each for itself, just fill it.

    It first pays for uniform assignments; then, at each price, every layer takes its least cost
    plus price times usage among what was seen, and that assignment is evaluated. The last sample is
    the best assignment that the relaxation yields (:func:`hwgym.bounds.knapsack.relax`), which also fills
    what the best price leaves. For throughput, which does not add up, a high power of the costs
    stands in for the slowest layer's.
    """

    bisections: int = 40
    """Prices tried at most; fewer if no budget is left for as many uniform assignments."""
    power: float = 8.0
    """Of the costs, for throughput."""

    sees: ClassVar[Sees] = "layers"
    deterministic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _positive(self, "bisections")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Tabulate, bisect, evaluate the relaxation's assignment."""
        problem = evaluator.problem
        tables = tabulate(evaluator, keep=min(self.bisections, evaluator.samples // 4) + 1)
        if tables.least is None:
            return
        cost, usage = (np.where(tables.valid, t, np.inf) for t in (tables.cost, tables.usage))
        if problem.objective == "throughput":
            cost = (cost / cost.min(axis=1).max()) ** self.power
        taken = np.where(tables.valid, usage, 0.0)
        price, low, high = 0.0, 0.0, np.inf
        for _ in range(self.bisections):
            if evaluator.remaining <= 1:
                break
            actions = (cost + price * taken).argmin(axis=1)
            if evaluator.evaluate(actions[None]).feasible[0]:
                high = price
                if price == 0:
                    return  # every layer has its best
            else:
                low = price
            if high == np.inf:
                price = 8 * low or float(cost.min(axis=1).sum()) / problem.limit
            else:
                price = math.sqrt(low * high) if low else high / 8
        fronts = knapsack.fronts_of(cost, usage, tables.valid)
        if knapsack.least_usage(fronts) <= problem.limit:
            evaluator.evaluate(knapsack.relax(fronts, problem.limit).actions[None])
