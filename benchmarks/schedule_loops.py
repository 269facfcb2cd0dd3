"""Schedules simulated event by event, in plain Python: what the arrays are held against."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

__all__ = ["chain_loop", "fluid_loop"]

Matrix = Sequence[Sequence[float]]
Times = tuple[list[float], list[float]]


def fluid_loop(
    latency: Matrix,
    demand: Matrix,
    bandwidth: float,
    core: Sequence[int],
    priority: Sequence[float],
) -> Times:
    """Starts and ends of one schedule, as :func:`hwgym.costs.schedules.fluid` says them."""
    jobs = range(len(latency))
    queues = [
        deque(sorted((j for j in jobs if core[j] == c), key=lambda j: priority[j]))
        for c in range(len(latency[0]))
    ]
    start, end = [math.nan] * len(jobs), [math.nan] * len(jobs)
    left: dict[int, float] = {}  # of each job that runs: the share of it that is not done
    now = 0.0
    while True:
        for queue in queues:
            if queue and queue[0] not in left:
                left[queue[0]], start[queue[0]] = 1.0, now
        if not left:
            return start, end
        wanted = sum(demand[j][core[j]] / latency[j][core[j]] for j in left)
        pace = 1.0 if wanted <= bandwidth else bandwidth / wanted
        times = {j: left[j] * latency[j][core[j]] / pace for j in left}
        step = min(times.values())
        now += step
        for j, time in times.items():
            left[j] *= 1 - step / time if time > step else 0.0
            if not left[j]:
                end[j] = now
                queues[core[j]].popleft()
        left = {j: rest for j, rest in left.items() if rest}


def chain_loop(
    latency: Matrix, lengths: Sequence[int], chain: Sequence[int], core: Sequence[int]
) -> Times:
    """Starts and ends of one schedule, as :func:`hwgym.costs.schedules.chains` says them.

    Moves from event to event: cores that are free take the first layer of their queues as soon as
    the layer before it has ended.
    """
    first = [sum(lengths[:c]) for c in range(len(lengths))]
    taken = [0] * len(lengths)
    queues: list[deque[int]] = [deque() for _ in latency[0]]
    for c, s in zip(chain, core, strict=True):
        queues[s].append(first[c] + taken[c])
        taken[c] += 1
    start, end = [math.nan] * len(latency), [math.inf] * len(latency)
    free = [0.0] * len(queues)
    now = 0.0
    while any(queues):
        for s, queue in enumerate(queues):
            if queue and free[s] <= now:
                j = queue[0]
                if j in first or end[j - 1] <= now:
                    queue.popleft()
                    start[j], end[j] = now, now + latency[j][s]
                    free[s] = end[j]
        now = min((t for t in end if now < t < math.inf), default=now)
    return start, end
