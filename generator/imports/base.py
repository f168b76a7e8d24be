"""What every importer gives: SLOs as a spec would write them, each with its place in the foreign file."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct, field

from freezeline.problems import Position, Problems, nearest
from generator.reading.reader import NAME, Reader, as_decimal
from generator.reading.source import Value
from generator.text.yaml_text import Plain
from generator.units import parse_decimal

_NAME_MAX = 64


class Options(Struct, frozen=True, kw_only=True):
    """What a foreign file may leave open, as given on the command line. Empty: take it from the file."""

    team: str = ""
    service: str = ""
    window: str = ""
    scrape: str = "15s"
    scrape_ms: int = 15_000


class Difference(Struct, frozen=True, kw_only=True):
    """One thing that will be otherwise than with the old tool. `slo` is empty where it holds for all."""

    topic: str
    was: str
    becomes: str
    why: str
    slo: str = ""

    def as_json(self) -> dict[str, str]:
        """For `--json`."""
        return {"topic": self.topic, "slo": self.slo, "was": self.was, "becomes": self.becomes, "why": self.why}


class ImportedSlo(Struct, frozen=True, kw_only=True):
    """One SLO. `body` is what stands under its name in a spec; `position` is where it stands in the foreign file."""

    service: str
    team: str  # empty where the file names none
    name: str
    objective: Decimal
    body: Mapping[str, Plain]  # all but the objective
    position: Position


class Found(Struct):
    """What one importer found in its files."""

    problems: Problems
    options: Options
    slos: list[ImportedSlo] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    def add(self, slo: ImportedSlo) -> None:
        """Take an SLO; a second one of the same name and service is a problem."""
        for other in self.slos:
            if (other.service, other.name) == (slo.service, slo.name):
                message = f"{slo.service} has the SLO {slo.name} twice"
                hint = f"the first is at {other.position}; rename one of them"
                self.problems.add("import/duplicate", slo.position, message, hint)
                return
        self.slos.append(slo)

    def smallest_budget_ratio(self) -> Decimal:
        """The budget of the strictest SLO; 0.001 where there is none."""
        return min(((100 - slo.objective) / 100 for slo in self.slos), default=Decimal("0.001"))


class ForeignReader(Reader):
    """Reads a mapping of another tool: keys that nobody knows here are warned of, not refused."""

    def mapping(self, key: str, *, required: bool = False) -> ForeignReader | None:
        """A nested mapping; None where absent or not a mapping (reported)."""
        value = self.required_value(key) if required else self.value(key)
        if value is None:
            return None
        reader = ForeignReader(value, self.path(key), self.problems)
        return reader if isinstance(value.content, dict) else None

    def items(self, key: str) -> list[ForeignReader]:
        """A list of mappings, empty where absent; what is none is reported."""
        readers = [
            ForeignReader(value, f"{self.path(key)}[{index}]", self.problems)
            for index, value in enumerate(self.values(key))
        ]
        return [reader for reader in readers if isinstance(reader.written.content, dict)]

    def first(self, *keys: str) -> str:
        """The spelling of a key that is written, of several that mean the same; the first one where none is."""
        return next((key for key in keys if self.has(key)), keys[0])

    def lost(self, key: str, message: str, hint: str) -> None:
        """Warn of a value that is not carried over."""
        if self.has(key) and self.value(key) is not None:
            self.problems.add("import/not-carried", self.at(key), message, hint, warning=True)

    def string_map(self, key: str) -> dict[str, str]:
        """A mapping of texts, such as labels; numbers and truth values count as they are written."""
        inner = self.mapping(key)
        if inner is None:
            return {}
        return {name: entry.value.text for name, entry in inner.free_entries() if entry.value.text}

    def number(self, key: str) -> Decimal:
        """A number, in quotes or not."""

        def convert(value: Value) -> Decimal:
            return parse_decimal(value.content) if isinstance(value.content, str) else as_decimal(value)

        value = self.required_value(key)
        if value is None:
            return Decimal(0)
        try:
            return convert(value)
        except ValueError as error:
            self.problems.add("spec/type", value.position, f"{self.path(key)}: {error}", "write a number")
            return Decimal(0)

    def finish(self) -> None:
        """Warn of every key that nothing asked for."""
        self._ask()
        for key in self._entries.keys() - self._asked:
            near = nearest(key, self._asked)
            hint = f"did you mean `{near}`?" if near else "it is left out"
            message = f"unknown key {key!r} in {self.shown}"
            self.problems.add("import/unknown-key", self._entries[key].key_position, message, hint, warning=True)


def as_spec_name(text: str, position: Position, problems: Problems) -> str:
    """A foreign name as a spec may write it; a change is warned of."""
    if NAME.fullmatch(text):
        return text
    safe = "".join(char if char.isascii() and (char.isalnum() or char in "_.-") else "-" for char in text)
    name = safe.strip("_.-")[:_NAME_MAX].strip("_.-") or "unnamed"
    hint = "letters, digits, `-`, `_` and `.`, at most 64; dashboards and silences that name it must follow"
    problems.add("import/renamed", position, f"{text!r} becomes {name!r}", hint, warning=True)
    return name


def check_objective(objective: Decimal, reader: Reader, key: str) -> bool:
    """Whether an objective leaves some budget; reported where not."""
    if 0 < objective < 100:
        return True
    hint = "leave some budget: 99.9 allows one bad event in a thousand"
    reader.fail("import/objective", f"{reader.shown}: an objective lies above 0 % and below 100 %", hint, key=key)
    return False
