"""What the commands that train refuse, before they have spent anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import hwgym
from hwgym.core import solve

pytest.importorskip("torch")
from hwgym_agents import train_generalist, train_jumbo, train_predictor
from hwgym_agents.train_options import Regrets, learning_rate


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
        (("--out", "no/such/x.npz"), "there is no folder"),
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


@pytest.mark.parametrize("agent", ["generalist", "predictor", "jumbo"])
@pytest.mark.parametrize("holds", ["nothing", "an array", "arrays of another"])
def test_what_is_no_checkpoint_is_said_to_be_none(agent: str, holds: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    if holds == "nothing":
        path.write_bytes(b"")
    elif holds == "an array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    else:
        np.savez(path, of="another")
    problem = hwgym.AssignmentProblem.of("NCF", "NVDLA", platform="iot")
    with pytest.raises(ValueError, match=f"x.npz is no checkpoint of (the )?{agent}; python -m"):
        solve(agent, problem, samples=1, settings={"checkpoint": str(path)})


def test_regrets_are_quantiles_that_were_reached() -> None:
    found = Regrets.of(np.array([0.5, 0.0, np.inf, 0.01, 0.02]))
    assert found == (0.01, 0.02, np.inf, np.inf, 0.2)
    assert found.cells() == ["1.00", "2.00", "inf", "inf", "20%"]
    assert str(found) == "1.000 / 2.000 / inf / inf %, exact 20 %"


def test_the_learning_rate_goes_up_and_down() -> None:
    assert learning_rate(0.0, 2.0) == pytest.approx(0.08)
    assert learning_rate(0.05, 2.0) == pytest.approx(2.0)
    assert learning_rate(0.525, 2.0) == pytest.approx(1.0)
    assert learning_rate(1.0, 2.0) == pytest.approx(0.0)
