"""Noise of quantising a network's own weights, measured: how far they are from what they become.

It is a proxy, and no accuracy: what a wrong weight does to the answers nobody measures here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from hwgym._arrays import Array, Floats
from hwgym.families.quant.network import weight_codes
from hwgym.workloads import Layer

__all__ = ["CLIPS", "Measured", "measure", "weight_noise"]

CLIPS = np.arange(1, 21) / 20
"""Of a channel's largest weight: the largest that is not clipped. The best of these is taken."""

_BLOCK = 1 << 16  # weights at a time, which stay in a cache


class Measured(NamedTuple):
    """What was measured of a network.

    Attributes:
        noise: (layers, bits), power of the noise by that of the weights.
        without: Layers that have no weights, whose second matrix counts as uniform: 4^-b.
    """

    noise: Floats
    without: tuple[str, ...]


def measure(
    layers: Iterable[tuple[Layer, Array | None]],
    bits: Sequence[int],
    progress: Callable[[int], None] = lambda done: None,
) -> Measured:
    """Measure layers, one after the other.

    Args:
        layers: As :func:`hwgym.workloads.weights.weights_of` gives them.
        bits: Widths, 2 to 8.
        progress: Told how many layers are done.

    Raises:
        ValueError: If a weight is no finite number.
    """
    rows, without = [], []
    for done, (layer, weights) in enumerate(layers, 1):
        if weights is None:
            without.append(layer.name)
            rows.append(4.0 ** -np.array(bits, np.float64))
        elif not np.isfinite(weights).all():
            raise ValueError(f"{layer.name}: some of its weights are no finite numbers")
        else:
            rows.append(weight_noise(weights, bits))
        progress(done)
    return Measured(np.array(rows), tuple(without))


def weight_noise(weights: Array, bits: Sequence[int]) -> Floats:
    """Noise by signal of weights that are quantised symmetrically, each channel with its own step.

    The step is the one of :data:`CLIPS` with the least squared error, and weights become the
    nearest of ``-(2^(b-1) - 1)`` to ``2^(b-1) - 1`` steps.

    Args:
        weights: (channels, weights of one), float32 and finite.
        bits: Widths b, 2 to 8.

    Returns:
        (bits,): sum of (w - q)^2 by sum of w^2; 0 where all weights are 0.
    """
    noise, signal = np.zeros(len(bits)), 0.0
    count = max(1, _BLOCK // weights.shape[1])
    for start in range(0, len(weights), count):
        rows = weights[start : start + count]
        largest = np.abs(rows).max(axis=1).astype(np.float64)
        rows, largest = rows[largest > 0], largest[largest > 0]
        rows = rows / largest[:, None].astype(np.float32)  # as small as they may be
        power = largest**2
        signal += float(_squares(rows) @ power)
        for i, width in enumerate(bits):
            least = np.full(len(rows), np.inf)
            for clip in CLIPS:
                step = np.full(len(rows), clip / (2 ** (width - 1) - 1), np.float32)
                error = weight_codes(rows, step, width) * step[:, None] - rows
                np.minimum(least, _squares(error), out=least)
            noise[i] += least @ power
    return noise / signal if signal else noise


def _squares(rows: Array) -> Floats:
    """(channels,): sums of squares."""
    found: Floats = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    return found
