"""SystolicSpace: what every array and SRAM costs every layer, computed once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym._names import nearest
from hwgym.core.metric import Metric
from hwgym.core.space import Axis
from hwgym.costs.systolic import DATAFLOWS, table
from hwgym.families.layered.design import LayerDesign, check_total, increasing, shape_of
from hwgym.hardware import Machine
from hwgym.hardware import machine as as_machine
from hwgym.workloads import Layer, Workload, load_workload

__all__ = ["COLUMN_LEVELS", "MIX", "ROW_LEVELS", "SRAM_LEVELS", "SystolicSpace"]

ROW_LEVELS = (2, 4, 8, 16, 32, 64, 128)
COLUMN_LEVELS = (2, 4, 8, 16, 32, 64, 128)
SRAM_LEVELS = tuple(1024 << i for i in range(10))
"""Bytes of each of the three SRAMs: of inputs, filters and results."""

MIX = "SystolicMIX"
"""The name of all dataflows, of which each layer gets one."""

SRAMS = 3


@dataclass(frozen=True, eq=False)
class SystolicSpace(LayerDesign):
    """Cost tables of one workload on systolic arrays: a row a layer, a column an action.

    An action is a level of rows, of columns and of SRAM and, if there are several dataflows, a
    dataflow; its number counts through them in that order, the last fastest. Arrays are read-only
    and shared: equal arguments to :meth:`of` give the same object.

    Attributes:
        workload: The layers, in the order of the rows.
        dataflows: Names; one, or those to choose from.
        row_levels, column_levels: Of the array.
        sram_levels: Bytes of each of the three SRAMs.
        machine: DRAM, clock, widths and silicon.
        latency_cycles, energy_nj: (layers, actions), int64 and float64, of all repeats of a layer.
        area_um2, power_mw: (layers, actions), float64.
        dram_read_bytes, dram_write_bytes: (layers, actions), int64, of all repeats.
        valid: (layers, actions), bool: the SRAMs hold what the array takes at once.
    """

    once: ClassVar[int] = 3

    workload: Workload
    dataflows: tuple[str, ...]
    row_levels: tuple[int, ...]
    column_levels: tuple[int, ...]
    sram_levels: tuple[int, ...]
    machine: Machine
    latency_cycles: Ints
    energy_nj: Floats
    area_um2: Floats
    power_mw: Floats
    dram_read_bytes: Ints
    dram_write_bytes: Ints
    valid: Bools

    @classmethod
    def of(
        cls,
        workload: Workload | str | os.PathLike[str] = "MobileNetV2",
        dataflow: str | Sequence[str] = "SystolicWS",
        *,
        row_levels: Sequence[int] = ROW_LEVELS,
        column_levels: Sequence[int] = COLUMN_LEVELS,
        sram_levels: Sequence[int] = SRAM_LEVELS,
        machine: Machine | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    ) -> SystolicSpace:
        """The tables of a workload, from the cache or computed.

        Args:
            workload: What :func:`hwgym.workloads.load_workload` takes.
            dataflow: ``SystolicWS``, ``SystolicOS``, ``SystolicIS``, ``SystolicMIX`` for all of
                them, or several names to choose from.
            row_levels, column_levels: Increasing positive integers.
            sram_levels: Bytes of each of the three SRAMs, likewise.
            machine: A :class:`~hwgym.hardware.Machine`, a mapping of its fields, or the path of a
                TOML file that describes one.

        Raises:
            ValueError: If a name is unknown, levels are not increasing positive integers, or a
                layer, or all together, cost more than can be counted exactly.
            OSError: If a file cannot be read.
        """
        return _space(
            load_workload(workload),
            _dataflows(dataflow),
            increasing("row_levels", row_levels),
            increasing("column_levels", column_levels),
            increasing("sram_levels", sram_levels),
            as_machine(machine),
        )

    def table(self, metric: Metric) -> Array:
        if metric.name == "edp":
            return self.energy_nj * self.latency_cycles
        table: Array = getattr(self, _COLUMNS[metric.name])
        return table

    @property
    def axes(self) -> tuple[Axis, ...]:
        axes = (
            Axis("rows", self.row_levels),
            Axis("columns", self.column_levels),
            Axis("SRAM bytes", self.sram_levels),
        )
        if len(self.dataflows) == 1:
            return axes
        return (*axes, Axis("dataflow", self.dataflows, "categorical"))

    @property
    def styles(self) -> str:
        return MIX if self.dataflows == tuple(DATAFLOWS) else "+".join(self.dataflows)

    @property
    def key(self) -> dict[str, Any]:
        return {
            **super().key,
            "dataflows": list(self.dataflows),
            "row_levels": list(self.row_levels),
            "column_levels": list(self.column_levels),
            "sram_levels": list(self.sram_levels),
            "machine": asdict(self.machine),
        }

    @property
    def description(self) -> dict[str, Any]:
        return {
            **super().description,
            "dataflow": list(self.dataflows),
            "row_levels": list(self.row_levels),
            "column_levels": list(self.column_levels),
            "sram_levels": list(self.sram_levels),
            "machine": asdict(self.machine),
        }

    def given(self, action: int) -> dict[str, Any]:
        axes = (self.row_levels, self.column_levels, self.sram_levels, self.dataflows)
        row, column, sram, style = np.unravel_index(action, [len(each) for each in axes])
        rows, columns = self.row_levels[row], self.column_levels[column]
        return {
            "rows": rows,
            "columns": columns,
            "pes": rows * columns,
            "sram_bytes": SRAMS * self.sram_levels[sram],
            "dataflow": self.dataflows[style],
        }

    def told(self) -> dict[str, Array]:
        return {"dram_read_bytes": self.dram_read_bytes, "dram_write_bytes": self.dram_write_bytes}

    @cached_property
    def dram_cycles(self) -> tuple[Floats, Floats]:
        bandwidth = self.machine.dram_bandwidth
        return self.dram_read_bytes / bandwidth, self.dram_write_bytes / bandwidth

    def __repr__(self) -> str:
        return f"<SystolicSpace {self.workload.name} {self.styles} {self.valid.shape}>"


_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "latency": "latency_cycles",
        "throughput": "latency_cycles",
        "energy": "energy_nj",
        "area": "area_um2",
        "power": "power_mw",
    }
)


def _dataflows(given: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(given, str):
        given = tuple(DATAFLOWS) if given == MIX else (given,)
    names = tuple(given)
    for name in names:
        if name not in list(DATAFLOWS):
            raise ValueError(nearest("dataflow", name, (*DATAFLOWS, MIX)))
    if not names:
        raise ValueError("a design space needs at least one dataflow")
    if len(set(names)) < len(names):
        raise ValueError(f"dataflows must differ, got {', '.join(names)}")
    return names


@lru_cache(maxsize=64)
def _space(
    workload: Workload,
    dataflows: tuple[str, ...],
    row_levels: tuple[int, ...],
    column_levels: tuple[int, ...],
    sram_levels: tuple[int, ...],
    machine: Machine,
) -> SystolicSpace:
    first: dict[Any, Layer] = {}
    for layer in workload:
        first.setdefault(shape_of(layer), layer)
    place = {shape: i for i, shape in enumerate(first)}
    index = np.array([place[shape_of(layer)] for layer in workload])
    tables = [
        table(list(first.values()), name, row_levels, column_levels, sram_levels, machine)
        for name in dataflows
    ]

    def joined(column: str) -> Array:
        """(layers, actions), the dataflow fastest."""
        parts = [getattr(t, column).reshape(len(first), -1) for t in tables]
        made: Array = np.stack(parts, axis=-1).reshape(len(first), -1)[index]
        made.setflags(write=False)
        return made

    valid, cycles = joined("valid"), joined("cycles")
    check_total(workload, np.where(valid, cycles, 0).max(axis=1).tolist(), "row_levels")
    return SystolicSpace(
        workload,
        dataflows,
        row_levels,
        column_levels,
        sram_levels,
        machine,
        cycles,
        joined("energy_nj"),
        joined("area_um2"),
        joined("power_mw"),
        joined("dram_read_bytes"),
        joined("dram_write_bytes"),
        valid,
    )
