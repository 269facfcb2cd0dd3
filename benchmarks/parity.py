"""Compare the cost models with reference outputs, value by value.

    python -m benchmarks.parity                     # all samples that the project carries
    python -m benchmarks.parity --golden FOLDER     # MAESTRO: any folder of such parquet files
    python -m benchmarks.parity --timeloop FILE     # Timeloop: points with counts, as JSON
    python -m benchmarks.parity --scalesim FILE     # SCALE-Sim: runs, as CSV
    python -m benchmarks.parity --magma FILE        # MAGMA: schedules, as JSON

Integers must be equal, floats equal to 1e-12 relative (makespans to 1e-9), NaN and infinity where
the reference has them. Exits with 1 if a value differs or a file is not what it should be.
``tests/golden/README.md`` has the formats.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from hwgym._arrays import Array, Ints
from hwgym.costs.loopnest import DIMS, Nests, analyse
from hwgym.costs.maestro import (
    CONFUCIUX_EYERISS,
    EYERISS,
    NVDLA,
    SHIDIANNAO,
    Cluster,
    Dataflow,
    Directive,
    Hardware,
    Shapes,
    SpatialMap,
    TemporalMap,
    evaluate,
)
from hwgym.costs.schedules import fluid
from hwgym.costs.systolic import DATAFLOWS as SYSTOLIC
from hwgym.costs.systolic import scalesim

CARRIED = Path(__file__).parents[1] / "tests" / "golden"
DATAFLOWS = {"dla": NVDLA, "eye": CONFUCIUX_EYERISS, "rs": EYERISS, "shi": SHIDIANNAO}
HARDWARE = {
    "noc_bandwidth": "noc_bw",
    "noc_hops": "noc_hops",
    "noc_hop_latency": "noc_hop_latency",
    "simd_lanes": "simd_lanes",
    "offchip_bandwidth": "offchip_bw",
}
TOLERANCE = 1e-12
MAKESPAN_TOLERANCE = 1e-9
TIMELOOP = CARRIED / "timeloop.json"
SCALESIM = CARRIED / "scalesim.csv"
MAGMA = CARRIED / "magma.json"
TIMELOOP_COUNTS = {
    "W_dram": "weight_dram_read",
    "I_dram": "input_dram_read",
    "O_dram_w": "output_dram_write",
    "O_dram_r": "output_dram_read",
    "W_l2r": "weight_l2_read",
    "I_l2r": "input_l2_read",
    "O_l2w": "output_l2_write",
    "O_l2r": "output_l2_read",
    "W_l1w": "weight_l1_fill",
    "I_l1w": "input_l1_fill",
}
SCALESIM_LAYER = (
    "ifmap_h",
    "ifmap_w",
    "filter_h",
    "filter_w",
    "channels",
    "filters",
    "stride",
    "array_rows",
    "array_cols",
)
SCALESIM_COUNTS = ("total_cycles", "sram_ifmap_reads", "sram_filter_reads", "sram_ofmap_writes")
SHOWN = 10  # differences that are told one by one


def parse_mapping(text: str, *, depthwise: bool) -> Dataflow:
    """A dataflow from the JSON that the ``mapping`` column holds."""
    directives: list[Directive] = []
    for kind, *rest in json.loads(text):
        if kind == "C":
            directives.append(Cluster(*rest))
        else:
            directives.append((SpatialMap if kind == "S" else TemporalMap)(*rest))
    if depthwise:
        return Dataflow("mapping", NVDLA.directives, tuple(directives))
    return Dataflow("mapping", tuple(directives))


def our_values(rows: pd.DataFrame, style: Dataflow) -> dict[str, np.ndarray[Any, Any]]:
    """What the rows cost, under one dataflow, by column."""
    stride = rows["stride"].to_numpy() if "stride" in rows else 1
    k, c, y, x, r, s = (rows[name].to_numpy() for name in "KCYXRS")
    shapes = Shapes(k, c, y, x, r, s, stride, depthwise=rows["T"].to_numpy() == 2)
    hardware = Hardware(
        **{ours: rows[theirs].to_numpy() for ours, theirs in HARDWARE.items() if theirs in rows}
    )
    tiles = rows["tile_k"].to_numpy() if "tile_k" in rows else 1
    clusters = rows["cluster_size"].to_numpy() if "cluster_size" in rows else None
    costs = evaluate(
        shapes, style, rows["num_pes"].to_numpy(), tiles, hardware, cluster_size=clusters
    )
    return costs.as_dict()


def groups(frame: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, Dataflow]]:
    """Rows that share a dataflow."""
    if "mapping" in frame:
        for (text, layer_type), rows in frame.groupby(["mapping", "T"], sort=False):
            yield rows, parse_mapping(str(text), depthwise=layer_type == 2)
    else:
        for name, rows in frame.groupby("dataflow", sort=False):
            yield rows, DATAFLOWS[str(name)]


def compare(frame: pd.DataFrame) -> pd.DataFrame:
    """Hold the rows of a reference file against ours.

    Returns:
        A row a column: ``rows`` compared, how many ``differ`` (floats: beyond the tolerance),
        how many floats are ``inexact`` (equal only within it), the worst ``relative`` difference.
        Where the reference fails, ``mappable`` alone is compared.
    """
    ours = pd.concat([pd.DataFrame(our_values(r, d), index=r.index) for r, d in groups(frame)])
    ours = ours.loc[frame.index]
    answered = (frame["status"] == "ok") if "status" in frame else frame["num_pes"] > 0
    report = [_column("mappable", ours["mappable"], answered)]
    for name in ours.columns.intersection(frame.columns, sort=False):
        report.append(_column(name, ours.loc[answered, name], frame.loc[answered, name]))
    return pd.DataFrame(report).set_index("column")


def _column(name: str, ours: pd.Series[Any], theirs: pd.Series[Any]) -> dict[str, Any]:
    a, b = ours.to_numpy(), theirs.to_numpy()
    if a.dtype.kind in "iub" and b.dtype.kind in "iub":
        differ, inexact, worst = int((a != b).sum()), 0, 0.0
    else:
        a, b = a.astype(np.float64), b.astype(np.float64)
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        with np.errstate(all="ignore"):
            relative = np.abs(a - b) / np.abs(b)
        relative[same] = 0.0
        differ = int((~(relative <= TOLERANCE)).sum())
        inexact, worst = int((~same).sum()) - differ, float(relative.max(initial=0.0))
    kind = "int" if ours.dtype.kind in "iub" else "float"
    return {
        "column": name,
        "kind": kind,
        "rows": len(a),
        "differ": differ,
        "inexact": inexact,
        "relative": worst,
    }


class FormatError(ValueError):
    """A file that is not what it should be."""


def compare_timeloop(path: Path) -> tuple[int, pd.DataFrame]:
    """Hold the points of a Timeloop file against loop nests, inputs counted as boxes.

    Returns:
        How many points, and a row a value: ``point`` (from 0), ``name``, ``ours``, ``theirs``.

    Raises:
        OSError: If the file cannot be read.
        FormatError: If it is not such a file.
    """
    points = _list(path, "points")
    rows, theirs = [], []
    for number, each in enumerate(points):
        where = f"{path}: point {number}"
        rows.append([_vector(where, n, each) for n in range(len(POINT))])
        counts = _entry(where, each, "timeloop")
        found = {name: _entry(f"{where}: timeloop", counts, name) for name in TIMELOOP_COUNTS}
        found |= {name: _entry(where, each, name) for name in ("cycles", "computes")}
        theirs.append({name: _integer(where, name, value) for name, value in found.items()})
    extent, tile, spread, steps, dram, l2, stride, dilation = (
        np.array(column, np.int64) for column in zip(*rows, strict=True)
    )
    try:
        nests = Nests(extent, tile, spread, steps, dram, l2, stride=stride, dilation=dilation)
        traffic = analyse(nests, boxes=True)
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from error
    names = TIMELOOP_COUNTS | {"cycles": "cycles", "computes": "macs"}
    return len(points), _values({n: getattr(traffic, own) for n, own in names.items()}, theirs)


def _list(path: Path, what: str) -> list[Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: not JSON: {error}") from error
    if not isinstance(values, list) or not values:
        raise FormatError(f"{path}: a list of {what} is needed, and at least one")
    return values


POINT = ("extent", "tile", "spread", "steps", "DRAM order", "L2 order", "strides", "dilations")
"""What a Timeloop point consists of: the first six one number a dimension, then two of two."""


def _vector(where: str, number: int, each: object) -> list[int]:
    point = _entry(where, each, "point")
    if not isinstance(point, list) or len(point) != len(POINT):
        raise FormatError(f"{where}: 'point' must be {len(POINT)} lists: {', '.join(POINT)}")
    name, numbers = POINT[number], point[number]
    length = len(DIMS) if number < 6 else 2
    if not isinstance(numbers, list) or len(numbers) != length:
        raise FormatError(f"{where}: {name} must be {length} numbers, got {numbers!r}")
    return [_integer(where, name, value) for value in numbers]


def _entry(where: str, mapping: object, name: str) -> Any:
    if not isinstance(mapping, dict) or name not in mapping:
        raise FormatError(f"{where}: {name!r} is missing")
    return mapping[name]


def _integer(where: str, name: str, value: object) -> int:
    if isinstance(value, str) and re.fullmatch(r" *[0-9]{1,19} *", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise FormatError(f"{where}: {name} must be a whole number, got {value!r}")
    return value


def compare_scalesim(path: Path) -> tuple[int, pd.DataFrame]:
    """Hold the runs of a SCALE-Sim file against the systolic model; as :func:`compare_timeloop`."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            runs = list(csv.DictReader(file))
        except (csv.Error, UnicodeDecodeError) as error:
            raise FormatError(f"{path}: not CSV: {error}") from error
    if not runs:
        raise FormatError(f"{path}: no runs in it")
    styles = {style.short: style for style in SYSTOLIC.values()}
    theirs, ours = [], []
    for number, run in enumerate(runs):
        where = f"{path}: run {number}"
        if None in run or None in run.values():
            raise FormatError(f"{where}: not as many values as there are columns")
        layer = [_integer(where, name, _entry(where, run, name)) for name in SCALESIM_LAYER]
        short = _entry(where, run, "dataflow")
        if short not in styles:
            raise FormatError(f"{where}: dataflow must be one of {', '.join(styles)}: {short!r}")
        counts = {name: _entry(where, run, name) for name in SCALESIM_COUNTS}
        theirs.append({name: _integer(where, name, value) for name, value in counts.items()})
        try:
            sizes = dict(zip(SCALESIM_LAYER, layer, strict=True))
            ours.append(scalesim(**sizes, dataflow=styles[short]))
        except ValueError as error:
            raise FormatError(f"{where}: {error}") from error
    columns = {name: np.array([getattr(each, name) for each in ours]) for name in SCALESIM_COUNTS}
    return len(runs), _values(columns, theirs)


