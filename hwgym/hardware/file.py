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
This module knows the file and its values; :class:`hwgym.Hardware` is made from them above it. What
it knows of tables, keys and units serves other files, too (:mod:`hwgym.hardware.machine_file`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, fields
from decimal import Decimal
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from hwgym._files import read_toml
from hwgym._names import nearest
from hwgym.hardware.presets import Record, needed
from hwgym.hardware.technology import TECHNOLOGIES, Technology

__all__ = [
    "constants",
    "hardware_text",
    "hardware_values",
    "keys_of",
    "numbers",
    "quoted",
    "shown",
    "tables",
    "tables_of",
]

T = TypeVar("T", bound=Record)

NUMBERS = {
    "noc_bandwidth": "elements per cycle, on each level's network",
    "noc_hops": "hops, on average",
    "noc_hop_latency": "cycles per hop",
    "simd_lanes": "multiply-accumulates that a PE does per cycle",
    "offchip_bandwidth": "elements per cycle",
}
"""The numeric fields of :class:`hwgym.Hardware`, and what they count."""

_UNITS: dict[str, dict[str, Decimal]] = {
    "um2": {"um2": Decimal(1), "mm2": Decimal(10**6)},
    "mw": {"mw": Decimal(1), "uw": Decimal("1e-3"), "w": Decimal(10**3)},
    "nj": {"nj": Decimal(1), "pj": Decimal("1e-3"), "fj": Decimal("1e-6")},
    "pj": {"pj": Decimal(1), "fj": Decimal("1e-3"), "nj": Decimal(10**3)},
    "bytes": {"bytes": Decimal(1), "kib": Decimal(1024)},
}
"""A field's unit: the units that a key may end with, and what one of each is in the field's."""

_MEANING = {
    **NUMBERS,
    "l1_energy_macs": "MAC energies per access",
    "l2_energy_macs": "MAC energies per access",
}


def tables(path: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """The tables of an accelerator file; raises as :func:`tables_of`."""
    keys = keys_of(field.name for field in fields(Technology) if field.name != "name")
    return tables_of(path, {"hardware": NUMBERS, "technology": keys, "dataflow": ()})


def tables_of(
    path: str | os.PathLike[str], keys: Mapping[str, Collection[str]]
) -> dict[str, dict[str, Any]]:
    """The tables of a file that may have those of ``keys``, which has each one's keys.

    Raises:
        OSError, ValueError: As :func:`hwgym._files.read_toml`; or if there is any other table, or a
            key outside of one.
    """
    found = read_toml(path)
    for name, table in found.items():
        if name not in keys:
            for home, inside in keys.items():
                if name in inside:
                    raise ValueError(f"{path}: {name} belongs into the table [{home}]")
            raise ValueError(f"{path}: {nearest('table', name, keys)}")
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
            raise ValueError(f"{where}: {key} must be an integer, got {shown(value)}")
    named = given.pop("technology", None)
    if named is not None and named not in list(TECHNOLOGIES):
        raise ValueError(f"{where}: {nearest('technology', named, TECHNOLOGIES)}")
    if (named is None) == ("technology" not in found):
        problem = "no technology" if named is None else "two technologies"
        raise ValueError(
            f"{path}: {problem}: give either [hardware] technology = a name "
            f"({', '.join(TECHNOLOGIES)}) or a table [technology]"
        )
    if named is None:
        named = constants(path, "technology", found["technology"], Technology, TECHNOLOGIES)
    return {**given, "technology": named}


def keys_of(names: Iterable[str]) -> dict[str, tuple[str, Decimal]]:
    """Every key that gives one of these fields: the field, and what to multiply a value by."""
    keys = {}
    for name in names:
        stem, _, unit = name.rpartition("_")
        for written, factor in _UNITS.get(unit, {"": Decimal(1)}).items():
            keys[f"{stem}_{written}" if written else name] = (name, factor)
    return keys


def numbers(
    where: str,
    given: Mapping[str, Any],
    keys: Mapping[str, tuple[str, Decimal]],
    others: Collection[str],
) -> dict[str, tuple[str, Decimal]]:
    """A table's numbers by field: the key that gives it, and the value in the field's unit.

    Args:
        where: How errors begin.
        given: The table.
        keys: What may be in it: the field of a key, and what to multiply its value by.
        others: Keys that may be in it and are no numbers.

    Raises:
        ValueError: If a key is unknown, if two say the same, if a value is not a positive number.
    """
    values: dict[str, tuple[str, Decimal]] = {}
    for key, value in given.items():
        if key in others:
            continue
        if key not in keys:
            raise ValueError(f"{where}: {nearest('key', key, (*others, *keys))}")
        field, factor = keys[key]
        if field in values:
            raise ValueError(f"{where}: {values[field][0]} and {key} say the same; give one")
        number = not isinstance(value, bool) and isinstance(value, int | Decimal)
        if not (number and Decimal(value).is_finite() and value > 0):
            raise ValueError(f"{where}: {key} must be a positive number, got {shown(value)}")
        values[field] = key, value * factor
    return values


def constants(
    path: str | os.PathLike[str],
    table: str,
    given: Mapping[str, Any],
    kind: type[T],
    presets: Mapping[str, T],
    sums: Mapping[str, Collection[str]] | None = None,
) -> T:
    """The constants of a table: numbers, a ``name``, and a ``base`` that has what is left out.

    Args:
        path, table: How errors begin.
        given: The table.
        kind: What is made.
        presets: What it may be based on.
        sums: Keys that give the sum of some fields, each of which keeps its share in the base.

    Raises:
        ValueError: As :func:`numbers`; if there is no name, no such base; if without a base a field
            is missing; if a value is not allowed.
    """
    where = f"{path}: [{table}]"
    sums = sums or {}
    base: dict[str, Any] = {}
    if "base" in given:
        if given["base"] not in list(presets):
            raise ValueError(f"{where}: {nearest('base', given['base'], presets)}")
        base = asdict(presets[given["base"]])
    names = [field.name for field in fields(kind) if field.name != "name"]
    found = numbers(where, given, keys_of((*names, *sums)), ("name", "base"))
    values = dict(base)
    for field, (key, exact) in found.items():
        for part in sums.get(field, ()):
            if part in found:
                raise ValueError(f"{where}: {key} holds {found[part][0]}; give one")
            if not base:
                raise ValueError(f"{where}: {key} needs a base whose shares its parts keep")
            values[part] = base[part] * float(exact) / sum(base[each] for each in sums[field])
        if field.endswith("_bytes"):
            if exact != int(exact):
                raise ValueError(f"{where}: {key} must be whole bytes, got {shown(given[key])}")
            values[field] = int(exact)
        elif field not in sums:
            values[field] = float(exact)
    name = given.get("name")
    if not (isinstance(name, str) and name):
        raise ValueError(f"{where}: name must be given, a non-empty string, got {shown(name)}")
    values["name"] = name
    if missing := [field for field in needed(kind) if field not in values]:
        raise ValueError(
            f"{where}: missing {', '.join(missing)}; or give base = a preset "
            f"({', '.join(presets)}) that they come from"
        )
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def shown(value: Any) -> str:
    """A value as errors print it."""
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
