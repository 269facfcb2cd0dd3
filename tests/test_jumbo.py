"""Bayesian optimisation that begins with logs of other networks."""

import dataclasses

import numpy as np
import pytest
import tiny_families  # noqa: F401 (registers them)
from conftest import needs_torch

from hwgym import AssignmentProblem, Layer, Workload
from hwgym.core import Agent, LogError, problem_of, read_settings, solve
from hwgym_agents import jumbo
from hwgym_agents.jumbo import HEADS, Jumbo, choice_features

PE, TILES = (1, 4, 16), (1, 3)
VGG16, MNASNET = "HWAssign-VGG16-Eyeriss-v0", "HWAssign-MnasNet-ShiDianNao-v0"


def network(*sizes):
    """A network of convolutions, the first twice."""
    layers = [Layer(f"l{i}", "CONV", K=k, C=c, OY=y, OX=y, R=3, S=3) for i, (k, c, y) in sizes]
    return Workload("small", (*layers, dataclasses.replace(layers[0], name="again")))


def small(seed=0, **settings):
    """A problem of four or five layers and six choices, another for each seed."""
    rng = np.random.default_rng(seed)
    sizes = rng.choice([4, 8, 12, 16, 24, 32], size=(3 + seed % 2, 3)).tolist()
    settings = {"ratio": 0.3, "pe_levels": PE, "tile_levels": TILES} | settings
    return AssignmentProblem.of(network(*enumerate(sizes)), "NVDLA", **settings)


def test_it_is_an_agent():
    assert Jumbo().checkpoint is None  # no path of a machine among what is reported
    assert isinstance(Jumbo(), Agent)
    assert Jumbo.sees == "totals"


# --- what it reaches ------------------------------------------------------------------------------


@pytest.mark.parametrize("env_id", [VGG16, MNASNET])
def test_the_first_sample_is_better_than_any_uniform_assignment(env_id):
    problem = problem_of(env_id)
    result = solve(Jumbo(), problem, samples=1)
    assert result.objective < problem.best_uniform()


def test_logs_of_others_are_worth_having():
    problem = problem_of(VGG16)
    warm, cold = (
        np.median([solve(Jumbo(cold=cold), problem, samples=20, seed=s).regret for s in range(3)])
        for cold in (False, True)
    )
    assert warm < 0.15
    assert warm < 0.5 * cold


def test_samples_help():
    history = solve(Jumbo(), problem_of(VGG16), samples=25, seed=1).history
    assert history[-1] < history[0]


@pytest.mark.parametrize("cold", [False, True])
def test_a_small_problem_is_solved(cold):
    result = solve(Jumbo(cold=cold), small(), samples=60, seed=0)
    assert result.regret < 0.05


@pytest.mark.parametrize("cold", [False, True])
def test_equal_seeds_give_equal_results(cold):
    first, again, other = (
        solve(Jumbo(cold=cold), VGG16, samples=12, seed=seed).history for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_no_solution_is_bought_twice():
    problem, asked = problem_of(VGG16), []
    score = problem.score

    class Kept(type(problem)):
        def score(self, genes):
            asked.extend(genes)
            return score(genes)

    object.__setattr__(problem, "__class__", Kept)
    try:
        solve(Jumbo(), problem, samples=15)
    finally:
        object.__setattr__(problem, "__class__", Kept.__mro__[1])
    assert len(np.unique(np.array(asked), axis=0)) == 15


# --- on what --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"dataflow": "MIX"},
        {"objective": "energy", "constraint": "power"},
        {"objective": "edp"},
        {"ratio": None, "platform": "unlimited"},
    ],
)
def test_objectives_constraints_and_mixed_dataflows(settings):
    settings = {"dataflow": "NVDLA", "ratio": 0.3} | settings
    problem = AssignmentProblem.of("AlexNet", settings.pop("dataflow"), **settings)
    assert solve(Jumbo(), problem, samples=10).regret < 1


@pytest.mark.parametrize("samples", [1, 15])
@pytest.mark.parametrize("env_id", ["Bags-4-0-v0"])
def test_the_cold_one_works_on_any_family_whose_choices_can_be_numbered(env_id, samples):
    assert solve(Jumbo(cold=True), env_id, samples=samples).samples == samples


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": "throughput"}, r"latency, energy, edp under area or power, not .*set cold"),
        ({"deployment": "LS"}, r"layers with partitions of their own .* set cold=True"),
    ],
)
def test_what_the_network_does_not_know_is_said(settings, message):
    with pytest.raises(ValueError, match=message):
        solve(Jumbo(), small(**settings), samples=5)
    assert solve(Jumbo(cold=True), small(**settings), samples=5).samples == 5


def test_steps_with_too_many_choices_are_refused():
    with pytest.raises(ValueError, match="too many"):
        solve(Jumbo(cold=True), "Tour-4-v0", samples=5)


def test_checkpoints_that_will_not_do_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="train_jumbo makes one"):
        solve(Jumbo(checkpoint=str(tmp_path / "none.npz")), small(), samples=5)
    np.savez(tmp_path / "other.npz", mean=np.zeros(3))
    with pytest.raises(ValueError, match="is of 3 features a choice, not of"):
        solve(Jumbo(checkpoint=str(tmp_path / "other.npz")), small(), samples=5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"plans": 0}, "plans must be a positive integer"),
        ({"slack": 2}, r"slack must lie in \[0, 1\]"),
        ({"optimism": -1}, "optimism must not be negative"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Jumbo(**settings)


# --- pieces ---------------------------------------------------------------------------------------


def test_a_process_goes_through_what_it_saw_and_doubts_what_it_did_not():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 3))
    y = np.sin(x).sum(axis=1)
    process = jumbo._Process(jumbo._Kernel(1.0, 0.5, 1.0, 1.0, 0.0), x, y)
    mean, deviation = process(x)
    np.testing.assert_allclose(mean, y, atol=1e-5)
    assert (deviation < 1e-3).all()
    assert process(x + 10)[1].min() > 1


