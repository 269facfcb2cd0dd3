"""Every registered id: the checkers of both libraries, its optimum played, its specification;
those left out; other people's families."""

import dataclasses
import json
import math
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import tiny_families
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env as gymnasium_check_env

import hwgym
from benchmarks import optima, silent
from hwgym import envs_registry
from hwgym.core import (
    METRICS,
    Family,
    Id,
    SharedProblem,
    UnknownId,
    families,
    family_of,
    problem_of,
    ranked_ids,
    register_family,
    registered_ids,
)
from hwgym.core.family import family_named, import_families, kwargs_of
from hwgym.costs.maestro import MAESTRO_2021, NVDLA, dataflow
from hwgym.families import FAMILIES
from hwgym.families.assignment import FAMILY, AssignmentProblem, HWAssignEnv, ids
from hwgym.families.layered import says_something

EVERY = dict(envs_registry.environments())
IDS = {entry.env_id: dict(entry.kwargs) for entry in FAMILY.ids()}
MANY = {i for i in IDS if i.startswith("mo-")}
OTHER_ACTIONS = {i for i in IDS if i.endswith(("-MultiDiscrete-v0", "-Continuous-v0"))}
RANKED = set(IDS) - MANY - OTHER_ACTIONS - {"HWAssign-v0"}
ALL = dict(ids.all_ids())
RENDERED = (
    "HWAssign-MobileNetV2-NVDLA-v0",
    "HWAssign-ViT-MIX-Energy-Power-IoTx-v0",
    "ConfuciuX-AlexNet-Eyeriss-IoT-v0",
    "mo-HWAssign-AlexNet-MIX-v0",
)


def groups():
    """Ids by family and model: enough tests to spread over processes, few enough to be cheap."""
    grouped = {}
    for family in FAMILIES:
        for env_id in sorted(ranked_ids(family)):
            start, model = env_id.split("-")[:2]
            grouped.setdefault(f"{family.name}-{start}-{model}", []).append(env_id)
    return grouped


GROUPS = groups()


class Summed(HWAssignEnv):
    """Adds a vector reward up."""

    def step(self, action):
        observation, reward, *rest = super().step(action)
        return observation, float(reward.sum()), *rest


QUICK = ("AlexNet", "BERT", "ViT")


def quickly_proven(env_id):
    """All but the mappings of whole networks of many layers, which take half a minute each to
    prove; what is on record of those is asked of ``python -m benchmarks.optima --check``."""
    return family_of(env_id).name != "mapping_network" or env_id.split("-")[1] in QUICK


def plain(env_id, **kwargs):
    return gym.make(env_id, disable_env_checker=True, **kwargs).unwrapped


def test_the_table():
    assert len(list(envs_registry.environments())) == len(EVERY)
    assert set(EVERY) == {e.env_id for family in FAMILIES for e in family.ids()}
    assert len(EVERY) == sum(len(registered_ids(family)) for family in FAMILIES)
    assert set(EVERY) <= set(gym.registry)
    assert (len(IDS), len(RANKED), len(MANY)) == (893, 698, 68)
    assert IDS["HWAssign-ViT-MIX-Energy-Power-IoTx-v0"] == {
        "workload": "ViT",
        "dataflow": "MIX",
        "objective": "energy",
        "constraint": "power",
        "platform": "iotx",
    }
    assert IDS["mo-HWAssign-ViT-MIX-v0"] == {
        "workload": "ViT",
        "dataflow": "MIX",
        "platform": "unlimited",
        "reward": ["latency", "energy", "area"],
    }
    assert IDS["HWAssign-v0"] == {}
    assert IDS["HWAssign-ViT-MIX-Continuous-v0"] == {
        **IDS["HWAssign-ViT-MIX-v0"],
        "action_mode": "continuous",
    }
    assert len(OTHER_ACTIONS) == 2 * sum(
        i.replace("-v0", "-MultiDiscrete-v0") in IDS for i in RANKED
    )
    # Networks that only mixes run have no ids of their own.
    only_in_mixes = {"SSD-MobileNetV2", "UNet", "FastDepth"}
    assert set(ids.MODELS) == set(hwgym.models()) - only_in_mixes
    assert set(ids.RELEASED_MODELS) == set(hwgym.released_models())
    assert set(registered_ids(FAMILY)) == set(IDS)
    assert set(ranked_ids(FAMILY)) == RANKED
    assert not any(i.startswith("HWAssignLS") for i in gym.registry)


