"""The report's charts, as Plotly figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hwgym._arrays import Array, Floats, Ints
from hwgym.core import Space
from hwgym.leaderboard.board import Band, Board, Entry
from hwgym.leaderboard.runs import problem_of

__all__ = [
    "DASHES",
    "Looks",
    "assignments",
    "percent",
    "profiles",
    "regret_curves",
    "score_curves",
    "scores",
]

# Okabe and Ito's palette without its yellow, which white swallows; told apart by everyone.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("solid", "dash", "dot")
LEAST = 170  # pixels that the names of twelve levels need
FEW = 20  # steps; the gaps between more of them would be all that a phone shows
PANELS = 6  # axes that get a picture each
MARKS = 12  # choices that a colour bar names
FLOOR, CEILING = 1e-5, 10.0
TICKS = {
    1e-5: "≤0.001 %",
    1e-4: "0.01 %",
    1e-3: "0.1 %",
    1e-2: "1 %",
    0.1: "10 %",
    1.0: "100 %",
    10.0: "1,000 %",
}
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, Arial, "DejaVu Sans", sans-serif'


def percent(regret: float) -> str:
    """A regret for people."""
    if np.isnan(regret):
        return "-"
    if np.isinf(regret):
        return "none feasible"
    if regret <= 0:
        return "0 %"
    if regret < 1e-4:
        return "<0.01 %"
    digits = 2 if regret < 0.1 else 1 if regret < 1 else 0
    return f"{regret:,.{digits}%}".replace("%", " %")


class Looks:
    """How each agent is drawn, everywhere the same."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._place = {entry.agent: i for i, entry in enumerate(entries)}

    def colour(self, agent: str) -> str:
        """A colour of the palette."""
        return COLOURS[self._place[agent] % len(COLOURS)]

    def dash(self, agent: str) -> str:
        """A kind of line, for when the colours have run out."""
        return DASHES[self._place[agent] // len(COLOURS) % len(DASHES)]


def _go() -> Any:
    try:
        import plotly.graph_objects as go
    except ImportError as error:
        raise ImportError(
            "the HTML report needs plotly: pip install 'hwgym[leaderboard]'"
        ) from error
    return go


def _layout(height: int, **more: Any) -> dict[str, Any]:
    axis = {
        "title_font_size": 13,
        "gridcolor": "#e6e6e6",
        "zeroline": False,
        "linecolor": "#8c8c8c",
        "fixedrange": True,
    }
    layout = {
        "height": height,
        "template": "none",
        "font": {"family": FONT, "size": 13, "color": "#1f2328"},
        "margin": {"l": 76, "r": 16, "t": 16, "b": 56},
        "showlegend": False,
        "dragmode": False,
        "hovermode": "closest",
        "hoverlabel": {"bgcolor": "#ffffff", "font": {"family": FONT, "size": 12}},
        **{k: v for k, v in more.items() if not k.startswith(("xaxis", "yaxis"))},
    }
    for name in {"xaxis", "yaxis", *(k for k in more if k.startswith(("xaxis", "yaxis")))}:
        layout[name] = {**axis, **more.get(name, {})}
    return layout


def _regret_axis(title: str) -> dict[str, Any]:
    return {
        "title": {"text": title},
        "type": "log",
        "range": [np.log10(FLOOR) - 0.1, np.log10(CEILING) + 0.1],
        "tickvals": list(TICKS),
        "ticktext": list(TICKS.values()),
    }


def _steps(x: Array, y: Floats) -> tuple[Array, Floats]:
    """The corners of a line that keeps each value until the next."""
    return np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]


def _band(go: Any, agent: str, looks: Looks, band: Band, keep: Array, hover: str) -> list[Any]:
    x, y, low, high = (v[keep] for v in (band.x, band.y, band.low, band.high))
    (across, top), (_, bottom) = _steps(x, high), _steps(x, low)
    colour = looks.colour(agent)
    shade = f"rgba({int(colour[1:3], 16)},{int(colour[3:5], 16)},{int(colour[5:], 16)},0.13)"
    return [
        go.Scatter(
            x=np.concatenate([across, across[::-1]]),
            y=np.concatenate([top, bottom[::-1]]),
            fill="toself",
            fillcolor=shade,
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            meta=agent,
        ),
        go.Scatter(
            x=x,
            y=y,
            mode="lines",
            name=agent,
            line={"color": colour, "dash": looks.dash(agent), "width": 2, "shape": "hv"},
            hovertemplate=f"<b>{agent}</b><br>{hover}<extra></extra>",
            meta=agent,
        ),
    ]


