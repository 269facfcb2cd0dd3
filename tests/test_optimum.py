"""The proven optimum against brute force, an independent dynamic programme, and HiGHS."""

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from hwgym import AssignmentProblem, DesignSpace, Hardware, Layer, Workload, optimum
from hwgym.bounds import knapsack
from hwgym.costs.maestro import NVDLA
from hwgym.families.assignment.accounting import COMPLETE

OBJECTIVES = ("latency", "energy", "edp", "throughput")
ROUNDING = 1e-12

# --- problems -------------------------------------------------------------------------------------

MAGNITUDES = {
    "ties": lambda rng, shape: rng.integers(1, 4, shape),
    "ordinary": lambda rng, shape: rng.integers(1, 10**9, shape),
    "wide": lambda rng, shape: (10.0 ** rng.uniform(0, 12, shape)).astype(np.int64),
    "steps": lambda rng, shape: rng.choice([1, 10, 10**3, 10**6, 10**12], shape),
}


def table_space(rng, magnitude):
    """A design space of 1 to 4 layers whose tables are random numbers."""
    layers, pes, tiles = rng.integers(1, 5), rng.integers(1, 4), rng.integers(1, 4)
    shape = (layers, pes * tiles)
    valid = rng.random(shape) < rng.choice([0.5, 1.0])
    valid[np.arange(layers), rng.integers(0, pes * tiles, layers)] = True

    def draw():
        return MAGNITUDES[magnitude](rng, shape)

    nothing = np.zeros(shape, np.int64)
    return DesignSpace(
        workload=Workload("w", tuple(Layer.gemm(f"l{i}", M=2, N=2, K=2) for i in range(layers))),
        dataflows=(NVDLA,),
        pe_levels=tuple(range(1, pes + 1)),
        tile_levels=tuple(range(1, tiles + 1)),
        hardware=Hardware(),
        accounting=COMPLETE,
        latency_cycles=draw().astype(np.int64),
        energy_nj=draw() * rng.choice([1.0, 0.1, 1 / 3]),
        area_um2=draw() * rng.choice([1.0, 0.1, 1 / 3]),
        power_mw=draw() * 0.1,
        l1_bytes=nothing,
        l2_bytes=nothing,
        valid=valid,
    )


SIZES = st.integers(1, 24)
LAYERS = st.one_of(
    st.builds(
        lambda k, c, y, x, r, n: Layer("conv", "CONV", k, c, y, x, r, r, repeat=n),
        *(SIZES, SIZES, SIZES, SIZES, st.sampled_from([1, 3]), st.integers(1, 3)),
    ),
    st.builds(
        lambda c, y, r: Layer("depthwise", "DSCONV", 1, c, y, y, r, r),
        *(SIZES, SIZES, st.sampled_from([3, 5])),
    ),
    st.builds(lambda m, n, k: Layer.gemm("gemm", M=m, N=n, K=k), SIZES, SIZES, SIZES),
)


@st.composite
def small_problems(draw):
    """Real costs: 2 to 4 layers, few levels, any objective, constraint, deployment, dataflow."""
    layers = draw(st.lists(LAYERS, min_size=2, max_size=4))
    objective = draw(st.sampled_from(OBJECTIVES))
    arguments = {
        "objective": objective,
        "constraint": draw(st.sampled_from(["area", "power"])),
        "ratio": draw(st.sampled_from([0.0, 0.05, 0.1, 0.25, 0.5, 0.9, 1.0])),
        "deployment": "LP" if objective == "throughput" else draw(st.sampled_from(["LP", "LS"])),
        "pe_levels": draw(st.sampled_from([(8, 32), (6, 16, 64), (5, 128)])),
        "tile_levels": draw(st.sampled_from([(2,), (1, 12)])),
    }
    dataflow = draw(st.sampled_from(["NVDLA", "Eyeriss", "ShiDianNao", "MIX"]))
    try:
        return AssignmentProblem.of(Workload("small", tuple(layers)), dataflow, **arguments)
    except ValueError as error:  # a layer that no choice can run
        if "valid" not in str(error):
            raise
        return reject()


def check_certificate(problem, certificate):
    """What must hold of every exact certificate."""
    scores = problem.evaluate(certificate.assignment)
    assert scores.feasible[0]
    assert scores.objective[0] == certificate.objective
    assert certificate.lower_bound == certificate.objective
    assert certificate.gap == 0
    assert 0 < certificate.relaxation <= certificate.objective
    assert certificate.seconds > 0
    assert certificate.assignment.shape == (problem.num_steps, len(problem.space.shape))


# --- brute force ----------------------------------------------------------------------------------


@given(small_problems())
def test_small_problems_of_the_cost_model(brute_force, problem):
    best, certificate = brute_force(problem), problem.optimum()
    check_certificate(problem, certificate)
    assert certificate.objective == pytest.approx(best, rel=ROUNDING)


