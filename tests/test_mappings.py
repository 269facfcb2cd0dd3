"""Mappings, a row each: the numbers of one dataflow after the other, and what they are worth."""

import itertools
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from benchmarks.parity import CARRIED, HARDWARE, parse_mapping
from hwgym import Layer
from hwgym.costs.maestro import (
    Costs,
    Dataflow,
    Hardware,
    Mappings,
    Shapes,
    SpatialMap,
    dataflow,
    evaluate,
    evaluate_each,
    evaluate_mappings,
    extents,
    mapping_totals,
    outer_costs,
    read_dataflow,
)
from hwgym.costs.maestro import mapped as mapped_module

CONV = Layer("conv", "CONV", K=12, C=6, OY=10, OX=14, R=3, S=3)
GEMM = Layer("gemm", "GEMM", K=24, C=18, OY=20, OX=1, R=1, S=1)
DEPTHWISE = Layer("depthwise", "DSCONV", K=1, C=16, OY=12, OX=9, R=3, S=5)
STEM = Layer("stem", "CONV", K=64, C=3, OY=112, OX=112, R=7, S=7)
LAYERS = (CONV, GEMM, DEPTHWISE, STEM)
EDGE, ODD = Hardware(noc_bandwidth=81_920_000), Hardware(3, 2, 3, 2, 5)
ARRAYS = ((EDGE, 168), (ODD, 37))


def draw(rng, layer, num_pes, count, *, divisors):
    """Random mappings, with whatever cluster and order."""
    tiles = np.empty((count, 2, 4), np.int64)
    for d, extent in enumerate(extents(layer)):
        for i in range(count):
            whole, sizes = extent, []
            for _ in range(2):
                choices = [n for n in range(1, whole + 1) if not divisors or whole % n == 0]
                whole = int(rng.choice(choices))
                sizes.append(whole)
            tiles[i, :, d] = sizes
    lowest = int(layer.kind == "DSCONV")
    orders = np.array([[rng.permutation(4) for _ in range(2)] for _ in range(count)])
    return Mappings(
        rng.integers(1, num_pes + 1, count), rng.integers(lowest, 4, (count, 2)), tiles, orders
    )


def same(a, b):
    return bool(np.all((a == b) | ((a != a) & (b != b))))


def assert_rows_equal(costs, alone, row):
    for f in fields(Costs):
        if f.name != "valid":
            assert same(getattr(alone, f.name), getattr(costs, f.name)[row]), (row, f.name)


@pytest.mark.parametrize("divisors", [True, False])
@pytest.mark.parametrize(("hardware", "num_pes"), ARRAYS)
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_equals_one_dataflow_after_the_other(layer, hardware, num_pes, divisors):
    mappings = draw(np.random.default_rng(0), layer, num_pes, 25, divisors=divisors)
    costs = evaluate_mappings(layer, mappings, num_pes, hardware)
    for row in range(len(mappings)):
        alone = evaluate(layer, mappings.dataflow(row, layer), num_pes, 1, hardware)
        assert_rows_equal(costs, alone, row)


def test_equals_the_reference_on_its_mappings():
    """The held mappings of one to three levels, each under its own hardware, in one call."""
    frame = pd.read_parquet(CARRIED / "mappings.parquet")
    depthwise = (frame["T"] == 2).to_numpy()
    dataflows = [
        parse_mapping(text, depthwise=bool(d))
        for text, d in zip(frame["mapping"], depthwise, strict=True)
    ]
    shapes = Shapes(*(frame[d].to_numpy() for d in "KCYXRS"), frame["stride"].to_numpy(), depthwise)
    hardware = Hardware(**{ours: frame[theirs].to_numpy() for ours, theirs in HARDWARE.items()})
    costs = evaluate_each(shapes, dataflows, frame["num_pes"].to_numpy(), hardware)
    answered = (frame["status"] == "ok").to_numpy()
    assert (costs.mappable == answered).all()
    compared = 0
    for f in fields(Costs):
        if f.name in frame:
            ours, theirs = getattr(costs, f.name)[answered], frame.loc[answered, f.name].to_numpy()
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=0, err_msg=f.name)
            compared += 1
    assert compared > 45


