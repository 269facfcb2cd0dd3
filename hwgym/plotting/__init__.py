"""What all pictures have in common: a style that survives print and colour-blindness, and pictures
of plain arrays. It knows no problem.

- :data:`STYLE`, its colours, :func:`save_figure`; :mod:`~hwgym.plotting.picture`, the figure that
  all are drawn on
- :func:`curves_figure`: regret against samples (:mod:`hwgym.core.curves` for searches)
- :func:`front_figure`, :func:`front_page`: Pareto fronts

Pictures of a family's problems are the family's own: its view draws them.
"""

from hwgym.plotting.curves import curves_figure
from hwgym.plotting.fronts import front_figure, front_page
from hwgym.plotting.style import (
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    ORANGE,
    SKY,
    STYLE,
    VERMILLION,
    save_figure,
)

__all__ = [
    "BLUE",
    "COLOURS",
    "GREEN",
    "GREY",
    "ORANGE",
    "SKY",
    "STYLE",
    "VERMILLION",
    "curves_figure",
    "front_figure",
    "front_page",
    "save_figure",
]
