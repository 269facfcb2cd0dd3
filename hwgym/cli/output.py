"""How the command line prints: tables for people, JSON for programs, progress aside."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

__all__ = [
    "Failure",
    "console",
    "errors",
    "facts",
    "facts_with_units",
    "folder",
    "print_json",
    "steps_of",
    "table",
    "working",
]

PLAIN_WIDTH = 120  # of what is not a terminal


class Failure(Exception):
    """What was asked is clear but cannot be had; the message says why. Exit code 1."""


def console() -> Console:
    """Standard output."""
    return _console(sys.stdout)


def errors() -> Console:
    """Standard error."""
    return _console(sys.stderr)


def _console(file: Any) -> Console:
    plain = not file.isatty() and "COLUMNS" not in os.environ
    return Console(file=file, width=PLAIN_WIDTH if plain else None, highlight=False)


def print_json(value: Any, indent: int | None = 2) -> None:
    """One JSON value, and nothing else, on standard output."""
    print(json.dumps(value, indent=indent, default=_json_value, allow_nan=False))


def _json_value(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show that something goes on, if standard error is a terminal."""
    aside = errors()
    if not aside.is_terminal:
        yield
        return
    with aside.status(what):
        yield


@contextmanager
def steps_of(what: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, if that is a terminal; gives what moves it."""
    aside = errors()
    bar = Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=aside,
        transient=True,
        disable=not aside.is_terminal,
    )
    task = bar.add_task(what, total=total)
    with bar:
        yield lambda done, _: bar.update(task, completed=done)


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    left: Sequence[str] = (),
    wrap: Sequence[str] = (),
    caption: str | None = None,
) -> Table:
    """A table; columns named in ``left`` or ``wrap`` are aligned there, all others to the right.

    Only those in ``wrap`` may break into lines.
    """
    made = Table(
        title=None if title is None else Text(title, style="bold"),
        caption=None if caption is None else Text(caption, style="dim"),
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name in columns:
        made.add_column(
            Text(name),
            justify="left" if name in left or name in wrap else "right",
            overflow="fold",
            no_wrap=name not in wrap,
        )
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    return made


def facts(pairs: Mapping[str, object], title: str | None = None) -> Table:
    """What is known of something, a line each."""
    made = Table.grid(padding=(0, 2))
    made.add_column(style="cyan", no_wrap=True)
    made.add_column(overflow="fold")
    if title is not None:
        made.title = Text(title, style="bold")
        made.title_justify = "left"
    for name, value in pairs.items():
        made.add_row(Text(name), value if isinstance(value, Text) else Text(str(value)))
    return made


def facts_with_units(rows: Iterable[tuple[str, str, str, str]]) -> Table:
    """Name, value, unit and meaning, a line each, in columns of fixed width."""
    made = Table.grid(padding=(0, 2))
    for width, justify in ((26, "left"), (17, "right"), (17, "left")):
        made.add_column(min_width=width, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    made.add_column(style="dim")
    for row in rows:
        made.add_row(*map(Text, row))
    return made


def folder(path: Path) -> Path:
    """A folder for pictures and files, made if need be.

    Raises:
        NotADirectoryError: If it is a file.
        ImportError: If there is nothing to draw pictures with.
    """
    import_module("matplotlib")
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(0, "is a file; give a folder", str(path))
    path.mkdir(parents=True, exist_ok=True)
    return path
