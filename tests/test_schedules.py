"""Schedules against event loops in plain Python, and bounds against the best of all schedules."""

import itertools
import json
import re
import sys

import numpy as np
import pytest
from scipy import optimize

from benchmarks.parity import MAGMA
from benchmarks.schedule_loops import chain_loop, fluid_loop
from hwgym.bounds.schedules import (
    ascended_bound,
    ascended_bounds,
    makespan_bound,
    simple_bounds,
    weighted_bound,
)
from hwgym.costs import schedules
from hwgym.costs.schedules import chains, fluid

ROUNDING = 1e-12
CLOSE = {"rtol": 1e-9, "atol": 0}


def jobs(rng, count, cores):
    """Latency and demand (jobs, cores): small whole numbers, which tie, or numbers of any size."""
    if rng.random() < 0.5:
        return rng.integers(1, 5, (count, cores)), rng.integers(0, 4, (count, cores))
    latency = 10 ** rng.uniform(0, 3, (count, cores))
    return latency, latency * 10 ** rng.uniform(-3, 1, (count, cores))


def drawn(rng, n, count, cores):
    """Cores and priorities (n, jobs)."""
    core = rng.integers(0, cores, (n, count))
    return core, rng.integers(0, rng.choice([1, 3, 10**6]), (n, count))


# --- jobs that share a bandwidth ------------------------------------------------------------------


def test_schedules_of_magmas_simulator():
    for each in json.loads(MAGMA.read_text()):
        ours = fluid(*(each[n] for n in ("latency", "demand", "bandwidth", "core", "priority")))
        assert ours.makespan == pytest.approx(each["makespan"], rel=1e-9)


def test_any_schedule_is_that_of_the_event_loop():
    rng = np.random.default_rng(0)
    for _ in range(600):
        count, cores = rng.integers(1, 16), rng.integers(1, 6)
        latency, demand = jobs(rng, count, cores)
        bandwidth = rng.choice([0.3, 1.0, 2.0, 5.0, np.inf])
        core, priority = drawn(rng, 5, count, cores)
        ours = fluid(latency, demand, bandwidth, core, priority)
        assert ours.start.shape == ours.end.shape == (5, count)
        assert ours.busy.shape == (5, cores)
        for n in range(5):
            start, end = fluid_loop(
                latency.tolist(), demand.tolist(), bandwidth, core[n].tolist(), priority[n].tolist()
            )
            scale = {"rtol": 0, "atol": 1e-9 * max(end)}
            np.testing.assert_allclose(ours.start[n], start, **scale)
            np.testing.assert_allclose(ours.end[n], end, **scale)
            assert ours.makespan[n] == ours.end[n].max()
            for c in range(cores):
                assert ours.busy[n, c] == ours.end[n, core[n] == c].max(initial=0)


def test_many_schedules_are_what_each_is_alone(monkeypatch):
    rng = np.random.default_rng(1)
    latency, demand = 1 + rng.random((30, 4)), rng.random((30, 4))
    core, priority = drawn(rng, 50, 30, 4)
    together = fluid(latency, demand, 1.5, core, priority)
    monkeypatch.setattr(sys.modules["hwgym.costs.schedules.fluid"], "CHUNK", 7 * 30)
    chunks = fluid(latency, demand, 1.5, core, priority)
    for name in ("start", "end", "busy", "makespan"):
        np.testing.assert_array_equal(getattr(chunks, name), getattr(together, name))
        alone = [
            getattr(fluid(latency, demand, 1.5, c, p), name)
            for c, p in zip(core, priority, strict=True)
        ]
        np.testing.assert_array_equal(alone, getattr(together, name))
    assert np.shape(alone[0]) == ()
    assert fluid(latency, demand, 1.5, core[:0], priority[:0]).makespan.shape == (0,)


def test_with_bandwidth_for_all_every_core_takes_its_sum():
    rng = np.random.default_rng(2)
    latency, demand = rng.integers(1, 1000, (40, 3)), rng.random((40, 3))
    core, priority = drawn(rng, 20, 40, 3)
    alone = latency[np.arange(40), core]
    sums = np.stack([np.where(core == c, alone, 0).sum(axis=1) for c in range(3)], axis=1)
    for bandwidth in (np.inf, 40.0):
        np.testing.assert_array_equal(fluid(latency, demand, bandwidth, core, priority).busy, sums)


