"""stable-baselines3: PPO over Gymnasium environments."""

import rollout
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

ENV_ID = "HWAssign-AlexNet-NVDLA-v0"

envs = make_vec_env(ENV_ID, n_envs=8, seed=0)
model = PPO("MlpPolicy", envs, 2e-3, n_steps=64, batch_size=128, gamma=1.0, seed=0, device="cpu")
model.learn(10_000)
rollout.check("stable-baselines3 PPO", lambda obs, mask: model.predict(obs)[0], ENV_ID)
