"""What other cost models say of the same mappings, against ours: measured once, kept as data."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import hwgym
from hwgym import Shapes
from hwgym.costs.loopnest import Nests, analyse
from hwgym.costs.maestro import NVDLA, Cluster, Dataflow, SpatialMap, TemporalMap
from hwgym.costs.systolic import DATAFLOWS, scalesim

ROOT = Path(__file__).parents[1]
MODELS = json.loads((ROOT / "notebooks" / "6_cost_models.json").read_text(encoding="utf-8"))
NAMES = list(MODELS["mappings"])
FIELDS = ("extent", "tile", "spread", "steps", "dram_order", "l2_order")


def nests():
    given = MODELS["mappings"].values()
    rows = {name: np.array([m[name] for m in given]) for name in (*FIELDS, "stride", "dilation")}
    return Nests(**rows)


@pytest.mark.parametrize(
    ("model", "options"), [("timeloop", {"boxes": True}), ("zigzag", {"halo": False})]
)
def test_the_same_layers_have_the_same_counts(model, options):
    ours = analyse(nests(), **options)
    for count in ("macs", *MODELS["counts"]):
        theirs = [MODELS[model][name][count] for name in NAMES]
        assert getattr(ours, count).tolist() == theirs, count


def test_cycles_of_timeloop_and_zigzag():
    ours = analyse(nests()).cycles
    assert ours.tolist() == [MODELS["timeloop"][name]["cycles"] for name in NAMES]
    # ZigZag's latency has the first load and the last store, a cycle a level each.
    assert (ours + 4).tolist() == [MODELS["zigzag"][name]["cycles"] for name in NAMES]


def test_without_halos_every_count_is_zigzags():
    points = [
        entry["point"] for entry in json.loads((ROOT / "tests/golden/timeloop.json").read_text())
    ]
    theirs = json.loads((ROOT / "tests/golden/zigzag.json").read_text())
    columns = [np.array(column) for column in zip(*points, strict=True)]
    ours = analyse(Nests(*columns[:6], stride=columns[6], dilation=columns[7]), halo=False)
    rows = np.array(theirs["rows"])
    assert rows.shape == (150, 12)
    for i, name in enumerate(theirs["columns"]):
        np.testing.assert_array_equal(getattr(ours, name), rows[:, i], err_msg=name)


def test_systolic_arrays_have_scale_sims_cycles_and_accesses():
    styles = {style.short: style for style in DATAFLOWS.values()}
    for run in MODELS["scalesim"].values():
        ours = scalesim(*run["run"], styles[run["dataflow"]])
        assert ours.total_cycles == run["cycles"]
        for name in ("sram_ifmap_reads", "sram_filter_reads", "sram_ofmap_writes"):
            assert getattr(ours, name) == run[name], name


def directive(text):
    kind, sizes, dim = re.fullmatch(r"(\w+)\(([^)]*)\) ?(.*)", text).groups()
    if kind == "Cluster":
        return Cluster(int(sizes.split(",")[0]))
    size, offset = map(int, sizes.split(","))
    return {"SpatialMap": SpatialMap, "TemporalMap": TemporalMap}[kind](size, offset, dim)


@pytest.mark.parametrize("name", NAMES)
def test_maestros_numbers_are_those_of_its_mapping(name):
    theirs, mapping = MODELS["maestro"][name], MODELS["mappings"][name]
    _, groups, k, c, p, q, r, s = mapping["extent"]
    if p == 1:  # a matrix product has its rows as output rows there
        p, q = q, p
    stride = mapping["stride"][0]
    depthwise = groups > 1
    shape = Shapes(
        1 if depthwise else k, groups if depthwise else c,
        (p - 1) * stride + r, (q - 1) * stride + s, r, s, stride=stride, depthwise=depthwise,
    )  # fmt: skip
    directives = tuple(map(directive, theirs["mapping"]))
    which = {"depthwise": directives} if depthwise else {}
    style = Dataflow("given", NVDLA.directives if depthwise else directives, **which)
    ours = hwgym.evaluate(shape, style, int(np.prod(mapping["spread"])), 1)
    assert ours.runtime_cycles == theirs["cycles"]
    assert ours.num_macs == theirs["macs"]
    for count in ("weight_l2_read", "input_l2_read", "output_l2_write", "output_l2_read"):
        assert getattr(ours, count) == theirs[count], count


def test_the_page_has_the_numbers():
    page = (ROOT / "docs" / "explain" / "models.md").read_text(encoding="utf-8")
    ours = analyse(nests())
    shared = ("weight_l2_read", "input_l2_read", "output_l2_write", "output_l2_read")
    named = [name for name in NAMES if f"| {name} | `loopnest`" in page]
    assert len(named) == 4
    for i, name in enumerate(NAMES):
        cycles = [
            ours.cycles[i],
            *(MODELS[model][name]["cycles"] for model in ("timeloop", "zigzag", "maestro")),
        ]
        pes = int(np.prod(MODELS["mappings"][name]["spread"]))
        assert f"| {name} | {pes} | " + " | ".join(f"{c:,}" for c in cycles) + " |" in page
        for model in ("timeloop", "zigzag", "maestro") if name in named else ():
            counts = " | ".join(f"{MODELS[model][name][count]:,}" for count in shared)
            assert f"| {counts} |" in page, (name, model)
    told = 0
    for key, run in MODELS["scalesim"].items():
        layer, rows, columns, style = key.split()
        told += f"| {layer}, {rows} \u00d7 {columns}, {style} | {run['cycles']:,} | " in page
    assert told == 5
