"""The result of every importer: SLOs as a spec would write them, with their positions in the foreign file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from msgspec import Struct, field

from freezeline.problems import Position, Problems, nearest
from generator.reading.reader import NAME, Reader, as_decimal
from generator.reading.source import Value
from generator.text.yaml_text import Plain
from generator.units import parse_decimal

_NAME_MAX = 64


class Options(Struct, frozen=True, kw_only=True):
    """Values from the command line that a foreign file may leave open. Empty: use the file's value."""

    team: str = ""
    service: str = ""
    window: str = ""
    scrape: str = "15s"
    scrape_ms: int = 15_000


class Difference(Struct, frozen=True, kw_only=True):
    """One difference from the old tool. `slo` is empty if the difference holds for all SLOs."""

    topic: str
    was: str
    becomes: str
    why: str
    slo: str = ""

    def as_json(self) -> dict[str, str]:
        """The difference for `--json`."""
        return {"topic": self.topic, "slo": self.slo, "was": self.was, "becomes": self.becomes, "why": self.why}


class ImportedSlo(Struct, frozen=True, kw_only=True):
    """One SLO. `body` is the mapping under its name in a spec; `position` is its place in the foreign file."""

    service: str
    team: str  # empty if the file names none
    name: str
    objective: Decimal
    body: Mapping[str, Plain]  # the SLO's keys, except `objective`
    position: Position
    places: Mapping[str, Position] = field(default_factory=dict)  # the SLO's keys → what they come from

    def at(self, key: str) -> Position:
        """The place in the foreign file that a key of the spec comes from."""
        return self.places.get(key, self.position)


class Found(Struct):
    """Everything that one importer found in its files."""

    problems: Problems
    options: Options
    slos: list[ImportedSlo] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    def add(self, slo: ImportedSlo) -> None:
        """Add an SLO; a second SLO of the same name and service is a problem."""
        for other in self.slos:
            if (other.service, other.name) == (slo.service, slo.name):
                message = f"the service {slo.service} has two SLOs {slo.name}"
                hint = f"rename one of them; the other is at {other.position}"
                self.problems.add("import/duplicate", slo.position, message, hint)
                return
        self.slos.append(slo)

    def smallest_budget_ratio(self) -> Decimal:
        """The budget of the strictest SLO; 0.001 without any SLO."""
        return min(((100 - slo.objective) / 100 for slo in self.slos), default=Decimal("0.001"))


class ForeignReader(Reader):
    """Reads a mapping of another tool. Unknown keys give a warning instead of an error.

    An empty text counts as an absent key: the tools' own programs write `description: ""` for a value that nobody gave.
    """

    def value(self, key: str) -> Value | None:
        """The raw value of an optional key; None if the key is absent, or has no content."""
        found = super().value(key)
        return None if found is not None and isinstance(found.content, str) and not found.content.strip() else found

    def has(self, key: str) -> bool:
        """Whether the file gives the key a value."""
        return self.value(key) is not None

    def mapping(self, key: str, *, required: bool = False) -> ForeignReader | None:
        """A nested mapping; None if the key is absent, or not a mapping (reported)."""
        value = self.required_value(key) if required else self.value(key)
        if value is None:
            return None
        reader = ForeignReader(value, self.path(key), self.problems)
        return reader if isinstance(value.content, dict) else None

    def items(self, key: str) -> list[ForeignReader]:
        """A list of mappings, empty if the key is absent. Other items are reported."""
        readers = [
            ForeignReader(value, f"{self.path(key)}[{index}]", self.problems)
            for index, value in enumerate(self.values(key))
        ]
        return [reader for reader in readers if isinstance(reader.written.content, dict)]

    def first(self, *keys: str) -> str:
        """The one of several equivalent keys that the file uses; the first if the file uses none."""
        return next((key for key in keys if self.has(key)), keys[0])

    def lost(self, key: str, message: str, hint: str) -> None:
        """Warn of a value that the import leaves out."""
        if self.has(key):
            self.problems.add("import/not-carried", self.at(key), message, hint, warning=True)

    def string_map(self, key: str) -> dict[str, str]:
        """A mapping of texts, such as labels. Numbers keep their text in the file; of a list, the first text."""
        texts = self.string_lists(key)
        return {name: found[0] for name, found in texts.items()}

    def string_lists(self, key: str) -> dict[str, tuple[str, ...]]:
        """A mapping of texts or of lists of texts, such as OpenSLO's labels. Entries without any text are left out."""
        inner = self.mapping(key)
        found = {name: _texts(entry.value) for name, entry in inner.free_entries()} if inner is not None else {}
        return {name: texts for name, texts in found.items() if texts}

    def number(self, key: str) -> Decimal:
        """A number, with or without quotes."""

        def convert(value: Value) -> Decimal:
            return parse_decimal(value.content) if isinstance(value.content, str) else as_decimal(value)

        value = self.required_value(key)
        if value is None:
            return Decimal(0)
        try:
            return convert(value)
        except ValueError as error:
            message = str(error).partition("\n")[0]
            hint = "write digits without a unit, such as 99.9"
            self.problems.add("spec/type", value.position, f"{self.path(key)}: {message}", hint)
            return Decimal(0)

    def finish(self) -> None:
        """Warn of every key that the importer did not ask for."""
        self._ask()
        for key in self._entries.keys() - self._asked:
            near = nearest(key, self._asked - self._entries.keys())
            hint = (
                f"did you mean `{near}`?"
                if near
                else "check whether the spec needs this value: the import leaves the key out"
            )
            message = f"{self.shown}: Freezeline does not know the key {key!r}"
            self.problems.add("import/unknown-key", self._entries[key].key_position, message, hint, warning=True)


def _texts(value: Value) -> tuple[str, ...]:
    """The text of a scalar, or the texts of a list of scalars."""
    values = value.content if isinstance(value.content, tuple) else (value,)
    return tuple(item.text for item in values if isinstance(item.content, (str, int, Decimal)) and item.text.strip())


def owner(labels: Mapping[str, tuple[str, ...]], names: Iterable[str], reader: ForeignReader) -> str:
    """The owner of an object: the first value of the first of these labels; empty if the object has none of them.

    `labels` are what the reader found under its key `labels`.
    """
    label = next((name for name in names if name in labels), "")
    if not label:
        return ""
    teams = labels[label]
    if len(teams) > 1:
        message = f"the label {label} names several owners ({', '.join(teams)}), so the spec names the first"
        hint = "add `--team NAME` for another owner"
        written = reader.mapping("labels") or reader
        reader.problems.add("import/no-team", written.at(label), message, hint, warning=True)
    return teams[0]


def as_spec_name(text: str, position: Position, problems: Problems) -> str:
    """A foreign name as a valid name of a spec. A changed name gives a warning."""
    if NAME.fullmatch(text):
        return text
    safe = "".join(char if char.isascii() and (char.isalnum() or char in "_.-") else "-" for char in text)
    name = safe.strip("_.-")[:_NAME_MAX].strip("_.-") or "unnamed"
    hint = (
        "change dashboards and silences that use the old name; a name has letters, digits, `-`, `_` and `.`, at most 64"
    )
    problems.add("import/renamed", position, f"{text!r} is not a valid name and becomes {name!r}", hint, warning=True)
    return name


def check_objective(objective: Decimal, reader: Reader, key: str) -> bool:
    """Whether an objective leaves a budget; an objective without one is reported."""
    if 0 < objective < 100:
        return True
    hint = "write a smaller objective: 99.9 allows one bad event in a thousand"
    reader.fail("import/objective", f"{reader.shown}: the objective must be above 0 % and below 100 %", hint, key=key)
    return False
