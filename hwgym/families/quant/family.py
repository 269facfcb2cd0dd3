"""The family: how many bits each layer's weights and activations get."""

from __future__ import annotations

from hwgym.core.family import Family
from hwgym.families.quant.ids import ids
from hwgym.families.quant.problem import NAME, VERSION, quant_problem
from hwgym.families.quant.view import VIEW
from hwgym.families.quant.walk import dynamics

__all__ = ["FAMILY"]

FAMILY = Family(
    name=NAME,
    version=VERSION,
    make=quant_problem,
    dynamics=dynamics,
    ids=ids,
    view=VIEW,
    entry_point="hwgym.families.quant:QuantEnv",
    vector_entry_point="hwgym.families.quant:QuantVectorEnv",
)
