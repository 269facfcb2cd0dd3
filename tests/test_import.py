"""Imports from PyTorch and ONNX against the zoo, and against PyTorch's own count of operations."""

import builtins
import io
import warnings
from collections import Counter
from pathlib import Path

import gymnasium as gym
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

torch = pytest.importorskip("torch")

import networks
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hwgym import AssignmentProblem, Layer, Workload, workload
from hwgym.workloads import (
    SkippedLayersWarning,
    import_onnx,
    import_torch,
    load_workload,
    onnx_reader,
    operators,
)


def shape_of(layer):
    return (layer.kind, layer.shape, layer.repeat, layer.strides, layer.dilations)


def shapes_of(layers):
    return [shape_of(layer) for layer in layers]


def counted(module, *inputs):
    """Multiply-accumulates by PyTorch's counter, which knows neither fused attention nor RNNs."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        module.eval()(*inputs)
    assert counter.get_total_flops() % 2 == 0
    return counter.get_total_flops() // 2


def exported(module, *inputs, **settings):
    """The module as an ONNX model. Weights differ, or the exporter would store equal ones once."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is deprecated, but needs onnx alone
        torch.onnx.export(module.eval(), inputs, file, dynamo=False, **settings)
    return onnx.load_from_string(file.getvalue())


def model(nodes, inputs, outputs=("y",), weights=None, **settings):
    """An ONNX model of nodes; inputs and weights by name and shape."""
    tensors = [
        helper.make_tensor(name, TensorProto.FLOAT, shape, np.zeros(shape).ravel())
        for name, shape in (weights or {}).items()
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
        tensors,
    )
    opsets = [helper.make_opsetid("", 23), helper.make_opsetid("com.example", 1)]
    return helper.make_model(graph, opset_imports=opsets, **settings)


def one(operator, inputs, weights=None, **attributes):
    names = [*inputs, *(weights or {})]
    return model([helper.make_node(operator, names, ["y"], **attributes)], inputs, weights=weights)


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


class TestPublishedNetworks:
    """Written from the papers in PyTorch, on a device without memory."""

    @pytest.mark.parametrize(
        ("name", "parameters"), [("ResNet50", 25_557_032), ("MobileNetV2", 3_504_872)]
    )
    def test_convolutions_are_the_zoos_and_the_classifier_comes_with_them(self, name, parameters):
        with torch.device("meta"):
            module, image = getattr(networks, name)(), torch.zeros(1, 3, 224, 224)
        found = import_torch(module, image)
        *convolutions, head = found.workload
        assert shapes_of(convolutions) == shapes_of(workload(name))
        assert shape_of(head) == shape_of(Layer.gemm("a", 1, 1000, module.head.in_features))
        assert found.parameters == parameters
        assert found.macs == counted(module, image)
        assert found.complete

    @pytest.mark.parametrize(
        ("name", "module", "image"),
        [
            ("SSD-MobileNetV2", "SSDLite", (3, 320, 320)),
            ("UNet", "UNet", (1, 572, 572)),
            ("FastDepth", "FastDepth", (3, 224, 224)),
        ],
    )
    def test_networks_of_mixes_are_the_zoos(self, name, module, image):
        with torch.device("meta"):
            module, example = getattr(networks, module)(), torch.zeros(1, *image)
        found = import_torch(module, example)
        known = workload(name)
        # Predictors of a map may run before the next map is there.
        assert Counter(shapes_of(found.workload)) == Counter(shapes_of(known))
        assert found.macs == known.macs == counted(module, example)
        weights = sum(p.numel() for p in module.parameters() if p.dim() == 4)
        assert known.weights == weights
        assert found.complete

    @pytest.mark.parametrize("fused", [True, False])
    def test_vit_and_bert_are_the_zoos(self, fused):
        with torch.device("meta"):
            vit, image = networks.ViT(fused=fused), torch.zeros(1, 3, 224, 224)
            bert, tokens = networks.BERT(fused=fused), torch.zeros(1, 512, dtype=torch.long)
        for module, example in ((vit, image), (bert, tokens)):
            found = import_torch(module, example)
            assert shapes_of(found.workload) == shapes_of(workload(type(module).__name__))
            assert found.macs == counted(module, example)
            assert found.parameters == sum(p.numel() for p in module.parameters())
        assert import_torch(vit, image).parameters == 86_567_656


class TestNetworksOfTheOnnxPackage:
    """Published networks, exported by others: files for tests of ONNX's backends."""

    FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"

    @pytest.mark.parametrize("name", ["ResNet50", "DenseNet121"])
    def test_are_the_zoos_with_a_classifier(self, name):
        found = import_onnx(self.FOLDER / f"light_{name.lower()}.onnx")
        *convolutions, head = found.workload
        assert shapes_of(convolutions) == shapes_of(workload(name))
        assert (head.K, head.OY, head.OX, found.complete) == (1000, 1, 1, True)

    def test_vgg19_is_vgg16_three_convolutions_deeper(self):
        found = import_onnx(self.FOLDER / "light_vgg19.onnx").workload
        convolutions = [layer for layer in found if layer.kind == "CONV"]
        deeper = Counter(shapes_of(convolutions)) - Counter(shapes_of(workload("VGG16")))
        assert (len(convolutions), deeper.total()) == (16, 3)
        assert round(found.macs / 1e9, 1) == 19.6  # He et al., CVPR 2016, figure 3

    def test_alexnet_in_two_columns_has_groups(self):
        found = import_onnx(self.FOLDER / "light_bvlc_alexnet.onnx").workload
        assert [layer.repeat for layer in found] == [1, 2, 1, 2, 2, 1, 1, 1]


NETWORKS = {
    "resnet": (lambda: networks.Bottleneck(8, 4, 2), (1, 8, 15, 15)),
    "mobilenet": (lambda: networks.Inverted(8, 8, 6, 1), (1, 8, 14, 10)),
    "vit": (lambda: networks.ViT(32, 8, 2, 24, 3), (1, 3, 32, 32)),
    "vit, attention written out": (
        lambda: networks.ViT(32, 8, 1, 24, 3, fused=False),
        (1, 3, 32, 32),
    ),
    "grouped and dilated": (
        lambda: nn.Sequential(
            nn.Conv2d(4, 8, (3, 5), (1, 2), (1, 0), dilation=(2, 1), groups=2),
            nn.Conv2d(8, 16, 3, groups=8, padding=2),
            nn.Conv2d(16, 3, 1),
        ),
        (2, 4, 13, 14),
    ),
    "one axis": (
        lambda: nn.Sequential(nn.Conv1d(3, 6, 5, 2), nn.Conv1d(6, 6, 3, groups=6)),
        (2, 3, 31),
    ),
    "three axes": (
        lambda: nn.Sequential(nn.Conv3d(2, 6, (3, 2, 1), (1, 2, 1)), nn.Conv3d(6, 6, 2, groups=6)),
        (2, 2, 5, 8, 6),
    ),
    "transposed": (
        lambda: nn.Sequential(
            nn.ConvTranspose2d(3, 4, 2, 2),
            nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2),
            nn.ConvTranspose2d(6, 6, 4, 2, 1, groups=6),
            nn.ConvTranspose2d(6, 2, (3, 5), (1, 3), dilation=(2, 3)),
        ),
        (2, 3, 3, 4),
    ),
    "linear": (lambda: nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4, bias=False)), (2, 3, 6)),
}


