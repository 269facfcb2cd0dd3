"""The board: everything that the report shows, computed from re-costed runs.

Only runs with an agent's default settings (draw 0) rank; further draws say how much the rank owes
to them. Agents rank beside those that see the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from hwgym._arrays import Array, Floats, Ints
from hwgym.core import Certificate
from hwgym.leaderboard.estimates import (
    Estimate,
    interquartile_mean,
    interval,
    limits,
    optimality_gap,
    probability_of_improvement,
    resample,
)
from hwgym.leaderboard.runs import Curve, RunError, problem_of, read_runs, recost
from hwgym.leaderboard.submission import submission_files, validate
from hwgym.leaderboard.suites import LISTED, SUITES, Task

__all__ = ["REACH", "Band", "Board", "Draws", "Entry", "load"]

REACH = (0.1, 0.05, 0.01)
"""Regrets for which a table says after how many samples they are reached."""
PROFILE = np.logspace(-4, 1, 61)
POINTS = 60
CURVE_DRAWS = 500


@dataclass(frozen=True, eq=False)
class Band:
    """A curve with its 95 % interval.

    Attributes:
        x, y, low, high: (n,).
    """

    x: Array
    y: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Draws:
    """An agent under several draws of its settings: the interquartile mean of each.

    Attributes:
        count: Draws, the defaults among them.
        default, best, median, worst: Scores.
        best_settings: What the best draw changed.
    """

    count: int
    default: float
    best: float
    median: float
    worst: float
    best_settings: Mapping[str, object]


@dataclass(frozen=True, eq=False)
class Entry:
    """An agent on the board.

    Attributes:
        agent: Its name.
        sees: ``layers`` or ``totals``.
        curves: Its runs with default settings.
        tasks: (runs,) the index of each run's task on the board.
        rank: Among those that see the same, from 1.
        draws: Under other settings, if it was run with them.
    """

    agent: str
    sees: str
    curves: Sequence[Curve]
    tasks: Ints
    rank: int = 0
    draws: Draws | None = None

    @cached_property
    def scores(self) -> Floats:
        """(runs,)."""
        return np.array([curve.score for curve in self.curves])

    @cached_property
    def regrets(self) -> Floats:
        """(runs,): regrets, or gaps where no optimum is proven; infinite where nothing feasible was
        found."""
        return np.array([curve.regret for curve in self.curves])

    @cached_property
    def score(self) -> Estimate:
        """Interquartile mean over all runs."""
        return interval(self.scores, self.tasks, interquartile_mean, _rng())

    @cached_property
    def gap(self) -> Estimate:
        """Optimality gap."""
        return interval(self.scores, self.tasks, optimality_gap, _rng())

    @cached_property
    def median_regret(self) -> Estimate:
        """Over all runs."""
        return interval(self.regrets, self.tasks, _median, _rng())

    def reach(self, regret: float) -> tuple[float, float]:
        """Median samples until a regret is reached, infinite if most never do; share that does."""
        samples = np.array([curve.samples_to(regret) for curve in self.curves])
        return float(_median(samples)), float(np.isfinite(samples).mean())

    @property
    def seconds(self) -> float:
        """Median wall time of a run."""
        return float(np.median([curve.run.seconds for curve in self.curves]))

    @property
    def timed_out(self) -> int:
        """Runs that the time limit ended."""
        return sum(curve.run.timed_out for curve in self.curves)

    @property
    def failed(self) -> int:
        """Runs that failed; they count as not feasible."""
        return sum(curve.run.error is not None for curve in self.curves)

    @property
    def samples(self) -> float:
        """Median number of samples used."""
        return float(np.median([curve.run.samples for curve in self.curves]))

    @property
    def seeds(self) -> tuple[int, int]:
        """Fewest and most runs on a task."""
        count = np.bincount(self.tasks)
        return int(count[count > 0].min()), int(count.max())

    @property
    def num_tasks(self) -> int:
        """Tasks that it was run on."""
        return len(np.unique(self.tasks))

    def on(self, task: int) -> list[Curve]:
        """Its runs on a task, best first."""
        found = [curve for curve, t in zip(self.curves, self.tasks, strict=True) if t == task]
        return sorted(found, key=lambda curve: curve.regret)

    def regret_on(self, task: int) -> float:
        """Median regret on a task; NaN where it was not run."""
        found = self.regrets[self.tasks == task]
        return float(_median(found)) if len(found) else math.nan

    def profile(self) -> Band:
        """Share of runs with at most a regret: the mean over tasks (Agarwal et al., eq. 3)."""
        within = (self.regrets[:, None] <= PROFILE).astype(float)
        _, index, count = np.unique(self.tasks, return_inverse=True, return_counts=True)
        weights = 1 / (count[index] * len(count))
        drawn = np.stack(
            [weights @ within[rows] for rows in resample(self.tasks, _rng(), CURVE_DRAWS)]
        )
        return Band(PROFILE, weights @ within, *limits(drawn))

    def regret_curve(self, task: int | None = None) -> Band:
        """Median regret after so many samples, over all runs or those on one task."""
        mask = np.ones(len(self.tasks), bool) if task is None else self.tasks == task
        curves = [curve for curve, here in zip(self.curves, mask, strict=True) if here]
        budget = max(curve.run.job.budget for curve in curves)
        at = np.unique(np.logspace(0, np.log10(budget), POINTS).round().astype(np.int64))
        values = np.stack([curve.regret_at(at) for curve in curves])
        drawn = np.stack(
            [_median(values[rows], 0) for rows in resample(self.tasks[mask], _rng(), CURVE_DRAWS)]
        )
        return Band(at, _median(values, 0), *limits(drawn))


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _median(values: Floats, axis: int = -1) -> Floats:
    """Infinite unless more than half of the values are finite."""
    found: Floats = np.median(values, axis=axis)
    return found


@dataclass(frozen=True, eq=False)
class Board:
    """All agents on all tasks.

    Attributes:
        tasks: In the order of their suite.
        entries: Agents; those that see layers before those that see totals, each by rank.
        time_limits: That the runs had, in seconds; None for none.
    """

    tasks: Sequence[Task]
    entries: Sequence[Entry]
    time_limits: Sequence[float | None]

    @classmethod
    def of(cls, curves: Iterable[Curve]) -> Board:
        """From runs that were costed again.

        Raises:
            RunError: If there are none with default settings.
        """
        by_agent: dict[str, list[Curve]] = {}
        for curve in curves:
            by_agent.setdefault(curve.run.job.agent, []).append(curve)
        tasks = _sorted_tasks(curve for found in by_agent.values() for curve in found)
        index = {task: i for i, task in enumerate(tasks)}
        unranked = []
        for agent, found in by_agent.items():
            default = [curve for curve in found if curve.run.job.draw == 0]
            if not default:
                continue
            known = [curve.run.sees for curve in found if curve.run.error is None]
            places = np.array([index[_task(curve)] for curve in default])
            sees = known[0] if known else "unknown"
            unranked.append((agent, sees, default, places, _draws(found)))
        if not unranked:
            raise RunError("no runs with default settings: nothing to report")
        entries = []
        scored = [Entry(*row[:4], draws=row[4]) for row in unranked]
        for sees in ("layers", "totals", "unknown"):
            group = [entry for entry in scored if entry.sees == sees]
            group.sort(key=lambda entry: (-entry.score.value, entry.gap.value, entry.agent))
            entries += [
                Entry(e.agent, e.sees, e.curves, e.tasks, rank, e.draws)
                for rank, e in enumerate(group, 1)
            ]
        limits_ = {curve.run.job.time_limit for entry in entries for curve in entry.curves}
        return cls(tasks, entries, sorted(limits_, key=lambda x: math.inf if x is None else x))

    def seeing(self, sees: str) -> list[Entry]:
        """Agents that see the same, by rank."""
        return [entry for entry in self.entries if entry.sees == sees]

    @property
    def suite(self) -> str | None:
        """The suite that has exactly these tasks, if there is one."""
        for suite in SUITES.values():
            if len(suite.tasks) == len(self.tasks) and set(suite.tasks) == set(self.tasks):
                return suite.name
        return None

    def certificate(self, task: int) -> Certificate:
        """The optimum of a task, or what is proven of it."""
        return problem_of(self.tasks[task].env_id).certificate()

    @cached_property
    def bounded(self) -> frozenset[Task]:
        """Tasks of which no optimum is proven: their scores measure against a lower bound."""
        return frozenset(task for i, task in enumerate(self.tasks) if not self.certificate(i).exact)

    @property
    def distance(self) -> str:
        """What it is by which its runs miss: ``regret``, ``gap``, or ``regret or gap``."""
        if not self.bounded:
            return "regret"
        return "gap" if len(self.bounded) == len(self.tasks) else "regret or gap"

    @property
    def yardstick(self) -> str:
        """What its runs are measured against: ``optimum``, ``lower bound``, or either."""
        words = {"regret": "optimum", "gap": "lower bound"}
        return words.get(self.distance, "optimum or lower bound")

    @property
    def groups(self) -> list[str]:
        """What its agents see."""
        return list(dict.fromkeys(entry.sees for entry in self.entries))

    def improvement(self, ours: Entry, theirs: Entry) -> Estimate | None:
        """How likely a run of ours scores higher than one of theirs; None without common tasks."""
        if not len(np.intersect1d(ours.tasks, theirs.tasks)):
            return None
        return probability_of_improvement(
            ours.scores, ours.tasks, theirs.scores, theirs.tasks, _rng()
        )


def _task(curve: Curve) -> Task:
    return Task(curve.run.job.env_id, curve.run.job.budget)


def _sorted_tasks(curves: Iterable[Curve]) -> list[Task]:
    order: dict[Task, int] = {}
    for suite in LISTED:
        for task in SUITES[suite].tasks:
            order.setdefault(task, len(order))
    found = {_task(curve) for curve in curves}
    return sorted(found, key=lambda t: (order.get(t, len(order)), t.env_id, t.samples))


def _draws(curves: Sequence[Curve]) -> Draws | None:
    """Compared on the tasks and seeds that all draws have."""
    by_draw: dict[int, dict[tuple[Task, int], Curve]] = {}
    for curve in curves:
        job = curve.run.job
        by_draw.setdefault(job.draw, {})[_task(curve), job.seed] = curve
    if len(by_draw) < 2 or 0 not in by_draw:
        return None
    common = set.intersection(*(set(found) for found in by_draw.values()))
    if not common:
        return None
    scores = {
        draw: float(interquartile_mean(np.array([found[key].score for key in common])))
        for draw, found in by_draw.items()
    }
    best = max(scores, key=lambda draw: scores[draw])
    some = next(iter(by_draw[best].values()))
    values = np.array(list(scores.values()))
    return Draws(
        count=len(values),
        default=scores[0],
        best=float(values.max()),
        median=float(np.median(values)),
        worst=float(values.min()),
        best_settings=dict(some.run.job.settings),
    )


def load(paths: Iterable[Path]) -> Board:
    """The board of runs and submissions, all costed again.

    Args:
        paths: Folders of runs, folders of submissions, or submissions.

    Raises:
        RunError: If one holds neither, or something is not what it claims.
    """
    curves: list[Curve] = []
    for path in paths:
        if not path.exists():
            raise RunError(f"{path}: no such file or folder")
        files = submission_files(path)
        if not files:
            found = [recost(run) for run in read_runs(path)]
            if not found:
                raise RunError(f"{path}: neither runs nor submissions there")
            curves += found
        for file in files:
            verdict = validate(file)
            if not verdict.accepted:
                raise RunError(f"{file} is refused: {verdict.reasons[0]}")
            curves += verdict.curves
    return Board.of(curves)
