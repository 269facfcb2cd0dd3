"""Hardware-resource assignment for DNN accelerators as reinforcement-learning environments.

``import hwgym`` registers the environments of ``envs_registry.py`` with Gymnasium::

    import gymnasium as gym
    import hwgym

    env = gym.make("HWAssign-MobileNetV2-NVDLA-v0")
    print(env.unwrapped.optimum().objective)
"""

from hwgym import envs_registry
from hwgym._version import __version__
from hwgym.costs.maestro import Costs, Dataflow, Hardware, Shapes, Technology, evaluate
from hwgym.families.assignment.design_space import DesignSpace
from hwgym.families.assignment.optimum import Certificate, optimum
from hwgym.families.assignment.problem import PLATFORMS, AssignmentProblem, InfeasibleError, Scores
from hwgym.workloads import (
    Layer,
    Workload,
    models,
    released_models,
    released_workload,
    workload,
)

__all__ = [
    "PLATFORMS",
    "AssignmentProblem",
    "Certificate",
    "Costs",
    "Dataflow",
    "DesignSpace",
    "Hardware",
    "InfeasibleError",
    "Layer",
    "Scores",
    "Shapes",
    "Technology",
    "Workload",
    "__version__",
    "evaluate",
    "models",
    "optimum",
    "released_models",
    "released_workload",
    "workload",
]

envs_registry.register()