@pytest.mark.parametrize("name", NETWORKS)
class TestSmallNetworks:
    def test_macs_and_parameters_are_pytorchs(self, name):
        make, size = NETWORKS[name]
        module, example = make(), torch.zeros(size)
        found = import_torch(module, example)
        assert found.complete
        assert found.macs == found.workload.macs == counted(module, example)
        assert found.parameters == sum(p.numel() for p in module.parameters())

    def test_onnx_gives_the_same_layers(self, name):
        make, size = NETWORKS[name]
        module, example = make(), torch.zeros(size)
        axes = {"input_names": ["x"], "dynamic_axes": {"x": {0: "batch"}}}
        found = import_onnx(exported(module, example, **axes), batch=size[0])
        assert found.complete
        assert shapes_of(found.workload) == shapes_of(import_torch(module, example).workload)

    def test_onnx_has_the_same_parameters(self, name):
        make, size = NETWORKS[name]
        module, example = make(), torch.zeros(size)
        keep = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
        found = import_onnx(exported(module, example, **keep))
        assert found.parameters == sum(p.numel() for p in module.parameters())


def test_a_normalisation_folded_into_a_convolution_leaves_its_bias():
    module = networks.conv(3, 8, 3)
    found = import_onnx(exported(module, torch.zeros(1, 3, 8, 8)))
    assert found.parameters == import_torch(module, torch.zeros(1, 3, 8, 8)).parameters - 8


