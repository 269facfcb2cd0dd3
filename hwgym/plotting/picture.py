"""The figure that all pictures are drawn on."""

from __future__ import annotations

import io

from hwgym._extras import naming

with naming():
    from matplotlib.figure import Figure

__all__ = ["Picture"]


class Picture(Figure):
    """A matplotlib figure, laid out by constraints, that a notebook shows by itself.

    It belongs to no pyplot state, so nothing needs to be closed and no backend is started.

    Args:
        width, height: Inches.
    """

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), layout="constrained")

    def _repr_png_(self) -> bytes:
        png = io.BytesIO()
        self.savefig(png, format="png", dpi=100)
        return png.getvalue()
