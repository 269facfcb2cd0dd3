"""How little a loop nest can move through a buffer that holds so much and no more.

A nest of loops brings its operands tile by tile into a buffer. Small tiles are brought often; large
ones do not fit. What is least moved, over all orders of the loops and all tiles, real numbers too,
is found by branch and bound: everything that is moved grows with the number of tiles along each
dimension and what the buffer holds shrinks with it, so that the corners of a box of tile counts
bound all that lies within it (monotonic optimisation; Tuy, SIAM J. Optim. 11, 2000).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations

import numpy as np

from hwgym._arrays import Floats

__all__ = ["Operand", "least_movement"]


@dataclass(frozen=True)
class Operand:
    """What a loop nest reads or writes.

    Attributes:
        dims: The dimensions that it goes through, by their place among the extents.
        more: How many indices more than a dimension's tile it needs, such as the rows that a filter
            reaches over.
        each: Elements of every index.
    """

    dims: Sequence[int]
    more: Mapping[int, int] = field(default_factory=dict)
    each: int = 1

    def held(self, tile: Floats) -> Floats:
        """Elements for tiles (dimensions, N)."""
        elements: Floats = np.full(tile.shape[1:], float(self.each))
        for d in self.dims:
            elements = elements * (tile[d] + self.more.get(d, 0))
        return elements


def least_movement(
    extents: Sequence[int],
    inputs: Sequence[Operand],
    output: Operand,
    capacity: float,
    *,
    tolerance: float = 1e-3,
    most_boxes: int = 20_000,
) -> float:
    """A lower bound on the elements that inputs bring in and an output sends up.

    An input is brought in where a loop moves on that it goes through; it then starts anew in the
    loops further in, but for the first tile, which may still be there. The output's partial results
    are sent up once for every tile of the dimensions that it does not go through. Tiles of all
    operands are held at a time.

    Args:
        extents: Of each dimension.
        inputs, output: The operands.
        capacity: Elements that the buffer holds.
        tolerance: The bound may be less than the least by this much, relative.
        most_boxes: Boxes looked at; then the bound may be less still.

    Raises:
        ValueError: If not even tiles of one index fit.
    """
    whole = np.asarray(extents, np.float64)[:, None]
    loops = [d for d, extent in enumerate(extents) if extent > 1]
    orders = list(permutations(loops))
    operands = (*inputs, output)

    def footprint(counts: Floats) -> Floats:
        tile = whole / counts
        held: Floats = np.sum([each.held(tile) for each in operands], axis=0)
        return held

    def moved(counts: Floats) -> Floats:
        tile = whole / counts
        sent = output.held(whole) * np.prod(
            counts[[d for d in range(len(extents)) if d not in output.dims]], axis=0
        )
        brought = [(t.held(whole), _Brought(t, tile, whole, counts)) for t in inputs]
        least = np.full(counts.shape[1], np.inf)
        for order in orders:
            total = sent
            for elements, each in brought:
                total = total + elements * each.times(order)
            least = np.minimum(least, total)
        return least

    def raised(low: Floats, high: Floats) -> Floats:
        """The least counts of boxes that leave room, if the others are at their greatest."""
        tile, least = whole / high, low.copy()
        for d in loops:
            none, one = tile.copy(), tile.copy()
            none[d], one[d] = 0.0, 1.0
            rest = np.sum([each.held(none) for each in operands], axis=0)
            slope = np.sum([each.held(one) for each in operands], axis=0) - rest
            largest = np.maximum(capacity - rest, 1e-300) / slope
            least[d] = np.maximum(low[d], np.minimum(whole[d] / largest * (1 - 1e-12), high[d]))
        return least

    low, high = np.ones_like(whole), whole.copy()
    if footprint(high)[0] > capacity:
        raise ValueError(
            f"tiles of one index take {footprint(high)[0]:.6g} elements; {capacity:.6g} are held"
        )
    low = raised(low, high)
    bound, reached, looked = moved(low), float(moved(high)[0]), 1
    while loops:
        best = float(bound.min())
        if best * (1 + tolerance) >= reached or looked >= most_boxes:
            return best
        some = np.argsort(bound, kind="stable")[:256]
        rest = np.setdiff1d(np.arange(len(bound)), some)
        a, b = low[:, some], high[:, some]
        side, at = np.log(b / a).argmax(axis=0), np.arange(len(some))
        middle = np.sqrt(a[side, at] * b[side, at])
        upper, lower = a.copy(), b.copy()
        upper[side, at], lower[side, at] = middle, middle
        new_low, new_high = np.concatenate([a, upper], 1), np.concatenate([lower, b], 1)
        new_low = raised(new_low, new_high)
        fits = footprint(new_high) <= capacity
        new_low, new_high = new_low[:, fits], new_high[:, fits]
        new_bound = moved(new_low)
        reached = min(reached, float(moved(new_high).min(initial=np.inf)))
        looked += 2 * len(some)
        low = np.concatenate([low[:, rest], new_low], 1)
        high = np.concatenate([high[:, rest], new_high], 1)
        bound = np.concatenate([bound[rest], new_bound])
        keep = bound <= reached
        low, high, bound = low[:, keep], high[:, keep], bound[keep]
    return float(bound.min())


class _Brought:
    """How often each element of an input is brought in, on average.

    The innermost loop that is not at its first tile decides: its elements come once for each turn
    of the loops further out that the input does not go through. Many orders of the loops have that
    in common, and it is worked out once for all of them.
    """

    def __init__(self, t: Operand, tile: Floats, whole: Floats, counts: Floats) -> None:
        self._share = {
            d: (tile[d] + t.more.get(d, 0)) / (whole[d] + t.more.get(d, 0)) for d in t.dims
        }
        self._counts = counts
        one = np.ones(counts.shape[1])
        # Of loops further in, inmost first, the share that is first in all; of those further out,
        # outmost first, all turns.
        self._first: dict[tuple[int, ...], Floats] = {(): one}
        self._turns: dict[tuple[int, ...], Floats] = {(): one}
        self._moving: dict[tuple[int, tuple[int, ...], tuple[int, ...]], Floats] = {}

    def times(self, order: Sequence[int]) -> Floats:
        """With the loops in this order, outermost first."""
        total: Floats = np.zeros(self._counts.shape[1])
        inner: tuple[int, ...] = ()
        outer = tuple(d for d in order if d not in self._share)
        for d in reversed(order):
            if d not in self._share:
                outer = outer[:-1]
                continue
            key = (d, inner, outer)
            if key not in self._moving:
                moves = self._first[inner] * (1 - self._share[d])
                self._moving[key] = moves * self._turns_of(outer)
            total = total + self._moving[key]
            if (further := (*inner, d)) not in self._first:
                self._first[further] = self._first[inner] * self._share[d]
            inner = further
        return total + self._first[inner]

    def _turns_of(self, loops: tuple[int, ...]) -> Floats:
        if loops not in self._turns:
            self._turns[loops] = self._turns_of(loops[:-1]) * self._counts[loops[-1]]
        return self._turns[loops]
