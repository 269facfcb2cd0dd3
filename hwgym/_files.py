"""Small text files: written whole or not at all; TOML read with errors that name the file."""

from __future__ import annotations

import os
import sys
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a file of UTF-8 beside ``path``, then give it that name."""
    target = Path(path)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        with partial.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a TOML file, its floats as :class:`~decimal.Decimal`, exactly as written.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is not TOML; the message names file, line and column.
    """
    source = Path(path)
    try:
        return tomllib.loads(source.read_text(encoding="utf-8"), parse_float=Decimal)
    except ValueError as error:  # of decoding, and tomllib's own
        raise ValueError(f"{source}: {error}") from error
