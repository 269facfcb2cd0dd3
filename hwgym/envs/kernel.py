"""The episode: tables that say what every choice does, and two walkers over them.

:class:`EpisodeKernel` steps N episodes at once, on arrays; :class:`Episode` steps one, on plain
numbers, because on a single element an array operation costs twenty times what it computes. Both
look everything up in the same :class:`EpisodeTables` and do the same arithmetic in the same order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwgym.envs.rewards import Reward
from hwgym.families.assignment.problem import AssignmentProblem
from hwgym.workloads import LAYER_KINDS

__all__ = ["Episode", "EpisodeKernel", "EpisodeTables", "MaskTable", "StepResult"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Observations = NDArray[np.float32]


SUMMARY = ("objective", "latency", "energy", "area", "power", "budget_used", "is_success", "regret",
           "assignment")  # fmt: skip
"""What is said of an episode that has ended; see :meth:`EpisodeTables.summary`."""


class MaskTable(NamedTuple):
    """What the entries of a flat action mask need of the constraint.

    Attributes:
        needs: (steps, entries) the least that a choice with this entry takes.
        least: (steps,) the least of any.
        fallback: (steps, entries) the mask of an episode that cannot end feasibly: the choice that
            needs least.
    """

    needs: Floats
    least: Floats
    fallback: Bools


class EpisodeTables:
    """What a step looks up, of one problem; shared by all its environments.

    Tables of choices are flat: row ``step * actions + action``.

    Attributes:
        observations: (steps + 1) x (actions + 1) rows, by step and previous action (the last:
            none); all but the last entry, the budget left, which is 0.
        usage, invalid, cost: Of each choice; an invalid one costs infinity.
        levels: (actions + 1, 2 or 3) level indices of an action; the last row, of none: -1.
    """

    def __init__(self, problem: AssignmentProblem) -> None:
        self.problem = problem
        self.limit, self.num_steps = problem.limit, problem.num_steps
        self.num_actions = problem.num_actions
        self.usage = problem.usage.ravel()
        self.invalid = ~problem.valid.ravel()
        self.some_invalid = bool(self.invalid.any())
        self.cost = np.where(self.invalid, np.inf, problem.cost.ravel())
        decoded = problem.space.decode(range(self.num_actions))
        self.levels = np.vstack([decoded, np.full_like(decoded[:1], -1)])
        self.observations = _observations(problem, decoded)
        self._masks: dict[str, MaskTable] = {}

    @staticmethod
    @lru_cache(maxsize=64)
    def of(problem: AssignmentProblem) -> EpisodeTables:
        """The tables of a problem, made once."""
        return EpisodeTables(problem)

    @property
    def observation_size(self) -> int:
        """Layer (7), previous action (2 or 3), progress, budget left."""
        return int(self.observations.shape[1])

    def observe(self, step: Ints, previous: Ints, used: Floats) -> Observations:
        """Observations (N, size), always a new array."""
        out = self.observations.take(step * (self.num_actions + 1) + previous, axis=0)
        left = 1.0 - used / self.limit
        out[:, -1] = np.minimum(np.maximum(left, 0.0), 1.0) * 2.0 - 1.0
        return out

    def mask_table(self, mode: str) -> MaskTable:
        """For the flat masks of action mode ``discrete`` or ``multi_discrete``.

        Under ``multi_discrete`` a level needs what it needs with the best choice of the others.
        """
        if mode not in self._masks:
            p, shape = self.problem, self.problem.space.shape
            needs = np.where(p.valid, p.usage, np.inf)
            least = np.arange(p.num_actions) == needs.argmin(axis=1)[:, None]
            table = MaskTable(needs, needs.min(axis=1), least)
            if mode == "multi_discrete":
                grid, chosen = needs.reshape(-1, *shape), least.reshape(-1, *shape)
                axes = range(1, grid.ndim)
                others = [tuple(a for a in axes if a != axis) for axis in axes]
                table = MaskTable(
                    np.concatenate([grid.min(axis=other) for other in others], axis=1),
                    table.least,
                    np.concatenate([chosen.any(axis=other) for other in others], axis=1),
                )
            self._masks[mode] = table
        return self._masks[mode]

    def masks(self, mode: str, step: Ints, used: Floats) -> Bools:
        """(N, entries): the choices after which an episode can still end feasibly.

        An episode that cannot any more gets the choice that needs least; what is said of one that
        is over means nothing.
        """
        table = self.mask_table(mode)
        t = np.minimum(step, self.num_steps - 1)
        room = self.limit - used - self.problem.least_used_after[t + 1]
        masks: Bools = table.needs[t] <= room[:, None]
        lost = table.least[t] > room
        if lost.any():
            masks[lost] = table.fallback[t[lost]]
        return masks

    def summary(self, actions: Ints, success: Bools) -> dict[str, NDArray[Any]]:
        """What to say of episodes that ended, by the names of :data:`SUMMARY`: arrays (N, ...).

        Args:
            actions: (N, steps) action numbers; -1 where an episode did not get to.
            success: (N,) whether it finished.
        """
        p = self.problem
        objective, latency, energy, area, power = p.totals(actions).T
        regret = np.full(len(actions), np.inf)
        if success.any():
            regret[success] = objective[success] / p.optimum().objective - 1
        used = area if p.constraint == "area" else power
        values = (objective, latency, energy, area, power, used / self.limit, success, regret,
                  self.levels[actions])  # fmt: skip
        return dict(zip(SUMMARY, values, strict=True))


def _observations(problem: AssignmentProblem, levels: Ints) -> Observations:
    """In [-1, 1]: layer (7), previous action (2 or 3), progress, and room for the budget left."""
    features = _features(problem)
    shape = np.array(problem.space.shape)
    previous = np.vstack([levels + 1.0, np.zeros(len(shape))]) / shape
    progress = np.arange(problem.num_steps + 1) / problem.num_steps
    rows = np.empty(
        (len(progress), len(previous), features.shape[1] + len(shape) + 2), dtype=np.float32
    )
    rows[..., :7] = features[:, None] * 2.0 - 1.0
    rows[..., 7:-2] = previous * 2.0 - 1.0
    rows[..., -2] = progress[:, None] * 2.0 - 1.0
    rows[..., -1] = 0.0
    return rows.reshape(-1, rows.shape[-1])


def _features(problem: AssignmentProblem) -> Floats:
    """(steps + 1, 7) in [0, 1]: K, C, Y, X, R, S on a log scale, relative to the workload's
    greatest, and the kind; zeros once nothing is left to assign. Under LS the layers' mean."""
    layers = problem.space.workload
    sizes = np.log2(1.0 + np.array([layer.shape[:6] for layer in layers], dtype=np.float64))
    kind = [LAYER_KINDS.index(layer.kind) / (len(LAYER_KINDS) - 1) for layer in layers]
    features = np.column_stack([sizes / sizes.max(axis=0), kind])
    if problem.deployment == "LS":
        features = features.mean(axis=0, keepdims=True)
    return np.vstack([features, np.zeros(features.shape[1])])


