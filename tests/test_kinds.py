"""Kinds of sub-accelerators: as MAESTRO prints them, valid for every layer, what they differ in."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hwgym import Hardware, Layer, models, workload
from hwgym.costs.maestro import DEPTHWISE, KINDS, Cluster, Shapes, dataflow, evaluate

GOLDEN = Path(__file__).parent / "golden"

PARTS = sorted({unit * eighths for unit in (128, 512, 2048) for eighths in range(1, 9)})
"""PEs that a sub-accelerator may get: eighths of 1,024, 4,096 and 16,384."""


def cycles(kind, layers, pes=1024):
    """Of all repeats, on that kind alone."""
    layers = list(layers)
    repeat = np.array([layer.repeat for layer in layers])
    return evaluate(Shapes.of(layers), KINDS[kind], pes, 1).runtime_cycles * repeat


# With interconnects that do not bind, and with the shares of them that sub-accelerators get.
@pytest.mark.parametrize(("file", "count"), [("kinds", 46), ("kinds_noc", 20)])
@pytest.mark.parametrize("kind", KINDS)
def test_costs_are_what_the_reference_prints(kind, file, count):
    rows = pd.read_csv(GOLDEN / f"{file}.csv")
    rows = rows[rows["kind"] == kind]
    assert len(rows) == count
    layers = Shapes(*(rows[size] for size in "KCYXRS"), depthwise=rows["T"] == 2)
    through = Hardware(noc_bandwidth=rows["noc_bw"]) if "noc_bw" in rows else None
    costs = evaluate(layers, KINDS[kind], rows["num_pes"], 1, through)
    names = rows.columns[rows.columns.get_loc("runtime_cycles") :]
    assert len(names) == 18
    for name in names:
        ours, theirs = getattr(costs, name), rows[name].to_numpy()
        if ours.dtype.kind == "i":
            np.testing.assert_array_equal(ours, theirs, err_msg=name)
        else:
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_of_the_zoo_is_valid_on_every_part(kind):
    layers = {layer.shape: layer for name in models() for layer in workload(name)}
    costs = evaluate(Shapes.of(layers.values()).reshape(-1, 1), KINDS[kind], PARTS, 1)
    assert costs.valid.all()


@pytest.mark.parametrize(("kind", "cluster"), [("nv", 64), ("ykp", 16), ("yxp", 16)])
def test_no_size_is_open(kind, cluster):
    flow = KINDS[kind]
    assert flow.name == kind
    assert flow.depthwise != DEPTHWISE
    for depthwise in (False, True):
        assert flow.cluster_sizes(depthwise=depthwise) == (cluster,)
    open_sizes = {"tile_k", "cluster_size", "num_pes"}
    for each in (*flow.directives, *flow.depthwise):
        sizes = {each.size} if isinstance(each, Cluster) else {each.size, each.offset}
        assert not sizes & open_sizes
    layer = Layer("a", "CONV", 48, 40, 20, 20, 3, 3)
    tiles = evaluate(layer, flow, 256, [1, 7], cluster_size=[3, 5]).runtime_cycles
    assert tiles[0] == tiles[1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_without_room_for_a_cluster_runs_nothing(kind):
    (cluster,) = KINDS[kind].cluster_sizes()
    layer = Layer("a", "CONV", 8, 8, 8, 8, 3, 3)
    costs = evaluate(layer, KINDS[kind], [cluster - 1, cluster, 2 * cluster - 1], 1)
    assert costs.mappable.tolist() == [False, True, True]
    assert costs.runtime_cycles[1] == costs.runtime_cycles[2]


def test_what_is_parallel():
    # Busy PEs of 256: four clusters of 64, or sixteen of 16.
    def busy(kind, layer):
        return evaluate(layer, KINDS[kind], 256, 1).avg_utilized_pes.item()

    channels = Layer("c", "CONV", 4, 64, 1, 1, 1, 1)
    rows_filters = Layer("yk", "CONV", 16, 1, 16, 1, 1, 1)
    image = Layer("yx", "CONV", 1, 1, 16, 16, 1, 1)
    assert [busy(kind, channels) for kind in KINDS] == [256, 4, 1]
    assert [busy(kind, rows_filters) for kind in KINDS] == [4, 256, 16]
    assert [busy(kind, image) for kind in KINDS] == [1, 16, 256]
    # Depthwise channels take the filters' place.
    depthwise = Layer("d", "DSCONV", 1, 16, 16, 16, 3, 3)
    assert [busy(kind, depthwise) for kind in KINDS] == [4, 256, 256]


# The best kind for all of a network's layers, and what running each on its best kind saves.
@pytest.mark.parametrize(
    ("name", "ratio", "best"),
    [
        ("MobileNetV2", 4.76, (25, 16, 11)),
        ("ShuffleNetV2", 3.23, (34, 14, 8)),
        ("DenseNet121", 1.75, (117, 0, 3)),
        ("ResNet50", 1.54, (47, 0, 6)),
        ("BERT", 1.00, (97, 0, 0)),
    ],
)
def test_networks_of_small_layers_want_several_kinds(name, ratio, best):
    table = np.stack([cycles(kind, workload(name)) for kind in KINDS])
    assert table.sum(1).min() / table.min(0).sum() == pytest.approx(ratio, abs=0.005)
    assert tuple(np.bincount(table.argmin(0), minlength=3)) == best


def test_names_of_kinds_are_no_dataflows_of_assignments():
    with pytest.raises(ValueError, match="unknown dataflow 'nv'"):
        dataflow("nv")
    assert dataflow(KINDS["nv"]) is KINDS["nv"]
    assert dataflow(KINDS["yxp"].to_dict()) == KINDS["yxp"]
