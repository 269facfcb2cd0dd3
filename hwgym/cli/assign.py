"""``hwgym assign``: what an agent that has learnt elsewhere gives each layer."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from hwgym.cli.optimize import write_assignment
from hwgym.cli.options import (
    BatchOption,
    BudgetOption,
    ConstraintOption,
    DataflowOption,
    DimsOption,
    HardwareOption,
    JsonOption,
    ObjectiveOption,
    OutOption,
    PELevelsOption,
    TileLevelsOption,
    WorkloadArgument,
    make_problem,
)
from hwgym.cli.output import Failure, console, facts, folder, print_json
from hwgym.cli.show import solution_table
from hwgym.cli.train import (
    INTERRUPTED,
    SeedOption,
    SetOption,
    check_search,
    load_agent,
    parse_settings,
    searched,
)
from hwgym.core.view import Row
from hwgym.families.assignment.problem import AssignmentProblem
from hwgym.families.assignment.view import VIEW


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(assign)


def assign(
    network: WorkloadArgument,
    agent: Annotated[
        str,
        typer.Option(
            metavar="AGENT",
            help="generalist or predictor, which have learnt; or another (`hwgym list agents`).",
        ),
    ] = "generalist",
    samples: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Complete assignments that it may have evaluated; of 1 it "
            "sees nothing before it decides.",
        ),
    ] = 1,
    seed: SeedOption = 0,
    settings: SetOption = None,
    dataflow: DataflowOption = "NVDLA",
    objective: ObjectiveOption = "latency",
    constraint: ConstraintOption = "area",
    budget: BudgetOption = "iot",
    hardware: HardwareOption = None,
    pe_levels: PELevelsOption = None,
    tile_levels: TileLevelsOption = None,
    batch: BatchOption = None,
    dims: DimsOption = None,
    out: OutOption = None,
    json: JsonOption = False,
) -> None:
    """Hardware for a network that nobody has tabulated, by an agent that has learnt on others.

    The agent is told what the problem is and decides; then the assignment
    is evaluated, and stands beside the proven optimum and the best
    assignment that gives all layers the same.

    Example: [bold]hwgym assign resnet50.onnx --agent predictor --dataflow MIX --json[/]
    """  # fmt: skip
    check_search(samples, seed, None, resume=False)
    chosen = parse_settings(agent, load_agent(agent), settings or ())
    problem = make_problem(
        network,
        dataflow,
        objective,
        constraint,
        budget,
        hardware=hardware,
        pe_levels=pe_levels,
        tile_levels=tile_levels,
        batch=batch,
        dims=dims,
    )
    if out is not None:
        folder(out)  # before the work
    start = time.perf_counter()
    evaluator, interrupted = searched(
        agent, problem, problem, samples, seed, chosen, log=None, resume=False
    )
    seconds = time.perf_counter() - start
    if evaluator.best is None and interrupted:
        raise typer.Exit(INTERRUPTED)
    if evaluator.best is None:
        raise Failure(
            f"{agent} found no assignment within the budget in {evaluator.spent:,} samples"
        )
    found = VIEW.describe_solution(problem, evaluator.best)
    report = {
        "problem": VIEW.describe(problem),
        "agent": agent,
        "seed": seed,
        "samples": evaluator.spent,
        "seconds": seconds,
        "assignment": found,
        **_compared(problem, evaluator.best_objective),
    }
    files = []
    if out is not None:
        files = write_assignment(out, problem, evaluator.best, found["layers"], report)
    if json:
        print_json(report)
    else:
        console().print(facts(VIEW.facts(problem)))
        console().print()
        console().print(solution_table(VIEW, problem, found))
        shown = _facts(report, problem, found)
        if files:
            shown["written"] = ", ".join(map(str, files))
        console().print(facts(shown))
    if interrupted:
        raise typer.Exit(INTERRUPTED)


def _compared(problem: AssignmentProblem, objective: float) -> dict[str, Any]:
    """How good an objective is, as JSON values; None for what there is not."""
    best, uniform = problem.optimum(), problem.best_uniform()
    fits = math.isfinite(uniform)
    return {
        "optimum": best.objective,
        "regret": best.above(objective),
        "best_uniform": uniform if fits else None,
        "best_uniform_regret": best.above(uniform) if fits else None,
    }


def _facts(report: Mapping[str, Any], problem: AssignmentProblem, found: Row) -> dict[str, Any]:
    objective, samples = problem.objective, report["samples"]
    seen = "before it saw any cost" if samples == 1 else f"with {samples:,} samples"
    shown = {
        report["agent"]: f"{objective.text(found['objective'])}, decided {seen}, "
        f"in {_time(report['seconds'])}",
        "proven optimum": objective.text(report["optimum"]),
        "regret": f"{report['regret']:,.3%}",
    }
    shown |= VIEW.solution_facts(problem, found)
    shown["best uniform"] = "none fits the budget"
    if report["best_uniform"] is not None:
        over = f"{report['best_uniform_regret']:.1%} above the optimum"
        shown["best uniform"] = f"{objective.text(report['best_uniform'])}, {over}"
    return shown


def _time(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
