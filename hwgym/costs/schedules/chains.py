"""Layers of several networks on sub-accelerators: each network is a chain, its layers in order.

A schedule is a list of decisions, each of which sends the next layer of some chain to some core. It
starts as soon as both the core has done what was sent there before, and the chain's layer before it
has ended (list scheduling, as in Herald, HPCA 2021). Every schedule in which nothing could start
earlier is such a list: its layers by their starts. Cores share nothing: their parts of a bandwidth
are in their latencies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Floats, Ints
from hwgym.costs.schedules._arrays import indices, numbers

__all__ = ["ChainSchedule", "chains"]


@dataclass(frozen=True)
class ChainSchedule:
    """When layers run, in cycles; layers of one chain after the other, as their latencies stand.

    Attributes:
        core: (N, layers), where a layer runs.
        start, end: (N, layers).
        busy: (N, cores), cycles in which a core runs layers; between them it may wait.
    """

    core: Ints
    start: Floats
    end: Floats
    busy: Floats

    @property
    def makespan(self) -> Floats:
        """(N,), until the last layer ends."""
        longest: Floats = self.end.max(axis=-1)
        return longest


def chains(
    latency: ArrayLike, lengths: ArrayLike, chain: ArrayLike, core: ArrayLike
) -> ChainSchedule:
    """When the layers of N schedules run, and until when.

    Args:
        latency: (layers, cores), cycles that a layer takes, > 0; the layers of a chain one after
            the other, then those of the next. Or (N, layers, cores), of each schedule its own.
        lengths: (chains,), how many layers each has.
        chain: (N, layers) integers, whose next layer a decision sends; each as often as it has
            layers. Or (layers,) for one schedule, and so the answer.
        core: (N, layers) integers, where to, by decision.

    Raises:
        ValueError: If shapes do not fit, or something is not as above.
    """
    latency = numbers("latency", latency)
    if latency.ndim not in (2, 3) or not latency.size:
        raise ValueError(f"latency must have shape (layers, cores), got {latency.shape}")
    layers, cores = latency.shape[-2:]
    lengths = indices("lengths", lengths, layers + 1)
    if lengths.ndim != 1 or lengths.sum() != layers:
        raise ValueError(f"lengths must add up to {layers} layers, got {lengths.tolist()}")
    chain, core = indices("chain", chain, len(lengths)), indices("core", core, cores)
    if chain.ndim > 2 or chain.shape[-1] != layers:
        raise ValueError(f"chain must have shape (N, {layers}), got {chain.shape}")
    if core.shape != chain.shape:
        raise ValueError(f"core must have shape {chain.shape}, got {core.shape}")
    shape = chain.shape[:-1]
    if latency.ndim == 3 and latency.shape[:1] != shape:
        raise ValueError(f"latency is given for {len(latency)} schedules, chain for {shape}")
    chain, core = chain.reshape(-1, layers), core.reshape(-1, layers)
    n = len(chain)

    # Sorted by chain, decisions stand as layers do.
    decision = np.argsort(chain, axis=1, kind="stable")
    sent = np.take_along_axis(chain, decision, 1)
    wrong = (sent != np.repeat(np.arange(len(lengths)), lengths)).any(axis=1)
    if wrong.any():
        number = int(wrong.argmax())
        times = np.bincount(chain[number], minlength=len(lengths))
        raise ValueError(
            f"each chain must be sent as often as it has layers, {lengths.tolist()}; "
            f"schedule {number} sends {times.tolist()}"
        )
    where = np.take_along_axis(core, decision, 1)
    if latency.ndim == 2:
        takes = latency[np.arange(layers), where]
    else:
        takes = np.take_along_axis(latency, where[..., None], 2)[..., 0]

    by_decision = np.empty((n, layers))
    np.put_along_axis(by_decision, decision, takes, 1)
    each = np.arange(n)
    free, ready = np.zeros(cores * n), np.zeros(len(lengths) * n)
    begun, ended = np.empty((layers, n)), np.empty((layers, n))
    rows = (begun, ended, by_decision.T.copy(), core.T * n + each, chain.T * n + each)
    for starts, ends, cycles, on, of in zip(*rows, strict=True):
        np.maximum(free[on], ready[of], out=starts)
        np.add(starts, cycles, out=ends)
        free[on] = ends
        ready[of] = ends
    start = np.take_along_axis(begun.T, decision, 1)
    end = np.take_along_axis(ended.T, decision, 1)
    busy = np.stack([np.where(where == c, takes, 0.0).sum(axis=1) for c in range(cores)], axis=-1)
    whole = (*shape, layers)
    return ChainSchedule(
        where.reshape(whole), start.reshape(whole), end.reshape(whole), busy.reshape(*shape, cores)
    )
