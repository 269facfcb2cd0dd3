"""REINFORCE from returns, REINFORCE with memory and price, the genetic refiner, both together."""

import csv
from dataclasses import replace

import numpy as np
import pyarrow.parquet
import pytest
import tiny_families  # noqa: F401 (registers them)

pytest.importorskip("torch")

import hwgym
from hwgym.core import (
    EpisodeLog,
    Evaluator,
    LogError,
    problem_of,
    read_episodes,
    search,
    solve,
)
from hwgym.families.assignment.design_space import FINE_PE_LEVELS
from hwgym.families.mapping import mapping_problem
from hwgym_agents.ga_refiner import GARefiner
from hwgym_agents.reinforce import Reinforce
from hwgym_agents.reinforce_priced import ConfuciuX, PricedReinforce
from hwgym_agents.two_stage import ReinforceThenGA


@pytest.fixture(scope="module")
def small():
    return hwgym.AssignmentProblem.of("AlexNet", "NVDLA")


def run(agent, problem, samples, seed=0):
    """Search behind the veil."""
    evaluator = Evaluator(problem, samples, sees=agent.sees)
    search(agent, evaluator, seed)
    return evaluator


@pytest.mark.parametrize("policy", ["lstm", "mlp"])
def test_finds_the_optimum_of_a_small_problem(small, policy):
    result = solve(PricedReinforce(policy=policy), small, samples=600)
    assert result.samples == 600
    assert result.regret < 0.02


def test_with_masks_every_sample_is_feasible_and_without_some_fail(small, tmp_path):
    solve(PricedReinforce(), small, samples=64, log=tmp_path / "with")
    assert read_episodes(tmp_path / "with")["feasible"].all()
    solve(PricedReinforce(masks=False), small, samples=64, log=tmp_path / "without")
    frame = read_episodes(tmp_path / "without")
    assert not frame["feasible"].all()
    assert frame["genes"].map(len).min() < 5


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
    evaluator = run(PricedReinforce(**settings), small, 96)
    assert evaluator.spent == 96


def test_the_papers_settings_run(small):
    agent = ConfuciuX()
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
    result = solve(PricedReinforce(), problem, samples=250)
    assert result.regret < 0.5


def test_seeds_are_honoured(small):
    histories = [run(PricedReinforce(), small, 150, seed).history for seed in (1, 1, 2)]
    np.testing.assert_array_equal(histories[0], histories[1])
    assert not np.array_equal(histories[0], histories[2])


def test_a_resumed_run_ends_as_if_it_had_not_stopped(small, tmp_path):
    whole = run(PricedReinforce(), small, 320)
    agent = PricedReinforce(checkpoint=str(tmp_path / "run.pt"), checkpoint_every=1)

    def stop(evaluator):
        if evaluator.spent > 160:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(agent, Evaluator(small, 320, sees="layers", progress=stop), 0)
    resumed = run(agent, small, 320)
    assert resumed.spent == 320
    np.testing.assert_array_equal(resumed.history, whole.history)
    np.testing.assert_array_equal(resumed.best, whole.best)


@pytest.mark.parametrize("agent_class", [PricedReinforce, ReinforceThenGA])
def test_a_killed_run_goes_on_with_its_log(agent_class, small, tmp_path):
    def agent(path):
        first = PricedReinforce(checkpoint=str(path), checkpoint_every=2)
        return first if agent_class is PricedReinforce else ReinforceThenGA(first=first)

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
    run(PricedReinforce(checkpoint=path), small, 40)
    with pytest.raises(ValueError, match="was made with hidden=128, not 64"):
        run(PricedReinforce(checkpoint=path, hidden=64), small, 80)
    other = hwgym.AssignmentProblem.of("AlexNet", "ShiDianNao")
    with pytest.raises(ValueError, match=r"is a checkpoint of AlexNet, NVDLA.* not AlexNet, Shi"):
        run(PricedReinforce(checkpoint=path), other, 80)


def test_metrics_go_to_csv(small, tmp_path):
    run(PricedReinforce(csv=str(tmp_path / "m.csv")), small, 100)
    rows = list(csv.DictReader((tmp_path / "m.csv").read_text().splitlines()))
    assert [int(r["samples"]) for r in rows] == [32, 64, 96, 100]
    best = [float(r["best"]) for r in rows]
    assert best == sorted(best, reverse=True)


def seen_in(problem, genes):
    """(steps, actions): was in one of the solutions, at a step alike."""
    seen = np.zeros((problem.num_steps, problem.num_actions), bool)
    numbers = problem.space.encode(genes)
    for members in problem.statement.groups:
        for step in members:
            row = numbers[:, step]
            seen[np.ix_(members, np.unique(row[row >= 0]))] = True
    return seen


