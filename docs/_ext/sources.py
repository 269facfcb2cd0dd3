"""Pages of source code share their navigation: it differs by how deep they lie alone.

There are more of them than of other pages, and a theme asks Sphinx for the tree of all pages, every
name on them included, for each.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx


def share_navigation(
    app: Sphinx, page: str, _template: str, context: dict[str, Any], _doctree: nodes.document | None
) -> None:
    if not page.startswith("_modules/"):
        return
    known: dict[object, str] = app.__dict__.setdefault("_navigation_of_sources", {})
    make = context["toctree"]

    def toctree(**asked: Any) -> str:
        key = (page.count("/"), *sorted(asked.items()))
        if key not in known:
            known[key] = make(**asked)
        return known[key]

    context["toctree"] = toctree


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", share_navigation, priority=400)  # themes have 500
    return {"parallel_read_safe": True, "parallel_write_safe": True}
