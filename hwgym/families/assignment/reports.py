"""Problems and assignments as rows and JSON values: what tables, files and programs print."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hwgym.core.problem import InfeasibleError
from hwgym.families.assignment.design_space import MIXES
from hwgym.families.assignment.problem import PLATFORMS, AssignmentProblem
from hwgym.families.layered import reports as layered
from hwgym.families.layered.reports import UNLIMITED, describe_asked, describe_assignment
from hwgym.workloads import Workload

__all__ = [
    "UNLIMITED",
    "compare",
    "deployments",
    "describe_assignment",
    "describe_problem",
    "describe_workload",
    "layer_rows",
    "to_csv",
]

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
        **describe_asked(problem),
    }


def layer_rows(problem: AssignmentProblem, assignment: ArrayLike) -> list[dict[str, Any]]:
    """A row a layer, as ``hwgym.families.layered.reports.layer_rows``.

    Raises:
        ValueError: If the assignment does not fit the problem, or is not complete.
    """
    [genes] = problem.space.check(assignment)
    if (genes < 0).any():
        raise ValueError("the assignment is not complete: it has -1 where nothing is chosen")
    return layered.layer_rows(problem, genes)


def deployments(problem: AssignmentProblem) -> dict[str, dict[str, Any]]:
    """The optima of both deployments within a problem's budget, as
    :func:`hwgym.families.layered.reports.deployments`."""
    return layered.deployments(problem, lambda *_: AssignmentProblem)


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
