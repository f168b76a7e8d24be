"""Reports about specs: `explain`, `diff` and `cost`, as facts and as text for people.

A report asks the functions that generate, therefore it agrees with the generated files. Imports everything below it,
from `model` to `render`.
"""
