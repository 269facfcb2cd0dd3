"""A loop-nest machine as a TOML file.

::

    [machine]                   # every key may be left out
    clock_mhz = 800             # or clock_ghz
    dram_gb_per_s = 12.8        # or dram_bytes_per_cycle; the same of l2
    weight_bits = 4
    silicon = "28nm"            # a preset, or a table of one's own, as here:

    [silicon]
    name = "my 28 nm"
    base = "28nm"               # where what is left out comes from; without it, nothing may be
    mac_pj = 0.12               # a multiply-accumulate of 8 by 8 bits: multiply_pj and add_pj
    sram_energy_factor = 0.45

This module knows the file and its values; :class:`hwgym.hardware.Machine` is made from them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from decimal import Decimal
from typing import Any

from hwgym.hardware.file import constants, keys_of, numbers, quoted, shown, tables_of
from hwgym.hardware.silicon import SILICON, Silicon

__all__ = ["machine_text", "machine_values"]

_ONE = Decimal(1)
_PER_SECOND = ("dram_gb_per_s", "l2_gb_per_s")

KEYS: dict[str, tuple[str, Decimal]] = {
    "clock_ghz": ("clock_ghz", _ONE),
    "clock_mhz": ("clock_ghz", Decimal("1e-3")),
    "dram_bytes_per_cycle": ("dram_bandwidth", _ONE),
    "dram_gb_per_s": ("dram_bandwidth", _ONE),  # by the clock, once that is known
    "l2_bytes_per_cycle": ("l2_bandwidth", _ONE),
    "l2_gb_per_s": ("l2_bandwidth", _ONE),
    "weight_bits": ("weight_bits", _ONE),
    "input_bits": ("input_bits", _ONE),
    "output_bits": ("output_bits", _ONE),
    "partial_bits": ("partial_bits", _ONE),
}
"""The keys of numbers in ``[machine]``: the field of each, and its unit in the field's."""

MACS = {
    "mac_pj": ("multiply_pj", "add_pj"),
    "mac_area_um2": ("multiply_area_um2", "add_area_um2"),
}
"""The keys in ``[silicon]`` that give the sum of two fields."""


def machine_values(path: str | os.PathLike[str], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of :class:`hwgym.hardware.Machine` that a file gives.

    Raises:
        OSError, ValueError: As :meth:`hwgym.hardware.Machine.from_toml`.
    """
    of_silicon = keys_of((*(f.name for f in fields(Silicon) if f.name != "name"), *MACS))
    found = tables_of(path, {"machine": (*KEYS, "dram"), "silicon": of_silicon})
    table = found.get("machine", {})
    where = f"{path}: [machine]"
    values: dict[str, Any] = {k: table[k] for k in ("silicon", "dram") if k in table}
    read = numbers(where, table, KEYS, ("silicon", "dram"))
    clock = read["clock_ghz"][1] if "clock_ghz" in read else Decimal(defaults["clock_ghz"])
    for field, (key, exact) in read.items():
        if field.endswith("_bits"):
            if exact != int(exact):
                raise ValueError(f"{where}: {key} must be whole bits, got {shown(table[key])}")
            values[field] = int(exact)
        else:
            values[field] = float(exact / clock if key in _PER_SECOND else exact)
    if "silicon" in found:
        if "silicon" in table:
            raise ValueError(
                f"{path}: two silicons: give either [machine] silicon = a name "
                f"({', '.join(SILICON)}) or a table [silicon]"
            )
        values["silicon"] = constants(path, "silicon", found["silicon"], Silicon, SILICON, MACS)
    elif not isinstance(values.get("silicon", ""), str):
        raise ValueError(
            f"{where}: silicon must be a name ({', '.join(SILICON)}), "
            f"got {shown(values['silicon'])}; one's own goes into a table [silicon]"
        )
    return values


def machine_text(values: Mapping[str, Any], silicon: Silicon) -> str:
    """The TOML text of a machine's fields, and of its silicon."""
    lines = ["[machine]"]
    written = set()
    for key, (field, _) in KEYS.items():
        if field not in written:  # a field's first key has its unit
            lines.append(f"{key} = {values[field]!r}")
            written.add(field)
    lines.append(f"dram = {quoted(values['dram'])}")
    if SILICON.get(silicon.name) == silicon:
        return "\n".join((*lines, f"silicon = {quoted(silicon.name)}", ""))
    lines += ["", "[silicon]", f"name = {quoted(silicon.name)}"]
    numeric = {name: value for name, value in asdict(silicon).items() if name != "name"}
    lines += [f"{name} = {value!r}" for name, value in numeric.items() if value is not None]
    return "\n".join((*lines, ""))
