"""Which ids say nothing: their budget does not bind, or the best uniform assignment is within 1 %
of the optimum. Every problem is built and solved, which takes about ten seconds.

    python -m benchmarks.silent               # the list, as hwgym/families/assignment/silent.txt
    python -m benchmarks.silent --why         # every id: does the budget bind, how far is uniform
    python -m benchmarks.silent AlexNet ViT   # only these models
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from hwgym._names import nearest
from hwgym.families.assignment import AssignmentProblem
from hwgym.families.assignment.ids import MODELS, RELEASED_MODELS, all_ids, says_something


def problems(models: Sequence[str] = ()) -> Iterator[tuple[str, AssignmentProblem]]:
    """Every id that poses one problem, with it; of some models, or of all."""
    for env_id, described in all_ids():
        if not models or described["workload"] in models:
            yield env_id, AssignmentProblem.of(**described)


def silent(models: Sequence[str] = ()) -> list[str]:
    """The ids that say nothing, sorted."""
    return sorted(i for i, problem in problems(models) if not says_something(problem))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--why", action="store_true", help="say of every id what it is judged by")
    given = parser.parse_args(arguments)
    known = tuple(dict.fromkeys((*MODELS, *RELEASED_MODELS)))
    for name in given.models:
        if name not in known:
            parser.error(nearest("model", name, known))
    if not given.why:
        print("\n".join(silent(given.models)))
        return
    for env_id, problem in problems(given.models):
        over = problem.best_uniform() / problem.optimum().objective - 1
        mark = " " if says_something(problem) else "-"
        print(f"{mark} {env_id}  binds: {problem.binds}  best uniform: +{over:.3%}")


if __name__ == "__main__":
    main()
