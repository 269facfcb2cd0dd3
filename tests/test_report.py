"""The statistics, the board and its report; the page is opened in a real browser."""

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from scipy.stats import trim_mean
from tiny_families import Bags
from typer.testing import CliRunner

from hwgym.core import Axis, Certificate, Family, Id, Space, TableWalk, View, register_family
from hwgym.core import family as family_module
from hwgym.leaderboard import SUITES, Job, Run, RunError, Task, recost, runner
from hwgym.leaderboard import tracks as tracks_module
from hwgym.leaderboard.board import Board, load
from hwgym.leaderboard.cli import app
from hwgym.leaderboard.estimates import (
    anytime_score,
    interquartile_mean,
    interval,
    optimality_gap,
    probability_of_improvement,
    resample,
)
from hwgym.leaderboard.figures import (
    Looks,
    _columns,
    _panels,
    assignments,
    percent,
    regret_curves,
    score_curves,
)
from hwgym.leaderboard.report import _on_track, html, markdown
from hwgym.leaderboard.reproduction import Standing
from hwgym.leaderboard.runs import problem_of, write_run
from hwgym.leaderboard.submission import Submission, write_submission
from hwgym.leaderboard.tracks import TRACKS, Column, Track, deciding, find_track, infeasible_after
from hwgym.leaderboard.workers import failed, perform

ALEXNET = "HWAssign-AlexNet-NVDLA-v0"
AGENTS = ("tabulate", "greedy", "random", "annealing", "uniform")
KEPT = Path(__file__).parents[1] / "leaderboard" / "lite"
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


# --- statistics -----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 12, 119, 120])
def test_the_interquartile_mean_is_scipys(count):
    values = np.random.default_rng(count).random((3, count))
    np.testing.assert_allclose(interquartile_mean(values), trim_mean(values, 0.25, axis=1))
    np.testing.assert_allclose(interquartile_mean(values.T, axis=0), interquartile_mean(values))


def test_seeds_are_drawn_within_their_task():
    tasks = np.array([2, 0, 2, 1, 0, 2])
    picks = resample(tasks, np.random.default_rng(0), 500)
    assert (tasks[picks] == np.sort(tasks)).all()
    for task in range(3):
        drawn = picks[:, np.sort(tasks) == task]
        assert set(drawn.ravel()) == set(np.flatnonzero(tasks == task))


def test_an_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    tasks = np.repeat(np.arange(6), 20)
    hits = 0
    for _ in range(200):
        values = 0.1 * tasks + rng.normal(size=len(tasks))
        _, low, high = interval(values, tasks, lambda v: v.mean(axis=-1), rng, draws=300)
        hits += low <= 0.25 <= high
    assert 0.88 <= hits / 200 <= 0.99


def test_intervals_are_the_same_every_time():
    values, tasks = np.random.default_rng(0).random(40), np.repeat(np.arange(4), 10)
    once = interval(values, tasks, interquartile_mean, np.random.default_rng(3))
    assert once == interval(values, tasks, interquartile_mean, np.random.default_rng(3))
    assert once.low < once.value < once.high
    single = interval(values[:4], np.arange(4), interquartile_mean, np.random.default_rng(3))
    assert single.low == single.value == single.high


def test_the_optimality_gap_is_what_lacks_to_one():
    assert optimality_gap(np.array([1.0, 0.5, 0.0])) == pytest.approx(0.5)


def test_the_probability_of_improvement_counts_pairs():
    ours, theirs = np.array([0.9, 0.5, 0.7]), np.array([0.5, 0.4, 0.8, 0.6])
    tasks, other = np.array([0, 0, 1]), np.array([0, 0, 1, 2])
    rng = np.random.default_rng(0)
    # Task 0: 0.9 beats both, 0.5 ties with one and beats one; task 1: lost; task 2: not in common.
    found = probability_of_improvement(ours, tasks, theirs, other, rng)
    assert found.value == pytest.approx((3.5 / 4 + 0) / 2)
    assert found.low <= found.value <= found.high
    back = probability_of_improvement(theirs, other, ours, tasks, rng)
    assert back.value == pytest.approx(1 - found.value)
    with pytest.raises(ValueError, match="no task in common"):
        probability_of_improvement(ours, tasks, theirs, other + 5, rng)


@pytest.mark.parametrize("budget", [1, 2, 3, 10, 300])
def test_the_anytime_score_is_the_area_under_the_score(budget):
    rng = np.random.default_rng(budget)
    for _ in range(20):
        count = int(rng.integers(0, min(budget, 6) + 1))
        found_at = np.sort(rng.choice(budget, count, replace=False))
        scores = np.sort(rng.random(count))
        found = anytime_score(found_at, scores, budget)
        if not count:
            assert found == 0.0
        elif budget == 1:
            assert found == scores[0]
        else:
            # Sample by sample, as its docstring has it.
            after = np.append(0.0, scores)[np.searchsorted(found_at, np.arange(1, budget + 1))]
            n = np.arange(1, budget)
            area = (after[:-1] * np.log((n + 1) / n)).sum() / np.log(budget)
            assert found == pytest.approx(area, abs=1e-12)
            assert 0 <= found <= scores[-1]


