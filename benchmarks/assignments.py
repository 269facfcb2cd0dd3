"""Complete assignments evaluated per second, against stepping through the environments."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gymnasium as gym
import numpy as np

from benchmarks.measure import Row, Settings, alternate, busiest, rating
from benchmarks.stepping import Replay, env_id, feasible_episodes, scalar_episodes, vector
from hwgym.families.assignment import AssignmentProblem

PART = "assignments"
SCALAR = "gym.make, step by step"


def measure(settings: Settings) -> Iterator[Row]:
    """Rows: level indices and action numbers x the scalar and the vector environment."""
    problem = AssignmentProblem.of(settings.model)
    problem.optimum()
    rng = np.random.default_rng(0)
    count, steps, seconds = settings.assignments, problem.num_steps, settings.seconds
    numbers = rng.integers(problem.num_actions, size=(count, steps))
    levels = problem.space.decode(numbers)
    batch = 4096 if 4096 in settings.num_envs else max(settings.num_envs)
    scalar = gym.make(env_id(settings.model), action_mode="discrete")
    episode = scalar_episodes(scalar, list(feasible_episodes(problem, 1)[:, 0]))
    replay = Replay(vector(env_id(settings.model), batch, "discrete"), problem, "discrete")
    ways: dict[str, Callable[[], object]] = {
        "evaluate (level indices)": lambda: problem.evaluate(levels),
        "evaluate_actions (action numbers)": lambda: problem.evaluate_actions(numbers),
    }
    peers: dict[str, tuple[Callable[[], object], int]] = {
        SCALAR: (episode, 1),
        f"gym.make_vec of {batch:,}": (replay, batch),
    }
    calls = {name: rating(call, count, seconds) for name, call in ways.items()}
    calls |= {name: rating(call, work, seconds) for name, (call, work) in peers.items()}
    figures = alternate(calls, settings.rounds)
    for name, call in ways.items():
        where = busiest(call)
        for peer in peers:
            yield Row.of(
                PART, name, {"model": settings.model, "layers": steps, "batch": count},
                "assignments/s", figures[name], peer, figures[peer], where=where,
            )  # fmt: skip
