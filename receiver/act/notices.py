"""Delivering notices: at least once, with retries, then as a dead letter with a message to the fallback channel.

A notice is RUNNING in the journal before the send. After a kill, the receiver therefore knows that the channel may have
got the notice, and sends the notice again, marked as a repeat.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from receiver.act import hosts
from receiver.context import Context
from receiver.decide import retry
from receiver.decide.due_notices import to_channels
from receiver.decide.model import Action, ActionState, Decision, Episode
from receiver.decide.notice import Event, Notice, Notifier, NotifyFailure, Receipt, TemporaryFailure
from receiver.journal import Tx
from receiver.links import incident_page, service_page
from receiver.notify.messages import message
from receiver.steps import Step

NO_CHANNEL = "the channel is no longer in receiver.yaml"


class Deliverer:
    """Sends the notices of each channel in their order. Links in notices begin with `public_url`.

    `spare` names the channels of this machine, which hear of dead letters if the policy names no fallback.
    """

    def __init__(
        self, context: Context, notifiers: Mapping[str, Notifier], *, public_url: str, spare: Sequence[str] = ()
    ) -> None:
        self._context = context
        self._notifiers = notifiers
        self._public_url = public_url
        self._spare = tuple(spare)

    async def perform(self, _context: Context, channel: str, actions: Sequence[Action]) -> None:
        """Deliver the due notices of a channel."""
        for action in actions:
            await self._deliver(channel, action)

    async def _deliver(self, channel: str, action: Action) -> None:
        context = self._context
        running = await context.journal.write(lambda tx: _begin(tx, action, context))
        context.reached(Step.NOTICE_RUNNING)
        notice = self.notice_of(running)
        notifier = self._notifiers.get(channel)
        failure: NotifyFailure | None = None
        receipt = Receipt(channel=channel, answer="")
        if notifier is None:
            await self._dead(running, notice, NO_CHANNEL)
            return
        context.leading.require()
        try:
            receipt = await notifier.send(notice)
        except NotifyFailure as error:
            failure = error
        context.reached(Step.NOTICE_SENT)
        if failure is None:
            await self._delivered(running, notice, receipt)
        else:
            await self._failed(running, notice, failure)
        context.reached(Step.NOTICE_RECORDED)

    def notice_of(self, action: Action) -> Notice:
        """The notice of an action."""
        event = Event(action.payload["event"])
        facts: Mapping[str, str] = json.loads(action.payload["facts"])
        title, text = message(event, action.service, facts)
        return Notice(
            key=action.key,
            incident=action.payload["incident"],
            channel=action.name,
            service=action.service,
            severity=action.payload["severity"],
            event=event,
            title=title,
            text=text,
            url=f"{self._public_url}/{incident_page(action.payload['incident'])}",
            service_url=f"{self._public_url}/{service_page(action.service)}",
            at=datetime.fromisoformat(action.payload["at"]),
            trace_id=action.trace.trace_id,
            request_id=action.trace.request_id,
            repeat=action.repeat,
            facts=facts,
        )

    async def _delivered(self, action: Action, notice: Notice, receipt: Receipt) -> None:
        def record(tx: Tx) -> Action:
            _note(tx, action, "told", f"{action.name} got the notice: {notice.title}")
            result = {"answer": receipt.answer[:500]} | ({"thread": receipt.thread} if receipt.thread else {})
            return tx.move(action, ActionState.SUCCEEDED, due_at=None, result=result)

        done = await self._context.journal.write(record)
        now = self._context.clock()
        self._context.meters.ended(done, now)
        waited_s = (now - action.created_at).total_seconds()
        self._context.meters.to_notice.labels(action.name).observe(waited_s)

    async def _failed(self, action: Action, notice: Notice, failure: NotifyFailure) -> None:
        context = self._context
        after = retry.after_failure(
            failure.kind,
            failures=action.failures + 1,
            jitter=context.jitter(),
            retry_after_s=failure.retry_after_s if isinstance(failure, TemporaryFailure) else None,
        )
        if isinstance(after, retry.DeadLetter):
            await self._dead(action, notice, f"{failure.reason} ({after.reason})")
            return
        due_at = context.clock() + timedelta(seconds=after.delay_s)

        def record(tx: Tx) -> None:
            sentence = f"{action.name} failed ({failure.reason}): next attempt in {after.delay_s:.0f} s"
            _note(tx, action, "notice_failed", sentence)
            tx.move(
                action,
                ActionState.RETRY_WAIT,
                due_at=due_at,
                failures=action.failures + 1,
                result={"error": failure.reason[:500]},
            )

        await context.journal.write(record)

    async def _dead(self, action: Action, notice: Notice, why: str) -> None:
        context = self._context

        def record(tx: Tx) -> Action:
            _note(tx, action, "dead_letter", f"{action.name} did not get the notice, which is now a dead letter: {why}")
            dead = tx.move(action, ActionState.DEAD, due_at=None, result={"error": why[:500]})
            episode = tx.episode(action.episode)
            if episode is not None:
                for instead in self._instead(tx, episode, action, notice, why):
                    tx.add_action(instead)
            return dead

        context.meters.ended(await context.journal.write(record), context.clock())

    def _instead(self, tx: Tx, episode: Episode, action: Action, notice: Notice, why: str) -> list[Action]:
        """The same notice to the fallback channels. A fallback has no fallback of its own."""
        if notice.event is Event.DEAD_LETTER:
            return []
        named = json.loads(action.payload.get("fallback", "[]")) or self._spare
        fallback = [name for name in named if name != action.name]
        facts = {"channel": action.name, "error": why[:200], "title": notice.title}
        return to_channels(
            episode,
            self._context.policy_of(episode),
            fallback,
            Event.DEAD_LETTER,
            now=tx.now,
            ids=self._context.ids,
            facts=facts,
            which=f"{action.name}:{action.payload['event']}",
        )


def recaller(context: Context) -> Callable[[Notice], Awaitable[str]]:
    """Asks the journal for the thread that an earlier receipt of the notice's channel and incident names."""

    async def recall(notice: Notice) -> str:
        return await context.journal.read(
            lambda view: view.thread(channel=notice.channel, service=notice.service, incident=notice.incident)
        )

    return recall


