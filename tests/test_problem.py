"""AssignmentProblem: budgets, objectives and deployments against plain Python loops."""

import dataclasses
import math

import numpy as np
import pytest

from hwgym import PLATFORMS, AssignmentProblem, DesignSpace, Layer, Workload
from hwgym.core import METRICS, Metric
from hwgym.families.assignment.accounting import MAESTRO
from hwgym.families.assignment.problem import Deployment

OBJECTIVES = ("latency", "energy", "edp", "throughput")
SETTINGS = [
    (objective, constraint, deployment, dataflow)
    for objective in OBJECTIVES
    for constraint in ("area", "power")
    for deployment in ("LP", "LS")
    for dataflow in ("NVDLA", "MIX")
    if (objective, deployment) != ("throughput", "LS")
]


def constraint_table(space, constraint):
    return space.area_um2 if constraint == "area" else space.power_mw


def score_by_loop(problem, assignment):
    """(objective, latency, energy, area, power, valid), a layer at a time."""
    space, rows = problem.design, range(len(problem.design.workload))
    actions = [int(space.encode(levels)) for levels in assignment]
    if problem.deployment.shared:
        actions = actions * len(rows)
    latency = [float(space.latency_cycles[r, a]) for r, a in zip(rows, actions, strict=True)]
    energy = [float(space.energy_nj[r, a]) for r, a in zip(rows, actions, strict=True)]
    demand = max if problem.deployment.shared else sum
    objective = {
        "latency": sum(latency),
        "energy": sum(energy),
        "edp": sum(e * t for e, t in zip(energy, latency, strict=True)),
        "throughput": max(latency),
    }[problem.objective.name]
    return (
        objective,
        sum(latency),
        sum(energy),
        demand(float(space.area_um2[r, a]) for r, a in zip(rows, actions, strict=True)),
        demand(float(space.power_mw[r, a]) for r, a in zip(rows, actions, strict=True)),
        all(bool(space.valid[r, a]) for r, a in zip(rows, actions, strict=True)),
    )


# --- scores ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("objective", "constraint", "deployment", "dataflow"), SETTINGS)
def test_scores_equal_a_plain_loop(three_kinds, objective, constraint, deployment, dataflow):
    problem = AssignmentProblem.of(
        three_kinds,
        dataflow,
        objective=objective,
        constraint=constraint,
        deployment=deployment,
        ratio=0.4,
    )
    rng = np.random.default_rng(0)
    steps, shape = problem.num_steps, problem.space.shape
    batch = rng.integers(0, shape, (60, steps, len(shape)))
    scores = problem.evaluate(batch)
    for i, assignment in enumerate(batch):
        value, latency, energy, area, power, valid = score_by_loop(problem, assignment)
        used = area if constraint == "area" else power
        expected = value if valid else np.inf  # what cannot be built must not look good
        assert scores.objective[i] == pytest.approx(expected, rel=1e-12)
        assert scores["latency"][i] == latency
        assert scores["energy"][i] == pytest.approx(energy, rel=1e-12)
        assert scores["area"][i] == pytest.approx(area, rel=1e-12)
        assert scores["power"][i] == pytest.approx(power, rel=1e-12)
        assert scores.used[i] == pytest.approx(used, rel=1e-12)
        assert scores.valid[i] == valid
        assert scores.feasible[i] == (valid and used <= problem.budget)
    assert 0 < scores.feasible.sum() < 60  # the sample tells both cases apart


def test_a_single_assignment_is_a_batch_of_one(three_kinds):
    problem = AssignmentProblem.of(three_kinds, "MIX")
    assignment = np.array([[3, 4, 0], [5, 6, 1], [7, 8, 2]])
    alone, batch = problem.evaluate(assignment), problem.evaluate([assignment, assignment])
    assert alone.objective.shape == (1,)
    assert batch.objective.shape == (2,)
    np.testing.assert_array_equal(batch.objective, np.repeat(alone.objective, 2))
    assert problem.evaluate(np.zeros((0, 3, 3), int)).feasible.shape == (0,)


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (np.zeros((2, 3, 3), int), r"shape \(N, 3, 2\) or \(3, 2\), got \(2, 3, 3\)"),
        (np.zeros((4, 2), int), r"got \(4, 2\)"),
        (np.zeros(3, int), r"got \(3,\)"),
        (np.zeros((1, 1, 3, 2), int), r"got \(1, 1, 3, 2\)"),
        (np.zeros((2, 3, 2)), "integers"),
        (np.full((2, 3, 2), 12), "lie in"),
        (np.full((2, 3, 2), -2), "lie in"),
        (np.array([[0, 0], [0, 0], [0, 12]]), "lie in"),
    ],
)
def test_evaluate_refuses_other_shapes_and_ranges(three_kinds, assignments, message):
    with pytest.raises(ValueError, match=message):
        AssignmentProblem.of(three_kinds).evaluate(assignments)


