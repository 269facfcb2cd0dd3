"""Layer-steps per second of the environments, against gymnasium's numpy CartPole and SyncVectorEnv.

Random: gymnasium's own ``benchmark_step`` and ``benchmark_vector_step``. They draw actions from the
action space within the time taken; what share of it that is, is said for both sides. Random actions
soon exceed the budget, so these episodes are short and many.

Whole episodes: actions drawn before the time is taken. Ours stay within budget, and the
environments of a batch are at different layers; CartPole's are uniformly random, as no choice of
actions changes its work. Our infos are computed when they are read, which nobody does here; with
``read`` somebody does: the masks at every step, and what is said of every episode so far.
Autoreset is Gymnasium's default everywhere, NEXT_STEP, whose step that only begins an episode is
not counted as one; ``same step`` is SAME_STEP.

A bank: the same over several problems of different networks and lengths, each episode about the
next of them; held against a bank of one, the network of all other rows.

Networks drawn: the same over the problems of HWAssignMulti, each episode about another, held
against CartPole and against one problem of HWAssign. Val's problems are prepared once; Train's are
new in every episode. The resets with a seed, which make a generator an environment, are not timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from statistics import median
from time import perf_counter
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils.performance import benchmark_step, benchmark_vector_step
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from benchmarks.measure import Row, Settings, Void, alternate, busiest, rating, seconds_each
from hwgym.core import ACTION_MODES, Problem, TableProblem
from hwgym.families.assignment import AssignmentProblem, HWAssignVectorEnv
from hwgym.families.assignment.ids import MODELS

PART = "stepping"
RANDOM = "random actions"
REPLAYED = "whole episodes"
CARTPOLE = "CartPole-v1"
BANK = "whole episodes, a bank of"
DRAWN = "whole episodes, networks of"
SPLITS = ("Val", "Train")
EPISODES = 256  # distinct ones that are replayed
Env = Any


def env_id(model: str) -> str:
    """The environment that is stepped."""
    return f"HWAssign-{model}-NVDLA-v0"


def vector(name: str, num_envs: int, mode: str | None = None, **kwargs: Any) -> Env:
    """The native vector environment of an id; ours with an action mode."""
    if mode is not None:
        kwargs["action_mode"] = mode
    return gym.make_vec(name, num_envs, vectorization_mode="vector_entry_point", **kwargs)


def synchronous(name: str, num_envs: int, mode: str) -> Env:
    """The scalar environments of an id, one after the other."""
    return gym.make_vec(
        name,
        num_envs,
        vectorization_mode="sync",
        action_mode=mode,
    )


def feasible_episodes(
    problem: Problem, count: int = EPISODES, kind: Callable[..., Env] = HWAssignVectorEnv
) -> NDArray[np.int64]:
    """Action numbers (steps, count): each drawn from what the masks of an environment allow."""
    env = kind(problem=problem, num_envs=count, action_mode="discrete")
    rng = np.random.default_rng(0)
    _, info = env.reset(seed=0)
    chosen = np.empty((problem.num_steps, count), np.int64)
    for t in range(problem.num_steps):
        masks = info["action_mask"]
        chosen[t] = (rng.random(masks.shape) * masks).argmax(axis=1)
        info = env.step(chosen[t])[4]
    return chosen


def in_mode(problem: Problem, numbers: NDArray[np.int64], mode: str) -> NDArray[Any]:
    """Action numbers as an action mode wants them."""
    if mode == "discrete":
        return numbers
    levels = problem.space.decode(numbers)
    if mode == "multi_discrete":
        return levels
    middle: NDArray[np.float32] = (2 * (levels + 0.5) / problem.space.shape - 1).astype(np.float32)
    return middle


class Replay:
    """A vector environment of ours with whole episodes; environment i is i layers behind the first.

    Where each step decides something else, and masks let no episode end early, environments stay
    side by side, and do so here.

    Args:
        kind: Of whose masks episodes are drawn.

    Raises:
        Void: If an episode does not end within budget after its last layer.
    """

    def __init__(
        self,
        env: Env,
        problem: Problem,
        mode: str,
        *,
        read: bool = False,
        kind: Callable[..., Env] = HWAssignVectorEnv,
    ) -> None:
        self.env, self.read = env, read
        steps, count = problem.num_steps, env.num_envs
        episodes = feasible_episodes(problem, min(count, EPISODES), kind)
        self.same_step = env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
        if not self.same_step:
            steps += 1  # one to begin with, whatever its action
            episodes = np.vstack([episodes, np.zeros_like(episodes[:1])])
        self._layers = problem.num_steps
        behind = np.zeros(count, np.int64) if problem.space.own else np.arange(count) % steps
        at = (np.arange(steps)[:, None] - behind) % steps
        numbers = episodes[at, np.arange(count) % episodes.shape[1]]
        self.actions: Sequence[NDArray[Any]] = list(in_mode(problem, numbers, mode))
        env.reset(seed=0)
        for t, actions in enumerate(self.actions):
            begin = behind == t
            if t and begin.any():
                env.reset(options={"reset_mask": begin})
            env.step(actions)
        self._check()

    def __call__(self) -> None:
        """As many steps as an episode takes, with the one that begins the next."""
        for actions in self.actions:
            infos = self.env.step(actions)[4]
            if self.read:
                for value in infos.values():
                    _ = dict(value) if isinstance(value, dict) else value

    @property
    def work(self) -> int:
        """Layer-steps of a call."""
        return self._layers * int(self.env.num_envs)

    def _check(self) -> None:
        ends = successes = 0
        for actions in self.actions:
            _, _, ended, _, infos = self.env.step(actions)
            ends += int(ended.sum())
            if ended.any():
                told = infos["final_info"] if self.same_step else infos
                successes += int(told["is_success"][ended].sum())
        if not ends == successes == self.env.num_envs:
            raise Void(f"of {self.env.num_envs} episodes {ends} ended and {successes} in budget")


class InTurn:
    """A sampler: the problems of a bank in turn."""

    random = True

    def __init__(self, problems: Sequence[TableProblem]) -> None:
        self.problems = tuple(problems)
        self.again()

    def again(self) -> None:
        """Begin with the first."""
        self._turn = cycle(range(len(self.problems)))

    def draw(self, rng: np.random.Generator) -> int:
        return next(self._turn)


class ReplayBank:
    """A vector environment over a bank of problems, through the same whole episodes every time.

    Raises:
        Void: If an episode does not end within budget.
    """

    def __init__(self, problems: Sequence[TableProblem], num_envs: int) -> None:
        self.sampler = InTurn(problems)
        self.env = HWAssignVectorEnv(
            problem=self.sampler, num_envs=num_envs, autoreset_mode=AutoresetMode.SAME_STEP
        )
        rng = np.random.default_rng(0)
        infos = self._begin()
        self.actions = []
        ends = successes = 0
        for _ in range(2 * self.env.num_steps):
            masks = infos["action_mask"]
            self.actions.append((rng.random(masks.shape) * masks).argmax(axis=1))
            _, _, ended, _, infos = self.env.step(self.actions[-1])
            ends += int(ended.sum())
            if ended.any():
                successes += int(infos["final_info"]["is_success"].sum())
        if not ends == successes >= 2 * num_envs:
            raise Void(f"of {ends} episodes {successes} ended in budget")

    def _begin(self) -> Any:
        self.sampler.again()
        return self.env.reset()[1]

    def __call__(self) -> None:
        """A reset, and two of the longest episodes' steps."""
        self._begin()
        for actions in self.actions:
            self.env.step(actions)

    @property
    def work(self) -> int:
        """Layer-steps of a call."""
        return len(self.actions) * int(self.env.num_envs)


