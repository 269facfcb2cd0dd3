"""Suites, sweeps, submissions: what is run, what is kept, what is believed."""

import hashlib
import json
import lzma
import os
import platform
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import tiny_families
from conftest import needs_torch
from typer.testing import CliRunner

from benchmarks import suites as made
from hwgym.cli import main
from hwgym.core import (
    Certificate,
    agents,
    families,
    log_episodes,
    ranked_ids,
    read_settings,
    solve,
    split_id,
)
from hwgym.core.log.spec import make_environment
from hwgym.families.assignment import FAMILY as ASSIGNMENT
from hwgym.families.group import FAMILY as GROUP
from hwgym.families.hetero import FAMILY as HETERO
from hwgym.families.loopnest import FAMILY as LOOPNEST
from hwgym.families.mapping import FAMILY as MAPPING
from hwgym.leaderboard import (
    SUITES,
    Curve,
    Job,
    Run,
    RunError,
    Suite,
    Task,
    cli,
    find_suite,
    read_run,
    read_runs,
    recost,
    reproduction,
    runner,
    workers,
)
from hwgym.leaderboard.board import below_the_line, load
from hwgym.leaderboard.claims import Claims
from hwgym.leaderboard.cli import app
from hwgym.leaderboard.draws import draw_settings
from hwgym.leaderboard.report import markdown
from hwgym.leaderboard.reproduction import (
    Check,
    Record,
    read_record,
    record_path,
    standing_of,
    write_record,
)
from hwgym.leaderboard.runs import problem_of, write_run
from hwgym.leaderboard.submission import (
    Submission,
    read_submission,
    submission_files,
    validate,
    write_submission,
)
from hwgym.leaderboard.workers import LocalWorkers, perform

ALEXNET = "HWAssign-AlexNet-NVDLA-v0"
NCF = "HWAssign-NCF-MIX-v0"
BAGS, TOUR = "Bags-3-0-v0", "Tour-4-v0"
TEST = "HWAssignMulti-Test-v0"
KEPT = Path(__file__).parents[1] / "leaderboard"


def call(*args):
    return CliRunner().invoke(app, [str(a) for a in args])


def told(result):
    """What a run told, wherever; without what differs from run to run."""
    return result.job, result.found_at.tolist(), result.genes.tolist(), result.objective


class Inline:
    """Workers that work here, one run at a time."""

    count = 1

    def __init__(self):
        self.jobs, self.performed = [], []

    def submit(self, job, hard_limit):
        self.jobs.append(job)

    def wait(self, timeout):
        if not self.jobs:
            time.sleep(min(timeout, 0.01))
            return []
        self.performed.append(self.jobs.pop())
        return [perform(self.performed[-1])]

    def close(self):
        pass


@pytest.fixture
def here(monkeypatch):
    """Runs are done in this process; those that were."""
    crew = Inline()
    monkeypatch.setattr(cli, "LocalWorkers", lambda count: crew)
    return crew


@pytest.fixture
def bad_agents(tmp_path, monkeypatch):
    """An installed package with agents: one that works on any problem, the others go wrong."""
    site = tmp_path / "site"
    about = site / "bad_agents-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-agents\nVersion: 1.0\n")
    names = ("Draws", "Raises", "Dies", "Hangs", "Leaves", "Peeks", "Rebuilds", "Learnt")
    points = "".join(f"{name.lower()} = bad_agents:{name}\n" for name in names)
    (about / "entry_points.txt").write_text(f"[hwgym.agents]\n{points}")
    (site / "bad_agents.py").write_text(
        textwrap.dedent(
            """
            import hashlib, os, pathlib, signal, sys, time
            import numpy as np
            from hwgym.core import problem_of

            class Draws:
                sees = "totals"
                def search(self, evaluator, seed):
                    rng = np.random.default_rng(seed)
                    space = evaluator.space
                    while True:
                        genes = space.draw(rng, 7)
                        genes[0] = 0  # something within the limit
                        for row in genes:  # a permutation, where each choice is allowed once
                            if space.axes[0].kind == "categorical":
                                row[:, 0] = rng.permutation(space.num_steps)
                        evaluator.evaluate(genes)

            class Peeks:
                sees = "totals"
                def search(self, evaluator, seed):
                    evaluator.evaluate(evaluator.problem.optimum().assignment[None])

            class Rebuilds:
                sees = "totals"
                def search(self, evaluator, seed):
                    best = problem_of("HWAssign-AlexNet-NVDLA-v0").optimum()
                    evaluator.evaluate(best.assignment[None])

            class Learnt(Draws):
                @property
                def fingerprint(self):
                    path = pathlib.Path(__file__).with_name("checkpoint.npz")
                    return hashlib.sha256(path.read_bytes()).hexdigest()

            class Raises:
                sees = "totals"
                def search(self, evaluator, seed):
                    raise RuntimeError(f"no luck with {seed}")

            class Dies(Raises):
                def search(self, evaluator, seed):
                    os.kill(os.getpid(), signal.SIGKILL)

            class Hangs(Raises):
                def search(self, evaluator, seed):
                    time.sleep(600)

            class Leaves(Raises):
                def search(self, evaluator, seed):
                    sys.exit("enough")
            """
        )
    )
    (site / "checkpoint.npz").write_bytes(b"what was learnt")
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "bad_agents", raising=False)
    agents._classes.cache_clear()
    yield site
    agents._classes.cache_clear()


# --- suites ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "tasks"), [("smoke", 3), ("lite", 12), ("standard", 44)])
def test_suites_have_registered_environments(name, tasks):
    suite = find_suite(name)
    assert len(set(suite.tasks)) == tasks
    assert {task.env_id for task in suite.tasks} <= set(ranked_ids(ASSIGNMENT))


@pytest.mark.parametrize(
    ("name", "family", "count"),
    [
        ("loopnest", LOOPNEST, 12),
        ("map", MAPPING, 12),
        ("schedule", GROUP, 8),
        ("hetero", HETERO, 6),
    ],
)
def test_suites_of_other_families(name, family, count):
    tasks = [task.env_id for task in find_suite(name).tasks]
    assert len(set(tasks)) == count
    assert set(tasks) <= set(ranked_ids(family))


def test_suites_contain_each_other():
    assert set(SUITES["lite"].tasks) <= set(SUITES["standard"].tasks) <= set(SUITES["full"].tasks)
    full = [task.env_id for task in SUITES["full"].tasks]
    assert full == [env_id for family in families() for env_id in ranked_ids(family)]
    assert {BAGS, TOUR} <= set(full)


def test_tasks_are_called_as_their_family_has_it():
    assert Task(NCF).label == "NCF-MIX"
    assert Task(BAGS).label == BAGS


def test_an_unknown_suite_is_named():
    with pytest.raises(ValueError, match="did you mean 'lite'"):
        find_suite("light")


# --- problems of a split --------------------------------------------------------------------------


def test_a_numbered_id_is_that_problem_of_its_split():
    assert split_id(f"{TEST}#17") == (TEST, 17)
    assert split_id(TEST) == (TEST, None)
    ours, theirs = problem_of(f"{TEST}#17"), gym.make(TEST, instance=17).get_wrapper_attr("problem")
    assert ours.statement.key == theirs.statement.key
    assert problem_of(f"{TEST}#17") is ours  # however many runs ask for it
    assert Task(f"{TEST}#17").label == "HWAssignMulti-Test#17"


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        (f"{TEST}#1000", r"test has problems 0\.\.999, got 1000"),
        (f"{TEST}#017", "stands the number of a problem"),  # one problem has one name
        (f"{TEST}#-1", "stands the number of a problem"),
        (f"{TEST}#", "stands the number of a problem"),
        (f"{TEST}#1#2", "stands the number of a problem"),
        (f"{TEST}#\u0661", "stands the number of a problem"),
        ("HWAssignMulti-Tset-v0#1", f"did you mean '{TEST}'"),
        (f"{ALEXNET}#0", "has no numbered problems"),
        ("HWAssignMulti-v0#0", "has no numbered problems"),
        ("antigravity:X-v0#1", "unknown environment"),
    ],
)
def test_what_is_no_problem_of_a_split_is_refused(env_id, message):
    with pytest.raises(RunError, match=message):
        problem_of(env_id)
    assert "antigravity" not in sys.modules


