"""Sweeps: every agent on every task with every seed, one file a run."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hwgym.core import agent_names, find_agent
from hwgym.leaderboard.claims import Claims
from hwgym.leaderboard.draws import draw_settings
from hwgym.leaderboard.runs import Job, Run, RunError, find_run, write_run
from hwgym.leaderboard.suites import Task
from hwgym.leaderboard.workers import Workers

__all__ = ["FIRST_SEED", "Sweep", "check_agents", "hard_limit", "plan", "sweep"]

FIRST_SEED = 100
"""Seeds begin here: settings of our agents were chosen with lower ones."""

POLL = 1.0
LOOK = 5.0


def check_agents(names: Iterable[str]) -> None:
    """Import agents, to know before a sweep what cannot run.

    Raises:
        ValueError: If one is unknown.
        ImportError: If one cannot be imported; the message says what is missing.
    """
    for name in names:
        try:
            find_agent(name)
        except ImportError as error:
            raise ImportError(f"{name}: {error}") from error


def plan(
    agents: Sequence[str],
    tasks: Iterable[Task],
    *,
    seeds: int,
    first_seed: int = FIRST_SEED,
    draws: int = 0,
    time_limit: float | None = None,
) -> tuple[Job, ...]:
    """The runs of a sweep, in the order in which they are done.

    One seed of every agent on every task comes before the next seed, so that a sweep that is
    stopped has covered everything evenly. Agents that ignore their seed get one.

    Args:
        agents: Names.
        tasks: What they are run on.
        seeds: Runs of each agent on each task.
        first_seed: The first of them; the others follow.
        draws: Further settings to draw for each agent that declares what may be drawn, each run on
            every task with every seed.
        time_limit: Wall seconds for each run.

    Raises:
        ValueError: If an agent is unknown or a number is out of range.
        ImportError: If an agent cannot be imported.
    """
    for what, value, least in (("seeds", seeds, 1), ("first_seed", first_seed, 0)):
        if value < least:
            raise ValueError(f"{what} must be at least {least}, got {value}")
    if draws < 0:
        raise ValueError(f"draws must not be negative, got {draws}")
    if not agents:
        raise ValueError(f"no agents given (available: {', '.join(agent_names())})")
    check_agents(agents)
    tasks = tuple(tasks)
    jobs = []
    for draw in range(draws + 1):
        for seed in range(first_seed, first_seed + seeds):
            for agent in dict.fromkeys(agents):
                cls = find_agent(agent)
                if seed > first_seed and getattr(cls, "deterministic", False):
                    continue
                settings = draw_settings(agent, draw)
                if settings is None:
                    continue
                jobs += [
                    Job(agent, t.env_id, t.samples, seed, time_limit, draw, settings) for t in tasks
                ]
    return tuple(jobs)


def hard_limit(time_limit: float | None) -> float | None:
    """Seconds after which a run is killed: an agent that is slow between evaluations may overshoot
    its time limit by much, and beyond this it hangs."""
    return None if time_limit is None else 5 * time_limit + 120


@dataclass
class Sweep:
    """How far a sweep is.

    Attributes:
        jobs: All of it.
        done: Runs that there are, failed ones among them, by agent.
        before: How many there were when it began.
        failed: Those that failed.
        damaged: Files that are no runs, with the reason; what they should hold is run again.
        running: Under way here.
        elsewhere: Under way in another sweep.
    """

    jobs: Sequence[Job]
    done: list[Run] = field(default_factory=list)
    before: int = 0
    damaged: dict[Path, str] = field(default_factory=dict)
    running: list[Job] = field(default_factory=list)
    elsewhere: int = 0

    @property
    def failed(self) -> list[Run]:
        """Runs that failed."""
        return [run for run in self.done if run.error is not None]

    def seconds_left(self, workers: int) -> float | None:
        """Estimated from the runs of each agent so far; None before the first."""
        took: dict[str, list[float]] = {}
        for run in self.done:
            took.setdefault(run.job.agent, []).append(run.seconds)
        if not took:
            return None
        mean = {agent: sum(s) / len(s) for agent, s in took.items()}
        other = sum(mean.values()) / len(mean)
        known = {run.job.file for run in self.done}
        left = sum(mean.get(job.agent, other) for job in self.jobs if job.file not in known)
        return left / max(workers, 1)


def sweep(
    jobs: Sequence[Job],
    folder: Path,
    workers: Workers,
    *,
    retry_failed: bool = False,
    listener: Callable[[Sweep, Run | None], object] = lambda sweep, run: None,
) -> Sweep:
    """Do the runs that a folder lacks; those whose files are damaged are done again.

    Args:
        jobs: The runs.
        folder: Where their files are kept.
        workers: Who does them; left open.
        retry_failed: Do those again that failed.
        listener: Called with the state and the run that has just ended, or None.

    Raises:
        RunError: If the folder has a run of other settings or another time limit under the same
            name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = Sweep(jobs)
    todo: deque[Job] = deque()
    for job in jobs:
        run = _existing(folder, job, state)
        if run is None or (retry_failed and run.error is not None):
            todo.append(job)
        else:
            state.done.append(run)
    state.before = len(state.done)
    again = {job.file for job in todo} if retry_failed else set()
    claims = Claims(folder)
    elsewhere: list[Job] = []
    listener(state, None)
    try:
        while todo or elsewhere or state.running:
            while todo and len(state.running) < workers.count:
                job = todo.popleft()
                if not claims.take(job):
                    elsewhere.append(job)
                    continue
                # Another sweep may have done it since the folder was read.
                run = _existing(folder, job, state)
                if run is not None and not (run.error is not None and job.file in again):
                    claims.release(job)
                    state.done.append(run)
                    listener(state, None)
                    continue
                workers.submit(job, hard_limit(job.time_limit))
                state.running.append(job)
            for run in workers.wait(POLL if state.running else LOOK):
                write_run(folder, run)
                claims.release(run.job)
                state.running.remove(run.job)
                state.done.append(run)
                listener(state, run)
            claims.touch()
            state.elsewhere = len(elsewhere)
            listener(state, None)
            if not todo:
                todo.extend(elsewhere)
                elsewhere.clear()
    finally:
        claims.release_all()
    return state


def _existing(folder: Path, job: Job, state: Sweep) -> Run | None:
    """The run of a job, if its file is there and not damaged.

    Raises:
        RunError: If it was run with other settings or another time limit.
    """
    path = folder / job.file
    if not path.exists():
        return None
    try:
        run = find_run(folder, job.file)
    except RunError as error:
        state.damaged[job.file] = str(error)
        return None
    for what, there, here in (
        ("time limit", run.job.time_limit, job.time_limit),
        ("settings", run.job.settings, json.loads(json.dumps(job.settings))),
    ):
        if there != here:
            raise RunError(
                f"{path}: was run with {what} {there!r}, not {here!r}; choose another folder"
            )
    return run