def test_all_that_run_are_slowed_alike_even_what_moves_nothing():
    # Both want 4 of 2: half as fast. The second then wants nothing.
    ours = fluid([[10], [30]] * np.ones(2), [[40.0] * 2, [0.0] * 2], 2.0, [0, 1], [0, 0])
    assert ours.end.tolist() == [20.0, 40.0]
    nearly = fluid([[10], [30]] * np.ones(2), [[40.0] * 2, [1e-12] * 2], 2.0, [0, 1], [0, 0])
    np.testing.assert_allclose(nearly.end, ours.end, **CLOSE)


def test_what_is_moved_is_never_more_than_the_bandwidth_and_all_of_it_where_it_is_wanted():
    rng = np.random.default_rng(3)
    for _ in range(100):
        count, cores = rng.integers(2, 20), rng.integers(2, 5)
        latency, demand = jobs(rng, count, cores)
        core, priority = drawn(rng, 1, count, cores)
        ours = fluid(latency, demand, 1.5, core[0], priority[0])
        wants = (demand / latency)[np.arange(count), core[0]]
        times = np.unique(np.concatenate([ours.start, ours.end]))
        for at in (times[1:] + times[:-1]) / 2:
            runs = (ours.start < at) & (at < ours.end)
            pace = min(1, 1.5 / max(wants[runs].sum(), 1e-300))
            assert pace * wants[runs].sum() <= 1.5 * (1 + ROUNDING)
        moved = demand[np.arange(count), core[0]].sum()
        assert ours.makespan * 1.5 >= moved * (1 - 1e-9)
        saturated = fluid(latency, demand + 1000 * latency, 1.5, core[0], priority[0])
        moved += 1000 * latency[np.arange(count), core[0]].sum()
        assert saturated.makespan * 1.5 == pytest.approx(moved, rel=1e-9)


def test_a_job_too_short_to_be_seen_does_not_change_what_runs():
    latency = np.array([[1e18, 1e18], [1.0, 1.0], [1e18, 1e18]])
    ours = fluid(latency, latency * [[2.0], [1.0], [0.1]], 1.0, [0, 0, 1], [0, 1, 0])
    np.testing.assert_allclose(ours.end, 2.1e18, **CLOSE)


def test_equal_priorities_run_in_the_order_of_jobs():
    latency, demand = np.full((4, 1), 2.0), np.zeros((4, 1))
    for priority in ([1, 0, 1, 0], [0.5, -1.0, 0.5, -1.0], np.array([1, 0, 1, 0], np.uint8)):
        ours = fluid(latency, demand, 1, [0] * 4, priority)
        assert ours.start.tolist() == [4.0, 0.0, 6.0, 2.0]


ONE = {
    "latency": [[1.0, 2.0]] * 3, "demand": [[1.0, 0.0]] * 3, "bandwidth": 1.0,
    "core": [0, 1, 0], "priority": [0, 1, 2],
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latency": [1.0, 2.0]}, "latency must have shape (jobs, cores), got (2,)"),
        ({"latency": np.empty((0, 2))}, "latency must have shape (jobs, cores), got (0, 2)"),
        ({"latency": [[1, 0]] * 3}, "latency must be finite and above 0, got 0.0"),
        ({"latency": [[1, np.inf]] * 3}, "latency must be finite and above 0, got inf"),
        ({"demand": [[-1, 0]] * 3}, "demand must be finite and 0 or more, got -1.0"),
        ({"demand": [[np.nan, 0]] * 3}, "demand must be finite and 0 or more, got nan"),
        ({"demand": [[1.0]] * 3}, "demand must have shape (3, 2), got (3, 1)"),
        ({"bandwidth": 0}, "bandwidth must be above 0, got 0"),
        ({"bandwidth": np.nan}, "bandwidth must be above 0, got nan"),
        ({"core": [0, 1, 2]}, "core must be 0 to 1, got 2"),
        ({"core": [0, 1, -1]}, "core must be 0 to 1, got -1"),
        ({"core": [0.0, 1.0, 0.0]}, "core must be an array of whole numbers, got float64"),
        ({"core": 0}, "core must be an array of whole numbers"),
        ({"core": [0, 1]}, "core must have shape (N, 3), got (2,)"),
        ({"core": [[[0, 1, 0]]]}, "core must have shape (N, 3), got (1, 1, 3)"),
        ({"priority": [[0, 1, 2]]}, "priority must have shape (3,), got (1, 3)"),
        ({"priority": [0, 1, np.nan]}, "priority must be numbers, none of them NaN"),
        ({"priority": ["a", "b", "c"]}, "priority must be numbers, none of them NaN"),
    ],
)
def test_jobs_that_are_no_schedule_are_refused_with_words(change, message):
    fluid(**ONE)
    with pytest.raises(ValueError, match=re.escape(message)):
        fluid(**ONE | change)


