"""The account that an agent's samples are kept in, and the episode log."""

import json

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest

import hwgym
from hwgym.agent import BudgetSpent, Evaluator, find_agent, solve
from hwgym.episodes import (
    EpisodeLog,
    LogError,
    log_episodes,
    read_assignments,
    read_episodes,
    read_settings,
    to_minari,
)

TINY = hwgym.Workload(
    "tiny",
    (
        hwgym.Layer.conv("a", in_channels=3, out_channels=8, input_size=12, kernel=3),
        hwgym.Layer.conv("b", in_channels=8, out_channels=16, input_size=10, kernel=3),
        hwgym.Layer.gemm("c", M=4, N=10, K=16),
    ),
)


@pytest.fixture
def problem():
    return hwgym.AssignmentProblem.of(TINY, ratio=0.4, pe_levels=(1, 4, 16), tile_levels=(1, 2, 4))


def draw(problem, count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, problem.num_actions, (count, problem.num_steps))


class Drawing:
    """An agent that evaluates random assignments until it is stopped."""

    sees = "totals"

    def search(self, evaluator, seed):
        for i in range(1000):
            evaluator.evaluate(draw(evaluator.problem, 7, seed + i))


def test_no_sample_beyond_the_budget(problem):
    evaluator = Evaluator(problem, 10)
    assert len(evaluator.evaluate(draw(problem, 6)).objective) == 6
    assert len(evaluator.evaluate(draw(problem, 6)).objective) == 4
    assert (evaluator.spent, evaluator.remaining) == (10, 0)
    with pytest.raises(BudgetSpent):
        evaluator.evaluate(draw(problem, 1))


def test_the_best_and_the_history(problem):
    actions = draw(problem, 200)
    evaluator = Evaluator(problem, 200)
    for batch in np.split(actions, 8):
        evaluator.evaluate(batch)
    scores = problem.evaluate_actions(actions)
    objective = np.where(scores.feasible, scores.objective, np.inf)
    np.testing.assert_array_equal(evaluator.history, np.minimum.accumulate(objective))
    assert evaluator.best_objective == objective.min()
    np.testing.assert_array_equal(evaluator.best, actions[objective.argmin()])


def test_the_improvements_make_the_history(problem):
    actions = draw(problem, 200)
    evaluator = Evaluator(problem, 200)
    for batch in np.split(actions, [1, 40, 90]):
        evaluator.evaluate(batch)
    samples = [sample for sample, _ in evaluator.improvements]
    found = np.array([a for _, a in evaluator.improvements])
    np.testing.assert_array_equal(found, actions[samples])
    objective = problem.evaluate_actions(found).objective
    assert (np.diff(objective) < 0).all()
    curve = np.full(200, np.inf)
    curve[samples] = objective
    np.testing.assert_array_equal(np.minimum.accumulate(curve), evaluator.history)


def test_no_sample_after_the_time_limit(problem, monkeypatch):
    clock = iter(range(0, 1000, 3))
    monkeypatch.setattr("hwgym.agent.time.perf_counter", lambda: next(clock))
    evaluator = Evaluator(problem, 100, time_limit=10)
    for _ in range(3):
        evaluator.evaluate(draw(problem, 2))
    assert not evaluator.timed_out
    stage = evaluator.part(50)
    with pytest.raises(BudgetSpent):
        stage.evaluate(draw(problem, 2))
    assert evaluator.timed_out
    assert evaluator.spent == 6


def test_a_result_says_that_the_time_was_up(problem):
    result = solve(Drawing(), problem, samples=10**6, time_limit=1e-9)
    assert result.timed_out
    assert (result.samples, result.actions, result.improvements) == (0, None, ())
    assert not solve(Drawing(), problem, samples=50, time_limit=60).timed_out
    with pytest.raises(ValueError, match="time_limit must be a positive number of seconds, got 0"):
        solve(Drawing(), problem, samples=50, time_limit=0)


def test_an_episode_that_broke_off_is_a_sample_but_not_feasible(problem):
    evaluator = Evaluator(problem, 5)
    scores = evaluator.evaluate(np.array([[0, 0, -1], [0, 0, 0]]))
    assert scores.feasible.tolist() == [False, True]
    assert evaluator.spent == 2


def test_a_stage_counts_for_the_whole(problem):
    whole = Evaluator(problem, 20)
    stage = whole.part(8)
    stage.evaluate(draw(problem, 5))
    stage.evaluate(draw(problem, 5, seed=1))
    assert (stage.spent, whole.spent) == (8, 8)
    assert np.concatenate(stage.evaluated).shape == (8, 3)
    with pytest.raises(BudgetSpent):
        stage.evaluate(draw(problem, 1))
    assert whole.part(100).samples == 12


def test_an_account_goes_on_where_it_stopped(problem):
    first = Evaluator(problem, 50)
    first.evaluate(draw(problem, 20))
    second = Evaluator(problem, 50)
    second.restore(json.loads(json.dumps(first.state())))
    assert second.spent == 20
    assert second.best_objective == first.best_objective
    np.testing.assert_array_equal(second.best, first.best)
    assert [s for s, _ in second.improvements] == [s for s, _ in first.improvements]
    with pytest.raises(ValueError, match="20 samples, the budget only 10"):
        Evaluator(problem, 10).restore(first.state())


