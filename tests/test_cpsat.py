"""Schedules that CP-SAT proves best, against the best of all schedules."""

import itertools
import re
import sys

import numpy as np
import pytest

from hwgym.bounds import cpsat
from hwgym.bounds.cpsat import best_chains, best_jobs
from hwgym.costs.schedules import chains


@pytest.fixture
def ortools():
    pytest.importorskip("ortools", exc_type=ImportError)


def cases(rng, count):
    """Latencies (jobs, cores): some cores alike, some jobs alike, some cannot run everywhere."""
    for _ in range(count):
        latency = rng.integers(1, 30, (rng.integers(1, 7), rng.integers(1, 4))).astype(float)
        latency[rng.random(latency.shape) < 0.15] = np.inf
        latency[:, 0] = np.minimum(latency[:, 0], 50)
        latency[:, -1] = latency[:, rng.integers(latency.shape[1])]
        latency[-1] = latency[rng.integers(len(latency))]
        yield latency


def test_no_schedule_of_jobs_is_better_than_the_best(ortools):
    for latency in cases(np.random.default_rng(0), 12):
        jobs, cores = latency.shape
        where = np.array(list(itertools.product(range(cores), repeat=jobs)))
        takes = latency[np.arange(jobs), where]
        loads = [np.where(where == c, takes, 0).sum(axis=1) for c in range(cores)]
        found = best_jobs(latency, seconds=20)
        assert found.proven
        assert found.makespan == np.max(loads, axis=0).min()
        ends = found.start + latency[np.arange(jobs), found.core]
        assert ends.max() == found.makespan
        for c in range(cores):
            mine = np.argsort(found.start[found.core == c])
            starts, until = found.start[found.core == c][mine], ends[found.core == c][mine]
            np.testing.assert_array_equal(starts, np.append(0, until)[:-1])
        again = best_jobs(latency, seconds=20, core=found.core)
        assert again.makespan == found.makespan


def test_no_schedule_of_chains_is_better_than_the_best(ortools):
    rng = np.random.default_rng(1)
    for lengths in ([2, 2], [3, 1], [1, 1, 2], [4], [2, 0, 2], [1, 1, 1, 1]):
        latency = rng.integers(1, 9, (4, 2)).astype(float)
        latency[2:] = latency[:2]
        order = sorted(set(itertools.permutations(np.repeat(np.arange(len(lengths)), lengths))))
        core = np.array(list(itertools.product(range(2), repeat=4)))
        every = np.repeat(order, len(core), axis=0), np.tile(core, (len(order), 1))
        found = best_chains(latency, lengths, seconds=20)
        assert found.proven
        assert found.makespan == chains(latency, lengths, *every).makespan.min()
        # Sent in the order of their starts, layers start when they are said to, or sooner.
        sent = np.argsort(found.start, kind="stable")
        owner = np.repeat(np.arange(len(lengths)), lengths)
        ours = chains(latency, lengths, owner[sent], found.core[sent])
        assert (ours.start <= found.start).all()
        assert ours.makespan == found.makespan
        hint = {"start": found.start, "core": found.core}
        assert best_chains(latency, lengths, seconds=20, **hint).makespan == found.makespan


def test_cores_that_are_alike_and_many_jobs_are_filled_to_the_bound(ortools):
    rng = np.random.default_rng(2)
    latency = np.repeat(rng.integers(1_000, 20_000, (40, 1)), 3, axis=1)
    found = best_jobs(latency, seconds=20)
    assert found.proven
    assert found.makespan == -(-latency[:, 0].sum() // 3)


def test_sums_of_subsets_fill_as_far_as_any(monkeypatch):
    rng = np.random.default_rng(3)
    for _ in range(50):
        sizes, room = rng.integers(1, 40, rng.integers(1, 9)), int(rng.integers(1, 120))
        every = np.array(list(itertools.product([0, 1], repeat=len(sizes)))) @ sizes
        taken = cpsat._filling(sizes.tolist(), room)
        assert sizes[taken].sum() == every[every <= room].max()
    monkeypatch.setattr(cpsat, "MOST_BITS", 100)  # the last digits do not count
    taken = cpsat._filling([10_000, 30_001, 25_000], 55_500)
    assert taken.sum() == 2


@pytest.mark.parametrize("best", [best_jobs, lambda latency: best_chains(latency, [1])])
@pytest.mark.parametrize(
    ("latency", "message"),
    [
        ([1.0], "latency must have shape (jobs, cores), got (1,)"),
        ([[1.5]], "latency must be whole and above 0, got 1.5"),
        ([[0.0]], "latency must be whole and above 0, got 0.0"),
        ([[np.nan]], "latency must be whole and above 0, got nan"),
        ([[np.inf]], "job 0 can run on no core"),
        ([[2.0**60]], "latency adds up to 1.15292e+18; at most 2**53 is exact"),
    ],
)
def test_jobs_that_cannot_be_scheduled_are_refused_with_words(ortools, best, latency, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        best(latency)


def test_schedules_that_are_none_are_refused_with_words(ortools):
    for core, message in (
        ([0], "core must be 2 whole numbers, got [0]"),
        ([0, 2], "core must be 0 to 1, got 2"),
        ([0, 1], "job 1 cannot run on core 1"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            best_jobs([[1, 1], [1, np.inf]], core=core)
    for lengths in ([1], [3, -1], [1.0, 1.0]):
        with pytest.raises(ValueError, match="lengths must"):
            best_chains([[1, 1], [1, np.inf]], lengths)


def test_without_ortools_the_extra_is_named(monkeypatch):
    for name in ("ortools", "ortools.sat", "ortools.sat.python"):
        monkeypatch.setitem(sys.modules, name, None)
    for best in (best_jobs, lambda latency: best_chains(latency, [1])):
        with pytest.raises(ImportError, match=re.escape("pip install 'hwgym[cpsat]'")):
            best([[1.0]])
