"""The lattice of mappings: its best, what a finer one gains, and all tilings of tiny layers."""

from itertools import product

import numpy as np
import pytest

from hwgym.costs.loopnest import DIMS, TEMPLATES, Choices, Nests, best, energy, profile
from hwgym.costs.loopnest.lattice import (
    LATENCY_SLACK,
    OBJECTIVES,
    _positions,
    _spread,
    choose,
    enumerate_profiles,
    extent_of,
)
from hwgym.costs.loopnest.templates import L2_ORDERS
from hwgym.hardware import Machine
from hwgym.workloads import Layer

MACHINE = Machine()
CHOICES = Choices((32, 64, 128, 256, 512, 1024), tuple(1 << n for n in range(13, 20)))
LAYERS = {
    layer.name: layer
    for layer in (
        Layer.conv("conv", in_channels=32, out_channels=32, input_size=14, kernel=3, padding=1),
        Layer.conv("pointwise", in_channels=96, out_channels=24, input_size=28, kernel=1),
        Layer.conv(
            "depthwise",
            in_channels=48,
            out_channels=48,
            input_size=28,
            kernel=3,
            padding=1,
            groups=48,
            stride=2,
        ),
        Layer.gemm("product", M=64, N=96, K=48),
    )
}


def all_tilings(layer, style, rows, columns):
    """Every tile of the free dimensions, every L2 tile along K, C and P (or Q), every order."""
    extent, stride, dilation = extent_of(layer)
    size = dict(zip(DIMS, extent.tolist(), strict=True))
    inside = [
        range(1, size[d] + 1) if d in style.free else [size[d] if d in style.whole else 1]
        for d in DIMS
    ]
    tiles = np.array(list(product(*inside)))
    points = []
    for tile, spread in zip(tiles, _spread(style, size, tiles, rows, columns), strict=True):
        need = -(-extent // (tile * spread))
        cut = "KCQ" if need[DIMS.index("P")] == 1 else "KCP"
        steps = [range(1, n + 1) if d in cut else [n] for d, n in zip(DIMS, need, strict=True)]
        steps[0] = steps[1] = [1]
        for n, dram, l2 in product(product(*steps), L2_ORDERS, style.orders):
            points.append((tile, spread, n, _positions(dram), _positions(l2)))
    tile, spread, steps, dram, l2 = (np.array(column) for column in zip(*points, strict=True))
    inner = _positions(style.l1_order)
    nests = Nests(extent, tile, spread, steps, dram, l2, inner, stride, dilation)
    return profile(nests, MACHINE, hold=style.hold, forward=style.forward, reduce=style.reduce)


@pytest.mark.parametrize("style", TEMPLATES)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_best_is_the_best_of_those_that_fit(style, objective):
    layer, rest = LAYERS["conv"], (TEMPLATES[style], 4, 4, CHOICES, MACHINE)
    _, p = enumerate_profiles(layer, *rest)
    found = best(layer, *rest, objective)
    for i, j in np.ndindex(*found.point.shape):
        l1, l2 = CHOICES.l1_bytes[i], CHOICES.l2_bytes[j]
        spent = energy(p, MACHINE, l1, l2).total
        cycles = p.latency_cycles
        fits = [n for n in range(len(p)) if p.l1_bytes[n] <= l1 and p.l2_bytes[n] <= l2]
        assert found.valid[i, j] == bool(fits)
        if not fits:
            assert found.point[i, j] == -1
            continue
        if objective == "latency":
            least = min(cycles[n] for n in fits)
            near = [n for n in fits if cycles[n] <= least * (1 + LATENCY_SLACK)]
            wanted = min(spent[n] for n in near)
            assert cycles[found.point[i, j]] <= least * (1 + LATENCY_SLACK)
        elif objective == "energy":
            wanted = least = min(spent[n] for n in fits)
        else:
            least = min(spent[n] * cycles[n] for n in fits)
            wanted = least / found.latency_cycles[i, j]
        assert found.floor[i, j] == pytest.approx(least)
        assert found.energy_nj[i, j] == pytest.approx(wanted)
        assert found.latency_cycles[i, j] == cycles[found.point[i, j]]


def gains(layer, style, shape):
    """By how much the best of a lattice with two more rungs between powers of two, some ten times
    as many mappings before they are filtered, is better: latency and energy, all sizes."""
    rest = TEMPLATES[style], *shape, CHOICES, MACHINE
    (_, coarse), (_, fine) = (enumerate_profiles(layer, *rest, finer=n) for n in (1, 3))
    for objective in ("latency", "energy"):
        one, other = (choose(p, CHOICES, MACHINE, objective) for p in (coarse, fine))
        fits = one.valid & other.valid
        yield one.floor[fits] / np.minimum(one.floor, other.floor)[fits] - 1


@pytest.mark.parametrize("shape", [(4, 4), (8, 16)])
@pytest.mark.parametrize("style", TEMPLATES)
@pytest.mark.parametrize("name", LAYERS)
def test_what_a_finer_lattice_gains(name, style, shape):
    latency, energy_ = gains(LAYERS[name], style, shape)
    # Where powers of two fit neither 24 and 96 nor the array, PEs idle that other tiles use.
    known = {
        ("pointwise", "Eyeriss", (8, 16)): 0.014,
        ("pointwise", "ShiDianNao", (8, 16)): 0.45,
        ("pointwise", "TPU", (8, 16)): 0.11,
        ("product", "NVDLA", (8, 16)): 0.07,
    }
    if latency.size:
        assert latency.max() <= known.get((name, style, shape), 0.01)
        assert energy_.max() <= 0.22
        assert energy_.mean() <= 0.06


TINY = {
    layer.name: layer
    for layer in (
        Layer.conv("pointwise", in_channels=4, out_channels=4, input_size=4, kernel=1),
        Layer.conv("conv", in_channels=4, out_channels=4, input_size=6, kernel=3),
        Layer.gemm("product", M=8, N=8, K=8),
    )
}


@pytest.mark.parametrize("style", TEMPLATES)
@pytest.mark.parametrize("name", TINY)
def test_all_tilings_of_tiny_layers_are_hardly_better(name, style):
    choices = Choices((4, 8, 16, 32, 64, 128), (32, 64, 128, 256, 512, 1024))
    _, lattice = enumerate_profiles(TINY[name], TEMPLATES[style], 2, 2, choices, MACHINE)
    every = all_tilings(TINY[name], TEMPLATES[style], 2, 2)
    assert len(every) > 5 * len(lattice)
    one, other = (choose(p, choices, MACHINE, "latency") for p in (lattice, every))
    # Tiles that fill L1 may be too large for the least L2, where smaller ones would do.
    assert (one.valid <= other.valid).all()
    assert (other.valid & ~one.valid).sum() <= 4
    assert (other.valid == one.valid)[:, 3:].all()
    fits = one.valid
    # Smaller tiles than those that fill a buffer begin two cycles earlier; of 68 that is 3 %.
    assert (one.floor >= other.floor)[fits].all()
    assert (one.floor <= np.maximum(other.floor * 1.01, other.floor + 2))[fits].all()
    one, other = (choose(p, choices, MACHINE, "energy") for p in (lattice, every))
    assert (one.energy_nj >= other.energy_nj * (1 - 1e-12))[fits].all()
    assert (one.energy_nj <= other.energy_nj * 1.015)[fits].all()
