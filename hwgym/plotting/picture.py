"""The figure that all pictures are drawn on."""

from __future__ import annotations

import io

from hwgym._extras import naming

with naming():
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

__all__ = ["Picture"]


MARGIN = 0.08  # inches


class Picture(Figure):
    """A matplotlib figure, laid out by constraints, that a notebook shows by itself.

    It belongs to no pyplot state, so nothing needs to be closed and no backend is started.

    Args:
        width, height: Inches.
    """

    def __init__(self, width: float, height: float) -> None:
        # A margin: on dark pages words should not touch the edge of the white.
        layout = ConstrainedLayoutEngine(w_pad=MARGIN, h_pad=MARGIN)
        super().__init__(figsize=(width, height), layout=layout)

    def _repr_png_(self) -> bytes:
        png = io.BytesIO()
        self.savefig(png, format="png", dpi=100)
        return png.getvalue()
