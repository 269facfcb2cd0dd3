"""Where runs are done: the cores of this machine, or a Ray cluster.

Both do one run a worker at a time, on one thread, and hand the result back; whoever asked writes
it down. A run that goes on far beyond its time limit is killed, and a worker that dies takes only
its own run with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures import wait as wait_for
from multiprocessing import get_context
from typing import Any, Protocol

import numpy as np

from hwgym.agent import find_agent, solve
from hwgym.episodes import package_versions
from hwgym.leaderboard.runs import Job, Run

__all__ = ["LocalWorkers", "Workers", "failed", "perform"]

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def perform(job: Job) -> Run:
    """Do a run in this process. An exception of the agent's becomes a failed run."""
    try:
        cls = find_agent(job.agent)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
        result = solve(
            job.agent,
            job.env_id,
            samples=job.budget,
            time_limit=job.time_limit,
            seed=job.seed,
            settings=job.settings,
        )
    except (Exception, SystemExit) as error:
        text = f"{type(error).__name__}: {error}"
        return failed(job, "exception", text, traceback.format_exc())
    found = result.improvements
    return Run(
        job=job,
        sees=cls.sees,
        samples=result.samples,
        seconds=result.seconds,
        timed_out=result.timed_out,
        objective=result.objective if found else None,
        found_at=np.array([sample for sample, _ in found], np.int64),
        actions=np.array([a for _, a in found], np.int64).reshape(len(found), -1 if found else 0),
        packages=package_versions(),
    )


def failed(job: Job, kind: str, message: str, trace: str = "", seconds: float = 0.0) -> Run:
    """The run of a job that failed.

    Args:
        kind: ``exception``, ``crash`` or ``hard limit``.
        message: Why.
        trace: A traceback, if there is one.
        seconds: Until then.
    """
    error = {"kind": kind, "message": message, "traceback": trace}
    try:
        sees = find_agent(job.agent).sees
    except (AttributeError, ImportError, ValueError):
        sees = "unknown"
    return Run(job=job, sees=sees, error=error, seconds=seconds, packages=package_versions())


class Workers(Protocol):
    """Something that does runs."""

    @property
    def count(self) -> int:
        """Runs that it can do at once, now."""
        ...

    def submit(self, job: Job, hard_limit: float | None) -> None:
        """Begin a run, to be killed after so many seconds."""
        ...

    def wait(self, timeout: float) -> list[Run]:
        """Runs that have ended; waits for one, but not longer than ``timeout`` seconds."""
        ...

    def close(self) -> None:
        """Stop whatever is running."""
        ...


def _quiet() -> None:
    """A worker leaves Ctrl-C to the process that asked, and the terminal to its display."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class LocalWorkers:
    """Processes on this machine, each begun afresh (``spawn``), with one thread.

    Args:
        count: How many.

    Raises:
        ImportError: If pebble is not installed.
    """

    def __init__(self, count: int) -> None:
        try:
            from pebble import ProcessPool
        except ImportError as error:
            raise ImportError(
                "running a sweep needs pebble: pip install 'hwgym[leaderboard]'"
            ) from error
        self.count = count
        self._stack = contextlib.ExitStack()
        # Read by numerical libraries as they are imported, so the workers must inherit it.
        self._stack.enter_context(_environment(**ONE_THREAD))
        self._pool = ProcessPool(count, initializer=_quiet, context=get_context("spawn"))
        self._running: dict[Any, tuple[Job, float]] = {}

    def submit(self, job: Job, hard_limit: float | None) -> None:
        future = self._pool.schedule(perform, args=(job,), timeout=hard_limit)
        self._running[future] = (job, time.monotonic())

    def wait(self, timeout: float) -> list[Run]:
        if not self._running:
            time.sleep(timeout)
        done, _ = wait_for(self._running, timeout, FIRST_COMPLETED)
        return [self._outcome(future, *self._running.pop(future)) for future in done]

    @staticmethod
    def _outcome(future: Any, job: Job, begun: float) -> Run:
        from pebble import ProcessExpired

        seconds = time.monotonic() - begun
        try:
            run: Run = future.result()
            return run
        except FutureTimeout:
            return failed(job, "hard limit", f"killed after {seconds:.0f} s", seconds=seconds)
        except ProcessExpired as error:
            return failed(job, "crash", _exit(error.exitcode), seconds=seconds)
        except Exception as error:  # its result could not be sent, say
            text = f"{type(error).__name__}: {error}"
            return failed(job, "exception", text, seconds=seconds)

    def close(self) -> None:
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()
        self._stack.close()


def _exit(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"the worker was killed by {signal.Signals(-code).name}"
    return f"the worker ended with exit code {code}"
