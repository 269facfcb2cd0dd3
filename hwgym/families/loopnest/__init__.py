"""Loop nests: which layer gets which array, buffers and template, by a cost model to trust."""

from hwgym.families.loopnest.design_space import MIX, LoopnestDesign
from hwgym.families.loopnest.env import LoopnestEnv, LoopnestVectorEnv
from hwgym.families.loopnest.family import FAMILY
from hwgym.families.loopnest.problem import (
    KINDS,
    LoopnestPipeline,
    LoopnestProblem,
    LoopnestShared,
    loopnest_problem,
)

__all__ = [
    "FAMILY",
    "KINDS",
    "MIX",
    "LoopnestDesign",
    "LoopnestEnv",
    "LoopnestPipeline",
    "LoopnestProblem",
    "LoopnestShared",
    "LoopnestVectorEnv",
    "loopnest_problem",
]
