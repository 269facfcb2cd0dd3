"""DesignSpace: the tables against hand-written formulas, their order, sharing and errors."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from hwgym import (
    DesignSpace,
    Hardware,
    Layer,
    Shapes,
    Workload,
    evaluate,
    released_workload,
    workload,
)
from hwgym.costs.maestro import EYERISS, NVDLA
from hwgym.families.assignment import design_space
from hwgym.families.assignment.accounting import COMPLETE, MAESTRO, Accounting
from hwgym.families.assignment.design_space import (
    FINE_PE_LEVELS,
    MIX,
    MIXES,
    MOST_CYCLES,
    PE_LEVELS,
    TILE_LEVELS,
)

TABLES = (
    "latency_cycles",
    "energy_nj",
    "area_um2",
    "power_mw",
    "l1_bytes",
    "l2_bytes",
    "valid",
)
STYLES = ("NVDLA", "Eyeriss", "ShiDianNao")


def raw_costs(layers, style, technology):
    """What the cost model says, (layers, PEs x tiles)."""
    costs = evaluate(
        Shapes.of(layers).reshape(-1, 1, 1),
        style,
        np.array(PE_LEVELS)[:, None],
        np.array(TILE_LEVELS),
        Hardware(technology=technology),
    )
    return {name: table.reshape(len(layers), -1) for name, table in costs.as_dict().items()}


def repeats(layers):
    return np.array([[layer.repeat] for layer in layers])


# --- shape, order, sharing ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataflows", "pe_levels", "shape"),
    [
        ("NVDLA", PE_LEVELS, (12, 12)),
        ("MIX", PE_LEVELS, (12, 12, 3)),
        (("Eyeriss", NVDLA), PE_LEVELS, (12, 12, 2)),
        ("NVDLA", FINE_PE_LEVELS, (128, 12)),
    ],
)
def test_shapes_and_dtypes(three_kinds, dataflows, pe_levels, shape):
    space = DesignSpace.of(three_kinds, dataflows, pe_levels=pe_levels)
    assert space.shape == shape
    assert space.num_actions == np.prod(shape)
    for name in TABLES:
        assert getattr(space, name).shape == (3, np.prod(shape))
    assert space.latency_cycles.dtype == space.l1_bytes.dtype == space.l2_bytes.dtype == np.int64
    assert space.energy_nj.dtype == space.area_um2.dtype == space.power_mw.dtype == np.float64
    assert space.valid.dtype == bool


def test_the_coarse_space_is_part_of_the_fine_one(three_kinds):
    coarse = DesignSpace.of(three_kinds)
    fine = DesignSpace.of(three_kinds, pe_levels=FINE_PE_LEVELS)
    rows = [p - 1 for p in PE_LEVELS]
    for name in TABLES:
        picked = getattr(fine, name).reshape(3, 128, 12)[:, rows]
        np.testing.assert_array_equal(picked.reshape(3, -1), getattr(coarse, name))


@pytest.mark.parametrize("dataflows", ["ShiDianNao", "MIX"])
def test_every_action_is_the_design_point_it_is_described_as(three_kinds, dataflows):
    space = DesignSpace.of(three_kinds, dataflows)
    hardware = Hardware(technology="maestro-2019")
    for action in range(0, space.num_actions, 7):
        pes, tile, style = space.describe(action)
        for row, layer in enumerate(three_kinds):
            costs = evaluate(layer, style, pes, tile, hardware)
            assert space.latency_cycles[row, action] == costs.runtime_cycles * layer.repeat
            assert space.area_um2[row, action] == costs.array_area_um2
            assert space.l2_bytes[row, action] == costs.l2_bytes


@pytest.mark.parametrize("dataflows", ["NVDLA", "MIX"])
def test_decode_and_encode_are_inverse(three_kinds, dataflows):
    space = DesignSpace.of(three_kinds, dataflows)
    actions = np.arange(space.num_actions)
    levels = space.decode(actions)
    np.testing.assert_array_equal(levels, list(np.ndindex(space.shape)))  # the last fastest
    np.testing.assert_array_equal(space.encode(levels), actions)
    batch = levels.reshape(4, -1, len(space.shape))
    np.testing.assert_array_equal(space.encode(batch), actions.reshape(4, -1))
    np.testing.assert_array_equal(space.decode(actions.reshape(4, -1)), batch)
    assert space.encode(levels[5]) == 5


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ([0.0, 1.0], "integers"),
        ([True, False], "integers"),
        ([1, 1, 1], r"\(\.\.\., 2\)"),
        (3, r"\(\.\.\., 2\)"),
        ([12, 0], "lie in"),
        ([0, 12], "lie in"),
        ([-1, 0], "lie in"),
        ([[0, 0], [0, -1]], "lie in"),
    ],
)
def test_encode_refuses(three_kinds, levels, message):
    with pytest.raises(ValueError, match=message):
        DesignSpace.of(three_kinds).encode(levels)


@pytest.mark.parametrize("action", [144, -1, [0, 1000]])
def test_decode_refuses_what_is_out_of_range(three_kinds, action):
    with pytest.raises(ValueError, match=r"out of bounds|0\.\.143"):
        DesignSpace.of(three_kinds).decode(action)


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_read_only(three_kinds, name):
    table = getattr(DesignSpace.of(three_kinds, "MIX"), name)
    with pytest.raises(ValueError, match="read-only"):
        table[0, 0] = 1


def test_equal_arguments_share_one_object():
    space = DesignSpace.of("MobileNetV2")
    assert space is DesignSpace.of(
        workload("MobileNetV2"),
        ["NVDLA"],
        pe_levels=list(PE_LEVELS),
        tile_levels=np.arange(1, 13),
        hardware=Hardware(technology="maestro-2019"),
    )
    assert DesignSpace.of("MobileNetV2", "MIX") is DesignSpace.of("MobileNetV2", MIX)
    others = (
        DesignSpace.of("MobileNetV2", "Eyeriss"),
        DesignSpace.of("MobileNetV2", accounting="maestro"),
        DesignSpace.of("MobileNetV2", tile_levels=(1, 2)),
        DesignSpace.of("MobileNetV2", hardware=Hardware(noc_bandwidth=8)),
    )
    assert len({id(each) for each in (space, *others)}) == 5


@pytest.mark.parametrize("name", ["NVDLA-CxK", "ShiDianNao-YxX"])
def test_the_cluster_size_is_a_choice_of_every_layer(three_kinds, name):
    space = DesignSpace.of(three_kinds, name)
    sizes = (1, 2, 4, 8, 16, 32, 64, 128)
    assert space.shape == (12, 12, 8)
    assert [style.name for style in space.dataflows] == [f"{name}:{size}" for size in sizes]
    assert space is DesignSpace.of(three_kinds, MIXES[name])
    hardware = Hardware(technology="maestro-2019")
    latency = space.latency_cycles.reshape(3, 12, 12, 8)
    for i, size in enumerate(sizes):
        costs = evaluate(
            Shapes.of(three_kinds).reshape(-1, 1, 1),
            name.partition("-")[0],
            np.array(PE_LEVELS)[:, None],
            np.array(TILE_LEVELS),
            hardware,
            cluster_size=size,
        )
        expected = costs.runtime_cycles * repeats(three_kinds)[:, None]
        np.testing.assert_array_equal(latency[..., i], expected)
    assert space.styles == name
    own = DesignSpace.of(three_kinds, ["Eyeriss", f"{name}:4", f"{name}:24"])
    assert own.styles == f"Eyeriss+{name}:4+{name}:24"
    both = DesignSpace.of(three_kinds, ["Eyeriss", name])
    assert (both.styles, both.shape) == (f"Eyeriss+{name}", (12, 12, 9))
    with pytest.raises(ValueError, match="dataflows must differ"):
        DesignSpace.of(three_kinds, [name, f"{name}:4"])


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([("fine", 64, 1), ("vast", 10**9, 1)], r"layer 'vast' \(K=.* its counts may reach"),
        (
            [("fine", 64, 1), ("often", 64, 10**12)],
            "layer 'often' .* \\(run 1000000000000 times\\)",
        ),
        ([("fine", 64, 1), ("often", 64, 10**40)], "layer 'often'"),
        (
            [("a", 8000, 3000), ("b", 8000, 3000), ("c", 8000, 3300)],
            "cycles in all .*, of which layer 'c' 3.* 3300 times",
        ),
    ],
)
def test_what_cannot_be_counted_is_refused_by_name(layers, message):
    work = Workload("w", tuple(Layer.gemm(n, m, m, m, repeat=r) for n, m, r in layers))
    with pytest.raises(ValueError, match=message):
        DesignSpace.of(work)


def test_the_total_of_a_network_is_exact_to_the_limit():
    once = int(DesignSpace.of(Workload("w", (Layer.gemm("l", 99, 98, 97),))).latency_cycles.max())
    most = MOST_CYCLES // once
    work = Workload(
        "w", (Layer.gemm("l", 99, 98, 97, repeat=most - 1), Layer.gemm("m", 99, 98, 97))
    )
    space = DesignSpace.of(work)
    totals = space.latency_cycles.sum(axis=0)
    assert float(totals.max()) == int(totals.max()) == once * most
    assert [int(t) for t in totals] == [
        int(a) + int(b) for a, b in zip(*space.latency_cycles.tolist(), strict=True)
    ]
    with pytest.raises(ValueError, match=r"up to 2\*\*53 = 9.01e\+15 is allowed"):
        DesignSpace.of(Workload("w", (Layer.gemm("l", 99, 98, 97, repeat=most + 1),)))


@pytest.fixture
def asked(monkeypatch):
    """The layer shapes that are evaluated, a list a call; nothing is cached yet."""
    calls = []

    def spy(shapes, *rest):
        columns = (np.ravel(getattr(shapes, name)) for name in "KCYXRS")
        calls.append(list(zip(*(each.tolist() for each in columns), strict=True)))
        return evaluate(shapes, *rest)

    monkeypatch.setattr(design_space, "evaluate", spy)
    monkeypatch.setattr(design_space, "ROWS", design_space._Rows(most=1 << 21))
    monkeypatch.setattr(design_space, "_design_space", design_space._design_space.__wrapped__)
    return calls


def conv(name, K, repeat=1):
    return Layer(name, "CONV", K=K, C=4, OY=6, OX=6, R=3, S=3, repeat=repeat)


def test_identical_layers_are_computed_once(asked):
    space = DesignSpace.of(Workload("w", (conv("a", 4), conv("b", 5), conv("c", 4, repeat=3))))
    assert asked == [[(4, 4, 8, 8, 3, 3), (5, 4, 8, 8, 3, 3)]]
    for name in TABLES:
        factor = 3 if name in ("latency_cycles", "energy_nj") else 1
        first, other, third = getattr(space, name)
        np.testing.assert_array_equal(first * factor, third)
        if name == "latency_cycles":
            assert not np.array_equal(first, other)


def test_a_network_that_shares_layers_costs_its_new_ones(asked):
    DesignSpace.of(Workload("one", (conv("a", 4), conv("b", 5))), ("NVDLA", "Eyeriss"))
    assert [len(shapes) for shapes in asked] == [2, 2]  # a call a dataflow
    asked.clear()
    both = DesignSpace.of(Workload("two", (conv("x", 6), conv("y", 5), conv("z", 7))), "NVDLA")
    assert [[k for k, *_ in shapes] for shapes in asked] == [[6, 7]]
    asked.clear()
    again = Workload("three", (conv("p", 4, repeat=2), conv("q", 7)))
    DesignSpace.of(again, "NVDLA")
    assert asked == []
    alone = DesignSpace.of(Workload("alone", (conv("y", 5),)), "NVDLA")
    for name in TABLES:
        np.testing.assert_array_equal(getattr(both, name)[1], getattr(alone, name)[0])


@pytest.mark.parametrize(
    "other",
    [
        {"dataflow": "ShiDianNao"},
        {"pe_levels": (1, 2)},
        {"tile_levels": (1, 2)},
        {"hardware": {"simd_lanes": 2}},
        {"hardware": {"technology": "maestro-2021"}},
        {"accounting": "maestro", "hardware": {"technology": "maestro-2019"}},
    ],
)
def test_what_a_row_depends_on_is_in_its_key(asked, other):
    layers = Workload("w", (conv("a", 4),))
    DesignSpace.of(layers)
    DesignSpace.of(layers, **other)
    assert len(asked) == 2


def test_rows_used_least_recently_go(asked, monkeypatch):
    monkeypatch.setattr(design_space, "ROWS", design_space._Rows(most=2 * 144))
    for name in "ab":
        DesignSpace.of(Workload(name, (conv(name, 4 + ord(name) % 2),)))
    DesignSpace.of(Workload("b", (conv("b", 4),)))  # used again: the other is older now
    DesignSpace.of(Workload("c", (conv("c", 9),)))
    assert len(asked) == 3
    DesignSpace.of(Workload("kept", (conv("k", 4),)))
    assert len(asked) == 3
    DesignSpace.of(Workload("gone", (conv("g", 5),)))
    assert len(asked) == 4
    # One row is kept whatever its size, and one larger network is still right.
    many = DesignSpace.of(Workload("many", tuple(conv(f"l{k}", k) for k in range(1, 6))))
    assert many.latency_cycles.shape == (5, 144)


def test_threads_share_the_rows(asked):
    networks = [
        Workload(f"n{i}", tuple(conv(f"l{k}", 1 + (i + k) % 9) for k in range(5))) for i in range(9)
    ]
    with ThreadPoolExecutor(8) as pool:
        spaces = list(pool.map(DesignSpace.of, networks))
    for network, space in zip(networks, spaces, strict=True):
        raw = raw_costs(network, "NVDLA", "maestro-2019")
        np.testing.assert_array_equal(space.latency_cycles, raw["runtime_cycles"])


def test_repeat_multiplies_latency_and_energy_only():
    once = Layer("once", "CONV", K=4, C=4, OY=6, OX=6, R=3, S=3)
    space = DesignSpace.of(Workload("r", (once, dataclasses.replace(once, repeat=5))), "MIX")
    for name in TABLES:
        first, fifth = getattr(space, name)
        factor = 5 if name in ("latency_cycles", "energy_nj") else 1
        np.testing.assert_array_equal(fifth, first * factor)


# --- what the tables hold -------------------------------------------------------------------------


@pytest.mark.parametrize("style", STYLES)
def test_complete_accounting_by_hand(three_kinds, style):
    space = DesignSpace.of(three_kinds, style)
    raw = raw_costs(three_kinds, style, "maestro-2019")
    buildable = raw["mappable"]
    pes = np.repeat(PE_LEVELS, len(TILE_LEVELS))
    l1, l2 = np.ceil(raw["l1_bytes"] / 64), np.ceil(raw["l2_bytes"] / 32768)
    area = pes * (4470.9014 + 4505.1889 * l1) + 4161.536 * l2
    power = pes * (1.2223 + 0.2208 * l1) + 4.0 * l2
    tensors = ("input", "weight", "output")
    accesses = {
        level: sum(raw[f"{t}_{level}_{way}"] for t in tensors for way in ("read", "write"))
        for level in ("l1", "l2")
    }
    energy = 0.000904 * (raw["num_macs"] + 1.68 * accesses["l1"] + 18.61 * accesses["l2"])
    np.testing.assert_allclose(space.area_um2[buildable], area[buildable], rtol=1e-13)
    np.testing.assert_allclose(space.power_mw[buildable], power[buildable], rtol=1e-13)
    np.testing.assert_allclose(
        space.energy_nj[buildable], (energy * repeats(three_kinds))[buildable], rtol=1e-13
    )
    np.testing.assert_array_equal(
        space.latency_cycles, raw["runtime_cycles"] * repeats(three_kinds)
    )


@pytest.mark.parametrize("style", [*STYLES, "ConfuciuX-Eyeriss"])
def test_maestro_accounting_is_what_maestro_prints(three_kinds, style):
    space = DesignSpace.of(three_kinds, style, accounting="maestro")
    raw = raw_costs(three_kinds, style, "maestro-2021")
    np.testing.assert_array_equal(space.area_um2, raw["area_um2"])
    np.testing.assert_array_equal(space.power_mw, raw["power_mw"])
    np.testing.assert_array_equal(space.energy_nj, raw["energy_nj"] * repeats(three_kinds))
    positive = (raw["runtime_cycles"] > 0) & (raw["num_macs"] > 0) & (raw["energy_nj"] > 0)
    np.testing.assert_array_equal(space.valid, raw["mappable"] & positive)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("model", ["MobileNetV2", "VGG16", "ResNet18", "NCF"])
def test_valid_means_all_the_work_within_the_peak(model, style):
    layers = workload(model)
    space = DesignSpace.of(layers, style)
    raw = raw_costs(layers, style, "maestro-2019")
    needed = np.array([[layer.macs // layer.repeat] for layer in layers])
    pes = np.repeat(PE_LEVELS, len(TILE_LEVELS))
    expected = (
        raw["mappable"]
        & (raw["num_macs"] >= needed)
        & (raw["runtime_cycles"] * pes >= needed)
        & (raw["runtime_cycles"] > 0)
        & (raw["energy_nj"] > 0)
    )
    np.testing.assert_array_equal(space.valid, expected)
    assert space.valid.any(axis=1).all()


def test_simd_lanes_raise_the_peak_and_the_area(three_kinds):
    lanes = Hardware(simd_lanes=4, technology="maestro-2019")
    space, single = DesignSpace.of(three_kinds, hardware=lanes), DesignSpace.of(three_kinds)
    both = space.valid & single.valid
    pes = np.repeat(PE_LEVELS, len(TILE_LEVELS))
    extra = np.broadcast_to(pes * 3 * 4470.9014, both.shape)
    np.testing.assert_allclose((space.area_um2 - single.area_um2)[both], extra[both], rtol=1e-9)
    assert (space.latency_cycles[both] < single.latency_cycles[both]).any()
    assert space.valid.any(axis=1).all()


@pytest.mark.parametrize("model", ["VGG16", "AlexNet"])
def test_row_stationary_fails_only_for_want_of_a_pe_per_filter_row(model):
    space = DesignSpace.of(model, EYERISS)
    pes = np.repeat(PE_LEVELS, len(TILE_LEVELS))
    rows = np.array([[layer.R] for layer in space.workload])
    np.testing.assert_array_equal(space.valid, pes >= rows)


def test_an_accounting_is_an_object(three_kinds):
    assert DesignSpace.of(three_kinds).accounting is COMPLETE
    assert DesignSpace.of(three_kinds, accounting="maestro").accounting is MAESTRO
    assert DesignSpace.of(three_kinds, accounting=MAESTRO) is DesignSpace.of(
        three_kinds, accounting="maestro"
    )
    assert (MAESTRO.corners, MAESTRO.interconnect) == (True, True)
    assert (COMPLETE.corners, COMPLETE.interconnect) == (False, False)
    own = dataclasses.replace(COMPLETE, name="own", energy="energy_nj")
    assert isinstance(own, Accounting)
    space, complete = DesignSpace.of(three_kinds, accounting=own), DesignSpace.of(three_kinds)
    np.testing.assert_array_equal(space.area_um2, complete.area_um2)
    raw = raw_costs(three_kinds, "NVDLA", "maestro-2019")
    np.testing.assert_array_equal(space.energy_nj, raw["energy_nj"] * repeats(three_kinds))


def test_released_is_confuciuxs_problem():
    space = DesignSpace.of("ResNet50", "MIX", released=True)
    assert space.workload is released_workload("ResNet50")
    names = [style.name for style in space.dataflows]
    assert names == ["NVDLA", "ConfuciuX-Eyeriss", "ShiDianNao"]
    assert (space.accounting, space.hardware) == (MAESTRO, Hardware(technology="maestro-2021"))
    assert DesignSpace.of("ResNet50", "Eyeriss").dataflows == (EYERISS,)
    with pytest.raises(ValueError, match="released must be True or False, got 'yes'"):
        DesignSpace.of("ResNet50", released="yes")


def test_hardware_may_be_its_fields_or_a_file(three_kinds, tmp_path):
    hardware = Hardware(simd_lanes=2, technology="maestro-2019")
    hardware.to_toml(tmp_path / "own.toml")
    space = DesignSpace.of(three_kinds, hardware=hardware)
    assert space is DesignSpace.of(three_kinds, hardware={"simd_lanes": 2})
    assert space is DesignSpace.of(three_kinds, hardware=tmp_path / "own.toml")
    assert space is DesignSpace.of(three_kinds, hardware=str(tmp_path / "own.toml"))
    maestro = DesignSpace.of(three_kinds, accounting=MAESTRO, hardware={"simd_lanes": 2})
    assert maestro.hardware == Hardware(simd_lanes=2, technology="maestro-2021")


def test_a_workload_may_be_a_file(three_kinds, tmp_path):
    three_kinds.to_csv(tmp_path / "own.csv")
    space = DesignSpace.of(tmp_path / "own.csv")
    np.testing.assert_array_equal(space.area_um2, DesignSpace.of(three_kinds).area_um2)


@pytest.mark.parametrize("accounting", ["complete", "maestro"])
def test_a_valid_point_has_positive_costs(three_kinds, accounting):
    space = DesignSpace.of(three_kinds, "MIX", accounting=accounting)
    for name in TABLES[:-1]:
        assert (getattr(space, name)[space.valid] > 0).all(), name


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workload": "mobilenetv2"}, "unknown model 'mobilenetv2'; did you mean 'MobileNetV2'"),
        ({"dataflow": "nvdla"}, "did you mean 'NVDLA'"),
        ({"dataflow": ["NVDLA", "ShiDiannao"]}, "did you mean 'ShiDianNao'"),
        ({"dataflow": []}, "at least one dataflow"),
        ({"accounting": "complet"}, "unknown accounting 'complet'; did you mean 'complete'"),
        ({"pe_levels": []}, "pe_levels"),
        ({"pe_levels": [2, 1]}, "pe_levels must increase"),
        ({"pe_levels": [1, 1]}, "pe_levels must increase"),
        ({"pe_levels": [0, 1]}, "pe_levels must be at least 1"),
        ({"pe_levels": [1.5]}, "pe_levels must be integers"),
        ({"tile_levels": [[1, 2]]}, "tile_levels"),
        ({"tile_levels": ["1"]}, "tile_levels must be integers"),
        ({"tile_levels": [-3]}, "tile_levels must be at least 1"),
        ({"hardware": Hardware(noc_bandwidth=[1, 2])}, "one hardware"),
        ({"hardware": {"simd_lane": 2}}, "unknown hardware field 'simd_lane'; did you mean"),
        ({"hardware": 3}, "hardware must be a Hardware, a mapping of its fields or a TOML"),
        ({"workload": 3}, "a workload, the name of one"),
    ],
)
def test_errors_name_the_culprit(arguments, message):
    with pytest.raises(ValueError, match=message):
        DesignSpace.of(**{"workload": "NCF"} | arguments)


def test_repr_is_short(three_kinds):
    assert repr(DesignSpace.of(three_kinds, "MIX")) == (
        "<DesignSpace three-kinds NVDLA+Eyeriss+ShiDianNao (3, 432)>"
    )
