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


def digest(data: bytes) -> str:
    """SHA-256, hexadecimal."""
    return sha256(data).hexdigest()
