"""Which layer is to be mapped, from what a keyword argument can say."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwgym._files import read_toml
from hwgym._names import nearest
from hwgym.workloads import Layer, load_workload
from hwgym.workloads.layer import FIELDS

__all__ = ["find_layer"]

RELEASED = "released/"
SIZES = ("K", "C", "OY", "OX", "R", "S")


def find_layer(given: str | os.PathLike[str] | Layer | Mapping[str, Any]) -> Layer:
    """The layer that is meant.

    Args:
        given: ``ResNet50:20``, the 20th layer of a model of the zoo (or ``ResNet50:conv1``, by its
            name); ``released/ResNet50:20`` of ConfuciuX's released tables, which are GAMMA's, too;
            the path of a ``.toml`` file with a table ``[layer]``; a
            :class:`~hwgym.workloads.Layer`, or a mapping of its fields, of which sizes left out
            are 1.

    Raises:
        ValueError: If a model, a layer or a field is unknown; the message gives the nearest.
        OSError: If the file cannot be read.
    """
    if isinstance(given, Layer):
        return given
    if isinstance(given, Mapping):
        return _of_fields(given)
    if Path(given).suffix.lower() == ".toml":
        return _of_file(given)
    if not isinstance(given, str) or ":" not in given:
        raise ValueError(
            "a layer is given as Model:number (ResNet50:20), released/Model:number, a .toml file, "
            f"a Layer or a mapping of its fields, got {given!r}"
        )
    model, _, which = given.removeprefix(RELEASED).rpartition(":")
    network = load_workload(model, released=given.startswith(RELEASED))
    layers = network.layers
    if which.isascii() and which.isdecimal():
        if not 1 <= int(which) <= len(layers):
            raise ValueError(f"{network.name} has layers 1..{len(layers)}, got {given!r}")
        return layers[int(which) - 1]
    named = {layer.name: layer for layer in layers}
    if which not in named:
        raise ValueError(nearest(f"layer of {network.name}", which, named))
    return named[which]


def _of_fields(given: Mapping[str, Any]) -> Layer:
    for name in given:
        if name not in FIELDS:
            raise ValueError(nearest("field of a layer", name, FIELDS))
    kind = given.get("kind", "CONV")
    sizes = dict.fromkeys(SIZES, 1)
    return Layer(**{"name": "layer", "kind": kind, **sizes, **given})


def _of_file(path: str | os.PathLike[str]) -> Layer:
    found = read_toml(path)
    if set(found) != {"layer"} or not isinstance(found["layer"], dict):
        raise ValueError(f"{path}: a table [layer] is wanted, and nothing else")
    table = {"name": Path(path).stem, **found["layer"]}
    try:
        return _of_fields(table)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
