"""Plain data as JSON text, in the bytes that `json.dumps(…, ensure_ascii=False)` with an indent gives.

Own code because it was measured: with an indent the library writes in Python, piece by piece, and takes as long as
making what it writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

_ESCAPES = {code: f"\\u{code:04x}" for code in range(0x20)} | {
    ord(char): f"\\{letter}" for char, letter in zip('"\\\b\f\n\r\t', '"\\bfnrt', strict=True)
}
_WORDS = {None: "null", True: "true", False: "false"}


def text(value: object, indent: int = 2) -> str:
    """The value in several lines. Raises TypeError for what JSON has no form for, numbers that are none included."""
    return _text(value, "\n", " " * indent)


def _text(value: object, line: str, step: str) -> str:
    """`line` is the line break with the indent of what holds the value."""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, dict):
        if not value:
            return "{}"
        inner = line + step
        items = [
            f"{_quoted(key)}: {_quoted(item) if isinstance(item, str) else _text(item, inner, step)}"
            for key, item in value.items()
        ]
        return f"{{{inner}{f',{inner}'.join(items)}{line}}}"
    if isinstance(value, (list, tuple)):
        if not value:
            return "[]"
        inner = line + step
        return f"[{inner}{f',{inner}'.join([_text(item, inner, step) for item in value])}{line}]"
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    if isinstance(value, int) or (isinstance(value, float) and value - value == 0):
        return repr(value)
    if isinstance(value, Mapping):
        return _text(dict(value), line, step)
    raise TypeError(f"no JSON for {value!r}")


@lru_cache(maxsize=4096)
def _quoted(value: str) -> str:
    """Most texts are keys and words that come again and again."""
    if value.isprintable() and '"' not in value and "\\" not in value:
        return f'"{value}"'
    return f'"{value.translate(_ESCAPES)}"'
