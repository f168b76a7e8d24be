"""From the bytes of a webhook to alerts: Alertmanager's format, version 4. Pure.

A malformed alert is put aside with its reason; the other alerts of the delivery are processed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from receiver.decide.model import Alert, AlertStatus
from receiver.plaintext import plain
from receiver.webhook import foreign

T = TypeVar("T")

ALERTS_MAX = 10_000
LABELS_MAX = 256
TEXTS_MAX = 64 * 1024
"""The most characters in all labels with their names, or in all annotations with their names, of one alert."""


class NotADeliveryError(Exception):
    """The body is not a webhook of Alertmanager. The sender cannot succeed with the same body."""


class _MalformedAlertError(Exception):
    """One alert cannot be read. The message says why."""


class Quarantined(Struct, frozen=True, kw_only=True):
    """An unreadable alert: its place in the delivery, and why."""

    index: int
    why: str


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook. `truncated` is the number of alerts that Alertmanager left out."""

    sha256: str
    body: bytes
    alerts: tuple[Alert, ...]
    quarantined: tuple[Quarantined, ...]
    truncated: int
    receiver: str


class _AlertBody(
    msgspec.Struct, gc=False, rename={"starts_at": "startsAt", "ends_at": "endsAt", "generator_url": "generatorURL"}
):
    """An alert as it was sent. Only the types are checked."""

    labels: dict[str, str]
    status: Any = None
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    starts_at: Any = None
    ends_at: Any = None
    fingerprint: Any = None
    generator_url: Any = None


class _Body(msgspec.Struct, gc=False, rename={"truncated": "truncatedAlerts"}):
    """A webhook whose alerts all have the right types."""

    alerts: list[_AlertBody]
    version: Any = "4"
    truncated: Any = 0
    receiver: Any = ""


_DECODER = msgspec.json.Decoder(_Body)


def parse_delivery(body: bytes) -> Delivery:
    """Read a webhook. Raises NotADeliveryError.

    Nearly every body is sound and is decoded at once. An unsound body is read piece by piece, to find what is wrong.
    """
    try:
        read = _DECODER.decode(body)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return _read_by_piece(body)
    return _delivery(body, read, read.alerts, _checked)


def _read_by_piece(body: bytes) -> Delivery:
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotADeliveryError(f"not JSON: {plain(str(error), 200)}") from error
    if not isinstance(raw, dict):
        raise NotADeliveryError("not a JSON object")
    entries = raw.get("alerts")
    if not isinstance(entries, list):
        raise NotADeliveryError("alerts is not a list")
    head = _Body(
        alerts=[],
        version=raw.get("version", "4"),
        truncated=raw.get("truncatedAlerts", 0),
        receiver=raw.get("receiver", ""),
    )
    return _delivery(body, head, entries, lambda entry: _checked(_typed(entry)))


def _delivery(body: bytes, head: _Body, entries: Sequence[T], read: Callable[[T], Alert]) -> Delivery:
    if head.version != "4":
        version = plain(head.version, 20) if isinstance(head.version, str) else "not text"
        raise NotADeliveryError(f"version is {version}, not 4")
    if len(entries) > ALERTS_MAX:
        raise NotADeliveryError(f"more than {ALERTS_MAX} alerts")
    alerts: list[Alert] = []
    quarantined: list[Quarantined] = []
    for index, entry in enumerate(entries):
        try:
            alerts.append(read(entry))
        except _MalformedAlertError as error:
            quarantined.append(Quarantined(index=index, why=plain(str(error), 200)))
    truncated = head.truncated
    return Delivery(
        sha256=hashlib.sha256(body).hexdigest(),
        body=body,
        alerts=tuple(alerts),
        quarantined=tuple(quarantined),
        truncated=truncated if isinstance(truncated, int) and truncated > 0 else 0,
        receiver=plain(head.receiver, 200) if isinstance(head.receiver, str) else "",
    )


def _typed(raw: Any) -> _AlertBody:
    """Check the types of one alert, which came as decoded JSON."""
    if not isinstance(raw, dict):
        raise _MalformedAlertError("not an object")
    return _AlertBody(
        labels=_texts(raw.get("labels"), "labels"),
        status=raw.get("status"),
        annotations=_texts(raw.get("annotations", {}), "annotations"),
        starts_at=raw.get("startsAt"),
        ends_at=raw.get("endsAt"),
        fingerprint=raw.get("fingerprint"),
        generator_url=raw.get("generatorURL"),
    )


def _texts(raw: Any, what: str) -> dict[str, str]:
    if not isinstance(raw, dict):
        raise _MalformedAlertError(f"{what} is not an object")
    if not all(isinstance(value, str) for value in raw.values()):
        raise _MalformedAlertError(f"a value of {what} is not text")
    return raw


def _checked(raw: _AlertBody) -> Alert:
    """Read one alert whose types are correct."""
    labels, status = raw.labels, raw.status
    _check_size(labels, "labels")
    _check_size(raw.annotations, "annotations")
    if not labels:
        raise _MalformedAlertError("no labels")
    starts_at = _time(raw.starts_at, "startsAt")
    if starts_at is None:
        raise _MalformedAlertError("startsAt is missing")
    if status == "firing":
        state, ends_at = AlertStatus.FIRING, None
    elif status == "resolved":
        state, ends_at = AlertStatus.RESOLVED, _time(raw.ends_at, "endsAt")
    else:
        raise _MalformedAlertError("status is neither firing nor resolved")
    return Alert(
        fingerprint=_fingerprint(raw.fingerprint, labels),
        status=state,
        labels=labels,
        annotations=foreign.said(raw.annotations, labels, raw.generator_url),
        starts_at=starts_at,
        ends_at=ends_at,
    )


def _check_size(texts: Mapping[str, str], what: str) -> None:
    if len(texts) > LABELS_MAX:
        raise _MalformedAlertError(f"more than {LABELS_MAX} {what}")
    if len("".join(texts.values())) + len("".join(texts)) > TEXTS_MAX:
        raise _MalformedAlertError(f"{what} are longer than {TEXTS_MAX} characters")


def _time(raw: Any, what: str) -> datetime | None:
    """An RFC 3339 time; None if the time is absent or is Go's zero time."""
    if raw is None or raw == "0001-01-01T00:00:00Z":
        return None
    if not isinstance(raw, str):
        raise _MalformedAlertError(f"{what} is not text")
    try:
        return read_time(raw)
    except ValueError as error:
        raise _MalformedAlertError(f"{what} {error}") from error


def read_time(raw: str) -> datetime:
    """A time from another server, with which the receiver may calculate. Raises ValueError that says what is wrong."""
    try:
        at = datetime.fromisoformat(raw)
    except ValueError as error:
        raise ValueError("is not a time") from error
    if at.tzinfo is None or not 1970 <= at.year <= 9000:
        raise ValueError("has no time zone or lies outside all reason")
    return at


def _fingerprint(raw: Any, labels: Mapping[str, str]) -> str:
    """Alertmanager's fingerprint. For a sender without fingerprints, a hash of the labels."""
    if raw is None or raw == "":
        text = json.dumps(sorted(labels.items()), ensure_ascii=True)
        return "f" + hashlib.sha256(text.encode()).hexdigest()[:31]
    if not isinstance(raw, str) or len(raw) > 64 or not raw.isascii() or not raw.isalnum():
        raise _MalformedAlertError("fingerprint is not a short word of letters and digits")
    return raw
