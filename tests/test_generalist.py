"""The generalist: what it decides before it has seen a cost, and how it learns to."""

import json

import numpy as np
import pytest

from hwgym import Hardware
from hwgym.core import Evaluator, problem_of, search, solve
from hwgym.families.assignment import AssignmentProblem
from hwgym.families.assignment.multi import binding, make
from hwgym_agents.generalist import (
    CHECKPOINTS,
    Generalist,
    GeneralistFromReturns,
    Lookahead,
    Network,
    Play,
    checkpoint_path,
    read_checkpoint,
)


@pytest.fixture(scope="module")
def zoo():
    """Problems of networks that nothing was trained on, whose budgets bind."""
    problems = make("zoo").problems
    return [p for p in map(problems.__getitem__, range(12)) if p.binds][:8]


def first(problem, **settings):
    """The regret of a first assignment."""
    evaluator = Evaluator(problem, 1, sees="layers")
    Generalist(**settings).search(evaluator, 0)
    return problem.optimum().above(evaluator.best_objective)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_what_is_shipped_is_near_the_optimum_before_it_sees_a_cost(zoo, name):
    regrets = np.array([first(p, checkpoint=name) for p in zoo])
    uniform = np.array([p.optimum().above(p.best_uniform()) for p in zoo])
    assert np.isfinite(regrets).all()  # all are feasible
    assert (regrets < uniform).all()
    assert np.median(regrets) < 0.02
    made = read_checkpoint(name).made
    assert made["command"].startswith("python -m hwgym_agents.train_generalist")
    assert made["spent"] > 0


def test_every_sample_is_feasible_and_the_best_only_gets_better(zoo):
    evaluator = Evaluator(zoo[0], 12, sees="layers")
    Generalist().search(evaluator, 3)
    assert evaluator.spent == 12
    assert np.isfinite(evaluator.history).all()
    assert zoo[0].optimum().above(evaluator.best_objective) <= first(zoo[0])


def test_equal_seeds_are_equal_searches(zoo):
    one, same, other = (
        solve(Generalist(doubt=0.05), zoo[1], samples=8, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.history, same.history)
    assert one.history[0] == other.history[0]  # the first is no draw


@pytest.mark.parametrize(
    "narrow", [{"dataflow": "MIX"}, {"dataflow": "NVDLA-CxK:8"}, {"dataflow": "ConfuciuX-Eyeriss"}]
)
def test_mixes_and_dataflows_never_seen(narrow):
    problem = AssignmentProblem.of("AlexNet", **narrow)
    assert first(problem) < problem.optimum().above(problem.best_uniform())


def test_other_levels_than_it_was_trained_on():
    problem = AssignmentProblem.of(
        "AlexNet", "Eyeriss", pe_levels=(3, 9, 27, 81), tile_levels=(1, 5, 20)
    )
    assert first(problem) < problem.optimum().above(problem.best_uniform())


def test_what_machines_round_differently_decides_nothing(zoo):
    """Hidden units in another order are added up in another, as another machine may do."""
    arrays = dict(read_checkpoint("generalist").network.arrays)
    rng = np.random.default_rng(0)
    for before, after in (("1", "2"), ("2", "3")):
        order = rng.permutation(len(arrays[f"b{before}"]))
        arrays[f"w{before}"] = arrays[f"w{before}"][:, order]
        arrays[f"b{before}"] = arrays[f"b{before}"][order]
        arrays[f"w{after}"] = arrays[f"w{after}"][order]
    networks = read_checkpoint("generalist").network, Network(arrays)
    for problem in zoo[:3]:
        one, other = (Play(n, Evaluator(problem, 5, sees="layers")) for n in networks)
        np.testing.assert_array_equal(one.thought, other.thought)
        assert one.works.any()
        for doubt in (0.0, 0.1, 0.1):
            played = [each.episode(doubt, np.random.default_rng(1)) for each in (one, other)]
            np.testing.assert_array_equal(*played)
        np.testing.assert_array_equal(one.cost, other.cost)


def test_with_true_costs_the_lookahead_is_all_but_exact(zoo):
    for problem in zoo[:3]:
        evaluator = Evaluator(problem, 1, sees="layers")
        play = Play(read_checkpoint("generalist").network, evaluator)
        tables, kinds = problem.tables, np.unique(problem.statement.alike, return_index=True)[1]
        play.cost = np.where(tables.valid, tables.cost, 1e300)[kinds]
        play.usage, play.works = tables.usage[kinds].copy(), tables.valid[kinds]
        play.episode(0.0, np.random.default_rng(0))
        assert problem.optimum().above(evaluator.best_objective) < 0.01


def test_what_masks_say_of_a_layer_is_known_when_it_comes_again():
    problem = AssignmentProblem.of("ResNet18", "ShiDianNao", ratio=0.5)
    valid, kinds = problem.valid, np.unique(problem.statement.alike, return_index=True)[1]
    assert not valid[kinds].all()
    play = Play(read_checkpoint("generalist").network, Evaluator(problem, 1, sees="layers"))
    play.works[:] = True  # it has no idea
    play.episode(0.0, np.random.default_rng(0))
    usage = problem.usage[kinds]
    affordable = usage < usage.mean()  # at half of the range, whatever comes before
    np.testing.assert_array_equal(play.works[affordable], valid[kinds][affordable])


def test_lookahead_says_what_the_rest_costs():
    cost = np.array([[9.0, 4.0, 1.0], [8.0, 3.0, 2.0]])
    usage = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    ahead = Lookahead(cost, usage, np.ones((2, 3), bool), np.arange(2))
    np.testing.assert_allclose(ahead(0, 4.0), [9 + 2, 4 + 3, 1 + 8])
    assert np.isinf(ahead(1, 2.5)).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("make_problem", "says"),
    [
        (lambda: problem_of("HWGroup-Vision-S2-v0"), "workload"),
        (lambda: AssignmentProblem.of("AlexNet", deployment="LS"), "deployment LP"),
        (lambda: AssignmentProblem.of("AlexNet", objective="throughput"), "throughput"),
    ],
)
def test_what_it_was_not_made_for(make_problem, says):
    with pytest.raises(ValueError, match=says):
        Generalist().search(Evaluator(make_problem(), 1, sees="layers"), 0)


