"""The episode log: what was done, read back; what cannot be used says why."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest
from tiny_families import Bags, Tour

import hwgym
from hwgym.core import (
    EpisodeLog,
    LogError,
    log_episodes,
    read_episodes,
    read_settings,
    read_solutions,
    solve,
    to_minari,
)
from hwgym.core.actions import actions_of
from hwgym.core.log import check_statement, key_of
from hwgym.core.log.claim import Claim

TINY = hwgym.Workload(
    "tiny",
    (
        hwgym.Layer.conv("a", in_channels=3, out_channels=8, input_size=12, kernel=3),
        hwgym.Layer.conv("b", in_channels=8, out_channels=16, input_size=10, kernel=3),
        hwgym.Layer.gemm("c", M=4, N=10, K=16),
    ),
)
METRICS = ("latency", "energy", "area", "power")


@pytest.fixture
def problem():
    return hwgym.AssignmentProblem.of(TINY, ratio=0.4, pe_levels=(1, 4, 16), tile_levels=(1, 2, 4))


def draw(problem, count, seed=0):
    return problem.space.draw(np.random.default_rng(seed), count)


def genes_of(frame):
    return [[list(step) for step in value] for value in frame["genes"]]


def part_of(log):
    [part] = log.glob("*.parquet")
    return part


class Drawing:
    """An agent that evaluates random solutions until it is stopped."""

    sees = "totals"

    def search(self, evaluator, seed):
        for i in range(1000):
            evaluator.evaluate(evaluator.space.draw(np.random.default_rng(seed + i), 7))


def test_a_log_holds_what_was_done(problem, tmp_path):
    result = solve(Drawing(), problem, samples=50, seed=1, log=tmp_path / "log")
    frame = read_episodes(tmp_path / "log")
    assert len(frame) == 50
    genes = np.array(genes_of(frame))
    scores, parts = problem.evaluate(genes), problem.parts(genes)
    valid = scores.valid
    np.testing.assert_array_equal(frame["objective"][valid], scores.objective[valid])
    for name in METRICS:
        np.testing.assert_array_equal(frame[name], scores[name])
    np.testing.assert_array_equal(frame["used"], scores.used)
    np.testing.assert_array_equal(frame["feasible"], scores.feasible)
    np.testing.assert_array_equal(frame["sample"], np.arange(50))
    np.testing.assert_array_equal(frame["episode"], np.arange(50))
    assert frame["return"].isna().all()
    assert frame["objective"][frame["feasible"]].min() == result.objective
    steps, numbers = np.arange(3), problem.space.encode(genes)
    tables = problem.tables
    for column, table in [
        ("step_cost", tables.cost),
        ("step_used", tables.usage),
        ("step_valid", tables.valid),
        *((f"step_{name}", tables.metrics[name]) for name in METRICS),
    ]:
        np.testing.assert_array_equal(np.stack(frame[column].to_list()), table[steps, numbers])
    np.testing.assert_array_equal(np.stack(frame["step_cost"].to_list()), parts.cost)
    assert frame["run_id"].nunique() == 1
    assert set(frame["agent"]) == {"Drawing"}
    assert set(frame["seed"]) == {1}
    assert (np.diff(frame["wall_time"]) >= 0).all()
    # Any Parquet reader opens the folder.
    assert len(pd.read_parquet(tmp_path / "log")) == 50


def test_the_columns(problem, tmp_path):
    """The order and the types that the module's table promises."""
    EpisodeLog(tmp_path / "log", problem).close()
    import pyarrow.parquet as pq

    schema = pq.read_schema(part_of(tmp_path / "log"))
    number = "list<element: double>"
    assert [(f.name, str(f.type).replace("item:", "element:")) for f in schema] == [
        ("run_id", "string"), ("agent", "string"), ("env_id", "string"), ("seed", "int64"),
        ("episode", "int64"), ("sample", "int64"),
        ("genes", "list<element: list<element: int32>>"),
        ("step_cost", number), ("step_used", number), ("step_valid", "list<element: bool>"),
        *((f"step_{name}", number) for name in METRICS),
        ("objective", "double"), ("used", "double"), *((name, "double") for name in METRICS),
        ("return", "double"), ("feasible", "bool"), ("wall_time", "double"),
    ]  # fmt: skip


def test_a_problem_without_parts_has_no_columns_of_steps(tmp_path):
    tour = Tour.of(4)
    solve(Drawing(), tour, samples=20, log=tmp_path / "log")
    frame = read_episodes(tmp_path / "log")
    assert list(frame) == [
        "run_id", "agent", "env_id", "seed", "episode", "sample", "genes",
        "objective", "used", "return", "feasible", "wall_time",
    ]  # fmt: skip
    genes, scores, left_out = read_solutions(tmp_path / "log", tour.statement)
    expected = tour.evaluate(genes)
    np.testing.assert_array_equal(frame["objective"], expected.objective)
    # Without parts a log does not tell an invalid solution from one beyond the limit.
    np.testing.assert_array_equal(scores.valid, expected.feasible)
    np.testing.assert_array_equal(scores.objective, expected.objective)
    assert scores.parts is None
    assert left_out == 0


