"""The e-mail channel: one plain-text message per notice through an SMTP relay."""

import asyncio
import hashlib
import ssl
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Literal, Self
from urllib.parse import SplitResult, unquote, urlsplit

import aiosmtplib
from msgspec import Struct

from receiver.decide.notice import Notice, Notifier, PermanentFailure, Receipt, TemporaryFailure
from receiver.decide.retry import Kind, classify_smtp
from receiver.notify.channel import LOOPBACK, Channel, Fields, Tools
from receiver.notify.secret import SecretFile, redact
from receiver.plaintext import plain

Tls = Literal["implicit", "starttls", "none"]
PORTS: dict[Tls, int] = {"implicit": 465, "starttls": 587, "none": 25}
SUBJECT_MAX = 200


class EmailChannel(Channel, frozen=True, kw_only=True):
    """`smtp` is smtp://[USER@]HOST[:PORT], which requires STARTTLS, or smtps://, which starts with TLS.

    `tls: none` turns STARTTLS off; allowed without a password, or if HOST is a loopback address. `user` logs in with
    the password. The default user is the sender's address.
    """

    to: tuple[str, ...]
    sender: str
    host: str
    port: int
    tls: Tls
    user: str
    password: SecretFile | None

    @classmethod
    def parse(cls, fields: Fields) -> Self:
        """Read `to`, `from`, `smtp`, `password_file` and `timeout_s`."""
        to = fields.texts("to", example="oncall@example.org")
        domain = to[0].rpartition("@")[2] if to else "localhost"
        sender = fields.text("from", example="freezeline@example.org", default=f"freezeline@{domain}")
        for key, address in (*(("to", one) for one in to), ("from", sender)):
            if address and not _is_address(address):
                fields.note(key, f"{key} is not an e-mail address: {address}", "write for example `oncall@example.org`")
        parts = _relay(fields)
        tls = _tls(fields, parts)
        fields.known.add("password_file")
        has_password = "password_file" in fields.raw
        secret = fields.secret("password_file", example="/etc/freezeline/smtp") if has_password else None
        return cls(
            name=fields.name,
            timeout_s=fields.timeout(),
            to=to,
            sender=sender,
            host=parts.hostname or "",
            port=parts.port or PORTS[tls],
            tls=tls,
            user=unquote(parts.username or sender),
            password=secret,
        )

    def notifier(self, tools: Tools) -> Notifier:
        """Give the notifier."""
        return EmailNotifier(self, tools)


class EmailNotifier(Struct, frozen=True):
    """Sends one message per notice, each over its own connection."""

    channel: EmailChannel
    tools: Tools

    async def send(self, notice: Notice) -> Receipt:
        """Send the message."""
        channel = self.channel
        password = channel.password.read() if channel.password else None
        message = compose(notice, self.tools.templates.render("email", notice), channel)
        secrets = (password,) if password else ()
        try:
            async with asyncio.timeout(channel.timeout_s):
                answer = await _deliver(channel, message, password)
        except aiosmtplib.SMTPResponseException as error:
            reason = redact(f"{error.code} {error.message}", *secrets)
            if classify_smtp(error.code) is Kind.TEMPORARY:
                raise TemporaryFailure(reason) from None
            raise PermanentFailure(reason) from None
        except aiosmtplib.SMTPNotSupported as error:
            raise PermanentFailure(redact(f"{error}", *secrets)) from None
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _refused(error, secrets) from None
        except TimeoutError:
            raise TemporaryFailure(f"no answer within {channel.timeout_s:g} s") from None
        except (aiosmtplib.SMTPException, ssl.SSLError, OSError) as error:
            raise TemporaryFailure(redact(f"{type(error).__name__}: {error}", *secrets)) from None
        return Receipt(channel=channel.name, answer=redact(answer, *secrets))


def compose(notice: Notice, text: str, channel: EmailChannel) -> EmailMessage:
    """Build the message. The first line of `text` is the subject, the rest the body.

    The Message-ID is made from the notice's key. A repeat therefore has the same Message-ID, and most mailboxes show
    only one message. Raises PermanentFailure for an invalid address.
    """
    subject, _, body = text.partition("\n")
    head = f"(repeat) {subject}" if notice.repeat else subject
    digest = hashlib.sha256(notice.key.encode()).hexdigest()[:40]
    message = EmailMessage(policy=SMTP)
    try:
        message["From"] = channel.sender
        message["To"] = ", ".join(channel.to)
        message["Subject"] = plain(head, SUBJECT_MAX)
        message["Date"] = notice.at
        message["Message-ID"] = f"<{digest}@freezeline.invalid>"
        message["Auto-Submitted"] = "auto-generated"
        message["X-Freezeline-Trace-ID"] = plain(notice.trace_id, 64)
        message["X-Freezeline-Request-ID"] = plain(notice.request_id, 64)
        message.set_content(body.strip("\n") + "\n")
    except (ValueError, MessageError) as error:
        raise PermanentFailure(f"the message cannot be built: {plain(str(error), 200)}") from error
    return message


async def _deliver(channel: EmailChannel, message: EmailMessage, password: str | None) -> str:
    client = aiosmtplib.SMTP(
        hostname=channel.host,
        port=channel.port,
        timeout=channel.timeout_s,
        use_tls=channel.tls == "implicit",
        start_tls=False,
    )
    async with client:
        if channel.tls == "starttls":
            await client.ehlo()
            if not client.supports_extension("starttls"):
                raise aiosmtplib.SMTPNotSupported("the relay does not offer STARTTLS")
            await client.starttls()
        if password is not None:
            await client.login(channel.user, password)
        refused, answer = await client.send_message(message)
    # The other mailboxes have the message: a failure now would send the message to them again.
    missed = "".join(f"; {to} refused: {one.code} {one.message}" for to, one in refused.items())
    return answer + missed


def _refused(error: aiosmtplib.SMTPRecipientsRefused, secrets: tuple[str, ...]) -> PermanentFailure | TemporaryFailure:
    """Temporary if a later attempt may reach any of the mailboxes."""
    reason = redact("; ".join(f"{one.recipient}: {one.code} {one.message}" for one in error.recipients), *secrets)
    if any(classify_smtp(one.code) is Kind.TEMPORARY for one in error.recipients):
        return TemporaryFailure(reason)
    return PermanentFailure(reason)


def _relay(fields: Fields) -> SplitResult:
    example = "smtp://mail.example.org:587"
    text = fields.text("smtp", example=example)
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.password is not None:
        fields.note(
            "smtp", "smtp holds a password", "write the password into a file, and name the file in `password_file`"
        )
    if text and (parts.scheme not in {"smtp", "smtps"} or not host):
        fields.note("smtp", "smtp is not a smtp:// or smtps:// URL", f"write `smtp: {example}`")
        return urlsplit("")
    return parts


def _tls(fields: Fields, parts: SplitResult) -> Tls:
    loopback = parts.hostname in LOOPBACK
    wish = fields.text("tls", example="required", default="none" if loopback else "required")
    if wish not in {"required", "none"}:
        fields.note("tls", f"unknown tls {wish}", "use one of: required, none")
    if wish == "none" and "password_file" in fields.raw and not loopback:
        fields.note(
            "tls",
            "with tls none, the password would cross the network unencrypted",
            "remove `tls: none` or the password",
        )
    if parts.scheme == "smtps":
        return "implicit"
    return "none" if wish == "none" else "starttls"


def _is_address(text: str) -> bool:
    try:
        address = Address(addr_spec=text)
    except (ValueError, MessageError):
        return False
    return bool(address.username and address.domain)
