"""Queries as parts: comments, kinds of strings, outermost operations and calls, and guards that are cut off."""

import promql_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.promql import parts
from generator.promql import text as promql
from generator.promql.counted import additive, shares, summed, unguarded
from generator.promql.tokens import same

LEAVES = (
    "x",
    'x{a="b",c=~"d|e"}',
    '{"a.b","c.d"="e"}',
    'x{a=") or y{"}',
    "x{a='# no comment'}",
    'x{a=`\\d # "`}',
    "rate(x_total[$window])",
    "sum by (a) (rate(x[5m:1m]))",
    "sum(x) without (b, c)",
    "x offset -5m",
    "x @ end()",
    'label_replace(x, "b", "$1", "a", "(.*)")',
    "-x",
    "1e3",
    "vector(0)",
)
OPERATORS = (
    *("or", "AND", "unless", "==", "!=", "> bool", ">= on (a)", "<", "<="),
    *("+", "-", "*", "/ on () group_left ()", "% ignoring (a, b)", "^", "atan2"),
)
COMMENTS = ("", "# sum(", '# "unfinished', "# `")


@st.composite
def queries(draw: st.DrawFn, depth: int = 3) -> str:
    """A query with operators of all levels, brackets, blanks and comments."""
    if depth == 0 or draw(st.booleans()):
        text = draw(st.sampled_from(LEAVES))
    else:
        left, right = draw(queries(depth - 1)), draw(queries(depth - 1))
        comment = draw(st.sampled_from(COMMENTS))
        text = f"{left} {draw(st.sampled_from(OPERATORS))} {comment}\n{right}"
    return draw(st.sampled_from(["{}", "({})", "( {}\n)", "sum({})", "{} # end\n"])).format(text)


def printed(tree: promql_parser.Expr) -> str:
    """The library's own print, without the brackets around the whole query."""
    while isinstance(tree, promql_parser.ParenExpr):
        tree = tree.expr
    return str(tree.prettify())


@settings(max_examples=400, deadline=None, derandomize=True)
@given(text=queries())
def test_the_outermost_operation_is_the_parsers(text: str) -> None:
    """Operator and sides are those of the parser's tree, and a cleaned query has the same tree."""
    cleaned = promql.clean(text)
    try:
        tree = promql.parse(cleaned)
    except ValueError:
        return  # such as a comparison of two numbers without `bool`
    while isinstance(tree, promql_parser.ParenExpr):
        tree = tree.expr
    found = parts.operation(cleaned)
    assert (found is not None) == isinstance(tree, promql_parser.BinaryExpr)
    if found is not None and isinstance(tree, promql_parser.BinaryExpr):
        assert found.op == str(tree.op).split()[0].lower()
        sides = [printed(promql.parse(side)) for side in (found.left, found.right)]
        assert sides == [printed(tree.lhs), printed(tree.rhs)]


def test_most_of_the_queries_parse() -> None:
    """The property above looks at real queries: every leaf and every operator parses."""
    for leaf in LEAVES:
        assert promql.parse(leaf) is not None
    for operator in OPERATORS:
        assert parts.operation(f"x {operator} y") is not None
        assert isinstance(promql.parse(f"x {operator} y"), promql_parser.BinaryExpr)


