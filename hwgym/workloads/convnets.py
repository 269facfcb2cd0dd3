"""Families of convolutional networks, as lists of their convolutions in order of execution.

Each function is one family and takes what sets its members apart. What a network is for cost (true
layers, or ConfuciuX's reading of them) is decided by who asks: ``zoo`` and ``released``.
"""

from collections.abc import Sequence
from typing import NamedTuple

from hwgym.workloads.layer import Layer


class Conv(NamedTuple):
    """One square convolution, with the arguments of ``Layer.conv``."""

    name: str
    in_channels: int
    out_channels: int
    input_size: int
    kernel: int
    stride: int
    padding: int
    groups: int

    def layer(self) -> Layer:
        """Give the convolution's true layer."""
        return Layer.conv(**self._asdict())


class ConvNet:
    """The convolutions so far, and the channels and square size of the tensor that comes next."""

    def __init__(self, channels: int = 3, size: int = 224) -> None:
        self.convs: list[Conv] = []
        self.channels = channels
        self.size = size

    def conv(
        self,
        name: str,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        padding: int | None = None,
        groups: int = 1,
    ) -> None:
        """Append a convolution; without ``padding``, one that keeps the size if stride is 1."""
        padding = kernel // 2 if padding is None else padding
        self.convs.append(
            Conv(
                name,
                self.channels,
                out_channels,
                self.size,
                kernel,
                stride,
                padding,
                groups,
            )
        )
        self.size = (self.size + 2 * padding - kernel) // stride + 1
        self.channels = out_channels

    def depthwise(self, name: str, kernel: int, stride: int = 1) -> None:
        """Append a depthwise convolution."""
        self.conv(name, self.channels, kernel, stride, groups=self.channels)

    def upconv(self, name: str, out_channels: int) -> None:
        """Append a transposed 2x2 convolution of stride 2, which doubles the size.

        Its filters do not overlap: every input element is read once, for the four output elements
        that it alone makes. So it is the 1x1 convolution with four times the output channels, which
        has the same products and weights and none of the zeros between the inputs.
        """
        self.conv(name, 4 * out_channels, 1)
        self.channels, self.size = out_channels, 2 * self.size

    def pool(self, kernel: int, stride: int, padding: int = 0, ceil: bool = False) -> None:
        """Shrink the tensor as a pooling layer does."""
        span = self.size + 2 * padding - kernel
        self.size = (-(-span // stride) if ceil else span // stride) + 1


def alexnet() -> list[Conv]:
    """Build AlexNet in its one-column form."""
    net = ConvNet()
    net.conv("conv1", 64, 11, stride=4, padding=2)
    net.pool(3, 2)
    net.conv("conv2", 192, 5)
    net.pool(3, 2)
    net.conv("conv3", 384, 3)
    net.conv("conv4", 256, 3)
    net.conv("conv5", 256, 3)
    return net.convs


def vgg(stages: Sequence[int]) -> list[Conv]:
    """Build a VGG network from the number of convolutions in each of its five stages."""
    net = ConvNet()
    for stage, depth in enumerate(stages, start=1):
        for index in range(1, depth + 1):
            net.conv(f"stage{stage}.conv{index}", min(64 * 2 ** (stage - 1), 512), 3)
        net.pool(2, 2)
    return net.convs


def googlenet(*, branch3_kernel: int, auxiliary: bool) -> list[Conv]:
    """Build GoogLeNet.

    Args:
        branch3_kernel: of the third inception branch, 5 in the paper and 3 in torchvision.
        auxiliary: whether to include the 1x1 convolution of the two auxiliary classifiers, which
            serve training only.
    """
    # The outputs of 1x1; 3x3 reduce, 3x3; 5x5 reduce, 5x5; pool projection (Table 1).
    modules = {
        "3a": (64, 96, 128, 16, 32, 32),
        "3b": (128, 128, 192, 32, 96, 64),
        "4a": (192, 96, 208, 16, 48, 64),
        "4b": (160, 112, 224, 24, 64, 64),
        "4c": (128, 128, 256, 24, 64, 64),
        "4d": (112, 144, 288, 32, 64, 64),
        "4e": (256, 160, 320, 32, 128, 128),
        "5a": (256, 160, 320, 32, 128, 128),
        "5b": (384, 192, 384, 48, 128, 128),
    }
    net = ConvNet()
    net.conv("conv1", 64, 7, stride=2)
    net.pool(3, 2, ceil=True)
    net.conv("conv2", 64, 1)
    net.conv("conv3", 192, 3)
    net.pool(3, 2, ceil=True)
    for module, (one, reduce2, three, reduce3, five, project) in modules.items():
        if module in ("4a", "5a"):
            net.pool(3, 2, ceil=True)
        channels = net.channels
        net.conv(f"inception{module}.branch1", one, 1)
        net.channels = channels
        net.conv(f"inception{module}.branch2.reduce", reduce2, 1)
        net.conv(f"inception{module}.branch2.conv", three, 3)
        net.channels = channels
        net.conv(f"inception{module}.branch3.reduce", reduce3, 1)
        net.conv(f"inception{module}.branch3.conv", five, branch3_kernel)
        net.channels = channels
        net.conv(f"inception{module}.branch4.project", project, 1)
        net.channels = one + three + five + project
        if auxiliary and module in ("4a", "4d"):
            # Average-pooled to 4x4 first.
            head = ConvNet(net.channels, 4)
            head.conv(f"aux{1 if module == '4a' else 2}.conv", 128, 1)
            net.convs += head.convs
    return net.convs


def squeezenet() -> list[Conv]:
    """Build SqueezeNet 1.0."""
    net = ConvNet()
    net.conv("conv1", 96, 7, stride=2, padding=0)
    net.pool(3, 2, ceil=True)
    for fire, squeeze in enumerate((16, 16, 32, 32, 48, 48, 64, 64), start=2):
        expand = 4 * squeeze
        net.conv(f"fire{fire}.squeeze", squeeze, 1)
        net.conv(f"fire{fire}.expand1x1", expand, 1)
        net.channels = squeeze
        net.conv(f"fire{fire}.expand3x3", expand, 3)
        net.channels = 2 * expand
        if fire in (4, 8):
            net.pool(3, 2, ceil=True)
    net.conv("classifier", 1000, 1)
    return net.convs


def resnet(
    depths: Sequence[int], *, bottleneck: bool, width: int = 64, groups: int = 1
) -> list[Conv]:
    """Build a residual network from the number of blocks in each of its four stages.

    Args:
        depths: blocks a stage.
        bottleneck: 1x1, 3x3, 1x1 blocks, stride in the 3x3; otherwise two 3x3.
        width: channels inside the first stage's blocks; it doubles from stage to stage, as do the
            64 (256 in bottleneck networks) between blocks.
        groups: of the 3x3 in bottleneck blocks.
    """
    net = ConvNet()
    net.conv("conv1", 64, 7, stride=2)
    net.pool(3, 2, padding=1)
    for stage, depth in enumerate(depths):
        inner = width * 2**stage
        outer = (256 if bottleneck else 64) * 2**stage
        for block in range(depth):
            name = f"layer{stage + 1}.{block}"
            stride = 2 if stage > 0 and block == 0 else 1
            channels, size = net.channels, net.size
            if bottleneck:
                net.conv(f"{name}.conv1", inner, 1)
                net.conv(f"{name}.conv2", inner, 3, stride, groups=groups)
                net.conv(f"{name}.conv3", outer, 1)
            else:
                net.conv(f"{name}.conv1", outer, 3, stride)
                net.conv(f"{name}.conv2", outer, 3)
            if stride > 1 or channels != outer:
                net.channels, net.size = channels, size
                net.conv(f"{name}.downsample", outer, 1, stride)
    return net.convs


def densenet(depths: Sequence[int], *, growth: int, stem: int) -> list[Conv]:
    """Build a DenseNet-BC from the number of dense layers in each of its four blocks.

    Args:
        depths: dense layers a block.
        growth: channels that a dense layer adds.
        stem: output channels of the first convolution.
    """
    net = ConvNet()
    net.conv("conv0", stem, 7, stride=2)
    net.pool(3, 2, padding=1)
    for block, depth in enumerate(depths, start=1):
        for layer in range(1, depth + 1):
            channels = net.channels
            net.conv(f"denseblock{block}.denselayer{layer}.conv1", 4 * growth, 1)
            net.conv(f"denseblock{block}.denselayer{layer}.conv2", growth, 3)
            net.channels = channels + growth
        if block < len(depths):
            net.conv(f"transition{block}.conv", net.channels // 2, 1)
            net.pool(2, 2)
    return net.convs


def mobilenet_v2(size: int = 224) -> list[Conv]:
    """Build MobileNetV2 at width 1.0 for square images of that size."""
    return _inverted_residuals(
        (
            (1, 16, 1, 3, 1),
            (6, 24, 2, 3, 2),
            (6, 32, 3, 3, 2),
            (6, 64, 4, 3, 2),
            (6, 96, 3, 3, 1),
            (6, 160, 3, 3, 2),
            (6, 320, 1, 3, 1),
        ),
        size,
    )


def mnasnet() -> list[Conv]:
    """Build MnasNet-B1 at depth multiplier 1.0."""
    return _inverted_residuals(
        (
            (1, 16, 1, 3, 1),
            (3, 24, 3, 3, 2),
            (3, 40, 3, 5, 2),
            (6, 80, 3, 5, 2),
            (6, 96, 2, 3, 1),
            (6, 192, 4, 5, 2),
            (6, 320, 1, 3, 1),
        )
    )


def _inverted_residuals(
    stages: Sequence[tuple[int, int, int, int, int]], size: int = 224
) -> list[Conv]:
    """Build a stem, inverted residual blocks and a 1x1 head.

    Args:
        stages: (expansion, output channels, blocks, kernel, stride of the first block) a stage;
            blocks of expansion 1 have no expanding 1x1.
        size: rows and columns of the image.
    """
    net = ConvNet(size=size)
    net.conv("stem", 32, 3, stride=2)
    block = 0
    for expansion, out_channels, depth, kernel, first_stride in stages:
        for index in range(depth):
            block += 1
            if expansion > 1:
                net.conv(f"block{block}.expand", expansion * net.channels, 1)
            net.depthwise(f"block{block}.depthwise", kernel, first_stride if index == 0 else 1)
            net.conv(f"block{block}.project", out_channels, 1)
    net.conv("head", 1280, 1)
    return net.convs


def shufflenet_v2() -> list[Conv]:
    """Build ShuffleNetV2 1.0x."""
    net = ConvNet()
    net.conv("conv1", 24, 3, stride=2)
    net.pool(3, 2, padding=1)
    for stage, (depth, width) in enumerate(((4, 116), (8, 232), (4, 464)), start=2):
        half = width // 2
        for block in range(depth):
            name = f"stage{stage}.{block}"
            stride = 2 if block == 0 else 1
            if stride > 1:
                channels, size = net.channels, net.size
                net.depthwise(f"{name}.branch1.depthwise", 3, stride)
                net.conv(f"{name}.branch1.project", half, 1)
                net.channels, net.size = channels, size
            else:
                # The other half of the channels passes by untouched.
                net.channels = half
            net.conv(f"{name}.branch2.expand", half, 1)
            net.depthwise(f"{name}.branch2.depthwise", 3, stride)
            net.conv(f"{name}.branch2.project", half, 1)
            net.channels = width
    net.conv("conv5", 1024, 1)
    return net.convs


def ssdlite_mobilenet_v2(*, size: int, classes: int) -> list[Conv]:
    """Build SSDLite on MobileNetV2: the backbone, the extra feature maps, then the predictors.

    Args:
        size: rows and columns of the image.
        classes: for each box, the background among them.
    """
    net = ConvNet(size=size)
    net.convs = mobilenet_v2(size)
    expansion = next(conv for conv in net.convs if conv.name == "block14.expand")
    features = [(expansion.out_channels, expansion.input_size)]
    net.channels, net.size = net.convs[-1].out_channels, net.convs[-1].input_size
    features.append((net.channels, net.size))
    for extra, depth in enumerate((512, 256, 256, 128), start=1):
        net.conv(f"extra{extra}.squeeze", depth // 2, 1)
        net.depthwise(f"extra{extra}.depthwise", 3, stride=2)
        net.conv(f"extra{extra}.expand", depth, 1)
        features.append((net.channels, net.size))
    for index, feature in enumerate(features, start=1):
        boxes = 3 if index == 1 else 6
        for what, outputs in (("box", 4), ("class", classes)):
            net.channels, net.size = feature
            net.depthwise(f"predict{index}.{what}.depthwise", 3)
            net.conv(f"predict{index}.{what}", boxes * outputs, 1)
    return net.convs


def unet(*, channels: int, size: int, classes: int) -> list[Conv]:
    """Build U-Net.

    Args:
        channels: of the image.
        size: rows and columns of the image. No convolution pads, so its output is smaller.
        classes: that an element is of, one output channel each.
    """
    widths = (64, 128, 256, 512)
    net = ConvNet(channels, size)

    def pair(name: str, width: int) -> None:
        net.conv(f"{name}.conv1", width, 3, padding=0)
        net.conv(f"{name}.conv2", width, 3, padding=0)

    for level, width in enumerate(widths, start=1):
        pair(f"down{level}", width)
        net.pool(2, 2)
    pair("bottom", 1024)
    for level, width in reversed(tuple(enumerate(widths, start=1))):
        net.upconv(f"up{level}.upconv", width)
        net.channels = 2 * width  # beside them those of the way down, cropped
        pair(f"up{level}", width)
    net.conv("classifier", classes, 1)
    return net.convs


def fast_depth() -> list[Conv]:
    """Build FastDepth, before its pruning: a MobileNet as encoder, NNConv5 as decoder."""
    net = ConvNet()
    net.conv("stem", 32, 3, stride=2)
    blocks = (
        (64, 1), (128, 2), (128, 1), (256, 2), (256, 1),
        (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1),
        (1024, 2), (1024, 1),
    )  # fmt: skip
    for block, (out_channels, stride) in enumerate(blocks, start=1):
        net.depthwise(f"block{block}.depthwise", 3, stride)
        net.conv(f"block{block}.pointwise", out_channels, 1)
    for level, out_channels in enumerate((512, 256, 128, 64, 32), start=1):
        net.depthwise(f"decoder{level}.depthwise", 5)
        net.conv(f"decoder{level}.pointwise", out_channels, 1)
        net.size *= 2  # to the nearest neighbour
    net.conv("depth", 1, 1)
    return net.convs
