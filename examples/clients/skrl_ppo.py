"""skrl: PPO over the suite's vector environment.

skrl stores every step, so an episode has to begin within the step that ends the one before.
"""

import gymnasium as gym
import rollout
import torch
from skrl.agents.torch.ppo import PPO, PPO_CFG
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.models.torch import CategoricalMixin, DeterministicMixin, Model
from skrl.trainers.torch import SequentialTrainer
from skrl.utils import set_seed
from torch import nn

import hwgym  # noqa: F401 (registers the environments)

ENV_ID = "HWAssign-AlexNet-NVDLA-v0"


class Policy(CategoricalMixin, Model):
    """A distribution over the choices."""

    def __init__(self, observation_space, action_space, device):
        Model.__init__(
            self,
            observation_space=observation_space,
            action_space=action_space,
            device=device,
        )
        CategoricalMixin.__init__(self, unnormalized_log_prob=True)
        self.net = nn.Sequential(
            nn.Linear(self.num_observations, 64), nn.Tanh(), nn.Linear(64, self.num_actions)
        )

    def compute(self, inputs, role):
        return self.net(inputs["observations"]), {}


class Value(DeterministicMixin, Model):
    """The return to come."""

    def __init__(self, observation_space, action_space, device):
        Model.__init__(
            self,
            observation_space=observation_space,
            action_space=action_space,
            device=device,
        )
        DeterministicMixin.__init__(self)
        self.net = nn.Sequential(nn.Linear(self.num_observations, 64), nn.Tanh(), nn.Linear(64, 1))

    def compute(self, inputs, role):
        return self.net(inputs["observations"]), {}


set_seed(0)
env = wrap_env(gym.make_vec(ENV_ID, num_envs=8, autoreset_mode="SameStep"), wrapper="gymnasium")
spaces = env.observation_space, env.action_space, env.device
models = {"policy": Policy(*spaces), "value": Value(*spaces)}
config = PPO_CFG(rollouts=64, learning_epochs=6, mini_batches=4, discount_factor=1.0)
config.learning_rate, config.experiment.write_interval = 2e-3, 0
config.experiment.checkpoint_interval = 0
agent = PPO(
    models=models,
    memory=RandomMemory(memory_size=64, num_envs=8, device=env.device),
    cfg=config,
    observation_space=env.observation_space,
    action_space=env.action_space,
    device=env.device,
)
SequentialTrainer(env=env, agents=agent, cfg={"timesteps": 1280, "headless": True}).train()


def act(observation, mask):
    with torch.no_grad():
        scores = models["policy"].net(torch.tensor(observation))
    return torch.distributions.Categorical(logits=scores).sample().item()


rollout.check("skrl PPO", act, ENV_ID)
