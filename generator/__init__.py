"""Compiles SLO specs into Prometheus rules, rule tests, dashboards, Alertmanager configuration and policy."""
