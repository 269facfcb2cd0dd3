"""The board: everything that the report shows, computed from re-costed runs.

Only runs with an agent's default settings (draw 0) rank; further draws say how much the rank owes
to them. Agents rank beside those that see the same, by their score, and by their anytime score
where that is equal. Those that fall short of a rule (:mod:`hwgym.leaderboard.rules`) are below the
line: they have figures, and reasons in place of a rank.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from hwgym.leaderboard.reproduction import SELF_REPORTED, Standing
from hwgym.leaderboard.rules import doubts, shortcomings
from hwgym.leaderboard.runs import Curve, RunError, problem_of, read_runs, recost
from hwgym.leaderboard.submission import Verdict, submission_files, validate
from hwgym.leaderboard.suites import LISTED, SUITES, Suite, Task, find_suite
from hwgym.leaderboard.tracks import Column, Track, deciding, find_track

__all__ = ["REACH", "Band", "Board", "Draws", "Entry", "below_the_line", "load", "smallest_suite"]

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
        place: Among those that see the same, from 1; those below the line come last.
        reasons: Why it is below the line; empty if it ranks.
        standing: Whether its runs were run again and came out the same.
        draws: Under other settings, if it was run with them.
    """

    agent: str
    sees: str
    curves: Sequence[Curve]
    tasks: Ints
    place: int = 0
    reasons: Sequence[str] = ()
    standing: Standing = SELF_REPORTED
    draws: Draws | None = None

    @property
    def rank(self) -> int | None:
        """Its place, if it is not below the line."""
        return None if self.reasons else self.place

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
    def anytime(self) -> Estimate:
        """Interquartile mean over all runs of the anytime score."""
        values = np.array([curve.anytime for curve in self.curves])
        return interval(values, self.tasks, interquartile_mean, _rng())

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
        """Fewest and most seeds on a task."""
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
        at = _moments(curves)
        values = np.stack([curve.regret_at(at) for curve in curves])
        drawn = np.stack(
            [_median(values[rows], 0) for rows in resample(self.tasks[mask], _rng(), CURVE_DRAWS)]
        )
        return Band(at, _median(values, 0), *limits(drawn))

    def score_curve(self) -> Band:
        """Mean score after so many samples, over all runs."""
        at = _moments(self.curves)
        values = np.stack([curve.score_at(at) for curve in self.curves])
        draws = resample(self.tasks, _rng(), CURVE_DRAWS)
        drawn = np.stack([values[rows].mean(axis=0) for rows in draws])
        return Band(at, values.mean(axis=0), *limits(drawn))


