import contextlib
import importlib.util
import io
import re
import shlex
import sys
from pathlib import Path

import pytest
from conftest import needs_torch

from benchmarks import report
from benchmarks.measure import Row, Spread
from benchmarks.optima import recorded
from benchmarks.speed import KINDS
from hwgym import AssignmentProblem
from hwgym.core import problem_of, registered_ids
from hwgym.families import FAMILIES

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(
    r"^```(?:\{code-block\} )?(?P<kind>\w+)\n(?::caption: (?P<file>\S+)\n\n)?(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
COMMAND = re.compile(r"^\$ (?P<command>.+)\n(?P<output>(?:(?!\$ ).*\n)*)", re.MULTILINE)
COLUMNS = "88"
PAGES = {
    path.relative_to(DOCS).with_suffix("").as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(DOCS.rglob("*.md"))
    if "_generated" not in path.parts
}
UNTESTED = (
    "cd", "git", "make", "pip", "python -m benchmarks", "python -m pytest",
    "python -m hwgym_agents.train_", "python -m rl_zoo3", "python cleanrl",
)  # fmt: skip
"""Commands that install, take minutes, or are not ours: benchmarks and trainings have tests of
their own."""


def blocks(page):
    return [match.groupdict() for match in BLOCK.finditer(PAGES[page])]


WITH_CODE = [
    page for page in PAGES if any(b["kind"] in ("python", "console") for b in blocks(page))
]


def same(printed, written):
    """Whether a text is what was written down, ``...`` standing for anything."""

    def lines(text):
        return "\n".join(line.rstrip() for line in text.strip().splitlines())

    pattern = ".*".join(re.escape(part) for part in lines(written).split("..."))
    return re.fullmatch(pattern, lines(printed), re.DOTALL) is not None


def run_python(code, names):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "page", "exec"), names)
    return printed.getvalue()


def run_command(command):
    from hwgym.cli import main

    printed = io.StringIO()
    program, *arguments = shlex.split(command)
    assert program == "hwgym", f"only hwgym runs in a console block, not {program!r}"
    with contextlib.redirect_stdout(printed):
        assert main(arguments) == 0, command
    return printed.getvalue()


def test_there_are_pages():
    assert len(WITH_CODE) > 10


def play(page):
    """Run a page in this folder; what it shows and what is printed, and where on the page."""
    names, printed = {"__name__": "__main__"}, None
    for match in BLOCK.finditer(PAGES[page]):
        kind, text = match["kind"], match["text"]
        if match["file"]:
            Path(match["file"]).write_text(text, encoding="utf-8")
        elif kind == "python":
            printed = run_python(text, names)
        elif kind == "output":
            assert printed is not None, "output without code"
            yield text, printed, match.span("text")
            printed = None
        elif kind == "console":
            for shown in COMMAND.finditer(text):
                start, end = (match.start("text") + place for place in shown.span("output"))
                yield shown["output"], run_command(shown["command"]), (start, end)


def rewritten(page):
    """A page with what is printed now; outputs with ``...`` stay."""
    text, done = "", 0
    for shown, printed, (start, end) in play(page):
        lines = [line.rstrip() for line in printed.strip("\n").splitlines()]
        text += PAGES[page][done:start] + (shown if "..." in shown else "\n".join(lines) + "\n")
        done = end
    return text + PAGES[page][done:]


