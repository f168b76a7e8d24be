"""Plain data as JSON text that people read and diff."""

from __future__ import annotations

import json


def text(value: object, *, indent: int = 2, sort_keys: bool = False) -> str:
    """The value in several lines. Raises ValueError for infinities and NaN, TypeError for types without a JSON form."""
    return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False, sort_keys=sort_keys)
