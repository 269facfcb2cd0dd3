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


def table_of(output):
    return [line for line in output.splitlines() if line.startswith("│")]


def objective_of(row):
    return row.split("│")[3]


def test_demo_tells_the_story(tmp_path):
    out = tmp_path / "new" / "folder"
    run = demo("--samples", 100, "--seed", 3, "--out", out)
    assert run.returncode == 0, run.stderr
    first, both, ppo, uniform, random, optimum = table_of(run.stdout)
    assert "REINFORCE " in first
    assert " 80 " in first
    assert "then GA refiner" in both
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
def test_demo_runs_with_more_axes_and_without_a_budget(env_id, tmp_path):
    run = demo("--env", env_id, "--samples", 150, "--out", tmp_path)
    assert run.returncode == 0, run.stderr
    assert not run.stderr
    assert (tmp_path / "assignment.png").is_file()


def test_demo_runs_on_any_family_whose_costs_are_separable(tmp_path, capsys):
    from hwgym_agents.demo import main  # needs stable-baselines3

    assert main(["--env", "Bags-4-0-v0", "--samples", "60", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "Best cost found within the weight budget" in printed
    assert "EUR" in printed
    assert (tmp_path / "assignment.png").is_file()
    with pytest.raises(SystemExit, match="2"):
        main(["--env", "Tour-4-v0", "--out", str(tmp_path)])
    assert "REINFORCE learns what each choice of each step costs" in capsys.readouterr().err


def test_unknown_id_is_told_without_a_traceback(tmp_path):
    run = demo("--env", "HWAssign-MobileNet2-NVDLA-v0", "--out", tmp_path)
    assert run.returncode == 2
    assert "HWAssign-MobileNet2-NVDLA" in run.stderr
    assert "HWAssign-MobileNetV2-NVDLA" in run.stderr  # did you mean
    assert "Traceback" not in run.stderr


def test_foreign_environment_is_told(tmp_path):
    run = demo("--env", "CartPole-v1", "--out", tmp_path)
    assert run.returncode == 2
    assert "not an environment of hwgym" in run.stderr
    assert "Traceback" not in run.stderr


def test_numbers_must_make_sense(tmp_path):
    for option, least in (("--samples", 1), ("--seed", 0)):
        run = demo(option, least - 1, "--out", tmp_path)
        assert run.returncode == 2
        assert f"{option} must be at least {least}" in run.stderr
