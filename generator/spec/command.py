"""Reads commands and paths: an absolute program with its arguments, never a shell line."""

from __future__ import annotations

from posixpath import normpath

from freezeline.problems import Problems
from generator.model.command import Command
from generator.reading.reader import Reader, as_text
from generator.reading.source import Value

MAX_PATH = 4096


def read_path(reader: Reader, key: str) -> str:
    """The absolute path of a required key. Every problem is reported."""
    value = reader.required_value(key)
    return "" if value is None else _path(value, f"{reader.what}.{key}", reader.problems)


def read_optional_path(reader: Reader, key: str) -> str:
    """The absolute path of an optional key; "" if the key is absent."""
    return read_path(reader, key) if reader.value(key) is not None else ""


def _path(value: Value, what: str, problems: Problems) -> str:
    try:
        text = as_text(value)
    except ValueError as error:
        problems.add(
            "spec/type",
            value.position,
            f"{what}: {str(error).partition(chr(10))[0]}",
            "write an absolute path in quotes",
        )
        return ""
    if not text.startswith("/"):
        hint = (
            f"write the path from the root, such as /opt/{text.lstrip('./~')}; the receiver runs in another directory"
        )
        problems.add("policy/path", value.position, f"{what}: {text!r} is not an absolute path", hint)
    elif "\0" in text or len(text) > MAX_PATH:
        problems.add(
            "policy/path",
            value.position,
            f"{what}: the path is longer than {MAX_PATH} characters, or holds a zero byte",
            f"write a path of at most {MAX_PATH} characters",
        )
    elif "/../" in f"{text}/":
        problems.add(
            "policy/path",
            value.position,
            f"{what}: {text!r} contains `..`",
            f"write {normpath(text)}, or the path that you mean",
        )
    return text


def read_argv(reader: Reader, key: str) -> tuple[str, ...]:
    """A required key's command as a list: program and arguments. Every problem is reported."""
    value = reader.required_value(key)
    if value is None:
        return ()
    what = f"{reader.what}.{key}"
    if not isinstance(value.content, tuple):
        words = value.text.split() or ["/opt/app/script.sh"]
        hint = f"write a list: [{', '.join(words)}]; the receiver starts commands without a shell"
        reader.problems.add("policy/command", value.position, f"{what} must be a list", hint)
        return ()
    if not value.content:
        hint = "write a list: [/opt/app/script.sh]"
        reader.problems.add("policy/command", value.position, f"{what} names no program", hint)
        return ()
    program, *arguments = value.content
    argv = [_path(program, what, reader.problems)]
    for argument in arguments:
        if isinstance(argument.content, (tuple, dict)) or argument.content is None or "\0" in argument.text:
            reader.problems.add(
                "policy/command",
                argument.position,
                f"{what}: an argument must be a text",
                "write the argument in quotes",
            )
        elif not isinstance(argument.content, str):
            hint = f'write the argument in quotes: "{argument.text}"'
            reader.problems.add(
                "policy/command", argument.position, f"{what}: the argument {argument.text} is not a text", hint
            )
        argv.append(argument.text)
    return tuple(argv)


def read_command(reader: Reader, key: str, *, timeout_ms: int) -> Command | None:
    """The mapping `{command: […], timeout: 30s}` of an optional key. Without `timeout`, `timeout_ms` holds."""
    inner = reader.mapping(key)
    if inner is None:
        return None
    command = Command(argv=read_argv(inner, "command"), timeout_ms=inner.duration_ms("timeout", timeout_ms))
    inner.finish()
    return command
