"""Systolic arrays for the layers of networks: tables against the cost model, the pipeline's period
against all solutions, what is said and shown."""

import dataclasses
import itertools
import json

import gymnasium as gym
import numpy as np
import pytest

import hwgym
from hwgym import Layer, Workload
from hwgym.cli import main
from hwgym.core import METRICS, DesignProblem, InfeasibleError, SharedProblem, problem_of, solve
from hwgym.core.family import family_named
from hwgym.costs.systolic import DATAFLOWS, Memory, evaluate, price
from hwgym.families.layered import PipelineProblem, deployments
from hwgym.families.systolic import (
    COLUMN_LEVELS,
    FAMILY,
    KINDS,
    ROW_LEVELS,
    SRAM_LEVELS,
    SystolicSpace,
    systolic_problem,
)
from hwgym.families.systolic.view import VIEW
from hwgym.hardware import Machine

SMALL = {"row_levels": (2, 8), "column_levels": (4, 16), "sram_levels": (64, 4096, 65536)}
THREE = Workload(
    "three",
    (
        Layer("conv", "CONV", K=16, C=8, OY=14, OX=7, R=3, S=3),
        Layer("depthwise", "DSCONV", K=1, C=24, OY=7, OX=14, R=5, S=3, repeat=2),
        Layer.gemm("gemm", M=20, N=30, K=40),
    ),
)


# --- tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataflow", [*DATAFLOWS, "SystolicMIX"])
def test_tables_are_what_the_cost_model_says_of_every_point(dataflow):
    machine = Machine(dram_bandwidth=4.0, clock_ghz=0.5)
    space = SystolicSpace.of(THREE, dataflow, machine=machine, **SMALL)
    names = tuple(DATAFLOWS) if dataflow == "SystolicMIX" else (dataflow,)
    points = itertools.product(*SMALL.values(), names)
    assert space.valid.shape == (3, 12 * len(names))
    for action, (rows, columns, sram, name) in enumerate(points):
        given = space.given(action)
        assert given["pes"] == rows * columns
        assert (given["rows"], given["columns"], given["dataflow"]) == (rows, columns, name)
        assert given["sram_bytes"] == 3 * sram
        for i, layer in enumerate(THREE):
            point = layer, rows, columns, name, Memory.of(machine, sram)
            if not space.valid[i, action]:
                with pytest.raises(ValueError, match="must be at least"):
                    evaluate(*point)
                continue
            costs = evaluate(*point)
            prices = price(costs, machine)
            assert space.latency_cycles[i, action] == costs.cycles
            assert space.energy_nj[i, action] == prices.energy_nj
            assert space.area_um2[i, action] == prices.area_um2
            assert space.power_mw[i, action] == prices.power_mw
            edp = space.table(METRICS["edp"])[i, action]
            assert edp == prices.energy_nj * costs.cycles
            reads, writes = (each[i, action] for each in space.dram_cycles)
            assert (reads + writes) * 4.0 == costs.dram_bytes
            assert writes * 4.0 == costs.dram_ofmap_bytes
            assert max(reads, writes) <= costs.cycles
    assert not space.valid.all()


def test_equal_arguments_share_tables_which_are_read_only():
    space = SystolicSpace.of(THREE, **SMALL)
    assert space is SystolicSpace.of(THREE, "SystolicWS", machine=Machine(), **SMALL)
    assert space is not SystolicSpace.of(THREE, machine={"clock_ghz": 2.0}, **SMALL)
    for name in ("latency_cycles", "energy_nj", "area_um2", "power_mw", "valid"):
        assert not getattr(space, name).flags.writeable


def test_layers_that_differ_in_name_only_are_alike():
    layers = Workload("w", (*THREE, dataclasses.replace(THREE[0], name="again"), THREE[1]))
    statement = systolic_problem(layers, platform="unlimited", **SMALL).statement
    assert statement.alike.tolist() == [0, 1, 2, 0, 1]
    strided = Workload("s", (THREE[0], dataclasses.replace(THREE[0], stride=2, column_stride=2)))
    assert systolic_problem(strided, platform="unlimited").statement.alike.tolist() == [0, 1]
    assert statement.features.shape == (5, 10)


