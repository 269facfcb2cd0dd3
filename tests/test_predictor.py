"""What the predictor knows of layers without costing them, how it learns, plans and corrects."""

from __future__ import annotations

import json
import warnings
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hwgym
from hwgym.core import Problem, problem_of, solve
from hwgym.costs.maestro import MAESTRO_2019, Hardware, dataflow
from hwgym.families.assignment import PE_LEVELS, TILE_LEVELS, AssignmentProblem
from hwgym.families.assignment.multi.splits import Source
from hwgym.families.systolic import systolic_problem
from hwgym_agents import assignment_features
from hwgym_agents.assignment_estimates import COUNTS, NAMES, Estimated, estimated
from hwgym_agents.assignment_features import features_of, warn_unlike
from hwgym_agents.predictor import (
    CHECKPOINT,
    TARGETS,
    Arithmetic,
    Network,
    Predictor,
    load,
    predict,
)

PES, TILES = np.repeat(PE_LEVELS, len(TILE_LEVELS)), np.tile(TILE_LEVELS, len(PE_LEVELS))

ASKED: list[tuple[str, Any, dict[str, Any]]] = [
    ("MobileNetV2", "NVDLA", {"ratio": 0.05}),
    ("ResNet18", "ShiDianNao", {"ratio": 0.1, "objective": "energy", "constraint": "power"}),
    ("MnasNet", "Eyeriss", {"ratio": 0.08, "objective": "edp"}),
    ("AlexNet", "MIX", {"ratio": 0.05}),
]
UNSEEN = ("ResNet18", "NVDLA-CxK:16", {"ratio": 0.05, "hardware": {"noc_bandwidth": 8}})


def posed(workload: str, style: Any, settings: dict[str, Any]) -> Problem:
    return AssignmentProblem.of(workload, style, **settings)


# --- features -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["NVDLA", "Eyeriss", "ShiDianNao", "NVDLA-CxK:16"])
def test_features_are_finite_and_each_layers_own(name: str) -> None:
    layers = list(hwgym.workload("MobileNetV2"))[:8]
    all_ = estimated(layers, dataflow(name), Hardware(), PES, TILES)
    assert all_.values.shape == (8, 144, len(NAMES))
    assert np.isfinite(all_.values).all()
    assert np.isfinite(all_.counts).all()
    for i in (0, 1, 7):
        one = estimated(layers[i : i + 1], dataflow(name), Hardware(), PES, TILES)
        np.testing.assert_array_equal(all_.values[i], one.values[0])
        np.testing.assert_array_equal(all_.counts[i], one.counts[0])


def test_an_estimate_begins_with_the_features_that_other_agents_have() -> None:
    layers = list(hwgym.workload("MobileNetV2"))[:4]
    base = features_of(layers, dataflow("Eyeriss"), Hardware(simd_lanes=4), PES, TILES)
    more = estimated(layers, dataflow("Eyeriss"), Hardware(simd_lanes=4), PES, TILES)
    assert NAMES[: len(assignment_features.NAMES)] == assignment_features.NAMES
    np.testing.assert_array_equal(more.values[..., : base.values.shape[-1]], base.values)


def cycles(layers: Any, name: str, **machine: Any) -> Any:
    found = estimated(layers, dataflow(name), Hardware(**machine), PES, TILES)
    return found.counts[..., COUNTS.index("cycles")]


@pytest.mark.parametrize("name", ["NVDLA", "Eyeriss", "ShiDianNao", "ShiDianNao-YxX:16"])
def test_a_lesser_machine_is_never_thought_faster(name: str) -> None:
    layers = list(hwgym.workload("ResNet18"))[:6]
    usual = cycles(layers, name)
    for machine in (
        {"noc_bandwidth": 4},
        {"noc_hops": 6},
        {"noc_hop_latency": 3},
        {"offchip_bandwidth": 4},
    ):
        slower = cycles(layers, name, **machine)
        assert (slower >= usual - 1e-9).all(), machine
        assert (slower > usual + 1e-3).any(), machine
    faster = cycles(layers, name, simd_lanes=8)
    assert (faster <= usual + 1e-9).all()
    assert (faster < usual - 0.1).any()


def test_machines_may_be_each_layers_own() -> None:
    layers = list(hwgym.workload("ResNet18"))[:3]
    own = {"noc_bandwidth": [4, 64, 512], "simd_lanes": [1, 4, 8], "offchip_bandwidth": [9, 8, 7]}
    columns = {name: np.array(values)[:, None] for name, values in own.items()}
    all_ = estimated(layers, dataflow("Eyeriss"), Hardware(**columns), PES, TILES)
    for i, layer in enumerate(layers):
        machine = Hardware(**{name: values[i] for name, values in own.items()})
        one = estimated([layer], dataflow("Eyeriss"), machine, PES, TILES)
        for name in Estimated._fields:
            np.testing.assert_array_equal(getattr(all_, name)[i], getattr(one, name)[0])


