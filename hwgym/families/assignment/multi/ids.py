"""The environment ids of the family.

| id | problems |
| --- | --- |
| ``HWAssignMulti-Train-v0`` | endless |
| ``HWAssignMulti-Val-v0``, ``-Test-v0`` | 1,000 each, whose layers are in no other split |
| ``HWAssignMulti-Zoo-v0`` | the 17 published networks, 60 times each |
| ``HWAssignMulti-OOD-v0`` | 1,000 with what no other split has |
| ``HWAssignMulti-Train-MIX-v0``, ``-Val-``, ``-Test-``, ``-Zoo-`` | the same, but each layer gets a dataflow of its own |
| ``HWAssignMulti-v0`` | one's own: ``workload=...`` and whatever else describes it |
"""  # noqa: E501 (a table's row)

from __future__ import annotations

from collections.abc import Iterator

from hwgym.core.family import Id

__all__ = ["NAMES", "ids"]

NAMES = {"Train": "train", "Val": "val", "Test": "test", "Zoo": "zoo", "OOD": "ood"}
"""Splits as ids have them."""

MIXED = ("Train", "Val", "Test", "Zoo")
"""Those in which dataflows may be mixed: ``OOD`` has other dataflows than these."""


def ids() -> Iterator[Id]:
    """Every id that is registered."""
    for name, split in NAMES.items():
        yield Id(f"HWAssignMulti-{name}-v0", {"split": split}, ranked=False)
    for name in MIXED:
        given = {"split": NAMES[name], "dataflow": "MIX"}
        yield Id(f"HWAssignMulti-{name}-MIX-v0", given, ranked=False)
    yield Id("HWAssignMulti-v0", {}, ranked=False)
