"""Layers of ONNX models: shapes inferred, every operator mapped, known to be none, or listed."""

from __future__ import annotations

import ast
import contextlib
import os
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwgym._names import nearest
from hwgym.workloads import operators
from hwgym.workloads.layer import Layer
from hwgym.workloads.operators import Found, SkippedOperator, Unmappable

if TYPE_CHECKING:
    import onnx

__all__ = ["read_onnx"]


def read_onnx(
    model: str | os.PathLike[str] | onnx.ModelProto,
    *,
    name: str | None = None,
    batch: int | None = None,
    dims: Mapping[str, int] | None = None,
) -> Found:
    """What is in an ONNX model. Arguments and errors: :func:`hwgym.workloads.import_onnx`."""
    try:
        import onnx
        import onnx.inliner
        import onnx.shape_inference
    except ImportError as error:
        raise ImportError(
            'reading ONNX needs the package onnx: pip install "hwgym[onnx]"'
        ) from error
    if isinstance(model, onnx.ModelProto):
        where = name or model.graph.name or "onnx model"
        own = onnx.ModelProto()
        own.CopyFrom(model)
    elif isinstance(model, str | os.PathLike):
        where = os.fspath(model)
        own = _load(where)
        name = name or Path(where).stem
    else:
        raise ValueError(f"the path of an ONNX file or an onnx.ModelProto is needed, got {model!r}")
    parameters = _parameters(own.graph)
    _forget_data(own.graph)
    _bind(where, own.graph, batch, dims or {})
    try:
        if own.functions:
            own = onnx.inliner.inline_local_functions(own)
        own = _with_shapes(own)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise ValueError(f"{where}: shape inference failed: {error}") from error
    graph = _Graph(own.graph)
    layers: list[Layer] = []
    skipped: list[SkippedOperator] = []
    for node in own.graph.node:
        try:
            layers += graph.layers(node)
        except Unmappable as no:
            operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            skipped.append(SkippedOperator(graph.name(node), operator, no.reason, no.macs))
    return operators.finish(name or own.graph.name or "onnx", layers, skipped, parameters)


def _load(path: str) -> onnx.ModelProto:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except OSError:
        raise
    except (DecodeError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: not an ONNX model: {error}") from error
    if not model.graph.node:
        raise ValueError(f"{path}: not an ONNX model, or one without operators")
    return model


# Which inputs of an operator are not learnt: running statistics, scales and zero points of numbers.
_NOT_LEARNT: dict[str, tuple[int, ...]] = {
    "BatchNormalization": (3, 4),
    "Clip": (1, 2),
    "ConvInteger": (2, 3),
    "DequantizeLinear": (1, 2),
    "MatMulInteger": (2, 3),
    "Pad": (1, 2, 3),
    "QLinearConv": (1, 2, 4, 5, 6, 7),
    "QLinearMatMul": (1, 2, 4, 5, 6, 7),
    "QuantizeLinear": (1, 2),
    "Resize": (1, 2, 3),
    "Upsample": (1,),
}


def _parameters(graph: onnx.GraphProto) -> int:
    """Count the elements of learnt tensors: constants that an operator takes, whole numbers of 16
    and more bits (shapes, indices) and single numbers left out."""
    sizes = {t.name: prod(t.dims) for t in graph.initializer if not _is_index(t)}
    sizes |= {t.values.name: prod(t.dims) for t in graph.sparse_initializer}
    for node in graph.node:
        for attribute in node.attribute:
            given = node.op_type == "Constant" and attribute.name == "value"
            if given and not _is_index(attribute.t):
                sizes[node.output[0]] = prod(attribute.t.dims)
    same = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Identity"}
    learnt = set()
    for node in graph.node:
        for index, given in enumerate(node.input):
            while given in same:  # as exporters write a tensor that is used in several places
                given = same[given]
            if node.op_type != "Identity" and index not in _NOT_LEARNT.get(node.op_type, ()):
                learnt.add(given)
    return sum(size for name, size in sizes.items() if name in learnt and size > 1)


def _is_index(tensor: onnx.TensorProto) -> bool:
    import onnx

    t = onnx.TensorProto
    kinds = (t.INT16, t.INT32, t.INT64, t.UINT16, t.UINT32, t.UINT64, t.BOOL, t.STRING)
    return tensor.data_type in kinds


_SMALL = 1024  # elements; shape inference reads no longer tensor


def _forget_data(graph: onnx.GraphProto) -> None:
    """Drop the numbers of weights: shape inference would copy them, and models of 2 GB fail."""
    import onnx

    for tensor in graph.initializer:
        if prod(tensor.dims) > _SMALL:
            dims, kind, name = list(tensor.dims), tensor.data_type, tensor.name
            tensor.Clear()
            tensor.dims.extend(dims)
            tensor.data_type, tensor.name = kind, name
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="forgotten")


