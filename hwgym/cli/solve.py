"""``hwgym optimize``, ``frontier`` and ``compare``: what is proven best, and what can be had."""

from __future__ import annotations

import json as json_
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from hwgym._files import write_text
from hwgym.cli.explore import assignment_table, optimum_facts, problem_facts
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
    load_dataflow,
    load_workload,
    make_problem,
    parse_budget,
)
from hwgym.cli.output import (
    Failure,
    console,
    errors,
    facts,
    folder,
    objective_text,
    print_json,
    steps_of,
    table,
    working,
)
from hwgym.costs.maestro import Hardware
from hwgym.families.assignment.design_space import MIX
from hwgym.families.assignment.frontier import OBJECTIVES, Frontier
from hwgym.families.assignment.frontier import frontier as pareto
from hwgym.families.assignment.optimum import Certificate
from hwgym.families.assignment.problem import PLATFORMS, AssignmentProblem
from hwgym.families.assignment.reports import (
    OBJECTIVE_UNITS,
    best_uniform,
    describe_assignment,
    describe_problem,
    to_csv,
)
from hwgym.families.assignment.reports import compare as compare_all


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(optimize)
    app.command()(frontier)
    app.command()(compare)


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
    found = describe_assignment(problem, best.assignment)
    report = _report(problem, best, found)
    if fine:
        report["coarse_optimum"] = coarse.optimum().objective
    files = [] if out is None else _write(out, problem, best, report)
    if json:
        print_json(report)
        return
    asked = f"{constraint} budget"
    console().print(facts(problem_facts(problem) | {asked: problem_facts(coarse)[asked]}))
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


def _report(problem: AssignmentProblem, best: Certificate, found: dict[str, Any]) -> dict[str, Any]:
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

    worst = max(report["optimum"]["layers"], key=lambda row: row["cost_share"])
    return [
        *(
            plotting.save_figure(figure(problem, best.assignment), out / f"{name}.png")
            for name, figure in (
                ("assignment", plotting.assignment_figure),
                ("budget", plotting.budget_figure),
                ("roofline", plotting.roofline_figure),
            )
        ),
        plotting.save_figure(
            plotting.design_space_figure(problem, worst["layer"]), out / "design_space.png"
        ),
        write_text(out / "assignment.csv", to_csv(report["optimum"]["layers"])),
        write_text(out / "assignment.json", json_.dumps(report, indent=2) + "\n"),
    ]


# --- frontier -------------------------------------------------------------------------------------

SHOWN = 16  # points in the table
DEFAULT_EPSILON = 0.02