def regret_curves(board: Board, looks: Looks, task: int | None) -> Any:
    """Regret against samples, over all tasks or on one."""
    go = _go()
    traces = []
    for entry in board.entries:
        if task is not None and task not in entry.tasks:
            continue
        band = entry.regret_curve(task)
        clipped = Band(band.x, *(np.clip(v, FLOOR, CEILING) for v in (band.y, band.low, band.high)))
        hover = f"%{{x:,}} samples: %{{y:.3~%}} above the {board.yardstick}"
        traces += _band(go, entry.agent, looks, clipped, np.isfinite(band.y), hover)
    yaxis = _regret_axis(f"median {board.distance}")
    return go.Figure(traces, _layout(460, xaxis=_samples_axis(board), yaxis=yaxis))


def score_curves(board: Board, looks: Looks) -> Any:
    """Mean score against samples, over all tasks: what the tracks look at."""
    go = _go()
    traces = []
    for entry in board.entries:
        band = entry.score_curve()
        hover = "%{x:,} samples: score %{y:.3f}"
        traces += _band(go, entry.agent, looks, band, np.ones(len(band.x), bool), hover)
    yaxis = {"title": {"text": "mean score"}, "range": [-0.02, 1.02]}
    return go.Figure(traces, _layout(420, xaxis=_samples_axis(board), yaxis=yaxis))


def _samples_axis(board: Board) -> dict[str, Any]:
    most = max(t.samples for t in board.tasks)
    return {
        "title": {"text": "samples"},
        "type": "log",
        "range": [0, np.log10(most)],
        "dtick": 1,
        "tickformat": ",d",
    }


def profiles(board: Board, looks: Looks) -> Any:
    """Performance profiles: the share of runs that end within a regret."""
    go = _go()
    traces = []
    for entry in board.entries:
        band = entry.profile()
        hover = "%{y:.0%} of runs end within %{x:.3~%}"
        traces += _band(go, entry.agent, looks, band, np.ones(len(band.x), bool), hover)
    axis = {**_regret_axis(f"{board.distance} at the end"), "range": [-4, 1.02]}
    marks = [i / 5 for i in range(6)]
    share = {
        "title": {"text": "share of runs"},
        "range": [-0.02, 1.02],
        "tickvals": marks,
        "ticktext": [f"{100 * mark:.0f} %" for mark in marks],
    }
    return go.Figure(traces, _layout(420, xaxis=axis, yaxis=share))


def scores(board: Board, looks: Looks) -> Any:
    """Interquartile means with intervals, one row an agent."""
    go = _go()
    traces, labels = [], []
    for entry in reversed(board.entries):
        estimate = entry.score
        labels.append(entry.agent)
        traces.append(
            go.Scatter(
                x=[estimate.value],
                y=[entry.agent],
                mode="markers",
                marker={"color": looks.colour(entry.agent), "size": 9},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [estimate.high - estimate.value],
                    "arrayminus": [estimate.value - estimate.low],
                    "thickness": 2,
                    "width": 4,
                },
                hovertemplate=(
                    f"<b>{entry.agent}</b><br>{estimate.value:.3f} "
                    f"({estimate.low:.3f} to {estimate.high:.3f})<extra></extra>"
                ),
            )
        )
    figure = go.Figure(
        traces,
        _layout(
            90 + 26 * len(labels),
            xaxis={"title": {"text": "score, interquartile mean"}, "range": [0, 1.02]},
            yaxis={
                "type": "category",
                "categoryarray": labels,
                "categoryorder": "array",
                "automargin": True,
            },
            margin={"l": 130, "r": 16, "t": 8, "b": 48},
        ),
    )
    between = sum(1 for entry in board.entries if entry.sees != board.entries[0].sees)
    if between:
        figure.add_hline(y=between - 0.5, line={"color": "#8c8c8c", "width": 1, "dash": "dot"})
    return figure


class _Panel(NamedTuple):
    """A picture of solutions, a row each.

    Attributes:
        title: Above it.
        shades: (solutions, columns) what the colours stand for, from 0 to ``most``.
        texts: (solutions, columns) in words.
        most: The greatest shade there can be.
        marks: Of the colour bar.
    """

    title: str
    shades: Array
    texts: Array
    most: float
    marks: Mapping[float, str]


