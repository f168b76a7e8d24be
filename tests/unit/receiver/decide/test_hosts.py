"""Which hosts must have a flag, which do, and what people are told of the others."""

from datetime import timedelta
from typing import Any

from receiver.decide.hosts import (
    FORGOTTEN_AFTER,
    NAMED_MAX,
    HostFlag,
    HostState,
    Sharing,
    clock,
    done,
    known,
    problems,
    unmet,
    waited_for,
)
from tests.unit.receiver.builders import NOW

FROZEN, UNFREEZING, UNFROZEN = HostState.FROZEN, HostState.UNFREEZING, HostState.UNFROZEN
FLAG = "/var/lib/freezeline/gateway/FREEZE.FLAG"
SHARING = Sharing(lease_s=30, now=NOW)
PAST_S = FORGOTTEN_AFTER.total_seconds() + 1


def host(name: str, state: HostState = FROZEN, *, unseen_s: float | None = 1.0, **changes: Any) -> HostFlag:
    """A host whose receiver guards the flag, and was seen a second ago."""
    values = {"guards": True, "path": FLAG, "service": "gateway", "changed_at": NOW, **changes}
    seen_at = None if unseen_s is None else NOW - timedelta(seconds=unseen_s)
    return HostFlag(host=name, state=state, seen_at=seen_at, unseen_s=unseen_s, **values)


def test_a_notice_waits_for_live_hosts_that_guard_the_flag_and_say_nothing() -> None:
    """Not for one that has the flag, that failed, that is dead, that left, or whose policies do not name the flag."""
    hosts = [
        host("silent", UNFROZEN),
        host("told-to-unfreeze", UNFREEZING),
        host("frozen"),
        host("failed", UNFROZEN, error="disk full"),
        host("dead", UNFROZEN, unseen_s=31),
        host("left", UNFROZEN, unseen_s=None, guards=False),
        host("other-policies", UNFROZEN, guards=False),
    ]
    assert waited_for(hosts, FROZEN, SHARING) == ["silent", "told-to-unfreeze"]
    assert waited_for(hosts, UNFROZEN, SHARING) == ["frozen", "told-to-unfreeze"]


def test_a_receiver_is_live_within_its_lease() -> None:
    """To the second."""
    assert host("a", unseen_s=30).is_live(SHARING)
    assert not host("a", unseen_s=30.1).is_live(SHARING)
    assert not host("a", unseen_s=None).is_live(SHARING)


def test_a_host_has_a_flag_until_it_has_removed_it() -> None:
    """In between, the freeze has ended."""
    assert [host("a", state).has_flag for state in (FROZEN, UNFREEZING, UNFROZEN)] == [True, True, False]


def test_where_no_receiver_lives_the_flag_is_as_it_was_left() -> None:
    """Nobody removes the flag of a dead host, even if its freeze has ended."""
    assert host("a", UNFREEZING, unseen_s=31).is_as(FROZEN, SHARING)
    assert not host("a", UNFREEZING, unseen_s=31).is_as(UNFROZEN, SHARING)
    assert not host("a", UNFREEZING).is_as(FROZEN, SHARING)


def test_hosts_that_do_not_matter_are_not_known() -> None:
    """A host that left matters while it has the flag; a dead one for a week."""
    hosts = [
        host("left", UNFROZEN, unseen_s=None, guards=False),
        host("left-with-flag", unseen_s=None, guards=False),
        host("forgotten", unseen_s=PAST_S),
        host("deleted", UNFROZEN, unseen_s=None),
        host("dead", UNFROZEN, unseen_s=PAST_S - 2),
    ]
    assert [one.host for one in known(hosts)] == ["dead", "left-with-flag"]


def test_a_flag_that_a_live_host_lacks_is_unmet() -> None:
    """A dead host is named, and a freeze that has ended needs no flag."""
    assert unmet([host("a"), host("b", UNFROZEN)], [FLAG], SHARING) == {FLAG}
    assert unmet([host("a"), host("b", UNFROZEN)], [], SHARING) == frozenset()
    assert unmet([host("a"), host("b", UNFROZEN, unseen_s=31)], [FLAG], SHARING) == frozenset()


def test_one_host_needs_no_words() -> None:
    """Its own notice says that the service is frozen."""
    assert (done([host("a")], FROZEN, SHARING), problems([host("a", UNFROZEN, error="x")], FROZEN, SHARING)) == ("", [])


def test_all_hosts_are_frozen() -> None:
    """In one sentence."""
    hosts = [host("db-2"), host("db-1"), host("db-3", unseen_s=31)]
    assert done(hosts, FROZEN, SHARING) == "Frozen on db-1, db-2 and db-3"
    assert problems(hosts, FROZEN, SHARING) == []


def test_hosts_that_are_not_frozen_have_a_sentence_each() -> None:
    """A live one comes first, with its reason and without the flag's path; a dead one with its time."""
    hosts = [
        host("db-1", UNFROZEN, unseen_s=17 * 60),
        host("db-2", UNFROZEN, error=f"{FLAG}: /var/lib: Not a directory"),
        host("db-3", UNFROZEN),
        host("db-4"),
        host("db-5", UNFROZEN, unseen_s=None, guards=False),
    ]
    assert problems(hosts, FROZEN, SHARING) == [
        "db-2 cannot write its flag (/var/lib: Not a directory): shipping may go on there",
        "db-3 has not written its flag yet: shipping may go on there",
        "db-1 was last seen at 08:03 UTC: shipping may go on there",
    ]
    assert done(hosts, FROZEN, SHARING) == "Frozen on db-4"


def test_hosts_that_keep_a_flag_are_named_when_the_freeze_ends() -> None:
    """Also those whose receiver was stopped in the ordinary way."""
    hosts = [
        host("db-1", unseen_s=3600 * 24),
        host("db-2", UNFREEZING, error="read-only file system"),
        host("db-3", UNFREEZING),
        host("db-4", UNFREEZING, unseen_s=None, guards=False),
        host("db-5", UNFROZEN),
    ]
    assert problems(hosts, UNFROZEN, SHARING) == [
        "db-2 cannot remove its flag (read-only file system): shipping stays stopped there",
        "db-3 has not removed its flag yet: shipping stays stopped there",
        "db-1 was last seen at 2026-11-20 08:20 UTC and keeps its flag: shipping stays stopped there",
        "db-4 has no receiver now and keeps its flag: shipping stays stopped there",
    ]
    assert done(hosts, UNFROZEN, SHARING) == "Unfrozen on db-5"


def test_many_hosts_are_counted() -> None:
    """The first of them have a name."""
    hosts = [host(f"db-{number:02}", FROZEN if number % 2 else UNFROZEN) for number in range(20)]
    assert done(hosts, FROZEN, SHARING) == "Frozen on db-01, db-03, db-05, db-07, db-09 and 5 more hosts"
    found = problems(hosts, FROZEN, SHARING)
    assert (len(found), found[-1]) == (NAMED_MAX + 1, "5 more hosts are alike")


def test_times_of_another_day_have_their_day() -> None:
    """Of today, the time is enough."""
    assert clock(NOW, NOW + timedelta(hours=1)) == "08:20 UTC"
    assert clock(NOW, NOW + timedelta(days=1)) == "2026-11-21 08:20 UTC"
