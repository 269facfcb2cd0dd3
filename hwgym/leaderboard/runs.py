"""Runs: what is to be done, what came of it, and its file.

A run's file holds the assignments that were better than all before, with the sample at which each
was found; what they are worth is computed anew whenever it is needed (:func:`recost`). So nobody's
number is trusted, and the whole curve of regret against samples can be checked, not only its end.

The file is one JSON object:

| key | what |
| --- | --- |
| ``agent``, ``sees`` | its name; ``layers`` or ``totals`` |
| ``env_id``, ``budget`` | the task: environment and samples allowed |
| ``seed``, ``draw``, ``settings`` | draw 0 has the defaults, ``settings`` what differs |
| ``time_limit`` | wall seconds allowed, or null |
| ``samples``, ``seconds``, ``timed_out`` | used; whether the time limit ended it |
| ``objective`` | of the last improvement, or null; a claim |
| ``found_at``, ``actions`` | of every improvement: sample number from 0, action number a layer |
| ``error`` | null, or why the run failed: ``kind`` (``exception``, ``crash``, ``hard limit``), \
``message``, ``traceback`` |
| ``packages`` | versions |
"""

from __future__ import annotations

import difflib
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from hwgym._files import write_text
from hwgym.agent import as_problem
from hwgym.envs_registry import ENTRY_POINT
from hwgym.families.assignment.problem import AssignmentProblem

__all__ = [
    "Curve",
    "Job",
    "Run",
    "RunError",
    "problem_of",
    "read_run",
    "read_runs",
    "recost",
    "write_run",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

RTOL = 1e-9
"""A claimed objective may differ from the re-computed one by this share."""


class RunError(ValueError):
    """A run that cannot be read, or that does not hold what it claims; the message says why."""


@dataclass(frozen=True)
class Job:
    """One run to be done.

    Attributes:
        agent: Name of an installed agent.
        env_id: Environment.
        budget: Samples allowed.
        seed: Of the agent.
        time_limit: Wall seconds allowed, or None.
        draw: Which draw of settings; 0 are the defaults.
        settings: Those that differ from the defaults.
    """

    agent: str
    env_id: str
    budget: int
    seed: int = 0
    time_limit: float | None = None
    draw: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        """Where its run is kept, within a folder of runs."""
        draw = f"-draw{self.draw}" if self.draw else ""
        return Path(self.agent, self.env_id, f"{self.budget}-seed{self.seed}{draw}.json")

    @property
    def label(self) -> str:
        """For people."""
        draw = f", draw {self.draw}" if self.draw else ""
        return f"{self.agent} on {self.env_id}, seed {self.seed}{draw}"


@dataclass(frozen=True, eq=False)
class Run:
    """What came of a job.

    Attributes:
        job: What was to be done.
        sees: ``layers`` or ``totals``.
        samples: Used.
        seconds: Wall time.
        timed_out: The time limit ended it.
        objective: The best one, as claimed; None if there is none.
        found_at: (k,) sample numbers of the improvements, counted from 0.
        actions: (k, steps) their action numbers.
        error: Why it failed, or None.
        packages: Versions.
    """

    job: Job
    sees: str
    samples: int = 0
    seconds: float = 0.0
    timed_out: bool = False
    objective: float | None = None
    found_at: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    actions: Ints = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    error: Mapping[str, str] | None = None
    packages: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "agent": self.job.agent,
            "sees": self.sees,
            "env_id": self.job.env_id,
            "budget": self.job.budget,
            "seed": self.job.seed,
            "draw": self.job.draw,
            "settings": dict(self.job.settings),
            "time_limit": self.job.time_limit,
            "samples": self.samples,
            "seconds": round(self.seconds, 3),
            "timed_out": self.timed_out,
            "objective": self.objective,
            "found_at": self.found_at.tolist(),
            "actions": self.actions.tolist(),
            "error": None if self.error is None else dict(self.error),
            "packages": dict(self.packages),
        }

    @classmethod
    def from_json(cls, value: Any) -> Run:
        """From JSON values, checked for their types only.

        Raises:
            RunError: If a key is missing or has a value of a wrong type.
        """
        if not isinstance(value, dict):
            raise RunError("not a JSON object")
        get = _Reader(value)
        job = Job(
            agent=get.text("agent"),
            env_id=get.text("env_id"),
            budget=get.integer("budget", least=1),
            seed=get.integer("seed", least=0),
            time_limit=get.number("time_limit"),
            draw=get.integer("draw", least=0, default=0),
            settings=get.mapping("settings"),
        )
        found_at, actions = get.integers("found_at", 1), get.integers("actions", 2)
        if len(found_at) != len(actions):
            raise RunError(f"{len(found_at)} sample numbers for {len(actions)} assignments")
        return cls(
            job=job,
            sees=get.text("sees"),
            samples=get.integer("samples", least=0),
            seconds=get.number("seconds") or 0.0,
            timed_out=value.get("timed_out") is True,
            objective=get.number("objective"),
            found_at=found_at,
            actions=actions,
            error=get.mapping("error") or None,
            packages=get.mapping("packages"),
        )


