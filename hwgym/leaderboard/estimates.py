"""Estimates over runs: point estimates with stratified-bootstrap intervals.

After Agarwal, Schwarzer, Castro, Courville and Bellemare, "Deep Reinforcement Learning at the Edge
of the Statistical Precipice" (NeurIPS 2021, sections 4.1 to 4.3): the interquartile mean over all
runs of all tasks, the optimality gap, performance profiles and the probability of improvement;
intervals by a bootstrap that draws seeds anew within each task, so they tell what other seeds might
have given, not what other tasks would.

Runs of an agent are held as a flat array of values with the task of each. What one run was worth
while it went on is its :func:`anytime_score`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hwgym._arrays import Floats, Ints

__all__ = [
    "Estimate",
    "anytime_score",
    "interquartile_mean",
    "interval",
    "optimality_gap",
    "probability_of_improvement",
    "resample",
]

DRAWS = 2000
LEVEL = 0.95


class Estimate(NamedTuple):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


def anytime_score(found_at: Ints, scores: Floats, budget: int) -> float:
    """The area under a run's score against the logarithm of samples, from 1 to the budget.

    With s(n) the score of the best solution after n samples, 0 before the first feasible one, and a
    budget of B samples::

        anytime = 1 / ln B * integral from 1 to B of s(floor(x)) / x dx
                = 1 / ln B * sum over n = 1 .. B - 1 of s(n) * ln((n + 1) / n)

    so an improvement of the score by d at sample f, counted from 0, adds
    ``d * (1 - ln(f + 1) / ln B)``: all of d with the first sample, half of it with that after which
    the square root of the budget is spent, nothing with the last. Between 0 and the final score; a
    run that ends before its budget keeps its score. With a budget of 1 there is no area, and it is
    the score after that sample.

    Args:
        found_at: (k,) sample numbers of the improvements, counted from 0, increasing.
        scores: (k,) after each, never decreasing, from 0 to 1.
        budget: Samples allowed.

    Raises:
        ValueError: If the budget is not positive, or an improvement lies beyond it.
    """
    if budget < 1 or (len(found_at) and found_at[-1] >= budget):
        raise ValueError(f"improvements up to sample {found_at[-1:]} in a budget of {budget}")
    if not len(scores):
        return 0.0
    share = np.log(found_at + 1) / np.log(budget) if budget > 1 else np.zeros(len(found_at))
    area = np.diff(scores, prepend=0.0) @ (1 - share)
    return float(min(area, scores[-1]))  # rounding makes it no better than the end


def interquartile_mean(values: Floats, axis: int = -1) -> Floats:
    """The mean of the middle half along an axis, as ``scipy.stats.trim_mean(values, 0.25)``."""
    count = values.shape[axis]
    cut = int(0.25 * count)
    middle = np.take(np.sort(values, axis=axis), np.arange(cut, count - cut), axis=axis)
    found: Floats = np.mean(middle, axis=axis)
    return found


def optimality_gap(scores: Floats, axis: int = -1) -> Floats:
    """By how much scores fall short of 1 on average."""
    found: Floats = 1 - np.mean(np.minimum(scores, 1.0), axis=axis)
    return found


def resample(tasks: Ints, rng: np.random.Generator, draws: int = DRAWS) -> Ints:
    """Indices (draws, runs) of runs drawn anew, with replacement, within each task.

    Args:
        tasks: (runs,) the task of each run.
        rng: Source of the draws.
        draws: How many.
    """
    order = np.argsort(tasks, kind="stable")
    _, first, count = np.unique(tasks[order], return_index=True, return_counts=True)
    start, size = np.repeat(first, count), np.repeat(count, count)
    picks = start + (rng.random((draws, len(tasks))) * size).astype(np.int64)
    found: Ints = order[picks]
    return found


def interval(
    values: Floats,
    tasks: Ints,
    statistic: Callable[[Floats], Floats],
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> Estimate:
    """A statistic of runs with its stratified-bootstrap interval (percentiles).

    Args:
        values: (runs,).
        tasks: (runs,) the task of each.
        statistic: Maps (..., runs) to (...).
        rng: Source of the draws.
        draws: Resamples.
    """
    drawn = statistic(values[resample(tasks, rng, draws)])
    low, high = limits(drawn)
    return Estimate(float(statistic(values)), float(low), float(high))


def limits(drawn: Floats, axis: int = 0) -> tuple[Floats, Floats]:
    """The ends of the central 95 % of draws; infinite draws may be among them."""
    # Nearest rank, for between a finite and an infinite draw there is nothing to interpolate.
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=axis, method="nearest")
    return low, high


def probability_of_improvement(
    ours: Floats,
    our_tasks: Ints,
    theirs: Floats,
    their_tasks: Ints,
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> Estimate:
    """How likely a run of ours scores higher than one of theirs on the same task.

    The mean over the tasks that both have of the share of pairs that we win, ties counting half
    (Mann and Whitney's U, as a share).

    Raises:
        ValueError: If they have no task in common.
    """
    common = np.intersect1d(our_tasks, their_tasks)
    if not len(common):
        raise ValueError("the agents have no task in common")
    values, drawn = np.zeros(len(common)), np.zeros((len(common), draws))
    for i, task in enumerate(common):
        x, y = ours[our_tasks == task][:, None], theirs[their_tasks == task][None]
        wins = (x > y) + 0.5 * (x == y)
        values[i] = wins.mean()
        # How often each run is drawn says as much as the draws.
        mine = rng.multinomial(len(wins), np.full(len(wins), 1 / len(wins)), draws)
        other = rng.multinomial(wins.shape[1], np.full(wins.shape[1], 1 / wins.shape[1]), draws)
        drawn[i] = ((mine @ wins) * other).sum(axis=1) / wins.size
    low, high = limits(drawn.mean(axis=0))
    return Estimate(float(values.mean()), float(low), float(high))
