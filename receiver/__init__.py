"""Alertmanager webhooks in; freeze flags, rollbacks and notices out, by policy."""
