"""Page, notice, command line, flag and journal of one incident say the same sentence: value, limit and time."""

from msgspec.structs import replace

from freezeline.commands import status
from receiver import report
from receiver.decide.model import NO_TRACE
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