def _bind(where: str, graph: onnx.GraphProto, batch: int | None, dims: Mapping[str, int]) -> None:
    """Give every free dimension of the inputs its size."""
    for what, size in {"batch": batch, **{f"dims[{k!r}]": v for k, v in dims.items()}}.items():
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
            raise ValueError(f"{where}: {what} must be a positive integer, got {size!r}")
    initial = {tensor.name for tensor in graph.initializer}
    axes = [
        (given.name, axis, dim)
        for given in graph.input
        if given.name not in initial
        for axis, dim in enumerate(given.type.tensor_type.shape.dim)
    ]
    free = {(n, a): d.dim_param or f"{n}[{a}]" for n, a, d in axes if not d.HasField("dim_value")}
    first = sorted({free[n, a] for n, a, _ in axes if a == 0 and (n, a) in free})
    sizes = dict(dims)
    for key in sizes:
        if key not in free.values():
            allowed = dict.fromkeys(free.values())
            if not allowed:
                raise ValueError(f"{where}: dims names {key!r}, but no dimension is free")
            raise ValueError(f"{where}: {nearest('free dimension', key, allowed)}")
    if batch is not None:
        fixed = sorted({d.dim_value for _, a, d in axes if a == 0 and d.HasField("dim_value")})
        if not first and fixed != [batch]:
            raise ValueError(f"{where}: batch is fixed to {', '.join(map(str, fixed)) or 'none'}")
        for symbol in first:
            if sizes.setdefault(symbol, batch) != batch:
                raise ValueError(f"{where}: batch is {batch}, but dims has {sizes[symbol]}")
    if left := [f"{s} (axis {a} of {n!r})" for (n, a), s in free.items() if s not in sizes]:
        wanted = ", ".join(f"{s!r}: ..." for s in dict.fromkeys(free.values()) if s not in sizes)
        hint = " or batch=..." if any(s not in sizes for s in first) else ""
        raise ValueError(
            f"{where}: free dimensions {', '.join(left)}; give dims={{{wanted}}}{hint}"
        )
    for name, axis, dim in axes:
        if (name, axis) in free:
            dim.dim_value = sizes[free[name, axis]]
    for value in (*graph.value_info, *graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in sizes:
                dim.dim_value = sizes[dim.dim_param]
            elif dim.dim_param:
                dim.Clear()  # an expression in the symbols; inference finds its value


def _with_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Infer shapes, computing those that the model itself computes from others on the way."""
    import onnx.shape_inference

    while True:
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
        if not _fold(model):
            return model


def _fold(model: onnx.ModelProto) -> bool:
    """Replace operators on small known tensors by their results; tell whether there were any."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    graph = model.graph
    shapes = _shapes(graph)
    known = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if tensor.data_location != onnx.TensorProto.EXTERNAL
    }
    kept = []
    for node in graph.node:
        given = dict.fromkeys(filter(None, node.input))
        if node.op_type in ("Shape", "Size") and node.input[0] in shapes:
            given = {node.input[0]: np.broadcast_to(np.int8(0), shapes[node.input[0]])}
        elif given.keys() <= known.keys():
            given = {name: known[name] for name in given}
        else:
            kept.append(node)
            continue
        result = None
        if node.op_type in _ELEMENTWISE and "Random" not in node.op_type and not node.domain:
            inputs = [onnx.ValueInfoProto(name=name) for name in given]
            outputs = [onnx.ValueInfoProto(name=name) for name in node.output]
            alone = onnx.helper.make_graph([node], "node", inputs, outputs)
            with contextlib.suppress(Exception):  # what the reference cannot do stays as it is
                whole = onnx.helper.make_model(alone, opset_imports=model.opset_import)
                result = ReferenceEvaluator(whole).run(None, given)
        if result is None or any(np.size(each) > _SMALL for each in result):
            kept.append(node)
            continue
        for name, value in zip(node.output, result, strict=True):
            known[name] = np.asarray(value)
            graph.initializer.append(onnx.numpy_helper.from_array(known[name], name))
    if len(kept) == len(graph.node):
        return False
    del graph.node[:]
    graph.node.extend(kept)
    return True


def _shapes(graph: onnx.GraphProto) -> dict[str, tuple[int, ...]]:
    """The shapes of those tensors whose every dimension is known."""
    found = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.value_info, *graph.input, *graph.output):
        of_tensor = value.type.tensor_type
        dims = of_tensor.shape.dim
        if of_tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            found.setdefault(value.name, tuple(dim.dim_value for dim in dims))
    return found