def test_an_array_without_room_for_a_cluster_is_seen_to_be_too_small() -> None:
    [layer] = list(hwgym.workload("VGG16"))[:1]
    fits = estimated([layer], dataflow("Eyeriss"), Hardware(), PES, TILES).fits[0]
    np.testing.assert_array_equal(fits, layer.R <= PES)
    assert estimated([layer], dataflow("NVDLA"), Hardware(), PES, TILES).fits.all()


def test_the_roofline_is_a_bound_where_the_array_is_full() -> None:
    layers = list(hwgym.workload("VGG16"))[:4]
    found = features_of(layers, dataflow("NVDLA"), Hardware(), PES, TILES)
    least = np.array([layer.macs for layer in layers])[:, None] / PES
    assert (found.cycles >= np.log2(least) - 1e-9).all()
    narrow = features_of(layers, dataflow("NVDLA"), Hardware(noc_bandwidth=2), PES, TILES)
    assert (narrow.cycles >= found.cycles).all()
    assert (narrow.cycles > found.cycles).any()


# --- training -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bought() -> Any:
    pytest.importorskip("torch")
    from hwgym_agents.train_predictor import buy

    return buy(2_000, seed=1, networks=1, dataflows=1, layers=20)


def test_costs_are_bought_as_asked(bought: Any) -> None:
    assert 1_800 <= len(bought.valid) <= 2_200
    assert bought.values.shape == (len(bought.valid), len(NAMES))
    assert np.isfinite(bought.residuals).all()
    assert bought.valid.mean() > 0.5


def test_training_lessens_the_error(bought: Any) -> None:
    from hwgym_agents.train_predictor import train

    def error(steps: int) -> float:
        network = train(bought, steps=steps, hidden=(32, 32))
        off = np.abs(network(bought.values)[:, :-1] - bought.residuals)[bought.valid]
        return float(off.mean())

    assert error(200) < 0.3 * error(2)


def test_what_was_interrupted_goes_on_as_if_it_had_not_been(bought: Any, tmp_path: Path) -> None:
    from hwgym_agents.train_predictor import train

    settings: dict[str, Any] = {"steps": 8, "hidden": (8,), "every": 2, "made": {"seed": 0}}
    whole = train(bought, **settings, out=tmp_path / "whole.npz")

    def stop(done: int, *_: Any) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(bought, **settings, out=tmp_path / "other.npz", seen=stop)
    done: list[int] = []
    other = train(
        bought, **settings, out=tmp_path / "other.npz", seen=lambda at, *_: done.append(at)
    )
    assert done == [6, 8]
    np.testing.assert_array_equal(whole(bought.values), other(bought.values))
    assert not list(tmp_path.glob("*.pt"))


def test_the_network_is_what_torch_computes() -> None:
    torch = pytest.importorskip("torch")
    network = load()
    values = np.random.default_rng(0).normal(size=(50, len(NAMES))).astype(np.float32)
    told = torch.from_numpy(values)
    for i, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        told = told @ torch.from_numpy(weight) + torch.from_numpy(bias)
        told = told if i == len(network.weights) - 1 else told.relu()
    np.testing.assert_allclose(network(values), told.numpy(), rtol=1e-4, atol=1e-4)


def test_costs_are_those_of_the_cost_model() -> None:
    pytest.importorskip("torch")
    from hwgym_agents.train_predictor import _asked

    layers = list(hwgym.workload("ResNet18"))[:2]
    machines = Hardware(simd_lanes=np.array([[1], [4]]))
    choices = np.array([[0, 50], [100, 143]])
    found = _asked(layers, dataflow("NVDLA"), machines, PES[choices], TILES[choices])
    told = estimated(layers, dataflow("NVDLA"), machines, PES[choices], TILES[choices])
    counts = np.exp2(told.counts.reshape(4, -1) + found.residuals)
    for row, (i, j) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        one = hwgym.evaluate(
            layers[i], "NVDLA", PES[choices[i, j]], TILES[choices[i, j]],
            Hardware(simd_lanes=(1, 4)[i]),
        )  # fmt: skip
        true = (one.runtime_cycles, one.num_macs)
        np.testing.assert_allclose(counts[row, :2], np.ravel(true), rtol=1e-4)
        np.testing.assert_allclose(counts[row, 4:], np.ravel((one.l1_bytes, one.l2_bytes)), 1e-4)