def test_the_anytime_score_has_its_ends():
    first, last = np.array([0]), np.array([9999])
    assert anytime_score(first, np.array([1.0]), 10_000) == 1.0
    assert anytime_score(last, np.array([1.0]), 10_000) == 0.0
    assert anytime_score(np.array([99]), np.array([0.8]), 10_000) == pytest.approx(0.4)
    assert anytime_score(first, np.array([0.3]), 1) == 0.3
    for budget in (0, 9999):
        with pytest.raises(ValueError, match="in a budget of"):
            anytime_score(last, np.array([1.0]), budget)


# --- the board ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs():
    """Some agents on the smoke suite, one with few seeds; one that fails, and further draws of
    another."""
    tasks = SUITES["smoke"].tasks
    done = [perform(job) for job in runner.plan(AGENTS, tasks, seeds=10, time_limit=30.0)]
    done = [run for run in done if run.job.agent != "random" or run.job.seed < 103]
    done += [
        failed(Job("broken", task.env_id, 300, 100, 30.0), "crash", "it died") for task in tasks
    ]
    for draw in (1, 2):
        for job in runner.plan(["annealing"], tasks, seeds=2, time_limit=30.0):
            settings = {"hot": 0.5} if draw == 1 else {"reset": 0.9}
            done.append(perform(replace(job, draw=draw, settings=settings)))
    assert not [run for run in done if run.error and run.job.agent != "broken"]
    return done


@pytest.fixture(scope="module")
def board(runs):
    return Board.of([recost(run) for run in runs])


def test_agents_rank_beside_those_that_see_the_same(board):
    assert [(e.agent, e.sees, e.rank) for e in board.entries[:2]] == [
        ("tabulate", "layers", 1),
        ("greedy", "layers", 2),
    ]
    totals = [entry.agent for entry in board.seeing("totals")]
    assert set(totals) == {"random", "annealing", "uniform"}
    ranked = [entry for entry in board.seeing("totals") if entry.rank is not None]
    assert [entry.rank for entry in ranked] == [1, 2]
    scores = [entry.score.value for entry in ranked]
    assert scores == sorted(scores, reverse=True)
    assert board.entries[-1].agent == "broken"
    assert board.suite == "smoke"


def test_an_entry_has_the_numbers_of_its_runs(board, runs):
    entry = next(e for e in board.entries if e.agent == "annealing")
    own = [recost(run) for run in runs if run.job.agent == "annealing" and run.job.draw == 0]
    assert len(entry.curves) == len(own) == 30
    scores = np.array([curve.score for curve in own])
    assert entry.score.value == pytest.approx(trim_mean(scores, 0.25))
    assert entry.gap.value == pytest.approx(1 - scores.mean())
    assert entry.median_regret.value == np.median([curve.regret for curve in own])
    reached = [curve.samples_to(0.1) for curve in own]
    assert entry.reach(0.1) == (np.median(reached), np.isfinite(reached).mean())
    assert entry.seeds == (10, 10)
    assert entry.anytime.value == pytest.approx(trim_mean([c.anytime for c in own], 0.25))
    curve = entry.regret_curve()
    assert curve.y[-1] == entry.median_regret.value
    assert (curve.low <= curve.y).all()
    assert (curve.y <= curve.high).all()
    profile = entry.profile()
    within = [np.mean([c.regret <= 0.1 for c in entry.on(task)]) for task in range(3)]
    assert profile.y[np.isclose(profile.x, 0.1)] == pytest.approx(np.mean(within))


def test_an_agent_that_fails_scores_nothing(board):
    broken = board.entries[-1]
    assert (broken.failed, broken.score.value, broken.gap.value) == (3, 0.0, 1.0)
    assert broken.median_regret.value == np.inf


def test_draws_are_compared_where_all_were_run(board, runs):
    draws = next(e for e in board.entries if e.agent == "annealing").draws
    assert draws.count == 3
    assert draws.worst <= draws.median <= draws.best
    scores = {}
    for run in runs:
        if run.job.agent == "annealing" and run.job.seed < 102:
            scores.setdefault(run.job.draw, []).append(recost(run).score)
    means = [trim_mean(scores[draw], 0.25) for draw in range(3)]
    assert draws.default == pytest.approx(means[0])
    assert draws.best == pytest.approx(max(means))
    assert draws.worst == pytest.approx(min(means))


def test_a_board_comes_from_runs_and_from_submissions_alike(runs, board, tmp_path):
    for run in runs:
        write_run(tmp_path / "runs", run)
    for agent in AGENTS:
        own = [run for run in runs if run.job.agent == agent]
        packed = Submission(agent, own[0].sees, "smoke", own)
        write_submission(tmp_path / "packed" / f"{agent}.jsonl.xz", packed)
    there = load([tmp_path / "runs"])
    assert markdown(there) == markdown(board)
    packed = load([tmp_path / "packed"])
    assert [e.score for e in packed.entries] == [e.score for e in board.entries[:5]]


def test_nothing_is_reported_that_does_not_hold(runs, tmp_path):
    run = replace(runs[0], objective=runs[0].objective / 2)
    write_run(tmp_path, run)
    with pytest.raises(RunError, match=r"nothing to report: .*claims an objective of"):
        load([tmp_path])
    with pytest.raises(RunError, match="neither runs nor submissions"):
        load([tmp_path / "tabulate" / ALEXNET])
    with pytest.raises(RunError, match="no such file or folder"):
        load([tmp_path / "nowhere"])
    # Beside others it is left out, and named.
    for other in runs:
        if other.job.agent in ("tabulate", "greedy") and other is not runs[0]:
            write_run(tmp_path, other)
    board = load([tmp_path])
    reason = f"{run.job.file.as_posix()}: claims an objective of"
    assert [text.startswith(reason) for text in board.left_out] == [True]
    assert [(e.agent, e.rank) for e in board.entries] == [("greedy", 1), ("tabulate", None)]


