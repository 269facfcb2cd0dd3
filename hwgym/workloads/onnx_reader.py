"""Layers of ONNX models: shapes inferred, every operator mapped, known to be none, or listed."""

from __future__ import annotations

import ast
import contextlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwgym._names import nearest
from hwgym.workloads import operators
from hwgym.workloads.layer import Layer
from hwgym.workloads.operators import LARGEST, Found, SkippedOperator, Unmappable

if TYPE_CHECKING:
    import onnx

__all__ = [
    "GROWING",
    "FreeDimensions",
    "Traced",
    "checked_sizes",
    "fold_node",
    "read_onnx",
    "trace_onnx",
]


class FreeDimensions(ValueError):
    """A model leaves dimensions of its inputs free.

    Attributes:
        where: The model and what it leaves free.
        names: What ``dims`` has to give sizes for.
        batch: Whether ``batch`` would give one.
    """

    def __init__(self, where: str, names: Sequence[str], batch: bool) -> None:
        self.where, self.names, self.batch = where, tuple(names), batch
        wanted = ", ".join(f"{name!r}: ..." for name in names)
        super().__init__(f"{where}; give dims={{{wanted}}}" + (" or batch=..." if batch else ""))


@dataclass(frozen=True, eq=False)
class Traced:
    """What was found in a model, and where.

    Attributes:
        found: Its layers, in order.
        model: It, with shapes inferred, functions inlined, and without the numbers of weights.
        sources: Of each layer, the operator that it comes from; one that makes several has them
            one after the other.
        constants: The tensors that depend on no input.
    """

    found: Found
    model: onnx.ModelProto
    sources: tuple[onnx.NodeProto, ...]
    constants: frozenset[str]


def read_onnx(
    model: str | os.PathLike[str] | onnx.ModelProto,
    *,
    name: str | None = None,
    batch: int | None = None,
    dims: Mapping[str, int] | None = None,
) -> Found:
    """What is in an ONNX model. Arguments and errors: :func:`hwgym.workloads.import_onnx`."""
    return trace_onnx(model, name=name, batch=batch, dims=dims).found


def trace_onnx(
    model: str | os.PathLike[str] | onnx.ModelProto,
    *,
    name: str | None = None,
    batch: int | None = None,
    dims: Mapping[str, int] | None = None,
) -> Traced:
    """What is in an ONNX model, and where. Arguments and errors: as :func:`read_onnx`."""
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
    if unreadable := next(_unreadable(own), None):
        raise ValueError(f"{where}: not an ONNX model: {unreadable!r} is no text")
    parameters = _parameters(own.graph)
    _forget_data(own.graph)
    _bind(where, own.graph, *checked_sizes(where, batch, dims))
    with _inferring(where):
        if own.functions:
            own = onnx.inliner.inline_local_functions(own)
    own = _with_shapes(where, own)
    graph = _Graph(own.graph)
    layers: list[Layer] = []
    sources: list[onnx.NodeProto] = []
    skipped: list[SkippedOperator] = []
    for node in own.graph.node:
        reason, macs = "", None
        try:
            made = operators.bounded(graph.layers(node))
            layers += made
            sources += [node] * len(made)
        except Unmappable as no:
            reason, macs = no.reason, no.macs
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # Of a damaged file: one operator that nothing can be made of leaves the others.
            reason = f"cannot be read: {type(error).__name__}: {error}"
        if reason:
            operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            skipped.append(SkippedOperator(graph.name(node), operator, reason, macs))
    found = operators.finish(name or own.graph.name or "onnx", layers, skipped, parameters)
    return Traced(found, own, tuple(sources), frozenset(graph.constants))


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


