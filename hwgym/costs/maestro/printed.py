"""What the reference prints of the outermost level, and what it leaves out of area and energy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwgym._arrays import Array, Floats, Ints
from hwgym.costs.maestro.arithmetic import distinct, extended_ratio, quotient, repeated_sum
from hwgym.costs.maestro.cases import NEVER, Totals
from hwgym.costs.maestro.levels import INPUTS, TENSORS
from hwgym.hardware import Technology

__all__ = ["printed", "printed_energy"]


def printed(
    q: dict[str, Ints], t: Totals, tech: Technology, *, depthwise: bool
) -> dict[str, Array]:
    """The printed columns of the top level's totals."""
    size = {
        name: np.prod([q[d] for d in dims], axis=0) for name, dims in TENSORS[depthwise].items()
    }
    # Output size along rows and columns, at stride 1: what the reference takes for L2 output reads.
    outputs = size["output"] // (q["Y"] * q["X"]) * (q["Y"] - q["R"] + 1) * (q["X"] - q["S"] + 1)

    out: dict[str, Array] = {}
    for name in TENSORS[depthwise]:
        is_input = name in INPUTS
        read = t.macs if is_input else t.l1_write_output
        write = t.l2_read[name] if is_input else t.l1_write_output
        out[f"{name}_l1_read"] = read
        out[f"{name}_l1_write"] = write
        out[f"{name}_l2_read"] = t.l2_read[name] if is_input else outputs
        out[f"{name}_l2_write"] = size[name] if is_input else t.l2_write_output
        out[f"{name}_reuse"] = extended_ratio(read, write)

    l1 = ("input_l1_read", "input_l1_write", "weight_l1_read", "weight_l1_write",
          "output_l1_read", "output_l1_write")  # fmt: skip
    l2 = ("input_l2_read", "input_l2_write", "weight_l2_read", "weight_l2_write",
          "output_l2_write")  # fmt: skip
    energy = printed_energy(
        [out[name] for name in l2], tech, [np.where(t.is_leaf, out[name], 0) for name in l1]
    )
    out["energy_nj"] = energy
    accesses_l1 = sum(out[n] for n in l1)
    accesses_l2 = sum(out[n] for n in (*l2, "output_l2_read"))
    out["total_energy_nj"] = tech.mac_energy_nj * (
        t.macs + tech.l1_energy_macs * accesses_l1 + tech.l2_energy_macs * accesses_l2
    )

    l2_bytes = t.l2_request["input"] + t.l2_request["output"] + t.l2_request["weight"]
    out |= _area_and_power(q, t.l1_bytes, l2_bytes, tech)
    out["runtime_cycles"], out["num_macs"] = t.runtime, t.macs
    out["l1_bytes"], out["l2_bytes"] = t.l1_bytes, l2_bytes
    out["throughput_macs_per_cycle"] = t.macs / t.runtime
    macs, runtime = t.macs.astype(np.longdouble), t.runtime.astype(np.longdouble)
    out["throughput_per_energy"] = (macs / runtime / energy * 1e9).astype(np.float64)
    out["ops_per_joule"] = t.macs / energy * 1e9
    out["noc_bw_req"] = t.peak_bandwidth
    out["peak_bw_req"] = t.peak_bandwidth.copy()
    out["avg_bw_req"] = extended_ratio(t.bandwidth_sum, t.cases)
    out["offchip_bw_req"] = t.offchip_bandwidth
    out["vector_width"] = q["simd_lanes"].copy()
    out["num_input_pixels"], out["num_weight_pixels"] = size["input"].copy(), size["weight"].copy()
    for name in INPUTS:
        out[f"multicast_{name}"] = t.l2_read[name] / t.l2_read[name]
    worked = t.cases > 0
    for name, total in t.delay_sum.items():
        average = quotient(total, np.where(worked, t.cases, 1))
        out[f"{name}_delay_min"], out[f"{name}_delay_max"] = t.delay_min[name], t.delay_max[name]
        out[f"{name}_delay_avg"] = np.where(worked, average, NEVER)
    out["avg_utilized_pes"] = t.active_units
    out["arithmetic_intensity"] = t.intensity
    return out


def printed_energy(l2: Sequence[Ints], tech: Technology, l1: Sequence[Ints] = ()) -> Floats:
    """NJ of accesses, summed in the reference's order: inputs read from L2 and written, weights,
    outputs written.

    It adds L1 only when the last level is also the first that it reports: a mapping of one level,
    or one whose every case is without work.
    """
    energy = np.zeros(np.broadcast_shapes(*(np.shape(accesses) for accesses in l2)))
    for accesses in l2:
        energy = energy + accesses * tech.l2_energy_macs
    for accesses in l1:
        energy = energy + accesses * tech.l1_energy_macs
    return energy * tech.mac_energy_nj


def _area_and_power(
    q: dict[str, Ints], l1_bytes: Ints, l2_bytes: Ints, tech: Technology
) -> dict[str, Array]:
    n, lanes = q["num_pes"], q["simd_lanes"]
    l1_units, l2_units = _units(l1_bytes, tech.l1_unit_bytes), _units(l2_bytes, tech.l2_unit_bytes)
    bus = 14.662 * n + 28.895
    arbiter = 1.2886 * n.astype(np.float64) ** 2 + 5.5814 * n - 23.711
    noc_area = tech.bus_area_um2 * bus * q["noc_bandwidth"] + np.maximum(
        tech.arbiter_area_um2 * arbiter, tech.arbiter_area_um2
    )
    noc_power = tech.bus_power_mw * bus / 1000 * q["noc_bandwidth"] + np.maximum(
        tech.arbiter_power_mw * arbiter / 1000, tech.arbiter_power_mw
    )
    mac_area, mac_power = tech.mac_area_um2 * lanes, tech.mac_power_mw * lanes
    l1_area, l1_power = tech.l1_area_um2 * l1_units, tech.l1_power_mw * l1_units
    l2_area, l2_power = tech.l2_area_um2 * l2_units, tech.l2_power_mw * l2_units
    pe_area, pe_power = mac_area + l1_area, mac_power + l1_power
    # MAESTRO adds up PE by PE, each its MACs and its buffer.
    first, kind = distinct([lanes, l1_units.astype(np.int64)])
    pes_area, pes_power, all_macs_power, all_l1_power = (
        repeated_sum(value[first], kind, n) for value in (pe_area, pe_power, mac_power, l1_power)
    )
    return {
        "array_area_um2": n * pe_area + l2_area,
        "array_power_mw": n * pe_power + l2_power,
        "area_um2": pes_area + l2_area + noc_area,
        "power_mw": pes_power + l2_power + noc_power,
        "pe_power": all_macs_power,
        "l1_power": all_l1_power,
        "l2_power": l2_power,
        "noc_power": noc_power,
    }


def _units(size: Ints, unit: int) -> Floats:
    """Whole SRAM units for ``size`` bytes, at least one (negative sizes stay so, as they do in the
    reference; such points are not valid)."""
    units: Floats = np.ceil(size / unit)
    return np.where(units == 0, 1.0, units)
