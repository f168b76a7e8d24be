"""What a spec means once it was read: frozen values and exact arithmetic, with no YAML, no files and no checks.

This wing may import the families `sli` and `conditions` and what lies below them; it never imports `spec`, which makes
its values. Begin to read with `spec`, whose `Spec` holds all sections; `burn` holds the burn-rate arithmetic.
"""
