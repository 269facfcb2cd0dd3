"""The environments: one class, scalar and vector, many ids (``envs_registry.py`` lists them)."""

from hwgym.envs.assignment import ACTION_MODES, HWAssignEnv
from hwgym.envs.rewards import REWARDS, Reward
from hwgym.envs.vector import HWAssignVectorEnv

__all__ = ["ACTION_MODES", "REWARDS", "HWAssignEnv", "HWAssignVectorEnv", "Reward"]
