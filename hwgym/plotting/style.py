"""The one style: colours, labels, and how a figure is written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwgym._files import replacing
from hwgym.families.assignment.problem import AssignmentProblem

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart by everyone, and in grey.
BLUE, ORANGE, GREEN, VERMILLION, SKY, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#56B4E9",
    "#8C8C8C",
)
LINES = ((BLUE, "-"), (VERMILLION, "--"), (GREEN, "-."), (ORANGE, ":"), (SKY, "-"), (GREY, "--"))
MAP = "cividis"  # from dark blue to yellow: in order for everyone, and in grey
DATAFLOW_COLOURS = (BLUE, ORANGE, GREEN, SKY)
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
OBJECTIVE_LABELS = {
    "latency": ("latency", "cycles"),
    "energy": ("energy", "nJ"),
    "edp": ("energy x latency", "nJ cycles"),
    "throughput": ("period", "cycles"),
}
LABELS = {
    "latency": "latency (cycles)",
    "energy": "energy (nJ)",
    "edp": "energy x latency (nJ cycles)",
    "throughput": "period (cycles)",
    "area": "area (mm²)",
    "power": "power (mW)",
}
SCALES = {"area": 1e-6}
"""What to multiply values with for :data:`LABELS`."""
FEW = 24  # layers that get their names on an axis


def problem_title(problem: AssignmentProblem) -> str:
    """What a problem is called above a picture."""
    styles = "+".join(d.name for d in problem.space.dataflows)
    where = problem.platform or (
        f"{problem.ratio:g} of the range" if problem.ratio is not None else "given budget"
    )
    what = OBJECTIVE_LABELS[problem.objective][0]
    return (
        f"{problem.space.workload.name}, {styles}: {what} under {problem.constraint} "
        f"({where}, {problem.deployment})"
    )


def layer_ticks(axis: Any, names: Sequence[str]) -> None:
    """Name the layers under an axis, or number them from 1 where they are many."""
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
    axis.set_xlabel("layer")


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure; the file appears whole or not at all. The ending gives the format."""
    with replacing(path) as partial:
        figure.savefig(partial, dpi=150)
    return Path(path)
