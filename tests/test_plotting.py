"""Text, images and figures of assignments; figures appear whole or not at all."""

import itertools

import gymnasium as gym
import matplotlib as mpl
import numpy as np
import pytest
import tiny_families

from hwgym import AssignmentProblem, Layer, Workload, plotting, workload
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
from hwgym.plotting import front_figure, front_page, save_figure
from hwgym.plotting.picture import Picture
from hwgym.plotting.style import name_ticks


@pytest.fixture
def playing():
    """An environment in each render mode, closed afterwards."""
    made = []

    def start(mode, env_id="HWAssign-NCF-MIX-v0", **kwargs):
        # A choice on each axis is an action that every problem has.
        kwargs.setdefault("action_mode", "multi_discrete")
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


def legend_of(figure):
    """All that the legends of a figure list."""
    return [text.get_text() for axis in figure.axes if axis.get_legend()
            for text in axis.get_legend().get_texts()]  # fmt: skip


def inside(figure):
    """Titles are not cut off."""
    whole = figure.bbox
    for text in (figure._suptitle, *(a._left_title for a in figure.axes)):
        if text is not None and text.get_text():
            box = text.get_window_extent()
            assert whole.x0 <= box.x0
            assert box.x1 <= whole.x1 + 1
            assert box.y1 <= whole.y1 + 1


@pytest.fixture(scope="module")
def long_names():
    layers = [
        Layer.conv(f"features.block_{i}.depthwise_separable.conv{i}", in_channels=16,
                   out_channels=16 + i, input_size=14, kernel=3, padding=1)
        for i in range(8)
    ]  # fmt: skip
    return AssignmentProblem.of(Workload("A network whose name takes two lines " * 3, layers))


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
    legends = legend_of(figure)
    drawn = {problem.design.describe(int(action))[2] for action in done}
    names = {d.name for d in problem.design.dataflows}
    assert names.intersection(legends) == (drawn if dataflow == "MIX" else set())
    assert any("share of" in label for label in legends) == bool(problem.part(
        what(problem)[None]).used.any())  # fmt: skip
    assert ("invalid point" in legends) == bool(len(top.lines[0].get_xdata()))
    figure.draw_without_rendering()
    inside(figure)


def test_long_names_and_titles_have_room(long_names):
    genes = best(long_names)
    for figure in (
        assignment_figure(long_names, genes),
        budget_figure(long_names, genes),
        roofline_figure(long_names, genes),
        design_space_figure(long_names, 0),
        frontier_figure(frontier(long_names, ("latency", "area"))),
    ):
        figure.draw_without_rendering()
        inside(figure)
    axis = budget_figure(long_names, genes).axes[0]
    labels = [text.get_text() for text in axis.get_xticklabels()]
    assert len(set(labels)) == 8
    assert max(map(len, labels)) <= 24


def test_names_that_would_look_the_same_are_numbers():
    figure = Picture(4, 3)
    axis = figure.subplots()
    name_ticks(axis, [f"features.block_{i}.depthwise_separable.conv" for i in range(3)], "layer")
    assert [text.get_text() for text in axis.get_xticklabels()] == ["1", "2", "3"]
    assert axis.get_xlabel() == "layer"
    name_ticks(axis, ["same", "same"], "layer")
    assert [text.get_text() for text in axis.get_xticklabels()] == ["same", "same"]


def test_pictures_have_a_margin(mixed):
    genes = best(mixed)
    for figure in (assignment_figure(mixed, genes), budget_figure(mixed, genes),
                   learning_curves(mixed, {"one": [2 * mixed.optimum().objective]})):  # fmt: skip
        figure.draw_without_rendering()
        box = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) > 0.05


@pytest.mark.parametrize("network", ["NCF", "AlexNet", "MobileNetV2"])
def test_bars_stand_in_the_middle(network):
    problem = AssignmentProblem.of(network)
    for figure in (
        assignment_figure(problem, best(problem)),
        budget_figure(problem, best(problem)),
    ):
        low, high = figure.axes[0].get_xlim()
        assert (low + high) / 2 == pytest.approx((problem.num_steps - 1) / 2)


