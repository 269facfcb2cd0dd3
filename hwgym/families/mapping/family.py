"""The family: how a layer runs on given hardware."""

from __future__ import annotations

from hwgym.core.family import Family
from hwgym.families.mapping.ids import ids
from hwgym.families.mapping.problem import NAME, VERSION, mapping_problem
from hwgym.families.mapping.view import VIEW
from hwgym.families.mapping.walk import MappingWalk

__all__ = ["FAMILY"]

FAMILY = Family(
    name=NAME,
    version=VERSION,
    make=mapping_problem,
    dynamics=MappingWalk.of,
    ids=ids,
    view=VIEW,
    entry_point="hwgym.families.mapping:MappingEnv",
    vector_entry_point="hwgym.families.mapping:MappingVectorEnv",
)
