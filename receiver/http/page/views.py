"""Handlers of the page."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from msgspec import Struct

from receiver import report
from receiver.context import Context
from receiver.decide.model import Recorded
from receiver.http import operate
from receiver.http.incoming import RefusedError, form_of
from receiver.http.page import session
from receiver.http.page.board import Board, board
from receiver.http.page.render import HEADERS, html
from receiver.http.page.session import Session
from receiver.http.rollout import newest
from receiver.http.tokens import Role, Tokens
from receiver.journal import JournalError, View
from receiver.report import Standing

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

DECISIONS_SHOWN = 40
CHANGE_EVERY_S = 0.5
COMMENT_EVERY_S = 15.0
LOOK_EVERY_S = 0.5
"""Seconds after which a stream notices at the latest that the receiver stops."""

HERE = "./"
HOME = "../"
DONE: Mapping[str, str] = {
    "ack": "You have acknowledged the incident. Escalation stops.",
    "cancel": "The action is being cancelled.",
    "dlq": "The notice is being sent again.",
    "unfreeze": "The service is unfrozen.",
}


class Views(Struct, kw_only=True):
    """Handlers over one receiver."""

    context: Context
    tokens: Tokens
    public_url: str
    problems: Callable[[], Sequence[str]]
    stopping: Callable[[], bool]
    key: bytes = b""  # signs sessions; made from the tokens

    def __post_init__(self) -> None:
        self.key = session.key_of(self.tokens.by_role[Role.OPERATE])

    def secure(self, request: web.Request) -> bool:
        """Whether this visitor's browser uses HTTPS: if the public address does, and the request names this address."""
        public = urlsplit(self.public_url)
        return public.scheme == "https" and request.headers.get("Host", "").lower() == public.netloc.lower()

    def cookie(self, request: web.Request) -> str:
        """The cookie's name. The prefix makes browsers insist on HTTPS, this host and this path."""
        return "__Host-freezeline" if self.secure(request) else "freezeline"

    # looking

    async def index(self, request: web.Request) -> web.StreamResponse:
        """The page, or the form to log in."""
        visitor = self._session(request)
        if visitor is None:
            if request.headers.get("Sec-Fetch-Site") == "cross-site":
                # After a link from elsewhere (say, in an e-mail) the browser sends no SameSite=Strict cookie. Our own
                # redirect makes the browser send the cookie.
                return html("again.html", root=HERE)
            return html("login.html", root=HERE, error="")
        done = DONE.get(request.query.get("done", ""), "")
        return html("page.html", root=HERE, **await self._values(visitor), done=done)

    async def fragment(self, request: web.Request) -> web.StreamResponse:
        """The part of the page that changes, for the script."""
        visitor = self._session(request)
        if visitor is None:
            return html("login.html", root=HOME, status=401, error="")
        return html("board.html", root=HERE, **await self._values(visitor))

    async def changes(self, request: web.Request) -> web.StreamResponse:
        """The journal's number whenever it changes, as server-sent events, at most every CHANGE_EVERY_S."""
        if self._session(request) is None:
            return web.Response(status=401, headers=HEADERS)
        response = web.StreamResponse(
            headers={**HEADERS, "Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        )
        news = asyncio.Event()

        def on_commit(_head: int, _acted: bool) -> None:  # noqa: FBT001 - a callback's argument
            news.set()

        self.context.journal.on_commit(on_commit)
        try:
            await response.prepare(request)
            await self._stream(request, response, news)
        except (ConnectionResetError, ConnectionAbortedError):
            return response
        finally:
            self.context.journal.off_commit(on_commit)
        return response

    async def _stream(self, request: web.Request, response: web.StreamResponse, news: asyncio.Event) -> None:
        """Wait until the receiver stops, the visitor leaves or the session ends."""
        loop = asyncio.get_running_loop()
        said_at, news_waits = 0.0, True
        while not self.stopping() and self._session(request) is not None:
            if news_waits:
                news.clear()
                await response.write(f"data: {self.context.journal.head}\n\n".encode())
                said_at = loop.time()
                await asyncio.sleep(CHANGE_EVERY_S)
            elif loop.time() >= said_at + COMMENT_EVERY_S:
                await response.write(b": still here\n\n")
                said_at = loop.time()
            news_waits = await _set_within(news, LOOK_EVERY_S)

    def asset(self, path: Path, content_type: str) -> Handler:
        """A handler for one of our own files."""
        body = path.read_bytes()

        async def handle(_request: web.Request) -> web.Response:
            headers = {**HEADERS, "Cache-Control": "max-age=300"}
            return web.Response(body=body, content_type=content_type, charset="utf-8", headers=headers)

        return handle

    # changing

    async def login(self, request: web.Request) -> web.StreamResponse:
        """Accept a token and begin a session."""
        form = await form_of(request)
        role = self._role(form.get("token", "").strip())
        if role is None:
            return html("login.html", root=HOME, status=401, error="The receiver does not know this token.")
        visitor = session.begin(
            name=form.get("name", ""), role=role, nonce=secrets.token_urlsafe(16), now=self.context.clock()
        )
        answer = web.Response(status=303, headers={**HEADERS, "Location": HOME})
        answer.set_cookie(
            self.cookie(request),
            session.cookie_of(visitor, self.key),
            max_age=int(session.LIFETIME.total_seconds()),
            path="/",
            secure=self.secure(request),
            httponly=True,
            samesite="Strict",
        )
        return answer

    async def logout(self, request: web.Request) -> web.StreamResponse:
        """End the session in this browser."""
        refused = await self._refuse(request, await form_of(request), operating=False)
        if refused is not None:
            return refused
        answer = web.Response(status=303, headers={**HEADERS, "Location": HOME})
        answer.del_cookie(self.cookie(request), path="/", secure=self.secure(request), httponly=True, samesite="Strict")
        return answer

    def operation(self, name: str) -> Handler:
        """A handler for one of the operator's forms."""

        async def handle(request: web.Request) -> web.StreamResponse:
            form = await form_of(request)
            refused = await self._refuse(request, form, operating=True)
            visitor = self._session(request)
            if refused is not None or visitor is None:
                return refused or html("login.html", root=HOME, status=401, error="")
            fields = {key: value for key, value in form.items() if key in {"service", "action", "reason"}}
            try:
                await operate.OPERATIONS[name](self.context, {**fields, "by": visitor.name})
            except RefusedError as error:
                return html("refused.html", root=HOME, status=error.status, message=str(error))
            except JournalError:
                return html(
                    "refused.html",
                    root=HOME,
                    status=503,
                    message="The receiver cannot write its journal. Try again in a moment.",
                )
            return web.Response(status=303, headers={**HEADERS, "Location": f"{HOME}?done={name}"})

        return handle

    async def _refuse(self, request: web.Request, form: Mapping[str, str], *, operating: bool) -> web.Response | None:
        """The answer that refuses a form; None if the form may pass."""
        visitor = self._session(request)
        if visitor is None:
            return html("login.html", root=HOME, status=401, error="Your session has ended. Log in again.")
        if not session.csrf_matches(form.get("csrf", ""), visitor, self.key):
            return html(
                "refused.html",
                root=HOME,
                status=403,
                message="This form did not come from the receiver's own page. Go back, and send the form again.",
            )
        if operating and not visitor.may_operate:
            return html(
                "refused.html",
                root=HOME,
                status=403,
                message="You are logged in with the read token. To change anything, log in with the operate token.",
            )
        if operating and self.stopping():
            return html(
                "refused.html", root=HOME, status=503, message="The receiver is shutting down. Try again in a moment."
            )
        return None

    # who and what

    def _session(self, request: web.Request) -> Session | None:
        cookie = request.cookies.get(self.cookie(request), "")
        return session.session_of(cookie, self.key, now=self.context.clock()) if cookie else None

    def _role(self, token: str) -> Role | None:
        """The strongest role that a token allows here."""
        return next((role for role in (Role.OPERATE, Role.READ) if token and self.tokens.allows(token, role)), None)

    async def _values(self, visitor: Session) -> dict[str, Any]:
        return {"board": await self._board(), "visitor": visitor, "csrf": session.csrf_of(visitor, self.key)}

    async def _board(self) -> Board:
        standing, decisions = await self.context.journal.read(_look)
        faults = {flag: fault.why for flag, fault in self.context.faults.of("freeze").items()}
        return board(
            standing,
            decisions,
            self.context.box.policies,
            now=self.context.clock(),
            faults=faults,
            problems=self.problems(),
            rollouts=await newest(self.context),
        )


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event. The answer says whether the event was set in time."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _look(view: View) -> tuple[Standing, list[Recorded]]:
    return report.look(view), view.last_decisions(DECISIONS_SHOWN)
