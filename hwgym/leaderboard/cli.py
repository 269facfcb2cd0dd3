"""``hwgym leaderboard``: run, submit, validate, reproduce, report."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator, Sequence
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
from hwgym.leaderboard.board import below_the_line, load
from hwgym.leaderboard.progress import duration, show_sweep
from hwgym.leaderboard.reproduction import (
    Check,
    Record,
    Standing,
    compared,
    flattered,
    job_again,
    merged,
    read_record,
    record_path,
    remove_old,
    standing_of,
    write_record,
)
from hwgym.leaderboard.runs import Job, Run, RunError, read_runs
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

SHOWN = 5  # differences of a submission

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
    recorded with their reason and do not stop the rest; runs whose files are damaged are done
    again.

    Exit codes: 0 done, 1 some runs failed, 2 wrong arguments, 130 interrupted.
    """
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
        crew = _crew(len(jobs), workers, ray, ray_address)
    except (ConnectionError, ImportError, ValueError) as error:
        fail(error)
    state, interrupted = _sweep(jobs, out, crew, retry_failed)
    _summarise(state, out, interrupted, as_json)
    if interrupted:
        raise typer.Exit(130)
    raise typer.Exit(1 if state.failed else 0)


def _crew(jobs: int, workers: int | None, ray: bool, address: str) -> Workers:
    """Who does the runs.

    Raises:
        ValueError: If the number of workers is wrong, or given together with a cluster.
        ConnectionError: If there is no cluster.
        ImportError: If a package is missing.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"--workers must be at least 1, got {workers}")
    if ray and workers is not None:
        raise ValueError("--workers is for this machine; a cluster uses all its CPUs")
    return RayWorkers(address) if ray else LocalWorkers(min(workers or cores(), jobs))


def _sweep(
    jobs: Sequence[Job], out: Path, crew: Workers, retry_failed: bool
) -> tuple[runner.Sweep, bool]:
    """Do what a folder lacks and show how far it is; the end of it, and if it was interrupted."""
    state = runner.Sweep(jobs)
    with contextlib.closing(crew), _terminable():
        try:
            with show_sweep(Console(stderr=True), lambda: crew.count) as show:

                def listen(now: runner.Sweep, ended: Any) -> None:
                    nonlocal state
                    state = now
                    show(now, ended)

                runner.sweep(jobs, out, crew, retry_failed=retry_failed, listener=listen)
        except RunError as error:
            fail(error)
        except KeyboardInterrupt:
            return state, True
    return state, False


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
                    "damaged": [str(file) for file in state.damaged],
                    "interrupted": interrupted,
                }
            )
        )
        return
    for reason in state.damaged.values():
        typer.echo(f"damaged, and so run again: {reason}", err=True)
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
    deterministic: Annotated[
        bool,
        typer.Option("--deterministic", help="The logs' agent ignores its seed: one run will do."),
    ] = False,
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
            runs += runs_of_logs(logs, suite, name, _sees(name, sees), deterministic)
        elif agent or sees or deterministic:
            raise ValueError(
                "--agent, --sees and --deterministic are for episode logs; runs say who made them"
            )
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
    best must have the claimed objective to 1e-9. What is accepted may still be below the line; the
    reasons are printed, doubts about the runs among them, and whether they were run again
    (`hwgym leaderboard reproduce`).

    Exit codes: 0 all accepted, 1 some refused, 2 wrong arguments.
    """
    try:
        files = [file for path in paths for file in _submissions(path)]
    except ValueError as error:
        fail(error)
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
            standing = verdict.standing
            typer.echo(
                f"accepted  {verdict.path}: {len(runs)} runs{note}, {tasks}; {standing.name}"
                + (f" ({standing.note})" if standing.note else "")
            )
            for reason in below_the_line(verdict):
                typer.echo(f"          below the line: {reason}")
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
        "below_the_line": below_the_line(verdict),
        "standing": verdict.standing.name,
        "standing_note": verdict.standing.note,
    }


