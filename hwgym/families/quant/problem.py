"""The problems of precision: how many bits do each layer's weights and activations get?

Accuracy comes from one of two places, and a problem's name says which: from a table of what a
really quantised network answers (:class:`AccuracyProblem`), or from a sum of the noise that
quantisation adds to each layer (:class:`NoiseProblem`), which is a proxy.
"""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from numbers import Real
from typing import Any

import numpy as np

from hwgym._arrays import Bools, Floats, Ints
from hwgym._names import nearest
from hwgym.core.certificate import Certificate
from hwgym.core.metric import METRICS, Metric
from hwgym.core.problem import InfeasibleError, Problem, Scores, Statement
from hwgym.core.space import Axis, Space
from hwgym.core.tables import TableProblem, Tables
from hwgym.core.veil import check_lifted
from hwgym.costs.precision import BITS, PrecisionCosts, precision_costs
from hwgym.families.layered.design import alike_of, size_features
from hwgym.families.quant.accuracy import BITS as TABULATED_BITS
from hwgym.families.quant.accuracy import AccuracyTable, bits_of
from hwgym.families.quant.budget import Budget
from hwgym.families.quant.network import QuantisedNetwork
from hwgym.workloads import Layer, Workload, load_workload

__all__ = [
    "CONSTRAINTS",
    "HAQ",
    "TABULATED",
    "AccuracyProblem",
    "Bitwidths",
    "NoiseProblem",
    "quant_problem",
]

NAME, VERSION = "quant", 0
CONSTRAINTS = ("energy", "latency", "area")

TABULATED: Mapping[str, str] = {"Digits": "digits", "MNIST5k": "mnist5k"}
"""Networks whose accuracy is tabulated, and the names of their tables."""

HAQ = "HAQ-MobileNetV2"
"""MobileNetV2 with the cycles that HAQ published."""
HAQ_BITS = (1, 2, 3, 4, 5, 6, 7, 8)


@dataclass(frozen=True, eq=False)
class Bitwidths:
    """What every pair of widths costs each layer of a network, and what of that is limited.

    Attributes:
        workload: The network.
        bits: To choose from, of weights and of activations; the last is the reference.
        costs: By metric, (layers, weight bits, activation bits).
        constraint: Which of them is limited.
        share: Of what all layers at the most bits cost.
        model, unit, pes: Where costs come from (:func:`~hwgym.costs.precision.precision_costs`);
            ``haq``, and nothing, where they are HAQ's.

    Raises:
        InfeasibleError: If the fewest bits cost more than the limit.
    """

    workload: Workload
    bits: tuple[int, ...]
    costs: Mapping[str, Floats]
    constraint: Metric
    share: float
    model: str
    unit: str | None = None
    pes: int | None = None

    def __post_init__(self) -> None:
        least = float(self.costs[self.constraint.name].min(axis=(1, 2)).sum())
        if least > self.budget.limit:
            needed = math.ceil(1e4 * least / self.full) / 100
            raise InfeasibleError(
                f"no widths fit {100 * self.share:.6g} % of the {self.constraint.label} at "
                f"{self.bits[-1]} bits: the least that any of {self.workload.name} take is "
                f"{needed:.6g} % of it"
            )

    @property
    def full(self) -> float:
        """What is limited, of the network with the most bits everywhere."""
        return float(self.costs[self.constraint.name][:, -1, -1].sum())

    @cached_property
    def budget(self) -> Budget:
        """What of the limit every choice takes."""
        return Budget(self.costs[self.constraint.name], self.share * self.full)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What is measured beside the objective."""
        return tuple(METRICS[name] for name in self.costs)

    @property
    def space(self) -> Space:
        """The bits of each layer's weights, and of its activations."""
        axes = Axis("weight bits", self.bits), Axis("activation bits", self.bits)
        return Space(len(self.workload), axes)

    def statement(self, objective: Metric, accuracy: Mapping[str, Any], **more: Any) -> Statement:
        """That of a problem; costs are known, so that masks and ``known`` tell of them."""
        layers, taken = self.workload.layers, self.costs[self.constraint.name][:, -1, -1]
        how = {"unit": self.unit, "pes": self.pes} if self.unit else {}
        percent = f"{100 * self.share:.6g} %"
        return Statement(
            key={
                "family": NAME,
                "version": VERSION,
                "cost_model": {"name": self.model, "version": 1, **how},
                "workload": self.workload.name,
                "layers": [[*layer.shape, layer.kind, layer.repeat] for layer in layers],
                "bits": list(self.bits),
                "constraint": self.constraint.name,
                "share": self.share,
                **accuracy,
            },
            title=f"{self.workload.name}, {objective.label} within {percent} of its "
            f"{self.constraint.label} at {self.bits[-1]} bits ({self.model})",
            space=self.space,
            objective=objective,
            metrics=self.metrics,
            constraint=self.constraint,
            limit=self.budget.limit,
            features=np.column_stack([size_features(layers), taken / taken.max()]),
            alike=alike_of(layers),
            work=np.array([layer.macs for layer in layers], np.float64),
            names=tuple(layer.name for layer in layers),
            allowed=self.budget.allowed,
            draws=self.budget.draw,
            repairs=self.budget.repair,
            known={"bits": np.array(self.bits), **self.costs},
            **more,
        )

    def description(self) -> dict[str, Any]:
        """Keyword arguments, but for the network's."""
        how = {"model": self.model, "unit": self.unit, "pes": self.pes, "bits": list(self.bits)}
        asked = {"constraint": self.constraint.name, "share": self.share}
        return asked if self.model == "haq" else {**asked, **how}


