"""What a notebook shows of an object that is the last thing in a cell."""

from pathlib import Path

import numpy as np
import pytest

import hwgym
from hwgym.core import solve
from hwgym.core.curves import learning_curves, regret_curves
from hwgym.families.assignment import pictures
from hwgym.families.assignment.frontier import frontier
from hwgym.leaderboard.submission import Submission, check
from hwgym_agents.blind import RandomSearch

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def problem():
    return hwgym.AssignmentProblem.of("AlexNet", "NVDLA")


def test_a_certificate_shows_its_numbers_only(problem):
    text = repr(problem.optimum())
    assert "objective=" in text
    assert "lower_bound=" in text
    assert "\n" not in text
    assert "assignment" not in text.replace("partial assignments", "")


def test_a_front_says_what_it_is(problem):
    front = frontier(problem, ("latency", "area"))
    assert repr(front).startswith(f"<Frontier of {len(front):,} assignments: latency x area; exact")


def test_a_verdict_shows_its_reasons():
    verdict = check(Submission("mine", "totals", "smoke", []), Path("mine.jsonl"))
    assert "reasons=['has no runs']" in repr(verdict)
    assert "runs=" not in repr(verdict.submission)


def test_curves_take_results(problem):
    runs = [solve("annealing", problem, samples=160, seed=seed) for seed in range(2)]
    one = learning_curves(problem, {"a": runs[0]})
    same = learning_curves(problem, {"a": runs[0].history})
    lines = [figure.axes[0].get_lines()[0].get_ydata() for figure in (one, same)]
    assert (lines[0] == lines[1]).all()
    assert len(regret_curves(problem, {"a": runs}).axes[0].collections) == 1


def test_pictures_show_themselves(problem):
    best = problem.optimum().assignment
    for figure in (
        pictures.assignment_figure(problem, best),
        pictures.budget_figure(problem, best),
        pictures.roofline_figure(problem, best),
        pictures.design_space_figure(problem, 0),
        learning_curves(problem, {"some": [2 * problem.optimum().objective]}),
        pictures.frontier_figure(frontier(problem, ("latency", "area"))),
    ):
        assert figure._repr_png_().startswith(PNG)


def test_costs_are_short_and_make_a_frame():
    costs = hwgym.evaluate(hwgym.workload("AlexNet"), "NVDLA", np.array([[4], [8]]), 2)
    assert len(repr(costs)) < 200
    assert "(2, 5)" in repr(costs)
    frame = costs.to_frame()
    assert frame.shape == (10, len(costs.as_dict()))
    assert frame["runtime_cycles"].tolist() == costs.runtime_cycles.ravel().tolist()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hwgym.AssignmentProblem("AlexNet"), "AssignmentProblem.of takes names"),
        (lambda: hwgym.optimum("AlexNet"), "an AssignmentProblem is needed, got 'AlexNet'"),
        (lambda: hwgym.evaluate("AlexNet", "NVDLA", 4, 2), r"hwgym.workload\('AlexNet'\)"),
        (lambda: solve(object(), "HWAssign-AlexNet-NVDLA-v0"), "an agent or the name of one"),
        (lambda: solve(RandomSearch, "HWAssign-AlexNet-NVDLA-v0"), "an agent or the name of one"),
        (lambda: solve("random", 5), "a problem or an environment id is needed, got 5"),
    ],
)
def test_natural_slips_are_told_what_is_meant(call, message):
    with pytest.raises(ValueError, match=message):
        call()
