"""The cost model: exact against the reference, right where that overflows, clear on errors."""

import dataclasses
import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from benchmarks.parity import CARRIED, compare
from hwgym import Layer, workload
from hwgym.costs.maestro import (
    CLUSTER_SIZES,
    CLUSTERED,
    DEPTHWISE,
    EYERISS,
    MAESTRO_2019,
    NVDLA,
    Cluster,
    Dataflow,
    Hardware,
    Shapes,
    SpatialMap,
    Technology,
    TemporalMap,
    dataflow,
    evaluate,
    evaluate_chunks,
    technology,
)
from hwgym.costs.maestro import analysis as analysis_module
from hwgym.costs.maestro import model as model_module
from hwgym.costs.maestro.arithmetic import ceil_quotient, distinct, quotient
from hwgym.costs.maestro.levels import Interconnect
from hwgym.costs.maestro.limits import LIMIT, greatest_count

# Printed by the reference with more digits than a float holds, then read back.
PRINTED_EXTENDED = {"throughput_per_energy", "input_reuse", "weight_reuse", "output_reuse"}
PES = np.array([1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128])
SMALL = Shapes(16, 8, 18, 18, 3, 3)


@pytest.mark.parametrize("path", sorted(CARRIED.glob("*.parquet")), ids=lambda p: p.stem)
def test_equals_the_reference(path):
    report = compare(pd.read_parquet(path))
    assert len(report) == 51
    assert (report.rows > 900).all()
    assert report.differ.sum() == 0, report[report.differ > 0]
    assert set(report.index[report.inexact > 0]) <= PRINTED_EXTENDED


def test_the_comparison_can_fail():
    frame = pd.read_parquet(CARRIED / "grid_dla.parquet").head(50)
    frame.loc[frame.index[3], "runtime_cycles"] += 1
    frame.loc[frame.index[4], "energy_nj"] *= 1 + 1e-11
    report = compare(frame)
    assert report.differ[report.differ > 0].to_dict() == {"runtime_cycles": 1, "energy_nj": 1}


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="no 80-bit floats here")
def test_sums_round_as_in_the_reference():
    """A row of its output; added up in plain floats it would be 6.799999999999999."""
    hardware = Hardware(4, noc_hops=1, noc_hop_latency=2, simd_lanes=2, offchip_bandwidth=4)
    shapes = Shapes(96, 24, 28, 28, 1, 1, stride=2)
    costs = evaluate(shapes, "ShiDianNao", 12, 52, hardware, cluster_size=6)
    assert (costs.runtime_cycles, costs.avg_utilized_pes) == (358007, 6.8)


@pytest.mark.parametrize("divisor", [1, 2, 3, 7, 8])
def test_division_truncates_as_in_c(divisor):
    given = np.arange(-30, 31)
    exact = [Fraction(int(n), divisor) for n in given]
    truncated = [math.trunc(e) for e in exact]
    assert quotient(given, divisor).tolist() == truncated
    assert quotient(given[31:], divisor).tolist() == truncated[31:]
    sent = [t + (e.denominator > 1) for t, e in zip(truncated, exact, strict=True)]
    assert ceil_quotient(given, divisor).tolist() == sent
    # Degenerate mappings send negative amounts; the interconnect counts those the same way.
    one = np.array(1)
    noc = Interconnect(np.array(divisor), np.array(5), one, one)
    assert noc.delay(given).tolist() == [4 + flits for flits in sent]
    each = Interconnect(np.full(61, divisor), np.full(61, 5), one, one)
    assert each.delay(given).tolist() == noc.delay(given).tolist()
    few = np.array([0, 1, divisor])
    assert noc.delay(few).tolist() == [4, 5, 5]


