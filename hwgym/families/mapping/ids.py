"""The environment ids of the family.

| id | problem |
| --- | --- |
| ``HWMap-{Model}-{number}-{Hardware}-{Objective}-v0`` | a layer of the zoo, by its place in the network |
| ``HWMap-GAMMA-{Layer}-Edge-{Objective}-v0`` | one of the eight layers on which GAMMA's runs are known, as its tables have them |
| ``HWMap-v0`` | one's own: ``layer=...`` and whatever else describes it |

Hardware is Edge, 1024 or Cloud; the objective EDP, Latency (where the bound is not reached at once)
or Energy: that within 1.1 times the least latency that a bound allows.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hwgym.core.family import Id

__all__ = ["CAP", "GAMMA_LAYERS", "LAYERS", "ids"]

CAP = 1.1
"""Cycles that a mapping may take under ``Energy``, in bounds of latency."""

LAYERS: dict[str, tuple[str, ...]] = {
    "VGG16:1": ("Edge-EDP", "Cloud-EDP"),
    "VGG16:6": ("Edge-EDP", "1024-EDP", "1024-Latency", "Cloud-EDP", "Edge-Energy"),
    "VGG16:12": ("Edge-EDP", "Cloud-EDP", "Cloud-Latency"),
    "ResNet50:1": ("Edge-EDP", "1024-EDP", "Cloud-EDP", "Cloud-Latency"),
    "ResNet50:12": ("Edge-EDP", "1024-EDP", "Cloud-EDP", "1024-Latency", "Edge-Energy"),
    "ResNet50:20": ("Edge-EDP", "Cloud-EDP", "Cloud-Latency", "Edge-Energy"),
    "ResNet50:46": ("Edge-EDP", "Cloud-EDP", "Cloud-Latency"),
    "MobileNetV2:2": ("Edge-EDP", "Cloud-EDP", "Cloud-Latency"),
    "MobileNetV2:22": ("Edge-EDP", "1024-EDP", "Edge-Energy"),
    "MobileNetV2:35": ("Edge-EDP", "Cloud-EDP", "1024-Latency"),
    "BERT:1": ("1024-EDP", "Cloud-EDP", "Cloud-Latency"),  # Edge is among GAMMA's
    "BERT:4": ("Edge-EDP", "Cloud-EDP", "Edge-Energy"),
    "ViT:6": ("Edge-EDP", "1024-Latency", "Cloud-Latency"),
    "ViT:8": ("Edge-EDP", "1024-EDP", "Cloud-EDP", "Edge-Energy"),
}
"""Layers that differ: stems, 3x3, 1x1, depthwise, matrix products; and what is asked of each."""

GAMMA_LAYERS = {
    "VGG16-2": "released/VGG16:2",
    "VGG16-9": "released/VGG16:9",
    "ResNet50-1": "released/ResNet50:1",
    "ResNet50-20": "released/ResNet50:20",
    "ResNet50-45": "released/ResNet50:45",
    "MobileNetV2-4": "released/MobileNetV2:4",
    "MobileNetV2-20": "released/MobileNetV2:20",
    "BERT-1": "BERT:1",
}
"""GAMMA's files (``data/model``): stride and padding dropped, as in ConfuciuX's tables."""

OBJECTIVES: dict[str, dict[str, Any]] = {
    "EDP": {"objective": "edp"},
    "Latency": {"objective": "latency"},
    "Energy": {"objective": "energy", "latency_ratio": CAP},
}


def ids() -> Iterator[Id]:
    """Every id that is registered."""
    for layer, asked in LAYERS.items():
        for each in asked:
            hardware, objective = each.split("-")
            yield Id(
                f"HWMap-{layer.replace(':', '-')}-{each}-v0",
                {"layer": layer, "hardware": hardware.lower(), **OBJECTIVES[objective]},
            )
    for name, given in GAMMA_LAYERS.items():
        for objective in ("EDP", "Energy"):
            kwargs = {"layer": given, "hardware": "edge", **OBJECTIVES[objective]}
            yield Id(f"HWMap-GAMMA-{name}-Edge-{objective}-v0", kwargs)
    yield Id("HWMap-v0", {}, ranked=False)
