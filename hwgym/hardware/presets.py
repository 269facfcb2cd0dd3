"""Constants given by name, as an object, or as a mapping of its fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, ClassVar, Protocol, TypeVar

from hwgym._names import nearest

__all__ = ["chosen", "made", "needed"]


class Record(Protocol):
    """A dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


T = TypeVar("T", bound=Record)


def needed(kind: type[Record]) -> list[str]:
    """The fields that have no default."""
    return [f.name for f in fields(kind) if f.default is f.default_factory is MISSING]


def made(kind: type[T], what: str, given: Mapping[str, Any]) -> T:
    """The dataclass of these fields; ``what`` is its name in errors.

    Raises:
        ValueError: If a field is unknown, or one without a default is missing.
    """
    names = [f.name for f in fields(kind)]
    for name in given:
        if name not in names:
            raise ValueError(nearest(f"field of a {what}", name, names))
    if missing := [name for name in needed(kind) if name not in given]:
        raise ValueError(f"a {what} needs {', '.join(missing)}, too")
    return kind(**given)


def chosen(kind: type[T], what: str, presets: Mapping[str, T], given: object) -> T:
    """``given`` itself if it is one, made from a mapping, or the preset of that name.

    Raises:
        ValueError: As :func:`made`; or if the name is unknown, with the nearest one.
    """
    if isinstance(given, kind):
        return given
    if isinstance(given, Mapping):
        return made(kind, what, given)
    if not isinstance(given, str) or given not in presets:
        raise ValueError(nearest(what, given, presets))
    return presets[given]
