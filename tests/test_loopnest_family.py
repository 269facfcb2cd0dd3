"""HWAssign on loop nests: optima against brute force on the tables; the contract is kept in
``test_families.py``."""

import dataclasses
import itertools
import json

import gymnasium as gym
import numpy as np
import pytest
from test_families import FEW, THREE

from hwgym.core import ranked_ids
from hwgym.costs.loopnest import TEMPLATES, Choices, tabulate
from hwgym.families import loopnest
from hwgym.families.layered import deployments
from hwgym.families.loopnest import KINDS, LoopnestDesign, loopnest_problem
from hwgym.hardware import Machine


def fields(**others):
    """Those of a template of one's own, as JSON has them."""
    mine = dataclasses.asdict(TEMPLATES["NVDLA"]) | {"name": "mine", "about": "mine"}
    return json.loads(json.dumps(mine)) | others


@pytest.fixture(scope="module")
def design():
    return LoopnestDesign.of(THREE, "MIX", **FEW)


def test_tables_are_those_of_the_cost_model(design):
    assert design.shape == (2, 2, 2, 4)
    for number, name in enumerate(TEMPLATES):
        choices = Choices(FEW["l1_levels"], FEW["l2_levels"])
        tables = tabulate(list(THREE), name, FEW["shapes"], choices)
        for i, layer in enumerate(THREE):
            ours = design.latency_cycles[i].reshape(design.shape)[..., number]
            np.testing.assert_array_equal(ours, tables.latency_cycles[i] * layer.repeat)
            ours = design.power_mw[i].reshape(design.shape)[..., number]
            np.testing.assert_array_equal(ours, tables.power_mw[i])
            area = design.area_um2[i].reshape(design.shape)[..., number]
            np.testing.assert_array_equal(area, tables.area_um2)


def test_optimum_of_partitions_is_the_best_of_all(design):
    problem = loopnest_problem(THREE, "MIX", ratio=0.1, **FEW)
    assert problem.binds
    best = np.inf
    for actions in itertools.product(*(np.flatnonzero(row) for row in design.valid)):
        at = np.arange(3), list(actions)
        if design.area_um2[at].sum() <= problem.limit:
            best = min(best, design.latency_cycles[at].sum())
    assert problem.optimum().objective == best


@pytest.mark.parametrize("objective", ["latency", "energy", "edp"])
def test_optimum_of_a_shared_array_is_the_best_of_all(objective):
    problem = loopnest_problem(
        THREE, "MIX", objective=objective, deployment="shared", ratio=0.1, **FEW
    )
    design = problem.design
    table = {
        "latency": design.latency_cycles,
        "energy": design.energy_nj,
        "edp": design.latency_cycles * design.energy_nj,
    }[objective]
    cost = np.where(design.valid, table, np.inf).reshape(3, 8, 4).min(axis=2).sum(axis=0)
    fits = design.area_um2[0].reshape(8, 4)[:, 0] <= problem.limit
    assert fits.any()
    assert not fits.all()
    assert problem.optimum().objective == pytest.approx(cost[fits].min(), rel=1e-12)


def test_the_period_counts_the_dram_that_all_partitions_share():
    slow = Machine(dram_bandwidth=0.5)
    problem = loopnest_problem(
        THREE, "MIX", objective="throughput", platform="unlimited", machine=slow, **FEW
    )
    design = problem.design
    periods = [
        max(
            design.latency_cycles[np.arange(3), list(actions)].max(),
            design.dram_read_bytes[np.arange(3), list(actions)].sum() / 0.5,
            design.dram_write_bytes[np.arange(3), list(actions)].sum() / 0.5,
        )
        for actions in itertools.product(*(np.flatnonzero(row) for row in design.valid))
    ]
    assert problem.optimum().objective == pytest.approx(min(periods), rel=1e-12)
    slowest = np.where(design.valid, design.latency_cycles, np.inf).min(axis=1).max()
    assert min(periods) > slowest


def test_mappings_suit_the_objective():
    by_energy = LoopnestDesign.of(THREE, "NVDLA", mapped_for="energy", **FEW)
    by_latency = LoopnestDesign.of(THREE, "NVDLA", mapped_for="throughput", **FEW)
    assert by_latency.mapped_for == "latency"
    assert (by_latency.latency_cycles <= by_energy.latency_cycles)[by_energy.valid].all()
    assert (by_latency.energy_nj >= by_energy.energy_nj)[by_energy.valid].all()
    assert not np.array_equal(by_latency.energy_nj, by_energy.energy_nj)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"template": "NVDA"}, "unknown template 'NVDA'.*NVDLA"),
        ({"template": []}, "at least one template"),
        ({"template": {"nme": "x"}}, "unknown field of a template 'nme'; did you mean 'name'"),
        ({"template": {"name": "x"}}, "a template needs about, rows, columns, whole, free, orders"),
        ({"template": fields(rows="CX")}, "template 'mine': unknown dimension in rows 'X'"),
        ({"template": fields(orders=["KC"])}, "'mine': an order has each of BGKCPQRS once, got"),
        ({"template": fields(hold={"l3": []})}, "unknown field of a hold 'l3'"),
        ({"template": ["TPU", "TPU"]}, "templates must differ"),
        ({"shapes": [(4, 4, 4)]}, "rows and columns"),
        ({"shapes": [(0, 4)]}, "at least 1"),
        ({"shapes": [(4, 4), (4, 4)]}, "must differ"),
        ({"l1_levels": (64, 32)}, "l1_levels must increase"),
        ({"l2_levels": ()}, "l2_levels must be a list of at least one level"),
        ({"machine": {"dram_bandwidth": 0}}, "dram_bandwidth"),
        ({"objective": "speed"}, "unknown objective 'speed'"),
        ({"deployment": "shared"}, "leaves nothing to choose"),
        ({"budget": 1.0}, "no assignment fits the area budget"),
        ({"l1_levels": (1,)}, "has no valid design point"),
    ],
)
def test_what_is_wrong_is_said(asked, message):
    with pytest.raises(ValueError, match=message):
        loopnest_problem(THREE, **{"template": "NVDLA", **FEW, **asked})


