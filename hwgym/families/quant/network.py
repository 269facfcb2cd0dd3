"""Small networks whose layers are quantised to any bits, in exact integers.

Six layers of weights: a 3x3 convolution, then twice a depthwise 3x3 of stride 2 and a pointwise
convolution (MobileNet's pair: Howard et al., arXiv 1704.04861), the second pair followed by a fully
connected layer with ten outputs. All 3x3 are padded by 1, all layers but the last end in a ReLU,
and batch norms are folded into weights and biases.

What a layer of ``w`` bits of weights and ``a`` bits of activations does (integer inference after
Jacob et al., CVPR 2018, with symmetric weights and no zero points; activations belong to the layer
that reads them, so those of layer one are the image's):

1. *Codes of activations*: ``q = clip(rint(x / s), 0, 2^a - 1)``, ``s`` the step of this layer's
   input at ``a`` bits, one for the tensor.
2. *Codes of weights*: ``p = clip(rint(w / t), -(2^(w-1) - 1), 2^(w-1) - 1)``, ``t`` the step of the
   output channel at ``w`` bits. 2 bits are -1, 0, 1.
3. *Sums* of the products p * q: integers, exact.
4. *Output*: ``y = sum * (s * t) + b``, after a ReLU what the next layer reads.

Steps 1, 2 and 4 are float32, each operation rounded by itself, in the order written, ``rint`` to
the even one of two. A sum of n products is at most 127 * 255 * n and n is at most 512 here, so it
stays under 2^24, up to which float32 has every integer, whatever the order of adding. So any
implementation on any machine gives the same logits, bit for bit. (Jacob et al. round the output by
an integer multiplier; a float32 one is ours.)

The steps were chosen once and are shipped beside the weights: for each channel and width the one of
a hundred clips, 1 to 100 % of the largest absolute weight, that has the least squared error of the
channel's weights; for each layer and width likewise by the inputs that the unquantised network has
on training images. Nothing was trained after quantising.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from hwgym._arrays import Array
from hwgym._names import nearest
from hwgym.workloads import Layer, Workload

__all__ = [
    "CLASSES",
    "DATA",
    "LAYERS",
    "NETWORKS",
    "WIDTHS",
    "QuantisedNetwork",
    "activation_codes",
    "activation_step",
    "exact",
    "weight_codes",
    "weight_steps",
]

NETWORKS = ("digits", "mnist5k")
"""The networks that come along."""

LAYERS = ("conv1", "depthwise2", "pointwise3", "depthwise4", "pointwise5", "fc6")
"""Names of the six layers."""

CLASSES = 10
"""How many answers there are."""

WIDTHS = (2, 3, 4, 5, 6, 7, 8)
"""Bits that weights and activations may have."""

DATA = files("hwgym.families.quant").joinpath("data")
"""The folder of weights and tables."""

BLOCK = 250
"""Images that are worked on at a time."""

_CLIPS = np.arange(1, 101) / 100


def exact(products: int, weight_bits: int = 8, activation_bits: int = 8) -> bool:
    """Whether float32 has every sum of so many products of codes: each stays under 2^24."""
    return _top(weight_bits) * ((1 << activation_bits) - 1) * products < 1 << 24


def weight_codes(weights: Array, steps: Array, bits: int) -> Array:
    """Quantise weights.

    Args:
        weights: (K, ...), float32.
        steps: Of each output channel, (K,), float32.
        bits: 2 to 8.

    Returns:
        Integers from ``-(2^(bits-1) - 1)`` to ``2^(bits-1) - 1``, as float32, of the same shape.
    """
    top = _top(bits)
    return np.clip(np.rint(weights / _along(steps, weights.ndim)), -top, top)


def activation_codes(values: Array, step: np.float32, bits: int) -> Array:
    """Quantise activations.

    Args:
        values: Any shape, float32.
        step: Of the tensor.
        bits: 2 to 8.

    Returns:
        Integers from 0 to ``2^bits - 1``, as float32, of the same shape.
    """
    codes = values / step
    np.rint(codes, out=codes)
    return np.clip(codes, np.float32(0), np.float32(2**bits - 1), out=codes)


def weight_steps(weights: Array, bits: int) -> Array:
    """Choose the step of each output channel that has the least squared error.

    Args:
        weights: (K, ...), float32.
        bits: 2 to 8.

    Returns:
        (K,), float32; 1 where a channel has no weight but 0.
    """
    steps = np.ones(len(weights), np.float32)
    for channel, row in enumerate(weights.reshape(len(weights), 1, -1)):
        if largest := float(np.abs(row).max()):
            offered = (largest * _CLIPS / _top(bits)).astype(np.float32)
            rows = np.repeat(row, len(offered), axis=0)
            error = weight_codes(rows, offered, bits) * offered[:, None] - rows
            steps[channel] = offered[np.argmin(np.sum(error**2, axis=1, dtype=float))]
    return steps


def activation_step(values: Array, bits: int) -> np.float32:
    """Choose the step of a tensor that has the least squared error.

    Args:
        values: Any shape, float32, none negative.
        bits: 2 to 8.

    Returns:
        The step; 1 where all values are 0.
    """
    some = values[values > 0]  # what is 0 stays 0
    if not some.size:
        return np.float32(1)
    offered = (float(some.max()) * _CLIPS / (2**bits - 1)).astype(np.float32)
    errors = [
        np.sum((activation_codes(some, step, bits) * step - some) ** 2, dtype=float)
        for step in offered
    ]
    return np.float32(offered[np.argmin(errors)])


@dataclass(frozen=True, eq=False, repr=False)
class QuantisedNetwork:
    """A trained network whose every layer has bits of its own.

    Inside, activations lie as (channels, rows, columns, images) and weights have a first axis of
    variants, so that one pass over an input serves several widths.

    Attributes:
        name: One of ``NETWORKS``, or one's own.
        size: Rows and columns of an image.
        weights: Of each layer, float32: (K, 1, 3, 3) of layer one and of the depthwise ones,
            (K, C) of the pointwise and the fully connected ones; the latter's C counts channels,
            rows, columns, the last fastest.
        biases: Of each layer, (K,), float32.
        weight_steps: Of each layer, a row a width of ``WIDTHS``: (7, K), float32.
        activation_steps: Of each layer's input, a column a width: (6, 7), float32. The clip is
            the step times ``2^bits - 1``.

    Raises:
        ValueError: If there are not six layers, or one has so many inputs that sums of products
            at 8 bits could be inexact.
    """

    name: str
    size: tuple[int, int]
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    weight_steps: tuple[Array, ...]
    activation_steps: Array

    def __post_init__(self) -> None:
        if len(self.weights) != len(LAYERS):
            raise ValueError(f"{self.name}: six layers are needed, got {len(self.weights)}")
        for layer, weights in zip(LAYERS, self.weights, strict=True):
            if not exact(products := weights[0].size):
                raise ValueError(
                    f"{self.name}: {layer} sums {products} products; at 8 bits only "
                    f"{(2**24 - 1) // (127 * 255)} are exact in float32"
                )
        for array in (*self.weights, *self.biases, *self.weight_steps, self.activation_steps):
            array.flags.writeable = False

    def __repr__(self) -> str:
        return f"<QuantisedNetwork {self.name!r}: {self.workload.weights:,} weights>"

    @classmethod
    def load(cls, name: str) -> QuantisedNetwork:
        """Give one of the networks that come along.

        Raises:
            ValueError: If there is none of that name.
        """
        return _load(name)

    @classmethod
    def of(
        cls, name: str, weights: Sequence[Array], biases: Sequence[Array], images: Array
    ) -> QuantisedNetwork:
        """Choose the steps of an unquantised network.

        Args:
            name: Of the network.
            weights, biases: As the class has them.
            images: That it was trained on: (N, rows, columns), float32, none negative.
        """
        shape = (len(LAYERS), len(WIDTHS))
        network = cls(
            name,
            images.shape[1:],
            tuple(weights),
            tuple(biases),
            tuple(np.stack([weight_steps(each, bits) for bits in WIDTHS]) for each in weights),
            np.ones(shape, np.float32),
        )
        steps, values = np.ones(shape, np.float32), network.inputs(images)
        for layer in range(len(LAYERS)):
            steps[layer] = [activation_step(values, bits) for bits in WIDTHS]
            values = network.outputs(
                layer, network.sums(layer, values, weights[layer][None]), np.ones((1, 1))
            )[0]
        return cls(name, network.size, network.weights, network.biases, network.weight_steps, steps)

    def arrays(self) -> dict[str, Array]:
        """All there is, by name, as the .npz has it."""
        found = {"size": np.array(self.size, np.int64), "activation_steps": self.activation_steps}
        for i, layer in enumerate(LAYERS):
            found[f"{layer}_weights"] = self.weights[i]
            found[f"{layer}_biases"] = self.biases[i]
            found[f"{layer}_steps"] = self.weight_steps[i]
        return found

    @cached_property
    def fingerprint(self) -> str:
        """A digest of all arrays; tables name the one that they were made with."""
        digest = hashlib.sha256()
        for name, array in sorted(self.arrays().items()):
            digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def workload(self) -> Workload:
        """The six layers, for cost models; the fully connected one is a product for one image."""
        channels, rows, columns = 1, *self.size
        layers = []
        for i, (name, weights) in enumerate(zip(LAYERS, self.weights, strict=True)):
            if i == len(LAYERS) - 1:
                layers.append(Layer.gemm(name, M=1, N=len(weights), K=weights.shape[1]))
                break
            depthwise = i in (1, 3)
            layer = Layer.conv(
                name,
                in_channels=channels,
                out_channels=len(weights),
                input_size=(rows, columns),
                kernel=3 if weights.ndim == 4 else 1,
                stride=2 if depthwise else 1,
                padding=1 if weights.ndim == 4 else 0,
                groups=channels if depthwise else 1,
            )
            channels, rows, columns = len(weights), layer.OY, layer.OX
            layers.append(layer)
        return Workload(f"HWQuant-{self.name}", tuple(layers))

    def logits(self, images: Array, bits: Any) -> Array:
        """Answer images, quantised.

        Args:
            images: (N, rows, columns), from 0 (background) to 1.
            bits: (6, 2) integers from 2 to 8: of each layer, of its weights and of its input.

        Returns:
            (N, 10), float32, the same on every machine; the answer is the first of the largest.

        Raises:
            ValueError: If the images or the bits are none such.
        """
        widths = self._widths(bits)
        codes = [self.codes_of(layer, [w]) for layer, (w, _) in enumerate(widths)]

        def through(values: Array) -> Array:
            for layer, (w, a) in enumerate(widths):
                read = activation_codes(values, self.step(layer, a), a)
                values = self.outputs(
                    layer, self.sums(layer, read, codes[layer]), self.scales(layer, [w], a)
                )[0]
            return values

        return self._blocks(through, images)

    def float_logits(self, images: Array) -> Array:
        """Answer images, unquantised; as accurate as float32 sums are on this machine.

        Args:
            images: As for :meth:`logits`.

        Returns:
            (N, 10), float32.

        Raises:
            ValueError: If the images are of another shape.
        """

        def through(values: Array) -> Array:
            for layer, weights in enumerate(self.weights):
                sums = self.sums(layer, values, weights[None])
                values = self.outputs(layer, sums, np.ones((1, 1)))[0]
            return values

        return self._blocks(through, images)

    def inputs(self, images: Array) -> Array:
        """Images as layer one reads them: (1, rows, columns, N), float32."""
        return np.ascontiguousarray(np.moveaxis(images, 0, -1)[None], np.float32)

    def step(self, layer: int, bits: int) -> np.float32:
        """The step of a layer's input."""
        return np.float32(self.activation_steps[layer, WIDTHS.index(bits)])

    def codes_of(self, layer: int, bits: Sequence[int]) -> Array:
        """Codes of a layer's weights at several widths: (widths, K, ...), float32."""
        weights, steps = self.weights[layer], self.weight_steps[layer]
        return np.stack([weight_codes(weights, steps[WIDTHS.index(w)], w) for w in bits])

    def scales(self, layer: int, weight_bits: Sequence[int], activation_bits: int) -> Array:
        """What a layer's sums are multiplied by: (widths, K), float32."""
        rows = [WIDTHS.index(w) for w in weight_bits]
        found: Array = self.weight_steps[layer][rows] * self.step(layer, activation_bits)
        return found

    def sums(self, layer: int, values: Array, weights: Array) -> Array:
        """Sums of products of a layer.

        Args:
            layer: From 0.
            values: What it reads, codes or not: (C, rows, columns, N), float32.
            weights: Variants of its weights, codes or not: (V, K, ...), float32.

        Returns:
            (V, K, rows, columns, N), float32; of the last layer (V, K, 1, 1, N).
        """
        variants, channels = weights.shape[:2]
        if layer in (1, 3):
            return np.stack([_depthwise(values, each[:, 0]) for each in weights])
        rows, columns, count = values.shape[1:]
        if layer == 0:
            padded = np.pad(values[0], ((1, 1), (1, 1), (0, 0)))
            values = np.moveaxis(sliding_window_view(padded, (3, 3), axis=(0, 1)), (3, 4), (0, 1))
        elif layer == len(LAYERS) - 1:
            rows, columns = 1, 1
        flat = weights.reshape(variants * channels, -1)
        read = values.reshape(flat.shape[1], rows * columns * count)
        return (flat @ read).reshape(variants, channels, rows, columns, count)

    def outputs(self, layer: int, sums: Array, scales: Array) -> Array:
        """What comes of a layer's sums.

        Args:
            layer: From 0.
            sums: (V, K, rows, columns, N), float32; overwritten.
            scales: (V, K) or what broadcasts to it.

        Returns:
            (V, K, rows, columns, N), float32; of the last layer the logits, (V, K, N).
        """
        sums *= scales[:, :, None, None, None].astype(np.float32)
        sums += self.biases[layer][:, None, None, None]
        if layer == len(LAYERS) - 1:
            return sums[:, :, 0, 0]
        return np.clip(sums, np.float32(0), np.float32(np.inf), out=sums)

    def _blocks(self, through: Any, images: Array) -> Array:
        images = np.asarray(images)
        if images.ndim != 3 or images.shape[1:] != self.size:
            raise ValueError(
                f"{self.name} reads images of shape (N, {self.size[0]}, {self.size[1]}), "
                f"got {images.shape}"
            )
        answers = np.empty((len(images), CLASSES), np.float32)
        for start in range(0, len(images), BLOCK):
            block = images[start : start + BLOCK]
            answers[start : start + BLOCK] = through(self.inputs(block)).T
        return answers

    def _widths(self, bits: Any) -> list[tuple[int, int]]:
        given = np.asarray(bits)
        if given.shape != (len(LAYERS), 2) or not np.issubdtype(given.dtype, np.integer):
            raise ValueError(
                f"bits must be integers of shape (6, 2), weights and activations of each layer, "
                f"got {given.dtype} of shape {given.shape}"
            )
        for layer, row in zip(LAYERS, given, strict=True):
            for of, value in zip(("weights", "activations"), row, strict=True):
                if value not in WIDTHS:
                    raise ValueError(f"{layer}: bits of {of} must be 2 to 8, got {value}")
        return [(int(w), int(a)) for w, a in given]


