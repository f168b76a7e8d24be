"""Renders Prometheus rules: a file per spec, a shared file per profile, and a file about Freezeline itself.

This wing may import `model` and what lies below it, and `render.links`. Begin to read with `rules`, which renders the
rules of one spec; docs/rules.md explains the formulas.
"""
