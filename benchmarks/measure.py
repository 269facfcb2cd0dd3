"""How a figure is taken: rounds that alternate between ours and a peer, medians, and the spread."""

from __future__ import annotations

import cProfile
import math
import os
import platform
import pstats
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = [
    "Row",
    "Settings",
    "Spread",
    "Void",
    "alternate",
    "busiest",
    "machine",
    "one_core",
    "rate",
    "rating",
    "seconds_each",
]


class Void(RuntimeError):
    """A measurement that must not count, because what was timed did not do the work."""


@dataclass(frozen=True)
class Settings:
    """What to measure, and for how long.

    Attributes:
        rounds: Timings of which the median is taken; one more before them warms up.
        seconds: Of each timing, at least.
        model: The network.
        dataflows: Of the cost model.
        maestro: A compiled MAESTRO; without it there is no comparison with it.
        maestro_points, process_points: Asked of it a round, in one file and a process each.
        zigzag: A Python that has ``zigzag-dse``; without it there is no comparison with it.
        timeloop: A compiled ``timeloop-model``; without it there is no comparison with it.
        timeloop_points: Asked of it a round, a process each.
        points: Sizes of queries, beside the network's own.
        memory_points: Sizes of queries whose memory is measured.
        num_envs: Batches of environments.
        sync_up_to: The largest batch that ``SyncVectorEnv`` is tried with.
        ppo_envs: Batches of environments that PPO learns from.
        ppo_steps: Of each environment in a rollout; a rollout a timing.
        big_bytes, small_bytes: Arrays beyond every cache, and within a core's own.
        assignments: Batch of complete assignments.
        growth: Sizes along every axis whose growth is measured.
        speed_envs: The batch of the speed table.
    """

    rounds: int = 5
    seconds: float = 0.4
    model: str = "MobileNetV2"
    dataflows: tuple[str, ...] = ("NVDLA", "Eyeriss", "ShiDianNao")
    maestro: Path | None = None
    maestro_points: int = 600
    process_points: int = 60
    zigzag: Path | None = None
    timeloop: Path | None = None
    timeloop_points: int = 30
    points: tuple[int, ...] = (100_000, 1_000_000)
    memory_points: tuple[int, ...] = (1_000_000, 10_000_000)
    num_envs: tuple[int, ...] = (1, 64, 1024, 4096, 16384)
    sync_up_to: int = 1024
    ppo_envs: tuple[int, ...] = (16, 256)
    ppo_steps: int = 64
    big_bytes: int = 2**28
    small_bytes: int = 2**17
    assignments: int = 100_000
    growth: Mapping[str, tuple[int, ...]] = field(
        default_factory=lambda: {
            "layers": (1, 4, 16, 64, 256),
            "actions": (12, 48, 144, 576, 1536),
            "batch": (1, 10, 100, 1_000, 10_000, 100_000),
            "environments": (1, 16, 256, 4096, 16384),
        }
    )
    speed_envs: int = 1024

    @classmethod
    def quick(cls, **changes: Any) -> Settings:
        """A minute or two: shows that everything works; the figures are worth little."""
        small: dict[str, Any] = {
            "rounds": 2,
            "seconds": 0.05,
            "maestro_points": 60,
            "process_points": 5,
            "timeloop_points": 5,
            "points": (20_000,),
            "memory_points": (100_000,),
            "num_envs": (1, 64, 1024, 4096),
            "sync_up_to": 64,
            "ppo_envs": (16,),
            "ppo_steps": 32,
            "big_bytes": 2**26,
            "assignments": 10_000,
            "growth": {
                "layers": (1, 8, 32),
                "actions": (12, 144),
                "batch": (1, 100, 10_000),
                "environments": (1, 64, 1024),
            },
            "speed_envs": 64,
        }
        return cls(**(small | changes))


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest of the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Row:
    """A figure.

    Attributes:
        part: Of the benchmark.
        name: What was measured.
        case: With what.
        unit: Of ours and theirs.
        ours: Per second, unless the unit says otherwise.
        peer: What it was held against, in the same rounds; or nothing.
        theirs: The same of the peer.
        ratio: Ours over theirs, round by round.
        extra: Other figures by name; shares lie between 0 and 1.
        where: Share of our time by function, the greatest first: what bounds the figure.
        note: What exactly was timed.
    """

    part: str
    name: str
    case: Mapping[str, int | str]
    unit: str
    ours: Spread
    peer: str = ""
    theirs: Spread | None = None
    ratio: Spread | None = None
    extra: Mapping[str, float] = field(default_factory=dict)
    where: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    @classmethod
    def of(
        cls,
        part: str,
        name: str,
        case: Mapping[str, int | str],
        unit: str,
        ours: Sequence[float],
        peer: str = "",
        theirs: Sequence[float] | None = None,
        **others: Any,
    ) -> Row:
        """From the figures of the rounds."""
        return cls(
            part,
            name,
            case,
            unit,
            Spread.of(ours),
            peer,
            None if theirs is None else Spread.of(theirs),
            None
            if theirs is None
            else Spread.of([a / b for a, b in zip(ours, theirs, strict=True)]),
            **others,
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Row:
        """From what ``dataclasses.asdict`` made of one."""
        spreads = {
            n: Spread(**values[n]) if values[n] else None for n in ("ours", "theirs", "ratio")
        }
        return cls(**{**values, **spreads})


def rate(call: Callable[[], object], work: float, seconds: float) -> float:
    """Work per second of calling again and again for at least so long."""
    done = 0
    start = time.perf_counter()
    while True:
        call()
        done += 1
        spent = time.perf_counter() - start
        if spent >= seconds:
            return work * done / spent


def rating(call: Callable[[], object], work: float, seconds: float) -> Callable[[], float]:
    """A call that measures :func:`rate`."""
    return lambda: rate(call, work, seconds)


def seconds_each(call: Callable[[], object], seconds: float) -> float:
    """Seconds a call."""
    return 1 / rate(call, 1, seconds)


def alternate(
    calls: Mapping[str, Callable[[], float]], rounds: int
) -> dict[str, tuple[float, ...]]:
    """What each call returns, round after round, so that all of them see the machine's moods alike.

    A first round warms up and is not counted; every other round goes in reverse.
    """
    names = list(calls)
    values: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name in names if number % 2 else names[::-1]:
            value = calls[name]()
            if number:
                values[name].append(value)
    return {name: tuple(v) for name, v in values.items()}


def busiest(call: Callable[[], object], repeats: int = 1, most: int = 6) -> dict[str, float]:
    """Share of the time that functions take themselves, the greatest first.

    What numpy does for an operator counts as its caller's. The profiler adds to every call, so
    the shares of small functions that are called often come out too large.
    """
    call()
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(repeats):
        call()
    profile.disable()
    stats: Any = pstats.Stats(profile)
    total = stats.total_tt or 1.0
    shares: dict[str, float] = {}
    for (file, _, function), (_, _, own, _, _) in stats.stats.items():
        name = _function(file, function)
        shares[name] = shares.get(name, 0.0) + own / total
    return dict(sorted(shares.items(), key=lambda item: -item[1])[:most])


def _function(file: str, name: str) -> str:
    if Path(file).parent == Path(__file__).parent or Path(file).stem == "performance":
        return "the calling loop (frees what it got)"
    if file != "~":
        return f"{Path(file).stem}.{name}"
    method = re.match(r"<method '(\w+)' of '(?:\w+\.)*(\w+)' objects>", name)
    if method:
        return f"{method[2]}.{method[1]}"
    return re.sub(r"<built-in method (.*)>", r"\1", name)


@contextmanager
def one_core(core: int | None = None) -> Iterator[int | None]:
    """Keep this process, and those that it starts, on one core; where the system can.

    Raises:
        ValueError: If the process may not run on that core.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    chosen = max(before) if core is None else core
    if chosen not in before:
        raise ValueError(f"no core {chosen}; there are {', '.join(map(str, sorted(before)))}")
    os.sched_setaffinity(0, {chosen})
    try:
        yield chosen
    finally:
        os.sched_setaffinity(0, before)


def machine() -> dict[str, Any]:
    """What the figures were taken on: nothing in it names the machine."""
    packages = {}
    for name in ("numpy", "gymnasium", "stable-baselines3", "sb3-contrib", "torch"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        text = info.read_text()
        found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
        cpu = found[1].strip() if found else cpu
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan
    return {
        "cpu": cpu,
        "threads": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "system": platform.system(),
        "python": platform.python_version(),
        "packages": packages,
        "load_before": round(load, 2),
        "taken": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None
