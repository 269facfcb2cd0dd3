"""Many networks, budgets and machines: splits that share no layer, problems that are those of
assignment, and episodes that are drawn as those that are given."""

import copy
import json
import os
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import gymnasium as gym
import numpy as np
import pytest
from conftest import assert_same
from contract import Sync, allowed, lock_step
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import NormalizeObservation, NormalizeReward
from gymnasium.wrappers import vector as vector_wrappers

import hwgym
from hwgym import Layer, Workload
from hwgym.core import EpisodeLog, solve
from hwgym.families.assignment import AssignmentProblem, DesignSpace
from hwgym.families.assignment.multi import (
    FAMILY,
    SPLITS,
    HWAssignMultiEnv,
    HWAssignMultiVectorEnv,
    MultiProblem,
    binding,
    deals,
    dealt_walk,
    make,
)
from hwgym.families.assignment.multi import pool as pools
from hwgym.families.assignment.multi.features import AHEAD, CONTEXT, LAYER, LEFT, REMAINING
from hwgym.families.assignment.multi.grammar import KINDS, SPLIT_CELLS
from hwgym.families.assignment.multi.splits import Narrow, Source, draw
from hwgym.families.layered.ids import MODELS
from hwgym.hardware import Hardware

TABLES = ("latency_cycles", "energy_nj", "area_um2", "power_mw", "l1_bytes", "l2_bytes", "valid")
SEVEN = np.array([0, 1, 2, 17, 101, 500, 999])


def layers_of(split):
    return {layer.shape for layer in Source(split).parts.layers}


# --- splits ---------------------------------------------------------------------------------------


def test_splits_share_no_layer():
    shapes = {split: layers_of(split) for split in SPLITS}
    for one in shapes:
        for other in shapes:
            assert one == other or not shapes[one] & shapes[other], (one, other)


def test_train_has_thousands_of_layers():
    assert len(layers_of("train")) > 2500
    networks = [Source("train").rows(Source("train").recipes(np.arange(500)))]
    assert len(np.unique(networks[0][0])) > 2000


def test_splits_share_resolutions_and_widths_but_not_their_pairs():
    cells = {split: set(SPLIT_CELLS[split]) for split in ("train", "val", "test")}
    assert sum(map(len, cells.values())) == len(set().union(*cells.values()))
    for each in cells.values():
        for axis in range(2):
            assert {c[axis] for c in each} == {c[axis] for c in cells["train"]}
    assert not {c.chain for c in SPLIT_CELLS["ood"]} & {c.chain for c in cells["train"]}


def test_splits_share_no_draw():
    numbers = np.arange(1000)
    drawn = [draw(split.salt + more, numbers, 6) for split in SPLITS.values() for more in (0, 16)]
    assert len(np.unique(np.concatenate(drawn))) == sum(d.size for d in drawn)
    machines = [Source(split).machines for split in ("train", "val", "ood")]
    assert len(np.unique(np.concatenate(machines), axis=0)) == sum(map(len, machines))
    assert Source("train").machines.min() >= 0.5
    assert Source("train").machines.max() <= 2.0
    ood = np.abs(np.log2(Source("ood").machines))
    assert ood.min() >= np.log2(2.5)


@pytest.mark.parametrize(("split", "least", "most"), [("train", 10, 60), ("ood", 61, 120)])
def test_networks_are_as_deep_as_they_should_be(split, least, most):
    source = Source(split)
    recipes = source.recipes(np.arange(1000))
    _, lengths = source.rows(recipes)
    assert lengths.min() >= least
    assert lengths.max() <= most
    assert len(np.unique(lengths)) > 20
    bank = make(split).problems
    assert lengths.max() <= bank.most_steps <= most


def test_every_kind_of_network_is_one():
    """Channels of a layer come from one before it, and every kind has its mark."""
    marks = {"inverted": "depthwise", "transformer": "scores", "dense": "transition"}
    for kind in KINDS:
        source = Source("train", Narrow(network=kind))
        network = source.workload(3, source.recipes(np.array([3])))
        assert kind in network.name
        assert len({layer.name for layer in network}) == len(network)
        assert any(marks.get(kind, "conv1") in layer.name for layer in network)
        if kind not in ("dense", "transformer"):
            made = {layer.C for layer in network if layer.is_depthwise} | {3}
            for layer in network:
                groups = layer.repeat
                assert layer.C * groups in made, layer
                made.add(layer.K * groups)


