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
from hwgym.plotting.style import (
    BLUE,
    MAP,
    STYLE,
    VERMILLION,
    entitle,
    number_axis,
    wide,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["front_figure", "front_page"]

MANY = 2000  # points, of which each is drawn small
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>html, body {{ height: 100%; margin: 0; }}</style>
</head>
<body>
{drawn}
</body>
</html>
"""


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
        ValueError: If there is no point.
        ImportError: If matplotlib is not installed (``pip install 'hwgym[plot]'``).
    """
    _check(values)
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


def _check(values: Floats) -> None:
    if not len(values):
        raise ValueError("a front without points cannot be drawn")


def _staircase(
    axis: Any, values: Floats, labels: Sequence[str], limits: Mapping[int, float]
) -> None:
    x, y = values.T
    axis.step(x, y, where="post", color=BLUE, linewidth=1.2)
    axis.plot(x, y, "o", color=BLUE, markersize=3 if len(x) < 400 else 1.6)
    for column, (along, numbers) in enumerate(((axis.xaxis, x), (axis.yaxis, y))):
        shown = [*numbers]
        if column in limits:
            draw = (axis.axvline, axis.axhline)[column]
            draw(limits[column], color=VERMILLION, linestyle="--", linewidth=1.2, label="budget")
            axis.legend(frameon=False)
            shown.append(limits[column])
        number_axis(along, shown)
    axis.set(xlabel=labels[0], ylabel=labels[1])


def _pair(
    figure: Figure,
    axis: Any,
    values: Floats,
    labels: Sequence[str],
    x: int,
    y: int,
    colour: int,
) -> None:
    from matplotlib.colors import LogNorm, Normalize

    rows = values[np.argsort(-values[:, colour], kind="stable")]
    dots = axis.scatter(
        rows[:, x],
        rows[:, y],
        c=rows[:, colour],
        s=14 if len(rows) < MANY else 5,
        cmap=MAP,
        norm=LogNorm() if wide(rows[:, colour]) else Normalize(),
        linewidths=0,
        rasterized=True,
    )
    number_axis(axis.xaxis, rows[:, x])
    number_axis(axis.yaxis, rows[:, y])
    axis.set(xlabel=labels[x], ylabel=labels[y])
    # Above: beside it, its label would stand next to that of the other panel's axis.
    bar = figure.colorbar(dots, ax=axis, location="top", pad=0.02, aspect=40)
    bar.set_label(f"colour: {labels[colour]}")
    number_axis(bar.ax.xaxis, rows[:, colour])


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
        ValueError: If there is no point.
        ImportError: If plotly is not installed (``pip install 'hwgym[interactive]'``).
    """
    _check(values)
    try:
        from plotly import graph_objects as go
    except ImportError as error:
        message = "interactive pictures need plotly: pip install 'hwgym[interactive]'"
        raise ImportError(message) from error
    columns = list(values.T)
    about = {"hovertext": list(hover), "hoverinfo": "text"}
    figure = go.Figure()
    if len(columns) == 3:
        x, y, z = columns
        marker = {"size": 3, **_colours(z, labels[2])}
        figure.add_trace(go.Scatter3d(x=x, y=y, z=z, mode="markers", marker=marker, **about))
        names = ("xaxis", "yaxis", "zaxis")
        figure.update_scenes(
            aspectmode="manual",
            aspectratio={"x": 1.3, "y": 1.3, "z": 0.9},  # screens are wider than high
            camera={"eye": {"x": 1.35, "y": 1.5, "z": 0.8}, "center": {"z": -0.2}},
            **{
                name: {"title": {"text": label}, **_axis(column)}
                for name, label, column in zip(names, labels, columns, strict=True)
            },
        )
    else:
        x, y = columns
        line = {"shape": "hv", "color": BLUE, "width": 1}
        figure.add_trace(go.Scatter(x=x, y=y, mode="lines+markers", line=line, **about))
        figure.update_xaxes(title=labels[0], **_axis(x))
        figure.update_yaxes(title=labels[1], **_axis(y))
    figure.update_layout(
        title={"text": title}, template="plotly_white", margin={"l": 20, "r": 20, "b": 20}
    )
    drawn = figure.to_html(
        include_plotlyjs=True, full_html=False, default_height="100%", config={"responsive": True}
    )
    return write_text(path, PAGE.format(title=title.split("<br>")[0], drawn=drawn))


def _axis(values: Floats) -> dict[str, Any]:
    """An axis of plotly, scaled and numbered as :func:`~hwgym.plotting.style.number_axis` does."""
    least, most = float(values.min()), float(values.max())
    axis: dict[str, Any] = {"type": "linear", "tickformat": "~g" if most < 1e3 else "~s"}
    if wide(values):
        # As many ticks as make plotly take 1, 2 and 5; it has its own way where one zooms in.
        return axis | {"type": "log", "nticks": 2 + int(2 * np.log10(most / least))}
    if least == most > 0:
        # Plotly would take 1 on either side, and loses a lone point in space on linear axes.
        middle = float(np.log10(most))
        return axis | {"type": "log", "range": [middle - 0.02, middle + 0.02]}
    return axis


def _colours(values: Floats, label: str) -> dict[str, Any]:
    """Colours of plotly's markers, and a bar that has the numbers of the axis."""
    if values.min() == values.max():
        return {"color": BLUE}
    bar: dict[str, Any] = {"title": {"text": label}, "thickness": 14, "len": 0.6}
    colour = values
    if wide(values):  # plotly has no logarithmic colours
        colour = np.log10(values)
        ticks = _ticks(values)
        bar |= {"tickvals": np.log10(ticks), "ticktext": [_number(t, values) for t in ticks]}
    else:
        bar |= {"tickformat": "~g" if values.max() < 1e3 else "~s"}
    return {"color": colour, "colorscale": "Cividis", "colorbar": bar}


def _ticks(values: Floats) -> list[float]:
    """Of a logarithmic bar: 2 M, 5 M, 10 M; over many decades powers of ten."""
    low, high = np.log10(values.min()), np.log10(values.max())
    digits, step = ((1, 2, 5), 1) if high - low <= 4 else ((1,), int(np.ceil((high - low) / 8)))
    powers = range(int(np.floor(low)), int(np.ceil(high)) + 1, step)
    ticks = [digit * 10.0**power for power in powers for digit in digits]
    return [tick for tick in ticks if values.min() <= tick <= values.max()]


def _number(tick: float, values: Floats) -> str:
    from matplotlib.ticker import EngFormatter

    return f"{tick:g}" if values.max() < 1e3 else str(EngFormatter(sep="")(tick))
