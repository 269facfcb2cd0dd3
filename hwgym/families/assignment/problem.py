"""AssignmentProblem: a design space with an objective, a constraint and a budget."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from functools import cached_property, lru_cache
from numbers import Real
from types import MappingProxyType
from typing import Any

import numpy as np

from hwgym._arrays import Bools, Floats
from hwgym._names import nearest
from hwgym.core.metric import METRICS, Metric, find_metric
from hwgym.core.problem import InfeasibleError, Statement
from hwgym.core.space import Axis, Space
from hwgym.core.tables import TableProblem, Tables
from hwgym.costs.maestro import DATAFLOWS, Dataflow
from hwgym.families.assignment.accounting import Accounting
from hwgym.families.assignment.design_space import PE_LEVELS, TILE_LEVELS, DesignSpace
from hwgym.hardware import Hardware
from hwgym.workloads import LAYER_KINDS, Workload

__all__ = [
    "BUDGET_RTOL",
    "CONSTRAINTS",
    "OBJECTIVES",
    "PLATFORMS",
    "AssignmentProblem",
    "Deployment",
]

NAME, VERSION = "assignment", 0
COST_MODEL = {"name": "maestro", "version": "4eb08d1"}

OBJECTIVES = ("latency", "energy", "edp", "throughput")
CONSTRAINTS = ("area", "power")
PLATFORMS: Mapping[str, float] = MappingProxyType(
    {"unlimited": 1.0, "cloud": 0.5, "iot": 0.1, "iotx": 0.05}
)
"""The share of the range between least and greatest constraint that a platform grants."""

BUDGET_RTOL = 1e-12
"""An assignment over budget by less than this share is within it: sums of areas are floats, and
the order of adding must not decide."""


class Deployment(str, Enum):
    """How an array runs a network: a partition for each layer (LP), or one for all (LS)."""

    LP = "LP"
    LS = "LS"

    def __str__(self) -> str:
        return self.value

    @property
    def shared(self) -> bool:
        """One configuration runs all layers, one after the other."""
        return self is Deployment.LS


@dataclass(frozen=True, eq=False, repr=False)
class AssignmentProblem(TableProblem):
    """Which configuration should each layer get?

    Under deployment LP every layer has a partition of its own: there is one step a layer and the
    constraint adds up. Under LS one configuration runs all layers: there is one step, and the
    constraint is that of the layer that demands most.

    Args:
        design: What every choice costs.
        objective: ``latency`` (cycles), ``energy`` (nJ), ``edp`` (the sum of each layer's energy x
            latency, nJ x cycles) or ``throughput`` (the slowest layer's cycles: the pipeline's
            period), by name or as a metric. Always minimised.
        constraint: ``area`` (um^2) or ``power`` (mW), likewise.
        platform: A key of :data:`PLATFORMS`: budget = least + (greatest - least) x share.
        ratio: A share of one's own, instead of a platform.
        budget: An absolute budget, instead of either, in the constraint's unit.
        deployment: ``LP`` or ``LS``.

    Raises:
        ValueError: If a name is unknown, more than one of platform, ratio and budget is given, or a
            step has no valid point.
        InfeasibleError: If no assignment fits the budget (a ValueError, too).
    """

    design: DesignSpace
    objective: Metric = METRICS["latency"]
    constraint: Metric = METRICS["area"]
    platform: str | None = None
    ratio: float | None = None
    budget: float | None = None
    deployment: Deployment = Deployment.LP

    @classmethod
    def of(
        cls,
        workload: Workload | str | os.PathLike[str],
        dataflow: str
        | Dataflow
        | Mapping[str, Any]
        | Sequence[str | Dataflow | Mapping[str, Any]] = "NVDLA",
        *,
        objective: str | Metric = "latency",
        constraint: str | Metric = "area",
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
            released: The problem as ConfuciuX's released code poses it: its layer tables, its own
                Eyeriss mapping, MAESTRO's own accounting.

        The other arguments are those of :class:`AssignmentProblem` (the platform ``iot`` by
        default) and :meth:`DesignSpace.of`.

        Raises:
            ValueError: As they do.
            OSError: If a file cannot be read.
        """
        design = DesignSpace.of(
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
        if all(isinstance(s, str | Metric | Real | None) for s in settings):
            return _problem(design, *settings)
        return AssignmentProblem(design, *settings)  # type: ignore[arg-type]  # says what is wrong

    def __post_init__(self) -> None:
        if not isinstance(self.design, DesignSpace):
            raise ValueError(
                f"design must be a DesignSpace, got {self.design!r}; AssignmentProblem.of takes "
                "names"
            )
        for kind, allowed in (("objective", OBJECTIVES), ("constraint", CONSTRAINTS)):
            given = getattr(self, kind)
            if not isinstance(given, Metric):
                object.__setattr__(self, kind, find_metric(given, kind, allowed))
            elif given != METRICS.get(given.name) or given.name not in allowed:
                raise ValueError(nearest(kind, given.name, allowed))
        names = [d.value for d in Deployment]
        if self.deployment not in names:
            raise ValueError(nearest("deployment", self.deployment, names))
        object.__setattr__(self, "deployment", Deployment(self.deployment))
        if not self.objective.adds_up and self.deployment.shared:
            raise ValueError(
                "throughput is the period of a layer pipeline (LP); with one configuration running "
                "all layers (LS) the period is the latency, so use objective='latency'"
            )
        self._check_valid_points()
        self._set_budget()

    def _check_valid_points(self) -> None:
        for step in np.flatnonzero(~self._tables.valid.any(axis=1)):
            who = f"layer {self.design.workload[int(step)].name!r} has no valid design point"
            if self.deployment.shared:
                who = "no configuration is valid for every layer"
            raise ValueError(
                f"{self.design.workload.name}: {who} under {self._styles} with PEs "
                f"{self.design.pe_levels} and filters per PE {self.design.tile_levels}"
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
        needed = float(self._least_used.sum())
        if needed > self.limit:
            raise InfeasibleError(
                f"no assignment fits the {self.constraint.name} budget of {budget:.6g} "
                f"{self.constraint.unit}: the least that any valid assignment of "
                f"{self.design.workload.name} takes is {needed:.6g} {self.constraint.unit}"
            )

    # --- what a problem says --------------------------------------------------------------------

    @property
    def _styles(self) -> str:
        return self.design.styles

    @cached_property
    def statement(self) -> Statement:
        design, layers = self.design, self.design.workload
        axes = [Axis("PEs", design.pe_levels), Axis("filters per PE", design.tile_levels)]
        if len(design.dataflows) > 1:
            names = tuple(d.name for d in design.dataflows)
            axes.append(Axis("dataflow", names, "categorical"))
        steps = 1 if self.deployment.shared else len(layers)
        shared = self.deployment.shared
        worst = np.where(self._tables.valid, self._tables.cost, -np.inf).max(axis=1)
        return Statement(
            key=self._key,
            title=self._title,
            space=Space(steps, tuple(axes)),
            objective=self.objective,
            metrics=tuple(METRICS[name] for name in ("latency", "energy", "area", "power")),
            constraint=self.constraint,
            limit=self._budget * (1 + BUDGET_RTOL),
            features=self._features,
            alike=np.zeros(1, np.int64) if shared else layers.unique()[1],
            work=np.array([layers.macs] if shared else [layer.macs for layer in layers], float),
            names=("all layers",) if shared else tuple(layer.name for layer in layers),
            scale=float(self.objective.ufunc.reduce(worst)),
        )

    @property
    def _budget(self) -> float:
        assert self.budget is not None  # set on construction
        return self.budget

    @property
    def limit(self) -> float:
        """The budget with the slack for rounding, :data:`BUDGET_RTOL`."""
        return self._budget * (1 + BUDGET_RTOL)

    @property
    def _key(self) -> dict[str, Any]:
        design = self.design
        return {
            "family": NAME,
            "version": VERSION,
            "cost_model": COST_MODEL,
            "workload": design.workload.name,
            "layers": [[*layer.shape, layer.repeat] for layer in design.workload],
            "dataflows": [d.name for d in design.dataflows],
            "directives": [str(d) for d in design.dataflows],
            "pe_levels": list(design.pe_levels),
            "tile_levels": list(design.tile_levels),
            "technology": asdict(design.hardware.tech),
            "hardware": {n: int(v) for n, v in design.hardware.arrays().items()},
            "accounting": design.accounting.name,
            "objective": self.objective.name,
            "constraint": self.constraint.name,
            "budget": self._budget,
            "deployment": self.deployment.value,
        }

    @property
    def description(self) -> dict[str, Any]:
        """What :meth:`of` makes it from again, where the accounting has a name that it knows."""
        design = self.design
        return {
            "workload": asdict(design.workload),
            "dataflow": [
                d.name if DATAFLOWS.get(d.name) == d else d.to_dict() for d in design.dataflows
            ],
            "pe_levels": list(design.pe_levels),
            "tile_levels": list(design.tile_levels),
            "hardware": asdict(design.hardware),
            "accounting": design.accounting.name,
            "objective": self.objective.name,
            "constraint": self.constraint.name,
            "budget": self._budget,
            "deployment": self.deployment.value,
        }

    @property
    def _title(self) -> str:
        where = self.platform or (
            f"{self.ratio:g} of the range" if self.ratio is not None else "given budget"
        )
        return (
            f"{self.design.workload.name}, {self._styles}: {self.objective.label} under "
            f"{self.constraint.name} ({where}, {self.deployment})"
        )

    @property
    def _features(self) -> Floats:
        """(steps, 7) in [0, 1]: K, C, Y, X, R, S on a log scale, relative to the workload's
        greatest, and the kind; under LS the layers' mean."""
        layers = self.design.workload
        sizes = np.log2(1.0 + np.array([layer.shape[:6] for layer in layers], dtype=np.float64))
        kind = [LAYER_KINDS.index(layer.kind) / (len(LAYER_KINDS) - 1) for layer in layers]
        features: Floats = np.column_stack([sizes / sizes.max(axis=0), kind])
        return features.mean(axis=0, keepdims=True) if self.deployment.shared else features

    # --- tables ---------------------------------------------------------------------------------

    def make_tables(self) -> Tables:
        design = self.design
        adds = {name: self._fold(METRICS[name], np.add) for name in ("latency", "energy")}
        # One array runs all layers: it is as large as the one that demands most.
        takes = {name: self._fold(METRICS[name], np.maximum) for name in CONSTRAINTS}
        cost = adds.get(self.objective.name)
        if cost is None:
            cost = self._fold(self.objective, np.add)
        valid: Bools = design.valid
        if self.deployment.shared:
            valid = np.logical_and.reduce(valid, axis=0, keepdims=True)
        return Tables(cost, takes[self.constraint.name], valid, adds | takes)

    def _fold(self, metric: Metric, over_layers: np.ufunc) -> Floats:
        """(steps, actions) of a metric; under LS of all layers together."""
        table = self.design.table(metric).astype(np.float64)
        if self.deployment.shared:
            table = over_layers.reduce(table, axis=0, keepdims=True)
        return table

    @cached_property
    def budget_range(self) -> tuple[float, float]:
        """Least and greatest constraint value, between which platforms take their share."""
        tables = self._tables
        if self.design.accounting.corners and not self.deployment.shared:
            shape = (*self.design.shape, 1)[:3]
            # Which dataflow a corner takes makes no difference to PEs, and so next to none here.
            corners = tables.usage.reshape(-1, *shape)[:, [0, -1, 0, -1], [0, 0, -1, -1], 0]
            totals = corners.sum(axis=0)
            return float(totals.min()), float(totals.max())
        most = np.where(tables.valid, tables.usage, -np.inf).max(axis=1)
        return float(self._least_used.sum()), float(most.sum())

    def with_levels(
        self, pe_levels: Sequence[int], tile_levels: Sequence[int]
    ) -> AssignmentProblem:
        """The same problem, with the same absolute budget, over other PE and buffer levels."""
        design = self.design
        other = DesignSpace.of(
            design.workload,
            design.dataflows,
            pe_levels=pe_levels,
            tile_levels=tile_levels,
            hardware=design.hardware,
            accounting=design.accounting,
        )
        return AssignmentProblem(
            other, self.objective, self.constraint, budget=self.budget, deployment=self.deployment
        )

    def __repr__(self) -> str:
        return (
            f"<AssignmentProblem {self.design.workload.name} {self._styles} {self.objective.name} "
            f"{self.constraint.name}<={self._budget:.6g}{self.constraint.unit} {self.deployment}>"
        )


@lru_cache(maxsize=256)
def _problem(design: DesignSpace, *settings: Any) -> AssignmentProblem:
    return AssignmentProblem(design, *settings)


def _number(what: str, given: float) -> float:
    is_number = isinstance(given, Real) and not isinstance(given, bool)
    if not is_number or not np.isfinite(given) or given < 0:
        raise ValueError(f"{what} must be a number >= 0, got {given!r}")
    return float(given)
