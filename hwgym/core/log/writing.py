"""Writing episode logs."""

from __future__ import annotations

import json
import os
import platform
import uuid
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Array, Floats, Ints
from hwgym._files import replacing
from hwgym.core.log.claim import Claim
from hwgym.core.log.reading import LogError, key_of, load_pyarrow, read_episodes, read_settings
from hwgym.core.log.spec import spec_of
from hwgym.core.problem import Problem, Scores

__all__ = ["EpisodeLog", "package_versions", "what_is_logged"]

PACKAGES = ("hwgym", "gymnasium", "numpy", "torch", "stable-baselines3", "sb3-contrib")


class EpisodeLog:
    """Writes a log.

    It holds the folder until it is closed or the process ends: nobody else can write a log there
    meanwhile (:mod:`hwgym.core.log.claim`).

    Args:
        path: Folder to write to; created if need be.
        problem: Whose solutions these are.
        agent, env_id, seed: What ran, on what.
        env: The environment, scalar or vector, whose episodes and returns these are, if they are
            one's.
        settings: The agent's, as JSON values (others are written as text).
        batch: Rows to a part file.
        resume: Go on with a log that the folder holds, if it is of the same problem.

    Raises:
        FileExistsError: If the folder holds a log already, and it is not to be resumed; or if
            another run is writing there.
        LogError: If it is to be resumed, but cannot be read or is of another problem.
        ImportError: If pyarrow is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        problem: Problem,
        *,
        agent: str = "",
        env_id: str | None = None,
        env: Any = None,
        seed: int = 0,
        settings: Mapping[str, Any] | None = None,
        batch: int = 1024,
        resume: bool = False,
    ) -> None:
        self.path = Path(path)
        self._problem, self.agent, self.env_id, self.seed = problem, agent, env_id, seed
        self.batch = batch
        self._pa = load_pyarrow()
        about = {
            "problem": key_of(problem.statement),
            "env_id": env_id,
            "env_spec": spec_of(problem, env_id, env),
            "returns": "agent" if env is None else "environment",
            "agent": agent,
            "seed": seed,
            "settings": dict(settings or {}),
            "packages": {"python": platform.python_version(), **package_versions()},
        }
        self._metrics = tuple(metric.name for metric in problem.statement.metrics)
        self._separable = problem.separable
        self._schema = self._make_schema(json.dumps(about, default=str))
        self._pending: list[dict[str, Array]] = []
        self._waiting = 0
        self.run_id = uuid.uuid4().hex
        self._mark = self.run_id[:8]  # in the names of the parts that this object writes
        made = not self.path.exists()
        self._claim: Claim | None = Claim(self.path, self.run_id)
        try:
            self._begin(resume)
        except BaseException:
            self._claim.release()
            raise
        self._made = made and not self._parts

    def _begin(self, resume: bool) -> None:
        """See what the folder holds."""
        parts = self._files()
        self._parts = len(parts)
        self._episodes = self._unread = 0
        if parts and not resume:
            raise FileExistsError(
                f"{self.path} holds an episode log already; choose another folder"
            )
        if parts:
            if read_settings(self.path)["problem"] != key_of(self._problem.statement):
                raise LogError(f"{self.path}: cannot be resumed, it is a log of another problem")
            rows = read_episodes(self.path)
            self._episodes = self._unread = len(rows)
            self.run_id = rows["run_id"].iloc[0] if len(rows) else self.run_id

    def _files(self) -> list[Path]:
        return sorted(self.path.glob("*.parquet"))

    def add(
        self,
        genes: ArrayLike,
        *,
        scores: Scores | None = None,
        samples: Ints | None = None,
        returns: Floats | None = None,
        wall_time: float | Floats = 0.0,
    ) -> None:
        """Log episodes.

        Args:
            genes: (N, steps, axes), -1 from where an episode broke off.
            scores: What they are worth, with parts where costs are separable; computed if not
                given.
            samples: (N,) sample numbers; by default those of the episodes.
            returns: (N,).
            wall_time: Seconds since the run began, one for all or (N,).

        Raises:
            ValueError: If genes are not solutions of the problem, or the log is closed.
            LogError: If samples begin anew in a log that was to be resumed.
            Withheld: If scores, or their parts, are not given, while an agent searches.
        """
        if self._claim is None:
            raise ValueError(f"{self.path}: the log is closed")
        checked = self._problem.space.check(genes)
        if samples is not None and len(samples) and np.min(samples) < self._unread:
            raise LogError(
                f"{self.path}: cannot be resumed: the log has {self._unread} samples, but the run "
                f"began anew with sample {np.min(samples)}, not from a checkpoint; choose another "
                "folder, or delete this one"
            )
        count = len(checked)
        episodes = np.arange(self._episodes, self._episodes + count)
        self._episodes += count
        columns = {
            "episode": episodes,
            "sample": episodes if samples is None else np.asarray(samples),
            "genes": checked.astype(np.int32),
            "return": np.full(count, np.nan) if returns is None else np.asarray(returns),
            "wall_time": np.broadcast_to(np.asarray(wall_time, dtype=np.float64), count),
            **what_is_logged(self._problem, checked, scores),
        }
        self._pending.append(columns)
        self._waiting += count
        if self._waiting >= self.batch:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting as one more part."""
        if not self._waiting:
            return
        columns = {k: np.concatenate([p[k] for p in self._pending]) for k in self._pending[0]}
        self._write(self._table(columns), self._next_part())
        self._pending, self._waiting = [], 0
        self._parts += 1

    def truncate(self, samples: int) -> None:
        """Drop the episodes from sample number ``samples`` on, as a resumed run will do them again.

        Raises:
            LogError: If there are fewer; then a part of the log is missing.
        """
        self.flush()
        kept, shortened = 0, []
        for part in self._files():
            table = self._pa.parquet.read_table(part)
            rows = np.flatnonzero(table["sample"].to_numpy() < samples)
            kept += len(rows)
            if len(rows) < len(table):
                shortened.append((table.take(rows), part))
        if kept < samples:
            raise LogError(f"{self.path}: has {kept} of the {samples} samples to go on from")
        for table, part in shortened:
            self._write(table, part)
        self._episodes, self._unread = kept, 0

    def close(self) -> None:
        """Write the rest, and give the folder back. A log without an episode gets an empty part, to
        keep its settings."""
        if self._claim is None:
            return
        self.flush()
        if not self._parts:
            self._write(self._schema.empty_table(), self._next_part())
        self._release()

    def _release(self) -> None:
        if self._claim is not None:
            self._claim.release()
            self._claim = None

    def _next_part(self) -> Path:
        """Where the next part goes: a name that no other run gives, so that none is written over
        even where the folder could not be held."""
        return self.path / f"part-{self._parts:05d}-{self._mark}.parquet"

    def _write(self, table: Any, target: Path) -> None:
        """Write a part, whole or not at all."""
        with replacing(target) as partial:
            self._pa.parquet.write_table(table, partial, compression="zstd")

    def __enter__(self) -> EpisodeLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close it; if an error came before the first episode, leave nothing."""
        failed = kind is not None and issubclass(kind, Exception)
        if failed and self._made and not self._parts and not self._waiting:
            self._release()
            with suppress(OSError):
                self.path.rmdir()
        else:
            self.close()

    def _table(self, columns: dict[str, Array]) -> Any:
        pa = self._pa
        genes = columns["genes"]
        done = (genes >= 0).all(axis=2)
        offsets = np.concatenate([[0], np.cumsum(done.sum(axis=1))]).astype(np.int32)

        def lists(values: Any) -> Any:
            return pa.ListArray.from_arrays(pa.array(offsets), values)

        axes = genes.shape[2]
        inner = np.arange(0, int(offsets[-1]) * axes + 1, axes, dtype=np.int32)
        count = len(genes)
        data: dict[str, Any] = {
            "run_id": pa.array([self.run_id] * count),
            "agent": pa.array([self.agent] * count),
            "env_id": pa.array([self.env_id] * count, pa.string()),
            "seed": pa.array(np.full(count, self.seed)),
            "genes": lists(
                pa.ListArray.from_arrays(pa.array(inner), pa.array(genes[done].ravel()))
            ),
        }
        for name, values in columns.items():
            if name.startswith("step_"):
                data[name] = lists(pa.array(values[done]))
            elif name == "return":
                data[name] = pa.array(values, mask=np.isnan(values))
            elif name != "genes":
                data[name] = pa.array(values)
        return pa.table({name: data[name] for name in self._schema.names}, schema=self._schema)

    def _make_schema(self, about: str) -> Any:
        pa = self._pa
        number = pa.float64()
        columns = [
            ("run_id", pa.string()),
            ("agent", pa.string()),
            ("env_id", pa.string()),
            ("seed", pa.int64()),
            ("episode", pa.int64()),
            ("sample", pa.int64()),
            ("genes", pa.list_(pa.list_(pa.int32()))),
        ]
        if self._separable:
            columns += [
                ("step_cost", pa.list_(number)),
                ("step_used", pa.list_(number)),
                ("step_valid", pa.list_(pa.bool_())),
                *((f"step_{name}", pa.list_(number)) for name in self._metrics),
            ]
        columns += [
            ("objective", number),
            ("used", number),
            *((name, number) for name in self._metrics),
            ("return", number),
            ("feasible", pa.bool_()),
            ("wall_time", number),
        ]
        return pa.schema(columns, metadata={"hwgym": about})


def what_is_logged(problem: Problem, genes: Ints, scores: Scores | None = None) -> dict[str, Array]:
    """The columns of solutions (N, steps, axes) that follow from the problem.

    Args:
        problem: Whose solutions they are.
        genes: -1 from where an episode broke off.
        scores: What they are worth, if that is known; with parts, if these are known.
    """
    scores = problem.evaluate(genes) if scores is None else scores
    parts = scores.parts
    if parts is None and problem.separable:
        parts = problem.parts(genes)
    names = [metric.name for metric in problem.statement.metrics]
    columns: dict[str, Array] = {
        "objective": scores.objective,
        "used": scores.used,
        "feasible": scores.feasible,
        **{name: scores[name] for name in names},
    }
    if parts is not None:
        join = problem.statement.objective.ufunc
        columns["objective"] = np.where(
            np.isfinite(scores.objective), scores.objective, join.reduce(parts.cost, axis=1)
        )
        columns |= {"step_cost": parts.cost, "step_used": parts.used, "step_valid": parts.valid}
        columns |= {f"step_{name}": parts.metrics[name] for name in names}
    return columns


def package_versions() -> dict[str, str]:
    """The versions of what results may depend on, of those that are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
