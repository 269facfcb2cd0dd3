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

from hwgym.agent import agent_names
from hwgym.leaderboard import runner
from hwgym.leaderboard.progress import duration, show_sweep
from hwgym.leaderboard.runs import RunError
from hwgym.leaderboard.suites import SUITES, find_suite
from hwgym.leaderboard.workers import LocalWorkers, Workers

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
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
        crew: Workers = LocalWorkers(min(workers or cores(), max(len(jobs), 1)))
    except (ImportError, ValueError) as error:
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
    return list(agent_names()) if names == ["all"] else names


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