def _begin(tx: Tx, action: Action, context: Context) -> Action:
    """From now on the notice may have been sent by this receiver. Raises NotLeadingError."""
    context.leading.require_in(tx.leader)
    again = (ActionState.PENDING,) if action.state is ActionState.RETRY_WAIT else ()
    return tx.move(
        action,
        *again,
        ActionState.STARTING,
        ActionState.RUNNING,
        attempt=action.attempt + 1,
        fence=action.fence + 1,
        lease_owner=context.owner,
        due_at=None,
        payload=hosts.told(context, tx, action),
    )


def interrupted(tx: Tx, action: Action) -> Action:
    """Send a notice again that was being sent when the receiver was killed; the title says that it may be a repeat."""
    _note(
        tx,
        action,
        "notice_repeat",
        f"{action.name} may have got the notice before the restart: sent again, marked as a repeat",
    )
    waiting = tx.move(action, ActionState.RETRY_WAIT, due_at=None)
    return tx.move(waiting, ActionState.PENDING, repeat=True)


def again(action: Action, *, now: datetime, new_id: str) -> Action:
    """Send a dead letter once more, because an operator asked for this."""
    return replace(
        action,
        id=new_id,
        key=f"{action.key}#again",
        state=ActionState.PENDING,
        created_at=now,
        attempt=0,
        failures=0,
        due_at=None,
        result={},
    )


def _note(tx: Tx, action: Action, kind: str, sentence: str) -> None:
    tx.note(
        Decision(
            kind=kind,
            sentence=sentence,
            episode=action.episode,
            action=action.id,
            trace_id=action.trace.trace_id,
        )
    )