@pytest.mark.parametrize("damage", [b"", b'{"agent": "annea', b"\xff\xfe", b"[]"])
def test_a_damaged_run_does_not_stop_the_report(runs, tmp_path, damage):
    folder = tmp_path / "runs"
    for run in runs:
        if run.job.agent in ("annealing", "uniform") and run.job.draw == 0:
            write_run(folder, run)
    (whole,) = [e for e in load([folder]).entries if e.agent == "annealing"]
    assert whole.rank == 1
    file = Job("annealing", ALEXNET, 300, 103).file
    (folder / file).write_bytes(damage)
    result = CliRunner().invoke(app, ["report", str(folder), "--html", str(tmp_path / "b.html")])
    assert result.exit_code == 0, result.output
    assert f"left out: {file.as_posix()}: " in result.output
    assert str(tmp_path) not in (tmp_path / "b.html").read_text(encoding="utf-8")
    board = load([folder])
    by_agent = {entry.agent: entry for entry in board.entries}
    assert by_agent["uniform"].rank == 1
    assert by_agent["annealing"].rank is None
    assert len(by_agent["annealing"].curves) == 29
    text = markdown(board)
    assert "- `annealing`: 9 to 10 seeds on a task, where 10 are needed; " in text
    assert f"{file.as_posix()} is left out: " in text
    assert f"\nLeft out: {file.as_posix()}: " in text


def test_a_run_under_the_name_of_another_is_left_out(runs, tmp_path):
    own = [run for run in runs if run.job.agent == "annealing" and run.job.draw == 0]
    for run in own:
        write_run(tmp_path, run)
    first, second = own[0].job.file, replace(own[0].job, seed=101).file
    (tmp_path / second).write_bytes((tmp_path / first).read_bytes())
    board = load([tmp_path])
    (entry,) = board.entries
    assert (entry.rank, entry.seeds) == (None, (9, 10))
    assert f"holds the run of annealing on {own[0].job.env_id}, seed 100" in board.left_out[0]


def test_damaged_and_refused_submissions_do_not_stop_the_report(runs, tmp_path):
    for agent in ("tabulate", "uniform", "greedy"):
        own = [run for run in runs if run.job.agent == agent]
        if agent == "uniform":
            own[0] = replace(own[0], objective=own[0].objective / 2)
        packed = Submission(agent, own[0].sees, "smoke", own)
        write_submission(tmp_path / f"{agent}.jsonl.xz", packed)
    damaged = tmp_path / "greedy.jsonl.xz"
    damaged.write_bytes(damaged.read_bytes()[:-30])
    board = load([tmp_path])
    assert [(entry.agent, entry.rank) for entry in board.entries] == [("tabulate", 1)]
    assert [text[: text.index(" is refused")] for text in board.left_out] == [
        "greedy.jsonl.xz:",
        "uniform.jsonl.xz:",
    ]
    assert str(tmp_path) not in markdown(board)


def test_what_is_there_twice_counts_once(runs, tmp_path):
    own = [run for run in runs if run.job.agent == "random"]
    for run in own:
        write_run(tmp_path / "runs", run)
    write_submission(tmp_path / "s" / "random.jsonl", Submission("random", "totals", "smoke", own))
    board = load([tmp_path / "runs", tmp_path / "s"])
    assert [len(entry.curves) for entry in board.entries] == [len(own)]
    assert len(board.left_out) == len(own)
    assert all("is there twice, and counted once" in text for text in board.left_out)


def test_the_markdown_has_the_ranking_and_its_remarks(board):
    text = markdown(board)
    value = board.entries[0].score.value
    assert value < 0.9995
    anytime = board.entries[0].anytime.value
    assert f"| 1 | `tabulate` | {value:.3f} |  | {anytime:.3f} | 0 % |" in text
    assert "**See only the totals**" in text
    assert "Runs that failed count as score 0: broken (3 of 3)." in text
    assert "\nBelow the line, without a rank:\n" in text
    assert "- `random`: 3 seeds on a task, where 10 are needed.\n" in text
    assert "- `broken`: 1 seed on a task, where 10 are needed.\n" in text
    assert "**ConfuciuX's released code on its own problem**" in text
    assert "| its REINFORCE, first run | 5,000 episodes | 47.9 | 41 % |" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in tables)


# --- above and below the line ---------------------------------------------------------------------


def entry_of(runs, agent="annealing", suite=None, **more):
    board = Board.of([recost(run) for run in runs], suite, **more)
    return next(entry for entry in board.entries if entry.agent == agent)


@pytest.fixture(scope="module")
def ten(runs):
    """Ten seeds of one agent on every task of the smoke suite: what ranks."""
    return [run for run in runs if run.job.agent == "annealing" and run.job.draw == 0]


