"""Policy files: which alert starts which actions. The format is `policy.schema.json` in this folder.

This wing imports no other wing of the receiver. Begin to read with `model`, which holds a policy's values. `read` makes
these values from a file, and `guard` refuses files that the wrong users can change.
"""
