"""Parses a spec: one module for each section, and `load.py` for the whole file.

A parser turns YAML into values of `model` and reports every problem with its position. Imports `model`, `sli`,
`conditions`, `reading` and what lies below. Begin with `load.py`.
"""