def test_hatches_are_for_bars_that_are_wide_enough(mixed):
    many = AssignmentProblem.of("MobileNetV2")
    for problem, some in ((mixed, True), (many, False)):
        for figure, panel in ((assignment_figure, 2), (budget_figure, 0)):
            bars = figure(problem, best(problem)).axes[panel].patches
            assert any(bar.get_hatch() for bar in bars) == some


def test_shares_of_a_period_say_how_busy_a_layer_is():
    problem = AssignmentProblem.of("VGG16", "Eyeriss", objective="throughput")
    shares = assignment_figure(problem, best(problem)).axes[2].patches[: problem.num_steps]
    latency = problem.part(best(problem)[None]).cost[0]
    wanted = 100 * latency / latency.max()
    assert [bar.get_height() for bar in shares] == pytest.approx(wanted.tolist())


def test_shares_of_nothing_start_at_0(mixed):
    assert assignment_figure(mixed, nothing(mixed)).axes[2].get_ylim() == (0, 100)


def test_levels_without_a_power_of_two_have_ticks():
    problem = AssignmentProblem.of("NCF", pe_levels=(3, 9, 27), tile_levels=(1, 3))
    axis = assignment_figure(problem, best(problem)).axes[0]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["3", "9", "27"]


def test_figure_of_one_configuration():
    problem = AssignmentProblem.of("NCF", deployment="LS")
    figure = assignment_figure(problem, problem.optimum().assignment, title="Mine")
    assert figure.get_suptitle() == "Mine"
    figure.draw_without_rendering()


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
    figure.draw_without_rendering()
    axis, whole = figure.axes
    scale = 1e6 if constraint == "area" else 1.0
    used = problem.evaluate(assignment).used[0]
    assert sum(bar.get_height() for bar in axis.patches) * scale == pytest.approx(used, rel=1e-6)
    share = 100 * used / problem.budget
    assert sum(bar.get_height() for bar in whole.patches) == pytest.approx(share, rel=1e-6)
    assert ("interconnect" in texts(figure)) == released
    assert "conv3" in texts(figure)
    kinds = [bars for bars in axis.containers if any(bar.get_height() for bar in bars)]
    assert len(legend_of(figure)) == len(kinds) == len(axis.containers)
    assert axis.get_ylim()[0] == 0
    assert not axis.yaxis.get_offset_text().get_text()


def test_the_budget_of_one_configuration_is_one_bar():
    problem = AssignmentProblem.of("AlexNet", deployment="LS")
    axis, whole = budget_figure(problem, best(problem)).axes
    assert [text.get_text() for text in axis.get_xticklabels()] == ["all layers"]
    assert len(axis.patches) == len(whole.patches) == 3
    used = problem.evaluate(best(problem)).used[0]
    assert sum(bar.get_height() for bar in axis.patches) * 1e6 == pytest.approx(used, rel=1e-6)


def test_parts_that_are_nothing_are_not_listed(mixed, monkeypatch):
    none = np.zeros(mixed.num_steps)
    parts = {"arithmetic": none + 1e6, "PEs' buffers": none, "shared buffers": none + 1.0}
    monkeypatch.setattr("hwgym.families.assignment.pictures.layers._parts", lambda *_: parts)
    labels = legend_of(budget_figure(mixed, best(mixed)))
    assert [label.split(" (")[0] for label in labels] == ["arithmetic", "shared buffers"]
    assert labels[1].endswith("(< 0.1 %)")


def test_the_roofline_keeps_layers_under_their_roofs(mixed, found):
    figure = roofline_figure(mixed, found)
    figure.draw_without_rendering()
    (axis,) = figure.axes
    dots = np.concatenate([c.get_offsets() for c in axis.collections])
    assert len(dots) == mixed.num_steps
    pes = [mixed.design.describe(int(a))[0] for a in mixed.space.encode(found)]
    assert dots[:, 1].max() <= max(pes) * (1 + 1e-9)
    assert "MACs per cycle" in texts(figure)
    drawn = {mixed.design.describe(int(a))[2] for a in mixed.space.encode(found)}
    listed = [d.name for d in mixed.design.dataflows if d.name in drawn]
    assert legend_of(figure) == [*listed, "peak of the PEs given"]


