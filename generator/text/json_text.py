"""Plain data as JSON text that people read and diff."""

from __future__ import annotations

import json


def text(value: object) -> str:
    """The value in several lines. Raises ValueError for infinities and NaN, TypeError for types without a JSON form."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
