"""Train the predictor on costs of Train's layers.

    python -m hwgym_agents.train_predictor                       # the checkpoint that is shipped
    python -m hwgym_agents.train_predictor --costs 10_000        # with a hundredth of the costs
    python -m hwgym_agents.train_predictor --hold-out NVDLA      # never having seen a dataflow

A *training cost* is what the cost model says of one layer under one dataflow, with one choice, on
one machine. They are bought at random: of every layer of ``HWAssignMulti-Train`` under its
dataflows; a part under dataflows that are made up (:mod:`.made_up`), so that a dataflow is
something to be read, not known by heart; a part on machines that are made up, with other lanes,
interconnects and memories; and, where one asks for it, of layers that are made up, of any sizes.
What is made up has no layer's shape of any other split. No cost of another split is looked at; the
regret on Val's problems is printed to see how far it is.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym._files import replacing
from hwgym._names import nearest
from hwgym.core import Problem, solve
from hwgym.costs.maestro import Dataflow, Hardware, Shapes, evaluate
from hwgym.families.assignment import MIX, PE_LEVELS, TILE_LEVELS
from hwgym.families.assignment.multi import binding
from hwgym.families.assignment.multi.splits import Source
from hwgym.workloads import Layer

from .assignment_estimates import NAMES, estimated
from .made_up import MACHINES, any_layers, any_machines, generated
from .predictor import CHECKPOINT, TARGETS, Network, Predictor
from .train_options import (
    DeviceOption,
    Regrets,
    learning_rate,
    out_option,
    unscaled,
    versions,
)

__all__ = ["Bought", "Measured", "buy", "main", "measure", "train"]

HIDDEN = (160, 160, 160)
DATAFLOWS, SHARE, MACHINES_SHARE = 512, 0.3, 0.25
"""By default so many dataflows are made up, and get this share of the costs; share of the costs on
machines that are made up."""

_EACH = 16
"""Choices that are looked up of a layer under a dataflow on a machine."""

_ROWS = 32
"""Layers at least that a dataflow is looked up with that is made up."""

BATCH = 1024
LEARNING_RATE = 4e-3
_WEIGHTS = np.array([1.0, 0.5, 0.5, 1.0, 1.0, 1.0])
_HUBER = 0.02  # log2, about 1.4 percent
_CHOICES = len(PE_LEVELS) * len(TILE_LEVELS)
_PES, _TILES = np.repeat(PE_LEVELS, len(TILE_LEVELS)), np.tile(TILE_LEVELS, len(PE_LEVELS))


class Bought(NamedTuple):
    """Training costs: a row a cost.

    Attributes:
        values: (n, ``len(NAMES)``) float32.
        residuals: (n, 6) float32, log2 of what is counted over what is estimated; 0 where not
            valid.
        valid: (n,).
    """

    values: Array
    residuals: Array
    valid: Bools


def buy(
    costs: int,
    *,
    seed: int = 0,
    hold_out: str | None = None,
    dataflows: int = DATAFLOWS,
    share: float = SHARE,
    machines: float = MACHINES_SHARE,
    layers: int = 0,
    layer_share: float = 0.3,
    networks: int | None = None,
) -> Bought:
    """Look up training costs.

    Args:
        costs: How many.
        seed: Of what is drawn.
        hold_out: A dataflow of Train's that is left out.
        dataflows: So many are made up; fewer where costs are few.
        share: Of the costs that these get.
        machines: Share of the costs on machines that are made up; the others have Train's
            bandwidths, and for the rest the defaults.
        layers: So many are made up; fewer where costs are few.
        layer_share: Of the costs that these get.
        networks: Layers of so many of Train's networks; by default of all.

    Raises:
        ValueError: If the dataflow that is left out is none of Train's.
    """
    rng = np.random.default_rng([seed, 20_241_006])
    source = Source("train")
    known = source.parts.layers
    if networks is not None:
        rows, _ = source.rows(source.recipes(np.arange(networks)))
        known = tuple(known[i] for i in np.unique(rows))
    new_layers = min(layers, int(costs * layer_share) // 10)
    new_dataflows = min(dataflows, max(int(costs * share) // _ROWS // _EACH, 1)) if share else 0
    made_up = generated(new_dataflows, rng, hold_out)
    more = any_layers(new_layers, rng)
    parts: list[tuple[Sequence[Layer], Dataflow, float]] = []
    share_of_known = 1 - layer_share * bool(more) - share * bool(made_up)
    own = [style for (style,) in source.styles if style.name != hold_out]
    for some, of_costs in ((known, share_of_known), (more, layer_share)):
        # Depthwise layers are mapped alike under all dataflows: they are looked up under one.
        normal = [y for y in some if not y.is_depthwise]
        depthwise = [y for y in some if y.is_depthwise]
        blocks = len(normal) * len(own) + len(depthwise)
        for group, styles in ((normal, own), (depthwise, own[:1])):
            for style in styles:
                parts.append((group, style, costs * of_costs * len(group) / max(blocks, 1)))
    normal = [layer for layer in (*known, *more) if not layer.is_depthwise]
    for each in made_up:
        parts.append((normal, each, costs * share / len(made_up)))
    words = source.made.bandwidths
    bought = [
        part
        for some, style, count in parts
        for part in _look_up(some, style, count, machines, words, rng)
    ]
    return Bought(*(np.concatenate(column) for column in zip(*bought, strict=True)))


def _look_up(
    layers: Sequence[Layer],
    style: Dataflow,
    count: float,
    machines: float,
    words: Sequence[int],
    rng: np.random.Generator,
) -> Iterator[Bought]:
    """So many costs under a dataflow, as evenly as they can be over layers."""
    rows = max(int(count / _EACH), 1) if layers and count else 0
    times = -(-rows // max(len(layers), 1))
    orders = (rng.permutation(len(layers)) for _ in range(times))
    which = np.concatenate([np.zeros(0, np.int64), *orders])[:rows]
    for start in range(0, rows, 256):
        part = which[start : start + 256]
        some = [layers[i] for i in part.tolist()]
        choices = rng.random((len(part), _CHOICES)).argpartition(_EACH - 1)[:, :_EACH]
        hardware = any_machines(len(part), rng, machines, words)
        yield _asked(some, style, hardware, _PES[choices], _TILES[choices])


def _asked(
    layers: Sequence[Layer], style: Dataflow, hardware: Hardware, pes: Ints, tiles: Ints
) -> Bought:
    """What the cost model says of layers, (layers, choices), each with its machine."""
    found = evaluate(Shapes.of(layers).reshape(-1, 1), style, pes, tiles, hardware)
    accesses = (
        sum(
            getattr(found, f"{tensor}_{level}_{way}")
            for tensor in ("input", "weight", "output")
            for way in ("read", "write")
        )
        for level in ("l1", "l2")
    )
    told = (found.runtime_cycles, found.num_macs, *accesses, found.l1_bytes, found.l2_bytes)
    counts = np.stack(told, axis=-1).astype(np.float64)
    expected = estimated(layers, style, hardware, pes, tiles)
    residuals = np.log2(np.maximum(counts, 1.0)) - expected.counts
    residuals[~found.valid] = 0.0
    size = found.valid.size
    return Bought(
        expected.values.reshape(size, -1),
        residuals.reshape(size, -1).astype(np.float32),
        found.valid.ravel(),
    )


# --- how good it is -------------------------------------------------------------------------------


class Measured(NamedTuple):
    """What a checkpoint reached on problems.

    Attributes:
        regret: (problems,) of what was found, objective / optimum - 1.
        infeasible: (problems,) whether the plan as it was would have been infeasible; empty where
            this was not asked.
    """

    regret: Floats
    infeasible: Bools

    def cells(self) -> list[str]:
        """Under :data:`HEADINGS`; quantiles in percent."""
        share = f"{self.infeasible.mean():.0%}" if len(self.infeasible) else ""
        return [*Regrets.of(self.regret).cells(), share]


HEADINGS = ("10 %", "50 %", "90 %", "worst", "exact", "open loop infeasible")
"""Of a table: quantiles of the regret, the greatest, and shares."""


def measure(
    checkpoint: str | Path, problems: Sequence[Problem], samples: int = 1, *, plain: bool = True
) -> Measured:
    """What a checkpoint reaches on problems.

    Args:
        checkpoint: A file.
        problems: Any number.
        samples: Of each.
        plain: Whether the plan as it is, without masks, is tried as well.
    """
    agent = Predictor(checkpoint=str(checkpoint))
    regret = [solve(agent, problem, samples=samples).regret for problem in problems]
    infeasible: list[bool] = []
    if plain:
        open_loop = replace(agent, masks=False)
        infeasible = [
            solve(open_loop, problem, samples=1).assignment is None for problem in problems
        ]
    return Measured(np.array(regret), np.array(infeasible, bool))


# --- training -------------------------------------------------------------------------------------


def train(
    bought: Bought,
    *,
    steps: int,
    seed: int = 0,
    device: str = "cpu",
    out: Path | None = None,
    made: dict[str, Any] | None = None,
    every: int = 0,
    seen: Any = None,
    hidden: Sequence[int] = HIDDEN,
) -> Network:
    """Fit a network to training costs.

    Args:
        bought: The costs.
        steps: Batches of :data:`BATCH` costs.
        seed: Of the weights and of the order.
        device: Of torch.
        out: A checkpoint that is written every so often, with what it takes to go on beside it.
            What lies there of an equal training is gone on with, be it of more or fewer batches.
        made: What the checkpoint is to say of itself.
        every: Batches between checkpoints.
        seen: Called with the batches done, the loss and the network, at each.
        hidden: Units of each layer.
    """
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    sizes = (bought.values.shape[1], *hidden, len(TARGETS))
    linear = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    modules: list[Any] = [m for layer in linear[:-1] for m in (layer, nn.ReLU())]
    model = nn.Sequential(*modules, linear[-1]).to(device)
    mean, spread = bought.values.mean(axis=0), bought.values.std(axis=0) + 0.02
    inputs = torch.from_numpy(bought.values).to(device)
    centre, scale = (torch.from_numpy(v.astype(np.float32)).to(device) for v in (mean, spread))
    residuals = torch.from_numpy(bought.residuals).to(device)
    valid = torch.from_numpy(bought.valid.astype(np.float32)).to(device)
    weights = torch.from_numpy(_WEIGHTS.astype(np.float32)).to(device)
    optimizer = torch.optim.Adam(model.parameters())
    rng = torch.Generator().manual_seed(seed)
    parts: dict[str, Any] = {"model": model, "optimizer": optimizer}
    made = {**(made or {}), "steps": steps}
    done, since, total = 0, 0, 0.0
    state = None if out is None else out.with_suffix(".state.pt")
    if state is not None and state.exists():
        kept = torch.load(state, weights_only=True)
        before = json.loads(kept["made"])
        if _alike(before, made) and kept["done"] < steps:
            for name, part in parts.items():
                part.load_state_dict(kept[name])
            done = since = kept["done"]
            rng.set_state(kept["rng"])
            if before["steps"] != steps:  # the rate has been another one
                earlier = before.get("earlier", [])
                made["earlier"] = [*earlier, {"steps": before["steps"], "batches": done}]

    def network() -> Network:
        return Network(*unscaled(linear, mean, spread), made)

    logit = nn.functional.binary_cross_entropy_with_logits
    while done < steps:
        index = torch.randint(len(inputs), (BATCH,), generator=rng).to(device)
        told = model((inputs[index] - centre) / scale)
        off = told[:, :-1] - residuals[index]
        huber = nn.functional.huber_loss(off, torch.zeros_like(off), reduction="none", delta=_HUBER)
        asked = valid[index]
        # As many units as an absolute error has beyond the bend.
        loss = ((huber / _HUBER * weights).sum(dim=1) * asked).mean()
        loss = loss + 0.1 * logit(told[:, -1], asked)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(done / steps, LEARNING_RATE)
        optimizer.step()
        total += loss.item()
        done += 1
        if every and (done % every == 0 or done == steps):
            made_so_far = network()
            if out is not None and state is not None:
                made_so_far.save(out)
                kept = {name: part.state_dict() for name, part in parts.items()}
                kept |= {"done": done, "rng": rng.get_state(), "made": json.dumps(made)}
                with replacing(state) as partial:
                    torch.save(kept, partial)
            if seen is not None:
                seen(done, total / (done - since), made_so_far)
            total, since = 0.0, done
    if state is not None:
        state.unlink(missing_ok=True)
    return network()


def _alike(before: Mapping[str, Any], made: Mapping[str, Any]) -> bool:
    """Whether two trainings differ in the number of batches at most."""

    def rest(of: Mapping[str, Any]) -> dict[str, Any]:
        told = {name: value for name, value in of.items() if name not in ("steps", "earlier")}
        return told | {"command": re.sub(r" --steps \d+", "", told.get("command", ""))}

    return rest(before) == rest(made)


def _known(hold_out: str | None) -> str | None:
    """The dataflow, if Train has it."""
    if hold_out is not None and hold_out not in MIX:
        raise typer.BadParameter(nearest("dataflow", hold_out, MIX))
    return hold_out


def main(
    costs: Annotated[int, typer.Option(min=1, help="Training costs to buy.")] = 1_000_000,
    hold_out: Annotated[
        str | None,
        typer.Option(help=f"A dataflow to leave out: {', '.join(MIX)}.", callback=_known),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help=f"Batches of {BATCH} costs; by default as many as costs ask."),
    ] = None,
    dataflows: Annotated[int, typer.Option(min=0, help="Dataflows that are made up.")] = DATAFLOWS,
    share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the costs that these get.")
    ] = SHARE,
    machines: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the costs on machines that are made up.")
    ] = MACHINES_SHARE,
    layers: Annotated[int, typer.Option(min=0, help="Layers that are made up.")] = 0,
    layer_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the costs that these get.")
    ] = 0.3,
    networks: Annotated[
        int | None, typer.Option(min=1, help="Layers of so many of Train's networks only.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
    out: Annotated[Path, out_option(show_default="the one that is shipped")] = CHECKPOINT,
    problems: Annotated[
        int, typer.Option(min=0, help="Of Val, to print regrets of on the way.")
    ] = 40,
    device: DeviceOption = "cpu",
) -> None:
    """Train the predictor on costs of Train's layers."""
    if share * bool(dataflows) + layer_share * bool(layers) >= 1:
        raise typer.BadParameter("--share and --layer-share leave nothing for the layers of Train")
    console = Console()
    started = time.process_time()
    if steps is None:
        steps = int(np.clip(costs * 28 // 1000, 6_000, 28_000))
    with console.status("looking up costs"):
        bought = buy(
            costs,
            seed=seed,
            hold_out=hold_out,
            dataflows=dataflows,
            share=share,
            machines=machines,
            layers=layers,
            layer_share=layer_share,
            networks=networks,
        )
    console.print(f"{len(bought.valid):,} training costs, {bought.valid.mean():.1%} of them valid")
    asked_for = {
        "--costs": costs,
        "--steps": steps,
        "--seed": seed,
        "--dataflows": dataflows,
        "--share": share,
        "--machines": machines,
        "--layers": layers,
        "--layer-share": layer_share,
        "--hold-out": hold_out,
        "--networks": networks,
    }
    options = [f"{name} {value}" for name, value in asked_for.items() if value is not None]
    made = {
        "command": f"python -m hwgym_agents.train_predictor {' '.join(options)}",
        "costs": len(bought.valid),
        "features": len(NAMES),
        "machines": {name: list(ends) for name, ends in MACHINES.items()} if machines else {},
        "versions": versions(),
    }
    asked = binding("val", problems) if problems else []

    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("training", total=steps)

        def seen(done: int, loss: float, _: Network) -> None:
            progress.update(task, completed=done)
            spent = time.process_time() - started
            line = f"{done:>7,} of {steps:,} batches, loss {loss:.3f}, {spent:,.0f} CPU s"
            if asked:
                found = measure(out, asked)
                named = zip(HEADINGS, found.cells(), strict=True)
                line += "; regret on Val " + ", ".join(f"{name} {cell}" for name, cell in named)
            progress.console.print(line, highlight=False)

        every = -(-steps // 6)
        train(
            bought,
            steps=steps,
            seed=seed,
            device=device,
            out=out,
            made=made,
            every=every,
            seen=seen,
        )
    table = Table("problems", *HEADINGS)
    if asked:
        table.add_row(f"Val, {len(asked)}", *measure(out, asked).cells())
        console.print(table)


if __name__ == "__main__":
    typer.run(main)
