"""`freezeline COMMAND --help`: plain English, and an example that the command accepts."""

import argparse
import shlex
from collections.abc import Iterator
from importlib import import_module
from keyword import iskeyword
from typing import Any

import pytest

from freezeline.cli import COMMANDS, OK, RENAMED, USAGE, main
from tests.frame.plain_words import faults, sentences

EXAMPLE = "Example: "


class Parser(argparse.ArgumentParser):
    """A parser that keeps the help of each of its arguments."""

    def __init__(self, prog: str) -> None:
        self.helps: dict[str, str] = {}
        super().__init__(prog=prog)

    def add_argument(self, *args: Any, **kwargs: Any) -> argparse.Action:
        """Add it, and note its help."""
        action = super().add_argument(*args, **kwargs)
        self.helps[action.dest] = action.help or ""
        return action


def parser_of(name: str) -> Parser:
    """The command's parser, as the command itself makes it."""
    parser = Parser(f"freezeline {name}")
    import_module(f"freezeline.commands.{name}{'_' if iskeyword(name) else ''}").configure(parser)
    return parser


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_accepts_its_own_example(name: str) -> None:
    """The help ends with a command line that parses."""
    parser = parser_of(name)
    assert parser.epilog is not None
    assert parser.epilog.startswith(EXAMPLE)
    program, command, *words = shlex.split(parser.epilog.removeprefix(EXAMPLE))
    assert (program, command) == ("freezeline", name)
    parser.parse_args(words)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_plain_english(name: str) -> None:
    """A description in sentences, and a short text for each argument and option."""
    parser = parser_of(name)
    assert parser.description is not None
    assert parser.description.endswith(".")
    assert [dest for dest, text in parser.helps.items() if not text] == []
    texts = [parser.description, COMMANDS[name], *parser.helps.values()]
    assert [fault for text in texts for sentence in sentences(text) for fault in faults(sentence)] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_description_and_example(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On stdout, with exit code 0."""
    monkeypatch.setenv("COLUMNS", "1000")
    assert main([name, "--help"]) == OK
    shown = capsys.readouterr().out
    parser = parser_of(name)
    assert str(parser.description) in shown
    assert shown.rstrip().endswith(str(parser.epilog))


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser, and those of its subcommands."""
    yield parser
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to subcommands
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            for one in action.choices.values():
                yield from parsers(one)


def test_whoever_asks_a_prometheus_can_send_headers() -> None:
    """Behind a gateway of tenants, a command without `--header` could not be used."""
    helps = [one.format_help() for name in COMMANDS for one in parsers(parser_of(name))]
    asking = [text for text in helps if "[--prometheus " in text or " --prometheus " in text]
    assert len(asking) > 7
    assert [text for text in asking if "[--header " not in text] == []


@pytest.mark.parametrize("old, new", RENAMED.items())
def test_an_old_name_says_the_new_one(old: str, new: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2; the new name is a command."""
    assert new in COMMANDS
    assert main([old, "checkout"]) == USAGE
    assert capsys.readouterr().err == f"freezeline: `freezeline {old}` is called `freezeline {new}` now\n"
