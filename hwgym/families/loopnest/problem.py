"""The problems of loop nests: which layer gets which array, buffers and template."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from hwgym.core.design import BudgetedProblem, DesignProblem
from hwgym.core.metric import METRICS, Metric
from hwgym.core.shared import SharedProblem
from hwgym.costs.loopnest import L1_BYTES, L2_BYTES, SHAPES, Template
from hwgym.families.layered import Kinds, PipelineProblem
from hwgym.families.loopnest.design_space import LoopnestDesign
from hwgym.hardware import Machine
from hwgym.workloads import Workload

__all__ = ["KINDS", "LoopnestPipeline", "LoopnestProblem", "LoopnestShared", "loopnest_problem"]

NAME, VERSION = "loopnest", 1
IDENTITY = {
    "family": NAME,
    "version": VERSION,
    "cost_model": {"name": "loopnest", "version": 1},
}


@dataclass(frozen=True, eq=False, repr=False)
class LoopnestProblem(DesignProblem):
    """Which array, buffers and template should each layer get (LP), or all layers together (LS)?

    Latency, energy or their product is minimised; arguments and errors are those of
    :class:`~hwgym.core.design.BudgetedProblem`.
    """

    design: LoopnestDesign

    identity: ClassVar = IDENTITY
    objectives: ClassVar = ("latency", "energy", "edp")


@dataclass(frozen=True, eq=False, repr=False)
class LoopnestPipeline(PipelineProblem):
    """Which array, buffers and template should each layer get, for the shortest period of the
    pipeline?"""

    design: LoopnestDesign

    identity: ClassVar = IDENTITY


@dataclass(frozen=True, eq=False, repr=False)
class LoopnestShared(SharedProblem):
    """Which array should all layers share, and which template should each have on it?"""

    design: LoopnestDesign

    identity: ClassVar = IDENTITY
    objectives: ClassVar = LoopnestProblem.objectives


KINDS = Kinds(LoopnestProblem, LoopnestPipeline, LoopnestShared)
"""The classes of the family's problems."""


def loopnest_problem(
    workload: Workload | str | os.PathLike[str],
    template: str | Template | Mapping[str, Any] | Sequence[str | Template | Mapping[str, Any]] = (
        "NVDLA"
    ),
    *,
    objective: str | Metric = "latency",
    constraint: str | Metric = "area",
    platform: str | None = None,
    ratio: float | None = None,
    budget: float | None = None,
    deployment: str = "LP",
    shapes: Sequence[Sequence[int]] = SHAPES,
    l1_levels: Sequence[int] = L1_BYTES,
    l2_levels: Sequence[int] = L2_BYTES,
    machine: Machine | Mapping[str, Any] | str | os.PathLike[str] | None = None,
) -> BudgetedProblem:
    """A problem from names, shared: equal arguments give the same object and certificate.

    Args:
        objective: ``latency`` (cycles), ``energy`` (nJ), ``edp`` (the sum of each layer's energy x
            latency) or ``throughput`` (the period of a layer pipeline, at least what all layers'
            DRAM reads, or writes, take together; LP only). Each layer's mapping is the best in
            latency, energy or their product accordingly.
        constraint: ``area`` (um^2) or ``power`` (mW).
        platform: A key of :data:`hwgym.PLATFORMS`, by default ``iot``; or instead of it
        ratio: A share of the range; or
        budget: In the constraint's unit.
        deployment: ``LP``: a partition for each layer; ``LS``: one array with one template for all;
            ``shared``: one array, with a template for each layer.

    The other arguments are those of
    :meth:`~hwgym.families.loopnest.design_space.LoopnestDesign.of`.

    Raises:
        ValueError: If a name or a number is wrong.
        InfeasibleError: If no assignment fits the budget (a ValueError, too).
        OSError: If a file cannot be read.
    """
    name = objective.name if isinstance(objective, Metric) else objective
    design = LoopnestDesign.of(
        workload,
        template,
        shapes=shapes,
        l1_levels=l1_levels,
        l2_levels=l2_levels,
        machine=machine,
        mapped_for=name if name in METRICS else "latency",  # the problem says what is allowed
    )
    return KINDS.posed(design, objective, constraint, platform, ratio, budget, deployment)
