"""Problem: what is asked (Statement), what solutions are worth (Scores), what is proven."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Bools, Floats, Ints, rows_by
from hwgym.core.certificate import Certificate
from hwgym.core.metric import Metric
from hwgym.core.space import Space
from hwgym.core.veil import check_lifted, withheld

__all__ = [
    "InfeasibleError",
    "Parts",
    "Problem",
    "Scores",
    "Statement",
    "Unlisted",
    "draw_allowed",
    "most_steps",
]


AT_ONCE = 1 << 20
"""Entries of the masks of solutions that are drawn together, about."""


class InfeasibleError(ValueError):
    """No solution fits the budget."""


def draw_allowed(
    space: Space, allowed: Callable[[Ints, int], Bools], rng: np.random.Generator, count: int
) -> Ints:
    """Random genes (count, steps, axes), step by step among the choices that are allowed, as
    ``Statement.allowed`` says them."""
    genes = np.full((count, space.num_steps, len(space.axes)), -1)
    ends = np.cumsum(space.shape)[:-1]
    rows = max(AT_ONCE // sum(space.shape), 1)
    for start in range(0, count, rows):
        drawn = genes[start : start + rows]
        for step in range(space.num_steps):
            for axis, mask in enumerate(np.split(allowed(drawn, step), ends, axis=1)):
                passed = np.cumsum(mask, axis=1)
                wanted = (rng.random(len(mask)) * passed[:, -1]).astype(np.int64)
                drawn[:, step, axis] = (passed > wanted[:, None]).argmax(axis=1)
    return genes


@dataclass(frozen=True, eq=False)
class Statement:
    """All that an agent may know of a problem without paying a sample.

    Attributes:
        key: What identifies the problem, JSON values: family and version, cost model, and all that
            describes it. Two logs belong together if these are equal.
        title: For people, in one line.
        space: What can be chosen.
        objective: What is minimised.
        metrics: What else scores tell.
        constraint: What is limited, if anything is.
        limit: Of the constraint's total; infinite without one.
        features: (steps, n) in [0, 1], what is known of each step.
        alike: (steps,) equal numbers mark steps that have the same costs.
        work: (steps,) how much there is to do, where steps differ in that.
        names: (steps,) of the steps.
        scale: An objective such as a poor solution has, to measure rewards by.
        allowed: Which choices of a step can still lead to a valid solution: of genes (N, steps,
            axes), of which those before a step are looked at, and that step, (N, entries) bools,
            the axes' entries side by side; at least one an axis. None where nothing is known, or
            where all can. Environments mask with it.
        draws, repairs: What :meth:`draw` and :meth:`repair` do instead of going step by step, where
            there are so many steps that this would take too long; None elsewhere.
        known: What else is known, by name, for agents that are made for the family: an array of the
            cycles that each job takes on each core, or the network and the dataflows themselves.
    """

    key: Mapping[str, Any]
    title: str
    space: Space
    objective: Metric
    metrics: tuple[Metric, ...] = ()
    constraint: Metric | None = None
    limit: float = np.inf
    features: Floats = field(default_factory=lambda: np.zeros((0, 0)), repr=False)
    alike: Ints = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)
    work: Floats = field(default_factory=lambda: np.zeros(0), repr=False)
    names: tuple[str, ...] = ()
    scale: float = 1.0
    allowed: Callable[[Ints, int], Bools] | None = field(default=None, repr=False)
    draws: Callable[[np.random.Generator, int], Ints] | None = field(default=None, repr=False)
    repairs: Callable[[Ints, np.random.Generator], Ints] | None = field(default=None, repr=False)
    known: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "limit", float(self.limit))  # a step's flags are to be bools
        steps = self.space.num_steps
        defaults = {
            "features": np.zeros((steps, 0)),
            "alike": np.arange(steps),
            "work": np.ones(steps),
            "names": tuple(f"step {i + 1}" for i in range(steps)),
        }
        for name, default in defaults.items():
            value = getattr(self, name)
            if not len(value):
                object.__setattr__(self, name, default)
            elif len(value) != steps:
                raise ValueError(f"{name} are of {len(value)} steps; the problem has {steps}")

    @property
    def groups(self) -> list[Ints]:
        """The steps of each kind that has costs of its own."""
        return [steps for _, steps in rows_by(np.asarray(self.alike))]

    def draw(self, rng: np.random.Generator, count: int) -> Ints:
        """Random genes (count, steps, axes): at each step any choice that can still lead to a valid
        solution, as far as ``allowed`` says; else each as likely as any other."""
        if self.draws is not None:
            return self.draws(rng, count)
        if self.allowed is None:
            return self.space.draw(rng, count)
        return draw_allowed(self.space, self.allowed, rng, count)

    def repair(self, genes: Ints, rng: np.random.Generator) -> Ints:
        """Genes (N, steps, axes) that can be valid: step by step each choice after which no valid
        solution can follow, as ``allowed`` says, gives way to the nearest that can be, the
        lower of two; one among categories to any. Without that, they stay as they are."""
        if self.repairs is not None:
            return self.repairs(genes, rng)
        if self.allowed is None:
            return genes
        genes = genes.copy()
        ends = np.cumsum(self.space.shape)[:-1]
        for step in range(self.space.num_steps):
            masks = np.split(self.allowed(genes, step), ends, axis=1)
            for axis, mask in enumerate(masks):
                mask = mask[:, : self.space.sizes[step, axis]]
                chosen = genes[:, step, axis]
                rows = np.flatnonzero(~mask[np.arange(len(genes)), chosen])
                if not len(rows):
                    continue
                if self.space.ordered_at[step, axis]:
                    away = np.arange(mask.shape[1]) - chosen[rows, None]
                    rank = 2.0 * np.abs(away) + (away > 0)
                else:
                    rank = rng.random((len(rows), mask.shape[1]))
                genes[rows, step, axis] = np.where(mask[rows], rank, np.inf).argmin(axis=1)
        return genes

    def excess(self, scores: Scores) -> Floats:
        """(N,): by how much of the limit each solution exceeds it; infinite where invalid."""
        over = np.maximum(scores.used / self.limit - 1, 0) if np.isfinite(self.limit) else 0.0
        return np.where(scores.valid, over, np.inf)


@dataclass(frozen=True, eq=False)
class Parts:
    """What each step adds, of problems whose costs are separable: arrays (N, steps).

    Attributes:
        cost: To the objective.
        used: Of the constraint.
        valid: The choice can be built.
        metrics: To each metric, by name.

    Where a solution has no choice (it broke off) costs are 0 and ``valid`` is False.
    """

    cost: Floats
    used: Floats
    valid: Bools
    metrics: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Scores:
    """What solutions are worth: arrays (N,).

    Attributes:
        objective: Of the problem; lower is better, also over budget. Infinite where not ``valid``:
            what cannot be built costs nothing and must not look good.
        used: The constraint's value, to be held against the limit; 0 without one.
        valid: It is complete, and every choice can be built.
        feasible: Valid and within the limit.
        metrics: By name, such as ``latency``; ``scores["latency"]`` for short.
        parts: What each step adds; for agents that see it.
    """

    objective: Floats
    used: Floats
    valid: Bools
    feasible: Bools
    metrics: Mapping[str, Floats] = field(default_factory=dict)
    parts: Parts | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.objective)

    def __getitem__(self, name: str) -> Floats:
        if name not in self.metrics:
            known = ", ".join(self.metrics) or "none"
            raise KeyError(f"no metric {name!r}; there are {known}")
        return self.metrics[name]

    def take(self, rows: Any) -> Scores:
        """Those of some rows; without parts."""
        return Scores(
            self.objective[rows],
            self.used[rows],
            self.valid[rows],
            self.feasible[rows],
            {name: values[rows] for name, values in self.metrics.items()},
        )

    @staticmethod
    def join(several: Sequence[Scores]) -> Scores:
        """One after the other; without parts."""
        first = several[0]
        return Scores(
            np.concatenate([s.objective for s in several]),
            np.concatenate([s.used for s in several]),
            np.concatenate([s.valid for s in several]),
            np.concatenate([s.feasible for s in several]),
            {n: np.concatenate([s.metrics[n] for s in several]) for n in first.metrics},
        )

    @property
    def best(self) -> float:
        """The least objective of a feasible one; infinite if there is none."""
        return float(np.where(self.feasible, self.objective, np.inf).min(initial=np.inf))


class Problem(ABC):
    """Something to be solved. A family's problems give three or four methods; the rest follows.

    What agents get to see while they search is :attr:`statement`, and the scores they pay for
    (:mod:`hwgym.core.evaluator`).

    Attributes:
        suits: The reward by default where costs have no parts, a key of
            :data:`~hwgym.core.rewards.REWARDS`: ``relative`` where objectives of solutions lie
            orders of magnitude apart.
    """

    suits: ClassVar[str] = "terminal"

    def __init_subclass__(cls, **arguments: Any) -> None:
        """What a family writes is behind the veil like what others call."""
        super().__init_subclass__(**arguments)
        doors = {
            "score": "an evaluation past the evaluator",
            "part": "what each step costs",
            "certify": "the optimum",
            "reported": "what is held back",
        }
        for name in doors.keys() & vars(cls).keys():
            setattr(cls, name, withheld(doors[name])(vars(cls)[name]))

    @property
    @abstractmethod
    def statement(self) -> Statement:
        """What an agent may know without paying."""

    @abstractmethod
    def score(self, genes: Ints) -> Scores:
        """What solutions (N, steps, axes) are worth, checked by :meth:`evaluate`.

        Genes are -1 from the step on at which an episode broke off: such a solution is not valid.
        """

    @abstractmethod
    def certify(self) -> Certificate:
        """Solve it, or bound it; :meth:`certificate` asks once."""

    def part(self, genes: Ints) -> Parts | None:
        """What each step of solutions (N, steps, axes) adds; None if costs are not separable."""
        return None

    def reported(self, genes: Ints) -> Mapping[str, Floats]:
        """What else a report tells of complete solutions (N, steps, axes) once a search is over, by
        what it is: (N,) shares. Agents never see it, and nothing is chosen by it."""
        return {}

    @property
    def description(self) -> Mapping[str, Any] | None:
        """Keyword arguments of its family's environments that make it again, JSON values all; None
        if there are none."""
        return None

    # --- for everybody --------------------------------------------------------------------------

    @property
    def space(self) -> Space:
        """What can be chosen."""
        return self.statement.space

    @property
    def num_steps(self) -> int:
        """Decisions in an episode."""
        return self.space.num_steps

    @property
    def separable(self) -> bool:
        """Whether every step adds its own part, whatever is chosen elsewhere."""
        return type(self).part is not Problem.part

    def evaluate(self, genes: ArrayLike) -> Scores:
        """Score solutions (N, steps, axes), or a single one without the first axis.

        Raises:
            ValueError: If the shape is another one, or an index is out of range.
            Withheld: While an agent searches.
        """
        check_lifted("an evaluation past the evaluator")
        return self.score(self.space.check(genes))

    def parts(self, genes: ArrayLike) -> Parts | None:
        """What each step of solutions adds; None if costs are not separable.

        Raises:
            ValueError: As :meth:`evaluate`.
            Withheld: While an agent searches.
        """
        check_lifted("what each step costs")
        return self.part(self.space.check(genes))

    def certificate(self) -> Certificate:
        """The best that is known and proven; computed on the first call, then kept.

        Raises:
            Withheld: While an agent searches.
        """
        check_lifted("the optimum")
        return self._certificate

    @cached_property
    def _certificate(self) -> Certificate:
        found = self.certify()
        scores = self.score(self.space.check(found.assignment))
        if not scores.feasible[0] or scores.objective[0] != found.objective:
            raise RuntimeError(
                f"{found.method}: the solution found is not what it claims: {self!r}"
            )
        found.assignment.setflags(write=False)
        return found

    def optimum(self) -> Certificate:
        """The proven optimum.

        Raises:
            ValueError: If only a bound is known; :meth:`certificate` has it.
            Withheld: While an agent searches.
        """
        found = self.certificate()
        if not found.exact:
            raise ValueError(
                f"no optimum is proven of {self!r}; certificate() has the best known solution and "
                f"a lower bound, a gap of {found.gap:.2%}"
            )
        return found

    def regret(self, objective: float) -> float:
        """How far an objective lies above the optimum, or above the lower bound; at least 0."""
        above: float = self.certificate().above(objective)
        return above

    def best_uniform(self) -> float:
        """The best feasible objective of the same choice at every step; infinite if none is
        feasible, the choices cannot be enumerated, or steps differ in what they choose; computed on
        the first call, then kept.

        Raises:
            Withheld: While an agent searches.
        """
        if self.space.joint is None or self.space.own:
            return np.inf
        check_lifted("an evaluation past the evaluator")
        return self._best_uniform

    @cached_property
    def _best_uniform(self) -> float:
        return self.score(self.space.check(self.space.uniform())).best

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.statement.title}>"


class Unlisted(Sequence[Problem], ABC):
    """A bank of problems too long to be listed: each is made when it is looked at.

    Its family's dynamics walk it, and it makes its own rewards; both know its problems without
    making them.

    Attributes:
        most_steps: Of its longest problem.
    """

    most_steps: int

    @abstractmethod
    def reward(self, given: Any, *, certificate: bool) -> Any:
        """The :class:`~hwgym.core.rewards.Reward` of that name; None is for what suits.

        Raises:
            ValueError: If there is none of that name.
        """


def most_steps(problems: Iterable[Problem]) -> int:
    """Steps of the longest problem of a bank."""
    if isinstance(problems, Unlisted):
        return problems.most_steps
    return max(problem.num_steps for problem in problems)
