"""Layers, the CSV forms, the shipped networks against published figures, the released tables."""

import dataclasses
import json
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgym import workloads
from hwgym._names import nearest
from hwgym.workloads import (
    LAYER_KINDS,
    MODELS,
    Layer,
    Workload,
    input_size,
    load_workload,
    models,
    workload,
)
from hwgym.workloads.convnets import googlenet as googlenet_convs
from hwgym.workloads.released import released_models, released_workload

REQUIRED = ("K", "C", "OY", "OX", "R", "S")
OPTIONAL = ("stride", "column_stride", "dilation", "column_dilation", "repeat")
SIZES = REQUIRED + OPTIONAL


def make(**changes):
    values = {"name": "a", "kind": "CONV", "K": 8, "C": 4, "OY": 6, "OX": 5, "R": 3, "S": 2}
    return Layer(**{**values, **changes})


def conv(**changes):
    values = {"in_channels": 6, "out_channels": 12, "input_size": 8, "kernel": 3}
    return Layer.conv("a", **{**values, **changes})


def fields(layer):
    return (layer.kind, layer.K, layer.C, layer.OY, layer.OX, layer.R, layer.S, layer.repeat)


class TestNearest:
    def test_suggests_whatever_the_case(self):
        message = "unknown model 'resnet50'; did you mean 'ResNet50'? (available: ViT, ResNet50)"
        assert nearest("model", "resnet50", ["ViT", "ResNet50"]) == message

    @pytest.mark.parametrize("given", ["zzz", 3, None])
    def test_suggests_nothing_where_nothing_is_close(self, given):
        expected = f"unknown model {given!r} (available: ViT, BERT)"
        assert nearest("model", given, iter(["ViT", "BERT"])) == expected


class TestLayer:
    def test_derived_quantities(self):
        layer = make(stride=2, repeat=3)
        assert (layer.Y, layer.X) == (8, 6)
        assert layer.weights == 8 * 4 * 3 * 2 * 3
        assert layer.macs == 8 * 4 * 6 * 5 * 3 * 2 * 3
        assert layer.shape == (8, 4, 8, 6, 3, 2, False)
        assert not layer.is_depthwise
        assert make(kind="DSCONV", K=1).is_depthwise

    def test_shape_leaves_out_name_stride_dilation_and_repeat(self):
        assert make().shape == make(name="b", stride=2, dilation=3, repeat=7).shape
        assert make(K=1).shape != make(K=1, kind="DSCONV").shape

    def test_is_immutable_hashable_and_picklable(self):
        layer = make()
        with pytest.raises(AttributeError):
            layer.K = 9
        assert len({layer, make()}) == 1
        assert pickle.loads(pickle.dumps(layer)) == layer

    def test_columns_move_as_rows_do_unless_told(self):
        assert (make().strides, make().dilations) == ((1, 1), (1, 1))
        alike = make(stride=2, dilation=3)
        assert (alike.strides, alike.dilations) == ((2, 2), (3, 3))
        assert alike == make(stride=2, column_stride=2, dilation=3, column_dilation=3)
        apart = make(stride=2, column_stride=1, dilation=1, column_dilation=3)
        assert (apart.strides, apart.dilations) == ((2, 1), (1, 3))
        assert len({make(), alike, apart}) == 3

    @given(*[st.integers(1, 6)] * 8)
    def test_input_size_is_from_the_first_input_to_the_last(self, oy, ox, r, s, sy, sx, dy, dx):
        layer = Layer(
            "a", "CONV", 1, 1, oy, ox, r, s,
            stride=sy, column_stride=sx, dilation=dy, column_dilation=dx,
        )  # fmt: skip
        rows = {sy * p + dy * q for p in range(oy) for q in range(r)}
        columns = {sx * p + dx * q for p in range(ox) for q in range(s)}
        assert input_size(layer) == (max(rows) + 1, max(columns) + 1)

    def test_input_size_of_stride_one_is_that_of_the_shape(self):
        for layer in (make(), Layer.gemm("a", 5, 7, 11), make(stride=1, dilation=1, repeat=3)):
            assert input_size(layer) == (layer.Y, layer.X)

    @pytest.mark.parametrize("field", SIZES)
    @pytest.mark.parametrize("value", [0, -1, 2.5, 3.0, True, "3", None, np.float64(3.0)])
    def test_rejects_sizes_that_are_not_positive_integers(self, field, value):
        if value is None and field.startswith("column_"):
            return  # as the rows
        with pytest.raises(ValueError) as error:
            make(**{field: value})
        assert str(error.value) == f"layer 'a': {field} must be a positive integer, got {value!r}"

    @pytest.mark.parametrize("field", SIZES)
    def test_numpy_integers_become_python_integers(self, field):
        layer = make(**{field: np.int32(5)})
        assert layer == make(**{field: 5})
        assert type(getattr(layer, field)) is int

    def test_rejects_unknown_kinds_with_the_nearest(self):
        with pytest.raises(ValueError) as error:
            make(kind="conv")
        assert str(error.value) == (
            "layer 'a': unknown layer kind 'conv'; did you mean 'CONV'? "
            "(available: CONV, DSCONV, GEMM)"
        )
        assert LAYER_KINDS == ("CONV", "DSCONV", "GEMM")

    @pytest.mark.parametrize("kind", [None, 1, ["CONV"]])
    def test_rejects_kinds_that_are_no_strings(self, kind):
        with pytest.raises(ValueError, match="unknown layer kind"):
            make(kind=kind)

    @pytest.mark.parametrize("name", ["", None, 3])
    def test_rejects_names(self, name):
        with pytest.raises(ValueError, match="layer name must be a non-empty string, got"):
            make(name=name)

    @pytest.mark.parametrize(
        ("kind", "field"), [("DSCONV", "K"), ("GEMM", "OX"), ("GEMM", "R"), ("GEMM", "S")]
    )
    def test_rejects_sizes_that_the_kind_fixes(self, kind, field):
        changes = {"DSCONV": {"K": 1}, "GEMM": {"OX": 1, "R": 1, "S": 1}}[kind]
        make(kind=kind, **changes)
        with pytest.raises(ValueError, match=f"layer 'a': {field} must be 1 for {kind}, got 2"):
            make(kind=kind, **{**changes, field: 2})


