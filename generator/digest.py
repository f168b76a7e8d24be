"""SHA-256 from Python's own code: `hashlib` would load OpenSSL, which takes as long as reading a spec."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import sha256
else:
    try:
        from _sha2 import sha256  # Python ≥ 3.12
    except ImportError:
        try:
            from _sha256 import sha256
        except ImportError:  # a Python built without it
            from hashlib import sha256


_LARGE = 1_000_000  # from here on OpenSSL's speed makes up for loading it


def digest(data: bytes) -> str:
    """SHA-256, hexadecimal."""
    if len(data) > _LARGE:
        import hashlib

        return hashlib.sha256(data).hexdigest()
    return sha256(data).hexdigest()
