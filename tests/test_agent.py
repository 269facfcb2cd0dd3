"""The account that an agent's samples are kept in, and the doors that are closed to it."""

import json

import gymnasium as gym
import numpy as np
import pytest
import tiny_families  # noqa: F401 (registers them)

import hwgym
from hwgym.core import (
    BudgetSpent,
    EpisodeLog,
    Evaluator,
    Withheld,
    find_agent,
    problem_of,
    read_episodes,
    search,
    solve,
)
from hwgym.core.actions import actions_of

TINY = hwgym.Workload(
    "tiny",
    (
        hwgym.Layer.conv("a", in_channels=3, out_channels=8, input_size=12, kernel=3),
        hwgym.Layer.conv("b", in_channels=8, out_channels=16, input_size=10, kernel=3),
        hwgym.Layer.gemm("c", M=4, N=10, K=16),
    ),
)


def describe(**changes):
    return {"ratio": 0.4, "pe_levels": (1, 4, 16), "tile_levels": (1, 2, 4), **changes}


@pytest.fixture
def problem():
    return hwgym.AssignmentProblem.of(TINY, **describe())


def draw(problem, count, seed=0):
    return problem.statement.space.draw(np.random.default_rng(seed), count)


class Doing:
    """An agent that does what it is told."""

    def __init__(self, do, sees="totals"):
        self.do, self.sees = do, sees

    def search(self, evaluator, seed):
        self.do(evaluator)


class Drawing:
    """An agent that evaluates random solutions until it is stopped."""

    sees = "totals"

    def search(self, evaluator, seed):
        for i in range(1000):
            evaluator.evaluate(draw(evaluator, 7, seed + i))


# --- the account --------------------------------------------------------------------------------


def test_no_sample_beyond_the_budget(problem):
    evaluator = Evaluator(problem, 10)
    assert len(evaluator.evaluate(draw(problem, 6))) == 6
    assert len(evaluator.evaluate(draw(problem, 6))) == 4
    assert (evaluator.spent, evaluator.remaining) == (10, 0)
    with pytest.raises(BudgetSpent):
        evaluator.evaluate(draw(problem, 1))


def test_the_best_and_the_history(problem):
    genes = draw(problem, 200)
    evaluator = Evaluator(problem, 200)
    for batch in np.split(genes, 8):
        evaluator.evaluate(batch)
    scores = problem.evaluate(genes)
    objective = np.where(scores.feasible, scores.objective, np.inf)
    np.testing.assert_array_equal(evaluator.history, np.minimum.accumulate(objective))
    assert evaluator.best_objective == objective.min() == scores.best
    np.testing.assert_array_equal(evaluator.best, genes[objective.argmin()])


def test_the_improvements_make_the_history(problem):
    genes = draw(problem, 200)
    evaluator = Evaluator(problem, 200)
    for batch in np.split(genes, [1, 40, 90]):
        evaluator.evaluate(batch)
    samples = [sample for sample, _ in evaluator.improvements]
    found = np.array([g for _, g in evaluator.improvements])
    np.testing.assert_array_equal(found, genes[samples])
    scores = problem.evaluate(found)
    assert scores.feasible.all()
    assert (np.diff(scores.objective) < 0).all()
    curve = np.full(200, np.inf)
    curve[samples] = scores.objective
    np.testing.assert_array_equal(np.minimum.accumulate(curve), evaluator.history)


def test_an_equal_solution_is_no_improvement(problem):
    best = problem.optimum().assignment
    evaluator = Evaluator(problem, 4)
    evaluator.evaluate(np.array([best, best]))
    evaluator.evaluate(np.array([best, best]))
    assert [sample for sample, _ in evaluator.improvements] == [0]


def test_improvements_do_not_change_with_what_was_handed_in(problem):
    genes = problem.optimum().assignment[None].copy()
    evaluator = Evaluator(problem, 1)
    evaluator.evaluate(genes)
    genes[:] = 0
    np.testing.assert_array_equal(evaluator.best, problem.optimum().assignment)


def test_no_sample_after_the_time_limit(problem, monkeypatch):
    clock = iter(range(0, 1000, 3))
    monkeypatch.setattr("hwgym.core.evaluator.time.perf_counter", lambda: next(clock))
    evaluator = Evaluator(problem, 100, time_limit=10)
    for _ in range(3):
        evaluator.evaluate(draw(problem, 2))
    assert not evaluator.timed_out
    stage = evaluator.part(50)
    with pytest.raises(BudgetSpent):
        stage.evaluate(draw(problem, 2))
    assert evaluator.timed_out
    assert evaluator.spent == 6
    assert stage.spent == 0


