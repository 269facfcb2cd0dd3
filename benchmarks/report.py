"""The figures as JSON, as tables on the terminal, and as Markdown; all from the same rows."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import (
    assignments,
    cost,
    growth,
    limits,
    loopnest,
    mappings,
    ppo,
    schedules,
    speed,
    stepping,
)
from benchmarks.measure import Row, Settings, Spread
from benchmarks.targets import bounds, outcomes
from hwgym._files import write_text

Results = dict[str, dict[str, Any]]
"""By part: ``machine``, ``settings`` and ``rows``."""

TITLES = {
    "cost": "Cost model",
    "memory": "Memory of large queries",
    "loopnest": "Loop nests",
    "mappings": "Mappings",
    "schedules": "Schedules",
    "stepping": "Stepping",
    "ppo": "PPO",
    "machine": "What the machine could do",
    "growth": "Growth",
    "assignments": "Complete assignments",
    "speed": "Kinds of environments",
}


DESCRIPTIONS = {
    "cost": cost.__doc__,
    "memory": "Whether memory stays bounded when a query is large.",
    "loopnest": loopnest.__doc__,
    "mappings": mappings.__doc__,
    "schedules": schedules.__doc__,
    "stepping": stepping.__doc__,
    "ppo": ppo.__doc__,
    "machine": limits.__doc__,
    "growth": growth.__doc__,
    "assignments": assignments.__doc__,
    "speed": speed.__doc__,
}


def all_rows(results: Results) -> list[Row]:
    """The rows of every part."""
    return [row for part in results.values() for row in part["rows"]]


def described(settings: Settings) -> dict[str, Any]:
    """The settings without paths: those are of the machine, not of the measurement."""
    values = asdict(settings)
    return values | {name: values[name] is not None for name in ("maestro", "zigzag", "timeloop")}


def save(path: Path, results: Results) -> None:
    """Write the results as JSON."""
    plain = {
        name: {**part, "rows": [asdict(row) for row in part["rows"]]}
        for name, part in results.items()
    }
    write_text(path, json.dumps(plain, indent=1) + "\n")


def load(path: Path) -> Results:
    """Read what :func:`save` wrote; nothing if there is no file.

    Raises:
        ValueError: If the file is not of that kind.
    """
    if not path.exists():
        return {}
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: {**part, "rows": [Row.from_json(row) for row in part["rows"]]}
            for name, part in plain.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} does not hold figures of this benchmark: {error!r}") from error


def number(value: float) -> str:
    """Three digits, or all of them before the point."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 0.01:
        return f"{value:.3g}"
    return f"{value:.2e}"


def times(spread: Spread | None) -> str:
    """A ratio with its spread."""
    if spread is None:
        return ""
    if spread.low == spread.high:
        return number(spread.median)
    return f"{number(spread.median)} ({number(spread.low)} to {number(spread.high)})"


def cells(row: Row) -> tuple[str, str, str, str, str, str]:
    """What, ours, peer, theirs, ratio, more."""
    case = ", ".join(
        f"{name} {value:,}" if isinstance(value, int) else str(value)
        for name, value in row.case.items()
        if value not in ("-", growth.SLOPE)
    )
    ours = f"{number(row.ours.median)} {row.unit}"
    theirs = number(row.theirs.median) if row.theirs else ""
    ratio = times(row.ratio)
    if row.part == limits.PART and row.ratio:
        ratio = f"{row.ratio.median:.1%}"
    if row.case.get("size") == growth.SLOPE:
        case = f"{row.case['axis']}: slope"
        ours = f"{times(row.ours)}; of the larger half {number(row.extra['upper_half'])}"
    elif row.part == growth.PART:
        case = f"{row.case['axis']} {row.case['size']:,}"
    return f"{row.name}: {case}", ours, row.peer, theirs, ratio, _more(row)


def _more(row: Row) -> str:
    extra = row.extra
    parts = []
    if "sampling" in extra:
        parts.append(
            f"drawing actions {extra['sampling']:.0%}, theirs {extra['peer_sampling']:.0%}"
        )
    if "learning" in extra:
        parts.append(f"{extra['learning']:.0%} of our time is learning")
    if "bytes" in extra:
        best = float(f"{extra['at_best_per_second']:.3g}")
        parts.append(f"{extra['bytes']:,.0f} bytes each; at best {number(best)}/s")
    if "points_per_second" in extra:
        parts.append(
            f"peak {extra['peak_bytes'] / 2**30:.2f} GiB, "
            f"{number(extra['points_per_second'])} points/s"
        )
    return "; ".join(parts)


INTRODUCTION = (
    "What `python -m benchmarks` measured; every ratio is of rates taken in the same rounds, on "
    "one core. Medians, with the least and the greatest of the rounds in brackets."
)
HEADINGS = ("what", "ours", "against", "theirs", "ratio", "more")