def test_no_more_costs_are_bought_than_asked() -> None:
    pytest.importorskip("torch")
    from hwgym_agents.train_predictor import buy

    for settings in ({}, {"hold_out": "Eyeriss"}, {"machines": 0.0, "share": 0.0}):
        assert 18_000 <= len(buy(20_000, **settings).valid) <= 20_000


def test_made_up_layers_are_of_no_other_split() -> None:
    from hwgym_agents.made_up import any_layers

    made = any_layers(200, np.random.default_rng(0))
    assert len({layer.shape for layer in made}) == 200
    assert {layer.kind for layer in made} == {"CONV", "DSCONV", "GEMM"}
    for split in ("val", "test", "zoo", "ood"):
        assert not {y.shape for y in made} & {y.shape for y in Source(split).parts.layers}


def test_made_up_dataflows_leave_one_out() -> None:
    pytest.importorskip("torch")
    from hwgym_agents.made_up import generated, spread_dims
    from hwgym_agents.train_predictor import buy

    rng = np.random.default_rng(0)
    made = generated(100, rng)
    assert len({d.directives for d in made}) == 100
    assert all("16" not in str(d) for d in made)
    assert len({spread_dims(d) for d in made}) > 10
    for name, spread in (("NVDLA", ("K", "C")), ("Eyeriss", ("Y", "RY")), ("ShiDianNao", "YX")):
        assert spread_dims(dataflow(name)) == tuple(spread)
        assert tuple(spread) in {spread_dims(d) for d in made}
        without = generated(100, rng, hold_out=name)
        assert tuple(spread) not in {spread_dims(d) for d in without}
    with pytest.raises(ValueError, match="unknown dataflow 'Eyeris'; did you mean 'Eyeriss'"):
        buy(10, hold_out="Eyeris")


def test_made_up_machines_are_within_what_is_told() -> None:
    from hwgym_agents.made_up import MACHINES, any_machines

    usual = Hardware().arrays()
    made = any_machines(500, np.random.default_rng(0), 0.5, (16, 64)).arrays()
    assert made.keys() == MACHINES.keys()
    for name, (least, most) in MACHINES.items():
        assert made[name].shape == (500, 1)
        assert least <= made[name].min() <= made[name].max() <= most
        assert least <= usual[name] <= most
        assert len(np.unique(made[name])) > 3
    none = any_machines(50, np.random.default_rng(0), 0.0, (16, 64)).arrays()
    assert set(none.pop("noc_bandwidth").ravel().tolist()) == {16, 64}
    assert all((values == usual[name]).all() for name, values in none.items())


# --- checkpoints ----------------------------------------------------------------------------------


def test_a_checkpoint_holds_what_was_saved(tmp_path: Path) -> None:
    network = load()
    network.save(tmp_path / "again.npz")
    again = Network.load(tmp_path / "again.npz")
    values = np.random.default_rng(0).normal(size=(50, len(NAMES))).astype(np.float32)
    np.testing.assert_array_equal(again(values), network(values))
    assert again.made == network.made


def test_the_shipped_checkpoint_says_how_it_was_made() -> None:
    made = load().made
    assert made["command"].startswith("python -m hwgym_agents.train_predictor")
    assert made["costs"] <= 1_000_000
    assert json.dumps(made)
    assert CHECKPOINT.stat().st_size < 3e6


def test_files_that_are_no_checkpoints_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(ValueError, match=r"text\.npz is no checkpoint of the predictor"):
        load(tmp_path / "text.npz")
    Network([np.zeros((3, len(TARGETS)))], [np.zeros(len(TARGETS))], {}).save(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="other features"):
        load(tmp_path / "a.npz")


# --- searching ------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ASKED, ids=lambda a: f"{a[0]}-{a[1]}")
def test_the_first_sample_is_feasible_and_good(asked: Any) -> None:
    problem = posed(*asked)
    found = solve("predictor", problem, samples=1)
    assert found.samples == 1
    assert found.regret < 0.02


def test_a_dataflow_that_was_never_seen_is_read() -> None:
    problem = posed(*UNSEEN)
    assert solve("predictor", problem, samples=1).regret < 0.1
    assert solve("predictor", problem, samples=11).regret < 0.02


def test_samples_never_make_it_worse_and_prove_it_in_the_end() -> None:
    problem = posed("AlexNet", "ShiDianNao", {"ratio": 0.1, "objective": "energy"})
    found = solve("predictor", problem, samples=160)
    assert (np.diff(found.history) <= 0).all()
    assert found.regret < 1e-9
    again = solve("predictor", problem, samples=160, seed=1)
    assert again.samples == found.samples
    np.testing.assert_array_equal(again.history, found.history)
    np.testing.assert_array_equal(again.assignment, found.assignment)


