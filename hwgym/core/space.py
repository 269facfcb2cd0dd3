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

    Steps may differ in what their axes stand for and in how many choices they have; see
    :meth:`of_steps`. Then an index beyond those of its step may be chosen like any other, and is
    not valid.

    Attributes:
        num_steps: Steps of a solution.
        axes: Of every step; where steps differ, as wide as the widest.
        own: The axes of each step, where steps differ; else nothing.
    """

    num_steps: int
    axes: tuple[Axis, ...]
    own: tuple[tuple[Axis, ...], ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.num_steps < 1 or not self.axes:
            raise ValueError("a space needs at least one step and one axis")
        if self.own and len(self.own) != self.num_steps:
            raise ValueError(f"axes are of {len(self.own)} steps; the space has {self.num_steps}")
        for step, axes in enumerate(self.own):
            if len(axes) != len(self.axes):
                raise ValueError(
                    f"every step has as many axes: step {step + 1} has {len(axes)}, the space "
                    f"{len(self.axes)}"
                )
            for own, axis in zip(axes, self.axes, strict=True):
                if own.size > axis.size:
                    raise ValueError(
                        f"step {step + 1} has {own.size} choices of {own.name!r}, more than the "
                        f"{axis.size} of {axis.name!r}"
                    )

    @classmethod
    def of_steps(
        cls,
        steps: Sequence[Sequence[Axis]],
        names: Sequence[str] = ("choice",),
        width: int | None = None,
    ) -> Space:
        """A space whose steps differ.

        Args:
            steps: The axes of each step; every step has as many.
            names: What to call the axes of all steps.
            width: Choices of every axis; by default those of the step that has most.

        Raises:
            ValueError: If there are no steps, they have different numbers of axes, or the width is
                less than a step needs.
        """
        sizes = [[axis.size for axis in axes] for axes in steps]
        widest = [max(column) for column in zip(*sizes, strict=False)]
        if width is not None and widest and width < max(widest):
            raise ValueError(f"width must be at least {max(widest)}, got {width}")
        axes = tuple(
            Axis(name, tuple(range(width or size)), "categorical")
            for name, size in zip(names, widest, strict=True)
        )
        return cls(len(steps), axes, tuple(tuple(axes) for axes in steps))

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
    def sizes(self) -> Ints:
        """(steps, axes): how many choices each step has on each axis."""
        sizes = [[axis.size for axis in self.axes_of(step)] for step in range(self.num_steps)]
        return np.array(sizes)

    @cached_property
    def ordered(self) -> Bools:
        """(axes,): neighbouring choices are alike, at every step."""
        return np.asarray(self.ordered_at.all(axis=0))

    @cached_property
    def ordered_at(self) -> Bools:
        """(steps, axes): neighbouring choices are alike."""
        kinds = [[axis.kind for axis in self.axes_of(step)] for step in range(self.num_steps)]
        return np.asarray(np.array(kinds) != "categorical")

    def axes_of(self, step: int) -> tuple[Axis, ...]:
        """The axes of a step."""
        return self.own[step] if self.own else self.axes

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
        """Random genes (count, steps, axes), each choice of a step as likely as any other."""
        if self.own:
            return rng.integers(self.sizes, size=(count, *self.sizes.shape))
        if self.joint is not None:
            return self.decode(rng.integers(self.joint, size=(count, self.num_steps)))
        return rng.integers(self.shape, size=(count, self.num_steps, len(self.shape)))

    def uniform(self) -> Ints:
        """The solutions that take the same choice at every step: (actions, steps, axes).

        Where steps differ, the choice at the same share of each step's range.

        Raises:
            ValueError: If the joint choices cannot be enumerated.
        """
        numbers = np.arange(self.num_actions)
        same = self.decode(np.repeat(numbers[:, None], self.num_steps, axis=1))
        return same * self.sizes // np.array(self.shape) if self.own else same

    def within(self, genes: Ints) -> Bools:
        """(...,): each choice of genes (..., steps, axes) is made, and one that its step has."""
        return np.asarray(((genes >= 0) & (genes < self.sizes)).all(axis=(-2, -1)))

    # Walkers hold a choice as its number where there is one: (N,), else as a row of genes.

    def pack(self, genes: Array, *, check: bool = True) -> Array:
        """Choices as walkers hold them, of genes (..., axes)."""
        if self.joint is None:
            return np.array(genes, np.int64)  # a copy: whose they are may go on using them
        return self.encode(genes) if check else self._numbers(genes)

    def unpack(self, choices: Array) -> Array:
        """Genes (..., axes) of choices as walkers hold them; -1 where they are."""
        return self._genes[choices] if self.joint is not None else choices

    def describe(self, genes: Sequence[int] | Array, step: int = 0) -> tuple[Any, ...]:
        """What the choices of one step stand for: a label an axis; None where there is none."""
        return tuple(
            axis.labels[int(g)] if 0 <= g < axis.size else None
            for axis, g in zip(self.axes_of(step), genes, strict=True)
        )
