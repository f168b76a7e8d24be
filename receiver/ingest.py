"""From the bytes of a webhook to alerts: Alertmanager's format, version 4. Pure.

One malformed alert is put aside with its reason; the rest of its delivery is taken.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from receiver.model import Alert, AlertStatus
from receiver.plaintext import plain

ALERTS_MAX = 10_000
LABELS_MAX = 256
TEXTS_MAX = 64 * 1024
"""Characters in all labels, or all annotations, of one alert."""


class NotADeliveryError(Exception):
    """The body is not a webhook of Alertmanager's; sending it again cannot help."""


class _MalformedAlertError(Exception):
    """One alert cannot be read; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quarantined:
    """An alert that could not be read: its place in the delivery and why."""

    index: int
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One webhook. `truncated` is how many alerts Alertmanager left out of it."""

    sha256: str
    body: bytes
    alerts: tuple[Alert, ...]
    quarantined: tuple[Quarantined, ...]
    truncated: int
    receiver: str


def parse_delivery(body: bytes) -> Delivery:
    """Read a webhook. Raises NotADeliveryError."""
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotADeliveryError(f"not JSON: {plain(str(error), 200)}") from error
    if not isinstance(raw, dict):
        raise NotADeliveryError("not a JSON object")
    entries = raw.get("alerts")
    if not isinstance(entries, list):
        raise NotADeliveryError("alerts is not a list")
    if raw.get("version", "4") != "4":
        raise NotADeliveryError(f"version is {plain(str(raw['version']), 20)}, not 4")
    if len(entries) > ALERTS_MAX:
        raise NotADeliveryError(f"more than {ALERTS_MAX} alerts")
    alerts: list[Alert] = []
    quarantined: list[Quarantined] = []
    for index, entry in enumerate(entries):
        try:
            alerts.append(parse_alert(entry))
        except _MalformedAlertError as error:
            quarantined.append(Quarantined(index=index, why=plain(str(error), 200)))
    truncated = raw.get("truncatedAlerts", 0)
    return Delivery(
        sha256=hashlib.sha256(body).hexdigest(),
        body=body,
        alerts=tuple(alerts),
        quarantined=tuple(quarantined),
        truncated=truncated if isinstance(truncated, int) and truncated > 0 else 0,
        receiver=plain(str(raw.get("receiver", "")), 200),
    )


def parse_alert(raw: Any) -> Alert:
    """Read one alert of a webhook."""
    if not isinstance(raw, dict):
        raise _MalformedAlertError("not an object")
    status = raw.get("status")
    labels, annotations = raw.get("labels"), raw.get("annotations", {})
    _check_texts(labels, "labels")
    _check_texts(annotations, "annotations")
    if not labels:
        raise _MalformedAlertError("no labels")
    starts_at = _time(raw.get("startsAt"), "startsAt")
    if starts_at is None:
        raise _MalformedAlertError("startsAt is missing")
    if status == "firing":
        state, ends_at = AlertStatus.FIRING, None
    elif status == "resolved":
        state, ends_at = AlertStatus.RESOLVED, _time(raw.get("endsAt"), "endsAt")
    else:
        raise _MalformedAlertError("status is neither firing nor resolved")
    return Alert(
        fingerprint=_fingerprint(raw.get("fingerprint"), labels),
        status=state,
        labels=labels,
        annotations=annotations,
        starts_at=starts_at,
        ends_at=ends_at,
    )


def _check_texts(raw: Any, what: str) -> None:
    if not isinstance(raw, dict):
        raise _MalformedAlertError(f"{what} is not an object")
    if len(raw) > LABELS_MAX:
        raise _MalformedAlertError(f"more than {LABELS_MAX} {what}")
    try:
        size = len("".join(raw.values()))
    except TypeError as error:
        raise _MalformedAlertError(f"a value of {what} is not text") from error
    if size > TEXTS_MAX:
        raise _MalformedAlertError(f"{what} are longer than {TEXTS_MAX} characters")


def _time(raw: Any, what: str) -> datetime | None:
    """An RFC 3339 time; None where it is absent or Go's zero time."""
    if raw is None or raw == "0001-01-01T00:00:00Z":
        return None
    if not isinstance(raw, str):
        raise _MalformedAlertError(f"{what} is not text")
    try:
        at = datetime.fromisoformat(raw)
    except ValueError as error:
        raise _MalformedAlertError(f"{what} is not a time") from error
    if at.tzinfo is None or not 1970 <= at.year <= 9000:
        raise _MalformedAlertError(f"{what} has no time zone or lies outside all reason")
    return at


def _fingerprint(raw: Any, labels: Mapping[str, str]) -> str:
    """Alertmanager's fingerprint; for senders that give none, one of our own over the labels."""
    if raw is None or raw == "":
        text = json.dumps(sorted(labels.items()), ensure_ascii=True)
        return "f" + hashlib.sha256(text.encode()).hexdigest()[:31]
    if not isinstance(raw, str) or len(raw) > 64 or not raw.isascii() or not raw.isalnum():
        raise _MalformedAlertError("fingerprint is not a short word of letters and digits")
    return raw
