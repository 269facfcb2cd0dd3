"""Train an agent for a minute and a half and hold it against the proven optimum.

    python -m agents.demo
    python -m agents.demo --env HWAssign-ResNet50-Eyeriss-v0 --seconds 300
    python -m agents.demo --episodes 5000 --seed 1      # the same result at every run

The agent is MaskablePPO of sb3-contrib. It learns from the environment's rewards alone; the optimum
is read only afterwards, to say how far from it the agent ended. Action masks keep every episode
feasible: without them a tight budget is broken before the last layer in practically every episode.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

import hwgym
from hwgym import plotting
from hwgym.envs import HWAssignEnv

Levels = NDArray[np.int64]

NUM_ENVS = 16
LEAST_STEPS = 32  # of each environment between updates, where episodes are shorter
PPO: dict[str, Any] = {
    "n_epochs": 6,
    "learning_rate": 2e-3,
    "ent_coef": 0.003,
    "gamma": 1.0,  # the return is the objective, only undiscounted
    "gae_lambda": 0.95,
    "policy_kwargs": {"net_arch": [64, 64]},
}
REPORT_SECONDS = 10.0  # between lines of progress, where there is no terminal to draw a bar on


@dataclass(frozen=True)
class Arguments:
    """What the command line says; training takes ``seconds``, or ``episodes`` if those are None."""

    env: str
    seconds: float | None
    episodes: int | None
    seed: int
    out: Path


@dataclass
class History:
    """What the episodes came to.

    Attributes:
        episodes, feasible: How many finished, and how many of them within budget.
        best: The least objective of a feasible one.
        assignment: That episode's level indices (steps, 2 or 3).
    """

    episodes: int = 0
    feasible: int = 0
    best: float = float("inf")
    assignment: Levels | None = None

    def add(self, info: dict[str, Any]) -> None:
        """Note the end of an episode."""
        self.episodes += 1
        self.feasible += info["is_success"]
        if info["is_success"] and info["objective"] < self.best:
            self.best, self.assignment = info["objective"], info["assignment"]

    def text(self, unit: str) -> str:
        """The state in a line."""
        share = self.feasible / max(self.episodes, 1)
        best = f"{self.best:,.0f} {unit}" if self.feasible else "-"
        return f"{self.episodes:,} episodes, {share:.0%} feasible, best {best}"


class Recorder(BaseCallback):
    """Records episodes, shows progress, and stops when time or episodes are used up."""

    def __init__(self, args: Arguments, unit: str, console: Console, progress: Progress) -> None:
        super().__init__()
        self.args, self.unit, self.console, self.progress = args, unit, console, progress
        self.history = History()
        self.task = progress.add_task("", total=args.seconds or args.episodes)
        self.start = self.reported = time.monotonic()

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "objective" in info and self.history.episodes != self.args.episodes:
                self.history.add(info)
        now = time.monotonic()
        done = self.history.episodes if self.args.seconds is None else now - self.start
        text = self.history.text(self.unit)
        self.progress.update(self.task, completed=done, description=text)
        if not self.console.is_terminal and now - self.reported >= REPORT_SECONDS:
            self.reported = now
            self.console.print(f"{now - self.start:5.0f} s  {text}")
        return bool(done < (self.args.seconds or self.args.episodes or 0))


def train(args: Arguments, problem: hwgym.AssignmentProblem, console: Console) -> History:
    """Let the agent learn; Ctrl-C ends it early."""
    torch.set_num_threads(1)  # the network is too small to share
    envs = VecNormalize(
        DummyVecEnv([lambda: gym.make(args.env, action_mode="discrete")] * NUM_ENVS),
        norm_obs=False,
        gamma=PPO["gamma"],
        clip_reward=float("inf"),
    )
    # Whole episodes between updates, so that no return is cut.
    steps = problem.num_steps * -(-LEAST_STEPS // problem.num_steps)
    model = MaskablePPO(
        "MlpPolicy",
        envs,
        n_steps=steps,
        batch_size=steps * NUM_ENVS // 4,
        seed=args.seed,
        device="cpu",
        **PPO,
    )
    columns = BarColumn(16), TimeRemainingColumn(), TextColumn("{task.description}")
    unit = plotting.OBJECTIVE_LABELS[problem.objective][1]
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        recorder = Recorder(args, unit, console, progress)
        try:
            model.learn(sys.maxsize, callback=recorder)
        except KeyboardInterrupt:
            console.print("stopped")
    envs.close()
    return recorder.history


def best_of(problem: hwgym.AssignmentProblem, assignments: Levels) -> Levels | None:
    """The best feasible one of assignments (N, steps, 2 or 3), or None."""
    scores = problem.evaluate(assignments)
    if not scores.feasible.any():
        return None
    best: Levels = assignments[np.where(scores.feasible, scores.objective, np.inf).argmin()]
    return best


def comparison(
    problem: hwgym.AssignmentProblem, history: History, seed: int
) -> Iterator[tuple[str, int, Levels | None]]:
    """Who searched, how many assignments were tried, and the best feasible one of them."""
    yield "agent (MaskablePPO)", history.episodes, history.assignment
    uniform = problem.uniform()
    yield "uniform assignments", len(uniform), best_of(problem, uniform)
    size = (history.episodes, problem.num_steps)
    random = np.random.default_rng(seed).integers(problem.num_actions, size=size)
    yield "random search", history.episodes, best_of(problem, problem.space.decode(random))
    yield "proven optimum", 0, problem.optimum().assignment


def result_table(problem: hwgym.AssignmentProblem, history: History, seed: int) -> Table:
    """The comparison, ready to print."""
    what, unit = plotting.OBJECTIVE_LABELS[problem.objective]
    table = Table(title=f"Best {what} found within the {problem.constraint} budget")
    table.add_column("found by", no_wrap=True)
    for heading in ("tried", unit, "regret", "budget used"):
        table.add_column(heading, justify="right")
    for name, count, assignment in comparison(problem, history, seed):
        tried = f"{count:,}" if count else "-"
        if assignment is None:
            table.add_row(name, tried, "none feasible", "-", "-")
            continue
        scores = problem.evaluate(assignment)
        objective, used = float(scores.objective[0]), float(scores.used[0])
        table.add_row(
            name,
            tried,
            f"{objective:,.0f}",
            f"{problem.regret(objective):.1%}",
            f"{used / problem.limit:.1%}",
        )
    table.caption = "regret: how far above the optimum; tried: complete assignments"
    return table


def parse(argv: Sequence[str] | None) -> tuple[Arguments, hwgym.AssignmentProblem]:
    """Read the command line; ends the program with 2 and a message where it makes no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m agents.demo",
        description="Train MaskablePPO on an environment of hwgym, compare it with the best "
        "uniform assignment, random search and the proven optimum, and draw what it found. "
        "Ctrl-C ends the training early.",
    )
    add = parser.add_argument
    add("--env", default="HWAssign-MobileNetV2-NVDLA-v0", help="id (default: %(default)s)")
    add("--seconds", type=float, help="how long to train (default: 90)")
    add("--episodes", type=int, help="train for so many instead: each run gives the same result")
    add("--seed", type=int, default=0, help="of agent and random search (default: %(default)s)")
    add("--out", type=Path, default=Path("runs/demo"), help="folder (default: %(default)s)")
    given = parser.parse_args(argv)
    if given.episodes is None:
        given.seconds = 90.0 if given.seconds is None else given.seconds
    elif given.seconds is not None:
        parser.error("give --seconds or --episodes, not both")
    for name in ("seconds", "episodes"):
        value = getattr(given, name)
        if value is not None and not value > 0:
            parser.error(f"--{name} must be greater than 0, got {value}")
    if given.seed < 0:
        parser.error(f"--seed must be at least 0, got {given.seed}")
    try:
        env = gym.make(given.env).unwrapped
        given.out.mkdir(parents=True, exist_ok=True)
    except (gym.error.Error, OSError) as error:
        parser.error(str(error))
    if not isinstance(env, HWAssignEnv):
        parser.error(f"{given.env} is not an environment of hwgym")
    return Arguments(**vars(given)), env.problem


def main(argv: Sequence[str] | None = None) -> None:
    """Run the demonstration."""
    args, problem = parse(argv)
    console = Console()
    length = f"{args.seconds:g} s" if args.seconds else f"{args.episodes:,} episodes"
    console.print(f"Training on {args.env} for {length}; Ctrl-C ends it early.", soft_wrap=True)
    console.print(f"An episode is {problem.num_steps} decisions of {problem.num_actions} choices.")
    history = train(args, problem, console)
    console.print(result_table(problem, history, args.seed))
    if history.assignment is not None:
        picture = args.out / "assignment.png"
        plotting.save_figure(plotting.assignment_figure(problem, history.assignment), picture)
        console.print(f"The agent's best assignment: {picture}", soft_wrap=True)


if __name__ == "__main__":
    main()
