"""``hwgym train`` and ``refine``: run an agent, report its regret."""

from __future__ import annotations

import math
import time
import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import gymnasium
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
from hwgym.agent import Evaluator, find_agent, solve
from hwgym.cli.options import (
    BudgetOption,
    ConstraintOption,
    DataflowOption,
    FineOption,
    JsonOption,
    ObjectiveOption,
    OutOption,
    ReleasedOption,
    finer,
    make_problem,
    problem_of_id,
)
from hwgym.cli.output import (
    Failure,
    amount,
    console,
    errors,
    facts,
    folder,
    objective_text,
    print_json,
    working,
)
from hwgym.episodes import read_episodes, read_settings
from hwgym.families.assignment.problem import AssignmentProblem

INTERRUPTED = 130
REFINER = "ga-refiner"

SamplesOption = Annotated[
    int, typer.Option(metavar="N", help="Complete assignments that may be evaluated.")
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
    agent: Annotated[str, typer.Argument(help="An installed agent (`hwgym list agents`).")],
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
    log: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write every episode to a log in this new folder."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the log, and with the agent's checkpoint."),
    ] = False,
    dataflow: DataflowOption = "NVDLA",
    objective: ObjectiveOption = "latency",
    constraint: ConstraintOption = "area",
    budget: BudgetOption = "iot",
    released: ReleasedOption = False,
    out: OutOption = None,
    json: JsonOption = False,
) -> None:
    """Search with an agent, and say how far above the proven optimum it ends.

    A sample is one complete assignment evaluated. The optimum is read after the search, for the
    regret: objective / optimum - 1. Interrupted (Ctrl-C), it reports what was found until then.

    Example: [bold]hwgym train reinforce HWAssign-VGG16-MIX-v0 --samples 2000 --log runs/rl[/]
    """
    _check(samples, seed, log, resume)
    cls = _load(agent)
    chosen = parse_settings(agent, cls, settings or ())
    if target in gymnasium.registry or "-v" in target:
        problem = problem_of_id(target)
        where: AssignmentProblem | str = target
    else:
        problem = make_problem(target, dataflow, objective, constraint, budget, released=released)
        where = problem
    _run(agent, where, problem, samples, seed, chosen, log, resume, out, json)


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
    _check(samples, seed, log, resume=False)
    env_id = env or read_settings(logs[0]).get("env_id")
    if env_id is None:
        raise ValueError(f"{logs[0]} names no environment: give one with --env")
    problem = problem_of_id(env_id)
    where: AssignmentProblem | str = env_id
    if fine:
        problem = where = finer(problem)
    chosen = parse_settings(REFINER, _load(REFINER), settings or ())
    found = [read_episodes(each) for each in logs]
    before = min(
        (float(each.loc[each["feasible"], "objective"].min()) for each in found if len(each)),
        default=math.nan,
    )
    _run(
        REFINER, where, problem, samples, seed, {**chosen, "logs": logs}, log, False, out, json,
        before={"episodes": sum(map(len, found)), "objective": before}, name=env_id,
    )  # fmt: skip


def _load(agent: str) -> type[Any]:
    with working(f"Loading {agent}"):
        try:
            return find_agent(agent)
        except ImportError as error:
            raise Failure(f"{agent}: {explain(error)}") from error


def _check(samples: int, seed: int, log: Path | None, resume: bool) -> None:
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
    where: AssignmentProblem | str,
    problem: AssignmentProblem,
    samples: int,
    seed: int,
    settings: dict[str, Any],
    log: Path | None,
    resume: bool,
    out: Path | None,
    json: bool,
    *,
    before: dict[str, Any] | None = None,
    name: str | None = None,
) -> None:
    if out is not None:
        folder(out)
    caught: list[Evaluator] = []
    start = time.perf_counter()
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
        raise ValueError(f"{agent}: {error}") from error
    evaluator = caught[0] if caught else Evaluator(problem, samples)
    title = name or (where if isinstance(where, str) else problem.space.workload.name)
    report = _report(agent, title, seed, problem, evaluator, log)
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
        raise Failure(f"{agent} found no feasible assignment in {evaluator.spent:,} samples")


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
    title: str,
    seed: int,
    problem: AssignmentProblem,
    evaluator: Evaluator,
    log: Path | None,
) -> dict[str, Any]:
    """What is printed, as JSON values; None for what there is not."""
    report: dict[str, Any] = {
        "agent": agent,
        "env": title,
        "seed": seed,
        "objective": None,
        "optimum": problem.optimum().objective,
        "regret": None,
        "used": None,
        "budget": problem.budget,
        "unit": problem.unit,
        "samples": evaluator.spent,
        "log": None if log is None else str(log),
        "assignment": None,
    }
    if evaluator.best is not None:
        report["objective"] = evaluator.best_objective
        report["regret"] = problem.regret(evaluator.best_objective)
        report["used"] = float(problem.evaluate_actions(evaluator.best[None]).used[0])
        report["assignment"] = problem.space.decode(evaluator.best).tolist()
    return report


def _write(out: Path, agent: str, problem: AssignmentProblem, evaluator: Evaluator) -> list[Path]:
    from hwgym import plotting

    if evaluator.best is None:
        return []
    assignment = problem.space.decode(evaluator.best)
    curves = plotting.learning_curves(problem, {agent: evaluator.history})
    return [
        plotting.save_figure(curves, out / "learning_curve.png"),
        plotting.save_figure(
            plotting.assignment_figure(problem, assignment), out / "assignment.png"
        ),
    ]


def _print(report: dict[str, Any], problem: AssignmentProblem, files: Sequence[Path]) -> None:
    title = f"{report['agent']} on {report['env']}, seed {report['seed']}"
    shown: dict[str, object] = {}
    if "before" in report:
        start = report["before"]
        text = f"{start['episodes']:,} episodes"
        if math.isfinite(start["objective"]):
            regret = problem.regret(start["objective"])
            text += f", best {objective_text(problem, start['objective'])}, regret {regret:.3%}"
        shown["from logs"] = text
    if report["objective"] is None:
        shown["best"] = "no feasible assignment found"
    else:
        shown["best"] = objective_text(problem, report["objective"])
    shown["proven optimum"] = objective_text(problem, report["optimum"])
    if report["objective"] is not None:
        shown["regret"] = f"{report['regret']:.3%}"
        share = report["used"] / report["budget"] if report["budget"] else 1.0
        shown[f"{problem.constraint} used"] = (
            f"{amount(report['used'], report['unit'])} of "
            f"{amount(report['budget'], report['unit'])} ({share:.1%})"
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
