"""What every column of the cost model's answer means, in one line, with its unit."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["COLUMNS", "Column"]


class Column(NamedTuple):
    """One field of :class:`hwgym.costs.maestro.Costs`.

    Attributes:
        group: Under which heading it belongs.
        unit: Empty for ratios and counts of nothing in particular.
        about: One line.
    """

    group: str
    unit: str
    about: str


_MAIN = "What the assignment problems count"
_MAESTRO = "As MAESTRO prints them, its omissions included"
_WORK = "Work"
_BUFFERS = "Buffers"
_ACCESSES = "Accesses and reuse"
_TRAFFIC = "Interconnect"
_DELAYS = "Delays of one step of the mapping"
_POWER = "Parts of MAESTRO's power"

_TENSORS = {"input": "input", "weight": "filter", "output": "output"}


def _accesses() -> dict[str, Column]:
    found = {}
    for tensor, name in _TENSORS.items():
        for level, where in (("l1", "the PEs' own buffers"), ("l2", "the shared buffer")):
            found[f"{tensor}_{level}_read"] = Column(
                _ACCESSES, "elements", f"{name} elements read from {where}"
            )
            found[f"{tensor}_{level}_write"] = Column(
                _ACCESSES, "elements", f"{name} elements written to {where}"
            )
        found[f"{tensor}_reuse"] = Column(
            _ACCESSES, "", f"reads of {name} elements in PEs' buffers per write there"
        )
    return found


def _delays() -> dict[str, Column]:
    what = {
        "ingress": "bringing data in",
        "egress": "taking results out",
        "compute": "computing",
    }
    which = {"min": "shortest", "max": "longest", "avg": "average"}
    return {
        f"{kind}_delay_{short}": Column(_DELAYS, "cycles", f"{long} time of {about}")
        for kind, about in what.items()
        for short, long in which.items()
    }


COLUMNS: Mapping[str, Column] = MappingProxyType(
    {
        "runtime_cycles": Column(_MAIN, "cycles", "latency of the layer"),
        "total_energy_nj": Column(_MAIN, "nJ", "all MACs and all buffer accesses"),
        "array_area_um2": Column(_MAIN, "um^2", "PEs with their buffers, and the shared buffer"),
        "array_power_mw": Column(_MAIN, "mW", "PEs with their buffers, and the shared buffer"),
        "num_pes": Column(_WORK, "PEs", "processing elements of the partition"),
        "vector_width": Column(_WORK, "lanes", "multiply-accumulates of a PE in a cycle"),
        "avg_utilized_pes": Column(_WORK, "PEs", "PEs at work, on average over the steps"),
        "true_macs": Column(_WORK, "MACs", "multiply-accumulates that the layer needs"),
        "num_macs": Column(_WORK, "MACs", "multiply-accumulates that the mapping performs"),
        "throughput_macs_per_cycle": Column(_WORK, "MACs/cycle", "performed, over the runtime"),
        "arithmetic_intensity": Column(
            _WORK, "MACs/element", "MACs per element brought in, in the mapping's last case"
        ),
        "num_input_pixels": Column(_WORK, "elements", "size of the input"),
        "num_weight_pixels": Column(_WORK, "elements", "size of the filters"),
        "mappable": Column(
            _WORK, "", "the array can hold the mapping; where not, all else here is 0"
        ),
        "l1_bytes": Column(_BUFFERS, "bytes", "buffer that each PE needs (double-buffered)"),
        "l2_bytes": Column(_BUFFERS, "bytes", "shared buffer needed (double-buffered)"),
        **_accesses(),
        "multicast_weight": Column(_ACCESSES, "", "1, or nothing where no filter is read"),
        "multicast_input": Column(_ACCESSES, "", "1, or nothing where no input is read"),
        "noc_bw_req": Column(
            _TRAFFIC, "elements/cycle", "interconnect bandwidth at which PEs never wait"
        ),
        "peak_bw_req": Column(
            _TRAFFIC, "elements/cycle", "the same number: the reference prints it twice"
        ),
        "avg_bw_req": Column(
            _TRAFFIC, "elements/cycle", "interconnect bandwidth needed on average"
        ),
        "offchip_bw_req": Column(
            _TRAFFIC, "elements/cycle", "bandwidth needed to and from off-chip memory"
        ),
        **_delays(),
        "energy_nj": Column(
            _MAESTRO, "nJ", "without MACs, and for most mappings without the PEs' buffers"
        ),
        "area_um2": Column(_MAESTRO, "um^2", "with bus and arbiter"),
        "power_mw": Column(_MAESTRO, "mW", "with bus and arbiter"),
        "ops_per_joule": Column(_MAESTRO, "MACs/J", "MACs over that energy"),
        "throughput_per_energy": Column(
            _MAESTRO, "1e9 MACs/cycle/nJ", "throughput over that energy"
        ),
        "pe_power": Column(_POWER, "mW", "the PEs' arithmetic"),
        "l1_power": Column(_POWER, "mW", "the PEs' own buffers"),
        "l2_power": Column(_POWER, "mW", "the shared buffer"),
        "noc_power": Column(_POWER, "mW", "bus and arbiter"),
    }
)
"""Every field of :class:`hwgym.costs.maestro.Costs`, in the order in which to show them."""
