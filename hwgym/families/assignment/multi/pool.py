"""LayerPool: many layers, each with what every choice costs it, whatever technology prices it.

Costs of MAESTRO are counts times constants. The counts depend on layer, dataflow and interconnect
only, and are what takes long; they are kept on disk in the cache folder
(:mod:`hwgym.costs.cache`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from typing import NamedTuple

import numpy as np

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym.costs.cache import cache_file, read_arrays, write_arrays
from hwgym.costs.maestro import (
    MAESTRO_2019,
    Dataflow,
    Directive,
    Hardware,
    Shapes,
    Technology,
    evaluate,
)
from hwgym.families.assignment.accounting import COMPLETE
from hwgym.families.assignment.design_space import PE_LEVELS, TILE_LEVELS, DesignSpace
from hwgym.families.assignment.problem import COST_MODEL
from hwgym.workloads import Layer, Workload

__all__ = ["Counts", "LayerPool", "Prices", "Style"]

VERSION = 2
"""Of what is kept on disk."""

AT_ONCE = 64
"""Layers that are evaluated together: bounds memory."""

_ACCESSES = tuple(
    tuple(f"{t}_{level}_{way}" for t in ("input", "weight", "output") for way in ("read", "write"))
    for level in ("l1", "l2")
)

Style = tuple[Dataflow, ...]
"""One dataflow for all layers, or several of which each layer gets one."""


class Counts(NamedTuple):
    """What layers do and take under a dataflow; int64 (layers, actions), but for the first.

    Attributes:
        latency: (bandwidths, layers, actions) cycles.
        macs, l1_accesses, l2_accesses: In all PEs together.
        l1_bytes, l2_bytes: Of a PE's own buffer; of the shared one.
        mappable: There is an answer; all else is 0 where there is none.
        valid: It does the layer's work.
    """

    latency: Ints
    macs: Ints
    l1_accesses: Ints
    l2_accesses: Ints
    l1_bytes: Ints
    l2_bytes: Ints
    mappable: Bools
    valid: Bools


class Prices(NamedTuple):
    """What a technology asks, as the cost model multiplies it; numbers, or columns (n, 1).

    Attributes:
        mac_nj, l1_macs, l2_macs: Energy of a MAC; of an access, in MACs.
        pe, l1, l2: Area or power of a PE's MAC unit, of an L1 unit, of an L2 unit.
    """

    mac_nj: Floats
    l1_macs: Floats
    l2_macs: Floats
    pe: Floats
    l1: Floats
    l2: Floats


def count(layers: Sequence[Layer], dataflow: Dataflow, bandwidths: Sequence[int]) -> Counts:
    """The counts of layers under a dataflow, from the cache folder or computed; of layers that are
    all depthwise, or of which none is."""
    path = cache_file(
        "layers",
        VERSION,
        COST_MODEL,
        [list(layer.shape) for layer in layers],
        [str(each) for each in _directives(layers, dataflow)],
        list(bandwidths),
        [PE_LEVELS, TILE_LEVELS],
    )
    found = read_arrays(path, Counts._fields)
    if found is not None:
        return Counts(**found)
    counts = _end_to_end(
        _count(layers[start : start + AT_ONCE], dataflow, bandwidths)
        for start in range(0, len(layers), AT_ONCE)
    )
    write_arrays(path, counts._asdict())
    return counts


def _directives(layers: Sequence[Layer], dataflow: Dataflow) -> tuple[Directive, ...]:
    """What maps such layers."""
    return dataflow.depthwise if layers[0].is_depthwise else dataflow.directives


def _end_to_end(parts: Iterable[Counts]) -> Counts:
    """Those of the layers of several."""
    return Counts(*(np.concatenate(each, axis=-2) for each in zip(*parts, strict=True)))


def _count(layers: Sequence[Layer], dataflow: Dataflow, bandwidths: Sequence[int]) -> Counts:
    shapes = Shapes.of(layers).reshape(-1, 1, 1)
    latency = []
    for bandwidth in bandwidths:
        # The technology makes no difference to counts.
        hardware = Hardware(noc_bandwidth=bandwidth, technology=MAESTRO_2019)
        costs = evaluate(shapes, dataflow, np.array(PE_LEVELS)[:, None], TILE_LEVELS, hardware)
        latency.append(costs.runtime_cycles)
    l1, l2 = (sum(getattr(costs, name) for name in names) for names in _ACCESSES)
    columns: dict[str, Array] = {
        "macs": costs.num_macs,
        "l1_accesses": l1,
        "l2_accesses": l2,
        "l1_bytes": costs.l1_bytes,
        "l2_bytes": costs.l2_bytes,
        "mappable": costs.mappable,
        "valid": costs.valid,
    }
    flat = {name: column.reshape(len(layers), -1).copy() for name, column in columns.items()}
    return Counts(np.stack(latency).reshape(len(bandwidths), len(layers), -1), **flat)


@dataclass(frozen=True, eq=False)
class LayerPool:
    """Layers with the counts of every choice, under several styles and bandwidths.

    A *row* is a layer; a *block* is a row under a style, ``style * len(layers) + row``, and a
    *cell* one of its choices, ``block * num_actions + action``.

    Attributes:
        layers: Distinct in shape and repeats.
        styles: What the choices of a problem's layers may be; of equally many dataflows each.
        bandwidths: Of the network on chip.
    """

    layers: tuple[Layer, ...]
    styles: tuple[Style, ...]
    bandwidths: tuple[int, ...]

    @property
    def num_actions(self) -> int:
        """Choices of a layer."""
        return len(PE_LEVELS) * len(TILE_LEVELS) * len(self.styles[0])

    @cached_property
    def counts(self) -> Counts:
        """(blocks, actions) each; see :class:`Counts`."""
        first = {layer.shape: layer for layer in self.layers}
        # Depthwise layers are mapped alike under most dataflows, and counted once for all.
        shapes = [
            [layer for layer in first.values() if layer.is_depthwise == depthwise]
            for depthwise in (False, True)
        ]
        place = {layer.shape: i for i, layer in enumerate(chain(*shapes))}
        index = np.array([place[layer.shape] for layer in self.layers])
        found: dict[tuple[Directive, ...], Counts] = {}
        by_dataflow: dict[str, Counts] = {}
        for dataflow in {d.name: d for style in self.styles for d in style}.values():
            parts = []
            for layers in filter(None, shapes):
                directives = _directives(layers, dataflow)
                if directives not in found:
                    found[directives] = count(layers, dataflow, self.bandwidths)
                parts.append(found[directives])
            by_dataflow[dataflow.name] = _end_to_end(parts)
        columns = []
        for name in Counts._fields:
            blocks = []
            for style in self.styles:
                tables = [getattr(by_dataflow[d.name], name) for d in style]
                mixed = np.stack(tables, axis=-1)  # the dataflow is the last axis of a choice
                mixed = mixed.reshape(*mixed.shape[:-2], -1)
                blocks.append(mixed[..., index, :])
            columns.append(np.concatenate(blocks, axis=-2))
        return Counts(*columns)

    @cached_property
    def pes(self) -> Ints:
        """(actions,) of each choice."""
        return np.repeat(np.array(PE_LEVELS), self.num_actions // len(PE_LEVELS))

    @cached_property
    def repeat(self) -> Ints:
        """(layers,)"""
        return np.array([layer.repeat for layer in self.layers], np.int64)

    @cached_property
    def l1_units(self) -> Floats:
        """(blocks, actions) whole units of SRAM."""
        return _units(self.counts.l1_bytes, MAESTRO_2019.l1_unit_bytes)

    @cached_property
    def l2_units(self) -> Floats:
        """(blocks, actions) whole units of SRAM."""
        return _units(self.counts.l2_bytes, MAESTRO_2019.l2_unit_bytes)

    # --- tables of some blocks --------------------------------------------------------------------

    def latency(self, blocks: Ints, bandwidth: Ints | int) -> Ints:
        """(n, actions) cycles of all repeats."""
        cycles: Ints = self.counts.latency[bandwidth, blocks]
        return cycles * self._repeat(blocks)

    def energy(self, blocks: Ints, prices: Prices) -> Floats:
        """(n, actions) nJ of all repeats."""
        c = self.counts
        one: Floats = prices.mac_nj * (
            c.macs[blocks]
            + prices.l1_macs * c.l1_accesses[blocks]
            + prices.l2_macs * c.l2_accesses[blocks]
        )
        return one * self._repeat(blocks)

    def usage(self, blocks: Ints, prices: Prices) -> Floats:
        """(n, actions) of area or power, as the prices have it."""
        pes = prices.pe + prices.l1 * self.l1_units[blocks]
        usage: Floats = self.pes * pes + prices.l2 * self.l2_units[blocks]
        return np.where(self.counts.mappable[blocks], usage, 0.0)

    def _repeat(self, blocks: Ints) -> Ints:
        return self.repeat[blocks % len(self.layers)][:, None]

    def design(
        self, rows: Ints, style: int, bandwidth: int, technology: Technology, workload: Workload
    ) -> DesignSpace:
        """The design space of a network of the pool's layers: what
        :meth:`~hwgym.families.assignment.DesignSpace.of` makes of it, without evaluating it.

        Args:
            rows: (layers,) of the network.
            style, bandwidth: Indices.
            technology: Of whose constants any but the sizes of units may differ from MAESTRO's.
            workload: The network, with its names.
        """
        blocks = style * len(self.layers) + rows
        area, power = prices_of(technology)
        tables: dict[str, Array] = {
            "latency_cycles": self.latency(blocks, bandwidth),
            "energy_nj": self.energy(blocks, area),
            "area_um2": self.usage(blocks, area),
            "power_mw": self.usage(blocks, power),
            "l1_bytes": self.counts.l1_bytes[blocks],
            "l2_bytes": self.counts.l2_bytes[blocks],
            "valid": self.counts.valid[blocks],
        }
        for table in tables.values():
            table.setflags(write=False)
        hardware = Hardware(noc_bandwidth=self.bandwidths[bandwidth], technology=technology)
        return DesignSpace(
            workload, self.styles[style], PE_LEVELS, TILE_LEVELS, hardware, COMPLETE, **tables
        )


def prices_of(technology: Technology) -> tuple[Prices, Prices]:
    """What a technology asks, for area and for power."""
    t = technology
    energy = (t.mac_energy_nj, t.l1_energy_macs, t.l2_energy_macs)
    of_area = (t.mac_area_um2, t.l1_area_um2, t.l2_area_um2)
    of_power = (t.mac_power_mw, t.l1_power_mw, t.l2_power_mw)
    area, power = (
        Prices(*(np.array(value, np.float64) for value in (*energy, *of)))
        for of in (of_area, of_power)
    )
    return area, power


def _units(size: Ints, unit: int) -> Floats:
    """Whole units for ``size`` bytes, at least one, as the cost model counts them."""
    units: Floats = np.ceil(size / unit)
    return np.where(units == 0, 1.0, units)


@lru_cache(maxsize=16)
def pool_of(
    layers: tuple[Layer, ...], styles: tuple[Style, ...], bandwidths: tuple[int, ...]
) -> LayerPool:
    """A pool, shared: equal arguments give the same."""
    return LayerPool(layers, styles, bandwidths)