class ReplayDrawn:
    """The vector environment of a split, through the same whole episodes every time.

    Raises:
        Void: If an episode does not end within budget.
    """

    def __init__(self, split: str, num_envs: int) -> None:
        self.env = vector(
            f"HWAssignMulti-{split}-v0",
            num_envs,
            "discrete",
            autoreset_mode=AutoresetMode.SAME_STEP.value,
        ).unwrapped
        rng = np.random.default_rng(0)
        self.env.reset(seed=0)
        self.actions = []
        for _ in range(2 * self.env.num_steps):
            masks = self.env.action_masks()
            self.actions.append((rng.random(masks.shape) * masks).argmax(axis=1))
            _, _, ended, _, infos = self.env.step(self.actions[-1])
            if ended.any() and not infos["final_info"]["is_success"][ended].all():
                raise Void("an episode did not end in budget")

    def __call__(self) -> float:
        """Layer-steps per second of two of the longest episodes' steps."""
        self.env.reset(seed=0)
        start = perf_counter()
        for actions in self.actions:
            self.env.step(actions)
        return len(self.actions) * int(self.env.num_envs) / (perf_counter() - start)


def bank(model: str, count: int = 8) -> list[TableProblem]:
    """Problems of that network and of others."""
    names = [model, *(name for name in MODELS if name != model)]
    return [AssignmentProblem.of(name) for name in names[:count]]


