"""HWQuant: what is asked, what may be known of it, masks, optima, and what is held back."""

from __future__ import annotations

import itertools
import re

import gymnasium as gym
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import hwgym  # noqa: F401  (which registers the ids)
from hwgym import Layer, Workload
from hwgym.core import Evaluator, InfeasibleError, Withheld, problem_of, registered_ids
from hwgym.core.search import search
from hwgym.costs.precision import precision_costs
from hwgym.families.quant import (
    FAMILY,
    AccuracyProblem,
    AccuracyTable,
    NoiseProblem,
    quant_problem,
)
from hwgym.families.quant.budget import Budget
from hwgym.leaderboard.board import Board
from hwgym.leaderboard.report import _on_track
from hwgym.leaderboard.runs import Job, Run, optimal, recost
from hwgym.leaderboard.tracks import find_track

TINY = Workload(
    "tiny",
    (
        Layer("conv", "CONV", K=8, C=4, OY=6, OX=6, R=3, S=3),
        Layer("depthwise", "DSCONV", K=1, C=8, OY=6, OX=6, R=3, S=3),
        Layer.gemm("gemm", M=1, N=10, K=32),
    ),
)
ENERGY = "HWQuant-MNIST5k-Energy-60-v0"

PUBLISHED = """
8,-1 7,7 5,6 4,6 5,6 5,7 5,6 7,4 4,6 4,6 7,7 5,6 4,6 7,3 5,7 4,7 7,3 5,7 4,7 7,7 4,7 4,7 6,4 6,7
4,7 7,4 6,7 5,7 7,4 6,7 5,7 7,4 6,7 6,7 6,4 5,7 6,7 6,4 5,7 6,7 7,7 4,7 7,7 7,7 4,7 7,7 7,7 4,7
7,7 7,7 4,7 7,7 8,8
"""
"""HAQ's bits of MobileNetV2 for 0.6 of the latency (repository mit-han-lab/haq, MIT licence): of
weights and activations of each layer. Those of the image are not chosen, and stand as -1."""


# --- HAQ ------------------------------------------------------------------------------------------


def haq_bits(image):
    pairs = [tuple(map(int, pair.split(","))) for pair in PUBLISHED.split()]
    return np.array([(w, image if a < 0 else a) for w, a in pairs])


def test_haqs_own_bits_take_what_haq_says():
    problem = problem_of("HAQ-MobileNetV2-Cloud-v0")
    assert problem.space.shape == (8, 8)
    assert problem.num_steps == 53
    # Its code looks up -1 - 1 = -2 from the end of a table of 1 to 8 bits, which is 7 bits.
    scores = problem.evaluate(haq_bits(7) - 1)
    assert scores.used[0] / problem.widths.full == pytest.approx(0.591, abs=5e-4)
    scores = problem.evaluate(haq_bits(8) - 1)
    assert scores.used[0] / problem.widths.full == pytest.approx(0.596, abs=5e-4)
    assert scores.feasible[0]
    assert (
        problem.regret(float(scores.objective[0])) > 1
    )  # by the proxy, which HAQ did not minimise


def test_haqs_table_is_read_as_it_stands():
    cycles = problem_of("HAQ-MobileNetV2-Cloud-v0").widths.costs["latency"]
    assert cycles[0, 0, :2].tolist() == [200720, 401472]
    assert cycles[52, 7, 7] == 40021
    assert (np.diff(cycles, axis=1) >= 0).all()


# --- what is asked --------------------------------------------------------------------------------


def test_every_id_is_feasible_binds_and_is_no_matter_of_uniform_bits():
    for env_id in registered_ids(FAMILY):
        if env_id == "HWQuant-v0":
            continue
        problem = problem_of(env_id)
        best = problem.certificate()
        assert best.exact, env_id
        full = problem.evaluate(np.full((problem.num_steps, 2), problem.space.shape[0] - 1))
        assert not full.feasible[0], env_id
        assert problem.best_uniform() >= 1.01 * best.objective, env_id