def test_what_ranks(ten, runs):
    assert entry_of(ten).rank == 1
    assert entry_of(ten).reasons == []
    # One seed, where it is ignored.
    one = [run for run in runs if run.job.agent == "uniform"]
    assert {run.deterministic for run in one} == {True}
    assert entry_of(one, "uniform").rank == 1


def changed(runs, which, **changes):
    """The same runs, but some of them changed."""
    return [replace(run, **changes) if which(run) else run for run in runs]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda r: [x for x in r if x.job.env_id != ALEXNET],
         r"not run on 1 of the 3 tasks of smoke: AlexNet-NVDLA"),
        (lambda r: [x for x in r if x.job.env_id == ALEXNET],
         r"not run on 2 of the 3 tasks of smoke: .*, .*"),
        (lambda r: [x for x in r if x.job.seed < 109], "9 seeds on a task, where 10 are needed"),
        (lambda r: [x for x in r if x.job.seed < 109 or x.job.env_id != ALEXNET],
         "9 to 10 seeds on a task, where 10 are needed"),
        (lambda r: changed(r, lambda x: x is r[7], timed_out=True),
         "a time limit ended 1 of 30 runs"),
        (lambda r: [failed(r[0].job, "hard limit", "killed after 7 s"), *r[1:]],
         "a time limit ended 1 of 30 runs"),
        (lambda r: [replace(x, job=replace(x.job, budget=x.job.budget + 1)) for x in r],
         "these are not the tasks and samples of a suite"),
        (lambda r: [replace(x, job=replace(x.job, seed=x.job.seed + 1)) for x in r],
         "its seeds are not 100, 101, ... without a gap, so the best may have been picked: .*"),
        (lambda r: [replace(r[0], job=replace(r[0].job, seed=110)), *r[1:]],
         "its seeds are not 100, 101, ... without a gap, so the best may have been picked: .*"),
        (lambda r: [replace(r[0], job=replace(r[0].job, settings={"hot": 1.0})), *r[1:]],
         "its settings are not the same in all runs"),
    ],
)  # fmt: skip
def test_what_falls_short_is_below_the_line(ten, runs, change, reason):
    kept = [run for run in runs if run.job.agent == "uniform"]
    entry = entry_of([*change(ten), *kept])
    assert entry.rank is None
    assert any(re.fullmatch(reason, found) for found in entry.reasons), entry.reasons
    board = Board.of([recost(run) for run in [*change(ten), *kept]])
    for shown in (markdown(board), html(board)):
        assert "Below the line, without a rank" in shown
        assert entry.reasons[0] in shown
    if "not the tasks" not in reason:
        assert board.entries[0].agent == "uniform"  # however much worse it is
        assert board.entries[0].rank == 1


def test_part_of_the_tasks_is_no_rank_though_it_looks_like_a_suite(ten):
    """A submission of a suite whose best task alone is there."""
    part = [run for run in ten if run.job.env_id == ALEXNET]
    for suite in (None, "smoke"):
        entry = entry_of(part, suite=suite)
        assert entry.rank is None
        assert entry.reasons == [
            "not run on 2 of the 3 tasks of smoke: "
            + ", ".join(t.label for t in SUITES["smoke"].tasks if t.env_id != ALEXNET)
        ]


def test_a_suite_can_be_named(ten, tmp_path):
    for run in ten:
        write_run(tmp_path, run)
    with pytest.raises(RunError, match="30 runs on tasks or with samples that suite 'lite' does"):
        load([tmp_path], "lite")
    with pytest.raises(ValueError, match="did you mean 'lite'"):
        load([tmp_path], "light")
    assert load([tmp_path]).suite == "smoke"


def test_equal_scores_are_ranked_by_when_they_were_reached(loose):
    del loose
    best = problem_of("Bags-4-1-v0").certificate()
    early, late = (
        replace(run_on("Bags-4-1-v0", best.assignment[None], name), found_at=np.array([at]))
        for name, at in (("z-early", 3), ("a-late", 40))
    )
    curves = [recost(late), recost(early)]
    assert [curve.score for curve in curves] == [1.0, 1.0]
    assert curves[1].anytime > curves[0].anytime
    board = Board.of(curves)
    assert [entry.agent for entry in board.entries] == ["z-early", "a-late"]


def test_copies_under_other_seeds_are_doubted(ten):
    copied = [run for run in ten if run.job.seed != 104] + [
        replace(run, job=replace(run.job, seed=104)) for run in ten if run.job.seed == 107
    ]
    assert entry_of(copied).rank is None
    (reason,) = entry_of(copied).reasons
    assert reason.startswith("the same runs under different seeds: 104 and 107 on ")
    # Also where they say that they found it at other samples.
    moved = [replace(r, found_at=r.found_at + 1, samples=300) if r.job.seed == 104 else r
             for r in copied if r.found_at[-1] < 299 or r.job.seed != 104]  # fmt: skip
    assert any("104 and 107" in reason for reason in entry_of(moved).reasons)
    # Who has seen them come out so again does not doubt.
    fine = entry_of(copied, standings={"annealing": Standing(reproduced=True)})
    assert fine.rank == 1
    assert fine.standing.name == "reproduced"


def test_runs_that_are_said_to_be_all_the_same_and_differ_are_doubted(ten):
    said = [replace(run, deterministic=True) for run in ten]
    reasons = entry_of(said).reasons
    assert reasons
    assert all("says that it ignores its seed, but its runs on" in reason for reason in reasons)


