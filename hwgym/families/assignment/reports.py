"""Problems and assignments as rows and JSON values: what tables, files and programs print."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hwgym.core.metric import METRICS
from hwgym.core.problem import InfeasibleError
from hwgym.families.assignment.design_space import MIXES
from hwgym.families.assignment.problem import PLATFORMS, AssignmentProblem, Deployment
from hwgym.workloads import Workload

__all__ = [
    "compare",
    "deployments",
    "describe_assignment",
    "describe_problem",
    "describe_workload",
    "layer_rows",
    "to_csv",
]

UNLIMITED = 1e300
"""A budget that everything fits."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that spreadsheets compute."""

EVERY_PLATFORM = tuple([{"platform": name} for name in PLATFORMS])


def describe_workload(workload: Workload) -> dict[str, Any]:
    """Name, totals, and a row a layer.

    ``filter_elements`` are no parameters: a matrix that a layer reads in each of its runs counts
    every time, and a product of activations has its second matrix there.
    """
    return {
        "workload": workload.name,
        "macs": workload.macs,
        "filter_elements": workload.weights,
        "layers": [
            {
                "layer": layer.name,
                "kind": layer.kind,
                **{n: getattr(layer, n) for n in ("K", "C", "OY", "OX", "R", "S")},
                "stride": layer.stride,
                "repeat": layer.repeat,
                "macs": layer.macs,
                "filter_elements": layer.weights,
            }
            for layer in workload
        ],
    }


