"""The yardsticks: differences of totals that are solved, one price on regressed costs."""

import numpy as np
import pytest

from hwgym import Layer, Workload
from hwgym.core import Evaluator, problem_of, search, solve
from hwgym.families.assignment import AssignmentProblem
from hwgym_agents.difference import Difference
from hwgym_agents.regression import PricedRegression, choice_features, quarter_uniform

ALEXNET = "HWAssign-AlexNet-NVDLA-v0"
WITH_INVALID = "HWAssign-AlexNet-Eyeriss-v0"
LEVELS = {"pe_levels": (1, 4, 16, 64), "tile_levels": (1, 3, 6)}
KINDS = (
    Layer("wide", "CONV", K=64, C=32, OY=14, OX=14, R=3, S=3),
    Layer("deep", "CONV", K=256, C=64, OY=7, OX=7, R=1, S=1),
    Layer("each", "DSCONV", K=1, C=96, OY=14, OX=14, R=3, S=3),
)


def twelve(dataflow="NVDLA", **more):
    """Twelve layers of three kinds, on few levels."""
    layers = tuple(KINDS[i % 3] for i in range(12))
    return AssignmentProblem.of(Workload("twelve", layers), dataflow, **LEVELS, **more)


def spent(agent, problem, samples):
    """The evaluator after a search, and what was bought from it."""
    bought = []

    class Watching(Evaluator):
        def evaluate(self, genes, returns=None):
            scores = super().evaluate(genes, returns)
            bought.extend(genes[: len(scores)])
            return scores

    evaluator = Watching(problem, samples, sees=agent.sees)
    search(agent, evaluator, 0)
    return evaluator, np.array(bought)


# --- differences ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataflow", "more"),
    [
        ("NVDLA", {}),
        ("Eyeriss", {"ratio": 0.2}),
        ("ShiDianNao", {"objective": "energy", "constraint": "power", "ratio": 0.05}),
        (("NVDLA", "Eyeriss"), {"objective": "edp", "ratio": 0.1}),
    ],
)
def test_differences_find_the_optimum(dataflow, more):
    problem = twelve(dataflow, **more)
    evaluator, bought = spent(Difference(), problem, 2000)
    assert problem.regret(evaluator.best_objective) == 0
    assert len(np.unique(bought, axis=0)) == len(bought)  # nothing is paid for twice
    # Three kinds of layers, of which one choice is that of the base; the rest tries solutions.
    assert len(bought) <= 3 * (problem.num_actions - 1) + 1 + 60


def test_layers_that_are_alike_share_what_is_learnt():
    problem = twelve()
    assert len(problem.statement.groups) == 3
    _, bought = spent(Difference(), problem, 2000)
    assert len(bought) < 12 * (problem.num_actions - 1)
    # And yet they may get different choices: the optimum of 12 layers is no repetition of 3.
    best = solve("difference", problem, samples=2000).assignment
    assert problem.regret(problem.evaluate(best[None]).objective[0]) == 0


def test_what_cannot_be_built_is_learnt_too():
    problem = problem_of(WITH_INVALID)
    assert not problem.valid.all()
    assert solve("difference", problem, samples=5000).regret == 0


def test_differences_are_worth_something_before_all_is_known():
    for env_id in (ALEXNET, "HWAssign-ResNet50-NVDLA-v0", "HWAssignMulti-Test-v0#0"):
        ours = solve("difference", env_id, samples=150)
        uniform = solve("uniform", env_id, samples=150)
        assert ours.regret < uniform.regret
        assert ours.objective < ours.history[20]


def test_differences_need_sums():
    with pytest.raises(ValueError, match="difference needs costs that add up, of"):
        solve("difference", twelve(objective="throughput"), samples=10)
    with pytest.raises(
        ValueError, match=r"difference needs costs that add up, .* work on any problem"
    ):
        solve("difference", "HWMap-VGG16-6-Edge-Energy-v0", samples=10)


# --- regression -----------------------------------------------------------------------------------


