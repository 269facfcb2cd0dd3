"""Tracks: what a suite's runs are read as, each a range of samples on the same curves.

An agent that has learnt on other problems is worth something before it has seen a single sample of
this one, with a few, or when it searches for long. All three are told by one run: its first sample
is chosen without having seen any, so what that is worth is *zero-shot*; its first 300 are
*few-shot*; all of them are *search*.

A track is data. A new one is a :class:`Track` in :data:`TRACKS`, made of columns that this module
has (:func:`score_after`, :func:`area_to`, :func:`exact_after`, :func:`regret_after`,
:func:`infeasible_after`, :func:`samples_to`, :func:`reported_after`) or of a :class:`Column` of
one's own, which is a function of an agent's curves; and its name in the list ``tracks`` of suites
(``suites.json``). Report, page and documentation show it from then on. Columns that look farther
than a suite's samples are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from hwgym._arrays import Floats
from hwgym._names import nearest
from hwgym.leaderboard.runs import Curve

__all__ = [
    "EXACT",
    "TRACKS",
    "YARDSTICKS",
    "Column",
    "Track",
    "area_to",
    "deciding",
    "exact_after",
    "find_track",
    "infeasible_after",
    "quantile_of",
    "regret_after",
    "reported_after",
    "samples_to",
    "score_after",
]

EXACT = 1e-9
"""A regret that counts as none."""

YARDSTICKS = ("uniform", "arithmetic", "regression", "tabulate", "difference", "additive")
"""Agents that other agents are measured by: best uniform assignment; costs worked out from the
dataflow's directives, and solved; one price for all layers, with costs regressed from features;
tabulate and solve; differences of totals, and solve; what choices do alone, added up, and solve."""

Kind = Literal["score", "share", "regret", "samples"]


@dataclass(frozen=True)
class Column:
    """A figure of an agent's runs.

    Attributes:
        head: Of the column.
        about: What it is, for readers.
        samples: How many samples of a run it looks at.
        kind: How it is written.
        of: The figure, of an agent's curves.
        more_is_better: Which way agents are sorted by it.
    """

    head: str
    about: str
    samples: int
    kind: Kind
    of: Callable[[Sequence[Curve]], float]
    more_is_better: bool


@dataclass(frozen=True)
class Track:
    """What runs are read as.

    Attributes:
        name: Of the track, as suites list it.
        about: What it measures.
        columns: Its table; one of them decides (:func:`deciding`).
    """

    name: str
    about: str
    columns: tuple[Column, ...]

    def within(self, samples: int) -> tuple[Column, ...]:
        """The columns that runs of so many samples have."""
        return tuple(column for column in self.columns if column.samples <= samples)


def deciding(columns: Sequence[Column]) -> int:
    """Index of the column that agents are sorted by: the first of those that look the farthest."""
    farthest = max(column.samples for column in columns)
    return next(i for i, column in enumerate(columns) if column.samples == farthest)


def find_track(name: str) -> Track:
    """The track of that name.

    Raises:
        ValueError: If there is none; the message gives the nearest name.
    """
    if name not in TRACKS:
        raise ValueError(nearest("track", name, TRACKS))
    return TRACKS[name]


# --- columns --------------------------------------------------------------------------------------


def score_after(samples: int, head: str | None = None) -> Column:
    """The mean score after so many samples, 0 where nothing feasible was found by then."""
    return Column(
        head or f"{samples:,}",
        f"mean score after {_samples(samples)}",
        samples,
        "score",
        lambda curves: float(np.mean([curve.score_at([samples])[0] for curve in curves])),
        True,
    )


def area_to(samples: int) -> Column:
    """The mean area under the score against the logarithm of samples, from 1 to so many
    (:func:`~hwgym.leaderboard.estimates.anytime_score`)."""
    return Column(
        f"area to {samples:,}",
        f"mean area under the score against the logarithm of samples, from 1 to {samples:,}",
        samples,
        "score",
        lambda curves: float(np.mean([curve.area_to(samples) for curve in curves])),
        True,
    )


def exact_after(samples: int) -> Column:
    """The share of runs that are at the optimum after so many samples."""
    return Column(
        "exact",
        f"share of runs at the optimum (to {EXACT:g}) after {_samples(samples)}",
        samples,
        "share",
        lambda curves: float(np.mean(_regrets(curves, samples) <= EXACT)),
        True,
    )


def regret_after(samples: int, quantile: float, head: str) -> Column:
    """A quantile of the regret after so many samples; infinite where that many runs have found
    nothing feasible."""
    return Column(
        head,
        f"{head} of the regret after {_samples(samples)}",
        samples,
        "regret",
        lambda curves: quantile_of(_regrets(curves, samples), quantile),
        False,
    )


def infeasible_after(samples: int) -> Column:
    """The share of runs that have found nothing feasible after so many samples."""
    return Column(
        "infeasible",
        f"share of runs with nothing feasible after {_samples(samples)}",
        samples,
        "share",
        lambda curves: float(np.mean(np.isinf(_regrets(curves, samples)))),
        False,
    )


def samples_to(regret: float) -> Column:
    """The median of samples until the regret is at most that; infinite where half of the runs do
    not get there."""
    return Column(
        f"to {regret:.0%}".replace("%", " %"),
        f"median samples until the regret is at most {regret:.0%}".replace("%", " %"),
        1,
        "samples",
        lambda curves: quantile_of(np.array([c.samples_to(regret) for c in curves]), 0.5),
        False,
    )


def reported_after(samples: int, what: str) -> Column:
    """The mean of what problems report of the best solution after so many samples besides its
    objective (``Problem.reported``), 0 where nothing feasible was found by then."""
    return Column(
        f"{samples:,}",
        f"mean {what} of the best solution after {_samples(samples)}",
        samples,
        "share",
        lambda curves: float(np.mean([c.reported_at(what, [samples])[0] for c in curves])),
        True,
    )


def _samples(count: int) -> str:
    return "the first sample" if count == 1 else f"{count:,} samples"


def _regrets(curves: Sequence[Curve], samples: int) -> Floats:
    return np.array([curve.regret_at([samples])[0] for curve in curves])


def quantile_of(values: Floats, share: float) -> float:
    """Of values (n,), some of which may be infinite."""
    with np.errstate(invalid="ignore"):
        found = float(np.quantile(values, share))
    # Between a finite and an infinite value there is nothing to interpolate.
    return float(np.quantile(values, share, method="higher")) if math.isnan(found) else found


# --- the tracks -----------------------------------------------------------------------------------

TRACKS: Mapping[str, Track] = MappingProxyType(
    {
        track.name: track
        for track in (
            Track(
                "zero-shot",
                "What the first sample is worth, which is chosen without having seen any",
                (
                    score_after(1, "score"),
                    exact_after(1),
                    regret_after(1, 0.5, "median"),
                    regret_after(1, 0.9, "90 % quantile"),
                    regret_after(1, 1.0, "worst"),
                    infeasible_after(1),
                ),
            ),
            Track(
                "few-shot",
                "What the first 300 samples are worth",
                (area_to(300), *(score_after(n) for n in (1, 3, 10, 30, 100, 300))),
            ),
            Track(
                "search",
                "What thousands of samples are worth",
                (
                    area_to(1000),
                    area_to(5000),
                    regret_after(5000, 0.5, "median"),
                    regret_after(5000, 0.9, "90 % quantile"),
                    regret_after(5000, 1.0, "worst"),
                    exact_after(5000),
                ),
            ),
            Track(
                "held",
                "What the best solution answers right on images that nobody has searched on",
                tuple(reported_after(n, "accuracy held back") for n in (10, 30, 100, 300, 1000)),
            ),
            Track(
                "samples",
                "How many samples it takes, as ConfuciuX counts",
                (samples_to(0.1), samples_to(0.05), samples_to(0.01)),
            ),
        )
    }
)
"""The tracks, by name."""
