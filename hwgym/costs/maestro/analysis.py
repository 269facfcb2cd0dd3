"""The analysis: what a mapping costs, level by level and case by case.

MAESTRO (Kwon et al., MICRO 2019) walks a mapping's loops not one iteration at a time but one *case*
at a time. Along each dimension an iteration is the first (``INIT``), one of the full ones that
follow (``STEADY``) or the clipped last (``EDGE``); a case is one combination over all dimensions,
with the number of iterations it stands for. Each case has its traffic, its delay and, below it, one
or two sub-problems for the next level, of the tile that the case hands down.

Here every quantity is an int64 array over the rows of a query. Rows whose dimensions have the same
states share a list of cases, so they are grouped by that, and a case is straight-line arithmetic on
arrays. Divisions truncate towards zero, as they do in the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from hwgym._arrays import Array, Ints
from hwgym.costs.maestro.arithmetic import distinct
from hwgym.costs.maestro.cases import Below, Cases, Totals, Work
from hwgym.costs.maestro.levels import TENSORS, Interconnect, Level
from hwgym.costs.maestro.states import Block, grid_of, states_of

__all__ = ["analyse", "analyse_level"]

BLOCK = 1 << 15
"""Cases x rows analysed at once: what they touch stays in cache."""

_W = TypeVar("_W", bound=Work)


def analyse(
    levels: Sequence[Level], dims: dict[str, Ints], noc: Interconnect, *, depthwise: bool
) -> Totals:
    """Cost of the outermost level (and, through it, of all below) for every row."""
    rows = np.arange(len(levels[0].units))
    return analyse_level(levels, 0, dims, rows, noc, TENSORS[depthwise], Cases.totals)


def analyse_level(
    levels: Sequence[Level],
    depth: int,
    dims: dict[str, Ints],
    points: Ints,
    noc: Interconnect,
    tensors: dict[str, str],
    add_up: Callable[[Cases], _W],
) -> _W:
    """Analyse level ``depth`` on tiles ``dims``; row i belongs to design point ``points[i]``.

    ``add_up`` says what is wanted of its cases.
    """
    level = levels[0] if depth == 0 else levels[depth].take(points)
    states = [states_of(m, dims[m.dim], level.units) for m in level.maps]
    code = np.zeros(len(points), np.int64)
    for i, s in enumerate(states):
        code |= (s.has_steady.astype(np.int64) | s.has_edge.astype(np.int64) << 1) << (2 * i)

    # Rows side by side whose maps go through the same states: a block of them shares its cases.
    order = np.argsort(code.astype(np.uint16), kind="stable")  # 2 bits for each of 6 dimensions
    code, points = code[order], points[order]
    level = level.take(order)
    states = [s.take(order) for s in states]
    starts = np.flatnonzero(np.diff(code, prepend=-1)).tolist()
    blocks = []
    for start, end in zip(starts, [*starts[1:], len(code)], strict=True):
        grid = grid_of(int(code[start]), len(states))
        step = max(BLOCK // int(np.prod([len(positions) for positions in grid])), 1)
        for begin in range(start, end, step):
            rows = slice(begin, min(begin + step, end))
            blocks.append(
                Block(
                    level.take(rows),
                    [s.take(rows) for s in states],
                    grid,
                    tensors,
                    points[rows],
                )
            )
    below: Sequence[Below | None] = [None] * len(blocks)
    if depth + 1 < len(levels):
        below = _analyse_below(levels, depth + 1, blocks, noc, tensors)
    parts = [
        add_up(Cases.of(block, found, noc.take(block.points)))
        for block, found in zip(blocks, below, strict=True)
    ]
    return _gather(parts, order)


def _gather(parts: list[_W], order: Ints) -> _W:
    """One struct of arrays from those of blocks; ``order`` says which rows theirs are."""

    def gather(arrays: list[Array]) -> Array:
        whole = np.empty(len(order), arrays[0].dtype)
        whole[order] = np.concatenate(arrays)
        return whole

    values: dict[str, Any] = {}
    for name, first in vars(parts[0]).items():
        if isinstance(first, dict):
            values[name] = {k: gather([getattr(p, name)[k] for p in parts]) for k in first}
        else:
            values[name] = gather([getattr(p, name) for p in parts])
    return type(parts[0])(**values)


def _analyse_below(
    levels: Sequence[Level],
    depth: int,
    blocks: Sequence[Block],
    noc: Interconnect,
    tensors: dict[str, str],
) -> list[Below]:
    """Analyse every sub-problem that any case of any block hands down: all in one call, and those
    that are the same only once."""
    tiles = [[b.tiles_below(clipped=c) for c in (False, True)[: 1 + b.clips]] for b in blocks]
    flat = [(b, t) for b, ts in zip(blocks, tiles, strict=True) for t in ts]
    dims = {d: np.concatenate([t.dims[d].ravel() for _, t in flat]) for d in flat[0][1].dims}
    points = np.concatenate([np.tile(b.points, len(t.dims["C"])) for b, t in flat])
    first, same = distinct([_kinds(levels[depth:], noc)[points], *dims.values()])
    result = analyse_level(
        levels,
        depth,
        {d: sizes[first] for d, sizes in dims.items()},
        points[first],
        noc,
        tensors,
        Cases.work,
    )
    answers = []
    start = 0
    for block, t in flat:
        shape = (len(t.dims["C"]), len(block.points))
        rows = same[start : start + shape[0] * shape[1]].reshape(shape)
        start += rows.size
        answers.append(Work(**{n: v[rows][t.of_case] for n, v in vars(result).items()}))
    remaining, aborts = iter(answers), bool(result.aborted.any())
    return [Below(next(remaining), next(remaining) if b.clips else None, aborts) for b in blocks]


def _kinds(levels: Sequence[Level], noc: Interconnect) -> Ints:
    """A number for each design point, equal where these levels are."""
    columns = [np.asarray(getattr(noc, f)) for f in noc.__dataclass_fields__]
    for level in levels:
        columns += [level.units, *level.dims.values()]
        for m in level.maps:
            columns += [m.size, m.offset]
    rows = len(levels[0].units)
    return distinct([np.broadcast_to(c, rows) for c in columns])[1]