def test_an_episode_that_broke_off_is_not_valid_and_costs_what_it_chose(three_kinds):
    problem = AssignmentProblem.of(three_kinds, "MIX")
    genes = np.array([[3, 4, 0], [5, 6, 1], [7, 8, 2]])
    broken = genes.copy()
    broken[2:] = -1
    scores, parts = problem.evaluate([genes, broken]), problem.parts([genes, broken])
    assert scores.valid.tolist() == [True, False]
    assert not scores.feasible[1]
    assert scores.objective[1] == np.inf
    assert parts.valid.tolist() == [[True] * 3, [True, True, False]]
    for part in (parts.cost, parts.used, *parts.metrics.values()):
        np.testing.assert_array_equal(part[1], [*part[0, :2], 0.0])
    assert scores["area"][1] == parts.metrics["area"][0, :2].sum()
    np.testing.assert_array_equal(scores.used, scores["area"])


def test_uniform_lists_every_choice_for_all_steps(three_kinds):
    problem = AssignmentProblem.of(three_kinds, "MIX")
    uniform = problem.space.uniform()
    assert uniform.shape == (432, 3, 3)
    assert (uniform == uniform[:, :1]).all()
    np.testing.assert_array_equal(problem.space.encode(uniform[:, 0]), np.arange(432))


def test_one_configuration_takes_one_step():
    problem = AssignmentProblem.of("MobileNetV2", deployment="LS")
    assert problem.num_steps == 1
    uniform = AssignmentProblem.of("MobileNetV2").space.uniform()
    areas = problem.design.area_um2[:, problem.design.encode(uniform[:, 0])]
    scores = problem.evaluate(problem.space.uniform())
    np.testing.assert_array_equal(scores["area"], areas.max(axis=0))
    np.testing.assert_array_equal(scores.valid, problem.design.valid.all(axis=0))


# --- budgets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("constraint", ["area", "power"])
@pytest.mark.parametrize("deployment", ["LP", "LS"])
def test_budget_lies_between_the_extremes_of_valid_points(platform, constraint, deployment):
    space = DesignSpace.of("AlexNet", "MIX")
    table = constraint_table(space, constraint)
    if deployment == "LP":
        choices = [
            [v for v, ok in zip(row, good, strict=True) if ok]
            for row, good in zip(table, space.valid, strict=True)
        ]
        least, greatest = sum(map(min, choices)), sum(map(max, choices))
    else:
        runs_all = np.flatnonzero(space.valid.all(axis=0))
        demands = [max(table[:, action]) for action in runs_all]
        least, greatest = min(demands), max(demands)
    share = {"unlimited": 1, "cloud": 0.5, "iot": 0.1, "iotx": 0.05}[platform]
    problem = AssignmentProblem.of(
        "AlexNet", "MIX", platform=platform, constraint=constraint, deployment=deployment
    )
    assert problem.budget == pytest.approx(least + (greatest - least) * share, rel=1e-12)
    assert problem.budget_range == pytest.approx((least, greatest), rel=1e-12)


def test_the_default_platform_is_iot():
    assert AssignmentProblem.of("NCF").platform == "iot"
    assert AssignmentProblem.of("NCF").budget == AssignmentProblem.of("NCF", ratio=0.1).budget


@pytest.mark.parametrize("constraint", ["area", "power"])
@pytest.mark.parametrize("dataflow", ["NVDLA", "Eyeriss", "ShiDianNao"])
def test_released_budget_spans_the_four_corner_assignments(dataflow, constraint):
    problem = AssignmentProblem.of(
        "SqueezeNet", dataflow, constraint=constraint, ratio=0.3, released=True
    )
    corners = [np.full((problem.num_steps, 2), (pe, tile)) for pe in (0, 11) for tile in (0, 11)]
    totals = problem.evaluate(corners).used
    expected = totals.min() + (totals.max() - totals.min()) * 0.3
    assert problem.budget == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("corner", [(0, 0), (0, 11), (11, 0), (11, 11)])
def test_released_budget_looks_at_every_corner(corner):
    """Also where the extremes are not both least or both greatest levels."""
    space = DesignSpace.of("AlexNet", accounting="maestro")
    action = int(space.encode(corner))
    for factor in (1e-3, 1e3):
        area = space.area_um2.copy()
        area[:, action] *= factor
        problem = AssignmentProblem(dataclasses.replace(space, area_um2=area), ratio=1.0)
        extreme = problem.budget_range[0 if factor < 1 else 1]
        assert extreme == pytest.approx(area[:, action].sum(), rel=1e-12)


