"""Commands and paths in a spec: argv lists, absolute, never a shell line."""

from __future__ import annotations

from freezeline.problems import Problems
from generator.model.command import Command
from generator.reading.reader import Reader, as_text
from generator.reading.source import Value

MAX_PATH = 4096


def read_path(reader: Reader, key: str) -> str:
    """The absolute path at a required key; what is wrong with it is reported."""
    value = reader.required_value(key)
    return "" if value is None else _path(value, f"{reader.what}.{key}", reader.problems)


def read_optional_path(reader: Reader, key: str) -> str:
    """The absolute path at an optional key, or "" where it is absent."""
    return read_path(reader, key) if reader.value(key) is not None else ""


def _path(value: Value, what: str, problems: Problems) -> str:
    try:
        text = as_text(value)
    except ValueError as error:
        problems.add("spec/type", value.position, f"{what}: {str(error).partition(chr(10))[0]}", "write a path")
        return ""
    if not text.startswith("/"):
        hint = f"write it from the root, such as /opt/{text.lstrip('./~')}; it runs in another directory than yours"
        problems.add("policy/path", value.position, f"{what}: {text!r} is not an absolute path", hint)
    elif "\0" in text or len(text) > MAX_PATH:
        problems.add("policy/path", value.position, f"{what}: not a path that can exist", "shorten it")
    elif "/../" in f"{text}/":
        problems.add("policy/path", value.position, f"{what}: {text!r} goes up with `..`", "write where it leads to")
    return text


def read_argv(reader: Reader, key: str) -> tuple[str, ...]:
    """The argv list at a required key; what is wrong with it is reported."""
    value = reader.required_value(key)
    if value is None:
        return ()
    what = f"{reader.what}.{key}"
    if not isinstance(value.content, tuple):
        words = value.text.split() or ["/opt/app/script.sh"]
        hint = f"no shell is used; write a list: [{', '.join(words)}]"
        reader.problems.add("policy/command", value.position, f"{what} must be a list", hint)
        return ()
    if not value.content:
        hint = "write a list: [/opt/app/script.sh]"
        reader.problems.add("policy/command", value.position, f"{what} is empty", hint)
        return ()
    program, *arguments = value.content
    argv = [_path(program, what, reader.problems)]
    for argument in arguments:
        if isinstance(argument.content, (tuple, dict)) or argument.content is None or "\0" in argument.text:
            reader.problems.add("policy/command", argument.position, f"{what}: not an argument", "write plain text")
        elif not isinstance(argument.content, str):
            hint = f'put it in quotes: "{argument.text}"'
            reader.problems.add("policy/command", argument.position, f"{what}: {argument.text} must be text", hint)
        argv.append(argument.text)
    return tuple(argv)


def read_command(reader: Reader, key: str, *, timeout_ms: int) -> Command | None:
    """The mapping `{command: […], timeout: 30s}` at an optional key; `timeout_ms` where it names no time."""
    inner = reader.mapping(key)
    if inner is None:
        return None
    command = Command(argv=read_argv(inner, "command"), timeout_ms=inner.duration_ms("timeout", timeout_ms))
    inner.finish()
    return command
