"""Mappings on loop nests: masks, costs and certificates, held against enumeration."""

import itertools

import gymnasium as gym
import numpy as np
import pytest
from loopnest_simulator import simulate

from hwgym import Layer
from hwgym.core import problem_of
from hwgym.costs.loopnest import DIMS, Nests, analyse, energy, profile
from hwgym.families.mapping_loopnest import (
    ACCELERATORS,
    FAMILY,
    Accelerator,
    accelerator,
    mapping_problem,
)
from hwgym.families.mapping_loopnest.accelerator import HOLD, INSIDE
from hwgym.families.mapping_loopnest.bounds import Search
from hwgym.families.mapping_loopnest.text import loops_of, nest_text, timeloop_text
from hwgym.hardware import Machine

SMALL = {
    "strided": (
        Layer("strided", "CONV", K=2, C=1, OY=4, OX=1, R=3, S=1, stride=2),
        Accelerator(2, 3, 25, 90),
    ),
    "overlapping": (
        Layer("overlapping", "CONV", K=2, C=2, OY=3, OX=1, R=2, S=1),
        Accelerator(2, 2, 20, 70),
    ),
    "dilated": (
        Layer("dilated", "CONV", K=1, C=2, OY=2, OX=2, R=1, S=3, dilation=2),
        Accelerator(3, 1, 18, 60),
    ),
    "depthwise": (
        Layer("depthwise", "DSCONV", K=1, C=2, OY=4, OX=1, R=1, S=3),
        Accelerator(1, 3, 30, 64),
    ),
    "product": (Layer.gemm("product", M=6, N=2, K=4), Accelerator(3, 2, 30, 100)),
}
OBJECTIVES = ("edp", "latency", "energy")


def every_size(problem):
    """All choices of the steps but the orders, genes (N, steps), those at their first."""
    sized = problem.mappings.decisions[:-2]
    rows = np.array(list(itertools.product(*(range(len(d.values)) for d in sized))))
    return np.concatenate([rows, np.zeros((len(rows), 2), int)], axis=1)


