"""Environment: the Gymnasium environment of any family."""

from __future__ import annotations

from copy import copy
from inspect import Parameter, signature
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from numpy.typing import ArrayLike

from hwgym._arrays import Bools, Ints, Observations
from hwgym._names import nearest
from hwgym.core.actions import ChoiceReader, action_space, check_mode
from hwgym.core.certificate import Certificate
from hwgym.core.episode import observation_size, single_episode
from hwgym.core.family import ENVIRONMENT_ARGUMENTS, Family
from hwgym.core.metric import Metric, find_metric
from hwgym.core.problem import Problem, Scores
from hwgym.core.rewards import make_reward
from hwgym.core.sampler import Sampler, as_sampler
from hwgym.core.veil import check_lifted, is_veiled

__all__ = ["Environment"]


class AsksProblem:
    """What environments, scalar and vector, say of their problem (the first, in a vector)."""

    _spec: EnvSpec | None = None

    @property
    def spec(self) -> EnvSpec | None:
        """What it was made from, by ``gym.make`` or ``gym.make_vec``.

        An argument that has a ``to_dict`` is kept as what that gives, so that the specification
        makes the environment again also from its JSON.
        """
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        if spec is not None:
            spec = copy(spec)
            spec.kwargs = {name: _plain(value) for name, value in spec.kwargs.items()}
        self._spec = spec

    @property
    def problem(self) -> Problem:
        """What it is about."""
        raise NotImplementedError

    def certificate(self) -> Certificate:
        """The best that is known and proven of the problem."""
        return self.problem.certificate()

    def optimum(self) -> Certificate:
        """The proven optimum of the problem.

        Raises:
            ValueError: If only a bound is known.
        """
        return self.problem.optimum()

    def evaluate(self, assignments: ArrayLike) -> Scores:
        """Score whole solutions, genes (N, steps, axes), without stepping through them."""
        return self.problem.evaluate(assignments)


