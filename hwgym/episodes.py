"""Episode logs: what an agent did, one row an episode, in Parquet.

A log is a folder of part files. Each part is written whole and then moved into place, so a run
that is killed at any moment leaves a readable log of all but its last batch. Any Parquet reader
opens the folder as one table.

| column | type | what |
| --- | --- | --- |
| ``run_id`` | string | the same for all rows of a run |
| ``agent``, ``env_id``, ``seed`` | string, string, int64 | what ran, on what |
| ``episode``, ``sample`` | int64 | counted from 0 |
| ``actions`` | list of int16 | action number a layer; shorter where the episode broke off |
| ``layer_latency``, ``layer_energy`` | list of double | of each of those layers |
| ``layer_area``, ``layer_power`` | list of double | of each of those layers |
| ``objective``, ``latency``, ``energy``, ``area``, ``power`` | double | of those layers together |
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
from numpy.typing import NDArray

from hwgym._files import replacing
from hwgym.families.assignment.problem import AssignmentProblem

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "EpisodeLog",
    "LogError",
    "log_episodes",
    "read_assignments",
    "read_episodes",
    "read_settings",
    "to_minari",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

PACKAGES = ("hwgym", "gymnasium", "numpy", "torch", "stable-baselines3", "sb3-contrib")
TABLES = ("latency", "energy", "area", "power")


class LogError(ValueError):
    """A log that cannot be read, or not for this purpose."""


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError("episode logs need pyarrow: pip install 'hwgym[tables]'") from error
    return pyarrow


def describe(problem: AssignmentProblem) -> dict[str, Any]:
    """What identifies a problem, as JSON values: two logs belong together if these are equal."""
    space = problem.space
    return {
        "workload": space.workload.name,
        "layers": [[*layer.shape, layer.repeat] for layer in space.workload],
        "dataflows": [d.name for d in space.dataflows],
        "pe_levels": list(space.pe_levels),
        "tile_levels": list(space.tile_levels),
        "technology": space.hardware.tech.name,
        "hardware": {
            n: int(np.asarray(getattr(space.hardware, n))) for n in space.hardware.numbers()
        },
        "accounting": space.accounting,
        "objective": problem.objective,
        "constraint": problem.constraint,
        "budget": problem.budget,
        "deployment": problem.deployment,
    }


class EpisodeLog:
    """Writes a log.

    Args:
        path: Folder to write to; created if need be.
        problem: Whose assignments these are.
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
        problem: AssignmentProblem,
        *,
        agent: str = "",
        env_id: str | None = None,
        seed: int = 0,
        settings: Mapping[str, Any] | None = None,
        batch: int = 1024,
        resume: bool = False,
    ) -> None:
        self.path = Path(path)
        self.problem, self.agent, self.env_id, self.seed = problem, agent, env_id, seed
        self.batch = batch
        self._pa = _pyarrow()
        self.path.mkdir(parents=True, exist_ok=True)
        parts = sorted(self.path.glob("*.parquet"))
        if parts and not resume:
            raise FileExistsError(
                f"{self.path} holds an episode log already; choose another folder"
            )
        if parts and read_settings(self.path)["problem"] != describe(problem):
            raise LogError(f"{self.path}: cannot be resumed, it is a log of another problem")
        self.run_id = uuid.uuid4().hex
        spec = gym.spec(env_id) if env_id is not None and env_id in gym.registry else None
        about = {
            "problem": describe(problem),
            "env_id": env_id,
            "env_spec": None if spec is None else json.loads(spec.to_json()),
            "agent": agent,
            "seed": seed,
            "settings": dict(settings or {}),
            "packages": {"python": platform.python_version(), **package_versions()},
        }
        self._schema = _schema(self._pa, json.dumps(about, default=str))
        self._pending: list[dict[str, Any]] = []
        self._waiting = 0
        self._parts = len(parts)
        self._episodes = 0
        if parts:
            rows = read_episodes(self.path)
            self._episodes = len(rows)
            self.run_id = rows["run_id"].iloc[0] if len(rows) else self.run_id
        self._steps = np.arange(problem.num_steps)

    def add(
        self,
        actions: Ints,
        *,
        samples: Ints | None = None,
        returns: Floats | None = None,
        wall_time: float | Floats = 0.0,
    ) -> None:
        """Log episodes.

        Args:
            actions: Action numbers (N, steps), -1 from where an episode broke off.
            samples: (N,) sample numbers; by default those of the episodes.
            returns: (N,).
            wall_time: Seconds since the run began, one for all or (N,).
        """
        count = len(actions)
        episodes = np.arange(self._episodes, self._episodes + count)
        self._episodes += count
        self._pending.append(
            {
                "episode": episodes,
                "sample": episodes if samples is None else np.asarray(samples),
                "actions": np.array(actions, dtype=np.int16),
                "return": np.full(count, np.nan) if returns is None else np.asarray(returns),
                "wall_time": np.broadcast_to(np.asarray(wall_time, dtype=np.float64), count),
            }
        )
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

    def _table(self, columns: dict[str, Any]) -> Any:
        pa, p = self._pa, self.problem
        actions = columns["actions"]
        done = actions >= 0
        chosen = np.where(done, actions, 0).astype(np.int64)
        complete = done.all(axis=1)
        offsets = np.concatenate([[0], np.cumsum(done.sum(axis=1))]).astype(np.int32)

        def lists(values: NDArray[Any]) -> Any:
            return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values[done]))

        layers = {n: getattr(p, n)[self._steps, chosen] for n in TABLES}
        cost = np.where(done, p.cost[self._steps, chosen], 0.0)
        scores = p.evaluate_actions(chosen)
        add_up = np.maximum if p.objective == "throughput" else np.add
        count = len(actions)
        returns = columns["return"]
        data = {
            "run_id": pa.array([self.run_id] * count),
            "agent": pa.array([self.agent] * count),
            "env_id": pa.array([self.env_id] * count, pa.string()),
            "seed": pa.array(np.full(count, self.seed)),
            "episode": pa.array(columns["episode"]),
            "sample": pa.array(columns["sample"]),
            "actions": lists(actions),
            **{f"layer_{n}": lists(values) for n, values in layers.items()},
            "objective": pa.array(add_up.reduce(cost, axis=1)),
            **{n: pa.array(np.where(done, layers[n], 0.0).sum(axis=1)) for n in TABLES},
            "return": pa.array(returns, mask=np.isnan(returns)),
            "feasible": pa.array(scores.feasible & complete),
            "wall_time": pa.array(columns["wall_time"]),
        }
        return pa.table(data, schema=self._schema)


