"""Where runs are done: the cores of this machine, or a Ray cluster.

Both do one run a worker at a time, on one thread, and hand the result back; whoever asked writes
it down. A run that goes on far beyond its time limit is killed, and a worker that dies takes only
its own run with it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, Protocol, cast

import numpy as np

from hwgym.core import Withheld, families, find_agent, solve
from hwgym.core.family import import_families
from hwgym.core.log import package_versions
from hwgym.leaderboard.runs import Job, Run, problem_of

__all__ = ["LocalWorkers", "RayWorkers", "Workers", "failed", "fingerprint_of", "perform"]

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

LOSSES = 3
"""So often a run is lost with its worker before it counts as the run's own fault."""


def perform(job: Job, modules: Iterable[str] = ()) -> Run:
    """Do a run in this process. An exception of the agent's becomes a failed run.

    Args:
        job: The run.
        modules: To be imported first, those of the families that are known where it was planned.
    """
    try:
        import_families(modules)
        cls = find_agent(job.agent)
        learnt = fingerprint_of(job)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
        result = solve(
            job.agent,
            problem_of(job.env_id),
            samples=job.budget,
            time_limit=job.time_limit,
            seed=job.seed,
            settings=job.settings,
        )
    except Withheld as error:
        return failed(job, "withheld", str(error), traceback.format_exc())
    except (Exception, SystemExit) as error:
        text = f"{type(error).__name__}: {error}"
        return failed(job, "exception", text, traceback.format_exc())
    found = result.improvements
    return Run(
        job=job,
        sees=getattr(cls, "sees", "totals"),
        deterministic=getattr(cls, "deterministic", False),
        samples=result.samples,
        seconds=result.seconds,
        timed_out=result.timed_out,
        objective=result.objective if found else None,
        found_at=np.array([sample for sample, _ in found], np.int64),
        genes=np.stack([g for _, g in found]) if found else np.zeros((0, 0, 0), np.int64),
        packages=package_versions(),
        fingerprint=learnt,
    )


def fingerprint_of(job: Job) -> str | None:
    """That of the checkpoint with which an agent would do a run; None if it has none.

    Raises:
        ImportError: If the agent's module, or a package that it needs, cannot be imported.
        OSError: If the checkpoint cannot be read.
        TypeError: If there is no setting of a name.
        ValueError: If there is no such agent, or a setting is wrong.
    """
    cls = find_agent(job.agent)
    if not hasattr(cls, "fingerprint"):
        return None
    found = cls(**job.settings).fingerprint
    return None if found is None else str(found)


def failed(job: Job, kind: str, message: str, trace: str = "", seconds: float = 0.0) -> Run:
    """The run of a job that failed.

    Args:
        kind: ``exception``, ``withheld`` (it asked for what it had not paid for), ``crash`` or
            ``hard limit``.
        message: Why.
        trace: A traceback, if there is one.
        seconds: Until then.
    """
    error = {"kind": kind, "message": message, "traceback": trace}
    sees, same = "unknown", None
    with contextlib.suppress(ImportError, ValueError):
        cls = find_agent(job.agent)
        sees, same = getattr(cls, "sees", "totals"), getattr(cls, "deterministic", False)
    packages = package_versions()
    return Run(
        job=job, sees=sees, deterministic=same, error=error, seconds=seconds, packages=packages
    )


def _modules() -> tuple[str, ...]:
    """Where the families that are known here are defined: a new process knows only the suite's."""
    return tuple(family.module for family in families())


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
        future = self._pool.schedule(perform, args=(job, _modules()), timeout=hard_limit)
        self._running[future] = (job, time.monotonic())

    def wait(self, timeout: float) -> list[Run]:
        if not self._running:
            time.sleep(timeout)
        done, _ = wait_for(self._running, timeout, FIRST_COMPLETED)
        if not done and not self._pool.active:
            raise RuntimeError("the worker processes cannot be started")
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


class RayWorkers:
    """The CPUs of a Ray cluster, one for each run.

    Results come back to the process that asked, so the nodes need no shared folder, only hwgym, the
    agents and the families. A run whose node was lost is done again elsewhere. Nodes may join at
    any time.

    Args:
        address: As ``ray.init`` takes it: ``auto`` for the cluster that this machine belongs to,
            ``host:port``, or ``local`` to start one here. Ignored if ray is initialised already.

    Attributes:
        lost: Runs whose worker was lost, once for each time.

    Raises:
        ImportError: If ray is not installed.
        ConnectionError: If there is no cluster at that address.
    """

    def __init__(self, address: str = "auto") -> None:
        try:
            import ray
        except ImportError as error:
            raise ImportError("running on a cluster needs Ray: pip install 'hwgym[ray]'") from error
        self._ray, self._resources = ray, cast(Any, ray.cluster_resources)
        self._owner = not ray.is_initialized()
        if self._owner:
            _see_that_somebody_answers(address)
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        # Ray gives a task of one CPU one thread; what to do about lost ones is decided here.
        self._perform: Any = ray.remote(num_cpus=1, max_retries=0)(perform)
        self._running: dict[Any, _Task] = {}
        self._again: deque[_Task] = deque()
        self.lost: list[Job] = []

    @property
    def count(self) -> int:
        resources: dict[str, float] = self._resources()
        return int(resources.get("CPU", 0))

    def submit(self, job: Job, hard_limit: float | None) -> None:
        self._start(_Task(job, hard_limit))

    def _start(self, task: _Task) -> None:
        task.begun, task.killed = time.monotonic(), False
        self._running[self._perform.remote(task.job, _modules())] = task

    def wait(self, timeout: float) -> list[Run]:
        while self._again and len(self._running) < self.count:
            self._start(self._again.popleft())
        if not self._running:
            time.sleep(timeout)
            return []
        for ref, task in self._running.items():
            if task.hard_limit is not None and task.seconds > task.hard_limit and not task.killed:
                self._ray.cancel(ref, force=True)
                task.killed = True
        refs = list(self._running)
        done, _ = self._ray.wait(refs, num_returns=1, timeout=timeout)
        runs = [self._outcome(ref, self._running.pop(ref)) for ref in done]
        return [run for run in runs if run is not None]

    def _outcome(self, ref: Any, task: _Task) -> Run | None:
        """What came of a run; None if it is to be done again."""
        ray, job = self._ray, task.job
        try:
            run: Run = ray.get(ref)
            return run
        except ray.exceptions.RayTaskError as error:  # hwgym itself is missing there, say
            text = str(error).strip().splitlines()[-1]
            return failed(job, "exception", text, str(error), task.seconds)
        except ray.exceptions.RayError as error:
            if task.killed:
                text = f"killed after {task.seconds:.0f} s"
                return failed(job, "hard limit", text, seconds=task.seconds)
            self.lost.append(job)
            task.losses += 1
            if task.losses >= LOSSES:
                text = f"its worker was lost {task.losses} times: {type(error).__name__}"
                return failed(job, "crash", text, str(error), task.seconds)
            self._again.append(task)
            return None

    def close(self) -> None:
        for ref in self._running:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.cancel(ref, force=True)
        self._running.clear()
        if self._owner:
            self._ray.shutdown()


def _see_that_somebody_answers(address: str) -> None:
    """Ray itself tries for two minutes.

    Raises:
        ConnectionError: If nobody listens at ``host:port``.
    """
    host, colon, port = address.rpartition(":")
    if not colon or "/" in host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(f"no Ray cluster at {address}: {error}") from error


@dataclass
class _Task:
    """A run given to the cluster."""

    job: Job
    hard_limit: float | None
    begun: float = 0.0
    killed: bool = False
    losses: int = 0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begun