def _unreadable(message: Any) -> Iterator[bytes]:
    """What should be text and is not: protobuf hands such bytes over as they are."""
    for field, value in message.ListFields():
        if field.message_type is None and field.type != field.TYPE_STRING:
            continue
        alone = isinstance(value, str | bytes) or hasattr(value, "ListFields")
        for each in (value,) if alone else value:
            if field.message_type is not None:
                yield from _unreadable(each)
            elif isinstance(each, bytes):
                yield each


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
    sizes = {t.name: _elements(t.dims) for t in graph.initializer if not _is_index(t)}
    sizes |= {t.values.name: _elements(t.dims) for t in graph.sparse_initializer}
    for node in graph.node:
        for attribute in node.attribute:
            given = node.op_type == "Constant" and attribute.name == "value" and node.output
            if given and not _is_index(attribute.t):
                sizes[node.output[0]] = _elements(attribute.t.dims)
    copies = [n for n in graph.node if n.op_type == "Identity" and n.input and n.output]
    same = {n.output[0]: n.input[0] for n in copies}
    learnt = set()
    for node in graph.node:
        for index, given in enumerate(node.input):
            seen = set()  # a damaged file may copy in a circle
            while given in same and given not in seen:  # a tensor that is used in several places
                seen.add(given)
                given = same[given]
            if node.op_type != "Identity" and index not in _NOT_LEARNT.get(node.op_type, ()):
                learnt.add(given)
    return sum(size for name, size in sizes.items() if name in learnt and size > 1)


def _elements(dims: Any) -> int:
    return prod(dims) if all(size >= 0 for size in dims) else 0


def _is_index(tensor: onnx.TensorProto) -> bool:
    import onnx

    t = onnx.TensorProto
    kinds = (t.INT16, t.INT32, t.INT64, t.UINT16, t.UINT32, t.UINT64, t.BOOL, t.STRING)
    return tensor.data_type in kinds


_SMALL = 1024  # elements; shape inference reads no longer tensor
_LONG = 1_000_000  # elements of a vector; values are not propagated if one is longer


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


def checked_sizes(
    where: object, batch: int | None, dims: Mapping[str, int] | None
) -> tuple[int | None, dict[str, int]]:
    """Check ``batch`` and ``dims``, and hand them back.

    Raises:
        ValueError: If one of them is no mapping of names to, or not itself, a size.
    """
    if dims is not None and not isinstance(dims, Mapping):
        raise ValueError(
            f"{where}: dims must be a mapping of names to sizes, as {{'x[2]': 224}}, got {dims!r}"
        )
    if strange := [key for key in dims or {} if not isinstance(key, str)]:
        raise ValueError(f"{where}: a dimension is named by text, got {strange[0]!r}")
    given: dict[str, object] = {} if batch is None else {"batch": batch}
    given |= {f"dims[{key!r}]": size for key, size in (dims or {}).items()}
    for what, size in given.items():
        if isinstance(size, bool) or not isinstance(size, Integral) or int(size) < 1:
            raise ValueError(f"{where}: {what} must be a positive integer, got {size!r}")
        if int(size) > LARGEST:
            raise ValueError(f"{where}: {what} must be at most {LARGEST}, got {size!r}")
    return None if batch is None else int(batch), {k: int(v) for k, v in (dims or {}).items()}


