"""What ConfuciuX's released code reached on its own problem, measured by running it.

These runs are not ours to rank: the problem is the one that its code poses (``ConfuciuX-*``), the
sample counts are its own, and in its second stage one generation of 20 evaluations counts as one
sample. (Kao, Jeong and Krishna, MICRO 2020; the authors' code, run on two shared cores.)
"""

from __future__ import annotations

from dataclasses import dataclass

from hwgym.leaderboard.runs import problem_of

__all__ = ["ENVIRONMENT", "REFERENCE", "Reference"]

ENVIRONMENT = "ConfuciuX-MobileNetV2-NVDLA-IoT-v0"


@dataclass(frozen=True)
class Reference:
    """A measured result.

    Attributes:
        what: Which method.
        samples: How many samples it took, by its own count.
        cycles: Latency that it reached.
        minutes: Wall time, where it was taken.
    """

    what: str
    samples: str
    cycles: float
    minutes: int | None = None

    @property
    def regret(self) -> float:
        """Above the optimum of the released problem."""
        return problem_of(ENVIRONMENT).regret(self.cycles)


REFERENCE = (
    Reference("its REINFORCE, first run", "5,000 episodes", 47.9e6, 19),
    Reference("its REINFORCE, second run", "5,000 episodes", 45.2e6, 25),
    Reference("its REINFORCE, third run", "2,000 episodes", 41.2e6),
    Reference("the third run refined by its GA", "and 20,000 evaluations", 34.7e6),
    Reference("best uniform assignment", "144", 44.3e6),
)
