"""Problems and assignments as rows and JSON values: what tables, files and programs print."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hwgym.families.assignment.problem import PLATFORMS, AssignmentProblem, InfeasibleError
from hwgym.workloads import Workload

__all__ = [
    "OBJECTIVE_UNITS",
    "best_uniform",
    "compare",
    "describe_assignment",
    "describe_problem",
    "describe_workload",
    "layer_rows",
    "to_csv",
]

OBJECTIVE_UNITS = {
    "latency": "cycles",
    "energy": "nJ",
    "edp": "nJ x cycles",
    "throughput": "cycles",
}
EVERY_PLATFORM = tuple([{"platform": name} for name in PLATFORMS])


def describe_workload(workload: Workload) -> dict[str, Any]:
    """Name, totals, and a row a layer."""
    return {
        "workload": workload.name,
        "macs": workload.macs,
        "weights": workload.weights,
        "layers": [
            {
                "layer": layer.name,
                "kind": layer.kind,
                **{n: getattr(layer, n) for n in ("K", "C", "OY", "OX", "R", "S")},
                "stride": layer.stride,
                "repeat": layer.repeat,
                "macs": layer.macs,
                "weights": layer.weights,
            }
            for layer in workload
        ],
    }


def describe_problem(problem: AssignmentProblem) -> dict[str, Any]:
    """What is asked, with the budget and the range that it is a share of."""
    space = problem.space
    least, greatest = problem.budget_range
    return {
        "workload": space.workload.name,
        "layers": len(space.workload),
        "macs": space.workload.macs,
        "dataflows": [d.name for d in space.dataflows],
        "pe_levels": list(space.pe_levels),
        "tile_levels": list(space.tile_levels),
        "choices": space.num_actions,
        "technology": space.hardware.tech.name,
        "accounting": space.accounting.name,
        "objective": problem.objective,
        "objective_unit": OBJECTIVE_UNITS[problem.objective],
        "constraint": problem.constraint,
        "constraint_unit": problem.unit,
        "deployment": problem.deployment,
        "platform": problem.platform,
        "ratio": problem.ratio,
        "budget": problem.budget,
        "budget_range": [least, greatest],
    }


def describe_assignment(problem: AssignmentProblem, assignment: ArrayLike) -> dict[str, Any]:
    """What an assignment is worth, and what each layer gets and costs.

    Args:
        problem: Whose assignment it is.
        assignment: Level indices (steps, 2), with a third where dataflows mix.

    Raises:
        ValueError: If the assignment does not fit the problem.
    """
    scores = problem.evaluate(assignment)
    objective = float(scores.objective[0])
    return {
        "objective": objective,
        "latency_cycles": float(scores.latency_cycles[0]),
        "energy_nj": float(scores.energy_nj[0]),
        "area_um2": float(scores.area_um2[0]),
        "power_mw": float(scores.power_mw[0]),
        "budget_used": float(scores.used[0]) / problem.budget if problem.budget else 1.0,
        "feasible": bool(scores.feasible[0]),
        "assignment": np.asarray(assignment).tolist(),
        "layers": layer_rows(problem, assignment),
    }


def layer_rows(problem: AssignmentProblem, assignment: ArrayLike) -> list[dict[str, Any]]:
    """A row a layer: what it gets, what that costs, and its shares.

    ``cost_share`` is the layer's part of the sum of all layers' costs, ``usage_share`` of the
    budget. Under LS all layers have the same configuration, and share the one array.

    Raises:
        ValueError: If the assignment does not fit the problem.
    """
    space = problem.space
    layers = np.arange(len(space.workload))
    actions = np.broadcast_to(problem.actions_of(assignment)[0], layers.shape)
    latency, energy = (t[layers, actions] for t in (space.latency_cycles, space.energy_nj))
    cost = {"energy": energy, "edp": energy * latency}.get(problem.objective, latency)
    usage = (space.area_um2 if problem.constraint == "area" else space.power_mw)[layers, actions]
    rows = []
    for i, layer in enumerate(space.workload):
        pes, tile, style = space.describe(int(actions[i]))
        rows.append(
            {
                "layer": layer.name,
                "kind": layer.kind,
                "pes": pes,
                "tile": tile,
                "dataflow": style,
                "latency_cycles": int(latency[i]),
                "energy_nj": float(energy[i]),
                "area_um2": float(space.area_um2[i, actions[i]]),
                "power_mw": float(space.power_mw[i, actions[i]]),
                "l1_bytes": int(space.l1_bytes[i, actions[i]]),
                "l2_bytes": int(space.l2_bytes[i, actions[i]]),
                "valid": bool(space.valid[i, actions[i]]),
                "cost_share": float(cost[i] / (cost.sum() or 1)),
                "usage_share": float(usage[i] / problem.budget) if problem.budget else 1.0,
            }
        )
    return rows


def best_uniform(problem: AssignmentProblem) -> float:
    """The best feasible objective of giving every layer the same; infinite if none fits."""
    scores = problem.evaluate(problem.uniform())
    return float(np.where(scores.feasible, scores.objective, np.inf).min())


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
        space = AssignmentProblem.of(workload, dataflow, platform="unlimited", **settings).space
        name = "MIX" if dataflow == "MIX" else "+".join(d.name for d in space.dataflows)
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
            uniform = best_uniform(problem)
            row |= {"budget_value": problem.budget, "unit": problem.unit, **found}
            row["pes"] = int(np.array(problem.space.pe_levels)[best.assignment[:, 0]].sum())
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
    """Rows as CSV text, with a column for every key that occurs."""
    text = io.StringIO()
    columns = dict.fromkeys(key for row in rows for key in row)
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
