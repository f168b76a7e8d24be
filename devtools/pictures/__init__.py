"""Draws dashboards from a real Prometheus, laid out as in Grafana: for the documentation, where no Grafana is.

It reads the dashboard's JSON and asks its queries; what it draws is the data's own. It is not Grafana: fonts, spacing
and legends only resemble it.
"""
