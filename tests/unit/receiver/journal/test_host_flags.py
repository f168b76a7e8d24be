"""What a journal of several receivers knows of the flags of each host, and which notices wait for hosts."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from receiver.act import freeze, hosts
from receiver.act.hosts import noted
from receiver.context import Context
from receiver.decide.hosts import HostState
from receiver.decide.model import NO_TRACE, Action, ActionType
from receiver.decide.notice import Event
from receiver.decide.plan import Unfrozen
from receiver.journal import Journal, Tx, View
from receiver.journal.record import record, tell_in
from receiver.leading import Leading
from tests import journals
from tests.postgres import Cluster
from tests.unit.receiver.builders import episode, freeze_reason, policies, policy, raw_policy

FLAG = "/flags/gateway/FREEZE.FLAG"
OWN = {FLAG: "gateway"}


@pytest.fixture
def sharing_journal(server: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal is in PostgreSQL."""
    monkeypatch.setenv("FREEZELINE_JOURNAL_POSTGRES", server.database())


@pytest.fixture
def shared(sharing_journal: None, context: Context) -> Context:
    """A receiver on the host `here`, whose policy names the flag."""
    actions = {**raw_policy()["actions"], "freeze": {"type": "freeze", "flag": FLAG}}
    context.box.policies = policies(policy(actions=actions))
    return replace(context, leading=Leading(several=True, place="here:/state", owner="here:/state#1:x"))


async def appear(journal: Journal, host: str, *, guards: dict[str, str] | None = None) -> None:
    """A host's receiver gives a sign."""

    def work(tx: Tx) -> None:
        tx.appear(place=f"{host}:/state", owner=f"{host}#1", host=host, version="1", knows=4)
        tx.guard(host, OWN if guards is None else guards)

    await journal.write(work)


async def say(context: Context, host: str, state: HostState, error: str = "") -> None:
    """Another host says what it did."""
    other = replace(context, host=host)
    if not error:
        await noted(other, FLAG, "gateway", state, None)
    else:
        view = await context.journal.read(lambda journal: journal.flag_view(FLAG))
        await hosts.failed(other, view, error)


async def on_hosts(context: Context) -> dict[str, tuple[str, bool]]:
    """State, and whether the host guards the flag."""
    found = await context.journal.read(lambda view: view.host_flags(FLAG))
    return {one.host: (one.state.value, one.guards) for one in found}


async def freeze_begins(context: Context) -> None:
    """The flag gets a reason."""

    def work(tx: Tx) -> None:
        tx.add_episode(episode(policy_sha256=next(iter(context.box.policies.by_sha256))))
        tx.add_freeze_reason(freeze_reason(flag=FLAG))

    await context.journal.write(work)


async def tell(context: Context, event: Event) -> None:
    """People are to be told."""

    def work(tx: Tx) -> None:
        about = hosts.about(context, tx, FLAG, event)
        tell_in(tx, "E1", event, context.box.policies, ids=context.ids, hosts=about)

    await context.journal.write(work)


def waiting(view: View) -> dict[str, bool]:
    """Every notice to the log, and whether it waits."""
    found = view.actions(limit=100)
    return {one.payload["event"]: one.due_at is not None for one in found if one.name == "log"}


@pytest.mark.xdist_group("postgres")
async def test_a_receiver_guards_the_flags_of_its_policies_until_it_leaves(shared: Context) -> None:
    """A flag that is there outlives the receiver."""
    journal = shared.journal
    await appear(journal, "db-1")
    await appear(journal, "db-2", guards={**OWN, "/flags/other": "other"})
    assert await on_hosts(shared) == {"db-1": ("unfrozen", True), "db-2": ("unfrozen", True)}
    await appear(journal, "db-2")
    assert len(await journal.read(lambda view: view.host_flags())) == 2
    await freeze_begins(shared)
    await say(shared, "db-2", HostState.FROZEN)
    for host in ("db-1", "db-2"):
        await journal.write(lambda tx, host=host: tx.leave(f"{host}#1"))  # type: ignore[misc]
    assert await on_hosts(shared) == {"db-2": ("frozen", False)}
    found = (await journal.read(lambda view: view.host_flags(FLAG)))[0]
    assert (found.seen_at, found.unseen_s) == (None, None)


@pytest.mark.xdist_group("postgres")
async def test_a_host_guards_while_any_of_its_receivers_runs(shared: Context) -> None:
    """The host counts: a receiver of another state directory goes on."""
    journal = shared.journal
    await appear(journal, "db-1")
    await journal.write(lambda tx: tx.appear(place="db-1:/b", owner="db-1#2", host="db-1", version="1", knows=4))
    await journal.write(lambda tx: tx.leave("db-1#1"))
    assert await on_hosts(shared) == {"db-1": ("unfrozen", True)}


@pytest.mark.xdist_group("postgres")
async def test_a_notice_waits_until_the_last_host_speaks(shared: Context) -> None:
    """One wrote, one failed: both have spoken. Later notices keep their place behind the first."""
    for host in ("db-1", "db-2"):
        await appear(shared.journal, host)
    await freeze_begins(shared)
    await tell(shared, Event.FROZEN)
    await tell(shared, Event.ROLLBACK_STARTED)
    assert await shared.journal.read(waiting) == {"frozen": True, "rollback_started": True}
    await say(shared, "db-1", HostState.FROZEN)
    assert await shared.journal.read(waiting) == {"frozen": True, "rollback_started": True}
    await say(shared, "db-2", HostState.UNFROZEN, error="disk full")
    assert await shared.journal.read(waiting) == {"frozen": False, "rollback_started": False}
    await tell(shared, Event.ROLLBACK_DONE)
    assert (await shared.journal.read(waiting))["rollback_done"] is False


