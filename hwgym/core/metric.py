"""Metrics: the one table of what is measured, in which unit, and how it joins over steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Floats
from hwgym._names import nearest

__all__ = ["METRICS", "Join", "Metric", "find_metric", "thousands"]

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
        shown_unit: In which people are shown it; by default the unit.
        shown_scale: What to multiply values with for that.
    """

    name: str
    unit: str
    label: str
    join: Join = "add"
    column: str = ""
    about: str = ""
    shown_unit: str = ""
    shown_scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "column", self.column or self.name)
        object.__setattr__(self, "shown_unit", self.shown_unit or self.unit)

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

    @property
    def axis(self) -> str:
        """Label and unit, as the axis of a picture has them."""
        return f"{self.label} ({self.shown_unit})" if self.shown_unit else self.label

    def shown(self, values: ArrayLike) -> Floats:
        """Values in the unit that people are shown."""
        return np.asarray(values, np.float64) * self.shown_scale

    def text(self, value: float) -> str:
        """A value with its unit: ``190,338 cycles``, ``8.416 mm²``."""
        if self.shown_scale != 1:
            return f"{value * self.shown_scale:,.4g} {self.shown_unit}"
        return f"{thousands(value)} {self.unit}".strip()


def thousands(number: float) -> str:
    """Whole numbers in full; fractions of small ones to six digits."""
    if not np.isfinite(number):
        return str(number)
    if number == int(number) or abs(number) >= 1e5:
        return f"{number:,.0f}"
    return f"{number:,.6g}"


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
            Metric(
                "area", "um^2", "area", column="area_um2", shown_unit="mm²", shown_scale=1e-6
            ),
            Metric("power", "mW", "power", column="power_mw"),
            Metric(
                "makespan", "cycles", "makespan", "whole", column="makespan_cycles",
                about="the time until the last job ends",
            ),
            Metric(
                "errors", "wrong answers", "errors", "whole", column="errors",
                about="wrong answers on the images that are searched on; between equals the loss "
                "decides, as a fraction of one",
            ),
            Metric(
                "noise", "", "quantisation noise",
                about="the sum of the layers' noise, as a share of the signal: a proxy",
            ),
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
