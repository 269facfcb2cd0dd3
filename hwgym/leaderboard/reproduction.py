"""Reproductions: submissions whose runs were run again, and what came of it.

What a submission's solutions are worth can be computed by anyone. When they were found, under which
seed, and after how many samples that it does not list, only its agent can tell: so the agent is run
again with the settings and seeds that the submission names, and must find the same solutions at the
same samples. An agent that says it ignores its seed is run with another one and must find the same.
One that has learnt before must have learnt the same: what it says of its checkpoint is compared.
Runs that failed claim nothing and are not run again; of those that a time limit cut, the first
samples are compared, as many as were used.

What came of it stands in a record beside the submission, ``mine.reproduction.json``:

| key | what |
| --- | --- |
| ``format`` | ``hwgym-reproduction-1`` |
| ``agent``, ``suite`` | of the submission |
| ``digest`` | SHA-256 of the submission's text, uncompressed (``xzcat``, then ``sha256sum``) |
| ``versions`` | versions of packages with which runs were run again |
| ``checks`` | a run each: ``env_id``, ``budget``, ``draw`` and ``seed`` name it, ``run_with`` is \
the seed it was run again with, ``versions`` an index in that list, ``difference`` what did not \
come out the same, empty if all did |

A submission is `reproduced` while its digest is that of the record and every run that did not fail
came out the same; else it is `self-reported`, and below the line if more than one in twenty of
those that were run again did not. Whoever keeps the record answers for it: it says that the runs
were run again, and anyone may do so once more.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from hwgym._files import write_text
from hwgym.core import find_agent
from hwgym.core.log import package_versions
from hwgym.leaderboard.runs import Job, Run, RunError, decoded, read_run
from hwgym.leaderboard.workers import fingerprint_of

__all__ = [
    "SELF_REPORTED",
    "Check",
    "Record",
    "Standing",
    "compared",
    "difference",
    "flattered",
    "job_again",
    "merged",
    "read_record",
    "record_path",
    "remove_old",
    "standing_of",
    "write_record",
]

FORMAT = "hwgym-reproduction-1"
SUFFIX = ".reproduction.json"
FLATTERY = 0.01
TOLERATED = 0.05
"""Share of the runs run again that may come out differently before an agent is below the line: the
arithmetic of another machine may turn a rare choice, and a few runs make no score."""

Key: TypeAlias = tuple[str, int, int, int]
"""What names a run of a submission: environment, budget, draw, seed."""


@dataclass(frozen=True)
class Standing:
    """What is known of a submission beyond what its solutions are worth.

    Attributes:
        reproduced: All its runs were run again and came out the same.
        differ: Runs that did not.
        contradicted: So many did not that it is below the line.
        note: More about it, for people; may be empty.
    """

    reproduced: bool = False
    differ: int = 0
    contradicted: bool = False
    note: str = ""

    @property
    def name(self) -> str:
        """``self-reported`` or ``reproduced``."""
        return "reproduced" if self.reproduced else "self-reported"


SELF_REPORTED = Standing()


@dataclass(frozen=True)
class Check:
    """A run that was run again.

    Attributes:
        key: Which.
        run_with: The seed.
        difference: What did not come out the same; empty if all did.
        versions: Of packages, when it was run again.
    """

    key: Key
    run_with: int
    difference: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Record:
    """What came of running a submission's runs again.

    Attributes:
        agent, suite: Of the submission.
        digest: Of its text.
        checks: Runs that were run again.
    """

    agent: str
    suite: str
    digest: str
    checks: Sequence[Check]


def key_of(job: Job) -> Key:
    """What names a run in its submission."""
    return (job.env_id, job.budget, job.draw, job.seed)


# --- running again ------------------------------------------------------------------------------


def job_again(run: Run) -> Job:
    """What is to be run to see whether a run comes out the same.

    Raises:
        ValueError: If its agent is unknown.
        ImportError: If it cannot be imported.
    """
    same = run.deterministic or getattr(find_agent(run.job.agent), "deterministic", False)
    # The time that it took elsewhere says nothing about here.
    return replace(run.job, seed=run.job.seed + bool(same), time_limit=None)


def remove_old(folder: Path, jobs: Iterable[Job]) -> int:
    """Remove from a folder the runs of jobs that were done with other versions of packages, or
    with another checkpoint.

    Returns:
        How many.
    """
    now, removed = package_versions(), 0
    for job in jobs:
        path = folder / job.file
        try:
            old = path.exists() and _is_old(read_run(path), now)
        except RunError:
            continue  # damaged: it is run again anyway
        if old:
            path.unlink()
            removed += 1
    return removed


def _is_old(run: Run, now: Mapping[str, str]) -> bool:
    try:
        return run.packages != now or run.fingerprint != fingerprint_of(run.job)
    except (ImportError, OSError, TypeError, ValueError):
        return True  # whatever is wrong, running it again will say


def compared(runs: Iterable[Run], again: Mapping[Path, Run]) -> list[Check]:
    """Hold runs against what came out when they were run again.

    Args:
        runs: As claimed; those of one agent.
        again: Runs by the file of their job (:func:`job_again`); claimed ones that are not among
            them are left out.
    """
    by_task: dict[tuple[str, int, int], list[Run]] = {}
    for run in again.values():
        by_task.setdefault(key_of(run.job)[:3], []).append(run)
    checks = []
    for run in runs:
        here = None if run.error is not None else again.get(job_again(run).file)
        if here is None:
            continue
        key = key_of(run.job)
        others = [other for other in by_task[key[:3]] if other is not here]
        found = difference(run, here, others)
        checks.append(Check(key, here.job.seed, found, here.packages))
    return checks


def flattered(runs: Iterable[Run], again: Mapping[Path, Run]) -> tuple[int, int]:
    """How many of the runs that reach another objective when run again claim the better one, and
    how many they are, if that is more than honest differences would give; else (0, 0).

    Those go either way: as often as a coin says so by a chance of 1 % (sign test).
    """
    better = worse = 0
    for run in runs:
        here = None if run.error is not None else again.get(job_again(run).file)
        if here is not None and here.error is None and not run.timed_out:
            ours, theirs = (math.inf if r.objective is None else r.objective for r in (run, here))
            better, worse = better + (ours < theirs), worse + (ours > theirs)
    count = better + worse
    chance = sum(math.comb(count, k) for k in range(better, count + 1)) / 2**count
    return (better, count) if count and chance < FLATTERY else (0, 0)


def difference(claimed: Run, again: Run, others: Iterable[Run] = ()) -> str:
    """What of a run did not come out the same when it was run again; empty if all did.

    Args:
        claimed: The run as submitted.
        again: What came of it.
        others: Runs of the same agent, task and settings with other seeds, to say so where it is
            one of those that is claimed.
    """
    claimed = decoded(claimed)
    if again.error is not None:
        return f"fails when it is run again: {again.error.get('message', '')}".splitlines()[0]
    if again.fingerprint != claimed.fingerprint:
        ours, theirs = (_checkpoint(run.fingerprint) for run in (claimed, again))
        return f"was made with {ours}; {again.job.agent} has {theirs}"
    if again.sees != claimed.sees:
        return f"sees {again.sees}, not {claimed.sees}"
    used = min(again.samples, claimed.samples) if claimed.timed_out else again.samples
    first = again.found_at < used
    found_at, genes = again.found_at[first], again.genes[first]
    if np.array_equal(found_at, claimed.found_at) and _same(genes, claimed.genes):
        if used != claimed.samples:
            return f"uses {again.samples} samples, not {claimed.samples}"
        return ""
    with_seed = ""
    if again.job.seed != claimed.job.seed:
        with_seed = f" (with seed {again.job.seed}, for it says that it ignores its seed)"
    elif len(claimed.genes):
        for other in others:
            if np.array_equal(other.found_at, claimed.found_at) and _same(
                other.genes, claimed.genes
            ):
                return f"is the run of seed {other.job.seed}"
    if len(genes) and _same(genes, claimed.genes):
        at = int(np.flatnonzero(found_at != claimed.found_at)[0])
        return (
            f"the same solutions at other samples: what it claims to have found at sample "
            f"{claimed.found_at[at]} it finds at {found_at[at]}{with_seed}"
        )
    if len(claimed.genes):
        same = (again.genes == claimed.genes[-1]).all(axis=(1, 2)) if len(again.genes) else []
        where = np.flatnonzero(same)
        if len(where) and again.found_at[where[0]] != claimed.found_at[-1]:
            return (
                f"claims to have found its best solution at sample {claimed.found_at[-1]}; it "
                f"finds it at {again.found_at[where[0]]}{with_seed}"
            )
    reached = [_reached(claimed.objective), _reached(again.objective if len(genes) else None)]
    if reached[0] != reached[1]:
        return f"claims {reached[0]}; finds {reached[1]}{with_seed}"
    return f"other solutions on the way to {reached[0]}{with_seed}"


def _checkpoint(fingerprint: str | None) -> str:
    return "no checkpoint" if fingerprint is None else f"checkpoint {fingerprint[:12]}"


def _same(ours: Any, theirs: Any) -> bool:
    return len(ours) == len(theirs) and (not len(ours) or np.array_equal(ours, theirs))


def _reached(objective: float | None) -> str:
    return "nothing feasible" if objective is None else f"an objective of {objective:.9g}"


# --- records ------------------------------------------------------------------------------------


def record_path(submission: str | os.PathLike[str]) -> Path:
    """Where the record of a submission is kept: beside it."""
    path = Path(submission)
    return path.with_name(path.name.removesuffix(".xz").removesuffix(".jsonl") + SUFFIX)


def merged(old: Record | None, new: Record) -> Record:
    """A record and what was known before, where it is of the same submission."""
    if old is None or old.digest != new.digest:
        return new
    checks = {check.key: check for check in (*old.checks, *new.checks)}
    return replace(new, checks=[checks[key] for key in sorted(checks)])


def write_record(path: str | os.PathLike[str], record: Record) -> Path:
    """Write a record, whole or not at all."""
    versions: list[dict[str, str]] = []
    rows = []
    for check in sorted(record.checks, key=lambda check: check.key):
        if dict(check.versions) not in versions:
            versions.append(dict(check.versions))
        row = dict(zip(("env_id", "budget", "draw", "seed"), check.key, strict=True))
        row |= {"run_with": check.run_with, "versions": versions.index(dict(check.versions))}
        rows.append(json.dumps(row | {"difference": check.difference}))
    head: dict[str, Any] = {"format": FORMAT, "agent": record.agent, "suite": record.suite}
    head |= {"digest": record.digest, "versions": versions}
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    checks = "[\n" + ",\n".join(rows) + "\n]" if rows else "[]"
    return write_text(path, "{\n" + ",\n".join([*lines, f'"checks": {checks}']) + "\n}\n")


def read_record(path: str | os.PathLike[str]) -> Record:
    """Read a record.

    Raises:
        RunError: If it cannot be read, or is none; the message names the file.
    """
    try:
        told = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(told, dict) or told.get("format") != FORMAT:
            raise RunError(f"not a record of format {FORMAT!r}")
        checks = [
            Check(
                (str(row["env_id"]), int(row["budget"]), int(row["draw"]), int(row["seed"])),
                int(row["run_with"]),
                str(row["difference"]),
                dict(told["versions"][row["versions"]]),
            )
            for row in told["checks"]
        ]
        return Record(str(told["agent"]), str(told["suite"]), str(told["digest"]), checks)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RunError(f"{path}: cannot be read as a record: {error!r}") from error


def standing_of(path: Path, digest: str, runs: Iterable[Run]) -> Standing:
    """The standing of a submission.

    Args:
        path: Of its record, which need not exist.
        digest: Of its text.
        runs: Its runs.
    """
    if not path.exists():
        return SELF_REPORTED
    try:
        record = read_record(path)
    except RunError:
        return replace(SELF_REPORTED, note=f"its record {path.name} cannot be read")
    if record.digest != digest:
        return replace(SELF_REPORTED, note="it was changed since it was run again")
    wanted = {key_of(run.job) for run in runs if run.error is None}
    checks = {check.key: check for check in record.checks}
    differ = sum(bool(checks[key].difference) for key in wanted & checks.keys())
    same = len(wanted & checks.keys()) - differ
    if differ:
        of = f"{differ} of {len(wanted)} runs" if len(wanted) > 1 else "its run"
        contradicted = differ > TOLERATED * (differ + same)
        return Standing(False, differ, contradicted, f"{of} came out differently when run again")
    if not wanted or same < len(wanted):
        return replace(SELF_REPORTED, note=f"{same} of {len(wanted)} runs came out the same again")
    return Standing(reproduced=True)
