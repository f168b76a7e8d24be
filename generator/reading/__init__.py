"""Reads YAML so that every value knows its file, line and column, and every mistake is reported there.

This wing may import `promql` and `units`. Begin to read with `reader`, whose `Reader` each section, SLI type and
condition uses to read its keys; `source` turns bytes into positioned values.
"""
