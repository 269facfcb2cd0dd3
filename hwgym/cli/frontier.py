"""``hwgym frontier``: what can be had for what."""

from __future__ import annotations

import json as json_
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from hwgym._files import write_text
from hwgym.cli.options import (
    BatchOption,
    BudgetOption,
    ConstraintOption,
    DataflowOption,
    DeploymentOption,
    DimsOption,
    HardwareOption,
    JsonOption,
    OutOption,
    PELevelsOption,
    ReleasedOption,
    TileLevelsOption,
    WorkloadArgument,
    make_problem,
    problem_option,
)
from hwgym.cli.output import console, errors, facts, folder, print_json, steps_of, table
from hwgym.core.metric import Metric
from hwgym.core.view import brief
from hwgym.families.assignment.frontier import Frontier
from hwgym.families.assignment.frontier import frontier as pareto
from hwgym.families.assignment.pictures.tradeoffs import FORMATS
from hwgym.families.assignment.problem import CONSTRAINTS, OBJECTIVES
from hwgym.families.assignment.reports import to_csv
from hwgym.families.assignment.view import VIEW

SHOWN = 16  # points in the table
DEFAULT_EPSILON = 0.02


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(frontier)


def frontier(
    model: WorkloadArgument,
    dataflow: DataflowOption = "NVDLA",
    objectives: Annotated[
        str,
        problem_option(
            "--objectives",
            "-o",
            metavar="NAMES",
            help=f"Two or three, with commas: {', '.join((*OBJECTIVES, *CONSTRAINTS))}.",
        ),
    ] = "latency,energy,area",
    constraint: ConstraintOption = "area",
    budget: BudgetOption = "iot",
    epsilon: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            help="0: exact. Else how much, relatively, a point left out may be better. By default "
            f"exact for one objective beside the constraint, {DEFAULT_EPSILON} for two.",
        ),
    ] = None,
    deployment: DeploymentOption = "LP",
    released: ReleasedOption = False,
    hardware: HardwareOption = None,
    pe_levels: PELevelsOption = None,
    tile_levels: TileLevelsOption = None,
    batch: BatchOption = None,
    dims: DimsOption = None,
    out: OutOption = None,
    json: JsonOption = False,
) -> None:
    """The Pareto front of the assignments within a budget, exact or within a stated tolerance.

    Example: [bold]hwgym frontier MobileNetV2 --objectives latency,area --out front[/]
    """
    names = tuple(part.strip() for part in objectives.split(",") if part.strip())
    problem = make_problem(
        model,
        dataflow,
        "latency",
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
    beside = [name for name in names if name != constraint]
    if epsilon is None:
        epsilon = 0.0 if len(beside) < 2 else DEFAULT_EPSILON
    if out is not None:
        folder(out)  # before the work
    with steps_of("Adding layers", problem.num_steps) as show:
        front = pareto(problem, names, epsilon=epsilon, progress=show)
    rows = front.rows()
    report = {
        "problem": VIEW.describe(problem),
        "objectives": list(front.objectives),
        "exact": front.exact,
        "epsilon": front.epsilon,
        "claim": front.claim,
        "seconds": front.seconds,
        "points": [
            {**row, "actions": actions}
            for row, actions in zip(rows, front.actions.tolist(), strict=True)
        ],
    }
    files = [] if out is None else _write_front(out, front, rows, report)
    if json:
        print_json(report, indent=None)
        return
    shown = VIEW.facts(problem)
    shown["to minimise"] = ", ".join(front.objectives)
    console().print(facts(shown))
    console().print()
    console().print(_front_table(front))
    told: dict[str, object] = {
        "points": f"{len(front):,}, found in {front.seconds:.1f} s",
        "complete": front.claim,
    }
    if files:
        told["written"] = ", ".join(map(str, files))
    console().print(facts(told))


def _front_table(front: Frontier) -> Any:
    metrics = front.problem.statement.metrics
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "point": lambda row: f"{row['point']:,}",
        **{m.shown_unit: _number(m, FORMATS[m.name]) for m in metrics},
        **{m.name: _number(m) for m in front.metrics if m not in metrics},
        "PEs": lambda row: f"{row['pes']:,}",
        "budget": lambda row: f"{row['budget_used']:.1%}",
    }
    rows = front.rows(front.select(SHOWN))
    caption = None
    if len(rows) < len(front):
        caption = f"{len(rows)} of {len(front):,} points, far apart; --out and --json have all"
    return table(
        list(columns), [[cell(row) for cell in columns.values()] for row in rows], caption=caption
    )


def _number(metric: Metric, form: str = "") -> Callable[[dict[str, Any]], str]:
    return lambda row: brief(float(metric.shown(row[metric.column])), form)


def _write_front(
    out: Path, front: Frontier, rows: list[dict[str, Any]], report: dict[str, Any]
) -> list[Path]:
    from hwgym.families.assignment.pictures import frontier_figure, frontier_page
    from hwgym.plotting import save_figure

    written = [
        save_figure(frontier_figure(front), out / "frontier.png"),
        write_text(out / "frontier.csv", to_csv(rows)),
        write_text(out / "frontier.json", json_.dumps(report) + "\n"),
    ]
    try:
        written.append(frontier_page(front, out / "frontier.html"))
    except ImportError as error:
        errors().print(f"no interactive picture: {error}", style="dim", markup=False)
    return written
