"""Layer: what the cost model is asked to run."""

from __future__ import annotations

from dataclasses import dataclass, fields
from numbers import Integral

from hwgym._names import nearest

__all__ = ["FIELDS", "LAYER_KINDS", "Layer"]

LAYER_KINDS = ("CONV", "DSCONV", "GEMM")


def _integer(layer: object, field: str, value: object, least: int = 1) -> int:
    # numpy integers count as Integral; bool does too, but True is never meant as a size.
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        wanted = "a positive integer" if least == 1 else f"an integer of at least {least}"
        raise ValueError(f"layer {layer!r}: {field} must be {wanted}, got {value!r}")
    return int(value)


def _pair(layer: str, field: str, value: int | tuple[int, int]) -> tuple[int, int]:
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"layer {layer!r}: {field} must be one or two sizes, got {value!r}")
        return _integer(layer, field, value[0]), _integer(layer, field, value[1])
    size = _integer(layer, field, value)
    return size, size


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer's shape, as the cost model sees it.

    A strided convolution is held as the stride-1 layer with the same output, so that its MACs are
    exact; ``stride`` only records what the original had. A matrix product of (M, K) by (K, N) is
    K=N, C=K, OY=M, OX=1.

    Attributes:
        name: what to call the layer; not part of its cost.
        kind: CONV, DSCONV (depthwise: one filter a channel, so K is 1) or GEMM.
        K: output channels.
        C: input channels.
        OY: output rows.
        OX: output columns.
        R: filter rows.
        S: filter columns.
        stride: of the original layer, for the record; the larger if rows and columns differ.
        repeat: how often the shape is run, one after the other: the groups of a grouped
            convolution, the heads of an attention product, the time steps of a recurrent product,
            the samples of an imported batch.

    Raises:
        ValueError: a size that is not a positive integer, an unknown kind, a DSCONV with K other
            than 1, a GEMM with R, S or OX other than 1.
    """

    name: str
    kind: str
    K: int
    C: int
    OY: int
    OX: int
    R: int
    S: int
    stride: int = 1
    repeat: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"layer name must be a non-empty string, got {self.name!r}")
        if self.kind not in LAYER_KINDS:
            raise ValueError(
                f"layer {self.name!r}: {nearest('layer kind', self.kind, LAYER_KINDS)}"
            )
        for field in FIELDS[2:]:
            value = _integer(self.name, field, getattr(self, field))
            object.__setattr__(self, field, value)
        ones = {"DSCONV": ("K",), "GEMM": ("OX", "R", "S")}.get(self.kind, ())
        for field in ones:
            if getattr(self, field) != 1:
                raise ValueError(
                    f"layer {self.name!r}: {field} must be 1 for {self.kind}, "
                    f"got {getattr(self, field)}"
                )

    @property
    def Y(self) -> int:
        """Input rows of the stride-1 layer, padding included: OY + R - 1."""
        return self.OY + self.R - 1

    @property
    def X(self) -> int:
        """Input columns of the stride-1 layer, padding included: OX + S - 1."""
        return self.OX + self.S - 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all repeats."""
        return self.weights * self.OY * self.OX

    @property
    def weights(self) -> int:
        """Elements of the filters of all repeats; for an attention product, of its second matrix.

        What repeats one matrix, as a recurrent product over its steps or an imported convolution
        over its batch, counts it every time.
        """
        return self.K * self.C * self.R * self.S * self.repeat

    @property
    def is_depthwise(self) -> bool:
        """Whether each input channel has a filter of its own."""
        return self.kind == "DSCONV"

    @property
    def shape(self) -> tuple[int, int, int, int, int, int, bool]:
        """(K, C, Y, X, R, S, depthwise): all that one run's cost depends on."""
        return (self.K, self.C, self.Y, self.X, self.R, self.S, self.is_depthwise)

    @classmethod
    def conv(
        cls,
        name: str,
        *,
        in_channels: int,
        out_channels: int,
        input_size: int | tuple[int, int],
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
    ) -> Layer:
        """Make the layer of a 2-D convolution, its output size floored as usual.

        Groups run one after the other, so a grouped convolution is one group's CONV with
        ``repeat=groups``. Where every input channel is a group of its own, it is a DSCONV over all
        channels, repeated for each output channel that an input channel has.

        Args:
            name: the layer's name.
            in_channels: input channels of all groups.
            out_channels: output channels of all groups.
            input_size: input rows and columns before padding, or one number for both.
            kernel: filter rows and columns, or one number for both.
            stride: in both directions.
            padding: rows and columns of zeros added on each side.
            groups: into how many groups the channels are split.

        Raises:
            ValueError: a size that is not a positive integer (padding: not negative), groups that
                do not divide the channels, a filter larger than the padded input.
        """
        channels = _integer(name, "in_channels", in_channels)
        outputs = _integer(name, "out_channels", out_channels)
        height, width = _pair(name, "input_size", input_size)
        rows, columns = _pair(name, "kernel", kernel)
        stride = _integer(name, "stride", stride)
        padding = _integer(name, "padding", padding, least=0)
        groups = _integer(name, "groups", groups)
        if channels % groups or outputs % groups:
            raise ValueError(
                f"layer {name!r}: groups must divide in_channels {channels} and out_channels "
                f"{outputs}, got {groups}"
            )
        if rows > height + 2 * padding or columns > width + 2 * padding:
            raise ValueError(
                f"layer {name!r}: kernel {rows}x{columns} is larger than the padded input "
                f"{height + 2 * padding}x{width + 2 * padding}"
            )
        out_y = (height + 2 * padding - rows) // stride + 1
        out_x = (width + 2 * padding - columns) // stride + 1
        return cls.of_groups(
            name,
            outputs,
            channels,
            groups,
            output_size=(out_y, out_x),
            kernel=(rows, columns),
            stride=stride,
        )

    @classmethod
    def of_groups(
        cls,
        name: str,
        out_channels: int,
        in_channels: int,
        groups: int,
        *,
        output_size: tuple[int, int],
        kernel: tuple[int, int],
        stride: int = 1,
        repeat: int = 1,
    ) -> Layer:
        """Make the layer of a convolution from its output's size, all of whose groups are alike.

        Args:
            name: the layer's name.
            out_channels, in_channels: of all groups; multiples of ``groups``.
            groups: run as ``Layer.conv`` says.
            output_size: rows and columns.
            kernel: filter rows and columns.
            stride: for the record.
            repeat: how often all groups are run.
        """
        (out_y, out_x), (rows, columns) = output_size, kernel
        outputs, inputs = out_channels // groups, in_channels // groups
        if groups > 1 and inputs == 1:
            kind, outputs, inputs, repeat = "DSCONV", 1, in_channels, repeat * outputs
        else:
            kind, repeat = "CONV", repeat * groups
        return cls(name, kind, outputs, inputs, out_y, out_x, rows, columns, stride, repeat)

    @classmethod
    def from_input(
        cls, name: str, kind: str, K: int, C: int, Y: int, X: int, R: int, S: int
    ) -> Layer:
        """Make a layer from its input size, stride ignored, as ConfuciuX's tables give it.

        Raises:
            ValueError: as ``Layer`` does, or a filter larger than the input.
        """
        sizes = {"Y": Y, "X": X, "R": R, "S": S}
        y, x, r, s = (_integer(name, field, value) for field, value in sizes.items())
        if r > y:
            raise ValueError(f"layer {name!r}: R must be at most Y = {y}, got {r}")
        if s > x:
            raise ValueError(f"layer {name!r}: S must be at most X = {x}, got {s}")
        return cls(name, kind, K, C, y - r + 1, x - s + 1, r, s)

    @classmethod
    def gemm(cls, name: str, M: int, N: int, K: int, repeat: int = 1) -> Layer:
        """Make the layer of a matrix product, (M, K) by (K, N), run ``repeat`` times.

        Raises:
            ValueError: a size that is not a positive integer.
        """
        sizes = {"M": M, "N": N, "K": K}
        m, n, k = (_integer(name, field, value) for field, value in sizes.items())
        return cls(name, "GEMM", K=n, C=k, OY=m, OX=1, R=1, S=1, repeat=repeat)


FIELDS = tuple(field.name for field in fields(Layer))
"""The names of a layer's fields, in order."""
