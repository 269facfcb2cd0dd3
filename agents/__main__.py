"""Run an agent on an environment from the command line: ``python -m agents --help``."""

from __future__ import annotations

import argparse
import difflib
import json
import math
import sys
import time
import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import gymnasium
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

import hwgym
from hwgym._names import nearest
from hwgym.agent import Evaluator, agent_names, as_problem, find_agent, solve
from hwgym.problem import AssignmentProblem

EXAMPLES = """\
examples:
  python -m agents --list
      All installed agents, what they see, their settings with defaults.
  python -m agents annealing HWAssign-MobileNetV2-NVDLA-v0
      5,000 samples of simulated annealing, and how far from the proven optimum they end.
  python -m agents genetic HWAssign-VGG16-MIX-v0 --samples 20000 --seed 3 --set population=50
      Another budget, another seed, another setting.
  python -m agents reinforce HWAssign-ResNet50-Eyeriss-v0 --log runs/resnet --json
      Every episode goes to a log; the result is printed as one JSON object.
  python -m agents reinforce HWAssign-VGG16-MIX-v0 --log runs/vgg --resume --set checkpoint=vgg.pt
      Goes on where an interrupted run of the same command stopped.

A sample is one complete assignment evaluated. Agents that see "layers" use what each layer cost and
took in the assignments that they evaluated; those that see "totals" only the sums. The optimum is
read after the search, to report the regret, objective / optimum - 1.

exit codes: 0 done, 2 wrong arguments, 130 interrupted (what was found until then is printed)
"""


