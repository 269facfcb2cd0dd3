import dataclasses
import json
import os
import re
import stat
import sys

import gymnasium as gym
import numpy as np
import pytest
from conftest import needs_torch
from typer.testing import CliRunner

from benchmarks import (
    assignments,
    cost,
    growth,
    limits,
    loopnest,
    mappings,
    parity,
    report,
    schedules,
    speed,
    stepping,
    timeloop,
    zigzag_worker,
)
from benchmarks.__main__ import PARTS, main
from benchmarks.measure import (
    Row,
    Settings,
    Spread,
    Void,
    alternate,
    busiest,
    one_core,
    rate,
    seconds_each,
)
from benchmarks.picture import speed_figure
from benchmarks.schedule_loops import fluid_loop
from benchmarks.targets import TARGETS, outcomes
from hwgym import Hardware, workload
from hwgym.core import ACTION_MODES, family_of, registered_ids
from hwgym.costs.loopnest import DIMS, Nests
from hwgym.costs.maestro import evaluate_mappings
from hwgym.families import FAMILIES
from hwgym.families.assignment import FAMILY, AssignmentProblem
from hwgym.plotting import save_figure

TINY = Settings(
    rounds=1,
    seconds=1e-4,
    model="AlexNet",
    dataflows=("NVDLA",),
    points=(2_000,),
    memory_points=(2_000,),
    num_envs=(1, 7),
    sync_up_to=1,
    ppo_envs=(2,),
    ppo_steps=4,
    big_bytes=2**16,
    small_bytes=2**12,
    assignments=20,
    growth={
        "layers": (1, 2),
        "actions": (12, 24),
        "batch": (1, 10),
        "environments": (1, 3),
    },
    speed_envs=3,
)

# Prints what MAESTRO would for NVDLA, as far as it is read, from our own cost model; or wrong.
FAKE_MAESTRO = """#!{python}
import csv, re, sys
sys.path[:0] = {path!r}
from hwgym import Shapes, evaluate

pes = next(int(a.split("=")[1]) for a in sys.argv if a.startswith("--num_pes="))
rows = [["header"] * 22]
for block in open("m.m").read().split("Layer ")[1:]:
    sizes = [int(v) for v in re.findall(r"[KCYXRS]: (\\d+)", block)]
    tile = int(re.search(r"SpatialMap\\((\\d+),\\d+\\) K", block)[1])
    costs = evaluate(Shapes(*sizes), "NVDLA", pes, tile)
    row = ["0"] * 22
    row[3] = str(costs.runtime_cycles + {wrong})
    row[14], row[15], row[21] = str(costs.l2_bytes), str(costs.l1_bytes), str(costs.num_macs)
    rows.append(row)
with open("m.csv", "w") as file:
    csv.writer(file).writerows(rows)
"""

# Answers as the worker does, without ZigZag.
FAKE_PYTHON = """#!{python}
import json, sys

layers = json.loads(sys.stdin.readline())
macs = [k * c * y * x * r * s + {wrong} for k, c, y, x, r, s, _ in layers]
print(json.dumps({{"version": "0.0", "macs": macs}}), flush=True)
for line in sys.stdin:
    print(json.dumps({{"evaluations": 4, "seconds": 0.5}}), flush=True)
"""


# Answers what the real one did for one of the first two points after the other, and needs both in
# its folder only to know which one is asked.
FAKE_TIMELOOP = """#!{python}
import json
from pathlib import Path

at = Path("asked")
number = int(at.read_text()) if at.exists() else 0
at.write_text(str(1 - number))
answer = json.loads(Path({golden!r}).read_text())[number]
counts = {{k: v + {wrong} for k, v in answer["timeloop"].items()}}
pes = 1
for size in answer["point"][2]:
    pes *= size


def level(number, name, *tensors):
    out = "\\nLevel %d\\n-------\\n=== %s ===\\n" % (number, name)
    for tensor, what, value in tensors:
        units = pes if name == "RF" else 1
        out += "    %s:\\n        Utilized instances (max) : %d\\n" % (tensor, units)
        for kind in ("reads", "fills", "updates"):
            told = value[what.index(kind)] // units if kind in what else 0
            out += "        Scalar %s (per-instance) : %d\\n" % (kind, told)
    return out


c = counts
out = "Level 0\\n-------\\n=== MAC ===\\n    Computes (total) : %d\\n" % answer["computes"]
out += level(1, "RF", ("Weights", ["fills"], [c["W_l1w"]]), ("Inputs", ["fills"], [c["I_l1w"]]))
out += level(
    2, "GB", ("Weights", ["reads"], [c["W_l2r"]]), ("Inputs", ["reads"], [c["I_l2r"]]),
    ("Outputs", ["reads", "updates"], [c["O_l2r"], c["O_l2w"]]),
)
out += level(
    3, "DRAM", ("Weights", ["reads"], [c["W_dram"]]), ("Inputs", ["reads"], [c["I_dram"]]),
    ("Outputs", ["reads", "updates"], [c["O_dram_r"], c["O_dram_w"]]),
)
Path("timeloop-model.stats.txt").write_text(out + "\\nCycles: %d\\n" % answer["cycles"])
"""