def test_solutions_are_read_with_the_scores_of_the_log(problem, tmp_path, monkeypatch):
    for seed in (0, 1):
        solve(Drawing(), problem, samples=30, seed=seed, log=tmp_path / str(seed))
    expected_genes = np.concatenate([
        np.array(genes_of(read_episodes(tmp_path / s))) for s in ("0", "1")
    ])  # fmt: skip
    expected, parts = problem.evaluate(expected_genes), problem.parts(expected_genes)
    for door in ("score", "part", "certify", "make_tables"):  # nothing is looked up
        monkeypatch.setattr(type(problem), door, None)
    paths = [tmp_path / "0", tmp_path / "1"]
    genes, scores, left_out = read_solutions(paths, problem.statement)
    np.testing.assert_array_equal(genes, expected_genes)
    assert genes.dtype == np.int64
    assert left_out == 0
    for name in ("objective", "used", "valid", "feasible"):
        np.testing.assert_array_equal(getattr(scores, name), getattr(expected, name))
    for name in METRICS:
        np.testing.assert_array_equal(scores[name], expected[name])
        np.testing.assert_array_equal(scores.parts.metrics[name], parts.metrics[name])
    for name in ("cost", "used", "valid"):
        np.testing.assert_array_equal(getattr(scores.parts, name), getattr(parts, name))


def test_settings_travel_with_the_log(tmp_path):
    env = log_episodes(gym.make("HWAssign-AlexNet-NVDLA-v0"), tmp_path / "log", agent="me")
    env.close()
    about = read_settings(tmp_path / "log")
    assert about["env_id"] == "HWAssign-AlexNet-NVDLA-v0"
    assert about["env_spec"]["id"] == "HWAssign-AlexNet-NVDLA-v0"
    assert about["agent"] == "me"
    assert about["problem"] == key_of(env.unwrapped.problem.statement)
    assert about["problem"]["workload"] == "AlexNet"
    assert about["problem"]["family"] == "assignment"
    assert about["packages"]["numpy"] == np.__version__
    assert len(read_episodes(tmp_path / "log")) == 0


def test_a_killed_run_leaves_a_readable_log(problem, tmp_path):
    log = EpisodeLog(tmp_path / "log", problem, batch=10)
    for i in range(5):
        log.add(draw(problem, 7, i))
    (tmp_path / "log" / "part-00009.tmp").write_bytes(b"half a part")
    del log  # never closed: the 7 rows that were waiting are lost, the rest is there
    assert len(read_episodes(tmp_path / "log")) == 28


def test_broken_off_episodes_are_shorter(problem, tmp_path):
    numbers = np.array([[0, 1, -1], [0, 0, 0]])
    with EpisodeLog(tmp_path / "log", problem) as log:
        log.add(problem.space.decode(numbers), returns=np.array([-1.0, 0.5]))
    frame = read_episodes(tmp_path / "log")
    assert [len(g) for g in frame["genes"]] == [2, 3]
    assert genes_of(frame)[0] == problem.space.decode([0, 1]).tolist()
    assert frame["feasible"].tolist() == [False, True]
    assert frame["return"].tolist() == [-1.0, 0.5]
    latency = problem.tables.metrics["latency"]
    assert frame["latency"][0] == latency[0, 0] + latency[1, 1]
    assert frame["objective"][0] == problem.cost[0, 0] + problem.cost[1, 1]
    genes, scores, left_out = read_solutions(tmp_path / "log", problem.statement)
    assert genes.tolist() == [[[0, 0]] * 3]
    assert scores.objective.tolist() == [problem.cost[:, 0].sum()]
    assert scores.parts.cost.tolist() == [problem.cost[:, 0].tolist()]
    assert left_out == 1


def test_an_invalid_step_shows_in_the_log(tmp_path):
    bags = Bags.of(3)
    numbers = np.array([[11, 0, 0], [0, 0, 0]])
    assert not bags.valid[0, 11]
    with EpisodeLog(tmp_path / "log", bags) as log:
        log.add(bags.space.decode(numbers))
    frame = read_episodes(tmp_path / "log")
    assert frame["step_valid"][0].tolist() == [False, True, True]
    assert frame["objective"][0] == bags.cost[[0, 1, 2], [11, 0, 0]].sum()  # what its steps say
    _, scores, _ = read_solutions(tmp_path / "log", bags.statement)
    assert scores.valid.tolist() == [False, True]
    assert scores.objective[0] == np.inf  # but it must not look good


def test_damaged_rows_are_left_out(problem, tmp_path):
    """Of another length, with a choice that there is not, or half chosen."""
    with EpisodeLog(tmp_path / "log", problem) as log:
        log.add(draw(problem, 5))
    import pyarrow as pa
    import pyarrow.parquet as pq

    part = part_of(tmp_path / "log")
    table = pq.read_table(part)
    genes = table["genes"].to_pylist()
    genes[0][1][0] = 3
    genes[1][2] = [0]
    genes[2].append([0, 0])
    genes[3][0][1] = -1
    place = table.schema.get_field_index("genes")
    field = table.schema.field("genes")
    pq.write_table(table.set_column(place, field, pa.array(genes, field.type)), part)
    found, scores, left_out = read_solutions(tmp_path / "log", problem.statement)
    assert left_out == 4
    np.testing.assert_array_equal(found, draw(problem, 5)[4:])
    np.testing.assert_array_equal(scores.objective, problem.evaluate(found).objective)


