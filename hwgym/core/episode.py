"""The episode kernel: N episodes over a bank of problems, stepped together; and one alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hwgym._arrays import Array, Bools, Floats, Ints, Observations, rows_by
from hwgym.core.dynamics import Dynamics, SingleEpisode, merge, place
from hwgym.core.problem import Statement, most_steps
from hwgym.core.rewards import Reward, shown

__all__ = [
    "Episode",
    "EpisodeKernel",
    "Moment",
    "StepResult",
    "observation_size",
    "said",
    "single_episode",
    "summarise",
    "summary_names",
]


class StepResult(NamedTuple):
    """Arrays of shape (N,); the reward (N, metrics) if it is a vector."""

    reward: Floats
    failed: Bools
    finished: Bools


class Moment(NamedTuple):
    """Where the episodes of a kernel are; its arrays are replaced at every step, so it stays true.

    Attributes:
        state, which, earned: The kernel's.
        history: The kernel's, as a tuple.
    """

    state: Any
    which: Ints
    earned: Floats
    history: tuple[Array, ...]


def observation_size(dynamics: Dynamics, reward: Reward) -> int:
    """Entries of an observation: those of the dynamics, and the return so far."""
    return dynamics.observation_size + (reward.size or 1)


class EpisodeKernel:
    """N episodes over a bank of problems, stepped together.

    Its arrays are replaced at every step, never written to: what was read stays as it was.

    Args:
        dynamics: How episodes walk the bank.
        reward: Made for the same bank.
        which: (N,) the problem of each episode.

    Attributes:
        state: Of the episodes; see :class:`~hwgym.core.dynamics.Dynamics`.
        which: (N,) the problem of each.
        over: (N,) whether the episode has ended.
        earned: (N,) so far.
        history: What was chosen at the last steps, a row an episode; -1 where it was over.
    """

    def __init__(self, dynamics: Dynamics, reward: Reward, which: Ints) -> None:
        self.dynamics, self.reward = dynamics, reward
        self.single = len(dynamics.problems) == 1
        self.num_envs = len(which)
        self._most = most_steps(dynamics.problems)
        self._axis = None if reward.size is None else 0  # of rewards, which are in a row
        self._room = reward.size or 1
        self.history: deque[Array] = deque(maxlen=self._most)
        self._begin_all(which)

    def _begin_all(self, which: Ints) -> None:
        self.which = which
        self.state = self.dynamics.begin(which, self.reward.ends)
        size = self.reward.size
        self.earned = np.zeros(self.num_envs if size is None else (self.num_envs, size))
        self.over = np.zeros(self.num_envs, bool)

    def reset(self, where: Bools | None = None, which: Ints | None = None) -> None:
        """Begin anew, all episodes or those of a mask (N,).

        Args:
            where: Which episodes.
            which: (N,) the problem of each, of which those of the mask are looked at; by default
                the same as before.
        """
        if where is None:
            self._begin_all(self.which if which is None else which)
            return
        rows = np.flatnonzero(where)
        if which is not None:
            self.which = self.which.copy()
            self.which[rows] = which[rows]
        fresh = self.dynamics.begin(self.which[rows], self.reward.ends)
        self.state = place(rows, fresh, self.state)
        self.earned = self.earned.copy()
        self.earned[rows] = 0.0
        self.over = self.over & ~where

    def step(self, choices: Array) -> StepResult:
        """Give the next step of every episode its choice, as ``Space.pack`` gives it.

        Episodes that are over stay as they are and earn nothing, whatever their choice.
        """
        reward = self.reward
        idle = self.over if self.over.any() else None
        state, outcome = self.dynamics.step(self.state, choices)
        failed, finished = outcome.failed, outcome.finished
        if outcome.earned is not None:
            earned = outcome.earned
        elif reward.table is None:
            earned = np.zeros(self.num_envs)
        else:
            assert outcome.cells is not None  # a table of rewards is of choices in tables
            earned = reward.table.take(outcome.cells, self._axis)
        if idle is not None:
            state = merge(idle, self.state, state)
            failed, finished = failed & ~idle, finished & ~idle
            earned[idle] = 0.0
            choices = np.where(_as_rows(idle, choices), -1, choices)
        if failed.any():
            lost = reward.failed(self.earned, 0 if self.single else self.which)
            earned = np.where(_as_rows(failed, earned), lost, earned)
            finished = finished & ~failed
        if reward.ends and finished.any():
            assert outcome.objective is not None  # asked for in begin
            which = 0 if self.single else self.which[finished]
            earned[finished] = reward.finished(outcome.objective[finished], which)
        self.history.append(choices)
        self.state = state
        self.earned = self.earned + earned
        self.over = failed | finished if idle is None else self.over | failed | finished
        return StepResult(earned, failed, finished)

    @property
    def moment(self) -> Moment:
        """Where the episodes are now."""
        return Moment(self.state, self.which, self.earned, tuple(self.history))

    def observe(self, at: Moment | None = None, where: Bools | None = None) -> Observations:
        """(N, entries) float32 in [-1, 1]; always a new array.

        What the dynamics say, and the return so far as a share of ``Reward.full``, mapped from [0,
        1] to [-1, 1]; of a vector reward one entry a metric.

        Args:
            at: When; by default now.
            where: (N,) of which episodes; by default all.
        """
        state, which, earned = (self.state, self.which, self.earned) if at is None else at[:3]
        if where is not None:
            state, which, earned = _rows(state, where), which[where], earned[where]
        out = self.dynamics.observe(state, self._room)
        full = self.reward.full
        share = shown(earned, full[0] if len(full) == 1 else full[which])
        if self._axis is None:
            out[:, -1] = share
        else:
            out[:, -self._room :] = share
        return out

    def masks(self, mode: str = "discrete") -> Bools:
        """(N, entries): see :meth:`Dynamics.masks`."""
        masks = self.dynamics.masks(self.state, mode)
        assert masks is not None
        return masks

    @property
    def genes(self) -> Ints:
        """(N, most steps, axes) chosen so far; -1 where nothing is yet."""
        return self.genes_at(self.moment)

    def genes_at(self, at: Moment, rows: Ints | slice = slice(None)) -> Ints:
        """Genes (n, most steps, axes) of some episodes, as they were then."""
        space = self.dynamics.problems[0].space
        recent = [taken[rows] for taken in at.history]
        axes = None if space.joint is not None else len(space.axes)
        return space.unpack(chosen(recent, at.state.step[rows], self._most, axes))


def _rows(state: Any, where: Bools) -> Any:
    """A state with the rows of a mask only."""
    return type(state)(*(None if field is None else field[where] for field in state))


def _as_rows(mask: Bools, like: Array) -> Bools:
    """A mask (N,) that goes with an array (N,) or (N, n)."""
    return mask if like.ndim == 1 else mask[:, None]


def chosen(history: Sequence[Array], step_index: Ints, num_steps: int, axes: int | None) -> Ints:
    """Choices (N, steps), or (N, steps, axes), of episodes that have come to ``step_index``.

    Args:
        history: What was chosen at the last steps, (N,) or (N, axes) each; -1 where an episode was
            over.
        step_index: (N,)
        num_steps: Steps of the result, -1 beyond those done.
        axes: Of a choice that is a row of genes; None where it is a number.
    """
    by_number = axes is None
    choices = np.full((len(step_index), num_steps, *(() if by_number else (axes,))), -1)
    if history:
        recent = np.stack(history)
        idle = ((recent if by_number else recent[..., 0])[::-1] >= 0).argmax(axis=0)
        row = len(recent) - idle - step_index + np.arange(num_steps)[:, None]
        taken = np.arange(num_steps)[:, None] < step_index
        columns = np.broadcast_to(np.arange(len(step_index)), row.shape)
        choices.swapaxes(0, 1)[taken] = recent[row[taken], columns[taken]]
    return choices


class Episode:
    """One episode, as a batch of one; see :class:`EpisodeKernel`.

    Attributes:
        which: Its problem.
        over: Whether it has ended, or was never begun.
        choices: So far.
        earned: So far.
    """

    def __init__(self, dynamics: Dynamics, reward: Reward) -> None:
        self._kernel = EpisodeKernel(dynamics, reward, np.zeros(1, np.int64))
        self._number = reward.size is None
        self.which, self.over = 0, True
        self.choices: list[Any] = []
        self._space = dynamics.problems[0].space
        self._genes = np.full((1, most_steps(dynamics.problems), len(self._space.axes)), -1)

    def reset(self, which: int = 0) -> None:
        """Begin anew, with a problem of the bank."""
        self._kernel.reset(which=np.array([which]))
        self.which, self.over, self.choices = which, False, []
        self._genes[:] = -1

    @property
    def earned(self) -> Any:
        """So far."""
        return self._kernel.earned[0]

    def step(self, choice: Any) -> tuple[Any, bool, bool]:
        """Give the next step its choice: reward, failed, finished."""
        self._genes[0, len(self.choices)] = self._space.unpack(choice)
        self.choices.append(choice)
        result = self._kernel.step(np.array([choice]))
        failed, finished = bool(result.failed[0]), bool(result.finished[0])
        self.over = failed or finished
        earned = result.reward[0]
        return (float(earned) if self._number else earned), failed, finished

    def observe(self) -> Observations:
        """(entries,): see :meth:`EpisodeKernel.observe`; always a new array."""
        observation: Observations = self._kernel.observe()[0]
        return observation

    def tell(self, success: bool, certificate: bool) -> dict[str, Any]:
        """What to say of it: see :func:`summarise`; numbers are Python's.

        Args:
            success: Whether it finished well.
            certificate: Whether the regret may be told.
        """
        kernel = self._kernel
        found = summarise(
            kernel.dynamics,
            kernel.which,
            self._genes.copy(),
            np.array([success]),
            certificate=certificate,
        )
        return {n: v[0].item() if v.ndim == 1 else v[0] for n, v in found.items()}

    def mask(self, mode: str) -> Bools:
        """(entries,): see :meth:`Dynamics.masks`; always a new array."""
        mask: Bools = self._kernel.masks(mode)[0]
        return mask


def single_episode(dynamics: Dynamics, reward: Reward) -> SingleEpisode:
    """A walker of single episodes, the dynamics' own if they have one."""
    return dynamics.episode(reward) or Episode(dynamics, reward)