def test_an_optimum_that_falls_from_the_sky_is_doubted(ten, runs):
    gifts = []
    for run in ten:
        problem = problem_of(run.job.env_id)
        best = problem.optimum()
        at = np.array([run.job.seed - 100])
        gifts.append(
            replace(run, objective=best.objective, found_at=at, genes=best.assignment[None])
        )
    entry = entry_of(gifts)
    assert entry.score.value == 1.0
    assert entry.rank is None
    assert any("finds the optimum after fewer samples than" in r for r in entry.reasons)
    one = [replace(run, found_at=np.array([5])) for run in gifts if run.job.seed == 100]
    one = [replace(run, deterministic=True) for run in one]
    assert [r[:18] for r in entry_of(one).reasons] == ["finds the optimum "]
    # Those that have looked at every choice of a step may know it.
    honest = [run for run in runs if run.job.agent == "tabulate"]
    assert entry_of(honest, "tabulate").score.value > 0.9
    assert entry_of(honest, "tabulate").rank == 1


def test_what_came_out_differently_is_below_the_line(ten):
    note = "3 of 30 runs came out differently when run again"
    entry = entry_of(ten, standings={"annealing": Standing(False, 3, True, note)})
    assert (entry.rank, entry.reasons, entry.standing.name) == (None, [note], "self-reported")
    # A few of many are no contradiction, and are told.
    few = {"annealing": Standing(False, 1, False, "1 of 30 runs came out differently")}
    board = Board.of([recost(run) for run in ten], standings=few)
    assert board.entries[0].rank == 1
    assert "yet self-reported: annealing: 1 of 30 runs came out differently." in markdown(board)


def test_an_optimum_with_the_first_sample_must_be_seen_to_come_again(multi):
    """Who has learnt elsewhere may know it; so may who has looked."""
    gifts = []
    for run in (run for run in multi if run.job.agent == "uniform"):
        best = problem_of(run.job.env_id).optimum()
        first = {"found_at": np.array([0]), "genes": best.assignment[None]}
        gifts.append(replace(run, objective=best.objective, **first))
    entry = entry_of(gifts, "uniform")
    assert [r[:18] for r in entry.reasons] == ["finds the optimum "]
    board = Board.of([recost(run) for run in gifts])
    (columns,) = (c for track, c in board.tracks.items() if track.name == "zero-shot")
    assert [(place, name) for place, name, _ in _on_track(board, columns)] == [
        ("", "the optimum"),
        ("", "uniform (yardstick)"),
    ]
    again = {"uniform": Standing(reproduced=True)}
    assert entry_of(gifts, "uniform", standings=again).rank == 1


# --- tracks ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def multi():
    """Some agents on five networks never seen; one of them on a part."""
    tasks = SUITES["multi-smoke"].tasks
    done = [perform(job) for job in runner.plan(["uniform", "regression"], tasks, seeds=1)]
    done += [perform(job) for job in runner.plan(["random"], tasks, seeds=10)]
    done += [perform(job) for job in runner.plan(["tabulate"], tasks[:4], seeds=1)]
    assert not [run for run in done if run.error]
    return done


@pytest.fixture(scope="module")
def tracks(multi):
    board = Board.of([recost(run) for run in multi])
    return board, {track.name: columns for track, columns in board.tracks.items()}


def test_a_curve_says_what_it_is_worth_after_some_samples(multi):
    for run in multi:
        curve = recost(run)
        at = np.arange(1, 11)
        regrets = curve.regret_at(at)
        np.testing.assert_allclose(curve.score_at(at), 1 / (1 + regrets), atol=1e-15)
        assert curve.score_at([10])[0] == curve.score
        assert curve.area_to(10) == curve.anytime
        assert curve.area_to(1) == curve.score_at([1])[0]
        steps = curve.score_at(at[:4]) @ np.log((at[:4] + 1) / at[:4])
        assert curve.area_to(5) == pytest.approx(steps / np.log(5), abs=1e-12)


def test_the_first_sample_is_zero_shot(tracks):
    board, columns = tracks
    zero = columns["zero-shot"]
    assert [c.head for c in zero] == [
        "score",
        "exact",
        "median",
        "90 % quantile",
        "worst",
        "infeasible",
    ]
    for entry, values in board.on_track(zero):
        first = np.array([curve.regret_at([1])[0] for curve in entry.curves])
        score, exact, median, tail, worst, infeasible = values
        assert score == pytest.approx(np.mean(1 / (1 + first)))
        assert exact == np.mean(first <= 1e-9)
        assert infeasible == np.mean(np.isinf(first))
        assert worst == first.max()
        assert median <= tail <= worst
        if infeasible == 0:
            assert median == np.median(first)


def test_columns_beyond_the_samples_are_left_out(tracks):
    _, columns = tracks
    assert [c.head for c in columns["few-shot"]] == ["1", "3", "10"]
    heads = [c.head for c in TRACKS["few-shot"].within(300)]
    assert heads == ["area to 300", "1", "3", "10", "30", "100", "300"]
    assert [c.head for c in TRACKS["search"].within(1000)] == ["area to 1,000"]
    assert TRACKS["search"].within(300) == ()
    # Whoever looks the farthest decides.
    assert [deciding(found) for found in (columns["zero-shot"], columns["few-shot"])] == [0, 2]
    assert deciding(TRACKS["few-shot"].columns) == 0
    assert TRACKS["search"].columns[deciding(TRACKS["search"].columns)].head == "area to 5,000"


