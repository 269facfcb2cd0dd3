"""What to install when a package is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["EXTRAS", "explain", "naming"]

EXTRAS = {
    "PIL": "minari",
    "cmaes": "search",
    "h5py": "minari",
    "matplotlib": "plot",
    "minari": "minari",
    "nbclient": "notebooks",
    "nbformat": "notebooks",
    "neat": "neat",
    "onnx": "onnx",
    "optuna": "search",
    "ortools": "cpsat",
    "pandas": "tables",
    "pebble": "leaderboard",
    "plotly": "interactive",
    "pyarrow": "tables",
    "ray": "ray",
    "rich": "cli",
    "sb3_contrib": "agents",
    "scipy": "milp",
    "stable_baselines3": "agents",
    "torch": "agents",
    "typer": "cli",
    "yaml": "agents",
}
"""The extra that brings a package, by the name that is imported."""


def explain(error: ImportError, extra: str | None = None) -> str:
    """The error's message, with the extra of hwgym that brings the package if it lacks that.

    Args:
        error: What an import raised.
        extra: The extra to name, where several bring the package.
    """
    package = (error.name or "").partition(".")[0]
    message = str(error)
    if package not in EXTRAS or "pip install" in message:
        return message
    return f"no module {package!r}: pip install 'hwgym[{extra or EXTRAS[package]}]'"


@contextmanager
def naming(extra: str | None = None) -> Iterator[None]:
    """Let the imports inside say which extra brings a package that is missing.

    Args:
        extra: The extra to name, where several bring the package.

    Raises:
        ImportError: With :func:`explain`'s message, if something cannot be imported.
    """
    try:
        yield
    except ImportError as error:
        message = explain(error, extra)
        if message == str(error):
            raise
        raise ImportError(message, name=error.name, path=error.path) from error
