"""The database of one service's rollouts: SQLite, with a hash chain over everything that changed a state.

The engine alone writes states. Orders come from other processes, as rows that the engine answers. One transaction
holds a step's event, the new state and what people must hear, so a kill loses all three or none.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from freezeline.write_ahead import write_ahead
from release.canary.state import FINAL, Event, State, Tell, Tick

SHAPE = 1
BUSY_MS = 5000
KEEP_EVERY_LOOK_S = 86400.0
THIN_LOOKS_S = 300.0
_BEGUN = "begun "  # before the name of a page whose end is not known yet


class Step(Struct, frozen=True, kw_only=True):
    """One change of a rollout's state: the event as JSON, and where the rollout stood afterwards."""

    seq: int
    rollout: str
    at: float
    event: str
    body: str
    phase: str
    stage: int
    hash: str


class Rollout(Struct, frozen=True, kw_only=True):
    """One rollout, running or ended. `policy` is the text of the policy that the rollout began with.

    `speed` shortens its bake, soak and days. `again`: a person asked to roll the same release out once more.
    """

    id: str
    release: str
    policy_sha256: str
    policy: str
    every_s: float
    speed: float
    again: bool
    begun_at: float
    ended_at: float | None
    state: State


class Order(Struct, frozen=True, kw_only=True):
    """What a person asked. `refusal` is None until the engine answers, and empty after a yes."""

    id: int
    at: float
    body: str
    refusal: str | None


class Message(Struct, frozen=True, kw_only=True):
    """What people must hear, and have not heard yet."""

    id: int
    rollout: str
    at: float
    what: str
    text: str
    page: bool


class Look(Struct, frozen=True, kw_only=True):
    """One look at the canary, with every measurement."""

    at: float
    stage: int
    tick: Tick


class StoreError(Exception):
    """The database cannot be used. The message says why."""


