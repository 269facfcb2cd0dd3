"""DesignProblem: a design space with an objective, a constraint, a budget and a deployment.

A :class:`Design` says what each part of a whole may get and what that costs, part by part; what its
parts are, and what they get, is a family's own business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, lru_cache
from numbers import Real
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

import numpy as np

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym._names import nearest
from hwgym.core.metric import METRICS, Metric, find_metric
from hwgym.core.problem import InfeasibleError, Problem, Statement
from hwgym.core.space import Axis, Space
from hwgym.core.tables import TableProblem, Tables
from hwgym.core.veil import check_lifted

__all__ = [
    "ADDED",
    "BUDGET_RTOL",
    "CONSTRAINTS",
    "OBJECTIVES",
    "PLATFORMS",
    "BudgetedProblem",
    "Deployment",
    "Design",
    "DesignProblem",
    "over_parts",
]

OBJECTIVES = ("latency", "energy", "edp", "throughput")
CONSTRAINTS = ("area", "power")
PLATFORMS: Mapping[str, float] = MappingProxyType(
    {"unlimited": 1.0, "cloud": 0.5, "iot": 0.1, "iotx": 0.05}
)
"""The share of the range between least and greatest constraint that a platform grants."""

BUDGET_RTOL = 1e-12
"""A solution over budget by less than this share is within it: sums of areas are floats, and the
order of adding must not decide."""

ADDED = ("latency", "energy")
"""What adds up over parts, however they are run; of constraints an array takes the most."""


class Deployment(str, Enum):
    """How a design runs its parts: each on a partition of its own (LP), all on one configuration
    (LS), or all on one array that is set anew for each (shared)."""

    LP = "LP"
    LS = "LS"
    SHARED = "shared"

    def __str__(self) -> str:
        return self.value

    @property
    def shared(self) -> bool:
        """All parts are run on one array, one after the other."""
        return self is not Deployment.LP


class Design(ABC):
    """What each part may get, and what that costs; a family's own is a subclass.

    Attributes:
        part: What a part is called.
        once: So many axes, from the first, are those of the array that a shared deployment chooses
            once for all parts.
        valid: (parts, actions): which choices can be built.
    """

    part: ClassVar[str] = "part"
    once: ClassVar[int] = 0
    valid: Bools

    @property
    @abstractmethod
    def title(self) -> str:
        """What the parts make up."""

    @property
    @abstractmethod
    def styles(self) -> str:
        """The name of how it is done, or the names of those to choose from."""

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Of the parts."""

    @property
    @abstractmethod
    def axes(self) -> tuple[Axis, ...]:
        """What a part gets; the tables' columns count through them, the last fastest."""

    @property
    @abstractmethod
    def features(self) -> Floats:
        """(parts, n) in [0, 1]: what is known of each part."""

    @property
    @abstractmethod
    def alike(self) -> Ints:
        """(parts,): equal numbers mark parts with the same costs."""

    @property
    @abstractmethod
    def work(self) -> Floats:
        """(parts,): how much there is to do."""

    @abstractmethod
    def table(self, metric: Metric) -> Array:
        """(parts, actions): what each choice adds to a metric, part by part; of a constraint, what
        it takes."""

    @property
    @abstractmethod
    def key(self) -> Mapping[str, Any]:
        """All that describes it, JSON values."""

    @property
    @abstractmethod
    def description(self) -> Mapping[str, Any]:
        """Keyword arguments that make it again, JSON values."""

    @property
    def known(self) -> Mapping[str, Any]:
        """What else agents may know of it, by name, as ``Statement.known`` has it."""
        return {}

    @property
    def deployments(self) -> tuple[Deployment, ...]:
        """How it can be run: one array is set anew for each part only if that leaves a choice."""
        ways = 0 < self.once < len(self.axes)
        return tuple(d for d in Deployment if ways or d is not Deployment.SHARED)

    @property
    def levels(self) -> str:
        """The ordered axes with their levels, for errors."""
        return " and ".join(f"{a.name} {a.labels}" for a in self.axes if a.kind == "ordered")


def over_parts(values: Array, done: Bools, join: np.ufunc) -> Floats:
    """What solutions come to, (N,), of what each part adds, (N, parts); nothing where not ``done``.

    Accumulated, so that the order of joining is that of the parts, however many there are.
    """
    totals: Floats = join.accumulate(np.where(done, values, 0.0), axis=1)[:, -1]
    return totals


D = TypeVar("D", bound="BudgetedProblem")


