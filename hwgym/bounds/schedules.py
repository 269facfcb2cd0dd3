"""How soon many jobs can be done by several cores: lower bounds on the makespan.

A schedule gives every job to one core. What a core runs, what all jobs move through a shared
bandwidth, and what a chain of jobs takes that follow one another must each fit into the makespan;
so must any average of these. With weights that add up to 1, no job adds less to the average than
on the core where it adds least: that is a bound whatever the weights (:func:`weighted_bound`). The
best weights are the prices of a linear programme in which jobs may be split (Lenstra, Shmoys and
Tardos, Math. Programming 46, 1990). HiGHS finds them (:func:`makespan_bound`), and how well it
does decides how good the bound is, never whether it is one. Rounding alone can make a bound too
great, by 1e-12 of itself at most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Array, Floats
from hwgym._extras import naming

__all__ = ["MakespanBound", "SimpleBounds", "makespan_bound", "simple_bounds", "weighted_bound"]


@dataclass(frozen=True)
class SimpleBounds:
    """Bounds in closed form, in cycles; each is one.

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
class MakespanBound:
    """The bound of the linear programme.

    Attributes:
        value: Cycles that no schedule is under.
        shares: (jobs, cores), how the programme splits the jobs.
        cores: (cores,), weight of what each core runs. All weights add up to 1; 0 is what may
            grow a little and change nothing.
        transfer: Weight of what is moved.
        chains: (chains,), weight of each chain; of each job where there are no chains.
    """

    value: float
    shares: Floats
    cores: Floats
    transfer: float
    chains: Floats


def simple_bounds(
    latency: ArrayLike,
    demand: ArrayLike | None = None,
    bandwidth: float = np.inf,
    lengths: ArrayLike | None = None,
) -> SimpleBounds:
    """Bounds in closed form. Arguments and errors as of :func:`makespan_bound`, without scipy."""
    takes, moves, owner, chains = _checked(latency, demand, bandwidth, lengths)
    return _simple(takes, moves, owner, chains)


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
        cores, transfer, chains: As of :class:`MakespanBound`, >= 0; they are divided by their sum.

    Raises:
        ValueError: As :func:`makespan_bound`, or if weights are below 0, do not fit, or are all 0.
    """
    takes, moves, owner, count = _checked(latency, demand, bandwidth, lengths)
    try:
        on_cores = np.broadcast_to(np.asarray(cores, np.float64), takes.shape[1:])
        on_chains = np.broadcast_to(np.asarray(chains, np.float64), (count,))
    except ValueError as error:
        raise ValueError(f"weights must fit {takes.shape[1]} cores, {count} chains") from error
    total = float(on_cores.sum() + on_chains.sum() + transfer)
    if not (min(on_cores.min(), on_chains.min(), transfer) >= 0 and 0 < total < np.inf):
        raise ValueError("weights must be 0 or more, finite, and not all 0")
    return _weighted(takes, moves, owner, on_cores / total, transfer / total, on_chains / total)


def makespan_bound(
    latency: ArrayLike,
    demand: ArrayLike | None = None,
    bandwidth: float = np.inf,
    lengths: ArrayLike | None = None,
) -> MakespanBound:
    """The bound of the linear programme; never less than those in closed form.

    The least T where every job's shares x add up to 1, and at most T are: of each core, the sum of
    x * latency; of what is moved, the sum of x * demand / bandwidth; of each chain, the sum of
    x * latency over its jobs. A job that by itself wants more than the bandwidth counts with the
    time in which it can be moved.

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

    takes, moves, owner, chains = _checked(latency, demand, bandwidth, lengths)
    closed = _simple(takes, moves, owner, chains).value
    jobs, cores = takes.shape
    limits = cores + 1 + chains

    # A column a job and core where it can run, and one for T, in units of the closed form:
    # HiGHS's tolerances are absolute.
    job, core = np.nonzero(np.isfinite(takes))
    column, every = np.arange(len(job)), np.arange(limits)
    time, through = takes[job, core] / closed, moves[job, core] / closed
    row = np.concatenate([core, np.full(len(job), cores), cores + 1 + owner[job], every])
    columns = np.concatenate([column, column, column, np.full(limits, len(job))])
    used = np.concatenate([time, through, time, np.full(limits, -1.0)])
    result = linprog(
        np.append(np.zeros(len(job)), 1.0),
        A_ub=csr_array((used, (row, columns)), shape=(limits, len(job) + 1)),
        b_ub=np.zeros(limits),
        A_eq=csr_array((np.ones(len(job)), (job, column)), shape=(jobs, len(job) + 1)),
        b_eq=np.ones(jobs),
        method="highs",
    )
    if result.status:
        raise RuntimeError(f"HiGHS failed: {result.message}")
    shares = np.zeros(takes.shape)
    shares[job, core] = result.x[:-1]
    prices = np.maximum(-result.ineqlin.marginals, 0.0)
    prices /= prices.sum()
    on_cores, transfer, on_chains = prices[:cores], float(prices[cores]), prices[cores + 1 :]
    value = _weighted(takes, moves, owner, on_cores, transfer, on_chains)
    return MakespanBound(max(value, closed), shares, on_cores, transfer, on_chains)


