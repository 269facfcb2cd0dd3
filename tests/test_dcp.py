"""What DCP's codes are, how its predictor is trained, and what it does with both."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hwgym
from hwgym import Layer
from hwgym.core import METRICS, Evaluator, problem_of, search, solve
from hwgym.core.family import ranked_ids
from hwgym.families.mapping import FAMILY, MappingProblem, mapping_problem
from hwgym.families.mapping_loopnest import mapping_problem as nest_problem
from hwgym.workloads import load_workload
from hwgym_agents import predictor
from hwgym_agents.dcp import (
    CHECKPOINT,
    CODE,
    DCP,
    FEATURES,
    TARGETS,
    Codes,
    Guess,
    Network,
    Wanted,
    load,
)
from hwgym_agents.mappings import MappingView

CONV = Layer("conv", "CONV", K=8, C=6, OY=9, OX=10, R=3, S=3)
PRODUCT = Layer("product", "GEMM", K=96, C=64, OY=32, OX=1, R=1, S=1)
DEPTHWISE = Layer("depthwise", "DSCONV", K=1, C=12, OY=14, OX=14, R=3, S=3)
LAYERS = pytest.mark.parametrize("layer", [CONV, PRODUCT, DEPTHWISE], ids=lambda layer: layer.name)
STEP = 1e-6


def codes_of(problem: Any) -> Codes:
    return Codes(MappingView(problem.statement, "a test"))


def between(codes: Codes, rng: np.random.Generator, count: int = 40) -> Any:
    """Codes of no mapping, near some."""
    code = codes.encode(codes.view.draw(rng, count))
    return codes.clip(code + rng.normal(size=code.shape) * 0.2)


# --- codes ----------------------------------------------------------------------------------------


@LAYERS
def test_a_code_says_which_mapping_it_is(layer: Layer) -> None:
    codes = codes_of(mapping_problem(layer))
    genes = codes.view.draw(np.random.default_rng(0), 200)
    code = codes.encode(genes)
    assert code.shape == (200, CODE)
    np.testing.assert_array_equal(codes.decode(code), genes)
    np.testing.assert_array_equal(codes.decode(codes.clip(code)), genes)


@LAYERS
def test_what_buffers_need_is_what_the_masks_say(layer: Layer) -> None:
    problem = mapping_problem(layer, "1024")
    codes = codes_of(problem)
    view, space = codes.view, problem.mappings
    genes = view.draw(np.random.default_rng(0), 200)
    over = codes.features(codes.encode(genes)).over
    m = view.mappings(genes)
    units = view.num_pes // m.cluster
    needed = np.stack(
        [
            space.l1_bytes(list(m.tiles[:, 1].T)),
            space.l2_bytes(units, m.parallel[:, 0], list(m.tiles[:, 0].T)),
        ],
        axis=1,
    )
    there = np.array([problem.hardware.l1_bytes, problem.hardware.l2_bytes])
    np.testing.assert_allclose(np.exp2(over) * there, needed, rtol=1e-9)


@LAYERS
def test_gradients_of_features_are_what_differences_say(layer: Layer) -> None:
    codes, rng = codes_of(mapping_problem(layer)), np.random.default_rng(1)
    code = between(codes, rng)
    weights, of_over = rng.normal(size=FEATURES), rng.normal(size=2)
    edges = codes.edges(code)  # which the gradient takes to be fixed

    def value(at: Any) -> Any:
        seen = codes.features(at, edges)
        return seen.values @ weights + seen.over @ of_over

    rows = len(code)
    gradient = codes.features(code).backward(
        np.tile(weights, (rows, 1)), np.tile(of_over, (rows, 1))
    )
    for number in range(CODE):
        step = STEP * np.eye(CODE)[number]
        after, before = (
            (value(code + sign * step) - value(code)) / (sign * STEP) for sign in (1, -1)
        )
        smooth = np.abs(after - before) < 1e-3  # not at a bend
        assert smooth.mean() > 0.8
        np.testing.assert_allclose(gradient[smooth, number], after[smooth], atol=1e-4)


def test_gradients_of_the_network_are_what_differences_say() -> None:
    rng = np.random.default_rng(2)
    sizes = (FEATURES, 16, 12, len(TARGETS))
    weights = [rng.normal(size=pair) / 4 for pair in itertools.pairwise(sizes)]
    guess = Guess.plain(Network(weights, [rng.normal(size=n) for n in sizes[1:]], {}))
    values, gradient = rng.normal(size=(5, FEATURES)), rng.normal(size=(5, len(TARGETS)))
    _, kept = guess.network.hidden(values)
    found = guess.backward(gradient, kept)
    for number in range(FEATURES):
        step = 1e-2 * np.eye(FEATURES)[number]
        after, before = (guess.network(values + sign * step) for sign in (1, -1))
        differences = ((after - before) * gradient).sum(axis=1) / 2e-2
        np.testing.assert_allclose(found[:, number], differences, atol=5e-3)


def test_gradients_of_what_is_wanted_are_what_differences_say() -> None:
    problem = mapping_problem(CONV, objective="energy", latency_ratio=1.1)
    wanted = Wanted.of(problem.statement, margin=0.0)
    assert wanted.cap == pytest.approx(np.log2(problem.latency_cap))
    told = wanted.cap + np.array([[-1.0, 3.0], [1.0, 3.0]])
    gradient = wanted.gradient(told)
    for number in range(2):
        step = STEP * np.eye(2)[number]
        differences = (wanted.worth(told + step) - wanted.worth(told - step)) / (2 * STEP)
        np.testing.assert_allclose(gradient[:, number], differences, rtol=1e-6)


def test_what_is_not_asked_of_mappings_is_refused() -> None:
    statement = mapping_problem(CONV).statement
    area = replace(statement, objective=METRICS["area"])
    with pytest.raises(ValueError, match=r"dcp minimises latency, energy, edp.* asks for area$"):
        Wanted.of(area)
    within = replace(statement, constraint=METRICS["area"], limit=1.0)
    with pytest.raises(ValueError, match="asks for edp within a limit of area"):
        Wanted.of(within)


@LAYERS
def test_clipped_codes_are_within_what_there_is(layer: Layer) -> None:
    codes, rng = codes_of(mapping_problem(layer)), np.random.default_rng(4)
    code = codes.clip(rng.normal(size=(100, CODE)) * 9)
    size, outer, inner = code[:, 0], code[:, 1:5], code[:, 5:9]
    assert size.min() >= 0
    assert (np.exp2(size) <= codes.view.num_pes * (1 + 1e-9)).all()
    assert ((inner >= 0) & (inner <= outer) & (outer <= codes.size)).all()
    for spread in (code[:, 9:13], code[:, 13:17]):
        np.testing.assert_allclose(spread.sum(axis=1), 1)


# --- training -------------------------------------------------------------------------------------


def test_no_training_layer_is_one_of_a_published_network() -> None:
    pytest.importorskip("torch")
    from hwgym.families.assignment.ids import RELEASED_MODELS
    from hwgym.families.layered.ids import MODELS
    from hwgym_agents.train_dcp import layers

    training, held_back = layers()
    published = {layer.shape for name in MODELS for layer in load_workload(name).layers}
    published |= {
        layer.shape
        for name in RELEASED_MODELS
        for layer in load_workload(name, released=True).layers
    }
    asked = {mapping_of(env_id).layer.shape for env_id in ranked_ids(FAMILY)}
    assert asked <= published
    own = [{layer.shape for layer in some} for some in (training, held_back)]
    assert len(own[0]) > 2_000
    assert not published & (own[0] | own[1])
    assert not own[0] & own[1]


def test_drawn_hardware_is_within_what_is_told() -> None:
    pytest.importorskip("torch")
    from hwgym.families.mapping import HARDWARE
    from hwgym_agents.train_dcp import RANGES, any_hardware

    rng = np.random.default_rng(0)
    drawn = [any_hardware(rng) for _ in range(200)]
    presets = [each for each in drawn if each in HARDWARE.values()]
    assert 20 < len(presets) < 80
    free = 0
    for each in drawn:
        for name, (least, most) in RANGES.items():
            value = getattr(each, name)
            if name == "noc_bandwidth" and value > 2**most:
                free += 1
            elif each not in presets:
                assert 2**least <= value <= 2**most
    assert free > 20


def mapping_of(env_id: str) -> MappingProblem:
    problem = problem_of(env_id)
    assert isinstance(problem, MappingProblem)
    return problem


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a very short training."""
    pytest.importorskip("torch")
    from hwgym_agents.train_dcp import train

    path = tmp_path_factory.mktemp("dcp") / "small.npz"
    train(3_000, steps=500, rounds=1, hidden=(32, 32), out=path)
    assert not list(path.parent.glob("*.pt"))
    return path


