"""Accounting: which of the cost model's columns a design space counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from hwgym._arrays import Bools
from hwgym._names import nearest
from hwgym.costs.maestro import MAESTRO_2019, MAESTRO_2021, Costs, Technology

__all__ = ["ACCOUNTINGS", "COMPLETE", "MAESTRO", "Accounting", "accounting"]


@dataclass(frozen=True)
class Accounting:
    """How a design space reads costs.

    Attributes:
        name: How tables, keys and errors call it.
        technology: What hardware takes where none is given.
        latency, energy, area, power: The columns of :class:`hwgym.costs.maestro.Costs` that count.
        valid: Which points may be chosen.
        corners: Whether a budget's range is ConfuciuX's, between the least and the greatest of the
            uniform assignments that take every level's extremes, instead of between the least and
            the most that valid points can use.
    """

    name: str
    technology: Technology
    latency: str
    energy: str
    area: str
    power: str
    valid: Callable[[Costs], Bools] = field(repr=False)
    corners: bool = False

    @property
    def interconnect(self) -> bool:
        """Whether area and power have bus and arbiter in them."""
        return self.area == "area_um2"

    def __str__(self) -> str:
        return self.name


def _complete(costs: Costs) -> Bools:
    return costs.valid


def _positive(costs: Costs) -> Bools:
    valid: Bools = costs.mappable & (
        (costs.runtime_cycles > 0) & (costs.num_macs > 0) & (costs.energy_nj > 0)
    )
    return valid


COMPLETE = Accounting(
    "complete",
    MAESTRO_2019,
    latency="runtime_cycles",
    energy="total_energy_nj",
    area="array_area_um2",
    power="array_power_mw",
    valid=_complete,
)
"""Area and power of PEs and buffers, energy of MACs and of all L1 and L2 accesses; a point is valid
if it does the layer's work within the array's peak (``Costs.valid``)."""

MAESTRO = Accounting(
    "maestro",
    MAESTRO_2021,
    latency="runtime_cycles",
    energy="energy_nj",
    area="area_um2",
    power="power_mw",
    valid=_positive,
    corners=True,
)
"""As MAESTRO prints it: area and power with bus and arbiter, energy with its omissions; a point is
valid if runtime, MACs and energy are positive. That is ConfuciuX's released problem."""

ACCOUNTINGS: Mapping[str, Accounting] = MappingProxyType({a.name: a for a in (COMPLETE, MAESTRO)})
"""Those that have a name."""


def accounting(given: str | Accounting) -> Accounting:
    """The accounting of that name; an :class:`Accounting` is handed back as it is.

    Raises:
        ValueError: If the name is unknown; the message gives the nearest one.
    """
    if isinstance(given, Accounting):
        return given
    if given not in ACCOUNTINGS:
        raise ValueError(nearest("accounting", given, ACCOUNTINGS))
    return ACCOUNTINGS[given]
