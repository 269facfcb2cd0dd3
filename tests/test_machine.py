"""Silicon and loop-nest machines: constants against their sources, files read, written, refused."""

import csv
import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hwgym
from hwgym.hardware import (
    DRAM_PJ_PER_BIT,
    SILICON,
    SILICON_28NM,
    SILICON_45NM,
    Machine,
    Silicon,
    machine,
    macros,
    silicon,
)

EXAMPLES = Path(__file__).parents[1] / "examples"
SRAM = Path(hwgym.__file__).parent / "hardware" / "sram.csv"
SIZES = st.floats(1, 2.0**63)
QUANTITIES = ("sram_read_pj_per_byte", "sram_write_pj_per_byte", "sram_area_um2")


@pytest.fixture
def write(tmp_path):
    def written(text, name="npu.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return written


def rows():
    lines = [line for line in SRAM.read_text().splitlines() if not line.startswith("#")]
    return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(lines)]


def per_byte(row):
    return row["read_pj"] / row["word_bytes"]


class TestMemories:
    def test_every_row_that_no_memory_as_large_beats_is_met(self):
        met = 0
        for row in rows():
            size, word = row["bytes"], row["word_bytes"]
            least = min(per_byte(other) for other in rows() if other["bytes"] >= size)
            read = SILICON_45NM.sram_read_pj_per_byte(size)
            if per_byte(row) > least:
                assert read < per_byte(row)
                continue
            met += 1
            assert read == pytest.approx(row["read_pj"] / word, rel=1e-12)
            assert SILICON_45NM.sram_write_pj_per_byte(size) == pytest.approx(
                row["write_pj"] / word, rel=1e-12
            )
            assert SILICON_45NM.sram_area_um2(size) == pytest.approx(
                row["area_mm2"] * 1e6, rel=1e-12
            )
        assert met == len(macros()) == 10

    def test_one_word_for_each_size(self):
        words = {m.bytes: m.word_bytes for m in macros()}
        assert list(words) == sorted(words)
        assert (words[512], words[4096], words[16384], words[65536]) == (4, 8, 32, 32)
        assert 8192 not in words  # of 8-byte words, dearer than 16 KiB of 32-byte ones

    def test_in_between_a_power_holds(self):
        for quantity in QUANTITIES:
            ask = getattr(SILICON_45NM, quantity)
            for small, large in zip(macros()[:-1], macros()[1:], strict=True):
                middle = math.sqrt(small.bytes * large.bytes)
                expected = math.sqrt(ask(small.bytes) * ask(large.bytes))
                assert ask(middle) == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize("size", [1, 2, 3.5, 17, 64, 511])
    def test_below_the_smallest(self, size):
        for quantity, power in zip(QUANTITIES, (0.78, 0.78, 1), strict=True):
            ask = getattr(SILICON_45NM, quantity)
            assert ask(size) == pytest.approx(ask(512) * (size / 512) ** power, rel=1e-12)

    @pytest.mark.parametrize("size", [2**20 + 1, 3 * 2**20, 2**26])
    def test_above_the_largest(self, size):
        for quantity in QUANTITIES:
            ask = getattr(SILICON_45NM, quantity)
            power = math.log2(ask(2**20) / ask(2**19))
            assert ask(size) == pytest.approx(ask(2**20) * (size / 2**20) ** power, rel=1e-9)

    @given(SIZES, SIZES)
    def test_grow_with_size(self, one, other):
        small, large = sorted((one, other))
        for quantity in QUANTITIES:
            ask = getattr(SILICON_45NM, quantity)
            assert 0 < ask(small) <= ask(large) * (1 + 1e-12) < math.inf

    def test_a_larger_memory_is_strictly_dearer(self):
        sizes = 2.0 ** np.arange(0, 40, 0.25)
        for quantity in QUANTITIES:
            assert (np.diff(getattr(SILICON_45NM, quantity)(sizes)) > 0).all()

    def test_shapes(self):
        sizes = np.array([[1, 512], [4096, 2**30]])
        for quantity in QUANTITIES:
            ask = getattr(SILICON_45NM, quantity)
            found = ask(sizes)
            assert found.shape == sizes.shape
            assert found.dtype == np.float64
            np.testing.assert_array_equal(found.ravel(), [ask(size) for size in sizes.flat])
            assert ask([]).shape == (0,)

    @pytest.mark.parametrize("size", [0, -1, 0.5, math.nan, math.inf, -math.inf, 1e30, [512, 0]])
    def test_sizes_that_there_are_none_of(self, size):
        for quantity in QUANTITIES:
            with pytest.raises(ValueError, match=r"size must be from 1 to 2\*\*63 bytes, got"):
                getattr(SILICON_45NM, quantity)(size)


