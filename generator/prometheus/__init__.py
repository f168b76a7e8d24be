"""Runs promtool and amtool on generated files: to check them, to run the proofs, and to write the past of new rules.

This wing may import `pipeline`, `proofs`, `render.rules` and what lies below them. Begin to read with `promtool`, which
starts the programs; `origins` leads from a generated line back to the line of the spec.
"""
