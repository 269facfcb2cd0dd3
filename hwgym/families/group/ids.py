"""The environment ids of the family.

| id | problem |
| --- | --- |
| ``HWGroup-{Mix}-{Setting}-v0`` | 100 jobs of the mix, seed 0, on the cores of the setting, under a bandwidth at which schedules are hard to find |
| ``HWGroup-{Mix}-{Setting}-Unlimited-v0`` | the same without a limit on the bandwidth |
| ``MAGMA-{Mix}-{Setting}-v0`` | a mix of MAGMA's, and of what jobs move what MAGMA counts |
| ``HWGroup-{Mix}-{Setting}-v1`` | on loop nests, with what they read from DRAM and write there |
| ``HWGroup-v0`` | one's own: ``mix=...``, ``cores=...`` and whatever else describes it |

There are those in which no single job decides: without a limit on the bandwidth, the longest takes
less than 0.8 of what the linear programme needs for all. Without a limit, cores of one kind are
left out: giving the longest job to the core that is free first is all there is to it.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hwgym.core.family import Id

__all__ = ["HARD", "HARD_BY_MAGMA", "HARD_ON_LOOPNESTS", "ids"]

Bandwidths = Mapping[tuple[str, str], float]

HARD: Bandwidths = {
    ("Vision", "S2"): 109,
    ("Vision", "S5"): 408,
    ("Mobile", "S2"): 110,
    ("ARVR-A", "S2"): 89.8,
    ("ARVR-A", "S5"): 446,
    ("ARVR-A", "S6"): 177,
    ("ARVR-B", "S1"): 14.6,
    ("ARVR-B", "S2"): 109,
    ("NASAIC", "S2"): 112,
    ("NASAIC", "S4"): 477,
    ("NASAIC", "S5"): 527,
    ("Language", "S2"): 111,
    ("Language", "S6"): 1150,
    ("Recommendation", "S6"): 750,
    ("All", "S2"): 116,
    ("All", "S4"): 988,
    ("All", "S5"): 612,
}
"""Elements a cycle, :func:`~hwgym.families.group.hard_bandwidth` of each mix and setting."""

HARD_BY_MAGMA: Bandwidths = {
    ("Vision", "S2"): 2.74,
    ("Vision", "S5"): 33.9,
    ("Language", "S5"): 9.5,
    ("Language", "S6"): 19.6,
    ("Recommendation", "S2"): 0.445,
    ("Recommendation", "S6"): 16,
    ("All", "S1"): 1.11,
    ("All", "S2"): 0.933,
    ("All", "S4"): 26.8,
    ("All", "S5"): 9.29,
}
"""The same by MAGMA's count of what jobs move."""

HARD_ON_LOOPNESTS: Bandwidths = {
    ("Vision", "S2"): 88.6,
    ("Mobile", "S2"): 126,
    ("ARVR-A", "S2"): 15.6,
    ("ARVR-B", "S2"): 21.5,
    ("NASAIC", "S2"): 21.4,
    ("All", "S2"): 102,
    ("All", "S5"): 404,
}
"""The same on loop nests."""


def ids() -> Iterator[Id]:
    """Every id that is registered."""
    for (mix, setting), bandwidth in HARD.items():
        asked = {"mix": mix, "cores": setting}
        yield Id(f"HWGroup-{mix}-{setting}-v0", {**asked, "bandwidth": bandwidth})
        if setting not in ("S1", "S3"):
            yield Id(f"HWGroup-{mix}-{setting}-Unlimited-v0", {**asked, "bandwidth": None})
    for start, version, model, bandwidths in (
        ("MAGMA", 0, "magma", HARD_BY_MAGMA),
        ("HWGroup", 1, "loopnest", HARD_ON_LOOPNESTS),
    ):
        for (mix, setting), bandwidth in bandwidths.items():
            yield Id(
                f"{start}-{mix}-{setting}-v{version}",
                {"mix": mix, "cores": setting, "bandwidth": bandwidth, "model": model},
            )
    yield Id("HWGroup-v0", {}, ranked=False)
