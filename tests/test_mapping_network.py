"""Mapping of whole networks: what is shared, masks, what solutions are worth, what is proven."""

from __future__ import annotations

from functools import cache
from itertools import permutations, product

import gymnasium as gym
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import hwgym  # noqa: F401  (which registers the ids)
from hwgym import Layer, Workload
from hwgym.core import METRICS, InfeasibleError, problem_of, registered_ids
from hwgym.costs.maestro import evaluate_mappings, mapping_totals
from hwgym.families.mapping import DECISIONS, MappingHardware, mapping_problem
from hwgym.families.mapping.network import (
    FAMILY,
    distinct_layers,
    network_problem,
)
from hwgym.hardware import MAESTRO_2021

PRODUCT = Layer("product", "GEMM", K=4, C=1, OY=2, OX=1, R=1, S=1, repeat=2)
NARROW = Layer("narrow", "CONV", K=1, C=3, OY=2, OX=1, R=2, S=1)
DEPTHWISE = Layer("depthwise", "DSCONV", K=1, C=4, OY=1, OX=2, R=1, S=2)
TINY = Workload("tiny", (PRODUCT, NARROW, PRODUCT))
MIXED = Workload("mixed", (PRODUCT, DEPTHWISE))
ARRAY = MappingHardware(6, 40, 44, 2)
LEVELS = {"pe_levels": (2, 4, 6), "l1_levels": (16, 40), "l2_levels": (24, 48)}
ASKED = {
    "cluster": {"hardware": ARRAY, "coupling": "cluster"},
    "order": {"hardware": ARRAY, "coupling": "order"},
    "hardware": {"hardware": ARRAY, "coupling": "hardware", "area": 1_300.0, **LEVELS},
}
OBJECTIVES = ("energy", "latency", "edp")


# --- what is posed --------------------------------------------------------------------------------


def test_layers_of_the_same_shape_are_one_that_is_run_more_often():
    found = distinct_layers(TINY)
    assert [(layer.name, layer.repeat) for layer in found] == [("product", 4), ("narrow", 1)]
    network = problem_of("HWMapNet-ResNet50-Edge-Cluster-EDP-v0").network
    assert len(network.layers) == 20
    assert sum(layer.repeat for layer in network.layers) == 53


def test_steps_are_what_is_shared_then_what_is_left_of_each_layer():
    for coupling, shared, own in (
        ("cluster", ("cluster",), 12),
        ("order", ("outer order", "inner order"), 11),
        ("hardware", ("PEs", "L1 bytes", "L2 bytes"), 13),
    ):
        problem = network_problem(MIXED, **ASKED[coupling])
        names = problem.statement.names
        assert names[: len(shared)] == shared
        assert len(names) == problem.num_steps == len(shared) + 2 * own
        first = next(d for d in DECISIONS if d not in shared)
        assert names[len(shared)] == f"product: {first}"
        last = [d for d in DECISIONS if d not in shared][-1]
        assert names[-1] == f"depthwise: {last}"
        assert (problem.statement.features.sum(axis=1) > 0).all()


def test_arguments_that_are_wrong_are_told():
    for wrong, message in (
        ({"coupling": "clusters"}, "unknown coupling 'clusters'.*'cluster'"),
        ({"objective": "area"}, "unknown objective"),
        ({"area": 3.0}, "area is of hardware to choose"),
        ({"pe_levels": (4,)}, "pe_levels is of hardware to choose"),
        ({"coupling": "hardware", "area": -1.0}, "area must be a positive number"),
        ({"coupling": "hardware", "l1_levels": (4, 2)}, "l1_levels must be increasing"),
        ({"width": 3}, "width must be at least"),
    ):
        with pytest.raises(ValueError, match=message):
            network_problem(**{"workload": MIXED, "hardware": ARRAY, **wrong})
    with pytest.raises(InfeasibleError, match="no cluster leaves every layer of mixed a mapping"):
        network_problem(MIXED, MappingHardware(6, 40, 3))
    with pytest.raises(InfeasibleError, match=r"need 12 B of L1 and \d+ B of L2 at least"):
        network_problem(MIXED, **(ASKED["hardware"] | {"area": 100.0}))


def test_the_area_is_that_of_the_hardware_that_is_named():
    problem = network_problem("AlexNet", "1024", coupling="hardware")
    tech, taken = MAESTRO_2021, problem.statement.limit
    assert problem.statement.constraint is METRICS["area"]
    by_hand = 1024 * (tech.mac_area_um2 + 1024 * tech.l1_area_um2) + 2**19 * tech.l2_area_um2
    assert taken == pytest.approx(by_hand)
    assert problem.hardware.noc_bandwidth == 16


# --- what solutions are worth ---------------------------------------------------------------------


