"""Paths and URLs on Alertmanager's machine that its configuration names."""

from __future__ import annotations

from msgspec import Struct

TEMPLATE_FILE = "freezeline.tmpl"
PAIR_FILE = "prometheus-pair.yml"


class Settings(Struct, frozen=True, kw_only=True):
    """Paths and URLs on Alertmanager's machine. `secrets` is a directory with one file for each secret."""

    webhook_urls: tuple[str, ...] = ("http://127.0.0.1:9099/webhook",)
    """Where each receiver takes webhooks."""
    secrets: str = "/etc/alertmanager/secrets"
    template: str = TEMPLATE_FILE
    replica_labels: tuple[str, ...] = ()
    """External labels that tell the Prometheus servers of a pair apart."""


DEFAULTS = Settings()
