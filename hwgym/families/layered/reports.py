"""Problems and solutions over the layers of a network, as rows and JSON values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hwgym.core.design import BudgetedProblem, Deployment
from hwgym.core.metric import METRICS
from hwgym.core.problem import InfeasibleError
from hwgym.families.layered.design import LayerDesign

__all__ = [
    "UNLIMITED",
    "deployments",
    "describe_asked",
    "describe_assignment",
    "describe_problem",
    "design_of",
    "layer_rows",
]

UNLIMITED = 1e300
"""A budget that everything fits."""


def design_of(problem: BudgetedProblem) -> LayerDesign:
    """The design space of a problem over layers."""
    design = problem.design
    assert isinstance(design, LayerDesign)  # whoever calls this makes no others
    return design


def describe_asked(problem: BudgetedProblem) -> dict[str, Any]:
    """Objective, constraint, deployment and budget, with the range that it is a share of."""
    least, greatest = problem.budget_range
    return {
        "objective": problem.objective.name,
        "objective_unit": problem.objective.unit,
        "constraint": problem.constraint.name,
        "constraint_unit": problem.constraint.unit,
        "deployment": problem.deployment.value,
        "platform": problem.platform,
        "ratio": problem.ratio,
        "budget": problem.budget,
        "budget_range": [least, greatest],
    }


def describe_problem(problem: BudgetedProblem) -> dict[str, Any]:
    """What is asked, with the budget and the range that it is a share of."""
    design, space = design_of(problem), problem.space
    return {
        "workload": design.workload.name,
        "layers": len(design.workload),
        "macs": design.workload.macs,
        "styles": design.styles,
        "axes": {axis.name: [str(label) for label in axis.labels] for axis in space.axes},
        "choices": space.num_actions,
        **describe_asked(problem),
    }


def describe_assignment(problem: BudgetedProblem, assignment: ArrayLike) -> dict[str, Any]:
    """What an assignment is worth, and what each layer gets and costs.

    ``latency_cycles`` is that of one input. ``period_cycles`` is from one input of a stream to the
    next: under LP the slowest layer's latency, since every partition works on another input, or
    what the partitions share, if that takes longer; on a shared array the latency. ``utilization``
    is the MACs of one input over all that all PEs could do in its latency,
    ``utilization_pipelined`` over what they could do in the period.

    Args:
        problem: Whose assignment it is.
        assignment: Level indices (steps, axes).

    Raises:
        ValueError: If the assignment does not fit the problem, or is not complete.
    """
    [genes] = problem.space.check(assignment)
    if (genes < 0).any():
        raise ValueError("the assignment is not complete: it has -1 where nothing is chosen")
    design = design_of(problem)
    rows = layer_rows(problem, genes)
    scores = problem.evaluate(genes)
    shared = problem.deployment.shared
    pes = rows[0]["pes"] if shared else sum(row["pes"] for row in rows)
    latency = float(scores["latency"][0])
    slowest = float(max(row["latency_cycles"] for row in rows))
    least = design.least_period(problem.choices(genes[None])[0])
    period = latency if shared else max(slowest, least)
    macs = design.workload.macs
    return {
        "objective": float(scores.objective[0]),
        **{m.column: float(scores[m.name][0]) for m in problem.statement.metrics},
        "period_cycles": period,
        "pes": pes,
        "utilization": _utilization(design, macs, latency, pes),
        "utilization_pipelined": _utilization(design, macs, period, pes),
        "budget_used": float(scores.used[0]) / problem.budget if problem.budget else 1.0,
        "feasible": bool(scores.feasible[0]),
        "assignment": np.asarray(assignment).tolist(),
        "layers": rows,
    }


def layer_rows(problem: BudgetedProblem, assignment: ArrayLike) -> list[dict[str, Any]]:
    """A row a layer: what it gets, what that costs, and its shares; None where nothing is chosen.

    ``cost_share`` is the layer's part of the sum of all layers' costs, ``usage_share`` of the
    budget, ``utilization`` its MACs over what its PEs could do in its latency. On one array all
    layers share the budget.

    Raises:
        ValueError: If the assignment does not fit the problem.
    """
    design = design_of(problem)
    [actions] = problem.choices(problem.space.check(assignment))
    chosen = actions >= 0
    at = np.arange(len(design.workload)), np.maximum(actions, 0)
    columns = {m.column: design.table(m)[at] for m in problem.statement.metrics}
    cost = np.where(chosen, design.table(problem.objective)[at], 0)
    usage = columns[problem.constraint.column]
    told = {**{name: table[at] for name, table in design.told().items()}, "valid": design.valid[at]}
    rows = []
    for i, layer in enumerate(design.workload):
        given = design.given(int(at[1][i]))
        row = {
            "layer": layer.name,
            "kind": layer.kind,
            **given,
            **{name: values[i].item() for name, values in (columns | told).items()},
            "utilization": _utilization(
                design, layer.macs, float(columns["latency_cycles"][i]), given["pes"]
            ),
            "cost_share": float(cost[i] / (cost.sum() or 1)),
            "usage_share": float(usage[i] / problem.budget) if problem.budget else 1.0,
        }
        if not chosen[i]:
            row = {**dict.fromkeys(row), "layer": layer.name, "kind": layer.kind}
        rows.append(row)
    return rows


def _utilization(design: LayerDesign, macs: int, cycles: float, pes: int) -> float:
    """MACs / cycles / PEs, of PEs with several lanes / lanes, too; 0 of what cannot be built."""
    return macs / (cycles * pes * design.lanes) if cycles else 0.0


def deployments(
    problem: BudgetedProblem, kind: Callable[[str, Deployment], type[BudgetedProblem]]
) -> dict[str, dict[str, Any]]:
    """The optima of every deployment that a problem's design can have, within its budget.

    For each what :func:`describe_assignment` says, without its layers; or, ``objective`` being
    None, ``why`` there is nothing, and where nothing fits the ``least`` that any assignment takes
    of the constraint. Where the period is minimised, a shared array minimises its latency: that is
    its period.

    Args:
        problem: Whose design, objective, constraint and budget it is.
        kind: The class of problem of an objective and a deployment.
    """
    found: dict[str, dict[str, Any]] = {}
    for deployment in problem.design.deployments:
        objective = problem.objective
        if deployment.shared and not objective.adds_up:
            objective = METRICS["latency"]
        pose = kind(objective.name, deployment)
        asked = problem.design, objective, problem.constraint
        try:
            same = pose(*asked, budget=problem.budget, deployment=deployment)
        except InfeasibleError as error:
            whole = pose(*asked, budget=UNLIMITED, deployment=deployment)
            row = {"objective": None, "why": str(error), "least": whole.needed}
        except ValueError as error:  # no configuration suits all layers
            row = {"objective": None, "why": str(error)}
        else:
            row = describe_assignment(same, same.optimum().assignment)
            del row["layers"]
        found[deployment.value] = row
    return found