def test_what_bits_cost_is_known_and_what_is_limited_is_a_share_of_the_most():
    problem = problem_of(ENERGY)
    costs = precision_costs(tuple(problem.widths.workload), (2, 4, 8))
    statement = problem.statement
    for name in ("latency", "energy", "area"):
        assert_array_equal(statement.known[name], getattr(costs, name))
    assert statement.limit == 0.6 * costs.energy[:, 2, 2].sum()
    genes = problem.space.draw(np.random.default_rng(0), 50)
    scores = problem.evaluate(genes)
    for name in ("latency", "energy", "area"):
        table = statement.known[name]
        for row, chosen in enumerate(genes):
            total = sum(table[i, w, a] for i, (w, a) in enumerate(chosen))
            assert scores[name][row] == total
    assert_array_equal(scores.feasible, scores["energy"] <= statement.limit)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"workload": "Digits", "constraint": "power"}, "unknown constraint 'power'"),
        ({"workload": "Digits", "share": 0}, "share must be above 0"),
        ({"workload": "Digits", "share": True}, "share must be above 0"),
        ({"workload": "Digits", "bits": (2, 4)}, "bits is not to be chosen of Digits"),
        ({"workload": "HAQ-MobileNetV2", "model": "maestro"}, "model is not to be chosen of HAQ"),
        ({"workload": "HAQ-MobileNetV2", "constraint": "energy"}, "unknown constraint"),
        ({"workload": "Digit"}, "unknown"),
        ({"workload": TINY, "weight_noise": [[0.1] * 7]}, "each of 3 layers and 7 widths"),
        ({"workload": TINY, "weight_noise": [[-1.0] * 7] * 3}, "at least 0"),
        ({"workload": TINY, "model": "loop"}, "unknown cost model"),
    ],
)
def test_wrong_arguments_are_named(asked, said):
    with pytest.raises(ValueError, match=said):
        quant_problem(**asked)


def test_a_limit_that_nothing_keeps_says_what_would():
    with pytest.raises(InfeasibleError, match="no widths fit 1 % of the latency at 8 bits") as said:
        quant_problem("Digits", "latency", share=0.01)
    [needed] = re.findall(r"take is (\d+\.\d+) % of it", str(said.value))
    quant_problem("Digits", "latency", share=float(needed) / 100)


# --- real accuracy --------------------------------------------------------------------------------


def test_the_objective_is_of_one_half_and_the_other_is_held_back():
    problem = problem_of(ENERGY)
    assert isinstance(problem, AccuracyProblem)
    table, rng = problem.table, np.random.default_rng(1)
    genes = problem.space.draw(rng, 300)
    numbers = np.array([int("".join(map(str, g.ravel())), 3) for g in genes])
    scores = problem.evaluate(genes)
    assert_array_equal(np.floor(scores.objective), table.wrong[0, numbers])
    loss = table.loss[0, numbers].astype(float) / table.images[0]
    assert_allclose(scores.objective % 1, loss / (1 + loss), atol=1e-9)
    for row, half in enumerate(("search", "held")):
        right = 1 - table.wrong[row, numbers] / table.images[row]
        assert_array_equal(problem.accuracy(genes, half), right)
    assert_array_equal(problem.reported(genes)["accuracy held back"], problem.accuracy(genes))
    assert (table.wrong[0] != table.wrong[1]).any()
    with pytest.raises(ValueError, match="unknown half"):
        problem.accuracy(genes, "test")


class Peeper:
    """Asks for what is held back."""

    sees = "totals"

    def __init__(self, problem, ask):
        self.problem, self.ask = problem, ask

    def search(self, evaluator, seed):
        self.ask(self.problem, evaluator.space.draw(np.random.default_rng(seed), 1))


@pytest.mark.parametrize(
    "ask",
    [
        lambda problem, genes: problem.accuracy(genes),
        lambda problem, genes: problem.reported(genes),
        lambda problem, genes: problem.evaluate(genes),
        lambda problem, genes: problem.certificate(),
        lambda problem, genes: AccuracyTable.load("mnist5k"),
    ],
)
def test_no_agent_sees_what_is_held_back(ask):
    problem = problem_of(ENERGY)
    with pytest.raises(Withheld):
        search(Peeper(problem, ask), Evaluator(problem, 10), 0)


