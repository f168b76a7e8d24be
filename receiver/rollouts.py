"""Rollouts as their engines stored them: the receiver reads the engines' databases, and leaves orders of people there.

`freezeline canary run` keeps one SQLite database per service in `<state>/canary/`; docs/canary.md lists the tables. The
receiver never changes a rollout: the receiver reads the tables `rollout` and `look`, and writes `asked` and `pushed`.
"""

from __future__ import annotations

import contextlib
import functools
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec import Struct

SHAPE = 1
PHASES = (
    "precheck",
    "deploy",
    "shift",
    "settle",
    "bake",
    "evaluate",
    "soak",
    "aborting",
    "superseding",
    "done",
    "refused",
    "rolled_back",
    "rollback_failed",
    "superseded",
)
FINAL = frozenset({"done", "refused", "rolled_back", "rollback_failed", "superseded"})
BUSY_S = 2.0
SILENT_LOOKS = 3
"""People hear of a rollout at which nobody has looked for so many intervals, before the last of these is over."""

TELLING_S = 1.0
"""How much of these intervals stays for the notice, where the intervals are long enough."""


class RolloutsError(Exception):
    """An engine's database cannot be used. The message says why."""


class _NotMadeYetError(Exception):
    """The engine has opened the file, and not made the tables yet."""


class Rollout(Struct, frozen=True, kw_only=True):
    """A service's newest rollout. `looked_at` is the newest look, or the beginning; `state` as the engine stored it.

    `stages` are those of the policy that the rollout began with; `speed` shortens them.
    """

    service: str
    id: str
    release: str
    begun_at: float
    ended_at: float | None
    every_s: float
    looked_at: float
    state: Mapping[str, Any]
    look: Mapping[str, Any] | None
    stages: Sequence[Mapping[str, Any]]
    speed: float

    @property
    def phase(self) -> str:
        """Where the rollout stands."""
        return str(self.state.get("phase", ""))

    @property
    def stage(self) -> int:
        """The number of the present stage, from 0."""
        return int(self.state.get("stage", 0))

    @property
    def watch_s(self) -> float:
        """How long the present stage is watched: its bake or its soak."""
        stage = self.stages[self.stage]
        return float(stage.get("soak_s") or stage.get("bake_s") or 0) / self.speed

    @property
    def weight(self) -> float:
        """The canary's share of the traffic, as the engine set the share."""
        return float(self.state.get("weight", 0))

    @property
    def runs(self) -> bool:
        """Whether the rollout has not ended."""
        return self.ended_at is None

    @property
    def silent_at(self) -> float:
        """When the rollout counts as silent, unless somebody looks before: early enough to tell people in time."""
        return self.looked_at + SILENT_LOOKS * self.every_s - min(TELLING_S, self.every_s / 2)

    def silent(self, now: float) -> bool:
        """Whether nobody looks at the running rollout any more."""
        return self.runs and now >= self.silent_at


class Ended(Struct, frozen=True, kw_only=True):
    """A rollout that is over: how it ended, and why."""

    service: str
    id: str
    release: str
    begun_at: float
    ended_at: float
    phase: str
    why: str


