"""How operators of other frameworks become layers.

- A convolution is its ``Layer`` by output size, so strides, dilation and padding leave its MACs
  exact; groups are one group's layer, repeated. Over one axis it has one column; over three, output
  slices are run one after the other. Filters that do not overlap (a patch embedding) are a matrix
  product, a transposed convolution is the convolutions of its phases.
- A matrix product has the weights as its second matrix. Heads are repeats, and so are the steps of
  a recurrent layer's own product; that with its input is one for all steps.
- A batch gives matrix products with weights more rows. Everything else runs its samples one after
  the other, as repeats.
- MACs are those of an operator's definition: zeros of the padding count, a causal mask saves none.
- What works element by element, pools, normalises or moves data has no layer. What computes, or
  may, and has no exact layer is listed as skipped.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from hwgym.workloads.layer import Layer

__all__ = [
    "Found",
    "SkippedLayersWarning",
    "SkippedOperator",
    "Unmappable",
    "attention",
    "convolution",
    "einsum",
    "finish",
    "matmul",
    "recurrent",
    "transposed_convolution",
    "warn_of",
]


class SkippedLayersWarning(UserWarning):
    """A network has operators that compute and are not in the imported workload."""


@dataclass(frozen=True, slots=True)
class SkippedOperator:
    """An operator that computes, or may compute, and has no layer.

    Attributes:
        name: Of the operator in the network.
        operator: Its type, e.g. ``"DeformConv"``.
        reason: Why it could not be mapped.
        macs: Its multiply-accumulates, None where they are not known.
    """

    name: str
    operator: str
    reason: str
    macs: int | None = None

    def __str__(self) -> str:
        macs = "unknown" if self.macs is None else f"{self.macs:,}"
        return f"{self.name} ({self.operator}): {self.reason}; MACs {macs}"


@dataclass(frozen=True, slots=True)
class Found:
    """What a reader found in a network: name, layers, what has none, and learnt numbers."""

    name: str
    layers: tuple[Layer, ...]
    skipped: tuple[SkippedOperator, ...]
    parameters: int


def warn_of(name: str, skipped: Sequence[SkippedOperator], *, stacklevel: int) -> None:
    """Warn, as :func:`warnings.warn` would from here, if anything was skipped."""
    if skipped:
        few = "; ".join(map(str, skipped[:3]))
        more = f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
        warnings.warn(
            f"{name}: not in the workload: {few}{more}",
            SkippedLayersWarning,
            stacklevel=stacklevel,
        )


class Unmappable(Exception):
    """An operator has no exact layer; says why, and its MACs where they are known."""

    def __init__(self, reason: str, macs: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.macs = macs


def finish(
    name: str, layers: Iterable[Layer], skipped: Iterable[SkippedOperator], parameters: int
) -> Found:
    """Put together what was found.

    Raises:
        ValueError: If nothing could be mapped.
    """
    layers, skipped = tuple(_numbered(layers)), tuple(skipped)
    if not layers:
        detail = f"; not mapped: {'; '.join(map(str, skipped))}" if skipped else ""
        raise ValueError(f"{name}: no convolution and no matrix product to map{detail}")
    return Found(name, layers, skipped, parameters)


def _numbered(layers: Iterable[Layer]) -> Iterator[Layer]:
    """Tell layers of one name apart: a module that is called again has its name again."""
    seen: Counter[str] = Counter()
    for layer in layers:
        seen[layer.name] += 1
        times = seen[layer.name]
        yield layer if times == 1 else replace(layer, name=f"{layer.name}#{times}")


def _nonempty(*shapes: Iterable[int]) -> None:
    if any(0 in shape for shape in shapes):
        raise Unmappable("a tensor without elements", 0)


def matmul(name: str, left: Sequence[int], right: Sequence[int], *, weight_left: bool) -> Layer:
    """The layer of a matrix product with broadcast batch dimensions, as numpy's ``matmul``.

    Batch dimensions that only one operand has make that operand's matrix longer; those of both are
    run one after the other.

    Args:
        name: The layer's name.
        left, right: Shapes of the operands.
        weight_left: The left operand is the weights: the product is transposed, for the weights
            to be the second matrix.

    Raises:
        Unmappable: The inner dimensions differ, so the model is wrong; or an operand is empty.
    """
    _nonempty(left, right)
    a, b = list(left), list(right)
    a = [1, *a] if len(a) == 1 else a
    b = [*b, 1] if len(b) == 1 else b
    if a[-1] != b[-2]:
        raise Unmappable(f"shapes {tuple(left)} and {tuple(right)} do not multiply")
    if weight_left:
        a, b = _transposed(b), _transposed(a)
    rows, inner, columns, repeat = a[-2], a[-1], b[-1], 1
    depth = max(len(a), len(b)) - 2
    batch_a = [1] * (depth - len(a) + 2) + a[:-2]
    batch_b = [1] * (depth - len(b) + 2) + b[:-2]
    for of_a, of_b in zip(batch_a, batch_b, strict=True):
        if of_b == 1:
            rows *= of_a
        elif of_a == 1:
            columns *= of_b
        else:
            repeat *= of_a
    return Layer.gemm(name, M=rows, N=columns, K=inner, repeat=repeat)


def _transposed(shape: list[int]) -> list[int]:
    return [*shape[:-2], shape[-1], shape[-2]]


def attention(
    name: str, query: Sequence[int], key: Sequence[int], value: Sequence[int]
) -> list[Layer]:
    """The two products of scaled dot-product attention, shapes (..., tokens, width).

    Queries may have more heads than keys and values, which are then shared (grouped queries).

    Raises:
        Unmappable: One of them is empty.
    """
    _nonempty(query, key, value)
    heads = prod(query[:-2])
    scores = Layer.gemm(f"{name}.scores", M=query[-2], N=key[-2], K=query[-1], repeat=heads)
    context = Layer.gemm(f"{name}.context", M=query[-2], N=value[-1], K=key[-2], repeat=heads)
    return [scores, context]


def recurrent(
    name: str, *, gates: int, inputs: int, hidden: int, steps: int, batch: int
) -> list[Layer]:
    """The two products of a recurrent layer: all inputs at once, its own output step by step.

    Raises:
        Unmappable: There are no steps, or no samples.
    """
    _nonempty((steps, batch))
    return [
        Layer.gemm(f"{name}.input", M=batch * steps, N=gates * hidden, K=inputs),
        Layer.gemm(f"{name}.recurrent", M=batch, N=gates * hidden, K=hidden, repeat=steps),
    ]


def convolution(
    name: str,
    *,
    batch: int,
    out_channels: int,
    in_channels: int,
    groups: int,
    output_size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> Layer:
    """The layer of a convolution over one, two or three axes.

    Where filters reach every input once (a filter as large as its stride, as of a patch embedding),
    it is the matrix product of patches and filters. Otherwise, one axis is that of rows, as in a
    matrix product. Of three, the first (depth, time) is taken apart: each output slice is a 2-D
    convolution whose channels are those of all the slices that the filter reaches. Dilation changes
    where inputs lie and not how many are multiplied, so it is not seen here; nor is padding.

    Raises:
        Unmappable: Other numbers of axes, or an empty output.
    """
    _nonempty((batch,), output_size)
    size, taps, steps = list(output_size), list(kernel), list(stride)
    if groups == 1 and taps == steps and prod(taps) > 1 and set(dilation) == {1}:
        inner = in_channels * prod(taps)
        return Layer.gemm(name, M=batch * prod(size), N=out_channels, K=inner)
    if not 1 <= len(size) <= 3:
        macs = batch * out_channels * in_channels // groups * prod(size) * prod(taps)
        raise Unmappable(f"a convolution over {len(size)} axes", macs)
    if len(size) == 1:
        size, taps, steps = [*size, 1], [*taps, 1], [*steps, 1]
        steps[1] = steps[0]
    slices = depth = 1
    if len(size) == 3:
        (slices, *size), (depth, *taps), (_, *steps) = size, taps, steps
    return Layer.of_groups(
        name,
        out_channels,
        in_channels * depth,
        groups,
        output_size=(size[0], size[1]),
        kernel=(taps[0], taps[1]),
        stride=max(steps),
        repeat=batch * slices,
    )


def transposed_convolution(
    name: str,
    *,
    batch: int,
    out_channels: int,
    in_channels: int,
    groups: int,
    input_size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> list[Layer]:
    """The layers of a transposed convolution, without the zeros that its stride puts in.

    Along an axis of stride s the outputs fall into s phases, and each phase is a convolution of the
    input with the filter taps that reach it. Phases with equally many taps are one layer with more
    filters: a filter that the stride divides gives one layer, others up to two an axis. Source:
    Shi et al., "Is the deconvolution layer the same as a convolutional layer?", arXiv:1609.07009.

    Raises:
        Unmappable: As ``convolution``.
    """
    axes = []  # a list of (taps, phases with as many) an axis
    for length, step, spread in zip(kernel, stride, dilation, strict=True):
        phases = Counter(tap * spread % step for tap in range(length))
        axes.append(sorted(Counter(phases.values()).items(), reverse=True))
    layers = []
    for parts in product(*axes):
        several = prod(len(axis) for axis in axes) > 1
        taps = [taps for taps, _ in parts]
        layers.append(
            convolution(
                f"{name}.{'x'.join(map(str, taps))}" if several else name,
                batch=batch,
                out_channels=out_channels * prod(phases for _, phases in parts),
                in_channels=in_channels,
                groups=groups,
                output_size=input_size,
                kernel=taps,
                stride=[1] * len(taps),
                dilation=[1] * len(taps),
            )
        )
    return layers


def einsum(name: str, equation: str, shapes: Sequence[Sequence[int]]) -> Layer | None:
    """The layer of an Einstein sum of two operands; None where nothing is multiplied and added.

    Raises:
        Unmappable: More than two operands, a label repeated within one, or an empty operand.
    """
    _nonempty(*shapes)
    terms, arrow, output = equation.replace(" ", "").partition("->")
    operands = terms.split(",")
    if len(operands) == 1:
        return None
    if len(operands) != 2:
        raise Unmappable("an einsum of more than two operands leaves its order open")
    sizes: dict[str, int] = {}
    labels = []
    for term, shape in zip(operands, shapes, strict=True):
        hidden = len(shape) - len(term.replace("...", ""))
        # Labels of the ellipsis count from the right, as broadcasting does.
        dots = "".join(chr(0x3B1 + axis) for axis in range(hidden - 1, -1, -1))
        term = term.replace("...", dots)
        if len(set(term)) < len(term):
            raise Unmappable("an einsum with a diagonal")
        for label, size in zip(term, shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))
        labels.append({label for label, size in zip(term, shape, strict=True) if size > 1})
    left, right = labels
    every = [label for label in sizes if label >= "\u03b1"]
    if arrow:
        kept = set(output.replace("...", "")) | ({*every} if "..." in output else set())
    else:
        kept = {*every} | {x for x in sizes if terms.count(x) == 1}

    def count(which: set[str]) -> int:
        return prod(sizes[label] for label in which)

    inner, batch = (left & right) - kept, left & right & kept
    rows, columns = (left - right) & kept, (right - left) & kept
    if not inner:
        return None  # an outer or element-wise product
    return Layer.gemm(name, M=count(rows), N=count(columns), K=count(inner), repeat=count(batch))
