"""AssignmentProblem: a design space with an objective, a constraint and a budget."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwgym._names import nearest
from hwgym.costs.maestro import Dataflow
from hwgym.families.assignment.accounting import Accounting
from hwgym.families.assignment.design_space import PE_LEVELS, TILE_LEVELS, DesignSpace
from hwgym.hardware import Hardware
from hwgym.workloads import Workload

if TYPE_CHECKING:
    from hwgym.families.assignment.optimum import Certificate

__all__ = [
    "CONSTRAINTS",
    "DEPLOYMENTS",
    "OBJECTIVES",
    "PLATFORMS",
    "AssignmentProblem",
    "InfeasibleError",
    "Scores",
]

OBJECTIVES = ("latency", "energy", "edp", "throughput")
CONSTRAINTS = ("area", "power")
DEPLOYMENTS = ("LP", "LS")
PLATFORMS: Mapping[str, float] = MappingProxyType(
    {"unlimited": 1.0, "cloud": 0.5, "iot": 0.1, "iotx": 0.05}
)
"""The share of the range between least and greatest constraint that a platform grants."""

BUDGET_RTOL = 1e-12
"""An assignment over budget by less than this share is within it: sums of areas are floats, and
the order of adding must not decide."""

_BATCH = 512  # assignments scored at once: what they gather stays in cache

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class InfeasibleError(ValueError):
    """No assignment fits the budget."""


@dataclass(frozen=True, eq=False)
class Scores:
    """What assignments are worth: arrays of shape (N,).

    Attributes:
        objective: Of the problem; lower is better, also over budget. Infinite where ``valid`` is
            False: what cannot be built costs nothing and must not look good.
        latency_cycles, energy_nj: Sums over layers.
        area_um2, power_mw: Sums over layers (LP), or the most demanding layer's (LS).
        used: The constraint's value, to be held against the budget.
        valid: Every chosen point is valid.
        feasible: Valid and within budget.
    """

    objective: Floats
    latency_cycles: Floats
    energy_nj: Floats
    area_um2: Floats
    power_mw: Floats
    used: Floats
    valid: Bools
    feasible: Bools


@dataclass(frozen=True, eq=False)
class AssignmentProblem:
    """Which configuration should each layer get?

    Under deployment LP every layer has a partition of its own: there is one step a layer and the
    constraint adds up. Under LS one configuration runs all layers: there is one step, and the
    constraint is that of the layer that demands most.

    Args:
        space: What every choice costs.
        objective: ``latency`` (cycles), ``energy`` (nJ), ``edp`` (the sum of each layer's energy x
            latency, nJ x cycles) or ``throughput`` (the slowest layer's cycles: the pipeline's
            period). Always minimised.
        constraint: ``area`` (um^2) or ``power`` (mW).
        platform: A key of :data:`PLATFORMS`: budget = least + (greatest - least) x share.
        ratio: A share of one's own, instead of a platform.
        budget: An absolute budget, instead of either, in the constraint's unit.
        deployment: ``LP`` or ``LS``.

    With the accounting ``maestro`` the budget's range is ConfuciuX's: between the least and the
    greatest of the four uniform assignments that take every level's extremes.

    Raises:
        ValueError: If a name is unknown, more than one of platform, ratio and budget is given, or a
            step has no valid point.
        InfeasibleError: If no assignment fits the budget (a ValueError, too).
    """

    space: DesignSpace
    objective: str = "latency"
    constraint: str = "area"
    platform: str | None = None
    ratio: float | None = None
    budget: float | None = None
    deployment: str = "LP"

    @classmethod
    def of(
        cls,
        workload: Workload | str = "MobileNetV2",
        dataflow: str | Dataflow | Sequence[str | Dataflow] = "NVDLA",
        *,
        objective: str = "latency",
        constraint: str = "area",
        platform: str | None = None,
        ratio: float | None = None,
        budget: float | None = None,
        deployment: str = "LP",
        released: bool = False,
        pe_levels: Sequence[int] = PE_LEVELS,
        tile_levels: Sequence[int] = TILE_LEVELS,
        hardware: Hardware | Mapping[str, Any] | str | os.PathLike[str] | None = None,
        accounting: Accounting | str | None = None,
    ) -> AssignmentProblem:
        """A problem from names, shared: equal arguments give the same object and certificate.

        Args:
            workload, dataflow, released, pe_levels, tile_levels, hardware, accounting: As
                :meth:`DesignSpace.of` takes them.
            objective, constraint, platform, ratio, budget, deployment: As
                :class:`AssignmentProblem` takes them.

        Raises:
            ValueError: As they do.
            OSError: If a file cannot be read.
        """
        space = DesignSpace.of(
            workload,
            dataflow,
            released=released,
            pe_levels=pe_levels,
            tile_levels=tile_levels,
            hardware=hardware,
            accounting=accounting,
        )
        if platform is None and ratio is None and budget is None:
            platform = "iot"
        settings = (objective, constraint, platform, ratio, budget, deployment)
        if all(isinstance(s, str | Real | None) for s in settings):
            return _problem(space, *settings)
        return AssignmentProblem(space, *settings)  # says what is wrong with them

    def __post_init__(self) -> None:
        if not isinstance(self.space, DesignSpace):
            raise ValueError(
                f"space must be a DesignSpace, got {self.space!r}; AssignmentProblem.of takes names"
            )
        for kind, given, allowed in (
            ("objective", self.objective, OBJECTIVES),
            ("constraint", self.constraint, CONSTRAINTS),
            ("deployment", self.deployment, DEPLOYMENTS),
        ):
            if given not in allowed:
                raise ValueError(nearest(kind, given, allowed))
        if self.objective == "throughput" and self.deployment == "LS":
            raise ValueError(
                "throughput is the period of a layer pipeline (LP); with one configuration running "
                "all layers (LS) the period is the latency, so use objective='latency'"
            )
        self._check_valid_points()
        self._set_budget()

    def _check_valid_points(self) -> None:
        for step in np.flatnonzero(~self.valid.any(axis=1)):
            who = f"layer {self.space.workload[int(step)].name!r} has no valid design point"
            if self.deployment == "LS":
                who = "no configuration is valid for every layer"
            styles = "+".join(d.name for d in self.space.dataflows)
            raise ValueError(
                f"{self.space.workload.name}: {who} under {styles} with PEs "
                f"{self.space.pe_levels} and filters per PE {self.space.tile_levels}"
            )

    def _set_budget(self) -> None:
        given = [n for n in ("platform", "ratio", "budget") if getattr(self, n) is not None]
        if len(given) > 1:
            raise ValueError(f"give one of platform, ratio and budget, not {' and '.join(given)}")
        least, greatest = self.budget_range
        if self.budget is not None:
            budget = _number("budget", self.budget)
        else:
            platform = self.platform
            if self.ratio is not None:
                share = _number("ratio", self.ratio)
                if not 0 <= share <= 1:
                    raise ValueError(f"ratio must lie in [0, 1], got {self.ratio!r}")
            else:
                platform = "iot" if platform is None else platform
                if platform not in PLATFORMS:
                    raise ValueError(nearest("platform", platform, PLATFORMS))
                share = PLATFORMS[platform]
            object.__setattr__(self, "platform", platform)
            object.__setattr__(self, "ratio", share)
            budget = least + (greatest - least) * share
        object.__setattr__(self, "budget", budget)
        needed = float(self.least_used.sum())
        if needed > self.limit:
            raise InfeasibleError(
                f"no assignment fits the {self.constraint} budget of {budget:.6g} {self.unit}: the "
                f"least that any valid assignment of {self.space.workload.name} takes is "
                f"{needed:.6g} {self.unit}"
            )

    # --- tables: (steps, actions) ---------------------------------------------------------------

    @property
    def num_steps(self) -> int:
        """Decisions in an episode: the layers (LP) or one (LS)."""
        return 1 if self.deployment == "LS" else len(self.space.workload)

    @property
    def num_actions(self) -> int:
        """Choices at each step."""
        return self.space.num_actions

    @cached_property
    def valid(self) -> Bools:
        """(steps, actions): which choices count."""
        return self._fold(self.space.valid, np.logical_and)

    @cached_property
    def latency(self) -> Floats:
        """(steps, actions): cycles."""
        return self._fold(self.space.latency_cycles.astype(np.float64), np.add)

    @cached_property
    def energy(self) -> Floats:
        """(steps, actions): nJ."""
        return self._fold(self.space.energy_nj, np.add)

    @cached_property
    def area(self) -> Floats:
        """(steps, actions): um^2."""
        return self._fold(self.space.area_um2, np.maximum)

    @cached_property
    def power(self) -> Floats:
        """(steps, actions): mW."""
        return self._fold(self.space.power_mw, np.maximum)

    @cached_property
    def cost(self) -> Floats:
        """(steps, actions): each step's part of the objective."""
        if self.objective == "energy":
            return self.energy
        if self.objective == "edp":
            return self._fold(self.space.energy_nj * self.space.latency_cycles, np.add)
        return self.latency

    @property
    def usage(self) -> Floats:
        """(steps, actions): each step's part of the constraint."""
        return self.area if self.constraint == "area" else self.power

    @cached_property
    def least_used(self) -> Floats:
        """(steps,): the least that a valid choice takes of the constraint."""
        least: Floats = np.where(self.valid, self.usage, np.inf).min(axis=1)
        return _read_only(least)

    @cached_property
    def least_used_after(self) -> Floats:
        """(steps + 1,): the least that the steps from each on can take together."""
        return _read_only(np.append(np.cumsum(self.least_used[::-1])[::-1], 0.0))

    @cached_property
    def best_cost(self) -> Floats:
        """(steps,): the least cost of a valid choice."""
        best: Floats = np.where(self.valid, self.cost, np.inf).min(axis=1)
        return _read_only(best)

    @cached_property
    def worst_cost(self) -> Floats:
        """(steps,): the greatest cost of a valid choice."""
        worst: Floats = np.where(self.valid, self.cost, -np.inf).max(axis=1)
        return _read_only(worst)

    def _fold(self, table: NDArray[Any], over_layers: np.ufunc) -> NDArray[Any]:
        if self.deployment == "LS":
            table = over_layers.reduce(table, axis=0, keepdims=True)
        return _read_only(table)

    # --- budget ---------------------------------------------------------------------------------

    @property
    def unit(self) -> str:
        """The constraint's unit."""
        return "um^2" if self.constraint == "area" else "mW"

    @cached_property
    def budget_range(self) -> tuple[float, float]:
        """Least and greatest constraint value, between which platforms take their share."""
        if self.space.accounting.corners and self.deployment == "LP":
            shape = (*self.space.shape, 1)[:3]
            # Which dataflow a corner takes makes no difference to PEs, and so next to none here.
            corners = self.usage.reshape(-1, *shape)[:, [0, -1, 0, -1], [0, 0, -1, -1], 0]
            totals = corners.sum(axis=0)
            return float(totals.min()), float(totals.max())
        most = np.where(self.valid, self.usage, -np.inf).max(axis=1)
        return float(self.least_used.sum()), float(most.sum())

    @cached_property
    def limit(self) -> float:
        """The budget with the slack for rounding, :data:`BUDGET_RTOL`."""
        assert self.budget is not None  # set on construction
        return self.budget * (1 + BUDGET_RTOL)

    # --- assignments ----------------------------------------------------------------------------

    def actions_of(self, assignments: ArrayLike) -> NDArray[np.int64]:
        """Action numbers (N, steps) of assignments.

        Args:
            assignments: Level indices (N, steps, 2), with a third where dataflows mix; or of a
                single assignment, without the first axis.

        Raises:
            ValueError: If the shape is another one, or an index is out of range.
        """
        levels = np.asarray(assignments)
        wanted = (self.num_steps, len(self.space.shape))
        if levels.ndim == 2:
            levels = levels[None]
        if levels.ndim != 3 or levels.shape[1:] != wanted:
            raise ValueError(
                f"assignments must have shape (N, {wanted[0]}, {wanted[1]}) or {wanted}, "
                f"got {np.shape(assignments)}"
            )
        return self.space.encode(levels)

    def evaluate(self, assignments: ArrayLike) -> Scores:
        """Score assignments (N, steps, 2), level indices as :meth:`actions_of` takes them.

        Raises:
            ValueError: If the shape is another one, or an index is out of range.
        """
        return self.evaluate_actions(self.actions_of(assignments))

    def evaluate_actions(self, actions: NDArray[np.int64]) -> Scores:
        """Score assignments given as action numbers (N, steps).

        Raises:
            ValueError: If the shape is another one, or a number is out of range.
        """
        if actions.ndim != 2 or actions.shape[1] != self.num_steps:
            raise ValueError(f"actions must have shape (N, {self.num_steps}), got {actions.shape}")
        if actions.size and (actions.min() < 0 or actions.max() >= self.num_actions):
            raise ValueError(f"action numbers must lie in 0..{self.num_actions - 1}")
        objective, latency, energy, area, power = self.totals(actions).T
        used = area if self.constraint == "area" else power
        valid = np.isfinite(objective)
        return Scores(
            objective=objective,
            latency_cycles=latency,
            energy_nj=energy,
            area_um2=area,
            power_mw=power,
            used=used,
            valid=valid,
            feasible=valid & (used <= self.limit),
        )

    def totals(self, actions: NDArray[np.int64]) -> Floats:
        """What assignments come to, (N, 5): objective, latency, energy, area, power.

        Args:
            actions: Action numbers (N, steps), not checked; -1 where an episode did not get to,
                which adds nothing. The objective is infinite where a point is invalid.
        """
        totals = np.empty((len(actions), self._columns.shape[1]))
        first = np.arange(self.num_steps)[:, None] * self.num_actions
        for start in range(0, len(actions), _BATCH):
            chosen = actions[start : start + _BATCH].T
            rows = np.where(chosen >= 0, chosen + first, -1)
            values = self._columns.take(rows, axis=0)
            # Along this axis numpy adds step by step, in order, as an episode does.
            part = totals[start : start + _BATCH]
            np.add.reduce(values, axis=0, out=part)
            if self.objective == "throughput":
                np.maximum.reduce(values[..., 0], axis=0, out=part[:, 0])
        return totals

    @cached_property
    def _columns(self) -> Floats:
        """(steps x actions + 1, 5): what one choice adds, side by side in memory; last, nothing."""
        cost = np.where(self.valid, self.cost, np.inf)
        tables = (cost, self.latency, self.energy, self.area, self.power)
        columns = np.stack([t.ravel().astype(np.float64) for t in tables], axis=1)
        return _read_only(np.vstack([columns, np.zeros(len(tables))]))

    def uniform(self) -> NDArray[np.int64]:
        """The assignments that give every step the same choice: (actions, steps, 2 or 3)."""
        actions = np.arange(self.num_actions)
        return self.space.decode(np.repeat(actions[:, None], self.num_steps, axis=1))

    def with_levels(
        self, pe_levels: Sequence[int], tile_levels: Sequence[int]
    ) -> AssignmentProblem:
        """The same problem, with the same absolute budget, over other PE and buffer levels."""
        space = self.space
        other = DesignSpace.of(
            space.workload,
            space.dataflows,
            pe_levels=pe_levels,
            tile_levels=tile_levels,
            hardware=space.hardware,
            accounting=space.accounting,
        )
        return AssignmentProblem(
            other, self.objective, self.constraint, budget=self.budget, deployment=self.deployment
        )

    def optimum(self) -> Certificate:
        """The proven optimum; solved on the first call, then kept."""
        return self._optimum

    @cached_property
    def _optimum(self) -> Certificate:
        from hwgym.families.assignment.optimum import optimum

        return optimum(self)

    def regret(self, objective: float) -> float:
        """``objective / optimum - 1``."""
        return float(objective) / self.optimum().objective - 1

    def __repr__(self) -> str:
        styles = "+".join(d.name for d in self.space.dataflows)
        return (
            f"<AssignmentProblem {self.space.workload.name} {styles} {self.objective} "
            f"{self.constraint}<={float(self.budget or 0):.6g}{self.unit} {self.deployment}>"
        )


@lru_cache(maxsize=256)
def _problem(space: DesignSpace, *settings: Any) -> AssignmentProblem:
    return AssignmentProblem(space, *settings)


def _number(what: str, given: float) -> float:
    is_number = isinstance(given, Real) and not isinstance(given, bool)
    if not is_number or not np.isfinite(given) or given < 0:
        raise ValueError(f"{what} must be a number >= 0, got {given!r}")
    return float(given)


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array
