"""Speed (``python -m benchmarks``), parity with the reference (``python -m benchmarks.parity``),
and the agents' regret (``python -m benchmarks.agents``)."""
