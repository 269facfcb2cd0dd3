"""Grammars: networks made of stages, as real ones are.

A network has a *chain* of resolutions (each half of the one before) and a *class* of widths. Chains
are told by their odd part (8, 16, 32, 64, 128 are 1 times powers of two), classes by what is left
of a width without its factors 2 and 3 (40, 120 and 960 are of class 5). Every layer has one of the
chain's resolutions and a number of filters (channels, where depthwise) of the class, so layers of
another chain or class are other layers: that keeps the layers of splits apart. Each split has all
chains and all classes between them, but no class at a chain where another split has it.

A cell, a chain with a class, has *ladders*, each with a menu for each kind of network: what its
stages can be. The widths of a ladder's stages follow one upon the other, so a network keeps to one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from hwgym.workloads import Layer
from hwgym.workloads.convnets import ConvNet

__all__ = ["DEPTHS", "KINDS", "LEVELS", "SPLIT_CELLS", "Cell", "Stage", "stages"]

KINDS = ("plain", "bottleneck", "inverted", "dense", "grouped", "transformer")
LEVELS = 4
"""Stages of a network, each at half the resolution of the one before; a transformer has one."""

DEPTHS = {
    "plain": ((1, 6), (7, 12)),
    "bottleneck": ((1, 4), (5, 9)),
    "inverted": ((1, 4), (5, 9)),
    "dense": ((2, 6), (8, 13)),
    "grouped": ((1, 4), (5, 9)),
    "transformer": ((2, 7), (8, 13)),
}
"""Blocks of a stage, least and most: of usual networks, and of deep ones."""

_SMALLEST = {1: 8, 3: 6, 5: 5, 9: 9, 11: 11}
"""The resolution of the last stage, by chain. The published networks' chain is 7."""


class Cell(NamedTuple):
    """A chain of resolutions and a class of widths, each by its odd part."""

    chain: int
    width: int


_CHAINS, _WIDTHS = (1, 3, 5, 9), (1, 5, 7, 11)


def _cells(*which: int) -> tuple[Cell, ...]:
    """Those on some diagonals of the square of chains and classes."""
    size = len(_WIDTHS)
    return tuple(
        Cell(chain, width)
        for i, chain in enumerate(_CHAINS)
        for j, width in enumerate(_WIDTHS)
        if (i + j) % size in which
    )


SPLIT_CELLS = {
    "train": _cells(2, 3),
    "val": _cells(1),
    "test": _cells(0),
    "ood": (Cell(11, 1), Cell(11, 5), Cell(11, 7), Cell(11, 13)),
}
"""The cells of each split."""


class _Ladder(NamedTuple):
    """What sets a cell's ladders apart, beside the widths that are drawn.

    Attributes:
        growth: About that of a dense network.
        expansions: Of inverted residuals.
        head: About the width of a transformer's head.
        transformers: Tokens, as multiples of the smallest resolution, and about the width.
    """

    growth: int
    expansions: tuple[int, int]
    head: int
    transformers: tuple[tuple[int, int], ...]


_LADDERS = (
    _Ladder(24, (3, 6), 64, ((8, 256), (16, 384), (32, 512))),
    _Ladder(12, (2, 4), 32, ((4, 192), (16, 256), (32, 320))),
    _Ladder(40, (3, 4), 96, ((8, 512), (16, 768), (32, 1024))),
    _Ladder(32, (4, 6), 48, ((4, 384), (16, 512), (64, 640))),
    _Ladder(16, (2, 6), 128, ((8, 384), (32, 768), (64, 256))),
)


class Stage(NamedTuple):
    """What a network can have at a level.

    Attributes:
        kind: Of the network.
        level: Where; 0 is the stem, 1 to :data:`LEVELS` the stages, then the head.
        name: What sets it apart from others at its place.
        layers: At its deepest.
        lengths: Layers at each depth, from 0 blocks on.
    """

    kind: str
    level: int
    name: str
    layers: tuple[Layer, ...]
    lengths: tuple[int, ...]


