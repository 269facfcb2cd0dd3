"""The layer tables of ConfuciuX's released problem, 12 of them.

They are needed to pose the problem exactly as its authors' code does
(https://github.com/maestro-project/confuciux, ``data/model/``; Kao, Jeong, Krishna, MICRO 2020,
arXiv:2009.02010). Every table turns out to be the convolutions of torchvision's model, in its order
of execution, under one rule: a layer keeps its channels and filter and its *unpadded input* size,
while stride, padding and groups are dropped (only depthwise layers remain apart). Built by that
rule, the tables here equal the released ones value for value, in order.

How they differ from the real networks:

- Stride dropped: a stride-2 layer does about four times its work. Padding dropped: a 3x3 on 7x7
  gives 5x5, not 7x7, so a stride-1 layer does less. MACs over the true ones of the same torchvision
  model: AlexNet 2.27, DenseNet 1.01, GoogLeNet 1.10, MnasNet 1.11, MobileNetV2 1.14, ResNet18 1.25,
  ResNet50 1.42, ResNeXt50 3.45, ShuffleNetV2 1.18, SqueezeNet 1.55, VGG16 0.90, WideResNet50 1.28.
- Groups dropped: ResNeXt50 is dense and therefore identical to WideResNet50.
- DenseNet is DenseNet-161, where ``workload("DenseNet121")`` is the smaller network.
- GoogLeNet has torchvision's 3x3 in place of the paper's 5x5, and both auxiliary classifiers'
  convolutions, which serve training only.
- As in ``hwgym.workloads.zoo``, fully connected layers are missing.
"""

from collections.abc import Callable
from functools import cache

from hwgym._names import nearest
from hwgym.workloads import convnets
from hwgym.workloads.convnets import Conv
from hwgym.workloads.layer import Layer
from hwgym.workloads.network import Workload

# Calls, not results: importing this module should not build twelve networks.
_NETWORKS: dict[str, Callable[[], list[Conv]]] = {
    "AlexNet": convnets.alexnet,
    "DenseNet": lambda: convnets.densenet((6, 12, 36, 24), growth=48, stem=96),
    "GoogLeNet": lambda: convnets.googlenet(branch3_kernel=3, auxiliary=True),
    "MnasNet": convnets.mnasnet,
    "MobileNetV2": convnets.mobilenet_v2,
    "ResNet18": lambda: convnets.resnet((2, 2, 2, 2), bottleneck=False),
    "ResNet50": lambda: convnets.resnet((3, 4, 6, 3), bottleneck=True),
    "ResNeXt50": lambda: convnets.resnet((3, 4, 6, 3), bottleneck=True, width=128, groups=32),
    "ShuffleNetV2": convnets.shufflenet_v2,
    "SqueezeNet": convnets.squeezenet,
    "VGG16": lambda: convnets.vgg((2, 2, 3, 3, 3)),
    "WideResNet50": lambda: convnets.resnet((3, 4, 6, 3), bottleneck=True, width=128),
}


def released_models() -> tuple[str, ...]:
    """Name the tables that ``released_workload`` knows."""
    return tuple(_NETWORKS)


@cache
def released_workload(name: str) -> Workload:
    """Give one of ConfuciuX's released layer tables by its name, built once.

    Raises:
        ValueError: unknown name.
    """
    if name not in _NETWORKS:
        raise ValueError(nearest("released model", name, _NETWORKS))
    return Workload(name, tuple(_as_released(conv) for conv in _NETWORKS[name]()))


def _as_released(conv: Conv) -> Layer:
    depthwise = conv.groups == conv.in_channels
    return Layer.from_input(
        conv.name,
        "DSCONV" if depthwise else "CONV",
        K=1 if depthwise else conv.out_channels,
        C=conv.in_channels,
        Y=conv.input_size,
        X=conv.input_size,
        R=conv.kernel,
        S=conv.kernel,
    )
