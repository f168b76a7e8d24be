"""What alerts, operators and time mean: the state tables of episodes, row by row."""

from datetime import timedelta

import pytest

from receiver.decide import by_hand, plan
from receiver.decide.model import (
    ACTION_MOVES,
    EPISODE_MOVES,
    FINAL_STATES,
    NO_TRACE,
    Action,
    ActionState,
    ActionType,
    Alert,
    AlertStatus,
    Episode,
    EpisodeState,
    Seen,
)
from receiver.decide.plan import Change, ConditionState, Known
from receiver.policy.model import Unfreeze
from tests.unit.receiver.builders import (
    LABELS,
    NOW,
    STARTED,
    alert,
    at,
    counting_ids,
    episode,
    freeze_reason,
    policies,
    policy,
)

ENDED = STARTED + timedelta(seconds=29)
UNFREEZE = Unfreeze(resolved_for_s=300, all_of=(), review_after_s=86400)


def seen(status: AlertStatus = AlertStatus.FIRING, **changes: object) -> Seen:
    """What was last heard of the alert."""
    values: dict[str, object] = {"ends_at": None, "starts_at": STARTED, "last_at": NOW, "unconfirmed_since": None}
    return Seen(
        fingerprint="b42cef305cefc9ab",
        status=status,
        labels=LABELS,
        annotations={},
        **{**values, **changes},  # type: ignore[arg-type]
    )


def kinds(changes: list[Change]) -> list[str]:
    """The kinds of changes, with the state that an episode moves to."""
    return [
        f"{type(change).__name__} {change.to.value}" if isinstance(change, plan.Moved) else type(change).__name__
        for change in changes
    ]


def on(one: Alert, known: Known) -> list[Change]:
    """Plan one alert against the usual policy."""
    return plan.on_alert(one, known, policies(policy()), now=NOW, ids=counting_ids(), trace=NO_TRACE)


RESOLVED = alert(status=AlertStatus.RESOLVED, ends_at=ENDED)
AGAIN = alert(starts_at=ENDED + timedelta(minutes=1))
AFTER_RESOLVE = seen(AlertStatus.RESOLVED, ends_at=ENDED)


@pytest.mark.parametrize(
    "state,event,memory,expected",
    [
        (None, alert(), None, ["Opened"]),
        (EpisodeState.OPEN, alert(), seen(), []),
        (EpisodeState.OPEN, RESOLVED, seen(), ["Moved RESOLVING"]),
        (EpisodeState.RESOLVING, alert(), AFTER_RESOLVE, ["Moved OPEN"]),
        (EpisodeState.RESOLVING, AGAIN, AFTER_RESOLVE, ["Moved OPEN"]),
        (EpisodeState.RESOLVING, RESOLVED, AFTER_RESOLVE, []),
        (EpisodeState.CLOSED, AGAIN, AFTER_RESOLVE, ["Opened"]),
        (EpisodeState.CLOSED, alert(), AFTER_RESOLVE, ["Doubted"]),
        (EpisodeState.CLOSED, alert(), seen(AlertStatus.RESOLVED, ends_at=ENDED, unconfirmed_since=NOW), []),
        (EpisodeState.CLOSED, RESOLVED, AFTER_RESOLVE, []),
        (EpisodeState.EXPIRED, AGAIN, AFTER_RESOLVE, ["Opened"]),
        (EpisodeState.EXPIRED, alert(), AFTER_RESOLVE, ["Doubted"]),
        (None, RESOLVED, None, []),
    ],
)
def test_what_an_alert_means_in_each_state(
    state: EpisodeState | None, event: Alert, memory: Seen | None, expected: list[str]
) -> None:
    """Each state meets each kind of alert."""
    episodes = [] if state is None else [episode(state=state)]
    assert kinds(on(event, Known(seen=memory, episodes=episodes))) == expected


def test_opening_gives_a_hold_a_freeze_and_a_rollback() -> None:
    """The rule's own actions, each with a key that names what may exist once."""
    (opened,) = on(alert(), Known())
    assert isinstance(opened, plan.Opened)
    assert [one.flag for one in opened.freeze_reasons] == ["/var/lib/freezeline/gateway/FREEZE.FLAG"]
    assert [(action.type, action.key) for action in opened.actions] == [
        (ActionType.FREEZE, "freeze:/var/lib/freezeline/gateway/FREEZE.FLAG:1"),
        (ActionType.ROLLBACK, "rollback:gateway:episode:1"),
    ]
    assert opened.episode.generation == 1
    assert opened.episode.review_at == at(86400)


def test_the_same_alert_from_peers_opens_once() -> None:
    """Another startsAt changes nothing while the episode is open."""
    peer = alert(starts_at=STARTED + timedelta(seconds=3))
    assert on(peer, Known(seen=seen(), episodes=[episode()])) == []


