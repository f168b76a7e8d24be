"""Sends one message with Apprise, in a process of its own: JSON on stdin, one line of JSON on stdout.

Apprise says only whether a message was sent. This program also notes what the service answered, so that the receiver
knows whether another attempt can succeed. The URL, which is the secret, comes on stdin and goes nowhere else.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
ANSWER_MAX = 300


def main() -> None:
    """Read what to send, send it, and say what became of it."""
    asked = json.load(sys.stdin)
    found: dict[str, Any] = {"sent": False, "status": None, "retry_after": None, "error": ""}
    # A silent service must not hold the process, whatever the plugin waits for.
    signal.signal(signal.SIGALRM, lambda *_: _say(found | {"error": "timeout"}))
    signal.setitimer(signal.ITIMER_REAL, asked["wait_s"])
    import apprise  # noqa: PLC0415 - the time for loading the plugins is not the service's
    import requests  # noqa: PLC0415 - as above

    plain_send = requests.Session.send

    def send(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        url = urlsplit(request.url or "")
        if url.scheme != "https" and url.hostname not in LOOPBACK:
            found["error"] = "unencrypted"
            raise requests.ConnectionError("plain HTTP to another machine")
        try:
            answer = plain_send(session, request, **{**options, "allow_redirects": False})
        except requests.RequestException as error:
            found["error"] = type(error).__name__
            raise
        found.update(status=answer.status_code, retry_after=answer.headers.get("Retry-After"))
        found["error"] = answer.text[:ANSWER_MAX]
        return answer

    requests.Session.send = send  # type: ignore[assignment,method-assign] # the only request-maker of this process
    asset = apprise.AppriseAsset(async_mode=False, secure_logging=True, plugin_paths=[])
    target = apprise.Apprise.instantiate(asked["url"], asset=asset)
    if target is None:
        _say(found | {"error": "unknown"})
        return
    signal.setitimer(signal.ITIMER_REAL, asked["timeout_s"])
    sent = target.notify(
        title=asked["title"], body=asked["body"], notify_type=asked["type"], body_format=apprise.NotifyFormat.TEXT
    )
    _say(found | {"sent": bool(sent)})


def _say(found: dict[str, Any]) -> None:
    os.write(sys.stdout.fileno(), json.dumps(found).encode())
    os._exit(0)  # a plugin may hold threads or connections


if __name__ == "__main__":
    main()
