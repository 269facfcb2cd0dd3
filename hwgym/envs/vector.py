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
from hwgym.cost import Dataflow
from hwgym.envs.assignment import HWAssignEnv, action_numbers
from hwgym.envs.kernel import EpisodeKernel
from hwgym.envs.rewards import make_reward
from hwgym.problem import AssignmentProblem, Scores
from hwgym.solver import Certificate
from hwgym.workloads import Workload

__all__ = ["HWAssignVectorEnv"]

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
        self._needs, self._least, self._fallback = _mask_tables(self.problem, action_mode)
        self._needed = np.empty((num_envs, self._needs.shape[1]))
        self._unbegun = np.ones(num_envs, bool)
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
        self._unbegun[slice(None) if mask is None else mask] = False
        self._render_windows()
        return self._kernel.observe(), self._mask_info(mask)

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
        if self._unbegun.any():
            raise gym.error.ResetNeeded("call reset() before step()")
        begin = kernel.over.copy() if kernel.over.any() else None
        if begin is not None and self.autoreset_mode is AutoresetMode.DISABLED:
            raise gym.error.ResetNeeded(
                f"the episodes of {np.flatnonzero(begin).tolist()} are over: call "
                "reset(options={'reset_mask': mask}) before step()"
            )
        result = kernel.step(self._action_numbers(actions, begin))
        if begin is not None:
            kernel.reset(begin)
        ended = result.failed | result.finished
        infos: dict[str, Any] = {}
        if ended.any():
            infos = self._final_info(ended, result.finished)
            if self.autoreset_mode is AutoresetMode.SAME_STEP:
                infos = {
                    "final_info": infos | self._mask_info(ended),
                    "_final_info": ended.copy(),
                    "final_obs": _objects(kernel.observe()[ended], ended),
                    "_final_obs": ended.copy(),
                }
                kernel.reset(ended)
        infos |= self._mask_info()
        self._render_windows()
        return kernel.observe(), result.reward, ended, np.zeros(self.num_envs, bool), infos

    def action_masks(self) -> Bools:
        """The allowed actions, flat, (N, A): a row an environment.

        Raises:
            ValueError: In action mode ``continuous``, which has no masks.
        """
        if self.action_mode == "continuous":
            raise ValueError("action masks exist for 'discrete' and 'multi_discrete' actions only")
        return self._masks()

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
        if begin is None:
            return action_numbers(self.problem, self.action_mode, given)
        numbers = np.zeros(self.num_envs, np.int64)
        if not begin.all():
            numbers[~begin] = action_numbers(self.problem, self.action_mode, given[~begin])
        return numbers

    def _masks(self) -> Bools:
        """What the kernel's masks come to in this action mode, from tables."""
        p, kernel = self.problem, self._kernel
        t = np.minimum(kernel.step_index, p.num_steps - 1)
        room = p.limit - kernel.used - p.least_used_after[t + 1]
        # Into the same memory at every step: fresh pages cost more than the comparison.
        np.take(self._needs, t, axis=0, out=self._needed, mode="clip")
        masks: Bools = self._needed <= room[:, None]
        fits = self._least[t] <= room
        if not fits.all():
            masks[~fits] = self._fallback[t[~fits]]
        return masks

    def _mask_info(self, where: Bools | None = None) -> dict[str, Any]:
        """``action_mask`` of all, or of those of a mask, as SyncVectorEnv would gather them."""
        if self.action_mode == "continuous":
            return {}
        masks: NDArray[Any] = self._masks().view(np.int8)
        has = np.ones(self.num_envs, bool) if where is None else where.copy()
        if self.action_mode == "discrete":
            masks[~has] = 0
        else:
            axes = np.split(masks[has], np.cumsum(self.problem.space.shape)[:-1], axis=1)
            masks = _objects(zip(*axes, strict=True), has)
        return {"action_mask": masks, "_action_mask": has}

    def _final_info(self, ended: Bools, finished: Bools) -> dict[str, Any]:
        """What the scalar environments that ended would say, gathered."""
        p, kernel = self.problem, self._kernel
        chosen = kernel.actions[ended]
        done, steps = chosen >= 0, np.arange(p.num_steps)

        def total(table: NDArray[np.float64]) -> NDArray[np.float64]:
            # One addition a step, in order; what was not reached adds nothing.
            return np.add.accumulate(np.where(done, table[steps, chosen], 0.0), axis=1)[:, -1]

        success, objective = finished[ended], kernel.objective[ended]
        regret = np.full(len(chosen), np.inf)
        if success.any():
            regret[success] = objective[success] / p.optimum().objective - 1
        values = {
            "objective": objective,
            "latency": total(p.latency),
            "energy": total(p.energy),
            "area": total(p.area),
            "power": total(p.power),
            "budget_used": kernel.used[ended] / p.limit,
            "is_success": success,
            "regret": regret,
            "assignment": np.where(done[..., None], kernel.levels[1][chosen], -1),
        }
        info: dict[str, Any] = {}
        for name, value in values.items():
            info[name] = np.zeros((self.num_envs, *value.shape[1:]), value.dtype)
            info[name][ended] = value
            info[f"_{name}"] = ended.copy()
        return info


def _objects(items: Any, where: Bools) -> NDArray[Any]:
    """(N,) of objects: the items, in order, where the mask says; None elsewhere."""
    out = np.full(len(where), None, dtype=object)
    out[where] = np.fromiter(items, object, int(where.sum()))
    return out


def _mask_tables(
    problem: AssignmentProblem, mode: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], Bools]:
    """What each entry of a flat mask needs of the constraint, (steps, A); the least of any,
    (steps,); and the mask of an episode that cannot end feasibly, (steps, A): that least one.

    Under ``multi_discrete`` a level needs what it needs with the best choice of the others.
    """
    shape = problem.space.shape
    needs = np.where(problem.valid, problem.usage, np.inf)
    least = np.arange(problem.num_actions) == needs.argmin(axis=1)[:, None]
    if mode == "multi_discrete":
        grid, chosen = needs.reshape(-1, *shape), least.reshape(-1, *shape)
        axes = range(1, grid.ndim)
        others = [tuple(a for a in axes if a != axis) for axis in axes]
        return (
            np.concatenate([grid.min(axis=other) for other in others], axis=1),
            needs.min(axis=1),
            np.concatenate([chosen.any(axis=other) for other in others], axis=1),
        )
    return needs, needs.min(axis=1), least
