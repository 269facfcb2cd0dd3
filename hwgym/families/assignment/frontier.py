"""The Pareto front of assignments: what can be had for what.

Costs add up over layers, so the front can be computed exactly, layer by layer
(:mod:`hwgym.bounds.pareto`): whatever is left out is dominated, or cannot be completed within the
budget.

With one objective beside the constraint, such as latency and area, the list of partial assignments
stays in the thousands and the front is exact in a second or two. With two, as in latency, energy
and area, the front is exact, too, where it ends: the list may grow to hundreds of thousands, and
beyond :data:`~hwgym.bounds.pareto.TOO_MANY` it is given up. A tolerance ``epsilon`` keeps it short:

    every feasible assignment is matched by a listed one that takes no more of the budget and is at
    most ``1 + epsilon`` times as large in each other objective.

Every listed point is an assignment, evaluated; only completeness depends on ``epsilon``, and the
least latency and energy within the budget are on the list in any case.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwgym._arrays import Floats, Ints
from hwgym.bounds import pareto
from hwgym.core.metric import METRICS, Metric, find_metric
from hwgym.families.assignment.problem import OBJECTIVES, AssignmentProblem

__all__ = ["Frontier", "frontier"]


@dataclass(frozen=True, eq=False)
class Frontier:
    """A Pareto front, by increasing first objective.

    Attributes:
        problem: With the constraint and the budget that all points keep.
        objectives: What is minimised.
        actions: (N, steps) action numbers.
        values: (N, objectives), as ``AssignmentProblem.evaluate`` gives them.
        epsilon: 0 if the front is exact (to 1e-12 relative); else what is said in the module's
            docstring.
        seconds: What it took.
    """

    problem: AssignmentProblem
    objectives: tuple[str, ...]
    actions: Ints
    values: Floats
    epsilon: float
    seconds: float

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        many = "s" * (len(self) != 1)
        what = " x ".join(self.objectives)
        return f"<Frontier of {len(self):,} assignment{many}: {what}; {self.claim}>"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The objectives as metrics."""
        return tuple(METRICS[name] for name in self.objectives)

    @property
    def exact(self) -> bool:
        """Whether nothing is missing."""
        return self.epsilon == 0

    @property
    def claim(self) -> str:
        """What is certain of it, in one sentence."""
        if self.exact:
            return "exact: these are all feasible assignments that no other beats"
        constraint = self.problem.constraint.name
        others = " and ".join(o for o in self.objectives if o != constraint)
        return (
            f"within {self.epsilon:.3g}: every feasible assignment is matched by one of these that "
            f"takes no more {constraint} and at most {1 + self.epsilon:.6g} times its {others}"
        )

    def assignment(self, point: int) -> Ints:
        """Level indices (steps, 2 or 3) of one point."""
        return self.problem.space.decode(self.actions[point])

    def select(self, count: int) -> Ints:
        """Indices of points that are far apart: the best in each objective, then those farthest
        from all chosen, by the ratios of their objectives; in order."""
        scale = np.log(np.maximum(self.values, 1e-300))
        scale = scale / np.maximum(np.ptp(scale, axis=0), 1e-12)
        chosen = list(dict.fromkeys(self.values.argmin(axis=0).tolist()))[:count]
        distance = np.full(len(self), np.inf)
        for point in chosen:
            distance = np.minimum(distance, np.abs(scale - scale[point]).max(axis=1))
        while len(chosen) < min(count, len(self)):
            point = int(distance.argmax())
            if distance[point] == 0:
                break
            chosen.append(point)
            distance = np.minimum(distance, np.abs(scale - scale[point]).max(axis=1))
        return np.sort(np.array(chosen, np.int64))

    def rows(self, points: Sequence[int] | Ints | None = None) -> list[dict[str, Any]]:
        """A row a point (of those given): latency, energy, area, power and the PEs of all layers,
        with the share of the budget used."""
        index = np.arange(len(self)) if points is None else np.asarray(points, np.int64)
        actions = self.actions[index]
        scores = self.problem.evaluate_actions(actions)
        pes = np.array(self.problem.design.pe_levels)[self.problem.space.decode(actions)[..., 0]]
        columns: dict[str, list[Any]] = {"point": index.tolist()}
        for metric in self.problem.statement.metrics:
            columns[metric.column] = scores[metric.name].tolist()
        for i, metric in enumerate(self.metrics):
            columns.setdefault(metric.column, self.values[index, i].tolist())
        columns["pes"] = pes.sum(axis=1).tolist()
        columns["budget_used"] = (scores.used / (self.problem.budget or 1)).tolist()
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def frontier(
    problem: AssignmentProblem,
    objectives: Sequence[str] = ("latency", "energy", "area"),
    *,
    epsilon: float = 0.0,
    progress: Callable[[int, int], object] | None = None,
) -> Frontier:
    """The Pareto front of the assignments within a problem's budget.

    Args:
        problem: Its constraint and budget hold; its own objective plays no part.
        objectives: Two or three of ``latency``, ``energy``, ``edp``, ``throughput``, ``area`` and
            ``power``, at most two of them beside the constraint. Three are exact, too, unless the
            list of partial assignments grows too long.
        epsilon: 0 for the exact front; else a tolerance, as in the module's docstring.
        progress: Called after each step with the steps done and all steps.

    Raises:
        ValueError: If an objective is unknown or there are too many, epsilon is negative, or the
            list of partial assignments grows beyond :data:`~hwgym.bounds.pareto.TOO_MANY`.
    """
    start = time.perf_counter()
    metrics = _check(problem, objectives)
    others = [m for m in metrics if m != problem.constraint]
    problems = {m: _with_objective(problem, m) for m in metrics if m.name in OBJECTIVES}
    actions = pareto.front(
        problem.usage,
        [_table(problem, problems, m) for m in others],
        [m.ufunc for m in others],
        problem.valid,
        problem.limit,
        epsilon=epsilon,
        progress=progress,
    )
    if epsilon:  # the ends of the front, proven
        ends = [problem.space.encode(p.optimum().assignment) for p in problems.values()]
        actions = np.concatenate((actions, ends))
    scores = problem.evaluate_actions(actions)
    actions = actions[scores.feasible]
    values = np.stack([_values(problem, problems, m, actions) for m in metrics], axis=1)
    keep = pareto.undominated(*values.T)
    order = keep[np.lexsort(values[keep].T[::-1])]
    return Frontier(
        problem=problem,
        objectives=tuple(m.name for m in metrics),
        actions=actions[order],
        values=values[order],
        epsilon=float(epsilon),
        seconds=time.perf_counter() - start,
    )


