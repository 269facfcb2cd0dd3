"""AQGAN's counterpart: a conditional generator, target accuracy in, bits of all layers out.

AQGAN (Kao, Ramamurthy, Krishna: Generative Design of Hardware-aware DNNs, arXiv:2006.03968) trains
a conditional generative adversarial network once on logged quantisations of a network and their
accuracies. Then it gives configurations for any target, one draw each, and of several draws those
are taken that the hardware's budget allows. That much is the paper's, as its abstract tells it.
What the nets are here is ours, as no settings of it were at hand:

- A configuration is a one-hot code for every layer and axis. The generator, a perceptron of noise
  and conditions, gives each a softmax, of which the most likely is taken; gradients pass as if it
  had not been (straight through: Bengio, Leonard, Courville, arXiv:1308.3432).
- The discriminator sees configuration and condition, and is also shown logged configurations with
  the conditions of others, as false (Reed et al., ICML 2016).
- A regressor, trained on the log alone, tells the conditions of what is generated, and the
  generator is to meet what it was asked for (``regressor``; 0 leaves the adversary alone).

:class:`Generator` is that, for any use: :meth:`Generator.train`, then :meth:`Generator.draw`.
:class:`AQGAN` is an agent that searches with it, which AQGAN does not: there the log goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hwgym._arrays import Floats, Ints
from hwgym.core import Evaluator, Sees, Space

from .common import above_zero, not_negative, positive, shares
from .precision import known_usage, of_precision, summed

__all__ = ["AQGAN", "Generator", "Training"]

NOISE = 16
"""Entries of the noise that a draw begins with."""


@dataclass(frozen=True)
class Training:
    """How a generator learns.

    Attributes:
        hidden: Units of each of two layers, of all nets.
        batch: Of a step.
        learning_rate: Of Adam.
        regressor: Weight of the regressor's word in what the generator learns.
    """

    hidden: int = 64
    batch: int = 64
    learning_rate: float = 1e-3
    regressor: float = 20.0


class Generator:
    """A conditional generator of solutions, its adversary and its regressor.

    Args:
        space: What can be chosen; all steps alike.
        conditions: How many a solution has.
        seed: Of weights, noise and batches.
        how: How it learns.

    Raises:
        ValueError: If steps differ in what they choose.
    """

    def __init__(
        self, space: Space, conditions: int, seed: int, how: Training = Training()
    ) -> None:
        if space.own:
            raise ValueError("a generator is for spaces whose steps have the same choices")
        self.space, self.how = space, how
        self.columns = space.num_steps * sum(space.shape)
        self.random = torch.Generator().manual_seed(seed)
        self.middle, self.spread = torch.zeros(conditions), torch.ones(conditions)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.generator = _perceptron(NOISE + conditions, how.hidden, self.columns)
            self.adversary = _perceptron(self.columns + conditions, how.hidden, 1)
            self.regressor = _perceptron(self.columns, how.hidden, conditions)
        self.optimisers = [
            torch.optim.AdamW(net.parameters(), how.learning_rate, betas, weight_decay=decay)
            for net, betas, decay in (
                (self.generator, (0.5, 0.99), 0.0),
                (self.adversary, (0.5, 0.99), 0.0),
                (self.regressor, (0.9, 0.99), 0.1),
            )
        ]

    def train(self, genes: Ints, conditions: Floats, steps: int) -> None:
        """Learn from a log, or go on with a longer one.

        Args:
            genes: (n, steps, axes) of solutions.
            conditions: (n, conditions) of them.
            steps: Of each net; first the regressor's, then the other two by turns.
        """
        given = torch.as_tensor(conditions, dtype=torch.float32)
        self.middle, self.spread = given.mean(dim=0), given.std(dim=0, correction=0) + 1e-6
        told = (given - self.middle) / self.spread
        coded = self._code(genes)
        least, most = told.min(dim=0).values, told.max(dim=0).values
        of_generator, of_adversary, of_regressor = self.optimisers
        for _ in range(steps):
            rows = self._rows(len(told))
            loss = functional.mse_loss(self.regressor(coded[rows]), told[rows])
            _step(of_regressor, loss)
        for _ in range(steps):
            rows, others = self._rows(len(told)), self._rows(len(told))
            # Half of what is asked for is as in the log, half anywhere within its range.
            asked = told[others].clone()
            anywhere = torch.rand(asked.shape, generator=self.random) * (most - least) + least
            asked[::2] = anywhere[::2]
            made = self._hard(self._logits(asked))
            # True pairs; logged solutions with the conditions of others; what is generated.
            shown = torch.cat([coded[rows], coded[rows], made.detach()])
            judged = self._judged(shown, torch.cat([told[rows], told[others], asked]))
            true, false = judged.tensor_split([self.how.batch])
            loss = functional.softplus(-true).mean() + functional.softplus(false).mean()
            _step(of_adversary, loss)
            loss = functional.softplus(-self._judged(made, asked)).mean()
            if self.how.regressor:
                missed = functional.mse_loss(self.regressor(made), asked)
                loss = loss + self.how.regressor * missed
            _step(of_generator, loss)

    @torch.no_grad()
    def draw(self, conditions: Floats) -> Ints:
        """A solution for each row of conditions (n, conditions), in the units of the log: genes
        (n, steps, axes)."""
        asked = torch.as_tensor(conditions, dtype=torch.float32)
        axes = self._axes(self._logits((asked - self.middle) / self.spread))
        genes: Ints = torch.stack([logits.argmax(dim=-1) for logits in axes], dim=-1).numpy()
        return genes

    @torch.no_grad()
    def tell(self, genes: Ints) -> Floats:
        """(n, conditions): what the regressor says of solutions."""
        told: Floats = (self.regressor(self._code(genes)) * self.spread + self.middle).numpy()
        return told.astype(np.float64)

    def _rows(self, count: int) -> Tensor:
        return torch.randint(count, (self.how.batch,), generator=self.random)

    def _code(self, genes: Ints) -> Tensor:
        """(n, columns): one-hot, step by step and axis by axis."""
        parts = [
            functional.one_hot(torch.as_tensor(genes[..., axis]), size)
            for axis, size in enumerate(self.space.shape)
        ]
        return torch.cat(parts, dim=-1).flatten(1).float()

    def _axes(self, columns: Tensor) -> tuple[Tensor, ...]:
        """(n, steps, size) of each axis."""
        steps = columns.view(len(columns), self.space.num_steps, -1)
        return torch.split(steps, list(self.space.shape), dim=-1)

    def _logits(self, asked: Tensor) -> Tensor:
        noise = torch.randn(len(asked), NOISE, generator=self.random)
        logits: Tensor = self.generator(torch.cat([noise, asked], dim=1))
        return logits

    def _hard(self, logits: Tensor) -> Tensor:
        """One-hot codes of the most likely choices, whose gradients are the softmax's."""
        parts = []
        for part in self._axes(logits):
            soft = part.softmax(dim=-1)
            hard = functional.one_hot(soft.argmax(dim=-1), soft.shape[-1]).to(soft.dtype)
            parts.append(hard - soft.detach() + soft)
        return torch.cat(parts, dim=-1).flatten(1)

    def _judged(self, coded: Tensor, asked: Tensor) -> Tensor:
        judged: Tensor = self.adversary(torch.cat([coded, asked], dim=1))
        return judged


