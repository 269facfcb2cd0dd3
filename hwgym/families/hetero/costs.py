"""What every layer takes on every sub-accelerator that could be built."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from hwgym._arrays import Floats
from hwgym.costs.maestro import KINDS, evaluate
from hwgym.hardware import Hardware
from hwgym.workloads import Layer, Workload

__all__ = ["latency_table"]


def latency_table(
    instances: Sequence[Workload],
    kinds: Sequence[str],
    pes: int,
    parts: int,
    bandwidth: int | None,
) -> Floats:
    """Cycles (kinds, parts, parts or 1, layers) of each layer, all its repeats, on a
    sub-accelerator of a kind with p + 1 parts of the PEs and b + 1 parts of the bandwidth; infinite
    where it cannot run. Without a bandwidth the third axis has one entry. Layers of an instance
    stand one after the other, then those of the next.

    A part of the bandwidth is MAESTRO's ``noc_bandwidth``: between the global buffer and the
    sub-accelerator, as in Herald (HPCA 2021, section III).
    """
    tables = [
        np.stack([_cycles(network.layers, kind, pes, parts, bandwidth) for kind in kinds])
        for network in instances
    ]
    return np.concatenate(tables, axis=-1)


@lru_cache(maxsize=256)
def _cycles(
    layers: tuple[Layer, ...], kind: str, pes: int, parts: int, bandwidth: int | None
) -> Floats:
    share = np.arange(1, parts + 1)
    if bandwidth is None:
        found = evaluate(layers, KINDS[kind], (pes * share // parts)[:, None], 1)
        shape: tuple[int, ...] = (parts, 1, len(layers))
    else:
        some = np.repeat(pes * share // parts, parts)[:, None]
        through = Hardware(noc_bandwidth=np.tile(bandwidth * share // parts, parts)[:, None])
        found = evaluate(layers, KINDS[kind], some, 1, through)
        shape = (parts, parts, len(layers))
    repeats = np.array([layer.repeat for layer in layers])
    cycles = np.where(found.valid, found.runtime_cycles * repeats, np.inf).reshape(shape)
    cycles.setflags(write=False)
    return cycles