@dataclass(frozen=True, eq=False, repr=False)
class AccuracyProblem(Problem):
    """How many bits leave a really quantised network the fewest wrong answers, within a limit?

    The objective is the wrong answers on one half of the test images; between equals the loss L
    decides, as the fraction L / (1 + L). What a solution answers on the other half is told by
    :meth:`accuracy`, not to agents.

    Attributes:
        widths: What is to be chosen, and what it costs.
        table: What every choice answers.
    """

    widths: Bitwidths
    table: AccuracyTable

    @cached_property
    def statement(self) -> Statement:
        return self.widths.statement(
            METRICS["errors"],
            {"accuracy": {"table": self.table.network, "weights": self.table.weights}},
            scale=float(self.table.images[0]),
        )

    def score(self, genes: Ints) -> Scores:
        chosen, steps = np.maximum(genes, 0), np.arange(genes.shape[1])
        done: Bools = np.logical_and.reduce(genes >= 0, axis=2)
        valid: Bools = np.logical_and.reduce(done, axis=1)
        metrics = {
            name: np.where(done, cost[steps, chosen[..., 0], chosen[..., 1]], 0.0).sum(axis=1)
            for name, cost in self.widths.costs.items()
        }
        used = metrics[self.widths.constraint.name]
        objective = np.where(valid, self.table.errors[self._number(chosen)], np.inf)
        return Scores(objective, used, valid, valid & (used <= self.statement.limit), metrics)

    def accuracy(self, genes: Ints, half: str = "held") -> Floats:
        """(N,): share of right answers of complete genes (N, layers, 2).

        Args:
            genes: Solutions.
            half: ``search``, which objectives are from, or ``held``, which no agent sees.

        Raises:
            Withheld: While an agent searches.
            ValueError: If the half is unknown, or the genes are none.
        """
        check_lifted("what is held back")
        return np.asarray(self.table.accuracy(self._number(self.space.check(genes)), half))

    def _number(self, genes: Ints) -> Ints:
        """(N,) of the table's configurations: genes are their digits."""
        digits = genes.reshape(len(genes), genes.shape[1] * genes.shape[2])
        return digits @ len(self.widths.bits) ** np.arange(digits.shape[1])[::-1]

    def reported(self, genes: Ints) -> Mapping[str, Floats]:
        return {"accuracy held back": self.accuracy(genes)}

    def certify(self) -> Certificate:
        started = time.perf_counter()
        used = np.zeros(1)
        for usage in self.widths.budget.usage:  # sums are exact, in any order
            used = (used[:, None] + usage.ravel()).ravel()
        within = np.where(used <= self.statement.limit, self.table.errors, np.inf)
        best = int(within.argmin())
        return Certificate(
            np.searchsorted(self.widths.bits, bits_of(best)),
            float(within[best]),
            float(within[best]),
            f"enumeration of all {len(within):,} choices",
            time.perf_counter() - started,
        )

    @property
    def description(self) -> Mapping[str, Any]:
        names = {table: name for name, table in TABULATED.items()}
        found = self.widths.description()
        del found["bits"]
        return {"workload": names[self.table.network], **found}


