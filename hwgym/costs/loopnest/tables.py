"""Tables: what every array and every size of buffers costs every layer, at its best mapping.

An array may leave rows and columns idle: what runs on a smaller one of those to choose from runs on
it, too.

A layer's tables are kept in memory, and on disk (:mod:`hwgym.costs.cache`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym._names import nearest
from hwgym.costs.cache import cache_file, read_arrays, write_arrays
from hwgym.costs.loopnest.lattice import (
    OBJECTIVES,
    Best,
    Choices,
    choose,
    enumerate_profiles,
    lattice,
    within,
)
from hwgym.costs.loopnest.model import BOUNDS, array_area_um2, energy, profile
from hwgym.costs.loopnest.nests import DIMS, Nests
from hwgym.costs.loopnest.templates import Template, template
from hwgym.costs.loopnest.version import VERSION
from hwgym.hardware.machine import Machine
from hwgym.workloads import Layer

__all__ = [
    "CHOICES",
    "L1_BYTES",
    "L2_BYTES",
    "SHAPES",
    "Detail",
    "Tables",
    "detail",
    "layer_key",
    "tabulate",
]

SHAPES = ((2, 4), (4, 4), (4, 8), (8, 8), (8, 16), (16, 16), (16, 32), (32, 32))
"""Rows and columns of arrays."""
L1_BYTES = (32, 64, 128, 256, 512, 1024)
L2_BYTES = tuple(1 << n for n in range(12, 20))
CHOICES = Choices(L1_BYTES, L2_BYTES)


@dataclass(frozen=True, eq=False, repr=False)
class Tables:
    """Of layers, each run once: arrays (layers, shapes, L1, L2), read-only.

    Attributes:
        latency_cycles: 0 where no mapping fits.
        energy_nj: MACs, all accesses and DRAM; 0 where no mapping fits.
        power_mw: Energy over time at the machine's clock.
        dram_read_bytes, dram_write_bytes: Moved.
        valid: Whether a mapping fits the buffers.
        area_um2: (shapes, L1, L2) of PEs and buffers.
        least: (layers, shapes, 2) bytes of L1 and L2 that a mapping needs at least.
    """

    latency_cycles: Ints
    energy_nj: Floats
    power_mw: Floats
    dram_read_bytes: Floats
    dram_write_bytes: Floats
    valid: Bools
    area_um2: Floats
    least: Ints

    @property
    def dram_bytes(self) -> Floats:
        """Read and written."""
        return self.dram_read_bytes + self.dram_write_bytes


@dataclass(frozen=True)
class Detail:
    """One layer, run once, on one array with its best mapping.

    Attributes:
        mapping: Loops as text, outermost first.
        tile, spread, steps: Of each dimension, by its letter.
        latency_cycles: In all.
        cycles: What each part takes, by name: computing, and transfers without the first load and
            last store, which stand beside them.
        bound: What takes the longest.
        energy_nj: By level: mac, l1, l2, dram.
        power_mw: Energy over time at the machine's clock.
        moved_bytes: Read and written in l1, l2 and dram; of dram each alone, too.
        needed_bytes: Of l1 and l2.
        utilization: MACs over cycles over PEs.
    """

    mapping: str
    tile: dict[str, int]
    spread: dict[str, int]
    steps: dict[str, int]
    latency_cycles: int
    cycles: dict[str, int]
    bound: str
    energy_nj: dict[str, float]
    power_mw: float
    moved_bytes: dict[str, float]
    needed_bytes: dict[str, int]
    utilization: float


def layer_key(layer: Layer) -> tuple[Any, ...]:
    """All that one run's cost depends on; layers that differ in their name only have the same."""
    shape = (layer.K, layer.C, layer.OY, layer.OX, layer.R, layer.S)
    return (layer.is_depthwise, *shape, *layer.strides, *layer.dilations)


def tabulate(
    layers: Sequence[Layer],
    style: str | Template,
    shapes: Sequence[tuple[int, int]] = SHAPES,
    choices: Choices = CHOICES,
    machine: Machine | None = None,
    objective: str = "latency",
    *,
    progress: Callable[[int, int], object] | None = None,
) -> Tables:
    """The best mapping of the template's lattice for every layer, array and pair of sizes.

    Args:
        layers: Whose tables.
        style: A template or its name.
        shapes: Rows and columns of arrays.
        choices: Sizes of buffers.
        machine: What is fixed.
        objective: What the best mapping is best in: ``latency``, ``energy`` or ``edp``; under
            ``latency`` the one of least energy within 1 % of the least latency.
        progress: Called after each layer with those done and all.

    Raises:
        ValueError: If a name is unknown, a list is empty or does not increase, or a number is not
            positive.
    """
    machine = machine or Machine()
    chosen = template(style)
    if objective not in OBJECTIVES:
        raise ValueError(nearest("objective", objective, OBJECTIVES))
    checked = _checked(shapes, choices)
    if not layers:
        raise ValueError("there are no layers")
    rows = []
    for done, layer in enumerate(layers, start=1):
        rows.append(_row(layer_key(layer), chosen, *checked, machine)[OBJECTIVES.index(objective)])
        if progress is not None:
            progress(done, len(layers))
    arrays = [np.stack([getattr(row, name) for row in rows]) for name in _ROW]
    cycles, spent, read, written, valid, least = arrays
    pes = np.array([r * c for r, c in checked[0]])[:, None, None]
    l1, l2 = np.array(checked[1].l1_bytes)[:, None], np.array(checked[1].l2_bytes)
    power = spent * 1e3 * machine.clock_ghz / np.maximum(cycles, 1)
    area = array_area_um2(machine, pes, l1, l2)
    found = Tables(cycles, spent, power, read, written, valid, area, least)
    for array in vars(found).values():
        array.setflags(write=False)
    return found


