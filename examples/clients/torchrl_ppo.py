"""TorchRL: GymEnv with a masked policy, a collector, and the clipped PPO loss."""

import rollout
import torch
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.collectors import Collector
from torchrl.data import Binary
from torchrl.envs import ActionMask, Compose, DTypeCastTransform, GymEnv, TransformedEnv
from torchrl.envs.libs.gym import default_info_dict_reader
from torchrl.modules import MaskedCategorical, ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

import hwgym  # noqa: F401 (registers the environments)

ENV_ID = "HWAssign-AlexNet-NVDLA-v0"

torch.manual_seed(0)
env = GymEnv(ENV_ID, categorical_action_encoding=True)
mask = Binary(env.action_spec.n, dtype=torch.int8)
env.set_info_dict_reader(default_info_dict_reader(["action_mask"], spec=[mask]))
as_bool = DTypeCastTransform(torch.int8, torch.bool, in_keys=["action_mask"])
env = TransformedEnv(env, Compose(as_bool, ActionMask()))

size, actions = env.observation_spec["observation"].shape[-1], env.action_spec.n
logits = nn.Sequential(nn.Linear(size, 64), nn.Tanh(), nn.Linear(64, actions))
actor = ProbabilisticActor(
    TensorDictModule(logits, ["observation"], ["logits"]),
    in_keys={"logits": "logits", "mask": "action_mask"},
    spec=env.action_spec,
    distribution_class=MaskedCategorical,
    return_log_prob=True,
)
critic = ValueOperator(nn.Sequential(nn.Linear(size, 64), nn.Tanh(), nn.Linear(64, 1)))
advantage = GAE(gamma=1.0, lmbda=0.95, value_network=critic)
loss = ClipPPOLoss(actor, critic)
optimiser = torch.optim.Adam(loss.parameters(), 3e-3)

collector = Collector(
    env, actor, frames_per_batch=520, total_frames=6240, auto_register_policy_transforms=True
)
for batch in collector:
    for _ in range(6):
        advantage(batch)
        losses = loss(batch.flatten())
        sum(losses[k] for k in ("loss_objective", "loss_critic", "loss_entropy")).backward()
        optimiser.step()
        optimiser.zero_grad()


def act(observation, mask):
    with torch.no_grad():
        scores = logits(torch.tensor(observation))
    return MaskedCategorical(logits=scores, mask=torch.tensor(mask) > 0).sample().item()


rollout.check("TorchRL PPO", act, ENV_ID)