def _near(target: float, width: int) -> int:
    """The multiple of 4 of a class that is nearest, as a ratio."""
    numbers: list[int] = [width * 2**a * 3**b for a in range(2, 13) for b in (0, 1)]
    return min(numbers, key=lambda n: float(abs(np.log(n / target))))


class _Writer:
    """Writes the stages of a cell's ladder."""

    def __init__(self, cell: Cell, ladder: int, deep: bool) -> None:
        self.cell, self.deep = cell, deep
        self.smallest = _SMALLEST[cell.chain]
        # What sizes a ladder's networks have: drawn once and for all.
        self.rng = np.random.default_rng([20_210_109, *cell, ladder])
        self.ladder = _LADDERS[ladder]

    def sizes(self, level: int) -> int:
        return int(self.smallest * 2 ** (LEVELS - level))

    def widths(self, first: float, factor: float = 2.0, spread: float = 1.5) -> list[int]:
        """Of the stages, about ``first``, each ``factor`` times the one before."""
        scale = spread ** self.rng.uniform(-1, 1)
        targets = first * scale * factor ** np.arange(LEVELS)
        return [_near(target, self.cell.width) for target in targets]

    def stage(
        self, kind: str, level: int, name: str, net: ConvNet, block: Callable[[int], None]
    ) -> Stage:
        """Write a stage block by block; ``block(0)`` writes what comes before the first."""
        lengths = []
        for depth in range(DEPTHS[kind][self.deep][1] + 1):
            block(depth)
            lengths.append(len(net.convs))
        return Stage(kind, level, name, tuple(conv.layer() for conv in net.convs), tuple(lengths))

    def single(self, kind: str, level: int, name: str, layer: Layer) -> Stage:
        """A stage of one layer."""
        return Stage(kind, level, name, (layer,), (1,) * (DEPTHS[kind][self.deep][1] + 1))

    def stem(self, kind: str, channels: int, kernel: int) -> Stage:
        net = ConvNet(3, 2 * self.sizes(0))
        net.conv("stem", channels, kernel, stride=2)
        return self.single(kind, 0, "stem", net.convs[0].layer())

    def plain(self) -> Iterator[Stage]:
        widths = self.widths(64)
        stem = _near(widths[0], self.cell.width)
        yield self.stem("plain", stem, 7)
        for level, width in enumerate(widths, start=1):
            before, size = (stem if level == 1 else widths[level - 2]), self.sizes(level)
            net = ConvNet(before, size * (1 if level == 1 else 2))

            def block(
                depth: int, net: ConvNet = net, width: int = width, level: int = level
            ) -> None:
                if not depth:
                    return
                channels, size = net.channels, net.size
                stride = 2 if depth == 1 and level > 1 else 1
                name = f"stage{level}.{depth - 1}"
                net.conv(f"{name}.conv1", width, 3, stride)
                net.conv(f"{name}.conv2", width, 3)
                if depth == 1:
                    net.channels, net.size = channels, size
                    net.conv(f"{name}.downsample", width, 1, stride)

            yield self.stage("plain", level, "3x3", net, block)

    def _bottlenecks(self, kind: str, inner: list[int], groups: Sequence[int]) -> Iterator[Stage]:
        stem = _near(inner[0], self.cell.width)
        yield self.stem(kind, stem, 7)
        for level, width in enumerate(inner, start=1):
            for each in groups:
                outer = 4 * width // (2 if kind == "grouped" else 1)
                before = stem
                if level > 1:
                    before = 4 * inner[level - 2] // (2 if kind == "grouped" else 1)
                net = ConvNet(before, self.sizes(level) * (1 if level == 1 else 2))

                def block(
                    depth: int,
                    net: ConvNet = net,
                    width: int = width,
                    outer: int = outer,
                    level: int = level,
                    each: int = each,
                ) -> None:
                    if not depth:
                        return
                    channels, size = net.channels, net.size
                    stride = 2 if depth == 1 and level > 1 else 1
                    name = f"stage{level}.{depth - 1}"
                    net.conv(f"{name}.conv1", width, 1)
                    net.conv(f"{name}.conv2", width, 3, stride, groups=each)
                    net.conv(f"{name}.conv3", outer, 1)
                    if depth == 1:
                        net.channels, net.size = channels, size
                        net.conv(f"{name}.downsample", outer, 1, stride)

                yield self.stage(kind, level, f"{each} groups", net, block)

    def bottleneck(self) -> Iterator[Stage]:
        yield from self._bottlenecks("bottleneck", self.widths(56), (1,))

    def grouped(self) -> Iterator[Stage]:
        inner = [_near(w, self.cell.width) for w in self.widths(128)]
        yield from self._bottlenecks("grouped", inner, (2, 4))

    def inverted(self) -> Iterator[Stage]:
        widths = self.widths(28, 1.9)
        stem = _near(20, self.cell.width)
        yield self.stem("inverted", stem, 3)
        for level, width in enumerate(widths, start=1):
            for kernel, expansion in product((3, 5), self.ladder.expansions):
                net = ConvNet(stem if level == 1 else widths[level - 2], self.sizes(level) * 2)

                def block(
                    depth: int,
                    net: ConvNet = net,
                    width: int = width,
                    level: int = level,
                    expansion: int = expansion,
                    kernel: int = kernel,
                ) -> None:
                    if not depth:
                        return
                    name = f"stage{level}.{depth - 1}"
                    net.conv(f"{name}.expand", expansion * net.channels, 1)
                    net.depthwise(f"{name}.depthwise", kernel, 2 if depth == 1 else 1)
                    net.conv(f"{name}.project", width, 1)

                yield self.stage("inverted", level, f"x{expansion} {kernel}x{kernel}", net, block)
        head = ConvNet(widths[-1], self.sizes(LEVELS))
        head.conv("head", 4 * widths[-1], 1)
        yield self.single("inverted", LEVELS + 1, "head", head.convs[0].layer())

    def dense(self) -> Iterator[Stage]:
        widths = self.widths(112, 1.8, 1.3)
        growth = _near(self.ladder.growth, self.cell.width)
        yield self.stem("dense", widths[0], 7)
        for level, width in enumerate(widths, start=1):
            # A transition makes the number of channels a width of the class again.
            net = ConvNet(
                widths[0] if level == 1 else widths[level - 2],
                self.sizes(level) * (1 if level == 1 else 2),
            )

            def block(
                depth: int, net: ConvNet = net, width: int = width, level: int = level
            ) -> None:
                if not depth:
                    net.conv(f"stage{level}.transition", width, 1)
                    net.size = self.sizes(level)
                    return
                channels, name = net.channels, f"stage{level}.{depth - 1}"
                net.conv(f"{name}.conv1", 4 * growth, 1)
                net.conv(f"{name}.conv2", growth, 3)
                net.channels = channels + growth

            yield self.stage("dense", level, f"growth {growth}", net, block)

    def transformer(self) -> Iterator[Stage]:
        for tokens, target in self.ladder.transformers:
            sequence = self.smallest * tokens
            head = _near(self.ladder.head, self.cell.width)
            heads = max(round(target / head), 2)
            heads = min((2, 4, 8, 16), key=lambda n: abs(n - heads))  # the width is of the class
            width = heads * head
            layers = [Layer.gemm("patches", M=sequence, N=width, K=3 * 16 * 16)]
            lengths = [1]
            for index in range(DEPTHS["transformer"][self.deep][1]):
                name = f"block{index + 1}"
                for what, n, k, repeat in (
                    ("query", width, width, 1),
                    ("key", width, width, 1),
                    ("value", width, width, 1),
                    ("scores", sequence, head, heads),
                    ("context", head, sequence, heads),
                    ("output", width, width, 1),
                    ("mlp1", 4 * width, width, 1),
                    ("mlp2", width, 4 * width, 1),
                ):
                    layers.append(Layer.gemm(f"{name}.{what}", sequence, n, k, repeat))
                lengths.append(len(layers))
            name = f"{sequence} tokens"
            yield Stage("transformer", 1, name, tuple(layers), tuple(lengths))


def stages(cell: Cell, ladder: int = 0, *, deep: bool = False) -> list[Stage]:
    """What the networks of a cell's ladder can be made of."""
    writer = _Writer(cell, ladder, deep)
    return [stage for kind in KINDS for stage in getattr(writer, kind)()]
