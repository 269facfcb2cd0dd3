"""The command line: ``hwgym --help``.

One module for each group of commands. They parse, call the library and print; whatever they do can
be done from Python as well.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

NEEDED = ("typer", "rich")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; its exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    try:
        from hwgym.cli.app import run
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in NEEDED:
            raise
        print(f"error: the command line needs {package}: pip install 'hwgym[cli]'", file=sys.stderr)
        return 1
    return run(sys.argv[1:] if arguments is None else arguments)
