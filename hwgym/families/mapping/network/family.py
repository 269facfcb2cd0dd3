"""The family: how the layers of a network run, which share some of how they do."""

from __future__ import annotations

from hwgym.core.family import Family
from hwgym.families.mapping.network.ids import ids
from hwgym.families.mapping.network.problem import NAME, VERSION, network_problem
from hwgym.families.mapping.network.view import VIEW
from hwgym.families.mapping.network.walk import NetworkWalk

__all__ = ["FAMILY"]

FAMILY = Family(
    name=NAME,
    version=VERSION,
    make=network_problem,
    dynamics=NetworkWalk.of,
    ids=ids,
    view=VIEW,
    entry_point="hwgym.families.mapping.network:NetworkEnv",
    vector_entry_point="hwgym.families.mapping.network:NetworkVectorEnv",
)
