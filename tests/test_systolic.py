"""Systolic arrays: equal to SCALE-Sim, and to a loop over folds that knows no formula."""

import math
from fractions import Fraction

import numpy as np
import pytest

from hwgym import Layer, workload
from hwgym.costs.systolic import (
    DATAFLOWS,
    SYSTOLIC_IS,
    SYSTOLIC_OS,
    SYSTOLIC_WS,
    Memory,
    Products,
    evaluate,
    price,
    scalesim,
    systolic_dataflow,
    table,
)
from hwgym.hardware import Machine
from hwgym.workloads import regroup

DEPTHWISE = Layer("dw", "DSCONV", 1, 128, 56, 56, 3, 3)


def loop_over_folds(product, rows, columns, dataflow, memory):
    """Walk all folds with sets of elements: the rules of the documentation, nothing else."""
    pixels, depth, filters, inputs, times = product
    along = {"pixels": pixels, "depth": depth, "filters": filters}
    tensors = {
        "ifmap": ("pixels", "depth"),
        "filter": ("depth", "filters"),
        "ofmap": ("pixels", "filters"),
    }
    inside = dataflow == "SystolicOS"  # results are added up inside the array
    lies = {
        "SystolicWS": ("depth", "filters"),
        "SystolicOS": ("pixels", "filters"),
        "SystolicIS": ("depth", "pixels"),
    }[dataflow]
    starts = {lies[0]: range(0, along[lies[0]], rows), lies[1]: range(0, along[lies[1]], columns)}
    streams = next(dim for dim in along if dim not in lies)

    def part(tensor, at):
        sides = []
        for dim in tensors[tensor]:
            if dim == streams:
                sides.append(range(along[dim]))
            else:
                side = rows if dim == lies[0] else columns
                sides.append(range(at[dim], min(at[dim] + side, along[dim])))
        return {(a, b) for a in sides[0] for b in sides[1]}

    cuts = [{lies[0]: i, lies[1]: j} for j in starts[lies[1]] for i in starts[lies[0]]]
    partial = not inside and len(starts[lies[0]]) > 1
    bits = {
        "ifmap": memory["input_bits"],
        "filter": memory["weight_bits"],
        "ofmap": memory["partial_bits"] if partial else memory["output_bits"],
    }
    largest = {t: len(part(t, cuts[0])) for t in tensors}
    size = {t: len({e for at in cuts for e in part(t, at)}) for t in tensors}
    size["ifmap"] = inputs

    def in_half(tensor, elements):
        return 2 * elements * bits[tensor] <= 8 * memory[f"{tensor}_bytes"]

    high, wide = min(rows, along[lies[0]]), min(columns, along[lies[1]])
    at_once = {t: high if lies[0] in dims else wide for t, dims in tensors.items()}
    at_once |= {t: high * wide for t, dims in tensors.items() if streams not in dims}
    at_once["ifmap"] = min(at_once["ifmap"], inputs)
    if not all(in_half(t, at_once[t]) for t in tensors):
        return None
    whole_fits = {t: in_half(t, size[t]) for t in tensors}
    part_fits = {t: whole_fits[t] or in_half(t, largest[t]) for t in tensors}

    def share_of_inputs(at):
        # In proportion: over what lies along the columns first, then along the rows.
        left = inputs
        for dim, side in ((lies[1], columns), (lies[0], rows)):
            if dim not in tensors["ifmap"]:
                continue
            each = int(Fraction(left * min(side, along[dim]), along[dim]))
            number = len(starts[dim])
            left = left - each * (number - 1) if at[dim] + side >= along[dim] else each
        return left

    ahead, during, out_during, behind = [], [], [], []
    dram = dict.fromkeys(("ifmap", "filter", "ofmap", "psum"), 0)
    sram = dict.fromkeys(("ifmap", "filter", "writes", "reads"), 0)
    used = macs = 0
    for _ in range(times):
        holds = {t: set() for t in tensors}
        seen = {t: set() for t in tensors}
        for number, at in enumerate(cuts):
            before = now = 0
            for tensor in ("ifmap", "filter"):
                mine = part(tensor, at)
                sram[tensor] += len(mine)
                if tensor == "ifmap" and whole_fits[tensor]:
                    count = 0 if mine <= seen[tensor] else share_of_inputs(at)
                else:
                    count = len(mine - holds[tensor])
                seen[tensor] |= mine
                if whole_fits[tensor]:
                    holds[tensor] |= mine
                else:
                    holds[tensor] = mine if part_fits[tensor] else set()
                dram[tensor] += count * bits[tensor]
                if part_fits[tensor]:
                    before += count * bits[tensor]
                else:
                    now += count * bits[tensor]
            mine = part("ofmap", at)
            # A result is finished once nothing more will be added to it.
            later = part("ofmap", cuts[number + 1]) if number + 1 < len(cuts) else set()
            finished = mine - later if not inside else mine
            sram["writes"] += len(mine)
            sram["reads"] += len(mine & seen["ofmap"])
            back = len((mine & seen["ofmap"]) - holds["ofmap"])
            seen["ofmap"] |= mine
            stays = (mine & later) if part_fits["ofmap"] else set()
            holds["ofmap"] = stays
            goes = mine - stays
            left = len(goes & finished) * memory["output_bits"]
            left += len(goes - finished) * memory["partial_bits"]
            dram["psum"] += back * memory["partial_bits"]
            dram["ofmap"] += left
            now += back * memory["partial_bits"]
            ahead.append(before)
            during.append(now)
            out_during.append(0 if part_fits["ofmap"] else left)
            behind.append(left if part_fits["ofmap"] else 0)
            high = min(rows, along[lies[0]] - at[lies[0]])
            wide = min(columns, along[lies[1]] - at[lies[1]])
            used += high * wide
            macs += high * wide * along[streams]

    def takes(amount):
        return math.ceil(amount / (8 * memory["bandwidth"]))

    compute = (0 if inside else rows) + rows + columns + along[streams] - 2
    cycles = takes(ahead[0])
    for fold in range(len(ahead)):
        reads = during[fold] + (ahead[fold + 1] if fold + 1 < len(ahead) else 0)
        writes = out_during[fold] + (behind[fold - 1] if fold else 0)
        cycles += max(compute, takes(reads), takes(writes))
    cycles += takes(behind[-1])
    return {
        "cycles": cycles,
        "compute_cycles": compute * len(ahead),
        "folds": len(ahead),
        "macs": macs,
        "mapped_pes": used / len(ahead),
        "sram_ifmap_reads": sram["ifmap"],
        "sram_filter_reads": sram["filter"],
        "sram_ofmap_writes": sram["writes"],
        "sram_ofmap_reads": sram["reads"],
        "dram_ifmap_bytes": -(-dram["ifmap"] // 8),
        "dram_filter_bytes": -(-dram["filter"] // 8),
        "dram_ofmap_bytes": -(-dram["ofmap"] // 8),
        "dram_psum_bytes": -(-dram["psum"] // 8),
    }


def random_points(count, seed):
    """Products, arrays and memories, small enough for sets; SRAMs from too small to ample."""
    rng = np.random.default_rng(seed)

    def sizes(most):
        return rng.integers(1, most + 1, count)

    pixels, depth, filters = sizes(14), sizes(14), sizes(14)
    matrix = pixels * depth
    inputs = np.maximum(1, (matrix * rng.choice([0.2, 0.5, 1.0], count)).astype(int))
    memory = {
        f"{name}_bytes": np.ceil(2 ** rng.uniform(1, 11, count)).astype(int)
        for name in ("ifmap", "filter", "ofmap")
    }
    memory["bandwidth"] = rng.choice([0.3, 0.7, 1.0, 1.5, 3.0, 8.0, 100.0, np.inf], count)
    for name, widths in {
        "input_bits": (4, 8, 16),
        "weight_bits": (3, 8),
        "output_bits": (8, 16),
        "partial_bits": (8, 20, 32),
    }.items():
        memory[name] = rng.choice(widths, count)
    product = (pixels, depth, filters, inputs, sizes(3))
    return product, sizes(6), sizes(6), memory


@pytest.mark.parametrize("name", DATAFLOWS)
def test_equals_a_loop_over_folds(name):
    product, rows, columns, memory = random_points(700, seed=len(name) + ord(name[-2]))
    compared = stalled = spilled = refetched = 0
    for point in range(len(rows)):
        one = tuple(int(size[point]) for size in product)
        own = {key: values[point].item() for key, values in memory.items()}
        array = int(rows[point]), int(columns[point])
        query = (Products(*one), *array, name, Memory(**own))
        expected = loop_over_folds(one, *array, name, own)
        if expected is None:
            with pytest.raises(ValueError, match="_bytes must be at least"):
                evaluate(*query)
            continue
        costs = evaluate(*query)
        assert {key: getattr(costs, key).item() for key in expected} == expected, (one, array, own)
        compared += 1
        stalled += bool(costs.stall_cycles > 0)
        spilled += bool(costs.dram_psum_bytes > 0)
        refetched += bool(
            costs.dram_filter_bytes * 8 > one[1] * one[2] * one[4] * own["weight_bits"] + 7
        )
    assert compared > 350
    assert 50 < stalled < compared
    assert (spilled > 20) == (name != "SystolicOS")
    assert (refetched > 5) == (name != "SystolicWS")


def test_equals_scalesim_where_output_sizes_are_rounded():
    # Printed by SCALE-Sim 3.0.0 for inputs that the stride does not divide.
    ours = scalesim(10, 9, 3, 2, 2, 5, 2, 4, 4, "SystolicWS")
    assert (ours.total_cycles, ours.sram_ifmap_reads) == (209, 600)
    assert (ours.sram_filter_reads, ours.sram_ofmap_writes) == (60, 375)
    with pytest.raises(ValueError, match="filter_w is larger than ifmap_w"):
        scalesim(10, 9, 3, 10, 2, 5, 2, 4, 4, "SystolicWS")
    with pytest.raises(ValueError, match="stride must be at least 1, got 0"):
        scalesim(10, 9, 3, 3, 2, 5, 0, 4, 4, "SystolicWS")


def test_without_a_memory_nothing_is_waited_for_and_everything_comes_once():
    layer = Layer("c", "CONV", 64, 64, 56, 56, 3, 3)
    for name in DATAFLOWS:
        costs = evaluate(layer, 32, 16, name)
        assert costs.cycles == costs.compute_cycles
        assert costs.dram_ifmap_bytes == 64 * 58 * 58
        assert costs.dram_filter_bytes == 64 * 64 * 9
        assert costs.dram_ofmap_bytes == 64 * 56 * 56
        assert costs.dram_psum_bytes == 0
        assert costs.macs == layer.macs


def test_layers_are_products():
    layers = [
        Layer("c", "CONV", 8, 3, 5, 7, 3, 2, 2, repeat=4),
        Layer("d", "DSCONV", 1, 6, 5, 7, 3, 3, repeat=2),
        Layer.gemm("g", M=10, N=11, K=12, repeat=5),
    ]
    products = Products.of(layers)
    assert products.pixels.tolist() == [35, 35, 10]
    assert products.depth.tolist() == [18, 9, 12]
    assert products.filters.tolist() == [8, 1, 11]
    assert products.times.tolist() == [4, 12, 5]
    assert products.macs.tolist() == [layer.macs for layer in layers]
    together = evaluate(layers, 4, 4, "SystolicOS", Memory(1024, bandwidth=1))
    for number, layer in enumerate(layers):
        alone = evaluate(layer, 4, 4, "SystolicOS", Memory(1024, bandwidth=1))
        assert alone.shape == ()
        for name, values in together.as_dict().items():
            assert values[number] == alone.as_dict()[name]


def test_inputs_are_those_that_filters_touch():
    rng = np.random.default_rng(3)
    for _ in range(200):
        (oy, ox), (r, s) = rng.integers(1, 7, 2), rng.integers(1, 5, 2)
        stride, dilation = rng.integers(1, 6, 2), rng.integers(1, 6, 2)
        layer = Layer(
            *("c", "CONV", 1, 2, oy, ox, r, s, stride[0]),
            column_stride=stride[1],
            dilation=dilation[0],
            column_dilation=dilation[1],
        )
        touched = {
            (stride[0] * p + dilation[0] * i, stride[1] * q + dilation[1] * j)
            for p in range(oy)
            for q in range(ox)
            for i in range(r)
            for j in range(s)
        }
        assert Products.of(layer).inputs == 2 * len(touched)


def test_arguments_broadcast():
    layers = workload("AlexNet")
    rows, columns = np.array([[4], [16]]), np.array([8, 32, 128])
    memory = Memory(np.array([2**14, 2**18]).reshape(2, 1, 1, 1), bandwidth=4)
    costs = evaluate(Products.of(layers).reshape(-1, 1, 1), rows, columns, "SystolicWS", memory)
    assert costs.shape == (2, len(layers), 2, 3)
    one = evaluate(layers[3], 16, 32, "SystolicWS", Memory(2**18, bandwidth=4))
    assert costs.cycles[1, 3, 1, 1] == one.cycles
    assert costs.utilisation[1, 3, 1, 1] == one.macs / (16 * 32 * one.cycles)
    assert len(costs.to_frame()) == costs.cycles.size
    assert repr(costs).startswith("<Costs of (2, ")


def test_bandwidth_and_sram_only_help():
    layers = Products.of(workload("MobileNetV2")).reshape(-1, 1, 1)
    sizes, bandwidths = 2 ** np.arange(14, 24).reshape(-1, 1), np.array([1, 2.5, 16, 1e3, np.inf])
    for name in DATAFLOWS:
        costs = evaluate(layers, 16, 16, name, Memory(sizes, bandwidth=bandwidths))
        assert (np.diff(costs.dram_bytes, axis=1) <= 0).all()
        assert (np.diff(costs.cycles, axis=2) <= 0).all()
        assert (costs.cycles[..., -1] == costs.compute_cycles[..., -1]).all()
        assert (costs.utilisation <= 1).all()
        slow = costs.cycles[..., 0]
        assert (slow >= costs.dram_bytes[..., 0] - costs.dram_ofmap_bytes[..., 0]).all()


def test_srams_hold_what_the_array_takes_at_once():
    layer = Layer("conv", "CONV", 64, 64, 56, 56, 3, 3)
    # What stays is 16 x 32 filters, twice; a row of inputs and one of unfinished sums pass.
    evaluate(layer, 16, 32, SYSTOLIC_WS, Memory(2 * 16, 2 * 16 * 32, 2 * 32 * 4))
    for sizes, message in (
        ((31, 1024, 256), "'conv': ifmap_bytes must be at least 32 for a fold under SystolicWS"),
        ((32, 1023, 256), r"'conv': filter_bytes must be at least 1024 .* on 16 x 32 .* got 1023"),
        ((32, 1024, 255), "'conv': ofmap_bytes must be at least 256 "),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate(layer, 16, 32, SYSTOLIC_WS, Memory(*sizes))
    # In a table such points are invalid instead.
    found = table([layer], SYSTOLIC_WS, [16], [32], [1023, 1024])
    assert found.valid.ravel().tolist() == [False, True]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: evaluate(DEPTHWISE, 0, 4, "SystolicWS"), "array rows must be at least 1, got 0"),
        (lambda: evaluate(DEPTHWISE, 4, -3, "SystolicWS"), "array columns must be at least 1"),
        (lambda: evaluate(DEPTHWISE, 4.5, 4, "SystolicWS"), "array rows must be integers"),
        (lambda: evaluate(DEPTHWISE, 4, 4, "systolicws"), "did you mean 'SystolicWS'"),
        (lambda: systolic_dataflow(3), "unknown systolic dataflow 3"),
        (lambda: evaluate([], 4, 4, "SystolicWS"), "no layers given"),
        (lambda: evaluate("AlexNet", 4, 4, "SystolicWS"), "layers are needed, not a name"),
        (lambda: evaluate(DEPTHWISE, [], 4, "SystolicWS"), "the query is empty"),
        (lambda: Memory(bandwidth=0), "bandwidth must be above 0 bytes a cycle, got 0"),
        (lambda: Memory(bandwidth=[1, -2]), "bandwidth must be above 0 bytes a cycle, got -2"),
        (lambda: Memory(bandwidth=math.nan), "bandwidth must be above 0 bytes a cycle, got nan"),
        (lambda: Memory(bandwidth="16"), "bandwidth must be numbers, got '16'"),
        (lambda: Memory(0), "SRAM ifmap_bytes must be at least 1, got 0"),
        (lambda: Memory(partial_bits=65), "partial_bits must be at most 64, got 65"),
        (lambda: Products(2, 3, 0), "product filters must be at least 1, got 0"),
        (lambda: Products(2, 3, 4, 7), "inputs must be at most pixels x depth"),
        (lambda: Products.of(Layer.gemm("g", 2**32, 1, 1)), "'g': pixels must be at most 2147483"),
        (
            lambda: evaluate(Layer.gemm("g", 2**30, 2**20, 2**20), 4, 4, "SystolicWS"),
            "multiply-accumulates: they are counted up to",
        ),
        (
            lambda: evaluate(Layer.gemm("big", 2**20, 2**20, 2**20), 1, 1, "SystolicWS"),
            "layer 'big' is too large to be costed exactly",
        ),
        (lambda: price(evaluate(DEPTHWISE, 4, 4, "SystolicWS")), "ifmap_bytes is not given"),
    ],
)
def test_errors_name_the_limit(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_prices_add_up():
    machine = Machine(clock_ghz=0.5, dram_bandwidth=2.0, weight_bits=4, output_bits=16)
    memory = Memory.of(machine, 2**12, 2**13, 2**14)
    layer = Layer("c", "CONV", 24, 16, 14, 14, 3, 3)
    costs = evaluate(layer, 8, 4, "SystolicWS", memory)
    assert costs.dram_psum_bytes == 0
    prices = price(costs, machine)
    silicon = machine.process
    ifmap, filters, ofmap = 2**12, 2**13, 2**14
    sums, results = costs.sram_ofmap_reads, 24 * 14 * 14
    pj = (
        costs.sram_ifmap_reads * silicon.sram_read_pj_per_byte(ifmap)
        + costs.dram_ifmap_bytes * silicon.sram_write_pj_per_byte(ifmap)
        + costs.sram_filter_reads / 2 * silicon.sram_read_pj_per_byte(filters)
        + costs.dram_filter_bytes * silicon.sram_write_pj_per_byte(filters)
        + (sums * 4 + results * 2) * silicon.sram_write_pj_per_byte(ofmap)
        + (sums * 4 + results * 2) * silicon.sram_read_pj_per_byte(ofmap)
    )
    assert prices.sram_nj == pytest.approx(pj / 1e3, rel=1e-12)
    assert prices.mac_nj == pytest.approx(layer.macs * machine.mac_pj / 1e3, rel=1e-12)
    assert prices.dram_nj == pytest.approx(costs.dram_bytes * 64 / 1e3, rel=1e-12)
    area = 32 * machine.mac_area_um2 + sum(map(silicon.sram_area_um2, (ifmap, filters, ofmap)))
    assert prices.area_um2 == pytest.approx(area, rel=1e-12)
    seconds = costs.cycles / 0.5e9
    assert prices.power_mw == pytest.approx(prices.energy_nj * 1e-9 / seconds * 1e3, rel=1e-12)


def test_a_table_has_every_layer_on_every_array():
    layers, machine = workload("AlexNet"), Machine(dram_bandwidth=8)
    rows, columns, srams = [4, 32], [8, 16, 64], [2**10, 2**16]
    for name in DATAFLOWS:
        found = table(layers, name, rows, columns, srams, machine)
        assert found.cycles.shape == found.valid.shape == (len(layers), 2, 3, 2)
        assert found.valid[..., 1].all()
        costs = evaluate(layers[2], 32, 16, name, Memory.of(machine, 2**16))
        prices = price(costs, machine)
        assert found.cycles[2, 1, 1, 1] == costs.cycles
        for column in ("energy_nj", "area_um2", "power_mw"):
            assert getattr(found, column)[2, 1, 1, 1] == getattr(prices, column)
        assert (found.area_um2 == found.area_um2[:1]).all()


def test_regrouping_fills_the_array():
    def on_64(layer):
        costs = evaluate(layer, 64, 64, SYSTOLIC_WS)
        return int(costs.cycles), round(100 * float(costs.utilisation), 1)

    assert on_64(DEPTHWISE) == (425_728, 0.2)
    assert on_64(regroup(DEPTHWISE, 4)) == (106_432, 3.3)
    assert on_64(regroup(DEPTHWISE, 64)) == (59_868, 94.3)
    # So it is where filters stay; the others do not come near it as they are.
    assert evaluate(DEPTHWISE, 64, 64, SYSTOLIC_OS).cycles == 846_720
    assert evaluate(DEPTHWISE, 64, 64, SYSTOLIC_IS).cycles == 1_197_952


def test_regrouping_costs_parameters():
    for channels in (1, 2, 8, 128):
        layer = regroup(DEPTHWISE, channels)
        assert layer.weights == channels * DEPTHWISE.weights
        assert layer.macs == channels * DEPTHWISE.macs
        assert (layer.OY, layer.OX, layer.R, layer.S, layer.name) == (56, 56, 3, 3, "dw")
    assert regroup(DEPTHWISE, 1) == DEPTHWISE
    assert (layer.kind, layer.K, layer.C, layer.repeat) == ("CONV", 128, 128, 1)


def test_regrouping_a_network_leaves_the_rest():
    network = workload("MobileNetV2")
    regrouped = regroup(network, 8)
    assert regrouped.name == network.name
    for before, after in zip(network, regrouped, strict=True):
        if before.is_depthwise:
            assert (after.kind, after.K, after.C) == ("CONV", 8, 8)
            assert after.weights == 8 * before.weights
            assert after.stride == before.stride
        else:
            assert after == before


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: regroup(DEPTHWISE, 3), "'dw': channels_per_group must divide its 128 channels"),
        (lambda: regroup(DEPTHWISE, 0), "channels_per_group must be a positive integer, got 0"),
        (lambda: regroup(DEPTHWISE, 2.0), "channels_per_group must be a positive integer"),
        (lambda: regroup(DEPTHWISE, True), "channels_per_group must be a positive integer"),
        (lambda: regroup(Layer("c", "CONV", 1, 1, 1, 1, 1, 1), 1), "'c': only depthwise layers"),
        (lambda: regroup(workload("AlexNet"), 2), "'AlexNet' has no depthwise layer to regroup"),
        (lambda: regroup(workload("MobileNetV2"), 64), "must divide its 32 channels, got 64"),
    ],
)
def test_regrouping_says_what_it_cannot_do(make, message):
    with pytest.raises(ValueError, match=message):
        make()
