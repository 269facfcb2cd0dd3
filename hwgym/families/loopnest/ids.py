"""The environment ids of the family.

| id | problem |
| --- | --- |
| ``HWAssign-{Model}-{Template}-v1`` | latency under an area budget, platform iot |
| ``HWAssign-{Model}-{Template}-{Objective}-{Constraint}-{Platform}-v1`` | the rest |
| ``HWAssign-{Model}-MIX-Shared-v1`` | one array for all layers, each with a template of its own |
| ``HWAssign-v1`` | one's own: ``workload=...`` and whatever else describes it |

The template is NVDLA, Eyeriss, ShiDianNao, TPU or MIX. Ids that say nothing are left out; they are
in ``silent.txt``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hwgym.core.family import Id
from hwgym.families.layered import Style, design_ids, silent_ids
from hwgym.families.loopnest.design_space import MIX

__all__ = ["TEMPLATES", "all_ids", "ids"]

TEMPLATES = (*MIX, "MIX")
STYLES = (
    *(Style(name, {"template": name}) for name in TEMPLATES),
    Style("MIX-Shared", {"template": "MIX", "deployment": "shared"}, siblings=False),
)


def all_ids() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every id that poses one problem, also those that say nothing."""
    yield from design_ids(STYLES, version=1)


def ids() -> Iterator[Id]:
    """Every id that is registered."""
    silent = silent_ids(__package__)
    for env_id, kwargs in all_ids():
        if env_id not in silent:
            yield Id(env_id, kwargs)
    yield Id("HWAssign-v1", {}, ranked=False)
