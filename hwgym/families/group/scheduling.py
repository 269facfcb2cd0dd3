"""Good schedules of a group of jobs, and how soon any could end; numpy alone.

A bound needs weights (:func:`~hwgym.bounds.schedules.weighted_bound`). The best are those of a
linear programme; here an ascent by multiplied weights comes near them, so that what is certified
does not depend on whether a solver is installed. A schedule is found by list scheduling under
several prices of traffic, then by changing the best a little, over and over.
"""

from __future__ import annotations

import numpy as np

from hwgym._arrays import Bools, Floats, Ints
from hwgym.bounds.schedules import simple_bounds, weighted_bound
from hwgym.costs.schedules import fluid
from hwgym.families.scheduled import JobCosts

__all__ = ["good_schedule", "lower_bound"]

STEPS = (1.0, 0.5, 0.25, 0.12, 0.06, 0.03, 0.015, 0.008, 0.004, 0.002)
"""How far weights move at once, relative to the bound."""
AT_EACH = 30
PRICES = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Of moving a job's data, in units of the time that takes at the whole bandwidth."""
NEIGHBOURS, ROUNDS = 48, 150


def lower_bound(costs: JobCosts, bandwidth: float) -> float:
    """Cycles that no schedule is under; at most 1 % or so less than the linear programme's."""
    latency = np.where(costs.possible, costs.latency, np.inf)
    traffic = costs.traffic
    moves = np.where(costs.possible, traffic / bandwidth, np.inf)
    takes = np.maximum(latency, moves)

    # Equal cores have equal weights: averaging two of them makes no bound worse.
    _, first, group, alike = np.unique(
        np.vstack([takes, moves]), axis=1, return_index=True, return_inverse=True,
        return_counts=True,
    )  # fmt: skip
    takes, moves, group = takes[:, first], moves[:, first], group.reshape(-1)
    jobs = np.arange(len(takes))
    weights = np.full(len(first) + 1, 1.0 / (len(first) + 1))
    best, kept = -np.inf, weights
    for step in STEPS:
        weights = kept
        for _ in range(AT_EACH):
            adds = takes * (weights[:-1] / alike) + moves * weights[-1]
            on = adds.argmin(axis=1)
            value = float(adds[jobs, on].sum())
            if value > best:
                best, kept = value, weights
            loads = np.bincount(on, weights=takes[jobs, on], minlength=len(first)) / alike
            pull = np.append(loads, moves[jobs, on].sum()) / value - 1.0
            weights = weights * np.exp(step * np.clip(pull, -1.0, 1.0))
            weights = weights / weights.sum()
    by_core = (kept[:-1] / alike)[group]
    bound = weighted_bound(latency, traffic, bandwidth, cores=by_core, transfer=kept[-1])
    return max(bound, simple_bounds(latency, traffic, bandwidth).value)


def good_schedule(costs: JobCosts, bandwidth: float, priorities: int) -> tuple[Ints, Ints]:
    """A schedule (jobs,), (jobs,): of each job its core and its class, lower first."""
    starts = [_listed(costs, bandwidth, price) for price in PRICES]
    core = np.array([each for each in starts for _ in range(3)])
    wanted = costs.traffic / costs.latency
    priority = np.array(
        [row for each in starts for row in _orders(each, wanted, costs.latency, priorities)]
    )
    found = _makespan(costs, bandwidth, core, priority)
    best = int(found.argmin())
    return _improved(costs, bandwidth, core[best], priority[best], priorities)


def _makespan(costs: JobCosts, bandwidth: float, core: Ints, priority: Ints) -> Floats:
    return fluid(costs.latency, costs.traffic, bandwidth, core, priority).makespan


def _listed(costs: JobCosts, bandwidth: float, price: float) -> Ints:
    """The longest job first, each to the core that ends it first, with a price on traffic."""
    charged = np.where(
        costs.possible,
        np.maximum(costs.latency, costs.traffic / bandwidth) + price * costs.traffic / bandwidth,
        np.inf,
    )
    core, load = np.zeros(len(charged), np.int64), np.zeros(charged.shape[1])
    for job in np.argsort(-charged.min(axis=1), kind="stable"):
        core[job] = np.argmin(load + charged[job])
        load[core[job]] += charged[job, core[job]]
    return core


def _orders(core: Ints, wanted: Floats, latency: Floats, classes: int) -> list[Ints]:
    """Classes by what jobs want of the bandwidth: all cores the most first; every other core the
    least first, so that what wants much meets what wants little; and the longest first."""
    jobs = np.arange(len(core))
    rate, takes = wanted[jobs, core], latency[jobs, core]
    most, mixed, longest = (np.zeros(len(core), np.int64) for _ in range(3))
    for number, which in enumerate(np.unique(core)):
        mine = np.flatnonzero(core == which)
        spread = np.arange(len(mine)) * classes // len(mine)
        most[mine[np.argsort(-rate[mine], kind="stable")]] = spread
        turned = rate[mine] if number % 2 else -rate[mine]
        mixed[mine[np.argsort(turned, kind="stable")]] = spread
        longest[mine[np.argsort(-takes[mine], kind="stable")]] = spread
    return [most, mixed, longest]


def _improved(
    costs: JobCosts, bandwidth: float, core: Ints, priority: Ints, classes: int
) -> tuple[Ints, Ints]:
    """The best of some random changes, as long as there are rounds: the core of one job, those of
    two exchanged, the class of one, those of two exchanged."""
    rng = np.random.default_rng(0)
    rows, jobs = np.arange(NEIGHBOURS), len(core)
    least = float(_makespan(costs, bandwidth, core[None], priority[None])[0])
    for _ in range(ROUNDS):
        cores, classes_of = np.tile(core, (NEIGHBOURS, 1)), np.tile(priority, (NEIGHBOURS, 1))
        move = rng.integers(4, size=NEIGHBOURS)
        one, two = rng.integers(jobs, size=(2, NEIGHBOURS))
        to = _possible(costs.possible, one, rng)
        there = move == 0
        cores[rows[there], one[there]] = to[there]
        swap = (move == 1) & costs.possible[one, core[two]] & costs.possible[two, core[one]]
        cores[rows[swap], one[swap]] = core[two[swap]]
        cores[rows[swap], two[swap]] = core[one[swap]]
        other = move == 2
        classes_of[rows[other], one[other]] = rng.integers(classes, size=int(other.sum()))
        swap = (move == 3) | swap
        classes_of[rows[swap], one[swap]] = priority[two[swap]]
        classes_of[rows[swap], two[swap]] = priority[one[swap]]
        found = _makespan(costs, bandwidth, cores, classes_of)
        best = int(found.argmin())
        if found[best] <= least:  # equal ones too: they lead on
            core, priority, least = cores[best], classes_of[best], float(found[best])
    return core, priority


def _possible(possible: Bools, job: Ints, rng: np.random.Generator) -> Ints:
    """For each job a random core that it can run on."""
    passed = np.cumsum(possible[job], axis=1)
    wanted = (rng.random(len(job)) * passed[:, -1]).astype(np.int64)
    core: Ints = (passed > wanted[:, None]).argmax(axis=1)
    return core
