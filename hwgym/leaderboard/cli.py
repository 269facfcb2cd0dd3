"""``hwgym leaderboard``: run, submit, validate, report."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NoReturn

try:
    import typer
    from rich.console import Console
except ImportError as error:
    raise ImportError(f"no module {error.name!r}: pip install 'hwgym[leaderboard]'") from error

from hwgym._files import write_text
from hwgym._names import nearest
from hwgym.core import LogError, agent_names, find_agent, read_settings
from hwgym.leaderboard import report as reports
from hwgym.leaderboard import runner
from hwgym.leaderboard.board import load
from hwgym.leaderboard.progress import duration, show_sweep
from hwgym.leaderboard.runs import RunError, read_runs
from hwgym.leaderboard.submission import (
    SEES,
    Submission,
    Verdict,
    by_agent,
    check,
    runs_of_logs,
    submission_files,
    validate,
    without_trace,
    write_submission,
)
from hwgym.leaderboard.suites import SUITES, find_suite
from hwgym.leaderboard.workers import LocalWorkers, RayWorkers, Workers

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
)


@app.callback()
def _leaderboard() -> None:
    """Agents compared by their proven regret."""


def fail(message: object) -> NoReturn:
    """Say on standard error what is wrong, and leave with exit code 2."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(2)


def cores() -> int:
    """Of this machine, those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """A polite kill ends a sweep as Ctrl-C does."""

    def interrupt(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@app.command(
    epilog="Example: hwgym leaderboard run --suite lite --agents reinforce,ppo --seeds 10 "
    "--out runs/lite"
)
def run(
    agents: Annotated[
        list[str],
        typer.Option(help="Installed agents, separated by commas, or: all.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the runs; one that has some is continued.")],
    suite: Annotated[str, typer.Option(help=f"Tasks: {', '.join(SUITES)}.")] = "lite",
    seeds: Annotated[int, typer.Option(help="Runs of each agent on each task.")] = 10,
    first_seed: Annotated[
        int, typer.Option(help="The first seed; our agents were tuned with lower ones.")
    ] = runner.FIRST_SEED,
    draws: Annotated[
        int, typer.Option(help="Further settings to draw for each agent that is tuned.")
    ] = 0,
    samples: Annotated[
        int | None, typer.Option(help="Another budget than the suite's.", show_default=False)
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(help="Seconds for a run, 0 for none; by default the suite's.", min=0),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Runs at once; by default one a core.", show_default=False)
    ] = None,
    ray: Annotated[bool, typer.Option("--ray", help="Run on a Ray cluster.")] = False,
    ray_address: Annotated[
        str, typer.Option(help="host:port, auto (this machine's cluster) or local.")
    ] = "auto",
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Do those again that failed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run agents on a suite's tasks.

    Every finished run is a file in the folder. A sweep that is interrupted goes on where it was
    when the same command is given again, and several may share a folder. Runs that fail are
    recorded with their reason and do not stop the rest.

    Exit codes: 0 done, 1 some runs failed, 2 wrong arguments, 130 interrupted.
    """
    console = Console(stderr=True)
    try:
        chosen = find_suite(suite)
        tasks = chosen.tasks
        if samples is not None:
            if samples < 1:
                raise ValueError(f"--samples must be at least 1, got {samples}")
            tasks = tuple(replace(task, samples=samples) for task in tasks)
        limit = chosen.time_limit if time_limit is None else time_limit or None
        jobs = runner.plan(
            _agents(agents),
            tasks,
            seeds=seeds,
            first_seed=first_seed,
            draws=draws,
            time_limit=limit,
        )
        if out.exists() and not out.is_dir():
            raise ValueError(f"--out: {out} is a file; give a folder")
        if workers is not None and workers < 1:
            raise ValueError(f"--workers must be at least 1, got {workers}")
        if ray and workers is not None:
            raise ValueError("--workers is for this machine; a cluster uses all its CPUs")
        crew: Workers = (
            RayWorkers(ray_address) if ray else LocalWorkers(min(workers or cores(), len(jobs)))
        )
    except (ConnectionError, ImportError, ValueError) as error:
        fail(error)
    interrupted, state = False, runner.Sweep(jobs)
    with contextlib.closing(crew), _terminable():
        try:
            with show_sweep(console, lambda: crew.count) as show:

                def listen(now: runner.Sweep, ended: Any) -> None:
                    nonlocal state
                    state = now
                    show(now, ended)

                runner.sweep(jobs, out, crew, retry_failed=retry_failed, listener=listen)
        except RunError as error:
            fail(error)
        except KeyboardInterrupt:
            interrupted = True
    _summarise(state, out, interrupted, as_json)
    if interrupted:
        raise typer.Exit(130)
    raise typer.Exit(1 if state.failed else 0)


