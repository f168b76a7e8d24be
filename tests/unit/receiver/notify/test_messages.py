"""What notices say, and whom they are told."""

import pytest

from receiver.decide.due_notices import tell, to_channels
from receiver.decide.notice import TEXT_MAX, TITLE_MAX, Event
from receiver.notify.messages import message
from tests.unit.receiver.builders import NOW, counting_ids, episode, policy


@pytest.mark.parametrize("event", list(Event))
def test_every_moment_has_words_even_without_facts(event: Event) -> None:
    """One printable line each, within the limits."""
    title, text = message(event, "gateway", {})
    assert (0 < len(title) <= TITLE_MAX, 0 < len(text) <= TEXT_MAX) == (True, True)
    assert title.isprintable()
    assert text.isprintable()


@pytest.mark.parametrize("event", list(Event))
def test_hostile_facts_stay_words(event: Event) -> None:
    """Braces, line breaks and escape sequences are text, and short."""
    evil = "{0.__class__} {service}\n\x1b[31m \u202e" * 50
    names = ("alert", "reason", "error", "release", "title", "ended_by", "end_reason", "level", "ask")
    title, text = message(event, evil, dict.fromkeys(names, evil))
    assert (len(title) <= TITLE_MAX, len(text) <= TEXT_MAX) == (True, True)
    assert "\n" not in title + text
    assert "\x1b" not in title + text
    assert "\u202e" not in title + text


ON_HOSTS = {"reason": "too slow", "unfreeze_when": "later", "hosts": "Frozen on db-1 and db-2"}
MISSING = "db-3 was last seen at 12:03 UTC: shipping may go on there"


def test_hosts_without_the_flag_come_first() -> None:
    """A long text is cut at its end."""
    assert message(Event.FROZEN, "gateway", ON_HOSTS)[1] == "too slow. Frozen on db-1 and db-2. Unfrozen when: later"
    assert message(Event.FROZEN, "gateway", {**ON_HOSTS, "hosts_missing": MISSING})[1] == (
        f"{MISSING}. Frozen on db-1 and db-2. too slow. Unfrozen when: later"
    )
    failed = message(Event.FREEZE_FAILED, "gateway", {**ON_HOSTS, "error": "disk full"})[1]
    assert failed.startswith("disk full. Frozen on db-1 and db-2. Freezeline keeps trying")
    ended = {
        "end_reason": "fixed",
        "ended_by": "ann",
        "hosts": "Unfrozen on db-1",
        "hosts_missing": "db-2 keeps its flag",
    }
    assert message(Event.UNFROZEN, "gateway", ended)[1] == "db-2 keeps its flag. Unfrozen on db-1. By ann: fixed"


def test_a_moment_is_told_once_per_channel_and_incident() -> None:
    """The key names channel, service, incident and event, and nothing else."""
    notices = tell(episode(), policy(), Event.FROZEN, now=NOW, ids=counting_ids())
    assert [notice.key for notice in notices] == [
        "notice:toast:gateway:E1:frozen",
        "notice:log:gateway:E1:frozen",
    ]
    second = tell(episode(id="E2"), policy(), Event.FROZEN, now=NOW, ids=counting_ids())
    assert [notice.key for notice in second] == [notice.key for notice in notices]


def test_a_moment_that_the_rule_does_not_name_is_not_told() -> None:
    """The default events leave these out."""
    assert tell(episode(), policy(), Event.RENEWED, now=NOW, ids=counting_ids()) == []
    assert tell(episode(), None, Event.FROZEN, now=NOW, ids=counting_ids()) == []


def test_an_operators_freeze_is_told_to_every_channel_of_the_policy() -> None:
    """It has no rule of its own."""
    by_hand = episode(policy="operator", rule="manual")
    assert [one.name for one in tell(by_hand, policy(), Event.FROZEN, now=NOW, ids=counting_ids())] == ["toast", "log"]


def test_a_channel_that_is_named_twice_is_told_once() -> None:
    """In the order of the policy."""
    found = to_channels(episode(), policy(), ["log", "log"], Event.STATUS, now=NOW, ids=counting_ids(), which="1")
    assert [one.key for one in found] == ["notice:log:gateway:E1:status:1"]
