"""What the commands that train refuse, before they have spent anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

pytest.importorskip("torch")
from hwgym_agents import train_generalist, train_jumbo, train_predictor


def predictor(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(train_predictor.main)
    return CliRunner().invoke(app, arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--costs", "0"), "--costs"),
        (("--steps", "0"), "--steps"),
        (("--networks", "0"), "--networks"),
        (("--seed", "-1"), "--seed"),
        (("--share", "1.5"), "--share"),
        (("--share", "0.7", "--layers", "9", "--layer-share", "0.4"), "leave nothing"),
        (("--hold-out", "NVDIA"), "did you mean 'NVDLA'?"),
        (("--device", "nowhere"), "no device 'nowhere'"),
        (("--out", "."), "is a directory"),
    ],
)
def test_wrong_options_of_the_predictors_are_named(
    arguments: tuple[str, ...], message: str
) -> None:
    result = predictor(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", "").split())


@pytest.mark.parametrize(("option", "value"), [("--device", "nowhere"), ("--out", ".")])
def test_wrong_options_of_the_generalists_are_named(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"--out": str(tmp_path / "x.npz"), option: value}
    with pytest.raises(SystemExit) as end:
        train_generalist.main(["imitation", *(word for pair in options.items() for word in pair)])
    assert end.value.code == 2
    assert option in capsys.readouterr().err


def test_help_is_the_same_on_every_machine() -> None:
    assert str(Path(train_predictor.__file__).parent) not in "".join(
        predictor("--help").output.replace("│", "").split()
    )
    assert "code-block" not in CliRunner().invoke(train_jumbo.app, ["--help"]).output
