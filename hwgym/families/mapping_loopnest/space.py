"""The mappings of a layer: decisions, what they stand for, and what can still fit.

Sizes of neighbouring levels divide one another: a dimension's extent is a multiple of its L2 tile,
which is one of the PEs it is spread over times its tile inside a PE. Dimensions of extent 1 are not
asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import permutations, product

import numpy as np

from hwgym._arrays import Bools, Ints
from hwgym.core.space import Axis, Space
from hwgym.costs.loopnest import DIMS, Nests, capacity
from hwgym.costs.loopnest.lattice import extent_of
from hwgym.costs.loopnest.traffic import RELEVANT
from hwgym.families.mapping_loopnest.accelerator import HOLD, INSIDE, Accelerator
from hwgym.workloads import Layer

__all__ = ["LEVELS", "ORDERS", "Chosen", "Decision", "MappingSpace", "divisors"]

LEVELS = ("rows", "columns", "L2", "PE")
"""What each dimension is asked for: how many rows and columns it is spread over, its L2 tile, its
tile inside a PE."""
ORDERS = ("DRAM", "L2")
"""Levels whose loops' order is asked for."""

_SUMMED = tuple(DIMS.index(d) for d in "CRS")


@dataclass(frozen=True)
class Decision:
    """One step.

    Attributes:
        what: One of ``LEVELS``, or of ``ORDERS``.
        dim: Index in ``DIMS`` of the dimension that is sized; -1 of an order.
        values: (choices,) sizes, or (choices, 8) positions of each dimension's loop.
        labels: (choices,) as text shows them; of an order the loops, outermost first.
    """

    what: str
    dim: int
    values: Ints
    labels: tuple[int | str, ...]

    @property
    def name(self) -> str:
        """Of the step."""
        if self.dim < 0:
            return f"{self.what} order"
        d = DIMS[self.dim]
        return {
            "rows": f"{d} over rows",
            "columns": f"{d} over columns",
            "L2": f"{d} in L2",
            "PE": f"{d} in a PE",
        }[self.what]


@dataclass(frozen=True, eq=False)
class Chosen:
    """What N solutions have chosen, arrays (N, 8) in the order of ``DIMS``; 0 where nothing is yet.

    Attributes:
        sizes: (4, N, 8) by ``LEVELS``.
        orders: (2, N, 8) by ``ORDERS``, the position of each dimension's loop, 0 outermost.
    """

    sizes: Ints
    orders: Ints

    @property
    def spread(self) -> Ints:
        """PEs side by side; undecided ones count as one."""
        together: Ints = np.maximum(self.sizes[0], 1) * np.maximum(self.sizes[1], 1)
        return together


