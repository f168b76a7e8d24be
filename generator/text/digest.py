"""SHA-256 of bytes: the digest that names specs, artefacts and dashboards."""

from __future__ import annotations

import hashlib


def digest(data: bytes) -> str:
    """SHA-256 as hexadecimal text."""
    return hashlib.sha256(data).hexdigest()
