"""Runs: what is to be done, what came of it, and its file.

A run's file holds the solutions that were better than all before, with the sample at which each
was found; what they are worth is computed anew whenever it is needed (:func:`recost`). So nobody's
number is trusted, and the whole curve of regret against samples can be checked, not only its end.

The file is one JSON object:

| key | what |
| --- | --- |
| ``agent``, ``sees`` | its name; ``layers`` or ``totals`` |
| ``deterministic`` | whether it says that it ignores its seed, or null |
| ``env_id``, ``budget`` | the task: environment, or ``environment#number`` for one problem of a \
split, and samples allowed |
| ``seed``, ``draw``, ``settings`` | draw 0 has the defaults, ``settings`` what differs |
| ``time_limit`` | wall seconds allowed, or null |
| ``samples``, ``seconds``, ``timed_out`` | used; whether the time limit ended it |
| ``objective`` | of the last improvement, or null; a claim |
| ``found_at`` | of every improvement: sample number from 0 |
| ``genes`` | of every improvement, step by step: the choice on each axis |
| ``error`` | null, or why the run failed: ``kind`` (``exception``, ``withheld``, ``crash``, \
``hard limit``), ``message``, ``traceback`` |
| ``packages`` | versions |
| ``fingerprint`` | of the checkpoint that the agent had learnt (SHA-256), if it has one |

Files of before have ``actions`` in place of ``genes``: an action number a step, which the problem's
space decodes.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Floats, Ints
from hwgym._files import write_text
from hwgym.core import Certificate, Problem, family
from hwgym.leaderboard.estimates import anytime_score

__all__ = [
    "Curve",
    "Job",
    "Run",
    "RunError",
    "decoded",
    "find_run",
    "optimal",
    "problem_of",
    "read_run",
    "read_runs",
    "recost",
    "write_run",
]

RTOL = 1e-9
"""A claimed objective may differ from the re-computed one by this share."""


class RunError(ValueError):
    """A run that cannot be read, or that does not hold what it claims; the message says why."""


@dataclass(frozen=True)
class Job:
    """One run to be done.

    Attributes:
        agent: Name of an installed agent.
        env_id: What is to be solved, as tasks name it (:class:`~hwgym.leaderboard.suites.Task`).
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
        genes: (k, steps, axes) what was chosen in them.
        error: Why it failed, or None.
        packages: Versions.
        actions: (k, steps) action numbers, in place of the genes, as files of before have them;
            :func:`decoded` makes genes of them.
        deterministic: Whether the agent says that it ignores its seed; None if it does not say.
        fingerprint: Of what the agent had learnt before: that of its checkpoint; None for nothing.
    """

    job: Job
    sees: str
    samples: int = 0
    seconds: float = 0.0
    timed_out: bool = False
    objective: float | None = None
    found_at: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    genes: Ints = field(default_factory=lambda: np.zeros((0, 0, 0), np.int64))
    error: Mapping[str, str] | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    actions: Ints | None = None
    deterministic: bool | None = None
    fingerprint: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "agent": self.job.agent,
            "sees": self.sees,
            "deterministic": self.deterministic,
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
            **self._chosen(),
            "error": None if self.error is None else dict(self.error),
            "packages": dict(self.packages),
            **({} if self.fingerprint is None else {"fingerprint": self.fingerprint}),
        }

    def _chosen(self) -> dict[str, Any]:
        if self.actions is not None:
            return {"actions": self.actions.tolist()}
        return {"genes": self.genes.tolist()}

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
        found_at = get.integers("found_at", 1)
        old = "actions" in value and "genes" not in value
        chosen = get.integers("actions", 2) if old else get.integers("genes", 3)
        if len(found_at) != len(chosen):
            raise RunError(f"{len(found_at)} sample numbers for {len(chosen)} solutions")
        return cls(
            job=job,
            sees=get.text("sees"),
            samples=get.integer("samples", least=0),
            seconds=get.number("seconds") or 0.0,
            timed_out=value.get("timed_out") is True,
            objective=get.number("objective"),
            found_at=found_at,
            **{"actions" if old else "genes": chosen},
            error=get.mapping("error") or None,
            packages=get.mapping("packages"),
            deterministic=get.truth("deterministic"),
            fingerprint=None if value.get("fingerprint") is None else get.text("fingerprint"),
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

    def truth(self, key: str) -> bool | None:
        found = self.value.get(key)
        if found is not None and not isinstance(found, bool):
            raise self._wrong(key, "true, false or null")
        return found

    def mapping(self, key: str) -> dict[str, Any]:
        found = self.value.get(key)
        if found is not None and not isinstance(found, dict):
            raise self._wrong(key, "an object")
        return dict(found or {})

    def integers(self, key: str, axes: int) -> Ints:
        found = self.value.get(key)
        wanted = "a list of " + "equally long lists of " * (axes - 1) + "integers"
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


def find_run(folder: str | os.PathLike[str], file: Path) -> Run:
    """Read the run that is kept in a folder of runs under a name (:attr:`Job.file`).

    Raises:
        RunError: If it cannot be read, or is the run of another job; the message names the file.
    """
    path = Path(folder) / file
    run = read_run(path)
    if run.job.file != file:
        raise RunError(f"{path}: holds the run of {run.job.label}")
    return run


def read_runs(
    folder: str | os.PathLike[str], damaged: Callable[[Path, RunError], object] | None = None
) -> Iterator[Run]:
    """All runs of a folder, failed ones among them, by agent, environment and file name.

    Args:
        folder: Of the runs.
        damaged: Called with the name and the reason of each file that is no run, which is left out.

    Raises:
        RunError: If the folder does not exist; if a file is no run, and nobody is to be told.
    """
    if not Path(folder).is_dir():
        raise RunError(f"{folder}: no such folder")
    for path in sorted(Path(folder).glob("*/*/*.json")):
        if path.name.startswith("."):  # being written
            continue
        file = path.relative_to(folder)
        try:
            run = find_run(folder, file)
        except RunError as error:
            if damaged is None:
                raise
            damaged(file, error)
        else:
            yield run


# --- what a run is worth ------------------------------------------------------------------------


@cache
def problem_of(env_id: str) -> Problem:
    """The problem of a task, by its name; the same object every time in a process.

    Raises:
        RunError: If no family has such an environment, or it poses no problem of its own, or none
            of that number.
    """
    try:
        return family.problem_of(env_id)
    except ValueError as error:
        raise RunError(str(error)) from error


@dataclass(frozen=True, eq=False)
class Curve:
    """A run whose improvements were costed again.

    Attributes:
        run: The run; its ``objective`` is the re-computed one, and it has genes.
        certificate: The optimum, or what is proven of it.
        objective: (k,) of the best solution up to each improvement.
        reported: What the problem reports of it besides, by what it is, (k,) each; nothing was
            chosen by it.
    """

    run: Run
    certificate: Certificate
    objective: Floats
    reported: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def regret(self) -> float:
        """``objective / optimum - 1`` at the end, or the gap to the lower bound where no optimum
        is proven; at least 0, infinite without a feasible solution."""
        return float(self._regrets[-1]) if len(self.objective) else math.inf

    @property
    def _regrets(self) -> Floats:
        above: Floats = self.certificate.above(self.objective)
        return above

    @cached_property
    def scores(self) -> Floats:
        """(k,): ``optimum / objective`` after each improvement, or lower bound / objective where no
        optimum is proven; at most 1."""
        best = self.certificate.yardstick
        found: Floats = np.ones(len(self.objective))
        np.divide(best, self.objective, out=found, where=self.objective > best)
        return found

    @property
    def score(self) -> float:
        """That at the end; 0 without a feasible solution."""
        return float(self.scores[-1]) if len(self.objective) else 0.0

    @property
    def anytime(self) -> float:
        """The area under the score (:func:`~hwgym.leaderboard.estimates.anytime_score`)."""
        return anytime_score(self.run.found_at, self.scores, self.run.job.budget)

    def area_to(self, samples: int) -> float:
        """The same of the first samples, as if they had been the budget."""
        first = self.run.found_at < samples
        return anytime_score(self.run.found_at[first], self.scores[first], samples)

    @property
    def best(self) -> Ints | None:
        """Genes (steps, axes) of the best solution, or None."""
        if not len(self.objective):
            return None
        found: Ints = self.run.genes[self.objective.argmin()]
        return found

    def score_at(self, samples: ArrayLike) -> Floats:
        """Score after so many samples (n,); 0 before the first feasible solution."""
        return self._after(0.0, self.scores, samples)

    def regret_at(self, samples: ArrayLike) -> Floats:
        """Regret after so many samples (n,); infinite before the first feasible solution."""
        return self._after(np.inf, self._regrets, samples)

    def reported_at(self, what: str, samples: ArrayLike) -> Floats:
        """What is reported of the best solution after so many samples (n,); 0 where there is none,
        or nothing of the kind is reported."""
        return self._after(0.0, self.reported.get(what, np.zeros(len(self.objective))), samples)

    def _after(self, before: float, values: Floats, samples: ArrayLike) -> Floats:
        """What of values (k,) holds after so many samples (n,), and what before the first."""
        found: Floats = np.append(before, values)[
            np.searchsorted(self.run.found_at, samples, side="left")
        ]
        return found

    def samples_to(self, regret: float) -> float:
        """Samples until the regret is at most that; infinite if it never is."""
        reached = np.flatnonzero(self._regrets <= regret)
        return float(self.run.found_at[reached[0]] + 1) if len(reached) else math.inf


def decoded(run: Run) -> Run:
    """A run with genes, made of its action numbers if that is what its file has.

    Raises:
        RunError: If it has some, and they are not numbers of its task's choices.
    """
    if run.actions is None:
        return run
    if not len(run.actions):
        return replace(run, actions=None)
    space = problem_of(run.job.env_id).space
    _check_shape(run, run.actions.shape[1:], (space.num_steps,))
    if space.joint is None:
        raise RunError("has action numbers; the choices of this task are not numbered")
    low, high = run.actions.min(), run.actions.max()
    if low < 0 or high >= space.joint:
        raise RunError(f"action numbers must lie in 0..{space.joint - 1}, got {low}..{high}")
    return replace(run, genes=space.decode(run.actions), actions=None)


def _check_shape(run: Run, given: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    if given != wanted:
        words = [
            " and ".join(f"{n} {what}" for n, what in zip(shape, ("steps", "axes"), strict=False))
            for shape in (given, wanted)
        ]
        raise RunError(f"solutions of {words[0]}; {run.job.env_id} has {words[1]}")


def recost(run: Run) -> Curve:
    """Compute anew what a run's solutions are worth.

    A run that failed has no solutions and counts as one that found nothing feasible.

    Raises:
        RunError: If they are not what the run claims: not solutions of the task, not feasible,
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
            f"a solution was found at sample {found[-1]}, counted from 0, "
            f"but only {run.samples} were used"
        )
    run = decoded(run)
    if not len(found):
        if run.objective is not None:
            raise RunError(f"claims an objective of {run.objective!r} without a solution")
        return Curve(run, problem.certificate(), np.zeros(0))
    _check_genes(run, problem)
    scores = problem.evaluate(run.genes)
    if not scores.feasible.all():
        first = int(np.flatnonzero(~scores.feasible)[0])
        why = "holds a choice that is not valid"
        constraint = problem.statement.constraint
        if scores.valid[first] and constraint is not None:
            limit = problem.statement.limit
            why = f"takes {scores.used[first]:.9g} of {limit:.9g} {constraint.unit}"
        raise RunError(f"the solution of sample {found[first]} is not feasible: {why}")
    objective: Floats = np.minimum.accumulate(scores.objective)
    claimed = math.nan if run.objective is None else run.objective
    if not abs(claimed - objective[-1]) <= RTOL * abs(objective[-1]):
        raise RunError(
            f"claims an objective of {run.objective!r}, but its solutions reach "
            f"{float(objective[-1])!r}"
        )
    return Curve(
        replace(run, objective=float(objective[-1])),
        problem.certificate(),
        objective,
        problem.reported(run.genes[_best_so_far(scores.objective)]),
    )


