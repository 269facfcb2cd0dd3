"""Layers of PyTorch modules: run once on an example, every product that is dispatched seen.

Watching the operators that a run dispatches, not the modules, also finds products that no module
stands for (``a @ b``, ``einsum``, attention), whatever Python decides on the way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hwgym.workloads import operators
from hwgym.workloads.layer import Layer
from hwgym.workloads.operators import Found, SkippedOperator, Unmappable

if TYPE_CHECKING:
    import torch

__all__ = ["read_torch"]


def read_torch(module: torch.nn.Module, example_input: Any, *, name: str | None = None) -> Found:
    """What is in a PyTorch module. Arguments and errors: :func:`hwgym.workloads.import_torch`."""
    try:
        import torch
        from torch.utils._python_dispatch import TorchDispatchMode
    except ImportError as error:
        raise ImportError(
            "importing a PyTorch module needs torch: pip install torch (see pytorch.org for the "
            "build that fits your machine)"
        ) from error
    if not isinstance(module, torch.nn.Module):
        raise ValueError(f"a torch.nn.Module is needed, got {module!r}")
    module = getattr(module, "_orig_mod", module)  # torch.compile wraps; what it wraps is run
    recorder = _Recorder(module)

    class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            recorder.see(func, args, result)
            return result

    watch = Watch()  # type: ignore[no-untyped-call]
    positional, keywords = _arguments(example_input)
    with _as_for_inference(module), recorder.named_calls(), torch.no_grad(), watch:
        module(*positional, **keywords)
    return operators.finish(
        type(module).__name__ if name is None else name,
        recorder.layers(),
        recorder.skipped,
        sum(parameter.numel() for parameter in (*module.parameters(), *_packed_weights(module))),
        recorder.notes,
    )


def _arguments(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(example, Mapping):
        return (), dict(example)
    return (tuple(example), {}) if isinstance(example, (tuple, list)) else ((example,), {})


def _packed_weights(module: torch.nn.Module) -> list[torch.Tensor]:
    """Weights and biases that quantised modules hold in objects of their own."""
    packed = {
        id(each): each
        for part in module.modules()
        for each in vars(part).values()
        if hasattr(each, "unpack") and _is_packed(each)
    }
    return [each for pack in packed.values() for each in pack.unpack() if each is not None]


def _is_packed(given: object) -> bool:
    import torch

    return isinstance(given, torch.ScriptObject) and "PackedParams" in str(given._type())


@contextlib.contextmanager
def _as_for_inference(module: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode, and no kernels that hide a whole network behind one operator."""
    import torch

    training = {each: each.training for each in module.modules()}
    fast_path = torch.backends.mha.get_fastpath_enabled()
    with torch.random.fork_rng(devices=[]), torch.backends.cudnn.flags(enabled=False):
        torch.backends.mha.set_fastpath_enabled(False)
        module.eval()
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_path)
            for each, mode in training.items():
                each.training = mode


@dataclass
class _Call:
    """One call of a module."""

    path: str
    module: torch.nn.Module
    at: dict[object, int] = field(default_factory=dict)  # weights seen -> index of their layer


