"""Evaluator: hands an agent the statement of a problem and sells samples.

A *sample* is one complete solution evaluated, or an episode of one of the evaluator's environments
from its first step on, however it ends. There is no other door: no optimum, no tables, nothing
that was not paid for (:mod:`hwgym.core.veil`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import load_env_creator
from gymnasium.vector import AutoresetMode

from hwgym._arrays import Array, Bools, Floats, Ints, Observations
from hwgym.core.family import family_named
from hwgym.core.log import EpisodeLog
from hwgym.core.problem import Problem, Scores, Statement
from hwgym.core.space import Space
from hwgym.core.vector import VectorEnvironment
from hwgym.core.veil import check_lifted, lifted

__all__ = ["BudgetSpent", "Evaluator", "SearchEnvironment", "Sees", "Stage"]

Sees: TypeAlias = Literal["layers", "totals"]
"""What an agent uses of the samples it pays for: what each step (layer) cost and took, or only the
totals of a solution and whether it was feasible."""

Paid = Callable[[Ints, Scores, "Floats | None"], object]


class BudgetSpent(Exception):
    """Raised when a sample is asked for and none, or no time, is left."""


class Evaluator:
    """Evaluates solutions for an agent and keeps the account.

    Args:
        problem: What is to be solved.
        samples: The budget.
        sees: ``layers`` or ``totals``: whether scores have parts, and environments may be had.
        log: Where every sample is written.
        progress: Called with this object after each batch of samples.
        time_limit: Wall seconds after which no more samples are sold, or None.

    """

    def __init__(
        self,
        problem: Problem,
        samples: int,
        *,
        sees: Sees = "totals",
        log: EpisodeLog | None = None,
        progress: Callable[[Evaluator], object] | None = None,
        time_limit: float | None = None,
    ) -> None:
        if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
            raise ValueError(f"samples must be a positive integer, got {samples!r}")
        if time_limit is not None and not time_limit > 0:
            raise ValueError(f"time_limit must be a positive number of seconds, got {time_limit!r}")
        self._problem, self._statement = problem, problem.statement
        self._samples, self._sees, self._log, self._progress = samples, sees, log, progress
        self._time_limit, self._timed_out = time_limit, False
        self._spent = 0
        self._improvements: list[tuple[int, Ints]] = []
        self._best_objective = float(np.inf)
        self._history = np.full(samples, np.inf)
        self._open = 0  # episodes under way, each of which will be a sample
        self._environments: list[SearchEnvironment] = []
        self._stages: list[Stage] = []
        self._started = time.perf_counter()

    @property
    def problem(self) -> Problem:
        """What is to be solved.

        Raises:
            Withheld: While an agent searches; it sees :attr:`statement`.
        """
        check_lifted("the problem")
        return self._problem

    @property
    def statement(self) -> Statement:
        """All that may be known of the problem without paying."""
        return self._statement

    @property
    def space(self) -> Space:
        """What can be chosen."""
        return self._statement.space

    # The account can be read, not written.

    @property
    def samples(self) -> int:
        """The budget."""
        return self._samples

    @property
    def sees(self) -> Sees:
        """``layers`` or ``totals``."""
        return self._sees

    @property
    def spent(self) -> int:
        """Samples used so far."""
        return self._spent

    @property
    def remaining(self) -> int:
        """Samples left, but for those of episodes under way."""
        return self._samples - self._spent - self._open

    @property
    def timed_out(self) -> bool:
        """A sample was refused because of the time."""
        return self._timed_out

    @property
    def improvements(self) -> tuple[tuple[int, Ints], ...]:
        """The feasible solutions that were better than all before, in order: sample number, counted
        from 0, and genes (steps, axes)."""
        return tuple(self._improvements)

    @property
    def best_objective(self) -> float:
        """That of the last of them; infinite while there is none."""
        return self._best_objective

    @property
    def best(self) -> Ints | None:
        """Genes (steps, axes) of the best feasible solution so far, or None."""
        return self._improvements[-1][1] if self._improvements else None

    @property
    def history(self) -> Floats:
        """(spent,): the best feasible objective after each sample; infinite before the first."""
        return self._history[: self._spent].copy()

    def write_to(self, log: EpisodeLog) -> None:
        """Write every sample from now on to a log."""
        self._log = log

    # --- buying ---------------------------------------------------------------------------------

    def evaluate(self, genes: Ints, returns: Floats | None = None) -> Scores:
        """Evaluate solutions (N, steps, axes); each is one sample.

        Args:
            genes: -1 from the step on at which an episode broke off: a sample like any other, and
                not feasible.
            returns: (N,) of the episodes they come from, for the log.

        Returns:
            Scores of the first ``remaining`` of them; with parts for an agent that sees layers.

        Raises:
            BudgetSpent: If no sample is left, or the time is up.
            ValueError: If the genes are not solutions of the problem.
        """
        checked = self.space.check(genes)
        checked = checked[: max(self.remaining, 1)]
        self._begin(len(checked))
        return self._charge(checked, None if returns is None else returns[: len(checked)])

    def environment(
        self,
        num_envs: int = 1,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        on_paid: Paid | None = None,
        once: bool = False,
        **arguments: Any,
    ) -> SearchEnvironment:
        """A vector environment of the problem, whose episodes are samples from their first step on.

        Its infos do not tell the regret, and what it is about is withheld. Where more episodes
        would begin than samples are left, the first begin and the others wait: their actions are
        not looked at, and they earn nothing. Once none is under way and none can begin, a step
        raises :class:`BudgetSpent`.

        Args:
            num_envs: How many environments.
            autoreset_mode: As :class:`~hwgym.core.vector.VectorEnvironment` takes it.
            on_paid: Called with genes, scores and returns of the episodes that a step ended.
            once: Each environment plays one episode, and then waits for a reset. (With autoreset
                disabled none can wait: a step that cannot be taken raises.)
            arguments: ``action_mode``, ``reward`` (one that does not need the certificate),
                ``render_mode``.

        Raises:
            ValueError: If the agent says that it sees totals only, or an argument is wrong.
        """
        if self._sees != "layers":
            raise ValueError(
                "an agent that sees totals has no environment, whose observations and rewards "
                "tell what each step took: declare sees = 'layers'"
            )
        with lifted():
            entry_point = family_named(self.statement.key["family"]).entry_point
            scalar: Any = load_env_creator(entry_point)
            hidden = type(f"Search{scalar.__name__}", (scalar,), {"tells_regret": False})
            cls = type("SearchEnvironment", (SearchEnvironment,), {"scalar": hidden})
            env: SearchEnvironment = cls(
                self,
                on_paid,
                once,
                num_envs=num_envs,
                autoreset_mode=autoreset_mode,
                problem=self._problem,
                **arguments,
            )
        self._environments.append(env)
        return env

    def part(self, samples: int) -> Stage:
        """An evaluator for one stage of a search: at most so many samples, counted here, too."""
        stage = Stage(self, min(samples, self.remaining))
        self._stages.append(stage)
        return stage

    def close(self) -> None:
        """Count the episodes that are still under way, as broken off."""
        for stage in self._stages:
            stage.close()
        for env in self._environments:
            env.break_off()
        self._environments.clear()

    # --- the account ----------------------------------------------------------------------------

    def _begin(self, count: int) -> None:
        """Set samples aside.

        Raises:
            BudgetSpent: If fewer are left, or the time is up.
        """
        if self.remaining < count:
            raise BudgetSpent
        if self._time_limit is not None and self._seconds() > self._time_limit:
            self._timed_out = True
            raise BudgetSpent
        self._open += count

    def _charge(self, genes: Ints, returns: Floats | None) -> Scores:
        """Evaluate solutions for which samples were set aside."""
        with lifted():
            scores = self._problem.evaluate(genes)
            if self._log is not None or self._sees == "layers":
                parts = self._problem.parts(genes)
                scores = Scores(**{**vars(scores), "parts": parts})
        start = self._spent
        self._keep(genes, scores)
        if self._log is not None:
            self._log.add(
                genes,
                scores=scores,
                samples=np.arange(start, self._spent),
                returns=returns,
                wall_time=self._seconds(),
            )
        if self._progress is not None:
            self._progress(self)
        if self._sees != "layers" and scores.parts is not None:
            scores = Scores(**{**vars(scores), "parts": None})
        return scores

    def _seconds(self) -> float:
        return time.perf_counter() - self._started

    def _keep(self, genes: Ints, scores: Scores) -> None:
        objective = np.where(scores.feasible, scores.objective, np.inf)
        start, count = self._spent, len(genes)
        self._spent += count
        self._open -= count
        best = np.minimum(np.minimum.accumulate(objective), self._best_objective)
        better = best < np.concatenate([[self._best_objective], best[:-1]])
        for row in np.flatnonzero(better):
            kept = genes[row].copy()
            kept.setflags(write=False)  # what was paid for stays what it was
            self._improvements.append((start + int(row), kept))
        self._history[start : self._spent] = best
        if count:
            self._best_objective = float(best[-1])

    def state(self) -> dict[str, Any]:
        """The account, for a checkpoint; the log is written up to it."""
        if self._log is not None:
            self._log.flush()
        improvements = [[sample, genes.tolist()] for sample, genes in self.improvements]
        history = self.history.tolist()
        return {"spent": self.spent, "improvements": improvements, "history": history}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from an account; the log, if there is one, drops what came after it.

        Raises:
            ValueError: If samples were spent already, the account does not add up or has more
                samples than the budget, or the log fewer than it.
        """
        spent, history = int(state["spent"]), np.array(state["history"], np.float64)
        if self._spent or self._open:
            raise ValueError("an account is taken up before the first sample, not after it")
        if spent > self._samples:
            raise ValueError(f"the checkpoint has {spent} samples, the budget only {self._samples}")
        improvements = [(int(s), np.array(g, np.int64)) for s, g in state["improvements"]]
        if len(history) != spent or any(not 0 <= s < spent for s, _ in improvements):
            raise ValueError("the checkpoint's account does not add up")
        if self._log is not None:
            self._log.truncate(spent)
        self._spent, self._improvements = spent, improvements
        self._history[:spent] = history
        self._best_objective = float(history[-1]) if spent else float(np.inf)


