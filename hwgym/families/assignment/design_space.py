"""DesignSpace: what every choice costs every layer, computed once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwgym._names import nearest
from hwgym.costs.maestro import (
    DATAFLOW_FILES,
    DATAFLOWS,
    MAESTRO_2019,
    MAESTRO_2021,
    Costs,
    Dataflow,
    Hardware,
    Shapes,
    dataflow,
    evaluate,
)
from hwgym.hardware import integers
from hwgym.workloads import Workload, workload

__all__ = ["ACCOUNTINGS", "FINE_PE_LEVELS", "MIX", "PE_LEVELS", "TILE_LEVELS", "DesignSpace"]

PE_LEVELS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128)
TILE_LEVELS = tuple(range(1, 13))
FINE_PE_LEVELS = tuple(range(1, 129))
MIX = ("NVDLA", "Eyeriss", "ShiDianNao")
"""What the dataflow ``"MIX"`` lets an agent choose from, for every layer."""

ACCOUNTINGS = {
    "complete": MAESTRO_2019,
    "maestro": MAESTRO_2021,
}
"""How costs are counted, with the technology each takes by default.

``complete``: area and power of PEs and buffers, energy of MACs and all L1 and L2 accesses, a point
valid only if it does the layer's work within the array's peak (``Costs.valid``). ``maestro``: area
and power with bus and arbiter, energy as MAESTRO prints it, a point valid if runtime, MACs and
energy are positive; that is ConfuciuX's released problem.
"""


@dataclass(frozen=True, eq=False)
class DesignSpace:
    """Cost tables of one workload: a row a layer, a column an action.

    An action is a PE level, a buffer level and, if there are several dataflows, a dataflow; its
    number counts through them in that order, the last fastest. Arrays are read-only and shared:
    equal arguments to :meth:`of` give the same object.

    Attributes:
        workload: The layers, in the order of the rows.
        dataflows: One, or those to choose from.
        pe_levels, tile_levels: PE counts; filters (channels) held per PE.
        hardware: Interconnect, lanes and technology.
        accounting: A key of :data:`ACCOUNTINGS`.
        latency_cycles, energy_nj: (layers, actions), int64 and float64, of all repeats of a layer.
        area_um2, power_mw: (layers, actions), float64.
        l1_bytes, l2_bytes: (layers, actions), int64: buffer per PE, shared buffer.
        valid: (layers, actions), bool.
    """

    workload: Workload
    dataflows: tuple[Dataflow, ...]
    pe_levels: tuple[int, ...]
    tile_levels: tuple[int, ...]
    hardware: Hardware
    accounting: str
    latency_cycles: NDArray[np.int64]
    energy_nj: NDArray[np.float64]
    area_um2: NDArray[np.float64]
    power_mw: NDArray[np.float64]
    l1_bytes: NDArray[np.int64]
    l2_bytes: NDArray[np.int64]
    valid: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        layers: Workload | str,
        dataflows: str | Dataflow | Sequence[str | Dataflow] = "NVDLA",
        *,
        pe_levels: Sequence[int] = PE_LEVELS,
        tile_levels: Sequence[int] = TILE_LEVELS,
        hardware: Hardware | str | None = None,
        accounting: str = "complete",
    ) -> DesignSpace:
        """The tables of a workload, from the cache or computed.

        Args:
            layers: A workload or the name of a model of the zoo.
            dataflows: One, several to choose from, or ``"MIX"`` for :data:`MIX`.
            pe_levels, tile_levels: Increasing positive integers.
            hardware: A hardware, or the path of a TOML file that describes one; by default
                ConfuciuX's flags with the accounting's technology.
            accounting: ``"complete"`` or ``"maestro"``; see :data:`ACCOUNTINGS`.

        Raises:
            ValueError: If a name is unknown, levels are not increasing positive integers, or a file
                is not what it should be.
        """
        if accounting not in ACCOUNTINGS:
            raise ValueError(nearest("accounting", accounting, ACCOUNTINGS))
        if not isinstance(layers, Workload | str):
            raise ValueError(f"a workload, or the name of one, is needed, got {layers!r}")
        if isinstance(dataflows, str | Dataflow):
            dataflows = MIX if dataflows == "MIX" else (dataflows,)
        styles = tuple(_dataflow(d) for d in dataflows)
        if len({d.name for d in styles}) < len(styles):
            raise ValueError(f"dataflows must differ, got {[d.name for d in styles]}")
        if isinstance(hardware, str):
            hardware = Hardware.from_toml(hardware)
        hardware = hardware or Hardware(technology=ACCOUNTINGS[accounting])
        if any(np.ndim(getattr(hardware, n)) for n in Hardware.numbers()):
            raise ValueError("a design space has one hardware: give numbers, not arrays")
        numbers = {n: int(v) for n, v in hardware.arrays().items()}
        hardware = Hardware(**numbers, technology=hardware.technology)
        if not styles:
            raise ValueError("a design space needs at least one dataflow")
        return _design_space(
            workload(layers) if isinstance(layers, str) else layers,
            styles,
            _levels("pe_levels", pe_levels),
            _levels("tile_levels", tile_levels),
            hardware,
            accounting,
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """How many PE levels, buffer levels and (if more than one) dataflows."""
        levels = (len(self.pe_levels), len(self.tile_levels))
        return levels if len(self.dataflows) == 1 else (*levels, len(self.dataflows))

    @property
    def num_actions(self) -> int:
        """The product of :attr:`shape`."""
        return math.prod(self.shape)

    def encode(self, levels: ArrayLike) -> NDArray[np.int64]:
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
        actions: NDArray[np.int64] = indices[..., 0].astype(np.int64)
        for axis, count in enumerate(self.shape[1:], start=1):
            actions *= count
            actions += indices[..., axis].astype(np.int64, copy=False)
        return actions

    def decode(self, actions: ArrayLike) -> NDArray[np.int64]:
        """Level indices (..., 2 or 3) of action numbers (...)."""
        return np.stack(np.unravel_index(np.asarray(actions), self.shape), axis=-1).astype(np.int64)

    def describe(self, action: int) -> tuple[int, int, str]:
        """PEs, filters per PE and dataflow of an action number."""
        levels = self.decode(action)
        style = self.dataflows[int(levels[2]) if len(self.dataflows) > 1 else 0]
        return self.pe_levels[levels[0]], self.tile_levels[levels[1]], style.name

    def __repr__(self) -> str:
        styles = "+".join(d.name for d in self.dataflows)
        return f"<DesignSpace {self.workload.name} {styles} {self.latency_cycles.shape}>"


def _dataflow(given: str | Dataflow) -> Dataflow:
    if isinstance(given, str) and given not in DATAFLOWS and not given.endswith(DATAFLOW_FILES):
        raise ValueError(nearest("dataflow", given, (*DATAFLOWS, "MIX")))
    return dataflow(given)


def _levels(what: str, given: Sequence[int]) -> tuple[int, ...]:
    levels = integers(what, given)
    if levels.ndim != 1 or not levels.size:
        raise ValueError(f"{what} must be a list of at least one level, got {given!r}")
    if np.any(np.diff(levels) <= 0):
        raise ValueError(f"{what} must increase, got {given!r}")
    return tuple(levels.tolist())


@lru_cache(maxsize=256)
def _design_space(
    layers: Workload,
    dataflows: tuple[Dataflow, ...],
    pe_levels: tuple[int, ...],
    tile_levels: tuple[int, ...],
    hardware: Hardware,
    accounting: str,
) -> DesignSpace:
    distinct, index = layers.unique()
    shapes = Shapes.of(distinct).reshape(-1, 1, 1)
    repeat = np.array([layer.repeat for layer in distinct])[:, None, None]
    parts = [
        _tables(
            evaluate(shapes, style, np.array(pe_levels)[:, None], np.array(tile_levels), hardware),
            repeat,
            accounting,
        )
        for style in dataflows
    ]
    tables = {}
    for name in parts[0]:
        table = np.stack([part[name] for part in parts], axis=-1).reshape(len(distinct), -1)[index]
        table.setflags(write=False)
        tables[name] = table
    return DesignSpace(layers, dataflows, pe_levels, tile_levels, hardware, accounting, **tables)


def _tables(
    costs: Costs, repeat: NDArray[np.int64], accounting: str
) -> dict[str, NDArray[np.generic]]:
    complete = accounting == "complete"
    released_valid = (costs.runtime_cycles > 0) & (costs.num_macs > 0) & (costs.energy_nj > 0)
    return {
        "latency_cycles": costs.runtime_cycles * repeat,
        "energy_nj": (costs.total_energy_nj if complete else costs.energy_nj) * repeat,
        "area_um2": costs.array_area_um2 if complete else costs.area_um2,
        "power_mw": costs.array_power_mw if complete else costs.power_mw,
        "l1_bytes": costs.l1_bytes,
        "l2_bytes": costs.l2_bytes,
        "valid": costs.valid if complete else costs.mappable & released_valid,
    }