@pytest.mark.parametrize("released", [False, True])
def test_the_roofline_shows_every_layer(released):
    # The released table costs some layers less than their PEs could do.
    problem = AssignmentProblem.of("AlexNet", "Eyeriss", released=released, constraint="power")
    figure = roofline_figure(problem, best(problem))
    figure.draw_without_rendering()
    axis = figure.axes[0]
    dots = np.concatenate([c.get_offsets() for c in axis.collections])
    (left, right), (low, high) = axis.get_xlim(), axis.get_ylim()
    assert len(dots) == problem.num_steps
    assert np.all((dots > [left, low]) & (dots < [right, high]))
    shown = [text.get_text() for text in axis.get_xticklabels()]
    assert len(shown) > 1
    assert not any("times" in text for text in shown)  # no 2 x 10^0


def test_labels_of_roofs_do_not_touch():
    problem = AssignmentProblem.of("AlexNet", pe_levels=tuple(range(120, 129)), ratio=0.5)
    genes = best(problem).copy()
    genes[:, 0] = np.arange(5) + 4
    figure = roofline_figure(problem, genes)
    figure.draw_without_rendering()
    roofs = [text for text in figure.axes[0].texts if "PEs" in text.get_text()]
    boxes = sorted((text.get_window_extent() for text in roofs), key=lambda box: box.y0)
    assert roofs
    assert all(a.y1 <= b.y0 for a, b in itertools.pairwise(boxes))


@pytest.mark.parametrize("layers", [1, 3])
def test_one_point_has_a_roofline_too(layers):
    same = [Layer.conv(f"c{i}", in_channels=8, out_channels=8, input_size=9, kernel=3)
            for i in range(layers)]  # fmt: skip
    problem = AssignmentProblem.of(Workload("same", same))
    roofline_figure(problem, problem.optimum().assignment).draw_without_rendering()


def test_the_design_space_marks_the_choice_and_the_invalid():
    problem = AssignmentProblem.of("AlexNet", "Eyeriss")
    figure = design_space_figure(problem, "conv2")
    figure.draw_without_rendering()
    cost, usage = figure.axes[:2]
    grid = np.asarray(cost.images[0].get_array())
    valid = problem.design.valid[1].reshape(problem.space.shape).T
    shown = problem.design.latency_cycles[1].reshape(problem.space.shape).T
    np.testing.assert_array_equal(grid[valid], shown[valid])
    assert len(cost.patches) == np.count_nonzero(~valid) > 0
    assert "hatched" in figure.get_suptitle()
    assert "hatched" not in design_space_figure(AssignmentProblem.of("NCF"), 0).get_suptitle()
    crosses = {tuple(np.ravel(line.get_data())) for line in cost.lines + usage.lines}
    assert crosses == {tuple(problem.optimum().assignment[1])}
    by_index = design_space_figure(problem, 1, problem.space.uniform()[-1])
    assert {tuple(np.ravel(line.get_data())) for line in by_index.axes[0].lines} == {(11, 11)}


def test_the_design_space_of_a_mix_has_a_row_a_dataflow(mixed):
    figure = design_space_figure(mixed, 0)
    figure.draw_without_rendering()
    assert [a.get_title(loc="left") for a in figure.axes[:6:2]] == [
        "NVDLA", "Eyeriss", "ShiDianNao"]  # fmt: skip
    bars = figure.axes[6:]
    assert [bar.get_ylabel() for bar in bars] == ["latency (cycles)"] * 3 + ["area (mm²)"] * 3
    assert not any("times" in text.get_text() for bar in bars for text in bar.get_yticklabels())
    for layer, message in (("layer", "unknown layer of NCF"), (9, r"numbered 0\.\.3, got 9")):
        with pytest.raises(ValueError, match=message):
            design_space_figure(mixed, layer)