class TestConv:
    # Output sizes by hand: floor((input + 2 padding - kernel) / stride) + 1.
    @pytest.mark.parametrize(
        ("size", "kernel", "stride", "padding", "expected"),
        [
            (224, 7, 2, 3, 112),
            (224, 11, 4, 2, 55),
            (224, 7, 2, 0, 109),
            (7, 3, 1, 1, 7),
            (5, 5, 1, 0, 1),
            (1, 3, 2, 1, 1),
        ],
    )
    def test_output_size(self, size, kernel, stride, padding, expected):
        layer = conv(input_size=size, kernel=kernel, stride=stride, padding=padding)
        assert fields(layer) == ("CONV", 12, 6, expected, expected, kernel, kernel, 1)
        assert (layer.strides, layer.dilations) == ((stride, stride), (1, 1))

    # The same with the filter's reach, dilation * (kernel - 1) + 1, for the kernel.
    @pytest.mark.parametrize(
        ("size", "kernel", "stride", "dilation", "padding", "expected"),
        [
            ((28, 28), 3, (1, 1), (2, 2), 2, (28, 28)),
            ((33, 20), (3, 5), (2, 1), (4, 2), 0, (13, 12)),
            ((9, 7), (3, 1), (1, 3), (4, 9), 0, (1, 3)),
        ],
    )
    def test_dilated_output_size(self, size, kernel, stride, dilation, padding, expected):
        layer = conv(
            input_size=size, kernel=kernel, stride=stride, dilation=dilation, padding=padding
        )
        outputs = (layer.OY, layer.OX)
        assert (outputs, layer.strides, layer.dilations) == (expected, stride, dilation)

    def test_pairs(self):
        layer = conv(input_size=(9, 5), kernel=(3, 2))
        assert fields(layer) == ("CONV", 12, 6, 7, 4, 3, 2, 1)

    def test_groups(self):
        assert fields(conv(groups=3)) == ("CONV", 4, 2, 6, 6, 3, 3, 3)
        assert fields(conv(groups=6, out_channels=6)) == ("DSCONV", 1, 6, 6, 6, 3, 3, 1)
        # Two output channels for each input channel: two depthwise passes.
        assert fields(conv(groups=6)) == ("DSCONV", 1, 6, 6, 6, 3, 3, 2)
        one_channel = conv(in_channels=1, out_channels=1, groups=1)
        assert fields(one_channel) == ("CONV", 1, 1, 6, 6, 3, 3, 1)

    def test_groups_keep_the_macs_of_the_definition(self):
        for groups, out_channels in [(1, 12), (2, 12), (3, 12), (6, 6), (6, 12)]:
            layer = conv(groups=groups, out_channels=out_channels)
            assert layer.macs == 36 * 9 * out_channels * (6 // groups)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"in_channels": 0}, "in_channels must be a positive integer, got 0"),
            ({"out_channels": 2.0}, "out_channels must be a positive integer, got 2.0"),
            ({"input_size": -3}, "input_size must be a positive integer, got -3"),
            ({"input_size": (4, 0)}, "input_size must be a positive integer, got 0"),
            ({"input_size": (4, 4, 4)}, "input_size must be one or two sizes, got (4, 4, 4)"),
            ({"kernel": True}, "kernel must be a positive integer, got True"),
            ({"stride": 0}, "stride must be a positive integer, got 0"),
            ({"stride": (1, 2, 3)}, "stride must be one or two sizes, got (1, 2, 3)"),
            ({"dilation": (1, 0)}, "dilation must be a positive integer, got 0"),
            ({"padding": -1}, "padding must be an integer of at least 0, got -1"),
            ({"groups": 0}, "groups must be a positive integer, got 0"),
            (
                {"groups": 4},
                "groups must divide in_channels 6 and out_channels 12, got 4",
            ),
            (
                {"input_size": (9, 5), "kernel": 8, "padding": 1},
                "kernel 8x8 is larger than the padded input 11x7",
            ),
            (
                {"dilation": (4, 1)},
                "kernel 3x3, dilated to 9x3, is larger than the padded input 8x8",
            ),
            ({"stride": 9}, "stride 9x9 is larger than the padded input 8x8"),
            (
                {"stride": (1, 11), "padding": 1},
                "stride 1x11 is larger than the padded input 10x10",
            ),
        ],
    )
    def test_rejects(self, changes, message):
        with pytest.raises(ValueError) as error:
            conv(**changes)
        assert str(error.value) == f"layer 'a': {message}"