class StepResult(NamedTuple):
    """Arrays of shape (N,)."""

    reward: Floats
    failed: Bools
    finished: Bools


class EpisodeKernel:
    """N episodes of one problem, stepped together.

    Its arrays are replaced at every step, never written to: what was read stays as it was.

    Attributes:
        step_index: (N,) the step to be taken next.
        previous: (N,) the action taken last; the number of actions where there is none.
        used: (N,) of the constraint.
        over: (N,) whether the episode has ended.
        history: What was chosen at the last steps, (N,) each; -1 where an episode was over.
    """

    def __init__(self, problem: AssignmentProblem, reward: Reward, num_envs: int = 1) -> None:
        self.tables = EpisodeTables.of(problem)
        self.problem, self.reward, self.num_envs = problem, reward, num_envs
        self._rewards = reward.table.ravel()
        self._join = np.maximum if problem.objective == "throughput" else np.add
        self.history: deque[Ints] = deque(maxlen=problem.num_steps)
        self.reset()

    def reset(self, where: Bools | None = None) -> None:
        """Begin anew, all episodes or those of a mask (N,)."""
        n, none = self.num_envs, self.problem.num_actions
        if where is None:
            self.step_index, self.previous = np.zeros(n, np.int64), np.full(n, none)
            self.used, self.earned, self.objective = np.zeros(n), np.zeros(n), np.zeros(n)
            self.over = np.zeros(n, bool)
            return
        self.step_index = np.where(where, 0, self.step_index)
        self.previous = np.where(where, none, self.previous)
        self.used = np.where(where, 0.0, self.used)
        self.earned = np.where(where, 0.0, self.earned)
        if self.reward.ends:
            self.objective = np.where(where, 0.0, self.objective)
        self.over = self.over & ~where

    def step(self, actions: Ints) -> StepResult:
        """Give the next step of every episode its choice, by action number (N,).

        Episodes that are over stay as they are and earn nothing, whatever their action.
        """
        tables, reward, last = self.tables, self.reward, self.problem.num_steps
        index = self.step_index * tables.num_actions + actions
        idle = self.over if self.over.any() else None
        if idle is not None:
            index, actions = np.where(idle, 0, index), np.where(idle, -1, actions)
        used = self.used + tables.usage.take(index)
        failed = used > tables.limit
        if tables.some_invalid:
            failed |= tables.invalid.take(index)
        step_index = self.step_index + 1
        finished = step_index == last
        earned = self._rewards.take(index)
        if idle is not None:
            used = np.where(idle, self.used, used)
            step_index = np.where(idle, self.step_index, step_index)
            failed &= ~idle
            finished &= ~idle
            earned[idle] = 0.0
        if failed.any():
            earned = np.where(failed, reward.failed(self.earned), earned)
            finished &= ~failed
        if reward.ends:
            objective = self._join(self.objective, tables.cost.take(index))
            self.objective = (
                objective if idle is None else np.where(idle, self.objective, objective)
            )
            earned[finished] = reward.finished(self.objective[finished])
        self.history.append(actions)
        self.previous = actions if idle is None else np.where(idle, self.previous, actions)
        self.used, self.step_index = used, step_index
        self.earned = self.earned + earned
        self.over = failed | finished if idle is None else self.over | failed | finished
        return StepResult(earned, failed, finished)

    def observe(self) -> Observations:
        """(N, observation_size) float32 in [-1, 1]; always a new array."""
        return self.tables.observe(self.step_index, self.previous, self.used)

    def masks(self, mode: str = "discrete") -> Bools:
        """(N, entries): see :meth:`EpisodeTables.masks`."""
        return self.tables.masks(mode, self.step_index, self.used)

    @property
    def actions(self) -> Ints:
        """(N, steps) action numbers chosen so far; -1 where nothing is yet."""
        return chosen(self.history, self.step_index, self.problem.num_steps)


