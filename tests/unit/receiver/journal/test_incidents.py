"""Which incident a new episode joins: people hear of each event once per incident, so a new freeze needs a new one."""

import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest

from receiver.decide.model import FlagFile
from receiver.journal import Journal, Tx
from receiver.steps import pass_by
from tests import journals
from tests.unit.receiver.builders import NOW, at, episode, freeze_reason

pytestmark = pytest.mark.usefixtures("sharing")

FLAG = freeze_reason().flag


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Journal]:
    """A journal with a warning that freezes nothing and stays open: episode E0 of incident E0."""
    journal = Journal(journals.store(folder / "j.db"), clock=lambda: NOW, reached=pass_by)
    journal.start()
    try:
        await journal.write(lambda tx: tx.add_episode(episode(id="E0", fingerprint="warning", incident="E0")))
        yield journal
    finally:
        await journal.close()


def frozen(tx: Tx, name: str, since: datetime, incident: str) -> None:
    """An episode that freezes, with its flag on disk."""
    tx.add_episode(episode(id=name, fingerprint=name, incident=incident, opened_at=since))
    tx.add_freeze_reason(freeze_reason(episode=name, since=since))
    tx.freeze_reasons_written(FLAG, [name], flag(since, text="{}"))


def ended(tx: Tx, name: str) -> None:
    """The freeze has no reason any more. Its flag is still on disk."""
    tx.end_freeze_reason(freeze_reason(episode=name), by="alice", reason="mended")


def flag(written_at: datetime, text: str | None) -> FlagFile:
    """The flag as written, or as removed."""
    return FlagFile(path=FLAG, service="gateway", generation=1, text=text, written_at=written_at)


async def incidents(journal: Journal) -> tuple[str | None, str | None]:
    """The incident of the next episode, and that of the freeze."""
    return await journal.read(lambda view: (view.incident("gateway"), view.incident_of_freeze("gateway")))


async def test_episodes_that_overlap_are_one_incident(tmp_path: Path) -> None:
    """A freeze joins the warning, and whatever comes during the freeze joins both."""
    async with opened(tmp_path) as journal:
        assert await incidents(journal) == ("E0", None)
        await journal.write(lambda tx: frozen(tx, "E1", at(10), "E0"))
        assert await incidents(journal) == ("E0", "E0")


async def test_a_freeze_after_the_end_of_another_is_a_new_incident(tmp_path: Path) -> None:
    """Although the warning is still open: people heard that the service is unfrozen."""
    async with opened(tmp_path) as journal:
        await journal.write(lambda tx: frozen(tx, "E1", at(10), "E0"))
        await journal.write(lambda tx: ended(tx, "E1"))
        assert await incidents(journal) == (None, None), "the flag is about to be removed"
        await journal.write(lambda tx: tx.put_flag_file(flag(at(20), text=None)))
        assert await incidents(journal) == (None, None)
        await journal.write(
            lambda tx: tx.add_episode(episode(id="E2", fingerprint="E2", incident="E2", opened_at=at(30)))
        )
        assert await incidents(journal) == ("E2", None)
        await journal.write(lambda tx: frozen(tx, "E3", at(40), "E2"))
        assert await incidents(journal) == ("E2", "E2"), "not that of the older warning"


async def test_one_of_two_reasons_ends(tmp_path: Path) -> None:
    """The service stays frozen, so the incident goes on."""
    async with opened(tmp_path) as journal:
        await journal.write(lambda tx: frozen(tx, "E1", at(10), "E0"))
        await journal.write(lambda tx: frozen(tx, "E2", at(11), "E0"))
        await journal.write(lambda tx: ended(tx, "E1"))
        assert await incidents(journal) == ("E0", "E0")
