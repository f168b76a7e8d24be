"""Rows of the journal as values of the model, and back. Only this module lists columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeVar

from receiver.decide.hosts import HostFlag, HostState
from receiver.decide.model import (
    EMPTY,
    Action,
    ActionState,
    ActionType,
    AlertStatus,
    Decision,
    Episode,
    EpisodeState,
    FlagFile,
    FreezeReason,
    Recorded,
    Seen,
    Trace,
    stamp,
)
from receiver.journal.store import Connection

Row = tuple[Any, ...]
T = TypeVar("T")

SENT_MAX = 500
"""Rows in one statement; SQLite takes 32,766 values."""

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode

SEEN = "fingerprint, status, starts_at, ends_at, last_at, labels, annotations, unconfirmed_since"
EPISODE = (
    "id, policy, rule, fingerprint, service, state, generation, opened_at, resolved_at, closed_at, policy_sha256, "
    "incident, alert, severity, reason, spec, labels, starts_at, review_at, acked_at, acked_by, request_id, trace_id"
)
FREEZE_REASON = "flag, episode, reason, since, written_at, ended_at, ended_by, end_reason"
ACTION = (
    "id, key, episode, service, type, name, state, attempt, failures, created_at, due_at, deadline_at, lease_owner, "
    "lease_until, fence, repeat, payload, result, request_id, trace_id"
)

DECISION = "seq, at, kind, sentence, delivery, episode, action, trace_id, prev_hash, hash"
FLAG_FILE = "path, service, generation, text, written_at, legacy_on"
HOST_FLAG = "path, host, service, guards, state, changed_at, error"


def marks(columns: str) -> str:
    """As many question marks as there are columns."""
    return ", ".join("?" * (columns.count(",") + 1))


def when(text: str | None) -> datetime | None:
    """A time that may be absent."""
    return None if text is None else datetime.fromisoformat(text)


def maybe(at: datetime | None) -> str | None:
    """Undo `when`."""
    return None if at is None else stamp(at)


def pack(mapping: Mapping[str, str]) -> str:
    """A mapping as JSON, without characters that PostgreSQL cannot hold: NUL and halves of surrogate pairs."""
    if not mapping:
        return "{}"
    text = _encode(mapping if isinstance(mapping, dict) else dict(mapping))
    if "\\u" in text:  # nearly never: everything else stands as it is
        text = _encode({_storable(key): _storable(value) for key, value in mapping.items()})
    return text


def _storable(value: Any) -> Any:
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode() if isinstance(value, str) else value


def unpack(text: str) -> Mapping[str, str]:
    """Undo `pack`."""
    return EMPTY if text == "{}" else MappingProxyType(json.loads(text))


def seen_of(row: Row) -> Seen:
    """From SEEN columns."""
    return Seen(
        fingerprint=row[0],
        status=AlertStatus(row[1]),
        starts_at=datetime.fromisoformat(row[2]),
        ends_at=when(row[3]),
        last_at=datetime.fromisoformat(row[4]),
        labels=unpack(row[5]),
        annotations=unpack(row[6]),
        unconfirmed_since=when(row[7]),
    )


def episode_of(row: Row) -> Episode:
    """From EPISODE columns."""
    return Episode(
        id=row[0],
        policy=row[1],
        rule=row[2],
        fingerprint=row[3],
        service=row[4],
        state=EpisodeState(row[5]),
        generation=row[6],
        opened_at=datetime.fromisoformat(row[7]),
        resolved_at=when(row[8]),
        closed_at=when(row[9]),
        policy_sha256=row[10],
        incident=row[11],
        alert=row[12],
        severity=row[13],
        reason=row[14],
        spec=row[15],
        labels=unpack(row[16]),
        starts_at=datetime.fromisoformat(row[17]),
        review_at=when(row[18]),
        acked_at=when(row[19]),
        acked_by=row[20],
        trace=Trace(request_id=row[21], trace_id=row[22]),
    )


def episode_row(episode: Episode) -> Row:
    """To EPISODE columns."""
    return (
        episode.id,
        episode.policy,
        episode.rule,
        episode.fingerprint,
        episode.service,
        episode.state.value,
        episode.generation,
        stamp(episode.opened_at),
        maybe(episode.resolved_at),
        maybe(episode.closed_at),
        episode.policy_sha256,
        episode.incident,
        episode.alert,
        episode.severity,
        episode.reason,
        episode.spec,
        pack(episode.labels),
        stamp(episode.starts_at),
        maybe(episode.review_at),
        maybe(episode.acked_at),
        episode.acked_by,
        episode.trace.request_id,
        episode.trace.trace_id,
    )


def freeze_reason_of(row: Row) -> FreezeReason:
    """From FREEZE_REASON columns."""
    return FreezeReason(
        flag=row[0],
        episode=row[1],
        reason=row[2],
        since=datetime.fromisoformat(row[3]),
        written_at=when(row[4]),
        ended_at=when(row[5]),
        ended_by=row[6],
        end_reason=row[7],
    )


def action_of(row: Row) -> Action:
    """From ACTION columns."""
    return Action(
        id=row[0],
        key=row[1],
        episode=row[2],
        service=row[3],
        type=ActionType(row[4]),
        name=row[5],
        state=ActionState(row[6]),
        attempt=row[7],
        failures=row[8],
        created_at=datetime.fromisoformat(row[9]),
        due_at=when(row[10]),
        deadline_at=when(row[11]),
        lease_owner=row[12],
        lease_until=when(row[13]),
        fence=row[14],
        repeat=bool(row[15]),
        payload=unpack(row[16]),
        result=unpack(row[17]),
        trace=Trace(request_id=row[18], trace_id=row[19]),
    )


def action_row(action: Action) -> Row:
    """To ACTION columns."""
    return (
        action.id,
        action.key,
        action.episode,
        action.service,
        action.type.value,
        action.name,
        action.state.value,
        action.attempt,
        action.failures,
        stamp(action.created_at),
        maybe(action.due_at),
        maybe(action.deadline_at),
        action.lease_owner,
        maybe(action.lease_until),
        action.fence,
        int(action.repeat),
        pack(action.payload),
        pack(action.result),
        action.trace.request_id,
        action.trace.trace_id,
    )


def recorded_of(row: Row) -> Recorded:
    """From DECISION columns."""
    return Recorded(
        seq=row[0],
        at=datetime.fromisoformat(row[1]),
        decision=Decision(
            kind=row[2], sentence=row[3], delivery=row[4], episode=row[5], action=row[6], trace_id=row[7]
        ),
        prev_hash=row[8],
        hash=row[9],
    )


def flag_file_of(row: Row) -> FlagFile:
    """From FLAG_FILE columns."""
    return FlagFile(
        path=row[0],
        service=row[1],
        generation=row[2],
        text=row[3],
        written_at=datetime.fromisoformat(row[4]),
        legacy_on=bool(row[5]),
    )


def host_flag_of(row: Row) -> HostFlag:
    """From HOST_FLAG columns, when a receiver of the host was last seen, and how many seconds ago."""
    return HostFlag(
        path=row[0],
        host=row[1],
        service=row[2],
        guards=bool(row[3]),
        state=HostState(row[4]),
        changed_at=datetime.fromisoformat(row[5]),
        error=row[6],
        seen_at=row[7],
        unseen_s=row[8],
    )


def marks_for(values: Sequence[object]) -> str:
    """As many question marks as there are values."""
    return ", ".join("?" * len(values))


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values in pieces that fit into one statement."""
    for start in range(0, len(values), SENT_MAX):
        yield values[start : start + SENT_MAX]


def each_key_once(waiting: Sequence[Row]) -> list[list[Row]]:
    """The rows in parts, in their order: no part has two rows with the same first value.

    PostgreSQL refuses a statement that inserts or updates one row twice.
    """
    parts: list[dict[Any, Row]] = [{}]
    for row in waiting:
        if row[0] in parts[-1]:
            parts.append({})
        parts[-1][row[0]] = row
    return [list(part.values()) for part in parts]


def send(connection: Connection, sql: str, waiting: Sequence[Sequence[Any]]) -> None:
    """One statement for many rows instead of one per row. `{}` in the statement stands for their values."""
    for chunk in chunks(waiting):
        marks = f"({marks_for(chunk[0])})"
        values = [value for row in chunk for value in row]
        connection.execute(sql.format(", ".join([marks] * len(chunk))), values)