# --- problems -------------------------------------------------------------------------------------


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
    asked = {"objective": objective, "deployment": deployment, "dataflow": "SystolicMIX"}
    problem = systolic_problem(THREE, ratio=0.3, **asked, **SMALL)
    assert type(problem) is kind
    assert problem is systolic_problem(THREE, ratio=0.3, **asked, **SMALL)
    again = systolic_problem(**json.loads(json.dumps(problem.description)))
    assert again.statement.key == problem.statement.key
    assert again.certificate().objective == problem.certificate().objective
    assert problem.statement.key["family"] == "systolic"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"dataflow": "SystolicWs"}, "unknown dataflow 'SystolicWs'; did you mean 'SystolicWS'"),
        ({"dataflow": "NVDLA"}, "unknown dataflow 'NVDLA'"),
        ({"dataflow": []}, "at least one dataflow"),
        ({"dataflow": ["SystolicWS", "SystolicWS"]}, "dataflows must differ"),
        ({"deployment": "share"}, "unknown deployment 'share'; did you mean 'shared'"),
        ({"deployment": "shared"}, "leaves nothing to choose on a shared array"),
        ({"objective": "throughput", "deployment": "LS"}, "period of a layer pipeline"),
        ({"objective": "speed"}, "unknown objective 'speed'"),
        ({"row_levels": (8, 4)}, "row_levels must increase"),
        ({"sram_levels": ()}, "sram_levels must be a list"),
        ({"sram_levels": (0, 4)}, "sram_levels must be"),
        ({"sram_levels": (1,)}, "layer '.*' has no valid design point under SystolicWS with rows"),
        ({"machine": {"clock": 1}}, "unknown .*'clock'; did you mean 'clock_ghz'"),
        ({"machine": {"dram_bandwidth": 0}}, "dram_bandwidth"),
        ({"workload": "ResNet51"}, "did you mean 'ResNet50'"),
    ],
)
def test_errors_name_what_is_wrong(asked, message):
    with pytest.raises(ValueError, match=message):
        systolic_problem(**{"workload": THREE} | asked)


def test_too_small_a_budget_says_what_is_needed():
    with pytest.raises(InfeasibleError, match="no assignment fits the area budget of 10 um"):
        systolic_problem(THREE, budget=10.0)
    big = Layer.gemm("big", M=2**20, N=2**20, K=2**16)
    layers = Workload("w", (dataclasses.replace(big, repeat=10),))
    with pytest.raises(ValueError, match="is too large to be costed exactly"):
        systolic_problem(layers)


# --- the period of a pipeline ---------------------------------------------------------------------


def periods(problem):
    """Of every solution the period and whether it fits, by plain loops."""
    design = problem.design
    reads, writes = design.dram_cycles
    for actions in itertools.product(range(problem.space.num_actions), repeat=problem.num_steps):
        at = list(enumerate(actions))
        period = max(
            max(design.latency_cycles[i] for i in at),
            sum(reads[i] for i in at),
            sum(writes[i] for i in at),
        )
        used = sum(design.table(problem.constraint)[i] for i in at)
        valid = all(design.valid[i] for i in at)
        yield actions, period, used, valid


@pytest.mark.parametrize("constraint", ["area", "power"])
@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("bandwidth", [0.5, 4.0, 64.0])
def test_the_shortest_period_is_that_of_all_solutions(constraint, ratio, bandwidth):
    problem = systolic_problem(
        THREE, "SystolicOS", objective="throughput", constraint=constraint, ratio=ratio,
        machine={"dram_bandwidth": bandwidth}, **SMALL,
    )  # fmt: skip
    assert isinstance(problem, PipelineProblem)
    best, uses = np.inf, []
    for actions, period, used, valid in periods(problem):
        scores = problem.evaluate(problem.space.decode(np.array(actions)))
        assert scores.objective[0] == (period if valid else np.inf)
        assert scores.used[0] == pytest.approx(used, rel=1e-12)
        assert scores.feasible[0] == (valid and scores.used[0] <= problem.limit)
        if valid:
            uses.append(used)
            best = min(best, period if scores.feasible[0] else np.inf)
    assert problem.budget_range == pytest.approx((min(uses), max(uses)))
    assert problem.optimum().objective == best
    assert problem.certificate().exact