def test_a_point_costs_the_same_whatever_is_asked_beside_it():
    layers = Shapes.of(workload("MobileNetV2").unique()[0]).reshape(-1, 1)
    pes = np.array([1, 7, 64, 4096, 4097, 9000])
    together = evaluate(layers, NVDLA, pes, 3).as_dict()
    for layer in (0, 3, 11):
        for place, count in enumerate(pes):
            one = Shapes(*(np.ravel(getattr(layers, f))[layer] for f in Shapes.__match_args__))
            alone = evaluate(one, NVDLA, count, 3).as_dict()
            for name, values in together.items():
                np.testing.assert_array_equal(values[layer, place], alone[name], err_msg=name)


def test_what_the_reference_gives_up_on_is_told_apart_from_its_neighbours():
    """Its analysis divides by zero for some of these, while others go through the same states."""
    rng = np.random.default_rng(3)
    filters = rng.integers(1, 6, (2, 60))
    rows, columns = rng.integers(0, 24, (2, 60)) + filters
    pes, stride = rng.integers(1, 9, 60) * 12, rng.integers(1, 4, 60)
    layers = (rows, columns, *filters, stride)
    together = evaluate(Shapes(15, 27, *layers), "ShiDianNao", pes, 4).mappable
    assert 0 < together.sum() < 60
    alone = [
        bool(evaluate(Shapes(15, 27, *layer), "ShiDianNao", count, 4).mappable)
        for *layer, count in zip(*layers, pes, strict=True)
    ]
    assert together.tolist() == alone


@pytest.mark.parametrize("name", ["NVDLA", "Eyeriss", "ShiDianNao"])
def test_layers_that_overflow_the_reference(name):
    """A 512 x 4096 x 4096 product: runtime and MACs grow linearly with its rows, all the way."""
    rows = np.array([1, 2, 3, 64, 512])
    costs = evaluate(Shapes(4096, 4096, rows, 1, 1, 1), name, 1, 1)
    assert costs.num_macs.tolist() == (rows * 4096 * 4096).tolist()
    assert costs.num_macs[-1] > 2**32
    per_row = costs.runtime_cycles[2] - costs.runtime_cycles[1]
    expected = costs.runtime_cycles[1] + per_row * (rows - 2)
    assert costs.runtime_cycles[1:].tolist() == expected[1:].tolist()
    assert costs.valid.all()


DELAYS = ("ingress_delay", "egress_delay", "compute_delay")


def counts(costs):
    """Every count but delays, which may be the least integer there is."""
    named = costs.as_dict().items()
    return {n: v for n, v in named if v.dtype == np.int64 and not n.startswith(DELAYS)}


def largest_accepted(cost_of):
    """The greatest multiple of which there is a cost."""
    low, high = 1, 2**31
    while high - low > 1:
        middle = (low + high) // 2
        try:
            cost_of(middle)
            low = middle
        except ValueError:
            high = middle
    return low


@pytest.mark.parametrize("flow", ["NVDLA", "Eyeriss", "ShiDianNao", "NVDLA-CxK:4", "depthwise"])
@pytest.mark.parametrize("size", [1, 3])
def test_up_to_the_limit_every_count_is_exact(flow, size):
    """Counts are linear in the multiples of an evenly divided dimension: extrapolated in Python's
    integers from the first few, they are what the largest layer has that is accepted."""

    def cost_of(many):
        if flow == "depthwise":
            image = 2**14 + size - 1
            return evaluate(
                Shapes(1, 64 * many, image, image, size, size, depthwise=True), "NVDLA", 16, 4
            )
        image = 2**11 + size - 1
        return evaluate(Shapes(16 * many, 256, image, image, size, size), flow, 16, 4)

    most = largest_accepted(cost_of)
    found, second, third = (counts(cost_of(many)) for many in (most, 10, 11))
    for name, value in found.items():
        step = int(third[name]) - int(second[name])
        assert int(value) == int(second[name]) + step * (most - 10), name
    assert 2**54 < max(int(value) for value in found.values()) < LIMIT


