"""The report of a test: the same figures as text, JSON and HTML; hostile names stay text."""

import json
import xml.etree.ElementTree as ET
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from msgspec.structs import replace

from release.ab.counting import Counter
from release.ab.judge import design_of, judge
from release.ab.plots import draw
from release.ab.report import as_text, as_values, section
from release.ab.stage import Looked, look, start
from release.policy.canary import AbMetric, AbTest

HOSTILE = "<script>alert(1)</script>&\"'${x}{{ 7*7 }}"


TEST = AbTest(
    metrics=(AbMetric(id="errors", bad="b", total="t"),),
    confidence=Decimal("0.95"),
    power=Decimal("0.8"),
    detect=Decimal("0.5"),
    method="group-sequential",
    assignment="request",
    then="advance",
)


def looked(metric: str = "errors") -> Looked:
    """Two planned looks of a test."""
    test = replace(TEST, metrics=(AbMetric(id=metric, bad="b", total="t"),))
    progress = start(0.0, None)
    for day in (1, 2):
        values = {
            "canary/bad": 22 * day,
            "canary/total": 400 * day,
            "stable/bad": 20 * day,
            "stable/total": 400 * day,
        }
        counters = {f"{metric}/{key}": Counter(events=Decimal(value)) for key, value in values.items()}
        counts = replace(progress.counts, counters=counters, until_s=86400.0 * day)
        found = look(test, Decimal("0.5"), replace(progress, counts=counts), at_s=86400.0 * day, at_the_end=False)
        progress = found.progress
    return found


class Seen(HTMLParser):
    """Collects the tags, their attributes, and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag."""
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        """Text."""
        self.text += data


def test_text_and_json_say_the_same() -> None:
    """Counts, interval, and events that are still needed."""
    found = looked()
    content = json.loads(json.dumps(as_values("shop", "v2", found.judgement, found.progress), allow_nan=False))
    (metric,) = content["metrics"]
    assert metric["canary"] == {"bad": 44, "total": 800}
    assert metric["difference"]["low"] < metric["difference"]["value"] < metric["difference"]["high"]
    assert metric["still_needed"] == metric["needed"] - 800 > 0
    assert [one["at"] for one in content["looks"]] == ["1970-01-02T00:00:00+00:00", "1970-01-03T00:00:00+00:00"]
    text = as_text("shop", "v2", found.judgement)
    assert text.startswith("A/B test of shop v2: Undecided: the test goes on. errors: ")
    assert "canary 44 of 800 (5.500%), stable 40 of 800 (5.000%), difference +0.500 points" in text
    assert f"events needed {metric['still_needed']:,}" in text


def test_hostile_names_stay_text() -> None:
    """No script, no foreign address, no handler; the names are there to read; the drawing is whole XML."""
    found = looked(HOSTILE)
    html = str(section(HOSTILE, HOSTILE, found.judgement, found.progress, draw))
    seen = Seen()
    seen.feed(html)
    assert "script" not in seen.tags
    assert seen.text.count(HOSTILE) >= 4
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    links = [value or "" for name, value in seen.attributes if name in {"href", "src", "xlink:href"}]
    assert all(link.startswith("#") for link in links)
    drawing = html[html.index("<svg") : html.index("</svg>") + 6]
    assert ET.fromstring(drawing).tag.endswith("svg")
    assert section(HOSTILE, HOSTILE, found.judgement, found.progress, draw) == html


def test_a_bound_stands_beside_the_statistic_that_it_bounds() -> None:
    """With the whole level spent, or `method: anytime`, e decides: its bound is 1 / level, and no bound of z."""
    found = looked()
    (planned,) = found.judgement.metrics
    assert (planned.statistic, planned.bound > 2) == ("z", True)
    assert f"z = {planned.z:+.2f} (bound {planned.bound:.4g})" in as_text("shop", "v2", found.judgement)
    counts = {"errors": (planned.canary, planned.stable)}
    design = design_of(TEST, Decimal("0.5"), apart=0)
    for made, times in ((design, (1.0,)), (replace(design, method="anytime"), ())):
        spent = judge(made, counts, {"errors": times}, at_the_end=False)
        (guarded,) = spent.metrics
        assert guarded.statistic == "e"
        assert guarded.bound == pytest.approx(20)
        assert f"e = {guarded.e:.3g} (bound 20)" in as_text("shop", "v2", spent)
