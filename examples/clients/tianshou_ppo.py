"""Tianshou: PPO, its environments stepped together by its own vector environment."""

import gymnasium as gym
import rollout
import torch
from tianshou.algorithm import PPO
from tianshou.algorithm.modelfree.reinforce import DiscreteActorPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Batch, Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OnPolicyTrainerParams
from tianshou.utils.net.common import Net
from tianshou.utils.net.discrete import DiscreteActor, DiscreteCritic

import hwgym  # noqa: F401 (registers the environments)

ENV_ID = "HWAssign-AlexNet-NVDLA-v0"

torch.manual_seed(0)
envs = DummyVectorEnv([lambda: gym.make(ENV_ID)] * 8)
envs.seed(0)
env = gym.make(ENV_ID)
shape, actions = env.observation_space.shape, env.action_space.n


def net():
    return Net(state_shape=shape, hidden_sizes=[64, 64])


policy = DiscreteActorPolicy(
    actor=DiscreteActor(preprocess_net=net(), action_shape=actions, softmax_output=False),
    action_space=env.action_space,
    observation_space=env.observation_space,
)
algorithm = PPO(
    policy=policy,
    critic=DiscreteCritic(preprocess_net=net()),
    optim=AdamOptimizerFactory(lr=2e-3),
    gamma=1.0,
    ent_coef=0.0,
)
collector = Collector(algorithm, envs, VectorReplayBuffer(4096, len(envs)))
collector.reset()
algorithm.run_training(
    OnPolicyTrainerParams(
        training_collector=collector,
        max_epochs=1,
        epoch_num_steps=10_240,
        collection_step_num_env_steps=512,
        update_step_num_repetitions=8,
        batch_size=128,
        show_progress=False,
    )
)


def act(observation, mask):
    return policy(Batch(obs=observation[None], info=Batch())).act.item()


rollout.check("Tianshou PPO", act, ENV_ID)
