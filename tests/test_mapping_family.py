"""Mapping search: the decisions, the masks, what mappings are worth, which problems there are."""

import json

import gymnasium as gym
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import hwgym
from hwgym import Layer
from hwgym.core import InfeasibleError, Statement, action_modes, problem_of, registered_ids, solve
from hwgym.core.rewards import default_reward, make_reward
from hwgym.costs.maestro import Mappings, evaluate_mappings, mapping_totals
from hwgym.families.mapping import (
    DECISIONS,
    FAMILY,
    HARDWARE,
    MappingHardware,
    MappingSpace,
    find_layer,
    mapping_hardware,
    mapping_problem,
)
from hwgym.families.mapping.bounds import least_cycles
from hwgym.families.mapping.ids import GAMMA_LAYERS
from hwgym.families.mapping.space import cluster_sizes, divisors
from hwgym.leaderboard import figures
from hwgym.leaderboard.suites import find_suite
from hwgym_agents import bayesian, local
from hwgym_agents.common import spread_uniform

CONV = Layer("conv", "CONV", K=4, C=2, OY=4, OX=3, R=3, S=1)
POINT = Layer("point", "CONV", K=4, C=2, OY=4, OX=2, R=1, S=1)
NARROW = Layer("narrow", "CONV", K=6, C=1, OY=4, OX=3, R=3, S=1)
DEPTHWISE = Layer("depthwise", "DSCONV", K=1, C=6, OY=4, OX=6, R=2, S=2)
PRODUCT = Layer.gemm("product", M=6, N=4, K=6)


def array(num_pes=12, l1=1000, l2=200, noc=10**6):
    return MappingHardware(num_pes, l1, l2, noc)


def fits(space, genes):
    """(N,) mappings are what masks promise, by the cost model."""
    kept = space.keeps(space.mappings(genes))
    if not kept.all():
        found = np.zeros(len(genes), bool)
        found[kept] = fits(space, genes[kept])
        return found
    mappings, hardware = space.mappings(genes), space.hardware
    costs = evaluate_mappings(
        space.layer, mappings, hardware.num_pes, hardware.interconnect, fixed=space.fixed
    )
    assert (costs.honest & costs.moves_all)[costs.valid].all()
    return (
        costs.valid & (costs.l1_bytes <= hardware.l1_bytes) & (costs.l2_bytes <= hardware.l2_bytes)
    )


def product_of(*sizes):
    grid = np.meshgrid(*map(np.arange, sizes), indexing="ij")
    return np.stack(grid, axis=-1).reshape(-1, len(sizes))


# --- decisions ------------------------------------------------------------------------------------


def test_divisors_and_clusters():
    assert divisors(1) == [1]
    assert divisors(12) == [1, 2, 3, 4, 6, 12]
    assert divisors(49) == [1, 7, 49]
    assert cluster_sizes((5, 64), 12) == [1, 2, 3, 4, 5, 6, 8, 12]


def test_the_decisions_are_what_the_page_says():
    space = MappingSpace(find_layer("ResNet50:20"), HARDWARE["edge"])
    labels = [axis.labels for (axis,) in map(space.space.axes_of, range(13))]
    assert labels[0][:3] == (1, 2, 3)
    assert labels[0][-1] == 168
    assert labels[1] == labels[2] == ("K", "C", "Y'", "X'")
    assert labels[3][0] == labels[12][0] == "K C Y' X'"
    assert labels[3][-1] == "X' Y' C K"
    assert labels[4] == labels[5] == labels[8] == tuple(divisors(128))
    assert labels[6] == labels[7] == labels[11] == tuple(divisors(28))
    assert [int(n) for n in space.space.sizes[[1, 2, 3, 12], 0]] == [4, 4, 24, 24]
    any_tile = MappingSpace(find_layer("ResNet50:20"), HARDWARE["edge"], "any", True)
    assert any_tile.space.axes_of(4)[0].labels == tuple(range(1, 129))


