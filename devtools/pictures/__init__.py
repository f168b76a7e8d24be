"""Draws dashboards from a real Prometheus, laid out as in Grafana: for the documentation, without a Grafana.

The program reads a dashboard's JSON and runs its queries: the drawn data is real. Fonts, spacing and legends only
resemble Grafana's.
"""
