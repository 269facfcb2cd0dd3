"""SharedProblem: one array for all parts of a design, which is set anew for each of them.

The array is chosen once; then each part gets its own way of running on it. What a part costs
depends on both, so nothing is separable, but of every array the best way of each part is, and
arrays can be listed: the optimum is exact.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np

from hwgym._arrays import Bools, Floats, Ints, Observations
from hwgym.core.certificate import Certificate
from hwgym.core.design import ADDED, CONSTRAINTS, BudgetedProblem, Deployment, over_parts
from hwgym.core.metric import METRICS, Metric
from hwgym.core.problem import Scores
from hwgym.core.veil import check_lifted
from hwgym.core.walk import Walk, WalkState

__all__ = ["SharedProblem", "SharedWalk"]


class _Grids(NamedTuple):
    """What every way on every array does: (parts, arrays, ways); made read-only."""

    cost: Floats
    usage: Floats
    valid: Bools


@dataclass(frozen=True, eq=False, repr=False)
class SharedProblem(BudgetedProblem):
    """Which array should all parts of a design share, and how should each be run on it?

    The design's first axes, ``Design.once`` of them, are the array's. It is
    what the first step says; at later steps these axes have no effect. The objective adds up over
    parts, and the constraint is that of the part that demands most. Arguments and errors are those
    of :class:`~hwgym.core.design.BudgetedProblem`.
    """

    deployment: Deployment = Deployment.SHARED

    deployments: ClassVar = (Deployment.SHARED,)

    @property
    def _minimised(self) -> Metric:
        """It adds up over parts, but what a part adds is known of the array only."""
        return replace(self.objective, join="whole")

    # --- tables ---------------------------------------------------------------------------------

    @cached_property
    def _tables(self) -> _Grids:
        design = self.design
        shape = tuple(axis.size for axis in design.axes)
        if Deployment.SHARED not in design.deployments:
            raise ValueError(
                f"{design.title}: {design.styles} leaves nothing to choose on a shared array; "
                f"deployment {Deployment.LS} is the same"
            )
        arrays = int(np.prod(shape[: design.once]))
        tables = design.table(self.objective), design.table(self.constraint), design.valid
        grids = [t.reshape(len(t), arrays, -1) for t in tables]
        found = _Grids(grids[0].astype(np.float64), grids[1].astype(np.float64), grids[2])
        for grid in found:
            grid.setflags(write=False)
        return found

    @cached_property
    def _fitting(self) -> Bools:
        """(parts, arrays, ways): can be built, and is within the limit."""
        return self._tables.valid & (self._tables.usage <= self.limit)

    @cached_property
    def _runs_all(self) -> Bools:
        """(arrays,): every part has a way that can be built."""
        return _all_parts(self._tables.valid)

    def _check_valid_points(self) -> None:
        if not self._runs_all.any():
            design = self.design
            raise ValueError(
                f"{design.title}: no array runs every {design.part} under {design.styles} with "
                f"{design.levels}"
            )

    @cached_property
    def budget_range(self) -> tuple[float, float]:
        usage, valid = self._tables.usage, self._tables.valid
        most = np.where(valid, usage, -np.inf).max(axis=(0, 2))
        return self._needed, float(most[self._runs_all].max())

    @cached_property
    def _needed(self) -> float:
        least = np.where(self._tables.valid, self._tables.usage, np.inf).min(axis=2)
        return float(least.max(axis=0).min())

    @property
    def _scale(self) -> float:
        worst = np.where(self._tables.valid, self._tables.cost, -np.inf).max(axis=2)
        return float(worst[:, self._runs_all].sum(axis=0).max())

    # --- solutions ------------------------------------------------------------------------------

    def choices(self, genes: Ints) -> Ints:
        numbers = self.space.encode(genes)
        ways = self._tables.cost.shape[2]
        return np.where(numbers < 0, -1, numbers[:, :1] // ways * ways + numbers % ways)

    def score(self, genes: Ints) -> Scores:
        chosen = self.choices(genes)
        done = chosen >= 0
        parts, actions = np.arange(chosen.shape[1]), np.maximum(chosen, 0)
        at = parts, actions
        design, flat = self.design, (len(parts), -1)
        metrics = {
            name: over_parts(
                design.table(METRICS[name])[at], done, np.add if name in ADDED else np.maximum
            )
            for name in (*ADDED, *CONSTRAINTS)
        }
        used = metrics[self.constraint.name]
        built = self._tables.valid.reshape(flat)[at]
        valid: Bools = np.logical_and.reduce(done & built, axis=1)
        objective = over_parts(self._tables.cost.reshape(flat)[at], done, np.add)
        return Scores(
            objective=np.where(valid, objective, np.inf),
            used=used,
            valid=valid,
            feasible=valid & (used <= self.limit),
            metrics=metrics,
        )

    def certify(self) -> Certificate:
        """Of every array, each part's best way that fits; of these the best array."""
        start = time.perf_counter()
        costs = np.where(self._fitting, self._tables.cost, np.inf)
        ways = costs.argmin(axis=2)
        totals = np.add.accumulate(costs.min(axis=2), axis=0)[-1]
        array = int(totals.argmin())
        best = float(totals[array])
        numbers = array * costs.shape[2] + ways[:, array]
        method = f"all {len(totals):,} arrays, the best way of each {self.design.part} on them"
        found = self.space.decode(numbers)
        return Certificate(found, best, best, method, time.perf_counter() - start)

    @property
    def binds(self) -> bool:
        """Whether the limit matters: the best array of all exceeds it."""
        check_lifted("what each choice costs")
        costs = np.where(self._tables.valid, self._tables.cost, np.inf)
        least = costs.min(axis=2, keepdims=True)
        used = np.where(costs == least, self._tables.usage, np.inf).min(axis=2).max(axis=0)
        totals = np.add.accumulate(least[..., 0], axis=0)[-1]
        return bool(used[totals == totals.min()].min() > self.limit)