def test_draws_are_spread_over_their_range():
    recipes = Source("train").recipes(np.arange(20_000))
    for column, count in (
        (recipes.style, 3), (recipes.bandwidth, 3), (recipes.machine, 64),
        (recipes.objective, 3), (recipes.constraint, 2),
    ):  # fmt: skip
        share = np.bincount(column, minlength=count) / 20_000 * count
        assert len(share) == count
        assert np.abs(share - 1).max() < 0.3
    logs = np.log(recipes.share)
    assert np.quantile(logs, [0.25, 0.5, 0.75]) == pytest.approx(
        np.log(0.03) + np.log(0.5 / 0.03) * np.array([0.25, 0.5, 0.75]), abs=0.05
    )


def test_draws_of_many_are_those_of_each():
    sampler = make("train", dataflow="NVDLA")
    one, other = (np.random.default_rng(5) for _ in range(2))
    assert sampler.draws(other, 40).tolist() == [sampler.draw(one) for _ in range(40)]


def test_the_zoo_has_every_network_and_nothing_else():
    bank = make("zoo").problems
    assert len(bank) == 60 * len(MODELS)
    source = bank.source
    for number, name in enumerate(MODELS):
        assert source.workload(number, source.recipes(np.array([number]))) is hwgym.workload(name)
    only = make("zoo", network="VGG16", dataflow="NVDLA").problems
    assert {only[i].design.workload.name for i in (0, 5, 77)} == {"VGG16"}


def test_so_many_networks():
    for count in (1, 10):
        source = Source("train", Narrow(networks=count))
        recipes = source.recipes(np.arange(2000))
        pairs = np.concatenate([recipes.pieces, recipes.depths], axis=1)
        assert len(np.unique(pairs, axis=0)) <= count
        assert len(np.unique(recipes.share)) == 2000
    endless = Source("train").recipes(np.arange(2000))
    assert len(np.unique(np.concatenate([endless.pieces, endless.depths], axis=1), axis=0)) > 1000


def test_what_is_fixed_is_not_drawn():
    fixed = {"objective": "energy", "constraint": "power", "network": "plain"}
    bank = make("val", dataflow="NVDLA", hardware="default", **fixed).problems
    for number in (0, 4):
        problem = bank[number]
        assert problem.objective.name == "energy"
        assert problem.constraint.name == "power"
        assert problem.design.styles == "NVDLA"
        assert problem.design.hardware == Hardware(technology="maestro-2019")
        assert "plain" in problem.design.workload.name
    mixed = make("val", instance=0, dataflow="MIX", hardware="default")
    assert mixed.space.shape == (12, 12, 3)


# --- problems -------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["val", "zoo", "ood"])
def test_tables_are_those_of_the_cost_model(split):
    for number in (0, 7, 23):
        problem = make(split, instance=number)
        design = problem.design
        same = DesignSpace.of(design.workload, design.dataflows, hardware=design.hardware)
        assert design.key == same.key
        for name in TABLES:
            ours, theirs = getattr(design, name), getattr(same, name)
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)
            assert not ours.flags.writeable


def test_a_problem_is_an_assignment_problem_and_its_optimum_is_proven():
    problem = make("val", instance=5)
    assert isinstance(problem, AssignmentProblem)
    assert problem is make("val", instance=5)
    best = problem.optimum()
    assert best.exact
    assert problem.evaluate(best.assignment).feasible[0]
    least, greatest = problem.budget_range
    share = Source("val").recipes(np.array([5])).share[0]
    assert problem.budget == pytest.approx(least + (greatest - least) * share, rel=1e-12)
    again = make(**problem.description)
    assert json.dumps(again.statement.key) == json.dumps(problem.statement.key)
    assert again.optimum().objective == best.objective


KEYS = """
import hashlib, json
from hwgym.families.assignment.multi import make
for split, number in (("val", 0), ("val", 999), ("zoo", 16), ("train", 2**40 - 1)):
    problem = make(split, instance=number, dataflow="NVDLA")
    text = json.dumps([problem.statement.key, problem.cost.tolist()])
    print(split, number, hashlib.sha256(text.encode()).hexdigest())
"""


