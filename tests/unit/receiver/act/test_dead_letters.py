"""Dead letters are told by default: on the channels of this machine, if the policy names no fallback."""

import json

import pytest

from receiver.act.notices import Deliverer
from receiver.context import Context
from receiver.decide.model import Action, ActionType
from receiver.decide.notice import Notice, PermanentFailure, Receipt
from receiver.journal import Tx
from tests.unit.receiver.builders import NOW, episode


class Refusing:
    """A channel that refuses everything."""

    async def send(self, notice: Notice) -> Receipt:
        """Refuse."""
        raise PermanentFailure(f"no {notice.title}")


def notice(channel: str, event: str, fallback: list[str]) -> Action:
    """A notice about the episode."""
    payload = {"event": event, "facts": "{}", "incident": "E1", "severity": "critical", "at": NOW.isoformat()}
    return Action(
        id=f"N-{channel}",
        key=f"notice:{channel}:{event}",
        episode="E1",
        service="gateway",
        type=ActionType.NOTIFY,
        name=channel,
        created_at=NOW,
        payload={**payload, "fallback": json.dumps(fallback)},
    )


@pytest.mark.parametrize(
    "channel,event,fallback,expected",
    [
        ("slack", "frozen", [], ["log", "toast"]),
        ("slack", "frozen", ["email"], ["email"]),
        ("log", "frozen", [], ["toast"]),
        ("log", "dead_letter", [], []),
    ],
)
async def test_a_dead_letter_is_told(
    channel: str, event: str, fallback: list[str], expected: list[str], context: Context
) -> None:
    """A dead letter about a dead letter is not: that would never end."""
    lost = notice(channel, event, fallback)

    def begin(tx: Tx) -> None:
        tx.add_episode(episode())
        tx.add_action(lost)

    await context.journal.write(begin)
    deliverer = Deliverer(context, {channel: Refusing()}, public_url="http://h", spare=("log", "toast"))
    await deliverer.perform(context, channel, [lost])
    actions = await context.journal.read(lambda view: view.actions(type=ActionType.NOTIFY))
    told = sorted(one.name for one in actions if one.payload["event"] == "dead_letter" and one.id != lost.id)
    assert told == expected