@pytest.mark.parametrize("page", WITH_CODE)
def test_what_a_page_shows_is_what_happens(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", COLUMNS)
    needs_torch("".join(block["text"] for block in blocks(page)))
    for shown, printed, _ in play(page):
        assert same(printed, shown), (
            f"{page} shows\n{shown}\nbut what is printed is\n{printed}\n"
            f"(python docs/update_outputs.py {page})"
        )


@pytest.mark.parametrize("page", PAGES)
def test_only_known_commands_are_not_run(page):
    for block in blocks(page):
        if block["kind"] == "sh":
            assert all(line.startswith(UNTESTED) for line in block["text"].splitlines() if line)


@pytest.mark.parametrize("page", PAGES)
def test_pictures_and_included_files_exist(page):
    found = re.findall(
        r"^```\{(include|figure|literalinclude)\} (\S+)\n((?::.*\n)*)", PAGES[page], re.MULTILINE
    )
    for kind, path, options in found:
        if "_generated" in path:
            continue
        file = (DOCS / page).parent.joinpath(path)
        assert file.is_file()
        for option, value in re.findall(r"^:([\w-]+): (.*)$", options, re.MULTILINE):
            if kind == "literalinclude" and option == "pyobject":
                pattern = rf"^(?:class|def) {value}\b"
                assert re.search(pattern, file.read_text(encoding="utf-8"), re.MULTILINE)


def test_an_output_that_differs_is_noticed():
    assert same("a 12 b\n", "a ... b")
    assert not same("a 12 c\n", "a ... b")
    assert not same("a\nb\n", "a\n")


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generated():
    yield load(DOCS / "_ext" / "generated.py")
    sys.modules.pop("generated")


def test_every_id_belongs_to_one_group(generated):
    ids = [env_id for group in generated.GROUPS.values() for env_id in group.ids]
    assert sorted(ids) == sorted(i for family in FAMILIES for i in registered_ids(family))
    for name, group in generated.GROUPS.items():
        assert group.example in group.ids
        assert f"| {{doc}}`{name}` | {len(group.ids)} |" in generated.groups()
        assert f"environments/{name}" in PAGES


def test_pages_show_the_proven_optima(generated):
    page = generated.optima(generated.GROUPS["hwassign"])
    optimum = AssignmentProblem.of(
        "AlexNet", "NVDLA", objective="energy", platform="iotx"
    ).optimum()
    part = page.partition("Energy-Area")[2].partition("###")[0]
    [row] = re.findall(r"^\| AlexNet \| NVDLA \|.*$", part, re.MULTILINE)
    assert row.split(" | ")[-1] == f"{optimum.objective:,.0f} |"
    assert "### Least energy (nJ) under an area budget" in page
    shown = sum(len(re.findall(r"\| [\d,]+(?= \|)", line)) for line in page.splitlines())
    ids = [i for i in recorded() if i in generated.GROUPS["hwassign"].ids]
    assert shown == len([i for i in ids if i.count("-") == 6])


def test_pages_show_what_is_proven_of_mappings_and_bits(generated):
    rows = generated.mapping_optima(generated.GROUPS["group"])
    found = problem_of("HWGroup-Vision-S2-v0").certificate()
    assert f"| `HWGroup-Vision-S2-v0` | {found.objective:,.0f} |" in rows
    assert f"at most {found.gap:.2%} above the optimum" in rows
    rows = generated.mapping_optima(generated.GROUPS["mapping"])
    found = problem_of("HWMap-GAMMA-ResNet50-20-Edge-EDP-v0").certificate()
    [row] = [line for line in rows.splitlines() if "HWMap-GAMMA-ResNet50-20-Edge-EDP-v0" in line]
    assert "| proven |" in row
    assert row.endswith(f"| {found.objective / found.relaxation:.3f} |")
    rows = generated.precision_optima(generated.GROUPS["precision"])
    problem = problem_of("HWQuant-Digits-Energy-60-v0")
    held = problem.accuracy(problem.certificate().assignment, "held")[0]
    [row] = [line for line in rows.splitlines() if "HWQuant-Digits-Energy-60-v0" in line]
    assert f"| {held:.1%} |".replace("%", " %") in row


def test_every_group_has_its_parts(generated):
    """Whatever a page includes is made, and the other way round."""
    made = {name for name in generated.parts() if name.endswith(".part.md")}
    text = "\n".join(PAGES.values())
    assert made == set(re.findall(r"_generated/(\S+\.part\.md)", text))


def test_the_speed_column_is_there_when_speeds_have_been_measured(generated, monkeypatch, tmp_path):
    group = generated.GROUPS["confuciux"]
    monkeypatch.setattr(generated, "SPEEDS", tmp_path / "speed.json")
    assert "Not measured" in generated.speed(group)
    spread = Spread(2.0, 1.0, 3.0)
    names = [name for g in generated.GROUPS.values() for name in g.speeds]
    assert sorted(names) == sorted(KINDS)
    rows = [
        Row("speed", name, {"mode": "discrete", "environments": "scalar"}, "steps/s", spread,
            "CartPole-v1", spread, spread)
        for name in names
    ]  # fmt: skip
    report.save(tmp_path / "speed.json", {"speed": {"machine": {}, "settings": {}, "rows": rows}})
    text = generated.speed(group)
    assert "2.00 x" in text
    assert "`gym.make`, discrete" in text
    assert len(generated.speed().splitlines()) == 2 + len(rows)


def test_broken_links_are_found(tmp_path, capsys):
    check = load(DOCS / "check_links.py")
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="b.html#there">b</a><a href="#here">a</a>'
        '<a href="https://example.org">elsewhere</a></p>'
    )
    (tmp_path / "b.html").write_text('<p id="there"><a href="a.html#here">a</a></p>')
    assert check.main(str(tmp_path)) == 0
    check.read.cache_clear()
    (tmp_path / "b.html").write_text(
        '<a href="gone.html">gone</a><script src="https://example.org/x.js"></script>'
    )
    assert check.main(str(tmp_path)) == 1
    found = capsys.readouterr().out
    assert "gone.html: there is no such file" in found
    assert "b.html#there: there is no such anchor" in found
    assert "x.js is loaded from elsewhere" in found
