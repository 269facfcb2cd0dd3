"""The one style: colours, titles, names under an axis, and how a figure is written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwgym._files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "BLUE",
    "COLOURS",
    "GREEN",
    "GREY",
    "HATCHES",
    "LINES",
    "MAP",
    "ORANGE",
    "SKY",
    "STYLE",
    "VERMILLION",
    "apart",
    "entitle",
    "hatches",
    "name_ticks",
    "number_axis",
    "room",
    "save_figure",
    "shorten",
    "wide",
]

# Okabe and Ito's palette: told apart by everyone, and in grey.
BLUE, ORANGE, GREEN, VERMILLION, SKY, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#56B4E9",
    "#8C8C8C",
)
COLOURS = (BLUE, ORANGE, GREEN, SKY)
"""Of things side by side."""
HATCHES = ("", "///", "...", "xx")
"""Of areas side by side."""
LINES = ((BLUE, "-"), (VERMILLION, "--"), (GREEN, "-."), (ORANGE, ":"), (SKY, "-"), (GREY, "--"))
MAP = "cividis"  # from dark blue to yellow: in order for everyone, and in grey
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#E6E6E6",
    "axes.axisbelow": True,
}
FEW = 24  # names that have room under an axis, bars that have room for hatches
LONGEST = 24  # characters of such a name
WIDE = 5  # times the least: from there on an axis is logarithmic


def entitle(figure: Figure, title: str) -> None:
    """Write a title above all of a figure, in as many lines as it takes."""
    figure.suptitle(title, fontsize=11, fontweight="bold", wrap=True)


def hatches(bars: int) -> Sequence[str]:
    """:data:`HATCHES` for areas that consist of so many bars; none where these are thin."""
    return HATCHES if bars <= FEW else ("",) * len(HATCHES)


def room(axis: Any, bars: int) -> None:
    """Set the limits of an axis of bars at 0, 1, ...; few stand in the middle, none is huge."""
    half = max(bars / 2 + 0.3, 2.0)
    axis.set_xlim((bars - 1) / 2 - half, (bars - 1) / 2 + half)


def wide(values: Iterable[float]) -> bool:
    """Whether values, at least one, are positive and so far apart that only logarithms show all."""
    found = list(values)
    return min(found) > 0 and max(found) > WIDE * min(found)


def number_axis(axis: Any, values: Iterable[float]) -> None:
    """Scale one axis (``axes.xaxis``, a colour bar's) for values, at least one; ticks as 0.5, 2 M.

    The scale is logarithmic where :func:`wide` says so; then a colour's norm must be, too.
    """
    from math import log10

    from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

    found = list(values)
    if wide(found):
        axis.axes.set(**{f"{axis.axis_name}scale": "log"})
        decades = log10(max(found) / min(found))
        digits = (1.0,) if decades > 4 else (1.0, 2.0, 5.0) if decades > 1 else (1.0, 2.0, 3.0, 5.0)
        axis.set_major_locator(LogLocator(subs=digits, numticks=10))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}" if max(found) < 1e3 else EngFormatter())


def name_ticks(axis: Any, names: Sequence[str], what: str) -> None:
    """Put names under an axis, long ones without their middle; where they are many, or would look
    the same, numbers from 1, and below them ``what``."""
    shown = [shorten(name) for name in names]
    if len(names) <= FEW and len(set(shown)) == len(set(names)):
        turned = sum(map(len, shown)) > 60
        axis.set_xticks(
            range(len(names)),
            shown,
            rotation=35 if turned else 0,
            ha="right" if turned else "center",
            rotation_mode="anchor" if turned else None,
        )
        return
    every = 1 if len(names) <= FEW else 10
    ticks = [i for i in range(len(names)) if (i + 1) % every == 0 or i == 0]
    axis.set_xticks(ticks, [str(i + 1) for i in ticks])
    axis.set_xlabel(what)


def shorten(name: str) -> str:
    """A name without its middle, if it is long."""
    half = LONGEST // 2
    return name if len(name) <= LONGEST else f"{name[: half - 1]}…{name[-half:]}"


def apart(numbers: Sequence[int], factor: float) -> list[int]:
    """Of increasing numbers those so far apart, the greatest in any case."""
    kept: list[int] = []
    for number in reversed(numbers):
        if not kept or kept[-1] >= number * factor:
            kept.append(number)
    return kept


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure; the file appears whole or not at all. The ending gives the format."""
    with replacing(path) as partial:
        figure.savefig(partial, dpi=150)
    return Path(path)
