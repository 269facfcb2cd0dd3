"""Dynamics: how episodes walk problems, many at once, over a bank of problems.

Two kinds are ready-made: :class:`hwgym.core.table_walk.TableWalk` for problems given by tables, and
:class:`hwgym.core.walk.Walk` for any other. A family with rules of its own subclasses one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np

from hwgym._arrays import Array, Bools, Floats, Ints, Observations, rows_by
from hwgym.core.problem import Problem

if TYPE_CHECKING:
    from hwgym.core.rewards import Reward

__all__ = ["Dynamics", "Outcome", "SingleEpisode", "check_bank", "merge", "place", "summaries"]


class Outcome(NamedTuple):
    """What a step brought, arrays (N,).

    Attributes:
        failed: The episode ended because the limit broke or a choice cannot be built.
        finished: All steps are done. An episode that failed has not finished, whatever this says.
        cells: Where the choices stand in the bank's tables; None if there are none.
        objective: Of what was chosen so far, if it was asked for; None else. Means something where
            an episode finished.
        earned: What a step that does not fail pays, where a reward leaves that to the dynamics.
    """

    failed: Bools
    finished: Bools
    cells: Ints | None
    objective: Floats | None
    earned: Floats | None = None


class Dynamics(Protocol):
    """How episodes walk the problems of a bank.

    A state is a named tuple of arrays with a row an episode, with at least ``step`` (N,), the step
    to be taken next, and ``which`` (N,), the episode's problem, or None in a bank of one. States
    are values: a step makes a new one.

    Attributes:
        problems: The bank.
        observation_size: Entries of an observation.
    """

    @property
    def problems(self) -> Sequence[Problem]: ...

    @property
    def observation_size(self) -> int: ...

    def begin(self, which: Ints, objective: bool = False) -> Any:
        """The state of episodes that begin.

        Args:
            which: (N,) index of each one's problem.
            objective: Whether the objective is to be kept, for :attr:`Outcome.objective`.
        """
        ...

    def step(self, state: Any, choices: Array) -> tuple[Any, Outcome]:
        """Give the next step of every episode its choice.

        Args:
            state: Of the episodes; those that are over are stepped too, and the result is not
                looked at, so this must not fail.
            choices: As ``Space.pack`` gives them: action numbers (N,), or genes (N, axes) where
                the joint choices of a step cannot be enumerated.
        """
        ...

    def observe(self, state: Any, room: int = 0) -> Observations:
        """(N, observation_size + room) float32 in [-1, 1]; always a new array, in which the last
        ``room`` entries are left to the caller."""
        ...

    def masks(self, state: Any, mode: str) -> Bools | None:
        """(N, entries) the choices to be recommended, at least one an episode; None if all are.

        Args:
            state: Of the episodes; what is said of one that is over means nothing.
            mode: ``discrete``: an entry a joint choice; ``multi_discrete``: the axes' entries side
                by side.
        """
        ...

    def summary(self, which: Ints, genes: Ints) -> dict[str, Floats]:
        """What episodes of problems (N,) came to, genes (N, most steps, axes): ``objective``,
        ``used``, metrics, and ``limit``; of those that broke off, what they came to until then, as
        far as that can be told."""
        ...

    def episode(self, reward: Reward) -> SingleEpisode | None:
        """A walker of single episodes that says the same, bit for bit, only sooner; or None."""
        ...


class SingleEpisode(Protocol):
    """One episode; see :class:`hwgym.core.episode.Episode`."""

    which: int
    over: bool
    choices: list[Any]

    def reset(self, which: int = 0) -> None: ...

    def step(self, choice: Any) -> tuple[Any, bool, bool]: ...

    def tell(self, success: bool, certificate: bool) -> dict[str, Any]: ...

    def observe(self) -> Observations: ...

    def mask(self, mode: str) -> Bools: ...


State = TypeVar("State", bound=tuple[Any, ...])


def merge(where: Bools, these: State, others: State) -> State:
    """A state with the rows of ``these`` where a mask (N,) says, else those of ``others``."""
    fields = []
    for a, b in zip(these, others, strict=True):
        if a is None or a is b:
            fields.append(b)
        else:
            mask = where if a.ndim == 1 else where.reshape(-1, *[1] * (a.ndim - 1))
            fields.append(np.where(mask, a, b))
    return type(others)(*fields)


def place(rows: Ints, these: State, others: State) -> State:
    """A state with those of ``these`` as its rows (n,), and else those of ``others``."""
    fields = []
    for a, b in zip(these, others, strict=True):
        if b is not None:
            b = b.copy()
            b[rows] = a
        fields.append(b)
    return type(others)(*fields)


def summaries(
    problems: Sequence[Problem],
    which: Ints,
    genes: Ints,
    of: Callable[[int, Ints], Mapping[str, Floats]],
) -> dict[str, Floats]:
    """As :meth:`Dynamics.summary`, problem by problem.

    Args:
        problems: The bank.
        which: (N,)
        genes: (N, most steps, axes)
        of: What episodes (n, steps, axes) of one problem came to.
    """
    found: dict[str, Floats] = {}
    for index, rows in rows_by(which):
        problem = problems[index]
        totals = of(index, genes[rows, : problem.num_steps])
        for name, values in totals.items():
            found.setdefault(name, np.empty(len(which)))[rows] = values
        found.setdefault("limit", np.empty(len(which)))[rows] = problem.statement.limit
    return found


def check_bank(problems: Sequence[Problem]) -> None:
    """See that problems can be stepped together.

    Raises:
        ValueError: If there are none, or their axes, features or ways of joining differ.
    """
    if not problems:
        raise ValueError("a bank needs at least one problem")
    first = problems[0].statement
    for problem in problems[1:]:
        other = problem.statement
        for what, here, there in (
            ("axes", first.space.shape, other.space.shape),
            ("features", first.features.shape[1], other.features.shape[1]),
            ("metrics", [m.name for m in first.metrics], [m.name for m in other.metrics]),
            ("join of the objective", first.objective.join, other.objective.join),
        ):
            if here != there:
                raise ValueError(
                    f"problems of a bank must have the same {what}: {here} of {first.title!r}, "
                    f"{there} of {other.title!r}"
                )