def test_nothing_of_the_other_half_is_in_an_episode():
    env = gym.make(ENERGY, disable_env_checker=True)
    _, info = env.reset(seed=0)
    done = False
    while not done:
        _, _, done, _, info = env.step(env.action_space.sample(info["action_mask"]))
    told = {"objective", "latency", "energy", "area", "budget_used", "is_success", "regret"}
    assert set(info) == told | {"assignment", "action_mask"}


def test_the_optimum_is_the_first_in_order_of_errors_that_fits():
    for env_id in (ENERGY, "HWQuant-Digits-Latency-30-v0", "HWQuant-Digits-Area-40-v0"):
        problem = problem_of(env_id)
        table, usage = problem.table, problem.widths.budget.usage
        loss = table.loss[0].astype(float)
        for number in np.lexsort((loss, table.wrong[0])):
            digits = np.base_repr(number, 3).zfill(12)
            genes = np.array(list(map(int, digits))).reshape(6, 2)
            if sum(usage[i, w, a] for i, (w, a) in enumerate(genes)) <= problem.statement.limit:
                break
        best = problem.optimum()
        assert_array_equal(best.assignment, genes)
        assert int(best.objective) == table.wrong[0, number]


def test_masks_allow_exactly_what_can_still_end_within_the_limit():
    problem = problem_of("HWQuant-Digits-Energy-60-v0")
    usage, limit = problem.widths.budget.usage, problem.statement.limit
    env = gym.make("HWQuant-Digits-Energy-60-v0", disable_env_checker=True)
    rng = np.random.default_rng(2)
    for _ in range(20):
        _, info = env.reset()
        used = 0.0
        for step in range(6):
            rest = sum(float(usage[i].min()) for i in range(step + 1, 6))
            fits = (used + usage[step] + rest <= limit).ravel()
            assert_array_equal(info["action_mask"].astype(bool), fits)
            action = int(rng.choice(np.flatnonzero(fits)))
            used += usage[step].ravel()[action]
            _, _, over, _, info = env.step(action)
            assert over == (step == 5)
        assert info["is_success"]


def test_an_episode_ends_as_soon_as_the_limit_cannot_be_kept():
    env = gym.make("HWQuant-Digits-Latency-30-v0", disable_env_checker=True)
    env.reset()
    steps = 0
    over = False
    while not over:
        _, _, over, _, info = env.step(8)  # 8 bits everywhere
        steps += 1
    assert steps < 6
    assert not info["is_success"]


# --- a limit --------------------------------------------------------------------------------------


def test_draws_and_repairs_keep_the_limit_and_leave_the_rest_alone():
    budget = problem_of("HWQuant-Digits-Energy-60-v0").widths.budget
    rng = np.random.default_rng(3)
    drawn = budget.draw(rng, 500)
    assert (budget.used(drawn) <= budget.limit).all()
    assert len(np.unique(drawn.reshape(500, -1), axis=0)) > 400
    assert_array_equal(budget.repair(drawn, rng), drawn)
    most = np.full((1, 6, 2), 2)
    [mended] = budget.repair(most, rng)
    assert budget.used(mended[None])[0] <= budget.limit
    # Early layers keep what they had as long as the rest can do with least.
    kept = (mended == 2).all(axis=1)
    assert kept[0]
    assert not kept.all()


def test_where_nothing_fits_the_least_is_allowed():
    usage = np.array([[[1.0, 2.0], [3.0, 5.0]]] * 2)
    budget = Budget(usage, 3.5)
    assert budget.least_after.tolist() == [2.0, 1.0, 0.0]
    assert budget.fits(np.array([3.5, 0.5]), 0).tolist() == [
        [[True, True], [False, False]],
        [[True, False], [False, False]],
    ]
    assert budget.allowed(np.zeros((1, 2, 2), int), 0).tolist() == [[True, False, True, True]]
    assert budget.used(np.array([[[0, 1], [-1, -1]]])).tolist() == [2.0]


# --- the proxy ------------------------------------------------------------------------------------


