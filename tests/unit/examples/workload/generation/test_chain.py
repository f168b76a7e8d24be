"""The vendors' official clients against the stand-ins: whatever fails, the user gets an answer."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from msgspec import Struct

from examples.workload.generation.chain import Anthropic, Chain, OpenAi, Piece, extract
from examples.workload.generation.errors import ErrorType, JobError
from examples.workload.generation.flags import Flags
from examples.workload.providers.app import Providers
from examples.workload.providers.faults import Fault, Kind
from tests.acceptance.receiver.harness import FEATURE_FLAGS

QUESTION = "What does the freeze do?"
CONTEXT = ["A rollback takes a release back. The freeze stops all deployments."]
LOCAL_ANSWER = "The freeze stops all deployments."
MADE_ANSWER = "In short: What does the freeze do?"
PATIENCE_S = 3.0
"""Long enough for a vendor's client at its first request on a busy machine; the faulty ones wait ten times as long."""


class Rig(Struct, kw_only=True):
    """A chain over both vendors, and what failed."""

    providers: Providers
    chain: Chain
    failures: list[tuple[str, ErrorType]]

    async def ask(self, *, fallback: bool = False) -> tuple[str, str]:
        """Provider and answer, as a reader ends up with them."""
        provider, text = "", ""
        async for piece in self.chain.answer(QUESTION, CONTEXT, fallback=fallback):
            assert isinstance(piece, Piece)
            if piece.begins:
                provider, text = piece.provider, ""
            text += piece.text
        return provider, text.strip()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """Everything in this process."""
    providers = Providers(lambda texts: [[0.0] for _ in texts])
    server = TestServer(providers.app())
    await server.start_server()
    url = str(server.make_url("")).rstrip("/")
    vendors: list[OpenAi | Anthropic] = [OpenAi(url), Anthropic(url)]
    failures: list[tuple[str, ErrorType]] = []

    def failed(vendor: str, error: JobError) -> None:
        failures.append((vendor, error.type))

    yield Rig(providers=providers, chain=Chain(list(vendors), failed, patience_s=PATIENCE_S), failures=failures)
    for vendor in vendors:
        await vendor.close()
    await server.close()


async def test_the_first_vendor_answers_if_nothing_is_wrong(rig: Rig) -> None:
    """The second one is not asked."""
    assert await rig.ask() == ("openai", MADE_ANSWER)
    assert rig.failures == []


FAULTS = [
    (Kind.DEAD, {ErrorType.NETWORK_UNREACHABLE}),
    (Kind.ERRORS, {ErrorType.PROVIDER_ERROR}),
    (Kind.OVERLOADED, {ErrorType.PROVIDER_OVERLOADED}),
    (Kind.SLOW, {ErrorType.TIMEOUT}),
    (Kind.DRIP, {ErrorType.TIMEOUT}),
    (Kind.RATE_LIMITED, {ErrorType.RATE_LIMITED}),
    (Kind.CUT, {ErrorType.STREAM_CUT}),
    (Kind.WRONG_JSON, {ErrorType.INVALID_ANSWER}),
    (Kind.UNAUTHORIZED, {ErrorType.UNAUTHORIZED}),
    (Kind.TOO_LONG, {ErrorType.CONTEXT_TOO_LONG}),
    (Kind.FILTERED, {ErrorType.CONTENT_FILTERED}),
]


@pytest.mark.parametrize("kind,types", FAULTS)
async def test_a_faulty_vendor_fails_no_request(rig: Rig, kind: Kind, types: set[ErrorType]) -> None:
    """The next provider answers whole; if both vendors are faulty, the answer comes from the context."""
    fault = Fault(kind=kind, wait_s=30.0)
    rig.providers.set(openai=fault)
    assert await rig.ask() == ("anthropic", MADE_ANSWER)
    assert {found for _, found in rig.failures} == types
    rig.providers.set(anthropic=fault)
    assert await rig.ask() == ("local", LOCAL_ANSWER)
    assert [vendor for vendor, _ in rig.failures] == ["openai", "anthropic"], "a vendor that failed rests"


async def test_a_vendor_whose_words_drip_in_time_is_not_left(rig: Rig) -> None:
    """The end of a stream is no word, so the end does not wait."""
    assert await rig.ask() == ("openai", MADE_ANSWER)  # a client's first request is slow
    rig.providers.set(openai=Fault(kind=Kind.DRIP, wait_s=PATIENCE_S * 0.6))
    begun = [piece.provider async for piece in rig.chain.answer("Why?", CONTEXT, fallback=False) if piece.begins]
    assert (begun, rig.failures) == (["openai"], [])


async def test_retry_after_is_kept(rig: Rig) -> None:
    """A vendor is not asked again for as long as the vendor says, or for 5 seconds."""
    rig.providers.set(openai=Fault(kind=Kind.RATE_LIMITED, wait_s=60.0), anthropic=Fault(kind=Kind.ERRORS))
    await rig.ask()
    rest = {name: until - time.monotonic() for name, until in rig.chain.resting_until.items()}
    assert 55 < rest["openai"] <= 60
    assert 2 < rest["anthropic"] <= 5


async def test_header_and_flag_leave_out_the_first_vendor(rig: Rig, tmp_path: Path) -> None:
    """The header for one request, the flag for all: the file is read again when somebody changes it."""
    assert await rig.ask(fallback=True) == ("anthropic", MADE_ANSWER)
    path = tmp_path / "flags.json"
    path.write_text(FEATURE_FLAGS)
    flags = Flags(path)
    assert (flags.fallback(""), flags.fallback("on")) == (False, True)
    fresh = tmp_path / "fresh.json"
    fresh.write_text(FEATURE_FLAGS.replace('"defaultVariant": "off"', '"defaultVariant": "on"').replace("null", '"on"'))
    fresh.replace(path)
    assert flags.fallback("") is True
    path.write_text("{")
    assert (flags.fallback(""), flags.fallback("on")) == (False, True), "without flags, the header decides"


def test_the_local_answer_is_a_sentence_of_the_context() -> None:
    """The one that shares most words with the question."""
    assert extract(QUESTION, CONTEXT) == LOCAL_ANSWER
    assert extract(QUESTION, []) == "No part of the corpus answers the question."