def test_a_folder_is_not_overwritten(problem, tmp_path):
    EpisodeLog(tmp_path / "log", problem).close()
    with pytest.raises(FileExistsError, match="holds an episode log"):
        EpisodeLog(tmp_path / "log", problem)


def test_a_log_can_be_resumed_if_it_has_what_is_needed(problem, tmp_path):
    with EpisodeLog(tmp_path / "log", problem, batch=4) as log:
        log.add(draw(problem, 10))
    with EpisodeLog(tmp_path / "log", problem, resume=True) as log:
        log.truncate(7)
        log.add(draw(problem, 5, seed=1), samples=np.arange(7, 12))
    frame = read_episodes(tmp_path / "log")
    assert frame["sample"].tolist() == list(range(12))
    assert frame["episode"].tolist() == list(range(12))
    assert frame["run_id"].nunique() == 1
    expected = np.concatenate([draw(problem, 10)[:7], draw(problem, 5, seed=1)])
    np.testing.assert_array_equal(np.array(genes_of(frame)), expected)
    log = EpisodeLog(tmp_path / "log", problem, resume=True)
    with pytest.raises(LogError, match="has 12 of the 20 samples"):
        log.truncate(20)
    log.close()
    assert len(read_episodes(tmp_path / "log")) == 12
    other = hwgym.AssignmentProblem.of("AlexNet")
    with pytest.raises(LogError, match="cannot be resumed, it is a log of another problem"):
        EpisodeLog(tmp_path / "log", other, resume=True)


def test_logs_that_cannot_be_used_say_why(problem, tmp_path):
    with pytest.raises(LogError, match="no episode log there"):
        read_episodes(tmp_path / "nothing")
    (tmp_path / "junk.parquet").write_bytes(b"junk")
    with pytest.raises(LogError, match="not a readable Parquet file"):
        read_episodes(tmp_path / "junk.parquet")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(LogError, match="not an hwgym episode log"):
        read_episodes(tmp_path / "other.parquet")
    solve(Drawing(), problem, samples=5, log=tmp_path / "log")
    other = hwgym.AssignmentProblem.of(
        TINY, "ShiDianNao", ratio=0.4, pe_levels=(1, 4, 16), tile_levels=(1, 2, 4)
    )
    with pytest.raises(LogError, match="another problem: dataflows"):
        read_solutions(tmp_path / "log", other.statement)
    with pytest.raises(LogError, match=r"another problem: family.* there, 'tour'|tour here"):
        check_statement(tmp_path / "log", Tour.of(4).statement)
    check_statement(tmp_path / "log", problem.statement)


def test_genes_that_are_no_solutions_are_refused(problem, tmp_path):
    with EpisodeLog(tmp_path / "log", problem) as log:
        with pytest.raises(ValueError, match=r"genes must have shape \(N, 3, 2\)"):
            log.add(np.zeros((1, 2, 2), int))
        with pytest.raises(ValueError, match="genes must lie in"):
            log.add(np.full((1, 3, 2), 3))
    assert len(read_episodes(tmp_path / "log")) == 0


# --- who may write where --------------------------------------------------------------------------

HELPER = """
import sys
import time
import numpy as np
import hwgym
from hwgym.core import EpisodeLog

problem = hwgym.AssignmentProblem.of("NCF")
genes = problem.space.draw(np.random.default_rng(0), 50)
print("ready", flush=True)
"""


