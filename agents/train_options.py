"""What the commands that train have in common: options, a learning rate, what they report."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer

from hwgym import __version__
from hwgym._arrays import Array, Floats

__all__ = ["DeviceOption", "Regrets", "learning_rate", "out_option", "unscaled", "versions"]


def _usable(device: str) -> str:
    """The device, if torch can reckon there; before minutes have been spent on what it is for."""
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter where torch was built without it
        reason = str(error).splitlines()[0]
        raise typer.BadParameter(f"no device {device!r} for torch here: {reason}") from error
    return device


def _writable(out: Path) -> Path:
    """The file, if its folder is there."""
    if not out.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {out.absolute().parent}")
    return out


def out_option(**settings: Any) -> Any:
    """The option that says where the checkpoint goes."""
    told = {"metavar": "FILE", "help": "The checkpoint to write, an .npz.", **settings}
    return typer.Option(dir_okay=False, writable=True, callback=_writable, **told)


DeviceOption = Annotated[
    str, typer.Option(metavar="cpu|cuda", help="What torch reckons on.", callback=_usable)
]


def versions() -> dict[str, str]:
    """Of what a training rests on, for its checkpoint to say."""
    import torch

    return {
        "hwgym": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def learning_rate(share: float, peak: float) -> float:
    """The rate after a share of the batches: up for a twentieth, then down as a cosine."""
    down = (share - 0.05) / 0.95
    return peak * (0.04 + 0.96 * share / 0.05 if down < 0 else 0.5 + 0.5 * math.cos(math.pi * down))


def unscaled(
    linear: Sequence[Any], mean: Array, spread: Array
) -> tuple[list[Floats], list[Floats]]:
    """Weights (n, m) and biases (m,) of a perceptron that takes inputs as they are.

    Args:
        linear: Its layers in torch, of which the first is given inputs less their mean, over their
            spread.
        mean, spread: (inputs,).
    """
    weights = [layer.weight.detach().cpu().double().numpy().T for layer in linear]
    biases = [layer.bias.detach().cpu().double().numpy() for layer in linear]
    biases[0] = biases[0] - (mean / spread) @ weights[0]
    weights[0] = weights[0] / spread[:, None]
    return weights, biases


class Regrets(NamedTuple):
    """Of problems: 10, 50 and 90 % quantile, the greatest, and the share that is exact."""

    low: float
    median: float
    high: float
    worst: float
    exact: float

    @classmethod
    def of(cls, regrets: Floats) -> Regrets:
        """Of (n,); exact is what is above the optimum by no more than rounding."""
        # Between a finite and an infinite regret there is nothing to interpolate.
        shown = np.quantile(regrets, (0.1, 0.5, 0.9, 1.0), method="higher")
        low, median, high, worst = shown.tolist()
        return cls(low, median, high, worst, float((regrets < 1e-9).mean()))

    def cells(self) -> list[str]:
        """Of a table's row; quantiles in percent."""
        return [*(f"{100 * value:.2f}" for value in self[:4]), f"{self.exact:.0%}"]

    def __str__(self) -> str:
        shown = " / ".join(f"{100 * value:.3f}" for value in self[:4])
        return f"{shown} %, exact {100 * self.exact:.0f} %"
