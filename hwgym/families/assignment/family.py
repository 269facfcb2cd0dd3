"""The family: which layer gets how many PEs and how much buffer."""

from __future__ import annotations

from hwgym.core.family import Family
from hwgym.core.table_walk import TableWalk
from hwgym.families.assignment.ids import ids
from hwgym.families.assignment.problem import NAME, VERSION, AssignmentProblem
from hwgym.families.assignment.view import VIEW

__all__ = ["FAMILY"]

FAMILY = Family(
    name=NAME,
    version=VERSION,
    make=AssignmentProblem.of,
    dynamics=TableWalk.of,
    ids=ids,
    view=VIEW,
    entry_point="hwgym.families.assignment:HWAssignEnv",
    vector_entry_point="hwgym.families.assignment:HWAssignVectorEnv",
)
