"""Agents of precision: the additive optimum, AQGAN's generator, HAQ's walk; their suite."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from hwgym import AssignmentProblem, Layer, Workload
from hwgym.core import Axis, Evaluator, Space, problem_of, search, solve
from hwgym.core.family import ranked_ids
from hwgym.families.mapping import mapping_problem
from hwgym.families.quant import FAMILY, AccuracyProblem, quant_problem
from hwgym.leaderboard import SUITES
from hwgym.leaderboard.tracks import find_track
from hwgym_agents.additive import Additive, fit_additive, next_best
from hwgym_agents.precision import known_usage, quality, summed

torch = pytest.importorskip("torch")
pytest.importorskip("stable_baselines3")

from hwgym_agents import haq  # noqa: E402
from hwgym_agents.aqgan import AQGAN, Generator, Training  # noqa: E402
from hwgym_agents.haq import HAQ, action_wall, layer_features, truncated_normal  # noqa: E402

DIGITS = "HWQuant-Digits-Energy-60-v0"
TINY = Workload(
    "tiny",
    (
        Layer("conv", "CONV", K=8, C=4, OY=6, OX=6, R=3, S=3),
        Layer("depthwise", "DSCONV", K=1, C=8, OY=3, OX=3, R=3, S=3, stride=2),
        Layer.gemm("gemm", M=1, N=10, K=32),
    ),
)
QUICK = (
    Additive(),
    AQGAN(steps=20, again=5, draws=30, batch=8),
    HAQ(warmup=3, hidden=16, batch=8),
)
AGENTS = pytest.mark.parametrize("agent", QUICK, ids=lambda agent: type(agent).__name__)


@pytest.fixture
def tiny():
    return quant_problem(TINY, "energy", share=0.6, bits=(2, 4, 8))


class Watched(Evaluator):
    """Remembers what was bought."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.bought, self.scores = [], []

    def evaluate(self, genes, returns=None):
        scores = super().evaluate(genes, returns)
        self.bought += list(np.asarray(genes)[: len(scores)])
        self.scores.append(scores)
        return scores

    @property
    def feasible(self):
        return np.concatenate([scores.feasible for scores in self.scores])


def bought(agent, problem, samples, seed=0):
    evaluator = Watched(problem, samples)
    search(agent, evaluator, seed)
    assert evaluator.spent == len(evaluator.bought) <= samples
    return evaluator


# --- all of them ----------------------------------------------------------------------------------


@AGENTS
def test_equal_seeds_buy_the_same(agent):
    problem = problem_of(DIGITS)
    one, same = (np.array(bought(agent, problem, 24, seed=4).bought) for _ in range(2))
    assert_array_equal(one, same)
    if agent is not QUICK[0]:
        assert (one != np.array(bought(agent, problem, 24, seed=5).bought)).any()


@AGENTS
@pytest.mark.parametrize("samples", [1, 2, 9])
def test_budgets_are_kept_and_spent(agent, samples):
    evaluator = bought(agent, problem_of("HWQuant-MNIST5k-Area-40-v0"), samples)
    assert evaluator.spent == samples


@pytest.mark.parametrize("agent", QUICK[1:], ids=["AQGAN", "HAQ"])
def test_noise_may_stand_for_accuracy(agent, tiny):
    evaluator = bought(agent, tiny, 30)
    assert evaluator.spent == 30
    assert evaluator.feasible.any()


@AGENTS
@pytest.mark.parametrize(
    "other", [AssignmentProblem.of("AlexNet", "NVDLA"), mapping_problem("ResNet50:20")]
)
def test_other_families_are_refused(agent, other):
    with pytest.raises(ValueError, match="other agents that see totals work on any problem"):
        bought(agent, other, 5)