class Stage(Evaluator):
    """A stage of a search; remembers what it evaluated.

    Attributes:
        evaluated: The batches of genes (n, steps, axes), in order.
        scored: Their scores.
    """

    def __init__(self, whole: Evaluator, samples: int) -> None:
        super().__init__(whole._problem, samples, sees=whole.sees)
        self.whole = whole
        self.evaluated: list[Ints] = []
        self.scored: list[Scores] = []

    def _begin(self, count: int) -> None:
        super()._begin(count)
        try:
            self.whole._begin(count)
        except BudgetSpent:
            self._open -= count
            raise

    def _charge(self, genes: Ints, returns: Floats | None) -> Scores:
        scores = self.whole._charge(genes, returns)
        self.evaluated.append(genes)
        self.scored.append(scores)
        self._keep(genes, scores)
        return scores

    def state(self) -> dict[str, Any]:
        evaluated = [batch.tolist() for batch in self.evaluated]
        return {**super().state(), "evaluated": evaluated, "whole": self.whole.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        evaluated = [np.array(batch, np.int64) for batch in state["evaluated"]]
        if not sum(map(len, evaluated)) == state["spent"] <= state["whole"]["spent"]:
            raise ValueError("the checkpoint's account does not add up")
        super().restore(state)
        self.whole.restore(state["whole"])
        self.evaluated = evaluated
        with lifted():  # they were paid for
            for genes in self.evaluated:
                scores = self._problem.evaluate(genes)
                parts = self._problem.parts(genes) if self.sees == "layers" else None
                self.scored.append(Scores(**{**vars(scores), "parts": parts}))


class SearchEnvironment(VectorEnvironment):
    """A vector environment whose episodes are counted; see :meth:`Evaluator.environment`."""

    def __init__(
        self, evaluator: Evaluator, on_paid: Paid | None, once: bool, **arguments: Any
    ) -> None:
        super().__init__(**arguments)
        self._evaluator, self._on_paid, self._once = evaluator, on_paid, once
        self._begun: Bools = np.zeros(self.num_envs, bool)  # and so set aside
        self._played: Bools = np.zeros(self.num_envs, bool)  # an episode, since the last reset

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin new episodes; those under way are broken off, and count."""
        mask = self._reset_mask(options)
        self.break_off(mask)
        self._played = self._played & ~mask if mask is not None else np.zeros_like(self._played)
        return self._reset(seed, options)

    def step(self, actions: Any) -> Any:
        """Take the next step of every environment that does not wait.

        Raises:
            BudgetSpent: If none is under way, and no sample, or no time, is left for another.
            gymnasium.error.ResetNeeded: If all have played the one episode that they may.
        """
        if self._unbegun is None:
            self._begin_episodes(actions)
        return self._step(actions)

    def _begin_episodes(self, actions: Any) -> None:
        """Set samples aside for the episodes whose first step this is; the others wait."""
        kernel = self._kernel
        begins = ~self._begun & ~kernel.over
        if self._once:
            begins &= ~self._played
            if not (begins | self._begun).any():
                raise gym.error.ResetNeeded("all have played their episode: call reset()")
        room = self._evaluator.remaining
        may_wait = self.autoreset_mode is not AutoresetMode.DISABLED
        if begins.sum() > room and may_wait and (room or self._begun.any()):
            begins &= np.cumsum(begins) <= room
        if begins.any():
            waits = ~self._begun & ~begins
            self._choices(actions, waits if waits.any() else None)  # wrong ones cost nothing
            self._evaluator._begin(int(begins.sum()))
            self._begun = self._begun | begins
        if not self._begun.all():
            kernel.over = kernel.over | ~self._begun  # the step leaves them as they are

    def _ended(self, ended: Bools, finished: Bools) -> None:
        self._played = self._played | ended
        self._pay(np.flatnonzero(ended))

    def break_off(self, where: Bools | None = None) -> None:
        """Count the episodes under way, or those of a mask, as broken off."""
        self._pay(np.flatnonzero(self._begun if where is None else self._begun & where))

    def _pay(self, rows: Ints) -> None:
        if not len(rows):
            return
        kernel = self._kernel
        genes = kernel.genes_at(kernel.moment, rows)
        earned: Array = kernel.earned[rows]
        returns = earned if earned.ndim == 1 else None
        begun = self._begun.copy()
        begun[rows] = False
        self._begun = begun
        scores = self._evaluator._charge(genes, returns)
        if self._on_paid is not None:
            self._on_paid(genes, scores, returns)
