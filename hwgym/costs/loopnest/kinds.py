"""Kinds of sub-accelerators: what :data:`hwgym.costs.maestro.KINDS` are, as loop nests.

A kind is hardware: clusters of one size, as many as the PEs make; what is left over is idle. What
is spread over clusters and inside them is fixed, too, and a depthwise layer's channels take the
place of the filters. Buffers and the bandwidth between them grow with the PEs. What is open is the
mapping's tiles and the order of its loops: each layer has those of the template's lattice that are
best for it with the DRAM bandwidth that the sub-accelerator has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache, reduce
from itertools import accumulate
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from hwgym._arrays import Bools, Floats
from hwgym._names import nearest
from hwgym.costs.cache import cache_file, read_arrays, write_arrays
from hwgym.costs.loopnest.lattice import Choices, lattice
from hwgym.costs.loopnest.model import Moves, capacity, moves
from hwgym.costs.loopnest.nests import Nests
from hwgym.costs.loopnest.templates import NVDLA, OUTPUTS_STAY, SHIDIANNAO, WEIGHTS_STAY, Template
from hwgym.costs.loopnest.traffic import analyse
from hwgym.costs.loopnest.version import VERSION
from hwgym.hardware.machine import Machine
from hwgym.workloads import Layer

__all__ = ["KINDS", "Kind", "KindCosts", "kind_costs"]

L1_BYTES = 512
"""Of a PE."""
L2_BYTES_PER_PE = 1024
"""Of a sub-accelerator: 1 MiB for 1,024 PEs, 16 MiB for 16,384."""
PES_PER_L2_BYTE = 4
"""Whose share of the bandwidth between L2 and the array is a byte a cycle: as the default machine's
32 bytes are for 8 x 16 PEs."""

_L1_FILLED = (64, 256, 512)
_L2_HALVED = 9
"""Tiles fill buffers or parts of them, of L2 its halves down to a 256th: a small L2 tile is there
sooner. The least tile of L1 is among them, too: more PEs have work."""


class Kind(NamedTuple):
    """A kind of sub-accelerator.

    Attributes:
        template: Its mappings; rows are clusters, columns the PEs of one.
        cluster: PEs of a cluster.
    """

    template: Template
    cluster: int

    @property
    def name(self) -> str:
        """As a table calls it."""
        return self.template.name


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        each.name: each
        for each in (
            Kind(
                replace(
                    NVDLA,
                    name="nv",
                    about="filters across clusters of 64, input channels in each, added up by a "
                    "tree; weights stay",
                    rows="KG",
                    columns="C",
                ),
                64,
            ),
            Kind(
                Template(
                    "ykp",
                    "output rows across clusters of 16, filters in each; weights or outputs stay",
                    rows="P",
                    columns="KG",
                    whole="RS",
                    free="KCQ",
                    orders=WEIGHTS_STAY[:1] + OUTPUTS_STAY,
                ),
                16,
            ),
            Kind(
                replace(
                    SHIDIANNAO,
                    name="yxp",
                    about="output rows across clusters of 16, columns in each; outputs stay, "
                    "neighbours pass inputs on",
                    rows="P",
                    columns="Q",
                ),
                16,
            ),
        )
    }
)
"""``nv``, ``ykp`` and ``yxp``."""


class KindCosts(NamedTuple):
    """What layers take on sub-accelerators, one run of each: arrays (PEs, bandwidths, layers).

    Attributes:
        cycles: Latency; infinite where no mapping fits.
        traffic: Elements read from DRAM and written there, of bytes; a sum that is not finished
            counts as the bytes that it has. 0 where no mapping fits.
    """

    cycles: Floats
    traffic: Floats


def kind_costs(
    layers: Sequence[Layer],
    kind: str,
    num_pes: Sequence[int],
    bandwidths: Sequence[float],
    *,
    slack: float = 0.0,
) -> KindCosts:
    """What layers take on sub-accelerators of a kind, each with its best mapping there.

    The best is, of the mappings whose latency is within ``slack`` of the least, the one of least
    traffic, and of those the fastest. Latency is that of :func:`~hwgym.costs.loopnest.profile`.
    Clusters may be left idle: what is mapped on fewer of the PEs to choose from runs on more, too.
    So without slack neither more PEs nor more bandwidth ever take longer.

    Args:
        layers: Those of any networks; equal ones are mapped once.
        kind: A key of :data:`KINDS`.
        num_pes: PEs; fewer than a cluster run nothing.
        bandwidths: Elements (bytes) a cycle that DRAM reads, and as many that it writes; infinite
            for no limit.
        slack: A share of the least latency.

    Raises:
        ValueError: If the kind is unknown, a number of PEs or a bandwidth is not positive, or slack
            is negative.
    """
    if kind not in KINDS:
        raise ValueError(nearest("kind of sub-accelerator", kind, KINDS))
    if not slack >= 0:
        raise ValueError(f"slack is a share of the least latency, at least 0; got {slack!r}")
    pes = tuple(int(n) for n in num_pes)
    widths = tuple(float(b) for b in bandwidths)
    if not pes or min(pes) < 1 or any(n != given for n, given in zip(pes, num_pes, strict=True)):
        raise ValueError(f"num_pes must be positive integers, at least one; got {num_pes!r}")
    if not widths or not all(b > 0 for b in widths):
        raise ValueError(f"bandwidths must be positive, at least one; got {bandwidths!r}")
    plain = [_plain(layer) for layer in layers]
    rows = {one: _costs(one, kind, pes, widths, float(slack)) for one in dict.fromkeys(plain)}
    shape = len(pes), len(widths), len(plain)
    cycles, traffic = np.empty(shape), np.empty(shape)
    for i, one in enumerate(plain):
        cycles[..., i], traffic[..., i] = rows[one]
    return KindCosts(cycles, traffic)


def _plain(layer: Layer) -> Layer:
    """What one run of it depends on."""
    kind = "DSCONV" if layer.is_depthwise else "CONV"
    return replace(layer, name="layer", kind=kind, repeat=1)


@lru_cache(maxsize=8192)  # some 2 kB each
def _costs(
    layer: Layer, kind: str, pes: tuple[int, ...], bandwidths: tuple[float, ...], slack: float
) -> KindCosts:
    """Arrays (PEs, bandwidths)."""
    built = KINDS[kind]
    rules = L1_BYTES, L2_BYTES_PER_PE, PES_PER_L2_BYTE, _L1_FILLED, _L2_HALVED
    asked = asdict(layer), asdict(built.template), built.cluster, rules, pes, bandwidths, slack
    path = cache_file("kinds", VERSION, *asked, asdict(Machine()))
    kept = read_arrays(path, KindCosts._fields)
    if kept is not None:
        return KindCosts(**kept)
    found = KindCosts(*np.empty((2, len(pes), len(bandwidths))))
    found.cycles[:], found.traffic[:] = np.inf, 0.0
    sizes = sorted({n for n in pes if n >= built.cluster})
    every = [_mappings(layer, built, n) for n in sizes]
    if any(map(len, every)):
        nests, style = Nests.joined(every), built.template
        counts = analyse(nests, hold=style.hold, forward=style.forward, reduce=style.reduce)
        moved = moves(nests, Machine(), counts, hold=style.hold)
        for n, end in zip(sizes, accumulate(map(len, every)), strict=True):
            if end:
                best = _best(moved[:end], bandwidths, n / PES_PER_L2_BYTE, slack)
                found.cycles[np.equal(pes, n)], found.traffic[np.equal(pes, n)] = best
    write_arrays(path, found._asdict())
    return found


def _mappings(layer: Layer, kind: Kind, num_pes: int) -> Nests:
    """Those that fit; where none of the lattice does, those whose L2 tiles are narrower."""
    machine, l2_bytes = Machine(), L2_BYTES_PER_PE * num_pes
    parts = {max(l2_bytes >> i, 1) for i in range(_L2_HALVED)}
    choices = Choices(_L1_FILLED, tuple(sorted(parts)))
    shape = num_pes // kind.cluster, kind.cluster
    for narrow in (False, True):
        nests = lattice(layer, kind.template, *shape, choices, machine, least=True, narrow=narrow)
        l1, l2 = capacity(nests, machine, hold=kind.template.hold)
        nests = nests[(l1 <= L1_BYTES) & (l2 <= l2_bytes)]
        if len(nests):
            break
    return nests


def _best(moved: Moves, bandwidths: Sequence[float], l2: float, slack: float) -> KindCosts:
    """Of the best of mappings, arrays (bandwidths,)."""
    parts, first, last = moved.times(np.array(bandwidths)[:, None], l2)
    cycles = (reduce(np.maximum, parts) + first + last).astype(np.float64)
    traffic = np.broadcast_to(moved.dram_read + moved.dram_write, cycles.shape)
    near: Bools = cycles <= cycles.min(axis=1, keepdims=True) * (1 + slack)
    least = np.where(near, traffic, np.inf)
    tied: Bools = least == least.min(axis=1, keepdims=True)
    at = np.where(tied, cycles, np.inf).argmin(axis=1)[:, None]
    return KindCosts(*(np.take_along_axis(each, at, axis=1)[:, 0] for each in (cycles, traffic)))
