"""Steps per second of PPO and MaskablePPO through our adapter, against ``DummyVecEnv``.

Both sides have the same environments, settings, seed and number of steps; a timing is one rollout
and the learning from it. How much of our time the learning takes, which no environment can save,
is said beside. The last row holds the agent ``ppo``, our own, against the agent ``maskable-ppo`` of
stable-baselines3, each as it comes: samples of a search per second of CPU time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gymnasium as gym

from benchmarks.measure import Row, Settings, alternate
from benchmarks.stepping import env_id
from hwgym.core import solve
from hwgym.families.assignment import AssignmentProblem

PART = "ppo"
PEER = "DummyVecEnv"


def searched(agent: str, name: str, samples: int) -> float:
    """Samples per second of this process's CPU time in a search."""
    start = time.process_time()
    solve(agent, name, samples=samples)
    return samples / (time.process_time() - start)


class Learner:
    """An algorithm that has learned from one rollout already.

    Attributes:
        learning: Seconds spent in gradient updates since the last call began.
    """

    def __init__(self, algorithm: Any, envs: Any, steps: int) -> None:
        self.total: int = steps * envs.num_envs
        self.model = algorithm(
            "MlpPolicy",
            envs,
            n_steps=steps,
            batch_size=max(self.total // 4, 2),
            n_epochs=4,
            gamma=1.0,
            seed=0,
            device="cpu",
        )
        self.learning = 0.0
        update = self.model.train

        def timed() -> None:
            start = time.perf_counter()
            update()
            self.learning += time.perf_counter() - start

        self.model.train = timed
        self()

    def __call__(self) -> float:
        """Steps per second of another rollout."""
        self.learning = 0.0
        start = time.perf_counter()
        self.model.learn(self.total, reset_num_timesteps=False)
        seconds = time.perf_counter() - start
        return self.total / seconds


def measure(settings: Settings) -> Iterator[Row]:
    """Rows: an algorithm x a batch of environments; then our agent against theirs."""
    import torch
    from sb3_contrib import MaskablePPO
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv

    from hwgym_agents.ppo import PPO as AgentPPO
    from hwgym_agents.vec_env import SuiteVecEnv

    torch.set_num_threads(1)
    AssignmentProblem.of(settings.model).optimum()  # what an environment solves once
    name = env_id(settings.model)

    def scalar() -> Any:
        return gym.make(name, action_mode="discrete")

    for algorithm in (PPO, MaskablePPO):
        for count in settings.ppo_envs:
            ours = Learner(
                algorithm,
                SuiteVecEnv(name, count, action_mode="discrete"),
                settings.ppo_steps,
            )
            theirs = Learner(algorithm, DummyVecEnv([scalar] * count), settings.ppo_steps)
            calls: dict[str, Callable[[], float]] = {"ours": ours, PEER: theirs}
            figures = alternate(calls, settings.rounds)
            spent = ours.total / ours()
            yield Row.of(
                PART, algorithm.__name__, {"environments": count}, "steps/s",
                figures["ours"], PEER, figures[PEER],
                extra={"learning": ours.learning / spent},
                note=f"{settings.ppo_steps} steps an environment a rollout, 4 epochs, 4 batches.",
            )  # fmt: skip

    agents = {"ppo": 4 * settings.ppo_steps, "maskable-ppo": settings.ppo_steps}
    figures = alternate(
        {agent: partial(searched, agent, name, count) for agent, count in agents.items()},
        settings.rounds,
    )
    yield Row.of(
        PART, "agent ppo", {"environments": AgentPPO.num_envs}, "samples/s of CPU time",
        figures["ppo"], "agent maskable-ppo", figures["maskable-ppo"],
        note=f"Searches of {agents['ppo']} and {agents['maskable-ppo']} samples, one thread.",
    )  # fmt: skip
