"""The command line: what it prints, as JSON and for people, and what it says of mistakes."""

import csv
import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_families

import hwgym
from hwgym._files import replacing
from hwgym.cli import main
from hwgym.cli.options import parse_budget
from hwgym.core import Certificate, problem_of, registered_ids
from hwgym.costs.maestro import CLUSTERED, DATAFLOWS, dataflow
from hwgym.costs.maestro.columns import COLUMNS
from hwgym.families.assignment.design_space import MIXES
from hwgym.families.assignment.reports import to_csv

ROOT = Path(__file__).parents[1]
ENV = "HWAssign-AlexNet-NVDLA-v0"
COMMANDS = (
    "list", "show", "cost", "optimize", "assign", "quantise", "frontier", "compare", "map",
    "schedule", "train", "refine",
)  # fmt: skip


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


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
    if "--dataflow" in out:
        assert re.search(r"--dataflow +-d +NAME\|FILE", out)


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
        ("optimize AlexNet -d lost.m:CONV1", "lost.m: No such file or directory"),
        ("optimize AlexNet -c power -b 300MW", "unknown unit 'MW'; did you mean 'mW'?"),
        ("optimize AlexNet -b 5MM2", "unknown unit 'MM2'; did you mean 'mm2'?"),
        ("optimize AlexNet --pe-levels many", "--pe-levels wants numbers, as 1,2,4,8 or"),
        ("optimize AlexNet --pe-levels 1,4,2", "--pe-levels: numbers must increase, got '1,4,2'"),
        ("optimize AlexNet --pe-levels 4-1", "--pe-levels: numbers must increase"),
        ("frontier AlexNet --tile-levels 0-4", "numbers must be at least 1, got '0-4'"),
        ("compare AlexNet --pe-levels 1-1000000", "at most 4,096 numbers"),
        ("optimize AlexNet --dims n=2", "batch and dims are for ONNX files"),
        ("optimize lost.onnx --dims n", "--dims wants NAME=N, N a positive integer; got 'n'"),
        ("optimize lost.onnx --dims n=0", "--dims wants NAME=N"),
        ("optimize lost.onnx --dims n=1 --dims n=2", "--dims: n is given twice"),
        ("optimize AlexNet --pe-levles 4", "did you mean '--pe-levels'?"),
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
        ("250mw", "power", {"budget": 250.0}),
    ],
)
def test_budgets(text, constraint, wanted):
    assert parse_budget(text, constraint) == pytest.approx(wanted) or (
        parse_budget(text, constraint) == wanted
    )


# --- list, show, cost -----------------------------------------------------------------------------


def test_what_does_not_fit_is_told_in_the_unit_that_was_typed(run):
    least = hwgym.AssignmentProblem.of("AlexNet", platform="unlimited").least_used.sum()
    for unit, factor in (("mm2", 1e6), ("um2", 1.0), ("cm^2", 1e8)):
        code, _, err = run("optimize", "AlexNet", "-b", f"{least / factor / 2:.6f}{unit}")
        assert code == 1
        typed, needed = re.search(r"budget (\S+): .* takes is (\S+ \w+)", err).groups()
        assert typed.endswith(unit)
        assert needed.endswith(f" {unit.replace('^', '')}")
        amount = float(needed.split()[0]) * factor
        assert least <= amount < least * (1 + 1e-5)
        assert run("optimize", "AlexNet", "-b", needed)[0] == 0  # rounded so that it is enough
    code, _, err = run("optimize", "AlexNet", "-c", "power", "-b", "1e-3W")
    assert code == 1
    assert re.search(r"takes is 0\.\d+ W$", err)


def test_a_full_disk_names_the_file(run, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "out"
    monkeypatch.setattr("hwgym._files.os.replace", full)
    code, _, err = run("optimize", "AlexNet", "--out", out)
    assert code == 1
    assert err == f"error: {out / 'assignment.png'}: No space left on device\n"
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError) as caught, replacing(tmp_path / "a.txt") as hidden:
        hidden.read_text()
    assert caught.value.filename == str(tmp_path / "a.txt")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("json", ["", "--json"])