@dataclass(frozen=True, eq=False, repr=False)
class NoiseProblem(TableProblem):
    """How many bits add the least noise, a proxy, within a limit?

    A layer's noise is that of its weights plus that of its activations, each as a share of the
    signal's power; the layers' add up at the output (Lin, Talathi, Annapureddy, ICML 2016, equation
    6). Of b uniform bits it is 4^-b, unless it was measured.

    Attributes:
        widths: What is to be chosen, and what it costs.
        weight_noise: (layers, bits) of weights, where it was measured; else None.
    """

    widths: Bitwidths
    weight_noise: Floats | None = None

    @cached_property
    def statement(self) -> Statement:
        measured = None if self.weight_noise is None else self.weight_noise.tolist()
        return self.widths.statement(
            METRICS["noise"],
            {"accuracy": {"proxy": "noise", "weights": measured}},
            scale=float(self._noise.max(axis=(1, 2)).sum()),
        )

    @cached_property
    def _noise(self) -> Floats:
        """(layers, weight bits, activation bits)."""
        uniform = 4.0 ** -np.array(self.widths.bits, np.float64)
        rows = np.broadcast_to(uniform, (len(self.widths.workload), len(uniform)))
        of_weights = rows if self.weight_noise is None else self.weight_noise
        noise: Floats = of_weights[:, :, None] + rows[:, None, :]
        return noise

    def make_tables(self) -> Tables:
        def flat(table: Floats) -> Floats:
            return table.reshape(len(table), -1).copy()

        return Tables(
            flat(self._noise),
            flat(self.widths.budget.usage),
            np.ones(flat(self._noise).shape, bool),
            {name: flat(table) for name, table in self.widths.costs.items()},
        )

    @property
    def description(self) -> Mapping[str, Any]:
        if self.widths.model == "haq":
            return {"workload": HAQ, **self.widths.description()}
        noise = {} if self.weight_noise is None else {"weight_noise": self.weight_noise.tolist()}
        return {"workload": asdict(self.widths.workload), **self.widths.description(), **noise}


