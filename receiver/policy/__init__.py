"""Policy files: which alert leads to which actions. The format is `policy.schema.json` in this folder.

This wing imports nothing else of the receiver. Begin to read with `model`, the policy as values; `read` makes them
from a file, and `guard` refuses files that the wrong users can change.
"""
