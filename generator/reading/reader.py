"""Reads one YAML mapping key by key: strictly, with types, and with the position of every problem.

A `Reader` notes each key that the caller asks for. `finish` reports every other key, with the nearest known key. The
reading code itself is therefore the list of keys.

The reader reports a missing or wrong value, and returns the `default` (or an empty value) instead, to find further
problems. The caller must drop the result if `Reader.failed` is true.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final, TypeVar

from freezeline.problems import Position, Problems, nearest
from generator import units
from generator.promql.check import Want, faults, lints
from generator.promql.text import clean, is_label_name
from generator.reading.source import Entry, Value

T = TypeVar("T")

NAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,62}[a-zA-Z0-9])?")


class Required:
    """Marks a key that has no default."""


REQUIRED: Final = Required()


class Reader:
    """One mapping being read. `what` names it in messages (`slos.availability`)."""

    def __init__(self, value: Value, what: str, problems: Problems) -> None:
        self.written = value
        self.position = value.position
        self.what = what
        self.problems = problems
        self._asked: set[str] = set()
        self._renamed: set[str] = set()
        # errors before the first key was asked for: the readers of a list all exist before the first one reads
        self._before: int | None = None
        self._entries: dict[str, Entry] = {}
        self._mistyped = not isinstance(value.content, dict)
        if isinstance(value.content, dict):
            self._entries = value.content
        else:
            self.fail("spec/type", f"{self.shown} must be a mapping", "write `key: value` lines or `{key: value}`")

    # -- the mapping itself

    @property
    def shown(self) -> str:
        """The mapping's name in messages."""
        return self.what or "the spec"

    def path(self, key: str) -> str:
        """The name of one of the mapping's keys in messages: `slos.availability.objective`."""
        return f"{self.what}.{key}" if self.what else key

    @property
    def failed(self) -> bool:
        """Whether this mapping has an error: one since the first key was asked for, or the value is not a mapping."""
        return self._mistyped or (self._before is not None and self.problems.error_count > self._before)

    def _ask(self, *keys: str) -> None:
        if self._before is None:
            self._before = self.problems.error_count
        self._asked.update(keys)

    def fail(self, code: str, message: str, hint: str = "", *, key: str | None = None) -> None:
        """Record a problem at the value of `key`; without `key`, at the mapping."""
        self._ask()
        self.problems.add(code, self.at(key), message, hint)

    def at(self, key: str | None = None) -> Position:
        """Position of the value of `key`; without `key`, of the mapping."""
        entry = self._entries.get(key) if key is not None else None
        return entry.value.position if entry is not None else self.position

    def has(self, key: str) -> bool:
        """Whether the spec holds the key, whatever its value."""
        self._ask(key)
        return key in self._entries

    def keys(self) -> list[str]:
        """The keys in the order of the file."""
        return list(self._entries)

    def free_entries(self) -> Iterator[tuple[str, Entry]]:
        """All entries of a mapping whose keys the user chooses freely. `finish` then reports no unknown key."""
        self._ask(*self._entries)
        return iter(self._entries.items())

    def renamed(self, old: str, new: str) -> None:
        """Report a key that an earlier version of Freezeline knew by another name."""
        if old in self._entries:
            self._renamed.add(old)
            self.fail("spec/renamed", f"`{old}` is called `{new}` now", f"write `{new}:` instead of `{old}:`", key=old)

    def finish(self) -> None:
        """Report every key that the caller did not ask for."""
        self._ask()
        for key in self._entries.keys() - self._asked - self._renamed:
            near = nearest(key, self._asked)
            known = ", ".join(sorted(self._asked))
            hint = f"did you mean `{near}`?" if near else f"use one of: {known}"
            message = f"{self.shown} has no key {key!r}"
            self.problems.add("spec/unknown-key", self._entries[key].key_position, message, hint)

    # -- values

    def value(self, key: str) -> Value | None:
        """The raw value of an optional key."""
        self._ask(key)
        entry = self._entries.get(key)
        return entry.value if entry is not None and entry.value.content is not None else None

    def required_value(self, key: str) -> Value | None:
        """The raw value of a required key; a missing key is reported."""
        value = self.value(key)
        if value is None:
            self.problems.add("spec/missing-key", self.position, f"{self.shown} lacks `{key}`", f"add `{key}: …`")
        return value

    def _typed(self, key: str, default: T | Required, convert: Callable[[Value], T], empty: T) -> T:
        value = self.value(key) if not isinstance(default, Required) else self.required_value(key)
        if value is None:
            return empty if isinstance(default, Required) else default
        try:
            return convert(value)
        except ValueError as error:
            message, _, hint = str(error).partition("\n")
            self.problems.add(
                "spec/type",
                value.position,
                f"{self.path(key)}: {message}",
                hint or f"correct the value, or remove `{key}`",
            )
            return empty if isinstance(default, Required) else default

    def text(self, key: str, default: str | Required = REQUIRED) -> str:
        """A non-empty text."""
        return self._typed(key, default, as_text, "")

    def optional_text(self, key: str) -> str | None:
        """A text; None if the key is absent."""
        return self._typed(key, None, as_text, None)

    def name(self, key: str, default: str | Required = REQUIRED) -> str:
        """A name that is safe in file names, URLs and labels."""
        return self._typed(key, default, as_name, "")

    def choice(self, key: str, choices: tuple[str, ...], default: str | Required = REQUIRED) -> str:
        """One of a fixed set of words."""

        def convert(value: Value) -> str:
            text = value.text
            if text not in choices:
                near = nearest(text, choices)
                hint = f"did you mean `{near}`?" if near else f"write {' or '.join(choices)}"
                raise ValueError(f"{text!r} is not one of {', '.join(choices)}\n{hint}")
            return text

        return self._typed(key, default, convert, choices[0])

    def boolean(self, key: str, default: bool | Required = REQUIRED) -> bool:  # noqa: FBT001 - a default, not a switch
        """`true` or `false`."""
        return self._typed(key, default, as_boolean, False)

    def integer(self, key: str, default: int | Required = REQUIRED, *, at_least: int = 0) -> int:
        """A whole number of at least `at_least`."""

        def convert(value: Value) -> int:
            content = value.content
            if not isinstance(content, int) or isinstance(content, bool):
                raise ValueError(f"{value.text!r} is not a whole number\nwrite only digits, such as 5")
            if content < at_least:
                raise ValueError(f"{content} is below {at_least}\nwrite {at_least} or more")
            return content

        return self._typed(key, default, convert, at_least)

    def decimal(self, key: str, default: Decimal | Required = REQUIRED) -> Decimal:
        """An exact decimal number."""
        return self._typed(key, default, as_decimal, Decimal(0))

    def ratio(self, key: str, default: Decimal | Required = REQUIRED) -> Decimal:
        """A ratio, as `1%` or `0.01`."""
        return self._typed(key, default, as_ratio, Decimal(0))

    def duration_ms(self, key: str, default: int | Required = REQUIRED, *, at_least: int = 1) -> int:
        """A Prometheus duration in milliseconds."""

        def convert(value: Value) -> int:
            duration_ms = as_duration_ms(value)
            if duration_ms < at_least:
                raise ValueError(f"{value.text!r} is too short\nwrite {units.duration_text(at_least)} or more")
            return duration_ms

        return self._typed(key, default, convert, at_least)

    def bound(self, key: str, default: Decimal | Required = REQUIRED) -> tuple[Decimal, str]:
        """A threshold as a number, and its text in the spec. A percentage becomes a ratio, a duration seconds."""
        text = ""

        def convert(value: Value) -> Decimal:
            nonlocal text
            text = value.text
            return as_bound(value)

        return self._typed(key, default, convert, Decimal(0)), text

    def mapping(self, key: str, *, required: bool = False) -> Reader | None:
        """A nested mapping; None if the key is absent, or not a mapping (reported)."""
        value = self.required_value(key) if required else self.value(key)
        if value is None:
            return None
        reader = Reader(value, self.path(key), self.problems)
        return reader if isinstance(value.content, dict) else None

    def readers(self, key: str) -> list[Reader]:
        """A list of mappings; empty if the key is absent."""
        return [
            Reader(value, f"{self.what}.{key}[{index}]" if self.what else f"{key}[{index}]", self.problems)
            for index, value in enumerate(self.values(key))
        ]

    def named_readers(self, key: str, *, code: str = "spec/name") -> Iterator[tuple[str, Position, Reader]]:
        """A mapping of named mappings: (name, position of the name, reader). Bad names are reported."""
        outer = self.mapping(key)
        if outer is None:
            return
        for name, entry in outer.free_entries():
            if not NAME.fullmatch(name):
                hint = "use only letters, digits, `-`, `_` and `.`, at most 64 characters"
                self.problems.add(code, entry.key_position, f"{outer.what}: {name!r} is not a valid name", hint)
            yield name, entry.key_position, Reader(entry.value, f"{outer.what}.{name}", self.problems)

    def values(self, key: str) -> tuple[Value, ...]:
        """The items of a list; empty if the key is absent."""
        value = self.value(key)
        if value is None:
            return ()
        if not isinstance(value.content, tuple):
            self.fail("spec/type", f"{self.path(key)} must be a list", f"write `{key}: [one, two]`", key=key)
            return ()
        return value.content

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; a single text counts as a list of one."""
        value = self.value(key)
        if value is not None and not isinstance(value.content, (tuple, dict)):
            return (self.text(key),)
        found = []
        for item in self.values(key):
            try:
                found.append(as_text(item))
            except ValueError as error:
                message = str(error).partition("\n")[0]
                self.problems.add(
                    "spec/type", item.position, f"{self.path(key)}: {message}", "write the value in quotes"
                )
        return tuple(found)

    def labels(self, key: str) -> tuple[str, ...]:
        """A list of Prometheus label names."""
        names = self.texts(key)
        for name in names:
            if not is_label_name(name):
                self.fail(
                    "spec/label",
                    f"{name!r} is not a label name",
                    "use only letters, digits and `_`, letters first; `metric_relabel_configs` renames labels",
                    key=key,
                )
        return names

    def promql(self, key: str, want: Want, default: str | Required = REQUIRED) -> str:
        """PromQL of the wanted type, in which `$window` stands for a range. A query that does not parse is reported."""
        text = clean(self.text(key, default))
        if text and key in self._entries:
            self.check_promql(text, want, self._entries[key].value)
        return text

    def check_promql(self, text: str, want: Want, value: Value) -> None:
        """Report why `text` is not PromQL of the wanted type, at the position of `value`."""
        found = faults(text, want) or lints(text)
        for fault in found:
            message = f"{self.what}: {fault.message}"
            self.problems.add(fault.code, value.position, message, fault.hint, warning=fault.warning)


def _scalar(value: Value, parse: Callable[[str], T]) -> T:
    if isinstance(value.content, (tuple, dict)) or value.content is None:
        raise ValueError("the value must be one text or number, not a list or mapping")
    return parse(value.text.strip())


def as_text(value: Value) -> str:
    """A text. Raises ValueError for anything else."""
    if isinstance(value.content, (int, Decimal)):  # booleans included
        raise ValueError(f'{value.text!r} must be a text\nwrite the value in quotes: "{value.text}"')
    if not isinstance(value.content, str) or not value.content.strip():
        raise ValueError("the value must be a text, and not empty\nwrite the value in quotes")
    return value.content


def as_name(value: Value) -> str:
    """A text that is a name. Raises ValueError."""
    text = as_text(value)
    if not NAME.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a valid name\nuse only letters, digits, `-`, `_` and `.`, at most 64 characters"
        )
    return text


def as_boolean(value: Value) -> bool:
    """`true` or `false`. Raises ValueError."""
    if not isinstance(value.content, bool):
        raise ValueError(f"{value.text!r} is neither true nor false\nwrite `true` or `false`")
    return value.content


def as_decimal(value: Value) -> Decimal:
    """An exact number. Raises ValueError."""
    if isinstance(value.content, bool) or not isinstance(value.content, (int, Decimal)):
        raise ValueError(f"{value.text!r} is not a number\nwrite only digits, without a unit, such as 99.9")
    return units.parse_decimal(value.text)


def as_duration_ms(value: Value) -> int:
    """A duration. Raises ValueError, with a hint after a line break."""
    try:
        return _scalar(value, units.parse_duration_ms)
    except ValueError as error:
        raise ValueError(f"{error}\nwrite a number with a unit, such as 30s, 5m, 1h30m or 30d") from None


def as_bound(value: Value) -> Decimal:
    """A threshold: number, percentage (→ ratio) or duration (→ seconds). Raises ValueError."""

    def parse(text: str) -> Decimal:
        if text[-1:].isalpha():
            return Decimal(units.parse_duration_ms(text)).scaleb(-3)
        return units.parse_ratio(text)

    try:
        return _scalar(value, parse)
    except ValueError as error:
        raise ValueError(f"{error}\nwrite a number, a percentage or a duration, such as 5, 1% or 500ms") from None


def as_ratio(value: Value) -> Decimal:
    """A ratio, as `1%` or `0.01`. Raises ValueError."""
    try:
        return _scalar(value, units.parse_ratio)
    except ValueError as error:
        raise ValueError(f"{error}\nwrite a percentage, such as 1%") from None