def test_beyond_exact_floats_energy_still_has_all_its_digits():
    layer = Layer.gemm("large", M=2**17, N=2**17, K=2**20)
    costs = evaluate(layer, "NVDLA", 64, 8, Hardware(technology="maestro-2019"))
    assert int(costs.num_macs) == layer.macs > 2**53
    accesses = {
        level: sum(
            int(getattr(costs, f"{t}_{level}_{way}"))
            for t in ("input", "weight", "output")
            for way in ("read", "write")
        )
        for level in ("l1", "l2")
    }
    exact = Fraction(0.000904) * (
        layer.macs + Fraction(1.68) * accesses["l1"] + Fraction(18.61) * accesses["l2"]
    )
    assert float(costs.total_energy_nj) == pytest.approx(float(exact), rel=1e-14)


def test_no_count_exceeds_its_bound(monkeypatch):
    """On random layers, dataflows and hardware; delays and per-case sums are within it, too."""
    bounds = []

    def spy(levels, dims, noc):
        bounds.append(greatest_count(levels, dims, noc))
        return bounds[-1]

    monkeypatch.setattr(model_module, "greatest_count", spy)
    rng = np.random.default_rng(5)
    flows = ["NVDLA", "Eyeriss", "ShiDianNao", "ConfuciuX-Eyeriss", "ShiDianNao-YxX:4"]
    for trial in range(300):
        (r, s), stride = rng.integers(1, 6, 2), rng.integers(1, 4)
        y, x = rng.integers(0, 40, 2) + np.array([r, s])
        depthwise = bool(rng.random() < 0.2)
        k, c = (1 if depthwise else rng.integers(1, 70)), rng.integers(1, 70)
        hardware = Hardware(*(int(2 ** rng.integers(0, 12)) for _ in range(5)))
        costs = evaluate(
            Shapes(k, c, y, x, r, s, stride, depthwise=depthwise),
            flows[trial % len(flows)],
            int(rng.integers(1, 130)),
            int(rng.integers(1, 80)),
            hardware,
        )
        for name, values in costs.as_dict().items():
            if values.dtype == np.int64 and int(values) != np.iinfo(np.int64).min:
                assert abs(int(values)) <= bounds[-1], (trial, name)


def test_what_cannot_be_counted_is_refused_by_name():
    fine, cube = Layer.gemm("fine", 10, 10, 10), Layer.gemm("cube", 10**9, 10**9, 10**9)
    message = r"layer 'cube' \(K=1000000000, .* with 16 PEs and 4 filters per PE under Eyeriss its "
    with pytest.raises(
        ValueError, match=message + r"counts may reach .* up to 2\*\*62 = 4.61e\+18"
    ):
        evaluate([fine, cube], "Eyeriss", np.array([[16], [32]]), 4)
    image = Layer("image", "CONV", 65536, 65536, 1048576, 1048576, 1, 1)
    with pytest.raises(ValueError, match="layer 'image'"):
        evaluate(image, "NVDLA", 1, 1)
    with pytest.raises(ValueError, match=r"a layer \(K=65536"):
        evaluate(Shapes(*image.shape[:6]), "NVDLA", 1, 1)
    with pytest.raises(ValueError, match="layer 'vast': Y must be at most 2147483647, got 1000000"):
        evaluate(Layer.gemm("vast", 10**30, 1, 1), "NVDLA", 1, 1)
    with pytest.raises(ValueError, match=r"multiply-accumulates: they are counted up to 2\*\*62"):
        _ = Shapes(2**31 - 1, 2**31 - 1, 9, 9, 1, 1).macs
    # What is large but can be counted is not.
    assert evaluate(Layer.gemm("large", 131072, 131072, 131072), "NVDLA", 65536, 12).valid
    assert LIMIT < 2**63


