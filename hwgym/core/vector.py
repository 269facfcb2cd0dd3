"""VectorEnvironment: many environments of any family, stepped together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from hwgym._arrays import Array, Bools, Floats, Ints, Observations
from hwgym._names import nearest
from hwgym.core.actions import choices_of
from hwgym.core.env import AsksProblem, Environment, instance_of
from hwgym.core.episode import EpisodeKernel, Moment, summarise, summary_names
from hwgym.core.infos import LazyDict
from hwgym.core.problem import Problem, most_steps
from hwgym.core.sampler import Sampler
from hwgym.core.veil import check_lifted

__all__ = ["VectorEnvironment"]

DRAWN = 64
"""So many draws an environment are made at a time."""


class VectorEnvironment(AsksProblem, gym.vector.VectorEnv[Observations, Any, Array]):
    """N environments of a family as one vector environment. A family's own is a subclass.

    What it returns equals, bit for bit, what ``gymnasium.vector.SyncVectorEnv`` over N scalar
    environments returns; only the work is done for all of them at once. ``gym.make_vec(id, N)``
    makes it; every keyword argument of the scalar environment is one of this one too. Given several
    problems, each environment draws one at every reset; they may be of different lengths.

    Args:
        num_envs: N.
        autoreset_mode: What follows the end of an episode, a ``gymnasium.vector.AutoresetMode`` or
            its value. ``NEXT_STEP`` (default, as everywhere in Gymnasium): the next step begins
            another, whatever the action. ``SAME_STEP``: it begins within the same step, and the
            last observation and info of the old one are in ``infos["final_obs"]`` and
            ``infos["final_info"]``. ``DISABLED``: ``reset(options={"reset_mask": mask})`` does.

    The other arguments are those of the scalar environment.

    Infos are computed when they are read: masks and summaries of thousands of environments take
    longer than their steps. It makes no difference when that is.

    Attributes:
        action_mode: How an action is given.

    Raises:
        ValueError: As the scalar environment; or if num_envs or autoreset_mode makes no sense.
    """

    scalar: ClassVar[type[Environment]]

    def __init__(
        self,
        *,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        **arguments: Any,
    ) -> None:
        if isinstance(num_envs, bool) or not isinstance(num_envs, int) or num_envs < 1:
            raise ValueError(f"num_envs must be a positive integer, got {num_envs!r}")
        modes = {mode.value: mode for mode in AutoresetMode}
        if not isinstance(autoreset_mode, AutoresetMode):
            if autoreset_mode not in modes:
                raise ValueError(nearest("autoreset mode", autoreset_mode, modes))
            autoreset_mode = modes[autoreset_mode]
        one = self.scalar(**arguments)
        self._sampler, self._dynamics, self._reward = one._sampler, one._dynamics, one._reward
        self._space = one._space
        self.action_mode, self.render_mode = one.action_mode, one.render_mode
        self.num_envs, self.autoreset_mode = num_envs, autoreset_mode
        self.metadata = {**one.metadata, "autoreset_mode": autoreset_mode}
        self.single_observation_space = one.observation_space
        self.single_action_space = one.action_space
        self.observation_space = batch_space(one.observation_space, num_envs)
        self.action_space = batch_space(one.action_space, num_envs)
        if self._reward.size is not None:
            self.reward_space = one.reward_space
        self._kernel = EpisodeKernel(self._dynamics, self._reward, np.zeros(num_envs, np.int64))
        self._all: Bools = np.ones(num_envs, bool)
        self._unbegun: Bools | None = self._all.copy()
        self._rngs: list[np.random.Generator] = []
        self._draws = getattr(self._sampler, "draws", None)
        # Drawn ahead, and how many of them have been used, where the sampler can.
        self._drawn: Ints = np.zeros((num_envs, DRAWN if self._draws else 0), np.int64)
        self._used: Ints = np.full(num_envs, DRAWN)
        self._tells_regret = one.tells_regret
        names = summary_names(self._dynamics, certificate=self._tells_regret)
        later = [name for name in names if name != "is_success"]
        self._told = tuple(f"{mark}{name}" for name in later for mark in ("", "_"))
        self._viewers: list[Any] = []

    @property
    def problem(self) -> Problem:
        """What all of them are about; the first, where there are several.

        Raises:
            Withheld: While an agent searches.
        """
        check_lifted("the problem")
        return self._sampler.problems[0]

    @property
    def sampler(self) -> Sampler:
        """The bank of problems.

        Raises:
            Withheld: While an agent searches.
        """
        check_lifted("the problem")
        return self._sampler

    @property
    def which(self) -> Ints:
        """(N,) index of each environment's problem in ``sampler.problems``."""
        return self._kernel.which

    @property
    def genes(self) -> Ints:
        """(N, most steps, axes) what was chosen in the current episodes; -1 where nothing is."""
        return self._kernel.genes

    @property
    def num_steps(self) -> int:
        """Steps of an episode that does not fail; of the longest, where there are several."""
        return most_steps(self._sampler.problems)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin new episodes; see gymnasium.vector.VectorEnv.reset.

        Args:
            seed: One, or one an environment: of the problems that are drawn, where there are
                several.
            options: ``{"reset_mask": mask}``, (N,) bool, begins only those of the mask;
                ``{"instance": i}`` takes problem i of the bank.

        Raises:
            TypeError: If the mask is not an array of booleans.
            ValueError: If seeds or mask are not N, the mask is all False, or there is no such
                instance.
        """
        check_lifted("an environment of your own")
        return self._reset(seed, options)

    def _reset(
        self, seed: int | Sequence[int | None] | None, options: dict[str, Any] | None
    ) -> tuple[Observations, dict[str, Any]]:
        if seed is None or isinstance(seed, int | np.integer):
            super().reset(seed=None if seed is None else int(seed))
        elif len(seed) != self.num_envs:
            raise ValueError(f"give one seed or {self.num_envs}, got {len(seed)}")
        mask = self._reset_mask(options)
        instance = instance_of(options, len(self._sampler.problems))
        if self._sampler.random:
            self._seed(seed, mask)
        self._begin(mask, instance)
        if self._unbegun is not None:
            self._unbegun[slice(None) if mask is None else mask] = False
            self._unbegun = self._unbegun if self._unbegun.any() else None
        self._render_windows()
        infos = LazyDict()
        self._tell(infos, self._kernel.moment, None, mask)
        return self._kernel.observe(), infos

    def _seed(self, seed: int | Sequence[int | None] | None, mask: Bools | None) -> None:
        """A generator an environment, seeded as SyncVectorEnv seeds its environments."""
        if isinstance(seed, int | np.integer):
            seeds: Sequence[int | None] = [int(seed) + i for i in range(self.num_envs)]
        else:
            seeds = [None] * self.num_envs if seed is None else seed
        if not self._rngs:
            self._rngs = [gym.utils.seeding.np_random(s)[0] for s in seeds]
            return
        for i, each in enumerate(seeds):
            if each is not None and (mask is None or mask[i]):
                self._rngs[i] = gym.utils.seeding.np_random(each)[0]
                self._used[i] = DRAWN

    def _begin(self, where: Bools | None, instance: int | None = None) -> None:
        """Begin episodes of all, or of a mask, each with the problem that its sampler draws."""
        which = None
        if instance is not None:
            which = np.full(self.num_envs, instance)
        elif self._sampler.random:
            which = self._kernel.which.copy()
            begun = np.flatnonzero(self._all if where is None else where)
            which[begun] = self._draw(begun)
        self._kernel.reset(where, which)

    def _draw(self, begun: Ints) -> Ints | list[int]:
        """The next problem of each of some environments."""
        rngs = self._rngs
        if self._draws is None:
            return [self._sampler.draw(rngs[i]) for i in begun.tolist()]
        used = self._used[begun]
        for i in begun[used == DRAWN].tolist():
            self._drawn[i] = self._draws(rngs[i], DRAWN)
        used %= DRAWN
        self._used[begun] = used + 1
        drawn: Ints = self._drawn[begun, used]
        return drawn

    def step(self, actions: Any) -> tuple[Observations, Floats, Bools, Bools, dict[str, Any]]:
        """Take the next step of every environment.

        Raises:
            ValueError: If there are not N actions, or one is not of the action space. Continuous
                actions beyond [-1, 1] are clipped; NaN is an error.
            gymnasium.error.ResetNeeded: If an episode was never begun; or, with autoreset
                disabled, is over.
            Withheld: While an agent searches.
        """
        check_lifted("an environment of your own")
        return self._step(actions)

    def _step(self, actions: Any) -> tuple[Observations, Floats, Bools, Bools, dict[str, Any]]:
        kernel = self._kernel
        if self._unbegun is not None:
            raise gym.error.ResetNeeded("call reset() before step()")
        begin = kernel.over if kernel.over.any() else None
        if begin is not None and self.autoreset_mode is AutoresetMode.DISABLED:
            raise gym.error.ResetNeeded(
                f"the episodes of {np.flatnonzero(begin).tolist()} are over: call "
                "reset(options={'reset_mask': mask}) before step()"
            )
        result = kernel.step(self._choices(actions, begin))
        if begin is not None:
            self._begin(begin)
        ended = result.failed | result.finished
        infos, at = LazyDict(), kernel.moment
        finished: Bools | None = result.finished
        if ended.any():
            self._ended(ended, result.finished)
            if self.autoreset_mode is AutoresetMode.SAME_STEP:
                self._tell_final(infos, at, result.finished, ended)
                self._begin(ended)
                at, finished = kernel.moment, None
        self._tell(infos, at, finished)
        self._render_windows()
        return kernel.observe(), result.reward, ended, np.zeros(self.num_envs, bool), infos

    def _ended(self, ended: Bools, finished: Bools) -> None:
        """Episodes have ended; for those who keep an account."""

    def action_masks(self) -> Bools:
        """The recommended actions, flat, (N, A): a row an environment.

        Raises:
            ValueError: In action mode ``continuous``, which has no masks.
        """
        if self.action_mode == "continuous":
            raise ValueError("action masks exist for 'discrete' and 'multi_discrete' actions only")
        return self._kernel.masks(self.action_mode)

    def render(self) -> tuple[Any, ...] | None:
        """The state of each episode: text (ansi), an image (rgb_array), or a window (human)."""
        if self.render_mode is None:
            gym.logger.warn("render() needs a render_mode: ansi, rgb_array or human")
            return None
        view = self.scalar.family.view
        problems = [self.sampler.problems[i] for i in self._kernel.which]
        episodes = [g[: p.num_steps] for p, g in zip(problems, self._kernel.genes, strict=True)]
        if self.render_mode == "ansi":
            return tuple(view.text(p, g) for p, g in zip(problems, episodes, strict=True))
        if not self._viewers:
            from hwgym.core.viewer import Viewer  # needs matplotlib

            window = self.render_mode == "human"
            self._viewers = [Viewer(view, window=window) for _ in episodes]
        shown = zip(self._viewers, problems, episodes, strict=True)
        return tuple(viewer.draw(problem, genes) for viewer, problem, genes in shown)

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

    def _choices(self, actions: Any, begin: Bools | None) -> Array:
        """(N,) or (N, axes); where an episode only begins, the action may be anything and is not
        looked at."""
        given = np.asarray(actions)
        if given.shape[:1] != (self.num_envs,):
            raise ValueError(f"step takes {self.num_envs} actions, got shape {given.shape}")
        space = self._space
        try:
            return choices_of(space, self.action_mode, given)
        except ValueError:
            if begin is None:
                raise
        choices = space.pack(np.zeros((self.num_envs, len(space.axes)), np.int64))
        if not begin.all():
            choices[~begin] = choices_of(space, self.action_mode, given[~begin])
        return choices

    # What an info says is computed when it is read, of the moment it is about.

    def _tell(
        self, infos: LazyDict, at: Moment, finished: Bools | None, where: Bools | None = None
    ) -> None:
        """Put in what the scalar environments say, as SyncVectorEnv gathers it.

        Args:
            infos: What it is put into.
            at: When.
            finished: (N,) which episodes have finished well; None if none has.
            where: (N,) of which environments; by default all.
        """
        has = self._all if where is None else where.copy()

        def masks() -> dict[str, Any]:
            found = self._dynamics.masks(at.state, self.action_mode)
            assert found is not None
            told: Array = found.view(np.int8)
            if self.action_mode == "discrete":
                told[~has] = 0
            else:
                ends = np.cumsum(self._space.shape)[:-1]
                axes = np.split(told[has], ends, axis=1)
                told = _objects(zip(*axes, strict=True), has)
            return {"action_mask": told, "_action_mask": has.copy()}

        def summaries() -> dict[str, Any]:
            rows = np.flatnonzero(has)
            values = summarise(
                self._dynamics,
                at.which[rows],
                self._kernel.genes_at(at, rows),
                np.zeros(len(rows), bool) if finished is None else finished[rows],
                certificate=self._tells_regret,
            )
            told: dict[str, Any] = {}
            for name, value in values.items():
                told[name] = np.zeros((self.num_envs, *value.shape[1:]), value.dtype)
                told[name][rows] = value
                told[f"_{name}"] = has.copy()
            return told

        # Some libraries ask every info for it at every step; the rest would be computed with it.
        infos["is_success"] = np.zeros_like(has) if finished is None else finished & has
        infos["_is_success"] = has.copy()
        if self.action_mode != "continuous":
            infos.later(("action_mask", "_action_mask"), masks)
        infos.later(self._told, summaries)

    def _tell_final(self, infos: LazyDict, at: Moment, finished: Bools, ended: Bools) -> None:
        """Put in the last observation and info of the episodes that a SAME_STEP reset follows."""
        final, ended = LazyDict(), ended.copy()
        self._tell(final, at, finished, ended)

        def compute() -> dict[str, Any]:
            observations = self._kernel.observe(at, ended)
            return {"final_obs": _objects(observations, ended), "_final_obs": ended.copy()}

        infos["final_info"], infos["_final_info"] = final, ended.copy()
        infos.later(("final_obs", "_final_obs"), compute)


def _objects(items: Iterable[Any], where: Bools) -> Array:
    """(N,) of objects: the items, in order, where the mask says; None elsewhere."""
    out = np.full(len(where), None, dtype=object)
    out[where] = np.fromiter(items, object, int(where.sum()))
    return out
