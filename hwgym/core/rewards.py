"""Rewards: small objects made for a bank of problems, each saying what it needs to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from hwgym._arrays import Floats
from hwgym._names import nearest
from hwgym.core.metric import Metric
from hwgym.core.problem import Problem, Unlisted
from hwgym.core.tables import TableProblem

__all__ = [
    "REWARDS",
    "CappedReward",
    "ConfuciuXReward",
    "Needs",
    "RelativeReward",
    "Reward",
    "ShapedReward",
    "TerminalReward",
    "VectorReward",
    "default_reward",
    "make_reward",
    "shown",
]

Needs = Literal["parts", "certificate"] | None
"""What a reward must know of a problem: the parts that choices add, the certificate, or neither."""


class Reward(Protocol):
    """What a reward is. Its methods take one number or (N,) of a batch, and give the same.

    Attributes:
        needs: What it must know.
        table: Of every choice of the bank, as :class:`~hwgym.core.table_walk.TableWalk` has them
            in a row: of a step that is neither the last nor fails; (cells,), or (cells, metrics)
            for a vector. None if such steps earn nothing, or what their outcome says.
        ends: Whether the last step has a reward of its own, :meth:`finished`, instead.
        size: Entries of a vector reward; None for a number.
        full: (problems,), or (problems, size): the return that observations show as all there is
            to earn; (1,) where it is the same in all.
    """

    @property
    def needs(self) -> Needs: ...

    @property
    def table(self) -> Floats | None: ...

    @property
    def ends(self) -> bool: ...

    @property
    def size(self) -> int | None: ...

    @property
    def full(self) -> Floats: ...

    def failed(self, earned: Any, which: Any) -> Any:
        """Of a step that failed, after ``earned`` so far, in an episode of problem ``which``."""
        ...

    def finished(self, objective: Any, which: Any) -> Any:
        """Of the last step, if nothing failed, given the episode's objective."""
        ...


def shown(earned: Floats, full: Floats) -> Floats:
    """What observations show of a return: its share of ``full``, from [0, 1] to [-1, 1]."""
    share: Floats = np.minimum(np.maximum(earned / full, 0.0), 1.0) * 2.0 - 1.0
    return share


class _PartsReward:
    """A reward for every choice, from the parts it adds."""

    needs: ClassVar[Needs] = "parts"
    ends = False
    size: int | None = None

    def __init__(self, problems: Sequence[Problem]) -> None:
        tables = []
        for problem in problems:
            assert isinstance(problem, TableProblem)  # make_reward has seen to it
            rewards = self.of_choices(problem)
            tables += [rewards, np.zeros((1, *rewards.shape[1:]))]  # a row for when none is left
        table = np.concatenate(tables)
        self.table: Floats | None = table.reshape(-1, *table.shape[2:])
        self.full = np.array([self.most(p) for p in problems if isinstance(p, TableProblem)])

    def most(self, problem: TableProblem) -> Any:
        """What no return exceeds in absolute value: a number, or one a metric."""
        return 1.0

    def of_choices(self, problem: TableProblem) -> Floats:
        """(steps, actions), or (steps, actions, metrics)."""
        raise NotImplementedError

    def finished(self, objective: Any, which: Any) -> Any:
        raise NotImplementedError("the last step is rewarded like the others")


class CappedReward(_PartsReward):
    """``(worst - cost) / sum(worst - best)`` with every cost capped; a step that fails pays -1.

    A step's cap is four times its own least cost, or four times the mean cost of a step of the best
    uniform solution, whichever is more; so that what is absurd, a thousand times too dear, does not
    make the difference between good and very good vanish. The undiscounted return of a feasible
    episode lies in [0, 1], and is linear in the objective as long as no cost is capped; that of a
    failed one is what it had earned less 1, so no more than 0. What a step pays depends on nothing
    but its choice and on whether the episode fails.
    """

    CAP: ClassVar[float] = 4.0

    def of_choices(self, problem: TableProblem) -> Floats:
        typical = typical_cost(problem) / problem.num_steps
        caps = self.CAP * np.maximum(typical, problem.best_cost)
        worst = np.minimum(problem.worst_cost, caps)
        span = float((worst - problem.best_cost).sum())
        table: Floats = (worst[:, None] - np.minimum(problem.cost, worst[:, None])) / (span or 1.0)
        return table

    def failed(self, earned: Any, which: Any) -> Any:
        return 0.0 * earned - 1.0