@pytest.mark.parametrize("constraint", ["area", "power"])
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("magnitude", MAGNITUDES)
def test_random_tables(brute_force, magnitude, objective, constraint):
    """Ties, invalid points, ranges so wide that rounding shows, budgets that are just met."""
    rng = np.random.default_rng([len(magnitude), len(objective), len(constraint)])
    for _ in range(100):
        space = table_space(rng, magnitude)
        ratio = float(rng.choice([0.0, 1.0, rng.random(), rng.random() ** 4]))
        problem = AssignmentProblem(space, objective, constraint, ratio=ratio)
        if rng.random() < 0.3:
            chosen = [rng.choice(np.flatnonzero(row)) for row in problem.valid]
            used = problem.usage[np.arange(problem.num_steps), chosen].sum()
            problem = AssignmentProblem(space, objective, constraint, budget=float(used))
        best, certificate = brute_force(problem), problem.optimum()
        check_certificate(problem, certificate)
        assert certificate.objective == pytest.approx(best, rel=ROUNDING)
        if objective != "throughput":
            fronts = knapsack.fronts_of(problem.cost, problem.usage, problem.valid)
            relaxed = knapsack.relax(fronts, problem.limit)
            scale = best + relaxed.price * problem.limit
            assert relaxed.bound <= best + ROUNDING * scale
            assert relaxed.cost >= best * (1 - ROUNDING)


# --- networks -------------------------------------------------------------------------------------

NETWORKS = [
    ("MobileNetV2", "NVDLA", {"platform": "iotx"}),
    ("MobileNetV2", "MIX", {"objective": "edp", "constraint": "power"}),
    ("GoogLeNet", "ShiDianNao", {"objective": "energy"}),
    ("BERT", "Eyeriss", {"constraint": "power", "platform": "cloud"}),
    ("GoogLeNet", "ShiDianNao", {"released": True}),
    ("ResNet18", "Eyeriss", {"released": True, "objective": "edp", "constraint": "power"}),
]


@pytest.fixture(params=NETWORKS, ids=lambda p: "-".join([*p[:2], *map(str, p[2].values())]))
def network(request):
    workload, dataflow, settings = request.param
    return AssignmentProblem.of(workload, dataflow, **settings)


def test_certificate_of_networks(network):
    check_certificate(network, network.optimum())
    assert network.optimum().objective <= network.best_uniform()


def test_nothing_near_the_optimum_is_better(network):
    """Change one to four layers at random: what stays feasible must not cost less."""
    rng = np.random.default_rng(2)
    best = network.optimum()
    actions = np.repeat(network.space.encode(best.assignment)[None], 20_000, axis=0)
    rows = np.arange(len(actions))
    for _ in range(4):
        steps = rng.integers(0, network.num_steps, len(actions))
        keep = rng.random(len(actions)) < 0.25
        new = rng.integers(0, network.num_actions, len(actions))
        actions[rows, steps] = np.where(keep, actions[rows, steps], new)
    scores = network.evaluate_actions(actions)
    assert scores.feasible.sum() > 50
    assert scores.objective[scores.feasible].min() >= best.objective * (1 - ROUNDING)


def test_highs_agrees(network):
    pytest.importorskip("scipy")
    exact, highs = network.optimum(), optimum(network, method="milp")
    assert network.evaluate(highs.assignment).feasible[0]
    assert exact.objective <= highs.objective * (1 + ROUNDING)
    assert highs.objective == pytest.approx(exact.objective, rel=1e-6)
    assert highs.lower_bound <= exact.objective
    assert 0 <= highs.gap < 0.05


@pytest.mark.parametrize("constraint", ["area", "power"])
def test_pipeline_period_by_trying_every_period(constraint):
    problem = AssignmentProblem.of("MobileNetV2", objective="throughput", constraint=constraint)
    check_certificate(problem, problem.optimum())
    table = problem.usage
    for period in sorted(set(problem.cost[problem.valid].tolist())):
        fast = problem.valid & (problem.cost <= period)
        if np.where(fast, table, np.inf).min(axis=1).sum() <= problem.budget:
            break
    assert problem.optimum().objective == period


@pytest.mark.parametrize("objective", ["latency", "energy", "edp"])
@pytest.mark.parametrize("dataflow", ["ShiDianNao", "MIX"])
def test_one_configuration_for_all_layers_by_trying_each(objective, dataflow):
    problem = AssignmentProblem.of("GoogLeNet", dataflow, objective=objective, deployment="LS")
    design = problem.design
    tables = {"latency": design.latency_cycles, "energy": design.energy_nj}
    tables["edp"] = tables["latency"] * tables["energy"]
    totals = [
        tables[objective][:, action].sum()
        for action in range(problem.num_actions)
        if design.valid[:, action].all() and design.area_um2[:, action].max() <= problem.budget
    ]
    check_certificate(problem, problem.optimum())
    assert problem.optimum().objective == pytest.approx(min(totals), rel=ROUNDING)


# --- ConfuciuX's released problem -----------------------------------------------------------------