def every_solution(problem):
    """All genes (N, steps) whose sizes divide and fit, with all orders."""
    genes = every_size(problem)
    genes = genes[problem.score(genes[..., None]).valid]
    orders = list(itertools.product(range(problem.space.sizes[-1, 0]), repeat=2))
    genes = np.repeat(genes, len(orders), axis=0)
    genes[:, -2:] = np.tile(orders, (len(genes) // len(orders), 1))
    return genes


# --- masks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_masks_allow_exactly_what_can_still_fit(name):
    layer, hardware = SMALL[name]
    problem = mapping_problem(layer, hardware)
    genes = every_size(problem)
    fits = problem.score(genes[..., None]).valid
    assert 0 < fits.sum() < len(genes)
    for step, decision in enumerate(problem.mappings.decisions[:-2]):
        before, which = np.unique(genes[:, :step], axis=0, return_inverse=True)
        possible = np.zeros((len(before), len(decision.values)), bool)
        np.logical_or.at(possible, (which.reshape(-1), genes[:, step]), fits)
        allowed = problem.mappings.allowed(before, step)
        open_ = possible.any(axis=1)
        np.testing.assert_array_equal(allowed[open_], possible[open_], err_msg=decision.name)
        assert allowed.any(axis=1).all()


@pytest.mark.parametrize("name", SMALL)
def test_every_masked_walk_ends_in_a_mapping_that_fits(name):
    layer, hardware = SMALL[name]
    problem = mapping_problem(layer, hardware)
    genes = np.zeros((1, 0), np.int64)
    for step in range(problem.num_steps - 2):
        row, choice = np.nonzero(problem.mappings.allowed(genes, step))
        genes = np.concatenate([genes[row], choice[:, None]], axis=1)
    genes = np.concatenate([genes, np.zeros((len(genes), 2), int)], axis=1)
    assert problem.score(genes[..., None]).valid.all()
    every = every_size(problem)
    assert len(genes) == problem.score(every[..., None]).valid.sum()


@pytest.mark.parametrize("layer", ["ResNet50:1", "MobileNetV2:35", "BERT:1"])
@pytest.mark.parametrize("hardware", ACCELERATORS)
def test_random_masked_mappings_fit(layer, hardware):
    problem = mapping_problem(layer, hardware)
    genes = problem.statement.draw(np.random.default_rng(0), 300)
    assert problem.evaluate(genes).valid.all()
    unmasked = problem.space.draw(np.random.default_rng(0), 300)
    scores = problem.evaluate(unmasked)
    assert not scores.valid.all()
    assert (scores.objective[~scores.valid] == np.inf).all()


def test_masks_of_an_episode_that_cannot_fit_leave_a_choice():
    problem = mapping_problem(*SMALL["product"])
    genes = np.zeros((1, problem.num_steps, 1), np.int64)
    genes[0, :3, 0] = 1  # 2 x 2 x 2 rows, of 3
    for step in range(3, problem.num_steps):
        assert problem.statement.allowed(genes, step)[0, : problem.space.sizes[step, 0]].any()
    assert not problem.evaluate(genes).valid[0]


def test_masks_after_sizes_that_do_not_divide_leave_a_choice():
    problem = mapping_problem({"K": 4})
    genes = np.array([[2, 2, -1, -1, -1, -1]])[..., None]  # over 4 rows and 4 columns
    for step in range(2, problem.num_steps):
        assert problem.statement.allowed(genes, step).any(axis=1).all()


def test_an_index_that_a_step_does_not_have_is_not_valid():
    problem = mapping_problem("BERT:4")
    genes = np.zeros((2, problem.num_steps, 1), np.int64)
    genes[1, 0] = problem.space.shape[0] - 1
    assert problem.evaluate(genes).valid.tolist() == [True, False]


# --- costs ----------------------------------------------------------------------------------------


def by_hand(problem, genes):
    """Extent, tile, spread, steps and orders of a solution, from the labels of its choices."""
    labels = {
        name: problem.space.describe(row, step)[0]
        for step, (name, row) in enumerate(zip(problem.statement.names, genes, strict=True))
    }
    extent, stride, dilation = problem.mappings.sizes
    tile, spread, steps = np.ones((3, 8), int)
    for i, d in enumerate(DIMS):
        if f"{d} in L2" in labels:
            tile[i] = labels[f"{d} in a PE"]
            spread[i] = labels[f"{d} over rows"] * labels[f"{d} over columns"]
            steps[i] = labels[f"{d} in L2"] // (tile[i] * spread[i])
    point = {"extent": extent, "tile": tile, "spread": spread, "steps": steps}
    for level in ("DRAM", "L2"):
        order = labels[f"{level} order"]
        order += "".join(d for d in DIMS if d not in order)
        point[f"{level.lower()}_order"] = np.array([order.index(d) for d in DIMS])
    point["l1_order"] = np.array([INSIDE.index(d) for d in DIMS])
    return point | {"stride": stride, "dilation": dilation}


@pytest.mark.parametrize("layer", ["ResNet50:1", "ResNet50:20", "MobileNetV2:35", "BERT:4"])
def test_scores_are_those_of_the_cost_model(layer):
    problem = mapping_problem(layer, "cloud")
    hardware = problem.hardware
    genes = problem.statement.draw(np.random.default_rng(1), 20)
    scores = problem.evaluate(genes)
    for i, row in enumerate(genes):
        nests = Nests(**by_hand(problem, row))
        found = profile(nests, hardware.machine, hold=HOLD)
        spent = energy(found, hardware.machine, hardware.l1_bytes, hardware.l2_bytes).total[0]
        assert scores["latency"][i] == found.latency_cycles[0]
        assert scores["energy"][i] == pytest.approx(spent, rel=1e-14)
        assert scores.objective[i] == scores["latency"][i] * scores["energy"][i]
        assert found.macs[0] == problem.layer.macs / problem.layer.repeat
        assert found.l1_bytes[0] <= hardware.l1_bytes
        assert found.l2_bytes[0] <= hardware.l2_bytes


@pytest.mark.parametrize("name", SMALL)
def test_counts_are_those_of_a_walk_through_the_loops(name):
    problem = mapping_problem(*SMALL[name])
    hold = {"l2": HOLD.l2, "l1": HOLD.l1, "registers": HOLD.registers}
    for genes in problem.statement.draw(np.random.default_rng(2), 8):
        point = by_hand(problem, genes)
        walked = simulate(point, hold=hold, halo=True, forward=False)
        counted = analyse(Nests(**point), hold=HOLD)
        assert walked == {count: int(getattr(counted, count)[0]) for count in walked}


# --- certificates ---------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("name", SMALL)
def test_the_certificate_is_the_best_of_all_mappings(name, objective):
    layer, hardware = SMALL[name]
    problem = mapping_problem(layer, hardware, objective=objective)
    scores = problem.evaluate(every_solution(problem)[..., None])
    found = problem.certificate()
    assert found.exact
    assert found.objective == pytest.approx(scores.best, rel=1e-12)
    assert found.relaxation <= found.lower_bound


@pytest.mark.parametrize("seed", range(12))
def test_the_certificate_of_random_problems(seed):
    rng = np.random.default_rng(seed)
    while True:
        problem = random_problem(rng)
        orders = problem.space.sizes[-1, 0] ** 2
        sizes = every_size(problem) if problem.space.sizes[:-2].prod() < 40_000 else []
        if 100 < len(sizes) * orders < 4_000_000:
            break
    every = every_solution(problem)
    best = min(
        problem.evaluate(every[i : i + 100_000, :, None]).best
        for i in range(0, len(every), 100_000)
    )
    found = problem.certificate()
    assert found.exact
    assert found.objective == pytest.approx(best, rel=1e-12)


def random_problem(rng):
    kind = str(rng.choice(["CONV", "CONV", "DSCONV", "GEMM"]))
    k, c, y, x, r, s = (int(size) for size in rng.choice([1, 1, 2, 2, 3, 4, 6], 6))
    stride, columns, dilation = (int(size) for size in rng.choice([1, 1, 2, 3], 3))
    k = 1 if kind == "DSCONV" else k
    x, r, s = (1, 1, 1) if kind == "GEMM" else (x, r, s)
    layer = Layer("any", kind, k, c, y, x, r, s, stride, column_stride=columns, dilation=dilation)
    rows, across = (int(n) for n in rng.integers(1, 4, 2))
    made = Machine(
        dram_bandwidth=float(rng.choice([1, 4, 16, 64])),
        l2_bandwidth=float(rng.choice([1, 2, 8, 32])),
        weight_bits=int(rng.choice([8, 16])),
        dram=str(rng.choice(["LPDDR4", "HBM2"])),
    )
    l1, l2 = 14 + int(rng.integers(0, 30)), 14 * rows * across + int(rng.integers(0, 150))
    hardware = Accelerator(rows, across, l1, l2, made)
    return mapping_problem(layer, hardware, objective=str(rng.choice(OBJECTIVES)))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_search_that_is_stopped_bounds_all_the_same(objective):
    problem = mapping_problem("BERT:4", objective=objective)
    proven = problem.optimum().objective
    search = Search(problem.costs, effort=0)
    assert problem.simple_bound <= search.run() <= proven
    assert problem.evaluate(search.genes[:, None]).objective[0] == pytest.approx(search.best)
    assert search.best >= proven


@pytest.mark.parametrize(
    ("env_id", "optimum"),
    [
        ("HWMap-ResNet50-46-Cloud-EDP-v1", 2.3977e9),
        ("HWMap-MobileNetV2-35-Edge-EDP-v1", 1.8588e8),
        ("HWMap-BERT-4-Edge-EDP-v1", 1.0221e10),
    ],
)
def test_optima_are_proven(env_id, optimum):
    problem = problem_of(env_id)
    assert problem.optimum().objective == pytest.approx(optimum, rel=1e-4)
    drawn = problem.evaluate(problem.statement.draw(np.random.default_rng(0), 500))
    assert drawn.best > 1.05 * problem.optimum().objective


# --- environments and text ------------------------------------------------------------------------


def test_observations_say_what_was_chosen():
    env = gym.make(
        "HWMap-v1", layer={"K": 4, "OY": 6}, hardware=ACCELERATORS["edge"], disable_env_checker=True
    )
    problem = env.unwrapped.problem
    names = problem.statement.names
    assert names == (
        "K over rows", "P over rows", "K over columns", "P over columns", "K in L2", "P in L2",
        "K in a PE", "P in a PE", "DRAM order", "L2 order",
    )  # fmt: skip
    seen = (env.reset()[0] + 1) / 2
    assert seen[:6].tolist() == [1, 0, 0, 0, 0, 0]
    assert seen[6:14].tolist() == [d == "K" for d in DIMS]
    assert (seen[26:74] == 0).all()
    for action in (1, 3, 0, 0, 2, 3, 1, 0, 1, 0):  # K 2 and P 6 rows; whole in L2; K 2 in a PE
        observation, _, done, _, info = env.step(action)
    assert done
    assert info["is_success"]
    seen = (observation + 1) / 2
    assert (seen[:26] == 0).all()
    sizes = seen[26:58].reshape(4, 8)[:, [2, 4]]  # of K and P
    whole = np.log2([5, 7])
    assert sizes == pytest.approx(np.log2([[3, 7], [2, 2], [5, 7], [3, 2]]) / whole, abs=1e-6)
    assert seen[58:74].reshape(2, 8)[:, [2, 4]] * 8 == pytest.approx(np.array([[2, 1], [1, 2]]))
    assert seen[76] == 1


def test_a_mapping_as_loop_nest_and_for_timeloop():
    problem = mapping_problem(*SMALL["product"])
    genes = problem.optimum().assignment
    loops = loops_of(problem.mappings, genes[:, 0])
    counts = [count for level in loops for _, count in level.counts]
    assert np.prod(counts) == problem.layer.macs
    nest = nest_text(problem.mappings, genes[:, 0])
    assert nest[-1].strip() == "multiply and accumulate"
    assert sum(line.strip().startswith("for ") for line in nest) == sum(
        len(level.counts) for level in loops if level.level in ("DRAM", "L2", "PE")
    )
    text = timeloop_text(problem.mappings, genes[:, 0])
    factors = [
        int(factor[1:])
        for line in text.splitlines()
        if "factors:" in line
        for factor in line.split(": ")[1].split()
    ]
    assert np.prod(factors) == problem.layer.macs
    shown = FAMILY.view.text(problem, genes)
    assert all(line in shown for line in nest)
    assert "bound by" in shown


def test_accelerators_say_what_they_want():
    assert accelerator("edge").name == "edge"
    assert accelerator(accelerator("cloud").to_dict()) == ACCELERATORS["cloud"]
    assert mapping_problem("BERT:4", ACCELERATORS["edge"].to_dict()).hardware.name == "edge"
    with pytest.raises(ValueError, match="unknown accelerator 'egde'; did you mean 'edge'"):
        mapping_problem("BERT:4", "egde")
    with pytest.raises(ValueError, match="l1_bytes must hold two elements of each tensor, 12"):
        Accelerator(2, 2, 11, 100)
    with pytest.raises(
        ValueError, match=r"l2_bytes must hold two .* for each PE, 48 bytes, got 47"
    ):
        Accelerator(2, 2, 12, 47)
    with pytest.raises(ValueError, match="rows must be at least 1, got 0"):
        Accelerator(0, 2, 12, 47)
    with pytest.raises(ValueError, match="unknown objective 'delay'"):
        mapping_problem("BERT:4", objective="delay")
    with pytest.raises(ValueError, match="width must be at least 18"):
        _ = mapping_problem("BERT:1", width=5).statement