def _top(bits: int) -> int:
    return (1 << bits - 1) - 1


def _along(steps: Array, axes: int) -> Array:
    return steps.reshape(-1, *(1,) * (axes - 1))


def _depthwise(values: Array, weights: Array) -> Array:
    """3x3, stride 2, padded by 1: (C, rows, columns, N) by (C, 3, 3)."""
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows, columns = ((size + 1) // 2 for size in values.shape[1:3])
    sums = np.zeros((len(values), rows, columns, values.shape[3]), np.float32)
    for r in range(3):
        for s in range(3):
            read = padded[:, r : r + 2 * rows - 1 : 2, s : s + 2 * columns - 1 : 2]
            sums += read * weights[:, r, s, None, None, None]
    return sums


@cache
def _load(name: str) -> QuantisedNetwork:
    if name not in NETWORKS:
        raise ValueError(nearest("network", name, NETWORKS))
    with DATA.joinpath(f"{name}.npz").open("rb") as stream, np.load(stream) as file:
        found = dict(file)
    return QuantisedNetwork(
        name,
        (int(found["size"][0]), int(found["size"][1])),
        tuple(found[f"{layer}_weights"] for layer in LAYERS),
        tuple(found[f"{layer}_biases"] for layer in LAYERS),
        tuple(found[f"{layer}_steps"] for layer in LAYERS),
        found["activation_steps"],
    )
