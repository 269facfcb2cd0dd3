"""The environment ids of the family.

| id | problem |
| --- | --- |
| ``HWMapNet-{Model}-{Hardware}-Cluster-{Objective}-v0`` | one cluster size for all layers |
| ``HWMapNet-{Model}-{Hardware}-Order-{Objective}-v0`` | one pair of loop orders for all layers |
| ``HWMapNet-{Model}-{Hardware}-Area-{Objective}-v0`` | PEs and buffers are chosen, within the area of that hardware |
| ``HWMapNet-v0`` | one's own: ``workload=...`` and whatever else describes it |
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Iterator

from hwgym.core.family import Id

__all__ = ["ASKED", "ids"]

SHARED = {"Cluster": "cluster", "Order": "order", "Area": "hardware"}

ASKED = (
    "AlexNet-1024-Cluster-EDP",
    "SqueezeNet-1024-Cluster-Latency",
    "SqueezeNet-Cloud-Cluster-EDP",
    "MobileNetV2-Edge-Cluster-EDP",
    "ResNet50-Edge-Cluster-EDP",
    "ViT-Cloud-Cluster-Latency",
    "MobileNetV2-Edge-Order-Energy",
    "MobileNetV2-Edge-Area-Latency",
    "ResNet50-Edge-Area-EDP",
    "BERT-Cloud-Area-EDP",
)
"""Where a cluster is shared, layers would do better by themselves, by 0.6 to 15 %; where orders
are, some pair of them is best for every layer."""


def ids() -> Iterator[Id]:
    """Every id that is registered."""
    for each in ASKED:
        model, hardware, shared, objective = each.split("-")
        yield Id(
            f"HWMapNet-{each}-v0",
            {
                "workload": model,
                "hardware": hardware.lower(),
                "coupling": SHARED[shared],
                "objective": objective.lower(),
            },
        )
    yield Id("HWMapNet-v0", {}, ranked=False)
