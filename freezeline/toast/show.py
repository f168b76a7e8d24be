"""The outputs for toasts: the desktop through desktop-notifier, or a terminal."""

import asyncio
import json
import logging
import platform
import webbrowser
from collections.abc import Callable
from datetime import UTC
from typing import Protocol, TextIO

from freezeline import extras
from freezeline.toast.toasts import Toast
from receiver.plaintext import plain

SHOW_TIMEOUT_S = 10.0
REASON_MAX = 200


class ShowFailedError(Exception):
    """A toast could not be shown; the agent tries again."""


class NoDesktopError(Exception):
    """This machine can never show toasts."""


class LastFailure(logging.Handler):
    """The reason why desktop-notifier failed: the library logs the reason instead of raising it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.reason = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Remember the failure."""
        error = record.exc_info[1] if record.exc_info else None
        self.reason = plain(str(error) if error is not None else record.getMessage(), REASON_MAX)


class Show(Protocol):
    """Shows one toast. Raises ShowFailedError."""

    async def __call__(self, toast: Toast) -> None:
        """Return once it is shown."""
        ...


def printer(out: TextIO, *, as_json: bool) -> Show:
    """Print toasts as lines on `out`, and flush each."""

    async def show(toast: Toast) -> None:
        at = toast.at.astimezone(UTC).isoformat(timespec="milliseconds")
        if as_json:
            fields = {"seq": toast.seq, "at": at, "severity": toast.severity, "title": toast.title}
            print(json.dumps({**fields, "text": toast.text, "url": toast.url}), file=out, flush=True)
        else:
            link = f" <{toast.url}>" if toast.url else ""
            print(f"{at} [{toast.severity}] {toast.title}: {toast.text}{link}", file=out, flush=True)

    return show


async def desktop() -> Show:
    """Show native toasts; a click opens the toast's URL. Raises NoDesktopError."""
    try:
        from desktop_notifier import DesktopNotifier, Urgency  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise NoDesktopError(f"desktop-notifier is not installed: {extras.install('toast')}, or use --print") from error
    failure = LastFailure()
    library = logging.getLogger("desktop_notifier")
    library.addHandler(failure)
    library.propagate = False
    notifier = DesktopNotifier(app_name="Freezeline", app_icon=None)
    if platform.system() != "Linux" and not await notifier.get_capabilities():
        raise NoDesktopError(
            "the desktop does not let this Python show notifications: use --print, or see docs/toast.md"
        )
    urgencies = {"critical": Urgency.Critical, "info": Urgency.Low}

    async def show(toast: Toast) -> None:
        # Only this callback reports that the toast is shown.
        dispatched = asyncio.Event()
        sending = notifier.send(
            title=body(toast.title),
            message=body(toast.text),
            urgency=urgencies.get(toast.severity, Urgency.Normal),
            on_dispatched=dispatched.set,
            on_clicked=opener(toast.url, webbrowser.open) if toast.url else None,
        )
        try:
            await asyncio.wait_for(sending, SHOW_TIMEOUT_S)
        except TimeoutError:
            raise ShowFailedError(
                f"the desktop's notification service did not answer for {SHOW_TIMEOUT_S:g} s"
            ) from None
        if not dispatched.is_set():
            raise ShowFailedError(f"the desktop's notification service did not take the toast: {failure.reason}")

    return show


def opener(url: str, open_url: Callable[[str], bool]) -> Callable[[], None]:
    """The action of a click. `url` has passed `may_open`; the browser starts outside the event loop."""

    def click() -> None:
        asyncio.get_running_loop().run_in_executor(None, open_url, url)

    return click


def body(text: str) -> str:
    """A text that services with markup (freedesktop's "body-markup") show unchanged."""
    return text.replace("<", "‹") if platform.system() == "Linux" else text
