"""Multi-task Bayesian optimisation: what logs of other networks tell, and what samples do.

JUMBO (Hakhamaneshi, Abbeel, Stojanovic and Grover, "JUMBO: Scalable Multi-task Bayesian
Optimization using Offline Data", arXiv 2106.00942, 2021) trains a network on the evaluations
of other tasks, and then keeps two Gaussian processes on the samples of the task at hand: a *warm*
one on the network's features and a *cold* one on the inputs. Of the candidates that the warm one
rates about as good as its best, the next sample is the one that the cold one rates best. That is
what is done here, too. It sees totals only, in the logs as in what it buys.

What is ours, because networks differ in length and an assignment has a hundred dimensions:

- *Network.* It sees one layer with one choice at a time, in absolute units, and says log latency,
  energy, area and power of that, and how likely the choice can be built. What it is trained on
  are the logs' totals: the sum over a network's layers must come out
  (:mod:`hwgym_agents.train_jumbo`).
- *Features.* The derivative of the log of a predicted total by the weights of the network's last
  layer: the mean of the hidden units over layers, each as heavy as its share of the total. A
  process with a linear and a Matern kernel on these learns by how much the log of the true total
  is off. (The paper has the plain last hidden layer, of a single input.)
- *Inputs* of the cold process: each axis' mean level and how levels go with the sizes of layers.
- *Candidates.* Changes of the best samples and assignments by a random rule; beside these, where
  there are logs, the optima of the tables that the network says, corrected by draws from the
  warm process' linear part. (The paper searches all inputs.)
- *Limit.* Another pair of processes learns the constraint; both kinds of acquisition are lower
  confidence bounds of the objective, charged for what exceeds the limit.
- *Weights of the processes' kernels* are those of a small grid that explain the samples best.
- *What can be built* follows in part from samples: a valid one tells of all its choices, an
  invalid one of its last that is in doubt.

``cold=True`` is the same without logs: the cold process alone, which begins with uniform
assignments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hwgym._arrays import Array, Floats, Ints
from hwgym.bounds import knapsack
from hwgym.core import Evaluator, Scores, Sees, Statement
from hwgym.families.assignment.multi.features import (
    constants,
    hardware_features,
    layer_features,
    style_features,
    technology_features,
)

from .common import (
    best_first,
    checkpoint_arrays,
    digest,
    first_solutions,
    not_negative,
    positive,
    shares,
)
from .local import Moves

__all__ = ["HEADS", "Jumbo", "choice_features", "heads_of"]

HEADS = ("latency", "energy", "area", "power")
"""What the network says of a layer's choice, in this order; then whether it can be built."""

_OBJECTIVES = {"latency": (0,), "energy": (1,), "edp": (0, 1)}
_CONSTRAINTS = {"area": 2, "power": 3}

UNSEEN = 0.05
"""By how much logs of what a plan takes of the limit are off before the first sample, about."""

SHIPPED = Path(__file__).parent / "checkpoints" / "jumbo.npz"