def pre_drawn(env: Env, length: int = 64) -> tuple[Callable[[], None], float]:
    """So many steps with actions drawn beforehand, and the environment steps that they make.

    CartPole begins an episode in a step of its own, which by gymnasium's count is none; how many
    of them there are is found out beforehand.
    """
    env.reset(seed=0)
    env.action_space.seed(0)
    drawn = [env.action_space.sample() for _ in range(length)]

    def call() -> None:
        for actions in drawn:
            env.step(actions)

    ended = 0
    for _ in range(5):
        for actions in drawn:
            _, _, terminated, truncated, _ = env.step(actions)
            ended += int(np.count_nonzero(terminated | truncated))
    if env.metadata["autoreset_mode"] is not AutoresetMode.NEXT_STEP:
        ended = 0
    return call, length * env.num_envs - ended / 5


def scalar_episodes(env: Env, actions: Sequence[Any]) -> Callable[[], None]:
    """Step through actions drawn beforehand, reset where an episode ends."""

    def call() -> None:
        env.reset()
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

    return call


def drawing(env: Env, seconds: float) -> Callable[[], float]:
    """A call that measures the seconds of drawing from the action space."""
    return lambda: seconds_each(env.action_space.sample, seconds)


def shares(
    figures: Mapping[str, Sequence[float]], ours: str, theirs: str, count: int
) -> dict[str, float]:
    """The share of a step's time that drawing its actions takes, ours and the peer's."""

    def share(name: str) -> float:
        rounds = zip(figures[f"drawing {name}"], figures[name], strict=True)
        return median(seconds * rate / count for seconds, rate in rounds)

    return {"sampling": share(ours), "peer_sampling": share(theirs)}


def measure(settings: Settings) -> Iterator[Row]:
    """Rows: random and replayed x the action modes x batches; scalar environments as batch "-"."""
    AssignmentProblem.of(settings.model).optimum()  # what an environment solves once
    yield from _scalar(settings)
    for count in settings.num_envs:
        yield from _vector(settings, count)
    yield _bank(settings, 1024 if 1024 in settings.num_envs else max(settings.num_envs))
    yield from _drawn(settings, 4096 if 4096 in settings.num_envs else max(settings.num_envs))


def _scalar(settings: Settings) -> Iterator[Row]:
    name, seconds = env_id(settings.model), settings.seconds
    case = {"environments": "scalar"}
    theirs = gym.make(CARTPOLE)
    ours = {mode: gym.make(name, action_mode=mode) for mode in ACTION_MODES}
    problem: TableProblem = ours["discrete"].unwrapped.problem  # type: ignore[attr-defined]

    def random(env: Env) -> Callable[[], float]:
        env.action_space.seed(0)
        return lambda: benchmark_step(env, seconds, seed=0)  # type: ignore[arg-type]

    calls: dict[str, Callable[[], float]] = {}
    for who, env in {CARTPOLE: theirs, **ours}.items():
        calls |= {who: random(env), f"drawing {who}": drawing(env, seconds / 8)}
    figures = alternate(calls, settings.rounds)
    for mode, env in ours.items():
        yield Row.of(
            PART, RANDOM, {"mode": mode, **case}, "steps/s", figures[mode],
            CARTPOLE, figures[CARTPOLE],
            extra=shares(figures, mode, CARTPOLE, 1),
            where=busiest(lambda env=env: benchmark_step(env, 0.1, seed=0)),  # type: ignore[misc,arg-type]
        )  # fmt: skip

    numbers = feasible_episodes(problem, 1)[:, 0]
    drawn = [theirs.action_space.sample() for _ in range(200)]
    calls = {CARTPOLE: rating(scalar_episodes(theirs, drawn), len(drawn), seconds)}
    episodes = {}
    for mode, env in ours.items():
        episode = scalar_episodes(env, list(in_mode(problem, numbers, mode)))
        episodes[mode] = episode
        calls[mode] = rating(episode, len(numbers), seconds)
    figures = alternate(calls, settings.rounds)
    for mode in ours:
        yield Row.of(
            PART, REPLAYED, {"mode": mode, **case}, "steps/s", figures[mode],
            CARTPOLE, figures[CARTPOLE], where=busiest(episodes[mode], 20),
        )  # fmt: skip


