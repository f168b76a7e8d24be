"""Parses a spec file: one module per section, each from positioned YAML to the values of `generator.model`.

This wing may import `model`, `reading` and the families; it knows nothing of checks, which compare sections with each
other. Begin to read with `load`, which reads the top of a spec and calls the other modules.
"""
