"""PipelineProblem: the shortest period of a pipeline whose partitions share DRAM.

Under LP every layer has a partition of its own and works on another input of a stream. From one
input to the next at least the slowest layer's latency passes, and DRAM must give meanwhile what all
layers read, and take what they write. So the period is the greatest of three: the slowest layer's
latency, the cycles of all reads, the cycles of all writes.

Its optimum is found all the same. Of a bound T on latencies let S(T) be the least sum of the cycles
of reads that fits the budget, a multiple-choice knapsack; it falls as T grows. The least of
max(T, S(T)) is either the least latency T of any choice for which S(T) <= T, or S of the latency
below. That leaves writes out, so it is a lower bound, and the optimum where the writes of the
solution fit its period. Where they do not, the same is asked of mixtures of reads and writes, which
are no more than the greater of the two; should none prove an optimum, the certificate has the best
bound.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np

from hwgym._arrays import Bools, Floats, Ints, Observations
from hwgym.bounds.optimum import cheapest_choice
from hwgym.core.certificate import Certificate
from hwgym.core.design import ADDED, CONSTRAINTS, BudgetedProblem, Deployment, over_parts
from hwgym.core.metric import METRICS, Metric
from hwgym.core.problem import Scores
from hwgym.core.veil import check_lifted
from hwgym.core.walk import Walk, WalkState
from hwgym.families.layered.design import LayerDesign

__all__ = ["PERIOD", "PipelineProblem", "PipelineWalk"]

PERIOD = replace(
    METRICS["throughput"],
    join="whole",
    about="the pipeline's period: the slowest layer's latency, or what all layers' DRAM reads or "
    "writes take together",
)


MIXTURES = 12
"""So many mixtures of reads and writes are asked at most."""


class _Tables(NamedTuple):
    """What every choice does: (layers, actions); read-only."""

    latency: Floats
    reads: Floats
    writes: Floats
    usage: Floats
    valid: Bools


@dataclass(frozen=True, eq=False, repr=False)
class PipelineProblem(BudgetedProblem):
    """Which configuration should each layer get, for the shortest period? The module says how it is
    proven; arguments and errors are those of :class:`~hwgym.core.design.BudgetedProblem`."""

    design: LayerDesign
    objective: Metric = METRICS["throughput"]

    objectives: ClassVar = ("throughput",)
    deployments: ClassVar = (Deployment.LP,)

    @property
    def _minimised(self) -> Metric:
        return PERIOD

    # --- tables ---------------------------------------------------------------------------------

    @cached_property
    def _tables(self) -> _Tables:
        design = self.design
        latency, usage = (
            design.table(metric).astype(np.float64) for metric in (self.objective, self.constraint)
        )
        for table in (latency, usage):
            table.setflags(write=False)
        reads, writes = design.dram_cycles or (np.zeros(latency.shape), np.zeros(latency.shape))
        return _Tables(latency, reads, writes, usage, design.valid)

    @cached_property
    def _least_used(self) -> Floats:
        least: Floats = np.where(self._tables.valid, self._tables.usage, np.inf).min(axis=1)
        return least

    def _check_valid_points(self) -> None:
        self._check_steps(self._tables.valid)

    @cached_property
    def budget_range(self) -> tuple[float, float]:
        most = np.where(self._tables.valid, self._tables.usage, -np.inf).max(axis=1)
        return self._needed, float(most.sum())

    @property
    def _needed(self) -> float:
        return float(self._least_used.sum())

    @property
    def _scale(self) -> float:
        t = self._tables
        slowest = np.where(t.valid, t.latency, 0.0).max()
        busy = [np.where(t.valid, each, 0.0).max(axis=1).sum() for each in (t.reads, t.writes)]
        return float(max(slowest, *busy))

    # --- solutions ------------------------------------------------------------------------------

    def choices(self, genes: Ints) -> Ints:
        return self.space.encode(genes)

    def score(self, genes: Ints) -> Scores:
        return self._score(self.space.encode(genes))

    def _score(self, numbers: Ints) -> Scores:
        done = numbers >= 0
        at = np.arange(numbers.shape[1]), np.maximum(numbers, 0)

        metrics = {
            name: over_parts(self.design.table(METRICS[name])[at], done, np.add)
            for name in (*ADDED, *CONSTRAINTS)
        }
        used = metrics[self.constraint.name]
        valid: Bools = np.logical_and.reduce(done & self._tables.valid[at], axis=1)
        t = self._tables
        busy = np.maximum(
            over_parts(t.reads[at], done, np.add), over_parts(t.writes[at], done, np.add)
        )
        period = np.maximum(over_parts(t.latency[at], done, np.maximum), busy)
        return Scores(
            objective=np.where(valid, period, np.inf),
            used=used,
            valid=valid,
            feasible=valid & (used <= self.limit),
            metrics=metrics,
        )

    def certify(self) -> Certificate:
        """By bisection over latencies, a knapsack at each; see the module's docstring."""
        start = time.perf_counter()
        t = self._tables
        best, lower = None, 0.0
        share, least, most = 1.0, 0.0, 1.0  # of reads in a mixture of reads and writes
        for mixture in range(MIXTURES):
            mixed = share * t.reads + (1 - share) * t.writes if share < 1 else t.reads
            actions, bound = self._relaxed(mixed)
            period = float(self._score(actions[None]).objective[0])
            if best is None or period < best[1]:
                best = actions, period
            lower = max(lower, min(bound, best[1]))
            if lower == best[1]:
                break
            if mixture == 0:
                share = 0.0
                continue
            if _added(t.reads, actions) > _added(t.writes, actions):
                least = share
            else:
                most = share
            share = (least + most) / 2
        assert best is not None  # there is at least one mixture
        return Certificate(
            self.space.decode(best[0]),
            best[1],
            lower,
            "bisection over latencies, a knapsack of DRAM cycles at each",
            time.perf_counter() - start,
        )

    def _relaxed(self, cycles: Floats) -> tuple[Ints, float]:
        """The actions (layers,) of the least max(slowest latency, sum of cycles) within the budget,
        and that; ``cycles`` (layers, actions)."""
        bounds = np.unique(self._tables.latency[self._tables.valid])
        low, high = -1, len(bounds)  # S(T) > T up to low, S(T) <= T from high on
        found: dict[int, tuple[Ints, float]] = {}
        while high - low > 1:
            middle = (low + high) // 2
            actions = self._least(cycles, float(bounds[middle]))
            if actions is not None:
                found[middle] = actions, _added(cycles, actions)
            if actions is not None and found[middle][1] <= bounds[middle]:
                high = middle
            else:
                low = middle
        layers = np.arange(len(cycles))
        candidates = [
            (max(busy, float(self._tables.latency[layers, actions].max())), i)
            for i in (low, high)
            if i in found
            for actions, busy in [found[i]]
        ]
        period, i = min(candidates)
        return found[i][0], period

    def _least(self, cycles: Floats, bound: float) -> Ints | None:
        """(layers,) the actions of least cycles within the budget, of those whose latency is within
        a bound; None if none fit."""
        t = self._tables
        allowed = t.valid & (t.latency <= bound)
        if not allowed.any(axis=1).all():
            return None
        if np.where(allowed, t.usage, np.inf).min(axis=1).sum() > self.limit:
            return None
        return cheapest_choice(
            cycles,
            t.usage,
            allowed,
            self.limit,
            accept=lambda actions: bool(self._score(actions[None]).feasible[0]),
            value=lambda actions: _added(cycles, actions),
        ).actions

    @property
    def binds(self) -> bool:
        """Whether the limit matters: without it the period can be shorter."""
        check_lifted("what each choice costs")
        whole = type(self)(self.design, constraint=self.constraint, platform="unlimited")
        return whole.certificate().objective < self.certificate().objective