def describe_problem(problem: AssignmentProblem) -> dict[str, Any]:
    """What is asked, with the budget and the range that it is a share of."""
    design = problem.design
    least, greatest = problem.budget_range
    return {
        "workload": design.workload.name,
        "layers": len(design.workload),
        "macs": design.workload.macs,
        "dataflows": [d.name for d in design.dataflows],
        "pe_levels": list(design.pe_levels),
        "tile_levels": list(design.tile_levels),
        "choices": problem.num_actions,
        "technology": design.hardware.tech.name,
        "accounting": design.accounting.name,
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


def describe_assignment(problem: AssignmentProblem, assignment: ArrayLike) -> dict[str, Any]:
    """What an assignment is worth, and what each layer gets and costs.

    ``latency_cycles`` is that of one input. ``period_cycles`` is from one input of a stream to the
    next: under LP the slowest layer's latency, since every partition works on another input; under
    LS the latency. ``utilization`` is the MACs of one input over all that all PEs could do in its
    latency, ``utilization_pipelined`` over what they could do in the period.

    Args:
        problem: Whose assignment it is.
        assignment: Level indices (steps, 2), with a third where dataflows mix.

    Raises:
        ValueError: If the assignment does not fit the problem, or is not complete.
    """
    rows = layer_rows(problem, assignment)
    scores = problem.evaluate(assignment)
    shared = problem.deployment.shared
    pes = rows[0]["pes"] if shared else sum(row["pes"] for row in rows)
    latency = float(scores["latency"][0])
    period = latency if shared else float(max(row["latency_cycles"] for row in rows))
    macs = problem.design.workload.macs
    return {
        "objective": float(scores.objective[0]),
        **{m.column: float(scores[m.name][0]) for m in problem.statement.metrics},
        "period_cycles": period,
        "pes": pes,
        "utilization": _utilization(problem, macs, latency, pes),
        "utilization_pipelined": _utilization(problem, macs, period, pes),
        "budget_used": float(scores.used[0]) / problem.budget if problem.budget else 1.0,
        "feasible": bool(scores.feasible[0]),
        "assignment": np.asarray(assignment).tolist(),
        "layers": rows,
    }


def layer_rows(problem: AssignmentProblem, assignment: ArrayLike) -> list[dict[str, Any]]:
    """A row a layer: what it gets, what that costs, and its shares.

    ``cost_share`` is the layer's part of the sum of all layers' costs, ``usage_share`` of the
    budget, ``utilization`` its MACs over what its PEs could do in its latency. Under LS all layers
    have the same configuration, and share the one array.

    Raises:
        ValueError: If the assignment does not fit the problem, or is not complete.
    """
    design = problem.design
    [genes] = problem.space.check(assignment)
    if (genes < 0).any():
        raise ValueError("the assignment is not complete: it has -1 where nothing is chosen")
    layers = np.arange(len(design.workload))
    actions = np.broadcast_to(problem.space.encode(genes), layers.shape)
    columns = {m.column: design.table(m)[layers, actions] for m in problem.statement.metrics}
    cost = design.table(problem.objective)[layers, actions]
    usage = columns[problem.constraint.column]
    rows = []
    for i, layer in enumerate(design.workload):
        pes, tile, style = design.describe(int(actions[i]))
        rows.append(
            {
                "layer": layer.name,
                "kind": layer.kind,
                "pes": pes,
                "tile": tile,
                "dataflow": style,
                **{name: values[i].item() for name, values in columns.items()},
                "l1_bytes": int(design.l1_bytes[i, actions[i]]),
                "l2_bytes": int(design.l2_bytes[i, actions[i]]),
                "valid": bool(design.valid[i, actions[i]]),
                "utilization": _utilization(
                    problem, layer.macs, float(columns["latency_cycles"][i]), pes
                ),
                "cost_share": float(cost[i] / (cost.sum() or 1)),
                "usage_share": float(usage[i] / problem.budget) if problem.budget else 1.0,
            }
        )
    return rows


def _utilization(problem: AssignmentProblem, macs: int, cycles: float, pes: int) -> float:
    """MACs / cycles / PEs, of PEs with several lanes / lanes, too; 0 of what cannot be built."""
    lanes = int(problem.design.hardware.arrays()["simd_lanes"])
    return macs / (cycles * pes * lanes) if cycles else 0.0


def deployments(problem: AssignmentProblem) -> dict[str, dict[str, Any]]:
    """The optima of both deployments within a problem's budget.

    For each of ``LP`` and ``LS`` what :func:`describe_assignment` says, without its layers; or,
    ``objective`` being None, ``why`` there is nothing, and where nothing fits the ``least`` that
    any assignment takes of the constraint. Where the period is minimised, LS minimises its latency:
    that is its period.
    """
    found: dict[str, dict[str, Any]] = {}
    for deployment in Deployment:
        objective = problem.objective
        if deployment.shared and not objective.adds_up:
            objective = METRICS["latency"]
        asked = problem.design, objective, problem.constraint
        try:
            same = AssignmentProblem(*asked, budget=problem.budget, deployment=deployment)
        except InfeasibleError as error:
            whole = AssignmentProblem(*asked, budget=UNLIMITED, deployment=deployment)
            least = float(whole.least_used.sum())
            row = {"objective": None, "why": str(error), "least": least}
        except ValueError as error:  # no configuration suits all layers
            row = {"objective": None, "why": str(error)}
        else:
            row = describe_assignment(same, same.optimum().assignment)
            del row["layers"]
        found[deployment.value] = row
    return found


def compare(
    workload: Workload | str,
    dataflows: Sequence[Any] = ("NVDLA", "Eyeriss", "ShiDianNao", "MIX"),
    budgets: Sequence[Mapping[str, Any]] = EVERY_PLATFORM,
    **settings: Any,
) -> list[dict[str, Any]]:
    """The optimum of every dataflow under every budget.

    Args:
        workload: A workload or the name of a model.
        dataflows: As :meth:`AssignmentProblem.of` takes them.
        budgets: Each one of ``platform``, ``ratio`` or ``budget``.
        settings: Further arguments of :meth:`AssignmentProblem.of`.

    Returns:
        A row a combination. ``objective`` is None where nothing fits the budget, with the reason in
        ``why``; ``over_best`` is the objective over the best of the same budget, less 1.

    Raises:
        ValueError: If a name is unknown or a setting wrong.
    """
    rows: list[dict[str, Any]] = []
    for dataflow in dataflows:
        # Whatever is wrong with the settings, not with a budget, shows here.
        whole = AssignmentProblem.of(workload, dataflow, platform="unlimited", **settings)
        mixed = isinstance(dataflow, str) and dataflow in MIXES
        name = dataflow if mixed else whole.design.styles
        for budget in budgets:
            row: dict[str, Any] = {"dataflow": name, **budget, "objective": None}
            try:
                problem = AssignmentProblem.of(workload, dataflow, **budget, **settings)
            except InfeasibleError as error:
                rows.append(row | {"why": str(error)})
                continue
            best = problem.optimum()
            found = describe_assignment(problem, best.assignment)
            del found["layers"]
            uniform = problem.best_uniform()
            row |= {"budget_value": problem.budget, "unit": problem.constraint.unit, **found}
            row["best_uniform"] = uniform if np.isfinite(uniform) else None
            rows.append(row)
    for row in rows:
        same = [
            r["objective"]
            for r in rows
            if r["objective"] is not None and all(r.get(k) == row.get(k) for k in _BUDGET)
        ]
        row["over_best"] = None if row["objective"] is None else row["objective"] / min(same) - 1
    return rows


_BUDGET = ("platform", "ratio", "budget")


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV text, with a column for every key that occurs.

    A text that a spreadsheet would take for a formula, such as a layer's name that begins with
    ``=``, gets an apostrophe in front.
    """
    text = io.StringIO()
    columns = dict.fromkeys(key for row in rows for key in row)
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _no_formula(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _no_formula(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
