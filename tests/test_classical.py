"""Agents that need no PyTorch: what they reach, what they spend, and what they may know."""

import dataclasses
import functools

import numpy as np
import pytest
import tiny_families  # noqa: F401 (registers them)

from hwgym import AssignmentProblem, Layer, Workload
from hwgym.core import (
    METRICS,
    Agent,
    Axis,
    BudgetSpent,
    EpisodeLog,
    Evaluator,
    LogError,
    Space,
    Statement,
    TableProblem,
    find_agent,
    problem_of,
    search,
    solve,
)
from hwgym_agents import blind, common, ga_refiner, local, tables
from hwgym_agents.blind import BestUniform, GridSearch, RandomSearch
from hwgym_agents.common import spread_choices, spread_uniform
from hwgym_agents.ga_refiner import GARefiner
from hwgym_agents.local import Genetic, SimulatedAnnealing
from hwgym_agents.tables import Greedy, LagrangianRelaxation, SeenTables, TabulateAndSolve

try:
    from hwgym_agents.bayesian import CMAES, OptunaSearch

    BAYESIAN = {
        "cmaes": CMAES,
        "cmaes full": functools.partial(CMAES, separable=False, share_alike=False),
        "optuna tpe": functools.partial(OptunaSearch, max_trials=15),
        "optuna cmaes": functools.partial(OptunaSearch, "cmaes", max_trials=30),
        "optuna random": functools.partial(OptunaSearch, "random", max_trials=30),
    }
except ImportError:
    BAYESIAN = {}

LAYERS = {"tabulate": TabulateAndSolve, "greedy": Greedy, "lagrangian": LagrangianRelaxation}
TOTALS = {
    "random": RandomSearch,
    "uniform": BestUniform,
    "grid": GridSearch,
    "annealing": SimulatedAnnealing,
    "annealing 3": functools.partial(SimulatedAnnealing, chains=3),
    "genetic": Genetic,
} | BAYESIAN
AGENTS = LAYERS | TOTALS
STOCHASTIC = ("random", "annealing", "genetic", "cmaes", "optuna tpe", "optuna cmaes")

PE, TILES = (1, 4, 16), (1, 3)


@pytest.fixture(scope="module")
def tiny(three_kinds):
    """Four layers, two of them of the same shape, and six choices: 1,296 assignments."""
    layers = (*three_kinds.layers, dataclasses.replace(three_kinds.layers[0], name="again"))

    def make(dataflow="NVDLA", **settings):
        settings = {"ratio": 0.3, "pe_levels": PE, "tile_levels": TILES} | settings
        return AssignmentProblem.of(Workload("tiny", layers), dataflow, **settings)

    return make


CASES = {
    "latency": {},
    "energy": {"objective": "energy", "constraint": "power"},
    "edp": {"objective": "edp"},
    "throughput": {"objective": "throughput"},
    "unlimited": {"ratio": None, "platform": "unlimited"},
    "LS": {"deployment": "LS"},
    "MIX": {"dataflow": "MIX", "pe_levels": (4, 16), "tile_levels": (1, 3)},
    "MIX LS": {"dataflow": "MIX", "deployment": "LS"},
    "MIX throughput": {"dataflow": "MIX", "objective": "throughput", "pe_levels": (4, 16)},
    "Eyeriss": {"dataflow": "Eyeriss"},
    "released": {"workload": "released"},
}


@pytest.fixture(params=CASES)
def problem(request, tiny):
    settings = dict(CASES[request.param])
    if settings.pop("workload", None):
        return AssignmentProblem.of("AlexNet", "NVDLA", released=True, ratio=0.2)
    return tiny(**settings)


@pytest.fixture(params=AGENTS)
def agent(request):
    return AGENTS[request.param]()


class Counted(Evaluator):
    """Keeps all that was evaluated."""

    def __init__(self, problem, samples, sees):
        super().__init__(problem, samples, sees=sees)
        self.asked = []

    def evaluate(self, genes, returns=None):
        before = self.spent
        scores = super().evaluate(genes, returns)
        self.asked.append(np.array(genes)[: self.spent - before])
        return scores

    @property
    def genes(self):
        return np.concatenate(self.asked)


def run(agent, problem, samples, seed=0):
    """Search behind the veil."""
    evaluator = Counted(problem, samples, agent.sees)
    search(agent, evaluator, seed)
    return evaluator


