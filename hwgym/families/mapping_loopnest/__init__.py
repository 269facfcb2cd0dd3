"""Mappings on loop nests: which loop nest should run a layer, by a cost model to trust."""

from hwgym.families.mapping_loopnest.accelerator import ACCELERATORS, Accelerator, accelerator
from hwgym.families.mapping_loopnest.env import LoopnestMappingEnv, LoopnestMappingVectorEnv
from hwgym.families.mapping_loopnest.family import FAMILY
from hwgym.families.mapping_loopnest.problem import MappingProblem, mapping_problem
from hwgym.families.mapping_loopnest.space import MappingSpace

__all__ = [
    "ACCELERATORS",
    "FAMILY",
    "Accelerator",
    "LoopnestMappingEnv",
    "LoopnestMappingVectorEnv",
    "MappingProblem",
    "MappingSpace",
    "accelerator",
    "mapping_problem",
]