def _checked(
    latency: ArrayLike, demand: ArrayLike | None, bandwidth: float, lengths: ArrayLike | None
) -> tuple[Floats, Floats, Array, int]:
    """Cycles (jobs, cores) that a job takes at least, and that moving it takes at the whole
    bandwidth, both infinite where it cannot run; the chain of each job, and how many there are."""
    latency = np.asarray(latency, np.float64)
    if latency.ndim != 2 or not latency.size:
        raise ValueError(f"latency must have shape (jobs, cores), got {latency.shape}")
    if not (latency > 0).all():
        raise ValueError(f"latency must be above 0, got {latency[~(latency > 0)][0]}")
    can = np.isfinite(latency)
    for job in np.flatnonzero(~can.any(axis=1)):
        raise ValueError(f"job {job} can run on no core")
    demand = np.zeros(latency.shape) if demand is None else np.asarray(demand, np.float64)
    if demand.shape != latency.shape:
        raise ValueError(f"demand must have shape {latency.shape}, got {demand.shape}")
    wrong = demand[can & ~((demand >= 0) & np.isfinite(demand))]
    if wrong.size:
        raise ValueError(f"demand must be finite and 0 or more, got {wrong[0]}")
    if not bandwidth > 0:
        raise ValueError(f"bandwidth must be above 0, got {bandwidth}")
    moves = np.where(can, demand, np.inf)
    moves[can] /= bandwidth
    counts = np.ones(len(latency), np.int64) if lengths is None else np.asarray(lengths)
    if counts.dtype.kind not in "iu" or counts.ndim != 1 or counts.min(initial=0) < 0:
        raise ValueError(f"lengths must be whole numbers from 0 on, got {counts.tolist()}")
    if counts.sum() != len(latency):
        raise ValueError(f"lengths must add up to {len(latency)} jobs, got {counts.tolist()}")
    return np.maximum(latency, moves), moves, np.repeat(np.arange(len(counts)), counts), len(counts)


def _simple(takes: Floats, moves: Floats, owner: Array, chains: int) -> SimpleBounds:
    fastest = takes.min(axis=1)
    return SimpleBounds(
        float(fastest.max()),
        float(fastest.sum()) / takes.shape[1],
        float(moves.min(axis=1).sum()),
        float(np.bincount(owner, weights=fastest, minlength=chains).max()),
    )


def _weighted(
    takes: Floats, moves: Floats, owner: Array, cores: Floats, transfer: float, chains: Floats
) -> float:
    """Weights add up to 1."""
    can = np.isfinite(takes)
    time, through = np.where(can, takes, 0.0), np.where(can, moves, 0.0)
    adds = time * (cores + chains[owner][:, None]) + through * transfer
    return float(np.where(can, adds, np.inf).min(axis=1).sum())