# --- what they reach ----------------------------------------------------------------------------


def test_they_are_agents(agent):
    assert isinstance(agent, Agent)
    assert agent.sees == ("layers" if type(agent) in LAYERS.values() else "totals")
    assert type(agent).__doc__
    for field in dataclasses.fields(agent):
        hash(field.default)


def test_tabulate_and_solve_is_exact(problem):
    result = solve(TabulateAndSolve(), problem, samples=problem.num_actions + 1)
    assert result.objective == problem.optimum().objective
    assert result.samples <= problem.num_actions + 1


def test_tabulate_and_solve_equals_brute_force(tiny, brute_force):
    for settings in ({}, {"objective": "throughput"}, {"objective": "energy", "ratio": 0.05}):
        problem = tiny(**settings)
        assert solve(TabulateAndSolve(), problem, samples=7).objective == brute_force(problem)


@pytest.mark.parametrize("name", ["greedy", "lagrangian"])
def test_approximations_that_see_layers_come_close(name, problem):
    result = solve(LAYERS[name](), problem, samples=600)
    uniform = solve(BestUniform(), problem, samples=600)
    assert result.objective <= min(uniform.objective, 1.25 * problem.optimum().objective)


@pytest.mark.parametrize("name", ["annealing", "genetic"])
def test_local_search_comes_close(name, problem):
    results = [solve(TOTALS[name](), problem, samples=1000, seed=s).objective for s in range(3)]
    assert np.median(results) <= 1.05 * problem.optimum().objective


@pytest.mark.skipif(not BAYESIAN, reason="optuna or cmaes is not installed")
def test_cma_es_is_no_worse_than_uniform(problem):
    uniform = solve(BestUniform(), problem, samples=3000)
    # It begins with all uniform assignments only if its share of the samples allows it.
    result = solve(BAYESIAN["cmaes"](start_share=0.2), problem, samples=3000)
    assert result.objective <= uniform.objective


def test_greedy_and_lagrangian_take_every_best_choice_where_all_is_allowed(tiny):
    problem = tiny(ratio=None, platform="unlimited")
    for name in LAYERS:
        assert solve(LAYERS[name](), problem, samples=50).regret == 0


@pytest.mark.parametrize("name", ["uniform", "grid"])
def test_one_step_is_searched_completely(name, tiny):
    problem = tiny(deployment="LS")
    evaluator = run(TOTALS[name](), problem, 100)
    numbers = problem.space.encode(evaluator.genes)
    assert sorted(numbers[:, 0]) == list(range(problem.num_actions))


def test_the_grid_is_complete_and_has_no_duplicates(tiny):
    problem = tiny()
    evaluator = run(GridSearch(groups=4), problem, 2000)
    assert evaluator.spent == problem.num_actions**4
    assert len(np.unique(evaluator.genes, axis=0)) == evaluator.spent
    assert evaluator.best_objective == problem.optimum().objective


def test_the_grid_gives_layers_of_similar_macs_the_same(tiny):
    problem = tiny()
    genes = run(GridSearch(groups=2), problem, 2000).genes
    assert len(genes) == problem.num_actions**2
    macs = np.argsort([layer.macs for layer in problem.design.workload], kind="stable")
    assert np.array_equal(genes[:, macs[0]], genes[:, macs[1]])
    assert np.array_equal(genes[:, macs[2]], genes[:, macs[3]])


def space_of(*axes, steps=3):
    kinds = {int: "ordered", str: "categorical"}
    return Space(steps, tuple(Axis("x", tuple(range(int(n))), kinds[type(n)]) for n in axes))


@pytest.mark.parametrize("axes", [(1, 1), (12, 12), (3, 2), (4, 5, "3"), (128, 2), ("3", 4), (7,)])
def test_spread_choices_are_all_choices_and_begin_at_the_ends(axes):
    space = space_of(*axes)
    choices = spread_choices(space, 10**6)
    assert sorted(space.encode(choices)) == list(range(space.num_actions))
    assert not choices[0].any()
    far = np.minimum(1, np.array(space.shape) - 1)
    ends = np.where(space.ordered, np.array(space.shape) - 1, far)
    if space.num_actions > 1:
        assert (choices[1] == ends).all()
    for few in (1, 2, 5):
        assert np.array_equal(spread_choices(space, few), choices[:few])


