"""Makes text from outside inert: one line, printable, of limited length."""

import unicodedata

_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Joiners that Persian, Hindi and emoji need. Other format characters, such as bidirectional overrides, can change how a
# text reads.
_JOINERS = frozenset("\u200c\u200d")


def plain(text: str, limit: int) -> str:
    """One line of at most `limit` characters: control, format and line characters become single blanks."""
    if len(text) <= limit and text.isascii() and text.isprintable():
        return " ".join(text.split())
    kept = (" " if _unprintable(char) else char for char in text[: 16 * limit])
    line = " ".join("".join(kept).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def steady(text: str) -> str:
    """Text of any length, whose control and format characters are blanks. Line ends and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(" " if _unprintable(char) and char not in "\n\t" else char for char in text)


def _unprintable(char: str) -> bool:
    return unicodedata.category(char) in _UNPRINTABLE and char not in _JOINERS