def test_depthwise_layers_have_no_filters_to_spread():
    space = MappingSpace(DEPTHWISE, array())
    assert space.space.axes_of(1)[0].labels == ("C", "Y'", "X'")
    assert space.space.sizes[:, 0].tolist()[1:4] == [3, 3, 6]
    assert space.space.axes_of(3)[0].labels[0] == "C Y' X'"
    assert space.space.axes_of(4)[0].labels == (1,)


@pytest.mark.parametrize("layer", [CONV, DEPTHWISE, PRODUCT])
@pytest.mark.parametrize("tiles", ["divisors", "any"])
def test_genes_and_mappings_both_ways(layer, tiles):
    space = MappingSpace(layer, array(), tiles, tiles == "any")
    genes = space.space.draw(np.random.default_rng(0), 400)
    mappings = space.mappings(genes)
    assert_array_equal(space.genes(mappings), genes)
    row = mappings.take([7])
    again = Mappings.of(row.dataflow(0, layer), layer)
    assert_array_equal(space.genes(again), genes[[7]])


def test_where_filters_stand_in_the_order_of_a_depthwise_layer_means_nothing():
    space = MappingSpace(DEPTHWISE, array())
    [mapping] = [space.mappings(space.space.draw(np.random.default_rng(0), 1))]
    moved = Mappings(
        mapping.cluster, mapping.parallel, mapping.tiles, np.roll(mapping.orders, -1, axis=2)
    )
    assert_array_equal(space.genes(moved), space.genes(mapping))


def test_mappings_of_another_space_are_refused():
    space = MappingSpace(CONV, array())
    mapping = space.mappings(np.zeros((2, 13, 1), int))
    wrong = Mappings(np.array([1, 7]), mapping.parallel, mapping.tiles, mapping.orders)
    with pytest.raises(ValueError, match="mapping 1 is not of this space: cluster may not be 7"):
        space.genes(wrong)
    tiles = mapping.tiles.copy()
    tiles[0, 1, 2] = 3
    wrong = Mappings(mapping.cluster, mapping.parallel, tiles, mapping.orders)
    with pytest.raises(ValueError, match="mapping 0 is not of this space: inner Y' may not be 3"):
        space.genes(wrong)


# --- what fits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [CONV, POINT, NARROW, DEPTHWISE, PRODUCT])
@pytest.mark.parametrize(
    ("tiles", "fixed"), [("divisors", False), ("divisors", True), ("any", True)]
)
def test_what_is_held_and_moved_is_what_the_model_says(layer, tiles, fixed):
    space = MappingSpace(layer, array(13), tiles, fixed)
    genes = space.space.draw(np.random.default_rng(1), 6000)
    mappings = space.mappings(genes)
    outer, inner = mappings.tiles.swapaxes(0, 1)
    nested = ((inner <= outer) if tiles == "any" else (outer % inner == 0)).all(axis=1)
    genes, mappings = genes[nested], mappings.take(nested)
    costs = evaluate_mappings(layer, mappings, 13, fixed=fixed)
    outer, inner = (list(mappings.tiles[:, level].T) for level in range(2))
    units, spread = 13 // mappings.cluster, mappings.parallel[:, 0]
    assert_array_equal(space.l1_bytes(inner), costs.l1_bytes)
    assert_array_equal(space.l2_bytes(units, spread, outer), costs.l2_bytes)
    forgets = space.forgets(units, spread, outer)
    assert_array_equal(space.keeps(mappings), ~forgets)
    assert forgets.any() != fixed
    assert costs.valid[~forgets].all()
    assert costs.moves_all.all() == fixed
    l1, l2 = space.needed(genes)
    assert_array_equal(l1, costs.l1_bytes)
    assert_array_equal(l2, costs.l2_bytes)