@dataclass(frozen=True)
class MappingSpace:
    """All mappings of a layer on an accelerator.

    Attributes:
        layer: One run of it.
        accelerator: Where.
    """

    layer: Layer
    accelerator: Accelerator

    @cached_property
    def sizes(self) -> tuple[Ints, Ints, Ints]:
        """The layer's extents (8,), strides (2,) and dilations (2,)."""
        return extent_of(self.layer)

    @property
    def extent(self) -> Ints:
        """(8,) the layer's sizes."""
        return self.sizes[0]

    @cached_property
    def dims(self) -> tuple[int, ...]:
        """The dimensions that are asked for: those of more than one element."""
        found = tuple(np.flatnonzero(self.extent > 1).tolist())
        return found or (DIMS.index("K"),)

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """Every step: rows, columns, L2 tiles, tiles in a PE, of each dimension; two orders."""
        limits = self.accelerator.rows, self.accelerator.columns, None, None
        found = []
        for what, most in zip(LEVELS, limits, strict=True):
            for dim in self.dims:
                values = divisors(int(self.extent[dim]))
                values = values[values <= (most or values[-1])]
                found.append(Decision(what, dim, values, tuple(values.tolist())))
        loops = ["".join(DIMS[d] for d in order) for order in permutations(self.dims)]
        rest = "".join(d for i, d in enumerate(DIMS) if i not in self.dims)
        positions = np.array([[(o + rest).index(d) for d in DIMS] for o in loops])
        return (*found, *(Decision(what, -1, positions, tuple(loops)) for what in ORDERS))

    def space(self, width: int | None = None) -> Space:
        """The steps' choices.

        Args:
            width: Choices of every step; by default those of the one that has most.
        """
        axes = [
            (Axis(d.name, d.labels, "categorical" if d.dim < 0 else "ordered"),)
            for d in self.decisions
        ]
        return Space.of_steps(axes, width=width)

    # --- genes and what they stand for ------------------------------------------------------------

    @cached_property
    def _tables(self) -> tuple[Ints, Ints]:
        """Sizes (steps, most choices + 1) and orders (choices + 1, 8) by choice; 0 behind them."""
        *sized, order, _ = self.decisions
        most = max(len(decision.values) for decision in sized)
        sizes = np.zeros((len(sized), most + 1), np.int64)
        for row, decision in zip(sizes, sized, strict=True):
            row[: len(decision.values)] = decision.values
        return sizes, np.vstack([order.values, np.zeros((1, len(DIMS)), np.int64)])

    def chosen(self, genes: Ints) -> Chosen:
        """What genes (N, steps), or those of the first steps, stand for; -1 is nothing yet."""
        table, positions = self._tables
        count, steps = genes.shape
        sizes = np.zeros((len(LEVELS), count, len(DIMS)), np.int64)
        orders = np.zeros((len(ORDERS), count, len(DIMS)), np.int64)
        sizes[:, :, [d for d in range(len(DIMS)) if d not in self.dims]] = 1
        sized = min(steps, len(table))
        last = table.shape[1] - 1
        index = np.where((genes < 0) | (genes > last), last, genes)[:, :sized]
        level, dim = np.divmod(np.arange(sized), len(self.dims))
        sizes[level, :, np.array(self.dims)[dim]] = table[np.arange(sized), index].T
        last = len(positions) - 1
        for order, column in zip(orders, genes.T[len(table) :], strict=False):
            order[:] = positions[np.where((column < 0) | (column > last), last, column)]
        return Chosen(sizes, orders)

    def genes(self, chosen: Chosen) -> Ints:
        """(N, steps): back.

        Raises:
            ValueError: If a size or an order is none of the choices.
        """
        columns = []
        for decision in self.decisions:
            if decision.dim < 0:
                given = chosen.orders[ORDERS.index(decision.what)]
                found = [[(decision.values == row).all(axis=1) for row in given]]
                same = np.array(found[0])
            else:
                given = chosen.sizes[LEVELS.index(decision.what), :, decision.dim]
                same = given[:, None] == decision.values
            if not same.any(axis=1).all():
                raise ValueError(f"{decision.name}: not among {list(decision.labels)[:24]}")
            columns.append(same.argmax(axis=1))
        return np.stack(columns, axis=1)

    def nests(self, sizes: Ints, orders: Ints) -> Nests:
        """Loop nests of complete mappings: ``sizes`` (4, N, 8), ``orders`` (2, N, 8)."""
        rows, columns, l2, pe = sizes
        return self.tiled(rows * columns, l2, pe, *orders)

    def tiled(self, spread: Ints, l2: Ints, pe: Ints, dram_order: Ints, l2_order: Ints) -> Nests:
        """Loop nests of PEs side by side, L2 tiles and tiles in a PE, arrays (N, 8)."""
        extent, stride, dilation = self.sizes
        inside = np.array([INSIDE.index(d) for d in DIMS])
        steps = np.maximum(l2 // (spread * pe), 1)
        return Nests(extent, pe, spread, steps, dram_order, l2_order, inside, stride, dilation)

    def divides(self, sizes: Ints) -> Bools:
        """(N,): rows, columns and tiles (4, N, 8) divide one another and the array holds them."""
        rows, columns, l2, pe = sizes
        divides: Bools = np.logical_and.reduce(l2 % (rows * columns * pe) == 0, axis=1)
        divides &= rows.prod(axis=1) <= self.accelerator.rows
        divides &= columns.prod(axis=1) <= self.accelerator.columns
        return divides

    # --- what can still fit -----------------------------------------------------------------------

    def allowed(self, genes: Ints, step: int) -> Bools:
        """(N, choices): after which some mapping fits, given the genes (N, steps) before the step.

        Where nothing fits any more it means nothing, but is never empty.
        """
        decision, chosen = self.decisions[step], self.chosen(genes)
        count, values = len(genes), decision.values
        if decision.dim < 0:
            return np.ones((count, len(values)), bool)
        at, dim = LEVELS.index(decision.what), decision.dim
        rest = chosen.sizes[at].copy()
        rest[:, dim] = 0
        allowed = np.ones((count, len(values)), bool)
        if at < 2:
            limit = (self.accelerator.rows, self.accelerator.columns)[at]
            left = limit // np.maximum(rest, 1).prod(axis=1)
            allowed &= values <= left[:, None]
        if at == 1:
            allowed &= (
                self.extent[dim] // np.maximum(chosen.sizes[0, :, dim], 1)[:, None] % values == 0
            )
        if at >= 2:
            spread = chosen.spread
            if at == 2:
                allowed &= values % spread[:, [dim]] == 0
            else:
                allowed &= chosen.sizes[2, :, [dim]].T // spread[:, [dim]] % values == 0
            row, choice = np.nonzero(allowed)
            l2, pe = chosen.sizes[2][row], chosen.sizes[3][row]
            (l2 if at == 2 else pe)[:, dim] = values[choice]
            if len(row):
                allowed[row, choice] = self.completes(spread[row], l2, pe)
        allowed[~allowed.any(axis=1)] = True
        return allowed

    def completes(self, spread: Ints, l2: Ints, pe: Ints) -> Bools:
        """(N,): tiles (N, 8), 0 where they are not chosen, can be completed so that they fit.

        What a buffer needs grows with tiles, but for two things: a tensor that is whole is held
        once instead of twice, and sums in L2 that are finished are narrower. So of all completions
        one of a few needs least: the smallest in which given tensors are whole in a PE's step or
        in L2, and sums finished or not.
        """
        completions = len(_WHOLE)
        count = len(spread)
        extent, free = self.extent, np.maximum(spread, 1)
        in_step, in_l2 = (mask[:, None] for mask in _WHOLE.transpose(1, 0, 2))
        room = np.maximum(np.where(l2 > 0, l2, extent) // free, 1)
        pe_tile = np.where(pe > 0, pe, np.where(in_step, room, 1))
        tile = np.where(l2 > 0, l2, np.where(in_l2, extent, free * pe_tile))
        shape = (completions * count, len(DIMS))
        places = np.arange(len(DIMS))
        nests = self.tiled(
            np.broadcast_to(free, (completions, count, len(DIMS))).reshape(shape),
            tile.reshape(shape),
            pe_tile.reshape(shape),
            places,
            places,
        )
        l1, shared = capacity(nests, self.accelerator.machine, hold=HOLD)
        fits = (l1 <= self.accelerator.l1_bytes) & (shared <= self.accelerator.l2_bytes)
        found: Bools = np.logical_or.reduce(fits.reshape(completions, count), axis=0)
        return found

    def needed(self, chosen: Chosen) -> tuple[Ints, Ints]:
        """Bytes of L1 and of L2, (N,) each, that solutions need if what is not chosen yet is as
        small as it can be."""
        spread = chosen.spread
        pe = np.maximum(chosen.sizes[3], 1)
        l2 = np.maximum(chosen.sizes[2], spread * pe)
        places = np.arange(len(DIMS))
        nests = self.tiled(spread, l2, pe, places, places)
        return capacity(nests, self.accelerator.machine, hold=HOLD)


def divisors(number: int) -> Ints:
    """All divisors, ascending."""
    candidates = np.arange(1, number + 1)
    found: Ints = candidates[number % candidates == 0]
    return found


def _whole() -> Bools:
    """(completions, 2, 8): the dimensions that are whole in a step of the array, and in L2."""
    parts: list[tuple[int, ...]] = [(), *RELEVANT.values(), _SUMMED, tuple(range(len(DIMS)))]
    found = {
        (frozenset(step), frozenset(step) | frozenset(held)) for step, held in product(parts, parts)
    }
    masks = [
        [[d in whole for d in range(len(DIMS))] for whole in pair]
        for pair in sorted(found, key=lambda pair: (sorted(pair[0]), sorted(pair[1])))
    ]
    return np.array(masks)


_WHOLE = _whole()
