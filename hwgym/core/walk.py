"""Walk: the walk over problems of any kind, which knows what a solution is worth at its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from hwgym._arrays import Array, Bools, Floats, Ints, Observations, rows_by
from hwgym.core.dynamics import Outcome, check_bank, summaries
from hwgym.core.problem import Problem, Scores
from hwgym.core.rewards import Reward
from hwgym.core.veil import check_lifted, lifted

__all__ = ["Walk", "WalkState"]


class WalkState(NamedTuple):
    """Episodes under way.

    Attributes:
        step: (N,) to be taken next.
        genes: (N, most steps, axes) chosen so far; -1 where nothing is yet.
        which: (N,) problem of the bank.
    """

    step: Ints
    genes: Ints
    which: Ints


class Walk:
    """The walk over a bank of problems of any kind.

    An episode takes the steps in order; once it has them all, the problem says what it is worth,
    and one that is not feasible has failed. Masks are those of ``Statement.allowed``. A family says
    more by overriding :meth:`allowed` (masks), :meth:`broken` (what ends an episode early) and
    :meth:`seen` with :attr:`seen_size` (what is observed of the choices so far). An observation
    has, each mapped from [0, 1] to [-1, 1]: the features of the step to be taken (zeros when none
    is left), what is seen of the choices, by default the previous one, (index + 1) / size on each
    axis, and steps done / steps.

    Attributes:
        problems: The bank.
        observation_size: Entries of an observation.
    """

    _asked: tuple[int, bytes] | None = None
    _known: Scores

    def __init__(self, problems: Sequence[Problem]) -> None:
        check_lifted("an episode past the evaluator")
        check_bank(problems)
        self.problems = tuple(problems)
        first = self.problems[0].statement
        self.shape = np.array(first.space.shape)
        self.num_steps = np.array([p.num_steps for p in self.problems])
        width = first.features.shape[1]
        most = int(self.num_steps.max())
        self._features = np.zeros((len(self.problems), most + 1, width))
        for i, problem in enumerate(self.problems):
            self._features[i, : problem.num_steps] = problem.statement.features
        self.observation_size = width + self.seen_size + 1

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> Any:
        """The walk over a bank.

        Raises:
            ValueError: If the problems cannot be stepped together.
            Withheld: While an agent searches.
        """
        return cls(problems)

    # --- what a family may say ------------------------------------------------------------------

    def allowed(self, state: WalkState) -> Sequence[Bools] | None:
        """For each axis (N, size): the choices to be recommended; None if all are."""
        if all(problem.statement.allowed is None for problem in self.problems):
            return None
        masks = np.ones((len(state.step), int(self.shape.sum())), bool)
        most = state.genes.shape[1]
        goes = np.flatnonzero(state.step < self.num_steps[state.which])
        for place, own in rows_by(state.which[goes] * most + state.step[goes]):
            rows = goes[own]
            which, step = divmod(place, most)
            statement = self.problems[which].statement
            if statement.allowed is not None:
                genes = state.genes[rows, : statement.space.num_steps]
                masks[rows] = statement.allowed(genes, step)
        return np.split(masks, np.cumsum(self.shape)[:-1], axis=1)

    @property
    def seen_size(self) -> int:
        """Entries of :meth:`seen`."""
        return len(self.shape)

    def seen(self, state: WalkState) -> Floats:
        """(N, seen_size) in [0, 1]: what is observed of the choices so far."""
        rows = np.arange(len(state.step))
        previous: Floats = (state.genes[rows, np.maximum(state.step - 1, 0)] + 1.0) / self.shape
        return previous

    def broken(self, state: WalkState) -> Bools:
        """(N,): the episode cannot become a valid solution any more, and ends."""
        return np.zeros(len(state.step), bool)

    def posed(self, state: WalkState) -> Iterator[tuple[Any, Ints]]:
        """The problems that episodes are about, each with its episodes' rows."""
        for which, rows in rows_by(state.which):
            yield self.problems[which], rows

    # --- the walk -------------------------------------------------------------------------------

    def begin(self, which: Ints, objective: bool = False) -> WalkState:
        count, most = len(which), int(self.num_steps.max())
        genes = np.full((count, most, len(self.shape)), -1)
        return WalkState(np.zeros(count, np.int64), genes, np.asarray(which))

    def step(self, state: WalkState, choices: Array) -> tuple[WalkState, Outcome]:
        space = self.problems[0].space
        genes, rows = state.genes.copy(), np.arange(len(state.step))
        at = np.minimum(state.step, genes.shape[1] - 1)  # of one that is over: not looked at
        genes[rows, at] = space.unpack(choices)
        after = WalkState(state.step + 1, genes, state.which)
        failed = self.broken(after)
        finished = (after.step == self.num_steps[state.which]) & ~failed
        objective = np.full(len(rows), np.inf)
        ends = np.flatnonzero(finished)
        for which, own in rows_by(state.which[ends]):
            done = ends[own]
            scores = self._scores(which, genes[done, : self.num_steps[which]])
            objective[done] = scores.objective
            failed[done] = ~scores.feasible
        return after, Outcome(failed, finished & ~failed, None, objective)

    def observe(self, state: WalkState, room: int = 0) -> Observations:
        features = self._features[state.which, state.step]
        progress = (state.step / self.num_steps[state.which])[:, None]
        left = np.zeros((len(state.step), room))
        parts = np.concatenate([features, self.seen(state), progress, left], axis=1)
        return (parts * 2.0 - 1.0).astype(np.float32)

    def masks(self, state: WalkState, mode: str) -> Bools | None:
        axes = self.allowed(state)
        if axes is None:
            return np.ones((len(state.step), self._entries(mode)), bool)
        if mode == "multi_discrete":
            return np.concatenate(axes, axis=1)
        joint = axes[0]
        for axis in axes[1:]:
            joint = (joint[:, :, None] & axis[:, None, :]).reshape(len(joint), -1)
        return joint

    def levels(self, joint: Bools) -> Bools:
        """(N, sum of sizes) from (N, actions): a level is allowed if some choice of the others goes
        with it. For masks in action mode ``multi_discrete``."""
        grid = joint.reshape(-1, *self.shape)
        axes = range(1, grid.ndim)
        others = [tuple(a for a in axes if a != axis) for axis in axes]
        return np.concatenate([grid.any(axis=other) for other in others], axis=1)

    def _entries(self, mode: str) -> int:
        return int(self.shape.prod() if mode == "discrete" else self.shape.sum())

    def summary(self, which: Ints, genes: Ints) -> dict[str, Floats]:
        return summaries(self.problems, which, genes, self._totals)

    def _totals(self, which: int, genes: Ints) -> dict[str, Floats]:
        scores = self._scores(which, genes)
        return {"objective": scores.objective, "used": scores.used, **scores.metrics}

    def _scores(self, which: int, genes: Ints) -> Scores:
        """What solutions are worth. After the last step of a single episode its summary asks for
        the same once more, which need not be costed again."""
        asked = (which, genes.tobytes()) if len(genes) == 1 else None
        if asked is None or asked != self._asked:
            with lifted():  # a walk is made by whoever may, or for whoever pays
                self._known = self.problems[which].evaluate(genes)
            self._asked = asked
        return self._known

    def episode(self, reward: Reward) -> None:
        return None
