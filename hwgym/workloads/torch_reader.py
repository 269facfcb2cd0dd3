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
        sum(parameter.numel() for parameter in module.parameters()),
    )


def _arguments(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(example, Mapping):
        return (), dict(example)
    return (tuple(example), {}) if isinstance(example, (tuple, list)) else ((example,), {})


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
        if func.namespace in _OURS and operator in _MAPPED:
            try:
                parts = _MAPPED[operator](self, args, result)
            except Unmappable as no:
                self._skip(func, no.reason, no.macs)
                return
            for part in parts:
                self._add(part)
        elif func.namespace not in _OURS:
            self._skip(func, "an operator of another library, whose work is not known")
        elif operator not in _HARMLESS and _COMPUTES & {*operator.split("_")}:
            self._skip(func, "no exact convolution or matrix product for it")

    def is_weight(self, tensor: torch.Tensor) -> bool:
        return _storage(tensor) in self._weights

    def _add(self, part: _Part) -> None:
        """Append a layer, or repeat the one that this call has with the same weights."""
        call = self._calls[-1]
        name = call.path or type(call.module).__name__
        weight = part.weight
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


def _experts(_recorder: _Recorder, args: Sequence[Any], _result: Any) -> list[_Part]:
    rows, weights = args[:2]
    macs = rows.numel() * weights.shape[-1] if weights.dim() == 3 and rows.dim() == 2 else None
    raise Unmappable("how many rows each of its matrices gets depends on the data", macs)


_UNNAMED = "-"


def _suffix(layer: Layer) -> str:
    return layer.name.removeprefix(_UNNAMED).removeprefix(".")


_Mapping = Callable[[_Recorder, Sequence[Any], Any], list[_Part]]
_MAPPED: dict[str, _Mapping] = {
    **dict.fromkeys(("mm", "bmm", "mv", "dot", "vdot", "_int_mm"), _product(0)),
    **dict.fromkeys(("addmm", "baddbmm", "addmv", "_addmm_activation"), _product(1)),
    "linear": _linear,
    "convolution": _convolution,
    "convolution_overrideable": _convolution,
    "mkldnn_rnn_layer": _onednn_rnn,
    "_grouped_mm": _experts,
    "_scaled_dot_product_flash_attention": _attention,
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_efficient_attention": _attention,
    "_scaled_dot_product_cudnn_attention": _attention,
    "_scaled_dot_product_fused_attention_overrideable": _attention,
}
"""Operators with exact layers, or whose MACs are known although they have none."""

_OURS = frozenset({"aten", "prim", "prims", "profiler"})
_WORDS = (
    "mm bmm mv dot vdot addmm addmv addbmm baddbmm matmul linear conv convolution tbc rnn gru lstm "
    "attention encoder fft linalg trilinear cdist pdist cholesky svd solve inverse"
)
_COMPUTES = frozenset(_WORDS.split())
"""Words in the names of operators that multiply and add. One of them without a layer is listed."""

_HARMLESS = frozenset(
    {
        "linalg_vector_norm",
        "_linalg_check_errors",
        "_thnn_fused_lstm_cell",
        "_thnn_fused_gru_cell",
    }
)
"""Operators with such a word whose work is element by element."""
