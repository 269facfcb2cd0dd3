"""What an architect asks: the best array, or the best arrays, for networks.

Tables in, choices out. Three deployments stand side by side:

- ``LP``: every layer has an array of its own, and inputs go through them as through a pipeline;
- ``LS``: one array with one template runs all layers, one after the other;
- ``shared``: one array runs all layers, each with the template that suits it best.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from hwgym._arrays import Bools, Floats, Ints
from hwgym._names import nearest
from hwgym.core.design import BUDGET_RTOL, Deployment
from hwgym.core.metric import METRICS
from hwgym.core.problem import InfeasibleError
from hwgym.costs.loopnest import (
    L1_BYTES,
    L2_BYTES,
    SHAPES,
    Choices,
    Detail,
    Template,
    detail,
    layer_key,
    tabulate,
    template,
)
from hwgym.families.loopnest.design_space import MAPPED_FOR, LoopnestDesign
from hwgym.families.loopnest.problem import KINDS
from hwgym.hardware import Machine
from hwgym.workloads import Layer, Workload

__all__ = [
    "DEPLOYMENTS",
    "OBJECTIVES",
    "Array",
    "Choice",
    "Costs",
    "Given",
    "arrays_of",
    "budget_range",
    "bytes_text",
    "optimum",
    "price",
    "too_small",
    "unfit",
    "within",
]

DEPLOYMENTS = ("LP", "LS", "shared")
"""Every layer on an array of its own; all on one array with one template; all on one array, each
with its best template."""
OBJECTIVES = tuple(MAPPED_FOR)
"""What can be minimised. Of several layers ``edp`` is the sum of each one's energy x latency;
``throughput`` is the period: a pipeline's, or the latency of one array."""


class Array(NamedTuple):
    """What is built.

    Attributes:
        rows, columns: Of PEs.
        l1_bytes, l2_bytes: Of each PE's buffer, and of the shared one.
    """

    rows: int
    columns: int
    l1_bytes: int
    l2_bytes: int

    @property
    def pes(self) -> int:
        """How many PEs it has."""
        return self.rows * self.columns

    def __str__(self) -> str:
        l1, l2 = bytes_text(self.l1_bytes), bytes_text(self.l2_bytes)
        return f"{self.rows} x {self.columns}, L1 {l1}, L2 {l2}"


class Given(NamedTuple):
    """What is fixed of an array; whatever is None is open.

    Attributes:
        shapes: Rows and columns to choose from.
        l1_bytes, l2_bytes: Sizes to choose from.
    """

    shapes: tuple[tuple[int, int], ...] | None = None
    l1_bytes: tuple[int, ...] | None = None
    l2_bytes: tuple[int, ...] | None = None

    def allows(self, array: Array) -> bool:
        """Whether an array is as given."""
        return (
            (self.shapes is None or array[:2] in self.shapes)
            and (self.l1_bytes is None or array.l1_bytes in self.l1_bytes)
            and (self.l2_bytes is None or array.l2_bytes in self.l2_bytes)
        )


