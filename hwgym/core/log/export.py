"""Episode logs as data sets of Minari."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from hwgym._arrays import Ints
from hwgym._extras import naming
from hwgym.core.actions import actions_of
from hwgym.core.log.reading import LogError, read_episodes, read_settings
from hwgym.core.log.spec import make_environment
from hwgym.core.log.writing import what_is_logged
from hwgym.core.space import Space

__all__ = ["to_minari"]

RTOL = 1e-9
"""By this share numbers of a log and of its episodes played again may differ."""


def to_minari(path: str | os.PathLike[str], dataset_id: str, **about: Any) -> Any:
    """Export a log as a Minari dataset, in the actions and rewards of its environment.

    Observations and rewards are not in a log: they follow from the actions, and are made by playing
    the episodes again, in the environment that the log's metadata specifies; the dataset carries
    that specification. Where the log is of an environment, returns must be the same. Where it is of
    an agent, which may have had other rewards, a solution is played until the environment ends it.
    An episode that was broken off ends truncated.

    Args:
        path: A log that says how its environment is made.
        dataset_id: ``namespace/name-v0``, as Minari asks.
        about: Further arguments of ``minari.create_dataset_from_buffers`` (author, description...).

    Returns:
        The ``minari.MinariDataset``.

    Raises:
        LogError: If the log cannot be read, has no episode, names no environment, or is not what
            its environment says; the message names the episode.
        ImportError: If Minari is not installed.
    """
    with naming():
        import minari
    env = make_environment(path)
    problem, mode = env.get_wrapper_attr("problem"), env.get_wrapper_attr("action_mode")
    rows = read_episodes(path)
    if rows.empty:
        raise LogError(f"{path}: has no episode")
    genes = _genes(path, rows, problem.space)
    for name, values in what_is_logged(problem, genes).items():
        if not name.startswith("step_"):
            _compare(path, rows, name, values)
    played = [_play(env, number, actions_of(problem.space, mode, each[(each >= 0).all(axis=1)]))
              for number, each in enumerate(genes)]  # fmt: skip
    if read_settings(path).get("returns") == "environment":
        known = rows["return"].notna().to_numpy()
        for number in np.flatnonzero(known).tolist():
            if len(played[number]) < len(rows["genes"][number]):
                raise LogError(
                    f"{_episode(path, rows, number)} has {len(rows['genes'][number])} steps, but "
                    f"played again it ends after {len(played[number])}{_ADVICE}"
                )
        sums = [np.sum(p.rewards) if k else np.nan for p, k in zip(played, known, strict=True)]
        _compare(path, rows, "return", np.array(sums, np.float64))
    about = {"eval_env": env.spec, **about}
    return minari.create_dataset_from_buffers(dataset_id, played, env=env, **about)


_ADVICE = (
    ": its environment was another one, or in wrappers that change rewards or steps, or the "
    "package has changed"
)


def _episode(path: str | os.PathLike[str], rows: Any, number: int) -> str:
    return f"{path}: episode {rows['episode'][number]} of run {rows['run_id'][number]}"


def _genes(path: str | os.PathLike[str], rows: Any, space: Space) -> Ints:
    """(N, steps, axes), -1 from where an episode broke off.

    Raises:
        LogError: If one is not of the space.
    """
    genes = np.full((len(rows), space.num_steps, len(space.axes)), -1)
    for number, value in enumerate(rows["genes"]):
        try:
            genes[number, : len(value)] = [np.asarray(step) for step in value]
            space.check(genes[number])
        except (TypeError, ValueError) as error:
            raise LogError(f"{_episode(path, rows, number)} is damaged: {error}") from error
    return genes


def _compare(path: str | os.PathLike[str], rows: Any, name: str, values: Any) -> None:
    """See that a column of a log is what its episodes give now.

    Raises:
        LogError: If it is not.
    """
    logged = rows[name].to_numpy(np.float64)
    same = np.isclose(logged, np.asarray(values, np.float64), rtol=RTOL, atol=RTOL, equal_nan=True)
    for number in np.flatnonzero(~same).tolist():
        raise LogError(
            f"{_episode(path, rows, number)} has {name} {logged[number]:.10g}, but played again "
            f"{values[number]:.10g}{_ADVICE}"
        )


def _play(env: Any, number: int, actions: Any) -> Any:
    """An episode of those actions, until the environment ends it, as Minari's buffer."""
    from minari.data_collector import EpisodeBuffer

    buffer = EpisodeBuffer(id=number, observations=[env.reset()[0]], actions=[])
    ended = False
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(action)
        ended = terminated or truncated
        buffer.observations.append(observation)
        buffer.actions.append(action)
        buffer.rewards.append(reward)
        buffer.terminations.append(terminated)
        buffer.truncations.append(truncated)
        if ended:
            break
    if not ended:
        buffer.truncations[-1] = True
    return buffer
