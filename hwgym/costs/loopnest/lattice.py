"""The lattice of a template's mappings, and the best of them for every size of buffers.

What a mapping needs of buffers, how long it takes and how often it reads what do not depend on how
large the buffers are. So one enumeration serves every pair of sizes: those that do not fit are left
out, and energy is counts times the constants of the sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from hwgym._arrays import Bools, Floats, Ints
from hwgym._names import nearest
from hwgym.costs.loopnest.model import Profile, energy, l1_capacity, l2_capacity, profile
from hwgym.costs.loopnest.nests import DIMS, Nests
from hwgym.costs.loopnest.templates import L2_ORDERS, Template
from hwgym.hardware.machine import Machine
from hwgym.workloads import Layer

__all__ = [
    "LATENCY_SLACK",
    "OBJECTIVES",
    "Best",
    "Choices",
    "best",
    "choose",
    "enumerate_profiles",
    "extent_of",
    "lattice",
    "within",
]

OBJECTIVES = ("latency", "energy", "edp")
"""What the best mapping is best in; ties are broken by the other of latency and energy."""

LATENCY_SLACK = 0.01
"""Of mappings whose latency is within this share of the least, the one of least energy is taken.
The very fastest save a few cycles of the first load by the smallest tiles, at half as much energy
again, and wait for their transfers in a pipeline that the model does not see."""


class Choices(NamedTuple):
    """What may be installed.

    Attributes:
        l1_bytes, l2_bytes: Increasing sizes of a PE's buffer and of the shared one.
    """

    l1_bytes: tuple[int, ...]
    l2_bytes: tuple[int, ...]


@dataclass(frozen=True, repr=False)
class Best:
    """The best mapping of a layer, run once, for every pair of sizes: arrays (L1, L2).

    Attributes:
        point: Its place in the lattice; -1 where none fits.
        latency_cycles, energy_nj, dram_read_bytes, dram_write_bytes: Of it; 0 where none fits.
        valid: Whether one fits.
        floor: What the best has of the objective that fits; infinite where none does. Under
            ``latency`` what was taken is within ``LATENCY_SLACK`` of it.
        least: (2,) bytes of L1 and L2 that some mapping needs at least.
    """

    point: Ints
    latency_cycles: Ints
    energy_nj: Floats
    dram_read_bytes: Floats
    dram_write_bytes: Floats
    valid: Bools
    floor: Floats
    least: tuple[int, int]

    def rank(self, objective: str) -> Floats:
        """(2, L1, L2): by which mappings are compared, and where that is equal; infinite where none
        fits."""
        keys = _keys(objective, self.latency_cycles.astype(np.float64), self.energy_nj)
        return np.where(self.valid, np.stack(keys), np.inf)


def within(first: Floats, floor: Floats | float, objective: str) -> Bools:
    """What is as good as the best, given the first of what mappings are compared by."""
    near: Bools = first <= floor * (1 + (LATENCY_SLACK if objective == "latency" else 0.0))
    return near


def _keys(objective: str, cycles: Floats, spent: Floats) -> tuple[Floats, Floats]:
    """By which mappings are compared, and where that is equal."""
    keys = {"latency": (cycles, spent), "energy": (spent, cycles), "edp": (spent * cycles, cycles)}
    return keys[objective]


def extent_of(layer: Layer) -> tuple[Ints, Ints, Ints]:
    """A layer's extents (8,), strides (2,) and dilations (2,): one run of it.

    A depthwise layer has its channels as groups. A matrix product has its rows as output rows.
    """
    groups, channels = (layer.C, 1) if layer.is_depthwise else (1, layer.C)
    extent = [1, groups, layer.K, channels, layer.OY, layer.OX, layer.R, layer.S]
    return (
        np.array(extent, np.int64),
        np.array(layer.strides, np.int64),
        np.array(layer.dilations, np.int64),
    )


def lattice(
    layer: Layer,
    style: Template,
    rows: int,
    columns: int,
    choices: Choices,
    machine: Machine,
    *,
    finer: int = 1,
    least: bool = False,
    narrow: bool = False,
) -> Nests:
    """Every mapping of a template's lattice for a layer on an array.

    Tiles inside a PE are powers of two, or whole, along the template's free dimensions; L2 tiles
    are powers of two of the array's steps, or whole, along K, C and P (Q, where P takes one step),
    with G and B in single steps and the rest whole. Of these the lattice has the tiles that fill a
    buffer: that fit one of the sizes, which the next larger along any dimension does not. Where
    nothing fits it has the least.

    Args:
        layer: Whose mappings.
        style: The template.
        rows, columns: Of the array.
        choices: Sizes of buffers.
        machine: Bits of operands.
        finer: 1, or how many steps there are to a power of two; for tests.
        least: The tile inside a PE that needs least is among them, too.
        narrow: L2 tiles are cut along Q whatever P takes.

    Raises:
        ValueError: If rows or columns are not positive.
    """
    if rows < 1 or columns < 1:
        raise ValueError(f"an array has at least one row and one column, got {rows} x {columns}")
    extent, stride, dilation = extent_of(layer)
    size = dict(zip(DIMS, extent.tolist(), strict=True))
    inside = [
        _ladder(size[d], finer) if d in style.free else (size[d] if d in style.whole else 1,)
        for d in DIMS
    ]

    any_order = _positions(style.l1_order)

    def nests_of(tiles: Ints, spread: Ints, steps: Ints, dram: Ints, l2: Ints) -> Nests:
        return Nests.trusted(extent, tiles, spread, steps, dram, l2, any_order, stride, dilation)

    tiles = np.array(list(product(*inside)), np.int64)
    spread = _spread(style, size, tiles, rows, columns)
    one = np.ones(len(DIMS), np.int64)
    # The layer and the array are looked at here, and what is made of them is not again.
    probe = Nests(extent, tiles, spread, one, any_order, any_order, any_order, stride, dilation)
    l1 = l1_capacity(probe, machine, hold=style.hold)
    filling = _filling(l1.reshape([len(ladder) for ladder in inside]), choices.l1_bytes)
    if least:
        filling[l1.argmin()] = True
    tiles, spread = _distinct(tiles[filling], spread[filling])

    k, c, p, q = (DIMS.index(d) for d in "KCPQ")
    need = -(-extent // (tiles * spread))
    grids, index, shapes = [], [], []
    for i, wanted in enumerate(need):
        cut = [k, c, p, q] if narrow else [k, c, q if wanted[p] == 1 else p]
        shape, places = _grid(*(_ladder(int(wanted[d]), finer) for d in cut))
        grid = np.empty((len(places), len(DIMS)), np.int64)
        grid[:] = wanted
        grid[:, cut] = places
        grid[:, :2] = 1
        grids.append(grid)
        index.append(np.full(len(grid), i))
        shapes.append(shape)
    steps, of = np.concatenate(grids), np.concatenate(index)
    probe = nests_of(tiles[of], spread[of], steps, any_order, any_order)
    l2 = l2_capacity(probe, machine, hold=style.hold)
    ends = np.cumsum([len(g) for g in grids])
    filling = np.concatenate(
        [
            _filling(part.reshape(shape), choices.l2_bytes)
            for part, shape in zip(np.split(l2, ends[:-1]), shapes, strict=True)
        ]
    )
    steps, of = steps[filling], of[filling]
    # Where fewer than two dimensions are cut the order of their loops makes no difference.
    several = np.flatnonzero((steps < need[of]).sum(axis=1) > 1)
    parts = [np.arange(len(steps)) if not number else several for number in range(len(L2_ORDERS))]
    at = np.concatenate(parts)
    dram = np.repeat([_positions(o) for o in L2_ORDERS], [len(part) for part in parts], axis=0)
    orders = np.array([_positions(o) for o in style.orders])
    every = np.repeat(at, len(orders))
    return nests_of(
        tiles[of[every]],
        spread[of[every]],
        steps[every],
        np.repeat(dram, len(orders), axis=0),
        np.tile(orders, (len(at), 1)),
    )


@lru_cache(maxsize=1024)
def _ladder(size: int, finer: int) -> tuple[int, ...]:
    """1, 2, 4, ... and the size itself; ``finer`` rungs for each of these."""
    rungs, at = {1, size}, 1.0
    while at < size:
        rungs.add(round(at))
        at *= 2 ** (1 / finer)
    return tuple(sorted(rungs))


@lru_cache(maxsize=256)
def _grid(*ladders: tuple[int, ...]) -> tuple[tuple[int, ...], Ints]:
    """Its shape, and its places, a row each."""
    return tuple(map(len, ladders)), np.array(list(product(*ladders)), np.int64)


def _filling(needed: Ints, sizes: tuple[int, ...]) -> Bools:
    """Of a grid of tiles, by what they need: those that fill one of the sizes, or the least."""
    grid = needed.squeeze()
    rank = np.searchsorted(sizes, grid)  # of the least size that it fits
    larger = np.full(grid.shape, len(sizes))
    for axis in range(grid.ndim):
        before, after = [slice(None)] * grid.ndim, [slice(None)] * grid.ndim
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        np.minimum(larger[tuple(before)], rank[tuple(after)], out=larger[tuple(before)])
    found: Bools = np.asarray(rank < larger)
    flat = found.reshape(-1)
    if not flat.any():
        flat[needed.argmin()] = True
    return flat


def _spread(style: Template, size: dict[str, int], tiles: Ints, rows: int, columns: int) -> Ints:
    """PEs along each dimension, by each tile: what a dimension can use of what is left."""
    spread = np.ones_like(tiles)
    for dims, length in ((style.rows, rows), (style.columns, columns)):
        left = np.full(len(tiles), length)
        for d in dims:
            i = DIMS.index(d)
            wanted = -(-size[d] // (tiles[:, i] * spread[:, i]))
            got = np.minimum(wanted, left)
            spread[:, i] *= got
            left //= got
    return spread


def _distinct(*arrays: Ints) -> tuple[Ints, ...]:
    rows = np.unique(np.concatenate(arrays, axis=1), axis=0)
    return tuple(np.split(rows, len(arrays), axis=1))


def _positions(order: str) -> Ints:
    return np.array([order.index(d) for d in DIMS], np.int64)


def best(
    layer: Layer,
    style: Template,
    rows: int,
    columns: int,
    choices: Choices,
    machine: Machine,
    objective: str = "latency",
    *,
    finer: int = 1,
) -> Best:
    """The best mapping of the lattice for every pair of buffer sizes.

    Args:
        layer: Whose mapping.
        style: The template.
        rows, columns: Of the array.
        choices: Sizes of buffers.
        machine: Bandwidths, bits and constants.
        objective: One of :data:`OBJECTIVES`.
        finer: As :func:`lattice` has it.

    Raises:
        ValueError: If the objective is unknown, or as :func:`lattice`.
    """
    _, p = enumerate_profiles(layer, style, rows, columns, choices, machine, finer=finer)
    return choose(p, choices, machine, objective)


def enumerate_profiles(
    layer: Layer,
    style: Template,
    rows: int,
    columns: int,
    choices: Choices,
    machine: Machine,
    *,
    finer: int = 1,
) -> tuple[Nests, Profile]:
    """The mappings that fit the largest buffers, and what they take; if none does, the one that
    needs least."""
    nests = lattice(layer, style, rows, columns, choices, machine, finer=finer)
    return nests, profile(
        nests, machine, hold=style.hold, forward=style.forward, reduce=style.reduce
    )


def choose(p: Profile, choices: Choices, machine: Machine, objective: str) -> Best:
    """The best of mappings for every pair of sizes."""
    if objective not in OBJECTIVES:
        raise ValueError(nearest("objective", objective, OBJECTIVES))
    shape = len(choices.l1_bytes), len(choices.l2_bytes)
    l1_bytes, l2_bytes = (np.array(sizes)[:, None] for sizes in choices)
    each = energy(p, machine, l1_bytes, l2_bytes)
    point = np.full(shape, -1)
    spent, floor = np.zeros(shape), np.full(shape, np.inf)
    for i, size in enumerate(choices.l1_bytes):
        near = np.flatnonzero(p.l1_bytes <= size)
        if not near.size:
            continue
        cycles = p.latency_cycles[near].astype(np.float64)
        total = each.mac[near] + each.l1[i, near] + each.l2[:, near] + each.dram[near]
        first, second = _keys(objective, cycles, total)  # (N,), or (L2, N)
        fits = p.l2_bytes[near] <= l2_bytes
        first = np.where(fits, first, np.inf)
        floor[i] = first.min(axis=1)
        equal = fits & within(first, floor[i, :, None], objective)
        at = np.where(equal, second, np.inf).argmin(axis=1)
        valid = fits.any(axis=1)
        point[i], spent[i] = np.where(valid, near[at], -1), total[range(len(at)), at]
    valid = point >= 0
    taken = np.maximum(point, 0)
    return Best(
        point=point,
        latency_cycles=np.where(valid, p.latency_cycles[taken], 0),
        energy_nj=np.where(valid, spent, 0.0),
        dram_read_bytes=np.where(valid, p.dram_read_bytes[taken], 0.0),
        dram_write_bytes=np.where(valid, p.dram_write_bytes[taken], 0.0),
        valid=valid,
        floor=floor,
        least=(int(p.l1_bytes.min()), int(p.l2_bytes.min())),
    )
