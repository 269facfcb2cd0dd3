"""Tables of the best mappings: kept on disk, the same as in detail, and never worse for more."""

import numpy as np
import pytest

from hwgym.costs.cache import cache_folder
from hwgym.costs.loopnest import (
    TEMPLATES,
    Choices,
    Tables,
    detail,
    layer_key,
    tables,
    tabulate,
)
from hwgym.costs.loopnest.lattice import LATENCY_SLACK
from hwgym.hardware import Machine
from hwgym.workloads import Layer

LAYERS = (
    Layer.conv("conv", in_channels=16, out_channels=24, input_size=14, kernel=3, padding=1),
    Layer.conv("depthwise", in_channels=24, out_channels=24, input_size=14, kernel=3, groups=24),
    Layer.gemm("product", M=20, N=48, K=32),
)
SHAPES = ((2, 4), (4, 4), (4, 8))
CHOICES = Choices((32, 128, 512), (4 << 10, 16 << 10))
NAMES = tuple(Tables.__dataclass_fields__)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HWGYM_CACHE", str(tmp_path / "cache"))
    tables._row.cache_clear()
    yield tmp_path / "cache"
    tables._row.cache_clear()


def made(layers=LAYERS[:1], style="NVDLA", **given):
    """Tables, as a new process would make them."""
    tables._row.cache_clear()
    return tabulate(layers, style, **{"shapes": SHAPES[:2], "choices": CHOICES, **given})


def same(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in NAMES)


def forbid(monkeypatch):
    def enumerated(*_, **__):
        raise AssertionError("enumerated again")

    monkeypatch.setattr(tables, "lattice", enumerated)


def test_files_are_written_once_and_read_back(folder, monkeypatch):
    first = made()
    (file,) = folder.iterdir()
    written = file.read_bytes()
    other = made(objective="energy")  # all objectives are in one file
    assert file.read_bytes() == written
    forbid(monkeypatch)
    assert same(made(), first)
    assert same(made(objective="energy"), other)
    renamed = Layer.gemm("other name", M=20, N=48, K=32)
    assert layer_key(renamed) == layer_key(LAYERS[2]) != layer_key(LAYERS[0])
    with pytest.raises(AssertionError, match="enumerated again"):
        made([renamed])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"cut"])
def test_damaged_files_are_made_anew(folder, content, monkeypatch):
    first = made()
    (file,) = folder.iterdir()
    file.write_bytes(file.read_bytes()[:100] if content == b"cut" else content)
    assert same(made(), first)
    forbid(monkeypatch)
    assert same(made(), first)


def test_files_of_another_version_are_not_read(folder, monkeypatch):
    made()
    monkeypatch.setattr(tables, "VERSION", tables.VERSION + 1)
    made()
    assert len(list(folder.iterdir())) == 2
    made(machine=Machine(dram_bandwidth=8))
    assert len(list(folder.iterdir())) == 3


def test_a_folder_that_cannot_be_written_is_done_without(folder, monkeypatch):
    first = made()
    blocked = folder.parent / "file"
    blocked.write_text("no folder")
    monkeypatch.setenv("HWGYM_CACHE", str(blocked))
    assert same(made(), first)
    monkeypatch.setenv("HWGYM_CACHE", "")
    assert cache_folder() is None
    assert same(made(), first)


@pytest.mark.parametrize("style", TEMPLATES)
def test_more_is_never_slower(style):
    found = tabulate(LAYERS, style, SHAPES, CHOICES)
    cycles = np.where(found.valid, found.latency_cycles, np.inf)
    # What is taken is within the slack of the least latency, which cannot rise.
    slack = 1 + LATENCY_SLACK
    for axis in (1, 2, 3):
        fewer, more = (np.moveaxis(cycles, axis, 0)[part] for part in (slice(-1), slice(1, None)))
        assert (more <= fewer * slack).all()
    assert (np.diff(found.area_um2, axis=0) > 0).all()
    assert not found.latency_cycles.flags.writeable
    assert (found.latency_cycles[~found.valid] == 0).all()


@pytest.mark.parametrize("style", TEMPLATES)
@pytest.mark.parametrize("objective", ["latency", "energy", "edp"])
def test_detail_is_what_the_table_says(style, objective):
    layers = LAYERS[:2]
    found = tabulate(layers, style, SHAPES[:2], CHOICES, objective=objective)
    for point in np.ndindex(found.valid.shape):
        layer, shape, l1, l2 = point
        asked = layers[layer], style, SHAPES[shape], CHOICES.l1_bytes[l1], CHOICES.l2_bytes[l2]
        rest = {"objective": objective, "shapes": SHAPES[:2], "choices": CHOICES}
        if not found.valid[point]:
            least = found.least[layer, shape]
            with pytest.raises(ValueError, match=f"{least[0]} of L1, and {least[1]} of L2"):
                detail(*asked, **rest)
            continue
        one = detail(*asked, **rest)
        assert one.latency_cycles == found.latency_cycles[point]
        assert sum(one.energy_nj.values()) == pytest.approx(found.energy_nj[point])
        assert one.power_mw == pytest.approx(found.power_mw[point])
        ends = one.cycles["first load"] + one.cycles["last store"]
        assert one.latency_cycles == ends + one.cycles[one.bound]
        assert one.needed_bytes["l1"] <= CHOICES.l1_bytes[l1]
        assert one.needed_bytes["l2"] <= CHOICES.l2_bytes[l2]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"style": "NVDIA"}, "did you mean 'NVDLA'"),
        ({"objective": "latencies"}, "did you mean 'latency'"),
        ({"layers": []}, "no layers"),
        ({"shapes": []}, "no arrays"),
        ({"shapes": [(4, 0)]}, "both positive integers; got"),
        ({"shapes": [(4, 4, 4)]}, "rows x columns"),
        ({"choices": Choices((), (4096,))}, "l1_bytes must be positive integers, at least one"),
        ({"choices": Choices((32, 32), (4096,))}, "l1_bytes must increase"),
        ({"choices": Choices((32,), (8192, 4096))}, "l2_bytes must increase"),
        ({"choices": Choices((32,), (0,))}, "l2_bytes must be positive"),
    ],
)
def test_errors_name_what_is_wrong(given, message):
    with pytest.raises(ValueError, match=message):
        made(**given)


def test_machines_need_bandwidth_and_sensible_widths():
    with pytest.raises(ValueError, match="dram_bandwidth"):
        Machine(dram_bandwidth=0)
    with pytest.raises(ValueError, match="weight_bits"):
        Machine(weight_bits=0)


def test_buffers_that_nothing_fits():
    found = made(choices=Choices((1,), (2,)))
    assert not found.valid.any()
    assert (found.least > 0).all()
    with pytest.raises(ValueError, match=r"no mapping of NVDLA on 2 x 4 PEs fits L1 1 and L2 2"):
        detail(LAYERS[0], "NVDLA", (2, 4), 1, 2, shapes=SHAPES[:2], choices=Choices((1,), (2,)))
