"""Accelerators and dataflows from files: what is read, what is written, what is refused and how."""

import dataclasses
import math
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgym import AssignmentProblem, Hardware, Layer, Technology, evaluate
from hwgym.costs.maestro import (
    CONFUCIUX_EYERISS,
    DATAFLOWS,
    EYERISS,
    MAESTRO_2019,
    MAESTRO_2021,
    NVDLA,
    Cluster,
    Dataflow,
    SpatialMap,
    TemporalMap,
    dataflow,
    read_dataflow,
)

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def write(tmp_path):
    def written(text, name="own.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return written


class TestHardware:
    def test_example(self):
        hardware = Hardware.from_toml(EXAMPLES / "accelerator.toml")
        assert (hardware.noc_bandwidth, hardware.noc_hops, hardware.offchip_bandwidth) == (
            64,
            2,
            16,
        )
        tech = hardware.tech
        assert (tech.name, tech.mac_energy_nj, tech.l2_area_um2) == ("example", 0.0004, 20_000)
        assert (tech.l1_unit_bytes, tech.l2_unit_bytes) == (64, 32 * 1024)
        assert (tech.l1_power_mw, tech.bus_power_mw) == (MAESTRO_2019.l1_power_mw, 0.8)

    def test_what_is_left_out_has_defaults(self, write):
        path = write('[hardware]\ntechnology = "maestro-2021"\nsimd_lanes = 4\n')
        assert Hardware.from_toml(path) == Hardware(simd_lanes=4, technology=MAESTRO_2021)

    @pytest.mark.parametrize(
        ("line", "field", "value"),
        [
            ("mac_area_mm2 = 0.004", "mac_area_um2", 4000),
            ("mac_power_uw = 1222.3", "mac_power_mw", 1.2223),
            ("mac_power_w = 2", "mac_power_mw", 2000),
            ("mac_energy_pj = 0.904", "mac_energy_nj", 0.000904),
            ("mac_energy_fj = 230", "mac_energy_nj", 0.00023),
            ("l2_unit_kib = 0.5", "l2_unit_bytes", 512),
            ("l1_energy_macs = 2", "l1_energy_macs", 2),
        ],
    )
    def test_units(self, write, line, field, value):
        path = write(f'[technology]\nname = "own"\nbase = "maestro-2019"\n{line}\n')
        expected = dataclasses.replace(MAESTRO_2019, **{"name": "own", field: value})
        assert Hardware.from_toml(path).tech == expected

    @given(
        st.tuples(*[st.integers(1, most) for most in (2**62, 2**31 - 1, 2**31 - 1, 2**62, 2**62)]),
        st.text(min_size=1),
        st.lists(st.floats(1e-12, 1e12, allow_nan=False), min_size=12, max_size=12),
        st.tuples(*[st.integers(1, 10**6)] * 2),
    )
    def test_round_trip(self, tmp_path_factory, numbers, name, floats, units):
        fields = [f.name for f in dataclasses.fields(Technology)[1:]]
        sizes = dict(zip(("l1_unit_bytes", "l2_unit_bytes"), units, strict=True))
        floats = dict(zip([f for f in fields if f not in sizes], [*floats, 1.5], strict=True))
        technology = Technology(name=name, **floats, **sizes)
        hardware = Hardware(*numbers, technology=technology)
        path = tmp_path_factory.mktemp("toml") / "own.toml"
        hardware.to_toml(path)
        assert Hardware.from_toml(path) == hardware

    def test_a_preset_is_written_by_its_name_unless_changed(self, tmp_path):
        path = tmp_path / "own.toml"
        Hardware(technology="maestro-2019").to_toml(path)
        assert 'technology = "maestro-2019"' in path.read_text()
        changed = Hardware(technology=dataclasses.replace(MAESTRO_2019, mac_area_um2=1))
        changed.to_toml(path)
        assert Hardware.from_toml(path) == changed
        assert [each.name for each in tmp_path.iterdir()] == ["own.toml"]

    def test_arrays_are_not_written(self, tmp_path):
        path = tmp_path / "own.toml"
        with pytest.raises(ValueError, match="simd_lanes must be a number, not an array"):
            Hardware(simd_lanes=np.array([1, 2])).to_toml(path)
        assert not path.exists()

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "noc_bandwith = 3",
                r"\[hardware\]: unknown key 'noc_bandwith'; did you mean 'noc_bandw",
            ),
            ("noc_bandwidth = 3.5", r"\[hardware\]: noc_bandwidth must be an integer, got 3\.5"),
            ("noc_bandwidth = true", "noc_bandwidth must be an integer, got True"),
            ('noc_bandwidth = "64"', "noc_bandwidth must be an integer, got '64'"),
            ("noc_bandwidth = 0", "noc_bandwidth must be at least 1, got 0"),
            ("noc_hops = -1", "noc_hops must be at least 0, got -1"),
            (f"simd_lanes = {2**70}", "simd_lanes must be"),
        ],
    )
    def test_wrong_hardware(self, write, text, message):
        path = write(f'[hardware]\ntechnology = "maestro-2019"\n{text}\n')
        with pytest.raises(ValueError, match=message) as caught:
            Hardware.from_toml(path)
        assert str(caught.value).startswith(f"{path}: ")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "mac_area_um = 3",
                r"\[technology\]: unknown key 'mac_area_um'; did you mean 'mac_area_u",
            ),
            (
                "mac_area_um2 = -3",
                r"\[technology\]: mac_area_um2 must be a positive number, got -3",
            ),
            ("mac_area_um2 = nan", "mac_area_um2 must be a positive number, got NaN"),
            ("mac_area_um2 = inf", "mac_area_um2 must be a positive number, got Infinity"),
            ("mac_area_um2 = false", "mac_area_um2 must be a positive number, got False"),
            ('mac_area_um2 = "4 um2"', "mac_area_um2 must be a positive number, got '4 um2'"),
            ("l1_unit_bytes = 1.5", r"l1_unit_bytes must be whole bytes, got 1\.5"),
            (
                "mac_energy_pj = 1\nmac_energy_nj = 1",
                "mac_energy_pj and mac_energy_nj say the same",
            ),
        ],
    )
    def test_wrong_technology(self, write, text, message):
        path = write(f'[technology]\nname = "own"\nbase = "maestro-2019"\n{text}\n')
        with pytest.raises(ValueError, match=message) as caught:
            Hardware.from_toml(path)
        assert str(caught.value).startswith(f"{path}: ")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "no technology: give either .*maestro-2019, maestro-2021"),
            ("[hardware]\ntechnology = 'x'\n[technology]\nname = 'x'", "unknown technology 'x'"),
            (
                "[hardware]\ntechnology = 'maestro-2019'\n[technology]\nname = 'x'",
                "two technologies: give either",
            ),
            ("[hardware]\ntechnology = ['a']", r"unknown technology \['a'\]"),
            ("[technology]\nbase = 'maestro-2020'", "unknown base 'maestro-2020'; did you mean"),
            ("[technology]\nbase = 'maestro-2019'", "name must be given"),
            ("[technology]\nname = 3", "name must be given, a non-empty string, got 3"),
            (
                "[technology]\nname = 'x'\nmac_area_um2 = 3",
                "missing mac_power_mw, mac_energy_nj, .*; or give base = a preset",
            ),
            ("[hardwear]", "unknown table 'hardwear'; did you mean 'hardware'"),
            ("simd_lanes = 2", r"simd_lanes belongs into the table \[hardware\]"),
            ("mac_energy_pj = 2", r"mac_energy_pj belongs into the table \[technology\]"),
            ("hardware = 3", r"hardware must be a table: \[hardware\]"),
            ("[hardware\n", "line 1, column"),
        ],
    )
    def test_wrong_files(self, write, text, message):
        path = write(text)
        with pytest.raises(ValueError, match=message) as caught:
            Hardware.from_toml(path)
        assert str(caught.value).startswith(f"{path}: ")

    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            Hardware.from_toml(tmp_path / "none.toml")


