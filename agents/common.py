"""What several agents share: where to begin, how to judge, what settings may be.

What an agent may know without paying for it is the problem's statement: how many steps and choices
there are, which steps are alike, how much work is in each, the limit. Everything else costs
samples.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from zipfile import BadZipFile

import numpy as np

from hwgym._arrays import Array, Floats, Ints
from hwgym._files import replacing
from hwgym.core import Evaluator, Scores, Space, Statement

__all__ = [
    "Judge",
    "Perceptron",
    "above_zero",
    "best_first",
    "checkpoint_arrays",
    "digest",
    "first_solutions",
    "not_negative",
    "positive",
    "separable",
    "shares",
    "spread_choices",
    "spread_uniform",
]


@lru_cache(maxsize=16)
def spread_choices(space: Space, most: int) -> Ints:
    """Up to ``most`` choices of a step (n, axes), each the farthest from those before it.

    The first is the first choice on every axis. However few are taken, they cover the space evenly.
    Two categories are as far apart as the ends of an axis. Where the joint choices cannot be
    enumerated, all axes take the same share of their range: the first, the last, the middle, and so
    on, halving.
    """
    if space.joint is None:
        chosen = _diagonal(np.array(space.shape), most)
    else:
        genes = space.decode(np.arange(space.joint))
        columns = []
        for axis, ordered in enumerate(space.ordered):
            size = space.shape[axis]
            if ordered:
                columns.append(genes[:, [axis]] / max(size - 1, 1))
            else:
                columns.append(np.eye(size)[genes[:, axis]] / np.sqrt(2))
        chosen = genes[_farthest(np.hstack(columns), most)]
    chosen.setflags(write=False)
    return chosen


def _farthest(places: Floats, most: int) -> Ints:
    """Up to ``most`` indices, from 0 on, of the point that is the farthest from those before it."""
    order = np.zeros(min(most, len(places)), np.int64)
    distance = np.full(len(places), np.inf)
    for i in range(1, len(order)):
        distance = np.minimum(distance, ((places - places[order[i - 1]]) ** 2).sum(axis=1))
        order[i] = distance.argmax()
    return order


def _diagonal(sizes: Ints, most: int) -> Ints:
    """Up to ``most`` choices (n, ...) out of ``sizes`` (...), the same share of each."""
    shares, parts = [0.0, 1.0], 2
    while len(shares) < min(most, sizes.max()):
        shares += [i / parts for i in range(1, parts, 2)]
        parts *= 2
    share = np.array(shares).reshape(-1, *[1] * sizes.ndim)
    genes = np.round(share * (sizes - 1)).astype(np.int64)
    _, first = np.unique(genes, axis=0, return_index=True)
    chosen: Ints = genes[np.sort(first)][:most]
    return chosen


def spread_uniform(space: Space, most: int) -> Ints:
    """Up to ``most`` solutions (n, steps, axes) with the same choice at every step, in the order of
    :func:`spread_choices`; where steps differ, at the same share of each step's range."""
    if space.own:
        return _diagonal(space.sizes, most)
    return np.repeat(spread_choices(space, most)[:, None], space.num_steps, axis=1)


def first_solutions(
    evaluator: Evaluator, share: float, rng: np.random.Generator
) -> tuple[Ints, Scores]:
    """Pay for uniform solutions with a share of the samples, but for at least one.

    Where the objective is one of whole solutions, the same choice at every step may never be valid,
    say in a permutation. Then random ones follow until one is, for at most half of the samples.
    Where the statement says what can be valid, random ones of these come in their place.

    Returns:
        Genes (n, steps, axes), best first, and their scores.

    Raises:
        BudgetSpent: If no sample is left.
    """
    statement = evaluator.statement
    count = max(int(share * evaluator.samples), 1)
    if statement.allowed is None:
        genes = spread_uniform(statement.space, count)
    else:
        genes = statement.draw(rng, count)
    scores = evaluator.evaluate(genes)
    if statement.objective.join == "whole":
        while not scores.valid.any() and 2 * evaluator.spent < evaluator.samples:
            other = statement.draw(rng, len(genes))
            more = evaluator.evaluate(other)
            genes, scores = np.concatenate([genes, other]), Scores.join([scores, more])
    order = best_first(statement, scores)
    return genes[order], scores.take(order)


def best_first(statement: Statement, scores: Scores) -> Ints:
    """Order of solutions by Deb's rules: feasible by objective, then the rest by excess.

    (Deb, Computer Methods in Applied Mechanics and Engineering 186, 2000.)
    """
    value = np.where(scores.feasible, scores.objective, statement.excess(scores))
    return np.lexsort((value, ~scores.feasible))


class Judge:
    """Scores as two numbers a solution: how good, and by how much over the limit.

    Attributes:
        scale: Unit of the first, the best valid objective of the first scores that had one; 0 until
            then.
    """

    def __init__(self, statement: Statement) -> None:
        self.statement, self.scale = statement, 0.0

    def __call__(self, scores: Scores) -> tuple[Floats, Floats]:
        """(N,) objective, 1 where invalid; (N,) share of the limit exceeded, infinite there."""
        if not self.scale and scores.valid.any():
            self.scale = abs(float(scores.objective[scores.valid].min())) or 1.0
        value = np.ones(len(scores))
        value[scores.valid] = scores.objective[scores.valid] / (self.scale or 1.0)
        return value, self.statement.excess(scores)