def test_equal_numbers_are_equal_problems_in_every_process():
    runs = [
        subprocess.run(
            [sys.executable, "-c", KEYS],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert len(set(runs[0].split())) == 4 + 3 + 4  # numbers and splits that differ, and digests


@pytest.mark.parametrize("split", ["train", "zoo", "ood"])
def test_the_best_uniform_solution_is_that_of_the_problem(split):
    numbers = np.arange(60)
    bank = make(split, dataflow="NVDLA").problems
    source, dealer = bank.source, bank.dealer
    recipes = source.recipes(numbers)
    rows, lengths = source.rows(recipes)
    _, budgets = dealer.budgets(recipes, rows, lengths)
    limits = np.array([bank[n].limit for n in numbers])
    assert limits == pytest.approx(budgets, rel=1e-8)
    found = dealer.cells.uniform(recipes, dealer.prices(recipes), lengths, limits)
    expected = [bank[n].best_uniform() for n in numbers]
    assert found == pytest.approx(np.array(expected), rel=1e-12)


def test_depthwise_layers_are_counted_once_for_dataflows_that_map_them_alike(monkeypatch):
    monkeypatch.setenv("HWGYM_CACHE", "")
    counted = []
    real = pools._count
    monkeypatch.setattr(pools, "_count", lambda *given: counted.append(given) or real(*given))
    layers = [Source("val").parts.layers[0]]
    layers.append(next(layer for layer in Source("val").parts.layers if layer.is_depthwise))
    styles = Source("val").styles
    pool = pools.LayerPool(tuple(layers), styles, (16,))
    alone = [pools.LayerPool(tuple(layers), (style,), (16,)).counts for style in styles]
    del counted[:]
    assert_same(tuple(pool.counts), tuple(pools._end_to_end(alone)))
    assert [len(given[0]) for given in counted] == [1] * 4
    assert sum(given[0][0].is_depthwise for given in counted) == 1


def test_counts_are_kept_and_what_is_damaged_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("HWGYM_CACHE", str(tmp_path / "cache"))
    source = Source("val", Narrow(dataflow="NVDLA"))
    layers, style = source.parts.layers[:5], source.styles[0][0]
    first = pools.count(layers, style, (16,))
    [path] = (tmp_path / "cache").iterdir()
    calls = []
    real = pools._count
    monkeypatch.setattr(pools, "_count", lambda *given: calls.append(given) or real(*given))
    assert_same(tuple(first), tuple(pools.count(layers, style, (16,))))
    assert not calls
    path.write_bytes(b"damaged")
    assert_same(tuple(first), tuple(pools.count(layers, style, (16,))))
    assert len(calls) == 1
    monkeypatch.setenv("HWGYM_CACHE", "")
    pools.count(layers, style, (16,))
    assert len(calls) == 2


COUNT = """
from hwgym.families.assignment.multi import pool
from hwgym.families.assignment.multi.splits import Source
source = Source("val")
counts = pool.count(source.parts.layers[:30], source.styles[0][0], (16, 64))
print([int(column.astype(float).sum()) for column in counts])
"""


def test_processes_may_count_the_same_layers_at_once(tmp_path):
    folder = tmp_path / "cache"
    given = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HWGYM_CACHE": str(folder)}
    runs = [
        subprocess.Popen([sys.executable, "-c", COUNT], env=given, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    told = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0] * 3
    assert told[0]
    assert len(set(told)) == 1
    [path] = folder.iterdir()  # whole, and nothing beside it
    assert path.suffix == ".npz"
    assert pools.read_arrays(path, pools.Counts._fields) is not None


@pytest.mark.parametrize("folder", ["a file", "a folder of rubbish"])
def test_a_cache_that_cannot_be_used_is_done_without(folder, tmp_path, monkeypatch):
    source = Source("val")
    layers, style = source.parts.layers[:3], source.styles[0][0]
    monkeypatch.setenv("HWGYM_CACHE", "")
    expected = pools.count(layers, style, (16,))
    path = tmp_path / "cache"
    monkeypatch.setenv("HWGYM_CACHE", str(path))
    if folder == "a file":
        path.write_text("no folder")
    else:
        pools.count(layers, style, (16,))
        [file] = path.iterdir()
        file.write_bytes(file.read_bytes()[:1000])  # a copy that broke off
        (path / "other.npz").write_bytes(b"rubbish")
    assert_same(tuple(pools.count(layers, style, (16,))), tuple(expected))


def test_errors_say_what_is_allowed():
    for given, match in (
        ({"split": "tset"}, "unknown split 'tset'.*'test'"),
        ({"split": "val", "objective": "latncy"}, "did you mean 'latency'"),
        ({"split": "val", "network": "VGG16"}, "unknown network"),
        ({"split": "zoo", "network": "plain"}, "unknown network"),
        ({"split": "val", "hardware": "fast"}, "unknown hardware"),
        ({"split": "val", "networks": 0}, "networks must be a positive integer, got 0"),
        (
            {"split": "zoo", "network": "VGG16", "networks": 2},
            "in zoo give either network, a single one, or networks, how many",
        ),
        ({"split": "val", "instance": 1000}, r"val has problems 0\.\.999, got 1000"),
        ({"split": "val", "instance": True}, "instance must be an integer"),
        ({"split": "val", "dataflow": "NVDAL"}, "did you mean 'NVDLA'"),
        ({"split": "val", "dataflow": []}, r"a name, or a list of names, got \[\]"),
        ({"split": "val", "dataflow": {"name": "mine"}}, "a name, or a list of names, got"),
        ({"split": "val", "hardware": {"noc_bandwidth": 8}}, "one of drawn, default, got"),
    ):
        with pytest.raises(ValueError, match=match):
            make(**given)
    for given in ({}, {"split": "val", "workload": "VGG16"}):
        with pytest.raises(TypeError, match="either a split"):
            make(**given)
    for given, match in (
        ({"split": "val", "ratio": 0.1}, "ratio: only for a problem of one's own"),
        ({"split": "val", "platform": "iot", "deployment": "LS"}, "platform, deployment: only for"),
        ({"workload": "VGG16", "instance": 0}, "instance: only for the problems of a split"),
        ({"workload": "VGG16", "networks": 3}, "networks: only for the problems of a split"),
    ):
        with pytest.raises(TypeError, match=match):
            make(**given)
    with pytest.raises(ValueError, match="'capped' only"):
        HWAssignMultiEnv(split="val", dataflow="NVDLA", reward="terminal")
    with pytest.raises(ValueError, match="minimise latency, energy, edp"):
        HWAssignMultiEnv(workload="VGG16", objective="throughput")
    with pytest.raises(ValueError, match="a step a layer"):
        HWAssignMultiEnv(workload="VGG16", deployment="LS")


def test_the_first_that_bind_are_told():
    problems = make("zoo", dataflow="NVDLA").problems
    found = binding("zoo", 4, dataflow="NVDLA")
    assert all(problem.binds for problem in found)
    wanted = [problem for problem in problems[:20] if problem.binds][:4]
    assert found == wanted
    assert binding("zoo", 0) == []


# --- episodes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["discrete", "multi_discrete"])
@pytest.mark.parametrize("described", [
    {"split": "val"}, {"split": "zoo", "dataflow": "MIX"}, {"split": "ood"},
])  # fmt: skip
def test_what_is_drawn_walks_as_what_is_given(described, mode):
    drawn = HWAssignMultiEnv(action_mode=mode, regret=True, **described)
    drawn.action_space.seed(3)
    rng = np.random.default_rng(3)
    ended = set()
    for number in SEVEN:
        given = HWAssignMultiEnv(problem=drawn.sampler.problems[number], action_mode=mode)
        for masked in (True, True, False):
            results = [drawn.reset(options={"instance": int(number)}), given.reset()]
            assert drawn.problem is given.problem
            while True:
                (seen, *_, info), (expected, *_, told) = results
                np.testing.assert_array_equal(seen, expected)
                np.testing.assert_array_equal(drawn.action_masks(), given.action_masks())
                info["assignment"] = info["assignment"][: given.num_steps]
                assert_same(info, told)
                if len(results[0]) == 5:
                    assert results[0][1] == pytest.approx(results[1][1], abs=1e-12)
                    assert results[0][2:4] == results[1][2:4]
                    if results[0][2]:
                        break
                action = drawn.action_space.sample()
                if masked and mode == "discrete":
                    action = rng.choice(np.flatnonzero(drawn.action_masks()))
                results = [drawn.step(action), given.step(action)]
            ended.add((masked, info["is_success"]))
    if mode == "discrete":
        assert ended - {(False, True)} == {(True, True), (False, False)}


@pytest.mark.parametrize("autoreset", list(AutoresetMode), ids=lambda m: m.name)
@pytest.mark.parametrize("split", ["val", "train"])
def test_many_are_as_each(autoreset, split):
    described = {"split": split, "dataflow": "NVDLA"}
    for mode, seed in (("discrete", 11), ("multi_discrete", [3, 8, 3, 5])):
        lock_step(
            HWAssignMultiVectorEnv(
                num_envs=4, autoreset_mode=autoreset.value, action_mode=mode, **described
            ),
            Sync([lambda: HWAssignMultiEnv(action_mode=mode, **described)] * 4, autoreset),  # noqa: B023
            steps=60,
            seed=seed,
        )


def test_infos_read_long_after_are_the_same():
    """Of endless problems only the last are kept; what was of others is made again."""
    described = {"split": "train", "dataflow": "NVDLA", "num_envs": 90}
    at_once, late = (HWAssignMultiVectorEnv(**described) for _ in range(2))
    rng = np.random.default_rng(1)
    at_once.action_space.seed(1)
    read, unread = [copy.deepcopy(dict(at_once.reset(seed=1)[1]))], [late.reset(seed=1)[1]]
    begun = 90
    for step in range(40):
        actions = np.full(90, 143)  # the largest: most episodes break off soon
        actions[:20] = allowed(rng, at_once)[:20]
        result = at_once.step(actions)
        begun += result[2].sum()
        keep = step % 8 == 0
        other = late.step(actions)
        assert_same(result[:4], other[:4])
        if keep:
            read.append(copy.deepcopy(dict(result[4])))
            unread.append(other[4])
    assert begun > 2 * len(at_once._dynamics.deals.number)
    assert_same(read, unread)


def test_what_is_dealt_ahead_makes_no_difference(monkeypatch):
    """Resets that follow one another deal together; whoever names a seed or a problem in between
    gets what that means, and the others what they would have got."""
    put, dealt = deals.Deals.put, []
    monkeypatch.setattr(
        deals.Deals, "put", lambda self, n, slots: dealt.append(len(n)) or put(self, n, slots)
    )
    env = HWAssignMultiEnv(split="train", dataflow="NVDLA")
    del dealt[:]
    expected = [env.reset(seed=3)[0], *(env.reset()[0] for _ in range(80))]
    assert len(dealt) <= 5
    assert sum(dealt) < 130

    other = HWAssignMultiEnv(split="train", dataflow="NVDLA")
    rng = np.random.default_rng(0)
    seen = [other.reset(seed=3)[0]]
    while len(seen) < len(expected):
        if rng.random() < 0.2:  # takes no draw
            given = int(rng.integers(2**40))
            alone = HWAssignMultiEnv(split="train", dataflow="NVDLA")
            np.testing.assert_array_equal(
                other.reset(options={"instance": given})[0],
                alone.reset(options={"instance": given})[0],
            )
        seen.append(other.reset()[0])
    np.testing.assert_array_equal(seen, expected)
    for _ in range(3):
        np.testing.assert_array_equal(other.reset(seed=3)[0], expected[0])
    np.testing.assert_array_equal(other.reset()[0], expected[1])


def test_a_few_environments_deal_together_what_they_will_draw(monkeypatch):
    put, dealt = deals.Deals.put, []
    monkeypatch.setattr(
        deals.Deals, "put", lambda self, n, slots: dealt.append(len(n)) or put(self, n, slots)
    )
    envs = HWAssignMultiVectorEnv(split="train", dataflow="NVDLA", num_envs=8)
    envs.reset(seed=0)
    begun, before = 0, len(dealt)
    for _ in range(100):
        begun += envs.step(np.full(8, 143))[2].sum()
    assert begun > 100
    assert len(dealt) - before < begun / 10
    assert sum(dealt) < 1.5 * begun + 100


def test_many_environments_deal_together_what_they_will_draw_soonest(monkeypatch):
    put, dealt = deals.Deals.put, []
    monkeypatch.setattr(
        deals.Deals, "put", lambda self, n, slots: dealt.append(len(n)) or put(self, n, slots)
    )

    def walk(parts):
        monkeypatch.setattr(dealt_walk, "PARTS", parts)
        described = {"split": "train", "dataflow": "NVDLA", "num_envs": 300}
        envs = HWAssignMultiVectorEnv(**described, autoreset_mode=AutoresetMode.SAME_STEP)
        rng, seen, begun, times = np.random.default_rng(2), [envs.reset(seed=2)[0]], 300, 1
        del dealt[:]
        for _ in range(60):
            result = envs.step(allowed(rng, envs))
            seen.append(result[:3])
            begun, times = begun + result[2].sum(), times + result[2].any()
        return seen, begun, times

    seen, begun, times = walk(6)
    assert len(dealt) < times / 3
    assert sum(dealt) < begun
    alone, *_ = walk(10**6)  # nothing ahead
    assert len(dealt) > times / 2
    assert_same(seen, alone)


def test_what_choices_pay_is_looked_up_where_many_walk():
    """As it is found out where there are few, invalid choices and broken budgets included."""
    bank = make("val", dataflow="NVDLA").problems
    many, few = dealt_walk.DealtWalk(bank), dealt_walk.DealtWalk(bank)
    which, rng = np.arange(300) * 3, np.random.default_rng(0)
    parts = np.split(np.arange(300), 3)
    state, states = many.begin(which), [few.begin(which[part]) for part in parts]
    failed = 0
    for _ in range(13):  # layers of the shortest
        choices = rng.integers(144, size=300)
        state, outcome = many.step(state, choices)
        steps = [few.step(s, choices[part]) for s, part in zip(states, parts, strict=True)]
        states = [after for after, _ in steps]
        for name in ("failed", "finished", "earned"):
            expected = np.concatenate([getattr(other, name) for _, other in steps])
            np.testing.assert_array_equal(getattr(outcome, name), expected)
        np.testing.assert_array_equal(state.used, np.concatenate([s.used for s in states]))
        failed += outcome.failed.sum()
    assert failed
    assert many._priced is not None
    assert few._priced is None


@pytest.mark.parametrize("split", ["test", "train"])
def test_threads_may_walk_a_split_together(split):
    def walk(seed):
        env = HWAssignMultiEnv(split=split, dataflow="Eyeriss")
        return [env.reset(seed=seed)[0], *(env.reset()[0] for _ in range(40))]

    with ThreadPoolExecutor(3) as threads:
        seen = list(threads.map(walk, [5, 5, 6]))
    np.testing.assert_array_equal(seen[0], seen[1])
    np.testing.assert_array_equal(seen[2], walk(6))


@pytest.mark.parametrize("split", ["val", "train"])
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))], ids=["deep", "pickle"]
)
def test_copies_go_on_as_the_original(split, copied):
    for make_env in (
        lambda: gym.make(f"HWAssignMulti-{split.title()}-v0", dataflow="NVDLA"),
        lambda: HWAssignMultiVectorEnv(split=split, dataflow="NVDLA", num_envs=3),
    ):
        env = make_env()
        env.reset(seed=5)
        for _ in range(3):
            env.step(env.action_space.sample() * 0 + 5)
        env.reset()
        assert len(pickle.dumps(env)) < 1e6  # not what was dealt
        other = copied(env)
        for _ in range(100):
            assert_same(
                env.step(env.action_space.sample() * 0 + 40)[:4],
                other.step(env.action_space.sample() * 0 + 40)[:4],
            )
            if isinstance(env, gym.Env) and env.unwrapped._episode.over:
                assert_same(env.reset(), other.reset())


