"""Text, images and figures of assignments; figures appear whole or not at all."""

import itertools

import gymnasium as gym
import matplotlib as mpl
import numpy as np
import pytest
import tiny_families

from hwgym import AssignmentProblem, Workload, plotting, workload
from hwgym.core import (
    METRICS,
    Axis,
    Certificate,
    Metric,
    Problem,
    Scores,
    Space,
    Statement,
    View,
    family_of,
    problem_of,
)
from hwgym.core.curves import learning_curves, regret_curves
from hwgym.core.viewer import Viewer
from hwgym.families.assignment import pictures
from hwgym.families.assignment.frontier import frontier
from hwgym.families.assignment.pictures import (
    assignment_figure,
    budget_figure,
    comparison_figure,
    design_space_figure,
    frontier_figure,
    frontier_page,
    roofline_figure,
)
from hwgym.families.assignment.reports import compare, layer_rows
from hwgym.families.assignment.text import assignment_text
from hwgym.families.assignment.view import VIEW
from hwgym.plotting import save_figure


@pytest.fixture
def playing():
    """An environment in each render mode, closed afterwards."""
    made = []

    def start(mode, env_id="HWAssign-NCF-MIX-v0", **kwargs):
        made.append(gym.make(env_id, render_mode=mode, **kwargs).unwrapped)
        made[-1].reset()
        return made[-1]

    yield start
    for env in made:
        env.close()


@pytest.fixture(scope="module")
def mixed():
    return AssignmentProblem.of("NCF", "MIX")


# --- text -----------------------------------------------------------------------------------------


def test_text_shows_what_was_chosen_and_what_it_costs(playing):
    env = playing("ansi")
    first, *rest = env.render().splitlines()
    assert first == "NCF, NVDLA+Eyeriss+ShiDianNao: latency under area (iot, LP)"
    assert rest[-1] == f"0 of {env.problem.num_steps} assigned"
    env.step(np.array([3, 6, 2]))
    lines = env.render().splitlines()
    name = env.problem.design.workload[0].name
    cost = env.problem.cost[0, env.problem.space.encode([3, 6, 2])]
    assert lines[2].split()[:5] == [name, "8", "7", "ShiDianNao", f"{cost:,.0f}"]
    assert f"1 of {env.problem.num_steps} assigned: latency {cost:,.0f} cycles" in lines[-1]
    assert "% of the area budget" in lines[-1]


def test_text_of_the_optimum_says_that_there_is_no_regret(mixed):
    text = assignment_text(mixed, mixed.optimum().assignment)
    assert f"optimum {mixed.optimum().objective:,.0f}, regret 0.00 %" in text
    assert all(layer.name in text for layer in mixed.design.workload)


def test_text_names_what_went_wrong():
    problem = AssignmentProblem.of("VGG16", "Eyeriss")
    genes = nothing(problem)
    genes[0] = 0
    assert "invalid design point" in assignment_text(problem, genes)
    assert "over budget" in assignment_text(problem, over_budget(problem))


def test_text_of_one_configuration(playing):
    env = playing("ansi", "HWAssign-v0", workload="NCF", deployment="LS", objective="energy")
    assert "energy under area (iot, LS)" in env.render()
    env.step(env.optimum().assignment[0])
    assert "all layers" in env.render()
    assert "regret 0.00 %" in env.render()


@pytest.mark.parametrize("objective", ["edp", "throughput"])
def test_text_uses_the_objectives_own_total(mixed, objective):
    problem = AssignmentProblem.of("NCF", "MIX", objective=objective)
    text = assignment_text(problem, problem.optimum().assignment)
    assert problem.objective.label in text
    assert f"{problem.optimum().objective:,.0f}" in text.splitlines()[-1]


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"ratio": 0.25}, "0.25 of the range"), ({"budget": 1e8}, "given budget")],
)
def test_title_says_where_the_budget_comes_from(settings, words):
    problem = AssignmentProblem.of("NCF", **settings)
    assert words in assignment_text(problem, nothing(problem))


