"""The application: its commands, and what happens when one fails."""

from __future__ import annotations

import os
import re
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperGroup
from typer.main import get_command

from hwgym import __version__
from hwgym._extras import explain
from hwgym._names import nearest
from hwgym.cli import (
    assign,
    compare,
    cost,
    frontier,
    listing,
    mapping,
    optimize,
    quantise,
    schedule,
    show,
    train,
)
from hwgym.cli.output import Failure, console, errors

__all__ = ["app", "run"]

ABOUT = """Hardware-resource assignment for DNN accelerators: costs, proven optima, agents.

Exit codes: 0 done; 1 failed, or nothing fits the budget; 2 wrong usage; 130 interrupted."""

INTERRUPTED = 130
WRONG = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)


class Commands(TyperGroup):
    """Turns whatever goes wrong into one message and an exit code."""

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, **options: Any
    ) -> Any:
        """Run, and leave with the exit code."""
        given = list(sys.argv[1:] if args is None else args)
        debug = "--debug" in given
        given = [each for each in given if each != "--debug"]
        options |= {"prog_name": "hwgym", "standalone_mode": False}
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _warn  # type: ignore[assignment]
                code = super().main(args=given, **options)
        except BrokenPipeError:  # whoever read our output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        except Exception as error:
            if debug:
                traceback.print_exc()
            sys.exit(_report(error, given, debug=debug))
        sys.exit(code if isinstance(code, int) else 0)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of that name, or the nearest name in the message."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise ValueError(nearest("command", args[0], self.list_commands(ctx)))
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=Commands,
    help=ABOUT,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _module in (
    listing, show, cost, optimize, assign, quantise, frontier, compare, mapping, schedule, train,
):  # fmt: skip
    _module.register(app)


def _mount_leaderboard() -> None:
    """The leaderboard's commands, imported when they are called."""
    if find_spec("hwgym.leaderboard") is None:
        return
    everything = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

    @app.command("leaderboard", context_settings=everything, add_help_option=False)
    def leaderboard(context: typer.Context) -> None:
        """Agents compared by their proven regret: run, submit, validate, report."""
        board = import_module("hwgym.leaderboard.cli")
        get_command(board.app).main(context.args, prog_name="hwgym leaderboard")


_mount_leaderboard()


def _version(wanted: bool) -> None:
    if wanted:
        console().print(f"hwgym {__version__}", highlight=False)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _hwgym(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_version,
                           is_eager=True)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where an error came from; goes anywhere.")
    ] = False,
) -> None:  # fmt: skip
    if context.invoked_subcommand is None:
        console().print(context.get_help(), highlight=False)


def run(arguments: Sequence[str]) -> int:
    """Run the command line; its exit code."""
    try:
        get_command(app).main(list(arguments))
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 1
    return 0


def _report(error: Exception, given: Sequence[str], *, debug: bool) -> int:
    """Say what is wrong, in one place; the exit code."""
    hint = ""
    if type(error).__name__ == "NoArgsIsHelpError":
        console().print(str(error), highlight=False, markup=False)
        return 2
    if type(error).__name__ == "Abort":  # some versions' KeyboardInterrupt
        return INTERRUPTED
    if isinstance(error, Failure):
        message, code = str(error), 1
    elif isinstance(error, ImportError):
        message, code = explain(error), 1
    elif hasattr(error, "format_message"):  # the parser's own
        message, hint = _of_parser(error)
        code = 2
    elif isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        message, code = f"{where}{error.strerror or error}", 2 if isinstance(error, WRONG) else 1
    elif isinstance(error, ValueError):
        message, code = str(error), 2
    else:
        message, code = f"{type(error).__name__}: {error}", 1
        hint = "" if debug else "this should not happen; --debug shows where it did"
    errors().print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)
    if hint:
        errors().print(escape(hint), style="dim", soft_wrap=True)
    return code


def _warn(message: Warning | str, *_: Any) -> None:
    errors().print(f"[yellow]warning:[/] {escape(str(message))}", soft_wrap=True)


def _of_parser(error: Any) -> tuple[str, str]:
    """The message and the hint of an error in the command line's form."""
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if hasattr(error, "possibilities") and context is not None:
        options = [o for p in context.command.params for o in p.opts if o.startswith("--")]
        allowed = dict.fromkeys([*options, "--help", "--debug"])
        message = nearest("option", error.option_name, allowed)
    message = re.sub(r"Input should be (a valid \w+).*", r"it must be \1", message)
    message = message[:1].lower() + message[1:]
    return message, "" if context is None else f"try: {context.command_path} --help"
