"""Runs Prometheus' own tools on generated files: promtool, the proofs of `verify`, and `backfill`.

Begin with `promtool.py`.
"""
