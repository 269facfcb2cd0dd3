"""What nests take of a machine: capacity, time, and energy by level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym.costs.loopnest.nests import DIMS, INPUT, OUTPUT, WEIGHT, Hold, Nests
from hwgym.costs.loopnest.traffic import AXES, RELEVANT, Traffic, analyse
from hwgym.hardware.machine import Machine

__all__ = [
    "BOUNDS",
    "Energy",
    "Moves",
    "Profile",
    "array_area_um2",
    "capacity",
    "energy",
    "l1_capacity",
    "l2_capacity",
    "moves",
    "profile",
]

BOUNDS = ("compute", "DRAM read", "DRAM write", "L2 read", "L2 write")
"""What may take the longest."""


@dataclass(frozen=True, repr=False)
class Moves:
    """What nests move, in bytes, whatever the bandwidths, arrays (N,).

    Attributes:
        cycles: In which the array computes.
        dram_read, dram_write, l2_read, l2_write: In all.
        fill: Of ``dram_read``, into L2 before the array can start.
        bypass: Of ``dram_read``, past L2 into the array before it can start.
        step: Of ``l2_read``, into the array before it can start.
        end_dram, end_l2: Written to DRAM, and to L2, after the array has ended.
        end_l2_read: Of ``l2_read``, what is then read to be written to DRAM.
    """

    cycles: Ints
    dram_read: Floats
    dram_write: Floats
    l2_read: Floats
    l2_write: Floats
    fill: Floats
    bypass: Floats
    step: Floats
    end_dram: Floats
    end_l2: Floats
    end_l2_read: Floats

    def __getitem__(self, points: object) -> Moves:
        """Those of some points: a slice, a mask or indices."""
        return Moves(*(getattr(self, f.name)[points] for f in fields(self)))

    def times(self, dram: ArrayLike, l2: ArrayLike) -> tuple[tuple[Ints, ...], Ints, Ints]:
        """Cycles of each of ``BOUNDS``; of the first load; of the last store.

        Latency is the longest of the first, plus both others.

        Args:
            dram, l2: Bytes per cycle, of reading and of writing each, which broadcast against (N,);
                infinite where nothing waits.
        """
        dram, l2 = np.asarray(dram), np.asarray(l2)
        store = _cycles(
            self.end_l2, l2
        )  # meanwhile L2 is read and DRAM written, of the tile before
        parts = (
            self.cycles,
            _cycles(self.dram_read - self.fill - self.bypass, dram),
            _cycles(self.dram_write - self.end_dram, dram) - store,
            _cycles(self.l2_read - self.step - self.end_l2_read, l2) - store,
            _cycles(self.l2_write - self.fill - self.end_l2, l2),
        )
        first_load: Ints = _cycles(self.fill, dram)
        first_load = first_load + np.maximum(_cycles(self.bypass, dram), _cycles(self.step, l2))
        last_store = store + _cycles(self.end_dram, dram)
        return tuple(part.clip(0) for part in parts), first_load, last_store


@dataclass(frozen=True, repr=False)
class Profile:
    """What nests take of a machine, whatever its buffers' sizes, arrays (N,).

    Attributes:
        latency_cycles: The longest of ``BOUNDS``, plus first load and last store.
        parts: (N, 5) cycles of each of ``BOUNDS``; transfers without first load and last store.
        first_load, last_store: Cycles before the array starts, and after it ends.
        l1_bytes, l2_bytes: That a PE's buffer, and the shared one, must have at least.
        macs: Multiply-accumulates.
        l1_read_bytes, l1_write_bytes, l2_read_bytes, l2_write_bytes: Moved, in all.
        dram_read_bytes, dram_write_bytes: Likewise.
    """

    latency_cycles: Ints
    parts: Ints
    first_load: Ints
    last_store: Ints
    l1_bytes: Ints
    l2_bytes: Ints
    macs: Ints
    l1_read_bytes: Floats
    l1_write_bytes: Floats
    l2_read_bytes: Floats
    l2_write_bytes: Floats
    dram_read_bytes: Floats
    dram_write_bytes: Floats

    def __len__(self) -> int:
        return len(self.latency_cycles)

    def __getitem__(self, points: object) -> Profile:
        """That of some points: a slice, a mask or indices."""
        return Profile(*(getattr(self, f.name)[points] for f in fields(self)))

    @property
    def bound(self) -> list[str]:
        """What takes the longest, by name."""
        return [BOUNDS[i] for i in self.parts.argmax(axis=1)]


@dataclass(frozen=True)
class Energy:
    """Energy by level, nJ, arrays that broadcast.

    Attributes:
        mac, l1, l2, dram: Of multiply-accumulates; of accesses to the PEs' buffers, to the shared
            one, and to DRAM.
    """

    mac: Floats
    l1: Floats
    l2: Floats
    dram: Floats

    @property
    def total(self) -> Floats:
        """All of it."""
        return self.mac + self.l1 + self.l2 + self.dram


def capacity(nests: Nests, machine: Machine, *, hold: Hold | None = None) -> tuple[Ints, Ints]:
    """Bytes that a PE's buffer and the shared one need, (N,) each.

    Tiles are counted twice where the next one is fetched, or the last one stored, meanwhile: where
    a tensor has more than one. Outputs in L1 are unfinished sums; in L2, too, where C, R or S takes
    several steps.
    """
    return l1_capacity(nests, machine, hold=hold), l2_capacity(nests, machine, hold=hold)


def l1_capacity(nests: Nests, machine: Machine, *, hold: Hold | None = None) -> Ints:
    """The first of :func:`capacity`, (N,)."""
    tile = np.minimum(nests.tile, nests.extent)
    moves = nests.extent > nests.tile * nests.spread
    return _needed(nests, machine, (hold or Hold()).l1, tile, moves, np.ones(len(nests), bool))


def l2_capacity(nests: Nests, machine: Machine, *, hold: Hold | None = None) -> Ints:
    """The second of :func:`capacity`, (N,)."""
    span = nests.tile * nests.spread
    held = np.minimum(span * nests.steps, nests.extent)
    reduced = [DIMS.index(d) for d in "CRS"]
    again: Bools = np.logical_or.reduce(nests.extent[:, reduced] > span[:, reduced], axis=1)
    return _needed(nests, machine, (hold or Hold()).l2, held, nests.extent > held, again)


def _needed(
    nests: Nests,
    machine: Machine,
    tensors: tuple[str, ...],
    tile: Ints,
    moves: Bools,
    partial: Bools,
) -> Ints:
    bits = np.zeros(len(nests), np.int64)
    for tensor in tensors:
        relevant = list(RELEVANT[tensor])
        width: Array = {
            WEIGHT: np.asarray(machine.weight_bits),
            INPUT: np.asarray(machine.input_bits),
            OUTPUT: np.where(partial, machine.partial_bits, machine.output_bits),
        }[tensor]
        bits += _elements(nests, tensor, tile) * width * (1 + moves[:, relevant].any(axis=1))
    return -(-bits // 8)


def _elements(nests: Nests, tensor: str, tile: Ints, apart: Ints | None = None) -> Ints:
    """Of a tensor's tile; or of one whose indices along each dimension are so far apart."""
    if tensor != INPUT:
        return _volume(tile, RELEVANT[tensor])
    count = _volume(tile, [DIMS.index(d) for d in "BGC"])
    for axis, (out, filter_) in enumerate(AXES):
        stride, dilation = nests.stride[:, axis], nests.dilation[:, axis]
        if apart is not None:
            stride, dilation = stride * apart[:, out], dilation * apart[:, filter_]
        common = np.gcd(stride, dilation)
        p, r = tile[:, out], tile[:, filter_]
        shared = np.maximum(p - dilation // common, 0) * np.maximum(r - stride // common, 0)
        count = count * (p * r - shared)
    return count


def _volume(sizes: Ints, dims: Sequence[int]) -> Ints:
    product: Ints = np.multiply.reduce(sizes[:, list(dims)], axis=1)
    return product


def profile(
    nests: Nests,
    machine: Machine,
    *,
    hold: Hold | None = None,
    halo: bool = True,
    forward: bool = False,
    reduce: bool = False,
    traffic: Traffic | None = None,
) -> Profile:
    """Capacity, time and bytes moved of every nest.

    Buffers are double: while a tile is worked on the next is loaded and the one before stored. So
    the time is that of whatever takes longest, computing, or reading or writing DRAM or L2 at their
    bandwidths, after the first tiles have been loaded and before the last are stored. That is never
    more than a pipeline that waits for every tile takes.

    Args:
        nests: The points.
        machine: Bandwidths and bits of operands.
        hold, halo, forward, reduce: As :func:`~hwgym.costs.loopnest.traffic.analyse` has them.
        traffic: What that function says, if it is known already.
    """
    hold = hold or Hold()
    t = traffic or analyse(nests, hold=hold, halo=halo, forward=forward, reduce=reduce)
    moved = moves(nests, machine, t, hold=hold)
    times, first_load, last_store = moved.times(machine.dram_bandwidth, machine.l2_bandwidth)
    parts = np.stack(times, axis=1)
    weight, input_ = machine.weight_bits / 8, machine.input_bits / 8
    partial = machine.partial_bits / 8
    l1_read = t.weight_l1_read * weight + t.input_l1_read * input_
    l1_read = l1_read + (t.output_l1_read + t.output_l1_drain) * partial
    l1_write = t.weight_l1_fill * weight + t.input_l1_fill * input_
    l1_write = l1_write + (t.output_l1_write + t.output_l1_fill) * partial
    l1_bytes, l2_bytes = capacity(nests, machine, hold=hold)
    return Profile(
        latency_cycles=first_load + parts.max(axis=1) + last_store,
        parts=parts,
        first_load=first_load,
        last_store=last_store,
        l1_bytes=l1_bytes,
        l2_bytes=l2_bytes,
        macs=t.macs,
        l1_read_bytes=l1_read,
        l1_write_bytes=l1_write,
        l2_read_bytes=moved.l2_read,
        l2_write_bytes=moved.l2_write,
        dram_read_bytes=moved.dram_read,
        dram_write_bytes=moved.dram_write,
    )


def moves(nests: Nests, machine: Machine, traffic: Traffic, *, hold: Hold | None = None) -> Moves:
    """Bytes that nests move, and which of them before and after the array works.

    Args:
        nests: The points.
        machine: Bits of operands.
        traffic: What :func:`~hwgym.costs.loopnest.traffic.analyse` says of them.
        hold: As it has it.
    """
    hold, t = hold or Hold(), traffic
    weight, input_ = machine.weight_bits / 8, machine.input_bits / 8
    output, partial = machine.output_bits / 8, machine.partial_bits / 8
    outputs = _volume(nests.extent, RELEVANT[OUTPUT])
    none = np.zeros(len(nests))

    def sums(count: Ints, held: bool = True) -> Floats:
        """Bytes of output tiles that leave: each output is finished once."""
        return outputs * output + (count - outputs) * partial if held else none

    in_l2 = OUTPUT in hold.l2
    dram_read = (
        t.weight_dram_read * weight + t.input_dram_read * input_ + t.output_dram_read * partial
    )
    dram_write = sums(t.output_dram_write)
    l2_read = t.weight_l2_read * weight + t.input_l2_read * input_ + t.output_l2_read * partial
    l2_read = l2_read + sums(t.output_l2_drain, in_l2)
    l2_write = t.weight_l2_fill * weight + t.input_l2_fill * input_ + t.output_l2_fill * partial
    l2_write = l2_write + sums(t.output_l2_write, in_l2)

    span = np.minimum(nests.tile * nests.spread, nests.extent)
    held = np.minimum(nests.tile * nests.spread * nests.steps, nests.extent)
    width = {WEIGHT: weight, INPUT: input_}
    fill: Floats = none  # into L2, of the first tile
    bypass: Floats = none  # from DRAM into the array, of the first step
    step: Floats = none  # from L2 into the array, of the first step
    for tensor, each in width.items():
        if tensor in hold.l1:
            first = _elements(nests, tensor, span) * each
        else:
            pes = -(-span // nests.tile)
            first = _elements(nests, tensor, pes, apart=nests.tile) * each
        if tensor in hold.l2:
            fill = fill + _elements(nests, tensor, held) * each
            step = step + first
        else:
            bypass = bypass + first
    last_tile = (nests.extent - 1) % (nests.tile * nests.spread * nests.steps) + 1
    last_step = (last_tile - 1) % (nests.tile * nests.spread) + 1
    if OUTPUT not in hold.l1:  # of the last cycle's PEs
        last_step = -(-(last_step - np.minimum(nests.tile, last_step) + 1) // nests.tile)
    end_step = none + _elements(nests, OUTPUT, last_step) * output
    end_dram = none + _elements(nests, OUTPUT, last_tile) * output if in_l2 else end_step
    return Moves(
        cycles=t.cycles,
        dram_read=dram_read,
        dram_write=dram_write,
        l2_read=l2_read,
        l2_write=l2_write,
        fill=fill,
        bypass=bypass,
        step=step,
        end_dram=end_dram,
        end_l2=end_step if in_l2 else none,
        end_l2_read=end_dram if in_l2 else none,
    )


def _cycles(byte_count: Array, bandwidth: Array) -> Ints:
    return np.ceil(np.maximum(byte_count, 0.0) / bandwidth).astype(np.int64)


def energy(p: Profile, machine: Machine, l1_bytes: ArrayLike, l2_bytes: ArrayLike) -> Energy:
    """Energy by level, charged by the installed sizes, whatever the nests need of them.

    Args:
        p: Of nests (N,).
        machine: Silicon, DRAM and bits.
        l1_bytes, l2_bytes: Installed: a PE's, and the shared one; they broadcast against (N,).

    Raises:
        ValueError: If a size is less than 1 byte.
    """
    silicon = machine.process
    l1, l2 = np.asarray(l1_bytes), np.asarray(l2_bytes)
    return Energy(
        mac=np.asarray(p.macs * machine.mac_pj * 1e-3, np.float64),
        l1=(
            p.l1_read_bytes * silicon.sram_read_pj_per_byte(l1)
            + p.l1_write_bytes * silicon.sram_write_pj_per_byte(l1)
        )
        * 1e-3,
        l2=(
            p.l2_read_bytes * silicon.sram_read_pj_per_byte(l2)
            + p.l2_write_bytes * silicon.sram_write_pj_per_byte(l2)
        )
        * 1e-3,
        dram=(p.dram_read_bytes + p.dram_write_bytes) * machine.dram_pj_per_byte * 1e-3,
    )


def array_area_um2(
    machine: Machine, pes: ArrayLike, l1_bytes: ArrayLike, l2_bytes: ArrayLike
) -> Floats:
    """Area of PEs, their buffers and the shared one; interconnect and control are left out.

    Raises:
        ValueError: If a size is less than 1 byte.
    """
    silicon = machine.process
    each = machine.mac_area_um2 + silicon.sram_area_um2(np.asarray(l1_bytes))
    return np.asarray(pes) * each + silicon.sram_area_um2(np.asarray(l2_bytes))
