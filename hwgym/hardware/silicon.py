"""What arithmetic, memories and DRAM take in energy and area, from published constants.

Memories are those that CACTI 7 makes in 45 nm (``sram.csv`` beside this file); another process is
a factor on their energies and one on their areas. What is left out, here and so in every sum of
these numbers: leakage, the network between memories and PEs, control, clock and I/O.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Floats
from hwgym._names import nearest
from hwgym.hardware.presets import chosen

__all__ = [
    "DRAM_PJ_PER_BIT",
    "SILICON",
    "SILICON_28NM",
    "SILICON_45NM",
    "Macro",
    "Silicon",
    "bits",
    "macros",
    "positive",
    "silicon",
]

DRAM_PJ_PER_BIT: dict[str, float] = {"LPDDR4": 8.0, "DDR3": 70.0, "HBM2": 3.9}
"""Energy of a bit read from or written to DRAM, in pJ, device and interface together: the values of
Accelergy's CACTI plug-in, which names "public data" for LPDDR4, Malladi et al., ISCA 2012, for DDR3
and Chatterjee et al., MICRO 2017, for HBM2. They do not shrink with the chip's process."""

SMALLER = 0.78
"""Below the smallest macro an access costs (size / smallest) to this power: how Accelergy's library
of components scales energy with depth, fitted to CACTI."""

LARGEST = 2.0**63
"""Bytes; no size beyond this is answered."""


@dataclass(frozen=True)
class Silicon:
    """Energy and area constants of a process.

    Attributes:
        name: How tables and errors call it.
        node_nm: Nanometres, for the reader; nothing is computed from it.
        multiply_pj, add_pj: Energy of an 8-bit by 8-bit multiplication and of a 32-bit addition.
        multiply_area_um2, add_area_um2: Area of their units.
        sram_energy_factor, sram_area_factor: Times the 45 nm memories of :func:`macros`.
        dram_pj_per_bit: In place of the DRAM kind's (:data:`DRAM_PJ_PER_BIT`).

    Raises:
        ValueError: If a constant is not a positive, finite number.
    """

    name: str
    node_nm: float
    multiply_pj: float
    add_pj: float
    multiply_area_um2: float
    add_area_um2: float
    sram_energy_factor: float
    sram_area_factor: float
    dram_pj_per_bit: float | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and self.name):
            raise ValueError(f"a silicon's name must be a non-empty string, got {self.name!r}")
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name != "name" and not (f.name == "dram_pj_per_bit" and value is None):
                value = positive(f"silicon {self.name!r}: {f.name}", value)
                object.__setattr__(self, f.name, value)

    def mac_pj(self, weight_bits: int = 8, input_bits: int = 8) -> float:
        """Energy of a multiply-accumulate, in pJ.

        A multiplier has a cell for each pair of bits, so its share grows with the product of the
        widths. The addition stays at 32 bits.

        Raises:
            ValueError: If a width is not an integer from 1 to 64.
        """
        return self.multiply_pj * _cells(weight_bits, input_bits) + self.add_pj

    def mac_area_um2(self, weight_bits: int = 8, input_bits: int = 8) -> float:
        """Area of a multiply-accumulate unit, in um^2; with the widths as :meth:`mac_pj`."""
        return self.multiply_area_um2 * _cells(weight_bits, input_bits) + self.add_area_um2

    def sram_read_pj_per_byte(self, size: ArrayLike) -> Floats:
        """Energy of reading a byte from a memory of ``size`` bytes, in pJ.

        Whole words are read: what a word holds beyond the byte is of use as well. Between
        :func:`macros` the energy follows a power of the size (a line on log-log paper). Below them
        an access, and so a byte, costs (size / smallest) ** 0.78. Above them the last segment's
        power goes on, about 0.6, near the 0.5 with which wires grow as long as a memory is wide;
        banks of 1 MiB would leave out the wires to them, and any size would cost the same.

        Args:
            size: Bytes, at least 1; numbers of any shape, which the answer has, too.

        Raises:
            ValueError: If a size is below 1 or not finite.
        """
        return self.sram_energy_factor * _by_size("read", size)

    def sram_write_pj_per_byte(self, size: ArrayLike) -> Floats:
        """Energy of writing a byte, in pJ; otherwise as :meth:`sram_read_pj_per_byte`."""
        return self.sram_energy_factor * _by_size("write", size)

    def sram_area_um2(self, size: ArrayLike) -> Floats:
        """Area of a whole memory of ``size`` bytes, in um^2.

        As :meth:`sram_read_pj_per_byte`, but in proportion to the size below the smallest macro.
        """
        return self.sram_area_factor * _by_size("area", size)

    def dram_pj_per_byte(self, kind: str = "LPDDR4") -> float:
        """Energy of a byte read from or written to DRAM of that kind, in pJ.

        Raises:
            ValueError: If the kind is not in :data:`DRAM_PJ_PER_BIT`.
        """
        if kind not in list(DRAM_PJ_PER_BIT):
            raise ValueError(nearest("DRAM", kind, DRAM_PJ_PER_BIT))
        own = self.dram_pj_per_bit
        return 8 * (DRAM_PJ_PER_BIT[kind] if own is None else own)


def positive(what: str, given: object) -> float:
    """``given`` as a float.

    Raises:
        ValueError: If it is not a number, or not above 0, or not finite.
    """
    value = math.nan
    if isinstance(given, int | float | np.integer | np.floating) and not isinstance(given, bool):
        with suppress(OverflowError):  # of an integer beyond floats
            value = float(given)
    if not 0 < value < math.inf:
        raise ValueError(f"{what} must be a positive, finite number, got {given!r}")
    return value