class TestFromInputAndGemm:
    def test_from_input(self):
        layer = Layer.from_input("a", "CONV", 64, 3, 224, 200, 7, 5)
        assert fields(layer) == ("CONV", 64, 3, 218, 196, 7, 5, 1)
        assert (layer.Y, layer.X, layer.stride) == (224, 200, 1)

    @pytest.mark.parametrize(
        ("sizes", "message"),
        [
            ((2, 9, 3, 3), "R must be at most Y = 2, got 3"),
            ((9, 2, 3, 3), "S must be at most X = 2, got 3"),
            ((0, 9, 3, 3), "Y must be a positive integer, got 0"),
            ((9, 9.0, 3, 3), "X must be a positive integer, got 9.0"),
        ],
    )
    def test_from_input_rejects(self, sizes, message):
        with pytest.raises(ValueError) as error:
            Layer.from_input("a", "CONV", 1, 1, *sizes)
        assert str(error.value) == f"layer 'a': {message}"

    def test_gemm(self):
        layer = Layer.gemm("a", M=5, N=7, K=11, repeat=2)
        assert fields(layer) == ("GEMM", 7, 11, 5, 1, 1, 1, 2)
        assert layer.macs == 5 * 7 * 11 * 2

    @pytest.mark.parametrize("size", ["M", "N", "K", "repeat"])
    def test_gemm_rejects_in_its_own_terms(self, size):
        with pytest.raises(ValueError, match=f"layer 'a': {size} must be a positive integer"):
            Layer.gemm("a", **{"M": 5, "N": 7, "K": 11, size: 0})


class TestWorkload:
    def test_is_a_sequence_of_layers(self):
        first, second = make(), make(name="b", K=2)
        both = Workload("w", (first, second))
        assert len(both) == 2
        assert list(both) == [first, second]
        assert both[-1] is second
        assert both[:1] == (first,)
        assert second in both
        assert both == Workload("w", [first, second])
        assert hash(both) == hash(Workload("w", [first, second]))
        assert both.macs == first.macs + second.macs
        assert both.weights == first.weights + second.weights
        assert repr(both) == "<Workload 'w': 2 layers, 7.2e-06 GMACs>"

    def test_unique(self):
        layers = (make(), make(K=2), make(name="b", stride=2), make(repeat=2), make(K=2))
        distinct, index = Workload("w", layers).unique()
        assert distinct == (layers[0], layers[1], layers[3])
        assert index.tolist() == [0, 1, 0, 2, 1]
        assert index.dtype == np.int64

    @pytest.mark.parametrize(
        ("name", "layers", "message"),
        [
            ("", (make(),), "workload name must be a non-empty string, got ''"),
            ("w", (), "workload 'w' has no layers; it needs at least one"),
            ("w", (make(), "x"), "workload 'w': every layer must be a Layer, got 'x'"),
        ],
    )
    def test_rejects(self, name, layers, message):
        with pytest.raises(ValueError) as error:
            Workload(name, layers)
        assert str(error.value) == message

    def test_to_frame(self):
        frame = Workload("w", (make(), make(name="b", K=2, stride=2, repeat=3))).to_frame()
        assert list(frame.columns) == ["name", "kind", *SIZES]
        assert frame.iloc[1].tolist() == ["b", "CONV", 2, 4, 6, 5, 3, 2, 2, 2, 1, 1, 3]
        assert all(frame[size].dtype == np.int64 for size in SIZES)

    def test_specification_in_json(self):
        layers = (make(), make(stride=2, column_stride=1, dilation=3, repeat=2))
        spec = json.loads(json.dumps(dataclasses.asdict(Workload("w", layers))))
        assert load_workload(spec) == Workload("w", layers)

    def test_specification_without_columns_and_dilation(self):
        fields = {"name": "a", "kind": "CONV", "K": 8, "C": 4, "OY": 6, "OX": 5, "R": 3, "S": 2}
        spec = {"name": "w", "layers": [{**fields, "stride": 2, "repeat": 3}]}
        assert load_workload(spec) == Workload("w", (make(stride=2, repeat=3),))