def test_settings_are_checked():
    for cls, wrong in (
        (Additive, {"alone": 1.5}),
        (Additive, {"ridge": 0.0}),
        (AQGAN, {"draws": 0}),
        (AQGAN, {"reach": 0.0}),
        (AQGAN, {"share": -0.1}),
        (AQGAN, {"regressor": -1.0}),
        (HAQ, {"warmup": 0}),
        (HAQ, {"fades": 2.0}),
        (HAQ, {"deviation": 0.0}),
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            cls(**wrong)


def test_quality_is_accuracy_in_percent_or_decibels(tiny):
    problem = problem_of(DIGITS)
    genes = problem.space.draw(np.random.default_rng(0), 20)
    found = quality(problem.statement, problem.evaluate(genes).objective)
    assert_allclose(found, 100 * problem.accuracy(genes, "search"))
    assert_allclose(quality(tiny.statement, np.array([0.1, 0.001])), [10, 30])


# --- the additive optimum -------------------------------------------------------------------------


def test_it_finds_what_is_best_where_costs_add_up(tiny):
    evaluator = bought(Additive(), tiny, 200)
    # The base, eight choices of each layer alone, and the knapsack's solution, as promised.
    assert evaluator.spent == 1 + 3 * 8 + 1
    costs, limit = tiny.widths.costs["energy"], tiny.statement.limit
    best = np.inf
    for chosen in itertools.product(itertools.product(range(3), repeat=2), repeat=3):
        if sum(costs[i, w, a] for i, (w, a) in enumerate(chosen)) <= limit:
            best = min(best, sum(4.0 ** -(2 << w) + 4.0 ** -(2 << a) for w, a in chosen))
    assert_allclose(evaluator.best_objective, best, rtol=1e-12)


def test_it_measures_on_where_not_everything_was(tiny):
    """What is exact is not the optimum yet, while choices are missing."""
    evaluator = bought(Additive(alone=0.1), tiny, 60)
    assert tiny.regret(evaluator.best_objective) < 1e-9
    assert evaluator.spent < 60


def test_the_yardstick_is_the_best_of_differences_within_the_limit():
    problem = problem_of(DIGITS)
    evaluator = bought(Additive(), problem, 120)
    most = np.full((1, 6, 2), 2)
    assert_array_equal(evaluator.bought[0], most[0])
    base = float(problem.evaluate(most).objective[0])
    total, used = np.zeros(1), np.zeros(1)
    for layer, usage in enumerate(problem.widths.budget.usage):
        rows = np.repeat(most, 9, axis=0)
        rows[:, layer] = list(itertools.product(range(3), repeat=2))
        adds = problem.evaluate(rows).objective - base
        total = (total[:, None] + adds).ravel()
        used = (used[:, None] + usage.ravel()).ravel()
    order = np.argsort(np.where(used <= problem.statement.limit, total, np.inf))
    best = [np.unravel_index(n, (3,) * 12) for n in order[:3]]
    for rank, wanted in enumerate(best):  # the next best follow
        assert_array_equal(evaluator.bought[49 + rank], np.reshape(wanted, (6, 2)))
    assert evaluator.feasible[49:].all()
    assert len({genes.tobytes() for genes in evaluator.bought}) == 120


def test_the_next_best_come_in_order_and_none_is_left_out():
    rng = np.random.default_rng(3)
    cost, usage = rng.normal(size=(4, 5)), rng.integers(1, 9, size=(4, 5)).astype(float)
    allowed = rng.random((4, 5)) < 0.8
    every = [np.array(n) for n in itertools.product(range(5), repeat=4)]
    fits = [n for n in every if allowed[range(4), n].all() and summed(usage, n) <= 14]
    found = list(next_best(cost, usage, allowed, 14.0))
    assert len(found) == len(fits) > 20
    assert len({n.tobytes() for n in found}) == len(found)
    values = [float(summed(cost, n)) for n in found]
    assert_allclose(values, sorted(float(summed(cost, n)) for n in fits), atol=1e-12)
    assert list(next_best(cost, usage, allowed, 1.0)) == []


def test_what_adds_up_is_fitted():
    rng = np.random.default_rng(0)
    adds, rows = rng.normal(size=(3, 4)), rng.integers(4, size=(80, 3))
    fitted = fit_additive(rows, summed(adds, rows), 5, ridge=1e-6)
    assert fitted.shape == (3, 5)
    assert (fitted[:, 4] == 0).all()  # which was in no row
    assert_allclose(summed(fitted, rows), summed(adds, rows), atol=1e-4)


def test_usage_is_read_from_what_is_known():
    problem = problem_of(DIGITS)
    usage = known_usage(problem.statement, "a test")
    assert_array_equal(usage, problem.widths.budget.usage.reshape(6, 9))


# --- the generator --------------------------------------------------------------------------------


def test_a_generator_learns_what_it_is_asked_for():
    """The mean of all choices of a solution, which chance misses by twice as much."""
    space = Space(4, (Axis("a", (0, 1, 2)), Axis("b", (0, 1, 2, 3))))
    rng = np.random.default_rng(0)
    log = space.draw(rng, 200)
    told = log.mean(axis=(1, 2))
    made = Generator(space, 1, 0, Training(hidden=32))
    made.train(log, told[:, None], 250)
    asked = np.linspace(0.6, 1.9, 40)
    off = np.abs(made.draw(asked[:, None]).mean(axis=(1, 2)) - asked).mean()
    chance = np.abs(space.draw(rng, 40).mean(axis=(1, 2)) - asked).mean()
    assert off < chance / 2
    assert np.abs(made.tell(log)[:, 0] - told).mean() < 0.1


def test_a_generator_goes_on_and_seeds_decide():
    space = Space(3, (Axis("a", (0, 1)),))
    log = space.draw(np.random.default_rng(0), 30)
    told = log.mean(axis=(1, 2))[:, None]
    drawn = []
    for seed in (1, 1, 2):
        before = torch.get_rng_state()
        made = Generator(space, 1, seed, Training(hidden=8, regressor=0.0))
        made.train(log, told, 5)
        made.train(log[:20], told[:20], 5)
        assert torch.equal(torch.get_rng_state(), before)
        drawn.append(made.generator[0].weight.detach().numpy().copy())
        genes = made.draw(np.linspace(0, 1, 9)[:, None])
        assert genes.shape == (9, 3, 1)
        assert set(np.unique(genes)) <= {0, 1}
    assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()


def test_steps_that_differ_are_refused():
    space = Space.of_steps([[Axis("a", (0, 1))], [Axis("a", (0, 1, 2))]])
    with pytest.raises(ValueError, match="same choices"):
        Generator(space, 1, 0)


def test_all_that_aqgan_buys_is_within_the_limit():
    evaluator = bought(QUICK[1], problem_of("HWQuant-Digits-Latency-30-v0"), 60)
    assert evaluator.feasible.all()
    later = [genes.tobytes() for genes in evaluator.bought[19:]]
    assert len(set(later)) == len(later)


# --- HAQ ------------------------------------------------------------------------------------------


def test_the_wall_takes_bits_from_the_last_layer_on():
    usage = np.array([[[1.0, 2, 3], [2, 4, 6], [3, 6, 9]]] * 2)  # (weights + 1) x (activations + 1)
    full = np.full((2, 2), 2)
    for limit, wanted in (
        (18, [[2, 2], [2, 2]]),
        (15, [[2, 2], [2, 1]]),  # 9 + 6
        (13, [[2, 2], [1, 1]]),  # 9 + 4
        (10, [[2, 1], [1, 1]]),  # 6 + 4
        (8, [[1, 1], [1, 1]]),
        (6, [[1, 1], [1, 0]]),  # the second round
        (2, [[0, 0], [0, 0]]),
        (1, [[0, 0], [0, 0]]),  # nothing is left to take
    ):
        assert action_wall(full, usage, limit).tolist() == wanted, limit
    assert (full == 2).all()
    low = np.array([[2, 0], [0, 0]])
    assert action_wall(low, usage, 3.0).tolist() == [[1, 0], [0, 0]]


def test_features_of_layers_are_haqs(tiny):
    found = layer_features(tiny.statement)
    assert_allclose(
        found,
        [
            # depthwise, in 4..32, out 8..10, stride 0..2, kernel 1..3, weights 72..320, rows 1..6
            [0, 0, 0, 1 / 2, 1, (288 - 72) / 248, 1, 0],
            [1, 4 / 28, 0, 1, 1, 0, 1, 1 / 2],
            [0, 1, 1, 0, 0, 1, 0, 1],
        ],
    )


def test_an_episode_is_a_network(tiny):
    evaluator = Watched(tiny, 10)
    env = haq.Layers(evaluator)
    assert_array_equal(evaluator.bought[0], np.full((3, 2), 2))
    observed, _ = env.reset()
    assert env.observation_space.contains(observed)
    assert observed[-2:].tolist() == [0, 0]
    actions = [0.1, 0.5, 0.99, 1.0, 0.34, 0.2]
    for place, action in enumerate(actions):
        observed, reward, done, cut, _ = env.step(np.array([action], np.float32))
        assert env.observation_space.contains(observed)
        assert observed[-2] == np.float32(action)
        assert (done, cut) == (place == 5, False)
        if not done:
            assert reward == 0
            assert observed[-1] == (place + 1) % 2
            assert_allclose(
                observed[:8], layer_features(tiny.statement)[(place + 1) // 2], rtol=1e-6
            )
    chosen = np.array([[0, 1], [2, 2], [1, 0]])
    usage = tiny.widths.budget.usage
    wanted = action_wall(chosen, usage, tiny.statement.limit)
    assert_array_equal(evaluator.bought[1], wanted)
    noise = tiny.evaluate(np.stack([np.full((3, 2), 2), wanted])).objective
    assert_allclose(reward, 0.1 * -10 * np.log10(noise[1] / noise[0]))
    assert len(evaluator.bought) == 2


def test_the_reward_is_a_tenth_of_a_point():
    problem = problem_of(DIGITS)
    evaluator = Watched(problem, 3)
    env = haq.Layers(evaluator)
    env.reset()
    for _ in range(12):
        _, reward, _, _, _ = env.step(np.array([0.5], np.float32))
    full, half = (problem.accuracy(genes[None], "search")[0] for genes in evaluator.bought)
    assert_allclose(reward, 0.1 * 100 * (half - full))
    assert (evaluator.bought[1] <= 1).all()


def test_all_that_haq_buys_but_the_first_is_within_the_limit():
    evaluator = bought(QUICK[2], problem_of("HWQuant-MNIST5k-Latency-30-v0"), 12)
    assert not evaluator.feasible[0]
    assert evaluator.feasible[1:].all()


def test_rates_stay_and_noise_fades(monkeypatch):
    made = []
    learn = haq._DDPG.learn

    def keep(model, *args, **more):
        made.append(model)
        return learn(model, *args, **more)

    monkeypatch.setattr(haq._DDPG, "learn", keep)
    agent = HAQ(warmup=4, hidden=8, batch=8, deviation=0.5, fades=0.01)
    bought(agent, problem_of(DIGITS), 12)
    [model] = made
    for net, rate in ((model.actor, 1e-4), (model.critic, 1e-3)):
        assert [group["lr"] for group in net.optimizer.param_groups] == [rate]
    assert model.replay_buffer.buffer_size == 128 * 12
    assert (model.gamma, model.tau, model.learning_starts) == (1.0, 0.01, 48)
    seen = model.observation_space.sample()[None]
    certain, _ = model.predict(seen, deterministic=True)
    noisy, _ = model.predict(seen)
    assert_allclose(noisy, certain, atol=1e-3)  # seven episodes later
    model.num_timesteps = 0
    assert np.abs(np.array([model.predict(seen)[0] for _ in range(20)]) - certain).max() > 0.1


def test_noise_is_cut_off_at_the_ends():
    rng = np.random.default_rng(0)
    drawn = truncated_normal(np.full(2000, 0.5), 0.1, rng)
    assert_allclose([drawn.mean(), drawn.std()], [0.5, 0.1], atol=0.01)
    for mean in (0.0, 1.0, 0.3):
        wide = truncated_normal(np.full(2000, mean), 0.5, rng)
        assert ((wide >= 0) & (wide <= 1)).all()
        assert not np.isin(wide, (0.0, 1.0)).any()
    assert truncated_normal(np.array([[1.0]]), 1e-6, rng)[0, 0] == pytest.approx(1, abs=1e-5)


# --- suite and claim ------------------------------------------------------------------------------


def test_the_suite_has_real_accuracies_only():
    suite = SUITES["precision"]
    ids = [task.env_id for task in suite.tasks]
    assert len(set(ids)) == 12
    assert set(ids) <= set(ranked_ids(FAMILY))
    assert all(isinstance(problem_of(env_id), AccuracyProblem) for env_id in ids)
    assert {task.samples for task in suite.tasks} == {300}
    for name in suite.tracks:
        assert find_track(name).within(300)


def test_the_benchmark_tells_what_it_measured(tmp_path, monkeypatch):
    from benchmarks import aqgan

    threads = torch.get_num_threads()
    try:
        found = [
            aqgan.measure("Digits", limit, logged=(30, 40), seeds=2, steps=3)
            for limit in aqgan.LIMITS
        ]
    finally:
        torch.set_num_threads(threads)
    monkeypatch.setattr(aqgan, "FILE", tmp_path / "aqgan.json")
    aqgan.save(found)
    assert aqgan.load() == found
    text = aqgan.markdown().splitlines()
    assert len(text) == 2 + 2 * len(aqgan.WAYS) + 2
    assert text[0] == "|  | logged | Digits | Digits, 60 % of the energy |"


def test_a_miss_is_what_the_images_held_back_say():
    from benchmarks import aqgan

    posed = aqgan.Posed("Digits", "60 % of the energy")
    problem = problem_of(DIGITS)
    assert posed.targets[[0, -1]].tolist() == [30, 97.5]
    log = posed.log(np.random.default_rng(0), 50)
    numbers = posed.number(log)
    assert posed.allowed[numbers].all()
    assert_allclose(posed.accuracy[0, numbers], 100 * problem.accuracy(log, "search"))
    assert_allclose(posed.accuracy[1, numbers], 100 * problem.accuracy(log, "held"))
    ways = dict(posed.achieved(log, 0, 2))
    assert set(ways) == set(aqgan.WAYS)
    for chosen in ways.values():
        assert posed.allowed[chosen].all()
    told = posed.accuracy[0]
    for target, number in zip(posed.targets, ways[aqgan.NEAREST], strict=True):
        assert abs(told[number] - target) == np.abs(told[numbers] - target).min()


def test_the_record_is_of_everything_that_is_asked():
    from benchmarks import aqgan

    found = aqgan.load()
    assert [(e.network, e.limit) for e in found] == list(
        itertools.product(("Digits", "MNIST5k"), aqgan.LIMITS)
    )
    for each in found:
        assert tuple(each.misses) == aqgan.WAYS
        assert len(each.tries) == len(each.floor) == len(each.targets)
        for of_way in each.misses.values():
            for samples in aqgan.LOGGED:
                assert np.shape(of_way[str(samples)]) == (aqgan.SEEDS, len(each.targets))


def test_they_are_found_by_name():
    result = solve("additive", problem_of(DIGITS), samples=60)
    assert np.isfinite(result.objective)
