"""The family: assignment for many networks, budgets and machines."""

from __future__ import annotations

from hwgym.core.family import Family
from hwgym.families.assignment.multi.ids import ids
from hwgym.families.assignment.multi.problem import NAME, VERSION, make
from hwgym.families.assignment.multi.walk import walk
from hwgym.families.assignment.view import AssignmentView

__all__ = ["FAMILY"]


class MultiView(AssignmentView):
    """As that of assignments."""

    def label(self, env_id: str) -> str:
        return env_id.removesuffix("-v0")


FAMILY = Family(
    name=NAME,
    version=VERSION,
    make=make,
    dynamics=walk,
    ids=ids,
    view=MultiView(),
    entry_point="hwgym.families.assignment.multi:HWAssignMultiEnv",
    vector_entry_point="hwgym.families.assignment.multi:HWAssignMultiVectorEnv",
)