def test_curves_of_many_seeds_have_a_band(mixed):
    best = mixed.optimum().objective
    runs = [np.minimum.accumulate(best * (1 + s + 10 / np.arange(1, 40 - s))) for s in range(5)]
    runs[0] = np.where(np.arange(39) < 3, np.inf, runs[0])  # nothing feasible at first
    figure = regret_curves(mixed, {"one": runs[:1], "many": runs}, interval=0.6)
    figure.draw_without_rendering()
    (axis,) = figure.axes
    assert len(axis.collections) == 1
    inside(figure)
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
    best = mixed.optimum().objective
    figure = learning_curves(mixed, {"nobody": np.full(20, np.inf), "one": [2 * best]})
    figure.draw_without_rendering()
    (axis,) = figure.axes
    assert axis.get_xlabel().endswith("nothing feasible found: nobody")
    assert [label.split(" (")[0] for label in legend_of(figure)] == ["one", "best uniform solution"]
    assert axis.lines[0].get_marker() == "o"  # a line of one sample has no length
    assert axis.get_xlim()[1] >= 20


def test_many_curves_look_different(mixed):
    best = mixed.optimum().objective
    figure = learning_curves(mixed, {f"agent {i}": [best * (2 + i), best] for i in range(24)})
    figure.draw_without_rendering()
    (axis,) = figure.axes
    assert len({(line.get_color(), line.get_linestyle()) for line in axis.lines}) == 25
    legend = axis.get_legend().get_window_extent()
    assert legend.x0 >= axis.get_window_extent().x1 - 1  # beside the curves


def test_ticks_of_regret_reach_as_far_as_the_curves(mixed):
    best = mixed.optimum().objective
    figure = learning_curves(mixed, {"far": best * (1 + np.geomspace(1e8, 1e-8, 30))})
    figure.draw_without_rendering()
    ticks, top = figure.axes[0].get_yticks(), figure.axes[0].get_ylim()[1]
    assert ticks.max() > top / 1000
    assert len(ticks) <= 10


@pytest.mark.parametrize(
    ("objectives", "panels"), [(("latency", "area"), 1), (("energy", "latency", "area"), 2)]
)
def test_fronts(mixed, tmp_path, objectives, panels):
    front = frontier(mixed, objectives, epsilon=0.2 if panels == 2 else 0.0)
    figure = frontier_figure(front)
    figure.draw_without_rendering()
    said = texts(figure)
    assert f"{len(front):,} assignments" in said
    assert ("exact" in said) == (panels == 1)
    if panels == 2:
        for axis in figure.axes[:2]:
            assert len(axis.collections[0].get_offsets()) == len(front)
        bars = [bar.get_xlabel() for bar in figure.axes[2:]]
        assert bars == ["colour: latency (cycles)", "colour: area (mm²)"]
    pytest.importorskip("plotly")
    page = frontier_page(front, tmp_path / "front.html")
    html = page.read_text(encoding="utf-8")
    assert "cycles" in html
    assert f"{len(front):,} assignments" in html
    assert '<script src="http' not in html
    assert [p.name for p in tmp_path.iterdir()] == ["front.html"]


LABELS = ["latency (cycles)", "energy (nJ)", "area (mm²)"]
DECADES = np.stack([np.geomspace(1e-3, 1e9, 9), np.geomspace(1e9, 1e-3, 9), np.full(9, 1.0)], 1)
NEAR = np.stack([np.linspace(5e6, 6e6, 9), np.linspace(9e6, 5e6, 9), np.linspace(6e6, 5e6, 9)], 1)
ZEROS = np.stack([np.arange(5.0), np.arange(5.0)[::-1], np.arange(5.0)[::-1]], 1)


