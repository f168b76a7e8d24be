"""Which notices the worker takes for cut off: those of an earlier run at its start, later only its own."""

import json

import pytest

from receiver.act.notices import Deliverer
from receiver.context import Context
from receiver.decide.model import Action, ActionState, ActionType, Decision
from receiver.decide.notice import Notice, Receipt
from receiver.journal import JournalError, Tx
from receiver.loops.supervise import LOOP
from receiver.loops.worker import Worker
from tests.unit.receiver.builders import NOW
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("sharing")

WITHIN_S = 20.0


def notice(number: int, *, state: ActionState = ActionState.PENDING, owner: str = "") -> Action:
    """A notice for the channel `log`."""
    payload = {"event": "frozen", "facts": json.dumps({}), "incident": "E1", "severity": "critical"}
    return Action(
        id=f"N{number}",
        key=f"notice:{number}",
        episode="E1",
        service="gateway",
        type=ActionType.NOTIFY,
        name="log",
        created_at=NOW,
        state=state,
        lease_owner=owner,
        payload={**payload, "at": NOW.isoformat()},
    )


class Channel:
    """A notifier that fails in a way nobody foresaw, so many times."""

    def __init__(self) -> None:
        self.failures = 0
        self.sent: list[tuple[str, bool]] = []

    async def send(self, notice: Notice) -> Receipt:
        """Deliver."""
        if self.failures:
            self.failures -= 1
            raise RuntimeError("nobody foresaw this")
        self.sent.append((notice.key, notice.repeat))
        return Receipt(channel=notice.channel, answer="")


async def state_of(context: Context, action_id: str) -> ActionState:
    """State of an action."""
    found = await context.journal.read(lambda view: view.action(action_id))
    assert found is not None
    return found.state


async def test_a_notice_of_an_earlier_run_goes_again_at_the_start(context: Context) -> None:
    """It may have been told before: it says so."""
    await context.journal.write(lambda tx: tx.add_action(notice(1, state=ActionState.RUNNING, owner="here:1:earlier")))
    channel = Channel()
    worker = Worker(context, Deliverer(context, {"log": channel}, public_url="http://127.0.0.1"))
    await worker.start()
    await until(lambda: channel.sent, WITHIN_S, "told")
    await worker.stop(wait_s=WITHIN_S)
    assert channel.sent == [("notice:1", True)]
    assert await state_of(context, "N1") is ActionState.SUCCEEDED


async def test_after_a_failure_only_its_own_notices_go_again(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notice whose sending failed goes again; a notice that another receiver is sending is left alone."""
    monkeypatch.setattr("receiver.loops.worker.RETRY_LANE_S", 0.01)
    channel = Channel()
    channel.failures = 1
    worker = Worker(context, Deliverer(context, {"log": channel}, public_url="http://127.0.0.1"))
    await worker.start()

    def add(tx: Tx) -> None:
        tx.add_action(notice(1, state=ActionState.RUNNING, owner="there:2:other"))
        tx.add_action(notice(2))
        tx.note(Decision(kind="test", sentence="two notices"))

    await context.journal.write(add)
    await until(lambda: channel.sent, WITHIN_S, "told")
    await worker.stop(wait_s=WITHIN_S)
    assert channel.sent == [("notice:2", True)]
    assert await state_of(context, "N1") is ActionState.RUNNING


def failures(context: Context, loop: str) -> float:
    """How often a loop has failed."""
    return context.meters.registry.get_sample_value("freezeline_loop_errors_total", {"loop": loop}) or 0


class DoubtfulChannel:
    """A notifier whose notice is journaled as told, and whose work fails all the same: no answer came to the commit."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def send(self, notice: Notice) -> Receipt:
        """Deliver, and note so."""

        def told(tx: Tx) -> None:
            action = tx.action_by_key(notice.key)
            assert action is not None
            tx.move(action, ActionState.SUCCEEDED, due_at=None)

        await self._context.journal.write(told)
        raise JournalError("the server did not answer")


async def test_a_fault_ends_when_its_lane_has_nothing_left_to_do(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit that got no answer happened: nobody works on the lane again, and health must not stay degraded."""
    monkeypatch.setattr("receiver.loops.worker.RETRY_LANE_S", 0.01)
    worker = Worker(context, Deliverer(context, {"log": DoubtfulChannel(context)}, public_url="http://127.0.0.1"))
    await worker.start()

    def add(tx: Tx) -> None:
        tx.add_action(notice(1))
        tx.note(Decision(kind="test", sentence="a notice"))

    await context.journal.write(add)
    await until(lambda: failures(context, "lane channel:log") == 1, WITHIN_S, "the lane fails")
    await until(lambda: not context.faults.of(LOOP), WITHIN_S, "the fault is over")
    await worker.stop(wait_s=WITHIN_S)