def compare_magma(path: Path) -> tuple[int, pd.DataFrame]:
    """Hold the makespans of a MAGMA file against fluid schedules; as :func:`compare_timeloop`."""
    rows = []
    for number, each in enumerate(_list(path, "schedules")):
        where = f"{path}: schedule {number}"
        given = [_array(where, name, each) for name in SCHEDULE]
        bandwidth, theirs = (_array(where, name, each) for name in ("bandwidth", "makespan"))
        if bandwidth.ndim or theirs.ndim:
            raise FormatError(f"{where}: bandwidth and makespan must be one number each")
        latency, demand, core, priority = given
        try:
            ours = fluid(latency, demand, float(bandwidth), core, priority).makespan
        except ValueError as error:
            raise FormatError(f"{where}: {error}") from error
        if ours.ndim:
            raise FormatError(f"{where}: core must be one number a job")
        rows.append((number, "makespan", float(ours), float(theirs)))
    return len(rows), pd.DataFrame(rows, columns=["point", "name", "ours", "theirs"])


SCHEDULE = ("latency", "demand", "core", "priority")
"""What a schedule consists of, beside the bandwidth: numbers (jobs, cores) and a job each."""


def _array(where: str, name: str, each: object) -> Array:
    value = _entry(where, each, name)
    try:
        array: Array = np.array(value)
    except (ValueError, OverflowError) as error:  # rows of different lengths; too large
        raise FormatError(f"{where}: {name} must be numbers: {error}") from error
    if array.dtype.kind not in "iuf":
        raise FormatError(f"{where}: {name} must be numbers, got {str(value)[:40]}")
    return array