def drawn(seed, scale):
    """A space whose latencies, reads and writes are drawn, writes ``scale`` times the reads."""
    rng = np.random.default_rng(seed)
    space = SystolicSpace.of(THREE, "SystolicOS", **SMALL)
    shape = space.valid.shape
    return dataclasses.replace(
        space,
        latency_cycles=rng.integers(50, 400, shape),
        dram_read_bytes=rng.integers(0, 4000, shape),
        dram_write_bytes=(rng.integers(0, 4000, shape) * scale).astype(np.int64),
        area_um2=rng.uniform(1, 100, shape),
        valid=rng.random(shape) < 0.8,
    )


@pytest.mark.parametrize("scale", [0.2, 1.0, 1.3, 5.0])
@pytest.mark.parametrize("seed", range(6))
def test_where_writes_count_the_bound_holds_all_the_same(seed, scale):
    problem = KINDS.pipeline(drawn(seed, scale), ratio=0.3)
    fits = [p for _, p, used, valid in periods(problem) if valid and used <= problem.limit]
    found = problem.certificate()
    assert found.lower_bound <= min(fits) * (1 + 1e-12)
    assert found.objective >= min(fits) * (1 - 1e-12)
    if found.exact:
        assert found.objective == pytest.approx(min(fits), rel=1e-12)
    assert found.exact or scale > 0.2  # where only reads matter it is proven


def test_the_period_is_no_less_than_that_of_the_slowest_layer_alone():
    for platform in ("cloud", "iot", "iotx"):
        problem = systolic_problem("ResNet50", "SystolicMIX", platform=platform,
                                   objective="throughput")  # fmt: skip
        best = problem.optimum()
        found = VIEW.describe_solution(problem, best.assignment)
        assert found["period_cycles"] == best.objective
        slowest = max(row["latency_cycles"] for row in found["layers"])
        reads = sum(row["dram_read_bytes"] for row in found["layers"]) / 16
        assert best.objective == max(slowest, reads)
        latency = systolic_problem("ResNet50", "SystolicMIX", platform=platform).optimum()
        other = VIEW.describe_solution(problem, latency.assignment)
        assert other["period_cycles"] >= best.objective


def test_a_bank_is_of_one_kind():
    kinds = [systolic_problem(THREE, "SystolicMIX", ratio=0.5, **asked, **SMALL)
             for asked in ({}, {"objective": "throughput"}, {"deployment": "shared"})]  # fmt: skip
    for pair in itertools.combinations(kinds, 2):
        with pytest.raises(ValueError, match="must all be of a shared array, or all of a pipe"):
            FAMILY.dynamics(pair)


# --- deployments ----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["MobileNetV2", "VGG16"])
def test_deployments_stand_side_by_side(model):
    problem = systolic_problem(model, "SystolicMIX", objective="throughput")
    found = deployments(problem, KINDS.of)
    assert list(found) == ["LP", "LS", "shared"]
    assert found["LP"]["objective"] == problem.optimum().objective
    assert found["LP"]["period_cycles"] == problem.optimum().objective
    # On one array the period is the latency, and choosing the dataflow by layer cannot hurt.
    for name in ("LS", "shared"):
        assert found[name]["objective"] == found[name]["latency_cycles"]
        assert found[name]["objective"] == found[name]["period_cycles"]
    assert found["shared"]["objective"] <= found["LS"]["objective"]
    assert all(row["area_um2"] <= problem.limit for row in found.values())
    one = systolic_problem(model, "SystolicOS")
    assert list(deployments(one, KINDS.of)) == ["LP", "LS"]
    tight = systolic_problem(THREE, "SystolicMIX", constraint="power", ratio=0.0, **SMALL)
    for row in deployments(tight, KINDS.of).values():
        assert (row["objective"] is None) == ("why" in row)


# --- ids, views, agents ---------------------------------------------------------------------------


