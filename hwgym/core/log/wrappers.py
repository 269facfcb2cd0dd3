"""Environments whose episodes are logged."""

from __future__ import annotations

import os
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Bools, Ints
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
    """
    if isinstance(env, gym.vector.VectorEnv):
        return _LogVectorEpisodes(env, path, agent, seed)
    return _LogEpisodes(env, path, agent, seed)


class _LogEpisodes(gym.Wrapper[Any, Any, Any, Any]):
    def __init__(self, env: Any, path: str | os.PathLike[str], agent: str, seed: int) -> None:
        super().__init__(env)
        self.problem: Problem = env.get_wrapper_attr("problem")
        env_id = env.spec.id if env.spec else None
        self.log = EpisodeLog(path, self.problem, agent=agent, env_id=env_id, seed=seed)
        self._return, self._under_way = 0.0, False

    def reset(self, **kwargs: Any) -> Any:
        self._add()
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> Any:
        result = self.env.step(action)
        self._return, self._under_way = self._return + float(result[1]), True
        if result[2] or result[3]:
            self._add()
        return result

    def evaluate(self, assignments: ArrayLike) -> Scores:
        """Score whole solutions; each is an episode of the log."""
        scores = self.problem.evaluate(assignments)
        self.log.add(assignments)
        return scores

    def _add(self) -> None:
        """Log the episode under way, if there is one, as far as it has come."""
        if self._under_way:
            genes = self.env.get_wrapper_attr("genes")
            self.log.add(genes, returns=np.array([self._return]))
        self._return, self._under_way = 0.0, False

    def close(self) -> None:
        self._add()
        self.log.close()
        super().close()


class _LogVectorEpisodes(gym.vector.VectorWrapper):
    def __init__(self, env: Any, path: str | os.PathLike[str], agent: str, seed: int) -> None:
        super().__init__(env)
        spec = env.spec
        self.problem: Problem = self._each("problem")[0]
        env_id = spec.id if spec else None
        self.log = EpisodeLog(path, self.problem, agent=agent, env_id=env_id, seed=seed)
        self._returns = np.zeros(env.num_envs)
        self._under_way = np.zeros(env.num_envs, bool)
        self._over = np.zeros(env.num_envs, bool)

    def _each(self, name: str) -> Any:
        """An attribute of each environment, of ours or of scalar ones in Gymnasium's."""
        base = self.env.unwrapped
        if hasattr(base, "get_attr"):
            return base.get_attr(name)
        value = getattr(base, name)
        return [value] * self.num_envs if isinstance(value, Problem) else value

    def reset(self, **kwargs: Any) -> Any:
        mask = (kwargs.get("options") or {}).get("reset_mask")
        where = np.ones(self.num_envs, bool) if mask is None else mask
        self._break_off(where)
        self._over = self._over & ~where
        return self.env.reset(**kwargs)

    def step(self, actions: Any) -> Any:
        stepped = ~self._over
        result = self.env.step(actions)
        rewards, ended, infos = result[1], result[2] | result[3], result[4]
        self._returns[stepped] += rewards[stepped]
        self._under_way |= stepped
        if ended.any():
            # Where a finished episode is replaced at once, its own info is kept apart.
            last = infos.get("final_info", infos)
            for i in np.flatnonzero(ended):
                self._add(last["assignment"][i], int(i))
        # In the same step the next episode begins at once; else the one that is over waits.
        same_step = self.env.metadata.get("autoreset_mode") is gym.vector.AutoresetMode.SAME_STEP
        self._over = np.zeros_like(ended) if same_step else ended.copy()
        return result

    def evaluate(self, assignments: ArrayLike) -> Scores:
        """Score whole solutions; each is an episode of the log."""
        scores = self.problem.evaluate(assignments)
        self.log.add(assignments)
        return scores

    def _break_off(self, where: Bools) -> None:
        rows = np.flatnonzero(where & self._under_way)
        if len(rows):
            genes = self._each("genes")
            for i in rows:
                self._add(genes[i], int(i))

    def _add(self, genes: Ints, row: int) -> None:
        self.log.add(genes, returns=self._returns[row : row + 1].copy())
        self._returns[row], self._under_way[row] = 0.0, False

    def close(self, **kwargs: Any) -> None:
        self._break_off(np.ones(self.num_envs, bool))
        self.log.close()
        super().close(**kwargs)
