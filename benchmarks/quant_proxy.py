"""What noise knows of accuracy: the proxy of HWQuant, on networks whose every answer is tabulated.

    python -m benchmarks.quant_proxy    # the tables, in seconds; nothing is kept

The proxy is a sum of 4^-bits, of weights and of activations. The tables say of all 531,441
configurations of ``digits`` and ``mnist5k`` what they answer. So it can be told how the proxy
orders them, and what its optimum within the limit of each id is worth, and the same of two other
sums:

- *alone*: each pair of widths is tried in one layer, all others at 8 bits, and the errors that it
  adds there are added up. That takes 49 configurations.
- *fitted*: the sum over layers that is nearest to all configurations, which is no way to choose but
  says how far any sum can go;

and of *held*, the errors on the other half of the images.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from rich.console import Console
from rich.table import Table

from hwgym._arrays import Array, Bools, Floats, Ints
from hwgym.core import problem_of
from hwgym.core.family import kwargs_of, ranked_ids
from hwgym.families.quant import FAMILY, AccuracyProblem, AccuracyTable, NoiseProblem
from hwgym.families.quant.accuracy import BITS, CONFIGURATIONS, HALVES, bits_of, index_of
from hwgym.families.quant.network import LAYERS, NETWORKS
from hwgym.families.quant.problem import TABULATED

UNTABULATED: Mapping[str, Mapping[str, tuple[int, int]]] = {
    "digits": {"float": (7, 5), "3": (31, 36)},
    "mnist5k": {"float": (14, 13), "3": (65, 51)},
}
"""Wrong answers on both halves without quantisation, and with 3 bits everywhere: no table has them,
and images do not come along. The tests have both, and compare."""

CHOICES = ("noise", "alone", "uniform")
"""What choices are made by."""

_HALVES = ("searched", "held")
_PAIRS = len(BITS) ** 2
_SHAPE = (_PAIRS,) * len(LAYERS)


@cache
def noise() -> Floats:
    """(configurations,): the proxy; sums of powers of 4 are exact."""
    found: Floats = (4.0 ** -bits_of(np.arange(CONFIGURATIONS))).sum(axis=(1, 2))
    return found


def errors(network: str) -> Floats:
    """(configurations,): the objective."""
    return AccuracyTable.load(network).errors


@cache
def alone(network: str) -> Floats:
    """(configurations,): errors as a sum of what layers add alone."""
    of_all: Floats = errors(network).reshape(_SHAPE)
    base = of_all[(-1,) * len(LAYERS)]
    total = np.full(_SHAPE, base)
    for layer in range(len(LAYERS)):
        only: list[int | slice] = [-1] * len(LAYERS)
        only[layer] = slice(None)
        total += _along(of_all[tuple(only)] - base, layer)
    return total.ravel()


@cache
def fitted(network: str) -> Floats:
    """(configurations,): the sum over layers with the least squares to all errors."""
    of_all = errors(network).reshape(_SHAPE)
    mean = of_all.mean()
    total = np.full(_SHAPE, mean)
    for layer in range(len(LAYERS)):
        others = tuple(axis for axis in range(len(LAYERS)) if axis != layer)
        total += _along(of_all.mean(axis=others) - mean, layer)
    return total.ravel()


def _along(values: Array, layer: int) -> Array:
    return values.reshape([-1 if axis == layer else 1 for axis in range(len(LAYERS))])


def codes(values: Array) -> Ints:
    """(N,): values by their order, from 0; equals have the same."""
    found: Ints = np.unique(values, return_inverse=True)[1]
    return found


def rank_correlation(a: Ints, b: Ints) -> float:
    """Spearman's, of codes: equals have the mean of their ranks."""
    ranks = []
    for each in (a, b):
        count = np.bincount(each)
        upto: Ints = np.cumsum(count)
        ranks.append((upto - (count - 1) / 2)[each])
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


# --- within limits --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Choice:
    """A configuration that was chosen within the limit of an id.

    Attributes:
        number: Of the configuration.
        regret: Of its objective.
        held: Its share of right answers on the other half.
    """

    number: int
    regret: float
    held: float


@dataclass(frozen=True, eq=False)
class Found:
    """What sums choose within the limit of an id.

    Attributes:
        env_id: The id.
        network: Of the table.
        within: (configurations,): is the limit kept?
        optimum, noise, alone, uniform: What is best; by noise, as the proxy's problem has it; by
            what layers do alone; of the same bits in all layers.
        equals: Regrets, least and greatest, of all whose noise is as little.
    """

    env_id: str
    network: str
    within: Bools
    optimum: Choice
    noise: Choice
    alone: Choice
    uniform: Choice
    equals: tuple[float, float]


def found(env_id: str) -> Found:
    """Choose within the limit of an id whose accuracy is tabulated."""
    problem = problem_of(env_id)
    assert isinstance(problem, AccuracyProblem)
    name, table = problem.table.network, problem.table
    used = np.zeros(1)
    for usage in problem.widths.budget.usage:  # configurations in order, and exact
        used = (used[:, None] + usage.ravel()).ravel()
    within: Bools = used <= problem.statement.limit

    def regrets(numbers: Ints) -> list[float]:
        scores = problem.evaluate(np.searchsorted(BITS, bits_of(numbers)))
        return [problem.regret(float(value)) for value in scores.objective]

    def chosen(number: int) -> Choice:
        [regret] = regrets(np.array([number]))
        return Choice(number, regret, float(table.accuracy(number)))

    def number_of(genes: Ints) -> Ints:
        return index_of(np.array(BITS)[genes])

    least_noise = NoiseProblem(problem.widths).optimum().assignment
    equals = np.flatnonzero(within & (noise() == noise()[number_of(least_noise)]))
    uniform = problem.space.uniform()
    scores = problem.evaluate(uniform)
    best_uniform = uniform[np.where(scores.feasible, scores.objective, np.inf).argmin()]
    return Found(
        env_id,
        name,
        within,
        chosen(int(number_of(problem.optimum().assignment))),
        chosen(int(number_of(least_noise))),
        chosen(int(np.where(within, alone(name), np.inf).argmin())),
        chosen(int(number_of(best_uniform))),
        (min(regrets(equals)), max(regrets(equals))),
    )


