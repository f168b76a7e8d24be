"""PromQL as text: composed, parsed, and checked for likely mistakes. Imports only the parser and `names`.

Begin with `check.py`, the entry for every query of a spec.
"""
