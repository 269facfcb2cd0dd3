"""How the reference divides and adds up, and which rows of a query differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgym._arrays import Floats, Ints

__all__ = [
    "ceil_quotient",
    "distinct",
    "extended_ratio",
    "product",
    "quotient",
    "repeated_sum",
    "weighted_sum",
]


def quotient(a: Ints, b: Ints | int) -> Ints:
    """Integer division that truncates towards zero (C's), for ``b`` > 0."""
    q: Ints = a // b
    if a.min(initial=0) < 0:
        q += (a < 0) & (q * b != a)
    return q


def ceil_quotient(a: Ints, b: Ints) -> Ints:
    """``quotient`` plus one where a remainder is left, whatever its sign (the NoC's send count)."""
    q = quotient(a, b)
    q += q * b != a
    return q


def product(factors: Iterable[Ints], one: Ints) -> Ints:
    product = one
    for factor in factors:
        product = product * factor
    return product


def extended_ratio(a: Ints, b: Ints) -> Floats:
    """``a / b`` in extended precision where the platform has it, as the reference computes it."""
    return (a.astype(np.longdouble) / b.astype(np.longdouble)).astype(np.float64)


def weighted_sum(values: Floats, times: Ints) -> Floats:
    """The sum of ``values * times`` over the first axis, each product and addition in extended
    precision and rounded to a float, as the reference stores it."""
    most = float(values.max()) * float(times.sum(axis=0).max())
    if most < 2**53 and (values == np.floor(values)).all():  # nothing to round
        exact: Floats = np.einsum("ij,ij->j", values, times.astype(np.float64))
        return exact
    total = np.zeros(times.shape[1])
    for value, count in zip(values, times, strict=True):
        total = (value.astype(np.longdouble) * count + total).astype(np.float64)
    return total


def repeated_sum(values: NDArray[np.floating[Any]], which: Ints, times: Ints) -> Floats:
    """``values[which]`` added up ``times`` times, rounded each time, as the reference counts PEs.

    Where that is beyond 4,096 times it is the product, which differs by less than 1e-12 relative.
    """
    total: Floats = (values[which] * times).astype(np.float64)
    few = times <= 4096
    most = int(times.max(initial=1, where=few))
    block = 2**20 // most
    for start in range(0, len(values), block):
        part = np.repeat(values[start : start + block, None], most, axis=1)
        sums = np.add.accumulate(part, axis=1)
        rows = np.flatnonzero(few & (which >= start) & (which < start + block))
        total[rows] = sums[which[rows] - start, times[rows] - 1]
    return total


def distinct(columns: Sequence[Ints]) -> tuple[Ints, Ints]:
    """Which rows differ: the indices of one of each kind, and the kind of every row."""
    rows = len(columns[0])
    code, span = np.zeros(rows, np.int64), 1
    for column in columns:
        least = int(column.min())
        width = int(column.max()) - least + 1
        if width == 1:
            continue
        if least:
            column = column - least
        if span * width > 8 * rows:
            (code, span), (column, width) = _ranks(code, span), _ranks(column, width)
        code = code * width + column
        span *= width
    code, span = _ranks(code, span)
    first = np.empty(span, np.int64)
    first[code] = np.arange(rows)
    return first, code


def _ranks(values: Ints, span: int) -> tuple[Ints, int]:
    """The place of each value, in 0..span - 1, among those that occur, and how many do."""
    if span > 8 * len(values):
        found, ranks = np.unique(values, return_inverse=True)
        return ranks, len(found)
    occurs = np.zeros(span, bool)
    occurs[values] = True
    place = np.cumsum(occurs) - 1
    return place[values], int(place[-1]) + 1
