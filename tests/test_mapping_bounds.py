"""What is proven of mappings: optima that exhaustion confirms, and bounds that nothing passes."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import hwgym
from hwgym.bounds.movement import Operand, least_movement
from hwgym.core.problem import InfeasibleError
from hwgym.costs.maestro import Mappings, evaluate_mappings
from hwgym.costs.maestro.even import EvenLevel
from hwgym.families.mapping import MappingHardware, MappingSpace, enumeration, mapping_problem
from hwgym.families.mapping.bounds import compulsory_elements, least_cycles, least_elements
from hwgym.families.mapping.enumeration import Search, interconnect
from hwgym.workloads import Layer

OBJECTIVES = ("energy", "latency", "edp")
CONV = Layer("conv", "CONV", K=2, C=2, OY=2, OX=1, R=2, S=1)
WIDE = Layer("wide", "CONV", K=4, C=1, OY=1, OX=4, R=1, S=3)
GEMM = Layer("gemm", "GEMM", K=4, C=2, OY=3, OX=1, R=1, S=1)
DEPTHWISE = Layer("depthwise", "DSCONV", K=1, C=3, OY=2, OX=2, R=2, S=2)
TINY = {
    "conv": (CONV, MappingHardware(4, 26, 40, 2)),
    "conv, room": (CONV, MappingHardware(5, 100, 400)),
    "wide": (WIDE, MappingHardware(4, 40, 60, 3)),
    "gemm": (GEMM, MappingHardware(6, 14, 36, 2)),
    "depthwise": (DEPTHWISE, MappingHardware(4, 60, 90, 4)),
}


def random_mappings(space, rng, count):
    """Mappings of a space that nest, whether or not they fit."""
    tiles = np.empty((count, 2, 4), np.int64)
    for d, choices in enumerate(space.tile_choices):
        tiles[:, 0, d] = rng.choice(choices, count)
        for i, outer in enumerate(tiles[:, 0, d].tolist()):
            inner = choices[choices <= outer]
            tiles[i, 1, d] = rng.choice(
                inner if space.tiles == "any" else inner[outer % inner == 0]
            )
    return Mappings(
        rng.choice(space.clusters, count),
        rng.choice(space.parallels, (count, 2)),
        tiles,
        rng.choice(space.orders, (count, 2)),
    )


def all_mappings(space):
    """All that differ, of tiles that divide: loops of one turn stand where they may."""
    turning = [d for d in range(4) if len(space.tile_choices[d]) > 1]
    orders = {tuple(d for d in order if d in turning): order for order in space.orders.tolist()}
    nested = [
        [(outer, inner) for outer in choices.tolist() for inner in choices.tolist()
         if outer % inner == 0]
        for choices in space.tile_choices
    ]  # fmt: skip
    head = list(product(space.clusters.tolist(), space.parallels.tolist(),
                        space.parallels.tolist(), orders.values(), orders.values()))  # fmt: skip
    tiles = np.array(list(product(*nested))).transpose(0, 2, 1)
    rows = np.repeat(np.arange(len(head)), len(tiles))
    return Mappings(
        np.array([h[0] for h in head])[rows],
        np.array([h[1:3] for h in head])[rows],
        np.tile(tiles, (len(head), 1, 1)),
        np.array([h[3:5] for h in head])[rows],
    )


@pytest.mark.parametrize("fixed", [False, True])
def test_a_level_of_even_tiles_is_what_the_engine_has(fixed):
    rng = np.random.default_rng(1)
    layers = [
        Layer("a", "CONV", K=12, C=6, OY=8, OX=6, R=3, S=3),
        Layer("b", "CONV", K=8, C=3, OY=12, OX=10, R=7, S=5),
        Layer("c", "GEMM", K=24, C=36, OY=30, OX=1, R=1, S=1),
        Layer("d", "DSCONV", K=1, C=24, OY=12, OX=8, R=3, S=3),
    ]
    for layer, hardware in product(
        layers,
        [MappingHardware(168, 1, 1), MappingHardware(60, 1, 1, 16), MappingHardware(24, 1, 1, 4)],
    ):
        space = MappingSpace(layer, hardware, fixed=fixed)
        m = random_mappings(space, rng, 60)
        costs = evaluate_mappings(layer, m, hardware.num_pes, hardware.interconnect, fixed=fixed)
        for i in range(len(m)):
            units, cluster = int(hardware.num_pes // m.cluster[i]), int(m.cluster[i])
            outer, inner = m.tiles[i].tolist()
            first, second = ([d for d in o if d in space.parallels] for o in m.orders[i].tolist())
            spread = m.parallel[i].tolist()
            kind = space.depthwise, fixed
            below = EvenLevel(outer, inner, space.filters, cluster, spread[1], second, *kind)
            level = EvenLevel(
                space.sizes.tolist(), outer, space.filters, units, spread[0], first, *kind
            )
            noc = interconnect(space)
            runtime = level.runtime(noc, below.runtime(noc), Search(space)._offchip(level))
            assert [*level.moved(), level.request, runtime] == [
                costs.input_l2_read[i],
                costs.weight_l2_read[i],
                costs.output_l2_write[i],
                costs.l2_bytes[i],
                costs.runtime_cycles[i],
            ]


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("name", TINY)
def test_certificates_are_what_exhaustion_finds(name, fixed):
    layer, hardware = TINY[name]
    problem = mapping_problem(layer, hardware, objective="latency", fixed=fixed)
    space = problem.mappings
    m = all_mappings(space)
    scores = problem.evaluate(space.genes(m))
    valid = scores.valid
    if not fixed:  # the traffic of the last cluster is forgotten
        spread = m.parallel[:, 0]
        chunks = space.sizes[spread] // m.tiles[np.arange(len(m)), 0, spread]
        valid = valid & ~((chunks > 1) & (chunks < hardware.num_pes // m.cluster))
    latency, energy = (np.where(valid, scores[n], np.inf) for n in ("latency", "energy"))
    for objective in OBJECTIVES:
        found = mapping_problem(layer, hardware, objective=objective, fixed=fixed).certify()
        assert found.exact
        least = {"energy": energy, "latency": latency, "edp": energy * latency}[objective].min()
        assert found.objective == pytest.approx(least, rel=1e-12)
    for cap in np.unique(latency[np.isfinite(latency)]).astype(int)[[0, 1, 5, -1]].tolist():
        capped = {"objective": "energy", "latency_cap": cap, "fixed": fixed}
        found = mapping_problem(layer, hardware, **capped).certify()
        assert found.exact
        assert found.objective == pytest.approx(energy[latency <= cap].min(), rel=1e-12)


@pytest.mark.parametrize("name", ["conv", "depthwise"])
def test_the_best_of_some_clusters_and_of_given_orders(name):
    layer, hardware = TINY[name]
    problem = mapping_problem(layer, hardware, fixed=True)
    space = problem.mappings
    m = all_mappings(space)
    scores = problem.evaluate(space.genes(m))
    access = hardware.interconnect.tech.l2_energy_macs * hardware.interconnect.tech.mac_energy_nj
    value = np.where(scores.valid, scores["energy"] / access + 3 * scores["latency"], np.inf)

    def worth(elements, cycles):
        return elements + 3 * cycles

    for cluster in space.clusters.tolist():
        found = Search(space, [cluster]).best(worth)
        assert found.value == pytest.approx(value[m.cluster == cluster].min(), rel=1e-12)
        assert found.mapping.cluster == cluster
    orders = np.unique(m.orders, axis=0)
    for pair in orders[[0, 1, len(orders) // 2, -1]].tolist():
        found = Search(space, orders=pair).best(worth)
        same = (m.orders == np.array(pair)).all(axis=(1, 2))
        assert found.value == pytest.approx(value[same].min(), rel=1e-12)
        assert found.mapping.orders.tolist() == [pair]


def test_a_cap_that_nothing_meets():
    problem = mapping_problem(CONV, TINY["conv"][1], objective="energy", latency_cap=3)
    with pytest.raises(InfeasibleError, match=r"no mapping of conv .* the fastest found takes"):
        problem.certify()


@pytest.mark.parametrize(
    ("layer", "energy_nj"),
    [("released/ResNet50:1", 14387.8), ("released/ResNet50:20", 2862.12), ("BERT:1", 17639.5)],
)
def test_the_least_energies_that_are_known(layer, energy_nj):
    found = mapping_problem(layer, "edge", objective="energy").certify()
    assert found.exact
    assert float(f"{found.objective:.6g}") == energy_nj


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_an_enumeration_that_ends_early_still_bounds(objective, monkeypatch):
    problem = mapping_problem("MobileNetV2:35", "1024", objective=objective)
    best = problem.certify()
    monkeypatch.setattr(enumeration, "MOST_INNER", 1)
    monkeypatch.setattr(enumeration, "BATCH", 1)
    early = problem.certify()
    assert early.lower_bound <= best.objective <= early.objective
    monkeypatch.setattr(enumeration, "MOST_POINTS", 20_000)
    few = problem.certify()
    assert few.lower_bound <= best.objective <= few.objective
    assert few.lower_bound > 0


@pytest.mark.parametrize("tiles", ["divisors", "any"])
@pytest.mark.parametrize("name", ["conv", "wide", "gemm", "depthwise"])
def test_no_mapping_falls_below_the_bounds(name, tiles):
    rng = np.random.default_rng(2)
    layer = {
        "conv": Layer("a", "CONV", K=12, C=6, OY=10, OX=6, R=3, S=3),
        "wide": Layer("b", "CONV", K=5, C=3, OY=4, OX=30, R=2, S=5),
        "gemm": Layer("c", "GEMM", K=24, C=36, OY=30, OX=1, R=1, S=1),
        "depthwise": Layer("d", "DSCONV", K=1, C=24, OY=12, OX=8, R=3, S=3),
    }[name]
    for hardware in (MappingHardware(40, 400, 1200, 6), MappingHardware(12, 4000, 12000)):
        space = MappingSpace(layer, hardware, tiles, fixed=True)
        m = random_mappings(space, rng, 4000)
        costs = evaluate_mappings(layer, m, hardware.num_pes, hardware.interconnect, fixed=True)
        fits = costs.valid & (costs.l2_bytes <= hardware.l2_bytes)
        assert fits.sum() > 50
        assert costs.runtime_cycles[fits].min() >= least_cycles(space)
        access = (
            hardware.interconnect.tech.l2_energy_macs * hardware.interconnect.tech.mac_energy_nj
        )
        assert costs.energy_nj[fits].min() >= least_elements(space) * access * (1 - 1e-12)


def test_certificates_of_any_tiles():
    for objective in OBJECTIVES:
        wide = mapping_problem("ViT:5", "edge", objective=objective, tiles="any").certify()
        even = mapping_problem("ViT:5", "edge", objective=objective, fixed=True).certify()
        assert wide.lower_bound <= wide.objective == even.objective
        assert wide.gap < 0.2


# --- data movement --------------------------------------------------------------------------------


def test_movement_of_a_product_of_matrices():
    layer = hwgym.workload("BERT").layers[0]
    problem = mapping_problem(layer, "edge", objective="energy")
    space = problem.mappings
    best = Search(space).best("energy")
    loose, bound = best.elements / compulsory_elements(space), best.elements / least_elements(space)
    assert loose > 1.74
    assert 1 <= bound < 1.04


@pytest.mark.parametrize("spec", ["ResNet50:13", "VGG16:11", "MobileNetV2:20", "ViT:8", "BERT:4"])
@pytest.mark.parametrize("kib", [16, 64, 1024])
def test_movement_is_below_the_least_that_enumeration_finds(spec, kib):
    space = mapping_problem(
        spec, MappingHardware(64, 512, kib * 1024), objective="energy", fixed=True
    ).mappings
    best = Search(space).best("energy")
    assert compulsory_elements(space) <= least_elements(space) <= best.elements


def test_movement_shrinks_with_room_to_what_must_move():
    operands = [Operand([1, 2]), Operand([0, 1])], Operand([0, 2])
    least = [least_movement([64, 96, 128], *operands, room) for room in (3, 50, 500, 5000, 30000)]
    assert least == sorted(least, reverse=True)
    assert least[-1] == 64 * 96 + 96 * 128 + 64 * 128
    # The classic result: about 2 n^3 / sqrt(room) for large matrices, and results besides.
    assert 64 * 96 * 128 / 500**0.5 < least[2] < 4 * 64 * 96 * 128 / 500**0.5


def test_movement_of_a_filter_that_reaches_over_rows():
    rows = Operand([0], {0: 2})
    assert least_movement([10], [rows], Operand([0]), 100) == 12 + 10
    assert least_movement([10], [rows], Operand([0]), 5) == pytest.approx(22, rel=2e-3)


def test_movement_needs_room_for_one_index_of_each():
    with pytest.raises(ValueError, match=r"take 3 elements; 2 are held"):
        least_movement([4, 4, 4], [Operand([1, 2]), Operand([0, 1])], Operand([0, 2]), 2)
