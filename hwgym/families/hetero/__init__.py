"""Heterogeneous accelerators: many networks, several sub-accelerators, and who runs what when.

From the bottom up:

- ``costs``: what each layer takes on each sub-accelerator that could be built.
- ``space``: the decisions, and which can lead to a valid solution.
- ``scheduling``: bounds of partitions, and good schedules.
- ``problem``: what solutions are worth.
"""

from hwgym.families.hetero.costs import latency_table
from hwgym.families.hetero.env import HeteroEnv, HeteroVectorEnv
from hwgym.families.hetero.family import FAMILY
from hwgym.families.hetero.problem import HeteroProblem, hetero_problem
from hwgym.families.hetero.scheduling import list_schedules, partition_bounds
from hwgym.families.hetero.space import HeteroSpace, Partition

__all__ = [
    "FAMILY",
    "HeteroEnv",
    "HeteroProblem",
    "HeteroSpace",
    "HeteroVectorEnv",
    "Partition",
    "hetero_problem",
    "latency_table",
    "list_schedules",
    "partition_bounds",
]
