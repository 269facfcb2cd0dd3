"""``hwgym map``: what it finds, what it says of a mapping, its files, and mistakes."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import finite

from hwgym.costs.maestro import Mappings, evaluate_mappings
from hwgym.families.mapping import MappingHardware, find_layer, mapping_problem
from hwgym.families.mapping.mapping_files import mapping_of, mapping_values, read_mapping
from hwgym.families.mapping.report import explain

LAYER = "conv:K=6,C=4,OY=6,OX=4,R=3,S=3"
ARRAY = ("--pes", "8", "--l1", "256B", "--l2", "2KB", "--noc", "4")
HARDWARE = MappingHardware(8, 256, 2048, 4)


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def found(run):
    """What the command prints as JSON."""

    def invoke(*arguments, layer=LAYER, array=ARRAY, code=0):
        status, out, err = run("map", "--layer", layer, *array, *arguments, "--json")
        assert status == code, err or out
        return json.loads(out) if code == 0 else err

    return invoke


@pytest.fixture
def wrong(run):
    def invoke(*arguments, code=2):
        status, out, err = run("map", *arguments)
        assert status == code, err or out
        assert not out
        return err

    return invoke


# --- a search -------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["edp", "latency", "energy"])
def test_what_is_found_is_what_it_says(found, objective):
    answer = found("--objective", objective, "--samples", "300", "--agent", "annealing")
    layer = _layer(answer)
    mapping = mapping_of(answer["mapping"], layer)
    costs = evaluate_mappings(layer, mapping, 8, HARDWARE.interconnect)
    latency, energy = costs.runtime_cycles[0], costs.energy_nj[0]
    worth = {"edp": latency * energy, "latency": latency, "energy": energy}
    assert answer["value"] == pytest.approx(worth[objective], rel=1e-12)
    assert costs.valid[0]
    assert costs.l1_bytes[0] <= 256
    assert costs.l2_bytes[0] <= 2048
    assert answer["value"] >= answer["lower_bound"]
    assert finite(answer)
    told = answer["explanation"]
    assert told["valid"]
    assert sum(part["cycles"] for part in told["time"]) == latency
    assert answer["search"]["samples"] == 300
    assert answer["found_by"] in ("search", "proof")


def _layer(answer):
    from hwgym.workloads import Layer

    return Layer(**answer["layer"])


def test_equal_seeds_give_equal_answers(found):
    def answer():
        again = found("--samples", "200", "--agent", "annealing", "--seed", "3")
        again["search"].pop("seconds")
        return again

    assert answer() == answer()


def test_the_default_agent_searches(run):
    status, out, err = run("map", "--layer", LAYER, *ARRAY, "--samples", "200")
    assert status == 0, err
    assert "map-local" in out
    for words in ("loop nest", "proven", "bound by", "L2", "Where the cycles go"):
        assert words in out


def test_an_answer_is_written_in_the_notations_of_others(found, tmp_path):
    answer = found("--samples", "200", "--agent", "annealing", "--out", str(tmp_path / "out"))
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "mapping.m", "mapping.toml", "mapping.json", "mapping.png", "learning_curve.png",
        "timeloop-v3.yaml", "timeloop-v4.yaml",
    }  # fmt: skip
    assert {str(tmp_path / "out" / name) for name in names} == set(answer["files"])
    layer = _layer(answer)
    for name in ("mapping.m", "mapping.toml", "mapping.json"):
        read = read_mapping(tmp_path / "out" / name, layer)
        assert mapping_values(read, layer) == answer["mapping"]
    again = found("--explain", str(tmp_path / "out" / "mapping.m"))
    assert again["value"] == answer["value"]
    assert again["explanation"] == answer["explanation"]


def test_a_latency_cap_holds(found):
    fast = found("--objective", "latency", "--samples", "150", "--agent", "annealing")
    free = found("--objective", "energy", "--samples", "150", "--agent", "annealing")
    capped = found(
        "--objective", "energy", "--latency-cap", str(int(fast["value"] * 1.2)),
        "--samples", "150", "--agent", "annealing",
    )  # fmt: skip
    latency = capped["explanation"]["costs"]["runtime_cycles"]
    assert latency <= fast["value"] * 1.2
    assert capped["value"] >= free["lower_bound"]
    ratio = found("--latency-cap", "2x", "--samples", "100", "--agent", "annealing")
    assert ratio["latency_cap"] == 2 * ratio["latency_bound"]


def test_tiles_may_be_any(found):
    answer = found("--tiles", "any", "--samples", "200", "--agent", "annealing")
    assert answer["model"] == "fixed"
    assert answer["explanation"]["valid"]
    mapping = mapping_of(answer["mapping"], _layer(answer))
    costs = evaluate_mappings(_layer(answer), mapping, 8, HARDWARE.interconnect, fixed=True)
    assert answer["value"] == costs.runtime_cycles[0] * costs.energy_nj[0]


def test_a_log_is_written(found, tmp_path, wrong):
    log = str(tmp_path / "log")
    answer = found("--samples", "100", "--agent", "annealing", "--log", log)
    assert answer["search"]["log"] == log
    assert any((tmp_path / "log").iterdir())
    said = wrong("--layer", LAYER, *ARRAY, "--log", log)
    assert "not empty" in said
    assert "--resume goes on with a log" in wrong("--layer", LAYER, "--resume")


class Interrupted:
    sees = "totals"

    def search(self, evaluator, seed):
        evaluator.evaluate(evaluator.statement.draw(np.random.default_rng(seed), 20))
        raise KeyboardInterrupt


def test_an_interruption_prints_what_was_found(run, monkeypatch):
    point = SimpleNamespace(load=lambda: Interrupted)
    monkeypatch.setattr("hwgym.core.agents._classes", lambda: {"map-local": point})
    status, out, _ = run("map", "--layer", LAYER, *ARRAY, "--json")
    assert status == 130
    answer = json.loads(out)
    assert answer["search"]["interrupted"]
    assert answer["search"]["samples"] == 20
    assert answer["explanation"]["valid"]
    status, out, _ = run("map", "--layer", LAYER, *ARRAY)
    assert status == 130
    assert "interrupted" in out


def test_layers_and_hardware_come_from_files(found, tmp_path):
    layer = tmp_path / "mine.toml"
    layer.write_text('[layer]\nkind = "DSCONV"\nC = 4\nOY = 6\nOX = 6\nR = 3\nS = 3\n')
    hardware = tmp_path / "edge.toml"
    hardware.write_text("[hardware]\nnum_pes = 8\nl1_bytes = 128\nl2_bytes = 4096\n")
    answer = found(
        "--hardware", str(hardware), "--l1", "256B", "--samples", "100", "--agent", "annealing",
        layer=str(layer), array=(),
    )  # fmt: skip
    assert answer["layer"]["name"] == "mine"
    assert answer["hardware"] | {"name": None} == {
        "name": None, "num_pes": 8, "l1_bytes": 256, "l2_bytes": 4096,
        "noc_bandwidth": 81_920_000,
    }  # fmt: skip
    zoo = found("--samples", "50", "--agent", "random", layer="MobileNetV2:2", array=())
    assert zoo["layer"]["name"] == find_layer("MobileNetV2:2").name
    assert zoo["hardware"]["name"] == "edge"


# --- a mapping of one's own -----------------------------------------------------------------------


def decisions(path, layer=LAYER, **changes):
    text = """cluster = 2