@pytest.mark.parametrize(("ratio", "pes"), [(0.5, 3354), (0.1, 712), (0.05, 382)])
def test_released_area_budget_is_a_budget_of_pes(ratio, pes):
    """Bus area is 101.7938 (14.662 PEs + 28.895) x 81,920,000 a layer; all else is 1e-8 of it."""
    problem = AssignmentProblem.of("MobileNetV2", ratio=ratio, released=True)
    per_layer = problem.budget / 101.7938 / 81_920_000 - 52 * 28.895
    assert math.floor(per_layer / 14.662) == pes


def test_released_problem_is_confuciuxs():
    problem = AssignmentProblem.of("ResNet50", "Eyeriss", released=True)
    assert problem.design.accounting is MAESTRO
    assert problem.design.hardware.tech.name == "maestro-2021"
    assert [style.name for style in problem.design.dataflows] == ["ConfuciuX-Eyeriss"]
    assert len(problem.design.workload) == 53


@pytest.mark.parametrize("dataflow", [["Eyeriss"], ["NVDLA", "Eyeriss"], "MIX"])
def test_released_eyeriss_is_confuciuxs_among_others_too(dataflow):
    names = [
        style.name
        for style in AssignmentProblem.of("AlexNet", dataflow, released=True).design.dataflows
    ]
    assert "ConfuciuX-Eyeriss" in names
    assert "Eyeriss" not in names


@pytest.mark.parametrize("constraint", ["area", "power"])
def test_exactly_the_budget_is_feasible_and_a_hair_more_is_not(constraint):
    space = DesignSpace.of("GoogLeNet", "MIX")
    table = constraint_table(space, constraint)
    rng = np.random.default_rng(1)
    actions = np.array([rng.choice(np.flatnonzero(row)) for row in space.valid])
    shares = [float(table[row, action]) for row, action in enumerate(actions)]
    assignment = space.decode(actions)
    for total in (sum(shares), sum(reversed(shares)), math.fsum(shares)):
        exact = AssignmentProblem(space, constraint=constraint, budget=total)
        assert exact.evaluate(assignment).feasible[0]
        short = AssignmentProblem(space, constraint=constraint, budget=total * (1 - 1e-10))
        assert not short.evaluate(assignment).feasible[0]


def test_an_invalid_point_is_infeasible_under_any_budget():
    problem = AssignmentProblem.of("VGG16", "Eyeriss", budget=1e30)
    assignment = np.full((problem.num_steps, 2), 5)
    assert problem.evaluate(assignment).feasible[0]
    assignment[4, 0] = 0  # one PE cannot hold three filter rows
    scores = problem.evaluate(assignment)
    assert not scores.valid[0]
    assert not scores.feasible[0]
    assert scores.used[0] < problem.budget


@pytest.mark.parametrize("constraint", ["area", "power"])
@pytest.mark.parametrize("deployment", ["LP", "LS"])
def test_the_least_budget_is_enough_and_less_is_refused(constraint, deployment):
    settings = {"constraint": constraint, "deployment": deployment}
    least = AssignmentProblem.of("ViT", ratio=0, **settings).budget
    same = AssignmentProblem.of("ViT", budget=least, **settings)
    assert same.optimum().objective == AssignmentProblem.of("ViT", ratio=0, **settings).optimum(
    ).objective  # fmt: skip
    with pytest.raises(ValueError, match=rf"no assignment fits the {constraint} budget.*least"):
        AssignmentProblem.of("ViT", budget=least * (1 - 1e-9), **settings)


# --- sharing --------------------------------------------------------------------------------------


def test_equal_arguments_share_the_problem_and_its_certificate():
    problem = AssignmentProblem.of("AlexNet", platform="cloud")
    assert problem is AssignmentProblem.of("AlexNet", "NVDLA", platform="cloud")
    assert problem.optimum() is problem.optimum()
    assert problem is not AssignmentProblem.of("AlexNet", platform="iot")


@pytest.mark.parametrize("deployment", ["LP", "LS"])
@pytest.mark.parametrize("objective", ["latency", "energy", "edp"])
@pytest.mark.parametrize("name", ["latency", "energy", "area", "power", "cost", "usage", "valid"])
def test_shared_tables_are_read_only(name, objective, deployment):
    problem = AssignmentProblem.of("AlexNet", objective=objective, deployment=deployment)
    tables = problem.tables
    named = {"cost": tables.cost, "usage": tables.usage, "valid": tables.valid}
    assert not {**tables.metrics, **named}[name].flags.writeable
    if name in named:
        assert getattr(problem, name) is named[name]


def test_the_shared_certificate_is_read_only():
    assert not AssignmentProblem.of("AlexNet").optimum().assignment.flags.writeable


def test_regret_is_relative_to_the_optimum():
    problem = AssignmentProblem.of("AlexNet")
    assert problem.regret(problem.optimum().objective) == 0
    assert problem.regret(1.5 * problem.optimum().objective) == pytest.approx(0.5)