def test_one_price_is_better_than_the_best_uniform_assignment():
    better = 0
    names = ("MobileNetV2-NVDLA", "ResNet50-Eyeriss", "VGG16-ShiDianNao", "MnasNet-NVDLA")
    for name in names:
        ours = solve("regression", f"HWAssign-{name}-v0", samples=40)
        better += ours.regret < solve("uniform", f"HWAssign-{name}-v0", samples=144).regret
    assert better >= 3


def test_regression_ends_when_all_was_tried():
    problem = twelve()
    evaluator, bought = spent(PricedRegression(), problem, 500)
    assert len(np.unique(bought, axis=0)) == len(bought) == evaluator.spent < 200
    uniform = {g.tobytes() for g in bought if (g == g[0]).all()}
    assert len(uniform) == problem.num_actions


def test_costs_that_features_tell_are_regressed_exactly():
    from hwgym_agents.regression import _Regression

    problem = twelve()
    statement, space = problem.statement, problem.space
    model = _Regression(statement, 1e-9)
    of_choice, of_step = model.of_choices[:, 1], model.of_steps.sum(axis=1)
    logs = 3 + of_choice[None] * (1 + 0.1 * of_step[:, None]) + 0.2 * of_step[:, None]
    cost, used = np.exp(-logs), np.exp(logs) / np.exp(logs).sum() * statement.limit
    rng = np.random.default_rng(0)
    rows = np.arange(space.num_steps)
    for _ in range(40):
        genes = space.draw(rng, 1)[0]
        numbers = space.encode(genes[None])[0]
        model.note(genes, cost[rows, numbers], used[rows, numbers], np.ones(len(rows), bool))
    planned = space.encode(model.plan(1.0))[0]
    assert used[rows, planned].sum() <= statement.limit * (1 + 1e-6)
    # Everything fits at once; so every layer takes what is cheapest for it.
    np.testing.assert_allclose(cost[rows, planned], cost.min(axis=1), rtol=1e-6)


def test_regression_needs_what_layers_cost():
    with pytest.raises(ValueError, match="regression learns what each choice of each step costs"):
        solve("regression", "HWMap-VGG16-6-Edge-Energy-v0", samples=10)


# --- both -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", [Difference(), PricedRegression()])
def test_the_first_sample_is_a_quarter_of_the_way_up(agent):
    problem = twelve(("NVDLA", "Eyeriss"))
    evaluator, bought = spent(agent, problem, 1)
    assert evaluator.spent == 1
    assert bought.tolist() == quarter_uniform(problem.space).tolist()
    assert bought[0, 0].tolist() == [1, 0, 0]  # of 4 and 3 levels, and of two dataflows


@pytest.mark.parametrize("agent", ["difference", "regression"])
def test_a_first_sample_that_cannot_be_built_is_no_end(agent):
    problem = twelve("NVDLA-CxK:16", ratio=0.3)  # sixteen PEs at least, more than a quarter
    first = problem.evaluate(quarter_uniform(problem.space))
    assert not first.valid.any()
    assert solve(agent, problem, samples=100).regret < 0.2


@pytest.mark.parametrize("agent", ["difference", "regression"])
def test_the_seed_changes_nothing(agent):
    one, other = (solve(agent, ALEXNET, samples=60, seed=seed) for seed in (0, 7))
    assert one.history.tolist() == other.history.tolist()


@pytest.mark.parametrize(
    ("agent", "settings", "message"),
    [
        (Difference, {"uniform": 0}, "uniform must be a positive integer"),
        (Difference, {"ask": 1.5}, "ask must be a positive integer"),
        (PricedRegression, {"first": 0}, "first must be a positive integer"),
        (PricedRegression, {"ridge": 0.0}, "ridge must be positive"),
        (PricedRegression, {"care": -1.0}, "care must be positive"),
    ],
)
def test_wrong_settings_are_named(agent, settings, message):
    with pytest.raises(ValueError, match=message):
        agent(**settings)


def test_features_of_choices_tell_places_and_kinds():
    space = twelve(("NVDLA", "Eyeriss")).space
    features = choice_features(space)
    assert features.shape == (24, 1 + 2 + 3 + 2)
    assert len(np.unique(features, axis=0)) == 24