# --- which ids say something ----------------------------------------------------------------------

DESCRIBED = {f: silent.described(f.name) for f in FAMILIES if f.name in silent.NAMES}
OF_MODELS = [
    (family, model)
    for family, every in DESCRIBED.items()
    for model in sorted({kwargs["workload"] for kwargs in every.values()})
]


def silent_text(family):
    package = f"hwgym.families.{family.name}"
    return files(package).joinpath("silent.txt").read_text(encoding="utf-8")


def best_without_a_limit(problem):
    """The least that the best of all solutions take of the constraint, from the tables."""
    if isinstance(problem, SharedProblem):
        design, once = problem.design, problem.design.once
        arrays = math.prod(axis.size for axis in design.axes[:once])
        cost, usage = (design.table(m) for m in (problem.objective, problem.constraint))
        cost = np.where(design.valid, cost, np.inf).reshape(len(cost), arrays, -1)
        best = cost.min(axis=2)
        totals = best.sum(axis=0)
        ways = np.where(cost == best[..., None], usage.reshape(cost.shape), np.inf)
        return ways.min(axis=2).max(axis=0)[totals <= totals.min() * (1 + 1e-12)].min()
    cheapest = np.where(problem.valid, problem.cost, np.inf)
    least = np.where(cheapest == cheapest.min(axis=1, keepdims=True), problem.usage, np.inf)
    return least.min(axis=1).sum()


@pytest.mark.parametrize(("family", "model"), OF_MODELS, ids=lambda x: getattr(x, "name", x))
def test_what_is_left_out_says_nothing_and_the_rest_something(family, model):
    """Both recomputed for every id, from the tables and by the solver."""
    described = {
        i: kwargs for i, kwargs in DESCRIBED[family].items() if kwargs["workload"] == model
    }
    assert described
    left_out = set(silent_text(family).split())
    for env_id, kwargs in described.items():
        problem = family.make(**kwargs)
        binds = best_without_a_limit(problem) > problem.limit
        scores = problem.evaluate(problem.space.uniform())
        uniform = scores.objective[scores.feasible].min(initial=np.inf)
        says = bool(binds and uniform / problem.optimum().objective >= 1.01)
        assert says_something(problem) == says, env_id
        assert (env_id in left_out) == (not says), env_id
        assert (env_id in ranked_ids(family)) == says, env_id


@pytest.mark.parametrize("family", DESCRIBED, ids=lambda family: family.name)
def test_silent_ids_are_the_others(family):
    listed = silent_text(family).splitlines()
    assert listed == sorted(set(listed))
    assert set(listed) < set(DESCRIBED[family])
    assert set(DESCRIBED[family]) - set(listed) == set(ranked_ids(family))
    assert not set(listed) & set(gym.registry)


def test_the_list_of_silent_ids():
    silent = ids.silent_ids()
    assert len(silent) == 294
    assert set(ALL) - silent == RANKED
    assert silent_text(FAMILY).splitlines() == sorted(silent)


