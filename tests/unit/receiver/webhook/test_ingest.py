"""Reading webhooks: every captured body, one bad alert among good ones, and what is refused."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.decide.model import AlertStatus
from receiver.webhook import ingest
from receiver.webhook.ingest import NotADeliveryError, parse_delivery
from tests.tools import ROOT

DATA = ROOT / "tests" / "data" / "alertmanager-webhooks"
BODIES = sorted(path for path in DATA.glob("*/*.json") if path.name != "headers.json")
ALERTS = {"firing": 1, "resolved": 1, "group": 4, "mixed": 4, "truncated": 2, "hostile": 1}


def raw(**changes: Any) -> dict[str, Any]:
    """A body with one alert, changed."""
    body: dict[str, Any] = json.loads((DATA / "0.34.2" / "firing.json").read_bytes())
    body["alerts"][0].update(changes)
    return body


def reasons(body: Any) -> list[str]:
    """Why alerts of a body are put aside."""
    return [bad.why for bad in parse_delivery(json.dumps(body).encode()).quarantined]


@pytest.mark.parametrize("path", BODIES, ids=[f"{path.parent.name}-{path.stem}" for path in BODIES])
def test_every_captured_body_is_taken(path: Path) -> None:
    """All alerts of all versions, none put aside."""
    delivery = parse_delivery(path.read_bytes())
    assert (len(delivery.alerts), delivery.quarantined) == (ALERTS[path.stem], ())
    assert delivery.truncated == (2 if path.stem == "truncated" else 0)


def test_a_firing_alert_is_read_whole() -> None:
    """Zero time means that it has not ended."""
    (alert,) = parse_delivery((DATA / "0.34.2" / "firing.json").read_bytes()).alerts
    assert alert.fingerprint == "b42cef305cefc9ab"
    assert alert.status is AlertStatus.FIRING
    assert alert.starts_at == datetime(2026, 11, 21, 8, 17, 42, tzinfo=UTC)
    assert alert.ends_at is None


def test_nine_of_ten_are_taken() -> None:
    """The malformed one is put aside with its place and reason."""
    body = raw()
    body["alerts"] = body["alerts"] * 10
    body["alerts"][4] = {"status": "firing", "labels": "oops"}
    delivery = parse_delivery(json.dumps(body).encode())
    assert len(delivery.alerts) == 9
    assert [(bad.index, bad.why) for bad in delivery.quarantined] == [(4, "labels is not an object")]


@pytest.mark.parametrize(
    "change,why",
    [
        ({"status": "burning"}, "status is neither firing nor resolved"),
        ({"labels": {}}, "no labels"),
        ({"labels": {"a": 1}}, "a value of labels is not text"),
        ({"labels": {"a": "x" * 70000}}, "labels are longer than 65536 characters"),
        ({"annotations": []}, "annotations is not an object"),
        ({"startsAt": "yesterday"}, "startsAt is not a time"),
        ({"startsAt": "2026-11-21T08:17:42"}, "startsAt has no time zone or lies outside all reason"),
        ({"startsAt": None}, "startsAt is missing"),
        ({"fingerprint": "../../x"}, "fingerprint is not a short word of letters and digits"),
        ({"labels": {"a" * 70_000: ""}}, "labels are longer than 65536 characters"),
        (
            {"annotations": {f"{number:0400}": "" for number in range(200)}},
            "annotations are longer than 65536 characters",
        ),
    ],
)
def test_why_an_alert_is_put_aside(change: dict[str, Any], why: str) -> None:
    """One reason each."""
    assert reasons(raw(**change)) == [why]


def test_a_sender_without_fingerprints_gets_one_of_ours() -> None:
    """Equal for equal labels, whatever their order."""
    one = raw(fingerprint="", labels={"a": "1", "b": "2"})
    two = raw(fingerprint="", labels={"b": "2", "a": "1"})
    prints = {parse_delivery(json.dumps(body).encode()).alerts[0].fingerprint for body in (one, two)}
    assert len(prints) == 1


@pytest.mark.parametrize(
    "body,why",
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "alerts is not a list"),
        (b'{"alerts": {}}', "alerts is not a list"),
        (b'{"alerts": [], "version": "3"}', "version is 3, not 4"),
        (b'{"alerts": ' + json.dumps([{}] * 10_001).encode() + b"}", "more than 10000 alerts"),
    ],
)
def test_what_is_no_delivery(body: bytes, why: str) -> None:
    """Refused as a whole: sending it again cannot help."""
    with pytest.raises(NotADeliveryError, match=why):
        parse_delivery(body)


def test_lone_surrogates_are_taken() -> None:
    """JSON can say what UTF-8 cannot."""
    assert reasons(raw(labels={"alertname": "\ud800"})) == []


TEXTS = st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers(), max_size=3)
TIMES = st.sampled_from(
    ["2026-11-21T08:17:42Z", "2026-11-21T08:17:42.123456789+02:00", "0001-01-01T00:00:00Z", "x", 5, None]
)
ENTRIES = st.fixed_dictionaries(
    {"status": st.sampled_from(["firing", "resolved", "other", 1]), "labels": TEXTS | st.none(), "startsAt": TIMES},
    optional={"annotations": TEXTS, "endsAt": TIMES, "fingerprint": st.sampled_from(["abc", "", "../x", None, 7])},
)
HEADS = st.fixed_dictionaries(
    {}, optional={"version": st.sampled_from(["4", "3", 4]), "truncatedAlerts": st.sampled_from([0, 2, "2", -1])}
)


def read(body: bytes) -> object:
    """The delivery, or why it is none."""
    try:
        return parse_delivery(body)
    except NotADeliveryError as error:
        return str(error)


@given(st.lists(ENTRIES, max_size=3), HEADS)
def test_both_ways_of_reading_agree(entries: list[dict[str, object]], head: dict[str, object]) -> None:
    """In one go and piece by piece: the same alerts, the same reasons."""
    body = json.dumps({**head, "alerts": entries}).encode()
    in_one_go = read(body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest, "_DECODER", msgspec.json.Decoder(int))
        by_piece = read(body)
    assert in_one_go == by_piece
