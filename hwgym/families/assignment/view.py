"""What to say and show of hardware assignment."""

from __future__ import annotations

from hwgym.core.view import View

__all__ = ["VIEW"]


class AssignmentView(View):
    """Layers, PEs and filters."""


VIEW = AssignmentView()
