"""What this host tells the journal about its flags, and what notices tell of all hosts.

Nothing of this happens for a journal in a file: its only host is this one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from receiver.context import Context
from receiver.decide import hosts
from receiver.decide.hosts import REMINDERS, WANTED, AboutHosts, HostFlag, HostState
from receiver.decide.model import Action, FlagView
from receiver.decide.notice import Event
from receiver.host_report import problems_of_hosts
from receiver.journal import Tx

SAID = {
    HostState.FROZEN: "{host} has the flag {path}",
    HostState.UNFROZEN: "{host} has removed the flag {path}",
}
"""What people read in the decisions."""


def about(context: Context, tx: Tx, flag: str, event: Event) -> AboutHosts | None:
    """What a notice about a flag must know of the hosts; None if the notice tells of no hosts."""
    if not tx.several or event not in WANTED:
        return None
    waited_for = hosts.waited_for(tx.host_flags(flag), WANTED[event], context.sharing(tx.now))
    return AboutHosts(flag=flag, due_at=tx.now + hosts.WAIT if waited_for else None)


def wrote(context: Context, tx: Tx, path: str, service: str) -> None:
    """The leader has written its flag. The decision that follows says this."""
    if tx.several:
        _say(context, tx, path, service, HostState.FROZEN)


def removed(context: Context, tx: Tx, path: str, service: str) -> None:
    """The leader has removed its flag. The decision that follows says this."""
    if tx.several:
        _say(context, tx, path, service, HostState.UNFROZEN)


async def restored(context: Context, path: str, service: str) -> None:
    """This host has the flag as the journal wants. The journal hears this unless it knows. Raises JournalError."""
    if context.journal.several:
        known = await context.journal.read(lambda view: view.flags_of_host(context.host))
        await noted(context, path, service, HostState.FROZEN, known.get(path))


async def noted(context: Context, path: str, service: str, state: HostState, before: HostFlag | None) -> None:
    """This host's flag is in a state. The journal hears this unless it knew `before`. Raises JournalError."""
    if not context.journal.several:
        return
    nothing_yet = before is None and state is HostState.UNFROZEN
    if nothing_yet or (before is not None and before.state is state and not before.error):
        return
    why = SAID[state].format(host=context.host, path=path)

    def record(tx: Tx) -> None:
        if tx.is_held(path) is (state is HostState.FROZEN):
            _say(context, tx, path, service, state, why=why)

    await context.journal.write(record)


async def failed(context: Context, view: FlagView, error: str) -> None:
    """This host could not write or remove a flag. The journal hears this unless it knows. Raises JournalError."""
    if not context.journal.several:
        return
    before = (await context.journal.read(lambda journal: journal.flags_of_host(context.host))).get(view.path)
    if before is not None and before.error == error:
        return
    service = service_of(context, view)
    verb = "write" if view.freeze_reasons else "remove"
    why = f"{context.host} cannot {verb} the flag: {error}"

    def record(tx: Tx) -> None:
        now = tx.flags_of_host(context.host).get(view.path)
        _say(context, tx, view.path, service, now.state if now else HostState.UNFROZEN, error=error, why=why)

    await context.journal.write(record)


def service_of(context: Context, view: FlagView) -> str:
    """The service of a flag, from whatever knows it."""
    if view.file is not None:
        return view.file.service
    policy = context.box.policies.flags().get(view.path)
    return next((episode.service for episode in view.episodes.values()), policy.service if policy else "")


def _say(
    context: Context, tx: Tx, path: str, service: str, state: HostState, *, error: str = "", why: str = ""
) -> None:
    """Store what this host says. If nobody is waited for any more, the notices about the flag are due."""
    guards = path in context.box.policies.flags()
    said = HostFlag(
        host=context.host, path=path, service=service, guards=guards, state=state, changed_at=tx.now, error=error
    )
    tx.host_has(said, why)
    wanted = HostState.FROZEN if tx.is_held(path) else HostState.UNFROZEN
    if not hosts.waited_for(tx.host_flags(path), wanted, context.sharing(tx.now)):
        tx.release_notices(path)


def told(context: Context, tx: Tx, notice: Action) -> Mapping[str, str]:
    """The payload of a notice that is about to be sent, with what is known now of the hosts of its flag."""
    if not tx.several:
        return notice.payload
    said = _told_of(context, tx, notice, Event(notice.payload["event"]))
    if not said:
        return notice.payload
    # An earlier attempt may have told what is no longer true.
    facts = {**json.loads(notice.payload["facts"]), "hosts": "", "hosts_missing": "", **said}
    return {**notice.payload, "facts": json.dumps({name: text for name, text in facts.items() if text})}


def _told_of(context: Context, tx: Tx, notice: Action, event: Event) -> Mapping[str, str]:
    flag, sharing = notice.payload.get("flag", ""), context.sharing(tx.now)
    if flag and event in WANTED:
        found, wanted = tx.host_flags(flag), WANTED[event]
        missing = hosts.problems(found, wanted, sharing)
        return {"hosts": hosts.done(found, wanted, sharing), "hosts_missing": ". ".join(missing)}
    if event in REMINDERS:
        of_service = [one for one in tx.host_flags() if one.service == notice.service]
        missing = problems_of_hosts(of_service, tx.held_flags(), sharing)
        return {"hosts_missing": ". ".join(missing)}
    return {}
