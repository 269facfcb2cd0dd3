"""A level of a mapping whose tiles divide what they tile, in closed form.

Then no tile is ever clipped, all iterations of a level find the same work below, and what one of
them moves depends on little: which loop moves on, and whether the loop that is spread is in its
last, partly filled turn. So a level has at most nine kinds of iterations, whatever its sizes. The
numbers are those of :mod:`hwgym.costs.maestro.traffic` and :mod:`hwgym.costs.maestro.cases`, their
oddities included. Sizes broadcast: all tilings of a layer are one call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Bools, Ints
from hwgym.costs.maestro.levels import Interconnect

__all__ = ["EvenLevel", "Kind"]

K, C, Y, X = range(4)
TENSORS = ("input", "weight", "output")
# Of depthwise layers and of others, as ``levels.TENSORS`` has them.
COUPLED: dict[bool, dict[str, tuple[int, ...]]] = {
    False: {"input": (C, Y, X), "weight": (K, C), "output": (K, Y, X)},
    True: {"input": (C, Y, X), "weight": (C,), "output": (C, Y, X)},
}
NONE, ONE = np.zeros((), np.int64), np.ones((), np.int64)


class Kind(NamedTuple):
    """Iterations of a level that move and compute the same.

    Attributes:
        times: How many.
        inputs, weights: Elements brought in.
        outputs: Elements sent up.
        work: Multiply-accumulates of the busiest unit, where units are PEs.
    """

    times: Ints
    inputs: Ints
    weights: Ints
    outputs: Ints
    work: Ints


class EvenLevel:
    """A level over clusters or PEs; all sizes are numbers, or arrays that broadcast.

    Args:
        extent: What is tiled, of K, C, output rows and output columns.
        tile: What a unit holds of each; divides ``extent``.
        filters: Rows and columns of the filter, held whole.
        units: Clusters or PEs.
        spread: The dimension that is spread over them, 0..3.
        order: The dimensions, outermost loop first. Those of one iteration that are not spread may
            be left out: their place means nothing.
        depthwise: The layer is.
        fixed: MAESTRO's slips are mended: it leaves out the traffic of the last unit where fewer
            units than there are share a dimension evenly, and counts input rows (columns) for
            output ones where one unit is busy in the last turn.

    Attributes:
        turns: Iterations of the loop over each dimension.
        forgets: Where the traffic of the last unit is left out.
    """

    def __init__(
        self,
        extent: Sequence[ArrayLike],
        tile: Sequence[ArrayLike],
        filters: tuple[int, int],
        units: ArrayLike,
        spread: int,
        order: Sequence[int],
        depthwise: bool = False,
        fixed: bool = False,
    ) -> None:
        self.tile: list[Ints] = [np.asarray(t, np.int64) for t in tile]
        self.filters, self.spread, self.order = filters, spread, tuple(order)
        self._depthwise, self._coupled = depthwise, COUPLED[depthwise]
        chunks = [np.asarray(e, np.int64) // t for e, t in zip(extent, self.tile, strict=True)]
        there = np.asarray(units, np.int64)
        full, self._left = np.divmod(chunks[spread], there)
        self._busy: Ints = np.minimum(chunks[spread], there)
        self.turns: list[Ints] = list(chunks)
        self.turns[spread] = np.maximum(full + (self._left > 0), 1)
        self._held: list[Ints] = list(self.tile)
        for d, rows in zip((Y, X), filters, strict=True):
            self._held[d] = self.tile[d] + rows - 1
        # The spread loop's last turn is odd where it is not its first and not all units are busy.
        self._odd: Bools = (full > 0) & (self._left > 0)
        self._alone = (self.tile if fixed else self._held)[spread]
        self.forgets: Bools = (
            np.asarray(not fixed) & (chunks[spread] > 1) & (chunks[spread] < there)
        )

    # --- one iteration --------------------------------------------------------------------------

    def _brought(self, tensor: str, moving: int | None, *, odd: bool) -> Ints:
        """Elements of an input tensor that an iteration brings in where loop ``moving`` moves on
        (None: the first of all), in the odd turn or in another."""
        coupled, s = self._coupled[tensor], self.spread
        if moving is not None and moving not in coupled:
            return NONE
        later = () if moving is None else self.order[self.order.index(moving) + 1 :]
        # What is further in starts anew unless the tensor has nothing to go through there.
        restarts: Bools = np.zeros((), bool)
        for i in coupled:
            if i in later:
                restarts = restarts | (self.turns[i] > 1)
        volume: Ints = ONE * (int(np.prod(self.filters)) if tensor == "weight" else 1)
        for i in coupled:
            if i == moving and i != s:
                volume = volume * np.where(restarts, self._held[i], self.tile[i])
            elif i != s:
                volume = volume * self._held[i]
        if s not in coupled:
            return volume
        one, fresh = self._held[s], self.tile[s]
        units = self._left if odd else self._busy
        if moving is None:
            return volume * units * one
        if s in later:
            return volume * (one + (units - 1 - self.forgets) * fresh)
        rest = np.where(restarts, one, fresh) if s == moving else one
        return volume * (one + (units - 1) * rest)

    @cached_property
    def _sent(self) -> tuple[Ints, Ints]:
        """Elements that an iteration sends up, in another turn and in the odd one."""
        s = self.spread
        volume: Ints = ONE
        for i in self._coupled["output"]:
            if i != s:
                volume = volume * self.tile[i]
        if s not in self._coupled["output"]:
            return volume, volume
        busy = self._busy - self.forgets if s in (K, C) else self._busy
        odd = np.where(self._left == 1, self._alone, self._left * self.tile[s])
        return volume * busy * self.tile[s], volume * odd

    @cached_property
    def _work(self) -> tuple[Ints, Ints]:
        """Multiply-accumulates of a PE in an iteration, in another turn and in the odd one."""
        others: Ints = ONE * int(np.prod(self.filters))
        for i in range(4):
            if i != self.spread:
                others = others * self.tile[i]
        share = self.tile[self.spread]
        return others * share, others * np.where(self._left == 1, self._alone, share)

    def _kind(self, times: Ints, moving: int | None, *, odd: bool = False) -> Kind:
        inputs, weights = (self._brought(t, moving, odd=odd) for t in TENSORS[:2])
        return Kind(times, inputs, weights, self._sent[odd], self._work[odd])

    # --- all of them ----------------------------------------------------------------------------

    @cached_property
    def first(self) -> Kind:
        """The first iteration."""
        return self._kind(ONE, None)

    def later(self) -> Iterator[Kind]:
        """All that follow."""
        s, some_odd = self.spread, bool(self._odd.any())
        around: Ints = ONE  # turns of the loops further out, but for the spread one
        even: Ints = ONE  # of the spread one, if it is further out
        odd: Ints = NONE
        for i in self.order:
            if i == s:
                even, odd = self.turns[s] - self._odd, self._odd.astype(np.int64)
                yield self._kind(around * (even - 1), i)
                times = around
            else:
                yield self._kind(around * (self.turns[i] - 1) * even, i)
                times = around * (self.turns[i] - 1)
                around = around * self.turns[i]
            if some_odd and odd is not NONE:
                yield self._kind(times * odd, i, odd=True)

    @cached_property
    def iterations(self) -> Ints:
        """How many there are."""
        total: Ints = ONE
        for turns in self.turns:
            total = total * turns
        return total

    @property
    def request(self) -> Ints:
        """Bytes of the buffer above, doubled: what the first iteration moves."""
        first = self.first
        return 2 * (first.inputs + first.weights + first.outputs)

    def moved(self, tensors: Sequence[str] = TENSORS) -> list[Ints]:
        """Elements of tensors that are brought in, or sent up, in all iterations."""
        place = [TENSORS.index(t) + 1 for t in tensors]
        total: list[Ints] = [self.first[p] for p in place]
        for kind in self.later():
            total = [t + kind.times * kind[p] for t, p in zip(total, place, strict=True)]
        return total

    def runtime(
        self, noc: Interconnect, below: Ints | None = None, offchip: Ints | int = 0
    ) -> Ints:
        """Cycles of all iterations.

        Args:
            noc: One for all.
            below: Cycles that each iteration computes; None where units are PEs.
            offchip: Cycles that filling or draining the buffer above takes at least.
        """

        def compute(kind: Kind) -> Ints:
            cycles: Ints = -(-kind.work // noc.lanes) if below is None else below
            return cycles

        first = self.first
        total: Ints = noc.delay(first.inputs + first.weights) + compute(first)
        total = np.maximum(total, offchip)
        for kind in self.later():
            cycles = np.maximum(noc.delay(kind.outputs), compute(kind))
            if kind.inputs is not NONE or kind.weights is not NONE:
                cycles = np.maximum(cycles, noc.delay(kind.inputs + kind.weights))
            total = total + kind.times * np.maximum(cycles, offchip)
        return total
