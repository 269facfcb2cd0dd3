"""What the options of the commands for hardware assignment take by name."""

from __future__ import annotations

from typing import Any

from hwgym.costs.maestro import CLUSTERED, DATAFLOWS
from hwgym.families.assignment.accounting import COMPLETE, MAESTRO
from hwgym.families.assignment.design_space import MIXES
from hwgym.families.assignment.problem import PLATFORMS
from hwgym.hardware import TECHNOLOGIES
from hwgym.workloads import models, released_models

__all__ = [
    "dataflow_names",
    "dataflows",
    "model_names",
    "platforms",
    "technologies",
]


def model_names() -> tuple[str, ...]:
    """The zoo's models, and those that only ConfuciuX's tables have."""
    return (*models(), *(name for name in released_models() if name not in models()))


def dataflow_names() -> tuple[str, ...]:
    """Single ones and mixes."""
    return (*DATAFLOWS, *MIXES)


def dataflows() -> list[dict[str, Any]]:
    """A row a dataflow."""
    about = {name: style.about for name, style in (DATAFLOWS | CLUSTERED).items()}
    for name, some in MIXES.items():
        says = f"{about[name]}; " if name in about else ""
        shown = some if len(some) < 5 else (*some[:2], "...", some[-1])
        about[name] = f"{says}any of {', '.join(shown)}, chosen for each layer"
    return [{"dataflow": name, "about": about[name]} for name in dataflow_names()]


def technologies() -> list[dict[str, Any]]:
    """A row a technology, with whose environments use it."""
    used = {COMPLETE.technology.name: "HWAssign", MAESTRO.technology.name: "ConfuciuX"}
    return [
        {
            "technology": name,
            "MAC (um^2)": tech.mac_area_um2,
            "MAC (pJ)": tech.mac_energy_nj * 1e3,
            "L1 (um^2/B)": tech.l1_area_um2 / tech.l1_unit_bytes,
            "L2 (um^2/B)": tech.l2_area_um2 / tech.l2_unit_bytes,
            "used by": f"{used[name]} environments" if name in used else "",
        }
        for name, tech in TECHNOLOGIES.items()
    ]


def platforms() -> list[dict[str, Any]]:
    """A row a platform."""
    return [{"platform": name, "share of the range": share} for name, share in PLATFORMS.items()]