def test_most_of_the_reference_s_plain_mappings_take_the_fast_way(monkeypatch):
    frame = pd.read_parquet(CARRIED / "mappings.parquet").head(200)
    dataflows = [parse_mapping(t, depthwise=d == 2) for t, d in zip(frame.mapping, frame["T"])]  # noqa: B905
    asked = []
    monkeypatch.setattr(
        mapped_module, "evaluate", lambda *a: asked.append(1) or evaluate(*a), raising=True
    )
    shapes = Shapes(
        *(frame[d].to_numpy() for d in "KCYXRS"), frame["stride"].to_numpy(), frame["T"] == 2
    )
    evaluate_each(shapes, dataflows, frame["num_pes"].to_numpy())
    one_spread = sum(
        all(sum(isinstance(m, SpatialMap) for m in level) == 1 for level in levels)
        for levels in (
            d.levels(depthwise=t == 2) for d, t in zip(dataflows, frame["T"], strict=True)
        )
    )
    assert len(frame) - len(asked) > one_spread / 3


@pytest.mark.parametrize("fixed", [False, True])
def test_totals_and_outer_costs_are_those_of_all_statistics(fixed):
    rng = np.random.default_rng(1)
    for layer, divisors in itertools.product(LAYERS, (True, False)):
        mappings = draw(rng, layer, 37, 200, divisors=divisors)
        costs = evaluate_mappings(layer, mappings, 37, ODD, fixed=fixed)
        totals = mapping_totals(layer, mappings, 37, ODD, fixed=fixed)
        for f in fields(totals):
            assert same(getattr(totals, f.name), getattr(costs, f.name)), f.name
        assert (totals.valid == costs.valid).all()
        outer = outer_costs(
            layer, mappings.spread(37), mappings.parallel[:, 0], mappings.tiles[:, 0],
            mappings.orders[:, 0], ODD, fixed=fixed,
        )  # fmt: skip
        for name in ("energy_nj", "l2_bytes", "input_l2_read", "weight_l2_read", "moves_all"):
            assert same(getattr(outer, name), getattr(costs, name)), name
        assert (outer.ingress_cycles <= costs.runtime_cycles).all()
        first = costs.egress_delay_max  # of the first iteration, which overlaps with nothing
        assert (outer.egress_cycles <= costs.runtime_cycles + first).all()


def test_layers_arrays_and_hardware_may_differ_from_row_to_row():
    rng = np.random.default_rng(2)
    layers = [LAYERS[i % 3] for i in range(12)]
    mappings = Mappings.join([draw(rng, layer, 9, 1, divisors=True) for layer in layers])
    pes, bandwidth = rng.integers(9, 200, 12), rng.integers(1, 9, 12)
    costs = evaluate_mappings(layers, mappings, pes, Hardware(bandwidth))
    for row, layer in enumerate(layers):
        alone = evaluate_mappings(
            layer, mappings.take(slice(row, row + 1)), pes[row], Hardware(bandwidth[row])
        )
        for f in fields(costs):
            assert same(getattr(costs, f.name)[row], getattr(alone, f.name)[0])


# --- what a machine could do ----------------------------------------------------------------------


