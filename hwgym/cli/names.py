"""What the options of the commands for hardware assignment take by name."""

from __future__ import annotations

from typing import Any

from hwgym.costs.maestro import CONFUCIUX_EYERISS, DATAFLOWS
from hwgym.families.assignment.accounting import COMPLETE, MAESTRO
from hwgym.families.assignment.design_space import MIX
from hwgym.families.assignment.problem import PLATFORMS
from hwgym.hardware import TECHNOLOGIES
from hwgym.workloads import models, released_models

__all__ = [
    "ANY_OF",
    "dataflow_names",
    "dataflows",
    "model_names",
    "platforms",
    "technologies",
]

ANY_OF = {"MIX": MIX}
"""Names of several dataflows, of which each layer gets the best."""


def model_names() -> tuple[str, ...]:
    """The zoo's models, and those that only ConfuciuX's tables have."""
    return (*models(), *(name for name in released_models() if name not in models()))


def dataflow_names() -> tuple[str, ...]:
    """Single ones and mixes."""
    return (*DATAFLOWS, *ANY_OF)


def dataflows() -> list[dict[str, Any]]:
    """A row a dataflow."""
    about = {
        "NVDLA": "weight-stationary: parallel over filters and channels",
        "Eyeriss": "row-stationary: parallel over output and filter rows",
        "ShiDianNao": "output-stationary: parallel over output rows and columns",
        CONFUCIUX_EYERISS.name: "ConfuciuX's own Eyeriss; only in the released problem",
        **{
            name: f"any of {', '.join(some)}, chosen for each layer"
            for name, some in ANY_OF.items()
        },
    }
    return [{"dataflow": name, "about": about.get(name, "")} for name in dataflow_names()]


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
