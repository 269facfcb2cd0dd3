"""Times ZigZag's cost model; runs in an interpreter that has ``zigzag-dse``, needs nothing else.

Layers come as JSON on the first line of standard input. ZigZag then prepares one mapping a layer:
its TPU-like accelerator with the spatial mapping that comes with it, and the first loop order that
its own generator yields. That search is not timed. Each further line is a number of seconds: so
long the cost model is called, layer after layer, and the answer is the evaluations and the time.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def node(number: int, layer: list[int]) -> dict[str, Any]:
    """A layer in ZigZag's own words: depthwise as groups of one channel, stride 1."""
    k, c, oy, ox, r, s, depthwise = layer
    groups, channels = (c, 1) if depthwise else (1, c)
    return {
        "id": number,
        "name": f"layer{number}",
        "operator_type": "Conv",
        "equation": "O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]",
        "loop_dims": ["B", "K", "G", "OX", "OY", "C", "FX", "FY"],
        "loop_sizes": [1, k, groups, ox, oy, channels, s, r],
        "dimension_relations": ["ix=1*ox+1*fx", "iy=1*oy+1*fy"],
        "operand_precision": {"W": 8, "I": 8, "O": 16, "O_final": 8},
        # Each layer stands alone: its input comes from nowhere.
        "operand_source": {"W": number, "I": number},
    }


def mappings(layers: list[list[int]]) -> tuple[Any, list[dict[str, Any]]]:
    """What ZigZag passes to its cost model first, for every layer."""
    import zigzag
    from zigzag.api import get_hardware_performance_zigzag
    from zigzag.stages.evaluation import cost_model_evaluation as stage

    inputs = Path(zigzag.__file__).parent / "inputs"
    model = stage.CostModelEvaluation
    first: dict[int, dict[str, Any]] = {}

    def note(**arguments: Any) -> Any:
        first.setdefault(arguments["layer"].id, arguments)
        return model(**arguments)

    stage.CostModelEvaluation = note  # the stage finds it by this name
    try:
        with tempfile.TemporaryDirectory() as folder:
            for number, layer in enumerate(layers):
                get_hardware_performance_zigzag(
                    [node(number, layer)],
                    str(inputs / "hardware" / "tpu_like.yaml"),
                    str(inputs / "mapping" / "default.yaml"),
                    dump_folder=folder,
                    lpf_limit=1,
                    nb_spatial_mappings_generated=1,
                    loma_show_progress_bar=False,
                )
    finally:
        stage.CostModelEvaluation = model
    return model, [first[number] for number in range(len(layers))]


def main() -> None:
    layers = json.loads(sys.stdin.readline())
    logging.disable(logging.CRITICAL)
    with contextlib.redirect_stdout(io.StringIO()):
        model, prepared = mappings(layers)
        macs = [model(**arguments).layer.total_mac_count for arguments in prepared]
    import zigzag

    print(json.dumps({"version": zigzag.__version__, "macs": [int(m) for m in macs]}), flush=True)
    for line in sys.stdin:
        wanted, done = float(line), 0
        start = time.perf_counter()
        while True:
            for arguments in prepared:
                model(**arguments)
            done += len(prepared)
            seconds = time.perf_counter() - start
            if seconds >= wanted:
                break
        print(json.dumps({"evaluations": done, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # whoever started us says so
        main()