def test_a_new_episode_counts_generations_and_joins_the_incident() -> None:
    """The third generation of an alert, while the service has an incident."""
    closed = episode(state=EpisodeState.CLOSED, generation=2)
    known = Known(seen=AFTER_RESOLVE, episodes=[closed], incident=lambda _service: "OLD")
    (opened,) = on(AGAIN, known)
    assert isinstance(opened, plan.Opened)
    assert (opened.episode.generation, opened.episode.incident) == (3, "OLD")


def test_every_matching_rule_opens_its_own_episode() -> None:
    """Two policies, one alert."""
    both = policies(policy(), policy(name="other"))
    changes = plan.on_alert(alert(), Known(), both, now=NOW, ids=counting_ids(), trace=NO_TRACE)
    assert [change.episode.policy for change in changes if isinstance(change, plan.Opened)] == [
        "failure-budget",
        "other",
    ]


def test_a_resolve_cancels_a_pending_rollback_only() -> None:
    """One pending, one running, one notice: only the first is cancelled."""
    pending = action(ActionState.PENDING)
    others = [action(ActionState.RUNNING), action(ActionState.PENDING, ActionType.NOTIFY)]
    known = Known(seen=seen(), episodes=[episode()], pending={"E1": [pending, *others]})
    changes = on(RESOLVED, known)
    assert [change.action for change in changes if isinstance(change, plan.Cancelled)] == [pending]


def test_a_resolve_from_before_the_firing_is_ignored() -> None:
    """Deliveries may overtake each other."""
    late = seen(starts_at=ENDED + timedelta(minutes=5))
    assert kinds(on(RESOLVED, Known(seen=late, episodes=[episode()]))) == ["Noted"]


def test_an_alert_that_no_rule_matches_is_noted_once() -> None:
    """The first firing is a decision, its repeats are not."""
    other = alert(labels={**LABELS, "alertname": "Other"})
    assert kinds(on(other, Known())) == ["Noted"]
    assert on(other, Known(seen=seen())) == []


def test_the_watchdog_is_never_planned() -> None:
    """Not even where a policy matches everything."""
    greedy = policy(
        rules=[{"id": "all", "match": [{"label": "alertname", "op": "=~", "value": ".*"}], "do": ["freeze"]}]
    )
    watchdog = alert(labels={"alertname": plan.WATCHDOG})
    changes = plan.on_alert(watchdog, Known(), policies(greedy), now=NOW, ids=counting_ids(), trace=NO_TRACE)
    assert changes == []


def test_a_hostile_label_stays_out_of_sentences() -> None:
    """No line break or escape sequence of a label gets into a decision."""
    hostile = alert(labels={**LABELS, "alertname": "A\n2026 level=fake\x1b[31m"})
    (noted,) = on(hostile, Known())
    assert noted.sentence.isprintable()


@pytest.mark.parametrize(
    "after_s,conditions,expected",
    [
        (299, [], []),
        (300, [], ["Unfrozen", "Moved CLOSED"]),
        (300, [ConditionState(id="b", true_since=None, held_for_s=0)], []),
        (300, [ConditionState(id="b", true_since=at(0), held_for_s=301)], []),
        (301, [ConditionState(id="b", true_since=at(0), held_for_s=301)], ["Unfrozen", "Moved CLOSED"]),
        (
            900,
            [
                ConditionState(id="a", true_since=at(0), held_for_s=10),
                ConditionState(id="b", true_since=None, held_for_s=0),
            ],
            [],
        ),
    ],
)
def test_an_end_wants_every_condition_for_its_time(
    after_s: float, conditions: list[ConditionState], expected: list[str]
) -> None:
    """Resolved long enough, and all of them held."""
    resolving = episode(state=EpisodeState.RESOLVING, resolved_at=NOW)
    changes = plan.on_unfreeze_check(resolving, [freeze_reason()], UNFREEZE, conditions, now=at(after_s))
    assert kinds(changes) == expected


def test_an_open_episode_is_never_unfrozen_by_time() -> None:
    """Whatever the conditions say."""
    assert plan.on_unfreeze_check(episode(), [freeze_reason()], UNFREEZE, [], now=at(10**6)) == []


@pytest.mark.parametrize(
    "firing,expected",
    [(True, ["Renewed"]), (None, ["Renewed"]), (False, ["Unfrozen", "Moved EXPIRED"])],
)
def test_a_review_renews_unless_alertmanager_knows_better(expected: list[str], *, firing: bool | None) -> None:
    """Unknown is treated as firing."""
    changes = plan.on_review(episode(), [freeze_reason()], firing=firing, review_after_s=3600, now=at(86400))
    assert kinds(changes) == expected
    renewed = [change.review_at for change in changes if isinstance(change, plan.Renewed)]
    assert renewed == [at(86400 + 3600)] * expected.count("Renewed")


