"""Foreign queries: which become selectors, which stay queries, which are refused."""

import pytest

from generator.imports import queries
from generator.imports.queries import QueryError

TOTAL = "sum(rate(t_total[$window]))"


@pytest.mark.parametrize(
    "query, selector",
    [
        ("sum(rate(e_total[$window]))", "e_total"),
        ('(sum (rate( e_total{a="b"} [$window] )))', 'e_total{a="b"}'),
        ("sum(increase(e_total[$window]))", "e_total"),
        ('sum(rate(e_total{a="[5m])) + 1"}[$window]))', 'e_total{a="[5m])) + 1"}'),
        ("sum(rate(e_total[5m]))", None),
        ("sum(rate(e_total[$window])) + sum(rate(f_total[$window]))", None),
        ("rate(e_total[$window])", None),
        ("sum(rate(e_total[$window] offset 5m))", None),
        ("sum without (a) (rate(e_total[$window]))", None),
    ],
)
def test_counted(query: str, selector: str | None) -> None:
    """Only a plain sum of rates or increases counts the selector's events."""
    found = queries.counted(query)
    assert (found.selector.text if found else None) == selector


def test_or_vector_zero_is_left_out() -> None:
    """A missing error series counts as no errors in any case."""
    for tail in (" or vector(0)", " OR on() vector(0)"):
        mapped = queries.events(bad=f"(sum(rate(e_total[$window])){tail})", total=TOTAL)
        assert mapped.sli == {"bad": "e_total", "total": "t_total"}


def test_total_minus_good_is_good() -> None:
    """Total − good: the subtracted events are the good ones."""
    mapped = queries.events(bad=f"{TOTAL} - sum(rate(g_total[$window]))", total=TOTAL)
    assert mapped.sli == {"good": "g_total", "total": "t_total"}


def test_something_else_minus_good_stays_a_query() -> None:
    """If the minuend is another counter than the SLI's total, the query stays a query."""
    bad = "sum(rate(u_total[$window])) - sum(rate(g_total[$window]))"
    assert queries.events(bad=bad, total=TOTAL).sli == {"bad": bad, "total": TOTAL}


def test_bucket_of_infinity_counts_all() -> None:
    """If the total is the histogram's last bucket, the SLI is a histogram too."""
    mapped = queries.events(
        good='sum(rate(h_bucket{le="0.5",a="b"}[$window]))', total='sum(rate(h_bucket{a="b",le="+Inf"}[$window]))'
    )
    assert {key: str(value) for key, value in mapped.sli.items()} == {"histogram": 'h{a="b"}', "below": "0.5"}


def test_bucket_with_other_matchers_is_no_histogram() -> None:
    """Good answers in time, divided by all answers: two counters, not a histogram."""
    mapped = queries.events(
        good='sum(rate(h_bucket{le="0.5",code="200"}[$window]))', total="sum(rate(h_count[$window]))"
    )
    assert mapped.sli == {"good": 'h_bucket{le="0.5",code="200"}', "total": "h_count"}


def test_increases_become_rates_on_both_sides() -> None:
    """Events over the window are divided by the window. Text in quotes is unchanged."""
    bad = 'sum(increase(e_total{a="increase("}[$window])) * 2'
    mapped = queries.events(bad=bad, total="sum(increase(t_total[$window])) * 2")
    assert mapped.sli == {
        "bad": 'sum(rate(e_total{a="increase("}[$window])) * 2',
        "total": "sum(rate(t_total[$window])) * 2",
    }


def test_a_rate_over_an_increase_keeps_its_odd_ratio() -> None:
    """The ratio of the query is unchanged, even if it mixes a rate and an increase."""
    mapped = queries.events(bad="sum(rate(e_total[$window])) * 2", total="sum(increase(t_total[$window]))")
    assert mapped.counts
    assert mapped.sli["error_ratio"] == "(sum(rate(e_total[$window])) * 2) / (sum(increase(t_total[$window])))"


@pytest.mark.parametrize(
    "query, sli",
    [
        ("sum(rate(e_total[$window])) / sum(rate(t_total[$window]))", {"bad": "e_total", "total": "t_total"}),
        ("1 - (sum(rate(g_total[$window])) / sum(rate(t_total[$window])))", {"good": "g_total", "total": "t_total"}),
        ("avg_over_time(r[$window])", {"error_ratio": "avg_over_time(r[$window])"}),
        ("2 - r", {"error_ratio": "2 - r"}),
    ],
)
def test_ratio(query: str, sli: dict[str, str]) -> None:
    """A ratio of two counts becomes two counters; any other ratio stays a query."""
    assert queries.ratio(query).sli == sli