def test_categories_are_no_farther_apart_than_ends():
    space = space_of("3", 5)
    assert set(spread_choices(space, 3)[:, 0]) == {0, 1, 2}
    assert set(spread_choices(space, 4)[:, 1]) >= {0, 4}


def test_where_choices_cannot_be_enumerated_all_axes_go_the_same_share():
    space = space_of(5, 1000, 1000)
    assert space.joint is None
    choices = spread_choices(space, 5)
    assert choices.tolist() == [
        [0, 0, 0], [4, 999, 999], [2, 500, 500], [1, 250, 250], [3, 749, 749],
    ]  # fmt: skip
    many = spread_choices(space, 5000)
    assert len(np.unique(many, axis=0)) == len(many) == 1000
    assert spread_uniform(space, 7).shape == (7, 3, 3)


# --- what they spend ----------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [1, 7, 100])
def test_the_budget_is_kept(agent, problem, samples):
    evaluator = run(agent, problem, samples)
    assert 1 <= evaluator.spent <= samples
    assert evaluator.genes.shape == (
        evaluator.spent,
        *problem.space.check(evaluator.genes).shape[1:],
    )
    assert evaluator.genes.min() >= 0
    if evaluator.best is not None:
        assert problem.evaluate(evaluator.best).feasible[0]


@pytest.mark.parametrize("name", AGENTS)
def test_fine_levels(name, tiny):
    problem = tiny(pe_levels=range(1, 129), tile_levels=(1, 2, 5))
    evaluator = run(AGENTS[name](), problem, 300)
    assert 1 <= evaluator.spent <= 300
    if name != "random":
        assert evaluator.best is not None


@pytest.mark.parametrize("name", AGENTS)
def test_the_same_seed_gives_the_same_search(name, tiny):
    problem = tiny(pe_levels=(1, 2, 4, 8, 16, 32), tile_levels=(1, 2, 3, 4))
    first, again, other = (run(AGENTS[name](), problem, 150, seed) for seed in (3, 3, 4))
    assert np.array_equal(first.genes, again.genes)
    if name in STOCHASTIC:
        assert not np.array_equal(first.genes, other.genes)
    elif name in LAYERS or name in ("uniform", "grid"):
        assert np.array_equal(first.genes, other.genes)


