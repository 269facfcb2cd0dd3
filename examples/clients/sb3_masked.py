"""sb3-contrib: MaskablePPO, which draws only what can still end within budget."""

import rollout
from sb3_contrib import MaskablePPO
from stable_baselines3.common.env_util import make_vec_env

ENV_ID = "HWAssign-AlexNet-NVDLA-v0"

envs = make_vec_env(ENV_ID, n_envs=8, seed=0)
model = MaskablePPO(
    "MlpPolicy", envs, 2e-3, n_steps=64, batch_size=128, gamma=1.0, seed=0, device="cpu"
)
model.learn(10_000)
rollout.check(
    "sb3-contrib MaskablePPO",
    lambda obs, mask: model.predict(obs, action_masks=mask)[0],
    ENV_ID,
)
