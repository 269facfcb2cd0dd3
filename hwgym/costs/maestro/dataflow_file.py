"""Dataflows from files: MAESTRO's mapping files, and TOML.

A mapping file holds directives, bare or as ``Dataflow { ... }``, or networks of layers that each
have one::

    Constant Tile 4;                        // a name for a number
    Network Example {
      Layer CONV1 {
        Type: CONV                          // DSCONV: what depthwise layers get; GEMM: below
        Stride { X: 2, Y: 2 }               // the layer's shape is not read
        Dimensions { K: 64, C: 3, R: 7, S: 7, Y: 224, X: 224 }
        Dataflow {
          SpatialMap(Tile, Tile) K;
          TemporalMap(Sz(R), 1) Y;          // Sz(R): as many as the layer has filter rows
          TemporalMap(8+Sz(S)-1, 8) X;      // the inputs of eight outputs: (8, 8) X'
          Cluster(16, P);
          SpatialMap(1, 1) C;
        }
      }
    }

Sizes may also be the parameters of :mod:`hwgym.costs.maestro.directives`, ``tile_k`` for instance,
which MAESTRO does not have.

Layers here have one sample and one group, and run as often as there are, so ``TemporalMap(1, 1)``
of N (the batch) or G (the groups) says nothing new and is dropped; any other map of them is
refused. What a layer of type GEMM calls M, N and K are here, where a product is a convolution, Y, K
and C. MAESTRO gives both the same costs unless M is spread in space and leaves units idle at its
edge, where its GEMM loses outputs, or a level has two spatial maps, which is refused.

The grammar is written from published mapping files and the directives'
definition (Kwon et al., MICRO 2019, section 3).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from hwgym._names import nearest
from hwgym.costs.maestro.directives import (
    LAYER_DIMS,
    OUTPUT_DIMS,
    PARAMETERS,
    Cluster,
    Directive,
    Size,
    SpatialMap,
    TemporalMap,
)
from hwgym.hardware.file import quoted, tables

__all__ = [
    "DATAFLOW_FILES",
    "dataflow_text",
    "dataflow_values",
    "directives_of",
    "file_and_layer",
    "layer_directives",
]

DATAFLOW_FILES = (".m", ".toml")
"""The endings of the files that hold a dataflow."""

_MAPS: dict[str, type[SpatialMap | TemporalMap]] = {
    "SpatialMap": SpatialMap,
    "TemporalMap": TemporalMap,
}
_FILTER_OF_INPUT = {"Y": "R", "X": "S"}
_OF_CONVOLUTION = {dim: dim for dim in LAYER_DIMS + OUTPUT_DIMS}
_OF_PRODUCT = {"M": "Y", "N": "K", "K": "C"}
_REPEATED = {
    "N": "a layer has one sample, and a batch repeats it",
    "G": "a layer has one group, and several repeat it",
}


def file_and_layer(given: str) -> tuple[str, str | None]:
    """``net.m:CONV1`` as a mapping file's path and a layer's name; any other path has none."""
    stem, colon, layer = given.partition(".m:")
    return (f"{stem}.m", layer) if colon else (given, None)


_Found = tuple[str, tuple[Directive, ...], tuple[Directive, ...]]


def dataflow_values(path: str | os.PathLike[str], layer: str | None = None) -> _Found:
    """Name, directives and depthwise directives (perhaps none) of a file.

    Args:
        path: A file that ends in one of :data:`DATAFLOW_FILES`.
        layer: Whose dataflow to take from a MAESTRO mapping file in which layers differ.

    Raises:
        OSError, ValueError: As :func:`hwgym.costs.maestro.read_dataflow`.
    """
    source = Path(path)
    if source.suffix not in DATAFLOW_FILES:
        raise ValueError(f"{source}: a dataflow's file must end in {' or '.join(DATAFLOW_FILES)}")
    if source.suffix != ".toml":
        return _from_maestro(source, layer)
    if layer is not None:
        raise ValueError(f"{source}: layer is for MAESTRO mapping files; TOML has one dataflow")
    return _from_toml(source)


def _from_toml(source: Path) -> _Found:
    table = tables(source).get("dataflow")
    if table is None:
        raise ValueError(f"{source}: no table [dataflow]")
    return table_values(f"{source}: [dataflow]", table, source.stem)


def table_values(where: str, table: Mapping[str, Any], default: str = "") -> _Found:
    """The same of a mapping with ``directives``, and perhaps ``depthwise`` and ``name``.

    Args:
        where: What errors call it.
        table: Directives as a string, or as a list of strings.
        default: The name, if there is none.

    Raises:
        ValueError: As :func:`hwgym.costs.maestro.read_dataflow`.
    """
    allowed = ("name", "directives", "depthwise")
    for key in table:
        if key not in allowed:
            raise ValueError(f"{where}: {nearest('key', key, allowed)}")
    name = table.get("name", default)
    if not (isinstance(name, str) and name):
        raise ValueError(f"{where}: name must be a non-empty string, got {name!r}")
    if "directives" not in table:
        raise ValueError(f"{where}: directives must be given")
    return (
        name,
        directives_of(f"{where}: directives", table["directives"]),
        directives_of(f"{where}: depthwise", table["depthwise"]) if "depthwise" in table else (),
    )


def directives_of(where: str, given: Any) -> tuple[Directive, ...]:
    """The directives of a text, or of a list of texts; ``where`` is what errors call it.

    Raises:
        ValueError: If they are none, or not of this model.
    """
    lines = [given] if isinstance(given, str) else given
    if not (isinstance(lines, list) and all(isinstance(each, str) for each in lines)):
        raise ValueError(f"{where} must be a string of directives or a list of them")
    parser = _Parser(where, "\n".join(lines))
    mapping = parser.mapping(closing=None)
    if mapping.refused:
        raise ValueError(f"{where}, {mapping.refused}")
    if not mapping.directives:
        parser.fail("no directives")
    return mapping.directives


def layer_directives(source: Path, layer: str | None = None) -> tuple[Directive, ...]:
    """The directives of a MAESTRO mapping file's one dataflow, or of a layer's, of whatever kind.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is no such file, or layers differ and none is named.
    """
    blocks = _blocks(source)
    if layer is not None:
        blocks = [block for block in blocks if block.layer == layer]
        if not blocks:
            names = [block.layer for block in _blocks(source) if block.layer]
            raise ValueError(f"{source}: {nearest('layer', layer, names)}")
    distinct = dict.fromkeys(block.mapping for block in blocks)
    if len(distinct) > 1:
        raise ValueError(f"{source}: {_differing(source, blocks, distinct)}")
    [mapping] = distinct
    if mapping.refused:
        raise ValueError(f"{source}, {mapping.refused}")
    return mapping.directives


def _blocks(source: Path) -> list[_Block]:
    try:
        text = source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{source}: {error}") from error
    blocks = _Parser(str(source), text).file()
    if not blocks:
        raise ValueError(f"{source}: no dataflow: neither directives nor a layer that has some")
    return blocks


def _from_maestro(source: Path, layer: str | None) -> _Found:
    blocks = _blocks(source)
    named = {block.layer: block for block in blocks if block.layer}
    depthwise = list(dict.fromkeys(b.mapping for b in blocks if b.kind == "DSCONV"))
    rest = [block for block in blocks if block.kind != "DSCONV"]
    if layer is not None:
        if layer not in named:
            raise ValueError(f"{source}: {nearest('layer', layer, named)}")
        if named[layer].kind == "DSCONV":
            raise ValueError(
                f"{source}: layer {layer!r} is depthwise; name one that is not, and its "
                "dataflow comes with that of the depthwise layers"
            )
        rest = [named[layer]]
    if not rest:
        raise ValueError(f"{source}: only depthwise layers have a dataflow; one other is needed")
    distinct = dict.fromkeys(block.mapping for block in rest)
    if len(distinct) > 1:
        raise ValueError(f"{source}: {_differing(source, rest, distinct)}")
    if len(depthwise) > 1 and layer is None:
        which = [block for block in blocks if block.kind == "DSCONV"]
        told = _differing(source, which, depthwise, take=rest[0].layer)
        raise ValueError(f"{source}: depthwise layers differ: {told}")
    taken = [rest[0].mapping, *(depthwise if len(depthwise) == 1 else [_Mapping(())])]
    for mapping in taken:
        if mapping.refused:
            raise ValueError(f"{source}, {mapping.refused}")
    name = source.stem if layer is None else f"{source.stem}:{layer}"
    return name, taken[0].directives, taken[1].directives


class _Mapping(NamedTuple):
    """The directives of a dataflow, and why this model has no such thing, if so."""

    directives: tuple[Directive, ...]
    refused: str = ""


@dataclass(frozen=True)
class _Block:
    """A dataflow of a mapping file, and whose it is."""

    mapping: _Mapping
    layer: str = ""
    kind: str = ""


def _differing(
    source: Path, blocks: Sequence[_Block], distinct: Iterable[_Mapping], take: str = ""
) -> str:
    """What to say of several dataflows, and how to take one."""
    groups = []
    for mapping in distinct:
        names = [b.layer or "(no layer)" for b in blocks if b.mapping == mapping]
        more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        groups.append(f"{names[0]!r}{more}")
    shown = ", ".join(groups[:8]) + (", ..." if len(groups) > 8 else "")
    take = take or next((b.layer for b in blocks if b.layer and not b.mapping.refused), "")
    how = f"; name a layer, as {source.name}:{take}" if take else ""
    return f"{len(groups)} dataflows, as of layers {shown}{how}"


_TOKEN = re.compile(
    r"(?P<skip>\s+|//[^\n]*|/\*.*?\*/)|(?P<number>\d+(?!\w))|(?P<word>\w[\w.]*)"
    r"|(?P<mark>[{}(),;:+\-'\u2019])",
    re.DOTALL,
)


@dataclass
class _Parser:
    """Recursive descent over the tokens of a text."""

    where: str
    text: str
    constants: dict[str, int] = field(default_factory=dict)
    sums: dict[str, tuple[str, int]] = field(default_factory=dict)  # of the level being read
    dims: Mapping[str, str] = field(default_factory=lambda: _OF_CONVOLUTION)  # theirs and ours
    refused: str = ""  # why this model has no such dataflow as the one being read

    def __post_init__(self) -> None:
        self.tokens: list[tuple[str, int]] = []  # token, line
        at, line = 0, 1
        while at < len(self.text):
            match = _TOKEN.match(self.text, at)
            if match is None:
                raise ValueError(f"{self.where}, line {line}: unexpected {self.text[at]!r}")
            if match.lastgroup != "skip":
                self.tokens.append((match.group().replace("\u2019", "'"), line))
            line += match.group().count("\n")
            at = match.end()
        self.at = 0

    def fail(self, problem: str, at: int | None = None) -> NoReturn:
        raise ValueError(f"{self.where}, {self.line(self.at if at is None else at)}: {problem}")

    def line(self, at: int) -> str:
        return f"line {self.tokens[min(at, len(self.tokens) - 1)][1] if self.tokens else 1}"

    @property
    def next(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def take(self, *wanted: str) -> str:
        """The next token, one of ``wanted`` if any are given."""
        token = self.next
        if not token or (wanted and token not in wanted):
            expected = " or ".join(map(repr, wanted)) or "more"
            self.fail(f"expected {expected}, got {repr(token) if token else 'the end of the file'}")
        self.at += 1
        return token

    def accept(self, wanted: str) -> bool:
        if self.next == wanted:
            self.at += 1
            return True
        return False

    def file(self) -> list[_Block]:
        blocks: list[_Block] = []
        while self.next:
            if self.next in ("Network", "Layer", "Constant", "Dataflow"):
                blocks += self.statement()
            else:
                blocks.append(_Block(self.mapping(closing=None)))
        return blocks

    def statement(self) -> list[_Block]:
        word = self.take("Network", "Layer", "Constant", "Dataflow")
        if word == "Constant":
            name = self.take()
            number = self.take()
            if not number.isdecimal():
                self.fail(f"constant {name} must be a number, got {number!r}", self.at - 1)
            self.constants[name] = int(number)
            self.accept(";")
            return []
        if word == "Dataflow":
            return [_Block(self.dataflow())]
        start = self.at
        while self.next not in ("{", ""):
            self.at += 1
        name = "".join(token for token, _ in self.tokens[start : self.at])
        self.take("{")
        if word == "Layer":
            return self.layer(name)
        blocks = []
        while not self.accept("}"):
            self.take("Layer")
            self.at -= 1
            blocks += self.statement()
        return blocks

    def layer(self, name: str) -> list[_Block]:
        kind = ""
        mapping = None
        self.dims = _OF_CONVOLUTION
        while not self.accept("}"):
            item = self.take()
            if item == "Dataflow":
                mapping = self.dataflow()
            elif item == "Type":
                self.take(":")
                kind = self.take()
                if kind == "GEMM":
                    if mapping:
                        self.fail(f"layer {name!r}: Type: GEMM must stand before the dataflow")
                    self.dims = _OF_PRODUCT
            elif self.accept("{"):  # Stride, Dimensions and the like
                while not self.accept("}"):
                    self.take()
            elif self.accept(":"):
                self.take()
            elif item != ";":
                self.fail(f"layer {name!r}: expected ':' or '{{' after {item!r}")
        self.dims = _OF_CONVOLUTION
        return [_Block(mapping, name, kind)] if mapping else []

    def dataflow(self) -> _Mapping:
        self.take("{")
        mapping = self.mapping(closing="}")
        if not mapping.directives:
            self.fail("a dataflow without directives", self.at - 1)
        return mapping

    def mapping(self, closing: str | None) -> _Mapping:
        self.refused = ""
        directives = self.directives(closing)
        return _Mapping(directives, self.refused)

    def refuse(self, problem: str, at: int) -> None:
        """The dataflow is one, but not of this model: an error only for who takes it."""
        self.refused = self.refused or f"{self.line(at)}: {problem}"

    def directives(self, closing: str | None) -> tuple[Directive, ...]:
        """Directives up to ``closing``, or to what is none at the end of the file or a word."""
        found: list[Directive] = []
        level: list[Directive] = []
        while True:
            ends = (closing,) if closing else ("", "Network", "Layer", "Constant", "Dataflow")
            if self.next in ends or self.next == "Cluster":
                self.check_sums(level)
                spatial = sum(isinstance(each, SpatialMap) for each in level)
                if self.dims is _OF_PRODUCT and spatial > 1:
                    self.refuse(
                        f"{spatial} spatial maps in one level of a GEMM, which MAESTRO does not "
                        "cost as those of a convolution",
                        self.at,
                    )
                level = []
            if self.next in ends:
                self.at += closing is not None
                return tuple(found)
            made = self.directive()
            if made is not None:
                found.append(made)
                level.append(made)

    def check_sums(self, level: Sequence[Directive]) -> None:
        """A sum with a filter's size, made a map over outputs, is one if the filter is whole."""
        for filter_, (dim, at) in self.sums.items():
            if not any(getattr(m, "dim", "") == filter_ == m.size for m in level):
                self.fail(
                    f"n+Sz({filter_})-1 of {dim} needs a map (Sz({filter_}), ...) "
                    f"{filter_} in the same level",
                    at,
                )
        self.sums.clear()

    def directive(self) -> Directive | None:
        """A directive; None for a loop over the one sample or the one group that a layer has."""
        start = self.at
        word = self.take()
        if word not in (*_MAPS, "Cluster"):
            self.fail(nearest("directive", word, (*_MAPS, "Cluster")), start)
        self.take("(")
        first = self.size()
        made: Directive
        try:
            if word == "Cluster":
                if self.accept(","):
                    self.take("P")
                self.take(")")
                made = Cluster(self.plain(first))
            else:
                self.take(",")
                offset = self.size()
                self.take(")")
                dim = self.take() + ("'" if self.accept("'") else "")
                if dim in _REPEATED and dim not in self.dims:
                    if (word, first, offset) != ("TemporalMap", {"": 1}, {"": 1}):
                        self.refuse(
                            f"{dim} can only be TemporalMap(1, 1), as {_REPEATED[dim]}; "
                            f"got {word}({_sum(first)}, {_sum(offset)})",
                            start,
                        )
                    self.accept(";")
                    return None
                if dim not in self.dims:
                    self.fail(nearest("dimension", dim, self.dims), self.at - 1)
                size, dim = self.of_map(first, self.dims[dim])
                made = _MAPS[word](size, self.plain(offset), dim)
        except ValueError as error:
            text = str(error)
            if text.startswith(self.where):
                raise
            self.fail(text, start)
        self.accept(";")
        return made

    def size(self) -> dict[str, int]:
        """A sum: what it has of each name, and of 1 (under the empty name)."""
        sizes = {theirs: ours for theirs, ours in self.dims.items() if ours in LAYER_DIMS}
        total: dict[str, int] = {}
        sign = 1
        while True:
            token = self.take()
            if token.isdecimal():
                term, times = "", int(token)
            elif token == "Sz":
                self.take("(")
                term, times = self.take(), 1
                if term in _REPEATED and term not in sizes:
                    self.refuse(f"Sz({term}) is not known: {_REPEATED[term]}", self.at - 1)
                elif term not in sizes:
                    self.fail(nearest("dimension", term, sizes), self.at - 1)
                term = sizes.get(term, "")
                self.take(")")
            elif token in self.constants:
                term, times = "", self.constants[token]
            elif token in sizes or token in PARAMETERS:
                term, times = sizes.get(token, token), 1
            else:
                allowed = ("a number", "Sz(...)", *PARAMETERS, *self.constants)
                self.fail(nearest("size", token, allowed), self.at - 1)
            total[term] = total.get(term, 0) + sign * times
            if self.next not in ("+", "-"):
                return {term: times for term, times in total.items() if times}
            sign = 1 if self.take() == "+" else -1

    def plain(self, total: dict[str, int]) -> Size:
        """A size that is one name or one number."""
        named = [term for term in total if term]
        if not named:
            return total.get("", 0)
        if len(total) > 1 or total[named[0]] != 1:
            self.fail(
                f"a size must be a number, Sz(...) or a parameter, got {_sum(total)}; over inputs "
                "it may be n+Sz(R)-1 (rows) or n+Sz(S)-1 (columns)"
            )
        return named[0]

    def of_map(self, total: dict[str, int], dim: str) -> tuple[Size, str]:
        """Size and dimension of a map: over the inputs of n outputs it is n over those outputs."""
        filter_ = _FILTER_OF_INPUT.get(dim)
        if filter_ and len(total) > 1 and total.get(filter_) == 1:
            outputs = {**total, "": total.get("", 0) + 1}
            del outputs[filter_]
            self.sums[filter_] = dim, self.at - 1
            return self.plain({term: n for term, n in outputs.items() if n}), f"{dim}'"
        return self.plain(total), dim


def _sum(total: dict[str, int]) -> str:
    terms = [
        f"{times:+d}"
        if not term
        else f"{'-' if times < 0 else '+'}{'' if abs(times) == 1 else f'{abs(times)}*'}{term}"
        for term, times in total.items()
    ]
    return "".join(terms).removeprefix("+")


def dataflow_text(
    name: str, directives: Iterable[Directive], depthwise: Iterable[Directive]
) -> str:
    """The TOML text that :func:`dataflow_values` reads back as these."""
    lines = ["[dataflow]", f"name = {quoted(name)}"]
    for key, values in (("directives", directives), ("depthwise", depthwise)):
        lines += [f"{key} = [", *(f'  "{each}",' for each in values), "]"]
    return "\n".join((*lines, ""))
