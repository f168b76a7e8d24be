"""An SMTP relay that keeps what it gets, and fails as told."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from msgspec import Struct, field

from tests.fakes.faults import Answer, Fault, Hang, Reset

PASSWORD = "smtpFAKEpassword"


class SmtpFake(Struct, kw_only=True):
    """One running relay. `faults` are used up one a message; `refuse` are mailboxes that are never taken."""

    port: int = 0
    faults: deque[Fault] = field(default_factory=deque)
    refuse: set[str] = field(default_factory=set)
    received: list[EmailMessage] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    attempts: int = 0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take or refuse one mailbox."""
        if address in self.refuse:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep the message, or fail."""
        self.attempts += 1
        match self.faults.popleft() if self.faults else None:
            case Answer(status=status, body=text):
                return f"{status} {text}"
            case Hang():
                await self.stopping.wait()
            case Reset():
                if isinstance(server.transport, asyncio.WriteTransport):
                    server.transport.abort()
                return "451 gone"
        raw = envelope.content
        if not isinstance(raw, bytes):
            return "550 no content"
        self.received.append(message_from_bytes(raw, EmailMessage, policy=default))
        return "250 queued"

    def login(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        """Accept PASSWORD alone."""
        self.logins.append(data.login.decode())
        good = data.password == PASSWORD.encode()
        return AuthResult(success=good, handled=False)


@asynccontextmanager
async def running_smtp(fake: SmtpFake, *, without: Sequence[str] = ()) -> AsyncIterator[SmtpFake]:
    """Serve a relay on a free loopback port; its `port` is set. `without` are ways to log in that it does not offer."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(
            fake,
            authenticator=fake.login,
            auth_require_tls=False,
            auth_exclude_mechanism=without,
            hostname="relay.test",
        ),
        host="127.0.0.1",
        port=0,
    )
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        fake.stopping.set()
        server.close()
        await server.wait_closed()