class Rollouts(Struct, frozen=True, kw_only=True):
    """The databases in one directory."""

    directory: Path

    def newest(self) -> tuple[Rollout, ...]:
        """The newest rollout of each service. Raises RolloutsError for a database that cannot be read."""
        paths = sorted(self.directory.glob("*.db")) if self.directory.is_dir() else []
        found = (self._newest(path) for path in paths)
        return tuple(one for one in found if one is not None)

    def ended(self, limit: int) -> tuple[Ended, ...]:
        """The last rollouts that are over, of all services, newest first. Raises RolloutsError."""
        paths = sorted(self.directory.glob("*.db")) if self.directory.is_dir() else []
        found = [one for path in paths for one in self._ended(path, limit)]
        return tuple(sorted(found, key=lambda one: one.ended_at, reverse=True)[:limit])

    def of_service(self, service: str) -> Rollout | None:
        """The newest rollout of one service. Raises RolloutsError."""
        path = self._path(service)
        return self._newest(path) if path.exists() else None

    def ask(self, service: str, kind: str, body: Mapping[str, Any], *, at: float) -> int:
        """Leave an order for the engine. Raises RolloutsError."""
        text = json.dumps({"kind": kind, "body": body})
        with _opened(self._path(service), "rw") as db:
            return int(db.execute("INSERT INTO asked (at, body) VALUES (?, ?)", (at, text)).lastrowid or 0)

    def push(self, service: str, samples: Sequence[tuple[str, str, int | None]], *, at: float) -> None:
        """Store pushed evidence: gate, value and count of each. Raises RolloutsError."""
        with _opened(self._path(service), "rw") as db:
            db.executemany(
                "INSERT INTO pushed (gate, at, value, count) VALUES (?, ?, ?, ?) ON CONFLICT (gate) DO UPDATE"
                " SET at = excluded.at, value = excluded.value, count = excluded.count",
                [(gate, at, value, count) for gate, value, count in samples],
            )

    def policy(self, rollout: Rollout) -> Mapping[str, Any]:
        """The policy that a rollout began with. Raises RolloutsError."""
        with _opened(self._path(rollout.service), "ro") as db:
            row = db.execute("SELECT policy FROM rollout WHERE id = ?", (rollout.id,)).fetchone()
        found: Mapping[str, Any] = json.loads(row[0]) if row is not None else {}
        return found

    def _path(self, service: str) -> Path:
        if "/" in service or "\0" in service or service in {"", ".", ".."}:
            raise RolloutsError(f"{service!r} names no service")
        return self.directory / f"{service}.db"

    def _ended(self, path: Path, limit: int) -> list[Ended]:
        sql = (
            "SELECT id, release, begun_at, ended_at, state FROM rollout WHERE ended_at IS NOT NULL"
            " ORDER BY ended_at DESC LIMIT ?"
        )
        with contextlib.suppress(_NotMadeYetError), _opened(path, "ro") as db:
            return [_ended_of(path.stem, row) for row in db.execute(sql, (limit,))]
        return []

    def _newest(self, path: Path) -> Rollout | None:
        with contextlib.suppress(_NotMadeYetError), _opened(path, "ro") as db:
            return _read(db, path.stem)
        return None


def _ended_of(service: str, row: Sequence[Any]) -> Ended:
    state = json.loads(row[4])
    phase, why = str(state.get("phase", "")), str(state.get("why", ""))
    return Ended(service=service, id=row[0], release=row[1], begun_at=row[2], ended_at=row[3], phase=phase, why=why)


def _read(db: sqlite3.Connection, service: str) -> Rollout | None:
    row = db.execute(
        "SELECT id, release, begun_at, ended_at, every_s, state, speed, policy"
        " FROM rollout ORDER BY begun_at DESC, rowid DESC LIMIT 1"
    ).fetchone()
    if row is None:
        return None
    look = db.execute("SELECT at, body FROM look WHERE rollout = ? ORDER BY at DESC LIMIT 1", (row[0],))
    newest = look.fetchone()
    return Rollout(
        service=service,
        id=row[0],
        release=row[1],
        begun_at=row[2],
        ended_at=row[3],
        every_s=row[4],
        looked_at=max(row[2], newest[0]) if newest is not None else row[2],
        state=json.loads(row[5]),
        look=json.loads(newest[1]) if newest is not None else None,
        stages=_stages(row[7]),
        speed=row[6],
    )


@functools.lru_cache(maxsize=16)
def _stages(policy: str) -> tuple[Mapping[str, Any], ...]:
    """The stages of a policy's canary."""
    return tuple(json.loads(policy)["canary"]["stages"])


@contextlib.contextmanager
def _opened(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True, isolation_level=None, timeout=BUSY_S)
        ) as db:
            shape = int(db.execute("PRAGMA user_version").fetchone()[0])
            if shape == 0 and mode == "ro":
                raise _NotMadeYetError
            if shape != SHAPE:
                raise RolloutsError(f"{path} has the shape {shape}; this receiver knows {SHAPE}")
            yield db
    except (sqlite3.Error, ValueError, LookupError, TypeError) as error:
        raise RolloutsError(f"{path}: {error}") from error
