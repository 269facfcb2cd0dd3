"""What speed is asked for, and whether it is reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks import assignments, cost, loopnest, stepping
from benchmarks.measure import Row

Case = tuple[str, ...]


@dataclass(frozen=True)
class Target:
    """A speed that is asked for.

    Attributes:
        asked: In words.
        goal: As a number.
        applies: Whether a row speaks of it.
        of: ``ratio`` (to the row's peer) or ``ours`` (the rate).
        bound: What stands in the way where it is missed.
    """

    asked: str
    goal: float
    applies: Callable[[Row], bool]
    of: str = "ratio"
    bound: str = ""

    def value(self, row: Row) -> float:
        """What the row has of what is asked."""
        spread = row.ratio if self.of == "ratio" else row.ours
        assert spread is not None
        return spread.median


@dataclass(frozen=True)
class Outcome:
    """A target and the rows that speak of it, the best first."""

    target: Target
    rows: tuple[Row, ...]

    @property
    def reached(self) -> int:
        """How many of the rows reach it."""
        return sum(self.target.value(row) >= self.target.goal for row in self.rows)


def _against(peer: str) -> Callable[[Row], bool]:
    return lambda row: row.part == cost.PART and row.peer == peer


def _stepped(*environments: int | str) -> Callable[[Row], bool]:
    return lambda row: (
        row.part == stepping.PART
        and row.peer == stepping.CARTPOLE
        and row.case["environments"] in environments
    )


COST = (
    "Cost model: the analysis of a chunk is some hundred array operations on each block of rows "
    "whose loops go through the same states (a query of 7,488 points is about twenty blocks and "
    "twenty thousand calls), so small queries pay for calls, and large ones for going through "
    "arrays of cases x rows that do not fit the first cache. No single operation stands out in the "
    "profile; what would help is one compiled pass over the cases."
)
STEPPING = (
    "Stepping with random actions: gymnasium draws pairs of levels, or from a Box, several times "
    "slower than CartPole's coin flips (the share is in the table). Stepping with infos read: a "
    "mask a step and environment, as tuples of arrays where there are several axes, is what "
    "SyncVectorEnv's form asks for, and that takes longer than the step; CartPole has no infos."
)

TARGETS = (
    Target(
        "cost model 200 times MAESTRO with many layers in a file",
        200,
        _against(cost.MANY),
        bound=COST,
    ),
    Target(
        "cost model 2,000 times MAESTRO with a process a point",
        2000,
        _against(cost.PROCESS),
        bound=COST,
    ),
    Target(
        "200,000 loop nests/s on a core",
        2e5,
        lambda row: row.part == loopnest.PART,
        "ours",
        bound="Loop nests: work grows with pairs of dimensions that move in any of the points of a "
        "chunk. The network's mappings are drawn with depthwise and other layers side by side and "
        "loops in any order, so that all dimensions but B do, at both levels.",
    ),
    Target(
        "1,024 and 4,096 environments as fast as CartPole",
        1.0,
        _stepped(1024, 4096),
        bound=STEPPING,
    ),
    Target(
        "10 million layer-steps/s with 4,096 environments",
        1e7,
        _stepped(4096),
        "ours",
        bound=STEPPING,
    ),
    Target(
        "gym.make half as fast as scalar CartPole",
        0.5,
        _stepped("scalar"),
        bound="Scalar, continuous, random: drawing from a Box takes most of the time; with actions "
        "drawn beforehand the same environment is more than half as fast.",
    ),
    Target(
        "a million complete assignments/s",
        1e6,
        # One of the peers, lest every figure counts twice.
        lambda row: row.part == assignments.PART and row.peer == assignments.SCALAR,
        "ours",
    ),
)


def outcomes(rows: Sequence[Row]) -> list[Outcome]:
    """Every target of which there are figures."""
    found = []
    for target in TARGETS:
        those = sorted(filter(target.applies, rows), key=target.value, reverse=True)
        if those:
            found.append(Outcome(target, tuple(those)))
    return found


def bounds(row: Row) -> str:
    """What takes the time of a row, as far as it was measured."""
    parts = [f"{name} {share:.0%}" for name, share in list(row.where.items())[:3]]
    if "sampling" in row.extra:
        drawn, peer = row.extra["sampling"], row.extra["peer_sampling"]
        parts.append(f"drawing actions {drawn:.0%} (the peer's: {peer:.0%})")
    return ", ".join(parts)
