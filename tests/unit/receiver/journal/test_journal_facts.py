"""What the journal keeps of alerts and policies, read back after a restart."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from receiver.decide.model import AlertStatus, Seen
from receiver.journal import Tx
from tests.unit.receiver.builders import NOW, STARTED, alert, at, episode
from tests.unit.receiver.journal.test_journal import Clock, all_of, noting, opened
from tests.waiting import until

FIRING = alert()
FINGERPRINT = FIRING.fingerprint


def hear(one: object) -> Callable[[Tx], None]:
    """Work that remembers an alert as it is."""

    def work(tx: Tx) -> None:
        tx.upsert_alert(one, tx.seen([FINGERPRINT]).get(FINGERPRINT))  # type: ignore[arg-type]

    return work


async def last_seen(path: Path) -> Seen:
    """What a new process finds."""
    async with opened(path) as journal:
        return (await journal.read(lambda view: view.seen((FINGERPRINT,))))[FINGERPRINT]


async def test_a_repeat_keeps_the_words_and_a_change_brings_its_own(tmp_path: Path) -> None:
    """While an alert fires on, its annotations stay; once it has ended and fires again, they are the new ones."""
    path = tmp_path / "j.db"
    worse = replace(FIRING, annotations={"summary": "failure rate 9 % > 0.5 %"})
    async with opened(path) as journal:
        await journal.write(hear(FIRING))
        await journal.write(hear(replace(worse, starts_at=at(1))))
    kept = await last_seen(path)
    assert (kept.annotations, kept.starts_at) == (FIRING.annotations, at(1))
    async with opened(path) as journal:
        await journal.write(hear(replace(FIRING, status=AlertStatus.RESOLVED, ends_at=at(2))))
        await journal.write(hear(replace(worse, starts_at=at(3))))
        inside = await journal.write(lambda tx: tx.seen([FINGERPRINT])[FINGERPRINT])
    found = await last_seen(path)
    assert inside.annotations == found.annotations == worse.annotations
    assert (found.status, found.starts_at, found.ends_at) == (AlertStatus.FIRING, at(3), at(2))


async def test_the_words_of_a_first_firing_are_kept(tmp_path: Path) -> None:
    """Labels, annotations and start of an alert that was never heard before."""
    async with opened(tmp_path / "j.db") as journal:
        await journal.write(hear(FIRING))
    found = await last_seen(tmp_path / "j.db")
    assert (found.labels, found.annotations, found.starts_at) == (FIRING.labels, FIRING.annotations, STARTED)


async def test_policies_in_force_are_those_that_were_put_last(tmp_path: Path) -> None:
    """A policy that is gone is in force no longer; its text is still there for the episodes that it opened."""
    clock = Clock()
    async with opened(tmp_path / "j.db", clock) as journal:
        await journal.write(lambda tx: tx.put_policies({"a": ("sha-a", "text a"), "b": ("sha-b", "text b")}))
        await journal.write(lambda tx: tx.put_policies({"b": ("sha-b2", "text b2")}))
    async with opened(tmp_path / "j.db", clock) as journal:
        in_force = await journal.read(lambda view: view.policies_in_force())
        bodies = await journal.read(lambda view: view.policy_bodies(["sha-a", "sha-b", "sha-b2", "none"]))
    assert in_force == {"b": ("sha-b2", "text b2")}
    assert bodies == {"sha-a": "text a", "sha-b": "text b", "sha-b2": "text b2"}


@pytest.mark.parametrize(
    "work",
    [
        lambda tx: tx.set_unconfirmed(FINGERPRINT, since=NOW),
        lambda tx: tx.add_episode(episode()),
        lambda tx: tx.set_review("E1", at(60)),
        lambda tx: tx.acknowledge("E1", "alice"),
    ],
    ids=["doubt", "episode", "review", "acknowledgement"],
)
async def test_what_has_a_time_wakes_the_loops(tmp_path: Path, work: Callable[[Tx], None]) -> None:
    """A commit after which something is due at another time says so; the loops would sleep on else."""
    heard: list[bool] = []
    async with opened(tmp_path / "j.db") as journal:
        await journal.write(hear(FIRING))
        journal.on_commit(lambda _head, acted: heard.append(acted))
        await journal.write(noting("nothing is due"))
        await journal.write(all_of(noting("something is due"), work))
        await until(lambda: len(heard) == 2, 20, "both commits are told")
    assert heard == [False, True]
