"""What an architect's choice comes to: rows and JSON values of where time and energy go."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from hwgym._arrays import Ints
from hwgym.families.loopnest.architect import Choice, Costs
from hwgym.hardware import Machine

__all__ = ["describe", "layer_rows", "settings"]

OPERATIONS = 2  # of a multiply-accumulate, in TOPS


def layer_rows(costs: Costs, choice: Choice) -> list[dict[str, Any]]:
    """A row a layer: what it got, what that costs in all its runs, and what bounds it.

    ``utilization`` is MACs over what the PEs could do in its cycles, ``share`` its part of the
    objective. ``bound`` is what takes longest: compute, DRAM read or write, L2 read or write.
    """
    at = np.arange(len(costs.layers)), choice.arrays, choice.templates
    cost = costs.cost[at]
    total = cost.sum() or 1.0
    rows = []
    for i, layer in enumerate(costs.layers):
        a, t = int(choice.arrays[i]), int(choice.templates[i])
        array, cycles = costs.arrays[a], float(costs.latency_cycles[i, a, t])
        one = costs.detail(i, a, t)
        level = {f"{name}_nj": layer.repeat * spent for name, spent in one.energy_nj.items()}
        moved = {
            f"{name.replace(' ', '_')}_moved_bytes": layer.repeat * count
            for name, count in one.moved_bytes.items()
        }
        rows.append(
            {
                "network": costs.networks[int(costs.network_of[i])].name,
                "layer": layer.name,
                "kind": layer.kind,
                "repeat": layer.repeat,
                "macs": layer.macs,
                "template": costs.templates[t].name,
                **array._asdict(),
                "pes": array.pes,
                "latency_cycles": cycles,
                "latency_ms": _ms(cycles, costs.machine),
                "utilization": layer.macs / cycles / array.pes,
                "bound": one.bound,
                "energy_nj": float(costs.energy_nj[i, a, t]),
                **level,
                **moved,
                "power_mw": float(costs.power_mw[i, a, t]),
                "area_um2": float(costs.area_um2[a]),
                "share": float(cost[i] / total),
                "mapping": one.mapping,
            }
        )
    return rows


def describe(costs: Costs, choice: Choice, constraint: str, budget: float) -> dict[str, Any]:
    """What a choice comes to, for one inference; of several networks for their weighted mean.

    ``latency`` is that of one input. ``period`` is from one input of a stream to the next: of one
    array its latency; of a pipeline at least that of the slowest layer, and at least what the DRAM
    that all its arrays share needs to read, or to write, all layers' bytes. ``utilization`` is MACs
    over what all PEs could do in the latency, ``utilization_pipelined`` in the period. Frames,
    power and TOPS are those of a stream, an operation being half a MAC.
    """
    at = np.arange(len(costs.layers)), choice.arrays, choice.templates
    weight = np.array(costs.weights)[costs.network_of] / sum(costs.weights)
    cycles, spent = costs.latency_cycles[at], costs.energy_nj[at]
    moved = costs.dram_read_bytes[at], costs.dram_write_bytes[at]
    latency, energy = float((weight * cycles).sum()), float((weight * spent).sum())
    macs = float(sum(w * layer.macs for w, layer in zip(weight, costs.layers, strict=True)))
    clock = costs.machine.clock_ghz
    built = [costs.arrays[a] for a in choice.arrays]
    area = costs.area_um2[choice.arrays]
    pipeline = choice.deployment == "LP"
    period, bound = latency, "latency"
    if pipeline:
        slowest = int(cycles.argmax())
        transfers = [float(m.sum()) / costs.machine.dram_bandwidth for m in moved]
        period, bound = float(cycles[slowest]), f"layer {costs.layers[slowest].name}"
        if max(transfers) > period:
            period, bound = max(transfers), "DRAM"
    pes = sum(a.pes for a in built) if pipeline else built[0].pes
    found: dict[str, Any] = {
        "objective": choice.objective,
        "lower_bound": choice.lower_bound,
        "method": choice.method,
        "used": choice.used,
        "budget_used": choice.used / budget if budget else 1.0,
        "latency_cycles": latency,
        "latency_ms": _ms(latency, costs.machine),
        "period_cycles": period,
        "period_ms": _ms(period, costs.machine),
        "period_bound": bound,
        "frames_per_s": clock * 1e9 / period,
        "energy_nj": energy,
        "energy_mj": energy * 1e-6,
        "power_w": energy * clock / period,
        "macs": macs,
        "tops": OPERATIONS * macs / period * clock * 1e-3,
        "peak_tops": OPERATIONS * pes * clock * 1e-3,
        "tops_per_w": OPERATIONS * macs / energy * 1e-3,
        "area_um2": float(area.sum() if pipeline else area[0]),
        "area_mm2": float(area.sum() if pipeline else area[0]) * 1e-6,
        "pes": pes,
        "utilization": macs / latency / pes,
        "utilization_pipelined": macs / period / pes,
        "dram_bytes": float((weight * sum(moved)).sum()),
    }
    if pipeline:
        found["l1_bytes"] = sum(a.l1_bytes * a.pes for a in built)
        found["l2_bytes"] = sum(a.l2_bytes for a in built)
        found["dram_read_cycles"], found["dram_write_cycles"] = transfers
    else:
        found["array"] = built[0]._asdict()
    found["templates"] = sorted({costs.templates[t].name for t in choice.templates})
    return found | {"networks": _network_rows(costs, choice, at)}


def _network_rows(
    costs: Costs, choice: Choice, at: tuple[Ints, Ints, Ints]
) -> list[dict[str, Any]]:
    """A row a network: one inference of it."""
    rows = []
    for i, (network, weight) in enumerate(zip(costs.networks, costs.weights, strict=True)):
        mine = costs.network_of == i
        cycles = float(costs.latency_cycles[at][mine].sum())
        energy = float(costs.energy_nj[at][mine].sum())
        rows.append(
            {
                "network": network.name,
                "weight": weight,
                "layers": len(network),
                "macs": network.macs,
                "latency_cycles": cycles,
                "latency_ms": _ms(cycles, costs.machine),
                "energy_nj": energy,
                "energy_mj": energy * 1e-6,
                "share": float(costs.cost[at][mine].sum() / costs.cost[at].sum()),
            }
        )
    return rows


def _ms(cycles: float, machine: Machine) -> float:
    return cycles / machine.clock_ghz * 1e-6


def settings(costs: Costs) -> dict[str, Any]:
    """What was chosen from, as JSON values."""
    built = [a for a, given in zip(costs.arrays, costs.as_given, strict=True) if given]
    return {
        "templates": [t.name for t in costs.templates],
        "shapes": [list(s) for s in dict.fromkeys(a[:2] for a in built)],
        "l1_bytes": sorted({a.l1_bytes for a in built}),
        "l2_bytes": sorted({a.l2_bytes for a in built}),
        "machine": asdict(costs.machine),
    }
