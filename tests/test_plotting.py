"""Text, images and figures of assignments; figures appear whole or not at all."""

import itertools

import gymnasium as gym
import numpy as np
import pytest

from hwgym import AssignmentProblem
from hwgym.plotting import AssignmentViewer, assignment_figure, assignment_text, save_figure


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
    name = env.problem.space.workload[0].name
    cost = env.problem.cost[0, env.problem.space.encode([3, 6, 2])]
    assert lines[2].split()[:5] == [name, "8", "7", "ShiDianNao", f"{cost:,.0f}"]
    assert f"1 of {env.problem.num_steps} assigned: latency {cost:,.0f} cycles" in lines[-1]
    assert "% of the area budget" in lines[-1]


def test_text_of_the_optimum_says_that_there_is_no_regret(mixed):
    text = assignment_text(mixed, mixed.space.encode(mixed.optimum().assignment))
    assert f"optimum {mixed.optimum().objective:,.0f}, regret 0.00 %" in text
    assert all(layer.name in text for layer in mixed.space.workload)


def test_text_names_what_went_wrong():
    problem = AssignmentProblem.of("VGG16", "Eyeriss")
    actions = np.full(problem.num_steps, -1)
    actions[0] = 0
    assert "invalid design point" in assignment_text(problem, actions)
    actions[:] = problem.num_actions - 1
    assert "over budget" in assignment_text(problem, actions)


def test_text_of_one_configuration(playing):
    env = playing("ansi", "HWAssignLS-NCF-NVDLA-v0", objective="energy")
    assert "energy under area (iot, LS)" in env.render()
    env.step(env.optimum().assignment[0])
    assert "all layers" in env.render()
    assert "regret 0.00 %" in env.render()


@pytest.mark.parametrize("objective", ["edp", "throughput"])
def test_text_uses_the_objectives_own_total(mixed, objective):
    problem = AssignmentProblem.of("NCF", "MIX", objective=objective)
    text = assignment_text(problem, problem.space.encode(problem.optimum().assignment))
    assert f"{problem.optimum().objective:,.0f}" in text.splitlines()[-1]


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"ratio": 0.25}, "0.25 of the range"), ({"budget": 1e8}, "given budget")],
)
def test_title_says_where_the_budget_comes_from(settings, words):
    problem = AssignmentProblem.of("NCF", **settings)
    assert words in assignment_text(problem, np.full(problem.num_steps, -1))


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
    viewer = AssignmentViewer(mixed)
    viewer.draw(np.full(mixed.num_steps, -1))
    viewer.close()
    viewer.close()


# --- figures --------------------------------------------------------------------------------------


def partial(problem):
    actions = np.full(problem.num_steps, -1)
    actions[:2] = 5
    return actions


def over_budget(problem):
    return np.full(problem.num_steps, problem.num_actions - 1)


def invalid(problem):
    return np.zeros(problem.num_steps, int)


def best(problem):
    return problem.optimum().assignment


def nothing(problem):
    return np.full(problem.num_steps, -1)


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
    actions = np.asarray(what(problem))
    if actions.ndim > 1:
        actions = problem.space.encode(actions)
    done = actions[actions >= 0]
    pes = [problem.space.describe(int(action))[0] for action in done]
    tiles = [problem.space.describe(int(action))[1] for action in done]
    assert [bar.get_height() for bar in top.patches] == pes
    assert [bar.get_height() for bar in middle.patches] == tiles
    used = problem.usage[np.flatnonzero(actions >= 0), done].sum() / problem.budget
    assert f"{100 * used:.1f} %" in budget.get_xlabel()
    assert problem.space.workload.name in figure.get_suptitle()
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
    [np.zeros((3, 2), int), np.full(3, 0), np.full((4, 3), 12), np.full(4, 10_000), np.zeros(4)],
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