def test_draws_of_the_linear_part_have_its_mean():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 3))
    y = 0.5 + x @ [1.0, -2.0, 0.0] + 0.1 * rng.normal(size=30)
    process = jumbo._Process(jumbo._Kernel(1.0, 1.0, 1e-3, 1.0, 0.01), x, y)
    offset, weights = process.linear(None)
    np.testing.assert_allclose([offset, *weights], [0.5, 1, -2, 0], atol=0.1)
    drawn = np.array([np.append(*process.linear(rng)) for _ in range(400)])
    np.testing.assert_allclose(drawn.mean(axis=0), [offset, *weights], atol=0.02)
    assert (drawn.std(axis=0) > 0.005).all()


def test_what_can_be_built_follows_from_samples():
    problem = small()
    tried = jumbo._Tried(problem.statement, None)
    genes = np.zeros((3, *problem.space.sizes.shape), np.int64)
    genes[1, 0] = 1  # a choice that differs, of the first layer
    genes[2, 1] = 1
    scores = problem.evaluate(genes)
    valid = np.array([True, False, True])
    tried.add(genes, dataclasses.replace(scores, valid=valid, feasible=valid))
    np.testing.assert_array_equal(tried.doubt(genes[[0, 2]]), 0)
    assert tried.doubt(genes[[1]]) > 10
    assert np.isinf(tried.cost[1])


def test_a_layer_reads_the_same_in_every_network():
    a, b = (
        AssignmentProblem.of(network(*enumerate(sizes)), "NVDLA", ratio=0.3).statement
        for sizes in ([(8, 4, 16), (16, 8, 8)], [(64, 32, 4), (8, 4, 16), (4, 4, 4)])
    )
    known = (choice_features(a.known, np.array([0])), choice_features(b.known, np.array([1])))
    for first, second in zip(*known, strict=True):
        np.testing.assert_array_equal(first, second)


SETTINGS = {"hidden": 16, "batch": 2, "rate": 1e-2, "seed": 0}


# --- training -------------------------------------------------------------------------------------


def test_a_network_is_trained_on_logs(tmp_path):
    needs_torch()
    from hwgym_agents import train_jumbo

    logs = tmp_path / "logs"
    for seed in range(4):
        problem = small(seed)
        solve("random", problem, samples=60, seed=seed, log=logs / str(seed) / "random")
    tasks = [train_jumbo.task_of([path / "random"]) for path in sorted(logs.iterdir())]
    assert tasks[0].totals.shape == (60, len(HEADS))
    fits = {epochs: train_jumbo.fit(tasks, epochs=epochs, **SETTINGS) for epochs in (1, 30)}
    early, late = (
        np.nanmean([train_jumbo.loss_of(net, task)[1].numpy() for task in tasks])
        for net in fits.values()
    )
    assert late < 0.5 * early

    train_jumbo.train(logs, tmp_path / "net.npz", epochs=2, hidden=16, aside=0.2)
    found = Jumbo(checkpoint=str(tmp_path / "net.npz"))
    assert solve(found, small(7), samples=3).samples == 3
    for folder, message in ((logs / "0", "leaves none"), (tmp_path / "lost", "is no folder")):
        with pytest.raises(train_jumbo.typer.BadParameter, match=message):
            train_jumbo.train(folder, tmp_path / "net.npz", aside=0.2)
    fits[30].save(tmp_path / "good.npz")
    found = Jumbo(checkpoint=str(tmp_path / "good.npz"))
    assert solve(found, small(7), samples=15).regret < 0.3


def test_logs_are_made_of_problems_of_train(tmp_path):
    needs_torch()
    from hwgym_agents import train_jumbo

    for _ in range(2):  # what is there stays
        train_jumbo.logs(tmp_path, problems=2, annealing=8, random=4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0000", "0001"]
    assert read_settings(tmp_path / "0000" / "random")["problem"]["family"] == "assignment_multi"
    task = train_jumbo.task_of(sorted((tmp_path / "0001").iterdir()))
    assert task.numbers.shape[0] == 12


def test_totals_are_all_that_is_read_of_logs(tmp_path):
    needs_torch()
    from hwgym_agents import train_jumbo

    problem = small()
    solve("random", problem, samples=20, log=tmp_path / "log")
    task = train_jumbo.task_of([tmp_path / "log"])
    scores = problem.evaluate(problem.space.decode(task.numbers.numpy()))
    np.testing.assert_array_equal(task.valid.numpy(), scores.valid)
    wanted = np.stack([np.log(scores[name][scores.valid]) for name in HEADS], axis=1)
    np.testing.assert_allclose(task.totals.numpy()[scores.valid], wanted, rtol=1e-6)


def test_logs_of_two_problems_are_not_one_task(tmp_path):
    needs_torch()
    from hwgym_agents import train_jumbo

    for seed in (0, 1):
        solve("random", small(seed), samples=5, log=tmp_path / str(seed))
    with pytest.raises(LogError, match="another problem"):
        train_jumbo.task_of([tmp_path / "0", tmp_path / "1"])