# --- what runs in parallel ------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [3, 20, 128, 300])
def test_which_pes_a_dataflow_keeps_busy(channels):
    """As the descriptions say: NVDLA one for each channel, ShiDianNao one for each column."""
    layer = Layer("l", "CONV", K=64, C=channels, OY=40, OX=32, R=3, S=3)
    busy = {n: float(evaluate(layer, n, 128, 1).avg_utilized_pes) for n in ("NVDLA", "ShiDianNao")}
    assert busy["NVDLA"] <= min(channels, 128)
    assert busy["ShiDianNao"] <= 32
    assert "input channels only" in dataflow("NVDLA").about
    assert "output columns only" in dataflow("ShiDianNao").about
    # Filters, or rows, side by side, once clusters are smaller than the array.
    for name, cluster, least in (("NVDLA-CxK", 1, 60), ("ShiDianNao-YxX", 16, 64)):
        assert evaluate(layer, f"{name}:{cluster}", 128, 1).avg_utilized_pes > least


@pytest.mark.parametrize("name", CLUSTERED)
@pytest.mark.parametrize("cluster", [1, 3, 16, 128])
def test_a_clustered_dataflow_is_its_namesake_with_that_cluster_size(name, cluster):
    layers = workload("MobileNetV2").unique()[0]
    own = evaluate(Shapes.of(layers).reshape(-1, 1), f"{name}:{cluster}", PES, 3)
    base = name.partition("-")[0]
    same = evaluate(Shapes.of(layers).reshape(-1, 1), base, PES, 3, cluster_size=cluster)
    for column, values in same.as_dict().items():
        np.testing.assert_array_equal(own.as_dict()[column], values, err_msg=column)
    assert own.mappable[:, cluster <= PES].any()
    dense = [not layer.is_depthwise for layer in layers]
    assert not own.mappable[dense][:, cluster > PES].any()


def test_clusters_are_what_a_three_channel_stem_lacks():
    """MobileNetV2 with 128 PEs, every layer at its best tile and cluster."""
    layers = Shapes.of(workload("MobileNetV2")).reshape(-1, 1)

    def cycles(name):
        costs = evaluate(layers, name, 128, np.arange(1, 13))
        return np.where(costs.valid, costs.runtime_cycles, 2**40).min(axis=1)

    alone = cycles("NVDLA")
    clustered = np.min([cycles(f"NVDLA-CxK:{size}") for size in CLUSTER_SIZES], axis=0)
    assert (alone.sum(), clustered.sum()) == (9_312_110, 2_744_003)
    assert alone[0] / alone.sum() == pytest.approx(0.393, abs=5e-4)
    assert clustered[0] / clustered.sum() == pytest.approx(0.046, abs=5e-4)


def test_every_dataflow_with_a_name_says_what_it_does():
    for style in (*map(dataflow, ("NVDLA", "Eyeriss", "ShiDianNao")), *CLUSTERED.values()):
        assert 20 < len(style.about) < 90
    assert dataflow("NVDLA-CxK:8").about == CLUSTERED["NVDLA-CxK"].about
    assert dataclasses.replace(NVDLA, about="") == NVDLA  # it is no part of what it is


def test_arguments_broadcast_like_numpy():
    layers = workload("AlexNet")
    costs = evaluate(Shapes.of(layers).reshape(-1, 1, 1), NVDLA, PES[:, None], np.arange(1, 4))
    assert costs.shape == (5, 12, 3)
    for layer, pes, tile in [(0, 0, 0), (2, 5, 1), (4, 11, 2)]:
        one = evaluate(layers[layer], NVDLA, int(PES[pes]), tile + 1)
        assert one.shape == ()
        for name, values in costs.as_dict().items():
            assert values[layer, pes, tile] == one.as_dict()[name], name


def test_hardware_broadcasts_too():
    bandwidth = np.array([1, 4, 1_000_000])
    costs = evaluate(SMALL, NVDLA, 8, 2, Hardware(noc_bandwidth=bandwidth))
    assert np.all(np.diff(costs.runtime_cycles) < 0)
    assert np.all(np.diff(costs.noc_power) > 0)


