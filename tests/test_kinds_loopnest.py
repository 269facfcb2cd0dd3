"""Kinds of sub-accelerators on loop nests: the model's own numbers, and the simulator's."""

import math
from dataclasses import asdict, fields, replace

import numpy as np
import pytest
from loopnest_simulator import NAMES, simulate

from hwgym import Layer, models, workload
from hwgym.costs.loopnest import (
    KINDS,
    LATENCY_SLACK,
    Choices,
    analyse,
    kind_costs,
    kinds,
    lattice,
    profile,
)
from hwgym.costs.maestro import KINDS as ON_MAESTRO
from hwgym.costs.maestro import evaluate
from hwgym.families.scheduled import Core, job_costs
from hwgym.hardware import Machine

BANDWIDTHS = (2, 8, 24.5)
LAYERS = (
    Layer.conv("conv", in_channels=24, out_channels=40, input_size=14, kernel=3, padding=1),
    Layer.conv(
        "depthwise", in_channels=48, out_channels=48, input_size=29, kernel=3, stride=2, groups=48
    ),
    Layer.conv("wide", in_channels=64, out_channels=64, input_size=570, kernel=3),
    Layer.gemm("product", M=48, N=96, K=80),
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HWGYM_CACHE", str(tmp_path))
    kinds._costs.cache_clear()
    yield tmp_path
    kinds._costs.cache_clear()


def counted(kind):
    style = KINDS[kind].template
    return {"hold": style.hold, "forward": style.forward, "reduce": style.reduce}


def mappings(layer, kind, pes, narrow=False):
    """The lattice of one sub-accelerator, as the documentation says it is."""
    parts = Choices((64, 256, 512), tuple(pes * 1024 >> i for i in range(8, -1, -1)))
    style, shape = KINDS[kind].template, (pes // KINDS[kind].cluster, KINDS[kind].cluster)
    return lattice(layer, style, *shape, parts, Machine(), least=True, narrow=narrow)


def machine(pes, bandwidth):
    return Machine(dram_bandwidth=bandwidth, l2_bandwidth=pes / 4)


@pytest.mark.parametrize("layer", LAYERS, ids=[layer.name for layer in LAYERS])
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_the_models_of_the_best_mapping(kind, layer, folder):
    pes = 256
    for slack in (0.0, 0.01):
        found = kind_costs([layer], kind, [pes], BANDWIDTHS, slack=slack)
        assert found.cycles.shape == found.traffic.shape == (1, len(BANDWIDTHS), 1)
        for i, bandwidth in enumerate(BANDWIDTHS):
            p = profile(mappings(layer, kind, pes), machine(pes, bandwidth), **counted(kind))
            if not (p.l2_bytes <= pes * 1024).any():
                nests = mappings(layer, kind, pes, narrow=True)
                p = profile(nests, machine(pes, bandwidth), **counted(kind))
            p = p[(p.l1_bytes <= 512) & (p.l2_bytes <= pes * 1024)]
            near = p[p.latency_cycles <= p.latency_cycles.min() * (1 + slack)]
            moved = near.dram_read_bytes + near.dram_write_bytes
            assert found.traffic[0, i, 0] == moved.min()
            assert found.cycles[0, i, 0] == near.latency_cycles[moved == moved.min()].min()


SMALL = (
    Layer.conv("conv", in_channels=5, out_channels=20, input_size=15, kernel=3, stride=2),
    Layer.conv("depthwise", in_channels=20, out_channels=20, input_size=8, kernel=3, groups=20),
    Layer.gemm("product", M=20, N=18, K=40),
)


@pytest.mark.parametrize("layer", SMALL, ids=[layer.name for layer in SMALL])
@pytest.mark.parametrize("kind", KINDS)
def test_the_simulator_moves_what_is_told(kind, layer, monkeypatch, folder):
    # An L2 so small that tiles come back.
    monkeypatch.setattr(kinds, "L2_BYTES_PER_PE", 32)
    pes = 64
    found = kind_costs([layer], kind, [pes], [4])
    nests = kinds._mappings(layer, KINDS[kind], pes)
    p = profile(nests, machine(pes, 4), **counted(kind))
    moved = p.dram_read_bytes + p.dram_write_bytes
    taken = (p.latency_cycles == found.cycles.item()) & (moved == found.traffic.item())
    one = nests[np.flatnonzero(taken)[:1]]
    point = {f.name: getattr(one, f.name)[0].tolist() for f in fields(one)}
    how = counted(kind)
    walked = simulate(point, **{**how, "hold": asdict(how["hold"])}, halo=True)
    traffic = analyse(one, **how)
    assert {name: int(getattr(traffic, name)[0]) for name in NAMES} == walked
    outputs = (layer.C if layer.is_depthwise else layer.K) * layer.OY * layer.OX
    unfinished = walked["output_dram_read"] + walked["output_dram_write"] - outputs
    read = walked["weight_dram_read"] + walked["input_dram_read"]
    assert found.traffic.item() == read + outputs + 4 * unfinished
    assert found.cycles.item() >= walked["cycles"]


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_limit_nothing_waits_for_dram(kind, folder):
    pes = 256
    found = kind_costs(LAYERS, kind, [pes], [1e15, math.inf])
    # Each of four transfers takes a whole cycle, however fast.
    assert (found.cycles[0, 0] - found.cycles[0, 1] >= 0).all()
    assert (found.cycles[0, 0] - found.cycles[0, 1] <= 4).all()


@pytest.mark.parametrize("kind", KINDS)
def test_more_never_takes_longer(kind, folder):
    pes = [eighths * 128 for eighths in range(1, 9)]
    cycles = kind_costs(LAYERS, kind, pes, [2, 4, 16, math.inf]).cycles
    assert (np.diff(cycles, axis=0) <= 0).all()
    assert (np.diff(cycles, axis=1) <= 0).all()
    assert np.unique(cycles).size > cycles.size // 3
    # Whatever the order that they are asked for in.
    other = kind_costs(LAYERS[::-1], kind, [*pes[::-1], pes[0]], [math.inf, 2]).cycles
    np.testing.assert_array_equal(other[:8, 1, ::-1], cycles[::-1, 0])
    np.testing.assert_array_equal(other[8], other[7])


@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_of_the_zoo_is_possible(kind):
    # Of layers that differ in little, one; on the least part, and so on all.
    layers = {}
    for layer in (layer for name in models() for layer in workload(name)):
        layers.setdefault((layer.is_depthwise, layer.R, layer.S, layer.OX, layer.strides), layer)
    widest = sorted(layers.values(), key=lambda layer: -layer.OX * layer.C)[::4]
    assert np.isfinite(kind_costs(widest, kind, [128], [2]).cycles).all()


def test_a_part_without_room_for_a_cluster_runs_nothing(folder):
    for kind, (_, cluster) in KINDS.items():
        found = kind_costs(
            LAYERS[:1], kind, [cluster - 1, 2 * cluster - 1, 2 * cluster], [math.inf]
        )
        assert np.isinf(found.cycles[0]).all()
        assert not found.traffic[0].any()
        assert np.isfinite(found.cycles[1:]).all()


def test_kinds_are_those_on_maestro():
    assert list(KINDS) == list(ON_MAESTRO)
    for name, kind in KINDS.items():
        assert kind.name == name
        for depthwise in (False, True):
            assert ON_MAESTRO[name].cluster_sizes(depthwise=depthwise) == (kind.cluster,)


def test_what_is_parallel_is_as_on_maestro(folder):
    # Cycles of computing on four clusters of 64, or sixteen of 16.
    layers = (
        Layer("c", "CONV", 4, 64, 1, 1, 1, 1),
        Layer("yk", "CONV", 16, 1, 16, 1, 1, 1),
        Layer("yx", "CONV", 1, 1, 16, 16, 1, 1),
        Layer("d", "DSCONV", 1, 16, 16, 16, 3, 3),
    )
    for kind in KINDS:
        busy = evaluate(layers, ON_MAESTRO[kind], 256, 1).avg_utilized_pes
        for layer, pes in zip(layers, busy, strict=True):
            nests = mappings(layer, kind, 256)
            assert layer.macs / analyse(nests, **counted(kind)).cycles.min() == pes


def test_networks_of_small_layers_want_several_kinds():
    layers = workload("MobileNetV2").layers
    repeat = [layer.repeat for layer in layers]
    alone = [kind_costs(layers, kind, [1024], [16]).cycles[0, 0] for kind in KINDS]
    cycles = np.array(alone) * repeat
    assert 2 < cycles.sum(1).min() / cycles.min(0).sum() < 2.2
    assert np.bincount(cycles.argmin(0), minlength=3).min() >= 5


def test_costs_are_kept_on_disk(folder, monkeypatch):
    first = kind_costs(LAYERS[:1], "nv", [64, 128], [4, math.inf])
    (file,) = folder.iterdir()

    def mapped_again(*_):
        raise AssertionError("mapped again")

    monkeypatch.setattr(kinds, "_mappings", mapped_again)
    kinds._costs.cache_clear()
    # Neither name nor repeats are part of it.
    again = kind_costs([replace(LAYERS[0], name="b", repeat=3)], "nv", [64, 128], [4, math.inf])
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(AssertionError, match="mapped again"):
        kind_costs(LAYERS[:1], "nv", [64, 128], [4, 8])
    file.write_bytes(b"no archive")
    kinds._costs.cache_clear()
    with pytest.raises(AssertionError, match="mapped again"):
        kind_costs(LAYERS[:1], "nv", [64, 128], [4, math.inf])


def test_jobs_have_one_mapping_on_a_core(folder):
    cores = [Core("nv", 256), Core("ykp", 256), Core("nv", 256), Core("nv", 32)]
    jobs = [LAYERS[0], LAYERS[1], LAYERS[0]]
    costs = job_costs(jobs, cores, "loopnest")
    assert costs.possible.tolist() == [[True, True, True, False]] * 3
    assert (costs.latency[:, 3] == 1).all()
    assert not costs.traffic[:, 3].any()
    for each in costs:
        np.testing.assert_array_equal(each[:, 0], each[:, 2])
        np.testing.assert_array_equal(each[0], each[2])
    for column, core in enumerate(cores[:2]):
        pes = [core.num_pes * eighths // 8 for eighths in range(1, 9)]
        slack = kind_costs(jobs, core.kind, pes, [math.inf], slack=LATENCY_SLACK)
        np.testing.assert_array_equal(costs.latency[:, column], slack.cycles[-1, 0])
        np.testing.assert_array_equal(costs.traffic[:, column], slack.traffic[-1, 0])
        least = kind_costs(jobs, core.kind, pes, [math.inf])
        assert (costs.latency[:, column] <= 1.01 * least.cycles[-1, 0]).all()
        assert (costs.traffic[:, column] <= least.traffic[-1, 0]).all()
        # Nothing is fetched less than once, as MACs count it, nor computed faster than the PEs can.
        assert (costs.traffic[:, column] >= [layer.weights for layer in jobs]).all()
        assert (costs.latency[:, column] >= [layer.macs / core.num_pes for layer in jobs]).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "yzp"}, "unknown kind of sub-accelerator 'yzp'"),
        ({"num_pes": [0]}, "num_pes must be positive"),
        ({"num_pes": [1.5]}, "num_pes must be positive"),
        ({"num_pes": []}, "at least one"),
        ({"bandwidths": [0.0]}, "bandwidths must be positive"),
        ({"bandwidths": [math.nan]}, "bandwidths must be positive"),
        ({"bandwidths": []}, "at least one"),
        ({"slack": -0.1}, "slack is a share"),
    ],
)
def test_errors_say_what_is_allowed(wrong, message):
    given = {"kind": "nv", "num_pes": [64], "bandwidths": [1.0], **wrong}
    with pytest.raises(ValueError, match=message):
        kind_costs(LAYERS[:1], **given)


def test_an_unknown_cost_model_gets_the_nearest():
    with pytest.raises(ValueError, match=r"unknown cost model 'lopnest'.*loopnest"):
        job_costs(LAYERS[:1], [Core("nv", 64)], "lopnest")
