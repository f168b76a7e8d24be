"""YAML with positions: the position of each value, the types of scalars, and the limits."""

from decimal import Decimal

import pytest

from freezeline.problems import Position
from generator.reading.source import Source, Value, place, read_source
from tests.unit.generator import specs


def read(text: str | bytes) -> tuple[Source, list[str]]:
    """A source and the codes of its problems."""
    problems = specs.nothing()
    data = text.encode() if isinstance(text, str) else text
    return read_source("a.yaml", data, problems), [problem.code for problem in problems]


def root(text: str | bytes) -> Value:
    """The tree of a text without problems."""
    source, codes = read(text)
    assert codes == []
    assert source.root is not None
    return source.root


@pytest.mark.parametrize(
    "text, expected",
    [
        ("on", "on"),
        ("yes", "yes"),
        ("off", "off"),
        ("10:00", "10:00"),
        ("2024-01-01", "2024-01-01"),
        ("0x1f", "0x1f"),
        ("017", Decimal(17)),
        ("1_000", "1_000"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("42", 42),
        ("-7", -7),
        ("99.9", Decimal("99.9")),
        ("1e-3", Decimal("0.001")),
        (".5", Decimal("0.5")),
        ("'42'", "42"),
        ('"true"', "true"),
        ("1" * 50, "1" * 50),
    ],
)
def test_scalars(text: str, expected: object) -> None:
    """YAML 1.2's core scalars: numbers are exact, everything else is text."""
    value = root(f"a: {text}\n")
    assert isinstance(value.content, dict)
    assert value.content["a"].value.content == expected


def test_every_value_has_its_place() -> None:
    """Lines and columns count from 1, in characters."""
    value = root("é: 1\nb:\n  - c: 2\n  - [x, y]\n")
    assert isinstance(value.content, dict)
    assert value.content["b"].key_position == Position("a.yaml", 2, 1)
    assert place(value, "é") == Position("a.yaml", 1, 4)
    items = value.content["b"].value.content
    assert isinstance(items, tuple)
    assert place(items[0], "c") == Position("a.yaml", 3, 8)
    assert items[1].position == Position("a.yaml", 4, 5)


def test_a_path_that_is_not_written_ends_at_what_is() -> None:
    """A missing key has the position of its mapping."""
    value = root("a: {b: 1}\n")
    assert place(value, "a", "missing", "more") == Position("a.yaml", 1, 4)


@pytest.mark.parametrize("text", ["\ufeffa: 1\n", "a: 1\r\nb: 2\r\n", "%YAML 1.2\n---\na: 1\n", "a: 1\n...\n"])
def test_forms_of_a_file(text: str) -> None:
    """A byte order mark, other line ends, a directive and an end mark are accepted."""
    value = root(text)
    assert place(value, "a").line in (1, 3)


def test_an_alias_is_the_same_value() -> None:
    """An alias has the position of its anchor."""
    value = root("a: &x {b: 1}\nc: *x\n")
    assert isinstance(value.content, dict)
    assert value.content["c"].value is value.content["a"].value


@pytest.mark.parametrize(
    "text, code",
    [
        (b"\xff", "source/encoding"),
        (b" " * (1024 * 1024 + 1), "source/too-large"),
        ("", "source/empty"),
        ("a: 1\na: 2\n", "source/duplicate-key"),
        ("a: {b: 1, b: 2}\n", "source/duplicate-key"),
        ("<<: {a: 1}\n", "source/merge-key"),
        ("? [a]\n: 1\n", "source/key"),
        ("a: !x 1\n", "source/tag"),
        ("a: 1\n---\nb: 1\n", "source/documents"),
        ("a: *x\n", "source/yaml"),
        ("a: &x [*x]\n", "source/aliases"),
        ("a: [\n", "source/yaml"),
        ("[" * 65 + "]" * 65, "source/too-deep"),
        ("- " * 65 + "a", "source/too-deep"),
        ("? " * 65 + "a", "source/too-deep"),
        ("{a: " * 65 + "1" + "}" * 65, "source/too-deep"),
        ("".join(" " * level + "a:\n" for level in range(70)), "source/too-deep"),
    ],
)
def test_what_is_refused(text: str | bytes, code: str) -> None:
    """Each limit has its code."""
    assert read(text)[1] == [code]


@pytest.mark.parametrize("text", ["[" * 64 + "]" * 64, "".join(" " * level + "a:\n" for level in range(60))])
def test_depth_up_to_the_limit_is_read(text: str) -> None:
    """Sixty-four levels are fine."""
    assert read(text)[1] == []


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece", ["\n", " ", "- ", "? ", ": ", "[", "{", "'", "&a ", "a", "#", "\t", "- \n", "k: [", "!"]
)
def test_no_input_takes_long(piece: str) -> None:
    """One repeated character up to the limit of a mebibyte is answered quickly."""
    source, codes = read((piece * (1024 * 1024 // len(piece)))[: 1024 * 1024 - 1])
    assert source.name == "a.yaml"
    assert len(codes) <= 1
