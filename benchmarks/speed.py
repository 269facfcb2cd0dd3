"""Steps per second of every kind of environment, relative to CartPole: whole episodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import gymnasium as gym

from benchmarks.measure import Row, Settings, alternate, rating
from benchmarks.stepping import (
    CARTPOLE,
    Replay,
    feasible_episodes,
    in_mode,
    pre_drawn,
    scalar_episodes,
    vector,
)
from hwgym.core import ACTION_MODES

PART = "speed"
KINDS: dict[str, tuple[str, dict[str, str]]] = {
    "HWAssign-{model}-{dataflow}": ("HWAssign-{model}-NVDLA-v0", {}),
    "HWAssign-{model}-MIX": ("HWAssign-{model}-MIX-v0", {}),
    "HWAssign-v0, LS": ("HWAssign-v0", {"workload": "{model}", "deployment": "LS"}),
    "HWAssign-v0, LS, MIX": (
        "HWAssign-v0",
        {"workload": "{model}", "deployment": "LS", "dataflow": "MIX"},
    ),
    "ConfuciuX-{model}-{dataflow}": ("ConfuciuX-{model}-NVDLA-IoT-v0", {}),
    "mo-HWAssign-{model}-{dataflow}": ("mo-HWAssign-{model}-NVDLA-v0", {}),
    "HWAssign-{model}-{template}": ("HWAssign-{model}-NVDLA-v1", {}),
    "HWAssign-{model}-Systolic{dataflow}": ("HWAssign-{model}-SystolicWS-v0", {}),
    "HWMap-{layer}-v0": ("HWMap-GAMMA-ResNet50-20-Edge-EDP-v0", {}),
    "HWMap-{layer}-v1": ("HWMap-BERT-4-Edge-EDP-v1", {}),
    "HWMapNet-{model}": ("HWMapNet-AlexNet-1024-Cluster-EDP-v0", {}),
    "HWGroup-{mix}": ("HWGroup-Vision-S2-v0", {}),
    "HWHetero-{mix}": ("HWHetero-Mobile-1024-v0", {}),
    "HWQuant-Digits": ("HWQuant-Digits-Energy-60-v0", {}),
    "HWQuant-{model}": ("HWQuant-{model}-Energy-60-v0", {}),
}
"""Pattern of the ids, and the one that stands for them with what else it is given."""


def measure(settings: Settings) -> Iterator[Row]:
    """Rows: a kind x an action mode x scalar or vector; whole episodes, replayed."""
    seconds, count = settings.seconds, settings.speed_envs
    scalar_cartpole = gym.make(CARTPOLE)
    drawn = [scalar_cartpole.action_space.sample() for _ in range(200)]
    cartpole: dict[int | str, Callable[[], float]] = {
        "scalar": rating(scalar_episodes(scalar_cartpole, drawn), len(drawn), seconds),
        count: rating(*pre_drawn(vector(CARTPOLE, count)), seconds),
    }
    for kind, (pattern, given) in KINDS.items():
        name = pattern.format(model=settings.model)
        kwargs = {key: value.format(model=settings.model) for key, value in given.items()}
        for mode in ACTION_MODES:
            env = gym.make(name, action_mode=mode, **kwargs)  # type: ignore[arg-type]
            envs = vector(name, count, mode, **kwargs)
            problem, drawn_by = env.get_wrapper_attr("problem"), type(envs.unwrapped)
            problem.certificate()  # what an environment asks for once
            numbers = feasible_episodes(problem, 1, drawn_by)[:, 0]
            episode = scalar_episodes(env, list(in_mode(problem, numbers, mode)))
            replay = Replay(envs, problem, mode, kind=drawn_by)
            ours: dict[int | str, Callable[[], float]] = {
                "scalar": rating(episode, len(numbers), seconds),
                count: rating(replay, replay.work, seconds),
            }
            for size in ours:
                figures = alternate({"ours": ours[size], CARTPOLE: cartpole[size]}, settings.rounds)
                yield Row.of(
                    PART, kind, {"mode": mode, "environments": size}, "steps/s",
                    figures["ours"], CARTPOLE, figures[CARTPOLE],
                    note=f"`{name}` stands for `{kind}`.",
                )  # fmt: skip


def speed_markdown(rows: Sequence[Row]) -> str:
    """The Markdown table of the environment docs: a row a kind, a column a way of stepping.

    Raises:
        ValueError: If no row is of this part.
    """
    rows = [row for row in rows if row.part == PART]
    if not rows:
        raise ValueError("no speeds measured; run `python -m benchmarks --only speed`")
    sizes = list(dict.fromkeys(row.case["environments"] for row in rows))
    modes = list(dict.fromkeys(str(row.case["mode"]) for row in rows))
    titles = [
        f"{'`gym.make`' if size == 'scalar' else f'{size:,} in a batch'}, {mode}"
        for size in sizes
        for mode in modes
    ]
    lines = [f"| kind | {' | '.join(titles)} |", "| --- |" + " ---: |" * len(titles)]
    for kind in dict.fromkeys(row.name for row in rows):
        cells = []
        for size in sizes:
            for mode in modes:
                (row,) = (
                    r
                    for r in rows
                    if r.name == kind and r.case["mode"] == mode and r.case["environments"] == size
                )
                assert row.ratio is not None
                ratio = row.ratio.median
                digits = f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"
                cells.append(f"{digits} x ({_short(row.ours.median)}/s)")
        lines.append(f"| `{kind}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _short(number: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number:.3g} "
