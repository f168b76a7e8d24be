"""Pages without the receiver: each once, and marked where nobody knows whether the channel heard it."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import Struct, field

from receiver.decide.notice import TemporaryFailure
from release.engine.paging import Paging
from release.store.database import Database


class Channel(Struct):
    """A fallback channel: what it heard, and what happens while it hears."""

    heard: list[tuple[str, str, bool]] = field(default_factory=list)
    happens: Callable[[], None] = lambda: None

    async def __call__(self, title: str, text: str, *, repeat: bool) -> None:
        """Hear a page."""
        self.heard.append((title, text, repeat))
        self.happens()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """The database of a service's rollouts."""
    with contextlib.closing(Database(tmp_path / "gateway.db")) as database:
        yield database


def paging(database: Database, channel: Channel, *, at: float = 0.0) -> Paging:
    """The pages of one engine."""
    return Paging(service="gateway", database=database, clock=lambda: at, fallback=channel)


def killed() -> None:
    """The engine ends here."""
    raise asyncio.CancelledError


def refused() -> None:
    """The channel is away."""
    raise TemporaryFailure("503")


async def test_a_page_is_heard_once(database: Database) -> None:
    """Also by the next engine of the service, until it is time to page again."""
    channel = Channel()
    for at in (0.0, 299.0, 300.0):
        await paging(database, channel, at=at).page("rollback", "the receiver is away", again_s=300.0)
    assert channel.heard == [("gateway: rollout needs help", "the receiver is away", False)] * 2


async def test_a_page_of_a_killed_engine_comes_again_as_a_repeat(database: Database) -> None:
    """Nobody knows whether the channel heard it. The repeat is heard once."""
    channel = Channel(happens=killed)
    with pytest.raises(asyncio.CancelledError):
        await paging(database, channel).page("message:1", "held")
    channel.happens = lambda: None
    for _ in range(2):
        await paging(database, channel).page("message:1", "held")
    await paging(database, channel).page("message:2", "held again")
    assert [(text, repeat) for _, text, repeat in channel.heard] == [
        ("held", False),
        ("held", True),
        ("held again", False),
    ]


async def test_a_page_that_was_refused_comes_again_without_a_mark(database: Database) -> None:
    """The channel did not take it."""
    channel = Channel(happens=refused)
    await paging(database, channel).page("message:1", "held")
    channel.happens = lambda: None
    await paging(database, channel).page("message:1", "held")
    assert [repeat for _, _, repeat in channel.heard] == [False, False]