class Database:
    """The rollouts of one service. Not for several threads."""

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        """Open, and make where it is missing. Raises StoreError."""
        self.path = path
        try:
            if writes:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._db = sqlite3.connect(path, isolation_level=None, timeout=BUSY_MS / 1000)
            else:
                self._db = sqlite3.connect(
                    f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None, timeout=1.0
                )
            self._open(writes=writes)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}") from error

    def _open(self, *, writes: bool) -> None:
        self._db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        if writes:
            write_ahead(self._db)
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
        if writes and self._shape() == 0:
            with self._transaction():
                self._make()
        if (shape := self._shape()) != SHAPE:
            raise StoreError(f"{self.path} has the shape {shape}; this version of freezeline knows {SHAPE}")

    def _shape(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _make(self) -> None:
        """Make the tables, unless another process was faster."""
        if self._shape() != 0:
            return
        text = resources.files("release.store").joinpath("schema.sql").read_text("utf-8")
        for statement in text.split(";"):
            if statement.strip():
                self._db.execute(statement)
        self._db.execute(f"PRAGMA user_version = {SHAPE}")

    def close(self) -> None:
        """Close."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # -- rollouts

    def begin(
        self, state: State, *, policy: str, every_s: float, at: float, speed: float = 1.0, again: bool = False
    ) -> None:
        """Store a new rollout. A later change of the policy's file does not change the rollout."""
        sha256 = hashlib.sha256(policy.encode()).hexdigest()
        row = (state.rollout, state.release, sha256, policy, every_s, speed, again, at, _json(state))
        with self._transaction():
            self._db.execute(
                "INSERT INTO rollout (id, release, policy_sha256, policy, every_s, speed, again, begun_at, state)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )

    def running(self) -> Rollout | None:
        """The rollout that has not ended."""
        return next(iter(self._rollouts("WHERE ended_at IS NULL ORDER BY begun_at DESC LIMIT 1")), None)

    def rollouts(self, limit: int = 100) -> tuple[Rollout, ...]:
        """The newest rollouts first."""
        return tuple(self._rollouts("ORDER BY begun_at DESC, rowid DESC LIMIT ?", limit))

    def of_release(self, release: str) -> tuple[Rollout, ...]:
        """The rollouts of one release, the newest first."""
        return tuple(self._rollouts("WHERE release = ? ORDER BY begun_at DESC", release))

    def _rollouts(self, end: str, *values: object) -> Iterator[Rollout]:
        columns = "id, release, policy_sha256, policy, every_s, speed, again, begun_at, ended_at, state"
        for row in self._db.execute(f"SELECT {columns} FROM rollout {end}", values):  # noqa: S608 - our own text
            yield Rollout(
                id=row[0],
                release=row[1],
                policy_sha256=row[2],
                policy=row[3],
                every_s=row[4],
                speed=row[5],
                again=bool(row[6]),
                begun_at=row[7],
                ended_at=row[8],
                state=msgspec.json.decode(row[9], type=State),
            )

    def save(self, event: Event, state: State, told: Sequence[Tell], *, at: float, order: int | None = None) -> None:
        """Store a step: the event, the state that follows, what people must hear, and the yes to an order; all or none.

        A look that changed nothing but counters is stored as a look alone, and does not lengthen the chain.
        """
        with self._transaction():
            before = self._db.execute("SELECT state FROM rollout WHERE id = ?", (state.rollout,)).fetchone()
            quiet = isinstance(event, Tick) and not told and _same_place(before[0], state)
            if isinstance(event, Tick):
                self._look(event, state, quiet=quiet)
            if not quiet:
                self._append(event, state, at)
            ended_at = at if state.phase in FINAL else None
            self._db.execute(
                "UPDATE rollout SET state = ?, ended_at = ? WHERE id = ?", (_json(state), ended_at, state.rollout)
            )
            self._db.executemany(
                "INSERT INTO told (rollout, at, what, text, page) VALUES (?, ?, ?, ?, ?)",
                [(state.rollout, at, one.what, one.text, one.page) for one in told],
            )
            if order is not None:
                self._db.execute("UPDATE asked SET answered_at = ?, refusal = '' WHERE id = ?", (at, order))

    def _append(self, event: Event, state: State, at: float) -> None:
        last = self._db.execute("SELECT hash FROM step ORDER BY seq DESC LIMIT 1").fetchone()
        body = "" if isinstance(event, Tick) else _json(event)
        fields = (state.rollout, float(at), type(event).__name__, body, state.phase.value, state.stage)
        link = _link(last[0] if last else "", fields)
        self._db.execute(
            "INSERT INTO step (rollout, at, event, body, phase, stage, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*fields, link),
        )

    def _look(self, tick: Tick, state: State, *, quiet: bool) -> None:
        """Store a look, and thin out old looks that said nothing new: one in five minutes stays."""
        self._db.execute(
            "INSERT OR REPLACE INTO look (rollout, at, stage, quiet, body) VALUES (?, ?, ?, ?, ?)",
            (state.rollout, tick.at, state.stage, quiet, _json(tick)),
        )
        self._db.execute(
            "DELETE FROM look WHERE rollout = ? AND quiet AND at < ? AND at >= ?"
            " AND CAST(at / ? AS INTEGER) = (SELECT CAST(newer.at / ? AS INTEGER) FROM look AS newer"
            " WHERE newer.rollout = look.rollout AND newer.at > look.at ORDER BY newer.at LIMIT 1)",
            (
                state.rollout,
                tick.at - KEEP_EVERY_LOOK_S,
                tick.at - KEEP_EVERY_LOOK_S - 2 * THIN_LOOKS_S,
                THIN_LOOKS_S,
                THIN_LOOKS_S,
            ),
        )

    def keep_ab(self, rollout: str, stage: int, body: str) -> None:
        """Store how far the A/B test of a stage came."""
        self._db.execute("INSERT OR REPLACE INTO ab (rollout, stage, body) VALUES (?, ?, ?)", (rollout, stage, body))

    def kept_ab(self, rollout: str, stage: int) -> str | None:
        """How far the A/B test of a stage came; None before its first look."""
        row = self._db.execute("SELECT body FROM ab WHERE rollout = ? AND stage = ?", (rollout, stage)).fetchone()
        return None if row is None else str(row[0])

    def every_ab(self, rollout: str) -> tuple[tuple[int, str], ...]:
        """How far the A/B test of each stage came, by the stage's number."""
        return tuple(self._db.execute("SELECT stage, body FROM ab WHERE rollout = ? ORDER BY stage", (rollout,)))

    def steps(self, rollout: str) -> tuple[Step, ...]:
        """Everything that changed a rollout's state, in order."""
        rows = self._db.execute(
            "SELECT seq, rollout, at, event, body, phase, stage, hash FROM step WHERE rollout = ? ORDER BY seq",
            (rollout,),
        )
        return tuple(Step(**dict(zip(Step.__struct_fields__, row, strict=True))) for row in rows)

    def looks(self, rollout: str, limit: int = 1000) -> tuple[Look, ...]:
        """The newest looks, the oldest of them first. A limit of -1 is none."""
        rows = self._db.execute(
            "SELECT at, stage, body FROM look WHERE rollout = ? ORDER BY at DESC LIMIT ?", (rollout, limit)
        )
        found = [Look(at=at, stage=stage, tick=msgspec.json.decode(body, type=Tick)) for at, stage, body in rows]
        return tuple(reversed(found))

    def verify(self) -> int | None:
        """The first step whose hash is wrong; None if the chain is whole."""
        last = ""
        for row in self._db.execute("SELECT seq, rollout, at, event, body, phase, stage, hash FROM step ORDER BY seq"):
            if _link(last, row[1:7]) != row[7]:
                return int(row[0])
            last = row[7]
        return None

    # -- orders of people, and what people must hear

    def ask(self, order: Event, *, at: float) -> int:
        """Leave an order for the engine; gives its number."""
        body = json.dumps({"kind": type(order).__name__, "body": msgspec.to_builtins(order)})
        return int(self._db.execute("INSERT INTO asked (at, body) VALUES (?, ?)", (at, body)).lastrowid or 0)

    def open_orders(self) -> tuple[Order, ...]:
        """Orders that nobody has answered yet, the oldest first."""
        rows = self._db.execute("SELECT id, at, body FROM asked WHERE answered_at IS NULL ORDER BY id")
        return tuple(Order(id=row[0], at=row[1], body=row[2], refusal=None) for row in rows)

    def refuse(self, order: int, refusal: str, *, at: float) -> None:
        """Answer an order with a no. `save` answers with a yes."""
        self._db.execute("UPDATE asked SET answered_at = ?, refusal = ? WHERE id = ?", (at, refusal, order))

    def refusal(self, order: int) -> str | None:
        """The answer to an order; None while there is none."""
        row = self._db.execute("SELECT refusal FROM asked WHERE id = ?", (order,)).fetchone()
        return None if row is None else row[0]

    def pushed(self, newer_than: float) -> dict[str, tuple[Decimal, int | None]]:
        """The newest value and count of each gate that another program sent after a moment."""
        rows = self._db.execute("SELECT gate, value, count FROM pushed WHERE at > ?", (newer_than,))
        return {gate: (Decimal(value), count) for gate, value, count in rows}

    def undelivered(self) -> tuple[Message, ...]:
        """What people must still hear, the oldest first."""
        rows = self._db.execute(
            "SELECT id, rollout, at, what, text, page FROM told WHERE delivered_at IS NULL ORDER BY id LIMIT 100"
        )
        return tuple(
            Message(id=row[0], rollout=row[1], at=row[2], what=row[3], text=row[4], page=bool(row[5])) for row in rows
        )

    def delivered(self, message: int, *, at: float) -> None:
        """People have heard it."""
        self._db.execute("UPDATE told SET delivered_at = ? WHERE id = ?", (at, message))

    def paged_at(self, page: str) -> float | None:
        """When the fallback channel heard a page last; None if the channel has not heard the page."""
        row = self._db.execute("SELECT at FROM paged WHERE page = ?", (page,)).fetchone()
        return None if row is None else float(row[0])

    def begin_page(self, page: str, *, at: float) -> bool:
        """A page is on its way. True if an earlier one began and nobody knows how it ended: the channel may have it."""
        repeat = self.paged_at(f"{_BEGUN}{page}") is not None
        self._paged(f"{_BEGUN}{page}", at)
        return repeat

    def end_page(self, page: str, *, heard_at: float | None = None) -> None:
        """The fallback channel has heard a page, or did not take it."""
        with self._transaction():
            self._db.execute("DELETE FROM paged WHERE page = ?", (f"{_BEGUN}{page}",))
            if heard_at is not None:
                self._paged(page, heard_at)

    def _paged(self, page: str, at: float) -> None:
        self._db.execute("INSERT OR REPLACE INTO paged (page, at) VALUES (?, ?)", (page, at))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _same_place(before: str, state: State) -> bool:
    """Whether two states differ by counters and times alone."""
    old = msgspec.json.decode(before, type=State)
    return (old.phase, old.stage, old.holds, old.weight, old.answers.gate, old.answers.approved_by, old.why) == (
        state.phase,
        state.stage,
        state.holds,
        state.weight,
        state.answers.gate,
        state.answers.approved_by,
        state.why,
    )


def _link(last: str, fields: Sequence[object]) -> str:
    """The hash of a step: over the hash before it and its own fields."""
    return hashlib.sha256(json.dumps([last, *fields], ensure_ascii=False).encode()).hexdigest()