@pytest.mark.parametrize("layer", [CONV, DEPTHWISE])
def test_what_is_needed_grows_with_the_decisions(layer):
    space = MappingSpace(layer, array(12, 10**6, 10**6), fixed=True)
    genes = space.draw_masked(np.random.default_rng(0), 300)
    l1, l2 = space.needed(genes)
    for step in reversed(range(13)):
        genes[:, step] = -1
        before = l1, l2
        l1, l2 = space.needed(genes)
        assert (l1 <= before[0]).all()
        assert (l2 <= before[1]).all()


# --- masks ----------------------------------------------------------------------------------------

OUTER = [0, 1, 3, 4, 5, 6, 7]


def completions(space):
    """Which of all choices at the array's level make a valid mapping, an axis a decision."""
    shape = tuple(space.space.sizes[OUTER, 0].tolist())
    genes = np.zeros((int(np.prod(shape)), 13, 1), int)
    genes[:, OUTER, 0] = product_of(*shape)
    return fits(space, genes).reshape(shape)


@pytest.mark.parametrize("l2", [60, 140, 300])
@pytest.mark.parametrize("layer", [CONV, POINT, NARROW, DEPTHWISE, PRODUCT])
@pytest.mark.parametrize("tiles", ["divisors", "any"])
def test_what_is_allowed_is_what_can_be_completed(layer, l2, tiles):
    if tiles == "any" and layer is not CONV:
        return
    space = MappingSpace(
        layer, array(12 if layer is not NARROW else 7, 1000, l2), tiles, tiles == "any"
    )
    valid = completions(space)
    for place, step in enumerate(OUTER):
        can = valid.any(axis=tuple(range(place + 1, len(OUTER))))
        can = can.reshape(-1, can.shape[-1])
        genes = np.full((len(can), 13, 1), -1)
        genes[:, OUTER[:place], 0] = product_of(*valid.shape[:place]) if place else 0
        allowed = space.allowed(genes, step)
        assert not allowed[:, can.shape[1] :].any()
        alive = can.any(axis=1)
        assert_array_equal(allowed[alive, : can.shape[1]], can[alive])
        assert allowed[~alive, : can.shape[1]].all()  # a mask always leaves a choice


def test_every_masked_walk_ends_in_a_valid_mapping_and_no_valid_one_is_missed():
    layer = Layer("tiny", "DSCONV", K=1, C=2, OY=2, OX=2, R=2, S=1)
    space = MappingSpace(layer, array(3, 30, 50))
    sizes = space.space.sizes[:, 0]
    walks = np.full((1, 13, 1), -1)
    for step in range(13):
        row, choice = np.nonzero(space.allowed(walks, step))
        walks = walks[row]
        walks[:, step, 0] = choice
    every = product_of(*sizes)[..., None]
    valid = every[fits(space, every)]
    assert 0 < len(valid) < len(every) / 2
    assert_array_equal(np.unique(walks, axis=0), np.unique(valid, axis=0))
    assert len(np.unique(walks, axis=0)) == len(walks)


@pytest.mark.parametrize("hardware", list(HARDWARE))
@pytest.mark.parametrize(
    "layer",
    ["VGG16:1", "released/ResNet50:1", "ResNet50:46", "MobileNetV2:20", "BERT:4", "ViT:6"],
)
def test_random_masked_mappings_are_valid(layer, hardware):
    space = MappingSpace(find_layer(layer), HARDWARE[hardware])
    genes = space.draw_masked(np.random.default_rng(0), 5_600)
    assert fits(space, genes).all()
    assert len(np.unique(genes, axis=0)) > 5_000


@pytest.mark.parametrize("layer", [CONV, DEPTHWISE])
def test_whatever_was_chosen_before_a_mask_leaves_a_choice(layer):
    space = MappingSpace(layer, array(12, 30, 60))
    rng = np.random.default_rng(0)
    genes = rng.integers(-1, space.space.shape[0], (500, 13, 1))
    for step in range(13):
        mask = space.allowed(genes, step)
        assert mask.shape == (500, space.space.shape[0])
        assert mask.any(axis=1).all()
        assert not mask[:, space.space.sizes[step, 0] :].any()