class _Recorder:
    """Makes layers of operators as they are dispatched."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.skipped: list[SkippedOperator] = []
        self.notes: list[tuple[str, str]] = []
        self._layers: list[Layer] = []
        self._module = module
        self._calls = [_Call("", module)]
        self._weights = {_storage(each) for each in module.parameters()}

    def layers(self) -> list[Layer]:
        return self._layers

    @contextlib.contextmanager
    def named_calls(self) -> Iterator[None]:
        """Know at every operator which module's call it belongs to."""
        handles = []
        for path, each in self._module.named_modules():
            call = _Call(path, each)

            def enter(_module: Any, _args: Any, call: _Call = call) -> None:
                self._calls.append(_Call(call.path, call.module))

            def leave(_module: Any, _args: Any, _result: Any) -> None:
                self._calls.pop()

            handles += [each.register_forward_pre_hook(enter), each.register_forward_hook(leave)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def see(self, func: Any, args: Sequence[Any], result: Any) -> None:
        operator = func.overloadpacket.__name__
        if func.namespace not in _NATIVE:
            operator = f"{func.namespace}.{operator}"
        words = {*func.overloadpacket.__name__.split("_")}
        if operator in _MAPPED:
            try:
                parts = _MAPPED[operator](self, args, result)
                operators.bounded([part.layer for part in parts])
            except Unmappable as no:
                self._skip(func, no.reason, no.macs)
                return
            for part in parts:
                self._add(part)
        elif operator in _HARMLESS:
            return
        elif func.namespace not in _OURS:
            self._skip(func, "an operator of another library, whose work is not known")
        elif _COMPUTES & words and not _PACKS & words:
            self._skip(func, "no exact convolution or matrix product for it")

    def note(self, text: str) -> None:
        """Remember what was taken for granted of the operator at hand."""
        call = self._calls[-1]
        self.notes.append((call.path or type(call.module).__name__, text))

    def is_weight(self, tensor: torch.Tensor) -> bool:
        return _storage(tensor) in self._weights

    def _add(self, part: _Part) -> None:
        """Append a layer, or repeat the one that this call has with the same weights."""
        call = self._calls[-1]
        name = call.path or type(call.module).__name__
        weight = part.weight
        if part.packed:
            name = ".".join(filter(None, (name, part.name)))
            self._layers.append(replace(part.layer, name=name))
            return
        if weight is None or not self.is_weight(weight):
            name = f"{name}.{part.name or 'product'}"
            self._layers.append(replace(part.layer, name=name))
            return
        name = ".".join(filter(None, (name, self._of_weight(weight, call), part.name)))
        layer = replace(part.layer, name=name, repeat=1)
        key = (_storage(weight), weight.storage_offset(), layer)
        if key in call.at:
            before = self._layers[call.at[key]]
            again = replace(before, repeat=before.repeat + part.layer.repeat)
            self._layers[call.at[key]] = again
            return
        call.at[key] = len(self._layers)
        self._layers.append(replace(part.layer, name=name))

    def _of_weight(self, weight: torch.Tensor, call: _Call) -> str:
        """What a weight adds to the name of the module that uses it: nothing if it is its own."""
        for own, parameter in call.module.named_parameters():
            if _storage(parameter) == _storage(weight):
                module, _, last = own.rpartition(".")
                last = last.removeprefix("weight").removesuffix("weight").strip("_")
                return ".".join(filter(None, (module, last)))
        return "product"

    def _skip(self, func: Any, reason: str, macs: int | None = None) -> None:
        call = self._calls[-1]
        where = call.path or type(call.module).__name__
        self.skipped.append(SkippedOperator(where, str(func), reason, macs))


def _storage(tensor: torch.Tensor) -> object:
    """What views of a tensor share with it; sparse and wrapped tensors only have themselves."""
    try:
        return tensor.untyped_storage()._cdata
    except (NotImplementedError, RuntimeError):
        return id(tensor)


@dataclass(frozen=True)
class _Part:
    """A layer of an operator, not named yet."""

    layer: Layer
    weight: torch.Tensor | None = None  # a tensor that may be a weight
    name: str = ""
    packed: bool = False  # its weights are no tensor, but the module's own all the same


def _product(first: int) -> _Mapping:
    """A matrix product of the arguments ``first`` and ``first + 1``."""

    def parts(recorder: _Recorder, args: Sequence[Any], _result: Any) -> list[_Part]:
        a, b = args[first], args[first + 1]
        weight_left = recorder.is_weight(a) and not recorder.is_weight(b)
        layer = operators.matmul(_UNNAMED, _shape(a), _shape(b), weight_left=weight_left)
        return [_Part(layer, a if weight_left else b)]

    return parts


def _shape(tensor: torch.Tensor) -> list[int]:
    """The shape; a batch that is one matrix looked at many times counts as that matrix."""
    shape = list(tensor.shape)
    return [1, *shape[1:]] if tensor.dim() == 3 and tensor.stride(0) == 0 else shape


def _linear(_recorder: _Recorder, args: Sequence[Any], _result: Any) -> list[_Part]:
    shapes = tuple(args[0].shape), tuple(args[1].shape[::-1])
    return [_Part(operators.matmul(_UNNAMED, *shapes, weight_left=False), args[1])]


def _convolution(_recorder: _Recorder, args: Sequence[Any], result: Any) -> list[_Part]:
    given, weight, _bias, stride, _padding, dilation, transposed, _output_padding, groups = args
    axes = weight.dim() - 2
    batched = given if given.dim() == axes + 2 else given[None]
    shared = {
        "batch": batched.shape[0],
        "in_channels": batched.shape[1],
        "groups": groups,
        "kernel": tuple(weight.shape[2:]),
        "stride": _per_axis(stride, axes),
        "dilation": _per_axis(dilation, axes),
    }
    if transposed:
        layers = operators.transposed_convolution(
            _UNNAMED,
            out_channels=weight.shape[1] * groups,
            input_size=tuple(batched.shape[2:]),
            **shared,
        )
        return [_Part(layer, weight, _suffix(layer)) for layer in layers]
    layer = operators.convolution(
        _UNNAMED,
        out_channels=weight.shape[0],
        output_size=tuple(result.shape[-axes:]),
        **shared,
    )
    return [_Part(layer, weight)]


def _per_axis(given: Sequence[int], axes: int) -> tuple[int, ...]:
    return tuple(given) * (axes if len(given) == 1 else 1)


def _attention(_recorder: _Recorder, args: Sequence[Any], _result: Any) -> list[_Part]:
    query, key, value = (tuple(each.shape) for each in args[:3])
    layers = operators.attention(_UNNAMED, query, key, value)
    return [_Part(layer, name=_suffix(layer)) for layer in layers]


def _onednn_rnn(_recorder: _Recorder, args: Sequence[Any], _result: Any) -> list[_Part]:
    # One direction of one layer: input (steps, batch, width), then its two matrices.
    (steps, batch, width), rows, hidden = args[0].shape, args[1].shape[0], args[2].shape[1]
    layers = operators.recurrent(
        _UNNAMED, gates=rows // hidden, inputs=width, hidden=hidden, steps=steps, batch=batch
    )
    return [_Part(layer, weight) for layer, weight in zip(layers, args[1:3], strict=True)]


def _experts(recorder: _Recorder, args: Sequence[Any], _result: Any) -> list[_Part]:
    rows, weights = args[:2]
    if rows.dim() == weights.dim() == 3:
        return _product(0)(recorder, args, _result)
    if (rows.dim(), weights.dim()) != (2, 3):  # groups of columns, or of what is summed over
        macs = rows.shape[-2] * rows.shape[-1] * weights.shape[-1]
        raise Unmappable("how large each of its products is depends on the data", macs)
    count, inputs, outputs = weights.shape
    layers = operators.experts(rows.shape[0], count, inputs=inputs, outputs=outputs)
    recorder.note(
        f"which expert gets which rows is known only when it runs; {rows.shape[0]:,} rows are "
        f"split evenly over {count:,} experts"
    )
    return [_Part(each, weights, each.name if len(layers) > 1 else "") for each in layers]


def _bilinear(_recorder: _Recorder, args: Sequence[Any], _result: Any) -> list[_Part]:
    # As torch.nn.Bilinear calls it: (rows, a), (outputs, a, b), (rows, b). All products of the two
    # inputs' elements are the rows of one matrix product.
    left, weight, right, *expansions = args[:7]
    if expansions != [[1, 3], [0], [1, 2], [2, 3]]:
        raise Unmappable("a product of three tensors that is not torch.nn.Bilinear's")
    rows, outputs = (left.shape[0], left.shape[1] * right.shape[1]), weight.shape[0]
    layer = operators.matmul(_UNNAMED, rows, (rows[1], outputs), weight_left=False)
    return [_Part(layer, weight)]


def _packed(args: Sequence[Any]) -> Any:
    return next(each for each in args if _is_packed(each))


def _packed_linear(_recorder: _Recorder, args: Sequence[Any], _result: Any) -> list[_Part]:
    weight = _packed(args).unpack()[0]
    shapes = tuple(args[0].shape), tuple(weight.shape[::-1])
    layer = operators.matmul(_UNNAMED, *shapes, weight_left=False)
    return [_Part(layer, packed=True)]


def _packed_convolution(axes: int, transposed: bool) -> _Mapping:
    def parts(recorder: _Recorder, args: Sequence[Any], result: Any) -> list[_Part]:
        pack = _packed(args)
        weight = pack.unpack()[0]
        if axes == 1:  # kept as one over two axes, the first of which is 1
            weight = weight.squeeze(2)
        stride, spread = pack.stride()[-axes:], pack.dilation()[-axes:]
        rest = (transposed, None, pack.groups())
        every = _convolution(recorder, (args[0], weight, None, stride, None, spread, *rest), result)
        return [replace(part, weight=None, packed=True) for part in every]

    return parts


def _deformable(_recorder: _Recorder, args: Sequence[Any], result: Any) -> list[_Part]:
    macs = result.numel() * args[1].shape[1:].numel()
    raise Unmappable("where it reads its inputs depends on their values", macs)


_UNNAMED = "-"
_Mapping = Callable[[_Recorder, Sequence[Any], Any], list[_Part]]


def _suffix(layer: Layer) -> str:
    return layer.name.removeprefix(_UNNAMED).removeprefix(".")


_LINEAR_SUFFIXES = (
    *("", "_relu", "_leaky_relu", "_tanh"),
    *("_dynamic", "_relu_dynamic", "_dynamic_fp16", "_relu_dynamic_fp16"),
    *(f"_with_input_q_dq_qweight_dq_{end}" for end in ("output_fp32", "relu_output_fp32")),
)

_MAPPED: dict[str, _Mapping] = {
    **dict.fromkeys(("mm", "bmm", "mv", "dot", "vdot", "_int_mm"), _product(0)),
    **dict.fromkeys(("addmm", "baddbmm", "addmv", "_addmm_activation"), _product(1)),
    "linear": _linear,
    "convolution": _convolution,
    "convolution_overrideable": _convolution,
    "mkldnn_rnn_layer": _onednn_rnn,
    "_trilinear": _bilinear,
    "_grouped_mm": _experts,
    "_scaled_grouped_mm": _experts,
    "transformers.grouped_mm_fallback": _experts,
    "torchvision.deform_conv2d": _deformable,
    **dict.fromkeys((f"quantized.linear{end}" for end in _LINEAR_SUFFIXES), _packed_linear),
    **{
        f"quantized.conv{'_transpose' * transposed}{axes}d{more}": _packed_convolution(
            axes, transposed
        )
        for axes in (1, 2, 3)
        for transposed in (False, True)
        for more in ("", "_relu", "_add", "_add_relu", "_dynamic")
    },
    "quantized.matmul": _product(0),
    "_scaled_dot_product_flash_attention": _attention,
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_efficient_attention": _attention,
    "_scaled_dot_product_cudnn_attention": _attention,
    "_scaled_dot_product_fused_attention_overrideable": _attention,
}
"""Operators with exact layers, or whose MACs are known although they have none."""

_NATIVE = frozenset({"aten", "prim", "prims", "profiler"})
_OURS = _NATIVE | {"quantized", "quantized_decomposed"}
_WORDS = (
    "mm bmm mv dot vdot addmm addmv addbmm baddbmm matmul linear conv conv1d conv2d conv3d "
    "convolution tbc rnn gru lstm attention encoder fft linalg trilinear cdist pdist cholesky svd "
    "solve inverse"
)
_COMPUTES = frozenset(_WORDS.split())
"""Words in the names of operators that multiply and add. One of them without a layer is listed."""

_PACKS = frozenset({"prepack", "unpack"})
"""Words in the names of operators that only pack weights."""

_HARMLESS = frozenset(
    {
        "linalg_vector_norm",
        "_linalg_check_errors",
        "_thnn_fused_lstm_cell",
        "_thnn_fused_gru_cell",
        "torchvision.nms",
        "torchvision.ps_roi_align",
        "torchvision.ps_roi_pool",
        "torchvision.roi_align",
        "torchvision.roi_pool",
    }
)
"""Operators with such a word, or of another library, whose work is element by element."""