def optimal(job: Job) -> Curve:
    """The run that has the best solution known as its first sample.

    Raises:
        RunError: If no family has such an environment.
    """
    problem = problem_of(job.env_id)
    certificate = problem.certificate()
    genes, objective = certificate.assignment[None], certificate.objective
    run = Run(job, "totals", 1, objective=objective, found_at=np.zeros(1, np.int64), genes=genes)
    return Curve(run, certificate, np.array([objective]), problem.reported(genes))


def _best_so_far(objective: Floats) -> Ints:
    """(k,): which of the solutions up to each is the best, of equals the first."""
    before = np.append(np.inf, np.minimum.accumulate(objective)[:-1])
    better = np.where(objective < before, np.arange(len(objective)), 0)
    return np.maximum.accumulate(better)


def _check_genes(run: Run, problem: Problem) -> None:
    genes, sizes = run.genes, np.array(problem.space.shape)
    _check_shape(run, genes.shape[1:], (problem.num_steps, len(sizes)))
    wrong = np.argwhere((genes < 0) | (genes >= sizes))
    if len(wrong):
        row, step, axis = wrong[0]
        raise RunError(
            f"choices of {problem.space.axes[axis].name!r} must lie in 0..{sizes[axis] - 1}, "
            f"got {genes[row, step, axis]}"
        )
