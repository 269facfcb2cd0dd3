"""Writing episode logs."""

from __future__ import annotations

import json
import os
import platform
import uuid
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Array, Floats, Ints
from hwgym._files import replacing
from hwgym.core.log.reading import LogError, key_of, load_pyarrow, read_episodes, read_settings
from hwgym.core.problem import Problem, Scores

__all__ = ["EpisodeLog", "package_versions"]

PACKAGES = ("hwgym", "gymnasium", "numpy", "torch", "stable-baselines3", "sb3-contrib")


class EpisodeLog:
    """Writes a log.

    Args:
        path: Folder to write to; created if need be.
        problem: Whose solutions these are.
        agent, env_id, seed: What ran, on what.
        settings: The agent's, as JSON values (others are written as text).
        batch: Rows to a part file.
        resume: Go on with a log that the folder holds, if it is of the same problem.

    Raises:
        FileExistsError: If the folder holds a log already, and it is not to be resumed.
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
        seed: int = 0,
        settings: Mapping[str, Any] | None = None,
        batch: int = 1024,
        resume: bool = False,
    ) -> None:
        self.path = Path(path)
        self._problem, self.agent, self.env_id, self.seed = problem, agent, env_id, seed
        self.batch = batch
        self._pa = load_pyarrow()
        self.path.mkdir(parents=True, exist_ok=True)
        parts = sorted(self.path.glob("*.parquet"))
        if parts and not resume:
            raise FileExistsError(
                f"{self.path} holds an episode log already; choose another folder"
            )
        if parts and read_settings(self.path)["problem"] != key_of(problem.statement):
            raise LogError(f"{self.path}: cannot be resumed, it is a log of another problem")
        self.run_id = uuid.uuid4().hex
        spec = gym.spec(env_id) if env_id is not None and env_id in gym.registry else None
        about = {
            "problem": key_of(problem.statement),
            "env_id": env_id,
            "env_spec": None if spec is None else json.loads(spec.to_json()),
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
        self._parts = len(parts)
        self._episodes = 0
        if parts:
            rows = read_episodes(self.path)
            self._episodes = len(rows)
            self.run_id = rows["run_id"].iloc[0] if len(rows) else self.run_id

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
            ValueError: If genes are not solutions of the problem.
            Withheld: If scores are not given, while an agent searches.
        """
        checked = self._problem.space.check(genes)
        if scores is None or (self._separable and scores.parts is None):
            scores = self._problem.evaluate(checked)
            parts = self._problem.parts(checked)
        else:
            parts = scores.parts
        count = len(checked)
        episodes = np.arange(self._episodes, self._episodes + count)
        self._episodes += count
        columns = {
            "episode": episodes,
            "sample": episodes if samples is None else np.asarray(samples),
            "genes": checked.astype(np.int32),
            "objective": scores.objective,
            "used": scores.used,
            "feasible": scores.feasible,
            "return": np.full(count, np.nan) if returns is None else np.asarray(returns),
            "wall_time": np.broadcast_to(np.asarray(wall_time, dtype=np.float64), count),
            **{name: scores[name] for name in self._metrics},
        }
        if parts is not None:
            join = self._problem.statement.objective.ufunc
            columns["objective"] = np.where(
                np.isfinite(scores.objective), scores.objective, join.reduce(parts.cost, axis=1)
            )
            columns |= {"step_cost": parts.cost, "step_used": parts.used, "step_valid": parts.valid}
            columns |= {f"step_{name}": parts.metrics[name] for name in self._metrics}
        self._pending.append(columns)
        self._waiting += count
        if self._waiting >= self.batch:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting as one more part."""
        if not self._waiting:
            return
        columns = {k: np.concatenate([p[k] for p in self._pending]) for k in self._pending[0]}
        self._write(self._table(columns), self.path / f"part-{self._parts:05d}.parquet")
        self._pending, self._waiting = [], 0
        self._parts += 1

    def truncate(self, samples: int) -> None:
        """Drop the episodes from sample number ``samples`` on, as a resumed run will do them again.

        Raises:
            LogError: If there are fewer; then a part of the log is missing.
        """
        self.flush()
        kept = 0
        for part in sorted(self.path.glob("*.parquet")):
            table = self._pa.parquet.read_table(part)
            rows = np.flatnonzero(table["sample"].to_numpy() < samples)
            kept += len(rows)
            if len(rows) < len(table):
                self._write(table.take(rows), part)
        if kept < samples:
            raise LogError(f"{self.path}: has {kept} of the {samples} samples to go on from")
        self._episodes = kept

    def close(self) -> None:
        """Write the rest. A log without an episode gets an empty part, to keep its settings."""
        self.flush()
        if not self._parts:
            self._write(self._schema.empty_table(), self.path / "part-00000.parquet")

    def _write(self, table: Any, target: Path) -> None:
        """Write a part, whole or not at all."""
        with replacing(target) as partial:
            self._pa.parquet.write_table(table, partial, compression="zstd")

    def __enter__(self) -> EpisodeLog:
        return self

    def __exit__(self, *_: object) -> None:
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


def package_versions() -> dict[str, str]:
    """The versions of what results may depend on, of those that are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