@pytest.mark.parametrize(
    "text, cleaned",
    [
        ("sum(x) # end", "sum(x)"),
        ("# start\nsum(x)", "sum(x)"),
        ("sum(\n  # only errors\n  x\n)\n", "sum(\n  x\n)"),
        ('x{a="#b"} # c', 'x{a="#b"}'),
        ('x{a=`\\d"\n`}', 'x{a="\\\\d\\"\\n"}'),
        ("x{a='`#'}", "x{a='`#'}"),
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    """Comments go, and backticks become quotes with the same text inside."""
    assert promql.clean(text) == cleaned


@settings(max_examples=200, deadline=None, derandomize=True)
@given(value=st.text(st.characters(exclude_characters="`", exclude_categories=["Cs"]), max_size=20))
def test_backticks_keep_their_text(value: str) -> None:
    """A text in backticks has no escapes."""
    found = promql.selector(promql.clean(f"x{{a=`{value}`}}"))
    assert found.matchers == (("a", "=", value),)


@pytest.mark.parametrize(
    "text, name, grouping, arguments",
    [
        ("sum(x)", "sum", "", ("x",)),
        ("(sum by (a, b) (x))", "sum", "by (a, b)", ("x",)),
        ("SUM(x) without (a)", "sum", "without (a)", ("x",)),
        (
            'label_replace(x{a="1,2"}, "b", "$1", "a", "(.*)")',
            "label_replace",
            "",
            ('x{a="1,2"}', '"b"', '"$1"', '"a"', '"(.*)"'),
        ),
        ("clamp_min(sum(x, y), 0)", "clamp_min", "", ("sum(x, y)", "0")),
        ("time()", "time", "", ()),
    ],
)
def test_calls(text: str, name: str, grouping: str, arguments: tuple[str, ...]) -> None:
    """Name, grouping and arguments of the outermost call."""
    found = parts.call(text)
    assert found is not None
    assert (found.name, found.grouping, found.arguments) == (name, grouping, arguments)


@pytest.mark.parametrize("text", ["x", "x{a='b'}", "sum(x) + 1", "(x) + (y)", "x[5m]", "1", '{"a.b"}'])
def test_no_call(text: str) -> None:
    """Other queries are no calls."""
    assert parts.call(text) is None


COUNTS = ("sum(rate(x_total[$window]))", "sum by (a) (rate(x[$window]))", "count(up)", "x + y", "a / b")
GUARDS = (
    "({}) > 0",
    "0 < ({})",
    "({}) != 0",
    "({}) >= 0.0",
    "({}) or vector(0)",
    "({}) OR on() vector(1)",
    "({}) or on () (vector(1e-9))",
    "({0}) and ({0}) > 0",
    "({0}) unless ({0}) == 0",
    "(({}))",
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(count=st.sampled_from(COUNTS), guards=st.lists(st.sampled_from(GUARDS), max_size=4))
def test_guards_are_cut_off(count: str, guards: list[str]) -> None:
    """The count is left of every chain of guards, and each guard is named."""
    text = count
    for guard in guards:
        text = guard.format(text)
    cut = unguarded(text)
    assert same(cut.text, count)
    assert bool(cut.guards) == any(guard != "(({}))" for guard in guards)


@pytest.mark.parametrize(
    "text",
    [
        "count(up == 1)",
        "count(rate(x[5m]) > 0)",
        "avg(rate(x[5m]) > 0)",
        "sum(temperature > 0)",
        "sum(x) > 0.1",
        "sum(x) > bool 0",
        "sum(x) or sum(y)",
        "sum(x) and on () hour() > 8",
        "sum(x) unless sum(y) == 0",
        "sum(x) < 0",
        "-x",
    ],
)
def test_conditions_that_count_stay(text: str) -> None:
    """A comparison that decides which series count is no guard."""
    assert (unguarded(text).text, unguarded(text).guards) == (text, ())


@pytest.mark.parametrize(
    "text, numerator, denominator, success",
    [
        ("a / b", "a", "b", False),
        ("1 - a / b", "a", "b", True),
        ("1 - (a) / (b > 0)", "a", "b", True),
        ("(1 - (a / scalar(b))) or vector(0)", "a", "b", True),
        ("1 - scalar(a) / b", "a", "b", True),
        ("clamp_max(clamp_min(1 - a / b, 0), 1)", "a", "b", True),
        ("1 - (1 - a / b)", "a", "b", False),
        ("(b - a) / b", "b - a", "b", False),
        ("a / ignoring (code) group_left () b", "a", "b", False),
    ],
)
def test_shares(text: str, numerator: str, denominator: str, success: bool) -> None:  # noqa: FBT001 - a parameter
    """A ratio's two sides, without what stands around them."""
    found = shares(text)
    assert found is not None
    assert (found.numerator, found.denominator, found.success) == (numerator, denominator, success)


@pytest.mark.parametrize(
    "text",
    [
        "r",
        "avg(a / b)",
        "a / 5",
        "1 / b",
        "2 - a / b",
        "a / on (x) group_right () b",
        "a * b",
        "(scalar(a) + 1) / b",
        "a / (2 * 30)",
        "time() / b",
    ],
)
def test_no_shares(text: str) -> None:
    """Other queries stay whole."""
    assert shares(text) is None


@pytest.mark.parametrize(
    "text, expected",
    [
        ("count(up == 1)", "[count(up == 1)] or 0"),
        ("sum(a) + sum(b)", "( [sum(a)] or 0 ) + ( [sum(b)] or 0 )"),
        ("sum(a) - sum(b) > 0", "[sum(a)] - ( [sum(b)] or 0 ) or 0"),
        ("sum(a - b)", "[a] - ( [b] or 0 ) or 0"),
        ("clamp_min(sum(a) - sum(b), 0)", "clamp_min( [sum(a)] - ( [sum(b)] or 0 ) or 0, 0 )"),
        ("clamp_min(a - b, 0)", "[clamp_min(a - b, 0)] or 0"),
        ("60 * (sum(a) + sum(b))", "60 * ( ( [sum(a)] or 0 ) + ( [sum(b)] or 0 ) )"),
        ("a / (b + c)", "[a / (b + c)] or 0"),
        ("a - 1", "[a - 1] or 0"),
        ("sum(a) + scalar(sum(b))", "[sum(a) + scalar(sum(b))] or 0"),
        ("sum(a) - 2 * 3", "[sum(a) - 2 * 3] or 0"),
    ],
)
def test_every_addend_may_be_missing(text: str, expected: str) -> None:
    """Each addend is added up alone, and counts as zero without series."""
    made = summed(text, lambda addend: f"[{addend}]", "0")
    assert " ".join(made.split()) == expected
    assert additive(unguarded(text).text) == ("( " in expected)


@pytest.mark.parametrize(
    "text, quotes",
    [
        ('{"a.b"}', True),
        ('{"a",x="y"}', True),
        ('{x="y","a"}', True),
        ('a{"x.y"=~"z"}', True),
        ('sum by ("a.b") (x)', True),
        ('a{b="c",d="e"}', False),
        ('label_replace(a, "b", "$1", "c", "(.*)")', False),
        ('count_values("v", x)', False),
    ],
)
def test_names_in_quotes(text: str, quotes: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Names in quotes are told from other texts in quotes."""
    assert promql.quotes_names(text) == quotes
