"""HWGroup: many jobs on several cores that share a bandwidth."""

import itertools
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from contract import Sync, lock_step
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from hwgym import Layer, Workload
from hwgym.bounds.schedules import ascended_bound, makespan_bound, simple_bounds
from hwgym.core import problem_of, solve
from hwgym.core.family import kwargs_of, registered_ids
from hwgym.core.problem import InfeasibleError
from hwgym.costs.maestro import KINDS, evaluate
from hwgym.families import group
from hwgym.families.group import group_problem
from hwgym.families.group.orders import WINDOW, send, slots_of, turns_of
from hwgym.families.group.scheduling import good_schedule
from hwgym.families.scheduled import job_costs

IDS = [i for i in registered_ids(group.FAMILY) if kwargs_of(i)]
SOON = [i for i in IDS if not i.endswith("-v1")] + ["HWGroup-Mobile-S2-v1"]
"""Costs on loop nests take longer; those of one are enough."""
TINY = Workload(
    "tiny",
    (
        Layer("a", "CONV", K=16, C=8, OY=8, OX=8, R=3, S=3),
        Layer("b", "DSCONV", K=1, C=24, OY=8, OX=8, R=3, S=3),
        Layer.gemm("c", M=20, N=30, K=40),
        Layer("d", "CONV", K=24, C=24, OY=6, OX=6, R=1, S=1),
    ),
)


def event_loop(problem, genes):
    """The makespan of one solution from the conventions alone: ends happen one after the other, and
    until the next one every job that runs progresses at min(1, bandwidth / what all want)."""
    latency, traffic, bandwidth = problem.statement.known.values()
    wait = [[] for _ in problem.cores]
    if problem.decisions == "priority":
        for job in sorted(range(len(genes)), key=lambda j: (genes[j][1], j)):
            wait[genes[job][0]].append(job)
    else:
        jobs = list(range(len(genes)))
        for slot, core in genes:
            wait[core].append(jobs.pop(slot))
    clock, running = 0.0, {}
    while running or any(wait):
        for core, jobs in enumerate(wait):
            if core not in running and jobs:
                job = jobs.pop(0)
                running[core] = [latency[job, core], traffic[job, core] / latency[job, core]]
        speed = min(1.0, bandwidth / max(sum(want for _, want in running.values()), 1e-300))
        first = min(left for left, _ in running.values())
        clock += first / speed
        running = {
            core: [left - first, want]
            for core, (left, want) in running.items()
            if left - first > 1e-6
        }
    return clock


@pytest.mark.parametrize("decisions", ["priority", "window"])
@pytest.mark.parametrize("bandwidth", [20, 110, None])
def test_schedules_are_those_of_a_plain_event_loop(decisions, bandwidth):
    rng = np.random.default_rng(0)
    problem = group_problem("All", jobs=25, seed=3, bandwidth=bandwidth, decisions=decisions)
    genes = problem.statement.draw(rng, 20)
    expected = [event_loop(problem, each) for each in genes.tolist()]
    np.testing.assert_allclose(problem.evaluate(genes).objective, expected, rtol=1e-9)


@pytest.mark.parametrize("model", ["maestro", "magma"])
@pytest.mark.parametrize("bandwidth", [0.5, 4, 60, None])
def test_no_bound_is_above_the_best_of_all_and_small_groups_are_solved(bandwidth, model):
    cores = ["nv:64", "yxp:32"]
    problem = group_problem(TINY, cores, bandwidth=bandwidth, priorities=4, model=model)
    choices = list(itertools.product(range(2), range(4)))
    every = np.array(list(itertools.product(choices, repeat=4)))
    best = problem.evaluate(every).best
    found = problem.certificate()
    assert found.relaxation <= found.lower_bound <= best * (1 + 1e-12)
    assert found.objective == pytest.approx(best, rel=1e-12)
    latency, traffic, limit = problem.statement.known.values()
    assert makespan_bound(latency, traffic, limit).value <= best * (1 + 1e-12)
    assert simple_bounds(latency, traffic, limit).value == problem.unit

    window = group_problem(TINY, cores, bandwidth=bandwidth, decisions="window", model=model)
    orders = [
        np.stack([slots, core], axis=1)
        for slots in itertools.product(range(4), range(3), range(2), range(1))
        for core in itertools.product(range(2), repeat=4)
    ]
    # Whatever priorities make of so few jobs, a window does as well.
    there = np.unique(window.evaluate(orders).objective.round(6))
    np.testing.assert_allclose(there, np.unique(problem.evaluate(every).objective.round(6)))
    assert window.certificate().objective == pytest.approx(best, rel=1e-12)