def test_the_list_is_printed_anew(capsys):
    silent.main(["NCF", "AlexNet"])
    printed = capsys.readouterr().out.splitlines()
    of_these = {i for i, kwargs in ALL.items() if kwargs["workload"] in ("NCF", "AlexNet")}
    assert printed == sorted(ids.silent_ids() & of_these)
    assert printed
    silent.main(["NCF", "--why"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == sum(kwargs["workload"] == "NCF" for kwargs in ALL.values())
    marked = {line.split()[1] for line in lines if line.startswith("-")}
    assert marked == {i for i in ids.silent_ids() if ALL[i]["workload"] == "NCF"}
    silent.main(["NCF", "--family", "systolic"])
    systolic = set(silent_text(family_named("systolic")).split())
    printed = capsys.readouterr().out.splitlines()
    assert printed == sorted(i for i in systolic if i.startswith("HWAssign-NCF-"))
    with pytest.raises(SystemExit):
        silent.main(["ncf"])
    assert "did you mean 'NCF'" in capsys.readouterr().err


def test_a_silent_problem_remains_by_keyword():
    assert "HWAssign-GNMT-ShiDianNao-v0" in ids.silent_ids()
    problem = plain("HWAssign-v0", **ALL["HWAssign-GNMT-ShiDianNao-v0"]).problem
    assert problem is AssignmentProblem.of("GNMT", "ShiDianNao", platform="iot")


def test_an_id_that_is_no_id_is_named_with_the_nearest():
    with pytest.raises(UnknownId, match="unknown environment 'HWAssign-Alexnet-NVDLA-v0'; did you "
                       "mean 'HWAssign-AlexNet-NVDLA-v0'"):  # fmt: skip
        problem_of("HWAssign-Alexnet-NVDLA-v0")
    with pytest.raises(UnknownId, match="not an environment of hwgym: 'CartPole-v1'"):
        family_of("CartPole-v1")
    with pytest.raises(ValueError, match="HWAssign-v0"):
        problem_of("HWAssign-v0")


def test_a_short_id_is_the_long_one_of_the_defaults():
    short = [i for i in RANKED if i.startswith("HWAssign") and i.count("-") == 3]
    assert len(short) > 40
    for env_id in short:
        long = env_id.replace("-v0", "-Latency-Area-IoT-v0")
        assert long in RANKED
        assert ALL[long] == ALL[env_id] | {"objective": "latency", "constraint": "area"}
    keys = [json.dumps(ALL[i], sort_keys=True) for i in RANKED - set(short)]
    assert len(set(keys)) == len(keys)


# --- every id -------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=GROUPS)
def group(request):
    """All tests of a group run one after the other: its problems, made by the first, are kept."""
    return request.param


def test_gymnasium_checker(group):
    for env_id in GROUPS[group]:
        gymnasium_check_env(plain(env_id), skip_render_check=True)


def test_stable_baselines3_checker(group):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    for env_id in GROUPS[group]:
        checker.check_env(plain(env_id), warn=True, skip_render_check=True)


@pytest.mark.parametrize("mode", ["discrete", "continuous"])
@pytest.mark.parametrize("some", [g for g in GROUPS if g.endswith("-SqueezeNet")])
def test_checkers_with_other_action_modes(some, mode):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    for env_id in GROUPS[some]:
        gymnasium_check_env(plain(env_id, action_mode=mode), skip_render_check=True)
        checker.check_env(plain(env_id, action_mode=mode), warn=True, skip_render_check=True)


@pytest.mark.parametrize("env_id", [i for i in RENDERED if i in RANKED])
def test_gymnasium_checker_with_rendering(env_id):
    gymnasium_check_env(plain(env_id))


def test_playing_the_best_known_has_its_regret(group):
    """Which is none, but in the families of which optima are not known; and it is on record."""
    for env_id in filter(quickly_proven, GROUPS[group]):
        env = plain(env_id, action_mode="multi_discrete")
        best = env.problem.certificate()
        env.reset()
        *earlier, (_, _, terminated, truncated, info) = [env.step(a) for a in best.assignment]
        assert not any(done for _, _, done, _, _ in earlier), env_id
        assert terminated, env_id
        assert not truncated, env_id
        assert info["is_success"] is True, env_id
        assert info["objective"] == best.objective, env_id
        assert info["regret"] == best.gap, env_id
        if env.problem.statement.constraint is not None:
            assert 0 < info["budget_used"] <= 1, env_id
        assert best.exact == (best.gap == 0), env_id
        assert best.exact or family_of(env_id).name in ("group", "hetero"), env_id
        row = optima.recorded()[env_id]
        for name in ("objective", "lower_bound", "relaxation"):
            noted = float(row["best" if name == "objective" else name])
            assert getattr(best, name) == pytest.approx(noted, rel=1e-9), (env_id, name)
        assert int(row["steps"]) == env.problem.num_steps, env_id


def test_every_ranked_id_is_on_record():
    """If not: ``python -m benchmarks.optima PATTERN``. Optima are known of all but schedules."""
    assert list(optima.recorded()) == optima.own_ids()
    for env_id, row in optima.recorded().items():
        best, bound, relaxed = (float(row[n]) for n in ("best", "lower_bound", "relaxation"))
        assert 0 < relaxed <= best, env_id
        assert 0 < bound <= best, env_id
        gap = best / bound - 1
        assert gap < (0.15 if row["family"] in ("group", "hetero") else 1e-12), env_id


@pytest.mark.parametrize(
    "pattern",
    ["HWAssign-NCF-NVDLA-*", "HWAssign-AlexNet-SystolicWS-*", "HWQuant-Digits-*", "HWMap-GAMMA-*"],
)
def test_rows_on_record_come_out_the_same(pattern, capsys):
    with pytest.raises(SystemExit) as left:
        optima.main([pattern, "--check"])
    assert left.value.code == 0, capsys.readouterr().out


def test_a_row_that_changed_is_named_and_written(tmp_path, monkeypatch, capsys):
    kept = ["HWQuant-Digits-Energy-50-v0", "HWQuant-Digits-Energy-60-v0"]
    rows = {i: dict(optima.recorded()[i]) for i in kept}
    rows[kept[1]]["best"] = "1.0"
    file = tmp_path / "optima.csv"
    file.write_text(optima.written(rows.values()), encoding="utf-8")
    monkeypatch.setattr(optima, "FILE", file)
    before = file.read_text(encoding="utf-8")
    for asked in (["--check"], []):
        optima.recorded.cache_clear()
        with pytest.raises(SystemExit) as left:
            optima.main(["HWQuant-Digits-Energy-[56]0-v0", *asked])
        assert left.value.code == bool(asked)
        assert capsys.readouterr().out.split() == kept[1:]
        assert (file.read_text(encoding="utf-8") == before) == bool(asked)
    optima.recorded.cache_clear()
    assert optima.recorded()[kept[0]] == rows[kept[0]]
    assert float(optima.recorded()[kept[1]]["best"]) > 2
    optima.recorded.cache_clear()
    with pytest.raises(SystemExit, match="2"):
        optima.main(["HWQunt-*"])
    assert "no id that poses one problem is like 'HWQunt-*'" in capsys.readouterr().err


def test_the_ids_say_what_is_played():
    problem = plain("HWAssign-ViT-MIX-Energy-Power-IoTx-v0").problem
    assert problem is hwgym.AssignmentProblem.of(
        "ViT", "MIX", objective="energy", constraint="power", platform="iotx"
    )
    shared = plain("HWAssign-v0", workload="ViT", deployment="LS").problem
    assert shared is hwgym.AssignmentProblem.of("ViT", deployment="LS")
    assert plain("ConfuciuX-VGG16-Eyeriss-IoT-v0").problem is hwgym.AssignmentProblem.of(
        "VGG16", "Eyeriss", platform="iot", released=True
    )
    edp = plain("HWAssign-NCF-NVDLA-v0", objective="edp").problem
    assert edp.objective is METRICS["edp"]
    many = plain("mo-HWAssign-ViT-MIX-v0").problem
    assert many is hwgym.AssignmentProblem.of("ViT", "MIX", platform="unlimited")
    assert problem_of("mo-HWAssign-ViT-MIX-v0") is many


@pytest.mark.parametrize("env_id", sorted(MANY)[::17])
def test_a_vector_reward_keeps_to_gymnasiums_rules_otherwise(env_id):
    """Its checker takes numbers as rewards only; behind a sum of them it finds nothing to say."""
    assert gym.spec(env_id).disable_env_checker
    assert plain(env_id).reward_space.shape == (3,)
    gymnasium_check_env(Summed(**IDS[env_id]), skip_render_check=True)


# --- specifications -------------------------------------------------------------------------------


def test_every_specification_survives_json():
    for env_id, kwargs in EVERY.items():
        spec = gym.spec(env_id)
        text = spec.to_json()
        assert EnvSpec.from_json(text) == spec
        assert json.loads(text)["kwargs"] == kwargs == kwargs_of(env_id)
        assert spec.max_episode_steps is None


@pytest.mark.parametrize("env_id", RENDERED)
def test_a_made_environment_is_made_again_from_its_json(env_id):
    env = gym.make(env_id, action_mode="discrete", hardware={"noc_bandwidth": 64})
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.problem is env.unwrapped.problem
    assert again.action_space == env.action_space
    assert env.unwrapped.problem.design.hardware.noc_bandwidth == 64


@pytest.mark.parametrize("many", [False, True])
def test_a_network_and_hardware_of_ones_own_survive_json(three_kinds, many):
    technology = dataclasses.replace(MAESTRO_2021, name="mine", mac_area_um2=300.0)
    own = {
        "workload": three_kinds,
        "hardware": hwgym.Hardware(noc_bandwidth=64, technology=technology),
        "dataflow": [dataflow("NVDLA-CxK:16"), dataclasses.replace(NVDLA, name="mine"), "NVDLA"],
        "budget": 1e6,
    }
    make = gym.make_vec if many else gym.make
    env = make("HWAssign-v0", **own)
    text = env.spec.to_json()
    again = make(EnvSpec.from_json(text))
    assert again.unwrapped.problem is env.unwrapped.problem
    assert again.unwrapped.problem.design.workload == three_kinds
    assert again.unwrapped.problem.design.hardware == own["hardware"]
    assert again.unwrapped.problem.design.dataflows[:2] == tuple(own["dataflow"][:2])
    assert again.spec.to_json() == text
    one = make("HWAssign-v0", workload="NCF", dataflow=own["dataflow"][1])
    assert make(EnvSpec.from_json(one.spec.to_json())).unwrapped.problem is one.unwrapped.problem


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"workload": {"name": "n"}}, "a workload has name and layers, got name"),
        ({"workload": {"name": "n", "layers": []}}, "has no layers"),
        (
            {"workload": {"name": "n", "layers": [{"nme": "x"}]}},
            "n: unknown field of a layer 'nme'; did you mean 'name'",
        ),
        ({"workload": {"name": "n", "layers": [{"name": "x"}]}}, "n: .*missing.*'kind'"),
        (
            {"workload": "NCF", "hardware": {"technology": {"nme": "x"}}},
            "unknown field of a technology 'nme'",
        ),
        ({"workload": "NCF", "hardware": {"technology": {"name": "x"}}}, "needs mac_area_um2"),
        ({"workload": "NCF", "dataflow": {"nme": "x"}}, "dataflow: unknown key 'nme'"),
        ({"workload": "NCF", "dataflow": {"directives": ["x"]}}, "dataflow: .*"),
    ],
)
def test_what_does_not_describe_one_is_said(own, message):
    with pytest.raises(ValueError, match=message):
        HWAssignEnv(**own)


