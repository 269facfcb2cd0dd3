"""Layer and Workload: what the cost model is asked to run."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from hwgym._files import write_text
from hwgym._names import nearest

if TYPE_CHECKING:
    import onnx
    import pandas as pd  # type: ignore[import-untyped, unused-ignore]
    import torch

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
        for field in COLUMNS[2:]:
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


COLUMNS = tuple(field.name for field in fields(Layer))


class _Form(NamedTuple):
    """One kind of CSV that ``Workload.from_csv`` reads."""

    required: tuple[str, ...]
    optional: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.required, *self.optional)


_OWN = _Form(COLUMNS[1:8], ("name", "stride", "repeat"))
_CONFUCIUX = _Form(("K", "C", "Y", "X", "R", "S", "T"), ("name",))
_GEMM = _Form(("M", "N", "K"), ("name", "repeat"))
_CONFUCIUX_KINDS = {1: "CONV", 2: "DSCONV"}


@dataclass(frozen=True, repr=False)
class Workload(Sequence[Layer]):
    """An ordered, named list of layers.

    Raises:
        ValueError: an empty name, no layers, or something that is not a ``Layer``.
    """

    name: str
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"workload name must be a non-empty string, got {self.name!r}")
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise ValueError(f"workload {self.name!r} has no layers; it needs at least one")
        strangers = [each for each in self.layers if not isinstance(each, Layer)]
        if strangers:
            raise ValueError(
                f"workload {self.name!r}: every layer must be a Layer, got {strangers[0]!r}"
            )

    def __len__(self) -> int:
        return len(self.layers)

    @overload
    def __getitem__(self, index: int) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Layer, ...]: ...
    def __getitem__(self, index: int | slice) -> Layer | tuple[Layer, ...]:
        return self.layers[index]

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __repr__(self) -> str:
        return f"<Workload {self.name!r}: {len(self)} layers, {self.macs / 1e9:.3g} GMACs>"

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers."""
        return sum(layer.macs for layer in self.layers)

    @property
    def weights(self) -> int:
        """Filter elements of all layers, counted as ``Layer.weights`` does."""
        return sum(layer.weights for layer in self.layers)

    def unique(self) -> tuple[tuple[Layer, ...], npt.NDArray[np.int64]]:
        """Find the layers that differ in cost.

        Returns:
            The first layer of each distinct (shape, repeat), in order, and for every layer the
            index of its own among them, an int64 array of shape (layers,).
        """
        first: dict[tuple[object, ...], int] = {}
        distinct: list[Layer] = []
        index = np.empty(len(self), dtype=np.int64)
        for position, layer in enumerate(self.layers):
            key = (layer.shape, layer.repeat)
            if key not in first:
                first[key] = len(distinct)
                distinct.append(layer)
            index[position] = first[key]
        return tuple(distinct), index

    def to_frame(self) -> pd.DataFrame:
        """Give the layers as a pandas frame, one row a layer, one column a field of ``Layer``."""
        # Only this method needs pandas, which takes longer to import than the rest of the package.
        import pandas as pd

        return pd.DataFrame([astuple(layer) for layer in self.layers], columns=list(COLUMNS))

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the layers to a CSV file with one column a field of ``Layer``.

        The file appears whole or not at all.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(astuple(layer) for layer in self.layers)
        write_text(path, text.getvalue())

    @classmethod
    def from_csv(cls, path: str | os.PathLike[str], name: str | None = None) -> Workload:
        """Read a workload from a CSV file, in whichever of three forms its columns show.

        - ``kind,K,C,OY,OX,R,S``: what ``to_csv`` writes; ``stride`` and ``repeat`` are optional.
        - ``K,C,Y,X,R,S,T``: ConfuciuX's, input sizes with stride ignored, T 1 for CONV, 2 for
          DSCONV.
        - ``M,N,K``: matrix products; ``repeat`` is optional.

        A ``name`` column is optional in all of them; without it the layers are layer1, layer2, ...
        Columns may come in any order, names may recur, and empty lines are skipped.

        Args:
            path: the file, UTF-8.
            name: of the workload; the file's stem by default.

        Raises:
            ValueError: naming file, row (the line in the file) and column: a missing, unknown or
                repeated column, a row of the wrong length, a value that is not a positive integer,
                a layer that ``Layer`` rejects, a file without rows.
            OSError: the file cannot be read.
        """
        source = Path(path)
        # utf-8-sig also reads plain UTF-8; spreadsheets like to add the mark that it strips.
        with source.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            try:
                rows = [(reader.line_num, row) for row in reader if row]
            except (csv.Error, UnicodeDecodeError) as error:
                raise ValueError(f"{source}, row {reader.line_num + 1}: {error}") from error
        if not rows:
            raise ValueError(
                f"{source}: empty file; row 1 must name the columns {','.join(COLUMNS)}"
            )
        (header_line, header), *body = rows
        where = f"{source}, row {header_line}"
        form = max(_OWN, _CONFUCIUX, _GEMM, key=lambda each: len({*header} & {*each.columns}))
        for column in header:
            if column not in form.columns:
                raise ValueError(f"{where}: {nearest('column', column, form.columns)}")
            if header.count(column) > 1:
                raise ValueError(f"{where}: column {column!r} appears {header.count(column)} times")
        for column in form.required:
            if column not in header:
                raise ValueError(
                    f"{where}: missing column {column!r} (needed: {', '.join(form.required)})"
                )
        if not body:
            raise ValueError(f"{source}: no rows after the header; a workload needs a layer")
        layers = []
        for number, (line, row) in enumerate(body, start=1):
            where = f"{source}, row {line}"
            if len(row) != len(header):
                missing_or_extra = (
                    f"column {header[len(row)]!r} is missing"
                    if len(row) < len(header)
                    else f"{row[len(header)]!r} has no column"
                )
                raise ValueError(
                    f"{where}: {len(row)} values for {len(header)} columns; {missing_or_extra}"
                )
            cells = {"name": f"layer{number}", **dict(zip(header, row, strict=True))}
            layers.append(_layer_from_cells(where, form, cells))
        return cls(source.stem if name is None else name, tuple(layers))

    @classmethod
    def from_onnx(
        cls,
        model: str | os.PathLike[str] | onnx.ModelProto,
        *,
        name: str | None = None,
        batch: int | None = None,
        dims: Mapping[str, int] | None = None,
    ) -> Workload:
        """Read a workload from an ONNX model.

        The arguments, and what is raised, are those of ``hwgym.workloads.import_onnx``, which also
        tells the parameters and lists what could not be mapped; here that is a warning.
        """
        from hwgym.workloads.onnx_import import import_onnx

        return import_onnx(model, name=name, batch=batch, dims=dims).warned().workload

    @classmethod
    def from_torch(
        cls, module: torch.nn.Module, example_input: Any, *, name: str | None = None
    ) -> Workload:
        """Make the workload of a PyTorch module by running it once on an example.

        The arguments, and what is raised, are those of ``hwgym.workloads.import_torch``, which also
        tells the parameters and lists what could not be mapped; here that is a warning.
        """
        from hwgym.workloads.torch_import import import_torch

        return import_torch(module, example_input, name=name).warned().workload


def _layer_from_cells(where: str, form: _Form, cells: Mapping[str, str]) -> Layer:
    label = cells["name"]
    if not label:
        raise ValueError(f"{where}, column 'name': must not be empty")
    sizes = {}
    for column, cell in cells.items():
        if column in ("name", "kind"):
            continue
        # int() alone would also take 1_000, +3 and digits of other scripts.
        digits = cell.strip()
        if not (digits.isascii() and digits.isdecimal() and int(digits) > 0):
            raise ValueError(
                f"{where}, column {column!r}: must be a positive integer, got {cell!r}"
            )
        sizes[column] = int(digits)
    try:
        if form is _GEMM:
            return Layer.gemm(label, **sizes)
        if form is _OWN:
            return Layer(name=label, kind=cells["kind"], **sizes)
        code = sizes.pop("T")
        if code not in _CONFUCIUX_KINDS:
            raise ValueError(f"layer {label!r}: T must be 1 (CONV) or 2 (DSCONV), got {code}")
        return Layer.from_input(label, _CONFUCIUX_KINDS[code], **sizes)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
