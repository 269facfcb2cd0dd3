"""``solve``: run an agent on a problem within a budget of samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, is_dataclass
from os import PathLike
from typing import Any, get_args

import gymnasium as gym

from hwgym._arrays import Floats, Ints
from hwgym._names import nearest
from hwgym.core.agents import Agent, find_agent
from hwgym.core.evaluator import BudgetSpent, Evaluator, Sees
from hwgym.core.family import problem_of, split_id
from hwgym.core.log import EpisodeLog
from hwgym.core.problem import Problem
from hwgym.core.veil import veiled

__all__ = ["Result", "as_problem", "search", "solve"]


@dataclass(frozen=True)
class Result:
    """What a search found.

    Attributes:
        agent: Its name.
        problem: What it searched.
        seed: Of the run.
        samples: How many it used.
        assignment: Genes (steps, axes) of the best feasible solution, or None.
        objective: Of that; infinite if there is none.
        history: (samples,): the best objective after each sample.
        seconds: Wall time.
        timed_out: The time limit ended it.
        improvements: Sample numbers, counted from 0, and genes of the solutions that were better
            than all before.
    """

    agent: str
    problem: Problem = field(repr=False)
    seed: int
    samples: int
    assignment: Ints | None = field(repr=False)
    objective: float
    history: Floats = field(repr=False)
    seconds: float
    timed_out: bool = False
    improvements: Sequence[tuple[int, Ints]] = field(default=(), repr=False)

    @property
    def regret(self) -> float:
        """``objective / optimum - 1``, or the gap to the lower bound where no optimum is proven;
        infinite without a feasible solution."""
        return self.problem.regret(self.objective)


def as_problem(given: Problem | str) -> tuple[Problem, str | None]:
    """A problem and, where it came from one, its environment id, numbered or not.

    Raises:
        gymnasium.error.NameNotFound: If an id is unknown.
        ValueError: If it is neither.
    """
    if isinstance(given, Problem):
        return given, None
    if not isinstance(given, str):
        raise ValueError(f"a problem or an environment id is needed, got {given!r}")
    if split_id(given)[1] is not None:
        return problem_of(given), given
    env = gym.make(given, disable_env_checker=True)
    problem: Problem = env.get_wrapper_attr("problem")
    return problem, given


def search(agent: Agent, evaluator: Evaluator, seed: int) -> None:
    """Let an agent search until it is satisfied or the evaluator's samples are spent.

    It searches behind the veil (:mod:`hwgym.core.veil`).
    """
    try:
        with veiled():
            agent.search(evaluator, seed)
    except BudgetSpent:
        pass
    finally:
        evaluator.close()


def solve(
    agent: Agent | str,
    problem: Problem | str,
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
        log: Folder for the episode log (see :mod:`hwgym.core.log`). A run that fails before its
            first sample leaves none.
        settings: Fields of the agent to change from their defaults, if it is given by name.
        progress: Called with the evaluator after each batch of samples.
        resume: Go on with the log in that folder; for agents that resume from a checkpoint.

    Raises:
        ValueError: If a name, a setting or the budget is wrong.
        FileExistsError: If the log folder holds a log already, or another run is writing there.
        LogError: If a log to be resumed is of another problem, or the agent does not go on from a
            checkpoint.
        Withheld: If the agent asks for what it has not paid for.
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
    sees: Sees = getattr(searcher, "sees", "totals")
    if sees not in get_args(Sees):
        raise ValueError(f"{name}: {nearest('value of sees', sees, get_args(Sees))}")
    evaluator = Evaluator(target, samples, sees=sees, progress=progress, time_limit=time_limit)
    start = time.perf_counter()
    with ExitStack() as stack:
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
            evaluator.write_to(stack.enter_context(writer))
        search(searcher, evaluator, seed)
    return Result(
        agent=name,
        problem=target,
        seed=seed,
        samples=evaluator.spent,
        assignment=evaluator.best,
        objective=evaluator.best_objective,
        history=evaluator.history,
        seconds=time.perf_counter() - start,
        timed_out=evaluator.timed_out,
        improvements=evaluator.improvements,
    )


def _settings_of(agent: Agent) -> dict[str, Any]:
    return {name: getattr(agent, name) for name in _field_names(agent)}


def _field_names(agent: Any) -> tuple[str, ...]:
    return tuple(f.name for f in fields(agent)) if is_dataclass(agent) else ()
