"""The report: a Markdown table for a README, and one HTML page that needs no network."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

import numpy as np

from hwgym._version import __version__
from hwgym.core.family import family_of
from hwgym.core.view import References
from hwgym.leaderboard import figures
from hwgym.leaderboard.board import REACH, Board, Entry
from hwgym.leaderboard.estimates import Estimate
from hwgym.leaderboard.figures import Looks, percent
from hwgym.leaderboard.rules import SEEDS
from hwgym.leaderboard.runs import Job, optimal, problem_of
from hwgym.leaderboard.suites import Task
from hwgym.leaderboard.tracks import YARDSTICKS, Column, deciding

__all__ = ["html", "markdown"]

SEES = {
    "layers": "See what each step costs",
    "totals": "See only the totals",
    "unknown": "Nothing is known about what these see",
}
MOST_TASKS = 48
"""A page of more tasks has no picture of each: they would be most of what is to be loaded."""
SHOWN = 4
NEVER = "never"
BOUNDED = "†"
"""Marks a task of which no optimum is proven."""


# --- what both say ------------------------------------------------------------------------------


def _score(entry: Entry) -> str:
    value, between = _digits(entry.score.value), _interval(entry)
    return f"{value} ({between})" if between else value


def _interval(entry: Entry) -> str:
    """Of the score; nothing where there is one seed."""
    if entry.seeds[1] == 1:
        return ""
    return f"{_digits(entry.score.low)} to {_digits(entry.score.high)}"


def _digits(score: float) -> str:
    """Only what is optimal reads 1.000."""
    return ">0.999" if 0.9995 <= score < 1 else f"{score:.3f}"


def _samples_to(entry: Entry, regret: float) -> str:
    samples, share = entry.reach(regret)
    if math.isfinite(samples):
        return f"{samples:,.0f}"
    return f"({share:.0%})".replace("%", " %") if share else NEVER


def _seconds(entry: Entry) -> str:
    value = entry.seconds
    text = f"{value:.1f}" if value < 10 else f"{value:,.0f}"
    return f"{text} *" if entry.timed_out else text


def _seeds(entry: Entry) -> str:
    fewest, most = entry.seeds
    return str(most) if fewest == most else f"{fewest} to {most}"


def _title(board: Board) -> str:
    return f"hwgym leaderboard: {board.suite}" if board.suite else "hwgym leaderboard"


def _why(entry: Entry) -> str:
    """Why an agent is below the line."""
    return "; ".join(entry.reasons)


def _ranked(board: Board, sees: str) -> tuple[list[Entry], list[Entry]]:
    """Agents that see the same, above and below the line."""
    group = board.seeing(sees)
    above = [entry for entry in group if not entry.reasons]
    return above, group[len(above) :]


def _setting(board: Board) -> str:
    budgets = sorted({task.samples for task in board.tasks})
    budget = " or ".join(f"{b:,}" for b in budgets)
    limits = " or ".join("none" if t is None else f"{t:g} s" for t in board.time_limits)
    runs = sum(len(entry.curves) for entry in board.entries)
    suite = "" if board.suite is None else f"Suite {board.suite}: "
    return (
        f"{suite}{len(board.entries)} agents, {len(board.tasks)} tasks, {runs:,} runs of {budget} "
        f"samples; time limit of a run: {limits}."
    )


def _label(board: Board, task: Task) -> str:
    """A task as tables call it."""
    return f"{task.label} {BOUNDED}" if task in board.bounded else task.label


def _references(board: Board) -> list[References]:
    """What others reached on problems of the families that are on the board."""
    families = dict.fromkeys(family_of(task.env_id) for task in board.tasks)
    listed = [(family, found) for family in families for found in family.view.references()]
    # Families may share a view.
    return [found for family, found in listed if family_of(found.env_id) is family]


def _above(others: References) -> str:
    exact = problem_of(others.env_id).certificate().exact
    return "above the optimum" if exact else "above the lower bound"


def _regret_of(others: References, objective: float) -> str:
    return f"{problem_of(others.env_id).regret(objective):.0%}".replace("%", " %")


def _on_track(board: Board, columns: Sequence[Column]) -> list[tuple[str, str, list[float | None]]]:
    """Rows of a track's table: place, who, figures. The optimum stands on top, if it is known."""
    rows: list[tuple[str, str, list[float | None]]] = []
    if not board.bounded:
        rows.append(("", "the optimum", _at_optima(board, columns)))
    place = 0
    for entry, values in board.on_track(columns):
        place += not entry.reasons
        name = f"{entry.agent} (yardstick)" if entry.agent in YARDSTICKS else entry.agent
        rows.append(("" if entry.reasons else str(place), name, [*values]))
    return rows


