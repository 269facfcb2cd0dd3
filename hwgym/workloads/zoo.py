"""The networks that hwgym ships, at the shapes of the published models.

Convolutional networks take one 224x224 RGB image, unless they say otherwise, and count their
convolutions only: a fully connected classifier is left out, a convolutional one (SqueezeNet's) is
in. Networks of matrix
products count every product, with weights or between activations; embedding look-ups are not
products and are left out.
"""

from collections.abc import Callable, Iterable
from functools import cache
from itertools import pairwise

from hwgym._names import nearest
from hwgym.workloads import convnets
from hwgym.workloads.convnets import Conv
from hwgym.workloads.layer import Layer
from hwgym.workloads.network import Workload


def _true_layers(name: str, convs: Iterable[Conv]) -> Workload:
    return Workload(name, tuple(conv.layer() for conv in convs))


def mobilenet_v2() -> Workload:
    """MobileNetV2 at width 1.0, 52 convolutions (torchvision's mobilenet_v2).

    Source: Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: Inverted Residuals and Linear
    Bottlenecks", CVPR 2018, arXiv:1801.04381, Table 2.
    """
    return _true_layers("MobileNetV2", convnets.mobilenet_v2())


def mnasnet() -> Workload:
    """MnasNet-B1 at depth multiplier 1.0, 52 convolutions (torchvision's mnasnet1_0).

    Source: Tan, Chen, Pang, Vasudevan, Sandler, Howard, Le, "MnasNet: Platform-Aware Neural
    Architecture Search for Mobile", CVPR 2019, arXiv:1807.11626; B1 is the variant without
    squeeze-and-excitation.
    """
    return _true_layers("MnasNet", convnets.mnasnet())


def resnet18() -> Workload:
    """ResNet-18, 20 convolutions with the downsampling ones (torchvision's resnet18).

    Source: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016,
    arXiv:1512.03385, Table 1.
    """
    return _true_layers("ResNet18", convnets.resnet((2, 2, 2, 2), bottleneck=False))


def resnet50() -> Workload:
    """ResNet-50, 53 convolutions with the downsampling ones (torchvision's resnet50).

    Torchvision's variant ("v1.5") has the stride in a block's 3x3, the paper in its first 1x1.

    Source: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016,
    arXiv:1512.03385, Table 1.
    """
    return _true_layers("ResNet50", convnets.resnet((3, 4, 6, 3), bottleneck=True))


def vgg16() -> Workload:
    """VGG-16 (configuration D), 13 convolutions (torchvision's vgg16).

    Source: Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
    Recognition", ICLR 2015, arXiv:1409.1556, Table 1.
    """
    return _true_layers("VGG16", convnets.vgg((2, 2, 3, 3, 3)))


def alexnet() -> Workload:
    """AlexNet in one column, 5 convolutions (torchvision's alexnet).

    Source: Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural
    Networks", NeurIPS 2012; the one-column variant is of Krizhevsky, "One weird trick for
    parallelizing convolutional neural networks", arXiv:1404.5997.
    """
    return _true_layers("AlexNet", convnets.alexnet())


def googlenet() -> Workload:
    """GoogLeNet (Inception v1) without its auxiliary classifiers, 57 convolutions.

    The third branch of a module is the paper's 5x5; torchvision's googlenet, otherwise the same,
    has 3x3 there.

    Source: Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke, Rabinovich, "Going Deeper
    with Convolutions", CVPR 2015, arXiv:1409.4842, Table 1.
    """
    return _true_layers("GoogLeNet", convnets.googlenet(branch3_kernel=5, auxiliary=False))


def squeezenet() -> Workload:
    """SqueezeNet 1.0, 26 convolutions with the classifying one (torchvision's squeezenet1_0).

    Source: Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer, "SqueezeNet: AlexNet-level accuracy
    with 50x fewer parameters and <0.5MB model size", arXiv:1602.07360, Table 1.
    """
    return _true_layers("SqueezeNet", convnets.squeezenet())


