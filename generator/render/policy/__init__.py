"""Renders the policy file that the receiver reads. Begin with `policy.py`.

Imports `model` and what lies below.
"""