# --- chains ---------------------------------------------------------------------------------------


def chain_case(rng, n, most=5):
    """Latency, lengths, and n lists of decisions."""
    lengths = rng.integers(0, most, rng.integers(1, 5))
    lengths[rng.integers(len(lengths))] += 1
    count, cores = lengths.sum(), rng.integers(1, 5)
    latency, _ = jobs(rng, count, cores)
    order = np.tile(np.repeat(np.arange(len(lengths)), lengths), (n, 1))
    return latency, lengths, rng.permuted(order, axis=1), rng.integers(0, cores, (n, count))


def test_any_list_of_decisions_is_that_of_the_event_loop():
    rng = np.random.default_rng(4)
    for _ in range(500):
        latency, lengths, chain, core = chain_case(rng, 4)
        ours = chains(latency, lengths, chain, core)
        for n in range(4):
            start, end = chain_loop(
                latency.tolist(), lengths.tolist(), chain[n].tolist(), core[n].tolist()
            )
            np.testing.assert_array_equal(ours.start[n], start)
            np.testing.assert_array_equal(ours.end[n], end)
            assert ours.makespan[n] == max(end)
            for c in range(latency.shape[1]):
                takes = latency[ours.core[n] == c, c].sum()
                assert ours.busy[n, c] == pytest.approx(takes, rel=ROUNDING)


def test_layers_sent_in_the_order_of_their_starts_start_when_they_did():
    rng = np.random.default_rng(5)
    for _ in range(100):
        latency, lengths, chain, core = chain_case(rng, 3)
        ours = chains(latency, lengths, chain, core)
        order = np.argsort(ours.start, axis=1, kind="stable")
        owner = np.repeat(np.arange(len(lengths)), lengths)
        again = chains(latency, lengths, owner[order], np.take_along_axis(ours.core, order, axis=1))
        np.testing.assert_array_equal(again.start, ours.start)
        np.testing.assert_array_equal(again.core, ours.core)


def test_schedules_with_latencies_of_their_own():
    rng = np.random.default_rng(6)
    _, lengths, chain, core = chain_case(rng, 6)
    latency = rng.random((6, lengths.sum(), core.max() + 1)) + 0.1
    ours = chains(latency, lengths, chain, core)
    for n in range(6):
        alone = chains(latency[n], lengths, chain[n], core[n])
        for name in ("core", "start", "end", "busy", "makespan"):
            np.testing.assert_array_equal(getattr(ours, name)[n], getattr(alone, name))


def test_chains_of_one_are_jobs_without_a_bandwidth():
    rng = np.random.default_rng(7)
    latency = rng.integers(1, 9, (12, 3))
    core = rng.integers(0, 3, (5, 12))
    order = rng.permuted(np.tile(np.arange(12), (5, 1)), axis=1)
    jobs_alone = fluid(latency, np.zeros((12, 3)), np.inf, core, np.argsort(order, axis=1))
    ours = chains(latency, [1] * 12, order, np.take_along_axis(core, order, axis=1))
    np.testing.assert_array_equal(ours.end, jobs_alone.end)


TWO = {
    "latency": [[1.0, 2.0]] * 3, "lengths": [2, 1], "chain": [0, 1, 0], "core": [0, 1, 0],
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latency": [1.0]}, "latency must have shape (layers, cores), got (1,)"),
        ({"latency": [[1, -2]] * 3}, "latency must be finite and above 0, got -2.0"),
        ({"latency": [[[1, 2]] * 3] * 2}, "latency is given for 2 schedules, chain for ()"),
        ({"lengths": [2, 2]}, "lengths must add up to 3 layers, got [2, 2]"),
        ({"lengths": [4, -1]}, "lengths must be 0 to 3, got 4"),
        ({"lengths": [[2, 1]]}, "lengths must add up to 3 layers, got [[2, 1]]"),
        ({"chain": [0, 2, 0]}, "chain must be 0 to 1, got 2"),
        ({"chain": [0, 1]}, "chain must have shape (N, 3), got (2,)"),
        ({"core": [0, 1, 2]}, "core must be 0 to 1, got 2"),
        ({"core": [[0, 1, 1]]}, "core must have shape (3,), got (1, 3)"),
        (
            {"chain": [[0, 1, 0], [1, 1, 0]], "core": [[0, 1, 0]] * 2},
            "as often as it has layers, [2, 1]; schedule 1 sends [1, 2]",
        ),
    ],
)
def test_chains_that_are_no_schedule_are_refused_with_words(change, message):
    chains(**TWO)
    with pytest.raises(ValueError, match=re.escape(message)):
        chains(**TWO | change)


