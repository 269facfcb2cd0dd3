"""A level of a mapping whose tiles divide what they tile, in closed form.

Then no tile is ever clipped, all iterations of a level find the same work below, and what one of
them moves depends on little: which loop moves on, and whether the loop that is spread is in its
last, partly filled turn. So a level has at most nine kinds of iterations, whatever its sizes. The
numbers are those of :mod:`hwgym.costs.maestro.traffic` and :mod:`hwgym.costs.maestro.cases`, their
oddities included. Sizes broadcast: all tilings of a layer are one call. Orders of the loops have
most kinds of iterations in common, which are worked out once for all (:meth:`EvenLevel.in_order`).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Bools, Ints
from hwgym.costs.maestro.levels import Interconnect

__all__ = ["EvenLevel", "First", "Known"]

K, C, Y, X = range(4)
TENSORS = ("input", "weight", "output")
# Of depthwise layers and of others, as ``levels.TENSORS`` has them.
COUPLED: dict[bool, dict[str, tuple[int, ...]]] = {
    False: {"input": (C, Y, X), "weight": (K, C), "output": (K, Y, X)},
    True: {"input": (C, Y, X), "weight": (C,), "output": (C, Y, X)},
}
NONE, ONE = np.zeros((), np.int64), np.ones((), np.int64)


class First(NamedTuple):
    """The first iteration of a level.

    Attributes:
        inputs, weights: Elements brought in.
        outputs: Elements sent up.
        work: Multiply-accumulates of the busiest unit, where units are PEs.
    """

    inputs: Ints
    weights: Ints
    outputs: Ints
    work: Ints


class _Moving(NamedTuple):
    """The iterations at which the loop over a dimension moves on: all that tells them apart from
    others, whatever the order of the loops further out, and further in, among themselves."""

    dim: int
    outer: frozenset[int]
    inner: frozenset[int]


Known = dict[_Moving, Ints]
"""Cycles of such iterations."""


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
        self._some_odd = bool(self._odd.any())
        # Of levels that differ in nothing but their order, what they have in common.
        self._carried: dict[tuple[str, int, frozenset[int], bool], Ints] = {}
        self._counted: dict[_Moving, tuple[Ints, Ints | None]] = {}
        self._summed: dict[tuple[str, _Moving], Ints] = {}

    def in_order(self, order: Sequence[int]) -> EvenLevel:
        """The same level with its loops in another order, of the same dimensions."""
        _ = self.first, self.iterations, self._sent, self._work  # worked out before it is copied
        other = copy(self)
        other.order = tuple(order)
        return other

    # --- one iteration --------------------------------------------------------------------------

    def _volume(self, tensor: str) -> Ints:
        """Elements of a filter's rows and columns, which are held whole."""
        return ONE * (int(np.prod(self.filters)) if tensor == "weight" else 1)

    def _at_first(self, tensor: str) -> Ints:
        """Elements of an input tensor that the first iteration brings in."""
        volume = self._volume(tensor)
        for i in self._coupled[tensor]:
            volume = volume * (self._held[i] * self._busy if i == self.spread else self._held[i])
        return volume

    def _brought(self, tensor: str, at: _Moving, *, odd: bool) -> Ints:
        """Elements of an input tensor that an iteration brings in where a loop moves on, in the odd
        turn or in another; ``NONE`` itself if the tensor does not go through the loop."""
        coupled, s, moving = self._coupled[tensor], self.spread, at.dim
        if moving not in coupled:
            return NONE
        later = at.inner.intersection(coupled)
        key = (tensor, moving, later, odd and s in coupled)
        if key not in self._carried:
            # What is further in starts anew unless the tensor has nothing to go through there.
            restarts: Bools = np.zeros((), bool)
            for i in later:
                restarts = restarts | (self.turns[i] > 1)
            volume = self._volume(tensor)
            for i in coupled:
                if i == moving and i != s:
                    volume = volume * np.where(restarts, self._held[i], self.tile[i])
                elif i != s:
                    volume = volume * self._held[i]
            if s in coupled:
                one, fresh = self._held[s], self.tile[s]
                units = self._left if odd else self._busy
                if s in later:
                    volume = volume * (one + (units - 1 - self.forgets) * fresh)
                else:
                    rest = np.where(restarts, one, fresh) if s == moving else one
                    volume = volume * (one + (units - 1) * rest)
            self._carried[key] = volume
        return self._carried[key]

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

    @cached_property
    def first(self) -> First:
        """The first iteration."""
        inputs, weights = (self._at_first(t) for t in TENSORS[:2])
        return First(inputs, weights, self._sent[False], self._work[False])

    # --- all of them ----------------------------------------------------------------------------

    def _moves(self) -> list[_Moving]:
        """What follows the first iteration: a loop moves on."""
        order = self.order
        return [
            _Moving(dim, frozenset(order[:i]), frozenset(order[i + 1 :]))
            for i, dim in enumerate(order)
        ]

    def _times(self, at: _Moving) -> tuple[Ints, Ints | None]:
        """How many iterations there are where a loop moves on, in other turns and in odd ones; None
        if the spread loop, odd or not, is further in."""
        if at not in self._counted:
            s = self.spread
            around: Ints = ONE  # turns of the loops further out, but for the spread one
            for i in at.outer:
                if i != s:
                    around = around * self.turns[i]
            if at.dim != s:
                around = around * (self.turns[at.dim] - 1)
            even, odd = around, None
            if at.dim == s or s in at.outer:
                even = around * (self.turns[s] - self._odd - (at.dim == s))
                odd = around * self._odd if self._some_odd else None
            self._counted[at] = even, odd
        return self._counted[at]

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
        return [self._all_sent if t == "output" else self._all_brought(t) for t in tensors]

    @cached_property
    def _all_sent(self) -> Ints:
        even, odd = self._sent
        if even is odd or not self._some_odd:
            return self.iterations * even
        unusual = self.iterations // self.turns[self.spread] * self._odd
        return (self.iterations - unusual) * even + unusual * odd

    def _all_brought(self, tensor: str) -> Ints:
        total: Ints = self.first[TENSORS.index(tensor)]
        for at in self._moves():
            if at.dim not in self._coupled[tensor]:
                continue
            if (tensor, at) not in self._summed:
                even, odd = self._times(at)
                brought = even * self._brought(tensor, at, odd=False)
                if odd is not None:
                    brought = brought + odd * self._brought(tensor, at, odd=True)
                self._summed[tensor, at] = brought
            total = total + self._summed[tensor, at]
        return total

    def runtime(
        self,
        noc: Interconnect,
        below: Ints | None = None,
        offchip: Ints | int = 0,
        known: Known | None = None,
    ) -> Ints:
        """Cycles of all iterations.

        Args:
            noc: One for all.
            below: Cycles that each iteration computes; None where units are PEs.
            offchip: Cycles that filling or draining the buffer above takes at least.
            known: What has been found already of a level that differs in its order alone, with the
                other arguments the same; a dictionary, which is added to.
        """
        known = {} if known is None else known
        first = self.first
        compute = [-(-work // noc.lanes) if below is None else below for work in self._work]
        total: Ints = noc.delay(first.inputs + first.weights) + compute[False]
        total = np.maximum(total, offchip)
        # Whatever is brought in, an iteration takes as long as this.
        least = [
            np.maximum(np.maximum(noc.delay(sent), cycles), offchip)
            for sent, cycles in zip(self._sent, compute, strict=True)
        ]
        for at in self._moves():
            if at not in known:
                known[at] = NONE
                for odd, times in zip((False, True), self._times(at), strict=True):
                    if times is None:
                        continue
                    cycles = least[odd]
                    inputs, weights = (self._brought(t, at, odd=odd) for t in TENSORS[:2])
                    if inputs is not NONE or weights is not NONE:
                        cycles = np.maximum(cycles, noc.delay(inputs + weights))
                    known[at] = known[at] + times * cycles
            total = total + known[at]
        return total
