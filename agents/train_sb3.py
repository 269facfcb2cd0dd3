"""Train an agent of stable-baselines3 on hwgym, in one file to copy and change.

python -m hwgym_agents.train_sb3
python -m hwgym_agents.train_sb3 --env HWAssign-ResNet50-Eyeriss-v0 --timesteps 500_000 --out model
"""

import argparse
from typing import Any

import gymnasium as gym
import sb3_contrib
import stable_baselines3 as sb3
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

import hwgym  # noqa: F401 (registers the environments)

# Which class, how it gives its actions, and what differs from its defaults.
ON_POLICY = {"n_steps": 128, "gae_lambda": 0.95, "policy_kwargs": {"net_arch": [64, 64]}}
PPO = {**ON_POLICY, "batch_size": 256, "learning_rate": 2e-3, "ent_coef": 0.003, "n_epochs": 6}
ALGORITHMS: dict[str, tuple[Any, str, dict[str, Any]]] = {
    # Masked episodes always end within budget, so the return is the objective: no discount.
    "maskable-ppo": (sb3_contrib.MaskablePPO, "discrete", {**PPO, "gamma": 1.0, "ent_coef": 0.01}),
    # Without masks, a discount is what tells an episode that fails late from one that fails early.
    "ppo": (sb3.PPO, "discrete", {**PPO, "gamma": 0.95}),
    "a2c": (sb3.A2C, "multi_discrete", {**ON_POLICY, "gamma": 0.95}),
    "dqn": (sb3.DQN, "discrete", {"gamma": 0.95, "buffer_size": 100_000}),
    "sac": (sb3.SAC, "continuous", {"gamma": 0.95, "buffer_size": 100_000}),
}


class Best(BaseCallback):
    """Keeps the least regret of the episodes seen."""

    def __init__(self) -> None:
        super().__init__()
        self.episodes, self.regret = 0, float("inf")

    def _on_step(self) -> bool:
        for info, done in zip(self.locals["infos"], self.locals["dones"], strict=True):
            if done:
                self.episodes += 1
                self.regret = min(self.regret, info["regret"])  # infinite if it broke the budget
        return True


def evaluate(model: Any, env: gym.Env[Any, Any]) -> float:
    """The regret of the episode that the trained policy takes when it explores no more."""
    masked = isinstance(model, sb3_contrib.MaskablePPO)
    observation, info = env.reset()
    ended = False
    while not ended:
        masks = {"action_masks": env.get_wrapper_attr("action_masks")()} if masked else {}
        action, _ = model.predict(observation, deterministic=True, **masks)
        observation, _, ended, _, info = env.step(action)
    return float(info["regret"])


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train an agent of stable-baselines3 on hwgym.")
    parser.add_argument("--env", default="HWAssign-MobileNetV2-NVDLA-v0")
    parser.add_argument("--algo", choices=ALGORITHMS, default="maskable-ppo")
    parser.add_argument("--timesteps", type=int, default=260_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="file for the trained model")
    args = parser.parse_args(argv)

    torch.set_num_threads(1)  # the network is too small to share
    algorithm, action_mode, settings = ALGORITHMS[args.algo]
    env_kwargs: dict[str, Any] = {"action_mode": action_mode}
    envs = VecNormalize(
        make_vec_env(args.env, n_envs=8, seed=args.seed, env_kwargs=env_kwargs),
        norm_obs=False,  # they lie in [-1, 1] already
        gamma=settings["gamma"],
    )
    model = algorithm("MlpPolicy", envs, seed=args.seed, device="cpu", **settings)
    best = Best()
    model.learn(args.timesteps, callback=best)
    envs.close()

    env = gym.make(args.env, **env_kwargs)
    best_known = env.get_wrapper_attr("certificate")()
    print(f"{'optimum' if best_known.exact else 'best known'}: {best_known.objective:,.0f}")
    print(f"regret of the best of {best.episodes:,} episodes: {best.regret:.1%}")
    print(f"regret of the trained policy: {evaluate(model, env):.1%}")
    env.close()
    if args.out:
        model.save(args.out)


if __name__ == "__main__":
    main()
