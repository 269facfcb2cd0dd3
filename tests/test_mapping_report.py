"""What is said of a mapping: where its time goes, what fails, its files."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from hwgym.costs.maestro import Cluster, Dataflow, Hardware, SpatialMap, TemporalMap
from hwgym.costs.maestro.waits import time_split
from hwgym.workloads import Layer

GOLDEN = Path(__file__).parent / "golden"
KINDS = {"S": SpatialMap, "T": TemporalMap}


# --- where the time goes --------------------------------------------------------------------------


def test_waits_and_steps_add_up_to_the_runtime_of_the_reference():
    rows = pd.read_parquet(GOLDEN / "mappings.parquet").query("status == 'ok' and stride == 1")
    levels = set()
    for row in rows[::3].itertuples():
        directives = [
            Cluster(given[1]) if kind == "C" else KINDS[kind](*given[1:])
            for given in json.loads(row.mapping)
            for kind in given[:1]
        ]
        depthwise = row.T == 2
        kind = "DSCONV" if depthwise else "CONV"
        layer = Layer("x", kind, row.K, row.C, row.Y - row.R + 1, row.X - row.S + 1, row.R, row.S)
        style = Dataflow("x", directives)
        if depthwise:
            style = Dataflow("x", [SpatialMap(1, 1, "K")], directives)
        hardware = Hardware(
            row.noc_bw, row.noc_hops, row.noc_hop_latency, row.simd_lanes, row.offchip_bw
        )
        found = time_split(layer, style, row.num_pes, hardware)
        assert sum(part.cycles for part in found) == row.runtime_cycles
        levels.add(max(part.level for part in found))
    assert levels == {0, 1, 2}


def test_a_tight_network_is_what_is_waited_for():
    layer = Layer("x", "CONV", 8, 8, 4, 4, 1, 1)
    style = Dataflow(
        "x",
        (
            TemporalMap(1, 1, "K"), SpatialMap(1, 1, "C"), TemporalMap(4, 4, "Y'"),
            TemporalMap(4, 4, "X'"), TemporalMap(1, 1, "R"), TemporalMap(1, 1, "S"),
        ),
    )  # fmt: skip
    wide = {(p.level, p.kind): p.cycles for p in time_split(layer, style, 8)}
    tight = {(p.level, p.kind): p.cycles for p in time_split(layer, style, 8, Hardware(1))}
    assert wide[0, "steps"] == tight[0, "steps"] == 8 * 16
    assert wide[0, "in"] == wide[0, "out"] == 0
    assert tight[0, "first"] == 8 * 16 + 8
    assert tight[0, "out"] == 0  # 16 outputs leave while 16 steps are made