def typical_cost(problem: TableProblem) -> float:
    """An objective such as a simple solution has: that of the best uniform one or, where none is
    feasible, what the steps cost if each takes an equal share of the limit, or its least."""
    uniform = problem.best_uniform()
    if np.isfinite(uniform):
        return uniform
    share = np.maximum(problem.limit / problem.num_steps, problem.least_used)[:, None]
    fits = problem.valid & (problem.usage <= share)
    return float(np.where(fits, problem.cost, np.inf).min(axis=1).sum())


class ShapedReward(_PartsReward):
    """``(worst - cost) / sum(worst - best)``, over a step's valid choices.

    The undiscounted return of a feasible episode lies in [0, 1] and is linear in the objective; a
    failed episode returns exactly -1.
    """

    def of_choices(self, problem: TableProblem) -> Floats:
        span = float((problem.worst_cost - problem.best_cost).sum())
        # If every choice costs the same, there is nothing to earn and nothing to divide.
        return (problem.worst_cost[:, None] - problem.cost) / (span or 1.0)

    def failed(self, earned: Any, which: Any) -> Any:
        return -1.0 - earned


class ConfuciuXReward(_PartsReward):
    """The paper's ``P - P_min``: performance (minus cost) above the worst of any step's choices;
    on failure, minus the rewards so far (Kao et al., MICRO 2020, section 4).

    The paper tracks ``P_min`` as it goes, which makes rewards depend on earlier episodes; here it
    is the value that this converges to, known from the tables.
    """

    def of_choices(self, problem: TableProblem) -> Floats:
        table: Floats = problem.worst_cost.max() - problem.cost
        return table

    def most(self, problem: TableProblem) -> float:
        return float((problem.worst_cost.max() - problem.best_cost).sum()) or 1.0

    def failed(self, earned: Any, which: Any) -> Any:
        return -earned


class VectorReward(_PartsReward):
    """Minus what each choice adds to each of several metrics.

    The undiscounted return of a feasible episode is minus its metrics, each in its unit; that of a
    failed one minus the worst valid choice of every step, which no feasible episode falls below.
    """

    def __init__(self, problems: Sequence[Problem], metrics: Sequence[Metric]) -> None:
        self.metrics, self.size = tuple(metrics), len(metrics)
        super().__init__(problems)
        self.worst = -self.full

    def most(self, problem: TableProblem) -> Floats:
        valid = problem.valid[..., None]
        worst: Floats = np.where(valid, self._adds(problem), -np.inf).max(axis=1).sum(axis=0)
        return worst

    def _adds(self, problem: TableProblem) -> Floats:
        return np.stack([problem.tables.metrics[m.name] for m in self.metrics], axis=-1)

    def of_choices(self, problem: TableProblem) -> Floats:
        return -self._adds(problem)

    def failed(self, earned: Any, which: Any) -> Any:
        return self.worst[which] - earned