def test_an_order_takes_as_long_as_the_same_by_priorities():
    rng = np.random.default_rng(1)
    window = group_problem("Vision", jobs=40, bandwidth=109, decisions="window")
    priority = group_problem("Vision", jobs=40, bandwidth=109, priorities=40)
    genes = window.statement.draw(rng, 12)
    by_priority = np.empty_like(genes)
    for row, one in enumerate(genes.tolist()):
        wait = list(range(40))
        for turn, (slot, core) in enumerate(one):
            by_priority[row, wait.pop(slot)] = core, turn
    np.testing.assert_array_equal(
        window.evaluate(genes).objective, priority.evaluate(by_priority).objective
    )


def test_a_window_shows_the_first_ten_that_wait():
    env = gym.make("HWGroup-v0", mix="Vision", jobs=12, bandwidth=109, decisions="window")
    assert env.action_space.n == WINDOW * 4
    observation, info = env.reset()
    width = 1 + 2 * 4
    assert observation.shape == (WINDOW * width + 4 + 2 + 2,)
    problem = env.unwrapped.problem
    shown = (observation[: WINDOW * width].reshape(WINDOW, width) + 1) / 2
    np.testing.assert_allclose(shown, problem.job_features[:10], atol=1e-6)
    for left in range(12, 0, -1):
        mask = info["action_mask"].reshape(WINDOW, 4)
        assert mask[: min(left, WINDOW)].all()
        assert not mask[left:].any()
        observation, _, done, _, info = env.step(int(info["action_mask"].nonzero()[0][0]))
    assert done
    assert info["is_success"]
    assert set(observation[: WINDOW * width]) == {-1.0}


def test_in_a_window_vector_and_scalar_environments_are_equal_and_pass_the_checker():
    given = {"cores": ["nv:64", "yxp:32"], "width": 3, "decisions": "window", "bandwidth": 20}
    problems = [group_problem(TINY, **given), group_problem("All", jobs=13, **given)]
    for mode in ("discrete", "multi_discrete", "continuous"):
        vector = group.GroupVectorEnv(problem=problems, num_envs=4, action_mode=mode)
        make = partial(group.GroupEnv, problem=problems, action_mode=mode)
        succeeded, failed = lock_step(vector, Sync([make] * 4, AutoresetMode.NEXT_STEP), steps=60)
        assert failed
        assert succeeded or mode == "continuous"
    check_env(group.GroupEnv(problem=problems[0]), skip_render_check=True)


def test_a_slot_that_is_not_there_makes_the_schedule_invalid():
    problem = group_problem(TINY, ["nv:64", "yxp:32"], decisions="window")
    genes = np.zeros((2, 4, 2), np.int64)
    genes[1, 3, 0] = 1
    assert problem.evaluate(genes).valid.tolist() == [True, False]


def test_slots_send_what_priorities_say_among_those_in_the_window():
    rng = np.random.default_rng(2)
    priority = rng.integers(0, 30, (5, 30))
    turns = turns_of(priority)
    for row, ranks in enumerate(priority):
        slots, sent = slots_of(ranks)
        assert slots.max() < WINDOW
        np.testing.assert_array_equal(send(slots[None], 30).sent[0], sent)
        np.testing.assert_array_equal(turns[row, sent], np.arange(30))
    slots, sent = slots_of(np.arange(30))
    assert not slots.any()
    assert sent.tolist() == list(range(30))


def test_magma_counts_half_the_buffer_once():
    [core] = group.cores_of(["nv:2048"])
    layers = list(problem_of("HWGroup-Vision-S2-v0").jobs)[:20]
    costs, counted = (job_costs(layers, [core], model) for model in ("maestro", "magma"))
    found = evaluate(layers, KINDS["nv"], 2048, 1)
    np.testing.assert_array_equal(costs.latency, counted.latency)
    rate = counted.traffic[:, 0] / counted.latency[:, 0]
    np.testing.assert_allclose(rate, found.l2_bytes / 2 / (found.runtime_cycles - 1), rtol=1e-12)
    assert (counted.traffic < costs.traffic).mean() > 0.9


@pytest.mark.parametrize("env_id", SOON)
def test_bandwidth_of_ids_is_where_it_is_hard_and_no_job_decides(env_id):
    latency, traffic, bandwidth = problem_of(env_id).statement.known.values()
    free = makespan_bound(latency).value
    assert simple_bounds(latency).longest < 0.8 * free
    if "Unlimited" in env_id:
        assert bandwidth == np.inf
    else:
        assert 1.0 < makespan_bound(latency, traffic, bandwidth).value / free < 1.3