def test_a_result_says_that_the_time_was_up(problem):
    result = solve(Drawing(), problem, samples=10**6, time_limit=1e-9)
    assert result.timed_out
    assert (result.samples, result.assignment, result.improvements) == (0, None, ())
    assert not solve(Drawing(), problem, samples=50, time_limit=60).timed_out
    with pytest.raises(ValueError, match="time_limit must be a positive number of seconds, got 0"):
        solve(Drawing(), problem, samples=50, time_limit=0)


def test_an_episode_that_broke_off_is_a_sample_but_not_feasible(problem):
    evaluator = Evaluator(problem, 5)
    genes = np.zeros((2, 3, 2), np.int64)
    genes[0, 2] = -1
    assert evaluator.evaluate(genes).feasible.tolist() == [False, True]
    assert evaluator.spent == 2


def test_what_is_no_solution_costs_nothing(problem):
    evaluator = Evaluator(problem, 5)
    for wrong in (np.full((1, 3, 2), 9), np.zeros((1, 2, 2), int), np.zeros((1, 3, 2))):
        with pytest.raises(ValueError, match="genes must"):
            evaluator.evaluate(wrong)
    assert (evaluator.spent, evaluator.remaining) == (0, 5)


def test_a_stage_counts_for_the_whole(problem):
    whole = Evaluator(problem, 20, sees="layers")
    stage = whole.part(8)
    stage.evaluate(draw(problem, 5))
    stage.evaluate(draw(problem, 5, seed=1))
    assert (stage.spent, whole.spent) == (8, 8)
    assert np.concatenate(stage.evaluated).shape == (8, 3, 2)
    assert [len(scores) for scores in stage.scored] == [5, 3]
    assert all(scores.parts is not None for scores in stage.scored)
    with pytest.raises(BudgetSpent):
        stage.evaluate(draw(problem, 1))
    assert whole.part(100).samples == 12


def test_a_stage_counts_the_episodes_of_its_environments(problem):
    whole = Evaluator(problem, 20, sees="layers")
    stage = whole.part(6)
    env = stage.environment(2, action_mode="discrete")
    env.reset()
    for _ in range(4):  # an episode each, and the first step of another
        env.step(np.zeros(2, int))
    assert (stage.spent, stage.remaining, whole.remaining) == (2, 2, 16)
    stage.close()
    assert (stage.spent, whole.spent, whole.remaining) == (4, 4, 16)
    assert (stage.evaluated[-1][:, 1:] == -1).all()
    assert not stage.scored[-1].feasible.any()


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


def test_a_stage_goes_on_with_what_it_saw(problem):
    first = Evaluator(problem, 50, sees="layers").part(30)
    first.evaluate(draw(problem, 20))
    whole = Evaluator(problem, 50, sees="layers")
    second = whole.part(30)
    second.restore(json.loads(json.dumps(first.state())))
    assert (second.spent, whole.spent) == (20, 20)
    np.testing.assert_array_equal(second.evaluated[0], first.evaluated[0])
    np.testing.assert_array_equal(second.scored[0].parts.cost, first.scored[0].parts.cost)


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


def test_unknown_agents_and_settings_are_named(problem):
    with pytest.raises(ValueError, match="unknown agent 'nobody'"):
        find_agent("nobody")
    with pytest.raises(ValueError, match="did you mean 'population'"):
        solve("genetic", "HWAssign-AlexNet-NVDLA-v0", samples=1, settings={"popluation": 3})
    with pytest.raises((ValueError, gym.error.NameNotFound), match="HWAssign-AlexNet-NVDLA"):
        solve(Drawing(), "HWAssign-AlexNt-NVDLA-v0", samples=1)
    with pytest.raises(ValueError, match="an agent or the name of one"):
        solve(Drawing, problem, samples=1)
    with pytest.raises(ValueError, match="unknown value of sees 'layer'; did you mean 'layers'"):
        solve(Doing(print, "layer"), problem, samples=1)


# --- environments of an account -------------------------------------------------------------------


def play(env, rng, steps=10_000):
    """Random steps until the budget is spent."""
    env.reset()
    for _ in range(steps):
        env.step(rng.integers(env.single_action_space.n, size=env.num_envs))