@pytest.mark.parametrize("coupling", ASKED)
@pytest.mark.parametrize("fixed", [False, True])
def test_a_network_takes_what_its_layers_take(coupling, fixed):
    """Each layer is costed by itself, from the labels of what was chosen."""
    problem = network_problem(MIXED, **ASKED[coupling], fixed=fixed)
    genes = problem.statement.draw(np.random.default_rng(0), 60)
    scores, view = problem.evaluate(genes), FAMILY.view
    assert scores.feasible.all()
    for n in range(0, len(genes), 7):
        found = view.describe_solution(problem, genes[n])
        latency = energy = 0.0
        for layer, row in zip(problem.network.layers, found["layers"], strict=True):
            if coupling == "hardware":
                labels = [problem.space.describe(genes[n, i], i)[0] for i in range(3)]
                hardware = MappingHardware(*labels, ARRAY.noc_bandwidth)
                area = labels[0] * (283 + 0.104 * labels[1]) + 0.104 * labels[2]
                assert found["area_um2"] == pytest.approx(area)
            else:
                hardware = ARRAY
            [index] = [i for i, each in enumerate(problem.network.layers) if each is layer]
            mapping = problem.network.mappings(genes[[n]], index)
            costs = evaluate_mappings(
                layer, mapping, hardware.num_pes, hardware.interconnect, fixed=fixed
            )
            assert costs.valid[0]
            assert costs.l1_bytes[0] == row["l1_bytes"] <= hardware.l1_bytes
            assert costs.l2_bytes[0] == row["l2_bytes"] <= hardware.l2_bytes
            assert mapping.cluster[0] == row["cluster"]
            latency += int(costs.runtime_cycles[0]) * layer.repeat
            energy += float(costs.energy_nj[0]) * layer.repeat
        assert latency == scores["latency"][n]
        assert energy == pytest.approx(scores["energy"][n], rel=1e-12)
        assert scores.objective[n] == pytest.approx(latency * energy, rel=1e-12)


def test_what_is_shared_is():
    rng = np.random.default_rng(1)
    problem = network_problem(MIXED, **ASKED["cluster"])
    genes = problem.statement.draw(rng, 50)
    one, other = (problem.network.mappings(genes, i) for i in range(2))
    assert_array_equal(one.cluster, other.cluster)
    problem = network_problem(MIXED, **ASKED["order"])
    genes = problem.statement.draw(rng, 50)
    one, other = (problem.network.mappings(genes, i) for i in range(2))
    without = one.orders[one.orders > 0].reshape(50, 2, 3)  # depthwise layers have no K
    assert_array_equal(without, other.orders[:, :, 1:])


def test_the_product_of_sums_is_more_than_the_sum_of_products():
    problem = network_problem(MIXED, **ASKED["cluster"])
    genes = problem.statement.draw(np.random.default_rng(0), 20)
    costs = problem.layer_costs(genes)
    runs = np.array([[layer.repeat] for layer in problem.network.layers])
    products = (costs["latency"] * costs["energy"] * runs).sum(axis=0)
    assert (problem.evaluate(genes).objective > products).all()


# --- masks ----------------------------------------------------------------------------------------


def walked(problem, steps_of_orders):
    """All solutions that masks allow, at some steps with the first choice alone."""
    genes = np.full((1, problem.num_steps, 1), -1)
    for step in range(problem.num_steps):
        mask = problem.statement.allowed(genes, step)
        if step in steps_of_orders:
            assert mask[:, 0].all()
            genes[:, step] = 0
            continue
        rows, choices = np.nonzero(mask)
        genes = genes[rows]
        genes[:, step, 0] = choices
    return genes


@pytest.mark.parametrize("coupling", ASKED)
def test_masks_allow_what_ends_valid_and_nothing_else(coupling):
    """Every solution of a tiny network, but for the orders, which never matter here."""
    one = Workload("pair", (Layer("a", "GEMM", K=2, C=1, OY=1, OX=1, R=1, S=1),
                            Layer("b", "CONV", K=1, C=2, OY=1, OX=1, R=1, S=2)))  # fmt: skip
    asked = {**ASKED[coupling], "hardware": MappingHardware(2, 14, 15)}
    if coupling == "hardware":
        levels = {"pe_levels": (1, 2), "l1_levels": (10, 14), "l2_levels": (12, 15, 20)}
        asked |= levels | {"area": 571.5}
    problem = network_problem(one, **asked)
    orders = [i for i, name in enumerate(problem.statement.names) if "order" in name]
    reached = walked(problem, orders)
    assert problem.evaluate(reached).feasible.all()
    sizes = problem.space.sizes[:, 0].copy()
    sizes[orders] = 1
    # Layers have nothing to do with each other: all of one, with a valid one of the other.
    shared, own = len(problem.network.shared), len(problem.network.own)
    for layer in range(2):
        at = range(shared + layer * own, shared + (layer + 1) * own)
        steps = [*range(shared), *at]
        every = np.array(list(product(*(range(sizes[i]) for i in steps))))
        seen = np.unique(reached[:, steps, 0], axis=0)
        base = {tuple(row[:shared, 0]): row for row in reached}
        rows = [row for row in every if tuple(row[:shared]) in base]
        genes = np.array([base[tuple(row[:shared])] for row in rows])
        genes[:, steps, 0] = rows
        feasible = problem.evaluate(genes).feasible
        assert 0 < feasible.mean() < 1
        assert_array_equal(np.array(rows)[feasible], seen)
    heads = {tuple(row[:shared, 0]) for row in reached}
    if coupling == "hardware":
        whole = set(product(*(range(n) for n in sizes[:3])))
        assert heads < whole
        for head in whole - heads:  # too much area, or a buffer that some layer does not fit
            genes = reached[:1].copy()
            genes[0, :3, 0] = head
            assert not problem.evaluate(genes).feasible.any()