@pytest.mark.parametrize(
    "agent",
    [
        PricedReinforce(),
        PricedReinforce(memory=False, epochs=1),
        PricedReinforce(masks=False, memory=False, epochs=1),
        ReinforceThenGA(),
    ],
    ids=["priced", "no memory", "no masks", "both stages"],
)
def test_what_was_never_seen_makes_no_difference(agent, small, tmp_path):
    """Not so for what choices take where masks are used, which tell of it."""
    masks = getattr(agent, "masks", True)
    first = solve(agent, small, samples=150, log=tmp_path / "log")
    rows = read_episodes(tmp_path / "log")["genes"]
    genes = np.full((150, small.num_steps, 2), -1)
    for row, episode in zip(genes, rows, strict=True):
        row[: len(episode)] = np.stack(list(episode))
    seen = seen_in(small, genes)
    assert 0.1 < seen.mean() < 0.9
    design, changed = small.design, {}
    names = ("latency_cycles",) if masks else ("latency_cycles", "area_um2")
    for name in names:
        table = getattr(design, name)
        changed[name] = np.where(seen, table, 7 * table + 1).astype(table.dtype)
    other = hwgym.AssignmentProblem(replace(design, **changed), budget=small.budget)
    assert not np.array_equal(other.cost, small.cost)
    second = solve(agent, other, samples=150)
    np.testing.assert_array_equal(first.history, second.history)
    np.testing.assert_array_equal(first.assignment, second.assignment)


@pytest.mark.parametrize("env_id", ["Bags-3-0-v0", "Bags-4-1-v0"])
@pytest.mark.parametrize("agent", [PricedReinforce(), ConfuciuX(), ReinforceThenGA()], ids=repr)
def test_any_separable_family(agent, env_id):
    result = solve(agent, env_id, samples=200)
    assert result.samples == 200
    if agent != ConfuciuX():
        assert result.regret < 0.05


def test_where_no_choice_has_a_price_returns_are_credited():
    problem = mapping_problem("released/ResNet50:20")
    result = solve(PricedReinforce(), problem, samples=200, seed=1)
    assert result.samples == 200
    assert np.isfinite(result.history[0])  # it keeps to masks
    returns = PricedReinforce(credit="return", memory=False, epochs=1, reward="relative")
    again = solve(returns, problem, samples=200, seed=1)
    np.testing.assert_array_equal(again.history, result.history)
    with pytest.raises(ValueError, match=r"reinforce-ga learns what each choice"):
        solve(ReinforceThenGA(), problem, samples=20)


def test_what_a_problem_must_have_is_said():
    with pytest.raises(ValueError, match=r"learns what each choice .* is known of whole"):
        solve(PricedReinforce(), "Tour-4-v0", samples=10)
    with pytest.raises(ValueError, match="learns what each choice"):
        solve(ReinforceThenGA(), "Tour-4-v0", samples=10)
    with pytest.raises(ValueError, match="more than the 65,536 that can be numbered"):
        solve(ConfuciuX(), "Tour-4-v0", samples=10)
    with pytest.raises(ValueError, match="declare sees = 'layers'"):
        search(PricedReinforce(), Evaluator(problem_of("Bags-3-0-v0"), 10), 0)


@pytest.mark.parametrize("samples", [1, 33, 70])
@pytest.mark.parametrize("masks", [True, False])
def test_the_budget_is_spent_exactly(samples, masks, small, tmp_path):
    agent = PricedReinforce(masks=masks, memory=False, epochs=1)
    result = solve(agent, small, samples=samples, log=tmp_path / "log")
    assert result.samples == samples
    rows = read_episodes(tmp_path / "log")
    assert rows["sample"].tolist() == list(range(samples))
    whole = rows["genes"].map(len) == small.num_steps
    assert whole.all() == masks
    # An episode is shorter only where it failed.
    assert not rows.loc[~whole, "feasible"].any()


def test_time_ends_both_stages(small):
    result = solve(ReinforceThenGA(), small, samples=10**6, time_limit=1.0)
    assert result.timed_out
    assert 0 < result.samples < 10**6


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
        PricedReinforce(**settings)


# --- from returns alone -------------------------------------------------------------------------


def test_returns_alone_lead_near_the_optimum(small, tmp_path):
    result = solve(Reinforce(), small, samples=1000, log=tmp_path / "log")
    assert result.samples == 1000
    assert result.regret < 0.03
    assert read_episodes(tmp_path / "log")["feasible"].all()
    half = len(result.history) // 2
    assert result.history[-1] < result.history[half]


def test_nothing_but_rewards_is_learned_from(small):
    """Costs that pay the same rewards and are masked alike lead to the same episodes: what parts
    and totals say is not looked at."""
    first = run(Reinforce(), small, 200)
    doubled = replace(small.design, latency_cycles=2 * small.design.latency_cycles)
    other = hwgym.AssignmentProblem(doubled, budget=small.budget)
    second = run(Reinforce(), other, 200)
    np.testing.assert_array_equal(second.history, 2 * first.history)
    np.testing.assert_array_equal(second.best, first.best)