def test_random_search_does_not_depend_on_its_batch(tiny):
    problem = tiny()
    runs = [run(RandomSearch(batch=size), problem, 100).genes for size in (1, 7, 256)]
    assert np.array_equal(runs[0], runs[1])
    assert np.array_equal(runs[0], runs[2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GridSearch(groups=17), "groups must lie in 1..16"),
        (lambda: GridSearch(groups=0), "groups must be a positive integer, got 0"),
        (lambda: SimulatedAnnealing(hot=0), "0 < cold <= hot"),
        (lambda: SimulatedAnnealing(exchange=2), r"exchange must lie in \[0, 1\], got 2"),
        (lambda: Genetic(population=0), "population must be a positive integer"),
        (lambda: Greedy(tabulate_share=-1), "tabulate_share must lie in"),
        (lambda: LagrangianRelaxation(bisections=0), "bisections must be a positive integer"),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.skipif(not BAYESIAN, reason="optuna or cmaes is not installed")
def test_wrong_settings_of_the_bayesian_ones_are_refused():
    with pytest.raises(ValueError, match="unknown sampler 'tpee'; did you mean 'tpe'"):
        OptunaSearch("tpee")
    with pytest.raises(ValueError, match="sigma must be positive"):
        CMAES(sigma=0)


@pytest.mark.skipif(not BAYESIAN, reason="optuna or cmaes is not installed")
def test_a_gaussian_process_is_followed_by_parzen_estimators(tiny):
    pytest.importorskip("torch")
    # Optuna draws the first ten at random, the five uniform ones counted.
    evaluator = run(OptunaSearch("gp", max_trials=8, max_gp_trials=6), tiny(), 100)
    assert evaluator.spent == 5 + 8
    assert evaluator.best is not None


# --- any family ---------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [1, 60])
@pytest.mark.parametrize("env_id", ["Bags-4-0-v0", "Tour-4-v0", "Tour-5-v0"])
@pytest.mark.parametrize("name", TOTALS)
def test_agents_that_see_totals_work_on_any_family(name, env_id, samples):
    result = solve(TOTALS[name](), env_id, samples=samples, seed=1)
    assert 1 <= result.samples <= samples
    if result.assignment is not None:
        assert result.problem.evaluate(result.assignment).feasible[0]
        assert result.regret >= 0


def test_where_no_step_takes_from_another_they_swap():
    statement = problem_of("Tour-5-v0").statement
    moves = local.Moves(statement, np.random.default_rng(0), 0.1)
    genes = statement.space.draw(np.random.default_rng(1), 300)
    moved = moves.exchange(genes, 0.5)
    np.testing.assert_array_equal(np.sort(moved, axis=1), np.sort(genes, axis=1))
    changed = (moved != genes).sum(axis=1)
    assert set(np.unique(changed)) == {0, 2}
    assert ((changed > 0).sum(axis=1) <= 1).all()
    assert (changed > 0).any(axis=0).all()


@pytest.mark.parametrize("name", ["annealing", "genetic"])
def test_a_valid_start_is_looked_for_where_no_uniform_solution_is_valid(name):
    problem = problem_of("Tour-5-v0")
    history = solve(TOTALS[name](), problem, samples=1500).history
    first = np.isfinite(history).argmax()
    assert 75 <= first < 750  # after the uniform ones
    assert history[-1] < 0.9 * history[first]


def test_a_single_step_changes_where_others_swap():
    space = Space(1, (Axis("a", tuple(range(9))), Axis("b", tuple("xyz"), "categorical")))
    statement = Statement(key={}, title="one", space=space, objective=METRICS["latency"])
    moves = local.Moves(statement, np.random.default_rng(0), 0.1)
    genes = np.full((200, 1, 2), 1)
    moved = moves.exchange(genes, 0.5)
    assert (genes == 1).all()
    assert ((moved != genes).sum(axis=(1, 2)) <= 1).all()
    assert (moved != genes).any()
    assert (space.check(moved) >= 0).all()


@pytest.mark.parametrize("env_id", ["Bags-3-0-v0", "Bags-4-1-v0"])
@pytest.mark.parametrize("name", LAYERS)
def test_agents_that_see_layers_work_on_any_separable_family(name, env_id):
    result = solve(LAYERS[name](), env_id, samples=60)
    assert result.regret < 0.5
    if name == "tabulate":
        assert (result.regret, result.samples) == (0, 13)


@pytest.mark.parametrize("name", [*LAYERS, "ga-refiner"])
def test_agents_that_see_layers_say_what_they_need(name, tmp_path):
    problem = problem_of("Tour-4-v0")
    settings = {}
    if name == "ga-refiner":
        with EpisodeLog(tmp_path / "log", problem) as log:
            log.add(problem.optimum().assignment)
        settings = {"logs": [str(tmp_path / "log")]}
    with pytest.raises(ValueError, match=r"learns what each choice .* way is known of whole"):
        solve(name, problem, samples=20, settings=settings)


# --- what they may know ---------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [7, 100])
@pytest.mark.parametrize("name", AGENTS)
def test_nothing_is_evaluated_that_was_not_paid_for(name, samples, problem, monkeypatch):
    scored = []
    score = TableProblem.score

    def counted(self, genes):
        scored.append(len(genes))
        return score(self, genes)

    monkeypatch.setattr(TableProblem, "score", counted)
    evaluator = run(AGENTS[name](), problem, samples)
    assert sum(scored) == evaluator.spent


def corrupted(problem, seen):
    """The problem with every entry of its tables changed that was not seen."""
    design, rng = problem.design, np.random.default_rng(9)
    if problem.deployment.shared:
        seen = np.repeat(seen, len(design.workload), axis=0)
    changed = {}
    for name in ("latency_cycles", "energy_nj", "area_um2", "power_mw", "valid"):
        table = np.array(getattr(design, name))
        noise = rng.uniform(0.1, 3, table.shape) * (table.mean() + table)
        wrong = ~table if name == "valid" else noise.astype(table.dtype)
        changed[name] = np.where(seen, table, wrong)
    return AssignmentProblem(
        dataclasses.replace(design, **changed),
        objective=problem.objective,
        constraint=problem.constraint,
        budget=problem.budget,
        deployment=problem.deployment,
    )


def seen_in(problem, genes):
    """(steps, actions): was in one of the solutions, at a step alike."""
    seen = np.zeros((problem.num_steps, problem.num_actions), bool)
    numbers = problem.space.encode(genes)
    for members in problem.statement.groups:
        seen[np.ix_(members, np.unique(numbers[:, members]))] = True
    return seen


@pytest.mark.parametrize("samples", [3, 10])
@pytest.mark.parametrize("name", AGENTS)
def test_what_was_never_evaluated_makes_no_difference(name, samples, tiny):
    for settings in (
        {},
        {"objective": "throughput"},
        {"deployment": "LS"},
        {"dataflow": "MIX", "objective": "energy", "ratio": 0.6},
    ):
        problem = tiny(**{"pe_levels": (4, 8, 16, 32), "tile_levels": (1, 2, 3, 4)} | settings)
        first = run(AGENTS[name](), problem, samples)
        seen = seen_in(problem, first.genes)
        assert not seen.all()
        other = corrupted(problem, seen)
        assert not np.array_equal(other.cost, problem.cost)
        second = run(AGENTS[name](), other, samples)
        assert np.array_equal(first.genes, second.genes)
        assert np.array_equal(first.history, second.history)


def test_what_was_never_evaluated_makes_no_difference_to_the_refiner(tiny, tmp_path):
    problem = tiny(pe_levels=(4, 8, 16, 32), tile_levels=(1, 2, 3, 4), ratio=0.5)
    genes = problem.space.draw(np.random.default_rng(0), 12)
    with EpisodeLog(tmp_path / "log", problem) as log:
        log.add(genes)
    agent = GARefiner(logs=[str(tmp_path / "log")], population=6)
    first = run(agent, problem, 8)
    seen = seen_in(problem, np.concatenate([genes, first.genes]))
    assert not seen.all()
    other = corrupted(problem, seen)
    second = run(agent, other, 8)
    assert np.array_equal(first.genes, second.genes)
    assert np.array_equal(first.history, second.history)


# --- tables of what was seen ----------------------------------------------------------------------


def test_seen_tables_hold_what_was_paid_for(tiny):
    problem = tiny()
    assert problem.statement.alike.tolist() == [0, 1, 2, 0]
    seen, evaluator = SeenTables(problem.statement), Evaluator(problem, 2, sees="layers")
    assert seen.least is None
    assert seen.best() is None
    asked = problem.space.decode(np.array([[0, 1, 2, 3], [0, 2, 2, 1], [5, 5, 5, 5]]))
    seen.evaluate(evaluator, asked)
    # The third was not paid for; the first and the last step are alike.
    expected = [{0, 1, 3}, {1, 2}, {2}, {0, 1, 3}]
    assert [set(np.flatnonzero(row)) for row in seen.seen] == expected
    assert np.isinf(seen.cost[~seen.seen]).all()
    assert np.isinf(seen.usage[~seen.seen]).all()
    assert not seen.valid[~seen.seen].any()
    for mine, all_ in (
        (seen.cost, problem.cost), (seen.usage, problem.usage), (seen.valid, problem.valid),
    ):  # fmt: skip
        assert np.array_equal(mine[seen.seen], all_[seen.seen])
    with pytest.raises(BudgetSpent):
        seen.evaluate(evaluator, np.zeros((1, 4, 2), np.int64))


def test_episodes_that_broke_off_tell_as_far_as_they_went(tiny):
    problem = tiny()
    seen, evaluator = SeenTables(problem.statement), Evaluator(problem, 2, sees="layers")
    genes = problem.space.decode(np.array([[4, 3, -1, -1], [-1, -1, -1, -1]]))
    seen.evaluate(evaluator, genes)
    assert seen.seen.sum(axis=1).tolist() == [1, 1, 0, 1]


def test_what_was_not_seen_is_guessed_from_what_was():
    problem = AssignmentProblem.of("MobileNetV2", "NVDLA")
    seen = SeenTables(problem.statement)
    assert np.array_equal(seen.guess(), np.zeros_like(seen.cost))
    genes = problem.space.draw(np.random.default_rng(0), 20)
    seen.note(genes, problem.parts(genes))
    guess = seen.guess()
    assert np.array_equal(guess[seen.valid], problem.usage[seen.valid])
    unseen = problem.valid & ~seen.seen
    off = np.log(guess[unseen] / problem.usage[unseen])
    spread = np.log(problem.usage[unseen]).std()
    assert 0.1 < unseen.mean() < 0.9
    assert off.std() < 0.4 * spread
    assert abs(off.mean()) < 0.2


def test_choices_that_no_step_was_seen_with_are_guessed_along_the_axes():
    fine = AssignmentProblem.of(
        "AlexNet", "NVDLA", pe_levels=range(1, 65), tile_levels=(1, 2, 4, 8)
    )
    seen = SeenTables(fine.statement)
    coarse = np.array([0, 7, 15, 31, 63])
    rng = np.random.default_rng(1)
    genes = np.stack([coarse[rng.integers(5, size=(40, 5))], rng.integers(4, size=(40, 5))], -1)
    seen.note(genes, fine.parts(genes))
    unseen = fine.valid & ~seen.seen
    off = np.log(seen.guess()[unseen] / fine.usage[unseen])
    assert np.abs(off).mean() < 0.3


def test_a_table_of_no_usage_guesses_none():
    problem = problem_of("Bags-3-0-v0")
    free = dataclasses.replace(problem.statement, constraint=None, limit=np.inf)
    seen = SeenTables(free)
    genes = problem.space.draw(np.random.default_rng(0), 40)
    parts = problem.parts(genes)
    seen.note(genes, dataclasses.replace(parts, used=np.zeros_like(parts.used)))
    assert not seen.guess().any()
    assert seen.best().tolist() == np.where(seen.valid, seen.cost, np.inf).argmin(axis=1).tolist()


def test_no_feasible_choice_seen_is_no_answer():
    layers = Workload("deep", tuple(Layer(f"l{i}", "CONV", 64, 64, 8, 8, 3, 3) for i in range(3)))
    problem = AssignmentProblem.of(layers, "Eyeriss", ratio=0.1)
    for name in LAYERS:
        # One PE cannot be mapped, so after one sample there is nothing to choose from.
        assert run(LAYERS[name](), problem, 1).best is None


# --- the refiner ----------------------------------------------------------------------------------


@pytest.fixture
def refined(tiny, tmp_path):
    problem = tiny(pe_levels=(4, 8, 16, 32), tile_levels=(1, 2, 3, 4), ratio=0.4)
    solve(RandomSearch(), problem, samples=40, log=tmp_path / "log")
    return problem, str(tmp_path / "log")


def test_the_refiner_is_never_worse_than_its_log_and_soon_optimal(refined):
    problem, log = refined
    result = solve(GARefiner(logs=[log]), problem, samples=300)
    _, scores, _ = ga_refiner.read_logs([log], problem.statement)
    assert result.history[20] <= scores.best
    assert result.regret < 0.002


def test_the_refiner_reads_nothing_but_the_log(refined, monkeypatch):
    problem, log = refined
    monkeypatch.setattr(TableProblem, "score", None)
    genes, scores, _ = ga_refiner.read_logs([log], problem.statement)
    monkeypatch.undo()
    assert np.array_equal(scores.parts.cost, problem.parts(genes).cost)


def test_coarse_logs_serve_a_finer_problem(refined):
    problem, log = refined
    fine = problem.with_levels(range(2, 41), problem.design.tile_levels)
    genes, scores, left_out = ga_refiner.read_logs([log], fine.statement)
    assert (len(genes), left_out) == (40, 0)
    parts = fine.parts(genes)
    assert np.array_equal(scores.parts.cost, parts.cost)
    assert np.array_equal(scores.parts.used, parts.used)
    result = solve(GARefiner(logs=[log]), fine, samples=400)
    assert result.objective < problem.optimum().objective


def test_logs_of_other_problems_are_refused(refined, tiny):
    problem, log = refined
    other = problem.with_levels((4, 8, 16), problem.design.tile_levels)  # lacks a level
    with pytest.raises(LogError, match="another problem: pe_levels differ"):
        solve(GARefiner(logs=[log]), other, samples=5)
    budget = problem.with_levels(range(2, 41), problem.design.tile_levels)
    budget = dataclasses.replace(budget, ratio=None, platform=None, budget=2 * budget.budget)
    with pytest.raises(LogError, match="another problem: budget differ"):
        solve(GARefiner(logs=[log]), budget, samples=5)


def test_all_that_is_public_is_described():
    for module in (blind, common, ga_refiner, local, tables):
        for name in module.__all__:
            assert getattr(module, name).__doc__


def test_agents_are_found_by_name():
    for name, cls in (("grid", GridSearch), ("genetic", Genetic), ("greedy", Greedy)):
        assert find_agent(name) is cls
