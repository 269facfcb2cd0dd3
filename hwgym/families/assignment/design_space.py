"""DesignSpace: what every choice costs every layer, computed once."""

from __future__ import annotations

import math
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from threading import Lock
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym._names import nearest
from hwgym.core.metric import Metric
from hwgym.core.space import Axis
from hwgym.costs.maestro import (
    CLUSTER_SIZES,
    CLUSTERED,
    CONFUCIUX_EYERISS,
    DATAFLOWS,
    Dataflow,
    Shapes,
    dataflow,
    evaluate,
)
from hwgym.families.assignment.accounting import COMPLETE, MAESTRO, Accounting, accounting
from hwgym.families.layered import LayerDesign
from hwgym.families.layered.design import MOST_CYCLES, check_total, increasing
from hwgym.hardware import Hardware
from hwgym.workloads import LAYER_KINDS, Layer, Workload, load_workload

__all__ = [
    "FINE_PE_LEVELS",
    "MIX",
    "MIXES",
    "MOST_CYCLES",
    "PE_LEVELS",
    "TILE_LEVELS",
    "DesignSpace",
]

PE_LEVELS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128)
TILE_LEVELS = tuple(range(1, 13))
FINE_PE_LEVELS = tuple(range(1, 129))
MIX = ("NVDLA", "Eyeriss", "ShiDianNao")
"""What the dataflow ``"MIX"`` lets an agent choose from, for every layer."""
MIXES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"MIX": MIX, **{name: tuple(f"{name}:{size}" for size in CLUSTER_SIZES) for name in CLUSTERED}}
)
"""Names of several dataflows, of which each layer gets one: ``"MIX"``, and those whose cluster size
is a choice."""

_Dataflow = str | Dataflow | Mapping[str, Any]

_COLUMNS = {
    "latency": ("latency_cycles",),
    "throughput": ("latency_cycles",),
    "energy": ("energy_nj",),
    "edp": ("energy_nj", "latency_cycles"),
    "area": ("area_um2",),
    "power": ("power_mw",),
}
"""The tables that make a metric, multiplied."""


