"""Pareto fronts against brute force, and what is promised of thinned ones."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgym import AssignmentProblem, Layer, Workload
from hwgym.families.assignment.frontier import frontier

LEVELS = {"pe_levels": (1, 4, 9, 32), "tile_levels": (1, 2, 7)}


def values_of(problem, objectives, actions):
    """(N, objectives) of feasible assignments, by the problem's own evaluation."""
    scores = problem.evaluate_actions(actions)
    metrics = problem.tables.metrics
    steps = np.arange(problem.num_steps)
    columns = {name: scores[name] for name in metrics}
    columns["edp"] = (metrics["latency"] * metrics["energy"])[steps, actions].sum(axis=1)
    columns["throughput"] = metrics["latency"][steps, actions].max(axis=1)
    values = np.stack([columns[name] for name in objectives], axis=1)
    return values[scores.feasible], actions[scores.feasible]


def pareto(values):
    """Of points, those that no other beats, without repetition and up to rounding."""
    _, first = np.unique((values / values.max(axis=0)).round(12), axis=0, return_index=True)
    distinct = values[first]
    no_worse = np.all(distinct[:, None] <= distinct * (1 + 1e-11), axis=-1)
    better = np.any(distinct[:, None] < distinct * (1 - 1e-11), axis=-1)
    return distinct[~(no_worse & better).any(axis=0)]


@pytest.fixture(scope="module")
def every(every_assignment):
    found = {}

    def listed(problem):
        key = (problem.num_steps, problem.num_actions)
        if key not in found:
            found[key] = every_assignment(problem)
        return found[key]

    return listed


@pytest.mark.parametrize("constraint", ["area", "power"])
@pytest.mark.parametrize("ratio", [1.0, 0.3, 0.02])
@pytest.mark.parametrize(
    "objectives",
    [
        ("latency", "area"),
        ("energy", "power"),
        ("latency", "energy"),
        ("latency", "energy", "area"),
        ("edp", "power", "area"),
        ("throughput", "energy"),
        ("throughput", "area", "energy"),
    ],
)
def test_the_front_is_that_of_all_assignments(three_kinds, every, objectives, ratio, constraint):
    if len([o for o in objectives if o != constraint]) > 2:
        pytest.skip("too many objectives beside the constraint")
    problem = AssignmentProblem.of(three_kinds, constraint=constraint, ratio=ratio, **LEVELS)
    front = frontier(problem, objectives)
    all_values, _ = values_of(problem, objectives, every(problem))
    wanted = pareto(all_values)
    assert len(front) == len(wanted)
    matched = np.isclose(front.values[:, None], wanted, rtol=1e-10, atol=0).all(axis=-1)
    assert matched.any(axis=0).all()
    assert matched.any(axis=1).all()
    again, feasible = values_of(problem, objectives, front.actions)
    assert len(feasible) == len(front)
    np.testing.assert_allclose(again, front.values, rtol=1e-12)
    assert front.exact
    assert front.claim.startswith("exact")
    assert np.all(np.diff(front.values[:, 0]) >= 0)


@st.composite
def small_problems(draw):
    layers = [
        Layer(f"l{i}", "CONV", K=draw(st.integers(1, 40)), C=draw(st.integers(1, 40)),
              OY=draw(st.integers(1, 20)), OX=draw(st.integers(1, 20)), R=1, S=1)
        for i in range(draw(st.integers(1, 3)))
    ]  # fmt: skip
    return AssignmentProblem.of(
        Workload("drawn", layers),
        draw(st.sampled_from(["NVDLA", "ShiDianNao", "MIX"])),
        ratio=draw(st.sampled_from([0.05, 0.5, 1.0])),
        pe_levels=(1, 3, 16),
        tile_levels=(1, 5),
    )


