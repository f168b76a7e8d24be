"""PromQL as text: refused queries, likely mistakes, remaining labels, and comparisons as numbers."""

import promql_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.promql import text as promql
from generator.promql.check import Want, faults, lints
from generator.promql.labels import labels_of


@pytest.mark.parametrize(
    "text, want, code",
    [
        ("x", Want.SELECTOR, None),
        ('x{a="b",c!="d",e=~"f.*",g!~"h|i"}', Want.SELECTOR, None),
        ('{__name__="x",a="b"}', Want.SELECTOR, None),
        ('{a="b"}', Want.SELECTOR, "promql/selector"),
        ('{__name__=~"x.*"}', Want.SELECTOR, "promql/selector"),
        ('x{a="b" or c="d"}', Want.SELECTOR, "promql/selector"),
        ("x offset 5m", Want.SELECTOR, "promql/selector"),
        ("x @ 100", Want.SELECTOR, "promql/selector"),
        ("rate(x[5m])", Want.SELECTOR, "promql/selector"),
        ("x[5m]", Want.SELECTOR, "promql/selector"),
        ("1", Want.SELECTOR, "promql/selector"),
        ("x[5m]", Want.VECTOR, "promql/type"),
        ("1 + 2", Want.VECTOR, "promql/type"),
        ("1 + 2", Want.NUMBER, None),
        ("time()", Want.VECTOR, "promql/type"),
        ("-(time())", Want.VECTOR, "promql/type"),
        ("time() - x", Want.VECTOR, None),
        ("'a'", Want.NUMBER, "promql/type"),
        ("rate(x[$window])", Want.VECTOR, None),
        ("rate(x[$windows])", Want.VECTOR, "promql/parse"),
        ("sum(", Want.VECTOR, "promql/parse"),
        ("nosuch(x)", Want.VECTOR, "promql/parse"),
        ('x{a=~"("}', Want.VECTOR, "promql/parse"),
        ("", Want.VECTOR, "promql/parse"),
    ],
)
def test_faults(text: str, want: Want, code: str | None) -> None:
    """A text is of the wanted type, or the fault gives the reason."""
    assert [fault.code for fault in faults(text, want)] == ([code] if code else [])


@pytest.mark.parametrize(
    "text, labels",
    [
        ("sum by (a) (x)", {"a"}),
        ("sum(x)", set()),
        ("sum by (a, b) (sum by (b, c) (x))", {"b"}),
        ("sum without (a) (sum by (a, b) (x))", {"b"}),
        ("topk(3, sum by (a) (x))", {"a"}),
        ('count_values("v", sum by (a) (x))', {"v"}),
        ("rate(sum(x)[5m:1m])", set()),
        ("histogram_quantile(0.9, sum by (le, a) (rate(x[5m])))", {"a"}),
        ('label_replace(sum by (a) (x), "b", "$1", "a", "(.*)")', {"a", "b"}),
        ("sum by (a) (x) / sum by (a) (y)", {"a"}),
        ("sum by (a, b) (x) / on (a) group_left () sum by (a) (y)", {"a", "b"}),
        ("sum by (a, b) (x) / on (a) group_left (c) sum by (a, c) (y)", {"a", "b", "c"}),
        ("sum by (a) (x) / on (a) group_right () sum by (a, b) (y)", {"a", "b"}),
        ("sum by (a, b) (x) / on (a) sum by (a) (y)", {"a"}),
        ("sum by (a, b) (x) / ignoring (b) sum by (a) (y)", {"a"}),
        ("sum by (a) (x) or sum by (b) (y)", {"a", "b"}),
        ("sum by (a) (x) and on () y", {"a"}),
        ("2 * (sum by (a) (x)) > 1", {"a"}),
        ("vector(1)", set()),
    ],
)
def test_labels_that_remain(text: str, labels: set[str]) -> None:
    """The result can have exactly these labels."""
    assert labels_of(promql.parse(text)).exact == frozenset(labels)


