"""The family: which layer gets which systolic array and how much SRAM."""

from __future__ import annotations

from hwgym.core.family import Family
from hwgym.families.layered import dynamics
from hwgym.families.systolic.ids import ids
from hwgym.families.systolic.problem import NAME, VERSION, systolic_problem
from hwgym.families.systolic.view import VIEW

__all__ = ["FAMILY"]

FAMILY = Family(
    name=NAME,
    version=VERSION,
    make=systolic_problem,
    dynamics=dynamics,
    ids=ids,
    view=VIEW,
    entry_point="hwgym.families.systolic:SystolicEnv",
    vector_entry_point="hwgym.families.systolic:SystolicVectorEnv",
)