def test_commands_take_numbered_ids(capsys):
    numbered = f"{TEST}#0"
    best = problem_of(numbered).optimum().objective
    assert main(["show", numbered, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["kwargs"] == {"split": "test", "instance": 0}
    assert main(["train", "uniform", numbered, "--samples", "144", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["optimum"] == best
    for command in (["show"], ["train", "random"]):
        assert main([*command, f"{TEST}#1000"]) == 2
        assert "test has problems 0..999, got 1000" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "count", "samples"),
    [
        ("multi-smoke", 5, 10),
        ("multi-test", 100, 300),
        ("multi-zoo", 51, 300),
        ("multi-ood", 50, 300),
        ("multi-search", 12, 5000),
    ],
)
def test_suites_of_numbered_problems(name, count, samples):
    suite = find_suite(name)
    assert len(set(suite.tasks)) == count
    assert {task.samples for task in suite.tasks} == {samples}
    assert suite.tracks[:2] == ("zero-shot", "few-shot")
    splits = {split_id(task.env_id)[0] for task in suite.tasks}
    assert splits <= {f"HWAssignMulti-{split}-v0" for split in ("Test", "Zoo", "OOD")}


def test_suites_have_the_first_problems_whose_budgets_bind():
    told = json.loads(made.FILE.read_text(encoding="utf-8"))
    assert made.written(told) == made.FILE.read_text(encoding="utf-8")


def test_a_published_network_is_in_the_zoo_three_times():
    problems = [problem_of(task.env_id) for task in find_suite("multi-zoo").tasks]
    names = [problem.statement.known["workload"].name for problem in problems]
    assert len(set(names)) == 17
    assert {names.count(name) for name in names} == {3}


def test_problems_of_a_split_are_run_packed_and_validated(tmp_path, here):
    out, packed = tmp_path / "runs", tmp_path / "packed"
    args = ("run", "--suite", "multi-smoke", "--agents", "uniform,random", "--seeds", 2)
    result = call(*args, "--out", out)
    assert result.exit_code == 0, result.output
    runs = list(read_runs(out))
    assert len(runs) == 5 * (1 + 2)
    assert {run.job.file.parts[1] for run in runs} == {
        task.env_id for task in find_suite("multi-smoke").tasks
    }
    assert all(told(perform(run.job)) == told(run) for run in runs)
    assert call("submit", out, "--suite", "multi-smoke", "--out", packed).exit_code == 0
    path = packed / "uniform.jsonl.xz"
    assert "5 runs, 5 of 5 tasks" in call("validate", path).output
    result = reproduce(path, "--tasks", f"{TEST}#0,{TEST}#1")
    assert result.exit_code == 0, result.output
    assert "2 of 5 runs came out the same again" in result.output
    assert reproduce(path).exit_code == 0
    assert validate(path).standing.name == "reproduced"


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("1000", r"test has problems 0\.\.999, got 1000"),
        ("2", f"unknown task '{TEST}#2'"),  # its budget does not bind: it is not in the suite
        ("00", "stands the number of a problem"),
    ],
)
def test_a_problem_that_is_not_in_the_suite_is_refused(tmp_path, number, reason):
    run = perform(Job("uniform", f"{TEST}#0", 10, 100))
    run = replace(run, job=replace(run.job, env_id=f"{TEST}#{number}"))
    path = tmp_path / "uniform.jsonl"
    write_submission(path, Submission("uniform", "totals", "multi-smoke", [run]))
    (found,) = validate(path).reasons
    assert re.search(reason, found), found


def test_a_run_of_one_problem_under_the_number_of_another_is_refused(tmp_path):
    runs = [perform(Job("uniform", f"{TEST}#{n}", 10, 100)) for n in (0, 1)]
    swapped = [replace(runs[1], job=runs[0].job), replace(runs[0], job=runs[1].job)]
    path = tmp_path / "uniform.jsonl"
    write_submission(path, Submission("uniform", "totals", "multi-smoke", swapped))
    assert len(validate(path).reasons) == 2


