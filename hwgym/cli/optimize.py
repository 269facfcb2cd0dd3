"""``hwgym optimize``: what is proven best."""

from __future__ import annotations

import json as json_
from collections.abc import Callable
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
    DimsOption,
    FineOption,
    HardwareOption,
    JsonOption,
    ObjectiveOption,
    OutOption,
    PELevelsOption,
    ReleasedOption,
    TileLevelsOption,
    WorkloadArgument,
    finer,
    least_text,
    make_problem,
)
from hwgym.cli.output import console, facts, folder, print_json, table, working
from hwgym.cli.show import certificate_facts, solution_table
from hwgym.core.certificate import Certificate
from hwgym.core.view import brief
from hwgym.families.assignment.problem import AssignmentProblem
from hwgym.families.assignment.reports import deployments, to_csv
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
    pe_levels: PELevelsOption = None,
    tile_levels: TileLevelsOption = None,
    batch: BatchOption = None,
    dims: DimsOption = None,
    out: OutOption = None,
    json: JsonOption = False,
) -> None:
    """The proven optimum: which layer gets what, as a table, and with --out picture, CSV and JSON.

    Both deployments are solved at the same budget and compared;
    --deployment says which of them table and files show in detail.

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
        pe_levels=pe_levels,
        tile_levels=tile_levels,
        batch=batch,
        dims=dims,
    )
    problem = finer(coarse) if fine else coarse
    if out is not None:
        folder(out)  # before the work
    with working("Solving"):
        best = problem.optimum()
        both = deployments(problem)
    found = VIEW.describe_solution(problem, best.assignment)
    report = _report(problem, best, found, both)
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
        shown[f"with {len(coarse.design.pe_levels)} PE levels"] = (
            f"{problem.objective.text(coarse.optimum().objective)}; --fine saves {gain:.2%}"
        )
    if files:
        shown["written"] = ", ".join(map(str, files))
    console().print(facts(shown))
    console().print()
    console().print(_both_table(problem, both))
    console().print(facts(_verdict(both, lambda least: least_text(least, budget, constraint))))


def _both_table(problem: AssignmentProblem, both: dict[str, dict[str, Any]]) -> Any:
    metrics = {m.name: m for m in problem.statement.metrics}
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "PEs": lambda row: f"{row['pes']:,}",
        "latency": lambda row: brief(row["latency_cycles"], ",.0f"),
        "period": lambda row: brief(row["period_cycles"], ",.0f"),
        "utilised": lambda row: f"{row['utilization']:.2%}",
        "pipelined": lambda row: f"{row['utilization_pipelined']:.2%}",
        "energy (nJ)": lambda row: brief(row["energy_nj"], ",.0f"),
    }
    if problem.objective.name not in ("latency", "energy", "throughput"):
        columns[problem.objective.name] = lambda row: brief(row["objective"], ",.0f")
    limited = metrics[problem.constraint.name]
    columns[limited.shown_unit] = lambda row: f"{float(limited.shown(row[limited.column])):,.4g}"
    rows = [
        [name, *("-" if row["objective"] is None else cell(row) for cell in columns.values())]
        for name, row in both.items()
    ]
    return table(
        ["optimum of", *columns],
        rows,
        title=f"Both deployments within {limited.text(VIEW.budget(problem))}: cycles for one input "
        "(latency) and from input to input of a stream (period), and PEs utilised in either",
        left=["optimum of"],
        spare=["energy (nJ)"] if problem.objective.name != "energy" else [],
    )


def _verdict(both: dict[str, dict[str, Any]], amount: Callable[[float], str]) -> dict[str, str]:
    """Which is faster, for one input and for many; or why one is missing."""
    missing = {name: row for name, row in both.items() if row["objective"] is None}
    if missing:
        return {
            name: f"nothing fits: it takes at least {amount(row['least'])}"
            if "least" in row
            else row["why"]
            for name, row in missing.items()
        }
    said = {}
    for what, column in (("one input", "latency_cycles"), ("a stream", "period_cycles")):
        (fast, least), (_, most) = sorted(
            ((name, row[column]) for name, row in both.items()), key=lambda each: each[1]
        )
        times = most / least
        if times >= 1.1:
            said[what] = f"{fast} is {times:.3g} times as fast"
        else:
            less = 1 - 1 / times
            said[what] = f"{fast} takes {less:.2%} less" if less >= 5e-5 else "both alike, to 0.01%"
    return said


def _report(
    problem: AssignmentProblem,
    best: Certificate,
    found: dict[str, Any],
    both: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    return {
        "problem": VIEW.describe(problem),
        "optimum": {
            **found,
            "lower_bound": best.lower_bound,
            "gap": best.gap,
            "method": best.method,
            "seconds": best.seconds,
        },
        "deployments": both,
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
