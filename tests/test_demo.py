import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def demo(*arguments, timeout=300):
    return subprocess.run(
        [sys.executable, "-m", "agents.demo", *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def table_of(output):
    return [line for line in output.splitlines() if line.startswith("│")]


def test_demo_prints_the_comparison_and_draws_the_assignment(tmp_path):
    run = demo("--episodes", 20, "--seed", 3, "--out", tmp_path / "new" / "folder")
    assert run.returncode == 0, run.stderr
    agent, uniform, random, optimum = table_of(run.stdout)
    assert "agent" in agent
    assert " 20 " in agent  # the last update's further episodes do not count
    assert "uniform" in uniform
    assert "21,393,158" in uniform
    assert "random search" in random
    assert "none feasible" in random
    assert "optimum" in optimum
    assert "12,185,568" in optimum
    picture = tmp_path / "new" / "folder" / "assignment.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert str(picture) in run.stdout

    again = demo("--episodes", 20, "--seed", 3, "--out", tmp_path)
    assert table_of(again.stdout) == table_of(run.stdout)


def test_demo_runs_where_an_episode_is_one_step(tmp_path):
    run = demo("--env", "HWAssignLS-VGG16-MIX-v0", "--episodes", 600, "--out", tmp_path)
    assert run.returncode == 0, run.stderr
    assert not run.stderr
    assert (tmp_path / "assignment.png").is_file()


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


def test_length_must_be_positive(tmp_path):
    for option in ("--seconds", "--episodes"):
        run = demo(option, 0, "--out", tmp_path)
        assert run.returncode == 2
        assert f"{option} must be greater than 0" in run.stderr
