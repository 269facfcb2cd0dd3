"""Submissions: an agent's runs in one file, re-costed before they count.

As in CompilerGym, a submission is what reproduces a result, here the solutions found. The file is
text, a JSON object a line, and may be compressed (``.jsonl`` or ``.jsonl.xz``): first a header,
then the runs (:mod:`hwgym.leaderboard.runs`).

| key of the header | what |
| --- | --- |
| ``format`` | ``hwgym-submission-2``; 1 is read, too: it has action numbers in place of genes |
| ``agent`` | its name |
| ``sees`` | ``layers``: uses what each step (layer) cost; ``totals``: only the totals |
| ``suite`` | whose tasks and samples these are |
| ``about`` | anything that readers should know: who, where it is described, on what machine |

What cannot be checked without the agent are the samples at which it found its solutions, whose
seeds the runs are, and that it evaluated no more than it lists; what the solutions are worth is
always checked. Who has the agent can check the rest, too (:mod:`hwgym.leaderboard.reproduction`).
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hwgym._files import replacing
from hwgym._names import nearest
from hwgym.core import LogError, Sees, read_episodes, read_settings
from hwgym.core.log import check_statement
from hwgym.leaderboard.reproduction import SELF_REPORTED, Standing, record_path, standing_of
from hwgym.leaderboard.runs import Curve, Job, Run, RunError, decoded, problem_of, recost
from hwgym.leaderboard.suites import find_suite

__all__ = [
    "Submission",
    "Verdict",
    "by_agent",
    "check",
    "read_submission",
    "runs_of_logs",
    "submission_files",
    "validate",
    "without_trace",
    "write_submission",
]

FORMAT = "hwgym-submission-2"
READ = ("hwgym-submission-1", FORMAT)
SUFFIXES = (".jsonl", ".jsonl.xz")
SEES: tuple[Sees, ...] = ("layers", "totals")
LARGEST = 500_000_000
REASONS = 20


@dataclass(frozen=True, eq=False)
class Submission:
    """An agent's runs, as claimed.

    Attributes:
        agent: Its name.
        sees: ``layers`` or ``totals``.
        suite: Name of the suite.
        runs: On its tasks.
        about: Whatever readers should know.
        digest: SHA-256 of the text of the file that it was read from; empty if it was not.
    """

    agent: str
    sees: str
    suite: str
    runs: Sequence[Run] = field(repr=False)
    about: str = ""
    digest: str = ""


@dataclass(frozen=True, eq=False)
class Verdict:
    """What a validation found.

    Attributes:
        path: The file.
        submission: What it holds; None if it cannot be read.
        curves: The runs that hold what they claim.
        reasons: Why it is refused; empty if it is accepted.
        standing: Whether its runs were run again, and came out the same.
    """

    path: Path
    submission: Submission | None = field(repr=False)
    curves: Sequence[Curve] = field(repr=False)
    reasons: Sequence[str]
    standing: Standing = SELF_REPORTED

    @property
    def accepted(self) -> bool:
        """Every run holds what it claims."""
        return not self.reasons


# --- files --------------------------------------------------------------------------------------


def submission_files(path: str | os.PathLike[str]) -> list[Path]:
    """A submission, or all of a folder."""
    where = Path(path)
    if not where.is_dir():
        return [where]
    return sorted(f for f in where.iterdir() if f.name.endswith(SUFFIXES) and f.name[0] != ".")


def write_submission(path: str | os.PathLike[str], submission: Submission) -> Path:
    """Write a submission, whole or not at all, compressed if its name ends so.

    Raises:
        ValueError: If the name ends otherwise, or action numbers are not those of a task.
    """
    target = Path(path)
    if not target.name.endswith(SUFFIXES):
        raise ValueError(f"{target}: a submission's name ends with {' or '.join(SUFFIXES)}")
    header = {
        "format": FORMAT,
        "agent": submission.agent,
        "sees": submission.sees,
        "suite": submission.suite,
        "about": submission.about,
    }
    runs = sorted(submission.runs, key=lambda run: _order(run.job))
    lines = [header, *(decoded(run).to_json() for run in runs)]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    data = text.encode()
    if target.name.endswith(".xz"):
        data = lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)
    with replacing(target) as partial:
        partial.write_bytes(data)
    return target


def _order(job: Job) -> tuple[Any, ...]:
    return (job.env_id, job.budget, job.draw, job.seed)


def read_submission(path: str | os.PathLike[str]) -> Submission:
    """Read a submission; its claims are not checked.

    Raises:
        RunError: If it cannot be read; the message names the file and the line.
    """
    try:
        data = _read(Path(path))
        lines = data.decode().split("\n")
    except (OSError, EOFError, UnicodeDecodeError, lzma.LZMAError) as error:
        raise RunError(f"{path}: cannot be read: {error}") from error
    values = []
    for number, line in enumerate(filter(str.strip, lines), 1):
        try:
            values.append(json.loads(line))
        except ValueError as error:
            raise RunError(f"{path}, line {number}: not JSON: {error}") from error
    if not values or not isinstance(values[0], dict) or values[0].get("format") not in READ:
        raise RunError(f"{path}: not a submission (its first line must have format {FORMAT!r})")
    header = values[0]
    for key in ("agent", "sees", "suite"):
        if not isinstance(header.get(key), str) or not header[key]:
            raise RunError(f"{path}, line 1: {key!r} must be a text, got {header.get(key)!r}")
    if header["sees"] not in SEES:
        raise RunError(f"{path}, line 1: 'sees' must be layers or totals, got {header['sees']!r}")
    runs = []
    for number, value in enumerate(values[1:], 2):
        try:
            runs.append(Run.from_json(value))
        except RunError as error:
            raise RunError(f"{path}, line {number}: {error}") from error
    return Submission(
        header["agent"],
        header["sees"],
        header["suite"],
        runs,
        str(header.get("about", "")),
        hashlib.sha256(data).hexdigest(),
    )


def _read(path: Path) -> bytes:
    """The text of a submission, as bytes."""
    with lzma.open(path) if path.name.endswith(".xz") else path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise RunError(f"{path}: more than {LARGEST:,} bytes of text")
    return data


# --- packing ------------------------------------------------------------------------------------


def runs_of_logs(
    paths: Iterable[str | os.PathLike[str]],
    suite: str,
    agent: str,
    sees: str,
    deterministic: bool = False,
) -> list[Run]:
    """The runs that episode logs hold: one for each log and ``run_id`` in it.

    Args:
        paths: Episode logs (:mod:`hwgym.core.log`), each of an environment of the suite.
        suite: Its tasks say how many samples count; later ones are left out.
        agent: Its name.
        sees: ``layers`` or ``totals``.
        deterministic: It says that it ignores its seed.

    Raises:
        RunError: If a log names no environment or one that the suite does not have.
        LogError: If a log cannot be read, or its problem is not that of its environment.
    """
    budgets = {task.env_id: task.samples for task in find_suite(suite).tasks}
    runs = []
    for path in paths:
        about = read_settings(path)
        env_id = about.get("env_id")
        if env_id not in budgets:
            raise RunError(f"{path}: a log of {env_id!r}, which suite {suite!r} does not have")
        check_statement(path, problem_of(env_id).statement)
        for _, rows in read_episodes(path).groupby("run_id", sort=False):
            run = _run_of_rows(rows, env_id, budgets[env_id], agent, sees, about)
            runs.append(replace(run, deterministic=deterministic))
    return runs


def _run_of_rows(
    rows: Any, env_id: str, budget: int, agent: str, sees: str, about: dict[str, Any]
) -> Run:
    problem = problem_of(env_id)
    rows = rows[rows["sample"] < budget].sort_values("sample")
    samples = rows["sample"].to_numpy(np.int64)
    if len(samples) and (np.diff(samples) == 0).any():
        raise LogError(f"two episodes of a run on {env_id} have the same sample number")
    whole = np.array([len(genes) == problem.num_steps for genes in rows["genes"]], bool)
    chosen = [np.stack(list(genes)) for genes in rows["genes"][whole]]
    genes = np.array(chosen, np.int64).reshape(-1, problem.num_steps, len(problem.space.axes))
    scores = problem.evaluate(genes)
    best = np.minimum.accumulate(np.where(scores.feasible, scores.objective, np.inf))
    better = best < np.concatenate([[np.inf], best[:-1]]) if len(best) else np.zeros(0, bool)
    seeds = rows["seed"].to_numpy(np.int64)
    return Run(
        job=Job(agent, env_id, budget, int(seeds[0]) if len(seeds) else 0),
        sees=sees,
        samples=int(samples[-1]) + 1 if len(samples) else 0,
        seconds=float(rows["wall_time"].max()) if len(rows) else 0.0,
        objective=float(best[-1]) if better.any() else None,
        found_at=samples[whole][better],
        genes=genes[better],
        packages=about.get("packages", {}),
    )


# --- validating ---------------------------------------------------------------------------------


def validate(path: str | os.PathLike[str]) -> Verdict:
    """Read a submission, cost its solutions again and hold them against its claims.

    Its standing is that of the record beside it (:mod:`hwgym.leaderboard.reproduction`).
    """
    where = Path(path)
    try:
        submission = read_submission(where)
        find_suite(submission.suite)
    except ValueError as error:
        return Verdict(where, None, (), (str(error),))
    standing = standing_of(record_path(where), submission.digest, submission.runs)
    return replace(check(submission, where), standing=standing)


def check(submission: Submission, path: Path) -> Verdict:
    """Cost a submission's solutions again and hold them against its claims.

    Args:
        submission: What is claimed.
        path: Where it is from or goes to, for the verdict.

    Raises:
        ValueError: If its suite is unknown.
    """
    tasks = {task.env_id: task.samples for task in find_suite(submission.suite).tasks}
    reasons: list[str] = []
    curves: list[Curve] = []
    seen: set[tuple[Any, ...]] = set()
    for run in submission.runs:
        job = run.job
        draw = f", draw {job.draw}" if job.draw else ""
        who = f"{job.env_id}, seed {job.seed}{draw}"
        try:
            if job.agent != submission.agent:
                raise RunError(f"a run of {job.agent!r} in a submission of {submission.agent!r}")
            if run.sees != submission.sees and run.error is None:
                raise RunError(f"sees {run.sees!r}, the submission says {submission.sees!r}")
            problem_of(job.env_id)
            if job.env_id not in tasks:
                raise RunError(nearest("task", job.env_id, sorted(tasks)))
            if job.budget != tasks[job.env_id]:
                raise RunError(
                    f"allows itself {job.budget} samples, the suite allows {tasks[job.env_id]}"
                )
            if _order(job) in seen:
                raise RunError("is there twice")
            seen.add(_order(job))
            curves.append(recost(run))
        except RunError as error:
            reasons.append(f"{who}: {error}")
    if not submission.runs:
        reasons.append("has no runs")
    if len(reasons) > REASONS:
        reasons[REASONS:] = [f"and {len(reasons) - REASONS} more"]
    return Verdict(path, submission, curves, reasons)


def by_agent(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Runs of each agent."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.job.agent, []).append(run)
    return found


def without_trace(run: Run) -> Run:
    """A run whose error, if any, has no traceback: it would show folders of the machine."""
    if run.error is None:
        return run
    error = {k: v for k, v in run.error.items() if k != "traceback"}
    return replace(run, error=error)