@pytest.mark.xdist_group("postgres")
async def test_each_attempt_tells_what_is_true_then(shared: Context) -> None:
    """Also the reminders of a long freeze. Other notices stay as they are."""
    for host in ("db-1", "db-2"):
        await appear(shared.journal, host)
    await freeze_begins(shared)
    await say(shared, "db-1", HostState.FROZEN)

    async def facts(event: Event, **before: str) -> dict[str, str]:
        payload = {"event": event.value, "flag": FLAG, "facts": json.dumps({"alert": "A", **before})}
        notice = Action(
            id="N",
            key="N",
            episode="E1",
            service="gateway",
            type=ActionType.NOTIFY,
            name="log",
            created_at=episode().opened_at,
            payload=payload,
        )
        told = await shared.journal.write(lambda tx: hosts.told(shared, tx, notice))
        return {name: text for name, text in json.loads(told["facts"]).items() if name != "alert"}

    silent = "db-2 has not written its flag yet: shipping may go on there"
    assert await facts(Event.FROZEN) == {"hosts": "Frozen on db-1", "hosts_missing": silent}
    assert await facts(Event.STATUS) == {"hosts_missing": silent}
    assert await facts(Event.ROLLBACK_DONE) == {}
    await say(shared, "db-2", HostState.FROZEN)
    assert await facts(Event.FROZEN, hosts_missing=silent) == {"hosts": "Frozen on db-1 and db-2"}
    assert await facts(Event.RENEWED, hosts_missing=silent) == {}


@pytest.mark.xdist_group("postgres")
async def test_nobody_waits_for_a_receiver_of_an_earlier_version(shared: Context) -> None:
    """Such a receiver took the place of a later one, and says nothing of its flags."""
    await appear(shared.journal, "db-1")
    await shared.journal.write(lambda tx: tx.appear(place="db-1:/state", owner="x", host="db-1", version="0", knows=3))
    assert [one.seen_at for one in await shared.journal.read(lambda view: view.host_flags(FLAG))] == [None]
    await freeze_begins(shared)
    await tell(shared, Event.FROZEN)
    assert await shared.journal.read(waiting) == {"frozen": False}


@pytest.mark.xdist_group("postgres")
async def test_what_a_host_said_of_an_earlier_freeze_counts_no_more(shared: Context) -> None:
    """The flag is still there when the next freeze begins, and may be about to go."""
    await appear(shared.journal, "db-1")
    await freeze_begins(shared)
    await say(shared, "db-1", HostState.FROZEN)
    reason = (await shared.journal.read(lambda view: view.freeze_reasons(flag=FLAG)))[0]
    ended = Unfrozen(freeze_reason=reason, episode=episode(), by="policy", reason="resolved", sentence="resolved")
    await shared.journal.write(lambda tx: record(tx, [ended], shared.box.policies, ids=shared.ids, trace=NO_TRACE))
    assert await on_hosts(shared) == {"db-1": ("unfreezing", True)}


@pytest.mark.xdist_group("postgres")
async def test_hosts_that_were_not_seen_for_long_are_forgotten(shared: Context, tmp_path: Path) -> None:
    """With their flags; others stay."""
    await appear(shared.journal, "db-1")
    await appear(shared.journal, "db-2")
    path = tmp_path / "j.db"
    with journals.connected(path) as connection:
        connection.execute("UPDATE receiver SET seen_at = clock_timestamp() - interval '8 days' WHERE host = 'db-1'")
        connection.execute("UPDATE flag_on_host SET changed_at = '2020-01-01T00:00:00.000000Z'")
    await shared.journal.write(lambda tx: tx.forget_hosts(timedelta(days=7)))
    assert list(await on_hosts(shared)) == ["db-2"]


@pytest.mark.usefixtures("sharing")
async def test_one_host_waits_for_nobody(context: Context, tmp_path: Path) -> None:
    """Whatever holds the journal: the notice is due at once, and tells of no hosts."""
    flag = str(tmp_path / "flags" / "FREEZE.FLAG")
    actions = {**raw_policy()["actions"], "freeze": {"type": "freeze", "flag": flag}}
    context.box.policies = policies(policy(actions=actions))
    if context.journal.several:
        await appear(context.journal, context.host, guards={flag: "gateway"})

    def work(tx: Tx) -> None:
        tx.add_episode(episode(policy_sha256=next(iter(context.box.policies.by_sha256))))
        tx.add_freeze_reason(freeze_reason(flag=flag))

    await context.journal.write(work)
    await freeze.perform(context, flag, ())
    told: list[Action] = await context.journal.read(lambda view: view.actions(limit=10))
    assert [(one.payload["event"], one.due_at) for one in told] == [("frozen", None), ("frozen", None)]
    payloads = [await context.journal.write(lambda tx, one=one: hosts.told(context, tx, one)) for one in told]  # type: ignore[misc]
    assert [hosts_in(payload["facts"]) for payload in payloads] == [False, False]


def hosts_in(facts: str) -> bool:
    """Whether a notice tells of hosts."""
    return "hosts" in facts
