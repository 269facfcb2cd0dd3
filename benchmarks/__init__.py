"""Speed (``python -m benchmarks``), parity with the reference (``python -m benchmarks.parity``),
the agents' regret (``python -m benchmarks.agents``), and which ids say nothing (``python -m
benchmarks.silent``)."""