def test_some_of_many_begin_in_a_copy():
    env = HWAssignMultiVectorEnv(split="train", dataflow="NVDLA", num_envs=300)
    env.reset(seed=5)
    few = {"reset_mask": np.arange(300) == 70}
    other = pickle.loads(pickle.dumps(env))
    assert_same(env.reset(options=few)[0], other.reset(options=few)[0])


def test_returns_of_feasible_episodes_are_shares_and_no_failure_returns_more():
    envs = HWAssignMultiVectorEnv(split="val", num_envs=300, autoreset_mode="Disabled")
    _, info = envs.reset(seed=0)
    rng = np.random.default_rng(0)
    total, begun = np.zeros(300), np.ones(300, bool)
    succeeded = np.zeros(300, bool)
    for step in range(envs.num_steps):
        masks = envs.action_masks()
        actions = (rng.random(masks.shape) * masks).argmax(axis=1)
        if step >= 5:
            actions[:100] = 143
        _, reward, over, _, info = envs.step(actions)
        total[begun] += reward[begun]
        succeeded[begun] = info["is_success"][begun]
        begun &= ~over
        if over.any():
            envs.reset(options={"reset_mask": over})
    assert not begun.any()
    assert succeeded[100:].all()
    assert not succeeded[:100].all()
    assert (total[succeeded] >= 0).all()
    assert (total[succeeded] <= 1 + 1e-12).all()
    assert (total[~succeeded] <= 0).all()


