"""Networks in PyTorch, written from the papers: what imports are checked against."""

import torch
from torch import nn
from torch.nn import functional as F


def conv(inputs, outputs, kernel, stride=1, groups=1):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    )


class Bottleneck(nn.Module):
    def __init__(self, inputs, inner, stride):
        super().__init__()
        outputs = 4 * inner
        self.body = nn.Sequential(
            conv(inputs, inner, 1), conv(inner, inner, 3, stride), conv(inner, outputs, 1)
        )
        project = stride > 1 or inputs != outputs
        self.project = conv(inputs, outputs, 1, stride) if project else nn.Identity()

    def forward(self, x):
        y = self.body(x)
        return F.relu(y + self.project(x))


class ResNet50(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, channels, blocks = conv(3, 64, 7, 2), 64, []
        for stage, depth in enumerate((3, 4, 6, 3)):
            for block in range(depth):
                inner = 64 * 2**stage
                blocks.append(Bottleneck(channels, inner, 2 if stage and not block else 1))
                channels = 4 * inner
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, 1000)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.stem(x)), 3, 2, 1)
        return self.head(self.blocks(x).mean((2, 3)))


class Inverted(nn.Module):
    def __init__(self, inputs, outputs, expand, stride):
        super().__init__()
        inner = inputs * expand
        parts = [conv(inputs, inner, 1)] if expand > 1 else []
        parts += [conv(inner, inner, 3, stride, groups=inner), conv(inner, outputs, 1)]
        self.body = nn.Sequential(*parts)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.body(x) if self.shortcut else self.body(x)


class MobileNetV2(nn.Module):
    SETTINGS = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )

    def __init__(self):
        super().__init__()
        parts, channels = [conv(3, 32, 3, 2)], 32
        for expand, outputs, times, stride in self.SETTINGS:
            for index in range(times):
                parts.append(Inverted(channels, outputs, expand, 1 if index else stride))
                channels = outputs
        self.features = nn.Sequential(*parts, conv(channels, 1280, 1))
        self.head = nn.Linear(1280, 1000)

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


def separable(inputs, outputs, kernel, stride=1):
    return nn.Sequential(
        conv(inputs, inputs, kernel, stride, groups=inputs), conv(inputs, outputs, 1)
    )


class SSDLite(nn.Module):
    """On MobileNetV2, with the extra feature maps and boxes of TensorFlow's detection API."""

    CHANNELS = (576, 1280, 512, 256, 256, 128)

    def __init__(self, classes=81):
        super().__init__()
        self.features = MobileNetV2().features
        extras = []
        for inputs, outputs in zip(self.CHANNELS[1:], self.CHANNELS[2:], strict=False):
            half = outputs // 2
            extras.append(nn.Sequential(conv(inputs, half, 1), separable(half, outputs, 3, 2)))
        self.extras = nn.ModuleList(extras)
        self.predictors = nn.ModuleList()
        for index, channels in enumerate(self.CHANNELS):
            boxes = 6 if index else 3
            pair = (separable(channels, boxes * each, 3) for each in (4, classes))
            self.predictors.append(nn.ModuleList(pair))

    def forward(self, x):
        # The 14th block, after the stem, is the first of 160 channels.
        x = self.features[:14](x)
        expand, *rest = self.features[14].body
        maps = [expand(x)]
        x = maps[0]
        for part in rest:
            x = part(x)
        maps.append(self.features[15:](x))
        for extra in self.extras:
            maps.append(extra(maps[-1]))
        return [
            [predictor(each) for predictor in pair]
            for each, pair in zip(maps, self.predictors, strict=True)
        ]


