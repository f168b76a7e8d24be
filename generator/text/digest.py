"""SHA-256 of bytes: the digest that names specs, artefacts and dashboards."""

from __future__ import annotations

try:  # as the standard library's `random` does: `hashlib` loads OpenSSL, a twentieth of a short command's time
    from _sha256 import sha256  # type: ignore[import-not-found] # typeshed does not list it
except ImportError:  # Python 3.12 and later
    from hashlib import sha256


def digest(data: bytes) -> str:
    """SHA-256 as hexadecimal text."""
    return str(sha256(data).hexdigest())