def test_training_lessens_the_error(trained: Path) -> None:
    from hwgym_agents.train_dcp import Bought, buy

    bought = Bought()
    buy(bought, 1_000, np.random.default_rng(9), None)
    values, residuals = bought.arrays()
    off = np.abs(load(trained)(values) - residuals).mean()
    assert off < 0.6 * np.abs(residuals - residuals.mean(axis=0)).mean()


def test_what_was_interrupted_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from hwgym_agents.train_dcp import train

    settings: dict[str, Any] = {"steps": 8, "rounds": 1, "hidden": (8,), "seed": 3}
    whole = train(600, **settings, out=tmp_path / "whole.npz")

    def stop(what: str, *_: Any) -> None:
        if what == "trained":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(600, **settings, out=tmp_path / "other.npz", seen=stop)
    done: list[str] = []
    other = train(
        600, **settings, out=tmp_path / "other.npz", seen=lambda what, *_: done.append(what)
    )
    assert done == ["bought", "trained"]
    for one, same in zip(whole.weights, other.weights, strict=True):
        np.testing.assert_array_equal(one, same)
    assert not list(tmp_path.glob("*.pt"))


def test_it_trains_on_random_mappings_alone() -> None:
    pytest.importorskip("torch")
    from hwgym_agents.train_dcp import train

    done: list[tuple[str, int]] = []
    network = train(
        500, steps=4, rounds=0, hidden=(8,), seen=lambda what, count, _: done.append((what, count))
    )
    assert done == [("bought", 500), ("trained", 500)]
    assert [w.shape for w in network.weights] == [(FEATURES, 8), (8, len(TARGETS))]