@pytest.mark.parametrize("text", ["x", "rate(x[5m])", "sum without (a) (x)", "absent(x)", "x or sum(y)"])
def test_labels_that_are_unknown(text: str) -> None:
    """A raw series can have any label."""
    assert labels_of(promql.parse(text)).exact is None


def test_a_label_that_is_gone_is_known_to_be() -> None:
    """After `without`, the result certainly lacks the named labels."""
    found = labels_of(promql.parse("sum without (a) (x)"))
    assert (found.may_have("a"), found.may_have("b")) == (False, True)


@pytest.mark.parametrize(
    "text, codes",
    [
        ("sum by (a) (x) / sum by (b) (y)", ["promql/never-matches"]),
        ("sum by (a) (x) and sum(y)", ["promql/never-matches"]),
        ("sum by (a) (x) unless sum(y)", ["promql/never-matches"]),
        ("sum by (a) (x) or sum(y)", []),
        ("sum by (a) (x) / ignoring (a) group_left () sum(y)", []),
        ("sum by (a) (x) / on () group_left () sum(y)", []),
        ("sum(x) / on (a) sum by (a) (y)", ["promql/never-matches"]),
        ("x / sum(y)", ["promql/never-matches"]),
        ("x > on (instance) group_left () sum by (instance) (y)", []),
        ("x / sum by (instance, job) (y)", []),
        ("job:x:ratio / sum(y)", []),
        ("x > 0.5 * y", []),
        ("histogram_quantile(0.9, sum(rate(x_bucket[5m])))", ["promql/le"]),
        ("histogram_quantile(0.9, sum without (le) (rate(x_bucket[5m])))", ["promql/le"]),
        ("histogram_quantile(0.9, rate(x_bucket[5m]))", []),
        ("histogram_quantile(0.9, sum(rate(x[5m])))", []),
        ("rate(job:x:rate5m[5m])", ["promql/rate-of-rate"]),
        ("avg_over_time(job:x:rate5m[5m])", []),
        ("rate(rate(x[5m])[5m:1m])", ["promql/rate-of-rate"]),
        ("rate((sum(x))[5m:1m])", ["promql/rate-of-aggregate"]),
        ("max_over_time(sum(x)[5m:1m])", []),
        ('x{code="5.."}', ["promql/pattern-as-text"]),
        ('x{path!=".*"}', ["promql/pattern-as-text"]),
        ('x{path="/a.b/c"}', []),
        ('x{code=~"5.."}', []),
    ],
)
def test_lints(text: str, codes: list[str]) -> None:
    """Mistakes and likely mistakes are reported; queries that only look like mistakes are not."""
    assert [lint.code for lint in lints(text)] == codes


@pytest.mark.parametrize(
    "text, expected",
    [
        ("x > 1", "x > bool 1"),
        ("(x > 1)", "x > bool 1"),
        ("x > bool 1", "x > bool 1"),
        ("a > 1 and b < 2", None),
        ("sum(x > 1)", None),
        ("sum(x > 1) >= 2", "sum(x > 1) >= bool 2"),
        ("x == 1", "x == bool 1"),
        ('x{a="b > c"} != 3', 'x{a="b > c"} != bool 3'),
        ("a > b > c", "a > b > bool c"),
        ("x", None),
    ],
)
def test_comparisons_as_numbers(text: str, expected: str | None) -> None:
    """The outermost comparison becomes 0 or 1; a query without a comparison gives None."""
    made = promql.as_bool(text)
    assert (made if made is None else " ".join(made.split())) == expected


@settings(max_examples=200, deadline=None, derandomize=True)
@given(value=st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_quoted_text_reads_back(value: str) -> None:
    """The parser reads any quoted label value back unchanged."""
    found = promql.selector(f"x{{a={promql.quote(value)}}}")
    assert found.matchers == (("a", "=", value),)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text", ["(" * 5000 + "x" + ")" * 5000, "x" + "+x" * 5000, "-" * 5000 + "x", "x" + " or x" * 5000]
)
def test_what_nests_too_deep_is_refused(text: str) -> None:
    """Deep nesting would end the parser's process."""
    assert [fault.code for fault in faults(text, Want.VECTOR)] == ["promql/parse"]