def show(console: Console, part: str, rows: Sequence[Row]) -> None:
    """Print the table of a part."""
    table = Table(title=TITLES[part], title_justify="left")
    lines = [cells(row) for row in rows]
    shown = [i for i in range(len(HEADINGS)) if any(line[i] for line in lines)]
    for i in shown:
        table.add_column(
            HEADINGS[i], justify="right" if HEADINGS[i] in ("theirs", "ratio") else "left"
        )
    for line in lines:
        table.add_row(*(line[i] for i in shown))
    console.print(table)


def show_targets(console: Console, rows: Sequence[Row]) -> None:
    """Print what was asked for and what was reached."""
    lines = target_lines(rows)
    if lines:
        table = Table(title="Asked and reached", title_justify="left")
        for heading in TARGET_HEADINGS:
            table.add_column(heading)
        for line in lines:
            table.add_row(*line)
        console.print(table)


TARGET_HEADINGS = ("asked", "reached", "best", "worst", "what takes the time of the worst")


def target_lines(rows: Sequence[Row]) -> list[tuple[str, str, str, str, str]]:
    """A line a target."""
    lines = []
    for outcome in outcomes(rows):
        target, best, worst = outcome.target, outcome.rows[0], outcome.rows[-1]
        count = len(outcome.rows)
        if outcome.reached == count:
            verdict = "yes"
        elif outcome.reached:
            verdict = f"in {outcome.reached} of {count} cases"
        else:
            verdict = f"no, {number(target.goal / target.value(best))} times short at best"

        def told(row: Row, value: float = 0.0) -> str:
            return f"{number(value)}: {cells(row)[0]}"

        lines.append(
            (
                target.asked,
                verdict,
                told(best, target.value(best)),
                told(worst, target.value(worst)),
                bounds(worst),
            )
        )
    return lines


def markdown(results: Results, picture: str | None = None) -> str:
    """SPEED.md: targets, then a table a part.

    Args:
        results: What was measured.
        picture: Its path, relative to the file.
    """
    rows = all_rows(results)
    out = ["# Speed", "", INTRODUCTION, ""]  # fmt: skip
    out += [_about(results), ""]
    if picture:
        out += [
            f"![Speed of the cost model and the environments against their peers]({picture})",
            "",
        ]
    lines = target_lines(rows)
    if lines:
        out += ["## Asked and reached", "", *_table(TARGET_HEADINGS, lines), ""]
        missed = [o.target.bound for o in outcomes(rows) if o.reached < len(o.rows)]
        told = dict.fromkeys(bound for bound in missed if bound)
        out += ["What bounds the ones that are missed:", "", *(f"- {b}" for b in told), ""]
    for part, result in results.items():
        out += [f"## {TITLES[part]}", "", *_notes(part, result["rows"])]
        if part == speed.PART:
            out += [*speed.speed_markdown(result["rows"]).splitlines(), ""]
            continue
        table = [cells(row) for row in result["rows"]]
        shown = [i for i in range(len(HEADINGS)) if any(line[i] for line in table)]
        out += _table([HEADINGS[i] for i in shown], [[line[i] for i in shown] for line in table])
        out.append("")
    return "\n".join(out)


def _about(results: Results) -> str:
    """The machine; once, if all parts were measured alike."""
    told: dict[str, list[str]] = {}
    for part, result in results.items():
        m, s = result["machine"], result["settings"]
        packages = ", ".join(f"{name} {v}" for name, v in m["packages"].items())
        text = (
            f"{m['cpu']} ({m['threads']} threads, {m['memory_gib']} GiB), {m['system']}, "
            f"Python {m['python']}, {packages}; {s['rounds']} rounds of at least {s['seconds']} s; "
            f"{m['taken'][:10]}"
        )
        told.setdefault(text, []).append(part)
    load = max(result["machine"]["load_before"] for result in results.values())
    last = f"The load average before a part was {load} at most."
    if len(told) == 1:
        return f"{next(iter(told))}. {last}"
    return "\n".join(
        [*(f"- {', '.join(parts)}: {text}." for text, parts in told.items()), "", last]
    )


def _notes(part: str, rows: Sequence[Row]) -> list[str]:
    """What the part's docstring says, then what its rows note."""
    text = inspect.cleandoc(DESCRIPTIONS[part] or "").replace("``", "`")
    paragraphs = [" ".join(lines.split()) for lines in text.split("\n\n")]
    paragraphs.append(" ".join(dict.fromkeys(row.note for row in rows if row.note)))
    return [line for text in paragraphs if text for line in (text, "")]


def _table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---:" if h in ("theirs", "ratio") else "---" for h in headings]
    return [f"| {' | '.join(line)} |" for line in (headings, rule, *lines)]
