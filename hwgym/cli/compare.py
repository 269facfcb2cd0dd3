"""``hwgym compare``: the optima of dataflows and budgets side by side."""

from __future__ import annotations

import json as json_
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from hwgym._files import write_text
from hwgym.cli.loopnest import DEPLOYMENT, Asked
from hwgym.cli.loopnest_compare import compare_loopnest
from hwgym.cli.loopnest_options import (
    ClockOption,
    DRAMOption,
    L1Option,
    L2Option,
    ModelOption,
    PEsOption,
    only,
)
from hwgym.cli.options import (
    BatchOption,
    ConstraintOption,
    DimsOption,
    EitherDeploymentOption,
    HardwareOption,
    JsonOption,
    ObjectiveOption,
    OutOption,
    PELevelsOption,
    ReleasedOption,
    TileLevelsOption,
    WorkloadArgument,
    load_dataflow,
    load_workload,
    parse_budget,
    parse_levels,
    problem_option,
)
from hwgym.cli.output import Failure, console, facts, folder, print_json, table, working
from hwgym.core.metric import METRICS
from hwgym.core.view import brief
from hwgym.families.assignment.design_space import MIX, PE_LEVELS, TILE_LEVELS
from hwgym.families.assignment.problem import PLATFORMS
from hwgym.families.assignment.reports import compare as compare_all
from hwgym.families.assignment.reports import to_csv
from hwgym.hardware import Hardware

LISTS = ("assignment", "array", "templates", "networks")
"""Columns that a cell of CSV holds as JSON."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(compare)


def compare(
    model: WorkloadArgument,
    dataflows: Annotated[
        list[str] | None,
        problem_option(
            "--dataflow",
            "-d",
            metavar="NAME|FILE",
            help=f"May be given often; by default {', '.join(MIX)} (of loop nests TPU, too), MIX.",
        ),
    ] = None,
    objective: ObjectiveOption = "latency",
    constraint: ConstraintOption = "area",
    budgets: Annotated[
        list[str] | None,
        problem_option(
            "--budget",
            "-b",
            metavar="BUDGET",
            help="May be given often: platforms, shares, amounts; by default all platforms.",
        ),
    ] = None,
    deployment: EitherDeploymentOption = None,
    cost_model: ModelOption = "maestro",
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
    out: OutOption = None,
    json: JsonOption = False,
) -> None:
    """The proven optima of dataflows and platforms side by side.

    Example: [bold]hwgym compare ResNet50 --objective energy --budget iot --budget 20mm2[/]

    Example: [bold]hwgym compare ResNet50 --model loopnest --l2 256KB --budget 3mm2[/]
    """
    texts = budgets or list(PLATFORMS)
    if cost_model != "maestro":
        only(
            cost_model,
            {"--released": released, "--pe-levels": pe_levels, "--tile-levels": tile_levels},
        )
        asked = Asked(
            [model], None, "", objective, constraint, None, deployment, hardware, clock, pes, l1,
            l2, dram, batch, dims,
        )  # fmt: skip
        name, rows = compare_loopnest(asked, dataflows or (), texts, out)
        deployment = deployment or DEPLOYMENT
    else:
        of_loopnest = {"--clock": clock, "--pes": pes, "--l1": l1, "--l2": l2, "--dram": dram}
        of_loopnest["--deployment shared"] = "given" if deployment == "shared" else None
        only(cost_model, of_loopnest)
        deployment = deployment or "LP"
        styles = dataflows or [*MIX, "MIX"]
        limits = [parse_budget(text, constraint) for text in texts]
        workload = load_workload(model, released=released, batch=batch, dims=dims)
        name = workload.name
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
                pe_levels=parse_levels("--pe-levels", pe_levels, PE_LEVELS),
                tile_levels=parse_levels("--tile-levels", tile_levels, TILE_LEVELS),
            )
        for row, text in zip(rows, texts * len(styles), strict=True):
            row["name"] = text
    report = {
        "workload": name,
        "model": cost_model,
        "objective": objective,
        "objective_unit": METRICS[objective].unit,
        "constraint": constraint,
        "deployment": deployment,
        "rows": rows,
    }
    files = [] if out is None else _write_comparison(out, report)
    if json:
        print_json(report)
    else:
        _print_comparison(report, texts, files)
    if all(row["objective"] is None for row in rows):
        raise Failure("nothing fits any of the budgets")


def _print_comparison(report: dict[str, Any], texts: list[str], files: list[Path]) -> None:
    found = {(row["dataflow"], row["name"]): row for row in report["rows"]}
    names = list(dict.fromkeys(row["dataflow"] for row in report["rows"]))
    unit = report["objective_unit"]
    how = f" ({report['deployment']})" if report["model"] == "loopnest" else ""
    cells = []
    widest = max(len(brief(row["objective"] or 0, ",.0f")) for row in report["rows"]) + 9
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
            line.append(Text(f"{brief(row['objective'], ',.0f')}{between}{mark:>6}", style=style))
        cells.append(line)
    console().print(
        table(
            ["dataflow", *texts],
            cells,
            title=f"{report['workload']}{how}: least {report['objective']} ({unit}) by "
            f"{report['constraint']} budget, proven; beside it, how far above the column's best",
            left=("dataflow",),
        )
    )
    for row in report["rows"]:
        if row.get("lower_bound", row["objective"]) != row["objective"]:
            bound = f"{row['dataflow']}, {row['name']}: none is below {row['lower_bound']:,.0f}"
            console().print(facts({"not proven": bound}))
    if files:
        console().print(facts({"written": ", ".join(map(str, files))}))


def _write_comparison(out: Path, report: dict[str, Any]) -> list[Path]:
    from hwgym.families.assignment.pictures import comparison_figure
    from hwgym.plotting import save_figure

    kept = [r for r in report["rows"] if r["objective"] is not None]
    for row in kept:
        for name in LISTS:
            if name in row:
                row[name] = json_.dumps(row[name])
    written = [write_text(out / "comparison.json", json_.dumps(report, indent=2) + "\n")]
    if kept:
        written += [
            save_figure(comparison_figure(report), out / "comparison.png"),
            write_text(out / "comparison.csv", to_csv(kept)),
        ]
    return written