@dataclass(frozen=True, eq=False)
class DesignSpace(LayerDesign):
    """Cost tables of one workload: a row a layer, a column an action.

    An action is a PE level, a buffer level and, if there are several dataflows, a dataflow; its
    number counts through them in that order, the last fastest. Arrays are read-only and shared:
    equal arguments to :meth:`of` give the same object.

    Attributes:
        workload: The layers, in the order of the rows.
        dataflows: One, or those to choose from.
        pe_levels, tile_levels: PE counts; filters (channels) held per PE.
        hardware: Interconnect, lanes and technology.
        accounting: Which of the cost model's columns count.
        latency_cycles, energy_nj: (layers, actions), int64 and float64, of all repeats of a layer.
            Over the layers, cycles add up to no more than :data:`MOST_CYCLES`.
        area_um2, power_mw: (layers, actions), float64.
        l1_bytes, l2_bytes: (layers, actions), int64: buffer per PE, shared buffer.
        valid: (layers, actions), bool.
    """

    workload: Workload
    dataflows: tuple[Dataflow, ...]
    pe_levels: tuple[int, ...]
    tile_levels: tuple[int, ...]
    hardware: Hardware
    accounting: Accounting
    latency_cycles: Ints
    energy_nj: Floats
    area_um2: Floats
    power_mw: Floats
    l1_bytes: Ints
    l2_bytes: Ints
    valid: Bools

    @classmethod
    def of(
        cls,
        workload: Workload | str | os.PathLike[str] = "MobileNetV2",
        dataflow: _Dataflow | Sequence[_Dataflow] = "NVDLA",
        *,
        released: bool = False,
        pe_levels: Sequence[int] = PE_LEVELS,
        tile_levels: Sequence[int] = TILE_LEVELS,
        hardware: Hardware | Mapping[str, Any] | str | os.PathLike[str] | None = None,
        accounting: Accounting | str | None = None,
    ) -> DesignSpace:
        """The tables of a workload, from the cache or computed.

        Args:
            workload: What :func:`hwgym.workloads.load_workload` takes: a workload, the name of a
                model of the zoo, or the path of a CSV or ONNX file.
            dataflow: A dataflow, its name or file as :func:`hwgym.costs.maestro.dataflow` takes
                them, a name of :data:`MIXES`, or several of all these to choose from.
            released: As ConfuciuX's released code has it: names are those of its layer tables,
                ``"Eyeriss"`` is its own Eyeriss, and the accounting is MAESTRO's if none is given.
            pe_levels, tile_levels: Increasing positive integers.
            hardware: A hardware, a mapping of its fields, or the path of a TOML file that describes
                one; by default ConfuciuX's flags. Where no technology is given it is the
                accounting's.
            accounting: One, or a key of
                :data:`hwgym.families.assignment.accounting.ACCOUNTINGS`; by default ``COMPLETE``.

        Raises:
            ValueError: If a name is unknown, levels are not increasing positive integers, or a file
                is not what it should be; if a layer, or all together, cost more than can be
                counted exactly.
            OSError: If a file cannot be read.
        """
        if not isinstance(released, bool):
            raise ValueError(f"released must be True or False, got {released!r}")
        counted = _accounting(accounting, released=released)
        return _design_space(
            load_workload(workload, released=released),
            _dataflows(dataflow, released=released),
            increasing("pe_levels", pe_levels),
            increasing("tile_levels", tile_levels),
            _hardware(hardware, counted),
            counted,
        )

    def table(self, metric: Metric) -> Array:
        """(layers, actions): what each choice adds to a metric, layer by layer."""
        names = _COLUMNS[metric.name]
        table: Array = getattr(self, names[0])
        for name in names[1:]:
            table = table * getattr(self, name)
        return table

    @property
    def shape(self) -> tuple[int, ...]:
        """How many PE levels, buffer levels and (if more than one) dataflows."""
        levels = (len(self.pe_levels), len(self.tile_levels))
        return levels if len(self.dataflows) == 1 else (*levels, len(self.dataflows))

    @property
    def styles(self) -> str:
        """The names of the dataflows; one name for all the cluster sizes of one."""
        names = [d.name for d in self.dataflows]
        for mix in CLUSTERED:
            if set(MIXES[mix]) <= set(names):
                place = names.index(MIXES[mix][0])
                names = [n for n in names if n not in MIXES[mix]]
                names.insert(place, mix)
        return "+".join(names)

    @property
    def num_actions(self) -> int:
        """The product of :attr:`shape`."""
        return math.prod(self.shape)

    def encode(self, levels: ArrayLike) -> Ints:
        """Action numbers (...) of level indices (..., 2), with a third where dataflows mix.

        Raises:
            ValueError: If the last axis is not that of :attr:`shape`, or an index is out of range.
        """
        indices = np.asarray(levels)
        if indices.dtype.kind not in "iu" or indices.shape[-1:] != (len(self.shape),):
            raise ValueError(
                f"levels must be integers of shape (..., {len(self.shape)}), "
                f"got {indices.dtype} of shape {indices.shape}"
            )
        if indices.size and any(
            indices[..., axis].min() < 0 or indices[..., axis].max() >= count
            for axis, count in enumerate(self.shape)
        ):
            raise ValueError(f"level indices must lie in 0..{[n - 1 for n in self.shape]}")
        actions: Ints = indices[..., 0].astype(np.int64)
        for axis, count in enumerate(self.shape[1:], start=1):
            actions *= count
            actions += indices[..., axis].astype(np.int64, copy=False)
        return actions

    def decode(self, actions: ArrayLike) -> Ints:
        """Level indices (..., 2 or 3) of action numbers (...)."""
        return np.stack(np.unravel_index(np.asarray(actions), self.shape), axis=-1).astype(np.int64)

    def describe(self, action: int) -> tuple[int, int, str]:
        """PEs, filters per PE and dataflow of an action number."""
        levels = self.decode(action)
        style = self.dataflows[int(levels[2]) if len(self.dataflows) > 1 else 0]
        return self.pe_levels[levels[0]], self.tile_levels[levels[1]], style.name

    def given(self, action: int) -> dict[str, Any]:
        return dict(zip(("pes", "tile", "dataflow"), self.describe(action), strict=True))

    def told(self) -> dict[str, Array]:
        return {"l1_bytes": self.l1_bytes, "l2_bytes": self.l2_bytes}

    @property
    def lanes(self) -> int:
        return int(self.hardware.arrays()["simd_lanes"])

    # --- what it says to a problem ----------------------------------------------------------------

    @property
    def axes(self) -> tuple[Axis, ...]:
        axes = (Axis("PEs", self.pe_levels), Axis("filters per PE", self.tile_levels))
        if len(self.dataflows) == 1:
            return axes
        return (*axes, Axis("dataflow", tuple(d.name for d in self.dataflows), "categorical"))

    @property
    def features(self) -> Floats:
        """(layers, 7) in [0, 1]: K, C, Y, X, R, S on a log scale, relative to the workload's
        greatest, and the kind."""
        layers = self.workload
        sizes = np.log2(1.0 + np.array([layer.shape[:6] for layer in layers], dtype=np.float64))
        kind = [LAYER_KINDS.index(layer.kind) / (len(LAYER_KINDS) - 1) for layer in layers]
        features: Floats = np.column_stack([sizes / sizes.max(axis=0), kind])
        return features

    @property
    def alike(self) -> Ints:
        return self.workload.unique()[1]

    @property
    def known(self) -> dict[str, Any]:
        """``workload``, ``dataflows``, ``pe_levels``, ``tile_levels`` and ``hardware``: what is
        described, as it is; for agents that learnt on other problems."""
        names = ("workload", "dataflows", "pe_levels", "tile_levels", "hardware")
        return {name: getattr(self, name) for name in names}

    @property
    def key(self) -> dict[str, Any]:
        return {
            "workload": self.workload.name,
            "layers": [[*layer.shape, layer.repeat] for layer in self.workload],
            "dataflows": [d.name for d in self.dataflows],
            "directives": [str(d) for d in self.dataflows],
            "pe_levels": list(self.pe_levels),
            "tile_levels": list(self.tile_levels),
            "technology": asdict(self.hardware.tech),
            "hardware": {n: int(v) for n, v in self.hardware.arrays().items()},
            "accounting": self.accounting.name,
        }

    @property
    def description(self) -> dict[str, Any]:
        """What :meth:`of` makes it from again, where the accounting has a name that it knows."""
        return {
            "workload": asdict(self.workload),
            "dataflow": [
                d.name if DATAFLOWS.get(d.name) == d else d.to_dict() for d in self.dataflows
            ],
            "pe_levels": list(self.pe_levels),
            "tile_levels": list(self.tile_levels),
            "hardware": asdict(self.hardware),
            "accounting": self.accounting.name,
        }

    def __repr__(self) -> str:
        return f"<DesignSpace {self.workload.name} {self.styles} {self.latency_cycles.shape}>"


