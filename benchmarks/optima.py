"""The proven optimum of every id that poses one problem: ``optima.csv``, which the documentation
shows. Tests prove it anew.

    python -m benchmarks.optima               # write optima.csv anew: some ten minutes
    python -m benchmarks.optima 'HWQuant-*'   # only the rows of these ids; the others stay
    python -m benchmarks.optima --check       # write nothing, and name the rows that would change
"""

from __future__ import annotations

import argparse
import csv
import fnmatch
import io
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from hwgym._files import write_text
from hwgym.core import family_of, problem_of
from hwgym.core.family import kwargs_of, ranked_ids
from hwgym.families import FAMILIES

FILE = Path(__file__).with_name("optima.csv")
ACCURACIES = ["search_accuracy", "held_accuracy"]
"""Of networks whose bits are chosen, on either half of the images."""


def own_ids() -> list[str]:
    """Every id of this suite that poses one problem with a scalar objective."""
    return [env_id for family in FAMILIES for env_id in ranked_ids(family)]


def row(env_id: str) -> dict[str, str]:
    """An id with its problem, what its certificate says, and the best uniform solution, as text;
    what a problem does not have is left out.

    ``best`` is the objective of the best solution known, ``best_...`` what else it is measured by,
    in the metrics' own units.
    """
    problem, family = problem_of(env_id), family_of(env_id)
    found = problem.certificate()
    shown = family.view.describe_solution(problem, found.assignment)
    measured = [metric.column for metric in problem.statement.metrics] + ACCURACIES
    told: dict[str, Any] = {
        "env_id": env_id,
        "family": family.name,
        **{key: value for key, value in kwargs_of(env_id).items() if key != "released"},
        **{key: value for key, value in family.view.describe(problem).items()
           if isinstance(value, str | int | float)},
        "steps": problem.num_steps,
        "best": found.objective,
        "lower_bound": found.lower_bound,
        "relaxation": found.relaxation,
        "best_uniform": problem.best_uniform(),
        **{f"best_{column}": shown[column] for column in measured if column in shown},
    }  # fmt: skip
    return {key: text for key, value in told.items() if (text := str(value))}


@cache
def recorded() -> Mapping[str, Mapping[str, str]]:
    """The rows of ``optima.csv`` by id, as :func:`row` makes them."""
    if not FILE.is_file():
        return {}
    with FILE.open(encoding="utf-8", newline="") as lines:
        return {
            each["env_id"]: {key: value for key, value in each.items() if value}
            for each in csv.DictReader(lines)
        }


def written(rows: Iterable[Mapping[str, str]]) -> str:
    """Rows as CSV; a column that some do not have is empty there."""
    every, out = list(rows), io.StringIO()
    columns = list(dict.fromkeys(key for each in every for key in each))
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(every)
    return out.getvalue()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", default=["*"], help="of ids")
    parser.add_argument("--check", action="store_true", help="write nothing")
    given = parser.parse_args(arguments)
    ids, before = own_ids(), recorded()
    wanted: set[str] = set()
    for pattern in given.patterns:
        if not (alike := fnmatch.filter(ids, pattern)):
            parser.error(f"no id that poses one problem is like {pattern!r}")
        wanted.update(alike)
    changed = {}
    in_order = [env_id for env_id in ids if env_id in wanted]
    for env_id in track(in_order, "ids", console=Console(stderr=True), transient=True):
        if (now := row(env_id)) != before.get(env_id):
            changed[env_id] = now
            print(env_id, flush=True)
    if not given.check:
        rows = {**before, **changed}
        write_text(FILE, written(rows[env_id] for env_id in ids if env_id in rows))
    raise SystemExit(given.check and bool(changed))


if __name__ == "__main__":
    main()
