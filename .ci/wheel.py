"""Build the sdist and the wheel, and use them as a stranger would: make wheel.

The wheel goes, with no more than what it depends on, into an empty virtual environment away from
the repository, and is used there. The sdist is unpacked, and some of its tests run from there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"hwgym": "hwgym", "hwgym_agents": "agents"}
"""Packages of the wheel, and the folders of the repository that they come from."""

TESTS = ("tests/test_package.py", "tests/test_cost.py", "tests/test_problem.py")

USE = """
import importlib.util, sys
import gymnasium as gym, numpy as np
import hwgym
from hwgym.core import find_agent, solve

assert hwgym.__file__.startswith(sys.prefix), hwgym.__file__
for name in ("agents", "benchmarks", "docs", "envs_registry", "notebooks", "tests"):
    assert importlib.util.find_spec(name) is None, f"the wheel installs {name!r}"

env = gym.make("HWAssign-MobileNetV2-NVDLA-v0", action_mode="discrete")
(_, info), done = env.reset(seed=0), False
while not done:
    _, _, done, _, info = env.step(env.action_space.sample(info["action_mask"]))
assert info["is_success"] and info["regret"] > 0, info
assert env.unwrapped.optimum().gap == 0

envs = gym.make_vec("HWAssign-AlexNet-MIX-v0", num_envs=3)
envs.action_space.seed(0)
_, info = envs.reset(seed=0)
ended = np.zeros(3, bool)
while not ended.all():
    _, _, terminated, _, _ = envs.step(envs.action_space.sample())
    ended |= terminated

for extra, names in {"agents": ("ppo", "maskable-ppo", "reinforce"), "search": ("cmaes",)}.items():
    for name in names:
        try:
            find_agent(name)
        except ImportError as error:
            assert f"pip install 'hwgym[{extra}]'" in str(error), error
        else:
            raise AssertionError(f"{name} was found without its packages")
assert solve("greedy", "HWAssign-AlexNet-NVDLA-v0", samples=200).regret < 0.1
print("used", hwgym.__version__)
"""


def main() -> None:
    """Build, check, use."""
    with tempfile.TemporaryDirectory(prefix="hwgym-wheel-") as folder:
        there = Path(folder).resolve()
        files = copy(there / "source")
        build = (sys.executable, "-m", "build", "--outdir", there / "dist", there / "source")
        run(*build, env=PINNED)
        [sdist], [wheel] = there.glob("dist/*.tar.gz"), there.glob("dist/*.whl")
        check_contents(sdist, wheel, files)
        python = install(wheel, there / "venv")
        away = there / "away"
        away.mkdir()
        run(python, "-W", "error", "-c", USE, cwd=away)
        asked = run(python, "-m", "hwgym", "--help", cwd=away, fails=True)
        expect("pip install 'hwgym[cli]'" in asked, f"python -m hwgym --help says: {asked}")
        test(sdist, python, there / "unpacked")


def copy(folder: Path) -> set[str]:
    """Copy what git has or would take, so that nothing left from earlier builds gets in."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "-co", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    files = {name for name in listed.split("\0") if name and (ROOT / name).exists()}
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    return files


def check_contents(sdist: Path, wheel: Path, files: set[str]) -> None:
    """The wheel has all of the packages and nothing else, the sdist all files."""
    with zipfile.ZipFile(wheel) as archive:
        installed = {name for name in archive.namelist() if not name.endswith("/")}
    with tarfile.open(sdist) as archive:
        packed = {
            PurePosixPath(*PurePosixPath(each.name).parts[1:]).as_posix()
            for each in archive.getmembers()
            if not each.isdir()
        }
    top = {name.partition("/")[0] for name in installed}
    information = {name for name in top if name.endswith(".dist-info")}
    expect(len(information) == 1, f"the wheel has {information}")
    expect(top - information == PACKAGES.keys(), f"the wheel installs {sorted(top)}")
    packed = {n for n in packed if ".egg-info/" not in n} - {"PKG-INFO", "setup.cfg"}
    expect(packed == files, f"sdist and repository differ: {sorted(packed ^ files)}")
    for package, source in PACKAGES.items():
        has = {n.partition("/")[2] for n in installed if n.startswith(package + "/")}
        should = {n.partition("/")[2] for n in files if n.startswith(source + "/")}
        expect(has == should, f"{package} and {source}/ differ: {sorted(has ^ should)}")


def install(wheel: Path, folder: Path) -> Path:
    """An environment with the wheel and what it requires; its Python."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--disable-pip-version-check", "-q", wheel, env=PINNED)
    return python


def test(sdist: Path, python: Path, folder: Path) -> None:
    """Run tests from the unpacked sdist, on the wheel and this environment's other packages."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    [unpacked] = folder.iterdir()
    # A path in a .pth file is searched, but no .pth file there is read: this environment's
    # editable hwgym stays out.
    into = next((python.parents[1] / "lib").glob("python*/site-packages"))
    (into / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS, cwd=unpacked)


def expect(condition: bool, message: str) -> None:
    """Leave with the message unless the condition holds."""
    if not condition:
        sys.exit(f"error: {message}")


def run(
    *command: str | Path,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    fails: bool = False,
) -> str:
    """Run a command that must succeed, or fail; what it printed."""
    done = subprocess.run(
        command, cwd=cwd, env=env or CLEAN, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    shown = " ".join(map(str, command))[:100]
    expect((done.returncode != 0) == fails, f"{shown} ended with {done.returncode}:\n{done.stdout}")
    print(done.stdout.strip().rpartition("\n")[2], flush=True)
    return done.stdout


CLEAN = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
PINNED = {**CLEAN, "PIP_CONSTRAINT": str(ROOT / "constraints.txt")}

if __name__ == "__main__":
    main()
