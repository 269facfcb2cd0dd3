"""Which environment a log is of: written as JSON, and made again."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from typing import Any

import gymnasium as gym

from hwgym.core.family import (
    ENVIRONMENT_ARGUMENTS,
    UnknownId,
    families,
    family_of,
    kwargs_of,
    registered_ids,
    split_id,
)
from hwgym.core.log.reading import LogError, check_statement, read_settings
from hwgym.core.problem import Problem

__all__ = ["make_environment", "spec_of"]

_OF_VECTORS = ("num_envs", "autoreset_mode", "vectorization_mode", "vector_kwargs", "wrappers")
"""What the specification of a vector environment has beside that of one of its environments."""


def spec_of(problem: Problem, env_id: str | None, env: Any = None) -> dict[str, Any] | None:
    """What ``EnvSpec.to_json`` says of a scalar environment of the problem, without wrappers.

    Args:
        problem: What it is about.
        env_id: Of the environment, if there is one.
        env: The environment itself, scalar or vector, if there is one.

    Returns:
        That of the environment; of the id; else that of the family's id without a problem of its
        own, with the problem's description as keyword arguments. None if that has no description,
        or arguments are not JSON values.
    """
    if env is None and env_id is not None and split_id(env_id)[1] is not None:
        return _json_of(gym.spec(split_id(env_id)[0]), kwargs_of(env_id))
    spec = gym.registry.get(env_id or "") if env is None else env.unwrapped.spec
    known = None if spec is None else _json_of(spec, spec.kwargs)
    if known is not None or (env is None and env_id is not None):
        return known
    general = _general_id(problem)
    if general is None or problem.description is None:
        return None
    given = {} if spec is None else spec.kwargs
    kwargs = {k: v for k, v in given.items() if k in ENVIRONMENT_ARGUMENTS and k != "problem"}
    if env is not None:
        kwargs["action_mode"] = _action_mode(env)
    return _json_of(gym.spec(general), {**problem.description, **kwargs})


def _json_of(spec: Any, kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
    plain = copy.copy(spec)
    plain.kwargs = {k: v for k, v in kwargs.items() if k not in _OF_VECTORS}
    plain.additional_wrappers = ()
    try:
        said: dict[str, Any] = json.loads(plain.to_json())
    except (TypeError, ValueError):
        return None
    return said


def _general_id(problem: Problem) -> str | None:
    """The id of the problem's family that wants what describes a problem."""
    name = problem.statement.key.get("family")
    ids = (i for f in families() if f.name == name for i in registered_ids(f))
    return next((i for i in ids if not kwargs_of(i)), None)


def _action_mode(env: Any) -> str:
    base = env.unwrapped
    if hasattr(base, "action_mode"):
        return str(base.action_mode)
    return str(base.get_attr("action_mode")[0])


def make_environment(path: str | os.PathLike[str]) -> Any:
    """The scalar environment that a log is of.

    Its id must be registered: Gymnasium would import whatever a file names.

    Raises:
        LogError: If the log does not say, or what it says makes no environment, or one of another
            problem.
    """
    about = read_settings(path)
    said = about.get("env_spec")
    if said is None:
        raise LogError(
            f"{path}: names no environment that can be made again: it has neither the id of one "
            "nor a description of its problem in JSON values"
        )
    try:
        family_of(said["id"])
    except UnknownId as error:
        raise LogError(f"{path}: {error}; import what registers it") from error
    spec = copy.deepcopy(gym.spec(said["id"]))
    spec.kwargs, spec.max_episode_steps = said["kwargs"], said["max_episode_steps"]
    try:
        env = gym.make(spec)
    except (OSError, TypeError, ValueError) as error:
        raise LogError(f"{path}: its environment cannot be made again: {error}") from error
    check_statement(path, env.get_wrapper_attr("problem").statement)
    return env