class TestConvolutions:
    @given(
        st.integers(1, 3),
        st.sampled_from([1, 2, 4]),
        *[st.tuples(st.integers(1, 4), st.integers(1, 4)) for _ in range(3)],
        st.booleans(),
    )
    def test_any_convolution_has_pytorchs_count(
        self, batch, groups, kernel, stride, dilation, transposed
    ):
        make = nn.ConvTranspose2d if transposed else nn.Conv2d
        module = make(4, 8, kernel, stride, dilation=dilation, groups=groups, device="meta")
        example = torch.zeros(batch, 4, 14, 13, device="meta")
        found = import_torch(module, example)
        assert found.macs == counted(module, example)
        assert found.workload.weights >= module.weight.numel()

    @given(
        st.integers(1, 3),
        st.sampled_from([1, 2, 4]),
        *[st.tuples(*[st.integers(1, 4)] * 2)] * 3,
    )
    def test_stride_and_dilation_say_what_is_read(self, axes, groups, kernel, stride, dilation):
        make = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
        settings = {
            name: (pair[0],) if axes == 1 else (2, *pair)[-axes:]
            for name, pair in (("stride", stride), ("dilation", dilation), ("kernel_size", kernel))
        }
        module = make(4, 4, groups=groups, bias=False, **settings)
        nn.init.ones_(module.weight)
        x = torch.zeros(1, 4, *(16, 15, 14)[:axes], requires_grad=True)
        module(x).sum().backward()
        (layer,) = import_torch(module, x.detach()).workload
        if layer.kind == "GEMM":
            return  # each input once, and its own
        # Over three axes, those of the slices are not the layer's.
        read = x.grad.sum(dim=(0, 1, 2) if axes == 3 else (0, 1))
        rows = [
            sorted({s * p + d * r for p in range(outputs) for r in range(taps)})
            for s, d, outputs, taps in zip(
                layer.strides,
                layer.dilations,
                (layer.OY, layer.OX),
                (layer.R, layer.S),
                strict=True,
            )
        ]
        assert [each.unique().tolist() for each in read.nonzero().T] == rows[: read.dim()]

    @given(*[st.integers(1, 5)] * 3)
    def test_a_phase_of_a_transposed_convolution_reads_with_its_dilation(self, taps, step, spread):
        module = nn.ConvTranspose1d(1, 1, taps, step, bias=False, dilation=spread)
        nn.init.ones_(module.weight)
        x = torch.zeros(1, 1, 40, requires_grad=True)
        y = module(x)[0, 0]
        read = set()
        for at in range(len(y) // 2, len(y) // 2 + step):  # every phase, off the border
            (slope,) = torch.autograd.grad(y[at], x, retain_graph=True)
            read.add(tuple(slope[0, 0].nonzero().ravel().diff().tolist()) if slope.any() else None)
        layers = import_torch(module, x.detach()).workload
        assert all(layer.strides == (1, 1) for layer in layers)
        assert read - {None} == {(layer.dilation,) * (layer.R - 1) for layer in layers}

    def test_weights_used_with_two_dilations_are_two_layers(self):
        class Pyramid(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = nn.Parameter(torch.zeros(2, 2, 3, 3))

            def forward(self, x):
                each = (F.conv2d(x, self.weight, padding=d, dilation=d) for d in (1, 2, 2))
                return sum(each)

        found = import_torch(Pyramid(), torch.zeros(1, 2, 8, 8)).workload
        assert [(layer.dilations, layer.repeat) for layer in found] == [((1, 1), 1), ((2, 2), 2)]

    def test_a_transposed_convolution_is_its_phases(self):
        # Stride 2, filter 3: even outputs see two taps, odd ones one.
        module = nn.ConvTranspose1d(4, 6, 3, 2)
        found = import_torch(module, torch.zeros(1, 4, 10)).workload
        two, one_tap = (Layer("a", "CONV", 6, 4, 10, 1, taps, 1) for taps in (2, 1))
        assert shapes_of(found) == shapes_of([two, one_tap])

    def test_a_transposed_convolution_equals_its_phases_in_numbers(self):
        torch.manual_seed(0)
        x, weight = torch.randn(1, 2, 5), torch.randn(2, 3, 4)
        whole = F.conv_transpose1d(x, weight, stride=2)
        phases = [F.conv_transpose1d(x, weight[..., phase::2]) for phase in range(2)]
        assert torch.allclose(torch.stack(phases, -1).flatten(-2), whole)
        (layer,) = import_torch(nn.ConvTranspose1d(2, 3, 4, 2), x).workload
        assert shape_of(layer) == shape_of(Layer("a", "CONV", 6, 2, 5, 1, 2, 1))

    def test_three_axes_are_slices_of_stacked_channels(self):
        (layer,) = import_torch(nn.Conv3d(2, 8, (3, 5, 5)), torch.zeros(1, 2, 7, 9, 9)).workload
        assert shape_of(layer) == shape_of(Layer("a", "CONV", 8, 6, 5, 5, 5, 5, repeat=5))

    def test_filters_that_do_not_overlap_are_a_matrix_product(self):
        (layer,) = import_torch(nn.Conv2d(3, 8, 4, 4), torch.zeros(2, 3, 8, 12)).workload
        assert shape_of(layer) == shape_of(Layer.gemm("a", M=2 * 2 * 3, N=8, K=3 * 16))

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_samples_of_a_batch_run_one_after_the_other(self, axes):
        make = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
        single, batch = (
            import_torch(make(2, 4, 3), torch.zeros(n, 2, *[6] * axes)).workload[0] for n in (1, 5)
        )
        assert batch.repeat == 5 * single.repeat
        assert batch.shape == single.shape

    def test_more_axes_are_skipped_with_their_macs(self):
        with pytest.raises(operators.Unmappable, match="over 4 axes") as caught:
            operators.convolution(
                "a",
                batch=2,
                out_channels=4,
                in_channels=6,
                groups=2,
                output_size=[3] * 4,
                kernel=[2] * 4,
                stride=[1] * 4,
                dilation=[1] * 4,
            )
        assert caught.value.macs == 2 * 4 * 3 * 3**4 * 2**4


class TestMatrixProducts:
    @pytest.mark.parametrize(
        ("left", "right", "expected"),
        [
            ((3, 4), (4, 5), (3, 5, 4, 1)),
            ((2, 7, 3, 4), (4, 5), (42, 5, 4, 1)),
            ((2, 7, 3, 4), (2, 7, 4, 5), (3, 5, 4, 14)),
            ((2, 7, 3, 4), (7, 4, 5), (6, 5, 4, 7)),
            ((2, 7, 3, 4), (2, 1, 4, 5), (21, 5, 4, 2)),
            ((3, 4), (2, 4, 5), (3, 10, 4, 1)),
            ((4,), (4, 5), (1, 5, 4, 1)),
            ((3, 4), (4,), (3, 1, 4, 1)),
            ((4,), (4,), (1, 1, 4, 1)),
        ],
    )
    def test_broadcasting(self, left, right, expected):
        rows, columns, inner, repeat = expected
        layer = operators.matmul("a", left, right, weight_left=False)
        assert layer == Layer.gemm("a", rows, columns, inner, repeat)
        outputs = np.matmul(np.zeros(left), np.zeros(right)).size
        assert layer.macs == outputs * inner
        (by_onnx,) = import_onnx(one("MatMul", {"a": left, "b": right})).workload
        assert shape_of(by_onnx) == shape_of(layer)

    def test_weights_on_the_left_become_the_second_matrix(self):
        expected = Layer.gemm("a", M=2 * 5, N=3, K=4)
        found = import_onnx(
            model(
                [helper.make_node("MatMul", ["w", "x"], ["y"])],
                {"x": (2, 4, 5)},
                weights={"w": (3, 4)},
            )
        )
        assert shape_of(found.workload[0]) == shape_of(expected)

        class Left(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = nn.Parameter(torch.zeros(3, 4))

            def forward(self, x):
                return self.weight @ x

        layer = import_torch(Left(), torch.zeros(4, 5)).workload[0]
        assert shape_of(layer) == shape_of(Layer.gemm("a", M=5, N=3, K=4))

    @pytest.mark.parametrize("transposed", [(0, 0), (0, 1), (1, 0), (1, 1)])
    def test_gemm(self, transposed):
        a, b = ((s[::-1] if t else s) for s, t in zip(((3, 4), (4, 5)), transposed, strict=True))
        attributes = {"transA": transposed[0], "transB": transposed[1]}
        found = import_onnx(one("Gemm", {"a": a}, {"b": b, "c": (5,)}, **attributes))
        assert shape_of(found.workload[0]) == shape_of(Layer.gemm("a", 3, 5, 4))
        assert found.parameters == 4 * 5 + 5

    @pytest.mark.parametrize(
        ("equation", "left", "right"),
        [
            ("bhid,bhjd->bhij", (2, 3, 4, 5), (2, 3, 6, 5)),
            ("bid,de->bie", (2, 4, 5), (5, 6)),
            ("...ij,...jk", (2, 3, 4, 5), (3, 5, 6)),
            ("ij,kj", (2, 3), (4, 3)),
            ("bij,bj->b", (2, 3, 4), (2, 4)),
            ("ab , bc -> ac", (2, 3), (3, 4)),
            ("bchw,bkc->bkhw", (2, 3, 4, 5), (2, 6, 3)),
        ],
    )
    def test_einsum_counts_what_numpy_multiplies(self, equation, left, right):
        (layer,) = import_onnx(one("Einsum", {"a": left, "b": right}, equation=equation)).workload
        sums = Function(lambda a, b: torch.einsum(equation, a, b))
        assert layer.macs == counted(sums, torch.zeros(left), torch.zeros(right))

    def test_einsum_without_an_inner_dimension_is_no_matrix_product(self):
        assert operators.einsum("a", "ij,ij->ij", [(2, 3), (2, 3)]) is None
        assert operators.einsum("a", "i,j->ij", [(2,), (3,)]) is None
        assert operators.einsum("a", "ij->ji", [(2, 3)]) is None

    @pytest.mark.parametrize("equation", ["ij,jk,kl->il", "ii,ij->j"])
    def test_an_einsum_that_is_no_single_product_is_skipped(self, equation):
        shapes = dict.fromkeys("abc"[: equation.count(",") + 1], (3, 3))
        product = helper.make_node("MatMul", ["a", "b"], ["z"])
        node = helper.make_node("Einsum", [*shapes], ["y"], equation=equation)
        found = import_onnx(model([product, node], shapes, ("y", "z")))
        assert [each.operator for each in found.skipped] == ["Einsum"]

    def test_attention_with_shared_keys(self):
        q, kv = torch.zeros(2, 8, 5, 4), torch.zeros(2, 2, 7, 4)
        function = Function(lambda q, k: F.scaled_dot_product_attention(q, k, k, enable_gqa=True))
        found = import_torch(function, (q, kv)).workload
        expected = [Layer.gemm("a", 5, 7, 4, 16), Layer.gemm("a", 5, 4, 7, 16)]
        assert shapes_of(found) == shapes_of(expected)
        assert found.macs == counted(function, q, kv)

    def test_onnx_attention(self):
        found = import_onnx(
            one(
                "Attention",
                {"q": (2, 5, 32), "k": (2, 7, 8), "v": (2, 7, 12)},
                q_num_heads=8,
                kv_num_heads=2,
            )
        ).workload
        expected = [Layer.gemm("a", 5, 7, 4, 16), Layer.gemm("a", 5, 6, 7, 16)]
        assert shapes_of(found) == shapes_of(expected)

    def test_multihead_attention_module(self):
        module = nn.TransformerEncoderLayer(12, 3, 20, batch_first=True)
        example = torch.zeros(2, 5, 12)
        found = import_torch(module, example)
        assert [layer.name for layer in found.workload] == [
            "self_attn.in_proj",
            "self_attn.scores",
            "self_attn.context",
            "self_attn.out_proj",
            "linear1",
            "linear2",
        ]
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            assert found.macs == counted(module, example)
        finally:
            torch.backends.mha.set_fastpath_enabled(True)


GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


class TestRecurrent:
    @pytest.mark.parametrize("kind", GATES)
    @pytest.mark.parametrize("batch", [1, 3])
    def test_products_are_those_of_the_zoo(self, kind, batch):
        gates, steps, width, hidden = GATES[kind], 5, 6, 7
        module = getattr(nn, kind)(width, hidden, 2, bidirectional=True)
        found = import_torch(module, torch.zeros(steps, batch, width))
        expected = [
            layer
            for inputs in (width, width, 2 * hidden, 2 * hidden)
            for layer in (
                Layer.gemm("a", M=batch * steps, N=gates * hidden, K=inputs),
                Layer.gemm("a", M=batch, N=gates * hidden, K=hidden, repeat=steps),
            )
        ]
        assert shapes_of(found.workload) == shapes_of(expected)
        assert found.workload[3].name == f"{kind}.hh_l0_reverse"
        assert found.parameters == sum(p.numel() for p in module.parameters())

    @pytest.mark.parametrize("kind", GATES)
    @pytest.mark.parametrize("layout", [0, 1])
    def test_onnx(self, kind, layout):
        gates, steps, batch, width, hidden = GATES[kind], 5, 3, 6, 7
        size = (batch, steps, width) if layout else (steps, batch, width)
        weights = {"w": (2, gates * hidden, width), "r": (2, gates * hidden, hidden)}
        direction = {"direction": "bidirectional", "hidden_size": hidden, "layout": layout}
        found = import_onnx(one(kind, {"x": size}, weights, **direction)).workload
        expected = 2 * [
            Layer.gemm("a", M=batch * steps, N=gates * hidden, K=width),
            Layer.gemm("a", M=batch, N=gates * hidden, K=hidden, repeat=steps),
        ]
        assert shapes_of(found) == shapes_of(expected)

    def test_steps_in_python_are_repeats_and_calls_of_a_module_are_layers(self):
        class Loop(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = nn.Parameter(torch.zeros(4, 4))
                self.layer = nn.Linear(4, 4)

            def forward(self, x):
                for _ in range(5):
                    x = x @ self.weight
                return self.layer(self.layer(x))

        found = import_torch(Loop(), torch.zeros(2, 4)).workload
        assert [(layer.name, layer.repeat) for layer in found] == [
            ("Loop", 5),
            ("layer", 1),
            ("layer#2", 1),
        ]


class TestSkipped:
    def test_torch_lists_what_it_cannot_map(self):
        function = Function(lambda x: torch.fft.rfft(torch.cdist(x, x) @ x))
        with pytest.warns(
            SkippedLayersWarning, match="Function: not in the workload: .*_cdist_forward.*; .*_fft"
        ):
            found = Workload.from_torch(function, torch.zeros(4, 4))
        assert len(found) == 1

    def test_torch_lists_groups_of_columns_with_their_macs(self):
        groups = Function(lambda w, x, ends: torch._grouped_mm(w, x, offs=ends) @ x.mT)
        w, x = (torch.zeros(size, dtype=torch.bfloat16) for size in ((2, 16, 32), (32, 8)))
        found = import_torch(groups, (w, x, torch.tensor([3, 8], dtype=torch.int32)))
        assert [each.macs for each in found.skipped] == [8 * 16 * 32]
        assert found.macs == 2 * 8 * 16 * 32

    def test_equal_reasons_are_one_line(self):
        function = Function(lambda x: torch.fft.rfft(x @ x).real + torch.fft.rfft(x + x).real)
        module = nn.ModuleList([function, function])
        module.forward = lambda x: [each(x) for each in module]
        found = import_torch(module, torch.zeros(4, 4))
        assert len(found.skipped) == 4
        reason = "no exact convolution or matrix product for it"
        expected = f"  0 and 3 more (aten._fft_r2c.default): {reason}; MACs unknown"
        assert str(found).splitlines()[1:] == ["Not in the workload (4):", expected]
        with pytest.warns(SkippedLayersWarning, match=r"0 and 3 more .*; MACs unknown$"):
            Workload.from_torch(module, torch.zeros(4, 4))

    def test_macs_of_one_line_are_added_up(self):
        several = [operators.SkippedOperator("a", "Op", "why", macs) for macs in (1000, 24)]
        assert operators.grouped(several) == ["a and 1 more (Op): why; MACs 1,024 in all"]
        several.append(operators.SkippedOperator("b", "Op", "why"))
        assert operators.grouped(several) == ["a and 2 more (Op): why; MACs at least 1,024 in all"]

    def test_torch_lists_operators_of_other_libraries(self):
        library = torch.library.Library("hwgym_test", "FRAGMENT")
        library.define("mystery(Tensor x) -> Tensor")
        library.impl("mystery", lambda x: x.clone(), "CPU")
        function = Function(lambda x: torch.ops.hwgym_test.mystery(x @ x))
        (skipped,) = import_torch(function, torch.zeros(3, 3)).skipped
        assert (skipped.operator, skipped.macs) == ("hwgym_test.mystery.default", None)
        assert "another library" in skipped.reason

    def test_onnx_lists_what_it_cannot_map_with_the_macs_it_knows(self):
        nodes = [
            helper.make_node("Conv", ["x", "w"], ["a"]),
            helper.make_node("DeformConv", ["a", "w", "o"], ["b"], name="deformed"),
            helper.make_node("Det", ["b"], ["c"]),
            helper.make_node("Mystery", ["b"], ["d"], domain="com.example"),
            helper.make_node("Relu", ["d"], ["y"]),
        ]
        inputs = {"x": (1, 2, 8, 8), "o": (1, 18, 4, 4)}
        found = import_onnx(model(nodes, inputs, ("y", "c"), {"w": (2, 2, 3, 3)}))
        assert [(s.name, s.operator) for s in found.skipped] == [
            ("deformed", "DeformConv"),
            ("c", "Det"),
            ("d", "com.example.Mystery"),
        ]
        assert [s.macs for s in found.skipped] == [2 * 4 * 4 * 2 * 9, None, None]
        assert found.macs == found.workload.macs + 2 * 4 * 4 * 2 * 9
        assert not found.complete
        assert str(found).splitlines()[0] == "graph: 1 layer, 1,296 MACs, 36 parameters"
        assert "deformed (DeformConv): " in str(found)
        assert "MACs 576" in str(found)

    def test_empty_tensors_are_no_work(self):
        keys = Function(lambda x, past: (x @ x) + (past @ past.mT).sum())
        found = import_torch(keys, (torch.zeros(3, 3), torch.zeros(0, 4, 4)))
        assert [(s.reason, s.macs) for s in found.skipped] == [("a tensor without elements", 0)]
        with pytest.raises(ValueError, match="a tensor without elements; MACs 0"):
            import_torch(nn.Conv2d(1, 1, 3), torch.zeros(0, 1, 8, 8))

    def test_a_shape_that_cannot_be_inferred_is_said(self):
        nodes = [
            helper.make_node("MatMul", ["x", "x"], ["a"]),
            helper.make_node("Mystery", ["a"], ["b"], domain="com.example"),
            helper.make_node("MatMul", ["b", "x"], ["y"]),
        ]
        *_, last = import_onnx(model(nodes, {"x": (3, 3)})).skipped
        assert last.reason == "the shape of 'b' is not known"

    @pytest.mark.parametrize("body", ["MatMul", "Add"])
    def test_control_flow_counts_if_it_computes(self, body):
        def branch(operator):
            out = helper.make_tensor_value_info("z", TensorProto.FLOAT, (3, 3))
            return helper.make_graph(
                [helper.make_node(operator, ["x", "x"], ["z"])], "b", [], [out]
            )

        nodes = [
            helper.make_node("MatMul", ["x", "x"], ["a"]),
            helper.make_node(
                "If", ["c"], ["y"], then_branch=branch(body), else_branch=branch("Sub")
            ),
        ]
        graph = helper.make_graph(
            nodes,
            "graph",
            [
                helper.make_tensor_value_info("x", TensorProto.FLOAT, (3, 3)),
                helper.make_tensor_value_info("c", TensorProto.BOOL, ()),
            ],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        )
        found = import_onnx(helper.make_model(graph))
        assert [each.operator for each in found.skipped] == (["If"] if body == "MatMul" else [])

    def test_every_standard_operator_is_accounted_for(self):
        """One that multiplies matrices must be mapped or left out of the harmless list by name."""
        standard = {s.name for s in onnx.defs.get_all_schemas() if s.domain == ""}
        assert standard >= onnx_reader._ELEMENTWISE
        rest = standard - onnx_reader._ELEMENTWISE - {*onnx_reader._MAPPED} - onnx_reader._CONTROL
        assert rest == {"CausalConvWithState", "DFT", "Det", "LinearAttention", "STFT", "SwiGLU"}

    def test_nothing_to_map(self):
        with pytest.raises(ValueError, match="Function: no convolution and no matrix product"):
            import_torch(Function(torch.relu), torch.zeros(3))
        with pytest.raises(ValueError, match=r"not mapped: y \(Det\)"):
            import_onnx(one("Det", {"x": (3, 3)}))


class TestExperts:
    """Mixtures of experts: every row meets one of the matrices, which one is not known."""

    @pytest.mark.parametrize(
        ("rows", "expected"), [(8, [(4, 2)]), (9, [(5, 1), (4, 1)]), (1, [(1, 1)])]
    )
    def test_rows_are_split_evenly(self, rows, expected):
        class Experts(nn.Module):
            def __init__(self):
                super().__init__()
                self.up = nn.Parameter(torch.zeros(2, 32, 16, dtype=torch.bfloat16))

            def forward(self, x, ends):
                return torch._grouped_mm(x, self.up.mT, offs=ends)

        x, ends = torch.zeros(rows, 16, dtype=torch.bfloat16), torch.tensor([1, rows])
        found = import_torch(Experts(), (x, ends.int()))
        assert shapes_of(found.workload) == shapes_of(
            Layer.gemm("a", M=size, N=32, K=16, repeat=times) for size, times in expected
        )
        assert (found.complete, found.macs) == (True, rows * 16 * 32)
        assert {layer.name.split(".")[1] for layer in found.workload} == {"up"}
        assert found.notes == (
            f"Experts: which expert gets which rows is known only when it runs; {rows} rows are "
            "split evenly over 2 experts",
        )
        assert str(found).splitlines()[-2:] == ["Taken for granted:", f"  {found.notes[0]}"]

    def test_equal_notes_are_one(self):
        notes = [("a", "even"), ("b", "even"), ("c", "odd")]
        assert operators.grouped_notes(notes) == ["a and 1 more: even", "c: odd"]


class TestQuantised:
    def quantised(self, module, example):
        from torch.ao import quantization

        whole = nn.Sequential(quantization.QuantStub(), module, quantization.DeQuantStub()).eval()
        whole.qconfig = quantization.QConfig(
            activation=quantization.default_observer, weight=quantization.default_weight_observer
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that all of this moves to another package
            prepared = quantization.prepare(whole)
            prepared(example)
            return quantization.convert(prepared)

    @pytest.mark.parametrize("name", ["grouped and dilated", "one axis", "linear"])
    def test_layers_are_those_of_the_module_before(self, name):
        make, size = NETWORKS[name]
        module = make()
        if name == "one axis":  # this kind has no kernels for depthwise layers over one axis
            module = module[:1]
        expected = import_torch(nn.Sequential(nn.Identity(), module), torch.zeros(size))
        found = import_torch(self.quantised(module, torch.randn(size)), torch.zeros(size))
        assert found.complete
        assert list(found.workload) == list(expected.workload)
        assert found.parameters == expected.parameters

    def test_transposed(self):
        module, example = nn.ConvTranspose2d(4, 6, 3, 2), torch.zeros(1, 4, 5, 5)
        found = import_torch(self.quantised(module, example), example)
        assert shapes_of(found.workload) == shapes_of(import_torch(module, example).workload)

    @pytest.mark.parametrize("kind", [torch.qint8, torch.float16])
    def test_weights_alone(self, kind):
        module = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dynamic = torch.ao.quantization.quantize_dynamic(module, {nn.Linear}, kind)
        found, expected = (import_torch(each, torch.zeros(3, 6)) for each in (dynamic, module))
        assert list(found.workload) == list(expected.workload)
        assert (found.complete, found.parameters) == (True, expected.parameters)


class TestOtherOperators:
    def test_bilinear_is_one_product_of_all_pairs(self):
        module = nn.Bilinear(3, 4, 5)
        found = import_torch(module, (torch.zeros(2, 7, 3), torch.zeros(2, 7, 4)))
        expected = Layer.gemm("Bilinear", M=14, N=5, K=12)
        assert list(found.workload) == [expected]
        assert found.complete

    def test_boxes_are_no_products(self):
        name = "torchvision"
        library = torch.library.Library(name, "FRAGMENT")
        if not hasattr(torch.ops.torchvision, "nms"):
            library.define("nms(Tensor boxes, Tensor scores, float least) -> Tensor")
            library.impl("nms", lambda boxes, scores, least: scores.argsort(), "CPU")
            library.define("roi_align(Tensor x, Tensor boxes) -> Tensor")
            library.impl("roi_align", lambda x, boxes: x.clone(), "CPU")
        function = Function(
            lambda x: torch.ops.torchvision.roi_align(
                x @ x, torch.ops.torchvision.nms(x, x[0], 0.5)
            )
        )
        assert import_torch(function, torch.zeros(4, 4)).complete


class TestTorchRuns:
    def test_leaves_module_and_generator_as_they_were(self):
        module = nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5))
        module[1].eval()
        before = {name: value.clone() for name, value in module.state_dict().items()}
        state = torch.get_rng_state()
        import_torch(module, torch.randn(2, 2, 8, 8, generator=torch.Generator()))
        assert [each.training for each in module.modules()] == [True, True, False, True]
        assert all(torch.equal(value, before[n]) for n, value in module.state_dict().items())
        assert torch.equal(torch.get_rng_state(), state)
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())
        assert torch.backends.mha.get_fastpath_enabled()

    def test_restores_after_an_error_of_the_module(self):
        module = nn.Linear(3, 3)
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            import_torch(module, torch.zeros(2, 4))
        assert module.training
        assert not module._forward_hooks

    def test_arguments(self):
        function = Function(lambda x, y: x @ y)
        x, y = torch.zeros(2, 3), torch.zeros(3, 4)
        expected = shapes_of([Layer.gemm("a", 2, 4, 3)])
        assert shapes_of(import_torch(function, (x, y)).workload) == expected

        class Keywords(nn.Module):
            def forward(self, *, x, y):
                return x @ y

        assert shapes_of(import_torch(Keywords(), {"x": x, "y": y}).workload) == expected

    def test_sparse_weights(self):
        module = nn.Linear(4, 4)
        module.other = nn.Parameter(torch.eye(4).to_sparse())
        assert shapes_of(import_torch(module, torch.zeros(2, 4)).workload) == shapes_of(
            [Layer.gemm("a", 2, 4, 4)]
        )

    def test_a_compiled_module_is_what_it_wraps(self):
        module = nn.Linear(4, 4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, of what it imports
            compiled = torch.compile(module)
        assert import_torch(compiled, torch.zeros(2, 4)) == import_torch(module, torch.zeros(2, 4))

    def test_names(self):
        class Two(nn.Module):
            def __init__(self):
                super().__init__()
                self.block = nn.ModuleDict({"first": nn.Linear(4, 4), "second": nn.Linear(4, 4)})

            def forward(self, x):
                x = self.block["second"](self.block["first"](x))
                return F.linear(x, self.block["first"].weight) @ x.mT

        found = Workload.from_torch(Two(), torch.zeros(4, 4), name="two")
        assert found.name == "two"
        names = ["block.first", "block.second", "Two.block.first", "Two.product"]
        assert [layer.name for layer in found] == names

    def test_needs_a_module(self):
        with pytest.raises(ValueError, match=r"a torch.nn.Module is needed, got 'resnet'"):
            import_torch("resnet", torch.zeros(1))


class TestOnnxFiles:
    def dynamic(self):
        inputs = {"x": ("batch", "tokens", 4), "z": ("batch", None, 4)}
        nodes = [
            helper.make_node("MatMul", ["x", "w"], ["a"]),
            helper.make_node("Transpose", ["z"], ["t"], perm=[0, 2, 1]),
            helper.make_node("MatMul", ["a", "t"], ["y"]),
        ]
        return model(nodes, inputs, weights={"w": (4, 4)})

    def test_free_dimensions_are_bound(self):
        found = import_onnx(self.dynamic(), batch=2, dims={"tokens": 5, "z[1]": 7}).workload
        expected = [Layer.gemm("a", 10, 4, 4), Layer.gemm("a", 5, 7, 4, repeat=2)]
        assert shapes_of(found) == shapes_of(expected)
        same = import_onnx(self.dynamic(), dims={"batch": 2, "tokens": 5, "z[1]": 7}).workload
        assert same == found

    def test_an_axis_has_its_symbols_name_and_its_own(self):
        sizes = {"x[0]": 2, "x[1]": 5, "z[1]": 7, "z[2]": 4}
        found = import_onnx(self.dynamic(), dims=sizes)
        assert found == import_onnx(self.dynamic(), batch=2, dims={"tokens": 5, "z[1]": 7})
        with pytest.raises(ValueError, match="dims has both 2 and 3 for 'batch'"):
            import_onnx(self.dynamic(), dims={"x[0]": 2, "z[0]": 3})
        with pytest.raises(ValueError, match=r"dims has 3 for x\[2\], which is 4"):
            import_onnx(self.dynamic(), dims={"x[2]": 3})

    @pytest.mark.parametrize("unset", [0, -1])
    def test_dimensions_that_are_not_positive_are_free(self, unset):
        given = one("MatMul", {"x": (unset, unset, 4)}, {"w": (4, 5)})
        given.graph.output[0].CopyFrom(
            helper.make_tensor_value_info("y", TensorProto.FLOAT, (unset, unset, 5))
        )
        with pytest.raises(ValueError, match=r"\{'x\[0\]': \.\.\., 'x\[1\]': \.\.\.\} or batch="):
            import_onnx(given)
        found = import_onnx(given, batch=2, dims={"x[1]": 3})
        assert shapes_of(found.workload) == shapes_of([Layer.gemm("a", 6, 5, 4)])

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"dims": ["tokens"]}, "dims must be a mapping of names to sizes.*got .'tokens'."),
            ({"dims": {"tokens": 2**63}}, r"dims\['tokens'\] must be at most 9223372036854775807"),
            (
                {},
                r"free dimensions batch \(axis 0 of 'x'\), tokens \(axis 1 of 'x'\), batch \(axis 0"
                r" of 'z'\), z\[1\] \(axis 1 of 'z'\); give dims=\{'batch': \.\.\., 'tokens': "
                r"\.\.\., 'z\[1\]': \.\.\.\} or batch=\.\.\.$",
            ),
            ({"batch": 1, "dims": {"z[1]": 7}}, r"free dimensions tokens .*\{'tokens': \.\.\.\}$"),
            ({"dims": {"token": 5}}, "unknown free dimension 'token'; did you mean 'tokens'?"),
            ({"batch": 2, "dims": {"batch": 3}}, "batch is 2, but dims has 3"),
            ({"batch": 0}, "batch must be a positive integer, got 0"),
            ({"dims": {"tokens": "5"}}, r"dims\['tokens'\] must be a positive integer, got '5'"),
        ],
    )
    def test_wrong_sizes(self, settings, message):
        with pytest.raises(ValueError, match=message):
            import_onnx(self.dynamic(), **settings)

    def test_fixed_dimensions_stay(self):
        fixed = one("MatMul", {"a": (2, 3, 4)}, {"b": (4, 5)})
        assert import_onnx(fixed, batch=2) == import_onnx(fixed)
        with pytest.raises(ValueError, match="batch is fixed to 2"):
            import_onnx(fixed, batch=3)
        with pytest.raises(ValueError, match="'n', but no dimension is free"):
            import_onnx(fixed, dims={"n": 3})

    def test_a_model_in_memory_stays_as_it_is(self):
        given = self.dynamic()
        before = given.SerializeToString(deterministic=True)
        import_onnx(given, batch=2, dims={"tokens": 5, "z[1]": 7})
        assert given.SerializeToString(deterministic=True) == before

    def test_weights_in_another_file_are_not_needed(self, tmp_path):
        module = nn.Linear(64, 64)
        given = exported(module, torch.zeros(1, 64))
        path = tmp_path / "linear.onnx"
        onnx.save(given, path, save_as_external_data=True, location="weights", size_threshold=0)
        (tmp_path / "weights").unlink()
        found = import_onnx(path)
        assert (found.workload.name, found.parameters) == ("linear", 64 * 65)

    def test_functions_of_the_model_are_looked_into(self):
        body = [helper.make_node("MatMul", ["p", "q"], ["r"])]
        opsets = [helper.make_opsetid("", 23)]
        function = helper.make_function("local", "Product", ["p", "q"], ["r"], body, opsets)
        nodes = [helper.make_node("Product", ["x", "w"], ["y"], domain="local")]
        given = model(nodes, {"x": (3, 4)}, weights={"w": (4, 5)}, functions=[function])
        given.opset_import.append(helper.make_opsetid("local", 1))
        assert shapes_of(import_onnx(given).workload) == shapes_of([Layer.gemm("a", 3, 5, 4)])

    def test_quantised_operators(self):
        nodes = [
            helper.make_node("QLinearConv", ["x", "s", "z", "w", "s", "z", "s", "z"], ["y"]),
            helper.make_node("QLinearMatMul", ["y", "s", "z", "m", "s", "z", "s", "z"], ["o"]),
            helper.make_node("MatMulInteger", ["o", "m"], ["i"]),
        ]
        inputs = [helper.make_tensor_value_info("x", TensorProto.UINT8, (1, 2, 6, 6))]
        tensors = [
            helper.make_tensor("w", TensorProto.UINT8, (4, 2, 3, 3), [1] * 72),
            helper.make_tensor("m", TensorProto.UINT8, (4, 4), [1] * 16),
            helper.make_tensor("s", TensorProto.FLOAT, (), [1.0]),
            helper.make_tensor("z", TensorProto.UINT8, (), [0]),
        ]
        outputs = [helper.make_tensor_value_info("i", TensorProto.INT32, None)]
        found = import_onnx(
            helper.make_model(
                helper.make_graph(nodes, "quantised", inputs, outputs, tensors),
                opset_imports=[helper.make_opsetid("", 21)],
            )
        )
        product = Layer.gemm("a", M=16, N=4, K=4)
        expected = [Layer("a", "CONV", 4, 2, 4, 4, 3, 3), product, product]
        assert shapes_of(found.workload) == shapes_of(expected)
        assert (found.complete, found.parameters) == (True, 72 + 16)

    def test_not_a_model(self, tmp_path):
        path = tmp_path / "text.onnx"
        path.write_text("this is not a model")
        with pytest.raises(ValueError, match=r"text\.onnx: not an ONNX model"):
            import_onnx(path)
        path.write_bytes(b"")
        with pytest.raises(ValueError, match="not an ONNX model, or one without operators"):
            import_onnx(path)
        with pytest.raises(FileNotFoundError):
            import_onnx(tmp_path / "missing.onnx")
        with pytest.raises(ValueError, match=r"the path of an ONNX file .* got 3"):
            import_onnx(3)

    @pytest.mark.parametrize(
        ("kind", "inputs", "weights", "attributes", "reason"),
        [
            ("MatMul", {"a": (2, 3)}, {}, {}, "input 1 is missing"),
            ("MatMul", {"a": (2, 3)}, {"": ()}, {}, "input 1 is missing"),
            ("Einsum", {"a": (2, 3)}, {}, {}, "the attribute 'equation' is missing"),
            ("Einsum", {"a": (2, 3)}, {}, {"equation": "ij,jk"}, "equation 'ij,jk' does not fit"),
            ("Einsum", {"a": (2, 3)}, {}, {"equation": 3}, "'equation' is of another type"),
            (
                "Einsum",
                {"a": (2, 3), "b": (4, 5)},
                {},
                {"equation": "ij,jk"},
                "'j' has the sizes 3 and 4",
            ),
            (
                "Attention",
                dict.fromkeys("abc", (2, 5, 32)),
                {},
                {},
                "the attribute 'q_num_heads' is missing",
            ),
            ("Conv", {"a": (1, 4, 8, 8)}, {"w": ()}, {}, "'w' needs 3 axes or more and has"),
            (
                "Conv",
                {"a": (1, 4, 8, 8)},
                {"w": (4, 4, 3, 3)},
                {"strides": [0, 1]},
                r"'strides' needs 2 positive integers, not \[0, 1\]",
            ),
            (
                "Conv",
                {"a": (1, 4, 8, 8)},
                {"w": (4, 4, 3, 3)},
                {"group": 3},
                "with group=3 do not fit the input",
            ),
            ("Conv", {"a": (1, 4, 2, 8)}, {"w": (4, 4, 9, 3)}, {}, r"shape .*-6"),
            ("ConvTranspose", {"a": (1, 4, 8)}, {"w": (4, 4, 3)}, {"group": 0}, "at least 1, it"),
            ("LSTM", {"a": (5, 1, 3)}, {"w": (1, 8, 3)}, {}, "input 2 is missing"),
            ("Gemm", {"a": (2, 3, 4)}, {"w": (4, 5)}, {}, "'a' needs 2 axes and has the shape"),
        ],
    )
    def test_an_operator_that_is_wrong_is_skipped(self, kind, inputs, weights, attributes, reason):
        product = helper.make_node("MatMul", ["p", "q"], ["z"])
        damaged = helper.make_node(kind, [*inputs, *weights], ["y"], name="bad", **attributes)
        rest = {"p": (2, 3), "q": (3, 4)}
        weights = {name: shape for name, shape in weights.items() if name}
        found = import_onnx(model([product, damaged], {**inputs, **rest}, ("y", "z"), weights))
        assert shapes_of(found.workload) == shapes_of([Layer.gemm("a", 2, 4, 3)])
        (skipped,) = found.skipped
        assert (skipped.name, skipped.operator) == ("bad", kind)
        with pytest.raises(ValueError, match=reason):
            raise ValueError(skipped.reason)

    def test_tensors_that_are_not_there_or_of_no_type_or_twice(self):
        names = ["missing", "odd", "none", "w"]
        nodes = [helper.make_node("MatMul", ["x", each], [f"y{each}"]) for each in names]
        nodes.append(helper.make_node("MatMul", ["x", "x"], ["w"]))
        outputs = [f"y{each}" for each in names]
        weights = {"odd": (3, 3), "none": (3, 3), "w": (3, 3)}
        given = model([*nodes, nodes[-1]], {"x": (3, 3)}, outputs, weights)
        given.graph.initializer[0].data_type = 99
        given.graph.initializer[1].data_type = TensorProto.UNDEFINED
        found = import_onnx(given)
        assert [each.reason for each in found.skipped] == [
            "there is no tensor 'missing'",
            "the data type 99 of 'odd' is not known",
            "the data type 0 of 'none' is not known",
            "several tensors are named 'w'",
        ]

    @pytest.mark.parametrize("kind", ["QLinearConv", "QLinearMatMul"])
    def test_a_quantised_weight_without_axes(self, kind):
        nodes = [
            helper.make_node("MatMul", ["x", "x"], ["z"]),
            helper.make_node(kind, ["x", "s", "s", "s", "s", "s", "s", "s"], ["y"]),
        ]
        (skipped,) = import_onnx(model(nodes, {"x": (3, 3)}, ("y", "z"), {"s": ()})).skipped
        assert skipped.operator == kind
        assert ("3 axes or more" in skipped.reason) or ("with a scalar" in skipped.reason)

    def test_a_kernel_beyond_all_bounds(self):
        nodes = [
            helper.make_node("MatMul", ["z", "z"], ["p"]),
            helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[3]),
        ]
        given = model(nodes, {"x": (1, 4, 8), "z": (2, 2)}, ("y", "p"), {"w": (4, 4, 1)})
        given.graph.initializer[0].dims[2] = 2**63 - 1
        (skipped,) = import_onnx(given).skipped
        assert skipped.reason == "more multiply-accumulates than 2^63 - 1"
        assert skipped.macs == 4 * 4 * 8 * (2**63 - 1)

    def test_small_inputs_that_ask_for_large_results_are_not_computed(self):
        nodes = [
            helper.make_node("Range", ["zero", "end", "one"], ["r"]),
            helper.make_node("MatMul", ["x", "x"], ["y"]),
        ]
        given = model(nodes, {"x": (3, 3)}, ("y", "r"))
        for name, value in {"zero": 0, "end": 2**62, "one": 1}.items():
            given.graph.initializer.append(onnx.numpy_helper.from_array(np.int64(value), name))
        assert import_onnx(given).complete

    @pytest.mark.parametrize("given_as", ["weight", "input", "range"])
    def test_values_of_long_vectors_are_not_propagated(self, given_as):
        nodes = [
            helper.make_node("Mul", ["long", "long"], ["m"]),
            helper.make_node("MatMul", ["x", "x"], ["y"]),
        ]
        inputs = {"x": (3, 3), **({"long": (10**9,)} if given_as == "input" else {})}
        if given_as == "range":
            nodes.insert(0, helper.make_node("Range", ["zero", "end", "one"], ["long"]))
        given = model(nodes, inputs, ("y", "m"))
        if given_as == "weight":
            long = TensorProto(name="long", dims=[10**9], data_type=TensorProto.INT64)
            given.graph.initializer.append(long)
        for name, value in {"zero": 0, "end": 10**9, "one": 1}.items():
            given.graph.initializer.append(onnx.numpy_helper.from_array(np.int64(value), name))
        assert import_onnx(given).complete

    def test_tensors_copied_in_a_circle(self):
        nodes = [
            helper.make_node("Identity", ["a"], ["b"]),
            helper.make_node("Identity", ["b"], ["a"]),
            helper.make_node("MatMul", ["x", "a"], ["y"]),
            helper.make_node("MatMul", ["x", "x"], ["z"]),
        ]
        (skipped,) = import_onnx(model(nodes, {"x": (3, 3)}, ("y", "z"))).skipped
        assert skipped.reason == "the shape of 'a' is not known"

    def test_text_that_is_none(self, tmp_path):
        path = tmp_path / "net.onnx"
        data = one("MatMul", {"a": (2, 3)}, {"wwww": (3, 4)}).SerializeToString()
        path.write_bytes(data.replace(b"wwww", b"ww\xff\xfe"))
        with pytest.raises(ValueError, match=r"net\.onnx: not an ONNX model: "):
            import_onnx(path)

    def test_a_model_that_contradicts_itself(self):
        with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(4, 5\) do not multiply"):
            import_onnx(one("MatMul", {"a": (2, 3), "b": (4, 5)}))


