"""The environment ids of the family.

| id | problem |
| --- | --- |
| ``HWGroup-{Mix}-{Setting}-v0`` | 100 jobs of the mix, seed 0, on the cores of the setting |
| ``HWGroup-v0`` | one's own: ``mix=...``, ``cores=...`` and whatever else describes it |

There are those in which no single job decides: the longest takes less than 0.8 of what all cores
need without a limit on the bandwidth.
"""

from __future__ import annotations

from collections.abc import Iterator

from hwgym.core.family import Id

__all__ = ["BANDWIDTHS", "ids"]

BANDWIDTHS: dict[tuple[str, str], int] = {
    ("Vision", "S2"): 99,
    ("Vision", "S5"): 409,
    ("Mobile", "S2"): 106,
    ("ARVR-B", "S1"): 15,
    ("ARVR-B", "S2"): 77,
    ("Language", "S2"): 59,
    ("Language", "S5"): 353,
    ("Recommendation", "S6"): 750,
    ("All", "S1"): 66,
    ("All", "S2"): 56,
    ("All", "S3"): 476,
    ("All", "S4"): 505,
    ("All", "S5"): 325,
}
"""Elements a cycle: :func:`~hwgym.families.group.hard_bandwidth` of each."""


def ids() -> Iterator[Id]:
    """Every id that is registered."""
    for (mix, setting), bandwidth in BANDWIDTHS.items():
        yield Id(
            f"HWGroup-{mix}-{setting}-v0",
            {"mix": mix, "cores": setting, "bandwidth": bandwidth},
        )
    yield Id("HWGroup-v0", {}, ranked=False)