LAYERS = [
    Layer.conv("a", in_channels=16, out_channels=24, input_size=14, kernel=3, padding=1),
    Layer.conv("b", in_channels=12, out_channels=12, input_size=9, kernel=3, groups=12),
]


def costs(style, layers=LAYERS):
    found = evaluate(layers, style, np.array([[16], [64]]), 3)
    return {f.name: getattr(found, f.name) for f in dataclasses.fields(found)}


def assert_same_costs(one, other, layers=LAYERS):
    np.testing.assert_equal(costs(one, layers), costs(other, layers))


class TestDataflow:
    @pytest.mark.parametrize("style", DATAFLOWS.values(), ids=lambda style: style.name)
    @pytest.mark.parametrize("ending", ["\n", ";\n", "; "])
    def test_round_trips(self, style, ending, tmp_path, write):
        path = tmp_path / "own.toml"
        style.to_toml(path)
        assert read_dataflow(path) == style
        bare = write(ending.join(map(str, style.directives)), "bare.m")
        assert read_dataflow(bare, name=style.name) == style

    @pytest.mark.parametrize("file", ["accelerator.toml", "dataflow.m"])
    def test_examples_make_problems(self, file):
        problem = AssignmentProblem.of("MobileNetV2", str(EXAMPLES / file))
        assert problem.design.dataflows == (read_dataflow(EXAMPLES / file),)
        assert math.isfinite(problem.optimum().objective)

    def test_an_environment_takes_a_file(self):
        env = gym.make("HWAssign-MobileNetV2-NVDLA-v0", dataflow=str(EXAMPLES / "dataflow.m"))
        assert env.unwrapped.problem.design.dataflows[0].name == "dataflow"
        env.close()

    def test_a_network_with_depthwise_layers(self, write):
        path = write(
            """
            // A comment; and {brackets}
            Constant Tile 4;  Constant Lanes 8;
            Network MobileNet-V2 {
              Layer CONV-1 {
                Type: CONV
                Stride { X: 2, Y: 2 }
                Dimensions { K: 32, C: 3, R: 3, S: 3, Y: 224, X: 224 }
                Dataflow { SpatialMap(Tile, Tile) K; TemporalMap(Sz(R),Sz(R)) R;
                           TemporalMap ( 1 , 1 ) Y'; // '
                           Cluster(Lanes, P); SpatialMap(1,1) C; }
              }
              Layer 2 { Type: DSCONV /* one
                 filter a channel */ Dataflow { SpatialMap(2,2) C; } }
              Layer 3 { Type: CONV }
            }
            """,
            "net.m",
        )
        expected = Dataflow(
            "net",
            (
                SpatialMap(4, 4, "K"),
                TemporalMap("R", "R", "R"),
                TemporalMap(1, 1, "Y'"),
                Cluster(8),
                SpatialMap(1, 1, "C"),
            ),
            (SpatialMap(2, 2, "C"),),
        )
        assert read_dataflow(path) == expected
        assert read_dataflow(path, layer="CONV-1", name="mine").name == "mine"

    @pytest.mark.parametrize("outputs", [1, 4, 5])
    def test_inputs_of_several_outputs(self, write, outputs):
        """A map over n+Sz(S)-1 inputs costs what the numbers cost that it stands for."""
        text = "SpatialMap(2,2) K; TemporalMap(Sz(S),Sz(S)) S; TemporalMap({},{}) X;"
        own = read_dataflow(write(text.format(f"{outputs}+Sz(S)-1", outputs), "sum.m"))
        plain = read_dataflow(write(text.format(outputs + 3 - 1, outputs), "plain.m"))
        assert_same_costs(own, plain)
        mixed = read_dataflow(write(text.format(f"Sz(S)+{outputs + 1}-2", outputs), "sum.m"))
        assert mixed == own

    def test_layers_that_differ_must_be_chosen(self, write):
        layer = "Layer {} {{ Type: {} Dataflow {{ SpatialMap({},1) {}; }} }}\n"
        text = (
            layer.format("A", "CONV", 1, "K")
            + layer.format("B", "CONV", 2, "K")
            + layer.format("C", "CONV", 2, "K")
            + layer.format("D", "DSCONV", 3, "C")
        )
        path = write(text, "net.m")
        with pytest.raises(
            ValueError,
            match=r"2 dataflows, as of layers 'A', 'B' \(and 1 more\); name a layer, as net.m:A",
        ):
            read_dataflow(path)
        assert read_dataflow(path, layer="C").directives == (SpatialMap(2, 1, "K"),)
        assert read_dataflow(path, layer="C").depthwise == (SpatialMap(3, 1, "C"),)
        assert dataflow(f"{path}:C") == read_dataflow(path, layer="C")
        assert dataflow(f"{path}:C").name == "net:C"
        with pytest.raises(ValueError, match="unknown layer 'Z'"):
            read_dataflow(path, layer="Z")
        with pytest.raises(ValueError, match="layer 'D' is depthwise"):
            read_dataflow(path, layer="D")
        twice = write(text + layer.format("E", "DSCONV", 4, "C"), "twice.m")
        assert read_dataflow(twice, layer="A").depthwise == NVDLA.depthwise
        same = layer.format("A", "CONV", 1, "K") + text[text.index("Layer D") :]
        with pytest.raises(
            ValueError, match=r"depthwise layers differ: 2 .* name a layer, as .*:A"
        ):
            read_dataflow(write(same + layer.format("E", "DSCONV", 4, "C"), "depthwise.m"))
        with pytest.raises(ValueError, match="only depthwise layers have a dataflow"):
            read_dataflow(write(layer.format("D", "DSCONV", 3, "C"), "none.m"))

    def test_one_sample_and_one_group_need_no_loop(self, write):
        plain = "SpatialMap(2,2) K; TemporalMap(3,3) C; Cluster(4,P); SpatialMap(1,1) C;"
        looped = plain.replace("Cluster", "TemporalMap(One,1) N; TemporalMap(1,1) G; Cluster")
        path = write(f"Constant One 1; Layer A {{ Type: NGCONV Dataflow {{ {looped} }} }}", "n.m")
        assert read_dataflow(path).directives == read_dataflow(write(plain, "p.m")).directives

    @pytest.mark.parametrize(
        ("loop", "message"),
        [
            ("TemporalMap(4,4) N", r"N can only be TemporalMap\(1, 1\), as a layer has one sample"),
            ("SpatialMap(1,1) N", r"and a batch repeats it; got SpatialMap\(1, 1\)"),
            (
                "TemporalMap(1,1) G; SpatialMap(1,1) G",
                r"G can only .* one group, and several repeat",
            ),
            ("TemporalMap(Sz(N),1) N", r"Sz\(N\) is not known: a layer has one sample"),
        ],
    )
    def test_several_samples_or_groups_are_refused_where_they_are_taken(self, write, loop, message):
        layer = "Layer {} {{ Type: CONV Dataflow {{ {}; SpatialMap(1,1) K; }} }}\n"
        path = write(layer.format("ONE", "TemporalMap(1,1) N") + layer.format("MANY", loop), "n.m")
        assert dataflow(f"{path}:ONE").directives == (SpatialMap(1, 1, "K"),)
        with pytest.raises(ValueError, match=rf"n\.m, line 2: .*{message}"):
            dataflow(f"{path}:MANY")
        with pytest.raises(
            ValueError, match=r"2 dataflows, as of layers 'ONE', 'MANY'; .* n.m:ONE"
        ):
            dataflow(str(path))
        with pytest.raises(ValueError, match=f"own.m, line 1: .*{message}"):
            read_dataflow(write(f"{loop}; SpatialMap(1,1) K", "own.m"))
        with pytest.raises(ValueError, match=rf"directives, line 1: .*{message}"):
            read_dataflow(write(f"[dataflow]\ndirectives = '{loop}; SpatialMap(1,1) K'"))

    def test_a_product_is_the_convolution_that_it_costs_as(self, write):
        text = """
            Constant Part 8;
            Layer P {{ Type: {} Dataflow {{
              TemporalMap(2,2) {n}; SpatialMap(1,1) {m}; TemporalMap(Part,Part) {k};
              Cluster(Part,P);
              TemporalMap({wide},1) {n}; SpatialMap(1,1) {k};
            }} }}"""
        product = text.format("GEMM", m="M", n="N", k="K", wide="Sz(N)")
        convolution = text.format("CONV", m="Y", n="K", k="C", wide="Sz(K)")
        style = read_dataflow(write(product, "p.m"))
        assert style.directives == read_dataflow(write(convolution, "c.m")).directives
        assert evaluate(Layer.gemm("g", 24, 20, 40), style, 32, 1).valid

    @pytest.mark.parametrize(
        ("layer", "message"),
        [
            ("Type: GEMM Dataflow { SpatialMap(1,1) C; }", "unknown dimension 'C' .*: M, N, K"),
            ("Type: GEMM Dataflow { SpatialMap(Sz(Y),1) M; }", "unknown dimension 'Y'"),
            (
                "Type: GEMM Dataflow { SpatialMap(1,1) M SpatialMap(1,1) N }",
                "2 spatial maps in one l",
            ),
            ("Type: CONV Dataflow { SpatialMap(1,1) M; }", "unknown dimension 'M'"),
            (
                "Dataflow { SpatialMap(1,1) K; } Type: GEMM",
                "layer 'L': Type: GEMM must stand before",
            ),
        ],
    )
    def test_products_that_are_refused(self, write, layer, message):
        with pytest.raises(ValueError, match=rf"own\.m, line 1: .*{message}"):
            read_dataflow(write(f"Layer L {{ {layer} }}", "own.m"))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "no dataflow: neither directives nor a layer"),
            (
                "SpatialMp(1,1) K",
                "line 1: unknown directive 'SpatialMp'; did you mean 'SpatialMap'?",
            ),
            ("\n\nSpatialMap(1,1) Z", "line 3: unknown dimension 'Z'"),
            ("SpatialMap(1,1)", "line 1: expected more, got the end of the file"),
            ("SpatialMap(1,1", r"line 1: expected '\)', got the end of the file"),
            ("SpatialMap(0,1) K", "line 1: SpatialMap size must be a positive integer .*got 0"),
            ("SpatialMap(1-3,1) K", "line 1: SpatialMap size must be a positive .*got -2"),
            ("SpatialMap(1,) K", r"unknown size '\)'"),
            ("SpatialMap(Sz(Q),1) K", "unknown dimension 'Q'"),
            (
                "SpatialMap(Tile,1) K",
                r"unknown size 'Tile'; did you mean 'tile_k'\? .*Sz\(\.\.\.\)",
            ),
            ("SpatialMap(2+Sz(R),1) K", r"got 2\+R; over inputs it may be n\+Sz\(R\)-1"),
            ("SpatialMap(Sz(R)+Sz(R),1) Y", r"got 2\*R"),
            (
                "SpatialMap(4+Sz(R)-1,4) Y",
                r"n\+Sz\(R\)-1 of Y needs a map \(Sz\(R\), \.\.\.\) R in",
            ),
            ("SpatialMap(4+Sz(R)-1,4) Y TemporalMap(1,1) R", "needs a map"),
            ("SpatialMap(4+Sz(R)-1,4) Y Cluster(2,P) TemporalMap(Sz(R),1) R", "needs a map"),
            ("SpatialMap(1,1) K; Cluster(4, L)", "expected 'P', got 'L'"),
            ("SpatialMap(1,1) K*", r"unexpected '\*'"),
            ("TemporalMap(1,1) K", "level 0: one or two spatial maps are allowed, found 0"),
            ("Constant A B;", "constant A must be a number, got 'B'"),
            ("Network N { Lyer A { } }", "expected 'Layer', got 'Lyer'"),
            ("Layer A { Type CONV }", "layer 'A': expected ':' or '{' after 'Type'|expected ':'"),
            ("Layer A { Dataflow { } }", "a dataflow without directives"),
            ("Layer A { Dataflow { SpatialMap(1,1) K;", "expected more, got the end of the file"),
            (
                "Layer A { Type: DSCONV Dataflow { SpatialMap(1,1) K; } } "
                "Layer B { Dataflow { SpatialMap(1,1) K; } }",
                "a depthwise dataflow has no K",
            ),
        ],
    )
    def test_wrong_mapping_files(self, write, text, message):
        path = write(text, "own.m")
        with pytest.raises(ValueError, match=message) as caught:
            read_dataflow(path)
        assert str(caught.value).startswith(str(path))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", r"no table \[dataflow\]"),
            ("[dataflow]", r"\[dataflow\]: directives must be given"),
            ("[dataflow]\ndirective = ''", "unknown key 'directive'; did you mean 'directives'"),
            ("[dataflow]\ndirectives = 3", "directives must be a string of directives or a list"),
            ("[dataflow]\ndirectives = []", "directives, line 1: no directives"),
            ("[dataflow]\nname = ''\ndirectives = ''", "name must be a non-empty string"),
            (
                "[dataflow]\ndirectives = ['SpatialMap(1,1) K', 'Cluster(1,P']",
                "directives, line 2: expected",
            ),
            (
                "[dataflow]\ndirectives = 'SpatialMap(1,1) K'\ndepthwise = 'SpatialMap(1,1) Q'",
                "depthwise, line 1: unknown dimension 'Q'",
            ),
        ],
    )
    def test_wrong_tables(self, write, text, message):
        path = write(text)
        with pytest.raises(ValueError, match=message) as caught:
            read_dataflow(path)
        assert str(caught.value).startswith(f"{path}: ")

    def test_toml_has_one_dataflow(self, write):
        path = write("[dataflow]\ndirectives = 'SpatialMap(1,1) K'\n")
        assert read_dataflow(path).name == "own"
        with pytest.raises(ValueError, match="layer is for MAESTRO mapping files"):
            read_dataflow(path, layer="A")

    def test_names_and_files(self, write):
        assert dataflow("NVDLA") is NVDLA
        assert dataflow(EYERISS) is EYERISS
        assert dataflow(str(EXAMPLES / "dataflow.m")) == read_dataflow(EXAMPLES / "dataflow.m")
        with pytest.raises(ValueError, match="did you mean 'NVDLA'"):
            dataflow("nvdla")
        for spec in ("none.m", "none.m:CONV1"):
            with pytest.raises(FileNotFoundError):
                AssignmentProblem.of("MobileNetV2", spec)
        with pytest.raises(ValueError, match=r"must end in \.m or \.toml"):
            read_dataflow(write("", "own.txt"))

    def test_free_parameters_stay_free(self, tmp_path):
        CONFUCIUX_EYERISS.to_toml(tmp_path / "own.toml")
        assert_same_costs(read_dataflow(tmp_path / "own.toml"), CONFUCIUX_EYERISS)
