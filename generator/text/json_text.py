"""Plain data as JSON text that people read and diff."""

from __future__ import annotations

import json

import msgspec


def text(value: object) -> str:
    """The value in several lines. Raises ValueError for infinities and NaN, TypeError for types without a JSON form.

    msgspec lays the text out: with `indent`, the standard library encodes three times as slowly.
    """
    return msgspec.json.format(json.dumps(value, ensure_ascii=False, allow_nan=False), indent=2)
