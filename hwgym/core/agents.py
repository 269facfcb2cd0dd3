"""Agents: search methods, found by name through the entry-point group ``hwgym.agents``.

Any package can bring its own::

    [project.entry-points."hwgym.agents"]
    my-agent = "my_package:MyAgent"
"""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any, ClassVar, Protocol, runtime_checkable

from hwgym._extras import explain, naming
from hwgym._names import nearest
from hwgym.core.evaluator import Evaluator, Sees

__all__ = ["Agent", "agent_names", "describe_agents", "find_agent"]

GROUP = "hwgym.agents"


@runtime_checkable
class Agent(Protocol):
    """A search method: a class with settings as fields and one method.

    Attributes:
        sees: ``"layers"`` if it uses what each step (layer) cost and took, ``"totals"`` if only the
            totals of a solution and whether it was feasible.

    A class whose ``search`` does the same for every seed says so with a further attribute,
    ``deterministic: ClassVar[bool] = True``; a leaderboard then runs one seed. One whose settings
    matter may declare what is worth trying, ``search_space: ClassVar[Mapping[str, Sequence]]``
    (:mod:`hwgym.leaderboard.draws`); one that begins with the logs of others, ``needs_logs``. One
    that has learnt before says from what, ``fingerprint``: a property with the SHA-256 of the
    checkpoint that it loads, as text; a leaderboard records it with its runs, and runs it again
    only with the same one.
    """

    sees: ClassVar[Sees]

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Ask ``evaluator`` for samples until satisfied, or until it raises BudgetSpent."""
        ...


@cache
def _classes() -> Mapping[str, Any]:
    return {point.name: point for point in entry_points(group=GROUP)}


def agent_names() -> tuple[str, ...]:
    """The names of all installed agents."""
    return tuple(sorted(_classes()))


def find_agent(name: str) -> type[Any]:
    """The agent class of that name.

    Raises:
        ValueError: If there is none; the message gives the nearest name.
        ImportError: If its module, or a package that it needs, cannot be imported; the message
            names the extra that brings the package.
    """
    if name not in _classes():
        raise ValueError(nearest("agent", name, agent_names()))
    with naming():
        found: type[Any] = _classes()[name].load()
    return found


def describe_agents(names: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """What installed agents are: rows with ``agent``, ``about``, ``sees``, ``settings`` (defaults)
    and ``settings_about``; of one that cannot be imported, ``missing`` says why.

    Raises:
        ValueError: If there is no agent of a name.
    """
    described = []
    for name in agent_names() if names is None else names:
        entry: dict[str, Any] = {"agent": name}
        try:
            cls = find_agent(name)
        except ImportError as error:
            described.append(entry | {"missing": explain(error)})
            continue
        entry["about"] = _first_sentence(cls.__doc__)
        entry["sees"] = getattr(cls, "sees", None)
        entry["settings"] = {}
        for each in fields(cls) if is_dataclass(cls) else ():
            default = each.default
            if each.default_factory is not MISSING:
                default = each.default_factory()
            entry["settings"][each.name] = None if default is MISSING else default
        documented = {k: v for base in reversed(cls.__mro__) for k, v in _documented(base).items()}
        entry["settings_about"] = {k: documented.get(k, "") for k in entry["settings"]}
        described.append(entry)
    return described


def _first_sentence(text: str | None) -> str:
    paragraph = " ".join((text or "").strip().partition("\n\n")[0].split())
    return paragraph.partition(". ")[0].rstrip(".")


def _documented(cls: type) -> dict[str, str]:
    """The texts that follow the fields of a class in its source."""
    try:
        [tree] = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return {}
    found = {}
    body = getattr(tree, "body", [])
    for field_, text in itertools.pairwise(body):
        if isinstance(field_, ast.AnnAssign) and isinstance(field_.target, ast.Name):
            value = getattr(text, "value", None)
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found[field_.target.id] = " ".join(value.value.split())
    return found
