"""Renders Grafana dashboards: one per spec, and an overview of all of them.

This wing may import `panels`, `model` and what lies below them, and `render.links`. Begin to read with `dashboard`,
which puts the rows of a dashboard together.
"""
