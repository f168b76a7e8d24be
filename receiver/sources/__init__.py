"""The servers that give evidence: Prometheus and Alertmanager. The package `release` asks Prometheus here too.

This wing may import `receiver.webhook`, `receiver.decide` and `receiver.plaintext`. Begin to read with `prometheus`.
"""
