"""SuiteVecEnv: the suite's vector environments as stable-baselines3 wants them.

Stable-baselines3 takes no Gymnasium ``VectorEnv``. This adapter gives it what ``DummyVecEnv`` over
scalar environments would, number by number, at the speed of the vector environment::

    env = VecMonitor(SuiteVecEnv("HWAssign-MobileNetV2-NVDLA-v0", 16, action_mode="discrete"))
    MaskablePPO("MlpPolicy", env, gamma=1.0).learn(100_000)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvStepReturn

from hwgym.core import VectorEnvironment
from hwgym.core.infos import LazyDict

__all__ = ["SuiteVecEnv"]

Indices = None | int | Iterable[int]

SHARED = ("certificate", "evaluate", "optimum")
"""Methods that say the same of every environment."""


class SuiteVecEnv(VecEnv):
    """N environments of a family, for stable-baselines3.

    Args:
        env: The id of a registered environment; or a vector environment of this suite, such as an
            evaluator's (:meth:`hwgym.core.Evaluator.environment`).
        num_envs: N, for an id.

    The other arguments are the environment's, for an id. An episode that ends is followed by the
    next within the same step (``AutoresetMode.SAME_STEP``), as stable-baselines3 expects.

    Attributes:
        envs: The vector environment behind it.

    Raises:
        ValueError: If a vector environment is none of this suite, begins its episodes in another
            way, or has a vector reward; or as the environment does.
        gymnasium.error.NameNotFound: If the id is unknown.
    """

    def __init__(
        self, env: str | VectorEnvironment, num_envs: int | None = None, **kwargs: Any
    ) -> None:
        self.envs: VectorEnvironment
        if isinstance(env, str):
            kwargs["autoreset_mode"] = AutoresetMode.SAME_STEP.value
            made: Any = gym.make_vec(
                env,
                16 if num_envs is None else num_envs,
                vectorization_mode="vector_entry_point",
                **kwargs,
            )
            self.envs = made
        elif not isinstance(env, VectorEnvironment):
            raise ValueError(f"an id or a vector environment of hwgym is needed, got {env!r}")
        elif kwargs or num_envs not in (None, env.num_envs):
            raise ValueError("a vector environment is as it is: give no arguments beside it")
        else:
            self.envs = env
        if self.envs.autoreset_mode is not AutoresetMode.SAME_STEP:
            raise ValueError(
                "stable-baselines3 needs episodes that begin within the step that ends the one "
                f"before: autoreset_mode 'SameStep', got {self.envs.autoreset_mode.value!r}"
            )
        if hasattr(self.envs, "reward_space"):
            raise ValueError("stable-baselines3 needs rewards that are numbers, not vectors")
        self._actions: NDArray[Any] | None = None
        super().__init__(
            self.envs.num_envs, self.envs.single_observation_space, self.envs.single_action_space
        )

    @property
    def spec(self) -> gym.envs.registration.EnvSpec | None:
        """What the environment was made from, if from an id."""
        return self.envs.spec

    def reset(self) -> NDArray[np.float32]:
        """Begin all episodes."""
        observations, infos = self.envs.reset(seed=self._seeds)
        self.reset_infos = self._split(infos)
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: NDArray[Any]) -> None:
        """Take note of the actions; step_wait takes the step."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Observations, rewards (float32), whether the episode ended, and an info each; that of an
        ended one is its last, with the last observation as ``terminal_observation``."""
        observations, rewards, ended, _, infos = self.envs.step(self._actions)
        split = self._split(infos)
        if ended.any():
            last, rows = infos["final_obs"], np.flatnonzero(ended).tolist()
            for i, final in zip(rows, self._split(infos["final_info"], rows), strict=True):
                self.reset_infos[i], split[i] = split[i], final
                final["terminal_observation"] = last[i]
        for info in split:
            info["TimeLimit.truncated"] = False
        return observations, rewards.astype(np.float32), ended, split

    def close(self) -> None:
        """Close the vector environment."""
        self.envs.close()

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """An image of each episode; needs render_mode rgb_array."""
        return list(self.envs.render() or [None] * self.num_envs)

    def has_attr(self, attr_name: str) -> bool:
        """Whether the environments have an attribute of that name."""
        return hasattr(self.envs, attr_name)

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """An attribute, once for each environment.

        Raises:
            AttributeError: If there is none of that name.
        """
        if attr_name in ("action_space", "observation_space"):
            attr_name = f"single_{attr_name}"
        return [getattr(self.envs, attr_name)] * len(self._rows(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Set an attribute of all environments.

        Raises:
            ValueError: If not all are meant: they share their attributes.
        """
        if set(self._rows(indices)) != set(range(self.num_envs)):
            raise ValueError(
                f"the environments share their attributes: set {attr_name!r} of all of them"
            )
        setattr(self.envs, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Indices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method: ``action_masks``, ``render``, or one that is the same for all,
        ``certificate``, ``evaluate`` or ``optimum``.

        Raises:
            AttributeError: If it is another one.
        """
        rows = self._rows(indices)
        if method_name in SHARED:
            result = getattr(self.envs, method_name)(*method_args, **method_kwargs)
            return [result] * len(rows)
        if method_name not in ("action_masks", "render"):
            known = ", ".join(("action_masks", "render", *SHARED))
            raise AttributeError(f"no environment method {method_name!r}; there are {known}")
        each = getattr(self.envs, method_name)(*method_args, **method_kwargs)
        return [None if each is None else each[i] for i in rows]

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: Indices = None
    ) -> list[bool]:
        """False for each: there are no scalar environments that could be wrapped."""
        return [False] * len(self._rows(indices))

    def _rows(self, indices: Indices) -> list[int]:
        return list(self._get_indices(indices))

    def _split(
        self, infos: dict[str, Any], rows: Iterable[int] | None = None
    ) -> list[dict[str, Any]]:
        """An info for each environment, or each of some; what it says is looked up when it is
        read, but for what stable-baselines3 asks for at every step."""
        names = [n for n in infos if f"_{n}" in infos and not n.startswith("final_")]
        names.remove("is_success")
        success = infos["is_success"].tolist()
        split: list[dict[str, Any]] = []
        for i in range(self.num_envs) if rows is None else rows:
            info = LazyDict(is_success=success[i])
            info.later(names, partial(_row, infos, names, i))
            split.append(info)
        return split


def _row(infos: dict[str, Any], names: list[str], i: int) -> dict[str, Any]:
    """What one environment says, as it would itself: numbers are Python's."""
    values = {name: infos[name][i] for name in names}
    return {n: v.item() if isinstance(v, np.generic) else v for n, v in values.items()}
