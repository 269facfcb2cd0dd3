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
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
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
NARROW = 100  # below it, meanings are written below what they explain
LEAST_TEXT, LEAST_PROSE = 10, 24  # how narrow a column of words may become


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
    return _Console(file=file, width=PLAIN_WIDTH if plain else None, highlight=False)


class _Console(Console):
    """Cuts nothing off: a line that is too long for the terminal goes on in the next one."""

    def print(self, *objects: Any, crop: bool = False, **options: Any) -> None:
        with _to_standard_output():
            super().print(*objects, crop=crop, **options)


@contextmanager
def _to_standard_output() -> Iterator[None]:
    """An error, as of a full disk, says where it happened."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = "standard output"
        raise


def print_json(value: Any, indent: int | None = 2) -> None:
    """One JSON value, and nothing else, on standard output."""
    with _to_standard_output():
        print(json.dumps(value, indent=indent, default=_json_value, allow_nan=False), flush=True)


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
    spare: Sequence[str] = (),
    caption: str | None = None,
) -> RenderableType:
    """A table; columns named in ``left`` or ``wrap`` are aligned there, all others to the right.

    Where it is wider than the terminal, columns named in ``spare`` are left out, the first first.
    If that is not enough, columns of words break into lines, those of ``wrap``, which hold
    sentences, before those of ``left``. Numbers are never cut.
    """
    names = list(columns)
    cells = [[c if isinstance(c, Text) else Text(str(c)) for c in row] for row in rows]
    room = console().width
    kept = list(range(len(names)))

    def natural(column: int) -> int:
        lines = [names[column], *(str(row[column]) for row in cells)]
        return max(cell_len(line) for text in lines for line in text.split("\n"))

    widths = {i: natural(i) for i in kept}

    def excess() -> int:
        return 1 + sum(widths[i] + 2 for i in kept) - 1 - room

    for name in spare:
        if excess() > 0:
            kept.remove(names.index(name))
    for group, least in ((wrap, LEAST_PROSE), (left, LEAST_TEXT)):
        flexible = [i for i in kept if names[i] in group]
        while excess() > 0 and flexible:
            widest = max(flexible, key=widths.__getitem__)
            if widths[widest] <= max(least, cell_len(names[widest])):
                break
            widths[widest] -= 1
    made = Table(
        caption=None if caption is None else Text(caption, style="dim"),
        caption_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        width=room + excess() if excess() > 0 else None,
    )
    for i in kept:
        made.add_column(
            Text(names[i]),
            justify="left" if names[i] in left or names[i] in wrap else "right",
            overflow="fold",
            width=widths[i],
        )
    for row in cells:
        made.add_row(*(row[i] for i in kept))
    return _entitled(made, title)


def facts(pairs: Mapping[str, object], title: str | None = None) -> RenderableType:
    """What is known of something, a line each."""
    made = Table.grid(padding=(0, 2))
    made.add_column(style="cyan", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs.items():
        made.add_row(Text(name), value if isinstance(value, Text) else Text(str(value)))
    return _entitled(made, title)


def _entitled(made: Table, title: str | None) -> RenderableType:
    """With a title above it, no wider than the terminal: its own would be as narrow as the table
    is."""
    return made if title is None else Group(Text(title, style="bold"), made)


def facts_with_units(rows: Iterable[tuple[str, str, str, str]]) -> RenderableType:
    """Name, value, unit and meaning, a line each, in columns of fixed width; on a narrow terminal
    the meaning is below."""
    if console().width < NARROW:
        lines: list[RenderableType] = []
        for name, value, unit, meaning in rows:
            lines.append(Text(f"{name:<26}  {value:>17}  {unit}"))
            lines.append(Padding(Text(meaning, style="dim"), (0, 0, 0, 4)))
        return Group(*lines)
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
