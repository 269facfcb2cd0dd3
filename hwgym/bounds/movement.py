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
    operands = (*inputs, output)

    def footprint(counts: Floats) -> Floats:
        tile = whole / counts
        held: Floats = np.sum([each.held(tile) for each in operands], axis=0)
        return held

    def moved(counts: Floats) -> Floats:
        tile = whole / counts
        sent: Floats = output.held(whole) * np.prod(
            counts[[d for d in range(len(extents)) if d not in output.dims]], axis=0
        )
        brought = [_Brought(each, loops, tile, whole, counts) for each in inputs]
        through = [[each for each in brought if i in each.share] for i in range(len(loops))]
        # What the loops further in bring again does not ask in which order those further out are,
        # nor the other way round: so the least is found for every set of loops further in (as by
        # Held and Karp, J. SIAM 10, 1962), not for every order.
        least: dict[int, Floats] = {0: sent + sum(each.elements for each in brought)}
        for inner in range(2 ** len(loops)):
            for i, those in enumerate(through):
                if not inner >> i & 1:
                    by_these = least[inner]
                    for each in those:
                        by_these = by_these + each.again(i, inner)
                    after = inner | 1 << i
                    if after in least:
                        by_these = np.minimum(least[after], by_these)
                    least[after] = by_these
        return least[2 ** len(loops) - 1]

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
        rest = np.ones(len(bound), bool)
        rest[some] = False
        a, b = low[:, some], high[:, some]
        side, at = np.log(b / a).argmax(axis=0), np.arange(len(some))
        middle = np.sqrt(a[side, at] * b[side, at])
        upper, lower = a.copy(), b.copy()
        upper[side, at], lower[side, at] = middle, middle
        new_low, new_high = np.concatenate([a, upper], 1), np.concatenate([lower, b], 1)
        new_low = raised(new_low, new_high)
        fits = footprint(new_high) <= capacity
        new_low, new_high = new_low[:, fits], new_high[:, fits]
        new_bound, at_most = np.split(moved(np.concatenate([new_low, new_high], 1)), 2)
        reached = min(reached, float(at_most.min(initial=np.inf)))
        looked += 2 * len(some)
        low = np.concatenate([low[:, rest], new_low], 1)
        high = np.concatenate([high[:, rest], new_high], 1)
        bound = np.concatenate([bound[rest], new_bound])
        keep = bound <= reached
        low, high, bound = low[:, keep], high[:, keep], bound[keep]
    return float(bound.min())


class _Brought:
    """What is brought in of an input: all of it once, and some of it again.

    The innermost loop that is not at its first tile decides: its elements come once for each turn
    of the loops further out that the input does not go through. Sets of loops are written in bits.

    Attributes:
        elements: Of the input.
        share: Of an input's elements that are in the first tile of a loop, by the loops that it
            goes through, (N,) each.
    """

    def __init__(
        self, t: Operand, loops: Sequence[int], tile: Floats, whole: Floats, counts: Floats
    ) -> None:
        self._counts = [counts[d] for d in loops]
        self.elements = float(t.held(whole)[0])
        self.share = {
            i: (tile[d] + t.more.get(d, 0)) / (whole[d] + t.more.get(d, 0))
            for i, d in enumerate(loops)
            if d in t.dims
        }
        self._all, self._own = 2 ** len(loops) - 1, sum(1 << i for i in self.share)
        # Of sets of loops it goes through, elements that are first in all; of others, all turns.
        self._first: dict[int, Floats | float] = {0: self.elements}
        self._turns: dict[int, Floats | float] = {0: 1.0}
        self._again: dict[tuple[int, int, int], Floats] = {}

    def again(self, loop: int, inner: int) -> Floats:
        """Elements that come in again where a loop that it goes through moves on, and those further
        in start anew."""
        key = loop, inner & self._own, self._all & ~inner & ~self._own
        if key not in self._again:
            _, own, others = key
            moves = self._first_of(own) * (1 - self.share[loop])
            self._again[key] = moves * (self._turns_of(others) - 1)
        return self._again[key]

    def _first_of(self, loops: int) -> Floats | float:
        if loops not in self._first:
            last = loops.bit_length() - 1
            self._first[loops] = self._first_of(loops ^ 1 << last) * self.share[last]
        return self._first[loops]

    def _turns_of(self, loops: int) -> Floats | float:
        if loops not in self._turns:
            last = loops.bit_length() - 1
            self._turns[loops] = self._turns_of(loops ^ 1 << last) * self._counts[last]
        return self._turns[loops]
