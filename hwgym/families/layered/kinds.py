"""Kinds: which class poses which objective under which deployment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from hwgym._names import nearest
from hwgym.core.design import BudgetedProblem, Deployment, DesignProblem
from hwgym.core.dynamics import Dynamics
from hwgym.core.metric import METRICS, Metric
from hwgym.core.problem import Problem
from hwgym.core.shared import SharedProblem, SharedWalk
from hwgym.core.table_walk import TableWalk
from hwgym.families.layered.design import LayerDesign
from hwgym.families.layered.pipeline import PipelineProblem, PipelineWalk

__all__ = ["Kinds", "dynamics"]


class Kinds(NamedTuple):
    """The classes of a family's problems.

    Attributes:
        table: What adds up over layers.
        pipeline: The period of a layer pipeline (LP).
        shared: One array for all layers, set anew for each.
    """

    table: type[DesignProblem]
    pipeline: type[PipelineProblem]
    shared: type[SharedProblem]

    def of(self, objective: str | Metric, deployment: str) -> type[BudgetedProblem]:
        """The class that poses an objective under a deployment.

        Raises:
            ValueError: If the deployment is unknown.
        """
        names = [d.value for d in Deployment]
        if deployment not in names:
            raise ValueError(nearest("deployment", deployment, names))
        if deployment == Deployment.SHARED:
            return self.shared
        of_period = objective in ("throughput", METRICS["throughput"])
        return self.pipeline if of_period and deployment == Deployment.LP else self.table

    def posed(
        self,
        design: LayerDesign,
        objective: str | Metric = "latency",
        constraint: str | Metric = "area",
        platform: str | None = None,
        ratio: float | None = None,
        budget: float | None = None,
        deployment: str = "LP",
    ) -> BudgetedProblem:
        """A problem, shared: equal arguments give the same object and certificate.

        Raises:
            ValueError: As its class does.
        """
        kind = self.of(objective, deployment)
        return kind.posed(design, objective, constraint, platform, ratio, budget, deployment)


WALKS: Mapping[type[BudgetedProblem], Callable[[Sequence[Any]], Dynamics]] = MappingProxyType(
    {DesignProblem: TableWalk.of, PipelineProblem: PipelineWalk.of, SharedProblem: SharedWalk.of}
)


def dynamics(problems: Sequence[Problem]) -> Dynamics:
    """How episodes walk problems of one of these kinds.

    Raises:
        ValueError: If the problems cannot be stepped together.
        Withheld: While an agent searches.
    """
    for kind, walk in WALKS.items():
        if all(isinstance(problem, kind) for problem in problems):
            return walk(problems)
    titles = ", ".join(repr(problem.statement.title) for problem in problems[:3])
    raise ValueError(
        f"problems of a bank must all be of a shared array, or all of a pipeline's period, or "
        f"neither, got {titles}"
    )
