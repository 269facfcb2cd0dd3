"""What a dimension goes through: how many tiles and steps, how large, summed up.

Along one dimension all tiles are alike but the last. So whatever is summed over a nest's steps
needs, of each dimension, a sum over its own loops only: over all of them, or over the outer ones
with the inner ones at their first. A :class:`Sums` holds these, for a weight that depends on the
size of the step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from hwgym._arrays import Array, Bools, Ints

__all__ = ["Dimension", "Sums", "Weight"]

Weight: TypeAlias = Callable[[Ints], Array]
"""Of a step, by its size: an array for sizes (N,)."""


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums of a weight over a dimension's steps, arrays (N,), or numbers.

    Attributes:
        over: ``over[i]`` is summed with the i outermost loops free and those inside at their first;
            ``over[0]`` is the first step's weight.
        still: The same of those steps only where the loops inside make but one step, so that the
            dimension does not move when they begin anew.
    """

    over: tuple[Array, ...]
    still: tuple[Array, ...]

    def advancing(self, level: int) -> Ints:
        """Summed over the steps to which the loop at ``level`` leads: all but its first."""
        difference: Ints = self.over[level + 1] - self.over[level]
        return difference


class Dimension:
    """One dimension of N nests, cut into L2 tiles, steps of the array, PEs and elements.

    Attributes:
        extent, tile, spread: As :class:`~hwgym.costs.loopnest.nests.Nests` has them, (N,).
        span: Of a full step of the array: tile x spread.
        l2_tile: Of a full L2 tile.
        l2_tiles: How many L2 tiles.
        count: How many steps of the array, in all.
        last: Size of the last step; of the only one, too.
        last_tile: Size of the last L2 tile.
    """

    def __init__(self, extent: Ints, tile: Ints, spread: Ints, steps: Ints) -> None:
        self.extent, self.tile, self.spread = extent, tile, spread
        self.span = tile * spread
        self.l2_tile = self.span * steps
        self.l2_tiles = -(-extent // self.l2_tile)
        self.last_tile = extent - (self.l2_tiles - 1) * self.l2_tile
        last_steps = -(-self.last_tile // self.span)
        self.count = (self.l2_tiles - 1) * steps + last_steps
        self.last = self.last_tile - (last_steps - 1) * self.span
        self._full_is_one = steps == 1
        self._last_is_one = last_steps == 1
        self._one_tile = self.l2_tiles == 1
        self._one_step = self.count == 1

    @cached_property
    def moves(self) -> bool:
        """Whether any of the nests takes more than one step along it."""
        return not bool(np.all(self._one_step))

    @cached_property
    def spreads(self) -> bool:
        """Whether any of the nests has PEs side by side along it."""
        return bool((self.spread > 1).any())

    @cached_property
    def lock_step(self) -> Ints:
        """Elements of the first PE in the last step: those that take time."""
        elements: Ints = np.minimum(self.tile, self.last)
        return elements

    @cached_property
    def cycles(self) -> Ints:
        """Elements of the first PE, in all steps."""
        elements: Ints = (self.count - 1) * self.tile + self.lock_step
        return elements

    def pes(self, size: Ints) -> Ints:
        """PEs that have anything in a step of that size."""
        return -(-size // self.tile)

    def over_pes(self, weight: Weight) -> Weight:
        """The weight of a step as the sum of its PEs' own, by their tiles."""

        def summed(size: Ints) -> Array:
            full, rest = np.divmod(size, self.tile)
            return full * weight(self.tile) + np.where(rest > 0, weight(rest), 0)

        return summed

    def of_tiles(self, weight: Weight) -> Sums:
        """Over L2 tiles, by their size."""
        full, last = weight(self.l2_tile), weight(self.last_tile)
        first = np.where(self._one_tile, last, full)
        every = (self.l2_tiles - 1) * full + last
        return Sums((first, every), (np.where(self._one_tile, last, 0), every))

    def of_steps(self, weight: Weight) -> Sums:
        """Over steps of the array, by their size."""
        full, last = weight(self.span), weight(self.last)
        whole = (self.l2_tiles - 1) * full
        first = np.where(self._one_step, last, full)
        begun = whole + np.where(self._last_is_one, last, full)
        every = (self.count - 1) * full + last
        alone = np.where(self._full_is_one, whole, 0) + np.where(self._last_is_one, last, 0)
        return Sums((first, begun, every), (np.where(self._one_step, last, 0), alone, every))

    def of_elements(self, weight: Weight, every_full: Ints, every_last: Ints) -> Sums:
        """Over elements of PEs in lock step.

        Args:
            weight: Of a step's first element, by the step's size.
            every_full, every_last: Summed over all elements of a full step, and of the last.
        """
        first = self.of_steps(weight)
        one: Bools = self.tile == 1
        one_last: Bools = self.lock_step == 1
        full, last = weight(self.span), weight(self.last)
        last_alone = np.where(one_last, last, 0)
        whole = (self.l2_tiles - 1) * full
        still = (
            np.where(self._one_step, last_alone, 0),
            np.where(one & self._full_is_one, whole, 0)
            + np.where(self._last_is_one, last_alone, 0),
            np.where(one, (self.count - 1) * full, 0) + last_alone,
        )
        every = (self.count - 1) * every_full + every_last
        return Sums((*first.over, every), (*still, every))
