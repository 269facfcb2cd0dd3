"""The account at the end of a search: whatever is under way was bought."""

import numpy as np
import pytest
from tiny_families import Bags, Tour

from hwgym.core import Evaluator, read_episodes, solve
from hwgym.core.search import search


class Leaving:
    """Begins episodes in a stage of a stage, and goes."""

    sees = "layers"

    def search(self, evaluator, seed):
        stage = evaluator.part(8).part(6)
        for env in (stage.environment(2), evaluator.environment(1)):
            env.reset(seed=0)
            env.step(env.action_space.sample() * 0)
        self.stage = stage


@pytest.mark.parametrize("problem", [Bags.of(4), Tour.of(4)])
def test_episodes_of_stages_that_are_left_under_way_are_samples(problem, tmp_path):
    agent = Leaving()
    result = solve(agent, problem, samples=20, log=tmp_path / "log")
    assert result.samples == 3
    assert agent.stage.spent == 2
    frame = read_episodes(tmp_path / "log")
    assert [len(genes) for genes in frame["genes"]] == [1, 1, 1]
    assert not frame["feasible"].any()


@pytest.mark.parametrize("problem", [Bags.of(4), Tour.of(4)])
def test_nothing_is_counted_twice(problem):
    agent = Leaving()
    evaluator = Evaluator(problem, 20, sees="layers")
    search(agent, evaluator, 0)
    assert (evaluator.spent, evaluator.remaining) == (3, 17)
    evaluator.close()
    assert evaluator.spent == 3
    np.testing.assert_array_equal(evaluator.history, [np.inf] * 3)