@cache
def every() -> tuple[Found, ...]:
    """All ids whose accuracy is tabulated."""
    ids = ranked_ids(FAMILY)
    return tuple(found(i) for i in ids if kwargs_of(i)["workload"] in TABULATED)


# --- tables ---------------------------------------------------------------------------------------


def accuracy_rows() -> Iterator[list[str]]:
    """Accuracies on both halves, of uniform bits and of the best of all; the first is a header."""
    yield ["", *(f"`{name}`, {half}" for name in NETWORKS for half in _HALVES)]
    tables = [AccuracyTable.load(name) for name in NETWORKS]
    for label in ("float", "8", "4", "3", "2"):
        cells = []
        for table in tables:
            wrong = UNTABULATED[table.network].get(label)
            if wrong is None:
                number = int(index_of(np.full((len(LAYERS), 2), int(label))))
                wrong = tuple(table.wrong[:, number].tolist())
            cells += [_percent(1 - w / n) for w, n in zip(wrong, table.images, strict=True)]
        yield [label if label == "float" else f"{label} bits", *cells]
    for half in range(len(HALVES)):
        cells = []
        for table in tables:
            number = int(np.lexsort((table.loss[half], table.wrong[half]))[0])
            cells += [_percent(float(table.accuracy(number, each))) for each in HALVES]
        yield [f"best of all, {_HALVES[half]}", *cells]
    cells = []
    for table in tables:
        optima = np.array([e.optimum.number for e in every() if e.network == table.network])
        cells += [_percent(float(table.accuracy(optima, each).mean())) for each in HALVES]
    yield ["optima of the ids, mean", *cells]


def order_rows() -> Iterator[list[str]]:
    """How well sums, and the other half, order configurations; the first is a header."""
    yield [
        "network", "by", "configurations tried", "rank correlation", "within limits", "errs by"
    ]  # fmt: skip
    for name in NETWORKS:
        table = AccuracyTable.load(name)
        true, images = codes(errors(name)), table.images[0]
        limits = [each.within for each in every() if each.network == name]
        sums = {
            "noise": (noise(), "0"),
            "alone": (alone(name), f"{len(LAYERS) * (_PAIRS - 1) + 1}"),
            "fitted": (fitted(name), f"{CONFIGURATIONS:,}"),
            "held": (table.wrong[1] * (images / table.images[1]), f"{CONFIGURATIONS:,}"),
        }
        for by, (values, tried) in sums.items():
            ordered = codes(values)
            some = [rank_correlation(ordered[each], true[each]) for each in limits]
            off = 100 * float(np.sqrt(np.mean((values - errors(name)) ** 2))) / images
            yield [
                f"`{name}`",
                by,
                tried,
                f"{rank_correlation(ordered, true):.2f}",
                f"{min(some):.2f} to {max(some):.2f}",
                "-" if by == "noise" else f"{off:.1f} points",
            ]


def choice_rows() -> Iterator[list[str]]:
    """What is chosen within the limit of each id; the first is a header."""
    yield ["HWQuant-", "wrong", "noise", "its equals", "alone", "uniform"]
    for each in every():
        wrong = AccuracyTable.load(each.network).wrong[0, each.optimum.number]
        least, most = each.equals
        yield [
            f"`{each.env_id.removeprefix('HWQuant-')}`",
            f"{wrong} ({_percent(each.optimum.held)})",
            _chosen(each.noise),
            f"{100 * least:,.0f} to {100 * most:,.0f} %" if least < most else "",
            _chosen(each.alone),
            _chosen(each.uniform),
        ]


def sum_rows() -> Iterator[list[str]]:
    """What choices come to over all ids; the first is a header."""
    yield ["by", "regret, median", "held, median", "not behind", "by over 10 points", "at most"]
    for by in ("optimum", *CHOICES):
        choices: list[Choice] = [getattr(each, by) for each in every()]
        behind = [e.optimum.held - c.held for e, c in zip(every(), choices, strict=True)]
        yield [
            by,
            f"{100 * np.median([choice.regret for choice in choices]):,.0f} %",
            _percent(float(np.median([choice.held for choice in choices]))),
            f"{sum(points <= 0 for points in behind)} of {len(behind)}",
            f"{sum(points > 0.1 for points in behind)} of {len(behind)}",
            f"{100 * max(behind):.1f} points",
        ]


def _chosen(choice: Choice) -> str:
    return f"{100 * choice.regret:,.0f} % ({_percent(choice.held)})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


TABLES = {
    "accuracy": accuracy_rows,
    "order": order_rows,
    "sum": sum_rows,
    "choice": choice_rows,
}


def markdown(name: str) -> str:
    """One of :data:`TABLES`."""
    head, *rows = TABLES[name]()
    right = 2 if name == "order" else 1
    rule = ["---"] * right + ["--:"] * (len(head) - right)
    return "".join("| " + " | ".join(line) + " |\n" for line in (head, rule, *rows))


def main(arguments: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__.partition("\n\n")[0]).parse_args(arguments)
    for name, rows in TABLES.items():
        head, *others = rows()
        table = Table(*head, title=name)
        for row in others:
            table.add_row(*(cell.replace("`", "") for cell in row))
        Console(width=120).print(table)


if __name__ == "__main__":
    main()
