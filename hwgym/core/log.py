"""Episode logs: what an agent did, one row an episode, in Parquet.

A log is a folder of part files. Each part is written whole and then moved into place, so a run
that is killed at any moment leaves a readable log of all but its last batch. Any Parquet reader
opens the folder as one table.

| column | type | what |
| --- | --- | --- |
| ``run_id`` | string | the same for all rows of a run |
| ``agent``, ``env_id``, ``seed`` | string, string, int64 | what ran, on what |
| ``episode``, ``sample`` | int64 | counted from 0 |
| ``genes`` | list of list of int32 | a row a step: the choice on each axis; shorter where the \
episode broke off |
| ``step_cost``, ``step_used``, ``step_valid`` | list of double, double, bool | what each of those \
steps added, where costs are separable |
| ``step_{metric}`` | list of double | and to each metric |
| ``objective``, ``used``, ``{metric}`` | double | of those steps together |
| ``return`` | double | undiscounted; null where the agent has none |
| ``feasible`` | bool | complete, valid and within budget |
| ``wall_time`` | double | seconds since the run began |

The schema's metadata holds, under the key ``hwgym``, a JSON object: the problem, the environment
spec, the agent's settings and package versions.
"""

from __future__ import annotations

import json
import os
import platform
import uuid
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym._extras import naming
from hwgym._files import replacing
from hwgym.core.actions import actions_of
from hwgym.core.problem import Parts, Problem, Scores, Statement

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "EpisodeLog",
    "LogError",
    "log_episodes",
    "read_episodes",
    "read_settings",
    "read_solutions",
    "to_minari",
]

PACKAGES = ("hwgym", "gymnasium", "numpy", "torch", "stable-baselines3", "sb3-contrib")


class LogError(ValueError):
    """A log that cannot be read, or not for this purpose."""


def _pyarrow() -> Any:
    with naming():
        import pyarrow
        import pyarrow.parquet
    return pyarrow


def key_of(statement: Statement) -> dict[str, Any]:
    """What identifies a problem, as JSON gives it back: two logs belong together if these are
    equal."""
    key: dict[str, Any] = json.loads(json.dumps(dict(statement.key)))
    return key


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
        self._pa = _pyarrow()
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


# --- reading ------------------------------------------------------------------------------------


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
    pa = _pyarrow()
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
    pa = _pyarrow()
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


def to_minari(path: str | os.PathLike[str], dataset_id: str, **about: Any) -> Any:
    """Export a log as a Minari dataset, in the actions and rewards of its environment.

    Observations and rewards are not in a log: they follow from the actions, and are made by playing
    the episodes again.

    Args:
        path: A log with an environment id.
        dataset_id: ``namespace/name-v0``, as Minari asks.
        about: Further arguments of ``minari.create_dataset_from_buffers`` (author, description...).

    Returns:
        The ``minari.MinariDataset``.

    Raises:
        LogError: If the log cannot be read or names no environment.
        ImportError: If Minari is not installed.
    """
    with naming():
        import minari
        from minari.data_collector import EpisodeBuffer
    env_id = read_settings(path).get("env_id")
    if env_id is None:
        raise LogError(f"{path}: names no environment, which Minari needs")
    env = gym.make(env_id)
    space, mode = env.get_wrapper_attr("problem").space, env.get_wrapper_attr("action_mode")
    buffers = []
    for number, value in enumerate(read_episodes(path)["genes"]):
        genes = np.array([np.asarray(step) for step in value], np.int64)
        actions = list(actions_of(space, mode, genes))
        buffer = EpisodeBuffer(id=number, observations=[env.reset()[0]], actions=actions)
        for action in actions:
            observation, reward, terminated, truncated, _ = env.step(action)
            buffer.observations.append(observation)
            buffer.rewards.append(reward)
            buffer.terminations.append(terminated)
            buffer.truncations.append(truncated)
        buffers.append(buffer)
    about = {"eval_env": env_id, **about}
    return minari.create_dataset_from_buffers(dataset_id, buffers, env=env, **about)


# --- logging an environment ---------------------------------------------------------------------