def test_suites_name_tracks_that_there_are(monkeypatch):
    for suite in SUITES.values():
        assert [find_track(name).name for name in suite.tracks] == list(suite.tracks)
        least = min(task.samples for task in suite.tasks)
        assert all(find_track(name).within(least) for name in suite.tracks)
    with pytest.raises(ValueError, match="did you mean 'zero-shot'"):
        find_track("zero-short")


def test_yardsticks_are_marked_and_parts_have_no_place(tracks):
    board, columns = tracks
    rows = _on_track(board, columns["few-shot"])
    assert rows[0] == ("", "the optimum", [1.0, 1.0, 1.0])
    assert [(place, name) for place, name, _ in rows[1:]] == [
        ("1", "regression (yardstick)"),
        ("2", "uniform (yardstick)"),
        ("3", "random"),
        ("", "tabulate (yardstick)"),  # on four of the five tasks
    ]
    last = [values[-1] for *_, values in rows[1:4]]
    assert last == sorted(last, reverse=True)
    text, page = markdown(board), html(board)
    for shown in (text, page):
        assert "What the first sample is worth" in shown
        assert "regression (yardstick)" in shown
    assert "|  | agent | score | exact | median | 90 % quantile | worst | infeasible |" in text
    assert "|  | the optimum | 1.000 | 100 % | 0 % | 0 % | 0 % | 0 % |" in text
    assert '<a href="#tracks">Tracks</a>' in page
    assert '<div class="chart" id="track"></div>' in page
    assert "ConfuciuX" not in text  # its problem is none of this family's


def test_the_picture_of_tracks_has_mean_scores(tracks):
    board, _ = tracks
    figure = score_curves(board, Looks(board.entries))
    lines = {trace.name: trace for trace in figure.data if trace.name}
    assert set(lines) == {"uniform", "regression", "random", "tabulate"}
    for entry in board.entries:
        line = lines[entry.agent]
        assert (line.x[0], line.x[-1]) == (1, 10)
        assert line.y[-1] == pytest.approx(entry.scores.mean())
        assert (np.diff(line.y) >= 0).all()
    assert figure.layout.xaxis.type == "log"


def test_a_track_is_data(multi, monkeypatch):
    third = Column("at 3", "best score of any run", 3, "score", lambda curves: 0.25, True)
    mine = Track("mine", "What I look at", (third, infeasible_after(5)))
    monkeypatch.setattr(tracks_module, "TRACKS", {**TRACKS, "mine": mine})
    suite = replace(SUITES["multi-smoke"], tracks=("mine",))
    monkeypatch.setitem(SUITES, "multi-smoke", suite)
    board = Board.of([recost(run) for run in multi])
    assert list(board.tracks) == [mine]
    text = markdown(board)
    assert "**Track mine.** What I look at." in text
    assert "| regression (yardstick) | 0.250 |" in text
    assert "Track mine" not in html(board)
    assert "<h3>Mine</h3><p>What I look at.</p>" in html(board)


def test_quantiles_of_regrets_may_be_infinite():
    found = [
        tracks_module.quantile_of(np.array([0.0, 0.5, np.inf, np.inf]), q) for q in (0, 0.5, 1)
    ]
    assert found == [0.0, np.inf, np.inf]
    assert tracks_module.quantile_of(np.array([1.0, 2.0, np.inf]), 0.5) == 2.0


def test_boards_without_tracks_say_nothing_of_them(board):
    assert board.tracks == {}
    assert "Track" not in markdown(board)
    assert 'id="tracks"' not in html(board)


# --- figures for people ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("regret", "text"),
    [
        (0.0, "0 %"),
        (-1e-16, "0 %"),
        (5e-5, "<0.01 %"),
        (0.0123, "1.23 %"),
        (0.123, "12.3 %"),
        (12.3, "1,230 %"),
        (np.inf, "none feasible"),
    ],
)
def test_regrets_for_people(regret, text):
    assert percent(regret) == text


def test_the_report_on_the_command_line(runs, tmp_path):
    for run in runs[:6]:
        write_run(tmp_path / "runs", run)
    call = CliRunner().invoke
    printed = call(app, ["report", str(tmp_path / "runs")])
    assert printed.exit_code == 0, printed.output
    page, text = tmp_path / "new" / "board.html", tmp_path / "board.md"
    args = ["report", str(tmp_path / "runs"), "--html", str(page), "--markdown", str(text)]
    assert call(app, args).exit_code == 0
    assert text.read_text() == printed.output
    assert page.read_text().startswith("<!doctype html>")
    wrong = call(app, ["report", str(tmp_path / "none")])
    assert wrong.exit_code == 2
    assert "no such file or folder" in wrong.output


def test_without_plotly_there_is_markdown_only(runs, tmp_path, monkeypatch):
    write_run(tmp_path / "runs", runs[0])
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    args = ["report", str(tmp_path / "runs")]
    assert CliRunner().invoke(app, args).exit_code == 0
    refused = CliRunner().invoke(app, [*args, "--html", str(tmp_path / "x.html")])
    assert refused.exit_code == 2
    assert "pip install 'hwgym[leaderboard]'" in refused.output
    assert not (tmp_path / "x.html").exists()


