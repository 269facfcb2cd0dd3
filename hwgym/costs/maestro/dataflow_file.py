"""Dataflows from files: MAESTRO's mapping files, and TOML.

A mapping file holds directives, bare or as ``Dataflow { ... }``, or networks of layers that each
have one::

    Constant Tile 4;                        // a name for a number
    Network Example {
      Layer CONV1 {
        Type: CONV                          // DSCONV: what depthwise layers get
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
which MAESTRO does not have. The grammar is written from published mapping files and the directives'
definition (Kwon et al., MICRO 2019, section 3).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

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

__all__ = ["DATAFLOW_FILES", "dataflow_text", "dataflow_values"]

DATAFLOW_FILES = (".m", ".toml")
"""The endings of the files that hold a dataflow."""

_MAPS: dict[str, type[SpatialMap | TemporalMap]] = {
    "SpatialMap": SpatialMap,
    "TemporalMap": TemporalMap,
}
_FILTER_OF_INPUT = {"Y": "R", "X": "S"}


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
    where = f"{source}: [dataflow]"
    if table is None:
        raise ValueError(f"{source}: no table [dataflow]")
    allowed = ("name", "directives", "depthwise")
    for key in table:
        if key not in allowed:
            raise ValueError(f"{where}: {nearest('key', key, allowed)}")
    name = table.get("name", source.stem)
    if not (isinstance(name, str) and name):
        raise ValueError(f"{where}: name must be a non-empty string, got {name!r}")
    if "directives" not in table:
        raise ValueError(f"{where}: directives must be given")
    return (
        name,
        _directives(f"{where}: directives", table["directives"]),
        _directives(f"{where}: depthwise", table["depthwise"]) if "depthwise" in table else (),
    )


def _directives(where: str, given: Any) -> tuple[Directive, ...]:
    lines = [given] if isinstance(given, str) else given
    if not (isinstance(lines, list) and all(isinstance(each, str) for each in lines)):
        raise ValueError(f"{where} must be a string of directives or a list of them")
    parser = _Parser(where, "\n".join(lines))
    directives = parser.directives(closing=None)
    if not directives:
        parser.fail("no directives")
    return directives


def _from_maestro(source: Path, layer: str | None) -> _Found:
    try:
        text = source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{source}: {error}") from error
    blocks = _Parser(str(source), text).file()
    if not blocks:
        raise ValueError(f"{source}: no dataflow: neither directives nor a layer that has some")
    named = {block.layer: block for block in blocks if block.layer}
    depthwise = list(dict.fromkeys(b.directives for b in blocks if b.kind == "DSCONV"))
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
    distinct = dict.fromkeys(block.directives for block in rest)
    if len(distinct) > 1:
        raise ValueError(f"{source}: {_differing(rest, distinct)}")
    if len(depthwise) > 1 and layer is None:
        which = [block for block in blocks if block.kind == "DSCONV"]
        raise ValueError(f"{source}: depthwise layers differ: {_differing(which, depthwise)}")
    return source.stem, rest[0].directives, depthwise[0] if len(depthwise) == 1 else ()


@dataclass(frozen=True)
class _Block:
    """A dataflow of a mapping file, and whose it is."""

    directives: tuple[Directive, ...]
    layer: str = ""
    kind: str = ""


def _differing(blocks: Sequence[_Block], distinct: Iterable[tuple[Directive, ...]]) -> str:
    groups = []
    for directives in distinct:
        names = [b.layer or "(no layer)" for b in blocks if b.directives == directives]
        more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        groups.append(f"{names[0]!r}{more}")
    shown = ", ".join(groups[:4]) + (", ..." if len(groups) > 4 else "")
    return f"{len(groups)} dataflows, as of layers {shown}; take one with layer=..."


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
        at = self.at if at is None else at
        line = self.tokens[min(at, len(self.tokens) - 1)][1] if self.tokens else 1
        raise ValueError(f"{self.where}, line {line}: {problem}")

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
                blocks.append(_Block(self.directives(closing=None)))
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
        directives: tuple[Directive, ...] = ()
        while not self.accept("}"):
            item = self.take()
            if item == "Dataflow":
                directives = self.dataflow()
            elif item == "Type":
                self.take(":")
                kind = self.take()
            elif self.accept("{"):  # Stride, Dimensions and the like
                while not self.accept("}"):
                    self.take()
            elif self.accept(":"):
                self.take()
            elif item != ";":
                self.fail(f"layer {name!r}: expected ':' or '{{' after {item!r}")
        return [_Block(directives, name, kind)] if directives else []

    def dataflow(self) -> tuple[Directive, ...]:
        self.take("{")
        directives = self.directives(closing="}")
        if not directives:
            self.fail("a dataflow without directives", self.at - 1)
        return directives

    def directives(self, closing: str | None) -> tuple[Directive, ...]:
        """Directives up to ``closing``, or to what is none at the end of the file or a word."""
        found: list[Directive] = []
        level: list[Directive] = []
        while True:
            ends = (closing,) if closing else ("", "Network", "Layer", "Constant", "Dataflow")
            if self.next in ends or self.next == "Cluster":
                self.check_sums(level)
                level = []
            if self.next in ends:
                self.at += closing is not None
                return tuple(found)
            found.append(self.directive())
            level.append(found[-1])

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

    def directive(self) -> Directive:
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
                if dim not in LAYER_DIMS + OUTPUT_DIMS:
                    self.fail(nearest("dimension", dim, LAYER_DIMS + OUTPUT_DIMS), self.at - 1)
                size, dim = self.of_map(first, dim)
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
        total: dict[str, int] = {}
        sign = 1
        while True:
            token = self.take()
            if token.isdecimal():
                term, times = "", int(token)
            elif token == "Sz":
                self.take("(")
                term, times = self.take(), 1
                if term not in LAYER_DIMS:
                    self.fail(nearest("dimension", term, LAYER_DIMS), self.at - 1)
                self.take(")")
            elif token in self.constants:
                term, times = "", self.constants[token]
            elif token in (*LAYER_DIMS, *PARAMETERS):
                term, times = token, 1
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
