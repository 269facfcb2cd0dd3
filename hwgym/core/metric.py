"""Metrics: the one table of what is measured, in which unit, and how it joins over steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from hwgym._names import nearest

__all__ = ["METRICS", "Join", "Metric", "find_metric"]

Join = Literal["add", "maximum", "whole"]


@dataclass(frozen=True)
class Metric:
    """Something that a solution is measured by; less is better.

    Attributes:
        name: As arguments and keys have it.
        unit: In which its values are.
        label: As axes of pictures and sentences have it.
        join: How the steps' parts make the whole: ``add``, ``maximum``, or ``whole`` where there
            are no parts.
        column: As the columns of tables and the keys of JSON have it: with the unit.
        about: What it is, where the label does not say.
    """

    name: str
    unit: str
    label: str
    join: Join = "add"
    column: str = ""
    about: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "column", self.column or self.name)

    @property
    def adds_up(self) -> bool:
        """The whole is the sum of the steps' parts."""
        return self.join == "add"

    @property
    def ufunc(self) -> np.ufunc:
        """What joins two parts.

        Raises:
            ValueError: If there are no parts.
        """
        if self.join == "whole":
            raise ValueError(f"{self.name} has no parts that could be joined")
        return np.maximum if self.join == "maximum" else np.add


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric("latency", "cycles", "latency", column="latency_cycles"),
            Metric("energy", "nJ", "energy", column="energy_nj"),
            Metric(
                "edp", "nJ x cycles", "energy-delay product",
                about="the sum of the steps' energy x latency",
            ),
            Metric(
                "throughput", "cycles", "pipeline period", "maximum",
                about="the slowest step's latency, the pipeline's period",
            ),
            Metric("area", "um^2", "area", column="area_um2"),
            Metric("power", "mW", "power", column="power_mw"),
        )
    }
)  # fmt: skip
"""The metrics of this suite, by name."""


def find_metric(name: str, kind: str = "metric", allowed: tuple[str, ...] | None = None) -> Metric:
    """The metric of that name.

    Args:
        name: A key of :data:`METRICS`.
        kind: What it is wanted for, as an error should call it.
        allowed: Those that will do; by default any.

    Raises:
        ValueError: If it is none of these; the message gives the nearest.
    """
    known = tuple(METRICS) if allowed is None else allowed
    if name not in known:
        raise ValueError(nearest(kind, name, known))
    return METRICS[name]
