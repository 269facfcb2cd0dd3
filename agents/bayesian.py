"""Search with optuna's samplers, and CMA-ES (packages ``optuna`` and ``cmaes``).

All of them see totals only. Their trouble is the dimension: MobileNetV2's 52 layers have 104 levels
to choose. A Gaussian process sees far too few points, Parzen estimators hardly more, and CMA-ES
adapts one variance a dimension, for a full covariance would take more samples than there are. Two
things help every one of them: they begin with uniform solutions, and by default steps that are
alike (layers of the same shape) get the same choice, which leaves fewer dimensions (and excludes
solutions, so that the optimum may be out of reach).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from hwgym._arrays import Floats, Ints
from hwgym._names import nearest
from hwgym.core import Evaluator, Scores, Sees, Statement

from .common import Judge, first_solutions

try:
    import cmaes  # type: ignore[import-untyped, import-not-found, unused-ignore]
    import optuna  # type: ignore[import-not-found, unused-ignore]
except ImportError as error:
    raise ImportError(f"no module {error.name!r}: pip install 'hwgym[search]'") from error

__all__ = ["CMAES", "OptunaSearch"]

SAMPLERS = ("tpe", "gp", "cmaes", "random")
INVALID = 10.0
"""An invalid solution counts as one that exceeds the limit by this many times the limit."""


class _Variables:
    """What is searched: a gene for every axis of every step, or of every group of steps alike."""

    def __init__(self, statement: Statement, share_alike: bool) -> None:
        space = statement.space
        steps = space.num_steps
        groups = statement.groups if share_alike else [np.array([i]) for i in range(steps)]
        self.first = np.array([members[0] for members in groups])
        self.owner = np.empty(steps, np.int64)
        for group, members in enumerate(groups):
            self.owner[members] = group
        self.sizes = space.sizes[self.first].ravel()
        self.ordered = space.ordered_at[self.first].ravel()

    def genes(self, values: Ints) -> Ints:
        """Genes (N, steps, axes) of values (N, variables)."""
        return values.reshape(len(values), len(self.first), -1)[:, self.owner]

    def values(self, genes: Ints) -> Ints:
        """Values (N, variables) of genes (N, steps, axes)."""
        return genes[:, self.first].reshape(len(genes), -1)


@dataclass
class OptunaSearch:
    """Search with one of optuna's samplers: tpe, gp, cmaes or random.

    The limit is a constraint to ``tpe`` and ``gp``, and a penalty to the others. The samplers are
    slow: with 60 variables a proposal takes a tenth of a second (``tpe``) to seconds (``gp``), more
    from trial to trial. So by default ``max_trials`` ends the search with samples left.
    """

    sampler: Literal["tpe", "gp", "cmaes", "random"] = "tpe"
    """Tree-structured Parzen estimator, Gaussian process, CMA-ES, or none."""
    max_trials: int | None = 1000
    """Trials after which it ends, the uniform solutions not counted; None: never."""
    max_gp_trials: int = 60
    """Trials of ``gp`` after which ``tpe`` goes on in its place, knowing all of them."""
    share_alike: bool = True
    """Give steps that are alike the same choice."""
    start_share: float = 0.05
    """Share of the samples for uniform solutions to begin with."""
    told: int = 10
    """How many of these, the best ones, the sampler hears of."""
    penalty: float = 3.0
    """Charge for exceeding the limit, for ``cmaes``: times the share exceeded, in units of the
    objective of the best uniform solution."""

    sees: ClassVar[Sees] = "totals"

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise ValueError(nearest("sampler", self.sampler, SAMPLERS))

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Ask and tell until ``max_trials`` or the budget is spent."""
        variables = _Variables(evaluator.statement, self.share_alike)
        space: dict[str, Any] = {}
        for i, size in enumerate(variables.sizes.tolist()):
            space[f"x{i}"] = (
                optuna.distributions.IntDistribution(0, size - 1)
                if variables.ordered[i]
                else optuna.distributions.CategoricalDistribution(range(size))
            )
        rng = np.random.default_rng(seed)
        starts, scores = first_solutions(evaluator, self.start_share, rng)
        judge = Judge(evaluator.statement)
        values, excesses = judge(scores)
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                study = optuna.create_study(sampler=self._sampler(self.sampler, seed))
                for i, known in enumerate(variables.values(starts[: self.told]).tolist()):
                    study.enqueue_trial(dict(zip(space, known, strict=True)))
                    self._tell(study, study.ask(space), values[i], excesses[i])
                trials = 0
                while self.max_trials is None or trials < self.max_trials:
                    if self.sampler == "gp" and trials == self.max_gp_trials:
                        study.sampler = self._sampler("tpe", seed)
                    trial = study.ask(space)
                    asked = np.array([[trial.params[name] for name in space]])
                    values, excesses = judge(evaluator.evaluate(variables.genes(asked)))
                    self._tell(study, trial, values[0], excesses[0])
                    trials += 1
        finally:
            optuna.logging.set_verbosity(verbosity)

    def _tell(self, study: Any, trial: Any, value: float, over: float) -> None:
        over = min(float(over), INVALID)
        trial.set_user_attr("excess", over)  # which tpe and gp keep at or below 0
        study.tell(trial, float(value) + (0.0 if self.constrained else self.penalty * over))

    @property
    def constrained(self) -> bool:
        """Whether the sampler knows constraints."""
        return self.sampler in ("tpe", "gp")

    def _sampler(self, name: str, seed: int) -> Any:
        samplers = optuna.samplers
        if name == "random":
            return samplers.RandomSampler(seed=seed)
        if name == "cmaes":
            return samplers.CmaEsSampler(seed=seed, use_separable_cma=True)
        if name == "gp":
            return samplers.GPSampler(
                seed=seed, deterministic_objective=True, constraints_func=_constraints
            )
        return samplers.TPESampler(seed=seed, multivariate=True, constraints_func=_constraints)


