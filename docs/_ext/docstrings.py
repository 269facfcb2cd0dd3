"""Docstrings on the API pages: tables in Markdown are turned, short names find what they mean."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.domains.python import ObjectEntry
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

PAGES = {
    f"{module}.HWAssignEnv"
    for module in ("hwgym.families.assignment", "hwgym.families.assignment.env")
}
"""Classes whose docstring is a page in Markdown, shown among the environments."""


NAMES = re.compile(r"^(\s+[\w{}*]+(?:, [\w{}*]+)+):(?=\s)")
HIDDEN = "\ue000"
"""Stands for a colon while napoleon looks for one."""


def before(_app: Sphinx, what: str, _name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
    """What napoleon would take for types: a sentence before a colon, the first of several names."""
    if what in ("attribute", "data", "property") and lines:
        lines[0] = lines[0].replace(":", HIDDEN)
    lines[:] = [NAMES.sub(lambda names: names[0].replace(", ", ",\u200b"), line) for line in lines]


def convert(_app: Sphinx, what: str, name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
    """Colons come back, and Markdown's tables become reStructuredText's."""
    if name in PAGES:
        lines[:] = [
            "Assignment problems as a Gymnasium environment. Spaces, rewards, information and "
            "arguments are described with :doc:`the environments </environments/index>`.",
            "",
        ]
    out: list[str] = []
    table: list[list[str]] = []
    for line in [*lines, ""]:
        text = line.strip()
        if text.startswith("|") and text.endswith("|") and len(text) > 1:
            table.append([cell.strip() for cell in text.strip("|").split(" | ")])
            continue
        if table:
            out += list_table(table)
            table = []
        out.append(line.replace(HIDDEN, ":"))
    lines[:] = out


def list_table(rows: list[list[str]]) -> list[str]:
    """A Markdown table, the second row its rule, as a list-table."""
    out = ["", ".. list-table::", "   :header-rows: 1", ""]
    for row in (rows[0], *rows[2:]):
        for i, cell in enumerate(row):
            out.append(f"   {'* -' if i == 0 else '  -'} {cell}".rstrip())
    return [*out, ""]


@cache
def by_last_part(env: BuildEnvironment) -> dict[str, list[tuple[str, ObjectEntry]]]:
    """All Python objects with their full names; asked for when every page has been read."""
    found: dict[str, list[tuple[str, ObjectEntry]]] = {}
    for name, entry in env.domains.python_domain.objects.items():
        found.setdefault(name.rpartition(".")[2], []).append((name, entry))
    return found


def find_short_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Element | None:
    """A Python name that is not found as written: the one documented object that ends like it.

    Docstrings call things by the name that is in reach in their module, or by the module that
    defines them, where the page has the name that users import.
    """
    if node.get("refdomain") != "py":
        return None
    parts = node["reftarget"].lstrip(".").split(".")
    keep = 2 if parts[-2:-1] and parts[-2][:1].isupper() else 1  # a method needs its class
    ending = ".".join(parts[-keep:])
    found = [o for name, o in by_last_part(env).get(parts[-1], ())
             if f".{name}".endswith(f".{ending}") and not o.aliased]  # fmt: skip
    if node["reftype"] == "func":
        found = [o for o in found if o.objtype == "function"]
    if len(found) != 1:
        return None
    return make_refnode(
        app.builder, node["refdoc"], found[0].docname, found[0].node_id, [content.deepcopy()]
    )


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", before, priority=400)  # napoleon has 500
    app.connect("autodoc-process-docstring", convert, priority=600)
    app.connect("missing-reference", find_short_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
