"""Pictures of assignments, of what the cost model says of them, and of what can be had.

Figures are matplotlib's and are written by :func:`hwgym.plotting.save_figure`;
:func:`frontier_page` writes a page with an interactive one (plotly).
"""

from hwgym.families.assignment.pictures.assignment import assignment_figure, draw_assignment
from hwgym.families.assignment.pictures.layers import (
    budget_figure,
    design_space_figure,
    roofline_figure,
)
from hwgym.families.assignment.pictures.tradeoffs import (
    comparison_figure,
    frontier_figure,
    frontier_page,
)

__all__ = [
    "assignment_figure",
    "budget_figure",
    "comparison_figure",
    "design_space_figure",
    "draw_assignment",
    "frontier_figure",
    "frontier_page",
    "roofline_figure",
]