def test_without_a_mask_the_plan_is_evaluated_as_it_is() -> None:
    problem = posed(*ASKED[0])
    found = solve(Predictor(masks=False), problem, samples=1)
    assert found.samples == 1
    assert not np.isnan(found.objective)


@pytest.mark.parametrize("deployment", ["LP", "LS"])
def test_other_questions_are_answered(deployment: str) -> None:
    objective = "throughput" if deployment == "LP" else "energy"
    problem = AssignmentProblem.of(
        "AlexNet", objective=objective, platform="iot", deployment=deployment
    )
    assert solve("predictor", problem, samples=10).regret < 0.02


def test_tables_are_near_the_true_ones() -> None:
    problem: Any = posed(*ASKED[0])
    told = predict(load(), problem.statement)
    true = problem.tables
    both = told.valid & true.valid
    assert both.sum() > 0.97 * true.valid.sum()
    for name in ("cost", "usage"):
        off = np.abs(getattr(told, name)[both] / getattr(true, name)[both] - 1)
        assert np.median(off) < 0.01, name


def test_technology_that_was_never_seen_costs_nothing() -> None:
    tech = replace(MAESTRO_2019, name="other", l2_area_um2=10.0, mac_area_um2=5_000.0)
    hardware = Hardware(technology=tech)
    problem = posed("MobileNetV2", "NVDLA", {"ratio": 0.05, "hardware": hardware})
    assert solve("predictor", problem, samples=1).regret < 0.02


@pytest.mark.parametrize(
    ("workload", "style"),
    [("MobileNetV2", "NVDLA"), ("ResNet18", "Eyeriss"), ("AlexNet", "ShiDianNao")],
)
@pytest.mark.parametrize(("objective", "constraint"), [("latency", "area"), ("edp", "power")])
def test_machines_of_ones_own_are_read(
    workload: str, style: str, objective: str, constraint: str
) -> None:
    machine = Hardware(
        noc_bandwidth=32, noc_hops=4, simd_lanes=4, offchip_bandwidth=32, technology=MAESTRO_2019
    )
    settings = {"objective": objective, "constraint": constraint, "hardware": machine}
    problem = posed(workload, style, {"ratio": 0.08, **settings})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert solve("predictor", problem, samples=1).regret < 0.03


def test_it_warns_outside_of_what_it_was_trained_on() -> None:
    machine = Hardware(simd_lanes=64, noc_hops=2, technology=MAESTRO_2019)
    problem = posed("AlexNet", "NVDLA", {"ratio": 0.1, "hardware": machine})
    with pytest.warns(UserWarning, match=r"not learnt what simd_lanes=64 means: .* from 1 to 16;"):
        solve("predictor", problem, samples=1)
    with pytest.warns(UserWarning, match=r"what noc_hops=2, simd_lanes=64 means: .* the defaults;"):
        warn_unlike("another", problem.statement.known)


def test_what_it_cannot_know_is_refused() -> None:
    printed = AssignmentProblem.of("MobileNetV2", accounting="maestro")
    with pytest.raises(ValueError, match=r"accounting 'complete' counts them, but .*'maestro'$"):
        solve("predictor", printed, samples=1)
    with pytest.raises(ValueError, match="does not tell workload and dataflows and pe_levels, as"):
        solve("predictor", systolic_problem("AlexNet"), samples=1)
    with pytest.raises(ValueError, match="is known of whole solutions only"):
        solve("predictor", "HWMap-VGG16-1-Edge-EDP-v0", samples=1)
    with pytest.raises(ValueError, match="optimism must not be negative"):
        Predictor(optimism=-1.0)


def test_each_checkpoint_has_a_fingerprint_of_its_own(tmp_path):
    copy = tmp_path / "copy.npz"
    copy.write_bytes(CHECKPOINT.read_bytes())
    assert Predictor(checkpoint=str(copy)).fingerprint == Predictor().fingerprint
    copy.write_bytes(CHECKPOINT.read_bytes() + b"0")
    assert Predictor(checkpoint=str(copy)).fingerprint != Predictor().fingerprint


def test_arithmetic_is_the_predictor_with_nothing_learnt() -> None:
    problem = problem_of("HWAssignMulti-Val-v0#4")
    first = {}
    for agent in (Arithmetic(), Predictor()):
        result = solve(agent, problem, samples=40, seed=0)
        regret = problem.optimum().above(result.history)
        first[type(agent)] = regret[0]
        assert np.isfinite(regret).all()
        assert regret[-1] <= 1e-9
    assert first[Predictor] < first[Arithmetic] < 0.2
    estimate = predict(Network.silent(), problem.statement)
    assert estimate.valid.all()
    assert "checkpoint" not in {field.name for field in fields(Arithmetic)}
    assert not hasattr(Arithmetic(), "fingerprint")
