"""Pareto fronts, from plain arrays: figures, and pages to turn and point at."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwgym._arrays import Floats
from hwgym._extras import naming
from hwgym._files import write_text
from hwgym.plotting.style import BLUE, MAP, STYLE, VERMILLION, entitle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["front_figure", "front_page"]

MANY = 2000  # points, of which each is drawn small


def front_figure(
    values: Floats,
    labels: Sequence[str],
    *,
    title: str,
    limits: Mapping[int, float] | None = None,
) -> Figure:
    """Draw a Pareto front: two columns as a staircase, three as pairs coloured by the third.

    Args:
        values: (N, 2 or 3), by increasing first column.
        labels: What each column is.
        title: Above it.
        limits: What a column may not exceed, drawn beside a staircase.

    Raises:
        ImportError: If matplotlib is not installed (``pip install 'hwgym[plot]'``).
    """
    with naming():
        import matplotlib as mpl

    from hwgym.plotting.picture import Picture

    with mpl.rc_context({**STYLE, "axes.grid.axis": "both"}):
        if len(labels) == 2:
            figure = Picture(7.2, 4.8)
            _staircase(figure.subplots(), values, labels, limits or {})
        else:
            figure = Picture(10.4, 4.8)
            for axis, pair in zip(figure.subplots(1, 2), ((0, 2, 1), (0, 1, 2)), strict=True):
                _pair(figure, axis, values, labels, *pair)
        entitle(figure, title)
    return figure


def _axes(axis: Any, values: Floats, labels: Sequence[str], x: int, y: int) -> None:
    for which, along, i in (("x", axis.xaxis, x), ("y", axis.yaxis, y)):
        column = values[:, i]
        if column.max() > 5 * column.min():
            axis.set(**{f"{which}scale": "log"})
        _ticks(along, column)
    axis.set_xlabel(labels[x])
    axis.set_ylabel(labels[y])


def _ticks(axis: Any, values: Floats) -> None:
    """Ticks as 2 M, 5 M, 10 M."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

    if values.max() > 5 * values.min():
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}" if values.max() < 1e3 else EngFormatter())


def _staircase(
    axis: Any, values: Floats, labels: Sequence[str], limits: Mapping[int, float]
) -> None:
    x, y = values.T
    axis.step(x, y, where="post", color=BLUE, linewidth=1.2)
    axis.plot(x, y, "o", color=BLUE, markersize=3 if len(x) < 400 else 1.6)
    _axes(axis, values, labels, 0, 1)
    for column, limit in limits.items():
        draw = (axis.axvline, axis.axhline)[column]
        draw(limit, color=VERMILLION, linestyle="--", linewidth=1.2, label="budget")
        axis.legend(frameon=False)


def _pair(
    figure: Figure,
    axis: Any,
    values: Floats,
    labels: Sequence[str],
    x: int,
    y: int,
    colour: int,
) -> None:
    from matplotlib.colors import LogNorm

    rows = values[np.argsort(-values[:, colour], kind="stable")]
    dots = axis.scatter(
        rows[:, x],
        rows[:, y],
        c=rows[:, colour],
        s=14 if len(rows) < MANY else 5,
        cmap=MAP,
        norm=LogNorm(),
        linewidths=0,
        rasterized=True,
    )
    _axes(axis, values, labels, x, y)
    bar = figure.colorbar(dots, ax=axis, pad=0.02)
    bar.set_label(labels[colour])
    _ticks(bar.ax.yaxis, rows[:, colour])


def front_page(
    values: Floats,
    labels: Sequence[str],
    hover: Sequence[str],
    path: str | os.PathLike[str],
    *,
    title: str,
) -> Path:
    """Write a page with a front to turn, zoom and point at; it needs no network.

    Args:
        values: (N, 2 or 3), by increasing first column.
        labels: What each column is.
        hover: (N,), what is said of a point that is pointed at.
        path: Of the page.
        title: Above it, in HTML.

    Raises:
        ImportError: If plotly is not installed (``pip install 'hwgym[interactive]'``).
    """
    try:
        from plotly import graph_objects as go
    except ImportError as error:
        message = "interactive pictures need plotly: pip install 'hwgym[interactive]'"
        raise ImportError(message) from error
    columns = list(values.T)
    about = {"hovertext": list(hover), "hoverinfo": "text"}
    figure = go.Figure()
    if len(columns) == 3:
        marker = {"size": 3, "color": columns[-1], "colorscale": "Cividis", "showscale": False}
        x, y, z = columns
        figure.add_trace(go.Scatter3d(x=x, y=y, z=z, mode="markers", marker=marker, **about))
        figure.update_scenes(
            aspectmode="cube",
            camera={"eye": {"x": 1.2, "y": 1.35, "z": 0.7}, "center": {"z": -0.15}},
            xaxis={"title": {"text": labels[0]}, **_log_axis(x)},
            yaxis={"title": {"text": labels[1]}, **_log_axis(y)},
            zaxis={"title": {"text": labels[2]}, **_log_axis(z)},
        )
    else:
        x, y = columns
        line = {"shape": "hv", "color": BLUE, "width": 1}
        figure.add_trace(go.Scatter(x=x, y=y, mode="lines+markers", line=line, **about))
        figure.update_xaxes(title=labels[0], **_log_axis(x))
        figure.update_yaxes(title=labels[1], **_log_axis(y))
    figure.update_layout(
        title={"text": title}, template="plotly_white", margin={"l": 20, "r": 20, "b": 20}
    )
    page = figure.to_html(
        include_plotlyjs=True, full_html=True, default_height="94vh", config={"responsive": True}
    )
    return write_text(path, page)


def _log_axis(values: Floats) -> dict[str, Any]:
    """A logarithmic axis of plotly with ticks such as 2 M, 5 M, 10 M."""
    from matplotlib.ticker import EngFormatter

    decades = range(int(np.floor(np.log10(values.min()))), int(np.ceil(np.log10(values.max()))))
    ticks = [digit * 10.0**power for power in decades for digit in (1, 2, 5)]
    text = EngFormatter(sep=" ")
    labels = [f"{t:g}" if 0 < t < 1e3 else text(t) for t in ticks]
    return {"type": "log", "tickvals": ticks, "ticktext": labels}