def shufflenet_v2() -> Workload:
    """ShuffleNetV2 1.0x, 56 convolutions (torchvision's shufflenet_v2_x1_0).

    Source: Ma, Zhang, Zheng, Sun, "ShuffleNet V2: Practical Guidelines for Efficient CNN
    Architecture Design", ECCV 2018, arXiv:1807.11164, Table 5.
    """
    return _true_layers("ShuffleNetV2", convnets.shufflenet_v2())


def densenet121() -> Workload:
    """DenseNet-121 (growth rate 32), 120 convolutions (torchvision's densenet121).

    Source: Huang, Liu, van der Maaten, Weinberger, "Densely Connected Convolutional Networks",
    CVPR 2017, arXiv:1608.06993, Table 1.
    """
    return _true_layers("DenseNet121", convnets.densenet((6, 12, 24, 16), growth=32, stem=64))


def resnext50() -> Workload:
    """ResNeXt-50 (32x4d), 53 convolutions (torchvision's resnext50_32x4d).

    A 3x3 in 32 groups is one group's layer with ``repeat=32``.

    Source: Xie, Girshick, Dollar, Tu, He, "Aggregated Residual Transformations for Deep Neural
    Networks", CVPR 2017, arXiv:1611.05431, Table 1.
    """
    convs = convnets.resnet((3, 4, 6, 3), bottleneck=True, width=128, groups=32)
    return _true_layers("ResNeXt50", convs)


def wide_resnet50() -> Workload:
    """Wide ResNet-50-2, ResNet-50 with twice the inner channels (torchvision's wide_resnet50_2).

    Source: Zagoruyko, Komodakis, "Wide Residual Networks", BMVC 2016, arXiv:1605.07146.
    """
    convs = convnets.resnet((3, 4, 6, 3), bottleneck=True, width=128)
    return _true_layers("WideResNet50", convs)


def ssd_mobilenet_v2() -> Workload:
    """SSDLite on MobileNetV2 for 320x320 images, 88 convolutions.

    The 52 convolutions of MobileNetV2, four extra feature maps (1x1, depthwise 3x3 of stride 2,
    1x1), and for each of six feature maps two predictors (depthwise 3x3, 1x1), of boxes and of
    classes: 80 of COCO and the background. The first feature map is the expansion in the first
    block of 160 channels, the second the last layer. Three boxes a place in the first map, six in
    the others.

    Source: Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: Inverted Residuals and Linear
    Bottlenecks", CVPR 2018, arXiv:1801.04381, section 6.2 and Table 6. Extra feature maps and boxes
    as in TensorFlow's Object Detection API (ssdlite_mobilenet_v2_coco), whose image is 300x300.
    """
    return _true_layers("SSD-MobileNetV2", convnets.ssdlite_mobilenet_v2(size=320, classes=81))


def unet() -> Workload:
    """U-Net for one 572x572 grey image and two classes, 23 convolutions.

    Nothing is padded: the output is 388x388. The four transposed 2x2 convolutions of stride 2 are
    1x1 convolutions with four times the output channels, which have the same products; an imported
    one becomes the same layer.

    Source: Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image
    Segmentation", MICCAI 2015, arXiv:1505.04597, Figure 1.
    """
    return _true_layers("UNet", convnets.unet(channels=1, size=572, classes=2))


def fast_depth() -> Workload:
    """FastDepth before its pruning, depth from one image; 38 convolutions.

    A MobileNet (27 convolutions) encodes the image to 7x7; five times a depthwise 5x5, a 1x1 and an
    interpolation decode it to 224x224 again, and a 1x1 gives the depth. What skips from encoder to
    decoder is added, which is no product.

    Source: Wofk, Ma, Yang, Karaman, Sze, "FastDepth: Fast Monocular Depth Estimation on Embedded
    Systems", ICRA 2019, arXiv:1903.03273, Figure 2.
    """
    return _true_layers("FastDepth", convnets.fast_depth())


