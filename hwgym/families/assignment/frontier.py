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
from hwgym._names import nearest
from hwgym.bounds import pareto
from hwgym.families.assignment.problem import AssignmentProblem

__all__ = ["OBJECTIVES", "Frontier", "frontier"]

OBJECTIVES = ("latency", "energy", "edp", "throughput", "area", "power")
UNITS = {
    "latency": "cycles",
    "energy": "nJ",
    "edp": "nJ x cycles",
    "throughput": "cycles",
    "area": "um^2",
    "power": "mW",
}


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
        return (
            f"<Frontier of {len(self):,} assignments: {' x '.join(self.objectives)}; {self.claim}>"
        )

    @property
    def exact(self) -> bool:
        """Whether nothing is missing."""
        return self.epsilon == 0

    @property
    def claim(self) -> str:
        """What is certain of it, in one sentence."""
        if self.exact:
            return "exact: these are all feasible assignments that no other beats"
        constraint = self.problem.constraint
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
        pes = np.array(self.problem.space.pe_levels)[self.problem.space.decode(actions)[..., 0]]
        columns: dict[str, list[Any]] = {
            "point": index.tolist(),
            "latency_cycles": scores.latency_cycles.tolist(),
            "energy_nj": scores.energy_nj.tolist(),
            "area_um2": scores.area_um2.tolist(),
            "power_mw": scores.power_mw.tolist(),
        }
        for i, name in enumerate(self.objectives):
            if name in ("edp", "throughput"):
                columns[name] = self.values[index, i].tolist()
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
        objectives: Two or three of :data:`OBJECTIVES`, at most two of them beside the constraint.
            Three are exact, too, unless the list of partial assignments grows too long.
        epsilon: 0 for the exact front; else a tolerance, as in the module's docstring.
        progress: Called after each step with the steps done and all steps.

    Raises:
        ValueError: If an objective is unknown or there are too many, epsilon is negative, or the
            list of partial assignments grows beyond :data:`~hwgym.bounds.pareto.TOO_MANY`.
    """
    start = time.perf_counter()
    names = _check(problem, objectives)
    others = [o for o in names if o != problem.constraint]
    problems = {o: _with_objective(problem, o) for o in names if o in OBJECTIVES[:4]}
    tables = [_table(problem, problems, o) for o in others]
    joins = [np.maximum if o == "throughput" else np.add for o in others]
    actions = pareto.front(
        problem.usage,
        tables,
        joins,
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
    values = np.stack([_values(problem, problems, o, actions) for o in names], axis=1)
    keep = pareto.undominated(*values.T)
    order = keep[np.lexsort(values[keep].T[::-1])]
    return Frontier(
        problem=problem,
        objectives=names,
        actions=actions[order],
        values=values[order],
        epsilon=float(epsilon),
        seconds=time.perf_counter() - start,
    )


def _check(problem: AssignmentProblem, objectives: Sequence[str]) -> tuple[str, ...]:
    names = (objectives,) if isinstance(objectives, str) else tuple(objectives)
    for name in names:
        if name not in OBJECTIVES:
            raise ValueError(nearest("objective", name, OBJECTIVES))
    if len(set(names)) < len(names) or not 2 <= len(names) <= 3:
        raise ValueError(f"a front has two or three objectives, got {', '.join(names) or 'none'}")
    if "throughput" in names and problem.deployment == "LS":
        raise ValueError("throughput is the period of a layer pipeline (LP); under LS take latency")
    if len([n for n in names if n != problem.constraint]) > 2:
        raise ValueError(
            f"at most two objectives beside the constraint, {problem.constraint}, "
            f"got {', '.join(names)}"
        )
    return names


def _with_objective(problem: AssignmentProblem, objective: str) -> AssignmentProblem:
    return AssignmentProblem(
        problem.space,
        objective,
        problem.constraint,
        budget=problem.budget,
        deployment=problem.deployment,
    )


def _table(
    problem: AssignmentProblem, problems: dict[str, AssignmentProblem], objective: str
) -> Floats:
    """(steps, actions): what each choice adds to an objective."""
    if objective in problems:
        return problems[objective].cost
    return problem.area if objective == "area" else problem.power


def _values(
    problem: AssignmentProblem,
    problems: dict[str, AssignmentProblem],
    objective: str,
    actions: Ints,
) -> Floats:
    if objective in problems:
        return problems[objective].evaluate_actions(actions).objective
    scores = problem.evaluate_actions(actions)
    return scores.area_um2 if objective == "area" else scores.power_mw