def _schema(pa: Any, about: str) -> Any:
    number = pa.float64()
    return pa.schema(
        [
            ("run_id", pa.string()),
            ("agent", pa.string()),
            ("env_id", pa.string()),
            ("seed", pa.int64()),
            ("episode", pa.int64()),
            ("sample", pa.int64()),
            ("actions", pa.list_(pa.int16())),
            *((f"layer_{n}", pa.list_(number)) for n in TABLES),
            ("objective", number),
            *((n, number) for n in TABLES),
            ("return", number),
            ("feasible", pa.bool_()),
            ("wall_time", number),
        ],
        metadata={"hwgym": about},
    )


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


def read_assignments(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], problem: AssignmentProblem
) -> tuple[Ints, int]:
    """The complete assignments in logs of a problem, as action numbers.

    Returns:
        (N, steps) int64 in the order written, and how many rows were left out as broken off or
        damaged: of another length, or with an action that the problem does not have.

    Raises:
        LogError: If a log cannot be read or is of another problem; the message says how it differs.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    for path in given:
        check_problem(path, problem)
    rows = read_episodes(given)["actions"]
    whole = [r for r in rows if r is not None and len(r) == problem.num_steps]
    actions = np.array(whole, dtype=np.int64).reshape(-1, problem.num_steps)
    known = ((actions >= 0) & (actions < problem.num_actions)).all(axis=1)
    return actions[known], len(rows) - int(known.sum())


def check_problem(path: str | os.PathLike[str], problem: AssignmentProblem) -> None:
    """See that a log is of that problem.

    Raises:
        LogError: If it is not, or cannot be read; the message says how it differs.
    """
    wanted, found = describe(problem), read_settings(path)["problem"]
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
    """Export a log as a Minari dataset, in ``multi_discrete`` actions and shaped rewards.

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
    try:
        import minari
        from minari.data_collector import EpisodeBuffer
    except ImportError as error:
        raise ImportError("to_minari needs Minari: pip install 'minari[hdf5]'") from error
    env_id = read_settings(path).get("env_id")
    if env_id is None:
        raise LogError(f"{path}: names no environment, which Minari needs")
    env = gym.make(env_id)
    space = env.get_wrapper_attr("problem").space
    buffers = []
    for number, actions in enumerate(read_episodes(path)["actions"]):
        levels = space.decode(np.asarray(actions, dtype=np.int64))
        buffer = EpisodeBuffer(id=number, observations=[env.reset()[0]], actions=list(levels))
        for action in levels:
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

    Args:
        env: An hwgym environment, in any wrappers.
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
        self.log = EpisodeLog(
            path,
            env.get_wrapper_attr("problem"),
            agent=agent,
            env_id=env.spec.id if env.spec else None,
            seed=seed,
        )
        self._return = 0.0

    def reset(self, **kwargs: Any) -> Any:
        self._return = 0.0
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._return += float(reward)
        if terminated or truncated:
            self.log.add(
                _actions(self.log.problem, info["assignment"])[None],
                returns=np.array([self._return]),
            )
        return observation, reward, terminated, truncated, info

    def close(self) -> None:
        self.log.close()
        super().close()