def _agents(given: list[str]) -> list[str]:
    names = [name for text in given for name in text.split(",") if name]
    return _all_agents() if names == ["all"] else names


def _all_agents() -> list[str]:
    """Those that can be run here, and on their own."""
    usable = []
    for name in agent_names():
        try:
            if not getattr(find_agent(name), "needs_logs", False):
                usable.append(name)
        except ImportError as error:
            typer.echo(f"left out {name}: {error}", err=True)
    return usable


def _summarise(state: runner.Sweep, out: Path, interrupted: bool, as_json: bool) -> None:
    failures = [{"run": r.job.label, **(r.error or {})} for r in state.failed]
    limited = sum(r.timed_out for r in state.done)
    if as_json:
        print(
            json.dumps(
                {
                    "folder": str(out),
                    "runs": len(state.jobs),
                    "done": len(state.done),
                    "done_before": state.before,
                    "failed": failures,
                    "timed_out": limited,
                    "interrupted": interrupted,
                }
            )
        )
        return
    spent = sum(r.seconds for r in state.done)
    line = f"{len(state.done)} of {len(state.jobs)} runs done ({duration(spent)} of searching)"
    if state.before:
        line += f", {state.before} of them before"
    if limited:
        line += f"; the time limit ended {limited}"
    if failures:
        line += f"; {len(failures)} failed (--retry-failed does them again)"
    typer.echo(line)
    if interrupted:
        typer.echo("interrupted: the same command goes on from here")
    else:
        typer.echo(f"next: hwgym leaderboard report {out} --html report.html")


# --- submissions --------------------------------------------------------------------------------


