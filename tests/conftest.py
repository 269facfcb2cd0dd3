"""What several test modules share: settings, small workloads, and the brute-force oracle."""

import itertools
import math
import os
import re
from pathlib import Path

# Before torch or numpy start theirs: the tests run in several processes already.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tables of loop nests: computed once for all processes, not among the user's own.
os.environ.setdefault("HWGYM_CACHE", str(Path(__file__).parents[1] / "build" / "cache"))

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import settings

from hwgym import Layer, Workload

mpl.use("agg")
pytest.register_assert_rewrite("contract")  # its assertions say what they compared, too

# Examples are cheap but the first may fill a cache: no deadline. No database: leave no files.
settings.register_profile("hwgym", deadline=None, database=None, max_examples=40)
settings.load_profile("hwgym")


def needs_torch(text=None):
    """Skip where PyTorch or stable-baselines3 is missing, if a text uses them or none is given."""
    if text is None or re.search(r"torch|sb3|stable_baselines|\breinforce\b|\bppo\b", text):
        pytest.importorskip("stable_baselines3")
        pytest.importorskip("sb3_contrib")
        # More threads would wait for each other where tests run side by side.
        pytest.importorskip("torch").set_num_threads(1)


def finite(value):
    """Whether every number among JSON values is one."""
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    if isinstance(value, list):
        return all(map(finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def assert_same(a, b):
    """Equal in type, structure and every bit."""
    assert type(a) is type(b) or (isinstance(a, dict) and isinstance(b, dict))
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, (tuple, list)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        if a.dtype == object:
            for x, y in zip(a, b, strict=True):
                assert_same(x, y)
        else:
            np.testing.assert_array_equal(a, b)
    else:
        assert a == b


@pytest.fixture(scope="session")
def three_kinds():
    """One layer of each kind; the middle one runs twice."""
    return Workload(
        "three-kinds",
        (
            Layer("conv", "CONV", K=16, C=8, OY=14, OX=7, R=3, S=3),
            Layer("depthwise", "DSCONV", K=1, C=24, OY=7, OX=14, R=5, S=3, repeat=2),
            Layer.gemm("gemm", M=20, N=30, K=40),
        ),
    )


@pytest.fixture(scope="session")
def every_assignment():
    """All assignments of a small problem, as action numbers (N, steps)."""

    def listed(problem):
        choices = itertools.product(range(problem.num_actions), repeat=problem.num_steps)
        return np.array(list(choices))

    return listed


@pytest.fixture(scope="session")
def brute_force(every_assignment):
    """The least objective of a small problem, by looking at every assignment."""

    def least(problem):
        scores = problem.evaluate_actions(every_assignment(problem))
        return float(scores.objective[scores.feasible].min())

    return least


@pytest.fixture
def run():
    """Run a command: exit code, standard output, standard error."""
    from typer.testing import CliRunner  # which tests of the bare package do without

    from hwgym.cli.app import app

    def invoke(*arguments):
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        return result.exit_code, result.stdout, result.stderr

    return invoke
