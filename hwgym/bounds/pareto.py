"""All that no other beats: choices, one a step, in what they use and in one or two costs or more.

Steps are added one by one, and of the partial choices only those stay that no other beats in every
cost *and* in usage, and that can still be completed within the limit (Nemhauser and Ullmann,
Management Science 15(9), 1969, with more than one cost). No heuristics are involved.

A tolerance ``epsilon`` keeps the lists short: partial choices are compared on a logarithmic grid,
and what falls together counts as equal. A sum, or a maximum, of parts that are each off by a factor
is off by no more than the greatest of these, and the grids' factors along the way multiply to
``1 + epsilon``, so that everything within the limit is matched by something listed that uses no
more and is at most ``1 + epsilon`` times as large in each cost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgym._arrays import Bools, Floats, Ints
from hwgym.bounds._tables import ROUNDING, check_tables, in_order

__all__ = ["TOO_MANY", "front", "undominated"]

TOO_MANY = 400_000  # partial choices kept at once
FEW = 500  # shorter lists are not thinned: the tolerance is saved for longer ones
_BLOCK = 2_000_000  # candidates at once
_TINY = np.finfo(float).tiny  # stands in for 0, which has no logarithm
_CELLS = 2**22  # of a grid that is held as an array; a finer one is sorted


def front(
    usage: Floats,
    costs: Sequence[Floats],
    joins: Sequence[np.ufunc],
    allowed: Bools,
    limit: float,
    *,
    epsilon: float = 0.0,
    progress: Callable[[int, int], object] | None = None,
) -> Ints:
    """Actions (N, steps) of the front in usage and costs.

    They come in no order, and up to rounding: a total in another order of adding may be a hair
    above the limit, or beaten.

    Args:
        usage: (steps, choices), >= 0 where allowed; it adds up.
        costs: One or two tables (steps, choices), >= 0 where allowed.
        joins: How the steps' costs join in each: ``np.add`` or ``np.maximum``.
        allowed: (steps, choices).
        limit: On the total usage; infinite for none.
        epsilon: 0 for the exact front; else a tolerance, as in the module's docstring.
        progress: Called after each step with the steps done and all steps.

    Raises:
        ValueError: If the tables are not as above, epsilon is negative or no number, nothing is
            within the limit, or the list of partial choices grows beyond :data:`TOO_MANY`.
    """
    if not 1 <= len(costs) <= 2 or len(joins) != len(costs):
        raise ValueError(
            f"one or two costs are needed, each with its join, got {len(costs)} and {len(joins)}"
        )
    if not np.isfinite(epsilon) or epsilon < 0:
        raise ValueError(f"epsilon must be a number >= 0, got {epsilon!r}")
    check_tables(allowed, usage=usage, **{f"cost {i}": cost for i, cost in enumerate(costs)})
    steps = len(usage)
    parts = [_part(step, usage, costs, allowed) for step in range(steps)]
    least = in_order([part.usage.min() for part in parts])
    if least > limit * (1 + ROUNDING):
        raise ValueError(f"nothing within {limit:.6g}: the least usage is {least:.6g}")
    parts.sort(key=len)
    while len(parts) > 1:
        # With a tolerance the two shortest lists, so that few are thinned one after the other;
        # without, one long list and the short ones of single steps.
        first, second = parts[:2]
        rest = least - float(first.usage.min()) - float(second.usage.min())
        room = limit * (1 + ROUNDING) - rest
        share = (len(first.steps) + len(second.steps)) / steps
        both = _combine(first, second, joins, room, (1 + epsilon) ** share - 1)
        if len(both) > TOO_MANY:
            raise ValueError(
                f"{len(both.steps)} of {steps} steps have {len(both):,} undominated choices, more "
                f"than {TOO_MANY:,}: give a tolerance above {epsilon:g}, a smaller limit or fewer "
                "costs"
            )
        parts[:2] = [both]
        if epsilon:
            parts.sort(key=len)
        if progress is not None:
            progress(steps - len(parts) + 1, steps)
    [whole] = parts
    fits = whole.usage <= limit * (1 + ROUNDING)
    return whole.actions[fits][:, np.argsort(whole.steps)].astype(np.int64)


@dataclass(frozen=True, eq=False)
class _Part:
    """The undominated choices of some of the steps.

    Attributes:
        steps: Which, in the order of ``actions``'s columns.
        usage, costs: (n,) what they use, and each of their costs.
        error: Those left out are matched by one that is worse by this factor, less 1.
        actions: (n, steps) action numbers, in as few bits as hold them.
    """

    steps: tuple[int, ...]
    usage: Floats
    costs: tuple[Floats, ...]
    error: float
    actions: NDArray[Any]

    def __len__(self) -> int:
        return len(self.usage)


def _part(step: int, usage: Floats, costs: Sequence[Floats], allowed: Bools) -> _Part:
    """A single step's."""
    actions = np.flatnonzero(allowed[step])
    columns = [table[step, actions] for table in (usage, *costs)]
    keep = undominated(*columns)
    narrow = actions[keep, None].astype(np.min_scalar_type(usage.shape[1]))
    used, *rest = (column[keep] for column in columns)
    return _Part((step,), used, tuple(rest), 0.0, narrow)


