"""The code blocks of a Markdown section, in their order: files to write, and commands to run."""

import re

from msgspec import Struct

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# (\S+)\n")


class File(Struct, frozen=True, tag=True):
    """A file that the reader writes. Its path stands in the first line."""

    path: str
    text: str


class Commands(Struct, frozen=True, tag=True):
    """Commands that the reader runs."""

    text: str


def section(text: str, heading: str) -> str:
    """The part of a Markdown text under a heading of the second level."""
    _, found, rest = text.partition(f"## {heading}\n")
    assert found, f"there is no heading {heading!r}"
    return rest.partition("\n## ")[0]


def blocks(text: str) -> list[File | Commands]:
    """Every block that a reader uses. A YAML block without a path is an excerpt, which only shows something."""
    found: list[File | Commands] = []
    for language, content in BLOCK.findall(text):
        named = NAMED.match(content)
        if language == "sh":
            found.append(Commands(content))
        elif named:
            found.append(File(named[1], content))
    return found
