"""Pareto fronts, and the optima of dataflows and budgets side by side."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwgym._extras import naming
from hwgym._files import write_text
from hwgym.families.assignment.frontier import Frontier
from hwgym.plotting.style import (
    BLUE,
    DATAFLOW_COLOURS,
    GREY,
    LABELS,
    MAP,
    OBJECTIVE_LABELS,
    SCALES,
    STYLE,
    VERMILLION,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["comparison_figure", "frontier_figure", "frontier_page"]

HATCHES = ("", "///", "...", "xx")


def frontier_figure(front: Frontier, title: str | None = None) -> Figure:
    """Draw a Pareto front: two objectives as a staircase, three as pairs coloured by the third.

    Raises:
        ImportError: If matplotlib is not installed (``pip install 'hwgym[plot]'``).
    """
    with naming():
        import matplotlib as mpl

    from hwgym.plotting.picture import Picture

    style = {**STYLE, "axes.grid.axis": "both"}
    with mpl.rc_context(style):
        if len(front.objectives) == 2:
            figure = Picture(7.2, 4.8)
            _staircase(figure.subplots(), front)
        else:
            figure = Picture(10.4, 4.8)
            for axis, pair in zip(figure.subplots(1, 2), ((0, 2, 1), (0, 1, 2)), strict=True):
                _pair(figure, axis, front, *pair)
        exact = "exact" if front.exact else f"within {front.epsilon:.3g}"
        space = front.problem.space
        figure.suptitle(
            title
            or f"{space.workload.name}, {'+'.join(d.name for d in space.dataflows)}: "
            f"the front, {len(front):,} assignments ({exact})",
            fontsize=11,
            fontweight="bold",
        )
    return figure


def _column(front: Frontier, i: int) -> Any:
    name = front.objectives[i]
    return front.values[:, i] * SCALES.get(name, 1.0)


def _axes(axis: Any, front: Frontier, x: int, y: int) -> None:
    names = front.objectives
    for which, along, i in (("x", axis.xaxis, x), ("y", axis.yaxis, y)):
        values = _column(front, i)
        if values.max() > 5 * values.min():
            axis.set(**{f"{which}scale": "log"})
        _ticks(along, values)
    axis.set_xlabel(LABELS[names[x]])
    axis.set_ylabel(LABELS[names[y]])


def _ticks(axis: Any, values: Any) -> None:
    """Ticks as 2 M, 5 M, 10 M."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

    if values.max() > 5 * values.min():
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}" if values.max() < 1e3 else EngFormatter())


def _staircase(axis: Any, front: Frontier) -> None:
    x, y = _column(front, 0), _column(front, 1)
    axis.step(x, y, where="post", color=BLUE, linewidth=1.2)
    axis.plot(x, y, "o", color=BLUE, markersize=3 if len(x) < 400 else 1.6)
    _axes(axis, front, 0, 1)
    problem = front.problem
    if problem.constraint in front.objectives:
        limit = (problem.budget or 0) * SCALES.get(problem.constraint, 1.0)
        draw = axis.axvline if front.objectives[0] == problem.constraint else axis.axhline
        draw(limit, color=VERMILLION, linestyle="--", linewidth=1.2, label="budget")
        axis.legend(frameon=False)


def _pair(figure: Figure, axis: Any, front: Frontier, x: int, y: int, colour: int) -> None:
    from matplotlib.colors import LogNorm

    order = np.argsort(-_column(front, colour), kind="stable")
    values = _column(front, colour)[order]
    dots = axis.scatter(
        _column(front, x)[order],
        _column(front, y)[order],
        c=values,
        s=14 if len(front) < 2000 else 5,
        cmap=MAP,
        norm=LogNorm(),
        linewidths=0,
        rasterized=True,
    )
    _axes(axis, front, x, y)
    bar = figure.colorbar(dots, ax=axis, pad=0.02)
    bar.set_label(LABELS[front.objectives[colour]])
    _ticks(bar.ax.yaxis, values)


