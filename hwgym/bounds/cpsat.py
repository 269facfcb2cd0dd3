"""Schedules that are proven best, by OR-tools' CP-SAT: whole cycles, nothing is rounded.

Jobs that share no bandwidth (:func:`best_jobs`) are first given to kinds of cores: cores that are
alike are one that is as many times as fast, and jobs that are alike are counted. CP-SAT solves that
in seconds where it takes hours with cores by themselves, and no schedule is better. Then the jobs
of a kind are dealt out to its cores, each filled up to that bound by sums of subsets. Where that
fails, other jobs are given to the kinds, and at last all is left open.

Layers in chains (:func:`best_chains`) are intervals on cores, which may not overlap. That proves
small cases; of hundreds of layers, the bounds of :mod:`.schedules` are better.

Seeds are fixed and searches take turns, so that only what there was time for makes a difference.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Bools, Ints
from hwgym._extras import naming

__all__ = ["BestSchedule", "best_chains", "best_jobs"]

T = TypeVar("T")
WORKERS = 8
"""Searches that take turns, as many on every machine."""
ANOTHER = 2.0
"""Seconds that jobs of the kinds are dealt out before others are looked for, as long."""
MOST_BITS = 2**31
"""Of the sums of subsets, 256 MiB; of greater numbers the last digits are not looked at."""


@dataclass(frozen=True)
class BestSchedule:
    """The best schedule found, and what is proven of it.

    Attributes:
        core: (jobs,), where each runs.
        start: (jobs,), cycles.
        makespan: Cycles.
        bound: Cycles that no schedule is under.
    """

    core: Ints
    start: Ints
    makespan: int
    bound: int

    @property
    def proven(self) -> bool:
        """No schedule is better."""
        return self.makespan == self.bound


def best_jobs(
    latency: ArrayLike, *, seconds: float = 60.0, core: ArrayLike | None = None
) -> BestSchedule:
    """The least makespan of independent jobs on cores that share nothing.

    Args:
        latency: (jobs, cores), whole cycles > 0; infinite where a job cannot run on a core.
        seconds: To be taken at most, about.
        core: (jobs,), where jobs run in a schedule that is known: none worse comes back.

    Raises:
        ValueError: If shapes do not fit, a number is not as above, or a job can run nowhere.
        RuntimeError: If CP-SAT finds nothing in time.
        ImportError: If OR-tools is not installed (``pip install 'hwgym[cpsat]'``).
    """
    cycles = _whole(latency)
    best = None if core is None else _known_cores(core, cycles)
    begun, rng = time.monotonic(), np.random.default_rng(0)
    _, first, kind, cores = np.unique(
        cycles, axis=1, return_index=True, return_inverse=True, return_counts=True
    )
    kind = kind.reshape(-1)
    by_kind = _Jobs(cycles[:, first], cores)
    given, bound = by_kind.solve(seconds / 3)
    best = _better(cycles, best, _deal(cycles, kind, given, bound, rng))

    # What is small is solved as it is.
    alone = _Jobs(cycles, np.ones_like(kind), kind)
    found, least = alone.solve(seconds / 10, best, bound)
    best, bound = _better(cycles, best, found), max(bound, least)
    changes, until = 0.0, begun + seconds * 2 / 3
    while _loads(cycles, best).max() > bound and time.monotonic() < until:
        if time.monotonic() > changes:
            given = by_kind.another(rng, ANOTHER)
            changes = time.monotonic() + ANOTHER
        best = _better(cycles, best, _deal(cycles, kind, given, bound, rng))
    if _loads(cycles, best).max() > bound:
        found, least = alone.solve(max(begun + seconds - time.monotonic(), 1.0), best, bound)
        best, bound = _better(cycles, best, found), max(bound, least)
    start = np.zeros(len(cycles), np.int64)
    for each in range(cycles.shape[1]):
        mine = np.flatnonzero(best == each)
        start[mine] = np.cumsum(cycles[mine, each]) - cycles[mine, each]
    return BestSchedule(best, start, int(_loads(cycles, best).max()), bound)


def best_chains(
    latency: ArrayLike,
    lengths: ArrayLike,
    *,
    seconds: float = 60.0,
    start: ArrayLike | None = None,
    core: ArrayLike | None = None,
) -> BestSchedule:
    """The least makespan of layers in chains, each network's in order, on cores that share nothing.

    Args:
        latency: (layers, cores), whole cycles > 0; infinite where a layer cannot run on a core.
        lengths: (chains,), layers of each chain: the first so many follow one another, and so on.
        seconds: To be taken at most, about.
        start, core: (layers,) of a schedule that is known, to begin with.

    Raises:
        ValueError: As :func:`best_jobs`, or if lengths do not fit.
        RuntimeError: As there.
        ImportError: As there.
    """
    with naming():
        from ortools.sat.python import cp_model
    cycles = _whole(latency)
    layers, cores = cycles.shape
    counts = np.asarray(lengths)
    if counts.dtype.kind not in "iu" or counts.ndim != 1 or counts.min(initial=0) < 0:
        raise ValueError(f"lengths must be whole numbers from 0 on, got {counts.tolist()}")
    if counts.sum() != layers:
        raise ValueError(f"lengths must add up to {layers} layers, got {counts.tolist()}")

    model = cp_model.CpModel()
    most = int(cycles.max(axis=1).sum())
    whole = model.new_int_var(0, most, "makespan")
    begins = [model.new_int_var(0, most, "") for _ in range(layers)]
    takes, here = [], {}
    on: list[list[Any]] = [[] for _ in range(cores)]
    for layer, begin in enumerate(begins):
        can = np.flatnonzero(cycles[layer] > 0).tolist()
        for at in can:
            length = int(cycles[layer, at])
            here[layer, at] = chosen = model.new_bool_var("")
            on[at].append(model.new_optional_fixed_size_interval_var(begin, length, chosen, ""))
        model.add_exactly_one(here[layer, at] for at in can)
        takes.append(sum(int(cycles[layer, at]) * here[layer, at] for at in can))
    for at in range(cores):
        model.add_no_overlap(on[at])
    chains = np.split(np.arange(layers), np.cumsum(counts)[:-1])
    for chain in filter(len, chains):
        for one, other in pairwise(chain):
            model.add(begins[other] >= begins[one] + takes[one])
        model.add(begins[chain[-1]] + takes[chain[-1]] <= whole)
        model.add(sum(takes[layer] for layer in chain) <= whole)
    # Chains that are alike may be exchanged, and so may cores: in the order of what they begin, and
    # of what they run.
    loads = [
        sum(int(cycles[j, c]) * chosen for (j, c), chosen in here.items() if c == each)
        for each in range(cores)
    ]
    same_chains = _alike([(cycles[chain].tobytes(), chain) for chain in chains if len(chain)])
    same_cores = _alike([(cycles[:, each].tobytes(), each) for each in range(cores)])
    for some_chains in same_chains:
        for one, other in pairwise(some_chains):
            model.add(begins[one[0]] <= begins[other[0]])
    for some_cores in same_cores:
        for first, second in pairwise(some_cores):
            model.add(loads[first] >= loads[second])
    for load in loads:
        model.add(load <= whole)
    if start is not None and core is not None:
        known, ran = _known_cores(core, cycles), np.array(start, np.int64)
        named, runs = np.arange(cores), _loads(cycles, known)
        for some_cores in same_cores:
            named[sorted(some_cores, key=lambda each: -runs[each])] = some_cores
        where, begun = named[known], ran.copy()
        for some_chains in same_chains:
            in_order = sorted(some_chains, key=lambda chain: ran[chain[0]])
            for one, other in zip(some_chains, in_order, strict=True):
                begun[one], where[one] = ran[other], named[known[other]]
        for begin, hint in zip(begins, begun.tolist(), strict=True):
            model.add_hint(begin, hint)
        for (layer, each), chosen in here.items():
            model.add_hint(chosen, bool(where[layer] == each))
    model.minimize(whole)
    solver = _solver(seconds)
    _check(solver, solver.solve(model))
    found = {layer: each for (layer, each), chosen in here.items() if solver.value(chosen)}
    return BestSchedule(
        np.array([found[layer] for layer in range(layers)]),
        np.array([solver.value(begin) for begin in begins]),
        int(solver.objective_value),
        _bound(solver),
    )


class _Jobs:
    """Jobs counted by what they take, on cores some of which are as many times as fast.

    Args:
        cycles: (jobs, cores), 0 where a job cannot run.
        cores: (cores,), how many are one.
        kind: (cores,), which are alike.
    """

    def __init__(self, cycles: Ints, cores: Ints, kind: Ints | None = None) -> None:
        with naming():
            from ortools.sat.python import cp_model
        self.sizes, row = np.unique(cycles, axis=0, return_inverse=True)
        self.row = row.reshape(-1)
        jobs = np.bincount(self.row).tolist()
        self.model = cp_model.CpModel()
        self.makespan = self.model.new_int_var(0, int(cycles.max(axis=1).sum()), "makespan")
        self.count = {
            (i, c): self.model.new_int_var(0, jobs[i], "")
            for i, c in zip(*(each.tolist() for each in np.nonzero(self.sizes)), strict=True)
        }
        for i, all_of_them in enumerate(jobs):
            given = sum(n for (j, _), n in self.count.items() if j == i)
            self.model.add(given == all_of_them)
        self.loads = [
            sum(int(self.sizes[i, c]) * n for (i, c), n in self.count.items() if c == each)
            for each in range(len(cores))
        ]
        for load, times in zip(self.loads, cores.tolist(), strict=True):
            self.model.add(load <= times * self.makespan)
        for each in () if kind is None else np.unique(kind):
            alike = np.flatnonzero(kind == each).tolist()
            for one, other in pairwise(alike):  # any order is as good
                self.model.add(self.loads[one] >= self.loads[other])
            self.model.add(sum(self.loads[c] for c in alike) <= len(alike) * self.makespan)

    def solve(self, seconds: float, core: Ints | None = None, bound: int = 0) -> tuple[Ints, int]:
        """The core of each job, and a bound; better than those known, if there was time."""
        if core is not None:
            self.model.clear_hints()
            for (i, c), n in self.count.items():
                self.model.add_hint(n, int(((self.row == i) & (core == c)).sum()))
        self.model.add(self.makespan >= bound)
        self.model.minimize(self.makespan)
        solver = _solver(seconds)
        status = solver.solve(self.model)
        if core is not None and solver.status_name(status) == "UNKNOWN":
            return core, max(bound, _bound(solver))
        _check(solver, status)
        self.model.add(self.makespan <= int(solver.objective_value))
        return self._core(solver), _bound(solver)

    def another(self, rng: np.random.Generator, seconds: float) -> Ints:
        """The core of each job in another schedule that takes no longer than the one found."""
        self.model.clear_hints()
        for key, n in self.count.items():
            self.model.add_hint(n, self.found[key])
        prices = rng.integers(1, 100, len(self.count)).tolist()
        self.model.minimize(sum(p * n for p, n in zip(prices, self.count.values(), strict=True)))
        solver = _solver(seconds)
        _check(solver, solver.solve(self.model))
        return self._core(solver)

    def _core(self, solver: Any) -> Ints:
        self.found = {key: solver.value(n) for key, n in self.count.items()}
        core = np.zeros(len(self.row), np.int64)
        for i in range(len(self.sizes)):
            times = [self.found.get((i, c), 0) for c in range(len(self.loads))]
            core[self.row == i] = np.repeat(np.arange(len(self.loads)), times)
        return core


def _deal(cycles: Ints, kind: Ints, given: Ints, room: int, rng: np.random.Generator) -> Ints:
    """The core of each job whose kind of core is given: one core of it after the other is filled
    as far as ``room`` goes, and the last takes the rest."""
    core = np.zeros(len(cycles), np.int64)
    for each in np.unique(given):
        *cores, last = np.flatnonzero(kind == each)
        rest = np.flatnonzero(given == each)
        for at in cores:
            rest = rng.permutation(rest)
            taken = _filling(cycles[rest, at].tolist(), room)
            core[rest[taken]] = at
            rest = rest[~taken]
        core[rest] = last
    return core


def _filling(sizes: list[int], room: int) -> Bools:
    """A subset whose sum comes as near to ``room`` as any."""
    unit = -(-room * len(sizes) // MOST_BITS)
    room //= unit
    sizes = [-(-size // unit) for size in sizes]
    sums, inside = [1], (1 << room + 1) - 1  # bit s: some of them add up to s
    for size in sizes:
        sums.append((sums[-1] | sums[-1] << size) & inside)
    left, taken = sums[-1].bit_length() - 1, np.zeros(len(sizes), bool)
    for i in reversed(range(len(sizes))):
        if not sums[i] >> left & 1:
            taken[i] = True
            left -= sizes[i]
    return taken


def _alike(keyed: Sequence[tuple[bytes, T]]) -> list[list[T]]:
    """What has the same key, in order."""
    groups: dict[bytes, list[T]] = {}
    for key, each in keyed:
        groups.setdefault(key, []).append(each)
    return list(groups.values())


def _loads(cycles: Ints, core: Ints) -> Ints:
    takes = cycles[np.arange(len(core)), core]
    loads: Ints = np.bincount(core, weights=takes, minlength=cycles.shape[1]).astype(np.int64)
    return loads


def _better(cycles: Ints, one: Ints | None, other: Ints) -> Ints:
    if one is None or _loads(cycles, other).max() < _loads(cycles, one).max():
        return other
    return one


def _whole(latency: ArrayLike) -> Ints:
    """(jobs, cores), 0 where a job cannot run."""
    takes = np.asarray(latency, np.float64)
    if takes.ndim != 2 or not takes.size:
        raise ValueError(f"latency must have shape (jobs, cores), got {takes.shape}")
    can = np.isfinite(takes)
    wrong = takes[~((takes > 0) & (~can | (takes == np.floor(takes))))]
    if wrong.size:
        raise ValueError(f"latency must be whole and above 0, got {wrong[0]}")
    if takes[can].sum() >= 2**53:
        raise ValueError(f"latency adds up to {takes[can].sum():g}; at most 2**53 is exact")
    for job in np.flatnonzero(~can.any(axis=1)):
        raise ValueError(f"job {job} can run on no core")
    return np.where(can, takes, 0).astype(np.int64)


def _known_cores(core: ArrayLike, cycles: Ints) -> Ints:
    known = np.asarray(core)
    jobs, cores = cycles.shape
    if known.shape != (jobs,) or known.dtype.kind not in "iu":
        raise ValueError(f"core must be {jobs} whole numbers, got {core!r}")
    for job in np.flatnonzero((known < 0) | (known >= cores)):
        raise ValueError(f"core must be 0 to {cores - 1}, got {known[job]}")
    for job in np.flatnonzero(cycles[np.arange(jobs), known] == 0):
        raise ValueError(f"job {job} cannot run on core {known[job]}")
    return known.astype(np.int64)


def _solver(seconds: float) -> Any:
    from ortools.sat.python import cp_model

    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = max(seconds, 0.1)
    solver.parameters.num_workers = WORKERS
    solver.parameters.interleave_search = True
    solver.parameters.random_seed = 0
    return solver


def _check(solver: Any, status: Any) -> None:
    name = solver.status_name(status)
    if name not in ("OPTIMAL", "FEASIBLE"):
        raise RuntimeError(f"CP-SAT found nothing: {name}")


def _bound(solver: Any) -> int:
    """Whole cycles; that of CP-SAT is, too, but for its type."""
    return int(np.ceil(solver.best_objective_bound - 1e-6))