def test_a_log_of_a_problem_of_a_split_is_packed(tmp_path):
    env = log_episodes(gym.make(TEST, instance=1), tmp_path / "log", agent="mine", seed=1)
    env.action_space.seed(1)
    for _ in range(3):
        (_, info), done = env.reset(), False
        while not done:
            _, _, done, _, info = env.step(env.action_space.sample(mask=info["action_mask"]))
    env.close()
    assert read_settings(tmp_path / "log")["env_id"] == f"{TEST}#1"
    args = ("submit", tmp_path / "log", "--suite", "multi-smoke", "--sees", "layers")
    result = call(*args, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    (curve,) = validate(tmp_path / "out" / "mine.jsonl.xz").curves
    assert (curve.run.job.env_id, curve.run.samples) == (f"{TEST}#1", 3)
    # So is one of an agent of ours, whose environment can be made again.
    solve("random", f"{TEST}#1", samples=3, log=tmp_path / "other")
    assert read_settings(tmp_path / "other")["env_id"] == f"{TEST}#1"
    again = make_environment(tmp_path / "other").get_wrapper_attr("problem")
    assert again.statement.key == problem_of(f"{TEST}#1").statement.key
    # With something else fixed it is another problem, which has no number.
    env = gym.make(TEST, instance=1, objective="energy")
    log_episodes(env, tmp_path / "third", agent="mine").close()
    assert read_settings(tmp_path / "third")["env_id"] == TEST


# --- plans ----------------------------------------------------------------------------------------


def test_every_seed_of_all_comes_before_the_next():
    tasks = (Task(ALEXNET, 10), Task(NCF, 10))
    jobs = runner.plan(["random", "annealing"], tasks, seeds=2, first_seed=7)
    assert [(j.seed, j.agent, j.env_id) for j in jobs[:5]] == [
        (7, "random", ALEXNET),
        (7, "random", NCF),
        (7, "annealing", ALEXNET),
        (7, "annealing", NCF),
        (8, "random", ALEXNET),
    ]
    assert len(jobs) == len({job.file for job in jobs}) == 8


def test_agents_that_ignore_their_seed_get_one():
    same = ["uniform", "grid", "greedy", "lagrangian", "tabulate"]
    jobs = runner.plan(same, [Task(ALEXNET, 200)], seeds=10)
    assert [job.agent for job in jobs] == same
    for job in jobs:
        assert told(perform(job))[1:] == told(perform(replace(job, seed=3)))[1:]


def test_bad_plans_are_refused():
    tasks = [Task(ALEXNET)]
    with pytest.raises(ValueError, match="did you mean 'random'"):
        runner.plan(["randon"], tasks, seeds=1)
    with pytest.raises(ValueError, match="seeds must be at least 1, got 0"):
        runner.plan(["random"], tasks, seeds=0)
    with pytest.raises(ValueError, match="no agents"):
        runner.plan([], tasks, seeds=1)


def test_draws_are_the_same_everywhere_and_differ_from_each_other():
    assert draw_settings("annealing", 0) == {}
    assert draw_settings("random", 1) is None
    drawn = [draw_settings("annealing", draw) for draw in range(1, 6)]
    assert drawn == [draw_settings("annealing", draw) for draw in range(1, 6)]
    assert len({json.dumps(settings) for settings in drawn}) > 3


def test_hyperparameters_are_drawn_together():
    needs_torch()
    nested = draw_settings("maskable-ppo", 1)
    assert set(nested["hyperparameters"]) == {"learning_rate", "gamma", "ent_coef", "n_epochs"}


@pytest.mark.parametrize(
    "agent",
    ["reinforce", "reinforce-ga", "ppo", "a2c", "maskable-ppo", "dqn", "annealing", "cmaes"],
)
def test_what_agents_declare_can_be_run(agent):
    if agent not in ("annealing", "cmaes"):
        needs_torch()
    (job,) = runner.plan([agent], [Task(ALEXNET, 12)], seeds=1, draws=1)[1:]
    run = perform(job)
    assert run.error is None, run.error
    assert run.job.draw == 1
    assert run.samples == 12


def test_only_agents_that_are_tuned_are_drawn():
    jobs = runner.plan(["random", "annealing"], [Task(ALEXNET, 12)], seeds=2, draws=2)
    assert [(j.agent, j.draw, j.seed) for j in jobs[4:]] == [
        ("annealing", 1, 100),
        ("annealing", 1, 101),
        ("annealing", 2, 100),
        ("annealing", 2, 101),
    ]


# --- sweeps ---------------------------------------------------------------------------------------


def test_the_smoke_suite_on_the_command_line(tmp_path):
    out = tmp_path / "runs"
    args = ("run", "--suite", "smoke", "--agents", "random,uniform", "--agents", "greedy")
    result = call(*args, "--seeds", 2, "--out", out, "--workers", 2)
    assert result.exit_code == 0, result.output
    assert "12 of 12 runs done" in result.output
    runs = list(read_runs(out))
    assert len(runs) == 3 * (2 + 1 + 1)
    assert not list(out.rglob("*.claim"))
    for run in runs:
        curve = recost(run)
        assert told(perform(run.job)) == told(run)
        assert 0 < curve.score <= 1
        assert curve.regret == pytest.approx(1 / curve.score - 1)
    again = call(*args, "--seeds", 2, "--out", out, "--json")
    assert json.loads(again.stdout)["done_before"] == 12


def test_a_sweep_that_was_stopped_goes_on(tmp_path):
    out = tmp_path / "runs"
    command = [sys.executable, "-m", "hwgym.leaderboard", "run", "--suite", "smoke", "--samples"]
    command += ["800", "--agents", "annealing", "--seeds", "4", "--workers", "1", "--json"]
    command += ["--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while len(list(out.rglob("*.json"))) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    first = json.loads(process.communicate(timeout=30)[0])
    assert process.returncode == 130
    assert first["interrupted"]
    assert 2 <= first["done"] < 12
    assert not list(out.rglob("*.claim"))
    kept = {path: path.stat().st_mtime_ns for path in out.rglob("*.json")}
    second = call(*command[3:])
    assert second.exit_code == 0, second.output
    assert json.loads(second.stdout)["done_before"] == len(kept) == first["done"]
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(list(read_runs(out))) == 12


def test_two_sweeps_share_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "LOOK", 0.02)
    jobs = runner.plan(["random", "annealing"], [Task(ALEXNET, 50), Task(NCF, 50)], seeds=8)
    crews = [Inline(), Inline()]
    sweeps = [threading.Thread(target=runner.sweep, args=(jobs, tmp_path, crew)) for crew in crews]
    for thread in sweeps:
        thread.start()
    for thread in sweeps:
        thread.join(60)
    shared = [{job.file for job in crew.performed} for crew in crews]
    assert all(shared)
    assert not shared[0] & shared[1]
    assert shared[0] | shared[1] == {job.file for job in jobs}
    assert {run.job.file for run in read_runs(tmp_path)} == {job.file for job in jobs}


def test_claims_of_the_dead_are_taken_over(tmp_path):
    job = Job("random", ALEXNET, 10)
    first, second = Claims(tmp_path), Claims(tmp_path)
    assert first.take(job)
    assert not second.take(job)
    first.release(job)
    assert second.take(job)
    path = (tmp_path / job.file).with_suffix(".claim")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    path.write_text(json.dumps({"node": platform.node(), "pid": ended.pid}))
    assert first.take(job)
    path.write_text(json.dumps({"node": "elsewhere", "pid": ended.pid}))
    assert not second.take(job)
    os.utime(path, (time.time() - 1000, time.time() - 1000))
    assert second.take(job)
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize("written", [True, False])
def test_an_interruption_leaves_no_claim(tmp_path, monkeypatch, written):
    """Not even one that comes between a claim's file and the note that the sweep has it."""
    job, other = Job("random", ALEXNET, 10), Job("random", NCF, 10)
    claims, others = Claims(tmp_path), Claims(tmp_path)
    assert claims.take(job)

    def interrupted(owner, file):
        file.write(json.dumps(owner) if written else "")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hwgym.leaderboard.claims.json.dump", lambda *args: interrupted(*args))
        with pytest.raises(KeyboardInterrupt):
            claims.take(other)
    assert len(list(tmp_path.rglob("*.claim"))) == 2
    claims.release_all()
    assert not list(tmp_path.rglob("*.claim"))
    assert others.take(other)
    claims.release_all()
    assert len(list(tmp_path.rglob("*.claim"))) == 1


def test_failures_are_recorded_and_done_again_when_asked(tmp_path, bad_agents, monkeypatch):
    monkeypatch.setattr(runner, "hard_limit", lambda limit: 4.0)
    jobs = runner.plan(
        ["raises", "dies", "leaves", "hangs", "random"], [Task(ALEXNET, 20)], seeds=1
    )
    crew = LocalWorkers(2)
    try:
        state = runner.sweep(jobs, tmp_path, crew)
        failed = {run.job.agent: run.error for run in state.failed}
        assert failed["raises"]["kind"] == "exception"
        assert failed["raises"]["message"] == "RuntimeError: no luck with 100"
        assert "bad_agents.py" in failed["raises"]["traceback"]
        assert failed["leaves"]["message"] == "SystemExit: enough"
        assert failed["dies"]["kind"] == "crash"
        assert "SIGKILL" in failed["dies"]["message"]
        assert failed["hangs"]["kind"] == "hard limit"
        assert set(failed) == {"raises", "dies", "leaves", "hangs"}
        written = {run.job.agent: run.error for run in read_runs(tmp_path)}
        assert written == {**failed, "random": None}
    finally:
        crew.close()
    again = Inline()
    runner.sweep([jobs[0], jobs[4]], tmp_path, again)
    assert not again.performed
    runner.sweep([jobs[0], jobs[4]], tmp_path, again, retry_failed=True)
    assert again.performed == [jobs[0]]


def test_a_failed_sweep_says_so(tmp_path, bad_agents):
    result = call("run", "--suite", "smoke", "--agents", "raises", "--seeds", 1, "--out", tmp_path)
    assert result.exit_code == 1
    assert "3 failed (--retry-failed does them again)" in result.output
    assert "RuntimeError: no luck with 100" in result.output


def test_a_folder_has_one_time_limit(tmp_path):
    tasks = [Task(ALEXNET, 20)]
    runner.sweep(runner.plan(["random"], tasks, seeds=1, time_limit=9.0), tmp_path, Inline())
    other = runner.plan(["random"], tasks, seeds=1, time_limit=8.0)
    with pytest.raises(RunError, match=r"time limit 9\.0, not 8\.0; choose another folder"):
        runner.sweep(other, tmp_path, Inline())


@pytest.mark.parametrize("damage", [b"", b'{"agent": "random", "sees"', b"\xff\xfe", b"another"])
def test_a_damaged_run_is_done_again(tmp_path, damage):
    jobs = runner.plan(["random"], [Task(ALEXNET, 50)], seeds=3)
    runner.sweep(jobs, tmp_path, Inline())
    kept = {job.file: (tmp_path / job.file).read_bytes() for job in jobs}
    file = jobs[1].file
    (tmp_path / file).write_bytes(kept[jobs[2].file] if damage == b"another" else damage)
    crew = Inline()
    state = runner.sweep(jobs, tmp_path, crew)
    assert crew.performed == [jobs[1]]
    assert list(state.damaged) == [file]
    assert state.damaged[file].startswith(str(tmp_path / file))
    assert [told(run) for run in read_runs(tmp_path)] == [told(perform(job)) for job in jobs]
    assert not runner.sweep(jobs, tmp_path, Inline()).damaged


def test_a_damaged_run_is_named_on_the_command_line(tmp_path):
    args = ("run", "--suite", "smoke", "--agents", "uniform", "--workers", 1, "--out", tmp_path)
    assert call(*args).exit_code == 0
    file = Job("uniform", ALEXNET, 300, 100).file
    text = (tmp_path / file).read_text()
    (tmp_path / file).write_text(text[:100])
    packed = call("submit", tmp_path, "--suite", "smoke", "--out", tmp_path / "packed")
    assert packed.exit_code == 2  # what is not whole is not packed
    assert str(file) in packed.output
    result = call(*args)
    assert result.exit_code == 0, result.output
    assert f"damaged, and so run again: {tmp_path / file}: " in result.output
    (tmp_path / file).write_text(text[:100])
    assert json.loads(call(*args, "--json").stdout)["damaged"] == [str(file)]
    assert told(read_run(tmp_path / file)) == told(Run.from_json(json.loads(text)))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--suite", "smoek"], "did you mean 'smoke'"),
        (["--agents", "nobody"], "unknown agent 'nobody'"),
        (["--seeds", "0"], "seeds must be at least 1"),
        (["--samples", "0"], "--samples must be at least 1"),
        (["--workers", "0"], "--workers must be at least 1"),
    ],
)
def test_wrong_arguments_of_run(tmp_path, args, message):
    result = call("run", "--agents", "random", "--out", tmp_path / "x", *args)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "x").exists()


