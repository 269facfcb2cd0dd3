"""Which ids say nothing: their budget does not bind, or the best uniform assignment is within 1 %
of the optimum. Every problem is built and solved; those of one family take from ten seconds to some
minutes.

    python -m benchmarks.silent                      # the list, as assignment's silent.txt has it
    python -m benchmarks.silent --family systolic    # that of another family
    python -m benchmarks.silent --why                # every id: does it bind, how far is uniform
    python -m benchmarks.silent AlexNet ViT          # only these models
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any

from hwgym._names import nearest
from hwgym.families import FAMILIES
from hwgym.families.layered import says_something

NAMES = tuple(
    family.name for family in FAMILIES if files(family.module).joinpath("silent.txt").is_file()
)
"""The families whose ids are every combination but those that say nothing."""


def described(family: str) -> dict[str, dict[str, Any]]:
    """Every id of a family that poses one problem, also those that say nothing, with what describes
    it."""
    return dict(importlib.import_module(f"hwgym.families.{family}.ids").all_ids())


def problems(family: str, models: Sequence[str] = ()) -> Iterator[tuple[str, Any]]:
    """Every id that poses one problem, with it; of some models, or of all."""
    make = next(f.make for f in FAMILIES if f.name == family)
    for env_id, kwargs in described(family).items():
        if not models or kwargs["workload"] in models:
            yield env_id, make(**kwargs)


def silent(family: str, models: Sequence[str] = ()) -> list[str]:
    """The ids that say nothing, sorted."""
    return sorted(i for i, problem in problems(family, models) if not says_something(problem))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--family", default=NAMES[0], choices=NAMES, help=f"by default {NAMES[0]}")
    parser.add_argument("--why", action="store_true", help="say of every id what it is judged by")
    given = parser.parse_args(arguments)
    known = tuple(dict.fromkeys(k["workload"] for k in described(given.family).values()))
    for name in given.models:
        if name not in known:
            parser.error(nearest("model", name, known))
    if not given.why:
        print("\n".join(silent(given.family, given.models)))
        return
    for env_id, problem in problems(given.family, given.models):
        over = problem.best_uniform() / problem.optimum().objective - 1
        mark = " " if says_something(problem) else "-"
        print(f"{mark} {env_id}  binds: {problem.binds}  best uniform: +{over:.3%}")


if __name__ == "__main__":
    main()
