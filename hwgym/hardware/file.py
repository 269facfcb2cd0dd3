"""Hardware and technology as a TOML file.

::

    [hardware]                    # every key may be left out
    noc_bandwidth = 64            # elements per cycle, on each level's network
    technology = "maestro-2019"   # a preset, or a table of one's own, as here:

    [technology]
    name = "my 16 nm"
    base = "maestro-2019"         # where what is left out comes from; without it, nothing may be
    mac_energy_pj = 0.4           # the ending of a key is its unit

A table ``[dataflow]`` may be in the same file; :func:`hwgym.costs.maestro.read_dataflow` reads it.
This module knows the file and its values; :class:`hwgym.Hardware` is made from them above it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hwgym._files import read_toml
from hwgym._names import nearest
from hwgym.hardware.technology import TECHNOLOGIES, Technology, technology

__all__ = ["hardware_text", "hardware_values", "quoted", "tables"]

NUMBERS = {
    "noc_bandwidth": "elements per cycle, on each level's network",
    "noc_hops": "hops, on average",
    "noc_hop_latency": "cycles per hop",
    "simd_lanes": "multiply-accumulates that a PE does per cycle",
    "offchip_bandwidth": "elements per cycle",
}
"""The numeric fields of :class:`hwgym.Hardware`, and what they count."""

TABLES = ("hardware", "technology", "dataflow")

_UNITS: dict[str, dict[str, Decimal]] = {
    "um2": {"um2": Decimal(1), "mm2": Decimal(10**6)},
    "mw": {"mw": Decimal(1), "uw": Decimal("1e-3"), "w": Decimal(10**3)},
    "nj": {"nj": Decimal(1), "pj": Decimal("1e-3"), "fj": Decimal("1e-6")},
    "bytes": {"bytes": Decimal(1), "kib": Decimal(1024)},
}
"""A field's unit: the units that a key may end with, and what one of each is in the field's."""

_MEANING = {
    **NUMBERS,
    "l1_energy_macs": "MAC energies per access",
    "l2_energy_macs": "MAC energies per access",
}


def tables(path: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """The tables of an accelerator file.

    Raises:
        OSError, ValueError: As :func:`hwgym._files.read_toml`; or if there is any other table.
    """
    found = read_toml(path)
    for name, table in found.items():
        if name not in TABLES:
            if any(name in keys for keys in (NUMBERS, _technology_keys())):
                table_name = "hardware" if name in NUMBERS else "technology"
                raise ValueError(f"{path}: {name} belongs into the table [{table_name}]")
            raise ValueError(f"{path}: {nearest('table', name, TABLES)}")
        if not isinstance(table, dict):
            raise ValueError(f"{path}: {name} must be a table: [{name}]")
    return found


def hardware_values(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The arguments of :class:`hwgym.Hardware` that an accelerator file gives.

    Raises:
        OSError, ValueError: As :meth:`hwgym.Hardware.from_toml`.
    """
    found = tables(path)
    where = f"{path}: [hardware]"
    given = dict(found.get("hardware", {}))
    allowed = (*NUMBERS, "technology")
    for key, value in given.items():
        if key not in allowed:
            raise ValueError(f"{where}: {nearest('key', key, allowed)}")
        if key != "technology" and (isinstance(value, bool) or not isinstance(value, int)):
            raise ValueError(f"{where}: {key} must be an integer, got {_shown(value)}")
    named = given.pop("technology", None)
    if named is not None and named not in list(TECHNOLOGIES):
        raise ValueError(f"{where}: {nearest('technology', named, TECHNOLOGIES)}")
    if (named is None) == ("technology" not in found):
        problem = "no technology" if named is None else "two technologies"
        raise ValueError(
            f"{path}: {problem}: give either [hardware] technology = a name "
            f"({', '.join(TECHNOLOGIES)}) or a table [technology]"
        )
    return {**given, "technology": named or _technology(path, found["technology"])}


def _technology_keys() -> dict[str, tuple[str, Decimal]]:
    """Every key of a technology: its field, and what to multiply a value by."""
    keys = {}
    for field in fields(Technology):
        stem, _, unit = field.name.rpartition("_")
        for written, factor in _UNITS.get(unit, {"": Decimal(1)}).items():
            keys[f"{stem}_{written}" if written else field.name] = (field.name, factor)
    del keys["name"]
    return keys


def _technology(path: str | os.PathLike[str], given: Mapping[str, Any]) -> Technology:
    where = f"{path}: [technology]"
    keys = _technology_keys()
    values: dict[str, Any] = {}
    if "base" in given:
        if given["base"] not in list(TECHNOLOGIES):
            raise ValueError(f"{where}: {nearest('base', given['base'], TECHNOLOGIES)}")
        values = asdict(technology(given["base"]))
    written: dict[str, str] = {}
    for key, value in given.items():
        if key in ("name", "base"):
            continue
        if key not in keys:
            raise ValueError(f"{where}: {nearest('key', key, ('name', 'base', *keys))}")
        field, factor = keys[key]
        if field in written:
            raise ValueError(f"{where}: {written[field]} and {key} say the same; give one")
        written[field] = key
        number = not isinstance(value, bool) and isinstance(value, int | Decimal)
        if not (number and Decimal(value).is_finite() and value > 0):
            raise ValueError(f"{where}: {key} must be a positive number, got {_shown(value)}")
        exact = value * factor
        if field.endswith("_bytes"):
            if exact != int(exact):
                raise ValueError(f"{where}: {key} must be whole bytes, got {_shown(value)}")
            values[field] = int(exact)
        else:
            values[field] = float(exact)
    name = given.get("name")
    if not (isinstance(name, str) and name):
        raise ValueError(f"{where}: name must be given, a non-empty string, got {_shown(name)}")
    values["name"] = name
    required = [f.name for f in fields(Technology) if f.default is MISSING]
    if missing := [f for f in required if f not in values]:
        raise ValueError(
            f"{where}: missing {', '.join(missing)}; or give base = a preset "
            f"({', '.join(TECHNOLOGIES)}) that they come from"
        )
    try:
        return Technology(**values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value) if isinstance(value, Decimal) else repr(value)


def hardware_text(numbers: Mapping[str, ArrayLike], tech: Technology) -> str:
    """The TOML text of a hardware's numeric fields and its technology.

    Raises:
        ValueError: If a number is an array.
    """
    lines = ["[hardware]"]
    for name, value in numbers.items():
        if np.ndim(value):
            raise ValueError(f"a file holds one hardware: {name} must be a number, not an array")
        lines.append(_line(name, int(np.asarray(value))))
    if TECHNOLOGIES.get(tech.name) == tech:
        lines.append(f"technology = {quoted(tech.name)}")
        return "\n".join((*lines, ""))
    lines += ["", "[technology]", f"name = {quoted(tech.name)}"]
    values = asdict(tech)
    lines += [_line(name, value) for name, value in values.items() if name != "name"]
    return "\n".join((*lines, ""))


def _line(name: str, value: float) -> str:
    line = f"{name} = {value!r}"
    return f"{line:<28}  # {_MEANING[name]}" if name in _MEANING else line


def quoted(text: str) -> str:
    """A TOML string; JSON's are, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