@given(small_problems(), st.sampled_from([0.0, 0.02, 0.3]))
def test_fronts_of_random_problems_cover_all_assignments(problem, epsilon):
    names = ("latency", "energy", "area")
    front = frontier(problem, names, epsilon=epsilon)
    actions = np.array(
        list(itertools.product(range(problem.num_actions), repeat=problem.num_steps))
    )
    values, _ = values_of(problem, names, actions)
    slack = np.array([1 + epsilon, 1 + epsilon, 1]) * (1 + 1e-11)
    for block in np.array_split(values, max(1, len(values) // 1000)):
        covered = np.all(front.values <= (block * slack)[:, None], axis=-1).any(axis=1)
        assert covered.all()


def test_one_configuration_for_all_layers():
    problem = AssignmentProblem.of("NCF", deployment="LS", platform="cloud")
    front = frontier(problem, ("latency", "energy", "area"))
    values, _ = values_of(problem, front.objectives, np.arange(problem.num_actions)[:, None])
    np.testing.assert_allclose(np.sort(front.values[:, 0]), np.sort(pareto(values)[:, 0]))


@pytest.mark.parametrize("objective", ["latency", "energy"])
def test_its_ends_are_the_proven_optima(objective):
    problem = AssignmentProblem.of("MobileNetV2", objective=objective)
    exact = frontier(problem, (objective, "area"))
    assert exact.values[0, 0] == problem.optimum().objective
    assert exact.values[:, 1].max() <= problem.limit
    assert exact.values[:, 1].min() == pytest.approx(problem.least_used.sum(), rel=1e-12)


@pytest.mark.parametrize("cells", [2**22, 0])
def test_a_thinned_front_is_shorter_and_keeps_its_promise(monkeypatch, cells):
    # 0: as where a grid is too fine to hold.
    monkeypatch.setattr("hwgym.bounds.pareto._CELLS", cells)
    problem = AssignmentProblem.of("AlexNet")
    names = ("latency", "energy", "area")
    exact = frontier(problem, names)
    for epsilon in (0.3, 0.03):
        thin = frontier(problem, names, epsilon=epsilon)
        assert not thin.exact
        assert len(thin) < len(exact) / 2
        assert f"within {epsilon:g}" in thin.claim
        slack = np.array([1 + epsilon, 1 + epsilon, 1]) * (1 + 1e-11)
        for point in exact.values[:: len(exact) // 500]:
            assert np.all(thin.values <= point * slack, axis=1).any()
        for i, objective in enumerate(("latency", "energy")):
            best = AssignmentProblem.of("AlexNet", objective=objective).optimum().objective
            assert thin.values[:, i].min() == best


def test_many_layers_within_a_tolerance():
    problem = AssignmentProblem.of("MobileNetV2")
    front = frontier(problem, epsilon=0.2)
    rng = np.random.default_rng(0)
    cheap = np.argsort(np.where(problem.valid, problem.usage, np.inf), axis=1)[:, :60]
    picks = cheap[np.arange(problem.num_steps), rng.integers(60, size=(20_000, problem.num_steps))]
    values, _ = values_of(problem, front.objectives, picks)
    assert len(values) > 100
    slack = np.array([1.2, 1.2, 1]) * (1 + 1e-11)
    assert all(np.all(front.values <= v * slack, axis=1).any() for v in values[:300])


def test_rows_and_selection():
    front = frontier(AssignmentProblem.of("NCF", "MIX"), ("latency", "energy", "area"), epsilon=0.1)
    chosen = front.select(8)
    assert len(chosen) == min(8, len(front))
    assert np.all(np.diff(chosen) > 0)
    assert set(front.values.argmin(axis=0)) <= set(chosen)
    for row in front.rows(chosen):
        scores = front.problem.evaluate(front.assignment(row["point"]))
        assert row["latency_cycles"] == scores["latency"][0]
        assert row["area_um2"] == scores["area"][0] <= front.problem.limit
        assert 0 < row["budget_used"] <= 1 + 1e-9
    assert len(front.rows()) == len(front)


def test_progress_is_told():
    seen = []
    problem = AssignmentProblem.of("AlexNet")
    frontier(problem, ("latency", "area"), progress=lambda *at: seen.append(at))
    assert seen == [(i, 5) for i in range(2, 6)]


@pytest.mark.parametrize(
    ("objectives", "settings", "message"),
    [
        (("latency", "size"), {}, "unknown objective 'size'"),
        (("latancy", "area"), {}, "did you mean 'latency'?"),
        (("latency",), {}, "two or three objectives, got latency"),
        (("latency", "latency"), {}, "two or three objectives"),
        (("latency", "energy", "edp", "throughput"), {}, "two or three objectives"),
        (("latency", "energy", "power"), {}, "at most two objectives beside the constraint, area"),
        (("latency", "area"), {"epsilon": -0.1}, "epsilon must be a number >= 0, got -0.1"),
        (("latency", "area"), {"epsilon": float("nan")}, "epsilon must be a number >= 0"),
    ],
)
def test_mistakes_are_explained(objectives, settings, message):
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        frontier(AssignmentProblem.of("NCF"), objectives, **settings)


def test_throughput_needs_a_pipeline():
    problem = AssignmentProblem.of("NCF", deployment="LS")
    with pytest.raises(ValueError, match="under LS take latency"):
        frontier(problem, ("throughput", "area"))


def test_too_many_says_what_to_do(monkeypatch):
    monkeypatch.setattr("hwgym.bounds.pareto.TOO_MANY", 50)
    with pytest.raises(ValueError, match="more than 50: give a tolerance above 0"):
        frontier(AssignmentProblem.of("AlexNet"))