@pytest.mark.parametrize("mode", list(gym.vector.AutoresetMode)[:2], ids=lambda m: m.name)
@pytest.mark.parametrize("num_envs", [1, 3, 8])
def test_episodes_spend_the_budget_exactly_and_are_finished(num_envs, mode):
    problem, paid = problem_of("Bags-4-0-v0"), []
    evaluator = Evaluator(problem, 20, sees="layers")
    env = evaluator.environment(
        num_envs,
        action_mode="discrete",
        autoreset_mode=mode,
        on_paid=lambda genes, scores, returns: paid.append((genes, scores, returns)),
    )
    with pytest.raises(BudgetSpent):
        play(env, np.random.default_rng(0))
    assert evaluator.spent == 20
    evaluator.close()  # none is under way
    assert evaluator.spent == 20
    genes = np.concatenate([g for g, _, _ in paid])
    returns = np.concatenate([r for _, _, r in paid])
    assert len(genes) == 20
    # Played again one by one, each ends where it did and returns what it did.
    again = gym.make("Bags-4-0-v0", action_mode="discrete").unwrapped
    for episode, returned in zip(genes, returns, strict=True):
        again.reset()
        total, ended = 0.0, False
        for action in actions_of(problem.space, "discrete", episode):
            assert ended == (action < 0)
            if not ended:
                _, reward, ended, _, _ = again.step(int(action))
                total += reward
        assert ended
        assert returned == pytest.approx(total)
    assert (genes[:, -1] < 0).any()  # some broke off
    assert (genes[:, -1] >= 0).any()


def test_with_autoreset_disabled_none_can_wait():
    evaluator = Evaluator(problem_of("Bags-4-0-v0"), 2, sees="layers")
    env = evaluator.environment(3, action_mode="discrete", autoreset_mode="Disabled")
    env.reset()
    with pytest.raises(BudgetSpent):
        env.step(np.zeros(3, int))
    assert evaluator.remaining == 2


def test_each_plays_one_episode_and_waits():
    paid = []
    evaluator = Evaluator(problem_of("Bags-4-0-v0"), 20, sees="layers")
    env = evaluator.environment(
        3, action_mode="discrete", once=True, on_paid=lambda genes, *_: paid.append(genes)
    )
    for batch in (1, 2):
        env.reset()
        done, rewards = np.zeros(3, bool), np.zeros((4, 3))
        for step, actions in enumerate(([11, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0])):
            _, rewards[step], ended, _, _ = env.step(np.array(actions))
            assert not (ended & done).any()
            done |= ended
        assert done.all()
        assert (rewards[1:, 0] == 0).all()  # the first was invalid at once
        assert evaluator.spent == 3 * batch
        with pytest.raises(gym.error.ResetNeeded, match="played"):
            env.step(np.zeros(3, int))
    assert len(np.concatenate(paid)) == 6


def test_a_wrong_action_costs_nothing(problem):
    evaluator = Evaluator(problem, 5, sees="layers")
    env = evaluator.environment(2, action_mode="discrete")
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(2, int))
    env.reset()
    with pytest.raises(ValueError, match="discrete action"):
        env.step(np.full(2, 99))
    evaluator.close()
    assert evaluator.spent == 0


def test_masked_steps_without_finished_episodes_are_samples(problem, tmp_path):
    """Resets in mid-episode would show the rewards of one step after the other for nothing."""
    looks = []

    def peek(evaluator):
        env = evaluator.environment(1, action_mode="discrete")
        for number in range(40_000):
            env.reset()
            masks = env.action_masks()
            allowed = np.flatnonzero(masks[0])
            _, reward, _, _, _ = env.step(allowed[[number % len(allowed)]])
            looks.append(reward[0])

    result = solve(Doing(peek, "layers"), problem, samples=30, log=tmp_path / "log")
    assert result.samples == len(looks) == 30
    assert result.assignment is None
    rows = read_episodes(tmp_path / "log")
    assert rows["genes"].map(len).tolist() == [1] * 30
    np.testing.assert_allclose(rows["return"], looks)


def test_episodes_under_way_at_the_end_are_samples(problem):
    def begin(evaluator):
        env = evaluator.environment(4, action_mode="discrete")
        env.reset()
        env.step(np.zeros(4, int))

    assert solve(Doing(begin, "layers"), problem, samples=30).samples == 4
    assert solve(Doing(begin, "layers"), problem, samples=3).samples == 3  # the fourth waits


