"""The cores that share a bandwidth: six settings of them, or any list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from hwgym._names import nearest
from hwgym.families.scheduled import Core, core_of

__all__ = ["MOST_CORES", "SETTINGS", "cores_of"]

MOST_CORES = 64

_BIG = ("nv:8192",) * 7 + ("yxp:8192",)
_LITTLE = ("nv:4096",) * 7 + ("yxp:4096",)

SETTINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "S1": ("nv:2048",) * 4,
        "S2": ("nv:2048",) * 3 + ("yxp:2048",),
        "S3": ("nv:8192",) * 8,
        "S4": _BIG,
        "S5": ("nv:8192",) * 3 + ("yxp:8192",) + ("nv:4096",) * 3 + ("yxp:4096",),
        "S6": _BIG + _LITTLE,
    }
)
"""MAGMA's: small and large, each of one kind and of two, big and little cores, and all of these
(``src/setting.py``, ``get_setting_v3``: clusters of 64 PEs; NVDLA style and ShiDianNao style)."""


def cores_of(given: str | Sequence[str | Core]) -> tuple[Core, ...]:
    """The cores of a setting's name, or of a list such as ``["nv:2048", "yxp:1024"]``.

    Raises:
        ValueError: If a name is unknown, when the message gives the nearest; if there are none or
            more than 64, or PEs are not a number from 1 to 65,536.
    """
    if isinstance(given, str):
        if given not in SETTINGS:
            raise ValueError(nearest("setting", given, SETTINGS))
        given = SETTINGS[given]
    if not 1 <= len(given) <= MOST_CORES:
        raise ValueError(f"cores must be 1 to {MOST_CORES}, got {len(given)}")
    return tuple(map(core_of, given))
