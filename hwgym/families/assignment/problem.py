"""AssignmentProblem: which layer gets how many PEs and how much buffer, by MAESTRO's costs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from hwgym.core.design import (
    BUDGET_RTOL,
    CONSTRAINTS,
    OBJECTIVES,
    PLATFORMS,
    Deployment,
    DesignProblem,
)
from hwgym.core.metric import Metric
from hwgym.costs.maestro import Dataflow
from hwgym.families.assignment.accounting import Accounting
from hwgym.families.assignment.design_space import PE_LEVELS, TILE_LEVELS, DesignSpace
from hwgym.hardware import Hardware
from hwgym.workloads import Workload

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


@dataclass(frozen=True, eq=False, repr=False)
class AssignmentProblem(DesignProblem):
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

    identity: ClassVar = {"family": NAME, "version": VERSION, "cost_model": COST_MODEL}

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
        return cls.posed(design, objective, constraint, platform, ratio, budget, deployment)

    def __post_init__(self) -> None:
        if not isinstance(self.design, DesignSpace):
            raise ValueError(
                f"design must be a DesignSpace, got {self.design!r}; AssignmentProblem.of takes "
                "names"
            )
        super().__post_init__()

    @cached_property
    def budget_range(self) -> tuple[float, float]:
        """Least and greatest constraint value, between which platforms take their share."""
        if not self.design.accounting.corners or self.deployment.shared:
            return super().budget_range
        shape = (*self.design.shape, 1)[:3]
        # Which dataflow a corner takes makes no difference to PEs, and so next to none here.
        corners = self._tables.usage.reshape(-1, *shape)[:, [0, -1, 0, -1], [0, 0, -1, -1], 0]
        totals = corners.sum(axis=0)
        return float(totals.min()), float(totals.max())

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
