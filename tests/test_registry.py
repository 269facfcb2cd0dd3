"""Every registered id: the checkers of both libraries, its optimum played, its specification."""

import json
import os
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env as gymnasium_check_env

import hwgym
from hwgym import envs_registry

IDS = dict(envs_registry.environments())
RENDERED = (
    "HWAssign-MobileNetV2-NVDLA-v0",
    "HWAssign-ViT-MIX-Energy-Power-IoTx-v0",
    "HWAssignLS-NCF-MIX-v0",
    "ConfuciuX-AlexNet-Eyeriss-IoT-v0",
)


def groups():
    """Ids by family and model: enough tests to spread over processes, few enough to be cheap."""
    grouped = {}
    for env_id in IDS:
        family, model = env_id.split("-")[:2]
        grouped.setdefault(f"{family}-{model}", []).append(env_id)
    return grouped


GROUPS = groups()


def plain(env_id, **kwargs):
    return gym.make(env_id, disable_env_checker=True, **kwargs).unwrapped


# --- every id -------------------------------------------------------------------------------------


def test_the_table():
    assert len(list(envs_registry.environments())) == len(IDS) == 1060
    assert set(IDS) <= set(gym.registry)
    assert IDS["HWAssign-ViT-MIX-Energy-Power-IoTx-v0"] == {
        "workload": "ViT",
        "dataflow": "MIX",
        "objective": "energy",
        "constraint": "power",
        "platform": "iotx",
    }
    assert set(envs_registry.MODELS) == set(hwgym.models())
    assert set(envs_registry.RELEASED_MODELS) == set(hwgym.released_models())


@pytest.mark.parametrize("group", GROUPS)
def test_gymnasium_checker(group):
    for env_id in GROUPS[group]:
        gymnasium_check_env(plain(env_id), skip_render_check=True)


@pytest.mark.parametrize("group", GROUPS)
def test_stable_baselines3_checker(group):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    for env_id in GROUPS[group]:
        checker.check_env(plain(env_id), warn=True, skip_render_check=True)


@pytest.mark.parametrize("mode", ["discrete", "continuous"])
@pytest.mark.parametrize("group", [g for g in GROUPS if g.endswith("-SqueezeNet")])
def test_checkers_with_other_action_modes(group, mode):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    for env_id in GROUPS[group]:
        gymnasium_check_env(plain(env_id, action_mode=mode), skip_render_check=True)
        checker.check_env(plain(env_id, action_mode=mode), warn=True, skip_render_check=True)


@pytest.mark.parametrize("env_id", RENDERED)
def test_gymnasium_checker_with_rendering(env_id):
    gymnasium_check_env(plain(env_id))


@pytest.mark.parametrize("group", GROUPS)
def test_playing_the_optimum_has_no_regret(group):
    for env_id in GROUPS[group]:
        env = plain(env_id)
        best = env.optimum()
        env.reset()
        *earlier, (_, _, terminated, truncated, info) = [env.step(a) for a in best.assignment]
        assert not any(done for _, _, done, _, _ in earlier), env_id
        assert terminated, env_id
        assert not truncated, env_id
        assert info["is_success"] is True, env_id
        assert info["objective"] == best.objective, env_id
        assert info["regret"] == 0, env_id
        assert 0 < info["budget_used"] <= 1, env_id
        assert best.gap == 0, env_id
        assert 0 < best.relaxation <= best.objective, env_id


def test_the_ids_say_what_is_played():
    problem = plain("HWAssign-ViT-MIX-Energy-Power-IoTx-v0").problem
    assert problem is hwgym.AssignmentProblem.of(
        "ViT", "MIX", objective="energy", constraint="power", platform="iotx"
    )
    assert plain("HWAssignLS-ViT-NVDLA-v0").problem.deployment == "LS"
    assert plain("ConfuciuX-VGG16-Eyeriss-Cloud-v0").problem is hwgym.AssignmentProblem.of(
        "VGG16", "Eyeriss", platform="cloud", released=True
    )
    assert plain("HWAssign-NCF-NVDLA-v0", objective="edp").problem.objective == "edp"


# --- specifications -------------------------------------------------------------------------------


def test_every_specification_survives_json():
    for env_id in IDS:
        spec = gym.spec(env_id)
        text = spec.to_json()
        assert EnvSpec.from_json(text) == spec
        assert json.loads(text)["kwargs"] == IDS[env_id]
        assert spec.max_episode_steps is None


@pytest.mark.parametrize("env_id", RENDERED)
def test_a_made_environment_is_made_again_from_its_json(env_id):
    env = gym.make(env_id, action_mode="discrete", hardware={"noc_bandwidth": 64})
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.problem is env.unwrapped.problem
    assert again.action_space == env.action_space
    assert env.unwrapped.problem.space.hardware.noc_bandwidth == 64


def test_registering_again_changes_nothing():
    before = dict(gym.registry)
    envs_registry.register()
    assert dict(gym.registry) == before
    assert all(gym.registry[key] is spec for key, spec in before.items())


@pytest.mark.parametrize(
    "code",
    [
        "import gymnasium as g; g.make('hwgym:HWAssign-NCF-NVDLA-v0').reset()",
        "import gymnasium as g, hwgym, hwgym; g.make('ConfuciuX-AlexNet-NVDLA-IoT-v0').reset()",
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