def test_the_optimum_returns_most():
    env = HWAssignMultiEnv(split="val", regret=True)
    for number in SEVEN:
        env.reset(options={"instance": int(number)})
        best = env.problem.optimum()
        total = 0.0
        for action in env.problem.space.encode(best.assignment):
            _, reward, over, _, info = env.step(int(action))
            total += reward
        assert over
        assert info["regret"] == 0
        assert info["objective"] == best.objective
        assert 0 < total <= 1 + 1e-12


def test_regret_is_told_to_those_who_ask():
    for regret in (False, True):
        envs = HWAssignMultiVectorEnv(split="val", num_envs=2, regret=regret)
        for env in (HWAssignMultiEnv(split="val", regret=regret), envs):
            assert ("regret" in env.reset(seed=0)[1]) == regret
    assert "regret" in HWAssignMultiEnv(workload="AlexNet").reset()[1]


# --- what is observed -----------------------------------------------------------------------------


def test_observations_have_the_entries_that_are_documented():
    env = HWAssignMultiEnv(split="val")
    sizes = (AHEAD * len(LAYER), len(REMAINING), len(CONTEXT), 2, len(LEFT), 1)
    assert env.observation_space.shape == (sum(sizes),)
    assert sizes[:2] == (44, 10)
    assert len(CONTEXT) == 5 + 20 + 15 + 2