@dataclass
class Jumbo:
    """Bayesian optimisation with a warm Gaussian process, on features learnt from the logs of other
    networks, and a cold one (JUMBO)."""

    checkpoint: str | None = None
    """The network, as ``python -m hwgym_agents.train_jumbo`` makes it from logs; None: the one that
    is shipped."""
    cold: bool = False
    """Do without it."""
    slack: float = 0.01
    """What the warm process rates worse than its best by at most this share is left to the cold
    one."""
    optimism: float = 0.5
    """Standard deviations of the objective that are hoped for."""
    caution: float = 0.5
    """Standard deviations of what is limited that are feared."""
    plans: int = 4
    """Candidates a sample that are optima of the network's corrected tables."""
    changes: int = 400
    """Candidates a sample that are changes of the best samples."""
    rules: int = 200
    """Candidates a sample that follow a random rule."""
    start_share: float = 0.1
    """Share of the samples for uniform solutions to begin with, without a network."""

    sees: ClassVar[Sees] = "totals"

    @property
    def fingerprint(self) -> str | None:
        """SHA-256 of the checkpoint; None where there is none."""
        return None if self.cold else digest(Path(self.checkpoint or SHIPPED))

    def __post_init__(self) -> None:
        positive(self, "plans", "changes", "rules")
        shares(self, "slack", "start_share")
        not_negative(self, "optimism", "caution")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Sample until the budget is spent.

        Raises:
            ValueError: If the network cannot tell anything of this problem, or a step has too many
                choices to be numbered.
            FileNotFoundError: If there is no checkpoint.
        """
        statement, rng = evaluator.statement, np.random.default_rng(seed)
        if statement.space.joint is None:
            raise ValueError(
                "jumbo numbers the choices of a step, and here they are too many; other "
                "agents that see totals work on any problem"
            )
        warm = None if self.cold else _Warm(statement, _load(self.checkpoint or str(SHIPPED)))
        summary = _Summary(statement)
        tried = _Tried(statement, None if warm is None else warm.buildable)
        if warm is None:
            tried.add(*first_solutions(evaluator, self.start_share, rng))
        else:
            first = warm.plans(1, [1.0], tried, rng)
            tried.add(first, evaluator.evaluate(first))
        moves = Moves(statement, rng, reset=0.2)
        while True:
            chosen = self._next(statement, tried, warm, summary, moves, rng)
            tried.add(chosen, evaluator.evaluate(chosen))

    def _next(
        self,
        statement: Statement,
        tried: _Tried,
        warm: _Warm | None,
        summary: _Summary,
        moves: Moves,
        rng: np.random.Generator,
    ) -> Ints:
        """Genes (1, steps, axes) of the next sample."""
        parents = tried.best(5)
        some = parents[rng.integers(len(parents), size=self.changes)]
        changed = moves.change(some, 0.7)
        again = rng.random(len(some)) < 0.5
        if again.any():
            changed[again] = moves.exchange(changed[again], 0.7)
        pools = [changed, summary.rules(self.rules, rng)]
        if warm is not None:
            warm.learn(tried)
            pools.append(warm.plans(self.plans, [0.0, 1.0, -1.0], tried, rng))
        pool = tried.fresh(np.concatenate(pools))
        doubt = tried.doubt(pool)
        x, seen = summary(pool), summary(tried.genes)
        cold = self._acquisition(
            _fit(seen, tried.cost, rng)(x), _fit(seen, tried.over, rng)(x), doubt, statement
        )
        if warm is None:
            return pool[[cold.argmax()]]
        rated = self._acquisition(*warm.judge(pool), doubt, statement)
        about = rated >= rated.max() - self.slack
        return pool[[np.where(about, cold, -np.inf).argmax()]]

    def _acquisition(
        self,
        cost: tuple[Floats, Floats],
        over: tuple[Floats, Floats],
        doubt: Floats,
        statement: Statement,
    ) -> Floats:
        """(N,) minus the log cost that is hoped for, charged for what is feared to be too much and
        for what may not be buildable."""
        hoped = cost[0] - self.optimism * cost[1]
        if np.isfinite(statement.limit):
            hoped = hoped + 3 * np.maximum(over[0] + self.caution * over[1], 0)
        return -hoped - 0.2 * doubt


# --- what is known of a layer and a choice --------------------------------------------------------


def choice_features(known: Mapping[str, Any], which: Ints) -> tuple[Floats, Floats]:
    """What is said to the network of some layers under every choice, and where it begins.

    Args:
        known: As ``statement.known`` of an assignment problem.
        which: Of its layers.

    Returns:
        Features (layers, choices, n), and what the logarithms of :data:`HEADS` would be if nothing
        but MACs, PEs and technology mattered, (layers, choices, heads).
    """
    layers = [known["workload"][int(i)] for i in which]
    styles, hardware = known["dataflows"], known["hardware"]
    levels = np.meshgrid(
        known["pe_levels"], known["tile_levels"], np.arange(len(styles)), indexing="ij"
    )
    pes, tiles, style = (level.ravel() for level in levels)
    machine = constants(hardware.tech)
    context = np.concatenate([technology_features(machine)[0], hardware_features(hardware)])
    said = np.concatenate(
        [layer_features(layers), np.log2([[y.stride, y.dilation] for y in layers]) / 2], axis=1
    )
    sizes = np.array([[y.K, y.C, y.OY, y.OX] for y in layers], np.float64)[:, None]
    p, t = pes[None, :, None].astype(np.float64), tiles[None, :, None].astype(np.float64)
    rounds, tiled = np.ceil(sizes / p), np.ceil(sizes[..., :2] / t)
    waves = np.ceil(tiled / p)
    shape = (len(layers), len(pes))
    said_of = np.stack([style_features([s]) for s in styles])
    columns = [
        np.broadcast_to(said[:, None], (*shape, said.shape[1])),
        np.broadcast_to(context, (*shape, len(context))),
        np.broadcast_to(said_of[style], (*shape, said_of.shape[1])),
        np.broadcast_to(np.log2(p) / 7, (*shape, 1)),
        np.broadcast_to(np.log2(t) / 4, (*shape, 1)),
        np.log2(rounds) / 8,
        sizes / (p * rounds),
        np.log2(tiled) / 8,
        sizes[..., :2] / (t * tiled),
        np.log2(waves) / 8,
        tiled / (p * waves),
        (sizes[..., :2] % t == 0).astype(np.float64),
    ]
    macs = np.log([[float(y.macs)] for y in layers])
    logs = {name: float(np.log(value[0])) for name, value in machine.items()}
    p = np.log(pes)[None]
    base = [
        macs - p,
        macs + logs["mac_energy_nj"],
        p + logs["mac_area_um2"],
        p + logs["mac_power_mw"],
    ]
    return (
        np.concatenate(columns, axis=2),
        np.stack([np.broadcast_to(b, shape) for b in base], axis=2),
    )


def heads_of(statement: Statement) -> tuple[tuple[int, ...], int]:
    """The heads of the objective, whose logarithms add up, and that of the constraint.

    Raises:
        ValueError: If a problem is not one that the network knows.
    """
    objective, constraint = statement.objective.name, statement.constraint
    known, steps = statement.known, statement.space.num_steps
    if "dataflows" not in known or len(known["workload"]) != steps:
        raise ValueError(
            "jumbo's network knows layers with partitions of their own (HWAssign, HWAssignMulti); "
            f"of {statement.title} it knows nothing: set cold=True. Other agents that see "
            "totals work on any problem"
        )
    if objective not in _OBJECTIVES or (constraint and constraint.name not in _CONSTRAINTS):
        raise ValueError(
            f"jumbo's network says {', '.join(_OBJECTIVES)} under {' or '.join(_CONSTRAINTS)}, "
            f"not {statement.title}: set cold=True"
        )
    return _OBJECTIVES[objective], _CONSTRAINTS[constraint.name if constraint else "area"]


@lru_cache(maxsize=4)
def _load(path: str) -> Mapping[str, Array]:
    if not Path(path).exists():
        raise FileNotFoundError(
            f"{path}: no checkpoint there; python -m hwgym_agents.train_jumbo makes one"
        )
    return checkpoint_arrays(Path(path), "jumbo", "mean")


class _Warm:
    """The network's word on a problem, and the processes on its features.

    Attributes:
        buildable: (kinds, choices) probabilities.
    """

    def __init__(self, statement: Statement, net: Mapping[str, Array]) -> None:
        self.statement, self.space = statement, statement.space
        objective, constraint = heads_of(statement)
        _, first, self.kind = np.unique(statement.alike, return_index=True, return_inverse=True)
        x, base = choice_features(statement.known, first)
        if x.shape[2] != len(net["mean"]):
            raise ValueError(
                f"the checkpoint is of {len(net['mean'])} features a choice, not of {x.shape[2]}"
            )
        hidden = (x - net["mean"]) / net["scale"]
        for layer in ("1", "2"):
            hidden = hidden @ net[f"w{layer}"] + net[f"b{layer}"]
            hidden = hidden / (1 + np.exp(-hidden))
        heads = hidden @ net["w3"] + net["b3"]
        # Of spread 1 over layers and choices, so that variances say by how much logs are off.
        hidden = hidden - hidden.mean(axis=(0, 1))
        self.hidden = hidden / np.sqrt((hidden**2).sum(axis=2).mean())
        self.cost = (heads[..., objective] + base[..., objective]).sum(axis=-1)
        self.usage = heads[..., constraint] + base[..., constraint]
        self.buildable: Floats = 1 / (1 + np.exp(-heads[..., len(HEADS)]))
        self.drift_cost = _Correction(self, self.cost)
        self.drift_usage = _Correction(self, self.usage)

    def learn(self, tried: _Tried) -> None:
        """Take in all samples."""
        numbers = self.space.encode(tried.genes)
        self.drift_cost.learn(numbers, tried.cost)
        self.drift_usage.learn(numbers, tried.over + np.log(tried.limit))

    def judge(self, genes: Ints) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
        """Means and deviations (N,) of log cost, and of the log of the share of the limit."""
        numbers = self.space.encode(genes)
        mean, deviation = self.drift_usage(numbers)
        limit = self.statement.limit if np.isfinite(self.statement.limit) else 1.0
        return self.drift_cost(numbers), (mean - np.log(limit), deviation)

    def plans(
        self, count: int, margins: list[float], tried: _Tried, rng: np.random.Generator
    ) -> Ints:
        """Optima (count, steps, axes) of corrected tables, the first that of their means.

        Args:
            margins: Deviations of what is limited that are kept back, in turn.
        """
        limit, found = self.statement.limit, []
        buildable = tried.chance() > 0.5
        buildable |= tried.chance() >= tried.chance().max(axis=1, keepdims=True)
        deviation = UNSEEN
        for i in range(count):
            cost = np.exp(self.drift_cost.table(rng if i else None))
            usage = np.exp(self.drift_usage.table(rng if i > len(margins) else None))
            kinds = knapsack.fronts_of(cost, usage, buildable)
            fronts = [kinds[kind] for kind in self.kind]
            within = limit * np.exp(-margins[i % len(margins)] * deviation)
            if not np.isfinite(within):
                within = 1e300
            within = max(within, knapsack.least_usage(fronts) * (1 + 1e-9))
            found.append(knapsack.relax(fronts, within).actions)
            if len(found) == 1 and self.drift_usage.process is not None:
                deviation = float(self.drift_usage(found[0][None])[1][0])
        return self.space.decode(np.array(found))


class _Correction:
    """By how much the logs of totals are off, from those that were seen."""

    def __init__(self, warm: _Warm, table: Floats) -> None:
        self.warm, self.raw = warm, table
        self.process: _Process | None = None

    def __call__(self, numbers: Ints) -> tuple[Floats, Floats]:
        """Means and deviations (N,) of log totals of action numbers (N, steps)."""
        assert self.process is not None
        total, features = self._features(numbers)
        mean, deviation = self.process(features)
        return total + mean, deviation

    def _features(self, numbers: Ints) -> tuple[Floats, Floats]:
        """(N,) logs of predicted totals; (N, n) their derivatives."""
        logs = self.raw[self.warm.kind, numbers]
        most = logs.max(axis=1, keepdims=True)
        each = np.exp(logs - most)
        total = each.sum(axis=1, keepdims=True)
        hidden = self.warm.hidden[self.warm.kind, numbers]
        return (most + np.log(total))[:, 0], np.einsum("nl,nlh->nh", each / total, hidden)

    def learn(self, numbers: Ints, logs: Floats) -> None:
        known = np.isfinite(logs)
        total, features = self._features(numbers[known])
        self.process = _fit_warm(features, logs[known] - total)

    def table(self, rng: np.random.Generator | None) -> Floats:
        """(kinds, choices) logs, corrected by the mean of what is learnt, or by a draw."""
        if self.process is None:
            return self.raw
        offset, weights = self.process.linear(rng)
        found: Floats = self.raw + offset + self.warm.hidden @ weights
        return found


# --- Gaussian processes ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Kernel:
    """Variances of a constant, of a linear part, of a Matern 5/2 part with its length, of noise."""

    constant: float
    linear: float
    bumps: float
    length: float
    noise: float

    def __call__(self, a: Floats, b: Floats) -> Floats:
        square = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
        r = np.sqrt(5 * np.maximum(square, 0)) / self.length
        found: Floats = (
            self.constant + self.linear * (a @ b.T) + self.bumps * (1 + r + r**2 / 3) * np.exp(-r)
        )
        return found

    def variance(self, a: Floats) -> Floats:
        found: Floats = self.constant + self.linear * (a**2).sum(axis=1) + self.bumps
        return found


class _Process:
    """An exact Gaussian process of mean 0."""

    def __init__(self, kernel: _Kernel, x: Floats, y: Floats) -> None:
        self.kernel, self.x, self.y = kernel, x, y
        self.factor = np.linalg.cholesky(kernel(x, x) + (kernel.noise + 1e-9) * np.eye(len(x)))
        self.weights = self._solve(y)

    def _solve(self, y: Floats) -> Floats:
        found: Floats = np.linalg.solve(self.factor.T, np.linalg.solve(self.factor, y))
        return found

    @property
    def evidence(self) -> float:
        """The log likelihood of what was seen, but for a constant."""
        return float(-0.5 * self.y @ self.weights - np.log(np.diag(self.factor)).sum())

    def __call__(self, x: Floats) -> tuple[Floats, Floats]:
        """Means and deviations (N,)."""
        across = self.kernel(x, self.x)
        half = np.linalg.solve(self.factor, across.T)
        variance = self.kernel.variance(x) - (half**2).sum(axis=0)
        return across @ self.weights, np.sqrt(np.maximum(variance, 1e-12))

    def linear(self, rng: np.random.Generator | None) -> tuple[float, Floats]:
        """Constant and weights (n,) of the linear part: their mean, or a draw (Matheron's rule)."""
        k, n = self.kernel, self.x.shape[1]
        offset, weights, pull = 0.0, np.zeros(n), self.weights
        if rng is not None:
            offset = float(rng.normal() * np.sqrt(k.constant))
            weights = rng.normal(size=n) * np.sqrt(k.linear)
            bumps = _Kernel(0.0, 0.0, k.bumps, k.length, 0.0)(self.x, self.x)
            rest = np.linalg.cholesky(bumps + (k.noise + 1e-9) * np.eye(len(self.x)))
            drawn = offset + self.x @ weights + rest @ rng.normal(size=len(self.x))
            pull = self._solve(self.y - drawn)
        return offset + k.constant * float(pull.sum()), weights + k.linear * (self.x.T @ pull)


def _fit_warm(x: Floats, y: Floats) -> _Process:
    """The process with the likeliest variances, on what the network is off by."""
    kernels = [
        _Kernel(0.1, linear, bumps, 0.3, noise)
        for linear in (0.001, 0.01, 0.1)
        for bumps in (1e-5, 3e-4)
        for noise in (1e-6, 1e-4)
    ]
    return max((_Process(k, x, y) for k in kernels), key=lambda p: p.evidence)


def _fit(x: Floats, y: Floats, rng: np.random.Generator) -> Any:
    """A cold process: the likeliest of some, on what is finite, with its mean and scale."""
    known = np.isfinite(y)
    if known.sum() < 2:
        return lambda at: (np.zeros(len(at)), np.ones(len(at)))
    x, y = x[known], y[known]
    mean, scale = y.mean(), max(float(y.std()), 1e-6)
    kernels = [
        _Kernel(1.0, linear / x.shape[1], bumps, length * np.sqrt(x.shape[1]), noise)
        for linear in (0.1, 1.0)
        for bumps in (0.1, 1.0)
        for length in (0.3, 1.0, 3.0)
        for noise in (1e-4, 1e-2)
    ]
    best = max((_Process(k, x, (y - mean) / scale) for k in kernels), key=lambda p: p.evidence)

    def judge(at: Floats) -> tuple[Floats, Floats]:
        middle, deviation = best(at)
        return mean + scale * middle, scale * deviation

    return judge


# --- samples and candidates -----------------------------------------------------------------------


class _Tried:
    """The samples so far.

    Attributes:
        genes: (N, steps, axes).
        cost: (N,) logs of objectives; infinite where invalid.
        over: (N,) logs of shares of the limit; likewise.
        limit: 1 where there is none.
    """

    def __init__(self, statement: Statement, chance: Floats | None) -> None:
        self.statement, self.space = statement, statement.space
        _, self.kind = np.unique(statement.alike, return_inverse=True)
        shape = (self.kind.max() + 1, self.space.num_actions)
        self._chance = np.full(shape, 0.95) if chance is None else chance.copy()
        self.limit = statement.limit if np.isfinite(statement.limit) else 1.0
        self.genes = np.zeros((0, self.space.num_steps, len(self.space.axes)), np.int64)
        self.cost, self.over = np.zeros(0), np.zeros(0)
        self._scores: Scores | None = None
        self._known: set[bytes] = set()
        self._invalid: list[Ints] = []

    def add(self, genes: Ints, scores: Scores) -> None:
        """Take in what was paid for."""
        genes = genes[: len(scores)]
        self.genes = np.concatenate([self.genes, genes])
        self._scores = scores if self._scores is None else Scores.join([self._scores, scores])
        with np.errstate(divide="ignore"):
            cost = np.where(scores.valid, np.log(scores.objective), np.inf)
            over = np.where(scores.valid, np.log(scores.used / self.limit), np.inf)
        self.cost = np.concatenate([self.cost, cost])
        self.over = np.concatenate([self.over, np.maximum(over, -50.0)])
        self._known |= {g.tobytes() for g in genes}
        for numbers, valid in zip(self.space.encode(genes), scores.valid, strict=True):
            if valid:
                self._chance[self.kind, numbers] = 1.0
            else:
                self._invalid.append(numbers)
        for numbers in self._invalid:
            doubtful = self._chance[self.kind, numbers] < 1
            places = np.unique(np.stack([self.kind, numbers])[:, doubtful], axis=1)
            if places.shape[1] == 1:
                self._chance[tuple(places)] = 0.0
            else:  # one of them is to blame
                at = tuple(places)
                self._chance[at] = np.minimum(self._chance[at], 0.7)

    def chance(self) -> Floats:
        """(kinds, choices) probabilities that they can be built."""
        return self._chance

    def doubt(self, genes: Ints) -> Floats:
        """(N,) minus the log of the probability that they are valid."""
        chance = self._chance[self.kind, self.space.encode(genes)]
        found: Floats = -np.log(np.maximum(chance, 1e-6)).sum(axis=1)
        return found

    def best(self, count: int) -> Ints:
        """Genes of the best of them."""
        assert self._scores is not None
        return self.genes[best_first(self.statement, self._scores)[:count]]

    def fresh(self, genes: Ints) -> Ints:
        """Those not tried before, each once; all if there are none."""
        _, first = np.unique(genes.reshape(len(genes), -1), axis=0, return_index=True)
        keep = [i for i in np.sort(first) if genes[i].tobytes() not in self._known]
        return genes[keep] if keep else genes


class _Summary:
    """Assignments in a few numbers: what the cold process knows them by."""

    def __init__(self, statement: Statement) -> None:
        self.statement, self.space = statement, statement.space
        columns = np.column_stack([np.log1p(statement.work), statement.features])
        columns = np.column_stack([columns, np.linspace(0, 1, len(columns))])
        columns = columns - columns.mean(axis=0)
        scale = columns.std(axis=0)
        self.columns = (columns / np.where(scale > 1e-9, scale, 1.0))[:, scale > 1e-9]
        self.sizes = self.space.sizes

    def __call__(self, genes: Ints) -> Floats:
        """(N, n): of each axis the mean level and how it goes with each feature; of categories,
        how often each is chosen."""
        found = []
        for axis, ordered in enumerate(self.space.ordered):
            chosen = genes[:, :, axis]
            if ordered:
                level = chosen / np.maximum(self.sizes[:, axis] - 1, 1)
                found += [
                    2 * level.mean(axis=1, keepdims=True),
                    2 * level @ self.columns / len(self.sizes),
                ]
            else:
                options = np.arange(self.space.shape[axis])
                found.append((chosen[..., None] == options).mean(axis=1))
        return np.concatenate(found, axis=1)

    def rules(self, count: int, rng: np.random.Generator) -> Ints:
        """Genes (count, steps, axes): levels that go up or down with a few features."""
        steps, features = self.columns.shape
        genes = np.zeros((count, steps, len(self.space.axes)), np.int64)
        for axis, ordered in enumerate(self.space.ordered):
            size = self.sizes[:, axis]
            if not ordered:
                genes[..., axis] = (rng.random((count, 1)) * size).astype(np.int64)
                continue
            slopes = rng.normal(size=(count, features)) * (rng.random((count, features)) < 0.3)
            level = rng.random((count, 1)) + 0.15 * slopes @ self.columns.T
            genes[..., axis] = np.clip(np.round(level * (size - 1)), 0, size - 1)
        return self.statement.repair(genes, rng)