def test_time_ends_episodes_too(problem, monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr("hwgym.core.evaluator.time.perf_counter", lambda: next(clock))
    evaluator = Evaluator(problem, 1000, sees="layers", time_limit=20)
    env = evaluator.environment(2, action_mode="discrete")
    with pytest.raises(BudgetSpent):
        play(env, np.random.default_rng(0))
    assert evaluator.timed_out
    assert 0 < evaluator.spent <= 40


# --- what is withheld -----------------------------------------------------------------------------

ID = "HWAssign-AlexNet-NVDLA-v0"
PROBLEM = hwgym.AssignmentProblem.of(TINY, **describe())
MADE = gym.make(ID)
MADE_VECTOR = gym.make_vec(ID, 2, vectorization_mode="vector_entry_point")
MADE_VECTOR.reset()

DOORS = {
    "the problem": lambda e: e.problem,
    "its optimum": lambda e: e.problem.optimum(),
    "a stage's problem": lambda e: e.part(3).problem,
    "the optimum of a problem at hand": lambda e: PROBLEM.optimum(),
    "its certificate": lambda e: PROBLEM.certificate(),
    "its regret": lambda e: PROBLEM.regret(1.0),
    "an evaluation": lambda e: PROBLEM.evaluate(np.zeros((3, 2), int)),
    "an evaluation of numbers": lambda e: PROBLEM.evaluate_actions(np.zeros((1, 3), int)),
    "parts": lambda e: PROBLEM.parts(np.zeros((3, 2), int)),
    "tables": lambda e: PROBLEM.tables,
    "costs": lambda e: PROBLEM.cost,
    "usage": lambda e: PROBLEM.usage,
    "validity": lambda e: PROBLEM.valid,
    "least usage": lambda e: hwgym.AssignmentProblem.of(TINY, **describe(ratio=0.3)).least_used,
    "best uniform": lambda e: PROBLEM.best_uniform(),
    "a problem made anew": lambda e: hwgym.AssignmentProblem.of(TINY, **describe()).optimum(),
    "another": lambda e: hwgym.AssignmentProblem.of(TINY, **describe(ratio=0.5)).optimum(),
    "the solver": lambda e: hwgym.optimum(PROBLEM),
    "another method": lambda e: hwgym.optimum(PROBLEM, method="milp"),
    "an environment made": lambda e: gym.make(ID).reset(),
    "a vector environment made": lambda e: gym.make_vec(
        ID, 2, vectorization_mode="vector_entry_point"
    ),
    "an environment made before": lambda e: MADE.reset(),
    "a vector environment made before": lambda e: MADE_VECTOR.reset(),
    "a vector environment under way": lambda e: MADE_VECTOR.step(np.zeros((2, 2), int)),
    "an environment's optimum": lambda e: MADE.unwrapped.optimum(),
    "an environment's evaluation": lambda e: MADE.unwrapped.evaluate(np.zeros((5, 2), int)),
}

LAYERS_DOORS = {
    "its problem": lambda env: env.problem,
    "its bank": lambda env: env.sampler,
    "its optimum": lambda env: env.optimum(),
    "its certificate": lambda env: env.certificate(),
    "an evaluation": lambda env: env.evaluate(np.zeros((1, 3, 2), int)),
}


@pytest.mark.parametrize("sees", ["totals", "layers"])
@pytest.mark.parametrize("door", DOORS)
def test_a_cheating_agent_is_stopped(door, sees, problem):
    tried = []

    def cheat(evaluator):
        tried.append(door)
        DOORS[door](evaluator)
        tried.append("and got through")

    with pytest.raises(Withheld, match="is withheld while an agent searches"):
        solve(Doing(cheat, sees), problem, samples=10)
    assert tried == [door]
    MADE.reset()  # outside a search all is open
    assert PROBLEM.optimum().exact


@pytest.mark.parametrize("door", LAYERS_DOORS)
def test_an_environment_of_the_evaluator_has_no_door_either(door, problem):
    def cheat(evaluator):
        LAYERS_DOORS[door](evaluator.environment(2))

    with pytest.raises(Withheld):
        solve(Doing(cheat, "layers"), problem, samples=10)


def test_infos_do_not_tell_the_regret(problem):
    told = []

    def look(evaluator):
        env = evaluator.environment(2, action_mode="discrete")
        env.reset()
        for _ in range(3):
            infos = env.step(np.zeros(2, int))[-1]
        told.append(infos)

    solve(Doing(look, "layers"), problem, samples=10)
    [infos] = told
    final = infos["final_info"]
    assert final["is_success"].all()
    assert final["objective"][0] == problem.evaluate(np.zeros((3, 2), int)).objective[0]
    assert "regret" not in {*infos, *final}


def test_rewards_that_tell_the_optimum_are_refused(problem):
    def ask(evaluator):
        evaluator.environment(2, reward="terminal")

    with pytest.raises(ValueError, match="'terminal' tells the optimum, which is withheld"):
        solve(Doing(ask, "layers"), problem, samples=10)
    throughput = hwgym.AssignmentProblem.of(TINY, **describe(objective="throughput"))
    paid = []

    def default(evaluator):
        env = evaluator.environment(
            1, action_mode="discrete", on_paid=lambda genes, scores, returns: paid.append(returns)
        )
        play(env, np.random.default_rng(0))

    solve(Doing(default, "layers"), throughput, samples=5)  # does not ask for the optimum
    assert len(paid) == 5


def test_who_sees_totals_gets_totals(problem):
    def look(evaluator):
        scores = evaluator.evaluate(draw(evaluator, 4))
        assert scores.parts is None
        assert evaluator.part(2).evaluate(draw(evaluator, 1)).parts is None
        with pytest.raises(ValueError, match="declare sees = 'layers'"):
            evaluator.environment(2)

    assert solve(Doing(look), problem, samples=10).samples == 5
    assert solve(Doing(look), problem_of("Tour-4-v0"), samples=10).samples == 5


def test_a_log_has_the_parts_that_the_agent_has_not(problem, tmp_path):
    result = solve(Drawing(), problem, samples=20, log=tmp_path / "log")
    rows = read_episodes(tmp_path / "log")
    assert len(rows) == result.samples
    parts = problem.parts(np.array([np.stack(g) for g in rows["genes"]]).astype(np.int64))
    np.testing.assert_array_equal(np.stack(rows["step_cost"]), parts.cost)


def test_what_was_paid_for_is_what_the_problem_says(problem):
    seen = []

    def look(evaluator):
        genes = draw(evaluator, 6)
        seen.append((genes, evaluator.evaluate(genes)))

    solve(Doing(look, "layers"), problem, samples=6)
    [(genes, scores)] = seen
    expected, parts = problem.evaluate(genes), problem.parts(genes)
    np.testing.assert_array_equal(scores.objective, expected.objective)
    np.testing.assert_array_equal(scores.parts.cost, parts.cost)
    np.testing.assert_array_equal(scores.parts.used, parts.used)


def test_the_veil_falls_when_a_search_fails(problem):
    def fail(evaluator):
        raise KeyError("something else")

    with pytest.raises(KeyError):
        search(Doing(fail), Evaluator(problem, 3), 0)
    assert problem.optimum().exact


@pytest.mark.parametrize(
    "name", ["samples", "sees", "spent", "timed_out", "best_objective", "improvements", "statement"]
)
def test_the_account_is_not_the_agents_to_write(name, problem):
    def write(evaluator):
        with pytest.raises(AttributeError):
            setattr(evaluator, name, None)
        evaluator.evaluate(draw(evaluator, 3))
        with pytest.raises(ValueError, match="read-only"):
            evaluator.improvements[0][1][:] = 0
        evaluator.history[:] = 0.0

    result = solve(Doing(write), hwgym.AssignmentProblem.of(TINY, ratio=1.0), samples=3)
    assert result.samples == 3
    assert (result.history > 0).all()


def test_an_account_cannot_be_written_by_taking_one_up(problem):
    state = {"spent": 0, "improvements": [], "history": []}
    bought = draw(problem, 5)
    evaluator = Evaluator(problem, 9)
    evaluator.evaluate(bought)
    with pytest.raises(ValueError, match="before the first sample"):
        evaluator.restore(state)
    assert evaluator.spent == 5
    for wrong in (
        {**state, "history": [1.0]},
        {**state, "improvements": [[0, bought[0].tolist()]]},
        {"spent": 1, "history": [1.0], "improvements": [[1, bought[0].tolist()]]},
    ):
        with pytest.raises(ValueError, match="does not add up"):
            Evaluator(problem, 9).restore(wrong)
    # A stage would score what it is said to have evaluated: each must have been paid for.
    free = {**state, "evaluated": [bought.tolist()], "whole": state}
    with pytest.raises(ValueError, match="does not add up"):
        Evaluator(problem, 9).part(9).restore(free)


def test_the_log_scores_nothing_that_was_not_paid_for(problem, tmp_path):
    log = EpisodeLog(tmp_path / "log", problem)

    def peek(evaluator):
        log.add(draw(evaluator, 1))

    with pytest.raises(Withheld):
        solve(Doing(peek), problem, samples=3)