def test_names_from_submissions_are_not_markup(runs):
    evil = "<script>alert(1)</script>"
    bad = [replace(run, job=replace(run.job, agent=evil)) for run in runs[:3]]
    page = html(Board.of([recost(run) for run in [*runs, *bad]]))
    assert evil not in page
    assert "&lt;script&gt;alert(1)" in page


# --- any family -----------------------------------------------------------------------------------


class Loose(Bags):
    """Bags of which no optimum is proven."""

    def certify(self):
        found = super().certify()
        return Certificate(found.assignment, found.objective, 0.8 * found.objective, "a guess")


@pytest.fixture
def loose():
    """The id of a problem with a lower bound only, known while a test runs."""
    entry = Id("Loose-v0", {})
    made = Loose(3, 0)
    name = "no_module:LooseEnv"
    ids = lambda: iter([entry])  # noqa: E731
    register_family(Family("loose", 0, lambda: made, TableWalk.of, ids, View(), name, name))
    problem_of.cache_clear()
    yield entry.env_id
    family_module._families.pop("loose")
    family_module._ids.pop(entry.env_id)
    gym.registry.pop(entry.env_id)
    problem_of.cache_clear()


def run_on(env_id, genes, agent="mine", seed=100):
    """A run that found these solutions, one a sample."""
    genes = np.asarray(genes)
    scores = problem_of(env_id).evaluate(genes)
    objective = float(scores.objective.min())
    found = np.arange(len(genes))
    return Run(Job(agent, env_id, 50, seed), "totals", 50, objective=objective, found_at=found, genes=genes)  # fmt: skip # noqa: E501


def first_choices(env_id):
    """The first choice everywhere, but what must differ."""
    space = problem_of(env_id).space
    genes = np.zeros((1, space.num_steps, len(space.axes)), np.int64)
    if space.axes[0].kind == "categorical":
        genes[0, :, 0] = np.arange(space.num_steps)
    return genes


def test_where_only_a_bound_is_known_there_are_gaps(loose):
    problem = problem_of(loose)
    best = problem.certificate()
    assert best.gap == pytest.approx(0.25)
    poor = recost(run_on(loose, first_choices(loose)))
    good = recost(run_on(loose, best.assignment[None], "good"))
    assert good.regret == pytest.approx(0.25)  # the best known, and yet a gap
    assert good.score == pytest.approx(0.8)
    board = Board.of([poor, good])
    assert (board.distance, board.yardstick) == ("gap", "lower bound")
    text, page = markdown(board), html(board)
    for shown in (text, page):
        assert "median gap" in shown.lower()
        assert "median regret" not in shown.lower()
        assert "† No optimum is proven of these tasks" in shown
        assert "ConfuciuX" not in shown
    good = next(entry for entry in board.entries if entry.agent == "good")
    anytime = good.anytime.value
    assert anytime == pytest.approx(0.8)  # with its first sample
    assert f"| `good` | 0.800 |  | {anytime:.3f} | 25.0 % |" in text
    assert '<th scope="row" title="3 bags, seed 0">Loose-v0 †</th>' in page
    assert "Score: lower bound / objective" in text
    rows = assignments(board, 0).data[0].y
    assert rows[-1] == "best known, 25.0 % gap"
    assert rows[-2] == "good, 25.0 % gap"
    curves = regret_curves(board, Looks(board.entries), None)
    assert curves.layout.yaxis.title.text == "median gap"
    assert "above the lower bound" in curves.data[1].hovertemplate


def test_gaps_beside_regrets_are_marked(loose):
    ids = (loose, "Bags-3-0-v0", "Tour-5-v0")
    board = Board.of([recost(run_on(env_id, first_choices(env_id))) for env_id in ids])
    assert board.bounded == {Task(loose, 50)}
    assert (board.distance, board.yardstick) == ("regret or gap", "optimum or lower bound")
    text, page = markdown(board), html(board)
    assert "| median regret or gap |" in text
    assert text.count("†") == 1
    assert "which overstates it: Loose-v0." in text
    assert ">Loose-v0 †</option>" in page
    assert ">Bags-3-0-v0</option>" in page
    kept = [board.tasks[i].env_id for i in range(3) if board.certificate(i).exact]
    assert kept == ["Bags-3-0-v0", "Tour-5-v0"]


def test_every_axis_has_a_picture_with_the_names_of_its_choices():
    env_id = "Tour-5-v0"
    genes = first_choices(env_id)
    genes[0, :, 1] = [0, 3, 24, 171, 999]
    figure = assignments(Board.of([recost(run_on(env_id, genes))]), 0)
    titles = [note.text for note in figure.layout.annotations]
    assert titles == ["<b>place</b>", "<b>gear</b>", "<b>lamp</b>"]
    gear = figure.data[1]
    assert gear.text[0].tolist() == ["0", "3", "24", "171", "999"]
    assert gear.z[0].tolist() == [0, 3, 24, 171, 999]  # more choices than a byte holds
    assert len(gear.colorbar.tickvals) == len(gear.colorbar.ticktext) <= 12
    assert list(gear.x) == [f"{i} step {i}" for i in range(1, 6)]
    assert gear.y[-1] == "optimum"


