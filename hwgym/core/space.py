"""Space: what can be chosen at every step, axis by axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Array, Bools, Ints

__all__ = ["ENUMERABLE", "Axis", "Kind", "Space"]

Kind = Literal["ordered", "categorical", "priority"]

ENUMERABLE = 1 << 16
"""A step with at most so many joint choices can be held as tables and numbered."""


@dataclass(frozen=True)
class Axis:
    """One thing to choose at a step.

    Attributes:
        name: What it is.
        labels: What each choice stands for, as text shows it; the axis has as many choices.
        kind: ``ordered``: neighbours are alike; ``categorical``: they are not; ``priority``: only
            which steps have the greater one matters.
    """

    name: str
    labels: tuple[Any, ...] = field(repr=False)
    kind: Kind = "ordered"

    def __post_init__(self) -> None:
        if not self.labels:
            raise ValueError(f"axis {self.name!r} has no choices")

    @property
    def size(self) -> int:
        """How many choices."""
        return len(self.labels)


@dataclass(frozen=True)
class Space:
    """The axes of every step.

    A solution is an array of *genes*, (steps, axes) integers: at each step the index of a choice on
    every axis; -1 from the step on at which an episode broke off. The joint product of a step's
    axes need not be enumerable. Where it is, a step's choice also has an *action number*, counting
    through the axes in order, the last fastest.

    Attributes:
        num_steps: Steps of a solution.
        axes: Of every step.
    """

    num_steps: int
    axes: tuple[Axis, ...]

    def __post_init__(self) -> None:
        if self.num_steps < 1 or not self.axes:
            raise ValueError("a space needs at least one step and one axis")

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """How many choices each axis has."""
        return tuple(axis.size for axis in self.axes)

    @cached_property
    def joint(self) -> int | None:
        """How many joint choices a step has; None if there are too many to enumerate."""
        product = math.prod(self.shape)
        return product if product <= ENUMERABLE else None

    @property
    def num_actions(self) -> int:
        """As :attr:`joint`.

        Raises:
            ValueError: If the joint choices of a step cannot be enumerated.
        """
        if self.joint is None:
            sizes = " x ".join(map(str, self.shape[:4])) + (" x ..." if len(self.shape) > 4 else "")
            raise ValueError(
                f"a step has {sizes} joint choices, more than the {ENUMERABLE:,} that can be "
                "numbered: take fewer levels, or give the choice on each axis"
            )
        return self.joint

    @cached_property
    def ordered(self) -> Bools:
        """(axes,): neighbouring choices are alike."""
        return np.array([axis.kind != "categorical" for axis in self.axes])

    def check(self, genes: ArrayLike) -> Ints:
        """Genes as (N, steps, axes) int64.

        Args:
            genes: Of many solutions, or of one without the first axis.

        Raises:
            ValueError: If the shape is another one, they are no integers, or one is out of range.
        """
        given = self.shaped(genes)
        self._least(given)
        return given.astype(np.int64, copy=False)

    def shaped(self, genes: ArrayLike) -> Array:
        """Genes as (N, steps, axes), whose range is not looked at.

        Raises:
            ValueError: If the shape is another one, or they are no integers.
        """
        given = np.asarray(genes)
        wanted = (self.num_steps, len(self.axes))
        if given.ndim == 2:
            given = given[None]
        if given.ndim != 3 or given.shape[1:] != wanted:
            raise ValueError(
                f"genes must have shape (N, {wanted[0]}, {wanted[1]}) or {wanted}, "
                f"got {np.shape(genes)}"
            )
        if given.dtype.kind not in "iu":
            raise ValueError(f"genes must be integers, got {given.dtype}")
        return given

    def _least(self, genes: Array) -> int:
        """The least of genes (..., axes), at most 0.

        Raises:
            ValueError: If one is out of range.
        """
        least = int(genes.min(initial=0))
        if genes.size and (
            least < -1
            or any(genes[..., axis].max() >= count for axis, count in enumerate(self.shape))
        ):
            raise ValueError(f"genes must lie in 0..{[n - 1 for n in self.shape]}, or be -1")
        return least

    def encode(self, genes: ArrayLike) -> Ints:
        """Action numbers (...) of genes (..., axes); -1 where they are.

        Raises:
            ValueError: If the last axis is another one, an index is out of range, or the joint
                choices cannot be enumerated.
        """
        _ = self.num_actions
        given = np.asarray(genes)
        if given.dtype.kind not in "iu" or given.shape[-1:] != (len(self.shape),):
            raise ValueError(
                f"genes must be integers of shape (..., {len(self.shape)}), "
                f"got {given.dtype} of shape {given.shape}"
            )
        least = self._least(given)
        numbers = self._numbers(given)
        return np.where((given < 0).any(axis=-1), -1, numbers) if least < 0 else numbers

    def _numbers(self, genes: Array) -> Ints:
        numbers: Ints = genes[..., 0].astype(np.int64)
        for axis, count in enumerate(self.shape[1:], start=1):
            numbers *= count
            numbers += genes[..., axis].astype(np.int64, copy=False)
        return numbers

    def decode(self, numbers: ArrayLike) -> Ints:
        """Genes (..., axes) of action numbers (...); -1 where they are.

        Raises:
            ValueError: If a number is out of range, or the joint choices cannot be enumerated.
        """
        given = np.asarray(numbers)
        if given.size and (given.min() < -1 or given.max() >= self.num_actions):
            raise ValueError(f"action numbers must lie in 0..{self.num_actions - 1}, or be -1")
        found: Ints = self._genes[given]
        return found

    @cached_property
    def _genes(self) -> Ints:
        """(actions + 1, axes); the last row, which -1 finds, is -1."""
        grid = np.unravel_index(np.arange(self.num_actions), self.shape)
        genes = np.stack(grid, axis=-1).astype(np.int64)
        genes = np.vstack([genes, np.full((1, len(self.shape)), -1)])
        genes.setflags(write=False)
        return genes

    def draw(self, rng: np.random.Generator, count: int) -> Ints:
        """Random genes (count, steps, axes), each choice as likely as any other."""
        if self.joint is not None:
            return self.decode(rng.integers(self.joint, size=(count, self.num_steps)))
        return rng.integers(self.shape, size=(count, self.num_steps, len(self.shape)))

    def uniform(self) -> Ints:
        """The solutions that take the same choice at every step: (actions, steps, axes).

        Raises:
            ValueError: If the joint choices cannot be enumerated.
        """
        numbers = np.arange(self.num_actions)
        return self.decode(np.repeat(numbers[:, None], self.num_steps, axis=1))

    # Walkers hold a choice as its number where there is one: (N,), else as a row of genes.

    def pack(self, genes: Array, *, check: bool = True) -> Array:
        """Choices as walkers hold them, of genes (..., axes)."""
        if self.joint is None:
            return np.array(genes, np.int64)  # a copy: whose they are may go on using them
        return self.encode(genes) if check else self._numbers(genes)

    def unpack(self, choices: Array) -> Array:
        """Genes (..., axes) of choices as walkers hold them; -1 where they are."""
        return self._genes[choices] if self.joint is not None else choices

    def describe(self, genes: Sequence[int] | Array) -> tuple[Any, ...]:
        """What the choices of one step stand for: a label an axis."""
        return tuple(axis.labels[int(g)] for axis, g in zip(self.axes, genes, strict=True))