# --- bounds ---------------------------------------------------------------------------------------


def best_of_all_jobs(latency, demand, bandwidth):
    """The least makespan over every choice of cores and every order."""
    count, cores = latency.shape
    core = np.array(list(itertools.product(range(cores), repeat=count)))
    orders = np.array(list(itertools.permutations(range(count))))
    core, priority = np.repeat(core, len(orders), axis=0), np.tile(orders, (len(core), 1))
    return fluid(latency, demand, bandwidth, core, priority).makespan.min()


def best_of_all_chains(latency, lengths):
    """The least makespan over every list of decisions."""
    count, cores = latency.shape
    owner = np.repeat(np.arange(len(lengths)), lengths)
    orders = np.array(sorted(set(itertools.permutations(owner.tolist()))))
    core = np.array(list(itertools.product(range(cores), repeat=count)))
    chain, core = np.repeat(orders, len(core), axis=0), np.tile(core, (len(orders), 1))
    return chains(latency, lengths, chain, core).makespan.min()


def bounds(*arguments):
    """The greatest in closed form, and that of the linear programme, the greater."""
    closed, found = simple_bounds(*arguments), makespan_bound(*arguments)
    near = ascended_bound(*arguments)
    for each in (found, near):
        assert each.value >= closed.value
        weights = {"cores": each.cores, "transfer": each.transfer, "chains": each.chains}
        assert each.cores.sum() + each.transfer + each.chains.sum() == pytest.approx(1)
        proved = weighted_bound(*arguments, **weights)
        assert max(proved, closed.value) == pytest.approx(each.value, rel=ROUNDING)
    assert 0.97 * found.value <= near.value <= found.value * (1 + 1e-9)
    assert weighted_bound(
        *arguments, cores=found.cores, transfer=found.transfer, chains=found.chains
    ) == pytest.approx(found.value, rel=1e-6)
    np.testing.assert_allclose(found.shares.sum(axis=1), 1, atol=1e-6)
    return closed, found


def test_no_schedule_of_jobs_is_under_the_bounds():
    rng = np.random.default_rng(8)
    gaps = []
    for _ in range(50):
        latency, demand = jobs(rng, rng.integers(1, 5), rng.integers(1, 4))
        bandwidth = rng.choice([0.5, 1.0, 3.0, np.inf])
        best = best_of_all_jobs(latency, demand, bandwidth) * (1 + ROUNDING)
        closed, found = bounds(latency, demand, bandwidth)
        assert closed.value <= found.value <= best
        gaps.append(best / found.value)
    assert np.median(gaps) < 1.2


def test_no_schedule_of_chains_is_under_the_bounds():
    rng = np.random.default_rng(9)
    gaps = []
    for _ in range(40):
        lengths = [[2, 2], [3, 1], [1, 1, 2], [4], [1, 2, 0, 1]][rng.integers(5)]
        latency, _ = jobs(rng, 4, rng.integers(1, 4))
        best = best_of_all_chains(latency, lengths) * (1 + ROUNDING)
        closed, found = bounds(latency, None, np.inf, lengths)
        assert found.chains.shape == (len(lengths),)
        assert closed.value <= found.value <= best
        gaps.append(best / found.value)
    assert np.median(gaps) < 1.2


def test_what_wants_more_than_the_bandwidth_stalls_all_cores():
    # The first takes 30 cycles where it could take 10; the other core waits, then has 10 of its own
    # to go: both 10 alone, and 20 of stalling.
    latency, demand = [[10.0, np.inf], [np.inf, 10.0]], [[30.0, 0.0], [0.0, 0.0]]
    _, found = bounds(latency, demand, 1.0)
    assert found.value == pytest.approx(30)
    latency[1] = [np.inf, 20.0]
    _, found = bounds(latency, demand, 1.0)
    assert found.value == pytest.approx(40)
    assert fluid([[10, 1], [1, 20]], demand, 1.0, [0, 1], [0, 0]).makespan == 40

    rng = np.random.default_rng(12)
    better = 0
    for _ in range(16):
        latency, demand = jobs(rng, 4, 2)
        best = best_of_all_jobs(latency, demand, 0.5) * (1 + ROUNDING)
        closed, found = bounds(latency, demand, 0.5)
        # As if a job that is slow because of what it moves held up its own core alone.
        alone = np.maximum(latency, demand / 0.5)
        assert closed.value >= simple_bounds(alone, demand, 0.5).value
        assert best >= found.value >= makespan_bound(alone, demand, 0.5).value * (1 - 1e-9)
        better += found.value > makespan_bound(alone, demand, 0.5).value * 1.01
    assert better > 4


