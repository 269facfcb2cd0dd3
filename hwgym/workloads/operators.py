"""How operators of other frameworks become layers.

- A convolution is its ``Layer`` by output size, so strides, dilation and padding leave its MACs
  exact; groups are one group's layer, repeated. Over one axis it has one column; over three, output
  slices are run one after the other, and what neighbours share is read again. Filters that do not
  overlap (a patch embedding) are a matrix product. A transposed convolution is the convolutions of
  its phases, each with an output for every input element, so that padding stands in for inputs
  beyond the border.
- A matrix product has the weights as its second matrix. Heads are repeats, and so are the steps of
  a recurrent layer's own product; that with its input is one for all steps.
- A batch gives matrix products with weights more rows. Everything else runs its samples one after
  the other, as repeats.
- How a mixture of experts spreads its rows is known only when it runs: they are split evenly, and a
  note says so. What all experts multiply together is exact.
- MACs are those of an operator's definition: zeros of the padding count, a causal mask saves none.
- What works element by element, pools, normalises or moves data has no layer. What computes, or
  may, and has no exact layer is listed as skipped.
"""

from __future__ import annotations

import string
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import gcd, prod

from hwgym.workloads.layer import Layer

__all__ = [
    "Found",
    "SkippedLayersWarning",
    "SkippedOperator",
    "Unmappable",
    "attention",
    "bounded",
    "convolution",
    "einsum",
    "experts",
    "finish",
    "grouped",
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
    """What a reader found in a network: name, layers, what has none, learnt numbers, and what was
    taken for granted, a name and a text for each operator."""

    name: str
    layers: tuple[Layer, ...]
    skipped: tuple[SkippedOperator, ...]
    parameters: int
    notes: tuple[tuple[str, str], ...] = ()


def grouped(skipped: Iterable[SkippedOperator]) -> list[str]:
    """Say what was skipped, operators of one kind and reason in one line."""
    alike: dict[tuple[str, str], list[SkippedOperator]] = {}
    for each in skipped:
        alike.setdefault((each.operator, each.reason), []).append(each)
    lines = []
    for (operator, reason), several in alike.items():
        if len(several) == 1:
            lines.append(str(several[0]))
            continue
        known = [each.macs for each in several if each.macs is not None]
        least = "" if len(known) == len(several) else "at least "
        macs = f"{least}{sum(known):,} in all" if known else "unknown"
        lines.append(f"{_and_more(several[0].name, several)} ({operator}): {reason}; MACs {macs}")
    return lines


def grouped_notes(notes: Iterable[tuple[str, str]]) -> list[str]:
    """Say what was taken for granted, equal texts in one line."""
    alike: dict[str, list[str]] = {}
    for name, text in notes:
        alike.setdefault(text, []).append(name)
    return [f"{_and_more(names[0], names)}: {text}" for text, names in alike.items()]


def _and_more(first: str, several: Sequence[object]) -> str:
    return f"{first} and {len(several) - 1} more" if len(several) > 1 else first


def warn_of(name: str, skipped: Sequence[SkippedOperator], *, stacklevel: int) -> None:
    """Warn, as :func:`warnings.warn` would from here, if anything was skipped."""
    if skipped:
        lines = grouped(skipped)
        few = "; ".join(lines[:3])
        more = f"; and {len(lines) - 3} more kinds" if len(lines) > 3 else ""
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


LARGEST = 2**63 - 1
"""No size, and no layer's number of multiply-accumulates, may be larger: costs are int64."""


def bounded(layers: Sequence[Layer]) -> Sequence[Layer]:
    """Hand back an operator's layers.

    Raises:
        Unmappable: One of them multiplies more than any cost could count.
    """
    if any(layer.macs > LARGEST for layer in layers):
        macs = sum(layer.macs for layer in layers)
        raise Unmappable("more multiply-accumulates than 2^63 - 1", macs)
    return layers


def finish(
    name: str,
    layers: Iterable[Layer],
    skipped: Iterable[SkippedOperator],
    parameters: int,
    notes: Iterable[tuple[str, str]] = (),
) -> Found:
    """Put together what was found.

    Raises:
        ValueError: If nothing could be mapped.
    """
    layers, skipped = tuple(_numbered(layers)), tuple(skipped)
    if not layers:
        detail = f"; not mapped: {'; '.join(grouped(skipped))}" if skipped else ""
        raise ValueError(f"{name}: no convolution and no matrix product to map{detail}")
    return Found(name, layers, skipped, parameters, tuple(notes))


def _numbered(layers: Iterable[Layer]) -> Iterator[Layer]:
    """Tell layers of one name apart: a module that is called again has its name again."""
    seen: Counter[str] = Counter()
    for layer in layers:
        seen[layer.name] += 1
        times = seen[layer.name]
        yield layer if times == 1 else replace(layer, name=f"{layer.name}#{times}")


def _nonempty(*shapes: Sequence[int]) -> None:
    for shape in shapes:
        if any(size < 0 for size in shape):
            raise Unmappable(f"a tensor of shape {tuple(shape)}")
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
        Unmappable: The inner dimensions differ or those of the batch do not broadcast, so the model
            is wrong; or an operand is empty, or a scalar.
    """
    if not left or not right:
        raise Unmappable("a matrix product with a scalar")
    _nonempty(left, right)
    a, b = list(left), list(right)
    a = [1, *a] if len(a) == 1 else a
    b = [*b, 1] if len(b) == 1 else b
    if weight_left:
        a, b = _transposed(b), _transposed(a)
    rows, inner, columns, repeat = a[-2], a[-1], b[-1], 1
    depth = max(len(a), len(b)) - 2
    batch_a = [1] * (depth - len(a) + 2) + a[:-2]
    batch_b = [1] * (depth - len(b) + 2) + b[:-2]
    batches = list(zip(batch_a, batch_b, strict=True))
    if inner != b[-2] or any(of_a != of_b and 1 not in (of_a, of_b) for of_a, of_b in batches):
        raise Unmappable(f"shapes {tuple(left)} and {tuple(right)} do not multiply")
    for of_a, of_b in batches:
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
        Unmappable: One of them is empty, or they do not fit.
    """
    _nonempty(query, key, value)
    if query[-1] != key[-1] or key[-2] != value[-2]:
        shapes = ", ".join(str(tuple(each)) for each in (query, key, value))
        raise Unmappable(f"queries, keys and values of shapes {shapes} do not fit")
    heads = prod(query[:-2])
    scores = Layer.gemm(f"{name}.scores", M=query[-2], N=key[-2], K=query[-1], repeat=heads)
    context = Layer.gemm(f"{name}.context", M=query[-2], N=value[-1], K=key[-2], repeat=heads)
    return [scores, context]


def experts(rows: int, count: int, *, inputs: int, outputs: int) -> list[Layer]:
    """The products of experts, each with a matrix of its own, among which rows are split evenly.

    Where their number does not divide the rows, some get one more, and these are a layer of their
    own. Layers are named by the rows that an expert gets; there is one at least.

    Raises:
        Unmappable: There are no rows, or no experts.
    """
    _nonempty((rows, count, inputs, outputs))
    each, more = divmod(rows, count)
    return [
        Layer.gemm(f"{size}rows", M=size, N=outputs, K=inputs, repeat=several)
        for size, several in ((each + 1, more), (each, count - more))
        if size and several
    ]


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
    convolution whose channels are those of all the slices that the filter reaches.

    Raises:
        Unmappable: Other numbers of axes, or an empty output.
    """
    _nonempty((batch,), output_size)
    size, taps, steps, gaps = map(list, (output_size, kernel, stride, dilation))
    if groups == 1 and taps == steps and prod(taps) > 1 and set(gaps) == {1}:
        inner = in_channels * prod(taps)
        return Layer.gemm(name, M=batch * prod(size), N=out_channels, K=inner)
    if not 1 <= len(size) <= 3:
        macs = batch * out_channels * in_channels // groups * prod(size) * prod(taps)
        raise Unmappable(f"a convolution over {len(size)} axes", macs)
    if len(size) == 1:
        size, taps, steps, gaps = [*size, 1], [*taps, 1], [*steps, 1], [*gaps, 1]
    slices = depth = 1
    if len(size) == 3:
        (slices, *size), (depth, *taps), (_, *steps), (_, *gaps) = size, taps, steps, gaps
    return Layer.of_groups(
        name,
        out_channels,
        in_channels * depth,
        groups,
        output_size=(size[0], size[1]),
        kernel=(taps[0], taps[1]),
        stride=(steps[0], steps[1]),
        dilation=(gaps[0], gaps[1]),
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
    input with the filter taps that reach it, dilated by dilation / gcd(dilation, s). Phases with
    equally many taps are one layer with more filters: a filter that the stride divides gives one
    layer, others up to two an axis. Source: Shi et al., "Is the deconvolution layer the same as a
    convolutional layer?", arXiv:1609.07009.

    Raises:
        Unmappable: As ``convolution``.
    """
    axes = []  # a list of (taps, phases with as many) an axis
    gaps = []  # input elements from one tap of a phase to the next
    for length, step, spread in zip(kernel, stride, dilation, strict=True):
        # Taps go round the phases that dilation lets them reach; a rest of them goes on once more.
        reached = step // gcd(spread, step)
        gaps.append(spread // gcd(spread, step))
        full, rest = divmod(length, reached)
        phases = ((full + 1, rest), (full, reached - rest))
        axes.append([(taps, several) for taps, several in phases if taps and several])
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
                dilation=gaps,
            )
        )
    return layers


def einsum(name: str, equation: str, shapes: Sequence[Sequence[int]]) -> Layer | None:
    """The layer of an Einstein sum of two operands; None where nothing is multiplied and added.

    Raises:
        Unmappable: More than two operands, a label repeated within one, an empty operand, or an
            equation that is none or does not fit the shapes.
    """
    _nonempty(*shapes)
    terms, arrow, output = equation.replace(" ", "").partition("->")
    operands = terms.split(",")
    fits = len(operands) == len(shapes) and set(terms + output) <= {*string.ascii_letters, *",."}
    for term, shape in zip(operands, shapes, strict=False):
        hidden = len(shape) - len(term.replace("...", "", 1))
        fits = fits and "." not in term.replace("...", "", 1) and hidden >= 0
        fits = fits and (hidden == 0 or "..." in term)
    if not fits or not set(output) <= {*terms}:
        given = ", ".join(str(tuple(shape)) for shape in shapes)
        raise Unmappable(f"the equation {equation!r} does not fit operands of shapes {given}")
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
            if 1 not in (size, sizes.get(label, 1)) and size != sizes[label]:
                raise Unmappable(f"{label!r} has the sizes {sizes[label]} and {size}")
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