RELEASED = [
    ("MobileNetV2", "NVDLA", "latency", "cloud", 20_513_969),
    ("MobileNetV2", "NVDLA", "latency", "iot", 33_974_305),
    ("MobileNetV2", "NVDLA", "latency", "iotx", 50_622_620),
    ("ResNet50", "Eyeriss", "latency", "iot", 319_546_421),
    ("VGG16", "ShiDianNao", "latency", "iot", 1_058_479_005),
    ("MobileNetV2", "NVDLA", "energy", "iot", 313_524.2955438),
]


def least_cost_by_pes(problem, pes):
    """Dynamic programme over the PEs spent so far: the buffers are free in this problem."""
    table = np.where(problem.valid, problem.cost, np.inf).reshape(problem.num_steps, 12, 12)
    best = np.full(pes + 1, np.inf)  # least cost with exactly so many PEs
    best[0] = 0
    for costs in table.min(axis=2):
        after = np.full(pes + 1, np.inf)
        for taken, cost in zip(problem.design.pe_levels, costs, strict=True):
            after[taken:] = np.minimum(after[taken:], best[: pes + 1 - taken] + cost)
        best = after
    return best.min()


@pytest.mark.parametrize(("model", "dataflow", "objective", "platform", "golden"), RELEASED)
@pytest.mark.parametrize("constraint", ["area", "power"])
def test_released_problem(model, dataflow, objective, platform, golden, constraint):
    settings = {"objective": objective, "platform": platform, "constraint": constraint}
    problem = AssignmentProblem.of(model, dataflow, released=True, **settings)
    layers = len(problem.design.workload)
    share = {"cloud": 0.5, "iot": 0.1, "iotx": 0.05}[platform]
    pes = int(layers + (128 - 1) * layers * share + 1e-6)
    certificate = problem.optimum()
    check_certificate(problem, certificate)
    assert certificate.objective == pytest.approx(least_cost_by_pes(problem, pes), rel=ROUNDING)
    assert certificate.objective == pytest.approx(golden, rel=ROUNDING)


# --- edges ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("dataflow", ["NVDLA", "MIX"])
def test_a_single_layer_takes_its_best_point(three_kinds, objective, ratio, dataflow):
    one = Workload("one", three_kinds[:1])
    problem = AssignmentProblem.of(one, dataflow, objective=objective, ratio=ratio)
    allowed = problem.valid[0] & (problem.usage[0] <= problem.limit)
    check_certificate(problem, problem.optimum())
    assert problem.optimum().objective == problem.cost[0, allowed].min()


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("ratio", [0.1, 0.4, 0.7])
def test_identical_layers(brute_force, three_kinds, objective, ratio):
    twins = Workload("twins", three_kinds[:1] * 4)
    levels = {"pe_levels": (4, 12, 64), "tile_levels": (1, 6)}
    problem = AssignmentProblem.of(twins, objective=objective, ratio=ratio, **levels)
    check_certificate(problem, problem.optimum())
    assert problem.optimum().objective == pytest.approx(brute_force(problem), rel=ROUNDING)


@pytest.mark.parametrize("constraint", ["area", "power"])
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("model", ["MobileNetV2", "GNMT"])
def test_the_least_and_the_greatest_budget(model, objective, constraint):
    settings = {"objective": objective, "constraint": constraint}
    total = max if objective == "throughput" else sum

    tight = AssignmentProblem.of(model, ratio=0.0, **settings)
    cheapest = [
        min(cost for cost, used, ok in zip(*rows, strict=True) if ok and used == least)
        for *rows, least in zip(tight.cost, tight.usage, tight.valid, tight.least_used, strict=True)
    ]
    check_certificate(tight, tight.optimum())
    assert tight.optimum().objective == pytest.approx(total(cheapest), rel=ROUNDING)

    free = AssignmentProblem.of(model, ratio=1.0, **settings)
    best = [
        min(cost for cost, ok in zip(*rows, strict=True) if ok)
        for rows in zip(free.cost, free.valid, strict=True)
    ]
    check_certificate(free, free.optimum())
    assert free.optimum().objective == pytest.approx(total(best), rel=ROUNDING)


def test_a_larger_budget_never_costs_more():
    ratios = np.linspace(0, 1, 41)
    costs = [AssignmentProblem.of("ShuffleNetV2", ratio=r).optimum().objective for r in ratios]
    assert costs == sorted(costs, reverse=True)
    assert len(set(costs)) > 10


def test_more_choice_never_costs_more():
    budget = AssignmentProblem.of("MnasNet").budget
    costs = {
        style: AssignmentProblem.of("MnasNet", style, budget=budget).optimum().objective
        for style in ("NVDLA", "Eyeriss", "ShiDianNao", "MIX")
    }
    assert costs["MIX"] <= min(costs.values())
    fine = AssignmentProblem.of("MnasNet", budget=budget, pe_levels=range(1, 129))
    assert fine.optimum().objective <= costs["NVDLA"]
    check_certificate(fine, fine.optimum())


def test_unknown_method():
    with pytest.raises(ValueError, match="unknown method 'exac'; did you mean 'exact'"):
        optimum(AssignmentProblem.of("NCF"), method="exac")