def frontier(
    model: WorkloadArgument,
    dataflow: DataflowOption = "NVDLA",
    objectives: Annotated[
        str,
        typer.Option(
            "--objectives",
            "-o",
            metavar="NAMES",
            help=f"Two or three, with commas: {', '.join(OBJECTIVES)}.",
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
    batch: BatchOption = None,
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
        batch=batch,
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
        "problem": describe_problem(problem),
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
    shown = problem_facts(problem)
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
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "point": lambda row: f"{row['point']:,}",
        "cycles": lambda row: f"{row['latency_cycles']:,.0f}",
        "nJ": lambda row: f"{row['energy_nj']:,.0f}",
        "mm²": lambda row: f"{row['area_um2'] / 1e6:.4f}",
        "mW": lambda row: f"{row['power_mw']:,.1f}",
        **{name: _number_of(name) for name in ("edp", "throughput") if name in front.objectives},
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


def _number_of(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda row: f"{row[name]:,.6g}"


def _write_front(
    out: Path, front: Frontier, rows: list[dict[str, Any]], report: dict[str, Any]
) -> list[Path]:
    from hwgym import plotting

    written = [
        plotting.save_figure(plotting.frontier_figure(front), out / "frontier.png"),
        write_text(out / "frontier.csv", to_csv(rows)),
        write_text(out / "frontier.json", json_.dumps(report) + "\n"),
    ]
    try:
        written.append(plotting.frontier_page(front, out / "frontier.html"))
    except ImportError as error:
        errors().print(f"no interactive picture: {error}", style="dim", markup=False)
    return written


# --- compare --------------------------------------------------------------------------------------


def compare(
    model: WorkloadArgument,
    dataflows: Annotated[
        list[str] | None,
        typer.Option(
            "--dataflow", "-d", metavar="NAME", help="May be given often; by default all."
        ),
    ] = None,
    objective: ObjectiveOption = "latency",
    constraint: ConstraintOption = "area",
    budgets: Annotated[
        list[str] | None,
        typer.Option(
            "--budget",
            "-b",
            metavar="BUDGET",
            help="May be given often: platforms, shares, amounts; by default all platforms.",
        ),
    ] = None,
    deployment: DeploymentOption = "LP",
    released: ReleasedOption = False,
    hardware: HardwareOption = None,
    batch: BatchOption = None,
    out: OutOption = None,
    json: JsonOption = False,
) -> None:
    """The proven optima of dataflows and platforms side by side.

    Example: [bold]hwgym compare ResNet50 --objective energy --budget iot --budget 20mm2[/]
    """
    texts = budgets or list(PLATFORMS)
    styles = dataflows or [*MIX, "MIX"]
    limits = [parse_budget(text, constraint) for text in texts]
    workload = load_workload(model, released=released, batch=batch)
    if out is not None:
        folder(out)  # before the work
    with working("Solving"):
        rows = compare_all(
            workload,
            [load_dataflow(style) for style in styles],
            limits,
            objective=objective,
            constraint=constraint,
            deployment=deployment,
            released=released,
            hardware=None if hardware is None else Hardware.from_toml(hardware),
        )
    for row, text in zip(rows, texts * len(styles), strict=True):
        row["name"] = text
    report = {
        "workload": workload.name,
        "objective": objective,
        "objective_unit": OBJECTIVE_UNITS[objective],
        "constraint": constraint,
        "deployment": deployment,
        "rows": rows,
    }
    files = [] if out is None else _write_comparison(out, report)
    if json:
        print_json(report)
    else:
        _print_comparison(report, styles, texts, files)
    if all(row["objective"] is None for row in rows):
        raise Failure("nothing fits any of the budgets")


def _print_comparison(
    report: dict[str, Any], styles: list[str], texts: list[str], files: list[Path]
) -> None:
    found = {(row["dataflow"], row["name"]): row for row in report["rows"]}
    names = list(dict.fromkeys(row["dataflow"] for row in report["rows"]))
    unit = report["objective_unit"]
    cells = []
    widest = max(len(f"{row['objective'] or 0:,.0f}") for row in report["rows"]) + 9
    narrow = console().width < max(map(len, names)) + 2 + widest * len(texts)
    between = "\n" if narrow else " "  # rather two lines than cut numbers
    for name in names:
        line: list[object] = [name]
        for text in texts:
            row = found[name, text]
            if row["objective"] is None:
                line.append(Text("nothing fits", style="dim"))
                continue
            over = row["over_best"]
            mark = "best" if over == 0 else f"+{over:.0%}"
            style = "bold green" if over == 0 else ""
            line.append(Text(f"{row['objective']:,.0f}{between}{mark:>6}", style=style))
        cells.append(line)
    console().print(
        table(
            ["dataflow", *texts],
            cells,
            title=f"{report['workload']}: least {report['objective']} ({unit}) by "
            f"{report['constraint']} budget, proven; beside it, how far above the column's best",
            left=("dataflow",),
        )
    )
    if files:
        console().print(facts({"written": ", ".join(map(str, files))}))


def _write_comparison(out: Path, report: dict[str, Any]) -> list[Path]:
    from hwgym import plotting

    kept = [r for r in report["rows"] if r["objective"] is not None]
    for row in kept:
        row["assignment"] = json_.dumps(row["assignment"])
    written = [write_text(out / "comparison.json", json_.dumps(report, indent=2) + "\n")]
    if kept:
        written += [
            plotting.save_figure(plotting.comparison_figure(report), out / "comparison.png"),
            write_text(out / "comparison.csv", to_csv(kept)),
        ]
    return written
