"""Every environment id of hwgym: those of every family, nothing of its own.

``import hwgym`` registers them; nothing is computed until an environment is made. Whatever is not
in an id goes by keyword: ``gymnasium.make("HWAssign-VGG16-MIX-v0", objective="edp")``. A family's
ids stand in its own folder, ``hwgym/families/<family>/ids.py``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from hwgym.core.family import register_family
from hwgym.families import FAMILIES

__all__ = ["environments", "register"]


def environments() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every id with the keyword arguments behind it."""
    for family in FAMILIES:
        for entry in family.ids():
            yield entry.env_id, dict(entry.kwargs)


def register() -> None:
    """Register every id with Gymnasium; those already there stay as they are."""
    # Both versions stand: v0 is on MAESTRO, v1 on loop nests. Gymnasium takes v0 for outdated.
    about = r".*The environment HW\S* is out of date"
    warnings.filterwarnings("ignore", about, DeprecationWarning)
    for family in FAMILIES:
        register_family(family)
