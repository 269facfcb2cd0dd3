"""What every layer takes on every sub-accelerator that could be built."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from hwgym._arrays import Floats
from hwgym._names import nearest
from hwgym.costs.loopnest import kind_costs
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
    model: str = "maestro",
) -> Floats:
    """Cycles (kinds, parts, parts or 1, layers) of each layer, all its repeats, on a
    sub-accelerator of a kind with p + 1 parts of the PEs and b + 1 parts of the bandwidth; infinite
    where it cannot run. Without a bandwidth the third axis has one entry. Layers of an instance
    stand one after the other, then those of the next.

    Under ``maestro`` the bandwidth is MAESTRO's ``noc_bandwidth``, between the global buffer and
    the sub-accelerators, as in Herald (HPCA 2021, section III). Under ``loopnest`` it is what DRAM
    reads in a cycle, and as much that it writes, and each layer has its best mapping for its part
    of that (:func:`~hwgym.costs.loopnest.kind_costs`).

    Raises:
        ValueError: If the model is none of the two.
    """
    models = {"maestro": _by_maestro, "loopnest": _by_loopnest}
    if model not in models:
        raise ValueError(nearest("cost model", model, models))
    tables = [
        np.stack([models[model](network.layers, kind, pes, parts, bandwidth) for kind in kinds])
        for network in instances
    ]
    return np.concatenate(tables, axis=-1)


@lru_cache(maxsize=256)
def _by_maestro(
    layers: tuple[Layer, ...], kind: str, pes: int, parts: int, bandwidth: int | None
) -> Floats:
    """(parts, parts or 1, layers)."""
    share = np.arange(1, parts + 1)
    some = (pes * share // parts)[:, None, None]
    through = Hardware()
    if bandwidth is not None:
        through = Hardware(noc_bandwidth=(bandwidth * share // parts)[:, None])
    found = evaluate(layers, KINDS[kind], some, 1, through)
    return _table(layers, np.where(found.valid, found.runtime_cycles, np.inf))


@lru_cache(maxsize=256)
def _by_loopnest(
    layers: tuple[Layer, ...], kind: str, pes: int, parts: int, bandwidth: int | None
) -> Floats:
    """(parts, parts or 1, layers)."""
    share = range(1, parts + 1)
    widths = [np.inf] if bandwidth is None else [bandwidth * each // parts for each in share]
    found = kind_costs(layers, kind, [pes * each // parts for each in share], widths)
    return _table(layers, found.cycles)


def _table(layers: tuple[Layer, ...], cycles: Floats) -> Floats:
    """Of all runs of layers, from cycles (..., layers) of one."""
    table: Floats = cycles * np.array([layer.repeat for layer in layers])
    table.setflags(write=False)
    return table
