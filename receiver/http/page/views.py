"""Handlers of the page."""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from msgspec import Struct
from msgspec.structs import replace

from receiver.context import Context
from receiver.http import operate
from receiver.http.incoming import RefusedError, form_of
from receiver.http.page import incidents, oidc, session
from receiver.http.page.pages import Content, Pages, Shown
from receiver.http.page.people import Person, Proxy
from receiver.http.page.render import HEADERS, html, part
from receiver.http.page.session import Session
from receiver.http.page.words import SHOWN
from receiver.http.tokens import Role, Tokens
from receiver.journal import JournalError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CHANGE_EVERY_S = 0.5
COMMENT_EVERY_S = 15.0
LOOK_EVERY_S = 0.5
"""Seconds after which a stream notices at the latest that the receiver stops."""

HERE = "./"
HOME = "../"
BACK = re.compile(r"(service\?name=[A-Za-z0-9_.~%-]*|incidents|rollouts|letters|system)?")
"""The pages to which a form may lead back, relative to the page's folder."""

LANDING = re.compile(
    r"(page/(service\?name=[A-Za-z0-9_.~%-]*|incident\?id=[A-Za-z0-9_.~%-]*|incidents|rollouts"
    r"|rollout\?service=[A-Za-z0-9_.~%-]*&id=[A-Za-z0-9_.~%-]*|letters|system))?"
)
"""The pages to which a login may lead, relative to the page's root."""

DONE: Mapping[str, str] = {
    "ack": "You have acknowledged the incident. Escalation stops.",
    "cancel": "The action is being cancelled.",
    "dlq": "The notice is being sent again.",
    "freeze": "The service is frozen. To undo this, unfreeze the service.",
    "unfreeze": "The service is unfrozen. To undo this, freeze the service by hand.",
}