def test_registering_again_changes_nothing():
    before, known = dict(gym.registry), (families(), registered_ids(), ranked_ids())
    envs_registry.register()
    register_family(FAMILY)
    assert dict(gym.registry) == before
    assert all(gym.registry[key] is spec for key, spec in before.items())
    assert (families(), registered_ids(), ranked_ids()) == known


def test_an_id_that_somebody_else_took_stays_theirs():
    env_id = "HWAssign-AlexNet-NVDLA-v0"
    ours = gym.registry[env_id]
    theirs = gym.registry[env_id] = EnvSpec(env_id, entry_point="their:Env")
    try:
        envs_registry.register()
        assert gym.registry[env_id] is theirs
    finally:
        gym.registry[env_id] = ours


# --- other people's families ----------------------------------------------------------------------


@pytest.fixture
def other():
    """A family of another package, forgotten afterwards."""
    from hwgym.core import family as module

    before = dict(module._families), dict(module._ids), dict(gym.registry)
    yield Family(
        "ours", 3, tiny_families.Bags.of, tiny_families.TableWalk.of,
        lambda: iter([Id("Ours-A-v3", {"bags": 2}), Id("Ours-B-v3", {}, ranked=False)]),
        tiny_families.View(), "tiny_families:BagsEnv", "tiny_families:BagsVectorEnv",
    )  # fmt: skip
    for known, old in zip((module._families, module._ids, gym.registry), before, strict=True):
        known.clear()
        known.update(old)


