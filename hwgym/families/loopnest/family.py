"""The family: which layer gets which array, buffers and template, by a sound cost model."""

from __future__ import annotations

from hwgym.core.family import Family
from hwgym.families.layered import dynamics
from hwgym.families.loopnest.ids import ids
from hwgym.families.loopnest.problem import NAME, VERSION, loopnest_problem
from hwgym.families.loopnest.view import VIEW

__all__ = ["FAMILY"]

FAMILY = Family(
    name=NAME,
    version=VERSION,
    make=loopnest_problem,
    dynamics=dynamics,
    ids=ids,
    view=VIEW,
    entry_point="hwgym.families.loopnest:LoopnestEnv",
    vector_entry_point="hwgym.families.loopnest:LoopnestVectorEnv",
)
