"""Every type of action has a performer and a lane of its own kind."""

from datetime import UTC, datetime

import pytest

from receiver.act import ACTIONS, lane_of
from receiver.decide.model import Action, ActionType

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_every_type_has_a_performer() -> None:
    """A type without a performer would be planned and never carried out. Notices have the family of notifiers."""
    assert set(ACTIONS) == set(ActionType) - {ActionType.NOTIFY}


@pytest.mark.parametrize("kind", sorted(ACTIONS))
def test_no_performer_works_in_a_channel_s_lane(kind: ActionType) -> None:
    """Lanes of channels are resumed as notices; any other action in such a lane would wait behind notices."""
    action = Action(id="a", key="k", episode="e", service="checkout", type=kind, name="n", created_at=NOW)
    assert not lane_of(action).startswith("channel:")
