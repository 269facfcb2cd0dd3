"""Comparisons with the reference and timings; run each as ``python -m benchmarks.<name>``."""