def bits(what: str, given: object) -> int:
    """``given`` as a width.

    Raises:
        ValueError: If it is not an integer from 1 to 64.
    """
    whole = isinstance(given, int | np.integer) and not isinstance(given, bool)
    if not whole or not 1 <= given <= 64:  # type: ignore[operator]
        raise ValueError(f"{what} must be an integer from 1 to 64, got {given!r}")
    return int(given)  # type: ignore[call-overload, no-any-return]


def _cells(weight_bits: int, input_bits: int) -> float:
    """The size of a multiplier, in those of 8 by 8 bits."""
    return bits("weight_bits", weight_bits) * bits("input_bits", input_bits) / 64


@dataclass(frozen=True)
class Macro:
    """A 45 nm memory.

    Attributes:
        bytes, word_bytes: What it holds, and what an access moves.
        read_pj, write_pj: Energy of an access, to a whole word.
        area_mm2: All of it.
        leakage_mw: What it takes when nothing is accessed; no energy here counts it.
    """

    bytes: int
    word_bytes: int
    read_pj: float
    write_pj: float
    area_mm2: float
    leakage_mw: float


@cache
def macros() -> tuple[Macro, ...]:
    """The memories that sizes are interpolated between, by size: CACTI 7 as ZigZag ships it, under
    Accelergy's default configuration (itrs-lstp, 300 K, one read-write port).

    Of several words for a size, the one with the least read energy a byte counts. A memory is left
    out if a larger one reads a byte for less, as that one, half used, could stand in: so energy
    grows with size. That leaves out the one of 8 KiB, for which there is no 32-byte word.
    """
    text = files("hwgym.hardware").joinpath("sram.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    found = [
        Macro(
            int(row["bytes"]),
            int(row["word_bytes"]),
            float(row["read_pj"]),
            float(row["write_pj"]),
            float(row["area_mm2"]),
            float(row["leakage_mw"]),
        )
        for row in rows
    ]
    kept: list[Macro] = []
    for macro in sorted(found, key=lambda m: (-m.bytes, m.read_pj / m.word_bytes)):
        if not kept or macro.read_pj / macro.word_bytes < kept[-1].read_pj / kept[-1].word_bytes:
            kept.append(macro)
    return tuple(reversed(kept))


Quantity = Literal["read", "write", "area"]


@cache
def _line(quantity: Quantity) -> tuple[Floats, Floats]:
    """Logarithms of sizes and of the quantity; a power holds between one and the next."""
    known = macros()
    values = {
        "read": [m.read_pj / m.word_bytes for m in known],
        "write": [m.write_pj / m.word_bytes for m in known],
        "area": [m.area_mm2 * 1e6 for m in known],
    }[quantity]
    x, y = np.log([m.bytes for m in known]), np.log(values)
    below = 1.0 if quantity == "area" else SMALLER
    above = (y[-1] - y[-2]) / (x[-1] - x[-2])
    end = np.log(LARGEST)
    return (
        np.concatenate(([0.0], x, [end])),
        np.concatenate(([y[0] - below * x[0]], y, [y[-1] + above * (end - x[-1])])),
    )


def _by_size(quantity: Quantity, size: ArrayLike) -> Floats:
    sizes = np.asarray(size, dtype=np.float64)
    wrong = ~((sizes >= 1) & (sizes <= LARGEST))
    if wrong.any():
        raise ValueError(
            f"a memory's size must be from 1 to 2**63 bytes, got {sizes[wrong].flat[0]:g}"
        )
    found: Floats = np.exp(np.interp(np.log(sizes), *_line(quantity)))
    return found


SILICON_45NM = Silicon(
    "45nm",
    node_nm=45,
    multiply_pj=0.2,
    add_pj=0.1,
    multiply_area_um2=397 * (45 / 40) ** 2,
    add_area_um2=278 * (45 / 40) ** 2,
    sram_energy_factor=1.0,
    sram_area_factor=1.0,
)
"""Energies by Horowitz, "Computing's energy problem", ISSCC 2014 (int8 multiplication, int32
addition; 45 nm, 0.9 V). Areas by Aladdin's table (Shao et al., ISCA 2014) in Accelergy's library,
which says 40 nm for it, and said 45 nm in former versions: 397 um^2, a sixteenth of the 32-bit
multiplier's, and 278 um^2, times (45/40)^2; by Stillmaker and Baas the factor would be 1.26 instead
of 1.27."""

SILICON_28NM = Silicon(
    "28nm",
    node_nm=28,
    multiply_pj=SILICON_45NM.multiply_pj * 0.51,
    add_pj=SILICON_45NM.add_pj * 0.51,
    multiply_area_um2=SILICON_45NM.multiply_area_um2 * 0.38,
    add_area_um2=SILICON_45NM.add_area_um2 * 0.38,
    sram_energy_factor=0.51,
    sram_area_factor=0.38,
)
"""45 nm with energy times 0.51 and area times 0.38: Stillmaker and Baas, "Scaling equations for the
accurate prediction of CMOS device performance from 180 nm to 7 nm", Integration 58, 2017, between
their values for 32 and 20 nm, both at 0.8 V. These are factors of logic, used for memories, too."""

SILICON: dict[str, Silicon] = {s.name: s for s in (SILICON_45NM, SILICON_28NM)}


def silicon(given: str | Silicon | Mapping[str, Any]) -> Silicon:
    """The silicon of that name, or of a mapping of its fields; a :class:`Silicon` is handed back as
    it is.

    Raises:
        ValueError: If the name is unknown, when the message gives the nearest one; or if a field is
            unknown, missing or not allowed.
    """
    return chosen(Silicon, "silicon", SILICON, given)
