"""The routes of both vendors, and `/faults`, which switches faults on and off."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from examples.workload.providers.faults import VENDORS, Fault, Kind

WORDS_MAX = 60
CUT_AFTER = 3
"""Events of a stream, or bytes of an answer, that a cut connection still delivers."""

Embed = Callable[[list[str]], list[list[float]]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a stream. `word`: the event carries a word of the answer."""

    text: str
    word: bool = False


class Providers:
    """Both vendors. `embed` makes the embeddings."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._faults = dict.fromkeys(VENDORS, Fault())
        self._asked = dict.fromkeys(VENDORS, 0)

    def set(self, **faults: Fault) -> None:
        """Switch the faults of some vendors."""
        self._faults.update(faults)

    def app(self) -> web.Application:
        """The application."""
        made = web.Application(client_max_size=16 * 1024 * 1024)
        made.add_routes(
            [
                web.get("/health", self._health),
                web.get("/faults", self._show),
                web.post("/faults", self._set),
                web.post("/openai/v1/chat/completions", self._faulty("openai", self._openai)),
                web.post("/openai/v1/embeddings", self._faulty("embeddings", self._embeddings)),
                web.post("/anthropic/v1/messages", self._faulty("anthropic", self._anthropic)),
            ]
        )
        return made

    async def _health(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "healthy", "detail": "stand-ins: no vendor is asked"})

    async def _show(self, _request: web.Request) -> web.StreamResponse:
        body = {"faults": self._faults, "asked": self._asked}
        return web.Response(body=msgspec.json.encode(body), content_type="application/json")

    async def _set(self, request: web.Request) -> web.StreamResponse:
        try:
            wanted = msgspec.json.decode(await request.read(), type=dict[str, Fault])
        except msgspec.MsgspecError as error:
            return web.json_response({"error": str(error)}, status=422)
        unknown = sorted(set(wanted) - set(VENDORS))
        if unknown:
            return web.json_response({"error": f"no such vendor: {', '.join(unknown)}"}, status=422)
        self.set(**wanted)
        return await self._show(request)

    def _faulty(self, vendor: str, handler: Callable[[web.Request, Fault], Awaitable[web.StreamResponse]]) -> Handler:
        """The handler, before which the vendor's fault strikes."""

        async def handle(request: web.Request) -> web.StreamResponse:
            fault = self._faults[vendor]
            self._asked[vendor] += 1
            if self._asked[vendor] % fault.every:
                return await handler(request, Fault())
            if fault.kind is Kind.SLOW:
                await asyncio.sleep(fault.wait_s)
            if fault.kind is Kind.DEAD:
                return _hang_up(request)
            if fault.kind is Kind.WRONG_JSON:
                return web.Response(text='{"choices": [', content_type="application/json")
            refused = _refusal(vendor, fault)
            return refused if refused is not None else await handler(request, fault)

        return handle

    async def _openai(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        body = await request.json()
        words = answer(_text(body["messages"])).split()
        head = {"id": "chatcmpl-1", "created": int(time.time()), "model": body["model"]}
        if not body.get("stream"):
            message = {"role": "assistant", "content": " ".join(words)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 1, "completion_tokens": len(words), "total_tokens": len(words) + 1}
            whole = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
            return await _whole(request, whole, fault)

        async def events() -> AsyncIterator[Event]:
            for word in words:
                delta = {"index": 0, "delta": {"content": f"{word} "}, "finish_reason": None}
                text = _data({**head, "object": "chat.completion.chunk", "choices": [delta]})
                yield Event(text=text, word=True)
            end = {"index": 0, "delta": {}, "finish_reason": "stop"}
            yield Event(text=_data({**head, "object": "chat.completion.chunk", "choices": [end]}))
            yield Event(text="data: [DONE]\n\n")

        return await _stream(request, events(), fault)

    async def _anthropic(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        body = await request.json()
        words = answer(_text(body["messages"])).split()
        usage = {"input_tokens": 1, "output_tokens": len(words)}
        head = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "stop_sequence": None}
        if not body.get("stream"):
            content = [{"type": "text", "text": " ".join(words)}]
            return await _whole(request, {**head, "content": content, "stop_reason": "end_turn", "usage": usage}, fault)

        async def events() -> AsyncIterator[Event]:
            begun = {**head, "content": [], "stop_reason": None, "usage": usage}
            yield _event("message_start", {"message": begun})
            yield _event("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}})
            for word in words:
                delta = {"type": "text_delta", "text": f"{word} "}
                yield _event("content_block_delta", {"index": 0, "delta": delta}, word=True)
            yield _event("content_block_stop", {"index": 0})
            ended = {"stop_reason": "end_turn", "stop_sequence": None}
            yield _event("message_delta", {"delta": ended, "usage": {"output_tokens": len(words)}})
            yield _event("message_stop", {})

        return await _stream(request, events(), fault)

    async def _embeddings(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        body = await request.json()
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        vectors = await asyncio.to_thread(self._embed, texts)
        data = [{"object": "embedding", "index": place, "embedding": one} for place, one in enumerate(vectors)]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return await _whole(request, {"object": "list", "data": data, "model": body["model"], "usage": usage}, fault)


def answer(question: str) -> str:
    """A made answer: the words of the question's last paragraph, at most sixty."""
    words = question.strip().rsplit("\n\n", 1)[-1].split()
    return " ".join(["In short:", *words[:WORDS_MAX]])


def _text(messages: list[dict[str, Any]]) -> str:
    content = messages[-1]["content"]
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


def _refusal(vendor: str, fault: Fault) -> web.Response | None:
    """The answer of a vendor that refuses; None if the vendor works."""
    statuses = {
        Kind.ERRORS: (500, "api_error", "internal error"),
        Kind.OVERLOADED: (529 if vendor == "anthropic" else 503, "overloaded_error", "overloaded"),
        Kind.RATE_LIMITED: (429, "rate_limit_error", "too many requests"),
        Kind.UNAUTHORIZED: (401, "authentication_error", "no such key"),
        Kind.TOO_LONG: (400, "context_length_exceeded", "maximum context length exceeded"),
        Kind.FILTERED: (400, "content_filter", "refused by the content filter"),
    }
    if fault.kind not in statuses:
        return None
    status, code, text = statuses[fault.kind]
    error = {"type": code, "code": code, "message": text, "param": None}
    body = {"type": "error", "error": error} if vendor == "anthropic" else {"error": error}
    headers = {"Retry-After": f"{fault.wait_s:g}"} if fault.kind is Kind.RATE_LIMITED else {}
    return web.json_response(body, status=status, headers=headers)


def _hang_up(request: web.Request) -> web.Response:
    """Close the connection; what was sent before still arrives."""
    if request.transport is not None:
        request.transport.close()
    return web.Response(status=500)


async def _whole(request: web.Request, body: dict[str, Any], fault: Fault) -> web.StreamResponse:
    if fault.kind is not Kind.CUT:
        return web.json_response(body)
    text = json.dumps(body).encode()
    cut = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(text))})
    await cut.prepare(request)
    await cut.write(text[:CUT_AFTER])
    _hang_up(request)
    return cut


async def _stream(request: web.Request, events: AsyncIterator[Event], fault: Fault) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    sent = 0
    async for event in events:
        if fault.kind is Kind.CUT and sent == CUT_AFTER:
            _hang_up(request)
            return response
        if fault.kind is Kind.DRIP and event.word:
            await asyncio.sleep(fault.wait_s)
        await response.write(event.text.encode())
        sent += 1
    await response.write_eof()
    return response


def _data(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body)}\n\n"


def _event(name: str, body: dict[str, Any], *, word: bool = False) -> Event:
    return Event(text=f"event: {name}\ndata: {json.dumps({'type': name, **body})}\n\n", word=word)
