"""``hwgym schedule``: what it finds, its chart, its files, and mistakes."""

from __future__ import annotations

import csv
import json
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import finite

from hwgym import workload
from hwgym.cli.gantt import shares
from hwgym.core.log import read_episodes
from hwgym.families.hetero import hetero_problem

NETWORKS = ("alexnet", "ncf:2")
ARRAY = ("--model", "maestro", "--pes", "256", "--parts", "4", "--subs", "2")
SEARCH = ("--agent", "random", "--samples", "40")


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def found(run):
    """What the command prints as JSON."""

    def invoke(*arguments, networks=NETWORKS, code=0):
        status, out, err = run("schedule", *networks, *ARRAY, *SEARCH, *arguments, "--json")
        assert status == code, err or out
        return json.loads(out)

    return invoke


@pytest.fixture
def wrong(run):
    def invoke(*arguments, code=2):
        status, out, err = run("schedule", *arguments)
        assert status == code, err or out
        assert not out
        return err

    return invoke


# --- what is found --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "option"), [("maestro", None), ("maestro", "--noc=16"), ("loopnest", "--dram=16GB/s")]
)
def test_what_is_found_is_what_it_says(found, model, option):
    """Sub-accelerators run a layer at a time, networks' layers follow each other, and each layer
    takes what the cost model says."""
    answer = found("--model", model, *(() if option is None else (option,)))
    assert finite(answer)
    width = None if option is None else 16
    mix = {"AlexNet": 1, "NCF": 2}
    problem = hetero_problem(mix, 256, bandwidth=width, parts=4, subs=2, model=model)
    assert (answer["model"], answer["bandwidth"]) == (model, width)
    table = problem.statement.known["latency"]
    built = {sub["number"]: sub for sub in answer["sub_accelerators"]}
    assert sum(sub["pes"] for sub in built.values()) == 256
    assert sum(sub["bandwidth"] or 0 for sub in built.values()) == (width or 0)
    rows = answer["schedule"]
    assert len(rows) == len(workload("AlexNet")) + 2 * len(workload("NCF"))
    for i, row in enumerate(rows):
        sub = built[row["sub_accelerator"]]
        share = 0 if width is None else sub["bandwidth"] // 4 - 1
        kind = problem.kinds.index(sub["kind"])
        takes = table[kind, sub["pes"] // 64 - 1, share, i]
        assert row["end_cycles"] - row["start_cycles"] == takes
    for name, of in (("instance", answer["instances"]), ("sub_accelerator", built)):
        for each in of:
            one = each["instance"] if name == "instance" else each
            mine = sorted((r["start_cycles"], r["end_cycles"]) for r in rows if r[name] == one)
            assert all(a[1] <= b[0] for a, b in pairwise(mine))
    for each in answer["instances"]:
        ends = [row["end_cycles"] for row in rows if row["instance"] == each["instance"]]
        assert each["end_cycles"] == max(ends)
        assert each["alone_cycles"] <= each["end_cycles"]
    for number, sub in built.items():
        mine = [row for row in rows if row["sub_accelerator"] == number]
        assert sub["layers"] == len(mine)
        busy = sum(row["end_cycles"] - row["start_cycles"] for row in mine)
        assert sub["busy"] == pytest.approx(busy / answer["makespan_cycles"])
    assert answer["makespan_cycles"] == max(row["end_cycles"] for row in rows)
    assert answer["makespan_cycles"] >= answer["lower_bound"]
    assert answer["gap"] == pytest.approx(answer["makespan_cycles"] / answer["lower_bound"] - 1)
    alone = dict(zip(problem.kinds, table[:, -1, -1].sum(axis=1).tolist(), strict=True))
    assert answer["single"]["cycles"] == alone
    least = min(alone.values())
    assert answer["single"]["sooner"] == pytest.approx(1 - answer["makespan_cycles"] / least)
    assert answer["makespan_cycles"] <= least


def test_equal_seeds_give_equal_answers(found):
    def answer():
        again = found("--seed", "3")
        again["search"].pop("seconds")
        return again

    assert answer() == answer()


def test_the_clock_makes_milliseconds(found):
    fast, slow = found(), found("--clock", "500MHz")
    assert fast["makespan_ms"] == fast["makespan_cycles"] / 1e6
    assert slow["makespan_ms"] == 2 * fast["makespan_ms"]
    loops = ("--model", "loopnest", "--dram")
    bytes_ = [found(*loops, "16GB/s")["bandwidth"], found(*loops, "16B/cycle")["bandwidth"]]
    bytes_.append(found(*loops, "12.8GB/s", "--clock", "800MHz")["bandwidth"])
    assert bytes_ == [16, 16, 16]


def test_the_default_agent_searches(run):
    status, out, err = run("schedule", *NETWORKS, *ARRAY, "--samples", "60", "--json")
    assert status == 0, err
    answer = json.loads(out)
    assert answer["search"]["agent"] == "schedule-local"
    assert answer["search"]["samples"] == 60
    assert answer["search"]["value"] >= answer["makespan_cycles"]


def test_one_accelerator_alone_is_known_too(found, run):
    """A search of one sample and the proof may both miss it; the answer never does."""
    answer = found("--subs", "1", "--kinds", "ykp")
    assert answer["makespan_cycles"] == answer["single"]["cycles"]["ykp"]
    assert answer["optimum"] == answer["makespan_cycles"]
    assert answer["single"]["sooner"] == 0
    status, out, _ = run("schedule", *NETWORKS, *ARRAY, *SEARCH, "--subs", "1", "--kinds", "ykp")
    assert status == 0
    assert "it is this" in out


def test_networks_come_in_any_case_and_from_files(found, tmp_path):
    folder = tmp_path / "a:1"
    folder.mkdir()
    path = folder / "mine.csv"
    workload("NCF").to_csv(path)
    answer = found(networks=("ALEXNET:2", f"{path}:3"))
    assert answer["networks"] == [
        {"network": "AlexNet", "count": 2},
        {"network": "mine", "count": 3},
    ]
    assert [each["instance"] for each in answer["instances"]] == [
        "AlexNet", "AlexNet 2", "mine", "mine 2", "mine 3",
    ]  # fmt: skip
    assert found(networks=(str(path),))["mix"] == "mine"


def test_a_batch_is_for_the_onnx_files(found, tmp_path):
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", kind, ["n", 64])],
        [helper.make_tensor_value_info("y", kind, ["n", 64])],
        [helper.make_tensor("w", kind, [64, 64], np.zeros(64 * 64, np.float32))],
    )
    onnx.save(helper.make_model(graph), tmp_path / "net.onnx")
    networks = (f"{tmp_path / 'net.onnx'}:2", "NCF")
    small, large = (found("--batch", n, networks=networks) for n in ("4", "400"))
    assert [each["instance"] for each in small["instances"]] == ["net", "net 2", "NCF"]
    assert small["instances"][0]["alone_cycles"] < large["instances"][0]["alone_cycles"]