class _Graph:
    """Shapes and constants of a graph whose shapes have been inferred."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._shapes = _shapes(graph)
        self._weights = {tensor.name for tensor in graph.initializer}
        self._constants = set(self._weights)
        for node in graph.node:
            if node.op_type == "Constant" or (
                node.input and all(not each or each in self._constants for each in node.input)
            ):
                self._constants.update(node.output)

    def layers(self, node: onnx.NodeProto) -> list[Layer]:
        """The layers of an operator, none for one that multiplies no matrices.

        Raises:
            Unmappable: It computes, or may, and has no exact layer.
        """
        if node.domain not in ("", "ai.onnx"):
            raise Unmappable("an operator of another domain, whose work is not known")
        if node.op_type in _MAPPED:
            return _MAPPED[node.op_type](self, node)
        inner = [each for a in node.attribute for each in (a.g, *a.graphs) if each.node]
        if node.op_type in _CONTROL:
            if all(_is_harmless(each) for each in inner):
                return []
            raise Unmappable("its body computes, how often is known only when it runs")
        if node.op_type not in _ELEMENTWISE:
            raise Unmappable("no exact convolution or matrix product for it")
        return []

    def shape(self, name: str) -> tuple[int, ...]:
        if name not in self._shapes:
            raise Unmappable(f"the shape of {name!r} is not known")
        return self._shapes[name]

    def is_constant(self, name: str) -> bool:
        return name in self._constants

    def name(self, node: onnx.NodeProto) -> str:
        """What to call an operator: as the module that it comes from, if the file tells that."""
        for given in node.input:
            if given in self._weights and given.endswith(".weight"):
                return str(given).removesuffix(".weight")
        scope = _scope(node)
        if scope and any(given in self._constants for given in node.input):
            return scope
        return f"{scope}.product" if scope else str(node.name or node.output[0])


def _scope(node: onnx.NodeProto) -> str:
    """The module that PyTorch's exporter wrote down for an operator."""
    for each in node.metadata_props:
        if each.key == "pkg.torch.onnx.name_scopes":
            with contextlib.suppress(ValueError, SyntaxError, TypeError, IndexError):
                return str(ast.literal_eval(each.value)[-2])
    return ""


def _is_harmless(graph: onnx.GraphProto) -> bool:
    return all(
        node.domain in ("", "ai.onnx")
        and (node.op_type in _ELEMENTWISE or node.op_type in _CONTROL)
        and all(_is_harmless(each) for a in node.attribute for each in (a.g, *a.graphs))
        for node in graph.node
    )


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    import onnx

    return {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}


def _convolution(graph: _Graph, node: onnx.NodeProto) -> list[Layer]:
    at = 3 if node.op_type == "QLinearConv" else 1
    given, weight = graph.shape(node.input[0]), graph.shape(node.input[at])
    attributes, ones = _attributes(node), [1] * (len(weight) - 2)
    layer = operators.convolution(
        graph.name(node),
        batch=given[0],
        out_channels=weight[0],
        in_channels=given[1],
        groups=attributes.get("group", 1),
        output_size=graph.shape(node.output[0])[2:],
        kernel=weight[2:],
        stride=attributes.get("strides") or ones,
        dilation=attributes.get("dilations") or ones,
    )
    return [layer]


def _transposed_convolution(graph: _Graph, node: onnx.NodeProto) -> list[Layer]:
    given, weight = graph.shape(node.input[0]), graph.shape(node.input[1])
    attributes = _attributes(node)
    groups, ones = attributes.get("group", 1), [1] * (len(weight) - 2)
    return operators.transposed_convolution(
        graph.name(node),
        batch=given[0],
        out_channels=weight[1] * groups,
        in_channels=given[1],
        groups=groups,
        input_size=given[2:],
        kernel=weight[2:],
        stride=attributes.get("strides") or ones,
        dilation=attributes.get("dilations") or ones,
    )


def _deformable(graph: _Graph, node: onnx.NodeProto) -> list[Layer]:
    weight, output = graph.shape(node.input[1]), graph.shape(node.output[0])
    macs = prod(output) * prod(weight[1:])
    raise Unmappable("where it reads its inputs depends on their values", macs)


def _product(graph: _Graph, node: onnx.NodeProto) -> list[Layer]:
    at = 3 if node.op_type == "QLinearMatMul" else 1
    left, right = node.input[0], node.input[at]
    weight_left = graph.is_constant(left) and not graph.is_constant(right)
    shapes = graph.shape(left), graph.shape(right)
    return [operators.matmul(graph.name(node), *shapes, weight_left=weight_left)]


def _gemm(graph: _Graph, node: onnx.NodeProto) -> list[Layer]:
    attributes = _attributes(node)
    (left, right), shapes = node.input[:2], []
    for name, flag in ((left, "transA"), (right, "transB")):
        shape = graph.shape(name)
        shapes.append(shape[::-1] if attributes.get(flag, 0) else shape)
    weight_left = graph.is_constant(left) and not graph.is_constant(right)
    return [operators.matmul(graph.name(node), *shapes, weight_left=weight_left)]