@dataclass(frozen=True, eq=False, repr=False)
class BudgetedProblem(Problem):
    """Which configuration should each part of a design get, within a budget? What it is worth, a
    subclass says.

    Args:
        design: What every choice costs.
        objective: One of ``objectives``, by name or as a metric. Always minimised.
        constraint: ``area`` (um^2) or ``power`` (mW), likewise.
        platform: A key of :data:`PLATFORMS`: budget = least + (greatest - least) x share.
        ratio: A share of one's own, instead of a platform.
        budget: An absolute budget, instead of either, in the constraint's unit.
        deployment: One of ``deployments``.

    Attributes:
        identity: Family, version and cost model, as a problem's key has them.
        objectives: What can be minimised.
        deployments: How parts can be run.

    Raises:
        ValueError: If a name is unknown, more than one of platform, ratio and budget is given, or a
            step has no valid point.
        InfeasibleError: If no assignment fits the budget (a ValueError, too).
    """

    design: Design
    objective: Metric = METRICS["latency"]
    constraint: Metric = METRICS["area"]
    platform: str | None = None
    ratio: float | None = None
    budget: float | None = None
    deployment: Deployment = Deployment.LP

    identity: ClassVar[Mapping[str, Any]]
    objectives: ClassVar[tuple[str, ...]] = OBJECTIVES
    deployments: ClassVar[tuple[Deployment, ...]] = (Deployment.LP, Deployment.LS)

    @classmethod
    def posed(cls: type[D], design: Design, *settings: Any) -> D:
        """A problem, shared: equal arguments give the same object and certificate. Without a budget
        of any kind the platform is ``iot``.

        Args:
            design: What every choice costs.
            settings: The other arguments of the class, in their order and all of them.

        Raises:
            ValueError: As the class does.
        """
        objective, constraint, platform, ratio, budget, deployment = settings
        if platform is None and ratio is None and budget is None:
            platform = "iot"
        given = (objective, constraint, platform, ratio, budget, deployment)
        if all(isinstance(s, str | Metric | Real | None) for s in given):
            return _posed(cls, design, *given)  # type: ignore[return-value]  # of that class
        return cls(design, *given)  # says what is wrong

    def __post_init__(self) -> None:
        names = [d.value for d in self.deployments]
        if self.deployment not in names:
            raise ValueError(nearest("deployment", self.deployment, names))
        object.__setattr__(self, "deployment", Deployment(self.deployment))
        for kind, allowed in (("objective", self.objectives), ("constraint", CONSTRAINTS)):
            given = getattr(self, kind)
            if kind == "objective" and self.deployment.shared:
                self._check_no_period(given)
            if not isinstance(given, Metric):
                object.__setattr__(self, kind, find_metric(given, kind, allowed))
            elif given != METRICS.get(given.name) or given.name not in allowed:
                raise ValueError(nearest(kind, given.name, allowed))
        self._check_valid_points()
        self._set_budget()

    def _check_no_period(self, objective: Metric | str) -> None:
        if objective in ("throughput", METRICS["throughput"]):
            raise ValueError(
                f"throughput is the period of a {self.design.part} pipeline (LP); with one "
                f"configuration running all {self.design.part}s ({self.deployment}) the period is "
                "the latency, so use objective='latency'"
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
        needed = self._needed
        if needed > self._limit:
            raise InfeasibleError(
                f"no assignment fits the {self.constraint.name} budget of {budget:.6g} "
                f"{self.constraint.unit}: the least that any valid assignment of "
                f"{self.design.title} takes is {needed:.6g} {self.constraint.unit}"
            )

    def _check_steps(self, valid: Bools) -> None:
        """See that every step has a choice that can be built; ``valid`` (steps, actions).

        Raises:
            ValueError: If one has none.
        """
        design = self.design
        for step in np.flatnonzero(~valid.any(axis=1)):
            who = f"{design.part} {design.names[int(step)]!r} has no valid design point"
            if self.deployment.shared:
                who = f"no configuration is valid for every {design.part}"
            raise ValueError(f"{design.title}: {who} under {design.styles} with {design.levels}")

    # --- what a subclass says -------------------------------------------------------------------

    @abstractmethod
    def _check_valid_points(self) -> None:
        """See that there is something that can be built.

        Raises:
            ValueError: If there is nothing.
        """

    @property
    @abstractmethod
    def budget_range(self) -> tuple[float, float]:
        """Least and greatest constraint value, between which platforms take their share."""

    @property
    @abstractmethod
    def _needed(self) -> float:
        """As :attr:`needed`."""

    @property
    @abstractmethod
    def binds(self) -> bool:
        """Whether the limit matters: the best there is without it exceeds it."""

    @property
    @abstractmethod
    def _scale(self) -> float:
        """The objective of a poor solution."""

    @abstractmethod
    def choices(self, genes: Ints) -> Ints:
        """(N, parts): what solutions (N, steps, axes) give each part, as action numbers of the
        design; below 0 where nothing is chosen."""

    # --- what a problem says --------------------------------------------------------------------

    @property
    def needed(self) -> float:
        """The least that any valid assignment takes of the constraint.

        Raises:
            Withheld: While an agent searches.
        """
        check_lifted("what each choice takes")
        return self._needed

    @property
    def _one_step(self) -> bool:
        return False

    @property
    def _minimised(self) -> Metric:
        return self.objective

    @cached_property
    def statement(self) -> Statement:
        design, one = self.design, self._one_step
        features, work = design.features, np.asarray(design.work, np.float64)
        return Statement(
            key={**self.identity, **design.key, **self._asked},
            title=self._title,
            space=Space(1 if one else len(design.names), design.axes),
            objective=self._minimised,
            metrics=tuple(METRICS[name] for name in (*ADDED, *CONSTRAINTS)),
            constraint=self.constraint,
            limit=self._limit,
            features=features.mean(axis=0, keepdims=True) if one else features,
            alike=np.zeros(1, np.int64) if one else design.alike,
            work=work.sum(keepdims=True) if one else work,
            names=(f"all {design.part}s",) if one else design.names,
            scale=self._scale,
            known=design.known,
        )

    @property
    def _budget(self) -> float:
        assert self.budget is not None  # set on construction
        return self.budget

    @property
    def limit(self) -> float:
        """The budget with the slack for rounding, :data:`BUDGET_RTOL`."""
        return self._limit

    @property
    def _limit(self) -> float:
        return self._budget * (1 + BUDGET_RTOL)

    @property
    def description(self) -> dict[str, Any]:
        """What its family makes it from again."""
        return {**self.design.description, **self._asked}

    @property
    def _asked(self) -> dict[str, Any]:
        return {
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
            f"{self.design.title}, {self.design.styles}: {self.objective.label} under "
            f"{self.constraint.name} ({where}, {self.deployment})"
        )

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.design.title} {self.design.styles} "
            f"{self.objective.name} {self.constraint.name}<={self._budget:.6g}"
            f"{self.constraint.unit} {self.deployment}>"
        )