def test_all_agents_are_those_that_can_run_alone(tmp_path):
    needs_torch()
    args = ("run", "--suite", "smoke", "--agents", "all", "--seeds", 0, "--out", tmp_path)
    assert "seeds must be at least 1" in call(*args).output
    names = cli._all_agents()
    assert "ga-refiner" not in names
    assert {"random", "ppo", "reinforce", "optuna"} <= set(names)


def test_the_time_left_is_estimated_by_agent():
    jobs = [Job(a, ALEXNET, 10, seed) for a in ("fast", "slow", "new") for seed in range(4)]
    state = runner.Sweep(jobs)
    assert state.seconds_left(2) is None
    state.done = [
        Run(job, "totals", seconds=10.0 if job.agent == "slow" else 2.0) for job in jobs[2:5]
    ]
    # Two of fast at 2 s, three of slow at 10 s, four of an agent unknown so far at 6 s.
    assert state.seconds_left(2) == pytest.approx((2 * 2 + 3 * 10 + 4 * 6) / 2)


@pytest.mark.parametrize(
    ("module", "args", "extra"),
    [
        ("pebble", ["run", "--agents", "random", "--out", "x"], "leaderboard"),
        ("ray", ["run", "--agents", "random", "--out", "x", "--ray"], "ray"),
    ],
)
def test_a_missing_package_is_named(monkeypatch, module, args, extra):
    monkeypatch.setitem(sys.modules, module, None)
    result = call(*args)
    assert result.exit_code == 2
    assert f"pip install 'hwgym[{extra}]'" in result.output


# --- submissions ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def honest():
    """Runs of one agent on the smoke suite."""
    tasks = SUITES["smoke"].tasks
    return [perform(job) for job in runner.plan(["annealing"], tasks, seeds=2, time_limit=30.0)]


@pytest.fixture
def submitted(tmp_path, honest):
    """Writes a submission with its first run changed, and gives the verdict."""

    def submit(**changes):
        runs = [replace(honest[0], **changes), *honest[1:]]
        path = tmp_path / "s.jsonl"
        write_submission(path, Submission("annealing", "totals", "smoke", runs))
        return validate(path)

    return submit


def test_an_honest_submission_is_accepted(submitted, honest, tmp_path):
    verdict = submitted()
    assert verdict.accepted, verdict.reasons
    assert len(verdict.curves) == 6
    packed = write_submission(tmp_path / "p.jsonl.xz", verdict.submission)
    assert [told(run) for run in read_submission(packed).runs] == sorted(
        [told(run) for run in honest], key=lambda t: (t[0].env_id, t[0].seed)
    )
    result = call("validate", tmp_path)
    assert result.exit_code == 0
    assert result.output.count("accepted") == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda r: {"objective": r.objective * (1 - 3e-9)},
            r"claims an objective of [\d.]+, but its solutions reach [\d.]+$",
        ),
        (lambda r: {"objective": None}, "claims an objective of None"),
        (lambda r: {"samples": 301}, "301 samples used, only 300 are allowed"),
        (lambda r: {"found_at": r.found_at + 300}, "but only 300 were used"),
        (
            lambda r: {"samples": int(r.found_at[-1])},
            r"found at sample (\d+), counted from 0, but only \1 were used",
        ),
        (lambda r: {"found_at": r.found_at[::-1]}, "sample numbers must increase"),
        (
            lambda r: {"genes": r.genes[:, 1:]},
            "solutions of 4 steps and 2 axes; .* has 5 steps and 2 axes",
        ),
        (lambda r: {"genes": r.genes[..., 1:]}, "solutions of 5 steps and 1 axes; .* has 5"),
        (lambda r: {"genes": r.genes + 12}, "choices of 'PEs' must lie in 0..11, got 1[2-9]"),
        (lambda r: {"genes": r.genes - 12}, "choices of 'PEs' must lie in 0..11, got -1"),
        (lambda r: {"genes": broken_off(r.genes)}, "choices of 'PEs' must lie in 0..11, got -1"),
        (lambda r: {"genes": np.full_like(r.genes, 11)}, "is not feasible: takes"),
        (lambda r: {"job": replace(r.job, seed=101)}, "is there twice"),
        (lambda r: {"job": replace(r.job, budget=400)}, "allows itself 400 samples"),
        (lambda r: {"job": replace(r.job, agent="me")}, "a run of 'me' in a submission of"),
        (
            lambda r: {"job": replace(r.job, env_id="HWAssign-AlexNt-NVDLA-v0")},
            "unknown environment .* did you mean 'HWAssign-AlexNet-NVDLA-v0'",
        ),
        (lambda r: {"job": replace(r.job, env_id="CartPole-v1")}, "not an environment of hwgym"),
        (lambda r: {"job": replace(r.job, env_id="antigravity:X-v0")}, "unknown environment"),
        (lambda r: {"job": replace(r.job, env_id="HWAssign-v0")}, "poses no problem of its own"),
        (
            lambda r: {"job": replace(r.job, env_id="HWAssign-VGG16-MIX-v0")},
            "unknown task 'HWAssign-VGG16-MIX-v0'",
        ),
        (lambda r: {"sees": "layers"}, "sees 'layers', the submission says 'totals'"),
    ],
)
def test_cheats_are_refused_with_the_reason(submitted, honest, change, reason):
    verdict = submitted(**change(honest[0]))
    assert not verdict.accepted
    assert len(verdict.reasons) == 1
    assert re.search(reason, verdict.reasons[0]), verdict.reasons
    assert "antigravity" not in sys.modules