def test_masks_of_many_are_those_of_each():
    space = MappingSpace(CONV, array())
    genes = space.draw_masked(np.random.default_rng(2), 40)
    for step in range(13):
        masks = space.allowed(genes, step)
        for row in range(0, 40, 7):
            assert_array_equal(space.allowed(genes[row : row + 1], step)[0], masks[row])


# --- problems -------------------------------------------------------------------------------------

SMALL = {"layer": CONV, "hardware": {"num_pes": 12, "l1_bytes": 100, "l2_bytes": 200}}


@pytest.mark.parametrize("objective", ["edp", "latency", "energy"])
def test_what_a_mapping_is_worth(objective):
    problem = mapping_problem(**SMALL, objective=objective)
    genes = problem.statement.draw(np.random.default_rng(0), 50)
    scores, costs = problem.evaluate(genes), problem.costs(genes)
    assert scores.feasible.all()
    assert_array_equal(scores["latency"], costs.runtime_cycles)
    assert_array_equal(scores["energy"], costs.energy_nj)
    worth = {
        "edp": costs.energy_nj * costs.runtime_cycles,
        "latency": costs.runtime_cycles,
        "energy": costs.energy_nj,
    }
    assert_array_equal(scores.objective, worth[objective])
    bound = problem.statement.scale / (1000 * problem.hardware.num_pes)
    assert (scores.objective >= bound * (1 - 1e-12)).all()


def test_what_does_not_fit_or_is_no_choice_is_invalid():
    problem = mapping_problem(**SMALL)
    space = problem.mappings
    genes = space.space.draw(np.random.default_rng(0), 4000)
    genes[::5, 1] = space.space.shape[0] - 1  # no dimension to spread
    scores = problem.evaluate(genes)
    within = space.space.within(genes)
    assert not within[::5].any()
    expected = np.zeros(len(genes), bool)
    expected[within] = fits(space, genes[within])
    assert_array_equal(scores.valid, expected)
    assert 0 < expected.sum() < within.sum()
    assert (scores.objective[~expected] == np.inf).all()


@pytest.mark.parametrize("objective", ["edp", "latency", "energy"])
def test_no_valid_mapping_is_better_than_what_is_proven(objective):
    rng = np.random.default_rng(0)
    for number in range(12):
        k, c, y, x = rng.choice([1, 2, 3, 4, 6, 8], 4).tolist()
        r = int(rng.choice([1, 3]))
        sizes = {"K": k, "C": c, "OY": y, "OX": x, "R": r, "S": r}
        if number % 4 == 0:
            sizes |= {"K": 1, "kind": "DSCONV"}
        hardware = {"num_pes": int(rng.choice([6, 12, 20])), "l1_bytes": 400,
                    "l2_bytes": int(rng.choice([200, 400, 800]))}  # fmt: skip
        problem = mapping_problem(sizes, hardware, objective=objective)
        scores = problem.evaluate(problem.statement.draw(rng, 2000))
        assert scores.feasible.all()
        certificate = problem.certificate()
        assert certificate.exact
        assert scores.best >= certificate.objective * (1 - 1e-12)


def test_latency_may_be_capped():
    free = mapping_problem(**SMALL, objective="energy")
    genes = free.statement.draw(np.random.default_rng(0), 300)
    cap = int(np.median(free.evaluate(genes)["latency"]))
    capped = mapping_problem(**SMALL, objective="energy", latency_cap=cap)
    scores = capped.evaluate(genes)
    assert scores.valid.all()
    assert_array_equal(scores.feasible, scores["latency"] <= cap)
    assert 0 < scores.feasible.sum() < 300
    assert (capped.statement.constraint.name, capped.statement.limit) == ("latency", cap)
    assert capped.certificate().objective >= free.certificate().lower_bound
    assert capped.statement.key["latency_cap"] == cap
    bound = least_cycles(capped.mappings)
    assert mapping_problem(**SMALL, latency_ratio=1.5).latency_cap == int(1.5 * bound)


