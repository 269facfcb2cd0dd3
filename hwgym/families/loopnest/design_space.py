"""LoopnestDesign: what every array, every size of buffers and every template costs every layer."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym._names import nearest
from hwgym.core.metric import Metric
from hwgym.core.space import Axis
from hwgym.costs.loopnest import (
    L1_BYTES,
    L2_BYTES,
    SHAPES,
    TEMPLATES,
    Choices,
    Template,
    layer_key,
    tabulate,
)
from hwgym.costs.loopnest import template as as_template
from hwgym.families.layered.design import LayerDesign, check_total, increasing
from hwgym.hardware import Machine, integers
from hwgym.hardware import machine as as_machine
from hwgym.workloads import Layer, Workload, load_workload

__all__ = ["MIX", "MIXES", "LoopnestDesign"]

MIX = tuple(TEMPLATES)
MIXES: Mapping[str, tuple[str, ...]] = MappingProxyType({"MIX": MIX})
"""Names of several templates, of which each layer gets one."""

_Template = str | Template | Mapping[str, Any]

MAPPED_FOR = {"latency": "latency", "throughput": "latency", "energy": "energy", "edp": "edp"}
"""What the mapping of a design point is best in, by the problem's objective."""


@dataclass(frozen=True, eq=False, repr=False)
class LoopnestDesign(LayerDesign):
    """Tables of a network: a row a layer, a column an action.

    An action is an array, L1 bytes of a PE, L2 bytes and, if there are several, a template; its
    number counts through them in that order, the last fastest. Equal arguments to :meth:`of` give
    the same object.

    Attributes:
        workload: The layers, in the order of the rows.
        templates: One, or those to choose from.
        shapes: Rows and columns of arrays.
        l1_levels, l2_levels: Bytes of a PE's buffer, and of the shared one.
        machine: What is fixed.
        mapped_for: What mappings are best in: ``latency``, ``energy`` or ``edp``.
        latency_cycles, energy_nj: (layers, actions), of all repeats of a layer.
        dram_read_bytes, dram_write_bytes: (layers, actions), likewise.
        area_um2, power_mw: (layers, actions) of one partition.
        valid: (layers, actions): a mapping fits.
    """

    workload: Workload
    templates: tuple[Template, ...]
    shapes: tuple[tuple[int, int], ...]
    l1_levels: tuple[int, ...]
    l2_levels: tuple[int, ...]
    machine: Machine
    mapped_for: str
    latency_cycles: Ints
    energy_nj: Floats
    dram_read_bytes: Floats
    dram_write_bytes: Floats
    area_um2: Floats
    power_mw: Floats
    valid: Bools

    once: ClassVar[int] = 3

    @classmethod
    def of(
        cls,
        workload: Workload | str | os.PathLike[str] = "MobileNetV2",
        template: _Template | Sequence[_Template] = "NVDLA",
        *,
        shapes: Sequence[Sequence[int]] = SHAPES,
        l1_levels: Sequence[int] = L1_BYTES,
        l2_levels: Sequence[int] = L2_BYTES,
        machine: Machine | Mapping[str, Any] | str | os.PathLike[str] | None = None,
        mapped_for: str = "latency",
    ) -> LoopnestDesign:
        """The tables of a network, from the cache or computed.

        Args:
            workload: What :func:`hwgym.workloads.load_workload` takes.
            template: A template, its name, a mapping of its fields, a name of :data:`MIXES`, or
                several of all these to choose from.
            shapes: Rows and columns of arrays.
            l1_levels, l2_levels: Bytes, increasing.
            machine: A machine, a mapping of its fields, or the path of a TOML file.
            mapped_for: What mappings are best in, or an objective, for which it is known.

        Raises:
            ValueError: If a name is unknown, or a list is not what it should be.
            OSError: If a file cannot be read.
        """
        if mapped_for not in MAPPED_FOR:
            raise ValueError(nearest("objective", mapped_for, MAPPED_FOR))
        return _design(
            load_workload(workload),
            _templates(template),
            _shapes(shapes),
            increasing("l1_levels", l1_levels),
            increasing("l2_levels", l2_levels),
            as_machine(machine),
            MAPPED_FOR[mapped_for],
        )

    # --- what a design says ---------------------------------------------------------------------

    @property
    def styles(self) -> str:
        names = [each.name for each in self.templates]
        return "MIX" if tuple(names) == MIX else "+".join(names)

    @property
    def axes(self) -> tuple[Axis, ...]:
        arrays = tuple(f"{rows}x{columns}" for rows, columns in self.shapes)
        axes = [Axis("array", arrays), Axis("L1", self.l1_levels), Axis("L2", self.l2_levels)]
        if len(self.templates) > 1:
            names = tuple(each.name for each in self.templates)
            axes.append(Axis("template", names, "categorical"))
        return tuple(axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """How many choices each axis has."""
        return tuple(axis.size for axis in self.axes)

    def given(self, action: int) -> dict[str, Any]:
        place = np.unravel_index(action, self.shape)
        rows, columns = self.shapes[place[0]]
        return {
            "pes": rows * columns,
            "rows": rows,
            "columns": columns,
            "l1_bytes": self.l1_levels[place[1]],
            "l2_bytes": self.l2_levels[place[2]],
            "template": self.templates[int(place[3]) if len(place) > 3 else 0].name,
        }

    def told(self) -> Mapping[str, Array]:
        return {"dram_read_bytes": self.dram_read_bytes, "dram_write_bytes": self.dram_write_bytes}

    @property
    def dram_cycles(self) -> tuple[Floats, Floats]:
        bandwidth = self.machine.dram_bandwidth
        return self.dram_read_bytes / bandwidth, self.dram_write_bytes / bandwidth

    def table(self, metric: Metric) -> Array:
        if metric.name == "edp":
            product: Array = self.energy_nj * self.latency_cycles
            return product
        found: Array = {
            "latency": self.latency_cycles,
            "throughput": self.latency_cycles,
            "energy": self.energy_nj,
            "area": self.area_um2,
            "power": self.power_mw,
        }[metric.name]
        return found

    @property
    def key(self) -> dict[str, Any]:
        shown = [asdict(each) for each in self.templates]
        for each in shown:
            del each["about"]
        return {**super().key, **self._fixed, "template": shown, "mapped_for": self.mapped_for}

    @property
    def description(self) -> dict[str, Any]:
        named = [t.name if TEMPLATES.get(t.name) == t else asdict(t) for t in self.templates]
        return {**super().description, **self._fixed, "template": named}

    @property
    def _fixed(self) -> dict[str, Any]:
        return {
            "shapes": [list(shape) for shape in self.shapes],
            "l1_levels": list(self.l1_levels),
            "l2_levels": list(self.l2_levels),
            "machine": asdict(self.machine),
        }

    def __repr__(self) -> str:
        return f"<LoopnestDesign {self.workload.name} {self.styles} {self.latency_cycles.shape}>"


def _templates(given: _Template | Sequence[_Template]) -> tuple[Template, ...]:
    if isinstance(given, str | Template | Mapping):
        given = (given,)
    named = [one for g in given for one in (MIXES.get(g, (g,)) if isinstance(g, str) else (g,))]
    for one in named:
        if isinstance(one, str) and one not in TEMPLATES:
            raise ValueError(nearest("template", one, (*TEMPLATES, *MIXES)))
    found = tuple(as_template(one) for one in named)
    if not found:
        raise ValueError("a design space needs at least one template")
    if len({each.name for each in found}) < len(found):
        raise ValueError(f"templates must differ, got {', '.join(each.name for each in found)}")
    return found


def _shapes(given: Sequence[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    pairs = integers("shapes", given)
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ValueError(f"shapes are rows and columns, such as [(4, 4), (8, 16)]; got {given!r}")
    found = [(int(rows), int(columns)) for rows, columns in pairs]
    if len(set(found)) < len(found):
        raise ValueError(f"shapes must differ, got {given!r}")
    return tuple(found)


@lru_cache(maxsize=64)
def _design(
    workload: Workload,
    templates: tuple[Template, ...],
    shapes: tuple[tuple[int, int], ...],
    l1_levels: tuple[int, ...],
    l2_levels: tuple[int, ...],
    machine: Machine,
    mapped_for: str,
) -> LoopnestDesign:
    first: dict[Any, Layer] = {}
    for layer in workload:
        first.setdefault(layer_key(layer), layer)
    place = {key: i for i, key in enumerate(first)}
    index = np.array([place[layer_key(layer)] for layer in workload])
    choices = Choices(l1_levels, l2_levels)
    found = [
        tabulate(list(first.values()), each, shapes, choices, machine, mapped_for)
        for each in templates
    ]

    def joined(arrays: Sequence[Array]) -> Array:
        """(layers, actions) of (kinds, shapes, L1, L2) by template."""
        table: Array = np.stack(arrays, axis=-1).reshape(len(first), -1)[index]
        return table

    repeat = np.array([[layer.repeat] for layer in workload])
    area = np.stack([found[0].area_um2] * len(templates), axis=-1).reshape(1, -1)
    valid = joined([t.valid for t in found])
    tables: dict[str, Array] = {
        "latency_cycles": joined([t.latency_cycles for t in found]) * repeat,
        "energy_nj": joined([t.energy_nj for t in found]) * repeat,
        "dram_read_bytes": joined([t.dram_read_bytes for t in found]) * repeat,
        "dram_write_bytes": joined([t.dram_write_bytes for t in found]) * repeat,
        "area_um2": np.repeat(area, len(index), axis=0),
        "power_mw": joined([t.power_mw for t in found]),
        "valid": valid,
    }
    cycles = np.where(valid, tables["latency_cycles"], 0).max(axis=1)
    check_total(workload, cycles.tolist(), "shapes")
    for table in tables.values():
        table.setflags(write=False)
    return LoopnestDesign(
        workload, templates, shapes, l1_levels, l2_levels, machine, mapped_for, **tables
    )
