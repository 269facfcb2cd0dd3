"""One picture of all figures: a panel a part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import assignments, cost, growth, limits, ppo, stepping
from benchmarks.measure import Row
from benchmarks.report import number
from hwgym.plotting.style import BLUE, GREEN, GREY, ORANGE, SKY, STYLE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MODES = {"multi_discrete": (BLUE, "o"), "discrete": (ORANGE, "s"), "continuous": (GREEN, "^")}
STYLES = {stepping.RANDOM: "-", stepping.REPLAYED: "--"}
GOAL: dict[str, Any] = {"color": VERMILLION, "linewidth": 1, "linestyle": ":"}


def speed_figure(rows: Sequence[Row]) -> Figure:
    """Draw the figures that there are.

    Raises:
        ValueError: If there are none that a panel shows.
        ImportError: If matplotlib is not installed (``pip install 'hwgym[plot]'``).
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    panels = [panel for part, panel in PANELS if any(row.part == part for row in rows)]
    if not panels:
        raise ValueError("nothing to draw: none of the figures has a panel")
    across = min(len(panels), 3)
    down = -(-len(panels) // across)
    with mpl.rc_context({**STYLE, "legend.frameon": False, "legend.fontsize": 8}):
        figure = Figure(figsize=(4.6 * across, 3.9 * down), layout="constrained")
        axes = figure.subplots(down, across, squeeze=False).ravel()
        for axis, panel in zip(axes, panels, strict=False):
            panel(axis, rows)
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        for axis in axes:
            axis.minorticks_off()
    return figure


def _cost(axis: Axes, rows: Sequence[Row]) -> None:
    rows = [row for row in rows if row.part == cost.PART]
    styles = list(dict.fromkeys(str(row.case["dataflow"]) for row in rows))
    peers = list(dict.fromkeys(row.peer for row in rows))
    sizes = sorted({int(row.case["points"]) for row in rows})
    colours = dict(zip(peers, (BLUE, ORANGE, GREEN, GREY), strict=False))
    for i, style in enumerate(styles):
        for j, peer in enumerate(peers):
            y = i + (j - (len(peers) - 1) / 2) * 0.22
            those = [r for r in rows if r.case["dataflow"] == style and r.peer == peer]
            values = [(r.ratio or r.ours).median for r in those]
            axis.plot(values, [y] * len(values), color=colours[peer], linewidth=1)
            for row, value in zip(those, values, strict=True):
                rank = sizes.index(int(row.case["points"]))
                axis.plot(
                    value, y, "o", color=colours[peer], markersize=3 + 2.5 * rank,
                    label=(peer or "points/s") if not rank and not i else None,
                )  # fmt: skip
    axis.set_xscale("log")
    axis.grid(axis="x")
    for peer, goal in {cost.MANY: 200, cost.PROCESS: 2000}.items():
        if peer in peers:
            axis.plot([goal] * 2, [len(styles), -0.45], **{**GOAL, "color": colours[peer]})
            axis.text(
                goal, len(styles) - 0.3, f"asked: {goal:,} ", color=colours[peer], fontsize=7.5,
                ha="right", va="center",
            )  # fmt: skip
    axis.set_yticks(range(len(styles)), styles)
    axis.set_ylim(len(styles) - 0.1, -0.6 - 0.25 * len(peers))
    axis.set_xlabel(f"times as fast; {', '.join(f'{n:,}' for n in sizes)} points (larger marks)")
    legend = axis.legend(loc="upper left")
    for handle in legend.legend_handles:
        handle.set_markersize(6)  # type: ignore[union-attr]
    _title(axis, "Cost model, points per second")


def _ratio(axis: Axes, rows: Sequence[Row]) -> None:
    rows = [r for r in rows if r.part == stepping.PART and r.peer == stepping.CARTPOLE]
    sizes = list(dict.fromkeys(r.case["environments"] for r in rows))
    for mode, (colour, marker) in MODES.items():
        for kind, line in STYLES.items():
            those = [r for r in rows if r.name == kind and r.case["mode"] == mode and r.ratio]
            if not those:
                continue
            x = [sizes.index(r.case["environments"]) for r in those]
            spreads = [r.ratio for r in those if r.ratio]
            middle = [s.median for s in spreads]
            low, high = [s.low for s in spreads], [s.high for s in spreads]
            begin = int(those[0].case["environments"] == "scalar")  # no line leads from it
            axis.plot(
                x[begin:], middle[begin:], line, color=colour, marker=marker, markersize=4,
                label=mode if line == "-" else None,
            )  # fmt: skip
            axis.fill_between(
                x[begin:], low[begin:], high[begin:], color=colour, alpha=0.15, linewidth=0
            )
            if begin:
                offset = 0.12 * (list(MODES).index(mode) - 1)
                axis.plot(
                    x[0] + offset, middle[0], marker, color=colour, markersize=5,
                    markerfacecolor=colour if line == "-" else "white",
                )  # fmt: skip
                axis.plot([x[0] + offset] * 2, [low[0], high[0]], color=colour, linewidth=1)
    axis.set_yscale("log")
    axis.axhline(1, **GOAL)
    if "scalar" in sizes:
        axis.plot([-0.3, 0.3], [0.5, 0.5], **GOAL)
    low_end, high_end = axis.get_ylim()
    axis.set_ylim(low_end / 1.7, max(high_end, 2))
    ticks = [t for t in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10) if _within(axis, t)]
    axis.set_yticks(ticks, [f"{t:g}" for t in ticks])
    axis.minorticks_off()
    axis.set_xticks(range(len(sizes)), [s if isinstance(s, str) else f"{s:,}" for s in sizes])
    axis.set_xlabel("environments; dashed, hollow: whole episodes; dotted: asked")
    axis.legend(ncols=3, loc="lower center", columnspacing=1, handlelength=1.5)
    _title(axis, "Stepping, times CartPole's rate")


