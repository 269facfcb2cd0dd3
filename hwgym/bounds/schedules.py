"""How soon many jobs can be done by several cores: lower bounds on the makespan.

A schedule gives every job to one core. What a core runs, what all jobs move through a shared
bandwidth, and what a chain of jobs takes that follow one another must each fit into the makespan;
so must any average of these. With weights that add up to 1, no job adds less to the average than
on the core where it adds least: that is a bound whatever the weights (:func:`weighted_bound`). The
best weights are the prices of a linear programme in which jobs may be split (Lenstra, Shmoys and
Tardos, Math. Programming 46, 1990). HiGHS finds them (:func:`makespan_bound`), an ascent in numpy
comes near them (:func:`ascended_bound`); how well they do decides how good the bound is, never
whether it is one. Rounding alone can make a bound too great, by 1e-12 of itself at most.

A job that by itself wants more than the bandwidth stalls all cores, not its own alone: what it
takes longer for that, cycles * (share - 1), is added to what every core and every chain takes.
Proof: in a time that passes as fast as jobs progress, the clock shows the integral of max(1, D),
where D is what those that run want together in shares of the bandwidth, and that is the integral of
1, which no core or chain takes more than, and that of max(0, D - 1). Of those that run together,
the ones that want more than 1 exceed it together by no less than each by itself, all added up.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Bools, Floats, Ints
from hwgym._extras import naming

__all__ = [
    "MakespanBound",
    "SimpleBounds",
    "WeightedBound",
    "ascended_bound",
    "ascended_bounds",
    "makespan_bound",
    "simple_bounds",
    "weighted_bound",
]

POWERS = (4, 8, 16, 32, 64, 128, 256, 512)
"""How sharply jobs choose the core where they add least, in the course of the ascent."""
AT_EACH = 40
CHAINS = 0.1
"""Of the weight of all cores, that of all chains to begin with: few matter."""
NEAR = 1e-4
"""How near to the linear programme's bound an ascent ends."""
CHUNK = 2**17  # numbers an array: so few that caches hold them


@dataclass(frozen=True)
class SimpleBounds:
    """Bounds in closed form, in cycles; each is one.

    In the first, the second and the last, every job counts with what it stalls all cores, too.

    Attributes:
        longest: Of all jobs, the one whose fastest core takes longest.
        work: Every job on its fastest core, spread evenly over all cores.
        transfer: What must be moved at least, at the whole bandwidth.
        chain: The longest chain, every job on its fastest core; that of one job without chains.
    """

    longest: float
    work: float
    transfer: float
    chain: float

    @property
    def value(self) -> float:
        """The greatest."""
        return max(self.longest, self.work, self.transfer, self.chain)


@dataclass(frozen=True)
class WeightedBound:
    """A bound, and weights that prove it.

    Attributes:
        value: Cycles that no schedule is under; the greater of that of the weights and those in
            closed form.
        cores: (cores,), weight of what each core runs. All weights add up to 1; 0 is what may
            grow a little and change nothing.
        transfer: Weight of what is moved.
        chains: (chains,), weight of each chain; of each job where there are no chains.
    """

    value: float
    cores: Floats
    transfer: float
    chains: Floats


@dataclass(frozen=True)
class MakespanBound(WeightedBound):
    """The bound of the linear programme.

    Attributes:
        value, cores, transfer, chains: As of :class:`WeightedBound`.
        shares: (jobs, cores), how the programme splits the jobs.
    """

    shares: Floats


def simple_bounds(
    latency: ArrayLike,
    demand: ArrayLike | None = None,
    bandwidth: float = np.inf,
    lengths: ArrayLike | None = None,
) -> SimpleBounds:
    """Bounds in closed form. Arguments and errors as of :func:`makespan_bound`, without scipy."""
    return SimpleBounds(*map(float, _simple(_checked(latency, demand, bandwidth, lengths))))