@pytest.mark.parametrize("samples", [0, -1, 2.5, True, "5"])
def test_a_budget_is_a_positive_integer(problem, samples):
    with pytest.raises(ValueError, match="positive integer"):
        Evaluator(problem, samples)


def test_solve_runs_an_agent_by_object(problem):
    result = solve(Drawing(), problem, samples=100, seed=3)
    assert result.samples == 100
    assert result.agent == "Drawing"
    assert problem.evaluate(result.assignment).objective[0] == result.objective
    assert result.regret == pytest.approx(result.objective / problem.optimum().objective - 1)
    assert solve(Drawing(), problem, samples=100, seed=3).objective == result.objective


def test_unknown_agents_and_settings_are_named():
    with pytest.raises(ValueError, match="unknown agent 'nobody'"):
        find_agent("nobody")
    with pytest.raises(ValueError, match="did you mean 'population'"):
        solve("genetic", "HWAssign-AlexNet-NVDLA-v0", samples=1, settings={"popluation": 3})
    with pytest.raises(gym.error.NameNotFound, match="HWAssign-AlexNet-NVDLA"):
        solve(Drawing(), "HWAssign-AlexNt-NVDLA-v0", samples=1)


# --- logs ---------------------------------------------------------------------------------------


def test_a_log_holds_what_was_done(problem, tmp_path):
    result = solve(Drawing(), problem, samples=50, seed=1, log=tmp_path / "log")
    frame = read_episodes(tmp_path / "log")
    assert len(frame) == 50
    actions = np.stack(frame["actions"].to_list())
    scores = problem.evaluate_actions(actions.astype(np.int64))
    valid = scores.valid
    np.testing.assert_allclose(frame["objective"][valid], scores.objective[valid], rtol=1e-15)
    np.testing.assert_allclose(frame["area"], scores.area_um2, rtol=1e-15)
    np.testing.assert_array_equal(frame["feasible"], scores.feasible)
    np.testing.assert_array_equal(frame["sample"], np.arange(50))
    assert frame["objective"][frame["feasible"]].min() == result.objective
    steps = np.arange(3)
    np.testing.assert_array_equal(
        np.stack(frame["layer_latency"].to_list()), problem.latency[steps, actions]
    )
    assert frame["run_id"].nunique() == 1
    # Any Parquet reader opens the folder.
    assert len(pd.read_parquet(tmp_path / "log")) == 50


def test_settings_travel_with_the_log(tmp_path):
    env = log_episodes(gym.make("HWAssign-AlexNet-NVDLA-v0"), tmp_path / "log", agent="me")
    env.close()
    about = read_settings(tmp_path / "log")
    assert about["env_id"] == "HWAssign-AlexNet-NVDLA-v0"
    assert about["env_spec"]["id"] == "HWAssign-AlexNet-NVDLA-v0"
    assert about["problem"]["workload"] == "AlexNet"
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
    with EpisodeLog(tmp_path / "log", problem) as log:
        log.add(np.array([[0, 1, -1], [0, 0, 0]]), returns=np.array([-1.0, 0.5]))
    frame = read_episodes(tmp_path / "log")
    assert [len(a) for a in frame["actions"]] == [2, 3]
    assert frame["feasible"].tolist() == [False, True]
    assert frame["return"].tolist() == [-1.0, 0.5]
    assert frame["latency"][0] == problem.latency[0, 0] + problem.latency[1, 1]
    actions, left_out = read_assignments(tmp_path / "log", problem)
    assert actions.tolist() == [[0, 0, 0]]
    assert left_out == 1


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
        read_assignments(tmp_path / "log", other)


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
    np.testing.assert_allclose(frame["return"], [t for _, t in infos])
    np.testing.assert_allclose(frame["energy"], [i["energy"] for i, _ in infos])


def test_vector_environments_log_the_same_episodes(tmp_path):
    def make():
        return gym.make("HWAssign-AlexNet-NVDLA-v0", action_mode="discrete")

    env = log_episodes(gym.vector.SyncVectorEnv([make] * 3), tmp_path / "log")
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(40):
        env.step(rng.integers(0, 30, 3))
    env.close()
    frame = read_episodes(tmp_path / "log")
    problem = make().unwrapped.problem
    assert len(frame) > 15
    for row in frame.itertuples():
        steps = np.arange(len(row.actions))
        assert row.latency == problem.latency[steps, row.actions].sum()


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
    assert dataset.total_steps == frame["actions"].map(len).sum()
    for episode, expected in zip(dataset, frame["return"], strict=True):
        assert episode.rewards.sum() == pytest.approx(expected)
    with EpisodeLog(tmp_path / "anonymous", env.unwrapped.problem) as log:
        log.add(np.zeros((1, 5), np.int64))
    with pytest.raises(LogError, match="names no environment"):
        to_minari(tmp_path / "anonymous", "hwgym/other-v0")
