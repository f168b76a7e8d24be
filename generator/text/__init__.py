"""Writes text files that people read and diff: YAML and JSON; and names contents by their digest.

Imports nothing of the generator. Begin with `yaml_text.py`.
"""
