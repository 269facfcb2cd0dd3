"""Agents for schedules: what they reach, what they buy, their operators."""

import numpy as np
import pytest
from conftest import needs_torch

from hwgym import AssignmentProblem, Layer, Workload
from hwgym.core import Evaluator, search, solve
from hwgym.families.group import group_problem
from hwgym.families.hetero.problem import hetero_problem
from hwgym.workloads import Mix
from hwgym_agents.herald import Herald
from hwgym_agents.magma import Magma
from hwgym_agents.schedule_local import LocalSchedule
from hwgym_agents.scheduling import (
    BandwidthAware,
    CriticalPath,
    EarliestFinish,
    GroupView,
    HeteroView,
    even_order,
)

LISTS = (EarliestFinish, CriticalPath, BandwidthAware)
OF_GROUPS = (*LISTS, Magma, LocalSchedule)
OF_NETWORKS = (*LISTS, Herald, LocalSchedule)

WIDE = Layer("wide", "CONV", K=64, C=3, OY=16, OX=16, R=3, S=3)
DEPTHWISE = Layer("depthwise", "DSCONV", K=1, C=64, OY=16, OX=16, R=3, S=3)
POINTWISE = Layer("pointwise", "CONV", K=96, C=64, OY=16, OX=16, R=1, S=1)
DEEP = Layer("deep", "CONV", K=128, C=128, OY=4, OX=4, R=3, S=3)
SMALL = Workload("small", (WIDE, DEPTHWISE, POINTWISE))
OTHER = Workload("other", (POINTWISE, DEPTHWISE, DEEP))


@pytest.fixture(scope="module")
def group():
    return group_problem("All", "S2", bandwidth=56, jobs=24)


@pytest.fixture(scope="module")
def networks():
    mix = Mix("two", ((SMALL, 2), (OTHER, 1)))
    return hetero_problem(mix, 512, parts=4, subs=2, kinds=("nv", "yxp"))


@pytest.fixture(scope="module")
def divided():
    mix = Mix("two", ((SMALL, 2), (OTHER, 1)))
    return hetero_problem(mix, 512, bandwidth=16, parts=3, subs=2, kinds=("nv", "yxp"))


