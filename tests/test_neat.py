"""Neuro-evolution of a policy."""

import random
import subprocess
import sys

import numpy as np
import pytest
import tiny_families  # noqa: F401 (registers them)

from hwgym.core import (
    Agent,
    Axis,
    BudgetSpent,
    Evaluator,
    Problem,
    Scores,
    Space,
    Statement,
    problem_of,
    solve,
)
from hwgym.core.metric import METRICS

pytest.importorskip("neat")

from hwgym_agents.neat import Neat

VGG16 = "HWAssign-VGG16-NVDLA-v0"


def test_it_is_an_agent():
    assert isinstance(Neat(), Agent)
    assert Neat.sees == "totals"


def test_it_learns():
    problem = problem_of(VGG16)
    history = solve(Neat(), problem, samples=800, seed=0).history
    assert np.isfinite(history[-1])
    assert history[-1] < 0.95 * history[15]  # which the uniform ones reach


def test_equal_seeds_give_equal_results():
    first, again, other = (
        solve(Neat(population=10), VGG16, samples=60, seed=seed).history for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_pythons_own_generator_is_left_as_it_was():
    random.seed(5)
    wanted = [random.random() for _ in range(3)]
    random.seed(5)
    found = [random.random()]
    solve(Neat(population=6), VGG16, samples=30, seed=3)
    found += [random.random(), random.random()]
    assert found == wanted


class Counted(Evaluator):
    """Keeps all that was evaluated."""

    def __init__(self, problem, samples):
        super().__init__(problem, samples)
        self.asked = []

    def evaluate(self, genes, returns=None):
        before = self.spent
        scores = super().evaluate(genes, returns)
        self.asked.append(np.array(genes)[: self.spent - before])
        return scores


@pytest.mark.parametrize("samples", [1, 7, 60])
@pytest.mark.parametrize("env_id", ["Bags-4-0-v0", "Tour-5-v0"])
def test_it_works_on_any_family(env_id, samples):
    result = solve(Neat(population=8), env_id, samples=samples, seed=1)
    assert result.samples == samples


class Even(Problem):
    """Each step takes an even number, and what is allowed says so; the greatest sum is best."""

    statement = Statement(
        key={"family": "even"},
        title="even numbers",
        space=Space(
            3, (Axis("number", tuple(range(9))), Axis("colour", tuple("xyz"), "categorical"))
        ),
        objective=METRICS["latency"],
        allowed=lambda genes, step: np.tile(
            np.append(np.arange(9) % 2 == 0, [True, False, True]), (len(genes), 1)
        ),
    )

    def score(self, genes):
        valid = ((genes[..., 0] % 2 == 0) & (genes[..., 1] != 1)).all(axis=1)
        objective = np.where(valid, 30.0 - genes[..., 0].sum(axis=1), np.inf)
        return Scores(objective, np.zeros(len(genes)), valid, valid, {})

    def certify(self):
        raise NotImplementedError


def test_policies_choose_what_is_allowed():
    evaluator = Counted(Even(), 100)
    with pytest.raises(BudgetSpent):
        Neat(population=10).search(evaluator, 0)
    genes = np.concatenate(evaluator.asked)
    assert len(genes) == 100
    assert (genes[..., 0] % 2 == 0).all()
    assert (genes[..., 1] != 1).all()
    assert evaluator.best_objective == 30 - 3 * 8


def test_elites_cost_no_further_sample():
    evaluator = Counted(Even(), 400)
    with pytest.raises(BudgetSpent):
        Neat(population=10, elites=2).search(evaluator, 0)
    sizes = [len(batch) for batch in evaluator.asked[1:-1]]
    assert sizes[0] == 10
    assert max(sizes[1:]) <= 11
    assert min(sizes[1:]) < 10


def test_more_categories_than_it_has_neurons_for_are_refused():
    space = Space(2, (Axis("which", tuple(range(100)), "categorical"),))
    problem = Even()
    problem.statement = Statement(
        key={}, title="a hundred", space=space, objective=METRICS["latency"]
    )
    problem.score = lambda genes: Scores(
        *[np.ones(len(genes))] * 2, *[np.ones(len(genes), bool)] * 2
    )
    with pytest.raises(ValueError, match="up to 64 categories; a step of a hundred has 100"):
        Neat().search(Evaluator(problem, 10), 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"population": 1}, "population must be at least 2"),
        ({"elites": 0}, "elites must be a positive integer"),
        ({"add_node": 2}, r"add_node must lie in \[0, 1\]"),
        ({"mutate_power": 0}, "mutate_power must be positive"),
        ({"penalty": -1}, "penalty must not be negative"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Neat(**settings)


def test_a_missing_package_is_named_with_its_extra():
    code = (
        "import sys; sys.modules['neat'] = None\n"
        "from hwgym.core import find_agent\n"
        "try:\n    find_agent('neat')\n"
        "except ImportError as error:\n    print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "no module 'neat': pip install 'hwgym[neat]'"
