"""The classical and Bayesian agents: what they reach, what they spend, and what they may know."""

import dataclasses
import functools
from typing import ClassVar

import numpy as np
import pytest

from hwgym import AssignmentProblem, Layer, Workload
from hwgym.agent import Agent, BudgetSpent, Evaluator, solve
from hwgym_agents import classical
from hwgym_agents.classical import (
    BestUniform,
    Genetic,
    Greedy,
    GridSearch,
    LagrangianRelaxation,
    RandomSearch,
    SeenTables,
    SimulatedAnnealing,
    TabulateAndSolve,
    spread_actions,
)

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

    def __init__(self, problem, samples):
        super().__init__(problem, samples)
        self.asked = []

    def evaluate(self, actions, returns=None):
        before = self.spent
        scores = super().evaluate(actions, returns)
        self.asked.append(np.array(actions)[: self.spent - before])
        return scores

    @property
    def actions(self):
        return np.concatenate(self.asked)


def run(agent, problem, samples, seed=0):
    evaluator = Counted(problem, samples)
    try:
        agent.search(evaluator, seed)
    except BudgetSpent:
        assert not evaluator.remaining
    return evaluator


# --- what they reach ------------------------------------------------------------------------------


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
    assert sorted(evaluator.actions[:, 0]) == list(range(problem.num_actions))


def test_the_grid_is_complete_and_has_no_duplicates(tiny):
    problem = tiny()
    evaluator = run(GridSearch(groups=4), problem, 2000)
    assert evaluator.spent == problem.num_actions**4
    assert len(np.unique(evaluator.actions, axis=0)) == evaluator.spent
    assert evaluator.best_objective == problem.optimum().objective


def test_the_grid_gives_layers_of_similar_macs_the_same(tiny):
    problem = tiny()
    actions = run(GridSearch(groups=2), problem, 2000).actions
    assert len(actions) == problem.num_actions**2
    macs = np.argsort([layer.macs for layer in problem.space.workload], kind="stable")
    assert np.array_equal(actions[:, macs[0]], actions[:, macs[1]])
    assert np.array_equal(actions[:, macs[2]], actions[:, macs[3]])


@pytest.mark.parametrize("shape", [(1, 1), (12, 12), (3, 2), (4, 5, 3), (128, 2)])
def test_spread_actions_are_a_permutation_that_begins_at_the_ends(shape):
    order = spread_actions(shape)
    assert sorted(order) == list(range(np.prod(shape)))
    assert order[0] == 0
    if len(shape) == 2:
        assert order[len(order[:2]) - 1] == np.prod(shape) - 1


# --- what they spend ------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [1, 7, 100])
def test_the_budget_is_kept(agent, problem, samples):
    evaluator = run(agent, problem, samples)
    assert 1 <= evaluator.spent <= samples
    assert evaluator.actions.shape == (evaluator.spent, problem.num_steps)
    assert evaluator.actions.min() >= 0
    assert evaluator.actions.max() < problem.num_actions
    if evaluator.best is not None:
        assert problem.evaluate_actions(evaluator.best[None]).feasible[0]


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
    assert np.array_equal(first.actions, again.actions)
    if name in STOCHASTIC:
        assert not np.array_equal(first.actions, other.actions)
    elif name in LAYERS or name in ("uniform", "grid"):
        assert np.array_equal(first.actions, other.actions)


def test_random_search_does_not_depend_on_its_batch(tiny):
    problem = tiny()
    runs = [run(RandomSearch(batch=size), problem, 100).actions for size in (1, 7, 256)]
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


# --- what they may know -------------------------------------------------------------------------


class Veiled:
    """A problem of which only the shape and the evaluation are known."""

    SHOWN: ClassVar = {
        "num_steps", "num_actions", "limit", "budget", "objective", "constraint", "deployment",
    }  # fmt: skip

    def __init__(self, problem):
        self._problem, self.evaluated = problem, 0
        self.space = VeiledSpace(problem.space)

    def __getattr__(self, name):
        if name not in self.SHOWN:
            raise AssertionError(f"looked at {name}")
        return getattr(self._problem, name)

    def evaluate_actions(self, actions):
        self.evaluated += len(actions)
        return self._problem.evaluate_actions(actions)


class VeiledSpace:
    SHOWN: ClassVar = {
        "shape", "num_actions", "pe_levels", "tile_levels", "dataflows", "workload", "encode",
        "decode",
    }  # fmt: skip

    def __init__(self, space):
        self._space = space

    def __getattr__(self, name):
        if name not in self.SHOWN:
            raise AssertionError(f"looked at {name}")
        return getattr(self._space, name)


@pytest.mark.parametrize("samples", [7, 100])
@pytest.mark.parametrize("name", TOTALS)
def test_those_that_see_totals_look_at_nothing_else(name, samples, problem):
    veiled = Veiled(problem)
    evaluator = run(TOTALS[name](), veiled, samples)
    assert veiled.evaluated == evaluator.spent  # nothing evaluated behind the evaluator's back
    assert np.array_equal(evaluator.actions, run(TOTALS[name](), problem, samples).actions)


def corrupted(problem, seen):
    """The problem with every entry of its tables changed that was not seen."""
    space, rng = problem.space, np.random.default_rng(9)
    if problem.deployment == "LS":
        seen = np.repeat(seen, len(space.workload), axis=0)
    tables = {}
    for name in ("latency_cycles", "energy_nj", "area_um2", "power_mw", "valid"):
        table = np.array(getattr(space, name))
        noise = rng.uniform(0.1, 3, table.shape) * (table.mean() + table)
        wrong = ~table if name == "valid" else noise.astype(table.dtype)
        tables[name] = np.where(seen, table, wrong)
    return AssignmentProblem(
        dataclasses.replace(space, **tables),
        objective=problem.objective,
        constraint=problem.constraint,
        budget=problem.budget,
        deployment=problem.deployment,
    )


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
        seen = np.zeros((problem.num_steps, problem.num_actions), bool)
        seen[np.arange(problem.num_steps), first.actions] = True
        assert not seen.all()
        other = corrupted(problem, seen)
        assert not np.array_equal(other.cost, problem.cost)
        second = run(AGENTS[name](), other, samples)
        assert np.array_equal(first.actions, second.actions)
        assert np.array_equal(first.history, second.history)


def test_seen_tables_hold_what_was_paid_for(tiny):
    problem = tiny()
    tables, evaluator = SeenTables(problem), Evaluator(problem, 2)
    assert tables.least is None
    assert tables.best() is None
    tables.evaluate(evaluator, np.array([[0, 1, 2, 3], [0, 2, 2, 1], [5, 5, 5, 5]]))
    assert tables.seen.sum() == 6  # the third was not paid for
    assert np.isinf(tables.cost[~tables.seen]).all()
    assert np.isinf(tables.usage[~tables.seen]).all()
    assert not tables.valid[~tables.seen].any()
    assert np.array_equal(tables.cost[tables.seen], problem.cost[tables.seen])
    with pytest.raises(BudgetSpent):
        tables.evaluate(evaluator, np.zeros((1, 4), np.int64))


def test_no_feasible_choice_seen_is_no_answer():
    layers = Workload("deep", tuple(Layer(f"l{i}", "CONV", 64, 64, 8, 8, 3, 3) for i in range(3)))
    problem = AssignmentProblem.of(layers, "Eyeriss", ratio=0.1)
    for name in LAYERS:
        # One PE cannot be mapped, so after one sample there is nothing to choose from.
        assert run(LAYERS[name](), problem, 1).best is None


def test_all_that_is_public_is_described():
    for name in classical.__all__:
        assert getattr(classical, name).__doc__
