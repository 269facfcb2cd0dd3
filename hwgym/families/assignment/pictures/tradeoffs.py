"""What can be had for what: Pareto fronts, and the optima of dataflows and budgets side by side."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwgym._arrays import Floats
from hwgym._extras import naming
from hwgym.core.metric import METRICS
from hwgym.families.assignment.frontier import Frontier
from hwgym.plotting.fronts import front_figure, front_page
from hwgym.plotting.style import (
    COLOURS,
    GREY,
    SKY,
    STYLE,
    entitle,
    hatches,
    name_ticks,
    number_axis,
    room,
    wide,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["comparison_figure", "frontier_figure", "frontier_page"]

FAR = 50  # times the least: from there on bars grow by logarithms
FORMATS = {"latency": ",.0f", "energy": ",.0f", "area": ".4f", "power": ",.1f"}


def frontier_figure(front: Frontier, title: str | None = None) -> Figure:
    """Draw a Pareto front: two objectives as a staircase, three as pairs coloured by the third.

    Raises:
        ImportError: If matplotlib is not installed (``pip install 'hwgym[plot]'``).
    """
    problem, exact = front.problem, "exact" if front.exact else f"within {front.epsilon:.3g}"
    limits = {
        i: float(metric.shown(problem.budget or 0.0))
        for i, metric in enumerate(front.metrics)
        if metric == problem.constraint
    }
    return front_figure(
        _shown(front),
        [metric.axis for metric in front.metrics],
        title=title or f"{_what(front)} ({exact})",
        limits=limits,
    )


def frontier_page(front: Frontier, path: str | os.PathLike[str]) -> Path:
    """Write a page with the front to turn, zoom and point at; it needs no network.

    Raises:
        ImportError: If plotly is not installed (``pip install 'hwgym[interactive]'``).
    """
    metrics = front.problem.statement.metrics
    hover = [
        "<br>".join(
            (
                f"point {row['point']:,}",
                *(
                    f"{float(m.shown(row[m.column])):{FORMATS[m.name]}} {m.shown_unit}"
                    for m in metrics
                ),
                f"{row['pes']:,} PEs",
            )
        )
        for row in front.rows()
    ]
    return front_page(
        _shown(front),
        [metric.axis for metric in front.metrics],
        hover,
        path,
        title=f"{html.escape(_what(front))}<br><sub>{front.claim}</sub>",
    )


def _shown(front: Frontier) -> Floats:
    """(N, objectives), in the units that people are shown."""
    columns = [m.shown(front.values[:, i]) for i, m in enumerate(front.metrics)]
    return np.stack(columns, axis=1)


def _what(front: Frontier) -> str:
    design = front.problem.design
    styles = "+".join(d.name for d in design.dataflows)
    many = "s" * (len(front) != 1)
    return f"{design.workload.name}, {styles}: the front, {len(front):,} assignment{many}"


def comparison_figure(report: Mapping[str, Any], title: str | None = None) -> Figure:
    """Draw the optima of dataflows under budgets side by side.

    Args:
        report: ``workload``, ``objective``, ``constraint`` and, as ``rows``, what
            :func:`hwgym.families.assignment.reports.compare` gives, each with a ``name`` for its
            budget.
        title: Instead of its own.

    Raises:
        ImportError: If matplotlib is not installed (``pip install 'hwgym[plot]'``).
    """
    with naming():
        import matplotlib as mpl

    from hwgym.plotting.picture import Picture

    rows = report["rows"]
    budgets = list(dict.fromkeys(row["name"] for row in rows))
    styles = list(dict.fromkeys(row["dataflow"] for row in rows))
    width = 0.8 / len(styles)
    with mpl.rc_context(STYLE):
        figure = Picture(8.0, 4.4)
        axis = figure.subplots()
        for i, style in enumerate(styles):
            found = {r["name"]: r["objective"] for r in rows if r["dataflow"] == style}
            places = [j - 0.4 + (i + 0.5) * width for j in range(len(budgets))]
            colour = (*COLOURS[:3], GREY, SKY)[i % 5]
            fits = [j for j, budget in enumerate(budgets) if found[budget] is not None]
            if fits:
                axis.bar(
                    [places[j] for j in fits], [found[budgets[j]] for j in fits], width * 0.92,
                    color=colour, label=style, hatch=hatches(len(rows))[i % 4],
                    edgecolor="white", linewidth=0,
                )  # fmt: skip
            for j in set(range(len(budgets))).difference(fits):
                axis.annotate(
                    f" {style}: nothing fits", (places[j], 0.01), rotation=90, fontsize=7,
                    xycoords=("data", "axes fraction"), ha="center", va="bottom",
                )  # fmt: skip
        objective = METRICS[report["objective"]]
        shown = [row["objective"] for row in rows if row["objective"] is not None]
        if shown and wide(shown) and max(shown) > FAR * min(shown):
            number_axis(axis.yaxis, shown)
            axis.set_ylim(min(shown) / 2, None)
        else:
            number_axis(axis.yaxis, [0.0, *shown])
            axis.set_ylim(0, None)
        room(axis, len(budgets))
        name_ticks(axis, budgets, "")
        axis.set_xlabel(f"{report['constraint']} budget")
        axis.set_ylabel(f"least {objective.label} ({objective.unit})")
        if shown:
            axis.legend(frameon=False, ncols=len(styles), loc="lower right", bbox_to_anchor=(1, 1))
        entitle(figure, title or f"{report['workload']}: proven optima")
    return figure