def walked(layer, mapping, num_pes):
    """Multiply-accumulates of every PE and steps of the busiest one, loop by loop: what a machine
    does that runs the mapping, iteration after iteration, each as long as its busiest PE."""
    [cluster], [parallel], [tiles] = mapping.cluster, mapping.parallel, mapping.tiles
    units = (num_pes // cluster, cluster)

    def turns(extent, tile, count):
        """For each iteration the shares of the units at work."""
        shares = [min(tile, extent - at) for at in range(0, extent, tile)]
        return [shares[i : i + count] for i in range(0, len(shares), count)]

    macs = steps = layer.shape[4] * layer.shape[5]
    for d, extent in enumerate(extents(layer)):
        done = busiest = 0
        for outer in turns(extent, tiles[0, d], units[0] if parallel[0] == d else 1):
            longest = 0
            for share in outer:
                inner = turns(share, tiles[1, d], units[1] if parallel[1] == d else 1)
                done += sum(map(sum, inner))
                longest = max(longest, sum(map(max, inner)))
            busiest += longest
        macs, steps = macs * done, steps * busiest
    return macs, steps


@pytest.mark.parametrize("layer", LAYERS[:3], ids=lambda layer: layer.name)
def test_own_steps_are_those_of_a_machine_that_walks_the_loops(layer):
    mappings = draw(np.random.default_rng(3), layer, 24, 150, divisors=False)
    costs = evaluate_mappings(layer, mappings, 24)
    for row in range(len(mappings)):
        macs, steps = walked(layer, mappings.take(slice(row, row + 1)), 24)
        assert (costs.true_macs[row], costs.own_steps[row]) == (macs, steps)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
@pytest.mark.parametrize("divisors", [True, False])
def test_fixed_does_all_work_once_and_honestly(layer, divisors):
    for hardware, num_pes in (*ARRAYS, (Hardware(4), 6)):
        mappings = draw(np.random.default_rng(4), layer, num_pes, 500, divisors=divisors)
        released = evaluate_mappings(layer, mappings, num_pes, hardware)
        fixed = evaluate_mappings(layer, mappings, num_pes, hardware, fixed=True)
        assert (fixed.num_macs == fixed.true_macs).all()
        assert fixed.honest.all()
        assert fixed.moves_all.all()
        assert fixed.valid.all()
        if divisors:
            assert released.honest.all()
            assert released.complete.all()
        else:
            assert not released.valid.all()


def one(cluster, parallel, outer, inner, orders=((0, 1, 2, 3), (0, 1, 2, 3))):
    return Mappings(
        np.array([cluster]), np.array([parallel]), np.array([[outer, inner]]), np.array([orders])
    )


def test_a_clipped_cluster_works_faster_than_its_own_steps():
    """Defect A: of 12 rows in tiles of 7 the second tile has 5, less than the PE's tile of 6, whose
    edge is sized on 7."""
    layer = Layer("a", "CONV", K=4, C=1, OY=12, OX=1, R=1, S=1)
    mapping = one(1, (0, 0), (1, 1, 7, 1), (1, 1, 6, 1))
    costs = evaluate_mappings(layer, mapping, 6)
    fixed = evaluate_mappings(layer, mapping, 6, fixed=True)
    assert (costs.own_steps[0], costs.runtime_cycles[0]) == (12, 11)
    assert not costs.honest[0]
    assert not costs.valid[0]
    assert fixed.valid[0]
    assert fixed.runtime_cycles[0] >= 12


def test_units_that_fit_exactly_bring_too_little():
    """Defect B: two of 4 clusters hold the two halves of the channels. For the second half of the
    filters only the first of them reads its weights."""
    layer = Layer("b", "GEMM", K=4, C=4, OY=4, OX=1, R=1, S=1)
    mapping = one(1, (1, 0), (2, 2, 4, 1), (1, 1, 1, 1))
    costs = evaluate_mappings(layer, mapping, 4)
    fixed = evaluate_mappings(layer, mapping, 4, fixed=True)
    assert (costs.weight_l2_read[0], fixed.weight_l2_read[0]) == (12, 16)
    assert not costs.moves_all[0]
    assert not costs.valid[0]
    assert fixed.valid[0]
    full = evaluate_mappings(layer, mapping, 2)  # as many clusters as halves
    assert full.moves_all[0]
    assert full.weight_l2_read[0] == 16


def test_a_unit_alone_at_the_edge_counts_inputs_for_outputs():
    """Defect C: of 5 rows of output the third turn has one, counted as the 3 rows of its input."""
    layer = Layer("c", "CONV", K=1, C=1, OY=5, OX=1, R=3, S=1)
    mapping = one(1, (2, 0), (1, 1, 1, 1), (1, 1, 1, 1))
    assert evaluate_mappings(layer, mapping, 2).num_macs[0] > layer.macs
    assert evaluate_mappings(layer, mapping, 2, fixed=True).num_macs[0] == layer.macs


# --- data -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_a_mapping_is_read_back_from_its_dataflow_and_its_file(tmp_path, layer):
    mappings = draw(np.random.default_rng(5), layer, 24, 5, divisors=False)
    for row in range(len(mappings)):
        again = Mappings.of(mappings.dataflow(row, layer), layer)
        assert same(again.tiles, mappings.tiles[[row]])
        assert same(again.parallel, mappings.parallel[[row]])
        assert same(again.cluster, mappings.cluster[[row]])
        kept = mappings.orders[row] > 0 if layer.kind == "DSCONV" else mappings.orders[row] >= 0
        for level in range(2):
            left = again.orders[0, level]
            left = left[left > 0] if layer.kind == "DSCONV" else left
            assert left.tolist() == mappings.orders[row, level][kept[level]].tolist()
    path = tmp_path / "mapping.m"
    path.write_text(mappings.text(0, layer))
    text = path.read_text()
    assert f"Type: {'DSCONV' if layer.kind == 'DSCONV' else 'CONV'}" in text
    if layer.kind != "DSCONV":
        assert read_dataflow(path).directives == mappings.dataflow(0, layer).directives


def test_a_cluster_larger_than_the_array_is_not_mappable():
    costs = evaluate_mappings(GEMM, one(9, (0, 1), (1, 1, 1, 1), (1, 1, 1, 1)), 8)
    assert not costs.mappable[0]
    assert not costs.valid[0]
    assert costs.runtime_cycles[0] == 0


def test_none_is_none():
    none = one(1, (0, 1), (1, 1, 1, 1), (1, 1, 1, 1)).take(slice(0, 0))
    assert len(none) == 0
    with pytest.raises(ValueError, match="the query is empty"):
        evaluate_mappings(GEMM, none, 8)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"cluster": [0]}, "cluster must be at least 1"),
        ({"parallel": [[0, 4]]}, r"parallel must be indices of KCYX, 0\.\.3"),
        ({"tiles": [[[1, 1, 1, 0]] * 2]}, "tiles must be at least 1"),
        ({"orders": [[[0, 1, 2, 2]] * 2]}, r"permutations of 0\.\.3"),
        ({"tiles": [[[1, 1, 1, 1]]]}, r"tiles of 1 mappings must be \(1, 2, 4\), got \(1, 1, 4\)"),
    ],
)
def test_wrong_mappings_are_told(what, message):
    given = {"cluster": [1], "parallel": [[0, 1]], "tiles": [[[1] * 4] * 2],
             "orders": [[[0, 1, 2, 3]] * 2]}  # fmt: skip
    with pytest.raises(ValueError, match=message):
        Mappings(**{name: np.array(v) for name, v in (given | what).items()})