def detail(
    layer: Layer,
    style: str | Template,
    shape: tuple[int, int],
    l1_bytes: int,
    l2_bytes: int,
    machine: Machine | None = None,
    objective: str = "latency",
    *,
    shapes: Sequence[tuple[int, int]] = SHAPES,
    choices: Choices = CHOICES,
) -> Detail:
    """Where the time and the energy of one layer on one array go.

    Args:
        layer, style, machine, objective: As :func:`tabulate` has them.
        shape: Rows and columns.
        l1_bytes, l2_bytes: Installed: a PE's buffer, and the shared one.
        shapes, choices: What the table chooses from, which the lattice depends on; what is
            installed is added to it.

    Raises:
        ValueError: As :func:`tabulate`; or if no mapping fits, when the message says what is
            needed.
    """
    machine = machine or Machine()
    chosen = template(style)
    sizes = Choices(
        tuple(sorted({*choices.l1_bytes, l1_bytes})), tuple(sorted({*choices.l2_bytes, l2_bytes}))
    )
    _checked([shape], sizes)
    smaller = [s for s in shapes if s[0] <= shape[0] and s[1] <= shape[1]]
    installed = Choices((l1_bytes,), (l2_bytes,))
    tried = []
    for rows, columns in dict.fromkeys([tuple(shape), *smaller]):
        nests, p = enumerate_profiles(layer, chosen, rows, columns, sizes, machine)
        tried.append((choose(p, installed, machine, objective), nests, p))
    one, nests, p = tried[int(_best_of([each for each, _, _ in tried], objective)[0, 0])]
    if not one.valid[0, 0]:
        least = [min(each.least[i] for each, _, _ in tried) for i in range(2)]
        raise ValueError(
            f"layer {layer.name!r}: no mapping of {chosen.name} on {shape[0]} x {shape[1]} PEs "
            f"fits L1 {l1_bytes} and L2 {l2_bytes} bytes; the least that one needs is "
            f"{least[0]} of L1, and {least[1]} of L2"
        )
    at = int(one.point[0, 0])
    found, nest = p[at : at + 1], nests[at : at + 1]
    parts = dict(zip(BOUNDS, found.parts[0].tolist(), strict=True))
    spent = energy(found, machine, l1_bytes, l2_bytes)
    cycles = int(found.latency_cycles[0])
    tile, spread, steps = (
        dict(zip(DIMS, getattr(nest, name)[0].tolist(), strict=True))
        for name in ("tile", "spread", "steps")
    )
    return Detail(
        mapping=_loops(nest),
        tile=tile,
        spread=spread,
        steps=steps,
        latency_cycles=cycles,
        cycles=parts
        | {"first load": int(found.first_load[0]), "last store": int(found.last_store[0])},
        bound=found.bound[0],
        energy_nj={name: float(np.ravel(values)[0]) for name, values in vars(spent).items()},
        power_mw=float(np.ravel(spent.total)[0]) * 1e3 * machine.clock_ghz / cycles,
        moved_bytes={
            level: float(
                getattr(found, f"{level}_read_bytes")[0] + getattr(found, f"{level}_write_bytes")[0]
            )
            for level in ("l1", "l2", "dram")
        }
        | {
            f"dram {what}": float(getattr(found, f"dram_{what}_bytes")[0])
            for what in ("read", "write")
        },
        needed_bytes={"l1": int(found.l1_bytes[0]), "l2": int(found.l2_bytes[0])},
        utilization=layer.macs / layer.repeat / cycles / (shape[0] * shape[1]),
    )


