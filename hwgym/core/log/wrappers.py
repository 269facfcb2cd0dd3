"""Environments whose episodes are logged."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import ArrayLike

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym.core.family import id_of
from hwgym.core.log.reading import key_of
from hwgym.core.log.writing import EpisodeLog
from hwgym.core.problem import Problem, Scores

__all__ = ["log_episodes"]


def log_episodes(env: Any, path: str | os.PathLike[str], agent: str = "", seed: int = 0) -> Any:
    """Wrap an environment, scalar or vector, so that its episodes are logged.

    Whatever tells what a choice costs is a sample, and logged: an episode from its first step on,
    also if it is broken off by a reset, and every solution passed to ``evaluate``.

    Args:
        env: An hwgym environment of one problem, in any wrappers.
        path: Folder for the log.
        agent, seed: For its columns.

    Returns:
        The wrapped environment; closing it writes the rest.

    Raises:
        ValueError: If the environment is of several problems.
        FileExistsError: As :class:`~hwgym.core.log.EpisodeLog`.
    """
    if isinstance(env, gym.vector.VectorEnv):
        return _LogVectorEpisodes(env, path, agent, seed)
    return _LogEpisodes(env, path, agent, seed)


def _only(problems: Sequence[Problem]) -> Problem:
    """The one problem that environments are of.

    Raises:
        ValueError: If they are of several.
    """
    first = key_of(problems[0].statement)
    if different := [p for p in problems[1:] if key_of(p.statement) != first]:
        raise ValueError(
            "a log is of one problem, but the environment is of several: "
            f"{problems[0].statement.title}; {different[0].statement.title}"
        )
    return problems[0]


def _opened(
    env: Any, problem: Problem, path: str | os.PathLike[str], agent: str, seed: int
) -> EpisodeLog:
    spec = env.unwrapped.spec
    env_id = id_of(spec) if spec else None
    return EpisodeLog(path, problem, agent=agent, env_id=env_id, env=env, seed=seed)


def _add_whole(log: EpisodeLog, problem: Problem, assignments: ArrayLike) -> Scores:
    """Score whole solutions, and log each as an episode."""
    scores = problem.evaluate(assignments)
    log.add(assignments, scores=scores)
    return scores


class _LogEpisodes(gym.Wrapper[Any, Any, Any, Any]):
    def __init__(self, env: Any, path: str | os.PathLike[str], agent: str, seed: int) -> None:
        super().__init__(env)
        self.problem = _only(env.get_wrapper_attr("sampler").problems)
        self.log = _opened(env, self.problem, path, agent, seed)
        self._return: float | None = 0.0
        self._under_way = False

    def reset(self, **kwargs: Any) -> Any:
        self._add()
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> Any:
        result: Any = self.env.step(action)
        _, reward, terminated, truncated, _ = result
        self._under_way = True
        if np.ndim(reward):
            self._return = None  # a vector, for which a log has no column
        elif self._return is not None:
            self._return += float(reward)
        if terminated or truncated:
            self._add()
        return result

    def evaluate(self, assignments: ArrayLike) -> Scores:
        """Score whole solutions; each is an episode of the log."""
        return _add_whole(self.log, self.problem, assignments)

    def _add(self) -> None:
        """Log the episode under way, if there is one, as far as it has come."""
        if self._under_way:
            genes = self.env.get_wrapper_attr("genes")
            returns = None if self._return is None else np.array([self._return])
            self.log.add(genes, returns=returns)
        self._return, self._under_way = 0.0, False

    def close(self) -> None:
        self._add()
        self.log.close()
        super().close()


class _LogVectorEpisodes(gym.vector.VectorWrapper):
    def __init__(self, env: Any, path: str | os.PathLike[str], agent: str, seed: int) -> None:
        super().__init__(env)
        base = env.unwrapped
        self._own = not hasattr(base, "get_attr")  # not Gymnasium's, of scalar environments
        samplers = (base.sampler,) if self._own else base.get_attr("sampler")
        self.problem = _only([p for sampler in samplers for p in sampler.problems])
        self.log = _opened(env, self.problem, path, agent, seed)
        mode = env.metadata.get("autoreset_mode")
        self._same_step = mode is AutoresetMode.SAME_STEP
        self._returns: Floats = np.zeros(env.num_envs)
        self._under_way = np.zeros(env.num_envs, bool)
        self._over = np.zeros(env.num_envs, bool)

    def reset(self, **kwargs: Any) -> Any:
        mask = (kwargs.get("options") or {}).get("reset_mask")
        where = np.ones(self.num_envs, bool) if mask is None else mask
        self._break_off(where)
        self._over = self._over & ~where
        return self.env.reset(**kwargs)

    def step(self, actions: Any) -> Any:
        stepped = ~self._over
        result = self.env.step(actions)
        _, rewards, terminated, truncated, infos = result
        ended = terminated | truncated
        if rewards.ndim > 1:
            self._returns[:] = np.nan  # vectors, for which a log has no column
        else:
            self._returns[stepped] += rewards[stepped]
        self._under_way |= stepped
        if ended.any():
            # Where the next episode begins within the step, the last info of the old is kept apart.
            last = infos["final_info"] if self._same_step else infos
            self._add(last["assignment"], np.flatnonzero(ended))
        # Else the one that is over waits for a reset, or for a step that begins the next.
        self._over = np.zeros_like(ended) if self._same_step else ended.copy()
        return result

    def evaluate(self, assignments: ArrayLike) -> Scores:
        """Score whole solutions; each is an episode of the log."""
        return _add_whole(self.log, self.problem, assignments)

    def _break_off(self, where: Bools) -> None:
        rows = np.flatnonzero(where & self._under_way)
        if len(rows):
            base: Any = self.env.unwrapped
            genes: Array = base.genes if self._own else np.stack(base.get_attr("genes"))
            self._add(genes, rows)

    def _add(self, genes: Array, rows: Ints) -> None:
        self.log.add(genes[rows], returns=self._returns[rows])
        self._returns[rows], self._under_way[rows] = 0.0, False

    def close(self, **kwargs: Any) -> None:
        self._break_off(np.ones(self.num_envs, bool))
        self.log.close()
        super().close(**kwargs)
