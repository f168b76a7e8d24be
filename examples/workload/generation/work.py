"""Does one job: searches the corpus, asks the chain of providers, and tells the job's readers about each step.

Kinds of jobs: `answer` (a question is answered from the corpus) and `index` (texts are embedded in batches).
"""

import asyncio
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from openai import AsyncOpenAI

from examples.workload.generation.chain import Chain
from examples.workload.generation.corpus import Corpus
from examples.workload.generation.errors import ErrorType, JobError
from examples.workload.generation.limiter import Limiter
from examples.workload.generation.metrics import WorkMetrics

BATCHES = (32, 64)
NEAREST = 4
MODEL = "wordllama-256"
PROGRESS_EVERY = 8
"""Pieces of an answer between two steps that readers see."""

REMEMBERED_SHARE = 0.3
"""The context memory forgets its oldest entries above this share of its tokens."""

Tell = Callable[[str, dict[str, Any]], None]


class Embedder:
    """The embedding API behind the vendor's client and our own limits."""

    def __init__(self, url: str, limiter: Limiter, metrics: WorkMetrics) -> None:
        self._client = AsyncOpenAI(base_url=f"{url}/openai/v1", api_key="none", max_retries=0, timeout=30)
        self._limiter = limiter
        self._metrics = metrics

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def embed(self, texts: list[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """One request for a batch of texts. Raises JobError or what the client raises."""
        if not 0 < len(texts) <= max(BATCHES):
            raise JobError(ErrorType.VALIDATION, f"a batch has from 1 to {max(BATCHES)} texts, not {len(texts)}")
        async with self._limiter.one():
            begun = time.monotonic()
            try:
                found = await self._client.embeddings.create(model=MODEL, input=texts, encoding_format="float")
            finally:
                self._metrics.embedding.observe((time.monotonic() - begun) * 1000)
        rows = np.array([one.embedding for one in found.data], dtype=np.float32)
        if rows.ndim != 2 or len(rows) != len(texts):
            raise JobError(ErrorType.EMBEDDING_MISMATCH, f"{rows.shape} for {len(texts)} texts")
        return rows

    async def embed_all(self, texts: list[str], batch: int, tell: Tell) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Many texts in batches of 32 or 64, up to three batches at once."""
        if batch not in BATCHES:
            raise JobError(ErrorType.VALIDATION, f"a batch has 32 or 64 texts, not {batch}")
        parts = [texts[begin : begin + batch] for begin in range(0, len(texts), batch)]
        done = 0

        async def one(part: list[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
            nonlocal done
            found = await self.embed(part)
            done += len(part)
            tell("embedded", {"texts": done, "of": len(texts)})
            return found

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(part)) for part in parts]
        return np.vstack([task.result() for task in tasks])


class Memory:
    """The contexts of the last jobs, by token. The faulty release `keeps-context` never forgets."""

    def __init__(self, tokens: Callable[[str], int], limit: int, *, forgets: bool) -> None:
        self._tokens = tokens
        self._limit = limit
        self._forgets = forgets
        self._contexts: OrderedDict[str, int] = OrderedDict()

    def add(self, job: str, text: str) -> None:
        """Remember a context."""
        self._contexts[job] = self._tokens(text)
        while self._forgets and len(self._contexts) > 1 and self.used > REMEMBERED_SHARE:
            self._contexts.popitem(last=False)

    @property
    def used(self) -> float:
        """The share of the limit in use."""
        return sum(self._contexts.values()) / self._limit


class Work:
    """Everything that a job needs."""

    def __init__(
        self, *, corpus: Corpus, embedder: Embedder, chain: Chain, memory: Memory, metrics: WorkMetrics, scratch: Path
    ) -> None:
        self._corpus = corpus
        self._embedder = embedder
        self._chain = chain
        self._memory = memory
        self._metrics = metrics
        self._scratch = scratch

    async def do(self, job: str, kind: str, payload: dict[str, Any], tell: Tell) -> dict[str, Any]:
        """The job's result. Raises JobError, or what a client raises."""
        begun = time.monotonic()
        try:
            if kind == "answer":
                return await self._answer(job, payload, tell)
            if kind == "index":
                return await self._index(payload, tell)
            raise JobError(ErrorType.VALIDATION, f"there is no kind of job {kind}")
        finally:
            self._metrics.jobs.observe((time.monotonic() - begun) * 1000)
            self._metrics.tokens.set(100 * self._memory.used)

    async def _answer(self, job: str, payload: dict[str, Any], tell: Tell) -> dict[str, Any]:
        question = payload.get("question")
        if not isinstance(question, str) or not question.strip():
            raise JobError(ErrorType.VALIDATION, "the job has no question")
        vector = (await self._embedder.embed([question]))[0]
        if len(vector) != self._corpus.vectors.shape[1]:
            raise JobError(ErrorType.EMBEDDING_MISMATCH, f"{len(vector)} dimensions")
        context = self._corpus.nearest(vector, NEAREST)
        self._memory.add(job, "\n".join(context))
        tell("found", {"pieces": len(context)})
        text, provider, pieces = "", "", 0
        async for piece in self._chain.answer(question, context, fallback=bool(payload.get("fallback"))):
            if piece.begins:
                text, provider = "", piece.provider
                tell("provider", {"name": provider})
            text += piece.text
            pieces += 1
            if pieces % PROGRESS_EVERY == 0:
                tell("progress", {"characters": len(text)})
        return {"answer": text.strip(), "provider": provider}

    async def _index(self, payload: dict[str, Any], tell: Tell) -> dict[str, Any]:
        texts, batch = payload.get("texts"), payload.get("batch", BATCHES[0])
        if not isinstance(texts, list) or not texts or not all(isinstance(one, str) for one in texts):
            raise JobError(ErrorType.VALIDATION, "the job has no texts")
        with tempfile.TemporaryDirectory(prefix="index-", dir=self._scratch) as folder:
            rows = await self._embedder.embed_all(texts, batch, tell)
            path = Path(folder) / "vectors.npy"
            np.save(path, rows)  # as a real index would be written before it is moved to its place
            return {"texts": len(texts), "dimensions": int(rows.shape[1]), "bytes": path.stat().st_size}
