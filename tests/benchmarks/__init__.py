"""Measures; never asserts a time. Each module runs by ``python -m tests.benchmarks.NAME``."""