def _einsum(graph: _Graph, node: onnx.NodeProto) -> list[Layer]:
    equation = _attributes(node)["equation"].decode()
    shapes = [graph.shape(each) for each in node.input]
    layer = operators.einsum(graph.name(node), equation, shapes)
    return [] if layer is None else [layer]


def _recurrent(gates: int) -> Callable[[_Graph, onnx.NodeProto], list[Layer]]:
    def layers(graph: _Graph, node: onnx.NodeProto) -> list[Layer]:
        given, weight = graph.shape(node.input[0]), graph.shape(node.input[1])
        directions, hidden = weight[0], graph.shape(node.input[2])[2]
        by_batch = _attributes(node).get("layout", 0)
        steps, batch = (given[1], given[0]) if by_batch else given[:2]
        names = [graph.name(node)]
        if directions == 2:
            names = [f"{names[0]}.{direction}" for direction in ("forward", "backward")]
        return [
            layer
            for name in names
            for layer in operators.recurrent(
                name, gates=gates, inputs=given[2], hidden=hidden, steps=steps, batch=batch
            )
        ]

    return layers


def _attention(graph: _Graph, node: onnx.NodeProto) -> list[Layer]:
    attributes = _attributes(node)
    shapes = []
    for name, who in zip(node.input[:3], ("q", "kv", "kv"), strict=True):
        shape = list(graph.shape(name))
        if len(shape) == 3:  # (batch, tokens, heads x width)
            heads = attributes[f"{who}_num_heads"]
            shape = [shape[0], heads, shape[1], shape[2] // heads]
        shapes.append(shape)
    if len(node.input) > 4 and node.input[4]:  # keys and values of earlier tokens come first
        past = graph.shape(node.input[4])[2]
        shapes[1][2] += past
        shapes[2][2] += past
    return operators.attention(graph.name(node), *shapes)


_MAPPED: dict[str, Callable[[_Graph, Any], list[Layer]]] = {
    "Attention": _attention,
    "Conv": _convolution,
    "ConvInteger": _convolution,
    "ConvTranspose": _transposed_convolution,
    "DeformConv": _deformable,
    "Einsum": _einsum,
    "GRU": _recurrent(3),
    "Gemm": _gemm,
    "LSTM": _recurrent(4),
    "MatMul": _product,
    "MatMulInteger": _product,
    "QLinearConv": _convolution,
    "QLinearMatMul": _product,
    "RNN": _recurrent(1),
}

_CONTROL = frozenset({"If", "Loop", "Scan", "SequenceMap"})

_NAMES = """
    Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool
    BatchNormalization Bernoulli BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor
    BlackmanWindow Cast CastLike Ceil Celu CenterCropPad Clip Col2Im Compress Concat
    ConcatFromSequence Constant ConstantOfShape Cos Cosh CumProd CumSum DepthToSpace
    DequantizeLinear Div Dropout DynamicQuantizeLinear Elu Equal Erf Exp Expand EyeLike Flatten
    Floor Gather GatherElements GatherND Gelu GlobalAveragePool GlobalLpPool GlobalMaxPool Greater
    GreaterOrEqual GridSample GroupNormalization HammingWindow HannWindow HardSigmoid HardSwish
    Hardmax Identity ImageDecoder InstanceNormalization IsInf IsNaN LRN LayerNormalization
    LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization LpPool Max MaxPool MaxRoiPool
    MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul Multinomial Neg
    NegativeLogLikelihoodLoss NonMaxSuppression NonZero Not OneHot Optional OptionalGetElement
    OptionalHasElement Or PRelu Pad Pow QuantizeLinear RMSNormalization RandomNormal
    RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2
    ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
    ReduceSumSquare RegexFullMatch Relu Reshape Resize ReverseSequence RoiAlign RotaryEmbedding
    Round Scatter ScatterElements ScatterND Selu SequenceAt SequenceConstruct SequenceEmpty
    SequenceErase SequenceInsert SequenceLength Shape Shrink Sigmoid Sign Sin Sinh Size Slice
    Softmax SoftmaxCrossEntropyLoss Softplus Softsign SpaceToDepth Split SplitToSequence Sqrt
    Squeeze StringConcat StringNormalizer StringSplit Sub Sum Swish Tan Tanh TensorScatter
    TfIdfVectorizer ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Upsample Where Xor
"""
_ELEMENTWISE = frozenset(_NAMES.split())
"""Operators that multiply no matrices. One in none of these lists, as of a later standard, is
listed as skipped."""