def _combine(
    first: _Part, second: _Part, joins: Sequence[np.ufunc], room: float, allowed: float
) -> _Part:
    """Every choice of one part with every one of another, less what is dominated or too big.

    A long list is thinned, so far as the error allowed in all leaves room. In blocks, so that
    memory stays bounded; their grid is the same, so that its error counts once.
    """
    if len(first) < len(second):
        first, second = second, first
    width = len(second)
    error = max(first.error, second.error)
    ratio = None
    if len(first) * width > FEW and allowed > error:
        ratio, error = (1 + allowed) / (1 + error) * (1 - ROUNDING), allowed
    block = max(1, _BLOCK // width)
    pick, usage = np.zeros(0, np.int64), np.zeros(0)
    costs = [np.zeros(0) for _ in joins]
    for start in range(0, len(first), block):
        rows = slice(start, start + block)
        added = np.add.outer(first.usage[rows], second.usage).ravel()
        fits = np.flatnonzero(added <= room)
        pick = np.append(pick, fits + start * width)
        usage = np.append(usage, added[fits])
        costs = [
            np.append(cost, join.outer(a[rows], b).ravel()[fits])
            for cost, join, a, b in zip(costs, joins, first.costs, second.costs, strict=True)
        ]
        keep = undominated(usage, *costs, ratio=ratio)
        pick, usage, costs = pick[keep], usage[keep], [cost[keep] for cost in costs]
    rows_of, columns_of = np.divmod(pick, width)
    return _Part(
        first.steps + second.steps,
        usage,
        tuple(costs),
        error,
        np.concatenate((first.actions[rows_of], second.actions[columns_of]), axis=1),
    )


def undominated(*columns: Floats, ratio: float | None = None) -> Ints:
    """Indices of the points that no other beats, of two or three columns; less is better.

    Values that differ by rounding only are equal. With a ratio, so are those
    of the other columns that fall into one interval of a grid whose steps have that ratio.
    """
    if ratio is not None:
        cells = [np.floor(np.log(np.maximum(c, _TINY)) / np.log(ratio)) for c in columns[1:]]
        cells = [cell - cell.min() for cell in cells]
        shape = [int(cell.max()) + 1 for cell in cells]
        if np.prod(shape, dtype=float) <= _CELLS:
            places = [cell.astype(np.int64) for cell in cells]
            return _of_grid(columns[0], np.ravel_multi_index(places, shape), shape)
        columns = (columns[0], *cells)
    levels, last = [_levels(column) for column in columns[:-1]], columns[-1]
    order = np.lexsort((last, *levels[::-1]))
    if len(levels) == 1:
        return order[_records(last[order])]
    return order[_sweep(levels[0][order], levels[1][order], last[order])]


def _of_grid(values: Floats, cells: Ints, shape: Sequence[int]) -> Ints:
    """One index for every cell whose least value is below that of all cells before it."""
    least = np.full(int(np.prod(shape)), np.inf)
    np.minimum.at(least, cells, values)
    reached = np.flatnonzero(values == least[cells])
    index = np.full(len(least), -1)
    index[cells[reached]] = reached
    grid = least.reshape(shape)
    before = grid
    for axis in range(len(shape)):
        before = np.minimum.accumulate(before, axis=axis)
    bound = np.full(shape, np.inf)
    for axis in range(len(shape)):
        upper = [slice(None)] * len(shape)
        lower = [slice(None)] * len(shape)
        upper[axis], lower[axis] = slice(1, None), slice(None, -1)
        np.minimum(bound[tuple(upper)], before[tuple(lower)], out=bound[tuple(upper)])
    keep = np.isfinite(grid) & (grid < bound * (1 - ROUNDING))
    chosen: Ints = index[keep.ravel()]
    return chosen


def _levels(values: Floats) -> Ints:
    """Ranks of values, the same for values that differ by rounding only."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    rank = np.zeros(len(values), np.int64)
    rank[order[1:]] = np.cumsum(np.diff(ordered) > ROUNDING * np.abs(ordered[1:]))
    return rank


def _records(values: Floats, slack: float = ROUNDING) -> Bools:
    """Which values are less than all before them, by more than rounding."""
    keep = np.ones(len(values), bool)
    least = np.minimum.accumulate(values)[:-1]
    keep[1:] = values[1:] < least * (1 - slack)
    return keep


def _sweep(levels: Ints, x: Ints, y: Floats) -> Bools:
    """Which points, sorted by (level, x, y), no other beats in all three.

    Level by level; the undominated (x, y) of all levels so far are a staircase, x up and y down.
    """
    keep = np.zeros(len(levels), bool)
    stair_x, stair_y = np.array([-np.inf]), np.array([np.inf])
    bounds = np.flatnonzero(np.diff(levels)) + 1
    for start, end in zip(np.append(0, bounds), np.append(bounds, len(levels)), strict=True):
        best = stair_y[np.searchsorted(stair_x, x[start:end], side="right") - 1]
        new = start + np.flatnonzero(y[start:end] < best * (1 - ROUNDING))
        if not len(new):
            continue
        new = new[_records(y[new])]
        keep[new] = True
        all_x, all_y = np.append(stair_x, x[new]), np.append(stair_y, y[new])
        order = np.lexsort((all_y, all_x))
        all_x, all_y = all_x[order], all_y[order]
        steps = _records(all_y, 0.0)
        stair_x, stair_y = all_x[steps], all_y[steps]
    return keep