@pytest.mark.parametrize(
    ("package", "call", "advice"),
    [
        ("onnx", lambda: import_onnx("a.onnx"), r'pip install "hwgym\[onnx\]"'),
        ("torch", lambda: import_torch(None, None), "pip install torch"),
    ],
)
def test_missing_packages(monkeypatch, package, call, advice):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == package:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=advice):
        call()


class TestLoadWorkload:
    @pytest.fixture
    def file(self, tmp_path):
        path = tmp_path / "net.onnx"
        onnx.save(one("MatMul", {"a": ("batch", 4)}, {"b": (4, 5)}), path)
        return path

    def test_names_files_and_workloads(self, file, tmp_path):
        assert load_workload("MobileNetV2") is workload("MobileNetV2")
        assert load_workload("AlexNet", released=True).name == "AlexNet"
        assert load_workload("AlexNet", released=True) != load_workload("AlexNet")
        net = load_workload(str(file), batch=3)
        assert net == Workload.from_onnx(file, batch=3)
        assert load_workload(file, dims={"batch": 3}) == net
        assert load_workload(file, dims={"a[0]": np.int64(3)}) == net
        assert load_workload(net) is net
        net.to_csv(tmp_path / "net.csv")
        assert load_workload(tmp_path / "net.csv") == net

    def test_a_changed_file_is_read_again(self, file):
        first = load_workload(file, batch=1)
        onnx.save(one("MatMul", {"a": ("batch", 4)}, {"b": (4, 50)}), file)
        assert load_workload(file, batch=1) != first

    def test_warns_every_time(self, tmp_path):
        nodes = [
            helper.make_node("MatMul", ["x", "x"], ["y"]),
            helper.make_node("Det", ["y"], ["d"]),
        ]
        onnx.save(model(nodes, {"x": (3, 3)}, ("d",)), tmp_path / "det.onnx")
        for _ in range(2):
            with pytest.warns(SkippedLayersWarning, match="det: not in the workload: d .Det"):
                load_workload(tmp_path / "det.onnx")

    def test_a_problem_takes_a_file(self, file):
        fixed = file.with_name("fixed.onnx")
        onnx.save(one("Conv", {"a": (1, 4, 8, 8)}, {"b": (5, 4, 3, 3)}), fixed)
        problem = AssignmentProblem.of(str(fixed))
        assert problem is AssignmentProblem.of(str(fixed))
        assert problem.design.workload.name == "fixed"
        env = gym.make("HWAssign-MobileNetV2-NVDLA-v0", workload=str(fixed))
        assert env.unwrapped.problem is problem
        env.close()
        with pytest.raises(ValueError, match="free dimensions batch"):
            AssignmentProblem.of(str(file))

    @pytest.mark.parametrize(
        ("spec", "settings", "message"),
        [
            ("MobilNetV2", {}, "did you mean 'MobileNetV2'.*or give a .csv or .onnx file"),
            ("GoogleNet", {"released": True}, "unknown released model.*'GoogLeNet'"),
            (3, {}, "a workload, the name of one, or a .csv or .onnx file is needed, got 3"),
            ("MobileNetV2", {"batch": 2}, "batch and dims are for ONNX files"),
            ("net.pt", {}, "unknown model 'net.pt'"),
        ],
    )
    def test_wrong_specs(self, spec, settings, message):
        with pytest.raises(ValueError, match=message):
            load_workload(spec, **settings)

    @pytest.mark.parametrize("dims", [[("batch", 3)], {"batch": [3]}, {"batch": True}, {3: 3}])
    def test_wrong_sizes_name_the_file(self, file, dims):
        with pytest.raises(ValueError, match=r"net\.onnx: "):
            load_workload(file, dims=dims)

    @pytest.mark.parametrize("digits", ["9223372036854775808", "1" * 5000])
    def test_a_size_that_no_cost_can_count(self, tmp_path, digits):
        path = tmp_path / "net.csv"
        path.write_text(f"M,N,K\n1,{digits},3\n")
        with pytest.raises(
            ValueError, match=r"net\.csv, row 2, column 'N': must be at most 92233720"
        ):
            load_workload(path)
