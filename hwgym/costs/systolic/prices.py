"""Energy, area and power of systolic arrays; tables over arrays and SRAMs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Bools, Floats, Ints
from hwgym.costs.systolic.dataflow import OPERANDS, SystolicDataflow, systolic_dataflow
from hwgym.costs.systolic.model import UNLIMITED, Costs, Memory, costs_of
from hwgym.costs.systolic.products import Products
from hwgym.hardware import Machine, integers
from hwgym.workloads import Layer

__all__ = ["Prices", "Table", "price", "table"]


@dataclass(frozen=True)
class Prices:
    """What costs come to on a machine, as arrays of their shape.

    Attributes:
        mac_nj, sram_nj, dram_nj: Energy of multiply-accumulates, of SRAM and of DRAM.
        area_um2: Multiply-accumulate units and SRAMs.
        power_mw: Energy by time.
    """

    mac_nj: Floats
    sram_nj: Floats
    dram_nj: Floats
    area_um2: Floats
    power_mw: Floats

    @property
    def energy_nj(self) -> Floats:
        """All energy."""
        return self.mac_nj + self.sram_nj + self.dram_nj


def price(costs: Costs, machine: Machine | None = None) -> Prices:
    """Energy, area and power of costs.

    A byte of SRAM is charged by the SRAM's size, once for DRAM's side and once for the array's.
    Left out: leakage, the registers between PEs, control, clock and I/O.

    Args:
        costs: Of :func:`evaluate`, with SRAMs of some size.
        machine: Silicon, kind of DRAM and clock; its widths and bandwidth are not looked at, as
            the costs have those of their :class:`Memory`.

    Raises:
        ValueError: If an SRAM has no size.
    """
    machine = machine or Machine()
    silicon = machine.process
    sizes = {name: getattr(costs, f"{name}_bytes") for name in OPERANDS}
    for name, size in sizes.items():
        if np.any(size == UNLIMITED):
            raise ValueError(f"{name}_bytes is not given: energy and area need SRAMs of some size")
    reads = {name: silicon.sram_read_pj_per_byte(size) for name, size in sizes.items()}
    writes = {name: silicon.sram_write_pj_per_byte(size) for name, size in sizes.items()}
    unfinished = costs.sram_ofmap_reads * (costs.partial_bits / 8)
    finished = (costs.sram_ofmap_writes - costs.sram_ofmap_reads) * (costs.output_bits / 8)
    read = {
        "ifmap": costs.sram_ifmap_reads * (costs.input_bits / 8),
        "filter": costs.sram_filter_reads * (costs.weight_bits / 8),
        "ofmap": unfinished + costs.dram_ofmap_bytes,
    }
    written = {
        "ifmap": costs.dram_ifmap_bytes,
        "filter": costs.dram_filter_bytes,
        "ofmap": finished + unfinished + costs.dram_psum_bytes,
    }
    sram = sum(reads[name] * read[name] + writes[name] * written[name] for name in OPERANDS)
    units = costs.rows.astype(np.float64) * costs.columns
    mac_pj, mac_area = (
        _by_width(each, costs.weight_bits, costs.input_bits)
        for each in (silicon.mac_pj, silicon.mac_area_um2)
    )
    area = units * mac_area + sum(silicon.sram_area_um2(size) for size in sizes.values())
    parts = (costs.macs * mac_pj, sram, costs.dram_bytes * machine.dram_pj_per_byte)
    mac_nj, sram_nj, dram_nj = (np.asarray(pj * 1e-3) for pj in parts)
    watts = (mac_nj + sram_nj + dram_nj) / (costs.cycles / machine.clock_ghz)
    return Prices(mac_nj, sram_nj, dram_nj, np.asarray(area), watts * 1e3)


def _by_width(what: Callable[[int, int], float], weight_bits: Ints, input_bits: Ints) -> Floats:
    pairs, which = np.unique(
        np.stack([weight_bits.ravel(), input_bits.ravel()]), axis=1, return_inverse=True
    )
    values = np.array([what(int(weight), int(input_)) for weight, input_ in pairs.T])
    return np.asarray(values[which].reshape(weight_bits.shape))


@dataclass(frozen=True)
class Table:
    """What every layer costs on every array with every SRAM: (layers, rows, columns, srams).

    Attributes:
        cycles, energy_nj, area_um2, power_mw: As in :class:`Costs` and :class:`Prices`.
        dram_read_bytes, dram_write_bytes: All that DRAM gives, and takes.
        valid: Where the SRAMs hold what a fold takes; elsewhere the numbers mean nothing.
    """

    cycles: Ints
    energy_nj: Floats
    area_um2: Floats
    power_mw: Floats
    dram_read_bytes: Ints
    dram_write_bytes: Ints
    valid: Bools


def table(
    layers: Products | Iterable[Layer],
    dataflow: str | SystolicDataflow,
    rows: ArrayLike,
    columns: ArrayLike,
    sram_bytes: ArrayLike,
    machine: Machine | None = None,
) -> Table:
    """Every layer on every array with every SRAM, under one dataflow.

    Args:
        layers: n layers, or 1-D products.
        dataflow: A :class:`SystolicDataflow` or its name.
        rows, columns: Choices, 1-D.
        sram_bytes: Choices, 1-D: bytes of each of the three SRAMs, of inputs, filters and results.
        machine: Bandwidth of DRAM, widths, silicon, kind of DRAM and clock.

    Raises:
        ValueError: As :func:`evaluate`, but for SRAMs that are too small.
    """
    machine = machine or Machine()
    products = layers if isinstance(layers, Products) else Products.of(layers)
    each_row = integers("array rows", rows).reshape(-1, 1, 1)
    each_column = integers("array columns", columns).reshape(-1, 1)
    memory = Memory.of(machine, integers("SRAM bytes", sram_bytes).reshape(-1))
    costs = costs_of(
        products.reshape(-1, 1, 1, 1),
        each_row,
        each_column,
        systolic_dataflow(dataflow),
        memory,
        may_be_invalid=True,
    )
    prices = price(costs, machine)
    return Table(
        cycles=costs.cycles,
        energy_nj=prices.energy_nj,
        area_um2=prices.area_um2,
        power_mw=prices.power_mw,
        dram_read_bytes=costs.dram_bytes - costs.dram_ofmap_bytes,
        dram_write_bytes=costs.dram_ofmap_bytes,
        valid=costs.valid,
    )
