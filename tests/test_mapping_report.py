"""What is said of a mapping: where its time goes, what fails, its files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import gamma
from hwgym.costs.maestro import (
    Cluster,
    Dataflow,
    Hardware,
    Mappings,
    SpatialMap,
    TemporalMap,
    evaluate_mappings,
    extents,
)
from hwgym.costs.maestro.waits import time_split
from hwgym.families.mapping.hardware import MappingHardware
from hwgym.families.mapping.mapping_files import (
    mapping_of,
    mapping_toml,
    mapping_values,
    read_mapping,
)
from hwgym.families.mapping.report import explain
from hwgym.families.mapping.timeloop_files import timeloop_file
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


# --- files ----------------------------------------------------------------------------------------

CONV = Layer("conv", "CONV", 16, 12, 14, 14, 3, 3)
DEPTHWISE = Layer("dw", "DSCONV", 1, 12, 14, 14, 3, 3)


def divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


def drawn(layer: Layer, rng: np.random.Generator, *, divide: bool = True) -> Mappings:
    """A random mapping; with ``divide`` tiles divide what they are tiles of."""
    tiles: list[list[int]] = [[], []]
    for whole in extents(layer):
        outer = int(rng.choice(divisors(whole) if divide else np.arange(1, whole + 1)))
        tiles[0].append(outer)
        tiles[1].append(int(rng.choice(divisors(outer) if divide else np.arange(1, outer + 1))))
    spread = rng.integers(layer.kind == "DSCONV", 4, (1, 2))
    orders = np.array([[rng.permutation(4), rng.permutation(4)]])
    if layer.kind == "DSCONV":  # where K stands means nothing: in front
        orders = np.array([[[0, *(d for d in order if d)] for order in orders[0]]])
    return Mappings(np.array([rng.integers(1, 9)]), spread, np.array([tiles]), orders)


@pytest.mark.parametrize("layer", [CONV, DEPTHWISE], ids=["conv", "depthwise"])
def test_a_mapping_is_read_back_from_every_file(tmp_path, layer):
    rng = np.random.default_rng(0)
    for divide in (True, False):
        mapping = drawn(layer, rng, divide=divide)
        values = mapping_values(mapping, layer)
        (tmp_path / "a.m").write_text(mapping.text(0, layer))
        (tmp_path / "b.json").write_text(json.dumps({"seed": 0, "mapping": values}))
        (tmp_path / "c.toml").write_text(mapping_toml(mapping, layer))
        for name in ("a.m", "b.json", "c.toml"):
            assert mapping_values(read_mapping(tmp_path / name, layer), layer) == values


def test_files_that_hold_no_mapping_say_what_is_wrong(tmp_path):
    values = mapping_values(drawn(CONV, np.random.default_rng(1)), CONV)

    def says(change: dict, text: str) -> None:
        with pytest.raises(ValueError, match=text):
            mapping_of(values | change, CONV)

    says({"outter": {}}, "unknown key 'outter'; did you mean 'outer'")
    says({"cluster": 0}, "cluster must be a positive integer, got 0")
    says({"outer": values["outer"] | {"parallel": "Z"}}, "unknown dimension 'Z'")
    says({"inner": values["inner"] | {"order": "KCY"}}, "each of K, C, Y, X once")
    says({"inner": values["inner"] | {"tile": {"K": 1}}}, "tile: C is missing")
    with pytest.raises(ValueError, match=r"outer, inner missing"):
        mapping_of({"cluster": 1}, CONV)
    with pytest.raises(ValueError, match=r"must end in \.m, \.toml, \.json"):
        read_mapping(tmp_path / "x.yaml", CONV)
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(ValueError, match=r"x\.json: "):
        read_mapping(tmp_path / "x.json", CONV)
    both = "".join(f"Layer L{i} {{ Dataflow {{ SpatialMap({i}, {i}) K; }} }}" for i in range(1, 3))
    (tmp_path / "net.m").write_text("Network n {" + both + "}")
    with pytest.raises(ValueError, match=r"2 dataflows.*name a layer, as net\.m:L1"):
        read_mapping(tmp_path / "net.m", CONV)
    with pytest.raises(ValueError, match=r"unknown layer 'L3'"):
        read_mapping(f"{tmp_path / 'net.m'}:L3", CONV)
    with pytest.raises(ValueError, match="two levels, found 1"):
        read_mapping(f"{tmp_path / 'net.m'}:L1", CONV)


@pytest.mark.parametrize("layer", [CONV, DEPTHWISE], ids=["conv", "depthwise"])
def test_timeloop_gets_the_same_loops(layer):
    yaml = pytest.importorskip("yaml")
    rng = np.random.default_rng(3)
    names = ("K", "C" if layer is CONV else "G", "P", "Q")
    for _ in range(40):
        mapping = drawn(layer, rng)
        found = timeloop_file(layer, mapping, 24)
        text = yaml.safe_load(found.text)
        assert set(text) == {"problem", "architecture", "mapping"}
        loops = [entry for entry in text["mapping"] if "factors" in entry]
        bounds = {
            (entry["target"], entry["type"]): {
                each[0]: int(each[1:].split(",")[0]) for each in entry["factors"].split()
            }
            for entry in loops
        }
        one = dict.fromkeys("GKCPQRS", 1)
        tile, pes = bounds["RF", "temporal"], bounds.get(("CB", "spatial"), one)
        steps, across = bounds["CB", "temporal"], bounds.get(("GB", "spatial"), one)
        outer = bounds["DRAM", "temporal"]
        assert (tile["R"], tile["S"]) == (3, 3)
        assert math.prod(pes.values()) <= mapping.cluster[0]
        assert math.prod(across.values()) <= 24 // mapping.cluster[0]
        for dim, name in enumerate(names):
            whole = extents(layer)[dim]
            [held, own] = mapping.tiles[0, :, dim]
            assert tile[name] == own
            rounds = -(-held // own // pes[name])
            assert steps[name] == rounds
            assert held == whole or pes[name] * rounds * own == held
            assert outer[name] == -(-whole // (across[name] * held))
        order = [names[d] for d in mapping.orders[0, 0][::-1]]
        [walked] = [e for e in loops if e["target"] == "DRAM"]
        assert [d for d in walked["permutation"] if d in names][: len(order)] == order


def test_what_timeloop_cannot_say_is_noted():
    tiles = np.array([[[8, 12, 7, 14], [8, 4, 1, 14]]])
    orders = np.array([[[0, 1, 2, 3], [0, 1, 2, 3]]])
    mapping = Mappings(np.array([4]), np.array([[0, 2]]), tiles, orders)
    found = timeloop_file(CONV, mapping, 8)  # seven rows go to four PEs: four, then three
    assert not found.same
    assert "7 tiles of output rows (Y') go to 1 PEs" in found.notes[0]
    assert found.notes[0] in found.text
    even = Mappings(np.array([7]), np.array([[0, 2]]), tiles, orders)
    assert timeloop_file(CONV, even, 14).same
    assert not any("end early" in note for note in timeloop_file(CONV, even, 14).notes)
    tiles[0, :, 3] = 4  # 14 columns: 4, 4, 4 and 2
    early = timeloop_file(CONV, Mappings(np.array([7]), np.array([[0, 2]]), tiles, orders), 14)
    assert early.same
    assert "loops over Q end early" in early.notes[0]
    assert "Q4,2" in early.text
    with pytest.raises(ValueError, match="a cluster of 4 PEs does not fit an array of 3"):
        timeloop_file(CONV, mapping, 3)
    with pytest.raises(ValueError, match="must be 3 or 4, got 5"):
        timeloop_file(CONV, mapping, 8, version=5)
    old = timeloop_file(CONV, even, 14, 512, 108_000, version=3).text
    assert "data-spaces" in old
    assert "data_spaces" not in old
    for half in ("depth: 54000", "depth: 256"):
        assert half in old


# --- what GAMMA found -----------------------------------------------------------------------------


def test_gammas_mappings_cost_what_maestro_says():
    assert len(gamma.winners()) == 82
    assert all(winner.same for winner in gamma.winners())


def test_three_winners_of_thirty_four_are_true():
    released = [w for w in gamma.winners() if w.source == "released"]
    masked = [w for w in gamma.winners() if w.source == "masked"]
    assert list(gamma.counts(released).values()) == [34, 10, 23, 31, 11, 8, 3, 3]
    assert list(gamma.counts(masked).values()) == [48, 0, 0, 0, 0, 48, 48, 48]
    for winner in gamma.winners():
        told = explain(winner.layer, winner.mapping, gamma.EDGE)
        assert told.valid == (not winner.faults) == winner.costs.valid[0]
        assert winner.mended.valid[0]
        assert winner.mended.runtime_cycles[0] >= winner.peak_cycles


def test_the_script_prints_them(capsys):
    assert gamma.main([]) == 0
    assert "31  fewer cycles than its busiest PE has steps" in capsys.readouterr().out
    assert gamma.main(["--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("| VGG16-") for line in lines) == 10 + 2
    assert "| multiply-accumulates are left out | 10 | 0 |" in lines


def test_what_is_true_is_never_below_the_proven_optimum():
    for name, optimum in gamma.proven().items():
        for source in gamma.SOURCES:
            assert gamma.least_edp(name, source, true=True) >= optimum * (1 - 1e-12)
    assert gamma.least_edp("MobileNetV2-20", "released") < 1e-3 * gamma.proven()["MobileNetV2-20"]


# --- explained ------------------------------------------------------------------------------------


def mapping_in_k(cluster: int, outer: int, inner: int) -> Mappings:
    """Only K is tiled, and spread both over clusters and over their PEs."""
    tiles = np.array([[[outer, 1, 1, 1], [inner, 1, 1, 1]]])
    return Mappings(np.array([cluster]), np.zeros((1, 2)), tiles, np.array([[range(4)] * 2]))


def test_an_explanation_says_which_limit_fails_and_by_how_much():
    layer = Layer("x", "CONV", 16, 12, 14, 14, 3, 3)
    tiles = np.array([[[16, 12, 14, 14], [16, 12, 1, 14]]])
    mapping = Mappings(np.array([4]), np.array([[0, 2]]), tiles, np.array([[range(4)] * 2]))
    told = explain(layer, mapping, MappingHardware(8, 512, 4096), latency_cap=1000)
    assert [check.name for check in told.failed] == ["L1", "L2", "latency"]
    costs = evaluate_mappings(layer, mapping, 8)
    for check, needs, limit in zip(
        told.failed,
        (costs.l1_bytes[0], costs.l2_bytes[0], costs.runtime_cycles[0]),
        (512, 4096, 1000),
        strict=True,
    ):
        assert (check.value, check.limit) == (needs, limit)
        assert f"{needs - limit:,} too many" in check.text
    assert not told.valid
    assert sum(part.cycles for part in told.time) == told.costs["runtime_cycles"]
    assert told.bound == "PEs compute"
    energy = sum(tensor.energy_nj for tensor in told.tensors)
    assert energy == pytest.approx(told.costs["energy_nj"])
    big = explain(layer, mapping, MappingHardware(3, 512, 4096))
    assert [check.name for check in big.checks] == ["PEs"]
    assert "4 of 3 PEs: 1 too many" in big.failed[0].text
    assert json.loads(json.dumps(big.to_dict(), allow_nan=False))["bound"] == "nothing runs"


def test_the_least_cases_of_both_defects():
    """They are on the page about GAMMA, too."""
    six = Layer("six", "CONV", 6, 1, 1, 1, 3, 3)
    told = explain(six, mapping_in_k(1, 4, 3), MappingHardware(1, 512, 4096))
    assert told.costs["runtime_cycles"] == 48  # of 54 steps, and loading
    assert [check.name for check in told.failed] == ["peak", "steps"]
    assert "6 too few" in told.failed[1].text
    assert told.fixed["runtime_cycles"] == 57
    assert "defect A" in told.causes[0]
    mended = explain(six, mapping_in_k(1, 4, 3), MappingHardware(1, 512, 4096), fixed=True)
    assert mended.valid

    seven = Layer("seven", "CONV", 7, 1, 1, 1, 3, 3)
    told = explain(seven, mapping_in_k(1, 2, 1), MappingHardware(2, 512, 4096))
    assert (told.costs["num_macs"], told.fixed["num_macs"]) == (45, 63)
    assert [check.name for check in told.failed] == ["work", "peak", "steps", "weights", "outputs"]

    two = Layer("two", "CONV", 2, 1, 1, 1, 1, 1)
    told = explain(two, mapping_in_k(1, 1, 1), MappingHardware(3, 512, 4096))
    assert [check.name for check in told.failed] == ["outputs", "traffic"]
    assert (told.costs["output_l2_write"], told.fixed["output_l2_write"]) == (1, 2)
    assert "2 tiles for 3 clusters" in told.causes[0]
    assert not explain(two, mapping_in_k(1, 1, 1), MappingHardware(2, 512, 4096)).causes


def test_loops_say_what_is_left_at_the_edge():
    told = explain(CONV, drawn(CONV, np.random.default_rng(5), divide=False), gamma.EDGE)
    for loop in told.loops:
        assert (loop.rounds - 1) * loop.units + loop.last_units == loop.tiles
        assert (loop.tiles - 1) * loop.tile + loop.last_tile == loop.extent
        assert bool(loop.edge) == (
            loop.last_tile != loop.tile or (loop.rounds > 1 and loop.last_units != loop.units)
        )


# --- pictures -------------------------------------------------------------------------------------


def test_a_picture_shows_loops_time_and_buffers():
    pytest.importorskip("matplotlib")
    from hwgym.families.mapping.pictures import mapping_figure

    array = MappingHardware(24, 64, 2048, 4)
    told = explain(CONV, drawn(CONV, np.random.default_rng(2)), array)
    figure = mapping_figure(told)
    nest, time, buffers = (axis for part in figure.subfigs for axis in part.axes)
    names = [label.get_text() for label in nest.get_yticklabels()]
    assert names == [loop.text for loop in told.loops if not loop.idle]
    assert len(time.get_yticklabels()) == sum(part.cycles > 0 for part in told.time)
    texts = [text.get_text() for text in buffers.texts]
    assert texts == [f"{told.used['l1']:,} of 64 B", f"{told.used['l2']:,} of 2,048 B"]
    assert f"{told.costs['runtime_cycles']:,} cycles" in figure.get_suptitle()
    assert mapping_figure(told, "mine").get_suptitle() == "mine"
    tiles = np.ones((1, 2, 4), np.int64)
    large = Mappings(np.array([9]), np.ones((1, 2)), tiles, np.array([[range(4)] * 2]))
    nothing = explain(CONV, large, MappingHardware(8, 64, 2048))
    with pytest.raises(ValueError, match="does not run on 8 PEs"):
        mapping_figure(nothing)
