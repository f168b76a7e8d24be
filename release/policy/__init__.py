"""The members `gate` and `canary` of a policy file, as values.

This wing may import `receiver.policy`, which owns the file's format. Begin to read with `read`.
"""