class TestSilicon:
    def test_macs_of_45_nm(self):
        assert SILICON_45NM.mac_pj() == pytest.approx(0.3)
        assert SILICON_45NM.mac_pj(16, 8) == pytest.approx(0.5)
        assert SILICON_45NM.mac_pj(1, 1) == pytest.approx(0.2 / 64 + 0.1)
        at_40_nm = (40 / 45) ** 2
        assert SILICON_45NM.mac_area_um2() * at_40_nm == pytest.approx(397 + 278)
        assert SILICON_45NM.mac_area_um2(4, 4) * at_40_nm == pytest.approx(397 / 4 + 278)

    def test_28_nm(self):
        sizes = [1, 512, 5000, 2**22]
        for quantity, factor in zip(QUANTITIES, (0.51, 0.51, 0.38), strict=True):
            small, large = (getattr(s, quantity)(sizes) for s in (SILICON_28NM, SILICON_45NM))
            np.testing.assert_allclose(small, factor * large, rtol=1e-12)
        for widths in ((8, 8), (4, 16)):
            assert SILICON_28NM.mac_pj(*widths) == pytest.approx(
                0.51 * SILICON_45NM.mac_pj(*widths)
            )
            assert SILICON_28NM.mac_area_um2(*widths) == pytest.approx(
                0.38 * SILICON_45NM.mac_area_um2(*widths)
            )

    @pytest.mark.parametrize(("kind", "per_bit"), [("LPDDR4", 8), ("DDR3", 70), ("HBM2", 3.9)])
    def test_dram(self, kind, per_bit):
        assert DRAM_PJ_PER_BIT[kind] == per_bit
        for each in SILICON.values():
            assert each.dram_pj_per_byte(kind) == 8 * per_bit
        own = dataclasses.replace(SILICON_28NM, dram_pj_per_bit=5)
        assert own.dram_pj_per_byte(kind) == 40

    def test_chosen(self):
        assert silicon("28nm") is SILICON_28NM
        assert silicon(SILICON_45NM) is SILICON_45NM
        fields = dataclasses.asdict(SILICON_28NM)
        assert silicon(json.loads(json.dumps(fields))) == SILICON_28NM
        del fields["dram_pj_per_bit"]
        assert silicon(fields) == SILICON_28NM

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ("45", "unknown silicon '45'; did you mean '45nm'"),
            ("40nm", "unknown silicon '40nm'.*available: 45nm, 28nm"),
            (45, "unknown silicon 45"),
            (None, "unknown silicon None"),
            ({"nme": "x"}, "unknown field of a silicon 'nme'; did you mean 'name'"),
            ({"name": "x"}, "a silicon needs node_nm, multiply_pj, .*sram_area_factor, too"),
        ],
    )
    def test_wrong_silicon(self, wrong, message):
        with pytest.raises(ValueError, match=message):
            silicon(wrong)

    @pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "1", True, None, 10**400])
    @pytest.mark.parametrize("field", ["node_nm", "multiply_pj", "sram_area_factor"])
    def test_wrong_constants(self, field, value):
        with pytest.raises(ValueError, match=f"'28nm': {field} must be a positive, finite number"):
            dataclasses.replace(SILICON_28NM, **{field: value})

    @pytest.mark.parametrize("name", ["", None, 3])
    def test_wrong_name(self, name):
        with pytest.raises(ValueError, match="name must be a non-empty string"):
            dataclasses.replace(SILICON_28NM, name=name)

    @pytest.mark.parametrize("value", [0, -8, 65, 8.0, True, "8", None])
    def test_wrong_widths(self, value):
        for ask in (SILICON_45NM.mac_pj, SILICON_45NM.mac_area_um2):
            with pytest.raises(ValueError, match="weight_bits must be an integer from 1 to 64"):
                ask(value, 8)
            with pytest.raises(ValueError, match="input_bits must be an integer from 1 to 64"):
                ask(8, value)

    def test_wrong_dram(self):
        with pytest.raises(ValueError, match="unknown DRAM 'LPDDR5'; did you mean 'LPDDR4'"):
            SILICON_45NM.dram_pj_per_byte("LPDDR5")


WIDTHS = st.integers(1, 64)
POSITIVE = st.floats(1e-9, 1e9)
SILICONS = st.one_of(
    st.sampled_from(list(SILICON.values())),
    st.builds(Silicon, st.text(min_size=1), *[POSITIVE] * 7, dram_pj_per_bit=st.none() | POSITIVE),
)
MACHINES = st.builds(
    Machine, *[POSITIVE] * 3, *[WIDTHS] * 4, SILICONS, st.sampled_from(list(DRAM_PJ_PER_BIT))
)