def test_of_many_cases_the_least_is_worked_out():
    rng = np.random.default_rng(13)
    for lengths, bandwidth in ((None, 20.0), ([3, 2, 0, 3, 2], np.inf)):
        latency = 10 ** rng.uniform(0, 2, (25, 10, 3))
        latency[rng.random(latency.shape) < 0.1] = np.inf
        latency[:, :, 0] = np.minimum(latency[:, :, 0], 1000)
        latency[:, 5:8] = latency[:, :3]
        demand = rng.uniform(0, 50, latency.shape)
        given = bandwidth, lengths
        found = ascended_bounds(latency, demand, *given)
        most = [makespan_bound(x, d, *given).value for x, d in zip(latency, demand, strict=True)]
        assert (found <= np.array(most) * (1 + 1e-9)).all()
        assert found.min() >= 0.98 * min(most)
        np.testing.assert_array_equal(found, ascended_bounds(latency, demand, *given))
        one = ascended_bounds(latency[:1], demand[:1], *given)
        assert one[0] == pytest.approx(ascended_bound(latency[0], demand[0], *given).value)


def test_many_cases_one_after_the_other_are_what_they_are_together(monkeypatch):
    latency = 1 + np.random.default_rng(14).random((20, 12, 2))
    together = ascended_bounds(latency)
    monkeypatch.setattr(sys.modules["hwgym.bounds.schedules"], "CHUNK", 7 * 24)
    assert ascended_bounds(latency).min() == pytest.approx(together.min(), rel=1e-3)


def test_no_weights_make_a_bound_too_great():
    rng = np.random.default_rng(10)
    for _ in range(60):
        latency, demand = jobs(rng, 4, 2)
        best = best_of_all_jobs(latency, demand, 1.0) * (1 + ROUNDING)
        most = makespan_bound(latency, demand, 1.0).value
        for _ in range(20):
            weights = {"cores": rng.random(2), "transfer": rng.random(), "chains": rng.random(4)}
            assert weighted_bound(latency, demand, 1.0, **weights) <= min(best, most * (1 + 1e-9))


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (([[7.0]],), 7),  # one job
        (([[7.0, 3.0], [1.0, 1.0]],), 3),  # the longest
        (([[2.0], [3.0], [4.0]],), 9),  # one core
        (([[2.0, 2.0]] * 4,), 4),  # alike, and as many on each
        (([[1.0, 9.0], [9.0, 1.0]] * 2,), 2),  # to each its own
        (([[1.0, 1.0]] * 4, [[10.0, 20.0]] * 4, 2.0), 20),  # all wait for what is moved
        (([[1.0, 1.0]] * 4, [[10.0, 20.0]] * 4, 200.0), 2),  # none does
        (([[1.0, 1.0], [1.0, 1.0]], [[30.0, 30.0], [0.0, 0.0]], 2.0), 15),  # one moves alone
        (([[1.0, 2.0]] * 5, None, np.inf, [5]), 5),  # one chain
        (([[1.0, 2.0]] * 5, None, np.inf, [4, 1]), 4),  # the longest chain; the other beside it
        (([[1.0, np.inf], [np.inf, 5.0]],), 5),  # each can run on one core only
    ],
)
def test_bounds_that_schedules_meet(arguments, value):
    _, found = bounds(*arguments)
    assert found.value == pytest.approx(value, rel=1e-9)
    latency = np.where(np.isinf(arguments[0]), 1e6, arguments[0])
    if len(arguments) == 4:
        best = best_of_all_chains(latency, arguments[3])
    elif len(arguments) == 3:
        best = best_of_all_jobs(latency, *arguments[1:])
    else:
        best = best_of_all_jobs(latency, np.zeros(latency.shape), np.inf)
    assert best == pytest.approx(value)


def test_bounds_in_closed_form():
    closed = simple_bounds([[3.0, 4.0], [8.0, 2.0], [6.0, 6.0]], [[1.0, 9.0]] * 3, 0.5, [1, 2])
    # Alone on the second core each takes 18 cycles, to be moved.
    assert closed.longest == 8
    assert closed.work == (3 + 8 + 6) / 2
    assert closed.transfer == 6
    assert closed.chain == 14
    assert closed.value == 14