def test_one_run_at_stride_one_is_mapped():
    plain = Layer("a", "CONV", K=4, C=2, OY=4, OX=4, R=3, S=3)
    other = Layer("b", "CONV", K=4, C=2, OY=4, OX=4, R=3, S=3, stride=2, repeat=5)
    one, two = (mapping_problem(layer, SMALL["hardware"]) for layer in (plain, other))
    assert one.statement.key == two.statement.key
    genes = one.statement.draw(np.random.default_rng(0), 20)
    assert_array_equal(one.evaluate(genes).objective, two.evaluate(genes).objective)


def test_equal_arguments_give_the_same_problem():
    assert mapping_problem("ResNet50:20") is mapping_problem(find_layer("ResNet50:20"), "edge")
    by_fields = mapping_problem("ResNet50:20", HARDWARE["edge"].to_dict())
    assert by_fields is mapping_problem("ResNet50:20")


@pytest.mark.parametrize(
    "asked",
    [
        {"objective": "energy", "latency_cap": 500},
        {"tiles": "any"},
        {"fixed": True, "width": 40},
        {"objective": "latency"},
    ],
)
def test_a_description_makes_the_problem_again(asked):
    problem = mapping_problem(**SMALL, **asked)
    described = json.loads(json.dumps(problem.description))
    again = mapping_problem(**described)
    assert again.statement.key == problem.statement.key
    assert gym.make("HWMap-v0", **described).unwrapped.problem is again


def test_where_no_mapping_fits_that_is_said():
    with pytest.raises(InfeasibleError, match=r"its 11x11 filters take 726 B of L1 at least$"):
        mapping_problem("AlexNet:1")
    with pytest.raises(InfeasibleError, match="and more of L2 than there is"):
        mapping_problem(CONV, {"num_pes": 2, "l1_bytes": 1000, "l2_bytes": 10})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer": "ResNet5:20"}, "unknown model 'ResNet5'; did you mean 'ResNet50'"),
        ({"layer": "ResNet50:54"}, r"ResNet50 has layers 1\.\.53, got 'ResNet50:54'"),
        ({"layer": "ResNet50:conv2"}, "unknown layer of ResNet50 'conv2'; did you mean 'conv1'"),
        ({"layer": "ResNet50"}, r"a layer is given as Model:number \(ResNet50:20\)"),
        ({"layer": "released/VGG:2"}, "unknown released model 'VGG'; did you mean 'VGG16'"),
        ({"layer": {"k": 3}}, "unknown field of a layer 'k'; did you mean 'K'"),
        ({"layer": {"K": 0}}, "K must be a positive integer, got 0"),
        ({"hardware": "edges"}, "unknown hardware 'edges'; did you mean 'edge'"),
        ({"hardware": {"pes": 4}}, "unknown hardware field 'pes'"),
        ({"hardware": {"num_pes": 4}}, "hardware needs l1_bytes, l2_bytes, got"),
        ({"hardware": {"num_pes": 0, "l1_bytes": 1, "l2_bytes": 1}}, "hardware num_pes"),
        ({"objective": "energie"}, "unknown objective 'energie'; did you mean 'energy'"),
        ({"tiles": "all"}, r"unknown choice of tiles 'all'"),
        ({"tiles": "any", "fixed": False}, "tiles='any' needs fixed=True"),
        ({"latency_cap": 3, "latency_ratio": 2}, "give latency_cap or latency_ratio, not both"),
        ({"latency_cap": 2.5}, r"latency_cap must be a positive number of cycles, got 2\.5"),
        ({"latency_ratio": 0.5}, r"latency_ratio must be at least 1, got 0\.5"),
        ({"width": 3}, "width must be at least 27, got 3"),
    ],
)
def test_what_is_wrong_is_said(arguments, message):
    with pytest.raises(ValueError, match=message):
        mapping_problem(**{"layer": "ResNet50:20", **arguments})


