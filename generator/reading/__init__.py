"""Reads YAML files into typed values, each with its position.

Imports `promql` and what lies below. Begin with `reader.py`: it reads one mapping key by key; `source.py` knows the
YAML library.
"""
