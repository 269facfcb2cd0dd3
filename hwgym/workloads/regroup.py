"""Depthwise layers regrouped, so that more of an array finds work."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral
from typing import overload

from hwgym.workloads.layer import Layer
from hwgym.workloads.network import Workload

__all__ = ["regroup"]


@overload
def regroup(given: Layer, channels_per_group: int) -> Layer: ...
@overload
def regroup(given: Workload, channels_per_group: int) -> Workload: ...
def regroup(given: Layer | Workload, channels_per_group: int) -> Layer | Workload:
    """Make a depthwise layer of C channels one of C / n groups, each of n channels and n filters.

    That is DRACO (Jha, Ravishankar, Mittal, Kaushik, Mandal and Chandra, arXiv:2006.15103): a
    network changes, before it is trained, for the array it will run on. It has n times the layer's
    parameters and multiply-accumulates; with n = 1 nothing changes.

    Args:
        given: A depthwise layer; or a workload, of which all depthwise layers are regrouped.
        channels_per_group: n.

    Returns:
        The layer as a CONV with K = C = n, its ``repeat`` times C / n; the workload with such
        layers, its name unchanged.

    Raises:
        ValueError: If n is not a positive integer or does not divide a depthwise layer's channels,
            if a layer is not depthwise, or no layer of a workload is.
    """
    if isinstance(given, Workload):
        if not any(layer.is_depthwise for layer in given):
            raise ValueError(f"workload {given.name!r} has no depthwise layer to regroup")
        return Workload(
            given.name,
            tuple(_regrouped(x, channels_per_group) if x.is_depthwise else x for x in given),
        )
    if not given.is_depthwise:
        raise ValueError(
            f"layer {given.name!r}: only depthwise layers (DSCONV) can be regrouped, "
            f"this one is {given.kind}"
        )
    return _regrouped(given, channels_per_group)


def _regrouped(layer: Layer, channels: int) -> Layer:
    if isinstance(channels, bool) or not isinstance(channels, Integral) or channels < 1:
        raise ValueError(f"channels_per_group must be a positive integer, got {channels!r}")
    if layer.C % channels:
        raise ValueError(
            f"layer {layer.name!r}: channels_per_group must divide its {layer.C} channels, "
            f"got {channels}"
        )
    if channels == 1:
        return layer
    groups = layer.C // int(channels)
    return replace(
        layer, kind="CONV", K=int(channels), C=int(channels), repeat=layer.repeat * groups
    )
