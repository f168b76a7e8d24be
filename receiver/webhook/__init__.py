"""Receives Alertmanager's webhooks: from the bytes of a body to decisions in the journal, in one transaction.

This wing may import `journal`, `decide`, `policy` and `settings`, and performs no action. Begin to read with `ingest`,
which parses a body, then with `process`, which plans its alerts.
"""
