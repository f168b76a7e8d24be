"""Acknowledging by the API, once and again."""

import pytest

from receiver.context import Context
from receiver.decide.notice import Event
from receiver.http.incoming import RefusedError
from receiver.http.operate import acknowledge
from receiver.notify.messages import message
from receiver.plaintext import plain
from tests.unit.receiver.builders import episode, policies, policy

pytestmark = pytest.mark.usefixtures("sharing")


async def test_a_second_acknowledgement_names_the_first(context: Context) -> None:
    """Two people who act at the same time both did right; the journal has one decision."""
    context.box.policies = policies(policy())
    opened = episode()
    await context.journal.write(lambda tx: tx.add_episode(opened))
    first = await acknowledge(context, {"service": "gateway", "by": "anna"})
    second = await acknowledge(context, {"service": "gateway", "by": "bert"})
    assert first == {"service": "gateway", "incidents": ["E1"], "before": []}
    assert second == {"service": "gateway", "incidents": [], "before": [{"incident": "E1", "by": "anna"}]}
    decisions = await context.journal.read(lambda view: view.decisions())
    assert [one.decision.kind for one in decisions].count("acknowledged") == 1


async def test_nothing_to_acknowledge_is_refused(context: Context) -> None:
    """A mistyped service must not look like success."""
    with pytest.raises(RefusedError, match="gatewy has nothing to acknowledge"):
        await acknowledge(context, {"service": "gatewy"})


@pytest.mark.parametrize(
    "reason, sentence, notice",
    [
        ("", "anna acknowledged gateway: escalation stops", "anna acknowledged the incident. Escalation stops"),
        (
            "reading\nlogs \u202e",
            "anna acknowledged gateway (reading logs): escalation stops",
            "anna acknowledged the incident: reading logs. Escalation stops",
        ),
    ],
)
async def test_the_reason_stands_in_journal_and_notice(
    context: Context, reason: str, sentence: str, notice: str
) -> None:
    """Whoever is called next reads that somebody is at work, and at what. A reason is text on one line."""
    context.box.policies = policies(policy())
    opened = episode()
    await context.journal.write(lambda tx: tx.add_episode(opened))
    await acknowledge(context, {"service": "gateway", "by": "anna", "reason": reason})
    decisions = await context.journal.read(lambda view: view.decisions())
    assert sentence in [one.decision.sentence for one in decisions]
    assert message(Event.ACKNOWLEDGED, "gateway", {"acknowledged_by": "anna", "why": plain(reason, 200)})[1] == notice
