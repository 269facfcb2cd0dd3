"""A Gantt chart of characters."""

from __future__ import annotations

import string
from collections.abc import Sequence

import numpy as np
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from hwgym._arrays import Floats, Ints
from hwgym.plotting.style import BLUE, GREEN, GREY, ORANGE, SKY, VERMILLION

__all__ = ["gantt"]

INKS = (
    ("#ffffff", BLUE),
    ("#000000", ORANGE),
    ("#000000", GREEN),
    ("#000000", SKY),
    ("#000000", VERMILLION),
    ("#000000", GREY),
)
"""Of letters, and behind them: a network each, as in pictures."""
LETTERS = string.ascii_uppercase + string.ascii_lowercase
IDLE, BOUND = "·", "┘"
LEAST_COLUMNS = 20


def gantt(
    rows: Sequence[str],
    core: Ints,
    start: Floats,
    end: Floats,
    kind: Ints,
    kinds: Sequence[str],
    bound: float,
    width: int,
) -> RenderableType:
    """A row a core, a column an equal share of the makespan, in it the letter of what runs longest
    there; below, a mark where the lower bound is, and what letters mean.

    Args:
        rows: What cores are called, the first on top.
        core: (jobs,), the row of each.
        start, end: (jobs,), cycles.
        kind: (jobs,), what of ``kinds`` each is.
        kinds: What is told apart.
        bound: No schedule ends sooner; at most the makespan.
        width: Of the terminal, in characters.
    """
    margin = max(map(cell_len, rows)) + 2
    columns = max(width - margin - 1, LEAST_COLUMNS)
    makespan = float(end.max())
    shown = shares(len(rows), core, start, end, kind, len(kinds), columns).argmax(axis=-1)
    lines = []
    for name, cells in zip(rows, shown, strict=True):
        line = Text(f"{name:<{margin}}", no_wrap=True)
        for cell in cells.tolist():
            line.append(*_cell(cell))
        lines.append(line)
    at = min(int(bound / makespan * columns), columns - 1)
    below = " " * margin + "0".ljust(columns)
    mark = "lower bound " + BOUND
    place = max(margin + at + 1 - len(mark), margin + 2)
    lines.append(Text(below[:place] + mark, style="dim", no_wrap=True))
    legend = Text()
    for number, name in enumerate(kinds):
        legend.append(*_cell(number + 1))
        legend.append(f"\u00a0{name.replace(' ', chr(0xA0))}  ")
    legend.append(*_cell(0))
    legend.append("\u00a0idle")
    title = f"Who runs what: a column is {makespan / columns:,.0f} of {makespan:,.0f} cycles"
    return Group(Text(title, style="bold"), *lines, legend)


def shares(
    rows: int, core: Ints, start: Floats, end: Floats, kind: Ints, kinds: int, columns: int
) -> Floats:
    """(rows, columns, 1 + kinds): the share of each column in which a row is idle, or runs jobs of
    each kind."""
    edges = np.linspace(0.0, float(end.max()), columns + 1)
    overlap = np.minimum(end[:, None], edges[1:]) - np.maximum(start[:, None], edges[:-1])
    found = np.zeros((rows, 1 + kinds, columns))
    np.add.at(found, (core, kind + 1), np.maximum(overlap, 0.0) / edges[1])
    found[:, 0] = 1.0 - found[:, 1:].sum(axis=1)
    return found.transpose(0, 2, 1)


def _cell(number: int) -> tuple[str, str]:
    """A character and its style: of what is idle, or of the kind of that number less 1."""
    if number == 0:
        return IDLE, "dim"
    ink, paper = INKS[(number - 1) % len(INKS)]
    return LETTERS[(number - 1) % len(LETTERS)], f"{ink} on {paper}"