def broken_off(genes):
    """The last step of the last solution is not there."""
    return np.concatenate([genes[:-1], [np.append(genes[-1][:-1], [[-1, -1]], axis=0)]])


def test_an_improvement_in_the_last_sample_is_accepted(submitted, honest):
    assert submitted(samples=int(honest[0].found_at[-1]) + 1).accepted


def test_an_objective_to_a_part_in_a_thousand_million_is_accepted(submitted, honest):
    assert submitted(objective=honest[0].objective * (1 + 3e-10)).accepted


def test_an_invalid_point_is_not_feasible():
    env_id = "HWAssign-AlexNet-Eyeriss-v0"  # where PEs can be too few for a filter's rows
    problem = problem_of(env_id)
    actions = np.where(problem.valid, problem.usage, np.inf).argmin(axis=1)
    step, action = np.argwhere(~problem.valid)[0]
    actions[step] = action
    run = Run(Job("me", env_id, 10), "totals", 10, objective=1.0, found_at=np.array([0]))
    genes = problem.space.decode(actions[None])
    with pytest.raises(RunError, match="not feasible: holds a choice that is not valid"):
        recost(replace(run, genes=genes))


# Files of before: action numbers in place of genes.


@pytest.fixture
def numbered(honest, tmp_path):
    """Writes a submission as it was before, its first run's action numbers changed."""

    def write(change=lambda actions: actions):
        lines = [{"format": "hwgym-submission-1", "agent": "annealing", "sees": "totals"}]
        lines[0]["suite"] = "smoke"
        for run in honest:
            told = run.to_json()
            space = problem_of(run.job.env_id).space
            actions = space.encode(np.array(told.pop("genes")))
            told["actions"] = (change(actions) if run is honest[0] else actions).tolist()
            lines.append(told)
        path = tmp_path / "old.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    return write


def test_submissions_of_before_are_read_and_written_anew(numbered, honest, tmp_path):
    verdict = validate(numbered())
    assert verdict.accepted, verdict.reasons
    assert [told(c.run) for c in verdict.curves] == [told(recost(run).run) for run in honest]
    path = write_submission(tmp_path / "new.jsonl", verdict.submission)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0]["format"] == "hwgym-submission-2"
    assert all("genes" in line and "actions" not in line for line in lines[1:])
    assert validate(path).accepted
    # A folder of such runs is packed, too.
    write_run(tmp_path / "runs", verdict.submission.runs[0])
    assert "actions" in json.loads(next((tmp_path / "runs").rglob("*.json")).read_text())
    assert call("submit", tmp_path / "runs", "--suite", "smoke", "--out", tmp_path).exit_code == 0
    (curve,) = validate(tmp_path / "annealing.jsonl.xz").curves
    assert told(curve.run) == told(verdict.curves[0].run)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda actions: actions[:, 1:], "solutions of 4 steps; .* has 5 steps"),
        (lambda actions: actions + 144, "action numbers must lie in 0..143, got"),
        (lambda actions: actions - 144, "action numbers must lie in 0..143, got -"),
        (lambda actions: np.full_like(actions, 143), "is not feasible: takes"),
    ],
)
def test_cheats_in_files_of_before_are_refused(numbered, change, reason):
    (found,) = validate(numbered(change)).reasons
    assert re.search(reason, found)


def test_action_numbers_are_refused_where_choices_have_none():
    run = Run(Job("me", TOUR, 10), "totals", 10, objective=1.0, found_at=np.array([0]))
    with pytest.raises(RunError, match="the choices of this task are not numbered"):
        recost(replace(run, actions=np.zeros((1, 4), np.int64)))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda lines: lines[1:], "not a submission"),
        (lambda lines: [lines[0], lines[1][:-20]], "line 2: not JSON"),
        (lambda lines: [lines[0], "[]"], "line 2: not a JSON object"),
        (lambda lines: lines[:1], "has no runs"),
        (lambda lines: [lines[0].replace("smoke", "smoky"), *lines[1:]], "unknown suite 'smoky'"),
        (lambda lines: [lines[0].replace("totals", "all"), *lines[1:]], "must be layers or totals"),
        (lambda lines: [lines[0], lines[1].replace('"seed":100', '"seed":-1')], "'seed' must be"),
        (lambda lines: [lines[0], lines[1].replace('"seed":100,', "")], "'seed' is missing"),
        (lambda lines: [lines[0], lines[1].replace('_at":[0', '_at":[0.5')], "'found_at' must be"),
        (lambda lines: [lines[0], lines[1].replace("[[[", '[[["x",')], "'genes' must be a list"),
        (lambda lines: [lines[0], lines[1].replace('"genes"', '"gens"')], "'genes' is missing"),
        (lambda lines: [lines[0], lines[1].replace('_at":[0,', '_at":[')], "sample numbers for"),
        (lambda lines: [lines[0], lines[1].replace('istic":false', 'istic":1')],
         "'deterministic' must be true, false or null"),
        (lambda lines: [lines[0], lines[1].replace('"objective":', '"objective":1e999,"o":')],
         "'objective' must be a finite number"),
    ],
)  # fmt: skip
def test_damaged_submissions_are_refused_with_the_reason(honest, tmp_path, damage, reason):
    path = tmp_path / "s.jsonl"
    write_submission(path, Submission("annealing", "totals", "smoke", honest))
    path.write_text("\n".join(damage(path.read_text().splitlines())))
    result = call("validate", path, "--json")
    assert result.exit_code == 1
    assert reason in json.loads(result.stdout)[0]["reasons"][0]


def test_a_damaged_archive_is_refused(honest, tmp_path):
    path = tmp_path / "s.jsonl.xz"
    write_submission(path, Submission("annealing", "totals", "smoke", honest))
    path.write_bytes(path.read_bytes()[:-40])
    assert "cannot be read" in validate(path).reasons[0]
    path.write_bytes(b"nothing of the kind")
    assert "cannot be read" in validate(path).reasons[0]


def test_folders_are_packed_by_agent(tmp_path, honest, bad_agents):
    failed = [perform(job) for job in runner.plan(["raises"], SUITES["smoke"].tasks, seeds=1)]
    for run in [*honest, *failed]:
        write_run(tmp_path / "runs", run)
    result = call("submit", tmp_path / "runs", "--suite", "smoke", "--out", tmp_path / "packed")
    assert result.exit_code == 0, result.output
    assert "3 runs, 3 of them failed" in result.output
    assert sorted(f.name for f in (tmp_path / "packed").iterdir()) == [
        "annealing.jsonl.xz",
        "raises.jsonl.xz",
    ]
    assert b"site" not in lzma.decompress((tmp_path / "packed" / "raises.jsonl.xz").read_bytes())
    verdict = validate(tmp_path / "packed" / "raises.jsonl.xz")
    assert verdict.accepted
    assert [curve.score for curve in verdict.curves] == [0.0] * 3
    # A folder of runs with other budgets is refused, and nothing is written.
    other = call("submit", tmp_path / "runs", "--suite", "lite", "--out", tmp_path / "lite")
    assert other.exit_code == 1
    assert "refused" in other.output
    assert not (tmp_path / "lite").exists()


