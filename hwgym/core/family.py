"""Family: problems of one kind, and all that the rest of the suite needs to know of them."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from hwgym._names import nearest
from hwgym.core.dynamics import Dynamics
from hwgym.core.problem import Problem
from hwgym.core.sampler import Sampler
from hwgym.core.view import View

__all__ = [
    "ENVIRONMENT_ARGUMENTS",
    "Family",
    "Id",
    "UnknownId",
    "families",
    "family_named",
    "family_of",
    "id_of",
    "kwargs_of",
    "problem_of",
    "ranked_ids",
    "register_family",
    "registered_ids",
    "split_id",
]

ENVIRONMENT_ARGUMENTS = ("problem", "action_mode", "reward", "render_mode")
"""What an environment takes beside the description of its problem."""


class Id(NamedTuple):
    """An environment id.

    Attributes:
        env_id: With its version.
        kwargs: Of the environment; strings, numbers and lists only, so that a specification can be
            written as JSON.
        ranked: It poses one problem with a scalar objective, on which agents can be compared.
    """

    env_id: str
    kwargs: Mapping[str, Any]
    ranked: bool = True


@dataclass(frozen=True, eq=False)
class Family:
    """Problems of one kind.

    Attributes:
        name: Of the family.
        version: Bumped when what its environments show, accept, pay or cost changes.
        make: Makes a problem from the keyword arguments of an environment, or a sampler of many.
        dynamics: How episodes walk a bank of its problems.
        ids: Its environments.
        view: What to say and show of its problems.
        entry_point: Its environment, ``module:Class``.
        vector_entry_point: Its vector environment.
    """

    name: str
    version: int
    make: Callable[..., Problem | Sampler]
    dynamics: Callable[[Sequence[Any]], Dynamics]
    ids: Callable[[], Iterator[Id]]
    view: View = field(repr=False)
    entry_point: str
    vector_entry_point: str

    @property
    def module(self) -> str:
        """Where its environments are defined; importing it makes the family known."""
        return self.entry_point.partition(":")[0]


class UnknownId(ValueError):
    """No environment of that id; the message gives the nearest."""


_families: dict[str, Family] = {}
_ids: dict[str, tuple[Family, Id]] = {}


def register_family(family: Family) -> None:
    """Make a family's environments known to Gymnasium and to the rest of the suite.

    Registering a family again changes nothing.

    Raises:
        ValueError: If another family has the name.
    """
    known = _families.setdefault(family.name, family)
    if known is not family and known.entry_point != family.entry_point:
        raise ValueError(f"there is a family {family.name!r} already, {known.entry_point}")
    for entry in family.ids():
        _ids.setdefault(entry.env_id, (family, entry))
        if entry.env_id not in gym.registry:
            vector = isinstance(entry.kwargs.get("reward"), list | tuple)
            # gymnasium.register looks through all ids for each, which takes seconds for thousands.
            gym.registry[entry.env_id] = EnvSpec(
                entry.env_id,
                entry_point=family.entry_point,
                vector_entry_point=family.vector_entry_point,
                disable_env_checker=vector,  # it takes numbers as rewards only
                kwargs=dict(entry.kwargs),
            )


def import_families(modules: Iterable[str]) -> None:
    """Import modules that register families, in a new process."""
    for module in modules:
        importlib.import_module(module)


def families() -> tuple[Family, ...]:
    """Every family that is registered."""
    return tuple(_families.values())


def family_named(name: str) -> Family:
    """The family of that name.

    Raises:
        ValueError: If none is registered.
    """
    if name not in _families:
        raise ValueError(nearest("family", name, _families) + "; see register_family")
    return _families[name]


def registered_ids(family: Family | None = None) -> tuple[str, ...]:
    """The ids of every family, or of one."""
    return tuple(i for i, (f, _) in _ids.items() if family is None or f is family)


def ranked_ids(family: Family | None = None) -> tuple[str, ...]:
    """Those that pose one problem with a scalar objective."""
    return tuple(i for i in registered_ids(family) if _ids[i][1].ranked)


def split_id(env_id: str) -> tuple[str, int | None]:
    """An id and the number of the one problem that is meant, where it says one.

    ``HWAssignMulti-Test-v0#17`` is what ``gym.make("HWAssignMulti-Test-v0", instance=17)`` poses:
    the written form of a problem of a split, for whatever asks for one by its id.

    Raises:
        UnknownId: If what follows ``#`` is no number, or written in another way than numbers are.
    """
    name, mark, number = env_id.partition("#")
    if not mark:
        return env_id, None
    if not (number.isascii() and number.isdecimal()) or number != (number.lstrip("0") or "0"):
        raise UnknownId(f"behind # stands the number of a problem, 0, 1, 2, ...: got {env_id!r}")
    return name, int(number)


def id_of(spec: EnvSpec) -> str:
    """The id of a specification: a numbered one, if it asks for one of the id's problems and fixes
    nothing else of it."""
    known = _ids[spec.id][1].kwargs if spec.id in _ids else {}
    fixed = {
        name: value
        for name, value in spec.kwargs.items()
        if name not in ENVIRONMENT_ARGUMENTS and value is not None and value != known.get(name)
    }
    return f"{spec.id}#{fixed['instance']}" if list(fixed) == ["instance"] else spec.id


def _find(env_id: str) -> tuple[Family, Id]:
    name, number = split_id(env_id)
    if number is not None:
        family, entry = _find(name)
        if not entry.kwargs or "instance" not in inspect.signature(family.make).parameters:
            raise UnknownId(f"{name} has no numbered problems, as {env_id!r} wants it to")
        return family, Id(env_id, {**entry.kwargs, "instance": number})
    if env_id not in _ids:
        folded = {i.casefold(): i for i in _ids}
        close = difflib.get_close_matches(env_id.casefold(), folded, n=1)
        hint = f"; did you mean {folded[close[0]]!r}?" if close else ""
        what = "not an environment of hwgym:" if env_id in gym.registry else "unknown environment"
        raise UnknownId(f"{what} {env_id!r}{hint}")
    return _ids[env_id]


def family_of(env_id: str) -> Family:
    """The family of an id, numbered or not (:func:`split_id`).

    Raises:
        UnknownId: If there is none.
    """
    return _find(env_id)[0]


def kwargs_of(env_id: str) -> dict[str, Any]:
    """The keyword arguments behind an id.

    Raises:
        UnknownId: If there is none.
    """
    return dict(_find(env_id)[1].kwargs)


def problem_of(env_id: str) -> Problem:
    """The problem behind an id, numbered or not (:func:`split_id`).

    Only registered ids are looked at: Gymnasium itself would import whatever module an id names
    before a colon.

    Raises:
        UnknownId: If there is none, or none of that number.
        ValueError: If the id poses no problem of its own.
    """
    family, entry = _find(env_id)
    described = {k: v for k, v in entry.kwargs.items() if k not in ENVIRONMENT_ARGUMENTS}
    if not entry.ranked and not described:
        raise ValueError(f"{env_id} poses no problem of its own: it wants what describes one")
    try:
        made = family.make(**described)
    except ValueError as error:
        if split_id(env_id)[1] is None:
            raise
        raise UnknownId(f"{env_id}: {error}") from error
    if not isinstance(made, Problem):
        raise ValueError(f"{env_id} poses many problems, not one")
    return made