def _accounting(given: Accounting | str | None, *, released: bool) -> Accounting:
    if given is None:
        return MAESTRO if released else COMPLETE
    return accounting(given)


def _dataflows(given: _Dataflow | Sequence[_Dataflow], *, released: bool) -> tuple[Dataflow, ...]:
    if isinstance(given, str | Dataflow | Mapping):
        given = (given,)
    each = [d for g in given for d in (MIXES.get(g, (g,)) if isinstance(g, str) else (g,))]
    if released:
        each = [CONFUCIUX_EYERISS if d == "Eyeriss" else d for d in each]
    styles = tuple(_dataflow(d) for d in each)
    if not styles:
        raise ValueError("a design space needs at least one dataflow")
    if len({d.name for d in styles}) < len(styles):
        raise ValueError(f"dataflows must differ, got {[d.name for d in styles]}")
    return styles


def _dataflow(given: _Dataflow) -> Dataflow:
    if isinstance(given, str) and given not in DATAFLOWS and not set(given) & set(".:"):
        raise ValueError(nearest("dataflow", given, (*DATAFLOWS, *MIXES)))  # neither file nor size
    return dataflow(given)


def _hardware(
    given: Hardware | Mapping[str, Any] | str | os.PathLike[str] | None, counted: Accounting
) -> Hardware:
    """One hardware, of plain numbers, so that equal ones are one key of the caches."""
    if given is None:
        given = {}
    if isinstance(given, Mapping):
        allowed = (*Hardware.numbers(), "technology")
        for name in given:
            if name not in allowed:
                raise ValueError(nearest("hardware field", name, allowed))
        given = Hardware(**{"technology": counted.technology, **given})
    elif isinstance(given, str | os.PathLike):
        given = Hardware.from_toml(given)
    elif not isinstance(given, Hardware):
        raise ValueError(
            f"hardware must be a Hardware, a mapping of its fields or a TOML file, got {given!r}"
        )
    if any(np.ndim(getattr(given, n)) for n in Hardware.numbers()):
        raise ValueError("a design space has one hardware: give numbers, not arrays")
    numbers = {n: int(v) for n, v in given.arrays().items()}
    return Hardware(**numbers, technology=given.technology)


