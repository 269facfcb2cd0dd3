"""``hwgym train`` and ``refine``: run an agent, report its regret, or gap."""

from __future__ import annotations

import math
import re
import time
import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from hwgym._extras import explain
from hwgym._names import nearest
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
    finer,
    make_problem,
    problem_of_id,
    view_of,
)
from hwgym.cli.output import Failure, console, errors, facts, folder, print_json, working
from hwgym.core.agents import find_agent
from hwgym.core.evaluator import Evaluator
from hwgym.core.family import registered_ids
from hwgym.core.log import read_episodes, read_settings
from hwgym.core.problem import Problem
from hwgym.core.search import solve
from hwgym.core.veil import Withheld
from hwgym.families.assignment.problem import AssignmentProblem

INTERRUPTED = 130
REFINER = "ga-refiner"

AgentOption = Annotated[
    str, typer.Option("--agent", metavar="AGENT", help="An installed one (`hwgym list agents`).")
]
LogOption = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Write every sample to a log in this new folder."),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on with the log, and with the agent's checkpoint.")
]
SamplesOption = Annotated[
    int, typer.Option(metavar="N", help="Complete solutions that may be evaluated.")
]
SeedOption = Annotated[int, typer.Option(metavar="N", help="Equal seeds give equal results.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting of the agent (`hwgym show AGENT`); may be repeated.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(train)
    app.command()(refine)


def train(
    context: typer.Context,
    agent: Annotated[
        str, typer.Argument(metavar="AGENT", help="An installed agent (`hwgym list agents`).")
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="ENVIRONMENT|MODEL|FILE",
            help="What to search: an environment, or a network with the options below.",
        ),
    ],
    samples: SamplesOption = 5000,
    seed: SeedOption = 0,
    settings: SetOption = None,
    log: LogOption = None,
    resume: ResumeOption = False,
    dataflow: DataflowOption = "NVDLA",
    objective: ObjectiveOption = "latency",
    constraint: ConstraintOption = "area",
    budget: BudgetOption = "iot",
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
    """Search with an agent, and say how far above the proven optimum it ends.

    A sample is one complete solution evaluated. The optimum is read after
    the search, for the regret: objective / optimum - 1; where only a lower
    bound is proven, it is the gap to that. Interrupted (Ctrl-C), it reports
    what was found until then.

    Example: [bold]hwgym train reinforce HWAssign-VGG16-MIX-v0 --samples 2000 --log runs/rl[/]
    """
    check_search(samples, seed, log, resume)
    cls = load_agent(agent)
    chosen = parse_settings(agent, cls, settings or ())
    where: Problem | str
    if target in registered_ids() or re.search(r"-v\d+(#.*)?$", target):
        _check_environment(context, target)
        problem, where, name = problem_of_id(target), target, target
    else:
        made = make_problem(
            target,
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
        problem, where, name = made, made, made.design.workload.name
    _run(agent, where, problem, samples, seed, chosen, log, resume, out, json, name=name)


def refine(
    logs: Annotated[
        list[str], typer.Argument(metavar="LOG...", help="Episode logs, all of one problem.")
    ],
    samples: SamplesOption = 1000,
    seed: SeedOption = 0,
    settings: SetOption = None,
    log: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write a log of its own there.")
    ] = None,
    env: Annotated[
        str | None,
        typer.Option(metavar="ENVIRONMENT", help="By default that of the first log."),
    ] = None,
    fine: FineOption = False,
    out: OutOption = None,
    json: JsonOption = False,
) -> None:
    """Refine what other agents found with a genetic algorithm, starting from their episode logs.

    Example: [bold]hwgym refine runs/rl --samples 1000 --fine[/]
    """
    check_search(samples, seed, log, resume=False)
    env_id = env or read_settings(logs[0]).get("env_id")
    if env_id is None:
        raise ValueError(f"{logs[0]} names no environment: give one with --env")
    problem = problem_of_id(env_id)
    where: Problem | str = env_id
    if fine:
        if not isinstance(problem, AssignmentProblem):
            raise ValueError(f"--fine: {env_id} has no PE counts to choose more finely")
        problem = where = finer(problem)
    chosen = parse_settings(REFINER, load_agent(REFINER), settings or ())
    found = [read_episodes(each) for each in logs]
    before = min(
        (float(each.loc[each["feasible"], "objective"].min()) for each in found if len(each)),
        default=math.nan,
    )
    _run(
        REFINER, where, problem, samples, seed, {**chosen, "logs": logs}, log, False, out, json,
        name=env_id, before={"episodes": sum(map(len, found)), "objective": before},
    )  # fmt: skip


def load_agent(agent: str) -> type[Any]:
    with working(f"Loading {agent}"):
        try:
            return find_agent(agent)
        except ImportError as error:
            raise Failure(f"{agent}: {explain(error)}") from error


OF_NETWORKS = (
    "dataflow", "objective", "constraint", "budget", "deployment", "released", "hardware",
    "pe_levels", "tile_levels", "batch", "dims",
)  # fmt: skip


def _check_environment(context: typer.Context, env_id: str) -> None:
    """An environment has its own problem: what would be ignored is refused."""
    for name in OF_NETWORKS:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = "--" + name.replace("_", "-")
            raise ValueError(f"{option} is for a model or a file; {env_id} has its own problem")


def check_search(samples: int, seed: int, log: Path | None, resume: bool) -> None:
    if samples < 1:
        raise ValueError(f"--samples must be a positive integer, got {samples}")
    if seed < 0:
        raise ValueError(f"--seed must not be negative, got {seed}")
    if log is not None and log.exists():
        if not log.is_dir():
            raise ValueError(f"--log: {log} is a file; give a folder")
        if any(log.iterdir()) and not resume:
            raise ValueError(f"--log: {log} is not empty; choose another folder, or --resume")
    if resume and log is None:
        raise ValueError("--resume goes on with a log: give it with --log")


# --- one run ------------------------------------------------------------------------------------


def _run(
    agent: str,
    where: Problem | str,
    problem: Problem,
    samples: int,
    seed: int,
    settings: dict[str, Any],
    log: Path | None,
    resume: bool,
    out: Path | None,
    json: bool,
    *,
    name: str,
    before: dict[str, Any] | None = None,
) -> None:
    if out is not None:
        folder(out)
    start = time.perf_counter()
    evaluator, interrupted = searched(agent, where, problem, samples, seed, settings, log, resume)
    report = _report(agent, name, seed, problem, evaluator, log)
    report |= {"seconds": time.perf_counter() - start, "interrupted": interrupted}
    if before is not None:
        report["before"] = before
    files = [] if out is None else _write(out, agent, problem, evaluator)
    if json:
        print_json(report)
    else:
        _print(report, problem, files)
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    if report["objective"] is None:
        raise Failure(f"{agent} found no feasible solution in {evaluator.spent:,} samples")


def searched(
    agent: str,
    where: Problem | str,
    problem: Problem,
    samples: int,
    seed: int,
    settings: dict[str, Any],
    log: Path | None,
    resume: bool,
) -> tuple[Evaluator, bool]:
    """What an agent bought, with a progress bar meanwhile, and whether somebody interrupted it.

    Args:
        where: What is searched: ``problem``, or the environment id that the log is to carry.

    Raises:
        Failure: If the agent asked for what it had not paid for.
        ValueError: If a file or a setting is wrong.
        OSError: The system's own, of a file.
    """
    caught: list[Evaluator] = []
    interrupted = False
    try:
        with _progress(samples, caught) as show:
            solve(
                agent,
                where,
                samples=samples,
                seed=seed,
                log=log,
                settings=settings,
                progress=show,
                resume=resume,
            )
    except KeyboardInterrupt:
        interrupted = True
    except (OSError, TypeError, ValueError) as error:  # a file or a setting is wrong
        if isinstance(error, OSError) and error.errno is not None:  # the system's own, of a file
            raise
        raise ValueError(f"{agent}: {error}") from error
    except Withheld as error:
        raise Failure(f"{agent} was stopped: {error}") from error
    return (caught[0] if caught else Evaluator(problem, samples)), interrupted


@contextmanager
def _progress(samples: int, caught: list[Evaluator]) -> Iterator[Callable[[Evaluator], None]]:
    """A progress bar on standard error while the search goes on, if that is a terminal.

    Gives what is to be called after each batch of samples; the evaluator is left in ``caught``.
    """
    aside = errors()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("best {task.fields[best]}"),
        TimeElapsedColumn(),
        TextColumn("remaining"),
        TimeRemainingColumn(),
        console=aside,
        transient=True,
        disable=not aside.is_terminal,
    )
    task = bar.add_task("samples", total=samples, best="-")

    def show(evaluator: Evaluator) -> None:
        caught[:] = [evaluator]
        best = evaluator.best_objective
        text = f"{best:,.6g}" if math.isfinite(best) else "-"
        bar.update(task, completed=evaluator.spent, best=text)

    with bar:
        yield show


def _report(
    agent: str,
    name: str,
    seed: int,
    problem: Problem,
    evaluator: Evaluator,
    log: Path | None,
) -> dict[str, Any]:
    """What is printed, as JSON values; None for what there is not."""
    best, constraint = problem.certificate(), problem.statement.constraint
    found = evaluator.best
    feasible = found is not None
    above = best.above(evaluator.best_objective) if feasible else None
    used = float(problem.evaluate(found).used[0]) if found is not None and constraint else None
    return {
        "agent": agent,
        "env": name,
        "seed": seed,
        "objective": evaluator.best_objective if feasible else None,
        "optimum": best.objective if best.exact else None,
        "lower_bound": best.lower_bound,
        "regret": above if best.exact else None,
        "gap": above,
        "used": used,
        "budget": view_of(problem).budget(problem),
        "unit": constraint.unit if constraint else None,
        "samples": evaluator.spent,
        "log": None if log is None else str(log),
        "assignment": found.tolist() if found is not None else None,
    }


def _write(out: Path, agent: str, problem: Problem, evaluator: Evaluator) -> list[Path]:
    from hwgym.core.curves import learning_curves
    from hwgym.plotting import save_figure

    if evaluator.best is None:
        return []
    return [
        save_figure(
            learning_curves(problem, {agent: evaluator.history}), out / "learning_curve.png"
        ),
        save_figure(view_of(problem).figure(problem, evaluator.best), out / "assignment.png"),
    ]


def _print(report: dict[str, Any], problem: Problem, files: Sequence[Path]) -> None:
    title = f"{report['agent']} on {report['env']}, seed {report['seed']}"
    objective, constraint = problem.statement.objective, problem.statement.constraint
    best = problem.certificate()
    shown: dict[str, object] = {}
    if "before" in report:
        start = report["before"]
        text = f"{start['episodes']:,} episodes"
        if math.isfinite(start["objective"]):
            above = best.above(start["objective"])
            text += f", best {objective.text(start['objective'])}, {best.name} {above:.3%}"
        shown["from logs"] = text
    if report["objective"] is None:
        shown["best"] = "no feasible solution found"
    else:
        shown["best"] = objective.text(report["objective"])
    shown["proven optimum" if best.exact else "proven bound"] = objective.text(best.yardstick)
    if report["objective"] is not None:
        shown[best.name] = f"{report['gap']:.3%}"
        if constraint is not None and report["budget"] is not None:
            share = report["used"] / report["budget"] if report["budget"] else 1.0
            shown[f"{constraint.label} used"] = (
                f"{constraint.text(report['used'])} of {constraint.text(report['budget'])} "
                f"({share:.1%})"
            )
    shown["samples"] = f"{report['samples']:,}"
    shown["seconds"] = f"{report['seconds']:.1f}"
    if report["log"] is not None:
        shown["log"] = Text(report["log"], overflow="fold")
    if files:
        shown["written"] = ", ".join(map(str, files))
    console().print(facts(shown, title + (" (interrupted)" if report["interrupted"] else "")))


# --- settings -------------------------------------------------------------------------------------


def parse_settings(agent: str, cls: type[Any], given: Sequence[str]) -> dict[str, Any]:
    """Values of ``key=value`` texts, by the types of the agent's fields.

    Raises:
        ValueError: If a text has no ``=``, a key is unknown, or a value does not fit its field.
    """
    types = get_type_hints(cls) if given else {}
    names = tuple(getattr(cls, "__dataclass_fields__", ()))
    names = tuple(n for n in names if get_origin(types.get(n)) is not typing.ClassVar)
    settings = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--set wants key=value, got {text!r}")
        if key not in names:
            raise ValueError(f"{agent}: {nearest('setting', key, names)}")
        try:
            settings[key] = _value(value, types[key])
        except ValueError as error:
            raise ValueError(
                f"{agent}: {key} must be {_wanted(types[key])}, got {value!r}"
            ) from error
    return settings


def _value(text: str, kind: Any) -> Any:
    """A text as a value of a type: None, bool, int, float, str, a literal, a union or a sequence of
    these, separated by commas."""
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        options = sorted(get_args(kind), key=lambda option: option is str)  # a str takes anything
        for option in options:
            try:
                return _value(text, option)
            except ValueError:
                continue
    elif origin is Literal:
        for option in get_args(kind):
            if text == str(option):
                return option
    elif origin in (Sequence, list, tuple):
        return tuple(_value(part, get_args(kind)[0]) for part in text.split(",") if part)
    elif kind is NoneType:
        if text.casefold() == "none":
            return None
    elif kind is bool:
        if text.casefold() in ("true", "false"):
            return text.casefold() == "true"
    elif kind is int or kind is float or kind is str:
        return kind(text)
    raise ValueError(text)


def _wanted(kind: Any) -> str:
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return " or ".join(_wanted(option) for option in get_args(kind))
    if origin is Literal:
        return " or ".join(map(str, get_args(kind)))
    if origin in (Sequence, list, tuple):
        return f"{_wanted(get_args(kind)[0])}, several separated by commas"
    names = {int: "an integer", float: "a number", bool: "true or false", str: "text"}
    return "None" if kind is NoneType else names.get(kind, f"{kind} (not from the command line)")