def test_what_counts_for_the_bound_has_weight():
    found = makespan_bound([[1.0, 1.0]] * 4, [[10.0, 10.0]] * 4, 1.0)
    assert found.transfer == pytest.approx(1)
    found = makespan_bound([[2.0, 2.0]] * 4, None, np.inf, [3, 1])
    assert found.chains.tolist() == pytest.approx([1, 0])
    found = makespan_bound([[1.0, 1.0, 1.0]] * 9)
    assert found.cores.tolist() == pytest.approx([1 / 3] * 3)


def test_a_solver_that_is_wrong_makes_no_bound_that_is(monkeypatch):
    rng = np.random.default_rng(11)
    latency, demand = 1 + rng.random((4, 2)), rng.random((4, 2))
    best = best_of_all_jobs(latency, demand, 1.0)
    solved = optimize.linprog

    def wrong(*given, **named):
        result = solved(*given, **named)
        result.fun *= 2
        result.ineqlin.marginals = -rng.random(len(result.ineqlin.marginals))
        return result

    monkeypatch.setattr(optimize, "linprog", wrong)
    for _ in range(20):
        found = makespan_bound(latency, demand, 1.0).value
        assert simple_bounds(latency, demand, 1.0).value <= found <= best


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0],), "latency must have shape (jobs, cores), got (2,)"),
        (([[1.0, 0.0]],), "latency must be above 0, got 0.0"),
        (([[1.0, np.nan]],), "latency must be above 0, got nan"),
        (([[1.0, 1.0], [np.inf, np.inf]],), "job 1 can run on no core"),
        (([[1.0]], [[-1.0]]), "demand must be finite and 0 or more, got -1.0"),
        (([[1.0]], [1.0]), "demand must have shape (1, 1), got (1,)"),
        (([[1.0]], None, 0.0), "bandwidth must be above 0, got 0.0"),
        (([[1.0]], None, 1.0, [2]), "lengths must add up to 1 jobs, got [2]"),
        (([[1.0]], None, 1.0, [1.0]), "lengths must be whole numbers from 0 on, got [1.0]"),
        (([[1.0]], None, 1.0, [2, -1]), "lengths must be whole numbers from 0 on, got [2, -1]"),
    ],
)
def test_jobs_that_cannot_be_bounded_are_refused_with_words(arguments, message):
    for bound in (simple_bounds, makespan_bound, weighted_bound, ascended_bound):
        with pytest.raises(ValueError, match=re.escape(message)):
            bound(*arguments)


def test_many_cases_that_cannot_be_bounded():
    with pytest.raises(ValueError, match=re.escape("shape (N, jobs, cores), got (1, 1)")):
        ascended_bounds([[1.0]])
    with pytest.raises(ValueError, match="job 0 of case 1 can run on no core"):
        ascended_bounds([[[1.0]], [[np.inf]]])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, "weights must be 0 or more, finite, and not all 0"),
        ({"cores": [1, -1]}, "weights must be 0 or more, finite, and not all 0"),
        ({"transfer": np.nan}, "weights must be 0 or more, finite, and not all 0"),
        ({"cores": [1, 1, 1]}, "weights must fit 2 cores, 3 chains"),
        ({"chains": [1, 1]}, "weights must fit 2 cores, 3 chains"),
    ],
)
def test_weights_that_are_none(weights, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        weighted_bound([[1.0, 2.0]] * 3, **weights)


def test_a_solver_that_fails_says_so(monkeypatch):
    def failing(*_, **__):
        return optimize.OptimizeResult(status=4, message="numbers too difficult", x=None)

    monkeypatch.setattr(optimize, "linprog", failing)
    with pytest.raises(RuntimeError, match="HiGHS failed: numbers too difficult"):
        makespan_bound([[1.0]])


def test_only_the_linear_programme_needs_scipy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    assert simple_bounds([[1.0, 2.0]]).value == 1
    assert weighted_bound([[1.0, 2.0]], cores=1.0) == 0.5
    assert ascended_bound([[1.0, 2.0]]).value == pytest.approx(1)
    with pytest.raises(ImportError, match=re.escape("hwgym[milp]")):
        makespan_bound([[1.0]])


def test_package():
    assert schedules.__all__ == ["ChainSchedule", "FluidSchedule", "chains", "fluid"]