def weighted_bound(
    latency: ArrayLike,
    demand: ArrayLike | None = None,
    bandwidth: float = np.inf,
    lengths: ArrayLike | None = None,
    *,
    cores: ArrayLike = 0.0,
    transfer: float = 0.0,
    chains: ArrayLike = 0.0,
) -> float:
    """The bound of any weights; no linear programme.

    Args:
        latency, demand, bandwidth, lengths: As of :func:`makespan_bound`.
        cores, transfer, chains: As of :class:`WeightedBound`, >= 0; they are divided by their sum.

    Raises:
        ValueError: As :func:`makespan_bound`, or if weights are below 0, do not fit, or are all 0.
    """
    jobs = _checked(latency, demand, bandwidth, lengths)
    width, count = jobs.latency.shape[1], len(jobs.lengths)
    try:
        on_cores = np.broadcast_to(np.asarray(cores, np.float64), (width,))
        on_chains = np.broadcast_to(np.asarray(chains, np.float64), (count,))
    except ValueError as error:
        raise ValueError(f"weights must fit {width} cores, {count} chains") from error
    total = float(on_cores.sum() + on_chains.sum() + transfer)
    if not (min(on_cores.min(), on_chains.min(), transfer) >= 0 and 0 < total < np.inf):
        raise ValueError("weights must be 0 or more, finite, and not all 0")
    return _weighted(jobs, on_cores / total, transfer / total, on_chains / total)


def makespan_bound(
    latency: ArrayLike,
    demand: ArrayLike | None = None,
    bandwidth: float = np.inf,
    lengths: ArrayLike | None = None,
) -> MakespanBound:
    """The bound of the linear programme; never less than those in closed form.

    The least T where every job's shares x add up to 1, and at most T are: of each core, the sum of
    x * latency; of each chain, the sum of x * latency over its jobs, both with the sum over all
    jobs of x * max(0, demand / bandwidth - latency), by which they stall all cores; and of what is
    moved, the sum of x * demand / bandwidth.

    Args:
        latency: (jobs, cores), cycles alone, > 0; infinite where a job cannot run on a core.
        demand: (jobs, cores), what a job moves, in any unit; by default nothing.
        bandwidth: What all cores together move in a cycle, in that unit.
        lengths: (chains,), jobs of each chain: the first so many follow one another, then those of
            the next. By default each job is a chain of its own.

    Raises:
        ValueError: If shapes do not fit, a number is not as above, or a job can run nowhere.
        RuntimeError: If HiGHS fails.
        ImportError: If scipy is not installed (``pip install 'hwgym[milp]'``).
    """
    with naming():
        from scipy.optimize import linprog
        from scipy.sparse import csr_array

    given = _checked(latency, demand, bandwidth, lengths)
    closed = float(max(_simple(given)))
    (jobs, cores), chains = given.latency.shape, len(given.lengths)

    # A column a job and core where it can run, one for T and one for all stalls, in units of the
    # closed form: HiGHS's tolerances are absolute.
    job, core = np.nonzero(given.can)
    count = len(job)
    column, whole, stalls = np.arange(count), count, count + 1
    owner = np.repeat(np.arange(chains), given.lengths)
    in_time = np.delete(np.arange(cores + 1 + chains), cores)  # rows: cores, transfer, chains
    takes, moves, stall = (
        each[job, core] / closed for each in (given.latency, given.moves, given.stall)
    )
    last = cores + 1 + chains
    entries = [
        (core, column, takes),
        (np.full(count, cores), column, moves),
        (cores + 1 + owner[job], column, takes),
        (np.arange(last), np.full(last, whole), np.full(last, -1.0)),
        (in_time, np.full(len(in_time), stalls), np.ones(len(in_time))),
        (np.full(count, last), column, stall),
        (np.array([last]), np.array([stalls]), np.array([-1.0])),
    ]
    row, columns, used = map(np.concatenate, zip(*entries, strict=True))
    result = linprog(
        np.concatenate([np.zeros(count), [1.0, 0.0]]),
        A_ub=csr_array((used, (row, columns)), shape=(last + 1, count + 2)),
        b_ub=np.zeros(last + 1),
        A_eq=csr_array((np.ones(count), (job, column)), shape=(jobs, count + 2)),
        b_eq=np.ones(jobs),
        method="highs",
    )
    if result.status:
        raise RuntimeError(f"HiGHS failed: {result.message}")
    shares = np.zeros(given.latency.shape)
    shares[job, core] = result.x[:count]
    prices = np.maximum(-result.ineqlin.marginals[:last], 0.0)
    prices /= prices.sum()
    on_cores, transfer, on_chains = prices[:cores], float(prices[cores]), prices[cores + 1 :]
    value = _weighted(given, on_cores, transfer, on_chains)
    return MakespanBound(max(value, closed), on_cores, transfer, on_chains, shares)


