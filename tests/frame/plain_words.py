"""What plain English is: short sentences that can be read alone. Used for docs, help, messages and docstrings."""

import re
from collections.abc import Container, Iterator

WORDS_MAX = 25
# Words that open a sentence and point back to a sentence before it.
POINTERS = re.compile(r"(It|Its|That|Those|They|Them|Their|So)\b")

_FENCE = re.compile(r"^ *(```|~~~).*?^ *\1 *$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_CODE_LIST = re.compile(r"codeword(?:(?:,| and| or|, and|, or|:)\s+codeword)+")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)\s]*\)")
_TAG = re.compile(r"</?[a-z][^>]*>|<https?:[^>]*>")
_ITEM = re.compile(r"^\s*(?:[-*+]|\d+\.)\s+")
_END = re.compile(r"(?<=[.!?])[)\"'”*_]*\s+")


def paragraphs(text: str) -> Iterator[str]:
    """Every heading, list item, table cell and paragraph, without code blocks and markup."""
    text = _COMMENT.sub("", _FENCE.sub("\n", text))
    text = _CODE_LIST.sub("codeword", _TAG.sub(" ", _CODE.sub("codeword", text)))
    text = _LINK.sub(r"\1", text)
    lines: list[str] = []
    for line in [*text.splitlines(), ""]:
        bare = line.strip()
        alone = bare.startswith(("#", "|"))
        if lines and (not bare or alone or _ITEM.match(line)):
            yield " ".join(lines)
            lines = []
        if bare.startswith("|"):
            yield from (cell.strip() for cell in bare.strip("|").split("|") if cell.strip(" -:"))
        elif alone:
            yield bare.lstrip("# ")
        elif bare:
            lines.append(_ITEM.sub("", bare).lstrip("> "))


def sentences(text: str, quoted: Container[str] = frozenset()) -> Iterator[str]:
    """Every sentence of a text, without the paragraphs that the text quotes from the code."""
    for paragraph in paragraphs(text):
        if paragraph not in quoted:
            yield from (sentence.strip("*_ ") for sentence in _END.split(paragraph))


def words(sentence: str) -> int:
    """How many words a reader reads: a piece of code counts as one, and so does a list of them."""
    return sum(1 for word in sentence.split() if re.search(r"\w", word))


def faults(sentence: str) -> list[str]:
    """The rules that a sentence breaks."""
    found = [f"{words(sentence)} words: {sentence}"] if words(sentence) > WORDS_MAX else []
    return found + ([f"opens with a pointer: {sentence}"] if POINTERS.match(sentence) else [])
