"""Options that the commands which train have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["DeviceOption", "out_option"]


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
