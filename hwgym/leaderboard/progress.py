"""How far a sweep is: a live display on a terminal, lines now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from hwgym.leaderboard.runner import Sweep
from hwgym.leaderboard.runs import Run

__all__ = ["duration", "show_sweep"]

EVERY = 30.0
FRAME = 0.25
SHOWN = 8


def duration(seconds: float) -> str:
    """A length of time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


@contextmanager
def show_sweep(
    console: Console, workers: Callable[[], int]
) -> Iterator[Callable[[Sweep, Run | None], None]]:
    """Gives what a sweep is to call with its state and each run that ends."""
    if not console.is_terminal:
        yield _Lines(console, workers)
        return
    display = _Display(workers)
    with Live(display, console=console, transient=True, refresh_per_second=1 / FRAME) as live:
        display.console = live.console
        yield display


def _left(state: Sweep, workers: int) -> str:
    seconds = state.seconds_left(workers)
    return "" if seconds is None else f"about {duration(seconds)} left"


def _report_failure(console: Console, run: Run) -> None:
    assert run.error is not None
    reason = run.error.get("message", "").splitlines() or [""]
    console.print(f"failed: {run.job.label}: {reason[0]}", style="red", markup=False)


class _Lines:
    def __init__(self, console: Console, workers: Callable[[], int]) -> None:
        self.console, self.workers = console, workers
        self.last: float | None = None

    def __call__(self, state: Sweep, run: Run | None) -> None:
        if run is not None and run.error is not None:
            _report_failure(self.console, run)
        now, done = time.monotonic(), len(state.done)
        # The first state and the last, and in between now and then.
        if self.last is None or now - self.last > EVERY or (run and done == len(state.jobs)):
            self.last = now
            parts = [
                f"{done} of {len(state.jobs)} runs",
                f"{len(state.failed)} failed" if state.failed else "",
                f"{state.elsewhere} in another sweep" if state.elsewhere else "",
                _left(state, self.workers()) if done < len(state.jobs) else "",
            ]
            self.console.print(", ".join(filter(None, parts)), markup=False, highlight=False)


class _Display:
    """A bar, and below it what is under way."""

    def __init__(self, workers: Callable[[], int]) -> None:
        self.console = Console(stderr=True)
        self.workers = workers
        self.bar = Progress(
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        self.whole = self.bar.add_task("runs", total=None, note="")
        self.running: list[str] = []
        self.last = -FRAME

    def __rich__(self) -> Group:
        lines = [
            Text(f"  {line}", style="dim", overflow="ellipsis", no_wrap=True)
            for line in self.running
        ]
        return Group(self.bar, *lines)

    def __call__(self, state: Sweep, run: Run | None) -> None:
        if run is not None and run.error is not None:
            _report_failure(self.console, run)
        # Of thousands of short runs, saying how far it is would take longer than they do.
        now = time.monotonic()
        if now - self.last < FRAME and len(state.done) < len(state.jobs):
            return
        self.last = now
        notes = [
            f"{len(state.failed)} failed" if state.failed else "",
            f"{state.elsewhere} in another sweep" if state.elsewhere else "",
            _left(state, self.workers()),
        ]
        self.running = [job.label for job in state.running[:SHOWN]]
        if len(state.running) > SHOWN:
            self.running.append(f"and {len(state.running) - SHOWN} more")
        self.bar.update(
            self.whole,
            total=len(state.jobs),
            completed=len(state.done),
            note=", ".join(filter(None, notes)),
        )
