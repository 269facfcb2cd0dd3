"""Mapping search: how a layer runs on given hardware, thirteen decisions, costed by MAESTRO.

From the bottom up:

- ``hardware``, ``layers``: what runs where.
- ``space``: the decisions, the mappings that they make, and which can still lead to one that fits.
- ``problem``: what mappings are worth.
"""

from hwgym.families.mapped import find_layer
from hwgym.families.mapping.env import MappingEnv, MappingVectorEnv
from hwgym.families.mapping.family import FAMILY
from hwgym.families.mapping.hardware import HARDWARE, MappingHardware, mapping_hardware
from hwgym.families.mapping.problem import MappingProblem, mapping_problem
from hwgym.families.mapping.space import DECISIONS, MappingSpace

__all__ = [
    "DECISIONS",
    "FAMILY",
    "HARDWARE",
    "MappingEnv",
    "MappingHardware",
    "MappingProblem",
    "MappingSpace",
    "MappingVectorEnv",
    "find_layer",
    "mapping_hardware",
    "mapping_problem",
]
