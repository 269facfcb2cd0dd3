"""The family: which loop nest should run a layer, by a sound cost model."""

from __future__ import annotations

from hwgym.core.family import Family
from hwgym.families.mapping_loopnest.ids import ids
from hwgym.families.mapping_loopnest.problem import NAME, VERSION, mapping_problem
from hwgym.families.mapping_loopnest.view import VIEW
from hwgym.families.mapping_loopnest.walk import MappingWalk

__all__ = ["FAMILY"]

FAMILY = Family(
    name=NAME,
    version=VERSION,
    make=mapping_problem,
    dynamics=MappingWalk.of,
    ids=ids,
    view=VIEW,
    entry_point="hwgym.families.mapping_loopnest:LoopnestMappingEnv",
    vector_entry_point="hwgym.families.mapping_loopnest:LoopnestMappingVectorEnv",
)
