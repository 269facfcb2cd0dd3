"""The environment ids of the family.

| id | problem |
| --- | --- |
| ``HWHetero-{Mix}-{PEs}-v0`` | the networks of the mix, PEs in all, no limit on the bandwidth |
| ``HWHetero-{Mix}-{PEs}-{B}-v0`` | the same, and B elements a cycle to all sub-accelerators |
| ``HWHetero-{Mix}-{PEs}-{B}-v1`` | on loop nests, and B elements a cycle of DRAM to all |
| ``HWHetero-v0`` | one's own: ``mix=...``, ``pes=...`` and whatever else describes it |

There are those in which no chain decides alone (the longest, each layer where it is fastest, takes
less than 0.8 of what all layers together need), and in which one sub-accelerator is more than 1 %
above the bound. That leaves out NASAIC's mix, whose U-Net alone decides; 16,384 PEs without a limit
but for ARVR-A; and what little bandwidth makes a task for a single sub-accelerator: Mobile with 16
elements a cycle, ARVR-A and ARVR-B with 64. Of those on loop nests, which take long to prepare,
one has an id.
"""

from __future__ import annotations

from collections.abc import Iterator

from hwgym.core.family import Id

__all__ = ["BANDWIDTHS", "LIMITED", "TASKS", "ids"]

BANDWIDTHS = {1024: 16, 4096: 64, 16384: 256}
"""Elements a cycle that go with PEs: Herald's 16, 64 and 256 GB/s at a gigahertz (HPCA 2021)."""

TASKS: dict[str, tuple[int, ...]] = {
    "Mobile": (1024, 4096),
    "ARVR-A": (1024, 4096, 16384),
    "ARVR-B": (1024, 4096),
}
"""Of each mix the PEs without a limit on the bandwidth."""

LIMITED: dict[str, tuple[int, ...]] = {
    "Mobile": (4096, 16384),
    "ARVR-A": (1024, 16384),
    "ARVR-B": (1024, 16384),
}
"""Of each mix the PEs with :data:`BANDWIDTHS`."""


def ids() -> Iterator[Id]:
    """Every id that is registered."""
    for mix in TASKS:
        for pes in TASKS[mix]:
            yield Id(f"HWHetero-{mix}-{pes}-v0", {"mix": mix, "pes": pes})
        for pes in LIMITED[mix]:
            kwargs = {"mix": mix, "pes": pes, "bandwidth": BANDWIDTHS[pes]}
            yield Id(f"HWHetero-{mix}-{pes}-{BANDWIDTHS[pes]}-v0", kwargs)
    nests = {"mix": "Mobile", "pes": 1024, "bandwidth": BANDWIDTHS[1024], "model": "loopnest"}
    yield Id("HWHetero-Mobile-1024-16-v1", nests)
    yield Id("HWHetero-v0", {}, ranked=False)
