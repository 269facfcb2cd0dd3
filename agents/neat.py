"""Neuro-evolution of a policy (package ``neat-python``).

GENESYS (Samajdar, Mannan, Garg and Krishna, MICRO 2018) is a chip that evolves small networks by
NEAT (Stanley and Miikkulainen, Evolutionary Computation 10, 2002) instead of training one by
gradients; genomes differ in their weights and in which neurons and connections there are. Of that
method only the algorithm is used here, as ``neat-python`` has it, to let its policies play the
episodes of this suite. A genome is a feed-forward network: it sees a step, says where on each
ordered axis the choice should lie and which category is preferred, and the next step follows. A
complete episode is one sample, and its fitness comes from totals: the log of the objective,
charged for what exceeds the limit.

What a network sees of a step: its features, in absolute units where the statement tells the
network's layers (``known``), its work and place, and of each ordered axis the mean level chosen
so far. What was spent so far costs samples to know, so it is not shown.

For comparison: a population of networks takes many samples to find what few changes of an
assignment find at once.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import neat as neat_python
import numpy as np

from hwgym._arrays import Ints
from hwgym.core import Evaluator, Sees, Statement
from hwgym.families.assignment.multi.features import layer_features

from .common import Judge, above_zero, first_solutions, not_negative, positive, shares

__all__ = ["Neat"]

INVALID = 10.0
"""An invalid solution counts as one that exceeds the limit by this many times the limit."""

MOST_CATEGORIES = 64
"""An output neuron each."""


@dataclass
class Neat:
    """Neuro-evolution of a policy, weights and structure, by NEAT (as GENESYS does on a chip)."""

    population: int = 20
    """Genomes of a generation, each of which takes one sample."""
    start_share: float = 0.02
    """Share of the samples for uniform solutions to begin with, which say what is good."""
    penalty: float = 3.0
    """Charge for exceeding the limit: times the logarithm of the share exceeded."""
    add_connection: float = 0.3
    """Probability that a child gets another connection."""
    add_node: float = 0.1
    """Probability that a child gets another neuron."""
    mutate_weight: float = 0.8
    """Probability that a weight of a child changes."""
    mutate_power: float = 0.2
    """Standard deviation of such a change."""
    compatibility: float = 2.0
    """Distance beyond which genomes are of different species."""
    elites: int = 2
    """Best of a species that live on as they are."""

    sees: ClassVar[Sees] = "totals"
    search_space: ClassVar[Mapping[str, Any]] = {
        "population": (20, 40, 80),
        "add_connection": (0.1, 0.3, 0.5),
        "add_node": (0.03, 0.1, 0.3),
        "mutate_power": (0.1, 0.2, 0.5),
        "compatibility": (2.0, 3.0, 4.0),
    }

    def __post_init__(self) -> None:
        positive(self, "population", "elites")
        shares(self, "start_share", "add_connection", "add_node", "mutate_weight")
        if self.population < 2:
            raise ValueError(f"population must be at least 2, got {self.population}")
        above_zero(self, "mutate_power", "compatibility")
        not_negative(self, "penalty")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Evolve until the budget is spent."""
        statement, rng = evaluator.statement, np.random.default_rng(seed)
        judge = Judge(statement)
        judge(first_solutions(evaluator, self.start_share, rng)[1])
        player = _Player(statement)

        def evaluate(genomes: list[tuple[int, Any]], config: Any) -> None:
            new = [genome for _, genome in genomes if genome.fitness is None]  # elites have one
            new = new or [genome for _, genome in genomes]
            genes = np.concatenate([player.play(genome, config) for genome in new])
            value, over = judge(evaluator.evaluate(genes))
            charge = self.penalty * np.log1p(np.minimum(over, INVALID))
            fitness = (-np.log(np.maximum(value, 1e-12)) - charge).tolist()
            # Where samples run out, the next generation is the end.
            fitness += [min(fitness)] * (len(new) - len(fitness))
            for genome, fit in zip(new, fitness, strict=True):
                genome.fitness = fit

        with _seeded(seed):
            config = self._config(player.inputs, player.outputs)
            neat_python.Population(config).run(evaluate)  # until the evaluator raises

    def _config(self, inputs: int, outputs: int) -> Any:
        """What neat-python reads from a file, and wants to be told all of."""
        parser = ConfigParser()
        parser.read_dict(_FIXED)
        parser.read_dict(
            {
                "NEAT": {"pop_size": self.population},
                "DefaultGenome": {
                    "num_inputs": inputs,
                    "num_outputs": outputs,
                    "conn_add_prob": self.add_connection,
                    "conn_delete_prob": self.add_connection / 2,
                    "node_add_prob": self.add_node,
                    "node_delete_prob": self.add_node / 2,
                    "weight_mutate_rate": self.mutate_weight,
                    "weight_mutate_power": self.mutate_power,
                    "bias_mutate_rate": self.mutate_weight,
                    "bias_mutate_power": self.mutate_power,
                },
                "DefaultSpeciesSet": {"compatibility_threshold": self.compatibility},
                "DefaultReproduction": {"elitism": self.elites},
            }
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "neat.ini"
            with path.open("w") as file:
                parser.write(file)
            return neat_python.Config(
                neat_python.DefaultGenome,
                neat_python.DefaultReproduction,
                neat_python.DefaultSpeciesSet,
                neat_python.DefaultStagnation,
                str(path),
            )


def _number(mean: float, deviation: float, least: float, most: float) -> dict[str, Any]:
    return {
        "init_mean": mean,
        "init_stdev": deviation,
        "init_type": "gaussian",
        "replace_rate": 0.05 if deviation else 0.0,
        "mutate_rate": 0.0,
        "mutate_power": 0.0,
        "min_value": least,
        "max_value": most,
    }


def _named(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{name}_{key}": value for key, value in settings.items()}


_FIXED: Mapping[str, Mapping[str, Any]] = {
    "NEAT": {
        "fitness_criterion": "max",
        "fitness_threshold": 1e300,
        "no_fitness_termination": False,
        "reset_on_extinction": True,
    },
    "DefaultGenome": {
        "num_hidden": 0,
        "feed_forward": True,
        "initial_connection": "full_nodirect",
        "compatibility_disjoint_coefficient": 1.0,
        "compatibility_weight_coefficient": 0.5,
        "single_structural_mutation": False,
        "structural_mutation_surer": "default",
        **_named("bias", _number(0.0, 1.0, -10.0, 10.0)),
        **_named("weight", _number(0.0, 1.0, -10.0, 10.0)),
        **_named("response", _number(1.0, 0.0, 1.0, 1.0)),
        **_named("time_constant", _number(1.0, 0.0, 0.01, 10.0)),
        **_named("activation", {"default": "tanh", "options": "tanh", "mutate_rate": 0.0}),
        **_named("aggregation", {"default": "sum", "options": "sum", "mutate_rate": 0.0}),
        **_named(
            "enabled",
            {
                "default": True,
                "mutate_rate": 0.01,
                "rate_to_true_add": 0.0,
                "rate_to_false_add": 0.0,
            },
        ),
    },
    "DefaultSpeciesSet": {},
    "DefaultStagnation": {
        "species_fitness_func": "max",
        "max_stagnation": 15,
        "species_elitism": 1,
    },
    "DefaultReproduction": {"survival_threshold": 0.2, "min_species_size": 2},
}


class _Player:
    """Plays episodes as a network says.

    Attributes:
        inputs, outputs: How many of each.
    """

    def __init__(self, statement: Statement) -> None:
        self.statement, space = statement, statement.space
        self.space, self.ordered = space, space.ordered_at
        steps = space.num_steps
        known = statement.known.get("workload", ())
        features = layer_features(known) if len(known) == steps else statement.features
        work = np.log1p(statement.work) / max(float(np.log1p(statement.work).max()), 1.0)
        place = np.linspace(0, 1, steps)
        self.seen = np.column_stack([features, work, place])
        # Of an ordered axis a level, of categories how much each is preferred.
        self.wide = [1 if all(self.ordered[:, i]) else n for i, n in enumerate(space.shape)]
        if max(self.wide) > MOST_CATEGORIES:
            raise ValueError(
                f"neat prefers each of up to {MOST_CATEGORIES} categories; a step of "
                f"{statement.title} has {max(self.wide)}"
            )
        self.inputs, self.outputs = self.seen.shape[1] + len(self.wide), sum(self.wide)

    def play(self, genome: Any, config: Any) -> Ints:
        """Genes (1, steps, axes) of a genome's episode."""
        network = neat_python.nn.FeedForwardNetwork.create(genome, config)
        space = self.space
        genes = np.full((1, space.num_steps, len(space.axes)), -1)
        sizes, ends = space.sizes, np.cumsum(space.shape)[:-1]
        sums = [0.0] * len(self.wide)
        for step, seen in enumerate(self.seen.tolist()):
            said = network.activate([*seen, *(value / max(step, 1) for value in sums)])
            masks: Any = [None] * len(self.wide)
            if self.statement.allowed is not None:
                masks = np.split(self.statement.allowed(genes, step)[0], ends)
            start = 0
            for axis, wide in enumerate(self.wide):
                mine, start = said[start : start + wide], start + wide
                size = int(sizes[step, axis])
                level = (mine[0] + 1) / 2 * (size - 1)
                rank = -np.abs(np.arange(size) - level) if wide == 1 else np.array(mine[:size])
                if masks[axis] is not None:
                    rank = np.where(masks[axis][:size], rank, -np.inf)
                genes[0, step, axis] = rank.argmax()
                sums[axis] += genes[0, step, axis] / max(size - 1, 1)
        return genes


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Python's own generator, which neat-python draws from, seeded and then as it was."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
