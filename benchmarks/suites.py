"""Which problems of HWAssignMulti the leaderboard's suites have: the first whose budgets bind.

A problem whose budget does not bind is solved by what is best for each layer alone, and tells no
agents apart. Numbers are those of the splits; whatever changes what a split draws changes them, and
then the suites are written anew, and runs on them made again.

    python -m benchmarks.suites            # write hwgym/leaderboard/suites.json anew
    python -m benchmarks.suites --check    # say whether that would change it
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

from hwgym.core import Problem, problem_of
from hwgym.families.layered.ids import MODELS

FILE = Path(__file__).parents[1] / "hwgym" / "leaderboard" / "suites.json"
TEST, ZOO, OOD = (f"HWAssignMulti-{split}-v0" for split in ("Test", "Zoo", "OOD"))
TIMES = 3
"""So often a published network is in ``multi-zoo``."""


def binding(env_id: str, wanted: int, numbers: Iterable[int] | None = None) -> list[int]:
    """The first problems of a split whose budgets bind, of all or of some numbers."""
    of = count() if numbers is None else numbers
    return list(islice((n for n in of if _binds(problem_of(f"{env_id}#{n}"))), wanted))


def _binds(problem: Problem) -> bool:
    return bool(problem.binds)  # type: ignore[attr-defined]  # of all design problems


def every_network() -> list[int]:
    """The first problems of every published network whose budgets bind, network by network."""
    networks = len(MODELS)
    return [n for i in range(networks) for n in binding(ZOO, TIMES, count(i, networks))]


def numbered() -> dict[str, dict[str, list[int]]]:
    """The problems of each suite: numbers by environment."""
    return {
        "multi-smoke": {TEST: binding(TEST, 5)},
        "multi-test": {TEST: binding(TEST, 100)},
        "multi-zoo": {ZOO: every_network()},
        "multi-ood": {OOD: binding(OOD, 50)},
        "multi-search": {split: binding(split, 4) for split in (TEST, ZOO, OOD)},
    }


def written(suites: Mapping[str, Mapping[str, Any]]) -> str:
    """The text of the file with those numbers: as JSON, a list of numbers a line."""
    found = {name: dict(told) for name, told in suites.items()}
    for name, numbers in numbered().items():
        found[name]["numbered"] = numbers
    text = json.dumps(found, indent=2)
    return re.sub(r"\[\s+([\d,\s]+?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    given = parser.parse_args(arguments)
    before = FILE.read_text(encoding="utf-8")
    after = written(json.loads(before))
    print("as it is" if before == after else "changed")
    if before != after and not given.check:
        FILE.write_text(after, encoding="utf-8")
    raise SystemExit(given.check and before != after)


if __name__ == "__main__":
    main()