# --- reproductions --------------------------------------------------------------------------------


@app.command("reproduce", epilog="Example: hwgym leaderboard reproduce leaderboard/lite/greedy.*")
def reproduce_command(
    paths: Annotated[
        list[Path], typer.Argument(help="Submissions, or folders of them.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for what is run again; one that has some is continued.")
    ] = Path("runs/reproduce"),
    tasks: Annotated[
        str | None,
        typer.Option(help="Only these environments, separated by commas.", show_default=False),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Only these seeds, separated by commas.", show_default=False)
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Runs at once; by default one a core.", show_default=False)
    ] = None,
    ray: Annotated[bool, typer.Option("--ray", help="Run on a Ray cluster.")] = False,
    ray_address: Annotated[
        str, typer.Option(help="host:port, auto (this machine's cluster) or local.")
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run submissions again and see whether the same comes out.

    The agent that a submission names is run with its settings and seeds, without a time limit, and
    must find the same solutions at the same samples; one that ignores its seed is run with another
    one. What came of it is written beside the submission (mine.reproduction.json). If every run
    came out the same, the submission is `reproduced` for as long as it is not changed; with --tasks
    or --seeds only a part is run, what is known already of the rest is kept, and a part is not
    enough. When interrupted, the same command goes on from where it was; what was run with other
    versions of packages is run again.

    Exit codes: 0 what was run came out the same, 1 something differs or is refused, 2 wrong
    arguments, 130 interrupted.
    """
    try:
        verdicts = [validate(file) for path in paths for file in _submissions(path)]
        wanted = {verdict.path: _selected(verdict, tasks, seeds) for verdict in verdicts}
        if all(verdict.accepted for verdict in verdicts) and not any(wanted.values()):
            raise ValueError("no run of these submissions is of the tasks and seeds given")
        runner.check_agents(dict.fromkeys(r.job.agent for runs in wanted.values() for r in runs))
        jobs = {job.file: job for runs in wanted.values() for job in map(job_again, runs)}
        if out.exists() and not out.is_dir():
            raise ValueError(f"--out: {out} is a file; give a folder")
        removed = remove_old(out, jobs.values())
        crew = _crew(len(jobs), workers, ray, ray_address) if jobs else None
    except (ConnectionError, ImportError, ValueError) as error:
        fail(error)
    if removed:
        typer.echo(f"run once more, for versions have changed: {removed} runs in {out}", err=True)
    state, interrupted = runner.Sweep(()), False
    if crew is not None:
        state, interrupted = _sweep(list(jobs.values()), out, crew, retry_failed=True)
    if interrupted:
        typer.echo("interrupted: the same command goes on from here", err=True)
        raise typer.Exit(130)
    again = {run.job.file: run for run in state.done}
    found = []
    for verdict in verdicts:
        runs = wanted[verdict.path]
        checks = compared(runs, again)
        found.append((verdict, checks, _record(verdict, checks), flattered(runs, again)))
    if as_json:
        print(json.dumps([_reproduction_json(*row) for row in found]))
    else:
        for row in found:
            _print_reproduction(*row)
    wrong = any(not v.accepted or any(c.difference for c in checks) for v, checks, *_ in found)
    raise typer.Exit(1 if wrong else 0)


def _submissions(path: Path) -> list[Path]:
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder")
    found = submission_files(path)
    if not found:
        raise ValueError(f"{path}: no submissions (.jsonl or .jsonl.xz) there")
    return found


def _selected(verdict: Verdict, tasks: str | None, seeds: str | None) -> list[Run]:
    """The runs of an accepted submission that are to be run again."""
    if verdict.submission is None or not verdict.accepted:
        return []
    runs = [run for run in verdict.submission.runs if run.error is None]
    for what, given, of in (
        ("task", tasks, lambda run: run.job.env_id),
        ("seed", seeds, lambda run: str(run.job.seed)),
    ):
        if given is None:
            continue
        names = [name.strip() for name in given.split(",") if name.strip()]
        known = sorted({of(run) for run in verdict.submission.runs})
        for name in names:
            if name not in known:
                raise ValueError(f"{verdict.path}: {nearest(what, name, known)}")
        runs = [run for run in runs if of(run) in names]
    return runs


def _record(verdict: Verdict, checks: Sequence[Check]) -> Standing:
    """Write down what came of it; the standing that the submission has now."""
    packed = verdict.submission
    if packed is None or not verdict.accepted or not checks:
        return verdict.standing
    path = record_path(verdict.path)
    try:
        old = read_record(path) if path.exists() else None
    except RunError as error:
        typer.echo(f"written anew: {error}", err=True)
        old = None
    write_record(path, merged(old, Record(packed.agent, packed.suite, packed.digest, checks)))
    return standing_of(path, packed.digest, packed.runs)


def _print_reproduction(
    verdict: Verdict, checks: Sequence[Check], standing: Standing, better: tuple[int, int]
) -> None:
    packed = verdict.submission
    if packed is None or not verdict.accepted:
        typer.echo(f"refused     {verdict.path}: {verdict.reasons[0]}")
        return
    differing = [found for found in checks if found.difference]
    head = "differs" if differing else "reproduced" if standing.reproduced else "in part"
    line = f"{len(checks) - len(differing)} of {len(checks)} runs came out the same"
    if not standing.reproduced:
        line += f"; self-reported{f': {standing.note}' if standing.note else ''}"
    typer.echo(f"{head:11s} {verdict.path}: {line}")
    for differs in differing[:SHOWN]:
        env_id, _, draw, seed = differs.key
        who = f"{env_id}, seed {seed}" + (f", draw {draw}" if draw else "")
        typer.echo(f"            {who}: {differs.difference}")
    if len(differing) > SHOWN:
        typer.echo(f"            and {len(differing) - SHOWN} more")
    if better[0]:
        typer.echo(
            f"            {better[0]} of {better[1]} that reach another objective claim a better "
            "one than their seed gives: as if the best of other seeds, or another agent's, had "
            "been given"
        )
    made = {json.dumps(run.packages, sort_keys=True) for run in packed.runs if run.packages}
    now = {json.dumps(found.versions, sort_keys=True) for found in checks}
    if differing and made != now:
        typer.echo(f"            made with {_versions(made)}; run again with {_versions(now)}")


def _versions(packages: set[str]) -> str:
    if not packages:
        return "unknown versions"
    told = json.loads(sorted(packages)[-1])
    return ", ".join(f"{name} {version}" for name, version in told.items())


def _reproduction_json(
    verdict: Verdict, checks: Sequence[Check], standing: Standing, better: tuple[int, int]
) -> dict[str, Any]:
    names = ("env_id", "budget", "draw", "seed")
    return {
        "file": str(verdict.path),
        "agent": verdict.submission.agent if verdict.submission else None,
        "accepted": verdict.accepted,
        "reasons": list(verdict.reasons),
        "runs": len(checks),
        "differ": [
            {**dict(zip(names, found.key, strict=True)), "difference": found.difference}
            for found in checks
            if found.difference
        ],
        "flattered": list(better),
        "standing": standing.name,
        "standing_note": standing.note,
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
    suite: Annotated[
        str | None,
        typer.Option(
            help="On whose tasks agents rank; by default that of the submissions, or the smallest "
            "that has all tasks.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Cost all runs anew and show who is how good; without options, print Markdown.

    Agents rank that have run every task of the suite with at least 10 seeds, or one if they ignore
    it, without a run that a time limit ended; others are below the line, with the reason. Files
    that cannot be read, and what does not hold what it claims, are left out and named.

    Exit codes: 0 done, 2 wrong arguments, or nothing that holds what it claims.
    """
    try:
        board = load(paths, suite)
        for left_out in board.left_out:
            typer.echo(f"left out: {left_out}", err=True)
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
