"""The assistant's routes, and what happens around each request: faults of the release, metrics, logs, ids."""

import asyncio
import itertools
import logging
import time
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web
from prometheus_client import generate_latest
from redis.exceptions import RedisError

from examples.workload.assistant.chat import Engine, remember
from examples.workload.assistant.ensemble import Ensemble
from examples.workload.assistant.health import Health
from examples.workload.assistant.metrics import Metrics
from examples.workload.assistant.ratings import Ratings
from examples.workload.assistant.releases import Release
from examples.workload.assistant.sessions import Message, Sessions
from examples.workload.tracing import Tracing, identify

RECOMMENDATIONS, CHAT, SESSION = "/api/v2/recommendations", "/api/v2/chat", "/api/v2/session/{id}"
PATHS = (RECOMMENDATIONS, CHAT, SESSION)
TOP = 10
MESSAGE_MAX = 500
CACHED = 5000
SLOW_S = 0.5

log = logging.getLogger("assistant")


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RecommendationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /api/v2/recommendations`."""

    user_id: int
    top: int = TOP


class ChatRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /api/v2/chat`; without a session, a new one begins."""

    message: str
    session_id: str = ""
    user_id: int = -1


class Assistant:
    """One process: the trained engine, the store of sessions, and one release's faults."""

    def __init__(
        self, *, ratings: Ratings, model: Ensemble, sessions: Sessions, metrics: Metrics, release: Release
    ) -> None:
        self._ratings = ratings
        self._model = model
        self._sessions = sessions
        self._metrics = metrics
        self._release = release
        self._tracing = Tracing("assistant")
        self._engine = Engine(model, ratings)
        self._cache: OrderedDict[tuple[int, int], list[dict[str, Any]]] = OrderedDict()
        self._begun = time.monotonic()
        self._numbers = itertools.count(1)
        self._leaked: list[bytes] = []
        self._health = Health(version=release.name, model=ratings.source, sessions=sessions, metrics=metrics)

    @property
    def release(self) -> str:
        """The name of the release."""
        return self._release.name

    async def close(self) -> None:
        """Close the connections to Redis."""
        await self._sessions.close()

    def app(self) -> web.Application:
        """The application."""
        made = web.Application(middlewares=[self._tracing.around, self._around])
        made.on_response_prepare.extend([identify, self._named])
        made.add_routes(
            [
                web.post(RECOMMENDATIONS, self._recommend),
                web.post(CHAT, self._chat),
                web.get(SESSION, self._session),
                web.get("/health", self._brief),
                web.get("/health/detailed", self._detailed),
                web.get("/metrics", self._metrics_page),
            ]
        )
        return made

    async def _named(self, _request: web.Request, answer: web.StreamResponse) -> None:
        answer.headers["X-Release"] = self._release.name

    @web.middleware
    async def _around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Misbehave, measure and log on the routes of the API."""
        resource = request.match_info.route.resource
        path = resource.canonical if resource else ""
        if path not in PATHS:
            return await handler(request)
        begun = time.monotonic()
        answer = await self._answer(request, handler)
        took_s = time.monotonic() - begun
        self._metrics.answered(path, answer.status, took_s)
        self._health.times_s.append(took_s)
        level = logging.ERROR if answer.status >= 500 else logging.WARNING if took_s > SLOW_S else logging.INFO
        if log.isEnabledFor(level):
            fields = {"path": path, "status": answer.status, "duration_ms": round(took_s * 1000, 3)}
            log.log(level, "%s %s", request.method, request.path, extra={"fields": fields})
        return answer

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        release = self._release
        if release.answers_after_s:
            await asyncio.sleep(release.answers_after_s)
        if release.leaks_bytes and self._metrics.memory_ratio() < 1:
            self._leaked.append(b"x" * release.leaks_bytes)
        young = time.monotonic() - self._begun < release.fails_until_s
        if release.fails_every and young and next(self._numbers) % release.fails_every == 0:
            return _error(500, f"release {release.name} fails on purpose")
        try:
            return await handler(request)
        except msgspec.MsgspecError as error:
            return _error(422, str(error))
        except RedisError as error:
            return _error(503, f"the store of sessions does not answer: {error}")

    async def _recommend(self, request: web.Request) -> web.StreamResponse:
        asked = msgspec.json.decode(await request.read(), type=RecommendationRequest)
        if not 0 <= asked.user_id < self._ratings.users:
            return _error(404, f"there is no user {asked.user_id}")
        if not 1 <= asked.top <= 100:
            return _error(422, "top must be from 1 to 100")
        begun = time.monotonic()
        films = self._top(asked.user_id, asked.top)
        self._metrics.recommending.observe(time.monotonic() - begun)
        return _json({"user_id": asked.user_id, "recommendations": films})

    def _top(self, user: int, count: int) -> list[dict[str, Any]]:
        """The user's best films, from memory if they were asked for before."""
        self._metrics.cache_lookups.inc()
        key = (user, count)
        if key in self._cache:
            self._metrics.cache_hits.inc()
            self._cache.move_to_end(key)
            return self._cache[key]
        scores, films = self._model.scores(user), []
        total = scores.total
        for place in self._model.top(user, count):
            film = int(self._model.likes.films[place])
            parts = {"collaborative": scores.collaborative, "content": scores.content, "persona": scores.persona}
            films.append(
                {
                    "film": film,
                    "title": self._ratings.titles[film],
                    "score": round(float(total[place]), 4),
                    "parts": {name: round(float(part[place]), 4) for name, part in parts.items()},
                }
            )
        self._cache[key] = films
        if len(self._cache) > CACHED:
            self._cache.popitem(last=False)
        return films

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        asked = msgspec.json.decode(await request.read(), type=ChatRequest)
        if not 0 < len(asked.message) <= MESSAGE_MAX:
            return _error(422, f"message must have from 1 to {MESSAGE_MAX} characters")
        begun = time.monotonic()
        session = asked.session_id or uuid.uuid4().hex
        memory = remember(await self._sessions.last(session) if asked.session_id else [])
        user = asked.user_id if asked.user_id >= 0 else memory.user
        read = self._engine.read(asked.message)
        routed = time.monotonic()
        persona = self._engine.route(user, read.genre or memory.genre)
        self._metrics.routing.observe(time.monotonic() - routed)
        said = Message(
            role="user",
            text=asked.message,
            at=round(time.time(), 3),
            user=user,
            genre=read.genre,
            before=read.before,
            after=read.after,
        )
        answer = msgspec.structs.replace(self._engine.answer(read, memory, user, persona), at=round(time.time(), 3))
        await self._sessions.append(session, said, answer)
        self._metrics.chatting.observe(time.monotonic() - begun)
        body = {"session_id": session, "persona": self._model.persona_names[persona], "answer": answer.text}
        if "text/event-stream" in request.headers.get("Accept", ""):
            return await _stream(request, body)
        return _json(body)

    async def _session(self, request: web.Request) -> web.StreamResponse:
        session = request.match_info["id"]
        messages, left_s = await self._sessions.whole(session)
        if not messages:
            return _error(404, f"there is no session {session}")
        shown = [{"role": one.role, "text": one.text, "at": one.at} for one in messages]
        return _json({"session_id": session, "expires_in_s": left_s, "messages": shown})

    async def _brief(self, _request: web.Request) -> web.StreamResponse:
        return _json(await self._health.brief())

    async def _detailed(self, _request: web.Request) -> web.StreamResponse:
        return _json(await self._health.detailed())

    async def _metrics_page(self, _request: web.Request) -> web.StreamResponse:
        if not self._release.has_metrics:
            return _error(404, "this release serves no metrics")
        self._metrics.pool_size.set(self._sessions.size)
        self._metrics.pool_in_use.set(self._sessions.in_use)
        try:
            self._metrics.sessions.set(await self._sessions.count())
        except RedisError:
            log.warning("the sessions cannot be counted: Redis does not answer")
        body = generate_latest(self._metrics.registry)
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4"})


async def _stream(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """The answer as server-sent events: word by word, then the whole."""
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await answer.prepare(request)
    for word in body["answer"].split():
        await answer.write(b"event: token\ndata: " + msgspec.json.encode(word) + b"\n\n")
    await answer.write(b"event: done\ndata: " + msgspec.json.encode(body) + b"\n\n")
    await answer.write_eof()
    return answer


def _json(body: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")


def _error(status: int, text: str) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode({"error": text}), content_type="application/json")