@app.command(
    epilog="Example: hwgym leaderboard submit runs/mine-* --agent mine --sees totals --out mine/"
)
def submit(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Episode logs of one agent, or folders of runs.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the submissions, a file an agent.")],
    suite: Annotated[str, typer.Option(help=f"Tasks: {', '.join(SUITES)}.")] = "lite",
    agent: Annotated[
        str | None, typer.Option(help="Name, if not the logs'.", show_default=False)
    ] = None,
    sees: Annotated[
        str | None,
        typer.Option(
            help="layers or totals: what the agent uses; asked for if it is not installed.",
            show_default=False,
        ),
    ] = None,
    about: Annotated[str, typer.Option(help="What readers should know.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Pack runs into submissions: one small file an agent.

    Nothing is written that `validate` would refuse.

    Exit codes: 0 written, 1 refused, 2 wrong arguments.
    """
    try:
        find_suite(suite)
        if out.exists() and not out.is_dir():
            raise ValueError(f"--out: {out} is a file; give a folder")
        logs = [path for path in sources if _is_log(path)]
        runs = [run for path in sources if path not in logs for run in read_runs(path)]
        if not logs and not runs:
            raise ValueError(f"{', '.join(map(str, sources))}: neither runs nor episode logs there")
        if logs:
            name = agent or _agent_of(logs)
            runs += runs_of_logs(logs, suite, name, _sees(name, sees))
        elif agent or sees:
            raise ValueError("--agent and --sees are for episode logs; runs say who made them")
        verdicts = []
        for name, theirs in sorted(by_agent(runs).items()):
            known = [run.sees for run in theirs if run.sees in SEES]
            packed = Submission(
                name,
                known[0] if known else _sees(name, sees),
                suite,
                [without_trace(run) for run in theirs],
                about,
            )
            verdicts.append(check(packed, out / f"{name}.jsonl.xz"))
    except (ImportError, OSError, ValueError) as error:
        fail(error)
    for verdict in verdicts:
        if verdict.accepted and verdict.submission is not None:
            write_submission(verdict.path, verdict.submission)
    _print_verdicts(verdicts, as_json)


def _is_log(path: Path) -> bool:
    return path.suffix == ".parquet" or (path.is_dir() and any(path.glob("*.parquet")))


def _agent_of(logs: list[Path]) -> str:
    names = {str(read_settings(path).get("agent") or "") for path in logs}
    if len(names) > 1:
        raise LogError(f"logs of several agents ({', '.join(sorted(names))}): say --agent")
    name = names.pop()
    if not name:
        raise LogError("the logs name no agent: say --agent")
    return name


def _sees(agent: str, given: str | None) -> str:
    if given is not None:
        if given not in SEES:
            raise ValueError(nearest("--sees", given, SEES))
        return given
    try:
        return str(find_agent(agent).sees)
    except (AttributeError, ImportError, ValueError) as error:
        raise ValueError(
            f"{agent!r} is not installed here: say what it sees, --sees layers or --sees totals"
        ) from error


@app.command("validate", epilog="Example: hwgym leaderboard validate leaderboard/lite")
def validate_command(
    paths: Annotated[
        list[Path], typer.Argument(help="Submissions, or folders of them.", show_default=False)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Cost submissions anew and refuse what does not hold what it claims.

    Every solution must be one of its task and feasible, found within the samples allowed, and the
    best must have the claimed objective to 1e-9.

    Exit codes: 0 all accepted, 1 some refused, 2 wrong arguments.
    """
    files = []
    for path in paths:
        if not path.exists():
            fail(f"{path}: no such file or folder")
        found = submission_files(path)
        if not found:
            fail(f"{path}: no submissions (.jsonl or .jsonl.xz) there")
        files += found
    _print_verdicts([validate(file) for file in files], as_json)


def _print_verdicts(verdicts: list[Verdict], as_json: bool) -> NoReturn:
    """Print what was found, and leave."""
    if as_json:
        print(json.dumps([_as_json(verdict) for verdict in verdicts]))
    for verdict in () if as_json else verdicts:
        if verdict.accepted and verdict.submission is not None:
            runs = verdict.submission.runs
            failed = sum(run.error is not None for run in runs)
            note = f", {failed} of them failed" if failed else ""
            tasks = f"{len({run.job.env_id for run in runs})} of "
            tasks += f"{len(find_suite(verdict.submission.suite).tasks)} tasks"
            typer.echo(f"accepted  {verdict.path}: {len(runs)} runs{note}, {tasks}")
        else:
            typer.echo(f"refused   {verdict.path}")
            for reason in verdict.reasons:
                typer.echo(f"          {reason}")
    raise typer.Exit(0 if all(verdict.accepted for verdict in verdicts) else 1)


def _as_json(verdict: Verdict) -> dict[str, Any]:
    packed = verdict.submission
    runs = packed.runs if packed else ()
    return {
        "file": str(verdict.path),
        "agent": packed.agent if packed else None,
        "suite": packed.suite if packed else None,
        "runs": len(runs),
        "failed": sum(run.error is not None for run in runs),
        "accepted": verdict.accepted,
        "reasons": list(verdict.reasons),
    }


# --- report ---------------------------------------------------------------------------------------


@app.command(epilog="Example: hwgym leaderboard report leaderboard/lite --html board.html")
def report(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Folders of runs or of submissions, or submissions."),
    ],
    html: Annotated[
        Path | None, typer.Option(help="Write one page that needs no network.", show_default=False)
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the tables as Markdown.", show_default=False)
    ] = None,
) -> None:
    """Cost all runs anew and show who is how good; without options, print Markdown.

    Exit codes: 0 done, 2 wrong arguments or runs that do not hold what they claim.
    """
    try:
        board = load(paths)
        if html is not None:
            write_text(html, reports.html(board))
            typer.echo(f"wrote {html}")
        if markdown is not None:
            write_text(markdown, reports.markdown(board))
            typer.echo(f"wrote {markdown}")
        if html is None and markdown is None:
            typer.echo(reports.markdown(board), nl=False)
    except (ImportError, OSError, ValueError) as error:
        fail(error)