class TestCsv:
    @pytest.mark.parametrize("model", models())
    def test_round_trip(self, tmp_path, model):
        path = tmp_path / f"{model}.csv"
        workload(model).to_csv(path)
        assert Workload.from_csv(path) == workload(model)

    def test_round_trip_of_awkward_names(self, tmp_path):
        names = ["a,b", 'say "x"', " padded ", "two\nlines", "é", "a", "a"]
        original = Workload("w", tuple(make(name=name) for name in names))
        original.to_csv(tmp_path / "x.csv")
        assert Workload.from_csv(tmp_path / "x.csv", name="w") == original

    def test_written_file(self, tmp_path):
        path = tmp_path / "w.csv"
        path.write_text("old")
        layer = make(stride=2, column_stride=1, dilation=4, repeat=3)
        Workload("w", (layer,)).to_csv(path)
        assert path.read_text() == (
            "name,kind,K,C,OY,OX,R,S,stride,column_stride,dilation,column_dilation,repeat\n"
            "a,CONV,8,4,6,5,3,2,2,1,4,4,3\n"
        )
        assert Workload.from_csv(path) == Workload("w", (layer,))
        assert [each.name for each in tmp_path.iterdir()] == ["w.csv"]

    def test_failed_write_leaves_the_old_file(self, tmp_path):
        path = tmp_path / "w.csv"
        path.write_text("old")
        # A lone surrogate cannot be encoded, so writing fails half-way.
        with pytest.raises(UnicodeEncodeError):
            Workload("w", (make(), make(name="\ud800"))).to_csv(path)
        assert path.read_text() == "old"
        assert [each.name for each in tmp_path.iterdir()] == ["w.csv"]

    def read(self, tmp_path, text):
        path = tmp_path / "net.csv"
        path.write_text(text, encoding="utf-8")
        return Workload.from_csv(path)

    def test_own_form_defaults_and_column_order(self, tmp_path):
        read = self.read(tmp_path, "S,R,OX,OY,C,K,kind\n2,3,5,6,4,8,CONV\n\n1,1,1,1,1,1,GEMM\n")
        assert read.name == "net"
        assert read[0] == make(name="layer1")
        assert read[1] == Layer.gemm("layer2", 1, 1, 1)

    def test_own_form_without_columns_and_dilation(self, tmp_path):
        header = "name,kind,K,C,OY,OX,R,S,stride,repeat\n"
        (read,) = self.read(tmp_path, header + "a,CONV,8,4,6,5,3,2,2,3\n")
        assert read == make(stride=2, repeat=3)
        assert (read.strides, read.dilations) == ((2, 2), (1, 1))

    def test_confuciux_form(self, tmp_path):
        read = self.read(tmp_path, "K,C,Y,X,R,S,T\r\n64,3,224,224,7,7,1\r\n1,32,112,112,3,3,2\r\n")
        assert read[0] == Layer("layer1", "CONV", 64, 3, 218, 218, 7, 7)
        assert read[1] == Layer("layer2", "DSCONV", 1, 32, 110, 110, 3, 3)

    def test_gemm_form_and_byte_order_mark(self, tmp_path):
        read = self.read(tmp_path, "\ufeffM,N,K,name,repeat\n5,7,11,x,2\n")
        assert read[0] == Layer.gemm("x", 5, 7, 11, repeat=2)

    OWN = "kind,K,C,OY,OX,R,S\n"
    CONFUCIUX = "K,C,Y,X,R,S,T\n"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "",
                (
                    ": empty file; row 1 must name the columns name,kind,K,C,OY,OX,R,S,"
                    "stride,column_stride,dilation,column_dilation,repeat"
                ),
            ),
            ("M,N,K\n", ": no rows after the header; a workload needs a layer"),
            (
                "kind,K,C,OY,OX,R\n",
                ", row 1: missing column 'S' (needed: kind, K, C, OY, OX, R, S)",
            ),
            ("K,C,Y,X,R,S\n", ", row 1: missing column 'T' (needed: K, C, Y, X, R, S, T)"),
            ("M,K\n1,1\n", ", row 1: missing column 'N' (needed: M, N, K)"),
            (
                "M,N,K,Repeat\n",
                (
                    ", row 1: unknown column 'Repeat'; did you mean 'repeat'? "
                    "(available: M, N, K, name, repeat)"
                ),
            ),
            ("M,N,K,N\n1,1,1,1\n", ", row 1: column 'N' appears 2 times"),
            ("M,N,K\n1,2\n", ", row 2: 2 values for 3 columns; column 'K' is missing"),
            ("M,N,K\n1,2,3,4\n", ", row 2: 4 values for 3 columns; '4' has no column"),
            (
                "M,N,K\n1,1,1\n\n1,x,1\n",
                ", row 4, column 'N': must be a positive integer, got 'x'",
            ),
            ("M,N,K\n1,2.0,1\n", ", row 2, column 'N': must be a positive integer, got '2.0'"),
            ("M,N,K\n1,1_0,1\n", ", row 2, column 'N': must be a positive integer, got '1_0'"),
            ("M,N,K\n1,,1\n", ", row 2, column 'N': must be a positive integer, got ''"),
            (
                OWN + "CONV,8,4,0,5,3,2\n",
                ", row 2, column 'OY': must be a positive integer, got '0'",
            ),
            (
                OWN + "CONV,8,4,-6,5,3,2\n",
                ", row 2, column 'OY': must be a positive integer, got '-6'",
            ),
            ("name,M,N,K\n,1,1,1\n", ", row 2, column 'name': must not be empty"),
            (
                OWN + "Conv,8,4,6,5,3,2\n",
                (
                    ", row 2: layer 'layer1': unknown layer kind 'Conv'; did you mean 'CONV'? "
                    "(available: CONV, DSCONV, GEMM)"
                ),
            ),
            (
                OWN + "CONV,8,4,6,5,3,2\nDSCONV,8,4,6,5,3,2\n",
                ", row 3: layer 'layer2': K must be 1 for DSCONV, got 8",
            ),
            (
                CONFUCIUX + "1,1,9,9,3,3,3\n",
                ", row 2: layer 'layer1': T must be 1 (CONV) or 2 (DSCONV), got 3",
            ),
            (
                CONFUCIUX + "1,1,2,9,3,3,1\n",
                ", row 2: layer 'layer1': R must be at most Y = 2, got 3",
            ),
            ('name,M,N,K\n"open,1,1,1\n', ", row 3: unexpected end of data"),
        ],
    )
    def test_rejects(self, tmp_path, text, message):
        with pytest.raises(ValueError) as error:
            self.read(tmp_path, text)
        assert str(error.value) == f"{tmp_path / 'net.csv'}{message}"

    def test_rejects_what_is_not_utf8(self, tmp_path):
        path = tmp_path / "net.csv"
        path.write_bytes(b"M,N,K\n\xff,1,1\n")
        with pytest.raises(ValueError, match=r"net\.csv, row 1: 'utf-8' codec can't decode"):
            Workload.from_csv(path)

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            Workload.from_csv(tmp_path / "none.csv")