class Environment(AsksProblem, gym.Env[Observations, Any]):
    """An environment that walks a problem step by step. A family's own is a subclass.

    Args:
        problem: What it is about; several, one of which is drawn at each reset; or a
            :class:`~hwgym.core.sampler.Sampler`. By default the family's, made from
            ``description``.
        action_mode: One of :func:`~hwgym.core.actions.action_modes`; by default the first of them.
        reward: A key of :data:`~hwgym.core.rewards.REWARDS`, or metrics for a vector reward.
        render_mode: ``ansi``, ``rgb_array`` or ``human``.
        description: What the family makes a problem from.

    Raises:
        TypeError: If an argument is unknown.
        ValueError: If one is wrong; the message says what is allowed.
    """

    family: ClassVar[Family]
    tells_regret: bool = True
    """Whether infos and rewards may tell the regret, and so the optimum."""
    metadata = {  # noqa: RUF012 (the base class declares it so)
        "render_modes": ["ansi", "rgb_array", "human"],
        "render_fps": 4,
    }

    def __init__(
        self,
        *,
        problem: Any = None,
        action_mode: str | None = None,
        reward: Any = None,
        render_mode: str | None = None,
        **description: Any,
    ) -> None:
        check_lifted("an environment of your own")
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(nearest("render mode", render_mode, self.metadata["render_modes"]))
        self._sampler = as_sampler(self._made(problem, description))
        problems = self._sampler.problems
        space = self._space = problems[0].space
        self.action_mode, self.render_mode = check_mode(space, action_mode), render_mode
        self._reward = make_reward(_metrics(reward), problems, certificate=self.tells_regret)
        self._dynamics = self.family.dynamics(problems)
        size = observation_size(self._dynamics, self._reward)
        self.observation_space = spaces.Box(-1.0, 1.0, (size,), np.float32)
        self.action_space = action_space(space, self.action_mode)
        self._choice = ChoiceReader(space, self.action_mode)
        if self._reward.size is not None:
            self.reward_space = spaces.Box(-np.inf, np.inf, (self._reward.size,), np.float64)
        self._episode = single_episode(self._dynamics, self._reward)
        self._ends = tuple(np.cumsum(space.shape).tolist())  # of each axis in a flat mask
        self._viewer: Any = None

    def _made(self, problem: Any, description: dict[str, Any]) -> Any:
        if problem is not None:
            if description:
                raise ValueError(
                    f"give a problem, or what describes one, not both: got problem and "
                    f"{', '.join(description)}"
                )
            return problem
        taken = signature(self.family.make).parameters.values()
        names = [p.name for p in taken if p.kind is not Parameter.VAR_KEYWORD]
        if len(names) == len(taken):
            for name in description:
                if name not in names:
                    allowed = (*ENVIRONMENT_ARGUMENTS, *names)
                    raise TypeError(
                        f"{type(self).__name__} got an unexpected keyword argument {name!r}: "
                        + nearest("argument", name, allowed)
                    )
        needed = [p.name for p in taken if p.default is Parameter.empty and p.kind
                  is Parameter.POSITIONAL_OR_KEYWORD]  # fmt: skip
        if missing := [name for name in needed if name not in description]:
            raise TypeError(
                f"{type(self).__name__} needs {', '.join(missing)}: give what describes a problem, "
                "or problem="
            )
        return self.family.make(**description)

    @property
    def problem(self) -> Problem:
        """That of the current episode."""
        return self._sampler.problems[self._episode.which]

    @property
    def sampler(self) -> Sampler:
        """The bank of problems."""
        return self._sampler

    @property
    def genes(self) -> Ints:
        """(steps, axes) what was chosen in the current episode; -1 where nothing is yet."""
        genes = np.full((self.problem.num_steps, len(self._space.axes)), -1)
        if choices := self._episode.choices:
            genes[: len(choices)] = self._space.unpack(np.array(choices))
        return genes

    @property
    def num_steps(self) -> int:
        """Steps of an episode that does not fail, of the current problem."""
        return self.problem.num_steps

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin a new episode; see gymnasium.Env.reset.

        Args:
            seed: Of the problem that is drawn, where there are several.
            options: ``{"instance": i}`` takes problem i of the bank.

        Raises:
            ValueError: If there is no such instance.
            Withheld: While an agent searches, whose environments come from its evaluator.
        """
        check_lifted("an environment of your own")
        super().reset(seed=seed)
        which = instance_of(options, len(self._sampler.problems))
        if which is None:
            which = self._sampler.draw(self.np_random) if self._sampler.random else 0
        self._episode.reset(which)
        if self.render_mode == "human":
            self.render()
        return self._episode.observe(), self._info()

    def step(self, action: Any) -> tuple[Observations, Any, bool, bool, dict[str, Any]]:
        """Take the next step.

        Raises:
            ValueError: If the action is not one of the action space. Continuous actions beyond
                [-1, 1] are clipped; NaN is an error.
            gymnasium.error.ResetNeeded: If the episode is over.
            Withheld: While an agent searches, whose environments come from its evaluator.
        """
        if is_veiled():
            check_lifted("an environment of your own")
        episode = self._episode
        if episode.over:
            raise gym.error.ResetNeeded("the episode is over: call reset() before step()")
        reward, failed, finished = episode.step(self._choice(action))
        info = self._info(success=finished)
        if self.render_mode == "human":
            self.render()
        return episode.observe(), reward, failed or finished, False, info

    def action_masks(self) -> Bools:
        """The recommended actions, flat, as sb3-contrib's MaskablePPO takes them.

        Raises:
            ValueError: In action mode ``continuous``, which has no masks.
        """
        if self.action_mode == "continuous":
            raise ValueError("action masks exist for 'discrete' and 'multi_discrete' actions only")
        return self._episode.mask(self.action_mode)

    def render(self) -> Any:
        """The state of the episode: text (ansi), an image (rgb_array), or a window (human)."""
        if self.render_mode is None:
            gym.logger.warn("render() needs a render_mode: ansi, rgb_array or human")
            return None
        genes = self.genes
        if self.render_mode == "ansi":
            return self.family.view.text(self.problem, genes)
        if self._viewer is None:
            from hwgym.core.viewer import Viewer  # needs matplotlib

            self._viewer = Viewer(self.family.view, window=self.render_mode == "human")
        return self._viewer.draw(self.problem, genes)

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._viewer is not None:
            self._viewer.close()
            self._viewer = None

    def _info(self, *, success: bool = False) -> dict[str, Any]:
        # A plain dict, of plain numbers: some libraries take what is made of infos apart by type.
        episode = self._episode
        info = episode.tell(success, self.tells_regret)
        if self.action_mode != "continuous":
            mask: Any = episode.mask(self.action_mode).view(np.int8)
            if self.action_mode == "multi_discrete":
                ends = self._ends
                mask = tuple(mask[a:b] for a, b in zip((0, *ends), ends, strict=False))
            info["action_mask"] = mask
        return info


def _plain(argument: Any) -> Any:
    if isinstance(argument, list | tuple):
        return [_plain(each) for each in argument]
    return argument.to_dict() if hasattr(argument, "to_dict") else argument


def instance_of(options: dict[str, Any] | None, count: int) -> int | None:
    """The problem of the bank that reset's options ask for, or None.

    Raises:
        ValueError: If there is no such problem.
    """
    if not options or "instance" not in options:
        return None
    instance = options["instance"]
    is_number = isinstance(instance, int | np.integer) and not isinstance(instance, bool)
    if not is_number or not 0 <= instance < count:
        raise ValueError(f"options['instance'] must be one of 0..{count - 1}, got {instance!r}")
    return int(instance)


def _metrics(reward: Any) -> Any:
    """Metrics, where a reward is given as a list of their names."""
    if reward is None or isinstance(reward, str):
        return reward
    if not isinstance(reward, list | tuple):
        raise ValueError(f"reward must be a name, or a list of metrics, got {reward!r}")
    return tuple(m if isinstance(m, Metric) else find_metric(m) for m in reward)
