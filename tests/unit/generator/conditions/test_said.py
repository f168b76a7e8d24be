"""The words of alerts' sentences."""

import pytest

from generator.conditions import said
from generator.conditions.when import When
from generator.promql.text import selector


@pytest.mark.parametrize(
    "metric, words",
    [
        ("http_requests_total", "HTTP requests"),
        ("sse_time_to_first_event_seconds", "SSE time to first event"),
        ("job:errors:rate5m", "job errors rate5m"),
        ("rag_job_duration_ms", "RAG job duration"),
    ],
)
def test_metrics_become_words(metric: str, words: str) -> None:
    """Without endings that only machines need."""
    assert said.words(metric) == words


def test_labels_that_say_what_was_measured_are_told() -> None:
    """And not where it was measured."""
    assert said.measured(selector('r_total{job="a",code="429",path!="/x"}')) == "r (code 429, path!=/x)"


@pytest.mark.parametrize(
    "query, before, limit",
    [
        ("max(x) > 35", "max(x) is ", "the limit is 35"),
        ("sum(up) < 1", "sum(up) is ", "the minimum is 1"),
        ("sum(q) >= 10", "sum(q) is ", "the alert begins at 10"),
        ("a > b", "a > b returns ", ""),
        ("a > 0 and b == 0", "a > 0 and b == 0 returns ", ""),
        ("absent(up)", "absent(up) returns ", ""),
    ],
)
def test_a_query_with_a_constant_limit_names_the_limit(query: str, before: str, limit: str) -> None:
    """Any other query is named as a whole."""
    found = When(query=query).said
    assert (found.before, found.limit) == (before, limit)


def test_a_bare_limit_gets_the_unit_of_its_metric() -> None:
    """`60000` of a metric in milliseconds."""
    assert said.with_unit("60000", "job_duration_ms") == "60000 ms"
    assert said.with_unit("1s", "job_duration_ms") == "1s"
    assert said.with_unit("5", "dlq_entries_total") == "5"