# --- images ---------------------------------------------------------------------------------------


def test_images_change_with_every_step(playing):
    env = playing("rgb_array")
    images = [env.render()]
    for levels in env.optimum().assignment:
        env.step(levels)
        images.append(env.render())
    for image in images:
        assert image.dtype == np.uint8
        assert image.shape == images[0].shape
        assert image.shape[2] == 3
        assert image.std() > 0
    for before, after in itertools.pairwise(images):
        assert (before != after).any()
        assert not np.shares_memory(before, after)


def test_human_mode_needs_no_display(playing, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    env = playing("human")
    env.step(np.array([0, 0, 0]))
    assert env.render() is None


def test_render_without_a_mode_warns(playing):
    env = playing(None)
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None


def test_viewer_may_be_closed_twice(mixed):
    viewer = Viewer(VIEW)
    viewer.draw(mixed, nothing(mixed))
    viewer.close()
    viewer.close()


# --- figures --------------------------------------------------------------------------------------


def partial(problem):
    genes = nothing(problem)
    genes[:2] = problem.space.decode(5)
    return genes


def over_budget(problem):
    return problem.space.uniform()[-1]


def invalid(problem):
    return np.zeros_like(nothing(problem))


def best(problem):
    return problem.optimum().assignment


def nothing(problem):
    return np.full((problem.num_steps, len(problem.space.axes)), -1)


@pytest.mark.parametrize("what", [best, partial, over_budget, invalid, nothing])
@pytest.mark.parametrize(
    ("workload", "dataflow", "settings"),
    [
        ("VGG16", "MIX", {}),
        ("VGG16", "Eyeriss", {"objective": "throughput"}),
        ("VGG16", "Eyeriss", {"released": True, "constraint": "power"}),
    ],
)
def test_figures_of_any_assignment(what, workload, dataflow, settings):
    problem = AssignmentProblem.of(workload, dataflow, **settings)
    figure = assignment_figure(problem, what(problem))
    top, middle, _, budget = figure.axes
    actions = problem.space.encode(what(problem))
    done = actions[actions >= 0]
    pes = [problem.design.describe(int(action))[0] for action in done]
    tiles = [problem.design.describe(int(action))[1] for action in done]
    assert [bar.get_height() for bar in top.patches] == pes
    assert [bar.get_height() for bar in middle.patches] == tiles
    used = problem.usage[np.flatnonzero(actions >= 0), done].sum() / problem.budget
    assert f"{100 * used:.1f} %" in budget.get_xlabel()
    assert problem.design.workload.name in figure.get_suptitle()
    legends = [text.get_text() for axis in figure.axes if axis.get_legend()
               for text in axis.get_legend().get_texts()]  # fmt: skip
    assert ("ShiDianNao" in legends) == (dataflow == "MIX")
    figure.canvas.draw()


def test_figure_of_one_configuration():
    problem = AssignmentProblem.of("NCF", deployment="LS")
    figure = assignment_figure(problem, problem.optimum().assignment, title="Mine")
    assert figure.get_suptitle() == "Mine"
    figure.canvas.draw()


def test_the_assignment_that_info_reports_of_a_failed_episode_can_be_drawn(playing):
    env = playing(None, "HWAssign-VGG16-Eyeriss-v0")
    env.step(np.array([6, 0]))
    _, _, terminated, _, info = env.step(np.array([0, 0]))
    assert terminated
    figure = assignment_figure(env.problem, info["assignment"])
    assert len(figure.axes[0].patches) == 2


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((3, 2), int), np.full(4, 0), np.full((4, 3), 12), np.zeros((4, 3))],
)
def test_figures_of_something_else_are_refused(mixed, wrong):
    assert mixed.num_steps == 4
    with pytest.raises(ValueError):
        assignment_figure(mixed, wrong)


