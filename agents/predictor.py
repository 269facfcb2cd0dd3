"""Predictor: costs of layers it has never seen, by what it learnt from others; then it solves.

After DCP (Xu et al., "DCP: Learning Accelerator Dataflow for Neural Network via Propagation", arXiv
2410.06553): a network predicts what a layer costs under a dataflow, on hardware, with a choice.
Here it predicts counts (cycles, MACs, accesses and sizes of buffers), so that whatever a technology
asks for them follows without learning, and it predicts how far they are from what arithmetic on the
dataflow's directives says (:mod:`.assignment_estimates`). The tables so made are solved exactly
(:mod:`hwgym.bounds`).

The first sample is chosen without having seen any, step by step: what may be chosen the masks of
the environment tell, which keep it feasible, and where a step has taken other than predicted, the
rest is solved anew. Each sample then tells what its steps cost and took, and the tables are
corrected: exactly where they were told, elsewhere by regression on the residuals. Later samples are
the best by the corrected tables, or, where that is known already, whatever choices may be better.

It sees what each step cost and took. Searching takes numpy alone; ``python -m
hwgym_agents.train_predictor`` makes a checkpoint.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym.bounds import knapsack
from hwgym.bounds.optimum import cheapest_choice
from hwgym.core import Evaluator, Sees, Statement
from hwgym.hardware import Technology
from hwgym.workloads import Layer

from .assignment_estimates import COUNTS, NAMES, Estimated, estimated
from .assignment_features import Known, known_of, place_features, warn_unlike
from .common import Perceptron, digest, not_negative, separable
from .tables import SeenTables

__all__ = [
    "CHECKPOINT",
    "TARGETS",
    "Arithmetic",
    "Counted",
    "Network",
    "Predicted",
    "Predictor",
    "load",
    "predict",
]

CHECKPOINT = Path(__file__).with_name("checkpoints") / "predictor.npz"
"""The one that is shipped."""

TARGETS = (*COUNTS, "valid")
"""What a network tells: log2 of counts over what was estimated, and a logit."""

_OBJECTIVES = ("latency", "energy", "edp", "throughput")


class Counted(NamedTuple):
    """What layers do and take, (layers, choices): of one run of each, before anything is priced."""

    cycles: Floats
    macs: Floats
    l1_accesses: Floats
    l2_accesses: Floats
    l1_bytes: Floats
    l2_bytes: Floats
    valid: Bools


class Network(Perceptron):
    """A multi-layer perceptron with rectified linear units."""

    agent, inputs, outputs = "predictor", len(NAMES), len(TARGETS)

    def __call__(self, values: Array) -> Floats:
        """(n, targets) of features (n, ``len(NAMES)``)."""
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = values @ weight
            values += bias
            if i < last:
                np.maximum(values, 0.0, out=values)
        return values.astype(np.float64)

    @classmethod
    def silent(cls) -> Network:
        """One that has learnt nothing: all costs as estimated, all choices valid."""
        bias = np.zeros(len(TARGETS))
        bias[TARGETS.index("valid")] = 1.0
        return cls([np.zeros((len(NAMES), len(TARGETS)))], [bias], {})


def load(path: str | os.PathLike[str] | None = None) -> Network:
    """The network of a checkpoint, by default of the one that is shipped; read once.

    Raises:
        ValueError, OSError: As :meth:`Network.load`.
    """
    return Network.load(path or CHECKPOINT)


def counted(network: Network, expected: Estimated) -> Counted:
    """What a network says of layers (layers, choices)."""
    shape = expected.counts.shape[:2]
    told = network(expected.values.reshape(-1, len(NAMES))).reshape(*shape, len(TARGETS))
    counts = np.exp2(expected.counts + told[..., :-1])
    cycles, macs, l1, l2, l1_bytes, l2_bytes = np.moveaxis(counts, -1, 0)
    valid: Bools = expected.fits & (told[..., -1] > 0)
    return Counted(cycles, macs, l1, l2, np.rint(l1_bytes), np.rint(l2_bytes), valid)


class Predicted(NamedTuple):
    """Tables (steps, actions) of a problem, as a network says them."""

    cost: Floats
    usage: Floats
    valid: Bools


def predict(network: Network, statement: Statement) -> Predicted:
    """The tables of an assignment problem, of what its statement tells.

    Raises:
        ValueError: If it is no such problem, or counts costs as MAESTRO prints them.
    """
    known = known_of(statement.known)
    key = statement.key
    if key.get("accounting") != "complete":
        raise ValueError(
            "costs are predicted as the accounting 'complete' counts them, but "
            f"{statement.title} has {key.get('accounting')!r}"
        )
    first: dict[tuple[Any, ...], int] = {}
    distinct: list[Layer] = []
    rows = []
    for layer in known.layers:
        place = first.setdefault(layer.shape, len(distinct))
        if place == len(distinct):
            distinct.append(layer)
        rows.append(place)
    each = _counts(network, known, distinct)
    repeat = np.array([[float(layer.repeat)] for layer in known.layers])
    cost, usage = _priced(each, rows, known, statement, repeat)
    valid: Bools = each.valid[rows]
    if statement.space.num_steps == 1 < len(rows):  # one configuration runs all layers
        cost, usage = cost.sum(axis=0, keepdims=True), usage.max(axis=0, keepdims=True)
        valid = np.logical_and.reduce(valid, axis=0, keepdims=True)
    return Predicted(cost, usage, valid)


def _counts(network: Network, known: Known, layers: Sequence[Layer]) -> Counted:
    """(layers, choices of all dataflows)."""
    depthwise = np.array([layer.is_depthwise for layer in layers])
    parts: list[Counted] = []
    for dataflow in known.dataflows:
        alike = [p for p, d in zip(parts, known.dataflows, strict=False)
                 if d.depthwise == dataflow.depthwise][:1]  # fmt: skip
        rows = np.flatnonzero(~depthwise) if alike else np.arange(len(layers))
        some = [layers[i] for i in rows.tolist()]
        found = counted(network, estimated(some, dataflow, known.hardware, known.pes, known.tiles))
        if alike:  # depthwise layers have the same directives
            whole = Counted._make(column.copy() for column in alike[0])
            for into, column in zip(whole, found, strict=True):
                into[rows] = column
            found = whole
        parts.append(found)
    stacked = [np.stack(columns, axis=-1) for columns in zip(*parts, strict=True)]
    # The dataflow is the last axis of a choice.
    return Counted._make(column.reshape(len(layers), -1) for column in stacked)


def _priced(
    each: Counted, rows: list[int], known: Known, statement: Statement, repeat: Floats
) -> tuple[Floats, Floats]:
    """Cost and usage (rows, actions): counts times what the technology asks."""
    t: Technology = known.hardware.tech
    energy = t.mac_energy_nj * (
        each.macs + t.l1_energy_macs * each.l1_accesses + t.l2_energy_macs * each.l2_accesses
    )
    objective = statement.objective.name
    if objective == "energy":
        cost = energy[rows] * repeat
    elif objective == "edp":
        cost = (energy * each.cycles)[rows] * repeat**2
    else:
        cost = each.cycles[rows] * repeat
    assert statement.constraint is not None  # every assignment problem has one
    by_area = statement.constraint.name == "area"
    of_mac, of_l1, of_l2 = (
        (t.mac_area_um2, t.l1_area_um2, t.l2_area_um2)
        if by_area
        else (t.mac_power_mw, t.l1_power_mw, t.l2_power_mw)
    )
    l1 = np.maximum(np.ceil(each.l1_bytes / t.l1_unit_bytes), 1)
    l2 = np.maximum(np.ceil(each.l2_bytes / t.l2_unit_bytes), 1)
    pes = np.repeat(known.pes, len(known.dataflows))
    lanes = float(known.hardware.arrays()["simd_lanes"])
    usage = pes * (of_mac * lanes + of_l1 * l1) + of_l2 * l2
    return cost, usage[rows]


class _Corrected:
    """Predicted tables, corrected by what was told.

    The logarithms of what costs and usage are over what was predicted are regressed (kernel
    regression with a prior of no error): a part that a layer's choices share as far as they are
    near, and one that alike choices of like layers share.

    Attributes:
        cost, usage, valid: (steps, actions) as they are known now.
        doubt: (steps, actions) in 0 .. 1: how little what was told says of a choice; 0 where it was
            told itself.
        error: The usual error of log costs, as far as one can tell.
        tried: Solutions that were noted, as action numbers.
    """

    MOST = 400
    """Residuals that are regressed, the last ones: what the regression takes grows with the square
    of their number, and by then most of what matters has been told."""

    def __init__(self, statement: Statement, predicted: Predicted, known: Known) -> None:
        self.seen = SeenTables(statement)
        self.predicted = predicted
        self.cost: Floats = predicted.cost.copy()
        self.usage: Floats = predicted.usage.copy()
        self.valid: Bools = predicted.valid.copy()
        self.doubt = np.ones(self.cost.shape)
        self.error = 0.02
        self.tried: set[tuple[int, ...]] = set()
        self._groups = statement.groups
        self._first = np.array([members[0] for members in self._groups])
        self._of = np.empty(len(self.cost), np.int64)
        for group, members in enumerate(self._groups):
            self._of[members] = group
        self._noted: list[tuple[int, int]] = []
        self._known: set[tuple[int, int]] = set()
        self._kernels = _kernels(known, self._first, self.cost.shape[0])

    def note(self, genes: Ints, parts: Any) -> None:
        """Take in what solutions told."""
        self.seen.note(genes, parts)
        numbers = self.seen.space.encode(genes)
        for row in numbers.tolist():
            self.tried.add(tuple(row))
            for step, action in enumerate(row):
                cell = (int(self._of[step]), action)
                if action >= 0 and cell not in self._known:
                    self._known.add(cell)
                    if self.seen.valid[step, action]:
                        self._noted.append(cell)
        self._correct()

    def _correct(self) -> None:
        seen, predicted = self.seen, self.predicted
        told = np.array(self._noted[-self.MOST :], np.int64).reshape(-1, 2)
        if len(told):
            group, action = told.T
            step = self._first[group]
            cost = np.log(seen.cost[step, action] / predicted.cost[step, action])
            usage = np.log(seen.usage[step, action] / predicted.usage[step, action])
            self.error = max(float(np.sqrt(np.mean(cost**2))), 1e-4)
            like, near = self._kernels
            own = np.eye(len(like)) + like
            gram = own[group[:, None], group] * near[action[:, None], action]
            gram[np.diag_indices(len(gram))] += 0.05
            inverse = np.linalg.inv(gram)
            # (groups, told) x (told, actions) for each of the two, and for the doubt
            weight = inverse @ np.stack([cost, usage], axis=1)
            across, along = own[:, group], near[action]
            shift_cost = (across * weight[:, 0]) @ along
            shift_usage = (across * weight[:, 1]) @ along
            nearest = np.zeros((len(like), near.shape[0]))
            for g in range(len(like)):
                mine = group == g
                if mine.any():
                    nearest[g] = near[action[mine]].max(axis=0)
            self.cost = predicted.cost * np.exp(shift_cost)[self._of]
            self.usage = predicted.usage * np.exp(shift_usage)[self._of]
            self.doubt = (1.0 - 0.8 * nearest)[self._of]
        self.cost = np.where(seen.valid, seen.cost, self.cost)
        self.usage = np.where(seen.valid, seen.usage, self.usage)
        self.valid = np.where(seen.seen, seen.valid, predicted.valid)
        self.doubt = np.where(seen.seen, 0.0, self.doubt)


def _kernels(known: Known, first: Ints, steps: int) -> tuple[Floats, Floats]:
    """How like kinds of layers are (kinds, kinds), and choices (actions, actions); 1 on the
    diagonals."""
    if steps == len(known.layers):
        layers = [known.layers[i] for i in first.tolist()]
        sizes = np.log2([[y.K, y.C, y.OY, y.OX, y.R, y.S] for y in layers])
        sizes = np.concatenate([sizes, [[8.0 * y.is_depthwise] for y in layers]], axis=1)
    else:
        sizes = np.zeros((1, 1))
    places = place_features(known)
    places[:, 2:] *= 2.0
    return _gaussian(sizes, 2.0), _gaussian(places, 1.0)


def _gaussian(points: Floats, spread: float) -> Floats:
    apart = ((points[:, None] - points) ** 2).sum(axis=-1)
    found: Floats = np.exp(-apart / (2 * spread**2))
    return found


@dataclass
class Arithmetic:
    """Works out every layer's costs from the dataflow's directives, solves, and corrects itself:
    the predictor with nothing learnt."""

    masks: bool = True
    """Choose the first sample step by step among what masks allow, planning anew on the way; else
    it is the plan as it is, which may not be feasible."""
    optimism: float = 2.0
    """Usual errors by which an unknown choice is taken to be better than predicted, where a sample
    is spent on finding out."""

    sees: ClassVar[Sees] = "layers"
    deterministic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        not_negative(self, "optimism")

    def _network(self) -> Network:
        """What tells by how much costs differ from the arithmetic."""
        return Network.silent()

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Predict, solve, look, correct, until no sample is left or everything has been seen.

        Raises:
            ValueError: If it is no problem of assignment, or the checkpoint is none.
        """
        statement = evaluator.statement
        name = type(self).__name__.lower()
        separable(statement, name)
        if statement.objective.name not in _OBJECTIVES:
            raise ValueError(f"{name} does not predict {statement.objective.label}")
        network = self._network()
        predicted = predict(network, statement)
        if network.made:
            warn_unlike(f"the {name}", statement.known, network.made.get("machines"))
        tables = _Corrected(statement, predicted, known_of(statement.known))
        planner = _Planner(statement)
        if self.masks:
            self._episode(evaluator, planner, tables)
        else:
            self._evaluate(evaluator, tables, planner.plan(tables))
        self._improve(evaluator, planner, tables)

    def _episode(self, evaluator: Evaluator, planner: _Planner, tables: _Corrected) -> None:
        """One sample, step by step; what it takes it is told on the way."""
        paid: list[tuple[Ints, Any]] = []
        env = evaluator.environment(
            action_mode="discrete",
            on_paid=lambda genes, scores, _: paid.append((genes, scores.parts)),
        )
        _, infos = env.reset()
        used, steps = 0.0, evaluator.space.num_steps
        usage, valid = tables.usage.copy(), tables.valid.copy()
        plan = planner.plan(tables)
        foreseen = 0.0  # what the plan in force foresaw up to here
        for step in range(steps):
            if abs(used - foreseen) > planner.tolerance:
                plan[step:] = planner.rest(tables.cost, usage, valid, step, used)
                foreseen = used
            alike = evaluator.statement.alike == evaluator.statement.alike[step]
            allowed = env.action_masks()[0]
            if not allowed[plan[step]]:
                valid[alike, plan[step]] = False  # nor will it be for those
                valid[step] = allowed & valid[step] if (allowed & valid[step]).any() else allowed
                plan[step:] = planner.rest(tables.cost, usage, valid, step, used)
                if not allowed[plan[step]]:
                    choices = np.flatnonzero(allowed)
                    plan[step] = choices[usage[step, choices].argmin()]
            foreseen += usage[step, plan[step]]
            _, _, _, _, infos = env.step(plan[[step]])
            if step + 1 < steps:
                now = float(infos["budget_used"][0]) * planner.limit
                usage[alike, plan[step]] = now - used
                used = now
        for genes, parts in paid:
            tables.note(genes, parts)

    def _improve(self, evaluator: Evaluator, planner: _Planner, tables: _Corrected) -> None:
        while evaluator.remaining:
            plan = planner.plan(tables)
            if tuple(plan.tolist()) in tables.tried:
                if tables.seen.seen.all():
                    return  # it is the optimum
                plan = self._unknown(planner, tables, plan)
            self._evaluate(evaluator, tables, plan)

    def _unknown(self, planner: _Planner, tables: _Corrected, plan: Ints) -> Ints:
        """(steps,) the choices that may be most worth knowing, of each kind of layer as many as it
        has steps: those that, if they are as good as they might be, gain most at the price that
        budget has in the plan."""
        cost = tables.cost * np.exp(-self.optimism * tables.error * tables.doubt)
        total = cost + planner.price(tables) * tables.usage
        found = plan.copy()
        for members in tables.seen.statement.groups:
            step = members[0]
            open_ = np.flatnonzero(~tables.seen.seen[step])
            # What is taken not to be valid comes last.
            order = np.lexsort((total[step, open_], ~tables.valid[step, open_]))
            best = open_[order[: len(members)]]
            found[members[: len(best)]] = best
        return found

    @staticmethod
    def _evaluate(evaluator: Evaluator, tables: _Corrected, plan: Ints) -> None:
        genes = evaluator.space.decode(plan[None])
        scores = evaluator.evaluate(genes)
        tables.note(genes, scores.parts)