def _at_optima(board: Board, columns: Sequence[Column]) -> list[float | None]:
    """The figures of who has the optimum at once."""
    curves = [optimal(Job("the optimum", task.env_id, task.samples)) for task in board.tasks]
    return [column.of(curves) for column in columns]


def _figure(column: Column, value: float | None) -> str:
    if value is None:
        return "-"
    if column.kind == "score":
        return _digits(value)
    if column.kind == "share":
        digits = 0 if value in (0, 1) else 1
        return f"{value:.{digits}%}".replace("%", " %")
    if column.kind == "samples":
        return f"{value:,.0f}" if math.isfinite(value) else NEVER
    return percent(value)


def _about_track(columns: Sequence[Column]) -> str:
    heads: dict[str, list[str]] = {}  # columns that differ by the samples are told together
    for column in columns:
        alike = column.about.replace(f" {column.head} samples", " so many samples")
        heads.setdefault(alike, []).append(column.head)
    told = "; ".join(f"{', '.join(those)}: {about}" for about, those in heads.items())
    return (
        f"Sorted by {columns[deciding(columns)].head!r}. {told[:1].upper()}{told[1:]}. Agents "
        "without a number in front are below the line; yardsticks are what to measure the others "
        "by."
    )


def _remarks(board: Board) -> list[str]:
    """What a reader must know about the runs."""
    remarks = []
    if board.bounded:
        listed = ", ".join(task.label for task in board.tasks if task in board.bounded)
        remarks.append(
            f"{BOUNDED} No optimum is proven of these tasks; their score is lower bound / "
            "objective, and in place of a regret they have a gap, objective / lower bound - 1, "
            f"which overstates it: {listed}."
        )
    failed = [entry for entry in board.entries if entry.failed]
    if failed:
        listed = ", ".join(f"{e.agent} ({e.failed} of {len(e.curves)})" for e in failed)
        remarks.append(f"Runs that failed count as score 0: {listed}.")
    noted = [e for e in board.entries if e.standing.note and not e.standing.contradicted]
    if noted:
        listed = "; ".join(f"{e.agent}: {e.standing.note}" for e in noted)
        remarks.append(f"Run again, and yet self-reported: {listed}.")
    if board.left_out:
        remarks.append(f"Left out: {'; '.join(board.left_out)}.")
    return remarks


# --- Markdown -----------------------------------------------------------------------------------