def ascended_bound(
    latency: ArrayLike,
    demand: ArrayLike | None = None,
    bandwidth: float = np.inf,
    lengths: ArrayLike | None = None,
) -> WeightedBound:
    """A bound near that of the linear programme, without one; the same on every machine.

    Weights that are multiplied, again and again, by more where more has to fit in. Arguments and
    errors as of :func:`makespan_bound`, without scipy. Never less than the bounds in closed form;
    on the problems of this suite, at most 1 % less than the linear programme's.
    """
    jobs = _checked(latency, demand, bandwidth, lengths)
    groups, closed = _grouped(jobs), float(max(_simple(jobs)))
    takes, moves, stall, can, counts = jobs
    one = _Jobs(takes[None], moves[None], stall[None], can[None], counts)
    _, weights, _ = _ascend(groups, one, np.zeros(1, np.int64), np.array([closed]), np.inf)
    on_cores, transfer, on_chains = groups.spread(weights[0])
    value = _weighted(jobs, on_cores, transfer, on_chains)
    return WeightedBound(max(value, closed), on_cores, transfer, on_chains)


def ascended_bounds(
    latency: ArrayLike,
    demand: ArrayLike | None = None,
    bandwidth: float = np.inf,
    lengths: ArrayLike | None = None,
) -> Floats:
    """Bounds (N,) of N cases of which the best may be chosen, such as partitions into cores.

    Every one is a bound; the least is about what :func:`ascended_bound` makes it, others are left
    where they are once they are above the least. Arguments and errors as there, but latency and
    demand (N, jobs, cores).
    """
    jobs = _checked(latency, demand, bandwidth, lengths, cases=True)
    groups = _grouped(jobs)
    value: Floats = np.maximum.reduce(_simple(jobs))
    order = np.argsort(value, kind="stable")
    size = max(1, CHUNK // (len(groups.job) * len(groups.core)))
    enough = np.inf
    for first in range(0, len(order), size):
        part = order[first : first + size]
        part = part[value[part] < enough]
        found, _, enough = _ascend(groups, jobs, part, value[part], enough)
        value[part] = np.maximum(value[part], found)
    return value


class _Jobs(NamedTuple):
    """What is asked, checked; arrays (..., jobs, cores), 0 where a job cannot run.

    Attributes:
        latency: Cycles alone.
        moves: Cycles in which the whole bandwidth moves the job's demand.
        stall: Cycles that these are more.
        can: Where a job can run.
        lengths: (chains,).
    """

    latency: Floats
    moves: Floats
    stall: Floats
    can: Bools
    lengths: Ints


def _checked(
    latency: ArrayLike,
    demand: ArrayLike | None,
    bandwidth: float,
    lengths: ArrayLike | None,
    cases: bool = False,
) -> _Jobs:
    latency = np.asarray(latency, np.float64)
    if latency.ndim != 2 + cases or not latency.size:
        shape = "(N, jobs, cores)" if cases else "(jobs, cores)"
        raise ValueError(f"latency must have shape {shape}, got {latency.shape}")
    if not (latency > 0).all():
        raise ValueError(f"latency must be above 0, got {latency[~(latency > 0)][0]}")
    can = np.isfinite(latency)
    for nowhere in np.argwhere(~can.any(axis=-1)):
        case = f" of case {nowhere[0]}" if cases else ""
        raise ValueError(f"job {nowhere[-1]}{case} can run on no core")
    demand = np.zeros(latency.shape) if demand is None else np.asarray(demand, np.float64)
    if demand.shape != latency.shape:
        raise ValueError(f"demand must have shape {latency.shape}, got {demand.shape}")
    wrong = demand[can & ~((demand >= 0) & np.isfinite(demand))]
    if wrong.size:
        raise ValueError(f"demand must be finite and 0 or more, got {wrong[0]}")
    if not bandwidth > 0:
        raise ValueError(f"bandwidth must be above 0, got {bandwidth}")
    jobs = latency.shape[-2]
    counts = np.ones(jobs, np.int64) if lengths is None else np.asarray(lengths)
    if counts.dtype.kind not in "iu" or counts.ndim != 1 or counts.min(initial=0) < 0:
        raise ValueError(f"lengths must be whole numbers from 0 on, got {counts.tolist()}")
    if counts.sum() != jobs:
        raise ValueError(f"lengths must add up to {jobs} jobs, got {counts.tolist()}")
    takes, moves = np.where(can, latency, 0.0), np.where(can, demand, 0.0) / bandwidth
    return _Jobs(takes, moves, np.maximum(moves - takes, 0.0), can, counts.astype(np.int64))


def _simple(jobs: _Jobs) -> tuple[Floats, Floats, Floats, Floats]:
    """(...,) each; as :class:`SimpleBounds` has them."""

    def least(adds: Floats) -> Floats:
        found: Floats = np.where(jobs.can, adds, np.inf).min(axis=-1)
        return found

    fastest, stalled = least(jobs.latency + jobs.stall), least(jobs.stall)
    others = stalled.sum(axis=-1, keepdims=True)
    starts = np.concatenate([[0], np.cumsum(jobs.lengths)])[:-1][jobs.lengths > 0]
    chain = np.add.reduceat(fastest, starts, axis=-1)
    chain += others - np.add.reduceat(stalled, starts, axis=-1)
    return (
        (fastest + (others - stalled)).max(axis=-1),
        least(jobs.latency / jobs.latency.shape[-1] + jobs.stall).sum(axis=-1),
        least(jobs.moves).sum(axis=-1),
        chain.max(axis=-1),
    )


def _weighted(jobs: _Jobs, cores: Floats, transfer: float, chains: Floats) -> float:
    """Weights add up to 1."""
    adds = jobs.latency * (cores + np.repeat(chains, jobs.lengths)[:, None])
    adds += jobs.stall * (cores.sum() + chains.sum()) + jobs.moves * transfer
    return float(np.where(jobs.can, adds, np.inf).min(axis=1).sum())


class _Groups(NamedTuple):
    """Cores, jobs and chains that are alike, which have equal weights: no bound is worse for that.

    Attributes:
        core: (groups of cores,), the first of each.
        core_group: (cores,).
        cores: (groups of cores,), how many.
        job: (groups of jobs,), the first of each.
        jobs: (groups of jobs,), how many.
        chain_group: (chains,).
        chains: (groups of chains,), how many.
        owner: (groups of jobs,), the group of chains that they are in.
    """

    core: Ints
    core_group: Ints
    cores: Ints
    job: Ints
    jobs: Ints
    chain_group: Ints
    chains: Ints
    owner: Ints

    def spread(self, weights: Floats) -> tuple[Floats, float, Floats]:
        """Of each core, of what is moved, of each chain."""
        on_cores, transfer, on_chains = np.split(weights, [len(self.core), len(self.core) + 1])
        return (
            (on_cores / self.cores)[self.core_group],
            float(transfer[0]),
            (on_chains / self.chains)[self.chain_group],
        )


def _grouped(jobs: _Jobs) -> _Groups:
    both = np.stack([jobs.latency, jobs.moves])
    core, core_group, cores = _alike([each.tobytes() for each in np.moveaxis(both, -1, 0)])
    _, kind, _ = _alike([each.tobytes() for each in np.moveaxis(both, -2, 0)])
    parts = np.split(kind, np.cumsum(jobs.lengths)[:-1])
    _, chain_group, chains = _alike([np.sort(part).tobytes() for part in parts])
    owner = np.repeat(chain_group, jobs.lengths)
    job, _, count = _alike(list(zip(owner.tolist(), kind.tolist(), strict=True)))
    return _Groups(core, core_group, cores, job, count, chain_group, chains, owner[job])


def _alike(keys: Sequence[Hashable]) -> tuple[Ints, Ints, Ints]:
    """The first of each group, the group of each, and how many are in a group."""
    place: dict[Hashable, int] = {}
    group = np.array([place.setdefault(key, len(place)) for key in keys])
    _, first, count = np.unique(group, return_index=True, return_counts=True)
    return first, group, count


def _ascend(
    groups: _Groups, jobs: _Jobs, cases: Ints, closed: Floats, enough: float
) -> tuple[Floats, Floats, float]:
    """Bounds (N,) and weights (N, groups of cores + 1 + groups of chains) of some of the cases.

    All jobs are split by how little they add on each core, more sharply as the ascent goes on; then
    weights are multiplied by more where this split takes more. What takes most there is no less
    than what the linear programme comes to. The least of that, over cases and from before
    (``enough``), comes back, too, and cases whose bound, or that in closed form, is as great are
    left alone.
    """
    kinds, many = len(groups.core), groups.jobs.astype(np.float64)
    size = np.concatenate([groups.cores, [1], groups.chains])
    members = np.zeros((len(groups.job), len(groups.chains)))
    members[np.arange(len(groups.job)), groups.owner] = 1.0
    moving = bool(jobs.moves.any())
    start = size * np.concatenate(
        [
            np.full(kinds, 1 / groups.cores.sum()),
            [float(moving)],
            np.full(len(groups.chains), CHAINS / groups.chains.sum()),
        ]
    )
    kept = np.tile(start / start.sum(), (len(cases), 1))
    best = np.zeros(len(cases))
    for power in POWERS:
        active = np.flatnonzero(np.maximum(best, closed) < enough * (1 - NEAR))
        if not len(active):
            break
        at = np.ix_(cases[active], groups.job, groups.core)
        latency = jobs.latency[at]
        moves, stall = (jobs.moves[at], jobs.stall[at]) if moving else (np.zeros((1, 1, 1)),) * 2
        nowhere = ~jobs.can[at]
        weights, found, good = kept[active], best[active], kept[active]
        for _ in range(AT_EACH):
            on_core, transfer, on_chain = np.split(weights / size, [kinds, kinds + 1], axis=1)
            adds = latency * (on_core[:, None] + on_chain[:, groups.owner, None])
            if moving:
                adds += stall * (1 - transfer)[:, None] + moves * transfer[:, None]
            adds[nowhere] = np.inf
            least = adds.min(axis=2)
            value = least @ many
            better = value > found
            found[better], good[better] = value[better], weights[better]

            share = least[..., None] / adds
            for _ in range(power.bit_length() - 1):
                share *= share
            share *= many[:, None] / share.sum(axis=2, keepdims=True)
            takes = share * latency
            stalled = (share * stall).sum(axis=(1, 2))[:, None]
            filled = np.concatenate(
                [
                    takes.sum(axis=1) / groups.cores + stalled,
                    (share * moves).sum(axis=(1, 2))[:, None],
                    takes.sum(axis=2) @ members / groups.chains + stalled,
                ],
                axis=1,
            )
            enough = min(enough, float(filled.max(axis=1).min()))
            mean = (filled * weights).sum(axis=1, keepdims=True)
            weights = weights * np.exp(np.minimum(4 / (power + 1) * (filled / mean - 1), 2.0))
            weights /= weights.sum(axis=1, keepdims=True)
        best[active], kept[active] = found, good
    return best, kept, enough
