"""``hwgym train`` and ``refine``: what they print, and what they say when something is wrong."""

import errno
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import pytest
import tiny_families

import hwgym
from hwgym.cli import main
from hwgym.cli.train import parse_settings
from hwgym.core import Certificate, problem_of, read_settings
from hwgym_agents.blind import BestUniform, RandomSearch
from hwgym_agents.ga_refiner import GARefiner
from hwgym_agents.local import Genetic
from hwgym_agents.tables import TabulateAndSolve

ENV = "HWAssign-AlexNet-NVDLA-v0"


@dataclass
class Interrupted:
    """Is interrupted after twenty samples. Nothing more."""

    sees: ClassVar = "totals"

    def search(self, evaluator, seed):
        evaluator.evaluate(evaluator.space.uniform()[:20])
        raise KeyboardInterrupt


@dataclass
class Peeking:
    """Asks for the optimum."""

    sees: ClassVar = "totals"

    def search(self, evaluator, seed):
        evaluator.evaluate(evaluator.problem.optimum().assignment[None])


@dataclass
class Settings:
    """Has a setting of every type."""

    whole: int = 1
    number: float = 0.5
    flag: bool = True
    text: str = "a"
    perhaps: int | None = None
    file: str | None = None
    choice: Literal["one", "two"] = "one"
    several: tuple = ()
    texts: Sequence[str] = ()
    numbers: tuple[int, ...] = ()

    sees: ClassVar[Literal["layers", "totals"]] = "totals"

    def search(self, evaluator, seed):
        if self.file == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/part.parquet")
        if self.file:
            raise FileNotFoundError(f"no file {self.file!r}")


class _Point:
    def __init__(self, found):
        self.found = found

    def load(self):
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    agents = {
        "random": RandomSearch,
        "uniform": BestUniform,
        "tabulate": TabulateAndSolve,
        "genetic": Genetic,
        "ga-refiner": GARefiner,
        "interrupted": Interrupted,
        "peeking": Peeking,
        "settings": Settings,
        "lost": ImportError("no module 'lost': pip install 'hwgym[search]'"),
    }
    points = {name: _Point(found) for name, found in agents.items()}
    monkeypatch.setattr("hwgym.core.agents._classes", lambda: points)
    monkeypatch.setenv("COLUMNS", "200")


def code_of(argv):
    return main(["train", *argv])


def test_a_run_prints_a_table(capsys):
    assert code_of(["tabulate", ENV, "--samples", "200"]) == 0
    out, _ = capsys.readouterr()
    for word in ("tabulate on", ENV, "proven optimum", "regret", "0.000%", "area used", "145"):
        assert word in out


