"""Acknowledging by the API, once and again."""

import pytest

from receiver.context import Context
from receiver.http.incoming import RefusedError
from receiver.http.operate import acknowledge
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
