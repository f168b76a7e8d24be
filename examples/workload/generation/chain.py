"""The chain of providers: the first vendor, then the second, then an answer without a vendor, taken from the context.

A user request fails only if the local answer fails. A vendor that failed is not asked again for a while: for as long as
the vendor said (Retry-After), else for `REST_S`. The header `x-provider-fallback: on`, or the flag `provider_fallback`,
leaves out the first vendor.
"""

import argparse
import asyncio
import logging
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Protocol

import msgspec
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from examples.workload.generation.errors import ErrorType, JobError, classify

REST_S = 5.0
PATIENCE_S = 2.0
"""A vendor whose next word takes longer than this is left for the next vendor."""

TOKENS_MAX = 400
LOCAL = "local"

log = logging.getLogger("generation")


class Vendor(Protocol):
    """One vendor behind its own client."""

    name: str

    def words(self, prompt: str) -> AsyncGenerator[str, None]:
        """Stream the answer."""


class OpenAi:
    """The first vendor."""

    name = "openai"

    def __init__(self, url: str) -> None:
        self._client = AsyncOpenAI(base_url=f"{url}/openai/v1", api_key="none", max_retries=0, timeout=30)

    async def words(self, prompt: str) -> AsyncGenerator[str, None]:
        """Stream the answer."""
        stream = await self._client.chat.completions.create(
            model="gpt-made", messages=[{"role": "user", "content": prompt}], max_tokens=TOKENS_MAX, stream=True
        )
        ended = False
        async for chunk in stream:
            for choice in chunk.choices:
                ended = ended or choice.finish_reason is not None
                if choice.delta.content:
                    yield choice.delta.content
        if not ended:
            raise ValueError("the answer has no end")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


class Anthropic:
    """The second vendor."""

    name = "anthropic"

    def __init__(self, url: str) -> None:
        self._client = AsyncAnthropic(base_url=f"{url}/anthropic", api_key="none", max_retries=0, timeout=30)

    async def words(self, prompt: str) -> AsyncGenerator[str, None]:
        """Stream the answer."""
        stream = await self._client.messages.create(
            model="claude-made", messages=[{"role": "user", "content": prompt}], max_tokens=TOKENS_MAX, stream=True
        )
        ended = False
        async for event in stream:
            ended = ended or event.type == "message_stop"
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                yield event.delta.text
        if not ended:
            raise ValueError("the answer has no end")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def add_options(parser: argparse.ArgumentParser) -> None:
    """Where the vendors are. A rehearsal puts a stand-in before each vendor."""
    parser.add_argument("--providers", required=True, help="address of the vendors' stand-ins")
    parser.add_argument("--openai", help="address of the first vendor alone (default: the one of --providers)")
    parser.add_argument("--anthropic", help="address of the second vendor alone (default: the one of --providers)")


def vendors(args: argparse.Namespace) -> list[OpenAi | Anthropic]:
    """The vendors in their order."""
    return [OpenAi(args.openai or args.providers), Anthropic(args.anthropic or args.providers)]


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an answer. `begins` says that a provider begins anew: what came before is to be thrown away."""

    provider: str
    text: str = ""
    begins: bool = False


class Chain:
    """The vendors in their order, and which of them rest."""

    def __init__(
        self, vendors: list[Vendor], failed: Callable[[str, JobError], None], *, patience_s: float = PATIENCE_S
    ) -> None:
        self._patience_s = patience_s
        self._vendors = vendors
        self._failed = failed
        self.resting_until: dict[str, float] = {}

    async def answer(self, question: str, context: list[str], *, fallback: bool) -> AsyncIterator[Piece]:
        """Stream an answer by the first provider that can give one."""
        prompt = "\n\n".join(["Answer from this context:", *context, question])
        for vendor in self._vendors[1:] if fallback else self._vendors:
            if self.resting_until.get(vendor.name, 0) > time.monotonic():
                continue
            begun = False
            try:
                yield Piece(provider=vendor.name, begins=True)
                async with aclosing(vendor.words(prompt)) as words:
                    async for text in _timely(words, self._patience_s):
                        begun = True
                        yield Piece(provider=vendor.name, text=text)
            except Exception as error:  # noqa: BLE001 - whatever a vendor's client raises, the next provider answers
                found = classify(error)
                if begun and found.type in {ErrorType.NETWORK_UNREACHABLE, ErrorType.CONNECTION_RESET}:
                    found = JobError(ErrorType.STREAM_CUT, str(found))
                self.resting_until[vendor.name] = time.monotonic() + (found.wait_s or REST_S)
                self._failed(vendor.name, found)
                log.warning("%s failed, the next provider answers: %s", vendor.name, found)
            else:
                return
        yield Piece(provider=LOCAL, begins=True)
        for word in extract(question, context).split():
            yield Piece(provider=LOCAL, text=f"{word} ")


async def _timely(words: AsyncIterator[str], patience_s: float) -> AsyncIterator[str]:
    """The words, each in time. Raises TimeoutError, and ValueError if there is no word at all."""
    some = False
    while True:
        try:
            text = await asyncio.wait_for(anext(words), patience_s)
        except StopAsyncIteration:
            break
        some = True
        yield text
    if not some:
        raise ValueError("the answer is empty")


def extract(question: str, context: list[str]) -> str:
    """The sentence of the context that shares most words with the question: an answer without any vendor."""
    asked = set(re.findall(r"[a-z]{3,}", question.lower()))
    sentences = [one.strip() for piece in context for one in re.split(r"(?<=[.!?])\s+|\n", piece) if one.strip()]
    if not sentences:
        return "No part of the corpus answers the question."
    return max(sentences, key=lambda one: len(asked & set(re.findall(r"[a-z]{3,}", one.lower()))))
