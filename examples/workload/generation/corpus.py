"""The corpus: Markdown files in pieces, and the search for the pieces that are nearest to a question."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PIECE_MAX = 900
"""Characters. A paragraph that is longer is a piece of its own."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Pieces of text; `vectors` has a row for each."""

    pieces: tuple[str, ...]
    vectors: NDArray[np.float32]

    def nearest(self, vector: NDArray[np.float32], count: int) -> list[str]:
        """The pieces with the largest cosine, the best first."""
        scores = self.vectors @ vector
        return [self.pieces[place] for place in np.argsort(-scores, kind="stable")[:count]]


def pieces(folder: Path) -> tuple[str, ...]:
    """All Markdown below a folder in pieces of whole paragraphs. Raises ValueError if there is none."""
    found = [piece for path in sorted(folder.rglob("*.md")) for piece in _of(path.read_text(encoding="utf-8"))]
    if not found:
        raise ValueError(f"no Markdown below {folder}")
    return tuple(found)


def _of(text: str) -> list[str]:
    made, current = [], ""
    for paragraph in text.split("\n\n"):
        if current and len(current) + len(paragraph) > PIECE_MAX:
            made.append(current)
            current = ""
        current = f"{current}\n\n{paragraph}".strip()
    return [*made, current] if current else made
