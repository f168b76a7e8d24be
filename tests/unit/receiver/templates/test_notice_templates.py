"""Templates: ours, the user's, and everything a user's template may not do."""

from pathlib import Path

import pytest

from receiver.templates import OUTPUT_MAX, Templates
from receiver.templates.escape import slack_link, slack_text
from tests.unit.receiver.notify.notices import HOSTILE, notice


def load(tmp_path: Path, source: str, name: str = "slack.j2") -> Templates:
    """Templates with one of the user's own."""
    (tmp_path / name).write_text(source)
    return Templates.load(tmp_path)


def test_a_user_template_replaces_ours(tmp_path: Path) -> None:
    """Values, branches and a loop over facts."""
    source = (
        "{% if severity == 'critical' %}!{% endif %}{{ service | upper }} {{ facts.alert or 'none' }}"
        "{% for name in facts %};{{ name }}={{ facts[name] }}{% endfor %}"
    )
    templates = load(tmp_path, source)
    assert templates.problems == ()
    shown = templates.render("slack", notice())
    assert shown == ("!GATEWAY FailureRateHigh;alert=FailureRateHigh;unfreeze_when=alert resolved for 5 min")


def test_the_others_stay_ours(tmp_path: Path) -> None:
    """One file replaces one template."""
    assert load(tmp_path, "x").render("email", notice()) == Templates.load().render("email", notice())


@pytest.mark.parametrize(
    "source, message",
    [
        ("{% for a in facts %}{% for b in facts %}{% endfor %}{% endfor %}", "this loop is not allowed"),
        ("{% for a in text %}{% endfor %}", "this loop is not allowed"),
        ("{% for a in facts recursive %}{% endfor %}", "this loop is not allowed"),
        ("{% for facts in facts %}{% for a in facts %}{% endfor %}{% endfor %}", "this loop is not allowed"),
        ("{% for facts in facts %}{% endfor %}{% for a in facts %}{% endfor %}", "this loop is not allowed"),
        ("{{ range(10) }}", "call is not allowed"),
        ("{{ text.ljust(999999999) }}", "call is not allowed"),
        ("{{ 'a' * 999999999 }}", "mul is not allowed"),
        ("{{ 9 ** 9 ** 9 }}", "pow is not allowed"),
        ("{{ '%99999999d' % 1 }}", "mod is not allowed"),
        ("{{ text ~ text }}", "concat is not allowed"),
        ("{{ text + text }}", "add is not allowed"),
        ("{% set a = [text, text] %}", "assign is not allowed"),
        ("{% macro m() %}{% endmacro %}", "macro is not allowed"),
        ("{% include '/etc/passwd' %}", "include is not allowed"),
        ("{% import 'x' as y %}", "import is not allowed"),
        ("{{ text | center(999999999) }}", "unknown filter center"),
        ("{{ text | replace('', text) }}", "unknown filter replace"),
        ("{{ config }}", "unknown name config"),
        ("{{ self }}", "unknown name self"),
        ("{{ facts.__class__ }}", "__class__ is not allowed"),
        ("{{ facts.a }}{{ facts['__class__'] }}{{ text.__class__ }}", "only facts have members"),
        ("{{ text", "unexpected end of template"),
        ("x" * 9000, "more than 8192 characters"),
        ("{{ " + "(" * 2000 + "1" + ")" * 2000 + " }}", "nested too deep"),
    ],
)
def test_what_could_run_long_or_leak_is_refused(source: str, message: str, tmp_path: Path) -> None:
    """It is refused at load with file and line, and ours stands in."""
    templates = load(tmp_path, "\n" + source)
    assert message in templates.problems[0].message
    assert templates.problems[0].file == str(tmp_path / "slack.j2")
    assert templates.render("slack", notice()) == Templates.load().render("slack", notice())


def test_every_problem_is_reported(tmp_path: Path) -> None:
    """All at once, each with its line."""
    found = load(tmp_path, "{{ a }}\n{{ b }}\n{{ text ~ text }}").problems
    assert [(one.line, one.message) for one in found] == [
        (1, "unknown name a"),
        (2, "unknown name b"),
        (3, "concat is not allowed"),
    ]


def test_a_file_that_replaces_nothing_is_a_problem(tmp_path: Path) -> None:
    """A typing mistake in a file's name does not pass in silence."""
    assert [one.message for one in load(tmp_path, "x", "slak.j2").problems] == ["no such template"]


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    """Settings that point nowhere are refused."""
    with pytest.raises(FileNotFoundError, match="none"):
        Templates.load(tmp_path / "none")


def test_output_is_bounded(tmp_path: Path) -> None:
    """However large the facts."""
    templates = load(tmp_path, "{% for name in facts %}" + "{{ facts[name] }}" * 20 + "{% endfor %}")
    shown = templates.render("slack", notice(facts={f"fact{n}": "x" * 99999 for n in range(999)}))
    assert len(shown) == OUTPUT_MAX


def test_a_template_that_fails_on_these_values_falls_back(tmp_path: Path) -> None:
    """The notice goes out in our words."""
    templates = load(tmp_path, "{{ text < 3 }}")
    assert templates.problems == ()
    assert templates.render("slack", notice()) == Templates.load().render("slack", notice())


def test_label_text_is_never_a_template(tmp_path: Path) -> None:
    """Jinja2 syntax in values is text."""
    shown = load(tmp_path, "{{ text }}").render("slack", notice(text="{{ 7*7 }}{% raw %}"))
    assert shown == "{{ 7*7 }}{% raw %}"


@pytest.mark.parametrize(
    "text, shown",
    [
        ("<!channel>", "&lt;!channel&gt;"),
        ("<@U123>", "&lt;@U123&gt;"),
        ("<http://evil.example|bank>", "&lt;http:\u200b//evil.example|bank&gt;"),
        ("a & b", "a &amp; b"),
        ("&lt;!here&gt;", "&amp;lt;!here&amp;gt;"),
        ("@here @Channel @everyone you@example.org", "@\u200bhere @\u200bChannel @\u200beveryone you@example.org"),
        ("a\r\nb\x00c\x1b[31m", "a b c [31m"),
        ("http_requests_total", "http_requests_total"),
    ],
)
def test_slack_text_neither_mentions_nor_links(text: str, shown: str) -> None:
    """The three characters Slack names, and what it would turn into mentions and links."""
    assert slack_text(text) == shown


def test_slack_link_cannot_be_ended() -> None:
    """Even our own URL is encoded."""
    assert slack_link("https://x/?a=1&b=<|>", "Open") == "<https://x/?a=1&amp;b=%3C%7C%3E|Open>"


def test_hostile_values_are_inert_in_every_layout() -> None:
    """No control character, no live mention in any of our templates."""
    templates = Templates.load()
    for channel in templates.compiled:
        shown = templates.render(channel, notice(text=HOSTILE, facts={HOSTILE: HOSTILE}))
        assert {c for c in shown if not c.isprintable()} <= ({"\n", "\u200b"})
    assert "<!channel>" not in templates.render("slack", notice(text=HOSTILE))
