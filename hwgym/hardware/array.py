"""What stays fixed while PEs and buffers are assigned: interconnect, lanes, technology."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Ints
from hwgym._files import write_text
from hwgym.hardware.file import hardware_text, hardware_values
from hwgym.hardware.technology import MAESTRO_2021, Technology, technology

__all__ = ["Hardware", "integers", "read_hardware"]


@dataclass(frozen=True)
class Hardware:
    """The rest of the accelerator; the defaults are the flags ConfuciuX passes to MAESTRO.

    Attributes:
        noc_bandwidth: Elements per cycle on each level's network. The default does not constrain.
        noc_hops, noc_hop_latency: Average hops, and cycles per hop.
        simd_lanes: Multiply-accumulates a PE does per cycle.
        offchip_bandwidth: Elements per cycle.
        technology: A :class:`Technology` or the name of a preset.

    Numbers may be integers or integer arrays that broadcast with the design points of a query.

    Raises:
        ValueError: If a number is not an integer, or below 1 (below 0 for hops and latency); if one
            is beyond 64 bits (hops and latency: 32).
    """

    noc_bandwidth: ArrayLike = 81_920_000
    noc_hops: ArrayLike = 1
    noc_hop_latency: ArrayLike = 1
    simd_lanes: ArrayLike = 1
    offchip_bandwidth: ArrayLike = 70_000
    technology: Technology | str = MAESTRO_2021

    def __post_init__(self) -> None:
        object.__setattr__(self, "technology", technology(self.technology))
        for name in self.numbers():
            hops = name in ("noc_hops", "noc_hop_latency")  # which are multiplied
            least, most = (0, 2**31 - 1) if hops else (1, 2**63 - 1)
            integers(f"hardware {name}", getattr(self, name), least, most)

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> Hardware:
        """Read hardware and technology from an accelerator file.

        Table ``[hardware]`` has this class's numbers, those left out at their defaults, and
        ``technology``, a preset's name. In place of that name a table ``[technology]`` may give
        :class:`Technology`'s fields; a key's ending is its unit, and other units are converted
        (``um2 mm2``, ``uw mw w``, ``fj pj nj``, ``bytes kib``). With ``base = "a preset"`` the
        fields left out are that preset's. ``examples/accelerator.toml`` is one.

        Raises:
            OSError: If the file cannot be read.
            ValueError: Naming file and key: an unknown key, a missing one, a value that is not a
                number or not allowed.
        """
        values = hardware_values(path)
        try:
            return cls(**values)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def to_toml(self, path: str | os.PathLike[str]) -> None:
        """Write the file that :meth:`from_toml` reads back as equal hardware.

        The file appears whole or not at all.

        Raises:
            ValueError: If a number is an array.
        """
        numbers = {name: getattr(self, name) for name in self.numbers()}
        write_text(path, hardware_text(numbers, self.tech))

    @property
    def tech(self) -> Technology:
        """The technology, whether it was given as an object or by name."""
        return technology(self.technology)

    @staticmethod
    def numbers() -> tuple[str, ...]:
        """The names of the numeric fields."""
        return tuple(f.name for f in fields(Hardware) if f.name != "technology")

    def arrays(self) -> dict[str, Ints]:
        """The numeric fields as int64 arrays, by name."""
        return {n: np.asarray(getattr(self, n), dtype=np.int64) for n in self.numbers()}


def read_hardware(path: str | os.PathLike[str]) -> Hardware:
    """:meth:`Hardware.from_toml` as a function, as dataflows have one."""
    return Hardware.from_toml(path)


def integers(what: str, given: ArrayLike, least: int = 1, most: int = 2**63 - 1) -> Ints:
    """``given`` as int64, checked.

    Raises:
        ValueError: If it holds anything but integers, or one below ``least`` or above ``most``.
    """
    array = np.asarray(given)
    if not array.size:
        array = array.astype(np.int64)
    beyond_64_bits = array.dtype.kind == "O" and all(type(each) is int for each in array.flat)
    if array.dtype.kind not in "iu" and not beyond_64_bits:
        raise ValueError(f"{what} must be integers, got {given!r}")
    if array.size and array.min() < least:
        raise ValueError(f"{what} must be at least {least}, got {array.min()}")
    if array.size and array.max() > most:
        raise ValueError(f"{what} must be at most {most}, got {array.max()}")
    return array.astype(np.int64)
