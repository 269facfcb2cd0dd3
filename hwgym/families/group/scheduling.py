"""Good schedules of a group of jobs; numpy alone, the same on every machine.

Some are built in two ways, then the best are changed a little, over and over (threshold accepting,
Dueck and Scheuer, J. Computational Physics 90, 1990). Only arithmetic that rounds alike everywhere
is used, so that what is certified does not depend on where.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hwgym._arrays import Bools, Floats, Ints
from hwgym.bounds.schedules import WeightedBound
from hwgym.costs.schedules import fluid
from hwgym.families.group.orders import turns_of
from hwgym.families.scheduled import JobCosts

__all__ = ["Schedules", "good_schedule", "placed"]

PRICES = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Of moving a job's data, in units of the time that takes at the whole bandwidth."""
BUILT = 256
"""Schedules that are built step by step."""
KEPT, WALKERS, ROUNDS, EACH, CULL = 8, 32, 600, 20, 25
"""Of all that are built, the best; searches that go on from them; changes of each, at most and a
job; and after how many the best quarter of the searches takes the place of the worst."""
WARM, COLD = 3e-3, 1e-4
"""By how much of the makespan a change may make it worse, at first and at last."""
EVEN = 1e-3
"""What it is worth that other cores end soon, too, against the makespan."""


class Schedules(NamedTuple):
    """Schedules: arrays (N, jobs).

    Attributes:
        core: Where a job runs.
        priority: Its class, lower first; of equal ones the job that comes first.
    """

    core: Ints
    priority: Ints


class _Group(NamedTuple):
    costs: JobCosts
    bandwidth: float
    classes: int
    windowed: bool

    def busy(self, given: Schedules) -> Floats:
        """(N, cores): until when each core runs jobs."""
        turn = turns_of(given.priority) if self.windowed else given.priority
        return fluid(self.costs.latency, self.costs.traffic, self.bandwidth, given.core, turn).busy


def good_schedule(
    costs: JobCosts, bandwidth: float, classes: int, windowed: bool, bound: WeightedBound
) -> Schedules:
    """A schedule, arrays (jobs,).

    Args:
        costs: Of jobs on cores.
        bandwidth: That they share; may be infinite.
        classes: Of priority.
        windowed: Priorities count only among the jobs of a window.
        bound: On the makespan, whose weights say what a job is worth on each core.
    """
    group = _Group(costs, bandwidth, classes, windowed)
    rng = np.random.default_rng(0)
    some = [_listed(group), _built(group, bound, rng)]
    return _improved(group, Schedules(*map(np.concatenate, zip(*some, strict=True))), rng)


def placed(charged: Floats, length: Floats) -> Ints:
    """(jobs,) cores: the longest job first, each to the core that ends it first.

    Args:
        charged: (jobs, cores), what a job is there; infinite where it cannot run.
        length: (jobs,).
    """
    core, load = np.zeros(len(charged), np.int64), np.zeros(charged.shape[1])
    for job in np.argsort(-length, kind="stable"):
        core[job] = np.argmin(load + charged[job])
        load[core[job]] += charged[job, core[job]]
    return core


# --- building -------------------------------------------------------------------------------------


def _listed(group: _Group) -> Schedules:
    """The longest job first, each to the core that ends it first, under several prices of traffic;
    each in three orders."""
    costs = group.costs
    moves = costs.traffic / group.bandwidth
    jobs = len(costs.latency)
    rate = costs.traffic / costs.latency
    found = []
    for price in PRICES:
        charged = np.maximum(costs.latency, moves) + price * moves
        charged = np.where(costs.possible, charged, np.inf)
        core = placed(charged, charged.min(axis=1))
        # What wants most of the bandwidth first; on every other core last, so that much meets
        # little; and the longest first.
        on = np.arange(jobs), core
        wants = -rate[on]
        turned = np.where(core % 2 == 0, wants, -wants)
        keys = np.stack([wants, turned, -costs.latency[on]])
        found.append((np.tile(core, (3, 1)), keys))
    core, keys = map(np.concatenate, zip(*found, strict=True))
    return Schedules(core, _classes(group, core, keys))


def _built(group: _Group, bound: WeightedBound, rng: np.random.Generator) -> Schedules:
    """Again and again the core that is free first gets the job that suits it best: that costs
    little there, by the weights of the bound; fits into the bandwidth that others leave; and is
    long. How much each counts, and some noise, differ from schedule to schedule."""
    costs, bandwidth, rows = group.costs, group.bandwidth, np.arange(BUILT)
    jobs, cores = costs.latency.shape
    moves = costs.traffic / bandwidth
    stall = np.maximum(moves - costs.latency, 0.0)
    priced = costs.latency * bound.cores + moves * bound.transfer + stall * (1 - bound.transfer)
    priced = np.where(costs.possible, priced, np.inf)
    worse = (priced - priced.min(axis=1, keepdims=True)) * jobs / bound.value
    rate = costs.traffic / costs.latency / bandwidth
    size = np.sqrt(costs.latency * jobs / (bound.value * cores))

    choices = ((0.3, 1, 3), (0, 0.3, 1, 3), (0, 0.1, 0.3, 1), (0, 0.1, 0.3), (0.8, 1, 1.2))
    price, fit, long, noise, full = (rng.choice(each, (BUILT, 1)) for each in choices)
    enough = rng.choice((0.3, 1, 3), BUILT)
    random = noise * rng.random((BUILT, jobs))

    load, wants = np.zeros((BUILT, cores)), np.zeros((BUILT, cores))
    closed, waits = np.zeros((BUILT, cores), bool), np.ones((BUILT, jobs), bool)
    core, start = np.zeros((BUILT, jobs), np.int64), np.zeros((BUILT, jobs))
    while (open_rows := waits.any(axis=1)).any():
        stuck = closed.all(axis=1)
        closed[stuck], enough[stuck] = False, np.inf
        on = np.where(closed, np.inf, load).argmin(axis=1)
        wants[rows, on] = 0.0
        others = wants.sum(axis=1, keepdims=True)
        score = price * worse.T[on] + fit * np.abs(others + rate.T[on] - full)
        score += random - long * size.T[on]
        score[~waits] = np.inf
        job = score.argmin(axis=1)
        # A core for which no job is left that suits it gets none, until no core suits.
        poor = np.isinf(score[rows, job]) | (worse[job, on] > enough)
        closed[rows[poor], on[poor]] = True
        row = rows[open_rows & ~poor]
        to, which = on[row], job[row]
        core[row, which], start[row, which] = to, load[row, to]
        load[row, to] += costs.latency[which, to]
        wants[row, to] = rate[which, to]
        waits[row, which] = False
    return Schedules(core, _classes(group, core, start))


