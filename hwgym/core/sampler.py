"""Samplers: which problem the next episode is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from hwgym._arrays import Ints
from hwgym.core.problem import Problem

__all__ = ["Drawn", "Fixed", "Sampler", "as_sampler"]


@runtime_checkable
class Sampler(Protocol):
    """A bank of problems, and how the next episode's is drawn from it.

    One that gives equal problems for equal generators, whoever else draws, may have a method
    ``draws(rng, count)``: (count,) what so many calls of :meth:`draw` give. Vector environments
    draw ahead with it.

    Attributes:
        problems: The bank. All have the same axes; their steps, limits and costs may differ.
        random: Whether :meth:`draw` uses the generator.
    """

    problems: Sequence[Problem]
    random: bool

    def draw(self, rng: np.random.Generator) -> int:
        """Index of the problem of the next episode."""
        ...


class Fixed:
    """Always the same problem."""

    random = False

    def __init__(self, problem: Problem) -> None:
        self.problems: Sequence[Problem] = (problem,)

    def draw(self, rng: np.random.Generator) -> int:
        return 0


class Drawn:
    """Any problem of a bank, each as likely as any other."""

    random = True

    def __init__(self, problems: Sequence[Problem]) -> None:
        if not problems:
            raise ValueError("a bank needs at least one problem")
        self.problems: Sequence[Problem] = tuple(problems)

    def draw(self, rng: np.random.Generator) -> int:
        return int(rng.integers(len(self.problems)))

    def draws(self, rng: np.random.Generator, count: int) -> Ints:
        """(count,): what so many calls of :meth:`Sampler.draw` give."""
        return rng.integers(len(self.problems), size=count)


def as_sampler(given: Problem | Sequence[Problem] | Sampler) -> Sampler:
    """A sampler of one problem, of several, or the one that is given.

    Raises:
        ValueError: If it is none of these.
    """
    if isinstance(given, Problem):
        return Fixed(given)
    if isinstance(given, list | tuple) and given and all(isinstance(p, Problem) for p in given):
        return Drawn(given)
    if not isinstance(given, Problem | str) and isinstance(given, Sampler):
        return given
    raise ValueError(f"a problem, several, or a sampler is needed, got {given!r}")
