"""What stays fixed of a loop-nest machine while its array and memories are chosen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from hwgym._files import write_text
from hwgym._names import nearest
from hwgym.hardware.machine_file import machine_text, machine_values
from hwgym.hardware.presets import made
from hwgym.hardware.silicon import DRAM_PJ_PER_BIT, Silicon, bits, positive, silicon

__all__ = ["Machine", "machine"]


@dataclass(frozen=True)
class Machine:
    """Clock, bandwidths, widths and silicon; PEs and the sizes of L1 and L2 are choices, not here.

    Attributes:
        clock_ghz: GHz.
        dram_bandwidth, l2_bandwidth: Bytes per cycle between DRAM and L2, and between L2 and the
            array; reads and writes each have this much.
        weight_bits, input_bits: Of the operands, 1 to 64.
        output_bits: Of an output that is finished, 1 to 64.
        partial_bits: Of a sum that is not, 1 to 64.
        silicon: A :class:`Silicon`, the name of a preset, or a mapping of a Silicon's fields.
        dram: A kind in :data:`hwgym.hardware.silicon.DRAM_PJ_PER_BIT`.

    ``dataclasses.asdict`` gives what JSON can hold and :func:`machine` takes back.

    Raises:
        ValueError: If clock or bandwidth is not a positive, finite number, if bits are not an
            integer from 1 to 64, if silicon or DRAM is unknown.
    """

    clock_ghz: float = 1.0
    dram_bandwidth: float = 16.0
    l2_bandwidth: float = 32.0
    weight_bits: int = 8
    input_bits: int = 8
    output_bits: int = 8
    partial_bits: int = 32
    silicon: Silicon | str | Mapping[str, Any] = "45nm"
    dram: str = "LPDDR4"

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name.endswith("_bits"):
                value = bits(f"machine {f.name}", value)
            elif f.name == "silicon":
                value = silicon(value)
            elif f.name == "dram":
                if value not in list(DRAM_PJ_PER_BIT):
                    raise ValueError(nearest("DRAM", value, DRAM_PJ_PER_BIT))
            else:
                value = positive(f"machine {f.name}", value)
            object.__setattr__(self, f.name, value)

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> Machine:
        """Read a machine from a file.

        Table ``[machine]`` has this class's fields, those left out at their defaults: ``clock_ghz``
        or ``clock_mhz``; ``dram_bytes_per_cycle`` or ``dram_gb_per_s``, ``l2_bytes_per_cycle`` or
        ``l2_gb_per_s`` (10^9 bytes); ``weight_bits``, ``input_bits``, ``output_bits``,
        ``partial_bits``; ``dram``, a kind; ``silicon``, a preset's name. In place of that name a
        table ``[silicon]`` may give :class:`Silicon`'s fields; a key's ending is its unit, and
        others are converted (``pj fj nj``, ``um2 mm2``). With ``base = "a preset"`` the fields left
        out are that preset's, and ``mac_pj`` and ``mac_area_um2`` may give multiplication and
        addition together, in the base's shares. ``examples/npu.toml`` is one.

        Raises:
            OSError: If the file cannot be read.
            ValueError: Naming file and key: an unknown key, a missing one, a value that is not a
                number or not allowed.
        """
        values = machine_values(path, {f.name: f.default for f in fields(cls)})
        try:
            return cls(**values)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def to_toml(self, path: str | os.PathLike[str]) -> None:
        """Write the file that :meth:`from_toml` reads back as an equal machine.

        The file appears whole or not at all.
        """
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        write_text(path, machine_text(values, self.process))

    @property
    def process(self) -> Silicon:
        """The silicon, whether it was given as an object, by name or by its fields."""
        return silicon(self.silicon)

    @property
    def mac_pj(self) -> float:
        """Energy of a multiply-accumulate of these widths, in pJ."""
        return self.process.mac_pj(self.weight_bits, self.input_bits)

    @property
    def mac_area_um2(self) -> float:
        """Area of a multiply-accumulate unit of these widths, in um^2."""
        return self.process.mac_area_um2(self.weight_bits, self.input_bits)

    @property
    def dram_pj_per_byte(self) -> float:
        """Energy of a byte read from or written to DRAM, in pJ."""
        return self.process.dram_pj_per_byte(self.dram)


def machine(
    given: Machine | Mapping[str, Any] | str | os.PathLike[str] | None = None,
) -> Machine:
    """The machine of a mapping of fields or of a file; the default one of nothing. A
    :class:`Machine` is handed back as it is.

    Raises:
        OSError: If the file cannot be read.
        ValueError: As :meth:`Machine.from_toml`; or if a field is unknown or not allowed.
    """
    if given is None:
        return Machine()
    if isinstance(given, Machine):
        return given
    if isinstance(given, Mapping):
        return made(Machine, "machine", given)
    if isinstance(given, str | os.PathLike):
        return Machine.from_toml(given)
    raise ValueError(f"a machine must be a Machine, its fields or a file, got {given!r}")
