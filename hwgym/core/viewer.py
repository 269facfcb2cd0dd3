"""Viewer: draws a problem's episodes again and again, into an image or a window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwgym._arrays import Ints
from hwgym.core.problem import Problem
from hwgym.core.view import View
from hwgym.plotting.picture import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Viewer"]


class Viewer:
    """Draws what a family's view draws.

    Args:
        view: The family's.
        window: Into a window, not an image.

    Raises:
        ImportError: If matplotlib is not installed.
    """

    def __init__(self, view: View, *, window: bool = False) -> None:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        self.view = view
        # Without a display pyplot falls back to a canvas that cannot show; draw, but do not wait.
        self.show = window
        self.window = window and matplotlib.get_backend().lower() not in ("agg", "template")
        self.figure: Figure
        if self.window:
            import matplotlib.pyplot as plt

            self.figure = plt.figure(figsize=(9.6, 6.4), layout="constrained")
            plt.show(block=False)
        else:
            self.figure = Picture(9.6, 6.4)
            FigureCanvasAgg(self.figure)

    def draw(self, problem: Problem, genes: Ints) -> NDArray[np.uint8] | None:
        """Draw an episode; an RGB image (height, width, 3), or None for a window."""
        self.figure.clear()
        self.view.draw(self.figure, problem, genes)
        canvas: Any = self.figure.canvas
        canvas.draw()
        if self.window:
            canvas.flush_events()
        if self.show:
            return None
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()

    def close(self) -> None:
        """Close the window, if there is one."""
        if self.window:
            import matplotlib.pyplot as plt

            plt.close(self.figure)
