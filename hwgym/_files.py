"""Files written whole or not at all; TOML read with errors that name the file."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a hidden name beside ``path``, with its ending, to write to; it becomes ``path`` on
    success. Folders on the way are made. What goes wrong is said of ``path``."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.stem}.{uuid.uuid4().hex}{target.suffix}")
    try:
        yield partial
        os.replace(partial, target)
    except OSError as error:  # of a full disk names no file, of the hidden one nobody knows
        if error.errno is not None and error.filename in (None, partial, str(partial)):
            error.filename = str(target)
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write a file of UTF-8 beside ``path``, then give it that name."""
    with replacing(path) as partial, partial.open("x", encoding="utf-8", newline="") as file:
        file.write(text)
    return Path(path)


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
