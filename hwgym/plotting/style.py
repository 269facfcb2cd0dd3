"""The one style: colours, titles, names under an axis, and how a figure is written."""

from __future__ import annotations

import os
from collections.abc import Sequence
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
    "entitle",
    "name_ticks",
    "save_figure",
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
FEW = 24  # names that have room under an axis


def entitle(figure: Figure, title: str) -> None:
    """Write a title above all of a figure."""
    figure.suptitle(title, fontsize=11, fontweight="bold")


def name_ticks(axis: Any, names: Sequence[str], what: str) -> None:
    """Put names under an axis; where they are many, numbers from 1, and below them ``what``."""
    if len(names) <= FEW:
        turned = sum(map(len, names)) > 60
        axis.set_xticks(
            range(len(names)),
            names,
            rotation=35 if turned else 0,
            ha="right" if turned else "center",
            rotation_mode="anchor" if turned else None,
        )
        return
    ticks = [i for i in range(len(names)) if (i + 1) % 10 == 0 or i == 0]
    axis.set_xticks(ticks, [str(i + 1) for i in ticks])
    axis.set_xlabel(what)


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure; the file appears whole or not at all. The ending gives the format."""
    with replacing(path) as partial:
        figure.savefig(partial, dpi=150)
    return Path(path)