def separable(statement: Statement, agent: str) -> None:
    """See that an agent that needs what each step costs has a problem that can tell.

    Raises:
        ValueError: If costs are not separable, or a step's choices too many to be numbered.
    """
    objective, space = statement.objective, statement.space
    why = ""
    if objective.join == "whole":
        why = f"{objective.label} is known of whole solutions only"
    elif space.joint is None:
        why = "the joint choices of a step are too many to be numbered"
    if why:
        raise ValueError(
            f"{agent} learns what each choice of each step costs, but of {statement.title} {why}; "
            "agents that see totals work on any problem"
        )


def checkpoint_arrays(path: Path, agent: str, *needs: str) -> dict[str, Array]:
    """What a checkpoint, an .npz, holds.

    Args:
        path: Of the file.
        agent: Whose it is.
        needs: Names of arrays that tell it from those of others.

    Raises:
        ValueError: If the file is none, or of another agent.
        OSError: If it cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = dict(file)
        if missing := set(needs) - found.keys():
            raise ValueError(f"it has no {', '.join(sorted(missing))}")
        return found
    except (ValueError, TypeError, AttributeError, EOFError, BadZipFile) as error:
        raise ValueError(
            f"{path} is no checkpoint of the {agent}; python -m hwgym_agents.train_{agent} makes "
            "one"
        ) from error


_P = TypeVar("_P", bound="Perceptron")


class Perceptron:
    """A multi-layer perceptron in numpy, as a checkpoint holds it; subclasses say what units do.

    Attributes:
        agent: Whose it is.
        inputs, outputs: How many it has.
        weights, biases: Of each layer, (n, m) and (m,), float32.
        made: How it came about: command, seed, training costs, versions.
    """

    agent: ClassVar[str]
    inputs: ClassVar[int]
    outputs: ClassVar[int]

    def __init__(
        self, weights: Sequence[Array], biases: Sequence[Array], made: Mapping[str, Any]
    ) -> None:
        self.weights = [np.ascontiguousarray(w, np.float32) for w in weights]
        self.biases = [np.asarray(b, np.float32) for b in biases]
        self.made = dict(made)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint, whole or not at all; weights in half precision."""
        arrays: dict[str, Any] = {}
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            arrays[f"weight{i}"], arrays[f"bias{i}"] = weight.astype(np.float16), bias
        made = np.frombuffer(json.dumps(self.made).encode(), np.uint8)
        with replacing(path) as partial:
            np.savez_compressed(partial, made=made, **arrays)

    @classmethod
    def load(cls: type[_P], path: str | os.PathLike[str]) -> _P:
        """Read a checkpoint; once, while the file stays as it is.

        Raises:
            ValueError: If the file is no checkpoint of this agent, or of other features.
            OSError: If it cannot be read.
        """
        name = Path(path)
        file = _perceptron_arrays(name, cls.agent, name.stat().st_mtime_ns)
        count = sum(key.startswith("weight") for key in file)
        weights = [file[f"weight{i}"] for i in range(count)]
        biases = [file[f"bias{i}"] for i in range(count)]
        if (len(weights[0]), len(biases[-1])) != (cls.inputs, cls.outputs):
            raise ValueError(
                f"{path} is a checkpoint of other features: {len(weights[0])} that tell "
                f"{len(biases[-1])} numbers, not {cls.inputs} and {cls.outputs}; train it again, "
                f"with python -m hwgym_agents.train_{cls.agent}"
            )
        return cls(weights, biases, json.loads(bytes(file["made"]).decode()))


@lru_cache(maxsize=8)
def _perceptron_arrays(path: Path, agent: str, _: int) -> dict[str, Array]:
    return checkpoint_arrays(path, agent, "made", "weight0", "bias0")


def digest(path: Path) -> str:
    """SHA-256 of a file, by which runs name the checkpoint of a trained agent."""
    return sha256(path.read_bytes()).hexdigest()


def positive(agent: object, *names: str) -> None:
    """See that settings are positive integers.

    Raises:
        ValueError: If one is not.
    """
    for name in names:
        value = getattr(agent, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}")


def shares(agent: object, *names: str) -> None:
    """See that settings lie between 0 and 1.

    Raises:
        ValueError: If one does not.
    """
    for name in names:
        value = getattr(agent, name)
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must lie in [0, 1], got {value!r}")


def above_zero(agent: object, *names: str) -> None:
    """See that settings are numbers above 0.

    Raises:
        ValueError: If one is not.
    """
    for name in names:
        value = getattr(agent, name)
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value!r}")


def not_negative(agent: object, *names: str) -> None:
    """See that settings are numbers of 0 or more.

    Raises:
        ValueError: If one is not.
    """
    for name in names:
        value = getattr(agent, name)
        if not value >= 0:
            raise ValueError(f"{name} must not be negative, got {value!r}")
