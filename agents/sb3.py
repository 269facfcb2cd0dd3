"""The agents of stable-baselines3 and sb3-contrib, as agents of hwgym.

Each trains on the evaluator's environment, which counts every episode as a sample, whether it ends
well or not, and lets none begin beyond the budget. Only MaskablePPO knows which choices can still
end within the limit; the others have to find out. All of them learn from the environment's own
rewards unless a setting says otherwise; the scale of the shaped ones comes from the best and worst
choice of every step. Hyper-parameters come from ``hyperparameters/``, a file an algorithm, which
rl_zoo3 takes as well: a section for every environment (``default``) and, where one differs, one an
environment id. Here ``n_steps`` is rounded up to whole episodes, and ``batch_size`` down to what
divides a rollout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.resources import files
from typing import Any, ClassVar

import numpy as np
import sb3_contrib
import stable_baselines3
import torch
import yaml
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, VecNormalize

from hwgym._names import nearest
from hwgym.core import BudgetSpent, Evaluator, Sees

from .vec_env import SuiteVecEnv

__all__ = [
    "A2C",
    "ALGORITHMS",
    "DDPG",
    "DQN",
    "PPO",
    "QRDQN",
    "SAC",
    "TD3",
    "TRPO",
    "MaskablePPO",
    "RecurrentPPO",
    "SB3Agent",
    "hyperparameters",
]

ALGORITHMS: Mapping[str, tuple[type[BaseAlgorithm], str]] = {
    "sb3-ppo": (stable_baselines3.PPO, "discrete"),
    "a2c": (stable_baselines3.A2C, "multi_discrete"),
    "maskable-ppo": (sb3_contrib.MaskablePPO, "discrete"),
    "recurrent-ppo": (sb3_contrib.RecurrentPPO, "multi_discrete"),
    "trpo": (sb3_contrib.TRPO, "multi_discrete"),
    "dqn": (stable_baselines3.DQN, "discrete"),
    "qr-dqn": (sb3_contrib.QRDQN, "discrete"),
    "sac": (stable_baselines3.SAC, "continuous"),
    "td3": (stable_baselines3.TD3, "continuous"),
    "ddpg": (stable_baselines3.DDPG, "continuous"),
}
"""The class behind each name, and how its actions are given unless a setting says otherwise."""
EITHER = ("sb3-ppo", "maskable-ppo")
"""Those that give them on each axis where a step's joint choices cannot be enumerated."""


@cache
def _sections(algorithm: str) -> dict[str, dict[str, Any]]:
    file = files(__package__) / "hyperparameters" / f"{algorithm}.yml"
    sections: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return sections