def markdown(board: Board) -> str:
    """The ranking as Markdown."""
    lines = [_setting(board), ""]
    heads = ["", "agent", "score", "95 %", "anytime", f"median {board.distance}"]
    heads += ["to 1 %", "seeds", "checked"]  # a page of text has no room for more
    for sees in board.groups:
        above, below = _ranked(board, sees)
        lines += [f"**{SEES[sees]}**", ""]
        if above:
            lines += [_row(heads), _row(["---"] * len(heads))]
            lines += [_row([str(entry.rank), *_figures(board, entry)]) for entry in above]
            lines.append("")
        if below:
            lines += [f"Below the line, without a rank{'' if above else '; nobody has one'}:", ""]
            lines += [_row(heads[1:]), _row(["---"] * len(heads[1:]))]
            lines += [_row(_figures(board, entry)) for entry in below]
            lines += ["", *(f"- `{entry.agent}`: {_plain(_why(entry))}." for entry in below), ""]
    lines += [
        f"Score: {board.yardstick} / objective, 0 where nothing feasible was found; the "
        "interquartile mean over tasks and seeds, with its 95 % stratified-bootstrap interval "
        "where there are several seeds. Anytime: the same of the area under the score against "
        'the logarithm of samples, from 1 to the budget. "To 1 %": median samples until the '
        f"{board.distance} is at most that, or in "
        "brackets the share of runs that get there at all. Checked: "
        "`reproduced` if every run was run again and found the same solutions at the same samples, "
        "or else `self-reported`. Above the line is who has run every task of the suite with at "
        f"least {SEEDS} seeds, or one if it ignores its seed, without a run that the time limit "
        "ended.",
        "",
    ]
    for remark in _remarks(board):
        lines += [_plain(remark), ""]
    for track, columns in board.tracks.items():
        lines += [f"**Track {track.name}.** {track.about}.", ""]
        heads = ["", "agent", *(column.head for column in columns)]
        lines += [_row(heads), _row(["---"] * len(heads))]
        for place, name, values in _on_track(board, columns):
            cells = [_figure(c, value) for c, value in zip(columns, values, strict=True)]
            lines.append(_row([place, name, *cells]))
        lines += ["", _about_track(columns), ""]
    drawn = [entry for entry in board.entries if entry.draws]
    if drawn:
        heads = ["agent", "sees", "draws", "default", "best", "median", "worst"]
        lines += ["**Under other settings** (score)", "", _row(heads), _row(["---"] * len(heads))]
        for entry in drawn:
            d = entry.draws
            assert d is not None
            numbers = (d.default, d.best, d.median, d.worst)
            cells = [f"`{entry.agent}`", entry.sees, str(d.count)]
            lines.append(_row([*cells, *(f"{n:.3f}" for n in numbers)]))
        lines.append("")
    for others in _references(board):
        lines += [
            f"**{others.title}** (`{others.env_id}`; its own sample counts, not to be compared "
            "with the tables above)",
            "",
            _row(["method", "samples", others.unit, _above(others)]),
            _row(["---"] * 4),
        ]
        for result in others.results:
            value, regret = result.objective / others.scale, _regret_of(others, result.objective)
            lines.append(_row([result.what, result.samples, f"{value:.1f}", regret]))
        lines.append("")
    while not lines[-1]:
        lines.pop()
    return "\n".join(lines) + "\n"


def _figures(board: Board, entry: Entry) -> list[str]:
    """Of an agent, from its name to whether it was checked."""
    cells = [f"`{entry.agent}`", _digits(entry.score.value), _interval(entry)]
    cells += [_digits(entry.anytime.value), percent(entry.median_regret.value)]
    return [*cells, _samples_to(entry, 0.01), _seeds(entry), entry.standing.name]


def _plain(text: str) -> str:
    """Text that Markdown takes as it is."""
    return text.replace("*", "\\*")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


# --- HTML ---------------------------------------------------------------------------------------


def html(board: Board) -> str:
    """The whole report as one page.

    Raises:
        ImportError: If plotly is not installed.
    """
    looks = Looks(board.entries)
    tasks = board.tasks if len(board.tasks) <= MOST_TASKS else ()
    charts = {
        "scores": {"all": figures.scores(board, looks)},
        "curves": {
            "all": figures.regret_curves(board, looks, None),
            **{t.env_id: figures.regret_curves(board, looks, i) for i, t in enumerate(tasks)},
        },
        "profiles": {"all": figures.profiles(board, looks)},
        "assignments": {t.env_id: figures.assignments(board, i) for i, t in enumerate(tasks)},
    }
    if board.tracks:
        charts["track"] = {"all": figures.score_curves(board, looks)}
    charts = {name: found for name, found in charts.items() if found}
    data = {
        "figures": {
            name: {key: json.loads(figure.to_json()) for key, figure in found.items()}
            for name, found in charts.items()
        },
        "shown": [entry.agent for entry in board.entries if entry.place <= SHOWN],
        "toggled": [name for name in ("track", "curves", "profiles") if name in charts],
        "narrow": {
            "scores": {"l": 104, "r": 8},
            "track": {"l": 52, "r": 8},
            "curves": {"l": 64, "r": 8},
            "profiles": {"l": 52, "r": 8},
            "assignments": {"l": 130, "r": 54},
        },
    }
    encoded = _script(json.dumps(data, separators=(",", ":")))
    sections = [
        _ranking(board),
        '<div class="chart" id="scores"></div>',
        _tracks(board, looks),
        _curves(board, looks, tasks),
        _heat(board),
        _improvement(board),
        _assignments(board, tasks),
        _draws(board),
        _others(board),
        _reading(board),
    ]
    page = files("hwgym.leaderboard").joinpath("page")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(_title(board))}</title>
