"""The package as it is installed: names, extras, registration, and where it lies."""

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points, packages_distributions
from pathlib import Path

import gymnasium as gym
import pytest
from gymnasium.envs import registration

import hwgym
from hwgym import envs_registry
from hwgym._extras import EXTRAS, explain, naming
from hwgym.families import FAMILIES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
INSTALL = ("README.md", "docs/installation.md")


def python(code, *arguments, cwd=None, beside=()):
    """What a fresh Python prints; it sees this hwgym, whatever else is installed."""
    path = os.pathsep.join(map(str, beside))
    done = subprocess.run(
        [sys.executable, "-W", "error", *(("-c", code) if code else ()), *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def without(packages, code):
    """Run code where packages cannot be imported."""
    blocked = f"import sys; sys.modules.update(dict.fromkeys({list(packages)}))\n"
    return python(blocked + code, beside=[ROOT])


# --- names ----------------------------------------------------------------------------------------


def test_the_version_is_in_the_changelog():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[(\d[\d.]*)\]", changelog, re.M)[1] == hwgym.__version__


def test_the_table_at_the_top_is_the_packages():
    top, inside = ROOT / "envs_registry.py", ROOT / "hwgym" / "envs_registry.py"
    if not top.is_symlink() and top.stat().st_size < 100:  # git without symbolic links
        assert top.read_text(encoding="utf-8").strip() == "hwgym/envs_registry.py"
    else:
        assert top.read_bytes() == inside.read_bytes()


@pytest.mark.parametrize("page", INSTALL)
def test_a_script_beside_the_clone_imports_the_package(page, tmp_path):
    text = (ROOT / page).read_text(encoding="utf-8")
    [folder] = re.findall(r"git clone <this repository> (\S+)", text)
    assert f"cd {folder}\n" in text
    (tmp_path / folder).symlink_to(ROOT, target_is_directory=True)
    script = tmp_path / "script.py"
    script.write_text("import hwgym; print(hwgym.__file__, hwgym.__version__)\n")
    file, version = python("", script, cwd=tmp_path).split()
    assert Path(file).name == "__init__.py"
    assert version == hwgym.__version__


# --- extras ---------------------------------------------------------------------------------------


def brought_by(extra):
    """Distributions that an extra lists, its own extras' included."""
    for requirement in PROJECT["optional-dependencies"][extra]:
        name, inner = re.match(r"([\w.-]+)(?:\[([\w,]+)\])?", requirement).groups()
        if name == "hwgym":
            for each in inner.split(","):
                yield from brought_by(each)
        else:
            yield name
            yield from {"minari": ["h5py"]}.get(name, ())


def test_extras_bring_what_they_are_named_for():
    names = packages_distributions()
    for package, extra in EXTRAS.items():
        distributions = {re.sub("[._]", "-", n).lower() for n in names.get(package, [package])}
        assert distributions & set(brought_by(extra)), (package, extra)


def test_the_package_needs_no_extra():
    code = """
import gymnasium as gym, hwgym, hwgym.core, hwgym.leaderboard, hwgym.plotting
import hwgym.families.assignment.pictures
env = gym.make("HWAssign-AlexNet-NVDLA-v0", action_mode="discrete")
(_, info), done = env.reset(seed=0), False
while not done:
    _, _, done, _, info = env.step(env.action_space.sample(info["action_mask"]))
print(info["is_success"], env.unwrapped.optimum().gap)
"""
    assert without(EXTRAS, code) == "True 0.0"


@pytest.mark.parametrize(
    ("packages", "call", "extra"),
    [
        (["stable_baselines3"], "find_agent('sb3-ppo')", "agents"),
        (["sb3_contrib"], "find_agent('dqn')", "agents"),
        (["torch"], "find_agent('reinforce')", "agents"),
        (["yaml"], "find_agent('sac')", "agents"),
        (["cmaes"], "find_agent('cmaes')", "search"),
        (["optuna"], "find_agent('optuna')", "search"),
        (["pandas"], "hwgym.workload('AlexNet').to_frame()", "tables"),
        (["pandas"], "costs.to_frame()", "tables"),
        (["scipy"], "hwgym.optimum(problem, method='milp')", "milp"),
        (["onnx"], "hwgym.Workload.from_onnx('net.onnx')", "onnx"),
        (["matplotlib"], "pictures.assignment_figure(problem, best)", "plot"),
        (["matplotlib"], "pictures.budget_figure(problem, best)", "plot"),
        (["matplotlib"], "pictures.roofline_figure(problem, best)", "plot"),
        (["matplotlib"], "pictures.design_space_figure(problem, 'conv2')", "plot"),
        (["matplotlib"], "gym.make(env_id, render_mode='rgb_array').unwrapped.render()", "plot"),
        (["matplotlib"], "plotting.curves_figure({'a': [[1.0]]}, title='a')", "plot"),
        (
            ["plotly"],
            "pictures.frontier_page(hwgym.frontier(problem), 'x.html')",
            "interactive",
        ),
        (["pyarrow"], "solve('random', problem, samples=10, log='log')", "tables"),
        (["minari"], "to_minari('log', 'a/b-v0')", "minari"),
    ],
)
def test_a_missing_package_names_its_extra(packages, call, extra, tmp_path):
    code = f"""
import os
import gymnasium as gym
import hwgym
from hwgym import plotting
from hwgym.core import find_agent, solve, to_minari
from hwgym.families.assignment import pictures
os.chdir({str(tmp_path)!r})
env_id = "HWAssign-AlexNet-NVDLA-v0"
problem = hwgym.AssignmentProblem.of("AlexNet", "NVDLA")
best = problem.optimum().assignment
costs = hwgym.evaluate(hwgym.workload("AlexNet")[0], "NVDLA", 4, 4)
try:
    {call}
except ImportError as error:
    print(error)
"""
    assert re.search(rf"pip install ['\"]hwgym\[{extra}\]['\"]$", without(packages, code))


def test_every_agent_is_found_or_names_its_extra():
    ours = [e.name for e in entry_points(group="hwgym.agents") if "hwgym_agents" in e.value]
    assert "greedy" in ours
    code = f"""
from hwgym.core import find_agent
for name in {ours}:
    try:
        find_agent(name)
    except ImportError as error:
        assert "pip install 'hwgym[" in str(error), error
        print(name)
"""
    missing = without(EXTRAS, code).split()
    assert {"ppo", "reinforce", "optuna", "cmaes"} <= set(missing)
    assert not {"random", "uniform", "grid", "tabulate", "greedy", "genetic"} & set(missing)


def test_naming_leaves_other_errors_alone():
    with pytest.raises(ImportError, match=r"^no module 'torch': .*search"), naming("search"):
        raise ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")
    other = ModuleNotFoundError("No module named 'other'", name="other")
    with pytest.raises(ModuleNotFoundError) as caught, naming():
        raise other
    assert caught.value is other
    assert explain(other) == "No module named 'other'"
    told = ImportError("no onnx: pip install onnx", name="onnx")
    assert explain(told) == "no onnx: pip install onnx"


# --- registration ---------------------------------------------------------------------------------


@pytest.fixture
def registry(monkeypatch):
    """An empty registry that counts how often it was looked through."""

    class Counting(dict):
        looks = 0

        def values(self):
            type(self).looks += 1
            return super().values()

    empty = Counting()
    monkeypatch.setattr(gym, "registry", empty)
    monkeypatch.setattr(registration, "registry", empty)
    return empty


def test_specifications_are_those_of_gymnasium(registry):
    for family in FAMILIES:
        for entry in family.ids():
            gym.register(
                entry.env_id,
                entry_point=family.entry_point,
                vector_entry_point=family.vector_entry_point,
                disable_env_checker=isinstance(entry.kwargs.get("reward"), list | tuple),
                kwargs=dict(entry.kwargs),
            )
    theirs = dict(registry)
    assert registry.looks >= len(theirs) > 0
    registry.clear()
    envs_registry.register()
    assert registry == theirs
    assert [s.to_json() for s in registry.values()] == [s.to_json() for s in theirs.values()]


def test_registering_looks_at_no_other_id(registry):
    envs_registry.register()
    assert len(registry) > 500
    assert registry.looks == 0
