"""The family: many networks on sub-accelerators that are chosen with their schedule."""

from __future__ import annotations

from hwgym.core.family import Family
from hwgym.families.hetero.ids import ids
from hwgym.families.hetero.problem import NAME, VERSION, hetero_problem
from hwgym.families.hetero.view import VIEW
from hwgym.families.hetero.walk import HeteroWalk

__all__ = ["FAMILY"]

FAMILY = Family(
    name=NAME,
    version=VERSION,
    make=hetero_problem,
    dynamics=HeteroWalk.of,
    ids=ids,
    view=VIEW,
    entry_point="hwgym.families.hetero:HeteroEnv",
    vector_entry_point="hwgym.families.hetero:HeteroVectorEnv",
)