def test_chunks_do_not_show(monkeypatch):
    layers = Shapes.of(workload("MobileNetV2")).reshape(-1, 1)
    whole = evaluate(layers, EYERISS, PES, 3).as_dict()
    monkeypatch.setattr(model_module, "CHUNK", 17)
    for name, values in evaluate(layers, EYERISS, PES, 3).as_dict().items():
        np.testing.assert_array_equal(values, whole[name], err_msg=name)
    pieces = list(evaluate_chunks(layers, EYERISS, PES, 3))
    assert [points.stop for points, _ in pieces] == [*range(17, 52 * 12, 17), 52 * 12]
    for name, values in whole.items():
        joined = np.concatenate([costs.as_dict()[name] for _, costs in pieces])
        np.testing.assert_array_equal(joined, values.ravel(), err_msg=name)


def test_blocks_do_not_show(monkeypatch):
    """Rows that share their cases are analysed in blocks; here of a row or two."""
    layers = Shapes.of(workload("MobileNetV2")).reshape(-1, 1)
    whole = evaluate(layers, EYERISS, PES, 3).as_dict()
    monkeypatch.setattr(analysis_module, "BLOCK", 20)
    for name, values in evaluate(layers, EYERISS, PES, 3).as_dict().items():
        np.testing.assert_array_equal(values, whole[name], err_msg=name)


def test_equal_points_are_analysed_once(monkeypatch):
    analysed = []
    analyse = model_module.analyse

    def counted(levels, dims, noc, **kwargs):
        analysed.append(len(levels[0].units))
        return analyse(levels, dims, noc, **kwargs)

    monkeypatch.setattr(model_module, "analyse", counted)
    shapes = Shapes([64, 32, 64, 64], 32, 14, 14, 3, 3)
    costs = evaluate(shapes, NVDLA, 16, np.array([[2], [3], [2]]))
    assert analysed == [4]
    np.testing.assert_array_equal(costs.runtime_cycles[:, 0], costs.runtime_cycles[:, 3])
    np.testing.assert_array_equal(costs.runtime_cycles[0], costs.runtime_cycles[2])
    assert len(np.unique(costs.runtime_cycles)) == 4


@pytest.mark.parametrize("spread", [3, 1000, 1 << 40])
def test_distinct_rows(spread):
    """Against numpy's own, with columns of few values, many, and as far apart as can be."""
    rng = np.random.default_rng(0)
    columns = [rng.integers(-spread, spread, 300), rng.integers(0, 2, 300), np.full(300, 7)]
    columns += [c[rng.permutation(300)] for c in columns] * 2
    first, kind = distinct(columns)
    expected = np.unique(np.stack(columns), axis=1)
    assert len(first) == expected.shape[1]
    rows = np.stack(columns, axis=1)
    np.testing.assert_array_equal(rows[first][kind], rows)


def test_depthwise_layers_take_the_depthwise_mapping_whatever_the_dataflow():
    layer = Layer("dw", "DSCONV", 1, 32, 14, 14, 3, 3)
    runtimes = {n: int(evaluate(layer, n, 8, 2).runtime_cycles) for n in ("NVDLA", "Eyeriss")}
    assert len(set(runtimes.values())) == 1
    # A dataflow may bring its own.
    own = Dataflow("own", NVDLA.directives, (SpatialMap(1, 1, "C"), *DEPTHWISE[1:]))
    assert int(evaluate(layer, own, 8, 2).l1_bytes) < int(evaluate(layer, NVDLA, 8, 2).l1_bytes)


def test_arrays_that_cannot_hold_a_cluster_are_not_mappable():
    costs = evaluate(SMALL, EYERISS, np.array([1, 2, 3, 4]), 1)  # a cluster is 3 filter rows
    assert costs.mappable.tolist() == [False, False, True, True]
    assert costs.valid.tolist() == [False, False, True, True]
    assert costs.runtime_cycles[:2].tolist() == [0, 0]