class UNet(nn.Module):
    WIDTHS = (64, 128, 256, 512, 1024)

    def __init__(self, channels=1, classes=2):
        super().__init__()

        def pair(inputs, outputs):
            return nn.Sequential(
                nn.Conv2d(inputs, outputs, 3), nn.ReLU(), nn.Conv2d(outputs, outputs, 3), nn.ReLU()
            )

        steps = list(zip((channels, *self.WIDTHS), self.WIDTHS, strict=False))
        self.down = nn.ModuleList(pair(*step) for step in steps)
        back = [(wide, narrow) for narrow, wide in reversed(steps[1:])]
        self.up = nn.ModuleList(nn.ConvTranspose2d(*step, 2, stride=2) for step in back)
        self.merge = nn.ModuleList(pair(*step) for step in back)
        self.classifier = nn.Conv2d(self.WIDTHS[0], classes, 1)

    def forward(self, x):
        copied = []
        for down in self.down:
            x = down(F.max_pool2d(x, 2) if copied else x)
            copied.append(x)
        for up, merge in zip(self.up, self.merge, strict=True):
            x = up(x)
            copied.pop()
            edge = (copied[-1].shape[-1] - x.shape[-1]) // 2
            cropped = copied[-1][..., edge : edge + x.shape[-2], edge : edge + x.shape[-1]]
            x = merge(torch.cat([cropped, x], 1))
        return self.classifier(x)


class FastDepth(nn.Module):
    """MobileNet and NNConv5, whose layers are separable; skipping connections are added."""

    ENCODER = (
        *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)),
        *((512, 2), *5 * ((512, 1),), (1024, 2), (1024, 1)),
    )

    def __init__(self):
        super().__init__()
        parts, channels = [conv(3, 32, 3, 2)], 32
        for outputs, stride in self.ENCODER:
            parts.append(separable(channels, outputs, 3, stride))
            channels = outputs
        self.encoder = nn.ModuleList(parts)
        self.decoder = nn.ModuleList(separable(2 * c, c, 5) for c in (512, 256, 128, 64, 32))
        self.depth = conv(32, 1, 1)

    def forward(self, x):
        skipping = {}
        for part in self.encoder:
            x = part(x)
            skipping[x.shape[-1]] = x  # the last of each size
        for index, part in enumerate(self.decoder):
            x = F.interpolate(part(x), scale_factor=2)
            if index in (1, 2, 3):
                x = x + skipping[x.shape[-1]]
        return self.depth(x)


class Attention(nn.Module):
    """Softmax attention, written out or by PyTorch's function."""

    def __init__(self, width, heads, fused):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.output = nn.Linear(width, width)
        self.heads, self.fused = heads, fused

    def forward(self, x):
        batch, tokens, width = x.shape
        q, k, v = (
            part(x).view(batch, tokens, self.heads, width // self.heads).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        if self.fused:
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            scores = q @ k.transpose(-2, -1) / (width // self.heads) ** 0.5
            y = scores.softmax(-1) @ v
        return self.output(y.transpose(1, 2).reshape(batch, tokens, width))


class Block(nn.Module):
    def __init__(self, width, heads, inner, fused):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, fused)
        self.mlp1, self.mlp2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp2(F.gelu(self.mlp1(self.norm2(x))))


class ViT(nn.Module):
    def __init__(self, image=224, patch=16, depth=12, width=768, heads=12, fused=True):
        super().__init__()
        tokens = (image // patch) ** 2 + 1
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.zeros(1, tokens, width))
        blocks = (Block(width, heads, 4 * width, fused) for _ in range(depth))
        self.blocks, self.norm = nn.Sequential(*blocks), nn.LayerNorm(width)
        self.head = nn.Linear(width, 1000)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.position
        return self.head(self.norm(self.blocks(x))[:, 0])


class BERT(nn.Module):
    def __init__(self, depth=12, width=768, heads=12, vocabulary=30522, fused=False):
        super().__init__()
        self.words, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(512, width)
        blocks = (Block(width, heads, 4 * width, fused) for _ in range(depth))
        self.blocks, self.pooler = nn.Sequential(*blocks), nn.Linear(width, width)

    def forward(self, tokens):
        x = self.words(tokens) + self.positions.weight[: tokens.shape[1]]
        return torch.tanh(self.pooler(self.blocks(x)[:, 0]))
