"""The veil: what an agent has not paid for is withheld at every door, as long as it searches."""

import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import gymnasium as gym
import numpy as np
import pytest
from tiny_families import Bags, BagsEnv, BagsVectorEnv, Tour, TourEnv, TourVectorEnv, TourWalk

import hwgym
from hwgym.core import Evaluator, Problem, TableWalk, Withheld, problem_of, solve
from hwgym.core.search import search
from hwgym.core.veil import check_lifted, lifted, veiled

ID = "HWAssign-AlexNet-NVDLA-v0"


class Doing:
    """An agent that does as it is told."""

    sees = "layers"

    def __init__(self, what):
        self.what = what

    def search(self, evaluator, seed):
        self.found = self.what(evaluator)


def searching(problem, what, samples=10):
    """What comes of something that is done inside a search."""
    agent = Doing(what)
    search(agent, Evaluator(problem, samples, sees="layers"), 0)
    return agent.found


def begun(cls, **kwargs):
    """An environment with episodes under way, of before the search."""
    env = cls(**kwargs)
    env.reset(seed=0)
    return env


GENES = np.zeros((1, 3, 2), int)
TOURING = np.arange(4)[None, :, None] * [1, 0, 0]
NUMBERS = np.zeros((1, 3), int)
OF_ANY_PROBLEM = {
    "optimum": lambda p: p.optimum(),
    "certificate": lambda p: p.certificate(),
    "certify": lambda p: p.certify(),
    "regret": lambda p: p.regret(1.0),
    "evaluate": lambda p: p.evaluate(p.space.draw(np.random.default_rng(0), 1)),
    "score": lambda p: p.score(p.space.draw(np.random.default_rng(0), 1)),
    "parts": lambda p: p.parts(p.space.draw(np.random.default_rng(0), 1)),
}
OF_TABLES = {
    "best uniform": lambda p: p.best_uniform(),
    "part": lambda p: p.part(GENES),
    "parts of numbers": lambda p: p.parts_of(NUMBERS),
    "evaluate actions": lambda p: p.evaluate_actions(NUMBERS),
    "totals": lambda p: p.totals(NUMBERS),
    "tables": lambda p: p.tables,
    "cost": lambda p: p.cost,
    "usage": lambda p: p.usage,
    "valid": lambda p: p.valid,
    "least used": lambda p: p.least_used,
    "least used after": lambda p: p.least_used_after,
    "best cost": lambda p: p.best_cost,
    "worst cost": lambda p: p.worst_cost,
    "binds": lambda p: p.binds,
    "the walk": lambda p: TableWalk.of([p]),
    "a scalar environment": lambda p: BagsEnv(problem=p),
    "a vector environment": lambda p: BagsVectorEnv(problem=p, num_envs=2),
}
OF_WALKS = {
    "the walk": lambda p: TourWalk.of([p]),
    "a scalar environment": lambda p: TourEnv(problem=p),
    "a vector environment": lambda p: TourVectorEnv(problem=p, num_envs=2),
}
BY_NAME = {
    "an id's problem": lambda: problem_of(ID).optimum(),
    "gym.make": lambda: gym.make(ID),
    "gym.make_vec": lambda: gym.make_vec(ID, 2),
    "a problem from its names": lambda: hwgym.AssignmentProblem.of("AlexNet").optimum(),
    "hwgym.optimum": lambda: hwgym.optimum(hwgym.AssignmentProblem.of("AlexNet")),
    "hwgym.frontier": lambda: hwgym.frontier(
        hwgym.AssignmentProblem.of("NCF"), ("latency", "area")
    ),
    "a search in the search": lambda: solve(Doing(lambda e: e.problem.optimum()), ID, samples=1),
}


@pytest.mark.parametrize("door", [*OF_ANY_PROBLEM, *OF_TABLES])
def test_every_door_of_a_problem_of_tables(door):
    """Also where the answer was computed before the search."""
    problem = Bags.of(3)
    open_it = (OF_ANY_PROBLEM | OF_TABLES)[door]
    assert open_it(problem) is not None
    with pytest.raises(Withheld, match="is withheld while an agent searches"):
        searching(problem, lambda e: open_it(problem))
    with pytest.raises(Withheld):
        searching(problem, lambda e: open_it(Bags(3, 0)))  # made anew
    assert open_it(problem) is not None


@pytest.mark.parametrize("door", [*OF_ANY_PROBLEM, *OF_WALKS])
def test_every_door_of_another_problem(door):
    problem = Tour.of(4)
    open_it = (OF_ANY_PROBLEM | OF_WALKS)[door]
    open_it(problem)
    with pytest.raises(Withheld):
        searching(problem, lambda e: open_it(problem))
    with pytest.raises(Withheld):
        searching(problem, lambda e: open_it(Tour(4, 0)))
    open_it(problem)


@pytest.mark.parametrize("door", BY_NAME)
def test_every_door_that_a_name_opens(door):
    with pytest.raises(Withheld):
        searching(Bags.of(3), lambda e: BY_NAME[door]())


def test_what_a_family_adds_is_behind_the_veil_without_its_saying_so():
    class Late(Bags):
        def certify(self, method="exact"):
            """Solve it."""
            return super().certify(method)

        def score(self, genes):
            return super().score(genes)

    problem = Late(3, 1)
    assert problem.certify.__doc__ == "Solve it."
    assert problem.optimum().objective == Bags(3, 1).optimum().objective
    for door in (problem.certify, lambda: problem.score(GENES)):
        with pytest.raises(Withheld):
            searching(problem, lambda e, door=door: door())
    assert not Late.separable.fget(Tour.of(4))  # what is guarded still tells who has parts
    assert problem.separable
    assert Problem.part(problem, GENES) is None