@pytest.mark.parametrize("samples", [1, 17, 40])
@pytest.mark.parametrize("masks", [True, False])
def test_returns_spend_the_budget_exactly(samples, masks, small, tmp_path):
    result = solve(Reinforce(masks=masks), small, samples=samples, log=tmp_path / "log")
    assert result.samples == samples
    rows = read_episodes(tmp_path / "log")
    assert rows["sample"].tolist() == list(range(samples))
    whole = rows["genes"].map(len) == small.num_steps
    assert whole.all() == masks


@pytest.mark.parametrize("env_id", ["Bags-4-1-v0", "Tour-4-v0"])
def test_returns_serve_any_family(env_id):
    """Tour's objective is one of whole solutions, and its steps' choices cannot be enumerated."""
    first, second, other = (solve(Reinforce(), env_id, samples=200, seed=s) for s in (1, 1, 2))
    assert first.samples == 200
    assert np.isfinite(first.objective)
    np.testing.assert_array_equal(first.history, second.history)
    assert not np.array_equal(first.history, other.history)


def test_what_returns_alone_may_be_set_to():
    with pytest.raises(ValueError, match="batch must be a positive integer, got 0"):
        Reinforce(batch=0)
    with pytest.raises(ValueError, match=r"gae_lambda must lie in \[0, 1\], got 2"):
        Reinforce(gae_lambda=2)
    with pytest.raises(ValueError, match="learning_rate must be positive, got 0"):
        Reinforce(learning_rate=0)
    with pytest.raises(ValueError, match="entropy must not be negative, got -1"):
        Reinforce(entropy=-1)


# --- the refiner --------------------------------------------------------------------------------


@pytest.fixture
def log(small, tmp_path):
    solve(PricedReinforce(), small, samples=200, log=tmp_path / "first")
    return str(tmp_path / "first")


def test_never_worse_than_the_log_and_soon_optimal(small, log):
    frame = read_episodes(log)
    before = frame["objective"][frame["feasible"]].min()
    result = solve(GARefiner(logs=[log]), small, samples=400)
    assert result.history[12] <= before
    assert result.regret < 0.002


def test_refines_in_the_fine_space(tmp_path):
    coarse = hwgym.AssignmentProblem.of("AlexNet", "Eyeriss")
    fine = coarse.with_levels(FINE_PE_LEVELS, coarse.design.tile_levels)
    assert fine.budget == coarse.budget
    solve(PricedReinforce(), coarse, samples=100, log=tmp_path / "log")
    result = solve(GARefiner(logs=[str(tmp_path / "log")]), fine, samples=600)
    assert result.objective < 0.9 * coarse.optimum().objective
    pes = np.array(FINE_PE_LEVELS)[result.assignment[:, 0]]
    assert not set(pes) <= set(coarse.design.pe_levels)


def test_reads_many_logs_of_any_agent(small, log, tmp_path):
    with EpisodeLog(tmp_path / "second", small, agent="by hand") as second:
        second.add(small.optimum().assignment)
    result = solve(GARefiner(logs=[log, str(tmp_path / "second")]), small, samples=20)
    assert result.regret == 0


def test_logs_that_do_not_serve_are_refused(small, log, tmp_path):
    with pytest.raises(ValueError, match="starts from episode logs"):
        solve(GARefiner(), small, samples=10)
    other = hwgym.AssignmentProblem.of("AlexNet", "NVDLA", platform="cloud")
    with pytest.raises(LogError, match="another problem: budget differ"):
        solve(GARefiner(logs=[log]), other, samples=10)
    with EpisodeLog(tmp_path / "failed", small) as failed:
        failed.add(np.full((3, 5, 2), 11))
    with pytest.raises(LogError, match="none of the 3 complete episodes is feasible"):
        solve(GARefiner(logs=[str(tmp_path / "failed")]), small, samples=10)


def test_damaged_rows_are_left_out_and_said(small, log, tmp_path, capsys):
    with EpisodeLog(tmp_path / "damaged", small) as damaged:
        genes = np.zeros((2, 5, 2), np.int64)
        genes[0, 2:] = -1
        damaged.add(genes)
    [part] = (tmp_path / "damaged").glob("*.parquet")
    table = pyarrow.parquet.read_table(part)
    column = table.column_names.index("genes")
    values = table["genes"].to_pylist()
    values[1][4] = [0, 999]
    broken = pyarrow.array(values, table.schema.field("genes").type)
    pyarrow.parquet.write_table(table.set_column(column, "genes", broken), part)
    assert solve(GARefiner(logs=[log, str(tmp_path / "damaged")]), small, samples=20).samples == 20
    assert "left out 2" in capsys.readouterr().err


def test_both_stages_share_one_budget(small, tmp_path):
    result = solve(ReinforceThenGA(first_share=0.5), small, samples=400, log=tmp_path / "log")
    assert result.samples == 400
    assert len(read_episodes(tmp_path / "log")) == 400
    alone = run(PricedReinforce(), small, 200)
    assert result.objective <= alone.best_objective or result.regret < 0.01
    with pytest.raises(ValueError, match="first_share"):
        ReinforceThenGA(first_share=1.0)
