"""What to install when a package is missing."""

from __future__ import annotations

__all__ = ["explain"]

EXTRAS = {
    "cmaes": "search",
    "h5py": "minari",
    "matplotlib": "plot",
    "minari": "minari",
    "onnx": "onnx",
    "optuna": "search",
    "pandas": "tables",
    "plotly": "interactive",
    "pyarrow": "tables",
    "rich": "cli",
    "sb3_contrib": "agents",
    "scipy": "milp",
    "stable_baselines3": "agents",
    "torch": "agents",
    "typer": "cli",
    "yaml": "agents",
}


def explain(error: ImportError) -> str:
    """The error's message, with the extra of hwgym that brings the package if it lacks that."""
    package = (error.name or "").partition(".")[0]
    message = str(error)
    if package not in EXTRAS or "pip install" in message:
        return message
    return f"no module {package!r}: pip install 'hwgym[{EXTRAS[package]}]'"