def test_the_command_trains(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    import typer
    from typer.testing import CliRunner

    from hwgym_agents import train_dcp

    app = typer.Typer()
    app.command()(train_dcp.main)
    out = tmp_path / "x.npz"
    options = ["--costs", "600", "--steps", "6", "--rounds", "1", "--problems", "1"]
    result = CliRunner().invoke(app, [*options, "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "1 problems held back" in result.output
    assert load(out).made["command"].startswith("python -m hwgym_agents.train_dcp --costs 600")
    wrong = CliRunner().invoke(app, ["--costs", "0"])
    assert wrong.exit_code == 2


# --- checkpoints ----------------------------------------------------------------------------------


def test_the_shipped_checkpoint_says_how_it_was_made() -> None:
    assert CHECKPOINT.stat().st_size < 1_000_000
    made = load().made
    assert made["command"].startswith("python -m hwgym_agents.train_dcp")
    assert made["bought"] <= 1_000_000
    assert len(DCP().fingerprint) == 64


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.npz"
    path.write_text("no array", encoding="utf-8")
    with pytest.raises(ValueError, match=r"text\.npz is no checkpoint of the dcp; python -m"):
        load(path)
    np.savez(path, weight0=np.zeros((2, 2)), bias0=np.zeros(2),
             made=np.frombuffer(json.dumps({}).encode(), np.uint8))  # fmt: skip
    with pytest.raises(ValueError, match="checkpoint of other features"):
        load(path)
    with pytest.raises(ValueError, match="that tell 7 numbers, not 71 and 2; train it again"):
        load(predictor.CHECKPOINT)
    with pytest.raises(FileNotFoundError):
        solve("dcp", mapping_problem(CONV), samples=1, settings={"checkpoint": "none.npz"})


# --- search ---------------------------------------------------------------------------------------


class Watched(Evaluator):
    """Remembers what was bought."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bought: list[Any] = []
        self.invalid = 0

    def evaluate(self, genes: Any, returns: Any = None) -> Any:
        scores = super().evaluate(genes, returns)
        self.invalid += int((~scores.valid).sum())
        self.bought += [row.tobytes() for row in np.asarray(genes)[: len(scores)]]
        return scores


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
@pytest.mark.parametrize("correct", [True, False])
def test_it_buys_valid_mappings_once(layer: Layer, settings: Any, correct: bool) -> None:
    problem = mapping_problem(layer, **({"hardware": "edge"} | settings))
    evaluator = Watched(problem, 60)
    search(DCP(correct=correct, draws=200, starts=16, more=16), evaluator, 0)
    assert evaluator.spent == 60
    assert evaluator.invalid == 0
    assert len(set(evaluator.bought)) == 60


def test_the_first_sample_has_seen_no_cost() -> None:
    """It is the same, whatever costs are."""

    class Other(MappingProblem):
        def score(self, genes: Any) -> Any:
            found = MappingProblem.score(self, genes)
            object.__setattr__(found, "objective", 1 / found.objective)
            return found

    problem = mapping_problem(CONV)
    other = Other(problem.mappings, problem.objective)
    quick = DCP(draws=200, starts=16, more=16)
    first = []
    for each in (problem, other):
        evaluator = Watched(each, 1)
        search(quick, evaluator, 0)
        assert evaluator.spent == 1
        first += evaluator.bought
    assert first[0] == first[1]


def test_equal_seeds_give_equal_results() -> None:
    problem, quick = mapping_problem(CONV), DCP(draws=200, starts=16, more=16)
    one, same = (solve(quick, problem, samples=40, seed=1).history for _ in range(2))
    np.testing.assert_array_equal(one, same)


def test_it_ends_when_everything_is_bought() -> None:
    one = Layer("one", "DSCONV", K=1, C=1, OY=1, OX=1, R=1, S=1)
    problem = mapping_problem(one, {"num_pes": 1, "l1_bytes": 64, "l2_bytes": 64})
    result = solve(DCP(draws=50, starts=4, more=4), problem, samples=2000)
    assert result.samples < 2000
    assert result.objective == problem.optimum().objective


def test_the_first_guess_is_better_than_random_ones() -> None:
    for env_id in ("HWMap-GAMMA-ResNet50-20-Edge-EDP-v0", "HWMap-ViT-8-Cloud-EDP-v0"):
        problem = problem_of(env_id)
        guess = solve("dcp", problem, samples=1).objective
        assert guess < solve("random", problem, samples=300).objective


def test_samples_correct_it() -> None:
    problem = problem_of("HWMap-ResNet50-12-1024-EDP-v0")
    first, later = (solve("dcp", problem, samples=n).regret for n in (1, 60))
    assert later < first or later == 0


@pytest.mark.parametrize(
    "problem",
    [
        hwgym.AssignmentProblem.of("AlexNet", "NVDLA"),
        nest_problem("ResNet50:20"),
    ],
    ids=["assignment", "loop nest"],
)
def test_other_families_are_refused(problem: Any) -> None:
    with pytest.raises(ValueError, match="dcp searches mappings of a layer on MAESTRO's array"):
        solve("dcp", problem, samples=1)


def test_settings_are_checked() -> None:
    for wrong in ({"starts": 0}, {"rate": 0.0}, {"margin": -0.1}, {"doubt": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            DCP(**wrong)  # type: ignore[arg-type]


# --- the claim ------------------------------------------------------------------------------------


def test_the_benchmark_tells_what_it_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import dcp

    names = list(dcp.tasks())
    assert len(names) == len(set(names)) >= 30
    small = [dcp.Way(way.name, way.agent, 2, way.at) for way in dcp.WAYS]
    quick = DCP(draws=100, starts=8, more=8)
    first = dcp.Way(small[0].name, lambda: quick, 2, (1, 10))
    gamma = dcp.Way(small[-1].name, small[-1].agent, 2, (40, 100))
    monkeypatch.setattr(dcp, "FIRST", first)
    monkeypatch.setattr(dcp, "GAMMA", gamma)
    monkeypatch.setattr(dcp, "WAYS", (first, gamma))
    monkeypatch.setattr(dcp, "CLAIM", (40,))
    monkeypatch.setattr(dcp, "FILE", tmp_path / "dcp.json")
    found = dcp.measure("conv", mapping_problem(CONV), tmp_path / "runs")
    assert found == dcp.measure("conv", mapping_problem(CONV), tmp_path / "runs")
    assert len(found.regret["gamma"]) == 2
    dcp.save([found])
    assert dcp.load() == [found]
    assert "| tasks | 1 | 0 | 0 | 1 |" in dcp.markdown()
