"""What silicon costs: area, power and energy constants, and the presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from hwgym.hardware.presets import chosen

__all__ = ["MAESTRO_2019", "MAESTRO_2021", "TECHNOLOGIES", "Technology", "technology"]


@dataclass(frozen=True, slots=True)
class Technology:
    """Area, power and energy constants.

    SRAM is counted in whole units of ``l1_unit_bytes`` / ``l2_unit_bytes``, at least one. A bus
    over n units with bandwidth B takes ``bus_area_um2 * (14.662 n + 28.895) * B``, an arbiter
    ``max(a, a * (1.2886 n^2 + 5.5814 n - 23.711))`` (MAESTRO's fits, stated for 28 nm).

    Attributes:
        name: How tables and errors call it.
        mac_area_um2, mac_power_mw, mac_energy_nj: One multiply-accumulate unit; energy per MAC.
        l1_area_um2, l1_power_mw, l1_unit_bytes: One unit of a PE's own buffer.
        l2_area_um2, l2_power_mw, l2_unit_bytes: One unit of the shared buffer.
        l1_energy_macs, l2_energy_macs: Energy per access, in MAC energies. Their origin is lost,
            say MAESTRO's maintainers (issue 10 of its repository).
        bus_area_um2, bus_power_mw, arbiter_area_um2, arbiter_power_mw: NoC coefficients.
    """

    name: str
    mac_area_um2: float
    mac_power_mw: float
    mac_energy_nj: float
    l1_area_um2: float
    l1_power_mw: float
    l1_unit_bytes: int
    l2_area_um2: float
    l2_power_mw: float
    l2_unit_bytes: int
    l1_energy_macs: float = 1.68
    l2_energy_macs: float = 18.61
    bus_area_um2: float = 101.7938
    bus_power_mw: float = 0.8
    arbiter_area_um2: float = 395.473
    arbiter_power_mw: float = 0.34

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name != "name" and not (np.isfinite(value) and value > 0):
                raise ValueError(f"technology {self.name!r}: {f.name} must be > 0, got {value!r}")


MAESTRO_2021 = Technology(
    "maestro-2021",
    mac_area_um2=283.0,
    mac_power_mw=1.2223,
    mac_energy_nj=0.00023,
    l1_area_um2=0.104,
    l1_power_mw=0.00345,
    l1_unit_bytes=1,
    l2_area_um2=0.104,
    l2_power_mw=0.00345,
    l2_unit_bytes=1,
)
"""The constants MAESTRO has had since May 2021 (commit 4eb08d1)."""

MAESTRO_2019 = Technology(
    "maestro-2019",
    mac_area_um2=4470.9014,
    mac_power_mw=1.2223,
    mac_energy_nj=0.000904,
    l1_area_um2=4505.1889,
    l1_power_mw=0.2208,
    l1_unit_bytes=64,
    l2_area_um2=4161.536,
    l2_power_mw=4.0,
    l2_unit_bytes=32768,
)
"""The constants of MAESTRO before May 2021, the ConfuciuX paper's era. The source labels its MAC
energy of 0.904 nJ; its size says pJ, which is what stands here."""

TECHNOLOGIES: dict[str, Technology] = {t.name: t for t in (MAESTRO_2019, MAESTRO_2021)}


def technology(given: str | Technology | Mapping[str, Any]) -> Technology:
    """The technology of that name, or of a mapping of its fields; a :class:`Technology` is handed
    back as it is.

    Raises:
        ValueError: If the name is unknown, when the message gives the nearest one; or if a field
            is unknown or missing.
    """
    return chosen(Technology, "technology", TECHNOLOGIES, given)