def test_ways_to_say_which_layer(tmp_path):
    twentieth = hwgym.workload("ResNet50").layers[19]
    assert find_layer("ResNet50:20") is find_layer(twentieth) is twentieth
    assert find_layer(f"ResNet50:{twentieth.name}") == twentieth
    assert find_layer("released/ResNet50:20").Y == 28
    assert find_layer({"K": 3, "OY": 5}).shape == (3, 1, 5, 1, 1, 1, False)
    file = tmp_path / "mine.toml"
    file.write_text('[layer]\nkind = "GEMM"\nK = 5\nC = 6\nOY = 7\n')
    assert find_layer(file) == find_layer(str(file)) == Layer.gemm("mine", M=7, N=5, K=6)
    file.write_text("[layer]\nQ = 5\n")
    with pytest.raises(ValueError, match=r"mine\.toml: unknown field of a layer 'Q'"):
        find_layer(file)
    file.write_text("K = 5\n")
    with pytest.raises(ValueError, match=r"mine\.toml: a table \[layer\] is wanted"):
        find_layer(file)


def test_hardware_by_name_and_by_fields():
    assert mapping_hardware("edge").name == "edge"
    assert mapping_hardware({"num_pes": 4, "l1_bytes": 5, "l2_bytes": 6}).name is None
    assert mapping_hardware("cloud").title == "4,096 PEs, L1 8,192 B, L2 2,097,152 B, NoC 128"
    assert mapping_hardware("1024").interconnect.noc_bandwidth == 16


# --- environments ---------------------------------------------------------------------------------


def test_what_an_episode_sees():
    env = gym.make("HWMap-v0", disable_env_checker=True, **SMALL)
    problem = env.unwrapped.problem
    assert env.action_space == gym.spaces.Discrete(problem.space.shape[0])
    genes = problem.statement.draw(np.random.default_rng(0), 1)[0]
    seen, _ = env.reset()
    assert seen.shape == (41,)
    for step in range(13):
        share = (seen + 1) / 2
        layer = np.log2(1 + np.array([4, 2, 4, 3, 3, 1])) / 32
        np.testing.assert_allclose(share[:6], layer, atol=1e-6)
        assert share[11:24].tolist() == np.eye(13)[step].tolist()
        chosen = (genes[:step, 0] + 1) / problem.space.sizes[:step, 0]
        np.testing.assert_allclose(share[24 : 24 + step], chosen, atol=1e-6)
        assert not share[24 + step : 37].any()
        assert share[39] == pytest.approx(step / 13)
        seen, _, done, _, info = env.step(int(genes[step, 0]))
        assert done == (step == 12)
    share = (seen + 1) / 2
    assert not share[:24].any()
    costs = problem.costs(genes[None])
    left = 1 - costs.l1_bytes[0] / 100, 1 - costs.l2_bytes[0] / 200
    np.testing.assert_allclose(share[37:39], left, atol=1e-6)
    assert info["is_success"] is True


def test_an_unmasked_action_is_legal_and_the_mapping_invalid():
    env = gym.make("HWMap-v0", disable_env_checker=True, **SMALL)
    env.reset()
    for step in range(13):
        _, reward, done, _, info = env.step(env.action_space.n - 1)
        assert done == (step == 12)
    assert info["is_success"] is False
    assert reward == -1
    assert info["regret"] == np.inf


def test_masks_are_what_the_statement_allows():
    env = gym.make("HWMap-v0", disable_env_checker=True, **SMALL).unwrapped
    _, info = env.reset()
    statement = env.problem.statement
    rng = np.random.default_rng(0)
    for step in range(13):
        expected = statement.allowed(env.genes[None], step)[0]
        assert_array_equal(env.action_masks(), expected)
        assert_array_equal(info["action_mask"].astype(bool), expected)
        info = env.step(int(rng.choice(np.flatnonzero(expected))))[4]
    assert info["is_success"] is True