def _added(table: Floats, actions: Ints) -> float:
    """The sum of what actions (layers,) add, in the order of the layers."""
    return float(np.add.accumulate(table[np.arange(len(actions)), actions])[-1])


class PipelineWalk(Walk):
    """The walk over pipelines: an episode fails when its limit breaks or an invalid choice is
    taken, and masks allow exactly the choices after which it can still end feasibly. Observations
    end with the share of the limit left."""

    problems: tuple[PipelineProblem, ...]

    def __init__(self, problems: Sequence[PipelineProblem]) -> None:
        super().__init__(problems)
        self.observation_size += 1
        most, actions = int(self.num_steps.max()), self.problems[0].space.num_actions
        self._needs = np.full((len(self.problems), most, actions), np.inf)
        self._after = np.zeros((len(self.problems), most + 1))
        for i, problem in enumerate(self.problems):
            t, least = problem._tables, problem._least_used
            self._needs[i, : len(least)] = np.where(t.valid, t.usage, np.inf)
            self._after[i, : len(least)] = np.cumsum(least[::-1])[::-1]
        self._limits = np.array([p.limit for p in self.problems])

    def _used(self, state: WalkState) -> Floats:
        numbers = self.problems[0].space.encode(state.genes)
        at = state.which[:, None], np.arange(numbers.shape[1]), np.maximum(numbers, 0)
        used = np.where(numbers < 0, 0.0, self._needs[at])
        total: Floats = np.add.accumulate(used, axis=1)[:, -1]
        return total

    def broken(self, state: WalkState) -> Bools:
        broken: Bools = self._used(state) > self._limits[state.which]
        return broken

    def masks(self, state: WalkState, mode: str) -> Bools:
        step = np.minimum(state.step, self.num_steps[state.which] - 1)
        room = self._limits[state.which] - self._used(state) - self._after[state.which, step + 1]
        needs = self._needs[state.which, step]
        joint: Bools = needs <= room[:, None]
        lost = ~joint.any(axis=1)
        joint[lost] = needs[lost] == needs[lost].min(axis=1, keepdims=True)
        return joint if mode == "discrete" else self.levels(joint)

    def observe(self, state: WalkState, room: int = 0) -> Observations:
        seen: Observations = super().observe(state, room)
        left = 1.0 - self._used(state) / self._limits[state.which]
        shown = np.clip(left, 0.0, 1.0) * 2.0 - 1.0
        return np.insert(seen, seen.shape[1] - room, shown.astype(np.float32), axis=1)