<link rel="icon" href="data:,">
<style>{page.joinpath("style.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<main>
<h1>{escape(_title(board))}</h1>
<p>How far from the proven {board.yardstick} agents end. {escape(_setting(board))}</p>
{_nav(board, bool(tasks))}
{"".join(sections)}
<p class="soft">Made by hwgym {escape(__version__)} from the runs' solutions, each costed
again.</p>
</main>
<script type="application/json" id="data">{encoded}</script>
<script>{_plotly_js()}</script>
<script>{page.joinpath("page.js").read_text(encoding="utf-8")}</script>
</body>
</html>
"""


def _plotly_js() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _script(text: str) -> str:
    """Text that may stand in a script element."""
    return text.replace("<", "\\u003c")


def _against_samples(board: Board) -> str:
    return f"{board.distance.capitalize()} against samples"


def _nav(board: Board, has_tasks: bool) -> str:
    links = [("ranking", "Ranking")]
    if board.tracks:
        links.append(("tracks", "Tracks"))
    links += [("samples", _against_samples(board)), ("heat", "By task"), ("improvement", "Pairs")]
    if has_tasks:
        links.append(("assigned", "Solutions"))
    if any(entry.draws for entry in board.entries):
        links.append(("draws", "Other settings"))
    if _references(board):
        links.append(("others", "Results of others"))
    links.append(("reading", "How to read this"))
    return "<nav>" + "".join(f'<a href="#{i}">{text}</a>' for i, text in links) + "</nav>"


def _cell(text: str, value: float | None = None, kind: str = "") -> str:
    if value is None:
        return f'<td class="text {kind}">{escape(text)}</td>'
    number = "inf" if math.isinf(value) else repr(float(value))
    return f'<td data-value="{number}">{escape(text)}</td>'


MANY = 14
"""Columns of a heat map, with that of the rows' names, whose heads have room side by side."""

TEXTS = ("sees", "checked", "best settings", "samples, by its own count", "time")


def _table(heads: Sequence[str], rows: Iterable[str], kind: str = "sortable") -> str:
    if kind.endswith("heat") and len(heads) > MANY:
        kind += " many"
    text = ' class="text"'
    top = "".join(
        f'<th scope="col"{text if head in TEXTS else ""}><span>{escape(head)}</span></th>'
        for head in heads
    )
    return (
        f'<div class="wide"><table class="{kind}"><thead><tr>{top}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _ranking(board: Board) -> str:
    heads = ["score (95 %)", "anytime", f"median {board.distance}", "optimality gap"]
    heads += [f"samples to {r:.0%}".replace("%", " %") for r in REACH]
    heads += ["samples used", "seconds", "seeds", "checked"]
    parts = [
        '<h2 id="ranking">Ranking</h2><p>By score, among agents that see the same; where scores '
        "are equal, by anytime score. A click on a heading sorts by that column.</p>"
    ]
    for sees in board.groups:
        above, below = _ranked(board, sees)
        parts.append(f"<h3>{SEES[sees]}</h3>")
        if above:
            rows = [_line(entry, _cell(str(entry.rank), entry.rank)) for entry in above]
            parts.append(_table(["agent", "rank", *heads], rows))
        if below:
            parts.append(
                f"<p>Below the line, without a rank{'' if above else '; nobody has one'}:</p>"
            )
            parts.append(_table(["agent", *heads], [_line(entry) for entry in below]))
            reasons = (f"<li><b>{escape(e.agent)}</b>: {escape(_why(e))}.</li>" for e in below)
            parts.append(f'<ul class="soft">{"".join(reasons)}</ul>')
    parts += [f'<p class="soft">{escape(remark)}</p>' for remark in _remarks(board)]
    return "".join(parts)


def _line(entry: Entry, rank: str = "") -> str:
    """An agent's row of the ranking, or without a rank of what is below the line."""
    reached = [entry.reach(r)[0] for r in REACH]
    cells = [
        _cell(_score(entry), entry.score.value),
        _cell(_digits(entry.anytime.value), entry.anytime.value),
        _cell(percent(entry.median_regret.value), entry.median_regret.value),
        _cell(f"{entry.gap.value:.3f}", entry.gap.value),
        *(_cell(_samples_to(entry, r), n) for r, n in zip(REACH, reached, strict=True)),
        _cell(f"{entry.samples:,.0f}", entry.samples),
        _cell(_seconds(entry), entry.seconds),
        _cell(_seeds(entry), entry.seeds[1]),
        _cell(entry.standing.name),
    ]
    return f'<tr><th scope="row">{escape(entry.agent)}</th>{rank}{"".join(cells)}</tr>'


def _tracks(board: Board, looks: Looks) -> str:
    if not board.tracks:
        return ""
    parts = [
        '<h2 id="tracks">Tracks</h2><p>The same runs, looked at after few samples and after many. '
        "The picture has the mean score after so many samples, 0 where nothing feasible was found "
        "by then; the shade is its 95 % interval.</p>",
        _chips(board, looks),
        '<div class="chart" id="track"></div>',
    ]
    for track, columns in board.tracks.items():
        rows = []
        for place, name, values in _on_track(board, columns):
            cells = (_cell(_figure(c, v), v) for c, v in zip(columns, values, strict=True))
            rank = _cell(place, float(place) if place else math.inf)
            rows.append(f'<tr><th scope="row">{escape(name)}</th>{rank}{"".join(cells)}</tr>')
        heads = ["agent", "place", *(column.head for column in columns)]
        parts.append(
            f"<h3>{escape(track.name.capitalize())}</h3><p>{escape(track.about)}.</p>"
            + _table(heads, rows)
            + f'<p class="soft">{escape(_about_track(columns))}</p>'
        )
    return "".join(parts)


def _chips(board: Board, looks: Looks) -> str:
    dashes = {"solid": "", "dash": "7 4", "dot": "2 3"}
    parts = []
    for sees in board.groups:
        parts.append(f'<span class="name">{SEES[sees].lower()}</span>')
        for entry in board.seeing(sees):
            line = (
                '<svg width="22" height="8" aria-hidden="true"><line x1="0" y1="4" x2="22" y2="4" '
                f'stroke="{looks.colour(entry.agent)}" stroke-width="3" '
                f'stroke-dasharray="{dashes[looks.dash(entry.agent)]}"/></svg>'
            )
            pressed = "true" if entry.place <= SHOWN else "false"
            name = escape(entry.agent)
            parts.append(
                f'<button type="button" data-agent="{name}" aria-pressed="{pressed}">'
                f"{line}{name}</button>"
            )
    return f'<div class="chips" role="group" aria-label="agents shown">{"".join(parts)}</div>'


def _select(chart: str, options: Iterable[tuple[str, str]], label: str) -> str:
    listed = "".join(f'<option value="{escape(v)}">{escape(t)}</option>' for v, t in options)
    return f'<label>{label} <select data-chart="{chart}">{listed}</select></label>'


def _curves(board: Board, looks: Looks, tasks: Sequence[Task]) -> str:
    options = [("all", "all tasks"), *((t.env_id, _label(board, t)) for t in tasks)]
    return (
        f'<h2 id="samples">{_against_samples(board)}</h2>'
        "<p>The median over runs after so many samples; the shade is its 95 % interval. A line "
        "begins where more than half of the runs have found something feasible.</p>"
        + _chips(board, looks)
        + _select("curves", options, "Task")
        + '<div class="chart" id="curves"></div>'
        "<h3>Performance profiles</h3>"
        f"<p>Which share of its runs an agent ends within a given {board.distance}: the higher the "
        "line, the better.</p>" + _chips(board, looks) + '<div class="chart" id="profiles"></div>'
    )


def _heat(board: Board) -> str:
    heads = ["task", *(entry.agent for entry in board.entries)]
    rows = []
    for i, task in enumerate(board.tasks):
        cells = []
        for entry in board.entries:
            regret = entry.regret_on(i)
            text = percent(regret).replace(" %", "") if math.isfinite(regret) else "none"
            style, value = _colour(regret), regret
            if math.isnan(regret):
                text, value = "", math.inf
            number = "inf" if math.isinf(value) else repr(float(value))
            cells.append(f'<td style="{style}" data-value="{number}">{text}</td>')
        title = family_of(task.env_id).view.title(problem_of(task.env_id))
        rows.append(
            f'<tr><th scope="row" title="{escape(title)}">{escape(_label(board, task))}</th>'
            f"{''.join(cells)}</tr>"
        )
    return (
        f'<h2 id="heat">By task</h2><p>Median {board.distance} of an agent on a task, in percent; '
        '"none" where most of its runs found nothing feasible.</p>'
        + _table(heads, rows, "sortable heat")
    )


# ColorBrewer's Blues, from good to bad.
SHADES = ("#f7fbff", "#deebf7", "#c6dbef", "#9ecae1", "#6baed6", "#4292c6", "#2171b5", "#084594")
STEPS = (1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)


def _colour(regret: float) -> str:
    if math.isnan(regret):
        return "background:#fff"
    if math.isinf(regret):
        return "background:#57606a;color:#fff"
    place = int(np.searchsorted(STEPS, regret, side="right"))
    ink = "#fff" if place >= 5 else "#1f2328"
    return f"background:{SHADES[place]};color:{ink}"


def _improvement(board: Board) -> str:
    parts = [
        '<h2 id="improvement">Pairs</h2><p>How likely a run of the agent at the left scores higher '
        "than one of the agent above, on a task drawn at random; ties count half. Bold where the "
        "95 % interval excludes one half; with one seed each there is none.</p>"
    ]
    for sees in board.groups:
        group = board.seeing(sees)
        if len(group) < 2:
            continue
        rows = []
        for ours in group:
            cells = []
            for theirs in group:
                found = None if ours is theirs else board.improvement(ours, theirs)
                cells.append(_chance(found, ours.seeds[1] > 1 or theirs.seeds[1] > 1))
            rows.append(f'<tr><th scope="row">{escape(ours.agent)}</th>{"".join(cells)}</tr>')
        heads = ["agent", *(entry.agent for entry in group)]
        parts.append(f"<h3>{SEES[sees]}</h3>" + _table(heads, rows, "heat"))
    return "".join(parts)


def _chance(estimate: Estimate | None, has_interval: bool) -> str:
    if estimate is None:
        return "<td></td>"
    value, low, high = estimate
    # Blue for wins, orange for losses, paler towards one half.
    strength = min(abs(value - 0.5) * 2, 1.0) * 0.55
    colour = "0,114,178" if value > 0.5 else "230,159,0"
    text = f"{value:.2f}"
    if has_interval and (low > 0.5 or high < 0.5):
        text = f"<b>{text}</b>"
    return (
        f'<td style="background:rgba({colour},{strength:.2f})" '
        f'title="{low:.2f} to {high:.2f}">{text}</td>'
    )


def _assignments(board: Board, tasks: Sequence[Task]) -> str:
    if not tasks:
        return ""
    return (
        '<h2 id="assigned">Solutions</h2><p>What is chosen at each step: the best solution known '
        "on top, below it the best that each agent found over its seeds, with its "
        f"{board.distance}.</p>"
        + _select("assignments", [(t.env_id, _label(board, t)) for t in tasks], "Task")
        + '<div class="chart" id="assignments"></div>'
    )


def _draws(board: Board) -> str:
    drawn = [entry for entry in board.entries if entry.draws]
    if not drawn:
        return ""
    rows = []
    for entry in drawn:
        d = entry.draws
        assert d is not None
        settings = json.dumps(d.best_settings, default=str) if d.best_settings else "the defaults"
        numbers = "".join(_cell(f"{n:.3f}", n) for n in (d.default, d.best, d.median, d.worst))
        rows.append(
            f'<tr><th scope="row">{escape(entry.agent)}</th>{_cell(entry.sees)}'
            f"{_cell(str(d.count), d.count)}{numbers}{_cell(settings, kind='wrap')}</tr>"
        )
    heads = ["agent", "sees", "draws", "default", "best", "median", "worst", "best settings"]
    return (
        '<h2 id="draws">Other settings</h2><p>The score under settings drawn at random from a '
        "small space that each learner declares, on the tasks and seeds that all draws have: how "
        "much of a rank is tuning.</p>" + _table(heads, rows)
    )


def _others(board: Board) -> str:
    found = _references(board)
    if not found:
        return ""
    parts = ['<h2 id="others">Results of others</h2>']
    for others in found:
        problem, certificate = problem_of(others.env_id), problem_of(others.env_id).certificate()
        rows = []
        for result in others.results:
            minutes = "" if result.minutes is None else f"{result.minutes:g} min"
            value, regret = result.objective / others.scale, problem.regret(result.objective)
            rows.append(
                f'<tr><th scope="row">{escape(result.what)}</th>{_cell(result.samples)}'
                f"{_cell(f'{value:.1f}', result.objective)}"
                f"{_cell(_regret_of(others, result.objective), regret)}{_cell(minutes)}</tr>"
            )
        heads = ["method", "samples, by its own count", others.unit, _above(others), "time"]
        known = "optimum" if certificate.exact else "lower bound"
        unit = problem.statement.objective.unit
        parts.append(
            f"<h3>{escape(others.title)}</h3><p>{escape(others.about)} The problem is "
            f"<code>{escape(others.env_id)}</code>, whose {known} is "
            f"{certificate.yardstick:,.0f} {escape(unit)}. These figures stand beside the ranking "
            "and not in it.</p>" + _table(heads, rows)
        )
    return "".join(parts)


def _reading(board: Board) -> str:
    proven = "The optimum is proven."
    if board.bounded:
        proven = (
            f"Where no optimum is proven ({BOUNDED}), a lower bound stands in its place, and the "
            "regret is called a gap: at most so much is missing."
        )
    return f"""<h2 id="reading">How to read this</h2>
<ul>
<li><b>Task</b>: a problem and a number of samples. At every step of it something is chosen, and
its objective is to be as low as possible, within a limit where there is one.</li>
<li><b>Sample</b>: one complete solution evaluated, whoever evaluates it.</li>
<li><b>Score</b>: {board.yardstick} / objective, 1 at best, 0 where nothing feasible was found.
<b>Regret</b>: objective / optimum - 1. {proven}</li>
<li><b>Anytime</b>: the area under a run's score against the logarithm of samples, from 1 to the
budget, as a share of what a score of 1 throughout would give: it tells agents apart that all end at
the optimum.</li>
<li><b>Ranked</b>: who has run every task of the suite with at least {SEEDS} seeds, or one if it
ignores its seed, without a run that the time limit ended. Everyone else is below the line, with the
reason.</li>
<li><b>Checked</b>: <i>reproduced</i> if every run was run again and found the same solutions at the
same samples; <i>self-reported</i> until then. What the solutions are worth is computed anew for
both.</li>
<li><b>Sees</b>: an agent either uses what each step of a solution cost, or only the totals. The
first have it far easier (as many samples as a step has choices show all there is to know), so the
two are ranked apart.</li>
<li><b>Interval</b>: 95 %, by a bootstrap that draws seeds anew within each task (Agarwal et al.,
NeurIPS 2021). It says what other seeds might have given, not what other tasks would.</li>
<li><b>Samples to</b>: median over runs until the {board.distance} is at most so much; in brackets
the share of runs that get there, if it is less than half.</li>
<li><b>Seconds</b>: median wall time of a run on one thread; * where the time limit ended some.</li>
</ul>
"""