[outer]
parallel = "K"
order = ["Y", "C", "K", "X"]
tile = {K = 1, C = 4, Y = 3, X = 4}
[inner]
parallel = "X"
order = ["K", "C", "Y", "X"]
tile = {K = 1, C = 4, Y = 3, X = 2}
"""
    for old, new in changes.items():
        text = text.replace(old, new)
    path.write_text(text)
    return str(path)


def test_a_mapping_that_fits_is_explained(found, run, tmp_path):
    path = decisions(tmp_path / "mine.toml")
    answer = found("--explain", path, array=("--pes", "8", "--l1", "1KB", "--l2", "4KB"))
    assert answer["explanation"]["valid"]
    assert answer["source"] == path
    assert answer["value"] > 0
    assert answer["value"] >= answer["lower_bound"]
    problem = mapping_problem(_layer(answer), MappingHardware(8, 1024, 4096).to_dict())
    told = explain(problem.layer, read_mapping(path, problem.layer), problem.hardware)
    assert answer["explanation"] == json.loads(json.dumps(told.to_dict()))
    status, out, _ = run("map", "--layer", LAYER, "--pes", "8", "--l1", "1KB", "--explain", path)
    assert status == 0
    for words in ("a machine can do it, and it fits", "spread K over 4 clusters", "loop nest"):
        assert words in out


def test_what_fails_is_said_with_its_amount(found, run, tmp_path):
    path = decisions(tmp_path / "mine.toml")
    array = ("--pes", "8", "--l1", "128B", "--l2", "512B")
    answer = found("--explain", path, array=array)
    told = answer["explanation"]
    failed = {check["name"]: check for check in told["checks"] if not check["holds"]}
    assert set(failed) == {"L1", "L2"}
    assert failed["L1"]["value"] == told["costs"]["l1_bytes"] > failed["L1"]["limit"] == 128
    assert answer["value"] is None
    assert "lower_bound" not in answer
    _, out, _ = run("map", "--layer", LAYER, *array, "--explain", path)
    assert "fails: L1, L2" in out
    assert f"{failed['L2']['value'] - 512:,} too many" in " ".join(out.split())


def test_a_cluster_larger_than_the_array_is_explained(found, run, tmp_path):
    path = decisions(tmp_path / "mine.toml", **{"cluster = 2": "cluster = 9"})
    answer = found("--explain", path)
    assert [check["name"] for check in answer["explanation"]["checks"]] == ["PEs"]
    assert answer["timeloop"]["same"] is None
    assert finite(answer)
    status, out, _ = run(
        "map", "--layer", LAYER, *ARRAY, "--explain", path, "--out", str(tmp_path / "out")
    )
    assert status == 0
    assert "9 of 8 PEs" in out
    assert not (tmp_path / "out" / "mapping.png").exists()


def test_impossible_cycles_are_explained(found, tmp_path):
    """The worst that the released GAMMA found: 20 cycles for 1.17 million multiply-accumulates."""
    path = tmp_path / "gamma.m"
    path.write_text(
        "TemporalMap(3,3) R; TemporalMap(27,27) X'; TemporalMap(3,3) S; SpatialMap(192,192) C;"
        "TemporalMap(28,28) Y'; Cluster(119,P); TemporalMap(3,3) S; TemporalMap(25,25) Y';"
        "TemporalMap(3,3) R; TemporalMap(1,1) X'; SpatialMap(1,1) C;"
    )
    answer = found("--explain", str(path), layer="released/MobileNetV2:20", array=())
    told = answer["explanation"]
    assert told["costs"]["runtime_cycles"] == 20
    assert told["fixed"]["runtime_cycles"] == 12_170
    assert [check["name"] for check in told["checks"] if not check["holds"]] == [
        "work", "peak", "steps", "inputs", "outputs",
    ]  # fmt: skip
    assert "defect A" in told["causes"][0]
    mended = found("--explain", str(path), "--tiles", "any", layer="released/MobileNetV2:20",
                   array=())  # fmt: skip
    assert mended["explanation"]["model"] == "fixed"
    failed = [check for check in mended["explanation"]["checks"] if not check["holds"]]
    assert [check["name"] for check in failed] == ["L2"]


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--layer", "ResNet5:20"], "did you mean 'ResNet50'"),
        (["--layer", "ResNet50:200"], "layers 1.."),
        (["--layer", "nothing"], "a layer is given as Model:number"),
        (["--layer", "conv:K=1,C=1"], "missing"),
        ([], "missing option '--layer'"),
        (["--layer", LAYER, "--hardware", "egde"], "did you mean 'edge'"),
        (["--layer", LAYER, "--objective", "epd"], "did you mean 'edp'"),
        (["--layer", LAYER, "--tiles", "some"], "unknown choice of tiles 'some'"),
        (["--layer", LAYER, "--pes", "0"], "--pes must be a positive integer, got 0"),
        (["--layer", LAYER, "--l1", "512"], "--l1 wants a number and its unit"),
        (["--layer", LAYER, "--l2", "1KB,2KB"], "--l2: one size is needed, got 2"),
        (["--layer", LAYER, "--latency-cap", "fast"], "--latency-cap wants cycles, or 1.1x"),
        (["--layer", LAYER, "--latency-cap", "0.5x"], "at least 1"),
        (["--layer", LAYER, "--agent", "anealing"], "did you mean 'annealing'"),
        (["--layer", LAYER, "--samples", "0"], "--samples must be a positive integer"),
        (["--layer", LAYER, "--explain", "none.m"], "none.m: No such file"),
        (["--layer", LAYER, "--explain", "none.yaml"], "must end in .m, .toml, .json"),
        (["--layer", LAYER, "--explian", "x.m"], "did you mean '--explain'"),
    ],
)
def test_mistakes_are_told(wrong, arguments, says):
    assert says in wrong(*arguments)


def test_what_fits_nowhere_fails(wrong):
    said = wrong("--layer", LAYER, "--l1", "16B", code=1)
    assert "no mapping of conv fits" in said


def test_hardware_files_are_checked(wrong, tmp_path):
    path = tmp_path / "array.toml"
    path.write_text("[hardware]\nnum_pes = 8\nl1_byte = 128\nl2_bytes = 4096\n")
    said = wrong("--layer", LAYER, "--hardware", str(path))
    assert "array.toml" in said
    assert "did you mean 'l1_bytes'" in said
    path.write_text("[array]\nnum_pes = 8\n")
    assert "a table [hardware] is wanted" in wrong("--layer", LAYER, "--hardware", str(path))


def test_mappings_of_one_layer_are_not_of_another(wrong, tmp_path):
    problem = mapping_problem("MobileNetV2:2")
    (tmp_path / "dw.m").write_text(
        Mappings.of(
            problem.mappings.mappings(problem.certificate().assignment[None]).dataflow(
                0, problem.layer
            ),
            problem.layer,
        ).text(0, problem.layer)
    )
    said = wrong("--layer", LAYER, "--explain", str(tmp_path / "dw.m"))
    assert "K not mapped" in said or "not mapped" in said
