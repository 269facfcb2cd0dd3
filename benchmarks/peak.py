"""``python -m benchmarks.peak POINTS DATAFLOW``: the memory of one query, in a fresh process."""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.cost import distinct_query, size
from hwgym import evaluate


def peak_bytes() -> int:
    """The most resident memory that this process ever had."""
    status = Path("/proc/self/status")
    if status.exists():  # the other figure counts what the parent had when it started us
        found = re.search(r"^VmHWM:\s*(\d+) kB", status.read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main(points: int, style: str) -> None:
    shapes, pes, tiles = query = distinct_query(points)
    evaluate(shapes, style, 1, 1)  # imports and small things
    before = peak_bytes()
    start = time.perf_counter()
    costs = evaluate(shapes, style, pes, tiles)
    seconds = time.perf_counter() - start
    result = sum(np.asarray(a).nbytes for a in costs.as_dict().values())
    print(
        json.dumps(
            {
                "points": size(query),
                "before": before,
                "peak": peak_bytes(),
                "result": result,
                "seconds": seconds,
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
