"""The statistics, the board and its report; the page is opened in a real browser."""

import json
import shutil
import sys
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from scipy.stats import trim_mean
from tiny_families import Bags
from typer.testing import CliRunner

from hwgym.core import Axis, Certificate, Family, Id, Space, TableWalk, View, register_family
from hwgym.core import family as family_module
from hwgym.leaderboard import SUITES, Job, Run, RunError, Task, recost, runner
from hwgym.leaderboard.board import Board, load
from hwgym.leaderboard.cli import app
from hwgym.leaderboard.estimates import (
    interquartile_mean,
    interval,
    optimality_gap,
    probability_of_improvement,
    resample,
)
from hwgym.leaderboard.figures import Looks, _columns, _panels, assignments, percent, regret_curves
from hwgym.leaderboard.report import html, markdown
from hwgym.leaderboard.runs import problem_of, write_run
from hwgym.leaderboard.submission import Submission, write_submission
from hwgym.leaderboard.workers import failed, perform

ALEXNET = "HWAssign-AlexNet-NVDLA-v0"
AGENTS = ("tabulate", "greedy", "random", "annealing", "uniform")
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


# --- the board ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs():
    """Some agents on the smoke suite; one that fails, and further draws of another."""
    tasks = SUITES["smoke"].tasks
    done = [perform(job) for job in runner.plan(AGENTS, tasks, seeds=3, time_limit=30.0)]
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
    scores = [entry.score.value for entry in board.seeing("totals")]
    assert scores == sorted(scores, reverse=True)
    assert board.entries[-1].agent == "broken"
    assert board.suite == "smoke"


def test_an_entry_has_the_numbers_of_its_runs(board, runs):
    entry = next(e for e in board.entries if e.agent == "annealing")
    own = [recost(run) for run in runs if run.job.agent == "annealing" and run.job.draw == 0]
    assert len(entry.curves) == len(own) == 9
    scores = np.array([curve.score for curve in own])
    assert entry.score.value == pytest.approx(trim_mean(scores, 0.25))
    assert entry.gap.value == pytest.approx(1 - scores.mean())
    assert entry.median_regret.value == np.median([curve.regret for curve in own])
    reached = [curve.samples_to(0.1) for curve in own]
    assert entry.reach(0.1) == (sorted(reached)[4], np.isfinite(reached).mean())
    assert entry.seeds == (3, 3)
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
    with pytest.raises(RunError, match="claims an objective of"):
        load([tmp_path])
    with pytest.raises(RunError, match="neither runs nor submissions"):
        load([tmp_path / "tabulate" / ALEXNET])
    with pytest.raises(RunError, match="no such file or folder"):
        load([tmp_path / "nowhere"])


def test_the_markdown_has_the_ranking_and_its_remarks(board):
    text = markdown(board)
    value = board.entries[0].score.value
    assert value < 0.9995
    assert f"| 1 | `tabulate` | layers | {value:.3f} | 0 % |" in text
    assert "**See only the totals**" in text
    assert "Runs that failed count as score 0: broken (3 of 3)." in text
    assert "One seed, and so no interval: tabulate, greedy, uniform, broken." in text
    assert "**ConfuciuX's released code on its own problem**" in text
    assert "| its REINFORCE, first run | 5,000 episodes | 47.9 | 41 % |" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in tables)


def test_an_agent_that_lacks_tasks_is_named(runs):
    some = [r for r in runs if r.job.agent == "random" or r.job.env_id == ALEXNET]
    text = markdown(Board.of([recost(run) for run in some if run.job.agent in AGENTS]))
    assert "Not run on all tasks, and so not comparable: " in text
    assert "tabulate (1 of 3)" in text


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
    assert "| 1 | `good` | totals | 0.800 | 25.0 % |" in text
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
    assert lines(page, "curves") == [e.agent for e in board.entries if e.rank <= 4]
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
