"""Suites: which tasks agents are compared on, as data (``suites.json``).

A suite lists environments, ``tasks``, or problems of splits by their numbers, ``numbered``; those
of HWAssignMulti are written by ``python -m benchmarks.suites``. A suite may have ``tracks``, names
of :data:`hwgym.leaderboard.tracks.TRACKS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from hwgym._names import nearest
from hwgym.core.family import family_of, ranked_ids, split_id

__all__ = ["SUITES", "Suite", "Task", "find_suite"]

SAMPLES = 5000


@dataclass(frozen=True)
class Task:
    """A problem and how many samples an agent gets on it.

    Attributes:
        env_id: A registered environment that poses one problem; or one problem of an environment
            that poses many, as ``HWAssignMulti-Test-v0#17`` (:func:`hwgym.core.split_id`). This is
            how runs, submissions, records and the command line name it, too.
        samples: Complete solutions that may be evaluated.
    """

    env_id: str
    samples: int = SAMPLES

    @property
    def label(self) -> str:
        """The id as its family shortens it.

        Raises:
            UnknownId: If there is no such environment.
        """
        name, number = split_id(self.env_id)
        label = family_of(name).view.label(name)
        return label if number is None else f"{label}#{number}"


@dataclass(frozen=True)
class Suite:
    """Tasks that belong together.

    Attributes:
        name: What it is called on the command line.
        about: What it is for.
        time_limit: Wall seconds that a run gets unless the command says otherwise.
        make: Gives the tasks; asked whenever they are wanted, for families may join.
        tracks: Names of what else its runs are read as (:mod:`hwgym.leaderboard.tracks`).
    """

    name: str
    about: str
    time_limit: float
    make: Callable[[], tuple[Task, ...]]
    tracks: tuple[str, ...] = ()

    @property
    def tasks(self) -> tuple[Task, ...]:
        """In the order in which tables show them."""
        return self.make()


def _listed(name: str, told: dict[str, Any]) -> Suite:
    ids = [*told.get("tasks", ())]
    ids += [f"{id_}#{n}" for id_, numbers in told.get("numbered", {}).items() for n in numbers]
    tasks = tuple(Task(env_id, told["samples"]) for env_id in ids)
    tracks = tuple(told.get("tracks", ()))
    return Suite(name, told["about"], told["time_limit"], lambda: tasks, tracks)


def _full() -> tuple[Task, ...]:
    return tuple(map(Task, ranked_ids()))


LISTED: dict[str, Any] = json.loads(
    files("hwgym.leaderboard").joinpath("suites.json").read_text(encoding="utf-8")
)
SUITES = {
    **{name: _listed(name, told) for name, told in LISTED.items()},
    "full": Suite("full", "every task of every family", 120, _full),
}


def find_suite(name: str) -> Suite:
    """The suite of that name.

    Raises:
        ValueError: If there is none; the message gives the nearest name.
    """
    if name not in SUITES:
        raise ValueError(nearest("suite", name, SUITES))
    return SUITES[name]