class _Reader:
    """Values of a JSON object by type."""

    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value

    def _wrong(self, key: str, wanted: str) -> RunError:
        if key not in self.value:
            return RunError(f"{key!r} is missing")
        text = repr(self.value[key])
        return RunError(f"{key!r} must be {wanted}, got {text if len(text) < 60 else text[:57]}")

    def text(self, key: str) -> str:
        found = self.value.get(key)
        if not isinstance(found, str) or not found:
            raise self._wrong(key, "a text")
        return found

    def integer(self, key: str, least: int, default: int | None = None) -> int:
        found = self.value.get(key, default)
        if isinstance(found, bool) or not isinstance(found, int) or found < least:
            raise self._wrong(key, f"an integer of at least {least}")
        return found

    def number(self, key: str) -> float | None:
        found = self.value.get(key)
        if found is None:
            return None
        if (
            isinstance(found, bool)
            or not isinstance(found, int | float)
            or not math.isfinite(found)
        ):
            raise self._wrong(key, "a finite number or null")
        return float(found)

    def mapping(self, key: str) -> dict[str, Any]:
        found = self.value.get(key)
        if found is not None and not isinstance(found, dict):
            raise self._wrong(key, "an object")
        return dict(found or {})

    def integers(self, key: str, axes: int) -> Ints:
        found = self.value.get(key)
        wanted = "a list of integers" if axes == 1 else "a list of equally long lists of integers"
        if not isinstance(found, list):
            raise self._wrong(key, wanted)
        if not found:
            return np.zeros((0,) * axes, np.int64)
        try:
            array = np.array(found)
        except ValueError as error:
            raise self._wrong(key, wanted) from error
        if array.ndim != axes or array.dtype.kind != "i":
            raise self._wrong(key, wanted)
        return array.astype(np.int64)


# --- files --------------------------------------------------------------------------------------


def write_run(folder: str | os.PathLike[str], run: Run) -> Path:
    """Write a run's file, whole or not at all; an older one is replaced."""
    return write_text(Path(folder) / run.job.file, json.dumps(run.to_json(), separators=(",", ":")))


