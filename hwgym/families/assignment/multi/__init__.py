"""Assignment for networks, budgets and machines that nobody has tabulated.

From the bottom up:

- ``grammar``: networks made of stages.
- ``pool``: many layers, each with what every choice costs it, whatever technology prices it.
- ``splits``: which problems there are, each told by its number.
- ``features``: what is observed, in absolute units.
- ``deals``: what episodes look up, made in bulk from the pool.
- ``problem``: the problems, one by one; the banks of splits.
- ``walk``: how episodes walk problems that are given; ``dealt_walk``: those that are drawn.
"""

from hwgym.families.assignment.multi.env import HWAssignMultiEnv, HWAssignMultiVectorEnv
from hwgym.families.assignment.multi.family import FAMILY
from hwgym.families.assignment.multi.problem import (
    Instances,
    MultiProblem,
    SplitSampler,
    binding,
    make,
)
from hwgym.families.assignment.multi.splits import SPLITS

__all__ = [
    "FAMILY",
    "SPLITS",
    "HWAssignMultiEnv",
    "HWAssignMultiVectorEnv",
    "Instances",
    "MultiProblem",
    "SplitSampler",
    "binding",
    "make",
]
