"""Action modes: how an agent gives its choice at a step, and what that means."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from hwgym._arrays import Array, Floats, Ints
from hwgym._names import nearest
from hwgym.core.space import Space

__all__ = [
    "ACTION_MODES",
    "ChoiceReader",
    "action_modes",
    "action_space",
    "actions_of",
    "check_mode",
    "choices_of",
]

ACTION_MODES = ("discrete", "multi_discrete", "continuous")


def action_modes(space: Space) -> tuple[str, ...]:
    """Those that a space allows: ``discrete`` needs joint choices that can be enumerated."""
    return tuple(m for m in ACTION_MODES if m != "discrete" or space.joint is not None)


def check_mode(space: Space, mode: str | None) -> str:
    """The mode, if the space allows it; of those it does the first, if none is given.

    Raises:
        ValueError: If it is unknown, or the space does not allow it.
    """
    if mode is None:
        return action_modes(space)[0]
    if mode not in ACTION_MODES:
        raise ValueError(nearest("action mode", mode, ACTION_MODES))
    if mode == "discrete":
        _ = space.num_actions  # says why there are none
    return mode


def action_space(space: Space, mode: str) -> spaces.Space[Any]:
    """The action space of a step, in one of :func:`action_modes`."""
    if mode == "discrete":
        return spaces.Discrete(space.num_actions)
    if mode == "multi_discrete":
        return spaces.MultiDiscrete(np.array(space.shape))
    return spaces.Box(-1.0, 1.0, (len(space.shape),), np.float32)


def choices_of(space: Space, mode: str, actions: Any) -> Array:
    """Choices as ``Space.pack`` gives them, (N,) or (N, axes), of a batch of actions or of one.

    Raises:
        ValueError: If one is not in the space. Continuous ones beyond [-1, 1] are clipped, NaN is
            not a number.
    """
    given = np.asarray(actions)
    shape = space.shape
    if mode == "discrete":
        if given.dtype.kind not in "iu" or given.size == 0:
            raise ValueError(f"a discrete action is an integer, got {actions!r}")
        numbers = given.reshape(-1).astype(np.int64)
        if numbers.min() < 0 or numbers.max() >= space.num_actions:
            raise ValueError(
                f"a discrete action lies in 0..{space.num_actions - 1}, got {actions!r}"
            )
        return numbers
    if given.shape[-1:] != (len(shape),):
        raise ValueError(f"an action has {len(shape)} entries, got {actions!r}")
    given = given.reshape(-1, len(shape))
    if mode == "continuous":
        if given.dtype.kind not in "fiu" or np.isnan(given).any():
            raise ValueError(f"a continuous action is made of numbers, got {actions!r}")
        share = (np.clip(given, -1.0, 1.0).astype(np.float64) + 1.0) / 2.0
        given = np.minimum((share * shape).astype(np.int64), np.array(shape) - 1)
        return space.pack(given, check=False)
    if given.dtype.kind not in "iu":
        raise ValueError(f"an action is made of integers, got {actions!r}")
    if given.size and any(
        given[:, axis].min() < 0 or given[:, axis].max() >= count
        for axis, count in enumerate(shape)
    ):
        raise ValueError(f"an action's entries lie in 0..{[n - 1 for n in shape]}, got {actions!r}")
    return space.pack(given, check=False)


class ChoiceReader:
    """Reads single actions of a mode; see :func:`choices_of`.

    What agents give comes first; anything else is looked at with care.
    """

    def __init__(self, space: Space, mode: str) -> None:
        self.space, self.mode = space, mode
        self._shape, self._axes = space.shape, (len(space.shape),)
        self._joint = space.joint or 0
        self._discrete, self._continuous = mode == "discrete", mode == "continuous"

    def __call__(self, action: Any) -> Any:
        """The choice of one action.

        Raises:
            ValueError: If it is not one of the action space.
        """
        if self._discrete:
            is_number = isinstance(action, int | np.integer) and not isinstance(action, bool)
            if is_number and 0 <= action < self._joint:
                return int(action)
        elif self._joint and isinstance(action, np.ndarray) and action.shape == self._axes:
            kind = action.dtype.kind
            if self._continuous:
                number = self._of_shares(action.tolist()) if kind == "f" else None
            else:
                number = self._of_levels(action.tolist()) if kind in "iu" else None
            if number is not None:
                return number
        choices = choices_of(self.space, self.mode, action)
        if len(choices) != 1:
            raise ValueError(f"step takes one action, got {action!r}")
        return int(choices[0]) if self._joint else choices[0]

    def _of_levels(self, levels: list[int]) -> int | None:
        """The action number of a level for each axis; None if one is out of range."""
        number = 0
        for level, count in zip(levels, self._shape, strict=True):
            if not 0 <= level < count:
                return None
            number = number * count + level
        return number

    def _of_shares(self, shares: list[float]) -> int | None:
        """The action number of a share in [-1, 1] for each axis; None if one is not a number."""
        number = 0
        for share, count in zip(shares, self._shape, strict=True):
            if share != share:  # NaN
                return None
            level = int((min(max(share, -1.0), 1.0) + 1.0) / 2.0 * count)
            number = number * count + min(level, count - 1)
        return number


def actions_of(space: Space, mode: str, genes: Ints) -> Array:
    """Actions (...) that make the choices genes (..., axes) stand for.

    In ``continuous`` the middle of each choice's interval.
    """
    if mode == "discrete":
        return space.encode(genes)
    if mode == "multi_discrete":
        return genes
    middle: Floats = 2 * (genes + 0.5) / space.shape - 1
    return middle.astype(np.float32)
