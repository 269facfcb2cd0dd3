"""``hwgym optimize``: what is proven best."""

from __future__ import annotations

import json as json_
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hwgym._arrays import Ints
from hwgym._files import write_text
from hwgym.cli.loopnest import Asked, optimize_loopnest
from hwgym.cli.loopnest_options import (
    ClockOption,
    DRAMOption,
    L1Option,
    L2Option,
    MixOption,
    ModelOption,
    PEsOption,
    only,
)
from hwgym.cli.options import (
    MODEL,
    BatchOption,
    ConstraintOption,
    DataflowOption,
    DimsOption,
    EitherDeploymentOption,
    FineOption,
    HardwareOption,
    JsonOption,
    ObjectiveOption,
    OutOption,
    PELevelsOption,
    ReleasedOption,
    TileLevelsOption,
    finer,
    least_text,
    make_problem,
    problem_option,
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
    networks: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL|FILE", help=MODEL + " Several with --model loopnest."),
    ] = None,
    dataflow: DataflowOption = "NVDLA",
    objective: ObjectiveOption = "latency",
    constraint: ConstraintOption = "area",
    budget: Annotated[
        str | None,
        problem_option(
            "--budget",
            "-b",
            metavar="BUDGET",
            help="A platform (cloud, iot, iotx, unlimited), a share of the range (0.1 or 10%), "
            "or an amount (12.5mm2, 250mW); by default iot, of loop nests cloud.",
        ),
    ] = None,
    deployment: EitherDeploymentOption = None,
    cost_model: ModelOption = "maestro",
    fine: FineOption = False,
    released: ReleasedOption = False,
    hardware: HardwareOption = None,
    pe_levels: PELevelsOption = None,
    tile_levels: TileLevelsOption = None,
    batch: BatchOption = None,
    dims: DimsOption = None,
    clock: ClockOption = None,
    pes: PEsOption = None,
    l1: L1Option = None,
    l2: L2Option = None,
    dram: DRAMOption = None,
    mix: MixOption = None,
    out: OutOption = None,
    json: JsonOption = False,
) -> None:
    """The proven optimum: which layer gets what, as a table, and with --out picture, CSV and JSON.

    All deployments are solved at the same budget and compared;
    --deployment says which of them table and files show in detail.

    Example: [bold]hwgym optimize MobileNetV2 --dataflow MIX --budget 12.5mm2 --out result[/]

    Example: [bold]hwgym optimize ResNet50 --model loopnest --clock 1GHz --l2 512KB[/]
    """
    if cost_model != "maestro":
        only(
            cost_model,
            {
                "--fine": fine,
                "--released": released,
                "--pe-levels": pe_levels,
                "--tile-levels": tile_levels,
            },
        )
        asked = Asked(
            networks or [], mix, dataflow, objective, constraint, budget, deployment, hardware,
            clock, pes, l1, l2, dram, batch, dims,
        )  # fmt: skip
        optimize_loopnest(asked, out, json)
        return
    only(
        cost_model,
        {
            "--clock": clock,
            "--pes": pes,
            "--l1": l1,
            "--l2": l2,
            "--dram": dram,
            "--mix": mix,
            "--deployment shared": deployment == "shared",
        },
    )
    budget = budget or "iot"
    coarse = make_problem(
        _one_network(networks or []),
        dataflow,
        objective,
        constraint,
        budget,
        deployment=deployment or "LP",
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
    files = []
    if out is not None:
        layers = report["optimum"]["layers"]
        files = write_assignment(out, problem, best.assignment, layers, report)
    if json:
        print_json(report)
        return
    limited = f"{constraint} budget"
    console().print(facts(VIEW.facts(problem) | {limited: VIEW.facts(coarse)[limited]}))
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


def _one_network(networks: Sequence[str]) -> str:
    if not networks:
        raise ValueError("missing argument 'MODEL|FILE': a model's name or a file")
    if len(networks) > 1:
        raise ValueError(
            f"unexpected extra argument {networks[1]!r}: several networks are for --model "
            "loopnest, where they share an array"
        )
    return networks[0]


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


def write_assignment(
    out: Path,
    problem: AssignmentProblem,
    assignment: Ints,
    layers: Sequence[dict[str, Any]],
    report: dict[str, Any],
) -> list[Path]:
    """Pictures of an assignment, its layers as CSV, and a report as JSON; the files written."""
    from hwgym.families.assignment import pictures
    from hwgym.plotting import save_figure

    worst = max(layers, key=lambda row: row["cost_share"])
    return [
        *(
            save_figure(figure(problem, assignment), out / f"{name}.png")
            for name, figure in (
                ("assignment", pictures.assignment_figure),
                ("budget", pictures.budget_figure),
                ("roofline", pictures.roofline_figure),
            )
        ),
        save_figure(
            pictures.design_space_figure(problem, worst["layer"]), out / "design_space.png"
        ),
        write_text(out / "assignment.csv", to_csv(layers)),
        write_text(out / "assignment.json", json_.dumps(report, indent=2) + "\n"),
    ]