def test_ids_pose_what_they_say():
    problem = problem_of("HWAssign-ResNet18-SystolicMIX-Energy-Power-Cloud-v0")
    assert problem is systolic_problem("ResNet18", "SystolicMIX", objective="energy",
                                       constraint="power", platform="cloud")  # fmt: skip
    assert problem_of("HWAssign-VGG16-SystolicOS-v0").space.shape == (
        len(ROW_LEVELS), len(COLUMN_LEVELS), len(SRAM_LEVELS),
    )  # fmt: skip
    env = gym.make("HWAssign-Systolic-v0", workload="NCF", deployment="LS")
    assert env.unwrapped.problem.num_steps == 1
    assert family_named("systolic") is FAMILY


@pytest.mark.parametrize("name", ["rows", "columns", "SRAM bytes"])
@pytest.mark.parametrize("model", ["MobileNetV2", "ResNet50"])
def test_every_axis_matters(model, name):
    """No single level of any axis, for all layers, comes within 1 % of the optimum."""
    problem = systolic_problem(model, "SystolicOS")
    best, axes = problem.optimum(), [axis.name for axis in problem.space.axes]
    levels = problem.space.decode(np.arange(problem.num_actions))[:, axes.index(name)]
    for level in np.unique(levels):
        design = dataclasses.replace(problem.design, valid=problem.valid & (levels == level))
        try:
            fixed = KINDS.table(design, budget=problem.budget)
        except ValueError:
            continue
        assert fixed.optimum().objective > best.objective * 1.01


def test_the_command_line_asks_the_view(capsys):
    env_id = "HWAssign-AlexNet-SystolicMIX-v0"
    assert main(["show", env_id]) == 0
    out = capsys.readouterr().out
    assert "rows: 2, 4, 8, 16, 32, 64, 128" in out
    assert "SCALE-Sim's cycles with stalls; 45nm at 1 GHz" in " ".join(out.split())
    assert main(["show", env_id, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    rows = shown["optimum"]["layers"]
    assert [row["layer"] for row in rows] == [layer.name for layer in hwgym.workload("AlexNet")]
    assert sum(row["latency_cycles"] for row in rows) == shown["optimum"]["objective"]
    assert {"rows", "columns", "sram_bytes", "dataflow", "dram_read_bytes"} <= set(rows[0])
    assert main(["list", "environments", "AlexNet", "systolicmix", "--json"]) == 0
    listed = [entry["id"] for entry in json.loads(capsys.readouterr().out)]
    assert env_id in listed


@pytest.mark.parametrize(
    ("objective", "deployment"),
    [("latency", "LP"), ("latency", "LS"), ("throughput", "LP"), ("energy", "shared")],
)
def test_views_show_what_is_chosen_and_what_is_not(objective, deployment):
    problem = systolic_problem(THREE, "SystolicMIX", ratio=0.4, objective=objective,
                               deployment=deployment, **SMALL)  # fmt: skip
    best = problem.certificate().assignment
    text = VIEW.text(problem, best)
    assert all(layer.name in text for layer in THREE)
    facts = VIEW.facts(problem)
    assert "a third each for inputs" in facts["each layer gets"]
    begun = np.where(np.arange(len(best))[:, None] < 1, best, -1)
    assert VIEW.text(problem, begun).count(" - ") > 0 or problem.num_steps == 1
    rows = VIEW.rows(problem, begun)
    assert [row["pes"] is None for row in rows] == [i >= 1 and problem.num_steps > 1
                                                    for i in range(3)]  # fmt: skip
    with pytest.raises(ValueError, match="not complete"):
        VIEW.describe_solution(problem, np.full_like(best, -1))
    with pytest.raises(ValueError, match=r"SystolicProblem or .* is needed"):
        VIEW.facts(problem_of("HWAssign-NCF-NVDLA-v0"))


@pytest.mark.parametrize(("objective", "deployment"), [("throughput", "LP"), ("latency", "shared")])
def test_totals_agents_search_what_is_not_separable(objective, deployment):
    problem = systolic_problem("AlexNet", "SystolicMIX", objective=objective, deployment=deployment)
    result = solve("annealing", problem, samples=300, seed=0)
    assert 0 <= result.regret < np.inf
    assert not problem.separable
    assert isinstance(problem, PipelineProblem | SharedProblem)
    assert not isinstance(problem, DesignProblem)
    for agent in ("tabulate", "greedy", "lagrangian"):
        with pytest.raises(ValueError, match="is known of whole solutions only"):
            solve(agent, problem, samples=50)
