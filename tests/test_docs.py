import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
import torch

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(
    r"^```(?:\{code-block\} )?(?P<kind>\w+)\n(?::caption: (?P<file>\S+)\n\n)?(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
PAGES = {
    path.relative_to(DOCS).with_suffix("").as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(DOCS.rglob("*.md"))
    if "_generated" not in path.parts
}
UNTESTED = ("git", "make", "pip", "python -m benchmarks")
"""Commands that install, or take minutes: the benchmarks have tests of their own."""


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


@pytest.mark.parametrize("page", WITH_CODE)
def test_what_a_page_shows_is_what_happens(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    torch.set_num_threads(1)  # more would wait for each other where tests run side by side
    names = {"__name__": "__main__"}
    printed = None
    for block in blocks(page):
        text = block["text"]
        if block["file"]:
            (tmp_path / block["file"]).write_text(text, encoding="utf-8")
        elif block["kind"] == "python":
            printed = run_python(text, names)
        elif block["kind"] == "output":
            assert printed is not None, "output without code"
            assert same(printed, text), f"{text}\nis not what was printed:\n{printed}"
            printed = None
        elif block["kind"] == "console":
            for command, written in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
                shown = run_command(command)
                if written.strip():
                    assert same(shown, written), f"{written}\nis not what was printed:\n{shown}"


@pytest.mark.parametrize("page", PAGES)
def test_only_known_commands_are_not_run(page):
    for block in blocks(page):
        if block["kind"] == "sh":
            assert all(line.startswith(UNTESTED) for line in block["text"].splitlines() if line)


@pytest.mark.parametrize("page", PAGES)
def test_pictures_and_included_files_exist(page):
    found = re.findall(r"^```\{(?:include|figure)\} (\S+)", PAGES[page], re.MULTILINE)
    for path in found:
        if "_generated" not in path:
            assert (DOCS / page).parent.joinpath(path).is_file()


def test_an_output_that_differs_is_noticed():
    assert same("a 12 b\n", "a ... b")
    assert not same("a 12 c\n", "a ... b")
    assert not same("a\nb\n", "a\n")