def _perceptron(inputs: int, hidden: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.LeakyReLU(0.2),
        nn.Linear(hidden, hidden),
        nn.LeakyReLU(0.2),
        nn.Linear(hidden, outputs),
    )


def _step(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


@dataclass
class AQGAN:
    """Random solutions, a conditional generator trained on them, and what it draws for targets
    above the best.

    The conditions are minus the logarithm of the objective, which for accuracies near the best
    tells more than they do, and the share of the limit that is used. Asked for is more than the
    best that was bought, at what the better of the log use. Of the draws those come first that are
    within the limit as they are (the paper's selection); others are repaired.
    """

    share: float = 0.33
    """Of the samples, for random solutions."""
    steps: int = 400
    """Of the first training."""
    again: int = 100
    """Of each later one."""
    batch: int = 20
    """Samples between two trainings."""
    draws: int = 200
    """Proposals from which a batch is taken."""
    reach: float = 1.0
    """How far above the best is asked for at most, in standard deviations of the log."""
    regressor: float = 20.0
    """Weight of the regressor in what the generator learns."""

    sees: ClassVar[Sees] = "totals"

    def __post_init__(self) -> None:
        positive(self, "steps", "again", "batch", "draws")
        shares(self, "share")
        above_zero(self, "reach")
        not_negative(self, "regressor")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Buy a log, then what the generator proposes, until the budget is spent.

        Raises:
            ValueError: If it is no problem of bits per layer.
        """
        of_precision(evaluator.statement, "aqgan")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the networks are too small to share
        try:
            self._search(evaluator, seed)
        finally:
            torch.set_num_threads(threads)

    def _search(self, evaluator: Evaluator, seed: int) -> None:
        statement, space = evaluator.statement, evaluator.space
        usage, rng = known_usage(statement, "aqgan"), np.random.default_rng(seed)
        log = statement.draw(rng, max(int(self.share * evaluator.samples), 2))
        scores = evaluator.evaluate(log)
        log, objective, used = log[: len(scores)], scores.objective, scores.used
        tried = {genes.tobytes() for genes in log}
        made = Generator(space, 2, seed, Training(regressor=self.regressor))
        steps = self.steps
        while evaluator.remaining:
            merit, taken = -np.log(objective), used / statement.limit
            made.train(log, np.column_stack([merit, taken]), steps)
            steps = self.again
            better = np.argsort(-merit, kind="stable")[: max(len(merit) // 10, 1)]
            above = merit.max() + self.reach * merit.std() * rng.random(self.draws)
            asked = np.column_stack([above, taken[rng.choice(better, self.draws)]])
            drawn = made.draw(asked)
            fits = summed(usage, space.encode(drawn)) <= statement.limit
            drawn = statement.repair(drawn[np.argsort(~fits, kind="stable")], rng)
            # Where the generator repeats itself, chance goes on.
            drawn = np.concatenate([drawn, statement.draw(rng, self.batch)])
            fresh = _untried(drawn, tried)[: self.batch]
            tried.update(genes.tobytes() for genes in fresh)
            scores = evaluator.evaluate(fresh)
            log = np.concatenate([log, fresh[: len(scores)]])
            objective = np.append(objective, scores.objective)
            used = np.append(used, scores.used)


def _untried(drawn: Ints, tried: set[bytes]) -> Ints:
    """Of genes (n, steps, axes) those that were not tried, once each, in order; if there are none,
    the last."""
    keep, seen = [], set(tried)
    for row, genes in enumerate(drawn):
        if genes.tobytes() not in seen:
            seen.add(genes.tobytes())
            keep.append(row)
    return drawn[keep or [-1]]
