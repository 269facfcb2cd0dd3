"""Programs of one's own build that are asked, a process a call."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TypeVar

__all__ = ["Program"]

P = TypeVar("P", bound="Program")


class Program:
    """Runs a binary in a folder of its own that goes with the context.

    Attributes:
        seconds: What its processes took, as the subclass says.

    Raises:
        ValueError: If there is no such program.
    """

    def __init__(self, binary: Path) -> None:
        self.binary = binary.resolve()
        if not self.binary.is_file() or not os.access(self.binary, os.X_OK):
            raise ValueError(f"not a program: {binary}")
        self.folder = tempfile.TemporaryDirectory()
        self.seconds = 0.0

    def __enter__(self: P) -> P:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.folder.cleanup()
