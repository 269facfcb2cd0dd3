"""Every environment id of hwgym, as one table.

``import hwgym`` registers them; nothing here is computed until an environment is made. Whatever is
not in an id goes by keyword: ``gymnasium.make("HWAssign-VGG16-MIX-v0", objective="edp")``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec

MODELS = (
    "MobileNetV2", "MnasNet", "ResNet18", "ResNet50", "VGG16", "AlexNet", "GoogLeNet", "SqueezeNet",
    "ShuffleNetV2", "DenseNet121", "ResNeXt50", "WideResNet50",  # convolutions
    "Transformer", "BERT", "GNMT", "NCF", "ViT",  # matrix products
)  # fmt: skip
DATAFLOWS = ("NVDLA", "Eyeriss", "ShiDianNao", "MIX")
OBJECTIVES = {"Latency": "latency", "Energy": "energy"}
CONSTRAINTS = {"Area": "area", "Power": "power"}
PLATFORMS = {"Cloud": "cloud", "IoT": "iot", "IoTx": "iotx"}

RELEASED_MODELS = (
    "AlexNet", "DenseNet", "GoogLeNet", "MnasNet", "MobileNetV2", "ResNet18", "ResNet50",
    "ResNeXt50", "ShuffleNetV2", "SqueezeNet", "VGG16", "WideResNet50",
)  # fmt: skip
RELEASED_DATAFLOWS = ("NVDLA", "Eyeriss", "ShiDianNao")

ENTRY_POINT = "hwgym.envs:HWAssignEnv"
VECTOR_ENTRY_POINT = "hwgym.envs:HWAssignVectorEnv"


def environments() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every id with the keyword arguments behind it.

    | id | problem |
    | --- | --- |
    | ``HWAssign-{Model}-{Dataflow}-v0`` | latency under an area budget, platform iot |
    | ``HWAssign-{Model}-{Dataflow}-{Objective}-{Constraint}-{Platform}-v0`` | the rest |
    | ``HWAssignLS-{Model}-{Dataflow}-v0`` | one configuration for all layers |
    | ``ConfuciuX-{Model}-{Dataflow}-{Platform}-v0`` | ConfuciuX's problem as released |
    """
    for model in MODELS:
        for dataflow in DATAFLOWS:
            base = {"workload": model, "dataflow": dataflow}
            yield f"HWAssign-{model}-{dataflow}-v0", {**base, "platform": "iot"}
            for o, objective in OBJECTIVES.items():
                for c, constraint in CONSTRAINTS.items():
                    for p, platform in PLATFORMS.items():
                        yield (
                            f"HWAssign-{model}-{dataflow}-{o}-{c}-{p}-v0",
                            {
                                **base,
                                "objective": objective,
                                "constraint": constraint,
                                "platform": platform,
                            },
                        )
            yield (
                f"HWAssignLS-{model}-{dataflow}-v0",
                {
                    **base,
                    "platform": "iot",
                    "deployment": "LS",
                },
            )
    for model in RELEASED_MODELS:
        for dataflow in RELEASED_DATAFLOWS:
            for p, platform in PLATFORMS.items():
                yield (
                    f"ConfuciuX-{model}-{dataflow}-{p}-v0",
                    {
                        "workload": model,
                        "dataflow": dataflow,
                        "platform": platform,
                        "released": True,
                    },
                )


def register() -> None:
    """Register every id with Gymnasium; those already there stay as they are."""
    # gymnasium.register compares each id with all others, which with n ids takes n**2 steps.
    for env_id, kwargs in environments():
        if env_id not in gymnasium.registry:
            gymnasium.registry[env_id] = EnvSpec(
                env_id,
                entry_point=ENTRY_POINT,
                vector_entry_point=VECTOR_ENTRY_POINT,
                kwargs=kwargs,
            )
