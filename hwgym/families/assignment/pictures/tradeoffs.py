"""What can be had for what: Pareto fronts, and the optima of dataflows and budgets side by side."""

from __future__ import annotations

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
from hwgym.plotting.style import COLOURS, GREY, HATCHES, STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["comparison_figure", "frontier_figure", "frontier_page"]

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
        title=f"{_what(front)}<br><sub>{front.claim}</sub>",
    )


def _shown(front: Frontier) -> Floats:
    """(N, objectives), in the units that people are shown."""
    columns = [m.shown(front.values[:, i]) for i, m in enumerate(front.metrics)]
    return np.stack(columns, axis=1)


def _what(front: Frontier) -> str:
    design = front.problem.design
    styles = "+".join(d.name for d in design.dataflows)
    return f"{design.workload.name}, {styles}: the front, {len(front):,} assignments"


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
        from matplotlib.ticker import EngFormatter

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
            colour = (*COLOURS[:3], GREY)[i % 4]
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
        objective = METRICS[report["objective"]]
        axis.set_ylabel(f"least {objective.label} ({objective.unit})")
        axis.set_ylim(0, None)
        axis.yaxis.set_major_formatter(EngFormatter())
        axis.legend(frameon=False, ncols=len(styles), loc="lower right", bbox_to_anchor=(1, 1))
        axis.set_title(
            title or f"{report['workload']}: proven optima", loc="left", fontweight="bold"
        )
    return figure
