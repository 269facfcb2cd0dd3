"""Assignments, whole or begun, in plain text."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hwgym.families.assignment.problem import AssignmentProblem

__all__ = ["assignment_text", "summary"]


def assignment_text(problem: AssignmentProblem, assignment: ArrayLike) -> str:
    """An assignment as a table: a line a layer, then the totals.

    Args:
        problem: Whose it is.
        assignment: Level indices (steps, 2 or 3); -1 where nothing is assigned yet.

    Raises:
        ValueError: If it does not fit the problem.
    """
    [genes] = problem.space.check(assignment)
    parts = problem.part(genes[None])
    statement, objective, constraint = problem.statement, problem.objective, problem.constraint
    wide = max(len(n) for n in statement.names)
    asked = f"{objective.label} ({objective.unit})", f"{constraint.label} ({constraint.unit})"
    lines = [
        statement.title,
        f"{'layer':<{wide}} {'PEs':>4} {'tile':>4} {'dataflow':<18} {asked[0]:>24} {asked[1]:>16}",
    ]
    for step, name in enumerate(statement.names):
        if (genes[step] < 0).any():
            lines.append(f"{name:<{wide}} {'-':>4} {'-':>4}")
            continue
        pes, tile, style = problem.design.describe(int(problem.space.encode(genes[step])))
        flag = "" if parts.valid[0, step] else "  invalid"
        lines.append(
            f"{name:<{wide}} {pes:>4} {tile:>4} {style:<18}"
            f" {parts.cost[0, step]:>24,.0f} {parts.used[0, step]:>16,.0f}{flag}"
        )
    lines.append(summary(problem, genes))
    return "\n".join(lines)


def summary(problem: AssignmentProblem, assignment: ArrayLike) -> str:
    """How far an assignment is and what it costs until there, in one line."""
    [genes] = problem.space.check(assignment)
    numbers = problem.space.encode(genes)
    done = numbers >= 0
    count, steps = np.count_nonzero(done), problem.num_steps
    if not count:
        return f"0 of {steps} assigned"
    parts, objective = problem.part(genes[None]), problem.objective
    total = float(objective.ufunc.reduce(parts.cost[0, done]))
    used = float(parts.used[0, done].sum())
    text = (
        f"{count} of {steps} assigned: {objective.label} {total:,.0f} {objective.unit}, "
        f"{100 * used / problem.limit:.1f} % of the {problem.constraint.name} budget"
    )
    if not parts.valid[0, done].all():
        return text + ": invalid design point"
    if used > problem.limit:
        return text + ": over budget"
    if count == steps:
        best = problem.optimum()
        text += f"; optimum {best.objective:,.0f}, regret {100 * best.above(total):.2f} %"
    return text
