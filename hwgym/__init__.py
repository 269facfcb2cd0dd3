"""Accelerator-design problems as reinforcement-learning environments, with proven optima.

``import hwgym`` registers the environments of ``hwgym.envs_registry`` with Gymnasium::

    import gymnasium as gym
    import hwgym

    env = gym.make("HWAssign-MobileNetV2-NVDLA-v0")
    print(env.unwrapped.optimum().objective)
"""

from hwgym import envs_registry
from hwgym._version import __version__
from hwgym.core.certificate import Certificate
from hwgym.core.problem import InfeasibleError, Scores
from hwgym.core.search import solve
from hwgym.costs.maestro import Costs, Dataflow, Shapes, evaluate
from hwgym.families.assignment import (
    PLATFORMS,
    AssignmentProblem,
    DesignSpace,
    frontier,
    optimum,
)
from hwgym.hardware import Hardware, Technology
from hwgym.workloads import (
    Layer,
    Workload,
    input_size,
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
    "frontier",
    "input_size",
    "models",
    "optimum",
    "released_models",
    "released_workload",
    "solve",
    "workload",
]

envs_registry.register()