def _check(problem: AssignmentProblem, objectives: Sequence[str]) -> tuple[Metric, ...]:
    names = (objectives,) if isinstance(objectives, str) else tuple(objectives)
    metrics = tuple(find_metric(name, "objective") for name in names)
    if len(set(names)) < len(names) or not 2 <= len(names) <= 3:
        raise ValueError(f"a front has two or three objectives, got {', '.join(names) or 'none'}")
    if problem.deployment.shared and not all(m.adds_up for m in metrics):
        raise ValueError("throughput is the period of a layer pipeline (LP); under LS take latency")
    if len([m for m in metrics if m != problem.constraint]) > 2:
        raise ValueError(
            f"at most two objectives beside the constraint, {problem.constraint.name}, "
            f"got {', '.join(names)}"
        )
    return metrics


def _with_objective(problem: AssignmentProblem, objective: Metric) -> AssignmentProblem:
    return AssignmentProblem(
        problem.design,
        objective,
        problem.constraint,
        budget=problem.budget,
        deployment=problem.deployment,
    )


def _table(
    problem: AssignmentProblem, problems: dict[Metric, AssignmentProblem], metric: Metric
) -> Floats:
    """(steps, actions): what each choice adds to an objective."""
    return problems[metric].cost if metric in problems else problem.tables.metrics[metric.name]


def _values(
    problem: AssignmentProblem,
    problems: dict[Metric, AssignmentProblem],
    metric: Metric,
    actions: Ints,
) -> Floats:
    if metric in problems:
        return problems[metric].evaluate_actions(actions).objective
    return problem.evaluate_actions(actions)[metric.name]