def _steps(axis: Axes, rows: Sequence[Row]) -> None:
    rows = [r for r in rows if r.part == stepping.PART and isinstance(r.case["environments"], int)]
    peers = {stepping.CARTPOLE: ("black", "CartPole"), "SyncVectorEnv": (GREY, "SyncVectorEnv")}
    for mode, (colour, marker) in MODES.items():
        for kind, line in STYLES.items():
            those = [
                r
                for r in rows
                if (r.name, r.case["mode"], r.peer) == (kind, mode, stepping.CARTPOLE)
            ]
            axis.plot(
                [int(r.case["environments"]) for r in those], [r.ours.median for r in those], line,
                color=colour, marker=marker, markersize=4, label=mode if line == "-" else None,
            )  # fmt: skip
    for peer, (colour, label) in peers.items():
        those = [
            r
            for r in rows
            if (r.name, r.case["mode"], r.peer) == (stepping.RANDOM, "multi_discrete", peer)
        ]
        axis.plot(
            [int(r.case["environments"]) for r in those],
            [r.theirs.median for r in those if r.theirs],
            color=colour, marker="x", markersize=4, label=label,
        )  # fmt: skip
    axis.axhline(1e7, **GOAL)
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    sizes = sorted({int(r.case["environments"]) for r in rows})
    axis.set_xticks(sizes, [f"{n:,}" for n in sizes])
    axis.set_xlabel("environments; dashed: whole episodes; dotted: asked")
    axis.legend()
    _title(axis, "Stepping, steps per second")