def test_a_family_of_ones_own_is_registered(other):
    register_family(other)
    assert families()[-1] is other
    assert family_named("ours") is other
    assert registered_ids(other) == ("Ours-A-v3", "Ours-B-v3")
    assert ranked_ids(other) == ("Ours-A-v3",)
    assert set(registered_ids(other)) < set(registered_ids())
    assert family_of("Ours-A-v3") is other
    assert problem_of("Ours-A-v3") is tiny_families.Bags.of(bags=2)
    assert kwargs_of("Ours-A-v3") == {"bags": 2}
    assert gym.make("Ours-A-v3").unwrapped.problem.num_steps == 2
    assert gym.make_vec("Ours-A-v3", 2).unwrapped.problem.num_steps == 2
    assert other.module == "tiny_families"


def test_a_name_is_one_familys(other):
    clash = dataclasses.replace(other, name="bags", entry_point="another:Env")
    with pytest.raises(ValueError, match="there is a family 'bags' already, tiny_families:BagsEnv"):
        register_family(clash)
    with pytest.raises(ValueError, match="unknown family 'assignments'; did you mean 'assignment'"):
        family_named("assignments")


def test_importing_a_familys_module_registers_it():
    import_families(["tiny_families", family_of("Bags-3-0-v0").module])
    code = (
        "from hwgym.core.family import import_families, families; "
        "import_families(['tiny_families']); print([f.name for f in families()])"
    )
    paths = [str(Path(hwgym.__file__).parents[1]), str(Path(__file__).parent)]
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert "bags" in run.stdout


# --- importing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "import gymnasium as g; g.make('hwgym:HWAssign-NCF-NVDLA-v0').reset()",
        "import gymnasium as g, hwgym, hwgym; g.make('ConfuciuX-AlexNet-NVDLA-IoT-v0').reset()",
        # There is a v1, on another cost model: v0 is not out of date.
        "import gymnasium as g, hwgym; g.make_vec('HWAssign-AlexNet-MIX-v0')",
        "import gymnasium as g, hwgym; g.make('HWQuant-Digits-Energy-60-v0')",
    ],
)
def test_import_registers(code):
    root = str(Path(hwgym.__file__).parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        check=True,
        capture_output=True,
    )


@pytest.mark.parametrize(
    ("unknown", "suggestion"),
    [
        ("HWAssign-MobileNetV2-NVLDA-v0", "HWAssign-MobileNetV2-NVDLA"),
        ("ConfuciuX-VGG16-NVDLA-Iot-v0", "ConfuciuX-VGG16-NVDLA-IoT"),
    ],
)
def test_an_unknown_id_names_the_nearest(unknown, suggestion):
    with pytest.raises(gym.error.NameNotFound, match=suggestion):
        gym.make(unknown)
