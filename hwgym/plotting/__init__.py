"""Every picture that hwgym draws, in one style that survives print and colour-blindness.

Figures are matplotlib's and are written by :func:`save_figure`; ``frontier_page`` writes a page
with an interactive one (plotly).
"""

from hwgym.plotting.assignment import AssignmentViewer, assignment_figure, assignment_text
from hwgym.plotting.curves import learning_curves, regret_curves
from hwgym.plotting.fronts import comparison_figure, frontier_figure, frontier_page
from hwgym.plotting.hardware import budget_figure, design_space_figure, roofline_figure
from hwgym.plotting.style import (
    BLUE,
    DATAFLOW_COLOURS,
    GREEN,
    GREY,
    OBJECTIVE_LABELS,
    ORANGE,
    SKY,
    STYLE,
    VERMILLION,
    save_figure,
)

__all__ = [
    "BLUE",
    "DATAFLOW_COLOURS",
    "GREEN",
    "GREY",
    "OBJECTIVE_LABELS",
    "ORANGE",
    "SKY",
    "STYLE",
    "VERMILLION",
    "AssignmentViewer",
    "assignment_figure",
    "assignment_text",
    "budget_figure",
    "comparison_figure",
    "design_space_figure",
    "frontier_figure",
    "frontier_page",
    "learning_curves",
    "regret_curves",
    "roofline_figure",
    "save_figure",
]