class UsageError(Exception):
    """Something on the command line is wrong; the message says what."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m agents",
        description="Search an assignment problem with an agent and report the result's regret.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("agent", nargs="?", help="an installed agent; --list shows them")
    parser.add_argument(
        "env", nargs="?", metavar="env-id", help="an environment, e.g. HWAssign-VGG16-MIX-v0"
    )
    parser.add_argument(
        "--samples", type=int, default=5000, metavar="N", help="the budget (default: 5000)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="equal seeds, equal results (default: 0)"
    )
    parser.add_argument(
        "--log", type=Path, metavar="FOLDER", help="write every episode to a log in this new folder"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the log; with an agent that was set a checkpoint, go on with the run",
    )
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="settings of the agent: numbers, texts, true, false, None; commas between several",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, no table")
    parser.add_argument("--list", action="store_true", help="list the installed agents and leave")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; its exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.list:
        return _list(args.json)
    if args.agent is None or args.env is None:
        parser.error("an agent and an environment id are required (or --list)")
    try:
        return _run(args)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


# --- one run ------------------------------------------------------------------------------------


def _run(args: argparse.Namespace) -> int:
    if args.samples < 1:
        raise UsageError(f"--samples must be a positive integer, got {args.samples}")
    if args.seed < 0:
        raise UsageError(f"--seed must not be negative, got {args.seed}")
    cls = _agent_class(args.agent)
    settings = parse_settings(args.agent, cls, args.set)
    problem = _problem(args.env)
    if args.log is not None and args.log.exists():
        if not args.log.is_dir():
            raise UsageError(f"--log: {args.log} is a file; give a folder")
        if any(args.log.iterdir()) and not args.resume:
            raise UsageError(f"--log: {args.log} is not empty; choose another folder")
    caught: list[Evaluator] = []
    start = time.perf_counter()
    interrupted = False
    try:
        with _progress(args.samples, caught) as show:
            solve(
                args.agent,
                args.env,
                samples=args.samples,
                seed=args.seed,
                log=args.log,
                settings=settings,
                progress=show,
                resume=args.resume,
            )
    except KeyboardInterrupt:
        interrupted = True
    except (ImportError, OSError, TypeError, ValueError) as error:
        # A package is missing, or a file or a setting is wrong.
        raise UsageError(f"{args.agent}: {error}") from error
    report = _report(args, problem, caught, time.perf_counter() - start, interrupted)
    if args.json:
        print(json.dumps(report))
    else:
        _print(report, problem)
    return 130 if interrupted else 0


def _agent_class(name: str) -> type[Any]:
    try:
        return find_agent(name)
    except (ImportError, ValueError) as error:
        hint = "" if isinstance(error, ValueError) else f"{name}: "
        raise UsageError(f"{hint}{error}") from error


def _problem(env_id: str) -> AssignmentProblem:
    try:
        return as_problem(env_id)[0]
    except (AttributeError, gymnasium.error.Error, ImportError) as error:
        ours = [i for i, s in gymnasium.registry.items() if _is_ours(s)]
        folded = {i.casefold(): i for i in ours}
        close = difflib.get_close_matches(env_id.casefold(), folded, n=1)
        hint = f"; did you mean {folded[close[0]]!r}?" if close else ""
        what = "not an environment of hwgym:" if env_id in gymnasium.registry else "unknown env id"
        raise UsageError(
            f"{what} {env_id!r}{hint} ({len(ours)} are registered, listed by "
            '`python -c "import gymnasium, hwgym; gymnasium.pprint_registry()"`)'
        ) from error


def _is_ours(spec: Any) -> bool:
    return str(spec.entry_point).startswith(f"{hwgym.__name__}.")


@contextmanager
def _progress(samples: int, caught: list[Evaluator]) -> Iterator[Callable[[Evaluator], None]]:
    """A progress bar on standard error while the search goes on, if that is a terminal.

    Gives what is to be called after each batch of samples; the evaluator is left in ``caught``.
    """
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("best {task.fields[best]}"),
        TimeElapsedColumn(),
        TextColumn("remaining"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
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
    args: argparse.Namespace,
    problem: AssignmentProblem,
    caught: Sequence[Evaluator],
    seconds: float,
    interrupted: bool,
) -> dict[str, Any]:
    """What is printed, as JSON values; None for what there is not."""
    evaluator = caught[0] if caught else Evaluator(problem, args.samples)
    report: dict[str, Any] = {
        "agent": args.agent,
        "env": args.env,
        "seed": args.seed,
        "objective": None,
        "optimum": problem.optimum().objective,
        "regret": None,
        "used": None,
        "budget": problem.budget,
        "unit": problem.unit,
        "samples": evaluator.spent,
        "seconds": seconds,
        "interrupted": interrupted,
        "log": None if args.log is None else str(args.log),
        "assignment": None,
    }
    if evaluator.best is not None:
        report["objective"] = evaluator.best_objective
        report["regret"] = problem.regret(evaluator.best_objective)
        report["used"] = float(problem.evaluate_actions(evaluator.best[None]).used[0])
        report["assignment"] = problem.space.decode(evaluator.best).tolist()
    return report


def _print(report: dict[str, Any], problem: AssignmentProblem) -> None:
    title = f"{report['agent']} on {report['env']}, seed {report['seed']}"
    table = Table(title=Text(title + (" (interrupted)" if report["interrupted"] else "")))
    table.add_column(Text(problem.objective))
    table.add_column("")
    unit = {"energy": "nJ", "edp": "nJ x cycles"}.get(problem.objective, "cycles")
    if report["objective"] is None:
        table.add_row("best", "no feasible assignment found")
    else:
        table.add_row("best", f"{report['objective']:,.10g} {unit}")
    table.add_row("proven optimum", f"{report['optimum']:,.10g} {unit}")
    if report["objective"] is not None:
        table.add_row("regret", f"{report['regret']:.3%}")
        share = report["used"] / report["budget"] if report["budget"] else 1.0
        table.add_row(
            f"{problem.constraint} used",
            f"{report['used']:,.6g} of {report['budget']:,.6g} {report['unit']} ({share:.1%})",
        )
    table.add_row("samples", f"{report['samples']:,}")
    table.add_row("seconds", f"{report['seconds']:.1f}")
    if report["log"] is not None:
        table.add_row("log", Text(report["log"], overflow="fold"))
    Console().print(table)


# --- settings -------------------------------------------------------------------------------------


def parse_settings(agent: str, cls: type[Any], given: Sequence[str]) -> dict[str, Any]:
    """Values of ``key=value`` texts, by the types of the agent's fields.

    Raises:
        UsageError: If a text has no ``=``, a key is unknown, or a value does not fit its field.
    """
    types = get_type_hints(cls) if given else {}
    names = tuple(getattr(cls, "__dataclass_fields__", ()))
    names = tuple(n for n in names if get_origin(types.get(n)) is not typing.ClassVar)
    settings = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set wants key=value, got {text!r}")
        if key not in names:
            raise UsageError(f"{agent}: {nearest('setting', key, names)}")
        try:
            settings[key] = _value(value, types[key])
        except ValueError as error:
            raise UsageError(
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


# --- the list -------------------------------------------------------------------------------------


def describe_agents() -> list[dict[str, Any]]:
    """All installed agents: name, what it does, sees, settings; or why it cannot be imported."""
    described = []
    for name in agent_names():
        entry: dict[str, Any] = {"agent": name}
        try:
            cls = find_agent(name)
        except ImportError as error:
            described.append(entry | {"missing": str(error)})
            continue
        entry["about"] = _first_sentence(cls.__doc__)
        entry["sees"] = getattr(cls, "sees", None)
        entry["settings"] = {}
        for field in fields(cls) if hasattr(cls, "__dataclass_fields__") else ():
            default = field.default
            if field.default_factory is not MISSING:
                default = field.default_factory()
            entry["settings"][field.name] = None if default is MISSING else default
        described.append(entry)
    return described


def _first_sentence(text: str | None) -> str:
    paragraph = " ".join((text or "").strip().partition("\n\n")[0].split())
    return paragraph.partition(". ")[0].rstrip(".")


def _list(as_json: bool) -> int:
    described = describe_agents()
    if as_json:
        print(json.dumps(described, default=str))
        return 0
    table = Table(show_lines=True)
    for heading in ("agent", "sees", "what it does", "settings"):
        table.add_column(heading, overflow="fold")
    for entry in described:
        if "missing" in entry:
            table.add_row(entry["agent"], "", Text(f"not available: {entry['missing']}"), "")
        else:
            listed = "\n".join(f"{k}={v}" for k, v in entry["settings"].items())
            row = (entry["agent"], entry["sees"] or "", entry["about"], listed)
            table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
