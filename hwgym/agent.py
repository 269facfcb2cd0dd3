"""What an agent is: something that searches a problem within a budget of samples.

A *sample* is one complete assignment evaluated, by whomever. An :class:`Evaluator` hands out
evaluations, counts them, keeps the best and the history, and writes the log; an agent never gets
more than its budget. Agents are found by name through the entry-point group ``hwgym.agents``, so
any package can bring its own::

    [project.entry-points."hwgym.agents"]
    my-agent = "my_package:MyAgent"
"""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from importlib.metadata import entry_points
from os import PathLike
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from hwgym._extras import explain, naming
from hwgym._names import nearest
from hwgym.episodes import EpisodeLog
from hwgym.families.assignment.problem import AssignmentProblem, Scores

__all__ = [
    "Agent",
    "BudgetSpent",
    "Evaluator",
    "Result",
    "Stage",
    "agent_names",
    "describe_agents",
    "find_agent",
    "solve",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

GROUP = "hwgym.agents"
Sees = Literal["layers", "totals"]


class BudgetSpent(Exception):
    """Raised when an evaluation is asked for and no sample, or no time, is left."""


@runtime_checkable
class Agent(Protocol):
    """A search method: a class with settings as fields and one method.

    Attributes:
        sees: ``"layers"`` if it uses what each layer cost and took, ``"totals"`` if only the
            totals of an assignment and whether it was feasible.

    A class whose ``search`` does the same for every seed says so with a further attribute,
    ``deterministic: ClassVar[bool] = True``; a leaderboard then runs one seed. One whose settings
    matter may declare what is worth trying, ``search_space: ClassVar[Mapping[str, Sequence]]``
    (:mod:`hwgym.leaderboard.draws`); one that begins with the logs of others, ``needs_logs``.
    """

    sees: ClassVar[Sees]

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Ask ``evaluator`` for samples until satisfied, or until it raises BudgetSpent."""
        ...


class Evaluator:
    """Evaluates assignments for an agent and keeps the account.

    Attributes:
        problem: What is to be solved.
        samples: The budget.
        time_limit: Wall seconds after which no more is evaluated, or None.
        timed_out: An evaluation was refused because of the time.
        spent: Samples used so far.
        improvements: The feasible assignments that were better than all before, in order: sample
            number, counted from 0, and action numbers (steps,).
        best_objective: That of the last of them; infinite while there is none.
        progress: Called with this object after each batch of samples.
    """

    def __init__(
        self,
        problem: AssignmentProblem,
        samples: int,
        log: EpisodeLog | None = None,
        progress: Callable[[Evaluator], object] | None = None,
        time_limit: float | None = None,
    ) -> None:
        if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
            raise ValueError(f"samples must be a positive integer, got {samples!r}")
        if time_limit is not None and not time_limit > 0:
            raise ValueError(f"time_limit must be a positive number of seconds, got {time_limit!r}")
        self.problem, self.samples, self.log, self.progress = problem, samples, log, progress
        self.time_limit, self.timed_out = time_limit, False
        self.spent = 0
        self.improvements: list[tuple[int, Ints]] = []
        self.best_objective = np.inf
        self._history = np.full(samples, np.inf)
        self._started = time.perf_counter()

    @property
    def remaining(self) -> int:
        """Samples left."""
        return self.samples - self.spent

    @property
    def best(self) -> Ints | None:
        """Action numbers (steps,) of the best feasible assignment so far, or None."""
        return self.improvements[-1][1] if self.improvements else None

    @property
    def history(self) -> Floats:
        """(spent,): the best feasible objective after each sample; infinite before the first."""
        return self._history[: self.spent]

    def evaluate(self, actions: Ints, returns: Floats | None = None) -> Scores:
        """Evaluate assignments (N, steps) given as action numbers; each is one sample.

        Args:
            actions: -1 from the step on at which an episode broke off: a sample like any other, and
                not feasible.
            returns: (N,) of the episodes they come from, for the log.

        Returns:
            Scores of the first ``remaining`` of them.

        Raises:
            BudgetSpent: If no sample is left, or the time is up.
        """
        if not self.remaining:
            raise BudgetSpent
        if self.time_limit is not None and self._seconds() > self.time_limit:
            self.timed_out = True
            raise BudgetSpent
        actions = np.atleast_2d(actions)[: self.remaining]
        complete: NDArray[np.bool_] = np.logical_and.reduce(actions >= 0, axis=1)
        scores = self.problem.evaluate_actions(np.where(complete[:, None], actions, 0))
        feasible: NDArray[np.bool_] = np.logical_and(scores.feasible, complete)
        objective = np.where(feasible, scores.objective, np.inf)
        start = self.spent
        self._keep(actions, objective)
        if self.log is not None:
            self.log.add(
                actions,
                samples=np.arange(start, self.spent),
                returns=None if returns is None else returns[: len(actions)],
                wall_time=self._seconds(),
            )
        if self.progress is not None:
            self.progress(self)
        return Scores(**{**vars(scores), "valid": scores.valid & complete, "feasible": feasible})

    def _seconds(self) -> float:
        return time.perf_counter() - self._started

    def _keep(self, actions: Ints, objective: Floats) -> None:
        start = self.spent
        self.spent += len(actions)
        best = np.minimum(np.minimum.accumulate(objective), self.best_objective)
        better = best < np.concatenate([[self.best_objective], best[:-1]])
        for row in np.flatnonzero(better):
            self.improvements.append((start + int(row), actions[row].copy()))
        self._history[start : self.spent] = best
        self.best_objective = float(best[-1])

    def part(self, samples: int) -> Stage:
        """An evaluator for one stage of a search: at most so many samples, counted here, too."""
        return Stage(self, min(samples, self.remaining))

    def state(self) -> dict[str, Any]:
        """The account, for a checkpoint; the log is written up to it."""
        if self.log is not None:
            self.log.flush()
        improvements = [[sample, actions.tolist()] for sample, actions in self.improvements]
        history = self.history.tolist()
        return {"spent": self.spent, "improvements": improvements, "history": history}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from an account; the log, if there is one, drops what came after it.

        Raises:
            ValueError: If the account has more samples than the budget, or the log fewer than it.
        """
        if state["spent"] > self.samples:
            raise ValueError(
                f"the checkpoint has {state['spent']} samples, the budget only {self.samples}"
            )
        if self.log is not None:
            self.log.truncate(int(state["spent"]))
        self.spent = int(state["spent"])
        self._history[: self.spent] = state["history"]
        self.improvements = [(int(s), np.array(a, np.int64)) for s, a in state["improvements"]]
        self.best_objective = float(self._history[self.spent - 1]) if self.spent else np.inf


class Stage(Evaluator):
    """A stage of a search; remembers what it evaluated.

    Attributes:
        evaluated: The batches of action numbers (n, steps), in order.
    """

    def __init__(self, whole: Evaluator, samples: int) -> None:
        super().__init__(whole.problem, samples)
        self.whole = whole
        self.evaluated: list[Ints] = []

    def evaluate(self, actions: Ints, returns: Floats | None = None) -> Scores:
        if not self.remaining:
            raise BudgetSpent
        actions = np.atleast_2d(actions)[: self.remaining]
        scores = self.whole.evaluate(actions, returns)
        self.evaluated.append(actions)
        self._keep(actions, np.where(scores.feasible, scores.objective, np.inf))
        return scores

    def state(self) -> dict[str, Any]:
        evaluated = [batch.tolist() for batch in self.evaluated]
        return {**super().state(), "evaluated": evaluated, "whole": self.whole.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self.whole.restore(state["whole"])
        self.evaluated = [np.array(batch, np.int64) for batch in state["evaluated"]]


@dataclass(frozen=True)
class Result:
    """What a search found.

    Attributes:
        agent: Its name.
        problem: What it searched.
        seed: Of the run.
        samples: How many it used.
        actions: Action numbers (steps,) of the best feasible assignment, or None.
        objective: Of that; infinite if there is none.
        history: (samples,): the best objective after each sample.
        seconds: Wall time.
        timed_out: The time limit ended it.
        improvements: Sample numbers, counted from 0, and action numbers of the assignments that
            were better than all before.
    """

    agent: str
    problem: AssignmentProblem = field(repr=False)
    seed: int
    samples: int
    actions: Ints | None = field(repr=False)
    objective: float
    history: Floats = field(repr=False)
    seconds: float
    timed_out: bool = False
    improvements: Sequence[tuple[int, Ints]] = field(default=(), repr=False)

    @property
    def assignment(self) -> Ints | None:
        """Level indices (steps, 2 or 3) of the best assignment, or None."""
        return None if self.actions is None else self.problem.space.decode(self.actions)

    @property
    def regret(self) -> float:
        """``objective / optimum - 1``; infinite without a feasible assignment."""
        return self.problem.regret(self.objective)


@cache
def _classes() -> Mapping[str, Any]:
    return {point.name: point for point in entry_points(group=GROUP)}


def agent_names() -> tuple[str, ...]:
    """The names of all installed agents."""
    return tuple(sorted(_classes()))


def find_agent(name: str) -> type[Any]:
    """The agent class of that name.

    Raises:
        ValueError: If there is none; the message gives the nearest name.
        ImportError: If its module, or a package that it needs, cannot be imported; the message
            names the extra that brings the package.
    """
    if name not in _classes():
        raise ValueError(nearest("agent", name, agent_names()))
    with naming():
        found: type[Any] = _classes()[name].load()
    return found


def describe_agents(names: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """What installed agents are: rows with ``agent``, ``about``, ``sees``, ``settings`` (defaults)
    and ``settings_about``; of one that cannot be imported, ``missing`` says why.

    Raises:
        ValueError: If there is no agent of a name.
    """
    described = []
    for name in agent_names() if names is None else names:
        entry: dict[str, Any] = {"agent": name}
        try:
            cls = find_agent(name)
        except ImportError as error:
            described.append(entry | {"missing": explain(error)})
            continue
        entry["about"] = _first_sentence(cls.__doc__)
        entry["sees"] = getattr(cls, "sees", None)
        entry["settings"] = {}
        for each in fields(cls) if is_dataclass(cls) else ():
            default = each.default
            if each.default_factory is not MISSING:
                default = each.default_factory()
            entry["settings"][each.name] = None if default is MISSING else default
        documented = {k: v for base in reversed(cls.__mro__) for k, v in _documented(base).items()}
        entry["settings_about"] = {k: documented.get(k, "") for k in entry["settings"]}
        described.append(entry)
    return described


def _first_sentence(text: str | None) -> str:
    paragraph = " ".join((text or "").strip().partition("\n\n")[0].split())
    return paragraph.partition(". ")[0].rstrip(".")


def _documented(cls: type) -> dict[str, str]:
    """The texts that follow the fields of a class in its source."""
    try:
        [tree] = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return {}
    found = {}
    body = getattr(tree, "body", [])
    for field_, text in itertools.pairwise(body):
        if isinstance(field_, ast.AnnAssign) and isinstance(field_.target, ast.Name):
            value = getattr(text, "value", None)
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found[field_.target.id] = " ".join(value.value.split())
    return found


def as_problem(given: AssignmentProblem | str) -> tuple[AssignmentProblem, str | None]:
    """A problem and, where it came from one, its environment id.

    Raises:
        gymnasium.error.NameNotFound: If an id is unknown.
        ValueError: If it is neither.
    """
    if isinstance(given, AssignmentProblem):
        return given, None
    if not isinstance(given, str):
        raise ValueError(f"a problem or an environment id is needed, got {given!r}")
    env = gym.make(given, disable_env_checker=True)
    problem: AssignmentProblem = env.get_wrapper_attr("problem")
    return problem, given


def solve(
    agent: Agent | str,
    problem: AssignmentProblem | str,
    *,
    samples: int = 5000,
    time_limit: float | None = None,
    seed: int = 0,
    log: str | PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Callable[[Evaluator], object] | None = None,
    resume: bool = False,
) -> Result:
    """Run an agent on a problem.

    Args:
        agent: An agent or the name of an installed one.
        problem: A problem or an environment id.
        samples: The budget.
        time_limit: Seconds of wall time, from the first step of the search, after which it gets no
            more samples; what it was busy with is finished first.
        seed: Equal seeds give equal results, unless the time limit ends them.
        log: Folder for the episode log (see :mod:`hwgym.episodes`).
        settings: Fields of the agent to change from their defaults, if it is given by name.
        progress: Called with the evaluator after each batch of samples.
        resume: Go on with the log in that folder; for agents that resume from a checkpoint.

    Raises:
        ValueError: If a name, a setting or the budget is wrong.
        FileExistsError: If the log folder holds a log already.
    """
    if isinstance(agent, str):
        name, cls = agent, find_agent(agent)
        allowed = _field_names(cls)
        for key in settings or {}:
            if key not in allowed:
                raise ValueError(f"{agent}: {nearest('setting', key, allowed)}")
        searcher: Agent = cls(**(settings or {}))
    elif isinstance(agent, type) or not callable(getattr(agent, "search", None)):
        raise ValueError(f"an agent or the name of one is needed, got {agent!r}")
    else:
        name, searcher = type(agent).__name__, agent
    target, env_id = as_problem(problem)
    start = time.perf_counter()
    writer = None
    if log is not None:
        writer = EpisodeLog(
            log,
            target,
            agent=name,
            env_id=env_id,
            seed=seed,
            settings=_settings_of(searcher),
            resume=resume,
        )
    evaluator = Evaluator(target, samples, writer, progress, time_limit)
    try:
        searcher.search(evaluator, seed)
    except BudgetSpent:
        pass
    finally:
        if writer is not None:
            writer.close()
    return Result(
        agent=name,
        problem=target,
        seed=seed,
        samples=evaluator.spent,
        actions=evaluator.best,
        objective=evaluator.best_objective,
        history=evaluator.history.copy(),
        seconds=time.perf_counter() - start,
        timed_out=evaluator.timed_out,
        improvements=tuple(evaluator.improvements),
    )


def _settings_of(agent: Agent) -> dict[str, Any]:
    return {name: getattr(agent, name) for name in _field_names(agent)}


def _field_names(agent: Any) -> tuple[str, ...]:
    return tuple(f.name for f in fields(agent)) if is_dataclass(agent) else ()
