"""The family: many jobs on several cores that share a bandwidth."""

from __future__ import annotations

from hwgym.core.family import Family
from hwgym.families.group.ids import ids
from hwgym.families.group.problem import NAME, VERSION, group_problem
from hwgym.families.group.view import VIEW
from hwgym.families.group.walk import GroupWalk

__all__ = ["FAMILY"]

FAMILY = Family(
    name=NAME,
    version=VERSION,
    make=group_problem,
    dynamics=GroupWalk.of,
    ids=ids,
    view=VIEW,
    entry_point="hwgym.families.group:GroupEnv",
    vector_entry_point="hwgym.families.group:GroupVectorEnv",
)
