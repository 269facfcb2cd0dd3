"""What noise knows of accuracy: what is counted, what is chosen, and what the page says of it."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import spearmanr

from benchmarks import quant_proxy, quant_tables
from hwgym.core import problem_of
from hwgym.families.quant import AccuracyTable, NoiseProblem, QuantisedNetwork
from hwgym.families.quant.accuracy import CONFIGURATIONS, HALVES, bits_of, index_of
from hwgym.families.quant.network import NETWORKS

PAGE = Path(__file__).parents[1] / "docs" / "explain" / "precision.md"


@pytest.fixture(scope="module")
def every():
    return quant_proxy.every()


# --- what is counted ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_what_no_table_has_is_what_the_network_answers(name):
    network, told = QuantisedNetwork.load(name), quant_proxy.UNTABULATED[name]
    for half, unquantised, three in zip(HALVES, told["float"], told["3"], strict=True):
        assert quant_tables.scored(network, np.full((6, 2), 3), half)[0] == three
        # Sums of floats are another machine's; one answer may be, too.
        assert abs(quant_tables.scored(network, None, half)[0] - unquantised) <= 1


def test_rank_correlation_is_spearmans():
    rng = np.random.default_rng(0)
    a = rng.integers(9, size=400)
    b = a + rng.normal(size=400) * 3
    ours = quant_proxy.rank_correlation(quant_proxy.codes(a), quant_proxy.codes(b))
    assert ours == pytest.approx(spearmanr(a, b).statistic)


def test_noise_is_what_the_proxys_problem_minimises():
    problem = NoiseProblem(problem_of("HWQuant-Digits-Area-40-v0").widths)
    numbers = np.random.default_rng(0).integers(CONFIGURATIONS, size=50)
    genes = np.searchsorted((2, 4, 8), bits_of(numbers))
    assert_allclose(problem.evaluate(genes).objective, quant_proxy.noise()[numbers], rtol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_alone_is_exact_where_one_layer_differs_from_8_bits(name):
    errors, alone = quant_proxy.errors(name), quant_proxy.alone(name)
    bits = np.full((6, 2), 8)
    base = errors[index_of(bits)]
    assert alone[index_of(bits)] == base
    adds = 0.0
    for layer, pair in ((1, (2, 4)), (5, (4, 2))):
        one = np.full((6, 2), 8)
        one[layer] = bits[layer] = pair
        assert alone[index_of(one)] == pytest.approx(errors[index_of(one)])
        adds += errors[index_of(one)] - base
    assert alone[index_of(bits)] == pytest.approx(base + adds)


@pytest.mark.parametrize("name", NETWORKS)
def test_fitted_leaves_nothing_that_a_layer_explains(name):
    left = quant_proxy.errors(name) - quant_proxy.fitted(name)
    table = left.reshape((9,) * 6)
    for layer in range(6):
        means = table.mean(axis=tuple(axis for axis in range(6) if axis != layer))
        assert_allclose(means, 0, atol=1e-9)
    off = quant_proxy.errors(name) - quant_proxy.alone(name)
    assert (left**2).mean() < (off**2).mean()


# --- what is chosen -------------------------------------------------------------------------------


def test_choices_are_the_least_of_what_is_within_the_limit(every):
    assert len(every) == 30
    for each in every:
        problem, within = problem_of(each.env_id), np.flatnonzero(each.within)
        errors, noise = quant_proxy.errors(each.network), quant_proxy.noise()
        assert errors[each.optimum.number] == errors[within].min()
        assert noise[each.noise.number] == noise[within].min()
        assert quant_proxy.alone(each.network)[each.alone.number] == (
            quant_proxy.alone(each.network)[within].min()
        )
        assert errors[each.uniform.number] == problem.best_uniform()
        least, most = each.equals
        assert 0 == each.optimum.regret <= least <= each.noise.regret <= most
        for choice in (each.noise, each.alone, each.uniform):
            assert choice.number in within
            above = errors[choice.number] / errors[each.optimum.number] - 1
            assert choice.regret == pytest.approx(above)
            wrong = AccuracyTable.load(each.network).wrong[1, choice.number]
            assert choice.held == 1 - wrong / len(quant_tables.images_of(each.network).held)


# --- what is told ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "rows"), [("accuracy", 8), ("order", 8), ("sum", 4), ("choice", 30)]
)
def test_tables_are_well_formed(name, rows):
    lines = quant_proxy.markdown(name).splitlines()
    assert len(lines) == rows + 2
    assert len({line.count("|") for line in lines}) == 1


def test_the_command_prints_all_of_them(capsys):
    quant_proxy.main([])
    printed = capsys.readouterr().out
    assert all(title in printed for title in quant_proxy.TABLES)
    assert "531,441" in printed


def test_the_page_says_what_is_so(every):
    page = PAGE.read_text(encoding="utf-8")
    assert f"has {len(np.unique(quant_proxy.noise()))} values" in page
    correlations = {}
    for name in NETWORKS:
        table = AccuracyTable.load(name)
        good = table.wrong[0] < 0.1 * table.images[0]
        best = np.lexsort((table.loss[0], table.wrong[0]))[:1000]
        both = [np.corrcoef(table.wrong[:, some])[0, 1] for some in (slice(None), good, best)]
        correlations[name] = both
    digits, mnist = correlations["digits"], correlations["mnist5k"]
    assert f"correlate by {digits[0]:.3f} (`digits`) and {mnist[0]:.3f} (`mnist5k`)" in page
    assert f"90 % of the time by {digits[1]:.2f} and {mnist[1]:.2f}" in page
    assert max(digits[2], mnist[2]) <= 0

    assert "mostly promise too much" in page
    for name in NETWORKS:
        assert np.mean(quant_proxy.alone(name) < quant_proxy.errors(name)) > 0.7

    def behind(by):
        return np.array([each.optimum.held - getattr(each, by).held for each in every])

    assert "may be the optimum itself, and the one that is found answer half as many" in page
    assert any(e.equals[0] == 0 and e.noise.held < 0.6 * e.optimum.held for e in every)
    assert abs(np.median(behind("noise"))) < 0.01
    assert "is never far behind" in page
    assert behind("alone").max() < 0.1 < 0.3 < behind("noise").max()
    assert "are behind the noise on most ids" in page
    assert np.mean([e.noise.regret < e.uniform.regret for e in every]) > 0.6