def test_a_layer_of_many_choices_can_be_walked():
    wide = {"num_pes": 4, "l1_bytes": 64, "l2_bytes": 512}
    problem = mapping_problem({"K": 70_000, "OY": 2}, wide, tiles="any")
    assert action_modes(problem.space) == ("multi_discrete", "continuous")
    envs = gym.make_vec(
        "HWMap-v0", 3, problem=problem, action_mode="multi_discrete", reward="relative"
    )
    envs.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(13):
        masks = envs.unwrapped.action_masks()
        action = np.array([[rng.choice(np.flatnonzero(mask))] for mask in masks])
        infos = envs.step(action)[4]
    assert infos["is_success"].all()


# --- ids ------------------------------------------------------------------------------------------


def test_ids_pose_problems_that_differ():
    ids = [i for i in registered_ids(FAMILY) if i != "HWMap-v0"]
    assert 55 <= len(ids) <= 70
    problems = [problem_of(i) for i in ids]
    keys = {json.dumps(p.statement.key, sort_keys=True) for p in problems}
    assert len(keys) == len(ids)
    assert {p.objective.name for p in problems} == {"edp", "latency", "energy"}
    assert {p.hardware.name for p in problems} == set(HARDWARE)
    assert {p.layer.kind for p in problems} == {"CONV", "DSCONV", "GEMM"}
    assert all((p.latency_cap is None) == (p.objective.name != "energy") for p in problems)


def test_gammas_layers_are_those_of_its_tables():
    shapes = {name: find_layer(given).shape[:6] for name, given in GAMMA_LAYERS.items()}
    assert shapes == {
        "VGG16-2": (64, 64, 224, 224, 3, 3),
        "VGG16-9": (512, 512, 28, 28, 3, 3),
        "ResNet50-1": (64, 3, 224, 224, 7, 7),
        "ResNet50-20": (128, 128, 28, 28, 3, 3),
        "ResNet50-45": (512, 512, 14, 14, 3, 3),
        "MobileNetV2-4": (96, 16, 112, 112, 1, 1),
        "MobileNetV2-20": (1, 192, 28, 28, 3, 3),
        "BERT-1": (768, 768, 512, 1, 1, 1),
    }


# --- agents ---------------------------------------------------------------------------------------


def test_moves_keep_to_what_each_step_has():
    statement = mapping_problem(**SMALL).statement
    moves = local.Moves(statement, np.random.default_rng(0), 0.3)
    genes = statement.draw(np.random.default_rng(1), 800)
    for move in (moves.change, moves.exchange):
        moved = move(genes, 0.5)
        assert statement.space.within(moved).all()
        assert (moved != genes).any(axis=(0, 2))[statement.space.sizes[:, 0] > 1].all()
    assert_array_equal(bayesian._Variables(statement, True).sizes, statement.space.sizes[:, 0])
    assert statement.space.within(spread_uniform(statement.space, 50)).all()


@pytest.mark.parametrize("agent", ["annealing", "genetic", "random", "cmaes"])
def test_agents_that_see_totals_begin_with_valid_mappings(agent):
    result = solve(agent, mapping_problem("released/ResNet50:20"), samples=300, seed=0)
    assert np.isfinite(result.history[0])
    assert result.objective < result.history[0]


def test_a_statement_without_masks_draws_any():
    statement = mapping_problem(**SMALL).statement
    plain = Statement({}, "plain", statement.space, statement.objective)
    drawn = plain.draw(np.random.default_rng(0), 200)
    assert_array_equal(drawn, statement.space.draw(np.random.default_rng(0), 200))
    assert statement.space.within(drawn).all()


# --- the view -------------------------------------------------------------------------------------