def test_a_long_list_of_alternatives_is_no_nesting() -> None:
    """A long pattern counts as no operation."""
    pattern = "|".join(f"/route/{number}/(a|b)+" for number in range(500))
    assert faults(f'x{{route=~"{pattern}"}}', Want.SELECTOR) == []


KEYWORDS = ("group_left", "GROUP_RIGHT", "count_values", "limit_ratio", "fill_left")
NAMES = st.from_regex(r"[a-zA-Z:][a-zA-Z0-9:]{0,4}_[a-zA-Z0-9_:]{0,8}", fullmatch=True).filter(
    lambda name: name.lower() not in (*KEYWORDS, "group_right", "fill_right")
)
MATCHERS = st.builds(
    '{}{}"{}"'.format,
    st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,5}", fullmatch=True).filter(lambda name: name != "__name__"),
    st.sampled_from(["=", "!=", "=~", "!~"]),
    st.from_regex(r"[a-zA-Z0-9_ .|/:-]{1,8}", fullmatch=True),
)


@st.composite
def plain_selectors(draw: st.DrawFn) -> str:
    """A metric with a `_` in its name, and matchers that any Prometheus takes; perhaps a comma at the end."""
    matchers = draw(st.lists(MATCHERS, max_size=3))
    braces = ",".join(matchers) + draw(st.sampled_from(["", ","])) if matchers else ""
    return draw(NAMES) + (f"{{{braces}}}" if braces else "")


@st.composite
def spoilt(draw: st.DrawFn) -> str:
    """A plain selector with one character more or less, or with a word that has a meaning of its own."""
    text = draw(plain_selectors())
    place = draw(st.integers(0, len(text) - 1))
    return draw(
        st.sampled_from(
            [
                text[:place] + text[place + 1 :],
                text[:place] + draw(st.sampled_from(list('"{},=~!()[]*+\\ _0$é'))) + text[place:],
                draw(st.sampled_from(KEYWORDS)) + text[text.find("{") :]
                if "{" in text
                else draw(st.sampled_from(KEYWORDS)),
                f'{draw(NAMES)}{{{draw(st.sampled_from([*KEYWORDS, "__name__"]))}="x"}}',
            ]
        )
    )


def parts_of(text: str) -> tuple[str, list[tuple[str, str, str]]]:
    """Metric and matchers of a selector by the parser. Raises ValueError for what is none."""
    tree = promql.parse(text)
    if not isinstance(tree, promql_parser.VectorSelector):
        raise ValueError(f"{text!r} is a {type(tree).__name__}")  # as the parser does
    return promql.metric(tree), list(promql.matchers(tree))


@settings(max_examples=800, deadline=None, derandomize=True)
@given(text=plain_selectors())
def test_a_plain_selector_is_read_without_the_parser(text: str) -> None:
    """And has the parts that the parser finds."""
    short = promql.simple_selector(text)
    assert short is not None
    assert (short.metric, list(short.matchers)) == parts_of(text)


@settings(max_examples=800, deadline=None, derandomize=True)
@given(text=spoilt())
def test_the_short_way_agrees_with_the_parser(text: str) -> None:
    """A text beside a plain selector: the parser reads it, or refuses it, whatever the short way says."""
    try:
        expected: object = parts_of(text)
    except ValueError:
        expected = None
    short = promql.simple_selector(text)
    if expected is None:
        assert short is None
    else:
        found = promql.selector(text) if short is None else short
        assert (found.metric, list(found.matchers)) == expected


def test_enclosed_text_keeps_its_meaning() -> None:
    """Lines move to the right. A text in backticks may go over lines, and is cleaned before."""
    assert promql.enclosed("a\n/ b") == "(\n  a\n  / b\n)"
    assert promql.enclosed("a\n- b", "clamp_min(", "0") == "clamp_min(\n  a\n  - b,\n  0\n)"
    odd = promql.clean("x{a=`1\n2`}")
    assert promql_parser.parse(promql.enclosed(odd)).prettify() == promql_parser.parse(f"({odd})").prettify()