# Layers, from the papers' tables: e.g. ResNet50 is 1 stem + 3 x (3 + 4 + 6 + 3) + 4 downsampling;
# DenseNet121 is 1 + 2 x (6 + 12 + 24 + 16) + 3 transitions; GNMT is 2 x (9 + 8) LSTM products, 4 of
# the attention, 1 of the vocabulary; an encoder block has 8 products; SSD has 4 extra feature maps
# and 6 maps with 2 separable predictors; FastDepth is a MobileNet, 5 separable layers and 1.
LAYERS = {
    "MobileNetV2": 52,
    "MnasNet": 52,
    "ResNet18": 20,
    "ResNet50": 53,
    "VGG16": 13,
    "AlexNet": 5,
    "GoogLeNet": 57,
    "SqueezeNet": 26,
    "ShuffleNetV2": 56,
    "DenseNet121": 120,
    "ResNeXt50": 53,
    "WideResNet50": 53,
    "Transformer": 6 * 8,
    "BERT": 12 * 8 + 1,
    "GNMT": 2 * (9 + 8) + 4 + 1,
    "NCF": 4,
    "ViT": 12 * 8 + 2,
    "SSD-MobileNetV2": 52 + 4 * 3 + 6 * 2 * 2,
    "UNet": 23,  # "In total the network has 23 convolutional layers"
    "FastDepth": 1 + 13 * 2 + 5 * 2 + 1,
}

# GFLOPs (multiply-accumulates) and parameters of the whole models, as torchvision's documentation
# lists them (docs.pytorch.org/vision, "Table of all available classification weights"), and the
# weights of their fully connected layers, which the workloads leave out.
TORCHVISION = {
    "MobileNetV2": (0.301, 3_504_872, 1280 * 1000),
    "MnasNet": (0.314, 4_383_312, 1280 * 1000),
    "ResNet18": (1.814, 11_689_512, 512 * 1000),
    "ResNet50": (4.089, 25_557_032, 2048 * 1000),
    "VGG16": (15.47, 138_357_544, 25088 * 4096 + 4096 * 4096 + 4096 * 1000),
    "AlexNet": (0.714, 61_100_840, 9216 * 4096 + 4096 * 4096 + 4096 * 1000),
    "SqueezeNet": (0.819, 1_248_424, 0),
    "ShuffleNetV2": (0.145, 2_278_604, 1024 * 1000),
    "DenseNet121": (2.834, 7_978_856, 1024 * 1000),
    "ResNeXt50": (4.23, 25_028_904, 2048 * 1000),
    "WideResNet50": (11.398, 68_883_240, 2048 * 1000),
}


# Strides other than 1 and how many layers have them, from the papers' tables: residual networks
# halve the image in the stem and at the start of three stages, there in a block's 3x3 and in its
# downsampling 1x1; ShuffleNetV2 does it in the stem and in both branches' depthwise 3x3.
STRIDED = {
    "MobileNetV2": {2: 1 + 4},
    "MnasNet": {2: 1 + 4},
    "ResNet18": {2: 1 + 3 * 2},
    "ResNet50": {2: 1 + 3 * 2},
    "AlexNet": {4: 1},
    "GoogLeNet": {2: 1},
    "SqueezeNet": {2: 1},
    "ShuffleNetV2": {2: 1 + 3 * 2},
    "DenseNet121": {2: 1},
    "ResNeXt50": {2: 1 + 3 * 2},
    "WideResNet50": {2: 1 + 3 * 2},
    "SSD-MobileNetV2": {2: 1 + 4 + 4},
    "FastDepth": {2: 1 + 4},
}


def out_channels(layer):
    return layer.C if layer.is_depthwise else layer.K * layer.repeat