def test_wrong_questions_are_told():
    mapping = one(1, (0, 1), (1, 1, 1, 1), (1, 1, 1, 1))
    with pytest.raises(ValueError, match="1 mappings need one value or 1, got shape"):
        evaluate_mappings(GEMM, mapping, [1, 2])
    with pytest.raises(ValueError, match=r"no filters \(K\) to spread"):
        evaluate_mappings(DEPTHWISE, mapping, 4)
    with pytest.raises(ValueError, match="no filters"):
        mapping.dataflow(0, DEPTHWISE)
    with pytest.raises(ValueError, match="at stride 1"):
        evaluate_mappings(Shapes(4, 4, 8, 8, 1, 1, stride=2), mapping, 4)
    huge = Layer("huge", "GEMM", K=2**20, C=2**20, OY=2**20, OX=1, R=1, S=1)
    with pytest.raises(ValueError, match="too large to be costed exactly"):
        evaluate_mappings(huge, mapping, 4)
    with pytest.raises(ValueError, match="a mapping has two levels, found 1"):
        Mappings.of(Dataflow("flat", (SpatialMap(1, 1, "K"),)), GEMM)
    with pytest.raises(ValueError, match="leaves a size open"):
        Mappings.of(dataflow("NVDLA-CxK:2"), GEMM)