def _bars(axis: Axes, rows: Sequence[Row]) -> None:
    """PPO and assignments: ratios to what they replace."""
    lines = []
    for row in rows:
        if row.part == ppo.PART and row.ratio:
            what = f"{row.name}, {row.case['environments']:,} envs"
            lines.append((what, row.peer, row.ratio, BLUE))
        if row.part == assignments.PART and row.ratio:
            lines.append((row.name.split(" ")[0], row.peer, row.ratio, ORANGE))
    y = np.arange(len(lines))
    middle = [ratio.median for *_, ratio, _ in lines]
    axis.barh(y, middle, color=[colour for *_, colour in lines], height=0.6)
    for i, (what, peer, ratio, _) in enumerate(lines):
        axis.text(ratio.median, i, f" {number(ratio.median)}", va="center", ha="left", fontsize=8)
        axis.text(0.55, i - 0.42, f"{what} / {peer}", va="center", fontsize=7)
    axis.set_xscale("log")
    axis.set_xlim(0.5, max(middle) * 6)
    axis.set_ylim(len(lines) - 0.4, -0.8)
    axis.set_yticks([])
    axis.grid(axis="x")
    axis.set_xlabel("times as fast")
    _title(axis, "PPO, and assignments evaluated")


def _machine(axis: Axes, rows: Sequence[Row]) -> None:
    rows = [r for r in rows if r.part == limits.PART and r.ratio]
    labels = list(dict.fromkeys((r.name, str(r.case["mode"])) for r in rows))
    for i, label in enumerate(labels):
        for j, (where, colour) in enumerate({"memory": BLUE, "cache": SKY}.items()):
            (row,) = (
                r for r in rows if (r.name, r.case["mode"]) == label and r.peer.endswith(where)
            )
            assert row.ratio is not None
            y = i + (j - 0.5) * 0.3
            axis.barh(
                y, 100 * row.ratio.median, height=0.28, color=colour,
                label=f"bandwidth of {where}" if i == 0 else None,
            )  # fmt: skip
            axis.text(
                100 * row.ratio.median, y, f" {number(100 * row.ratio.median)} %", va="center",
                fontsize=7,
            )  # fmt: skip
    names = [n.replace(" step", "") if m == "-" else f"{n},\n{m}" for n, m in labels]
    axis.set_yticks(range(len(labels)), names, fontsize=7.5)
    axis.set_ylim(len(labels) - 0.4, -1.4)
    axis.set_xscale("log")
    # Beyond 100 % of the memory's where the tables stay in cache.
    axis.set_xlim(1, 10 * max(100.0, max(100 * r.ratio.median for r in rows if r.ratio)))
    axis.grid(axis="x")
    axis.set_xlabel("% of what could be moved")
    axis.legend(ncols=2, loc="upper left")
    _title(axis, "Bytes that must move: share of the best")


def _growth(axis: Axes, rows: Sequence[Row]) -> None:
    rows = [r for r in rows if r.part == growth.PART]
    colours = (BLUE, ORANGE, GREEN, VERMILLION)
    for k, axis_name in enumerate(dict.fromkeys(str(r.case["axis"]) for r in rows)):
        those = [r for r in rows if r.case["axis"] == axis_name]
        points = [r for r in those if r.case["size"] != growth.SLOPE]
        (fit,) = (r for r in those if r.case["size"] == growth.SLOPE)
        axis.plot(
            [int(r.case["size"]) for r in points], [r.ours.median for r in points],
            color=colours[k % 4], marker="os^D"[k % 4], markersize=4,
            label=f"{fit.name} by {axis_name}: {fit.ours.median:.2f}, "
            f"{fit.extra['upper_half']:.2f}",
        )  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    axis.set_ylim(low, high * (high / low) ** 0.55)
    axis.set_xlabel("size")
    axis.set_ylabel("seconds a call")
    axis.legend(
        loc="upper left", title="slope: overall, larger half", title_fontsize=8, alignment="left"
    )
    _title(axis, "Growth")


def _title(axis: Axes, text: str) -> None:
    axis.set_title(text, loc="left", fontweight="bold")


def _within(axis: Axes, value: float) -> bool:
    low, high = axis.get_ylim()
    return low <= value <= high


PANELS: tuple[tuple[str, Callable[[Any, Sequence[Row]], None]], ...] = (
    (cost.PART, _cost),
    (stepping.PART, _ratio),
    (stepping.PART, _steps),
    (assignments.PART, _bars),
    (limits.PART, _machine),
    (growth.PART, _growth),
)
