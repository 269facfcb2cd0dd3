"""How fast everything is: figures, tables and a picture, each a ratio measured in the same run.

    python -m benchmarks                                     # ours, and gymnasium's CartPole
    python -m benchmarks --maestro PATH --zigzag-python PATH # beside MAESTRO and ZigZag
    python -m benchmarks --only loopnest --timeloop PATH     # loop nests beside Timeloop
    python -m benchmarks --only stepping,ppo                 # some parts; the others stay
    python -m benchmarks --quick                             # does it work?
    python -m benchmarks --redraw                            # tables and picture again

The folder gets speed.json (every figure), speed.png, and SPEED.md. A part is saved when it is done,
so an interrupted run keeps what it has. Let nothing else run meanwhile.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy starts its own

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import (
    assignments,
    cost,
    growth,
    limits,
    loopnest,
    mappings,
    ppo,
    report,
    schedules,
    speed,
    stepping,
)
from benchmarks.measure import Row, Settings, machine, one_core
from benchmarks.picture import speed_figure
from hwgym._files import write_text
from hwgym._names import nearest
from hwgym.families.assignment.ids import MODELS, RELEASED_MODELS
from hwgym.plotting import save_figure

PARTS: dict[str, Callable[[Settings], Iterator[Row]]] = {
    "cost": cost.measure,
    "memory": cost.measure_memory,
    "loopnest": loopnest.measure,
    "mappings": mappings.measure,
    "schedules": schedules.measure,
    "stepping": stepping.measure,
    "ppo": ppo.measure,
    "assignments": assignments.measure,
    "machine": limits.measure,
    "growth": growth.measure,
    "speed": speed.measure,
}


def parts(text: str) -> list[str]:
    """The parts of a list with commas, in their order.

    Raises:
        argparse.ArgumentTypeError: If one is unknown.
    """
    chosen = [name.strip() for name in text.split(",") if name.strip()]
    for name in chosen:
        if name not in PARTS:
            raise argparse.ArgumentTypeError(nearest("part", name, PARTS))
    if not chosen:
        raise argparse.ArgumentTypeError(f"name some of {', '.join(PARTS)}")
    return [name for name in PARTS if name in chosen]


def program(text: str) -> Path:
    """A program's path.

    Raises:
        argparse.ArgumentTypeError: If there is none.
    """
    path = Path(text)
    if not path.is_file() or not os.access(path, os.X_OK):
        raise argparse.ArgumentTypeError(f"not a program: {text}")
    return path.absolute()


def positive(text: str) -> float:
    """A number above 0.

    Raises:
        argparse.ArgumentTypeError: If it is not one.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return value


def rounds(text: str) -> int:
    """A whole number above 0.

    Raises:
        argparse.ArgumentTypeError: If it is not one.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, got {text!r}")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    out.add_argument("--only", type=parts, default=list(PARTS), metavar="PARTS",
                     help=f"some of {', '.join(PARTS)}, with commas between")  # fmt: skip
    out.add_argument("--maestro", type=program, metavar="PATH", help="a compiled MAESTRO")
    out.add_argument("--zigzag-python", type=program, metavar="PATH",
                     help="a Python that has zigzag-dse (and six, which it forgets to ask for); "
                     "by default this one, if it has")  # fmt: skip
    out.add_argument("--timeloop", type=program, metavar="PATH",
                     help="a compiled timeloop-model")  # fmt: skip
    out.add_argument("--model", default="MobileNetV2", help="the network (%(default)s)")
    out.add_argument("--rounds", type=rounds, help="timings of which the median is taken (5)")
    out.add_argument("--seconds", type=positive, help="of each timing, at least (0.4)")
    out.add_argument("--core", type=int, help="the core to stay on (the last)")
    out.add_argument("--out", type=Path, default=Path("runs/speed"), help="folder (%(default)s)")
    out.add_argument("--picture", type=Path, help="instead of speed.png in that folder")
    mode = out.add_mutually_exclusive_group()
    mode.add_argument("--quick", action="store_true", help="smaller and shorter: a trial")
    mode.add_argument("--redraw", action="store_true", help="measure nothing; from speed.json")
    return out


def settings_of(args: argparse.Namespace) -> Settings:
    """What to measure, from the command line.

    Raises:
        ValueError: If the network is unknown, or has no environments.
    """
    models = [name for name in MODELS if name in RELEASED_MODELS]  # both kinds of ids have it
    if args.model not in models:
        raise ValueError(nearest("model", args.model, models))
    given = {
        name: getattr(args, name) for name in ("model", "rounds", "seconds", "maestro", "timeloop")
    }
    given["zigzag"] = args.zigzag_python
    if given["zigzag"] is None and importlib.util.find_spec("zigzag"):
        given["zigzag"] = Path(sys.executable)
    changes = {name: value for name, value in given.items() if value is not None}
    return Settings.quick(**changes) if args.quick else Settings(**changes)


def measure(
    names: Sequence[str], settings: Settings, results: report.Results, file: Path, console: Console
) -> list[str]:
    """Measure parts, save and print each when it is done; what went wrong."""
    failed = []
    for name in names:
        about, rows, start = machine(), [], time.monotonic()
        try:
            with console.status(f"{name}: begins") as status:
                for row in PARTS[name](settings):
                    rows.append(row)
                    status.update(f"{name}: {len(rows)} figures, last {report.cells(row)[0]}")
        except (RuntimeError, ValueError, OSError, ImportError) as error:
            failed.append(f"{name}: {error}")
            console.print(f"[red]{name}[/red] failed: {error}", soft_wrap=True)
            continue
        spent = round(time.monotonic() - start, 1)
        about["part_seconds"] = spent
        results[name] = {"machine": about, "settings": report.described(settings), "rows": rows}
        report.save(file, results)
        report.show(console, name, rows)
        console.print(f"{name}: {spent:,.0f} s\n")
    return failed


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    command = parser()
    args = command.parse_args(argv)
    file: Path = args.out / "speed.json"
    console = Console()
    try:
        results = report.load(file)
        settings = settings_of(args)
    except ValueError as error:
        command.error(str(error))
    failed: list[str] = []
    if args.redraw:
        if not results:
            command.error(f"no figures in {file}; run `python -m benchmarks --out {args.out}`")
        for name, part in results.items():
            report.show(console, name, part["rows"])
    else:
        if "cost" in args.only and not settings.maestro:
            console.print("No --maestro: the cost model is not held against MAESTRO.")
        if {"cost", "loopnest"} & set(args.only) and not settings.zigzag:
            console.print("No --zigzag-python: the cost models are not held against ZigZag.")
        if "loopnest" in args.only and not settings.timeloop:
            console.print("No --timeloop: loop nests are not held against Timeloop.")
        try:
            with one_core(args.core):
                failed = measure(args.only, settings, results, file, console)
        except ValueError as error:  # no such core
            command.error(str(error))
        except KeyboardInterrupt:
            console.print(f"\nInterrupted; finished parts are in {file}.")
            return 130
    results = {name: results[name] for name in PARTS if name in results}
    if results:
        rows = report.all_rows(results)
        report.show_targets(console, rows)
        picture: Path | None = None
        try:
            picture = save_figure(speed_figure(rows), args.picture or args.out / "speed.png")
        except ValueError:  # memory and speed have no panel
            console.print("No picture: these parts have none.")
        link = os.path.relpath(picture, args.out) if picture else None
        write_text(args.out / "SPEED.md", report.markdown(results, link))
        console.print(
            f"Written: {file}, {args.out / 'SPEED.md'}{f', {picture}' if picture else ''}"
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
