"""Weights of ONNX models, beside the layers that importing makes of them."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwgym.workloads import import_onnx
from hwgym.workloads.weights import weights_of

RNG = np.random.default_rng(0)


def numbers(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def model(nodes, inputs, weights, kind=TensorProto.FLOAT):
    graph = helper.make_graph(
        nodes,
        "graph",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT if name == "t" else kind, shape)
            for name, shape in inputs.items()
        ],
        [helper.make_tensor_value_info("y", TensorProto.UNDEFINED, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def one(operator, names, inputs, weights, kind=TensorProto.FLOAT, **attributes):
    return model([helper.make_node(operator, names, ["y"], **attributes)], inputs, weights, kind)


def read(given):
    """The weights of a model whose layers are those of the importer."""
    found = list(weights_of(given))
    assert [layer for layer, _ in found] == list(import_onnx(given).workload)
    for _, weights in found:
        assert weights is None or weights.dtype == np.float32
    return [weights for _, weights in found]


W = numbers(6, 4)
IMAGE = {"x": (1, 8, 9, 9)}

CASES = {
    "a convolution": (
        one("Conv", ["x", "w"], IMAGE, {"w": (w := numbers(5, 8, 3, 3))}),
        w.reshape(5, 72),
    ),
    "all groups of a grouped one": (
        one("Conv", ["x", "w"], IMAGE, {"w": (w := numbers(6, 4, 3, 2))}, group=2),
        w.reshape(6, 24),
    ),
    "a depthwise one": (
        one("Conv", ["x", "w"], IMAGE, {"w": (w := numbers(8, 1, 3, 3))}, group=8),
        w.reshape(8, 9),
    ),
    "a matrix": (one("MatMul", ["x", "w"], {"x": (3, 6)}, {"w": W}), W.T),
    "a matrix on the left": (one("MatMul", ["w", "x"], {"x": (4, 3)}, {"w": W}), W),
    "a vector": (one("MatMul", ["x", "w"], {"x": (3, 6)}, {"w": W[:, 0]}), W[:, :1].T),
    "a matrix of each head": (
        one("MatMul", ["x", "w"], {"x": (2, 3, 6)}, {"w": np.stack([W, 2 * W])}),
        np.concatenate([W.T, 2 * W.T]),
    ),
    "Gemm": (one("Gemm", ["x", "w"], {"x": (3, 6)}, {"w": W}), W.T),
    "Gemm, transposed": (one("Gemm", ["x", "w"], {"x": (3, 4)}, {"w": W}, transB=1), W),
    "Gemm, on the left": (one("Gemm", ["w", "x"], {"x": (4, 3)}, {"w": W}), W),
    "Gemm, on the left and transposed": (
        one("Gemm", ["w", "x"], {"x": (6, 3)}, {"w": W}, transA=1),
        W.T,
    ),
    "Einsum": (
        one("Einsum", ["x", "w"], {"x": (2, 3, 6)}, {"w": W}, equation="b t i, i o -> b t o"),
        W.T,
    ),
    "Einsum with an ellipsis": (
        one(
            "Einsum", ["x", "w"], {"x": (2, 3, 6)}, {"w": (w := numbers(2, 4, 6))},
            equation="...ti,...oi->...to",
        ),
        w.reshape(8, 6),
    ),
    "Einsum without an output": (
        one("Einsum", ["x", "w"], {"x": (5, 6)}, {"w": W}, equation="ji,ik"),
        W.T,
    ),
    "integers": (
        one(
            "MatMulInteger", ["x", "w", "", "z"], {"x": (3, 6)},
            {"w": (w := RNG.integers(0, 255, (6, 4), np.uint8)), "z": np.uint8([9, 8, 7, 6])},
        ),
        w.T.astype(np.float32) - np.float32([[9], [8], [7], [6]]),
    ),
    "integers with a scale": (
        one(
            "QLinearConv", ["x", "s", "z", "w", "t", "z", "s", "z"], {"x": (1, 2, 5, 5)},
            {
                "w": (w := RNG.integers(-127, 127, (3, 2, 1, 1), np.int8)),
                "s": np.float32(1), "z": np.int8(0), "t": np.float32([1, 2, 3]),
            },
            TensorProto.INT8,
        ),
        w.reshape(3, 2) * np.float32([[1], [2], [3]]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_rows_are_output_channels(case):
    given, wanted = CASES[case]
    [found] = read(given)
    assert found.shape == wanted.shape
    assert (found == wanted).all()
    [layer] = import_onnx(given).workload
    assert found.size in (layer.weights, layer.weights // layer.repeat)


def test_weights_that_the_model_makes_of_constants_are_computed():
    large = numbers(40, 50)  # more than shape inference is given
    quantised = RNG.integers(-127, 127, (50, 40), np.int8)
    node = helper.make_node
    given = model(
        [
            node("Transpose", ["w"], ["t"], perm=[1, 0]),
            node("MatMul", ["x", "t"], ["a"]),
            node("DequantizeLinear", ["q", "s"], ["d"], axis=1),
            node("MatMul", ["x", "d"], ["b"]),
            node("Constant", [], ["c"], value=numpy_helper.from_array(large.T)),
            node("MatMul", ["x", "c"], ["e"]),
            node("Add", ["a", "b"], ["ab"]),
            node("Add", ["ab", "e"], ["y"]),
        ],
        {"x": (3, 50)},
        {"w": large, "q": quantised, "s": (scale := np.abs(numbers(40)))},
    )
    transposed, integers, constant = read(given)
    assert (transposed == large).all()
    assert (constant == large).all()
    assert np.allclose(integers, quantised.T * scale[:, None])


def test_a_large_weight_behind_a_copy_has_its_numbers():
    [found] = read(
        model(
            [
                helper.make_node("Identity", ["w"], ["v"]),
                helper.make_node("MatMul", ["x", "v"], ["y"]),
            ],
            {"x": (2, 40)},
            {"w": (w := numbers(40, 60))},
        )
    )
    assert (found == w.T).all()


def test_products_of_activations_have_no_weights():
    node = helper.make_node
    given = model(
        [
            node("MatMul", ["x", "w"], ["q"]),
            node("Transpose", ["x"], ["k"], perm=[1, 0]),
            node("MatMul", ["q", "k"], ["y"]),
        ],
        {"x": (3, 6)},
        {"w": (w := numbers(6, 6))},
    )
    first, second = read(given)
    assert (first == w.T).all()
    assert second is None


@pytest.mark.parametrize(
    ("nodes", "weights"),
    [
        ([helper.make_node("Expand", ["v", "shape"], ["w"])],
         {"v": numbers(1, 40), "shape": np.int64([60, 40])}),  # could be as large as it likes
        ([helper.make_node("RandomNormalLike", ["v"], ["w"])], {"v": numbers(60, 40)}),
        ([helper.make_node("Cast", ["v"], ["w"], to=TensorProto.INT32)], {"v": numbers(60, 40)}),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_none(nodes, weights):
    given = model([*nodes, helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": (3, 60)}, weights)
    assert read(given) == [None]


def test_a_scale_that_is_not_known_leaves_integers_without_weights():
    given = one(
        "QLinearConv", ["x", "s", "z", "w", "t", "z", "s", "z"], {"x": (1, 2, 5, 5), "t": (3,)},
        {
            "w": RNG.integers(-9, 9, (3, 2, 1, 1), np.int8),
            "s": np.float32(1), "z": np.int8(0),
        },
        TensorProto.INT8,
    )  # fmt: skip
    assert read(given) == [None]


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize(("operator", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrent_layers_have_two_matrices_a_direction(operator, gates, directions):
    w, r = numbers(directions, gates * 5, 7), numbers(directions, gates * 5, 5)
    way = "bidirectional" if directions == 2 else "forward"
    found = read(
        one(operator, ["x", "w", "r"], {"x": (9, 1, 7)}, {"w": w, "r": r}, hidden_size=5,
            direction=way)
    )  # fmt: skip
    for each, wanted in zip(
        found, [m for d in range(directions) for m in (w[d], r[d])], strict=True
    ):
        assert (each == wanted).all()


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"),
    [((4, 4), 2, 1), ((3, 3), 2, 1), ((5, 4), 3, 2), ((2, 2), 4, 2)],
)
def test_the_phases_of_a_transposed_convolution_share_its_taps(kernel, stride, dilation, groups):
    w = numbers(4, 3, *kernel)
    settings = {"strides": [stride] * 2, "dilations": [dilation] * 2, "group": groups}
    given = one("ConvTranspose", ["x", "w"], {"x": (1, 4, 6, 6)}, {"w": w}, **settings)
    found = list(weights_of(given))
    assert [layer for layer, _ in found] == list(import_onnx(given).workload)
    for layer, weights in found:
        assert weights.size == layer.weights
    for channel in range(3 * groups):
        group, own = divmod(channel, 3)
        every = np.concatenate([weights[channel] for _, weights in found])
        inputs = 4 // groups
        wanted = w[group * inputs : (group + 1) * inputs, own]
        assert sorted(every) == sorted(wanted.ravel())


def test_phases_are_in_the_order_of_the_layers():
    w = np.arange(1, 6, dtype=np.float32).reshape(1, 1, 5)  # stride 2: taps 1, 3, 5 and 2, 4
    given = one("ConvTranspose", ["x", "w"], {"x": (1, 1, 6)}, {"w": w}, strides=[2])
    odd, even = read(given)
    assert odd.tolist() == [[1, 3, 5]]
    assert even.tolist() == [[2, 4]]


@pytest.fixture
def stored(tmp_path):
    """A file, and its weights in another."""
    given = one("MatMul", ["x", "w"], {"x": (3, 60)}, {"w": (w := numbers(60, 40))})
    path = tmp_path / "net.onnx"
    onnx.save(given, path, save_as_external_data=True, location="net.bin", size_threshold=0)
    return path, w


def test_weights_may_lie_in_another_file(stored, monkeypatch):
    path, w = stored
    monkeypatch.chdir(path.parent.parent)
    [(_, found)] = weights_of(path)
    assert (found == w.T).all()


def test_a_missing_file_of_weights_is_named(stored):
    path, _ = stored
    path.with_name("net.bin").unlink()
    with pytest.raises(FileNotFoundError, match="keeps the weights 'w' in it") as error:
        list(weights_of(path))
    assert error.value.filename.endswith("net.bin")


def test_a_file_of_weights_that_is_cut_off_is_no_weights(stored):
    path, _ = stored
    path.with_name("net.bin").write_bytes(b"short")
    with pytest.raises(ValueError, match=r"net\.onnx: the weights 'w' cannot be read"):
        list(weights_of(str(path)))


def test_sizes_that_are_open_are_given():
    given = one("MatMul", ["x", "w"], {"x": ("n", 6)}, {"w": W})
    [(layer, found)] = weights_of(given, batch=5)
    assert layer == import_onnx(given, dims={"n": 5}).workload.layers[0]
    assert (found == W.T).all()
    with pytest.raises(ValueError, match="free dimensions n"):
        next(weights_of(given))