def hyperparameters(algorithm: str, section: str = "default") -> dict[str, Any]:
    """An algorithm's hyper-parameters as its file in ``hyperparameters/`` has them.

    Args:
        algorithm: A key of :data:`ALGORITHMS`.
        section: An environment id; the default is taken for one that has no section.

    Raises:
        ValueError: If the algorithm is unknown.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(nearest("algorithm", algorithm, ALGORITHMS))
    sections = _sections(algorithm)
    return deepcopy(sections.get(section, sections["default"]))


@dataclass
class SB3Agent:
    """Any algorithm of stable-baselines3 or sb3-contrib."""

    algorithm: str = "maskable-ppo"
    """A key of ALGORITHMS."""
    section: str = "default"
    """Whose hyper-parameters to take: an environment id, if the file has a section for it."""
    hyperparameters: dict[str, Any] | str = field(default_factory=dict)
    """Those to change, as a dict or as YAML: ``{learning_rate: 0.001, n_steps: 104}``."""
    num_envs: int | None = None
    """Environments stepped together; by default the file's ``n_envs``."""
    action_mode: str | None = None
    """By default the one that suits the algorithm."""
    reward: str | None = None
    """By default the environment's own."""
    device: str = "cpu"
    """``cpu``, ``cuda``, or ``auto``."""
    tensorboard: str | None = None
    """Folder for stable-baselines3's training curves."""
    save: str | None = None
    """File for the trained model."""

    sees: ClassVar[Sees] = "layers"
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "hyperparameters.learning_rate": (3e-4, 1e-3, 3e-3),
        "hyperparameters.gamma": (0.9, 0.95, 0.99, 1.0),
        "num_envs": (4, 8, 16),
    }

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise ValueError(nearest("algorithm", self.algorithm, ALGORITHMS))
        if isinstance(self.hyperparameters, str):
            self.hyperparameters = yaml.safe_load(self.hyperparameters) or {}
        if not isinstance(self.hyperparameters, dict):
            raise ValueError(f"hyperparameters must be a dict, got {self.hyperparameters!r}")
        if self.num_envs is not None and self.num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {self.num_envs}")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Train until the budget is spent.

        Raises:
            ValueError: If the algorithm's action mode, or the reward, does not suit the problem.
        """
        if not evaluator.remaining:
            return
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the networks are too small to share
        env, model = self.build(evaluator, seed)
        # No episode takes more than num_steps; once no more can begin, the last ones still end; and
        # it is the step after that which says that the budget is spent.
        steps = (evaluator.remaining + env.num_envs) * evaluator.space.num_steps + env.num_envs
        try:
            with suppress(BudgetSpent):
                model.learn(steps)
            if self.save:
                model.save(self.save)
        finally:
            torch.set_num_threads(threads)
            env.close()

    def build(self, evaluator: Evaluator, seed: int) -> tuple[VecEnv, BaseAlgorithm]:
        """The environments and the untrained model."""
        algorithm, action_mode = ALGORITHMS[self.algorithm]
        if self.algorithm in EITHER and evaluator.space.joint is None:
            action_mode = "multi_discrete"
        assert isinstance(self.hyperparameters, dict)
        # Copied deeply, for stable-baselines3 changes the policy_kwargs that it is given.
        given = deepcopy(hyperparameters(self.algorithm, self.section) | self.hyperparameters)
        num_envs = int(given.pop("n_envs", 1))
        normalize = given.pop("normalize", False)
        given.pop("n_timesteps", None)
        env: VecEnv = VecMonitor(
            SuiteVecEnv(
                evaluator.environment(
                    self.num_envs or num_envs,
                    action_mode=self.action_mode or action_mode,
                    reward=self.reward,
                )
            )
        )
        if normalize:
            how = normalize if isinstance(normalize, dict) else {}
            env = VecNormalize(env, **{"gamma": given.get("gamma", 0.99), **how})
        model = algorithm(
            env=env,
            seed=seed,
            device=self.device,
            tensorboard_log=self.tensorboard,
            **_arguments(given, env, evaluator.space.num_steps),
        )
        return env, model


def _arguments(given: dict[str, Any], env: VecEnv, episode: int) -> dict[str, Any]:
    """The constructor's arguments, from the zoo's notation."""
    given = dict(given)
    for name in ("learning_rate", "clip_range", "clip_range_vf"):
        if isinstance(given.get(name), str):
            given[name] = _schedule(name, given[name])
    kind, deviation = given.pop("noise_type", None), given.pop("noise_std", 0.1)
    if kind is not None:
        if kind != "normal":
            raise ValueError(f"noise_type must be 'normal', got {kind!r}")
        size = env.action_space.sample().shape
        given["action_noise"] = NormalActionNoise(np.zeros(size), np.full(size, deviation))
    if "n_steps" in given:
        given["n_steps"] = -(-given["n_steps"] // episode) * episode
        rollout = given["n_steps"] * env.num_envs
        if "batch_size" in given:
            sizes = range(min(given["batch_size"], rollout), 0, -1)
            given["batch_size"] = next(size for size in sizes if rollout % size == 0)
    return given


def _schedule(name: str, text: str) -> Callable[[float], float]:
    kind, _, value = text.partition("_")
    try:
        if kind == "lin":
            return partial(_linear, float(value))
    except ValueError:
        pass
    raise ValueError(f"{name} must be a number or lin_<number>, got {text!r}")


def _linear(start: float, remaining: float) -> float:
    return start * remaining


_ENTROPY: Mapping[str, Sequence[Any]] = {"hyperparameters.ent_coef": (0.0, 0.003, 0.01)}
_EPOCHS: Mapping[str, Sequence[Any]] = {"hyperparameters.n_epochs": (3, 6, 10)}


@dataclass
class PPO(SB3Agent):
    """Stable-baselines3's PPO (Schulman et al., arXiv:1707.06347), without masks."""

    algorithm: str = "sb3-ppo"

    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        **SB3Agent.search_space,
        **_ENTROPY,
        **_EPOCHS,
    }


@dataclass
class A2C(SB3Agent):
    """Advantage actor-critic (Mnih et al., ICML 2016)."""

    algorithm: str = "a2c"

    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {**SB3Agent.search_space, **_ENTROPY}


@dataclass
class MaskablePPO(SB3Agent):
    """PPO over the choices that can still end within budget (Huang and Ontanon, FLAIRS 2022)."""

    algorithm: str = "maskable-ppo"

    search_space = PPO.search_space


@dataclass
class RecurrentPPO(SB3Agent):
    """PPO with an LSTM."""

    algorithm: str = "recurrent-ppo"


@dataclass
class TRPO(SB3Agent):
    """Trust-region policy optimisation (Schulman et al., ICML 2015)."""

    algorithm: str = "trpo"


@dataclass
class DQN(SB3Agent):
    """Deep Q-network (Mnih et al., Nature 518, 2015) over the joint choices."""

    algorithm: str = "dqn"


@dataclass
class QRDQN(SB3Agent):
    """Quantile-regression DQN (Dabney et al., AAAI 2018)."""

    algorithm: str = "qr-dqn"


@dataclass
class SAC(SB3Agent):
    """Soft actor-critic (Haarnoja et al., ICML 2018), on continuous actions."""

    algorithm: str = "sac"


@dataclass
class TD3(SB3Agent):
    """Twin delayed DDPG (Fujimoto et al., ICML 2018), on continuous actions."""

    algorithm: str = "td3"


@dataclass
class DDPG(SB3Agent):
    """Deep deterministic policy gradient (Lillicrap et al., ICLR 2016), on continuous actions."""

    algorithm: str = "ddpg"
