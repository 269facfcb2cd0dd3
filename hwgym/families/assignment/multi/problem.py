"""MultiProblem: an assignment problem, one of many; and the banks of splits."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from typing import Any, ClassVar, overload

import numpy as np

from hwgym._arrays import Floats, Ints
from hwgym._names import nearest
from hwgym.core.metric import METRICS
from hwgym.core.problem import Problem, Unlisted
from hwgym.core.rewards import Needs
from hwgym.costs.maestro import Dataflow
from hwgym.families.assignment.accounting import Accounting
from hwgym.families.assignment.multi.cells import Cells
from hwgym.families.assignment.multi.deals import Dealer
from hwgym.families.assignment.multi.grammar import DEPTHS, LEVELS
from hwgym.families.assignment.multi.splits import (
    CONSTRAINTS,
    HARDWARE,
    OBJECTIVES,
    Narrow,
    Source,
)
from hwgym.families.assignment.problem import COST_MODEL, AssignmentProblem
from hwgym.hardware import Hardware
from hwgym.workloads import Workload

__all__ = ["Instances", "MultiProblem", "SplitSampler", "binding", "make"]

NAME, VERSION = "assignment_multi", 0


@dataclass(frozen=True, eq=False, repr=False)
class MultiProblem(AssignmentProblem):
    """An :class:`~hwgym.families.assignment.AssignmentProblem` whose episodes show it in absolute
    units, so that what is learnt on one can be used on another."""

    identity: ClassVar = {"family": NAME, "version": VERSION, "cost_model": COST_MODEL}


class DealtReward:
    """The reward ``capped`` of problems that are drawn: what steps pay, the dynamics say."""

    needs: ClassVar[Needs] = "parts"
    table = None
    ends = False
    size = None

    def __init__(self) -> None:
        self.full: Floats = np.ones(1)

    def failed(self, earned: Any, which: Any) -> Any:
        return 0.0 * earned - 1.0

    def finished(self, objective: Any, which: Any) -> Any:
        raise NotImplementedError("the last step is rewarded like the others")


class Instances(Unlisted):
    """The problems of a split, by number; each is made when it is looked at.

    Attributes:
        source: What numbers mean.
    """

    def __init__(self, source: Source) -> None:
        self.source = source

    def __len__(self) -> int:
        return self.source.made.problems

    def __reduce__(self) -> tuple[Any, ...]:
        return instances, (self.source.split, self.source.narrow)

    @overload
    def __getitem__(self, number: int) -> MultiProblem: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Problem]: ...
    def __getitem__(self, number: int | slice) -> MultiProblem | Sequence[Problem]:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        if not 0 <= number < len(self):
            raise IndexError(f"{self.source.split} has problems 0..{len(self) - 1}, got {number}")
        found: MultiProblem = self._problem(int(number))
        return found

    @cached_property
    def dealer(self) -> Dealer:
        """Makes what episodes look up."""
        return Dealer(Cells(self.source))

    @cached_property
    def _problem(self) -> Any:
        @lru_cache(maxsize=2048)
        def problem(number: int) -> MultiProblem:
            source = self.source
            recipes = source.recipes(np.array([number]))
            rows, lengths = source.rows(recipes)
            blocks = recipes.style[0] * len(source.pool.layers) + rows
            _, [budget] = self.dealer.budgets(recipes, blocks, lengths)
            design = source.pool.design(
                rows,
                int(recipes.style[0]),
                int(recipes.bandwidth[0]),
                source.technology(int(recipes.machine[0])),
                source.workload(number, recipes),
            )
            return MultiProblem(
                design,
                METRICS[OBJECTIVES[recipes.objective[0]]],
                METRICS[CONSTRAINTS[recipes.constraint[0]]],
                budget=float(budget),
            )

        return problem

    @cached_property
    def most_steps(self) -> int:  # type: ignore[override]  # a property is as good
        parts, split = self.source.parts, self.source.made
        if self.source.split == "zoo":
            return int(parts.lengths.max())
        most = 0
        for cell in parts.menu:
            for kind, levels in zip(DEPTHS, cell, strict=True):
                depths = np.zeros(LEVELS + 2, np.int64)
                depths[1:-1] = DEPTHS[kind][split.deep][1]
                layers = parts.lengths[levels, depths[:, None]].max(axis=1)
                most = max(most, int(layers.sum()))
        return most

    def reward(self, given: Any, *, certificate: bool) -> DealtReward:
        if given not in (None, "capped"):
            known = nearest("reward", given, ["capped"]) if isinstance(given, str) else f"{given!r}"
            raise ValueError(
                f"problems that are drawn pay by the reward 'capped' only; give a problem for "
                f"others: {known}"
            )
        return DealtReward()


@lru_cache(maxsize=32)
def instances(split: str, narrow: Narrow) -> Instances:
    """The problems of a split, shared: equal arguments give the same."""
    return Instances(Source(split, narrow))


def binding(split: str, count: int, **narrow: Any) -> list[MultiProblem]:
    """The first problems of a split whose budgets bind; all of them, where they are fewer.

    Args:
        split: A key of :data:`~hwgym.families.assignment.multi.splits.SPLITS`.
        count: How many.
        narrow: Fixed instead of drawn, as
            :class:`~hwgym.families.assignment.multi.splits.Narrow` says.

    Raises:
        ValueError: If a name is unknown; the message gives the nearest.
    """
    problems = instances(split, Narrow(**narrow))
    each = (problems[number] for number in range(len(problems)))
    return list(islice((problem for problem in each if problem.binds), count))


class SplitSampler:
    """Any problem of a split, each as likely as any other."""

    random = True

    def __init__(self, problems: Instances) -> None:
        self.problems: Sequence[Problem] = problems
        self._count = len(problems)

    def draw(self, rng: np.random.Generator) -> int:
        return int(rng.random() * self._count)  # in a third of the time that integers take

    def draws(self, rng: np.random.Generator, count: int) -> Ints:
        """(count,): what so many calls of :meth:`~hwgym.core.sampler.Sampler.draw` give."""
        found: Ints = (rng.random(count) * self._count).astype(np.int64)
        return found

    def ahead(self, rng: np.random.Generator, count: int) -> Ints:
        """(count,): what :meth:`draws` will give; the generator stays where it is."""
        state = rng.bit_generator.state
        found = self.draws(rng, count)
        rng.bit_generator.state = state
        return found


def make(
    split: str | None = None,
    *,
    instance: int | None = None,
    dataflow: str | Dataflow | Mapping[str, Any] | Sequence[Any] | None = None,
    objective: str | None = None,
    constraint: str | None = None,
    network: str | None = None,
    networks: int | None = None,
    hardware: Hardware | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    workload: Workload | str | os.PathLike[str] | None = None,
    platform: str | None = None,
    ratio: float | None = None,
    budget: float | None = None,
    deployment: str | None = None,
    pe_levels: Sequence[int] | None = None,
    tile_levels: Sequence[int] | None = None,
    accounting: Accounting | str | None = None,
) -> MultiProblem | SplitSampler:
    """The problems of a split, or one of them; or a problem of one's own.

    Args:
        split: A key of :data:`~hwgym.families.assignment.multi.splits.SPLITS`.
        instance: The number of one.
        dataflow, objective, constraint, network, networks, hardware: Fixed instead of drawn, as
            :class:`~hwgym.families.assignment.multi.splits.Narrow` says.
        workload: A network of one's own, instead of a split. Then the other arguments are those of
            :meth:`~hwgym.families.assignment.AssignmentProblem.of`, with the same defaults.
        platform, ratio, budget, deployment, pe_levels, tile_levels, accounting: Of a problem of
            one's own.

    Raises:
        TypeError: If there is neither split nor workload, or both, or an argument of the other.
        ValueError: If a name is unknown or a number is out of range.
    """
    if (split is None) == (workload is None):
        raise TypeError("give either a split, of whose problems one is drawn, or a workload")
    of_split = {"instance": instance, "network": network, "networks": networks}
    of_own: dict[str, Any] = {
        "platform": platform,
        "ratio": ratio,
        "budget": budget,
        "deployment": deployment,
        "pe_levels": pe_levels,
        "tile_levels": tile_levels,
        "accounting": accounting,
    }
    wrong = [n for n, v in (of_own if workload is None else of_split).items() if v is not None]
    if wrong:
        whose = "a problem of one's own" if workload is None else "the problems of a split"
        raise TypeError(f"{', '.join(wrong)}: only for {whose}")
    if workload is not None:
        problem: MultiProblem = MultiProblem.of(  # type: ignore[assignment]  # of this class
            workload,
            "NVDLA" if dataflow is None else dataflow,
            objective=objective or "latency",
            constraint=constraint or "area",
            hardware=hardware,
            **{name: value for name, value in of_own.items() if value is not None},
        )
        return problem
    drawn = "drawn" if hardware is None else hardware
    if not isinstance(drawn, str):
        raise ValueError(f"hardware of a split is one of {', '.join(HARDWARE)}, got {drawn!r}")
    narrow = Narrow(_names(dataflow), objective, constraint, network, networks, drawn)
    problems = instances(str(split), narrow)
    if instance is None:
        return SplitSampler(problems)
    if isinstance(instance, bool) or not isinstance(instance, int):
        raise ValueError(f"instance must be an integer, got {instance!r}")
    if not 0 <= instance < len(problems):
        raise ValueError(f"{split} has problems 0..{len(problems) - 1}, got {instance}")
    return problems[instance]


def _names(dataflow: Any) -> str | tuple[str, ...] | None:
    """Of dataflows, as :class:`~hwgym.families.assignment.multi.splits.Narrow` has them."""
    if dataflow is None or isinstance(dataflow, str):
        return dataflow
    if isinstance(dataflow, list | tuple) and dataflow:
        names = tuple(name for name in dataflow if isinstance(name, str))
        if len(names) == len(dataflow):
            return names
    raise ValueError(f"dataflow of a split is a name, or a list of names, got {dataflow!r}")