def _loops(nest: Nests) -> str:
    """The loops of one nest: DRAM's, L2's, the array, a PE's."""
    extent, tile, spread, steps = (
        getattr(nest, name)[0] for name in ("extent", "tile", "spread", "steps")
    )
    span = tile * spread
    tiles = -(-extent // (span * steps))
    within = np.minimum(steps, -(-extent // span))
    levels = []
    for name, counts, order in (
        ("DRAM", tiles, nest.dram_order[0]),
        ("L2", within, nest.l2_order[0]),
        ("array", np.minimum(spread, extent), None),
        ("PE", np.minimum(tile, extent), nest.l1_order[0]),
    ):
        places = range(len(DIMS)) if order is None else np.argsort(order)
        loops = " ".join(f"{DIMS[d]}{counts[d]}" for d in places if counts[d] > 1)
        levels.append(f"{name}: {loops or '-'}")
    return "; ".join(levels)


_ROW = ("latency_cycles", "energy_nj", "dram_read_bytes", "dram_write_bytes", "valid", "least")


@dataclass(frozen=True, eq=False)
class _Row:
    """Of one layer under one objective: arrays (shapes, L1, L2), and (shapes, 2)."""

    latency_cycles: Ints
    energy_nj: Floats
    dram_read_bytes: Floats
    dram_write_bytes: Floats
    valid: Bools
    least: Ints


def _checked(
    shapes: Sequence[tuple[int, int]], choices: Choices
) -> tuple[tuple[tuple[int, int], ...], Choices]:
    arrays = []
    for given in shapes:
        pair = tuple(given)
        if len(pair) != 2 or any(isinstance(n, bool) or int(n) != n or n < 1 for n in pair):
            raise ValueError(f"an array is rows x columns, both positive integers; got {given!r}")
        arrays.append((int(pair[0]), int(pair[1])))
    if not arrays:
        raise ValueError("there are no arrays to choose from")
    sizes = []
    for what, levels in zip(Choices._fields, choices, strict=True):
        numbers = tuple(levels)
        if not numbers or any(isinstance(n, bool) or int(n) != n or n < 1 for n in numbers):
            raise ValueError(f"{what} must be positive integers, at least one; got {levels!r}")
        if any(b <= a for a, b in pairwise(numbers)):
            raise ValueError(f"{what} must increase, got {levels!r}")
        sizes.append(tuple(int(n) for n in numbers))
    return tuple(arrays), Choices(*sizes)


@lru_cache(maxsize=2048)  # some 40 kB each
def _row(
    key: tuple[Any, ...],
    style: Template,
    shapes: tuple[tuple[int, int], ...],
    choices: Choices,
    machine: Machine,
) -> tuple[_Row, ...]:
    """By objective."""
    path = cache_file(
        "loopnest", VERSION, [int(k) for k in key], asdict(style), shapes, choices, asdict(machine)
    )
    found = read_arrays(path, [f"{o}.{name}" for o in OBJECTIVES for name in _ROW])
    if found is not None:
        return tuple(_Row(*(found[f"{o}.{name}"] for name in _ROW)) for o in OBJECTIVES)
    depthwise, k, c, oy, ox, r, s, stride, column_stride, dilation, column_dilation = key
    layer = Layer(
        "layer",
        "DSCONV" if depthwise else "CONV",
        *(k, c, oy, ox, r, s),
        stride=stride,
        column_stride=column_stride,
        dilation=dilation,
        column_dilation=column_dilation,
    )
    # All arrays' mappings are analysed at once, which takes hardly longer than those of one.
    every = [lattice(layer, style, *shape, choices, machine) for shape in shapes]
    p = profile(
        Nests.joined(every), machine, hold=style.hold, forward=style.forward, reduce=style.reduce
    )
    ends = list(accumulate(map(len, every)))
    parts = [p[end - len(nests) : end] for nests, end in zip(every, ends, strict=True)]
    by_objective = [[choose(part, choices, machine, o) for part in parts] for o in OBJECTIVES]
    made = tuple(
        _with_idle_pes(shapes, one, objective)
        for one, objective in zip(by_objective, OBJECTIVES, strict=True)
    )
    rows_of = zip(OBJECTIVES, made, strict=True)
    write_arrays(path, {f"{o}.{n}": getattr(row, n) for o, row in rows_of for n in _ROW})
    return made


def _best_of(found: Sequence[Best], objective: str) -> Ints:
    """(L1, L2): which of several to take, by the rule for mappings."""
    ranks = np.stack([best.rank(objective) for best in found])  # (N, 2, L1, L2)
    floor = np.stack([best.floor for best in found]).min(axis=0)
    second = np.where(within(ranks[:, 0], floor, objective), ranks[:, 1], np.inf)
    taken: Ints = second.argmin(axis=0)
    return taken


def _with_idle_pes(
    shapes: Sequence[tuple[int, int]], found: Sequence[Best], objective: str
) -> _Row:
    """The best of each array and of those that fit inside it."""
    arrays = {name: np.stack([np.asarray(getattr(b, name)) for b in found]) for name in _ROW}
    rows, columns = np.array(shapes).T
    taken: dict[str, list[Array]] = {name: [] for name in _ROW}
    for own in range(len(shapes)):
        inside = np.flatnonzero((rows <= rows[own]) & (columns <= columns[own]))
        inside = np.append(own, inside[inside != own])  # of equals, its own
        at = inside[_best_of([found[int(i)] for i in inside], objective)]
        for name in _ROW[:-1]:
            taken[name].append(np.take_along_axis(arrays[name], at[None], axis=0)[0])
        taken["least"].append(arrays["least"][inside].min(axis=0))
    return _Row(*(np.stack(taken[name]) for name in _ROW))