@pytest.mark.parametrize("scalar", [BagsEnv, TourEnv])
def test_an_environment_of_before_is_of_no_use(scalar):
    problem = scalar.family.make()
    env = begun(scalar, problem=problem)
    action = env.action_space.sample()
    doors = (
        lambda: env.step(action),
        env.reset,
        env.optimum,
        env.certificate,
        lambda: env.evaluate(GENES),
    )
    for door in doors:
        with pytest.raises(Withheld):
            searching(problem, lambda e, door=door: door())


@pytest.mark.parametrize("autoreset", ["SameStep", "NextStep", "Disabled"])
@pytest.mark.parametrize("vector", [BagsVectorEnv, TourVectorEnv])
def test_a_vector_environment_of_before_is_of_no_use(vector, autoreset):
    """It would begin new episodes for ever."""
    problem = vector.scalar.family.make()
    env = begun(vector, problem=problem, num_envs=2, autoreset_mode=autoreset)
    actions = env.action_space.sample()
    doors = {
        "step": lambda: env.step(actions),
        "reset": env.reset,
        "problem": lambda: env.problem,
        "sampler": lambda: env.sampler,
        "optimum": env.optimum,
        "certificate": env.certificate,
        "evaluate": lambda: env.evaluate(GENES),
    }
    for door in doors.values():
        with pytest.raises(Withheld):
            searching(problem, lambda e, door=door: door())
    env.step(actions)


def test_the_statement_and_what_is_paid_for_are_the_agents():
    for problem in (Bags.of(3), Tour.of(4)):

        def work(evaluator):
            statement = evaluator.statement
            genes = statement.space.draw(np.random.default_rng(0), 3)
            env = evaluator.environment(2)
            env.reset()
            infos = env.step(env.action_space.sample())[4]
            return statement, evaluator.evaluate(genes), dict(infos)

        statement, scores, infos = searching(problem, work)
        assert statement.key == problem.statement.key
        assert len(scores) == 3
        assert "action_mask" in infos


# --- for as long as it searches -------------------------------------------------------------------


def test_the_veil_is_lifted_after_the_search():
    problem = Bags.of(3)
    assert Evaluator(problem, 1).problem is problem  # before it, too
    searching(problem, lambda e: e.evaluate(GENES))
    check_lifted("anything")
    assert problem.optimum().exact


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, Withheld])
def test_also_after_an_exception(error):
    def fail(evaluator):
        raise error("enough")

    with pytest.raises(error, match="enough"):
        searching(Bags.of(3), fail)
    check_lifted("anything")
    with pytest.raises(error, match="enough"):
        solve(Doing(fail), Bags.of(3), samples=5)
    check_lifted("anything")


def test_and_where_the_samples_are_spent():
    def spend(evaluator):
        while True:
            evaluator.evaluate(GENES)

    agent = Doing(spend)
    result = solve(agent, Bags.of(3), samples=5)
    assert result.samples == 5
    assert result.regret >= 0


def test_nested_use():
    with veiled():
        with pytest.raises(Withheld):
            check_lifted("this")
        with lifted():
            check_lifted("this")
            with veiled(), pytest.raises(Withheld, match=r"^this is withheld"):
                check_lifted("this")
            check_lifted("this")
        with veiled():
            pass
        with pytest.raises(Withheld):
            check_lifted("this")
        with pytest.raises(ZeroDivisionError), lifted():
            raise ZeroDivisionError
        with pytest.raises(Withheld):
            check_lifted("this")
    check_lifted("this")


def test_a_search_in_a_search_does_not_lift_the_veil_of_the_outer_one():
    problem, other = Bags.of(3), Bags.of(4)

    def outer(evaluator):
        inner = Evaluator(other, 4, sees="totals")
        search(Doing(lambda e: e.evaluate(np.zeros((2, 4, 2), int))), inner, 0)
        assert inner.spent == 2
        with pytest.raises(Withheld):
            problem.optimum()
        return "seen"

    assert searching(problem, outer) == "seen"
    check_lifted("anything")


def test_searches_in_threads_do_not_meet():
    """One that searches is veiled, whatever others do; one that does not is not."""
    problem = Bags.of(3)
    inside, go_on = threading.Event(), threading.Event()
    seen = []

    def wait(evaluator):
        inside.set()
        assert go_on.wait(10)
        with pytest.raises(Withheld):
            problem.optimum()
        seen.append("veiled")
        return True

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(searching, problem, wait)
        assert inside.wait(10)
        assert problem.optimum().exact  # here nobody searches
        second = pool.submit(searching, problem, lambda e: e.evaluate(GENES))
        second.result(10)
        go_on.set()
        assert first.result(10) is True
    assert seen == ["veiled"]


def test_a_thread_that_is_handed_the_context_is_behind_the_veil():
    problem = Bags.of(3)

    def hand_on(evaluator):
        context = contextvars.copy_context()
        with ThreadPoolExecutor(1) as pool:
            scores = pool.submit(context.run, evaluator.evaluate, GENES).result(10)
            with pytest.raises(Withheld):
                pool.submit(context.run, problem.optimum).result(10)
        return scores

    assert len(searching(problem, hand_on)) == 1