def _classes(group: _Group, core: Ints, keys: Floats) -> Ints:
    """Classes (N, jobs) under which each core runs its jobs in the order of their keys, as far as
    there are enough: jobs that come in this order anyway share one."""
    if group.windowed:
        ranks = np.argsort(np.argsort(keys, axis=1, kind="stable"), axis=1)
        return ranks.astype(np.int64)
    order = np.argsort(keys, axis=1, kind="stable")
    by_core = np.argsort(np.take_along_axis(core, order, 1), axis=1, kind="stable")
    order = np.take_along_axis(order, by_core, 1)
    on = np.take_along_axis(core, order, 1)
    first = np.ones(core.shape, bool)
    first[:, 1:] = on[:, 1:] != on[:, :-1]
    back = np.zeros(core.shape, bool)
    back[:, 1:] = order[:, 1:] < order[:, :-1]
    count: Ints = np.cumsum(back & ~first, axis=1)
    count = count - np.maximum.accumulate(np.where(first, count, 0), axis=1)
    classes = np.empty_like(core)
    np.put_along_axis(classes, order, np.minimum(count, group.classes - 1), 1)
    return classes


# --- improving ------------------------------------------------------------------------------------


def _improved(group: _Group, some: Schedules, rng: np.random.Generator) -> Schedules:
    """Searches from the best: another core for a job, another class, either exchanged with those of
    another job; often of a job on the core that ends last."""
    busy = group.busy(some)
    makespan = busy.max(axis=1)
    chosen = np.argsort(makespan, kind="stable")[:KEPT][np.arange(WALKERS) % min(KEPT, len(busy))]
    core, priority, busy = some.core[chosen], some.priority[chosen], busy[chosen]
    worth, makespan = _worth(busy), makespan[chosen]
    best, least = Schedules(core[0].copy(), priority[0].copy()), makespan[0]
    rows, (jobs, cores) = np.arange(WALKERS), group.costs.latency.shape
    moves = (0.3, 0.5, 0.75, 1.0) if np.isfinite(group.bandwidth) else (0.5, 1.0, 1.0, 1.0)
    quarter = WALKERS // 4
    rounds = min(ROUNDS, EACH * jobs)
    for round_ in range(rounds):
        allowed = least * (WARM + (COLD - WARM) * round_ / rounds) * rng.random(WALKERS)
        move = np.searchsorted(moves, rng.random(WALKERS), side="right")
        one, two = rng.integers(jobs, size=(2, WALKERS))
        last = core == busy.argmax(axis=1)[:, None]
        critical = np.where(last, rng.random(core.shape), -1.0).argmax(axis=1)
        one = np.where((move < 2) & (rng.random(WALKERS) < 0.5), critical, one)
        to, turn = rng.integers(cores, size=WALKERS), rng.integers(group.classes, size=WALKERS)
        turns = (move == 2) | ((move == 0) & (rng.random(WALKERS) < 0.5))

        moved, turned = core.copy(), priority.copy()
        here = move == 0
        moved[rows[here], one[here]] = to[here]
        turned[rows[turns], one[turns]] = turn[turns]
        for which, old, new in ((move == 1, core, moved), (move % 2 == 1, priority, turned)):
            row, a, b = rows[which], one[which], two[which]
            new[row, a], new[row, b] = old[row, b], old[row, a]
        moved = np.where(_can(group.costs.possible, moved, one, two)[:, None], moved, core)

        found = group.busy(Schedules(moved, turned))
        value = _worth(found)
        taken = value - worth <= allowed
        core[taken], priority[taken] = moved[taken], turned[taken]
        busy[taken], worth[taken] = found[taken], value[taken]
        makespan = busy.max(axis=1)
        leader = int(makespan.argmin())
        if makespan[leader] < least:
            best = Schedules(core[leader].copy(), priority[leader].copy())
            least = makespan[leader]
        if round_ % CULL == CULL - 1:
            order = np.argsort(worth, kind="stable")
            for each in (core, priority, busy, worth):
                each[order[-quarter:]] = each[order[:quarter]]
    return best


def _worth(busy: Floats) -> Floats:
    """(N,): the makespan, and a little more the later other cores end."""
    makespan = busy.max(axis=1)
    share = np.square(np.square(busy / makespan[:, None]))
    worth: Floats = makespan * (1.0 + EVEN * share.mean(axis=1))
    return worth


def _can(possible: Bools, core: Ints, *jobs: Ints) -> Bools:
    """(N,): those jobs, one a schedule each, can run where they are."""
    rows = np.arange(len(core))
    can: Bools = np.ones(len(core), bool)
    for job in jobs:
        can &= possible[job, core[rows, job]]
    return can
