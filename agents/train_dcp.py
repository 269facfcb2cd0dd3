"""Train DCP's predictor on mappings of layers that no published network has.

    python -m hwgym_agents.train_dcp                     # the checkpoint that is shipped
    python -m hwgym_agents.train_dcp --costs 100_000     # with fewer costs

A *training cost* is what MAESTRO says of one mapping: latency and energy. The layers are those of
``HWAssignMulti-Train``, none of which has the shape of a layer of the zoo or of ConfuciuX's tables;
the hardware is drawn (``any_hardware``), one in four times a preset of ``HWMap``. Half of the
costs are of random mappings under the masks. The rest is bought in rounds, each after the predictor
has been trained on what there was: for problems on those layers, what its gradients propose, where
it must be right, and what differs in a decision or two from the best of these, so that it learns
where it was wrong.

Some of Train's layers are held back; the regret on problems of theirs is printed on the way.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from hwgym._arrays import Array, Floats, Ints
from hwgym._files import replacing
from hwgym.core import InfeasibleError, Problem, solve
from hwgym.costs.maestro import mapping_totals
from hwgym.families.assignment.ids import RELEASED_MODELS
from hwgym.families.assignment.multi.splits import Source
from hwgym.families.layered.ids import MODELS
from hwgym.families.mapping import HARDWARE, MappingProblem, mapping_problem
from hwgym.families.mapping.hardware import UNLIMITED, MappingHardware
from hwgym.families.mapping.ids import OBJECTIVES
from hwgym.workloads import Layer, load_workload

from .dcp import CHECKPOINT, DCP, FEATURES, TARGETS, Codes, Guess, Network, Wanted, begin, propose
from .mappings import MappingView
from .train_options import (
    DeviceOption,
    Regrets,
    learning_rate,
    out_option,
    unscaled,
    versions,
)

__all__ = ["Bought", "any_hardware", "buy", "layers", "main", "measure", "problems", "train"]

HIDDEN = (192, 192)
BATCH = 1024
LEARNING_RATE = 3e-3
ROUNDS = 3
RANGES = {"num_pes": (6, 13), "l1_bytes": (8, 14), "l2_bytes": (16, 22), "noc_bandwidth": (3, 9)}
"""Of hardware that is drawn, log2."""
PRESETS, FREE = 0.25, 0.3
"""Shares of hardware that is a preset, and of the rest of which the network does not constrain."""
HELD_BACK = 60
"""Layers of Train that are not trained on."""

_RANDOM = 100  # mappings of a problem
_STARTS, _DRAWS, _BEST, _NEAR = 24, 400, 16, 80
_HUBER = 0.05  # log2


@cache
def layers() -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
    """Those to train on, and those held back: Train's, one of each shape, but for shapes of the
    zoo or of released tables."""
    taken = {layer.shape for name in MODELS for layer in load_workload(name).layers}
    taken |= {
        layer.shape
        for name in RELEASED_MODELS
        for layer in load_workload(name, released=True).layers
    }
    own = {layer.shape: layer for layer in Source("train").parts.layers}
    every = [layer for shape, layer in own.items() if shape not in taken]
    order = np.random.default_rng(0).permutation(len(every))
    chosen = [every[i] for i in order]
    return tuple(chosen[HELD_BACK:]), tuple(chosen[:HELD_BACK])


def any_hardware(rng: np.random.Generator) -> MappingHardware:
    """A preset, or PEs, buffers and bandwidth within :data:`RANGES`, log-uniform."""
    if rng.random() < PRESETS:
        return list(HARDWARE.values())[rng.integers(len(HARDWARE))]
    drawn = {name: round(2 ** rng.uniform(*ends)) for name, ends in RANGES.items()}
    if rng.random() < FREE:
        drawn["noc_bandwidth"] = UNLIMITED
    return MappingHardware(**drawn)


def problems(some: Sequence[Layer], rng: np.random.Generator) -> Iterator[MappingProblem]:
    """Without end: a layer, hardware that it fits, and an objective as ids have them."""
    asked = list(OBJECTIVES.values())
    while True:
        layer, hardware = some[int(rng.integers(len(some)))], any_hardware(rng)
        try:
            yield mapping_problem(layer, hardware, **asked[rng.integers(len(asked))])
        except InfeasibleError:  # its least mapping does not fit
            continue


# --- costs ----------------------------------------------------------------------------------------


@dataclass
class Bought:
    """Training costs, a row a cost.

    Attributes:
        values: (n, ``FEATURES``) float32.
        residuals: (n, 2) float32, log2 of latency and energy over what an ideal machine has.
    """

    values: list[Array] = field(default_factory=list)
    residuals: list[Array] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(map(len, self.residuals))

    def add(self, codes: Codes, problem: MappingProblem, genes: Ints) -> Floats:
        """Buy mappings (N, 13), all valid; (N, 2) log2 of latency and energy."""
        layer, hardware = problem.layer, problem.hardware
        found = mapping_totals(
            layer, codes.view.mappings(genes), hardware.num_pes, hardware.interconnect
        )
        costs = np.log2(np.stack([found.runtime_cycles, found.energy_nj], axis=1))
        self.values.append(codes.features(codes.encode(genes)).values.astype(np.float32))
        self.residuals.append((costs - codes.least).astype(np.float32))
        return costs

    def arrays(self) -> tuple[Array, Array]:
        """All of them as two arrays."""
        self.values = [np.concatenate(self.values)]
        self.residuals = [np.concatenate(self.residuals)]
        return self.values[0], self.residuals[0]


def buy(bought: Bought, count: int, rng: np.random.Generator, network: Network | None) -> None:
    """Buy so many more costs, about: of random mappings, or of what a network proposes."""
    wanted = len(bought) + count
    for problem in problems(layers()[0], rng):
        if len(bought) >= wanted:
            return
        codes = Codes(MappingView(problem.statement, "dcp"))
        if network is None:
            bought.add(codes, problem, codes.view.draw(rng, _RANDOM))
        else:
            _buy_proposed(bought, codes, problem, network, rng)


def _buy_proposed(
    bought: Bought,
    codes: Codes,
    problem: MappingProblem,
    network: Network,
    rng: np.random.Generator,
) -> None:
    """What a network proposes, and what is near the best of it."""
    wanted, guess = Wanted.of(problem.statement), Guess.plain(network)
    first = codes.encode(begin(guess, codes, wanted, _DRAWS, rng, _STARTS))
    genes = np.unique(propose(guess, codes, first, wanted, DCP.rate, rng), axis=0)
    costs = bought.add(codes, problem, genes)
    for _ in range(2):
        best = genes[wanted.worth(costs).argsort(kind="stable")[:_BEST]]
        near = codes.view.repair(_near(np.resize(best, (_NEAR, best.shape[1])), codes, rng), rng)
        costs = np.concatenate([costs, bought.add(codes, problem, near)])
        genes = np.concatenate([genes, near])


def _near(genes: Ints, codes: Codes, rng: np.random.Generator) -> Ints:
    """Genes of which one or two decisions are others: a neighbour, or any."""
    genes, sizes = genes.copy(), codes.view.sizes
    rows = np.arange(len(genes))
    for turn in range(2):
        step = rng.integers(len(sizes), size=len(genes))
        any_ = (rng.random(len(genes)) * sizes[step]).astype(np.int64)
        near = genes[rows, step] + rng.choice((-2, -1, 1, 2), size=len(genes))
        new = np.where(codes.view.ordered[step] & (rng.random(len(genes)) < 0.7), near, any_)
        change = rng.random(len(genes)) < (0.5 if turn else 1.0)
        genes[rows, step] = np.where(change, np.clip(new, 0, sizes[step] - 1), genes[rows, step])
    return genes


# --- how good it is -------------------------------------------------------------------------------


def measure(checkpoint: str | Path, asked: Sequence[Problem], samples: int = 1) -> Floats:
    """(problems,) the regret that a checkpoint reaches; infinite where nothing feasible is."""
    agent = DCP(checkpoint=str(checkpoint))
    return np.array([solve(agent, problem, samples=samples).regret for problem in asked])


def held_back(count: int) -> list[MappingProblem]:
    """Problems of layers that are held back, with some mapping within their limit."""
    found: list[MappingProblem] = []
    for problem in problems(layers()[1], np.random.default_rng(5)):
        if len(found) == count:
            break
        try:
            problem.certificate()
        except InfeasibleError:  # within its cap
            continue
        found.append(problem)
    return found


# --- training -------------------------------------------------------------------------------------


def train(
    costs: int,
    *,
    steps: int,
    rounds: int = ROUNDS,
    seed: int = 0,
    device: str = "cpu",
    out: Path | None = None,
    made: dict[str, Any] | None = None,
    seen: Callable[[str, int, float], object] | None = None,
    hidden: Sequence[int] = HIDDEN,
) -> Network:
    """Buy costs and fit a network, round by round.

    Args:
        costs: To buy in all, about; half of them of random mappings.
        steps: Batches of :data:`BATCH` costs in all; the last round gets two shares.
        rounds: In which the other half is bought.
        seed: Of everything that is drawn.
        device: Of torch.
        out: A checkpoint that is written after every round, with what it takes to go on beside it.
            What lies there of an equal training is gone on with.
        made: What the checkpoint is to say of itself.
        seen: Called with what was done, costs bought, and the loss.
        hidden: Units of each layer.
    """
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    sizes = (FEATURES, *hidden, len(TARGETS))
    linear = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    modules: list[Any] = [m for layer in linear[:-1] for m in (layer, nn.SiLU())]
    model = nn.Sequential(*modules, linear[-1]).to(device)
    rng, order = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    made = {**(made or {}), "costs": costs, "steps": steps, "rounds": rounds, "seed": seed}
    bought, centre, scale = Bought(), torch.zeros(FEATURES), torch.ones(FEATURES)
    network: Network | None = None
    done = 0
    state = None if out is None else out.with_suffix(".state.pt")
    if state is not None and state.exists():
        kept = torch.load(state, weights_only=True)
        if json.loads(kept["made"]) == {**made, "hidden": list(hidden)}:
            model.load_state_dict(kept["model"])
            order.set_state(kept["order"])
            rng.bit_generator.state = json.loads(kept["rng"])
            centre, scale = kept["centre"], kept["scale"]
            bought = Bought([kept["values"].numpy()], [kept["residuals"].numpy()])
            done = kept["done"]

    def as_network() -> Network:
        mean, spread = (each.double().numpy() for each in (centre, scale))
        return Network(*unscaled(linear, mean, spread), {**made, "bought": len(bought)})

    if done:
        network = as_network()
    for turn in range(done, rounds + 1):
        share = costs // 2 if turn == 0 else costs // (2 * rounds)
        buy(bought, share if rounds else costs, rng, network)
        values, residuals = bought.arrays()
        if turn == 0:
            centre = torch.from_numpy(values.mean(axis=0))
            scale = torch.from_numpy(values.std(axis=0) + 0.05)
        if seen is not None:
            seen("bought", len(bought), math.nan)
        batches = steps * (2 if turn == rounds else 1) // (rounds + 2)
        told = [torch.from_numpy(each) for each in (values, residuals)]
        data = [each.to(device) for each in (*told, centre, scale)]
        loss = _fit(model, data, max(batches, 1), order)
        network = as_network()
        if out is not None and state is not None:
            network.save(out)
            if turn < rounds:
                kept = {
                    "made": json.dumps({**made, "hidden": list(hidden)}),
                    "model": model.state_dict(),
                    "order": order.get_state(),
                    "rng": json.dumps(rng.bit_generator.state),
                    "centre": centre,
                    "scale": scale,
                    "values": torch.from_numpy(values),
                    "residuals": torch.from_numpy(residuals),
                    "done": turn + 1,
                }
                with replacing(state) as partial:
                    torch.save(kept, partial)
        if seen is not None:
            seen("trained", len(bought), loss)
    if state is not None:
        state.unlink(missing_ok=True)
    assert network is not None  # at least one round
    return network


def _fit(model: Any, data: Sequence[Any], batches: int, order: Any) -> float:
    """Fit a model to features and costs, the former centred and scaled; the mean loss of the last
    tenth of the batches."""
    import torch
    from torch import nn

    values, residuals, centre, scale = data
    optimizer = torch.optim.Adam(model.parameters())
    last: list[float] = []
    for batch in range(batches):
        index = torch.randint(len(values), (BATCH,), generator=order).to(values.device)
        told = model((values[index] - centre) / scale)
        # As many units as an absolute error has beyond the bend.
        loss = nn.functional.huber_loss(told, residuals[index], delta=_HUBER) / _HUBER
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(batch / batches, LEARNING_RATE)
        optimizer.step()
        if batch >= 0.9 * batches:
            last.append(loss.item())
    return float(np.mean(last)) if last else math.nan


def main(
    costs: Annotated[int, typer.Option(min=1, help="Training costs to buy.")] = 500_000,
    steps: Annotated[int, typer.Option(min=1, help=f"Batches of {BATCH} costs.")] = 15_000,
    rounds: Annotated[
        int, typer.Option(min=0, help="In which half of the costs is bought of what it proposes.")
    ] = ROUNDS,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
    out: Annotated[Path, out_option(show_default="the one that is shipped")] = CHECKPOINT,
    asked: Annotated[
        int,
        typer.Option(
            "--problems", min=0, help="Of layers that are held back, to print regrets of."
        ),
    ] = 12,
    device: DeviceOption = "cpu",
) -> None:
    """Train DCP's predictor on mappings of Train's layers."""
    console = Console()
    started = time.process_time()
    some = held_back(asked) if asked else []
    command = f"--costs {costs} --steps {steps} --rounds {rounds} --seed {seed}"
    made = {
        "command": f"python -m hwgym_agents.train_dcp {command}",
        "versions": versions(),
    }
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("training", total=2 * (rounds + 1))

        def seen(what: str, count: int, loss: float) -> None:
            progress.advance(task)
            spent = time.process_time() - started
            line = f"{what}: {count:,} costs, {spent:,.0f} CPU s"
            if what == "trained":
                line += f", loss {loss:.4f}"
                if some:
                    found = Regrets.of(measure(out, some))
                    line += (
                        f"; regret of the first sample, median {found.median:.1%}, 90 % "
                        f"{found.high:.1%}"
                    )
            progress.console.print(line, highlight=False, soft_wrap=True)

        train(
            costs,
            steps=steps,
            rounds=rounds,
            seed=seed,
            device=device,
            out=out,
            made=made,
            seen=seen,
        )
    if some:
        table = Table("samples", "median", "90 %", title=f"regret, {len(some)} problems held back")
        for samples in (1, 10, 100):
            found = Regrets.of(measure(out, some, samples))
            table.add_row(str(samples), f"{found.median:.1%}", f"{found.high:.1%}")
        console.print(table)


if __name__ == "__main__":
    typer.run(main)