def _panels(space: Space, solutions: Ints) -> list[_Panel]:
    """One for every axis, a column a step; if they are many, one for all, a column a choice."""
    labels = [np.array([str(label) for label in axis.labels]) for axis in space.axes]
    if space.own:
        said = [[space.describe(g, step) for step, g in enumerate(each)] for each in solutions]
        texts = np.array(said).astype(str)
    else:
        texts = np.stack([labels[i][solutions[..., i]] for i in range(len(labels))], axis=-1)
    if len(labels) > PANELS or space.own:
        shares = solutions / np.maximum(space.sizes - 1, 1)
        count = len(solutions)
        ends = {0.0: "first", 1.0: "last"}
        return [_Panel("choices", shares.reshape(count, -1), texts.reshape(count, -1), 1, ends)]
    panels = []
    for i, axis in enumerate(space.axes):
        every = -(-axis.size // MARKS)
        marks = {float(k): str(labels[i][k]) for k in range(0, axis.size, every)}
        # As few bytes as will do: they are all in the page.
        shades = solutions[..., i].astype(np.min_scalar_type(axis.size - 1))
        panels.append(_Panel(axis.name, shades, texts[..., i], axis.size - 1, marks))
    return panels


def _columns(space: Space, steps: Sequence[str]) -> list[str]:
    """Names of the columns, all different."""
    names = list(steps)
    if len(names) > 1:
        names = [f"{i} {name}" for i, name in enumerate(names, 1)]
    if len(space.axes) > PANELS:
        names = [f"{name}: {axis.name}" for name in names for axis in space.axes]
    return names


def assignments(board: Board, task: int) -> Any:
    """The best solution known beside each agent's best, a row each."""
    go = _go()
    problem, certificate = problem_of(board.tasks[task].env_id), board.certificate(task)
    known = "optimum" if certificate.exact else f"best known, {percent(certificate.gap)} gap"
    rows = [(known, certificate.assignment)]
    for entry in board.entries:
        best = next(iter(entry.on(task)), None)
        if best is not None and best.best is not None:
            unit = "" if certificate.exact else " gap"
            rows.append((f"{entry.agent}, {percent(best.regret)}{unit}", best.best))
    rows.reverse()
    panels = _panels(problem.space, np.stack([found for _, found in rows]))
    names = _columns(problem.space, problem.statement.names)
    across = "step" if len(names) == problem.num_steps else "choice"
    each, gap = max(20 * len(rows) + 10, LEAST), 34
    height = len(panels) * each + (len(panels) - 1) * gap + 30 + 50
    inner = height - 80
    figure = go.Figure()
    layout: dict[str, Any] = {"margin": {"l": 190, "r": 76, "t": 30, "b": 50}}
    notes = []
    for i, panel in enumerate(panels):
        number = "" if i == 0 else str(i + 1)
        top = 1 - i * (each + gap) / inner
        figure.add_trace(
            go.Heatmap(
                z=panel.shades,
                x=names,
                y=[label for label, _ in rows],
                xaxis=f"x{number}",
                yaxis=f"y{number}",
                zmin=0,
                zmax=panel.most,
                xgap=1 if len(names) <= FEW else 0,
                ygap=1,
                colorscale="Cividis",
                text=panel.texts,
                hovertemplate=f"%{{y}}<br>%{{x}}: {panel.title} %{{text}}<extra></extra>",
                colorbar={
                    "thickness": 10,
                    "len": each / inner,
                    "y": top - each / inner / 2,
                    "tickvals": list(panel.marks),
                    "ticktext": list(panel.marks.values()),
                    "tickfont": {"size": 10},
                    "outlinewidth": 0,
                },
            )
        )
        every = max(1, len(names) // 10)
        last = i == len(panels) - 1
        layout[f"xaxis{number}"] = {
            "anchor": f"y{number}",
            "type": "category",
            "tickvals": list(range(0, len(names), every)),
            "ticktext": [str(k + 1) for k in range(0, len(names), every)],
            "showgrid": False,
            "showticklabels": last,
            "tickangle": 0,
            "title": {"text": across} if last else None,
        }
        layout[f"yaxis{number}"] = {
            "anchor": f"x{number}",
            "domain": [max(top - each / inner, 0), top],
            "type": "category",
            "showgrid": False,
            "automargin": True,
        }
        notes.append(
            {
                "text": f"<b>{panel.title}</b>",
                "x": 0,
                "y": top,
                "xref": "paper",
                "yref": "paper",
                "xanchor": "left",
                "yanchor": "bottom",
                "showarrow": False,
            }
        )
    figure.update_layout(_layout(height, annotations=notes, **layout))
    return figure
