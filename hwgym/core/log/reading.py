"""Reading episode logs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym._extras import naming
from hwgym.core.problem import Parts, Scores, Statement

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "LogError",
    "check_statement",
    "key_of",
    "load_pyarrow",
    "read_episodes",
    "read_settings",
    "read_solutions",
]


class LogError(ValueError):
    """A log that cannot be read, or not for this purpose."""


def load_pyarrow() -> Any:
    """Pyarrow, or an error that names the extra."""
    with naming():
        import pyarrow
        import pyarrow.parquet
    return pyarrow


def key_of(statement: Statement) -> dict[str, Any]:
    """What identifies a problem, as JSON gives it back: two logs belong together if these are
    equal."""
    key: dict[str, Any] = json.loads(json.dumps(dict(statement.key)))
    return key


def _files(path: str | os.PathLike[str]) -> list[Path]:
    where = Path(path)
    files = sorted(where.glob("*.parquet")) if where.is_dir() else [where]
    if not files or not files[0].exists():
        raise LogError(f"{where}: no episode log there (a folder of .parquet parts, or one file)")
    return files


def read_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a log's metadata says: problem, environment spec, agent, settings, versions.

    Raises:
        LogError: If there is no log, or it cannot be read.
    """
    pa = load_pyarrow()
    first = _files(path)[0]
    try:
        metadata = pa.parquet.read_schema(first).metadata or {}
    except pa.ArrowInvalid as error:
        raise LogError(f"{first}: not a readable Parquet file ({error})") from error
    if b"hwgym" not in metadata:
        raise LogError(f"{first}: a Parquet file, but not an hwgym episode log")
    about: dict[str, Any] = json.loads(metadata[b"hwgym"])
    return about


def read_episodes(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
) -> pd.DataFrame:
    """One or many logs as one pandas DataFrame, in the order written.

    Raises:
        LogError: If one does not exist or cannot be read.
        ImportError: If pandas or pyarrow is not installed.
    """
    pa = load_pyarrow()
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    tables = []
    for path in given:
        read_settings(path)
        for file in _files(path):
            try:
                tables.append(pa.parquet.read_table(file).replace_schema_metadata(None))
            except (pa.ArrowInvalid, OSError) as error:
                raise LogError(f"{file}: not a readable Parquet file ({error})") from error
    frame: pd.DataFrame = pa.concat_tables(tables).to_pandas()
    return frame


def read_solutions(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], statement: Statement
) -> tuple[Ints, Scores, int]:
    """The complete solutions in logs of a problem, with the scores that the logs give them.

    Nothing is looked up in the problem: whoever reads a log learns what its run has paid for.

    Returns:
        Genes (N, steps, axes) in the order written; their scores, with parts where the logs have
        them; and how many rows were left out as broken off or damaged: of another length, or with
        a choice that the problem does not have.

    Raises:
        LogError: If a log cannot be read or is of another problem; the message says how it differs.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    for path in given:
        check_statement(path, statement)
    rows = read_episodes(given)
    space, shape = statement.space, np.array(statement.space.shape)
    wanted = (space.num_steps, len(shape))

    def solution(value: Any) -> Ints | None:
        try:
            genes = np.array([np.asarray(step) for step in value], dtype=np.int64)
        except (TypeError, ValueError):
            return None
        known = genes.shape == wanted and bool(((genes >= 0) & (genes < shape)).all())
        return genes if known else None

    found = [solution(value) for value in rows["genes"]]
    whole = np.array([genes is not None for genes in found], bool)
    genes = np.array([g for g in found if g is not None], np.int64).reshape(-1, *wanted)
    kept = rows[whole]

    def numbers(column: str) -> Floats:
        values: Floats = kept[column].to_numpy(np.float64)
        return values

    def lists(column: str, kind: Any = np.float64) -> Array:
        return np.array(kept[column].tolist(), kind).reshape(-1, space.num_steps)

    names = [metric.name for metric in statement.metrics]
    feasible: Bools = kept["feasible"].to_numpy(bool)
    valid: Bools = feasible
    parts = None
    if "step_cost" in kept:
        parts = Parts(
            cost=lists("step_cost"),
            used=lists("step_used"),
            valid=lists("step_valid", bool),
            metrics={name: lists(f"step_{name}") for name in names},
        )
        valid = np.logical_and.reduce(parts.valid, axis=1)
    scores = Scores(
        objective=np.where(valid, numbers("objective"), np.inf),
        used=numbers("used"),
        valid=valid,
        feasible=feasible,
        metrics={name: numbers(name) for name in names},
        parts=parts,
    )
    return genes, scores, len(rows) - len(kept)


def check_statement(path: str | os.PathLike[str], statement: Statement) -> None:
    """See that a log is of that problem.

    Raises:
        LogError: If it is not, or cannot be read; the message says how it differs.
    """
    wanted, found = key_of(statement), read_settings(path)["problem"]
    if different := [k for k in wanted if found.get(k) != wanted[k]]:
        key = different[0]
        raise LogError(
            f"{path}: a log of another problem: {', '.join(different)} differ "
            f"({key}: {_short(found.get(key))} there, {_short(wanted[key])} here)"
        )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < 60 else text[:57] + "..."
