"""The problems of systolic arrays: which layer gets which array and how much SRAM."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from hwgym.core.design import BudgetedProblem, DesignProblem
from hwgym.core.metric import Metric
from hwgym.core.shared import SharedProblem
from hwgym.families.layered import Kinds, PipelineProblem
from hwgym.families.systolic.design_space import (
    COLUMN_LEVELS,
    ROW_LEVELS,
    SRAM_LEVELS,
    SystolicSpace,
)
from hwgym.hardware import Machine
from hwgym.workloads import Workload

__all__ = ["KINDS", "SystolicPipeline", "SystolicProblem", "SystolicShared", "systolic_problem"]

NAME, VERSION = "systolic", 0
IDENTITY = {
    "family": NAME,
    "version": VERSION,
    "cost_model": {"name": "systolic", "version": 1},
}


@dataclass(frozen=True, eq=False, repr=False)
class SystolicProblem(DesignProblem):
    """Which array and SRAM should each layer get (LP), or all layers together (LS)?

    Latency, energy or their product is minimised; arguments and errors are those of
    :class:`~hwgym.core.design.BudgetedProblem`.
    """

    design: SystolicSpace

    identity: ClassVar = IDENTITY
    objectives: ClassVar = ("latency", "energy", "edp")


@dataclass(frozen=True, eq=False, repr=False)
class SystolicPipeline(PipelineProblem):
    """Which array and SRAM should each layer get, for the shortest period of the pipeline?"""

    design: SystolicSpace

    identity: ClassVar = IDENTITY


@dataclass(frozen=True, eq=False, repr=False)
class SystolicShared(SharedProblem):
    """Which array and SRAM should all layers share, and which dataflow should each have on it?"""

    design: SystolicSpace

    identity: ClassVar = IDENTITY
    objectives: ClassVar = SystolicProblem.objectives


KINDS = Kinds(SystolicProblem, SystolicPipeline, SystolicShared)
"""The classes of the family's problems."""


def systolic_problem(
    workload: Workload | str | os.PathLike[str],
    dataflow: str | Sequence[str] = "SystolicWS",
    *,
    objective: str | Metric = "latency",
    constraint: str | Metric = "area",
    platform: str | None = None,
    ratio: float | None = None,
    budget: float | None = None,
    deployment: str = "LP",
    row_levels: Sequence[int] = ROW_LEVELS,
    column_levels: Sequence[int] = COLUMN_LEVELS,
    sram_levels: Sequence[int] = SRAM_LEVELS,
    machine: Machine | Mapping[str, Any] | str | os.PathLike[str] | None = None,
) -> BudgetedProblem:
    """A problem from names, shared: equal arguments give the same object and certificate.

    Args:
        objective: ``latency`` (cycles), ``energy`` (nJ), ``edp`` (the sum of each layer's energy x
            latency) or ``throughput`` (the period of a layer pipeline, at least what the layers'
            DRAM traffic takes together; LP only).
        constraint: ``area`` (um^2) or ``power`` (mW).
        platform: A key of :data:`hwgym.PLATFORMS`, by default ``iot``; or instead of it
        ratio: A share of the range; or
        budget: In the constraint's unit.
        deployment: ``LP``: a partition for each layer; ``LS``: one configuration for all;
            ``shared``: one array, with a dataflow for each layer.

    The other arguments are those of
    :meth:`~hwgym.families.systolic.design_space.SystolicSpace.of`.

    Raises:
        ValueError: If a name or a number is wrong.
        InfeasibleError: If no assignment fits the budget (a ValueError, too).
        OSError: If a file cannot be read.
    """
    design = SystolicSpace.of(
        workload,
        dataflow,
        row_levels=row_levels,
        column_levels=column_levels,
        sram_levels=sram_levels,
        machine=machine,
    )
    return KINDS.posed(design, objective, constraint, platform, ratio, budget, deployment)
