"""Every parser reads Freezeline's YAML back as the same data."""

import json
import re
from decimal import Decimal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from freezeline.problems import Position
from generator.reading.source import read_source
from generator.render.rules.rule_file import Group, Rule, RuleFile, as_data
from generator.text import yaml_text
from tests.unit.generator import keys, specs

LOADERS = (yaml.SafeLoader, yaml.CSafeLoader)
SETTINGS = settings(max_examples=400, deadline=None, derandomize=True)

# Text that YAML can carry at all: no surrogates.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
TRICKY = st.sampled_from(
    [
        *(
            "",
            " ",
            "~",
            "null",
            "Null",
            "true",
            "yes",
            "No",
            "on",
            "OFF",
            "y",
            "n",
            "=",
            "<<",
            "-",
            "--- a",
            "...",
            "?",
            ": ",
            "#",
        ),
        *("1", "1.0", "1e3", ".5", "0x1f", "0o17", "017", "1_000", "12:30:45", "2024-01-01", ".inf", "-.INF", ".nan"),
        *(
            "a: b",
            "a #b",
            "#a",
            "'a",
            '"a',
            "a'b",
            "{a}",
            "[a",
            "*a",
            "&a",
            "!a",
            "|",
            ">",
            "%a",
            "@a",
            "`a",
            "a:",
            ":a",
        ),
        *(
            "- a",
            "? a",
            "a\n",
            "\na",
            " a\nb",
            "a\n b",
            "a\n\nb",
            "a\n \nb",
            "a\tb",
            "\ta",
            "a ",
            " a",
            "a\rb",
            "\u2028",
            "\x85",
            "\ufeff",
            "\x00",
            "\x7f",
            "é",
            "😀",
        ),
        *("sum by (a) (rate(x[5m]))\n/ 2", "{{ $labels.x }}", "a\u2028b", "trailing: \n", "key: |-\n  x"),
    ]
)
STRINGS = TEXTS | TRICKY
SCALARS = STRINGS | st.integers(-(10**12), 10**12) | st.booleans() | st.none()
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STRINGS, inner, max_size=4),
    max_leaves=12,
)


@SETTINGS
@given(text=STRINGS)
def test_scalars_read_back(text: str) -> None:
    """Any text, as a value and as a key."""
    lines = "\n".join(yaml_text.emit({text: text, "list": [text]})) + "\n"
    for loader in LOADERS:
        assert yaml.load(lines, Loader=loader) == {text: text, "list": [text]} | {text: text}


@SETTINGS
@given(data=DATA)
def test_data_reads_back(data: yaml_text.Plain) -> None:
    """Any nesting of mappings, lists and scalars, with a header."""
    text = yaml_text.document(data, header="made by a test\n\nwith two lines")
    for loader in LOADERS:
        assert yaml.load(text, Loader=loader) == data


@SETTINGS
@given(text=STRINGS)
def test_our_own_reader_agrees(text: str) -> None:
    """Freezeline's own reader of YAML 1.2 reads the same text."""
    problems = specs.nothing()
    root = read_source("x.yaml", ("\n".join(yaml_text.emit({"a": text})) + "\n").encode(), problems).root
    assert root is not None
    assert (list(problems), keys.plain(root)) == ([], {"a": text})


@SETTINGS
@given(expr=STRINGS, label=STRINGS, name=st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,20}", fullmatch=True))
def test_rule_files_read_back(expr: str, label: str, name: str) -> None:
    """A rule file's YAML equals its data, and names the line of each rule."""
    origin = Position("slos/a.yaml", 7, 3)
    rule = Rule(
        alert=name, expr=expr, labels={"a": label}, annotations={"summary": label}, for_ms=90_000, origin=origin
    )
    file = RuleFile(
        path="rules/a.yml", header="x", groups=(Group(name=label or "g", interval_ms=30_000, rules=(rule, rule)),)
    )
    text, origins = file.text()
    for loader in LOADERS:
        assert yaml.load(text, Loader=loader) == as_data(file)
    lines = text.split("\n")
    assert [place for _, place in origins] == [origin, origin]
    assert all(lines[line - 1].startswith("      - alert: ") for line, _ in origins)


@SETTINGS
@given(texts=st.lists(STRINGS, min_size=1, max_size=6), named=st.lists(STRINGS, max_size=3, unique=True))
def test_anchors_read_back(texts: list[str], named: list[str]) -> None:
    """A text that stands there several times is written once; every parser finds it in each place."""
    anchors = yaml_text.Anchors({text: f"text_{number}" for number, text in enumerate(named)}, texts)
    data = {"items": [{"text": text} for text in texts]}
    lines = yaml_text.document(data, anchors=anchors)
    for loader in LOADERS:
        assert yaml.load(lines, Loader=loader) == data
    repeated = sum(texts.count(text) - 1 for text in set(texts) & set(named))
    assert sum(bool(re.fullmatch(r"  - text: \*text_\d", line)) for line in lines.split("\n")) == repeated


def test_a_text_that_stands_there_once_has_no_anchor() -> None:
    """An anchor that nothing refers to is noise."""
    anchors = yaml_text.Anchors({"a": "first", "b": "second"}, ["a", "b", "a"])
    assert yaml_text.emit({"k": "a", "l": "b", "m": "a"}, anchors=anchors) == ["k: &first a", "l: b", "m: *first"]


@pytest.mark.parametrize("value, expected", [(Decimal("0.0010"), "0.001"), (Decimal("1E+3"), "1000"), (None, "null")])
def test_numbers_are_plain(value: Decimal | None, expected: str) -> None:
    """Decimals are written in plain digits."""
    assert yaml_text.scalar(value) == expected


def test_json_and_yaml_agree_on_committed_specs() -> None:
    """A real spec, written as JSON or YAML and read again, has the same meaning."""
    committed = specs.committed()
    assert len(committed) >= 5
    for name, data in committed:
        root = read_source(name, data, specs.nothing()).root
        assert root is not None
        plain = json.loads(json.dumps(keys.plain(root), default=str))
        written = yaml_text.document(_without_floats(plain))
        assert yaml.load(written, Loader=yaml.CSafeLoader) == _without_floats(plain)


def _without_floats(data: object) -> yaml_text.Plain:
    """The data with fractions as text: Freezeline writes no binary floats."""
    if isinstance(data, dict):
        return {str(key): _without_floats(item) for key, item in data.items()}
    if isinstance(data, list):
        return [_without_floats(item) for item in data]
    if data is None or isinstance(data, (bool, int, str)):
        return data
    return str(data)
