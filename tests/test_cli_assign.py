"""``hwgym assign``: what it says of an agent's assignment, its files, and mistakes."""

from __future__ import annotations

import csv
import json

import pytest
from conftest import finite

import hwgym


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def found(run):
    def invoke(*arguments):
        code, out, err = run("assign", *arguments, "--json")
        assert code == 0, err or out
        return json.loads(out)

    return invoke


def test_an_assignment_stands_beside_the_optimum_and_the_best_uniform_one(found):
    answer = found("AlexNet", "--agent", "random", "--samples", "20", "--budget", "0.2")
    problem = hwgym.AssignmentProblem.of("AlexNet", "NVDLA", ratio=0.2)
    assert answer["optimum"] == problem.optimum().objective
    assert answer["best_uniform"] == problem.best_uniform()
    objective = answer["assignment"]["objective"]
    assert answer["regret"] == pytest.approx(objective / answer["optimum"] - 1)
    assert answer["regret"] > 0
    assert answer["samples"] == 20
    layers = answer["assignment"]["layers"]
    assert sum(layer["latency_cycles"] for layer in layers) == objective
    assert finite(answer)


def test_an_agent_that_has_seen_everything_has_no_regret(found):
    answer = found("NCF", "--agent", "tabulate", "--samples", "200", "--dataflow", "Eyeriss")
    assert answer["regret"] == 0


def test_seed_and_settings_reach_the_agent(found):
    asked = ("NCF", "--agent", "random", "--samples", "50")
    first, again, other = (found(*asked, "--seed", seed) for seed in "001")
    assert first["assignment"] == again["assignment"] != other["assignment"]


def test_pictures_and_files_are_those_of_the_assignment(run, tmp_path):
    out = tmp_path / "result"
    code, said, _ = run("assign", "NCF", "--agent", "random", "--samples", "90", "--out", str(out))
    assert code == 0
    assert "proven optimum" in said
    assert "90 samples" in said
    report = json.loads((out / "assignment.json").read_text(encoding="utf-8"))
    with (out / "assignment.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    layers = report["assignment"]["layers"]
    assert [int(row["pes"]) for row in rows] == [layer["pes"] for layer in layers]
    assert (out / "assignment.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("asked", "said", "code"),
    [
        ("AlexNet --agent generalst", "did you mean 'generalist'?", 2),
        ("Alexnet --agent random", "did you mean 'AlexNet'?", 2),
        ("AlexNet --agent random --samples 0", "--samples must be a positive integer", 2),
        ("AlexNet --agent random --set x=1", "unknown setting 'x'", 2),
        ("AlexNet --agent random --budget 1um2", "no assignment fits the area budget", 1),
        ("lost.onnx --agent random", "lost.onnx", 2),
    ],
)
def test_mistakes(run, asked, said, code):
    status, out, err = run("assign", *asked.split())
    assert (status, out) == (code, "")
    assert said in " ".join(err.split())
