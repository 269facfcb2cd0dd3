"""REINFORCE for hardware assignment: ConfuciuX's agent, with a training signal that sees quality.

ConfuciuX (Kao, Jeong and Krishna, MICRO 2020, section 4) trains an LSTM policy with a head per
decision by REINFORCE (Williams, Machine Learning 8, 1992). Its signal standardises the rewards
inside one episode, so whether the whole episode was good is invisible. Ours compares across them:

- *Masks.* Only choices after which the episode can still end within budget are sampled, so every
  sample is feasible.
- *Price.* What an early layer takes, all later ones miss. Instead of waiting for that to show in
  noisy later rewards, each choice is charged for the budget it takes, ``cost + price x usage``, at
  the least price at which the best choices seen so far fit the budget (Lagrangian relaxation over
  what was sampled; Everett, Operations Research 11(3), 1963).
- *Memory.* A layer's cost under a choice never changes, so what was seen once is known. The
  policy's expected charge over all choices seen replaces the sampled one: the same gradient without
  the variance (all-action policy gradient, Sutton et al., NIPS 1999), and a batch can be used more
  than once.
- *Annealing.* The policy is pulled towards uniform by an entropy bonus that fades, and the episodes
  of a batch are sampled at temperatures from 1 down, so some explore and some exploit.
- *Curiosity.* Now and then a step tries a choice that its layer was never seen with.
- *Layer bias.* The heads have a bias of their own for every layer.

``Reinforce.paper()`` is the paper's setting instead. Every choice is a field, so each can be
switched off alone; ``benchmarks/agents.py`` says what each brings.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hwgym._files import replacing
from hwgym.agent import BudgetSpent, Evaluator, Sees
from hwgym.envs.kernel import EpisodeKernel, EpisodeTables
from hwgym.envs.rewards import make_reward
from hwgym.families.assignment.problem import AssignmentProblem

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Policy(nn.Module):
    """Observations in, logits out: one head for PEs, one for the rest given the PEs.

    The second head covers buffers (and dataflows, under MIX) jointly; it sees the PE choice through
    a bias per PE level, so that a buffer can suit the PEs it goes with.
    """

    def __init__(self, problem: AssignmentProblem, inputs: int, args: Reinforce) -> None:
        super().__init__()
        self.pes = problem.space.shape[0]
        self.rest = problem.num_actions // self.pes
        self.recurrent = args.policy == "lstm"
        self.encoder = nn.Sequential(nn.Linear(inputs, args.hidden), nn.ReLU())
        self.body: nn.Module = (
            nn.LSTM(args.hidden, args.hidden)
            if self.recurrent
            else nn.Sequential(nn.Linear(args.hidden, args.hidden), nn.ReLU())
        )
        self.pe_head = nn.Linear(args.hidden, self.pes)
        self.rest_head = nn.Linear(args.hidden, self.rest)
        self.rest_given_pe = nn.Parameter(torch.zeros(self.pes, self.rest))
        steps = problem.num_steps if args.layer_bias else 1
        self.pe_bias = nn.Parameter(torch.zeros(steps, self.pes), requires_grad=args.layer_bias)
        self.rest_bias = nn.Parameter(
            torch.zeros(steps, self.pes, self.rest), requires_grad=args.layer_bias
        )
        for head in (self.pe_head, self.rest_head):  # begin uniform
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def forward(
        self,
        observations: Tensor,
        masks: Tensor,
        steps: Tensor,
        state: Any = None,
        sharpen: Any = 1,
    ) -> tuple[Tensor, Any]:
        """Log-probabilities (T, N, actions) of masked choices for steps (T,), and the new state."""
        hidden = self.encoder(observations)
        if self.recurrent:
            hidden, state = self.body(hidden, state)
        else:
            hidden = self.body(hidden)
        index = steps if len(self.pe_bias) > 1 else torch.zeros_like(steps)
        pe = self.pe_head(hidden) + self.pe_bias[index][:, None]
        rest = self.rest_head(hidden)[..., None, :] + self.rest_given_pe
        rest = rest + self.rest_bias[index][:, None]
        allowed = masks.reshape(*masks.shape[:-1], self.pes, self.rest)
        pe = (pe * sharpen).masked_fill(~allowed.any(-1), -torch.inf)
        # Rows of PEs that are not allowed at all would be all -inf, and their softmax NaN.
        rest = (rest * _expand(sharpen)).masked_fill(~allowed, -1e9)
        joint = torch.log_softmax(pe, -1)[..., None] + torch.log_softmax(rest, -1)
        return joint.flatten(-2).masked_fill(~masks, -torch.inf), state


def _expand(sharpen: Any) -> Any:
    return sharpen[..., None] if isinstance(sharpen, Tensor) else sharpen


@dataclass
class Reinforce:
    """REINFORCE (ConfuciuX's first stage) with masks, prices and memory."""

    policy: Literal["lstm", "mlp"] = "lstm"
    """Recurrent, or the multi-layer perceptron of the paper's ablation."""
    hidden: int = 128
    """Width of the policy."""
    batch: int = 32
    """Episodes per update."""
    epochs: int = 4
    """Gradient steps per update; more than one needs ``memory``."""
    learning_rate: float = 5e-3
    """Of the network (Adam)."""
    bias_learning_rate: float = 0.1
    """Of the layers' biases (Adam)."""
    masks: bool = True
    """Sample only what can still end feasibly. Without, a failed episode counts as a sample too."""
    credit: Literal["price", "return"] = "price"
    """Charge each choice for the budget it takes, or wait for the rewards to go."""
    memory: bool = True
    """Learn from every choice ever seen; without, from those sampled, against the batch's mean."""
    layer_bias: bool = True
    """A bias of its own for every layer."""
    entropy: float = 0.3
    """Weight of the entropy bonus at the start."""
    anneal: float = 4.0
    """The bonus fades as (1 - spent / budget) to this power."""
    coldest: float = 16.0
    """Logits of the last episode of a batch are multiplied by this, of the first by 1."""
    tilt: float = 0.03
    """By how much, relatively, the price differs from layer to layer (one standard deviation)."""
    curiosity: float = 0.1
    """Share of steps at which a choice not yet seen is tried, if there is one."""
    pace: float = 1.0
    """How far hot episodes are kept from spending early what late layers should try with, too."""
    gamma: float = 1.0
    """Discount, for ``credit="return"``."""
    within_episode: bool = False
    """Standardise rewards inside each episode, as the paper's code does, not across episodes."""
    reward: str | None = None
    """Of the environment, for ``credit="return"``; by default the environment's own."""
    device: str = "cpu"
    """``cpu``, ``cuda``, or ``auto``."""
    checkpoint: str | None = None
    """File to save to every ``checkpoint_every`` updates; a run that finds it continues it."""
    checkpoint_every: int = 20
    """Updates between checkpoints."""
    csv: str | None = None
    """File for a line an update: samples, best, mean, budget used, price, entropy."""
    tensorboard: str | None = None
    """Folder for the same as TensorBoard scalars."""

    sees: ClassVar[Sees] = "layers"
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "policy": ("lstm", "mlp"),
        "batch": (16, 32, 64),
        "epochs": (2, 4, 8),
        "learning_rate": (2e-3, 5e-3, 1e-2),
        "bias_learning_rate": (0.03, 0.1, 0.3),
        "entropy": (0.1, 0.3, 1.0),
        "curiosity": (0.03, 0.1, 0.3),
    }

    @classmethod
    def paper(cls) -> Reinforce:
        """What ConfuciuX's released code does, as far as it goes on this environment."""
        return cls(
            batch=1,
            epochs=1,
            learning_rate=1e-3,
            masks=False,
            credit="return",
            memory=False,
            layer_bias=False,
            entropy=0.0,
            coldest=1.0,
            curiosity=0.0,
            gamma=0.9,
            within_episode=True,
            reward="confuciux",
        )

    def __post_init__(self) -> None:
        if self.epochs > 1 and not self.memory:
            raise ValueError("epochs > 1 needs memory=True: samples are used once")
        if self.memory and self.credit != "price":
            raise ValueError("memory=True needs credit='price': returns are not known per choice")
        for name in ("hidden", "batch", "epochs", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Train until the budget is spent."""
        run = _Run(self, evaluator, seed)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the tensors are too small to share
        try:
            with _Metrics(self) as metrics:
                while evaluator.remaining:
                    figures = run.update()
                    metrics.write(evaluator.spent, figures)
                    if self.checkpoint and run.updates % self.checkpoint_every == 0:
                        run.save(self.checkpoint)
        finally:
            torch.set_num_threads(threads)
        if self.checkpoint:
            run.save(self.checkpoint)
        raise BudgetSpent


class _Run:
    """One training run: everything that a checkpoint holds."""

    def __init__(self, args: Reinforce, evaluator: Evaluator, seed: int) -> None:
        self.args, self.evaluator, self.problem = args, evaluator, evaluator.problem
        p = self.problem
        device = args.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device)
        torch.set_flush_denormal(True)
        # One generator on the CPU draws everything, so that devices differ only by rounding.
        self.generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.policy = Policy(p, EpisodeTables.of(p).observation_size, args)
        self.policy.to(self.device)
        biases = [self.policy.pe_bias, self.policy.rest_bias]
        network = [w for w in self.policy.parameters() if all(w is not b for b in biases)]
        groups: list[dict[str, Any]] = [{"params": network, "lr": args.learning_rate}]
        if args.layer_bias:
            groups.append({"params": biases, "lr": args.bias_learning_rate})
        self.optimizer = torch.optim.Adam(groups)
        self.seen = np.zeros((p.num_steps, p.num_actions), bool)
        self.price = 0.0
        # Layers of the same shape would all change their choice at the same price, and over- or
        # undershoot the budget together; prices that differ a little from layer to layer part them.
        draw = torch.randn(p.num_steps, 1, generator=self.generator).numpy().astype(np.float64)
        self.tilt = np.clip(1 + args.tilt * draw, 0.5, 1.5)
        self.updates = 0
        self._index = np.arange(p.num_steps)
        # A pipeline's period does not add up; a high power of the costs stands in for the maximum.
        self.cost = p.cost
        if p.objective == "throughput":
            self.cost = p.cost**8
        self.steps = torch.arange(p.num_steps, device=self.device)
        if args.checkpoint and Path(args.checkpoint).exists():
            self.load(args.checkpoint)

    # --- one update -----------------------------------------------------------------------------

    def update(self) -> dict[str, float]:
        """Sample a batch of episodes, learn from it; metrics of both."""
        args, p = self.args, self.problem
        count = min(args.batch, self.evaluator.remaining)
        kernel = EpisodeKernel(p, make_reward(args.reward, p), count)
        observations, masks, rewards = self._sample(kernel)
        actions = kernel.actions
        scores = self.evaluator.evaluate(actions, rewards.sum(axis=0))
        done = actions >= 0
        rows, steps = np.nonzero(done)
        self.seen[steps, actions[rows, steps]] = True
        if args.credit == "price":
            self._set_price()
        entropy = 0.0
        target = self._charges() if args.memory else self._advantages(actions, rewards, done)
        # Fades with the budget spent before this update, so that it can be done again after one.
        weight = args.entropy * (1 - (self.evaluator.spent - count) / self.evaluator.samples)
        weight = args.entropy * (weight / args.entropy) ** args.anneal if args.entropy else 0.0
        taken = torch.from_numpy(np.maximum(actions, 0).T.copy()).to(self.device)[..., None]
        alive = torch.from_numpy(done.T.copy()).to(self.device)
        for _ in range(args.epochs):
            log_probs, _ = self.policy(observations, masks, self.steps)
            probs = log_probs.exp()
            spread = -(probs * log_probs.masked_fill(~masks, 0.0)).sum(-1)
            if args.memory:
                loss = (probs * target).sum(-1)
            else:
                loss = -target * log_probs.gather(-1, taken)[..., 0].masked_fill(~alive, 0.0)
            total = ((loss - weight * spread) * alive).sum() / alive.sum()
            self.optimizer.zero_grad()
            total.backward()
            nn.utils.clip_grad_norm_(self.policy.parameters(), 1.0)
            self.optimizer.step()
            entropy = float(((spread * alive).sum() / alive.sum()).detach())
        self.updates += 1
        feasible = scores.feasible
        return {
            "best": self.evaluator.best_objective,
            "mean": float(scores.objective[feasible].mean()) if feasible.any() else np.inf,
            "feasible": float(feasible.mean()),
            "budget_used": float((scores.used / p.limit).mean()),
            "price": self.price,
            "entropy": entropy,
        }

    @torch.no_grad()
    def _sample(self, kernel: EpisodeKernel) -> tuple[Tensor, Tensor, Floats]:
        """Play a batch of episodes: observations (T, N, ...), masks (T, N, A), rewards (T, N)."""
        p, count = self.problem, kernel.num_envs
        # Cold first: episode i's logits are multiplied by a power that falls to 1.
        share = torch.linspace(1, 0, count)[:, None] if count > 1 else torch.zeros(1, 1)
        sharpen = (self.args.coldest**share).to(self.device)
        hot = 1 - share[:, 0]
        pace = self._pace(hot.numpy())
        observations, masks = [], []
        rewards = np.zeros((p.num_steps, count))
        state = None
        for step in range(p.num_steps):
            seen = torch.from_numpy(kernel.observe()).to(self.device)
            allowed = np.ones((count, p.num_actions), bool)
            if self.args.masks:
                allowed = kernel.masks()
                if self.args.pace:
                    allowed &= kernel.used[:, None] + p.usage[step] <= pace[step][:, None]
            mask = torch.from_numpy(allowed).to(self.device)
            observations.append(seen)
            masks.append(mask)
            log_probs, state = self.policy(
                seen[None], mask[None], self.steps[step : step + 1], state, sharpen
            )
            probs = self._curious(log_probs[0].exp().cpu(), mask.cpu(), step, hot)
            chosen = torch.multinomial(probs, 1, generator=self.generator)
            rewards[step] = kernel.step(chosen[:, 0].numpy()).reward
        return torch.stack(observations), torch.stack(masks), rewards

    def _pace(self, hot: NDArray[np.float32]) -> Floats:
        """(T, N): what may be used up to each step; hot episodes get the budget step by step."""
        p = self.problem
        least = np.cumsum(p.least_used)
        released = np.arange(1, p.num_steps + 1)[:, None] / p.num_steps
        share = 1 - self.args.pace * hot * (1 - released)
        pace: Floats = least[:, None] + (p.limit - least[-1]) * share
        return pace

    def _curious(self, probs: Tensor, mask: Tensor, step: int, hot: Tensor) -> Tensor:
        """Now and then, more in hot episodes, draw among the allowed choices not yet seen."""
        if not self.args.curiosity:
            return probs
        fresh = mask & torch.from_numpy(~self.seen[step])
        draw = torch.rand(len(hot), generator=self.generator) < 2 * self.args.curiosity * hot
        tries = (draw & fresh.any(-1))[:, None]
        return torch.where(tries, fresh.to(probs.dtype), probs)

    # --- what is learned from -------------------------------------------------------------------

    def _set_price(self) -> None:
        """The least price at which every layer's best choice, of those seen, fits the budget."""
        known = self.seen & self.problem.valid
        if not known.any(axis=1).all():
            return  # an episode without masks broke off before the last layers were ever reached
        usage = np.where(known, self.problem.usage, np.inf)
        if usage.min(axis=1).sum() > self.problem.limit:
            return
        cost = np.where(known, self.cost, np.inf)

        def used(price: float) -> float:
            charge = cost + price * self.tilt * np.where(known, usage, 0.0)
            return float(usage[self._index, charge.argmin(axis=1)].sum())

        low, high = 0.0, float(cost[known].max()) / self.problem.limit
        if used(low) <= self.problem.limit:
            self.price = 0.0
            return
        while used(high) > self.problem.limit:
            low, high = high, 4 * high
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (low, middle) if used(middle) <= self.problem.limit else (middle, high)
        self.price = high

    def _charges(self) -> Tensor:
        """(T, 1, A): each known choice's cost plus price x usage, 0 for a step's best, 1 for its
        mean; unknown ones count as the mean, invalid ones as three times that."""
        p = self.problem
        charge = self.cost + self.price * self.tilt * p.usage
        charge = np.where(self.seen & p.valid, charge, np.nan)
        known = np.isfinite(charge)
        some = known.any(axis=1, keepdims=True)
        count = np.maximum(known.sum(axis=1, keepdims=True), 1)
        low = np.where(known, charge, np.inf).min(axis=1, keepdims=True)
        low = np.where(some, low, 0.0)
        mean = np.where(known, charge, 0.0).sum(axis=1, keepdims=True) / count
        scale = np.where(mean > low, mean - low, 1.0)
        # Far above the mean, how far no longer matters; unbounded, it would drown the rest.
        charge = np.minimum(np.where(known, (charge - low) / scale, 1.0), 3.0)
        charge[self.seen & ~p.valid] = 3.0
        return torch.from_numpy(charge[:, None].astype(np.float32)).to(self.device)

    def _advantages(self, actions: Ints, rewards: Floats, done: NDArray[np.bool_]) -> Tensor:
        """(T, N): how much better each sampled choice was than the batch's at that step."""
        args, p = self.args, self.problem
        alive = done.T
        if args.credit == "price":
            index, chosen = np.arange(p.num_steps), np.maximum(actions, 0)
            gain = -(self.cost + self.price * self.tilt * p.usage)[index, chosen].T
            gain = np.where(p.valid[index, chosen].T, gain, 3 * gain)
        else:
            if args.within_episode:
                rewards = _standardise(rewards, alive, axis=0)
            gain = np.zeros_like(rewards)
            after = np.zeros(rewards.shape[1])
            for step in reversed(range(len(rewards))):
                after = gain[step] = rewards[step] + args.gamma * after
        advantage = _standardise(gain, alive, axis=0 if args.within_episode else 1)
        return torch.from_numpy(advantage.astype(np.float32)).to(self.device)

    # --- checkpoints ----------------------------------------------------------------------------

    def save(self, path: str) -> None:
        """Write everything that the rest of the run depends on; whole or not at all."""
        state = {
            "args": asdict(self.args),
            "problem": repr(self.problem),
            "policy": self.policy.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "seen": torch.from_numpy(self.seen),
            "price": self.price,
            "updates": self.updates,
            "evaluator": self.evaluator.state(),
        }
        with replacing(path) as partial:
            torch.save(state, partial)

    def load(self, path: str) -> None:
        """Go on from a checkpoint.

        Raises:
            ValueError: If it is of another problem, or of other settings.
        """
        state = torch.load(path, map_location=self.device, weights_only=False)
        if state["problem"] != repr(self.problem):
            raise ValueError(f"{path} is a checkpoint of {state['problem']}, not {self.problem!r}")
        for name, value in asdict(self.args).items():
            if name not in _MAY_CHANGE and state["args"].get(name) != value:
                raise ValueError(
                    f"{path} was made with {name}={state['args'].get(name)!r}, not {value!r}"
                )
        self.policy.load_state_dict(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self.seen = state["seen"].cpu().numpy()
        self.price, self.updates = state["price"], state["updates"]
        self.evaluator.restore(state["evaluator"])


_MAY_CHANGE = ("device", "checkpoint", "checkpoint_every", "csv", "tensorboard")


def _standardise(values: Floats, alive: NDArray[np.bool_], axis: int) -> Floats:
    """Mean 0 and deviation 1 along an axis, over the entries that count; the others 0."""
    count = np.maximum(alive.sum(axis=axis, keepdims=True), 1)
    centred = np.where(
        alive, values - np.where(alive, values, 0).sum(axis, keepdims=True) / count, 0
    )
    deviation = np.sqrt((centred**2).sum(axis=axis, keepdims=True) / count)
    out: Floats = np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0)
    return out


class _Metrics:
    """Writes the metrics of each update where the settings say."""

    def __init__(self, args: Reinforce) -> None:
        self.args = args
        self._board: Any = None

    def __enter__(self) -> _Metrics:
        if self.args.tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise ImportError("tensorboard=... needs: pip install tensorboard") from error
            self._board = SummaryWriter(self.args.tensorboard)
        return self

    def write(self, samples: int, metrics: dict[str, float]) -> None:
        if self.args.csv:
            path = Path(self.args.csv)
            fresh = not path.exists()
            with path.open("a", newline="") as file:
                writer = csv.writer(file)
                if fresh:
                    writer.writerow(["samples", *metrics])
                writer.writerow([samples, *metrics.values()])
        if self._board is not None:
            for name, value in metrics.items():
                self._board.add_scalar(name, value, samples)

    def __exit__(self, *_: object) -> None:
        if self._board is not None:
            self._board.close()
