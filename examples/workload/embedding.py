"""Real embeddings: the weights of wordllama (32,000 words, 256 dimensions, English), read without asking a hub.

A text's vector is the mean of its words' vectors, with length 1.
"""

from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Tokenizer

DIMENSIONS = 256
_PACKAGE = "wordllama"


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """The loaded model."""

    weights: NDArray[np.float32]
    tokenizer: Tokenizer

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        """One row for each text; a text without words gives zeros."""
        rows = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        for place, found in enumerate(self.tokenizer.encode_batch(texts, add_special_tokens=False)):
            if found.ids:
                rows[place] = self.weights[found.ids].mean(axis=0)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(lengths, 1e-9), dtype=np.float32)

    def tokens(self, text: str) -> int:
        """How many tokens a text has."""
        return len(self.tokenizer.encode(text, add_special_tokens=False).ids)


def load() -> Embeddings:
    """Load weights and tokenizer from the installed package."""
    package = files(_PACKAGE)
    weights = load_file(str(package / "weights" / "l2_supercat_256.safetensors"))["embedding.weight"]
    tokenizer = Tokenizer.from_file(str(package / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return Embeddings(weights=np.asarray(weights, dtype=np.float32), tokenizer=tokenizer)
