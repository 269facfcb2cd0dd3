"""A level of a mapping whose tiles divide what they tile, in closed form.

Then no tile is ever clipped, all cases of a level find the same work below, and what a case moves
depends on little: which loop moves on, and whether the loop that is spread is in its last, partly
filled turn. So a level has at most ten kinds of iterations, whatever its sizes. The numbers are
those of :mod:`hwgym.costs.maestro.traffic` and :mod:`hwgym.costs.maestro.cases`, their oddities
included; sizes broadcast, so that all tilings of a layer are one call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Array, Ints
from hwgym.costs.maestro.levels import Interconnect

__all__ = ["EvenLevel", "Kind"]

K, C, Y, X = range(4)
TENSORS = ("input", "weight", "output")
_INPUT = {False: (C, Y, X), True: (C, Y, X)}
_WEIGHT = {False: (K, C), True: (C,)}
_OUTPUT = {False: (K, Y, X), True: (C, Y, X)}


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


@dataclass(frozen=True, eq=False)
class EvenLevel:
    """A level over ``units`` clusters or PEs.

    Attributes:
        extent: Of K, C, output rows, output columns; numbers or arrays, as all sizes.
        tile: What a unit holds of each; must divide ``extent``.
        filters: Rows and columns of the filter, held whole.
        units: How many there are.
        spread: The dimension that is spread over them, 0..3.
        order: The dimensions, outermost loop first. Loops of one iteration that are not spread
            may be left out: their place means nothing.
        depthwise: The layer is.
        fixed: MAESTRO's slips are mended: it leaves out the traffic of the last unit where fewer
            units than there are share a dimension evenly, and counts input rows (columns) for
            output ones where in the last turn one unit is busy.
    """

    extent: Sequence[ArrayLike]
    tile: Sequence[ArrayLike]
    filters: tuple[int, int]
    units: ArrayLike
    spread: int
    order: Sequence[int]
    depthwise: bool = False
    fixed: bool = False

    def __post_init__(self) -> None:
        s, units = self.spread, np.asarray(self.units, np.int64)
        tile = [np.asarray(t, np.int64) for t in self.tile]
        chunks = [np.asarray(e, np.int64) // t for e, t in zip(self.extent, tile, strict=True)]
        full, left = np.divmod(chunks[s], units)
        busy = np.minimum(chunks[s], units)
        turns = list(chunks)
        turns[s] = np.maximum(full + (left > 0), 1)
        held = [tile[K], tile[C], tile[Y] + self.filters[0] - 1, tile[X] + self.filters[1] - 1]
        values = {
            "_tile": tile,
            "_held": held,
            "turns": turns,
            "busy": busy,
            # The spread loop's last turn, where it is not its first and not all units are busy.
            "_odd": (full > 0) & (left > 0),
            "_left": left,
            # The traffic of the last unit is, where not all are busy.
            "forgets": np.asarray(not self.fixed) & (chunks[s] > 1) & (chunks[s] < units),
        }
        # With one unit busy the reference counts input rows (columns), not output ones.
        values["_alone"] = (tile if self.fixed else held)[s]
        for name, value in values.items():
            object.__setattr__(self, name, value)

    # --- one iteration --------------------------------------------------------------------------

    def _brought(self, coupled: Sequence[int], moving: int | None, *, odd: bool) -> Array:
        """Elements of a tensor that an iteration brings in when loop ``moving`` moves on (None: the
        first of all), in the odd turn or in another."""
        s, order = self.spread, tuple(self.order)
        if moving is not None and moving not in coupled:
            return np.zeros((), np.int64)
        later = order[order.index(moving) + 1 :] if moving is not None else ()
        # What is further in starts anew unless the tensor has nothing to go through there.
        restarts = np.zeros((), bool)
        for i in coupled:
            if i in later:
                restarts = restarts | (self.turns[i] > 1)
        volume: Array = np.ones((), np.int64)
        for i in coupled:
            if i == s:
                continue
            some = (
                self._held[i] if i != moving else np.where(restarts, self._held[i], self._tile[i])
            )
            volume = volume * some
        if s not in coupled:
            return volume
        one, fresh = self._held[s], self._tile[s]
        units = self._left if odd else self.busy
        if moving is None:
            return volume * units * one
        if s in later:
            return volume * (one + (units - 1 - self.forgets) * fresh)
        rest = np.where(restarts, one, fresh) if s == moving else one
        return volume * (one + (units - 1) * rest)

    def _sent(self, *, odd: bool) -> Array:
        s, coupled = self.spread, _OUTPUT[self.depthwise]
        volume: Array = np.ones((), np.int64)
        for i in coupled:
            if i != s:
                volume = volume * self._tile[i]
        if s not in coupled:
            return volume
        if not odd:
            lost = self.forgets if s in (K, C) else 0
            return volume * (self.busy - lost) * self._tile[s]
        return volume * np.where(self._left == 1, self._alone, self._left * self._tile[s])

    def _work(self, *, odd: bool) -> Array:
        s = self.spread
        steps: Array = np.asarray(self.filters[0] * self.filters[1], np.int64)
        for i in range(4):
            share = self._tile[i]
            if odd and i == s:
                share = np.where(self._left == 1, self._alone, share)
            steps = steps * share
        return steps

    def _kind(self, times: Ints, moving: int | None, *, odd: bool = False) -> Kind:
        return Kind(
            times,
            self._brought(_INPUT[self.depthwise], moving, odd=odd),
            self._brought(_WEIGHT[self.depthwise], moving, odd=odd) * np.prod(self.filters),
            self._sent(odd=odd),
            self._work(odd=odd),
        )

    # --- all of them ----------------------------------------------------------------------------

    @property
    def first(self) -> Kind:
        """The first iteration."""
        return self._kind(np.ones((), np.int64), None)

    def later(self) -> Iterator[Kind]:
        """All that follow."""
        s, odd = self.spread, self._odd
        some_odd = bool(odd.any())
        before: Array = np.ones((), np.int64)  # turns of the loops further out
        spread_seen = False
        for i in self.order:
            if i == s:
                yield self._kind(before * (self.turns[s] - 1 - odd), i)
                if some_odd:
                    yield self._kind(before * odd, i, odd=True)
                spread_seen = True
                continue
            moves = before * (self.turns[i] - 1)
            if not spread_seen:
                yield self._kind(moves, i)
            else:
                yield self._kind(moves * (self.turns[s] - odd), i)
                if some_odd:
                    yield self._kind(moves * odd, i, odd=True)
            before = before * self.turns[i]

    @property
    def iterations(self) -> Ints:
        """How many."""
        total: Ints = np.ones((), np.int64)
        for turns in self.turns:
            total = total * turns
        return total

    @property
    def request(self) -> Ints:
        """Bytes of the buffer above, doubled: what the first iteration moves."""
        first = self.first
        return 2 * (first.inputs + first.weights + first.outputs)

    def moved(self, tensors: Sequence[str] = ("input", "weight", "output")) -> list[Ints]:
        """Elements of tensors that are brought in, or sent up, in all iterations."""
        place = [TENSORS.index(t) + 1 for t in tensors]
        total: list[Ints] = [self.first[p] for p in place]
        for kind in self.later():
            total = [t + kind.times * kind[p] for t, p in zip(total, place, strict=True)]
        return total

    def runtime(self, noc: Interconnect, below: Ints | None = None, offchip: ArrayLike = 0) -> Ints:
        """Cycles of all iterations.

        Args:
            noc: One for all.
            below: What each iteration computes, in cycles; None where units are PEs.
            offchip: Cycles that filling or draining the buffer above takes at least.
        """
        first = self.first
        total = np.maximum(
            noc.delay(first.inputs + first.weights) + self._compute(noc, first, below), offchip
        )
        for kind in self.later():
            cycles = np.maximum(noc.delay(kind.outputs), self._compute(noc, kind, below))
            if kind.inputs.any() or kind.weights.any():
                cycles = np.maximum(cycles, noc.delay(kind.inputs + kind.weights))
            total = total + kind.times * np.maximum(cycles, offchip)
        return total

    @staticmethod
    def _compute(noc: Interconnect, kind: Kind, below: Ints | None) -> Ints:
        return -(-kind.work // noc.lanes) if below is None else below
