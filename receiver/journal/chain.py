"""The hash chain over decisions: each row carries the hash of the row before, so that no row changes unseen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from msgspec import Struct

from receiver.decide.model import Decision, Recorded, stamp

GENESIS = "0" * 64
"""`prev_hash` of the first row."""

CHECKPOINT = "checkpoint"
"""Kind of the row that pruning leaves. Its sentence ends with the hash of the last dropped row."""

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def row_hash(prev_hash: str, seq: int, at: str, decision: Decision) -> str:
    """SHA-256 over the hash of the row before and every column, as a JSON array without blanks."""
    fields = [
        prev_hash,
        seq,
        at,
        decision.kind,
        decision.sentence,
        decision.delivery,
        decision.episode,
        decision.action,
        decision.trace_id,
    ]
    return hashlib.sha256(_encode(fields).encode()).hexdigest()


class Verdict(Struct, frozen=True, kw_only=True):
    """The result of a walk over the chain. `broken_at` is the first row that does not fit; None if all rows fit."""

    rows: int
    head: str
    broken_at: int | None
    why: str


def verify(rows: Iterable[Recorded]) -> Verdict:
    """Walk the rows in order of seq. A checkpoint row must confirm a first row whose number is not 1."""
    count, head, expected_seq = 0, GENESIS, 1
    needs_checkpoint: str | None = None
    for row in rows:
        if count == 0 and row.seq != 1:
            needs_checkpoint, head, expected_seq = row.prev_hash, row.prev_hash, row.seq
        if row.seq != expected_seq:
            return Verdict(rows=count, head=head, broken_at=row.seq, why=f"row {expected_seq} is missing")
        if row.prev_hash != head:
            return Verdict(rows=count, head=head, broken_at=row.seq, why="it does not follow the row before it")
        if row_hash(row.prev_hash, row.seq, stamp(row.at), row.decision) != row.hash:
            return Verdict(rows=count, head=head, broken_at=row.seq, why="its content was changed")
        if row.decision.kind == CHECKPOINT and needs_checkpoint and row.decision.sentence.endswith(needs_checkpoint):
            needs_checkpoint = None
        count, head, expected_seq = count + 1, row.hash, expected_seq + 1
    if needs_checkpoint is not None:
        return Verdict(rows=count, head=head, broken_at=expected_seq - count, why="rows before it went without a trace")
    return Verdict(rows=count, head=head, broken_at=None, why="")
