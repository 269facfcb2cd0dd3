"""Hardware assignment: which layer gets how many processing elements and how much buffer."""

from hwgym.families.assignment.accounting import ACCOUNTINGS, COMPLETE, MAESTRO, Accounting
from hwgym.families.assignment.design_space import (
    FINE_PE_LEVELS,
    MIX,
    PE_LEVELS,
    TILE_LEVELS,
    DesignSpace,
)
from hwgym.families.assignment.env import HWAssignEnv, HWAssignVectorEnv
from hwgym.families.assignment.family import FAMILY
from hwgym.families.assignment.frontier import Frontier, frontier
from hwgym.families.assignment.optimum import optimum
from hwgym.families.assignment.problem import (
    CONSTRAINTS,
    OBJECTIVES,
    PLATFORMS,
    AssignmentProblem,
    Deployment,
)

__all__ = [
    "ACCOUNTINGS",
    "COMPLETE",
    "CONSTRAINTS",
    "FAMILY",
    "FINE_PE_LEVELS",
    "MAESTRO",
    "MIX",
    "OBJECTIVES",
    "PE_LEVELS",
    "PLATFORMS",
    "TILE_LEVELS",
    "Accounting",
    "AssignmentProblem",
    "Deployment",
    "DesignSpace",
    "Frontier",
    "HWAssignEnv",
    "HWAssignVectorEnv",
    "frontier",
    "optimum",
]