class Watched(Evaluator):
    """Remembers what was bought."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.bought, self.invalid = [], 0

    def evaluate(self, genes, returns=None):
        scores = super().evaluate(genes, returns)
        self.bought.append(np.asarray(genes)[: len(scores)])
        self.invalid += int((~scores.valid).sum())
        return scores


def gap(agent, problem, samples, seed=0):
    return solve(agent, problem, samples=samples, seed=seed).regret


# --- what they reach ----------------------------------------------------------------------------


def test_prices_are_worth_more_than_cycles_where_bandwidth_is_scarce(group):
    blind = min(gap(EarliestFinish(), group, 1), gap(CriticalPath(), group, 1))
    assert gap(BandwidthAware(), group, 1) < 0.5 * blind


def test_groups(group):
    local, bred = (gap(agent(), group, 2000) for agent in (LocalSchedule, Magma))
    assert local < 0.08
    assert local < bred < 0.4


def test_independent_jobs_without_a_limit():
    problem = group_problem("Vision", "S5", bandwidth=None, jobs=40)
    assert gap(LocalSchedule(), problem, 1000) < 0.1


def test_windows():
    problem = group_problem("All", "S2", bandwidth=56, jobs=24, decisions="window")
    for agent in (BandwidthAware(), Magma(population=10), LocalSchedule()):
        evaluator = Watched(problem, 200)
        search(agent, evaluator, 0)
        assert evaluator.invalid == 0
        assert evaluator.spent == (1 if isinstance(agent, BandwidthAware) else 200)
    assert gap(LocalSchedule(), problem, 800) < 0.15


def test_networks():
    mix = Mix("five", (("MobileNetV2", 3), ("ShuffleNetV2", 2)))
    problem = hetero_problem(mix, 1024, parts=4, subs=2)
    local = gap(LocalSchedule(designs=4), problem, 150)
    assert local < 0.34
    assert local < 0.9 * min(gap(agent(), problem, 150) for agent in (*LISTS, Herald))


# --- what they buy ------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", OF_GROUPS)
def test_groups_are_bought_valid_and_paid(agent, group):
    evaluator = Watched(group, 150)
    search(agent(), evaluator, 0)
    assert evaluator.invalid == 0
    assert evaluator.spent == sum(map(len, evaluator.bought)) == (1 if agent in LISTS else 150)


@pytest.mark.parametrize("agent", OF_NETWORKS)
@pytest.mark.parametrize("which", ["networks", "divided"])
def test_networks_are_bought_valid_and_paid(agent, which, request):
    problem = request.getfixturevalue(which)
    designs = len(problem.decisions.designs.pes)
    evaluator = Watched(problem, designs + 50)
    search(agent(), evaluator, 0)
    assert evaluator.invalid == 0
    assert evaluator.spent == designs + 50 * (agent is LocalSchedule)
    if agent is not LocalSchedule:  # each design once, the most promising first
        genes = np.concatenate(evaluator.bought)
        partitions = genes[:, : len(problem.decisions.decisions), 0]
        assert len(np.unique(partitions, axis=0)) == designs
        view = HeteroView(problem.statement, "a test")
        first = problem.decisions.partition_of(genes[:1])
        assert (first.pes == view.designs.pes[view.promising[0]]).all()


@pytest.mark.parametrize("agent", [Magma, LocalSchedule])
@pytest.mark.parametrize("samples", [1, 7])
def test_few_samples_are_no_more(agent, samples, group, networks):
    for problem in (group, networks)[: 1 + (agent is LocalSchedule)]:
        assert solve(agent(), problem, samples=samples).samples == samples


@pytest.mark.parametrize("agent", [Magma, LocalSchedule])
def test_equal_seeds_give_equal_results(agent, group, networks):
    for problem in (group, networks)[: 1 + (agent is LocalSchedule)]:
        one, same, other = (solve(agent(), problem, samples=100, seed=s).history for s in (1, 1, 2))
        assert (one == same).all()
        assert (one != other).any()


@pytest.mark.parametrize("agent", [*LISTS, Herald])
def test_what_is_deterministic_says_so(agent, networks):
    assert agent.deterministic
    one, other = (solve(agent(), networks, samples=50, seed=s) for s in (1, 2))
    assert (one.history == other.history).all()


def test_other_problems_are_refused(group, networks):
    other = AssignmentProblem.of("AlexNet", "NVDLA")
    for agent in {*OF_GROUPS, *OF_NETWORKS}:
        with pytest.raises(ValueError, match=r"which .* is not; agents that see totals"):
            solve(agent(), other, samples=10)
    with pytest.raises(ValueError, match=r"magma searches cores and an order .*HWGroup"):
        solve("magma", networks, samples=10)
    with pytest.raises(ValueError, match=r"herald searches sub-accelerators .*HWHetero"):
        solve("herald", group, samples=10)


def test_settings_are_checked():
    for agent, wrong in (
        (Magma, {"population": 1}),
        (Magma, {"by_core": 1.5}),
        (Herald, {"balance": 0.9}),
        (Herald, {"order": "width"}),
        (Herald, {"lookahead": 0}),
        (LocalSchedule, {"cold": 1.0}),
        (LocalSchedule, {"designs": 0}),
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            agent(**wrong)


# --- what they are made of ----------------------------------------------------------------------


@pytest.fixture
def view(group):
    return GroupView(group.statement, "a test")


def test_classes_keep_an_order(view, group):
    rng = np.random.default_rng(0)
    core = view.draw_core(np.tile(np.arange(24), (5, 1)), rng)
    assert view.can[np.arange(24), core].all()
    order = rng.random((5, 24))
    priority = view.classes(core, order)
    assert (priority < view.priorities).all()
    for cores, wanted, given in zip(core, order, priority, strict=True):
        for which in range(view.shape[1]):
            mine = np.flatnonzero(cores == which)
            ranked = given[mine[wanted[mine].argsort()]]
            assert (np.diff(ranked) >= (1 if len(mine) <= view.priorities else 0)).all()


def test_an_even_order_slows_less(view, group):
    """What runs together wants about the bandwidth, so that less is slowed than in any order."""
    core = solve(BandwidthAware(), group, samples=1).assignment[:, 0]
    even = view.genes(core[None], view.classes(core[None], even_order(view, core)[None]))
    rng = np.random.default_rng(0)
    others = np.repeat(core[None], 50, axis=0)
    drawn = view.genes(others, view.classes(others, rng.random((50, 24))))
    assert group.evaluate(even).best < np.median(group.evaluate(drawn).objective)


def test_a_child_has_what_a_core_runs_of_one_parent(view):
    rng = np.random.default_rng(0)
    alone = {"crossover": 0.0, "ranges": 0.0, "mutation": 0.0}
    core = view.draw_core(np.tile(np.arange(24), (2, 1)), rng)
    priority = np.repeat([[0], [1]], 24, axis=1)  # tells whose a job is
    made = Magma(population=40, by_core=1.0, **alone)._children(
        view, core, priority, np.array([1.0, 1.0]), rng
    )
    for cores, whose in zip(*made, strict=True):
        giver = next(
            parent
            for parent in (0, 1)
            for which in range(view.shape[1])
            if ((cores == which) & (whose == parent))[core[parent] == which].all()
            and ((core[parent] == which) | (whose != parent)).all()
        )
        kept = (whose != giver) & (cores == core[1 - giver])
        homeless = (whose != giver) & ~kept
        assert len(np.unique(core[1 - giver][homeless])) <= 1


def test_children_exchange_pieces_of_one_part_or_ranges_of_both(view):
    rng = np.random.default_rng(0)
    core = np.repeat([[0], [1]], 24, axis=1)
    priority = np.repeat([[0], [1]], 24, axis=1)
    worth = np.array([1.0, 1.0])
    alone = {"by_core": 0.0, "mutation": 0.0}
    piece = Magma(population=40, crossover=1.0, ranges=0.0, **alone)
    for cores, ranks in zip(*piece._children(view, core, priority, worth, rng), strict=True):
        assert sorted((len(np.unique(cores)), len(np.unique(ranks)))) in ([1, 1], [1, 2])
    both = Magma(population=40, crossover=0.0, ranges=1.0, **alone)
    for cores, ranks in zip(*both._children(view, core, priority, worth, rng), strict=True):
        assert (cores == ranks).all()
        assert (np.diff(cores) != 0).sum() <= 1


def test_what_is_left_of_chains(networks):
    view = HeteroView(networks.statement, "a test")
    takes = view.takes(view.promising[:3])
    left, fastest = view.left(takes), takes.min(axis=1)
    first = 0
    for length in view.lengths:
        chain = slice(first, first + length)
        np.testing.assert_allclose(left[:, chain][:, 0], fastest[:, chain].sum(axis=1))
        np.testing.assert_allclose(left[:, chain][:, -1], fastest[:, chain][:, -1])
        first += length


# --- agents of any problem ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["random", "annealing", "genetic"])
def test_agents_that_see_totals_work_unchanged(name, group, networks):
    for problem in (group, networks):
        result = solve(name, problem, samples=30)
        assert result.samples == 30
        assert np.isfinite(result.objective)


@pytest.mark.parametrize("name", ["cmaes", "optuna"])
def test_agents_of_packages_work_unchanged(name, networks):
    pytest.importorskip(name)
    assert solve(name, networks, samples=10).samples == 10


# A price is one of parts, which a schedule has not.
LEARNERS = {
    "reinforce": {},
    "reinforce-priced": {"credit": "return", "memory": False, "epochs": 1, "reward": "relative"},
    "ppo": {},
    "sb3-ppo": {},
}


@pytest.mark.parametrize("name", LEARNERS)
def test_agents_that_learn_work_unchanged(name, networks):
    needs_torch()
    result = solve(name, networks, samples=20, settings=LEARNERS[name])
    assert result.samples == 20
    assert name == "sb3-ppo" or np.isfinite(result.objective)