def test_the_hard_bandwidth_is_found():
    problem = problem_of("HWGroup-All-S4-v0")
    assert group.hard_bandwidth(problem.costs) == problem.bandwidth


@pytest.mark.parametrize("decisions", ["priority", "window"])
def test_certificates_are_near_the_bound_and_the_same_each_time(decisions):
    given = {"mix": "Vision", "cores": "S2", "jobs": 16, "bandwidth": 109}
    problem = group_problem(**given, decisions=decisions)
    first, again = problem.certificate(), problem.certify()
    assert first.objective == again.objective
    np.testing.assert_array_equal(first.assignment, again.assignment)
    drawn = problem.evaluate(problem.statement.draw(np.random.default_rng(0), 300))
    assert first.objective < 0.9 * drawn.best
    assert first.gap < 0.2


def test_a_core_that_can_run_nothing_gets_nothing():
    problem = group_problem(TINY, ["nv:64", "yxp:32"])
    possible = problem.costs.possible.copy()
    possible[:, 1] = False
    costs = problem.costs._replace(possible=possible)
    latency = np.where(possible, costs.latency, np.inf)
    bound = ascended_bound(latency, costs.traffic, 64.0)
    for windowed in (False, True):
        assert not good_schedule(costs, 64.0, 4, windowed, bound).core.any()


def test_what_is_known_cannot_be_changed():
    known = problem_of("HWGroup-Vision-S2-v0").statement.known
    assert list(known) == ["latency", "traffic", "bandwidth"]
    for name in ("latency", "traffic"):
        with pytest.raises(ValueError, match="read-only"):
            known[name][0, 0] = 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mix": "Visoin"}, "unknown mix 'Visoin'; did you mean 'Vision'"),
        ({"cores": "S9"}, "unknown setting 'S9'"),
        ({"cores": ["nvv:64"]}, "unknown kind of core 'nvv'; did you mean 'nv'"),
        ({"cores": ["nv:0"]}, "1 to 65,536 PEs, such as nv:2048; got 'nv:0'"),
        ({"cores": []}, "cores must be 1 to 64, got 0"),
        ({"bandwidth": 0}, "bandwidth must be a positive number, or None for no limit; got 0"),
        ({"bandwidth": float("inf")}, "None for no limit; got inf"),
        ({"jobs": 0}, "jobs must be an integer from 1 to 2000, got 0"),
        ({"priorities": 257}, "priorities must be an integer from 1 to 256, got 257"),
        ({"width": 3}, "width must be an integer from 4 to 64, got 3"),
        ({"decisions": "windows"}, "unknown decisions 'windows'; did you mean 'window'"),
        ({"decisions": "window", "priorities": 4}, "priorities are of decisions='priority'"),
        ({"model": "mastro"}, "unknown cost model 'mastro'; did you mean 'maestro'"),
        ({"mix": TINY, "jobs": 3}, "the layers of a workload are the jobs"),
    ],
)
def test_what_errors_say(given, said):
    with pytest.raises(ValueError) as error:
        group_problem(**given)
    assert said in str(error.value)


def test_a_job_that_can_run_nowhere_is_named():
    # A cluster of the kind has 64 PEs.
    with pytest.raises(InfeasibleError, match="job a can run on no core"):
        group_problem(TINY, ["nv:1"])


def test_what_the_view_tells_of_both_kinds_of_decisions():
    for decisions, columns in (
        ("priority", ["step", "core", "priority", "start", "end"]),
        ("window", ["step", "slot", "core", "job", "start", "end"]),
    ):
        problem = group_problem(TINY, ["nv:64", "yxp:32"], decisions=decisions, bandwidth=None)
        view, best = group.FAMILY.view, problem.certificate()
        rows = view.rows(problem, best.assignment)
        assert [column.heading for column in view.columns(problem)] == columns
        assert max(row["end"] for row in rows) == best.objective
        assert sorted(row.get("job", row["step"]) for row in rows) == ["a", "b", "c", "d"]
        assert view.facts(problem)["bandwidth"] == "no limit"
    assert view.label("MAGMA-All-S2-v0") == "MAGMA-All-S2"


def test_agents_that_see_totals_and_vector_environments():
    problem = group_problem("Vision", jobs=20, bandwidth=109)
    for agent in ("annealing", "genetic"):
        result = solve(agent, problem, samples=200, seed=0)
        assert problem.certificate().lower_bound <= result.objective < np.inf
    envs = gym.make_vec("HWGroup-v0", num_envs=3, problem=problem)
    envs.reset(seed=0)
    assert envs.step(envs.action_space.sample())[0].shape == (3, 17)