def _moments(curves: Sequence[Curve]) -> Ints:
    """Sample counts that curves are drawn at, from 1 to the budget."""
    budget = max(curve.run.job.budget for curve in curves)
    return np.unique(np.logspace(0, np.log10(budget), POINTS).round().astype(np.int64))


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
        tasks: That there are runs of, in the order of their suite.
        entries: Agents; those that see layers before those that see totals, each by place.
        time_limits: That the runs had, in seconds; None for none.
        suite: Name of the suite on whose tasks they rank; None if the tasks are those of none.
        left_out: Files and runs that are not on it, with the reason.
    """

    tasks: Sequence[Task]
    entries: Sequence[Entry]
    time_limits: Sequence[float | None]
    suite: str | None
    left_out: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        curves: Iterable[Curve],
        suite: str | None = None,
        *,
        standings: Mapping[str, Standing] | None = None,
        faults: Mapping[str, Sequence[str]] | None = None,
        left_out: Sequence[str] = (),
    ) -> Board:
        """From runs that were costed again, each there once.

        Args:
            curves: The runs.
            suite: On whose tasks they rank; by default the smallest one that has all of theirs.
            standings: Of agents; by default all are self-reported.
            faults: Further reasons why agents are below the line.
            left_out: What is said to be left out.

        Raises:
            RunError: If there are none with default settings.
            ValueError: If the suite is unknown.
        """
        curves = list(curves)
        whole = find_suite(suite) if suite else smallest_suite(map(_task, curves))
        standings, faults = standings or {}, faults or {}
        by_agent: dict[str, list[Curve]] = {}
        for curve in curves:
            by_agent.setdefault(curve.run.job.agent, []).append(curve)
        tasks = _sorted_tasks(curve for found in by_agent.values() for curve in found)
        index = {task: i for i, task in enumerate(tasks)}
        found_entries = []
        for agent, found in by_agent.items():
            default = [curve for curve in found if curve.run.job.draw == 0]
            if not default:
                continue
            known = [curve.run.sees for curve in found if curve.run.error is None]
            found_entries.append(
                Entry(
                    agent,
                    known[0] if known else "unknown",
                    default,
                    np.array([index[_task(curve)] for curve in default]),
                    reasons=_reasons(default, whole, standings.get(agent), faults.get(agent, ())),
                    standing=standings.get(agent, SELF_REPORTED),
                    draws=_draws(found),
                )
            )
        if not found_entries:
            raise RunError("no runs with default settings: nothing to report")
        entries = []
        for sees in ("layers", "totals", "unknown"):
            group = [entry for entry in found_entries if entry.sees == sees]
            group.sort(key=_order)
            entries += [replace(entry, place=place) for place, entry in enumerate(group, 1)]
        limits_ = {curve.run.job.time_limit for entry in entries for curve in entry.curves}
        return cls(
            tasks,
            entries,
            sorted(limits_, key=lambda x: math.inf if x is None else x),
            None if whole is None else whole.name,
            left_out,
        )

    def seeing(self, sees: str) -> list[Entry]:
        """Agents that see the same, by place."""
        return [entry for entry in self.entries if entry.sees == sees]

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

    @property
    def tracks(self) -> dict[Track, tuple[Column, ...]]:
        """The tracks of its suite, each with the columns that its runs are long enough for."""
        if self.suite is None:
            return {}
        least = min(task.samples for task in self.tasks)
        found = {
            track: track.within(least) for track in map(find_track, find_suite(self.suite).tracks)
        }
        return {track: columns for track, columns in found.items() if columns}

    def on_track(self, columns: Sequence[Column]) -> list[tuple[Entry, list[float]]]:
        """Agents with their figures, the best of the column that decides before the others; those
        below the line come last."""
        rows = [(entry, [column.of(entry.curves) for column in columns]) for entry in self.entries]
        by = deciding(columns)
        sign = -1 if columns[by].more_is_better else 1
        return sorted(rows, key=lambda row: (bool(row[0].reasons), sign * row[1][by], row[0].agent))

    def improvement(self, ours: Entry, theirs: Entry) -> Estimate | None:
        """How likely a run of ours scores higher than one of theirs; None without common tasks."""
        if not len(np.intersect1d(ours.tasks, theirs.tasks)):
            return None
        return probability_of_improvement(
            ours.scores, ours.tasks, theirs.scores, theirs.tasks, _rng()
        )


def below_the_line(verdict: Verdict) -> list[str]:
    """Why an accepted submission is below the line; empty if it ranks, or is refused."""
    packed = verdict.submission
    if packed is None or not verdict.accepted:
        return []
    default = [curve for curve in verdict.curves if curve.run.job.draw == 0]
    if not default:
        return ["it has no runs with default settings"]
    return _reasons(default, find_suite(packed.suite), verdict.standing, ())


def _reasons(
    curves: Sequence[Curve], suite: Suite | None, standing: Standing | None, faults: Sequence[str]
) -> list[str]:
    """Why an agent is below the line."""
    reasons = [*shortcomings(curves, suite), *faults]
    if standing is None or not standing.reproduced:
        reasons += doubts(curves)
    if standing is not None and standing.contradicted:
        reasons.append(standing.note)
    return reasons


def _order(entry: Entry) -> tuple[bool, float, float, str]:
    return bool(entry.reasons), -entry.score.value, -entry.anytime.value, entry.agent


def smallest_suite(tasks: Iterable[Task]) -> Suite | None:
    """The suite of the fewest tasks that has all of these; None if no suite has."""
    wanted = set(tasks)
    fitting = [suite for suite in SUITES.values() if wanted <= set(suite.tasks)]
    return min(fitting, key=lambda suite: len(suite.tasks), default=None)


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


@dataclass
class _Loaded:
    """What was read so far."""

    curves: dict[tuple[str, Task, int, int], Curve] = field(default_factory=dict)
    standings: dict[str, Standing] = field(default_factory=dict)
    suites: set[str] = field(default_factory=set)
    faults: dict[str, list[str]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def leave_out(self, agent: str, file: str, reason: str) -> None:
        self.left_out.append(f"{file}: {reason}")
        if agent:
            self.faults.setdefault(agent, []).append(f"{file} is left out: {reason}")

    def stands(self, agent: str, standing: Standing) -> None:
        """An agent is reproduced if all that there is of it is."""
        before = self.standings.get(agent)
        if before is None or _badness(before) < _badness(standing):
            self.standings[agent] = standing

    def add(self, curve: Curve) -> None:
        job = curve.run.job
        key = (job.agent, _task(curve), job.draw, job.seed)
        if key in self.curves:
            self.left_out.append(f"{job.label}: is there twice, and counted once")
        else:
            self.curves[key] = curve

    def add_runs(self, folder: Path) -> bool:
        """Whether there were any, readable or not."""
        damaged: list[tuple[Path, RunError]] = []
        runs = list(read_runs(folder, lambda file, error: damaged.append((file, error))))
        for file, error in damaged:
            self.leave_out(file.parts[0], file.as_posix(), _without(folder / file, error))
        for run in runs:
            try:
                self.add(recost(run))
            except RunError as error:
                self.leave_out(run.job.agent, run.job.file.as_posix(), str(error))
            self.stands(run.job.agent, SELF_REPORTED)
        return bool(runs or damaged)

    def add_submission(self, file: Path) -> None:
        verdict = validate(file)
        if verdict.submission is None or not verdict.accepted:
            reason = _without(file, RunError(verdict.reasons[0]))
            agent = verdict.submission.agent if verdict.submission else ""
            self.leave_out(agent, file.name, f"is refused: {reason}")
            return
        self.suites.add(verdict.submission.suite)
        self.stands(verdict.submission.agent, verdict.standing)
        for curve in verdict.curves:
            self.add(curve)


def _badness(standing: Standing) -> tuple[bool, int, bool]:
    return standing.contradicted, standing.differ, not standing.reproduced


def _without(path: Path, error: RunError) -> str:
    """What an error says, without the file that it names."""
    return str(error).removeprefix(str(path)).removeprefix(":").removeprefix(",").strip()


def load(paths: Iterable[Path], suite: str | None = None) -> Board:
    """The board of runs and submissions, all costed again.

    Files that cannot be read, and runs and submissions that do not hold what they claim, are left
    out; the board names them, and agents whose runs they are do not rank.

    Args:
        paths: Folders of runs, folders of submissions, or submissions.
        suite: On whose tasks agents rank; runs on others are left out. By default it is the one
            that the submissions name, or else the smallest that has all tasks.

    Raises:
        RunError: If there is neither at one of the paths, or nothing that holds what it claims.
        ValueError: If the suite is unknown.
    """
    found = _Loaded()
    for path in paths:
        if not path.exists():
            raise RunError(f"{path}: no such file or folder")
        files = submission_files(path)
        if not files and not found.add_runs(path):
            raise RunError(f"{path}: neither runs nor submissions there")
        for file in files:
            found.add_submission(file)
    curves = list(found.curves.values())
    if suite is None:
        suite = _suite_of(curves, found.suites)
    else:
        tasks = set(find_suite(suite).tasks)
        inside = [curve for curve in curves if _task(curve) in tasks]
        if len(inside) < len(curves):
            found.left_out.append(
                f"{len(curves) - len(inside)} runs on tasks or with samples that suite {suite!r} "
                "does not have"
            )
        curves = inside
    if not curves:
        raise RunError("nothing to report: " + ("; ".join(found.left_out[:3]) or "no runs"))
    return Board.of(
        curves,
        suite,
        standings=found.standings,
        faults=found.faults,
        left_out=found.left_out,
    )


def _suite_of(curves: Sequence[Curve], named: Iterable[str]) -> str | None:
    """The largest suite that submissions name, if it has all tasks."""
    tasks = set(map(_task, curves))
    fitting = [SUITES[name] for name in named if tasks <= set(SUITES[name].tasks)]
    largest = max(fitting, key=lambda suite: (len(suite.tasks), suite.name), default=None)
    return None if largest is None else largest.name