def program(path, text, **values):
    path.write_text(text.format(python=sys.executable, path=sys.path, **values))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def figures(part, settings=TINY):
    needs_torch(part)
    rows = list(PARTS[part](settings))
    assert rows
    for row in rows:
        assert row.part == part
        assert row.ours.low <= row.ours.median <= row.ours.high
        assert np.isfinite(row.ours.median)
        assert (row.theirs is None) == (row.ratio is None) == (not row.peer)
        if row.ratio:
            assert row.ratio.median > 0
        assert all(0 <= share <= 1 for share in row.where.values())
        again = Row.from_json(json.loads(json.dumps(dataclasses.asdict(row))))
        assert again == row
        assert all(isinstance(cell, str) for cell in report.cells(row))
    return rows


QUICK_KINDS = {
    name: speed.KINDS[name]
    for name in ("HWAssign-{model}-MIX", "HWAssign-v0, LS", "HWMap-{layer}-v0")
}
"""Episodes of the others are long, or the same to all that is tested here."""


@pytest.fixture(scope="module")
def results():
    """All parts that are measured in this process, as a run of the command has them."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(speed, "KINDS", QUICK_KINDS)
        return measured()


def measured():
    about = {
        "cpu": "some processor", "threads": 2, "memory_gib": 1.0, "system": "Linux",
        "python": "3.11", "packages": {"numpy": "2"}, "load_before": 0.0, "taken": "2030-01-01",
    }  # fmt: skip
    return {
        part: {
            "machine": about,
            "settings": report.described(TINY),
            "rows": figures(part),
        }
        for part in PARTS
        if part != "memory"
    }


# --- how figures are taken ----------------------------------------------------------------------


def test_rate_counts_the_work():
    calls = []
    assert rate(lambda: calls.append(1), 10, 0.01) <= 10 * len(calls) / 0.01
    assert seconds_each(lambda: None, 0.001) > 0


def test_rounds_alternate_and_the_first_is_left_out():
    seen = []

    def noting(name):
        return lambda: seen.append(name) or len(seen)

    values = alternate({"a": noting("a"), "b": noting("b")}, 2)
    assert seen == ["b", "a", "a", "b", "b", "a"]
    assert values == {"a": (3, 6), "b": (4, 5)}


def test_a_ratio_is_taken_round_by_round():
    row = Row.of("part", "name", {}, "x/s", [10, 30, 20], "peer", [10, 10, 2])
    assert row.ours == Spread(20, 10, 30)
    assert row.ratio == Spread(3, 1, 10)


def test_busiest_names_the_function_that_takes_the_time():
    def slow():
        return sorted(range(200_000), key=lambda x: -x)

    shares = busiest(slow, most=3)
    assert "builtins.sorted" in shares
    assert sum(shares.values()) <= 1


def test_one_core_gives_the_others_back():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system does not say on which core to run")
    before = os.sched_getaffinity(0)
    with one_core() as core:
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before
    with pytest.raises(ValueError, match="no core -3; there are "), one_core(-3):
        pass


# --- the cost model and its peers ---------------------------------------------------------------


def test_distinct_points_are_distinct():
    shapes = cost.distinct_layers(300)  # more than all networks have
    rows = np.stack([getattr(shapes, n) for n in (*"KCYXRS", "depthwise")], axis=1)
    assert len(np.unique(rows, axis=0)) == 300
    for points in (12, 2_000, 5_000):
        assert points / 2 < cost.size(cost.distinct_query(points)) <= points


def test_cost_without_peers():
    rows = figures("cost")
    assert [row.case["points"] for row in rows] == [5 * 144, 1536]
    assert rows[0].where


def test_cost_against_both_peers(tmp_path):
    settings = dataclasses.replace(
        TINY,
        maestro=program(tmp_path / "maestro", FAKE_MAESTRO, wrong=0),
        maestro_points=3,
        process_points=1,
        zigzag=program(tmp_path / "python", FAKE_PYTHON, wrong=0),
    )
    rows = figures("cost", settings)
    peers = [cost.MANY, cost.PROCESS, "ZigZag 0.0"]
    assert [row.peer for row in rows] == peers * 2
    assert rows[2].theirs == Spread(8, 8, 8)


def test_a_wrong_answer_voids_the_comparison(tmp_path):
    settings = dataclasses.replace(
        TINY, maestro=program(tmp_path / "maestro", FAKE_MAESTRO, wrong=1), maestro_points=3
    )
    with pytest.raises(Void, match="runtime_cycles differs from MAESTRO's"):
        list(cost.measure(settings))


def test_a_maestro_that_does_not_answer(tmp_path):
    settings = dataclasses.replace(TINY, maestro=program(tmp_path / "m", "#!{python}\n"))
    with pytest.raises(RuntimeError, match="answered 0 of 1 points"):
        list(cost.measure(settings))


def test_other_layers_void_the_comparison_with_zigzag(tmp_path):
    settings = dataclasses.replace(TINY, zigzag=program(tmp_path / "p", FAKE_PYTHON, wrong=1))
    with pytest.raises(Void, match="multiply-accumulates differ"):
        list(cost.measure(settings))


def test_a_python_without_zigzag(tmp_path):
    settings = dataclasses.replace(TINY, zigzag=program(tmp_path / "p", "#!{python}\n"))
    with pytest.raises(RuntimeError, match="pip install zigzag-dse six"):
        list(cost.measure(settings))


def with_timeloop(tmp_path, wrong):
    fake = program(
        tmp_path / "timeloop", FAKE_TIMELOOP, wrong=wrong, golden=str(parity.TIMELOOP.resolve())
    )
    return dataclasses.replace(TINY, timeloop=fake, timeloop_points=2)


def test_loop_nests_without_peers():
    rows = figures("loopnest")
    assert [(row.case["of"], row.case["points"]) for row in rows] == [
        (loopnest.LAYERS, 2_000),
        (loopnest.POINTS, 1_980),
    ]
    assert all(row.where for row in rows)


def test_mappings_in_one_call_against_one_call_each(monkeypatch):
    rows = figures("mappings")
    cases = [(row.name, row.case["tiles"]) for row in rows]
    names = ("mapping_totals", "evaluate_mappings")
    assert cases == [(name, tiles) for tiles in ("divisors", "any") for name in names]
    layer = workload("ResNet50")[19]
    few = mappings.drawn(layer, 200, divisors=True)
    assert few.divides(layer).all()
    assert not mappings.drawn(layer, 200, divisors=False).divides(layer).all()
    monkeypatch.setattr(mappings, "HARDWARE", Hardware(3))
    monkeypatch.setattr(
        mappings, "evaluate_mappings", lambda *a: evaluate_mappings(*a[:3], Hardware(2))
    )
    with pytest.raises(Void, match="differs: no speed to speak of"):
        mappings.singly(layer, few.take(slice(0, 3)))


def test_loop_nests_against_both_peers(tmp_path):
    settings = dataclasses.replace(
        with_timeloop(tmp_path, wrong=0),
        zigzag=program(tmp_path / "python", FAKE_PYTHON, wrong=0),
    )
    rows = figures("loopnest", settings)
    assert [row.peer for row in rows] == [loopnest.PROCESS, "ZigZag 0.0"] * 2


def test_a_wrong_timeloop_voids_the_comparison(tmp_path):
    with pytest.raises(Void, match="weight_dram_read differs from Timeloop's"):
        list(loopnest.measure(with_timeloop(tmp_path, wrong=1)))


def test_a_timeloop_that_does_not_answer(tmp_path):
    fake = program(tmp_path / "t", '#!{python}\nimport sys\nsys.exit("no such level")\n')
    with pytest.raises(RuntimeError, match="t did not answer: no such level"):
        list(loopnest.measure(dataclasses.replace(TINY, timeloop=fake)))
    with pytest.raises(ValueError, match="not a program"):
        timeloop.Timeloop(tmp_path / "none")


def test_schedules_in_one_call_against_an_event_loop(monkeypatch):
    rows = figures("schedules")
    assert [row.name for row in rows] == ["fluid", "chains"]
    assert all(row.ratio and row.peer == schedules.PEER for row in rows)

    def late(*arguments):
        start, end = fluid_loop(*arguments)
        return start, [2 * time for time in end]

    monkeypatch.setattr(schedules, "fluid_loop", late)
    with pytest.raises(Void, match="fluid differs from the loop"):
        figures("schedules")


def test_drawn_mappings_are_of_the_layers_and_clipped():
    layers = workload("MobileNetV2")
    nests = loopnest.drawn(layers, 3_000)
    per_layer = {layer.macs // layer.repeat for layer in layers}
    assert set(nests.extent.prod(axis=1).tolist()) == per_layer
    assert (nests.spread.prod(axis=1) <= loopnest.MOST_PES).all()
    assert (nests.extent % (nests.tile * nests.spread * nests.steps)).any()


def test_timeloop_is_given_bounds_and_those_of_the_last_round():
    def row(**sizes):
        return [[sizes.get(d, 1) for d in DIMS]]

    nest = Nests(row(K=4, P=8, R=3), row(P=3, R=3), row(K=2), row(K=2, P=2), *[np.arange(8)] * 2)
    text = timeloop.input_text(nest)
    assert "instance: {B: 1, G: 1, K: 4, C: 1, P: 8, Q: 1, R: 3, S: 1, stride0: 1" in text
    factors = re.findall(r"type: (\w+)\n    factors: (.*)", text)
    assert factors == [
        ("temporal", "B1 G1 K1 C1 P2 Q1 R1 S1"),
        ("temporal", "B1 G1 K2 C1 P2,1 Q1 R1 S1"),
        ("spatial", "B1 G1 K2 C1 P1 Q1 R1 S1"),
        ("temporal", "B1 G1 K1 C1 P3,2 Q1 R3 S1"),
    ]
    assert "permutation: SRQPCKGB" in text  # from the inside out


def test_zigzag_is_given_the_same_layers():
    for layer in workload("MobileNetV2"):
        node = zigzag_worker.node(
            0, [layer.K, layer.C, layer.OY, layer.OX, layer.R, layer.S, layer.is_depthwise]
        )
        assert np.prod(node["loop_sizes"]) == layer.macs


def test_memory_is_that_of_a_process_of_its_own():
    (row,) = figures("memory")
    assert row.unit == "MiB beside the result"
    assert row.extra["peak_bytes"] > row.theirs.median * 2**20


# --- stepping -----------------------------------------------------------------------------------


@pytest.mark.parametrize("autoreset", ["NextStep", "SameStep"])
@pytest.mark.parametrize("mode", ACTION_MODES)
def test_replayed_episodes_end_in_budget_and_out_of_step(mode, autoreset):
    env = stepping.vector(stepping.env_id("AlexNet"), 12, mode, autoreset_mode=autoreset)
    replay = stepping.Replay(env, env.problem, mode)
    ended = [env.step(actions)[2] for actions in replay.actions]
    assert np.sum(ended, axis=0).tolist() == [1] * 12
    assert all(step.any() for step in ended)  # not all at once
    assert replay.work == 12 * env.problem.num_steps


def test_replayed_episodes_whose_steps_differ_stay_side_by_side():
    env = stepping.vector("HWMap-GAMMA-ResNet50-20-Edge-EDP-v0", 12, "discrete")
    replay = stepping.Replay(env, env.problem, "discrete", kind=type(env.unwrapped))
    ended = np.array([env.step(actions)[2] for actions in replay.actions])
    assert ended.sum() == 12
    assert ended.all(axis=1).sum() == 1


def test_replay_is_void_if_an_episode_fails(monkeypatch):
    env = stepping.vector(stepping.env_id("AlexNet"), 2, "discrete")
    most = env.problem.num_actions - 1
    monkeypatch.setattr(
        stepping,
        "feasible_episodes",
        lambda problem, count, kind: np.full((problem.num_steps, count), most),
    )
    with pytest.raises(Void, match="0 in budget"):
        stepping.Replay(env, env.problem, "discrete")


def test_feasible_episodes_are_feasible():
    problem = AssignmentProblem.of("AlexNet")
    numbers = stepping.feasible_episodes(problem, 50).T
    assert problem.evaluate_actions(numbers).feasible.all()
    assert len(np.unique(numbers, axis=0)) > 40


@pytest.mark.parametrize("mode", ACTION_MODES)
def test_action_modes_say_the_same(mode):
    problem = AssignmentProblem.of("AlexNet", "MIX")
    env = gym.make("HWAssign-AlexNet-MIX-v0", action_mode=mode)
    numbers = stepping.feasible_episodes(problem, 1)[:, 0]
    env.reset(seed=0)
    for action in stepping.in_mode(problem, numbers, mode):
        info = env.step(action)[4]
    assert problem.space.encode(info["assignment"]).tolist() == numbers.tolist()


def test_a_bank_is_of_different_networks_and_its_episodes_repeat():
    problems = stepping.bank("AlexNet")
    assert len({p.design.workload.name for p in problems}) == 8
    assert len({p.num_steps for p in problems}) == 7
    replay = stepping.ReplayBank(problems, 9)
    seen = []
    for _ in range(2):
        replay()
        seen.append(replay.env.genes)
        assert replay.env.which.max() == 7
    np.testing.assert_array_equal(*seen)
    assert replay.work == 9 * 2 * max(p.num_steps for p in problems)


def test_a_bank_is_void_if_an_episode_fails(monkeypatch):
    problems = stepping.bank("AlexNet", 2)
    step = stepping.HWAssignVectorEnv.step
    worst = np.full(3, problems[0].num_actions - 1)
    monkeypatch.setattr(stepping.HWAssignVectorEnv, "step", lambda self, _: step(self, worst))
    with pytest.raises(Void, match="0 ended in budget"):
        stepping.ReplayBank(problems, 3)


def test_networks_that_are_drawn_are_the_same_every_time():
    replay = stepping.ReplayDrawn("Val", 9)
    seen = []
    for _ in range(2):
        assert replay() > 0
        seen.append((replay.env.which, replay.env.genes))
    assert len(set(seen[0][0].tolist())) == 9
    for one, other in zip(*seen, strict=True):
        np.testing.assert_array_equal(one, other)


def test_steps_that_only_reset_are_no_steps():
    call, steps = stepping.pre_drawn(stepping.vector("CartPole-v1", 50))
    call()
    assert 0.9 * 64 * 50 < steps < 64 * 50  # random episodes take some 22 steps


def test_stepping_has_every_mode_and_size(results):
    rows = results["stepping"]["rows"]
    for kind in (stepping.RANDOM, stepping.REPLAYED):
        cases = [
            (row.case["mode"], row.case["environments"])
            for row in rows
            if row.name == kind and row.peer == "CartPole-v1"
        ]
        expected = [(mode, size) for mode in ACTION_MODES for size in ("scalar", 1, 7)]
        if kind == stepping.REPLAYED:
            expected += [(f"{mode}, read", size) for mode in ACTION_MODES for size in (1, 7)]
            expected += [("discrete, same step", size) for size in (1, 7)]
        assert sorted(cases, key=str) == sorted(expected, key=str)
    drawn = [row for row in rows if row.name == stepping.RANDOM and row.peer == "CartPole-v1"]
    assert all(row.extra["sampling"] > 0 < row.extra["peer_sampling"] for row in drawn)
    sync = [row for row in rows if row.peer == "SyncVectorEnv"]
    assert {row.case["environments"] for row in sync} == {1}
    (row,) = (row for row in rows if row.peer == "a bank of one")
    assert row.name == f"{stepping.BANK} 8"
    assert row.case["environments"] == 7
    drawn = [(r.name, r.peer) for r in rows if r.name.startswith(stepping.DRAWN)]
    peers = ("CartPole-v1", "HWAssign")
    names = [f"{stepping.DRAWN} {split}" for split in stepping.SPLITS]
    assert drawn == [(name, peer) for name in names for peer in peers]


# --- the other parts ----------------------------------------------------------------------------


def test_ppo_has_both_algorithms_and_our_own(results):
    *rows, own = results["ppo"]["rows"]
    assert [row.name for row in rows] == ["PPO", "MaskablePPO"]
    assert all(0 < row.extra["learning"] < 1 for row in rows)
    assert (own.name, own.peer) == ("agent ppo", "agent maskable-ppo")
    assert own.unit == "samples/s of CPU time"


def test_assignments_against_stepping(results):
    rows = results["assignments"]["rows"]
    assert {row.peer for row in rows} == {assignments.SCALAR, "gym.make_vec of 7"}
    assert all(row.unit == "assignments/s" for row in rows)


def test_bytes_follow_the_spaces():
    env = stepping.vector("HWAssign-AlexNet-NVDLA-v0", 2, "discrete")
    moved = limits.step_bytes(env)
    obs, _ = env.reset(seed=0)
    assert moved["observation"] == obs[0].nbytes
    assert moved["action"] == env.action_space.sample()[0].nbytes
    levels = limits.assignment_bytes(env.problem, levels=True)
    assert levels - limits.assignment_bytes(env.problem, levels=False) == 5 * 8
    scores = env.problem.evaluate_actions(np.zeros((1, 5), int))
    written = [scores.objective, scores.used, scores.valid, scores.feasible]
    written += scores.metrics.values()
    entries = 5 * (8 + 5 * 8 + 1)  # of each layer: action number, cost and four metrics, validity
    assert limits.assignment_bytes(env.problem, levels=False) == entries + sum(
        array.itemsize for array in written
    )
    cartpole = stepping.vector("CartPole-v1", 2)
    assert limits.cartpole_bytes(cartpole) < sum(moved.values())


def test_machine_shares_are_of_the_bandwidths(results):
    rows = results["machine"]["rows"]
    bandwidths = {f"{r.name}, {r.case['arrays in']}": r.ours for r in rows if not r.peer}
    assert set(bandwidths) == {"copy, memory", "copy, cache", "gather, memory", "gather, cache"}
    for row in rows:
        if row.peer:
            assert row.theirs == bandwidths[row.peer]
            assert row.extra["at_best_per_second"] == pytest.approx(
                row.theirs.median * 1e9 / row.extra["bytes"]
            )


@pytest.mark.parametrize("power", [0.5, 1, 2])
def test_slope_is_the_power(power):
    sizes = np.array([1, 10, 1000])
    assert growth.slope(sizes, 3 * sizes**power) == pytest.approx(power)


@pytest.mark.parametrize("actions", [7, 12, 48, 144, 576, 1536])
def test_levels_give_as_many_actions(actions):
    pes, tiles = growth.levels_for(actions)
    assert len(pes) * len(tiles) == actions
    assert problem_accepts(pes, tiles) == actions


def problem_accepts(pes, tiles):
    return AssignmentProblem.of("AlexNet", pe_levels=pes, tile_levels=tiles).num_actions


def test_levels_that_do_not_divide():
    with pytest.raises(ValueError, match="multiple of 12 up to 1536, got 1548"):
        growth.levels_for(1548)


def test_growth_has_a_slope_an_axis(results):
    rows = results["growth"]["rows"]
    slopes = [row.case["axis"] for row in rows if row.case["size"] == growth.SLOPE]
    assert slopes == ["layers", "actions", "batch", "environments"]
    firsts = {r.case["axis"]: r for r in reversed(rows) if r.case["size"] != growth.SLOPE}
    assert all(row.ratio.median == 1 for row in firsts.values())


def test_every_id_is_of_a_kind():
    names = [pattern.format(model="MobileNetV2") for pattern, _ in speed.KINDS.values()]
    multi = family_of("HWAssignMulti-Val-v0")  # stepping has its speed, and every episode another
    assert {family_of(name) for name in names} == set(FAMILIES) - {multi}
    kinds = {re.match(r"(mo-)?[A-Za-z]+", name)[0] for name in registered_ids(FAMILY)}
    of_family = [name for name in names if family_of(name) is FAMILY]
    assert {re.match(r"(mo-)?[A-Za-z]+", name)[0] for name in of_family} == kinds


def test_speed_table(results):
    lines = speed.speed_markdown(results["speed"]["rows"]).splitlines()
    assert "3 in a batch, discrete" in lines[0]
    assert len(lines) == 2 + len(QUICK_KINDS)
    assert len({line.count("|") for line in lines}) == 1
    with pytest.raises(ValueError, match="no speeds measured"):
        speed.speed_markdown(results["ppo"]["rows"])


# --- targets, tables, picture -------------------------------------------------------------------


def row_with(ratio, environments=1024, ours=1e6):
    return Row.of(
        "stepping", stepping.RANDOM, {"mode": "discrete", "environments": environments}, "steps/s",
        [ours], "CartPole-v1", [ours / ratio], where={"kernel.step": 0.5},
        extra={"sampling": 0.25, "peer_sampling": 0.1},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [((2, 1.5), "yes"), ((2, 0.5), "in 1 of 2 cases"), ((0.5, 0.1), "no, 2 times short at best")],
)
def test_target_verdicts(ratios, verdict):
    ((asked, reached, best, worst, why),) = report.target_lines([row_with(r) for r in ratios])
    assert asked == "1,024 and 4,096 environments as fast as CartPole"
    assert reached == verdict
    assert best.startswith(report.number(ratios[0]))
    assert worst.startswith(report.number(ratios[1]))
    assert why == "kernel.step 50%, drawing actions 25% (the peer's: 10%)"


def test_targets_look_at_their_own_rows_only():
    rows = [row_with(1, 4096, 2e7), row_with(1, 64), row_with(0.5, "scalar")]
    found = {outcome.target.goal: len(outcome.rows) for outcome in outcomes(rows)}
    assert found == {1.0: 1, 1e7: 1, 0.5: 1}
    assert len(TARGETS) == 7


def test_figures_survive_the_file(results, tmp_path):
    report.save(tmp_path / "speed.json", results)
    again = report.load(tmp_path / "speed.json")
    assert list(again) == list(results)
    assert report.all_rows(again) == report.all_rows(results)
    assert report.markdown(again) == report.markdown(results)
    assert [f.name for f in tmp_path.iterdir()] == ["speed.json"]


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "speed.json").write_text('{"cost": {"rows": [1]}}')
    with pytest.raises(ValueError, match="does not hold figures of this benchmark"):
        report.load(tmp_path / "speed.json")


def test_no_path_gets_into_the_settings(tmp_path):
    described = report.described(dataclasses.replace(TINY, maestro=tmp_path))
    assert described["maestro"] is True
    assert described["zigzag"] is False
    assert described["timeloop"] is False
    assert str(tmp_path) not in json.dumps(described)


def test_markdown_has_all_parts_and_well_formed_tables(results):
    text = report.markdown(results, "speed.png")
    assert "![Speed of" in text
    assert "](speed.png)" in text
    for part in results:
        assert f"\n## {report.TITLES[part]}\n" in text
    assert "## Asked and reached" in text
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        lines = table.splitlines()
        assert len(lines) > 2
        assert len({line.count("|") for line in lines}) == 1
    assert "nan" not in text


def test_the_picture_has_a_panel_a_part(results, tmp_path):
    figure = speed_figure(report.all_rows(results))
    titles = [axis.get_title(loc="left") for axis in figure.axes if axis.axison]
    assert len(titles) == 6
    assert len(set(titles)) == 6
    assert save_figure(figure, tmp_path / "speed.png").stat().st_size > 10_000
    only = speed_figure(results["growth"]["rows"])
    assert [axis.get_title(loc="left") for axis in only.axes] == ["Growth"]
    with pytest.raises(ValueError, match="nothing to draw"):
        speed_figure(results["speed"]["rows"])


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def tiny(monkeypatch):
    """The command measures next to nothing, and stays on any core."""
    monkeypatch.setattr(Settings, "quick", classmethod(lambda cls, **changes: TINY))


def test_command(tiny, tmp_path, capsys):
    arguments = ["--quick", "--out", str(tmp_path / "speed")]
    assert main([*arguments, "--only", "machine,assignments"]) == 0
    assert main([*arguments, "--only", "growth"]) == 0  # the others stay
    assert {f.name for f in (tmp_path / "speed").iterdir()} == {
        "speed.json", "speed.png", "SPEED.md",
    }  # fmt: skip
    saved = report.load(tmp_path / "speed" / "speed.json")
    assert set(saved) == {"machine", "assignments", "growth"}
    before = (tmp_path / "speed" / "SPEED.md").read_text()
    assert "a million complete assignments/s" in before

    picture = tmp_path / "other" / "p.png"
    picture.parent.mkdir()
    assert main(["--redraw", "--out", str(tmp_path / "speed"), "--picture", str(picture)]) == 0
    after = (tmp_path / "speed" / "SPEED.md").read_text()
    assert after == before.replace("](speed.png)", "](../other/p.png)")
    assert picture.exists()
    assert "Growth" in capsys.readouterr().out


def test_a_part_that_fails_does_not_stop_the_others(tiny, tmp_path, monkeypatch, capsys):
    def broken(settings):
        raise Void("no speed to speak of")

    monkeypatch.setitem(PARTS, "growth", broken)
    assert main(["--quick", "--out", str(tmp_path), "--only", "growth,machine"]) == 1
    assert "growth failed: no speed to speak of" in capsys.readouterr().out
    assert set(report.load(tmp_path / "speed.json")) == {"machine"}


def test_an_interrupted_run_keeps_what_it_has(tiny, tmp_path, monkeypatch, capsys):
    def interrupted(settings):
        raise KeyboardInterrupt

    monkeypatch.setitem(PARTS, "growth", interrupted)
    assert main(["--quick", "--out", str(tmp_path), "--only", "machine,growth"]) == 130
    assert "Interrupted; finished parts are in" in capsys.readouterr().out
    assert set(report.load(tmp_path / "speed.json")) == {"machine"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "stoping"], "unknown part 'stoping'; did you mean 'stepping'?"),
        (["--only", ","], "name some of cost, memory"),
        (["--maestro", "/nowhere/maestro"], "not a program: /nowhere/maestro"),
        (["--rounds", "0"], "must be a whole number above 0, got '0'"),
        (["--seconds", "-1"], "must be a number above 0, got '-1'"),
        (["--seconds", "nan"], "must be a number above 0, got 'nan'"),
        (["--quick", "--redraw"], "not allowed with argument"),
        (["--redraw"], "no figures in"),
        (["--model", "mobilenetv2"], "unknown model 'mobilenetv2'; did you mean 'MobileNetV2'?"),
        (["--core", "-3"], "no core -3; there are "),
    ],
)
def test_wrong_arguments(arguments, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as error:
        main([*arguments, "--out", str(tmp_path)])
    assert error.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "file", "line"),
    [
        ("--timeloop", parity.TIMELOOP, "150 points, 1800 values, 0 differ"),
        ("--scalesim", parity.SCALESIM, "192 points, 768 values, 0 differ"),
        ("--magma", parity.MAGMA, "30 points, 30 values, 0 differ"),
    ],
)
def test_carried_files_of_other_programs_are_equal(option, file, line, capsys):
    assert parity.main([option, str(file)]) == 0
    assert capsys.readouterr().out == line + "\n"


def _magma(change):
    schedules = json.loads(parity.MAGMA.read_text())[:3]
    change(schedules)
    return json.dumps(schedules)


def _timeloop(change):
    points = json.loads(parity.TIMELOOP.read_text())[:3]
    change(points)
    return json.dumps(points)


def _scalesim(*changes):
    lines = parity.SCALESIM.read_text().splitlines()[:4]
    text = "\n".join(lines)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


@pytest.mark.parametrize(
    ("option", "text", "lines"),
    [
        (
            "--timeloop",
            _timeloop(lambda p: (p[1]["timeloop"].update(I_l2r=7055), p[2].update(cycles=1))),
            [
                "point 1: I_l2r is 7056, 7055 in the file",
                "point 2: cycles is ",
                "3 points, 36 values, 2 differ",
            ],
        ),
        (
            "--scalesim",
            _scalesim((",1241,", ",1242,")),
            [
                "run 0: total_cycles is 1241, 1242 in the file",
                "3 points, 12 values, 1 differ",
            ],
        ),
        (
            "--magma",
            _magma(
                lambda s: (
                    s[0].update(makespan=s[0]["makespan"] * (1 + 1e-10)),
                    s[1].update(makespan=s[1]["makespan"] * (1 + 1e-8)),
                    s[2].update(makespan=float("nan")),
                )
            ),
            [
                "schedule 1: makespan is ",
                "schedule 2: makespan is ",
                "3 points, 3 values, 2 differ",
            ],
        ),
    ],
)
def test_a_difference_to_another_program_is_told(option, text, lines, tmp_path, capsys):
    path = tmp_path / "file"
    path.write_text(text)
    assert parity.main([option, str(path)]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(lines)
    for line, start in zip(printed, lines, strict=True):
        assert line.startswith(start)


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("--timeloop", "{", "not JSON"),
        ("--timeloop", "[" * 100_000, "not JSON"),
        ("--timeloop", "[]", "a list of points is needed, and at least one"),
        ("--timeloop", "[3]", "point 0: 'point' is missing"),
        ("--timeloop", '[{"point": [[1]]}]', "point 0: 'point' must be 8 lists: extent, tile"),
        (
            "--timeloop",
            _timeloop(lambda p: p[1]["point"].__setitem__(2, [1, 2])),
            "point 1: spread must be 8 numbers, got [1, 2]",
        ),
        (
            "--timeloop",
            _timeloop(lambda p: p[2]["point"][0].__setitem__(3, 1.5)),
            "point 2: extent must be a whole number, got 1.5",
        ),
        (
            "--timeloop",
            _timeloop(lambda p: p[0]["point"][4].__setitem__(0, 9)),
            "dram_order",
        ),
        (
            "--timeloop",
            _timeloop(lambda p: p[1]["timeloop"].pop("O_l2w")),
            "point 1: timeloop: 'O_l2w' is missing",
        ),
        ("--timeloop", _timeloop(lambda p: p[1].pop("computes")), "point 1: 'computes' is missing"),
        ("--scalesim", "", "no runs in it"),
        ("--scalesim", _scalesim(("stride", "strides")), "run 0: 'stride' is missing"),
        ("--scalesim", _scalesim((",ws,", ",rs,")), "run 0: dataflow must be one of ws, os, is"),
        ("--scalesim", _scalesim((",1241,", ",many,")), "run 0: total_cycles must be a whole"),
        ("--scalesim", _scalesim((",1241,", ",")), "run 0: not as many values as there are colum"),
        ("--scalesim", _scalesim(("9,7,1,1", "9,7,1,8")), "run 1: filter_w is larger than ifmap_w"),
        ("--scalesim", _scalesim((",1,4,4,ws", ",0,4,4,ws")), "run 0: stride must be at least 1"),
        ("--magma", "[]", "a list of schedules is needed, and at least one"),
        ("--magma", "[3]", "schedule 0: 'latency' is missing"),
        ("--magma", _magma(lambda s: s[1].pop("makespan")), "schedule 1: 'makespan' is missing"),
        (
            "--magma",
            _magma(lambda s: s[0]["core"].__setitem__(0, 9)),
            "schedule 0: core must be 0 to ",
        ),
        (
            "--magma",
            _magma(lambda s: s[0]["latency"][1].pop()),
            "schedule 0: latency must be numbers: ",
        ),
        (
            "--magma",
            _magma(lambda s: s[2].update(priority="high")),
            "schedule 2: priority must be numbers, got high",
        ),
        (
            "--magma",
            _magma(lambda s: s[2].update(bandwidth=[1, 2])),
            "schedule 2: bandwidth and makespan must be one number each",
        ),
        (
            "--magma",
            _magma(lambda s: s[1].update(core=[s[1]["core"]], priority=[s[1]["priority"]])),
            "schedule 1: core must be one number a job",
        ),
    ],
)
def test_a_file_of_another_program_is_refused_with_words(option, text, message, tmp_path, capsys):
    path = tmp_path / "file"
    path.write_text(text)
    assert parity.main([option, str(path)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert str(path) in printed.err
    assert message in printed.err
    assert len(printed.err.splitlines()) == 1


def test_a_file_of_another_program_that_is_not_there(tmp_path, capsys):
    for option in ("--timeloop", "--scalesim", "--magma"):
        assert parity.main([option, str(tmp_path / "none")]) == 1
        assert "No such file" in capsys.readouterr().err


def test_all_that_is_carried_is_compared_without_options(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(parity, "CARRIED", tmp_path)
    parity.pd.read_parquet(parity.TIMELOOP.parent / "grid_shi.parquet").head(40).to_parquet(
        tmp_path / "few.parquet"
    )
    assert parity.main([]) == 0
    printed = capsys.readouterr().out
    assert "few.parquet: 40 rows" in printed
    assert "150 points, 1800 values, 0 differ" in printed
    assert "192 points, 768 values, 0 differ" in printed
    assert "30 points, 30 values, 0 differ" in printed


# --- generalisation -------------------------------------------------------------------------------


def test_what_few_networks_teach_is_asked_of_those_and_of_others(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from benchmarks import generalisation

    gap = generalisation.measure(1, seed=0, optima=24, problems=2)
    assert all(0 <= median <= most for median, most in (gap.train, gap.test))
    assert gap == generalisation.measure(1, seed=0, optima=24, problems=2)
    monkeypatch.setattr(generalisation, "PICTURE", tmp_path / "gap.png")
    monkeypatch.setattr(generalisation, "NETWORKS", (1,))
    generalisation.draw([gap])
    assert (tmp_path / "gap.png").read_bytes()[:4] == b"\x89PNG"


# --- ConfuciuX's claim ----------------------------------------------------------------------------


def test_samples_to_a_regret(tmp_path):
    from benchmarks import claim
    from hwgym.leaderboard.cli import app

    asked = ["run", "--suite", claim.SUITE, "--agents", "tabulate,random", "--seeds", "3"]
    result = CliRunner().invoke(app, [*asked, "--workers", "1", "--out", str(tmp_path / "runs")])
    assert result.exit_code == 0, result.output
    board = claim.load([tmp_path / "runs"], claim.SUITE)
    head, *rest = claim.rows(board)
    assert head[0] == "method"
    assert len(head) == 7
    assert head[2:4] == head[5:] == ["5 %", "1 %"]
    assert [row[1:] for row in rest] == [["never"] * 6, ["145"] * 6]
    text = claim.markdown(board).splitlines()
    assert text[1] == "| --- " + "| --: " * 6 + "|"
    assert len(text) == 4
    claim.draw(board, tmp_path / "claim.png")
    assert (tmp_path / "claim.png").stat().st_size > 10_000


def test_a_median_of_seeds_that_do_not_all_get_there():
    from benchmarks.claim import _reached

    assert str(_reached([100.0, 300.0, 200.0])) == "200"
    assert str(_reached([100.0, np.inf, 2000.0])) == "2,000"
    assert str(_reached([100.0, np.inf, 200.0, np.inf])) == "2 of 4"
    assert str(_reached([np.inf, np.inf])) == "never"