def test_noise_adds_up_and_a_knapsack_solves_it():
    problem = quant_problem(TINY, "energy", share=0.6, bits=(2, 4, 8))
    assert isinstance(problem, NoiseProblem)
    costs = precision_costs(TINY.layers, (2, 4, 8), pes=256).energy
    best = np.inf
    for chosen in itertools.product(itertools.product(range(3), repeat=2), repeat=3):
        if sum(costs[i, w, a] for i, (w, a) in enumerate(chosen)) <= 0.6 * costs[:, 2, 2].sum():
            noise = sum(4.0 ** -(2 << w) + 4.0 ** -(2 << a) for w, a in chosen)
            best = min(best, noise)
    assert_allclose(problem.optimum().objective, best, rtol=1e-12)
    assert problem.statement.objective.name == "noise"
    assert "proxy" in problem.statement.objective.about
    assert "noise" in problem.statement.title


def test_noise_that_was_measured_takes_the_place_of_the_weights():
    noise = [[0.5, 0.01, 0.0]] * 2 + [[0.0, 0.0, 0.0]]
    problem = quant_problem(TINY, "area", share=0.5, bits=(2, 4, 8), weight_noise=noise)
    genes = np.zeros((3, 2), int)
    assert problem.evaluate(genes).objective[0] == 0.5 + 0.5 + 3 / 16
    plain = quant_problem(TINY, "area", share=0.5, bits=(2, 4, 8))
    assert plain.statement.key != problem.statement.key
    again = quant_problem(**problem.description)
    assert again.statement.key == problem.statement.key
    assert again is quant_problem(**problem.description)


def test_serial_units_save_time_with_every_bit():
    fused = quant_problem(TINY, "latency", share=0.6)
    serial = quant_problem(TINY, "latency", share=0.6, unit="serial")
    assert (serial.widths.costs["latency"] <= fused.widths.costs["latency"]).all()
    assert serial.optimum().objective < fused.optimum().objective


# --- what is shown --------------------------------------------------------------------------------


def test_the_view_tells_both_accuracies_and_shares_of_cost():
    problem = problem_of(ENERGY)
    genes = problem.optimum().assignment
    found = FAMILY.view.describe_solution(problem, genes)
    assert found["search_accuracy"] == problem.accuracy(genes, "search")[0]
    assert found["held_accuracy"] == problem.accuracy(genes, "held")[0]
    assert len(found["layers"]) == 6
    total = sum(row["energy_nj"] for row in found["layers"])
    assert total == found["energy_nj"] <= problem.statement.limit
    facts = FAMILY.view.solution_facts(problem, found)
    assert f"{found['held_accuracy']:.1%} on others" in facts["accuracy"]
    text = FAMILY.view.text(problem, genes)
    assert "weight bits" in text
    assert "of 8 bits" in text
    half = genes.copy()
    half[3:] = -1
    assert "3 of 6 chosen" in FAMILY.view.text(problem, half)


def test_the_board_has_a_track_of_what_is_held_back():
    track = find_track("held")
    assert [column.samples for column in track.columns] == [10, 30, 100, 300, 1000]
    assert all(column.more_is_better for column in track.columns)


def test_the_track_of_what_is_held_back_has_that_of_the_optimum():
    problem = problem_of(ENERGY)
    held = problem.accuracy(problem.optimum().assignment, "held")[0]
    board = Board.of([optimal(Job("marvellous", ENERGY, 300))])
    rows = _on_track(board, find_track("held").within(300))
    assert [values for *_, values in rows] == [[held] * 4] * 2
    assert rows[0][:2] == ("", "the optimum")


def test_what_a_run_reports_is_of_its_best_solution_so_far():
    problem = problem_of(ENERGY)
    genes = problem.statement.draw(np.random.default_rng(5), 4)
    objective = problem.evaluate(genes).objective
    genes = genes[np.argsort(-objective)[[1, 0, 3, 2]]]  # better, worst, best, third
    best = float(problem.evaluate(genes).objective.min())
    run = Run(
        Job("mine", ENERGY, 10), "totals", 10,
        objective=best, found_at=np.array([0, 3, 5, 8]), genes=genes,
    )  # fmt: skip
    right = problem.accuracy(genes)
    told = recost(run).reported_at("accuracy held back", [1, 4, 6, 9])
    assert told.tolist() == right[[0, 0, 2, 2]].tolist()
