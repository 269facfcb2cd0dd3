"""A mapping as text: as the loop nest it is, and as Timeloop writes one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwgym._arrays import Ints
from hwgym.costs.loopnest import DIMS
from hwgym.families.mapping_loopnest.accelerator import INSIDE
from hwgym.families.mapping_loopnest.space import MappingSpace

__all__ = ["Loops", "loops_of", "nest_text", "timeloop_text"]


@dataclass(frozen=True)
class Loops:
    """The loops of one level, by dimension.

    Attributes:
        level: ``DRAM``, ``L2``, ``rows``, ``columns`` or ``PE``.
        counts: Dimensions with how often, or over how many; outermost first, those of one left out.
    """

    level: str
    counts: tuple[tuple[str, int], ...]


def loops_of(mappings: MappingSpace, genes: Ints) -> tuple[Loops, ...]:
    """The levels of a complete mapping, genes (steps,), from DRAM to a PE."""
    chosen = mappings.chosen(genes[None])
    rows, columns, l2, pe = chosen.sizes[:, 0]
    dram_order, l2_order = chosen.orders[:, 0]
    inside = np.array([INSIDE.index(d) for d in DIMS])
    places = np.arange(len(DIMS))
    levels = (
        ("DRAM", mappings.extent // l2, dram_order),
        ("L2", l2 // (rows * columns * pe), l2_order),
        ("rows", rows, places),
        ("columns", columns, places),
        ("PE", pe, inside),
    )
    return tuple(
        Loops(
            level,
            tuple((DIMS[d], int(counts[d])) for d in np.argsort(order) if counts[d] > 1),
        )
        for level, counts, order in levels
    )


def nest_text(mappings: MappingSpace, genes: Ints) -> list[str]:
    """A complete mapping as lines of a loop nest."""
    what = {
        "DRAM": "L2 tiles, out of DRAM",
        "L2": "steps of the array, out of L2",
        "PE": "in a PE",
    }
    lines, depth = [], 0
    for loops in loops_of(mappings, genes):
        if loops.level in what:
            lines.append("  " * depth + f"# {what[loops.level]}")
            for dim, count in loops.counts:
                lines.append("  " * depth + f"for {dim} in {count:,}:")
                depth += 1
        elif loops.counts:
            side_by_side = " ".join(f"{dim} {count:,}" for dim, count in loops.counts)
            lines.append("  " * depth + f"spread over {loops.level}: {side_by_side}")
    return [*lines, "  " * depth + "multiply and accumulate"]


def timeloop_text(mappings: MappingSpace, genes: Ints) -> str:
    """A complete mapping in Timeloop's notation: DRAM, a shared buffer (GB), a PE's (RF).

    Timeloop's permutations have the innermost loop first, and its dimensions are ours. Rows and
    columns are one factor: it spreads a dimension once.
    """
    found = {loops.level: dict(loops.counts) for loops in loops_of(mappings, genes)}
    spread = {d: found["rows"].get(d, 1) * found["columns"].get(d, 1) for d in DIMS}
    lines = ["mapping:"]
    for target, kind, counts in (
        ("DRAM", "temporal", found["DRAM"]),
        ("GB", "temporal", found["L2"]),
        ("GB", "spatial", {d: n for d, n in spread.items() if n > 1}),
        ("RF", "temporal", found["PE"]),
    ):
        if kind == "spatial" and not counts:
            continue  # Timeloop refuses an empty one
        order = [*reversed(counts), *(d for d in DIMS if d not in counts)]
        lines += [
            f"  - target: {target}",
            f"    type: {kind}",
            f"    factors: {' '.join(f'{d}{counts.get(d, 1)}' for d in DIMS)}",
            f"    permutation: {''.join(order)}",
        ]
        if kind == "spatial":
            lines.append(f"    split: {len(DIMS)}")
    return "\n".join((*lines, ""))
