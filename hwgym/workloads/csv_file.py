"""Layers from a CSV file and back: our own columns, ConfuciuX's, or matrix products."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import NamedTuple

from hwgym._names import nearest
from hwgym.workloads.layer import FIELDS, Layer
from hwgym.workloads.operators import LARGEST

__all__ = ["csv_text", "read_csv"]


class _Form(NamedTuple):
    """One kind of CSV that ``Workload.from_csv`` reads."""

    required: tuple[str, ...]
    optional: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.required, *self.optional)


_OWN = _Form(FIELDS[1:8], ("name", *FIELDS[8:]))
_CONFUCIUX = _Form(("K", "C", "Y", "X", "R", "S", "T"), ("name",))
_GEMM = _Form(("M", "N", "K"), ("name", "repeat"))
_CONFUCIUX_KINDS = {1: "CONV", 2: "DSCONV"}


def csv_text(layers: Iterable[Layer]) -> str:
    """The CSV that has one row a layer and one column a field of it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FIELDS)
    writer.writerows(astuple(layer) for layer in layers)
    return text.getvalue()


def read_csv(path: str | os.PathLike[str]) -> list[Layer]:
    """The layers of a CSV file: forms and errors are those of ``Workload.from_csv``."""
    source = Path(path)
    # utf-8-sig also reads plain UTF-8; spreadsheets like to add the mark that it strips.
    with source.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            rows = [(reader.line_num, row) for row in reader if row]
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{source}, row {reader.line_num + 1}: {error}") from error
    if not rows:
        raise ValueError(f"{source}: empty file; row 1 must name the columns {','.join(FIELDS)}")
    (header_line, header), *body = rows
    where = f"{source}, row {header_line}"
    form = max(_OWN, _CONFUCIUX, _GEMM, key=lambda each: len({*header} & {*each.columns}))
    for column in header:
        if column not in form.columns:
            raise ValueError(f"{where}: {nearest('column', column, form.columns)}")
        if header.count(column) > 1:
            raise ValueError(f"{where}: column {column!r} appears {header.count(column)} times")
    for column in form.required:
        if column not in header:
            raise ValueError(
                f"{where}: missing column {column!r} (needed: {', '.join(form.required)})"
            )
    if not body:
        raise ValueError(f"{source}: no rows after the header; a workload needs a layer")
    layers = []
    for number, (line, row) in enumerate(body, start=1):
        where = f"{source}, row {line}"
        if len(row) != len(header):
            missing_or_extra = (
                f"column {header[len(row)]!r} is missing"
                if len(row) < len(header)
                else f"{row[len(header)]!r} has no column"
            )
            raise ValueError(
                f"{where}: {len(row)} values for {len(header)} columns; {missing_or_extra}"
            )
        cells = {"name": f"layer{number}", **dict(zip(header, row, strict=True))}
        layers.append(_layer_from_cells(where, form, cells))
    return layers


def _layer_from_cells(where: str, form: _Form, cells: Mapping[str, str]) -> Layer:
    label = cells["name"]
    if not label:
        raise ValueError(f"{where}, column 'name': must not be empty")
    sizes = {}
    for column, cell in cells.items():
        if column in ("name", "kind"):
            continue
        # int() alone would also take 1_000, +3 and digits of other scripts.
        digits = cell.strip()
        if not (digits.isascii() and digits.isdecimal() and digits.strip("0")):
            raise ValueError(
                f"{where}, column {column!r}: must be a positive integer, got {cell!r}"
            )
        # The length first: Python refuses to read numbers of thousands of digits.
        digits = digits.lstrip("0")
        if len(digits) > len(str(LARGEST)) or int(digits) > LARGEST:
            shown = cell if len(cell) < 30 else f"{cell[:20]}... ({len(digits):,} digits)"
            raise ValueError(f"{where}, column {column!r}: must be at most {LARGEST}, got {shown}")
        sizes[column] = int(digits)
    try:
        if form is _GEMM:
            return Layer.gemm(label, **sizes)
        if form is _OWN:
            return Layer(name=label, kind=cells["kind"], **sizes)
        code = sizes.pop("T")
        if code not in _CONFUCIUX_KINDS:
            raise ValueError(f"layer {label!r}: T must be 1 (CONV) or 2 (DSCONV), got {code}")
        return Layer.from_input(label, _CONFUCIUX_KINDS[code], **sizes)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
