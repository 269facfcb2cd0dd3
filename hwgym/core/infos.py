"""LazyDict: an info whose parts are made when they are first looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

__all__ = ["LazyDict"]


class _Later:
    """The values of some keys, not computed yet."""

    __slots__ = ("compute",)

    def __init__(self, compute: Callable[[], Mapping[str, Any]]) -> None:
        self.compute = compute


class LazyDict(dict[str, Any]):
    """A dict that computes what was promised with :meth:`later` when it is first asked for.

    Masks and episode summaries of thousands of environments cost more than their steps, and most
    are never read. Whatever reads a value, copies the dict or compares it, gets plain values.
    """

    def later(self, keys: Iterable[str], compute: Callable[[], Mapping[str, Any]]) -> None:
        """Promise the values of some keys: ``compute()[key]``, called once at most."""
        super().update(dict.fromkeys(keys, _Later(compute)))

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        if type(value) is _Later:
            computed = value.compute()
            for other in list(super().__iter__()):
                if super().__getitem__(other) is value:
                    super().__setitem__(other, computed[other])
            value = super().__getitem__(key)
        return value

    def _resolve(self) -> dict[str, Any]:
        return {key: self[key] for key in super().__iter__()}

    # What dict does in C, past __getitem__.

    def get(self, key: str, default: Any = None) -> Any:
        if key not in self:  # most are asked for keys that only an ended episode has
            return default
        return self[key]

    def pop(self, key: str, *default: Any) -> Any:
        if key in self:
            self[key]
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, Any]:
        self._resolve()
        return super().popitem()

    def setdefault(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else super().setdefault(key, default)

    def values(self) -> Any:
        self._resolve()
        return super().values()

    def items(self) -> Any:
        self._resolve()
        return super().items()

    def __iter__(self) -> Iterator[str]:  # so that dict(self) and {**self} take the way above
        return super().__iter__()

    def copy(self) -> dict[str, Any]:
        return self._resolve()

    def __or__(self, other: Any) -> Any:
        return self._resolve() | other

    def __ror__(self, other: Any) -> Any:
        return other | self._resolve()

    def __eq__(self, other: object) -> bool:
        return self._resolve() == other

    def __ne__(self, other: object) -> bool:
        return self._resolve() != other

    __hash__ = None

    def __repr__(self) -> str:
        return repr(self._resolve())

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (self._resolve(),)