def chosen(history: Sequence[Ints], step_index: Ints, num_steps: int) -> Ints:
    """(N, steps) action numbers of episodes that have come to ``step_index``; -1 beyond.

    Args:
        history: What was chosen at the last steps, (N,) each; -1 where an episode was over.
        step_index: (N,)
    """
    actions = np.full((len(step_index), num_steps), -1)
    if history:
        recent = np.stack(history)
        idle = (recent[::-1] >= 0).argmax(axis=0)  # since the episode was over
        row = len(recent) - idle - step_index + np.arange(num_steps)[:, None]
        taken = np.arange(num_steps)[:, None] < step_index
        columns = np.broadcast_to(np.arange(len(step_index)), row.shape)
        actions.T[taken] = recent[row[taken], columns[taken]]
    return actions


class Episode:
    """One episode; see :class:`EpisodeKernel`.

    Attributes:
        step_index, previous, used: As there, plain numbers.
        actions: Chosen so far.
    """

    def __init__(self, problem: AssignmentProblem, reward: Reward) -> None:
        self.tables = EpisodeTables.of(problem)
        self.reward = reward
        self._rewards = reward.table.ravel()
        self._least_after: list[float] = problem.least_used_after.tolist()
        self._is_period = problem.objective == "throughput"
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.step_index, self.previous = 0, self.tables.num_actions
        self.used = self.earned = self.objective = 0.0
        self.actions: list[int] = []

    def step(self, action: int) -> tuple[float, bool, bool]:
        """Give the next step its choice: reward, failed, finished."""
        tables, reward = self.tables, self.reward
        index = self.step_index * tables.num_actions + action
        self.actions.append(action)
        self.previous = action
        self.step_index += 1
        self.used += tables.usage.item(index)
        failed = self.used > tables.limit or tables.invalid.item(index)
        finished = not failed and self.step_index == tables.num_steps
        earned = reward.failed(self.earned) if failed else self._rewards.item(index)
        if reward.ends:
            cost = tables.cost.item(index)
            self.objective = max(self.objective, cost) if self._is_period else self.objective + cost
            if finished:
                earned = reward.finished(self.objective)
        self.earned += earned
        return earned, failed, finished

    def observe(self) -> Observations:
        """(observation_size,) float32 in [-1, 1]; always a new array."""
        tables = self.tables
        row = self.step_index * (tables.num_actions + 1) + self.previous
        out: Observations = tables.observations[row].copy()
        left = 1.0 - self.used / tables.limit
        out[-1] = min(max(left, 0.0), 1.0) * 2.0 - 1.0
        return out

    def mask(self, mode: str) -> Bools:
        """(entries,): see :meth:`EpisodeTables.masks`; always a new array."""
        tables = self.tables
        table = tables.mask_table(mode)
        t = min(self.step_index, tables.num_steps - 1)
        room = tables.limit - self.used - self._least_after[t + 1]
        lost = table.least.item(t) > room
        mask: Bools = table.fallback[t].copy() if lost else table.needs[t] <= room
        return mask