@pytest.mark.parametrize("columns", [2, 3])
@pytest.mark.parametrize("values", [DECADES, NEAR, ZEROS, NEAR[:1], np.full((4, 3), 7.0)])
def test_fronts_of_any_values_have_ticks_and_every_point(values, columns):
    values = values[:, :columns]
    figure = front_figure(values, LABELS[:columns], title="")
    figure.draw_without_rendering()
    for axis in figure.axes[: columns - 1]:
        for along in (axis.xaxis, axis.yaxis):
            low, high = along.get_view_interval()
            ticks = [t for t in along.get_majorticklocs() if low <= t <= high]
            assert 2 <= len(ticks) <= 12
    if columns == 2:
        shown = figure.axes[0].lines[1].get_xydata()
        low, high = figure.axes[0].viewLim.min, figure.axes[0].viewLim.max
        assert np.all((shown >= low) & (shown <= high))


@pytest.mark.parametrize("values", [DECADES[:, [1, 2, 0]], NEAR])
def test_colour_bars_have_the_numbers_of_the_axes(values):
    figure = front_figure(values, LABELS, title="")
    figure.draw_without_rendering()
    left, right, left_bar, right_bar = figure.axes
    # What colours one panel is up in the other.
    assert left_bar.get_xlabel() == f"colour: {right.get_ylabel()}"
    assert right_bar.get_xlabel() == f"colour: {left.get_ylabel()}"
    for bar, other in ((left_bar, right), (right_bar, left)):
        assert bar.get_xscale() == other.get_yscale()
        minor = [text.get_text() for text in bar.get_xticklabels(minor=True)]
        assert not any(minor)
        assert not any("times" in text.get_text() for text in bar.get_xticklabels())


def test_the_budget_is_in_the_picture():
    figure = front_figure(NEAR[:, :2], LABELS[:2], title="", limits={1: 5e9})
    assert legend_of(figure) == ["budget"]
    assert figure.axes[0].get_ylim()[1] > 5e9
    assert figure.axes[0].get_yscale() == "log"


def test_a_front_of_one_is_one_assignment():
    front = frontier(AssignmentProblem.of("AlexNet", ratio=0.0), ("latency", "area"))
    assert "the front, 1 assignment (" in frontier_figure(front).get_suptitle()
    assert repr(front).startswith("<Frontier of 1 assignment: latency x area; exact")


@pytest.mark.parametrize("columns", [2, 3])
def test_a_front_of_nothing_is_refused(columns, tmp_path):
    nothing = np.zeros((0, columns))
    with pytest.raises(ValueError, match="without points"):
        front_figure(nothing, LABELS[:columns], title="")
    with pytest.raises(ValueError, match="without points"):
        front_page(nothing, LABELS[:columns], [], tmp_path / "page.html", title="")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Writes a page; gives what plotly was told, and the page's text."""
    go = pytest.importorskip("plotly.graph_objects")
    told, write = [], go.Figure.to_html

    def spy(figure, **options):
        told.append(figure)
        return write(figure, **{**options, "include_plotlyjs": False})

    monkeypatch.setattr(go.Figure, "to_html", spy)

    def written(values, title="a front"):
        hover = ["x"] * len(values)
        labels = LABELS[: values.shape[1]]
        path = front_page(values, labels, hover, tmp_path / "front.html", title=title)
        return told[-1], path.read_text(encoding="utf-8")

    return written


def test_the_page_fills_its_window_and_has_a_name(page):
    _, text = page(NEAR, title="AlexNet &lt;3<br><sub>exact</sub>")
    assert "<title>AlexNet &lt;3</title>" in text
    assert "margin: 0" in text
    assert "height:100%" in text
    assert "94vh" not in text


@pytest.mark.parametrize("values", [DECADES, NEAR, ZEROS, NEAR[:1]])
def test_pages_scale_their_axes_as_pictures_do(page, values):
    figure, _ = page(values)
    scene = figure.layout.scene
    for axis, label, column in zip(
        (scene.xaxis, scene.yaxis, scene.zaxis), LABELS, values.T, strict=True
    ):
        assert axis.title.text == label
        if column.max() > 5 * column.min() > 0:
            assert axis.type == "log"
        elif column.min() < column.max():
            assert axis.type == "linear"  # a logarithm has no room for 0
        else:
            assert axis.range[0] < np.log10(column[0]) < axis.range[1]
    flat, _ = page(values[:, :2])
    assert (flat.layout.xaxis.type, flat.layout.yaxis.type) == (scene.xaxis.type, scene.yaxis.type)


