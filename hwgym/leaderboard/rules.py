"""Rules: what an agent's runs must be to rank, and what makes one doubt them.

An agent that falls short of a rule is shown below the line, with the reason in words. Doubts are
what can be seen without running anything again and what honest runs do not show but by a rare
chance; an agent whose runs have been run again and came out the same
(:mod:`hwgym.leaderboard.reproduction`) is beyond them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from hwgym.core import find_agent
from hwgym.leaderboard.runner import FIRST_SEED
from hwgym.leaderboard.runs import Curve, Run, problem_of
from hwgym.leaderboard.suites import Suite, Task

__all__ = ["SEEDS", "doubts", "ignores_seed", "shortcomings"]

SEEDS = 10
"""Runs that an agent needs on every task, each with its own seed."""
LUCK = 1e-6
"""A chance below which finding the optimum early is doubted."""
NAMED = 3


def ignores_seed(runs: Iterable[Run]) -> bool:
    """Whether an agent says that it ignores its seed: in its runs, or where it is installed."""
    runs = list(runs)
    said = {run.deterministic for run in runs if run.deterministic is not None}
    if said:
        return all(said)
    try:
        return all(
            getattr(find_agent(name), "deterministic", False)
            for name in {run.job.agent for run in runs}
        )
    except (ImportError, ValueError):
        return False


def shortcomings(curves: Sequence[Curve], suite: Suite | None) -> list[str]:
    """Why an agent does not rank; empty if it does.

    Args:
        curves: Its runs with default settings (draw 0).
        suite: Whose tasks it should have been run on; None if the tasks are those of none.
    """
    reasons = []
    by_task = _by_task(curves)
    if suite is None:
        reasons.append("these are not the tasks and samples of a suite")
    else:
        lacking = [task for task in suite.tasks if task not in by_task]
        if lacking:
            count = f"{len(lacking)} of the {len(suite.tasks)} tasks of {suite.name}"
            reasons.append(f"not run on {count}: {_listed([task.label for task in lacking])}")
    seeds = {task: sorted({curve.run.job.seed for curve in on}) for task, on in by_task.items()}
    if not ignores_seed(curve.run for curve in curves):
        counts = [len(found) for found in seeds.values()]
        if min(counts) < SEEDS:
            fewest, most = min(counts), max(counts)
            given = f"{fewest}" if fewest == most else f"{fewest} to {most}"
            plural = "" if most == 1 else "s"
            reasons.append(f"{given} seed{plural} on a task, where {SEEDS} are needed")
        picked = [
            task
            for task, found in seeds.items()
            if found != list(range(FIRST_SEED, FIRST_SEED + len(found)))
        ]
        if picked:
            reasons.append(
                f"its seeds are not {FIRST_SEED}, {FIRST_SEED + 1}, ... without a gap, so the best "
                f"may have been picked: {_listed([task.label for task in picked])}"
            )
    if len({str(sorted(curve.run.job.settings.items())) for curve in curves}) > 1:
        reasons.append("its settings are not the same in all runs")
    elif curves[0].run.job.settings:
        given = ", ".join(f"{name}={value!r}" for name, value in curves[0].run.job.settings.items())
        reasons.append(f"its settings are not its defaults: {given}")
    if len({curve.run.fingerprint for curve in curves if curve.run.error is None}) > 1:
        reasons.append("its checkpoint is not the same in all runs")
    cut = sum(_cut(curve.run) for curve in curves)
    if cut:
        reasons.append(f"a time limit ended {cut} of {len(curves)} runs")
    return reasons


def _cut(run: Run) -> bool:
    return run.timed_out or (run.error is not None and run.error.get("kind") == "hard limit")


def doubts(curves: Sequence[Curve]) -> list[str]:
    """What about an agent's runs is hardly what it looks like.

    Runs that are the same under different seeds of an agent that uses its seed, and differ for one
    that says it does not; and an optimum found by less samples than show every choice of a step
    once, where drawing that many solutions would find it with a chance below one in a million.

    Args:
        curves: Its runs with default settings (draw 0).
    """
    reasons = []
    same = ignores_seed(curve.run for curve in curves)
    twins, early = [], []
    for task, on in _by_task(curves).items():
        known: dict[bytes, int] = {}
        for curve in sorted(on, key=lambda curve: curve.run.job.seed):
            run = curve.run
            # Copies may say that they found the same at other samples.
            what = run.genes.tobytes() + (run.found_at.tobytes() if same else b"")
            if len(run.genes) or same:
                first = known.setdefault(what, run.job.seed)
                if first != run.job.seed:
                    twins.append(f"{first} and {run.job.seed} on {task.label}")
        if same and len(known) > 1:
            reasons.append(f"says that it ignores its seed, but its runs on {task.label} differ")
        fewest = min(curve.samples_to(0.0) for curve in on)
        if on[0].certificate.exact and fewest <= _least(task):
            early.append(f"{task.label} after {fewest:.0f} of them")
    if twins and not same:
        reasons.append(f"the same runs under different seeds: {_listed(twins)}")
    if early:
        reasons.append(
            "finds the optimum after fewer samples than show each choice of a step once, and ranks "
            f"when it was reproduced: {_listed(early)}"
        )
    return reasons


def _least(task: Task) -> int:
    """Samples by which nobody should know the optimum of a task; 0 if that may be luck."""
    space = problem_of(task.env_id).space
    choices = np.log10(np.array(space.shape, float)).sum()  # of a step
    shown = int(min(10.0**choices, 1e9)) if space.joint is not None else max(space.shape)
    chance = np.log10(shown) - space.num_steps * choices
    return shown - 1 if chance < np.log10(LUCK) else 0


def _by_task(curves: Sequence[Curve]) -> Mapping[Task, list[Curve]]:
    found: dict[Task, list[Curve]] = {}
    for curve in curves:
        job = curve.run.job
        found.setdefault(Task(job.env_id, job.budget), []).append(curve)
    return found


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