class TestZoo:
    def test_names(self):
        assert models() == tuple(LAYERS) == tuple(MODELS)
        assert all(workload(name).name == name for name in models())

    def test_workloads_are_built_once(self):
        assert workload("ViT") is workload("ViT")

    @pytest.mark.parametrize(
        ("given", "close"),
        [("mobilenetv2", "MobileNetV2"), ("RESNET-50", "ResNet50"), ("bert", "BERT")],
    )
    def test_unknown_model(self, given, close):
        with pytest.raises(ValueError) as error:
            workload(given)
        assert str(error.value) == (
            f"unknown model '{given}'; did you mean '{close}'? (available: {', '.join(models())})"
        )

    @pytest.mark.parametrize("name", LAYERS)
    def test_layer_counts_and_distinct_names(self, name):
        layers = workload(name)
        assert len(layers) == LAYERS[name]
        assert len({layer.name for layer in layers}) == len(layers)

    @pytest.mark.parametrize("name", LAYERS)
    def test_strides(self, name):
        strides = Counter(layer.strides for layer in workload(name))
        del strides[1, 1]
        assert strides == {(s, s): count for s, count in STRIDED.get(name, {}).items()}
        assert {layer.dilations for layer in workload(name)} == {(1, 1)}

    # Padded images of 224 with a stem and the tensors that strided layers halve, less the row that
    # the stride leaves over.
    @pytest.mark.parametrize(
        ("name", "layer", "rows"),
        [
            ("MobileNetV2", "stem", 224 + 2 - 1),
            ("MobileNetV2", "block2.depthwise", 112 + 2 - 1),
            ("MobileNetV2", "block14.depthwise", 14 + 2 - 1),
            ("MnasNet", "block5.depthwise", 56 + 4 - 1),
            ("ResNet50", "conv1", 224 + 6 - 1),
            ("ResNet50", "layer2.0.conv1", 56),
            ("ResNet50", "layer2.0.conv2", 56 + 2 - 1),
            ("ResNet50", "layer2.0.downsample", 56 - 1),
            ("ResNet18", "layer4.0.conv1", 14 + 2 - 1),
            ("ShuffleNetV2", "stage3.0.branch1.depthwise", 28 + 2 - 1),
            ("AlexNet", "conv1", 224 + 4 - 1),
            ("SqueezeNet", "conv1", 224 - 1),
        ],
    )
    def test_input_rows(self, name, layer, rows):
        (found,) = (each for each in workload(name) if each.name == layer)
        assert input_size(found) == (rows, rows)

    @pytest.mark.parametrize("name", TORCHVISION)
    def test_macs(self, name):
        gmacs, _, classifier = TORCHVISION[name]
        digits = 2 if name in ("VGG16", "ResNeXt50") else 3
        assert round((workload(name).macs + classifier) / 1e9, digits) == gmacs

    @pytest.mark.parametrize("name", TORCHVISION)
    def test_parameters(self, name):
        layers = workload(name)
        _, total, classifier = TORCHVISION[name]
        biases = {"VGG16": 4096 + 4096 + 1000, "AlexNet": 4096 + 4096 + 1000, "SqueezeNet": 0}
        total -= classifier + biases.get(name, 1000)
        if name in biases:
            # Each convolution has a bias for each output channel.
            rest = sum(out_channels(layer) for layer in layers)
        elif name == "DenseNet121":
            # Batch norm (scale and shift) on each convolution's input but the image, and on the
            # outputs of the first and the last.
            rest = 2 * (sum(layer.C for layer in layers[1:]) + 64 + 1024)
        else:
            # Batch norm on each convolution's output.
            rest = 2 * sum(out_channels(layer) for layer in layers)
        assert layers.weights == total - rest

    def test_googlenet_is_torchvisions_but_for_its_5x5(self):
        # torchvision lists 6,624,904 parameters and 1.498 GMACs, with 3x3 in the third branches.
        layers = workload("GoogLeNet")
        fives = [layer for layer in layers if layer.R == 5]
        assert len(fives) == 9
        extra_weights = sum(16 * layer.K * layer.C for layer in fives)
        batch_norm = 2 * sum(layer.K for layer in layers)
        assert layers.weights == 6_624_904 + extra_weights - 1_025_000 - batch_norm
        extra_macs = sum(16 * layer.K * layer.C * layer.OY * layer.OX for layer in fives)
        assert round((layers.macs - extra_macs + 1_024_000) / 1e9, 3) == 1.498

    # Operations of each module in millions, as Szegedy et al. 2015, Table 1, print them. Two of its
    # rows are left out, whose figures do not follow from the sizes printed beside them: 34 for the
    # first convolution (118 by these sizes) and 54 for 5a (51).
    @pytest.mark.parametrize(
        ("module", "mega_macs"),
        [
            ("3a", 128),
            ("3b", 304),
            ("4a", 73),
            ("4b", 88),
            ("4c", 100),
            ("4d", 119),
            ("4e", 170),
            ("5b", 71),
        ],
    )
    def test_googlenet_modules(self, module, mega_macs):
        layers = [
            layer for layer in workload("GoogLeNet") if layer.name.startswith(f"inception{module}.")
        ]
        assert len(layers) == 6
        assert sum(layer.macs for layer in layers) / 1e6 == pytest.approx(mega_macs, rel=0.01)

    def test_googlenet_second_convolution(self):
        # The same table: 112K parameters (its 1x1 reduction is not among them) and 360M operations.
        reduction, second = workload("GoogLeNet")[1:3]
        assert second.weights / 1e3 == pytest.approx(112, rel=0.015)
        assert (reduction.macs + second.macs) / 1e6 == pytest.approx(360, rel=0.01)

    def test_depthwise_and_grouped_layers(self):
        depthwise = {
            name: sum(layer.is_depthwise for layer in workload(name)) for name in TORCHVISION
        }
        expected = {"MobileNetV2": 17, "MnasNet": 17, "ShuffleNetV2": 16 + 3}
        assert {name: count for name, count in depthwise.items() if count} == expected
        assert sum(layer.repeat == 32 for layer in workload("ResNeXt50")) == 16

    def test_some_layers_by_hand(self):
        by_name = {layer.name: layer for layer in workload("ResNet50")}
        assert by_name["layer2.0.conv2"] == Layer(
            "layer2.0.conv2", "CONV", 128, 128, 28, 28, 3, 3, stride=2
        )
        assert by_name["layer4.0.downsample"] == Layer(
            "layer4.0.downsample", "CONV", 2048, 1024, 7, 7, 1, 1, stride=2
        )
        assert workload("SqueezeNet")[0] == Layer("conv1", "CONV", 96, 3, 109, 109, 7, 7, 2)
        assert workload("MnasNet")[-1] == Layer("head", "CONV", 1280, 320, 7, 7, 1, 1)

    def test_vit(self):
        # torchvision lists vit_b_16 with 86,567,656 parameters and 17.564 GMACs.
        layers = workload("ViT")
        assert round(layers.macs / 1e9, 3) == 17.564
        activations = sum(layer.weights for layer in layers if layer.repeat > 1)
        biases = 768 + 12 * (4 * 768 + 3072 + 768) + 1000
        norms = 2 * 768 * (2 * 12 + 1)
        embeddings = 768 + 197 * 768  # class token, positions
        assert layers.weights - activations == 86_567_656 - biases - norms - embeddings

    def test_ssd_mobilenet_v2(self):
        # Sandler et al. 2018, Table 6, MNet V2 + SSDLite: 4.3M parameters, 0.8B multiply-adds.
        layers = workload("SSD-MobileNetV2")
        assert round((layers.weights + 2 * sum(map(out_channels, layers))) / 1e6, 1) == 4.3
        assert round(layers.macs / 1e9, 1) == 0.8
        # On MobileNetV2 as it is, at 320: outputs of layers are (320 / 224)^2 as many.
        backbone = layers[:52]
        assert [each.name for each in backbone] == [each.name for each in workload("MobileNetV2")]
        for mine, known in zip(backbone, workload("MobileNetV2"), strict=True):
            assert (mine.K, mine.C, mine.strides) == (known.K, known.C, known.strides)
            assert (7 * mine.OY, 7 * mine.OX) == (10 * known.OY, 10 * known.OX)
        # Predictors of 4 coordinates and 81 classes, on maps of output stride 16, 32, 64, ...
        predictors = [each for each in layers if each.name.startswith("predict")]
        sizes = [each.OY for each in predictors if each.is_depthwise]
        assert sizes == [size for size in (20, 10, 5, 3, 2, 1) for _ in ("box", "class")]
        channels = [each.K for each in predictors if not each.is_depthwise]
        assert channels == [3 * 4, 3 * 81, *(5 * [6 * 4, 6 * 81])]
        assert [each.C for each in predictors[::4]] == [576, 1280, 512, 256, 256, 128]

    def test_unet(self):
        # Ronneberger et al. 2015, Figure 1: channels above the boxes, sizes beside them.
        layers = workload("UNet")
        pairs = [each for each in layers if each.R == 3]
        assert [each.OY for each in pairs] == [
            570, 568, 282, 280, 138, 136, 66, 64, 30, 28, 54, 52, 102, 100, 198, 196, 390, 388
        ]  # fmt: skip
        down = [64, 64, 128, 128, 256, 256, 512, 512, 1024, 1024]
        assert [each.K for each in pairs] == [*down, 512, 512, 256, 256, 128, 128, 64, 64]
        assert [each.C for each in pairs[10::2]] == [1024, 512, 256, 128]  # half are copied
        up = {each.name: each for each in layers if "upconv" in each.name}
        # 28x28x1024 to 56x56x512: each input element makes 2x2x512 outputs of its own.
        assert up.pop("up4.upconv") == Layer("up4.upconv", "CONV", 4 * 512, 1024, 28, 28, 1, 1)
        for layer in up.values():
            assert layer.K == 4 * layer.C // 2
            assert layer.macs == (2 * layer.OY) * (2 * layer.OX) * (layer.C // 2) * layer.C
        assert layers[-1] == Layer("classifier", "CONV", 2, 64, 388, 388, 1, 1)

    def test_fast_depth(self):
        # Wofk et al. 2019, before pruning: 3.93M weights, 0.74G multiply-accumulates.
        layers = workload("FastDepth")
        assert round(layers.weights / 1e6, 2) == 3.93
        assert round(layers.macs / 1e9, 2) == 0.74
        # MobileNet without its classifier: Howard et al. 2017 (arXiv:1704.04861), Table 4, has
        # 569M multiply-adds and 4.2M parameters with it.
        encoder = layers[:27]
        classifier = 1024 * 1000
        assert round((sum(each.macs for each in encoder) + classifier) / 1e6) == 569
        assert round((sum(each.weights for each in encoder) + classifier) / 1e6, 1) == 4.2
        decoder = [each for each in layers if each.name.startswith("decoder")]
        assert [(each.R, each.OY) for each in decoder[::2]] == [
            (5, 7), (5, 14), (5, 28), (5, 56), (5, 112)
        ]  # fmt: skip
        assert layers[-1] == Layer("depth", "CONV", 1, 32, 224, 224, 1, 1)

    def test_bert(self):
        # Devlin et al. 2019 print 110M; the released bert-base-uncased checkpoint, without its
        # pre-training heads, has 109,482,240.
        layers = workload("BERT")
        activations = sum(layer.weights for layer in layers if layer.repeat > 1)
        biases = 12 * (4 * 768 + 3072 + 768) + 768
        norms = 2 * 768 * (2 * 12 + 1)
        embeddings = (30_522 + 512 + 2) * 768
        assert layers.weights - activations == 109_482_240 - biases - norms - embeddings
        # A block: 4 x 768 x 768 + 2 x 768 x 3072 weights a token, two 512 x 768 products a token.
        assert layers.macs == 12 * 512 * (7_077_888 + 2 * 512 * 768) + 768 * 768

    def test_transformer(self):
        layers = workload("Transformer")
        assert layers.macs == 6 * 512 * (4 * 512**2 + 2 * 512 * 2048 + 2 * 512 * 512)
        # Vaswani et al. 2017, Table 3: 65 million for the whole base model. A decoder block has
        # four more 512 x 512; the shared vocabulary has about 37,000 entries (section 5.1).
        encoder = sum(layer.weights for layer in layers if layer.repeat == 1)
        assert encoder + (encoder + 6 * 4 * 512**2) + 37_000 * 512 == pytest.approx(65e6, rel=0.05)
        assert workloads.transformer(sequence=100)[3] == Layer.gemm(
            "block1.scores", M=100, N=100, K=64, repeat=8
        )

    def test_gnmt(self):
        layers = workload("GNMT")
        # Shazeer et al. 2017 (arXiv:1701.06538), Table 2, rows "GNMT (Wu et al., 2016)": 278M
        # parameters and 214M operations a time step; Wu et al. print neither. One matrix a
        # product, but for the attention's own; two embeddings of 32,000 x 1,024 beside.
        matrices = [layer for layer in layers if layer.name != "attention.context"]
        parameters = sum(layer.K * layer.C for layer in matrices) + 2 * 32_000 * 1024
        assert parameters == pytest.approx(278e6, rel=0.01)
        # Every weight is used once a token, but the attention's scores for each pair of tokens.
        a_step = sum(layer.K * layer.C for layer in matrices if layer.name != "attention.scores")
        assert layers.macs == 50 * a_step + 2 * 50 * 50 * 1024
        assert a_step == pytest.approx(214e6, rel=0.02)
        assert workloads.gnmt(source=10, target=20, batch=4)[1] == Layer.gemm(
            "encoder1.forward.recurrent", M=4, N=4096, K=1024, repeat=10
        )

    def test_gnmt_macs_grow_with_the_batch(self):
        assert workloads.gnmt(batch=8).macs == 8 * workload("GNMT").macs

    def test_ncf(self):
        a_pair = 256 * 256 + 256 * 128 + 128 * 64 + 128 * 1
        assert workload("NCF").macs == 2048 * a_pair
        assert workloads.ncf(batch=1).macs == a_pair


# Of each released table: rows, depthwise rows, MACs by the rule (K C (Y-R+1) (X-S+1) R S), filter
# elements, and the sum over rows i = 1, 2, ... of i (K + 3C + 5Y + 7R + 11T), which depends on
# their order. Taken from the released files, not from the code under test.
RELEASED = {
    "AlexNet": (5, 0, 1485153024, 2468544, 17207),
    "DenseNet": (160, 0, 7799308416, 26252064, 34829935),
    "GoogLeNet": (59, 0, 1651267328, 5718464, 2737801),
    "MnasNet": (52, 17, 347058048, 3064392, 2646682),
    "MobileNetV2": (52, 17, 340401216, 2189760, 2249736),
    "ResNet18": (20, 0, 2269170432, 11166912, 266373),
    "ResNet50": (53, 0, 5823990528, 23454912, 3604124),
    "ResNeXt50": (53, 0, 14581582592, 66766016, 4716572),
    "ShuffleNetV2": (56, 19, 169964408, 1237424, 1196507),
    "SqueezeNet": (26, 0, 1266696320, 1244448, 306665),
    "VGG16": (13, 0, 13884537600, 14710464, 164517),
    "WideResNet50": (53, 0, 14581582592, 66766016, 4716572),
}


class TestReleased:
    def test_names(self):
        assert released_models() == tuple(RELEASED)
        assert released_workload("VGG16") is released_workload("VGG16")
        with pytest.raises(
            ValueError, match="unknown released model 'vgg16'; did you mean 'VGG16'"
        ):
            released_workload("vgg16")

    @pytest.mark.parametrize("name", RELEASED)
    def test_totals(self, name):
        table = released_workload(name)
        order = sum(
            i * (row.K + 3 * row.C + 5 * row.Y + 7 * row.R + 11 * (2 if row.is_depthwise else 1))
            for i, row in enumerate(table, start=1)
        )
        depthwise = sum(row.is_depthwise for row in table)
        assert (len(table), depthwise, table.macs, table.weights, order) == RELEASED[name]

    def test_rows_are_square_with_stride_and_repeat_dropped(self):
        for name in released_models():
            for row in released_workload(name):
                assert (row.Y, row.R, row.stride, row.repeat) == (row.X, row.S, 1, 1)

    def test_alexnet_row_by_row(self):
        assert [row.shape[:6] for row in released_workload("AlexNet")] == [
            (64, 3, 224, 224, 11, 11),
            (192, 64, 27, 27, 5, 5),
            (384, 192, 13, 13, 3, 3),
            (256, 384, 13, 13, 3, 3),
            (256, 256, 13, 13, 3, 3),
        ]

    def test_known_deviations(self):
        def shapes(name):
            return [row.shape for row in released_workload(name)]

        assert shapes("ResNeXt50") == shapes("WideResNet50")
        # Both auxiliary classifiers' 1x1 convolutions, on 4x4.
        assert [row.C for row in released_workload("GoogLeNet") if row.Y == 4] == [512, 528]
        assert max(row.R for row in released_workload("GoogLeNet")[1:]) == 3
        assert len(googlenet_convs(branch3_kernel=3, auxiliary=False)) == 57
        # The figures in the module's documentation.
        ratios = {"AlexNet": 2.27, "MobileNetV2": 1.14, "ResNet50": 1.42, "VGG16": 0.90}
        for name, ratio in ratios.items():
            assert released_workload(name).macs / workload(name).macs == pytest.approx(
                ratio, abs=0.006
            )
