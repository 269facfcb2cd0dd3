"""The episode kernel: N episodes over a bank of problems, stepped together; and one alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hwgym._arrays import Array, Bools, Floats, Ints, Observations
from hwgym.core.dynamics import Dynamics, SingleEpisode, merge
from hwgym.core.rewards import Reward

__all__ = [
    "Episode",
    "EpisodeKernel",
    "StepResult",
    "single_episode",
    "summarise",
    "summary_names",
]


class StepResult(NamedTuple):
    """Arrays of shape (N,); the reward (N, metrics) if it is a vector."""

    reward: Floats
    failed: Bools
    finished: Bools


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
        self._steps = np.array([p.num_steps for p in dynamics.problems])
        most = int(self._steps.max())
        self._axis = None if reward.size is None else 0  # of rewards, which are in a row
        self.history: deque[Array] = deque(maxlen=most)
        self._begin_all(which)

    def _begin_all(self, which: Ints) -> None:
        self.which = which
        self.state = self._fresh = self.dynamics.begin(which, self.reward.ends)
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
        if which is not None:
            self.which = np.where(where, which, self.which)
            self._fresh = self.dynamics.begin(self.which, self.reward.ends)
        self.state = merge(where, self._fresh, self.state)
        self.earned = np.where(_as_rows(where, self.earned), 0.0, self.earned)
        self.over = self.over & ~where

    def step(self, choices: Array) -> StepResult:
        """Give the next step of every episode its choice, as ``Space.pack`` gives it.

        Episodes that are over stay as they are and earn nothing, whatever their choice.
        """
        reward = self.reward
        idle = self.over if self.over.any() else None
        state, outcome = self.dynamics.step(self.state, choices)
        failed, finished = outcome.failed, outcome.finished
        if reward.table is None:
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

    def observe(self) -> Observations:
        """(N, observation_size) float32 in [-1, 1]; always a new array."""
        return self.dynamics.observe(self.state)

    def masks(self, mode: str = "discrete") -> Bools:
        """(N, entries): see :meth:`Dynamics.masks`."""
        masks = self.dynamics.masks(self.state, mode)
        assert masks is not None
        return masks

    @property
    def genes(self) -> Ints:
        """(N, most steps, axes) chosen so far; -1 where nothing is yet."""
        return self.genes_at(tuple(self.history), self.state.step)

    def genes_at(
        self, history: Sequence[Array], step_index: Ints, rows: Ints | slice = slice(None)
    ) -> Ints:
        """Genes (n, most steps, axes) of episodes that had come to ``step_index`` (N,).

        Args:
            history: As it was then.
            step_index: As it was then.
            rows: Of which episodes.
        """
        space = self.dynamics.problems[0].space
        most = int(self._steps.max())
        recent = [taken[rows] for taken in history]
        axes = None if space.joint is not None else len(space.axes)
        return space.unpack(chosen(recent, step_index[rows], most, axes))


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

    def reset(self, which: int = 0) -> None:
        """Begin anew, with a problem of the bank."""
        self._kernel.reset(which=np.array([which]))
        self.which, self.over, self.choices = which, False, []

    @property
    def earned(self) -> Any:
        """So far."""
        return self._kernel.earned[0]

    def step(self, choice: Any) -> tuple[Any, bool, bool]:
        """Give the next step its choice: reward, failed, finished."""
        self.choices.append(choice)
        result = self._kernel.step(np.array([choice]))
        failed, finished = bool(result.failed[0]), bool(result.finished[0])
        self.over = failed or finished
        earned = result.reward[0]
        return (float(earned) if self._number else earned), failed, finished

    def observe(self) -> Observations:
        """(observation_size,) float32 in [-1, 1]; always a new array."""
        observation: Observations = self._kernel.observe()[0]
        return observation

    def mask(self, mode: str) -> Bools:
        """(entries,): see :meth:`Dynamics.masks`; always a new array."""
        mask: Bools = self._kernel.masks(mode)[0]
        return mask


def single_episode(dynamics: Dynamics, reward: Reward) -> SingleEpisode:
    """A walker of single episodes, the dynamics' own if they have one."""
    return dynamics.episode(reward) or Episode(dynamics, reward)


# --- what is said of episodes that ended --------------------------------------------------------


def summary_names(dynamics: Dynamics, *, certificate: bool = True) -> tuple[str, ...]:
    """The keys of :func:`summarise`."""
    statement = dynamics.problems[0].statement
    names = ["objective", *(metric.name for metric in statement.metrics)]
    names += ["budget_used"] * (statement.constraint is not None)
    names += ["is_success", *(["regret"] * certificate), "assignment"]
    return tuple(names)


def summarise(
    dynamics: Dynamics, which: Ints, genes: Ints, success: Bools, *, certificate: bool = True
) -> dict[str, Array]:
    """What to say of episodes that ended: arrays (N, ...), by name.

    ``objective`` and the metrics of what was chosen, ``budget_used`` (share of the limit),
    ``is_success``, ``regret`` (objective / optimum - 1, or / lower bound where no optimum is
    proven; infinite for a failed episode) and ``assignment`` (genes; -1 where nothing was chosen).

    Args:
        dynamics: That they walked.
        which: (N,) their problems.
        genes: (N, most steps, axes); -1 where an episode did not get to.
        success: (N,) whether it finished.
        certificate: Whether the regret may be told.
    """
    if len(dynamics.problems) == 1:
        return _summary_of(dynamics, 0, genes, success, certificate=certificate)
    found: dict[str, Array] = {}
    for index in np.unique(which):
        rows = np.flatnonzero(which == index)
        own = genes[rows, : dynamics.problems[index].num_steps]
        values = _summary_of(dynamics, int(index), own, success[rows], certificate=certificate)
        values["assignment"] = genes[rows]
        for name, value in values.items():
            if name not in found:
                found[name] = np.empty((len(which), *value.shape[1:]), value.dtype)
            found[name][rows] = value
    return found


def _summary_of(
    dynamics: Dynamics, which: int, genes: Ints, success: Bools, *, certificate: bool
) -> dict[str, Array]:
    """Of episodes of one problem."""
    problem = dynamics.problems[which]
    statement = problem.statement
    totals = dynamics.summary(which, genes)
    found: dict[str, Array] = {"objective": totals["objective"]}
    for metric in statement.metrics:
        found[metric.name] = totals[metric.name]
    if statement.constraint is not None:
        found["budget_used"] = totals["used"] / statement.limit
    found["is_success"] = success
    if certificate:
        found["regret"] = np.full(len(genes), np.inf)
        if success.any():
            above = problem.certificate().above(totals["objective"][success])
            found["regret"][success] = above
    found["assignment"] = genes
    return found