def _constraints(trial: Any) -> tuple[float]:
    return (trial.user_attrs["excess"],)


@dataclass
class CMAES:
    """CMA-ES over continuous levels, from the best uniform solution; restarts when it converges.

    A level is the integer part of a coordinate in [0, levels). The separable variant (Ros and
    Hansen, PPSN 2008) has one variance a coordinate. Exceeding the limit is charged. A restart
    begins at the best solution so far, with a population twice as large.
    """

    population: int | None = None
    """Solutions of a generation; None: 4 + 3 ln(variables)."""
    sigma: float = 0.15
    """First step size, as a share of the levels of an axis."""
    separable: bool = True
    """One variance a coordinate, not the full covariance, while the population is no larger than
    the number of variables."""
    share_alike: bool = True
    """Give steps that are alike the same choice."""
    start_share: float = 0.05
    """Share of the samples for uniform solutions to begin with."""
    penalty: float = 3.0
    """Charge for exceeding the limit: times the share exceeded, in units of the objective of the
    best uniform solution."""

    sees: ClassVar[Sees] = "totals"
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "population": (None, 20, 40),
        "sigma": (0.05, 0.15, 0.3),
        "separable": (True, False),
        "share_alike": (True, False),
        "penalty": (1.0, 3.0, 10.0),
    }

    def __post_init__(self) -> None:
        if self.population is not None and self.population < 4:
            raise ValueError(f"population must be at least 4, got {self.population!r}")
        if not self.sigma > 0:
            raise ValueError(f"sigma must be positive, got {self.sigma!r}")

    def search(self, evaluator: Evaluator, seed: int) -> None:
        """Sample generations until the budget is spent."""
        variables = _Variables(evaluator.statement, self.share_alike)
        sizes = variables.sizes
        rng = np.random.default_rng(seed)
        starts, scores = first_solutions(evaluator, self.start_share, rng)
        judge = Judge(evaluator.statement)
        best = variables.values(starts[:1])[0]
        least = self._charged(judge, scores)[0]
        population = self.population or 4 + int(3 * np.log(len(sizes)))
        bounds = np.stack([np.zeros(len(sizes)), np.ones(len(sizes))], axis=1)
        for restart in range(2**31):
            # The separable variant's learning rates are made for small populations; beyond, its
            # variances may turn negative.
            separable = self.separable and population <= len(sizes)
            kind = cmaes.SepCMA if separable else cmaes.CMA
            optimizer = kind(
                mean=(best + 0.5) / sizes,
                sigma=self.sigma,
                bounds=bounds,
                seed=(seed + 1000003 * restart) % 2**32,
                population_size=population,
            )
            while not optimizer.should_stop():
                points = np.array([optimizer.ask() for _ in range(population)])
                chosen = np.minimum((points * sizes).astype(np.int64), sizes - 1)
                scores = evaluator.evaluate(variables.genes(chosen))
                values = self._charged(judge, scores)
                if len(values) < population:
                    return  # the budget is spent
                optimizer.tell(list(zip(points, values.tolist(), strict=True)))
                if values.min() < least:
                    least, best = values.min(), chosen[values.argmin()]
            population *= 2

    def _charged(self, judge: Judge, scores: Scores) -> Floats:
        value, over = judge(scores)
        return value + self.penalty * np.minimum(over, INVALID)