def _values(ours: Mapping[str, Ints], theirs: list[dict[str, int]]) -> pd.DataFrame:
    return pd.DataFrame(
        {"point": number, "name": name, "ours": int(ours[name][number]), "theirs": value}
        for number, each in enumerate(theirs)
        for name, value in each.items()
    )


def report(what: str, points: int, values: pd.DataFrame, tolerance: float = 0.0) -> bool:
    """Print how many values differ, and the first of them; whether none does."""
    apart = (values["ours"] - values["theirs"]).abs()
    differ = values[~(apart <= tolerance * values["theirs"].abs())]
    for _, row in differ.head(SHOWN).iterrows():
        print(f"{what} {row['point']}: {row['name']} is {row['ours']}, {row['theirs']} in the file")
    print(f"{points} points, {len(values)} values, {len(differ)} differ")
    return bool(differ.empty)


def compare_folder(folder: Path) -> bool:
    """Compare every parquet file of a folder with MAESTRO's model; print one table for all."""
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise FormatError(f"no parquet files in {folder}")
    console = Console()
    reports = []
    for path in files:
        frame = pd.read_parquet(path)
        start = time.perf_counter()
        report = compare(frame)
        seconds = time.perf_counter() - start
        reports.append(report)
        console.print(
            f"{path.name}: {len(frame):,} rows in {seconds:.1f} s, "
            f"{int(report['differ'].sum())} values differ"
        )
    total = pd.concat(reports).groupby("column", sort=False)
    table = Table(title="All files")
    for heading in ("column", "kind", "values", "differ", "within 1e-12", "worst relative"):
        table.add_column(heading, justify="left" if heading in ("column", "kind") else "right")
    for name, part in total:
        kind = "float" if (part["kind"] == "float").any() else "int"
        table.add_row(
            str(name),
            kind,
            f"{part['rows'].sum():,}",
            f"{part['differ'].sum():,}",
            f"{part['inexact'].sum():,}" if kind == "float" else "",
            f"{part['relative'].max():.1e}" if kind == "float" else "",
        )
    console.print(table)
    differ = sum(int(r["differ"].sum()) for r in reports)
    values = sum(int(r["rows"].sum()) for r in reports)
    console.print(f"{values:,} values compared, {differ:,} differ")
    return not differ


def main(arguments: list[str] | None = None) -> int:
    """Compare what the arguments name; 1 where something differs or cannot be compared."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--golden", type=Path, metavar="FOLDER", help="MAESTRO's parquet files")
    which.add_argument("--timeloop", type=Path, metavar="FILE", help="Timeloop's points, JSON")
    which.add_argument("--scalesim", type=Path, metavar="FILE", help="SCALE-Sim's runs, CSV")
    which.add_argument("--magma", type=Path, metavar="FILE", help="MAGMA's schedules, JSON")
    given = parser.parse_args(arguments)
    everything = not (given.golden or given.timeloop or given.scalesim or given.magma)
    equal = True
    try:
        if everything or given.golden:
            equal &= compare_folder(given.golden or CARRIED)
        if everything or given.timeloop:
            equal &= report("point", *compare_timeloop(given.timeloop or TIMELOOP))
        if everything or given.scalesim:
            equal &= report("run", *compare_scalesim(given.scalesim or SCALESIM))
        if everything or given.magma:
            makespans = compare_magma(given.magma or MAGMA)
            equal &= report("schedule", *makespans, MAKESPAN_TOLERANCE)
    except (OSError, FormatError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