class TestMachine:
    def test_defaults(self):
        default = Machine()
        assert default == machine() == machine({}) == machine(None)
        assert default.process is SILICON_45NM
        assert (default.clock_ghz, default.dram_bandwidth, default.l2_bandwidth) == (1, 16, 32)
        assert (default.mac_pj, default.dram_pj_per_byte) == (SILICON_45NM.mac_pj(), 64)

    def test_what_follows_from_its_fields(self):
        narrow = Machine(weight_bits=4, input_bits=16, silicon="28nm", dram="HBM2")
        assert narrow.mac_pj == SILICON_28NM.mac_pj(4, 16)
        assert narrow.mac_area_um2 == SILICON_28NM.mac_area_um2(4, 16)
        assert narrow.dram_pj_per_byte == pytest.approx(31.2)

    def test_numbers_of_numpy(self):
        given = Machine(np.float32(2), np.int64(8), weight_bits=np.int8(4))
        assert given == Machine(2.0, 8.0, weight_bits=4)
        assert json.loads(json.dumps(dataclasses.asdict(given)))["weight_bits"] == 4

    @given(MACHINES)
    def test_round_trips(self, tmp_path_factory, made):
        path = tmp_path_factory.mktemp("machine") / "npu.toml"
        made.to_toml(path)
        assert machine(path) == machine(str(path)) == Machine.from_toml(path) == made
        assert machine(json.loads(json.dumps(dataclasses.asdict(made)))) == made
        assert machine(made) is made
        assert hash(made) == hash(machine(path))

    def test_example(self):
        example = machine(EXAMPLES / "npu.toml")
        assert (example.clock_ghz, example.dram_bandwidth, example.l2_bandwidth) == (0.8, 16, 32)
        assert example.mac_pj == pytest.approx(0.12)
        assert example.mac_area_um2 == pytest.approx(300)
        assert example.dram_pj_per_byte == 52
        assert example.process.sram_area_factor == SILICON_28NM.sram_area_factor

    @pytest.mark.parametrize(
        ("lines", "field", "value"),
        [
            ("clock_mhz = 800", "clock_ghz", 0.8),
            ("clock_ghz = 2", "clock_ghz", 2),
            ("dram_bytes_per_cycle = 12", "dram_bandwidth", 12),
            ("dram_gb_per_s = 25.6", "dram_bandwidth", 25.6),
            ("dram_gb_per_s = 25.6\nclock_mhz = 800", "dram_bandwidth", 32),
            ("l2_bytes_per_cycle = 0.5", "l2_bandwidth", 0.5),
            ("clock_ghz = 2\nl2_gb_per_s = 100", "l2_bandwidth", 50),
            ("output_bits = 16", "output_bits", 16),
            ("partial_bits = 24.0", "partial_bits", 24),
            ("silicon = '28nm'", "silicon", SILICON_28NM),
            ("dram = 'HBM2'", "dram", "HBM2"),
        ],
    )
    def test_keys(self, write, lines, field, value):
        assert getattr(machine(write(f"[machine]\n{lines}\n")), field) == value

    @pytest.mark.parametrize(
        ("line", "fields"),
        [
            ("multiply_fj = 150", {"multiply_pj": 0.15}),
            ("mac_pj = 0.6", {"multiply_pj": 0.4, "add_pj": 0.2}),
            ("mac_fj = 600", {"multiply_pj": 0.4, "add_pj": 0.2}),
            ("add_area_mm2 = 0.0003", {"add_area_um2": 300}),
            ("mac_area_um2 = 1350", {"multiply_area_um2": 794, "add_area_um2": 556}),
            ("sram_energy_factor = 2", {"sram_energy_factor": 2}),
            ("dram_pj_per_bit = 5", {"dram_pj_per_bit": 5}),
            ("node_nm = 40", {"node_nm": 40}),
        ],
    )
    def test_silicon_of_ones_own(self, write, line, fields):
        found = machine(write(f'[silicon]\nname = "own"\nbase = "45nm"\n{line}\n')).process
        assert found.name == "own"
        for name, value in dataclasses.asdict(SILICON_45NM).items():
            if name != "name":
                expected = fields.get(name, value)
                assert getattr(found, name) == (expected and pytest.approx(expected))

    @pytest.mark.parametrize("field", ["clock_ghz", "dram_bandwidth", "l2_bandwidth"])
    @pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "16", True, None, [16]])
    def test_wrong_numbers(self, field, value):
        with pytest.raises(ValueError, match=f"machine {field} must be a positive, finite number"):
            machine({field: value})

    @pytest.mark.parametrize("field", ["weight_bits", "input_bits", "output_bits", "partial_bits"])
    @pytest.mark.parametrize("value", [0, -8, 65, 8.5, math.nan, True, "8", None])
    def test_wrong_bits(self, field, value):
        with pytest.raises(ValueError, match=f"machine {field} must be an integer from 1 to 64"):
            machine({field: value})

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"dram": "lpddr4"}, "unknown DRAM 'lpddr4'; did you mean 'LPDDR4'"),
            ({"dram": 4}, "unknown DRAM 4"),
            ({"silicon": "45"}, "unknown silicon '45'; did you mean '45nm'"),
            ({"silicon": {"name": "x"}}, "a silicon needs node_nm"),
            (
                {"bandwidth": 4},
                "unknown field of a machine 'bandwidth'; did you mean '.*bandwidth'",
            ),
            (16, "a machine must be a Machine, its fields or a file, got 16"),
        ],
    )
    def test_wrong_machines(self, wrong, message):
        with pytest.raises(ValueError, match=message):
            machine(wrong)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[machine]\nclok_mhz = 3", "unknown key 'clok_mhz'; did you mean 'clock_mhz'"),
            ("[machine]\nclock_mhz = 0", "clock_mhz must be a positive number, got 0"),
            (
                "[machine]\ndram_gb_per_s = -1.5",
                "dram_gb_per_s must be a positive number, got -1.5",
            ),
            ("[machine]\nl2_gb_per_s = nan", "l2_gb_per_s must be a positive number, got NaN"),
            ("[machine]\nl2_gb_per_s = inf", "l2_gb_per_s must be a positive number, got Infinity"),
            ("[machine]\nl2_gb_per_s = 1e999", "machine l2_bandwidth must be a positive, finite"),
            ("[machine]\nl2_gb_per_s = '3'", "l2_gb_per_s must be a positive number, got '3'"),
            ("[machine]\nl2_gb_per_s = true", "l2_gb_per_s must be a positive number, got True"),
            (
                "[machine]\nclock_mhz = 1\nclock_ghz = 1",
                "clock_mhz and clock_ghz say the same; give one",
            ),
            (
                "[machine]\ndram_gb_per_s = 1\ndram_bytes_per_cycle = 1",
                "dram_gb_per_s and dram_bytes_per_cycle say the same",
            ),
            ("[machine]\nweight_bits = 4.5", "weight_bits must be whole bits, got 4.5"),
            ("[machine]\nweight_bits = 65", "weight_bits must be an integer from 1 to 64, got 65"),
            ("[machine]\nweight_bits = 0", "weight_bits must be a positive number, got 0"),
            ("[machine]\nsilicon = '4nm'", "unknown silicon '4nm'; did you mean '45nm'"),
            ("[machine]\nsilicon = 45", r"silicon must be a name \(45nm, 28nm\), got 45"),
            ("[machine]\nsilicon = {name = 'x'}", r"goes into a table \[silicon\]"),
            ("[machine]\ndram = 'HBM'", "unknown DRAM 'HBM'; did you mean 'HBM2'"),
            (
                "[machine]\nsilicon = '28nm'\n[silicon]\nname = 'x'",
                r"two silicons: give either \[machine\] silicon = a name",
            ),
            ("[silicon]\nbase = '28nm'", "name must be given"),
            ("[silicon]\nname = 'x'\nbase = '28'", "unknown base '28'; did you mean '28nm'"),
            (
                "[silicon]\nname = 'x'\nmultiply_pj = 3",
                "missing node_nm, add_pj, .*sram_area_factor; or give base = a preset",
            ),
            ("[silicon]\nname = 'x'\nmac_pj = 3", "mac_pj needs a base"),
            (
                "[silicon]\nname = 'x'\nbase = '28nm'\nmac_pj = 3\nadd_fj = 5",
                "mac_pj holds add_fj; give one",
            ),
            ("[silicon]\nname = 'x'\nmac_pJ = 3", "unknown key 'mac_pJ'; did you mean 'mac_pj'"),
            ("[silicon]\nname = 'x'\nadd_pj = 0", "add_pj must be a positive number, got 0"),
            ("[machin]", "unknown table 'machin'; did you mean 'machine'"),
            ("[hardware]", r"unknown table 'hardware'.*\(available: machine, silicon\)"),
            ("clock_mhz = 3", r"clock_mhz belongs into the table \[machine\]"),
            ("mac_pj = 3", r"mac_pj belongs into the table \[silicon\]"),
            ("machine = 3", r"machine must be a table: \[machine\]"),
            ("[machine\n", "line 1, column"),
        ],
    )
    def test_wrong_files(self, write, text, message):
        path = write(text)
        with pytest.raises(ValueError, match=message) as caught:
            machine(path)
        assert str(caught.value).startswith(f"{path}: ")

    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            machine(str(tmp_path / "none.toml"))
