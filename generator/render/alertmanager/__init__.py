"""Renders Alertmanager's configuration, and merges it into an existing one. Begin with `alertmanager.py`.

Imports `model` and what lies below.
"""
