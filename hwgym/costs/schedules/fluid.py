"""Independent jobs on cores that share one bandwidth.

Each core runs its jobs one after the other. Alone, a job takes its latency and moves its demand at
an even rate. As long as the jobs that run want more than the bandwidth together, all of them are
slowed alike (MAGMA, HPCA 2022: its bandwidth allocator).

So nothing has to be simulated. In a time that runs as fast as the jobs do, a core's jobs end where
its latencies add up to, whatever the others do. Between two ends, the rates that are wanted do not
change, and this time passes as much slower than the clock as they exceed the bandwidth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Array, Floats, Ints
from hwgym.costs.schedules._arrays import indices, numbers

__all__ = ["FluidSchedule", "fluid"]

CHUNK = 2**15  # numbers an array: large enough that calls cost little, small enough for caches


@dataclass(frozen=True)
class FluidSchedule:
    """When jobs run, in cycles.

    Attributes:
        start, end: (N, jobs), of each job.
        busy: (N, cores), until when a core runs jobs, one after the other; 0 without any.
    """

    start: Floats
    end: Floats
    busy: Floats

    @property
    def makespan(self) -> Floats:
        """(N,), until the last job ends."""
        longest: Floats = self.busy.max(axis=-1)
        return longest


def fluid(
    latency: ArrayLike, demand: ArrayLike, bandwidth: float, core: ArrayLike, priority: ArrayLike
) -> FluidSchedule:
    """When the jobs of N schedules run, and until when.

    All jobs that run progress at min(1, bandwidth / what they want together), where a job wants
    demand / latency: those that move nothing, too. Equal to the simulator of MAGMA's release
    (``post_process``), which has no answer for those.

    Args:
        latency: (jobs, cores), cycles that a job takes alone, > 0.
        demand: (jobs, cores), what it moves, in any unit.
        bandwidth: What all cores together move in a cycle, in that unit; may be infinite.
        core: (N, jobs) integers, where a job runs; or (jobs,) for one schedule, and so the answer.
        priority: (N, jobs), lower first; of equal ones the job that comes first.

    Raises:
        ValueError: If shapes do not fit, or something is not a number as above.
    """
    latency = numbers("latency", latency)
    if latency.ndim != 2 or not latency.size:
        raise ValueError(f"latency must have shape (jobs, cores), got {latency.shape}")
    demand = numbers("demand", demand, zero=True)
    if demand.shape != latency.shape:
        raise ValueError(f"demand must have shape {latency.shape}, got {demand.shape}")
    if not bandwidth > 0:
        raise ValueError(f"bandwidth must be above 0, got {bandwidth}")
    jobs, cores = latency.shape
    core = indices("core", core, cores)
    if core.shape[-1] != jobs or core.ndim > 2:
        raise ValueError(f"core must have shape (N, {jobs}), got {core.shape}")
    priority = np.asarray(priority)
    if priority.shape != core.shape:
        raise ValueError(f"priority must have shape {core.shape}, got {priority.shape}")
    if priority.dtype.kind not in "iufb" or np.isnan(priority).any():
        raise ValueError("priority must be numbers, none of them NaN")

    shape = core.shape[:-1]
    core, priority = core.reshape(-1, jobs), priority.reshape(-1, jobs)
    start, end = np.empty(core.shape), np.empty(core.shape)
    busy = np.empty((len(core), cores))
    wanted = demand / latency / bandwidth
    size = max(1, CHUNK // jobs)
    for first in range(0, len(core), size):
        part = slice(first, first + size)
        start[part], end[part], busy[part] = _run(latency, wanted, core[part], priority[part])
    return FluidSchedule(
        start.reshape(*shape, jobs), end.reshape(*shape, jobs), busy.reshape(*shape, cores)
    )


def _run(
    latency: Floats, wanted: Floats, core: Ints, priority: Array
) -> tuple[Floats, Floats, Floats]:
    """Starts, ends, busy; ``wanted`` is the share of the bandwidth that a job wants."""
    (n, jobs), cores = core.shape, latency.shape[1]
    each = np.arange(n)

    # Jobs by priority (jobs, n): their ends in the time that runs as they do.
    order = np.argsort(priority, axis=1, kind="stable")
    on = np.take_along_axis(core, order, 1)
    alone = np.ascontiguousarray(latency[order, on].T)
    slot = np.ascontiguousarray(on.T) * n + each
    own_end, load = np.empty((jobs, n)), np.zeros(cores * n)
    for ended, more, where in zip(own_end, alone, slot, strict=True):
        np.add(load[where], more, out=ended)
        load[where] = ended

    # Jobs by those ends. Stable: what a core runs stays in order even where a job is so short that
    # adding it changes nothing.
    own_end = np.ascontiguousarray(own_end.T)
    by_end = np.argsort(own_end, axis=1, kind="stable")
    own_end = np.take_along_axis(own_end, by_end, 1)
    order = np.take_along_axis(order, by_end, 1)
    on = np.take_along_axis(on, by_end, 1)
    share = np.ascontiguousarray(wanted[order, on].T)
    slot = np.ascontiguousarray(on.T) * n + each

    # What is wanted before each end, backwards: until its end a core runs the job that ends. Added
    # up anew each time: differences would leave the rounding errors of larger shares behind.
    slowed, running = np.empty((jobs, n)), np.zeros((cores, n))
    flat = running.reshape(-1)
    for k in reversed(range(jobs)):
        flat[slot[k]] = share[k]
        running.sum(axis=0, out=slowed[k])
    passes = np.diff(own_end.T, axis=0, prepend=0.0) * np.maximum(slowed, 1.0)
    clock = np.cumsum(passes, axis=0)

    begun, until = np.empty((jobs, n)), np.zeros(cores * n)
    for starts, ended, where in zip(begun, clock, slot, strict=True):
        starts[:] = until[where]
        until[where] = ended
    start, end = np.empty((n, jobs)), np.empty((n, jobs))
    np.put_along_axis(start, order, begun.T, 1)
    np.put_along_axis(end, order, clock.T, 1)
    return start, end, until.reshape(cores, n).T
