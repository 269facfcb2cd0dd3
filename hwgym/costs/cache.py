"""Tables on disk.

They lie in the folder that ``HWGYM_CACHE`` names (by default ``hwgym`` in the user's cache folder;
empty: nowhere), under a name that is a digest of all that they depend on. A file that cannot be
read or written is done without.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hwgym._arrays import Array
from hwgym._files import replacing

__all__ = ["cache_file", "cache_folder", "read_arrays", "write_arrays"]


def cache_folder() -> Path | None:
    """Where tables are kept on disk; None if nowhere."""
    given = os.environ.get("HWGYM_CACHE")
    if given is not None:
        return Path(given).expanduser() if given else None
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(base).expanduser() / "hwgym"
    except RuntimeError:  # nobody's home is known
        return None


def cache_file(name: str, *asked: Any) -> Path | None:
    """The file of tables that depend on what is asked, which JSON can hold; None if nowhere."""
    folder = cache_folder()
    if folder is None:
        return None
    digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:32]
    return folder / f"{name}-{digest}.npz"


def read_arrays(path: Path | None, names: Sequence[str]) -> dict[str, Array] | None:
    """Arrays by name; None unless the file has all of them."""
    if path is None:
        return None
    try:
        with path.open("rb") as stream, np.load(stream) as file:  # numpy leaves damaged ones open
            return {name: file[name] for name in names}
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def write_arrays(path: Path | None, arrays: Mapping[str, Any]) -> None:
    """Keep arrays for :func:`read_arrays`, if there is somewhere to."""
    if path is None:
        return
    try:
        with replacing(path) as partial:
            np.savez_compressed(partial, **arrays)
    except OSError:
        return  # a full or read-only disk: it is computed again
