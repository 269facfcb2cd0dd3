"""A mapping in one picture: its loops, where its cycles go, and what fills its buffers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hwgym._extras import naming
from hwgym.families.mapping.report import DIMENSIONS, Explanation, Loop, wait_text
from hwgym.plotting.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SKY,
    STYLE,
    VERMILLION,
    entitle,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_mapping", "mapping_figure"]

COLOUR_OF = dict(zip(DIMENSIONS, (BLUE, ORANGE, GREEN, SKY), strict=True))
KINDS = {"steps": BLUE, "first": GREY, "in": ORANGE, "out": GREEN, "offchip": VERMILLION}
MOST_CELLS = 64  # tiles drawn one by one; of more only where they end
LEVELS = ("array", "cluster")
BOX = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85}


def mapping_figure(told: Explanation, title: str | None = None) -> Figure:
    """Draw a mapping: its loop nest, the split of its cycles, buffers against what there is.

    A bar of the nest is what a loop walks, cut into its tiles; those that are held at the same
    time, by units side by side, are dark, and inside the first of them goes the next loop of that
    dimension.

    Args:
        told: As :func:`hwgym.families.mapping.report.explain` says it.
        title: Instead of its own.

    Raises:
        ValueError: If the mapping does not run on the array, so that there is nothing to draw.
        ImportError: If matplotlib is not installed (``pip install 'hwgym[plot]'``).
    """
    with naming():
        from hwgym.plotting.picture import Picture

    figure = Picture(9.0, 2.6 + 0.42 * (len(_shown(told)) + 1))
    draw_mapping(figure, told, title)
    return figure


def draw_mapping(figure: Figure, told: Explanation, title: str | None = None) -> None:
    """Draw it on a figure; takes and raises what :func:`mapping_figure` does."""
    import matplotlib as mpl

    if not told.time:
        raise ValueError(f"the mapping does not run on {told.hardware.title}")
    shown = _shown(told)
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        rows: Any = figure.subfigures(2, 1, height_ratios=[0.42 * (len(shown) + 1) + 0.5, 2.0])
        _draw_nest(rows[0].subplots(), shown, told)
        time, buffers = rows[1].subplots(1, 2, width_ratios=[3, 2])
        _draw_time(time, told)
        _draw_buffers(buffers, told)
        entitle(figure, title or _title(told))


def _shown(told: Explanation) -> list[Loop]:
    return [loop for loop in told.loops if not loop.idle]


def _title(told: Explanation) -> str:
    costs = told.fixed if told.model == "fixed" else told.costs
    cycles, energy = int(costs["runtime_cycles"]), costs["energy_nj"]
    return f"{told.layer.name} on {told.hardware.title}: {cycles:,} cycles, {energy:,.0f} nJ" + (
        "" if told.valid else ", not possible"
    )


def _draw_nest(axis: Any, loops: Sequence[Loop], told: Explanation) -> None:
    """Each loop a bar from 0 to 1, indented by its depth."""
    names = []
    for row, loop in enumerate(loops):
        colour = COLOUR_OF[loop.dimension]
        share = min(loop.tile / loop.extent, 1.0)
        at_once = min(loop.units * share, 1.0)
        axis.barh(row, 1.0, 0.62, color=colour, alpha=0.25, linewidth=0)
        axis.barh(row, at_once, 0.62, color=colour, linewidth=0)
        if loop.tiles <= MOST_CELLS:
            for cut in range(1, loop.tiles):
                axis.plot([cut * share] * 2, [row - 0.31, row + 0.31], color="white", linewidth=0.8)
        text = f"{loop.rounds:,} rounds" if loop.rounds > 1 else "at once"
        if loop.edge:
            text += f"; at the edge {loop.edge}"
        axis.annotate(text, (1.01, row), va="center", fontsize=8, color="#444444",
                      annotation_clip=False)  # fmt: skip
        names.append(loop.text)
    sizes = " x ".join(f"{name} {size:,}" for name, size in told.holds[1].items())
    r, s = told.layer.R, told.layer.S
    axis.annotate(
        f"a PE: {sizes} x R {r} x S {s} = {told.steps:,} multiply-accumulates",
        (0.0, len(loops)), va="center", fontsize=9,
    )  # fmt: skip
    axis.set_yticks(range(len(loops)), names)
    axis.tick_params(axis="y", length=0)
    for level, name in enumerate(LEVELS):
        mine = [i for i, loop in enumerate(loops) if loop.level == name]
        if level and mine and mine[0]:
            axis.axhline(mine[0] - 0.5, color="#555555", linewidth=0.8, linestyle=":")
    axis.set_ylim(len(loops) + 0.6, -0.6)
    axis.set_xlim(0, 1)
    axis.set_xticks([])
    for side in ("left", "bottom"):
        axis.spines[side].set_visible(False)
    axis.set_title(
        "Loop nest; dark is held at a time, below the dotted line in a cluster", loc="left"
    )


def _draw_time(axis: Any, told: Explanation) -> None:
    whole = sum(part.cycles for part in told.time)
    parts = [part for part in told.time if part.cycles]
    for row, part in enumerate(parts):
        share = 100 * part.cycles / whole
        axis.barh(row, share, 0.62, color=KINDS[part.kind], linewidth=0)
        axis.annotate(
            f" {share:.1f} %, {part.cycles:,} ", (share, row), va="center", fontsize=8,
            ha="left" if share < 60 else "right", color="black" if share < 60 else "white",
        )  # fmt: skip
    axis.set_yticks(range(len(parts)), [_wrapped(wait_text(part)) for part in parts])
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(max(len(parts), 3) - 0.4, -0.6)
    axis.set_xlim(0, 100)
    axis.set_xlabel("% of the cycles")
    axis.set_title("Where the cycles go", loc="left")


def _wrapped(text: str) -> str:
    name, colon, rest = text.partition(": ")
    return f"{name}: {rest.partition(',')[0]}" if colon else text


def _draw_buffers(axis: Any, told: Explanation) -> None:
    limits = {"L1": told.hardware.l1_bytes, "L2": told.hardware.l2_bytes}
    shares = [100 * told.used[name.lower()] / limit for name, limit in limits.items()]
    end = max(100.0, *shares) * 1.05
    for row, (name, limit) in enumerate(limits.items()):
        used = told.used[name.lower()]
        over = used > limit
        axis.barh(row, 100, 0.62, color="#E6E6E6", linewidth=0)
        axis.barh(row, shares[row], 0.62, color=VERMILLION if over else BLUE, linewidth=0)
        axis.annotate(
            f"{used:,} of {limit:,} B", (end / 60, row), va="center", fontsize=8, bbox=BOX
        )
    axis.axvline(100, color="#555555", linewidth=0.9)
    axis.set_yticks(range(len(limits)), list(limits))
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(2.6, -0.6)
    axis.set_xlim(0, end)
    axis.set_xlabel("% of what there is")
    axis.set_title("Buffers", loc="left")
