"""Episode logs as data sets of Minari."""

from __future__ import annotations

import os
from typing import Any

import gymnasium as gym
import numpy as np

from hwgym._extras import naming
from hwgym.core.actions import actions_of
from hwgym.core.log.reading import LogError, read_episodes, read_settings

__all__ = ["to_minari"]


def to_minari(path: str | os.PathLike[str], dataset_id: str, **about: Any) -> Any:
    """Export a log as a Minari dataset, in the actions and rewards of its environment.

    Observations and rewards are not in a log: they follow from the actions, and are made by playing
    the episodes again.

    Args:
        path: A log with an environment id.
        dataset_id: ``namespace/name-v0``, as Minari asks.
        about: Further arguments of ``minari.create_dataset_from_buffers`` (author, description...).

    Returns:
        The ``minari.MinariDataset``.

    Raises:
        LogError: If the log cannot be read or names no environment.
        ImportError: If Minari is not installed.
    """
    with naming():
        import minari
        from minari.data_collector import EpisodeBuffer
    env_id = read_settings(path).get("env_id")
    if env_id is None:
        raise LogError(f"{path}: names no environment, which Minari needs")
    env = gym.make(env_id)
    space, mode = env.get_wrapper_attr("problem").space, env.get_wrapper_attr("action_mode")
    buffers = []
    for number, value in enumerate(read_episodes(path)["genes"]):
        genes = np.array([np.asarray(step) for step in value], np.int64)
        actions = list(actions_of(space, mode, genes))
        buffer = EpisodeBuffer(id=number, observations=[env.reset()[0]], actions=actions)
        for action in actions:
            observation, reward, terminated, truncated, _ = env.step(action)
            buffer.observations.append(observation)
            buffer.rewards.append(reward)
            buffer.terminations.append(terminated)
            buffer.truncations.append(truncated)
        buffers.append(buffer)
    about = {"eval_env": env_id, **about}
    return minari.create_dataset_from_buffers(dataset_id, buffers, env=env, **about)
