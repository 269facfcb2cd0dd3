"""What agents of precision share: what choices take of the limit, and how good a network is."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwgym._arrays import Floats, Ints
from hwgym.core import Statement

__all__ = ["known_usage", "of_precision", "quality", "summed"]


def known_usage(statement: Statement, agent: str) -> Floats:
    """(steps, actions): what each choice takes of the limit, as the statement's ``known`` says.

    Raises:
        ValueError: If it does not, or choices cannot be numbered.
    """
    space, constraint = statement.space, statement.constraint
    found: Any = None if constraint is None else statement.known.get(constraint.name)
    if space.joint is None or np.shape(found) != (space.num_steps, *space.shape):
        raise ValueError(
            f"{agent} needs to know what each choice takes of a limit, of choices that can be "
            f"numbered; {statement.title} does not tell; other agents that see totals work on any "
            "problem"
        )
    return np.array(found, np.float64).reshape(space.num_steps, -1)


def summed(table: Floats, numbers: Ints) -> Floats:
    """(...): the sum over the steps of action numbers (..., steps), of a table (steps, actions)."""
    total: Floats = table[np.arange(len(table)), numbers].sum(axis=-1)
    return total


def of_precision(statement: Statement, agent: str) -> None:
    """See that a problem asks for bits per layer.

    Raises:
        ValueError: If it does not.
    """
    if statement.key.get("family") != "quant":
        raise ValueError(
            f"{agent} chooses bits per layer (HWQuant), not {statement.title}; other agents that "
            "see totals work on any problem"
        )


def quality(statement: Statement, objective: Floats) -> Floats:
    """(...): of objectives (...), more is better: the accuracy in percent; by proxy, the signal to
    the noise in decibels."""
    if statement.objective.name == "errors":
        right: Floats = 100.0 * (1.0 - np.floor(objective) / statement.scale)
        return right
    decibels: Floats = -10.0 * np.log10(objective)
    return decibels
