"""TableWalk: the walk over problems given by tables, and a walker of single episodes.

Everything is looked up, in tables that hold the whole bank one problem after the other. The walker
of single episodes does the same arithmetic in the same order on plain numbers: on a single element
an array operation costs twenty times what it computes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import inf
from typing import Any, NamedTuple

import numpy as np

from hwgym._arrays import Bools, Floats, Ints, Observations
from hwgym.core.dynamics import Outcome, check_bank, summaries
from hwgym.core.episode import said
from hwgym.core.rewards import Reward, shown
from hwgym.core.tables import TableProblem
from hwgym.core.veil import check_lifted, lifted

__all__ = ["TableEpisode", "TableState", "TableWalk"]


class TableState(NamedTuple):
    """Episodes under way, (N,) each.

    Attributes:
        step: To be taken next.
        previous: Action taken last; the number of actions where there is none.
        used: Of the constraint.
        objective: Of what was chosen; None if it is not kept.
        which: Problem of the bank; None in a bank of one.
    """

    step: Ints
    previous: Ints
    used: Floats
    objective: Floats | None
    which: Ints | None


class _Masks(NamedTuple):
    """What the entries of a flat action mask need of the constraint; rows are steps.

    Attributes:
        needs: (rows, entries) the least that a choice with this entry takes.
        least: (rows,) the least of any.
        fallback: (rows, entries) the mask of an episode that cannot end feasibly: the choice that
            needs least.
    """

    needs: Floats
    least: Floats
    fallback: Bools


class TableWalk:
    """The walk over a bank of problems given by tables.

    An episode fails when its limit breaks or an invalid choice is taken. Masks allow exactly the
    choices after which it can still end feasibly; in ``multi_discrete`` a level is allowed if some
    choice on the other axes goes with it. An observation has, each mapped from [0, 1] to [-1, 1]:
    the features of the step to be taken (zeros when none is left), the previous choice, (index + 1)
    / size on each axis, steps done / steps, and the share of the limit left.

    Attributes:
        problems: The bank.
        observation_size: Entries of an observation.
        cost, usage, invalid: Of each choice, in a row a problem, in it a row a step, and one more
            of zeros for when none is left; an invalid choice costs infinity.
        metrics: What each choice adds to each metric, likewise.
    """

    def __init__(self, problems: Sequence[TableProblem]) -> None:
        check_bank(problems)
        self.problems = tuple(problems)
        self.single = len(problems) == 1
        first = self.problems[0].statement
        self.num_actions = first.space.num_actions
        self._shape = first.space.shape
        self._join = first.objective.ufunc
        steps = np.array([p.num_steps for p in self.problems])
        limits = np.array([p.limit for p in self.problems])
        # Plain numbers for a bank of one, arrays to look up for more.
        self._steps: Ints | int = int(steps[0]) if self.single else steps
        self._limits: Floats | float = float(limits[0]) if self.single else limits
        self._rows = np.concatenate([[0], np.cumsum(steps + 1)])[
            :-1
        ]  # of each problem's first step
        nothing = np.zeros((1, self.num_actions))
        tables = [p.tables for p in self.problems]
        costs = [np.vstack([np.where(t.valid, t.cost, np.inf), nothing]) for t in tables]
        self.cost = np.concatenate(costs).ravel()
        self.usage = np.concatenate([np.vstack([t.usage, nothing]) for t in tables]).ravel()
        invalid = [np.vstack([~t.valid, nothing.astype(bool)]) for t in tables]
        self.invalid = np.concatenate(invalid).ravel()
        self.least_after = np.concatenate([p.least_used_after for p in self.problems])
        self.some_invalid = bool(self.invalid.any())
        self.metrics = {
            name: np.concatenate([np.vstack([t.metrics[name], nothing]) for t in tables]).ravel()
            for name in tables[0].metrics
        }
        self.observation_size = first.features.shape[1] + len(self._shape) + 2
        self._observations: dict[int, Observations] = {}
        self._masks: dict[str, _Masks] = {}

    @staticmethod
    def of(problems: Sequence[TableProblem]) -> TableWalk:
        """The walk over a bank, made once.

        Raises:
            ValueError: If the problems cannot be stepped together.
            Withheld: While an agent searches.
        """
        check_lifted("what each choice costs")
        return _walk_of(tuple(problems))

    # --- many episodes --------------------------------------------------------------------------

    def begin(self, which: Ints, objective: bool = False) -> TableState:
        count = len(which)
        return TableState(
            np.zeros(count, np.int64),
            np.full(count, self.num_actions),
            np.zeros(count),
            np.zeros(count) if objective else None,
            None if self.single else which,
        )

    def step(self, state: TableState, choices: Ints) -> tuple[TableState, Outcome]:
        which = state.which
        if which is None:
            cells, limit, last = state.step * self.num_actions, self._limits, self._steps
        else:
            cells = (self._rows[which] + state.step) * self.num_actions
            limit, last = self._limits[which], self._steps[which]  # type: ignore[index]
        cells = cells + choices
        used = state.used + self.usage.take(cells)
        failed = used > limit
        if self.some_invalid:
            failed |= self.invalid.take(cells)
        step = state.step + 1
        finished = step == last
        objective = state.objective
        if objective is not None:
            objective = self._join(objective, self.cost.take(cells))
        after = TableState(step, choices, used, objective, which)
        return after, Outcome(failed, finished, cells, objective)

    def observe(self, state: TableState, room: int = 0) -> Observations:
        rows, limit = state.step, self._limits
        if state.which is not None:
            rows, limit = rows + self._rows[state.which], self._limits[state.which]  # type: ignore[index]
        table = self._observation_table(room)
        out = table.take(rows * (self.num_actions + 1) + state.previous, axis=0)
        left = 1.0 - state.used / limit
        out[:, self.observation_size - 1] = np.minimum(np.maximum(left, 0.0), 1.0) * 2.0 - 1.0
        return out

    def _observation_table(self, room: int) -> Observations:
        if room not in self._observations:
            tables = [_observations(p, room) for p in self.problems]
            self._observations[room] = np.concatenate(tables)
        return self._observations[room]

    def masks(self, state: TableState, mode: str) -> Bools:
        table = self._mask_table(mode)
        if state.which is None:
            rows = np.minimum(state.step, self._steps - 1)
            limit = self._limits
        else:
            which = state.which
            rows = self._rows[which] + np.minimum(state.step, self._steps[which] - 1)  # type: ignore[index]
            limit = self._limits[which]  # type: ignore[index]
        room = limit - state.used - self.least_after[rows + 1]
        masks: Bools = table.needs[rows] <= room[:, None]
        lost = table.least[rows] > room
        if lost.any():
            masks[lost] = table.fallback[rows[lost]]
        return masks

    def _mask_table(self, mode: str) -> _Masks:
        if mode not in self._masks:
            needs = np.where(self.invalid, np.inf, self.usage).reshape(-1, self.num_actions)
            least = np.arange(self.num_actions) == needs.argmin(axis=1)[:, None]
            table = _Masks(needs, needs.min(axis=1), least)
            if mode == "multi_discrete":
                # A level needs what it needs with the best choice of the others.
                grid, chosen = needs.reshape(-1, *self._shape), least.reshape(-1, *self._shape)
                axes = range(1, grid.ndim)
                others = [tuple(a for a in axes if a != axis) for axis in axes]
                table = _Masks(
                    np.concatenate([grid.min(axis=other) for other in others], axis=1),
                    table.least,
                    np.concatenate([chosen.any(axis=other) for other in others], axis=1),
                )
            self._masks[mode] = table
        return self._masks[mode]

    def summary(self, which: Ints, genes: Ints) -> dict[str, Floats]:
        return summaries(self.problems, which, genes, self._totals)

    def _totals(self, which: int, genes: Ints) -> dict[str, Floats]:
        problem = self.problems[which]
        # Of what an episode chose, so nothing needs to be checked; -1 gives numbers below 0.
        numbers = problem.space.pack(genes, check=False)
        with lifted():  # a walk is made by whoever may, or for whoever pays
            return problem.totals(numbers)

    # --- one episode ----------------------------------------------------------------------------

    def episode(self, reward: Reward) -> TableEpisode:
        return TableEpisode(self, reward)


_walk_of = lru_cache(maxsize=64)(TableWalk)


class TableEpisode:
    """One episode of a :class:`TableWalk`, on plain numbers; see
    :class:`hwgym.core.episode.Episode`.

    Args:
        walk: Whose tables it looks things up in.
        reward: Made for the same bank.
    """

    def __init__(self, walk: TableWalk, reward: Reward) -> None:
        self.walk, self.reward = walk, reward
        self._maximum = walk._join is np.maximum
        self._least_after: list[float] = walk.least_after.tolist()
        table = reward.table
        self._vector = reward.size is not None
        self._none: Any = np.zeros(reward.size) if reward.size is not None else 0.0
        self._earned: Callable[[int], Any] = lambda cell: 0.0
        if table is not None:
            self._earned = (lambda cell: table[cell].copy()) if self._vector else table.item
        self._usage, self._invalid, self._cost = (
            table.item for table in (walk.usage, walk.invalid, walk.cost)
        )
        self._full = reward.full if reward.size is not None else reward.full.tolist()
        self._metrics = [table.item for table in walk.metrics.values()]
        self._room = reward.size or 1
        self._observations = walk._observation_table(self._room)
        self._num_actions = walk.num_actions
        self._statements = [p.statement for p in walk.problems]
        space = self._statements[0].space
        self._levels = space.decode(range(space.num_actions))
        self._nothing = np.full((max(p.num_steps for p in walk.problems), len(space.shape)), -1)
        self.over = True
        self._begin(0)

    def reset(self, which: int = 0) -> None:
        """Begin anew, with a problem of the bank."""
        self._begin(which)
        self.over = False

    def _begin(self, which: int) -> None:
        walk, self.which = self.walk, which
        self.choices: list[Any] = []
        self._genes = self._nothing.copy()
        self._step, self._previous = 0, self._num_actions
        self._used = self._objective = 0.0
        self._totals = [0.0] * len(self._metrics)
        self.earned = self._none
        self._row = int(walk._rows[which])
        self._cells = self._row * self._num_actions  # where those of the next step begin
        problem = walk.problems[which]
        self._limit, self._num_steps = problem.limit, problem.num_steps

    def step(self, choice: int) -> tuple[Any, bool, bool]:
        """Give the next step its choice: reward, failed, finished."""
        reward = self.reward
        cell = self._cells + choice
        self._cells += self._num_actions
        self.choices.append(choice)
        self._genes[self._step] = self._levels[choice]
        self._previous = choice
        self._step += 1
        self._used += self._usage(cell)
        failed = self._used > self._limit or self._invalid(cell)
        finished = not failed and self._step == self._num_steps
        cost = self._cost(cell)
        self._objective = max(self._objective, cost) if self._maximum else self._objective + cost
        self._totals = [t + adds(cell) for t, adds in zip(self._totals, self._metrics, strict=True)]
        earned = reward.failed(self.earned, self.which) if failed else self._earned(cell)
        if reward.ends:
            if finished:
                earned = reward.finished(self._objective, self.which)
            earned = float(earned)
        self.earned = self.earned + earned
        self.over = failed or finished
        return earned, failed, finished

    def observe(self) -> Observations:
        """As :meth:`EpisodeKernel.observe`, of one; always a new array."""
        row = (self._row + self._step) * (self._num_actions + 1) + self._previous
        out: Observations = self._observations[row].copy()
        left = 1.0 - self._used / self._limit
        out[-1 - self._room] = min(max(left, 0.0), 1.0) * 2.0 - 1.0
        self._show_earned(out)
        return out

    def _show_earned(self, out: Observations) -> None:
        """Put in the return so far."""
        if self._vector:
            out[-self._room :] = shown(self.earned, self._full[self.which])
        else:
            share = self.earned / self._full[self.which]
            out[-1] = min(max(share, 0.0), 1.0) * 2.0 - 1.0

    def tell(self, success: bool, certificate: bool) -> dict[str, Any]:
        """As :meth:`hwgym.core.episode.Episode.tell`."""
        totals = dict(zip(self.walk.metrics, self._totals, strict=True))
        totals |= {"objective": self._objective, "used": self._used, "limit": self._limit}
        regret = inf if certificate else None
        if certificate and success:
            regret = self.walk.problems[self.which].certificate().above(self._objective)
        found = said(self._statements[self.which], totals, success, regret)
        found["assignment"] = self._genes.copy()
        return found

    def mask(self, mode: str) -> Bools:
        """(entries,); always a new array."""
        table = self.walk._mask_table(mode)
        row = self._row + min(self._step, self._num_steps - 1)
        room = self._limit - self._used - self._least_after[row + 1]
        lost = table.least.item(row) > room
        mask: Bools = table.fallback[row].copy() if lost else table.needs[row] <= room
        return mask


def _observations(problem: TableProblem, room: int) -> Observations:
    """(steps + 1) x (actions + 1) rows, by step and previous action (the last: none)."""
    space = problem.space
    features = np.vstack(
        [problem.statement.features, np.zeros(problem.statement.features.shape[1])]
    )
    shape = np.array(space.shape)
    levels = space.decode(range(space.num_actions))
    previous = np.vstack([levels + 1.0, np.zeros(len(shape))]) / shape
    progress = np.arange(problem.num_steps + 1) / problem.num_steps
    width = features.shape[1]
    size = width + len(shape) + 2
    rows = np.zeros((len(progress), len(previous), size + room), dtype=np.float32)
    rows[..., :width] = features[:, None] * 2.0 - 1.0
    rows[..., width : size - 2] = previous * 2.0 - 1.0
    rows[..., size - 2] = progress[:, None] * 2.0 - 1.0
    return rows.reshape(-1, rows.shape[-1])