def frontier_page(front: Frontier, path: str | os.PathLike[str]) -> Path:
    """Write a page with the front to turn, zoom and point at; it needs no network.

    Raises:
        ImportError: If plotly is not installed (``pip install 'hwgym[interactive]'``).
    """
    try:
        from plotly import graph_objects as go
    except ImportError as error:
        message = "interactive pictures need plotly: pip install 'hwgym[interactive]'"
        raise ImportError(message) from error
    hover = [
        f"point {row['point']:,}<br>{row['latency_cycles']:,.0f} cycles<br>"
        f"{row['energy_nj']:,.0f} nJ<br>{row['area_um2'] / 1e6:.4f} mm²<br>"
        f"{row['power_mw']:,.1f} mW<br>{row['pes']:,} PEs"
        for row in front.rows()
    ]
    space = front.problem.space
    styles = "+".join(d.name for d in space.dataflows)
    names = [LABELS[n] for n in front.objectives]
    columns = [_column(front, i) for i in range(len(names))]
    about = {"hovertext": hover, "hoverinfo": "text"}
    figure = go.Figure()
    if len(names) == 3:
        marker = {"size": 3, "color": columns[-1], "colorscale": "Cividis", "showscale": False}
        x, y, z = columns
        figure.add_trace(go.Scatter3d(x=x, y=y, z=z, mode="markers", marker=marker, **about))
        figure.update_scenes(
            aspectmode="cube",
            camera={"eye": {"x": 1.2, "y": 1.35, "z": 0.7}, "center": {"z": -0.15}},
            xaxis={"title": {"text": names[0]}, **_log_axis(x)},
            yaxis={"title": {"text": names[1]}, **_log_axis(y)},
            zaxis={"title": {"text": names[2]}, **_log_axis(z)},
        )
    else:
        x, y = columns
        line = {"shape": "hv", "color": BLUE, "width": 1}
        figure.add_trace(go.Scatter(x=x, y=y, mode="lines+markers", line=line, **about))
        figure.update_xaxes(title=names[0], **_log_axis(x))
        figure.update_yaxes(title=names[1], **_log_axis(y))
    figure.update_layout(
        title={
            "text": f"{space.workload.name}, {styles}: the front, {len(front):,} assignments"
            f"<br><sub>{front.claim}</sub>"
        },
        template="plotly_white",
        margin={"l": 20, "r": 20, "b": 20},
    )
    page = figure.to_html(
        include_plotlyjs=True, full_html=True, default_height="94vh", config={"responsive": True}
    )
    return write_text(path, page)


def _log_axis(values: Any) -> dict[str, Any]:
    """A logarithmic axis of plotly with ticks such as 2 M, 5 M, 10 M."""
    from matplotlib.ticker import EngFormatter

    decades = range(int(np.floor(np.log10(values.min()))), int(np.ceil(np.log10(values.max()))))
    ticks = [digit * 10.0**power for power in decades for digit in (1, 2, 5)]
    text = EngFormatter(sep=" ")
    labels = [f"{t:g}" if 0 < t < 1e3 else text(t) for t in ticks]
    return {"type": "log", "tickvals": ticks, "ticktext": labels}


def comparison_figure(report: Mapping[str, Any], title: str | None = None) -> Figure:
    """Draw the optima of dataflows under budgets side by side.

    Args:
        report: ``workload``, ``objective``, ``constraint`` and, as ``rows``, what
            :func:`hwgym.families.assignment.reports.compare` gives, each with a ``name`` for its budget.
        title: Instead of its own.

    Raises:
        ImportError: If matplotlib is not installed (``pip install 'hwgym[plot]'``).
    """
    with naming():
        import matplotlib as mpl
        from matplotlib.ticker import EngFormatter

    from hwgym.plotting.picture import Picture

    rows = report["rows"]
    budgets = list(dict.fromkeys(row["name"] for row in rows))
    styles = list(dict.fromkeys(row["dataflow"] for row in rows))
    width = 0.8 / len(styles)
    what, unit = OBJECTIVE_LABELS[report["objective"]]
    with mpl.rc_context(STYLE):
        figure = Picture(8.0, 4.4)
        axis = figure.subplots()
        for i, style in enumerate(styles):
            found = {r["name"]: r["objective"] for r in rows if r["dataflow"] == style}
            places = [j - 0.4 + (i + 0.5) * width for j in range(len(budgets))]
            colour = (*DATAFLOW_COLOURS[:3], GREY)[i % 4]
            heights = [found[b] or 0 for b in budgets]
            axis.bar(
                places, heights, width * 0.92, color=colour, label=style,
                hatch=HATCHES[i % 4], edgecolor="white", linewidth=0,
            )  # fmt: skip
            for x, height in zip(places, heights, strict=True):
                if not height:
                    axis.annotate("nothing\nfits", (x, 0), ha="center", va="bottom", fontsize=7)
        axis.set_xticks(range(len(budgets)), budgets)
        axis.set_xlabel(f"{report['constraint']} budget")
        axis.set_ylabel(f"least {what} ({unit})")
        axis.set_ylim(0, None)
        axis.yaxis.set_major_formatter(EngFormatter())
        axis.legend(frameon=False, ncols=len(styles), loc="lower right", bbox_to_anchor=(1, 1))
        axis.set_title(
            title or f"{report['workload']}: proven optima", loc="left", fontweight="bold"
        )
    return figure