def test_a_layer_reads_the_same_in_every_network():
    layer = Layer.conv("x", in_channels=48, out_channels=96, input_size=20, kernel=3, padding=1)
    other = Layer.gemm("y", M=64, N=512, K=512)
    seen = []
    for layers in ((layer,), (layer, other), (other, layer)):
        env = HWAssignMultiEnv(workload=Workload("w", layers), ratio=0.3)
        seen.append(env.reset()[0])
    width = len(LAYER)
    np.testing.assert_array_equal(seen[0][:width], seen[1][:width])
    np.testing.assert_array_equal(seen[0][:width], seen[2][width : 2 * width])
    sizes = (seen[0][:width].astype(float) + 1) / 2
    assert 2 ** (16 * sizes[1]) == pytest.approx(96, rel=1e-5)
    assert 2 ** (16 * sizes[2]) == pytest.approx(48, rel=1e-5)
    assert 2 ** (12 * sizes[3]) == pytest.approx(20, rel=1e-5)
    assert 2 ** (48 * sizes[8]) == pytest.approx(layer.macs, rel=1e-4)


def test_whatever_is_drawn_is_within_the_space():
    for split in SPLITS:
        envs = HWAssignMultiVectorEnv(split=split, num_envs=50)
        observations, _ = envs.reset(seed=0)
        for _ in range(5):
            assert observations in envs.observation_space
            assert np.isfinite(observations).all()
            masks = envs.action_masks()
            observations = envs.step(masks.argmax(axis=1))[0]


