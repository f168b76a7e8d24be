"""Values: what each section of a spec means, as frozen structs. No parsing, no checks, no I/O.

Imports the families `sli` and `conditions` and what lies below. Begin with `spec.py`.
"""
