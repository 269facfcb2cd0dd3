"""A product cut into folds the size of the array: what each moves, when, and how long it takes.

Folds follow one another along the array's rows first, then along its columns, product after
product. Within each direction all folds but the last are full, and at most two at either end have
neighbours of another kind, so that five indices stand for all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hwgym._arrays import Bools, Floats, Ints
from hwgym.costs.systolic.dataflow import SystolicDataflow

__all__ = ["Folds", "Operand", "latency"]


@dataclass(frozen=True)
class Folds:
    """How often a product is cut, and how large the parts are; arrays that broadcast.

    Attributes:
        rows, columns: Of the array.
        row_extent, column_extent, stream: Of the dimensions that the dataflow lays there.
        delay: Cycles until what stays is in the array.
    """

    rows: Ints
    columns: Ints
    row_extent: Ints
    column_extent: Ints
    stream: Ints
    delay: Ints | int

    @classmethod
    def of(
        cls, sizes: dict[str, Ints], rows: Ints, columns: Ints, dataflow: SystolicDataflow
    ) -> Folds:
        """The folds of products whose sizes are given by dimension."""
        delay = 0 if dataflow.stationary == "ofmap" else rows
        return cls(
            rows,
            columns,
            sizes[dataflow.rows],
            sizes[dataflow.columns],
            sizes[dataflow.stream],
            delay,
        )

    @property
    def row_folds(self) -> Ints:
        """Cuts along the rows."""
        return np.asarray(-(-self.row_extent // self.rows))

    @property
    def column_folds(self) -> Ints:
        """Cuts along the columns."""
        return np.asarray(-(-self.column_extent // self.columns))

    @property
    def cycles(self) -> Ints:
        """What one fold takes where nothing is waited for, however much of the array is idle."""
        return np.asarray(self.delay + self.rows + self.columns + self.stream - 2)

    @property
    def widest(self) -> tuple[Ints, Ints]:
        """Rows and columns that the largest fold uses."""
        rows = np.minimum(self.rows, self.row_extent)
        return rows, np.minimum(self.columns, self.column_extent)

    def height(self, i: Ints) -> Ints:
        """Rows that folds use, the ``i``-th along the rows."""
        return np.minimum(self.rows, self.row_extent - i * self.rows)

    def width(self, j: Ints) -> Ints:
        """Columns that folds use, the ``j``-th along the columns."""
        return np.minimum(self.columns, self.column_extent - j * self.columns)


@dataclass(frozen=True)
class Operand:
    """What one operand of a product moves between DRAM and its SRAM, in elements.

    Attributes:
        folds: Of the product.
        moves: From which fold to the next its part is another one: ``rows``, ``columns``, ``both``.
        kept: Where what was fetched stays: the whole operand, if it moves along the rows; else the
            part of a fold, for as long as the folds that follow use it.
        ahead: Where half of the SRAM holds a fold's part, so that it comes during the fold before
            and goes during the fold after. Elsewhere it passes through while its fold runs.
        whole: Elements of the whole operand, where each comes once and these are fewer than
            those of all parts; None where they are as many.
    """

    folds: Folds
    moves: str
    kept: Bools
    ahead: Bools
    whole: Ints | None = None

    def part(self, i: Ints, j: Ints) -> Ints:
        """Elements that a fold uses."""
        f = self.folds
        if self.moves == "rows":
            return f.height(i) * f.stream
        if self.moves == "columns":
            return f.width(j) * f.stream
        return f.height(i) * f.width(j)

    def fetched(self, i: Ints, j: Ints) -> Ints:
        """Elements that DRAM gives for a fold."""
        part = self.part(i, j)
        if self.whole is not None:
            part = np.where(self.kept, self._share(self.whole, i, j), part)
        if self.moves == "both":
            return part
        again = j if self.moves == "rows" else i
        return np.where(self.kept & (again > 0), 0, part)

    def _share(self, whole: Ints, i: Ints, j: Ints) -> Ints:
        # In proportion to the parts, rounded down; the last one has the rest.
        f = self.folds
        if self.moves == "both":
            whole = _portion(whole, j, f.column_folds, f.columns, f.column_extent)
        return _portion(whole, i, f.row_folds, f.rows, f.row_extent)

    def left(self, i: Ints, j: Ints) -> tuple[Ints, Ints]:
        """Finished and unfinished elements that DRAM takes from a fold (an operand of results)."""
        part = self.part(i, j)
        if self.moves == "both":
            return part, np.zeros_like(part)
        last = i == self.folds.row_folds - 1
        return np.where(last, part, 0), np.where(self.kept | last, 0, part)

    def returned(self, i: Ints, j: Ints) -> Ints:
        """Unfinished elements that DRAM gives back to a fold (an operand of results)."""
        if self.moves == "both":
            return np.zeros_like(i + j)
        return np.where(self.kept | (i == 0), 0, self.part(i, j))


def _portion(whole: Ints, index: Ints, folds: Ints, side: Ints, extent: Ints) -> Ints:
    full = whole * np.minimum(side, extent) // extent
    return np.where(index == folds - 1, whole - (folds - 1) * full, full)


@dataclass(frozen=True)
class Traffic:
    """The operands of a product, the bits of their elements, and bytes a cycle."""

    ifmap: Operand
    filter: Operand
    ofmap: Operand
    input_bits: Ints
    weight_bits: Ints
    output_bits: Ints
    partial_bits: Ints
    bandwidth: Floats

    def inputs(self, i: Ints, j: Ints, *, ahead: bool) -> Ints:
        """Bits that come for a fold: those ahead of it, or those while it runs."""
        parts = ((self.ifmap, self.input_bits), (self.filter, self.weight_bits))
        ifmap, filter_ = (
            np.where(operand.ahead == ahead, operand.fetched(i, j) * bits, 0)
            for operand, bits in parts
        )
        came: Ints = ifmap + filter_
        # What comes back is what no SRAM could hold, so never ahead.
        return came if ahead else came + self.ofmap.returned(i, j) * self.partial_bits

    def outputs(self, i: Ints, j: Ints, *, behind: bool) -> Ints:
        """Bits that leave a fold: those after it, or those while it runs."""
        finished, unfinished = self.ofmap.left(i, j)
        left = finished * self.output_bits + unfinished * self.partial_bits
        return np.where(self.ofmap.ahead == behind, left, 0)

    def cycles(self, bits: Ints) -> Ints:
        """What it takes to move so many."""
        return np.ceil(bits / (8 * self.bandwidth)).astype(np.int64)


def latency(traffic: Traffic, times: Ints) -> Ints:
    """Cycles of all products: the folds, the first fill and the last drain."""
    folds = traffic.ifmap.folds
    row_folds, column_folds, compute = folds.row_folds, folds.column_folds, folds.cycles
    zero = np.zeros_like(row_folds)
    last = (row_folds - 1, column_folds - 1)

    def takes(i: Ints, j: Ints, *, first: bool = False, final: bool = False) -> Ints:
        """What fold (i, j) takes between the folds of a product like its own, or at an end."""
        reads = traffic.inputs(i, j, ahead=False)
        writes = traffic.outputs(i, j, behind=False)
        if not final:
            end = i == last[0]
            next_i, next_j = np.where(end, 0, i + 1), np.where(end, j + 1, j)
            next_j = np.where(next_j == column_folds, 0, next_j)
            reads = reads + traffic.inputs(next_i, next_j, ahead=True)
        if not first:
            start = i == 0
            past_i, past_j = np.where(start, last[0], i - 1), np.where(start, j - 1, j)
            past_j = np.where(past_j < 0, last[1], past_j)
            writes = writes + traffic.outputs(past_i, past_j, behind=True)
        moves = np.maximum(traffic.cycles(reads), traffic.cycles(writes))
        return np.maximum(compute, moves)

    total = zero
    for i, rows in _kinds(row_folds):
        for j, columns in _kinds(column_folds):
            count = rows * columns
            if count.any():
                total = total + np.where(count, count * takes(i, j), 0)
    alone = times * row_folds * column_folds == 1
    total = total * times
    total = total - takes(zero, zero) + takes(zero, zero, first=True)
    total = total - takes(*last) + takes(*last, final=True)
    total = np.where(alone, takes(zero, zero, first=True, final=True), total)
    fill = traffic.cycles(traffic.inputs(zero, zero, ahead=True))
    drain = traffic.cycles(traffic.outputs(*last, behind=True))
    return np.asarray(total + fill + drain)


def _kinds(folds: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Indices that stand for all of so many folds, and for how many each does.

    The first two, one for all between, the last two.
    """
    many = folds > 5
    for kind in range(5):
        index = np.where(many & (kind > 2), folds - 5 + kind, kind)
        count = np.where(many & (kind == 2), folds - 4, kind < folds)
        # Those that stand for none must still be indices.
        yield np.minimum(index, folds - 1), count
