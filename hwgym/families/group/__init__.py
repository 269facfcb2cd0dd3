"""Groups: many jobs on several cores that share one bandwidth, none of which waits for another."""

from hwgym.families.group.env import GroupEnv, GroupVectorEnv
from hwgym.families.group.family import FAMILY
from hwgym.families.group.problem import GroupProblem, group_problem, hard_bandwidth
from hwgym.families.group.settings import SETTINGS, cores_of

__all__ = [
    "FAMILY",
    "SETTINGS",
    "GroupEnv",
    "GroupProblem",
    "GroupVectorEnv",
    "cores_of",
    "group_problem",
    "hard_bandwidth",
]