class _LogVectorEpisodes(gym.vector.VectorWrapper):
    def __init__(self, env: Any, path: str | os.PathLike[str], agent: str, seed: int) -> None:
        super().__init__(env)
        problem = _vector_problem(env)
        spec = env.spec
        self.log = EpisodeLog(
            path, problem, agent=agent, env_id=spec.id if spec else None, seed=seed
        )
        self._returns = np.zeros(env.num_envs)

    def reset(self, **kwargs: Any) -> Any:
        mask = (kwargs.get("options") or {}).get("reset_mask")
        self._returns[slice(None) if mask is None else mask] = 0.0
        return self.env.reset(**kwargs)

    def step(self, actions: Any) -> Any:
        result = self.env.step(actions)
        rewards, ended, infos = result[1], result[2] | result[3], result[4]
        self._returns += rewards
        if ended.any():
            # Where a finished episode is replaced at once, its own info is kept apart.
            last = infos.get("final_info", infos)
            for i in np.flatnonzero(ended):
                self.log.add(
                    _actions(self.log.problem, last["assignment"][i])[None],
                    returns=self._returns[i : i + 1].copy(),
                )
            self._returns[ended] = 0.0
        return result

    def close(self, **kwargs: Any) -> None:
        self.log.close()
        super().close(**kwargs)


def _vector_problem(env: Any) -> AssignmentProblem:
    if hasattr(env.unwrapped, "problem"):
        problem: AssignmentProblem = env.unwrapped.problem
        return problem
    found: AssignmentProblem = env.get_attr("problem")[0]
    return found


def _actions(problem: AssignmentProblem, assignment: NDArray[Any]) -> Ints:
    """Action numbers (steps,) of an ``info["assignment"]``, -1 where it has none."""
    done = assignment[:, 0] >= 0
    actions = np.full(problem.num_steps, -1, np.int64)
    actions[done] = problem.space.encode(assignment[done].astype(np.int64))
    return actions