def _bind(where: str, graph: onnx.GraphProto, batch: int | None, dims: Mapping[str, int]) -> None:
    """Give every free dimension of the inputs its size.

    A dimension of 0 or less is free, too: some exporters write them so. It may be named by its
    symbol, if it has one, and by input and axis.
    """
    initial = {tensor.name for tensor in graph.initializer}
    axes = [
        (given.name, axis, dim)
        for given in graph.input
        if given.name not in initial
        for axis, dim in enumerate(given.type.tensor_type.shape.dim)
    ]
    free = {(n, a): d.dim_param or f"{n}[{a}]" for n, a, d in axes if d.dim_value < 1}
    fixed = {f"{n}[{a}]": d.dim_value for n, a, d in axes if d.dim_value >= 1}
    first = sorted({symbol for (_, axis), symbol in free.items() if axis == 0})
    sizes: dict[str, int] = {}
    for key, size in dims.items():
        symbol = key if key in free.values() else free.get(_position(key))
        if symbol is None and key in fixed:
            if fixed[key] != size:
                raise ValueError(f"{where}: dims has {size} for {key}, which is {fixed[key]}")
        elif symbol is None:
            allowed = dict.fromkeys(free.values())
            if not allowed:
                raise ValueError(f"{where}: dims names {key!r}, but no dimension is free")
            raise ValueError(f"{where}: {nearest('free dimension', key, allowed)}")
        elif sizes.setdefault(symbol, size) != size:
            raise ValueError(f"{where}: dims has both {sizes[symbol]} and {size} for {symbol!r}")
    if batch is not None:
        known = sorted({d.dim_value for _, a, d in axes if a == 0 and d.dim_value >= 1})
        if not first and known != [batch]:
            raise ValueError(f"{where}: batch is fixed to {', '.join(map(str, known)) or 'none'}")
        for symbol in first:
            if sizes.setdefault(symbol, batch) != batch:
                raise ValueError(f"{where}: batch is {batch}, but dims has {sizes[symbol]}")
    if left := [f"{s} (axis {a} of {n!r})" for (n, a), s in free.items() if s not in sizes]:
        names = [s for s in dict.fromkeys(free.values()) if s not in sizes]
        raise FreeDimensions(
            f"{where}: free dimensions {', '.join(left)}", names, any(s in names for s in first)
        )
    for name, axis, dim in axes:
        if (name, axis) in free:
            dim.dim_value = sizes[free[name, axis]]
    for value in (*graph.value_info, *graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in sizes:
                dim.dim_value = sizes[dim.dim_param]
            elif dim.dim_value < 1:
                dim.Clear()  # free, or an expression in the symbols; inference finds its value


def _position(key: str) -> tuple[str, int]:
    """The input and the axis that ``x[2]`` names."""
    found = re.fullmatch(r"(.*)\[(\d{1,9})\]", key)
    return (found[1], int(found[2])) if found else (key, -1)


@contextlib.contextmanager
def _inferring(where: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # onnx raises what its C++ does, of many types
        raise ValueError(f"{where}: shape inference failed: {error}") from error


def _with_shapes(where: str, model: onnx.ModelProto) -> onnx.ModelProto:
    """Infer shapes, computing those that the model itself computes from others on the way."""
    import onnx.shape_inference

    with _inferring(where):
        model = onnx.shape_inference.infer_shapes(model)
    while True:
        # Values are propagated element by element, also those of vectors that are no shapes.
        shapes = _shapes(model.graph).values()
        values = all(shape[0] <= _LONG for shape in shapes if len(shape) == 1)
        with _inferring(where):
            model = onnx.shape_inference.infer_shapes(model, data_prop=values)
        if not _fold(model):
            return model


def _fold(model: onnx.ModelProto) -> bool:
    """Replace operators on small known tensors by their results; tell whether there were any."""
    import onnx

    graph = model.graph
    shapes = _shapes(graph)
    known: dict[str, Any] = {}
    for tensor in graph.initializer:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            with contextlib.suppress(Exception):  # of a damaged one nothing can be computed
                known[tensor.name] = onnx.numpy_helper.to_array(tensor)
    kept = []
    for node in graph.node:
        given = dict.fromkeys(filter(None, node.input))
        if node.op_type in ("Shape", "Size") and node.input and node.input[0] in shapes:
            given = {node.input[0]: np.broadcast_to(np.int8(0), shapes[node.input[0]])}
        elif given.keys() <= known.keys():
            given = {name: known[name] for name in given}
        else:
            kept.append(node)
            continue
        small = all(prod(shapes.get(name, (_SMALL + 1,))) <= _SMALL for name in node.output)
        result = None
        if small or node.op_type not in GROWING:
            result = fold_node(model, node, given, _SMALL)
        if result is None:
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


def fold_node(
    model: onnx.ModelProto, node: onnx.NodeProto, given: dict[str, Any], most: int = LARGEST
) -> list[Any] | None:
    """The tensors, of at most so many elements, that an operator computes of known ones; None where
    it cannot be told."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    if node.domain or node.op_type not in _ELEMENTWISE or "Random" in node.op_type:
        return None
    inputs = [onnx.ValueInfoProto(name=name) for name in given]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output]
    # What the reference cannot do stays as it is.
    with contextlib.suppress(Exception), np.errstate(all="ignore"):
        alone = onnx.helper.make_graph([node], "node", inputs, outputs)
        whole = onnx.helper.make_model(alone, opset_imports=model.opset_import)
        result = list(ReferenceEvaluator(whole).run(None, given))
        arrays = all(isinstance(each, np.ndarray | np.generic) for each in result)
        if arrays and len(result) == len(outputs) and all(e.size <= most for e in result):
            return result
    return None


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
        self.weights = {tensor.name: tensor.data_type for tensor in graph.initializer}
        self.constants = set(self.weights)
        for node in graph.node:
            if node.op_type == "Constant" or (
                node.input and all(not each or each in self.constants for each in node.input)
            ):
                self.constants.update(node.output)
        made = Counter(name for node in graph.node for name in node.output if name)
        made.update(self.weights.keys())
        made.update(tensor.values.name for tensor in graph.sparse_initializer)
        self._several = {name for name, times in made.items() if times > 1}
        self._defined = made.keys() | {given.name for given in graph.input}

    def layers(self, node: onnx.NodeProto) -> list[Layer]:
        """The layers of an operator, none for one that multiplies no matrices.

        Raises:
            Unmappable: It computes, or may, and has no exact layer.
        """
        if node.domain not in ("", "ai.onnx"):
            raise Unmappable("an operator of another domain, whose work is not known")
        if node.op_type in _MAPPED:
            return _MAPPED[node.op_type](_Operator(self, node))
        inner = [each for a in node.attribute for each in (a.g, *a.graphs) if each.node]
        if node.op_type in _CONTROL:
            if all(_is_harmless(each) for each in inner):
                return []
            raise Unmappable("its body computes, how often is known only when it runs")
        if node.op_type not in _ELEMENTWISE:
            raise Unmappable("no exact convolution or matrix product for it")
        return []

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor that is there, once, with a data type.

        Raises:
            Unmappable: It is not, or its shape is not known.
        """
        import onnx

        if name not in self._defined:
            raise Unmappable(f"there is no tensor {name!r}")
        if name in self._several:
            raise Unmappable(f"several tensors are named {name!r}")
        kind = self.weights.get(name, onnx.TensorProto.FLOAT)
        if kind == onnx.TensorProto.UNDEFINED or kind not in onnx.TensorProto.DataType.values():
            raise Unmappable(f"the data type {kind} of {name!r} is not known")
        if name not in self._shapes:
            raise Unmappable(f"the shape of {name!r} is not known")
        if any(size < 0 for size in self._shapes[name]):
            raise Unmappable(f"{name!r} has the shape {self._shapes[name]}")
        return self._shapes[name]

    def is_constant(self, name: str) -> bool:
        return name in self.constants

    def name(self, node: onnx.NodeProto) -> str:
        """What to call an operator: as the module that it comes from, if the file tells that."""
        for given in node.input:
            if given in self.weights and given.endswith(".weight") and given != ".weight":
                return str(given).removesuffix(".weight")
        scope = _scope(node)
        if scope and any(given in self.constants for given in node.input):
            return scope
        if scope:
            return f"{scope}.product"
        return str(node.name or next(filter(None, node.output), "") or node.op_type or "unnamed")


def _scope(node: onnx.NodeProto) -> str:
    """The module that PyTorch's exporter wrote down for an operator."""
    for each in node.metadata_props:
        if each.key == "pkg.torch.onnx.name_scopes":
            # All that literal_eval may raise, and what is no list of at least two.
            with contextlib.suppress(
                ValueError, SyntaxError, TypeError, LookupError, MemoryError, RecursionError
            ):
                return str(ast.literal_eval(each.value)[-2])
    return ""


def _is_harmless(graph: onnx.GraphProto) -> bool:
    return all(
        node.domain in ("", "ai.onnx")
        and (node.op_type in _ELEMENTWISE or node.op_type in _CONTROL)
        and all(_is_harmless(each) for a in node.attribute for each in (a.g, *a.graphs))
        for node in graph.node
    )


class _Operator:
    """An operator's name, inputs and attributes, each checked where it is asked for.

    Everything raises :class:`Unmappable` if what is asked for is missing or wrong.
    """

    def __init__(self, graph: _Graph, node: onnx.NodeProto) -> None:
        self._graph, self._node = graph, node
        self.name = graph.name(node)
        self.operator = node.op_type

    def input(self, index: int) -> str:
        if not self.has_input(index):
            raise Unmappable(f"input {index} is missing")
        return str(self._node.input[index])

    def has_input(self, index: int) -> bool:
        return index < len(self._node.input) and bool(self._node.input[index])

    def inputs(self) -> list[str]:
        return [self.input(index) for index in range(len(self._node.input))]

    def is_constant(self, index: int) -> bool:
        return self._graph.is_constant(self.input(index))

    def shape(self, index: int, *, least: int = 0, most: int | None = None) -> tuple[int, ...]:
        """The shape of an input that has so many axes."""
        return self._shape(self.input(index), least, most)

    def output(self, *, least: int = 0, most: int | None = None) -> tuple[int, ...]:
        """The shape of the first output."""
        if not self._node.output or not self._node.output[0]:
            raise Unmappable("the output is missing")
        return self._shape(self._node.output[0], least, most)

    def _shape(self, name: str, least: int, most: int | None) -> tuple[int, ...]:
        shape = self._graph.shape(name)
        if len(shape) < least or (most is not None and len(shape) > most):
            wanted = f"{least} axes or more" if most is None else f"{least} axes"
            wanted = wanted if most in (None, least) else f"{least} or {most} axes"
            raise Unmappable(f"{name!r} needs {wanted} and has the shape {shape}")
        return shape

    def integer(self, name: str, default: int | None = None, *, least: int = 0) -> int:
        import onnx

        attribute = self._attribute(name, onnx.AttributeProto.INT)
        value = default if attribute is None else int(attribute.i)
        if value is None:
            raise Unmappable(f"the attribute {name!r} is missing")
        if value < least:
            raise Unmappable(f"the attribute {name!r} must be at least {least}, it is {value}")
        return value

    def per_axis(self, name: str, axes: int) -> list[int] | None:
        """A positive integer for each axis, None where the attribute is not given."""
        import onnx

        attribute = self._attribute(name, onnx.AttributeProto.INTS)
        if attribute is None or not attribute.ints:
            return None
        values = [int(each) for each in attribute.ints]
        if len(values) != axes or min(values) < 1:
            raise Unmappable(f"the attribute {name!r} needs {axes} positive integers, not {values}")
        return values

    def text(self, name: str) -> str:
        import onnx

        attribute = self._attribute(name, onnx.AttributeProto.STRING)
        if attribute is None:
            raise Unmappable(f"the attribute {name!r} is missing")
        try:
            return str(attribute.s.decode())
        except UnicodeDecodeError as error:
            raise Unmappable(f"the attribute {name!r} is no text") from error

    def _attribute(self, name: str, kind: int) -> Any:
        for attribute in self._node.attribute:
            if attribute.name == name:
                if attribute.type != kind or attribute.ref_attr_name:
                    raise Unmappable(f"the attribute {name!r} is of another type")
                return attribute
        return None


def _kernel(op: _Operator, at: int) -> tuple[tuple[int, ...], dict[str, Any]]:
    """The shape of the filters, and how they move."""
    weight = op.shape(at, least=3)
    axes = len(weight) - 2
    kernel = op.per_axis("kernel_shape", axes)
    if kernel is not None and tuple(kernel) != weight[2:]:
        raise Unmappable(f"filters of shape {weight} contradict kernel_shape {kernel}")
    ones = [1] * axes
    return weight, {
        "groups": op.integer("group", 1, least=1),
        "kernel": weight[2:],
        "stride": op.per_axis("strides", axes) or ones,
        "dilation": op.per_axis("dilations", axes) or ones,
    }


def _convolution(op: _Operator) -> list[Layer]:
    weight, settings = _kernel(op, 3 if op.operator == "QLinearConv" else 1)
    rank, groups = len(weight), settings["groups"]
    given = op.shape(0, least=rank, most=rank)
    if given[1] != weight[1] * groups or weight[0] % groups:
        raise Unmappable(f"filters {weight} with group={groups} do not fit the input {given}")
    layer = operators.convolution(
        op.name,
        batch=given[0],
        out_channels=weight[0],
        in_channels=given[1],
        output_size=op.output(least=rank, most=rank)[2:],
        **settings,
    )
    return [layer]


def _transposed_convolution(op: _Operator) -> list[Layer]:
    weight, settings = _kernel(op, 1)
    groups = settings["groups"]
    given = op.shape(0, least=len(weight), most=len(weight))
    if given[1] != weight[0] or weight[0] % groups:
        raise Unmappable(f"filters {weight} with group={groups} do not fit the input {given}")
    return operators.transposed_convolution(
        op.name,
        batch=given[0],
        out_channels=weight[1] * groups,
        in_channels=given[1],
        input_size=given[2:],
        **settings,
    )


def _deformable(op: _Operator) -> list[Layer]:
    macs = prod(op.output()) * prod(op.shape(1)[1:])
    raise Unmappable("where it reads its inputs depends on their values", macs)


def _product(op: _Operator) -> list[Layer]:
    at = 3 if op.operator == "QLinearMatMul" else 1
    weight_left = op.is_constant(0) and not op.is_constant(at)
    return [operators.matmul(op.name, op.shape(0), op.shape(at), weight_left=weight_left)]


def _gemm(op: _Operator) -> list[Layer]:
    shapes = []
    for index, flag in enumerate(("transA", "transB")):
        shape = op.shape(index, least=2, most=2)
        shapes.append(shape[::-1] if op.integer(flag, 0) else shape)
    weight_left = op.is_constant(0) and not op.is_constant(1)
    return [operators.matmul(op.name, *shapes, weight_left=weight_left)]


def _einsum(op: _Operator) -> list[Layer]:
    shapes = [op.shape(index) for index in range(len(op.inputs()))]
    layer = operators.einsum(op.name, op.text("equation"), shapes)
    return [] if layer is None else [layer]


def _recurrent(gates: int) -> Callable[[_Operator], list[Layer]]:
    def layers(op: _Operator) -> list[Layer]:
        given, weight, own = (op.shape(index, least=3, most=3) for index in range(3))
        directions, hidden = weight[0], own[2]
        if weight[1:] != (gates * hidden, given[2]) or own[:2] != weight[:2] or directions > 2:
            raise Unmappable(f"matrices {weight} and {own} do not fit the input {given}")
        by_batch = op.integer("layout", 0)
        steps, batch = (given[1], given[0]) if by_batch else given[:2]
        names = [op.name]
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


def _attention(op: _Operator) -> list[Layer]:
    shapes = []
    for index, who in enumerate(("q", "kv", "kv")):
        shape = list(op.shape(index, least=3, most=4))
        if len(shape) == 3:  # (batch, tokens, heads x width)
            heads = op.integer(f"{who}_num_heads", least=1)
            if shape[2] % heads:
                raise Unmappable(f"{heads} heads do not divide {shape[2]} channels")
            shape = [shape[0], heads, shape[1], shape[2] // heads]
        shapes.append(shape)
    if op.has_input(4):  # keys and values of earlier tokens come first
        past = op.shape(4, least=4, most=4)[2]
        shapes[1][2] += past
        shapes[2][2] += past
    return operators.attention(op.name, *shapes)


_MAPPED: dict[str, Callable[[_Operator], list[Layer]]] = {
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

GROWING = frozenset(
    {
        "AffineGrid",
        "AveragePool",
        "BlackmanWindow",
        "CenterCropPad",
        "Col2Im",
        "ConstantOfShape",
        "Expand",
        "GridSample",
        "HammingWindow",
        "HannWindow",
        "LpPool",
        "MaxPool",
        "MaxRoiPool",
        "MaxUnpool",
        "MelWeightMatrix",
        "OneHot",
        "Pad",
        "Range",
        "Resize",
        "RoiAlign",
        "Tile",
        "Upsample",
    }
)
"""Operators that a small input may ask for a large result, or for much work: computed only where
the result is known to be small."""