def test_a_mapping_is_shown_as_a_loop_nest():
    problem = mapping_problem("released/ResNet50:20")
    genes = problem.statement.draw(np.random.default_rng(0), 1)[0]
    text = FAMILY.view.text(problem, genes)
    lines = text.splitlines()
    assert lines[1].split() == ["cluster", str(problem.mappings.mappings(genes[None]).cluster[0])]
    assert sum(line.strip().startswith("spread ") for line in lines) == 2
    assert sum(line.strip().startswith("for ") for line in lines) == 6
    costs = problem.costs(genes[None])
    assert f"L1 {costs.l1_bytes[0]:,} of 512 B, L2 {costs.l2_bytes[0]:,} of 108,000 B" in text
    assert f"{costs.runtime_cycles[0]:,} cycles" in text
    assert "13 of 13 chosen: energy-delay product" in text
    assert FAMILY.view.label("HWMap-GAMMA-BERT-1-Edge-EDP-v0") == "GAMMA-BERT-1-Edge-EDP"
    found = FAMILY.view.describe_solution(problem, genes)
    assert found["maestro"].startswith("Network mapping {")
    assert [row["step"] for row in found["decisions"]] == list(DECISIONS)


def test_a_report_shows_what_the_choices_of_each_step_stand_for():
    problem = mapping_problem(**SMALL)
    genes = problem.statement.draw(np.random.default_rng(0), 3)
    [panel] = figures._panels(problem.space, genes)
    mappings = problem.mappings.mappings(genes)
    assert panel.texts[:, 0].tolist() == [str(n) for n in mappings.cluster]
    assert panel.texts[:, 6].tolist() == [str(n) for n in mappings.tiles[:, 0, 2]]
    assert panel.shades.shape == panel.texts.shape == (3, 13)
    assert 0 <= panel.shades.min() <= panel.shades.max() <= 1


def test_a_mapping_is_drawn_whether_it_is_open_complete_or_none():
    pytest.importorskip("matplotlib")
    problem = mapping_problem(**SMALL)
    genes = problem.statement.draw(np.random.default_rng(0), 1)[0]
    figure = FAMILY.view.figure(problem, genes)
    assert len(figure.get_axes()) == 3
    half = np.where(np.arange(13)[:, None] < 6, genes, -1)
    assert len(FAMILY.view.figure(problem, half).get_axes()) == 2
    for row in problem.space.draw(np.random.default_rng(1), 12):
        FAMILY.view.figure(problem, row)
        assert FAMILY.view.text(problem, row).splitlines()[-1].startswith("13 of 13 chosen")


def test_no_valid_mapping_pays_less_than_a_failure():
    """Else an agent learns to fail first."""
    for env_id in ("HWMap-GAMMA-ResNet50-20-Edge-EDP-v0", "HWMap-BERT-1-Cloud-Latency-v0"):
        problem = problem_of(env_id)
        scores = problem.evaluate(problem.statement.draw(np.random.default_rng(0), 500))
        for name in ("relative", "terminal"):
            reward = make_reward(name, [problem])
            paid = reward.finished(scores.objective, np.zeros(500, int))
            failed = reward.failed(np.zeros(1), np.zeros(1, int))
            assert (paid > failed).all(), (env_id, name)
    assert default_reward(problem) == "relative"


@pytest.mark.parametrize("task", find_suite("map").tasks, ids=lambda task: task.label)
def test_no_optimum_rests_on_a_defect(task):
    """Inside a cluster MAESTRO may still forget what the last PE loads, which saves cycles on a
    narrow network; no optimum is worth less because of it."""
    problem = problem_of(task.env_id)
    best = problem.mappings.mappings(problem.optimum().assignment[None])
    array = problem.hardware.num_pes, problem.hardware.interconnect
    released, mended = (
        mapping_totals(problem.layer, best, *array, fixed=fixed) for fixed in (False, True)
    )
    assert released.runtime_cycles[0] >= mended.runtime_cycles[0]
    assert released.energy_nj[0] >= mended.energy_nj[0]