def test_the_pages_colours_are_those_of_an_axis(page):
    values = DECADES[:, [1, 2, 0]]
    marker = page(values)[0].data[0].marker
    assert marker.colorbar.title.text == "area (mm²)"
    np.testing.assert_allclose(10.0 ** np.array(marker.color), values[:, 2])
    for place, text in zip(marker.colorbar.tickvals, marker.colorbar.ticktext, strict=True):
        units = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9}
        number = float(text.rstrip("mkMG")) * units.get(text[-1], 1.0)
        assert number == pytest.approx(10.0**place)
    near = page(NEAR)[0].data[0].marker
    np.testing.assert_array_equal(near.color, NEAR[:, 2])
    assert near.colorbar.title.text == "area (mm²)"
    assert page(NEAR[:1])[0].data[0].marker.colorbar.title.text is None  # one colour says nothing


def test_names_of_networks_are_no_html(tmp_path):
    pytest.importorskip("plotly")
    named = Workload("<b>bold", workload("NCF"))
    front = frontier(AssignmentProblem.of(named), ("latency", "area"))
    text = frontier_page(front, tmp_path / "front.html").read_text(encoding="utf-8")
    assert "<title>&lt;b&gt;bold, NVDLA" in text


def comparison(network, dataflows, budgets):
    rows = compare(network, dataflows, [{"budget": b} for b in budgets])
    for row, budget in zip(rows, budgets * len(dataflows), strict=True):
        row["name"] = f"{budget / 1e6:g}mm2"
    return {"workload": network, "objective": "latency", "constraint": "area", "rows": rows}


def test_what_fits_nothing_is_said_and_not_listed():
    figure = comparison_figure(comparison("AlexNet", ("NVDLA", "Eyeriss"), [0.2e6]))
    figure.draw_without_rendering()
    assert legend_of(figure) == ["NVDLA"]
    assert [text.get_text().strip() for text in figure.axes[0].texts] == ["Eyeriss: nothing fits"]
    empty = comparison_figure(comparison("AlexNet", ("NVDLA", "Eyeriss"), [1.0, 2.0]))
    empty.draw_without_rendering()
    boxes = [text.get_window_extent() for text in empty.axes[0].texts]
    assert len(boxes) == 4
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert legend_of(empty) == []


def test_bars_that_are_far_apart_grow_by_logarithms():
    report = comparison("NCF", ("NVDLA", "ShiDianNao"), [3e6, 4e6])
    axis = comparison_figure(report).axes[0]
    assert axis.get_yscale() == "log"
    assert axis.get_ylim()[0] < min(bar.get_height() for bar in axis.patches)
    near = comparison("AlexNet", ("NVDLA", "ShiDianNao"), [3e6])
    assert comparison_figure(near).axes[0].get_yscale() == "linear"


def test_many_budgets_have_room_for_their_names():
    budgets = [round(b, 3) * 1e6 for b in np.geomspace(0.3, 30, 14)]
    figure = comparison_figure(comparison("NCF", ("NVDLA",), budgets))
    figure.draw_without_rendering()
    labels = figure.axes[0].get_xticklabels()
    assert len(labels) == 14
    assert {label.get_rotation() for label in labels} == {35.0}


def test_comparisons():
    rows = compare("NCF", ("NVDLA", "MIX"), ({"platform": "iot"}, {"budget": 1.0}))
    for row in rows:
        row["name"] = row.get("platform") or "1 um2"
    report = {"workload": "NCF", "objective": "latency", "constraint": "area", "rows": rows}
    figure = comparison_figure(report)
    figure.draw_without_rendering()
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert sorted(heights) == sorted(row["objective"] for row in rows if row["objective"])
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
    figure.draw_without_rendering()
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
    figure.draw_without_rendering()
    axis = figure.axes[0]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["step 1"]
    assert [text.get_text() for text in axis.get_xticklabels()] == [f"switch {i}" for i in range(6)]
    assert [text.get_text() for text in axis.texts] == ["off"] * 6