@pytest.mark.parametrize(
    "text, message",
    [
        ("sum(rate(e_total[{{.range}}]))", "template besides"),
        ("sum(rate(e_total[{{.window}}])", "does not parse"),
        ("e_total[{{.window}}]", "range vector"),
    ],
)
def test_refused(text: str, message: str) -> None:
    """A query that cannot be evaluated is refused with a reason and a hint."""
    with pytest.raises(QueryError, match=message) as caught:
        queries.windowed(text)
    assert "\n" in str(caught.value)


def test_every_spelling_of_the_window() -> None:
    """With and without blanks and trim marks."""
    for text in ("{{.window}}", "{{ .window }}", "{{- .Window -}}"):
        assert queries.windowed(f"rate(e_total[{text}])") == "rate(e_total[$window])"


@pytest.mark.parametrize(
    "bad, total, sli, group_by",
    [
        # both sides plainly count
        (
            "clamp_min(sum by (c) (rate(t_total[$window])) - sum by (c) (rate(g_total[$window])), 0)",
            "sum(rate(t_total[$window])) by (c) > 0",
            {"good": "g_total", "total": "t_total"},
            ("c",),
        ),
        # both sides give events per second
        (
            "sum by (c, a) (rate(e_total[$window])) * 2",
            "sum by (a, c) (rate(t_total[$window])) * 2",
            {
                "bad": "sum by (c, a) (rate(e_total[$window])) * 2",
                "total": "sum by (a, c) (rate(t_total[$window])) * 2",
            },
            ("a", "c"),
        ),
        # counts over the window
        (
            "sum by (c) (changes(e[$window]))",
            "sum by (c) (changes(t[$window]))",
            {
                "error_ratio": "(sum by (c) (changes(e[$window]))) / (sum by (c) (changes(t[$window])))",
                "weight": "sum by (c) (changes(t[$window]))",
            },
            ("c",),
        ),
    ],
)
def test_groups_are_kept(bad: str, total: str, sli: dict[str, str], group_by: tuple[str, ...]) -> None:
    """The labels that both queries keep become groups, whatever form the queries have."""
    mapped = queries.events(bad=bad, total=total)
    assert (mapped.sli, mapped.group_by, mapped.apart) == (sli, group_by, False)


def test_a_ratio_keeps_its_groups() -> None:
    """The labels of a recorded ratio become groups; unknown labels are pointed out."""
    grouped, unknown = queries.ratio("avg by (c) (r)"), queries.ratio("avg_over_time(r[$window])")
    assert (grouped.group_by, grouped.apart) == (("c",), False)
    assert (unknown.group_by, unknown.apart) == ((), True)


def test_sides_that_never_match_are_refused() -> None:
    """In the old tool, this ratio has no value at all."""
    with pytest.raises(QueryError, match="the events keep c, and the total keeps no label"):
        queries.events(bad="sum by (c) (rate(e_total[$window])) * 2", total=TOTAL)


def test_guards_are_told() -> None:
    """Every guard of the total is named; a guard of the events changes nothing."""
    mapped = queries.events(bad="sum(rate(e_total[$window])) or vector(0)", total=f"({TOTAL} > 0) or on() vector(1)")
    assert mapped.sli == {"bad": "e_total", "total": "t_total"}
    assert mapped.guards == ("> 0", "or on() vector(1)")


def test_comments_are_no_part_of_a_query() -> None:
    """A comment may stand before, in or after a query."""
    text = "# all\nsum(rate(e_total[{{.window}}]) # here\n) # end"
    assert queries.windowed(text) == "sum(rate(e_total[$window])\n)"


def test_groups_with_reserved_names_are_renamed() -> None:
    """Queries that keep `service` stay queries, and their groups get another name."""
    bad, total = (f"sum by (service) (count_over_time({name}[$window]))" for name in "et")
    mapped = queries.events(bad=bad, total=total)
    assert (mapped.group_by, mapped.renamed) == (("exported_service",), {"service": "exported_service"})
    assert 'label_replace(sum by (service) (count_over_time(t[$window])), "exported_service"' in str(
        mapped.sli["weight"]
    )
    assert queries.ratio("max by (service) (r)").group_by == ("exported_service",)
