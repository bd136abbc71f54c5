"""Benchmarks, load tests, scripts, docs, layers and the wheel."""
