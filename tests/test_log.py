"""The episode log: what was done, read back; what cannot be used says why."""

import json
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
from hwgym.core.log import check_statement, key_of

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

    schema = pq.read_schema(tmp_path / "log" / "part-00000.parquet")
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

    part = tmp_path / "log" / "part-00000.parquet"
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
    with pytest.raises(LogError, match="has 12 of the 20 samples"):
        EpisodeLog(tmp_path / "log", problem, resume=True).truncate(20)
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
    env = log_episodes(gym.make("HWAssign-AlexNet-NVDLA-v0"), tmp_path / "log")
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


def test_a_log_becomes_a_minari_dataset(tmp_path, monkeypatch):
    pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    env = log_episodes(gym.make("HWAssign-AlexNet-NVDLA-v0"), tmp_path / "log")
    env.action_space.seed(0)
    for episode in range(4):
        _, info = env.reset()
        done = False
        while not done:
            mask = info["action_mask"] if episode % 2 else None
            _, _, done, _, info = env.step(env.action_space.sample(mask))
    env.close()
    frame = read_episodes(tmp_path / "log")
    about = {"author": "me", "author_email": "me@example.org", "code_permalink": "https://x.org"}
    dataset = to_minari(
        tmp_path / "log", "hwgym/test-v0", description="d", algorithm_name="random", **about
    )
    assert dataset.total_episodes == 4
    assert dataset.total_steps == frame["genes"].map(len).sum()
    for episode, expected, genes in zip(dataset, frame["return"], genes_of(frame), strict=True):
        assert episode.rewards.sum() == pytest.approx(expected)
        assert episode.actions.tolist() == genes
    with EpisodeLog(tmp_path / "anonymous", env.unwrapped.problem) as log:
        log.add(np.zeros((1, 5, 2), np.int64))
    with pytest.raises(LogError, match="names no environment"):
        to_minari(tmp_path / "anonymous", "hwgym/other-v0")


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
    EpisodeLog(tmp_path / "none", problem).close()
    about = read_settings(tmp_path / "none")
    assert (about["env_id"], about["env_spec"]) == (None, None)


def test_settings_that_are_no_json_are_written_as_text(problem, tmp_path):
    EpisodeLog(tmp_path / "log", problem, settings={"where": Path("x"), "rate": 0.5}).close()
    assert read_settings(tmp_path / "log")["settings"] == {"where": "x", "rate": 0.5}
    assert json.dumps(read_settings(tmp_path / "log"))
