"""Mapping search for a whole network, whose layers share a cluster size, loop orders or hardware.

From the bottom up:

- ``space``: what is shared and what each layer has of its own, and which of it can still fit.
- ``bounds``: what is proven, choice by choice of what is shared.
- ``problem``: what it is worth.
"""

from hwgym.families.mapping.network.env import NetworkEnv, NetworkVectorEnv
from hwgym.families.mapping.network.family import FAMILY
from hwgym.families.mapping.network.problem import NetworkProblem, network_problem
from hwgym.families.mapping.network.space import (
    COUPLINGS,
    Levels,
    NetworkSpace,
    area_of,
    distinct_layers,
)

__all__ = [
    "COUPLINGS",
    "FAMILY",
    "Levels",
    "NetworkEnv",
    "NetworkProblem",
    "NetworkSpace",
    "NetworkVectorEnv",
    "area_of",
    "distinct_layers",
    "network_problem",
]
