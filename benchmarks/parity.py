"""Compare the cost model with reference outputs, column by column.

    python -m benchmarks.parity                     # the samples that the project carries
    python -m benchmarks.parity --golden FOLDER     # any folder of such files

Integers must be equal, floats equal to 1e-12 relative, NaN and infinity where the reference has
them. Exits with 1 if a column differs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

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


def main() -> int:
    """Compare every file of a folder; print one table for all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--golden", type=Path, default=CARRIED, help="folder of parquet files")
    folder = parser.parse_args().golden
    files = sorted(folder.glob("*.parquet"))
    if not files:
        parser.error(f"no parquet files in {folder}")
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
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
