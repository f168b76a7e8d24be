"""An existing file is read as Alertmanager reads it, and every line of it stays."""

from typing import Any

import pytest
import yaml

from freezeline.problems import Problems
from generator.existing.merge import users_part
from tests.tools import ROOT
from tests.unit.generator.existing.test_merge import merged, refused, removed

DATA = ROOT / "tests" / "data" / "alertmanager-configs"
BODY = """\
route:
  receiver: me
  routes:
  - receiver: me
    match: {LABEL: VALUE}
    continue: true
receivers:
- name: me
"""
# Eight lists, each of nine aliases of the list before: 9^9 nodes.
BOMB = "a: &x0 [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"a{number}: &x{number} [{', '.join([f'*x{number - 1}'] * 9)}]\n" for number in range(1, 9)
)


@pytest.mark.parametrize(
    "value",
    [
        "yes",
        "1.10",
        "010",
        "08:30",
        "2024-13-45",
        "2024-01-02",
        "0x1F",
        "1_000",
        "1e3",
        ".inf",
        ".NaN",
        "!!str on",
        "off",
    ],
)
def test_a_value_is_the_text_that_stands_there(value: str) -> None:
    """In the user's line and in the route that Freezeline adds for the line's sake."""
    text = BODY.replace("LABEL: VALUE", f"page: {value}")
    added = yaml.load(merged(text), Loader=yaml.BaseLoader)["route"]["routes"][-2]
    assert added == {"receiver": "freezeline-nobody", "match": {"page": value.removeprefix("!!str ")}}
    assert removed(merged(text)) == text


@pytest.mark.parametrize("word", ["n", "no", "off", "false"])
def test_a_route_that_does_not_continue_needs_no_stop(word: str) -> None:
    """Alertmanager reads these words as false."""
    text = BODY.replace("LABEL: VALUE", "a: b").replace("continue: true", f"continue: {word}")
    after: Any = yaml.safe_load(merged(text))
    assert after["route"]["routes"][-1] == {"receiver": "me"}
    assert "freezeline-nobody" not in merged(text)


@pytest.mark.parametrize("name", sorted(path.name for path in DATA.glob("*.yml") if ".rules." not in path.name))
def test_every_byte_of_a_real_file_stays(name: str) -> None:
    """Marks out, file back: comments, line ends, the end of the document and templates."""
    text = (DATA / name).read_bytes().decode()
    assert removed(merged(text)) == text
    assert merged(merged(text)) == merged(text)


@pytest.mark.parametrize("end", ["\r", "\x85", "\u2028", "\u2029"])
def test_lines_end_where_yaml_ends_them(end: str) -> None:
    """A rare line end in a comment does not move what is inserted below."""
    text = f"# one{end}# two{end}" + BODY.replace("LABEL: VALUE", "a: b")
    assert removed(merged(text)) == text
    assert yaml.safe_load(merged(text))["route"]["routes"][-1] == {"receiver": "me"}


def test_new_lines_end_as_most_lines_do() -> None:
    """One foreign line end stays, and is no reason for more of them."""
    text = BODY.replace("LABEL: VALUE", "a: b")
    assert "\r" not in merged("# one\r\n" + text).partition("\n")[2]
    assert "\n" not in merged("# one\n" + text.replace("\n", "\r\n")).partition("\n")[2].replace("\r\n", "")


def test_sections_are_added_inside_the_document() -> None:
    """Before `...`, and before a second document, which Alertmanager does not read."""
    text = BODY.replace("LABEL: VALUE", "a: b")
    for tail in ("...\n", "...\n# after\n", "---\nignored: true\n"):
        after = merged(text + tail)
        assert after.endswith(tail)
        assert next(iter(yaml.safe_load_all(after)))["templates"] == ["freezeline.tmpl"]
        assert removed(after) == text + tail


@pytest.mark.parametrize(
    "templates",
    [
        "['/etc/am/my-freezeline.tmpl', '/etc/am/b.tmpl']",
        "['my freezeline.tmpl']  # mine",
        "['freezeline.tmpl', b.tmpl]",
        "['/srv/freezeline.tmpl', 'it''s.tmpl']",
        "[a.tmpl,\n  b.tmpl]",
        "\n- /etc/am/freezeline.tmpl\n- b.tmpl",
    ],
)
def test_a_template_of_the_user_is_never_dropped(templates: str) -> None:
    """Names that look like Freezeline's own stay through merge, merge again and remove."""
    text = BODY.replace("LABEL: VALUE", "a: b") + f"templates: {templates}\n"
    theirs = yaml.safe_load(text)["templates"]
    once = merged(text)
    ours = [] if "freezeline.tmpl" in theirs else ["freezeline.tmpl"]
    assert yaml.safe_load(once)["templates"] == [*ours, *theirs]
    assert merged(once) == once
    assert removed(once) == text


@pytest.mark.parametrize(
    "text,line,message",
    [
        ("a: 1\nb: 2\na: 3\n", 3, "the key a stands twice"),
        ("a: &x [*x]\n", 1, "contain themselves"),
        (BOMB, 1, "too many nodes"),
        ("? [a]\n: 1\n", 1, "a key is not a text"),
        ("a:\n  <<: 5\n", 2, "`<<` names no mapping"),
        ("a: " + "[" * 90 + "]" * 90, 1, "nested too deep"),
        ("a: \x00\n", 1, "not valid YAML"),
    ],
)  # fmt: skip
def test_what_alertmanager_refuses_is_a_problem(text: str, line: int, message: str) -> None:
    """Never a traceback: a position, the reason, and the tool that says more."""
    (problem,) = refused(text)
    assert (problem.code, problem.position.line) == ("merge/yaml", line)
    assert message in problem.message


def test_a_position_is_that_of_the_file_on_disk() -> None:
    """Lines that an earlier merge added are counted."""
    once = merged(BODY.replace("LABEL: VALUE", "a: b"))
    broken = once.replace("- name: me\n", "- name: payments-slack\n", 1)
    (problem,) = refused(broken)
    assert broken.split("\n")[problem.position.line - 1] == "- name: payments-slack"


def test_merge_keys_bring_their_values() -> None:
    """`<<` is read as Alertmanager reads it: the mapping's own keys win, then the first mapping named."""
    text = "x: &x {a: one, b: one}\ny: &y {b: two, c: two}\nroute:\n  <<: [*x, *y]\n  a: own\n"
    document = users_part("file", text, Problems())
    assert document is not None
    assert document.data["route"] == {"a": "own", "b": "one", "c": "two"}
