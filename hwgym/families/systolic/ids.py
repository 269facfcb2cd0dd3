"""The environment ids of the family.

| id | problem |
| --- | --- |
| ``HWAssign-{Model}-{Dataflow}-v0`` | latency under an area budget, platform iot |
| ``HWAssign-{Model}-{Dataflow}-{Objective}-{Constraint}-{Platform}-v0`` | the rest |
| ``HWAssign-Systolic-v0`` | one's own: ``workload=...`` and whatever else describes it |

The dataflow is SystolicWS, SystolicOS, SystolicIS or SystolicMIX. Ids that say nothing are left
out; they are in ``silent.txt``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hwgym.core.family import Id
from hwgym.families.layered import Style, design_ids, silent_ids

__all__ = ["DATAFLOWS", "all_ids", "ids"]

DATAFLOWS = ("SystolicWS", "SystolicOS", "SystolicIS", "SystolicMIX")


def all_ids() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every id that poses one problem, also those that say nothing."""
    yield from design_ids([Style(name, {"dataflow": name}) for name in DATAFLOWS], version=0)


def ids() -> Iterator[Id]:
    """Every id that is registered."""
    silent = silent_ids(__package__)
    for env_id, kwargs in all_ids():
        if env_id not in silent:
            yield Id(env_id, kwargs)
    yield Id("HWAssign-Systolic-v0", {}, ranked=False)
