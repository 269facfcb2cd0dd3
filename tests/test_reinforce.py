"""REINFORCE, the genetic refiner, and both together."""

import csv
from dataclasses import replace

import numpy as np
import pyarrow.parquet
import pytest

pytest.importorskip("torch")

import hwgym
from hwgym.agent import BudgetSpent, Evaluator, solve
from hwgym.episodes import EpisodeLog, LogError, read_episodes
from hwgym.families.assignment.design_space import FINE_PE_LEVELS
from hwgym_agents.ga_refiner import GARefiner
from hwgym_agents.reinforce import Reinforce
from hwgym_agents.two_stage import ReinforceThenGA


@pytest.fixture(scope="module")
def small():
    return hwgym.AssignmentProblem.of("AlexNet", "NVDLA")


def run(agent, problem, samples, seed=0):
    evaluator = Evaluator(problem, samples)
    with pytest.raises(BudgetSpent):
        agent.search(evaluator, seed)
    return evaluator


@pytest.mark.parametrize("policy", ["lstm", "mlp"])
def test_finds_the_optimum_of_a_small_problem(small, policy):
    result = solve(Reinforce(policy=policy), small, samples=600)
    assert result.samples == 600
    assert result.regret < 0.02


def test_with_masks_every_sample_is_feasible_and_without_some_fail(small, tmp_path):
    solve(Reinforce(), small, samples=64, log=tmp_path / "with")
    assert read_episodes(tmp_path / "with")["feasible"].all()
    solve(Reinforce(masks=False), small, samples=64, log=tmp_path / "without")
    frame = read_episodes(tmp_path / "without")
    assert not frame["feasible"].all()
    assert frame["actions"].map(len).min() < 5


@pytest.mark.parametrize(
    "settings",
    [
        {"credit": "return", "memory": False, "epochs": 1},
        {"memory": False, "epochs": 1},
        {"layer_bias": False},
        {"curiosity": 0.0, "pace": 0.0, "tilt": 0.0, "coldest": 1.0},
        {"masks": False, "memory": False, "epochs": 1, "within_episode": True, "credit": "return"},
    ],
)
def test_every_part_can_be_switched_off(small, settings):
    evaluator = run(Reinforce(**settings), small, 96)
    assert evaluator.spent == 96


def test_the_papers_settings_run(small):
    agent = Reinforce.paper()
    assert (agent.batch, agent.gamma, agent.masks, agent.within_episode) == (1, 0.9, False, True)
    assert run(agent, small, 20).spent == 20


@pytest.mark.parametrize(
    "description",
    [
        {"deployment": "LS"},
        {"dataflow": "MIX"},
        {"objective": "throughput"},
        {"objective": "edp", "constraint": "power"},
        {"platform": "unlimited"},
        {"released": True, "dataflow": "Eyeriss"},
    ],
    ids=str,
)
def test_any_problem(description):
    problem = hwgym.AssignmentProblem.of("AlexNet", **description)
    result = solve(Reinforce(), problem, samples=250)
    assert result.regret < 0.5


def test_seeds_are_honoured(small):
    histories = [run(Reinforce(), small, 150, seed).history for seed in (1, 1, 2)]
    np.testing.assert_array_equal(histories[0], histories[1])
    assert not np.array_equal(histories[0], histories[2])


def test_a_resumed_run_ends_as_if_it_had_not_stopped(small, tmp_path):
    whole = run(Reinforce(), small, 320)
    agent = Reinforce(checkpoint=str(tmp_path / "run.pt"), checkpoint_every=1)
    evaluator = Evaluator(small, 320)

    class Stop(Exception):
        pass

    evaluate = evaluator.evaluate

    def interrupted(actions, returns=None):
        if evaluator.spent >= 160:
            raise Stop
        return evaluate(actions, returns)

    evaluator.evaluate = interrupted
    with pytest.raises(Stop):
        agent.search(evaluator, 0)
    resumed = run(agent, small, 320)
    assert resumed.spent == 320
    np.testing.assert_array_equal(resumed.history, whole.history)
    np.testing.assert_array_equal(resumed.best, whole.best)


@pytest.mark.parametrize("agent_class", [Reinforce, ReinforceThenGA])
def test_a_killed_run_goes_on_with_its_log(agent_class, small, tmp_path):
    def agent(path):
        first = Reinforce(checkpoint=str(path), checkpoint_every=2)
        return first if agent_class is Reinforce else ReinforceThenGA(first=first)

    def stop(evaluator):
        if evaluator.spent >= 160:
            raise KeyboardInterrupt

    whole = solve(agent(tmp_path / "whole.pt"), small, samples=320, log=tmp_path / "whole")
    run = {"samples": 320, "log": tmp_path / "log"}
    with pytest.raises(KeyboardInterrupt):
        solve(agent(tmp_path / "run.pt"), small, progress=stop, **run)
    with pytest.raises(FileExistsError):
        solve(agent(tmp_path / "run.pt"), small, **run)
    resumed = solve(agent(tmp_path / "run.pt"), small, resume=True, **run)
    np.testing.assert_array_equal(resumed.history, whole.history)
    columns = ["sample", "objective", "feasible"]
    first, second = (read_episodes(tmp_path / n)[columns] for n in ("whole", "log"))
    assert first.equals(second)


def test_a_checkpoint_of_something_else_is_refused(small, tmp_path):
    path = str(tmp_path / "run.pt")
    run(Reinforce(checkpoint=path), small, 40)
    with pytest.raises(ValueError, match="was made with hidden=128, not 64"):
        Reinforce(checkpoint=path, hidden=64).search(Evaluator(small, 80), 0)
    other = hwgym.AssignmentProblem.of("AlexNet", "ShiDianNao")
    with pytest.raises(ValueError, match="is a checkpoint of"):
        Reinforce(checkpoint=path).search(Evaluator(other, 80), 0)


