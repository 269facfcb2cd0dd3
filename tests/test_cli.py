"""The command line: what it prints, as JSON and for people, and what it says of mistakes."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_families
from typer.testing import CliRunner

import hwgym
from hwgym.cli import main
from hwgym.cli.app import app
from hwgym.cli.options import parse_budget
from hwgym.core import Certificate, problem_of, registered_ids
from hwgym.costs.maestro.columns import COLUMNS

ROOT = Path(__file__).parents[1]
ENV = "HWAssign-AlexNet-NVDLA-v0"
COMMANDS = ("list", "show", "cost", "optimize", "frontier", "compare", "train", "refine")


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def run():
    """Run a command: exit code, standard output, standard error."""

    def invoke(*arguments):
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        return result.exit_code, result.stdout, result.stderr

    return invoke


@pytest.fixture
def json_of(run):
    def invoke(*arguments, code=0):
        found, out, _ = run(*arguments, "--json")
        assert found == code, out
        return json.loads(out)

    return invoke


# --- the whole ------------------------------------------------------------------------------------


def test_it_is_installed_as_a_program():
    for command in (
        ["-m", "hwgym"],
        ["-c", "from hwgym.cli import main; raise SystemExit(main())"],
    ):
        done = subprocess.run(
            [sys.executable, *command, "optimize", "NCF", "--json"],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        best = hwgym.AssignmentProblem.of("NCF").optimum().objective
        assert json.loads(done.stdout)["optimum"]["objective"] == best


def test_a_reader_that_has_seen_enough_is_no_error():
    done = subprocess.run(
        f"{sys.executable} -m hwgym list environments | head -n 1",
        cwd=ROOT, shell=True, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "HWAssign-MobileNetV2-NVDLA-v0\n"
    assert not done.stderr


def test_version(run):
    assert run("--version") == (0, f"hwgym {hwgym.__version__}\n", "")


def test_no_command_shows_all(run):
    code, out, _ = run()
    assert code == 0
    for name in COMMANDS:
        assert name in out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"Example: hwgym {command} " in out
    assert "--json" in out


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_a_missing_package_is_named(monkeypatch, capsys, missing):
    gone = ("hwgym.cli.", f"{missing}.")
    for name in [n for n in sys.modules if n.startswith(gone)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(["list"]) == 1
    assert capsys.readouterr().err == (
        f"error: the command line needs {missing}: pip install 'hwgym[cli]'\n"
    )


def test_debug_shows_where_an_error_came_from(run):
    code, out, err = run("optimize", "Alexnet", "--debug")
    assert code == 2
    assert not out
    assert "Traceback" in err
    assert "did you mean 'AlexNet'?" in err


def test_the_unexpected_is_told_without_a_traceback(run, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("half of nothing")

    monkeypatch.setattr("hwgym.cli.show.describe_workload", broken)
    code, _, err = run("show", "AlexNet")
    assert code == 1
    assert "ZeroDivisionError: half of nothing" in err
    assert "--debug" in err
    assert "Traceback" not in err


def test_an_interruption_has_its_code(run, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("hwgym.cli.show.describe_workload", interrupted)
    assert run("show", "AlexNet")[0] == 130


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("optimise AlexNet", "unknown command 'optimise'; did you mean 'optimize'?"),
        ("--verson", "unknown option '--verson'; did you mean '--version'?"),
        ("optimize", "missing argument 'MODEL|FILE'"),
        ("optimize AlexNet VGG16", "unexpected extra argument"),
        ("optimize alexnet", "unknown model 'alexnet'; did you mean 'AlexNet'?"),
        ("optimize AlexNet --objctive energy", "'--objctive'; did you mean '--objective'?"),
        ("optimize AlexNet --objective", "requires an argument"),
        ("optimize AlexNet -o enregy", "unknown objective 'enregy'; did you mean 'energy'?"),
        ("optimize AlexNet -c size", "unknown constraint 'size' (available: area, power)"),
        ("optimize AlexNet -d eyeris", "unknown dataflow 'eyeris'; did you mean 'Eyeriss'?"),
        ("optimize AlexNet -d lost.m", "lost.m: No such file or directory"),
        ("optimize AlexNet -b iott", "unknown platform 'iott'; did you mean 'iot'?"),
        ("optimize AlexNet -b 1.5", "a share must lie in 0..1 (0%..100%), got '1.5'"),
        ("optimize AlexNet --budget=-1", "a share must lie in 0..1"),
        ("optimize AlexNet -b 5mm3", "unknown unit 'mm3'; did you mean 'mm2'?"),
        ("optimize AlexNet -b 5mW", "'5mW' is an amount of power, but the constraint is area"),
        ("optimize AlexNet --deployment SL", "unknown deployment 'SL' (available: LP, LS)"),
        ("optimize AlexNet -o throughput --deployment LS", "use objective='latency'"),
        ("optimize lost.csv", "lost.csv: No such file or directory"),
        ("optimize lost.onnx", "lost.onnx"),
        (f"optimize {ENV}", "is an environment, which `hwgym show` and `hwgym train` take"),
        ("optimize AlexNet --batch 2", "batch and dims are for ONNX files"),
        ("optimize AlexNet --hardware lost.toml", "lost.toml: No such file or directory"),
        ("optimize AlexNet --out pyproject.toml", "pyproject.toml: is a file; give a folder"),
        ("optimize DenseNet121 --released", "unknown released model 'DenseNet121'; did you mean"),
        ("frontier AlexNet -o latency,size", "unknown objective 'size'"),
        ("frontier AlexNet -o latency", "two or three objectives"),
        ("frontier AlexNet --epsilon -1", "epsilon must be a number >= 0"),
        ("frontier AlexNet --epsilon much", "it must be a valid number"),
        ("compare AlexNet -b iot -b often", "unknown platform 'often'"),
        ("compare AlexNet -d NVDIA", "did you mean 'NVDLA'?"),
        ("cost VGG16", "which of the 13 layers of VGG16?"),
        ("cost VGG16 0", "VGG16 has layers 1 to 13, got 0"),
        ("cost VGG16 stage9.conv1", "did you mean 'stage"),
        ("cost VGG16 1 --pes 0", "--pes must be a positive integer, got 0"),
        ("cost VGG16 1 --tile many", "it must be a valid integer"),
        ("cost VGG16 1 -d MIX", "one design point has one dataflow"),
        ("cost VGG16 1 --technology maestro", "did you mean 'maestro-20"),
        ("cost conv:K=3", "conv: C, OY, OX, R, S missing"),
        ("cost conv:K=3,Q=1", "conv: unknown size 'Q'"),
        ("cost gemm:M=1,N=x,K=2", "gemm: N must be a positive integer, got 'x'"),
        ("cost gemm:M=1,M=2", "gemm: M is given twice"),
        ("cost gem:M=1", "unknown kind of layer 'gem'; did you mean 'gemm'?"),
        ("cost gemm:M=1,N=2,K=3 4", "is a layer already; '4' is one too many"),
        ("list model", "unknown kind 'model'; did you mean 'models'?"),
        ("show nothing", "unknown name 'nothing'"),
        ("show HWAssign-AlexNet-NVDIA-v0", f"did you mean '{ENV}'?"),
        ("show HWAssign-AlexNet", "unknown environment 'HWAssign-AlexNet'; did you mean '"),
        ("show CartPole-v1", "not an environment of hwgym: 'CartPole-v1'"),
    ],
)  # fmt: skip
def test_mistakes_are_explained(run, monkeypatch, arguments, message):
    monkeypatch.chdir(ROOT)
    code, out, err = run(*arguments.split())
    assert code == 2, err
    assert message in err
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert not out


def test_what_does_not_fit_is_no_mistake(run):
    for command in ("optimize", "frontier", "compare"):
        code, _, err = run(command, "AlexNet", "-b", "0.001mm2")
        assert code == 1
        assert "fits" in err


@pytest.mark.parametrize(
    ("text", "constraint", "wanted"),
    [
        ("iot", "area", {"platform": "iot"}),
        ("0.25", "area", {"ratio": 0.25}),
        ("1", "power", {"ratio": 1.0}),
        ("5%", "area", {"ratio": 0.05}),
        ("12.5mm2", "area", {"budget": 12.5e6}),
        ("12.5 mm²", "area", {"budget": 12.5e6}),
        ("3e6 um^2", "area", {"budget": 3e6}),
        ("0.1cm2", "area", {"budget": 1e7}),
        ("250mW", "power", {"budget": 250.0}),
        ("0.25w", "power", {"budget": 250.0}),
    ],
)
def test_budgets(text, constraint, wanted):
    assert parse_budget(text, constraint) == pytest.approx(wanted) or (
        parse_budget(text, constraint) == wanted
    )


# --- list, show, cost -----------------------------------------------------------------------------


def test_list(run, json_of):
    code, out, _ = run("list")
    assert code == 0
    ids = json_of("list")["environments"]
    assert ids == list(registered_ids())
    assert f"{len(ids):,}" in out
    assert {"HWAssign-v0", "mo-HWAssign-VGG16-MIX-v0"} <= set(ids)
    assert json_of("list")["models"] == list(hwgym.models())
    ids = [e["id"] for e in json_of("list", "environments", "vgg16", "mix", "iotx")]
    assert len(ids) == 4
    assert all("VGG16-MIX" in i and "IoTx" in i for i in ids)
    code, out, _ = run("list", "models", "resnet")
    assert code == 0
    assert "ResNet50" in out
    assert "AlexNet" not in out
    assert run("list", "models", "nothing")[0] == 1
    for kind in ("dataflows", "technologies", "platforms"):
        assert run("list", kind)[0] == 0
        assert json_of("list", kind)


def test_show_an_environment(run, json_of):
    problem = hwgym.AssignmentProblem.of("AlexNet")
    best = problem.optimum()
    code, out, _ = run("show", ENV)
    assert code == 0
    for text in (f"{best.objective:,.0f}", "conv5", "8.416 mm²", "best uniform"):
        assert text in out
    found = json_of("show", ENV)
    assert found["optimum"]["objective"] == best.objective
    assert found["optimum"]["assignment"] == best.assignment.tolist()
    assert len(found["optimum"]["layers"]) == 5
    assert found["kwargs"] == {"workload": "AlexNet", "dataflow": "NVDLA", "platform": "iot"}


@pytest.mark.parametrize("env_id", ["Bags-3-0-v0", "Tour-4-v0"])
def test_show_an_environment_of_any_family(run, json_of, env_id):
    problem = problem_of(env_id)
    best = problem.certificate()
    code, out, _ = run("show", env_id)
    assert code == 0
    statement = problem.statement
    for text in (statement.title, statement.objective.text(best.objective), best.method):
        assert text in out
    for axis in statement.space.axes:
        assert f"{axis.name} ({axis.size})" in out
    assert ("best uniform" in out) == (env_id == "Bags-3-0-v0")
    found = json_of("show", env_id)
    assert found["optimum"]["assignment"] == best.assignment.tolist()
    assert found["optimum"]["objective"] == best.objective
    assert found["best_uniform"] == (problem.best_uniform() if "best uniform" in out else None)
    assert [row["step"] for row in found["optimum"]["steps"]] == list(statement.names)
    assert env_id in [entry["id"] for entry in json_of("list", "environments")]


def test_show_a_bound_where_no_optimum_is_proven(run, json_of, monkeypatch):
    exact = tiny_families.Tour.of(4).certify()
    found = Certificate(exact.assignment, exact.objective, exact.objective / 1.25, "a guess")
    monkeypatch.setattr(tiny_families.Tour, "certificate", lambda _: found)
    code, out, _ = run("show", "Tour-4-v0")
    assert code == 0
    assert "best known" in out
    assert "a gap of 25.00%" in out
    assert "optimum" not in out
    shown = json_of("show", "Tour-4-v0")
    assert "optimum" not in shown
    assert shown["best_known"]["gap"] == pytest.approx(0.25)


def test_show_what_an_environment_of_ones_own_takes(json_of):
    found = json_of("show", "HWAssign-v0")
    assert found["needs"] == ["workload"]
    assert found["takes"]["objective"] == "latency"


def test_show_long_tables_in_part(run):
    assert "and 40 more layers: --all shows them" in run("show", "MobileNetV2")[1]
    assert "more layers" not in run("show", "MobileNetV2", "--all")[1]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("MIX", "any of NVDLA, Eyeriss, ShiDianNao"),
        ("NVDLA", "SpatialMap(tile_k, tile_k) K"),
        ("examples/dataflow.m", "SpatialMap"),
        ("maestro-2019", "4470.9014"),
        ("DenseNet", "160 layers"),
        ("mo-HWAssign-NCF-MIX-v0", "a vector of latency, energy, area"),
        ("HWAssign-v0", "workload=..."),
        ("ConfuciuX-VGG16-Eyeriss-IoT-v0", "as MAESTRO prints them"),
    ],
)
def test_show_anything(run, json_of, monkeypatch, name, text):
    monkeypatch.chdir(ROOT)
    code, out, err = run("show", name)
    assert code == 0, err
    assert text in out
    assert json_of("show", name)


def test_cost_explains_every_statistic(run, json_of):
    assert set(COLUMNS) == set(hwgym.Costs.__dataclass_fields__)
    layer = hwgym.workload("VGG16")[2]
    costs = hwgym.evaluate(layer, "Eyeriss", 24, 3, hwgym.Hardware(technology="maestro-2019"))
    for given in (("VGG16", "3"), ("VGG16", layer.name)):
        found = json_of("cost", *given, "--pes", 24, "--tile", 3, "--dataflow", "Eyeriss")
        for name, column in found["columns"].items():
            assert column["about"]
            assert column["value"] == costs.as_dict()[name].item()
    code, out, _ = run("cost", "VGG16", 3, "--pes", 24, "--tile", 3, "-d", "Eyeriss")
    assert code == 0
    for name, column in COLUMNS.items():
        assert name in out
        assert column.about in out


@pytest.mark.parametrize(
    ("spec", "layer"),
    [
        ("conv:K=8,C=3,OY=10,OX=12,R=3,S=1", hwgym.Layer("a", "CONV", 8, 3, 10, 12, 3, 1)),
        ("dsconv:C=9,OY=4,OX=4,R=3,S=3", hwgym.Layer("a", "DSCONV", 1, 9, 4, 4, 3, 3)),
        ("gemm:M=5,N=6,K=7,repeat=2", hwgym.Layer.gemm("a", 5, 6, 7, 2)),
    ],
)
def test_cost_of_a_layer_of_ones_own(json_of, spec, layer):
    found = json_of("cost", spec, "--pes", 4, "--tile", 2)
    wanted = hwgym.evaluate(layer, "NVDLA", 4, 2)
    assert found["columns"]["runtime_cycles"]["value"] == wanted.runtime_cycles.item()
    assert found["layer"]["repeat"] == layer.repeat


def test_cost_says_why_a_point_is_invalid(run):
    assert "invalid: the array cannot hold" in run("cost", "VGG16", 1, "-p", 2, "-d", "Eyeriss")[1]
    code, out, _ = run("cost", "VGG16", 1, "-p", 64, "-d", "Eyeriss", "--released")
    assert code == 0
    assert "invalid:" in out


# --- optimize, frontier, compare ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ((), {}),
        (("-o", "energy", "-c", "power", "-b", "200mW"),
         {"objective": "energy", "constraint": "power", "budget": 200.0}),
        (("--released", "-d", "Eyeriss", "-b", "cloud"),
         {"released": True, "dataflow": "Eyeriss", "platform": "cloud"}),
        (("--deployment", "LS", "-d", "MIX", "-o", "edp"),
         {"deployment": "LS", "dataflow": "MIX", "objective": "edp"}),
        (("-o", "throughput", "-b", "5%"), {"objective": "throughput", "ratio": 0.05}),
    ],
)  # fmt: skip
def test_optimize(run, json_of, options, settings):
    best = hwgym.AssignmentProblem.of("AlexNet", **settings).optimum()
    found = json_of("optimize", "AlexNet", *options)["optimum"]
    assert found["objective"] == best.objective
    assert found["gap"] == 0
    assert found["assignment"] == best.assignment.tolist()
    assert sum(row["cost_share"] for row in found["layers"]) == pytest.approx(1)
    code, out, _ = run("optimize", "AlexNet", *options)
    assert code == 0
    assert "proven optimum" in out
    assert "conv3" in out


def test_optimize_fine_is_no_worse_within_the_same_budget(run, json_of):
    found = json_of("optimize", "AlexNet", "--fine")
    assert found["optimum"]["objective"] <= found["coarse_optimum"]
    assert found["problem"]["budget"] == hwgym.AssignmentProblem.of("AlexNet").budget
    assert "--fine saves" in run("optimize", "AlexNet", "--fine")[1]


def test_optimize_writes_files(run, tmp_path):
    out = tmp_path / "new" / "folder"
    network = tmp_path / "mine.csv"
    hwgym.workload("AlexNet").to_csv(network)
    code, said, _ = run("optimize", network, "-d", "MIX", "--out", out)
    assert code == 0
    names = {p.name for p in out.iterdir()}
    assert names == {"assignment.png", "budget.png", "roofline.png", "design_space.png",
                     "assignment.csv", "assignment.json"}  # fmt: skip
    assert all(name in said for name in names)
    rows = list(csv.DictReader((out / "assignment.csv").read_text().splitlines()))
    report = json.loads((out / "assignment.json").read_text())
    assert [row["layer"] for row in rows] == [f"conv{i}" for i in range(1, 6)]
    assert sum(int(row["latency_cycles"]) for row in rows) == report["optimum"]["objective"]


def test_frontier(run, json_of, tmp_path):
    code, out, _ = run("frontier", "AlexNet", "-o", "latency,area", "--out", tmp_path)
    assert code == 0
    assert "exact: these are all feasible assignments" in out
    names = {"frontier.png", "frontier.csv", "frontier.json", "frontier.html"}
    assert {p.name for p in tmp_path.iterdir()} == names
    found = json_of("frontier", "AlexNet", "-o", "latency,area")
    assert found["exact"]
    assert len(found["points"]) == len((tmp_path / "frontier.csv").read_text().splitlines()) - 1
    best = hwgym.AssignmentProblem.of("AlexNet").optimum().objective
    assert found["points"][0]["latency_cycles"] == best
    problem = hwgym.AssignmentProblem.of("AlexNet")
    for point in found["points"]:
        scores = problem.evaluate_actions(np.array([point["actions"]]))
        assert scores.feasible[0]
        assert scores["latency"][0] == point["latency_cycles"]
    thin = json_of("frontier", "AlexNet", "-b", "iotx")
    assert thin["epsilon"] == 0.02
    assert thin["objectives"] == ["latency", "energy", "area"]
    assert len(json_of("frontier", "AlexNet", "-b", "iotx", "--epsilon", 0)["points"]) > len(
        thin["points"]
    )


def test_compare_does_not_cut_numbers_on_a_narrow_terminal(run, json_of, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = run("compare", "ResNet50", "-d", "NVDLA", "-d", "MIX")
    for row in json_of("compare", "ResNet50", "-d", "NVDLA", "-d", "MIX")["rows"]:
        assert f"{row['objective']:,.0f}" in out
    assert out.count("best") >= 4


def test_compare(run, json_of, tmp_path):
    code, out, _ = run("compare", "AlexNet", "-b", "iot", "-b", "0.2mm2", "--out", tmp_path)
    assert code == 0
    assert "best" in out
    assert {p.name for p in tmp_path.iterdir()} == {
        "comparison.png", "comparison.csv", "comparison.json"}  # fmt: skip
    found = json_of("compare", "AlexNet", "-d", "NVDLA", "-d", "MIX", "-b", "iot", "-b", "0.001mm2")
    by = {(row["dataflow"], row["name"]): row for row in found["rows"]}
    assert len(by) == 4
    for style in ("NVDLA", "MIX"):
        best = hwgym.AssignmentProblem.of("AlexNet", style).optimum().objective
        assert by[style, "iot"]["objective"] == best
        assert by[style, "0.001mm2"]["objective"] is None
        assert "no assignment fits" in by[style, "0.001mm2"]["why"]
    assert by["MIX", "iot"]["over_best"] == 0
    assert by["NVDLA", "iot"]["over_best"] > 0


def test_ones_own_accelerator_and_dataflow(json_of, monkeypatch):
    monkeypatch.chdir(ROOT)
    own = ("-d", "examples/dataflow.m", "--hardware", "examples/accelerator.toml")
    found = json_of("optimize", "AlexNet", *own)
    problem = hwgym.AssignmentProblem.of(
        "AlexNet",
        hwgym.costs.maestro.read_dataflow("examples/dataflow.m"),
        hardware=hwgym.Hardware.from_toml("examples/accelerator.toml"),
    )
    assert found["optimum"]["objective"] == problem.optimum().objective
    assert json_of("cost", "AlexNet", 1, *own)["technology"] == found["problem"]["technology"]
    assert (
        json_of("compare", "AlexNet", "-b", "iot", *own)["rows"][0]["objective"]
        == (found["optimum"]["objective"])
    )