def test_a_mix_is_given_by_its_name(found):
    answer = found(networks=("nasaic",))
    assert answer["mix"] == "NASAIC"
    assert [each["network"] for each in answer["networks"]] == ["ResNet18", "UNet"]


# --- what is printed and written ------------------------------------------------------------------


def test_the_answer_is_printed(run, monkeypatch):
    for width in (80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        status, out, err = run("schedule", *NETWORKS, *ARRAY, *SEARCH)
        assert status == 0, err
        for words in (
            "best schedule", "lower bound", "one accelerator", "sooner",
            "Sub-accelerators", "AlexNet", "NCF 2", "A AlexNet", "B NCF", "ms at 1 GHz", "random",
        ):  # fmt: skip
            assert words in out.replace("\u00a0", " ")
        lines = out.splitlines()
        assert max(map(len, lines)) <= width
        [first] = [i for i, line in enumerate(lines) if line.startswith("Who runs what")]
        assert len(lines[first + 1].rstrip()) == width - 1


def test_bandwidths_are_in_their_own_units(run):
    for model, option, words in (
        ("loopnest", "--dram=8GB/s", ("8 GB/s of DRAM, 16 bytes a cycle at 0.5 GHz", "in bytes a")),
        ("maestro", "--noc=16", ("16 elements a cycle", "in elements a")),
    ):
        status, out, err = run(
            "schedule", *NETWORKS, *ARRAY, *SEARCH, "--model", model, "--clock=500MHz", option
        )
        assert status == 0, err
        assert all(each in out for each in words)


def test_columns_of_the_chart_show_what_runs_longest():
    core, kind = np.array([0, 0, 1]), np.array([0, 1, 1])
    start, end = np.array([0.0, 30.0, 50.0]), np.array([30.0, 40.0, 100.0])
    got = shares(2, core, start, end, kind, 2, columns=4)
    assert got.shape == (2, 4, 3)
    np.testing.assert_allclose(got.sum(axis=2), 1)
    np.testing.assert_allclose(got[0], [[0, 1, 0], [0.4, 0.2, 0.4], [1, 0, 0], [1, 0, 0]])
    np.testing.assert_allclose(got[1, :, 2], [0, 0, 1, 1])


def test_an_answer_is_written(found, tmp_path):
    out = tmp_path / "out"
    answer = found("--out", str(out))
    names = {path.name for path in out.iterdir()}
    assert names == {"schedule.csv", "schedule.json", "gantt.png", "learning_curve.png"}
    assert {str(out / name) for name in names} == set(answer["files"])
    written = json.loads((out / "schedule.json").read_text())
    assert written | {"files": answer["files"]} == answer
    with (out / "schedule.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [{n: str(value) for n, value in row.items()} for row in answer["schedule"]]


def test_a_log_is_written(found, tmp_path, wrong):
    log = str(tmp_path / "log")
    assert found("--log", log)["search"]["log"] == log
    assert any((tmp_path / "log").iterdir())
    assert "not empty" in wrong(*NETWORKS, *ARRAY, "--log", log)
    assert "--resume goes on with a log" in wrong(*NETWORKS, "--resume")


class Interrupted:
    sees = "totals"

    def search(self, evaluator, seed):
        evaluator.evaluate(evaluator.statement.draw(np.random.default_rng(seed), 20))
        raise KeyboardInterrupt


def test_an_interruption_prints_what_was_found(run, monkeypatch, tmp_path):
    point = SimpleNamespace(load=lambda: Interrupted)
    monkeypatch.setattr("hwgym.core.agents._classes", lambda: {"schedule-local": point})
    log = str(tmp_path / "log")
    status, out, _ = run("schedule", *NETWORKS, *ARRAY, "--json", "--log", log)
    assert status == 130
    answer = json.loads(out)
    assert answer["search"]["interrupted"]
    assert answer["search"]["samples"] == 20
    assert answer["schedule"]
    assert len(read_episodes(log)) == 20
    status, out, _ = run("schedule", *NETWORKS, *ARRAY, "--log", f"{log}-2")
    assert status == 130
    assert "interrupted" in out
    assert f"{log}-2" in out.replace("\n", "").replace(" ", "")


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "missing argument"),
        (["resnet5"], "unknown network 'resnet5'; did you mean 'ResNet50'"),
        (["mobil"], "did you mean 'Mobile'"),
        (["AlexNet:0"], "the count of AlexNet must be a positive integer, got 0"),
        (["AlexNet:-1"], "the count of AlexNet must be a positive integer, got -1"),
        (["AlexNet:two"], "the count of AlexNet must be a positive integer, got 'two'"),
        (["AlexNet", "alexnet:2"], "2 of the networks are called AlexNet"),
        (["AlexNet:1000"], "a mix may have 4,000 layers, these have 5,000"),
        (["AlexNet:1000000000000"], "a mix may have 4,000 layers"),
        (["Mobile", "AlexNet"], "Mobile is a mix, which stands alone"),
        (["mobile:2"], "mobile is a mix, which stands alone"),
        (["mobile", "--batch", "2"], "are for .onnx files"),
        (["AlexNet", "--batch", "2"], "for ONNX files"),
        (["none.csv:2"], "none.csv: No such file"),
        (["none.onnx:2"], "none.onnx: No such file"),
        (["AlexNet", "--pes", "3"], "pes must be an integer from 8"),
        (["AlexNet", "--subs", "5"], "subs must be an integer from 1 to 4"),
        (["AlexNet", "--parts", "1"], "parts must be an integer from 2 to 16"),
        (["AlexNet", "--kinds", "nv,yx"], "did you mean 'yxp'"),
        (["AlexNet", "--kinds", "nv,nv"], "kinds must be one or more of"),
        (["AlexNet", "--clock", "1"], "--clock wants a number and its unit"),
        (["AlexNet", "--model", "maestro", "--dram", "16GB/s"], "--dram belongs to --model loop"),
        (["AlexNet", "--noc", "16"], "--noc belongs to --model maestro"),
        (["AlexNet", "--dram", "16"], "--dram wants a number and its unit"),
        (["AlexNet", "--dram", "25.6GB/s"], "take 25B/cycle or 26B/cycle"),
        (["AlexNet", "--dram", "4B/cycle"], "bandwidth must be an integer from 8"),
        (["AlexNet", "--model", "mastero"], "did you mean 'maestro'"),
        (["AlexNet", "--model", "maestro", "--noc", "4"], "bandwidth must be an integer from 8"),
        (["AlexNet", "--agent", "anealing"], "did you mean 'annealing'"),
        (["AlexNet", "--agent", "random", "--samples", "0"], "--samples must be a positive"),
        (["AlexNet", "--agent", "annealing", "--set", "hott=1"], "did you mean 'hot'"),
        (["AlexNet", "--subz", "2"], "did you mean '--subs'"),
    ],
)
def test_mistakes_are_told(wrong, arguments, says):
    assert says in wrong(*arguments)


def test_what_cannot_be_built_fails(wrong):
    said = wrong("AlexNet", "--pes", "32", "--kinds", "nv", "--model", "maestro", code=1)
    assert "no sub-accelerator of nv can run all layers of 1 x AlexNet" in said
