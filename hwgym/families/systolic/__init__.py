"""Systolic arrays: which layer gets how many rows and columns, and how much SRAM."""

from hwgym.families.systolic.design_space import (
    COLUMN_LEVELS,
    MIX,
    ROW_LEVELS,
    SRAM_LEVELS,
    SystolicSpace,
)
from hwgym.families.systolic.env import SystolicEnv, SystolicVectorEnv
from hwgym.families.systolic.family import FAMILY
from hwgym.families.systolic.problem import (
    KINDS,
    SystolicPipeline,
    SystolicProblem,
    SystolicShared,
    systolic_problem,
)

__all__ = [
    "COLUMN_LEVELS",
    "FAMILY",
    "KINDS",
    "MIX",
    "ROW_LEVELS",
    "SRAM_LEVELS",
    "SystolicEnv",
    "SystolicPipeline",
    "SystolicProblem",
    "SystolicShared",
    "SystolicSpace",
    "SystolicVectorEnv",
    "systolic_problem",
]