def test_a_review_that_is_not_due_does_nothing() -> None:
    """A second too early."""
    assert plan.on_review(episode(), [freeze_reason()], firing=False, review_after_s=86400, now=at(86399)) == []


def test_an_operator_ends_every_freeze_reason_and_episodes_stay_open() -> None:
    """Repeats of the alert then find an open episode and freeze nothing."""
    changes = by_hand.on_operator_unfreeze([episode()], [freeze_reason()], reason="known, harmless", by="alice")
    assert kinds(changes) == ["Unfrozen"]
    assert changes[0].sentence == "alice unfroze gateway: known, harmless"


def test_an_operators_freeze_ends_when_it_is_unfrozen() -> None:
    """No alert can resolve it."""
    opened = by_hand.on_operator_freeze(
        policy=policy(),
        reason="migration",
        by="alice",
        generation=1,
        known=Known(),
        now=NOW,
        ids=counting_ids(),
        trace=NO_TRACE,
    )
    assert [one.flag for one in opened.freeze_reasons] == ["/var/lib/freezeline/gateway/FREEZE.FLAG"]
    assert [one.type for one in opened.actions] == [ActionType.FREEZE]
    assert opened.episode.reason == "migration (by alice)"
    changes = by_hand.on_operator_unfreeze([opened.episode], opened.freeze_reasons, reason="done", by="bob")
    assert kinds(changes) == ["Unfrozen", "Moved CLOSED"]


def test_conditions_read_as_a_person_says_them() -> None:
    """With the condition's time."""
    raw = {
        "resolved_for_s": 0,
        "all_of": [{"id": "budget", "query": "x", "op": ">=", "value": "0.10", "held_for_s": 1800}],
    }
    rules = [{"id": "r", "match": [{"label": "a", "op": "=", "value": "b"}], "do": ["freeze"], "unfreeze": raw}]
    unfreeze = policy(rules=rules).rules[0].unfreeze
    assert plan.unfreeze_when(unfreeze) == "alert resolved for 0 s and at least 10 % of the budget left for 30 min"


@pytest.mark.parametrize(
    "seconds,text", [(0, "0 s"), (90, "90 s"), (60, "1 min"), (3600, "1 h"), (5400, "90 min"), (172800, "2 d")]
)
def test_spans_are_said_in_the_largest_whole_unit(seconds: float, text: str) -> None:
    """A span with a rest is said in a smaller unit."""
    assert plan.span(seconds) == text


def test_an_alert_without_a_name_is_called_so() -> None:
    """The sentence still says what fires."""
    (noted,) = on(alert(labels={"service": "gateway"}), Known())
    assert noted.sentence == "an alert without a name of gateway fires, but no rule matches: nothing to do"


def test_the_tables_of_moves_are_those_of_the_contract() -> None:
    """Written out, so that a change is deliberate."""
    assert {str(state): sorted(map(str, after)) for state, after in ACTION_MOVES.items() if after} == {
        "PENDING": ["CANCELLED", "SKIPPED", "STARTING"],
        "STARTING": ["INTERRUPTED", "PENDING", "RUNNING"],
        "RUNNING": ["CANCELLED", "DEAD", "INTERRUPTED", "RETRY_WAIT", "SUCCEEDED", "TIMED_OUT", "VERIFYING"],
        "TIMED_OUT": ["DEAD", "VERIFYING"],
        "INTERRUPTED": ["DEAD", "VERIFYING"],
        "VERIFYING": ["DEAD", "SUCCEEDED"],
        "RETRY_WAIT": ["CANCELLED", "DEAD", "PENDING"],
    }
    assert sorted(map(str, FINAL_STATES)) == ["CANCELLED", "DEAD", "SKIPPED", "SUCCEEDED"]
    assert {str(state): sorted(map(str, after)) for state, after in EPISODE_MOVES.items() if after} == {
        "OPEN": ["CLOSED", "EXPIRED", "RESOLVING"],
        "RESOLVING": ["CLOSED", "OPEN"],
    }


def action(state: ActionState, kind: ActionType = ActionType.ROLLBACK) -> Action:
    """An action of the episode."""
    return Action(
        id=f"{kind}-{state}",
        key=f"{kind}-{state}",
        episode="E1",
        service="gateway",
        type=kind,
        name="rollback",
        created_at=NOW,
        state=state,
    )


def test_live_means_open_or_resolving() -> None:
    """The two states in which an episode counts."""
    states = [state for state in EpisodeState if episode(state=state).live]
    assert states == [EpisodeState.OPEN, EpisodeState.RESOLVING]
    assert isinstance(episode(), Episode)
