"""Buckets are found in whichever spelling a client, Prometheus 2 or Prometheus 3 writes the bound."""

import re
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.promql import text as promql
from generator.promql.buckets import in_every_spelling, le_matcher, le_patterns

# Bound → its spellings by Go, Python, Java, JavaScript, Rust, Ruby, .NET, Erlang, Haskell, PHP and C++ clients.
SPELLINGS = {
    "0.3": ["0.3"],
    "0.05": ["0.05", "5.0e-2"],
    "0.025": ["0.025", "2.5e-2"],
    "0.001": ["0.001", "1.0E-3", "1.0e-3"],
    "0.0005": ["0.0005", "5.0E-4", "5.0e-4", "5e-4", "5e-04"],
    "0.00005": ["0.00005", "5e-05", "5e-5", "5.0E-5", "5.0e-05", "5E-05"],
    "0.0000025": ["0.0000025", "2.5e-06", "2.5E-6", "2.5e-6"],
    "1": ["1", "1.0"],
    "250": ["250", "250.0"],
    "1000000": ["1000000", "1000000.0", "1e+06", "1e6", "1.0e6"],
    "10000000": ["10000000", "10000000.0", "1e+07", "1e7", "1.0E7", "1.0e7", "1.0E+7"],
    "25000000": ["25000000", "25000000.0", "2.5e+07", "2.5E7"],
    "10000000000": ["10000000000", "10000000000.0", "1e+10", "1e+010", "1.0E10"],
}


@pytest.mark.parametrize("bound", SPELLINGS)
def test_every_spelling_is_found(bound: str) -> None:
    """A query for the bound selects every spelling of the bound, and none of other bounds."""
    pattern = re.compile("|".join(le_patterns(Decimal(bound))))
    for other, spellings in SPELLINGS.items():
        for spelling in spellings:
            assert (pattern.fullmatch(spelling) is not None) == (other == bound)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(digits=st.integers(1, 99_999), exponent=st.integers(-9, 12), other=st.integers(1, 99_999))
def test_python_and_go_spellings_of_any_number(digits: int, exponent: int, other: int) -> None:
    """The shortest texts of a float are found; the texts of another number are not."""
    bound = Decimal(digits).scaleb(exponent)
    pattern = re.compile("|".join(le_patterns(bound)))
    number = float(bound)
    for spelling in (repr(number), f"{number:.15g}", f"{number:.15G}"):
        assert pattern.fullmatch(spelling)
    if other != digits:
        assert not pattern.fullmatch(repr(float(Decimal(other).scaleb(exponent))))


@pytest.mark.parametrize(
    "text, expected",
    [
        ('x_bucket{le="1"}', r'x_bucket{le=~"1|1\\.0"}'),
        ("sum(rate(x_bucket{a='b', le = '1.0'}[5m]))", r"""sum(rate(x_bucket{a='b', le=~"1|1\\.0"}[5m]))"""),
        ('x_bucket{le="0.30"}', 'x_bucket{le="0.3"}'),
        ('x_bucket{le="+Inf"}', None),
        ('x_bucket{le!="1"}', None),
        ('x_bucket{le=~"1"}', None),
        (r'x{a="le=\"1\""}', None),
        ('x{tile="1"}', None),
        ("sum by (le) (x)", None),
    ],
)
def test_bounds_in_queries(text: str, expected: str | None) -> None:
    """Only an equality of `le` with a number is a bound; everything else stays as written."""
    assert in_every_spelling(text) == (expected or text)


@pytest.mark.parametrize("bound", SPELLINGS)
def test_the_matcher_is_promql(bound: str) -> None:
    """The parser reads the patterns back."""
    [(label, op, value)] = promql.selector(f"x{{{le_matcher(Decimal(bound))}}}").matchers
    assert label == "le"
    assert value == ("|".join(le_patterns(Decimal(bound))) if op == "=~" else bound)
