"""`freezeline drill recovery`: restore the newest backups of SQLite, Redis and ChromaDB, and prove what is in them."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from freezeline.drill.asked import Asked, UsageError
from receiver.rehearsals import Rehearsal
from release.drill.backups import Store
from release.drill.chroma_store import ChromaStore
from release.drill.experiment import DrillError, run
from release.drill.recovery import Recovery, measured
from release.drill.redis_store import RedisStore
from release.drill.sqlite_store import SqliteStore

KEEP = 3
_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]{0,63})=(.+)")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--backups", metavar="DIR", type=Path, required=True, help="where the backups are, and the next ones go"
    )
    parser.add_argument("--keep", type=int, default=KEEP, help=f"how many backups of each store stay (default: {KEEP})")
    parser.add_argument(
        "--sqlite", metavar="NAME=FILE", action="append", default=[], help="a database of SQLite; may be repeated"
    )
    parser.add_argument(
        "--redis", metavar="NAME=URL", action="append", default=[], help="a Redis on this machine; may be repeated"
    )
    parser.add_argument("--chromadb", metavar="NAME=DIR", help="a directory of ChromaDB")
    parser.add_argument("--chromadb-python", metavar="FILE", help="the Python that has ChromaDB installed")
    parser.add_argument("--chromadb-stop", metavar="COMMAND", default="", help="stops the process that owns ChromaDB")
    parser.add_argument("--chromadb-start", metavar="COMMAND", default="", help="starts that process again")


async def rehearse(args: argparse.Namespace, asked: Asked) -> Rehearsal:
    """Restore the newest backups, and take new ones."""
    if args.keep < 1:
        raise UsageError("write a number of at least 1 after --keep")
    stores = tuple(_stores(args))
    if not stores:
        raise UsageError(
            "nobody says what to recover: write --sqlite NAME=FILE, --redis NAME=URL or --chromadb NAME=DIR"
        )
    names = [store.name for store in stores]
    if len(set(names)) != len(names):
        raise UsageError("two stores have one name: write another NAME")
    with tempfile.TemporaryDirectory(prefix="freezeline-drill-") as scratch:
        recovery = Recovery(
            stores=stores,
            backups=args.backups.absolute(),
            scratch=Path(scratch),
            keep=args.keep,
            clock=lambda: datetime.now(UTC),
        )
        outcome = await run(recovery.experiment(), asked.told)
    found = measured(recovery, outcome)
    return asked.about.rehearsal(
        ok=outcome.ok and found.integrity,
        runs=len(stores),
        succeeded=len(recovery.found),
        rto_s=found.rto_s,
        rpo_s=found.rpo_s,
        mttr_s=found.rto_s,
        integrity=found.integrity,
        legs=outcome.legs,
        notes=found.notes,
        why=outcome.why,
    )


def _stores(args: argparse.Namespace) -> Iterator[Store]:
    for given in args.sqlite:
        name, path = _named("--sqlite", given)
        yield SqliteStore(name=name, path=Path(path).absolute())
    for given in args.redis:
        name, url = _named("--redis", given)
        yield RedisStore(name=name, url=url, server=_program("redis-server"), check_rdb=_program("redis-check-rdb"))
    if args.chromadb is not None:
        name, directory = _named("--chromadb", args.chromadb)
        if args.chromadb_python is None:
            raise UsageError("ChromaDB lives in a Python of its own: write --chromadb-python FILE")
        yield ChromaStore(
            name=name,
            directory=Path(directory).absolute(),
            python=args.chromadb_python,
            stop=tuple(shlex.split(args.chromadb_stop)),
            start=tuple(shlex.split(args.chromadb_start)),
        )


def _named(option: str, given: str) -> tuple[str, str]:
    match = _NAMED.fullmatch(given)
    if match is None:
        raise UsageError(f"{option} {given}: write a name, `=` and the place")
    return match[1], match[2]


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise DrillError(f"{name} is not on PATH: install Redis (Debian: apt install redis-server)")
    return path