@pytest.mark.parametrize("env_id", sorted(registered_ids(FAMILY))[:-1])
def test_masked_solutions_of_every_task_are_feasible(env_id):
    problem = problem_of(env_id)
    genes = problem.statement.draw(np.random.default_rng(0), 40)
    assert problem.evaluate(genes).feasible.all()


def test_a_masked_episode_ends_feasibly_and_an_unmasked_one_may_not():
    env = gym.make("HWMapNet-v0", workload=MIXED, **ASKED["hardware"], reward="relative")
    rng = np.random.default_rng(0)
    ends = []
    for masked in (True, False):
        _, info = env.reset(seed=0)
        done = False
        while not done:
            some = np.flatnonzero(info["action_mask"]) if masked else range(env.action_space.n)
            _, reward, done, _, info = env.step(int(rng.choice(some)))
        ends.append(info["is_success"])
    assert ends == [True, False]
    assert reward == -1


# --- what is proven -------------------------------------------------------------------------------


def points_of(space, orders=None):
    """(energy, latency) of all mappings of a layer in all its runs; of orders those that differ for
    dimensions of more than one, or those given."""
    layer, hardware = space.layer, space.hardware
    turning = [d for d in range(4) if space.sizes[d] > 1]
    kept = [{}, {}]
    for i, order in enumerate(space.orders.tolist()):
        for level in range(2):
            if orders is None or orders[level] == order:
                kept[level].setdefault(tuple(d for d in order if d in turning), i)
    ranges = [range(n) for n in space.space.sizes[:, 0]]
    ranges[3], ranges[12] = (tuple(each.values()) for each in kept)
    genes = np.array(list(product(*ranges)))[..., None]
    mappings = space.mappings(genes)
    mappings = mappings.take(np.flatnonzero(space.keeps(mappings)))
    found = mapping_totals(layer, mappings, hardware.num_pes, hardware.interconnect)
    some = found.valid & (found.l1_bytes <= hardware.l1_bytes)
    some &= found.l2_bytes <= hardware.l2_bytes
    pairs = np.stack([found.energy_nj[some], found.runtime_cycles[some]], axis=1)
    return np.unique(pairs, axis=0) * layer.repeat


@cache
def solutions_of(coupling, workload):
    """(energy, latency) of all solutions that differ in what is shared or in these."""
    network = network_problem(workload, **ASKED[coupling]).network
    layers = range(len(network.layers))
    spaces = [network.widest(i) for i in layers]
    every = []
    if coupling == "cluster":
        every = [[points_of(network.narrowed(i, c)) for i in layers] for c in network.clusters]
    elif coupling == "hardware":
        for place in zip(*np.nonzero(network.areas <= network.area), strict=True):
            on = network.hardware_at(place)
            every.append([points_of(network.on(i, *on)) for i in layers])
    else:
        turning = [[d for d in range(4) if space.sizes[d] > 1] for space in spaces]
        kept = {}
        for order in permutations(range(4)):
            kept.setdefault(tuple(tuple(d for d in order if d in t) for t in turning), list(order))
        for orders in product(kept.values(), repeat=2):
            every.append([points_of(space, orders) for space in spaces])
    sums = [(one[:, None] + other).reshape(-1, 2) for one, other in every]
    return np.concatenate(sums).T


def by_exhaustion(problem, coupling, workload):
    """The least objective of all solutions."""
    energy, latency = solutions_of(coupling, workload)
    return {"energy": energy, "latency": latency, "edp": energy * latency}[
        problem.objective.name
    ].min()


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("workload", [TINY, MIXED], ids=lambda w: w.name)
@pytest.mark.parametrize("coupling", ["cluster", "hardware"])
def test_the_certificate_is_what_exhaustion_finds(coupling, workload, objective):
    problem = network_problem(workload, **ASKED[coupling], objective=objective)
    found = problem.certificate()
    assert found.exact
    assert found.objective == pytest.approx(by_exhaustion(problem, coupling, workload), rel=1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_with_shared_orders_no_solution_passes_the_certificate(objective):
    problem = network_problem(TINY, **ASKED["order"], objective=objective)
    found = problem.certificate()
    best = by_exhaustion(problem, "order", TINY)
    assert found.lower_bound <= best * (1 + 1e-12)
    assert found.objective >= best * (1 - 1e-12)
    if objective == "energy":
        assert found.exact


def test_layers_that_share_do_worse_than_each_by_itself():
    problem = network_problem(TINY, **ASKED["cluster"], objective="latency")
    alone = sum(
        layer.repeat * mapping_problem(layer, ARRAY, objective="latency").optimum().objective
        for layer in problem.network.layers
    )
    assert problem.optimum().objective > alone
