"""Where a receiver keeps its journal and its state, and the names by which others know it."""

from __future__ import annotations

import os
import random
import secrets
import shlex
import socket
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry

from receiver.context import Context, PolicyBox
from receiver.decide.model import new_id
from receiver.faults import Faults
from receiver.journal import Journal, SqliteStore, Store, postgres_store
from receiver.leading import Leading
from receiver.meters import Meters
from receiver.rollouts import Rollouts
from receiver.settings import Settings
from receiver.steps import Reached


class StartError(Exception):
    """The receiver cannot run here. The message says why."""


def journal_store(state: Path, settings: Settings) -> Store:
    """Where the settings put the journal. Raises JournalError; StartError if a journal in a file would be left."""
    if not settings.journal_postgres:
        return SqliteStore(state / "journal.db", exclusive=settings.journal_exclusive)
    _require_moved(state, settings.journal_postgres)
    return postgres_store(
        settings.journal_postgres,
        require_standby=settings.journal_require_standby,
        place=_place(state, settings),
        alive_s=settings.journal_lease_s,
    )


def context(
    state: Path, settings: Settings, journal: Journal, *, clock: Callable[[], datetime], reached: Reached
) -> Context:
    """What all parts of a receiver share. `clock` is the clock of this machine, and the journal may have another."""
    host, place = _host(settings), _place(state, settings)
    run = f"{os.getpid()}:{secrets.token_hex(4)}"
    owner = f"{place}#{run}" if journal.several else f"{host}:{run}"
    return Context(
        journal=journal,
        clock=journal.now,
        host_clock=clock,
        ids=new_id,
        jitter=random.random,
        reached=reached,
        box=PolicyBox(),
        meters=Meters(CollectorRegistry()),
        host=host,
        owner=owner,
        leading=Leading(several=journal.several, place=place, owner=owner, lease_s=settings.journal_lease_s),
        runs_dir=state / "runs",
        rollouts=Rollouts(directory=state / "canary"),
        faults=Faults(journal.now),
    )


def _host(settings: Settings) -> str:
    return settings.host or socket.gethostname()


def _place(state: Path, settings: Settings) -> str:
    """The name of at most one running receiver, because one at a time has the lock on a state directory."""
    return f"{_host(settings)}:{state.resolve()}"


def _require_moved(state: Path, dsn: str) -> None:
    """Raise StartError for a journal in a file: a receiver that left the file behind would forget its freezes."""
    if (state / "journal.db").exists():
        raise StartError(
            f"{state} holds a journal, which the database does not have. To keep its history, run "
            f"`freezeline journal migrate --state {state} --postgres {shlex.quote(dsn)}`; to begin anew, move "
            f"journal.db* out of {state}"
        )
