"""``hwgym optimize``: what is proven best."""

from __future__ import annotations

import json as json_
from pathlib import Path
from typing import Any

import typer

from hwgym._files import write_text
from hwgym.cli.options import (
    BatchOption,
    BudgetOption,
    ConstraintOption,
    DataflowOption,
    DeploymentOption,
    FineOption,
    HardwareOption,
    JsonOption,
    ObjectiveOption,
    OutOption,
    ReleasedOption,
    WorkloadArgument,
    finer,
    make_problem,
)
from hwgym.cli.output import console, facts, folder, print_json, working
from hwgym.cli.show import certificate_facts, solution_table
from hwgym.core.certificate import Certificate
from hwgym.families.assignment.problem import AssignmentProblem
from hwgym.families.assignment.reports import to_csv
from hwgym.families.assignment.view import VIEW


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(optimize)


def optimize(
    model: WorkloadArgument,
    dataflow: DataflowOption = "NVDLA",
    objective: ObjectiveOption = "latency",
    constraint: ConstraintOption = "area",
    budget: BudgetOption = "iot",
    deployment: DeploymentOption = "LP",
    fine: FineOption = False,
    released: ReleasedOption = False,
    hardware: HardwareOption = None,
    batch: BatchOption = None,
    out: OutOption = None,
    json: JsonOption = False,
) -> None:
    """The proven optimum: which layer gets what, as a table, and with --out picture, CSV and JSON.

    Example: [bold]hwgym optimize MobileNetV2 --dataflow MIX --budget 12.5mm2 --out result[/]
    """
    coarse = make_problem(
        model,
        dataflow,
        objective,
        constraint,
        budget,
        deployment=deployment,
        released=released,
        hardware=hardware,
        batch=batch,
    )
    problem = finer(coarse) if fine else coarse
    if out is not None:
        folder(out)  # before the work
    with working("Solving"):
        best = problem.optimum()
    found = VIEW.describe_solution(problem, best.assignment)
    report = _report(problem, best, found)
    if fine:
        report["coarse_optimum"] = coarse.optimum().objective
    files = [] if out is None else _write(out, problem, best, report)
    if json:
        print_json(report)
        return
    asked = f"{constraint} budget"
    console().print(facts(VIEW.facts(problem) | {asked: VIEW.facts(coarse)[asked]}))
    console().print()
    console().print(solution_table(VIEW, problem, found))
    shown = certificate_facts(VIEW, problem, found, best)
    if fine:
        gain = 1 - best.objective / coarse.optimum().objective
        shown["with 12 PE levels"] = (
            f"{problem.objective.text(coarse.optimum().objective)}; --fine saves {gain:.2%}"
        )
    if files:
        shown["written"] = ", ".join(map(str, files))
    console().print(facts(shown))


def _report(problem: AssignmentProblem, best: Certificate, found: dict[str, Any]) -> dict[str, Any]:
    return {
        "problem": VIEW.describe(problem),
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
    from hwgym.families.assignment import pictures
    from hwgym.plotting import save_figure

    worst = max(report["optimum"]["layers"], key=lambda row: row["cost_share"])
    return [
        *(
            save_figure(figure(problem, best.assignment), out / f"{name}.png")
            for name, figure in (
                ("assignment", pictures.assignment_figure),
                ("budget", pictures.budget_figure),
                ("roofline", pictures.roofline_figure),
            )
        ),
        save_figure(
            pictures.design_space_figure(problem, worst["layer"]), out / "design_space.png"
        ),
        write_text(out / "assignment.csv", to_csv(report["optimum"]["layers"])),
        write_text(out / "assignment.json", json_.dumps(report, indent=2) + "\n"),
    ]
