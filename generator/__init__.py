"""SLO specs in; Prometheus rules, their tests, dashboards, Alertmanager config and policy out."""
