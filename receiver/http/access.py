"""Who may send which request: tokens by role, checks of Host and Origin, and the identifiers of each request."""

from __future__ import annotations

import functools
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from msgspec import Struct
from multidict import istr

from receiver import traceparent
from receiver.decide.model import Trace
from receiver.http.incoming import RefusedError, problem
from receiver.http.tokens import Role, Tokens
from receiver.journal import JournalError
from receiver.logs import CURRENT

log = logging.getLogger(__name__)

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})

QUIET = "freezeline.quiet"
"""Set on a request that changed nothing, such as a repeat of a known alert. Its log record has the level DEBUG."""

REQUEST_ID, TRACE_ID, TRACEPARENT = istr("X-Request-ID"), istr("X-Trace-ID"), istr("traceparent")

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Access(Struct, frozen=True, kw_only=True):
    """`hosts` are the names, in lower case, with or without port, under which requests may address the receiver."""

    tokens: Tokens
    hosts: frozenset[str]

    def refuse(self, request: web.Request, role: Role) -> web.Response | None:
        """The response that refuses a request; None if the request may pass."""
        kind, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if kind.lower() != "bearer" or not self.tokens.allows(token.strip(), role):
            headers = {"WWW-Authenticate": 'Bearer realm="freezeline"'}
            return problem(401, "the token is missing, or does not allow this request", headers=headers)
        return None

    def misdirected(self, request: web.Request) -> web.Response | None:
        """Refuse a request that names another host (DNS rebinding) or comes from a foreign page."""
        host = request.headers.get(hdrs.HOST, "").lower()
        if host not in self.hosts and _name(host) not in self.hosts:
            message = "the receiver does not answer under this host name; add it to `allowed_hosts` in receiver.yaml"
            return problem(421, message)
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None:
            netloc = _netloc(origin)
            if netloc not in self.hosts and _name(netloc) not in self.hosts:
                return problem(403, "the receiver accepts no requests from pages of this origin")
        return None


def _netloc(origin: str) -> str:
    """The host and port of an Origin header; empty if the header names none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


@functools.lru_cache(maxsize=64)
def _name(host: str) -> str:
    """A host without its port."""
    name, _, port = host.rpartition(":")
    return name if port.isdigit() else host


def allowed_hosts(public_url: str, listen_host: str, more: tuple[str, ...]) -> frozenset[str]:
    """The host names under which requests may address the receiver."""
    names = {name.lower() for name in more}
    public = urlsplit(public_url)
    names.add(public.netloc.lower())
    if public.hostname:
        names.add(public.hostname)
    names.add(f"[{listen_host}]" if ":" in listen_host else listen_host.lower())
    return frozenset(names | LOOPBACK_NAMES)


def trace_of(request: web.Request) -> Trace:
    """The request's identifiers: the sender's if they are valid, else new ones."""
    headers = request.headers
    new = f"{random.getrandbits(256):064x}"  # The identifiers tell requests apart and keep no secret.
    request_id, trace_id = new[:32], new[32:]
    if REQUEST_ID in headers and _ID.fullmatch(headers[REQUEST_ID]):
        request_id = headers[REQUEST_ID]
    if TRACE_ID in headers and _ID.fullmatch(headers[TRACE_ID]):
        trace_id = headers[TRACE_ID]
    elif TRACEPARENT in headers and (parent := traceparent.parse(headers[TRACEPARENT])) is not None:
        trace_id = parent.trace_id
    return Trace(request_id=request_id, trace_id=trace_id)


def _identifiers(trace: Trace) -> dict[istr, str]:
    """The headers of an answer."""
    return {
        REQUEST_ID: trace.request_id,
        TRACE_ID: trace.trace_id,
        TRACEPARENT: traceparent.header(trace.trace_id, trace.request_id),
    }


def identified(access: Access, took: Callable[[str, float], None]) -> Any:
    """Middleware: Host and Origin, identifiers in and out, one log record per request.

    `took` gets the path and the seconds of every answered request.
    """

    @web.middleware
    async def middleware(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        begun = time.perf_counter()
        trace = trace_of(request)
        reset = CURRENT.set(trace)
        try:
            refused = access.misdirected(request)
            try:
                answer = refused if refused is not None else await handler(request)
            except RefusedError as error:
                answer = problem(error.status, str(error))
            except web.HTTPException as error:  # aiohttp's own: no such path, or not with this method
                kept = {str(name): error.headers[name] for name in (hdrs.ALLOW, hdrs.LOCATION) if name in error.headers}
                answer = problem(error.status, error.reason.lower(), headers=kept)
            except JournalError as error:
                log.error("journal.failed", extra={"error": str(error)})  # noqa: TRY400 - the trace is noise
                answer = problem(503, "the receiver cannot use its journal")
            if not answer.prepared:
                answer.headers.update(_identifiers(trace))
            spent = time.perf_counter() - begun
            took(request.path, spent)
            _log(request, answer.status, spent)
            return answer
        finally:
            CURRENT.reset(reset)

    return middleware


def _log(request: web.Request, status: int, spent_s: float) -> None:
    level = logging.WARNING if status >= 400 else logging.INFO
    if QUIET in request:
        level = logging.DEBUG
    if log.isEnabledFor(level):
        extra = {
            "action": "request",
            "method": request.method,
            "path": request.path,
            "status": status,
            "duration_ms": round(1000 * spent_s, 3),
        }
        log.log(level, "request", extra=extra)
