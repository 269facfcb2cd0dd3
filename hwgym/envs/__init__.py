"""The environments: one class, many ids (``envs_registry.py`` lists them)."""

from hwgym.envs.assignment import ACTION_MODES, HWAssignEnv
from hwgym.envs.rewards import REWARDS, Reward

__all__ = ["ACTION_MODES", "REWARDS", "HWAssignEnv", "Reward"]
