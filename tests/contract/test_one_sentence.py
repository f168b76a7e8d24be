"""Page, notice, command line, flag and journal of one incident say the same sentence: value, limit and time."""

from datetime import timedelta

from msgspec.structs import replace

from freezeline.commands import status
from receiver import report
from receiver.decide import hosts
from receiver.decide.hosts import HostFlag, HostState, Sharing
from receiver.decide.model import NO_TRACE, stamp_ms
from receiver.decide.notice import Event
from receiver.decide.plan import Known, Opened, on_firing
from receiver.notify.messages import message
from receiver.policy.model import Policies
from tests.unit.receiver.builders import NOW, alert, counting_ids, policies, policy
from tests.unit.receiver.http.page.shown import facts, gateway, service_html, services_html

SENTENCE = "5.6 % of HTTP requests failed over 5 min; the limit is 0.5 %"


def opened() -> Opened:
    """What an alert with this summary, as a generated rule writes summaries, starts."""
    firing = replace(alert(), annotations={"summary": SENTENCE})
    (change,) = on_firing(firing, Known(), policies(policy()), now=NOW, ids=counting_ids(), trace=NO_TRACE)
    assert isinstance(change, Opened)
    return change


def standing(change: Opened) -> report.Standing:
    """The journal after this alert."""
    (reason,) = change.freeze_reasons
    return report.Standing(
        seq=1,
        live=(change.episode,),
        counts=(("gateway", "critical", 1),),
        freeze_reasons=(reason,),
        held={reason.flag: 1},
        episodes={change.episode.id: change.episode},
        actions=(),
        unfinished=change.actions,
        recent=(),
        dead_letters=(),
        flags={reason.flag: "gateway"},
    )


def test_every_surface_says_the_same_sentence() -> None:
    """A person who has read the notice finds the very words on the page, in the terminal and in the journal."""
    change = opened()
    (reason,) = change.freeze_reasons
    in_force: Policies = policies(policy())
    looked = standing(change)
    found = facts(looked, policies=in_force)
    state = report.state(looked, in_force, now=NOW, version="1")
    _, notice = message(Event.FROZEN, "gateway", {"reason": change.episode.reason})
    surfaces = {
        "journal": change.sentence,
        "flag": reason.reason,
        "notice": notice,
        "page of all services": services_html(found),
        "page of the service": service_html(gateway(found)),
        "status": "\n".join(status.lines(state)),
    }
    assert {name for name, text in surfaces.items() if SENTENCE not in text} == set()


def test_every_surface_names_the_hosts_that_are_not_frozen() -> None:
    """One that cannot write, and one whose receiver is lost, in the very words of the notice."""
    change = opened()
    flag = change.freeze_reasons[0].flag
    sharing = Sharing(lease_s=30, now=NOW)
    said = [
        HostFlag(
            host=host,
            path=flag,
            service="gateway",
            guards=True,
            state=state,
            changed_at=NOW,
            error=error,
            seen_at=NOW - timedelta(seconds=unseen_s),
            unseen_s=unseen_s,
        )
        for host, state, error, unseen_s in (
            ("db-0", HostState.FROZEN, "", 1),
            ("db-1", HostState.UNFROZEN, f"{flag}: no space left", 1),
            ("db-2", HostState.UNFROZEN, "", 1020),
        )
    ]
    looked = replace(
        standing(change), hosts={"gateway": said}, missing_elsewhere=hosts.unmet(said, [flag], sharing), sharing=sharing
    )
    state = report.state(looked, policies(policy()), now=NOW, version="1")
    missing = hosts.problems(said, HostState.FROZEN, sharing)
    assert missing == [
        "db-1 cannot write its flag (no space left): shipping may go on there",
        "db-2 was last seen at 08:03 UTC: shipping may go on there",
    ]
    there = hosts.done(said, HostState.FROZEN, sharing)
    _, notice = message(Event.FROZEN, "gateway", {"hosts": there, "hosts_missing": ". ".join(missing)})
    shown = "\n".join(status.lines(state))
    found = facts(looked, policies=policies(policy()))
    pages = (services_html(found), service_html(gateway(found)))
    surfaces = (notice, shown, *pages)
    assert [[one in text for one in missing] for text in surfaces] == [[True, True]] * 4
    assert f"  host db-2: not frozen since {stamp_ms(NOW)}, last seen at 2026-11-21T08:03:00.000Z" in shown
    assert f"  host db-1: not frozen since {stamp_ms(NOW)} ({flag}: no space left)" in shown
    assert ("NOT FROZEN YET" in shown, "must be frozen, and is not" in pages[1]) == (True, True)
    rows = pages[1].split('data-name="Host">')[1:]
    assert [row.partition("<")[0] for row in rows] == ["db-0", "db-1", "db-2"]
    assert ["not frozen" in row for row in rows] == [False, True, True]
