"""SHA-256 of bytes, as specs, artefacts and dashboards are named by it."""

from __future__ import annotations

import hashlib


def digest(data: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(data).hexdigest()
