"""However many follow the event stream, the state is rendered once and the journal is asked once."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from receiver.context import Context
from receiver.decide.model import Decision
from receiver.http.broadcast import LOOK_MAX, NOTICES_KEPT, Broadcast
from receiver.journal import View

pytestmark = pytest.mark.usefixtures("sharing")

FOLLOWERS = 50


class Renderer:
    """Gives the journal's number as the state, and counts how often it was asked."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.times = 0

    async def __call__(self) -> Mapping[str, Any]:
        """The state."""
        self.times += 1
        return {"seq": await self._context.journal.read(lambda view: view.head()[0])}


async def note(context: Context, key: str = "") -> None:
    """Write a decision, with a key a notice."""
    decision = Decision(kind="test", sentence="something happened")
    await context.journal.write(lambda tx: tx.publish(key, {"title": key}, decision) if key else tx.note(decision))


async def test_fifty_followers_share_one_rendering(context: Context) -> None:
    """All at once, and again after the next decision, but not before it is time."""
    render = Renderer(context)
    broadcast = Broadcast(context, render)
    await note(context)
    first = await asyncio.gather(*(broadcast.state() for _ in range(FOLLOWERS)))
    assert render.times == 1
    assert {one.event for one in first} == {b'event: state\ndata: {"seq":1}\n\n'}
    await note(context)
    assert {(await broadcast.state()).seq for _ in range(FOLLOWERS)} == {1}
    await asyncio.sleep(broadcast.next_at - asyncio.get_running_loop().time())
    second = await asyncio.gather(*(broadcast.state() for _ in range(FOLLOWERS)))
    assert ({one.seq for one in second}, render.times) == ({2}, 2)


async def test_a_follower_that_leaves_does_not_take_the_rendering_along(context: Context) -> None:
    """The first follower began the rendering and goes; the others get the state."""
    broadcast = Broadcast(context, Renderer(context))
    await note(context)
    leaving, staying = (asyncio.create_task(broadcast.state()) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).seq == 1


async def test_a_rendering_that_fails_is_tried_again(context: Context) -> None:
    """The followers of that moment are told; later ones get the state."""
    fails = True

    async def render() -> Mapping[str, Any]:
        if fails:
            raise OSError("no")
        return {"seq": 1}

    broadcast = Broadcast(context, render)
    await note(context)
    with pytest.raises(OSError, match="no"):
        await broadcast.state()
    fails = False
    await asyncio.sleep(broadcast.next_at - asyncio.get_running_loop().time())
    assert (await broadcast.state()).seq == 1


async def test_fifty_followers_share_one_look_for_notices(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gets the notices after its own number, in order."""
    broadcast = Broadcast(context, Renderer(context))
    assert await broadcast.notices(0) == []
    for number in range(LOOK_MAX + 50):
        await note(context, f"k{number}")
    asked: list[int] = []
    notices = View.notices

    def counted(view: View, *, after: int, limit: int = 200) -> Any:
        asked.append(after)
        return notices(view, after=after, limit=limit)

    monkeypatch.setattr(View, "notices", counted)
    found = await asyncio.gather(*(broadcast.notices(after) for after in range(FOLLOWERS)))
    assert asked == [0, LOOK_MAX]
    assert [[seq for seq, _ in one] for one in found] == [
        list(range(after + 1, LOOK_MAX + 51)) for after in range(FOLLOWERS)
    ]
    assert json.loads(found[0][0][1].partition(b"data: ")[2]) == {"seq": 1, "title": "k0"}


async def test_a_follower_from_long_ago_asks_the_journal(context: Context) -> None:
    """Memory holds the newest notices only."""
    broadcast = Broadcast(context, Renderer(context))
    assert await broadcast.notices(0) == []
    many = NOTICES_KEPT + 10
    await asyncio.gather(*(note(context, f"k{number}") for number in range(many)))
    newest = await broadcast.notices(many - 5)
    assert [seq for seq, _ in newest] == list(range(many - 4, many + 1))
    assert [seq for seq, _ in await broadcast.notices(3)] == list(range(4, 4 + LOOK_MAX))