def _encoder(blocks: int, sequence: int, width: int, heads: int, inner: int) -> list[Layer]:
    """Build the layers of a Transformer encoder; each block has eight matrix products."""
    head_width = width // heads
    layers = []
    for block in range(1, blocks + 1):
        name = f"block{block}"
        layers += [
            Layer.gemm(f"{name}.query", M=sequence, N=width, K=width),
            Layer.gemm(f"{name}.key", M=sequence, N=width, K=width),
            Layer.gemm(f"{name}.value", M=sequence, N=width, K=width),
            Layer.gemm(f"{name}.scores", M=sequence, N=sequence, K=head_width, repeat=heads),
            Layer.gemm(f"{name}.context", M=sequence, N=head_width, K=sequence, repeat=heads),
            Layer.gemm(f"{name}.output", M=sequence, N=width, K=width),
            Layer.gemm(f"{name}.mlp1", M=sequence, N=inner, K=width),
            Layer.gemm(f"{name}.mlp2", M=sequence, N=width, K=inner),
        ]
    return layers


def transformer(sequence: int = 512) -> Workload:
    """Transformer base, its encoder: 6 blocks, width 512, 8 heads, inner width 2048; 48 products.

    Args:
        sequence: tokens; the paper fixes none. 512 is BERT's, so that the two differ only in depth
            and width.

    Source: Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser, Polosukhin, "Attention Is All
    You Need", NeurIPS 2017, arXiv:1706.03762, Table 3.
    """
    return Workload("Transformer", tuple(_encoder(6, sequence, 512, 8, 2048)))


def bert(sequence: int = 512) -> Workload:
    """BERT base: 12 blocks, width 768, 12 heads, inner width 3072, and the pooler; 97 products.

    Args:
        sequence: tokens; 512 is the longest that the model takes.

    Source: Devlin, Chang, Lee, Toutanova, "BERT: Pre-training of Deep Bidirectional Transformers
    for Language Understanding", NAACL 2019, arXiv:1810.04805, section 3. The pooler, a product for
    the first token only, is of the authors' code (modeling.py).
    """
    pooler = Layer.gemm("pooler", M=1, N=768, K=768)
    return Workload("BERT", (*_encoder(12, sequence, 768, 12, 3072), pooler))


def gnmt(source: int = 50, target: int = 50, batch: int = 1, vocabulary: int = 32_000) -> Workload:
    """GNMT with 8 encoder and 8 decoder layers of 1,024 LSTM cells, 39 products.

    Counted is one forward pass with the target sentence given, as in training. An LSTM layer is two
    products for its four gates: that with its input, for all time steps at once, and that with its
    own last output, for one step and repeated for each. The first encoder layer runs in both
    directions, so the second takes 2,048 inputs; decoder layers from the second on take the
    attention's context beside the output of the layer below. The attention has one hidden layer of
    1,024 and is fed by the first decoder layer. Last comes the product with the vocabulary.

    Args:
        source: tokens of the source sentence. The paper fixes none; 50 is the longest that MLPerf
            Training's GNMT benchmark trains on.
        target: tokens of the target sentence.
        batch: sentence pairs.
        vocabulary: word pieces of the target language.

    Source: Wu, Schuster, Chen, Le, Norouzi, et al., "Google's Neural Machine Translation System:
    Bridging the Gap between Human and Machine Translation", arXiv:1609.08144, section 3.
    """
    width = 1024

    def lstm(name: str, steps: int, inputs: int) -> list[Layer]:
        return [
            Layer.gemm(f"{name}.input", M=batch * steps, N=4 * width, K=inputs),
            Layer.gemm(f"{name}.recurrent", M=batch, N=4 * width, K=width, repeat=steps),
        ]

    layers = lstm("encoder1.forward", source, width) + lstm("encoder1.backward", source, width)
    for index in range(2, 9):
        layers += lstm(f"encoder{index}", source, 2 * width if index == 2 else width)
    layers += lstm("decoder1", target, width)
    layers += [
        Layer.gemm("attention.query", M=batch * target, N=width, K=width),
        Layer.gemm("attention.memory", M=batch * source, N=width, K=width),
        Layer.gemm("attention.scores", M=batch * target * source, N=1, K=width),
        Layer.gemm("attention.context", M=target, N=width, K=source, repeat=batch),
    ]
    for index in range(2, 9):
        layers += lstm(f"decoder{index}", target, 2 * width)
    layers.append(Layer.gemm("vocabulary", M=batch * target, N=vocabulary, K=width))
    return Workload("GNMT", tuple(layers))


