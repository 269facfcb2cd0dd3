"""``hwgym optimize``: the proven optimum as a table, a picture, CSV and JSON."""

from __future__ import annotations

import json as json_
from pathlib import Path
from typing import Any

import typer

from hwgym._files import write_text
from hwgym.cli.explore import assignment_table, optimum_facts, problem_facts
from hwgym.cli.options import (
    BudgetOption,
    ConstraintOption,
    DataflowOption,
    DeploymentOption,
    FineOption,
    JsonOption,
    ObjectiveOption,
    OutOption,
    ReleasedOption,
    WorkloadArgument,
    make_problem,
)
from hwgym.cli.output import console, facts, folder, objective_text, print_json, working
from hwgym.problem import AssignmentProblem
from hwgym.reports import (
    best_uniform,
    describe_assignment,
    describe_problem,
    is_infeasible,
    to_csv,
)
from hwgym.solver import Certificate


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(optimize)


# --- optimize -------------------------------------------------------------------------------------


def optimize(
    model: WorkloadArgument,
    dataflow: DataflowOption = "NVDLA",
    objective: ObjectiveOption = "latency",
    constraint: ConstraintOption = "area",
    budget: BudgetOption = "iot",
    deployment: DeploymentOption = "LP",
    fine: FineOption = False,
    released: ReleasedOption = False,
    out: OutOption = None,
    json: JsonOption = False,
) -> None:
    """The proven optimum: which layer gets what, as a table, and with --out picture, CSV and JSON.

    Example: [bold]hwgym optimize MobileNetV2 --dataflow MIX --budget 12.5mm2 --out result[/]
    """
    coarse = make_problem(
        model, dataflow, objective, constraint, budget, deployment=deployment, released=released
    )
    problem = make_problem(
        model,
        dataflow,
        objective,
        constraint,
        budget,
        deployment=deployment,
        released=released,
        fine=fine,
    )
    with working("Solving"):
        best = problem.optimum()
    found = describe_assignment(problem, best.assignment)
    report = _report(problem, best, found)
    if fine:
        report["coarse_optimum"] = coarse.optimum().objective
    files = [] if out is None else _write(folder(out), problem, best, report)
    if json:
        print_json(report)
        return
    console().print(facts(problem_facts(problem) | {
        f"{constraint} budget": problem_facts(coarse)[f"{constraint} budget"]}))  # fmt: skip
    console().print()
    console().print(assignment_table(problem, found))
    shown = optimum_facts(problem, found, best.method, best_uniform(problem))
    if fine:
        gain = 1 - best.objective / coarse.optimum().objective
        shown["with 12 PE levels"] = (
            f"{objective_text(problem, coarse.optimum().objective)}; --fine saves {gain:.2%}"
        )
    if files:
        shown["written"] = ", ".join(map(str, files))
    console().print(facts(shown))


def _report(
    problem: AssignmentProblem, best: Certificate, found: dict[str, Any]
) -> dict[str, Any]:
    return {
        "problem": describe_problem(problem),
        "optimum": {
            **found,
            "lower_bound": best.lower_bound,
            "gap": best.gap,
            "method": best.method,
            "seconds": best.seconds,
        },
    }


def _write(
    out: Path, problem: AssignmentProblem, best: Certificate, report: dict[str, Any]
) -> list[Path]:
    from hwgym import plotting

    return [
        plotting.save_figure(
            plotting.assignment_figure(problem, best.assignment), out / "assignment.png"
        ),
        write_text(out / "assignment.csv", to_csv(report["optimum"]["layers"])),
        write_text(out / "assignment.json", json_.dumps(report, indent=2) + "\n"),
    ]
