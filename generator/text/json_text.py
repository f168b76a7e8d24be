"""Plain data as JSON text that people read and diff."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from msgspec import Raw, json

_INTEGERS = range(-(2**63), 2**64)
"""What msgspec writes as a number."""


def text(value: object) -> str:
    """The value in several lines. Raises ValueError for infinities and NaN, TypeError for types without a JSON form."""
    return json.format(json.encode(_encodable(value)), indent=2).decode()


def _encodable(value: object) -> object:
    """The value for msgspec, which has its own way with some numbers: `null` for NaN, nothing for 2**64."""
    if isinstance(value, str | bool | None):
        return value
    if isinstance(value, Mapping):
        return {key: _encodable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(inner) for inner in value]
    if isinstance(value, int):
        return value if value in _INTEGERS else Raw(str(value).encode())
    if isinstance(value, float):
        if not isfinite(value):
            raise ValueError(f"{value} is not JSON compliant")
        return Raw(repr(value).encode())
    raise TypeError(f"{type(value).__name__} has no JSON form")
