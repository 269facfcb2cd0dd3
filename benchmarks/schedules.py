"""Schedules per second, on one core: 100 jobs, all schedules in one call, against an event loop.

`fluid` has 8 cores that share a bandwidth, `chains` ten networks of ten layers on 8 cores. The peer
simulates one schedule after the other in plain Python; each end must be the same to 1e-9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.measure import Row, Settings, Void, alternate, busiest, rating
from benchmarks.schedule_loops import chain_loop, fluid_loop
from hwgym.costs.schedules import chains, fluid

PART = "schedules"
PEER = "event loop"
JOBS, CORES, CHAINS = 100, 8, 10


def measure(settings: Settings) -> Iterator[Row]:
    """Rows: both simulators."""
    rng = np.random.default_rng(0)
    count, few = min(4_000, settings.assignments), min(20, settings.assignments)
    latency = rng.uniform(1, 1000, (JOBS, CORES))
    demand = latency * rng.uniform(0, 2, (JOBS, CORES))
    core, priority = rng.integers(0, CORES, (count, JOBS)), rng.random((count, JOBS))
    lengths = [JOBS // CHAINS] * CHAINS
    chain = rng.permuted(np.tile(np.repeat(np.arange(CHAINS), lengths), (count, 1)), axis=1)
    # Together they want 8 on average and get 4.
    cases: dict[str, tuple[Any, Any, tuple[Any, ...], tuple[Any, ...]]] = {
        "fluid": (fluid, fluid_loop, (latency, demand, 4.0), (core, priority)),
        "chains": (chains, chain_loop, (latency, lengths), (chain, core)),
    }
    for name, (simulate, loop, problem, schedules) in cases.items():
        plain = [p.tolist() if isinstance(p, np.ndarray) else p for p in problem]
        each = list(zip(*(s[:few].tolist() for s in schedules), strict=True))

        def all_at_once(
            simulate: Callable[..., Any] = simulate, given: tuple[Any, ...] = (*problem, *schedules)
        ) -> Any:
            return simulate(*given)

        def one_by_one(loop: Any = loop, plain: Any = plain, each: Any = each) -> list[Any]:
            return [loop(*plain, *schedule)[1] for schedule in each]

        if not np.allclose(all_at_once().end[:few], one_by_one(), rtol=1e-9, atol=0):
            raise Void(f"{name} differs from the loop: no speed to speak of")
        figures = alternate(
            {
                name: rating(all_at_once, count, settings.seconds),
                PEER: rating(one_by_one, few, settings.seconds),
            },
            settings.rounds,
        )
        yield Row.of(
            PART, name, {"jobs": JOBS, "cores": CORES, "batch": count}, "schedules/s",
            figures[name], PEER, figures[PEER], where=busiest(all_at_once),
        )  # fmt: skip