def arrays_of(pes: int) -> tuple[tuple[int, int], ...]:
    """Rows and columns of every array of so many PEs.

    Raises:
        ValueError: If the number is not positive.
    """
    if pes < 1:
        raise ValueError(f"an array has at least one PE, got {pes}")
    return tuple((rows, pes // rows) for rows in range(1, pes + 1) if pes % rows == 0)


def bytes_text(number: int) -> str:
    """A size as people write it: ``512 B``, ``128 KB`` (of 1,024 bytes), ``2 MB``."""
    for unit, size in (("MB", 1 << 20), ("KB", 1 << 10)):
        if number >= size and number % size == 0:
            return f"{number // size:,} {unit}"
    return f"{number:,} B"


@dataclass(frozen=True, eq=False, repr=False)
class Costs:
    """What every layer of some networks costs on every array under every template.

    Attributes:
        networks: Whose layers these are, one after the other.
        weights: How much each network counts.
        machine: What is fixed.
        templates: To choose from.
        arrays: To choose from, among them those that are only there to be compared with.
        as_given: (arrays,) those that may be chosen.
        objective: What mappings are best in.
        latency_cycles, energy_nj, power_mw, dram_read_bytes, dram_write_bytes, valid: (layers,
            arrays, templates); all runs of a layer, but power, which is that while it runs.
        area_um2: (arrays,).
        shapes, choices: What mappings were tabulated for.
    """

    networks: tuple[Workload, ...]
    weights: tuple[float, ...]
    machine: Machine
    templates: tuple[Template, ...]
    arrays: tuple[Array, ...]
    as_given: Bools
    objective: str
    latency_cycles: Floats
    energy_nj: Floats
    power_mw: Floats
    dram_read_bytes: Floats
    dram_write_bytes: Floats
    valid: Bools
    area_um2: Floats
    shapes: tuple[tuple[int, int], ...]
    choices: Choices
    _details: dict[Any, Detail] = field(default_factory=dict)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Of all networks."""
        return tuple(layer for network in self.networks for layer in network)

    @cached_property
    def network_of(self) -> Ints:
        """(layers,): the index of each one's network."""
        return np.repeat(np.arange(len(self.networks)), [len(n) for n in self.networks])

    @cached_property
    def cost(self) -> Floats:
        """(layers, arrays, templates): what each adds to the objective, weighted."""
        weight = np.array(self.weights)[self.network_of][:, None, None]
        cost = self.energy_nj if self.objective == "energy" else self.latency_cycles
        if self.objective == "edp":
            cost = cost * self.energy_nj
        return np.asarray(weight * cost, np.float64)

    def usage(self, constraint: str) -> Floats:
        """(layers, arrays, templates): what each takes of the constraint, um^2 or mW."""
        if constraint == "power":
            return self.power_mw
        return np.broadcast_to(self.area_um2[:, None], self.valid.shape)

    def under(self, templates: Sequence[str | Template]) -> Costs:
        """Those of some of the templates alone.

        Raises:
            ValueError: If one is not among them.
        """
        known = [t.name for t in self.templates]
        chosen = [t if isinstance(t, str) else t.name for t in templates]
        for name in chosen:
            if name not in known:
                raise ValueError(nearest("template", name, known))
        at = [known.index(name) for name in chosen]
        tables = ("latency_cycles", "energy_nj", "power_mw", "dram_read_bytes", "dram_write_bytes")
        return replace(
            self,
            templates=tuple(self.templates[i] for i in at),
            **{name: getattr(self, name)[..., at] for name in (*tables, "valid")},
        )

    def detail(self, layer: int, array: int, style: int) -> Detail:
        """Where time and energy of one run of a layer go.

        Raises:
            ValueError: If no mapping fits.
        """
        one, own, chosen = self.layers[layer], self.arrays[array], self.templates[style]
        shape = self._used_shape(layer, array, style)
        key = (layer_key(one), shape, own, chosen.name)
        if key not in self._details:
            self._details[key] = detail(
                one,
                chosen,
                shape,
                own.l1_bytes,
                own.l2_bytes,
                self.machine,
                MAPPED_FOR[self.objective],
                shapes=(),
                choices=self.choices,
            )
        return self._details[key]

    def _used_shape(self, layer: int, array: int, style: int) -> tuple[int, int]:
        """The part of an array that its best mapping runs on: the least of those that cost the
        same, which so needs to look at no part of it."""
        own = self.arrays[array]
        shape = own[:2]
        for i, other in enumerate(self.arrays):
            inside = other.rows <= shape[0] and other.columns <= shape[1]
            if inside and other[2:] == own[2:] and self.valid[layer, i, style]:
                same = all(
                    table[layer, i, style] == table[layer, array, style]
                    for table in (self.latency_cycles, self.energy_nj)
                )
                if same:
                    shape = other[:2]
        return shape


def price(
    networks: Sequence[Workload],
    templates: Sequence[str | Template],
    machine: Machine | None = None,
    objective: str = "latency",
    *,
    weights: Sequence[float] | None = None,
    given: Given | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Costs:
    """What layers cost on all arrays, from tables that are made or read from disk.

    What is given is added to the lists of ``hwgym.costs.loopnest``: tiles that fill smaller
    buffers, and smaller arrays, are tried for larger ones, too, and it shows what else would do.

    Args:
        networks: At least one.
        templates: Those to choose from, at least one.
        machine: What is fixed.
        objective: One of :data:`OBJECTIVES`.
        weights: How much each network counts; by default 1.
        given: What is fixed of the array.
        progress: Called with the layers done, under any template, and all.

    Raises:
        ValueError: If a name is unknown, a size or weight not positive.
    """
    machine = machine or Machine()
    given = given or Given()
    if objective not in OBJECTIVES:
        raise ValueError(nearest("objective", objective, OBJECTIVES))
    mapped_for = MAPPED_FOR[objective]
    styles = tuple(template(t) for t in templates)
    counts = tuple(float(w) for w in (weights or [1.0] * len(networks)))
    if not networks or len(counts) != len(networks):
        raise ValueError(f"every network has a weight: {len(networks)} and {len(counts)}")
    for network, weight in zip(networks, counts, strict=True):
        if not (np.isfinite(weight) and weight > 0):
            raise ValueError(f"the weight of {network.name} must be a positive number: {weight:g}")
    layers = [layer for network in networks for layer in network]
    shapes = _with_default(SHAPES, given.shapes)
    choices = Choices(
        _with_default(L1_BYTES, given.l1_bytes), _with_default(L2_BYTES, given.l2_bytes)
    )
    tables = []
    for number, style in enumerate(styles):

        def told(done: int, each: int, number: int = number) -> None:
            if progress is not None:
                progress(number * each + done, each * len(styles))

        tables.append(tabulate(layers, style, shapes, choices, machine, mapped_for, progress=told))
    sizes = product(shapes, choices.l1_bytes, choices.l2_bytes)
    arrays = tuple(Array(rows, columns, l1, l2) for (rows, columns), l1, l2 in sizes)

    def stacked(name: str) -> Any:
        """(layers, arrays, templates)."""
        return np.stack([getattr(t, name).reshape(len(layers), -1) for t in tables], axis=2)

    repeat = np.array([layer.repeat for layer in layers], np.float64)[:, None, None]
    return Costs(
        networks=tuple(networks),
        weights=counts,
        machine=machine,
        templates=styles,
        arrays=arrays,
        as_given=np.array([given.allows(array) for array in arrays]),
        objective=objective,
        latency_cycles=stacked("latency_cycles") * repeat,
        energy_nj=stacked("energy_nj") * repeat,
        power_mw=stacked("power_mw"),
        dram_read_bytes=stacked("dram_read_bytes") * repeat,
        dram_write_bytes=stacked("dram_write_bytes") * repeat,
        valid=stacked("valid"),
        area_um2=tables[0].area_um2.reshape(-1),
        shapes=shapes,
        choices=choices,
    )


def _with_default(default: Sequence[Any], given: Sequence[Any] | None) -> tuple[Any, ...]:
    """Those tabulated in any case, in their order, so that tables on disk serve again."""
    if given is None or set(given) <= set(default):
        return tuple(default)
    return tuple(sorted({*default, *given}))


# --- optima ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Choice:
    """The best of a deployment.

    Attributes:
        deployment: One of :data:`DEPLOYMENTS`.
        arrays, templates: (layers,) the index of what each layer got.
        objective: The weighted sum over layers; of a pipeline for throughput its period.
        lower_bound: There is nothing below; the objective itself, where it is proven the least.
        used: Of the constraint.
        method: How that is known.
    """

    deployment: str
    arrays: Ints
    templates: Ints
    objective: float
    lower_bound: float
    used: float
    method: str


def optimum(
    costs: Costs, deployment: str, constraint: str, budget: float, allowed: Bools | None = None
) -> Choice:
    """The best within a budget: no other choice has a smaller objective.

    Args:
        costs: Of all layers on all arrays.
        deployment: One of :data:`DEPLOYMENTS`.
        constraint: ``area``, um^2, or ``power``, mW. Those of the layers' own arrays add up; one
            array takes the power of the layer that needs most.
        budget: Of it.
        allowed: (arrays,) those that may be chosen; by default those that are as given.

    Raises:
        InfeasibleError: If nothing fits.
        ValueError: If it is a pipeline of several networks.
    """
    valid = costs.valid & (costs.as_given if allowed is None else allowed)[:, None]
    cost, usage = costs.cost, costs.usage(constraint)
    limit = budget * (1 + BUDGET_RTOL)
    rows = np.arange(len(cost))
    if deployment == "LP":
        _check_pipeline(costs)
        return _pipeline(costs, constraint, budget, valid)
    if deployment == "LS":
        whole: Bools = np.logical_and.reduce(valid, axis=0)
        takes = np.where(whole, usage.max(axis=0), np.inf)
        total = np.where(takes <= limit, cost.sum(axis=0), np.inf)
        array, style = _least(total, takes)
        styles = np.full(len(cost), style)
        method = "exact: every array with every template"
    else:
        fits = valid & (usage <= limit)
        each = np.where(fits, cost, np.inf)
        total = each.min(axis=2).sum(axis=0)
        taken = np.take_along_axis(usage, each.argmin(axis=2)[..., None], axis=2)[..., 0]
        takes = taken.max(axis=0)
        (array,) = _least(total, takes)
        styles = each[:, array].argmin(axis=1)
        method = "exact: every array, with every layer's best template on it"
    if not np.isfinite(total[array] if total.ndim == 1 else total[array, style]):
        raise InfeasibleError("nothing fits")
    at = rows, np.full(len(cost), array), styles
    objective, used = float(cost[at].sum()), float(usage[at].max())
    return Choice(deployment, at[1], styles, objective, objective, used, method)


def _least(total: Floats, takes: Floats) -> tuple[int, ...]:
    """Where the least is; of several the one that takes least."""
    equal = np.argwhere(total == total.min())
    return tuple(int(i) for i in min(equal, key=lambda at: float(takes[tuple(at)])))


def _pipeline(costs: Costs, constraint: str, budget: float, valid: Bools) -> Choice:
    """That of the family's problem: least latency, energy or product, or the shortest period."""
    metrics = METRICS[costs.objective], METRICS[constraint]
    kind = KINDS.of(costs.objective, Deployment.LP)
    problem = kind(_design(costs, valid), *metrics, budget=budget)
    best = problem.certificate()
    arrays, styles = np.divmod(problem.space.encode(best.assignment), len(costs.templates))
    usage = costs.usage(constraint)[np.arange(len(arrays)), arrays, styles]
    weight = costs.weights[0]
    return Choice(
        "LP",
        arrays,
        styles,
        weight * best.objective,
        weight * best.lower_bound,
        float(usage.sum()),
        best.method,
    )


def _design(costs: Costs, valid: Bools) -> LoopnestDesign:
    """All layers on the arrays and under the templates of a mask, as the family's problems have
    them."""
    tables: dict[str, Any] = {
        "latency_cycles": costs.latency_cycles.astype(np.int64),
        "energy_nj": costs.energy_nj,
        "dram_read_bytes": costs.dram_read_bytes,
        "dram_write_bytes": costs.dram_write_bytes,
        "area_um2": costs.usage("area"),
        "power_mw": costs.power_mw,
        "valid": valid,
    }
    return LoopnestDesign(
        costs.networks[0],
        costs.templates,
        costs.shapes,
        costs.choices.l1_bytes,
        costs.choices.l2_bytes,
        costs.machine,
        MAPPED_FOR[costs.objective],
        **{name: each.reshape(len(costs.layers), -1) for name, each in tables.items()},
    )


def _check_pipeline(costs: Costs) -> None:
    if len(costs.networks) > 1:
        raise ValueError(
            "LP is a pipeline of the layers of one network; several share an array: LS or shared"
        )


def budget_range(
    costs: Costs, deployment: str, constraint: str, allowed: Bools | None = None
) -> tuple[float, float]:
    """The least and the greatest that a deployment can take of the constraint; platforms are shares
    of what lies between. Infinite and 0 where nothing is valid for some layer.

    Raises:
        ValueError: If it is a pipeline of several networks.
    """
    valid = costs.valid & (costs.as_given if allowed is None else allowed)[:, None]
    usage = costs.usage(constraint)
    if deployment == "LP":
        _check_pipeline(costs)
        least = np.where(valid, usage, np.inf).min(axis=(1, 2)).sum()
        most = np.where(valid, usage, 0.0).max(axis=(1, 2)).sum()
    elif deployment == "LS":
        whole = valid.all(axis=0)
        takes = usage.max(axis=0)
        least = np.where(whole, takes, np.inf).min()
        most = np.where(whole, takes, 0.0).max()
    else:
        whole = valid.any(axis=2).all(axis=0)
        each = np.where(valid, usage, np.inf).min(axis=2).max(axis=0)
        least = np.where(whole, each, np.inf).min()
        most = np.where(whole, np.where(valid, usage, 0.0).max(axis=(0, 2)), 0.0).max()
    return float(least), float(most)


# --- why nothing fits -----------------------------------------------------------------------------


def unfit(costs: Costs) -> str | None:
    """Why some layer fits none of the arrays that are as given, whatever the budget; None if all
    do."""
    valid = costs.valid[:, costs.as_given].any(axis=(1, 2))
    if valid.all():
        return None
    layer = costs.layers[int(np.flatnonzero(~valid)[0])]
    built = [a for a, given in zip(costs.arrays, costs.as_given, strict=True) if given]
    return too_small(layer, costs.templates, built, costs.machine, costs.shapes)


def too_small(
    layer: Layer,
    templates: Sequence[Template],
    arrays: Sequence[Array],
    machine: Machine,
    shapes: Sequence[tuple[int, int]] = SHAPES,
) -> str:
    """Which buffer of arrays is too small for any mapping of a layer, and what it must be at least,
    on one of these arrays or on one of ``shapes`` inside."""
    inside = [s for s in shapes if any(s[0] <= a.rows and s[1] <= a.columns for a in arrays)]
    tried = tuple(dict.fromkeys([*inside, *(a[:2] for a in arrays)]))
    needs = {t.name: _least_bytes(layer, t, tried, machine) for t in templates}
    most = max(a.l1_bytes for a in arrays), max(a.l2_bytes for a in arrays)
    for level, (name, own) in enumerate(zip(("L1", "L2"), most, strict=True)):
        least = min(pair[level] for pair in needs.values())
        if own < least:
            return (
                f"{name} of {bytes_text(own)} holds no tile of layer {layer.name}: "
                f"at least {least:,} bytes"
            )
    asked = "; ".join(f"{name} {l1:,} and {l2:,} bytes" for name, (l1, l2) in needs.items())
    return (
        f"L1 of {bytes_text(most[0])} and L2 of {bytes_text(most[1])} hold no tile of layer "
        f"{layer.name}: at least {asked}"
    )


def _least_bytes(
    layer: Layer, style: Template, shapes: Sequence[tuple[int, int]], machine: Machine
) -> tuple[int, int]:
    """Bytes of L1 and L2 that some mapping needs at least, on any of some arrays."""
    # Of buffers that hold nothing the lattice has the mapping that needs least.
    nothing = Choices((1,), (1,))
    least = tabulate([layer], style, shapes, nothing, machine).least
    return int(least[..., 0].min()), int(least[..., 1].min())


def within(costs: Costs, deployment: str, constraint: str, given: Given) -> dict[str, float]:
    """The least that a deployment takes of a constraint: as ``given``, and, by the names of its
    fields, with one of the things that are given left open."""
    found = {}
    for name in ("given", *(n for n in Given._fields if getattr(given, n) is not None)):
        opened = given if name == "given" else given._replace(**{name: None})
        allowed = np.array([opened.allows(array) for array in costs.arrays])
        found[name] = budget_range(costs, deployment, constraint, allowed)[0]
    return found