def test_metrics_go_to_csv(small, tmp_path):
    run(Reinforce(csv=str(tmp_path / "m.csv")), small, 100)
    rows = list(csv.DictReader((tmp_path / "m.csv").read_text().splitlines()))
    assert [int(r["samples"]) for r in rows] == [32, 64, 96, 100]
    best = [float(r["best"]) for r in rows]
    assert best == sorted(best, reverse=True)


def test_learning_does_not_read_the_optimum(small, monkeypatch):
    def forbidden(self):
        raise AssertionError("an agent asked for the optimum")

    monkeypatch.setattr(hwgym.AssignmentProblem, "optimum", forbidden)
    run(ReinforceThenGA(), small, 200)


@pytest.mark.parametrize("agent", [Reinforce(), ReinforceThenGA()], ids=lambda a: type(a).__name__)
def test_what_was_never_seen_makes_no_difference(agent, small):
    """Not so for the constraint, whose least values the masks know."""
    first = run(agent, small, 150)
    evaluated = []

    class Watched(Evaluator):
        def evaluate(self, actions, returns=None):
            evaluated.append(actions[: self.remaining])
            return super().evaluate(actions, returns)

    with pytest.raises(BudgetSpent):
        agent.search(Watched(small, 150), 0)
    seen = np.zeros((small.num_steps, small.num_actions), bool)
    seen[np.arange(small.num_steps), np.concatenate(evaluated)] = True
    assert not seen.all()
    corrupt = np.where(seen, small.space.latency_cycles, 7 * small.space.latency_cycles + 1)
    space = replace(small.space, latency_cycles=corrupt)
    second = run(agent, hwgym.AssignmentProblem(space, budget=small.budget), 150)
    np.testing.assert_array_equal(first.history, second.history)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"memory": False}, "epochs > 1 needs memory"),
        ({"credit": "return", "epochs": 1}, "memory=True needs credit"),
        ({"batch": 0}, "batch must be at least 1"),
    ],
)
def test_settings_that_do_not_go_together(settings, message):
    with pytest.raises(ValueError, match=message):
        Reinforce(**settings)


# --- the refiner --------------------------------------------------------------------------------


@pytest.fixture
def log(small, tmp_path):
    solve(Reinforce(), small, samples=200, log=tmp_path / "first")
    return str(tmp_path / "first")


def test_never_worse_than_the_log_and_soon_optimal(small, log):
    frame = read_episodes(log)
    before = frame["objective"][frame["feasible"]].min()
    result = solve(GARefiner(logs=[log]), small, samples=400)
    assert result.history[12] <= before
    assert result.regret < 0.002


def test_refines_in_the_fine_space(tmp_path):
    coarse = hwgym.AssignmentProblem.of("AlexNet", "Eyeriss")
    fine = coarse.with_levels(FINE_PE_LEVELS, coarse.space.tile_levels)
    assert fine.budget == coarse.budget
    solve(Reinforce(), coarse, samples=100, log=tmp_path / "log")
    result = solve(GARefiner(logs=[str(tmp_path / "log")]), fine, samples=600)
    assert result.objective < 0.9 * coarse.optimum().objective
    pes = np.array(FINE_PE_LEVELS)[result.assignment[:, 0]]
    assert not set(pes) <= set(coarse.space.pe_levels)


def test_reads_many_logs_of_any_agent(small, log, tmp_path):
    with EpisodeLog(tmp_path / "second", small, agent="by hand") as second:
        second.add(small.actions_of(small.optimum().assignment))
    result = solve(GARefiner(logs=[log, str(tmp_path / "second")]), small, samples=20)
    assert result.regret == 0


def test_logs_that_do_not_serve_are_refused(small, log, tmp_path):
    with pytest.raises(ValueError, match="starts from episode logs"):
        solve(GARefiner(), small, samples=10)
    other = hwgym.AssignmentProblem.of("AlexNet", "NVDLA", platform="cloud")
    with pytest.raises(LogError, match="another problem: budget differ"):
        solve(GARefiner(logs=[log]), other, samples=10)
    with EpisodeLog(tmp_path / "failed", small) as failed:
        failed.add(np.full((3, 5), 143))
    with pytest.raises(LogError, match="none of the 3 complete episodes is feasible"):
        solve(GARefiner(logs=[str(tmp_path / "failed")]), small, samples=10)


def test_damaged_rows_are_left_out_and_said(small, log, tmp_path, capsys):
    with EpisodeLog(tmp_path / "damaged", small) as damaged:
        damaged.add(np.array([[0, 0, -1, -1, -1], [0, 0, 0, 0, 0]]))
    part = tmp_path / "damaged" / "part-00000.parquet"
    table = pyarrow.parquet.read_table(part)
    column = table.column_names.index("actions")
    broken = pyarrow.array([[0, 0], [0, 0, 0, 0, 999]], table.schema.field("actions").type)
    pyarrow.parquet.write_table(table.set_column(column, "actions", broken), part)
    assert solve(GARefiner(logs=[log, str(tmp_path / "damaged")]), small, samples=20).samples == 20
    assert "left out 2" in capsys.readouterr().err


def test_both_stages_share_one_budget(small, tmp_path):
    result = solve(ReinforceThenGA(first_share=0.5), small, samples=400, log=tmp_path / "log")
    assert result.samples == 400
    assert len(read_episodes(tmp_path / "log")) == 400
    alone = run(Reinforce(), small, 200)
    assert result.objective <= alone.best_objective or result.regret < 0.01
    with pytest.raises(ValueError, match="first_share"):
        ReinforceThenGA(first_share=1.0)