def ncf(batch: int = 2048) -> Workload:
    """NeuMF: the tower 256-256-128-64 and the prediction, 4 products.

    The prediction takes the tower's 64 outputs beside the 64 of the matrix factorisation, whose
    own part is an element-wise product and so not counted.

    Args:
        batch: (user, item) pairs; 2,048 is that of MLPerf Training v0.5's reference.

    Source: He, Liao, Zhang, Nie, Hu, Chua, "Neural Collaborative Filtering", WWW 2017,
    arXiv:1708.05031, section 3.4; sizes of the MLPerf Training v0.5 reference for MovieLens-20M
    (--layers 256 256 128 64 -f 64).
    """
    sizes = (256, 256, 128, 64)
    tower = [
        Layer.gemm(f"mlp{index}", M=batch, N=outputs, K=inputs)
        for index, (inputs, outputs) in enumerate(pairwise(sizes), start=1)
    ]
    return Workload("NCF", (*tower, Layer.gemm("predict", M=batch, N=1, K=64 + 64)))


def vit() -> Workload:
    """ViT-B/16: patch embedding, 12 blocks over 197 tokens, classification head; 98 products.

    The 16x16 patches do not overlap, so their embedding is the exact product 196 x 768 x 768. The
    head is counted, as are all products of the networks here that have no convolutions.

    Source: Dosovitskiy, Beyer, Kolesnikov, Weissenborn, Zhai, et al., "An Image is Worth 16x16
    Words: Transformers for Image Recognition at Scale", ICLR 2021, arXiv:2010.11929, Table 1
    (torchvision's vit_b_16).
    """
    patches = Layer.gemm("patches", M=14 * 14, N=768, K=3 * 16 * 16)
    head = Layer.gemm("head", M=1, N=1000, K=768)
    return Workload("ViT", (patches, *_encoder(12, 14 * 14 + 1, 768, 12, 3072), head))


MODELS: dict[str, Callable[[], Workload]] = {
    "MobileNetV2": mobilenet_v2,
    "MnasNet": mnasnet,
    "ResNet18": resnet18,
    "ResNet50": resnet50,
    "VGG16": vgg16,
    "AlexNet": alexnet,
    "GoogLeNet": googlenet,
    "SqueezeNet": squeezenet,
    "ShuffleNetV2": shufflenet_v2,
    "DenseNet121": densenet121,
    "ResNeXt50": resnext50,
    "WideResNet50": wide_resnet50,
    "Transformer": transformer,
    "BERT": bert,
    "GNMT": gnmt,
    "NCF": ncf,
    "ViT": vit,
    "SSD-MobileNetV2": ssd_mobilenet_v2,
    "UNet": unet,
    "FastDepth": fast_depth,
}


def models() -> tuple[str, ...]:
    """Name the networks that ``workload`` knows."""
    return tuple(MODELS)


@cache
def workload(name: str) -> Workload:
    """Give a network by its name, built once.

    Raises:
        ValueError: unknown name.
    """
    if name not in MODELS:
        raise ValueError(nearest("model", name, MODELS))
    return MODELS[name]()
