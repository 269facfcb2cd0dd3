"""What every configuration of a network answers: tables of all 9^6, made once.

A configuration gives each of the six layers one of ``BITS`` for its weights and one for its input.
Its number counts layers, the first slowest, and in a layer weights slower than activations, bits
ascending: ``bits_of`` and ``index_of`` go to and fro.

The test images are two halves. ``search`` is for choosing configurations, ``held`` for saying how
good what was chosen is: the best of half a million on some images is flattered by those.

Losses are IEEE half-precision numbers: eleven significant bits, which every machine reads alike.
That is fine enough to order configurations with as many wrong answers (a step is 0.05 to 0.1 % of
the loss), and coarse enough to ship. ``python -m benchmarks.quant_tables`` makes the tables.
"""

from __future__ import annotations

import json
import lzma
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from hwgym._arrays import Array, Floats, Ints
from hwgym._names import nearest
from hwgym.core.veil import check_lifted
from hwgym.families.quant.network import DATA, LAYERS, NETWORKS

__all__ = [
    "BITS",
    "CONFIGURATIONS",
    "HALVES",
    "AccuracyTable",
    "bits_of",
    "index_of",
]

BITS = (2, 4, 8)
"""Bits on offer, of weights and of activations."""

CONFIGURATIONS = len(BITS) ** (2 * len(LAYERS))
"""9^6 = 531,441."""

HALVES = ("search", "held")
"""Of the test images; rows of a table."""

_SHAPE = (len(BITS),) * (2 * len(LAYERS))
_ALONG = (-1, -2, -3)
"""Axes along which files hold differences: the last layer's, whose neighbours are most alike."""


def index_of(bits: Any) -> Ints:
    """Numbers of configurations.

    Args:
        bits: (..., 6, 2): of each layer, of its weights and of its input.

    Returns:
        (...), int64.

    Raises:
        ValueError: If the shape is another, or bits are not on offer.
    """
    given = np.asarray(bits)
    if given.shape[-2:] != (len(LAYERS), 2):
        raise ValueError(f"bits must have shape (..., 6, 2), got {given.shape}")
    if not np.isin(given, BITS).all():
        strange = given[~np.isin(given, BITS)].ravel()[0]
        raise ValueError(f"tables have bits {', '.join(map(str, BITS))}, got {strange}")
    digits = np.searchsorted(BITS, given).reshape(*given.shape[:-2], 2 * len(LAYERS))
    found: Ints = digits @ len(BITS) ** np.arange(digits.shape[-1])[::-1]
    return found


def bits_of(index: Any) -> Ints:
    """Bits of configurations.

    Args:
        index: (...), numbers from 0.

    Returns:
        (..., 6, 2), int64.

    Raises:
        ValueError: If a number is not one of a configuration.
    """
    given = np.asarray(index)
    if not np.issubdtype(given.dtype, np.integer) or np.any(
        (given < 0) | (given >= CONFIGURATIONS)
    ):
        raise ValueError(f"configurations have integers from 0 to {CONFIGURATIONS - 1:,}")
    digits = np.stack(np.unravel_index(given, _SHAPE), axis=-1)
    found: Ints = np.array(BITS)[digits].reshape(*given.shape, len(LAYERS), 2)
    return found


@dataclass(frozen=True, eq=False, repr=False)
class AccuracyTable:
    """What all configurations of a network get wrong.

    Attributes:
        network: Its name.
        weights: Fingerprint of the network that it was made with.
        images: How many each of ``HALVES`` has, (2,).
        wrong: Wrong answers, (2, 531441), uint16; read-only.
        loss: Cross-entropy in nats, summed over the images, (2, 531441), float32 with the eleven
            significant bits of a half-precision number; read-only.
    """

    network: str
    weights: str
    images: tuple[int, int]
    wrong: Array
    loss: Array

    def __post_init__(self) -> None:
        for array in (self.wrong, self.loss):
            array.flags.writeable = False

    def __repr__(self) -> str:
        return f"<AccuracyTable {self.network!r}: {self.wrong.shape[1]:,} configurations>"

    @classmethod
    def load(cls, name: str) -> AccuracyTable:
        """Give the table of one of the networks that come along.

        Raises:
            ValueError: If there is none of that name.
            Withheld: While an agent searches.
        """
        check_lifted("what configurations answer")
        return _load(name)

    @cached_property
    def errors(self) -> Floats:
        """(531441,): wrong answers on ``search``; between equals the mean loss L decides, as the
        fraction L / (1 + L)."""
        loss = self.loss[0].astype(np.float64) / self.images[0]
        found: Floats = self.wrong[0] + loss / (1.0 + loss)
        found.flags.writeable = False
        return found

    def accuracy(self, index: Any, half: str = "held") -> Array:
        """Share of right answers.

        Args:
            index: (...), numbers of configurations.
            half: Of the images: ``search`` or ``held``.

        Returns:
            (...), float64.

        Raises:
            ValueError: If there is no such half.
        """
        if half not in HALVES:
            raise ValueError(nearest("half", half, HALVES))
        row = HALVES.index(half)
        found: Array = 1 - self.wrong[row, index] / self.images[row]
        return found

    def packed(self, preset: int = 9 | lzma.PRESET_EXTREME) -> bytes:
        """The table as a file has it, packed as well as lzma's preset says.

        An xz stream: a line of JSON, then wrong answers and losses as 16-bit numbers, little
        end first: differences (modulo 2^16) along some axes of bits, the sign folded into the last
        bit, all low bytes before all high ones.
        """
        about = {"network": self.network, "weights": self.weights, "images": self.images}
        codes = (self.wrong, self.loss.astype(np.float16).view(np.uint16))
        plain = json.dumps(about).encode() + b"\n" + b"".join(map(_folded, codes))
        return lzma.compress(plain, preset=preset)

    @classmethod
    def unpacked(cls, data: bytes) -> AccuracyTable:
        """The table that a file has."""
        line, _, planes = lzma.decompress(data).partition(b"\n")
        about = json.loads(line)
        middle = len(planes) // 2
        return cls(
            about["network"],
            about["weights"],
            tuple(about["images"]),
            _unfolded(planes[:middle]),
            _unfolded(planes[middle:]).view(np.float16).astype(np.float32),
        )


def _folded(codes: Array) -> bytes:
    left = codes.reshape(-1, *_SHAPE).astype(np.uint16)
    for axis in _ALONG:
        left = np.diff(left, axis=axis, prepend=np.uint16(0))
    signed = left.view(np.int16)
    folded = (signed << 1) ^ (signed >> 15)
    return folded.astype("<i2").view(np.uint8).reshape(-1, 2).T.tobytes()


def _unfolded(planes: bytes) -> Array:
    low, high = np.frombuffer(planes, np.uint8).reshape(2, -1).astype(np.uint16)
    folded = low | high << np.uint16(8)
    found: Array = (folded >> np.uint16(1)) ^ -(folded & np.uint16(1))
    for axis in reversed(_ALONG):
        lines = found.reshape(-1, len(BITS), len(BITS) ** (-axis - 1))  # in place, and fast
        for i in range(1, len(BITS)):
            lines[:, i] += lines[:, i - 1]
    return found.reshape(-1, CONFIGURATIONS)


@cache
def _load(name: str) -> AccuracyTable:
    if name not in NETWORKS:
        raise ValueError(nearest("network", name, NETWORKS))
    return AccuracyTable.unpacked(DATA.joinpath(f"{name}_table.xz").read_bytes())