def test_settings_and_checkpoints_that_make_no_sense(zoo, tmp_path):
    with pytest.raises(ValueError, match="reach"):
        Generalist(reach=0)
    with pytest.raises(ValueError, match="did you mean 'generalist-returns'"):
        first(zoo[0], checkpoint="generalist-return")
    other = tmp_path / "other.npz"
    np.savez(other, a=np.zeros(3))
    with pytest.raises(ValueError, match="no checkpoint of the generalist"):
        first(zoo[0], checkpoint=str(other))


# --- training -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def training():
    """The module that trains."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    module = pytest.importorskip("hwgym_agents.train_generalist")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SCALED", 8)  # as many will do
        yield module


@pytest.mark.parametrize("way", ["imitation", "returns"])
def test_a_little_training_helps_on_networks_never_seen(training, way):
    val = binding("val", 8)
    trainer = training.Trainer(training.Way(way), 0, "cpu", hidden=32)
    before = training.regrets(trainer.network(), val)
    for i in range(12):
        trainer.step(i / 12)
    after = training.regrets(trainer.network(), val)
    assert after.mean() < 0.5 * before.mean()
    assert trainer.spent == 12 * training.BATCH * (3 if way == "imitation" else 32)


def test_both_reckon_the_same(training):
    trainer = training.Trainer(training.Way.imitation, 1, "cpu", hidden=16)
    trainer.step(0.0)
    [asked], _ = training.draw(trainer.single, np.array([5]))
    features = training.torch.as_tensor(asked.features)
    theirs = trainer.net(features).detach().numpy()
    ours = training.Network(trainer.net.arrays())(asked.features)
    np.testing.assert_allclose(ours, theirs, atol=2e-4)


def test_a_checkpoint_is_what_was_trained_and_training_goes_on_from_it(training, tmp_path, capsys):
    def run(name, *options):
        out = tmp_path / f"{name}.npz"
        with pytest.raises(SystemExit) as end:
            training.main(
                ["imitation", "--out", str(out), "--hidden", "8", "--watched", "2", *options]
            )
        return out, end.value.code

    whole, _ = run("whole", "--budget", "96")
    step = training.Trainer.step

    def interrupted(self, progress):
        if self.updates == 2:
            raise KeyboardInterrupt
        step(self, progress)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.Trainer, "step", interrupted)
        part, code = run("part", "--budget", "96")
    assert code != 0
    assert json.loads(str(np.load(part)["made"]))["spent"] == 48
    part, _ = run("part", "--budget", "96")
    assert "goes on at 48 of 96 optima" in capsys.readouterr().out
    with np.load(whole) as one, np.load(part) as other:
        assert set(one.files) == set(other.files)
        for name in set(one.files) - {"made"}:
            np.testing.assert_array_equal(one[name], other[name])
    made = read_checkpoint(str(whole)).made
    assert made["unit"] == "optima"
    assert made["spent"] == 96
    _, code = run("part", "--budget", "48")
    assert code == 2  # it is of another command


# --- on the board ---------------------------------------------------------------------------------


def test_each_checkpoint_has_a_fingerprint_of_its_own(tmp_path):
    imitates, returns = Generalist(), GeneralistFromReturns()
    assert imitates.fingerprint != returns.fingerprint
    copy = tmp_path / "copy.npz"
    copy.write_bytes(checkpoint_path("generalist").read_bytes())
    assert Generalist(str(copy)).fingerprint == imitates.fingerprint


def test_it_is_satisfied_when_nothing_better_comes(zoo):
    evaluator = Evaluator(zoo[0], 1000, sees="layers")
    search(Generalist(patience=5), evaluator, 0)
    best = evaluator.improvements[-1][0]
    assert evaluator.spent == best + 6


def test_what_it_has_not_learnt_of_a_machine_is_said():
    hardware = Hardware(simd_lanes=8)
    problem = AssignmentProblem.of("NCF", "NVDLA", platform="iot", hardware=hardware)
    with pytest.warns(UserWarning, match="not learnt what simd_lanes=8 means"):
        first(problem)
    bandwidth = AssignmentProblem.of("NCF", hardware=Hardware(noc_bandwidth=8), platform="iot")
    assert np.isfinite(first(bandwidth))  # without a warning
