"""How many bits each layer's weights and activations get.

From the bottom up:

- ``network``: small networks, really quantised, in exact integers; ``accuracy``: the tables of what
  every choice of bits answers.
- ``budget``: what every choice takes of a limit, and what that leaves.
- ``problem``: real accuracy, or a proxy, within a limit; ``walk``: how episodes go.
"""

from hwgym.families.quant.accuracy import AccuracyTable
from hwgym.families.quant.budget import Budget
from hwgym.families.quant.env import QuantEnv, QuantVectorEnv
from hwgym.families.quant.family import FAMILY
from hwgym.families.quant.network import QuantisedNetwork
from hwgym.families.quant.problem import (
    CONSTRAINTS,
    AccuracyProblem,
    Bitwidths,
    NoiseProblem,
    quant_problem,
)

__all__ = [
    "CONSTRAINTS",
    "FAMILY",
    "AccuracyProblem",
    "AccuracyTable",
    "Bitwidths",
    "Budget",
    "NoiseProblem",
    "QuantEnv",
    "QuantVectorEnv",
    "QuantisedNetwork",
    "quant_problem",
]