class TerminalReward:
    """Nothing until the end, then ``-objective / optimum`` (or lower bound, where no optimum is
    proven); on failure that of the worst valid choice at every step, which no feasible episode
    falls below; where costs are not separable -10, or that of the statement's scale if it is
    worse."""

    needs: ClassVar[Needs] = "certificate"
    table = None
    ends = True
    size = None
    FAILED: ClassVar[float] = 10.0

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.full = np.ones(len(problems))
        self.scale = np.array([p.certificate().yardstick for p in problems])
        self.worst = np.array(
            [
                _worst(p) or max(self.FAILED * s, p.statement.scale)
                for p, s in zip(problems, self.scale, strict=True)
            ]
        )

    def failed(self, earned: Any, which: Any) -> Any:
        return self.finished(0.0 * earned + self.worst[which], which)

    def finished(self, objective: Any, which: Any) -> Any:
        return -objective / self.scale[which]


class RelativeReward:
    """Nothing until the end, then how often the objective was halved, from the statement's scale:
    ``log2(scale / objective)``; -1 on failure. It needs to know nothing but the statement."""

    needs: ClassVar[Needs] = None
    table = None
    ends = True
    size = None

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.full = np.ones(len(problems))
        self.scale = np.array([p.statement.scale for p in problems])

    def failed(self, earned: Any, which: Any) -> Any:
        return 0.0 * earned - 1.0

    def finished(self, objective: Any, which: Any) -> Any:
        least = np.finfo(np.float64).tiny  # of an objective of 0, too
        return np.log2(self.scale[which]) - np.log2(np.maximum(objective, least))


_Named = CappedReward | ShapedReward | ConfuciuXReward | TerminalReward | RelativeReward

REWARDS: Mapping[str, type[_Named]] = {
    "capped": CappedReward,
    "shaped": ShapedReward,
    "confuciux": ConfuciuXReward,
    "terminal": TerminalReward,
    "relative": RelativeReward,
}


def _worst(problem: Problem) -> float:
    """The objective of the worst valid choice of every step; 0 where there are no such choices."""
    if not isinstance(problem, TableProblem):
        return 0.0
    worst = problem.worst_cost
    return float(worst.sum() if problem.statement.objective.adds_up else worst.max())


def _has_parts(problem: Problem) -> bool:
    return isinstance(problem, TableProblem) and problem.statement.objective.adds_up


def default_reward(problem: Problem, *, certificate: bool = True) -> str:
    """The name of the reward that suits a problem.

    Args:
        problem: The problem.
        certificate: Whether the reward may know the certificate.
    """
    if _has_parts(problem):
        return "capped"
    return problem.suits if certificate else "relative"


def make_reward(
    given: str | Sequence[Metric] | None, problems: Sequence[Problem], *, certificate: bool = True
) -> Reward:
    """The reward of that name for a bank of problems, or a vector reward of several metrics.

    Args:
        given: A key of :data:`REWARDS`; metrics; or None for what suits the problem.
        problems: The bank.
        certificate: Whether the reward may know the certificate.

    Raises:
        ValueError: If the name is unknown, or the reward needs what the problem does not have or
            what may not be known.
    """
    if isinstance(problems, Unlisted):
        made: Reward = problems.reward(given, certificate=certificate)
        return made
    first = problems[0]
    if given is None:
        given = default_reward(first, certificate=certificate)
    if not isinstance(given, str):
        missing = [m.name for m in given if not isinstance(first, TableProblem)
                   or m.name not in first.tables.metrics or not m.adds_up]  # fmt: skip
        if missing or not given:
            raise ValueError(
                f"a vector reward needs metrics that add up over steps, got {missing or 'none'}"
            )
        return VectorReward(problems, given)
    if given not in REWARDS:
        raise ValueError(nearest("reward", given, REWARDS))
    cls = REWARDS[given]
    if cls.needs == "parts" and not all(_has_parts(p) for p in problems):
        raise ValueError(
            f"reward {given!r} needs an objective that adds up over steps, which "
            f"{first.statement.objective.name} does not; use 'terminal' or 'relative'"
        )
    if cls.needs == "certificate" and not certificate:
        raise ValueError(
            f"reward {given!r} tells the optimum, which is withheld while an agent searches; use "
            f"{default_reward(first, certificate=False)!r}"
        )
    return cls(problems)