class SharedWalk(Walk):
    """The walk over problems of a shared array.

    An episode fails at the first step if the array has no way that fits for some part, and at any
    step whose way cannot be built on it or exceeds the limit. Masks allow exactly what does not
    fail, and after the first step the chosen array only. Observations show the array that counts as
    the previous choice, and before the end the share of the limit left.
    """

    problems: tuple[SharedProblem, ...]

    def __init__(self, problems: Sequence[SharedProblem]) -> None:
        super().__init__(problems)
        self.observation_size += 1
        most = int(self.num_steps.max())
        fitting = [p._fitting for p in self.problems]
        shape = (len(fitting), most, *fitting[0].shape[1:])
        self._fitting = np.zeros(shape, bool)
        self._usage = np.zeros(shape)
        for i, (problem, fits) in enumerate(zip(self.problems, fitting, strict=True)):
            self._fitting[i, : len(fits)] = fits
            self._usage[i, : len(fits)] = problem._tables.usage
        self._array_fits = np.array([_all_parts(fits) for fits in fitting])
        self._limits = np.array([p.limit for p in self.problems])
        self._once = self.problems[0].design.once

    def _chosen(self, state: WalkState) -> tuple[Ints, Ints]:
        """(N,) the array, and (N, most steps) the ways; below 0 where nothing is chosen."""
        numbers = self.problems[0].space.encode(state.genes)
        ways = self._fitting.shape[3]
        return numbers[:, 0] // ways, np.where(numbers < 0, -1, numbers % ways)

    def broken(self, state: WalkState) -> Bools:
        array, ways = self._chosen(state)
        last = np.minimum(state.step, self._fitting.shape[1]) - 1
        way = ways[np.arange(len(last)), last]
        fits = self._fitting[state.which, last, array, way]
        broken: Bools = ~(fits & self._array_fits[state.which, array])
        return broken

    def masks(self, state: WalkState, mode: str) -> Bools:
        step = np.minimum(state.step, self.num_steps[state.which] - 1)
        joint: Bools = self._fitting[state.which, step] & self._array_fits[state.which][:, :, None]
        later = np.flatnonzero(state.step > 0)
        array, _ = self._chosen(state)
        joint[later] &= (np.arange(joint.shape[1]) == array[later, None])[:, :, None]
        joint[~joint.any(axis=(1, 2))] = True  # of an episode that failed
        flat = joint.reshape(len(joint), -1)
        return flat if mode == "discrete" else self.levels(flat)

    def observe(self, state: WalkState, room: int = 0) -> Observations:
        genes, once = state.genes.copy(), self._once
        genes[:, 1:, :once] = np.where(genes[:, 1:, :once] < 0, -1, genes[:, :1, :once])
        seen: Observations = super().observe(state._replace(genes=genes), room)
        array, ways = self._chosen(state)
        usage = self._usage[state.which[:, None], np.arange(ways.shape[1]), array[:, None], ways]
        used = np.where(ways < 0, 0.0, usage).max(axis=1)
        left = np.clip(1.0 - used / self._limits[state.which], 0.0, 1.0) * 2.0 - 1.0
        return np.insert(seen, seen.shape[1] - room, left.astype(np.float32), axis=1)


def _all_parts(ways: Bools) -> Bools:
    """(arrays,) from (parts, arrays, ways): whether every part has one of its ways."""
    has: Bools = np.logical_or.reduce(ways, axis=2)
    every: Bools = np.logical_and.reduce(has, axis=0)
    return every
