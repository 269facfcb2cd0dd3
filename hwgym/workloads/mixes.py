"""Mixes: several networks at once, some of them more than once.

``Mix`` is what runs: its ``instances`` are chains of layers, each network's in order. ``draw_jobs``
makes of a mix a group of layers that wait for nobody.

Sources: Kwon, Lai, Pellauer, Krishna, Chen, Chandra, "Heterogeneous Dataflow Accelerators for
Multi-DNN Workloads" (Herald), HPCA 2021, arXiv:1909.07437; Yang, Yan, Li, Kwon, Lai, Krishna,
Chandra, Jiang, Shi, "Co-Exploration of Neural Architectures and Heterogeneous ASIC Accelerator
Designs Targeting Multiple Tasks" (NASAIC), DAC 2020, arXiv:2002.04116; Kao, Krishna, "MAGMA: An
Optimization Framework for Mapping Multiple DNNs on Multiple Accelerator Cores", HPCA 2022,
arXiv:2104.13997. Their networks are not all in the zoo: a mix says which stand in and which are
missing, so that no published number is that of a mix here. Nor were the counts held against the
papers' tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral
from types import MappingProxyType

import numpy as np

from hwgym._names import nearest
from hwgym.workloads.load import load_workload
from hwgym.workloads.network import Workload

__all__ = ["MIXES", "Mix", "draw_jobs", "mix"]


@dataclass(frozen=True)
class Mix:
    """Networks, and how often each of them runs.

    Attributes:
        name: What to call it.
        networks: (network, count) pairs: whatever ``load_workload`` takes, the name of one or a
            file, say. No network twice.
        about: Where it is from, in a line.
        stand_ins: The published network in whose place one of these runs, by the latter's name.
        missing: Published networks for which none stands in.

    Raises:
        ValueError: If the name is empty, there are no networks, one is there twice, or a count is
            not a positive integer.
    """

    name: str
    networks: tuple[tuple[str | Workload, int], ...]
    about: str = field(default="", compare=False)
    stand_ins: Mapping[str, str] = field(default_factory=dict, compare=False, hash=False)
    missing: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"mix name must be a non-empty string, got {self.name!r}")
        pairs = tuple((network, count) for network, count in self.networks)
        object.__setattr__(self, "networks", pairs)
        if not pairs:
            raise ValueError(f"mix {self.name!r} has no networks; it needs at least one")
        seen = []
        for network, count in pairs:
            if network in seen:
                raise ValueError(f"mix {self.name!r}: {network!r} is there twice; give it a count")
            seen.append(network)
            if isinstance(count, bool) or not isinstance(count, Integral) or count < 1:
                raise ValueError(
                    f"mix {self.name!r}: the count of {network!r} must be a positive integer, "
                    f"got {count!r}"
                )

    def instances(self) -> tuple[Workload, ...]:
        """Give every network as often as it runs, in order.

        Raises:
            ValueError: If a network is unknown or a file holds none, as ``load_workload`` says.
            OSError: If a file cannot be read.
            ImportError: If a package is missing that reads it.
        """
        return tuple(self._instances())

    def _instances(self) -> Iterator[Workload]:
        for network, count in self.networks:
            yield from [load_workload(network)] * count

    def __str__(self) -> str:
        named = (
            (network.name if isinstance(network, Workload) else network, count)
            for network, count in self.networks
        )
        return ", ".join(f"{count} x {network}" for network, count in named)


MIXES: Mapping[str, Mix] = MappingProxyType(
    {
        each.name: each
        for each in (
            Mix(
                "ARVR-A",
                (("ResNet50", 2), ("UNet", 4), ("MobileNetV2", 4)),
                "Herald's AR/VR-A",
            ),
            Mix(
                "ARVR-B",
                (
                    ("ResNet50", 2),
                    ("UNet", 2),
                    ("MobileNetV2", 4),
                    ("SSD-MobileNetV2", 2),
                    ("FastDepth", 2),
                ),
                "Herald's AR/VR-B",
                {"SSD-MobileNetV2": "Br-Q Handpose", "FastDepth": "Focal Length DepthNet"},
            ),
            Mix(
                "NASAIC",
                (("ResNet18", 1), ("UNet", 1)),
                "NASAIC's first: one network classifies, one segments",
                {"ResNet18": "a ResNet-9 that its search finds", "UNet": "a U-Net that it finds"},
            ),
            Mix(
                "Mobile",
                (("MobileNetV2", 6), ("ShuffleNetV2", 6), ("ResNet50", 1)),
                "twelve small networks and a large one",
            ),
            Mix(
                "Vision",
                (("MobileNetV2", 1), ("ResNet50", 1), ("ShuffleNetV2", 1)),
                "MAGMA's vision",
                {"ShuffleNetV2": "ShuffleNet"},
            ),
            Mix(
                "Language",
                (("BERT", 1), ("Transformer", 1), ("GNMT", 1)),
                "MAGMA's language",
                {"BERT": "GPT-2", "Transformer": "MobileBERT", "GNMT": "Transformer-XL"},
            ),
            Mix(
                "Recommendation",
                (("NCF", 1),),
                "MAGMA's recommendation",
                missing=("DLRM", "Wide & Deep"),
            ),
            Mix(
                "All",
                (
                    ("MobileNetV2", 1),
                    ("ResNet50", 1),
                    ("ShuffleNetV2", 1),
                    ("BERT", 1),
                    ("Transformer", 1),
                    ("GNMT", 1),
                    ("NCF", 3),
                ),
                "MAGMA's mix: a third of the jobs of each of the three",
                {
                    "ShuffleNetV2": "ShuffleNet",
                    "BERT": "GPT-2",
                    "Transformer": "MobileBERT",
                    "GNMT": "Transformer-XL",
                    "NCF": "DLRM and Wide & Deep, beside itself",
                },
            ),
        )
    }
)
"""The mixes that come along, by name."""


def mix(given: str | Mix) -> Mix:
    """Give the mix of that name; a ``Mix`` is handed back as it is.

    Raises:
        ValueError: If the name is unknown; the message gives the nearest one.
    """
    if isinstance(given, Mix):
        return given
    if not isinstance(given, str) or given not in MIXES:
        raise ValueError(nearest("mix", given, MIXES))
    return MIXES[given]


def draw_jobs(given: str | Mix, jobs: int = 100, seed: int = 0) -> Workload:
    """Draw a group of jobs: layers of a mix's networks that do not wait for each other.

    For each job an instance is drawn, all alike, and then one of its layers, all alike; so a deep
    network has no more jobs than a flat one. A layer may come more than once, and is one job
    whatever its ``repeat``.

    Args:
        given: A mix or its name.
        jobs: How many.
        seed: The same gives the same group.

    Returns:
        The layers in the order drawn, each named after its network as well.

    Raises:
        ValueError: As ``mix`` does, or if ``jobs`` is not a positive integer or ``seed`` not an
            integer of at least 0.
    """
    chosen = mix(given)
    for name, value, least in (("jobs", jobs, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
    instances = chosen.instances()
    rng = np.random.default_rng(int(seed))
    which = rng.integers(len(instances), size=int(jobs))
    place = rng.integers(np.array([len(network) for network in instances])[which])
    layers = []
    for network, index in zip((instances[i] for i in which), place, strict=True):
        layer = network[int(index)]
        layers.append(replace(layer, name=f"{network.name}.{layer.name}"))
    return Workload(f"{chosen.name}, {jobs} jobs, seed {seed}", tuple(layers))