def test_json_is_one_object(capsys):
    assert code_of(["genetic", ENV, "--samples", "300", "--seed", "2", "--json"]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert not err
    assert (report["agent"], report["env"], report["seed"]) == ("genetic", ENV, 2)
    assert report["samples"] == 300
    assert report["regret"] == pytest.approx(report["objective"] / report["optimum"] - 1)
    assert 0 < report["used"] <= report["budget"]
    assert not report["interrupted"]
    scores = problem_of(ENV).evaluate([report["assignment"]])
    assert scores.objective[0] == report["objective"]
    assert scores.feasible[0]


def test_nothing_feasible_is_said(capsys):
    argv = ["random", "HWAssign-MobileNetV2-NVDLA-Latency-Area-IoTx-v0", "--samples", "50"]
    assert code_of([*argv, "--json"]) == 1
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert report["objective"] is report["regret"] is report["assignment"] is None
    assert "random found no feasible solution in 50 samples" in err
    assert code_of(argv) == 1
    assert "no feasible solution found" in capsys.readouterr().out


def test_a_full_disk_is_no_wrong_usage(capsys):
    assert code_of(["settings", ENV, "--set", "file=full"]) == 1
    assert capsys.readouterr().err == "error: runs/part.parquet: No space left on device\n"


def test_settings_reach_the_agent_and_the_log(capsys, tmp_path):
    pytest.importorskip("pyarrow")
    log = tmp_path / "new" / "log"
    argv = ["genetic", ENV, "--samples", "120", "--log", str(log), "--set", "population=7"]
    assert code_of([*argv, "--set", "reset=0.5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["log"] == str(log)
    about = read_settings(log)
    assert about["agent"] == "genetic"
    assert about["settings"]["population"] == 7
    assert about["settings"]["reset"] == 0.5

    assert code_of(argv) == 2
    assert "is not empty; choose another folder, or --resume" in capsys.readouterr().err
    assert code_of(["random", ENV, "--log", str(next(log.iterdir()))]) == 2
    assert "is a file; give a folder" in capsys.readouterr().err


def test_an_interruption_prints_what_was_found(capsys):
    assert code_of(["interrupted", ENV, "--json"]) == 130
    report = json.loads(capsys.readouterr().out)
    assert report["interrupted"]
    assert report["samples"] == 20
    assert report["objective"] > 0
    assert code_of(["interrupted", ENV]) == 130
    assert "(interrupted)" in capsys.readouterr().out


@pytest.mark.parametrize("env_id", ["Bags-3-0-v0", "Tour-4-v0"])
def test_any_familys_problem_can_be_searched(capsys, tmp_path, env_id):
    argv = ["random", env_id, "--samples", "60"]
    assert code_of([*argv, "--json", "--out", str(tmp_path)]) == 0
    report = json.loads(capsys.readouterr().out)
    problem = problem_of(env_id)
    scores = problem.evaluate(report["assignment"])
    assert report["objective"] == scores.objective[0]
    assert report["optimum"] == problem.optimum().objective
    assert report["regret"] == report["gap"] == problem.regret(report["objective"])
    constraint = problem.statement.constraint
    assert report["unit"] == (constraint.unit if constraint else None)
    assert report["budget"] == (problem.statement.limit if constraint else None)
    assert report["used"] == (scores.used[0] if constraint else None)
    assert {p.name for p in tmp_path.iterdir()} == {"assignment.png", "learning_curve.png"}
    assert code_of(argv) == 0
    out = capsys.readouterr().out
    assert problem.statement.objective.text(report["objective"]) in out
    assert ("weight used" in out) == (constraint is not None)


def test_where_only_a_bound_is_proven_it_is_a_gap(capsys, monkeypatch):
    exact = tiny_families.Tour.of(4).certify()
    bound = exact.objective / 1.25
    found = Certificate(exact.assignment, exact.objective, bound, "a guess")
    monkeypatch.setattr(tiny_families.Tour, "certificate", lambda _: found)
    argv = ["random", "Tour-4-v0", "--samples", "60"]
    assert code_of([*argv, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["optimum"] is report["regret"] is None
    assert report["lower_bound"] == bound
    assert report["gap"] == pytest.approx(report["objective"] / bound - 1)
    assert code_of(argv) == 0
    out = capsys.readouterr().out
    assert "proven bound" in out
    assert "gap" in out
    assert "regret" not in out
    assert "optimum" not in out


def test_an_agent_that_peeks_is_stopped(capsys):
    assert code_of(["peeking", ENV]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert "peeking was stopped: the problem is withheld while an agent searches" in err


def test_the_list(capsys):
    assert main(["list", "agents"]) == 0
    out, _ = capsys.readouterr()
    for word in ("uniform", "totals", "tabulate", "layers"):
        assert word in out
    assert "Is interrupted after twenty samples" in out
    assert "Nothing more" not in out
    assert "not available: no module 'lost': pip install 'hwgym[search]'" in out

    assert main(["list", "agents", "annealing or not"]) == 1
    assert "none of 9 agents" in capsys.readouterr().out


def test_one_agent_with_its_settings(capsys):
    assert main(["show", "genetic"]) == 0
    out = capsys.readouterr().out
    assert "population" in out
    assert "totals" in out
    assert main(["show", "genetic", "--json"]) == 0
    entry = json.loads(capsys.readouterr().out)
    assert entry["sees"] == "totals"
    assert entry["settings"]["population"] == 10
    assert entry["settings_about"]["population"]
    assert main(["show", "lost"]) == 1
    assert "lost is not available: no module 'lost'" in capsys.readouterr().err


def test_the_list_holds_what_is_installed(capsys, monkeypatch):
    monkeypatch.undo()
    assert main(["list", "agents", "--json"]) == 0
    for entry in json.loads(capsys.readouterr().out):
        about, sees = entry["about"], entry["sees"]
        assert about.startswith("not available") or (about and sees in ("layers", "totals"))


def test_a_network_of_ones_own(capsys, tmp_path):
    out = tmp_path / "out"
    argv = ["tabulate", "AlexNet", "--dataflow", "MIX", "--budget", "9mm2", "--json"]
    assert code_of([*argv, "--samples", "500", "--out", str(out)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["budget"] == 9e6
    assert report["regret"] == 0
    assert {p.name for p in out.iterdir()} == {"assignment.png", "learning_curve.png"}
    assert code_of(["tabulate", "AlexNet", "--budget", "0.1mm2"]) == 1
    assert "no assignment fits" in capsys.readouterr().err


def test_an_accelerator_and_levels_of_ones_own(capsys, tmp_path):
    file = tmp_path / "mine.toml"
    hardware = hwgym.Hardware(noc_bandwidth=16, technology="maestro-2019")
    hardware.to_toml(file)
    argv = ["tabulate", "AlexNet", "--hardware", str(file), "--pe-levels", "4,64,256,1024"]
    argv += ["--tile-levels", "2-8:2", "--samples", "100", "--json"]
    for deployment in ("LP", "LS"):
        assert code_of([*argv, "--deployment", deployment]) == 0
        report = json.loads(capsys.readouterr().out)
        problem = hwgym.AssignmentProblem.of(
            "AlexNet",
            hardware=hardware,
            pe_levels=(4, 64, 256, 1024),
            tile_levels=(2, 4, 6, 8),
            deployment=deployment,
        )
        assert report["optimum"] == report["objective"] == problem.optimum().objective
        assert report["budget"] == problem.budget


def test_refining_a_log(capsys, tmp_path):
    pytest.importorskip("pyarrow")
    first, second = str(tmp_path / "a"), str(tmp_path / "b")
    assert code_of(["genetic", ENV, "--samples", "100", "--log", first, "--json"]) == 0
    start = json.loads(capsys.readouterr().out)
    assert main(["refine", first, "--samples", "50", "--log", second, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["before"] == {"episodes": 100, "objective": start["objective"]}
    assert report["samples"] == 50
    assert report["objective"] <= start["objective"]
    assert main(["refine", first, "--samples", "20", "--fine"]) == 0
    out = capsys.readouterr().out
    assert "100 episodes" in out
    assert "regret" in out
    assert main(["refine", str(tmp_path / "none")]) == 2
    assert "no episode log there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["genetik", ENV], "unknown agent 'genetik'; did you mean 'genetic'?"),
        (["lost", ENV], "lost: no module 'lost': pip install 'hwgym[search]'"),
        (["random", "HWAssign-AlexNet-NVDIA-v0"], f"did you mean '{ENV}'?"),
        (["random", "nothing like it at all"], "unknown model 'nothing like it at all'"),
        (["random", "CartPole-v1"], "not an environment of hwgym: 'CartPole-v1'"),
        (["random", "HWAssign-v0"], "HWAssign-v0 poses no problem of its own"),
        (["genetic", ENV, "--set", "populaton=3"], "did you mean 'population'?"),
        (["genetic", ENV, "--set", "sees=layers"], "unknown setting 'sees'"),
        (["genetic", ENV, "--set", "population"], "--set wants key=value, got 'population'"),
        (["genetic", ENV, "--set", "population=x"], "population must be an integer, got 'x'"),
        (["genetic", ENV, "--set", "population=-1"], "population must be a positive integer"),
        (["settings", ENV, "--set", "flag=1"], "flag must be true or false, got '1'"),
        (["settings", ENV, "--set", "perhaps=x"], "perhaps must be an integer or None, got 'x'"),
        (["settings", ENV, "--set", "choice=three"], "choice must be one or two, got 'three'"),
        (["settings", ENV, "--set", "several=1"], "(not from the command line), got '1'"),
        (["settings", ENV, "--set", "numbers=1,x"], "an integer, several separated by commas, got"),
        (["settings", ENV, "--set", "file=lost.csv"], "settings: no file 'lost.csv'"),
        (["random", ENV, "--samples", "0"], "--samples must be a positive integer, got 0"),
        (["random", ENV, "--seed", "-1"], "--seed must not be negative, got -1"),
        (["random", ENV, "--samples", "many"], "invalid value for '--samples': it must be a valid"),
        (["random", ENV, "--resume"], "--resume goes on with a log: give it with --log"),
        (["random", ENV, "--budget", "cloud"], "--budget is for a model or a file"),
        (["random", ENV, "--hardware", "a.toml"], "--hardware is for a model or a file"),
        (["random", ENV, "--pe-levels", "1,2"], f"{ENV} has its own problem"),
        (["random", "AlexNet", "--hardware", "lost.toml"], "lost.toml: No such file"),
        (["random", "AlexNet", "--dims", "n=1"], "batch and dims are for ONNX files"),
        (["random"], "missing argument"),
        ([], "missing argument"),
    ],
)
def test_mistakes_are_explained(argv, message, capsys):
    assert code_of(argv) == (1 if argv[:1] == ["lost"] else 2)
    out, err = capsys.readouterr()
    assert message in err
    assert "Traceback" not in err
    assert not out


def test_values_have_their_fields_types():
    texts = ["whole=3", "number=1e-3", "flag=False", "text=1", "perhaps=none", "choice=two"]
    assert parse_settings("settings", Settings, texts) == {
        "whole": 3, "number": 1e-3, "flag": False, "text": "1", "perhaps": None, "choice": "two",
    }  # fmt: skip
    assert parse_settings("settings", Settings, ["perhaps=4", "file=a=b"]) == {
        "perhaps": 4,
        "file": "a=b",
    }
    assert parse_settings("settings", Settings, ["file=None", "texts=a,b/c", "numbers=3"]) == {
        "file": None,
        "texts": ("a", "b/c"),
        "numbers": (3,),
    }
    with pytest.raises(ValueError, match=r"whole must be an integer, got .1\.5."):
        parse_settings("settings", Settings, ["whole=1.5"])