def test_problems_that_differ_in_one_thing_read_differently():
    base = {"workload": "AlexNet", "ratio": 0.2}
    first = HWAssignMultiEnv(**base).reset()[0]
    for other in (
        {"dataflow": "Eyeriss"}, {"objective": "energy"}, {"constraint": "power"}, {"ratio": 0.3},
        {"hardware": {"noc_bandwidth": 16}}, {"dataflow": "NVDLA-CxK:16"},
        {"hardware": {"simd_lanes": 2}},
    ):  # fmt: skip
        assert (HWAssignMultiEnv(**{**base, **other}).reset()[0] != first).any(), other


# --- with others ----------------------------------------------------------------------------------


@pytest.mark.parametrize("env_id", [e.env_id for e in FAMILY.ids()])
def test_both_checkers_take_every_id_without_a_warning(env_id):
    sb3 = pytest.importorskip("stable_baselines3.common.env_checker")
    given = {"workload": "AlexNet"} if env_id == "HWAssignMulti-v0" else {}
    env = gym.make(env_id, disable_env_checker=True, **given)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped, skip_render_check=True)
        sb3.check_env(env.unwrapped, warn=True, skip_render_check=True)
    text = env.spec.to_json()
    assert EnvSpec.from_json(text) == env.spec
    again = gym.make(EnvSpec.from_json(text))
    assert_same(again.reset(seed=3), env.reset(seed=3))