def helper(script, *arguments):
    """A process that has imported everything, and waits for what comes on its standard input."""
    process = subprocess.Popen(
        [sys.executable, "-c", HELPER + script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def tell(processes, line):
    for process in processes:
        process.stdin.write(f"{line}\n")
    for process in processes:
        process.stdin.flush()


def end(*processes):
    for process in processes:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def test_of_runs_that_start_at_once_one_gets_the_folder(tmp_path):
    script = """
log = None
for line in sys.stdin:
    word, _, folder = line.strip().partition(" ")
    try:
        if word == "open":
            log = EpisodeLog(folder, problem, batch=10)
            log.add(genes)
        elif log is not None:
            log.close()
            log = None
        print("did", flush=True)
    except FileExistsError as error:
        print(error, flush=True)
"""
    processes = [helper(script) for _ in range(3)]
    for number in range(6):
        folder = tmp_path / str(number)
        tell(processes, f"open {folder}")
        said = [process.stdout.readline().strip() for process in processes]
        assert said.count("did") == 1
        for message in said:
            if message != "did":
                assert re.search("is writing its log there; choose another folder", message)
        tell(processes, "close")
        for process in processes:
            process.stdout.readline()
        assert read_episodes(folder)["episode"].tolist() == list(range(50))
        assert all(path.suffix == ".parquet" for path in folder.iterdir())
    end(*processes)


def test_runs_that_take_turns_lose_nothing(tmp_path):
    """Every process goes on with the same log, again and again, whenever it can have it."""
    script = """
sys.stdin.readline()
for turn in range(9):
    while True:
        try:
            with EpisodeLog(sys.argv[1], problem, resume=True) as log:
                log.add(genes[: 1 + turn % 3])
            break
        except FileExistsError:
            time.sleep(0.001)
print("did", flush=True)
"""
    processes = [helper(script, tmp_path / "log") for _ in range(3)]
    tell(processes, "go")
    assert [process.stdout.readline() for process in processes] == ["did\n"] * 3
    end(*processes)
    rows = read_episodes(tmp_path / "log")
    assert rows["episode"].tolist() == list(range(3 * 3 * (1 + 2 + 3)))
    assert rows["run_id"].nunique() == 1


def test_a_running_run_holds_its_folder_and_a_killed_one_does_not(tmp_path):
    script = """
log = EpisodeLog(sys.argv[1], problem)
sys.stdin.readline()
log.add(genes)
log.flush()
print("did", flush=True)
sys.stdin.readline()
"""
    problem, folder = hwgym.AssignmentProblem.of("NCF"), tmp_path / "log"

    def refused(process, **arguments):
        who = rf"log: run \w+ \(process {process.pid} on .*, since .*\) is writing its log there"
        with pytest.raises(FileExistsError, match=who):
            EpisodeLog(folder, problem, **arguments)

    def kill(process):
        os.kill(process.pid, signal.SIGKILL)
        end(process)

    # Killed before it has written anything: the folder is as good as new.
    process = helper(script, folder)
    tell([process], "")
    assert process.stdout.readline() == "did\n"
    kill(process)
    assert len(read_episodes(folder)) == 50
    for part in folder.glob("*.parquet"):
        part.unlink()
    assert (folder / ".lock").exists()

    process = helper(script, folder)
    while not (folder / ".lock").read_text().count(str(process.pid)):
        pass
    refused(process)
    refused(process, resume=True)
    tell([process], "")
    assert process.stdout.readline() == "did\n"
    refused(process)
    refused(process, resume=True)
    kill(process)
    with pytest.raises(FileExistsError, match="holds an episode log already"):
        EpisodeLog(folder, problem)
    with EpisodeLog(folder, problem, resume=True) as log:
        log.add(draw(problem, 5))
    rows = read_episodes(folder)
    assert rows["episode"].tolist() == list(range(55))
    assert not (folder / ".lock").exists()


def test_a_log_that_was_not_closed_holds_its_folder(problem, tmp_path):
    log = EpisodeLog(tmp_path / "log", problem)
    with pytest.raises(FileExistsError, match="another log of this process, which was not closed"):
        EpisodeLog(tmp_path / "log", problem)
    log.add(draw(problem, 3))
    log.close()
    log.close()
    assert len(read_episodes(tmp_path / "log")) == 3
    with pytest.raises(ValueError, match="the log is closed"):
        log.add(draw(problem, 3))
    with pytest.raises(FileExistsError, match="holds an episode log already"):
        EpisodeLog(tmp_path / "log", problem)
    EpisodeLog(tmp_path / "log", problem, resume=True).close()  # nothing is held by who was refused


def test_a_folder_that_was_removed_is_another_one_after_that(problem, tmp_path):
    first = EpisodeLog(tmp_path / "log", problem)
    (tmp_path / "log" / ".lock").unlink()
    (tmp_path / "log").rmdir()
    second = EpisodeLog(tmp_path / "log", problem)
    first.add(draw(problem, 3))
    first.close()
    with pytest.raises(FileExistsError, match="another log of this process"):
        EpisodeLog(tmp_path / "log", problem)
    second.add(draw(problem, 4))
    second.close()
    assert len(read_episodes(tmp_path / "log")) == 7


def test_where_there_are_no_locks_nothing_is_written_over(problem, tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def flock(*_):
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)
    logs = [EpisodeLog(tmp_path / "log", problem, batch=4, seed=i) for i in range(2)]
    for number, log in enumerate(logs):
        log.add(draw(problem, 6, number))
    for log in logs:
        log.close()
    rows = read_episodes(tmp_path / "log")
    assert rows["run_id"].nunique() == 2
    for number in range(2):
        mine = rows[rows["seed"] == number]
        np.testing.assert_array_equal(np.array(genes_of(mine)), draw(problem, 6, number))


def test_a_holder_that_says_nothing_yet_is_another_run(tmp_path):
    claim = Claim(tmp_path / "log", "mine")
    (tmp_path / "log" / ".lock").write_text("")
    with pytest.raises(FileExistsError, match="log: another run is writing its log there"):
        Claim(tmp_path / "log", "other")
    claim.release()
    claim.release()
    assert list((tmp_path / "log").iterdir()) == []


class Failing:
    sees = "totals"

    def __init__(self, after):
        self.after = after

    def search(self, evaluator, seed):
        if self.after:
            evaluator.evaluate(evaluator.space.draw(np.random.default_rng(seed), self.after))
        raise ValueError("the agent's own")


def test_a_run_that_does_not_start_leaves_no_folder(problem, tmp_path):
    log = tmp_path / "log"
    for wrong in ({"samples": 0}, {"samples": 2.5}, {"samples": 5, "time_limit": -1}):
        with pytest.raises(ValueError, match=r"(samples|time_limit) must be"):
            solve(Drawing(), problem, log=log, **wrong)
        assert not log.exists()
    with pytest.raises(ValueError, match="the agent's own"):
        solve(Failing(0), problem, samples=5, log=log)
    assert not log.exists()
    log.mkdir()
    with pytest.raises(ValueError, match="the agent's own"):
        solve(Failing(0), problem, samples=5, log=log)
    assert len(read_episodes(log)) == 0  # whose folder it was before
    with pytest.raises(ValueError, match="the agent's own"):
        solve(Failing(3), problem, samples=5, log=tmp_path / "three")
    assert len(read_episodes(tmp_path / "three")) == 3


def test_an_agent_that_begins_anew_does_not_go_on_with_a_log(problem, tmp_path):
    solve(Drawing(), problem, samples=20, log=tmp_path / "log")
    with pytest.raises(LogError, match="has 20 samples, but the run began anew with sample 0"):
        solve(Drawing(), problem, samples=40, log=tmp_path / "log", resume=True)
    assert read_episodes(tmp_path / "log")["sample"].tolist() == list(range(20))


# --- environments ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["multi_discrete", "discrete"])
def test_any_environment_logs_in_one_line(mode, tmp_path):
    env = log_episodes(gym.make("HWAssign-AlexNet-NVDLA-v0", action_mode=mode), tmp_path / "log")
    infos = []
    for episode in range(6):
        _, info = env.reset(seed=episode)
        env.action_space.seed(episode)
        done, total = False, 0.0
        while not done:
            mask = info["action_mask"] if episode % 2 else None
            _, reward, done, _, info = env.step(env.action_space.sample(mask))
            total += reward
        infos.append((info, total))
    env.close()
    frame = read_episodes(tmp_path / "log")
    assert frame["feasible"].tolist() == [i["is_success"] for i, _ in infos]
    np.testing.assert_array_equal(frame["return"], [t for _, t in infos])
    np.testing.assert_array_equal(frame["energy"], [i["energy"] for i, _ in infos])
    for genes, (info, _) in zip(genes_of(frame), infos, strict=True):
        assert genes == info["assignment"][: len(genes)].tolist()
        assert (info["assignment"][len(genes) :] == -1).all()


def test_what_is_broken_off_counts_from_its_first_step(tmp_path):
    """A reset in mid-episode, a close in mid-episode, and evaluate."""
    env = gym.make("HWAssign-AlexNet-NVDLA-v0", action_mode="multi_discrete")
    env = log_episodes(env, tmp_path / "log")
    env.reset()
    env.reset()  # nothing was shown
    rewards = [env.step(np.array([0, 1]))[1] for _ in range(2)]
    env.reset()
    env.evaluate(env.problem.space.uniform()[:3])
    env.step(np.array([2, 0]))
    env.close()
    frame = read_episodes(tmp_path / "log")
    assert [len(g) for g in frame["genes"]] == [2, 5, 5, 5, 1]
    assert frame["return"][0] == sum(rewards)
    assert frame["return"][1:4].isna().all()
    assert frame["feasible"].tolist()[0] is False
    assert genes_of(frame)[4] == [[2, 0]]


def scalar_vector(**kwargs):
    return gym.vector.SyncVectorEnv(
        [lambda: gym.make("HWAssign-AlexNet-NVDLA-v0", action_mode="discrete")] * 3, **kwargs
    )


def own_vector(**kwargs):
    return gym.make_vec("HWAssign-AlexNet-NVDLA-v0", 3, action_mode="discrete", **kwargs)


@pytest.mark.parametrize("autoreset", list(gym.vector.AutoresetMode), ids=lambda m: m.name)
@pytest.mark.parametrize("make", [scalar_vector, own_vector])
def test_vector_environments_log_the_same_episodes(tmp_path, make, autoreset):
    env = log_episodes(make(autoreset_mode=autoreset), tmp_path / "log")
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    returns, running = [], np.zeros(3)
    waiting = np.zeros(3, bool)
    for _ in range(40):
        *_, rewards, ended, _, _ = env.step(rng.integers(0, 30, 3))
        running[~waiting] += rewards[~waiting]
        for i in np.flatnonzero(ended):
            returns.append(running[i])
            running[i] = 0.0
        waiting = ended & (autoreset is gym.vector.AutoresetMode.NEXT_STEP)
        if autoreset is gym.vector.AutoresetMode.DISABLED and ended.any():
            env.reset(options={"reset_mask": ended})
    env.close()
    frame = read_episodes(tmp_path / "log")
    problem = gym.make("HWAssign-AlexNet-NVDLA-v0").unwrapped.problem
    assert len(returns) > 15
    # In the order in which they ended; last, those that close breaks off.
    np.testing.assert_array_equal(frame["return"][: len(returns)], returns)
    assert len(frame) <= len(returns) + 3
    latency = problem.tables.metrics["latency"]
    for row in frame.itertuples():
        numbers = problem.space.encode(np.array([list(step) for step in row.genes]))
        assert row.latency == pytest.approx(latency[np.arange(len(numbers)), numbers].sum())


@pytest.mark.parametrize("make", [scalar_vector, own_vector, None])
def test_closing_the_log_closes_the_environment(tmp_path, make):
    inner = make() if make else gym.make("HWAssign-AlexNet-NVDLA-v0")
    closed = []
    close = inner.close
    inner.close = lambda **kwargs: closed.append(close(**kwargs))
    log_episodes(inner, tmp_path / "log").close()
    assert len(closed) == 1


def test_an_id_that_is_not_registered_is_noted_all_the_same(problem, tmp_path):
    EpisodeLog(tmp_path / "log", problem, env_id="Elsewhere-v0").close()
    about = read_settings(tmp_path / "log")
    assert about["env_id"] == "Elsewhere-v0"
    assert about["env_spec"] is None


def test_settings_that_are_no_json_are_written_as_text(problem, tmp_path):
    EpisodeLog(tmp_path / "log", problem, settings={"where": Path("x"), "rate": 0.5}).close()
    assert read_settings(tmp_path / "log")["settings"] == {"where": "x", "rate": 0.5}
    assert json.dumps(read_settings(tmp_path / "log"))


# --- which environment ----------------------------------------------------------------------------


def steps(env, episodes, seed=0):
    """Random episodes, half of them by the masks; the last is broken off after a step."""
    env.action_space.seed(seed)
    seen = []
    for episode in range(episodes):
        observation, info = env.reset()
        history = [(observation, None, None, None)]
        while True:
            mask = None if episode % 2 else info.get("action_mask")
            action = env.action_space.sample(mask)
            if episode == episodes - 1:
                action = action * 0  # the least of all
            observation, reward, terminated, truncated, info = env.step(action)
            history.append((observation, action, reward, (terminated, truncated)))
            if terminated or truncated or episode == episodes - 1:
                break
        seen.append(history)
    env.close()
    return seen


@pytest.fixture
def minari(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return pytest.importorskip("minari")


ABOUT = {
    "author": "me",
    "author_email": "me@example.org",
    "code_permalink": "https://example.org",
    "description": "d",
    "algorithm_name": "random",
}
OTHER = {"platform": "cloud", "reward": "shaped", "action_mode": "multi_discrete"}


@pytest.mark.parametrize(
    ("env_id", "kwargs"),
    [
        ("HWAssign-AlexNet-NVDLA-v0", {}),
        ("HWAssign-AlexNet-NVDLA-v0", OTHER),
        ("HWAssign-AlexNet-NVDLA-v0", {"action_mode": "continuous"}),
        ("HWAssign-v0", {"workload": TINY, "ratio": 0.3, "reward": "confuciux"}),
        ("HWAssign-v0", {"workload": TINY, "hardware": hwgym.Hardware(noc_bandwidth=8)}),
        ("HWAssign-AlexNet-NVDLA-v0", {"max_episode_steps": 3}),
    ],
    ids=["plain", "other", "continuous", "own", "hardware", "limit"],
)
def test_a_log_becomes_a_minari_dataset(minari, tmp_path, env_id, kwargs):
    """Whatever the keyword arguments: as stepped by hand, with the environment to go with it."""
    seen = steps(log_episodes(gym.make(env_id, **kwargs), tmp_path / "log"), 7)
    to_minari(tmp_path / "log", "hwgym/test-v0", **ABOUT)
    dataset = minari.load_dataset("hwgym/test-v0")
    assert dataset.total_episodes == 7
    continuous = kwargs.get("action_mode") == "continuous"
    again = dataset.recover_environment()
    for episode, history in zip(dataset, seen, strict=True):
        observations, actions, rewards, ends = zip(*history, strict=True)
        np.testing.assert_array_equal(episode.observations[0], observations[0])
        np.testing.assert_array_equal(episode.rewards, rewards[1:])
        assert len(episode.actions) == len(actions) - 1
        if not continuous:  # of which a log knows the interval
            np.testing.assert_array_equal(episode.observations, observations)
            np.testing.assert_array_equal(episode.actions, actions[1:])
        terminated, truncated = zip(*ends[1:], strict=True)
        assert episode.terminations.tolist() == list(terminated)
        assert episode.truncations.tolist() == [*truncated[:-1], not terminated[-1]]
        again.reset()
        for action, reward in zip(episode.actions, episode.rewards, strict=True):
            assert again.step(action)[1] == reward
    assert continuous or not seen[-1][-1][3][0]  # the last was broken off
    assert read_settings(tmp_path / "log")["returns"] == "environment"


def test_specifications_travel_with_the_log(tmp_path):
    env = log_episodes(gym.make("HWAssign-AlexNet-NVDLA-v0", **OTHER), tmp_path / "log")
    env.close()
    about = read_settings(tmp_path / "log")
    spec = env.unwrapped.spec
    assert about["env_spec"]["id"] == spec.id
    assert about["env_spec"]["kwargs"] == spec.kwargs
    assert spec.kwargs.items() >= OTHER.items()

    kinds = {"own": {}, "sync": {"vectorization_mode": "sync"}}
    for name, how in kinds.items():
        env = gym.make_vec("HWAssign-AlexNet-NVDLA-v0", 3, **OTHER, **how)
        log_episodes(env, tmp_path / name).close()
        found = read_settings(tmp_path / name)["env_spec"]
        assert found["id"] == spec.id
        assert found["kwargs"] == spec.kwargs
    env = gym.make_vec(
        "HWAssign-AlexNet-NVDLA-v0", 3, autoreset_mode=gym.vector.AutoresetMode.DISABLED
    )
    log_episodes(env, tmp_path / "disabled").close()
    plain = gym.spec("HWAssign-AlexNet-NVDLA-v0").kwargs
    assert read_settings(tmp_path / "disabled")["env_spec"]["kwargs"] == plain


@pytest.mark.parametrize("autoreset", list(gym.vector.AutoresetMode), ids=lambda m: m.name)
def test_vector_logs_become_datasets(minari, tmp_path, autoreset):
    env = gym.make_vec("HWAssign-AlexNet-NVDLA-v0", 3, autoreset_mode=autoreset, **OTHER)
    env = log_episodes(env, tmp_path / "log")
    env.action_space.seed(0)
    env.reset()
    for _ in range(20):
        *_, ended, _, _ = env.step(env.action_space.sample())
        if autoreset is gym.vector.AutoresetMode.DISABLED and ended.any():
            env.reset(options={"reset_mask": ended})
    env.close()
    dataset = to_minari(tmp_path / "log", "hwgym/vector-v0", **ABOUT)
    rows = read_episodes(tmp_path / "log")
    assert [len(e.rewards) for e in dataset] == rows["genes"].map(len).tolist()
    np.testing.assert_allclose([e.rewards.sum() for e in dataset], rows["return"], rtol=1e-12)


def test_logs_of_agents_become_datasets(minari, tmp_path, problem):
    """Of an id, and of a problem that has none; solutions over budget end where the budget does."""
    solve(Drawing(), "HWAssign-AlexNet-NVDLA-v0", samples=30, log=tmp_path / "id")
    solve(Drawing(), problem, samples=30, log=tmp_path / "none")
    assert read_settings(tmp_path / "none")["env_id"] is None
    assert read_settings(tmp_path / "none")["env_spec"]["id"] == "HWAssign-v0"
    for number, name in enumerate(("id", "none")):
        assert read_settings(tmp_path / name)["returns"] == "agent"
        rows = read_episodes(tmp_path / name)
        dataset = to_minari(tmp_path / name, f"hwgym/agent{number}-v0", **ABOUT)
        env = dataset.recover_environment().unwrapped
        made = env.problem
        check_statement(tmp_path / name, made.statement)
        assert 0 < rows["feasible"].sum() < 30
        for episode, genes, feasible in zip(dataset, genes_of(rows), rows["feasible"], strict=True):
            assert episode.terminations[-1]
            whole = len(episode.rewards) == len(genes)
            assert whole or not feasible
            played = np.array(genes[: len(episode.rewards)])
            expected = actions_of(made.space, env.action_mode, played)
            np.testing.assert_array_equal(episode.actions, expected)


def changed(log, to, change):
    """A log with its metadata, or its rows, changed."""
    import pyarrow.parquet as pq

    table = pq.read_table(part_of(log))
    about = json.loads(table.schema.metadata[b"hwgym"])
    result = change(table, about)
    table = table if result is None else result
    to.mkdir()
    table = table.replace_schema_metadata({"hwgym": json.dumps(about)})
    pq.write_table(table, to / "part-00000.parquet")
    return to


def test_what_is_not_what_it_says_is_not_exported(minari, tmp_path):
    log = tmp_path / "log"
    steps(log_episodes(gym.make("HWAssign-AlexNet-NVDLA-v0", **OTHER), log), 6)

    def refused(name, match, change):
        with pytest.raises(LogError, match=match):
            to_minari(changed(log, tmp_path / name, change), f"hwgym/{name}-v0", **ABOUT)
        assert f"hwgym/{name}-v0" not in minari.list_local_datasets()

    def of_id_alone(_, about):
        about["env_spec"]["kwargs"] = gym.spec("HWAssign-AlexNet-NVDLA-v0").kwargs

    def other_reward(_, about):
        about["env_spec"]["kwargs"]["reward"] = "confuciux"

    def unknown(_, about):
        about["env_spec"]["id"] = "os:system-v0"

    def wrong_argument(_, about):
        about["env_spec"]["kwargs"]["platform"] = "moon"

    def none(_, about):
        about["env_spec"] = None

    def other_cost(table, _):
        import pyarrow as pa

        values = table["latency"].to_pylist()
        values[3] += 1
        place = table.schema.get_field_index("latency")
        return table.set_column(place, "latency", pa.array(values))

    def cut(table, _):
        return table.slice(0, 0)

    refused("kwargs", "a log of another problem: budget differ", of_id_alone)
    refused(
        "reward", r"log|reward: episode 0 of run \w+ has return .* but played again", other_reward
    )
    refused("unknown", "not an environment of hwgym|unknown environment 'os:system-v0'", unknown)
    refused("argument", "cannot be made again: .*'moon'", wrong_argument)
    refused("none", "names no environment that can be made again", none)
    refused("cost", r"episode 3 of run \w+ has latency .*, but played again", other_cost)
    refused("cut", "has no episode", cut)


def test_a_wrapper_that_changes_rewards_is_noticed(minari, tmp_path):
    env = gym.make("HWAssign-AlexNet-NVDLA-v0")
    env = gym.wrappers.TransformReward(env, lambda reward: 2 * reward + 1)
    steps(log_episodes(env, tmp_path / "log"), 3)
    with pytest.raises(LogError, match="in wrappers that change rewards or steps"):
        to_minari(tmp_path / "log", "hwgym/changed-v0", **ABOUT)


def test_damaged_episodes_are_not_exported(minari, tmp_path):
    steps(log_episodes(gym.make("HWAssign-AlexNet-NVDLA-v0"), tmp_path / "log"), 3)

    def longer(table, _):
        import pyarrow as pa

        genes = table["genes"].to_pylist()
        genes[1] = genes[1] + [[0, 0]] * 5
        place, field = table.schema.get_field_index("genes"), table.schema.field("genes")
        return table.set_column(place, field, pa.array(genes, field.type))

    with pytest.raises(LogError, match=r"episode 1 of run \w+ is damaged"):
        to_minari(changed(tmp_path / "log", tmp_path / "longer", longer), "hwgym/longer-v0")


def test_an_environment_by_hand_is_described(minari, tmp_path, problem):
    """It was not made by an id: its problem says how to make it, if its rewards are the usual."""
    from hwgym.families.assignment import HWAssignEnv

    seen = steps(
        log_episodes(HWAssignEnv(problem=problem, action_mode="multi_discrete"), tmp_path / "log"),
        4,
    )
    dataset = to_minari(tmp_path / "log", "hwgym/hand-v0", **ABOUT)
    for episode, history in zip(dataset, seen, strict=True):
        np.testing.assert_array_equal(episode.observations, [h[0] for h in history])
        np.testing.assert_array_equal(episode.rewards, [h[2] for h in history[1:]])
    env = HWAssignEnv(problem=problem, reward="confuciux")
    steps(log_episodes(env, tmp_path / "reward"), 2)
    with pytest.raises(LogError, match="has return"):
        to_minari(tmp_path / "reward", "hwgym/reward-v0", **ABOUT)


def test_a_problem_that_cannot_be_described_is_not_exported(minari, tmp_path):
    with EpisodeLog(tmp_path / "log", Tour.of(4)) as log:
        log.add(Tour.of(4).space.draw(np.random.default_rng(0), 3))
    assert read_settings(tmp_path / "log")["env_spec"] is None
    with pytest.raises(LogError, match="neither the id of one nor a description"):
        to_minari(tmp_path / "log", "hwgym/tour-v0", **ABOUT)


def test_vector_rewards_have_no_return(minari, tmp_path):
    env_id = "mo-HWAssign-AlexNet-NVDLA-v0"
    seen = steps(log_episodes(gym.make(env_id), tmp_path / "log"), 3)
    assert read_episodes(tmp_path / "log")["return"].isna().all()
    dataset = to_minari(tmp_path / "log", "hwgym/mo-v0", **ABOUT)
    for episode, history in zip(dataset, seen, strict=True):
        np.testing.assert_array_equal(episode.rewards, [h[2] for h in history[1:]])
    env = log_episodes(gym.make_vec(env_id, 2), tmp_path / "vector")
    env.action_space.seed(0)
    env.reset()
    for _ in range(12):
        env.step(env.action_space.sample())
    env.close()
    rows = read_episodes(tmp_path / "vector")
    assert len(rows) > 1
    assert rows["return"].isna().all()


def test_a_log_is_of_one_problem(tmp_path, problem):
    from hwgym.families.assignment import HWAssignEnv, HWAssignVectorEnv

    other = hwgym.AssignmentProblem.of(TINY, ratio=0.3, pe_levels=(1, 4, 16), tile_levels=(1, 2, 4))
    both = [problem, other]
    for env in (
        HWAssignEnv(problem=both),
        HWAssignVectorEnv(problem=both, num_envs=2),
        gym.vector.SyncVectorEnv([lambda p=p: HWAssignEnv(problem=p) for p in both]),
    ):
        with pytest.raises(ValueError, match="a log is of one problem, but the environment is of"):
            log_episodes(env, tmp_path / "log")
    assert not (tmp_path / "log").exists()


def test_what_was_scored_is_not_scored_again(tmp_path, monkeypatch):
    env = log_episodes(gym.make("HWAssign-AlexNet-NVDLA-v0"), tmp_path / "log")
    problem = env.problem
    genes = draw(problem, 5)
    calls = []
    score = type(problem).score
    monkeypatch.setattr(
        type(problem), "score", lambda self, genes: calls.append(len(genes)) or score(self, genes)
    )
    env.evaluate(genes)
    assert calls == [5]
    calls.clear()
    solve(Drawing(), problem, samples=14, log=tmp_path / "solved")
    assert calls == [7, 7]
    env.close()
    rows = read_episodes(tmp_path / "log")
    np.testing.assert_array_equal(rows["objective"], problem.evaluate(genes).objective)