def log_episodes(env: Any, path: str | os.PathLike[str], agent: str = "", seed: int = 0) -> Any:
    """Wrap an environment, scalar or vector, so that its episodes are logged.

    Whatever tells what a choice costs is a sample, and logged: an episode from its first step on,
    also if it is broken off by a reset, and every solution passed to ``evaluate``.

    Args:
        env: An hwgym environment of one problem, in any wrappers.
        path: Folder for the log.
        agent, seed: For its columns.

    Returns:
        The wrapped environment; closing it writes the rest.
    """
    if isinstance(env, gym.vector.VectorEnv):
        return _LogVectorEpisodes(env, path, agent, seed)
    return _LogEpisodes(env, path, agent, seed)


class _LogEpisodes(gym.Wrapper[Any, Any, Any, Any]):
    def __init__(self, env: Any, path: str | os.PathLike[str], agent: str, seed: int) -> None:
        super().__init__(env)
        self.problem: Problem = env.get_wrapper_attr("problem")
        env_id = env.spec.id if env.spec else None
        self.log = EpisodeLog(path, self.problem, agent=agent, env_id=env_id, seed=seed)
        self._return, self._under_way = 0.0, False

    def reset(self, **kwargs: Any) -> Any:
        self._add()
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> Any:
        result = self.env.step(action)
        self._return, self._under_way = self._return + float(result[1]), True
        if result[2] or result[3]:
            self._add()
        return result

    def evaluate(self, assignments: ArrayLike) -> Scores:
        """Score whole solutions; each is an episode of the log."""
        scores = self.problem.evaluate(assignments)
        self.log.add(assignments)
        return scores

    def _add(self) -> None:
        """Log the episode under way, if there is one, as far as it has come."""
        if self._under_way:
            genes = self.env.get_wrapper_attr("genes")
            self.log.add(genes, returns=np.array([self._return]))
        self._return, self._under_way = 0.0, False

    def close(self) -> None:
        self._add()
        self.log.close()
        super().close()


class _LogVectorEpisodes(gym.vector.VectorWrapper):
    def __init__(self, env: Any, path: str | os.PathLike[str], agent: str, seed: int) -> None:
        super().__init__(env)
        spec = env.spec
        self.problem: Problem = self._each("problem")[0]
        env_id = spec.id if spec else None
        self.log = EpisodeLog(path, self.problem, agent=agent, env_id=env_id, seed=seed)
        self._returns = np.zeros(env.num_envs)
        self._under_way = np.zeros(env.num_envs, bool)
        self._over = np.zeros(env.num_envs, bool)

    def _each(self, name: str) -> Any:
        """An attribute of each environment, of ours or of scalar ones in Gymnasium's."""
        base = self.env.unwrapped
        if hasattr(base, "get_attr"):
            return base.get_attr(name)
        value = getattr(base, name)
        return [value] * self.num_envs if isinstance(value, Problem) else value

    def reset(self, **kwargs: Any) -> Any:
        mask = (kwargs.get("options") or {}).get("reset_mask")
        where = np.ones(self.num_envs, bool) if mask is None else mask
        self._break_off(where)
        self._over = self._over & ~where
        return self.env.reset(**kwargs)

    def step(self, actions: Any) -> Any:
        stepped = ~self._over
        result = self.env.step(actions)
        rewards, ended, infos = result[1], result[2] | result[3], result[4]
        self._returns[stepped] += rewards[stepped]
        self._under_way |= stepped
        if ended.any():
            # Where a finished episode is replaced at once, its own info is kept apart.
            last = infos.get("final_info", infos)
            for i in np.flatnonzero(ended):
                self._add(last["assignment"][i], int(i))
        # In the same step the next episode begins at once; else the one that is over waits.
        same_step = self.env.metadata.get("autoreset_mode") is gym.vector.AutoresetMode.SAME_STEP
        self._over = np.zeros_like(ended) if same_step else ended.copy()
        return result

    def evaluate(self, assignments: ArrayLike) -> Scores:
        """Score whole solutions; each is an episode of the log."""
        scores = self.problem.evaluate(assignments)
        self.log.add(assignments)
        return scores

    def _break_off(self, where: Bools) -> None:
        rows = np.flatnonzero(where & self._under_way)
        if len(rows):
            genes = self._each("genes")
            for i in rows:
                self._add(genes[i], int(i))

    def _add(self, genes: Ints, row: int) -> None:
        self.log.add(genes, returns=self._returns[row : row + 1].copy())
        self._returns[row], self._under_way[row] = 0.0, False

    def close(self, **kwargs: Any) -> None:
        self._break_off(np.ones(self.num_envs, bool))
        self.log.close()
        super().close(**kwargs)