@cache
def _haq_cycles() -> Floats:
    """(53, 8, 8), from 1 bit to 8."""
    text = files(__package__).joinpath("data", "haq_mobilenetv2_cycles.csv").read_text("utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    cycles = np.zeros((53, len(HAQ_BITS), len(HAQ_BITS)))
    for row in rows:
        place = int(row["layer"]), int(row["weight_bits"]) - 1, int(row["activation_bits"]) - 1
        cycles[place] = int(row["cycles"])
    cycles.setflags(write=False)
    return cycles


def _haq_layers() -> Workload:
    """MobileNetV2 with its classifier, which the zoo's, as ConfuciuX's, does without."""
    layers = load_workload("MobileNetV2").layers
    classifier = Layer.gemm("classifier", M=1, N=1000, K=1280)
    return Workload("MobileNetV2", (*layers, classifier))


@lru_cache(maxsize=256)
def _problem(
    workload: Workload | str,
    constraint: str,
    share: float,
    model: str,
    unit: str,
    pes: int,
    bits: tuple[int, ...],
    weight_noise: tuple[tuple[float, ...], ...] | None,
) -> Problem:
    limited = METRICS[constraint]
    if workload == HAQ:
        layers = _haq_layers()
        costs: Mapping[str, Floats] = {"latency": _haq_cycles()}
        return NoiseProblem(Bitwidths(layers, bits, costs, limited, share, "haq"))
    table = TABULATED.get(workload) if isinstance(workload, str) else None
    if table:
        layers = Workload(str(workload), QuantisedNetwork.load(table).workload.layers)
    else:
        layers = load_workload(workload)
    found = precision_costs(tuple(layers), bits, model=model, unit=unit, pes=pes)
    for each in found:
        each.setflags(write=False)
    widths = Bitwidths(layers, bits, _named(found), limited, share, model, unit, pes)
    if table:
        return AccuracyProblem(widths, AccuracyTable.load(table))
    measured = None if weight_noise is None else np.array(weight_noise)
    return NoiseProblem(widths, measured)


def _named(costs: PrecisionCosts) -> Mapping[str, Floats]:
    return {name: getattr(costs, name) for name in ("latency", "energy", "area")}


def quant_problem(
    workload: Workload | Mapping[str, Any] | str | os.PathLike[str],
    constraint: str | None = None,
    *,
    share: float | None = None,
    model: str | None = None,
    unit: str | None = None,
    pes: int | None = None,
    bits: Sequence[int] | None = None,
    weight_noise: Sequence[Sequence[float]] | None = None,
) -> Problem:
    """A problem from names, shared: equal arguments give the same object and certificate.

    Args:
        workload: ``Digits`` or ``MNIST5k``, whose accuracy is real and tabulated, for 2, 4 and 8
            bits; ``HAQ-MobileNetV2``, with HAQ's cycles; or what
            :func:`hwgym.workloads.load_workload` takes, with the noise proxy.
        constraint: ``energy`` (nJ), ``latency`` (cycles) or ``area`` (um^2); by default energy, of
            HAQ's latency, which is all it has.
        share: Of what the network costs with the most bits everywhere; by default 0.6.
        model, unit, pes: As :func:`~hwgym.costs.precision.precision_costs` has them; by default
            ``maestro``, ``fusion`` and 64 PEs, or 256 where accuracy is a proxy.
        bits: To choose from, increasing; by default 2 to 8.
        weight_noise: (layers, bits) of each layer's weights, noise by signal, where it was
            measured.

    Raises:
        ValueError: If a name or a number is wrong.
        InfeasibleError: If the fewest bits cost more than the limit (a ValueError, too).
        OSError: If a file cannot be read.
    """
    named = isinstance(workload, str)
    tabulated, haq = named and workload in TABULATED, named and workload == HAQ
    constraints = ("latency",) if haq else CONSTRAINTS
    constraint = constraint or constraints[0]
    if constraint not in constraints:
        raise ValueError(nearest("constraint", constraint, constraints))
    share = 0.6 if share is None else share
    if isinstance(share, bool) or not isinstance(share, Real) or not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share!r}")
    given = {"model": model, "unit": unit, "pes": pes, "bits": bits, "weight_noise": weight_noise}
    fixed = {"bits", "weight_noise"} if tabulated else set(given) if haq else set()
    for name in sorted(fixed):
        if given[name] is not None:
            raise ValueError(f"{name} is not to be chosen of {workload}")
    if haq:
        widths: tuple[int, ...] = HAQ_BITS
    elif tabulated:
        widths = TABULATED_BITS
    else:
        widths = BITS if bits is None else tuple(int(b) for b in bits)
        workload = load_workload(workload)
    noise = None
    if weight_noise is not None:
        noise = _checked(weight_noise, len(workload), len(widths))
    return _problem(
        workload,
        constraint,
        float(share),
        model or "maestro",
        unit or "fusion",
        pes if pes is not None else 64 if tabulated else 256,
        widths,
        noise,
    )


def _checked(noise: Sequence[Sequence[float]], layers: int, bits: int) -> Any:
    values = np.asarray(noise, np.float64)
    if values.shape != (layers, bits) or not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError(
            f"weight_noise must be numbers of at least 0 of each of {layers} layers and {bits} "
            f"widths, got shape {values.shape}"
        )
    return tuple(map(tuple, values.tolist()))