def _vector(settings: Settings, count: int) -> Iterator[Row]:
    name, seconds = env_id(settings.model), settings.seconds
    theirs = vector(CARTPOLE, count)
    ours = {mode: vector(name, count, mode) for mode in ACTION_MODES}
    problem = ours["discrete"].problem
    with_sync = count <= settings.sync_up_to
    sync = synchronous(name, count, "multi_discrete") if with_sync else None

    def random(env: Env) -> Callable[[], float]:
        return lambda: benchmark_vector_step(env, seconds, seed=0)  # type: ignore[arg-type]

    calls: dict[str, Callable[[], float]] = {}
    for who, env in {CARTPOLE: theirs, **ours}.items():
        calls |= {who: random(env), f"drawing {who}": drawing(env, seconds / 8)}
    if sync is not None:
        calls["SyncVectorEnv"] = random(sync)
    figures = alternate(calls, settings.rounds)
    for mode, env in ours.items():
        case: dict[str, int | str] = {"mode": mode, "environments": count}
        # The profile counts the sampling too, as the figure does.
        where = busiest(random(env))
        yield Row.of(
            PART, RANDOM, case, "steps/s", figures[mode], CARTPOLE, figures[CARTPOLE],
            extra=shares(figures, mode, CARTPOLE, count),
            where=where,
        )  # fmt: skip
        if sync is not None and mode == "multi_discrete":
            yield Row.of(
                PART, RANDOM, case, "steps/s", figures[mode],
                "SyncVectorEnv", figures["SyncVectorEnv"],
            )  # fmt: skip

    calls = {CARTPOLE: rating(*pre_drawn(theirs), seconds)}
    replays = {mode: Replay(env, problem, mode) for mode, env in ours.items()}
    for mode in ours:
        replays[f"{mode}, read"] = Replay(vector(name, count, mode), problem, mode, read=True)
    same = vector(name, count, "discrete", autoreset_mode=AutoresetMode.SAME_STEP.value)
    replays["discrete, same step"] = Replay(same, problem, "discrete")
    if sync is not None:
        replays["SyncVectorEnv"] = Replay(sync, problem, "multi_discrete")
    for mode, replay in replays.items():
        calls[mode] = rating(replay, replay.work, seconds)
    figures = alternate(calls, settings.rounds)
    for mode in replays:
        if mode == "SyncVectorEnv":
            continue
        case = {"mode": mode, "environments": count}
        yield Row.of(
            PART, REPLAYED, case, "steps/s", figures[mode], CARTPOLE, figures[CARTPOLE],
            where=busiest(replays[mode]),
        )  # fmt: skip
        if sync is not None and mode.startswith("multi_discrete"):
            yield Row.of(
                PART, REPLAYED, case, "steps/s", figures[mode],
                "SyncVectorEnv", figures["SyncVectorEnv"],
            )  # fmt: skip


def _bank(settings: Settings, count: int) -> Row:
    problems = bank(settings.model)
    several = ReplayBank(problems, count)
    alone = vector(
        env_id(settings.model), count, "discrete", autoreset_mode=AutoresetMode.SAME_STEP.value
    )
    one = Replay(alone, problems[0], "discrete")
    calls = {
        "several": rating(several, several.work, settings.seconds),
        "one": rating(one, one.work, settings.seconds),
    }
    figures = alternate(calls, settings.rounds)
    return Row.of(
        PART, f"{BANK} {len(problems)}", {"mode": "discrete", "environments": count}, "steps/s",
        figures["several"], "a bank of one", figures["one"], where=busiest(several),
    )  # fmt: skip


def _drawn(settings: Settings, count: int) -> Iterator[Row]:
    name = env_id(settings.model)
    alone = vector(name, count, "discrete", autoreset_mode=AutoresetMode.SAME_STEP.value)
    one = Replay(alone, alone.problem, "discrete")
    replays = {split: ReplayDrawn(split, count) for split in SPLITS}
    calls: dict[str, Callable[[], float]] = {
        CARTPOLE: rating(*pre_drawn(vector(CARTPOLE, count)), settings.seconds),
        "HWAssign": rating(one, one.work, settings.seconds),
        **replays,
    }
    figures = alternate(calls, settings.rounds)
    for split, replay in replays.items():
        for peer in (CARTPOLE, "HWAssign"):
            yield Row.of(
                PART, f"{DRAWN} {split}", {"mode": "discrete", "environments": count}, "steps/s",
                figures[split], peer, figures[peer], where=busiest(replay),
            )  # fmt: skip
