"""What layers of few bits take: lanes, MAESTRO's and loop nests' counts in bits, areas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from hwgym import Layer
from hwgym.costs.loopnest.lattice import Choices, lattice
from hwgym.costs.loopnest.model import energy, profile
from hwgym.costs.loopnest.templates import NVDLA
from hwgym.costs.maestro import CLUSTERED, evaluate
from hwgym.costs.precision import BITS, lanes, multiplier_um2, precision_costs
from hwgym.hardware import MAESTRO_2019, SILICON_45NM, Hardware, Machine

LAYERS = (
    Layer("conv", "CONV", K=16, C=8, OY=14, OX=7, R=3, S=3, stride=2),
    Layer("depthwise", "DSCONV", K=1, C=24, OY=7, OX=14, R=5, S=3, repeat=2),
    Layer.gemm("gemm", M=20, N=30, K=40),
)
WIDTHS = (2, 4, 8)


@pytest.mark.parametrize(
    ("unit", "weights", "activations", "count"),
    [
        ("fusion", 8, 8, 1), ("fusion", 5, 7, 1), ("fusion", 4, 8, 2), ("fusion", 3, 4, 4),
        ("fusion", 2, 2, 16), ("fusion", 2, 8, 4), ("serial", 8, 8, 1), ("serial", 5, 7, 1),
        ("serial", 3, 3, 7), ("serial", 2, 2, 16), ("serial", 2, 7, 4), ("serial", 5, 6, 2),
    ],
)  # fmt: skip
def test_a_unit_does_more_products_of_fewer_bits(unit, weights, activations, count):
    assert lanes(weights, activations, unit) == count
    assert lanes(activations, weights, unit) == count


def test_units_agree_where_widths_are_powers_of_two():
    for w in WIDTHS:
        for a in WIDTHS:
            assert lanes(w, a) == lanes(w, a, "serial") == 64 // (w * a)


def test_at_8_bits_latency_is_maestros_and_energy_but_for_the_units():
    found = precision_costs(LAYERS, WIDTHS)
    for i, layer in enumerate(LAYERS):
        told = evaluate(
            layer,
            CLUSTERED["NVDLA-CxK"],
            64,
            4,
            Hardware(technology=MAESTRO_2019),
            cluster_size=8,
        )
        assert found.latency[i, -1, -1] == told.runtime_cycles * layer.repeat
        macs = layer.macs / layer.repeat
        assert told.num_macs == macs
        price = MAESTRO_2019.mac_energy_nj
        once = told.total_energy_nj - macs * price + macs * 0.560e-3
        assert_allclose(found.energy[i, -1, -1], once * layer.repeat, rtol=1e-9)


def slow_maestro(layer, w, a):
    """Cycles and nJ of one run, tensor by tensor."""
    count = (8 // w) * (8 // a)
    c = evaluate(
        layer,
        CLUSTERED["NVDLA-CxK"],
        64,
        4,
        Hardware(simd_lanes=count, technology=MAESTRO_2019),
        cluster_size=8,
    )
    products = layer.R * layer.S * (1 if layer.kind == "DSCONV" else layer.C)
    sums = (w + a + math.ceil(math.log2(products))) / (16 + math.ceil(math.log2(products)))
    nj = MAESTRO_2019.mac_energy_nj
    total = layer.macs / layer.repeat * 0.560e-3 / count
    total += 1.68 * nj * (c.weight_l1_read + c.weight_l1_write) * w / 8
    total += 1.68 * nj * (c.input_l1_read + c.input_l1_write) * a / 8
    total += 1.68 * nj * (c.output_l1_read + c.output_l1_write) * sums
    total += 18.61 * nj * (c.weight_l2_read + c.weight_l2_write) * w / 8
    total += 18.61 * nj * (c.input_l2_read + c.input_l2_write) * a / 8
    total += 18.61 * nj * (c.output_l2_read + c.output_l2_write)
    return float(c.runtime_cycles), float(total)


def test_maestro_layer_by_layer_and_width_by_width():
    found = precision_costs(LAYERS, WIDTHS)
    for i, layer in enumerate(LAYERS):
        for j, w in enumerate(WIDTHS):
            for k, a in enumerate(WIDTHS):
                cycles, nj = slow_maestro(layer, w, a)
                assert found.latency[i, j, k] == cycles * layer.repeat
                assert_allclose(found.energy[i, j, k], nj * layer.repeat, rtol=1e-8)


def test_loop_nests_have_the_fastest_mapping_of_each_width():
    layer = LAYERS[0]
    found = precision_costs([layer], (4, 8), model="loopnest", pes=16)
    fastest = {}
    for j, w in enumerate((4, 8)):
        for k, a in enumerate((4, 8)):
            sum_bits = w + a + math.ceil(math.log2(3 * 3 * 8))
            machine = Machine(weight_bits=w, input_bits=a, partial_bits=sum_bits)
            nests = lattice(layer, NVDLA, 4, 4, Choices((256, 512), (16384, 65536)), machine)
            p = profile(nests, machine, hold=NVDLA.hold, forward=NVDLA.forward, reduce=NVDLA.reduce)
            spent = energy(p, machine, 512, 65536)
            best = None
            for n in range(len(nests)):
                if p.l1_bytes[n] > 512 or p.l2_bytes[n] > 65536:
                    continue
                computing = math.ceil(p.parts[n, 0] / lanes(w, a))
                cycles = max(computing, *p.parts[n, 1:]) + p.first_load[n] + p.last_store[n]
                nj = layer.macs * 0.560e-3 / lanes(w, a)
                nj += spent.l1[n] + spent.l2[n] + spent.dram[n]
                if best is None or cycles < best[0]:
                    best = (cycles, nj)
            assert best is not None
            fastest[j, k] = best
    for j, k in fastest:
        least = min(fastest[at][0] for at in fastest if at[0] >= j and at[1] >= k)
        assert found.latency[0, j, k] <= 1.01 * least
        if fastest[j, k][0] == least:
            assert found.energy[0, j, k] <= fastest[j, k][1] + 2.0**-20


def test_areas_are_of_units_of_those_bits_weights_and_spanned_rows():
    found = precision_costs(LAYERS, WIDTHS, pes=16)
    conv, depthwise, gemm = LAYERS
    work = sum(layer.macs for layer in LAYERS)
    weights = {"conv": 16 * 8 * 9, "depthwise": 24 * 15 * 2, "gemm": 30 * 40}
    rows = {"conv": 8 * 3 * (2 * 6 + 3), "depthwise": 24 * 5 * 16, "gemm": 40}
    assert (conv.weights, depthwise.weights, gemm.weights) == tuple(weights.values())
    side = {2: 124.9, 4: 282.2, 8: 687.6}
    for i, layer in enumerate(LAYERS):
        for j, w in enumerate(WIDTHS):
            for k, a in enumerate(WIDTHS):
                units = math.ceil(16 * layer.macs / work)
                held = math.ceil(weights[layer.name] * w / 8), math.ceil(rows[layer.name] * a / 8)
                memories = sum(float(SILICON_45NM.sram_area_um2(size)) for size in held)
                wanted = units * math.sqrt(side[w] * side[a]) + memories
                assert_allclose(found.area[i, j, k], wanted, rtol=1e-9)


def test_widths_that_nobody_synthesised_count_as_the_next():
    assert multiplier_um2(3, 3) == multiplier_um2(4, 4) == pytest.approx(282.2)
    assert multiplier_um2(8, 2) == multiplier_um2(2, 8) == pytest.approx(math.sqrt(124.9 * 687.6))


@pytest.mark.parametrize("unit", ["fusion", "serial"])
def test_fewer_bits_never_take_more_on_maestro(unit):
    for table in precision_costs(LAYERS, BITS, unit=unit):
        assert (np.diff(table, axis=1) >= 0).all()
        assert (np.diff(table, axis=2) >= 0).all()
        assert (table[:, 0, 0] < table[:, -1, -1]).all()


def test_fewer_bits_are_never_slower_on_loop_nests():
    layers = [*LAYERS, Layer.gemm("narrow", M=1, N=64, K=128)]
    for unit in ("fusion", "serial"):
        found = precision_costs(layers, (2, 3, 5, 6), model="loopnest", unit=unit)
        assert (np.diff(found.latency, axis=1) >= 0).all()
        assert (np.diff(found.latency, axis=2) >= 0).all()


def test_sums_are_the_same_in_any_order():
    rng = np.random.default_rng(0)
    for model in ("maestro", "loopnest"):
        for table in precision_costs(LAYERS, WIDTHS, model=model):
            values = table.ravel()
            total = values.sum()
            for _ in range(20):
                assert rng.permutation(values).sum() == total


def test_equal_layers_cost_the_same_and_repeats_add_up():
    twice = [LAYERS[1], LAYERS[1]]
    for model in ("maestro", "loopnest"):
        found = precision_costs(twice, WIDTHS, model=model)
        assert_array_equal(found.latency[0], found.latency[1])
        once = precision_costs(
            [Layer("once", "DSCONV", K=1, C=24, OY=7, OX=14, R=5, S=3)], WIDTHS, model=model
        )
        assert_array_equal(found.latency[0], 2 * once.latency[0])
        assert_allclose(found.energy[0], 2 * once.energy[0], rtol=1e-7)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"bits": (1, 2)}, "2 to 8"),
        ({"bits": (4, 2)}, "increasing"),
        ({"bits": ()}, "increasing"),
        ({"model": "maestr"}, "did you mean 'maestro'"),
        ({"unit": "bit-serial"}, "did you mean 'serial'"),
        ({"pes": 48}, "square of a power of two"),
        ({"pes": 0}, "square of a power of two"),
    ],
)
def test_wrong_arguments_are_named(asked, said):
    with pytest.raises(ValueError, match=said):
        precision_costs(LAYERS, **asked)


def test_widths_of_lanes_are_checked():
    with pytest.raises(ValueError, match="weight_bits must be 2 to 8, got 9"):
        lanes(9, 8)
    with pytest.raises(ValueError, match="unknown unit 'fused'"):
        lanes(8, 8, "fused")