# --- what is said of episodes -------------------------------------------------------------------


def summary_names(dynamics: Dynamics, *, certificate: bool = True) -> tuple[str, ...]:
    """The keys of :func:`summarise`."""
    statement = dynamics.problems[0].statement
    names = ["objective", *(metric.name for metric in statement.metrics)]
    names += ["budget_used"] * (statement.constraint is not None)
    names += ["is_success", *(["regret"] * certificate), "assignment"]
    return tuple(names)


def said(
    statement: Statement, totals: Mapping[str, Any], success: Any, regret: Any
) -> dict[str, Any]:
    """What to say of an episode, or of many: numbers, or arrays (N,), by name.

    ``objective`` and the metrics of what was chosen so far, ``budget_used`` (share of the limit),
    ``is_success``, and ``regret`` (objective / optimum - 1, or / lower bound where no optimum is
    proven; infinite as long as the episode has not finished well).

    Args:
        statement: Of a problem that they walk.
        totals: What they have come to, as :meth:`Dynamics.summary` gives it.
        success: Whether they finished well.
        regret: What is to be told; None if nothing may be.
    """
    found = {"objective": totals["objective"]}
    for metric in statement.metrics:
        found[metric.name] = totals[metric.name]
    if statement.constraint is not None:
        found["budget_used"] = totals["used"] / totals["limit"]
    found["is_success"] = success
    if regret is not None:
        found["regret"] = regret
    return found


def summarise(
    dynamics: Dynamics, which: Ints, genes: Ints, success: Bools, *, certificate: bool = True
) -> dict[str, Array]:
    """What to say of episodes: arrays (N, ...), by name: that of :func:`said`, and ``assignment``,
    their genes.

    Args:
        dynamics: That they walk.
        which: (N,) their problems.
        genes: (N, most steps, axes); -1 where nothing is chosen.
        success: (N,) whether they finished well.
        certificate: Whether the regret may be told.
    """
    totals, regret = dynamics.summary(which, genes), None
    if certificate:
        # Asked for once there is something to compare: it may take long to prove.
        regret = np.where(success, totals["objective"], np.inf)
        ends = np.flatnonzero(success)
        for index, own in rows_by(which[ends]):
            rows = ends[own]
            regret[rows] = dynamics.problems[index].certificate().above(regret[rows])
    found = said(dynamics.problems[0].statement, totals, success, regret)
    return {**found, "assignment": genes}