def test_a_full_standard_output_is_named(json):
    done = subprocess.run(
        f"{sys.executable} -m hwgym list platforms {json} > /dev/full",
        cwd=ROOT, shell=True, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: standard output: No space left on device\n")


def test_list(run, json_of):
    code, out, _ = run("list")
    assert code == 0
    ids = json_of("list")["environments"]
    assert ids == list(registered_ids())
    assert f"{len(ids):,}" in out
    assert {"HWAssign-v0", "mo-HWAssign-VGG16-MIX-v0"} <= set(ids)
    assert json_of("list")["models"] == list(hwgym.models())
    ids = [e["id"] for e in json_of("list", "environments", "vgg16", "mix", "iotx")]
    assert [i for i in ids if "VGG16-MIX" in i and i.endswith("IoTx-v0")] == ids[:4]
    assert all("VGG16-" in i and "MIX" in i and "IoTx" in i for i in ids)
    code, out, _ = run("list", "models", "resnet")
    assert code == 0
    assert "ResNet50" in out
    assert "AlexNet" not in out
    assert run("list", "models", "nothing")[0] == 1
    for kind in ("dataflows", "technologies", "platforms"):
        assert run("list", kind)[0] == 0
        assert json_of("list", kind)


def test_dataflows_are_described_by_the_package(run, json_of):
    found = {row["dataflow"]: row["about"] for row in json_of("list", "dataflows")}
    assert set(found) == {*DATAFLOWS, *MIXES}
    for name, style in (DATAFLOWS | CLUSTERED).items():
        assert style.about
        assert style.about in found[name]
        assert style.about in run("show", name)[1]
    shown = json_of("show", "NVDLA-CxK:16")
    assert shown["about"] == CLUSTERED["NVDLA-CxK"].about
    assert "Cluster(16, P)" in shown["directives"]


def test_a_layers_dataflow_in_a_mapping_file(json_of, tmp_path):
    directives = "".join(f"{line};\n" for line in str(DATAFLOWS["NVDLA"]).splitlines())
    file = tmp_path / "net.m"
    blocks = [
        f"Layer {name} {{ Type: CONV Dataflow {{ {directives.replace('cluster_size', size)} }} }}"
        for name, size in (("A", "16"), ("B", "8"))
    ]
    file.write_text(f"Network Example {{ {' '.join(blocks)} }}")
    for name, size in (("A", 16), ("B", 8)):
        spec = f"{file}:{name}"
        assert f"Cluster({size}, P)" in json_of("show", spec)["directives"]
        best = hwgym.AssignmentProblem.of("AlexNet", dataflow(spec)).optimum().objective
        assert json_of("optimize", "AlexNet", "-d", spec)["optimum"]["objective"] == best
        assert json_of("cost", "AlexNet", 1, "-d", spec)["valid"]


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


def test_filter_elements_are_not_called_weights(run, json_of):
    code, out, _ = run("show", "GNMT")
    assert code == 0
    assert "weights" not in out
    assert "Filter elements are no parameters" in out
    assert "Filter elements are no" not in run("show", "AlexNet")[1]
    found = json_of("show", "GNMT")
    assert "weights" not in json.dumps(found)
    assert found["filter_elements"] == sum(row["filter_elements"] for row in found["layers"])


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("model", ["BERT", "GNMT", "ResNet50", "DenseNet121"])
def test_numbers_of_layers_are_not_cut(run, json_of, monkeypatch, model, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    _, out, _ = run("show", model)
    assert max(map(len, out.splitlines())) <= columns
    for row in json_of("show", model)["layers"][:12]:
        for name in ("K", "C", "macs", "filter_elements"):
            assert f"{row[name]:,}" in out


@pytest.mark.parametrize("columns", [80, 120])
def test_huge_numbers_are_legible(run, json_of, monkeypatch, tmp_path, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    file = tmp_path / "huge.csv"
    layers = [
        hwgym.Layer.gemm(f"model.layers.{i}.self_attention.projection", 131_072, 53_248, 16_384, 4)
        for i in range(2)
    ]
    hwgym.Workload("huge", tuple(layers)).to_csv(file)
    best = json_of("optimize", file)["optimum"]["layers"][0]["latency_cycles"]
    for command in (("optimize",), ("frontier", "-o", "latency,area"), ("compare",)):
        code, out, _ = run(command[0], file, *command[1:])
        assert code == 0
        assert max(map(len, out.splitlines())) <= columns
        digits = re.findall(r"[0-9.]+e[0-9]+", out)
        assert digits
        assert all(float(text) > 1e12 for text in digits)
        if command == ("optimize",):
            assert f"{best:.6g}".replace("e+", "e") in out


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


@pytest.mark.parametrize(
    ("model", "parallel", "shared", "times"),
    [
        ("MobileNetV2", 12.19, 10.70, "LS is 1.14 times as fast"),
        ("ResNet50", 175.51, 80.01, "LS is 2.19 times as fast"),
        ("BERT", 3355.01, 432.27, "LS is 7.76 times as fast"),
    ],
)
def test_optimize_compares_both_deployments(run, json_of, model, parallel, shared, times):
    """At equal area one array is often faster for one input."""
    found = json_of("optimize", model)
    both = found["deployments"]
    for name, wanted in (("LP", parallel), ("LS", shared)):
        assert both[name]["latency_cycles"] / 1e6 == pytest.approx(wanted, abs=0.005)
        assert both[name]["area_um2"] <= found["problem"]["budget"] * (1 + 1e-12)
    own = found["optimum"]
    assert {k: v for k, v in own.items() if k in both["LP"]} == both["LP"]
    assert both["LP"]["period_cycles"] == max(row["latency_cycles"] for row in own["layers"])
    assert both["LS"]["period_cycles"] == both["LS"]["latency_cycles"]
    code, out, _ = run("optimize", model)
    assert code == 0
    assert times in out
    assert "latency is that of one input" in " ".join(out.split())
    amount = f"{found['problem']['budget']!r}um2"
    other = json_of("optimize", model, "--deployment", "LS", "-b", amount)
    assert other["deployments"] == both
    assert other["optimum"]["objective"] == both["LS"]["latency_cycles"]


def test_utilisation_is_macs_over_cycles_and_pes(json_of):
    for options in ((), ("--deployment", "LS"), ("-o", "throughput")):
        found = json_of("optimize", "MobileNetV2", *options)["optimum"]
        macs = {layer.name: layer.macs for layer in hwgym.workload("MobileNetV2")}
        for row in found["layers"]:
            share = macs[row["layer"]] / row["latency_cycles"] / row["pes"]
            assert row["utilization"] == pytest.approx(share)
            assert 0 < share <= 1
        pes = [row["pes"] for row in found["layers"]]
        assert found["pes"] == (pes[0] if "LS" in options else sum(pes))
        total = sum(macs.values()) / found["pes"]
        assert found["utilization"] == pytest.approx(total / found["latency_cycles"])
        assert found["utilization_pipelined"] == pytest.approx(total / found["period_cycles"])


def test_a_pe_of_several_lanes_can_do_more(json_of, tmp_path):
    file = tmp_path / "lanes.toml"
    hwgym.Hardware(simd_lanes=2, technology="maestro-2019").to_toml(file)
    for row in json_of("optimize", "NCF", "--hardware", file)["optimum"]["layers"]:
        assert 0 < row["utilization"] <= 1


def test_optimize_says_if_the_other_deployment_does_not_fit(run, json_of):
    asked = ("optimize", "MobileNetV2", "-d", "Eyeriss", "--deployment", "LS", "-b", "0.5mm2")
    assert json_of(*asked)["deployments"]["LP"]["objective"] is None
    code, out, _ = run(*asked)
    assert code == 0
    assert "LP  nothing fits: it takes at least 0.710085 mm2" in out


def test_levels_of_ones_own(run, json_of):
    levels = "1,16-64:16,256,1024"
    found = json_of("optimize", "AlexNet", "--pe-levels", levels, "--tile-levels", "1-16")
    problem = hwgym.AssignmentProblem.of(
        "AlexNet", pe_levels=(1, 16, 32, 48, 64, 256, 1024), tile_levels=tuple(range(1, 17))
    )
    assert found["problem"]["pe_levels"] == list(problem.design.pe_levels)
    assert found["problem"]["tile_levels"] == list(problem.design.tile_levels)
    assert found["optimum"]["objective"] == problem.optimum().objective
    some = ("--pe-levels", levels, "-b", "iot")
    [row] = json_of("compare", "AlexNet", "-d", "NVDLA", *some)["rows"]
    front = json_of("frontier", "AlexNet", "-o", "latency,area", *some)
    assert row["objective"] == front["points"][0]["latency_cycles"]
    assert front["problem"]["pe_levels"] == found["problem"]["pe_levels"]
    fine = json_of("optimize", "NCF", "--pe-levels", "8,200", "--fine")
    assert fine["problem"]["pe_levels"] == list(range(8, 201))
    assert "8 to 200; filters" in run("optimize", "NCF", "--pe-levels", "8,200", "--fine")[1]
    assert "8 to 200 in steps of 64;" in run("optimize", "NCF", "--pe-levels", "8-200:64")[1]


def test_sizes_that_an_onnx_file_leaves_open(json_of, run, tmp_path):
    onnx = pytest.importorskip("onnx")
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = make.make_graph(
        [make.make_node("MatMul", ["x", "w"], ["y"])],
        "open",
        [make.make_tensor_value_info("x", kind, ["tokens", 32])],
        [make.make_tensor_value_info("y", kind, ["tokens", 16])],
        [make.make_tensor("w", kind, [32, 16], [0.0] * 512)],
    )
    file = tmp_path / "open.onnx"
    onnx.save(make.make_model(graph), file)
    code, _, error = run("optimize", file)
    assert code == 2
    said = " ".join(error.replace("│", " ").split())
    assert "free dimensions tokens (axis 0 of 'x'); give --dims tokens=N or --batch N" in said
    for tokens in (3, 7):
        given = (file, "--dims", f"tokens={tokens}")
        assert json_of("show", *given)["macs"] == tokens * 512
        assert json_of("optimize", *given)["problem"]["macs"] == tokens * 512
        assert json_of("frontier", *given, "-o", "latency,area")["problem"]["macs"] == tokens * 512
        assert json_of("cost", file, 1, *given[1:])["layer"]["OY"] == tokens
        assert json_of("compare", *given, "-b", "iot")["rows"]


def test_cells_that_a_spreadsheet_would_compute_are_quoted(run, tmp_path):
    names = ("=cmd|' /C calc'!A0", "+1", "-2", "@sum", "plain", "3=4")
    layers = tuple(hwgym.Layer.gemm(name, 8, 8, 8) for name in names)
    file, out = tmp_path / "mine.csv", tmp_path / "out"
    hwgym.Workload("mine", layers).to_csv(file)
    assert run("optimize", file, "--out", out)[0] == 0
    rows = list(csv.DictReader((out / "assignment.csv").read_text().splitlines()))
    found = [row["layer"] for row in rows]
    assert found == [*(f"'{name}" for name in names[:4]), "plain", "3=4"]
    assert (
        json.loads((out / "assignment.json").read_text())["optimum"]["layers"][0]["layer"]
        == (names[0])
    )
    assert to_csv([{"number": -1.5, "text": "-1.5"}]) == "number,text\n-1.5,'-1.5\n"


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
