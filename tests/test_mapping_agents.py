"""Agents for mapping search: what they reach, what they know for nothing, their operators."""

import functools
from itertools import product

import numpy as np
import pytest
from conftest import needs_torch

from benchmarks import mapping_agents
from hwgym import AssignmentProblem, Layer
from hwgym.core import Evaluator, search, solve
from hwgym.families.mapping.problem import mapping_problem
from hwgym.families.mapping_loopnest import Accelerator
from hwgym.families.mapping_loopnest import mapping_problem as nest_problem
from hwgym_agents import gamma
from hwgym_agents.gamma import Gamma
from hwgym_agents.map_local import LocalMapping
from hwgym_agents.mappings import (
    CLUSTER,
    INNER_TILES,
    ORDERS,
    OUTER_TILES,
    PARALLEL,
    MappingView,
    decisions,
)
from hwgym_agents.marvel import Marvel, off_chip, on_chip

QUICK = functools.partial(LocalMapping, chains=16, moves=20, phases=2)
AGENTS = {
    "gamma": Gamma,
    "gamma released": Gamma.released,
    "marvel": Marvel,
    "local": QUICK,
}

SMALL = {"num_pes": 4, "l1_bytes": 96, "l2_bytes": 300}
DEPTHWISE = Layer("small", "DSCONV", K=1, C=4, OY=2, OX=2, R=3, S=3)
PRODUCT = Layer("product", "GEMM", K=96, C=64, OY=32, OX=1, R=1, S=1)
CONV = Layer("conv", "CONV", K=8, C=6, OY=9, OX=10, R=3, S=3)


@pytest.fixture(params=AGENTS)
def agent(request):
    return AGENTS[request.param]()


@pytest.fixture(scope="module")
def tiny():
    """A problem whose every mapping is evaluated here, and the least objective."""
    problem = mapping_problem(DEPTHWISE, SMALL)
    sizes = problem.space.sizes[:, 0].tolist()
    genes = np.array(list(product(*map(range, sizes))))[..., None]
    scores = [problem.evaluate(part).best for part in np.array_split(genes, 8)]
    return problem, min(scores)


class Watched(Evaluator):
    """Remembers whether what was bought was valid."""

    invalid = 0

    def evaluate(self, genes, returns=None):
        scores = super().evaluate(genes, returns)
        self.invalid += int((~scores.valid).sum())
        return scores


def view_of(problem):
    return MappingView(problem.statement, "a test")


# --- what they reach ----------------------------------------------------------------------------


def test_they_find_the_optimum_of_a_tiny_task(agent, tiny):
    problem, optimum = tiny
    for seed in range(2):
        result = solve(agent, problem, samples=1500, seed=seed)
        assert result.objective == optimum
        assert result.samples <= 1500


@pytest.mark.parametrize(
    ("layer", "settings"),
    [
        (CONV, {}),
        (PRODUCT, {"objective": "energy", "latency_ratio": 1.5}),
        (CONV, {"objective": "latency", "hardware": "1024"}),
        (DEPTHWISE, {"objective": "energy"}),
        (CONV, {"tiles": "any"}),
    ],
)
def test_they_buy_valid_mappings_only(agent, layer, settings):
    problem = mapping_problem(layer, **({"hardware": "edge"} | settings))
    evaluator = Watched(problem, 300)
    search(agent, evaluator, 0)
    assert evaluator.spent == 300
    assert evaluator.invalid == 0
    assert np.isfinite(evaluator.best_objective)


def test_equal_seeds_give_equal_results(agent):
    problem = mapping_problem(CONV)
    one, same, other = (solve(agent, problem, samples=200, seed=s).history for s in (1, 1, 2))
    assert (one == same).all()
    assert type(agent) is Marvel or (one != other).any()


def test_local_ends_when_everything_is_bought():
    one = Layer("one", "DSCONV", K=1, C=1, OY=1, OX=1, R=1, S=1)
    problem = mapping_problem(one, {"num_pes": 1, "l1_bytes": 64, "l2_bytes": 64})
    result = solve(QUICK(), problem, samples=2000)
    assert result.samples == 3 * 3 * 6 * 6


@pytest.mark.parametrize("name", ["marvel", "map-local"])
def test_the_optimum_of_a_real_layer(name):
    result = solve(name, "HWMap-GAMMA-MobileNetV2-4-Edge-EDP-v0", samples=1000)
    assert result.objective == result.problem.optimum().objective


