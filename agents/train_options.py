"""Options that the commands which train have in common."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["DeviceOption"]


def _usable(device: str) -> str:
    """The device, if torch can reckon there; before minutes have been spent on what it is for."""
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter where torch was built without it
        reason = str(error).splitlines()[0]
        raise typer.BadParameter(f"no device {device!r} for torch here: {reason}") from error
    return device


DeviceOption = Annotated[
    str, typer.Option(metavar="cpu|cuda", help="What torch reckons on.", callback=_usable)
]
