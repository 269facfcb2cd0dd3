"""Layer: what the cost model is asked to run."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from numbers import Integral
from typing import Any

from hwgym._names import nearest

__all__ = ["FIELDS", "LAYER_KINDS", "Layer", "input_size"]

LAYER_KINDS = ("CONV", "DSCONV", "GEMM")

_AS_ROWS: Any = None  # what columns are given by default; a layer holds the number itself


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
    """One layer's shape, as the cost models see it.

    A convolution is told by the size of its output, so that its MACs are exact whatever its stride,
    dilation and padding. Output row y multiplies the input rows ``stride * y + dilation * r`` of
    the padded input, r from 0 to R - 1; columns likewise. MAESTRO's costs leave stride and dilation
    out: they are those of the stride-1 layer with the same output. A matrix product of (M, K) by
    (K, N) is K=N, C=K, OY=M, OX=1.

    Attributes:
        name: what to call the layer; not part of its cost.
        kind: CONV, DSCONV (depthwise: one filter a channel, so K is 1) or GEMM.
        K: output channels.
        C: input channels.
        OY: output rows.
        OX: output columns.
        R: filter rows.
        S: filter columns.
        stride: input rows from one output row to the next.
        column_stride: the same of columns; by default that of the rows.
        dilation: input rows from one filter row to the next.
        column_dilation: the same of columns; by default that of the rows.
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
    column_stride: int = field(default=_AS_ROWS, kw_only=True)
    dilation: int = field(default=1, kw_only=True)
    column_dilation: int = field(default=_AS_ROWS, kw_only=True)
    repeat: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"layer name must be a non-empty string, got {self.name!r}")
        if self.kind not in LAYER_KINDS:
            raise ValueError(
                f"layer {self.name!r}: {nearest('layer kind', self.kind, LAYER_KINDS)}"
            )
        for rows, columns in (("stride", "column_stride"), ("dilation", "column_dilation")):
            if getattr(self, columns) is _AS_ROWS:
                object.__setattr__(self, columns, getattr(self, rows))
        for name in FIELDS[2:]:
            value = _integer(self.name, name, getattr(self, name))
            object.__setattr__(self, name, value)
        ones = {"DSCONV": ("K",), "GEMM": ("OX", "R", "S")}.get(self.kind, ())
        for name in ones:
            if getattr(self, name) != 1:
                raise ValueError(
                    f"layer {self.name!r}: {name} must be 1 for {self.kind}, "
                    f"got {getattr(self, name)}"
                )

    @property
    def strides(self) -> tuple[int, int]:
        """Stride of the rows and of the columns."""
        return self.stride, self.column_stride

    @property
    def dilations(self) -> tuple[int, int]:
        """Dilation of the rows and of the columns."""
        return self.dilation, self.column_dilation

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
        """(K, C, Y, X, R, S, depthwise): all that MAESTRO's cost of one run depends on."""
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
        stride: int | tuple[int, int] = 1,
        dilation: int | tuple[int, int] = 1,
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
            stride: of rows and columns, or one number for both.
            dilation: of rows and columns, or one number for both.
            padding: rows and columns of zeros added on each side.
            groups: into how many groups the channels are split.

        Raises:
            ValueError: a size that is not a positive integer (padding: not negative), groups that
                do not divide the channels, a filter that reaches further than the padded input, a
                stride larger than that.
        """
        channels = _integer(name, "in_channels", in_channels)
        outputs = _integer(name, "out_channels", out_channels)
        height, width = _pair(name, "input_size", input_size)
        rows, columns = _pair(name, "kernel", kernel)
        stride_y, stride_x = _pair(name, "stride", stride)
        dilation_y, dilation_x = _pair(name, "dilation", dilation)
        padding = _integer(name, "padding", padding, least=0)
        groups = _integer(name, "groups", groups)
        if channels % groups or outputs % groups:
            raise ValueError(
                f"layer {name!r}: groups must divide in_channels {channels} and out_channels "
                f"{outputs}, got {groups}"
            )
        reach_y, reach_x = dilation_y * (rows - 1) + 1, dilation_x * (columns - 1) + 1
        if reach_y > height + 2 * padding or reach_x > width + 2 * padding:
            wider = (reach_y, reach_x) != (rows, columns)
            dilated = f", dilated to {reach_y}x{reach_x}," if wider else ""
            raise ValueError(
                f"layer {name!r}: kernel {rows}x{columns}{dilated} is larger than the padded input "
                f"{height + 2 * padding}x{width + 2 * padding}"
            )
        if stride_y > height + 2 * padding or stride_x > width + 2 * padding:
            raise ValueError(
                f"layer {name!r}: stride {stride_y}x{stride_x} is larger than the padded input "
                f"{height + 2 * padding}x{width + 2 * padding}"
            )
        out_y = (height + 2 * padding - reach_y) // stride_y + 1
        out_x = (width + 2 * padding - reach_x) // stride_x + 1
        return cls.of_groups(
            name,
            outputs,
            channels,
            groups,
            output_size=(out_y, out_x),
            kernel=(rows, columns),
            stride=(stride_y, stride_x),
            dilation=(dilation_y, dilation_x),
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
        stride: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        repeat: int = 1,
    ) -> Layer:
        """Make the layer of a convolution from its output's size, all of whose groups are alike.

        Args:
            name: the layer's name.
            out_channels, in_channels: of all groups; multiples of ``groups``.
            groups: run as ``Layer.conv`` says.
            output_size: rows and columns.
            kernel: filter rows and columns.
            stride: of rows and columns.
            dilation: of rows and columns.
            repeat: how often all groups are run.
        """
        (out_y, out_x), (rows, columns) = output_size, kernel
        outputs, inputs = out_channels // groups, in_channels // groups
        if groups > 1 and inputs == 1:
            kind, outputs, inputs, repeat = "DSCONV", 1, in_channels, repeat * outputs
        else:
            kind, repeat = "CONV", repeat * groups
        return cls(
            name,
            kind,
            outputs,
            inputs,
            out_y,
            out_x,
            rows,
            columns,
            stride[0],
            repeat,
            column_stride=stride[1],
            dilation=dilation[0],
            column_dilation=dilation[1],
        )

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


def input_size(layer: Layer) -> tuple[int, int]:
    """Rows and columns of input from the first that a layer reads to the last, padding included.

    ``stride * (OY - 1) + dilation * (R - 1) + 1`` rows. Stride and dilation may leave some of them
    out: a 1x1 of stride 2 reads every second one. Rows and columns that the stride leaves over at
    the end are not counted.
    """
    (stride_y, stride_x), (dilation_y, dilation_x) = layer.strides, layer.dilations
    rows = stride_y * (layer.OY - 1) + dilation_y * (layer.R - 1) + 1
    columns = stride_x * (layer.OX - 1) + dilation_x * (layer.S - 1) + 1
    return rows, columns