def test_rounding_does_not_beat_an_optimum():
    problem = AssignmentProblem.of("BERT", "MIX", objective="energy", constraint="power")
    best = problem.optimum().objective
    assert problem.regret(np.nextafter(best, 0)) == 0.0
    assert problem.regret(best * (1 - 1e-9)) == 0.0
    above = problem.optimum().above(np.array([best * 0.5, best, best * 2, np.inf]))
    np.testing.assert_array_equal(above, [0.0, 0.0, 1.0, np.inf])


def test_a_deployment_is_an_enumeration_and_a_string():
    problem = AssignmentProblem.of("NCF", deployment="LS")
    assert problem.deployment is Deployment.LS
    assert problem.deployment == "LS"
    assert str(problem.deployment) == f"{problem.deployment}" == "LS"
    assert (Deployment.LS.shared, Deployment.LP.shared) == (True, False)
    assert AssignmentProblem.of("NCF", deployment=Deployment.LS) is problem


def test_metrics_are_objects_and_names_will_do():
    problem = AssignmentProblem.of("NCF", objective="edp", constraint="power")
    assert problem.objective is METRICS["edp"]
    assert problem.constraint is METRICS["power"]
    by_object = AssignmentProblem.of("NCF", objective=METRICS["edp"], constraint=METRICS["power"])
    assert by_object.statement.key == problem.statement.key
    assert by_object.optimum().objective == problem.optimum().objective


def test_workload_from_a_csv_file(three_kinds, tmp_path):
    path = tmp_path / "three-kinds.csv"
    three_kinds.to_csv(path)
    expected = AssignmentProblem.of(three_kinds).evaluate(np.full((3, 2), 4)).objective
    assert AssignmentProblem.of(str(path)).evaluate(np.full((3, 2), 4)).objective == expected


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workload": "mobilenet"}, "did you mean 'MobileNetV2'"),
        ({"workload": "DenseNet121", "released": True}, "did you mean 'DenseNet'"),
        ({"dataflow": "Eyeris"}, "did you mean 'Eyeriss'"),
        ({"objective": "latencies"}, "unknown objective 'latencies'; did you mean 'latency'"),
        ({"constraint": "areas"}, "unknown constraint 'areas'; did you mean 'area'"),
        ({"platform": "IoT"}, "unknown platform 'IoT'; did you mean 'iot'"),
        ({"deployment": "lp"}, "unknown deployment 'lp'; did you mean 'LP'"),
        ({"released": "yes"}, "released must be True or False"),
        ({"platform": "iot", "ratio": 0.1}, "platform and ratio"),
        ({"platform": "iot", "budget": 1e9}, "platform and budget"),
        ({"ratio": 0.1, "budget": 1e9}, "ratio and budget"),
        ({"ratio": 1.01}, r"ratio must lie in \[0, 1\]"),
        ({"ratio": -0.1}, "ratio must be"),
        ({"ratio": math.nan}, "ratio must be"),
        ({"ratio": "half"}, "ratio must be"),
        ({"budget": math.nan}, "budget must be a number"),
        ({"budget": math.inf}, "budget must be a number"),
        ({"budget": -1.0}, "budget must be a number >= 0, got -1.0"),
        ({"budget": 0}, r"no assignment fits the area budget of 0 um\^2"),
        ({"budget": 1.0, "constraint": "power"}, "no assignment fits the power budget of 1 mW"),
        ({"objective": "throughput", "deployment": "LS"}, "throughput.*latency"),
        ({"objective": METRICS["area"]}, "unknown objective 'area'"),
        ({"constraint": METRICS["energy"]}, "unknown constraint 'energy'"),
        ({"objective": Metric("latency", "seconds", "latency")}, "unknown objective 'latency'"),
    ],
)
def test_errors_name_the_culprit(arguments, message):
    with pytest.raises(ValueError, match=message):
        AssignmentProblem.of(**{"workload": "MobileNetV2"} | arguments)


@pytest.mark.parametrize(
    ("deployment", "message"),
    [("LP", "layer 'three rows' has no valid"), ("LS", "no configuration is valid for every")],
)
def test_a_layer_that_cannot_run_is_named(deployment, message):
    layers = Workload(
        "w",
        (
            Layer.gemm("fine", M=4, N=4, K=4),
            Layer("three rows", "CONV", K=4, C=4, OY=5, OX=5, R=3, S=3),
        ),
    )
    with pytest.raises(ValueError, match=message):
        AssignmentProblem.of(layers, "Eyeriss", pe_levels=(1, 2), deployment=deployment)


def test_repr_says_what_is_limited():
    assert repr(AssignmentProblem.of("NCF", budget=5e7)) == (
        "<AssignmentProblem NCF NVDLA latency area<=5e+07um^2 LP>"
    )