def test_an_external_agents_log_is_packed(tmp_path):
    env = log_episodes(
        gym.make(NCF, action_mode="discrete"), tmp_path / "log", agent="mine", seed=4
    )
    env.action_space.seed(4)
    best = []
    for _ in range(310):  # ten more than allowed
        (_, info), done = env.reset(seed=4), False
        while not done:
            _, _, done, _, info = env.step(env.action_space.sample())
        best.append(info["objective"] if info["is_success"] else np.inf)
    env.close()
    args = ("submit", tmp_path / "log", "--suite", "smoke", "--out", tmp_path / "out")
    assert "say what it sees" in call(*args).output
    assert call(*args, "--sees", "totals", "--deterministic").exit_code == 0
    assert validate(tmp_path / "out" / "mine.jsonl.xz").curves[0].run.deterministic is True
    assert call(*args, "--sees", "totals").exit_code == 0
    (curve,) = validate(tmp_path / "out" / "mine.jsonl.xz").curves
    assert curve.run.deterministic is False
    assert curve.run.samples == 300
    assert (curve.run.job.seed, curve.run.job.agent) == (4, "mine")
    assert curve.run.objective == min(best[:300])
    assert curve.run.found_at[-1] == int(np.argmin(best[:300]))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["validate", "nowhere"], "no such file or folder"),
        (["validate", "{}"], "no submissions"),
        (["submit", "nowhere", "--out", "{}"], "no such folder"),
        (["submit", "{}", "--out", "{}"], "neither runs nor episode logs"),
        (["submit", "{}", "--out", "{}", "--suite", "x"], "unknown suite 'x'"),
    ],
)
def test_wrong_arguments_of_the_others(tmp_path, args, message):
    result = call(*(a.format(tmp_path) for a in args))
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize(
    "path", sorted(KEPT.glob("*/*.jsonl.xz")), ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_the_repositorys_own_results_hold(path):
    verdict = validate(path)
    assert verdict.accepted, verdict.reasons
    assert verdict.submission.suite == path.parent.name
    if record_path(path).is_file():
        standing = verdict.standing
        assert standing.name == "reproduced" or "came out" in standing.note


@pytest.mark.parametrize("folder", sorted(KEPT.glob("*/")), ids=lambda folder: folder.name)
def test_the_repositorys_own_reports_have_all_submissions(folder):
    """Whether they are what is reported now is asked of the small ones."""
    report = (folder / "report.md").read_text(encoding="utf-8")
    agents = [path.name.removesuffix(".jsonl.xz") for path in submission_files(folder)]
    for name in agents:
        assert f"`{name}`" in report, name
        if not (folder / f"{name}.reproduction.json").is_file():
            assert not re.search(rf"^\| [^|]* \| `{name}` .* reproduced \|$", report, re.M), name
    records = {record_path(path) for path in submission_files(folder)}
    assert set(folder.glob("*.reproduction.json")) <= records
    assert report.startswith(f"Suite {folder.name}: {len(agents)} agents, ")
    if folder.name in ("lite", "confuciux", "precision"):
        assert markdown(load([folder])) == report, f"hwgym leaderboard report {folder} --markdown"


# --- reproductions --------------------------------------------------------------------------------


@pytest.fixture
def packed(tmp_path, honest):
    """Writes the honest runs, or others, as a submission, and gives its path."""

    def pack(runs=honest, agent="annealing", sees="totals"):
        path = tmp_path / f"{agent}.jsonl.xz"
        return write_submission(path, Submission(agent, sees, "smoke", runs))

    return pack


def reproduce(path, *args):
    return call("reproduce", path, "--out", path.parent / "again", *args)


def test_what_comes_out_the_same_is_reproduced(packed, here):
    path = packed()
    assert validate(path).standing.name == "self-reported"
    assert "; self-reported" in call("validate", path).output
    result = reproduce(path)
    assert result.exit_code == 0, result.output
    assert f"reproduced  {path}: 6 of 6 runs came out the same" in result.output
    assert len(here.performed) == 6
    assert {job.time_limit for job in here.performed} == {None}
    assert validate(path).standing.name == "reproduced"
    assert "; reproduced" in call("validate", path).output
    record = json.loads(record_path(path).read_text())
    assert len(record["checks"]) == 6
    assert record["versions"][0]["numpy"] == np.__version__
    assert record["digest"] == read_submission(path).digest
    # Again there is nothing to do; the folder of submissions is still one.
    assert reproduce(path).exit_code == 0
    assert len(here.performed) == 6
    assert call("validate", path.parent).output.count("accepted") == 1


def test_the_mark_is_lost_with_the_least_change(packed, honest, here):
    path = packed()
    assert reproduce(path).exit_code == 0
    found_at = honest[0].found_at.copy()
    found_at[-1] += 1
    packed([replace(honest[0], found_at=found_at, samples=300), *honest[1:]])
    standing = validate(path).standing
    assert (standing.name, standing.note) == (
        "self-reported",
        "it was changed since it was run again",
    )
    # Running it again says what was changed.
    result = reproduce(path)
    assert result.exit_code == 1
    assert "differs" in result.output
    assert validate(path).standing.note == "1 of 6 runs came out differently when run again"
    assert "below the line: 1 of 6 runs came out differently" in call("validate", path).output
    packed()
    assert reproduce(path, "--json").exit_code == 0
    assert validate(path).standing.name == "reproduced"
    record_path(path).write_text(record_path(path).read_text()[:-40])
    assert "cannot be read" in validate(path).standing.note
    assert "written anew" in reproduce(path).output
    assert validate(path).standing.name == "reproduced"


def test_a_part_is_not_the_whole(packed, here):
    path = packed()
    result = reproduce(path, "--seeds", "100", "--tasks", f"{ALEXNET},{NCF}")
    assert result.exit_code == 0, result.output
    assert f"in part     {path}: 2 of 2 runs came out the same; self-reported" in result.output
    assert {(j.env_id, j.seed) for j in here.performed} == {(NCF, 100), (ALEXNET, 100)}
    assert validate(path).standing.note == "2 of 6 runs came out the same again"
    # What is known is kept; the parts make a whole.
    assert reproduce(path, "--seeds", "101").exit_code == 0
    assert validate(path).standing.note == "5 of 6 runs came out the same again"
    told_ = json.loads(reproduce(path, "--seeds", "100", "--json").stdout)
    assert told_[0]["standing"] == "reproduced"
    assert len(here.performed) == 6
    for args, message in (
        (["--seeds", "1000"], "unknown seed '1000'; did you mean '100'"),
        (["--tasks", "HWAssign-NCF-MIX"], f"did you mean '{NCF}'"),
        (["--workers", "0"], "--workers must be at least 1"),
    ):
        result = reproduce(path, *args)
        assert result.exit_code == 2
        assert message in result.output


def test_what_was_run_with_other_versions_is_run_again(packed, here):
    path = packed()
    assert reproduce(path).exit_code == 0
    for file in (path.parent / "again").rglob("*.json"):
        told_ = json.loads(file.read_text())
        told_["packages"]["numpy"] = "1.0"
        file.write_text(json.dumps(told_))
    result = reproduce(path)
    assert result.exit_code == 0
    assert "run once more, for versions have changed: 6 runs" in result.output
    assert len(here.performed) == 12


def test_a_reproduction_that_was_stopped_goes_on(packed, here, monkeypatch):
    path = packed()
    perform_one = here.wait

    def stop(timeout):
        if len(here.performed) == 2:
            here.jobs.clear()
            raise KeyboardInterrupt
        return perform_one(timeout)

    monkeypatch.setattr(here, "wait", stop)
    result = reproduce(path)
    assert result.exit_code == 130
    assert "the same command goes on from here" in result.output
    assert not record_path(path).exists()
    monkeypatch.setattr(here, "wait", perform_one)
    assert reproduce(path).exit_code == 0
    assert len(here.performed) == len({job.file for job in here.performed}) == 6


def best_of_task(run):
    """The optimum, as if it had been the one sample that was needed."""
    best = problem_of(run.job.env_id).optimum()
    changes = {"objective": best.objective, "genes": best.assignment[None]}
    return replace(run, found_at=np.array([0]), samples=1, **changes)


CHEATS = [
    (
        "found_at moved forward",
        lambda runs: [replace(r, found_at=np.arange(len(r.found_at))) for r in runs],
        r"the same solutions at other samples: what it claims to have found at sample \d+ it finds "
        r"at \d+",
        "",
    ),
    (
        "the best run copied under another seed",
        lambda runs: [replace(runs[i - i % 2], job=r.job) for i, r in enumerate(runs)],
        "seed 101: is the run of seed 100",
        "the same runs under different seeds: 100 and 101 on",
    ),
    (
        "the optimum as one sample",
        lambda runs: [best_of_task(run) for run in runs],
        "claims an objective of|claims to have found its best solution at sample 0",
        "finds the optimum after fewer samples than show each choice of a step once",
    ),
    (
        "the last solution only",
        lambda runs: [replace(r, found_at=r.found_at[-1:] * 0, genes=r.genes[-1:]) for r in runs],
        r"claims to have found its best solution at sample 0; it finds it at \d+",
        "",
    ),
    (
        "fewer samples than it used",
        lambda runs: [replace(r, samples=int(r.found_at[-1]) + 1) for r in runs],
        r"uses 300 samples, not \d+",
        "",
    ),
]


@pytest.mark.parametrize(("name", "cheat", "found", "doubted"), CHEATS, ids=lambda x: str(x)[:20])
def test_cheats_are_caught_when_run_again(packed, honest, here, name, cheat, found, doubted):
    by_task = sorted(honest, key=lambda run: (run.job.env_id, run.job.seed))
    path = packed(cheat(by_task))
    verdict = validate(path)
    assert verdict.accepted, name  # its solutions are worth what it claims
    assert verdict.standing.name == "self-reported"
    reasons = below_the_line(verdict)
    assert any(reason.startswith(doubted) for reason in reasons) if doubted else len(reasons) == 1
    result = reproduce(path)
    assert result.exit_code == 1, result.output
    assert result.output.count(f"differs     {path}") == 1
    assert re.search(found, result.output), result.output
    assert validate(path).standing.differ > 0
    assert any("came out differently" in r for r in below_the_line(validate(path)))


def test_the_best_seeds_under_the_names_of_the_first_are_caught(packed, here):
    tasks = SUITES["smoke"].tasks
    runs = [perform(job) for job in runner.plan(["random"], tasks, seeds=40)]
    chosen = []
    for task in tasks:
        own = [run for run in runs if run.job.env_id == task.env_id]
        own.sort(key=lambda run: run.objective or np.inf)
        best = [run for run in own if run.job.seed > 109][:10]
        chosen += [replace(r, job=replace(r.job, seed=100 + i)) for i, r in enumerate(best)]
    path = packed(chosen, "random")
    assert below_the_line(validate(path)) == []  # nothing of it can be seen without the agent
    result = reproduce(path)
    assert result.exit_code == 1
    assert re.search(r"claims an objective of [\d.e+]+; finds (nothing|an)", result.output)
    assert re.search(r"\d+ of \d+ that reach another objective claim a better one", result.output)


def test_whoever_says_that_the_seed_is_ignored_is_run_with_another(packed, honest, here):
    runs = [perform(job) for job in runner.plan(["uniform"], SUITES["smoke"].tasks, seeds=1)]
    path = packed(runs, "uniform")
    assert below_the_line(validate(path)) == []
    assert reproduce(path).exit_code == 0
    assert [job.seed for job in here.performed] == [101] * 3
    # The best seed of an agent that uses it.
    one = [replace(run, deterministic=True) for run in honest if run.job.seed == 100]
    path = packed(one)
    assert below_the_line(validate(path)) == []
    result = reproduce(path)
    assert result.exit_code == 1
    assert "with seed 101, for it says that it ignores its seed" in result.output
    assert below_the_line(validate(path)) != []


def test_what_a_time_limit_cut_is_compared_as_far_as_it_went(packed, honest, here):
    cut = []
    for run in honest:
        kept = run.found_at < 100
        problem = problem_of(run.job.env_id)
        genes = run.genes[kept]
        objective = float(problem.evaluate(genes).objective.min()) if len(genes) else None
        changes = {"found_at": run.found_at[kept], "genes": genes, "objective": objective}
        cut.append(replace(run, samples=100, timed_out=True, **changes))
    path = packed(cut)
    assert reproduce(path).exit_code == 0
    assert validate(path).standing.name == "reproduced"
    assert any("a time limit ended 6 of 6" in reason for reason in below_the_line(validate(path)))


def test_runs_that_failed_claim_nothing(packed, honest, here, bad_agents):
    failed = [workers.failed(run.job, "crash", "it died") for run in honest[:1]]
    path = packed([*failed, *honest[1:]])
    assert reproduce(path).exit_code == 0
    assert len(here.performed) == 5
    assert validate(path).standing.name == "reproduced"
    # One that fails now is no reproduction.
    raising = [replace(run, job=replace(run.job, agent="raises")) for run in honest]
    path = packed(raising, "raises")
    result = reproduce(path)
    assert result.exit_code == 1
    assert "fails when it is run again: RuntimeError: no luck with 100" in result.output


def test_what_cannot_be_run_again(packed, honest, here, tmp_path):
    path = packed([replace(r, job=replace(r.job, agent="mine")) for r in honest], "mine")
    result = reproduce(path)
    assert result.exit_code == 2
    assert "unknown agent 'mine'" in result.output
    path = packed([replace(honest[0], objective=1.0), *honest[1:]])
    result = reproduce(path)
    assert result.exit_code == 1
    assert f"refused     {path}: " in result.output
    assert not here.performed
    assert not record_path(path).exists()
    result = reproduce(tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "no such file or folder" in result.output


# Agents that have learnt before.


@pytest.fixture
def learnt(bad_agents, packed):
    """Runs of an agent with a checkpoint, as a submission: its path, and that of the checkpoint."""
    runs = [perform(job) for job in runner.plan(["learnt"], SUITES["smoke"].tasks, seeds=2)]
    return packed(runs, "learnt"), bad_agents / "checkpoint.npz"


def test_a_run_says_with_what_checkpoint_it_was_made(learnt, here, honest):
    path, checkpoint = learnt
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert {run.fingerprint for run in read_submission(path).runs} == {digest}
    assert {run.fingerprint for run in honest} == {None}
    assert "fingerprint" not in honest[0].to_json()
    assert reproduce(path).exit_code == 0
    assert validate(path).standing.name == "reproduced"


def test_another_checkpoint_than_the_named_one_is_caught(learnt, here):
    path, checkpoint = learnt
    ours = hashlib.sha256(checkpoint.read_bytes()).hexdigest()[:12]
    assert reproduce(path).exit_code == 0
    checkpoint.write_bytes(b"what was learnt on the test problems")
    theirs = hashlib.sha256(checkpoint.read_bytes()).hexdigest()[:12]
    result = reproduce(path)  # what was run again before is run once more
    assert result.exit_code == 1
    assert f"was made with checkpoint {ours}; learnt has checkpoint {theirs}" in result.output
    assert any("came out differently" in reason for reason in below_the_line(validate(path)))
    # And one that is not there.
    checkpoint.unlink()
    result = reproduce(path)
    assert result.exit_code == 1
    assert "fails when it is run again: FileNotFoundError" in result.output


def test_a_run_whose_agent_cannot_be_imported_is_done_again(tmp_path, monkeypatch, honest):
    def missing(job):
        raise ImportError("no module 'torch'")

    job = honest[0].job
    write_run(tmp_path, honest[0])
    assert reproduction.remove_old(tmp_path, [job]) == 0
    monkeypatch.setattr(reproduction, "fingerprint_of", missing)
    assert reproduction.remove_old(tmp_path, [job]) == 1
    assert not (tmp_path / job.file).exists()


def test_runs_of_several_checkpoints_are_below_the_line(learnt):
    path, _ = learnt
    runs = list(read_submission(path).runs)
    mixed = [replace(runs[0], fingerprint="0" * 64), *runs[1:]]
    write_submission(path, Submission("learnt", "totals", "smoke", mixed))
    assert "its checkpoint is not the same in all runs" in below_the_line(validate(path))


def test_a_checkpoint_of_ones_own_is_no_default(packed, honest):
    chosen = {"checkpoint": "mine.npz"}
    path = packed([replace(run, job=replace(run.job, settings=chosen)) for run in honest])
    reason = "its settings are not its defaults: checkpoint='mine.npz'"
    assert reason in below_the_line(validate(path))


def test_one_run_in_twenty_may_come_out_differently(tmp_path):
    runs = [Run(Job("mine", ALEXNET, 300, seed), "totals") for seed in range(100, 140)]
    path = tmp_path / "mine.reproduction.json"
    for differ, contradicted in ((0, False), (1, False), (2, False), (3, True)):
        checks = [
            Check((ALEXNET, 300, 0, r.job.seed), r.job.seed, "other" if i < differ else "", {})
            for i, r in enumerate(runs)
        ]
        write_record(path, Record("mine", "smoke", "abc", checks))
        assert read_record(path).checks == checks
        standing = standing_of(path, "abc", runs)
        assert standing.reproduced == (differ == 0)
        assert (standing.differ, standing.contradicted) == (differ, contradicted)


# --- what a run is worth --------------------------------------------------------------------------


def test_a_curve_is_the_history(honest):
    run = honest[0]
    result = solve("annealing", run.job.env_id, samples=300, seed=run.job.seed)
    curve = recost(read_run_of(run))
    optimum = problem_of(run.job.env_id).optimum().objective
    after = np.arange(1, 301)
    np.testing.assert_array_equal(curve.regret_at(after), result.history / optimum - 1)
    assert curve.regret == result.regret
    for regret in (0.5, 0.1, 0.0):
        reached = np.flatnonzero(result.history / optimum - 1 <= regret)
        assert curve.samples_to(regret) == (reached[0] + 1 if len(reached) else np.inf)
    np.testing.assert_array_equal(curve.best, result.assignment)


def test_rounding_beats_no_optimum():
    genes = np.zeros((1, 1, 1), np.int64)
    run = Run(Job("me", BAGS, 10), "totals", 1, objective=1.0, found_at=np.array([0]), genes=genes)
    best = Certificate(genes[0], 1.0, 1.0, "by hand")
    curve = Curve(run, best, np.array([np.nextafter(1.0, 0.0)]))
    assert (curve.regret, curve.score) == (0.0, 1.0)
    assert curve.samples_to(0.0) == 1
    assert curve.regret_at(np.array([1])).tolist() == [0.0]
    # Where there is only a bound, the distance to it counts.
    bound = Certificate(genes[0], 1.0, 0.8, "by hand")
    curve = Curve(run, bound, np.array([1.0]))
    assert curve.regret == pytest.approx(0.25)
    assert curve.score == pytest.approx(0.8)
    assert Curve(run, Certificate(genes[0], 1.0, 0.0, "nothing"), np.array([1.0])).score == 0.0


def read_run_of(run):
    """By way of its file's text."""
    return Run.from_json(json.loads(json.dumps(run.to_json())))


def test_a_run_file_is_read_as_it_was_written(tmp_path, honest):
    path = write_run(tmp_path, honest[0])
    assert told(read_run(path)) == told(honest[0])
    assert read_run(path).deterministic is False
    path.write_text("{}")
    with pytest.raises(RunError, match=r"seed100\.json: 'agent' is missing"):
        list(read_runs(tmp_path))
    damaged = []
    assert list(read_runs(tmp_path, lambda file, error: damaged.append((file, str(error))))) == []
    assert damaged == [(honest[0].job.file, f"{path}: 'agent' is missing")]


# --- any family -----------------------------------------------------------------------------------


@pytest.fixture
def tiny(monkeypatch):
    """A suite of problems of the tests' own families."""
    tasks = (Task(BAGS, 60), Task("Bags-4-1-v0", 60), Task(TOUR, 60))
    monkeypatch.setitem(SUITES, "tiny", Suite("tiny", "bags and a tour", 30.0, lambda: tasks))
    return tasks


def test_any_family_is_run_reported_submitted_and_validated(tiny, bad_agents, tmp_path):
    out, packed = tmp_path / "runs", tmp_path / "packed"
    # In processes of their own, which must learn of the families.
    args = ("run", "--suite", "tiny", "--agents", "draws", "--seeds", 2, "--workers", 1)
    result = call(*args, "--out", out)
    assert result.exit_code == 0, result.output
    runs = list(read_runs(out))
    assert len(runs) == 6
    for run in runs:
        assert run.error is None
        assert told(perform(run.job)) == told(run)
        curve = recost(run)
        problem = problem_of(run.job.env_id)
        assert curve.regret == problem.regret(problem.evaluate(curve.best).objective[0]) >= 0
        assert 0 < curve.score <= 1
    page, text = tmp_path / "board.html", tmp_path / "board.md"
    result = call("report", out, "--html", page, "--markdown", text)
    assert result.exit_code == 0, result.output
    assert "1 agents, 3 tasks, 6 runs of 60 samples" in text.read_text()
    assert "ConfuciuX" not in text.read_text() + page.read_text(encoding="utf-8")
    assert "a tour of 4 places, seed 0" in page.read_text(encoding="utf-8")
    result = call("submit", out, "--suite", "tiny", "--out", packed)
    assert result.exit_code == 0, result.output
    result = call("validate", packed)
    assert result.exit_code == 0, result.output
    assert "6 runs, 3 of 3 tasks" in result.output


def test_a_log_of_any_family_is_packed(tiny, tmp_path):
    env = log_episodes(gym.make(TOUR), tmp_path / "log", agent="mine", seed=1)
    env.action_space.seed(1)
    for _ in range(40):
        (_, info), done = env.reset(), False
        while not done:
            action = env.action_space.sample(mask=info["action_mask"])
            _, _, done, _, info = env.step(action)
    env.close()
    args = ("submit", tmp_path / "log", "--suite", "tiny", "--sees", "layers")
    result = call(*args, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    (curve,) = validate(tmp_path / "out" / "mine.jsonl.xz").curves
    assert curve.run.samples == 40
    assert curve.run.genes.shape[1:] == (4, 3)


@pytest.mark.parametrize("agent", ["peeks", "rebuilds"])
def test_an_agent_that_takes_what_it_has_not_paid_for_has_failed(bad_agents, agent):
    run = perform(Job(agent, ALEXNET, 10))
    assert run.error["kind"] == "withheld"
    assert "is withheld while an agent searches" in run.error["message"]
    assert (run.objective, len(run.found_at)) == (None, 0)
    assert recost(run).score == 0.0
    assert recost(perform(Job("draws", ALEXNET, 10))).run.samples == 10


def test_families_are_known_to_workers_by_their_modules():
    assert tiny_families.BAGS.module in workers._modules()
    assert ASSIGNMENT.module in workers._modules()
