"""How episodes walk assignment problems, shown in absolute units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hwgym._arrays import Observations
from hwgym.core.dynamics import Dynamics
from hwgym.core.rewards import Reward
from hwgym.core.table_walk import TableEpisode, TableState, TableWalk
from hwgym.core.veil import check_lifted
from hwgym.families.assignment.multi.dealt_walk import dealt_walk
from hwgym.families.assignment.multi.features import (
    AHEAD,
    SIZE,
    LayerRows,
    choices_shown,
    constants,
    context_features,
    hardware_features,
    left_features,
    shown,
    style_features,
    technology_features,
)
from hwgym.families.assignment.multi.problem import Instances, MultiProblem
from hwgym.families.assignment.multi.splits import CONSTRAINTS, OBJECTIVES

__all__ = ["ShownWalk", "walk"]


def _joined(room: int, *parts: Observations) -> Observations:
    """Observations (N, entries + room), of their parts."""
    out = np.empty((len(parts[0]), sum(part.shape[1] for part in parts) + room), np.float32)
    at = 0
    for part in parts:
        out[:, at : at + part.shape[1]] = part
        at += part.shape[1]
    return out


class ShownWalk(TableWalk):
    """The walk over problems given by tables, shown in absolute units; see
    :mod:`hwgym.families.assignment.multi.features` for what is observed."""

    def __init__(self, problems: Sequence[MultiProblem]) -> None:
        super().__init__(problems)
        seen = [_Seen.of(problem) for problem in problems]
        self._ahead, self._remaining, self._contexts = (
            np.concatenate(each) for each in zip(*seen, strict=True)
        )
        self._shown = choices_shown(problems[0].space)
        self.observation_size = SIZE + len(problems[0].space.axes)

    def observe(self, state: TableState, room: int = 0) -> Observations:
        rows, limit, steps = state.step, self._limits, self._steps
        which = np.zeros_like(rows)
        if state.which is not None:
            which = state.which
            rows = rows + self._rows[which]
            limit, steps = limit[which], steps[which]  # type: ignore[index]
        return _joined(
            room,
            self._ahead.take(rows, axis=0),
            self._remaining.take(rows, axis=0),
            self._contexts.take(which, axis=0),
            self._shown.take(state.previous, axis=0),
            left_features(state.used, limit, steps - state.step),
        )

    def episode(self, reward: Reward) -> TableEpisode:
        return _ShownEpisode(self, reward)


class _ShownEpisode(TableEpisode):
    """As :class:`~hwgym.core.table_walk.TableEpisode`; what is observed is asked of the walk."""

    def __init__(self, walk: ShownWalk, reward: Reward) -> None:
        super().__init__(walk, reward)
        self._shown_walk = walk

    def observe(self) -> Observations:
        state = TableState(
            np.array([self._step]),
            np.array([self._previous]),
            np.array([self._used]),
            None,
            np.array([self.which]),
        )
        if self._shown_walk.single:
            state = state._replace(which=None)
        out: Observations = self._shown_walk.observe(state, self._room)[0]
        self._show_earned(out)
        return out


class _Seen(NamedTuple):
    """What is observed of one problem whatever is chosen.

    Attributes:
        ahead: (steps + 1, entries of the layers ahead)
        remaining: (steps + 1, entries)
        context: (1, entries)
    """

    ahead: Observations
    remaining: Observations
    context: Observations

    @classmethod
    def of(cls, problem: MultiProblem) -> _Seen:
        design, steps = problem.design, problem.num_steps
        layers = LayerRows(design.workload)
        if steps != len(design.workload):
            raise ValueError(
                f"problems of many networks have a step a layer, got {problem.statement.title!r}"
            )
        rows = np.append(np.arange(steps), [steps] * AHEAD)
        ahead = layers.shown[rows[np.arange(steps + 1)[:, None] + np.arange(AHEAD)]]
        remaining = layers.remaining(rows[:steps], np.array([steps]))
        none = np.full((1, remaining.shape[1]), -1.0, np.float32)
        context = context_features(
            np.array([OBJECTIVES.index(problem.objective.name)]),
            np.array([CONSTRAINTS.index(problem.constraint.name)]),
            style_features(design.dataflows)[None],
            technology_features(constants(design.hardware.tech)),
            hardware_features(design.hardware)[None],
            np.array([problem.limit]),
            np.array([steps]),
        )
        return cls(ahead.reshape(steps + 1, -1), np.concatenate([remaining, none]), shown(context))


def walk(problems: Sequence[Any]) -> Dynamics:
    """How episodes walk a bank of problems, or a split.

    Raises:
        ValueError: If the problems cannot be stepped together, or show what this does not know.
        Withheld: While an agent searches.
    """
    check_lifted("what each choice costs")
    if isinstance(problems, Instances):
        return dealt_walk(problems)
    for problem in problems:
        if problem.objective.name not in OBJECTIVES:
            raise ValueError(
                f"problems of many networks minimise {', '.join(OBJECTIVES)}, got "
                f"{problem.statement.title!r}"
            )
    return ShownWalk(problems)
