"""The veil: while an agent searches, what it has not paid for is withheld.

:func:`hwgym.core.solve` searches behind the veil. There the evaluator alone looks at the problem
(:func:`lifted`); whoever else asks a problem for its optimum, its tables or an evaluation gets
:class:`Withheld`, also of a problem that was built anew from its names. It stops mistakes and open
cheating. It is no prison: Python has none, and an agent may always compute costs with the cost
model itself. So results are called self-reported until somebody has read and repeated them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar, cast

__all__ = ["Withheld", "check_lifted", "is_veiled", "lifted", "veiled", "withheld"]

Method = TypeVar("Method", bound=Callable[..., Any])

_veiled: ContextVar[bool] = ContextVar("hwgym_veiled", default=False)


is_veiled = _veiled.get
"""Whether an agent is searching; for who asks at every step, and has no time for more."""


class Withheld(RuntimeError):
    """An agent asked, while searching, for what it has not paid for."""


@contextmanager
def veiled() -> Iterator[None]:
    """Withhold optima, tables and evaluations that nobody has paid for."""
    token = _veiled.set(True)
    try:
        yield
    finally:
        _veiled.reset(token)


@contextmanager
def lifted() -> Iterator[None]:
    """For the evaluator, which keeps the account."""
    token = _veiled.set(False)
    try:
        yield
    finally:
        _veiled.reset(token)


def check_lifted(what: str) -> None:
    """See that something may be looked at.

    Raises:
        Withheld: Behind the veil.
    """
    if _veiled.get():
        raise Withheld(
            f"{what} is withheld while an agent searches: it sees evaluator.statement and buys "
            "samples with evaluator.evaluate(genes) or evaluator.environment(...)"
        )


def withheld(what: str) -> Callable[[Method], Method]:
    """A method that looks first whether it may."""

    def guard(method: Method) -> Method:
        @wraps(method)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            check_lifted(what)
            return method(*args, **kwargs)

        return cast(Method, guarded)

    return guard