@dataclass(frozen=True, eq=False, repr=False)
class DesignProblem(TableProblem, BudgetedProblem):
    """Which configuration should each part of a design get, within a budget?

    Under deployment LP every part has a partition of its own: there is one step a part and the
    constraint adds up. Under LS one configuration runs all parts: there is one step, and the
    constraint is that of the part that demands most. Arguments and errors are those of
    :class:`BudgetedProblem`.
    """

    @property
    def _one_step(self) -> bool:
        return self.deployment.shared

    def _check_valid_points(self) -> None:
        self._check_steps(self._tables.valid)

    @property
    def _needed(self) -> float:
        return float(self._least_used.sum())

    @property
    def _scale(self) -> float:
        worst = np.where(self._tables.valid, self._tables.cost, -np.inf).max(axis=1)
        return float(self.objective.ufunc.reduce(worst))

    def choices(self, genes: Ints) -> Ints:
        numbers = self.space.encode(genes)
        given: Ints = np.broadcast_to(numbers, (len(numbers), len(self.design.names)))
        return given

    def make_tables(self) -> Tables:
        adds = {name: self._fold(METRICS[name], np.add) for name in ADDED}
        # One configuration runs all parts: it is as large as the one that demands most.
        takes = {name: self._fold(METRICS[name], np.maximum) for name in CONSTRAINTS}
        cost = adds.get(self.objective.name)
        if cost is None:
            cost = self._fold(self.objective, np.add)
        valid: Bools = self.design.valid
        if self.deployment.shared:
            valid = np.logical_and.reduce(valid, axis=0, keepdims=True)
        return Tables(cost, takes[self.constraint.name], valid, adds | takes)

    def _fold(self, metric: Metric, over_parts: np.ufunc) -> Floats:
        """(steps, actions) of a metric; under LS of all parts together."""
        table = self.design.table(metric).astype(np.float64)
        if self.deployment.shared:
            table = over_parts.reduce(table, axis=0, keepdims=True)
        return table

    @cached_property
    def budget_range(self) -> tuple[float, float]:
        """Least and greatest constraint value, between which platforms take their share."""
        tables = self._tables
        most = np.where(tables.valid, tables.usage, -np.inf).max(axis=1)
        return float(self._least_used.sum()), float(most.sum())


@lru_cache(maxsize=256)
def _posed(kind: type[BudgetedProblem], design: Design, *settings: Any) -> BudgetedProblem:
    return kind(design, *settings)


def _number(what: str, given: float) -> float:
    is_number = isinstance(given, Real) and not isinstance(given, bool)
    if not is_number or not np.isfinite(given) or given < 0:
        raise ValueError(f"{what} must be a number >= 0, got {given!r}")
    return float(given)