def test_valid_flags_what_no_hardware_can_do():
    # ConfuciuX's Eyeriss maps two output dimensions over the PEs of one.
    costs = evaluate(Shapes(64, 64, 58, 58, 3, 3), "ConfuciuX-Eyeriss", 16, 1)
    assert costs.runtime_cycles * 16 < costs.true_macs
    assert not costs.valid
    assert evaluate(Shapes(64, 64, 58, 58, 3, 3), "ConfuciuX-Eyeriss", 1, 1).valid


def test_valid_needs_all_the_work_done():
    layer = Shapes(1, 147, 3, 3, 3, 3, depthwise=True)
    costs = evaluate(layer, NVDLA, PES[:, None], np.arange(1, 13))
    np.testing.assert_array_equal(
        costs.valid,
        (costs.num_macs >= 147 * 9) & (costs.runtime_cycles * PES[:, None] >= 147 * 9),
    )


def test_energy_and_area_of_a_point_by_hand():
    costs = evaluate(SMALL, NVDLA, 8, 2, Hardware(technology="maestro-2019"))
    l1 = sum(
        int(getattr(costs, f"{t}_l1_{d}"))
        for t in ("input", "weight", "output")
        for d in ("read", "write")
    )
    l2 = sum(
        int(getattr(costs, f"{t}_l2_{d}"))
        for t in ("input", "weight", "output")
        for d in ("read", "write")
    )
    assert float(costs.total_energy_nj) == pytest.approx(
        0.000904 * (int(costs.num_macs) + 1.68 * l1 + 18.61 * l2), rel=1e-14
    )
    units = -(-int(costs.l1_bytes) // 64)
    pe = 4470.9014 + 4505.1889 * units
    assert float(costs.array_area_um2) == pytest.approx(8 * pe + 4161.536, rel=1e-14)
    assert float(costs.array_power_mw) == pytest.approx(
        8 * (1.2223 + 0.2208 * units) + 4, rel=1e-14
    )
    bus = 101.7938 * (14.662 * 8 + 28.895) * 81_920_000
    arbiter = 395.473 * (1.2886 * 64 + 5.5814 * 8 - 23.711)
    assert float(costs.area_um2) == pytest.approx(8 * pe + 4161.536 + bus + arbiter, rel=1e-14)


def test_beyond_4096_pes_power_is_the_product():
    costs = evaluate(SMALL, NVDLA, np.array([4096, 8192]), 1)
    assert costs.pe_power == pytest.approx(1.2223 * np.array([4096, 8192]), rel=1e-12)


def test_a_dataflow_reads_as_maestro_writes_it():
    assert str(NVDLA).splitlines()[:2] == [
        "SpatialMap(tile_k, tile_k) K",
        "TemporalMap(cluster_size, cluster_size) C",
    ]
    assert "Cluster(Sz(R), P)" in str(EYERISS)
    assert dataflow("NVDLA") is NVDLA
    assert dataflow(NVDLA) is NVDLA


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: dataflow("nvdla"), "did you mean 'NVDLA'"),
        (lambda: dataflow("NVDLA-CxK"), "NVDLA-CxK is followed by a cluster size, as in NVDLA-Cx"),
        (lambda: dataflow("NVDLA-CxK:0"), "cluster size, .* got '0'; .* among 1, 2, 4, 8, 16,"),
        (lambda: dataflow("NVDLA-CxK:x"), "cluster size, as in NVDLA-CxK:16, got 'x'"),
        (lambda: dataflow("NVDLA-KxC:4"), "unknown dataflow 'NVDLA-KxC:4'; did you mean 'NVDLA-C"),
        (lambda: dataflow(f"NVDLA-CxK:{2**40}"), "positive integer of at most 2147483647"),
        (lambda: technology("maestro-2020"), "did you mean 'maestro-20"),
        (lambda: SpatialMap(1, 1, "Z"), "unknown dimension 'Z'"),
        (lambda: SpatialMap(0, 1, "K"), "positive integer"),
        (lambda: SpatialMap(1, 1.5, "K"), "positive integer"),
        (lambda: TemporalMap("tilek", 1, "K"), "did you mean 'tile_k'"),
        (lambda: Cluster(-1), "positive integer"),
        (lambda: Dataflow("d", (TemporalMap(1, 1, "K"),)), "one or two spatial maps"),
        (lambda: Dataflow("d", (SpatialMap(1, 1, "K"), Cluster(2))), "level 1: one or two spatial"),
        (lambda: Dataflow("d", (SpatialMap(1, 1, "K"),) * 2), "mapped more than once: K"),
        (
            lambda: Dataflow("d", (SpatialMap(1, 1, "Y"), TemporalMap(1, 1, "Y'"))),
            "Y' and Y exclude",
        ),
        (lambda: Dataflow("d", (SpatialMap(1, 1, "X'"),)), "X' needs S"),
        (lambda: Dataflow("d", NVDLA.directives, NVDLA.directives), "depthwise dataflow has no K"),
        (lambda: Hardware(simd_lanes=0), "simd_lanes must be at least 1"),
        (
            lambda: Hardware(noc_hops=2**40),
            "noc_hops must be at most 2147483647, got 1099511627776",
        ),
        (lambda: Hardware(offchip_bandwidth=2**63), "offchip_bandwidth must be at most 922337203"),
        (lambda: Hardware(noc_bandwidth=2.5), "noc_bandwidth must be integers"),
        (lambda: Hardware(technology="x"), "unknown technology"),
        (lambda: Technology(**{**_fields(MAESTRO_2019), "mac_area_um2": 0}), "mac_area_um2"),
        (lambda: Shapes(0, 1, 1, 1, 1, 1), "layer K must be at least 1"),
        (lambda: Shapes(1, 1.5, 1, 1, 1, 1), "layer C must be integers"),
        (lambda: Shapes(2**31, 1, 1, 1, 1, 1), "layer K must be at most 2147483647, got 214748364"),
        (lambda: Shapes(1, 2**70, 1, 1, 1, 1), "layer C must be at most 2147483647, got 11805916"),
        (lambda: Shapes(1, -(2**70), 1, 1, 1, 1), "layer C must be at least 1, got -1180"),
        (lambda: Shapes(1, 1, 2, 2, 3, 1), "R is larger than Y"),
        (lambda: Shapes(2, 1, 2, 2, 1, 1, depthwise=True), "K = 1"),
        (lambda: Shapes.of([]), "no layers"),
        (lambda: evaluate(SMALL, "NVDLA", 0, 1), "num_pes must be at least 1"),
        (lambda: evaluate(SMALL, "NVDLA", 2**31, 1), "num_pes must be at most 2147483647"),
        (lambda: evaluate(SMALL, "NVDLA", 1, 2**70), "tile_k must be at most 2147483647"),
        (lambda: evaluate(SMALL, "NVDLA", 1, 0.5), "tile_k must be integers"),
        (lambda: evaluate(SMALL, "NVDLA", np.zeros(0, int), 1), "query is empty"),
        (lambda: evaluate(SMALL, "NVDLA", [1, 2], [1, 2, 3]), "broadcast"),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def _fields(tech):
    return {name: getattr(tech, name) for name in tech.__dataclass_fields__}


@pytest.mark.parametrize(
    ("directives", "shape", "stride"),
    [
        (
            (TemporalMap(7, 1, "X"), SpatialMap(1, 1, "C"), TemporalMap(15, 13, "Y")),
            (14, 2, 12, 12, 4, 5),
            3,
        ),
        (
            (TemporalMap(4, 4, "R"), SpatialMap(7, 6, "C"), TemporalMap(5, 5, "S")),
            (4, 6, 17, 21, 4, 5),
            2,
        ),
    ],
)
def test_a_case_that_brings_nothing_in_gives_no_warning(directives, shape, stride):
    """Its arithmetic intensity is not finite, as the reference has it; warnings are errors here."""
    costs = evaluate(Shapes(*shape, stride), Dataflow("odd", directives), 4, 1)
    assert costs.mappable
    assert not np.isfinite(costs.arithmetic_intensity)