def read_run(path: str | os.PathLike[str]) -> Run:
    """Read a run's file.

    Raises:
        RunError: If it cannot be read; the message names the file.
    """
    try:
        return Run.from_json(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: {error}") from error


def read_runs(folder: str | os.PathLike[str]) -> Iterator[Run]:
    """All runs of a folder, failed ones among them, by agent, environment and file name.

    Raises:
        RunError: If the folder does not exist, or a file cannot be read.
    """
    if not Path(folder).is_dir():
        raise RunError(f"{folder}: no such folder")
    for path in sorted(Path(folder).glob("*/*/*.json")):
        if not path.name.startswith("."):  # being written
            yield read_run(path)


# --- what a run is worth ------------------------------------------------------------------------


@cache
def problem_of(env_id: str) -> AssignmentProblem:
    """The problem behind an environment of hwgym.

    Raises:
        RunError: If there is no such environment, or it is not one of hwgym.
    """
    # Only registered ids: gymnasium would import whatever module an id names before a colon.
    ours = {i for i, s in gym.registry.items() if s.entry_point == ENTRY_POINT}
    if env_id not in ours:
        close = difflib.get_close_matches(env_id, ours, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise RunError(f"no environment of hwgym: {env_id!r}{hint}")
    return as_problem(env_id)[0]


@dataclass(frozen=True, eq=False)
class Curve:
    """A run whose improvements were costed again.

    Attributes:
        run: The run; its ``objective`` is the re-computed one.
        optimum: The least objective there is.
        objective: (k,) of the best assignment up to each improvement.
    """

    run: Run
    optimum: float
    objective: Floats

    @property
    def regret(self) -> float:
        """``objective / optimum - 1`` at the end; infinite without a feasible assignment."""
        return float(self.objective[-1] / self.optimum - 1) if len(self.objective) else math.inf

    @property
    def score(self) -> float:
        """``optimum / objective`` at the end; 0 without a feasible assignment."""
        return float(self.optimum / self.objective[-1]) if len(self.objective) else 0.0

    @property
    def best(self) -> Ints | None:
        """Action numbers (steps,) of the best assignment, or None."""
        if not len(self.objective):
            return None
        values = problem_of(self.run.job.env_id).evaluate_actions(self.run.actions).objective
        found: Ints = self.run.actions[values.argmin()]
        return found

    def regret_at(self, samples: NDArray[Any]) -> Floats:
        """Regret after so many samples (n,); infinite before the first feasible assignment."""
        best = np.append(np.inf, self.objective / self.optimum - 1)
        found: Floats = best[np.searchsorted(self.run.found_at, samples, side="left")]
        return found

    def samples_to(self, regret: float) -> float:
        """Samples until the regret is at most that; infinite if it never is."""
        reached = np.flatnonzero(self.objective / self.optimum - 1 <= regret)
        return float(self.run.found_at[reached[0]] + 1) if len(reached) else math.inf


def recost(run: Run) -> Curve:
    """Compute anew what a run's assignments are worth.

    A run that failed has no assignments and counts as one that found nothing feasible.

    Raises:
        RunError: If they are not what the run claims: not assignments of the task, not feasible,
            beyond the samples allowed or used, or of another objective than claimed.
    """
    job, problem = run.job, problem_of(run.job.env_id)
    if run.samples > job.budget:
        raise RunError(f"{run.samples} samples used, only {job.budget} are allowed")
    found = run.found_at
    if len(found) and (found.min() < 0 or (np.diff(found) <= 0).any()):
        raise RunError("sample numbers must increase from 0")
    if len(found) and found[-1] >= run.samples:
        raise RunError(
            f"an assignment was found at sample {found[-1]}, counted from 0, "
            f"but only {run.samples} were used"
        )
    if not len(found):
        if run.objective is not None:
            raise RunError(f"claims an objective of {run.objective!r} without an assignment")
        return Curve(run, problem.optimum().objective, np.zeros(0))
    if run.actions.shape[1] != problem.num_steps:
        raise RunError(
            f"assignments of {run.actions.shape[1]} layers; {job.env_id} has {problem.num_steps}"
        )
    if run.actions.min() < 0 or run.actions.max() >= problem.num_actions:
        raise RunError(
            f"action numbers must lie in 0..{problem.num_actions - 1}, "
            f"got {run.actions.min()}..{run.actions.max()}"
        )
    scores = problem.evaluate_actions(run.actions)
    if not scores.feasible.all():
        first = int(np.flatnonzero(~scores.feasible)[0])
        why = (
            f"takes {scores.used[first]:.9g} of {problem.budget:.9g} {problem.unit}"
            if scores.valid[first]
            else "has a layer that cannot be built so"
        )
        raise RunError(f"the assignment of sample {found[first]} is not feasible: {why}")
    objective: Floats = np.minimum.accumulate(scores.objective)
    claimed = math.nan if run.objective is None else run.objective
    if not abs(claimed - objective[-1]) <= RTOL * abs(objective[-1]):
        raise RunError(
            f"claims an objective of {run.objective!r}, but its assignments reach "
            f"{float(objective[-1])!r}"
        )
    return Curve(
        replace(run, objective=float(objective[-1])), problem.optimum().objective, objective
    )
