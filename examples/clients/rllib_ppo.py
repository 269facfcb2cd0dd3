"""RLlib: PPO over the suite's own vector environment, which takes all steps at once."""

import ray
import rollout
import torch
from ray.rllib.algorithms.ppo import PPOConfig

ENV_ID = "hwgym:HWAssign-AlexNet-NVDLA-v0"  # with the package, so that workers import it

ray.init(address="local", num_cpus=1, include_dashboard=False)
config = (
    PPOConfig()
    .environment(ENV_ID)
    .env_runners(
        num_env_runners=0, num_envs_per_env_runner=8, gym_env_vectorize_mode="vector_entry_point"
    )
    .training(
        train_batch_size=520, minibatch_size=104, num_epochs=10, gamma=1.0, lr=3e-3, lambda_=0.95
    )
    .debugging(seed=0)
)
algorithm = config.build_algo()
for _ in range(30):
    algorithm.train()
module = algorithm.get_module()


def act(observation, mask):
    with torch.no_grad():
        out = module.forward_exploration({"obs": torch.tensor(observation)[None]})
    return torch.distributions.Categorical(logits=out["action_dist_inputs"][0]).sample().item()


torch.manual_seed(0)
rollout.check("RLlib PPO", act, ENV_ID)
algorithm.stop()
ray.shutdown()