def test_ids():
    ids = ranked_ids(loopnest.FAMILY)
    assert all(i.endswith("-v1") for i in ids)
    env = gym.make("HWAssign-NCF-MIX-v1", **FEW)
    assert env.action_space.n == 32
    shared = gym.make("HWAssign-AlexNet-MIX-Shared-v1", **FEW)
    assert shared.unwrapped.problem.deployment == "shared"


@pytest.mark.parametrize(
    ("objective", "deployment", "kind"),
    [
        ("latency", "LP", KINDS.table),
        ("edp", "LS", KINDS.table),
        ("throughput", "LP", KINDS.pipeline),
        ("energy", "shared", KINDS.shared),
    ],
)
def test_each_question_has_its_class_and_is_made_again_from_its_description(
    objective, deployment, kind
):
    asked = {"objective": objective, "deployment": deployment, "template": ["TPU", fields()]}
    problem = loopnest_problem(THREE, ratio=0.3, **asked, **FEW)
    assert type(problem) is kind
    again = loopnest_problem(**json.loads(json.dumps(problem.description)))
    assert again.design.templates == problem.design.templates
    assert again.statement.key == problem.statement.key
    assert again.certificate().objective == problem.certificate().objective


def test_a_template_is_told_by_what_it_does():
    asked = {"ratio": 0.3, **FEW}
    named = loopnest_problem(THREE, "NVDLA", **asked)
    about = fields(name="NVDLA", about="in other words")
    assert loopnest_problem(THREE, about, **asked).statement.key == named.statement.key
    assert loopnest_problem(THREE, about, **asked).description["template"] == ["NVDLA"]
    other = loopnest_problem(THREE, fields(name="NVDLA", forward=True), **asked)
    assert other.statement.key != named.statement.key
    assert other.description["template"][0]["forward"] is True


@pytest.mark.parametrize("mode", ["discrete", "multi_discrete"])
def test_the_array_of_the_first_step_counts_and_is_shown_fixed(mode):
    problem = loopnest_problem(THREE, "MIX", deployment="shared", ratio=0.3, **FEW)
    best = problem.optimum()
    env = gym.make("HWAssign-v1", problem=problem, action_mode=mode).unwrapped
    _, info = env.reset()
    other = best.assignment.copy()
    other[1:, :3] = 1 - other[0, :3]  # other arrays later: without effect
    for step, genes in enumerate(other):
        if step:
            joint = np.zeros(problem.space.shape, bool)
            array = tuple(best.assignment[0, :3])
            joint[array] = problem.design.valid[step].reshape(joint.shape)[array]
            expected = joint.ravel()
            if mode == "multi_discrete":
                others = [tuple(a for a in range(4) if a != axis) for axis in range(4)]
                expected = np.concatenate([joint.any(axis=o) for o in others])
            np.testing.assert_array_equal(env.action_masks(), expected)
        action = genes if mode == "multi_discrete" else int(problem.space.encode(genes))
        *_, info = env.step(action)
    assert info["is_success"] is True
    assert info["objective"] == best.objective
    assert info["regret"] == 0


def test_deployments_stand_side_by_side():
    problem = loopnest_problem(THREE, "MIX", platform="cloud", **FEW)
    found = deployments(problem, KINDS.of)
    assert list(found) == ["LP", "LS", "shared"]
    assert found["LP"]["objective"] == problem.optimum().objective
    assert found["shared"]["objective"] <= found["LS"]["objective"]
    for row in found.values():
        assert row["area_um2"] <= problem.limit
        assert 0 < row["utilization"] <= 1
    assert found["LS"]["period_cycles"] == found["LS"]["latency_cycles"]
    assert found["LP"]["period_cycles"] <= found["LP"]["latency_cycles"]
    # At so little area that nothing is left for three arrays, one remains.
    least = KINDS.shared(problem.design, platform="unlimited").needed
    tight = KINDS.shared(problem.design, budget=least)
    rows = deployments(tight, KINDS.of)
    assert rows["shared"]["objective"] is not None
    assert rows["LP"]["objective"] is None
    assert rows["LP"]["least"] > tight.limit
    assert "no assignment fits" in rows["LP"]["why"]