@dataclass
class Predictor(Arithmetic):
    """Predicts every layer's costs with a trained network, solves, and corrects itself."""

    checkpoint: str | None = None
    """File that ``train_predictor`` wrote; by default the one that is shipped."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the checkpoint."""
        return digest(Path(self.checkpoint or CHECKPOINT))

    def _network(self) -> Network:
        """The one of the checkpoint."""
        return load(self.checkpoint)


class _Planner:
    """Solves tables.

    Attributes:
        tolerance: How far what was used may be from what was foreseen before the rest is planned
            anew.
    """

    def __init__(self, statement: Statement) -> None:
        self.limit, self.join = statement.limit, statement.objective.join
        self.tolerance = 1e-4 * statement.limit

    def plan(self, tables: _Corrected) -> Ints:
        """(steps,) the best by the tables."""
        return self.rest(tables.cost, tables.usage, tables.valid, 0, 0.0)

    def rest(self, cost: Floats, usage: Floats, valid: Bools, start: int, used: float) -> Ints:
        """(steps - start,) the best from a step on; what takes least, where nothing fits."""
        cost, usage = cost[start:], usage[start:]
        allowed = valid[start:] | ~valid[start:].any(axis=1, keepdims=True)
        try:
            return cheapest_choice(
                cost, usage, allowed, self.limit - used, join=self.join
            ).actions.copy()
        except ValueError:  # by the tables
            least: Ints = np.where(allowed, usage, np.inf).argmin(axis=1)
            return least

    def price(self, tables: _Corrected) -> float:
        """What a unit of budget is worth; 0 where it does not bind."""
        if self.join != "add":
            return 0.0
        allowed = tables.valid | ~tables.valid.any(axis=1, keepdims=True)
        fronts = knapsack.fronts_of(tables.cost, tables.usage, allowed)
        if knapsack.least_usage(fronts) > self.limit:
            return 0.0
        return knapsack.relax(fronts, self.limit).price
