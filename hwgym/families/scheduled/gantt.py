"""A schedule in one picture: which core runs what, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwgym._arrays import Floats, Ints
from hwgym.plotting.style import BLUE, GREEN, GREY, ORANGE, STYLE, VERMILLION, entitle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LAYER_COLOURS", "Gantt", "draw_gantt"]

LAYER_COLOURS: Mapping[str, tuple[str, str]] = {
    "CONV": ("convolution", BLUE),
    "DSCONV": ("depthwise", ORANGE),
    "GEMM": ("matrix product", GREEN),
}
"""What a kind of layer is called, and its colour."""


@dataclass(frozen=True)
class Gantt:
    """What a chart shows.

    Attributes:
        core: (jobs,), the row of each bar.
        start, end: (jobs,), cycles.
        colours: Of each bar.
        rows: What cores are called, the first on top.
        legend: (what, colour) pairs.
        bound: No schedule ends sooner; None if that is not known.
        wanted: (jobs,), what of the shared bandwidth each job wants while it runs, as a share of
            it; None where nothing is shared.
    """

    core: Ints
    start: Floats
    end: Floats
    colours: Sequence[Any]
    rows: Sequence[str]
    legend: Sequence[tuple[str, Any]]
    bound: float | None = None
    wanted: Floats | None = None


def draw_gantt(figure: Figure, chart: Gantt, heading: str, title: str) -> None:
    """Draw a bar a job, a row a core, in cycles; below, the bandwidth that the jobs that run want,
    against what there is, where they share one."""
    import matplotlib as mpl
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.ticker import EngFormatter

    with mpl.rc_context({**STYLE, "axes.grid.axis": "x"}):
        axes: Any
        if chart.wanted is None:
            bars = last = figure.subplots()
        else:
            axes = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
            bars, last = axes
        bars.barh(
            chart.core,
            chart.end - chart.start,
            left=chart.start,
            height=0.8,
            color=list(chart.colours),
            edgecolor="white",
            linewidth=min(0.6, 60 / len(chart.core)),
        )
        bars.set_yticks(range(len(chart.rows)), chart.rows)
        bars.set_ylim(len(chart.rows) - 0.5, -0.5)
        marks: list[Any] = [Patch(color=colour, label=what) for what, colour in chart.legend]
        if chart.bound is not None:
            bars.axvline(chart.bound, color=VERMILLION, linestyle="--", linewidth=1)
            marks.append(Line2D([], [], color=VERMILLION, linestyle="--", label="lower bound"))
        bars.legend(
            handles=marks,
            loc="lower center",
            bbox_to_anchor=(0.5, 1.08),
            ncols=min(len(marks), 5),
            frameon=False,
        )
        bars.set_title(heading, loc="left")
        if chart.wanted is not None:
            times = np.unique(np.concatenate([chart.start, chart.end]))
            running = (chart.start[:, None] <= times[:-1]) & (chart.end[:, None] > times[:-1])
            total = (chart.wanted[:, None] * running).sum(axis=0)
            last.stairs(total, times, fill=True, color=GREY)
            last.axhline(1.0, color=VERMILLION, linewidth=1)
            last.set_ylabel("wanted / bandwidth")
        last.set_xlabel("cycles")
        last.xaxis.set_major_formatter(EngFormatter())
        last.set_xlim(0, max(float(chart.end.max()), chart.bound or 0.0) * 1.01)
        entitle(figure, title)
