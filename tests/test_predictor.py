"""What the predictor knows of layers without costing them, how it learns, plans and corrects."""

from __future__ import annotations

import numpy as np
import pytest

import hwgym
from hwgym.costs.maestro import Hardware, dataflow
from hwgym.families.assignment import PE_LEVELS, TILE_LEVELS
from hwgym_agents.assignment_features import NAMES, features_of

PES, TILES = np.repeat(PE_LEVELS, len(TILE_LEVELS)), np.tile(TILE_LEVELS, len(PE_LEVELS))


@pytest.mark.parametrize("name", ["NVDLA", "Eyeriss", "ShiDianNao", "NVDLA-CxK:16"])
def test_features_are_finite_and_each_layers_own(name: str) -> None:
    layers = list(hwgym.workload("MobileNetV2"))[:8]
    all_ = features_of(layers, dataflow(name), Hardware(), PES, TILES)
    assert all_.values.shape == (8, 144, len(NAMES))
    assert np.isfinite(all_.values).all()
    for i in (0, 1, 7):
        [one] = features_of(layers[i : i + 1], dataflow(name), Hardware(), PES, TILES).values
        np.testing.assert_array_equal(all_.values[i], one)


def test_the_roofline_is_a_bound_where_the_array_is_full() -> None:
    layers = list(hwgym.workload("VGG16"))[:4]
    found = features_of(layers, dataflow("NVDLA"), Hardware(), PES, TILES)
    least = np.array([layer.macs for layer in layers])[:, None] / PES
    assert (found.cycles >= np.log2(least) - 1e-9).all()
    narrow = features_of(layers, dataflow("NVDLA"), Hardware(noc_bandwidth=2), PES, TILES)
    assert (narrow.cycles >= found.cycles).all()
    assert (narrow.cycles > found.cycles).any()