@lru_cache(maxsize=256)
def _design_space(
    workload: Workload,
    dataflows: tuple[Dataflow, ...],
    pe_levels: tuple[int, ...],
    tile_levels: tuple[int, ...],
    hardware: Hardware,
    accounting: Accounting,
) -> DesignSpace:
    first: dict[Any, Layer] = {}
    for layer in workload:
        first.setdefault(layer.shape, layer)
    place = {shape: i for i, shape in enumerate(first)}
    index = np.array([place[layer.shape] for layer in workload])
    parts = [
        ROWS.of(list(first.values()), _Choices(d, pe_levels, tile_levels, hardware, accounting))
        for d in dataflows
    ]
    most = [max(_most_cycles(rows[i]) for rows in parts) for i in index]
    runs = [layer.repeat * each for layer, each in zip(workload, most, strict=True)]
    check_total(workload, runs, "pe_levels")
    repeat = np.array([[layer.repeat] for layer in workload])
    tables: dict[str, Array] = {}
    for name in _Row._fields:
        by_dataflow = [np.stack([getattr(row, name) for row in rows]) for rows in parts]
        table = np.stack(by_dataflow, axis=-1).reshape(len(first), -1)[index]
        if name in ("latency_cycles", "energy_nj"):
            table *= repeat
        table.setflags(write=False)
        tables[name] = table
    return DesignSpace(workload, dataflows, pe_levels, tile_levels, hardware, accounting, **tables)


def _most_cycles(row: _Row) -> int:
    return int(np.abs(row.latency_cycles).max())


class _Choices(NamedTuple):
    """All but the layer that a row depends on."""

    dataflow: Dataflow
    pe_levels: tuple[int, ...]
    tile_levels: tuple[int, ...]
    hardware: Hardware
    accounting: Accounting


class _Row(NamedTuple):
    """What every PE and buffer level costs one layer, run once: arrays (PE levels x tiles,)."""

    latency_cycles: Ints
    energy_nj: Floats
    area_um2: Floats
    power_mw: Floats
    l1_bytes: Ints
    l2_bytes: Ints
    valid: Bools


class _Rows:
    """Rows by layer shape and choices: a layer that another network has, too, is there already.

    Those used least recently go once there are more than ``most`` table entries.
    """

    def __init__(self, most: int) -> None:
        self._most, self._entries = most, 0
        self._rows: OrderedDict[tuple[Any, _Choices], _Row] = OrderedDict()
        self._lock = Lock()

    def of(self, layers: Sequence[Layer], choices: _Choices) -> list[_Row]:
        """The rows of layers; those missing are evaluated together."""
        with self._lock:
            found = {layer.shape: self._rows.get((layer.shape, choices)) for layer in layers}
            for shape, row in found.items():
                if row is not None:
                    self._rows.move_to_end((shape, choices))
        # Two threads may evaluate the same: both get it right, and one is kept.
        missing = [layer for layer in layers if found[layer.shape] is None]
        if missing:
            new = dict(
                zip((layer.shape for layer in missing), _evaluate(missing, choices), strict=True)
            )
            with self._lock:
                for shape, row in new.items():
                    self._keep((shape, choices), row)
            found |= new
        return [row for layer in layers if (row := found[layer.shape]) is not None]

    def _keep(self, key: tuple[Any, _Choices], row: _Row) -> None:
        replaced = self._rows.pop(key, None)
        self._entries += row.valid.size - (0 if replaced is None else replaced.valid.size)
        self._rows[key] = row
        while self._entries > self._most and len(self._rows) > 1:
            _, oldest = self._rows.popitem(last=False)
            self._entries -= oldest.valid.size


ROWS = _Rows(most=1 << 21)  # 49 bytes each: about 100 MB
"""The rows that all design spaces share."""


def _evaluate(layers: Sequence[Layer], choices: _Choices) -> list[_Row]:
    style, pe_levels, tile_levels, hardware, counted = choices
    shapes = Shapes.of(layers).reshape(-1, 1, 1)
    costs = evaluate(shapes, style, np.array(pe_levels)[:, None], np.array(tile_levels), hardware)
    columns = _Row(
        getattr(costs, counted.latency),
        getattr(costs, counted.energy),
        getattr(costs, counted.area),
        getattr(costs, counted.power),
        costs.l1_bytes,
        costs.l2_bytes,
        counted.valid(costs),
    )
    rows = []
    for i in range(len(layers)):
        row = _Row(*(column[i].flatten() for column in columns))  # a copy: the rest may go
        for array in row:
            array.setflags(write=False)
        rows.append(row)
    return rows
