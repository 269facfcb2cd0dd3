import subprocess
import sys
from pathlib import Path

import pytest
import tiny_families  # noqa: F401 (registers them)
from conftest import needs_torch

from hwgym.core import read_episodes

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def agents():
    """The demonstration compares with an agent of sb3-contrib."""
    needs_torch()


def demo(*arguments, timeout=300):
    return subprocess.run(
        [sys.executable, "-m", "hwgym_agents.demo", *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.fixture
def run(capsys):
    """The same in this process: exit code, standard output, standard error; no exception."""
    from hwgym_agents.demo import main  # needs stable-baselines3

    def invoke(*arguments):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as error:
            code = error.code
        return code, *capsys.readouterr()

    return invoke


def table_of(output):
    return [line for line in output.splitlines() if line.startswith("│")]


def objective_of(row):
    return row.split("│")[3]


def test_demo_tells_the_story(tmp_path):
    out = tmp_path / "new" / "folder"
    run = demo("--samples", 100, "--seed", 3, "--out", out)
    assert run.returncode == 0, run.stderr
    assert not run.stderr
    first, both, ppo, uniform, random, optimum = table_of(run.stdout)
    assert "priced REINFORCE " in first
    assert " 80 " in first
    assert "then GA" in both
    assert " 100 " in both
    assert "MaskablePPO" in ppo
    assert "21,393,158" in uniform
    assert "none feasible" in random
    assert "12,185,568" in optimum
    for name in ("learning_curves.png", "assignment.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
        assert str(out / name) in run.stdout
    assert len(read_episodes(out / "reinforce")) == 80
    assert len(read_episodes(out / "refined")) == 20

    again = demo("--samples", 100, "--seed", 3, "--out", out)  # over the old logs
    assert [objective_of(r) for r in table_of(again.stdout)] == [
        objective_of(r) for r in table_of(run.stdout)
    ]


@pytest.mark.parametrize("env_id", ["HWAssign-AlexNet-MIX-v0", "mo-HWAssign-AlexNet-NVDLA-v0"])
def test_demo_runs_with_more_axes_and_without_a_budget(run, env_id, tmp_path):
    code, _, error = run("--env", env_id, "--samples", 150, "--out", tmp_path)
    assert code == 0, error
    assert not error
    assert (tmp_path / "assignment.png").is_file()


def test_demo_runs_on_any_family_whose_costs_are_separable(run, tmp_path):
    code, printed, _ = run("--env", "Bags-4-0-v0", "--samples", 60, "--out", tmp_path)
    assert code == 0
    assert "Best cost found within the weight budget" in printed
    assert "EUR" in printed
    assert (tmp_path / "assignment.png").is_file()
    code, _, error = run("--env", "Tour-4-v0", "--out", tmp_path)
    assert code == 2
    assert "priced REINFORCE learns what each choice of each step costs" in error


def test_unknown_id_is_told_without_a_traceback(run, tmp_path):
    code, _, error = run("--env", "HWAssign-MobileNet2-NVDLA-v0", "--out", tmp_path)
    assert code == 2
    assert "HWAssign-MobileNet2-NVDLA" in error
    assert "HWAssign-MobileNetV2-NVDLA" in error  # did you mean


def test_foreign_environment_is_told(run, tmp_path):
    code, _, error = run("--env", "CartPole-v1", "--out", tmp_path)
    assert code == 2
    assert "not an environment of hwgym" in error


def test_numbers_must_make_sense(run, tmp_path):
    for option, least in (("--samples", 1), ("--seed", 0)):
        code, _, error = run(option, least - 1, "--out", tmp_path)
        assert code == 2
        assert f"{option} must be at least {least}" in error
