"""HWAssignVectorEnv: many environments of one problem, stepped together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from hwgym._names import nearest
from hwgym.costs.maestro import Dataflow
from hwgym.envs.assignment import HWAssignEnv, action_numbers
from hwgym.envs.infos import LazyDict
from hwgym.envs.kernel import SUMMARY, EpisodeKernel, chosen
from hwgym.envs.rewards import make_reward
from hwgym.families.assignment.optimum import Certificate
from hwgym.families.assignment.problem import AssignmentProblem, Scores
from hwgym.workloads import Workload

__all__ = ["HWAssignVectorEnv"]

_SUMMARY_KEYS = tuple(f"{mark}{name}" for name in SUMMARY for mark in ("", "_"))

Observations = NDArray[np.float32]
Actions = Any
Bools = NDArray[np.bool_]


class HWAssignVectorEnv(gym.vector.VectorEnv[Observations, Actions, NDArray[Any]]):
    """N environments :class:`HWAssignEnv` of one problem as one vector environment.

    What it returns equals, bit for bit, what ``gymnasium.vector.SyncVectorEnv`` over N scalar
    environments returns; only the work is done for all of them at once. ``gym.make_vec(id, N)``
    makes it; every keyword argument of the scalar environment is one of this one too.

    Args:
        num_envs: N.
        autoreset_mode: What follows the end of an episode, a ``gymnasium.vector.AutoresetMode`` or
            its value. ``SAME_STEP`` (default): the next one begins within the same step, and the
            last observation and info of the old one are in ``infos["final_obs"]`` and
            ``infos["final_info"]``. ``NEXT_STEP``: the next step begins it, whatever the action.
            ``DISABLED``: ``reset(options={"reset_mask": mask})`` does.

    The other arguments are those of :class:`HWAssignEnv`.

    Infos are computed when they are read: masks and summaries of thousands of environments take
    longer than their steps. It makes no difference when that is.

    Attributes:
        problem: What all of them are about.
        action_mode: How an action is given.

    Raises:
        ValueError: As the scalar environment; or if num_envs or autoreset_mode makes no sense.
    """

    def __init__(
        self,
        workload: Workload | str = "MobileNetV2",
        dataflow: str | Dataflow | Sequence[str | Dataflow] = "NVDLA",
        *,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        problem: AssignmentProblem | None = None,
        action_mode: str = "multi_discrete",
        reward: str | None = None,
        render_mode: str | None = None,
        **description: Any,
    ) -> None:
        if isinstance(num_envs, bool) or not isinstance(num_envs, int) or num_envs < 1:
            raise ValueError(f"num_envs must be a positive integer, got {num_envs!r}")
        modes = {mode.value: mode for mode in AutoresetMode}
        if not isinstance(autoreset_mode, AutoresetMode):
            if autoreset_mode not in modes:
                raise ValueError(nearest("autoreset mode", autoreset_mode, modes))
            autoreset_mode = modes[autoreset_mode]
        one = HWAssignEnv(
            workload,
            dataflow,
            problem=problem,
            action_mode=action_mode,
            reward=reward,
            render_mode=render_mode,
            **description,
        )
        self.problem, self.action_mode, self.render_mode = one.problem, action_mode, render_mode
        self.num_envs, self.autoreset_mode = num_envs, autoreset_mode
        self.metadata = {**one.metadata, "autoreset_mode": autoreset_mode}
        self.single_observation_space = one.observation_space
        self.single_action_space = one.action_space
        self.observation_space = batch_space(one.observation_space, num_envs)
        self.action_space = batch_space(one.action_space, num_envs)
        self._kernel = EpisodeKernel(self.problem, make_reward(reward, self.problem), num_envs)
        self._unbegun: Bools | None = np.ones(num_envs, bool)
        self._viewers: list[Any] = []

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin new episodes; see gymnasium.vector.VectorEnv.reset.

        Args:
            seed: One, or one an environment. There is no randomness: it changes nothing.
            options: ``{"reset_mask": mask}``, (N,) bool, begins only those of the mask.

        Raises:
            TypeError: If the mask is not an array of booleans.
            ValueError: If seeds or mask are not N, or the mask is all False.
        """
        if seed is None or isinstance(seed, int | np.integer):
            super().reset(seed=None if seed is None else int(seed))
        elif len(seed) != self.num_envs:
            raise ValueError(f"give one seed or {self.num_envs}, got {len(seed)}")
        mask = self._reset_mask(options)
        self._kernel.reset(mask)
        if self._unbegun is not None:
            self._unbegun[slice(None) if mask is None else mask] = False
            self._unbegun = self._unbegun if self._unbegun.any() else None
        self._render_windows()
        infos = LazyDict()
        self._tell_masks(infos, mask)
        return self._kernel.observe(), infos

    def step(
        self, actions: Actions
    ) -> tuple[Observations, NDArray[np.float64], Bools, Bools, dict[str, Any]]:
        """Assign the next layer of every environment.

        Raises:
            ValueError: If there are not N actions, or one is not of the action space. Continuous
                actions beyond [-1, 1] are clipped; NaN is an error.
            gymnasium.error.ResetNeeded: If an episode was never begun; or, with autoreset
                disabled, is over.
        """
        kernel = self._kernel
        if self._unbegun is not None:
            raise gym.error.ResetNeeded("call reset() before step()")
        begin = kernel.over if kernel.over.any() else None
        if begin is not None and self.autoreset_mode is AutoresetMode.DISABLED:
            raise gym.error.ResetNeeded(
                f"the episodes of {np.flatnonzero(begin).tolist()} are over: call "
                "reset(options={'reset_mask': mask}) before step()"
            )
        result = kernel.step(self._action_numbers(actions, begin))
        if begin is not None:
            kernel.reset(begin)
        ended = result.failed | result.finished
        infos = LazyDict()
        if ended.any():
            if self.autoreset_mode is AutoresetMode.SAME_STEP:
                self._tell_final_step(infos, ended, result.finished)
                kernel.reset(ended)
            else:
                self._tell_final_info(infos, ended, result.finished)
        self._tell_masks(infos)
        self._render_windows()
        return kernel.observe(), result.reward, ended, np.zeros(self.num_envs, bool), infos

    def action_masks(self) -> Bools:
        """The allowed actions, flat, (N, A): a row an environment.

        Raises:
            ValueError: In action mode ``continuous``, which has no masks.
        """
        if self.action_mode == "continuous":
            raise ValueError("action masks exist for 'discrete' and 'multi_discrete' actions only")
        return self._kernel.masks(self.action_mode)

    def optimum(self) -> Certificate:
        """The proven optimum of this problem."""
        return self.problem.optimum()

    def evaluate(self, assignments: ArrayLike) -> Scores:
        """Score whole assignments, level indices (N, layers, 2), without stepping through them."""
        return self.problem.evaluate(assignments)

    def render(self) -> tuple[Any, ...] | None:
        """The state of each episode: text (ansi), an image (rgb_array), or a window (human)."""
        if self.render_mode is None:
            gym.logger.warn("render() needs a render_mode: ansi, rgb_array or human")
            return None
        from hwgym import plotting

        episodes = self._kernel.actions
        if self.render_mode == "ansi":
            return tuple(plotting.assignment_text(self.problem, chosen) for chosen in episodes)
        if not self._viewers:
            window = self.render_mode == "human"
            self._viewers = [
                plotting.AssignmentViewer(self.problem, window=window) for _ in episodes
            ]
        return tuple(
            viewer.draw(chosen) for viewer, chosen in zip(self._viewers, episodes, strict=True)
        )

    def close_extras(self, **kwargs: Any) -> None:
        """Close the windows, if there are any."""
        for viewer in self._viewers:
            viewer.close()
        self._viewers = []

    def _render_windows(self) -> None:
        if self.render_mode == "human":
            self.render()

    def _reset_mask(self, options: dict[str, Any] | None) -> Bools | None:
        if not options or "reset_mask" not in options:
            return None
        mask = options["reset_mask"]
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
            raise TypeError(f"options['reset_mask'] must be an array of booleans, got {mask!r}")
        if mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(
                f"options['reset_mask'] must have shape ({self.num_envs},) and at least one True, "
                f"got {mask!r}"
            )
        return mask

    def _action_numbers(self, actions: Actions, begin: Bools | None) -> NDArray[np.int64]:
        """(N,); where an episode only begins, the action may be anything and is not looked at."""
        given = np.asarray(actions)
        if given.shape[:1] != (self.num_envs,):
            raise ValueError(f"step takes {self.num_envs} actions, got shape {given.shape}")
        try:
            return action_numbers(self.problem, self.action_mode, given)
        except ValueError:
            if begin is None:
                raise
        numbers = np.zeros(self.num_envs, np.int64)
        if not begin.all():
            numbers[~begin] = action_numbers(self.problem, self.action_mode, given[~begin])
        return numbers

    # What an info says is computed when it is read. The kernel replaces its arrays at every step,
    # so those of a moment can be kept for later.

    def _tell_masks(self, infos: LazyDict, where: Bools | None = None) -> None:
        """Put in ``action_mask`` of all, or of those of a mask, as SyncVectorEnv gathers them."""
        if self.action_mode == "continuous":
            return
        step, used, tables = self._kernel.step_index, self._kernel.used, self._kernel.tables
        has = np.ones(self.num_envs, bool) if where is None else where.copy()

        def compute() -> dict[str, Any]:
            masks: NDArray[Any] = tables.masks(self.action_mode, step, used).view(np.int8)
            if self.action_mode == "discrete":
                masks[~has] = 0
            else:
                axes = np.split(masks[has], np.cumsum(self.problem.space.shape)[:-1], axis=1)
                masks = _objects(zip(*axes, strict=True), has)
            return {"action_mask": masks, "_action_mask": has}

        infos.later(("action_mask", "_action_mask"), compute)

    def _tell_final_step(self, infos: LazyDict, ended: Bools, finished: Bools) -> None:
        """Put in the last observation and info of the episodes that a SAME_STEP reset follows."""
        kernel = self._kernel
        step, previous, used = kernel.step_index, kernel.previous, kernel.used
        ended = ended.copy()
        final = LazyDict()
        self._tell_final_info(final, ended, finished)
        self._tell_masks(final, ended)

        def compute() -> dict[str, Any]:
            last = kernel.tables.observe(step[ended], previous[ended], used[ended])
            return {"final_obs": _objects(last, ended), "_final_obs": ended.copy()}

        infos["final_info"], infos["_final_info"] = final, ended
        infos.later(("final_obs", "_final_obs"), compute)

    def _tell_final_info(self, infos: LazyDict, ended: Bools, finished: Bools) -> None:
        """Put in what the scalar environments that ended would say, gathered."""
        tables, step = self._kernel.tables, self._kernel.step_index
        history, ended = tuple(self._kernel.history), ended.copy()

        def compute() -> dict[str, Any]:
            rows = np.flatnonzero(ended)
            actions = chosen([taken[rows] for taken in history], step[rows], self.problem.num_steps)
            info: dict[str, Any] = {}
            for name, value in tables.summary(actions, finished[rows]).items():
                info[name] = np.zeros((self.num_envs, *value.shape[1:]), value.dtype)
                info[name][rows] = value
                info[f"_{name}"] = ended.copy()
            return info

        infos.later(_SUMMARY_KEYS, compute)


def _objects(items: Any, where: Bools) -> NDArray[Any]:
    """(N,) of objects: the items, in order, where the mask says; None elsewhere."""
    out = np.full(len(where), None, dtype=object)
    out[where] = np.fromiter(items, object, int(where.sum()))
    return out
