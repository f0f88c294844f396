"""Measurements: ``python -m benchmarks.NAME``. Nothing here is asserted by a test."""