class Views(Struct, kw_only=True):
    """Handlers over one receiver."""

    context: Context
    tokens: Tokens
    public_url: str
    pages: Pages
    stopping: Callable[[], bool]
    proxy: Proxy | None = None
    provider: oidc.Provider | None = None
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

    def page(self, content: Content) -> Handler:
        """A handler for one page: the whole page, or with `part=main` the part that changes."""

        async def handle(request: web.Request) -> web.StreamResponse:
            root = HERE if request.path == "/" else HOME
            is_part = request.query.get("part") == "main"
            visitor = self._session(request)
            if visitor is None:
                if request.headers.get("Sec-Fetch-Site") == "cross-site" and not is_part:
                    # After a link from elsewhere (say, in an e-mail) the browser sends no SameSite=Strict cookie. Our
                    # own redirect makes the browser send the cookie.
                    return html("again.html", root=root, here=request.rel_url.raw_path_qs)
                return self._login(request, root, status=401 if is_part else 200, error=self._unlisted(request))
            try:
                shown = await content(self.pages, request)
            except RefusedError as error:
                return html("refused.html", root=root, status=error.status, message=str(error))
            except JournalError:
                return html("refused.html", root=root, status=503, message="The receiver cannot read its journal.")
            template = "content.html" if is_part else "page.html"
            return html(template, root=root, **self._values(request, visitor, shown, root))

        return handle

    async def markdown(self, request: web.Request) -> web.StreamResponse:
        """One incident as Markdown, as a file to keep."""
        return await self._file(request, "incident", self._incident)

    async def rollout_markdown(self, request: web.Request) -> web.StreamResponse:
        """The report of one rollout as Markdown, as a file to keep."""
        return await self._file(request, "rollout", self._rollout)

    async def _incident(self, request: web.Request) -> tuple[str, str]:
        found = await self.pages.course(request)
        base = self.public_url.rstrip("/")
        return found.entry.id, incidents.markdown(found, url=f"{base}/{found.entry.path}" if base else "")

    async def _rollout(self, request: web.Request) -> tuple[str, str]:
        found = await self.pages.report(request)
        return found.id, found.markdown

    async def _file(
        self, request: web.Request, what: str, make: Callable[[web.Request], Awaitable[tuple[str, str]]]
    ) -> web.StreamResponse:
        """A file of a visitor who is logged in. `make` gives the file's number and its text."""
        if self._session(request) is None:
            return self._login(request, HOME, status=401)
        try:
            number, text = await make(request)
        except RefusedError as error:
            return html("refused.html", root=HOME, status=error.status, message=str(error))
        name = f'attachment; filename="{what}-{number}.md"'
        return web.Response(text=text, content_type="text/markdown", headers={**HEADERS, "Content-Disposition": name})

    async def changes(self, request: web.Request) -> web.StreamResponse:
        """The version of what is shown whenever it changes, as server-sent events, at most every CHANGE_EVERY_S."""
        if self._session(request) is None:
            return web.Response(status=401, headers=HEADERS)
        response = web.StreamResponse(
            headers={**HEADERS, "Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        )
        news = asyncio.Event()

        def on_commit(_head: int, _acted: bool) -> None:  # noqa: FBT001 - a callback's argument
            news.set()

        self.context.journal.on_commit(on_commit)
        self.pages.measures.on_change(news.set)
        try:
            await response.prepare(request)
            await self._stream(request, response, news)
        except (ConnectionResetError, ConnectionAbortedError):
            return response
        finally:
            self.context.journal.off_commit(on_commit)
            self.pages.measures.off_change(news.set)
        return response

    async def _stream(self, request: web.Request, response: web.StreamResponse, news: asyncio.Event) -> None:
        """Wait until the receiver stops, the visitor leaves or the session ends."""
        loop = asyncio.get_running_loop()
        said_at, news_waits = 0.0, True
        while not self.stopping() and self._session(request) is not None:
            if news_waits:
                news.clear()
                await response.write(f"data: {self.pages.version}\n\n".encode())
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
            return self._login(request, HOME, status=401, error="The receiver does not know this token.")
        return self._logged_in(request, self._begun(form.get("name", ""), role), form.get("landing", ""))

    def _logged_in(self, request: web.Request, visitor: Session, landing: str) -> web.Response:
        place = landing if LANDING.fullmatch(landing) else ""
        answer = web.Response(status=303, headers={**HEADERS, "Location": f"{HOME}{place}"})
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

    async def oidc(self, request: web.Request) -> web.StreamResponse:
        """Send the visitor to the identity provider."""
        if self.provider is None:
            raise RefusedError(404, "The receiver knows no identity provider.")
        landing = request.query.get("landing", "")
        try:
            address, pending = await self.provider.begin(landing if LANDING.fullmatch(landing) else "")
        except oidc.LoginError as error:
            return self._login(request, HOME, status=error.status, error=str(error))
        answer = web.Response(status=303, headers={**HEADERS, "Location": address})
        # Lax: the provider sends the browser back from another site.
        answer.set_cookie(
            f"{self.cookie(request)}-login",
            oidc.cookie_of(pending, self.key),
            max_age=int(oidc.PENDING.total_seconds()),
            path="/",
            secure=self.secure(request),
            httponly=True,
            samesite="Lax",
        )
        return answer

    async def oidc_done(self, request: web.Request) -> web.StreamResponse:
        """Take somebody back from the identity provider, and begin a session."""
        if self.provider is None:
            raise RefusedError(404, "The receiver knows no identity provider.")
        name = f"{self.cookie(request)}-login"
        try:
            person, landing = await self._came_back(request, name)
        except oidc.LoginError as error:
            answer = self._login(request, HOME, status=error.status, error=str(error))
        else:
            answer = self._logged_in(request, person, landing)
        answer.del_cookie(name, path="/", secure=self.secure(request), httponly=True, samesite="Lax")
        return answer

    async def logout(self, request: web.Request) -> web.StreamResponse:
        """End the session in this browser."""
        refused = await self._refuse(request, await form_of(request), operating=False)
        if refused is not None:
            return refused
        answer = web.Response(status=303, headers={**HEADERS, "Location": HOME})
        answer.del_cookie(self.cookie(request), path="/", secure=self.secure(request), httponly=True, samesite="Strict")
        return answer

    async def _came_back(self, request: web.Request, cookie: str) -> tuple[Session, str]:
        """The session of somebody whom the identity provider sent back, and where they want to go."""
        pending = oidc.pending_of(request.cookies.get(cookie, ""), self.key)
        if pending is None or self.provider is None:
            raise oidc.LoginError(400, "This browser has begun no login. Log in again.")
        person = await self.provider.finish(request.query, pending)
        if person.role is None:
            raise oidc.LoginError(403, _unlisted(person))
        return self._begun(person.name, person.role), pending.back

    def _begun(self, name: str, role: Role) -> Session:
        return session.begin(name=name, role=role, nonce=secrets.token_urlsafe(16), now=self.context.clock())

    def operation(self, name: str) -> Handler:
        """A handler for one of the operator's forms."""

        async def handle(request: web.Request) -> web.StreamResponse:
            form = await form_of(request)
            refused = await self._refuse(request, form, operating=True)
            visitor = self._session(request)
            if refused is not None or visitor is None:
                return refused or self._login(request, HOME, status=401)
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
            return web.Response(status=303, headers={**HEADERS, "Location": _back(form.get("back", ""), name)})

        return handle

    async def _refuse(self, request: web.Request, form: Mapping[str, str], *, operating: bool) -> web.Response | None:
        """The answer that refuses a form; None if the form may pass."""
        visitor = self._session(request)
        if visitor is None:
            return self._login(request, HOME, status=401, error="Your session has ended. Log in again.")
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
        cookie, now = request.cookies.get(self.cookie(request), ""), self.context.clock()
        known = session.session_of(cookie, self.key, now=now) if cookie else None
        person = self._proxied(request)
        if person is None:
            return known
        if known is not None:  # a token may allow more, but the proxy knows the name
            return replace(known, name=person.name)
        return session.of_proxy(name=person.name, role=person.role, now=now) if person.role is not None else None

    def _proxied(self, request: web.Request) -> Person | None:
        return self.proxy.person(request.remote or "", request.headers) if self.proxy is not None else None

    def _unlisted(self, request: web.Request) -> str:
        """Why somebody whom the proxy names must log in all the same; "" for everybody else."""
        person = self._proxied(request)
        return _unlisted(person) if person is not None and person.role is None else ""

    def _login(self, request: web.Request, root: str, *, status: int, error: str = "") -> web.Response:
        """The page to log in, which leads to the page that the visitor wanted."""
        wanted = request.rel_url.raw_path_qs.removeprefix("/")
        landing = wanted if LANDING.fullmatch(wanted) else ""
        provider = self.provider.name if self.provider is not None else ""
        return html("login.html", root=root, status=status, error=error, landing=landing, provider=provider)

    def _role(self, token: str) -> Role | None:
        """The strongest role that a token allows here."""
        return next((role for role in (Role.OPERATE, Role.READ) if token and self.tokens.allows(token, role)), None)

    def _values(self, request: web.Request, visitor: Session, shown: Shown, root: str) -> dict[str, Any]:
        shared: dict[str, Any] = {
            "visitor": visitor,
            "csrf": session.csrf_of(visitor, self.key),
            "version": self.pages.version,
            "back": shown.back,
        }
        return {
            **shared,
            "shown": shown,
            "path": request.path,
            "at": self.context.clock().strftime(SHOWN),
            "done": DONE.get(request.query.get("done", ""), ""),
            "problems": self.pages.health.problems(),
            "content": shown.text or part(shown.template, root=root, **shared, **shown.values),
        }


def _unlisted(person: Person) -> str:
    return f"No list in receiver.yaml names {person.name}. Ask an administrator, or log in with a token."


def _back(wanted: str, done: str) -> str:
    """Where a form leads: back to its page, with a word about what was done."""
    page = wanted if BACK.fullmatch(wanted) else ""
    if not page:
        return f"{HOME}?done={done}"
    return f"{page}{'&' if '?' in page else '?'}done={done}"


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event. The answer says whether the event was set in time."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