def test_a_mix_gives_each_layer_a_dataflow():
    for name in ("Train", "Val", "Test", "Zoo"):
        env = gym.make(f"HWAssignMulti-{name}-MIX-v0")
        assert env.action_space.n == 432
        env.reset(options={"instance": 4})
        alone = make(name.lower(), instance=4, dataflow="MIX")
        assert env.unwrapped.problem is alone
        assert len(alone.design.dataflows) == 3


def test_options_take_an_instance_in_all_or_some():
    envs = HWAssignMultiVectorEnv(
        split="val", dataflow="NVDLA", num_envs=3, autoreset_mode="Disabled"
    )
    observations, info = envs.reset(options={"instance": 17})
    assert envs.which.tolist() == [17] * 3
    alone, told = HWAssignMultiEnv(split="val", dataflow="NVDLA").reset(options={"instance": 17})
    np.testing.assert_array_equal(observations, [alone] * 3)
    np.testing.assert_array_equal(info["action_mask"], [told["action_mask"]] * 3)
    envs.reset(options={"instance": 4, "reset_mask": np.array([False, True, False])})
    assert envs.which.tolist() == [17, 4, 17]
    with pytest.raises(ValueError, match=r"one of 0\.\.999, got 1000"):
        envs.reset(options={"instance": 1000})


def test_a_vector_environment_is_normalised_by_stable_baselines3():
    common = pytest.importorskip("stable_baselines3.common.vec_env")
    suite = pytest.importorskip("hwgym_agents.vec_env")
    envs = common.VecNormalize(suite.SuiteVecEnv("HWAssignMulti-Train-v0", 6, dataflow="NVDLA"))
    envs.seed(3)
    envs.reset()
    ended = 0
    for _ in range(40):
        masks = np.stack(envs.env_method("action_masks"))
        observations, rewards, over, infos = envs.step(masks.argmax(axis=1))
        assert np.isfinite(observations).all()
        assert np.isfinite(rewards).all()
        ended += over.sum()
        assert all("terminal_observation" in infos[i] for i in np.flatnonzero(over))
    assert ended


def test_normalising_wrappers():
    env = NormalizeReward(NormalizeObservation(gym.make("HWAssignMulti-Val-v0")))
    env.reset(seed=0)
    for _ in range(20):
        _, _, over, *_ = env.step(env.action_space.sample())
        if over:
            env.reset()
    envs = gym.make_vec(
        "HWAssignMulti-Val-v0", 8, vectorization_mode="vector_entry_point", dataflow="NVDLA"
    )
    envs = vector_wrappers.NormalizeReward(vector_wrappers.NormalizeObservation(envs))
    envs.reset(seed=0)
    for _ in range(20):
        observations, *_ = envs.step(envs.action_space.sample())
        assert np.isfinite(observations).all()


def test_vec_normalize():
    common = pytest.importorskip("stable_baselines3.common.vec_env")
    envs = common.VecNormalize(
        common.DummyVecEnv([lambda: HWAssignMultiEnv(split="val", dataflow="NVDLA")] * 2)
    )
    envs.reset()
    for _ in range(10):
        observations, *_ = envs.step(np.array([envs.action_space.sample()] * 2))
        assert np.isfinite(observations).all()


def test_render_shows_the_network_that_was_drawn():
    env = HWAssignMultiEnv(split="val", render_mode="ansi")
    texts = []
    for number in (3, 4):
        env.reset(options={"instance": number})
        env.step(int(np.flatnonzero(env.action_masks())[0]))
        text = env.render()
        assert all(layer.name in text for layer in env.problem.design.workload)
        texts.append(text)
    assert texts[0] != texts[1]


def test_agents_search_a_problem_of_a_split(tmp_path):
    problem = make("val", instance=2)
    result = solve("random", problem, samples=20, log=tmp_path / "run")
    assert result.samples == 20
    with EpisodeLog(tmp_path / "log", problem) as log:
        log.add(problem.optimum().assignment[None])
    assert isinstance(problem, MultiProblem)
