"""Renders Grafana dashboards: one for each spec, and an overview of all services. Begin with `dashboard.py`.

Imports `model`, `panels` and what lies below.
"""