def test_many_axes_share_a_picture():
    space = Space(1, tuple(Axis(f"loop {i}", tuple("abcde")) for i in range(9)))
    [panel] = _panels(space, np.array([[[0, 1, 2, 3, 4, 3, 2, 1, 0]]]))
    assert panel.texts.tolist() == [list("abcdedcba")]
    assert panel.shades.tolist() == [[0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0]]
    assert _columns(space, ("all",)) == [f"all: loop {i}" for i in range(9)]


# --- the page in a browser ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium found (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as started:
        # Containers give no sandbox to root.
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def page_file(board, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "board.html"
    path.write_text(html(board), encoding="utf-8")
    return path


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["desktop", "phone"])
def page(browser, page_file, request):
    """The page, open, with what went wrong in ``page.wrong``."""
    width, height = request.param
    opened = browser.new_page(viewport={"width": width, "height": height})
    wrong = []
    opened.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else wrong.append(r.url))  # fmt: skip # noqa: E501
    opened.goto(page_file.as_uri())
    opened.wait_for_selector("html[data-ready]", timeout=60_000)
    opened.wrong = wrong
    yield opened
    opened.close()
    assert wrong == []


def lines(page, chart):
    """The agents whose lines a chart shows."""
    return page.evaluate(
        "id => document.getElementById(id).data.filter(t => t.name && t.visible).map(t => t.name)",
        chart,
    )


def test_the_page_fits_and_shows_the_board(page, board):
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for chart in ("scores", "curves", "profiles", "assignments"):
        box = page.locator(f"#{chart} svg.main-svg").first.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["width"] > 0.8 * width - 60
        assert box["height"] > 200
    # Text is nowhere cut off but in what scrolls by itself, and never tiny.
    cut, tiny = page.evaluate(
        """() => {
            const cut = [], tiny = [];
            for (const e of document.querySelectorAll("main *, main svg text")) {
                const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
                if (!own) continue;
                const box = e.getBoundingClientRect();
                if (!box.width) continue;
                const inside = e.closest(".wide");
                if (!inside && (box.left < 0 || box.right > innerWidth)) cut.push(e.textContent);
                if (parseFloat(getComputedStyle(e).fontSize) < 10) tiny.push(e.textContent);
            }
            return [cut, tiny];
        }"""
    )
    assert cut == []
    assert tiny == []
    # And the charts show what the board has.
    assert lines(page, "curves") == [e.agent for e in board.entries if e.place <= 4]
    drawn = page.evaluate(
        "() => [...document.querySelectorAll('#curves path.js-line')]"
        ".filter(p => p.getBBox().width > 50).length"
    )
    assert drawn >= 4
    task = board.tasks[0]
    shown = page.evaluate("() => document.getElementById('assignments').data[0].text.at(-1)")
    labels = problem_of(task.env_id).space.axes[0].labels
    best = problem_of(task.env_id).optimum().assignment
    assert shown == [str(labels[i]) for i in best[:, 0]]


def test_no_table_of_the_repositorys_results_scrolls_at_1300_pixels(browser, tmp_path):
    path = tmp_path / "lite.html"
    path.write_text(html(load([KEPT])), encoding="utf-8")
    opened = browser.new_page(viewport={"width": 1300, "height": 900})
    opened.goto(path.as_uri())
    opened.wait_for_selector("html[data-ready]", timeout=60_000)
    too_wide = opened.evaluate(
        """() => [...document.querySelectorAll(".wide")]
            .filter(e => e.scrollWidth > e.clientWidth)
            .map(e => e.textContent.slice(0, 60))"""
    )
    opened.close()
    assert too_wide == []


def test_the_page_answers(page, board):
    # A heading sorts its table.
    table = page.locator("table.sortable").nth(1)
    agents = lambda: table.locator("tbody th").all_inner_texts()  # noqa: E731
    before = agents()
    heading = table.locator("thead th", has_text="agent").locator("button")
    heading.click()
    assert agents() == sorted(before)
    heading.click()
    assert agents() == sorted(before, reverse=True)
    table.locator("thead th", has_text="score").locator("button").click()
    assert agents() == before[::-1]
    # Chips and the choice of a task change the curves.
    name = board.entries[0].agent
    chip = page.locator(f"button[data-agent='{name}']").first
    chip.click()
    assert name not in lines(page, "curves")
    assert name not in lines(page, "profiles")
    assert chip.get_attribute("aria-pressed") == "false"
    page.locator("select[data-chart=curves]").select_option(board.tasks[1].env_id)
    assert name not in lines(page, "curves")
    chip.click()
    assert name in lines(page, "curves")
    ends = page.evaluate(
        "n => { const t = document.getElementById('curves')._fullData"
        ".find(t => t.name === n); return t.y[t.y.length - 1]; }",
        "annealing",
    )
    entry = next(e for e in board.entries if e.agent == "annealing")
    assert ends == pytest.approx(entry.regret_on(1))


def test_the_data_of_the_page_is_json(page_file):
    text = page_file.read_text(encoding="utf-8")
    start = text.index('id="data">') + len('id="data">')
    data = json.loads(text[start : text.index("</script>", start)])
    assert set(data["figures"]) == {"scores", "curves", "profiles", "assignments"}


def test_a_run_without_an_agent_is_no_board():
    job = Job("x", ALEXNET, 10, draw=1)
    with pytest.raises(RunError, match="no runs with default settings"):
        Board.of([recost(Run(job, "totals"))])