@pytest.mark.parametrize(("ending", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_save_figure(mixed, tmp_path, ending, magic):
    path = tmp_path / f"figure.v1.{ending}"
    figure = assignment_figure(mixed, mixed.optimum().assignment)
    assert save_figure(figure, path) == path
    assert save_figure(figure, str(path)) == path  # overwrites
    assert path.read_bytes().startswith(magic)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_figure_is_never_written_in_place(mixed, tmp_path, monkeypatch):
    figure = assignment_figure(mixed, mixed.optimum().assignment)
    write, written = figure.savefig, []

    def spy(target, **options):
        written.append(target)
        write(target, **options)

    monkeypatch.setattr(figure, "savefig", spy)
    path = save_figure(figure, tmp_path / "figure.png")
    assert len(written) == 1
    assert written[0] != path
    assert written[0].parent == path.parent  # renaming is atomic within a file system


def test_a_figure_that_cannot_be_written_leaves_the_old_one(mixed, tmp_path, monkeypatch):
    path = tmp_path / "figure.png"
    path.write_bytes(b"old")
    figure = assignment_figure(mixed, mixed.optimum().assignment)

    def half_written(target, **_):
        target.write_bytes(b"ha")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", half_written)
    with pytest.raises(OSError, match="disk full"):
        save_figure(figure, path)
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


# --- the other pictures ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found(mixed):
    return mixed.optimum().assignment


def texts(figure):
    return " ".join(str(t.get_text()) for t in figure.findobj(mpl.text.Text))


@pytest.mark.parametrize("constraint", ["area", "power"])
@pytest.mark.parametrize("released", [False, True])
def test_the_budget_figure_adds_up(constraint, released):
    problem = AssignmentProblem.of("AlexNet", constraint=constraint, released=released)
    assignment = problem.optimum().assignment
    figure = budget_figure(problem, assignment)
    figure.canvas.draw()
    axis, whole = figure.axes
    scale = 1e6 if constraint == "area" else 1.0
    used = problem.evaluate(assignment).used[0]
    assert sum(bar.get_height() for bar in axis.patches) * scale == pytest.approx(used, rel=1e-6)
    share = 100 * used / problem.budget
    assert sum(bar.get_height() for bar in whole.patches) == pytest.approx(share, rel=1e-6)
    assert ("interconnect" in texts(figure)) == released
    assert "conv3" in texts(figure)


def test_the_roofline_keeps_layers_under_their_roofs(mixed, found):
    figure = roofline_figure(mixed, found)
    figure.canvas.draw()
    (axis,) = figure.axes
    dots = np.concatenate([c.get_offsets() for c in axis.collections])
    assert len(dots) == mixed.num_steps
    pes = [mixed.design.describe(int(a))[0] for a in mixed.space.encode(found)]
    assert dots[:, 1].max() <= max(pes) * (1 + 1e-9)
    assert "MACs per cycle" in texts(figure)


def test_one_point_has_a_roofline_too():
    problem = AssignmentProblem.of(Workload("one", workload("NCF")[:1]))
    roofline_figure(problem, problem.optimum().assignment).canvas.draw()


def test_the_design_space_marks_the_choice_and_the_invalid():
    problem = AssignmentProblem.of("AlexNet", "Eyeriss")
    figure = design_space_figure(problem, "conv2")
    figure.canvas.draw()
    cost, usage = figure.axes[:2]
    grid = np.asarray(cost.images[0].get_array())
    valid = problem.design.valid[1].reshape(problem.space.shape).T
    shown = problem.design.latency_cycles[1].reshape(problem.space.shape).T
    np.testing.assert_array_equal(grid[valid], shown[valid])
    assert len(cost.patches) == np.count_nonzero(~valid) > 0
    crosses = {tuple(np.ravel(line.get_data())) for line in cost.lines + usage.lines}
    assert crosses == {tuple(problem.optimum().assignment[1])}
    by_index = design_space_figure(problem, 1, problem.space.uniform()[-1])
    assert {tuple(np.ravel(line.get_data())) for line in by_index.axes[0].lines} == {(11, 11)}


def test_the_design_space_of_a_mix_has_a_row_a_dataflow(mixed):
    figure = design_space_figure(mixed, 0)
    figure.canvas.draw()
    assert [a.get_title(loc="left").split(":")[0] for a in figure.axes[:6:2]] == [
        "NVDLA", "Eyeriss", "ShiDianNao"]  # fmt: skip
    for layer, message in (("layer", "unknown layer of NCF"), (9, r"numbered 0\.\.3, got 9")):
        with pytest.raises(ValueError, match=message):
            design_space_figure(mixed, layer)


def test_curves_of_many_seeds_have_a_band(mixed):
    best = mixed.optimum().objective
    runs = [np.minimum.accumulate(best * (1 + s + 10 / np.arange(1, 40 - s))) for s in range(5)]
    runs[0] = np.where(np.arange(39) < 3, np.inf, runs[0])  # nothing feasible at first
    figure = regret_curves(mixed, {"one": runs[:1], "many": runs}, interval=0.6)
    figure.canvas.draw()
    (axis,) = figure.axes
    assert len(axis.collections) == 1
    assert "many (5 seeds)" in texts(figure)
    assert "middle 60% of seeds" in texts(figure)
    median = axis.lines[1].get_ydata()
    assert len(median) == 39
    assert median[-1] == pytest.approx(np.median([r[-1] for r in runs]) / best - 1)
    for wrong in ({"none": []}, {"none": [[]]}):
        with pytest.raises(ValueError, match="none: no samples to draw"):
            regret_curves(mixed, wrong)
    with pytest.raises(ValueError, match=r"interval must lie in 0\.\.1"):
        regret_curves(mixed, {"many": runs}, interval=2)


def test_curves_where_nothing_was_found(mixed):
    figure = learning_curves(mixed, {"nobody": np.full(20, np.inf)})
    figure.canvas.draw()
    assert "nobody" in texts(figure)


@pytest.mark.parametrize(
    ("objectives", "panels"), [(("latency", "area"), 1), (("energy", "latency", "area"), 2)]
)
def test_fronts(mixed, tmp_path, objectives, panels):
    front = frontier(mixed, objectives, epsilon=0.2 if panels == 2 else 0.0)
    figure = frontier_figure(front)
    figure.canvas.draw()
    said = texts(figure)
    assert f"{len(front):,} assignments" in said
    assert ("exact" in said) == (panels == 1)
    if panels == 2:
        for axis in figure.axes[:2]:
            assert len(axis.collections[0].get_offsets()) == len(front)
    pytest.importorskip("plotly")
    page = frontier_page(front, tmp_path / "front.html")
    html = page.read_text(encoding="utf-8")
    assert "cycles" in html
    assert f"{len(front):,} assignments" in html
    assert '<script src="http' not in html
    assert [p.name for p in tmp_path.iterdir()] == ["front.html"]


def test_comparisons():
    rows = compare("NCF", ("NVDLA", "MIX"), ({"platform": "iot"}, {"budget": 1.0}))
    for row in rows:
        row["name"] = row.get("platform") or "1 um2"
    report = {"workload": "NCF", "objective": "latency", "constraint": "area", "rows": rows}
    figure = comparison_figure(report)
    figure.canvas.draw()
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert sorted(heights) == sorted(row["objective"] or 0 for row in rows)
    assert texts(figure).count("nothing") == 2


def test_all_pictures_are_public():
    for room in (plotting, pictures):
        for name in room.__all__:
            assert getattr(room, name) is not None


def test_metrics_are_shown_in_their_units():
    area, latency = METRICS["area"], METRICS["latency"]
    assert (area.axis, area.text(8.4163e6)) == ("area (mm²)", "8.416 mm²")
    assert (latency.axis, latency.text(190338)) == ("latency (cycles)", "190,338 cycles")
    assert latency.text(np.inf) == "inf cycles"
    np.testing.assert_array_equal(area.shown([1e6, 2.5e6]), [1.0, 2.5])


@pytest.mark.parametrize("objective", ["latency", "energy", "edp", "throughput"])
@pytest.mark.parametrize("constraint", ["area", "power"])
def test_rows_add_up_to_what_the_problem_says(objective, constraint):
    problem = AssignmentProblem.of("NCF", "MIX", objective=objective, constraint=constraint)
    genes = problem.optimum().assignment
    rows, parts = layer_rows(problem, genes), problem.part(genes[None])
    share = parts.cost[0] / parts.cost.sum()
    assert [row["cost_share"] for row in rows] == pytest.approx(share.tolist())
    used = [row[problem.constraint.column] for row in rows]
    assert used == parts.used[0].tolist()
    with pytest.raises(ValueError, match="not complete"):
        layer_rows(problem, partial(problem))


# --- families that say nothing of their own -------------------------------------------------------


@pytest.mark.parametrize("env_id", ["Bags-3-0-v0", "Tour-4-v0"])
def test_any_problem_can_be_shown(playing, env_id):
    assert tiny_families.BAGS.view is family_of("Bags-3-0-v0").view
    env = playing("ansi", env_id)
    problem, best = env.problem, env.certificate().assignment
    lines = env.render().splitlines()
    assert lines[0] == problem.statement.title
    assert lines[-1] == f"0 of {problem.num_steps} chosen"
    axes = len(problem.space.axes)
    assert lines[2].split()[2 : 2 + axes] == ["-"] * axes
    env.step(best[0])
    assert f"1 of {problem.num_steps} chosen" in env.render()
    view = family_of(env_id).view
    assert view.text(problem, best).endswith("regret 0.00%")
    figure = view.figure(problem, best)
    figure.canvas.draw()
    labels = [str(axis.labels[g]) for axis, g in zip(problem.space.axes, best[0], strict=True)]
    assert all(label in texts(figure) for label in labels)
    assert problem.statement.title in texts(figure)


def test_what_is_wrong_with_a_solution_is_said():
    problem = problem_of("Bags-3-0-v0")
    invalid = np.zeros((3, 2), int)
    invalid[0] = 3, 2
    assert View().summary(problem, invalid).endswith(": invalid")
    heavy = np.full((3, 2), 3) - [0, 2]
    assert View().summary(problem, heavy).endswith(": over the limit")


def test_a_bound_makes_it_a_gap(monkeypatch):
    problem = tiny_families.Tour(4, 0)
    exact = problem.certify()
    bound = exact.objective / 1.25
    found = Certificate(exact.assignment, exact.objective, bound, "a guess")
    monkeypatch.setattr(problem, "certify", lambda: found)
    assert View().summary(problem, exact.assignment).endswith("gap 25.00%")
    figure = learning_curves(problem, {"agent": [2 * bound, 1.5 * bound]})
    assert figure.axes[0].get_ylabel() == "gap: above the proven lower bound"
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx([1.0, 0.5])


class Switches(Problem):
    """One step of six switches; the fewer are on, the better."""

    @property
    def statement(self):
        axes = tuple(Axis(f"switch {i}", ("off", "on")) for i in range(6))
        return Statement({}, "switches", Space(1, axes), Metric("on", "", "on", "whole"))

    def score(self, genes):
        on = 1.0 + genes.sum(axis=(1, 2))
        fine = np.ones(len(genes), bool)
        return Scores(on, np.zeros(len(genes)), fine, fine)

    def certify(self):
        return Certificate(np.zeros((1, 6), int), 1.0, 1.0, "none")


def test_one_step_of_many_axes_lies_on_its_side():
    figure = View().figure(Switches(), np.zeros((1, 6), int))
    figure.canvas.draw()
    axis = figure.axes[0]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["step 1"]
    assert [text.get_text() for text in axis.get_xticklabels()] == [f"switch {i}" for i in range(6)]
    assert [text.get_text() for text in axis.texts] == ["off"] * 6
