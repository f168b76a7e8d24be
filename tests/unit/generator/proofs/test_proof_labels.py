"""Labels for input series are found from matchers alone."""

import re

import pytest

from generator.promql import text as promql
from generator.proofs import labels
from generator.proofs.labels import NoLabelsError


@pytest.mark.parametrize(
    "pattern",
    [
        "5..",
        "a|b",
        "(GET|POST)",
        "prod-[0-9]+",
        r"\d{3}",
        ".*",
        ".+",
        "[^x]",
        r"v1\.2",
        "(?:a|b)?c",
        "5[0-9]{2}|429",
        "^abc$",
    ],
)
def test_samples_match_their_pattern(pattern: str) -> None:
    """Each kind of pattern that people write in matchers gives at least one text that it matches as a whole."""
    found = labels.samples(pattern)
    assert found
    assert all(re.fullmatch(pattern, text) for text in found)


@pytest.mark.parametrize(
    "selector,expected",
    [
        ("m", {"job": "j"}),
        ('m{code=~"5.."}', {"job": "j", "code": "500"}),
        ('m{job="own",path!=""}', {"job": "own", "path": "proof"}),
        ('m{job!~"j.*"}', {"job": "proof"}),
        ('m{a!="proof",a!~"2.*|ok"}', {"job": "j", "a": "other"}),
    ],
)
def test_selected_labels(selector: str, expected: dict[str, str]) -> None:
    """Fixed labels are kept where the matchers allow; others are chosen."""
    assert labels.selected(promql.selector(selector), {"job": "j"}) == expected


def test_the_rest_of_a_metric() -> None:
    """Good requests are those that the selector of all requests takes and the one of failures does not."""
    whole, part = promql.selector('m{job="x"}'), promql.selector('m{job="x",code=~"5.."}')
    found = labels.selected_without(whole, part, {})
    assert labels.accepts(whole.matchers, found)
    assert not labels.accepts(part.matchers, found)


def test_what_cannot_be_is_an_error() -> None:
    """Matchers that exclude each other name the selector."""
    with pytest.raises(NoLabelsError, match=re.escape('m{a="1",a="2"}')):
        labels.selected(promql.selector('m{a="1",a="2"}'), {})
    with pytest.raises(NoLabelsError, match="without"):
        labels.selected_without(promql.selector('m{a="1"}'), promql.selector('m{a=~".*"}'), {})