def test_batches_of_one():
    one = Layer("one", "DSCONV", K=1, C=1, OY=1, OX=1, R=1, S=1)
    problem = mapping_problem(one, {"num_pes": 1, "l1_bytes": 64, "l2_bytes": 64})
    assert solve(QUICK(batch=1, blind=0.0), problem, samples=300).samples == 300


def test_knowing_helps():
    """Few samples are enough where steps and movement say where to look."""
    problem = mapping_problem("ResNet50:20")
    blind, knowing = (
        [solve(name, problem, samples=400).objective for name in names]
        for names in (("random", "gamma"), ("marvel", "map-local"))
    )
    assert max(knowing) < min(blind)


def test_other_problems_are_refused(agent):
    problem = AssignmentProblem.of("AlexNet", "NVDLA")
    with pytest.raises(ValueError, match="searches mappings of a layer"):
        solve(agent, problem, samples=10)


def test_settings_are_checked():
    for wrong in ({"population": 0}, {"crossover": 1.5}, {"growth": -0.1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Gamma(**wrong)
    with pytest.raises(ValueError, match="cold"):
        LocalMapping(cold=1.0)
    with pytest.raises(ValueError, match="idle"):
        Marvel(idle=-1.0)


# --- what is known for nothing ------------------------------------------------------------------


@pytest.mark.parametrize("layer", [CONV, PRODUCT, DEPTHWISE])
def test_steps_are_the_busiest_elements_own(layer):
    for settings in ({}, {"tiles": "any"}):
        problem = mapping_problem(layer, **settings)
        view = view_of(problem)
        genes = view.draw(np.random.default_rng(0), 200)
        costs = problem.costs(genes[..., None])
        assert (view.steps(view.mappings(genes)) == costs.own_steps).all()


@pytest.mark.parametrize("layer", [CONV, PRODUCT, DEPTHWISE])
def test_movement_is_that_of_whole_rounds(layer):
    """Exact where every round has as many clusters at work; else not far off."""
    problem = mapping_problem(layer)
    view = view_of(problem)
    genes = view.draw(np.random.default_rng(0), 400)
    m, costs = view.mappings(genes), problem.costs(genes[..., None])
    moved = view.movement(m)
    counted = np.stack([costs.input_l2_read, costs.weight_l2_read, costs.output_l2_write], axis=1)
    dim = m.parallel[:, 0]
    parts = view.whole[dim] // m.tiles[np.arange(len(m)), 0, dim]
    units = view.num_pes // m.cluster
    even = (parts % units == 0) | (parts == 1)
    plain = even & ((dim < 2) | (parts == 1))  # rows and columns side by side share edges
    assert plain.sum() > 20
    np.testing.assert_allclose(moved[plain], counted[plain], rtol=1e-9)
    ratio = moved.sum(axis=1) / counted.sum(axis=1)
    assert 0.9 < np.median(ratio) < 1.1


def test_the_estimate_ranks_by_the_objective():
    for settings in ({}, {"objective": "energy"}, {"objective": "latency"}):
        problem = mapping_problem(CONV, **settings)
        view = view_of(problem)
        genes = view.draw(np.random.default_rng(1), 300)
        known = view.estimate(genes)
        value = problem.evaluate(genes[..., None]).objective
        assert np.corrcoef(known.argsort().argsort(), value.argsort().argsort())[0, 1] > 0.9


def test_view_and_problem_read_genes_alike():
    for layer in (CONV, DEPTHWISE):
        problem = mapping_problem(layer)
        view = view_of(problem)
        genes = view.draw(np.random.default_rng(0), 50)
        ours, theirs = view.mappings(genes), problem.mappings.mappings(genes[..., None])
        for name in ("cluster", "parallel", "tiles", "orders"):
            assert (getattr(ours, name) == getattr(theirs, name)).all()


def test_repair_changes_nothing_that_is_valid_and_makes_the_rest_so():
    problem = mapping_problem(CONV)
    view, rng = view_of(problem), np.random.default_rng(0)
    valid = view.draw(rng, 100)
    assert (view.repair(valid, rng) == valid).all()
    loose = problem.space.draw(rng, 500)[..., 0]
    before = problem.evaluate(loose[..., None]).valid
    assert not before.all()
    mended = view.repair(loose, rng)
    assert (mended[before] == loose[before]).all()
    assert problem.evaluate(mended[..., None]).valid.all()


# --- GAMMA's operators --------------------------------------------------------------------------


@pytest.fixture
def bred():
    view = view_of(mapping_problem(CONV))
    rng = np.random.default_rng(0)
    return view, view.draw(rng, 40), rng


def changed(before, after):
    return set(np.flatnonzero((before != after).any(axis=0)).tolist())


def test_crossover_exchanges_the_tiles_of_one_dimension(bred):
    view, parents, rng = bred
    two = np.stack([np.zeros(13, int), np.ones(13, int)])
    kinds = set()
    for _ in range(50):
        children = Gamma(population=2, crossover=1.0).cross(view, two, rng)
        mixed = children[children[:, 0].argsort()]
        [dim] = np.flatnonzero(mixed[0, OUTER_TILES])
        kinds.add(int(dim))
        assert changed(two, mixed) == {OUTER_TILES[dim], INNER_TILES[dim]}
    assert kinds == {0, 1, 2, 3}
    same = Gamma(population=7, crossover=0.0).cross(view, parents, rng)
    assert len(same) == 7
    assert {tuple(row) for row in same.tolist()} <= {tuple(row) for row in parents.tolist()}


def test_a_single_parent_has_children(bred):
    view, parents, rng = bred
    children = Gamma(population=6).cross(view, parents[:1], rng)
    assert (children == parents[0]).all()
    assert len(children) == 6


def test_reordering_swaps_two_loops(bred):
    view, genes, rng = bred
    for row in range(len(genes)):
        before = genes.copy()
        gamma.reorder(view, genes, row, rng)
        assert changed(before, genes) <= set(ORDERS)
        for step in ORDERS:
            old, new = (view.loops[g[row, step]] for g in (before, genes))
            assert (old != new).sum() in (0, 2)


def test_drawing_anew_changes_one_tile_or_a_spread_dimension(bred):
    view, genes, rng = bred
    seen = set()
    for row in np.tile(np.arange(len(genes)), 10):
        before = genes.copy()
        gamma.draw_anew(view, genes, row, rng)
        steps = changed(before, genes)
        seen |= steps
        assert len(steps) <= 1 or steps == {CLUSTER, PARALLEL[1]}
        assert (genes < view.sizes).all()
    assert seen == {CLUSTER, *PARALLEL, *OUTER_TILES, *INNER_TILES}


def test_what_never_ran_in_the_release(bred):
    view, genes, rng = bred
    before = genes.copy()
    gamma.swap_parallel(view, genes, 0)
    assert (genes[0, PARALLEL] == before[0, PARALLEL[::-1]]).all()
    gamma.age(view, genes, 1)
    assert view.values[CLUSTER][genes[1, CLUSTER]] == 1
    sizes = set()
    for _ in range(40):
        genes[1, CLUSTER] = 0
        genes[1, PARALLEL[1]] = 0
        gamma.grow(view, genes, 1, rng)
        assert (genes[1, INNER_TILES] == 0).all()
        sizes.add(int(view.values[CLUSTER][genes[1, CLUSTER]]))
    assert len(sizes) > 1
    grown = genes[1].copy()
    genes[1, CLUSTER] = 3
    grown[CLUSTER] = 3
    gamma.grow(view, genes, 1, rng)  # it has clusters
    assert (genes[1] == grown).all()


def test_the_release_has_its_own_operators_only(monkeypatch):
    ran = []
    for name in ("reorder", "draw_anew", "swap_parallel", "grow", "age"):
        plain = getattr(gamma, name)

        def noted(*args, name=name, plain=plain):
            ran.append(name)
            plain(*args)

        monkeypatch.setattr(gamma, name, noted)
    problem = mapping_problem(CONV)
    solve(Gamma.released(), problem, samples=400)
    assert set(ran) == {"reorder", "draw_anew"}
    ran.clear()
    solve(Gamma(), problem, samples=400)
    assert set(ran) == {"reorder", "draw_anew", "swap_parallel", "grow", "age"}


# --- Marvel's halves ----------------------------------------------------------------------------


def test_plans_move_least_first_and_fit():
    view = view_of(mapping_problem("ResNet50:20"))
    plans = off_chip(view, 50)
    assert len(plans) == 50
    tiles = np.array([tile for tile, _ in plans])
    assert (2 * view.elements(tiles) <= view.l2_bytes).all()
    ways = [on_chip(view, tile, order, 0.1) for tile, order in plans]
    for (tile, order), genes in zip(plans, ways, strict=True):
        steps = view.steps(view.mappings(genes))
        assert (np.diff(steps) >= 0).all()
        assert steps[-1] <= 1.1 * steps[0]
        assert (genes[:, ORDERS] == order).all()
        m = view.mappings(genes)
        units = view.num_pes // m.cluster
        held = m.tiles[:, 0] * np.where(np.arange(4) == m.parallel[:, [0]], units[:, None], 1)
        assert ((held <= tile) | (tile == view.whole)).all()


def test_first_half_is_free():
    """With one sample a plan, the best plan's fastest mapping is what is bought first."""
    problem = mapping_problem("ResNet50:20")
    view = view_of(problem)
    [(tile, order)] = off_chip(view, 1)
    first = view.repair(on_chip(view, tile, order, 0.1)[:1], np.random.default_rng(0))
    result = solve(Marvel(plans=1), problem, samples=1)
    assert (result.assignment[:, 0] == first[0]).all()


# --- loop nests, version 1 ----------------------------------------------------------------------


NESTS = {"gamma": Gamma, "local": QUICK}


@pytest.mark.parametrize("name", NESTS)
def test_loop_nests_are_searched_by_what_needs_no_estimate(name):
    small = Layer.gemm("product", M=6, N=2, K=4)
    problem = nest_problem(small, Accelerator(3, 2, 30, 100))
    evaluator = Watched(problem, 800)
    search(NESTS[name](), evaluator, 0)
    assert evaluator.invalid == 0
    assert evaluator.best_objective == problem.optimum().objective


def test_operators_know_the_steps_of_loop_nests():
    problem = nest_problem(CONV, "edge")
    view = decisions(problem.statement, "a test")
    names = np.array(problem.statement.names)
    assert [set(row) for row in names[view.tiles][:2]] == [
        {"K over rows", "K over columns", "K in L2", "K in a PE"},
        {"C over rows", "C over columns", "C in L2", "C in a PE"},
    ]
    assert names[list(view.orders)].tolist() == ["DRAM order", "L2 order"]
    rng = np.random.default_rng(0)
    genes = view.draw(rng, 30)
    gamma.age(view, genes, 0)
    assert not view.has_two(genes[0])
    while not view.has_two(genes[0]):
        gamma.grow(view, genes, 0, rng)
    for row in range(1, 30):
        before = genes[row].copy()
        gamma.reorder(view, genes, row, rng)
        gamma.swap_parallel(view, genes, row)
        assert (genes < view.sizes).all()
        assert (before != genes[row]).sum() <= 1 + 2 * len(view.tiles)
    genes = view.repair(genes, rng)
    assert problem.evaluate(genes[..., None]).valid.all()


def test_marvel_says_that_loop_nests_are_not_its_business():
    with pytest.raises(ValueError, match="marvel searches mappings of a layer on MAESTRO"):
        solve(Marvel(), nest_problem(CONV, "edge"), samples=10)


# --- agents of other problems -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["random", "uniform", "annealing", "genetic", "grid"])
def test_agents_that_see_totals_work_unchanged(name):
    result = solve(name, "HWMap-ResNet50-20-Edge-EDP-v0", samples=120)
    assert result.samples == 120 or name in ("uniform", "grid")
    assert name in ("uniform", "grid") or np.isfinite(result.objective)


@pytest.mark.parametrize("name", ["cmaes", "optuna"])
def test_agents_of_packages_work_unchanged(name):
    pytest.importorskip(name)
    result = solve(name, "HWMap-ResNet50-20-Edge-EDP-v0", samples=120)
    assert result.samples == 120


# A price is one of parts, which a mapping has not.
LEARNERS = {
    "ppo": {},
    "sb3-ppo": {},
    "maskable-ppo": {},
    "reinforce": {},
    "reinforce-priced": {"credit": "return", "memory": False, "epochs": 1, "reward": "relative"},
}


@pytest.mark.parametrize("name", LEARNERS)
def test_agents_that_learn_work_unchanged(name):
    needs_torch()
    problem = "HWMap-ResNet50-20-Edge-EDP-v0"
    result = solve(name, problem, samples=60, settings=LEARNERS[name])
    assert result.samples == 60
    assert name == "sb3-ppo" or np.isfinite(result.objective)


def test_benchmark(capsys):
    task = next(t for t in mapping_agents.tasks() if t.name == "MobileNetV2-20")
    assert len(task.masked) == 3
    assert len(list(mapping_agents.tasks())) == 16
    quick = ["--seeds", "1", "--samples", "30", "--layers", "MobileNetV2-20"]
    assert mapping_agents.main(["marvel", *quick]) in (0, 1)
    assert "MobileNetV2-20" in capsys.readouterr().out
    assert mapping_agents.reached(1.3936e7, 1.39e7)
    assert not mapping_agents.reached(1.396e7, 1.39e7)
