"""The quantised networks: what they compute, against torch; tables of all configurations."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import quant_tables
from hwgym.families.quant.accuracy import (
    BITS,
    CONFIGURATIONS,
    HALVES,
    AccuracyTable,
    bits_of,
    index_of,
)
from hwgym.families.quant.network import (
    LAYERS,
    NETWORKS,
    WIDTHS,
    QuantisedNetwork,
    activation_codes,
    activation_step,
    exact,
    weight_codes,
    weight_steps,
)

SHAPES = ({"padding": 1}, {"padding": 1, "stride": 2}, {}, {"padding": 1, "stride": 2}, {}, {})


@pytest.fixture(params=NETWORKS)
def network(request):
    return QuantisedNetwork.load(request.param)


def shown(name):
    """Test images and labels, one half after the other."""
    found = quant_tables.images_of(name)
    halves = [found.half(half) for half in HALVES]
    return [np.concatenate(each) for each in zip(*halves, strict=True)]


class Independent:
    """The network again, from what its module says: torch, integers in float64, images first."""

    def __init__(self, network, images):
        self.network = network
        self.first = torch.from_numpy(images)[:, None]
        self.known = {}

    def logits(self, bits):
        values = self.first
        for layer in range(6):
            values = self.layer(layer, values, tuple(map(tuple, bits[: layer + 1].tolist())))
        return values[:, :, 0, 0].numpy()

    def layer(self, layer, values, bits):
        if (layer, bits) not in self.known:
            found = self.output(layer, values, *bits[-1])
            if layer > 3:  # the last two are of one configuration each
                return found
            self.known[layer, bits] = found
        return self.known[layer, bits]

    def output(self, layer, values, weight_bits, activation_bits):
        net = self.network
        s = torch.tensor(net.activation_steps[layer, activation_bits - 2])
        t = torch.from_numpy(net.weight_steps[layer][weight_bits - 2].copy())
        weights = torch.from_numpy(net.weights[layer].copy())
        if layer == 5:
            values = values.reshape(len(values), -1, 1, 1)
        top = 2 ** (weight_bits - 1) - 1
        p = (weights / t.reshape(-1, *[1] * (weights.ndim - 1))).round().clamp(-top, top)
        p = p.reshape(*p.shape[:2], *(p.shape[2:] or (1, 1)))
        q = (values / s).round().clamp(0, 2**activation_bits - 1)
        groups = q.shape[1] if layer in (1, 3) else 1
        sums = torch.nn.functional.conv2d(q.double(), p.double(), **SHAPES[layer], groups=groups)
        assert sums.abs().max() < 2**24
        scale = (s * t)[:, None, None]
        out = sums.float() * scale + torch.from_numpy(net.biases[layer].copy())[:, None, None]
        return out if layer == 5 else out.relu()


# --- logits ---------------------------------------------------------------------------------------


def test_logits_are_torchs_bit_for_bit(network):
    images, _ = shown(network.name)
    again = Independent(network, images[:260])  # more than a block
    rng = np.random.default_rng(0)
    for bits in (np.full((6, 2), 2), np.full((6, 2), 8), *rng.integers(2, 9, size=(2, 6, 2))):
        logits = network.logits(images[:260], bits)
        assert logits.dtype == np.float32
        np.testing.assert_array_equal(logits, again.logits(bits))


def test_float_logits_are_torchs(network):
    images, labels = shown(network.name)
    values = torch.from_numpy(images)[:, None]
    for layer, more in enumerate(SHAPES):
        weights = torch.from_numpy(network.weights[layer].copy())
        bias = torch.from_numpy(network.biases[layer].copy())
        if layer == 5:
            values = values.reshape(len(values), -1, 1, 1)
        groups = values.shape[1] if layer in (1, 3) else 1
        weights = weights.reshape(*weights.shape[:2], *(weights.shape[2:] or (1, 1)))
        values = torch.nn.functional.conv2d(values, weights, bias, **more, groups=groups)
        values = values if layer == 5 else values.relu()
    found = network.float_logits(images)
    np.testing.assert_allclose(found, values[:, :, 0, 0].numpy(), rtol=1e-3, atol=1e-3)
    assert np.mean(found.argmax(axis=1) == labels) > 0.95


def test_eight_bits_are_close_to_none_and_fewer_farther(network):
    images, labels = shown(network.name)
    exactly = network.float_logits(images)
    answers = {bits: network.logits(images, np.full((6, 2), bits)) for bits in WIDTHS}
    errors = [np.sqrt(np.mean((found - exactly) ** 2)) for found in answers.values()]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.03 * exactly.std()
    assert np.mean(answers[8].argmax(axis=1) != exactly.argmax(axis=1)) < 0.01
    assert np.mean(answers[2].argmax(axis=1) == labels) < 0.9


def test_each_width_is_of_its_own_layer_and_kind(network):
    images, _ = shown(network.name)
    eight = np.full((6, 2), 8)
    before = network.logits(images[:5], eight)
    for layer in range(6):
        for of in range(2):
            bits = eight.copy()
            bits[layer, of] = 2
            assert not np.array_equal(network.logits(images[:5], bits), before)
    # The fully connected layer at 2 bits: sums of at most 512 codes of -1, 0, 1 times 0 to 3.
    bits = eight.copy()
    bits[5] = 2
    logits = network.logits(images[:50], bits)
    sums = (logits.astype(float) - network.biases[5]) / network.scales(5, [2], 2)[0]
    np.testing.assert_allclose(sums, np.rint(sums), atol=1e-3)


def test_images_may_be_none_or_one(network):
    images, _ = shown(network.name)
    bits = np.full((6, 2), 4)
    assert network.logits(images[:0], bits).shape == (0, 10)
    np.testing.assert_array_equal(
        network.logits(images[7:8], bits), network.logits(images[:8], bits)[7:]
    )


def test_the_workload_is_that_of_the_arrays(network):
    layers = network.workload
    assert [layer.name for layer in layers] == list(LAYERS)
    assert [layer.kind for layer in layers] == ["CONV", "DSCONV", "CONV", "DSCONV", "CONV", "GEMM"]
    assert [layer.weights for layer in layers] == [each.size for each in network.weights]
    assert [layer.K for layer in layers if layer.is_depthwise] == [1, 1]
    rows = {"digits": (8, 4, 4, 2, 2, 1), "mnist5k": (14, 7, 7, 4, 4, 1)}[network.name]
    assert tuple(layer.OY for layer in layers) == rows
    before = layers[4]
    assert layers[5].C == before.K * before.OY * before.OX


# --- quantisers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", WIDTHS)
def test_codes_are_all_integers_of_their_width(bits):
    rng = np.random.default_rng(bits)
    top = 2 ** (bits - 1) - 1
    weights = rng.normal(size=(3, 40, 50)).astype(np.float32)
    steps = np.array([0.5, 1, 2], np.float32) / top
    codes = weight_codes(weights, steps, bits)
    assert set(np.unique(codes)) == set(range(-top, top + 1))
    np.testing.assert_array_equal(weight_codes(-weights, steps, bits), -codes)
    # Where nothing is clipped, the error is half a step at most.
    inside = np.abs(weights) <= top * steps[:, None, None]
    errors = np.abs(codes * steps[:, None, None] - weights) / steps[:, None, None]
    assert errors[inside].max() <= 0.5 + 1e-5 * top
    assert np.all(np.abs(codes)[~inside] == top)
    values = rng.uniform(-1, 3, size=5000).astype(np.float32)
    levels = activation_codes(values, np.float32(2 / (2**bits - 1)), bits)
    assert set(np.unique(levels)) == set(range(2**bits))
    assert np.all(levels[values <= 0] == 0)
    assert np.all(levels[values >= 2] == 2**bits - 1)


def test_halves_round_to_even():
    values = np.array([0.5, 1.5, 2.5], np.float32)
    np.testing.assert_array_equal(activation_codes(values, np.float32(1), 4), [0, 2, 2])
    np.testing.assert_array_equal(weight_codes(-values[None], np.ones(1), 4), [[0, -2, -2]])


@pytest.mark.parametrize("bits", WIDTHS)
def test_steps_have_the_least_error_of_their_clips(bits):
    rng = np.random.default_rng(bits)
    weights = rng.standard_t(3, size=(4, 60)).astype(np.float32)
    weights[3] = 0
    steps = weight_steps(weights, bits)
    assert steps[3] == 1

    def error(scale):
        return ((weight_codes(weights, scale, bits) * scale[:, None] - weights) ** 2).sum(axis=1)

    top = np.abs(weights).max(axis=1) / (2 ** (bits - 1) - 1)
    for share in (0.1, 0.3, 0.5, 0.77, 1):
        assert np.all(error(steps) <= error(np.float32(share) * top + (top == 0)) + 1e-4)
    values = np.maximum(rng.standard_t(3, size=500), 0).astype(np.float32)
    step = activation_step(values, bits)
    found = np.sum((activation_codes(values, step, bits) * step - values) ** 2)
    for share in (0.1, 0.3, 0.5, 0.77, 1):
        other = np.float32(share * values.max() / (2**bits - 1))
        assert found <= np.sum((activation_codes(values, other, bits) * other - values) ** 2) + 1e-4
    assert activation_step(np.zeros(3, np.float32), bits) == 1


def test_shipped_steps_follow_from_the_weights_and_the_training_images(network):
    for layer in range(6):
        for bits in WIDTHS:
            np.testing.assert_array_equal(
                network.weight_steps[layer][bits - 2], weight_steps(network.weights[layer], bits)
            )
    images = quant_tables.images_of(network.name).train
    for bits in WIDTHS:
        assert network.activation_steps[0, bits - 2] == activation_step(images, bits)


# --- sums -----------------------------------------------------------------------------------------


def test_sums_stay_where_float32_has_every_integer(network):
    assert max(each[0].size for each in network.weights) <= 512
    assert 127 * 255 * 512 < 2**24
    assert exact(512)
    assert exact(518)
    assert not exact(519)
    assert exact(519, 7, 8)
    assert np.float32(2**24) + np.float32(1) == np.float32(2**24)
    # The greatest sums there can be come out whole, in whatever order they are added.
    layer = max(range(6), key=lambda i: network.weights[i][0].size)
    count = network.weights[layer][0].size
    codes = np.full((1, 1, count), 127, np.float32)
    codes[0, 0, ::7] = 126
    values = np.full((count, 1, 1, 1), 255, np.float32)
    assert network.sums(layer, values, codes).item() == int(codes.sum(dtype=int)) * 255


def test_networks_whose_sums_could_be_inexact_are_refused(network):
    weights = (*network.weights[:5], np.zeros((10, 519), np.float32))
    with pytest.raises(ValueError, match="fc6 sums 519 products; at 8 bits only 518 are exact"):
        QuantisedNetwork(
            "mine",
            network.size,
            weights,
            network.biases,
            network.weight_steps,
            network.activation_steps,
        )
    with pytest.raises(ValueError, match="six layers are needed, got 5"):
        QuantisedNetwork(
            "mine", network.size, weights[:5], network.biases, network.weight_steps, np.ones((6, 7))
        )


# --- errors ---------------------------------------------------------------------------------------


def test_strange_bits_and_images_are_refused(network):
    images, _ = shown(network.name)
    images, bits = images[:3], np.full((6, 2), 8)
    for layer, of, value, said in (
        (0, 0, 1, "conv1: bits of weights must be 2 to 8, got 1"),
        (5, 1, 9, "fc6: bits of activations must be 2 to 8, got 9"),
    ):
        strange = bits.copy()
        strange[layer, of] = value
        with pytest.raises(ValueError, match=said):
            network.logits(images, strange)
    for strange, said in (
        (bits[:5], r"int64 of shape \(5, 2\)"),
        (bits.astype(float), "float64"),
        (8, r"shape \(\)"),
    ):
        with pytest.raises(ValueError, match=said):
            network.logits(images, strange)
    size = f"{network.size[0]}, {network.size[1]}"
    for strange in (images[0], images[:, 1:], images[..., None]):
        for asked in (network.float_logits, lambda given: network.logits(given, bits)):
            with pytest.raises(ValueError, match=rf"images of shape \(N, {size}\), got"):
                asked(strange)


def test_unknown_names_get_a_suggestion():
    for load in (QuantisedNetwork.load, AccuracyTable.load, quant_tables.images_of):
        with pytest.raises(ValueError, match="unknown network 'mnist'; did you mean 'mnist5k'"):
            load("mnist")
    with pytest.raises(ValueError, match="unknown half 'hold'; did you mean 'held'"):
        AccuracyTable.load("digits").accuracy(0, "hold")


def test_nothing_that_is_shared_can_be_written_to(network):
    table = AccuracyTable.load(network.name)
    arrays = (*network.weights, *network.biases, network.activation_steps, table.wrong, table.loss)
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    assert QuantisedNetwork.load(network.name) is network
    assert AccuracyTable.load(network.name) is table


# --- tables ---------------------------------------------------------------------------------------


def test_tables_are_what_the_networks_answer(network):
    """Random configurations, 10 to each of 20 beginnings, so that torch need not do all of them."""
    images, labels = shown(network.name)
    table = AccuracyTable.load(network.name)
    assert table.weights == network.fingerprint
    middle = table.images[0]
    assert sum(table.images) == len(images)
    again = Independent(network, images)
    rng = np.random.default_rng(17)
    for beginning in rng.choice(BITS, size=(20, 4, 2)):
        again.known.clear()
        for end in rng.choice(BITS, size=(10, 2, 2)):
            bits = np.concatenate([beginning, end])
            logits = again.logits(bits).astype(float)
            wrong = logits.argmax(axis=1) != labels
            least = np.log(np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1))
            losses = least + logits.max(axis=1) - logits[np.arange(len(labels)), labels]
            index = index_of(bits)
            for half, part in enumerate((slice(middle), slice(middle, None))):
                assert wrong[part].sum() == table.wrong[half, index]
                loss = losses[part].sum()
                apart = quant_tables.steps_apart(loss, table.loss[half, index])
                assert apart <= 1, (bits, half, loss)


def test_tables_have_every_configuration(network):
    table = AccuracyTable.load(network.name)
    assert table.wrong.shape == table.loss.shape == (len(HALVES), CONFIGURATIONS)
    assert table.wrong.dtype == np.uint16
    assert np.all(table.wrong <= np.array(table.images)[:, None])
    assert np.all(np.isfinite(table.loss))
    assert np.all(table.loss > 0)
    # A wrong answer costs at least log 2.
    assert np.all(table.loss > table.wrong * np.log(2) * (1 - 2**-10))
    eight = index_of(np.full((6, 2), 8))
    assert eight == CONFIGURATIONS - 1
    for half in HALVES:
        assert table.accuracy(eight, half) > 0.95
        assert table.accuracy(0, half) < 0.9
    np.testing.assert_array_equal(
        table.accuracy([0, 5]), 1 - table.wrong[1, [0, 5]] / table.images[1]
    )


def test_numbers_of_configurations_go_to_and_fro():
    index = np.random.default_rng(0).integers(CONFIGURATIONS, size=(40, 5))
    bits = bits_of(index)
    assert bits.shape == (40, 5, 6, 2)
    np.testing.assert_array_equal(index_of(bits), index)
    assert bits_of(1).tolist() == [[2, 2]] * 5 + [[2, 4]]  # activations of the last are fastest
    assert bits_of(3).tolist() == [[2, 2]] * 5 + [[4, 2]]
    assert bits_of(9**5).tolist() == [[2, 4]] + [[2, 2]] * 5
    with pytest.raises(ValueError, match="tables have bits 2, 4, 8, got 3"):
        index_of(np.full((6, 2), 3))
    with pytest.raises(ValueError, match=r"shape \(\.\.\., 6, 2\), got \(2, 6\)"):
        index_of(np.full((2, 6), 2))
    for strange in (-1, CONFIGURATIONS, 0.5):
        with pytest.raises(ValueError, match="integers from 0 to 531,440"):
            bits_of(strange)


def test_tables_survive_their_file():
    rng = np.random.default_rng(3)
    wrong = rng.integers(0, 60_000, size=(2, CONFIGURATIONS)).astype(np.uint16)
    loss = rng.uniform(0, 2000, size=(2, CONFIGURATIONS)).astype(np.float16).astype(np.float32)
    table = AccuracyTable("digits", "abc", (60_000, 59_999), wrong, loss)
    again = AccuracyTable.unpacked(table.packed(preset=0))
    assert (again.network, again.weights, again.images) == ("digits", "abc", (60_000, 59_999))
    np.testing.assert_array_equal(again.wrong, wrong)
    np.testing.assert_array_equal(again.loss, loss)


# --- how they are made ----------------------------------------------------------------------------


def test_images_are_split_without_overlap(network):
    found = quant_tables.images_of(network.name)
    counts = {"digits": (1000, 399, 398), "mnist5k": (4000, 500, 500)}[network.name]
    parts = (found.train, found.search, found.held)
    assert tuple(map(len, parts)) == counts
    assert [len(each) for each in (found.train_labels, *(found.half(h)[1] for h in HALVES))] == [
        *counts
    ]
    every = np.concatenate(parts)
    assert every.dtype == np.float32
    assert every.min() == 0
    assert every.max() == 1
    assert every.shape[1:] == network.size
    assert all(len(np.unique(found.half(half)[1])) == 10 for half in HALVES)


def test_parts_of_a_table_are_kept_and_are_those_of_the_table(tmp_path, monkeypatch):
    """A tree cut down to few bits and images, made in full, broken off, and gone on with."""
    network = QuantisedNetwork.load("digits")
    found = quant_tables.images_of(network.name)
    few = quant_tables.Images(
        found.train,
        found.search[:9],
        found.held[:7],
        found.train_labels,
        found.search_labels[:9],
        found.held_labels[:7],
    )
    monkeypatch.setattr(quant_tables, "images_of", lambda name: few)
    monkeypatch.setattr(quant_tables, "BITS", (2, 4))
    wrong, loss = quant_tables.tabulated(network, tmp_path)
    assert wrong.shape == loss.shape == (2, 4**6)
    for index in np.random.default_rng(0).integers(4**6, size=40):
        digits = np.unravel_index(index, (2,) * 12)
        bits = np.array([2, 4])[np.array(digits)].reshape(6, 2)
        for row, half in enumerate(HALVES):
            count, summed = quant_tables.scored(network, bits, half)
            assert wrong[row, index] == count
            assert loss[row, index] == pytest.approx(summed, rel=1e-6)
    parts = sorted(tmp_path.iterdir())
    parts[0].unlink()
    before = {path: path.stat().st_mtime_ns for path in parts[1:]}
    again = quant_tables.tabulated(network, tmp_path)
    np.testing.assert_array_equal(again[0], wrong)
    np.testing.assert_array_equal(again[1], loss)
    assert sorted(tmp_path.iterdir()) == parts
    assert {path: path.stat().st_mtime_ns for path in parts[1:]} == before


def test_a_table_that_is_not_the_networks_is_noticed(monkeypatch, capsys):
    quant_tables.main(["check", "digits", "--configurations", "6"])
    assert "digits: 0 of 6 configurations differ" in capsys.readouterr().out
    right = AccuracyTable.load("digits")
    other = AccuracyTable(
        "digits", right.weights, right.images, right.wrong + np.uint16(1), right.loss.copy()
    )
    monkeypatch.setattr(AccuracyTable, "load", lambda name: other)
    with pytest.raises(SystemExit):
        quant_tables.main(["check", "digits", "--configurations", "6"])
    assert "digits: 6 of 6 configurations differ" in capsys.readouterr().out


def test_training_learns_and_is_repeatable(monkeypatch):
    found = quant_tables.images_of("digits")
    few = replace(found, train=found.train[:200], train_labels=found.train_labels[:200])
    monkeypatch.setattr(quant_tables, "images_of", lambda name: few)
    monkeypatch.setitem(quant_tables.EPOCHS, "digits", 10)
    once, again = (quant_tables.trained("digits", seed=1) for _ in range(2))
    assert once.fingerprint == again.fingerprint
    assert once.fingerprint != QuantisedNetwork.load("digits").fingerprint
    for bits in (None, np.full((6, 2), 8)):
        wrong, _ = quant_tables.scored(once, bits, "held")
        assert wrong < 398 * 0.3
